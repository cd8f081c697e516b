//! Alerts: list, one, its evidence, its history, what people do with it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use event::{EventId, Time};
use rules::alert::Alert;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio_stream::wrappers::ReceiverStream;

use crate::problem::Problem;
use crate::saved;
use crate::search::{events, instant};
use crate::server::{ALIVE, Shared, watch};
use crate::store::{AlertFilter, Delivery, Done, Identity, NewAction, Stored, needles};

/// The states of an alert.
const STATUSES: [&str; 4] = ["open", "acknowledged", "closed", "recorded"];
/// Words that alerts are looked for by, in bytes: an inbox's own search, no query.
const TEXT_BYTES_MAX: usize = 256;
/// Alerts of one page.
const SIZE_MAX: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParameters {
    status: Option<String>,
    level: Option<String>,
    assignee: Option<String>,
    rule: Option<String>,
    from: Option<String>,
    to: Option<String>,
    text: Option<String>,
    size: Option<usize>,
    cursor: Option<String>,
}

/// The body with what follows from its actions.
fn shown(shared: &Shared, alert: &Stored) -> serde_json::Map<String, serde_json::Value> {
    let mut map: serde_json::Map<_, _> = serde_json::from_str(&alert.body).unwrap_or_default();
    let tenant = map.get("tenant").and_then(serde_json::Value::as_u64).unwrap_or(0) as usize;
    map.insert("tenant".to_owned(), json!(shared.api.tenants.get(tenant)));
    map.insert("status".to_owned(), json!(alert.status));
    map.insert("assignee".to_owned(), json!(alert.assignee));
    map.insert("disposition".to_owned(), json!(alert.disposition));
    map.insert("detected_at".to_owned(), json!(alert.detected_at));
    map.insert("version".to_owned(), json!(alert.version));
    map
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(p): Query<ListParameters>,
) -> Result<Response, Problem> {
    let now = shared.api.clock.now();
    let set = |text: Option<String>| text.filter(|t| !t.is_empty());
    // A mistyped state must not look like an empty inbox.
    for (name, asked, known) in [("status", &p.status, &STATUSES[..]), ("level", &p.level, &saved::LEVELS[..])] {
        let mut asked = asked.as_deref().unwrap_or("").split(',').filter(|value| !value.is_empty());
        if let Some(unknown) = asked.find(|value| !known.contains(value)) {
            return Err(Problem::bad("refused", format!("{name}: {unknown:?} is none of {}", known.join(", "))));
        }
    }
    let text = p.text.unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        return Err(Problem::bad("refused", format!("text has at most {TEXT_BYTES_MAX} bytes")));
    }
    let filter = AlertFilter {
        text: needles(&text),
        status: set(p.status),
        level: set(p.level),
        assignee: set(p.assignee),
        rule: set(p.rule),
        from: instant(p.from.as_deref(), "from", now)?,
        to: instant(p.to.as_deref(), "to", now)?,
    };
    let size = p.size.unwrap_or(50);
    if !(1..=SIZE_MAX).contains(&size) {
        return Err(Problem::bad("refused", format!("size is 1 to {SIZE_MAX}")));
    }
    let found = shared.read(move |store| store.alerts(identity.tenant, &filter, size, p.cursor.as_deref()));
    let (alerts, total, cursor) = found.await?;
    let alerts: Vec<_> = alerts.iter().map(|a| shown(&shared, a)).collect();
    Ok(Json(json!({"alerts": alerts, "total": total, "cursor": cursor})).into_response())
}

async fn find(shared: &Shared, identity: &Identity, id: &str) -> Result<Stored, Problem> {
    let (tenant, id) = (identity.tenant, id.to_owned());
    shared.read(move |store| store.alert(tenant, &id)).await?.ok_or_else(Problem::not_found)
}

/// What was done with an alert, and the messages about it.
async fn history(shared: &Shared, id: &str) -> Result<(Vec<Done>, Vec<Delivery>), Problem> {
    let id = id.to_owned();
    shared.read(move |store| Ok((store.actions(&id)?, store.deliveries(&id)?))).await
}

async fn whole(shared: &Shared, identity: &Identity, id: &str) -> Result<Response, Problem> {
    let alert = find(shared, identity, id).await?;
    let (actions, deliveries) = history(shared, id).await?;
    let mut map = shown(shared, &alert);
    map.insert("actions".to_owned(), json!(actions));
    map.insert("deliveries".to_owned(), json!(deliveries));
    Ok(Json(map).into_response())
}

pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    whole(&shared, &identity, &id).await
}

fn evidence(alert: &Stored) -> Vec<EventId> {
    serde_json::from_str::<Alert>(&alert.body).map(|a| a.evidence).unwrap_or_default()
}

pub(crate) async fn evidence_events(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let alert = find(&shared, &identity, &id).await?;
    let (hits, missing) = events(&shared, &identity, evidence(&alert)).await?;
    Ok(Json(json!({"events": hits, "missing": missing})).into_response())
}

/// Events, actions and deliveries in the order of their time.
pub(crate) async fn timeline(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let alert = find(&shared, &identity, &id).await?;
    let (hits, _) = events(&shared, &identity, evidence(&alert)).await?;
    let mut entries: Vec<(Time, serde_json::Value)> = vec![(alert.detected_at, json!({"kind": "detected"}))];
    entries.extend(hits.into_iter().map(|hit| (hit.time, json!({"kind": "event", "event": hit}))));
    let (actions, deliveries) = history(&shared, &id).await?;
    entries.extend(actions.into_iter().map(|action| (action.at, json!({"kind": "action", "action": action}))));
    entries.extend(deliveries.into_iter().filter_map(|d| Some((d.at?, json!({"kind": "delivery", "delivery": d})))));
    entries.sort_by_key(|(time, _)| *time);
    let entries: Vec<_> = entries
        .into_iter()
        .map(|(time, mut entry)| {
            entry["time"] = json!(time);
            entry
        })
        .collect();
    Ok(Json(json!({"entries": entries})).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActionBody {
    action: String,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    assignee: Option<String>,
    #[serde(default)]
    disposition: Option<String>,
}

/// Bytes of a comment.
const COMMENT_BYTES_MAX: usize = 16 * 1024;

pub(crate) async fn act(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    body: Result<Json<ActionBody>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    if [&body.comment, &body.assignee].iter().any(|t| t.as_ref().is_some_and(|t| t.len() > COMMENT_BYTES_MAX)) {
        return Err(Problem::bad("too_long", format!("{COMMENT_BYTES_MAX} bytes at most")));
    }
    let new = NewAction { action: body.action, comment: body.comment, assignee: body.assignee, disposition: body.disposition };
    let (actor, of) = (identity.clone(), id.clone());
    if !shared.write(move |store| store.act(&actor, &of, &new)).await? {
        return Err(Problem::not_found());
    }
    shared.api.hub.alert(identity.tenant, &id);
    whole(&shared, &identity, &id).await
}

/// Changes that a slow reader may be behind.
const CHANGES_MAX: usize = 64;

/// Alerts as they come and change. Who was away looks at the list again: the stream tells of changes only.
pub(crate) async fn stream(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Response {
    let mut changes = shared.api.hub.inbox();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Event, Infallible>>(CHANGES_MAX);
    let watch = watch(&shared, &identity);
    tokio::spawn(async move {
        let (end, _watch) = watch;
        loop {
            let change = tokio::select! {
                () = end.cancelled() => return,
                () = sender.closed() => return,
                change = changes.recv() => change,
            };
            let told = match change {
                Ok((tenant, id)) if tenant == identity.tenant => match find(&shared, &identity, &id).await {
                    Ok(alert) => Event::default().event("alert").data(json!(shown(&shared, &alert)).to_string()),
                    Err(_) => continue,
                },
                Ok(_) => continue,
                Err(RecvError::Lagged(count)) => Event::default().event("skipped").data(format!("{{\"count\":{count}}}")),
                Err(RecvError::Closed) => return,
            };
            if sender.send(Ok(told)).await.is_err() {
                return;
            }
        }
    });
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}
