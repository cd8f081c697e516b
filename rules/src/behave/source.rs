//! Sources: each device's own rhythm. One that falls silent, sends far less than it uses to, has a wrong clock, or whose records can no
//! longer be read.
//!
//! A source is whoever sends: an address, or a way in that has none. Where the records of one sender give several host names, as those of a
//! relay do, each name is a source beside it. A record that nobody can read names no host: it is its sender's, so that a device is not
//! missed while it sends what is not understood.
//!
//! What is judged by a number of records waits for that number: a slow device has long windows.
//!
//! Time is the receipt here: what a device does not send has no time of its own. Half-hours of the day, working days and weekends apart,
//! tell when a source uses to send at all ([`super::rhythm`]): silence counts only as far as it uses to send then, so that what is quiet
//! every night is not missed at night. While a source is missed nothing is learned of it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use event::{Batch, EventId, EventRef, FieldId, Transport, Value};
use serde::{Deserialize, Serialize};

use super::rhythm::{Rhythm, SILENCE_MAX_NS, SLOT_NS, begin_of, slot_of};
use super::site::bits;
use super::volume::{HalfHours, Hours};
use super::{Found, Parameters};
use crate::table::Table;

const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;
/// Bounds of gaps between records: from a tenth of a second, each a quarter longer, up to some four months.
const GAPS: usize = 64;
const GAP_FIRST_S: f64 = 0.1;
const GAP_RATIO: f64 = 1.4;
/// Gaps that are remembered; beyond it the older ones count half.
const GAPS_MAX: u32 = 5000;
/// How often all sources are looked at.
const LOOK_NS: i64 = SECOND_NS;
/// How long, at least, the records are gathered over which clock and readability are judged.
const WINDOW_NS: i64 = 300 * SECOND_NS;
/// Who has not sent enough within this is not judged by its clock, readability and volume.
pub(super) const WINDOW_NS_MAX: i64 = 7 * DAY_NS;
/// Windows of usual shares before one is unusual.
const WINDOWS_MIN: u32 = 3;
/// How many of its standard deviations a count lies above the expected one, to be no chance: of a hundred devices' windows of five minutes
/// one in some months.
pub(super) const DEVIATIONS: f64 = 5.0;
/// The highest usual share comes down by this part of itself a window: in a week of windows of five minutes to a third.
const FORGOTTEN: f64 = 1.0 / 2016.0;
/// Differences of one window that are kept.
const DIFFERENCES_MAX: usize = 64;
/// Events that a finding names.
const EVIDENCE: usize = 5;
/// Bytes of a host's name that are shown.
const NAME_BYTES_MAX: usize = 128;

/// Who sends, and in whose name.
#[derive(Clone, Copy, Deserialize, Eq, Hash, PartialEq, Serialize)]
struct Key {
    tenant: u32,
    /// 0 where there is none.
    address: u128,
    /// The transport's number, where there is no address, and the name of the file or topic, hashed; 0 where it has none.
    way: u8,
    origin: u64,
    /// The name that the record gives, hashed, since it is the sender's to choose; 0 where it gives none, and for the sender as a whole.
    host: u64,
}

/// What is known of one source.
#[derive(Default, Deserialize, Serialize)]
struct Heard {
    tenant: u32,
    name: String,
    address: String,
    /// As in its key.
    way: u8,
    /// The file or topic.
    origin: String,
    /// Of a sender: the host that its records name, and whether they name several.
    host: u64,
    several: bool,
    first: i64,
    last: i64,
    last_event: Option<EventId>,
    records: u64,
    /// It has been missed since its last record.
    missed: bool,
    gaps: Vec<u32>,
    gaps_total: u32,
    rhythm: Rhythm,
    /// The half-hour that goes on, and what came in it.
    slot: i64,
    in_slot: u64,
    /// When the first of that came.
    slot_begun: i64,
    window: Window,
    unreadable: Share,
    unidentified: Share,
    half_hours: HalfHours,
    hours: Hours,
    /// Its clock was found wrong and has not come right since.
    wrong: bool,
}

/// A share of a source's records, learned.
#[derive(Default, Deserialize, Serialize)]
struct Share {
    /// The highest that is usual.
    usual: f64,
    windows: u32,
    /// It was found too high and has not come down since.
    wrong: bool,
}

/// The records of some minutes, or as many as are needed.
#[derive(Default, Deserialize, Serialize)]
struct Window {
    start: i64,
    records: u64,
    differences: Vec<i64>,
    evidence: Vec<EventId>,
    unreadable: Part,
    unidentified: Part,
    /// Why records could not be read.
    reason: String,
}

/// Some of a window's records.
#[derive(Default, Deserialize, Serialize)]
struct Part {
    records: u64,
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
        let each = GAPS * size_of::<u32>() + Rhythm::BYTES + 256;
        (self.table.evicted(), self.table.byte_len() + self.table.len() * each)
    }

    /// Takes records of one source, as [`runs`] has told them, in the order of the log.
    pub(super) fn observe(&mut self, batch: &Batch, run: &Run, p: &Parameters, found: &mut Vec<Found>) {
        let key = run.key;
        let sender = Key { host: 0, ..key };
        let what = self.what;
        let events = run.events.clone().map(|at| batch.event(at));
        let Some((first, last)) = events.clone().next().zip(events.clone().next_back()) else { return };
        let heard = self.heard(sender, key.host, first, last.received().unix_ns());
        if !heard.several || key.host == 0 {
            events.for_each(|event| heard.take(what, event, p, found));
            return;
        }
        // One by one, so that what is found does not hang on how many came together.
        for event in events {
            let now = event.received().unix_ns();
            // A clock is its device's: a relay has none of its own in what it passes on.
            if what != What::Clock {
                self.heard(sender, key.host, event, now).take(what, event, p, found);
            }
            self.heard(key, key.host, event, now).take(what, event, p, found);
        }
    }

    /// The source of `key`, known from `event` on where it was not, and called by the name that it gives; touched at `now`.
    fn heard(&mut self, key: Key, host: u64, event: EventRef<'_>, now: i64) -> &mut Heard {
        let heard = self.table.entry(key, now);
        if heard.records == 0 {
            *heard = Heard::new(event, event.received().unix_ns());
        }
        heard.called(event, host);
        heard
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

/// Records of one source, one after the other.
pub(super) struct Run {
    key: Key,
    /// Which of the batch's.
    events: Range<usize>,
}

/// Who sent the records of a batch: most follow others of the same source.
pub(super) fn runs(batch: &Batch, out: &mut Vec<Run>) {
    out.clear();
    for (at, event) in batch.iter().enumerate() {
        let Some(key) = key(event) else { continue };
        match out.last_mut().filter(|run| run.events.end == at && run.key == key) {
            Some(run) => run.events.end += 1,
            None => out.push(Run { key, events: at..at + 1 }),
        }
    }
}

/// The source of a record; none where no time of receipt is known, and where it was received before: released from quarantine.
fn key(event: EventRef<'_>) -> Option<Key> {
    if event.received().unix_ns() <= 0 || event.get(FieldId::RELEASED_FROM).is_some() {
        return None;
    }
    let hashed = |name: &str| {
        let mut hasher = DefaultHasher::new(); // With fixed keys: the key is stored.
        name.hash(&mut hasher);
        hasher.finish().max(1)
    };
    Some(Key {
        tenant: event.tenant().0,
        address: event.source().map_or(0, bits),
        way: way(event),
        origin: event.origin().map_or(0, |origin| hashed(origin.name())),
        host: host(event).map_or(0, hashed),
    })
}

/// The transport's number, where the sender has no address.
fn way(event: EventRef<'_>) -> u8 {
    if event.source().is_some() { 0 } else { event.transport() as u8 }
}

fn host(event: EventRef<'_>) -> Option<&str> {
    event.get(FieldId::HOST_NAME)?.as_text().filter(|name| !name.is_empty())
}

/// Finds the source where it was missed before `now`. The time found is when it was missed, whenever somebody looks.
#[inline]
fn missed(what: What, heard: &mut Heard, now: i64, p: &Parameters, found: &mut Vec<Found>) {
    // Most come so soon that it does not matter what is usual.
    if what != What::Silent || now - heard.last < p.gap || heard.missed {
        return;
    }
    if heard.records < p.records || heard.last - heard.first < p.learn {
        return;
    }
    let usual = heard.usual_gap();
    let enough = ((usual * p.times) as i64).max(p.gap);
    if now - heard.last < enough {
        return;
    }
    let Some(at) = heard.rhythm.silent_since(heard.last, enough, now, heard.first) else { return };
    heard.missed = true;
    let mut f = heard.found(at, heard.last_event.iter().copied().collect());
    f.seconds("silent_for_s", at - heard.last);
    f.seconds("usual_gap_s", usual as i64);
    f.explain("records_before", heard.records);
    found.push(f);
}

impl Heard {
    fn new(event: EventRef<'_>, now: i64) -> Heard {
        Heard {
            tenant: event.tenant().0,
            address: event.source().map_or_else(String::new, |ip| ip.to_string()),
            way: way(event),
            origin: event.origin().map_or_else(String::new, |origin| origin.name().to_owned()),
            first: now,
            last: now,
            gaps: vec![0; GAPS],
            rhythm: Rhythm::new(),
            slot: slot_of(now),
            ..Heard::default()
        }
    }

    /// Takes the name that a record gives: the source's, unless its records give several.
    fn called(&mut self, event: EventRef<'_>, host_hash: u64) {
        if host_hash == 0 || host_hash == self.host || self.several {
            return;
        }
        if self.host == 0 {
            self.host = host_hash;
            let name = host(event).unwrap_or_default();
            name[..name.floor_char_boundary(NAME_BYTES_MAX)].clone_into(&mut self.name);
        } else {
            self.several = true;
            self.name.clear();
        }
    }

    /// Takes a record.
    #[inline]
    fn take(&mut self, what: What, event: EventRef<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let now = event.received().unix_ns();
        // Whoever comes back after having been missed was missed all the same, also where nobody has looked since.
        missed(what, self, now, p, found);
        self.roll(what, now, p, found);
        match what {
            What::Silent | What::Volume => {
                if self.missed {
                    self.missed = false; // The gap was no usual one.
                } else if self.records > 0 {
                    self.gap(now);
                }
            }
            What::Clock => self.judge_clock(event, p, found),
            What::Unreadable => self.judge_reading(event, p, found),
        }
        if self.in_slot == 0 {
            self.slot_begun = now;
        }
        self.last = self.last.max(now);
        self.last_event = Some(event.id());
        self.records += 1;
        self.in_slot += 1;
    }

    fn found(&self, time: i64, evidence: Vec<EventId>) -> Found {
        let mut group = BTreeMap::new();
        if !self.name.is_empty() {
            group.insert(FieldId::HOST_NAME.name().to_owned(), self.name.clone());
        }
        if !self.address.is_empty() {
            group.insert("log.source.address".to_owned(), self.address.clone());
        }
        let way = Transport::from_number(self.way).filter(|_| self.address.is_empty());
        if !self.origin.is_empty() {
            let field = if way == Some(Transport::Kafka) { FieldId::KAFKA_TOPIC } else { FieldId::LOG_FILE_PATH };
            group.insert(field.name().to_owned(), self.origin.clone());
        } else if let Some(transport) = way.filter(|_| group.is_empty()) {
            group.insert("mihari.transport".to_owned(), transport.name().to_owned());
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
        let gap_s = if at_once { 0.0 } else { self.rhythm.counted(self.last, now, self.first) / SECOND_NS as f64 };
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

    /// Ends half-hours that have passed, and learns of them. Only when a record comes, so that it does not matter who looks when; if the
    /// source was missed, of those after its last record nothing is learned.
    fn roll(&mut self, what: What, now: i64, p: &Parameters, found: &mut Vec<Found>) {
        if now < begin_of(self.slot + 1) {
            return;
        }
        let current = slot_of(now);
        while self.slot < current {
            let began = begin_of(self.slot);
            if current - self.slot > 2 * (SILENCE_MAX_NS / SLOT_NS) {
                self.slot = current; // After weeks nothing of this is worth learning.
                break;
            }
            let count = std::mem::take(&mut self.in_slot);
            let known_silent = self.missed && began > self.last;
            if !known_silent && began >= self.first {
                let (days, usual) = self.rhythm.usual(self.slot);
                let fell = if days >= 3 {
                    let lasting = self.hours.take(began, usual, count, p);
                    self.half_hours.take(began, usual, count, p).or(lasting)
                } else {
                    None
                };
                self.rhythm.learn(self.slot, count, self.slot_begun, self.last);
                if let Some(fell) = fell
                    && what == What::Volume
                    && self.last - self.first >= p.learn
                {
                    let end = began + SLOT_NS;
                    let mut f = self.found(end, self.last_event.iter().copied().collect());
                    f.explain("records", fell.records);
                    f.explain("usual_records", format!("{:.0}", fell.usual));
                    f.seconds("within_s", end - fell.began);
                    found.push(f);
                }
            }
            self.slot += 1;
        }
    }

    /// Judges the clock over a window's records.
    fn judge_clock(&mut self, event: EventRef<'_>, p: &Parameters, found: &mut Vec<Found>) {
        if event.quarantined() {
            return; // It says no time.
        }
        let now = event.received().unix_ns();
        let window = self.window.at(now);
        window.records += 1;
        if window.differences.len() < DIFFERENCES_MAX {
            // A time that is not believed is kept beside the receipt.
            let claimed = match event.get(FieldId::EVENT_CREATED) {
                Some(Value::Time(claimed)) => claimed.unix_ns(),
                _ => event.time().unix_ns(),
            };
            // Of what lasted its beginning may be told when it is over.
            let lasted = match event.get(FieldId::EVENT_DURATION) {
                Some(Value::Int(ns)) => ns.max(0),
                Some(Value::Uint(ns)) => i64::try_from(ns).unwrap_or(i64::MAX),
                _ => 0,
            };
            let behind = now.saturating_sub(claimed);
            window.differences.push(behind - behind.clamp(0, lasted));
        }
        note(&mut window.evidence, event);
        let Some(mut window) = self.window.end(now, p) else { return };
        window.differences.sort_unstable();
        let median = window.differences[window.differences.len() / 2];
        let wrong = median.abs() > p.gap;
        if wrong && !self.wrong {
            let mut f = self.found(now, window.evidence);
            f.seconds("behind_s", median);
            f.explain("records", window.records);
            found.push(f);
        }
        self.wrong = wrong;
    }

    /// Judges over a window's records how many can be read, and of how many the format is known.
    fn judge_reading(&mut self, event: EventRef<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let now = event.received().unix_ns();
        let window = self.window.at(now);
        window.records += 1;
        if event.quarantined() {
            window.unreadable.take(event);
            if let Some(Value::Text(reason)) = event.get(FieldId::ERROR_MESSAGE)
                && window.reason.is_empty()
            {
                reason.clone_into(&mut window.reason);
            }
        } else if !event.format().is_identified() {
            window.unidentified.take(event);
        }
        let Some(window) = self.window.end(now, p) else { return };
        let known = now - self.first;
        let (unreadable, unidentified) = (self.unreadable.usual, self.unidentified.usual);
        let share = |part: &Part| part.records as f64 / window.records as f64;
        // By night other programs write than by day: only the next day tells what is usual.
        let known_a_day = known >= p.learn.max(DAY_NS);
        let can_not_be_read = self.unreadable.rises(window.unreadable.records, window.records, known >= p.learn, p);
        let is_not_known = self.unidentified.rises(window.unidentified.records, window.records, known_a_day, p);
        if can_not_be_read {
            let mut f = self.found(now, window.unreadable.evidence.clone());
            f.score("share_unreadable", share(&window.unreadable));
            f.score("usual_share", unreadable);
            f.explain("reason", &window.reason);
            found.push(f);
        } else if is_not_known {
            let mut f = self.found(now, window.unidentified.evidence.clone());
            f.score("share_unidentified", share(&window.unidentified));
            f.score("usual_share", unidentified);
            found.push(f);
        }
    }
}

impl Window {
    /// The window that a record of `now` belongs to.
    fn at(&mut self, now: i64) -> &mut Window {
        if self.records == 0 || now - self.start >= WINDOW_NS_MAX {
            *self = Window { start: now, ..Window::default() };
        }
        self
    }

    /// The window, where with `now` it has lasted long enough and has enough records.
    fn end(&mut self, now: i64, p: &Parameters) -> Option<Window> {
        (now - self.start >= WINDOW_NS && self.records >= p.records).then(|| std::mem::take(self))
    }
}

impl Part {
    fn take(&mut self, event: EventRef<'_>) {
        self.records += 1;
        note(&mut self.evidence, event);
    }
}

impl Share {
    /// Takes a window in which it was `part` of `records`; whether that is too much, and was not before. `judged`: enough is known.
    fn rises(&mut self, part: u64, records: u64, judged: bool, p: &Parameters) -> bool {
        let (part, records) = (part as f64, records as f64);
        let share = part / records;
        // As of drawing with replacement; where next to none is usual, a few are no surprise.
        let deviation = (records * self.usual * (1.0 - self.usual)).max(1.0).sqrt();
        let above = share - self.usual >= p.share && part > records * self.usual + DEVIATIONS * deviation;
        let wrong = above && judged && self.windows >= WINDOWS_MIN;
        let rises = wrong && !self.wrong;
        self.wrong = wrong;
        if !wrong {
            self.windows = self.windows.saturating_add(1);
            self.usual = share.max(self.usual * (1.0 - FORGOTTEN));
        }
        rises
    }
}

/// Keeps the event as evidence, if there is not enough.
fn note(evidence: &mut Vec<EventId>, event: EventRef<'_>) {
    if evidence.len() < EVIDENCE {
        evidence.push(event.id());
    }
}

#[cfg(test)]
mod tests {
    use event::{BatchBuilder, Content, FormatId, FrameHead, LogRange, OriginId, Position, Time};

    use super::*;

    /// Monday, 6 April 2026, midnight in Japan.
    const MONDAY_S: i64 = 1_775_401_200;

    /// How much of a record is understood.
    #[derive(Clone, Copy, Eq, PartialEq)]
    enum Read {
        Whole,
        Header,
        Nothing,
    }

    struct Watched {
        sources: Sources,
        parameters: Parameters,
        found: Vec<Found>,
        offset: u64,
        /// The topic of records without an address.
        topic: Option<OriginId>,
    }

    fn parameters(text: &str) -> Parameters {
        let document = crate::yaml::documents(text).into_iter().next().expect("a document");
        Parameters::read(&document.value.expect("a mapping"), &Default::default()).expect("good parameters")
    }

    impl Watched {
        fn new(yaml: &str) -> Watched {
            let parameters = parameters(yaml);
            Watched { sources: Sources::new(&parameters), parameters, found: Vec::new(), offset: 0, topic: None }
        }

        fn record(&mut self, host: &str, at_s: i64, said_s: Option<i64>, read: Read) {
            self.send(Some([10, 0, 0, 1]), host, at_s, said_s, read);
        }

        fn send(&mut self, from: Option<[u8; 4]>, host: &str, at_s: i64, said_s: Option<i64>, read: Read) {
            self.offset += 1;
            let head = FrameHead {
                position: Position { partition: 0, offset: self.offset },
                received: Time::from_unix_s(at_s),
                source: from.map(|from| (from, 514).into()),
                origin: self.topic.filter(|_| from.is_none()),
                ..FrameHead::new(if from.is_some() { Transport::Udp } else { Transport::Kafka }, Content::Text)
            };
            let mut builder = BatchBuilder::default();
            {
                let mut row = builder.row(&head, 0, "");
                match read {
                    Read::Whole => row.format(FormatId::known("cisco_asa")),
                    Read::Header => row.format(FormatId::known("syslog")),
                    Read::Nothing => row.quarantine("no decoder knows this record"),
                }
                // What cannot be read names nobody.
                if read != Read::Nothing && !host.is_empty() {
                    row.text(FieldId::HOST_NAME, host);
                }
                row.time(Time::from_unix_s(said_s.unwrap_or(at_s)));
            }
            let batch = builder.finish(LogRange::default(), Time::from_unix_s(at_s));
            let mut heard = Vec::new();
            runs(&batch, &mut heard);
            assert_eq!(heard.len(), 1, "received");
            self.sources.observe(&batch, &heard[0], &self.parameters, &mut self.found);
        }

        fn look(&mut self, at_s: i64) {
            self.sources.look(at_s * SECOND_NS, &self.parameters, &mut self.found);
        }

        fn hosts(&self) -> Vec<(&str, i64)> {
            self.found.iter().map(|f| (f.group["host.name"].as_str(), f.time / SECOND_NS)).collect()
        }
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
                    watched.record(&format!("host-{n}"), MONDAY_S + second, None, Read::Whole);
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

    /// Two weeks of a device that is on while somebody works, from about eight to about six; then it stops at eleven.
    #[test]
    fn who_begins_and_ends_within_a_half_hour_is_not_missed_then() {
        let mut watched = Watched::new("type: source\nwhat: silent\nlearn: 2d\nrecords: 30\ntimes: 4\ngap: 5m");
        let stops = 15 * 86_400 + 11 * 3600;
        for day in (0..16i64).filter(|day| day % 7 < 5) {
            let (begin, end) = (7 * 3600 + 2400 + day * 577 % 1500, 17 * 3600 + 2700 + day * 823 % 1700);
            let mut at = day * 86_400 + begin;
            while at < (day * 86_400 + end).min(stops) {
                watched.record("desk", MONDAY_S + at, None, Read::Whole);
                at += 4 + at % 7;
                watched.look(MONDAY_S + at);
            }
            for minute in 0..12 * 60 {
                watched.look(MONDAY_S + at + minute * 60);
            }
        }
        let found: Vec<i64> = watched.hosts().iter().map(|(_, at)| at - MONDAY_S).collect();
        let late = |at: &i64| (stops + 280..stops + 900).contains(at);
        assert!(matches!(&found[..], [at] if late(at)), "{found:?}");
    }

    #[test]
    fn it_does_not_matter_when_somebody_looks() {
        let run = |every: i64| {
            let mut watched = Watched::new("type: source\nwhat: silent\nlearn: 1d");
            for second in (0..4 * 86_400i64).step_by(60) {
                let silent = (2 * 86_400 + 10 * 3600..2 * 86_400 + 16 * 3600).contains(&second);
                if works(second) && !silent || second % 86_400 < 1800 {
                    watched.record("a", MONDAY_S + second, None, Read::Whole);
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
                watched.record("a", MONDAY_S + second, None, Read::Whole);
            }
        }
        assert_eq!(watched.hosts()[0], ("a", MONDAY_S + 4 * 86_400 + 10 * 3600 + 1800));
    }

    #[test]
    fn a_lasting_fall_is_found_of_a_source_that_is_steady() {
        let mut watched = Watched::new("type: source\nwhat: volume\nrecords: 100\nshare: 0.1\nlearn: 3d");
        let falls = 14 * 86_400 + 10 * 3600;
        for second in (0..16 * 86_400i64).step_by(10) {
            let (at_s, half_hour) = (MONDAY_S + second, second / 1800);
            let half = second >= falls && second % 20 == 0;
            // Some half-hours bring a fifth less, never the same.
            let less = half_hour * 7 % 5 == 0 && second % 50 == 0;
            if !half && !less {
                watched.send(Some([10, 0, 0, 1]), "steady", at_s, None, Read::Whole);
            }
            // By day as much as by night of one day, a quarter of it on another.
            let share = 1 + second / 86_400 * 5 % 4;
            if second % (10 * share) == 0 && (second < falls || second % (20 * share) == 0) {
                watched.send(Some([10, 0, 0, 2]), "as it comes", at_s, None, Read::Whole);
            }
        }
        let found = watched.hosts();
        assert_eq!(found.len(), 1, "once, and only of the steady one: {found:?}");
        let (host, at_s) = found[0];
        assert!(host == "steady" && (1..=4 * 3600).contains(&(at_s - MONDAY_S - falls)), "{host} {}", at_s - MONDAY_S - falls);
    }

    #[test]
    fn a_wrong_clock_is_found_once() {
        let mut watched = Watched::new("type: source\nwhat: clock\nrecords: 10\ngap: 5m");
        for second in (0..7200i64).step_by(5) {
            watched.record("right", MONDAY_S + second, Some(MONDAY_S + second - 3), Read::Whole);
            watched.record("utc", MONDAY_S + second, Some(MONDAY_S + second - 9 * 3600), Read::Whole);
            watched.record("fast", MONDAY_S + second, Some(MONDAY_S + second + 3600), Read::Whole);
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
    fn a_slow_device_is_judged_as_soon_as_it_has_sent_enough() {
        let mut clock = Watched::new("type: source\nwhat: clock\nrecords: 10\ngap: 5m");
        for minute in 0..10 {
            let at_s = MONDAY_S + minute * 60;
            clock.record("utc", at_s, Some(at_s - 9 * 3600), Read::Whole);
        }
        assert_eq!(clock.hosts(), [("utc", MONDAY_S + 540)]);

        let mut volume = Watched::new("type: source\nwhat: volume\nrecords: 100\nshare: 0.1\nlearn: 3d");
        let falls = 4 * 86_400 + 600;
        for second in (0..5 * 86_400i64).step_by(60) {
            if second < falls || second % 900 == 0 {
                volume.record("slow", MONDAY_S + second, None, Read::Whole);
            }
        }
        // Thirty in a half-hour: four of them bring a hundred.
        let (host, at_s) = volume.hosts()[0];
        assert_eq!(host, "slow");
        assert!((at_s - MONDAY_S - falls) / 3600 < 5, "{}", at_s - MONDAY_S - falls);
        assert_eq!(volume.found[0].explanation["usual_records"], "120");
    }

    #[test]
    fn records_that_can_no_longer_be_read_are_found_by_their_sender() {
        let mut watched = Watched::new("type: source\nwhat: unreadable\nrecords: 40\nshare: 0.2\nlearn: 30m");
        let (steady, mended, slow) = ([10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]);
        for second in 0..4 * 3600i64 {
            let unreadable = |when: bool| if when { Read::Nothing } else { Read::Whole };
            let at_s = MONDAY_S + second;
            // Three in ten at all times.
            watched.send(Some(steady), "steady", at_s, None, unreadable(second % 10 < 3));
            watched.send(Some(mended), "new-firmware", at_s, None, unreadable(second % 10 == 0 || second > 7200));
            if second % 30 == 0 {
                watched.send(Some(slow), "slow", at_s, None, unreadable(second > 7200));
            }
        }
        let mut found = watched.hosts();
        found.sort_unstable();
        let hosts: Vec<&str> = found.iter().map(|(host, _)| *host).collect();
        assert_eq!(hosts, ["new-firmware", "slow"], "{found:?}");
        let busy = watched.found.iter().find(|f| f.group["host.name"] == "new-firmware").expect("found");
        assert_eq!(busy.explanation["reason"], "no decoder knows this record");
        assert!(busy.time / SECOND_NS - MONDAY_S - 7200 <= 600);
        assert!(!busy.evidence.is_empty());
    }

    #[test]
    fn a_device_of_whose_records_only_the_header_is_known_any_more_is_found() {
        let mut watched = Watched::new("type: source\nwhat: unreadable\nrecords: 40\nshare: 0.2\nlearn: 30m");
        for second in (0..3 * 86_400i64).step_by(30) {
            let at_s = MONDAY_S + second;
            let only_header = |when: bool| if when { Read::Header } else { Read::Whole };
            watched.send(Some([10, 0, 0, 1]), "updated", at_s, None, only_header(second > 2 * 86_400));
            // By night only the programs write that no decoder knows.
            watched.send(Some([10, 0, 0, 2]), "server", at_s, None, only_header(!works(second) || second % 120 == 0));
        }
        assert_eq!(watched.hosts().len(), 1, "{:?}", watched.hosts());
        assert_eq!(watched.hosts()[0].0, "updated");
        assert_eq!(watched.found[0].explanation["usual_share"], "0.000");
    }

    #[test]
    fn who_sends_what_nobody_can_read_is_not_silent() {
        let mut watched = Watched::new("type: source\nwhat: silent\nlearn: 1d");
        for second in (0..3 * 86_400i64).step_by(30) {
            let read = if second < 2 * 86_400 { Read::Whole } else { Read::Nothing };
            watched.send(Some([10, 0, 0, 1]), "updated", MONDAY_S + second, None, read);
            watched.look(MONDAY_S + second);
        }
        assert!(watched.found.is_empty(), "{:?}", watched.hosts());
    }

    #[test]
    fn one_behind_a_relay_is_missed_by_its_name_and_the_relay_by_its_address() {
        let mut watched = Watched::new("type: source\nwhat: silent\nlearn: 1d");
        for second in (0..3 * 86_400i64).step_by(30) {
            watched.look(MONDAY_S + second);
            if second < 2 * 86_400 {
                watched.record("a", MONDAY_S + second, None, Read::Whole);
            }
            if second < 2 * 86_400 + 6 * 3600 {
                watched.record("b", MONDAY_S + second, None, Read::Whole);
            }
        }
        let missed: Vec<_> = watched.found.iter().map(|f| f.group.get("host.name").map(String::as_str)).collect();
        assert_eq!(missed, [Some("a"), Some("b"), None]);
        assert!(watched.found.iter().all(|f| f.group["log.source.address"] == "10.0.0.1"));
    }

    #[test]
    fn a_way_in_without_addresses_is_missed_too() {
        let mut watched = Watched::new("type: source\nwhat: silent\nlearn: 1d");
        for second in (0..2 * 86_400i64).step_by(60) {
            watched.send(None, "", MONDAY_S + second, None, Read::Whole);
        }
        watched.look(MONDAY_S + 2 * 86_400 + 3600);
        let groups: Vec<_> = watched.found.iter().map(|f| f.group.clone()).collect();
        assert_eq!(groups, [BTreeMap::from([("mihari.transport".to_owned(), "kafka".to_owned())])]);
    }

    #[test]
    fn each_topic_is_missed_by_itself() {
        let mut watched = Watched::new("type: source\nwhat: silent\nlearn: 1d");
        let topics = ["branch", "hall"].map(OriginId::intern);
        for second in (0..3 * 86_400i64).step_by(60) {
            for topic in topics.iter().filter(|topic| **topic != topics[0] || second < 2 * 86_400) {
                watched.topic = *topic;
                watched.send(None, "", MONDAY_S + second, None, Read::Whole);
            }
        }
        watched.look(MONDAY_S + 3 * 86_400);
        let groups: Vec<_> = watched.found.iter().map(|f| f.group.clone()).collect();
        assert_eq!(groups, [BTreeMap::from([("kafka.topic".to_owned(), "branch".to_owned())])]);
    }
}
