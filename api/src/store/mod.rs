//! The store: alerts, what people did with them, deliveries, tokens and counts, in SQLite. What the pipeline adds comes in one transaction with
//! its position, so that after a crash both are there or neither.
//!
//! One connection writes. What only reads has connections of its own, which see the last commit and wait for no writer (SQLite's WAL), so that a
//! commit on a slow disk is not felt by whoever looks. Every call may wait for the disk: the HTTP interface makes them on blocking threads.

mod alerts;
mod audit;
mod counts;
mod modes;
mod outbox;
mod quarantine;
mod saved;
mod state;
mod texts;
mod token;
mod zones;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use event::Clock;
use rules::Modes;
use rules::alert::AlertChange;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

pub use alerts::AlertFilter;
pub(crate) use alerts::{Done, NewAction, Stored, needles};
pub(crate) use audit::{Export, KINDS as AUDIT_KINDS};
pub(crate) use counts::{SourcePage, SourcesOf};
pub(crate) use outbox::{Delivery, Due};
pub(crate) use quarantine::{LISTED_MAX, Listed, QuarantineFilter};
pub(crate) use saved::{Changed, DueSearch, Run, SavedSearch};
pub use state::{State, StateWriter};
pub use token::{Identity, TokenInfo};
pub use zones::PolicyVersion;
pub(crate) use zones::{CellRow, HeardRow};

use crate::notify::Destination;
use crate::tally::Tally;

/// The n-th brings a database from version n to n + 1; version 0 is an empty one.
const MIGRATIONS: [&str; 13] = [
    FIRST,
    "ALTER TABLE token ADD COLUMN revoked INTEGER;",
    quarantine::TABLE,
    ZONES,
    modes::TABLE,
    saved::TABLES,
    counts::LOST,
    audit::TABLES,
    outbox::UNDELIVERED,
    texts::TABLES,
    counts::RECEIVED,
    BY_POLICY,
    quarantine::PACKS,
];
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;
const FIRST: &str = "
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

/// When sensors were heard (a bit a minute of the hour), and the policies that were in force, which are kept.
const ZONES: &str = "
CREATE TABLE heard (tenant INTEGER NOT NULL, sensor TEXT NOT NULL, hour INTEGER NOT NULL, minutes INTEGER NOT NULL,
  PRIMARY KEY (tenant, sensor, hour));
CREATE TABLE policy_version (seq INTEGER PRIMARY KEY AUTOINCREMENT, sha256 TEXT NOT NULL, text TEXT NOT NULL, since INTEGER NOT NULL,
  by TEXT NOT NULL);
CREATE TRIGGER policy_version_is_kept BEFORE DELETE ON policy_version BEGIN SELECT RAISE(ABORT, 'versions are never deleted'); END;
CREATE TRIGGER policy_version_is_fixed BEFORE UPDATE ON policy_version BEGIN SELECT RAISE(ABORT, 'versions are never changed'); END;
";

/// The row of the policy by which conversations were judged; 0 for what was counted before.
const BY_POLICY: &str = "
ALTER TABLE matrix RENAME TO matrix_before;
CREATE TABLE matrix (tenant INTEGER NOT NULL, hour INTEGER NOT NULL, zone_from TEXT NOT NULL, zone_to TEXT NOT NULL, verdict TEXT NOT NULL,
  policy INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (tenant, hour, zone_from, zone_to, verdict, policy));
INSERT INTO matrix SELECT tenant, hour, zone_from, zone_to, verdict, 0, count FROM matrix_before;
DROP TABLE matrix_before;
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

impl StoreError {
    /// Whether the disk is full: nothing was stored, and it works again once there is room.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, StoreError::Database(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }
}

/// What the pipeline has done since its last commit.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The last log offset that it has seen.
    pub position: u64,
    /// Alerts, in their order.
    pub changes: &'a [AlertChange],
    /// Where new alerts are told.
    pub destinations: &'a [Destination],
    /// The modes of rules: an alert that is only recorded has the status `recorded` and is told nowhere.
    pub modes: &'a Modes,
}

/// Where the pipeline goes on.
#[derive(Debug, Default, PartialEq)]
pub struct Resume {
    /// The last log offset that it has seen; 0 at first.
    pub position: u64,
    /// The states that it left, by name.
    pub snapshots: Vec<(String, Vec<u8>)>,
}

/// A database of alerts and counts.
#[derive(Clone)]
pub struct Store {
    /// Where the states lie.
    states: PathBuf,
    writer: Arc<Mutex<Connection>>,
    readers: Arc<Readers>,
    clock: Arc<dyn Clock>,
}

/// How long a statement waits for another process that uses the database, such as `mihari token` or a copy being made.
const OTHERS_TIME: Duration = Duration::from_secs(30);
/// Connections that only read: as many as requests can usefully run at once on a small machine.
const READERS: usize = 4;

struct Readers {
    idle: Mutex<Vec<Connection>>,
    given_back: Condvar,
}

type Result<T> = std::result::Result<T, StoreError>;

impl Store {
    /// Opens the database at `path`, made if absent.
    ///
    /// # Errors
    /// Where it cannot be used, or is of a later program.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Store> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(OTHERS_TIME)?;
        write_ahead(&connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // A transaction that reads first and finds, when it comes to write, that another process has written meanwhile fails at once: no waiting
        // helps it. So each is a writer's from its first statement, and waits there.
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        if version(&connection)? != SCHEMA_VERSION {
            // Two programs may open a new one at once, such as the service and `mihari token`: who comes second finds it made.
            let transaction = connection.transaction()?;
            let version = version(&transaction)?;
            if !(0..=SCHEMA_VERSION).contains(&version) {
                return Err(StoreError::Newer(version));
            }
            for migration in &MIGRATIONS[version as usize..] {
                transaction.execute_batch(migration)?;
            }
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let idle = (0..READERS).map(|_| Connection::open_with_flags(path, flags)).collect::<std::result::Result<_, _>>()?;
        let readers = Readers { idle: Mutex::new(idle), given_back: Condvar::new() };
        let states = state::path_of(path);
        Ok(Store { states, writer: Arc::new(Mutex::new(connection)), readers: Arc::new(readers), clock })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().expect("no code panics under this lock")
    }

    /// Reads on a connection of its own: what is read sees the last commit and waits for no writer.
    fn read<T>(&self, look: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers.idle.lock().expect("no code panics under this lock");
        let mut idle = self.readers.given_back.wait_while(idle, |idle| idle.is_empty()).expect("no code panics under this lock");
        let connection = idle.pop().expect("waited for");
        drop(idle);
        let found = look(&connection);
        self.readers.idle.lock().expect("no code panics under this lock").push(connection);
        self.readers.given_back.notify_one();
        found
    }

    /// Stores what the pipeline has done, with its position. Gives the ids of alerts that are new, or that went on after they were closed.
    ///
    /// # Errors
    /// Where the database fails: nothing is stored then, and the tally is kept.
    pub fn apply(&self, commit: &Commit<'_>, tally: &mut Tally) -> Result<Vec<String>> {
        let now = self.clock.now().unix_ns();
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let mut new = Vec::new();
        for change in commit.changes {
            let alert = change.alert();
            let is_told = commit.modes.is_told(alert);
            if alerts::put(&transaction, alert, is_told, commit.destinations, now)? {
                new.push(alert.id.clone());
            }
        }
        counts::write(&transaction, tally)?;
        zones::write(&transaction, tally)?;
        transaction
            .prepare_cached("INSERT INTO progress (id, position) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET position = ?1")?
            .execute(params![commit.position as i64])?;
        transaction.commit()?;
        tally.clear();
        Ok(new)
    }

    /// Where the pipeline goes on. A file of states that cannot be read counts as none, and is told.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn resume(&self) -> Result<Resume> {
        let stored = self.states(|_| true);
        self.read(|connection| {
            // One transaction, so that position and states are of the same commit.
            let transaction = connection.unchecked_transaction()?;
            let position = position(&transaction)?;
            match stored {
                Some(stored) if stored.position <= position => return Ok(Resume { position, snapshots: stored.snapshots }),
                // The database was put back to an earlier day: what it does not know is analysed again, by states that know nothing of it.
                Some(stored) => tracing::warn!(position, state = stored.position, "the stored states are ahead of the database"),
                None => {}
            }
            // Programs before had them in the database.
            let mut statement = transaction.prepare("SELECT name, bytes FROM snapshot ORDER BY name")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Resume { position, snapshots: rows.collect::<std::result::Result<_, _>>()? })
        })
    }

    /// Those of the stored states that are wanted, with their position; none where none are stored.
    fn states(&self, wanted: impl Fn(&str) -> bool) -> Option<Resume> {
        state::read(&self.states, wanted).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %self.states.display(), "the stored states cannot be read");
            None
        })
    }

    /// Starts the thread that stores states; it calls `done` with the position of each that is stored.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn state_writer(&self, done: impl Fn(u64) + Send + 'static) -> std::io::Result<StateWriter> {
        let store = self.clone();
        StateWriter::start(&self.states, move |position| {
            // What a program before had in the database is of an earlier position.
            if let Err(error) = store.writer().execute("DELETE FROM snapshot", []) {
                tracing::warn!(%error, "failed to remove the states that were stored in the database");
            }
            done(position);
        })
    }

    /// Puts all into the one file, for whoever copies that once the service has ended: until then what is new lies in SQLite's log beside it.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn put_together(&self) -> Result<()> {
        let writer = self.writer();
        // Whoever reads it still, such as a copy being made, is not waited for: all is there for them too.
        writer.busy_timeout(Duration::from_secs(1))?;
        Ok(writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// The last log offset that the pipeline has seen; 0 at first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn position(&self) -> Result<u64> {
        self.read(position)
    }

    /// The state that the pipeline left under this name: all of them can be large.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn snapshot(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if let Some(mut found) = self.states(|stored| stored == name) {
            return Ok(found.snapshots.pop().map(|(_, bytes)| bytes));
        }
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT bytes FROM snapshot WHERE name = ?1")?;
            Ok(statement.query_row([name], |row| row.get(0)).optional()?)
        })
    }
}

/// Tries of [`write_ahead`]; each waits for who was first.
const TRIES: usize = 100;

/// Has the database write ahead, which it keeps. In this SQLite waits for nobody who opens the new file too, lest two wait for each other: it fails
/// at once. A transaction waits.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let switch = || connection.pragma_update(None, "journal_mode", "WAL");
    for _ in 0..TRIES {
        match switch() {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK;")?;
            }
            done => return done,
        }
    }
    switch()
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn position(connection: &Connection) -> Result<u64> {
    let position: Option<i64> = connection.query_row("SELECT position FROM progress", [], |row| row.get(0)).optional()?;
    Ok(position.unwrap_or(0) as u64)
}
