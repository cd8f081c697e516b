//! `mihari verify`: a journal checked off line, and the index beside it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use event::Time;

use super::reindex::missing_of;

/// Arguments of `mihari verify`.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The journal's folder, or the service's data folder
    path: PathBuf,
}

pub(crate) fn run(args: &Verify) -> Result<ExitCode> {
    anyhow::ensure!(
        !args.path.is_file(),
        "{} is a file: the journal's folder is needed, for its segments prove each other",
        args.path.display()
    );
    let below = args.path.join("journal");
    let journal = if below.is_dir() { &below } else { &args.path };
    let report = ingest::log::verify(journal)?;
    // Nothing fits together by itself: who asks about the wrong folder must not take that for a proof.
    anyhow::ensure!(report.segments > 0 || !report.removed.is_empty(), "no journal in {}", journal.display());
    super::say(&format!(
        "{} segments, {} frames, {} commits, last offset {}, {} frames behind the last commit",
        report.segments, report.frames, report.commits, report.last, report.uncommitted
    ));
    for tombstone in &report.removed {
        let (begun, ended, removed) = (tombstone.begun_ns, tombstone.ended_ns, tombstone.removed_ns);
        let [begun, ended, removed] = [begun, ended, removed].map(Time::from_unix_ns);
        super::say(&format!(
            "offsets {} to {} ({begun} to {ended}) were removed by retention at {removed} ({:?} beyond {})",
            tombstone.first, tombstone.last, tombstone.reason, tombstone.bound
        ));
    }
    let missing = missing_of(&args.path.join("index"), true)?;
    missing.iter().for_each(|missing| super::say(&missing.to_string()));
    match report.problem {
        None => {
            super::say("every checksum, number, tree and link fits");
            super::say(&format!("chain {}", report.chain.iter().map(|b| format!("{b:02x}")).collect::<String>()));
            Ok(if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some((path, problem)) => {
            super::say(&format!("{}: {problem}", path.display()));
            Ok(ExitCode::FAILURE)
        }
    }
}
