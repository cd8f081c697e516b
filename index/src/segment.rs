//! One segment as searches see it: its columns of time and place, and in which windows which times are.
//!
//! Documents lie in log order, which is nearly the order of time. What a window of documents holds at most and at least, and what all
//! windows before and after it do, says where a range of time can be, and when the newest hits cannot be beaten any more.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

use tantivy::columnar::{Column, ColumnValues, DynamicColumn, DynamicColumnHandle};
use tantivy::index::{InvertedIndexReader, SegmentId};
use tantivy::postings::TermInfo;
use tantivy::{DateTime, DocId, SegmentReader, Term};

use crate::kinds::{Kinds, ValueKind, add_kind};
use crate::lower::Unable;
use crate::schema::{HAS_MESSAGE, Kind, Layout, REST, column};
use crate::vocabulary::Vocabulary;
use crate::window::WINDOW;

/// Event times of one window and of what lies on both sides, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    low: i64,
    high: i64,
    /// The latest of this window and all before.
    high_before: i64,
    /// The earliest of this window and all after.
    low_after: i64,
}

/// A segment, opened once and kept as long as it is the shard's.
pub(crate) struct Segment {
    pub(crate) reader: SegmentReader,
    pub(crate) time: Arc<dyn ColumnValues<DateTime>>,
    pub(crate) seq: Arc<dyn ColumnValues<u64>>,
    pub(crate) nth: Arc<dyn ColumnValues<u64>>,
    /// The earliest and the latest time in it.
    span: (i64, i64),
    /// Found out when it is first asked for: a segment that is only counted in, or left out, is not gone through for it.
    windows: OnceLock<Vec<Times>>,
    /// Its words, once they were asked for; the inner none: they are not kept.
    vocabulary: OnceLock<Option<Vocabulary>>,
    /// What values the fields without a column of their own have, once it was asked for: where the shard does not say.
    kinds: OnceLock<Kinds>,
    known: Mutex<KnownTerms>,
}

/// Terms of one segment whose places are kept at least, the ones asked for last: some 100 B each, so up to 100 KB a segment.
const KNOWN_TERMS_MAX: usize = 512;

/// Where terms that were asked for lie, none for those that are not there. A look into the engine's dictionary decompresses a block, some
/// 25 µs; the same terms are asked for again and again (a page that is refreshed, an indicator list, a rule that is run anew).
#[derive(Default)]
struct KnownTerms {
    /// Those since the last turn. When they are [`KNOWN_TERMS_MAX`], they become the ones before, which go.
    young: HashMap<Term, Option<TermInfo>>,
    old: HashMap<Term, Option<TermInfo>>,
}

impl KnownTerms {
    fn get(&mut self, term: &Term) -> Option<Option<TermInfo>> {
        if let Some(known) = self.young.get(term) {
            return Some(known.clone());
        }
        let known = self.old.get(term)?.clone();
        self.put(term, known.clone());
        Some(known)
    }

    fn put(&mut self, term: &Term, info: Option<TermInfo>) {
        if self.young.len() >= KNOWN_TERMS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(term.clone(), info);
    }
}

impl Segment {
    pub(crate) fn open(reader: &SegmentReader) -> tantivy::Result<Segment> {
        let fast = reader.fast_fields();
        let time = fast.date("time")?.values;
        let span = (time.min_value().into_timestamp_nanos(), time.max_value().into_timestamp_nanos());
        Ok(Segment {
            reader: reader.clone(),
            time,
            seq: fast.u64("seq")?.values,
            nth: fast.u64("nth")?.values,
            span,
            windows: OnceLock::new(),
            vocabulary: OnceLock::new(),
            kinds: OnceLock::new(),
            known: Mutex::default(),
        })
    }

    /// Where the documents that have `term` are listed; `None`: none has it.
    pub(crate) fn term(&self, index: &InvertedIndexReader, term: &Term) -> io::Result<Option<TermInfo>> {
        let known = || self.known.lock().expect("no code panics under this lock");
        if let Some(known) = known().get(term) {
            return Ok(known);
        }
        let info = index.get_term_info(term)?;
        known().put(term, info.clone());
        Ok(info)
    }

    /// The words, which `read` reads where they are not kept yet; none where they are not to be kept.
    pub(crate) fn vocabulary(
        &self,
        read: impl FnOnce() -> Result<Option<Vocabulary>, Unable>,
    ) -> Result<Option<&Vocabulary>, Unable> {
        if let Some(known) = self.vocabulary.get() {
            return Ok(known.as_ref());
        }
        if !Vocabulary::has_room() {
            return Ok(None); // There may be later.
        }
        let read = read()?;
        Ok(self.vocabulary.get_or_init(|| read).as_ref())
    }

    /// What values the fields without a column of their own have here; `names`: all that there may be.
    pub(crate) fn kinds(&self, names: &BTreeSet<String>) -> tantivy::Result<&Kinds> {
        if let Some(known) = self.kinds.get() {
            return Ok(known);
        }
        let mut kinds = Kinds::new();
        for name in names {
            for handle in self.reader.fast_fields().dynamic_column_handles(&format!("{REST}.{name}"))? {
                add_kind(&mut kinds, name, ValueKind::of_column(handle.column_type()));
            }
        }
        Ok(self.kinds.get_or_init(|| kinds))
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.reader.segment_id()
    }

    /// The first log offset in it.
    pub(crate) fn first(&self) -> u64 {
        if self.max_doc() == 0 { 0 } else { self.seq.get_val(0) }
    }

    /// The last log offset in it.
    pub(crate) fn last(&self) -> u64 {
        self.max_doc().checked_sub(1).map_or(0, |doc| self.seq.get_val(doc))
    }

    pub(crate) fn max_doc(&self) -> DocId {
        self.reader.max_doc()
    }

    pub(crate) fn time_of(&self, doc: DocId) -> i64 {
        self.time.get_val(doc).into_timestamp_nanos()
    }

    fn windows(&self) -> &[Times] {
        self.windows.get_or_init(|| {
            let max_doc = self.max_doc();
            let mut windows = Vec::with_capacity(max_doc.div_ceil(WINDOW) as usize);
            let mut buffer = vec![DateTime::default(); WINDOW as usize];
            for start in (0..max_doc).step_by(WINDOW as usize) {
                let buffer = &mut buffer[..(max_doc - start).min(WINDOW) as usize];
                self.time.get_range(u64::from(start), buffer);
                let (mut low, mut high) = (i64::MAX, i64::MIN);
                for time in buffer {
                    let time = time.into_timestamp_nanos();
                    (low, high) = (low.min(time), high.max(time));
                }
                windows.push(Times { low, high, high_before: high, low_after: low });
            }
            for at in 1..windows.len() {
                windows[at].high_before = windows[at].high_before.max(windows[at - 1].high_before);
            }
            for at in (1..windows.len()).rev() {
                windows[at - 1].low_after = windows[at - 1].low_after.min(windows[at].low_after);
            }
            windows
        })
    }

    /// Whether every time in it lies in `from..=last`.
    fn is_within(&self, from: i64, last: i64) -> bool {
        from <= self.span.0 && self.span.1 <= last
    }

    /// The windows that may hold times in `from..=last`.
    pub(crate) fn windows_within(&self, from: i64, last: i64) -> Range<u32> {
        if self.is_within(from, last) {
            return 0..self.max_doc().div_ceil(WINDOW);
        }
        let windows = self.windows();
        let start = windows.partition_point(|w| w.high_before < from);
        let end = windows.partition_point(|w| w.low_after <= last);
        start as u32..(end.max(start)) as u32
    }

    /// Whether every document of the window has a time in `from..=last`; `None`: none has.
    pub(crate) fn window_within(&self, window: u32, from: i64, last: i64) -> Option<bool> {
        if self.is_within(from, last) {
            return Some(true);
        }
        let Times { low, high, .. } = self.windows()[window as usize];
        (high >= from && low <= last).then_some(low >= from && high <= last)
    }

    /// The earliest and the latest time of a window.
    pub(crate) fn window_times(&self, window: u32) -> Option<(i64, i64)> {
        self.windows().get(window as usize).map(|w| (w.low, w.high))
    }

    /// The latest time of the windows before `window`.
    pub(crate) fn latest_before(&self, window: u32) -> Option<i64> {
        Some(self.windows()[(window as usize).checked_sub(1)?].high_before)
    }

    /// The earliest time of the windows from `window` on.
    pub(crate) fn earliest_from(&self, window: u32) -> Option<i64> {
        self.windows().get(window as usize).map(|w| w.low_after)
    }

    /// The earliest and the latest time in the segment.
    pub(crate) fn times(&self) -> Option<(i64, i64)> {
        (self.max_doc() > 0).then_some(self.span)
    }

    /// The documents of the frame at `offset`: documents are in log order.
    pub(crate) fn documents_of(&self, offset: u64) -> Range<DocId> {
        let first = |wanted: u64| {
            let (mut low, mut high) = (0, self.max_doc());
            while low < high {
                let middle = low + (high - low) / 2;
                if self.seq.get_val(middle) < wanted { low = middle + 1 } else { high = middle }
            }
            low
        };
        first(offset)..offset.checked_add(1).map_or(self.max_doc(), first)
    }

    /// The columns that hold values of the field `name`; those of the rest only where `in_rest`.
    pub(crate) fn columns(&self, layout: &Layout, name: &str, in_rest: bool) -> tantivy::Result<Vec<DynamicColumn>> {
        self.handles(layout, name, in_rest)?.iter().map(|handle| Ok(handle.open()?)).collect()
    }

    /// As [`Segment::columns`], not opened yet.
    pub(crate) fn handles(&self, layout: &Layout, name: &str, in_rest: bool) -> tantivy::Result<Vec<DynamicColumnHandle>> {
        let fast = self.reader.fast_fields();
        let mut handles = match (name, layout.kind(name).0) {
            ("@timestamp", _) => fast.dynamic_column_handles("time")?,
            ("event.received", _) => fast.dynamic_column_handles("received")?,
            (_, Kind::Message) => fast.dynamic_column_handles(HAS_MESSAGE)?,
            (_, Kind::Rest) => Vec::new(),
            _ => fast.dynamic_column_handles(&column(name))?,
        };
        if in_rest {
            handles.extend(fast.dynamic_column_handles(&format!("{REST}.{name}"))?);
        }
        Ok(handles)
    }

    /// The column of the receive times.
    pub(crate) fn received(&self) -> tantivy::Result<Column<DateTime>> {
        self.reader.fast_fields().date("received")
    }
}

#[cfg(test)]
mod tests {
    use tantivy::schema::Field;

    use super::*;

    #[test]
    fn the_terms_asked_for_last_are_known() {
        let mut known = KnownTerms::default();
        let name = |n: usize| Term::from_field_text(Field::from_field_id(0), &n.to_string());
        let info = |n: usize| n.is_multiple_of(2).then(|| TermInfo { doc_freq: n as u32, ..TermInfo::default() });
        for n in 0..20 * KNOWN_TERMS_MAX {
            assert_eq!(known.get(&name(n)), None);
            known.put(&name(n), info(n));
            assert_eq!(known.get(&name(0)), Some(info(0)), "asked for all the time");
            assert!(known.young.len() + known.old.len() <= 2 * KNOWN_TERMS_MAX);
            // With those asked for in this way before, fewer than the bound lie between.
            let last = n.saturating_sub(KNOWN_TERMS_MAX / 2 - 2);
            assert_eq!(known.get(&name(last)), Some(info(last)));
        }
        assert_eq!(known.get(&name(KNOWN_TERMS_MAX)), None);
    }
}
