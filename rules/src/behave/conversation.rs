//! One verdict for one conversation, whoever tells of it and in how many records: the zone policy on what was said together.
//!
//! ```text
//!  record ─▶ who began is plain ───────────────────────────▶ verdict ─▶ counted, told to the rules
//!         └▶ one way of two, and it matters ─▶ waits 120 s for the other way: the earlier start began, else the lower port was called
//! ```
//!
//! A record that shows more than those before it (a device let pass what another one had denied) makes the verdict graver, and the counts
//! follow; one that shows less changes nothing. What a line allows and a device denied is counted as denied, until a record shows that it passed.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use event::{EventId, EventRef, Time};
use serde::{Deserialize, Serialize};

use super::connection::{Connection, Connections, End, Key, REMEMBERED_NS};
use super::observe::{Answer, Observation, Observer, What};
use super::site::{address, bits};
use super::sketch::mix_text;
use super::zone;
use crate::policy::{Communication, Decision, Judgement, Policy, Verdict};
use crate::table::Place;

/// Records of one way that wait; beyond it the first one is decided as it stands (counted).
const WAITING_MAX: usize = 200_000;
/// How long the other way of a conversation is waited for: as long as it is remembered.
const TOGETHER_NS: i64 = REMEMBERED_NS;
/// A conversation that is opened again from the same port so long after its end is another one.
pub(super) const REOPENED_NS: i64 = 3 * 1_000_000_000;
/// Exporters that tell the time of export in whole seconds (NetFlow v9, RFC 3954 §5.1) put the two ways of a conversation so far apart
/// where they come in two packets: then a service's port says more than the start.
const START_NOISE_NS: i64 = 1_000_000_000;
const HOUR_NS: i64 = 3600 * 1_000_000_000;

/// What is known of a conversation.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Talk {
    /// Who began: the address and the port.
    from: u128,
    from_port: u16,
    start: i64,
    end: i64,
    /// Under what it is counted; nothing while it waits.
    told: Option<Counted>,
    /// The number of the record that waits; 0 for none.
    waiting: u64,
    /// It was told of under another policy.
    under_another: bool,
}

impl Talk {
    fn from(self) -> End {
        (self.from, self.from_port)
    }

    /// The same, and it is known who began.
    fn begun_by(self, (from, from_port): End) -> Talk {
        Talk { from, from_port, ..self }
    }
}

/// What of a [`CellKey`] differs between the conversations of a tenant.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Counted {
    hour: i64,
    from: u16,
    to: u16,
    verdict: Verdict,
}

/// How it is known who began.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Evidence {
    /// The device that was there says so, or counted both ways.
    Told,
    /// TCP: who sent SYN alone, or was answered with SYN and ACK.
    Flags,
    /// Of two records the one that began earlier.
    Start,
    /// The lower port is the service's.
    Ports,
    /// Nothing says otherwise.
    Record,
}

impl Evidence {
    pub(super) fn name(self) -> &'static str {
        match self {
            Evidence::Told => "the device says who began",
            Evidence::Flags => "TCP flags",
            Evidence::Start => "the earlier record of two",
            Evidence::Ports => "the lower port is the service",
            Evidence::Record => "the order of the record",
        }
    }
}

/// What is kept of a record, its sender first.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Told {
    event: EventId,
    tenant: u32,
    transport: u8,
    sender: End,
    receiver: End,
    time: i64,
    happened: i64,
    start: i64,
    end: i64,
    passed: Option<bool>,
    proxied: bool,
    /// Its sender was called, as the device says or its ports.
    turned: bool,
    /// Where what was called really is, the sender where it is `turned` and else the receiver; no address where it was not translated.
    translated: End,
    /// As whom the other one is seen from there on; no address where it was not translated.
    seen_as: End,
    sampling: u32,
    carried: Carried,
}

/// What of a record tells one way through a sanitiser from another.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Carried {
    /// Bytes both ways; 0 where the record does not say, or of sampled traffic.
    pub(super) bytes: u64,
    /// Who counted them.
    pub(super) observer: u64,
    /// For whom it is told to be; 0 where it does not say.
    pub(super) behalf: u128,
    /// The hash of a file's hash or name; 0 where it does not say.
    pub(super) file: u64,
}

/// A verdict on a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) event: EventId,
    pub(super) tenant: u32,
    pub(super) transport: u8,
    pub(super) source: End,
    pub(super) destination: End,
    /// Both as they are seen where either has been translated; where none is, the same.
    pub(super) seen: (End, End),
    pub(super) time: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) sampling: u32,
    pub(super) judgement: Judgement,
    pub(super) evidence: Evidence,
    /// Nothing as grave was told of the conversation before.
    pub(super) news: bool,
    /// It was told of under another policy.
    pub(super) under_another: bool,
    /// When it was decided: its record's time, or until when that waited for its other way.
    pub(super) at: i64,
    pub(super) carried: Carried,
}

/// How many communications of a tenant came to a verdict in an hour, between two zones; as a change, which may take back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct CellKey {
    /// The tenant's number.
    pub tenant: u32,
    /// The hour, in nanoseconds since 1970.
    pub hour: i64,
    /// Index of the zone from which it was begun.
    pub from: u16,
    /// Index of the other zone.
    pub to: u16,
    /// The verdict.
    pub verdict: Verdict,
}

#[derive(Deserialize, Serialize)]
struct Half {
    until: i64,
    key: Key,
    told: Told,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Conversations {
    halves: VecDeque<Half>,
    /// The number of the first of `halves`.
    first: u64,
    /// Decided before their time.
    hurried: u64,
    /// Counted since it was asked last.
    cells: BTreeMap<CellKey, i64>,
    /// The instant at which what is decided now is decided.
    now: i64,
}

impl Default for Conversations {
    fn default() -> Conversations {
        Conversations { halves: VecDeque::new(), first: 1, hurried: 0, cells: BTreeMap::new(), now: i64::MIN }
    }
}

impl Conversations {
    /// Records that were decided before their time.
    pub(super) fn evicted(&self) -> u64 {
        self.hurried
    }

    pub(super) fn byte_len(&self) -> usize {
        self.halves.capacity() * size_of::<Half>()
    }

    /// What was counted since the last time.
    pub(super) fn take_cells(&mut self) -> BTreeMap<CellKey, i64> {
        std::mem::take(&mut self.cells)
    }

    /// Goes over to another policy, or to none: what was said stands, and the next record of a conversation is judged and counted anew.
    pub(super) fn go_over(&mut self, connections: &mut Connections, is_judged: bool) {
        self.cells.clear();
        if is_judged {
            connections.for_each(|known| known.talk.under_another |= known.talk.told.take().is_some());
        } else {
            *self = Conversations::default();
            connections.for_each(|known| known.talk = Talk::default());
        }
    }

    /// Takes a record, whose texts are in `text`, in the order of time; appends what is decided by it.
    pub(super) fn take(
        &mut self,
        connections: &mut Connections,
        policy: &Policy,
        o: &Observation,
        text: &str,
        out: &mut Vec<Judged>,
    ) {
        if o.source == 0 || o.destination == 0 && o.what != What::Proxied || matches!(o.what, What::Login | What::File) {
            return;
        }
        self.now = o.time;
        let told = Told::of(o, text);
        let Told { sender, receiver, .. } = told;
        let plain = plain(o, policy);
        if !told.has_ports() {
            // Two of them cannot be told apart, so each is one.
            let (from, evidence) = plain.unwrap_or_else(|| told.presumed());
            self.tell(connections, policy, &told, from, evidence, None, out);
            return;
        }
        // Of messages of ICMP the ports say nothing.
        let (a, b) = if matches!(o.transport, 1 | 58) { ((sender.0, 0), (receiver.0, 0)) } else { (sender, receiver) };
        let key = Key::new(o.tenant, o.transport, a, b);
        connections.expire(o.time.saturating_sub(REMEMBERED_NS));
        let place = connections.entry_place(key, o.time);
        let talk = connections.at(place).talk;
        let known = talk.end != 0 && o.start.saturating_sub(talk.end) <= TOGETHER_NS;
        // A SYN opens: that record begins with it.
        let opens = o.transport == 6 && o.flags.is_some_and(|flags| flags & 0x02 != 0);
        let other =
            plain.is_some_and(|(from, evidence)| evidence == Evidence::Flags && (from != talk.from() || o.transport == 6));
        let opened_again = (opens || other) && o.start > talk.end.saturating_add(REOPENED_NS);
        if opened_again && let Some(first) = self.half(talk.waiting) {
            let (from, evidence) = first.presumed();
            connections.at_mut(place).talk = Talk { waiting: 0, ..talk.begun_by(from) };
            self.tell(connections, policy, &first, from, evidence, Some(place), out);
        }
        if known && talk.waiting != 0 && !opened_again {
            self.meet(connections, policy, place, talk, &told, plain, out);
            return;
        }
        if known && !opened_again {
            connections.at_mut(place).talk = Talk { start: talk.start.min(o.start), end: talk.end.max(o.end), ..talk };
            self.tell(connections, policy, &told, talk.from(), Evidence::Record, Some(place), out);
            return;
        }
        let talk = Talk { start: o.start, end: o.end.max(1), ..Talk::default().begun_by(sender) };
        match plain {
            Some((from, evidence)) => {
                connections.at_mut(place).talk = talk.begun_by(from);
                self.tell(connections, policy, &told, from, evidence, Some(place), out);
            }
            None => {
                if self.halves.len() >= WAITING_MAX {
                    self.hurried += 1;
                    self.decide_first(connections, policy, out);
                }
                let number = self.first + self.halves.len() as u64;
                connections.at_mut(place).talk = Talk { waiting: number, ..talk };
                self.halves.push_back(Half { until: o.time.saturating_add(TOGETHER_NS), key, told });
            }
        }
    }

    /// Decides what has waited longer than it is waited for by `now`: what comes at the last instant is in time.
    pub(super) fn release(&mut self, connections: &mut Connections, policy: &Policy, now: i64, out: &mut Vec<Judged>) {
        while let Some(until) = self.halves.front().map(|half| half.until).filter(|until| *until < now) {
            self.now = until;
            self.decide_first(connections, policy, out);
        }
    }

    /// Takes a conversation back from what was counted or waits, where it is of one time with a record that tells of it by other ends.
    pub(super) fn take_back(&mut self, connections: &mut Connections, key: &Key, o: &Observation) {
        let Some(Connection { talk, .. }) = connections.get_mut(key) else { return };
        let apart = o.start.saturating_sub(talk.end).max(talk.start.saturating_sub(o.end));
        if apart <= REOPENED_NS {
            talk.waiting = 0;
            if let Some(counted) = talk.told.take() {
                self.count(o.tenant, counted, -1);
            }
        }
    }

    fn count(&mut self, tenant: u32, Counted { hour, from, to, verdict }: Counted, change: i64) {
        if verdict != Verdict::Internal {
            *self.cells.entry(CellKey { tenant, hour, from, to, verdict }).or_default() += change;
        }
    }

    /// The record with a number that waits.
    fn half(&self, number: u64) -> Option<Told> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.halves.get(at).map(|half| half.told)
    }

    /// A second record of a conversation of which the first one waits.
    #[expect(clippy::too_many_arguments, reason = "two records, and where their conversation lies")]
    fn meet(
        &mut self,
        connections: &mut Connections,
        policy: &Policy,
        place: Place,
        talk: Talk,
        told: &Told,
        plain: Option<(End, Evidence)>,
        out: &mut Vec<Judged>,
    ) {
        let Some(first) = self.half(talk.waiting) else { return };
        let decided = match plain {
            Some(plain) => Some(plain),
            None if told.sender == first.sender => None,
            None if (first.start - told.start).abs() < START_NOISE_NS
                && is_service(first.sender.1) != is_service(first.receiver.1) =>
            {
                Some(first.presumed())
            }
            None => Some(match first.start.cmp(&told.start) {
                std::cmp::Ordering::Less => (first.sender, Evidence::Start),
                std::cmp::Ordering::Greater => (told.sender, Evidence::Start),
                std::cmp::Ordering::Equal => first.presumed(),
            }),
        };
        let merged = Talk { start: talk.start.min(told.start), end: talk.end.max(told.end), ..talk };
        let Some((from, evidence)) = decided else {
            connections.at_mut(place).talk = merged;
            return;
        };
        connections.at_mut(place).talk = Talk { waiting: 0, ..merged.begun_by(from) };
        self.tell(connections, policy, &first, from, evidence, Some(place), out);
        self.tell(connections, policy, told, from, evidence, Some(place), out);
    }

    fn decide_first(&mut self, connections: &mut Connections, policy: &Policy, out: &mut Vec<Judged>) {
        let Some(Half { key, told, .. }) = self.halves.pop_front() else { return };
        let number = self.first;
        self.first += 1;
        let (from, evidence) = told.presumed();
        let Some(place) = connections.place(&key) else {
            // The table has forgotten it meanwhile.
            self.tell(connections, policy, &told, from, evidence, None, out);
            return;
        };
        let talk = connections.at(place).talk;
        if talk.waiting != number {
            return; // Another record has decided it.
        }
        connections.at_mut(place).talk = Talk { waiting: 0, ..talk.begun_by(from) };
        self.tell(connections, policy, &told, from, evidence, Some(place), out);
    }

    /// Judges a record of a conversation that `from` began; counts it where that is news, and tells what concerns the rules about zones.
    #[expect(clippy::too_many_arguments, reason = "a record, who began, and where its conversation lies")]
    fn tell(
        &mut self,
        connections: &mut Connections,
        policy: &Policy,
        told: &Told,
        from: End,
        evidence: Evidence,
        place: Option<Place>,
        out: &mut Vec<Judged>,
    ) {
        let judgement = told.judge(policy, from);
        let talk = place.map(|place| &mut connections.at_mut(place).talk);
        let before = talk.as_ref().and_then(|talk| talk.told);
        let news = before.is_none_or(|before| gravity(judgement.verdict) > gravity(before.verdict));
        let begun = talk.as_ref().map(|talk| (talk.start.min(told.start), talk.under_another));
        if news {
            let hour = before.map_or_else(|| told.happened.div_euclid(HOUR_NS) * HOUR_NS, |before| before.hour);
            let Judgement { verdict, from, to, .. } = judgement;
            let counted = Counted { hour, from, to, verdict };
            if let Some(talk) = talk {
                talk.told = Some(counted);
            }
            for (counted, change) in before.map(|before| (before, -1)).into_iter().chain([(counted, 1)]) {
                self.count(told.tenant, counted, change);
            }
        }
        if !zone::concerns(&judgement, news, policy) {
            return;
        }
        let ((source, destination), seen) = told.translated_ends(from);
        let (start, under_another) = begun.unwrap_or((told.start, false));
        out.push(Judged {
            event: told.event,
            tenant: told.tenant,
            transport: told.transport,
            source,
            destination,
            seen,
            time: told.time,
            start,
            end: told.end,
            sampling: told.sampling,
            judgement,
            evidence,
            news,
            under_another,
            at: self.now,
            carried: told.carried,
        });
    }
}

/// Judges records one by one, each as a conversation of which nothing else is told.
pub(crate) struct RecordJudge {
    observer: Observer,
    text: String,
}

impl RecordJudge {
    pub(crate) fn new() -> RecordJudge {
        RecordJudge { observer: Observer::new(true), text: String::new() }
    }

    /// The verdict on a record, and whether its source is who began; none for what is no communication.
    pub(crate) fn judge(&mut self, event: EventRef<'_>, policy: &Policy) -> Option<(Judgement, bool)> {
        self.text.clear();
        let o = self.observer.communication(event, &mut self.text)?;
        Some(RecordJudge::judge_observed(&o, &self.text, policy))
    }

    /// The same of what was read off it, a communication.
    pub(super) fn judge_observed(o: &Observation, text: &str, policy: &Policy) -> (Judgement, bool) {
        let told = Told::of(o, text);
        let (from, _) = plain(o, policy).unwrap_or_else(|| told.presumed());
        (told.judge(policy, from), told.is_from_sender(from))
    }
}

impl Told {
    fn of(o: &Observation, text: &str) -> Told {
        let (mut sender, mut receiver) = ((o.source, o.source_port), (o.destination, o.port));
        if o.turned {
            std::mem::swap(&mut sender, &mut receiver);
        }
        let proxied = o.what == What::Proxied;
        if proxied && o.destination == 0 {
            // The proxy does not say with whom it spoke: the host that was asked for, where that is an address.
            let host = o.name.of(text).trim_start_matches('[').trim_end_matches(']');
            receiver.0 = host.parse().map_or(0, bits);
        }
        Told {
            event: o.event,
            tenant: o.tenant,
            transport: o.transport,
            sender,
            receiver,
            time: o.time,
            happened: o.happened,
            start: o.start,
            end: o.end,
            passed: o.passed,
            proxied,
            turned: o.turned,
            translated: (o.translated, o.translated_port),
            seen_as: (o.seen_as, o.seen_as_port),
            sampling: o.sampling,
            carried: Carried::of(o, text),
        }
    }

    /// Whether ports tell its conversation from others of its ends; messages of ICMP have none, and are one.
    fn has_ports(&self) -> bool {
        matches!(self.transport, 1 | 58) || self.sender.1 != 0 && self.receiver.1 != 0
    }

    /// Who began, where nothing but the order of the record and its ports says so: the lower port is the service's.
    fn presumed(&self) -> (End, Evidence) {
        let has_services = self.has_ports() && !matches!(self.transport, 1 | 58);
        match self.sender.1.cmp(&self.receiver.1) {
            std::cmp::Ordering::Greater if has_services => (self.sender, Evidence::Ports),
            std::cmp::Ordering::Less if has_services => (self.receiver, Evidence::Ports),
            _ => (self.sender, Evidence::Record),
        }
    }

    /// Whether `from` is its sender's end.
    fn is_from_sender(&self, from: End) -> bool {
        from == self.sender || from.0 == self.sender.0 && self.sender.0 != self.receiver.0
    }

    /// Its ends, where `from` began: that one first.
    fn begun_by(&self, from: End) -> (End, End) {
        if self.is_from_sender(from) { (self.sender, self.receiver) } else { (self.receiver, self.sender) }
    }

    /// The same before anything was translated, and after.
    fn translated_ends(&self, from: End) -> ((End, End), (End, End)) {
        let (source, destination) = self.begun_by(from);
        let real = |told: End| match self.translated {
            (0, _) => told,
            (ip, 0) => (ip, told.1),
            end => end,
        };
        let seen = |told: End| if self.seen_as.0 == 0 { told } else { self.seen_as };
        if self.is_from_sender(from) == self.turned {
            // The end that was translated began: an answer goes the other way through the device.
            return ((real(source), seen(destination)), (source, destination));
        }
        ((source, destination), (seen(source), real(destination)))
    }

    /// The verdict, where `from` began.
    fn judge(&self, policy: &Policy, from: End) -> Judgement {
        let (source, destination) = self.begun_by(from);
        let number = |port: u16| (port != 0 || matches!(self.transport, 1 | 58)).then_some(port);
        let c = Communication {
            source: address(source.0),
            destination: address(destination.0),
            protocol: (self.transport != 0).then_some(self.transport),
            port: number(destination.1),
            time: Time::from_unix_ns(self.happened),
        };
        let real = (self.translated.0 != 0).then(|| address(self.translated.0));
        if self.is_from_sender(from) == self.turned {
            // The end that was translated began.
            return policy.judge(&Communication { source: real.unwrap_or(c.source), ..c }, None, self.passed, self.proxied);
        }
        let translated: Option<(IpAddr, Option<u16>)> =
            real.map(|ip| (ip, (self.translated.1 != 0).then_some(self.translated.1)));
        policy.judge(&c, translated, self.passed, self.proxied)
    }
}

impl Carried {
    fn of(o: &Observation, text: &str) -> Carried {
        let bytes = if o.sampling > 1 { 0 } else { o.sent.saturating_add(o.received) };
        let hash = o.first_hash(text);
        let file = if hash.is_empty() { o.file.of(text) } else { hash };
        let file = if file.is_empty() { 0 } else { mix_text(file) };
        Carried { bytes, observer: o.observer, behalf: o.behalf, file }
    }
}

/// Of two verdicts on one conversation the one that shows more, or is graver, stands.
fn gravity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Denied => 0,
        Verdict::Internal | Verdict::Kept | Verdict::Exception => 1,
        Verdict::Unclear => 2,
        Verdict::Attempt => 3,
        Verdict::Violation => 4,
    }
}

/// Who began, where the record by itself leaves no doubt. Whoever sent what a device denied did: an answer is denied to nobody whose
/// question was not, and a sender chooses its ports.
fn plain(o: &Observation, policy: &Policy) -> Option<(End, Evidence)> {
    let (source, destination) = ((o.source, o.source_port), (o.destination, o.port));
    let (sender, receiver) = if o.turned { (destination, source) } else { (source, destination) };
    if o.known {
        return Some((source, Evidence::Told));
    }
    if o.answer == Answer::Denied {
        return Some((sender, Evidence::Told));
    }
    match (o.transport, o.flags) {
        (6, Some(flags)) if flags & 0x12 == 0x02 => Some((sender, Evidence::Flags)),
        // SYN and ACK together and nothing that follows them, or a reset in answer to a SYN: an answer.
        (6, Some(0x12 | 0x14 | 0x16)) => Some((receiver, Evidence::Flags)),
        // Without its type, whether a message seen one way is a question or an answer is not known.
        (1 | 58, _) if o.icmp.is_some() || !o.one_way => {
            Some((if is_icmp_answer(o) { receiver } else { sender }, Evidence::Flags))
        }
        // A device that logs packets tells of answers too, as if they began something: one that opens nothing, and comes from where there is
        // an allowed service, is the answer of that.
        (6, Some(_)) if !o.one_way && !o.both_ways && (1..receiver.1).contains(&sender.1) => {
            let answered = Communication {
                source: address(receiver.0),
                destination: address(sender.0),
                protocol: Some(o.transport),
                port: Some(sender.1),
                time: Time::from_unix_ns(o.happened),
            };
            let allowed = matches!(policy.decide(&answered), Decision::Allowed(_) | Decision::Exception(_));
            Some(if allowed { (receiver, Evidence::Ports) } else { (sender, Evidence::Told) })
        }
        // A firewall's session is told from its initiator's side.
        _ if !o.one_way => Some((sender, Evidence::Told)),
        _ => None,
    }
}

/// Replies, and errors, which answer a datagram (RFC 792, RFC 4443).
fn is_icmp_answer(o: &Observation) -> bool {
    match (o.transport, o.icmp) {
        (1, Some(kind)) => matches!(kind, 0 | 3 | 4 | 5 | 11 | 12 | 14 | 16 | 18),
        (58, Some(kind)) => kind < 128 || kind == 129,
        _ => false,
    }
}

/// Ports that only services have (RFC 6335 §6).
fn is_service(port: u16) -> bool {
    (1..1024).contains(&port)
}
