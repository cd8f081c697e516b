//! `_async_search`: a search whose answer is fetched later.
//!
//! It is a search as any other, with its limits; only that it goes on when who asked for it has gone, and that its answer is kept, an hour at
//! most. What runs has no answer in part.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query as FromQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use event::Time;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::aggs::span_ns;
use super::contexts::{Context, KEEP_MAX, keep_alive};
use super::dsl::Parameters;
use super::fault::Fault;
use super::search::{answer, json_of};
use crate::search::{Lack, SEARCH_NS_MAX};
use crate::server::Shared;
use crate::store::Identity;

/// Bytes of an answer that is kept. As in Elasticsearch.
const ANSWER_BYTES_MAX: usize = 10 << 20;
/// How long is waited for an answer where nothing is said. As in Elasticsearch.
const WAIT_USUAL: Duration = Duration::from_secs(1);

/// A search that runs or is done. It ends with its last holder.
pub(crate) struct Later {
    started: Time,
    done: watch::Receiver<Option<Arc<Done>>>,
    task: AbortHandle,
}

/// How a search ended.
struct Done {
    at: Time,
    answer: Result<(Box<RawValue>, Vec<Lack>), Fault>,
}

impl Drop for Later {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is told of such a search.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    is_partial: bool,
    is_running: bool,
    start_time_in_millis: i64,
    expiration_time_in_millis: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_time_in_millis: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a RawValue>,
}

impl Later {
    fn begin(shared: &Arc<Shared>, identity: &Identity, body: Value, parameters: Parameters) -> Later {
        let (tell, done) = watch::channel(None);
        let (of, who) = (shared.clone(), identity.clone());
        let task = tokio::spawn(async move {
            let found = answer(&of, &who, body, &parameters).await;
            let kept = found.and_then(|(told, lacks)| Ok((kept(&told)?, lacks)));
            tell.send_replace(Some(Arc::new(Done { at: of.api.clock.now(), answer: kept })));
        });
        Later { started: shared.api.clock.now(), done, task: task.abort_handle() }
    }

    /// How it ended, if it does so in time.
    async fn wait(&self, time: Duration) -> Option<Arc<Done>> {
        let mut done = self.done.clone();
        let ended = tokio::time::timeout(time, done.wait_for(Option::is_some)).await;
        ended.ok().and_then(Result::ok).and_then(|done| done.clone())
    }

    fn tell(&self, id: Option<&str>, ends: Time, done: Option<&Done>) -> Result<Response, Fault> {
        let running = kept(&json!({"took": 0, "timed_out": false, "num_reduce_phases": 0,
            "_shards": {"total": 1, "successful": 0, "skipped": 0, "failed": 0},
            "hits": {"total": {"value": 0, "relation": "gte"}, "max_score": null, "hits": []}}))?;
        let (response, lacks) = match done.map(|done| &done.answer) {
            None => (&*running, &[][..]),
            Some(Ok((response, lacks))) => (&**response, lacks.as_slice()),
            Some(Err(fault)) => return Err(fault.clone()),
        };
        let told = Told { response: Some(response), ..self.status(id, ends, done) };
        Ok(super::warned(&told, lacks))
    }

    fn status<'a>(&self, id: Option<&'a str>, ends: Time, done: Option<&Done>) -> Told<'a> {
        Told {
            id,
            is_partial: done.is_none_or(|done| done.answer.is_err()),
            is_running: done.is_none(),
            start_time_in_millis: self.started.unix_ms(),
            expiration_time_in_millis: ends.unix_ms(),
            completion_time_in_millis: done.map(|done| done.at.unix_ms()),
            completion_status: None,
            response: None,
        }
    }
}

fn kept(value: &Value) -> Result<Box<RawValue>, Fault> {
    let internal =
        |error: serde_json::Error| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_exception", error.to_string());
    let text = serde_json::to_string(value).map_err(internal)?;
    if text.len() > ANSWER_BYTES_MAX {
        return Err(Fault::illegal(format!("an answer of {} bytes is not kept: {ANSWER_BYTES_MAX} are the most", text.len())));
    }
    RawValue::from_string(text).map_err(internal)
}

fn wait_of(parameters: &mut Parameters, usual: Duration) -> Result<Duration, Fault> {
    let Some(text) = parameters.remove("wait_for_completion_timeout") else { return Ok(usual) };
    let ns = span_ns(&text).filter(|ns| *ns >= 0);
    let ns = ns.ok_or_else(|| Fault::illegal(format!("[wait_for_completion_timeout] {text:?} is no span of time")))?;
    Ok(Duration::from_nanos(ns.min(SEARCH_NS_MAX) as u64))
}

fn absent(id: &str) -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "resource_not_found_exception", id)
}

pub(crate) async fn submit(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    index: Option<Path<String>>,
    FromQuery(mut parameters): FromQuery<Parameters>,
    body: Bytes,
) -> Result<Response, Fault> {
    super::check_index(index.as_ref().map(|Path(name)| name.as_str()))?;
    let wait = wait_of(&mut parameters, WAIT_USUAL)?;
    let keep = parameters.remove("keep_alive").map_or(Ok(KEEP_MAX), |text| keep_alive(&text))?;
    let keeps_all = parameters.remove("keep_on_completion").is_some_and(|flag| flag != "false");
    if parameters.contains_key("scroll") {
        return Err(Fault::illegal("[_async_search] does not support [scroll]"));
    }
    let later = Arc::new(Later::begin(&shared, &identity, json_of(&body)?, parameters));
    let done = later.wait(wait).await;
    let ends = later.started.plus_ns(i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX));
    if !keeps_all && let Some(done) = &done {
        return later.tell(None, ends, Some(done));
    }
    let id = shared.contexts.open(identity.tenant, Context::Later(later.clone()), keep, &shared.api.clock)?;
    let ends = shared.contexts.ends(&id).unwrap_or(ends);
    later.tell(Some(&id), ends, done.as_deref())
}

/// The search of this id, when it is forgotten, and how it ended if it does so in time.
async fn known(
    shared: &Arc<Shared>,
    identity: &Identity,
    id: &str,
    mut parameters: Parameters,
) -> Result<(Arc<Later>, Time, Option<Arc<Done>>), Fault> {
    let wait = wait_of(&mut parameters, Duration::ZERO)?;
    let keep = parameters.remove("keep_alive").map(|text| keep_alive(&text)).transpose()?;
    let Ok(Context::Later(later)) = shared.contexts.get(identity.tenant, id, keep, shared.api.clock.now()) else {
        return Err(absent(id));
    };
    let done = later.wait(wait).await;
    let ends = shared.contexts.ends(id).ok_or_else(|| absent(id))?;
    Ok((later, ends, done))
}

pub(crate) async fn fetch(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    FromQuery(parameters): FromQuery<Parameters>,
) -> Result<Response, Fault> {
    let (later, ends, done) = known(&shared, &identity, &id, parameters).await?;
    later.tell(Some(&id), ends, done.as_deref())
}

pub(crate) async fn status(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    FromQuery(parameters): FromQuery<Parameters>,
) -> Result<Response, Fault> {
    let (later, ends, done) = known(&shared, &identity, &id, parameters).await?;
    let completion_status = done.as_ref().map(|done| done.answer.as_ref().map_or_else(Fault::status, |_| 200));
    Ok(Json(Told { completion_status, ..later.status(Some(&id), ends, done.as_deref()) }).into_response())
}

pub(crate) async fn end(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    match shared.contexts.get(identity.tenant, &id, None, shared.api.clock.now()) {
        Ok(Context::Later(_)) if shared.contexts.close(identity.tenant, &id) => {
            Ok(Json(json!({"acknowledged": true})).into_response())
        }
        _ => Err(absent(&id)),
    }
}
