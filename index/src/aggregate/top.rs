//! The most frequent values of a field: counted by code, and only what can be among the first becomes a value.
//!
//! A value that belongs to the first `k` of all segments together has, in one segment at least, the `k`-th sum divided by the number of
//! segments. So the first `k` of each segment are summed up exactly, which bounds that sum from below; what reaches the bound's share
//! anywhere is summed up too; and no other value can be among the first (the three phases of TPUT, Cao and Wang 2004). Where nearly every
//! value reaches the share, all are turned into values instead.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;

use tantivy::DocId;

use super::tally::Counted;
use crate::codes::{Codes, Key};

/// Codes with their counts that all segments may have together: 64 MiB. Beyond, the rarest go, and what is told says so.
const ENTRIES_MAX: usize = 8 << 20;
/// Of so many values one may be looked up in every other segment; more are cheaper turned into values all at once.
const LOOKED_UP_SHARE: usize = 16;
/// So few are looked up always.
const LOOKED_UP_MIN: usize = 64;

/// Segments whose columns are kept for their codes, each a mapping of the process: beyond, what they have counted is counted by value.
const SEGMENTS_MAX: usize = 512;

/// Counts of one segment, by code.
pub(crate) struct TopGather {
    column: Codes,
    counts: Vec<u32>,
}

impl TopGather {
    /// For a column whose codes are below `space`.
    pub(crate) fn new(column: Codes, space: u64) -> TopGather {
        TopGather { column, counts: vec![0; space as usize] }
    }

    pub(crate) fn add(&mut self, docs: &[DocId]) {
        self.column.count(docs, &mut self.counts);
    }

    pub(crate) fn finish(self) -> Top {
        let seen = self.counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
        let counts: Vec<(u32, u32)> = seen.map(|(code, count)| (code as u32, count)).collect();
        Top { segments: vec![Coded { column: self.column, counts }], others: Counted::default(), approximate: false, fault: None }
    }
}

/// What one segment has counted: codes in their order.
struct Coded {
    column: Codes,
    counts: Vec<(u32, u32)>,
}

impl Coded {
    /// How often the value is here.
    fn of(&self, key: &Key) -> io::Result<u64> {
        let code = self.column.code_of(key)?.and_then(|code| u32::try_from(code).ok());
        let at = code.and_then(|code| self.counts.binary_search_by_key(&code, |(code, _)| *code).ok());
        Ok(at.map_or(0, |at| u64::from(self.counts[at].1)))
    }

    /// Calls `each` with the value and the count of these entries, which are in the order of codes.
    fn values(&self, entries: &[(u32, u32)], mut each: impl FnMut(Key, u64)) -> io::Result<()> {
        let codes: Vec<u64> = entries.iter().map(|(code, _)| u64::from(*code)).collect();
        self.column.decode(&codes, |at, key| each(key, u64::from(entries[at].1)))
    }

    /// The `size` most frequent entries.
    fn first(&self, size: usize) -> Vec<(u32, u32)> {
        let mut entries = self.counts.clone();
        if entries.len() > size {
            entries.select_nth_unstable_by(size, |a, b| b.1.cmp(&a.1));
            entries.truncate(size);
            entries.sort_unstable();
        }
        entries
    }

    /// The entries that are as frequent as `share` at least.
    fn reaching(&self, share: u64) -> Vec<(u32, u32)> {
        self.counts.iter().filter(|(_, count)| u64::from(*count) >= share).copied().collect()
    }
}

/// What segments have counted.
pub(crate) struct Top {
    segments: Vec<Coded>,
    /// Of segments where the field has columns of several kinds, and of those beyond [`SEGMENTS_MAX`].
    others: Counted,
    approximate: bool,
    /// Why values could not be read.
    fault: Option<io::Error>,
}

impl fmt::Debug for Top {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Top of {} segments", self.segments.len())
    }
}

/// The first values, how often all are together, and whether some were given up.
pub(crate) struct First {
    pub(crate) list: Vec<(Key, u64)>,
    pub(crate) all: u64,
    pub(crate) approximate: bool,
}

impl Top {
    pub(crate) fn merge(&mut self, other: Top) {
        self.segments.extend(other.segments);
        self.others.merge(other.others);
        self.approximate |= other.approximate;
        self.fault = self.fault.take().or(other.fault);
        if self.segments.len() > SEGMENTS_MAX {
            for segment in std::mem::take(&mut self.segments) {
                let mut counted = Counted::default();
                let read = segment.values(&segment.counts, |key, count| counted.insert(key, count, Vec::new()));
                self.fault = self.fault.take().or(read.err());
                self.others.merge(counted);
            }
        }
        if self.segments.iter().map(|segment| segment.counts.len()).sum::<usize>() > ENTRIES_MAX {
            let counts = self.segments.iter().flat_map(|segment| segment.counts.iter().map(|(_, count)| *count));
            let mut counts: Vec<u32> = counts.collect();
            self.approximate = true;
            let at = counts.len() - ENTRIES_MAX / 2;
            let (_, least, _) = counts.select_nth_unstable(at);
            let least = *least;
            self.segments.iter_mut().for_each(|s| s.counts.retain(|(_, count)| *count > least));
        }
    }

    /// Takes what was counted by value.
    pub(crate) fn merge_counted(&mut self, other: Counted) {
        self.others.merge(other);
    }

    /// The `size` most frequent values with `min_count` hits at least, the most frequent first, of equals the smaller value.
    pub(crate) fn first(&mut self, size: usize, min_count: u64) -> io::Result<First> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let counted: u64 = self.segments.iter().flat_map(|s| &s.counts).map(|(_, count)| u64::from(*count)).sum();
        let all = counted + self.others.sum();
        let mut sums: HashMap<Key, u64> = HashMap::new();
        if size > 0 {
            self.candidates(size, &mut sums)?;
        }
        let mut list: Vec<(Key, u64)> = sums.into_iter().filter(|(_, sum)| *sum >= min_count.max(1)).collect();
        list.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        list.truncate(size);
        Ok(First { list, all, approximate: self.approximate || self.others.approximate() })
    }

    /// Sums up every value that can be among the first `size`.
    fn candidates(&self, size: usize, sums: &mut HashMap<Key, u64>) -> io::Result<()> {
        for segment in &self.segments {
            self.sum_up(segment, &segment.first(size), sums)?;
        }
        for key in self.others.keys() {
            self.sum(key.clone(), sums)?;
        }
        let mut known: Vec<u64> = sums.values().copied().collect();
        known.sort_unstable_by(|a, b| b.cmp(a));
        let bound = known.get(size - 1).copied().unwrap_or(0);
        let share = bound.div_ceil(self.segments.len().max(1) as u64);
        let reaching: Vec<Vec<(u32, u32)>> = self.segments.iter().map(|segment| segment.reaching(share)).collect();
        let all: usize = self.segments.iter().map(|segment| segment.counts.len()).sum();
        if reaching.iter().map(Vec::len).sum::<usize>() <= LOOKED_UP_MIN.max(all / LOOKED_UP_SHARE) {
            for (segment, entries) in self.segments.iter().zip(&reaching) {
                self.sum_up(segment, entries, sums)?;
            }
            return Ok(());
        }
        sums.clear();
        sums.extend(self.others.keys().map(|key| (key.clone(), self.others.count(key))));
        for segment in &self.segments {
            segment.values(&segment.counts, |key, count| *sums.entry(key).or_default() += count)?;
        }
        Ok(())
    }

    /// Sums up the values of these entries of a segment.
    fn sum_up(&self, segment: &Coded, entries: &[(u32, u32)], sums: &mut HashMap<Key, u64>) -> io::Result<()> {
        let mut keys = Vec::with_capacity(entries.len());
        segment.values(entries, |key, _| keys.push(key))?;
        keys.into_iter().try_for_each(|key| self.sum(key, sums))
    }

    fn sum(&self, key: Key, sums: &mut HashMap<Key, u64>) -> io::Result<()> {
        if let Entry::Vacant(new) = sums.entry(key) {
            let mut sum = self.others.count(new.key());
            for segment in &self.segments {
                sum += segment.of(new.key())?;
            }
            new.insert(sum);
        }
        Ok(())
    }
}
