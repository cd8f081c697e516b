//! Messages that wait to be delivered, and how deliveries went.

use event::Time;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::{Result, Store};

/// Finds what has not arrived without a look at all that has.
pub(super) const UNDELIVERED: &str = "CREATE INDEX outbox_undelivered ON outbox (state, at) WHERE state <> 'delivered';";
/// For how long it is told that messages were given up, in nanoseconds.
const GIVEN_UP_TOLD_NS: i64 = 7 * 86_400 * 1_000_000_000;

/// What has not arrived at a destination.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Undelivered {
    pub(crate) destination: String,
    /// Messages that wait, those that were tried already among them.
    pub(crate) waiting: i64,
    /// Of these, tried in vain.
    pub(crate) failing: i64,
    /// Tried in vain until their time was up, within the last week.
    pub(crate) given_up: i64,
    /// What the last one failed with.
    pub(crate) last_error: Option<String>,
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

impl Store {
    /// The messages about an alert.
    pub(crate) fn deliveries(&self, id: &str) -> Result<Vec<Delivery>> {
        self.read(|connection| {
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
        })
    }

    /// What of a tenant's messages has not arrived, by destination.
    pub(crate) fn undelivered(&self, tenant: u32) -> Result<Vec<Undelivered>> {
        let since = self.clock.now().plus_ns(-GIVEN_UP_TOLD_NS).unix_ns();
        self.read(|connection| {
            // Beside max() the other columns are of the row that has it.
            let mut statement = connection.prepare_cached(
                "SELECT o.destination, sum(o.state = 'waiting'), sum(o.state = 'waiting' AND o.attempts > 0), sum(o.state = 'dead'),
                   o.last_error, max(o.at)
                 FROM outbox o JOIN alert a ON a.id = o.alert
                 WHERE o.state <> 'delivered' AND a.tenant = ?1 AND (o.state = 'waiting' OR o.at >= ?2)
                 GROUP BY o.destination ORDER BY o.destination",
            )?;
            let undelivered = |row: &Row<'_>| {
                Ok(Undelivered {
                    destination: row.get(0)?,
                    waiting: row.get(1)?,
                    failing: row.get(2)?,
                    given_up: row.get(3)?,
                    last_error: row.get(4)?,
                })
            };
            Ok(statement.query_map(params![tenant, since], undelivered)?.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// The next message for a destination that is due, or when the next one will be.
    pub(crate) fn due(&self, destination: &str) -> Result<std::result::Result<Due, Option<Time>>> {
        let now = self.clock.now().unix_ns();
        self.read(|connection| {
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
        })
    }

    /// Writes down how a delivery went: delivered, to be tried again at `next`, or given up. Where the alert went on meanwhile, it is to be told once more.
    pub(crate) fn delivered(&self, due: &Due, destination: &str, error: Option<&str>, next: Option<Time>) -> Result<()> {
        let state = match (error, next) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "waiting",
            (Some(_), None) => "dead",
        };
        let now = self.clock.now().unix_ns();
        self.writer().execute(
            "UPDATE outbox SET state = ?3, attempts = attempts + 1, last_error = ?4, at = ?5, next_at = coalesce(?6, next_at)
             WHERE alert = ?1 AND destination = ?2 AND created = ?7",
            params![due.alert, destination, state, error, now, next.map(Time::unix_ns), due.created.unix_ns()],
        )?;
        Ok(())
    }
}
