//! Checking a journal off line: every checksum, number, tree and link.

use std::path::{Path, PathBuf};

use super::LogError;
use super::format::{Commit, Hash, KIND_COMMIT, leaf};
use super::segment::{Step, Walker, list};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Segment files read.
    pub segments: u64,
    /// Frames with a fitting checksum, commit frames left out.
    pub frames: u64,
    /// Commits whose tree and link fit.
    pub commits: u64,
    /// The last offset that is committed.
    pub last: u64,
    /// Frames behind the last commit: written, never acknowledged.
    pub uncommitted: u64,
    /// The chain value of the last commit: over every record before it. The same whether segments are compressed or not.
    pub chain: Hash,
    /// The first thing that is wrong: where, and what.
    pub problem: Option<(PathBuf, String)>,
}

/// Checks the journal in `dir`, up to the first thing that is wrong. The last segment may end in frames without a commit.
///
/// # Errors
/// Where files cannot be read.
pub fn verify(dir: &Path) -> Result<Report, LogError> {
    let mut report = Report::default();
    let mut chain: Option<Hash> = None;
    let mut expected = None;
    for first in list(dir)? {
        report.segments += 1;
        let mut walker = Walker::open(dir, first)?;
        if let Some(problem) = verify_segment(first, &mut walker, &mut chain, &mut expected, &mut report)? {
            report.problem = Some((walker.path().to_owned(), problem));
            break;
        }
    }
    report.chain = chain.unwrap_or_default();
    Ok(report)
}

fn verify_segment(
    first: u64,
    walker: &mut Walker,
    chain: &mut Option<Hash>,
    expected: &mut Option<u64>,
    report: &mut Report,
) -> Result<Option<String>, LogError> {
    let Some(head) = walker.header()? else { return Ok(Some("the segment's header is damaged".to_owned())) };
    if head.first_offset != first {
        return Ok(Some(format!("the header says it begins at {}, its name says {first}", head.first_offset)));
    }
    if chain.is_some_and(|chain| chain != head.previous) {
        return Ok(Some("the segment is not linked to the one before it".to_owned()));
    }
    if expected.is_some_and(|expected| expected != first) {
        return Ok(Some(format!("offsets {} to {} are missing before it", expected.unwrap_or(0), first - 1)));
    }
    let mut previous = head.previous;
    let mut next = first;
    let mut leaves = Vec::new();
    let mut batch_first = first;
    loop {
        match walker.step()? {
            Step::End => break,
            Step::Damage => return Ok(Some(format!("byte {} is no frame; offset {next} was expected there", walker.place))),
            Step::Frame(place, frame, body) => {
                if frame.seq != next {
                    return Ok(Some(format!("byte {place} has offset {}, {next} was expected", frame.seq)));
                }
                next += 1;
                if frame.kind != KIND_COMMIT {
                    leaves.push(leaf(body));
                    continue;
                }
                let Some(commit) = Commit::decode(body) else {
                    return Ok(Some(format!("offset {} is no whole commit frame", frame.seq)));
                };
                if commit != Commit::new(&previous, batch_first, frame.seq - 1, &leaves) {
                    return Ok(Some(format!("the commit at offset {} does not fit its records", frame.seq)));
                }
                report.frames += leaves.len() as u64;
                report.commits += 1;
                report.last = frame.seq;
                leaves.clear();
                batch_first = next;
                previous = commit.chain;
            }
        }
    }
    if let Some(table) = walker.table() {
        // The records are all there; what else was changed would pass unseen.
        if let Some(problem) = table.problem().map_err(LogError::io("read", walker.path()))? {
            return Ok(Some(problem));
        }
    }
    report.uncommitted = leaves.len() as u64;
    *chain = Some(previous);
    *expected = Some(batch_first);
    Ok(None)
}
