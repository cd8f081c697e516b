//! Single events by id, the values that a field begins with, and whether a query is one.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query as FromQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use event::EventId;
use index::query::{Pattern, Query, Test};
use index::{AggregationKind, SearchRequest, TermsOrder};
use serde_json::{Value, json};

use super::dsl::{Dsl, Parameters};
use super::fault::{Fault, Members, list_of, text_of};
use super::hits::{Filter, INDEX, Shape};
use super::search::{asked, json_of, source_of};
use crate::search::{SEARCH_NS_MAX, events, run};
use crate::server::Shared;
use crate::store::Identity;

/// Events of one `_mget`.
const IDS_MAX: usize = 1000;
/// Values of one `_terms_enum`. As in Elasticsearch.
const VALUES_MAX: usize = 10_000;

/// One event as Elasticsearch tells a document; none where there is no such event.
async fn document(shared: &Arc<Shared>, identity: &Identity, id: &str, source: Option<Value>) -> Result<Option<Value>, Fault> {
    let source = source.map_or(Ok(Filter::All), Filter::read)?;
    let Ok(event) = id.parse::<EventId>() else { return Ok(None) };
    let Some(found) = events(shared, identity, vec![event]).await?.0.pop() else { return Ok(None) };
    let (hit, raw) = found.into_hit();
    let shape = Shape { source, ..Shape::default() };
    let original = shape.wants_original().then_some(raw);
    let mut told = shape.tell(hit, original, Vec::new(), &|| false);
    if let Some(members) = told.as_object_mut() {
        members.shift_remove("_score");
    }
    told["_version"] = 1.into();
    told["found"] = true.into();
    Ok(Some(told))
}

fn absent(index: &str, id: &str) -> Value {
    json!({"_index": index, "_id": id, "found": false})
}

pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path((_, id)): Path<(String, String)>,
    FromQuery(parameters): FromQuery<Parameters>,
) -> Result<Response, Fault> {
    Ok(match document(&shared, &identity, &id, source_of(&parameters)).await? {
        Some(told) => Json(told).into_response(),
        None => (StatusCode::NOT_FOUND, Json(absent(INDEX, &id))).into_response(),
    })
}

/// The source of one event, nothing about it.
pub(crate) async fn source(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path((_, id)): Path<(String, String)>,
    FromQuery(parameters): FromQuery<Parameters>,
) -> Result<Response, Fault> {
    let found = document(&shared, &identity, &id, source_of(&parameters)).await?;
    let missing =
        || Fault::new(StatusCode::NOT_FOUND, "resource_not_found_exception", format!("Document not found [{INDEX}]/[{id}]"));
    Ok(Json(found.ok_or_else(missing)?["_source"].take()).into_response())
}

/// Several events by id, in the order asked for.
pub(crate) async fn several(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    body: Bytes,
) -> Result<Response, Fault> {
    let mut members = Members::new("mget", json_of(&body)?)?;
    let mut wanted: Vec<Value> = members.take("docs").map_or_else(Vec::new, list_of);
    wanted.extend(members.take("ids").map_or_else(Vec::new, list_of).into_iter().map(|id| json!({ "_id": id })));
    members.finish()?;
    if wanted.is_empty() || wanted.len() > IDS_MAX {
        return Err(Fault::illegal(format!("[_mget] takes 1 to {IDS_MAX} ids")));
    }
    let mut docs = Vec::with_capacity(wanted.len());
    for one in wanted {
        let mut one = Members::new("docs", one)?;
        let id = text_of(&one.required("_id")?).ok_or_else(|| Fault::parsing("[_id] is a text"))?;
        let index = one.text("_index")?.unwrap_or_else(|| INDEX.to_owned());
        super::check_index(Some(&index))?;
        let source = one.take("_source").or_else(|| source_of(&parameters));
        one.ignore(&["routing", "stored_fields"]);
        one.finish()?;
        docs.push(document(&shared, &identity, &id, source).await?.unwrap_or_else(|| absent(&index, &id)));
    }
    Ok(Json(json!({ "docs": docs })).into_response())
}

/// The values of a field that begin with a text, in their order.
pub(crate) async fn values(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    body: Bytes,
) -> Result<Response, Fault> {
    let mut members = Members::new("terms_enum", json_of(&body)?)?;
    let field = members.text("field")?.ok_or_else(|| Fault::parsing("[terms_enum] requires [field]"))?;
    let start = members.text("string")?.unwrap_or_default();
    let after = members.text("search_after")?;
    let size = members.count("size")?.unwrap_or(10).min(VALUES_MAX);
    let filter = members.take("index_filter");
    let ignore_case = members.flag("case_insensitive")?.unwrap_or(false);
    members.ignore(&["timeout"]);
    members.finish()?;
    let fields = super::fields_of(&shared, &identity).await?;
    let name = fields.name(&field).to_owned();
    if fields.kind(&name) == "text" {
        return Err(Fault::illegal(format!("the values of the text field [{name}] cannot be listed")));
    }
    let mut dsl = Dsl::new(&fields, shared.api.clock.now());
    let mut query = asked(&mut dsl, filter, &Parameters::new())?;
    if !start.is_empty() {
        // Whatever is special in a pattern stands for itself.
        let pattern: String =
            start.chars().flat_map(|c| ['\\'].into_iter().filter(move |_| "*?\\".contains(c)).chain([c])).collect();
        let pattern = Pattern::new(&format!("{pattern}*")).map_err(|_| Fault::illegal("the text is too long"))?;
        let begins = Query::of(&name, Test::Glob(pattern)).map_err(|reason| Fault::illegal(reason.to_string()))?;
        query = Query::And(vec![query, begins]);
    }
    let kind = AggregationKind::Terms {
        field: name,
        size: index::TERMS_MAX,
        order: TermsOrder::Key,
        min_count: 1,
        missing: None,
        chosen: Default::default(),
    };
    let request = SearchRequest {
        size: 0,
        total_max: Some(0),
        aggregations: vec![(String::new(), kind.into())],
        ..SearchRequest::new(query)
    };
    let found = run(&shared, &identity, SEARCH_NS_MAX, move |on, limits| on.searcher.search(&request, limits)).await?;
    let complete = found.complete && found.aggregations.values().all(|a| a.other.unwrap_or(0) == 0 && !a.approximate);
    // A field may have other values beside the one that was found.
    let lower = start.to_lowercase();
    let begins = |value: &str| value.starts_with(&start) || (ignore_case && value.to_lowercase().starts_with(&lower));
    let all = found.aggregations.into_values().flat_map(|a| a.buckets).map(|b| b.key);
    let terms: Vec<String> =
        all.filter(|value| begins(value) && after.as_ref().is_none_or(|after| value > after)).take(size).collect();
    Ok(Json(json!({"_shards": super::shards(&found.missing), "terms": terms, "complete": complete})).into_response())
}

/// Whether a query is one, and if not, why.
pub(crate) async fn validate(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<Parameters>,
    body: Bytes,
) -> Result<Response, Fault> {
    let mut members = Members::new("validate", json_of(&body)?)?;
    let query = members.take("query");
    members.finish()?;
    let fields = super::fields_of(&shared, &identity).await?;
    let read = asked(&mut Dsl::new(&fields, shared.api.clock.now()), query, &parameters);
    let mut told = json!({"_shards": super::shards(&[]), "valid": read.is_ok()});
    if parameters.get("explain").is_some_and(|value| value != "false") {
        let mut explained = json!({"index": INDEX, "valid": read.is_ok()});
        if let Err(fault) = read {
            explained["error"] = fault.body()["error"]["reason"].take();
        }
        told["explanations"] = json!([explained]);
    }
    Ok(Json(told).into_response())
}
