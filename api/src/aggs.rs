//! Aggregations as requests write them: `{"NAME": {"KIND": {...}, "aggs": {...}}}`.

use std::collections::BTreeMap;

use event::Time;
use index::{Aggregation, AggregationKind, Calendar, Chosen, Interval, NumberRange, Sort, Source, TermsOrder, TimeZone, query};
use serde::Deserialize;

use crate::problem::Problem;

/// Buckets that a histogram without an interval aims at.
const BUCKETS_AIM: i64 = 60;
/// The percentiles told where none are named.
const PERCENTS: [f64; 7] = [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0];

/// One aggregation, with those within it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "serde_json::Map<String, serde_json::Value>")]
pub(crate) struct AggBody {
    kind: Kind,
    aggs: BTreeMap<String, AggBody>,
}

impl TryFrom<serde_json::Map<String, serde_json::Value>> for AggBody {
    type Error = serde_json::Error;

    fn try_from(mut map: serde_json::Map<String, serde_json::Value>) -> Result<AggBody, serde_json::Error> {
        let aggs = map.remove("aggs").map_or(Ok(BTreeMap::new()), serde_json::from_value)?;
        Ok(AggBody { kind: serde_json::from_value(map.into())?, aggs })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Kind {
    DateHistogram { field: Option<String>, interval: Option<String>, time_zone: Option<String>, min_count: Option<u64> },
    Histogram { field: String, interval: f64 },
    Terms { field: String, size: Option<usize>, order: Option<String>, min_count: Option<u64>, missing: Option<String> },
    Range { field: String, ranges: Vec<RangeBody> },
    Filters(BTreeMap<String, String>),
    Composite { fields: Vec<String>, size: Option<usize>, after: Option<Vec<Option<String>>> },
    Significant { field: String, size: Option<usize> },
    Cardinality { field: String },
    Stats { field: String },
    Percentiles { field: String, percents: Option<Vec<f64>> },
    TopHits { size: Option<usize>, sort: Option<String> },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeBody {
    key: Option<String>,
    from: Option<f64>,
    to: Option<f64>,
}

/// The aggregations of a search over `from..to`.
pub(crate) fn read(
    bodies: BTreeMap<String, AggBody>,
    (from, to, now): (Time, Time, Time),
) -> Result<Vec<(String, Aggregation)>, Problem> {
    bodies.into_iter().map(|(name, body)| Ok((name, one(body, (from, to, now))?))).collect()
}

fn one(body: AggBody, range: (Time, Time, Time)) -> Result<Aggregation, Problem> {
    let kind = match body.kind {
        Kind::DateHistogram { field, interval, time_zone, min_count } => AggregationKind::DateHistogram {
            field: field.unwrap_or_else(|| "@timestamp".to_owned()),
            interval: match interval {
                Some(text) => {
                    read_interval(&text).ok_or_else(|| Problem::bad("bad_interval", format!("{text:?} is no interval")))?
                }
                None => Interval::ms(nice_interval_ms(range.1.since_ns(range.0) / 1_000_000)),
            },
            zone: match time_zone {
                Some(name) => query::instant::zone(&name)
                    .ok_or_else(|| Problem::bad("bad_time_zone", format!("{name:?} is no time zone that is known")))?,
                None => TimeZone::UTC,
            },
            min_count: min_count.unwrap_or(1),
            bounds: None,
            missing: None,
        },
        Kind::Histogram { field, interval } => AggregationKind::Histogram { field, interval, offset: 0.0, missing: None },
        Kind::Terms { field, size, order, min_count, missing } => AggregationKind::Terms {
            field,
            size: size.unwrap_or(10),
            order: match order.as_deref() {
                None | Some("count") => TermsOrder::Count,
                Some("-count") => TermsOrder::CountAscending,
                Some("key") => TermsOrder::Key,
                Some("-key") => TermsOrder::KeyDescending,
                Some(_) => return Err(Problem::bad("bad_order", "order is count, -count, key or -key")),
            },
            min_count: min_count.unwrap_or(1),
            missing,
            chosen: Chosen::default(),
        },
        Kind::Range { field, ranges } => {
            let shown = |n: Option<f64>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
            let one = |r: RangeBody| NumberRange {
                key: r.key.unwrap_or_else(|| format!("{}-{}", shown(r.from), shown(r.to))),
                from: r.from,
                to: r.to,
            };
            AggregationKind::Range { field, ranges: ranges.into_iter().map(one).collect() }
        }
        Kind::Filters(filters) => {
            let one = |(name, text): (String, String)| match query::parse(&text, range.2) {
                Ok(query) => Ok((name, query)),
                Err(error) => Err(Problem::query(&error).of(&name)),
            };
            AggregationKind::Filters { filters: filters.into_iter().map(one).collect::<Result<_, _>>()? }
        }
        Kind::Composite { fields, size, after } => AggregationKind::Composite {
            sources: fields.into_iter().map(|field| (field.clone(), Source::terms(field))).collect(),
            size: size.unwrap_or(100),
            after,
        },
        Kind::Significant { field, size } => AggregationKind::Significant { field, size: size.unwrap_or(10) },
        Kind::Cardinality { field } => AggregationKind::Cardinality { field },
        Kind::TopHits { size, sort } => AggregationKind::TopHits {
            size: size.unwrap_or(3),
            sort: match sort.as_deref() {
                None | Some("desc") => Sort::Desc,
                Some("asc") => Sort::Asc,
                Some(_) => return Err(Problem::bad("bad_order", "sort is desc or asc")),
            },
        },
        Kind::Stats { field } => AggregationKind::Stats { field, missing: None },
        Kind::Percentiles { field, percents } => {
            AggregationKind::Percentiles { field, percents: percents.unwrap_or_else(|| PERCENTS.to_vec()), missing: None }
        }
    };
    Ok(Aggregation { kind, inner: read(body.aggs, range)? })
}

/// `15m`, `1h`, or a unit of the calendar: `day`, `week` (or `1w`), `month`, `quarter`, `year`.
fn read_interval(text: &str) -> Option<Interval> {
    Some(match text {
        "minute" => Interval::Calendar(Calendar::Minute),
        "hour" => Interval::Calendar(Calendar::Hour),
        "day" => Interval::Calendar(Calendar::Day),
        "week" | "1w" => Interval::Calendar(Calendar::Week),
        "month" => Interval::Calendar(Calendar::Month),
        "quarter" => Interval::Calendar(Calendar::Quarter),
        "year" => Interval::Calendar(Calendar::Year),
        _ => {
            let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let seconds = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86_400,
                _ => return None,
            };
            Interval::ms(count.parse::<i64>().ok().filter(|n| (1..=100_000).contains(n))? * seconds * 1000)
        }
    })
}

/// The round interval that gives about so many buckets.
fn nice_interval_ms(range_ms: i64) -> i64 {
    const SECONDS: [i64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10_800, 43_200, 86_400];
    let aim = range_ms / BUCKETS_AIM;
    SECONDS.iter().map(|s| s * 1000).find(|ms| *ms >= aim).unwrap_or(7 * 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregations_are_read_or_refused() {
        let times = (Time::EPOCH, Time::from_unix_s(3600), Time::from_unix_s(3600));
        for (json, reads) in [
            (r#"{"a":{"terms":{"field":"user.name","order":"-key"},"aggs":{"b":{"cardinality":{"field":"source.ip"}}}}}"#, true),
            (r#"{"a":{"date_histogram":{"interval":"month","time_zone":"Asia/Tokyo","min_count":0}}}"#, true),
            (r#"{"a":{"filters":{"x":"user.name:a","y":"*"}}}"#, true),
            (r#"{"a":{"terms":{"field":"user.name"},"aggs":{"b":{"top_hits":{"size":1}}}}}"#, true),
            (r#"{"a":{"date_histogram":{"interval":"1w","time_zone":"+09:00"}}}"#, true),
            (r#"{"a":{"date_histogram":{"interval":"2 moons"}}}"#, false),
            (r#"{"a":{"date_histogram":{"interval":"2w"}}}"#, false),
            (r#"{"a":{"date_histogram":{"time_zone":"+25:00"}}}"#, false),
            (r#"{"a":{"date_histogram":{"time_zone":"Moon/Base"}}}"#, false),
            (r#"{"a":{"filters":{"x":"("}}}"#, false),
            (r#"{"a":{"terms":{"field":"x","surprise":1}}}"#, false),
            (r#"{"a":{"terms":{"field":"x"},"stats":{"field":"x"}}}"#, false),
        ] {
            let bodies: Result<BTreeMap<String, AggBody>, _> = serde_json::from_str(json);
            assert_eq!(bodies.is_ok_and(|b| read(b, times).is_ok()), reads, "{json}");
        }
    }
}
