//! Search, single events, their neighbours, and the live tail.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use event::{EventId, EventRef, Frame, Position, TenantId, Time, hexadecimal};
use index::query::{self, Test};
use index::{Hit, IndexError, Matcher, Missing, Progress, RawSource, Removed, SearchLimits, SearchRequest, SearchResponse, Sort};
use serde::{Deserialize, Serialize};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::aggs::{self, AggBody};
use crate::intake::Intake;
use crate::places::Places;
use crate::problem::Problem;
use crate::server::{ALIVE, Shared, Stage, watch};
use crate::store::Identity;

/// How long a search may take.
pub(crate) const SEARCH_NS_MAX: i64 = 10 * 1_000_000_000;
/// Neighbours on each side.
const CONTEXT_MAX: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SearchBody {
    query: String,
    from: Option<String>,
    to: Option<String>,
    size: Option<usize>,
    sort: Option<String>,
    cursor: Option<String>,
    fields: Option<Vec<String>>,
    aggs: BTreeMap<String, AggBody>,
}

/// A hit as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct ShownHit {
    id: EventId,
    pub(crate) time: Time,
    received: Time,
    fields: BTreeMap<String, serde_json::Value>,
    raw: String,
    /// The record itself is no longer in the journal: retention has removed it, or it lay in a damaged part.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    raw_gone: bool,
    /// By which rule, and what is left of the part of the journal that it was in, where retention has removed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_removed: Option<Removed>,
}

impl ShownHit {
    /// The hit and its raw text.
    pub(crate) fn into_hit(self) -> (Hit, String) {
        (Hit { id: self.id, time: self.time, received: self.received, fields: self.fields }, self.raw)
    }
}

/// An instant of a request: RFC 3339, a date, or relative to now.
pub(crate) fn instant(text: Option<&str>, name: &'static str, now: Time) -> Result<Option<Time>, Problem> {
    match text.filter(|t| !t.is_empty()) {
        None => Ok(None),
        Some(text) => {
            query::time(text, now).map(Some).ok_or_else(|| Problem::bad("bad_time", format!("{name}: {text:?} is no time")))
        }
    }
}

/// Refuses a range that does not begin before it ends: its answer would look as if there were nothing.
pub(crate) fn ordered(from: Time, to: Time) -> Result<(), Problem> {
    if from < to { Ok(()) } else { Err(Problem::bad("bad_time", format!("from {from} is not before to {to}"))) }
}

pub(crate) async fn search(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    body: Result<Json<serde_json::Map<String, serde_json::Value>>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Problem> {
    // Members have names: a list of their values, which they can be read from too, is a mistake.
    let Json(body) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    let body = SearchBody::deserialize(serde_json::Value::Object(body)).map_err(|e| Problem::bad("bad_body", e.to_string()))?;
    let now = shared.api.clock.now();
    let (from, to) = (instant(body.from.as_deref(), "from", now)?, instant(body.to.as_deref(), "to", now)?);
    let from = from.or_else(|| body.from.is_none().then(|| now.plus_ns(-86_400 * 1_000_000_000)));
    if let (Some(from), Some(to)) = (from, to) {
        ordered(from, to)?;
    }
    let mut request = SearchRequest::new(parse(&body.query, now)?);
    (request.from, request.to, request.cursor, request.fields) = (from, to, body.cursor, body.fields);
    request.size = body.size.unwrap_or(50);
    // `desc`, `asc`, `FIELD` or `-FIELD`.
    (request.sort, request.sort_by) = match body.sort.as_deref() {
        None | Some("desc") => (Sort::Desc, None),
        Some("asc") => (Sort::Asc, None),
        Some(field) => match field.strip_prefix('-') {
            Some(field) => (Sort::Desc, Some(field.to_owned())),
            None => (Sort::Asc, Some(field.to_owned())),
        },
    };
    if request.sort_by.as_deref() == Some("message") {
        return Err(Problem::bad("bad_sort", "of message the words are kept, not its values: it cannot be sorted by"));
    }
    if let Some(field) = request.sort_by.as_deref().filter(|field| !shared.api.searchers[identity.tenant as usize].knows(field)) {
        return Err(Problem::bad("bad_sort", format!("sort is desc, asc, or a field (FIELD, -FIELD): no event has {field:?}")));
    }
    request.aggregations = aggs::read(body.aggs, (from.unwrap_or(now), to.unwrap_or(now), now))?;
    if takes_lines(&headers) {
        let places = shared.searches.clone();
        return in_parts((shared, identity), (places, SEARCH_NS_MAX), move |on, limits, telling| {
            let mut waiting: Vec<ShownHit> = Vec::new();
            let mut tell = |progress: Progress| {
                waiting.extend(progress.hits.into_iter().map(|hit| on.shown(hit)));
                let part = || {
                    serde_json::json!({"parts": progress.parts, "total": progress.total, "searched_to": progress.searched_to,
                        "hits": waiting})
                };
                if telling.tell(part) {
                    waiting.clear();
                }
            };
            let mut answer = on.searcher.search_telling(&request, limits, &mut tell)?;
            waiting.extend(std::mem::take(&mut answer.hits).into_iter().map(|hit| on.shown(hit)));
            Ok(whole(on, &request, &answer, &waiting))
        })
        .await;
    }
    let answer = run(&shared, &identity, SEARCH_NS_MAX, move |on, limits| {
        let mut answer = on.searcher.search(&request, limits)?;
        let hits: Vec<ShownHit> = std::mem::take(&mut answer.hits).into_iter().map(|hit| on.shown(hit)).collect();
        Ok(whole(on, &request, &answer, &hits))
    });
    let mut answer = answer.await?;
    answer["took_ms"] = (shared.api.clock.now().since_ns(now) / 1_000_000).into();
    Ok(Json(answer).into_response())
}

fn whole(on: &On, request: &SearchRequest, answer: &SearchResponse, hits: &[ShownHit]) -> serde_json::Value {
    let lacks = on.lacks_of(answer);
    let mut whole = serde_json::json!({"complete": lacks.is_empty(), "total": answer.total, "total_exact": answer.total_exact,
        "searched_from": answer.searched_from, "journal_position": on.stage.journal_position,
        "indexed_position": on.stage.searchable_position, "hits": hits, "aggs": answer.aggregations});
    if !lacks.is_empty() {
        whole["incomplete"] = serde_json::json!(lacks);
    }
    let unknown = on.searcher.unknown(request);
    if !unknown.is_empty() {
        whole["unknown_fields"] = serde_json::json!(unknown);
    }
    if let Some(begins) = answer.begins {
        whole["begins"] = serde_json::json!(begins);
    }
    if let Some(cursor) = &answer.cursor {
        whole["cursor"] = cursor.as_str().into();
    }
    whole
}

/// Why an answer may not tell all.
#[derive(Debug, Serialize)]
pub(crate) struct Lack {
    /// `stopped`, `behind`, `missing`, `fields` or `unread`.
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

/// What answers in parts.
pub(crate) const LINES: &str = "application/x-ndjson";
/// Parts that wait for a slow reader; while so many do, the next ones are not told.
const PARTS_WAITING_MAX: usize = 4;

/// Whether a request takes its answer in parts.
pub(crate) fn takes_lines(headers: &HeaderMap) -> bool {
    let wanted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    wanted.flat_map(|list| list.split(',')).any(|one| one.split(';').next().is_some_and(|one| one.trim() == LINES))
}

/// Takes the parts of an answer.
pub(crate) struct Telling(tokio::sync::mpsc::Sender<Bytes>);

impl Telling {
    /// Tells a part, if the reader keeps up.
    pub(crate) fn tell(&self, part: impl FnOnce() -> serde_json::Value) -> bool {
        self.0.try_reserve().map(|place| place.send(line(&part()))).is_ok()
    }
}

fn line(part: &serde_json::Value) -> Bytes {
    Bytes::from(format!("{part}\n"))
}

/// As [`run_in`], answered in lines: the parts that `work` tells, and last what it gives, with `"last": true`. It stops when the client goes.
/// An answer without its last line has broken off.
pub(crate) async fn in_parts(
    (shared, identity): (Arc<Shared>, Identity),
    (places, time_ns): (Places, i64),
    work: impl FnOnce(&On, &SearchLimits, &Telling) -> Result<serde_json::Value, IndexError> + Send + 'static,
) -> Result<Response, Problem> {
    let begun = shared.api.clock.now();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(PARTS_WAITING_MAX);
    let (end, guard) = watch(&shared, &identity);
    let working = tokio::spawn(async move {
        let _guard = guard;
        let telling = Telling(sender.clone());
        let mut last = tokio::select! {
            last = run_in((places, time_ns), &shared, &identity, move |on, limits| work(on, limits, &telling)) => last?,
            () = sender.closed() => return Ok(()),
            () = end.cancelled() => return Ok(()),
        };
        last["took_ms"] = (shared.api.clock.now().since_ns(begun) / 1_000_000).into();
        last["last"] = true.into();
        // Whoever does not want it any more is gone.
        drop(sender.send(line(&last)).await);
        Ok(())
    });
    // What fails before it has told anything fails as any other request does.
    let Some(first) = receiver.recv().await else {
        let ended: Result<(), Problem> = working.await.map_err(|error| Problem::internal(&error))?;
        let stopping = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the program is stopping");
        return Err(ended.err().unwrap_or_else(stopping));
    };
    let lines = tokio_stream::once(first).chain(ReceiverStream::new(receiver)).map(Ok::<Bytes, Infallible>);
    Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response())
}

pub(crate) fn parse(text: &str, now: Time) -> Result<index::Query, Problem> {
    query::parse(text, now).map_err(|error| Problem::query(&error))
}

/// What a search runs on: the tenant's index, and the log that has the raw text.
pub(crate) struct On {
    pub(crate) searcher: index::Searcher,
    /// How far everything was when the search began.
    stage: Stage,
    raw: Arc<dyn RawSource>,
    intake: Arc<dyn Intake>,
}

impl On {
    pub(crate) fn of(shared: &Shared, identity: &Identity) -> On {
        On {
            searcher: shared.api.searchers[identity.tenant as usize].clone(),
            stage: (shared.api.stage)(),
            raw: shared.api.raw.clone(),
            intake: shared.api.intake.clone(),
        }
    }

    /// As [`On::lacks`], of an answer.
    pub(crate) fn lacks_of(&self, answer: &SearchResponse) -> Vec<Lack> {
        let mut lacks = self.lacks(answer.stopped, &answer.missing, &answer.fields_incomplete);
        if answer.unread > 0 {
            let detail = format!(
                "the messages of {} events could not be looked into: their records are gone from the journal",
                answer.unread
            );
            lacks.push(Lack { code: "unread", detail });
        }
        lacks
    }

    /// Why an answer may not tell all: the search has stopped, the index is behind the journal, or lacks something that was asked for.
    pub(crate) fn lacks(&self, stopped: bool, missing: &[Missing], fields: &[String]) -> Vec<Lack> {
        let stopped = stopped.then(|| Lack { code: "stopped", detail: "the time was over before all was searched".to_owned() });
        let missing = missing.iter().map(|missing| {
            let (first, last) = missing.offsets;
            let when = missing.time.map_or_else(String::new, |(low, high)| format!(" ({low} to {high})"));
            Lack { code: "missing", detail: format!("log offsets {first} to {last}{when}: {}", missing.reason) }
        });
        let Stage { journal_position, searchable_position, behind_ms, .. } = self.stage;
        let behind = behind_ms.map(|ms| Lack {
            code: "behind",
            detail: format!(
                "the index is at log offset {searchable_position}, the journal at {journal_position}; what lies between has waited for {} s",
                ms / 1000
            ),
        });
        let fields = (!fields.is_empty()).then(|| Lack {
            code: "fields",
            detail: format!(
                "{}: of some events found by the words of the record only, for more names came than are kept",
                fields.join(", ")
            ),
        });
        stopped.into_iter().chain(behind).chain(missing).chain(fields).collect()
    }

    /// A hit with its raw text.
    fn shown(&self, hit: Hit) -> ShownHit {
        let raw = self.raw_of(&hit);
        self.shown_with(hit, raw)
    }

    /// A hit with its raw text; none where the journal no longer has it.
    pub(crate) fn shown_with(&self, hit: Hit, raw: Option<String>) -> ShownHit {
        let raw_gone = raw.is_none();
        let raw_removed = if raw_gone { self.raw.removed(hit.id.frame) } else { None };
        let raw = raw.unwrap_or_default();
        ShownHit { id: hit.id, time: hit.time, received: hit.received, fields: hit.fields, raw, raw_gone, raw_removed }
    }

    /// The raw text of a hit; that of a flow packet is hexadecimal. None where the journal no longer has it.
    pub(crate) fn raw_of(&self, hit: &Hit) -> Option<String> {
        match self.raw.raw(hit.id.frame) {
            Ok(Some((head, bytes))) if head.content == event::Content::Flow => Some(hexadecimal(&bytes)),
            Ok(Some((head, bytes))) => Some(self.intake.text(Frame { head, bytes: &bytes })),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "failed to read the raw text of a hit");
                None
            }
        }
    }
}

/// Runs a search on a thread of its own, a few at once; it stops when it takes too long or the client has gone.
pub(crate) async fn run<T: Send + 'static>(
    shared: &Arc<Shared>,
    identity: &Identity,
    time_ns: i64,
    search: impl FnOnce(&On, &SearchLimits) -> Result<T, IndexError> + Send + 'static,
) -> Result<T, Problem> {
    run_in((shared.searches.clone(), time_ns), shared, identity, search).await
}

/// As [`run`], in one of these places.
async fn run_in<T: Send + 'static>(
    (places, time_ns): (Places, i64),
    shared: &Arc<Shared>,
    identity: &Identity,
    search: impl FnOnce(&On, &SearchLimits) -> Result<T, IndexError> + Send + 'static,
) -> Result<T, Problem> {
    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let place = places.take(identity.tenant).await?;
    let gone = Arc::new(AtomicBool::new(false));
    let _guard = Gone(gone.clone());
    let clock = shared.api.clock.clone();
    let deadline = clock.now().plus_ns(time_ns);
    let limits = SearchLimits { stop: Arc::new(move || gone.load(Ordering::Relaxed) || clock.now() > deadline) };
    let on = On::of(shared, identity);
    // The place is kept as long as the search runs, also when nobody waits for it any more.
    let searching = tokio::task::spawn_blocking(move || {
        let answer = search(&on, &limits);
        drop(place);
        answer
    });
    match searching.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(IndexError::Refused(reason))) => Err(Problem::bad("refused", reason)),
        Ok(Err(error @ IndexError::Scarce { .. })) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "scarce", error.to_string()))
        }
        Ok(Err(error)) => Err(Problem::internal(&error)),
        Err(error) => Err(Problem::internal(&error)),
    }
}

/// Several events by id; those that are not there are named.
pub(crate) async fn events(
    shared: &Arc<Shared>,
    identity: &Identity,
    ids: Vec<EventId>,
) -> Result<(Vec<ShownHit>, Vec<EventId>), Problem> {
    run(shared, identity, SEARCH_NS_MAX, move |on, _| {
        let (mut hits, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match on.searcher.event(id)? {
                Some(hit) => hits.push(on.shown(hit)),
                None => missing.push(id),
            }
        }
        Ok((hits, missing))
    })
    .await
}

pub(crate) async fn one_event(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: EventId = id.parse().map_err(|_| Problem::not_found())?;
    let (mut hits, _) = events(&shared, &identity, vec![id]).await?;
    if hits.is_empty() { Err(Problem::not_found()) } else { Ok(Json(hits.remove(0)).into_response()) }
}

/// What proves that an event's record is in the journal: to be checked by `mihari verify --proof`, without the journal.
pub(crate) async fn proof(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: EventId = id.parse().map_err(|_| Problem::not_found())?;
    // Of another tenant's records nothing is told.
    let (hits, _) = events(&shared, &identity, vec![id]).await?;
    if hits.is_empty() {
        return Err(Problem::not_found());
    }
    let proof = run(&shared, &identity, SEARCH_NS_MAX, move |on, _| {
        let fail = |source| IndexError::Io { action: "read the log for", path: "a proof".into(), source };
        on.raw.proof(id.frame).map_err(fail)
    });
    let proof = proof.await?.ok_or_else(Problem::not_found)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], proof).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContextParameters {
    #[serde(default)]
    before: Option<usize>,
    #[serde(default)]
    after: Option<usize>,
}

/// Where a record came from.
const ADDRESS: &str = "log.source.address";
/// Where a record's own device is named, the first that is there: behind a relay many have its address.
const DEVICES: [&str; 3] = ["host.name", "observer.hostname", "observer.name"];

/// The records of the device that sent this one, by the address they came from and its own name.
fn of_the_same_device(hit: &ShownHit) -> query::Query {
    let text = |name: &str| match hit.fields.get(name)? {
        serde_json::Value::Array(values) => values.first()?.as_str(),
        value => value.as_str(),
    };
    let is = |name: &str, text: &str| query::Query::Field(name.to_owned(), Test::is(text));
    let address = match text(ADDRESS) {
        Some(address) => is(ADDRESS, address),
        None => query::Query::Not(Box::new(query::Query::Field(ADDRESS.to_owned(), Test::Exists))),
    };
    let device = DEVICES.iter().find_map(|name| Some(is(name, text(name)?)));
    query::Query::And(std::iter::once(address).chain(device).collect())
}

/// What the same device sent just before and after, in the order of the log.
pub(crate) async fn context(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    Query(parameters): Query<ContextParameters>,
) -> Result<Response, Problem> {
    let id: EventId = id.parse().map_err(|_| Problem::not_found())?;
    let (before, after) = (parameters.before.unwrap_or(5).min(CONTEXT_MAX), parameters.after.unwrap_or(5).min(CONTEXT_MAX));
    let (hits, _) = events(&shared, &identity, vec![id]).await?;
    let Some(hit) = hits.first() else { return Err(Problem::not_found()) };
    let query = of_the_same_device(hit);
    let (events, complete) = run(&shared, &identity, SEARCH_NS_MAX, move |on, limits| {
        let snapshot = on.searcher.snapshot()?;
        let beside = snapshot.beside(id, &query, (before, after), limits)?;
        let mut events = Vec::with_capacity(beside.before.len() + 1 + beside.behind.len());
        for id in beside.before.into_iter().chain([id]).chain(beside.behind) {
            events.extend(snapshot.event(id)?.map(|hit| on.shown(hit)));
        }
        Ok((events, beside.complete))
    })
    .await?;
    Ok(Json(serde_json::json!({"events": events, "complete": complete})).into_response())
}

pub(crate) async fn fields(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
) -> Result<Response, Problem> {
    let fields = run(&shared, &identity, SEARCH_NS_MAX, |on, _| on.searcher.fields()).await?;
    Ok(Json(serde_json::json!({"fields": fields})).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailParameters {
    #[serde(default)]
    query: String,
}

/// Hits that a slow reader may be behind.
const TAIL_HITS_MAX: usize = 256;

/// The live tail: events as they pass, before they are stored.
pub(crate) async fn tail(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(parameters): Query<TailParameters>,
) -> Result<Response, Problem> {
    let matcher = Arc::new(Matcher::new(parse(&parameters.query, shared.api.clock.now())?));
    let mut passing = shared.api.hub.tail(TenantId(identity.tenant));
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Event, Infallible>>(TAIL_HITS_MAX);
    let watch = watch(&shared, &identity);
    tokio::spawn(async move {
        let (end, _watch) = watch;
        let mut skipped = 0u64;
        loop {
            let (batch, missed) = tokio::select! {
                () = end.cancelled() => return,
                () = sender.closed() => return,
                // As soon as there is room, also where nothing more comes.
                place = sender.reserve(), if skipped > 0 => {
                    let Ok(place) = place else { return };
                    place.send(Ok(Event::default().event("skipped").data(format!("{{\"count\":{skipped}}}"))));
                    skipped = 0;
                    continue;
                }
                passed = passing.next() => match passed {
                    Some(passed) => passed,
                    None => return,
                },
            };
            // Matching is work for the processor, and a flow's raw text is on the disk.
            let (matcher, raw, tenant, room) = (matcher.clone(), shared.api.raw.clone(), identity.tenant, sender.capacity());
            let matching = tokio::task::spawn_blocking(move || {
                let mut found = batch.iter().filter(|e| e.tenant().0 == tenant && matcher.matches(*e));
                let hits: Vec<String> = found.by_ref().take(room).map(|event| live(event, &*raw)).collect();
                (hits, found.count() as u64)
            });
            let Ok((hits, left)) = matching.await else { return };
            skipped += missed + left;
            for hit in hits {
                if sender.try_send(Ok(Event::default().event("hit").data(hit))).is_err() {
                    skipped += 1;
                }
            }
        }
    });
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

/// An event as a hit, before the index has it.
fn live(event: EventRef<'_>, raw: &dyn RawSource) -> String {
    let mut out = String::from("{\"id\":");
    event::json::write_text(&event.id().to_string(), &mut out);
    out.push_str(",\"time\":");
    event::json::write_text(&event.time().to_string(), &mut out);
    out.push_str(",\"received\":");
    event::json::write_text(&event.received().to_string(), &mut out);
    out.push_str(",\"fields\":");
    event::json::write_event(event, &mut out);
    out.push_str(",\"raw\":");
    if event.raw().is_empty() {
        let Position { partition, offset } = event.id().frame;
        let bytes = raw.raw(Position { partition, offset }).ok().flatten().map(|(_, bytes)| bytes).unwrap_or_default();
        event::json::write_text(&hexadecimal(&bytes), &mut out);
    } else {
        event::json::write_text(event.raw(), &mut out);
    }
    out.push('}');
    out
}
