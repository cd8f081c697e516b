//! A source's rhythm: in which half-hours of the day it uses to send, working days and days off apart, and, of those in which it uses to begin
//! or to end, in which part. Silence counts only as far as it uses to send then.

use serde::{Deserialize, Serialize};

use crate::calendar::{Day, kind_of};

const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;
/// Japan Standard Time, in which people work.
const JST_NS: i64 = 9 * 3600 * SECOND_NS;
/// A half-hour of the day.
pub(super) const SLOT_NS: i64 = 1800 * SECOND_NS;
const SLOTS: usize = 48;
/// Days of one kind that are remembered; beyond it the older ones count half.
const DAYS_MAX: u8 = 20;
/// Silence is looked for no further than this: whoever is missed so long was missed before.
pub(super) const SILENCE_MAX_NS: i64 = 14 * DAY_NS;
/// A source begins or ends within a half-hour before or after which it sends on a smaller share of the days than this. Told of those that send
/// so many records then that it shows.
const EDGE_SHARE: f64 = 0.9;
const EDGE_RECORDS_MIN: f64 = 6.0;
/// What a beginning or an end was at its earliest and its latest comes nearer to what it is by this part of the difference each day.
const FADES: u16 = 8;

/// See the module. Half-hours are counted from 1970, in Japan.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Rhythm {
    /// Working days, then days off.
    slots: Vec<Slot>,
}

/// What a half-hour of the day has brought.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Slot {
    days: u8,
    active: u8,
    mean: f32,
    /// When its first record came, and when its last.
    begins: Spread,
    ends: Spread,
}

/// Seconds into a half-hour, at their earliest and their latest.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Spread {
    earliest: u16,
    latest: u16,
}

impl Spread {
    fn learn(&mut self, ns: i64, is_first: bool) {
        let now = ns.clamp(0, SLOT_NS).div_euclid(SECOND_NS) as u16;
        if is_first {
            (self.earliest, self.latest) = (now, now);
        }
        self.earliest = now.min(self.earliest + now.saturating_sub(self.earliest).div_ceil(FADES));
        self.latest = now.max(self.latest - self.latest.saturating_sub(now).div_ceil(FADES));
    }

    fn width(self) -> i64 {
        i64::from(self.latest - self.earliest)
    }
}

impl Rhythm {
    pub(super) const BYTES: usize = 2 * SLOTS * size_of::<Slot>();

    pub(super) fn new() -> Rhythm {
        Rhythm { slots: vec![Slot::default(); 2 * SLOTS] }
    }

    /// On how many days like this one a half-hour was seen, and how many records it brought in the mean.
    pub(super) fn usual(&self, slot: i64) -> (u8, f32) {
        let known = &self.slots[place(slot)];
        (known.days, known.mean)
    }

    /// Learns of a half-hour that is over: how many records it brought, and when the first and the last of them came.
    pub(super) fn learn(&mut self, slot: i64, count: u64, first: i64, last: i64) {
        let known = &mut self.slots[place(slot)];
        if known.days >= DAYS_MAX {
            (known.days, known.active) = (known.days / 2, known.active / 2);
        }
        known.days += 1;
        if count > 0 {
            known.begins.learn(first - begin_of(slot), known.active == 0);
            known.ends.learn(last - begin_of(slot), known.active == 0);
            known.active += 1;
        }
        known.mean += (count as f32 - known.mean) / f32::from(known.days.min(8));
    }

    /// How much of a half-hour a source that was first heard at `first` uses to send: 0 to 1.
    fn share(&self, slot: i64, first: i64) -> f64 {
        let known = &self.slots[place(slot)];
        if known.days > 0 {
            return f64::from(known.active) / f64::from(known.days);
        }
        // Of a half-hour that never came before nothing can be said, but in the very first day.
        if begin_of(slot) < first + DAY_NS { 1.0 } else { 0.0 }
    }

    /// From when to when of a half-hour it sends on each day on which it does. What varies may vary as much again.
    fn part(&self, slot: i64, share: f64, first: i64) -> (i64, i64) {
        let known = &self.slots[place(slot)];
        let is_edge = |beside: i64| f64::from(known.mean) >= EDGE_RECORDS_MIN * share && self.share(beside, first) < EDGE_SHARE;
        let at = |seconds: i64| begin_of(slot) + seconds * SECOND_NS;
        let Slot { begins, ends, .. } = *known;
        let from = if is_edge(slot - 1) { at(i64::from(begins.latest) + begins.width()) } else { begin_of(slot) };
        let to = if is_edge(slot + 1) { at(i64::from(ends.earliest) - ends.width()) } else { begin_of(slot + 1) };
        (from, to)
    }

    /// The parts of the time from `from` to `to` in which it uses to send: when each begins, how long it is, and how much it counts.
    fn parts(&self, from: i64, to: i64, first: i64) -> impl Iterator<Item = (i64, i64, f64)> {
        (slot_of(from)..=slot_of(to)).map(move |slot| {
            let share = self.share(slot, first);
            let (begin, end) = if share > 0.0 { self.part(slot, share, first) } else { (from, from) };
            let begin = begin.max(from);
            (begin, (end.min(to) - begin).max(0), share)
        })
    }

    /// The time from `from` to `to` as far as a source that was first heard at `first` uses to send in it, in nanoseconds.
    pub(super) fn counted(&self, from: i64, to: i64, first: i64) -> f64 {
        let from = from.max(to - SILENCE_MAX_NS);
        self.parts(from, to, first).map(|(_, length, share)| length as f64 * share).sum()
    }

    /// When a silence since `from` had counted for `enough`, where that was before `now`.
    pub(super) fn silent_since(&self, from: i64, enough: i64, now: i64, first: i64) -> Option<i64> {
        let mut left = enough as f64;
        let to = now.min(from.saturating_add(SILENCE_MAX_NS));
        for (begin, length, share) in self.parts(from, to, first) {
            let counted = length as f64 * share;
            if counted > 0.0 && counted >= left {
                return Some(begin + (left / share) as i64);
            }
            left -= counted;
        }
        None
    }
}

/// The half-hour since 1970 in which an instant lies.
pub(super) fn slot_of(ns: i64) -> i64 {
    (ns + JST_NS).div_euclid(SLOT_NS)
}

/// When a half-hour begins.
pub(super) fn begin_of(slot: i64) -> i64 {
    slot * SLOT_NS - JST_NS
}

/// Where the half-hour is learned: by its time of day, working days and days off apart.
fn place(slot: i64) -> usize {
    let day = slot.div_euclid(SLOTS as i64);
    let off = kind_of(day) != Day::Working;
    slot.rem_euclid(SLOTS as i64) as usize + if off { SLOTS } else { 0 }
}
