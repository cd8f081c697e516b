//! That one record is in the journal, for whoever has none of it but a chain value.
//!
//! ```text
//!  record ─ leaf ─ path ─▶ root of its batch ─▶ chain value behind it ─ a link a batch ─▶ chain value at the end of its segment
//! ```
//!
//! The last value is what the header of the next segment says, what a tombstone keeps of a segment that retention has removed, and, of the last
//! segment, what `mihari verify` prints: whoever has kept one of them elsewhere has it proved that this record, and no other, stood at its place.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LogError;
use super::format::{Commit, Hash, KIND_COMMIT, hex, leaf, merkle_path, root_by_path};
use super::segment::{Step, Walker, list};

/// Links of one proof: the batches of a segment that was written for an hour, one each 14 ms. Where there are more it ends earlier, at a chain
/// value that `mihari verify` does not print.
const LINKS_MAX: usize = 1 << 18;

/// What proves one record.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Its log offset.
    pub offset: u64,
    /// Its frame's body, in hexadecimal: when and from whom it was received, and its bytes (`docs/decisions/0002-journal.md`).
    #[serde(with = "hex")]
    pub body: Vec<u8>,
    /// The hashes beside the way from it to the root of its batch, the nearest first (RFC 6962 §2.1.1).
    #[serde(with = "hex::list")]
    pub path: Vec<Hash>,
    /// The chain value before its batch.
    #[serde(with = "hex::hash")]
    pub before: Hash,
    /// Its batch, then each batch behind it up to the end of its segment.
    pub batches: Vec<Link>,
    /// The chain value behind the last of them.
    #[serde(with = "hex::hash")]
    pub chain: Hash,
    /// Whether the next segment of the journal begins with that value.
    pub sealed: bool,
}

/// What a batch adds to the chain.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The first offset of the batch.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The root of its tree.
    #[serde(with = "hex::hash")]
    pub root: Hash,
}

/// The proof of the record at `offset` in the journal in `dir`, of which nothing behind the offset `durable` is looked at. None where it is not
/// there: never written, removed, or damaged.
///
/// # Errors
/// Where files cannot be read.
pub fn prove(dir: &Path, offset: u64, durable: u64) -> Result<Option<Proof>, LogError> {
    let segments = list(dir)?;
    let at = segments.partition_point(|first| *first <= offset);
    let Some(first) = at.checked_sub(1).and_then(|at| segments.get(at)) else { return Ok(None) };
    let mut walker = Walker::open(dir, *first)?;
    let Some(head) = walker.header()? else { return Ok(None) };
    let (mut previous, mut leaves, mut body) = (head.previous, Vec::new(), None);
    let mut proof: Option<Proof> = None;
    while let Step::Frame(_, frame, bytes) = walker.step()? {
        if frame.seq > durable || proof.as_ref().is_some_and(|proof| proof.batches.len() >= LINKS_MAX) {
            break;
        }
        if frame.kind != KIND_COMMIT {
            if proof.is_none() {
                leaves.push(leaf(bytes));
                if frame.seq == offset {
                    body = Some(bytes.to_vec());
                }
            }
            continue;
        }
        let Some(commit) = Commit::decode(bytes) else { break };
        let link = Link { first: commit.first, last: commit.last, root: commit.root };
        match (&mut proof, body.take()) {
            (Some(proof), _) => {
                proof.batches.push(link);
                proof.chain = commit.chain;
            }
            (None, Some(body)) => {
                let path = merkle_path(&leaves, (offset - commit.first) as usize);
                let (batches, chain) = (vec![link], commit.chain);
                proof = Some(Proof { offset, body, path, before: previous, batches, chain, sealed: false });
            }
            (None, None) => {}
        }
        leaves.clear();
        previous = commit.chain;
    }
    if let (Some(proof), Some(next)) = (&mut proof, segments.get(at)) {
        proof.sealed = Walker::open(dir, *next)?.header()?.is_some_and(|head| head.previous == proof.chain);
    }
    Ok(proof.filter(|proof| proof.problem().is_none()))
}

impl Proof {
    /// What does not fit in it; none where the chain value proves the record.
    pub fn problem(&self) -> Option<&'static str> {
        let Some(batch) = self.batches.first() else { return Some("it has no batch") };
        if !(batch.first..=batch.last).contains(&self.offset) {
            return Some("the record is not in the batch");
        }
        let (index, count) = (self.offset - batch.first, (batch.last - batch.first).saturating_add(1));
        if root_by_path(leaf(&self.body), index, count, &self.path) != Some(batch.root) {
            return Some("the record does not lead to the root of its batch");
        }
        let mut chain = self.before;
        let mut last = batch.first;
        for link in &self.batches {
            if link.first < last || link.last < link.first {
                return Some("the batches are not in order");
            }
            chain = Commit::linked(&chain, &link.root, link.first, link.last);
            last = link.last;
        }
        (chain != self.chain).then_some("the batches do not lead to the chain value")
    }
}
