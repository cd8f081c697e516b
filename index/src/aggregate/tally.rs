//! What was counted, by value: from segments of any number and order the same answer.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::calendar::Rounding;
use super::sketch::{Distinct, Quantiles, spanned};
use super::top::{First, Top};
use super::{
    Aggregation, AggregationKind, AggregationResult, BUCKETS_MAX, Bucket, COUNTED_MAX, HITS_MAX, Interval, Source, TOP_HITS_MAX,
    TermsOrder,
};
use crate::IndexError;
use crate::codes::Key;
use crate::hit::{Found, Hit};
use crate::search::Sort;
use event::Time;

/// Buckets by value.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    buckets: HashMap<Key, (u64, Vec<Tally>)>,
    approximate: bool,
}

impl Counted {
    /// None yet; `approximate`: some are left out.
    pub(crate) fn new(approximate: bool) -> Counted {
        Counted { buckets: HashMap::new(), approximate }
    }

    pub(crate) fn insert(&mut self, key: Key, count: u64, inner: Vec<Tally>) {
        match self.buckets.entry(key) {
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert((count, inner));
            }
            std::collections::hash_map::Entry::Occupied(mut known) => {
                let (sum, known) = known.get_mut();
                *sum += count;
                merge_all(known, inner);
            }
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.buckets.keys()
    }

    pub(super) fn count(&self, key: &Key) -> u64 {
        self.buckets.get(key).map_or(0, |(count, _)| *count)
    }

    pub(super) fn sum(&self) -> u64 {
        self.buckets.values().map(|(count, _)| *count).sum()
    }

    pub(super) fn approximate(&self) -> bool {
        self.approximate
    }

    pub(super) fn merge(&mut self, other: Counted) {
        self.approximate |= other.approximate;
        if self.buckets.is_empty() {
            self.buckets = other.buckets;
            return;
        }
        for (key, (count, inner)) in other.buckets {
            self.insert(key, count, inner);
        }
        if self.buckets.len() > COUNTED_MAX {
            // The rarest go; what is told says so.
            self.approximate = true;
            let mut counts: Vec<u64> = self.buckets.values().map(|(n, _)| *n).collect();
            let (_, least, _) = counts.select_nth_unstable(self.buckets.len() - COUNTED_MAX / 2);
            let least = *least;
            self.buckets.retain(|_, (n, _)| *n > least);
        }
    }
}

/// Figures of a field. The spread is kept as the sum of squared distances from the mean, which loses nothing where values are large and
/// close to each other (Welford 1962; put together as by Chan et al. 1979).
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    count: u64,
    sum: f64,
    squares: f64,
    mean: f64,
    distances: f64,
    range: Option<(f64, f64)>,
}

impl Stats {
    pub(crate) fn add(&mut self, n: f64) {
        self.count += 1;
        self.sum += n;
        self.squares += n * n;
        let distance = n - self.mean;
        self.mean += distance / self.count as f64;
        self.distances += distance * (n - self.mean);
        self.range = spanned(self.range, (n, n));
    }

    fn merge(&mut self, other: &Stats) {
        let Some(range) = other.range else { return };
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let distance = other.mean - self.mean;
        self.mean += distance * theirs / (mine + theirs);
        self.distances += other.distances + distance * distance * mine * theirs / (mine + theirs);
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
        self.range = spanned(self.range, range);
    }

    fn figures(&self) -> BTreeMap<String, Option<f64>> {
        let variance = self.range.map(|_| self.distances / self.count as f64);
        [
            ("count", Some(self.count as f64)),
            ("min", self.range.map(|(low, _)| low)),
            ("max", self.range.map(|(_, high)| high)),
            ("sum", Some(self.sum)),
            ("avg", self.range.map(|_| self.sum / self.count as f64)),
            ("sum_of_squares", Some(self.squares)),
            ("variance", variance),
            ("std_deviation", variance.map(f64::sqrt)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// What one aggregation has counted.
#[derive(Debug)]
pub(crate) enum Tally {
    Buckets(Counted),
    Top(Top),
    Significant { values: BTreeMap<Key, [u64; 2]>, hits: u64, all: u64, approximate: bool },
    Distinct(Distinct),
    Values(u64),
    Stats(Stats),
    Quantiles(Quantiles),
    Hits(Vec<Found>, Sort),
}

impl Tally {
    fn merge(&mut self, other: Tally) {
        match (self, other) {
            (Tally::Buckets(mine), Tally::Buckets(other)) => mine.merge(other),
            (Tally::Top(mine), Tally::Top(other)) => mine.merge(other),
            (Tally::Top(mine), Tally::Buckets(other)) => mine.merge_counted(other),
            (mine @ Tally::Buckets(_), Tally::Top(mut top)) => {
                if let Tally::Buckets(counted) = std::mem::replace(mine, Tally::Values(0)) {
                    top.merge_counted(counted);
                }
                *mine = Tally::Top(top);
            }
            (Tally::Distinct(mine), Tally::Distinct(other)) => mine.merge(other),
            (Tally::Values(mine), Tally::Values(other)) => *mine += other,
            (Tally::Stats(mine), Tally::Stats(other)) => mine.merge(&other),
            (Tally::Quantiles(mine), Tally::Quantiles(other)) => mine.merge(&other),
            (Tally::Hits(mine, sort), Tally::Hits(other, _)) => {
                mine.extend(other);
                first(mine, TOP_HITS_MAX, *sort);
            }
            (
                Tally::Significant { values, hits, all, approximate },
                Tally::Significant { values: more, hits: more_hits, all: more_all, approximate: too },
            ) => {
                for (key, counts) in more {
                    let mine = values.entry(key).or_default();
                    mine[0] += counts[0];
                    mine[1] += counts[1];
                }
                *hits += more_hits;
                *all += more_all;
                *approximate |= too;
            }
            _ => {}
        }
    }
}

/// The first `size` of these hits.
fn first(found: &mut Vec<Found>, size: usize, sort: Sort) {
    match sort {
        Sort::Desc => found.sort_unstable_by_key(|(place, ..)| std::cmp::Reverse(*place)),
        Sort::Asc => found.sort_unstable_by_key(|(place, ..)| *place),
    }
    found.truncate(size);
}

/// Adds what another segment has counted for the same aggregations.
pub(crate) fn merge_all(mine: &mut Vec<Tally>, other: Vec<Tally>) {
    if mine.is_empty() {
        *mine = other;
        return;
    }
    for (mine, other) in mine.iter_mut().zip(other) {
        mine.merge(other);
    }
}

/// Reads a hit from its columns.
pub(crate) type Resolve<'a> = dyn FnMut(&Found) -> Result<Hit, IndexError> + 'a;

/// Makes the answers of what was counted, within bounds that hold for all of them together.
pub(crate) struct Finish<'a> {
    resolve: &'a mut Resolve<'a>,
    stop: &'a dyn Fn() -> bool,
    buckets_left: usize,
    hits_left: usize,
    complete: bool,
}

impl<'a> Finish<'a> {
    /// `stop` is asked before each hit is read; buckets, which cost little, are told all the same.
    pub(crate) fn new(resolve: &'a mut Resolve<'a>, stop: &'a dyn Fn() -> bool) -> Finish<'a> {
        Finish { resolve, stop, buckets_left: BUCKETS_MAX, hits_left: HITS_MAX, complete: true }
    }

    /// The answers of `aggregations`, by name, and whether no hit was left out. `tallies` is in their order; empty where no segment was
    /// searched.
    pub(crate) fn answers(
        mut self,
        aggregations: &[(String, Aggregation)],
        tallies: Vec<Tally>,
    ) -> Result<(BTreeMap<String, AggregationResult>, bool), IndexError> {
        let all = answers(aggregations, tallies, &mut self)?;
        Ok((all, self.complete))
    }

    fn spend(&mut self, buckets: usize) -> Result<(), IndexError> {
        spend(&mut self.buckets_left, buckets)
    }

    fn hits(&mut self, found: &[Found]) -> Result<Vec<Hit>, IndexError> {
        let left = self.hits_left.checked_sub(found.len());
        self.hits_left =
            left.ok_or_else(|| IndexError::Refused(format!("the aggregations tell more than {HITS_MAX} hits: ask for fewer")))?;
        let mut hits = Vec::with_capacity(found.len());
        for found in found {
            if (self.stop)() {
                self.complete = false;
                break;
            }
            hits.push((self.resolve)(found)?);
        }
        Ok(hits)
    }
}

fn answers(
    aggregations: &[(String, Aggregation)],
    tallies: Vec<Tally>,
    on: &mut Finish<'_>,
) -> Result<BTreeMap<String, AggregationResult>, IndexError> {
    let mut tallies = tallies.into_iter();
    let mut all = BTreeMap::new();
    for (name, aggregation) in aggregations {
        let tally = tallies.next().unwrap_or_else(|| Tally::Buckets(Counted::default()));
        all.insert(name.clone(), answer(aggregation, tally, on)?);
    }
    Ok(all)
}

fn answer(aggregation: &Aggregation, tally: Tally, on: &mut Finish<'_>) -> Result<AggregationResult, IndexError> {
    let mut result = AggregationResult::default();
    match (&aggregation.kind, tally) {
        (AggregationKind::TopHits { size, sort }, Tally::Hits(mut found, _)) => {
            first(&mut found, *size, *sort);
            result.hits = on.hits(&found)?;
        }
        (AggregationKind::Cardinality { .. }, Tally::Distinct(distinct)) => result.value = Some(distinct.count() as f64),
        (AggregationKind::Cardinality { .. }, _) => result.value = Some(0.0),
        (AggregationKind::ValueCount { .. }, Tally::Values(count)) => result.value = Some(count as f64),
        (AggregationKind::ValueCount { .. }, _) => result.value = Some(0.0),
        (AggregationKind::Stats { .. }, Tally::Stats(stats)) => result.values = stats.figures(),
        (AggregationKind::Stats { .. }, _) => result.values = Stats::default().figures(),
        (AggregationKind::Percentiles { percents, .. }, tally) => {
            let quantiles = if let Tally::Quantiles(quantiles) = tally { quantiles } else { Quantiles::default() };
            result.values = percents.iter().map(|p| (p.to_string(), quantiles.percentile(*p))).collect();
        }
        (AggregationKind::PercentileRanks { values, .. }, tally) => {
            let quantiles = if let Tally::Quantiles(quantiles) = tally { quantiles } else { Quantiles::default() };
            result.values = values.iter().map(|value| (value.to_string(), quantiles.rank(*value))).collect();
        }
        (AggregationKind::Significant { size, .. }, Tally::Significant { values, hits, all, approximate }) => {
            result.approximate = approximate;
            result.buckets = significant(values, hits, all, *size);
            on.spend(result.buckets.len())?;
        }
        (AggregationKind::Terms { size, min_count, .. }, Tally::Top(mut top)) => {
            let fail = |source: std::io::Error| IndexError::Engine {
                action: "read a column of",
                shard: String::new(),
                source: source.into(),
            };
            let First { list, all, approximate } = top.first(*size, *min_count).map_err(fail)?;
            on.spend(list.len())?;
            result.approximate = approximate;
            result.other = Some(all - list.iter().map(|(_, count)| count).sum::<u64>());
            let bucket = |(key, count): (Key, u64)| Bucket {
                key: key.show(),
                kinds: vec![key.kind()],
                keys: Vec::new(),
                count,
                background: None,
                score: None,
                aggs: BTreeMap::new(),
            };
            result.buckets = list.into_iter().map(bucket).collect();
        }
        (kind, Tally::Buckets(counted)) => {
            result.approximate = counted.approximate;
            buckets(aggregation, kind, counted, on, &mut result)?;
        }
        _ => {}
    }
    Ok(result)
}

fn spend(left: &mut usize, buckets: usize) -> Result<(), IndexError> {
    *left = left
        .checked_sub(buckets)
        .ok_or_else(|| IndexError::Refused(format!("the aggregations make more than {BUCKETS_MAX} buckets: ask for fewer")))?;
    Ok(())
}

fn buckets(
    aggregation: &Aggregation,
    kind: &AggregationKind,
    counted: Counted,
    on: &mut Finish<'_>,
    result: &mut AggregationResult,
) -> Result<(), IndexError> {
    let named = |at: &Key, names: &[String]| match at {
        Key::Place(n) => names.get(*n as usize).cloned().unwrap_or_default(),
        key => key.show(),
    };
    let mut list: Vec<(Key, u64, Vec<Tally>)> = counted.buckets.into_iter().map(|(k, (n, inner))| (k, n, inner)).collect();
    if let AggregationKind::Terms { missing: Some(text), .. } = kind {
        as_a_value(&mut list, text);
    }
    let by_count = matches!(
        kind,
        AggregationKind::Terms { order: TermsOrder::Count, .. } | AggregationKind::MultiTerms { order: TermsOrder::Count, .. }
    );
    if !by_count {
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    }
    let mut names: Vec<String> = Vec::new();
    if let AggregationKind::Terms { chosen, .. } = kind
        && !chosen.is_all()
    {
        list.retain(|(key, count, _)| chosen.has(key, *count));
    }
    match kind {
        AggregationKind::Terms { size, order, min_count, .. } | AggregationKind::MultiTerms { size, order, min_count, .. } => {
            let sum = |list: &[(Key, u64, Vec<Tally>)]| list.iter().map(|(_, n, _)| n).sum::<u64>();
            let all = sum(&list);
            list.retain(|(_, n, _)| n >= min_count);
            if *order == TermsOrder::Count && *size < list.len() && *size > 0 {
                // Most values are not among the first: they are told apart before the first are put in order.
                list.select_nth_unstable_by(*size - 1, |a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                list.truncate(*size);
            }
            sort_terms(&mut list, order, aggregation);
            list.truncate(*size);
            result.other = Some(all - sum(&list));
        }
        AggregationKind::DateHistogram { interval, zone, min_count, bounds, .. } => {
            if let Interval::Fixed { ns, .. } = interval {
                result.interval_ms = Some(ns / 1_000_000);
            }
            if *min_count == 0 {
                fill_gaps(&mut list, Rounding::new(*interval, zone), *bounds)?;
            }
            list.retain(|(_, n, _)| n >= min_count);
        }
        AggregationKind::Range { ranges, .. } => {
            names = ranges.iter().map(|r| r.key.clone()).collect();
            fill_places(&mut list, names.len());
        }
        AggregationKind::Filters { filters } => {
            names = filters.iter().map(|(name, _)| name.clone()).collect();
            fill_places(&mut list, names.len());
        }
        AggregationKind::Composite { sources, size, after } => {
            let parts = |key: &Key| match key {
                Key::Tuple(parts) => parts.iter().map(|part| (*part != Key::Null).then(|| part.show())).collect::<Vec<_>>(),
                _ => Vec::new(),
            };
            if sources.iter().any(|(_, source)| source.descending) {
                list.sort_by(|a, b| in_order(&a.0, &b.0, sources));
            }
            if let Some(after) = after {
                // The last one of the page before may be gone: its hits have left the range of time.
                let begin = match list.iter().position(|(key, ..)| parts(key) == *after) {
                    Some(at) => at + 1,
                    None => list.iter().position(|(key, ..)| key.stands_to(after, sources).is_gt()).unwrap_or(list.len()),
                };
                list.drain(..begin);
            }
            let more = list.len() > *size;
            list.truncate(*size);
            result.after = list.last().filter(|_| more).map(|(key, ..)| parts(key));
        }
        _ => {}
    }
    on.spend(list.len())?;
    for (key, count, inner) in list {
        let (keys, kinds) = match &key {
            Key::Tuple(parts) => (parts.iter().map(Key::show).collect(), parts.iter().map(Key::kind).collect()),
            key => (Vec::new(), vec![key.kind()]),
        };
        let aggs = answers(&aggregation.inner, inner, on)?;
        result.buckets.push(Bucket { key: named(&key, &names), kinds, keys, count, background: None, score: None, aggs });
    }
    Ok(())
}

/// Makes what stands for hits without a value a value as all others are, of their kind, and one with its equal.
fn as_a_value(list: &mut Vec<(Key, u64, Vec<Tally>)>, missing: &str) {
    let own = Key::Text(missing.to_owned());
    let Some(at) = list.iter().position(|(key, ..)| *key == own) else { return };
    let mut others = list.iter().map(|(key, ..)| key).filter(|key| **key != own).peekable();
    let value = others.peek().and_then(|key| key.read(missing));
    let Some(value) = value.filter(|_| others.all(|key| !matches!(key, Key::Text(_)))) else { return };
    let (_, count, inner) = list.remove(at);
    match list.iter_mut().find(|(key, ..)| *key == value) {
        Some((_, known, mine)) => {
            *known += count;
            merge_all(mine, inner);
        }
        None => list.push((value, count, inner)),
    }
}

/// Composite keys in the order of their parts, each the way it was asked for.
fn in_order(a: &Key, b: &Key, sources: &[(String, Source)]) -> Ordering {
    let (Key::Tuple(a), Key::Tuple(b)) = (a, b) else { return a.cmp(b) };
    let one = |((a, b), (_, source)): ((&Key, &Key), &(String, Source))| {
        let ordering = a.cmp(b);
        if source.descending { ordering.reverse() } else { ordering }
    };
    a.iter().zip(b).zip(sources).map(one).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}

fn fill_places(list: &mut Vec<(Key, u64, Vec<Tally>)>, places: usize) {
    for place in 0..places as u32 {
        if !list.iter().any(|(key, ..)| *key == Key::Place(place)) {
            list.push((Key::Place(place), 0, Vec::new()));
        }
    }
    list.sort_by(|a, b| a.0.cmp(&b.0));
}

/// Adds the empty intervals between the first and the last, and to the bounds.
fn fill_gaps(
    list: &mut Vec<(Key, u64, Vec<Tally>)>,
    mut rounding: Rounding,
    bounds: Option<(Time, Time)>,
) -> Result<(), IndexError> {
    let ends = |list: &[(Key, u64, Vec<Tally>)]| match (list.first(), list.last()) {
        (Some((Key::Time(low), ..)), Some((Key::Time(high), ..))) => Some((*low, *high)),
        _ => None,
    };
    let wanted = bounds.map(|(low, high)| (rounding.start_of(low.unix_ns()), rounding.start_of(high.unix_ns())));
    let (low, high) = match (ends(list), wanted) {
        (Some((a, b)), Some((c, d))) => (a.min(c), b.max(d)),
        (Some(ends), None) | (None, Some(ends)) => ends,
        (None, None) => return Ok(()),
    };
    let mut filled = Vec::new();
    let mut known = std::mem::take(list).into_iter().peekable();
    let mut at = low;
    while at <= high {
        match known.next_if(|(key, ..)| *key <= Key::Time(at)) {
            Some(bucket) => {
                let again = bucket.0 < Key::Time(at);
                filled.push(bucket);
                if again {
                    continue;
                }
            }
            None => filled.push((Key::Time(at), 0, Vec::new())),
        }
        spend(&mut { BUCKETS_MAX }, filled.len())?;
        match rounding.next(at) {
            Some(next) => at = next,
            None => break,
        }
    }
    filled.extend(known);
    *list = filled;
    Ok(())
}

fn sort_terms(list: &mut [(Key, u64, Vec<Tally>)], order: &TermsOrder, aggregation: &Aggregation) {
    match order {
        TermsOrder::Count => list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0))),
        TermsOrder::CountAscending => list.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0))),
        TermsOrder::Key => {}
        TermsOrder::KeyDescending => list.reverse(),
        TermsOrder::Inner { name, figure, descending } => {
            let place = aggregation.inner.iter().position(|(n, _)| n == name);
            let figure = |bucket: &(Key, u64, Vec<Tally>)| match place.and_then(|at| bucket.2.get(at)) {
                Some(Tally::Stats(stats)) => stats.figures().get(figure.as_str()).copied().flatten(),
                Some(Tally::Distinct(distinct)) => Some(distinct.count() as f64),
                Some(Tally::Values(count)) => Some(*count as f64),
                Some(Tally::Quantiles(quantiles)) => figure.parse().ok().and_then(|p: f64| quantiles.percentile(p)),
                _ => None,
            };
            list.sort_by(|a, b| {
                let ordering = match (figure(a), figure(b)) {
                    (Some(a), Some(b)) => {
                        let ordering = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                        if *descending { ordering.reverse() } else { ordering }
                    }
                    // Of which nothing was measured comes last, either way.
                    (a, b) => b.is_some().cmp(&a.is_some()),
                };
                ordering.then_with(|| a.0.cmp(&b.0))
            });
        }
    }
}

/// The values that stand out: their share of the hits, times how much larger it is than their share of all (JLH score).
fn significant(values: BTreeMap<Key, [u64; 2]>, hits: u64, all: u64, size: usize) -> Vec<Bucket> {
    /// Fewer hits say nothing.
    const HITS_MIN: u64 = 3;
    let mut scored: Vec<(f64, Key, [u64; 2])> = Vec::new();
    for (key, counts) in values {
        let (here, there) = (counts[0] as f64 / hits.max(1) as f64, counts[1] as f64 / all.max(1) as f64);
        if counts[0] >= HITS_MIN && here > there && there > 0.0 {
            scored.push(((here - there) * (here / there), key, counts));
        }
    }
    scored.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1)));
    scored.truncate(size);
    let bucket = |(score, key, [count, background]): (f64, Key, [u64; 2])| Bucket {
        key: key.show(),
        kinds: vec![key.kind()],
        keys: Vec::new(),
        count,
        background: Some(background),
        score: Some(score),
        aggs: BTreeMap::new(),
    };
    scored.into_iter().map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_large_numbers_that_are_close_is_told() {
        let (mut one, mut two) = (Stats::default(), Stats::default());
        [1_775_001_600_001.0, 1_775_001_600_004.0].into_iter().for_each(|n| one.add(n));
        [1_775_001_600_007.0, 1_775_001_600_010.0].into_iter().for_each(|n| two.add(n));
        one.merge(&Stats::default());
        one.merge(&two);
        assert_eq!(one.figures()["variance"], Some(11.25));
        assert_eq!(Stats::default().figures()["std_deviation"], None);
    }
}
