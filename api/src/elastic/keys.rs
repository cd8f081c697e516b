//! Aggregations whose buckets are values of fields: terms, rare terms, combinations of several, composite keys.

use event::Time;
use index::{Absent, Aggregation, AggregationKind, Chosen, Only, Source, SourceOf, TermsOrder, TimeZone, query};
use serde_json::{Value, json};

use super::aggs::{Shape, Told, dates_of, field_of, listed};
use super::dates::{self, Reading};
use super::dsl::Dsl;
use super::fault::{Fault, Members, list_of, text_of};

type Read<T> = Result<T, Fault>;

/// Hits that a rare value has at most where nothing is said, and what may be said. As in Elasticsearch.
const RARE_USUAL: usize = 1;
const RARE_MAX: usize = 100;

/// The most frequent values of a field.
pub(super) fn terms_of(
    members: &mut Members,
    dsl: &Dsl<'_>,
    inner: &[(String, Aggregation)],
    inner_told: &[Told],
) -> Read<(AggregationKind, Shape)> {
    let field = listed(members, dsl)?;
    let size = match members.number("size")? {
        Some(n) if n <= 0.0 => index::TERMS_MAX, // Grafana's "no limit".
        Some(n) => n as usize,
        None => 10,
    };
    let order = match members.take("order") {
        Some(order) => terms_order(order, inner, inner_told)?,
        None => TermsOrder::Count,
    };
    let min_count = members.count("min_doc_count")?.unwrap_or(1) as u64;
    let missing = members.text("missing")?;
    let chosen = Chosen {
        include: members.take("include").map(|only| only_of("include", only, &field, dsl)).transpose()?,
        exclude: members.take("exclude").map(|only| only_of("exclude", only, &field, dsl)).transpose()?,
        count_max: None,
    };
    let format = dates::format_of(members)?;
    members.ignore(&[
        "shard_size",
        "shard_min_doc_count",
        "show_term_doc_count_error",
        "execution_hint",
        "collect_mode",
        "value_type",
    ]);
    let date = dsl.fields.is_date(&field);
    Ok((AggregationKind::Terms { field, size, order, min_count, missing, chosen }, Shape::Terms { date, format }))
}

/// Which values `include` or `exclude` names: a list, an expression over whole values, or one of several parts.
fn only_of(name: &str, only: Value, field: &str, dsl: &Dsl<'_>) -> Read<Only> {
    match only {
        Value::String(text) => {
            let regex = query::lucene_regex(&text, false).map_err(|e| Fault::illegal(format!("[{name}] {text:?}: {e}")))?;
            Ok(Only::Regex(regex))
        }
        Value::Array(values) => {
            let wrong = || Fault::parsing(format!("[{name}] are texts, numbers or booleans"));
            let one = |value: &Value| shown(value, field, dsl).ok_or_else(wrong);
            Ok(Only::Values(values.iter().map(one).collect::<Read<_>>()?))
        }
        parts if name == "include" => {
            let mut members = Members::new(name, parts)?;
            let mut count = |name: &str| {
                let missing = || Fault::parsing(format!("[include] requires [{name}]"));
                members.count(name)?.map(|n| n as u64).ok_or_else(missing)
            };
            let (part, of) = (count("partition")?, count("num_partitions")?);
            members.finish()?;
            match part < of {
                true => Ok(Only::Part { part, of }),
                false => Err(Fault::illegal("[partition] is less than [num_partitions]")),
            }
        }
        _ => Err(Fault::parsing(format!("[{name}] is a list of values or an expression"))),
    }
}

/// A value as the index shows it.
fn shown(value: &Value, field: &str, dsl: &Dsl<'_>) -> Option<String> {
    let text = text_of(value)?;
    Some(match dsl.fields.kind(field) {
        _ if dsl.fields.is_date(field) => {
            Reading { now: dsl.now, zone: &TimeZone::UTC, format: None }.read(value, false)?.to_string()
        }
        "long" | "double" => match text.parse::<f64>() {
            Ok(n) if n.fract() == 0.0 && n.abs() < 9e15 => (n as i64).to_string(),
            _ => text,
        },
        "boolean" if text == "1" => "true".to_owned(),
        "boolean" if text == "0" => "false".to_owned(),
        "ip" => text.parse::<std::net::IpAddr>().map_or(text, |ip| ip.to_canonical().to_string()),
        _ => text,
    })
}

/// The values that few hits have.
pub(super) fn rare_of(members: &mut Members, dsl: &Dsl<'_>) -> Read<(AggregationKind, Shape)> {
    let field = listed(members, dsl)?;
    let most = members.count("max_doc_count")?.unwrap_or(RARE_USUAL);
    if !(1..=RARE_MAX).contains(&most) {
        return Err(Fault::illegal(format!("[max_doc_count] is 1 to {RARE_MAX}")));
    }
    let chosen = Chosen {
        include: members.take("include").map(|only| only_of("include", only, &field, dsl)).transpose()?,
        exclude: members.take("exclude").map(|only| only_of("exclude", only, &field, dsl)).transpose()?,
        count_max: Some(most as u64),
    };
    let missing = members.text("missing")?;
    members.ignore(&["precision", "value_type"]);
    let (size, order) = (index::TERMS_MAX, TermsOrder::CountAscending);
    Ok((AggregationKind::Terms { field, size, order, min_count: 1, missing, chosen }, Shape::Rare))
}

/// The most frequent combinations of values of several fields.
pub(super) fn combined_of(
    members: &mut Members,
    dsl: &Dsl<'_>,
    inner: &[(String, Aggregation)],
    inner_told: &[Told],
) -> Read<(AggregationKind, Shape)> {
    let one = |term: Value| {
        let mut term = Members::new("terms", term)?;
        let field = listed(&mut term, dsl)?;
        let absent = term.text("missing")?.map_or(Absent::LeftOut, Absent::As);
        term.ignore(&["value_type"]);
        term.finish()?;
        Ok(Source { absent, ..Source::terms(field) })
    };
    let sources = list_of(members.required("terms")?).into_iter().map(one).collect::<Read<Vec<_>>>()?;
    if sources.len() < 2 {
        return Err(Fault::parsing("[multi_terms] is of two fields at least"));
    }
    let size = members.count("size")?.unwrap_or(10);
    let order = members.take("order").map_or(Ok(TermsOrder::Count), |order| terms_order(order, inner, inner_told))?;
    let min_count = members.count("min_doc_count")?.unwrap_or(1) as u64;
    members.ignore(&["shard_size", "shard_min_doc_count", "show_term_doc_count_error", "collect_mode"]);
    Ok((AggregationKind::MultiTerms { sources, size, order, min_count }, Shape::Combined))
}

/// The order; equals are in the order of their values in any case.
fn terms_order(order: Value, inner: &[(String, Aggregation)], inner_told: &[Told]) -> Read<TermsOrder> {
    let mut orders = list_of(order).into_iter();
    let Some(first) = orders.next() else { return Ok(TermsOrder::Count) };
    if orders.any(|order| order != json!({"_key": "asc"})) {
        return Err(Fault::illegal("[order]: equals are in the order of [_key], [asc]"));
    }
    let (by, direction) = Members::new("order", first)?.single()?;
    let descending = match direction.as_str() {
        Some("desc") => true,
        Some("asc") => false,
        _ => return Err(Fault::parsing("[order] is [asc] or [desc]")),
    };
    Ok(match (by.as_str(), descending) {
        ("_count", true) => TermsOrder::Count,
        ("_count", false) => TermsOrder::CountAscending,
        ("_key" | "_term", false) => TermsOrder::Key,
        ("_key" | "_term", true) => TermsOrder::KeyDescending,
        (path, descending) => {
            // `1`, `1.avg`, `1[99.0]`, `1.99.0`
            let named = |name: &str| inner_told.iter().find(|told| told.name == name);
            let bracket = path.split_once('[').map(|(name, rest)| (name, rest.trim_end_matches(']')));
            let (name, figure) = match named(path) {
                Some(_) => (path, None),
                None => bracket.or_else(|| path.split_once('.')).map_or((path, None), |(name, figure)| (name, Some(figure))),
            };
            let told = named(name).filter(|_| inner.iter().any(|(n, _)| n == name));
            let figure = match (told.map(|t| &t.shape), figure) {
                (Some(Shape::Figure { figure, .. }), _) => (*figure).to_owned(),
                (Some(Shape::Value), _) => "value".to_owned(),
                (Some(Shape::Stats { sigma, .. }), Some(figure)) if is_figure(figure, sigma.is_some()) => {
                    figure.trim_end_matches("_population").to_owned()
                }
                (Some(Shape::Percentiles { .. }), Some(figure)) if figure.parse::<f64>().is_ok() => figure.to_owned(),
                _ => return Err(Fault::illegal(format!("[order] by [{path}]: there is no such figure within"))),
            };
            TermsOrder::Inner { name: name.to_owned(), figure, descending }
        }
    })
}

/// Whether statistics, or extended ones, have such a figure that buckets can be in the order of.
fn is_figure(name: &str, extended: bool) -> bool {
    const EXTENDED: &[&str] = &["sum_of_squares", "variance", "variance_population", "std_deviation", "std_deviation_population"];
    matches!(name, "count" | "min" | "max" | "avg" | "sum") || (extended && EXTENDED.contains(&name))
}

/// All keys that the values of several fields make, page by page.
pub(super) fn composite_of(members: &mut Members, dsl: &Dsl<'_>) -> Read<(AggregationKind, Shape)> {
    let size = members.count("size")?.unwrap_or(10);
    let (mut sources, mut names, mut formats) = (Vec::new(), Vec::new(), Vec::new());
    for source in list_of(members.required("sources")?) {
        let (name, body) = Members::new("sources", source)?.single()?;
        let (kind, body) = Members::new(&name, body)?.single()?;
        let mut source = Members::new(&kind, body)?;
        let descending = match source.text("order")?.as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(Fault::parsing("[order] is [asc] or [desc]")),
        };
        let absent = if source.flag("missing_bucket")?.unwrap_or(false) { Absent::Null } else { Absent::LeftOut };
        // What has no value comes before all values, as is usual.
        let usual = if descending { "last" } else { "first" };
        source.fits("missing_order", |order| order == "default" || order == usual)?;
        let mut format = None;
        let of = match kind.as_str() {
            "terms" => SourceOf::Terms { field: listed(&mut source, dsl)? },
            "date_histogram" => match dates_of(&mut source, dsl)? {
                (AggregationKind::DateHistogram { field, interval, zone, missing: None, .. }, Shape::Dates { format: f, .. }) => {
                    format = f;
                    SourceOf::DateHistogram { field, interval, zone }
                }
                _ => return Err(Fault::illegal("[composite]: that is no source")),
            },
            "histogram" => {
                let interval = source.number("interval")?.ok_or_else(|| Fault::parsing("[histogram] requires [interval]"))?;
                SourceOf::Histogram { field: field_of(&mut source, dsl)?, interval }
            }
            _ => return Err(Fault::illegal(format!("[composite]: sources of the kind [{kind}] are not supported"))),
        };
        source.finish()?;
        sources.push((name.clone(), Source { of, absent, descending }));
        names.push(name);
        formats.push(format);
    }
    let after = members.take("after").map(|after| after_of(after, &sources, &formats, dsl)).transpose()?;
    Ok((AggregationKind::Composite { sources, size, after }, Shape::Composite { names, formats }))
}

/// The last key of a page, each part as the index shows it; none stands for null.
fn after_of(after: Value, sources: &[(String, Source)], formats: &[Option<String>], dsl: &Dsl<'_>) -> Read<Vec<Option<String>>> {
    let Value::Object(mut after) = after else { return Err(Fault::parsing("[after] is a key as a bucket has it")) };
    let mut all = Vec::with_capacity(sources.len());
    for ((name, source), format) in sources.iter().zip(formats) {
        let value = after.shift_remove(name).ok_or_else(|| Fault::parsing(format!("[after] requires [{name}]")))?;
        if value.is_null() && source.absent == Absent::Null {
            all.push(None);
            continue;
        }
        let read = |zone, format| {
            let reading = Reading { now: dsl.now, zone, format };
            reading.read(&value, false).map(|time: Time| time.to_string())
        };
        let text = match &source.of {
            SourceOf::DateHistogram { zone, .. } => read(zone, format.as_deref().filter(|_| value.is_string())),
            SourceOf::Terms { field } | SourceOf::Histogram { field, .. } => shown(&value, field, dsl),
        };
        all.push(Some(text.ok_or_else(|| Fault::parsing(format!("[after] [{name}] is no value")))?));
    }
    match after.keys().next() {
        None => Ok(all),
        Some(name) => Err(Fault::parsing(format!("[after] has no [{name}]"))),
    }
}
