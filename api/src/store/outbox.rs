//! Messages that wait to be delivered, and how deliveries went.

use event::Time;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::{Result, Store};

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

    /// Writes down how a delivery went: delivered, to be tried again at `next`, or given up.
    pub(crate) fn delivered(&self, alert: &str, destination: &str, error: Option<&str>, next: Option<Time>) -> Result<()> {
        let state = match (error, next) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "waiting",
            (Some(_), None) => "dead",
        };
        let now = self.clock.now().unix_ns();
        self.writer().execute(
            "UPDATE outbox SET state = ?3, attempts = attempts + 1, last_error = ?4, at = ?5, next_at = coalesce(?6, next_at)
             WHERE alert = ?1 AND destination = ?2",
            params![alert, destination, state, error, now, next.map(Time::unix_ns)],
        )?;
        Ok(())
    }
}
