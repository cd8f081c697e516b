//! The correlator's state as bytes: what follows a restart is as if there had been none.
//!
//! Layout (version 1): the version, the hash of the rules, then what waits, then per rule its state. Integers are LEB128, signed ones
//! zigzag; groups and alerts stand in the order in which they would be given up. Group numbers, hashes and links are made anew.

use event::{EventId, Position};

use super::fold::{Open, OpenAlerts};
use super::groups::Groups;
use super::queue::{Ending, Span, Waiting};
use super::{Correlator, Counters};
use crate::ruleset::Body;

const VERSION: u64 = 1;

/// A snapshot was not of these rules, or not readable.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// Made by other rules.
    #[error("the snapshot belongs to other rules")]
    OtherRules,
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
        out.bytes(&self.rules.hash());
        out.number(self.received.len() as u64);
        for (partition, received) in &self.received {
            out.number((*partition).into());
            out.signed(*received);
        }
        out.signed(self.measure_at);
        let (matches, endings) = self.queue.all();
        for (waiting, bytes) in matches {
            out.number(1);
            save_waiting(waiting, bytes, &mut out);
        }
        out.number(0);
        out.number(endings.len() as u64);
        for ending in endings {
            save_ending(ending, &mut out);
        }
        for (rule, of) in self.of_rule.iter().enumerate() {
            save_counters(&of.counters, &mut out);
            if let Body::Correlation(_) = &self.rules.rules[rule].body {
                out.number(of.groups.len() as u64);
                for (tenant, groups) in &of.groups {
                    out.number((*tenant).into());
                    groups.save(&mut out);
                }
            }
            for alerts in [&of.alerts, &of.degraded] {
                out.number(alerts.len() as u64);
                for (tenant, alerts) in alerts {
                    out.number((*tenant).into());
                    out.number(alerts.len() as u64);
                    alerts.iter().for_each(|open| save_open(open, &mut out));
                }
            }
        }
        out.0
    }

    /// Takes up a state: what follows is as if there had been no interruption.
    ///
    /// # Errors
    /// Where it is none, or of other rules; nothing is changed then.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let mut input = In(bytes);
        if input.number() != Some(VERSION) {
            return Err(RestoreError::Unreadable);
        }
        if input.bytes().ok_or(RestoreError::Unreadable)? != self.rules.hash() {
            return Err(RestoreError::OtherRules);
        }
        let mut restored = Correlator::new(self.rules.clone(), self.options.clone());
        restored.read(&mut input).ok_or(RestoreError::Unreadable)?;
        *self = restored;
        Ok(())
    }

    fn read(&mut self, input: &mut In<'_>) -> Option<()> {
        for _ in 0..input.number()? {
            self.received.insert(input.small()?, input.signed()?);
        }
        self.measure_at = input.signed()?;
        let mut waiting = Vec::new();
        while input.number()? == 1 {
            let (tenant, rule, len) = self.read_waiting(input)?;
            waiting.push((rule, tenant, len));
        }
        for _ in 0..input.number()? {
            let ending = read_ending(input)?;
            self.rules.rules.get(ending.rule as usize)?;
            self.queue.push_ending(ending);
        }
        let rules = self.rules.clone();
        for (rule, of) in self.of_rule.iter_mut().enumerate() {
            of.counters = read_counters(input)?;
            if let Body::Correlation(bound) = &rules.rules[rule].body {
                for _ in 0..input.number()? {
                    of.groups.insert(input.small()?, Groups::read(&bound.asks, input)?);
                }
            }
            for alerts in [&mut of.alerts, &mut of.degraded] {
                for _ in 0..input.number()? {
                    let tenant = input.small()?;
                    let mut open = OpenAlerts::new();
                    for _ in 0..input.number()? {
                        open.restore(read_open(input)?);
                    }
                    alerts.insert(tenant, open);
                }
            }
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

    fn read_waiting(&mut self, input: &mut In<'_>) -> Option<(u32, usize, usize)> {
        let (time, event) = (input.signed()?, input.event()?);
        let (rule, place, tenant) = (input.small::<u32>()?, input.small()?, input.small()?);
        let parts = [input.bytes()?, input.bytes()?, input.bytes()?];
        let rank = *self.ranks.get(rule as usize)?;
        let bucket = self.queue.bucket(time);
        let [key, value, fields] = parts.map(|part| {
            let start = bucket.bytes.len() as u32;
            bucket.bytes.extend_from_slice(part);
            Span { start, len: part.len() as u32 }
        });
        bucket.push(Waiting { time, event, rank, rule, place, tenant, key, value, fields });
        Some((tenant, rule as usize, parts.iter().map(|p| p.len()).sum()))
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

fn save_ending(ending: &Ending, out: &mut Out) {
    let Ending { end, event, rank, rule, tenant, start, key, fields } = ending;
    out.signed(*end);
    out.event(*event);
    out.number((*rank).into());
    out.number((*rule).into());
    out.number((*tenant).into());
    out.signed(*start);
    out.bytes(key);
    out.bytes(fields);
}

fn read_ending(input: &mut In<'_>) -> Option<Ending> {
    let (end, event, rank) = (input.signed()?, input.event()?, input.small()?);
    let (rule, tenant, start) = (input.small()?, input.small()?, input.signed()?);
    let (key, fields) = (input.bytes()?.into(), input.bytes()?.into());
    Some(Ending { end, event, rank, rule, tenant, start, key, fields })
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
