//! `_search`, `_msearch`, `_count`, `_search/scroll` and points in time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query as FromQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use event::Time;
use index::query::Query;
use index::{SearchLimits, SearchRequest, SearchResponse, Snapshot, Sort};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value, json};

use super::aggs::{self, Telling, span_ns};
use super::collapse::{Groups, collapse_of};
use super::contexts::{Context, keep_alive};
use super::dates;
use super::dsl::{Dsl, Fields, Parameters, hoist, key_kind};
use super::fault::{Fault, Members, list_of, text_of};
use super::highlight::Highlight;
use super::hits::{Filter, Shape};
use super::parameters;
use crate::search::{Lack, On, SEARCH_NS_MAX, run};
use crate::server::Shared;
use crate::store::Identity;

/// Hits of one page, with those before it that are stepped over. As in Elasticsearch.
const WINDOW_MAX: usize = 10_000;
/// Hits that are counted where nothing is said. As in Elasticsearch.
const TOTAL_USUAL: u64 = 10_000;
/// Searches of one `_msearch`.
const SEARCHES_MAX: usize = 100;
/// Slices of one scroll or point in time. As in Elasticsearch.
const SLICES_MAX: u32 = 1024;
/// What Elasticsearch's searches may have and ours may not.
const NOT_SUPPORTED: &[&str] = &["knn", "rescore", "suggest", "retriever", "rank", "ext", "script", "derived", "search_pipeline"];
/// How a cursor among sort values begins.
const CURSOR: &str = "~";

/// The body of a search.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Body {
    query: Option<Value>,
    post_filter: Option<Value>,
    #[serde(alias = "aggregations")]
    aggs: Option<Value>,
    size: Option<usize>,
    from: Option<usize>,
    sort: Option<Value>,
    search_after: Option<Vec<Value>>,
    #[serde(rename = "_source")]
    source: Option<Value>,
    fields: Option<Vec<Value>>,
    docvalue_fields: Option<Vec<Value>>,
    track_total_hits: Option<Value>,
    timeout: Option<String>,
    pit: Option<Pit>,
    script_fields: Option<Map<String, Value>>,
    runtime_mappings: Option<Map<String, Value>>,
    min_score: Option<f64>,
    slice: Option<Slice>,
    stored_fields: Option<Value>,
    highlight: Option<Value>,
    collapse: Option<Value>,
    // Read over: they change how hits are scored or told apart from older versions, never which they are.
    #[serde(rename = "track_scores")]
    _track_scores: Option<bool>,
    #[serde(rename = "version")]
    _version: Option<bool>,
    #[serde(rename = "seq_no_primary_term")]
    _seq_no_primary_term: Option<bool>,
    #[serde(rename = "explain")]
    _explain: Option<bool>,
    #[serde(rename = "profile")]
    _profile: Option<bool>,
    #[serde(rename = "stats")]
    _stats: Option<Value>,
    #[serde(rename = "terminate_after")]
    _terminate_after: Option<u64>,
    #[serde(rename = "indices_boost")]
    _indices_boost: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pit {
    id: String,
    keep_alive: Option<String>,
}

/// One of several parts that searches at the same time go through.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slice {
    #[serde(rename = "field")]
    _field: Option<String>,
    id: u32,
    max: u32,
}

/// A search, ready to run.
struct Planned {
    request: SearchRequest,
    /// The aggregations, where they are of more than the hits.
    counted: Option<SearchRequest>,
    told: Telling,
    shape: Shape,
    /// What each hit is sorted by.
    keys: Vec<SortKey>,
    from: usize,
    size: usize,
    track: bool,
    timeout_ns: i64,
    as_number: bool,
    /// Whether the names of aggregations tell their kinds.
    typed: bool,
}

#[derive(Clone, Eq, PartialEq)]
enum SortKey {
    /// A value, an instant in a format where one is asked for.
    Value(Option<String>),
    Score,
    /// What tells equals apart: our cursor.
    Tie,
}

/// A search that goes on page by page.
pub(crate) struct Scroll {
    snapshot: Snapshot,
    request: SearchRequest,
    shape: Shape,
    keys: Vec<SortKey>,
    total: Option<Value>,
    timeout_ns: i64,
    /// Set where the last page has been told.
    ended: bool,
}

/// A body of JSON; none is an empty object.
pub(crate) fn json_of(body: &[u8]) -> Result<Value, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let wrong = |e| Fault::new(StatusCode::BAD_REQUEST, "parse_exception", format!("request body: {e}"));
    let mut value = serde_json::from_slice(body).map_err(wrong)?;
    if has_fraction(&value) {
        exact(&mut value, serde_json::from_slice(body).map_err(wrong)?);
    }
    Ok(value)
}

/// Whether it has a number that [`exact`] may change: most requests have none, and are read once.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

/// Makes each fraction the number nearest to what is written: as serde_json reads those of many digits, they may be a neighbour of it, which
/// finds nothing. Its feature that would mend this slows no reading of ours, but is built into everything that reads JSON for one query in
/// many.
fn exact(value: &mut Value, written: &RawValue) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let read = written.get().parse().ok().and_then(Number::from_f64);
            *number = read.unwrap_or_else(|| number.clone());
        }
        Value::Array(values) => {
            let parts = serde_json::from_str::<Vec<&RawValue>>(written.get()).unwrap_or_default();
            values.iter_mut().zip(parts).for_each(|(value, written)| exact(value, written));
        }
        Value::Object(members) => {
            let parts = serde_json::from_str::<HashMap<String, &RawValue>>(written.get()).unwrap_or_default();
            for (name, value) in members {
                if let Some(written) = parts.get(name) {
                    exact(value, written);
                }
            }
        }
        _ => {}
    }
}

fn body_of(mut value: Value) -> Result<Body, Fault> {
    let there = |name: &&&str| value.get(**name).is_some();
    if let Some(name) = NOT_SUPPORTED.iter().find(there) {
        return Err(Fault::illegal(format!("[{name}] is not supported")));
    }
    // Counts may be written as texts there.
    for name in ["size", "from"] {
        if let Some(count) = value.get(name).and_then(|count| count.as_str()?.parse::<usize>().ok()) {
            value[name] = count.into();
        }
    }
    serde_json::from_value(value).map_err(|e| Fault::parsing(format!("search: {e}")))
}

/// A list as an address writes it.
fn listed(text: &str) -> Vec<Value> {
    text.split(',').map(Value::from).collect()
}

/// Which fields the address asks for; none where it says nothing.
pub(crate) fn source_of(parameters: &Parameters) -> Option<Value> {
    let get = |names: [&str; 2]| names.iter().find_map(|name| parameters.get(*name)).map(|text| listed(text));
    let includes = get(["_source_includes", "_source_include"]);
    let excludes = get(["_source_excludes", "_source_exclude"]);
    match parameters.get("_source").map(String::as_str) {
        Some("true" | "") => Some(true.into()),
        Some("false") => Some(false.into()),
        Some(text) => Some(listed(text).into()),
        None if includes.is_none() && excludes.is_none() => None,
        None => Some(json!({"includes": includes.unwrap_or_default(), "excludes": excludes.unwrap_or_default()})),
    }
}

/// What the address says wins over what the body says.
fn with_parameters(mut body: Body, parameters: &Parameters) -> Result<Body, Fault> {
    let number = |name: &str| {
        let wrong = || Fault::illegal(format!("[{name}] must be a count"));
        parameters.get(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
    };
    body.size = number("size")?.or(body.size);
    body.from = number("from")?.or(body.from);
    let names = |name: &str| parameters.get(name).map(|text| listed(text));
    body.sort = names("sort").map(Value::Array).or(body.sort);
    body.stored_fields = names("stored_fields").map(Value::Array).or(body.stored_fields);
    body.docvalue_fields = names("docvalue_fields").or(body.docvalue_fields);
    body.source = source_of(parameters).or(body.source);
    if let Some(text) = parameters.get("track_total_hits") {
        body.track_total_hits = Some(text.parse().map_or_else(|_| Value::from(text.as_str()), Value::Bool));
    }
    body.timeout = parameters.get("timeout").cloned().or(body.timeout);
    Ok(body)
}

/// The query of `?q=`, with the query of the body.
pub(super) fn asked(dsl: &mut Dsl<'_>, query: Option<Value>, parameters: &Parameters) -> Result<Query, Fault> {
    let mut all = Vec::new();
    if let Some(text) = parameters.get("q") {
        let operator = parameters.get("default_operator").is_some_and(|o| o.eq_ignore_ascii_case("and"));
        let fields: Vec<String> = parameters.get("df").cloned().into_iter().collect();
        all.push(dsl.lucene(text, operator, &fields, &index::TimeZone::UTC)?);
    }
    all.extend(query.map(|q| dsl.query(q)).transpose()?);
    Ok(match all.len() {
        0 => Query::All,
        1 => all.remove(0),
        _ => Query::And(all),
    })
}

fn plan(body: Body, parameters: &Parameters, fields: &Fields, now: Time) -> Result<Planned, Fault> {
    let mut body = with_parameters(body, parameters)?;
    for (name, there) in [
        ("script_fields", body.script_fields.as_ref().is_some_and(|m| !m.is_empty())),
        ("runtime_mappings", body.runtime_mappings.as_ref().is_some_and(|m| !m.is_empty())),
        ("min_score above 1, the score of every hit", body.min_score.is_some_and(|n| n > 1.0)),
    ] {
        if there {
            return Err(Fault::illegal(format!("[{name}] is not supported")));
        }
    }
    let mut dsl = Dsl::new(fields, now);
    let mut query = asked(&mut dsl, body.query.take(), parameters)?;
    let mut counted = None;
    if let Some(filter) = body.post_filter.take() {
        let filter = dsl.query(filter)?;
        counted = body.aggs.is_some().then(|| query.clone());
        query = Query::And(vec![query, filter]);
    }
    let (aggregations, told) = match body.aggs.take() {
        Some(aggs) => aggs::read(aggs, &mut dsl, 0)?,
        None => (Vec::new(), Telling::default()),
    };
    let mut shape = Shape {
        highlight: body.highlight.take().map(|value| Highlight::read(value, &mut dsl, &query)).transpose()?,
        collapse: body.collapse.take().map(|value| collapse_of(value, fields)).transpose()?,
        ..Shape::default()
    };
    let (query, from_time, to_time) = hoist(query);
    let mut request = SearchRequest::new(query);
    (request.from, request.to, request.aggregations) = (from_time, to_time, aggregations);
    // What is filtered behind the aggregations is counted with the rest.
    let counted = counted.map(|query| {
        let (query, from, to) = hoist(query);
        let aggregations = std::mem::take(&mut request.aggregations);
        SearchRequest { from, to, size: 0, total_max: Some(0), aggregations, ..SearchRequest::new(query) }
    });
    if let Some(Slice { id, max, .. }) = body.slice.take() {
        if !(2..=SLICES_MAX).contains(&max) || id >= max {
            return Err(Fault::illegal(format!("[slice]: [max] is 2 to {SLICES_MAX}, [id] less than it")));
        }
        request.slice = Some((id, max));
    }
    let (from, size) = (body.from.unwrap_or(0), body.size.unwrap_or(10));
    if from.saturating_add(size) > WINDOW_MAX {
        let reason = format!(
            "Result window is too large, from + size must be less than or equal to: [{WINDOW_MAX}] but was [{}]",
            from.saturating_add(size)
        );
        return Err(Fault::illegal(format!("{reason}. Use search_after or a scroll")));
    }
    let mut keys = sort_of(body.sort.take(), fields, &mut request)?;
    if body.pit.is_some() && !keys.contains(&SortKey::Tie) {
        keys.push(SortKey::Tie);
    }
    if let Some(after) = body.search_after.take() {
        if from > 0 {
            return Err(Fault::illegal("`from` parameter must be set to 0 when `search_after` is used"));
        }
        if shape.collapse.is_some() && (shape.collapse != request.sort_by || keys.len() != 1) {
            return Err(Fault::illegal("[search_after] with [collapse] is of the one field that both are by"));
        }
        request.cursor = Some(cursor_of(&after, &keys, fields, &request)?);
    }
    let (track, total_max) = match body.track_total_hits.take() {
        None => (true, Some(TOTAL_USUAL)),
        Some(Value::Bool(true)) => (true, None),
        Some(Value::Bool(false)) => (false, Some(0)),
        Some(value) => match text_of(&value).and_then(|t| t.parse::<i64>().ok()) {
            Some(-1) => (true, None),
            Some(n) if n >= 0 => (true, Some(n as u64)),
            _ => return Err(Fault::illegal("[track_total_hits] is true, false or a count")),
        },
    };
    request.total_max = total_max;
    shape.sorted = keys.iter().any(|k| *k != SortKey::Score);
    // Who names stored fields, if only none, wants no source besides.
    let stored = body.stored_fields.take().map(|names| list_of(names).iter().any(|name| name == "_source"));
    let usual = if stored == Some(false) { Filter::None } else { Filter::All };
    shape.source = body.source.take().map_or(Ok(usual), Filter::read)?;
    shape.tell_beside(body.fields.take().into_iter().chain(body.docvalue_fields.take()).flatten(), fields)?;
    if let Some(field) = &shape.collapse {
        shape.fields.push((field.clone(), None));
    }
    request.fields = shape.wanted(fields);
    let timeout = body.timeout.as_deref().map(|t| span_ns(t).filter(|ns| *ns > 0));
    let timeout_ns = match timeout {
        None => SEARCH_NS_MAX,
        Some(None) if body.timeout.as_deref() == Some("-1") => SEARCH_NS_MAX,
        Some(None) => return Err(Fault::illegal("[timeout] is no span of time")),
        Some(Some(ns)) => ns.min(SEARCH_NS_MAX),
    };
    let flag = |name: &str| parameters.get(name).is_some_and(|v| v == "true" || v.is_empty());
    let (as_number, typed) = (flag("rest_total_hits_as_int"), flag("typed_keys"));
    Ok(Planned { request, counted, told, shape, keys, from, size, track, timeout_ns, as_number, typed })
}

/// Reads the order: one field or the time, and behind it what tells equals apart.
fn sort_of(sort: Option<Value>, fields: &Fields, request: &mut SearchRequest) -> Result<Vec<SortKey>, Fault> {
    let mut keys = Vec::new();
    for sort in sort.map_or_else(Vec::new, list_of) {
        let one: Vec<(String, Value)> = match sort {
            Value::String(text) => match text.rsplit_once(':') {
                Some((name, order @ ("asc" | "desc"))) => vec![(name.to_owned(), order.into())],
                _ => vec![(text, Value::Null)],
            },
            Value::Object(map) => map.into_iter().collect(),
            _ => return Err(Fault::parsing("[sort] names fields")),
        };
        for (name, order) in one {
            let before = keys.iter().filter(|key| matches!(key, SortKey::Value(_))).count();
            let mut members = match order {
                order @ Value::Object(_) => Members::new("sort", order)?,
                order => Members::new("sort", json!({ "order": order }))?,
            };
            let name = fields.name(&name);
            let order = match members.text("order")?.as_deref() {
                None if name == "_score" => Sort::Desc,
                None | Some("asc") => Sort::Asc,
                Some("desc") => Sort::Desc,
                _ => return Err(Fault::parsing("[order] is [asc] or [desc]")),
            };
            match name {
                "_score" => keys.push(SortKey::Score),
                "_doc" | "_shard_doc" | "_id" | "_seq_no" | "_index" => keys.push(SortKey::Tie),
                "_script" | "_geo_distance" => return Err(Fault::illegal(format!("[sort] by [{name}] is not supported"))),
                // Equals of two fields are in the order of time, the newest first, whatever is asked.
                "@timestamp" if before == 2 => keys.push(SortKey::Tie),
                // A field once more orders nothing.
                name if before == 1 && request.sort_by.as_deref().unwrap_or("@timestamp") == name => keys.push(SortKey::Tie),
                name if before < 2 => {
                    // Of several values the one that comes first counts, as is usual.
                    let usual = if order == Sort::Asc { "min" } else { "max" };
                    members.fits("mode", |mode| mode == usual)?;
                    members.fits("missing", |missing| missing == "_last")?;
                    members.ignore(&["unmapped_type", "numeric_type"]);
                    let format = dates::format_of(&mut members)?;
                    members.finish()?;
                    if fields.kind(name) == "text" {
                        return Err(Fault::illegal(format!("the text field [{name}] cannot be sorted by")));
                    }
                    if before == 0 {
                        request.sort = order;
                        request.sort_by = (name != "@timestamp").then(|| name.to_owned());
                    } else {
                        request.then_by = Some((name.to_owned(), order));
                    }
                    keys.push(SortKey::Value(format.filter(|_| fields.is_date(name))));
                }
                name => return Err(Fault::illegal(format!("[sort] by a third field ([{name}]) is not supported"))),
            }
        }
    }
    Ok(keys)
}

/// The sort values of a hit.
fn sort_values(keys: &[SortKey], cursor: &str) -> Vec<Value> {
    let mut values = index::sort_values(cursor).into_iter();
    let value = |key: &SortKey| match key {
        SortKey::Value(format) => {
            let value = values.next().unwrap_or(Value::Null);
            match (format, value.as_i64()) {
                (Some(format), Some(ms)) => dates::write(Time::from_unix_ms(ms), Some(format), &index::TimeZone::UTC).into(),
                _ => value,
            }
        }
        SortKey::Score => json!(1.0),
        SortKey::Tie => format!("{CURSOR}{cursor}").into(),
    };
    keys.iter().map(value).collect()
}

/// The cursor that sort values stand for.
fn cursor_of(after: &[Value], keys: &[SortKey], fields: &Fields, request: &SearchRequest) -> Result<String, Fault> {
    if let Some(cursor) = after.iter().find_map(|v| v.as_str()?.strip_prefix(CURSOR)) {
        return Ok(cursor.to_owned());
    }
    let wrong = || Fault::illegal("[search_after] has as many values as [sort], each as a hit told it");
    let first = (request.sort_by.as_deref().unwrap_or("@timestamp"), request.sort);
    let then = request.then_by.as_ref().map(|(field, sort)| (field.as_str(), *sort));
    let mut sorted = [Some(first), then].into_iter().flatten();
    let (mut by, mut values) = (Vec::new(), Vec::new());
    for (key, value) in keys.iter().zip(after) {
        let SortKey::Value(format) = key else { continue };
        let (field, sort) = sorted.next().ok_or_else(wrong)?;
        let read = |format: Option<&str>| {
            let reading = dates::Reading { now: Time::EPOCH, zone: &index::TimeZone::UTC, format };
            reading.read(value, false)
        };
        values.push(match value {
            Value::String(_) if fields.is_date(field) => {
                read(format.as_deref()).or_else(|| read(None)).ok_or_else(wrong)?.unix_ms().into()
            }
            value => value.clone(),
        });
        by.push(index::SortedBy { field, kind: key_kind(fields, field), sort });
    }
    if by.is_empty() || after.len() > keys.len() || sorted.next().is_some() {
        return Err(wrong());
    }
    index::sorted_after(&by, &values).ok_or_else(wrong)
}

/// What one search has found: the page with its cursors, and where the next begins.
struct Page {
    answer: SearchResponse,
    hits: Vec<Value>,
    /// Why it may not tell all.
    lacks: Vec<Lack>,
}

/// Runs a request for `from + size` hits in pages, and tells those from `from` on.
fn pages(
    on: &On,
    snapshot: &Snapshot,
    asked: &SearchRequest,
    (from, size): (usize, usize),
    (shape, keys): (&Shape, &[SortKey]),
    limits: &SearchLimits,
) -> Result<Page, index::IndexError> {
    let mut request = asked.clone();
    let mut left = from + size;
    let mut skip = from;
    let mut hits = Vec::with_capacity(size.min(1000));
    let mut first: Option<SearchResponse> = None;
    let mut groups = shape.collapse.as_deref().map(Groups::of);
    loop {
        request.size = left.min(index::SIZE_MAX);
        let mut page = snapshot.search(&request, limits)?;
        let (found, cursors) = (std::mem::take(&mut page.hits), std::mem::take(&mut page.cursors));
        for (hit, cursor) in found.into_iter().zip(cursors) {
            if let Some(groups) = &mut groups
                && !groups.begins(&hit)?
            {
                continue;
            }
            left -= 1;
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let original = shape.wants_original().then(|| on.raw_of(&hit).unwrap_or_default());
            hits.push(shape.tell(hit, original, sort_values(keys, &cursor), &*limits.stop));
            if shape.highlight.is_some() && (limits.stop)() {
                page.stopped = true;
                break;
            }
        }
        let (next, stopped) = (page.cursor.clone(), page.stopped);
        match &mut first {
            None => first = Some(page),
            Some(first) => (first.cursor, first.stopped) = (page.cursor, stopped),
        }
        if let Some(groups) = &groups {
            request.query = groups.others(&asked.query);
        }
        // What is counted and aggregated is so once.
        (request.total_max, request.aggregations) = (Some(0), Vec::new());
        request.cursor = next;
        if left == 0 || request.cursor.is_none() || stopped {
            break;
        }
    }
    let answer = first.expect("there was one page at least");
    let lacks = on.lacks_of(&answer);
    Ok(Page { answer, hits, lacks })
}

/// Whether an answer that lacks something is wanted all the same, as it is unless the request says otherwise.
fn may_be_partial(parameters: &Parameters) -> bool {
    parameters.get("allow_partial_search_results").is_none_or(|text| text != "false")
}

/// One search, answered, and why the answer may not tell all.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    identity: &Identity,
    body: Value,
    parameters: &Parameters,
) -> Result<(Value, Vec<Lack>), Fault> {
    let started = shared.api.clock.now();
    let mut body = body_of(body)?;
    let searcher = shared.api.searchers[identity.tenant as usize].clone();
    let pit = body.pit.as_ref().map(|pit| (pit.id.clone(), pit.keep_alive.clone()));
    let scroll = parameters.get("scroll").map(|text| keep_alive(text)).transpose()?;
    let pinned = match &pit {
        Some((id, keep)) => {
            let keep = keep.as_deref().map(keep_alive).transpose()?;
            match shared.contexts.get(identity.tenant, id, keep, started)? {
                Context::Pit(snapshot) => Some(snapshot),
                _ => return Err(Fault::illegal("that is the id of no point in time")),
            }
        }
        None => None,
    };
    if scroll.is_some() && (body.from.is_some_and(|n| n > 0) || body.search_after.is_some() || pit.is_some()) {
        return Err(Fault::illegal("a scroll has no `from`, `search_after` or point in time"));
    }
    if scroll.is_some() && body.collapse.is_some() {
        return Err(Fault::illegal("cannot use [collapse] in a scroll"));
    }
    if pit.is_none() {
        body.pit = None;
    }
    let fields = super::fields_of(shared, identity).await?;
    let planned = plan(body, parameters, &fields, started)?;
    let Planned { request, counted, told, shape, keys, from, size, track, timeout_ns, as_number, typed } = planned;
    if scroll.is_some() && from > 0 {
        return Err(Fault::illegal("a scroll has no `from`"));
    }
    let (asked, asked_shape, asked_keys) = (request.clone(), shape.clone(), keys.clone());
    let found = run(shared, identity, timeout_ns, move |on, limits| {
        let snapshot = pinned.map_or_else(|| searcher.snapshot(), Ok)?;
        let mut page = pages(on, &snapshot, &asked, (from, size), (&asked_shape, &asked_keys), limits)?;
        let has_some = !counted.as_ref().unwrap_or(&asked).aggregations.is_empty();
        let counted = match counted {
            None => std::mem::take(&mut page.answer.aggregations),
            Some(request) => {
                let found = snapshot.search(&request, limits)?;
                page.answer.stopped |= found.stopped;
                page.answer.complete &= found.complete;
                page.lacks = on.lacks_of(&page.answer);
                found.aggregations
            }
        };
        let aggregations = has_some.then(|| aggs::answers(&told, counted, typed));
        Ok((page, snapshot, aggregations))
    });
    let (Page { answer, hits, lacks }, snapshot, aggregations) = found.await?;
    if let Some(lack) = lacks.iter().find(|lack| lack.code != "fields").filter(|_| !may_be_partial(parameters)) {
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "search_phase_execution_exception", lack.detail.clone()));
    }
    let total = track.then(|| total_of(&answer, request.total_max, as_number));
    if scroll.is_some() && answer.stopped {
        return Err(page_took_too_long());
    }
    let took_ns = shared.api.clock.now().since_ns(started);
    let mut told_answer = told_of((&answer, &lacks), &hits, total.clone(), took_ns, shape.sorted);
    if let Some(aggregations) = aggregations {
        told_answer.insert("aggregations".to_owned(), aggregations?);
    }
    if let Some((id, _)) = pit {
        told_answer.insert("pit_id".to_owned(), id.into());
    }
    if let Some(keep) = scroll {
        let mut next = request;
        let ended = answer.cursor.is_none();
        (next.cursor, next.size, next.aggregations) = (answer.cursor, size, Vec::new());
        let scroll = Scroll { snapshot, request: next, shape, keys, total, timeout_ns, ended };
        let id = shared.contexts.open(identity.tenant, Context::Scroll(Arc::new(scroll)), keep, &shared.api.clock)?;
        told_answer.insert("_scroll_id".to_owned(), id.into());
    }
    Ok((Value::Object(told_answer), lacks))
}

fn total_of(answer: &SearchResponse, total_max: Option<u64>, as_number: bool) -> Value {
    let exact = answer.total_exact && total_max.is_none_or(|max| answer.total <= max);
    let value = if exact { answer.total } else { total_max.map_or(answer.total, |max| answer.total.min(max)) };
    if as_number {
        return value.into();
    }
    json!({"value": value, "relation": if exact { "eq" } else { "gte" }})
}

fn told_of(
    (answer, lacks): (&SearchResponse, &[Lack]),
    hits: &[Value],
    total: Option<Value>,
    took_ns: i64,
    sorted: bool,
) -> Map<String, Value> {
    let mut inner = Map::new();
    total.map(|total| inner.insert("total".to_owned(), total));
    inner.insert("max_score".to_owned(), if sorted || hits.is_empty() { Value::Null } else { json!(1.0) });
    inner.insert("hits".to_owned(), hits.into());
    let mut all = Map::new();
    all.insert("took".to_owned(), (took_ns / 1_000_000).into());
    all.insert("timed_out".to_owned(), answer.stopped.into());
    all.insert("_shards".to_owned(), super::shards(&answer.missing));
    all.insert("hits".to_owned(), Value::Object(inner));
    if !lacks.is_empty() {
        // Theirs has no place for it: what the index is behind by would look as if it had never come.
        all.insert("mihari".to_owned(), json!({"incomplete": lacks}));
    }
    all
}

pub(crate) async fn search(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    index: Option<Path<String>>,
    FromQuery(parameters): FromQuery<Parameters>,
    body: Bytes,
) -> Result<Response, Fault> {
    super::check_index(index.as_ref().map(|Path(name)| name.as_str()))?;
    let (told, lacks) = answer(&shared, &identity, json_of(&body)?, &parameters).await?;
    Ok(super::warned(told, &lacks))
}

/// Pairs of lines: where to search, and what for. Each is answered by itself.
pub(crate) async fn msearch(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    body: Bytes,
) -> Result<Response, Fault> {
    let started = shared.api.clock.now();
    let mut lines = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let (mut responses, mut all_lacks) = (Vec::new(), Vec::<Lack>::new());
    let is_own = |name: &str| matches!(name, "rest_total_hits_as_int" | "typed_keys");
    let own: Parameters = parameters.into_iter().filter(|(name, _)| is_own(name)).collect();
    while let Some(header) = lines.next() {
        let Some(body) = lines.next() else {
            if header.is_empty() {
                break;
            }
            return Err(Fault::illegal("the last search of [_msearch] has no body"));
        };
        if header.is_empty() && body.is_empty() {
            continue;
        }
        if responses.len() >= SEARCHES_MAX {
            return Err(Fault::illegal(format!("[_msearch] takes {SEARCHES_MAX} searches at most")));
        }
        let one = async {
            let mut header = Members::new("_msearch", json_of(header)?)?;
            let index = header.take("index").map_or_else(Vec::new, list_of);
            let mut own = own.clone();
            if let Some(text) = header.text("allow_partial_search_results")? {
                own.insert("allow_partial_search_results".to_owned(), text);
            }
            header.ignore(parameters::IN_HEADERS);
            header.finish()?;
            index.iter().filter_map(Value::as_str).try_for_each(|name| super::check_index(Some(name)))?;
            answer(&shared, &identity, json_of(body)?, &own).await
        };
        responses.push(match one.await {
            Ok((mut found, lacks)) => {
                found["status"] = 200.into();
                all_lacks.extend(lacks);
                found
            }
            Err(fault) => fault.body(),
        });
    }
    if responses.is_empty() {
        return Err(Fault::illegal("[_msearch] is pairs of lines: where to search, and what for"));
    }
    let took_ms = shared.api.clock.now().since_ns(started) / 1_000_000;
    all_lacks.sort_by(|a, b| a.detail.cmp(&b.detail));
    all_lacks.dedup_by(|a, b| a.detail == b.detail);
    Ok(super::warned(json!({"took": took_ms, "responses": responses}), &all_lacks))
}

pub(crate) async fn count(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    index: Option<Path<String>>,
    FromQuery(parameters): FromQuery<Parameters>,
    body: Bytes,
) -> Result<Response, Fault> {
    super::check_index(index.as_ref().map(|Path(name)| name.as_str()))?;
    let mut body = super::fault::Members::new("count", json_of(&body)?)?;
    let query = body.take("query");
    body.finish()?;
    let fields = super::fields_of(&shared, &identity).await?;
    let query = asked(&mut Dsl::new(&fields, shared.api.clock.now()), query, &parameters)?;
    let (query, from, to) = hoist(query);
    let request = SearchRequest { from, to, size: 0, ..SearchRequest::new(query) };
    let counted = run(&shared, &identity, SEARCH_NS_MAX, move |on, limits| {
        let answer = on.searcher.search(&request, limits)?;
        let lacks = on.lacks_of(&answer);
        Ok((answer, lacks))
    });
    let (answer, lacks) = counted.await?;
    if answer.stopped {
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "timeout_exception", "counting took too long"));
    }
    Ok(super::warned(json!({"count": answer.total, "_shards": super::shards(&answer.missing)}), &lacks))
}

/// Whether any event is found by this query; yes where there is none.
pub(super) async fn any_hit(
    shared: &Arc<Shared>,
    identity: &Identity,
    fields: &Fields,
    query: Option<Value>,
) -> Result<bool, Fault> {
    let Some(query) = query else { return Ok(true) };
    let (query, from, to) = hoist(Dsl::new(fields, shared.api.clock.now()).query(query)?);
    let request = SearchRequest { from, to, size: 1, total_max: Some(0), ..SearchRequest::new(query) };
    let found = run(shared, identity, SEARCH_NS_MAX, move |on, limits| on.searcher.search(&request, limits)).await?;
    Ok(!found.hits.is_empty() || found.stopped)
}

/// A part of a page would look like the whole of it, and what it lacks would never come.
fn page_took_too_long() -> Fault {
    Fault::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "timeout_exception",
        "a page of the scroll took too long: it may be asked for again",
    )
}

/// The next page of a scroll.
pub(crate) async fn scroll(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    body: Bytes,
) -> Result<Response, Fault> {
    let started = shared.api.clock.now();
    let mut body = super::fault::Members::new("scroll", json_of(&body)?)?;
    let id = body.text("scroll_id")?.or_else(|| parameters.get("scroll_id").cloned());
    let id = id.ok_or_else(|| Fault::illegal("scroll_id is missing"))?;
    let keep = body.text("scroll")?.or_else(|| parameters.get("scroll").cloned()).map(|t| keep_alive(&t)).transpose()?;
    body.finish()?;
    let Context::Scroll(scroll) = shared.contexts.get(identity.tenant, &id, keep, started)? else {
        return Err(Fault::illegal("that is the id of no scroll"));
    };
    let (mut told, lacks) = if scroll.ended {
        let none = SearchResponse {
            complete: true,
            stopped: false,
            missing: Vec::new(),
            fields_incomplete: Vec::new(),
            unread: 0,
            begins: None,
            total: 0,
            total_exact: true,
            hits: Vec::new(),
            aggregations: BTreeMap::new(),
            cursors: Vec::new(),
            cursor: None,
            searched_from: None,
        };
        (told_of((&none, &[]), &[], scroll.total.clone(), 0, scroll.shape.sorted), Vec::new())
    } else {
        let going = scroll.clone();
        let found = run(&shared, &identity, scroll.timeout_ns, move |on, limits| {
            let size = going.request.size;
            let request = SearchRequest { total_max: Some(0), ..going.request.clone() };
            pages(on, &going.snapshot, &request, (0, size), (&going.shape, &going.keys), limits)
        });
        let Page { answer, hits, lacks } = found.await?;
        if answer.stopped {
            return Err(page_took_too_long());
        }
        let took_ns = shared.api.clock.now().since_ns(started);
        let told = told_of((&answer, &lacks), &hits, scroll.total.clone(), took_ns, scroll.shape.sorted);
        let ended = answer.cursor.is_none();
        let mut request = scroll.request.clone();
        request.cursor = answer.cursor;
        let next = Scroll {
            snapshot: scroll.snapshot.clone(),
            request,
            shape: scroll.shape.clone(),
            keys: scroll.keys.clone(),
            total: scroll.total.clone(),
            timeout_ns: scroll.timeout_ns,
            ended,
        };
        shared.contexts.replace(&id, Context::Scroll(Arc::new(next)));
        (told, lacks)
    };
    told.insert("_scroll_id".to_owned(), id.into());
    Ok(super::warned(Value::Object(told), &lacks))
}

pub(crate) async fn end_scroll(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    body: Bytes,
) -> Result<Response, Fault> {
    let mut body = super::fault::Members::new("scroll", json_of(&body)?)?;
    let ids = body.take("scroll_id").or_else(|| parameters.get("scroll_id").map(|id| id.as_str().into()));
    body.finish()?;
    let ids: Vec<String> = ids.map_or_else(Vec::new, list_of).iter().filter_map(text_of).collect();
    let freed = match ids.iter().any(|id| id == "_all") {
        true => shared.contexts.close_scrolls(identity.tenant),
        false => ids.iter().filter(|id| shared.contexts.close(identity.tenant, id)).count(),
    };
    Ok(closed(freed, !ids.is_empty()))
}

fn closed(freed: usize, asked: bool) -> Response {
    let status = if freed == 0 && asked { StatusCode::NOT_FOUND } else { StatusCode::OK };
    (status, Json(json!({"succeeded": true, "num_freed": freed}))).into_response()
}

pub(crate) async fn open_pit(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(index): Path<String>,
    FromQuery(parameters): FromQuery<Parameters>,
) -> Result<Response, Fault> {
    super::check_index(Some(&index))?;
    let keep = parameters.get("keep_alive").ok_or_else(|| Fault::illegal("[keep_alive] is missing"))?;
    let keep = keep_alive(keep)?;
    let snapshot = run(&shared, &identity, SEARCH_NS_MAX, |on, _| on.searcher.snapshot()).await?;
    let id = shared.contexts.open(identity.tenant, Context::Pit(snapshot), keep, &shared.api.clock)?;
    let created = shared.api.clock.now().unix_ms();
    Ok(Json(json!({"id": id, "pit_id": id, "_shards": super::shards(&[]), "creation_time": created})).into_response())
}

pub(crate) async fn close_pit(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    body: Bytes,
) -> Result<Response, Fault> {
    let mut body = super::fault::Members::new("pit", json_of(&body)?)?;
    // Elasticsearch's client says `id`, OpenSearch's `pit_id`, one or several.
    let opensearch = body.take("pit_id");
    let ids = body.take("id").or_else(|| opensearch.clone());
    body.finish()?;
    let ids: Vec<String> = ids.map_or_else(Vec::new, list_of).iter().filter_map(text_of).collect();
    let freed: Vec<&String> = ids.iter().filter(|id| shared.contexts.close(identity.tenant, id)).collect();
    if opensearch.is_some() {
        let pits: Vec<Value> = freed.iter().map(|id| json!({"successful": true, "pit_id": id})).collect();
        return Ok(Json(json!({"pits": pits})).into_response());
    }
    Ok(closed(freed.len(), !ids.is_empty()))
}
