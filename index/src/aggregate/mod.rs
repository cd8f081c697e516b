//! Counting over all hits of a search.
//!
//! ```text
//!  window of hits ─▶ Gather (per segment: documents and the bucket each belongs to) ─▶ Tally (values, mergeable) ─▶ AggregationResult
//! ```
//!
//! Within a segment everything is counted by code: a place in a dictionary, a number, an interval. Codes become values once a segment.

mod calendar;
mod gather;
mod sketch;
mod tally;
mod top;

use std::collections::BTreeSet;

use event::Time;
use serde::Serialize;

pub use calendar::{Calendar, Interval};
pub(crate) use gather::{Context, Docs, Gather};
pub(crate) use tally::{Finish, Tally, merge_all};

use crate::codes::Key;
use crate::hit::Hit;
use crate::query::Query;
use crate::schema::MESSAGE;
use crate::search::Sort;

/// Buckets within each other; the innermost may hold figures.
pub const DEPTH_MAX: usize = 3;
/// Aggregations of one search, those within others included.
pub const AGGREGATIONS_MAX: usize = 50;
/// Buckets of one answer, those within others included. As in the search engines whose clients we serve.
pub const BUCKETS_MAX: usize = 65_536;
/// Hits that all buckets of one answer tell together: each is read from its columns, some 4 KB and 40 µs.
pub(crate) const HITS_MAX: usize = 10_000;
/// Hits of one bucket.
const TOP_HITS_MAX: usize = 100;
/// Values that one terms aggregation may list.
pub const TERMS_MAX: usize = 10_000;
/// Pairs of an outer bucket and a value that are counted in one segment: 40 bytes each.
pub(crate) const COUNTED_MAX: usize = 1_000_000;

/// What is counted.
#[derive(Clone, Debug)]
pub struct Aggregation {
    /// How hits are put into buckets, or what is measured of them.
    pub kind: AggregationKind,
    /// What is counted within each bucket, by name.
    pub inner: Vec<(String, Aggregation)>,
}

impl From<AggregationKind> for Aggregation {
    fn from(kind: AggregationKind) -> Aggregation {
        Aggregation { kind, inner: Vec::new() }
    }
}

/// How hits are put into buckets, or what is measured of them.
#[derive(Clone, Debug)]
pub enum AggregationKind {
    /// Hits by interval of time.
    DateHistogram {
        /// The field, `@timestamp` as a rule.
        field: String,
        /// The width of a bucket.
        interval: Interval,
        /// The time zone in which intervals begin.
        zone: jiff::tz::TimeZone,
        /// Buckets with fewer hits are left out; 0: also empty ones are listed, from the first to the last or over `bounds`.
        min_count: u64,
        /// The instants that empty buckets reach to.
        bounds: Option<(Time, Time)>,
        /// The instant under which hits without one are counted.
        missing: Option<Time>,
    },
    /// Hits by interval of a number.
    Histogram {
        /// The field.
        field: String,
        /// The width of a bucket.
        interval: f64,
        /// By how much every bucket begins later.
        offset: f64,
        /// The number under which hits without one are counted.
        missing: Option<f64>,
    },
    /// The most frequent values of a field.
    Terms {
        /// The field.
        field: String,
        /// How many.
        size: usize,
        /// Their order.
        order: TermsOrder,
        /// Values with fewer hits are left out.
        min_count: u64,
        /// The value under which hits without one are counted.
        missing: Option<String>,
        /// Which values there may be.
        chosen: Chosen,
    },
    /// The most frequent combinations of the values of several fields.
    MultiTerms {
        /// The fields.
        sources: Vec<Source>,
        /// How many.
        size: usize,
        /// Their order.
        order: TermsOrder,
        /// Combinations with fewer hits are left out.
        min_count: u64,
    },
    /// Hits by given ranges of a number.
    Range {
        /// The field.
        field: String,
        /// The ranges.
        ranges: Vec<NumberRange>,
    },
    /// Hits by queries.
    Filters {
        /// The queries by name.
        filters: Vec<(String, Query)>,
    },
    /// Hits by several fields at once, all of them, page by page.
    Composite {
        /// What makes the key.
        sources: Vec<(String, Source)>,
        /// Buckets of one page.
        size: usize,
        /// The last key of the page before; none stands for hits that have no value.
        after: Option<Vec<Option<String>>>,
    },
    /// Values that are more frequent among the hits than in the whole range of time.
    Significant {
        /// The field.
        field: String,
        /// How many.
        size: usize,
    },
    /// How many different values there are: exact up to 65,536, within 1 % beyond.
    Cardinality {
        /// The field.
        field: String,
    },
    /// How many values there are.
    ValueCount {
        /// The field.
        field: String,
    },
    /// Count, minimum, maximum, sum, mean and spread of numbers; of instants, in milliseconds since 1970.
    Stats {
        /// The field.
        field: String,
        /// The number that hits without one are measured as.
        missing: Option<f64>,
    },
    /// Percentiles, each within 1 % of a value that stands there.
    Percentiles {
        /// The field.
        field: String,
        /// Which, 0 to 100.
        percents: Vec<f64>,
        /// The number that hits without one are measured as.
        missing: Option<f64>,
    },
    /// How many of a hundred values are not above each of these, within 1 %.
    PercentileRanks {
        /// The field.
        field: String,
        /// Which.
        values: Vec<f64>,
        /// The number that hits without one are measured as.
        missing: Option<f64>,
    },
    /// The newest hits, or the oldest.
    TopHits {
        /// How many.
        size: usize,
        /// Which end comes first.
        sort: Sort,
    },
}

impl AggregationKind {
    /// Whether hits are put into buckets, rather than measured.
    fn has_buckets(&self) -> bool {
        use AggregationKind::{Cardinality, PercentileRanks, Percentiles, Stats, TopHits, ValueCount};
        !matches!(
            self,
            Cardinality { .. } | ValueCount { .. } | Stats { .. } | Percentiles { .. } | PercentileRanks { .. } | TopHits { .. }
        )
    }
}

/// The order of a terms aggregation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum TermsOrder {
    /// The most frequent first; of equals, by value.
    #[default]
    Count,
    /// The rarest first.
    CountAscending,
    /// By value.
    Key,
    /// By value, the last first.
    KeyDescending,
    /// By what an aggregation within measures.
    Inner {
        /// Its name.
        name: String,
        /// Which figure of it: `value`, `min`, `max`, `sum`, `avg`, or a percent.
        figure: String,
        /// The largest first.
        descending: bool,
    },
}

/// A range of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberRange {
    /// Its name.
    pub key: String,
    /// The first number.
    pub from: Option<f64>,
    /// The number before which it ends.
    pub to: Option<f64>,
}

/// Which values a terms aggregation may list: all that these do not leave out.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// Only these.
    pub include: Option<Only>,
    /// None of these.
    pub exclude: Option<Only>,
    /// Those with so many hits at most.
    pub count_max: Option<u64>,
}

/// Some of all values.
#[derive(Clone, Debug)]
pub enum Only {
    /// Those that are shown so.
    Values(BTreeSet<String>),
    /// Those that are shown so that this is found.
    Regex(regex::Regex),
    /// One of several parts of about the same size.
    Part {
        /// Which, from 0.
        part: u64,
        /// Of how many.
        of: u64,
    },
}

impl Chosen {
    /// Whether nothing is left out.
    pub(crate) fn is_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_none() && self.count_max.is_none()
    }

    /// Whether a value is listed that has so many hits.
    pub(crate) fn has(&self, key: &Key, count: u64) -> bool {
        let within = |only: &Only| match only {
            Only::Values(values) => values.contains(&key.show()),
            Only::Regex(regex) => regex.is_match(&key.show()),
            Only::Part { part, of } => sketch::hash(&key.bytes()) % of.max(&1) == *part,
        };
        self.include.as_ref().is_none_or(within)
            && !self.exclude.as_ref().is_some_and(within)
            && self.count_max.is_none_or(|max| count <= max)
    }
}

/// A part of a composite key.
#[derive(Clone, Debug)]
pub struct Source {
    /// What it is.
    pub of: SourceOf,
    /// What becomes of hits without a value.
    pub absent: Absent,
    /// Whether the last values come first.
    pub descending: bool,
}

impl Source {
    /// A field's value.
    pub fn terms(field: impl Into<String>) -> Source {
        SourceOf::Terms { field: field.into() }.into()
    }
}

impl From<SourceOf> for Source {
    fn from(of: SourceOf) -> Source {
        Source { of, absent: Absent::LeftOut, descending: false }
    }
}

/// What a part of a composite key is.
#[derive(Clone, Debug)]
pub enum SourceOf {
    /// A field's value.
    Terms {
        /// The field.
        field: String,
    },
    /// An interval of time.
    DateHistogram {
        /// The field.
        field: String,
        /// The width.
        interval: Interval,
        /// The time zone.
        zone: jiff::tz::TimeZone,
    },
    /// An interval of a number.
    Histogram {
        /// The field.
        field: String,
        /// The width.
        interval: f64,
    },
}

impl SourceOf {
    /// The field.
    pub fn field(&self) -> &str {
        match self {
            SourceOf::Terms { field } | SourceOf::DateHistogram { field, .. } | SourceOf::Histogram { field, .. } => field,
        }
    }
}

/// What becomes of hits that have no value for a part of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Absent {
    /// They are in no bucket.
    LeftOut,
    /// They are in one of their own, which comes before all others.
    Null,
    /// As if they had this value.
    As(String),
}

/// The kind of a bucket's value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum KeyKind {
    #[default]
    Text,
    Number,
    Bool,
    Time,
    Ip,
    /// That there is none.
    Null,
}

/// One value and how often it occurs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// The value, or the start of the interval.
    pub key: String,
    /// The kind of [`Bucket::key`], or of each part of a composite key.
    #[serde(skip)]
    pub kinds: Vec<KeyKind>,
    /// The parts of a composite key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// How often.
    pub count: u64,
    /// How often in the whole range of time, for significant values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<u64>,
    /// How much more frequent it is than usual, for significant values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// What was counted within, by name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub aggs: std::collections::BTreeMap<String, AggregationResult>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AggregationResult {
    /// The width of a bucket, for histograms of a fixed width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// The buckets: by time, or in the order asked for.
    pub buckets: Vec<Bucket>,
    /// Hits with other values than those listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<u64>,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What was measured, by name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub values: std::collections::BTreeMap<String, Option<f64>>,
    /// The newest hits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<Hit>,
    /// Set where there were more values than can be counted: the rarest are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approximate: bool,
    /// The last composite key, where more may follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<Option<String>>>,
}

fn is_interval(source: &SourceOf) -> bool {
    match source {
        SourceOf::Terms { .. } => true,
        SourceOf::DateHistogram { interval, .. } => !matches!(interval, Interval::Fixed { ns, .. } if *ns <= 0),
        SourceOf::Histogram { interval, .. } => interval.is_finite() && *interval > 0.0,
    }
}

/// Why these aggregations are refused.
pub(crate) fn problem(aggregations: &[(String, Aggregation)]) -> Option<String> {
    fn walk(list: &[(String, Aggregation)], depth: usize, count: &mut usize) -> Option<String> {
        if list.iter().any(|(_, a)| depth > DEPTH_MAX + usize::from(!a.kind.has_buckets())) {
            return Some(format!("buckets may stand {DEPTH_MAX} deep"));
        }
        list.iter().find_map(|(name, aggregation)| {
            *count += 1;
            if *count > AGGREGATIONS_MAX {
                return Some(format!("{AGGREGATIONS_MAX} aggregations at most"));
            }
            let inner = &aggregation.inner;
            let own = match &aggregation.kind {
                AggregationKind::Terms { field, .. }
                | AggregationKind::Significant { field, .. }
                | AggregationKind::Cardinality { field }
                    if field == MESSAGE =>
                {
                    Some(format!("{name}: of {MESSAGE} the words are kept, not its values: they cannot be counted"))
                }
                AggregationKind::Terms { size, .. }
                | AggregationKind::MultiTerms { size, .. }
                | AggregationKind::Significant { size, .. }
                    if *size > TERMS_MAX =>
                {
                    Some(format!("{name}: {TERMS_MAX} values at most"))
                }
                AggregationKind::Composite { size, .. } if *size > TERMS_MAX => {
                    Some(format!("{name}: {TERMS_MAX} buckets at most"))
                }
                AggregationKind::Composite { sources, .. } if sources.is_empty() || sources.len() > 8 => {
                    Some(format!("{name}: a key has 1 to 8 parts"))
                }
                AggregationKind::MultiTerms { sources, .. } if sources.is_empty() || sources.len() > 8 => {
                    Some(format!("{name}: a key has 1 to 8 parts"))
                }
                AggregationKind::Composite { sources, .. } if sources.iter().any(|(_, source)| !is_interval(&source.of)) => {
                    Some(format!("{name}: the interval must be more than 0"))
                }
                AggregationKind::PercentileRanks { values, .. } if values.len() > 100 => {
                    Some(format!("{name}: 100 values at most"))
                }
                AggregationKind::Histogram { interval, offset, .. }
                    if !(interval.is_finite() && *interval > 0.0 && offset.is_finite()) =>
                {
                    Some(format!("{name}: the interval must be more than 0"))
                }
                AggregationKind::DateHistogram { interval: Interval::Fixed { ns, .. }, .. } if *ns <= 0 => {
                    Some(format!("{name}: the interval must be more than 0"))
                }
                AggregationKind::Filters { filters } if filters.len() > 100 => Some(format!("{name}: 100 filters at most")),
                AggregationKind::Range { ranges, .. } if ranges.len() > 100 => Some(format!("{name}: 100 ranges at most")),
                AggregationKind::TopHits { size, .. } if *size > TOP_HITS_MAX => {
                    Some(format!("{name}: {TOP_HITS_MAX} hits at most"))
                }
                AggregationKind::Percentiles { percents, .. }
                    if percents.len() > 100 || percents.iter().any(|p| !(0.0..=100.0).contains(p)) =>
                {
                    Some(format!("{name}: 100 percentiles at most, each from 0 to 100"))
                }
                kind if !kind.has_buckets() && !inner.is_empty() => {
                    Some(format!("{name}: nothing can be counted within what has no buckets"))
                }
                AggregationKind::Significant { .. } if depth > 1 || !inner.is_empty() => {
                    Some(format!("{name}: what is significant is told of all hits only"))
                }
                _ => None,
            };
            own.or_else(|| walk(inner, depth + 1, count))
        })
    }
    walk(aggregations, 1, &mut 0)
}
