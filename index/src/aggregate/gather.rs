//! Counting within one segment, by code.

use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;

use tantivy::DocId;
use tantivy::columnar::{ColumnType, MonotonicallyMappableToU64};

use super::calendar::Rounding;
use super::sketch::{Distinct, Quantiles};
use super::tally::{Counted, Stats, Tally};
use super::top::TopGather;
use super::{Absent, Aggregation, AggregationKind, COUNTED_MAX, Source, SourceOf, TermsOrder};
use crate::codes::{Codes, Key};
use crate::first::Ranked;
use crate::hit::Place;
use crate::lower::{Lowering, Unable};
use crate::node::Node;
use crate::search::Sort;
use crate::window::{Bits, WINDOW};

/// Codes that are counted in a table by code rather than by hash: 16 MB of counters.
const DENSE_MAX: u64 = 4 << 20;
/// The code of a hit that has no value.
const MISSING: u64 = u64::MAX;

/// What an aggregation needs to know of the segment.
pub(crate) struct Context<'a> {
    pub(crate) lowering: &'a Lowering<'a>,
    /// The place of the shard, for hits.
    pub(crate) shard: usize,
}

/// Hits of one window, ascending, each with the outer bucket that it lies in.
pub(crate) struct Docs<'a> {
    pub(crate) start: DocId,
    pub(crate) len: u32,
    pub(crate) docs: &'a [DocId],
    /// None: all in the one outer bucket that there is.
    pub(crate) parents: Option<&'a [u32]>,
}

impl Docs<'_> {
    fn parent(&self, at: usize) -> u32 {
        self.parents.map_or(0, |p| p[at])
    }
}

/// Counts for one aggregation.
pub(crate) enum Gather {
    Buckets(Box<Buckets>),
    Top(Box<TopGather>),
    Significant(Significant),
    Distinct(Vec<(Codes, Seen)>),
    Values(Vec<Codes>, Vec<u64>),
    Stats(Numbers, Vec<Stats>),
    Quantiles(Numbers, Vec<Quantiles>),
    TopHits(TopHits),
}

impl Gather {
    pub(crate) fn new(aggregation: &Aggregation, context: &Context<'_>, outer: bool) -> Result<Gather, Unable> {
        let codes = |field: &str| Codes::open(context.lowering, field);
        Ok(match &aggregation.kind {
            AggregationKind::Cardinality { field } => {
                let codes = codes(field)?;
                Gather::Distinct(codes.into_iter().map(|c| (Seen::new(&c, outer), c)).map(|(s, c)| (c, s)).collect())
            }
            AggregationKind::ValueCount { field } => Gather::Values(codes(field)?, Vec::new()),
            AggregationKind::Stats { field, missing } => {
                Gather::Stats(Numbers { columns: numeric(codes(field)?), missing: *missing }, Vec::new())
            }
            AggregationKind::Percentiles { field, missing, .. } | AggregationKind::PercentileRanks { field, missing, .. } => {
                Gather::Quantiles(Numbers { columns: numeric(codes(field)?), missing: *missing }, Vec::new())
            }
            AggregationKind::TopHits { size, sort } => {
                let segment = context.lowering.segment;
                let (time, seq, nth) = (segment.time.clone(), segment.seq.clone(), segment.nth.clone());
                let place = Box::new(move |doc| Place {
                    time: time.get_val(doc).into_timestamp_nanos(),
                    seq: seq.get_val(doc),
                    nth: nth.get_val(doc),
                });
                Gather::TopHits(TopHits { size: *size, sort: *sort, shard: context.shard, place, heaps: Vec::new() })
            }
            AggregationKind::Significant { field, .. } => {
                let columns = codes(field)?;
                let counts = |c: &Codes| (IdTable::new(c.space(), false), Vec::new());
                Gather::Significant(Significant {
                    counts: columns.iter().map(counts).collect(),
                    columns,
                    hits: 0,
                    all: 0,
                    overflow: false,
                })
            }
            AggregationKind::Terms { field, order: TermsOrder::Count, missing: None, chosen, .. }
                if !outer && aggregation.inner.is_empty() && chosen.is_all() =>
            {
                let mut columns = codes(field)?;
                match columns.first().and_then(Codes::space).filter(|space| columns.len() == 1 && *space <= DENSE_MAX) {
                    Some(space) => Gather::Top(Box::new(TopGather::new(columns.remove(0), space))),
                    None => Gather::Buckets(Box::new(Buckets::new(aggregation, context, outer)?)),
                }
            }
            _ => Gather::Buckets(Box::new(Buckets::new(aggregation, context, outer)?)),
        })
    }

    /// Whether all documents of the range of time are to be shown to [`Gather::background`].
    pub(crate) fn wants_background(&self) -> bool {
        matches!(self, Gather::Significant(_))
    }

    /// Counts what hits are compared with.
    pub(crate) fn background(&mut self, docs: &[DocId]) {
        if let Gather::Significant(significant) = self {
            significant.all += docs.len() as u64;
            significant.add(docs, 1);
        }
    }

    /// Counts hits.
    pub(crate) fn add(&mut self, hits: &Docs<'_>) -> io::Result<()> {
        match self {
            Gather::Buckets(buckets) => buckets.add(hits)?,
            Gather::Top(top) => top.add(hits.docs),
            Gather::Significant(significant) => {
                significant.hits += hits.docs.len() as u64;
                significant.add(hits.docs, 0);
            }
            Gather::Distinct(columns) => {
                for (column, seen) in columns {
                    column.each(hits.docs, |at, code| seen.insert(hits.parent(at), code));
                }
            }
            Gather::Values(columns, counts) => {
                for column in columns.iter_mut() {
                    column.every(hits.docs, |at, _| *slot(counts, hits.parent(at)) += 1);
                }
            }
            Gather::Stats(numbers, stats) => numbers.every(hits, |parent, number| slot(stats, parent).add(number)),
            Gather::Quantiles(numbers, quantiles) => {
                numbers.every(hits, |parent, number| slot(quantiles, parent).add(number));
            }
            Gather::TopHits(top) => top.add(hits),
        }
        Ok(())
    }

    /// What was counted, for each of `parents` outer buckets.
    pub(crate) fn finish(self, parents: usize) -> io::Result<Vec<Tally>> {
        Ok(match self {
            Gather::Buckets(buckets) => buckets.finish(parents)?,
            Gather::Top(top) => vec![Tally::Top(top.finish())],
            Gather::Significant(significant) => vec![significant.finish()?],
            Gather::Distinct(columns) => {
                let mut all = vec![Distinct::default(); parents];
                for (column, seen) in columns {
                    seen.finish(&column, &mut all)?;
                }
                all.into_iter().map(Tally::Distinct).collect()
            }
            Gather::Values(_, mut counts) => {
                counts.resize(parents, 0);
                counts.into_iter().map(Tally::Values).collect()
            }
            Gather::Stats(_, mut stats) => {
                stats.resize_with(parents, Stats::default);
                stats.into_iter().map(Tally::Stats).collect()
            }
            Gather::Quantiles(_, mut quantiles) => {
                quantiles.resize_with(parents, Quantiles::default);
                quantiles.into_iter().map(Tally::Quantiles).collect()
            }
            Gather::TopHits(mut top) => {
                top.heaps.resize_with(parents, BinaryHeap::new);
                let sort = top.sort;
                top.heaps.into_iter().map(|heap| Tally::Hits(heap.into_iter().map(|r| r.0).collect(), sort)).collect()
            }
        })
    }
}

fn slot<T: Default>(all: &mut Vec<T>, at: u32) -> &mut T {
    if all.len() <= at as usize {
        all.resize_with(at as usize + 1, T::default);
    }
    &mut all[at as usize]
}

/// The numbers of a field.
pub(crate) struct Numbers {
    columns: Vec<Codes>,
    /// What a hit without one counts as.
    missing: Option<f64>,
}

impl Numbers {
    /// Calls `each` with the outer bucket of every number.
    fn every(&mut self, hits: &Docs<'_>, mut each: impl FnMut(u32, f64)) {
        let mut without = Without::of(hits.docs, self.missing);
        for column in &mut self.columns {
            let number = column.number();
            column.every(hits.docs, |at, code| {
                without.has(at);
                each(hits.parent(at), number(code));
            });
        }
        without.each(|at, missing| each(hits.parent(at), missing));
    }
}

/// The hits in which no value was found, where something stands for one.
struct Without<T> {
    stands: Option<T>,
    has: Vec<bool>,
}

impl<T: Copy> Without<T> {
    /// Of `docs`, none of which has a value yet.
    fn of(docs: &[DocId], stands: Option<T>) -> Without<T> {
        Without { stands, has: vec![false; if stands.is_some() { docs.len() } else { 0 }] }
    }

    fn has(&mut self, at: usize) {
        if let Some(has) = self.has.get_mut(at) {
            *has = true;
        }
    }

    fn each(self, mut each: impl FnMut(usize, T)) {
        if let Some(stands) = self.stands {
            (0..self.has.len()).filter(|at| !self.has[*at]).for_each(|at| each(at, stands));
        }
    }
}

fn numeric(columns: Vec<Codes>) -> Vec<Codes> {
    columns
        .into_iter()
        .filter(|c| matches!(c.kind, ColumnType::I64 | ColumnType::U64 | ColumnType::F64 | ColumnType::DateTime))
        .collect()
}

/// A hash that costs one multiplication: the keys are our own codes, not what a sender chooses.
#[derive(Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }
    fn write_i64(&mut self, n: i64) {
        self.write_u64(n as u64);
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(23) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Fast<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Numbers the pairs of an outer bucket and a code as they come.
enum IdTable {
    /// By code, from 1; 0: not seen.
    Dense(Vec<u32>),
    Hashed(Fast<(u32, u64), u32>),
}

impl IdTable {
    fn new(space: Option<u64>, outer: bool) -> IdTable {
        match space.filter(|n| *n <= DENSE_MAX && !outer) {
            Some(codes) => IdTable::Dense(vec![0; codes as usize]),
            None => IdTable::Hashed(Fast::default()),
        }
    }

    /// The number of a pair; `new` gives it one, where there is room.
    fn id(&mut self, parent: u32, code: u64, new: impl FnOnce() -> Option<u32>) -> Option<u32> {
        match self {
            IdTable::Dense(ids) => {
                let id = ids.get_mut(code as usize)?;
                if *id == 0 {
                    *id = new()? + 1;
                }
                Some(*id - 1)
            }
            IdTable::Hashed(ids) => match ids.get(&(parent, code)) {
                Some(id) => Some(*id),
                None => {
                    let id = new()?;
                    ids.insert((parent, code), id);
                    Some(id)
                }
            },
        }
    }
}

/// How hits are put into buckets.
enum Split {
    Terms { columns: Vec<Codes>, missing: Option<String> },
    Dates { columns: Vec<Codes>, rounding: Rounding, missing: Option<i64> },
    Numbers { columns: Vec<Codes>, interval: f64, offset: f64, missing: Option<f64> },
    Ranges { columns: Vec<Codes>, ranges: Vec<(f64, f64)> },
    Filters { nodes: Vec<Node> },
    Composite { parts: Vec<Part>, keys: Fast<Vec<u64>, u64>, list: Vec<Vec<u64>> },
}

/// One source of a composite key.
struct Part {
    columns: Vec<Codes>,
    rounded: Rounded,
    absent: Absent,
}

/// How a value becomes a part of a key.
enum Rounded {
    No,
    Time(Rounding),
    /// By the width of an interval.
    Number(f64),
}

impl Part {
    fn new(source: &Source, lowering: &Lowering<'_>) -> Result<Part, Unable> {
        let codes = Codes::open(lowering, source.of.field())?;
        let (columns, rounded) = match &source.of {
            SourceOf::Terms { .. } => (codes, Rounded::No),
            SourceOf::DateHistogram { interval, zone, .. } => {
                let dates = codes.into_iter().filter(|c| c.kind == ColumnType::DateTime).collect();
                (dates, Rounded::Time(Rounding::new(*interval, zone)))
            }
            SourceOf::Histogram { interval, .. } => (numeric(codes), Rounded::Number(*interval)),
        };
        Ok(Part { columns, rounded, absent: source.absent.clone() })
    }
}

pub(crate) struct Buckets {
    split: Split,
    /// One table a column.
    tables: Vec<IdTable>,
    /// The outer bucket, the column and the code of each bucket.
    keys: Vec<(u32, u8, u64)>,
    counts: Vec<u64>,
    inner: Vec<Gather>,
    overflow: bool,
    inner_docs: Vec<DocId>,
    inner_parents: Vec<u32>,
}

impl Buckets {
    fn new(aggregation: &Aggregation, context: &Context<'_>, outer: bool) -> Result<Buckets, Unable> {
        let codes = |field: &str| Codes::open(context.lowering, field);
        let dates = |field: &str| -> Result<Vec<Codes>, Unable> {
            Ok(codes(field)?.into_iter().filter(|c| c.kind == ColumnType::DateTime).collect())
        };
        let split = match &aggregation.kind {
            AggregationKind::Terms { field, missing, .. } => Split::Terms { columns: codes(field)?, missing: missing.clone() },
            AggregationKind::DateHistogram { field, interval, zone, missing, .. } => Split::Dates {
                columns: dates(field)?,
                rounding: Rounding::new(*interval, zone),
                missing: missing.map(event::Time::unix_ns),
            },
            AggregationKind::Histogram { field, interval, offset, missing } => {
                Split::Numbers { columns: numeric(codes(field)?), interval: *interval, offset: *offset, missing: *missing }
            }
            AggregationKind::Range { field, ranges } => {
                let ends = |r: &super::NumberRange| (r.from.unwrap_or(f64::NEG_INFINITY), r.to.unwrap_or(f64::INFINITY));
                Split::Ranges { columns: numeric(codes(field)?), ranges: ranges.iter().map(ends).collect() }
            }
            AggregationKind::Filters { filters } => {
                let nodes = filters.iter().map(|(_, query)| context.lowering.query(query));
                Split::Filters { nodes: nodes.collect::<Result<_, _>>()? }
            }
            AggregationKind::Composite { sources, .. } => {
                let parts = sources.iter().map(|(_, source)| Part::new(source, context.lowering));
                Split::Composite { parts: parts.collect::<Result<_, _>>()?, keys: Fast::default(), list: Vec::new() }
            }
            AggregationKind::MultiTerms { sources, .. } => {
                let parts = sources.iter().map(|source| Part::new(source, context.lowering));
                Split::Composite { parts: parts.collect::<Result<_, _>>()?, keys: Fast::default(), list: Vec::new() }
            }
            _ => unreachable!("what has no buckets is counted by another part of Gather"),
        };
        let tables = match &split {
            Split::Terms { columns, .. } => columns.iter().map(|c| IdTable::new(c.space(), outer)).collect(),
            _ => vec![IdTable::new(None, outer)],
        };
        let inner = aggregation.inner.iter().map(|(_, a)| Gather::new(a, context, true)).collect::<Result<_, _>>()?;
        Ok(Buckets {
            split,
            tables,
            keys: Vec::new(),
            counts: Vec::new(),
            inner,
            overflow: false,
            inner_docs: Vec::new(),
            inner_parents: Vec::new(),
        })
    }

    fn add(&mut self, hits: &Docs<'_>) -> io::Result<()> {
        let Buckets { split, tables, keys, counts, inner, overflow, inner_docs, inner_parents } = self;
        let nested = !inner.is_empty();
        inner_docs.clear();
        inner_parents.clear();
        let mut count = |tables: &mut [IdTable], column: usize, at: usize, code: u64| {
            let parent = hits.parent(at);
            // What has no value is counted in a table that is by hash.
            let id = tables[column].id(parent, code, || {
                if keys.len() >= COUNTED_MAX {
                    *overflow = true;
                    return None;
                }
                keys.push((parent, column as u8, code));
                counts.push(0);
                Some(keys.len() as u32 - 1)
            });
            if let Some(id) = id {
                counts[id as usize] += 1;
                if nested {
                    inner_docs.push(hits.docs[at]);
                    inner_parents.push(id);
                }
            }
        };
        match split {
            Split::Terms { columns, missing } => {
                let mut without = Without::of(hits.docs, missing.as_ref().map(|_| MISSING));
                for (n, column) in columns.iter_mut().enumerate() {
                    column.each(hits.docs, |at, code| {
                        without.has(at);
                        count(tables, n, at, code);
                    });
                }
                if missing.is_some() && tables.len() == columns.len() {
                    tables.push(IdTable::Hashed(Fast::default()));
                }
                without.each(|at, missing| count(tables, columns.len(), at, missing));
            }
            Split::Dates { columns, rounding, missing } => {
                let absent = missing.map(|ns| i64::to_u64(rounding.start_of(ns)));
                let start = |_: Number, code: u64| Some(i64::to_u64(rounding.start_of(i64::from_u64(code))));
                once(columns, hits.docs, absent, start, |at, code| count(tables, 0, at, code));
            }
            Split::Numbers { columns, interval, offset, missing } => {
                let (interval, offset) = (*interval, *offset);
                let start_of = |n: f64| f64::to_u64(((n - offset) / interval).floor() * interval + offset);
                let start = |number: Number, code: u64| Some(start_of(number(code)));
                once(columns, hits.docs, missing.map(start_of), start, |at, code| count(tables, 0, at, code));
            }
            Split::Ranges { columns, ranges } => {
                let ranges = &*ranges;
                let which = |number: Number, code: u64| {
                    let n = number(code);
                    (0..).zip(ranges).filter(move |(_, (from, to))| *from <= n && n < *to).map(|(range, _)| range)
                };
                once(columns, hits.docs, None, which, |at, code| count(tables, 0, at, code));
            }
            Split::Filters { nodes } => {
                for (filter, node) in nodes.iter_mut().enumerate() {
                    let mut bits = Bits::none();
                    node.fill(hits.start, hits.len, &mut bits)?;
                    for (at, doc) in hits.docs.iter().enumerate() {
                        let within = doc - hits.start;
                        debug_assert!(within < WINDOW);
                        if bits.0[within as usize / 64] >> (within % 64) & 1 == 1 {
                            count(tables, 0, at, filter as u64);
                        }
                    }
                }
            }
            Split::Composite { parts, keys, list } => {
                let mut values: Vec<Vec<(u64, u64)>> = vec![Vec::new(); hits.docs.len() * parts.len()];
                let width = parts.len();
                for (n, part) in parts.iter_mut().enumerate() {
                    for (which, column) in part.columns.iter_mut().enumerate() {
                        let (rounded, number) = (&mut part.rounded, column.number());
                        column.each(hits.docs, |at, code| {
                            let code = match rounded {
                                Rounded::Time(rounding) => i64::to_u64(rounding.start_of(i64::from_u64(code))),
                                Rounded::Number(interval) => f64::to_u64((number(code) / *interval).floor() * *interval),
                                Rounded::No => code,
                            };
                            let known = &mut values[at * width + n];
                            match rounded {
                                Rounded::No => known.push((which as u64, code)),
                                // Several values of one interval are one.
                                _ if known.contains(&(0, code)) => {}
                                _ => known.push((0, code)),
                            }
                        });
                    }
                    if part.absent != Absent::LeftOut {
                        let of_part = values.iter_mut().skip(n).step_by(width);
                        of_part.filter(|known| known.is_empty()).for_each(|known| known.push((MISSING, MISSING)));
                    }
                }
                let mut cut = false;
                for at in 0..hits.docs.len() {
                    cut |= !combine(&values[at * width..(at + 1) * width], &mut |key| {
                        let next = list.len() as u64;
                        let code = match keys.get(key) {
                            Some(code) => *code,
                            None if list.len() < COUNTED_MAX => {
                                keys.insert(key.to_vec(), next);
                                list.push(key.to_vec());
                                next
                            }
                            // There is no room for its count either, which says so.
                            None => next,
                        };
                        count(tables, 0, at, code);
                    });
                }
                *overflow |= cut;
            }
        }
        if nested {
            // Inner aggregations go through documents in order.
            let order_needed = !inner_docs.is_sorted();
            if order_needed {
                let mut pairs: Vec<(DocId, u32)> = inner_docs.iter().copied().zip(inner_parents.iter().copied()).collect();
                pairs.sort_unstable();
                (*inner_docs, *inner_parents) = pairs.into_iter().unzip();
            }
            let within = Docs { start: hits.start, len: hits.len, docs: inner_docs, parents: Some(inner_parents) };
            for gather in inner {
                gather.add(&within)?;
            }
        }
        Ok(())
    }

    fn finish(self, parents: usize) -> io::Result<Vec<Tally>> {
        let mut inner: Vec<std::vec::IntoIter<Tally>> = Vec::new();
        for gather in self.inner {
            inner.push(gather.finish(self.keys.len())?.into_iter());
        }
        // The values of all buckets, column by column, in the order of codes.
        let mut values: Vec<Option<Key>> = vec![None; self.keys.len()];
        let mut order: Vec<u32> = (0..self.keys.len() as u32).collect();
        order.sort_unstable_by_key(|at| (self.keys[*at as usize].1, self.keys[*at as usize].2));
        for run in order.chunk_by(|a, b| self.keys[*a as usize].1 == self.keys[*b as usize].1) {
            let column = usize::from(self.keys[run[0] as usize].1);
            let mut codes: Vec<u64> = run.iter().map(|at| self.keys[*at as usize].2).collect();
            codes.dedup();
            let mut decoded: Vec<Option<Key>> = vec![None; codes.len()];
            self.split.decode(column, &codes, &mut |at, key| decoded[at] = Some(key))?;
            let mut at = 0;
            for bucket in run {
                while codes[at] != self.keys[*bucket as usize].2 {
                    at += 1;
                }
                values[*bucket as usize] = decoded[at].clone();
            }
        }
        let mut all: Vec<Counted> = (0..parents).map(|_| Counted::new(self.overflow)).collect();
        for ((value, (parent, ..)), count) in values.into_iter().zip(&self.keys).zip(&self.counts) {
            let inner: Vec<Tally> = inner.iter_mut().filter_map(Iterator::next).collect();
            if let Some(key) = value {
                all[*parent as usize].insert(key, *count, inner);
            }
        }
        Ok(all.into_iter().map(Tally::Buckets).collect())
    }
}

impl Split {
    fn decode(&self, column: usize, codes: &[u64], each: &mut dyn FnMut(usize, Key)) -> io::Result<()> {
        match self {
            Split::Terms { columns, missing } => match columns.get(column) {
                Some(column) => column.decode(codes, each)?,
                None => (0..codes.len()).for_each(|at| each(at, Key::Text(missing.clone().unwrap_or_default()))),
            },
            Split::Dates { .. } => codes.iter().enumerate().for_each(|(at, code)| each(at, Key::Time(i64::from_u64(*code)))),
            Split::Numbers { .. } => codes.iter().enumerate().for_each(|(at, code)| each(at, Key::float(f64::from_u64(*code)))),
            Split::Ranges { .. } | Split::Filters { .. } => {
                codes.iter().enumerate().for_each(|(at, code)| each(at, Key::Place(*code as u32)));
            }
            Split::Composite { parts, list, .. } => {
                for (at, code) in codes.iter().enumerate() {
                    let mut key = Vec::with_capacity(parts.len());
                    for (part, pair) in parts.iter().zip(list[*code as usize].chunks(2)) {
                        match (&part.absent, &part.rounded) {
                            (Absent::As(text), _) if pair[0] == MISSING => key.push(Key::Text(text.clone())),
                            _ if pair[0] == MISSING => key.push(Key::Null),
                            (_, Rounded::Time(_)) => key.push(Key::Time(i64::from_u64(pair[1]))),
                            (_, Rounded::Number(_)) => key.push(Key::float(f64::from_u64(pair[1]))),
                            (_, Rounded::No) => {
                                part.columns[pair[0] as usize].decode(&pair[1..], |_, value| key.push(value))?;
                            }
                        }
                    }
                    if key.len() == parts.len() {
                        each(at, Key::Tuple(key));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Makes a code a number.
type Number = fn(u64) -> f64;

/// Calls `count` with the place in `docs` of every document and each bucket that a value of it lies in, once however many do; `split` gives
/// the buckets of a code, `absent` is that of documents without a value.
fn once<B: IntoIterator<Item = u64>>(
    columns: &mut [Codes],
    docs: &[DocId],
    absent: Option<u64>,
    mut split: impl FnMut(Number, u64) -> B,
    mut count: impl FnMut(usize, u64),
) {
    let several = columns.len() > 1 || columns.iter().any(Codes::has_several);
    let mut found: Vec<(usize, u64)> = Vec::new();
    let mut without = Without::of(docs, absent);
    for column in columns {
        let number = column.number();
        column.each(docs, |at, code| {
            without.has(at);
            for bucket in split(number, code) {
                if several {
                    found.push((at, bucket));
                } else {
                    count(at, bucket);
                }
            }
        });
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().for_each(|(at, bucket)| count(at, bucket));
    without.each(count);
}

/// Calls `each` with every combination of one value of each part, as column and code in turn; false where there are too many for all.
fn combine(parts: &[Vec<(u64, u64)>], each: &mut dyn FnMut(&[u64])) -> bool {
    /// Keys that one event may have.
    const KEYS_MAX: usize = 64;
    if parts.iter().any(Vec::is_empty) {
        return true;
    }
    let all: usize = parts.iter().map(Vec::len).fold(1, usize::saturating_mul);
    let mut key = Vec::with_capacity(2 * parts.len());
    for mut n in 0..all.min(KEYS_MAX) {
        key.clear();
        for part in parts {
            let (column, code) = part[n % part.len()];
            n /= part.len();
            key.extend([column, code]);
        }
        each(&key);
    }
    all <= KEYS_MAX
}

/// A code, how often it is among the hits, and how often among all.
type Compared = (u64, [u64; 2]);

/// Values among the hits and among all.
pub(crate) struct Significant {
    columns: Vec<Codes>,
    counts: Vec<(IdTable, Vec<Compared>)>,
    hits: u64,
    all: u64,
    overflow: bool,
}

impl Significant {
    fn add(&mut self, docs: &[DocId], which: usize) {
        for (column, (table, counts)) in self.columns.iter_mut().zip(&mut self.counts) {
            let overflow = &mut self.overflow;
            column.each(docs, |_, code| {
                let id = table.id(0, code, || {
                    if counts.len() >= COUNTED_MAX {
                        *overflow = true;
                        return None;
                    }
                    counts.push((code, [0, 0]));
                    Some(counts.len() as u32 - 1)
                });
                if let Some(id) = id {
                    counts[id as usize].1[which] += 1;
                }
            });
        }
    }

    fn finish(self) -> io::Result<Tally> {
        let mut values = std::collections::BTreeMap::new();
        for (column, (_, mut counts)) in self.columns.iter().zip(self.counts) {
            counts.sort_unstable();
            let codes: Vec<u64> = counts.iter().map(|(code, _)| *code).collect();
            column.decode(&codes, |at, key| {
                let total: &mut [u64; 2] = values.entry(key).or_default();
                total[0] += counts[at].1[0];
                total[1] += counts[at].1[1];
            })?;
        }
        Ok(Tally::Significant { values, hits: self.hits, all: self.all, approximate: self.overflow })
    }
}

/// Codes that were seen in each outer bucket.
pub(crate) enum Seen {
    Dense(Vec<u64>),
    Hashed(std::collections::HashSet<(u32, u64), BuildHasherDefault<Mix>>),
}

impl Seen {
    fn new(column: &Codes, outer: bool) -> Seen {
        match column.space().filter(|n| *n <= 64 * DENSE_MAX && !outer) {
            Some(codes) => Seen::Dense(vec![0; codes.div_ceil(64) as usize]),
            None => Seen::Hashed(Default::default()),
        }
    }

    fn insert(&mut self, parent: u32, code: u64) {
        match self {
            Seen::Dense(bits) => bits[code as usize / 64] |= 1 << (code % 64),
            Seen::Hashed(all) => {
                all.insert((parent, code));
            }
        }
    }

    fn finish(self, column: &Codes, all: &mut [Distinct]) -> io::Result<()> {
        let mut pairs: Vec<(u64, u32)> = match self {
            Seen::Dense(bits) => {
                let places = |(n, word): (usize, &u64)| {
                    let word = *word;
                    (0..64u64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| (n as u64 * 64 + bit, 0))
                };
                bits.iter().enumerate().flat_map(places).collect()
            }
            Seen::Hashed(all) => all.into_iter().map(|(parent, code)| (code, parent)).collect(),
        };
        pairs.sort_unstable();
        let mut codes: Vec<u64> = pairs.iter().map(|(code, _)| *code).collect();
        codes.dedup();
        let mut pairs = pairs.into_iter().peekable();
        column.decode(&codes, |at, key| {
            let bytes = key.bytes();
            while let Some((_, parent)) = pairs.next_if(|(code, _)| *code <= codes[at]) {
                all[parent as usize].add(&bytes);
            }
        })
    }
}

/// The newest hits of each outer bucket.
pub(crate) struct TopHits {
    size: usize,
    sort: Sort,
    shard: usize,
    place: Box<dyn Fn(DocId) -> Place>,
    /// The last of them on top.
    heaps: Vec<BinaryHeap<Ranked>>,
}

impl TopHits {
    fn add(&mut self, hits: &Docs<'_>) {
        for (at, doc) in hits.docs.iter().enumerate() {
            let heap = slot(&mut self.heaps, hits.parent(at));
            heap.push(Ranked(((self.place)(*doc), self.shard), self.sort));
            if heap.len() > self.size {
                heap.pop();
            }
        }
    }
}
