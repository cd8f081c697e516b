//! `mihari audit`: what was in force when in a running service, what it said, and who changed it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Service, ask};

/// Arguments of `mihari audit`.
#[derive(Args, Debug)]
pub(crate) struct Audit {
    /// Only changes of this kind: rules, policy, rule_mode, token_made, token_revoked, saved_search, released, alert_action, exported,
    /// journal_removed, shards_dropped
    #[arg(long)]
    what: Option<String>,
    /// Instead, what the rule of this id said
    #[arg(long)]
    rule: Option<String>,
    /// When (RFC 3339, or now-7d); now by default
    #[arg(long, requires = "rule")]
    at: Option<String>,
    #[command(flatten)]
    service: Service,
}

#[derive(Deserialize)]
struct Trail {
    records: Vec<Box<RawValue>>,
    broken_at: Option<i64>,
    before: Option<i64>,
    texts: Option<Texts>,
}

#[derive(Deserialize)]
struct Texts {
    count: u64,
    broken: Vec<String>,
}

#[derive(Deserialize)]
struct Said {
    seq: i64,
    since: String,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    sha256: String,
    text: String,
}

/// Tells what a rule said: its text, then those of the filters that narrowed it.
fn rule(service: &Service, id: &str, at: Option<&str>) -> Result<ExitCode> {
    let id: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let parameters: Vec<(&str, &str)> = at.map(|at| ("at", at)).into_iter().collect();
    let said: Said = ask(service, &format!("/api/v1/audit/rules/{id}"), &parameters)?;
    super::complain(&format!("in force since {} (record {})", said.since, said.seq));
    for Text { sha256, text } in &said.texts {
        super::say(&format!("# sha256 {sha256}"));
        super::say(super::visible_lines(text).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells the trail, the newest record first, a JSON object a line. 1 where a record does not fit its link, or a text its hash.
pub(crate) fn run(args: &Audit) -> Result<ExitCode> {
    if let Some(id) = &args.rule {
        return rule(&args.service, id, args.at.as_deref());
    }
    let (mut before, mut shown) = (None::<i64>, 0);
    let (mut texts, mut broken_texts) = (0, Vec::new());
    loop {
        let from = before.map(|seq| seq.to_string());
        let mut parameters = vec![("size", "1000")];
        // Once: they are the same for every page.
        parameters.extend(before.is_none().then_some(("texts", "true")));
        parameters.extend(args.what.as_deref().map(|what| ("what", what)));
        parameters.extend(from.as_deref().map(|from| ("before", from)));
        let trail: Trail = ask(&args.service, "/api/v1/audit", &parameters)?;
        for record in &trail.records {
            super::say(&super::visible_json(record.get()));
        }
        shown += trail.records.len();
        if let Some(found) = trail.texts {
            (texts, broken_texts) = (found.count, found.broken);
        }
        before = trail.before;
        if before.is_some() {
            continue;
        }
        let Some(broken) = trail.broken_at else {
            if !broken_texts.is_empty() {
                super::complain(&format!("texts that are missing or not as they were kept: {}", broken_texts.join(", ")));
                return Ok(ExitCode::FAILURE);
            }
            super::complain(&format!("{shown} records; every one fits its link, and each of {texts} texts its hash"));
            return Ok(ExitCode::SUCCESS);
        };
        super::complain(&format!("{shown} records; record {broken} is not as it was written, or one before it is missing"));
        return Ok(ExitCode::FAILURE);
    }
}
