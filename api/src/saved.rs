//! Saved searches: what a person keeps of a search, and when it is run by itself. `schedule.rs` runs them.
//!
//! A change names the version that it is of (`If-Match`), so that nobody's is lost.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use event::{Clock, Time};
use index::query;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::problem::Problem;
use crate::schedule;
use crate::search::{self, SEARCH_NS_MAX};
use crate::server::Shared;
use crate::store::{Changed, Identity, SavedSearch};

/// Characters of a name or a title, and of a message.
const NAME_CHARS_MAX: usize = 200;
const MESSAGE_CHARS_MAX: usize = 4000;
/// Columns of one search.
const COLUMNS_MAX: usize = 20;
/// Minutes between two runs.
const EVERY_MINUTES_MAX: u32 = 24 * 60;
const MINUTE_NS: i64 = 60 * 1_000_000_000;
pub(crate) const LEVELS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];

/// What a person writes of a saved search.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) query: String,
    /// How far back it looks, as in `now-24h`.
    #[serde(default = "a_day")]
    pub(crate) range: String,
    /// The fields that are shown; none for the usual ones.
    #[serde(default)]
    pub(crate) columns: Vec<String>,
    /// As in a search: `desc`, `asc`, `FIELD`, `-FIELD`.
    #[serde(default = "newest_first")]
    pub(crate) sort: String,
    #[serde(default)]
    pub(crate) schedule: Option<Schedule>,
}

fn a_day() -> String {
    "now-24h".to_owned()
}

fn medium() -> String {
    "medium".to_owned()
}

fn newest_first() -> String {
    "desc".to_owned()
}

/// When a search is run by itself, and when it alerts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schedule {
    pub(crate) every_minutes: u32,
    pub(crate) condition: Condition,
    /// What the count is compared with; not for `none`.
    #[serde(default)]
    pub(crate) count: u64,
    /// Counts each value of this field by itself.
    #[serde(default)]
    pub(crate) group_by: Option<String>,
    #[serde(default = "medium")]
    pub(crate) level: String,
    /// The search's name where there is none.
    #[serde(default)]
    pub(crate) title: String,
    /// What it means, for whoever gets the alert.
    #[serde(default)]
    pub(crate) message: String,
}

/// When the number of events of a window is worth an alert.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Condition {
    #[serde(rename = ">")]
    Above,
    #[serde(rename = ">=")]
    AtLeast,
    #[serde(rename = "=")]
    Exactly,
    #[serde(rename = "<")]
    Below,
    /// Nothing came.
    #[serde(rename = "none")]
    None,
}

impl Condition {
    pub(crate) fn holds(self, n: u64, count: u64) -> bool {
        match self {
            Condition::Above => n > count,
            Condition::AtLeast => n >= count,
            Condition::Exactly => n == count,
            Condition::Below => n < count,
            Condition::None => n == 0,
        }
    }

    /// For people, with what it is compared with.
    pub(crate) fn told(self, count: u64) -> String {
        match self {
            Condition::Above => format!("> {count}"),
            Condition::AtLeast => format!(">= {count}"),
            Condition::Exactly => format!("= {count}"),
            Condition::Below => format!("< {count}"),
            Condition::None => "none".to_owned(),
        }
    }
}

impl Schedule {
    /// The time between two runs, in nanoseconds.
    pub(crate) fn every_ns(&self) -> i64 {
        i64::from(self.every_minutes) * MINUTE_NS
    }

    /// The last whole window before `now`, on whole minutes.
    pub(crate) fn window_before(&self, now: Time) -> (Time, Time) {
        let end = Time::from_unix_ns(now.unix_ns().div_euclid(MINUTE_NS) * MINUTE_NS);
        (end.plus_ns(-self.every_ns()), end)
    }

    fn check(&self) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::bad("bad_schedule", detail));
        if !(1..=EVERY_MINUTES_MAX).contains(&self.every_minutes) {
            return refused(format!("every_minutes is 1 to {EVERY_MINUTES_MAX}"));
        }
        if !LEVELS.contains(&self.level.as_str()) {
            return refused(format!("level is one of {}", LEVELS.join(", ")));
        }
        if self.title.chars().count() > NAME_CHARS_MAX {
            return refused(format!("title has {NAME_CHARS_MAX} characters at most"));
        }
        if self.message.chars().count() > MESSAGE_CHARS_MAX {
            return refused(format!("message has {MESSAGE_CHARS_MAX} characters at most"));
        }
        match (&self.group_by, self.condition) {
            (Some(field), _) if field.is_empty() || field.chars().count() > NAME_CHARS_MAX => {
                refused("group_by is a field's name".to_owned())
            }
            (Some(field), _) if field == "message" => {
                refused("the values of message cannot be counted: group by another field".to_owned())
            }
            (_, Condition::Below) if self.count == 0 => refused("there are never fewer than 0: it would never alert".to_owned()),
            (Some(_), Condition::Exactly) if self.count == 0 => {
                refused("a value that no event has is no group: = 0 goes without group_by, or is none".to_owned())
            }
            (Some(_), Condition::Below) if self.count == 1 => {
                refused("a group has 1 event at least: < 1 would never alert".to_owned())
            }
            (Some(_), Condition::None) => refused("what did not come has no group: none goes without group_by".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Text {
    fn check(&self, now: Time) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::bad("refused", detail));
        if self.name.trim().is_empty() || self.name.chars().count() > NAME_CHARS_MAX {
            return refused(format!("name has 1 to {NAME_CHARS_MAX} characters"));
        }
        search::parse(&self.query, now)?;
        if !self.range.starts_with("now-") || query::time(&self.range, now).is_none() {
            return refused(format!("range is relative, as now-24h: {:?} is not", self.range));
        }
        let long = |name: &String| name.is_empty() || name.chars().count() > NAME_CHARS_MAX;
        if self.columns.len() > COLUMNS_MAX || self.columns.iter().any(long) || long(&self.sort) {
            return refused(format!("columns are {COLUMNS_MAX} names at most, and sort is desc, asc, FIELD or -FIELD"));
        }
        self.schedule.as_ref().map_or(Ok(()), Schedule::check)
    }
}

type Body<T> = Result<Json<T>, JsonRejection>;

fn checked(body: Body<Text>, clock: &dyn Clock) -> Result<Text, Problem> {
    let Json(mut text) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    text.check(clock.now())?;
    if let Some(schedule) = text.schedule.as_mut().filter(|schedule| schedule.title.trim().is_empty()) {
        schedule.title.clone_from(&text.name);
    }
    Ok(text)
}

/// A saved search with its version as the tag that a change names.
fn tagged(search: &SavedSearch) -> Response {
    ([(header::ETAG, format!("\"{}\"", search.version))], Json(json!(search))).into_response()
}

/// The version that a change is of.
fn version_seen(headers: &HeaderMap) -> Result<i64, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else {
        let detail = "a change says which version it is of: If-Match: \"VERSION\"";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "no_version", detail));
    };
    let version = tag.to_str().ok().and_then(|tag| tag.trim().trim_matches('"').parse().ok());
    version.ok_or_else(|| Problem::bad("bad_version", "If-Match is not a version of ours"))
}

fn answer(changed: Changed) -> Result<Response, Problem> {
    match changed {
        Changed::Done(search) => Ok(tagged(&search)),
        Changed::NotThere => Err(Problem::not_found()),
        Changed::Meanwhile(version) => {
            let detail = format!("somebody has changed it meanwhile: its version is {version}");
            Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed_meanwhile", detail))
        }
    }
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
) -> Result<Response, Problem> {
    let searches = shared.read(move |store| store.saved_searches(identity.tenant)).await?;
    Ok(Json(json!({"searches": searches})).into_response())
}

async fn find(shared: &Shared, identity: &Identity, id: String) -> Result<SavedSearch, Problem> {
    let tenant = identity.tenant;
    shared.read(move |store| store.saved_search(tenant, &id)).await?.ok_or_else(Problem::not_found)
}

pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(tagged(&find(&shared, &identity, id).await?))
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    body: Body<Text>,
) -> Result<Response, Problem> {
    let text = checked(body, &*shared.api.clock)?;
    let saved = shared.write(move |store| store.save_search(&identity, &text)).await?;
    Ok(tagged(&saved))
}

pub(crate) async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body<Text>,
) -> Result<Response, Problem> {
    let (text, version) = (checked(body, &*shared.api.clock)?, version_seen(&headers)?);
    answer(shared.write(move |store| store.change_search(&identity, &id, version, &text)).await?)
}

pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let version = version_seen(&headers)?;
    tracing::info!(search = id, by = identity.name, "a saved search is to be deleted");
    answer(shared.write(move |store| store.delete_search(&identity, &id, version)).await?)
}

pub(crate) async fn runs(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    find(&shared, &identity, id.clone()).await?;
    let runs = shared.read(move |store| store.search_runs(&id)).await?;
    Ok(Json(json!({"runs": runs})).into_response())
}

/// A search and a schedule that are not saved yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TryBody {
    #[serde(default)]
    query: String,
    schedule: Schedule,
}

/// What the schedule would find in the last whole window; nobody is told.
pub(crate) async fn attempt(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    body: Body<TryBody>,
) -> Result<Response, Problem> {
    let Json(TryBody { query, schedule }) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    schedule.check()?;
    let now = shared.api.clock.now();
    search::parse(&query, now)?;
    let (from, to) = schedule.window_before(now);
    let found = search::run(&shared, &identity, SEARCH_NS_MAX, move |on, limits| {
        Ok(schedule::find(&on.searcher, &query, &schedule, (from, to), limits))
    })
    .await?;
    let found = found.map_err(|reason| Problem::bad("refused", reason))?;
    let groups: Vec<serde_json::Value> =
        found.firings.iter().map(|firing| json!({"group": firing.group, "count": firing.count})).collect();
    Ok(Json(json!({"from": from, "to": to, "matched": found.matched, "alerts": groups, "beyond": found.beyond})).into_response())
}
