//! `mihari quarantine`: records that no decoder could read, in a running service.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::client::Service;

/// What to do with them.
#[derive(Subcommand, Debug)]
pub(crate) enum QuarantineCommand {
    /// Show them, oldest first, a JSON object a line
    List(Which),
    /// Read them again with the decoders as they are now, and release those that are read
    Reparse {
        #[command(flatten)]
        which: Which,
        /// Only say how many would be released
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which of them, and where the service is.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Only those with this reason
    #[arg(long)]
    reason: Option<String>,
    /// Only those of this source, as the list of sources names it
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    service: Service,
}

#[derive(Deserialize)]
struct Page {
    records: Vec<Box<serde_json::value::RawValue>>,
    total: u64,
    after: Option<String>,
}

#[derive(Deserialize)]
struct Reparsed {
    looked_at: u64,
    released: u64,
    after: Option<String>,
}

pub(crate) fn run(command: &QuarantineCommand) -> Result<ExitCode> {
    match command {
        QuarantineCommand::List(which) => list(which)?,
        QuarantineCommand::Reparse { which, dry_run } => reparse(which, *dry_run)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(which: &Which) -> Result<()> {
    let (mut after, mut shown, mut total) = (None::<String>, 0, None);
    loop {
        let mut parameters = vec![("size", "1000")];
        parameters.extend(
            [("reason", &which.reason), ("source", &which.source), ("after", &after)]
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_deref()?))),
        );
        let answer = api::client::stream(&which.service.url, "/api/v1/quarantine", &parameters, &which.service.token)?;
        let page: Page = serde_json::from_reader(answer).context("the service's answer cannot be read")?;
        for record in &page.records {
            super::say(&super::visible_json(record.get()));
        }
        shown += page.records.len();
        total.get_or_insert(page.total);
        after = page.after;
        if after.is_none() {
            super::complain(&format!("{shown} of {} quarantined records", total.unwrap_or(0)));
            return Ok(());
        }
    }
}

fn reparse(which: &Which, dry_run: bool) -> Result<()> {
    let (mut after, mut looked_at, mut released) = (None::<String>, 0, 0);
    loop {
        let body = json!({"reason": which.reason, "source": which.source, "after": after, "dry_run": dry_run}).to_string();
        let answer = api::client::post(&which.service.url, "/api/v1/quarantine/reparse", &which.service.token, &body)?;
        let page: Reparsed = serde_json::from_str(&answer).context("the service's answer cannot be read")?;
        looked_at += page.looked_at;
        released += page.released;
        after = page.after;
        if after.is_none() {
            let verb = if dry_run { "would be released" } else { "released" };
            super::say(&format!("{released} of {looked_at} quarantined records {verb}"));
            return Ok(());
        }
    }
}
