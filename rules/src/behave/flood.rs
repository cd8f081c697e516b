//! Floods: a destination that gets more than a rate of bits, packets or flows for some seconds. The alert measures it: peak rates, volume,
//! duration, sources, class.
//!
//! A record's bytes and packets are spread evenly over the seconds from its begin to its end; of sampled traffic the estimate counts.

use std::collections::VecDeque;

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::{Answer, Observation, What};
use super::sketch::{Distinct, mix};
use super::table::Table;
use super::{Found, Parameters, View};

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
    sources: Distinct<16_384, 16>,
    /// Packets by class.
    classes: [f64; CLASSES.len()],
    /// Since when it has gone on; 0 while it does not.
    since: i64,
    last_over: i64,
    bits: f64,
    packets: f64,
    peak: Second,
    /// The peak of which was told last.
    told: f64,
    evidence: Vec<EventId>,
}

/// What a flood is made of.
const CLASSES: [&str; 7] = ["tcp syn", "tcp other", "udp amplification", "udp", "icmp", "fragments or other", "http"];
/// Services that answer with more than they were asked (US-CERT TA14-017A).
const AMPLIFIERS: [u16; 13] = [17, 19, 53, 69, 111, 123, 137, 161, 389, 1900, 3702, 5353, 11_211];

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Flood {
    targets: Table<(u32, u128), Target>,
}

impl Flood {
    pub(super) fn new(p: &Parameters) -> Flood {
        Flood { targets: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.targets.evicted(), self.targets.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Flow || o.destination == 0 || view.to_many || view.expected(p) {
            return;
        }
        // A connection of ours that is answered is a transfer, however fast: `exfiltration` weighs those that lead out.
        if o.transport == 6 && o.answer == Answer::Yes && view.source_inside {
            return;
        }
        self.targets.expire(o.time.saturating_sub(SECONDS_MAX as i64 * SECOND_NS));
        let (bytes, packets) = (o.bytes_estimated() as f64, o.packets.max(1) as f64 * f64::from(o.sampling));
        let target = self.targets.entry((o.tenant, o.destination), o.time);
        let over = target.add(o, bytes * 8.0, packets, p);
        if target.since == 0 && !over {
            return;
        }
        let second = o.end.div_euclid(SECOND_NS);
        if over {
            if target.since == 0 {
                *target = Target {
                    first: target.first,
                    seconds: std::mem::take(&mut target.seconds),
                    since: second,
                    ..Target::default()
                };
            }
            target.last_over = target.last_over.max(second);
        } else if second - target.last_over > p.seconds.div_euclid(SECOND_NS).max(10) {
            *target = Target { first: target.first, seconds: std::mem::take(&mut target.seconds), ..Target::default() };
            return;
        }
        target.bits += bytes * 8.0;
        target.packets += packets;
        target.sources.insert(mix(o.source));
        target.classes[class(o)] += packets;
        if target.evidence.len() < EVIDENCE_MAX {
            target.evidence.push(o.event);
        }
        target.measure();
        let long_enough = (target.last_over - target.since + 1) * SECOND_NS >= p.seconds;
        let size = (target.peak.bits / p.bits_per_second)
            .max(target.peak.packets / p.packets_per_second)
            .max(target.peak.flows / p.flows_per_second);
        if !long_enough || size < target.told * 1.1 && target.last_over - target.since < 60 * 5 {
            return;
        }
        if size < target.told * 1.1 {
            return;
        }
        target.told = size;
        found.push(target.describe(view));
    }
}

impl Target {
    /// Spreads a record over its seconds. Says whether one of them is over a rate now.
    fn add(&mut self, o: &Observation, bits: f64, packets: f64, p: &Parameters) -> bool {
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
                if gone as usize >= self.seconds.len() {
                    self.seconds.clear();
                    self.first = begin.div_euclid(SECOND_NS);
                } else {
                    self.seconds.drain(..gone as usize);
                    self.first += gone;
                }
            }
        }
        let mut over = false;
        for second in begin.div_euclid(SECOND_NS)..=last {
            let Some(cell) = usize::try_from(second - self.first).ok().and_then(|at| self.seconds.get_mut(at)) else { continue };
            let from = begin.max(second * SECOND_NS);
            let to = o.end.min((second + 1) * SECOND_NS);
            let part = if length > 0.0 { (to - from) as f64 / length } else { 1.0 };
            cell.bits += bits * part;
            cell.packets += packets * part;
            cell.flows += if o.continued { 0.0 } else { part };
            over |= cell.bits >= p.bits_per_second || cell.packets >= p.packets_per_second || cell.flows >= p.flows_per_second;
        }
        over
    }

    fn measure(&mut self) {
        let from = usize::try_from(self.since - self.first).unwrap_or(0);
        for second in self.seconds.iter().skip(from) {
            self.peak.bits = self.peak.bits.max(second.bits);
            self.peak.packets = self.peak.packets.max(second.packets);
            self.peak.flows = self.peak.flows.max(second.flows);
        }
    }

    fn describe(&self, view: &View<'_>) -> Found {
        let mut f = Found::at(view, &["destination.ip"]);
        f.start = self.since * SECOND_NS;
        f.evidence.clone_from(&self.evidence);
        let most = self.classes.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
        f.explain("class", CLASSES[most]);
        f.score("class_share", self.classes[most] / self.classes.iter().sum::<f64>());
        f.score("peak_gigabits_per_second", self.peak.bits / 1e9);
        f.explain("peak_packets_per_second", self.peak.packets.round());
        f.explain("peak_flows_per_second", self.peak.flows.round());
        f.explain("bytes", (self.bits / 8.0).round());
        f.explain("packets", self.packets.round());
        f.explain("seconds", self.last_over - self.since + 1);
        f.explain("sources", self.sources.count());
        f
    }
}

fn class(o: &Observation) -> usize {
    match o.transport {
        6 if o.flags.is_some_and(|flags| flags & 0x12 == 0x02) || o.answer.failed() => 0,
        6 if matches!(o.port, 80 | 443) => 6,
        6 => 1,
        17 if AMPLIFIERS.contains(&o.source_port) || AMPLIFIERS.contains(&o.port) && o.received > o.sent => 2,
        17 => 3,
        1 | 58 => 4,
        _ => 5,
    }
}
