//! `mihari verify`: a journal checked off line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

/// Arguments of `mihari verify`.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The journal's folder, or the service's data folder
    path: PathBuf,
}

pub(crate) fn run(args: &Verify) -> Result<ExitCode> {
    let below = args.path.join("journal");
    let report = ingest::log::verify(if below.is_dir() { &below } else { &args.path })?;
    super::say(&format!(
        "{} segments, {} frames, {} commits, last offset {}, {} frames behind the last commit",
        report.segments, report.frames, report.commits, report.last, report.uncommitted
    ));
    match report.problem {
        None => {
            super::say("every checksum, number, tree and link fits");
            super::say(&format!("chain {}", report.chain.iter().map(|b| format!("{b:02x}")).collect::<String>()));
            Ok(ExitCode::SUCCESS)
        }
        Some((path, problem)) => {
            super::say(&format!("{}: {problem}", path.display()));
            Ok(ExitCode::FAILURE)
        }
    }
}
