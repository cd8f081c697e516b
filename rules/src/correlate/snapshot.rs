//! The correlator's state as bytes: what follows a restart is as if there had been none.
//!
//! Layout (version 3): the version, the keys of the rules that have any state, then what waits, then per such rule its state, its length
//! before it. Rules are numbered by their places among the keys, so that a state survives a change of other rules: that of rules that are
//! no more, or changed, is passed over. Integers are LEB128, signed ones zigzag; groups and alerts stand in the order in which they would
//! be given up. Group numbers, hashes and links are made anew.

use event::{EventId, Position};

use super::fold::{Open, OpenAlerts};
use super::groups::Groups;
use super::queue::{Ending, Span, Waiting};
use super::{Correlator, Counters};
use crate::ruleset::{Body, RuleKey};

const VERSION: u64 = 3;

/// A snapshot was not readable.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// Not a snapshot.
    #[error("the snapshot cannot be read")]
    Unreadable,
}

/// Appends to a snapshot.
#[derive(Default)]
pub(super) struct Out(Vec<u8>);

impl Out {
    pub(super) fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub(super) fn signed(&mut self, n: i64) {
        self.number((n << 1 ^ n >> 63) as u64);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn event(&mut self, event: EventId) {
        self.number(event.frame.partition.into());
        self.number(event.frame.offset);
        self.number(event.nth.into());
    }
}

/// Reads a snapshot. Everything is none at its end, or where it is damaged.
pub(super) struct In<'s>(&'s [u8]);

impl<'s> In<'s> {
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    pub(super) fn bytes(&mut self) -> Option<&'s [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    pub(super) fn event(&mut self) -> Option<EventId> {
        let frame = Position { partition: self.small()?, offset: self.number()? };
        Some(EventId { frame, nth: self.small()? })
    }
}

impl Correlator {
    /// The state as bytes, for [`Correlator::restore`]. Its cost is that of all state, so it is not for every batch.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Out::default();
        out.number(VERSION);
        let mut numbers: Vec<Option<u32>> = vec![None; self.of_rule.len()];
        let (matches, endings) = self.queue.all();
        let waits = matches.map(|(waiting, _)| waiting.rule).chain(endings.map(|ending| ending.rule));
        let known = (0..).zip(&self.of_rule).filter(|(_, of)| !of.is_empty()).map(|(rule, _)| rule);
        waits.chain(known).for_each(|rule| numbers[rule as usize] = Some(0));
        for (number, of) in (0..).zip(numbers.iter_mut().flatten()) {
            *of = number;
        }
        let active = || self.rules.rules.iter().zip(&self.of_rule).zip(&numbers).filter(|(_, number)| number.is_some());
        out.number(active().count() as u64);
        for ((rule, _), _) in active() {
            out.bytes(&rule.key);
            out.number(u64::from(rule.is_correlation()));
        }
        out.number(self.received.len() as u64);
        for (partition, received) in &self.received {
            out.number((*partition).into());
            out.signed(*received);
        }
        out.signed(self.measure_at);
        let (matches, endings) = self.queue.all();
        let number = |rule: u32| numbers[rule as usize].unwrap_or_default();
        for (waiting, bytes) in matches {
            out.number(1);
            save_waiting(&Waiting { rule: number(waiting.rule), ..*waiting }, bytes, &mut out);
        }
        out.number(0);
        out.number(endings.len() as u64);
        for ending in endings {
            save_ending(ending, number(ending.rule), &mut out);
        }
        for ((rule, of), _) in active() {
            let mut own = Out::default();
            save_counters(&of.counters, &mut own);
            if rule.is_correlation() {
                own.number(of.groups.len() as u64);
                for (tenant, groups) in &of.groups {
                    own.number((*tenant).into());
                    groups.save(&mut own);
                }
            }
            for alerts in [&of.alerts, &of.degraded] {
                own.number(alerts.len() as u64);
                for (tenant, alerts) in alerts {
                    own.number((*tenant).into());
                    own.number(alerts.len() as u64);
                    alerts.iter().for_each(|open| save_open(open, &mut own));
                }
            }
            out.bytes(&own.0);
        }
        out.0
    }

    /// Takes up a state: what follows is as if there had been no interruption, for the rules that are as they were.
    ///
    /// # Errors
    /// Where it is none; nothing is changed then.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let mut input = In(bytes);
        if input.number() != Some(VERSION) {
            return Err(RestoreError::Unreadable);
        }
        let mut restored = Correlator::new(self.rules.clone(), self.options.clone());
        restored.read(&mut input).ok_or(RestoreError::Unreadable)?;
        *self = restored;
        Ok(())
    }

    fn read(&mut self, input: &mut In<'_>) -> Option<()> {
        let mut keys = Vec::new();
        for _ in 0..input.number()? {
            keys.push((RuleKey::try_from(input.bytes()?).ok()?, input.number()? == 1));
        }
        let rules = self.rules.clone();
        let places = rules.places_of(keys.into_iter());
        for _ in 0..input.number()? {
            self.received.insert(input.small()?, input.signed()?);
        }
        self.measure_at = input.signed()?;
        let mut waiting = Vec::new();
        while input.number()? == 1 {
            waiting.extend(self.read_waiting(&places, input)?);
        }
        for _ in 0..input.number()? {
            let mut ending = read_ending(input)?;
            if let Some(place) = *places.get(ending.rule as usize)? {
                (ending.rule, ending.rank) = (place as u32, self.ranks[place]);
                self.queue.push_ending(ending);
            }
        }
        for place in &places {
            let mut own = In(input.bytes()?);
            let Some(place) = *place else { continue };
            let of = &mut self.of_rule[place];
            of.counters = read_counters(&mut own)?;
            if let Body::Correlation(bound) = &rules.rules[place].body {
                for _ in 0..own.number()? {
                    of.groups.insert(own.small()?, Groups::read(&bound.asks, &mut own)?);
                }
            }
            for alerts in [&mut of.alerts, &mut of.degraded] {
                for _ in 0..own.number()? {
                    let tenant = own.small()?;
                    let mut open = OpenAlerts::new();
                    for _ in 0..own.number()? {
                        open.restore(read_open(&mut own)?);
                    }
                    alerts.insert(tenant, open);
                }
            }
            own.0.is_empty().then_some(())?;
        }
        for (rule, tenant, len) in waiting {
            let groups = self.of_rule.get_mut(rule)?.groups.get_mut(&tenant)?;
            groups.waiting += 1;
            groups.waiting_bytes += len;
        }
        let endings: Vec<(u32, u32)> = self.queue.all().1.map(|e| (e.rule, e.tenant)).collect();
        for (rule, tenant) in endings {
            self.of_rule.get_mut(rule as usize)?.groups.get_mut(&tenant)?.endings += 1;
        }
        input.0.is_empty().then_some(())
    }

    /// Reads a match that waits. Some of none where its rule is not here.
    #[expect(clippy::option_option, reason = "the outer one is a damaged snapshot")]
    fn read_waiting(&mut self, places: &[Option<usize>], input: &mut In<'_>) -> Option<Option<(usize, u32, usize)>> {
        let (time, event) = (input.signed()?, input.event()?);
        let (number, at, tenant) = (input.small::<u32>()?, input.small()?, input.small()?);
        let parts = [input.bytes()?, input.bytes()?, input.bytes()?];
        let Some(rule) = *places.get(number as usize)? else { return Some(None) };
        let rank = *self.ranks.get(rule)?;
        let bucket = self.queue.bucket(time);
        let [key, value, fields] = parts.map(|part| {
            let start = bucket.bytes.len() as u32;
            bucket.bytes.extend_from_slice(part);
            Span { start, len: part.len() as u32 }
        });
        bucket.push(Waiting { time, event, rank, rule: rule as u32, place: at, tenant, key, value, fields });
        Some(Some((rule, tenant, parts.iter().map(|p| p.len()).sum())))
    }
}

fn save_waiting(waiting: &Waiting, bytes: &[u8], out: &mut Out) {
    let Waiting { time, event, rule, place, tenant, key, value, fields, .. } = waiting;
    out.signed(*time);
    out.event(*event);
    out.number((*rule).into());
    out.number((*place).into());
    out.number((*tenant).into());
    for span in [key, value, fields] {
        out.bytes(span.of(bytes));
    }
}

fn save_ending(ending: &Ending, rule: u32, out: &mut Out) {
    let Ending { end, event, tenant, start, key, fields, .. } = ending;
    out.signed(*end);
    out.event(*event);
    out.number(rule.into());
    out.number((*tenant).into());
    out.signed(*start);
    out.bytes(key);
    out.bytes(fields);
}

fn read_ending(input: &mut In<'_>) -> Option<Ending> {
    let (end, event) = (input.signed()?, input.event()?);
    let (rule, tenant, start) = (input.small()?, input.small()?, input.signed()?);
    let (key, fields) = (input.bytes()?.into(), input.bytes()?.into());
    Some(Ending { end, event, rank: 0, rule, tenant, start, key, fields })
}

fn save_counters(counters: &Counters, out: &mut Out) {
    let Counters { late, groups_evicted, entries_evicted, taken_early, undecided, alerts_closed_early } = *counters;
    for n in [late, groups_evicted, entries_evicted, taken_early, undecided, alerts_closed_early] {
        out.number(n);
    }
}

fn read_counters(input: &mut In<'_>) -> Option<Counters> {
    Some(Counters {
        late: input.number()?,
        groups_evicted: input.number()?,
        entries_evicted: input.number()?,
        taken_early: input.number()?,
        undecided: input.number()?,
        alerts_closed_early: input.number()?,
    })
}

fn save_open(open: &Open, out: &mut Out) {
    out.bytes(&open.key);
    out.bytes(&open.fields);
    out.number(open.evidence.len() as u64);
    open.evidence.iter().for_each(|event| out.event(*event));
    for time in [open.opened, open.start, open.first, open.last] {
        out.signed(time);
    }
    out.number(open.count);
}

fn read_open(input: &mut In<'_>) -> Option<Open> {
    let (key, fields) = (input.bytes()?, input.bytes()?);
    let mut evidence = Vec::new();
    for _ in 0..input.number()? {
        evidence.push(input.event()?);
    }
    let times = [input.signed()?, input.signed()?, input.signed()?, input.signed()?];
    Some(Open::restored(key, fields, evidence, times, input.number()?))
}
