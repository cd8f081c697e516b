//! The part of Elasticsearch's interface that its clients, Grafana and Sigma's converters use, under `/api/v1/_elastic`.
//!
//! ```text
//!  request ─ dsl, simple, aggs ─▶ index::SearchRequest ─▶ index ─▶ hits, aggs::tell ─▶ answer
//! ```
//!
//! There is one store a tenant, and a token sees that of its tenant: every name of an index stands for it. Records are only ever added.
//! What is not supported is refused by name, in the form that the clients know (`fault`).

mod aggs;
mod collapse;
mod contexts;
mod dates;
mod documents;
mod dsl;
mod fault;
mod filter_path;
mod highlight;
mod hits;
mod keys;
mod later;
mod parameters;
mod pipeline;
mod script;
mod search;
mod simple;
mod typed;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, Query as FromQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use event::{Content, Position};
use index::Missing;
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use contexts::Contexts;
use dsl::{Fields, Parameters, glob};
use fault::{Fault, Members, list_of, text_of};
use filter_path::Paths;
use hits::{INDEX, nest};

use crate::intake;
use crate::problem::Problem;
use crate::routes::Route;
use crate::search::Lack;
use crate::server::Shared;
use crate::store::Identity;

/// Where it lies.
const PREFIX: &str = "/api/v1/_elastic";
/// The version of the interface that we speak: clients of 7, 8 and 9 take it.
const VERSION: &str = "8.19.0";
/// How long a refresh waits for what was received to be searchable: the clients give up after 10 s.
const REFRESH_TIME: Duration = Duration::from_secs(8);
/// How often it looks.
const REFRESH_EVERY: Duration = Duration::from_millis(20);

/// The routes.
pub(crate) fn routes() -> Vec<Route> {
    const NONE: &[&str] = &[];
    const SEARCH: &[&str] = &[
        "query",
        "aggs",
        "size",
        "from",
        "sort",
        "search_after",
        "_source",
        "fields",
        "track_total_hits",
        "pit",
        "highlight",
        "collapse",
    ];
    let mut all = Vec::new();
    let mut add = |method, path: &'static str, id, summary, body: &'static [&'static str], records, handler| {
        let answer = "application/json";
        let media = if records { "application/x-ndjson" } else { answer };
        all.push(Route { method, path, id, summary, parameters: &[], headers: &[], body, answer, records, media, handler });
    };
    let search_any = || get(search::search).post(search::search);
    let count_any = || get(search::count).post(search::count);
    let caps_any = || get(field_caps).post(field_caps);
    add("get", "/api/v1/_elastic", "elastic", "What speaks here", NONE, false, get(info));
    add("get", "/api/v1/_elastic/", "elasticRoot", "What speaks here", NONE, false, get(info));
    add("get", "/api/v1/_elastic/_cluster/health", "elasticHealth", "Whether it is well", NONE, false, get(health));
    add(
        "get",
        "/api/v1/_elastic/_cluster/health/{index}",
        "elasticHealthOfIndex",
        "Whether it is well",
        NONE,
        false,
        get(health),
    );
    let bulk = || post(intake::bulk).put(intake::bulk);
    add("post", "/api/v1/_elastic/_bulk", "bulk", "Take records as Elasticsearch does", NONE, true, bulk());
    add("post", "/api/v1/_elastic/{index}/_bulk", "bulkOfIndex", "Take records as Elasticsearch does", NONE, true, bulk());
    add("post", "/api/v1/_elastic/_search", "elasticSearch", "Search events in Elasticsearch's DSL", SEARCH, false, search_any());
    add(
        "post",
        "/api/v1/_elastic/{index}/_search",
        "elasticSearchOfIndex",
        "Search events in Elasticsearch's DSL",
        SEARCH,
        false,
        search_any(),
    );
    let msearch = || get(search::msearch).post(search::msearch);
    add("post", "/api/v1/_elastic/_msearch", "elasticSearches", "Several searches at once", NONE, true, msearch());
    add("post", "/api/v1/_elastic/{index}/_msearch", "elasticSearchesOfIndex", "Several searches at once", NONE, true, msearch());
    let scroll = get(search::scroll).post(search::scroll).delete(search::end_scroll);
    add(
        "post",
        "/api/v1/_elastic/_search/scroll",
        "elasticScroll",
        "The next page of a scroll",
        &["scroll_id", "scroll"],
        false,
        scroll,
    );
    let later = || post(later::submit);
    add(
        "post",
        "/api/v1/_elastic/_async_search",
        "elasticLater",
        "A search whose answer is fetched later",
        SEARCH,
        false,
        later(),
    );
    add(
        "post",
        "/api/v1/_elastic/{index}/_async_search",
        "elasticLaterOfIndex",
        "A search whose answer is fetched later",
        SEARCH,
        false,
        later(),
    );
    add(
        "get",
        "/api/v1/_elastic/_async_search/{id}",
        "elasticLaterAnswer",
        "The answer of such a search, or that it runs; DELETE ends and forgets it",
        NONE,
        false,
        get(later::fetch).delete(later::end),
    );
    add(
        "get",
        "/api/v1/_elastic/_async_search/status/{id}",
        "elasticLaterStatus",
        "Whether such a search runs",
        NONE,
        false,
        get(later::status),
    );
    let pit = || delete(search::close_pit);
    add("post", "/api/v1/_elastic/{index}/_pit", "elasticOpenPit", "Open a point in time", NONE, false, post(search::open_pit));
    add("delete", "/api/v1/_elastic/_pit", "elasticClosePit", "Close a point in time", &["id"], false, pit());
    add(
        "post",
        "/api/v1/_elastic/{index}/_search/point_in_time",
        "openSearchOpenPit",
        "Open a point in time, as OpenSearch does",
        NONE,
        false,
        post(search::open_pit),
    );
    add(
        "delete",
        "/api/v1/_elastic/_search/point_in_time",
        "openSearchClosePit",
        "Close points in time, as OpenSearch does",
        &["pit_id"],
        false,
        pit(),
    );
    add("post", "/api/v1/_elastic/_count", "elasticCount", "Count events", &["query"], false, count_any());
    add("post", "/api/v1/_elastic/{index}/_count", "elasticCountOfIndex", "Count events", &["query"], false, count_any());
    add("get", "/api/v1/_elastic/_field_caps", "elasticFields", "The fields that events have", NONE, false, caps_any());
    add(
        "get",
        "/api/v1/_elastic/{index}/_field_caps",
        "elasticFieldsOfIndex",
        "The fields that events have",
        NONE,
        false,
        caps_any(),
    );
    add("get", "/api/v1/_elastic/_mapping", "elasticMapping", "The fields as a mapping", NONE, false, get(mapping));
    add(
        "get",
        "/api/v1/_elastic/{index}/_mapping",
        "elasticMappingOfIndex",
        "The fields as a mapping",
        NONE,
        false,
        get(mapping),
    );
    add(
        "get",
        "/api/v1/_elastic/{index}/_mapping/field/{field}",
        "elasticMappingOfField",
        "One field's mapping",
        NONE,
        false,
        get(mapping_of_field),
    );
    add(
        "get",
        "/api/v1/_elastic/{index}/_source/{id}",
        "elasticSource",
        "One event's fields",
        NONE,
        false,
        get(documents::source),
    );
    let mget = || get(documents::several).post(documents::several);
    add("post", "/api/v1/_elastic/_mget", "elasticEvents", "Several events by id", &["docs", "ids"], false, mget());
    add(
        "post",
        "/api/v1/_elastic/{index}/_mget",
        "elasticEventsOfIndex",
        "Several events by id",
        &["docs", "ids"],
        false,
        mget(),
    );
    add(
        "post",
        "/api/v1/_elastic/{index}/_terms_enum",
        "elasticValues",
        "The values of a field that begin so",
        &["field", "string", "size", "search_after", "case_insensitive", "index_filter"],
        false,
        get(documents::values).post(documents::values),
    );
    let validate = || get(documents::validate).post(documents::validate);
    add("post", "/api/v1/_elastic/_validate/query", "elasticValidate", "Whether a query is one", &["query"], false, validate());
    add(
        "post",
        "/api/v1/_elastic/{index}/_validate/query",
        "elasticValidateOfIndex",
        "Whether a query is one",
        &["query"],
        false,
        validate(),
    );
    add("get", "/api/v1/_elastic/_cat/indices", "elasticCatIndices", "The index, in a line", NONE, false, get(cat_indices));
    add("get", "/api/v1/_elastic/_cat/indices/{index}", "elasticCatIndex", "The index, in a line", NONE, false, get(cat_indices));
    // Newer clients ask with POST.
    let cat_count_any = || get(cat_count).post(cat_count);
    add("get", "/api/v1/_elastic/_cat/count", "elasticCatCount", "How many events there are", NONE, false, cat_count_any());
    add(
        "get",
        "/api/v1/_elastic/_cat/count/{index}",
        "elasticCatCountOfIndex",
        "How many events there are",
        NONE,
        false,
        cat_count_any(),
    );
    add("get", "/api/v1/_elastic/_cat/health", "elasticCatHealth", "Whether it is well, in a line", NONE, false, get(cat_health));
    add(
        "get",
        "/api/v1/_elastic/_resolve/index/{name}",
        "elasticResolve",
        "The index of a name",
        NONE,
        false,
        get(resolve).post(resolve),
    );
    add("get", "/api/v1/_elastic/_aliases", "elasticAliases", "The aliases: none", NONE, false, get(aliases));
    add("get", "/api/v1/_elastic/_alias", "elasticAlias", "The aliases: none", NONE, false, get(aliases));
    add("get", "/api/v1/_elastic/{index}/_alias", "elasticAliasOfIndex", "The aliases: none", NONE, false, get(aliases));
    add("get", "/api/v1/_elastic/{index}/_settings", "elasticSettings", "The index's settings", NONE, false, get(settings));
    add(
        "post",
        "/api/v1/_elastic/_refresh",
        "elasticRefresh",
        "Wait until all is searchable",
        NONE,
        false,
        post(refresh).get(refresh),
    );
    add(
        "post",
        "/api/v1/_elastic/{index}/_refresh",
        "elasticRefreshIndex",
        "Wait until all is searchable",
        NONE,
        false,
        post(refresh).get(refresh),
    );
    add("post", "/api/v1/_elastic/{index}/_doc", "elasticAdd", "Take a record", NONE, true, post(intake::one));
    add("get", "/api/v1/_elastic/{index}/_doc/{id}", "elasticEvent", "One event", NONE, false, get(documents::one));
    add(
        "put",
        "/api/v1/_elastic/{index}",
        "elasticIndex",
        "Make an index, which changes nothing; look at it; it is never deleted",
        NONE,
        false,
        put(make_index).get(index_info).delete(no_delete),
    );
    all
}

/// Makes an answer below [`PREFIX`] what clients of Elasticsearch expect: the product's name, their own content type, the parts that are wanted,
/// errors as they know them.
pub(crate) async fn as_expected(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(PREFIX) {
        return next.run(request).await;
    }
    let headers = request.headers();
    let versioned = |name| {
        let value = headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok())?;
        let version = value.split("compatible-with=").nth(1)?.bytes().next().filter(u8::is_ascii_digit)?;
        value.contains("application/vnd.elasticsearch+").then_some(version - b'0')
    };
    let path = request.uri().path().trim_start_matches(PREFIX).to_owned();
    let asked = format!("{} {path}", request.method());
    let version = versioned(header::ACCEPT).or_else(|| versioned(header::CONTENT_TYPE));
    let parameters =
        FromQuery::<Parameters>::try_from_uri(request.uri()).map_or_else(|_| Parameters::new(), |FromQuery(all)| all);
    let paths = parameters.get("filter_path").map_or(Ok(None), |text| Paths::read(text));
    let mut response = match parameters::check(&path, &parameters).and(paths) {
        Ok(paths) => wanted(next.run(request).await, paths).await,
        Err(fault) => fault.into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
        response = match problem.code() {
            // No route of ours: their clients have many more.
            "method_not_allowed" | "not_found" => not_supported(problem.status(), &asked).into_response(),
            _ => Fault::from(problem).into_response(),
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
    }
    let headers = response.headers_mut();
    headers.insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    if let Some(version) = version.filter(|_| headers.get(header::CONTENT_TYPE).is_some_and(|v| v == "application/json"))
        && let Ok(value) = HeaderValue::from_str(&format!("application/vnd.elasticsearch+json;compatible-with={version}"))
    {
        headers.insert(header::CONTENT_TYPE, value);
    }
    response
}

/// The parts of an answer that are wanted; what is no answer in JSON is told whole.
async fn wanted(response: Response, paths: Option<Paths>) -> Response {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let (Some(paths), true) = (paths, is_json && response.status().is_success()) else { return response };
    let (mut head, body) = response.into_parts();
    let told = match axum::body::to_bytes(body, usize::MAX).await {
        Ok(body) => search::json_of(&body),
        Err(error) => Err(Fault::from(Problem::internal(&error))),
    };
    head.headers.remove(header::CONTENT_LENGTH);
    match told {
        Ok(told) => (head, Json(paths.of(told))).into_response(),
        Err(fault) => fault.into_response(),
    }
}

/// What is not answered here, by its name.
fn not_supported(status: u16, asked: &str) -> Fault {
    const CHANGES: [&str; 6] = ["/_doc", "/_create", "/_update", "/_update_by_query", "/_delete_by_query", "/_reindex"];
    let changes = !asked.starts_with("GET") && CHANGES.iter().any(|name| asked.contains(name));
    let instead = if changes {
        ": records are only ever added, by [_bulk] and [POST /{index}/_doc], and get their ids from the log"
    } else {
        ""
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Fault::new(status, "illegal_argument_exception", format!("[{asked}] is not supported{instead}"))
}

/// The shards, as far as clients look: the store, and as one that failed each part that it should hold and does not.
fn shards(missing: &[Missing]) -> Value {
    let mut all = json!({"total": 1 + missing.len(), "successful": 1, "skipped": 0, "failed": missing.len()});
    if !missing.is_empty() {
        let failure = |(n, missing): (usize, &Missing)| {
            let (first, last) = missing.offsets;
            let reason = format!("log offsets {first} to {last}: {}", missing.reason);
            json!({"shard": n + 1, "index": INDEX, "node": INDEX, "reason": {"type": "no_shard_available_action_exception", "reason": reason}})
        };
        all["failures"] = missing.iter().enumerate().map(failure).collect();
    }
    all
}

/// An answer, with a warning in its head for each reason why it may not tell all: their clients show it.
fn warned(body: impl Serialize, lacks: &[Lack]) -> Response {
    let mut response = Json(body).into_response();
    for lack in lacks {
        let text: String =
            lack.detail.chars().map(|c| if c.is_ascii_graphic() && c != '"' && c != '\\' { c } else { ' ' }).collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 Elasticsearch-{VERSION} \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

/// Whether these can be names of indices, which all stand for the one that there is.
fn check_index(names: Option<&str>) -> Result<(), Fault> {
    for name in names.unwrap_or("_all").split(',') {
        // Of a day, as date math has it (`<logs-{now/d}>`): it stands for the same as any other.
        let name = name.strip_prefix('<').and_then(|name| name.split('{').next()).unwrap_or(name);
        let good = !name.is_empty()
            && name.len() <= 255
            && !name
                .chars()
                .any(|c| c.is_uppercase() || c.is_whitespace() || matches!(c, '/' | '\\' | '?' | '"' | '<' | '>' | '|' | '#'));
        if name.starts_with('_') && name != "_all" {
            return Err(Fault::illegal(format!("[{name}] is not supported")));
        }
        if !good {
            let reason = format!("Invalid index name [{name}]");
            return Err(Fault::new(StatusCode::BAD_REQUEST, "invalid_index_name_exception", reason));
        }
    }
    Ok(())
}

async fn info() -> Response {
    Json(json!({
        "name": INDEX, "cluster_name": INDEX, "cluster_uuid": INDEX,
        "version": {"number": VERSION, "build_flavor": "default", "build_type": "mihari", "build_hash": env!("CARGO_PKG_VERSION"),
            "build_date": "2026-01-01T00:00:00.000Z", "build_snapshot": false, "lucene_version": "9.12.2",
            "minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0"},
        "tagline": "You Know, for Search",
    }))
    .into_response()
}

/// Its colour and how many parts are missing: where some are, not all that was taken can be found.
fn health_of(shared: &Shared, identity: &Identity) -> (&'static str, usize) {
    let missing = shared.api.searchers[identity.tenant as usize].missing().len();
    (if missing == 0 { "green" } else { "red" }, missing)
}

async fn health(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Response {
    let (status, missing) = health_of(&shared, &identity);
    Json(json!({
        "cluster_name": INDEX, "status": status, "timed_out": false, "number_of_nodes": 1, "number_of_data_nodes": 1,
        "active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0, "initializing_shards": 0,
        "unassigned_shards": missing, "delayed_unassigned_shards": 0, "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": 100.0 / (1 + missing) as f64,
    }))
    .into_response()
}

async fn fields_of(shared: &Arc<Shared>, identity: &Identity) -> Result<Fields, Fault> {
    let searcher = shared.api.searchers[identity.tenant as usize].clone();
    let read = tokio::task::spawn_blocking(move || Fields::of(&searcher)).await.map_err(|error| Problem::internal(&error))?;
    Ok(read.map_err(|error| Problem::internal(&error))?)
}

async fn field_caps(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    body: axum::body::Bytes,
) -> Result<Response, Fault> {
    let mut body = Members::new("field_caps", search::json_of(&body)?)?;
    // Newer clients have in the body what older ones have in the address, lists with commas included.
    let mut list = |name: &str| -> Vec<String> {
        let named = body.take(name).map_or_else(Vec::new, list_of).iter().filter_map(text_of).collect::<Vec<_>>();
        let both = named.iter().map(String::as_str).chain(parameters.get(name).map(String::as_str));
        both.flat_map(|names| names.split(',')).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let (patterns, types, filters) = (list("fields"), list("types"), list("filters"));
    let filter = body.take("index_filter");
    body.ignore(&["runtime_mappings", "include_unmapped", "include_empty_fields"]);
    body.finish()?;
    if patterns.is_empty() {
        return Err(Fault::illegal("[fields] are missing"));
    }
    // No field is about the record rather than in it, within another or a nested object.
    let others = filters.iter().any(|filter| matches!(filter.as_str(), "+metadata" | "metadata"));
    let fields = fields_of(&shared, &identity).await?;
    if !search::any_hit(&shared, &identity, &fields, filter).await? {
        return Ok(Json(json!({"indices": [], "fields": {}})).into_response());
    }
    let mut all = Map::new();
    for (name, kind) in fields.iter() {
        let typed = types.is_empty() || types.iter().any(|wanted| wanted == kind);
        if !others && typed && patterns.iter().any(|pattern| glob(pattern, name)) {
            let caps = json!({"type": kind, "metadata_field": false, "searchable": true, "aggregatable": kind != "text"});
            all.insert(name.to_owned(), json!({ kind: caps }));
        }
    }
    Ok(Json(json!({"indices": [INDEX], "fields": all})).into_response())
}

async fn mapping(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Result<Response, Fault> {
    let mut properties = Map::new();
    for (name, kind) in fields_of(&shared, &identity).await?.iter() {
        // An object's members lie in its `properties`.
        nest(&mut properties, &name.replace('.', ".properties."), json!({ "type": kind }));
    }
    Ok(Json(json!({INDEX: {"mappings": {"dynamic": "true", "properties": properties}}})).into_response())
}

async fn mapping_of_field(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path((_, field)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let mut mappings = Map::new();
    for (name, kind) in fields_of(&shared, &identity).await?.iter().filter(|(name, _)| glob(&field, name)) {
        let last = name.rsplit('.').next().unwrap_or(name);
        mappings.insert(name.to_owned(), json!({"full_name": name, "mapping": {last: {"type": kind}}}));
    }
    Ok(Json(json!({INDEX: {"mappings": mappings}})).into_response())
}

/// A table as lines, or as JSON where that is asked for.
fn table(columns: &[(&str, String)], parameters: &Parameters, headers: &HeaderMap) -> Result<Response, Fault> {
    let wanted: Vec<&str> = match parameters.get("h") {
        Some(names) => names.split(',').collect(),
        None => columns.iter().map(|(name, _)| *name).collect(),
    };
    let value = |name: &&str| columns.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let format = parameters.get("format").map(String::as_str);
    // What comes first of what is accepted: their own clients say text and then JSON.
    let accepted = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()?.split(',').next());
    match format.or_else(|| accepted.filter(|kind| kind.contains("json")).map(|_| "json")) {
        Some("json") => {
            let row: Map<String, Value> = wanted.iter().map(|name| ((*name).to_owned(), value(name).into())).collect();
            Ok(Json(json!([row])).into_response())
        }
        None | Some("text") => {
            let mut text = String::new();
            if parameters.get("v").is_some_and(|v| v != "false") {
                text = wanted.join(" ") + "\n";
            }
            text.push_str(&wanted.iter().map(value).collect::<Vec<_>>().join(" "));
            text.push('\n');
            Ok(([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], text).into_response())
        }
        Some(other) => Err(Fault::illegal(format!("[format] {other:?} is not supported; json and text are"))),
    }
}

/// Documents and bytes of the tenant's index.
async fn usage(shared: &Arc<Shared>, identity: &Identity) -> Result<(u64, u64), Fault> {
    let searcher = shared.api.searchers[identity.tenant as usize].clone();
    let usage = tokio::task::spawn_blocking(move || searcher.usage()).await.map_err(|error| Problem::internal(&error))?;
    let usage = usage.map_err(|error| Problem::internal(&error))?;
    Ok((usage.iter().map(|s| s.documents).sum(), usage.iter().map(|s| s.bytes).sum()))
}

async fn cat_indices(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (documents, bytes) = usage(&shared, &identity).await?;
    let size = match parameters.get("bytes").map(String::as_str) {
        Some("b") => bytes.to_string(),
        Some("kb") => (bytes >> 10).to_string(),
        Some("mb") => (bytes >> 20).to_string(),
        _ if bytes >= 1 << 30 => format!("{:.1}gb", bytes as f64 / f64::from(1u32 << 30)),
        _ if bytes >= 1 << 20 => format!("{:.1}mb", bytes as f64 / f64::from(1u32 << 20)),
        _ => format!("{:.1}kb", bytes as f64 / 1024.0),
    };
    let columns = [
        ("health", health_of(&shared, &identity).0.to_owned()),
        ("status", "open".to_owned()),
        ("index", INDEX.to_owned()),
        ("uuid", INDEX.to_owned()),
        ("pri", "1".to_owned()),
        ("rep", "0".to_owned()),
        ("docs.count", documents.to_string()),
        ("docs.deleted", "0".to_owned()),
        ("store.size", size.clone()),
        ("pri.store.size", size.clone()),
        ("dataset.size", size),
    ];
    table(&columns, &parameters, &headers)
}

async fn cat_count(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let now = shared.api.clock.now();
    let clock = now.to_string().get(11..19).unwrap_or_default().to_owned();
    let documents = shared.api.searchers[identity.tenant as usize].documents();
    table(&[("epoch", now.unix_s().to_string()), ("timestamp", clock), ("count", documents.to_string())], &parameters, &headers)
}

async fn cat_health(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let now = shared.api.clock.now();
    let columns = [
        ("epoch", now.unix_s().to_string()),
        ("cluster", INDEX.to_owned()),
        ("status", health_of(&shared, &identity).0.to_owned()),
        ("node.total", "1".to_owned()),
        ("shards", "1".to_owned()),
    ];
    table(&columns, &parameters, &headers)
}

async fn resolve(Path(name): Path<String>) -> Result<Response, Fault> {
    check_index(Some(&name))?;
    Ok(Json(json!({"indices": [{"name": INDEX, "attributes": ["open"]}], "aliases": [], "data_streams": []})).into_response())
}

async fn aliases() -> Response {
    Json(json!({INDEX: {"aliases": {}}})).into_response()
}

/// Every name is an index already: making one changes nothing.
async fn make_index(Path(index): Path<String>) -> Result<Response, Fault> {
    check_index(Some(&index))?;
    Ok(Json(json!({"acknowledged": true, "shards_acknowledged": true, "index": index})).into_response())
}

async fn index_info(Path(index): Path<String>) -> Result<Response, Fault> {
    check_index(Some(&index))?;
    Ok(Json(json!({INDEX: {"aliases": {}, "mappings": {}, "settings": its_settings()}})).into_response())
}

fn its_settings() -> Value {
    json!({"index": {"number_of_shards": "1", "number_of_replicas": "0", "provided_name": INDEX}})
}

async fn settings(Path(index): Path<String>) -> Result<Response, Fault> {
    check_index(Some(&index))?;
    Ok(Json(json!({INDEX: {"settings": its_settings()}})).into_response())
}

async fn no_delete() -> Fault {
    Fault::illegal("events are evidence: an index is never deleted; retention drops what is old")
}

/// Waits until all that has been received is searchable.
pub(crate) async fn searchable(shared: &Arc<Shared>, identity: &Identity) -> bool {
    let searcher = &shared.api.searchers[identity.tenant as usize];
    let wanted = (shared.api.stage)().journal_position;
    let reached = || {
        let position = searcher.position();
        // What the log notes of itself becomes no event, and moves the index by nothing: its last offset is such a note.
        position >= wanted
            || (shared.api.stage)().searchable_position + 1 >= wanted
            || (wanted - position <= 8
                && (position + 1..=wanted).all(|offset| {
                    let frame = shared.api.raw.raw(Position { partition: 0, offset });
                    // None: a mark of the log's own.
                    frame.is_ok_and(|f| {
                        f.is_none_or(|(head, _)| {
                            matches!(head.content, Content::Tick | Content::Loss | Content::Mark | Content::Tombstone)
                        })
                    })
                }))
    };
    let waiting = async {
        while !reached() {
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    };
    tokio::time::timeout(REFRESH_TIME, waiting).await.is_ok()
}

async fn refresh(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Result<Response, Fault> {
    if !searchable(&shared, &identity).await {
        let reason = "what was received is not searchable yet";
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "timeout_exception", reason));
    }
    Ok(Json(json!({"_shards": shards(&[])})).into_response())
}
