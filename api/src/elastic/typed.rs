//! `typed_keys`: the names of aggregations in an answer tell what kind of answer it is (`avg#load`), as clients with types of their own ask.

use index::AggregationKind;
use serde_json::{Map, Value};

use super::aggs::Telling;
use super::dsl::Fields;

/// The kind of answer that an aggregation gives, by Elasticsearch's name for it.
pub(super) fn kind_of(kind: &str, counted: &AggregationKind, fields: &Fields) -> &'static str {
    let values = |field: &str| match fields.kind(field) {
        "long" | "date" | "boolean" => 1,
        "double" => 2,
        _ => 0,
    };
    match (kind, counted) {
        ("terms", AggregationKind::Terms { field, .. }) => ["sterms", "lterms", "dterms"][values(field)],
        ("rare_terms", AggregationKind::Terms { field, .. }) => ["srareterms", "lrareterms", "lrareterms"][values(field)],
        ("significant_terms", AggregationKind::Significant { field, .. }) => {
            ["sigsterms", "siglterms", "siglterms"][values(field)]
        }
        ("percentiles", _) => "tdigest_percentiles",
        ("percentile_ranks", _) => "tdigest_percentile_ranks",
        (kind, _) => NAMES.iter().find(|name| **name == kind).copied().unwrap_or("simple_value"),
    }
}

/// Those that are called by their own names.
const NAMES: &[&str] = &[
    "date_histogram",
    "histogram",
    "filter",
    "filters",
    "missing",
    "range",
    "date_range",
    "ip_range",
    "composite",
    "multi_terms",
    "avg",
    "sum",
    "min",
    "max",
    "stats",
    "extended_stats",
    "value_count",
    "cardinality",
    "top_hits",
    "top_metrics",
];

/// The same answers, by names that tell their kinds.
pub(super) fn typed(telling: &Telling, answers: Map<String, Value>) -> Map<String, Value> {
    let name_of = |name: String, value: Value| match telling.kind_of(&name) {
        None => (name, value),
        Some((kind, None)) => (format!("{kind}#{name}"), value),
        Some((kind, Some(inner))) => (format!("{kind}#{name}"), within(inner, value)),
    };
    answers.into_iter().map(|(name, value)| name_of(name, value)).collect()
}

/// Those within the buckets of an answer.
fn within(inner: &Telling, mut answer: Value) -> Value {
    let bucket = |bucket: &mut Value| {
        if let Value::Object(members) = bucket {
            *members = typed(inner, std::mem::take(members));
        }
    };
    match answer.get_mut("buckets") {
        Some(Value::Array(buckets)) => buckets.iter_mut().for_each(bucket),
        Some(Value::Object(buckets)) => buckets.values_mut().for_each(bucket),
        _ => bucket(&mut answer),
    }
    answer
}
