//! The first hits in the order of a field's values, and of another's among equals.
//!
//! Within a segment the order is that of codes; the few that are left become values and are put among those of other segments. Hits
//! without a value come last, whatever the direction. Of equals the newest comes first.

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
    /// That of the second field, where there is one.
    then: Option<Option<Key>>,
    place: Place,
}

impl After {
    pub(crate) fn to_cursor(&self) -> String {
        let shown = |key: &Option<Key>| key.as_ref().map_or_else(|| "n".to_owned(), Key::to_cursor);
        let then = self.then.as_ref().map_or_else(String::new, |key| format!("{}.", shown(key)));
        format!("{}.{then}{}", shown(&self.key), self.place.to_cursor())
    }

    /// Whether it is of a search by as many fields.
    pub(crate) fn fits(&self, fields: &Fields) -> bool {
        self.then.is_some() == fields.then.is_some()
    }

    pub(crate) fn from_cursor(text: &str) -> Option<After> {
        let read = |key: &str| if key == "n" { Some(None) } else { Key::from_cursor(key).map(Some) };
        let (key, mut rest) = text.split_once('.')?;
        let mut then = None;
        // A place has three parts.
        if rest.split('.').count() > 3 {
            let (second, place) = rest.split_once('.')?;
            (then, rest) = (Some(read(second)?), place);
        }
        Some(After { key: read(key)?, then, place: Place::from_cursor(rest)? })
    }
}

/// The values that the hit of a cursor is sorted by, one or two: each a number, an instant in milliseconds, a text; null where it has none.
pub fn sort_values(cursor: &str) -> Vec<serde_json::Value> {
    if let Some(place) = Place::from_cursor(cursor) {
        return vec![place.time.div_euclid(1_000_000).into()];
    }
    let Some(After { key, then, .. }) = After::from_cursor(cursor) else { return Vec::new() };
    [Some(key), then].into_iter().flatten().map(sort_value).collect()
}

fn sort_value(key: Option<Key>) -> serde_json::Value {
    match key {
        None => serde_json::Value::Null,
        Some(Key::Float(n)) => {
            let n = f64::from_u64(n);
            if n.fract() == 0.0 && n.abs() < 9e15 { (n as i64).into() } else { n.into() }
        }
        Some(Key::Bool(b)) => b.into(),
        Some(Key::Time(ns)) => ns.div_euclid(1_000_000).into(),
        Some(key) => key.show().into(),
    }
}

/// A field that hits are sorted by.
#[derive(Clone, Copy, Debug)]
pub struct SortedBy<'f> {
    /// Its name.
    pub field: &'f str,
    /// The kind of its values.
    pub kind: KeyKind,
    /// The order.
    pub sort: Sort,
}

/// The cursor that stands behind every hit with these values, as [`sort_values`] told them of these fields; `None` for what are no such values.
/// Of an instant, behind its millisecond.
pub fn sorted_after(by: &[SortedBy<'_>], values: &[serde_json::Value]) -> Option<String> {
    if let ([SortedBy { field: "@timestamp", sort, .. }], [value]) = (by, values) {
        let end = if *sort == Sort::Desc { 0 } else { u64::MAX };
        return Some(Place { time: last_ns(value.as_i64()?, *sort), seq: end, nth: end }.to_cursor());
    }
    let mut keys = by.iter().zip(values).map(|(by, value)| key_of(value, by.kind, by.sort));
    let (key, then) = (keys.next()??, keys.next());
    let then = if let Some(then) = then { Some(then?) } else { None };
    // Of equals the newest comes first: what is behind all of them is older than any.
    Some(After { key, then, place: Place { time: i64::MIN, seq: 0, nth: 0 } }.to_cursor())
}

/// The last instant of a millisecond.
fn last_ns(ms: i64, sort: Sort) -> i64 {
    let start = ms.saturating_mul(1_000_000);
    if sort == Sort::Desc { start } else { start.saturating_add(999_999) }
}

fn key_of(value: &serde_json::Value, kind: KeyKind, sort: Sort) -> Option<Option<Key>> {
    use serde_json::Value;
    Some(match (value, kind) {
        (Value::Null, _) => None,
        (Value::Number(n), KeyKind::Time) => Some(Key::Time(last_ns(n.as_i64()?, sort))),
        (Value::Number(n), _) => Some(Key::Float(n.as_f64()?.to_u64())),
        (Value::Bool(b), _) => Some(Key::Bool(*b)),
        (Value::String(text), KeyKind::Ip) => Some(Key::Ip(crate::schema::v6(text.parse().ok()?).to_bits())),
        (Value::String(text), _) => Some(Key::Text(text.clone())),
        _ => return None,
    })
}

/// A hit with what it is sorted by: greater is later.
struct Ranked<K, T> {
    key: Option<K>,
    /// The value of the second field; none also where there is no such field.
    then: Option<T>,
    sorts: (Sort, Sort),
    found: Found,
}

/// What has no value comes last.
fn in_order<K: Ord>(a: Option<&K>, b: Option<&K>, sort: Sort) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if sort == Sort::Desc => b.cmp(a),
        (Some(a), Some(b)) => a.cmp(b),
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
    }
}

impl<K: Ord, T: Ord> Ord for Ranked<K, T> {
    fn cmp(&self, other: &Ranked<K, T>) -> Ordering {
        in_order(self.key.as_ref(), other.key.as_ref(), self.sorts.0)
            .then_with(|| in_order(self.then.as_ref(), other.then.as_ref(), self.sorts.1))
            .then_with(|| other.found.0.cmp(&self.found.0))
    }
}

impl<K: Ord, T: Ord> PartialOrd for Ranked<K, T> {
    fn partial_cmp(&self, other: &Ranked<K, T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, T: Ord> PartialEq for Ranked<K, T> {
    fn eq(&self, other: &Ranked<K, T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord, T: Ord> Eq for Ranked<K, T> {}

fn push<K: Ord, T: Ord>(heap: &mut BinaryHeap<Ranked<K, T>>, size: usize, ranked: Ranked<K, T>) {
    if heap.len() < size {
        heap.push(ranked);
    } else if heap.peek().is_some_and(|last| ranked < *last) {
        heap.pop();
        heap.push(ranked);
    }
}

/// A value of the second field within a segment.
#[derive(Clone, Copy)]
struct Second {
    /// Where it stands among those of all columns.
    order: (u8, u64),
    column: usize,
    code: u64,
}

impl Ord for Second {
    fn cmp(&self, other: &Second) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl PartialOrd for Second {
    fn partial_cmp(&self, other: &Second) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Second {
    fn eq(&self, other: &Second) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Second {}

/// The fields that hits are ordered by.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) first: String,
    pub(crate) sort: Sort,
    /// Among equals.
    pub(crate) then: Option<(String, Sort)>,
}

impl Fields {
    fn sorts(&self) -> (Sort, Sort) {
        (self.sort, self.then.as_ref().map_or(Sort::Desc, |(_, sort)| *sort))
    }
}

/// The first hits of all segments.
pub(crate) struct SortedTop {
    size: usize,
    fields: Fields,
    after: Option<After>,
    heap: BinaryHeap<Ranked<Key, Key>>,
}

/// How codes stand to a value.
type Stands = Box<dyn Fn(u64) -> Ordering>;

impl SortedTop {
    /// For `size` hits after `after`.
    pub(crate) fn new(size: usize, fields: Fields, after: Option<After>) -> SortedTop {
        SortedTop { size, fields, after, heap: BinaryHeap::new() }
    }

    /// Begins a segment.
    pub(crate) fn segment(&self, lowering: &Lowering<'_>) -> Result<SortedSegment, Unable> {
        let columns = Codes::open(lowering, &self.fields.first)?;
        let seconds = self.fields.then.as_ref().map_or(Ok(Vec::new()), |(field, _)| Codes::open(lowering, field))?;
        let bounds = |columns: &[Codes], key: Option<&Key>| -> io::Result<Vec<Stands>> {
            key.map_or(Ok(Vec::new()), |key| columns.iter().map(|column| column.compare_with(key)).collect())
        };
        let after = self.after.as_ref();
        let first_bounds = bounds(&columns, after.and_then(|after| after.key.as_ref()))?;
        let then_bounds = bounds(&seconds, after.and_then(|after| after.then.as_ref()?.as_ref()))?;
        let heaps = columns.iter().map(|_| BinaryHeap::new()).collect();
        Ok(SortedSegment { columns, first_bounds, seconds, then_bounds, heaps, without: BinaryHeap::new(), seen: Vec::new() })
    }

    /// Takes over what a segment has found.
    pub(crate) fn take(&mut self, segment: SortedSegment) -> io::Result<()> {
        let (size, sorts) = (self.size, self.fields.sorts());
        let SortedSegment { columns, seconds, heaps, without, .. } = segment;
        let second = |then: Option<Second>| match then {
            Some(Second { column, code, .. }) => seconds[column].sorted_by(code),
            None => Ok(None),
        };
        for (column, heap) in columns.iter().zip(heaps) {
            for Ranked { key, then, found, .. } in heap {
                let key = key.map_or(Ok(None), |code| column.sorted_by(code))?;
                push(&mut self.heap, size, Ranked { key, then: second(then)?, sorts, found });
            }
        }
        for Ranked { then, found, .. } in without {
            push(&mut self.heap, size, Ranked { key: None, then: second(then)?, sorts, found });
        }
        Ok(())
    }

    /// The first `size` hits with their cursors, and whether there are more.
    pub(crate) fn page(self, size: usize) -> (Vec<Found>, Vec<String>, bool) {
        let two = self.fields.then.is_some();
        let mut ranked = self.heap.into_sorted_vec();
        let more = ranked.len() > size;
        ranked.truncate(size);
        let (mut found, mut cursors) = (Vec::with_capacity(ranked.len()), Vec::with_capacity(ranked.len()));
        for Ranked { key, then, found: place, .. } in ranked {
            cursors.push(After { key, then: two.then_some(then), place: place.0 }.to_cursor());
            found.push(place);
        }
        (found, cursors, more)
    }
}

/// The first hits of one segment, by code.
pub(crate) struct SortedSegment {
    columns: Vec<Codes>,
    /// How codes stand to the last value of the page before.
    first_bounds: Vec<Stands>,
    /// The columns of the second field.
    seconds: Vec<Codes>,
    then_bounds: Vec<Stands>,
    heaps: Vec<BinaryHeap<Ranked<u64, Second>>>,
    without: BinaryHeap<Ranked<u64, Second>>,
    seen: Vec<bool>,
}

impl SortedSegment {
    /// Takes hits, ascending.
    pub(crate) fn add(&mut self, top: &SortedTop, segment: &Segment, shard: usize, docs: &[DocId]) {
        let (size, sorts) = (top.size, top.fields.sorts());
        let sort = sorts.0;
        self.seen.clear();
        self.seen.resize(docs.len(), false);
        let found = |doc: DocId| -> Found { (Place::of(segment, doc), shard) };
        // The value of the second field, and whether a hit is behind the page before among those whose first value is the same.
        let seconds = &self.seconds;
        let then_of = |doc: DocId| -> Option<Second> {
            // Of several columns the first that has a value.
            let of = |(column, codes): (usize, &Codes)| {
                let code = codes.best_of(doc, sorts.1 == Sort::Desc)?;
                Some(Second { order: codes.order_of(code), column, code })
            };
            seconds.iter().enumerate().find_map(of)
        };
        let then_bounds = &self.then_bounds;
        let behind_equal = |after: &After, then: Option<Second>, place: Place| {
            let stands = match (&after.then, then) {
                (None, _) | (Some(None), None) => Ordering::Equal,
                (Some(None), Some(_)) => Ordering::Less,
                (Some(Some(_)), None) => Ordering::Greater,
                (Some(Some(_)), Some(Second { column, code, .. })) => {
                    let stands = then_bounds[column](code);
                    if sorts.1 == Sort::Desc { stands.reverse() } else { stands }
                }
            };
            stands.is_gt() || (stands.is_eq() && place < after.place)
        };
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
                let (found, then) = (found(docs[at]), then_of(docs[at]));
                let behind = match &top.after {
                    None => true,
                    Some(After { key: None, .. }) => false,
                    Some(after) => {
                        let stands = self.first_bounds[n](code);
                        let stands = if sort == Sort::Desc { stands.reverse() } else { stands };
                        stands.is_gt() || (stands.is_eq() && behind_equal(after, then, found.0))
                    }
                };
                if behind {
                    push(heap, size, Ranked { key: Some(code), then, sorts, found });
                }
            }
        }
        for (doc, _) in docs.iter().zip(&self.seen).filter(|(_, seen)| !**seen) {
            let (found, then) = (found(*doc), then_of(*doc));
            let behind = match &top.after {
                Some(after) if after.key.is_none() => behind_equal(after, then, found.0),
                _ => true,
            };
            if behind {
                push(&mut self.without, size, Ranked { key: None, then, sorts, found });
            }
        }
    }
}
