//! What the zone policy says of conversations, as alerts: what was let through though nothing allows it, what was tried, and what went
//! half the way through a sanitiser.
//!
//! A sanitiser (`unless_via`) keeps two zones apart by ending each connection and beginning another. So where one leg is seen, the other
//! must be: from the zone to the sanitiser, and from there on, the second one beginning while the first one goes on, or `within` before or
//! after. A session is told of when it ends, or when its exporter's active timeout is over: so long (`session`) a second leg waits for it.
//! Which address of the sanitiser's zone has which leg is its own affair. What an exception allows the sanitiser is its own traffic,
//! such as its updates, and needs no other leg.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::conversation::Judged;
use super::site::address;
use super::{Found, Parameters};
use crate::policy::{Policy, Verdict};

const SECOND_NS: i64 = 1_000_000_000;
/// Legs that wait for their other one, altogether; beyond it the first one is not looked at any more (counted).
const LEGS_MAX: usize = 100_000;
/// Tenants and invariants of which legs are remembered.
const WAYS_MAX: usize = 10_000;
/// How long it is remembered when there were legs: a session of screen transfer may be told of when it ends.
const REMEMBERED_NS: i64 = 25 * 3600 * SECOND_NS;
/// A leg may be told of by a record that waits for its other way, see [`super::conversation`].
const TOLD_NS: i64 = 120 * SECOND_NS;

#[derive(Clone, Deserialize, Serialize)]
struct Leg {
    /// Until when the other one is waited for.
    due: i64,
    start: i64,
    end: i64,
    found: Waiting,
}

/// What an alert will say of it.
#[derive(Clone, Deserialize, Serialize)]
struct Waiting {
    event: event::EventId,
    tenant: u32,
    transport: u8,
    source: (u128, u16),
    destination: (u128, u16),
    time: i64,
    from: u16,
    to: u16,
}

/// One invariant of one tenant.
#[derive(Default, Deserialize, Serialize)]
struct Way {
    /// When first legs were there, as intervals that do not touch, in seconds, the time around them included.
    covered: BTreeMap<i64, i64>,
    /// When second legs began, in seconds.
    began: BTreeSet<i64>,
    firsts: VecDeque<Leg>,
    seconds: VecDeque<Leg>,
}

/// See the module.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Zone {
    /// By tenant and line of the invariant.
    ways: BTreeMap<(u32, usize), Way>,
    waiting: usize,
    unchecked: u64,
    /// When the next leg is due.
    due: Option<i64>,
}

impl Zone {
    pub(super) fn size(&self) -> (u64, usize) {
        let seconds: usize = self.ways.values().map(|way| way.covered.len() * 24 + way.began.len() * 16).sum();
        (self.unchecked, self.waiting * size_of::<Leg>() + seconds)
    }

    /// Takes what was judged; of what is no news only the legs.
    pub(super) fn take(&mut self, judged: &Judged, policy: &Policy, p: &Parameters, found: &mut Vec<Found>) {
        let verdict = judged.judgement.verdict;
        match p.what.as_str() {
            "sanitiser" => self.leg(judged, policy, p),
            "violation" if verdict == Verdict::Violation && judged.news => found.push(describe(judged, policy)),
            "attempt" if verdict == Verdict::Attempt && judged.news => found.push(describe(judged, policy)),
            _ => {}
        }
    }

    fn leg(&mut self, judged: &Judged, policy: &Policy, p: &Parameters) {
        let (from, to) =
            (&policy.zones[usize::from(judged.judgement.from)].name, &policy.zones[usize::from(judged.judgement.to)].name);
        let allowed = judged.judgement.verdict == Verdict::Kept;
        if !allowed && judged.judgement.verdict != Verdict::Exception {
            return;
        }
        for invariant in &policy.must_deny {
            let Some(via) = &invariant.unless_via else { continue };
            let first = invariant.from == *from && via == to;
            let second = via == from && invariant.to.contains(to) && allowed;
            if !first && !second {
                continue;
            }
            let key = (judged.tenant, invariant.line);
            if !self.ways.contains_key(&key) && self.ways.len() >= WAYS_MAX {
                self.unchecked += 1;
                continue;
            }
            let way = self.ways.entry(key).or_default();
            if first {
                cover(&mut way.covered, judged.start - p.within, judged.end + p.within);
            } else {
                way.began.insert(judged.start.div_euclid(SECOND_NS));
            }
            if !judged.news {
                continue;
            }
            let leg = Leg {
                due: judged.end.max(judged.time).saturating_add(p.within + if first { TOLD_NS } else { p.session.max(TOLD_NS) }),
                start: judged.start,
                end: judged.end,
                found: Waiting {
                    event: judged.event,
                    tenant: judged.tenant,
                    transport: judged.transport,
                    source: judged.source,
                    destination: judged.destination,
                    time: judged.time,
                    from: judged.judgement.from,
                    to: judged.judgement.to,
                },
            };
            let legs = if first { &mut way.firsts } else { &mut way.seconds };
            // Mostly at the end: they come in the order of time but for what has waited.
            let at = legs.partition_point(|other| other.due <= leg.due);
            self.due = Some(self.due.map_or(leg.due, |due| due.min(leg.due)));
            legs.insert(at, leg);
            self.waiting += 1;
            if self.waiting > LEGS_MAX && legs.pop_front().is_some() {
                self.waiting -= 1;
                self.unchecked += 1;
            }
        }
    }

    /// Looks at the legs whose time is over by `now`.
    pub(super) fn look(&mut self, now: i64, policy: &Policy, p: &Parameters, found: &mut Vec<Found>) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        for Way { covered, began, firsts, seconds } in self.ways.values_mut() {
            while let Some(leg) = pop_due(firsts, now) {
                self.waiting -= 1;
                let (from, to) = ((leg.start - p.within).div_euclid(SECOND_NS), (leg.end + p.within).div_euclid(SECOND_NS));
                if began.range(from..=to).next().is_none() {
                    found.push(half(&leg, "the second leg, from the sanitiser on, is missing", policy, p));
                }
            }
            while let Some(leg) = pop_due(seconds, now) {
                self.waiting -= 1;
                let at = leg.start.div_euclid(SECOND_NS);
                if covered.range(..=at).next_back().is_none_or(|(_, end)| *end < at) {
                    found.push(half(&leg, "the first leg, to the sanitiser, is missing", policy, p));
                }
            }
            let gone = now.saturating_sub(REMEMBERED_NS).div_euclid(SECOND_NS);
            while began.first().is_some_and(|second| *second < gone) {
                began.pop_first();
            }
            while covered.first_key_value().is_some_and(|(_, end)| *end < gone) {
                covered.pop_first();
            }
            let next = [firsts.front(), seconds.front()].into_iter().flatten().map(|leg| leg.due);
            self.due = self.due.into_iter().chain(next).min();
        }
    }
}

/// The first leg whose time is over.
fn pop_due(legs: &mut VecDeque<Leg>, now: i64) -> Option<Leg> {
    if legs.front()?.due <= now { legs.pop_front() } else { None }
}

/// Adds an interval to intervals that do not touch.
fn cover(intervals: &mut BTreeMap<i64, i64>, from: i64, to: i64) {
    let (mut from, mut to) = (from.div_euclid(SECOND_NS), to.div_euclid(SECOND_NS));
    while let Some((start, end)) =
        intervals.range(..=to + 1).next_back().map(|(start, end)| (*start, *end)).filter(|(_, end)| *end >= from - 1)
    {
        intervals.remove(&start);
        (from, to) = (from.min(start), to.max(end));
    }
    intervals.insert(from, to);
}

fn half(leg: &Leg, what: &str, policy: &Policy, p: &Parameters) -> Found {
    let w = &leg.found;
    let mut f = found((w.event, w.tenant, w.transport), w.source, w.destination, (leg.start, w.time), (w.from, w.to), policy);
    f.explain("kind", what);
    f.seconds("within_s", p.within);
    f.seconds("leg_s", leg.end - leg.start);
    f
}

fn describe(judged: &Judged, policy: &Policy) -> Found {
    let Judged { event, tenant, transport, source, destination, start, time, judgement, .. } = *judged;
    let mut f = found((event, tenant, transport), source, destination, (start, time), (judgement.from, judgement.to), policy);
    f.fields.insert("policy.verdict".to_owned(), judgement.verdict.name().to_owned());
    f.explain("who_began", judged.evidence.name());
    f.explain("policy", &policy.sha256[..12]);
    if judged.sampling > 1 {
        f.explain("sampled", format!("1 in {}: what was not sampled was not seen, so that less is found", judged.sampling));
    }
    f
}

fn found(
    (event, tenant, transport): (event::EventId, u32, u8),
    source: (u128, u16),
    destination: (u128, u16),
    (start, time): (i64, i64),
    (from, to): (u16, u16),
    policy: &Policy,
) -> Found {
    let mut fields = BTreeMap::new();
    let mut put = |name: &str, value: String| fields.insert(name.to_owned(), value);
    put("source.ip", address(source.0).to_string());
    put("destination.ip", address(destination.0).to_string());
    if destination.1 != 0 {
        put("destination.port", destination.1.to_string());
    }
    if transport != 0 {
        put("network.transport", super::fold::transport_name(transport));
    }
    put("zone.source", policy.zones[usize::from(from)].name.clone());
    put("zone.destination", policy.zones[usize::from(to)].name.clone());
    let clause = policy.clause(from, to).map(str::to_owned);
    if let Some(clause) = &clause {
        put("policy.clause", clause.clone());
    }
    let group = ["source.ip", "destination.ip"].into_iter().filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())));
    let group = group.collect();
    Found { tenant, group, start, time, evidence: vec![event], fields, explanation: BTreeMap::new(), clause }
}
