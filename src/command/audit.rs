//! `mihari audit`: what was in force when in a running service, and who changed it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Service, ask};

/// Arguments of `mihari audit`.
#[derive(Args, Debug)]
pub(crate) struct Audit {
    /// Only changes of this kind: rules, policy, rule_mode, token_made, token_revoked
    #[arg(long)]
    what: Option<String>,
    #[command(flatten)]
    service: Service,
}

#[derive(Deserialize)]
struct Trail {
    records: Vec<Box<RawValue>>,
    broken_at: Option<i64>,
    before: Option<i64>,
}

/// Tells the trail, the newest record first, a JSON object a line. 1 where a record does not fit its link.
pub(crate) fn run(args: &Audit) -> Result<ExitCode> {
    let (mut before, mut shown) = (None::<i64>, 0);
    loop {
        let from = before.map(|seq| seq.to_string());
        let mut parameters = vec![("size", "1000")];
        parameters.extend(args.what.as_deref().map(|what| ("what", what)));
        parameters.extend(from.as_deref().map(|from| ("before", from)));
        let trail: Trail = ask(&args.service, "/api/v1/audit", &parameters)?;
        for record in &trail.records {
            super::say(&super::visible_json(record.get()));
        }
        shown += trail.records.len();
        before = trail.before;
        if before.is_some() {
            continue;
        }
        let Some(broken) = trail.broken_at else {
            super::complain(&format!("{shown} records; every one fits its link"));
            return Ok(ExitCode::SUCCESS);
        };
        super::complain(&format!("{shown} records; record {broken} is not as it was written, or one before it is missing"));
        return Ok(ExitCode::FAILURE);
    }
}
