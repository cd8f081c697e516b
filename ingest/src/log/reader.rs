//! Reading: in order from an offset, or one frame by its position. Never beyond what is durable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{Frame, FrameHead, Frames, Position};

use super::LogError;
use super::format::{HEADER_BYTES, KIND_COMMIT, decode_record};
use super::journal::Shared;
use super::packed::{Blocks, Start, Table};
use super::segment::{Step, Walker};

/// Offsets that a damaged place has swallowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    /// The first missing offset.
    pub first: u64,
    /// The last missing offset.
    pub last: u64,
}

/// Reads frames in order.
pub struct Reader {
    shared: Arc<Shared>,
    next: u64,
    walker: Option<(u64, Walker)>,
    limit: u64,
    /// What could not be read so far, for whoever reports it.
    pub gaps: Vec<Gap>,
}

/// Gaps kept for the report; further ones are only counted in the metric.
const GAPS_MAX: usize = 1000;

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, next: u64) -> Reader {
        let next = next.max(shared.removed() + 1);
        Reader { shared, next, walker: None, limit: u64::MAX, gaps: Vec::new() }
    }

    /// The offset that is read next.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// Reads no further than `offset`, until told otherwise.
    pub fn limit(&mut self, offset: u64) {
        self.limit = offset;
    }

    /// Appends frames to `out` until it holds `bytes_max` bytes or everything durable was read; waits up to `wait` for the first.
    /// Commit frames are left out. Gives how many frames were appended.
    ///
    /// # Errors
    /// Where the disk fails. Damaged bytes are a [`Gap`].
    pub fn read(&mut self, out: &mut Frames, bytes_max: usize, wait: Duration) -> Result<usize, LogError> {
        if self.shared.durable() < self.next {
            self.shared.wait_beyond(self.next - 1, wait);
        }
        let durable = self.shared.durable().min(self.limit);
        let before = out.len();
        while self.next <= durable && out.byte_len() < bytes_max {
            if self.walker.is_none() && !self.enter()? {
                // No segment has it, nor anything behind it.
                self.pass(durable);
                break;
            }
            let Some((_, walker)) = &mut self.walker else { break };
            let place = walker.place;
            match walker.step()? {
                Step::Frame(_, head, _) if head.seq > durable => {
                    walker.place = place;
                    walker.forget();
                    // Frames follow each other: what should have come before this one is not there. Whoever reads up to a limit gets past it too.
                    self.pass(durable);
                    break;
                }
                Step::Frame(_, head, body) => {
                    if head.seq < self.next {
                        continue;
                    }
                    if head.seq > self.next {
                        let gap = Gap { first: self.next, last: head.seq - 1 };
                        note(&mut self.gaps, gap);
                    }
                    self.next = head.seq + 1;
                    if head.kind != KIND_COMMIT
                        && let Some((record, bytes)) = decode_record(0, &head, body)
                    {
                        out.push(record, bytes);
                    }
                }
                Step::End => {
                    // The buffer may be older than what the writer has written since.
                    walker.forget();
                    if !matches!(walker.step()?, Step::End) {
                        walker.place = place;
                        continue;
                    }
                    self.leave(durable);
                }
                Step::Damage => {
                    walker.forget();
                    if !matches!(walker.step()?, Step::Damage) {
                        walker.place = place;
                        continue;
                    }
                    if !walker.resync(self.next - 1)? {
                        self.leave(durable);
                    }
                }
            }
        }
        Ok(out.len() - before)
    }

    /// Opens the segment that holds the next offset.
    fn enter(&mut self) -> Result<bool, LogError> {
        // What retention has removed meanwhile is no gap.
        self.next = self.next.max(self.shared.removed() + 1);
        let Some(first) = self.shared.segment_of(self.next).or_else(|| self.shared.segment_after(self.next)) else {
            return Ok(false);
        };
        self.walker = Some((first, Walker::open(&self.shared.dir, first)?));
        Ok(true)
    }

    /// What is left up to `last` is a gap.
    fn pass(&mut self, last: u64) {
        if self.next <= last {
            note(&mut self.gaps, Gap { first: self.next, last });
            self.next = last + 1;
        }
    }

    /// At the end of a segment that should hold more: what is missing is a gap up to the next segment, or to the end.
    fn leave(&mut self, durable: u64) {
        let Some((first, _)) = self.walker.take() else { return };
        let next = self.shared.segment_after(first).unwrap_or(durable + 1);
        self.pass(next - 1);
    }
}

fn note(gaps: &mut Vec<Gap>, gap: Gap) {
    metrics::counter!("mihari_journal_gap_offsets_total").increment(gap.last - gap.first + 1);
    tracing::error!(first = gap.first, last = gap.last, "part of the journal cannot be read");
    if gaps.len() < GAPS_MAX {
        gaps.push(gap);
    }
}

/// One frame with its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// What the receiver knew.
    pub head: FrameHead,
    /// The bytes as received.
    pub bytes: Vec<u8>,
}

impl Fetched {
    /// As a borrowed frame.
    pub fn frame(&self) -> Frame<'_> {
        Frame { head: self.head, bytes: &self.bytes }
    }
}

/// Bytes of a segment between two entries of its index.
const INDEX_STRIDE_BYTES: u64 = 64 * 1024;
/// Segments whose index is kept; one of 128 MiB takes 32 KiB, and one file descriptor where it is compressed.
const INDEXES_MAX: usize = 256;

/// Finds single frames, by a sparse index of each segment: made on first use, or that of a compressed segment.
pub(super) struct Fetcher {
    shared: Arc<Shared>,
    indexes: Mutex<HashMap<u64, Index>>,
    blocks: Arc<Blocks>,
}

#[derive(Clone)]
enum Index {
    /// Every so often an offset and its place, as far as the segment was read.
    Sparse(Vec<Start>),
    Packed(Arc<Table>),
}

impl Fetcher {
    pub(super) fn new(shared: Arc<Shared>) -> Fetcher {
        Fetcher { shared, indexes: Mutex::new(HashMap::new()), blocks: Arc::default() }
    }

    pub(super) fn fetch(&self, position: Position) -> Result<Option<Fetched>, LogError> {
        let offset = position.offset;
        if offset == 0 || position.partition != 0 || offset > self.shared.durable() {
            return Ok(None);
        }
        let Some(first) = self.shared.segment_of(offset) else { return Ok(None) };
        let known = self.indexes.lock().expect("no code panics under this lock").get(&first).cloned();
        let (mut walker, known) = match known {
            Some(Index::Packed(table)) => (Walker::packed(table, Some(self.blocks.clone()), first), None),
            known => match Walker::open(&self.shared.dir, first) {
                Ok(walker) => (walker, known),
                Err(_) if offset <= self.shared.removed() => return Ok(None), // Just now.
                Err(error) => return Err(error),
            },
        };
        if let Some(table) = walker.table().cloned() {
            walker.place = table.start_of(offset);
            self.keep(first, Index::Packed(table));
            return find(&mut walker, first, offset, |_| {});
        }
        let mut entries = match known {
            Some(Index::Sparse(entries)) => entries,
            _ => Vec::new(),
        };
        let (after, before) = (entries.partition_point(|start| start.seq <= offset), entries.len());
        walker.place = after.checked_sub(1).map_or(HEADER_BYTES as u64, |at| entries[at].place);
        let found = find(&mut walker, first, offset, |start| {
            if start.place >= entries.last().map_or(0, |last| last.place) + INDEX_STRIDE_BYTES {
                entries.push(start);
            }
        })?;
        if entries.len() > before {
            self.keep(first, Index::Sparse(entries));
        }
        Ok(found)
    }

    /// As [`Fetcher::fetch`], of many offsets, ascending: a segment is gone through once, and of a compressed one only the blocks that hold some of
    /// them are read. Those that are not there are left out.
    pub(super) fn fetch_all(&self, offsets: &[u64], mut each: impl FnMut(&Fetched)) -> Result<(), LogError> {
        // What becomes durable meanwhile may not be in what was read of a segment ahead.
        let durable = self.shared.durable();
        let mut last: Option<(u64, Walker)> = None;
        for offset in offsets.iter().copied().filter(|offset| *offset <= durable) {
            let Some(first) = self.shared.segment_of(offset) else { continue };
            let known = last.take().filter(|(of, _)| *of == first).map(|(_, walker)| walker);
            let mut walker = match known {
                Some(walker) => walker,
                None => {
                    let index = self.indexes.lock().expect("no code panics under this lock").get(&first).cloned();
                    match index {
                        Some(Index::Packed(table)) => Walker::packed(table, Some(self.blocks.clone()), first),
                        Some(Index::Sparse(_)) => Walker::open(&self.shared.dir, first)?,
                        _ => {
                            // Opens it, and keeps its table where it is compressed, and else how far it was read.
                            self.fetch(Position { partition: 0, offset })?.iter().for_each(&mut each);
                            continue;
                        }
                    }
                }
            };
            let start = match walker.table() {
                Some(table) => table.start_of(offset),
                None => self.known_start(first, offset),
            };
            walker.place = walker.place.max(start);
            if let Some(found) = find(&mut walker, first, offset, |_| {})? {
                each(&found);
                last = Some((first, walker));
            }
        }
        Ok(())
    }

    /// The last place that is known at or before the frame at `offset` in a segment as it was written.
    fn known_start(&self, first: u64, offset: u64) -> u64 {
        let indexes = self.indexes.lock().expect("no code panics under this lock");
        let Some(Index::Sparse(entries)) = indexes.get(&first) else { return 0 };
        let after = entries.partition_point(|start| start.seq <= offset);
        after.checked_sub(1).map_or(0, |at| entries[at].place)
    }

    fn keep(&self, first: u64, index: Index) {
        let mut indexes = self.indexes.lock().expect("no code panics under this lock");
        if indexes.len() >= INDEXES_MAX && !indexes.contains_key(&first) {
            indexes.clear(); // Rare, and cheap to make again.
        }
        indexes.insert(first, index);
    }
}

/// Walks on to the frame at `offset`; tells `passed` of every frame on the way.
fn find(walker: &mut Walker, first: u64, offset: u64, mut passed: impl FnMut(Start)) -> Result<Option<Fetched>, LogError> {
    let mut seen = first - 1;
    loop {
        match walker.step()? {
            Step::Frame(place, head, body) => {
                seen = head.seq;
                passed(Start { seq: head.seq, place });
                if head.seq < offset {
                    continue;
                }
                let record = if head.seq == offset { decode_record(0, &head, body) } else { None };
                return Ok(record.map(|(head, bytes)| Fetched { head, bytes: bytes.to_vec() }));
            }
            Step::End => return Ok(None),
            Step::Damage => {
                if !walker.resync(seen)? {
                    return Ok(None);
                }
            }
        }
    }
}
