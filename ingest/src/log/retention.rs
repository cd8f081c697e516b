//! Dropping closed segments whose time has come, and saying so for good.
//!
//! Only the oldest segments go, whole ones, and only what every consumer has passed. Before a segment is removed, its tombstone is in the journal
//! (a record of its own kind, under the trees and links of all others) and in the file `tombstones`, where each line is linked to the one before
//! it; both are synced. Killed in between, the segment is removed at the next start. So [`super::verify`] proves what is left from the chain value
//! where the last removed segment ended, names what is gone, and finds a segment that is missing without a tombstone, or a tombstone that was
//! written into the file only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use event::{Content, FrameHead, Frames, TenantId, Time, Transport};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::LogError;
use super::format::{Hash, hex};
use super::journal::{Journal, sync_dir};
use super::segment::{Walker, files};

/// The name of the file.
const FILE: &str = "tombstones";

/// What is kept of a journal. Without a bound everything is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retention {
    /// How long a segment is kept after the last of its records was received, in nanoseconds.
    pub age_ns: Option<i64>,
    /// Bytes of all segments on the disk, beyond which the oldest go.
    pub bytes: Option<u64>,
}

/// Why a segment was removed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// It was older than what is kept.
    Age,
    /// There was more than what is kept.
    Bytes,
}

impl Reason {
    /// As tombstones and auditors are told.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Age => "age",
            Reason::Bytes => "bytes",
        }
    }
}

/// What is left of a removed segment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Tombstone {
    /// Its first offset, which names it.
    pub first: u64,
    /// Its last offset.
    pub last: u64,
    /// When it was begun, in nanoseconds since 1970.
    pub begun_ns: i64,
    /// When the next one was begun: nothing of it was received later.
    pub ended_ns: i64,
    /// The chain value of the last commit before it.
    #[serde(with = "hex::hash")]
    pub previous: Hash,
    /// The chain value of its last commit: over it and everything before it.
    #[serde(with = "hex::hash")]
    pub root: Hash,
    /// Which bound it was beyond.
    pub reason: Reason,
    /// That bound: nanoseconds or bytes.
    pub bound: u64,
    /// When it was removed, by the clock of then.
    pub removed_ns: i64,
    /// Over the tombstone before this one, and this one.
    #[serde(with = "hex::hash")]
    pub chain: Hash,
}

impl Tombstone {
    /// The link over `before` and what this one says.
    fn link(&self, before: &Hash) -> Hash {
        let mut hash = Sha256::new();
        hash.update(before);
        for n in [self.first, self.last, self.begun_ns as u64, self.ended_ns as u64, self.bound, self.removed_ns as u64] {
            hash.update(n.to_le_bytes());
        }
        hash.update(self.previous);
        hash.update(self.root);
        hash.update([self.reason as u8]);
        hash.finalize().into()
    }

    /// As a line, without its end.
    fn line(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain values are serialisable")
    }

    /// Reads a line, or the bytes of a record.
    pub(super) fn decode(bytes: &[u8]) -> Option<Tombstone> {
        serde_json::from_slice(bytes).ok()
    }

    /// What is wrong with this one behind `before`; none where it follows from it.
    pub(super) fn problem_behind(&self, before: Option<&Tombstone>) -> Option<&'static str> {
        let chain = before.map_or([0; 32], |before| before.chain);
        if self.chain != self.link(&chain) {
            Some("it does not fit its own link, or the tombstone before it")
        } else if self.first != before.map_or(1, |before| before.last + 1) || self.last < self.first {
            Some("it is not of the segment behind the one before it")
        } else if self.previous != before.map_or([0; 32], |before| before.root) {
            Some("its segment was not linked to the one before it")
        } else {
            None
        }
    }
}

/// What follows the tombstones in their file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rest {
    Nothing,
    /// Bytes that are no whole line: a write that was cut short, after which nothing was removed.
    Torn,
    /// A line that is no tombstone, and what is behind it.
    Bad,
}

/// The tombstones of a folder, as far as they can be read, and what follows them.
///
/// # Errors
/// Where the file cannot be read.
pub(super) fn tombstones(dir: &Path) -> Result<(Vec<Tombstone>, Rest), LogError> {
    let path = dir.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Rest::Nothing)),
        Err(error) => return Err(LogError::io("read", path)(error)),
    };
    let mut all = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        match line.strip_suffix(b"\n").map(Tombstone::decode) {
            Some(Some(tombstone)) => all.push(tombstone),
            Some(None) => return Ok((all, Rest::Bad)),
            None => return Ok((all, Rest::Torn)),
        }
    }
    Ok((all, Rest::Nothing))
}

/// Cuts what a write left that was cut short, and removes segments whose tombstones stand. Gives the last offset that was removed, or 0.
pub(super) fn finish(dir: &Path) -> Result<u64, LogError> {
    let (all, rest) = tombstones(dir)?;
    let path = dir.join(FILE);
    match rest {
        Rest::Nothing => {}
        Rest::Torn => {
            let bytes = std::fs::read(&path).map_err(LogError::io("read", &path))?;
            let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            let file = OpenOptions::new().write(true).open(&path).map_err(LogError::io("open", &path))?;
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(LogError::io("cut", &path))?;
        }
        // The start goes on; nothing more is removed until somebody has looked.
        Rest::Bad => tracing::error!(path = %path.display(), good = all.len(), "the tombstones of the journal are damaged"),
    }
    for tombstone in &all {
        remove(dir, tombstone.first)?;
    }
    Ok(all.last().map_or(0, |last| last.last))
}

/// Removes the files of a segment, whichever there are.
fn remove(dir: &Path, first: u64) -> Result<(), LogError> {
    let mut gone = false;
    for path in files(dir, first) {
        match std::fs::remove_file(&path) {
            Ok(()) => gone = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(LogError::io("remove", path)(error)),
        }
    }
    if gone { sync_dir(dir) } else { Ok(()) }
}

impl Journal {
    /// Removes closed segments beyond the bounds of `retention`, the oldest first, as far as every record of them is at or before `passed`: what
    /// every consumer has durably seen. Segments that are too old stay where `clock` is none, the time not being trusted; else it is the time
    /// now. Gives what was removed.
    ///
    /// # Errors
    /// Where the disk fails, or the journal is closed. What was removed until then is.
    pub fn trim(&self, retention: &Retention, passed: u64, clock: Option<Time>) -> Result<Vec<Tombstone>, LogError> {
        let dir = self.shared.dir.clone();
        let mut removed = Vec::new();
        let segments = self.shared.segments();
        let sizes: Vec<u64> = segments.iter().map(|first| size(&dir, *first)).collect();
        let mut bytes: u64 = sizes.iter().sum();
        let (mut last, rest) = tombstones(&dir)?;
        if rest != Rest::Nothing {
            let why = io::Error::new(io::ErrorKind::InvalidData, "what follows its last tombstone is none");
            return Err(LogError::io("add to", dir.join(FILE))(why));
        }
        let mut before = last.pop();
        for (pair, size) in segments.windows(2).zip(&sizes) {
            let [first, next] = [pair[0], pair[1]];
            if next - 1 > passed {
                break;
            }
            // A segment whose header cannot be read, or whose successor's, cannot be proved to have been what it was: it stays, as do those
            // behind it, until somebody looks.
            let (Some(head), Some(successor)) = (Walker::open(&dir, first)?.header()?, Walker::open(&dir, next)?.header()?)
            else {
                tracing::warn!(first, "a segment of the journal stays, since it or the next one is damaged");
                break;
            };
            let too_old = retention.age_ns.filter(|age| clock.is_some_and(|now| now.since_ns(successor.created) >= *age));
            let too_many = retention.bytes.filter(|bound| bytes > *bound);
            let (reason, bound) = match (too_old, too_many) {
                (Some(age_ns), _) => (Reason::Age, age_ns as u64),
                (None, Some(bound)) => (Reason::Bytes, bound),
                (None, None) => break,
            };
            if !self.shared.hold(first) {
                break; // It is being compressed: the next time.
            }
            let mut tombstone = Tombstone {
                first,
                last: next - 1,
                begun_ns: head.created.unix_ns(),
                ended_ns: successor.created.unix_ns(),
                previous: head.previous,
                root: successor.previous,
                reason,
                bound,
                removed_ns: self.now().unix_ns(),
                chain: [0; 32],
            };
            tombstone.chain = tombstone.link(&before.as_ref().map_or([0; 32], |before: &Tombstone| before.chain));
            let done = self.bury(&dir, &tombstone).and_then(|()| {
                self.shared.give_up(first, next - 1);
                remove(&dir, first)
            });
            self.shared.let_go(first);
            done?;
            bytes -= size;
            metrics::counter!("mihari_journal_segments_removed_total").increment(1);
            before = Some(tombstone.clone());
            removed.push(tombstone);
        }
        Ok(removed)
    }

    /// What is left of the segments that were removed, the oldest first.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn tombstones(&self) -> Result<Vec<Tombstone>, LogError> {
        Ok(tombstones(&self.shared.dir)?.0)
    }

    /// Writes a tombstone into the journal, then into the file.
    fn bury(&self, dir: &Path, tombstone: &Tombstone) -> Result<(), LogError> {
        let mut line = tombstone.line();
        let mut frames = Frames::default();
        frames.push(FrameHead { tenant: TenantId(0), ..FrameHead::new(Transport::Internal, Content::Tombstone) }, &line);
        self.appender().append_blocking(frames)?;
        self.sync()?;
        line.push(b'\n');
        let path = dir.join(FILE);
        let write = || -> io::Result<()> {
            let mut file = File::options().create(true).append(true).open(&path)?;
            file.write_all(&line)?;
            file.sync_all()
        };
        write().map_err(LogError::io("write", &path))?;
        sync_dir(dir)
    }
}

/// Bytes of a segment's files.
fn size(dir: &Path, first: u64) -> u64 {
    files(dir, first).iter().filter_map(|path| std::fs::metadata(path).ok()).map(|meta| meta.len()).sum()
}
