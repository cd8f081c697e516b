//! Records that no decoder could read: where they lie, so that they can be listed, and read again once a parser is mended. The newest have a row
//! each; those before are packed by sender and reason, for a firewall with new firmware brings a million in minutes.
//!
//! A release goes through the log: its record is appended there once more, and only when the pipeline has read that is the row here taken away
//! and the ledger changed, in one transaction with the position. A release that was begun is marked, so that no record is released twice; a mark
//! whose append was lost with the program is void once the pipeline has read all that the log held when the program started.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use event::{EventId, Position, TenantId, Time};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::audit::{self, Change};
use super::{Identity, Result, Store};
use crate::tally::{OTHER, Quarantined, day_number, day_text};

pub(super) const TABLE: &str = "
CREATE TABLE quarantine (tenant INTEGER NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, nth INTEGER NOT NULL, received INTEGER NOT NULL,
  day TEXT NOT NULL, source TEXT NOT NULL, transport TEXT NOT NULL, reason TEXT NOT NULL, releasing INTEGER,
  PRIMARY KEY (tenant, partition, offset, nth));
";

/// Where the older ones lie, many in a row. `ids` is as [`encoded`] has it.
pub(super) const PACKS: &str = "
CREATE TABLE quarantine_pack (tenant INTEGER NOT NULL, partition INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, day TEXT NOT NULL,
  source TEXT NOT NULL, transport TEXT NOT NULL, reason TEXT NOT NULL, records INTEGER NOT NULL, ids BLOB NOT NULL);
CREATE INDEX quarantine_pack_first ON quarantine_pack (tenant, partition, first);
";

/// Quarantined records of one tenant that have a row each; the newest have. A row takes some 200 bytes, so when there are a fifth more the oldest are
/// packed: some 8 bytes each.
pub(crate) const LISTED_MAX: usize = 100_000;
const PACK_FROM: usize = LISTED_MAX + LISTED_MAX / 5;
/// Records of one pack, which is read and written as a whole.
const PACK_RECORDS_MAX: usize = 10_000;
/// Packs of one tenant: some 100 million records. The oldest give way; their records stay in the log, the index and the ledger.
const PACKS_MAX: usize = 10_000;
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

const INSERT: &str = "INSERT OR IGNORE INTO quarantine (tenant, partition, offset, nth, received, day, source, transport, reason)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const CHOSEN: &str =
    "tenant = ?1 AND (?2 IS NULL OR reason = ?2) AND (?3 IS NULL OR source = ?3) AND (partition, offset, nth) > (?4, ?5, ?6)";

impl Store {
    /// The first of them in log order, at most so many, and how many there are in all.
    pub(crate) fn quarantined(&self, tenant: u32, filter: &QuarantineFilter, size: u32) -> Result<(Vec<Listed>, u64)> {
        let after = filter.after.map_or((-1, -1, -1), key);
        self.read(|connection| {
            let (packed, packed_total) = packed(connection, tenant, filter, size as usize)?;
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
            let mut all = rows.collect::<std::result::Result<Vec<_>, _>>()?;
            all.extend(packed);
            all.sort_unstable_by_key(|record| record.id);
            all.truncate(size as usize);
            Ok((all, total as u64 + packed_total))
        })
    }

    /// Marks records as being released: those of `ids` that are not yet. The filter is the one by which they were found.
    pub(crate) fn begin_release(&self, by: &Identity, filter: &QuarantineFilter, ids: &[EventId]) -> Result<Vec<EventId>> {
        let tenant = by.tenant;
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let mut begun = Vec::new();
        unpack(&transaction, tenant, ids)?;
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

/// Lists what was quarantined since the last commit; the oldest are packed.
pub(super) fn add(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    records: &VecDeque<Quarantined>,
    source: impl Fn(&Quarantined) -> String,
) -> rusqlite::Result<()> {
    for record in records {
        let (partition, offset, nth) = key(record.id);
        let day = day_text(day_number(record.received));
        transaction.prepare_cached(INSERT)?.execute(params![
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
    pack(transaction, tenant.0)
}

/// Packs the oldest rows where there are too many; those that are being released keep theirs.
fn pack(transaction: &Transaction<'_>, tenant: u32) -> rusqlite::Result<()> {
    let count: i64 =
        transaction.prepare_cached("SELECT count(*) FROM quarantine WHERE tenant = ?1")?.query_row([tenant], |row| row.get(0))?;
    if count < PACK_FROM as i64 {
        return Ok(());
    }
    let mut packs: BTreeMap<Alike, Vec<Id>> = BTreeMap::new();
    let mut statement = transaction.prepare_cached(
        "DELETE FROM quarantine WHERE tenant = ?1 AND rowid IN (SELECT rowid FROM quarantine WHERE tenant = ?1
         AND (releasing IS NULL OR releasing <= coalesce((SELECT position FROM progress), 0)) ORDER BY partition, offset, nth LIMIT ?2)
         RETURNING partition, offset, nth, received, day, source, transport, reason",
    )?;
    let mut rows = statement.query(params![tenant, count - LISTED_MAX as i64])?;
    while let Some(row) = rows.next()? {
        let alike =
            Alike { partition: row.get(0)?, day: row.get(4)?, source: row.get(5)?, transport: row.get(6)?, reason: row.get(7)? };
        packs.entry(alike).or_default().push(Id { offset: row.get(1)?, nth: row.get(2)?, received: row.get(3)? });
    }
    for (alike, mut ids) in packs {
        ids.sort_unstable();
        ids.chunks(PACK_RECORDS_MAX).try_for_each(|ids| put_pack(transaction, tenant, &alike, ids))?;
    }
    transaction
        .prepare_cached(
            "DELETE FROM quarantine_pack WHERE tenant = ?1 AND rowid IN (SELECT rowid FROM quarantine_pack WHERE tenant = ?1
             ORDER BY partition DESC, first DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![tenant, PACKS_MAX as i64])?;
    Ok(())
}

/// What the records of one pack have in common.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Alike {
    partition: i64,
    day: String,
    source: String,
    transport: String,
    reason: String,
}

/// A record within a pack.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Id {
    offset: i64,
    nth: u16,
    received: i64,
}

/// Writes a pack of these, which are in order.
fn put_pack(transaction: &Transaction<'_>, tenant: u32, alike: &Alike, ids: &[Id]) -> rusqlite::Result<()> {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(()) };
    let Alike { partition, day, source, transport, reason } = alike;
    transaction
        .prepare_cached(
            "INSERT INTO quarantine_pack (tenant, partition, first, last, day, source, transport, reason, records, ids)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            tenant,
            partition,
            first.offset,
            last.offset,
            day,
            source,
            transport,
            reason,
            ids.len() as i64,
            encoded(ids)
        ])?;
    Ok(())
}

/// Each record by how much it differs from the one before: offset, number within the frame, receipt; seven bits a byte (LEB128).
fn encoded(ids: &[Id]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |mut n: u64| {
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    };
    let mut before = Id { offset: 0, nth: 0, received: 0 };
    for id in ids {
        put((id.offset - before.offset).cast_unsigned());
        put(id.nth.into());
        // Zigzag: the receipt may go back.
        let step = id.received.wrapping_sub(before.received);
        put(((step << 1) ^ (step >> 63)).cast_unsigned());
        before = *id;
    }
    out
}

/// What [`encoded`] has written; of damaged bytes what comes before the damage.
fn decoded(bytes: &[u8]) -> Vec<Id> {
    let mut bytes = bytes.iter();
    let mut number = || {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *bytes.next()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    };
    let mut ids = Vec::new();
    let mut before = Id { offset: 0, nth: 0, received: 0 };
    while let (Some(offset), Some(nth), Some(step)) = (number(), number(), number()) {
        let step = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
        before = Id {
            offset: before.offset.wrapping_add(offset.cast_signed()),
            nth: nth as u16,
            received: before.received.wrapping_add(step),
        };
        ids.push(before);
    }
    ids
}

const ALIKE: &str = "partition, day, source, transport, reason";

fn alike(row: &Row<'_>) -> rusqlite::Result<Alike> {
    Ok(Alike { partition: row.get(0)?, day: row.get(1)?, source: row.get(2)?, transport: row.get(3)?, reason: row.get(4)? })
}

/// Those of the packed records that come first in log order, at most so many, and how many there are in all.
fn packed(connection: &Connection, tenant: u32, filter: &QuarantineFilter, size: usize) -> rusqlite::Result<(Vec<Listed>, u64)> {
    let after = filter.after.map_or((-1, -1, -1), key);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {ALIKE}, first, last, records, ids FROM quarantine_pack WHERE tenant = ?1 AND (?2 IS NULL OR reason = ?2)
         AND (?3 IS NULL OR source = ?3) AND (partition, last) >= (?4, ?5) ORDER BY partition, first"
    ))?;
    let mut rows = statement.query(params![tenant, filter.reason, filter.source, after.0, after.1])?;
    let (mut found, mut total) = (Vec::<Listed>::new(), 0u64);
    while let Some(row) = rows.next()? {
        let alike = alike(row)?;
        let first: i64 = row.get(5)?;
        let frame = |offset: i64| Position { partition: alike.partition as u32, offset: offset.cast_unsigned() };
        // The packs come by their first record: of those that begin behind what is shown only the number counts.
        let is_behind = found.len() >= size && found.get(size.wrapping_sub(1)).is_none_or(|last| last.id.frame < frame(first));
        if is_behind && (alike.partition, first) > (after.0, after.1) {
            total += row.get::<_, i64>(7)?.cast_unsigned();
            continue;
        }
        for Id { offset, nth, received } in decoded(&row.get::<_, Vec<u8>>(8)?) {
            if (alike.partition, offset, i64::from(nth)) > after {
                total += 1;
                found.push(Listed {
                    id: EventId { frame: frame(offset), nth },
                    received: Time::from_unix_ns(received),
                    source: alike.source.clone(),
                    transport: alike.transport.clone(),
                    reason: alike.reason.clone(),
                    releasing: false,
                });
            }
        }
        found.sort_unstable_by_key(|record| record.id);
        found.truncate(size);
    }
    Ok((found, total))
}

/// Gives those of `ids` that are packed a row each again.
fn unpack(transaction: &Transaction<'_>, tenant: u32, ids: &[EventId]) -> rusqlite::Result<()> {
    let wanted: BTreeSet<(i64, i64, i64)> = ids.iter().map(|id| key(*id)).collect();
    let (Some(lowest), Some(highest)) = (wanted.first(), wanted.last()) else { return Ok(()) };
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT {ALIKE}, rowid, ids FROM quarantine_pack WHERE tenant = ?1 AND (partition, last) >= (?2, ?3)
         AND (partition, first) <= (?4, ?5)"
    ))?;
    let packs = statement.query_map(params![tenant, lowest.0, lowest.1, highest.0, highest.1], |row| {
        Ok((alike(row)?, row.get::<_, i64>(5)?, decoded(&row.get::<_, Vec<u8>>(6)?)))
    })?;
    for (alike, pack, all) in packs.collect::<std::result::Result<Vec<_>, _>>()? {
        let is_wanted = |id: &Id| wanted.contains(&(alike.partition, id.offset, i64::from(id.nth)));
        let (taken, left): (Vec<Id>, Vec<Id>) = all.into_iter().partition(is_wanted);
        if taken.is_empty() {
            continue;
        }
        transaction.prepare_cached("DELETE FROM quarantine_pack WHERE rowid = ?1")?.execute([pack])?;
        put_pack(transaction, tenant, &alike, &left)?;
        for Id { offset, nth, received } in taken {
            let Alike { partition, day, source, transport, reason } = &alike;
            transaction
                .prepare_cached(INSERT)?
                .execute(params![tenant, partition, offset, nth, received, day, source, transport, reason])?;
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::Clock;

    use super::*;
    use crate::tally::Who;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Time {
            Time::from_unix_s(1_775_001_600)
        }
    }

    #[test]
    fn ids_come_back_as_they_were_packed() {
        let ids: Vec<Id> = [(1, 0, 5), (1, 3, 4), (200, 0, i64::MAX), (i64::MAX, u16::MAX, i64::MIN), (i64::MAX, u16::MAX, 0)]
            .map(|(offset, nth, received)| Id { offset, nth, received })
            .into();
        let bytes = encoded(&ids);
        assert_eq!(decoded(&bytes), ids);
        for end in 0..bytes.len() {
            assert!(ids.starts_with(&decoded(&bytes[..end])), "cut at {end}");
        }
        decoded(&[0xff; 100]);
    }

    #[test]
    fn the_older_ones_are_packed_and_are_listed_and_released_like_the_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(&dir.path().join("s"), Arc::new(Still)).expect("opens");
        let all = PACK_FROM as u64 + 5_000;
        let id = |offset| EventId { frame: Position { partition: 0, offset }, nth: 0 };
        let reason = |offset: u64| format!("reason {}", offset % 3);
        let mut next = 1;
        let mut add_until = |end: u64| {
            let record = |offset| Quarantined {
                id: id(offset),
                who: Who::Transport,
                transport: "udp",
                received: Time::from_unix_ns(1_775_001_600_000_000_000 + offset as i64 * 1000),
                reason: reason(offset),
            };
            let records: VecDeque<Quarantined> = (next..=end).map(record).collect();
            let mut connection = store.writer();
            let transaction = connection.transaction().expect("begun");
            add(&transaction, TenantId(0), &records, |_| "192.0.2.1".to_owned()).expect("added");
            transaction.commit().expect("committed");
            next = end + 1;
        };
        add_until(PACK_FROM as u64 - 1);
        add_until(all);
        let rows = || store.read(|c| Ok(c.query_row("SELECT count(*) FROM quarantine", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(rows().expect("counted"), LISTED_MAX as i64, "the rest is packed");
        let listed = |filter: &QuarantineFilter, size| {
            let (records, total) = store.quarantined(0, filter, size).expect("listed");
            (records.iter().map(|record| record.id.frame.offset).collect::<Vec<_>>(), total)
        };
        let filter = QuarantineFilter::default();
        assert_eq!(listed(&filter, 3), (vec![1, 2, 3], all));
        let one_reason = QuarantineFilter { reason: Some(reason(1)), ..QuarantineFilter::default() };
        assert_eq!(listed(&one_reason, 3), (vec![1, 4, 7], all.div_ceil(3)));
        assert_eq!(listed(&QuarantineFilter { source: Some("other".to_owned()), ..filter.clone() }, 3), (vec![], 0));
        // Page by page, over the place where the rows begin, each once and in order.
        let (mut filter, mut offsets) = (filter, Vec::new());
        loop {
            let (page, total) = listed(&filter, 10_000);
            assert_eq!(total, all - offsets.len() as u64);
            let Some(last) = page.last() else { break };
            filter.after = Some(id(*last));
            offsets.extend(page);
        }
        assert!(offsets.iter().copied().eq(1..=all));
        // One of a pack and one of a row are released; a second time neither is.
        let (by, any) = (Identity { name: "a".to_owned(), tenant: 0, token: "b".to_owned() }, QuarantineFilter::default());
        let ids = [id(7), id(all)];
        assert_eq!(store.begin_release(&by, &any, &ids).expect("begun"), ids);
        assert_eq!(store.begin_release(&by, &any, &ids).expect("begun"), []);
        let (records, total) = store.quarantined(0, &any, 10).expect("listed");
        assert_eq!((total, records.iter().map(|r| r.releasing).collect::<Vec<_>>()), (all, (1..=10).map(|n| n == 7).collect()));
        let received: Vec<i64> = records.iter().map(|r| r.received.unix_ns() - 1_775_001_600_000_000_000).collect();
        assert_eq!(received, (1..=10).map(|n| n * 1000).collect::<Vec<i64>>());
        {
            let mut connection = store.writer();
            let transaction = connection.transaction().expect("begun");
            take(&transaction, &ids.map(|id| (TenantId(0), id))).expect("taken");
            transaction.commit().expect("committed");
        }
        assert_eq!(listed(&any, 7), (vec![1, 2, 3, 4, 5, 6, 8], all - 2));
    }
}
