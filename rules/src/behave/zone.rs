//! What the zone policy says of conversations, as alerts: what was let through though nothing allows it, what was tried, and what went
//! half the way through a sanitiser.
//!
//! A sanitiser (`unless_via`) keeps two zones apart by ending each connection and beginning another. So where one leg is seen, the other
//! must be: from the zone to the sanitiser, and from there on ([`super::legs`]). Each explains one other; where the sanitiser makes several
//! connections of one, such as a browser that runs there, the rule says so (`legs: several`), and a leg of the right time is enough.
//! A session is told of when it ends, or when its exporter's active timeout is over: so long (`session`) each leg waits for the other.
//! What an exception allows the sanitiser is its own traffic, such as its updates, and needs no other leg.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::conversation::Judged;
use super::legs::{Leg, Side, Way};
use super::site::address;
use super::{Found, Parameters};
use crate::policy::{Judgement, MustDeny, Policy, Verdict};

const SECOND_NS: i64 = 1_000_000_000;
/// Legs that are remembered, altogether; beyond it the one whose time comes first is not looked at any more (counted where it waited).
const LEGS_MAX: usize = 100_000;
/// Tenants and invariants of which legs are remembered.
const WAYS_MAX: usize = 10_000;
/// How long a leg without another one is remembered: a session of screen transfer may be told of when it ends.
const REMEMBERED_NS: i64 = 25 * 3600 * SECOND_NS;
/// A leg may be told of by a record that waits for its other way, see [`super::conversation`].
const TOLD_NS: i64 = 120 * SECOND_NS;

/// A tenant, and the line of one of its invariants.
type Key = (u32, usize);

/// Whether a verdict may say anything to these rules: of most conversations it does not. `news` as in [`Judged`].
pub(super) fn concerns(judgement: &Judgement, news: bool, policy: &Policy) -> bool {
    match judgement.verdict {
        Verdict::Violation | Verdict::Attempt => news,
        Verdict::Kept | Verdict::Exception => policy.is_leg(judgement.from, judgement.to),
        Verdict::Internal | Verdict::Unclear | Verdict::Denied => false,
    }
}

/// See the module.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Zone {
    ways: BTreeMap<Key, Way>,
    /// When which leg is looked at: decided, and later forgotten.
    clock: BTreeSet<(i64, Key, Side, u64)>,
    /// Legs that gave way, and those of a crowd that were not compared one by one.
    unchecked: u64,
}

impl Zone {
    pub(super) fn size(&self) -> (u64, usize) {
        (self.unchecked, self.clock.len() * (size_of::<Leg>() + 200))
    }

    /// Takes the legs over to another policy, to its invariants about the same ways. Those of other invariants, or of zones that it does not
    /// have, are forgotten.
    pub(super) fn go_over(&mut self, before: &Policy, now: &Policy) {
        let same = |a: &MustDeny, b: &MustDeny| {
            (&a.from, &a.unless_via) == (&b.from, &b.unless_via) && a.to.iter().any(|to| b.to.contains(to))
        };
        let line = |old: usize| {
            let of = before.must_deny.iter().find(|invariant| invariant.line == old)?;
            now.must_deny.iter().find(|invariant| same(of, invariant)).map(|invariant| invariant.line)
        };
        let zone = |old: u16| now.zone_named(&before.zones.get(usize::from(old))?.name);
        for ((tenant, old), mut way) in std::mem::take(&mut self.ways) {
            let Some(line) = line(old) else { continue };
            way.renumber(zone);
            self.ways.entry((tenant, line)).or_insert(way);
        }
        let clock = std::mem::take(&mut self.clock).into_iter();
        self.clock = clock.filter_map(|(at, (tenant, old), side, leg)| Some((at, (tenant, line(old)?), side, leg))).collect();
    }

    /// Takes what was judged and [concerns] it; of what is no news only the legs.
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
            let side = if invariant.from == *from && via == to {
                Side::First
            } else if via == from && invariant.to.contains(to) && allowed {
                Side::Second
            } else {
                continue;
            };
            let key = (judged.tenant, invariant.line);
            if !self.ways.contains_key(&key) && self.ways.len() >= WAYS_MAX {
                self.unchecked += 1;
                continue;
            }
            let wait = p.within + p.session.max(TOLD_NS);
            let carried = judged.carried;
            // It may name the sanitiser itself, or who asked that in turn.
            let terminal = carried.behalf != 0 && policy.zone_of(address(carried.behalf)) == invariant.from;
            let leg = Leg {
                event: judged.event,
                transport: judged.transport,
                source: judged.source,
                destination: judged.destination,
                from: judged.judgement.from,
                to: judged.judgement.to,
                time: judged.time,
                start: judged.start,
                end: judged.end,
                bytes: carried.bytes,
                observer: carried.observer,
                due: judged.end.max(judged.time).saturating_add(wait),
                behalf: if terminal && side == Side::Second { carried.behalf } else { 0 },
                seen: judged.seen,
                file: carried.file,
                other: None,
                decided: false,
                over: false,
            };
            let due = leg.due;
            let is_news = judged.news && !judged.under_another;
            let Some(number) = self.ways.entry(key).or_default().take(side, leg, is_news, p) else { continue };
            self.clock.insert((due, key, side, number));
            if self.clock.len() > LEGS_MAX
                && let Some((_, key, side, number)) = self.clock.pop_first()
                && let Some(way) = self.ways.get_mut(&key)
            {
                self.unchecked += u64::from(!way.is_decided(side, number));
                way.decide(side, number);
                way.remove(side, number);
            }
        }
    }

    /// Looks at the legs whose time is over by `now`, in the order in which it was. At the end of everything (`i64::MAX`) the other one of
    /// some was not told of any more: there a leg of the right time is enough.
    pub(super) fn look(&mut self, now: i64, policy: &Policy, p: &Parameters, found: &mut Vec<Found>) {
        if self.clock.first().is_none_or(|(at, ..)| *at > now) {
            return;
        }
        let shared = p.legs == "several" || now == i64::MAX;
        while self.clock.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((at, key, side, number)) = self.clock.pop_first() else { return };
            let Some(way) = self.ways.get_mut(&key) else { continue };
            if way.get(side, number).is_none_or(|leg| leg.over) {
                // A session is remembered as long as it is told of.
                let last = way.get(side, number).map_or(at, |leg| leg.end.saturating_add(p.session.max(TOLD_NS)));
                if last > at {
                    self.clock.insert((last, key, side, number));
                    continue;
                }
                way.remove(side, number);
                if way.is_empty() {
                    self.ways.remove(&key);
                }
                continue;
            }
            let alone = way.get(side, number).is_some_and(|leg| leg.other.is_none());
            let crowded = alone && !shared && way.is_crowded(side, number, p);
            let unchecked = crowded && !way.settle(side, number, p);
            let paired = way.decide(side, number);
            let explained = paired || (shared || unchecked) && way.belongs(side, number, p);
            let remembered = if explained { p.session.max(TOLD_NS) } else { REMEMBERED_NS };
            self.clock.insert((at.saturating_add(remembered), key, side, number));
            if explained {
                self.unchecked += u64::from(unchecked);
                continue;
            }
            found.extend(half(way, key.0, side, number, policy, p));
        }
    }
}

/// A leg of which the other one is missing, with why none of those at its time is it.
fn half(way: &Way, tenant: u32, side: Side, number: u64, policy: &Policy, p: &Parameters) -> Option<Found> {
    let leg = way.get(side, number)?;
    let (event, zones) = ((leg.event, tenant, leg.transport), (leg.from, leg.to));
    let mut f = found(event, leg.source, leg.destination, (leg.start, leg.time), zones, policy);
    let (kind, across) = match side {
        Side::First => ("the second leg, from the sanitiser on, is missing", Side::Second),
        Side::Second => ("the first leg, to the sanitiser, is missing", Side::First),
    };
    f.explain("kind", kind);
    f.seconds("within_s", p.within);
    f.seconds("leg_s", leg.end.saturating_sub(leg.start));
    if leg.bytes > 0 {
        f.explain("bytes", leg.bytes);
    }
    let others = way.others(side, number, p);
    f.explain("other_legs_at_its_time", others.all);
    for (name, count) in [
        ("of_these_belong_to_another", others.explain_another),
        ("of_these_carried_other_amounts", others.carry_other_amounts),
        ("of_these_for_another_terminal", others.for_other_terminals),
    ] {
        if count > 0 {
            f.explain(name, count);
        }
    }
    if way.is_crowded(side, number, p) {
        f.explain(
            "crowd",
            "legs too many to be compared each with each: one of that time has no other, which need not be this one",
        );
    }
    if let Some((ns, nearest)) = others.nearest
        && let Some(other) = way.get(across, nearest)
    {
        let ends = |leg: &Leg| format!("{} to {}", address(leg.source.0), address(leg.destination.0));
        let belongs = way.explained_by(across, nearest).map(|leg| format!(", belongs to {}", ends(leg)));
        let apart = ns as f64 / 1e9;
        f.explain(
            "nearest",
            format!("{}, {apart:.3} s apart, {} bytes{}", ends(other), other.bytes, belongs.unwrap_or_default()),
        );
    }
    Some(f)
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
    if destination.0 != 0 {
        put("destination.ip", address(destination.0).to_string());
    }
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
