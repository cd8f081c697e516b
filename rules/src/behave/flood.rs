//! Floods: a destination that gets more than a rate of bits, packets or flows for some seconds. The alert measures it: peak rates, volume,
//! duration, sources, class.
//!
//! By class also what comes from inside alone: a host of ours that takes part in an attack on somebody else. There only what is hardly
//! answered counts; a call or an upload goes both ways.
//!
//! A record's bytes and packets are spread evenly over the seconds from its begin to its end; of sampled traffic the estimate counts.

use std::collections::{BTreeMap, VecDeque};

use event::EventId;
use serde::{Deserialize, Serialize};

use super::fold::transport_name;
use super::observe::{Answer, Observation, What};
use super::site::{address, listed};
use super::sketch::{Distinct, mix};
use super::{Found, Parameters, View};
use crate::table::Table;

const SECOND_NS: i64 = 1_000_000_000;
/// Seconds of one destination that are kept: flow records of up to five minutes reach back so far.
const SECONDS_MAX: usize = 420;
/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Second {
    bits: f64,
    packets: f64,
    flows: f64,
}

#[derive(Default, Deserialize, Serialize)]
struct Target {
    /// The first of `seconds`.
    first: i64,
    seconds: VecDeque<Second>,
    /// Who sent, and packets by class, since it is warm: so that what came before a rate was reached counts with what came after.
    sources: Distinct<16_384, 16>,
    classes: [f64; CLASSES.len()],
    evidence: Vec<EventId>,
    last_warm: i64,
    /// Since when it has gone on; 0 while it does not.
    since: i64,
    last_over: i64,
    /// What seconds held that are kept no more.
    past: Second,
    peak: Second,
    /// The size that was told last, and when.
    told: f64,
    told_at: i64,
    measured: i64,
    port: u16,
    transport: u8,
    sampling: u32,
    /// Who of ours sends, where the class is inside: the first ones.
    senders: Vec<u128>,
}

/// What a flood is made of.
const CLASSES: [&str; 7] = ["tcp syn", "tcp other", "udp amplification", "udp", "icmp", "fragments or other", "http"];
/// Services that answer with more than they were asked (US-CERT TA14-017A).
const AMPLIFIERS: [u16; 13] = [17, 19, 53, 69, 111, 123, 137, 161, 389, 1900, 3702, 5353, 11_211];

/// Of a rate so small a part makes a target worth looking at: what comes before the rate is reached is a hundredth at most.
const WARM: f64 = 128.0;
/// Seconds without it after which what was gathered is forgotten.
const COLD_S: i64 = 30;
/// Seconds after which an alert's measures are told again.
const AGAIN_S: i64 = 60;
/// What is answered with less than this share of its bytes is hardly answered: acknowledgements of an upload are more.
const ANSWERED_SHARE: f64 = 0.001;
/// Senders that an alert names.
const SENDERS_MAX: usize = 16;
/// A flood is over after so many seconds below every rate.
const OVER_S: i64 = 10;

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Flood {
    targets: Table<(u32, u128), Target>,
    /// The targets of floods that go on, as they were found.
    active: Vec<(u32, u128)>,
    looked: i64,
}

impl Flood {
    pub(super) fn new(p: &Parameters) -> Flood {
        Flood { targets: Table::new(p.entries_max), active: Vec::new(), looked: i64::MIN }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.targets.evicted(), self.targets.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        self.look(o.time.div_euclid(SECOND_NS), p, found);
        if o.what != What::Flow || o.destination == 0 || view.to_many {
            return;
        }
        // A connection of ours that is answered is a transfer, however fast: `exfiltration` weighs those that lead out.
        if o.transport == 6 && o.answer == Answer::Yes && view.source_inside {
            return;
        }
        let from_inside = p.class == "inside";
        // Where the site's own addresses are public ones that it did not name, neither end is inside.
        if from_inside && (view.destination_inside || o.turned || !hardly_answered(o)) {
            return;
        }
        if p.class == "outside" && view.source_inside || view.expected(p) {
            return;
        }
        // What is read as an answer goes to who asked, or to whom somebody else asked in the name of: amplification.
        let (victim, sender) = if o.turned { (o.source, o.destination) } else { (o.destination, o.source) };
        self.targets.expire(o.time.saturating_sub(SECONDS_MAX as i64 * SECOND_NS));
        let (bytes, packets) = (o.bytes_estimated() as f64, o.packets.max(1) as f64 * f64::from(o.sampling));
        let target = self.targets.entry((o.tenant, victim), o.time);
        let (over, warm) = target.add(o, bytes * 8.0, packets, p);
        if !warm && target.since == 0 {
            return;
        }
        let second = o.end.div_euclid(SECOND_NS);
        if second - target.last_warm > COLD_S && target.since == 0 {
            target.sources = Distinct::default();
            target.senders.clear();
            target.classes = Default::default();
            target.evidence.clear();
        }
        target.last_warm = target.last_warm.max(second);
        if target.sources.insert(mix(sender)) && from_inside && target.senders.len() < SENDERS_MAX {
            target.senders.push(sender);
        }
        target.classes[class(o)] += packets;
        if target.evidence.len() < EVIDENCE_MAX {
            target.evidence.push(o.event);
        }
        if over {
            if target.since == 0 {
                (target.since, target.last_over, target.past, target.peak) =
                    (second, second, Second::default(), Second::default());
                (target.told, target.told_at) = (0.0, 0);
                self.active.push((o.tenant, victim));
            }
            let port = if o.turned { o.source_port } else { o.port };
            (target.port, target.transport, target.sampling) = (port, o.transport, target.sampling.max(o.sampling));
        }
        if target.since == 0 {
            return;
        }
        // Once a second of it, not once a record.
        if second <= target.measured && target.told > 0.0 {
            return;
        }
        target.measured = target.measured.max(second);
        target.measure(p);
        let long_enough = (target.last_over - target.since + 1) * SECOND_NS >= p.seconds;
        let size = target.size(p);
        if long_enough && size >= target.told * 1.1 {
            (target.told, target.told_at) = (size, second);
            found.push(target.describe((o.tenant, victim), o.time));
        }
    }

    /// Once a second: the measures of floods that go on are told again, and for the last time when they are over.
    fn look(&mut self, second: i64, p: &Parameters, found: &mut Vec<Found>) {
        if second <= self.looked {
            return;
        }
        self.looked = second;
        let targets = &mut self.targets;
        self.active.retain(|key| {
            let Some(target) = targets.get_mut(key).filter(|target| target.since != 0) else { return false };
            let ended = second - target.last_over > p.seconds.div_euclid(SECOND_NS).max(OVER_S);
            if target.told > 0.0 && (ended || second - target.told_at >= AGAIN_S) {
                target.measure(p);
                target.told_at = second;
                found.push(target.describe(*key, target.last_over.saturating_add(1) * SECOND_NS));
            }
            if ended {
                let (first, seconds) = (target.first, std::mem::take(&mut target.seconds));
                *target = Target { first, seconds, ..Target::default() };
            }
            !ended
        });
    }
}

impl Target {
    /// Spreads a record over its seconds. Says whether one of them is over a rate now, and whether one is warm.
    fn add(&mut self, o: &Observation, bits: f64, packets: f64, p: &Parameters) -> (bool, bool) {
        let last = o.end.div_euclid(SECOND_NS);
        let begin = o.start.max(o.end - (SECONDS_MAX as i64 - 1) * SECOND_NS);
        let length = (o.end - begin) as f64;
        if self.seconds.is_empty() {
            self.first = begin.div_euclid(SECOND_NS);
        }
        while self.seconds.len() < SECONDS_MAX
            && begin.div_euclid(SECOND_NS) < self.first
            && self.first + (self.seconds.len() as i64) > last - SECONDS_MAX as i64
        {
            self.seconds.push_front(Second::default());
            self.first -= 1;
        }
        while self.first + (self.seconds.len() as i64) <= last {
            self.seconds.push_back(Second::default());
            if self.seconds.len() > SECONDS_MAX {
                let gone = (last - self.first - SECONDS_MAX as i64 + 1).clamp(1, SECONDS_MAX as i64);
                let gone = (gone as usize).min(self.seconds.len());
                for (at, second) in self.seconds.drain(..gone).enumerate() {
                    if self.since != 0 && self.first + at as i64 >= self.since {
                        self.past.bits += second.bits;
                        self.past.packets += second.packets;
                    }
                }
                self.first = if self.seconds.is_empty() { begin.div_euclid(SECOND_NS) } else { self.first + gone as i64 };
            }
        }
        let (mut over, mut warm) = (false, false);
        for second in begin.div_euclid(SECOND_NS)..=last {
            let Some(cell) = usize::try_from(second - self.first).ok().and_then(|at| self.seconds.get_mut(at)) else { continue };
            let from = begin.max(second * SECOND_NS);
            let to = o.end.min((second + 1) * SECOND_NS);
            let part = if length > 0.0 { (to - from) as f64 / length } else { 1.0 };
            cell.bits += bits * part;
            cell.packets += packets * part;
            cell.flows += if o.continued { 0.0 } else { part };
            let size = cell.size(p);
            over |= size >= 1.0;
            warm |= size >= 1.0 / WARM;
        }
        (over, warm)
    }

    /// Its begin, end and peak, by the seconds that are over a rate: a record that ends late tells of earlier ones.
    fn measure(&mut self, p: &Parameters) {
        let over: Vec<i64> =
            self.seconds.iter().zip(self.first..).filter(|(second, _)| second.size(p) >= 1.0).map(|(_, at)| at).collect();
        let Some(last) = over.last() else { return };
        self.last_over = self.last_over.max(*last);
        let mut since = *last;
        for at in over.iter().rev() {
            if since - at > OVER_S {
                break;
            }
            since = *at;
        }
        self.since = self.since.min(since);
        let from = usize::try_from(self.since - self.first).unwrap_or(0);
        for second in self.seconds.iter().skip(from) {
            self.peak.bits = self.peak.bits.max(second.bits);
            self.peak.packets = self.peak.packets.max(second.packets);
            self.peak.flows = self.peak.flows.max(second.flows);
        }
    }

    fn size(&self, p: &Parameters) -> f64 {
        self.peak.size(p)
    }

    fn describe(&self, (tenant, destination): (u32, u128), time: i64) -> Found {
        let mut fields = BTreeMap::from([("destination.ip".to_owned(), address(destination).to_string())]);
        let group = fields.clone();
        if self.port != 0 {
            fields.insert("destination.port".to_owned(), self.port.to_string());
        }
        fields.insert("network.transport".to_owned(), transport_name(self.transport));
        let (evidence, start) = (self.evidence.clone(), self.since * SECOND_NS);
        let mut f = Found { tenant, group, start, time, evidence, fields, explanation: BTreeMap::new(), clause: None };
        let most = self.classes.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
        let seconds = self.last_over - self.since + 1;
        let from = usize::try_from(self.since - self.first).unwrap_or(0);
        let kept = self.seconds.iter().skip(from).take(usize::try_from(seconds).unwrap_or(0));
        let (bits, packets) = kept
            .fold((self.past.bits, self.past.packets), |(bits, packets), second| (bits + second.bits, packets + second.packets));
        f.explain("class", CLASSES[most]);
        f.score("class_share", self.classes[most] / self.classes.iter().sum::<f64>());
        f.score("peak_gigabits_per_second", self.peak.bits / 1e9);
        f.explain("peak_packets_per_second", self.peak.packets.round());
        f.explain("peak_flows_per_second", self.peak.flows.round());
        f.explain("mean_megabits_per_second", format!("{:.3}", bits / seconds.max(1) as f64 / 1e6));
        f.explain("mean_packets_per_second", (packets / seconds.max(1) as f64).round());
        f.explain("bytes", (bits / 8.0).round());
        f.explain("packets", packets.round());
        f.explain("seconds", seconds);
        f.explain("sources", self.sources.count());
        if let [sender] = self.senders[..] {
            f.fields.insert("source.ip".to_owned(), address(sender).to_string());
        }
        if !self.senders.is_empty() {
            f.explain("senders", listed(&self.senders));
        }
        if self.sampling > 1 {
            f.explain("sampled", format!("1 in {}: estimated from what was sampled", self.sampling));
        }
        f
    }
}

impl Second {
    /// How many times the rates: 1 and more is a flood.
    fn size(&self, p: &Parameters) -> f64 {
        (self.bits / p.bits_per_second).max(self.packets / p.packets_per_second).max(self.flows / p.flows_per_second)
    }
}

/// Whether next to nothing comes back.
fn hardly_answered(o: &Observation) -> bool {
    o.answer.failed() || o.transport != 6 && (o.received as f64) <= o.sent as f64 * ANSWERED_SHARE
}

fn class(o: &Observation) -> usize {
    let (from, to) = if o.turned { (o.port, o.source_port) } else { (o.source_port, o.port) };
    match o.transport {
        6 if o.flags.is_some_and(|flags| flags & 0x12 == 0x02) || o.answer.failed() => 0,
        6 if matches!(o.port, 80 | 443) => 6,
        6 => 1,
        17 if AMPLIFIERS.contains(&from) || AMPLIFIERS.contains(&to) && o.received > o.sent => 2,
        17 => 3,
        1 | 58 => 4,
        _ => 5,
    }
}
