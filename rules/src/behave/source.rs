//! Sources: each device's own rhythm. One that falls silent, sends far less than it uses to, has a wrong clock, or whose records can no
//! longer be read.
//!
//! Time is the receipt here: what a device does not send has no time of its own. Half-hours of the day, working days and weekends apart,
//! tell when a source uses to send at all: silence counts only as far as it uses to send then, so that what is quiet every night is not
//! missed at night. While a source is missed nothing is learned of it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use event::{EventId, EventRef, FieldId, Transport, Value};
use serde::{Deserialize, Serialize};

use super::site::bits;
use super::table::Table;
use super::{Found, Parameters};
use crate::calendar::{Day, kind_of};

const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;
/// Japan Standard Time, in which people work.
const JST_NS: i64 = 9 * 3600 * SECOND_NS;
/// A half-hour of the day.
const SLOT_NS: i64 = 1800 * SECOND_NS;
const SLOTS: usize = 48;
/// Days of one kind that are remembered; beyond it the older ones count half.
const DAYS_MAX: u8 = 20;
/// Bounds of gaps between records: from a tenth of a second, each a quarter longer, up to some four months.
const GAPS: usize = 64;
const GAP_FIRST_S: f64 = 0.1;
const GAP_RATIO: f64 = 1.4;
/// Gaps that are remembered; beyond it the older ones count half.
const GAPS_MAX: u32 = 5000;
/// Silence is looked for no further than this: whoever is missed so long was missed before.
const SILENCE_MAX_NS: i64 = 14 * DAY_NS;
/// How often all sources are looked at.
const LOOK_NS: i64 = SECOND_NS;
/// Records over which clock and readability are judged.
const WINDOW_NS: i64 = 300 * SECOND_NS;
/// Differences of one window that are kept.
const DIFFERENCES_MAX: usize = 64;
/// Events that a finding names.
const EVIDENCE: usize = 5;
/// Bytes of a host's name that are shown.
const NAME_BYTES_MAX: usize = 128;

/// A tenant, an address, and the name that the records give (hashed: the name is the sender's to choose).
pub(super) type Key = (u32, u128, u64);

/// What is known of one source.
#[derive(Default, Deserialize, Serialize)]
struct Heard {
    tenant: u32,
    name: String,
    address: String,
    first: i64,
    last: i64,
    last_event: Option<EventId>,
    records: u64,
    /// It has been missed since its last record.
    missed: bool,
    gaps: Vec<u32>,
    gaps_total: u32,
    /// Working days, then days off.
    slots: Vec<Slot>,
    /// The half-hour that goes on, and what came in it.
    slot: i64,
    in_slot: u64,
    window: Window,
    /// The share of records that could not be read, learned.
    failing: f64,
    windows: u32,
    /// Whether its clock, or its records, were found wrong and have not come right since.
    wrong: bool,
}

/// What a half-hour of the day has brought.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Slot {
    days: u8,
    active: u8,
    mean: f32,
}

/// The records of some minutes.
#[derive(Default, Deserialize, Serialize)]
struct Window {
    start: i64,
    records: u64,
    failed: u64,
    reason: String,
    differences: Vec<i64>,
    evidence: Vec<EventId>,
}

/// What of a source is watched.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum What {
    Silent,
    Volume,
    Clock,
    Unreadable,
}

/// The sources of all tenants.
#[derive(Deserialize, Serialize)]
pub(super) struct Sources {
    what: What,
    table: Table<Key, Heard>,
    looked: i64,
}

impl Sources {
    pub(super) fn new(p: &Parameters) -> Sources {
        let what = match p.what.as_str() {
            "volume" => What::Volume,
            "clock" => What::Clock,
            "unreadable" => What::Unreadable,
            _ => What::Silent,
        };
        Sources { what, table: Table::new(p.entries_max), looked: i64::MIN }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        let each = GAPS * size_of::<u32>() + 2 * SLOTS * size_of::<Slot>() + 256;
        (self.table.evicted(), self.table.byte_len() + self.table.len() * each)
    }

    /// Takes a record of the source that [`key`] has told, in the order of the log.
    pub(super) fn observe(&mut self, event: EventRef<'_>, key: Key, p: &Parameters, found: &mut Vec<Found>) {
        let now = event.received().unix_ns();
        let heard = self.table.entry(key, now);
        if heard.records == 0 {
            *heard = Heard::new(event, host(event), now);
        } else {
            // Whoever comes back after having been missed was missed all the same, also where nobody has looked since.
            missed(self.what, heard, now, p, found);
        }
        heard.roll(self.what, now, p, found);
        match self.what {
            What::Silent | What::Volume => {
                if heard.missed {
                    heard.missed = false; // The gap was no usual one.
                } else if heard.records > 0 {
                    heard.gap(now);
                }
            }
            What::Clock | What::Unreadable => heard.judge(self.what, event, p, found),
        }
        heard.last = heard.last.max(now);
        heard.last_event = Some(event.id());
        heard.records += 1;
        heard.in_slot += 1;
    }

    /// Time has come to `now`: whoever is silent for too long is found.
    pub(super) fn look(&mut self, now: i64, p: &Parameters, found: &mut Vec<Found>) {
        if self.what != What::Silent || now.saturating_sub(self.looked) < LOOK_NS {
            return;
        }
        self.looked = now;
        let before = found.len();
        let what = self.what;
        self.table.for_each(|heard| missed(what, heard, now, p, found));
        // The table's order is nobody's business.
        found[before..].sort_by(|a, b| (a.time, a.tenant, &a.group).cmp(&(b.time, b.tenant, &b.group)));
    }
}

/// The source of a record; none where it has no rhythm of its own: what is sent in from elsewhere, or read once.
pub(super) fn key(event: EventRef<'_>) -> Option<Key> {
    let live = !matches!(event.transport(), Transport::Http | Transport::Kafka | Transport::Stdin);
    if !live || event.received().unix_ns() <= 0 {
        return None;
    }
    let address = event.source().map_or(0, bits);
    let mut hasher = DefaultHasher::new(); // With fixed keys: the key is stored.
    host(event).hash(&mut hasher);
    Some((event.tenant().0, address, hasher.finish()))
}

fn host(event: EventRef<'_>) -> &str {
    match event.get(FieldId::HOST_NAME) {
        Some(Value::Text(host)) => host,
        _ => "",
    }
}

/// Finds the source where it was missed before `now`. The time found is when it was missed, whenever somebody looks.
fn missed(what: What, heard: &mut Heard, now: i64, p: &Parameters, found: &mut Vec<Found>) {
    if what != What::Silent || heard.missed || heard.records < p.records || heard.last - heard.first < p.learn {
        return;
    }
    let usual = heard.usual_gap();
    let enough = ((usual * p.times) as i64).max(p.gap);
    if now - heard.last < enough {
        return;
    }
    let Some(at) = heard.silent_since(enough, now) else { return };
    heard.missed = true;
    let mut f = heard.found(at, heard.last_event.iter().copied().collect());
    f.seconds("silent_for_s", at - heard.last);
    f.seconds("usual_gap_s", usual as i64);
    f.explain("records_before", heard.records);
    found.push(f);
}

impl Heard {
    fn new(event: EventRef<'_>, host: &str, now: i64) -> Heard {
        let end =
            host.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= NAME_BYTES_MAX).last().unwrap_or(0);
        Heard {
            tenant: event.tenant().0,
            name: host[..end].to_owned(),
            address: event.source().map_or_else(String::new, |ip| ip.to_string()),
            first: now,
            last: now,
            gaps: vec![0; GAPS],
            slots: vec![Slot::default(); 2 * SLOTS],
            slot: slot_of(now),
            ..Heard::default()
        }
    }

    fn found(&self, time: i64, evidence: Vec<EventId>) -> Found {
        let mut group = BTreeMap::new();
        if !self.name.is_empty() {
            group.insert(FieldId::HOST_NAME.name().to_owned(), self.name.clone());
        }
        if !self.address.is_empty() {
            group.insert("log.source.address".to_owned(), self.address.clone());
        }
        Found {
            tenant: self.tenant,
            fields: group.clone(),
            group,
            start: time,
            time,
            evidence,
            explanation: BTreeMap::new(),
            clause: None,
        }
    }

    /// Learns the gap before a record, as far as the source uses to send in it.
    fn gap(&mut self, now: i64) {
        // No more of it counts than there is; most records follow so soon that the calendar need not be asked.
        let at_once = ((now - self.last) as f64) <= GAP_FIRST_S * SECOND_NS as f64;
        let gap_s = if at_once { 0.0 } else { self.counted(self.last, now) / SECOND_NS as f64 };
        if gap_s > 3600.0 && now - self.first < DAY_NS {
            return; // The first night: only the next day tells that it was one.
        }
        let bin = if gap_s <= GAP_FIRST_S { 0.0 } else { (gap_s / GAP_FIRST_S).log(GAP_RATIO).ceil() };
        self.gaps[(bin as usize).min(GAPS - 1)] += 1;
        self.gaps_total += 1;
        if self.gaps_total > GAPS_MAX {
            self.gaps.iter_mut().for_each(|n| *n /= 2);
            self.gaps_total = self.gaps.iter().sum();
        }
    }

    /// The longest gap that is usual, in nanoseconds: all but one in five hundred are shorter.
    fn usual_gap(&self) -> f64 {
        let mut left = self.gaps_total / 500;
        let bin = self.gaps.iter().enumerate().rev().find(|(_, n)| {
            let found = **n > left;
            left = left.saturating_sub(**n);
            found
        });
        bin.map_or(0.0, |(at, _)| GAP_FIRST_S * GAP_RATIO.powi(at as i32) * SECOND_NS as f64)
    }

    /// How much of a half-hour the source uses to send: 0 to 1.
    fn share(&self, slot: i64) -> f64 {
        let known = &self.slots[place(slot)];
        if known.days > 0 {
            return f64::from(known.active) / f64::from(known.days);
        }
        // Of a half-hour that never came before nothing can be said, but in the very first day.
        if slot * SLOT_NS - JST_NS < self.first + DAY_NS { 1.0 } else { 0.0 }
    }

    /// The time from `from` to `to` as far as the source uses to send in it.
    fn counted(&self, from: i64, to: i64) -> f64 {
        let (mut at, mut sum) = (from.max(to - SILENCE_MAX_NS), 0.0);
        while at < to {
            let slot = slot_of(at);
            let end = ((slot + 1) * SLOT_NS - JST_NS).min(to);
            sum += (end - at) as f64 * self.share(slot);
            at = end;
        }
        sum
    }

    /// When, before `now`, the silence had counted for `enough`.
    fn silent_since(&self, enough: i64, now: i64) -> Option<i64> {
        let (mut at, mut left) = (self.last, enough as f64);
        let to = now.min(self.last.saturating_add(SILENCE_MAX_NS));
        while at < to {
            let slot = slot_of(at);
            let end = ((slot + 1) * SLOT_NS - JST_NS).min(to);
            let counted = (end - at) as f64 * self.share(slot);
            if counted >= left {
                return Some(at + (left / self.share(slot)) as i64);
            }
            left -= counted;
            at = end;
        }
        None
    }

    /// Ends half-hours that have passed, and learns of them. Only when a record comes, so that it does not matter who looks when; if the
    /// source was missed, of those after its last record nothing is learned.
    fn roll(&mut self, what: What, now: i64, p: &Parameters, found: &mut Vec<Found>) {
        let current = slot_of(now);
        while self.slot < current {
            let began = self.slot * SLOT_NS - JST_NS;
            if current - self.slot > 2 * (SILENCE_MAX_NS / SLOT_NS) {
                self.slot = current; // After weeks nothing of this is worth learning.
                break;
            }
            let count = std::mem::take(&mut self.in_slot);
            let known_silent = self.missed && began > self.last;
            if !known_silent && began >= self.first {
                let known = &mut self.slots[place(self.slot)];
                let fell = known.days >= 3
                    && f64::from(known.mean) >= p.records as f64
                    && count > 0
                    && (count as f64) < p.share * f64::from(known.mean);
                let mean = known.mean;
                if known.days >= DAYS_MAX {
                    (known.days, known.active) = (known.days / 2, known.active / 2);
                }
                known.days += 1;
                known.active += u8::from(count > 0);
                known.mean += (count as f32 - known.mean) / f32::from(known.days.min(8));
                if fell && what == What::Volume && self.last - self.first >= p.learn {
                    let mut f = self.found(began + SLOT_NS, self.last_event.iter().copied().collect());
                    f.explain("records_in_half_hour", count);
                    f.explain("usual_records", format!("{mean:.0}"));
                    found.push(f);
                }
            }
            self.slot += 1;
        }
    }

    /// Judges clock and readability over some minutes of records.
    fn judge(&mut self, what: What, event: EventRef<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let now = event.received().unix_ns();
        if now - self.window.start >= WINDOW_NS {
            let window = std::mem::replace(&mut self.window, Window { start: now, ..Window::default() });
            self.close(what, window, p, found);
        }
        let window = &mut self.window;
        window.records += 1;
        if event.quarantined() {
            window.failed += 1;
            if window.evidence.len() < EVIDENCE {
                window.evidence.push(event.id());
            }
            if let Some(Value::Text(reason)) = event.get(FieldId::ERROR_MESSAGE)
                && window.reason.is_empty()
            {
                reason.clone_into(&mut window.reason);
            }
        } else if what == What::Clock && window.differences.len() < DIFFERENCES_MAX {
            // A time that is not believed is kept beside the receipt.
            let claimed = match event.get(FieldId::EVENT_CREATED) {
                Some(Value::Time(claimed)) => claimed.unix_ns(),
                _ => event.time().unix_ns(),
            };
            window.differences.push(now - claimed);
            if window.evidence.len() < EVIDENCE {
                window.evidence.push(event.id());
            }
        }
    }

    fn close(&mut self, what: What, mut window: Window, p: &Parameters, found: &mut Vec<Found>) {
        if window.records < p.records {
            return;
        }
        let end = window.start + WINDOW_NS;
        match what {
            What::Clock if !window.differences.is_empty() => {
                window.differences.sort_unstable();
                let median = window.differences[window.differences.len() / 2];
                let wrong = median.abs() > p.gap;
                if wrong && !self.wrong {
                    let mut f = self.found(end, window.evidence);
                    f.seconds("behind_s", median);
                    f.explain("records", window.records);
                    found.push(f);
                }
                self.wrong = wrong;
            }
            What::Unreadable => {
                let share = window.failed as f64 / window.records as f64;
                let wrong = share >= p.share && share > 4.0 * self.failing;
                if wrong && !self.wrong {
                    let mut f = self.found(end, window.evidence);
                    f.score("share_unreadable", share);
                    f.score("usual_share", self.failing);
                    f.explain("reason", &window.reason);
                    found.push(f);
                }
                self.wrong = wrong || (self.wrong && share >= p.share);
                if !self.wrong {
                    self.windows = self.windows.saturating_add(1);
                    self.failing += (share - self.failing) / f64::from(self.windows.min(100));
                }
            }
            _ => {}
        }
    }
}

/// The half-hour since 1970 in which an instant lies, in Japan.
fn slot_of(ns: i64) -> i64 {
    (ns + JST_NS).div_euclid(SLOT_NS)
}

/// Where the half-hour is learned: by its time of day, working days and days off apart.
fn place(slot: i64) -> usize {
    let day = slot.div_euclid(SLOTS as i64);
    let off = kind_of(day) != Day::Working;
    slot.rem_euclid(SLOTS as i64) as usize + if off { SLOTS } else { 0 }
}

#[cfg(test)]
mod tests {
    use event::{Batch, BatchBuilder, Content, FrameHead, LogRange, Position, Time};

    use super::*;

    /// Monday, 6 April 2026, midnight in Japan.
    const MONDAY_S: i64 = 1_775_401_200;

    struct Watched {
        sources: Sources,
        parameters: Parameters,
        found: Vec<Found>,
        offset: u64,
    }

    fn parameters(text: &str) -> Parameters {
        let document = crate::yaml::documents(text).into_iter().next().expect("a document");
        Parameters::read(&document.value.expect("a mapping")).expect("good parameters")
    }

    impl Watched {
        fn new(yaml: &str) -> Watched {
            let parameters = parameters(yaml);
            Watched { sources: Sources::new(&parameters), parameters, found: Vec::new(), offset: 0 }
        }

        fn record(&mut self, host: &str, at_s: i64, said_s: Option<i64>, readable: bool) {
            self.offset += 1;
            let batch = record(self.offset, host, at_s, said_s, readable);
            let event = batch.event(0);
            self.sources.observe(event, key(event).expect("live"), &self.parameters, &mut self.found);
        }

        fn look(&mut self, at_s: i64) {
            self.sources.look(at_s * SECOND_NS, &self.parameters, &mut self.found);
        }

        fn hosts(&self) -> Vec<(&str, i64)> {
            self.found.iter().map(|f| (f.group["host.name"].as_str(), f.time / SECOND_NS)).collect()
        }
    }

    fn record(offset: u64, host: &str, at_s: i64, said_s: Option<i64>, readable: bool) -> Batch {
        let head = FrameHead {
            position: Position { partition: 0, offset },
            received: Time::from_unix_s(at_s),
            source: Some(([10, 0, 0, 1], 514).into()),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        let mut builder = BatchBuilder::default();
        {
            let mut row = builder.row(&head, 0, "");
            row.text(FieldId::HOST_NAME, host);
            if let Some(said) = said_s {
                row.time(Time::from_unix_s(said));
            }
            if !readable {
                row.quarantine("no decoder knows this record");
            }
        }
        builder.finish(LogRange::default(), Time::from_unix_s(at_s))
    }

    fn works(second: i64) -> bool {
        (8 * 3600..20 * 3600).contains(&(second % 86_400))
    }

    /// Six days of a hundred sources, each with a rhythm of its own, every second one quiet at night; number 42, which never
    /// is, stops in the night to Friday.
    #[test]
    fn one_of_a_hundred_stops_and_the_quiet_nights_are_no_silence() {
        let mut watched = Watched::new("type: source\nwhat: silent\nlearn: 2d");
        let stops = 4 * 86_400 + 3 * 3600;
        let mut due: Vec<i64> = (0..100).collect();
        for second in (0..6 * 86_400).step_by(10) {
            for (n, next) in due.iter_mut().enumerate() {
                let asleep = n % 2 == 1 && !works(second);
                if *next <= second && !asleep && (n != 42 || second < stops) {
                    watched.record(&format!("host-{n}"), MONDAY_S + second, None, true);
                    // Between a minute and ten, not quite evenly.
                    *next = second + 60 + (n as i64 * 7) % 540 + (second * 31 + n as i64) % 20;
                }
            }
            watched.look(MONDAY_S + second);
        }
        let found = watched.hosts();
        assert_eq!(found.len(), 1, "{found:?}");
        let (host, at) = found[0];
        assert_eq!(host, "host-42");
        assert!((stops + 300..stops + 7200).contains(&(at - MONDAY_S)), "missed after {} s", at - MONDAY_S - stops);
    }

    #[test]
    fn it_does_not_matter_when_somebody_looks() {
        let run = |every: i64| {
            let mut watched = Watched::new("type: source\nwhat: silent\nlearn: 1d");
            for second in (0..4 * 86_400i64).step_by(60) {
                let silent = (2 * 86_400 + 10 * 3600..2 * 86_400 + 16 * 3600).contains(&second);
                if works(second) && !silent || second % 86_400 < 1800 {
                    watched.record("a", MONDAY_S + second, None, true);
                }
                if second % every == 0 {
                    watched.look(MONDAY_S + second);
                }
            }
            watched.look(MONDAY_S + 5 * 86_400);
            watched.hosts().iter().map(|(_, at)| *at).collect::<Vec<_>>()
        };
        let often = run(60);
        assert_eq!(often, run(7200));
        assert_eq!(often, run(1_000_000));
        assert!(!often.is_empty());
    }

    #[test]
    fn a_drop_in_volume_is_found() {
        let mut watched = Watched::new("type: source\nwhat: volume\nrecords: 50\nshare: 0.2\nlearn: 3d");
        for second in (0..5 * 86_400i64).step_by(20) {
            let drops = second >= 4 * 86_400 + 10 * 3600;
            if !drops || second % 1200 == 0 {
                watched.record("a", MONDAY_S + second, None, true);
            }
        }
        assert_eq!(watched.hosts()[0], ("a", MONDAY_S + 4 * 86_400 + 10 * 3600 + 1800));
    }

    #[test]
    fn a_wrong_clock_is_found_once() {
        let mut watched = Watched::new("type: source\nwhat: clock\nrecords: 10\ngap: 5m");
        for second in (0..7200i64).step_by(5) {
            watched.record("right", MONDAY_S + second, Some(MONDAY_S + second - 3), true);
            watched.record("utc", MONDAY_S + second, Some(MONDAY_S + second - 9 * 3600), true);
            watched.record("fast", MONDAY_S + second, Some(MONDAY_S + second + 3600), true);
        }
        let mut hosts: Vec<&str> = watched.hosts().iter().map(|(host, _)| *host).collect();
        hosts.sort_unstable();
        assert_eq!(hosts, ["fast", "utc"]);
        assert_eq!(
            watched.found.iter().find(|f| f.group["host.name"] == "utc").expect("found").explanation["behind_s"],
            "32400.000"
        );
    }

    #[test]
    fn records_that_can_no_longer_be_read_are_found() {
        let mut watched = Watched::new("type: source\nwhat: unreadable\nrecords: 10\nshare: 0.2");
        for second in (0..7200i64).step_by(5) {
            watched.record("good", MONDAY_S + second, None, second % 50 != 0);
            watched.record("new-firmware", MONDAY_S + second, None, second < 3600 || second % 10 == 0);
        }
        assert_eq!(watched.hosts().len(), 1);
        assert_eq!(watched.hosts()[0].0, "new-firmware");
        assert_eq!(watched.found[0].explanation["reason"], "no decoder knows this record");
        assert!(!watched.found[0].evidence.is_empty());
    }
}
