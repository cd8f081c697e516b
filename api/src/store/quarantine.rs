//! Records that no decoder could read: where they lie, so that they can be listed, and read again once a parser is mended.
//!
//! A release goes through the log: its record is appended there once more, and only when the pipeline has read that is the row here taken away
//! and the ledger changed, in one transaction with the position. A release that was begun is marked, so that no record is released twice; a mark
//! whose append was lost with the program is void once the pipeline has read all that the log held when the program started.

use std::collections::VecDeque;

use event::{EventId, Position, TenantId, Time};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::audit::{self, Change};
use super::{Identity, Result, Store};
use crate::tally::{OTHER, Quarantined, day_number, day_text};

pub(super) const TABLE: &str = "
CREATE TABLE quarantine (tenant INTEGER NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, nth INTEGER NOT NULL, received INTEGER NOT NULL,
  day TEXT NOT NULL, source TEXT NOT NULL, transport TEXT NOT NULL, reason TEXT NOT NULL, releasing INTEGER,
  PRIMARY KEY (tenant, partition, offset, nth));
";

/// Quarantined records of one tenant that are listed; the newest are. Those beyond stay in the log, the index and the ledger.
pub(crate) const LISTED_MAX: usize = 100_000;
/// The mark of a release that this run of the program has begun.
const BEGUN: i64 = i64::MAX;

/// Which of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuarantineFilter {
    pub(crate) reason: Option<String>,
    pub(crate) source: Option<String>,
    /// Only those that stand behind this one in the log.
    pub(crate) after: Option<EventId>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) id: EventId,
    pub(crate) received: Time,
    pub(crate) source: String,
    pub(crate) transport: String,
    pub(crate) reason: String,
    /// A release was begun.
    pub(crate) releasing: bool,
}

const CHOSEN: &str =
    "tenant = ?1 AND (?2 IS NULL OR reason = ?2) AND (?3 IS NULL OR source = ?3) AND (partition, offset, nth) > (?4, ?5, ?6)";

impl Store {
    /// The first of them in log order, at most so many, and how many there are in all.
    pub(crate) fn quarantined(&self, tenant: u32, filter: &QuarantineFilter, size: u32) -> Result<(Vec<Listed>, u64)> {
        let after = filter.after.map_or((-1, -1, -1), key);
        self.read(|connection| {
            let chosen = params![tenant, filter.reason, filter.source, after.0, after.1, after.2];
            let total: i64 = connection
                .prepare_cached(&format!("SELECT count(*) FROM quarantine WHERE {CHOSEN}"))?
                .query_row(chosen, |row| row.get(0))?;
            let mut statement = connection.prepare_cached(&format!(
                "SELECT partition, offset, nth, received, source, transport, reason,
                 coalesce(releasing > coalesce((SELECT position FROM progress), 0), 0)
                 FROM quarantine WHERE {CHOSEN} ORDER BY partition, offset, nth LIMIT ?7"
            ))?;
            let rows =
                statement.query_map(params![tenant, filter.reason, filter.source, after.0, after.1, after.2, size], listed)?;
            Ok((rows.collect::<std::result::Result<_, _>>()?, total as u64))
        })
    }

    /// Marks records as being released: those of `ids` that are not yet. The filter is the one by which they were found.
    pub(crate) fn begin_release(&self, by: &Identity, filter: &QuarantineFilter, ids: &[EventId]) -> Result<Vec<EventId>> {
        let tenant = by.tenant;
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let mut begun = Vec::new();
        for id in ids {
            let (partition, offset, nth) = key(*id);
            let marked = transaction
                .prepare_cached(
                    "UPDATE quarantine SET releasing = ?5 WHERE tenant = ?1 AND partition = ?2 AND offset = ?3 AND nth = ?4
                     AND (releasing IS NULL OR releasing <= coalesce((SELECT position FROM progress), 0))",
                )?
                .execute(params![tenant, partition, offset, nth, BEGUN])?;
            if marked == 1 {
                begun.push(*id);
            }
        }
        if !begun.is_empty() {
            let (reason, source) = (filter.reason.as_deref(), filter.source.as_deref());
            let change = Change::Released { records: begun.len(), reason, source };
            audit::append(&transaction, Some(tenant), self.clock.now(), by, &change)?;
        }
        transaction.commit()?;
        Ok(begun)
    }

    /// At the start of the program: what an earlier run had begun to release and did not append is void once the pipeline has read the log up to
    /// `durable`.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn settle_releases(&self, durable: u64) -> Result<()> {
        self.writer().execute("UPDATE quarantine SET releasing = ?1 WHERE releasing = ?2", params![durable as i64, BEGUN])?;
        Ok(())
    }
}

fn key(id: EventId) -> (i64, i64, i64) {
    (i64::from(id.frame.partition), id.frame.offset as i64, i64::from(id.nth))
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    let frame = Position { partition: row.get(0)?, offset: row.get::<_, i64>(1)? as u64 };
    Ok(Listed {
        id: EventId { frame, nth: row.get(2)? },
        received: Time::from_unix_ns(row.get(3)?),
        source: row.get(4)?,
        transport: row.get(5)?,
        reason: row.get(6)?,
        releasing: row.get(7)?,
    })
}

/// Lists what was quarantined since the last commit; the oldest make room.
pub(super) fn add(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    records: &VecDeque<Quarantined>,
    source: impl Fn(&Quarantined) -> String,
) -> rusqlite::Result<()> {
    for record in records {
        let (partition, offset, nth) = key(record.id);
        let day = day_text(day_number(record.received));
        transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO quarantine (tenant, partition, offset, nth, received, day, source, transport, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                tenant.0,
                partition,
                offset,
                nth,
                record.received.unix_ns(),
                day,
                source(record),
                record.transport,
                record.reason
            ])?;
    }
    transaction
        .prepare_cached(
            "DELETE FROM quarantine WHERE tenant = ?1 AND rowid IN (SELECT rowid FROM quarantine WHERE tenant = ?1
             ORDER BY partition DESC, offset DESC, nth DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![tenant.0, LISTED_MAX as i64])?;
    Ok(())
}

/// Takes released records off the list, and counts them as parsed where they were counted as quarantined. One that is not on the list was
/// released before.
pub(super) fn take(transaction: &Transaction<'_>, released: &[(TenantId, EventId)]) -> rusqlite::Result<()> {
    for (tenant, id) in released {
        let (partition, offset, nth) = key(*id);
        let row: Option<[String; 4]> = transaction
            .prepare_cached(
                "DELETE FROM quarantine WHERE tenant = ?1 AND partition = ?2 AND offset = ?3 AND nth = ?4
                 RETURNING day, source, transport, reason",
            )?
            .query_row(params![tenant.0, partition, offset, nth], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))
            .optional()?;
        let Some([day, source, transport, reason]) = row else { continue };
        for (what, n) in [(format!("quarantined:{reason}"), -1), ("parsed".to_owned(), 1), (format!("released:{reason}"), 1)] {
            transaction
                .prepare_cached(
                    "INSERT INTO ledger (tenant, day, source, what, count) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (tenant, day, source, what) DO UPDATE SET count = count + ?5",
                )?
                .execute(params![tenant.0, day, source, what, n])?;
        }
        // A source that has long been silent may have been folded into the others since.
        for address in [source.as_str(), OTHER] {
            let changed = transaction
                .prepare_cached(
                    "UPDATE source SET quarantined = quarantined - 1 WHERE tenant = ?1 AND address = ?2 AND transport = ?3
                     AND quarantined > 0",
                )?
                .execute(params![tenant.0, address, transport])?;
            if changed == 1 {
                break;
            }
        }
    }
    Ok(())
}
