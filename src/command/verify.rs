//! `mihari verify`: a journal checked off line, and the index beside it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use event::Time;
use event::hexadecimal;
use ingest::log::Proof;

use super::reindex::missing_of;

/// Arguments of `mihari verify`.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The journal's folder, or the service's data folder
    #[arg(required_unless_present = "proof")]
    path: Option<PathBuf>,
    /// Checks the proof of one record (`GET /events/{id}/proof`), for which no journal is needed
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

pub(crate) fn run(args: &Verify) -> Result<ExitCode> {
    let proof = args.proof.as_deref().map(read_proof).transpose()?;
    let proved = proof.as_ref().is_none_or(tell_proof);
    let Some(path) = &args.path else { return Ok(if proved { ExitCode::SUCCESS } else { ExitCode::FAILURE }) };
    anyhow::ensure!(
        !path.is_file(),
        "{} is a file: the journal's folder is needed, for its segments prove each other",
        path.display()
    );
    let below = path.join("journal");
    let journal = if below.is_dir() { &below } else { path };
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
    let missing = missing_of(&path.join("index"), true)?;
    missing.iter().for_each(|missing| super::say(&missing.to_string()));
    match report.problem {
        None => {
            super::say("every checksum, number, tree and link fits");
            super::say(&format!("chain {}", hexadecimal(&report.chain)));
            let same = match &proof {
                Some(proof) => is_of(journal, proof)?,
                None => true,
            };
            Ok(if missing.is_empty() && proved && same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some((path, problem)) => {
            super::say(&format!("{}: {problem}", path.display()));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn read_proof(path: &Path) -> Result<Proof> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no proof of a record", path.display()))
}

/// Tells what a proof proves; false where it does not.
fn tell_proof(proof: &Proof) -> bool {
    if let Some(problem) = proof.problem() {
        super::say(&format!("the proof of offset {} does not hold: {problem}", proof.offset));
        return false;
    }
    let (last, chain) = (proof.batches.last().map_or(0, |batch| batch.last), hexadecimal(&proof.chain));
    let kept = if proof.sealed { "with which the next segment begins" } else { "in the segment that was written to" };
    super::say(&format!(
        "offset {}: {} bytes lead to the chain value {chain} behind offset {last}, {kept}",
        proof.offset,
        proof.body.len()
    ));
    true
}

/// Whether the journal gives the same proof, as far as both go.
fn is_of(journal: &Path, proof: &Proof) -> Result<bool> {
    let own = ingest::log::prove(journal, proof.offset, u64::MAX)?;
    let same = own.is_some_and(|own| {
        own.body == proof.body
            && own.path == proof.path
            && own.before == proof.before
            && own.batches.iter().zip(&proof.batches).all(|(own, other)| own == other)
    });
    super::say(if same { "the proof is of this journal" } else { "the proof is not of this journal" });
    Ok(same)
}
