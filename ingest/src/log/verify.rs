//! Checking a journal off line: every checksum, number, tree and link.

use std::path::{Path, PathBuf};

use event::Content;

use super::LogError;
use super::format::{Commit, Hash, KIND_COMMIT, decode_record, leaf};
use super::retention::{Rest, Tombstone, tombstones};
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
    /// What retention has removed, in order.
    pub removed: Vec<Tombstone>,
    /// The first thing that is wrong: where, and what.
    pub problem: Option<(PathBuf, String)>,
}

/// Checks the journal in `dir`, up to the first thing that is wrong. The last segment may end in frames without a commit.
///
/// # Errors
/// Where files cannot be read.
pub fn verify(dir: &Path) -> Result<Report, LogError> {
    let (removed, rest) = tombstones(dir)?;
    let mut report = Report { removed: removed.clone(), ..Report::default() };
    if rest == Rest::Bad {
        let what = "behind the tombstones of what retention removed stands a line that is none";
        report.problem = Some((dir.to_owned(), what.to_owned()));
        return Ok(report);
    }
    let mut before = None;
    for tombstone in &removed {
        if let Some(problem) = tombstone.problem_behind(before) {
            report.problem =
                Some((dir.to_owned(), format!("the tombstone of offsets {} to {}: {problem}", tombstone.first, tombstone.last)));
            return Ok(report);
        }
        before = Some(tombstone);
    }
    // What is left begins where the last removed segment ended.
    let (mut chain, mut expected) = match before {
        Some(last) => (Some(last.root), Some(last.last + 1)),
        None => (None, Some(1)),
    };
    let mut buried = Vec::new();
    // A segment whose tombstone stands is removed at the next start.
    for first in list(dir)?.into_iter().filter(|first| before.is_none_or(|last| *first > last.last)) {
        report.segments += 1;
        let mut walker = Walker::open(dir, first)?;
        if let Some(problem) = verify_segment(first, &mut walker, &mut chain, &mut expected, &mut buried, &mut report)? {
            report.problem = Some((walker.path().to_owned(), problem));
            break;
        }
    }
    if report.problem.is_none()
        && let Some(problem) = unburied(&report.removed, &buried)
    {
        report.problem = Some((dir.to_owned(), problem));
    }
    report.chain = chain.unwrap_or_default();
    Ok(report)
}

/// The tombstones of the file stand in the journal too, as far back as it reaches; that of a segment which is not removed yet may stand in the
/// journal only, and more than once.
fn unburied(removed: &[Tombstone], buried: &[Tombstone]) -> Option<String> {
    let oldest = buried.iter().map(|tombstone| tombstone.first).min();
    let missing = removed.iter().rev().find(|tombstone| {
        // The newest of all always does: the segment that it was written to is never the oldest one.
        let reached =
            oldest.map_or(Some(tombstone.first) == removed.last().map(|last| last.first), |oldest| tombstone.first >= oldest);
        reached && !buried.contains(tombstone)
    })?;
    Some(format!("the tombstone of offsets {} to {} is not in the journal", missing.first, missing.last))
}

fn verify_segment(
    first: u64,
    walker: &mut Walker,
    chain: &mut Option<Hash>,
    expected: &mut Option<u64>,
    buried: &mut Vec<Tombstone>,
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
                    if frame.kind == Content::Tombstone as u8
                        && let Some((_, bytes)) = decode_record(0, &frame, body)
                    {
                        buried.extend(Tombstone::decode(bytes));
                    }
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
