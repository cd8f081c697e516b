//! Counts: who sends, what became of every record, what passed between zones.
//!
//! A datagram's address is a claim, so the number of sources is bounded per tenant: what comes from further ones is counted as of `other`, in the
//! list of sources and in the ledger alike, so that both still add up. Where the bound is reached, sources that have long been silent make room.

use std::collections::{BTreeMap, BTreeSet};

use event::{TenantId, Time, UNIDENTIFIED};
use rusqlite::{Row, Transaction, params};
use serde::Serialize;

use super::{Result, Store, quarantine};
use crate::tally::{OTHER, Sources, Tally, Who, day_text};

/// Sources that are told apart per tenant: an order above what a municipality has.
pub(crate) const SOURCES_KEPT_MAX: usize = 10_000;
/// How long a source is silent before it may make room.
const SILENT_NS: i64 = 86_400 * 1_000_000_000;
/// Rows of the ledger in one answer.
const LEDGER_ROWS_MAX: u32 = 100_000;

/// What sources sent, by their own sequence numbers, and was never received.
pub(super) const LOST: &str = "
CREATE TABLE source_lost (tenant INTEGER NOT NULL, address TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (tenant, address, reason));
";

/// What came and was refused, and flow packets of which no record came. What was received stands by itself since then: before, it was what became
/// of it.
pub(super) const RECEIVED: &str = "
ALTER TABLE source ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE source ADD COLUMN without_records INTEGER NOT NULL DEFAULT 0;
INSERT OR REPLACE INTO ledger (tenant, day, source, what, count) SELECT tenant, day, source, 'received', sum(count) FROM ledger
  WHERE what = 'parsed' OR what LIKE 'quarantined:%' GROUP BY tenant, day, source;
";

/// A source's members, by name.
pub(crate) type Members = serde_json::Map<String, serde_json::Value>;

/// The columns that [`source`] reads; what is lost is of an address, whichever way it sends.
const COLUMNS: &str =
    "address, transport, format, first, last, received, quarantined, bytes, (SELECT json_group_object(reason, count)
    FROM source_lost WHERE source_lost.tenant = ?1 AND source_lost.address = source.address), dropped, without_records";

fn source(row: &Row<'_>) -> rusqlite::Result<Members> {
    let time = |at: usize| -> rusqlite::Result<String> { Ok(Time::from_unix_ns(row.get(at)?).to_string()) };
    let (received, quarantined): (i64, i64) = (row.get(5)?, row.get(6)?);
    let (dropped, without_records): (i64, i64) = (row.get(9)?, row.get(10)?);
    let silent_ns: Option<i64> = row.get(11)?;
    let lost = serde_json::from_str(&row.get::<_, String>(8)?).unwrap_or_default();
    let members: [(&str, serde_json::Value); 14] = [
        ("address", row.get::<_, String>(0)?.into()),
        ("transport", row.get::<_, String>(1)?.into()),
        ("format", row.get::<_, String>(2)?.into()),
        ("first", time(3)?.into()),
        ("last", time(4)?.into()),
        ("received", received.into()),
        ("parsed", (received - quarantined - dropped).into()),
        ("quarantined", quarantined.into()),
        ("dropped", dropped.into()),
        ("without_records", without_records.into()),
        ("bytes", row.get::<_, i64>(7)?.into()),
        ("lost_before", serde_json::Value::Object(lost)),
        ("silent_ms", silent_ns.map(|ns| ns / 1_000_000).into()),
        ("unidentified", row.get::<_, bool>(12)?.into()),
    ];
    Ok(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Whether the row's format is one of which only the frame was understood.
fn is_unidentified() -> String {
    format!("format IN ('{}')", UNIDENTIFIED.join("', '"))
}

/// A source is silent where it has sent nothing for ten times its mean pause, and for a quarter of an hour at least (900 s).
const SILENT_SINCE: &str = "(CASE WHEN address <> 'other' AND ?2 - last > max(900000000000, (last - first) / max(1, received - 1) * 10) THEN ?2 - last END)";

/// Which sources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SourcesOf {
    /// All of them.
    All,
    /// Those that have fallen silent, the one first that has been for longest.
    Silent,
    /// Those of whose records only the frame was understood.
    Unidentified,
}

/// Some of the sources.
#[derive(Debug, Serialize)]
pub(crate) struct SourcePage {
    pub(crate) sources: Vec<Members>,
    /// All of this kind.
    pub(crate) total: u64,
    /// How many there are in all, silent, unidentified, and with records in quarantine.
    pub(crate) all: u64,
    pub(crate) silent: u64,
    pub(crate) unidentified: u64,
    pub(crate) quarantined: u64,
    /// Where the next page begins.
    pub(crate) after: Option<String>,
}

impl Store {
    /// Who sends, each as JSON members: those of the kind, behind this one, at most so many. All of them stand by address, those that are silent by
    /// when they were heard last.
    pub(crate) fn sources_of(
        &self,
        tenant: u32,
        of: SourcesOf,
        after: Option<&(i64, String, String)>,
        size: Option<usize>,
    ) -> Result<SourcePage> {
        /// Nothing goes before the address; a plain number would name a column.
        const NONE: &str = "last * 0";
        let (now, unidentified) = (self.clock.now().unix_ns(), is_unidentified());
        let (is_one, key) = match of {
            SourcesOf::All => ("1".to_owned(), NONE),
            SourcesOf::Silent => (format!("{SILENT_SINCE} IS NOT NULL"), "last"),
            SourcesOf::Unidentified => (format!("address <> 'other' AND {unidentified}"), NONE),
        };
        self.read(|connection| {
            let count = |is_one: &str| -> Result<u64> {
                let mut statement = connection
                    .prepare_cached(&format!("SELECT count(*) FROM source WHERE tenant = ?1 AND ?2 IS NOT NULL AND {is_one}"))?;
                Ok(statement.query_row(params![tenant, now], |row| row.get::<_, i64>(0))? as u64)
            };
            let from = after.map_or((i64::MIN, "", ""), |(key, address, transport)| (*key, address.as_str(), transport.as_str()));
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS}, {SILENT_SINCE}, {unidentified}, {key} FROM source WHERE tenant = ?1 AND {is_one}
                 AND ({key}, address, transport) > (?4, ?5, ?6) ORDER BY {key}, address, transport LIMIT ?3"
            ))?;
            let limit = size.map_or(-1, |n| n.min(SOURCES_KEPT_MAX) as i64);
            let rows = statement.query_map(params![tenant, now, limit, from.0, from.1, from.2], |row| {
                Ok((source(row)?, row.get::<_, i64>(13)?))
            })?;
            let rows: Vec<(Members, i64)> = rows.collect::<std::result::Result<_, _>>()?;
            let text = |members: &Members, name: &str| members.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            let after = rows
                .last()
                .filter(|_| Some(rows.len()) == size)
                .map(|(members, key)| format!("{key}|{}|{}", text(members, "address"), text(members, "transport")));
            Ok(SourcePage {
                total: count(&is_one)?,
                all: count("1")?,
                silent: count(&format!("{SILENT_SINCE} IS NOT NULL"))?,
                unidentified: count(&format!("address <> 'other' AND {unidentified}"))?,
                quarantined: count("quarantined > 0")?,
                sources: rows.into_iter().map(|(members, _)| members).collect(),
                after,
            })
        })
    }

    /// So many of those that have sent most, and how many there are.
    pub(crate) fn largest_sources(&self, tenant: u32, size: Option<usize>) -> Result<(Vec<Members>, u64)> {
        let (now, unidentified) = (self.clock.now().unix_ns(), is_unidentified());
        self.read(|connection| {
            let total: i64 = connection
                .prepare_cached("SELECT count(*) FROM source WHERE tenant = ?1")?
                .query_row([tenant], |row| row.get(0))?;
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS}, {SILENT_SINCE}, {unidentified} FROM source WHERE tenant = ?1
                 ORDER BY received DESC, address, transport LIMIT ?3"
            ))?;
            let limit = size.map_or(-1, |n| n.min(SOURCES_KEPT_MAX) as i64);
            let rows = statement.query_map(params![tenant, now, limit], source)?;
            Ok((rows.collect::<std::result::Result<_, _>>()?, total as u64))
        })
    }

    /// What was ever received of the tenant, how much of it is quarantined, and how much was refused.
    pub(crate) fn received(&self, tenant: u32) -> Result<[i64; 3]> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT ifnull(sum(received), 0), ifnull(sum(quarantined), 0), ifnull(sum(dropped), 0) FROM source WHERE tenant = ?1",
            )?;
            Ok(statement.query_row([tenant], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?)
        })
    }

    /// (day, source, what, count), the latest day first.
    pub(crate) fn ledger(&self, tenant: u32) -> Result<Vec<(String, String, String, i64)>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT day, source, what, count FROM ledger WHERE tenant = ?1 ORDER BY day DESC, source, what LIMIT ?2",
            )?;
            let rows =
                statement.query_map([tenant, LEDGER_ROWS_MAX], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
    }
}

/// Adds what was counted since the last commit.
pub(super) fn write(transaction: &Transaction<'_>, tally: &Tally) -> rusqlite::Result<()> {
    let mut all_folded = BTreeMap::new();
    // (tenant, day, source, what) → how many.
    let mut ledger: BTreeMap<(u32, i64, String, String), u64> = BTreeMap::new();
    for (tenant, sources) in &tally.sources {
        let folded = write_sources(transaction, *tenant, sources)?;
        for ((who, transport, day), count) in sources {
            let source = if folded.contains(&(*who, transport)) { OTHER.to_owned() } else { name(*who, transport) };
            let quarantined: u64 = count.quarantined.values().sum();
            let plain = [
                ("received", count.received),
                ("without_records", count.without_records),
                ("parsed", count.events - quarantined),
            ];
            let whats = count.quarantined.iter().map(|(reason, n)| (format!("quarantined:{reason}"), *n));
            for (what, n) in whats.chain(plain.map(|(what, n)| (what.to_owned(), n))).filter(|(_, n)| *n > 0) {
                *ledger.entry((tenant.0, *day, source.clone(), what)).or_default() += n;
            }
        }
        all_folded.insert(*tenant, folded);
    }
    for ((tenant, who, transport, day, reason), (n, last)) in &tally.dropped {
        let source = write_dropped(transaction, *tenant, *who, transport, *n, *last)?;
        *ledger.entry((tenant.0, *day, source.clone(), format!("dropped:{reason}"))).or_default() += n;
        *ledger.entry((tenant.0, *day, source, "received".to_owned())).or_default() += n;
    }
    for ((tenant, day, transport, reason), n) in &tally.lost {
        *ledger.entry((tenant.0, *day, (*transport).to_owned(), format!("lost:{reason}"))).or_default() += n;
    }
    for ((tenant, exporter, day, reason), n) in &tally.missing {
        // An address that is no source of its own has no row of its own here either.
        let mut known = transaction.prepare_cached("SELECT 1 FROM source WHERE tenant = ?1 AND address = ?2")?;
        let address = exporter.to_string();
        let source = if known.exists(params![tenant.0, address])? { address } else { OTHER.to_owned() };
        transaction
            .prepare_cached(
                "INSERT INTO source_lost (tenant, address, reason, count) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (tenant, address, reason) DO UPDATE SET count = count + ?4",
            )?
            .execute(params![tenant.0, source, reason, *n as i64])?;
        *ledger.entry((tenant.0, *day, source, format!("lost:{reason}"))).or_default() += n;
    }
    for ((tenant, day, source, what), n) in &ledger {
        transaction
            .prepare_cached(
                "INSERT INTO ledger (tenant, day, source, what, count) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant, day, source, what) DO UPDATE SET count = count + ?5",
            )?
            .execute(params![tenant, day_text(*day), source, what, *n as i64])?;
    }
    for (tenant, records) in &tally.quarantined {
        let folded = all_folded.get(tenant);
        quarantine::add(transaction, *tenant, records, |record| {
            let other = folded.is_some_and(|folded| folded.contains(&(record.who, record.transport)));
            if other { OTHER.to_owned() } else { name(record.who, record.transport) }
        })?;
    }
    quarantine::take(transaction, &tally.released)?;
    Ok(())
}

/// Adds what was refused to a source; gives its name. Who is not allowed to send makes no source of its own.
fn write_dropped(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    who: Who,
    transport: &str,
    n: u64,
    last: Time,
) -> rusqlite::Result<String> {
    let own = name(who, transport);
    let mut known = transaction.prepare_cached("SELECT 1 FROM source WHERE tenant = ?1 AND address = ?2 AND transport = ?3")?;
    let address = if known.exists(params![tenant.0, own, transport])? { own } else { OTHER.to_owned() };
    transaction
        .prepare_cached(
            "INSERT INTO source (tenant, address, transport, format, first, last, received, quarantined, bytes, dropped)
             VALUES (?1, ?2, ?3, '', ?4, ?4, ?5, 0, 0, ?5) ON CONFLICT (tenant, address, transport) DO UPDATE SET
             last = max(last, ?4), received = received + ?5, dropped = dropped + ?5",
        )?
        .execute(params![tenant.0, address, transport, last.unix_ns(), n as i64])?;
    Ok(address)
}

fn name(who: Who, transport: &str) -> String {
    match who {
        Who::Address(address) => address.to_string(),
        Who::Origin(name) => name.to_owned(),
        Who::Transport => transport.to_owned(),
        Who::Other => OTHER.to_owned(),
    }
}

/// Adds to the sources of a tenant; gives those that were counted as `other`.
fn write_sources<'t>(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    sources: &'t Sources,
) -> rusqlite::Result<BTreeSet<(Who, &'t str)>> {
    let is_unidentified = is_unidentified();
    let mut folded = BTreeSet::new();
    let mut room: Option<usize> = None;
    for ((who, transport, _), count) in sources {
        let mut address = name(*who, transport);
        let known = transaction
            .prepare_cached("SELECT 1 FROM source WHERE tenant = ?1 AND address = ?2 AND transport = ?3")?
            .exists(params![tenant.0, address, transport])?;
        // What has neither address nor name is bounded by itself: there are as many as there are transports.
        if !known && matches!(who, Who::Address(_) | Who::Origin(_)) {
            let left = match room {
                Some(left) => left,
                None => make_room(transaction, tenant, count.last)?,
            };
            room = Some(left.saturating_sub(1));
            if left == 0 {
                folded.insert((*who, *transport));
                metrics::counter!("mihari_sources_folded_total").increment(1);
                address = OTHER.to_owned();
            }
        }
        let quarantined: u64 = count.quarantined.values().sum();
        transaction
            .prepare_cached(&format!(
                "INSERT INTO source (tenant, address, transport, format, first, last, received, quarantined, bytes, without_records)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?11) ON CONFLICT (tenant, address, transport) DO UPDATE SET
                 format = CASE WHEN ?10 AND NOT {is_unidentified} THEN format ELSE ?4 END,
                 last = max(last, ?6), received = received + ?7, quarantined = quarantined + ?8, bytes = bytes + ?9,
                 without_records = without_records + ?11"
            ))?
            .execute(params![
                tenant.0,
                address,
                transport,
                count.format,
                count.first.unix_ns(),
                count.last.unix_ns(),
                count.received as i64,
                quarantined as i64,
                count.bytes as i64,
                UNIDENTIFIED.contains(&count.format),
                count.without_records as i64
            ])?;
    }
    Ok(folded)
}

/// How many more sources the tenant may have; where there is no room, those that have long been silent are folded into `other`.
fn make_room(transaction: &Transaction<'_>, tenant: TenantId, now: Time) -> rusqlite::Result<usize> {
    let count = || -> rusqlite::Result<usize> {
        transaction
            .prepare_cached("SELECT count(*) FROM source WHERE tenant = ?1 AND address <> ?2")?
            .query_row(params![tenant.0, OTHER], |row| row.get::<_, i64>(0).map(|n| n as usize))
    };
    let there = count()?;
    if there < SOURCES_KEPT_MAX {
        return Ok(SOURCES_KEPT_MAX - there);
    }
    let silent = params![tenant.0, OTHER, now.unix_ns().saturating_sub(SILENT_NS)];
    transaction
        .prepare_cached(
            "INSERT INTO source (tenant, address, transport, format, first, last, received, quarantined, bytes, dropped, without_records)
             SELECT tenant, ?2, transport, '', min(first), max(last), sum(received), sum(quarantined), sum(bytes), sum(dropped),
             sum(without_records) FROM source
             WHERE tenant = ?1 AND address <> ?2 AND last < ?3 GROUP BY transport
             ON CONFLICT (tenant, address, transport) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
             received = received + excluded.received, quarantined = quarantined + excluded.quarantined, bytes = bytes + excluded.bytes,
             dropped = dropped + excluded.dropped, without_records = without_records + excluded.without_records",
        )?
        .execute(silent)?;
    transaction.prepare_cached("DELETE FROM source WHERE tenant = ?1 AND address <> ?2 AND last < ?3")?.execute(silent)?;
    let gone = "address <> ?2 AND address NOT IN (SELECT address FROM source WHERE tenant = ?1)";
    let folded = params![tenant.0, OTHER];
    transaction
        .prepare_cached(&format!(
            "INSERT INTO source_lost (tenant, address, reason, count)
             SELECT tenant, ?2, reason, sum(count) FROM source_lost WHERE tenant = ?1 AND {gone} GROUP BY reason
             ON CONFLICT (tenant, address, reason) DO UPDATE SET count = count + excluded.count"
        ))?
        .execute(folded)?;
    transaction.prepare_cached(&format!("DELETE FROM source_lost WHERE tenant = ?1 AND {gone}"))?.execute(folded)?;
    Ok(SOURCES_KEPT_MAX.saturating_sub(count()?))
}
