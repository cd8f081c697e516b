//! `mihari policy`: proving a zone file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use rules::policy::Policy;

/// What to do with a zone file.
#[derive(Subcommand, Debug)]
pub(crate) enum PolicyCommand {
    /// Prove it, or print its problems with their lines
    Check {
        /// The zone file
        file: PathBuf,
    },
    /// Print which pairs of zones may talk, and by which line
    Matrix {
        /// The zone file
        file: PathBuf,
    },
}

pub(crate) fn run(command: &PolicyCommand) -> Result<ExitCode> {
    let (PolicyCommand::Check { file } | PolicyCommand::Matrix { file }) = command;
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let shown = file.display();
    let say_all = |problems: &[rules::policy::PolicyProblem]| {
        for p in problems {
            let lines: Vec<String> = p.lines.iter().map(usize::to_string).collect();
            let kind = if p.warning { "warning" } else { "error" };
            super::say(&format!("{shown}:{}: {kind}: {}", lines.join(","), p.reason));
        }
    };
    match Policy::parse(&text) {
        Err(problems) => {
            say_all(&problems);
            Ok(ExitCode::FAILURE)
        }
        Ok((policy, problems)) => {
            say_all(&problems);
            if let PolicyCommand::Matrix { .. } = command {
                matrix(&policy);
            } else {
                super::say(&format!(
                    "{} zones, {} lines, {} exceptions, {} invariants: holds together",
                    policy.zones.len(),
                    policy.allow.len(),
                    policy.exceptions.len(),
                    policy.must_deny.len()
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn matrix(policy: &Policy) {
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
