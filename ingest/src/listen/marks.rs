//! How far an outside source was read, kept with the journal: a source that is read by offsets (Kafka, a file that is followed) says in the same
//! append how far its records go, so that after a crash both are there or neither, and what it gives once more is known.
//!
//! The marks of a source are frames of the journal, so finding the newest means reading. A small file beside the journal has them as of a place in
//! it; only what lies behind that place is read at a start. Without the file nothing was read before.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use event::limits::BATCH_BYTES_MAX;
use event::{Content, FrameHead, Frames, TenantId, Transport};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::log::{Journal, LogError};

/// Parts of one source (partitions, files); beyond, a start would take long.
const MARKS_MAX: usize = 100_000;

/// How far one part of a source was read.
pub trait Mark: Clone + DeserializeOwned + Serialize {
    /// What tells the part from the others of its source.
    type Part: Clone + Debug + Ord;

    /// The part that was read.
    fn part(&self) -> Self::Part;
}

/// How far a partition of a topic was read.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PartitionMark {
    topic: String,
    partition: i32,
    next: i64,
}

impl Mark for PartitionMark {
    type Part = (String, i32);

    fn part(&self) -> (String, i32) {
        (self.topic.clone(), self.partition)
    }
}

/// One mark as the journal has it.
#[derive(Debug, Deserialize, Serialize)]
struct Written<M> {
    source: String,
    #[serde(flatten)]
    mark: M,
}

/// The file.
#[derive(Debug, Deserialize, Serialize)]
struct Saved<M> {
    journal: u64,
    next: Vec<M>,
}

/// How far each part of a source was read.
#[derive(Clone, Debug)]
pub struct Marks<M: Mark = PartitionMark> {
    path: PathBuf,
    source: String,
    next: BTreeMap<M::Part, M>,
    /// The place in the journal that the file is of.
    saved: u64,
}

impl<M: Mark> Marks<M> {
    /// The marks of `source`, with the file at `path`.
    ///
    /// # Errors
    /// Where the file or the journal cannot be read.
    pub fn open(path: &Path, source: &str, journal: &Journal) -> Result<Marks<M>, LogError> {
        let saved: Saved<M> = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| LogError::io("read", path)(e.into()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Saved { journal: journal.durable(), next: Vec::new() },
            Err(error) => return Err(LogError::io("read", path)(error)),
        };
        let next = saved.next.into_iter().map(|mark| (mark.part(), mark)).collect();
        let mut marks = Marks { path: path.to_owned(), source: source.to_owned(), next, saved: saved.journal };
        // Where the end of the journal was lost, what comes now begins behind its end.
        let mut reader = journal.reader(saved.journal.min(journal.durable()) + 1);
        let mut frames = Frames::default();
        while reader.next_offset() <= journal.durable() {
            frames.clear();
            reader.read(&mut frames, BATCH_BYTES_MAX, Duration::ZERO)?;
            for frame in frames.iter().filter(|frame| frame.head.content == Content::Mark) {
                if let Ok(Written { source, mark }) = serde_json::from_slice::<Written<M>>(frame.bytes)
                    && source == marks.source
                {
                    marks.keep(mark);
                }
            }
        }
        marks.save(journal.durable())?;
        Ok(marks)
    }

    /// The mark of a part; none where nothing was read of it.
    pub fn get(&self, part: &M::Part) -> Option<&M> {
        self.next.get(part)
    }

    /// This is how far its part was read.
    pub fn keep(&mut self, mark: M) {
        let part = mark.part();
        if self.next.len() < MARKS_MAX || self.next.contains_key(&part) {
            self.next.insert(part, mark);
        }
    }

    /// Adds to `frames` that the records before go as far as `mark` says: to be appended with them.
    pub fn append(&self, frames: &mut Frames, tenant: TenantId, transport: Transport, mark: &M) {
        let written = Written { source: self.source.clone(), mark: mark.clone() };
        let bytes = serde_json::to_vec(&written).expect("plain values are serialisable");
        frames.push(FrameHead { tenant, ..FrameHead::new(transport, Content::Mark) }, &bytes);
    }

    /// How many offsets of the journal lie behind what the file says, where `journal` is the last: what a start would read.
    pub fn unsaved(&self, journal: u64) -> u64 {
        journal.saturating_sub(self.saved)
    }

    /// Writes the file: these are the marks that the journal has up to `journal`.
    ///
    /// # Errors
    /// Where it cannot be written; the one before stands then, and more is read at the next start.
    pub fn save(&mut self, journal: u64) -> Result<(), LogError> {
        let saved = Saved { journal, next: self.next.values().cloned().collect() };
        let bytes = serde_json::to_vec(&saved).expect("plain values are serialisable");
        let new = self.path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            match self.path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
                _ => Ok(()),
            }
        };
        write().map_err(LogError::io("write", &self.path))?;
        self.saved = journal;
        Ok(())
    }
}

impl Marks {
    /// The offset that is read next of a partition; none where nothing was read of it.
    pub fn next(&self, topic: &str, partition: i32) -> Option<i64> {
        // The key is made anew for the question; a partition is asked about once a message, and messages cost more.
        self.get(&(topic.to_owned(), partition)).map(|mark| mark.next)
    }

    /// Everything before `next` was read.
    pub fn set(&mut self, topic: &str, partition: i32, next: i64) {
        self.keep(PartitionMark { topic: topic.to_owned(), partition, next });
    }

    /// Adds to `frames` that the records before go up to `next`: to be appended with them.
    pub fn write(&self, frames: &mut Frames, tenant: TenantId, topic: &str, partition: i32, next: i64) {
        self.append(frames, tenant, Transport::Kafka, &PartitionMark { topic: topic.to_owned(), partition, next });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::{Clock, Time};

    use super::*;
    use crate::log::JournalOptions;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Time {
            Time::from_unix_s(1_000_000)
        }
    }

    #[test]
    fn marks_are_found_again_from_the_file_and_from_what_lies_behind_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, folder) = (dir.path().join("kafka-a.json"), dir.path().join("journal"));
        let open = || Journal::open(&folder, JournalOptions::default(), Arc::new(Still)).expect("opens").0;
        let append = |journal: &Journal, marks: &Marks, next| {
            let mut frames = Frames::default();
            frames.push(FrameHead::new(Transport::Kafka, Content::Text), b"a record");
            marks.write(&mut frames, TenantId(0), "logs", 3, next);
            journal.appender().append_blocking(frames).expect("appended");
            journal.sync().expect("synced");
        };
        {
            let journal = open();
            // As an earlier version wrote it: a mark was a list.
            std::fs::write(&path, r#"{"journal":0,"next":[["logs",9,4]]}"#).expect("written");
            let marks = Marks::open(&path, "a", &journal).expect("none yet");
            assert_eq!(marks.next("logs", 9), Some(4));
            assert_eq!(marks.next("logs", 3), None);
            append(&journal, &marks, 7);
            append(&journal, &Marks::open(&dir.path().join("other.json"), "b", &journal).expect("another"), 99);
        }
        {
            // The file knows nothing of the append.
            let journal = open();
            let mut marks = Marks::open(&path, "a", &journal).expect("found");
            assert_eq!((marks.next("logs", 3), marks.next("logs", 4)), (Some(7), None));
            marks.set("logs", 4, 1);
            marks.save(journal.durable()).expect("saved");
            append(&journal, &marks, 8);
        }
        let marks = Marks::open(&path, "a", &open()).expect("found");
        assert_eq!((marks.next("logs", 3), marks.next("logs", 4)), (Some(8), Some(1)));
    }
}
