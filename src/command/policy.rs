//! `mihari policy`: proving a zone file, comparing two, and asking a running service what passed between zones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use event::Clock;
use rules::policy::{Change, Policy, PolicyProblem, diff};
use serde::Deserialize;

use super::client::{self, Service};
use crate::clock::SystemClock;

/// What to do with a zone file.
#[derive(Subcommand, Debug)]
pub(crate) enum PolicyCommand {
    /// Prove it, or print its problems with their lines
    Check {
        /// The zone file
        file: PathBuf,
    },
    /// Of a file: which pairs of zones may talk, and by which line. Of a running service: which pairs were kept, broken, not observed
    Matrix(Matrix),
    /// What a second file decides differently
    Diff {
        /// The zone file as it was
        a: PathBuf,
        /// The zone file as it would be
        b: PathBuf,
    },
    /// The policies that a running service has had in force
    Versions {
        #[command(flatten)]
        service: Service,
    },
    /// What a draft would have decided differently of what a running service has stored
    WhatIf(WhatIf),
}

/// Arguments of `mihari policy matrix`.
#[derive(Args, Debug)]
pub(crate) struct Matrix {
    /// The zone file; without one a running service is asked
    file: Option<PathBuf>,
    /// The first instant (RFC 3339, or now-24h)
    #[arg(long, default_value = "now-24h")]
    from: String,
    /// The instant before which it ends
    #[arg(long, default_value = "")]
    to: String,
    /// Show each hour
    #[arg(long)]
    hours: bool,
    /// The service's address
    #[arg(long, default_value = "http://127.0.0.1:8686", env = "MIHARI_URL")]
    url: String,
    /// The token
    #[arg(long, default_value = "", env = "MIHARI_TOKEN", hide_env_values = true)]
    token: String,
}

/// Arguments of `mihari policy what-if`.
#[derive(Args, Debug)]
pub(crate) struct WhatIf {
    /// The draft
    draft: PathBuf,
    /// The first instant (RFC 3339, or now-24h)
    #[arg(long, default_value = "now-24h")]
    from: String,
    /// The instant before which it ends
    #[arg(long, default_value = "")]
    to: String,
    #[command(flatten)]
    service: Service,
}

pub(crate) fn run(command: &PolicyCommand) -> Result<ExitCode> {
    match command {
        PolicyCommand::Check { file } => Ok(match prove(file)? {
            None => ExitCode::FAILURE,
            Some(policy) => {
                super::say(&format!(
                    "{} zones, {} lines, {} exceptions, {} invariants: holds together",
                    policy.zones.len(),
                    policy.allow.len(),
                    policy.exceptions.len(),
                    policy.must_deny.len()
                ));
                ExitCode::SUCCESS
            }
        }),
        PolicyCommand::Matrix(Matrix { file: Some(file), .. }) => Ok(match prove(file)? {
            None => ExitCode::FAILURE,
            Some(policy) => {
                decided(&policy);
                ExitCode::SUCCESS
            }
        }),
        PolicyCommand::Matrix(args) => observed(args),
        PolicyCommand::Diff { a, b } => {
            let (Some(a), Some(b)) = (prove(a)?, prove(b)?) else { return Ok(ExitCode::FAILURE) };
            let changes = diff(&a, &b);
            changes.iter().for_each(|change| super::say(&told(change)));
            // As diff(1): 1 where they differ.
            Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        PolicyCommand::Versions { service } => {
            #[derive(Deserialize)]
            struct Answer {
                versions: Vec<Version>,
            }
            #[derive(Deserialize)]
            struct Version {
                sha256: String,
                since: String,
                by: String,
                bytes: u64,
            }
            let answer: Answer = client::ask(service, "/api/v1/policy/versions", &[])?;
            for Version { sha256, since, by, bytes } in answer.versions {
                super::say(&format!("{since} {sha256} {bytes} bytes, {}", super::visible(&by)));
            }
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::WhatIf(args) => what_if(args),
    }
}

/// Reads and proves a file; prints its problems. None where it does not hold together.
fn prove(file: &Path) -> Result<Option<Policy>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let say_all = |problems: &[PolicyProblem]| {
        for p in problems {
            let kind = if p.warning { "warning" } else { "error" };
            super::say(&format!("{}{}: {kind}: {}", file.display(), p.place(), p.reason));
        }
    };
    Ok(match Policy::parse(&text) {
        Err(problems) => {
            say_all(&problems);
            None
        }
        Ok((policy, mut problems)) => {
            problems.extend(policy.ended_exceptions(SystemClock.now()));
            say_all(&problems);
            Some(policy)
        }
    })
}

fn told(change: &Change) -> String {
    match change {
        Change::Zone { first, last, before, after } => format!("{first} - {last}: zone {before}, now {after}"),
        Change::Service { from, to, service, before, after, lines_before, lines_after } => {
            format!("{from} -> {to} {service}: {before} {lines_before:?}, now {after} {lines_after:?}")
        }
        Change::Renamed { before, after } => format!("zone {before} is now called {after}"),
        Change::Named { zone, before, after } => format!("zone {zone}: {before}, now {after}"),
        Change::Model { before, after } => format!("model: {before:?}, now {after:?}"),
        Change::Sensor { sensor, before, after } => format!("sensor {sensor}: {before}, now {after}"),
        Change::Invariant { from, to, before, after } => format!("{from} -> {to}: {before}, now {after}"),
    }
}

fn decided(policy: &Policy) {
    for from in &policy.zones {
        for to in policy.zones.iter().filter(|to| to.name != from.name) {
            let lines: Vec<String> = policy
                .allow
                .iter()
                .map(|l| (l, "line"))
                .chain(policy.exceptions.iter().map(|l| (l, "exception in line")))
                .filter(|(l, _)| l.from == from.name && l.to == to.name)
                .map(|(l, kind)| format!("{kind} {}", l.line))
                .collect();
            let what = if lines.is_empty() { "denied".to_owned() } else { lines.join(", ") };
            super::say(&format!("{} -> {}: {what}", from.name, to.name));
        }
    }
}

#[derive(Deserialize)]
struct Counts {
    allowed: i64,
    denied: i64,
    violations: i64,
    exceptions: i64,
    unclear: i64,
}

impl Counts {
    fn told(&self) -> String {
        let Counts { allowed, denied, violations, exceptions, unclear } = self;
        format!("{allowed} allowed, {denied} denied, {violations} violations, {exceptions} by exception, {unclear} unclear")
    }
}

/// The matrix of a running service; 1 where a cell is broken.
fn observed(args: &Matrix) -> Result<ExitCode> {
    #[derive(Deserialize)]
    struct Answer {
        cells: Vec<Cell>,
    }
    #[derive(Deserialize)]
    struct Cell {
        from: String,
        to: String,
        state: String,
        reason: String,
        silent: Vec<String>,
        #[serde(flatten)]
        counts: Counts,
        #[serde(default)]
        hours: Vec<Hour>,
    }
    #[derive(Deserialize)]
    struct Hour {
        hour: String,
        state: String,
        #[serde(default)]
        silent: Vec<String>,
        #[serde(flatten)]
        counts: Counts,
    }
    if args.token.is_empty() {
        bail!("a running service needs --token (or MIHARI_TOKEN); for a file give its path");
    }
    let service = Service { url: args.url.clone(), token: args.token.clone() };
    let hours = if args.hours { "true" } else { "" };
    let answer: Answer =
        client::ask(&service, "/api/v1/policy/matrix", &[("from", &args.from), ("to", &args.to), ("hours", hours)])?;
    let silence = |sensors: &[String]| match sensors {
        [] => String::new(),
        some => format!(", silent: {}", some.join(", ")),
    };
    let mut broken = false;
    for cell in &answer.cells {
        broken |= cell.state == "broken";
        let Cell { from, to, state, reason, silent, counts, hours } = cell;
        super::say(&format!("{from} -> {to}: {state} ({reason}): {}{}", counts.told(), silence(silent)));
        for Hour { hour, state, silent, counts } in hours {
            super::say(&format!("    {hour} {state}: {}{}", counts.told(), silence(silent)));
        }
    }
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn what_if(args: &WhatIf) -> Result<ExitCode> {
    #[derive(Deserialize)]
    struct Answer {
        looked_at: u64,
        complete: bool,
        #[serde(default)]
        renamed: BTreeMap<String, String>,
        changes: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        from: String,
        to: String,
        service: String,
        before: String,
        after: String,
        count: u64,
        example: Option<String>,
    }
    let yaml = std::fs::read_to_string(&args.draft).with_context(|| format!("failed to read {}", args.draft.display()))?;
    let body = serde_json::json!({"yaml": yaml, "from": args.from, "to": args.to});
    let answer: Answer = client::send(&args.service, "/api/v1/policy/what-if", &body)?;
    for (before, after) in &answer.renamed {
        super::say(&format!("zone {before} would be called {after}"));
    }
    for Row { from, to, service, before, after, count, example } in &answer.changes {
        let example = example.as_ref().map_or_else(String::new, |id| format!(", such as {id}"));
        let before = if before.is_empty() { "nothing was said" } else { before };
        super::say(&format!("{from} -> {to} {service}: {before}, would be {after}: {count} records{example}"));
    }
    super::complain(&format!(
        "{} records looked at{}, {} kinds of change",
        answer.looked_at,
        if answer.complete { "" } else { " (not all: the time or the number was up)" },
        answer.changes.len()
    ));
    Ok(ExitCode::SUCCESS)
}
