//! Matches that wait until the watermark has passed them.
//!
//! They lie in buckets by time, unordered and with their bytes in one buffer a bucket, and are sorted when the watermark comes to them:
//! an ordered structure would cost a search, and an allocation, a match.

use std::collections::{BTreeMap, BinaryHeap};

use event::EventId;

/// Nanoseconds of a bucket (67 ms): small beside any lateness, large enough that a busy one holds thousands.
const BUCKET_BITS: u32 = 26;
/// Empty buckets that are kept for their memory.
const SPARE_MAX: usize = 8;

/// A part of a bucket's bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.start as usize + self.len as usize]
    }
}

/// A match on its way to a window. Ordered by time and event, then the rules from the inside out.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Waiting {
    pub(super) time: i64,
    pub(super) event: EventId,
    /// How deep the correlations lie that feed this one.
    pub(super) rank: u32,
    /// The correlation.
    pub(super) rule: u32,
    /// Which of its rules matched.
    pub(super) place: u16,
    pub(super) tenant: u32,
    pub(super) key: Span,
    pub(super) value: Span,
    pub(super) fields: Span,
}

impl Waiting {
    /// The bytes that it refers to. Fields that it shares with others of its event count for each.
    pub(super) fn byte_len(&self) -> usize {
        (self.key.len + self.value.len + self.fields.len) as usize
    }
}

/// Matches of a short time, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    matches: Vec<Waiting>,
    pub(super) bytes: Vec<u8>,
    earliest: i64,
}

impl Bucket {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.earliest = if self.matches.is_empty() { waiting.time } else { self.earliest.min(waiting.time) };
        self.matches.push(waiting);
    }
}

/// Matches whose time has come, in their order, with the bytes that they refer to.
#[derive(Debug)]
pub(super) struct Due {
    number: i64,
    pub(super) matches: Vec<Waiting>,
    pub(super) bytes: Vec<u8>,
}

/// A window that is decided when it ends.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Ending {
    /// The last instant of the window.
    pub(super) end: i64,
    /// The event that would have satisfied the correlation.
    pub(super) event: EventId,
    pub(super) rank: u32,
    pub(super) rule: u32,
    pub(super) tenant: u32,
    /// The first instant of the window.
    pub(super) start: i64,
    pub(super) key: Box<[u8]>,
    pub(super) fields: Box<[u8]>,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    buckets: BTreeMap<i64, Bucket>,
    endings: BinaryHeap<std::cmp::Reverse<Ending>>,
    spare: Vec<Bucket>,
}

impl Queue {
    /// The bucket of matches at `time`.
    pub(super) fn bucket(&mut self, time: i64) -> &mut Bucket {
        self.buckets.entry(time >> BUCKET_BITS).or_insert_with(|| self.spare.pop().unwrap_or_default())
    }

    pub(super) fn push_ending(&mut self, ending: Ending) {
        self.endings.push(std::cmp::Reverse(ending));
    }

    /// Takes the matches of the earliest bucket that stand before `watermark`; [`Queue::done`] ends that. None where no bucket has any.
    pub(super) fn take(&mut self, watermark: i64) -> Option<Due> {
        let mut entry = self.buckets.first_entry()?;
        let number = *entry.key();
        if entry.get().earliest >= watermark {
            return None;
        }
        let last = (number << BUCKET_BITS) | ((1 << BUCKET_BITS) - 1);
        let mut due = if last < watermark {
            let bucket = entry.remove();
            Due { number, matches: bucket.matches, bytes: bucket.bytes }
        } else {
            let bucket = entry.get_mut();
            let matches = bucket.matches.extract_if(.., |m| m.time < watermark).collect();
            bucket.earliest = bucket.matches.iter().map(|m| m.time).min().unwrap_or(i64::MAX);
            // Those that stay need the bytes too: they come back when these are done.
            Due { number, matches, bytes: std::mem::take(&mut bucket.bytes) }
        };
        due.matches.sort_unstable();
        Some(due)
    }

    /// What was taken has been dealt with; nothing has been added to its bucket meanwhile.
    pub(super) fn done(&mut self, due: Due) {
        let Due { number, mut matches, mut bytes } = due;
        match self.buckets.get_mut(&number) {
            Some(bucket) if !bucket.matches.is_empty() => bucket.bytes = bytes,
            other => {
                if other.is_some() {
                    self.buckets.remove(&number);
                }
                if self.spare.len() < SPARE_MAX {
                    matches.clear();
                    bytes.clear();
                    self.spare.push(Bucket { matches, bytes, earliest: 0 });
                }
            }
        }
    }

    /// Takes the earliest window that ends before `before`.
    pub(super) fn take_ending(&mut self, before: i64) -> Option<Ending> {
        if self.endings.peek()?.0.end < before { self.endings.pop().map(|e| e.0) } else { None }
    }

    /// Gives rules other numbers and ranks; what waits for a rule that has none is dropped.
    pub(super) fn renumber(&mut self, number: impl Fn(u32) -> Option<(u32, u32)>) {
        self.buckets.retain(|_, bucket| {
            bucket.matches.retain_mut(|waiting| {
                let number = number(waiting.rule);
                (waiting.rule, waiting.rank) = number.unwrap_or_default();
                number.is_some()
            });
            bucket.earliest = bucket.matches.iter().map(|m| m.time).min().unwrap_or(i64::MAX);
            !bucket.matches.is_empty()
        });
        let endings = std::mem::take(&mut self.endings).into_iter().filter_map(|std::cmp::Reverse(mut ending)| {
            (ending.rule, ending.rank) = number(ending.rule)?;
            Some(std::cmp::Reverse(ending))
        });
        self.endings = endings.collect();
    }

    /// Everything that waits, for a snapshot: matches with the bytes that they refer to, and windows.
    pub(super) fn all(&self) -> (impl Iterator<Item = (&Waiting, &[u8])>, impl ExactSizeIterator<Item = &Ending>) {
        let matches = self.buckets.values().flat_map(|bucket| bucket.matches.iter().map(|m| (m, &bucket.bytes[..])));
        (matches, self.endings.iter().map(|e| &e.0))
    }
}
