//! The store: alerts, what people did with them, deliveries, tokens and counts, in SQLite. What the pipeline adds comes in one transaction with
//! its position, so that after a crash both are there or neither.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use event::{Clock, Time};
use rules::alert::{Alert, AlertChange};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::tally::Tally;

const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL);
CREATE TABLE snapshot (name TEXT PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE alert (id TEXT PRIMARY KEY, tenant INTEGER NOT NULL, rule TEXT NOT NULL, level TEXT NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, body TEXT NOT NULL, detected_at INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'open', assignee TEXT, disposition TEXT,
  version INTEGER NOT NULL DEFAULT 1);
CREATE INDEX alert_order ON alert (tenant, last DESC, id);
CREATE TABLE action (seq INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL REFERENCES alert (id), at INTEGER NOT NULL, actor TEXT NOT NULL,
  action TEXT NOT NULL, comment TEXT, assignee TEXT, disposition TEXT);
CREATE INDEX action_alert ON action (alert, seq);
CREATE TRIGGER action_is_kept BEFORE DELETE ON action BEGIN SELECT RAISE(ABORT, 'actions are never deleted'); END;
CREATE TRIGGER action_is_fixed BEFORE UPDATE ON action BEGIN SELECT RAISE(ABORT, 'actions are never changed'); END;
CREATE TRIGGER alert_is_kept BEFORE DELETE ON alert BEGIN SELECT RAISE(ABORT, 'alerts are never deleted'); END;
CREATE TABLE outbox (alert TEXT NOT NULL REFERENCES alert (id), destination TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  attempts INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, next_at INTEGER NOT NULL, last_error TEXT, at INTEGER,
  PRIMARY KEY (alert, destination));
CREATE INDEX outbox_waiting ON outbox (destination, state, next_at);
CREATE TABLE token (id TEXT PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL, tenant INTEGER NOT NULL, created INTEGER NOT NULL,
  expires INTEGER NOT NULL, last_used INTEGER);
CREATE TABLE source (tenant INTEGER NOT NULL, address TEXT NOT NULL, transport TEXT NOT NULL, format TEXT NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, received INTEGER NOT NULL, quarantined INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (tenant, address, transport));
CREATE TABLE ledger (tenant INTEGER NOT NULL, day TEXT NOT NULL, source TEXT NOT NULL, what TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (tenant, day, source, what));
CREATE TABLE matrix (tenant INTEGER NOT NULL, hour INTEGER NOT NULL, zone_from TEXT NOT NULL, zone_to TEXT NOT NULL, verdict TEXT NOT NULL,
  count INTEGER NOT NULL, PRIMARY KEY (tenant, hour, zone_from, zone_to, verdict));
";

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("failed to use the alert store")]
    Database(#[from] rusqlite::Error),
    /// The database is of a later program.
    #[error("the alert store has version {0}, this program knows {SCHEMA_VERSION}")]
    Newer(i64),
    /// What was asked makes no sense.
    #[error("{0}")]
    Refused(String),
}

/// What the pipeline has done since its last commit.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The last log offset that it has seen.
    pub position: u64,
    /// Alerts, in their order.
    pub changes: &'a [AlertChange],
    /// States to take up after a restart, by name.
    pub snapshots: &'a [(&'a str, &'a [u8])],
    /// Where new alerts are told.
    pub destinations: &'a [String],
}

/// Where the pipeline goes on.
#[derive(Debug, Default, PartialEq)]
pub struct Resume {
    /// The last log offset that it has seen; 0 at first.
    pub position: u64,
    /// The states that it left, by name.
    pub snapshots: Vec<(String, Vec<u8>)>,
}

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// The token's name.
    pub name: String,
    /// The tenant that it may see.
    pub tenant: u32,
}

/// Which alerts are wanted.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// `open`, `acknowledged`, `closed`.
    pub status: Option<String>,
    /// The rule's level.
    pub level: Option<String>,
    /// The rule's id.
    pub rule: Option<String>,
    /// Last seen from this instant.
    pub from: Option<Time>,
    /// Last seen before this instant.
    pub to: Option<Time>,
}

/// An alert as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) body: String,
    pub(crate) status: String,
    pub(crate) assignee: Option<String>,
    pub(crate) disposition: Option<String>,
    pub(crate) detected_at: Time,
    pub(crate) version: i64,
    pub(crate) last: i64,
    pub(crate) id: String,
}

/// What a person does with an alert.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewAction {
    pub(crate) action: String,
    pub(crate) comment: Option<String>,
    pub(crate) assignee: Option<String>,
    pub(crate) disposition: Option<String>,
}

/// Something done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Done {
    pub(crate) at: Time,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) comment: Option<String>,
    pub(crate) assignee: Option<String>,
    pub(crate) disposition: Option<String>,
}

/// A message and how far it has come.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Delivery {
    pub(crate) destination: String,
    pub(crate) state: String,
    pub(crate) attempts: i64,
    pub(crate) last_error: Option<String>,
    pub(crate) at: Option<Time>,
}

/// A message that is due.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) alert: String,
    pub(crate) attempts: i64,
    pub(crate) created: Time,
    pub(crate) body: String,
}

/// A database of alerts and counts.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    clock: Arc<dyn Clock>,
}

type Result<T> = std::result::Result<T, StoreError>;

impl Store {
    /// Opens the database at `path`, made if absent.
    ///
    /// # Errors
    /// Where it cannot be used, or is of a later program.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Store> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => connection.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"))?,
            SCHEMA_VERSION => {}
            newer => return Err(StoreError::Newer(newer)),
        }
        Ok(Store { connection: Arc::new(Mutex::new(connection)), clock })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no code panics under this lock")
    }

    /// Stores what the pipeline has done, with its position. Gives the ids of alerts that are new.
    ///
    /// # Errors
    /// Where the database fails: nothing is stored then, and the tally is kept.
    pub fn apply(&self, commit: &Commit<'_>, tally: &mut Tally) -> Result<Vec<String>> {
        let now = self.clock.now().unix_ns();
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let mut new = Vec::new();
        for change in commit.changes {
            let alert = change.alert();
            let mut insert = transaction.prepare_cached(
                "INSERT INTO alert (id, tenant, rule, level, first, last, body, detected_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (id) DO NOTHING",
            )?;
            let (first, last, body) = (alert.first.unix_ns(), alert.last.unix_ns(), alert.to_json());
            let count =
                insert.execute(params![alert.id, alert.tenant, alert.rule.id, alert.rule.level, first, last, body, now])?;
            drop(insert);
            if count == 1 {
                new.push(alert.id.clone());
                for destination in commit.destinations {
                    transaction
                        .prepare_cached(
                            "INSERT OR IGNORE INTO outbox (alert, destination, created, next_at) VALUES (?1, ?2, ?3, ?3)",
                        )?
                        .execute(params![alert.id, destination, now])?;
                }
            } else {
                transaction
                    .prepare_cached("UPDATE alert SET first = ?2, last = ?3, body = ?4, version = version + 1 WHERE id = ?1")?
                    .execute(params![alert.id, first, last, body])?;
            }
        }
        write_tally(&transaction, tally)?;
        for (name, bytes) in commit.snapshots {
            transaction
                .prepare_cached("INSERT INTO snapshot (name, bytes) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET bytes = ?2")?
                .execute(params![name, bytes])?;
        }
        transaction
            .prepare_cached("INSERT INTO progress (id, position) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET position = ?1")?
            .execute(params![commit.position as i64])?;
        transaction.commit()?;
        tally.clear();
        Ok(new)
    }

    /// Where the pipeline goes on.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn resume(&self) -> Result<Resume> {
        let connection = self.connection();
        let position: Option<i64> = connection.query_row("SELECT position FROM progress", [], |row| row.get(0)).optional()?;
        let mut statement = connection.prepare("SELECT name, bytes FROM snapshot ORDER BY name")?;
        let snapshots = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<std::result::Result<_, _>>()?;
        Ok(Resume { position: position.unwrap_or(0) as u64, snapshots })
    }

    /// Makes a token for `tenant` that is good for so many days; gives it once, only its hash is kept.
    ///
    /// # Errors
    /// Where the database, or the machine's source of random numbers, fails.
    pub fn create_token(&self, name: &str, tenant: u32, days: u32) -> Result<String> {
        let mut random = [0u8; 38];
        getrandom::fill(&mut random).map_err(|e| StoreError::Refused(format!("no random numbers: {e}")))?;
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let (id, secret) = (hex(&random[..6]), hex(&random[6..]));
        let now = self.clock.now();
        let expires = now.plus_ns(i64::from(days.min(366)) * 86_400 * 1_000_000_000);
        self.connection().execute(
            "INSERT INTO token (id, hash, name, tenant, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, Sha256::digest(&secret).as_slice(), name, tenant, now.unix_ns(), expires.unix_ns()],
        )?;
        Ok(format!("mih_{id}_{secret}"))
    }

    /// How many tokens are good now.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn tokens(&self) -> Result<u64> {
        let now = self.clock.now().unix_ns();
        Ok(self.connection().query_row("SELECT count(*) FROM token WHERE expires > ?1", [now], |row| row.get::<_, i64>(0))?
            as u64)
    }

    /// Whose token this is, if it is good.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn identity(&self, token: &str) -> Result<Option<Identity>> {
        let Some((id, secret)) = token.strip_prefix("mih_").and_then(|t| t.split_once('_')) else { return Ok(None) };
        let now = self.clock.now().unix_ns();
        let connection = self.connection();
        let found: Option<(Vec<u8>, String, u32)> = connection
            .prepare_cached("SELECT hash, name, tenant FROM token WHERE id = ?1 AND expires > ?2")?
            .query_row(params![id, now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        // The hash is made whether the id is known or not, so that the time taken tells nothing.
        let hash = Sha256::digest(secret);
        let Some((expected, name, tenant)) = found else { return Ok(None) };
        if !bool::from(hash.as_slice().ct_eq(&expected)) {
            return Ok(None);
        }
        connection
            .prepare_cached("UPDATE token SET last_used = ?2 WHERE id = ?1 AND coalesce(last_used, 0) < ?2 - 60000000000")?
            .execute(params![id, now])?;
        Ok(Some(Identity { name, tenant }))
    }

    /// Alerts, the last seen first; with their number, and where the next page begins.
    pub(crate) fn alerts(
        &self,
        tenant: u32,
        filter: &AlertFilter,
        size: usize,
        cursor: Option<&str>,
    ) -> Result<(Vec<Stored>, u64, Option<String>)> {
        let after: Option<(i64, String)> = match cursor {
            None => None,
            Some(text) => {
                let place = text.split_once('.').and_then(|(last, id)| Some((last.parse().ok()?, id.to_owned())));
                Some(place.ok_or_else(|| StoreError::Refused("the cursor is none of ours".to_owned()))?)
            }
        };
        const WHERE: &str =
            "tenant = ?1 AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR level = ?3) AND (?4 IS NULL OR rule = ?4)
            AND (?5 IS NULL OR last >= ?5) AND (?6 IS NULL OR last < ?6)";
        let (from, to) = (filter.from.map(Time::unix_ns), filter.to.map(Time::unix_ns));
        let connection = self.connection();
        let total: i64 = connection
            .prepare_cached(&format!("SELECT count(*) FROM alert WHERE {WHERE}"))?
            .query_row(params![tenant, filter.status, filter.level, filter.rule, from, to], |row| row.get(0))?;
        let (after_last, after_id) = after.unzip();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT body, status, assignee, disposition, detected_at, version, last, id FROM alert WHERE {WHERE}
             AND (?7 IS NULL OR last < ?7 OR (last = ?7 AND id > ?8)) ORDER BY last DESC, id LIMIT ?9"
        ))?;
        let limit = size as i64 + 1;
        let rows = params![tenant, filter.status, filter.level, filter.rule, from, to, after_last, after_id, limit];
        let mut alerts: Vec<Stored> = statement.query_map(rows, stored)?.collect::<std::result::Result<_, _>>()?;
        let more = alerts.len() > size;
        alerts.truncate(size);
        let cursor = alerts.last().filter(|_| more).map(|a| format!("{}.{}", a.last, a.id));
        Ok((alerts, total as u64, cursor))
    }

    /// One alert of the tenant.
    pub(crate) fn alert(&self, tenant: u32, id: &str) -> Result<Option<Stored>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT body, status, assignee, disposition, detected_at, version, last, id FROM alert WHERE tenant = ?1 AND id = ?2",
        )?;
        Ok(statement.query_row(params![tenant, id], stored).optional()?)
    }

    /// Open alerts by level.
    pub(crate) fn open_by_level(&self, tenant: u32) -> Result<Vec<(String, i64)>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT level, count(*) FROM alert WHERE tenant = ?1 AND status <> 'closed' GROUP BY level")?;
        Ok(statement.query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<std::result::Result<_, _>>()?)
    }

    /// Alerts per rule: how many, and when the last was seen.
    pub(crate) fn alerts_by_rule(&self, tenant: u32) -> Result<Vec<(String, i64, i64)>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT rule, count(*), max(last) FROM alert WHERE tenant = ?1 GROUP BY rule")?;
        Ok(statement
            .query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<std::result::Result<_, _>>()?)
    }

    /// What was done with an alert, in order.
    pub(crate) fn actions(&self, id: &str) -> Result<Vec<Done>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT at, actor, action, comment, assignee, disposition FROM action WHERE alert = ?1 ORDER BY seq",
        )?;
        let done = |row: &Row<'_>| {
            Ok(Done {
                at: Time::from_unix_ns(row.get(0)?),
                actor: row.get(1)?,
                action: row.get(2)?,
                comment: row.get(3)?,
                assignee: row.get(4)?,
                disposition: row.get(5)?,
            })
        };
        Ok(statement.query_map([id], done)?.collect::<std::result::Result<_, _>>()?)
    }

    /// The messages about an alert.
    pub(crate) fn deliveries(&self, id: &str) -> Result<Vec<Delivery>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT destination, state, attempts, last_error, at FROM outbox WHERE alert = ?1 ORDER BY destination",
        )?;
        let delivery = |row: &Row<'_>| {
            Ok(Delivery {
                destination: row.get(0)?,
                state: row.get(1)?,
                attempts: row.get(2)?,
                last_error: row.get(3)?,
                at: row.get::<_, Option<i64>>(4)?.map(Time::from_unix_ns),
            })
        };
        Ok(statement.query_map([id], delivery)?.collect::<std::result::Result<_, _>>()?)
    }

    /// Appends what a person does; the state follows from it. False where the tenant has no such alert.
    pub(crate) fn act(&self, tenant: u32, id: &str, actor: &str, new: &NewAction) -> Result<bool> {
        let refused = |text: &str| Err(StoreError::Refused(text.to_owned()));
        match new.action.as_str() {
            "acknowledge" | "escalate" | "reopen" => {}
            "assign" if new.assignee.is_none() => return refused("assign needs an assignee"),
            "comment" if new.comment.as_deref().unwrap_or("").is_empty() => return refused("comment needs a comment"),
            "close" => match new.disposition.as_deref() {
                Some("true_positive" | "false_positive" | "benign" | "duplicate") => {}
                _ => return refused("close needs a disposition: true_positive, false_positive, benign or duplicate"),
            },
            "assign" | "comment" => {}
            other => return Err(StoreError::Refused(format!("unknown action {other:?}"))),
        }
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let there: Option<i64> = transaction
            .query_row("SELECT 1 FROM alert WHERE tenant = ?1 AND id = ?2", params![tenant, id], |row| row.get(0))
            .optional()?;
        if there.is_none() {
            return Ok(false);
        }
        transaction.execute(
            "INSERT INTO action (alert, at, actor, action, comment, assignee, disposition) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![id, self.clock.now().unix_ns(), actor, new.action, new.comment, new.assignee, new.disposition],
        )?;
        let state = match new.action.as_str() {
            "acknowledge" => {
                "status = CASE status WHEN 'open' THEN 'acknowledged' ELSE status END, assignee = coalesce(assignee, :actor)"
            }
            "assign" => "assignee = :assignee",
            "close" => "status = 'closed', disposition = :disposition",
            "reopen" => "status = 'open', disposition = NULL",
            _ => "status = status",
        };
        let sql = format!("UPDATE alert SET {state}, version = version + 1 WHERE id = :id");
        let mut statement = transaction.prepare_cached(&sql)?;
        for (name, value) in [
            (":id", Some(id)),
            (":actor", Some(actor)),
            (":assignee", new.assignee.as_deref()),
            (":disposition", new.disposition.as_deref()),
        ] {
            if let Some(at) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(at, value)?;
            }
        }
        statement.raw_execute()?;
        drop(statement);
        transaction.commit()?;
        Ok(true)
    }

    /// The next message for a destination that is due, or when the next one will be.
    pub(crate) fn due(&self, destination: &str) -> Result<std::result::Result<Due, Option<Time>>> {
        let now = self.clock.now().unix_ns();
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT o.alert, o.attempts, o.created, a.body, o.next_at FROM outbox o JOIN alert a ON a.id = o.alert
             WHERE o.destination = ?1 AND o.state = 'waiting' ORDER BY o.next_at LIMIT 1",
        )?;
        let next = statement
            .query_row([destination], |row| {
                let due = Due {
                    alert: row.get(0)?,
                    attempts: row.get(1)?,
                    created: Time::from_unix_ns(row.get(2)?),
                    body: row.get(3)?,
                };
                Ok((due, row.get::<_, i64>(4)?))
            })
            .optional()?;
        Ok(match next {
            None => Err(None),
            Some((due, at)) if at <= now => Ok(due),
            Some((_, at)) => Err(Some(Time::from_unix_ns(at))),
        })
    }

    /// Writes down how a delivery went: delivered, to be tried again at `next`, or given up.
    pub(crate) fn delivered(&self, alert: &str, destination: &str, error: Option<&str>, next: Option<Time>) -> Result<()> {
        let state = match (error, next) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "waiting",
            (Some(_), None) => "dead",
        };
        let now = self.clock.now().unix_ns();
        self.connection().execute(
            "UPDATE outbox SET state = ?3, attempts = attempts + 1, last_error = ?4, at = ?5, next_at = coalesce(?6, next_at)
             WHERE alert = ?1 AND destination = ?2",
            params![alert, destination, state, error, now, next.map(Time::unix_ns)],
        )?;
        Ok(())
    }

    /// Rows of a table of counts, each as JSON members.
    pub(crate) fn sources(&self, tenant: u32) -> Result<Vec<serde_json::Map<String, serde_json::Value>>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT address, transport, format, first, last, received, quarantined, bytes FROM source WHERE tenant = ?1 ORDER BY address, transport",
        )?;
        let source = |row: &Row<'_>| {
            let time = |at: usize| -> rusqlite::Result<String> { Ok(Time::from_unix_ns(row.get(at)?).to_string()) };
            let (received, quarantined): (i64, i64) = (row.get(5)?, row.get(6)?);
            let mut map = serde_json::Map::new();
            map.insert("address".to_owned(), row.get::<_, String>(0)?.into());
            map.insert("transport".to_owned(), row.get::<_, String>(1)?.into());
            map.insert("format".to_owned(), row.get::<_, String>(2)?.into());
            map.insert("first".to_owned(), time(3)?.into());
            map.insert("last".to_owned(), time(4)?.into());
            map.insert("received".to_owned(), received.into());
            map.insert("parsed".to_owned(), (received - quarantined).into());
            map.insert("quarantined".to_owned(), quarantined.into());
            map.insert("bytes".to_owned(), row.get::<_, i64>(7)?.into());
            Ok(map)
        };
        Ok(statement.query_map([tenant], source)?.collect::<std::result::Result<_, _>>()?)
    }

    /// (day, source, what, count), the latest day first.
    pub(crate) fn ledger(&self, tenant: u32) -> Result<Vec<(String, String, String, i64)>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT day, source, what, count FROM ledger WHERE tenant = ?1 ORDER BY day DESC, source, what LIMIT 100000",
        )?;
        let rows = statement.query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok(rows.collect::<std::result::Result<_, _>>()?)
    }

    /// (from, to, verdict, count) over the hours that meet the range.
    pub(crate) fn matrix(&self, tenant: u32, from: Option<Time>, to: Option<Time>) -> Result<Vec<(String, String, String, i64)>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT zone_from, zone_to, verdict, sum(count) FROM matrix WHERE tenant = ?1 AND (?2 IS NULL OR hour > ?2 - 3600)
             AND (?3 IS NULL OR hour < ?3) GROUP BY zone_from, zone_to, verdict",
        )?;
        let range = params![tenant, from.map(Time::unix_s), to.map(Time::unix_s)];
        let rows = statement.query_map(range, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok(rows.collect::<std::result::Result<_, _>>()?)
    }

    /// Every alert body, by id: for the demo's check and for tests.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn all_alerts(&self) -> Result<Vec<Alert>> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT body FROM alert ORDER BY id")?;
        let bodies: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<std::result::Result<_, _>>()?;
        Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        body: row.get(0)?,
        status: row.get(1)?,
        assignee: row.get(2)?,
        disposition: row.get(3)?,
        detected_at: Time::from_unix_ns(row.get(4)?),
        version: row.get(5)?,
        last: row.get(6)?,
        id: row.get(7)?,
    })
}

fn write_tally(transaction: &rusqlite::Transaction<'_>, tally: &Tally) -> rusqlite::Result<()> {
    for ((tenant, address, transport), c) in &tally.sources {
        transaction
            .prepare_cached(
                "INSERT INTO source (tenant, address, transport, format, first, last, received, quarantined, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (tenant, address, transport) DO UPDATE SET format = ?4,
                 last = max(last, ?6), received = received + ?7, quarantined = quarantined + ?8, bytes = bytes + ?9",
            )?
            .execute(params![
                tenant.0,
                address,
                transport,
                c.format,
                c.first.unix_ns(),
                c.last.unix_ns(),
                c.events as i64,
                c.quarantined as i64,
                c.bytes as i64
            ])?;
    }
    for ((tenant, day, source, what), count) in &tally.ledger {
        transaction
            .prepare_cached(
                "INSERT INTO ledger (tenant, day, source, what, count) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant, day, source, what) DO UPDATE SET count = count + ?5",
            )?
            .execute(params![tenant.0, day, source, what, *count as i64])?;
    }
    for ((tenant, hour, from, to, verdict), count) in &tally.matrix {
        transaction
            .prepare_cached(
                "INSERT INTO matrix (tenant, hour, zone_from, zone_to, verdict, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (tenant, hour, zone_from, zone_to, verdict) DO UPDATE SET count = count + ?6",
            )?
            .execute(params![tenant.0, hour, from, to, verdict, *count as i64])?;
    }
    Ok(())
}
