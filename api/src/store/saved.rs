//! Saved searches, how far the scheduled ones have come, and their last runs.
//!
//! What a person has written has a version, and who changes it names the version that they have seen. How far a schedule has come is moved by
//! its runs alone, each in the transaction that stores its alerts: a run is told whole or not at all, and its window once.

use event::{Time, hexadecimal};
use rules::alert::{Alert, EVIDENCE_MAX};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::audit::{self, Change};
use super::{Identity, Result, Store, StoreError, alerts};
use crate::notify::Destination;
use crate::saved::{Schedule, Text};

/// The tables. `window_start` is where the next window begins, in nanoseconds; none where nothing is scheduled.
pub(super) const TABLES: &str = "
CREATE TABLE saved_search (id TEXT PRIMARY KEY, tenant INTEGER NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, version INTEGER NOT NULL,
  owner TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL, changed_by TEXT NOT NULL, window_start INTEGER, window_end INTEGER,
  failing_since INTEGER, attempts INTEGER NOT NULL DEFAULT 0, retry_at INTEGER NOT NULL DEFAULT 0, error TEXT);
CREATE UNIQUE INDEX saved_search_name ON saved_search (tenant, name);
CREATE INDEX saved_search_due ON saved_search (window_end) WHERE window_end IS NOT NULL;
CREATE TABLE search_run (seq INTEGER PRIMARY KEY AUTOINCREMENT, search TEXT NOT NULL, at INTEGER NOT NULL, window_start INTEGER NOT NULL,
  window_end INTEGER NOT NULL, took_ms INTEGER NOT NULL, matched INTEGER, alerts INTEGER NOT NULL, beyond INTEGER NOT NULL,
  error TEXT);
CREATE INDEX search_run_of ON search_run (search, seq);
";

/// Saved searches of one tenant.
pub(crate) const SAVED_MAX: i64 = 500;
/// Of these, scheduled ones: each is a search of its own every so often.
pub(crate) const SCHEDULED_MAX: i64 = 100;
/// Runs of one search that are remembered.
pub(crate) const RUNS_KEPT: i64 = 200;
/// How long repeats fold into an alert, as those of a rule that does not say.
const FOLD_NS: i64 = 3600 * 1_000_000_000;

/// A saved search.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SavedSearch {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) text: Text,
    pub(crate) version: i64,
    pub(crate) owner: String,
    pub(crate) created: Time,
    pub(crate) changed: Time,
    pub(crate) changed_by: String,
    /// How far its schedule has come.
    pub(crate) state: Option<State>,
}

/// How far a schedule has come.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct State {
    /// `waiting`, or `failing`: its last run has failed, and nothing is passed over meanwhile.
    pub(crate) is: &'static str,
    /// The receive times that are searched next: from, and before when. It is searched once all of it is searchable.
    pub(crate) window_start: Time,
    pub(crate) next_run: Time,
    pub(crate) failing_since: Option<Time>,
    pub(crate) attempts: i64,
    pub(crate) error: Option<String>,
    pub(crate) last_run: Option<Run>,
}

/// One run of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Run {
    pub(crate) at: Time,
    pub(crate) window_start: Time,
    pub(crate) window_end: Time,
    pub(crate) took_ms: i64,
    /// Events that matched; none where it failed.
    pub(crate) matched: Option<i64>,
    /// How often its condition held: once, or once a group.
    pub(crate) alerts: i64,
    /// Whether it held for more groups than were told.
    pub(crate) beyond: bool,
    pub(crate) error: Option<String>,
}

/// A schedule whose next window is over.
#[derive(Clone, Debug)]
pub(crate) struct DueSearch {
    pub(crate) id: String,
    pub(crate) tenant: u32,
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) schedule: Schedule,
    pub(crate) window_start: Time,
    pub(crate) window_end: Time,
}

/// What became of a change.
#[derive(Debug)]
pub(crate) enum Changed {
    Done(Box<SavedSearch>),
    NotThere,
    /// Somebody else has changed it: the version is this now.
    Meanwhile(i64),
}

const COLUMNS: &str =
    "id, body, version, owner, created, changed, changed_by, window_start, window_end, failing_since, attempts, error";
const RUN: &str = "at, window_start, window_end, took_ms, matched, alerts, beyond, error";

impl Store {
    /// The tenant's saved searches, by name.
    pub(crate) fn saved_searches(&self, tenant: u32) -> Result<Vec<SavedSearch>> {
        self.searches(tenant, None)
    }

    /// One of them.
    pub(crate) fn saved_search(&self, tenant: u32, id: &str) -> Result<Option<SavedSearch>> {
        Ok(self.searches(tenant, Some(id))?.pop())
    }

    fn searches(&self, tenant: u32, id: Option<&str>) -> Result<Vec<SavedSearch>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM saved_search WHERE tenant = ?1 AND (?2 IS NULL OR id = ?2) ORDER BY name"
            ))?;
            let mut all: Vec<SavedSearch> =
                statement.query_map(params![tenant, id], saved)?.collect::<std::result::Result<_, _>>()?;
            let mut last = connection
                .prepare_cached(&format!("SELECT {RUN} FROM search_run WHERE search = ?1 ORDER BY seq DESC LIMIT 1"))?;
            for search in &mut all {
                if let Some(state) = &mut search.state {
                    state.last_run = last.query_row([&search.id], run).optional()?;
                }
            }
            Ok(all)
        })
    }

    /// The last runs of one of them, the newest first.
    pub(crate) fn search_runs(&self, id: &str) -> Result<Vec<Run>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {RUN} FROM search_run WHERE search = ?1 ORDER BY seq DESC"))?;
            Ok(statement.query_map([id], run)?.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// Saves a search. Its schedule begins with the whole window before now.
    pub(crate) fn save_search(&self, by: &Identity, text: &Text) -> Result<SavedSearch> {
        let (tenant, owner) = (by.tenant, &by.name);
        let now = self.clock.now();
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|e| StoreError::Refused(format!("no random numbers: {e}")))?;
        let id = hexadecimal(&random);
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        has_room(&transaction, tenant, &id, text)?;
        let window = text.schedule.as_ref().map(|schedule| schedule.window_before(now));
        transaction
            .execute(
                "INSERT INTO saved_search (id, tenant, name, body, version, owner, created, changed, changed_by, window_start, window_end)
                 VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?6, ?5, ?7, ?8)",
                params![id, tenant, text.name, body(text), owner, now.unix_ns(), window.map(|w| w.0.unix_ns()), window.map(|w| w.1.unix_ns())],
            )
            .map_err(named_twice)?;
        let change = Change::SavedSearch { search: &id, version: 1, before: None, after: Some(text) };
        audit::append(&transaction, Some(tenant), now, by, &change)?;
        transaction.commit()?;
        drop(connection);
        self.saved_search(tenant, &id)?.ok_or_else(|| StoreError::Refused("it was deleted at once".to_owned()))
    }

    /// Changes one of them, where it still has the version that the person has seen. A schedule that goes on goes on where it was.
    pub(crate) fn change_search(&self, by: &Identity, id: &str, version: i64, text: &Text) -> Result<Changed> {
        let tenant = by.tenant;
        let now = self.clock.now();
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        if let Some(refused) = refused(&transaction, tenant, id, version)? {
            return Ok(refused);
        }
        has_room(&transaction, tenant, id, text)?;
        let (begun, before): (Option<i64>, Text) =
            transaction.query_row("SELECT window_start, body FROM saved_search WHERE id = ?1", [id], |row| {
                Ok((row.get(0)?, self::text(row, 1)?))
            })?;
        let window = text.schedule.as_ref().map(|schedule| match begun.map(Time::from_unix_ns) {
            Some(start) => (start, start.plus_ns(schedule.every_ns())),
            None => schedule.window_before(now),
        });
        transaction
            .execute(
                "UPDATE saved_search SET name = ?2, body = ?3, version = version + 1, changed = ?4, changed_by = ?5, window_start = ?6,
                 window_end = ?7, failing_since = NULL, attempts = 0, retry_at = 0, error = NULL WHERE id = ?1",
                params![id, text.name, body(text), now.unix_ns(), by.name, window.map(|w| w.0.unix_ns()), window.map(|w| w.1.unix_ns())],
            )
            .map_err(named_twice)?;
        let change = Change::SavedSearch { search: id, version: version + 1, before: Some(&before), after: Some(text) };
        audit::append(&transaction, Some(tenant), now, by, &change)?;
        transaction.commit()?;
        drop(connection);
        Ok(self.saved_search(tenant, id)?.map_or(Changed::NotThere, |search| Changed::Done(Box::new(search))))
    }

    /// Deletes one of them, with its runs; its alerts stay.
    pub(crate) fn delete_search(&self, by: &Identity, id: &str, version: i64) -> Result<Changed> {
        let tenant = by.tenant;
        let Some(search) = self.saved_search(tenant, id)? else { return Ok(Changed::NotThere) };
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        if let Some(refused) = refused(&transaction, tenant, id, version)? {
            return Ok(refused);
        }
        transaction.execute("DELETE FROM search_run WHERE search = ?1", [id])?;
        transaction.execute("DELETE FROM saved_search WHERE id = ?1", [id])?;
        let change = Change::SavedSearch { search: id, version, before: Some(&search.text), after: None };
        audit::append(&transaction, Some(tenant), self.clock.now(), by, &change)?;
        transaction.commit()?;
        Ok(Changed::Done(Box::new(search)))
    }

    /// Schedules whose next window lies before `until`, and that need not wait after a failure; who waits longest first.
    pub(crate) fn due_searches(&self, until: Time) -> Result<Vec<DueSearch>> {
        let now = self.clock.now().unix_ns();
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, tenant, version, body, window_start, window_end FROM saved_search
                 WHERE window_end <= ?1 AND retry_at <= ?2 ORDER BY window_end, id",
            )?;
            let due = |row: &Row<'_>| {
                let text = text(row, 3)?;
                let Some(schedule) = text.schedule else { return Ok(None) };
                Ok(Some(DueSearch {
                    id: row.get(0)?,
                    tenant: row.get(1)?,
                    version: row.get(2)?,
                    name: text.name,
                    query: text.query,
                    schedule,
                    window_start: Time::from_unix_ns(row.get(4)?),
                    window_end: Time::from_unix_ns(row.get(5)?),
                }))
            };
            let all: Vec<Option<DueSearch>> =
                statement.query_map(params![until.unix_ns(), now], due)?.collect::<std::result::Result<_, _>>()?;
            Ok(all.into_iter().flatten().collect())
        })
    }

    /// Stores a run with its alerts, and moves the schedule on; after a failure it stays where it is until `retry`. Gives the ids of the alerts,
    /// each with whether somebody is to be told. None where the search was changed or deleted meanwhile: then it was not this run's to tell.
    pub(crate) fn search_ran(
        &self,
        due: &DueSearch,
        ran: &Run,
        found: Vec<Alert>,
        retry: Time,
        destinations: &[Destination],
    ) -> Result<Option<Vec<(String, bool)>>> {
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let (start, end, now) = (due.window_start.unix_ns(), due.window_end.unix_ns(), ran.at.unix_ns());
        let moved = match &ran.error {
            None => transaction
                .prepare_cached(
                    "UPDATE saved_search SET window_start = ?4, window_end = ?5, failing_since = NULL, attempts = 0, retry_at = 0, error = NULL
                     WHERE id = ?1 AND version = ?2 AND window_start = ?3",
                )?
                .execute(params![due.id, due.version, start, end, due.window_end.plus_ns(due.schedule.every_ns()).unix_ns()])?,
            Some(error) => transaction
                .prepare_cached(
                    "UPDATE saved_search SET failing_since = coalesce(failing_since, ?4), attempts = attempts + 1, retry_at = ?5, error = ?6
                     WHERE id = ?1 AND version = ?2 AND window_start = ?3",
                )?
                .execute(params![due.id, due.version, start, now, retry.unix_ns(), error])?,
        };
        if moved == 0 {
            return Ok(None);
        }
        transaction
            .prepare_cached(
                "INSERT INTO search_run (search, at, window_start, window_end, took_ms, matched, alerts, beyond, error)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![due.id, now, start, end, ran.took_ms, ran.matched, ran.alerts, ran.beyond, ran.error])?;
        transaction
            .prepare_cached(
                "DELETE FROM search_run WHERE search = ?1 AND seq <= (SELECT seq FROM search_run WHERE search = ?1
                 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![due.id, RUNS_KEPT])?;
        let mut open = open_alerts(&transaction, due)?;
        let mut told = Vec::new();
        for alert in found {
            let alert = match open.iter().position(|before| before.group == alert.group) {
                Some(at) => folded(open.swap_remove(at), alert),
                None => alert,
            };
            let is_told = alerts::put(&transaction, &alert, true, destinations, now)?;
            told.push((alert.id, is_told));
        }
        transaction.commit()?;
        Ok(Some(told))
    }
}

/// The alerts of the search that a repeat folds into.
fn open_alerts(transaction: &Transaction<'_>, due: &DueSearch) -> Result<Vec<Alert>> {
    let mut statement = transaction.prepare_cached(
        "SELECT body FROM alert WHERE tenant = ?1 AND rule = ?2 AND last > ?3 AND first > ?3 AND first <= ?4 ORDER BY first DESC",
    )?;
    let from = due.window_start.plus_ns(-FOLD_NS).unix_ns();
    let bodies = statement
        .query_map(params![due.tenant, due.id, from, due.window_start.unix_ns()], |row| row.get::<_, String>(0))?
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
}

/// The alert with its repeat: what it is called and what it found last are those of now.
fn folded(before: Alert, repeat: Alert) -> Alert {
    let mut evidence = before.evidence;
    for event in repeat.evidence {
        if evidence.len() < EVIDENCE_MAX && !evidence.contains(&event) {
            evidence.push(event);
        }
    }
    Alert {
        id: before.id,
        window_start: before.window_start,
        first: before.first,
        last: before.last.max(repeat.last),
        count: before.count + repeat.count,
        fields: if before.fields.is_empty() { repeat.fields } else { before.fields },
        evidence,
        ..repeat
    }
}

fn body(text: &Text) -> String {
    serde_json::to_string(text).expect("a saved search is serialisable")
}

fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<Text> {
    let body: String = row.get(at)?;
    serde_json::from_str(&body)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error)))
}

fn saved(row: &Row<'_>) -> rusqlite::Result<SavedSearch> {
    let time = |at: usize| -> rusqlite::Result<Option<Time>> { Ok(row.get::<_, Option<i64>>(at)?.map(Time::from_unix_ns)) };
    let error: Option<String> = row.get(11)?;
    let state = match (time(7)?, time(8)?) {
        (Some(window_start), Some(next_run)) => Some(State {
            is: if error.is_some() { "failing" } else { "waiting" },
            window_start,
            next_run,
            failing_since: time(9)?,
            attempts: row.get(10)?,
            error,
            last_run: None,
        }),
        _ => None,
    };
    Ok(SavedSearch {
        id: row.get(0)?,
        text: text(row, 1)?,
        version: row.get(2)?,
        owner: row.get(3)?,
        created: Time::from_unix_ns(row.get(4)?),
        changed: Time::from_unix_ns(row.get(5)?),
        changed_by: row.get(6)?,
        state,
    })
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        at: Time::from_unix_ns(row.get(0)?),
        window_start: Time::from_unix_ns(row.get(1)?),
        window_end: Time::from_unix_ns(row.get(2)?),
        took_ms: row.get(3)?,
        matched: row.get(4)?,
        alerts: row.get(5)?,
        beyond: row.get(6)?,
        error: row.get(7)?,
    })
}

/// Why a change of the version that a person has seen is none of what there is now.
fn refused(transaction: &Transaction<'_>, tenant: u32, id: &str, seen: i64) -> rusqlite::Result<Option<Changed>> {
    let mut statement = transaction.prepare_cached("SELECT version FROM saved_search WHERE tenant = ?1 AND id = ?2")?;
    let version: Option<i64> = statement.query_row(params![tenant, id], |row| row.get(0)).optional()?;
    Ok(match version {
        None => Some(Changed::NotThere),
        Some(version) if version != seen => Some(Changed::Meanwhile(version)),
        Some(_) => None,
    })
}

/// Whether the tenant may have this search beside its others.
fn has_room(transaction: &Transaction<'_>, tenant: u32, id: &str, text: &Text) -> Result<()> {
    let (saved, scheduled): (i64, i64) = transaction.query_row(
        "SELECT count(*), count(window_end) FROM saved_search WHERE tenant = ?1 AND id <> ?2",
        params![tenant, id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if saved >= SAVED_MAX {
        return Err(StoreError::Refused(format!("{SAVED_MAX} saved searches at most")));
    }
    if text.schedule.is_some() && scheduled >= SCHEDULED_MAX {
        return Err(StoreError::Refused(format!("{SCHEDULED_MAX} scheduled searches at most")));
    }
    Ok(())
}

fn named_twice(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::Refused("another saved search has this name".to_owned()),
        _ => StoreError::Database(error),
    }
}
