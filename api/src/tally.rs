//! What came in, counted: per source, per day, per pair of zones. Written in the transaction that moves the position, so that it is exact over
//! restarts. What was received is counted where the log is read, what became of it by the events, so that the one proves the other.
//!
//! What a sender can choose is bounded: its address (a datagram's is a claim) by [`SOURCES_MAX`] here and `SOURCES_KEPT_MAX` in the store,
//! the hour of its events by what clocks may differ. Beyond the bound a record is counted as of [`OTHER`].

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use event::{Batch, EventId, EventRef, FieldId, Frame, FrameHead, OriginId, TenantId, Time, Transport, UNIDENTIFIED};
use rules::CellKey;
use rules::policy::{Policy, believed};

use crate::store::LISTED_MAX;

const SECOND_NS: i64 = 1_000_000_000;
/// Japan Standard Time, in which a day is counted.
const JST_NS: i64 = 9 * 3600 * SECOND_NS;
/// Sources of one tenant that are told apart between two commits (a second): about 4 MB.
const SOURCES_MAX: usize = 20_000;
/// The name under which sources beyond the bound are counted together.
pub(crate) const OTHER: &str = "other";

/// Who sent: an address, or a file or topic, or only the way in, or whoever is beyond the bound.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Who {
    Address(IpAddr),
    Origin(&'static str),
    Transport,
    Other,
}

impl Who {
    fn of(address: Option<IpAddr>, origin: Option<OriginId>) -> Who {
        let named = origin.map_or(Who::Transport, |origin| Who::Origin(origin.name()));
        address.map_or(named, Who::Address)
    }
}

/// A quarantined record.
#[derive(Clone, Debug)]
pub(crate) struct Quarantined {
    pub(crate) id: EventId,
    pub(crate) who: Who,
    pub(crate) transport: &'static str,
    pub(crate) received: Time,
    pub(crate) reason: String,
}

/// What the log has of one sender, in a row and of one day: counted where the log is read, before what it becomes is known.
#[derive(Clone, Debug)]
pub struct Received {
    /// Whose it is.
    pub tenant: TenantId,
    /// Who sent it.
    pub source: Option<IpAddr>,
    /// What it came from, where that has no address.
    pub origin: Option<OriginId>,
    /// How it came in.
    pub transport: Transport,
    /// When the last of it was received.
    pub received: Time,
    /// Records: texts, and the records that flow packets carry.
    pub records: u64,
    /// Flow packets of which no record came: templates, options, and data that wait for their template.
    pub without_records: u64,
    /// Bytes as received.
    pub bytes: u64,
}

impl Received {
    /// Adds a frame that carries so many records to what is counted.
    pub fn note(all: &mut Vec<Received>, frame: Frame<'_>, records: usize) {
        let FrameHead { tenant, origin, transport, received, .. } = frame.head;
        let source = frame.head.source.map(|source| source.ip());
        let is_of = |last: &&mut Received| {
            (last.tenant, last.source, last.origin, last.transport) == (tenant, source, origin, transport)
                && day_number(last.received) == day_number(received)
        };
        if all.last_mut().filter(is_of).is_none() {
            all.push(Received { tenant, source, origin, transport, received, records: 0, without_records: 0, bytes: 0 });
        }
        if let Some(last) = all.last_mut() {
            last.received = received;
            last.records += records as u64;
            last.without_records += u64::from(records == 0);
            last.bytes += frame.bytes.len() as u64;
        }
    }
}

/// What came from one source on one day.
#[derive(Clone, Debug)]
pub(crate) struct SourceCount {
    pub(crate) first: Time,
    pub(crate) last: Time,
    /// As the log has it.
    pub(crate) received: u64,
    pub(crate) without_records: u64,
    pub(crate) bytes: u64,
    /// What became of it.
    pub(crate) events: u64,
    pub(crate) quarantined: BTreeMap<String, u64>,
    /// That of the last record that was understood, else of the last one: the programs of one host write in many, some of them in none.
    pub(crate) format: &'static str,
}

/// A tenant's sources: (who, transport, day in Japan since 1970) → what.
pub(crate) type Sources = BTreeMap<(Who, &'static str, i64), SourceCount>;
/// (tenant, who, transport, day, reason) → how many came and were refused, and when the last of them came.
pub(crate) type Dropped = BTreeMap<(TenantId, Who, &'static str, i64, String), (u64, Time)>;
/// (from, to, verdict) → how many more.
pub(crate) type Cells = BTreeMap<String, BTreeMap<String, BTreeMap<String, i64>>>;

/// Counts since the last commit.
#[derive(Debug, Default)]
pub struct Tally {
    pub(crate) sources: BTreeMap<TenantId, Sources>,
    /// (tenant, day, transport, reason) → how many were lost before the log could have them.
    pub(crate) lost: BTreeMap<(TenantId, i64, &'static str, String), u64>,
    pub(crate) dropped: Dropped,
    /// (tenant, hour in seconds, hash of the policy) → cells.
    pub(crate) matrix: BTreeMap<(TenantId, i64, String), Cells>,
    /// (tenant, exporter, day, reason) → how many its sequence numbers say were lost before us.
    pub(crate) missing: BTreeMap<(TenantId, IpAddr, i64, &'static str), u64>,
    /// What was quarantined: the newest that are listed.
    pub(crate) quarantined: BTreeMap<TenantId, VecDeque<Quarantined>>,
    /// Events of which one was released: their records are quarantined no more.
    pub(crate) released: Vec<(TenantId, EventId)>,
    /// (tenant, sensor, hour in seconds) → the minutes in which it was heard, a bit each.
    pub(crate) heard: BTreeMap<(TenantId, String, i64), u64>,
}

impl Tally {
    /// Counts what was received.
    pub fn receive(&mut self, received: &[Received]) {
        for Received { tenant, source, origin, transport, received, records, without_records, bytes } in received {
            let (_, count) = self.source(*tenant, Who::of(*source, *origin), transport.name(), *received);
            count.received += records;
            count.without_records += without_records;
            count.bytes += bytes;
        }
    }

    /// Counts what the events of a batch say of what was received.
    pub fn add(&mut self, batch: &Batch) {
        for event in batch.iter() {
            self.add_source(event);
        }
    }

    /// Notes of which sensors the events of a batch are signs of life.
    pub fn sensors(&mut self, batch: &Batch, policy: &Policy) {
        if policy.sensors.is_empty() {
            return;
        }
        let mut found = Vec::new();
        for event in batch.iter() {
            policy.sensors.heard(event, &mut found);
            let second = believed(event).unix_s();
            for sensor in &found {
                let key = (event.tenant(), policy.observe[*sensor].sensor.clone(), second.div_euclid(3600) * 3600);
                *self.heard.entry(key).or_default() |= 1 << (second.rem_euclid(3600) / 60);
            }
        }
    }

    /// Counts what the zone policy said of conversations.
    pub fn verdicts(&mut self, policy: &Policy, cells: BTreeMap<CellKey, i64>) {
        for (cell, count) in cells {
            let [from, to] = [cell.from, cell.to].map(|zone| policy.zones[usize::from(zone)].name.as_str());
            let hour = cell.hour / SECOND_NS;
            let cells = self.matrix.entry((TenantId(cell.tenant), hour, policy.sha256.clone())).or_default();
            *entry(entry(entry(cells, from), to), cell.verdict.name()) += count;
        }
    }

    fn add_source(&mut self, event: EventRef<'_>) {
        if let Some(from) = event.get(FieldId::RELEASED_FROM).and_then(|v| v.as_text()?.parse().ok()) {
            // Received and counted before; only what became of it has changed.
            if !event.quarantined() {
                self.released.push((event.tenant(), from));
            }
            return;
        }
        let (received, transport) = (event.received(), event.transport().name());
        let (who, count) = self.source(event.tenant(), Who::of(event.source(), event.origin()), transport, received);
        count.events += 1;
        let format = event.format().name();
        if !UNIDENTIFIED.contains(&format) || UNIDENTIFIED.contains(&count.format) {
            count.format = format;
        }
        if event.quarantined() {
            // A decoder's reasons are fixed texts of the program: few.
            let reason = event.get(FieldId::ERROR_MESSAGE).and_then(|v| v.as_text()).unwrap_or("unknown");
            *entry(&mut count.quarantined, reason) += 1;
            let listed = self.quarantined.entry(event.tenant()).or_default();
            if listed.len() >= LISTED_MAX {
                listed.pop_front();
            }
            listed.push_back(Quarantined { id: event.id(), who, transport, received, reason: reason.to_owned() });
        }
    }

    /// The counts of a source, and as whom it is counted.
    fn source(&mut self, tenant: TenantId, who: Who, transport: &'static str, received: Time) -> (Who, &mut SourceCount) {
        let sources = self.sources.entry(tenant).or_default();
        let mut key = (who, transport, day_number(received));
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&key) {
            key.0 = Who::Other;
        }
        let count = sources.entry(key).or_insert_with(|| SourceCount {
            first: received,
            last: received,
            received: 0,
            without_records: 0,
            bytes: 0,
            events: 0,
            quarantined: BTreeMap::new(),
            format: "",
        });
        count.last = count.last.max(received);
        (key.0, count)
    }

    /// Counts records that came and were refused: part of what was received.
    pub fn dropped(
        &mut self,
        tenant: TenantId,
        sender: Option<IpAddr>,
        transport: Transport,
        received: Time,
        reason: &str,
        count: u64,
    ) {
        let who = sender.filter(|_| self.dropped.len() < SOURCES_MAX).map_or(Who::Other, Who::Address);
        let key = (tenant, who, transport.name(), day_number(received), reason.to_owned());
        let (dropped, last) = self.dropped.entry(key).or_insert((0, received));
        *dropped += count;
        *last = received.max(*last);
    }

    /// Counts records that were lost before the log could have them.
    pub fn lost(&mut self, tenant: TenantId, transport: Transport, received: Time, reason: &str, count: u64) {
        *self.lost.entry((tenant, day_number(received), transport.name(), reason.to_owned())).or_default() += count;
    }

    /// Counts records that an exporter sent, by its own numbers, and that never came.
    pub fn missing(&mut self, tenant: TenantId, exporter: IpAddr, received: Time, reason: &'static str, count: u64) {
        *self.missing.entry((tenant, exporter, day_number(received), reason)).or_default() += count;
    }

    pub(crate) fn clear(&mut self) {
        self.missing.clear();
        self.sources.clear();
        self.lost.clear();
        self.dropped.clear();
        self.matrix.clear();
        self.quarantined.clear();
        self.released.clear();
        self.heard.clear();
    }
}

/// The entry of a name; only a new one is copied.
fn entry<'m, T: Default>(map: &'m mut BTreeMap<String, T>, name: &str) -> &'m mut T {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name).expect("it is there now")
}

/// The day in Japan, since 1970.
pub(crate) fn day_number(time: Time) -> i64 {
    time.plus_ns(JST_NS).unix_s().div_euclid(86_400)
}

/// A day as it is written: `2026-04-01`.
pub(crate) fn day_text(day: i64) -> String {
    let (year, month, day, ..) = Time::from_unix_ns(day.saturating_mul(86_400 * SECOND_NS)).civil();
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_japan() {
        let day = |time: &str| day_text(day_number(time.parse().expect("a time")));
        assert_eq!(day("2026-03-31T14:59:59Z"), "2026-03-31");
        assert_eq!(day("2026-03-31T15:00:00Z"), "2026-04-01");
        assert_eq!(day("1969-12-31T15:00:00Z"), "1970-01-01");
    }
}
