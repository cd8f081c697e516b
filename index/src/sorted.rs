//! The first hits in the order of a field's values.
//!
//! Within a segment the order is that of codes; the few that are left become values and are put among those of other segments. Hits
//! without a value come last, whatever the direction. Of equal values the newest comes first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io;

use tantivy::DocId;
use tantivy::columnar::MonotonicallyMappableToU64;

use crate::aggregate::KeyKind;
use crate::codes::{Codes, Key};
use crate::hit::{Found, Place};
use crate::lower::{Lowering, Unable};
use crate::search::Sort;
use crate::segment::Segment;

/// Where a page ended.
#[derive(Clone, Debug)]
pub(crate) struct After {
    key: Option<Key>,
    place: Place,
}

impl After {
    pub(crate) fn to_cursor(&self) -> String {
        let key = self.key.as_ref().map_or_else(|| "n".to_owned(), Key::to_cursor);
        format!("{key}.{}", self.place.to_cursor())
    }

    pub(crate) fn from_cursor(text: &str) -> Option<After> {
        let (key, place) = text.split_once('.')?;
        let key = if key == "n" { None } else { Some(Key::from_cursor(key)?) };
        Some(After { key, place: Place::from_cursor(place)? })
    }
}

/// The value that the hit of a cursor is sorted by: a number, an instant in milliseconds, a text; null where it has none.
pub fn sort_value(cursor: &str) -> Option<serde_json::Value> {
    if let Some(place) = Place::from_cursor(cursor) {
        return Some(place.time.div_euclid(1_000_000).into());
    }
    Some(match After::from_cursor(cursor)?.key {
        None => serde_json::Value::Null,
        Some(Key::Float(n)) => {
            let n = f64::from_u64(n);
            if n.fract() == 0.0 && n.abs() < 9e15 { (n as i64).into() } else { n.into() }
        }
        Some(Key::Bool(b)) => b.into(),
        Some(Key::Time(ns)) => ns.div_euclid(1_000_000).into(),
        Some(key) => key.show().into(),
    })
}

/// The cursor that stands behind every hit whose value is `value`, as [`sort_value`] told it of a field of the given kind; `None` for what
/// is no such value. Of an instant, behind its millisecond.
pub fn sorted_after(value: &serde_json::Value, kind: KeyKind, field: &str, sort: Sort) -> Option<String> {
    use serde_json::Value;
    let last_ns = |ms: i64| {
        let start = ms.saturating_mul(1_000_000);
        if sort == Sort::Desc { start } else { start.saturating_add(999_999) }
    };
    if field == "@timestamp" {
        let time = last_ns(value.as_i64()?);
        let end = if sort == Sort::Desc { 0 } else { u64::MAX };
        return Some(Place { time, seq: end, nth: end }.to_cursor());
    }
    let key = match (value, kind) {
        (Value::Null, _) => None,
        (Value::Number(n), KeyKind::Time) => Some(Key::Time(last_ns(n.as_i64()?))),
        (Value::Number(n), _) => Some(Key::Float(n.as_f64()?.to_u64())),
        (Value::Bool(b), _) => Some(Key::Bool(*b)),
        (Value::String(text), KeyKind::Ip) => Some(Key::Ip(crate::schema::v6(text.parse().ok()?).to_bits())),
        (Value::String(text), _) => Some(Key::Text(text.clone())),
        _ => return None,
    };
    // Of equal values the newest comes first: what is behind all of them is older than any.
    Some(After { key, place: Place { time: i64::MIN, seq: 0, nth: 0 } }.to_cursor())
}

/// A hit with what it is sorted by: greater is later.
struct Ranked<K> {
    key: Option<K>,
    sort: Sort,
    found: Found,
}

impl<K: Ord> Ord for Ranked<K> {
    fn cmp(&self, other: &Ranked<K>) -> Ordering {
        let keys = match (&self.key, &other.key) {
            (Some(a), Some(b)) if self.sort == Sort::Desc => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
        };
        keys.then_with(|| other.found.0.cmp(&self.found.0))
    }
}

impl<K: Ord> PartialOrd for Ranked<K> {
    fn partial_cmp(&self, other: &Ranked<K>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Ranked<K> {
    fn eq(&self, other: &Ranked<K>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord> Eq for Ranked<K> {}

fn push<K: Ord>(heap: &mut BinaryHeap<Ranked<K>>, size: usize, ranked: Ranked<K>) {
    if heap.len() < size {
        heap.push(ranked);
    } else if heap.peek().is_some_and(|last| ranked < *last) {
        heap.pop();
        heap.push(ranked);
    }
}

/// The first hits of all segments.
pub(crate) struct SortedTop {
    size: usize,
    sort: Sort,
    after: Option<After>,
    heap: BinaryHeap<Ranked<Key>>,
}

impl SortedTop {
    /// For `size` hits after `after`.
    pub(crate) fn new(size: usize, sort: Sort, after: Option<After>) -> SortedTop {
        SortedTop { size, sort, after, heap: BinaryHeap::new() }
    }

    /// Begins a segment.
    pub(crate) fn segment(&self, lowering: &Lowering<'_>, field: &str) -> Result<SortedSegment, Unable> {
        let columns = Codes::open(lowering, field)?;
        let mut bounds = Vec::new();
        if let Some(key) = self.after.as_ref().and_then(|after| after.key.as_ref()) {
            for column in &columns {
                bounds.push(column.compare_with(key)?);
            }
        }
        let heaps = columns.iter().map(|_| BinaryHeap::new()).collect();
        Ok(SortedSegment { columns, bounds, heaps, without: BinaryHeap::new(), seen: Vec::new() })
    }

    /// Takes over what a segment has found.
    pub(crate) fn take(&mut self, segment: SortedSegment) -> io::Result<()> {
        let (size, sort) = (self.size, self.sort);
        for (column, heap) in segment.columns.iter().zip(segment.heaps) {
            for Ranked { key, found, .. } in heap {
                let key = key.map_or(Ok(None), |code| column.sorted_by(code))?;
                push(&mut self.heap, size, Ranked { key, sort, found });
            }
        }
        for Ranked { found, .. } in segment.without {
            push(&mut self.heap, size, Ranked { key: None, sort, found });
        }
        Ok(())
    }

    /// The first `size` hits with their cursors, and whether there are more.
    pub(crate) fn page(self, size: usize) -> (Vec<Found>, Vec<String>, bool) {
        let mut ranked = self.heap.into_sorted_vec();
        let more = ranked.len() > size;
        ranked.truncate(size);
        let (mut found, mut cursors) = (Vec::with_capacity(ranked.len()), Vec::with_capacity(ranked.len()));
        for Ranked { key, found: place, .. } in ranked {
            cursors.push(After { key, place: place.0 }.to_cursor());
            found.push(place);
        }
        (found, cursors, more)
    }
}

/// The first hits of one segment, by code.
pub(crate) struct SortedSegment {
    columns: Vec<Codes>,
    /// How codes stand to the last value of the page before.
    bounds: Vec<Box<dyn Fn(u64) -> Ordering>>,
    heaps: Vec<BinaryHeap<Ranked<u64>>>,
    without: BinaryHeap<Ranked<u64>>,
    seen: Vec<bool>,
}

impl SortedSegment {
    /// Takes hits, ascending.
    pub(crate) fn add(&mut self, top: &SortedTop, segment: &Segment, (shard, segment_at): (usize, usize), docs: &[DocId]) {
        let (size, sort) = (top.size, top.sort);
        self.seen.clear();
        self.seen.resize(docs.len(), false);
        let found = |doc: DocId| -> Found { (Place::of(segment, doc), shard, segment_at, doc) };
        for (n, column) in self.columns.iter_mut().enumerate() {
            // Of several values the one that comes first; of several columns the first that has one.
            let mut best: Vec<(usize, u64)> = Vec::new();
            let seen = &self.seen;
            column.each(docs, |at, code| match best.last_mut() {
                _ if seen[at] => {}
                Some((last, known)) if *last == at => {
                    *known = if sort == Sort::Desc { code.max(*known) } else { code.min(*known) };
                }
                _ => best.push((at, code)),
            });
            for (at, code) in best {
                self.seen[at] = true;
                let heap = &mut self.heaps[n];
                let worse = heap.len() >= size
                    && heap
                        .peek()
                        .and_then(|r| r.key)
                        .is_some_and(|last| if sort == Sort::Desc { code < last } else { code > last });
                if worse {
                    continue;
                }
                let found = found(docs[at]);
                let behind = match &top.after {
                    None => true,
                    Some(After { key: None, .. }) => false,
                    Some(After { place, .. }) => {
                        let stands = self.bounds[n](code);
                        let stands = if sort == Sort::Desc { stands.reverse() } else { stands };
                        stands.is_gt() || (stands.is_eq() && found.0 < *place)
                    }
                };
                if behind {
                    push(heap, size, Ranked { key: Some(code), sort, found });
                }
            }
        }
        for (doc, _) in docs.iter().zip(&self.seen).filter(|(_, seen)| !**seen) {
            let found = found(*doc);
            let behind = match &top.after {
                Some(After { key: None, place }) => found.0 < *place,
                _ => true,
            };
            if behind {
                push(&mut self.without, size, Ranked { key: None, sort, found });
            }
        }
    }
}
