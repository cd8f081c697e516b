//! What came in, counted: per source, per day, per pair of zones. Filled from batches, written in the transaction that moves the
//! position, so that it is exact over restarts.

use std::collections::BTreeMap;

use event::{Batch, FieldId, TenantId, Time, Transport, Value};

/// Japan Standard Time, in which a day is counted.
const JST_NS: i64 = 9 * 3600 * 1_000_000_000;
/// Sources that are told apart between two commits; further ones are counted together as `others`.
const SOURCES_MAX: usize = 50_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceCount {
    pub(crate) first: Time,
    pub(crate) last: Time,
    pub(crate) events: u64,
    pub(crate) quarantined: u64,
    pub(crate) bytes: u64,
    pub(crate) format: &'static str,
}

/// Counts since the last commit.
#[derive(Debug, Default)]
pub struct Tally {
    pub(crate) sources: BTreeMap<(TenantId, String, &'static str), SourceCount>,
    /// (tenant, day, source, what) → how many.
    pub(crate) ledger: BTreeMap<(TenantId, String, String, String), u64>,
    /// (tenant, hour in seconds, from, to, verdict) → how many.
    pub(crate) matrix: BTreeMap<(TenantId, i64, String, String, String), u64>,
}

impl Tally {
    /// Counts the events of a batch.
    pub fn add(&mut self, batch: &Batch) {
        for event in batch.iter() {
            let mut source = event.source().map_or_else(|| event.transport().name().to_owned(), |ip| ip.to_string());
            let key = (event.tenant(), source.clone(), event.transport().name());
            if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&key) {
                source = "others".to_owned();
            }
            let received = event.received();
            let bytes = event.raw().len() as u64;
            let count = self.sources.entry((event.tenant(), source.clone(), event.transport().name())).or_insert(SourceCount {
                first: received,
                last: received,
                events: 0,
                quarantined: 0,
                bytes: 0,
                format: "",
            });
            count.last = count.last.max(received);
            count.events += 1;
            count.bytes += bytes;
            count.format = event.format().name();
            let what = if event.quarantined() {
                count.quarantined += 1;
                format!("quarantined:{}", event.get(FieldId::ERROR_MESSAGE).and_then(|v| v.as_text()).unwrap_or("unknown"))
            } else {
                "parsed".to_owned()
            };
            *self.ledger.entry((event.tenant(), day(received), source, what)).or_default() += 1;
            if let (Some(Value::Text(from)), Some(Value::Text(to)), Some(Value::Text(verdict))) =
                (event.get(FieldId::ZONE_SOURCE), event.get(FieldId::ZONE_DESTINATION), event.get(FieldId::POLICY_VERDICT))
                && verdict != "internal"
            {
                let hour = event.time().unix_s().div_euclid(3600) * 3600;
                let key = (event.tenant(), hour, from.to_owned(), to.to_owned(), verdict.to_owned());
                *self.matrix.entry(key).or_default() += 1;
            }
        }
    }

    /// Counts records that were lost before the log could have them.
    pub fn lost(&mut self, tenant: TenantId, transport: Transport, received: Time, reason: &str, count: u64) {
        let key = (tenant, day(received), transport.name().to_owned(), format!("lost:{reason}"));
        *self.ledger.entry(key).or_default() += count;
    }

    pub(crate) fn clear(&mut self) {
        self.sources.clear();
        self.ledger.clear();
        self.matrix.clear();
    }
}

/// The day in Japan.
fn day(time: Time) -> String {
    let (year, month, day, ..) = time.plus_ns(JST_NS).civil();
    format!("{year:04}-{month:02}-{day:02}")
}
