//! Alerts as they stand, and what people did with them.

use event::Time;
use rules::alert::Alert;
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};
use serde::Serialize;

use super::{Result, Store, StoreError};

/// Which alerts are wanted.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// `open`, `acknowledged`, `closed`; several with commas.
    pub status: Option<String>,
    /// The rule's level; several with commas.
    pub level: Option<String>,
    /// Whose it is.
    pub assignee: Option<String>,
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

impl Store {
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
        const WHERE: &str = "tenant = ?1 AND (?2 IS NULL OR instr(',' || ?2 || ',', ',' || status || ','))
            AND (?3 IS NULL OR instr(',' || ?3 || ',', ',' || level || ',')) AND (?4 IS NULL OR rule = ?4)
            AND (?5 IS NULL OR last >= ?5) AND (?6 IS NULL OR last < ?6) AND (?7 IS NULL OR assignee = ?7)";
        let (from, to) = (filter.from.map(Time::unix_ns), filter.to.map(Time::unix_ns));
        self.read(|connection| {
            let total: i64 = connection
                .prepare_cached(&format!("SELECT count(*) FROM alert WHERE {WHERE}"))?
                .query_row(params![tenant, filter.status, filter.level, filter.rule, from, to, filter.assignee], |row| {
                    row.get(0)
                })?;
            let (after_last, after_id) = after.unzip();
            let mut statement = connection.prepare_cached(&format!(
                "SELECT body, status, assignee, disposition, detected_at, version, last, id FROM alert WHERE {WHERE}
                 AND (?8 IS NULL OR last < ?8 OR (last = ?8 AND id > ?9)) ORDER BY last DESC, id LIMIT ?10"
            ))?;
            let limit = size as i64 + 1;
            let rows =
                params![tenant, filter.status, filter.level, filter.rule, from, to, filter.assignee, after_last, after_id, limit];
            let mut alerts: Vec<Stored> = statement.query_map(rows, stored)?.collect::<std::result::Result<_, _>>()?;
            let more = alerts.len() > size;
            alerts.truncate(size);
            let cursor = alerts.last().filter(|_| more).map(|a| format!("{}.{}", a.last, a.id));
            Ok((alerts, total as u64, cursor))
        })
    }

    /// One alert of the tenant.
    pub(crate) fn alert(&self, tenant: u32, id: &str) -> Result<Option<Stored>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT body, status, assignee, disposition, detected_at, version, last, id FROM alert WHERE tenant = ?1 AND id = ?2",
            )?;
            Ok(statement.query_row(params![tenant, id], stored).optional()?)
        })
    }

    /// Open alerts by level.
    pub(crate) fn open_by_level(&self, tenant: u32) -> Result<Vec<(String, i64)>> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT level, count(*) FROM alert WHERE tenant = ?1 AND status <> 'closed' GROUP BY level")?;
            Ok(statement.query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// Alerts per rule: how many, and when the last was seen.
    pub(crate) fn alerts_by_rule(&self, tenant: u32) -> Result<Vec<(String, i64, i64)>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT rule, count(*), max(last) FROM alert WHERE tenant = ?1 GROUP BY rule")?;
            Ok(statement
                .query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<std::result::Result<_, _>>()?)
        })
    }

    /// What was done with an alert, in order.
    pub(crate) fn actions(&self, id: &str) -> Result<Vec<Done>> {
        self.read(|connection| {
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
        })
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
        let mut connection = self.writer();
        // Immediate, so that another process (`mihari token`) is waited for here and not met half way.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
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
            "assign" => "assignee = nullif(:assignee, '')",
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

    /// Every alert body, by id: for the demo's check and for tests.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn all_alerts(&self) -> Result<Vec<Alert>> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT body FROM alert ORDER BY id")?;
            let bodies: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<std::result::Result<_, _>>()?;
            Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
        })
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
