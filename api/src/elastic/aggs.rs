//! Aggregations as Elasticsearch's clients write them, and as they want them answered.
//!
//! The index counts; here a request becomes what it counts ([`index::Aggregation`]) beside the shape in which the answer is told.

use std::collections::BTreeMap;
use std::ops::Bound;

use event::Time;
use index::query::{Query, Scalar, Test};
use index::{
    Aggregation, AggregationKind, AggregationResult, BUCKETS_MAX, Bucket, Calendar, Interval, KeyKind, NumberRange, Sort,
    TimeZone,
};
use serde_json::{Map, Value, json};

use super::dates::{self, Reading};
use super::dsl::{Dsl, any, zone_of};
use super::fault::{Fault, Members, list_of, number_of};
use super::hits::{Filter, Shape as HitShape};
use super::pipeline::{self, Pipeline};
use super::{keys, typed};

type Read<T> = Result<T, Fault>;

/// Aggregations within each other that are looked at; those of the index have their own bound.
const DEPTH_MAX: usize = 8;
/// The percentiles told where none are named.
const PERCENTS: [f64; 7] = [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0];

/// One aggregation of an answer.
pub(crate) struct Told {
    pub(super) name: String,
    /// What its answer is called where names tell kinds.
    typed: &'static str,
    pub(super) shape: Shape,
    meta: Option<Value>,
    inner: Telling,
}

/// How all aggregations of a level are told.
#[derive(Default)]
pub(crate) struct Telling {
    list: Vec<Told>,
    /// What is computed from the others.
    computed: Vec<Pipeline>,
}

/// How an aggregation is told.
pub(super) enum Shape {
    Dates {
        format: Option<String>,
        zone: TimeZone,
        keyed: bool,
        descending: bool,
    },
    Numbers {
        interval: f64,
        min_count: u64,
        bounds: Option<(f64, f64)>,
        keyed: bool,
        descending: bool,
    },
    Terms {
        date: bool,
        format: Option<String>,
    },
    /// Of terms that are few: whether all were seen is certain, or nothing is told.
    Rare,
    Combined,
    Filter,
    Filters {
        keyed: bool,
    },
    Ranges {
        keyed: bool,
        ends: Vec<Map<String, Value>>,
    },
    Composite {
        names: Vec<String>,
        formats: Vec<Option<String>>,
    },
    Significant,
    Figure {
        figure: &'static str,
        /// How an instant is written, where it is one.
        date: Option<String>,
    },
    Value,
    Stats {
        sigma: Option<f64>,
        date: Option<String>,
    },
    Percentiles {
        percents: Vec<f64>,
        keyed: bool,
    },
    TopHits {
        shape: HitShape,
        from: usize,
    },
    TopMetrics {
        fields: Vec<String>,
        size: usize,
    },
}

impl Telling {
    /// What the answer of this name is called, where there is one, and what is told within it.
    pub(super) fn kind_of(&self, name: &str) -> Option<(&'static str, Option<&Telling>)> {
        let counted = self.list.iter().find(|told| told.name == name).map(|told| (told.typed, Some(&told.inner)));
        counted.or_else(|| self.computed.iter().find(|p| p.name() == name).map(|p| (p.typed(), None)))
    }
}

/// What is counted, and how it is told.
pub(crate) type Plan = (Vec<(String, Aggregation)>, Telling);

/// The aggregations of a request.
pub(crate) fn read(value: Value, dsl: &mut Dsl<'_>, depth: usize) -> Read<Plan> {
    if depth > DEPTH_MAX {
        return Err(Fault::illegal(format!("aggregations stand {DEPTH_MAX} deep at most")));
    }
    let (mut counted, mut told) = (Vec::new(), Telling::default());
    for (name, body) in Members::new("aggs", value)?.rest() {
        let mut members = Members::new(&name, body)?;
        let (inner, inner_told) = match members.take("aggs").or_else(|| members.take("aggregations")) {
            Some(inner) => read(inner, dsl, depth + 1)?,
            None => (Vec::new(), Telling::default()),
        };
        let meta = members.take("meta");
        let (kind, body) = members.single().map_err(|_| Fault::parsing(format!("the aggregation [{name}] is of one kind")))?;
        if let Some(pipeline) = Pipeline::read(&name, &kind, &body, &mut dsl.values_left)? {
            if depth == 0 && !pipeline.is_beside() {
                return Err(Fault::illegal(format!(
                    "[{kind}] [{name}] stands within the aggregation whose buckets it computes from"
                )));
            }
            told.computed.push(pipeline.with_meta(meta));
            continue;
        }
        let (counts, shape) = one(&kind, body, dsl, &inner, &inner_told.list)?;
        fits_within(&shape, &inner_told)?;
        let typed = typed::kind_of(&kind, &counts, dsl.fields);
        counted.push((name.clone(), Aggregation { kind: counts, inner }));
        told.list.push(Told { name, typed, shape, meta, inner: inner_told });
    }
    let named = |path: &str| {
        let others = told.list.iter().map(|t| t.name.as_str()).chain(told.computed.iter().map(Pipeline::name));
        pipeline::is_own(path) || others.into_iter().any(|name| pipeline::begins(path, name))
    };
    match told.computed.iter().flat_map(Pipeline::paths).find(|path| !named(path)) {
        Some(path) => Err(Fault::illegal(format!("No aggregation found for path [{path}]"))),
        None => Ok((counted, told)),
    }
}

/// Whether what is computed within an aggregation of this shape can be.
fn fits_within(shape: &Shape, inner: &Telling) -> Read<()> {
    let histogram = matches!(shape, Shape::Dates { .. } | Shape::Numbers { .. });
    match inner.computed.iter().find(|pipeline| pipeline.wants_histogram() && !histogram) {
        Some(pipeline) => Err(Fault::illegal(format!("[{}] stands within a histogram or date_histogram", pipeline.name()))),
        None => Ok(()),
    }
}

pub(super) fn field_of(members: &mut Members, dsl: &Dsl<'_>) -> Read<String> {
    let field = members.required("field")?;
    let field = field.as_str().ok_or_else(|| Fault::parsing("[field] is a text"))?;
    Ok(dsl.fields.name(field).to_owned())
}

/// A field whose values can be listed: not a text, whose words are not.
pub(super) fn listed(members: &mut Members, dsl: &Dsl<'_>) -> Read<String> {
    let field = field_of(members, dsl)?;
    if dsl.fields.kind(&field) == "text" {
        return Err(Fault::illegal(format!("the values of the text field [{field}] cannot be listed")));
    }
    Ok(field)
}

fn one(
    kind: &str,
    body: Value,
    dsl: &mut Dsl<'_>,
    inner: &[(String, Aggregation)],
    inner_told: &[Told],
) -> Read<(AggregationKind, Shape)> {
    let mut members = match (kind, body) {
        ("filter", body) => {
            let query = dsl.query(body)?;
            return Ok((AggregationKind::Filters { filters: vec![(String::new(), query)] }, Shape::Filter));
        }
        (kind, body) => Members::new(kind, body)?,
    };
    let read = match kind {
        "date_histogram" => dates_of(&mut members, dsl)?,
        "histogram" => {
            let field = field_of(&mut members, dsl)?;
            let interval = members.number("interval")?.ok_or_else(|| Fault::parsing("[histogram] requires [interval]"))?;
            let offset = members.number("offset")?.unwrap_or(0.0);
            let min_count = members.count("min_doc_count")?.unwrap_or(0) as u64;
            let bounds = members.take("extended_bounds").map(|b| number_bounds(&b)).transpose()?;
            let keyed = members.flag("keyed")?.unwrap_or(false);
            let descending = descending_of(&mut members)?;
            let missing = members.number("missing")?;
            let shape = Shape::Numbers { interval, min_count, bounds, keyed, descending };
            (AggregationKind::Histogram { field, interval, offset, missing }, shape)
        }
        "terms" => keys::terms_of(&mut members, dsl, inner, inner_told)?,
        "rare_terms" => keys::rare_of(&mut members, dsl)?,
        "multi_terms" => keys::combined_of(&mut members, dsl, inner, inner_told)?,
        "filters" => filters_of(&mut members, dsl)?,
        "missing" => {
            let field = field_of(&mut members, dsl)?;
            let query = Query::Not(Box::new(Query::Field(field, Test::Exists)));
            (AggregationKind::Filters { filters: vec![(String::new(), query)] }, Shape::Filter)
        }
        "range" => ranges_of(&mut members, dsl)?,
        "date_range" => date_ranges_of(&mut members, dsl)?,
        "ip_range" => ip_ranges_of(&mut members, dsl)?,
        "composite" => keys::composite_of(&mut members, dsl)?,
        "significant_terms" => {
            let field = listed(&mut members, dsl)?;
            let size = members.count("size")?.unwrap_or(10);
            members.ignore(&["shard_size", "jlh"]);
            (AggregationKind::Significant { field, size }, Shape::Significant)
        }
        "avg" | "sum" | "min" | "max" => {
            let field = field_of(&mut members, dsl)?;
            let date = date_format(&mut members, dsl, &field)?;
            members.ignore(&["value_type"]);
            let figure = match kind {
                "avg" => "avg",
                "sum" => "sum",
                "min" => "min",
                _ => "max",
            };
            let missing = members.number("missing")?;
            (AggregationKind::Stats { field, missing }, Shape::Figure { figure, date })
        }
        "stats" | "extended_stats" => {
            let field = field_of(&mut members, dsl)?;
            let date = date_format(&mut members, dsl, &field)?;
            let sigma = members.number("sigma")?.unwrap_or(2.0);
            let sigma = (kind == "extended_stats").then_some(sigma);
            let missing = members.number("missing")?;
            (AggregationKind::Stats { field, missing }, Shape::Stats { sigma, date })
        }
        "value_count" => {
            let field = field_of(&mut members, dsl)?;
            // Every event has one of these, and one time.
            let field = if matches!(field.as_str(), "_id" | "_index") { "@timestamp".to_owned() } else { field };
            (AggregationKind::ValueCount { field }, Shape::Value)
        }
        "cardinality" => {
            members.ignore(&["precision_threshold", "execution_hint", "rehash"]);
            (AggregationKind::Cardinality { field: listed(&mut members, dsl)? }, Shape::Value)
        }
        "percentiles" => {
            let field = field_of(&mut members, dsl)?;
            let percents = match members.take("percents") {
                Some(list) => {
                    let wrong = || Fault::parsing("[percents] are numbers");
                    list_of(list).iter().map(|p| number_of(p).ok_or_else(wrong)).collect::<Read<Vec<f64>>>()?
                }
                None => PERCENTS.to_vec(),
            };
            let keyed = members.flag("keyed")?.unwrap_or(true);
            members.ignore(&["tdigest", "hdr", "format"]);
            let missing = members.number("missing")?;
            (AggregationKind::Percentiles { field, percents: percents.clone(), missing }, Shape::Percentiles { percents, keyed })
        }
        "percentile_ranks" => {
            let field = field_of(&mut members, dsl)?;
            let wrong = || Fault::parsing("[values] are numbers");
            let values = list_of(members.required("values")?);
            let values = values.iter().map(|p| number_of(p).ok_or_else(wrong)).collect::<Read<Vec<f64>>>()?;
            let keyed = members.flag("keyed")?.unwrap_or(true);
            members.ignore(&["tdigest", "hdr", "format"]);
            let missing = members.number("missing")?;
            (
                AggregationKind::PercentileRanks { field, values: values.clone(), missing },
                Shape::Percentiles { percents: values, keyed },
            )
        }
        "top_hits" => {
            let size = members.count("size")?.unwrap_or(3);
            let sort = by_time(members.take("sort"))?;
            let from = members.count("from")?.unwrap_or(0);
            let source = members.take("_source").map_or(Ok(Filter::All), Filter::read)?;
            let mut shape = HitShape { source, ..HitShape::default() };
            for name in ["fields", "docvalue_fields"] {
                shape.tell_beside(members.take(name).map_or_else(Vec::new, list_of).into_iter(), dsl.fields)?;
            }
            // As of the hits of a search: nothing is ranked. What would be marked within a text is refused, by its name.
            members.ignore(&["track_scores", "version", "explain", "stored_fields"]);
            (AggregationKind::TopHits { size: size.saturating_add(from), sort }, Shape::TopHits { shape, from })
        }
        "top_metrics" => {
            let size = members.count("size")?.unwrap_or(1);
            let sort = by_time(members.take("sort"))?;
            let metric = |m: Value| {
                let mut members = Members::new("metrics", m)?;
                field_of(&mut members, dsl)
            };
            let fields = list_of(members.required("metrics")?).into_iter().map(metric).collect::<Read<Vec<String>>>()?;
            (AggregationKind::TopHits { size, sort }, Shape::TopMetrics { fields, size })
        }
        "nested"
        | "reverse_nested"
        | "children"
        | "parent"
        | "geohash_grid"
        | "geotile_grid"
        | "geo_bounds"
        | "geo_centroid"
        | "scripted_metric"
        | "weighted_avg"
        | "median_absolute_deviation"
        | "global"
        | "sampler"
        | "rate"
        | "diversified_sampler"
        | "adjacency_matrix"
        | "auto_date_histogram"
        | "variable_width_histogram"
        | "significant_text"
        | "categorize_text"
        | "string_stats"
        | "boxplot"
        | "t_test"
        | "matrix_stats"
        | "moving_percentiles"
        | "cumulative_cardinality"
        | "percentiles_bucket"
        | "normalize" => {
            return Err(Fault::illegal(format!("[{kind}] aggregations are not supported")));
        }
        _ => return Err(Fault::parsing(format!("unknown aggregation type [{kind}]"))),
    };
    members.finish()?;
    Ok(read)
}

/// How figures of a field of instants are written; of numbers nothing but the number is told.
fn date_format(members: &mut Members, dsl: &Dsl<'_>, field: &str) -> Read<Option<String>> {
    if !dsl.fields.is_date(field) {
        members.ignore(&["format"]);
        return Ok(None);
    }
    Ok(Some(dates::format_of(members)?.unwrap_or_else(|| dates::USUAL.to_owned())))
}

/// Whether the newest or the oldest hits are wanted within buckets: nothing else can be told there.
fn by_time(sort: Option<Value>) -> Read<Sort> {
    let sort = sort.map_or_else(Vec::new, list_of);
    let Some(first) = sort.first() else { return Ok(Sort::Desc) };
    let order = match first {
        Value::String(name) => Some((name.as_str(), "asc")),
        Value::Object(map) => {
            map.iter().next().and_then(|(name, order)| Some((name.as_str(), order.get("order").unwrap_or(order).as_str()?)))
        }
        _ => None,
    };
    match order {
        Some(("@timestamp", "desc") | ("_score", _)) => Ok(Sort::Desc),
        Some(("@timestamp", "asc")) => Ok(Sort::Asc),
        _ => Err(Fault::illegal("within buckets hits are sorted by [@timestamp]")),
    }
}

pub(super) fn dates_of(members: &mut Members, dsl: &Dsl<'_>) -> Read<(AggregationKind, Shape)> {
    let field = field_of(members, dsl)?;
    let (fixed, calendar) = (members.text("fixed_interval")?, members.text("calendar_interval")?);
    let either = members.text("interval")?;
    let interval = match (fixed, calendar, either) {
        (Some(text), None, None) => fixed_interval(&text),
        (None, Some(text), None) => calendar_interval(&text),
        (None, None, Some(text)) => calendar_interval(&text).or_else(|| fixed_interval(&text)),
        _ => return Err(Fault::parsing("[date_histogram] requires one of [fixed_interval] and [calendar_interval]")),
    };
    let interval = interval.ok_or_else(|| Fault::illegal("[date_histogram]: that is no interval"))?;
    let zone = zone_of(members)?;
    let offset_ns = match members.text("offset")? {
        Some(text) => signed_ns(&text).ok_or_else(|| Fault::illegal(format!("[offset] {text:?} is no span of time")))?,
        None => 0,
    };
    let interval = match interval {
        Interval::Calendar(unit) if offset_ns != 0 => Interval::CalendarAt { unit, offset_ns },
        Interval::Fixed { ns, .. } => Interval::Fixed { ns, offset_ns },
        interval => interval,
    };
    let format = dates::format_of(members)?;
    let reading = Reading { now: dsl.now, zone: &zone, format: format.as_deref() };
    let bounds = match members.take("extended_bounds") {
        Some(bounds) => {
            let mut bounds = Members::new("extended_bounds", bounds)?;
            let mut end = |name: &str, up| {
                let wrong = || Fault::parsing(format!("[extended_bounds] [{name}] is no instant"));
                reading.read(&bounds.required(name)?, up).ok_or_else(wrong)
            };
            Some((end("min", false)?, end("max", true)?))
        }
        None => None,
    };
    let min_count = members.count("min_doc_count")?.unwrap_or(0) as u64;
    let missing = members.take("missing").map(|value| {
        let wrong = || Fault::parsing("[date_histogram] [missing] is no instant");
        reading.read(&value, false).ok_or_else(wrong)
    });
    let missing = missing.transpose()?;
    let keyed = members.flag("keyed")?.unwrap_or(false);
    let descending = descending_of(members)?;
    Ok((
        AggregationKind::DateHistogram { field, interval, zone: zone.clone(), min_count, bounds, missing },
        Shape::Dates { format, zone, keyed, descending },
    ))
}

/// Whether the buckets of a histogram are wanted from the last to the first.
fn descending_of(members: &mut Members) -> Read<bool> {
    let Some(order) = members.take("order") else { return Ok(false) };
    match list_of(order).as_slice() {
        [order] if *order == json!({"_key": "asc"}) => Ok(false),
        [order] if *order == json!({"_key": "desc"}) => Ok(true),
        _ => Err(Fault::illegal("[order]: the buckets of a histogram are in the order of [_key], [asc] or [desc]")),
    }
}

fn calendar_interval(text: &str) -> Option<Interval> {
    Some(Interval::Calendar(match text {
        "1m" | "minute" => Calendar::Minute,
        "1h" | "hour" => Calendar::Hour,
        "1d" | "day" => Calendar::Day,
        "1w" | "week" => Calendar::Week,
        "1M" | "month" => Calendar::Month,
        "1q" | "quarter" => Calendar::Quarter,
        "1y" | "year" => Calendar::Year,
        _ => return None,
    }))
}

fn fixed_interval(text: &str) -> Option<Interval> {
    span_ns(text).filter(|ns| *ns > 0).map(|ns| Interval::Fixed { ns, offset_ns: 0 })
}

/// `90s`, `1500ms`, as nanoseconds.
pub(crate) fn span_ns(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit_ns: i64 = match unit {
        "nanos" => 1,
        "micros" => 1000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    count.parse::<i64>().ok()?.checked_mul(unit_ns)
}

fn signed_ns(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(text) => span_ns(text).map(|ns| -ns),
        None if text == "0" => Some(0),
        None => span_ns(text.strip_prefix('+').unwrap_or(text)),
    }
}

fn number_bounds(value: &Value) -> Read<(f64, f64)> {
    let end = |name: &str| value.get(name).and_then(number_of);
    match (end("min"), end("max")) {
        (Some(min), Some(max)) => Ok((min, max)),
        _ => Err(Fault::parsing("[extended_bounds] are two numbers, [min] and [max]")),
    }
}

fn filters_of(members: &mut Members, dsl: &mut Dsl<'_>) -> Read<(AggregationKind, Shape)> {
    let other_key = members.text("other_bucket_key")?;
    let other = members.flag("other_bucket")?.unwrap_or(other_key.is_some());
    let keyed_wanted = members.flag("keyed")?;
    let (mut filters, keyed) = match members.required("filters")? {
        Value::Object(map) => {
            let one = |(name, query): (String, Value)| Ok((name, dsl.query(query)?));
            (map.into_iter().map(one).collect::<Read<Vec<_>>>()?, true)
        }
        list => {
            let one = |query: Value| Ok((String::new(), dsl.query(query)?));
            (list_of(list).into_iter().map(one).collect::<Read<Vec<_>>>()?, false)
        }
    };
    if other {
        let none = Query::Not(Box::new(any(filters.iter().map(|(_, q)| q.clone()).collect())));
        filters.push((other_key.unwrap_or_else(|| "_other_".to_owned()), none));
    }
    Ok((AggregationKind::Filters { filters }, Shape::Filters { keyed: keyed_wanted.unwrap_or(keyed) }))
}

/// A double as Elasticsearch writes it in keys.
fn double(n: f64) -> String {
    if n.fract() == 0.0 && n.abs() < 1e15 { format!("{n:.1}") } else { n.to_string() }
}

fn ranges_of(members: &mut Members, dsl: &Dsl<'_>) -> Read<(AggregationKind, Shape)> {
    let field = field_of(members, dsl)?;
    let keyed = members.flag("keyed")?.unwrap_or(false);
    let (mut ranges, mut ends) = (Vec::new(), Vec::new());
    for range in list_of(members.required("ranges")?) {
        let mut range = Members::new("ranges", range)?;
        let (from, to) = (range.number("from")?, range.number("to")?);
        let shown = |n: Option<f64>| n.map_or_else(|| "*".to_owned(), double);
        let key = range.text("key")?.unwrap_or_else(|| format!("{}-{}", shown(from), shown(to)));
        range.finish()?;
        let mut told = Map::new();
        from.map(|n| told.insert("from".to_owned(), n.into()));
        to.map(|n| told.insert("to".to_owned(), n.into()));
        ends.push(told);
        ranges.push(NumberRange { key, from, to });
    }
    Ok((AggregationKind::Range { field, ranges }, Shape::Ranges { keyed, ends }))
}

fn date_ranges_of(members: &mut Members, dsl: &Dsl<'_>) -> Read<(AggregationKind, Shape)> {
    let field = field_of(members, dsl)?;
    let keyed = members.flag("keyed")?.unwrap_or(false);
    let format = dates::format_of(members)?;
    let zone = zone_of(members)?;
    let reading = Reading { now: dsl.now, zone: &zone, format: format.as_deref() };
    let (mut filters, mut ends) = (Vec::new(), Vec::new());
    for range in list_of(members.required("ranges")?) {
        let mut range = Members::new("ranges", range)?;
        let mut end = |name: &str| -> Read<Option<Time>> {
            let wrong = || Fault::parsing(format!("[date_range] [{name}] is no instant"));
            range.take(name).map(|v| reading.read(&v, false).ok_or_else(wrong)).transpose()
        };
        let (from, to) = (end("from")?, end("to")?);
        let shown = |t: Option<Time>| t.map_or_else(|| "*".to_owned(), |t| dates::write(t, format.as_deref(), &zone));
        let key = range.text("key")?.unwrap_or_else(|| format!("{}-{}", shown(from), shown(to)));
        range.finish()?;
        let mut told = Map::new();
        for (name, time) in [("from", from), ("to", to)] {
            if let Some(time) = time {
                told.insert(name.to_owned(), time.unix_ms().into());
                told.insert(format!("{name}_as_string"), shown(Some(time)).into());
            }
        }
        ends.push(told);
        let low = from.map_or(Bound::Unbounded, |t| Bound::Included(Scalar::Time(t)));
        let high = to.map_or(Bound::Unbounded, |t| Bound::Excluded(Scalar::Time(t)));
        filters.push((key, Query::Field(field.clone(), Test::Range(low, high))));
    }
    Ok((AggregationKind::Filters { filters }, Shape::Ranges { keyed, ends }))
}

fn ip_ranges_of(members: &mut Members, dsl: &Dsl<'_>) -> Read<(AggregationKind, Shape)> {
    let field = field_of(members, dsl)?;
    let keyed = members.flag("keyed")?.unwrap_or(false);
    let (mut filters, mut ends) = (Vec::new(), Vec::new());
    for range in list_of(members.required("ranges")?) {
        let mut range = Members::new("ranges", range)?;
        let (mask, from, to) = (range.text("mask")?, range.text("from")?, range.text("to")?);
        let key = range.text("key")?;
        range.finish()?;
        let mut told = Map::new();
        let (test, usual) = match mask {
            Some(mask) => (Test::of(&mask).map_err(|reason| Fault::illegal(reason.to_string()))?, mask),
            None => {
                let end = |text: &Option<String>| match text {
                    None => Ok(None),
                    Some(text) => match Scalar::guess(text, dsl.now) {
                        Scalar::Ip(ip) => Ok(Some(Scalar::Ip(ip))),
                        _ => Err(Fault::parsing(format!("[ip_range] {text:?} is no address"))),
                    },
                };
                let low = end(&from)?.map_or(Bound::Unbounded, Bound::Included);
                let high = end(&to)?.map_or(Bound::Unbounded, Bound::Excluded);
                let shown = |t: &Option<String>| t.clone().unwrap_or_else(|| "*".to_owned());
                (Test::Range(low, high), format!("{}-{}", shown(&from), shown(&to)))
            }
        };
        from.map(|text| told.insert("from".to_owned(), text.into()));
        to.map(|text| told.insert("to".to_owned(), text.into()));
        ends.push(told);
        filters.push((key.unwrap_or(usual), Query::Field(field.clone(), test)));
    }
    Ok((AggregationKind::Filters { filters }, Shape::Ranges { keyed, ends }))
}

/// The answers to aggregations of a request; `typed`: by names that tell their kinds.
pub(crate) fn answers(told: &Telling, results: BTreeMap<String, AggregationResult>, typed: bool) -> Read<Value> {
    match tell(told, results, None)? {
        Value::Object(all) if typed => Ok(Value::Object(typed::typed(told, all))),
        all => Ok(all),
    }
}

/// The answers to aggregations, within a bucket of `count` hits.
fn tell(told: &Telling, mut results: BTreeMap<String, AggregationResult>, count: Option<u64>) -> Read<Value> {
    let mut all = Map::new();
    for told in &told.list {
        let mut answer = told.shape.tell(results.remove(&told.name).unwrap_or_default(), &told.inner, count)?;
        pipeline::within(&told.inner.computed, &mut answer);
        if let (Some(meta), Value::Object(answer)) = (&told.meta, &mut answer) {
            answer.insert("meta".to_owned(), meta.clone());
        }
        all.insert(told.name.clone(), answer);
    }
    pipeline::beside(&told.computed, &mut all);
    Ok(Value::Object(all))
}

/// A figure; what was not measured is null.
pub(super) fn figure(n: Option<f64>) -> Value {
    n.filter(|n| n.is_finite()).map_or(Value::Null, |n| json!(n))
}

/// A value as a bucket's key.
fn key(text: &str, kind: KeyKind) -> Value {
    match kind {
        KeyKind::Number => text.parse::<i64>().map_or_else(|_| text.parse::<f64>().map_or(Value::Null, Value::from), Value::from),
        KeyKind::Bool => u8::from(text == "true").into(),
        KeyKind::Time => text.parse::<Time>().map_or(Value::Null, |t| t.unix_ms().into()),
        KeyKind::Null => Value::Null,
        KeyKind::Text | KeyKind::Ip => text.into(),
    }
}

fn bucket(
    mut members: Map<String, Value>,
    count: u64,
    aggs: BTreeMap<String, AggregationResult>,
    inner: &Telling,
) -> Read<Value> {
    members.insert("doc_count".to_owned(), count.into());
    if let Value::Object(more) = tell(inner, aggs, Some(count))? {
        members.extend(more);
    }
    Ok(Value::Object(members))
}

fn members(list: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Buckets as a list, or by their keys.
fn keyed(named: Vec<(String, Value)>, keyed: bool) -> Value {
    if keyed { Value::Object(named.into_iter().collect()) } else { named.into_iter().map(|(_, bucket)| bucket).collect() }
}

impl Shape {
    fn tell(&self, result: AggregationResult, inner: &Telling, count: Option<u64>) -> Read<Value> {
        // Their word for counts of which nobody knows how far they are off.
        let error = if result.approximate { -1 } else { 0 };
        Ok(match self {
            Shape::Dates { format, zone, keyed: by_key, descending } => {
                let mut buckets = Vec::with_capacity(result.buckets.len());
                for Bucket { key: at, count, aggs, .. } in result.buckets {
                    let Ok(at) = at.parse::<Time>() else { continue };
                    let shown = dates::write(at, format.as_deref(), zone);
                    let own = members([("key_as_string", shown.clone().into()), ("key", at.unix_ms().into())]);
                    buckets.push((shown, bucket(own, count, aggs, inner)?));
                }
                if *descending {
                    buckets.reverse();
                }
                json!({"buckets": keyed(buckets, *by_key)})
            }
            Shape::Numbers { interval, min_count, bounds, keyed: by_key, descending } => {
                let mut buckets = numbers(result.buckets, *interval, *min_count, *bounds, inner)?;
                if *descending {
                    buckets.reverse();
                }
                json!({"buckets": keyed(buckets, *by_key)})
            }
            Shape::Terms { date, format } => {
                let mut buckets = Vec::with_capacity(result.buckets.len());
                for b in result.buckets {
                    let kind = b.kinds.first().copied().unwrap_or_default();
                    let mut own = members([("key", key(&b.key, kind))]);
                    let shown = match kind {
                        KeyKind::Time => b.key.parse().ok().map(|t| dates::write(t, format.as_deref(), &TimeZone::UTC)),
                        KeyKind::Bool => Some(b.key.clone()),
                        _ if *date => Some(b.key.clone()),
                        _ => None,
                    };
                    shown.map(|text| own.insert("key_as_string".to_owned(), text.into()));
                    buckets.push(bucket(own, b.count, b.aggs, inner)?);
                }
                json!({"doc_count_error_upper_bound": error, "sum_other_doc_count": result.other.unwrap_or(0), "buckets": buckets})
            }
            Shape::Rare if result.approximate || result.other.is_some_and(|other| other > 0) => {
                return Err(Fault::illegal("there are too many values for [rare_terms]: narrow the search"));
            }
            Shape::Rare => {
                let mut buckets = Vec::with_capacity(result.buckets.len());
                for b in result.buckets {
                    let own = members([("key", key(&b.key, b.kinds.first().copied().unwrap_or_default()))]);
                    buckets.push(bucket(own, b.count, b.aggs, inner)?);
                }
                json!({ "buckets": buckets })
            }
            Shape::Combined => {
                let mut buckets = Vec::with_capacity(result.buckets.len());
                for b in result.buckets {
                    let parts: Value = b.keys.iter().zip(&b.kinds).map(|(text, kind)| key(text, *kind)).collect();
                    let own = members([("key", parts), ("key_as_string", b.key.into())]);
                    buckets.push(bucket(own, b.count, b.aggs, inner)?);
                }
                json!({"doc_count_error_upper_bound": error, "sum_other_doc_count": result.other.unwrap_or(0), "buckets": buckets})
            }
            Shape::Filter => {
                let b = result.buckets.into_iter().next();
                let (count, aggs) = b.map_or((0, BTreeMap::new()), |b| (b.count, b.aggs));
                bucket(Map::new(), count, aggs, inner)?
            }
            Shape::Filters { keyed: by_key } => {
                let one = |b: Bucket| Ok((b.key, bucket(Map::new(), b.count, b.aggs, inner)?));
                json!({"buckets": keyed(result.buckets.into_iter().map(one).collect::<Read<_>>()?, *by_key)})
            }
            Shape::Ranges { keyed: by_key, ends } => {
                let mut buckets = Vec::new();
                for (b, ends) in result.buckets.into_iter().zip(ends) {
                    let mut own = members([("key", b.key.clone().into())]);
                    own.extend(ends.clone());
                    buckets.push((b.key, bucket(own, b.count, b.aggs, inner)?));
                }
                json!({"buckets": keyed(buckets, *by_key)})
            }
            Shape::Composite { names, formats } => {
                let value = |at: usize, text: &str, kind: KeyKind| match (&formats[at], kind) {
                    (Some(format), KeyKind::Time) => {
                        text.parse().map_or(Value::Null, |t| dates::write(t, Some(format), &TimeZone::UTC).into())
                    }
                    _ => key(text, kind),
                };
                let mut buckets = Vec::with_capacity(result.buckets.len());
                let mut last = None;
                for b in result.buckets {
                    let parts = names.iter().enumerate().zip(b.keys.iter().zip(&b.kinds));
                    let key: Map<String, Value> =
                        parts.map(|((at, name), (text, kind))| (name.clone(), value(at, text, *kind))).collect();
                    last = Some(key.clone());
                    buckets.push(bucket(members([("key", Value::Object(key))]), b.count, b.aggs, inner)?);
                }
                match last {
                    Some(after) => json!({"after_key": after, "buckets": buckets}),
                    None => json!({"buckets": buckets}),
                }
            }
            Shape::Significant => {
                let one = |b: &Bucket| {
                    json!({"key": key(&b.key, b.kinds.first().copied().unwrap_or_default()), "doc_count": b.count,
                        "score": b.score, "bg_count": b.background})
                };
                json!({"buckets": result.buckets.iter().map(one).collect::<Vec<_>>()})
            }
            Shape::Figure { figure: name, date } => {
                let value = told_of(&result.values, name, date.is_some());
                let mut all = members([("value", figure(value))]);
                if let (Some(ms), Some(format)) = (value, date.as_deref().filter(|_| *name != "sum")) {
                    all.insert("value_as_string".to_owned(), at(ms, format).into());
                }
                Value::Object(all)
            }
            Shape::Value => json!({"value": result.value.unwrap_or(0.0) as u64}),
            Shape::Stats { sigma, date } => stats(&result.values, *sigma, date.as_deref()),
            Shape::Percentiles { percents, keyed: by_key } => {
                let value = |p: &f64| figure(result.values.get(&p.to_string()).copied().flatten());
                if *by_key {
                    let all: Map<String, Value> = percents.iter().map(|p| (double(*p), value(p))).collect();
                    json!({"values": all})
                } else {
                    let all: Vec<Value> = percents.iter().map(|p| json!({"key": p, "value": value(p)})).collect();
                    json!({"values": all})
                }
            }
            Shape::TopHits { shape, from } => {
                let total = match count {
                    Some(count) => json!({"value": count, "relation": "eq"}),
                    None => json!({"value": result.hits.len(), "relation": "gte"}),
                };
                let tell = |hit| shape.tell(hit, None, Vec::new(), &|| false);
                let hits: Vec<Value> = result.hits.into_iter().skip(*from).map(tell).collect();
                json!({"hits": {"total": total, "max_score": null, "hits": hits}})
            }
            Shape::TopMetrics { fields, size } => {
                let one = |hit: &index::Hit| {
                    let metric = |name: &String| (name.clone(), hit.fields.get(name).cloned().unwrap_or(Value::Null));
                    let metrics: Map<String, Value> = fields.iter().map(metric).collect();
                    json!({"sort": [dates::write(hit.time, None, &TimeZone::UTC)], "metrics": metrics})
                };
                json!({"top": result.hits.iter().take(*size).map(one).collect::<Vec<_>>()})
            }
        })
    }
}

fn at(ms: f64, format: &str) -> String {
    dates::write(Time::from_unix_ms(ms as i64), Some(format), &TimeZone::UTC)
}

/// A figure; of an instant that stands there the millisecond is told.
fn told_of(values: &BTreeMap<String, Option<f64>>, name: &str, is_date: bool) -> Option<f64> {
    let value = values.get(name).copied().flatten();
    if is_date && matches!(name, "min" | "max") { value.map(f64::floor) } else { value }
}

pub(super) fn stats(values: &BTreeMap<String, Option<f64>>, sigma: Option<f64>, date: Option<&str>) -> Value {
    let get = |name: &str| told_of(values, name, date.is_some());
    let count = get("count").unwrap_or(0.0);
    let mut all = members([
        ("count", (count as u64).into()),
        ("min", figure(get("min"))),
        ("max", figure(get("max"))),
        ("avg", figure(get("avg"))),
        ("sum", figure(get("sum"))),
    ]);
    if let Some(format) = date {
        for name in ["min", "max", "avg"] {
            get(name).map(|ms| all.insert(format!("{name}_as_string"), at(ms, format).into()));
        }
    }
    if let Some(sigma) = sigma {
        let (variance, deviation, avg) = (get("variance"), get("std_deviation"), get("avg"));
        let sampling = variance.filter(|_| count > 1.0).map(|v| v * count / (count - 1.0));
        let bound = |by: f64, deviation: Option<f64>| figure(avg.zip(deviation).map(|(avg, d)| avg + by * sigma * d));
        let of_sample = sampling.map(f64::sqrt);
        all.extend(members([
            ("sum_of_squares", figure(get("sum_of_squares"))),
            ("variance", figure(variance)),
            ("variance_population", figure(variance)),
            ("variance_sampling", figure(sampling)),
            ("std_deviation", figure(deviation)),
            ("std_deviation_population", figure(deviation)),
            ("std_deviation_sampling", figure(of_sample)),
            (
                "std_deviation_bounds",
                json!({"upper": bound(1.0, deviation), "lower": bound(-1.0, deviation),
                    "upper_population": bound(1.0, deviation), "lower_population": bound(-1.0, deviation),
                    "upper_sampling": bound(1.0, of_sample), "lower_sampling": bound(-1.0, of_sample)}),
            ),
        ]));
    }
    Value::Object(all)
}

/// The buckets of a histogram over numbers; empty ones between the first and the last, and to the bounds, where they are wanted.
fn numbers(
    found: Vec<Bucket>,
    interval: f64,
    min_count: u64,
    bounds: Option<(f64, f64)>,
    inner: &Telling,
) -> Read<Vec<(String, Value)>> {
    let mut known: Vec<(f64, Bucket)> = found.into_iter().filter_map(|b| Some((b.key.parse().ok()?, b))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let empty = |at: f64| Bucket {
        key: at.to_string(),
        kinds: vec![KeyKind::Number],
        keys: Vec::new(),
        count: 0,
        background: None,
        score: None,
        aggs: BTreeMap::new(),
    };
    if min_count == 0 && (bounds.is_some() || !known.is_empty()) {
        let base = known.first().map_or(0.0, |(at, _)| *at);
        let place = |n: f64| ((n - base) / interval).floor();
        let ends = [known.first(), known.last()].map(|b| b.map(|(at, _)| ((at - base) / interval).round()));
        let low = bounds.map_or(f64::INFINITY, |(low, _)| place(low)).min(ends[0].unwrap_or(f64::INFINITY));
        let high = bounds.map_or(f64::NEG_INFINITY, |(_, high)| place(high)).max(ends[1].unwrap_or(f64::NEG_INFINITY));
        if high - low >= BUCKETS_MAX as f64 || (high - low).is_nan() {
            return Err(Fault::illegal(format!("[histogram] makes more than {BUCKETS_MAX} buckets: ask for fewer")));
        }
        let mut filled = Vec::new();
        let mut left = known.into_iter().peekable();
        let mut n = low;
        while n <= high {
            match left.next_if(|(at, _)| ((at - base) / interval).round() <= n) {
                Some(bucket) => filled.push(bucket),
                None => filled.push((base + n * interval, empty(base + n * interval))),
            }
            n += 1.0;
        }
        known = filled;
    }
    known.retain(|(_, b)| b.count >= min_count);
    let one = |(at, b): (f64, Bucket)| Ok((double(at), bucket(members([("key", json!(at))]), b.count, b.aggs, inner)?));
    known.into_iter().map(one).collect()
}
