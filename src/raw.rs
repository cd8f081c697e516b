//! The log as searches see it: a record by its position, or what is left of it.

use std::io;
use std::sync::{Arc, Mutex};

use event::{FrameHead, Position, Release, Time};
use index::{RawSource, Removed};
use ingest::log::{Journal, Tombstone};
use tracing::warn;

/// The journal, read record by record.
pub(crate) struct JournalRaw {
    journal: Arc<Journal>,
    /// What is left of what was removed, as of the last offset that was.
    tombstones: Mutex<(u64, Arc<Vec<Tombstone>>)>,
}

impl JournalRaw {
    pub(crate) fn new(journal: Arc<Journal>) -> JournalRaw {
        JournalRaw { journal, tombstones: Mutex::default() }
    }

    fn tombstones(&self) -> Arc<Vec<Tombstone>> {
        let removed = self.journal.removed();
        let mut known = self.tombstones.lock().expect("no code panics under this lock");
        if known.0 != removed {
            match self.journal.tombstones() {
                Ok(all) => *known = (removed, Arc::new(all)),
                Err(error) => warn!(%error, "failed to read the tombstones of the journal"),
            }
        }
        known.1.clone()
    }
}

impl RawSource for JournalRaw {
    fn raw(&self, position: Position) -> io::Result<Option<(FrameHead, Vec<u8>)>> {
        match self.journal.fetch(position) {
            // A released record is shown as it was received, not as it is kept.
            Ok(found) => Ok(found.map(|f| match Release::decode(f.frame()) {
                Some(release) => (FrameHead { position, ..release.frame.head }, release.frame.bytes.to_vec()),
                None => (f.head, f.bytes),
            })),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn proof(&self, position: Position) -> io::Result<Option<String>> {
        let proof = self.journal.prove(position.offset).map_err(io::Error::other)?;
        Ok(proof.map(|proof| serde_json::to_string(&proof)).transpose()?)
    }

    fn removed(&self, position: Position) -> Option<Removed> {
        let offset = position.offset;
        if offset > self.journal.removed() {
            return None; // It is there, or damaged.
        }
        let all = self.tombstones();
        let of = all.get(all.partition_point(|one| one.last < offset)).filter(|one| one.first <= offset)?;
        Some(Removed {
            first: of.first,
            last: of.last,
            rule: of.reason.word(),
            bound: of.bound,
            at: Time::from_unix_ns(of.removed_ns),
            root: event::hexadecimal(&of.root),
        })
    }
}
