//! One group's window, and what it measures: kept up to date as events enter and leave, never computed anew.
//!
//! | measured | state | cost of an event |
//! |---|---|---|
//! | events | their number | O(1) |
//! | different values | how often each value is there | O(1) |
//! | sum, average | an exact sum | O(1) |
//! | percentile, median | two heaps that meet at the rank | O(log n), mostly less |
//! | rules | per rule when it last happened | O(rules) |
//! | rules in order | per step the latest start of a chain that has come so far | O(1) |
//!
//! Events enter in the order of their time. Windows of one rule and tenant share the buffers in [`Pool`].

use std::cmp::Ordering;

use event::{EventId, Position};
use hashbrown::DefaultHashBuilder;

use super::encode;
use super::plan::{Asks, Formula, Measure};
use super::rank::{Halves, Numbers};
use super::short::Short;
use super::snapshot::{In, Out};
use super::sum::Sum;
use crate::sigma::item::{Number, Order};
use crate::table::{Index, NONE, hash_of};

/// Entries of one window; the oldest gives way (counted). As many as a count can reach.
pub const ENTRIES_PER_WINDOW_MAX: usize = 100_000;

/// No instant: before all others, and far enough from the end that a timespan can be taken away.
const NEVER: i64 = i64::MIN;

/// Things at places that are used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn put(&mut self, item: T) -> u32 {
        match self.free.pop() {
            Some(at) => {
                self.items[at as usize] = item;
                at
            }
            None => {
                self.items.push(item);
                (self.items.len() - 1) as u32
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// The place may be used again; what lies there stays until then.
    pub(super) fn release(&mut self, at: u32) {
        self.free.push(at);
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.items[at as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.items[at as usize]
    }
}

/// An event in a window; 32 bytes, for there are millions.
#[derive(Clone, Copy, Debug)]
struct Entry {
    time: i64,
    offset: u64,
    partition: u32,
    value: u32,
    next: u32,
    nth: u16,
}

const _: () = assert!(size_of::<Entry>() == 32);

/// A value that counts: of which window, and in how many of its entries.
#[derive(Debug)]
struct Valued {
    window: u32,
    count: u32,
    hash: u32,
    bytes: Short,
}

/// The entries and values of all windows of one rule and tenant.
#[derive(Debug, Default)]
pub(super) struct Pool {
    entries: Slab<Entry>,
    /// Numbers that are added up or ranked.
    numbers: Numbers,
    values: Slab<Valued>,
    by_value: Index,
    hasher: DefaultHashBuilder,
    /// About how much memory all that takes but the numbers.
    bytes: usize,
}

/// What a window measures.
#[derive(Debug)]
pub(super) enum State {
    Events,
    Values(u32),
    Sum(Box<Sum>),
    Rank(Box<Halves>),
    /// Instants: per place the last, or for chains per step the latest start and then per place the last.
    Times(Box<[i64]>),
}

/// One group's window.
#[derive(Debug)]
pub(super) struct Window {
    first: u32,
    last: u32,
    /// How many entries there are.
    pub(super) len: u32,
    /// How many of them have come since the window last satisfied its correlation.
    pub(super) unheard: u32,
    /// When the last one happened.
    pub(super) last_time: i64,
    state: State,
}

/// Beside its size in the slab, what a window takes for a state that lies elsewhere.
pub(super) fn state_bytes(asks: &Asks) -> usize {
    match &asks.measure {
        Measure::Events | Measure::Values => 0,
        Measure::Sum | Measure::Average => size_of::<Sum>(),
        Measure::Rank(_) => size_of::<Halves>(),
        measure => times_len(measure, asks.places) * size_of::<i64>(),
    }
}

fn times_len(measure: &Measure, places: usize) -> usize {
    match measure {
        Measure::Chain { steps, .. } => usize::from(*steps) + places,
        Measure::Ordered => places * places,
        _ => places,
    }
}

/// An event on its way into a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entering<'e> {
    /// Where it stands in time.
    pub(super) time: i64,
    pub(super) event: EventId,
    /// The rules that it satisfies, ascending.
    pub(super) places: &'e [u16],
    /// What counts of it; empty where nothing does.
    pub(super) value: &'e [u8],
}

/// What an event's entry has decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// The window does not satisfy the correlation.
    No,
    /// It does. The evidence begins at this instant.
    Holds(i64),
    /// It does unless something happens until the window that begins here has ended.
    Unless(i64),
}

impl Window {
    pub(super) fn new(asks: &Asks) -> Window {
        let state = match &asks.measure {
            Measure::Events => State::Events,
            Measure::Values => State::Values(0),
            Measure::Sum | Measure::Average => State::Sum(Box::default()),
            Measure::Rank(_) => State::Rank(Box::default()),
            measure => State::Times(vec![NEVER; times_len(measure, asks.places)].into()),
        };
        Window { first: NONE, last: NONE, len: 0, unheard: 0, last_time: NEVER, state }
    }

    /// Something that hangs on what an event's entry will need, for [`super::groups::Groups::warm`].
    pub(super) fn touch(&self, pool: &Pool) -> u64 {
        let time = |at: u32| if at == NONE { 0 } else { pool.entries[at].time as u64 };
        let state = match &self.state {
            State::Events | State::Values(_) => 0,
            State::Sum(sum) => sum.touch(),
            State::Rank(halves) => halves.touch(),
            State::Times(times) => times.first().map_or(0, |time| *time as u64),
        };
        time(self.first) ^ time(self.last) ^ state
    }

    /// Where the first entry lies.
    pub(super) fn first_entry(&self) -> u32 {
        self.first
    }

    /// An event enters; those that have left the timespan leave first. `index` is the window's own number in its pool. Gives the decision,
    /// and how many entries gave way for the bound.
    pub(super) fn enter(&mut self, pool: &mut Pool, asks: &Asks, index: u32, entering: Entering<'_>) -> (Decision, u64) {
        let Entering { time, event, places, value } = entering;
        // One that was taken early may stand before the last; the window's own time does not go back.
        let time = time.max(self.last_time).max(NEVER + 1);
        let oldest = time.saturating_sub(asks.timespan_ns).max(NEVER + 1);
        while self.first != NONE && pool.entries[self.first].time < oldest {
            self.leave(pool, asks);
        }
        let mut given_up = 0;
        while self.len as usize >= ENTRIES_PER_WINDOW_MAX {
            self.leave(pool, asks);
            given_up += 1;
        }
        self.append(pool, asks, index, time, event, value);
        self.unheard += 1;
        self.last_time = time;
        if let State::Times(times) = &mut self.state {
            happened(times, asks, time, places);
        }
        (self.decide(pool, asks, oldest, places), given_up)
    }

    /// Puts an entry at the end, and its value into what is measured.
    fn append(&mut self, pool: &mut Pool, asks: &Asks, index: u32, time: i64, event: EventId, value: &[u8]) {
        let (value, is_new) = if asks.adds_up() {
            (pool.put_number(value), false)
        } else if asks.counts_values() {
            pool.value(index, value)
        } else {
            (NONE, false)
        };
        let EventId { frame: Position { partition, offset }, nth } = event;
        let entry = pool.entries.put(Entry { time, offset, partition, value, next: NONE, nth });
        pool.bytes += size_of::<Entry>();
        match self.last {
            NONE => self.first = entry,
            last => pool.entries[last].next = entry,
        }
        self.last = entry;
        self.len += 1;
        match &mut self.state {
            State::Events | State::Times(_) => {}
            State::Values(different) => *different += u32::from(is_new),
            State::Sum(sum) => {
                if let Some(number) = pool.number(value) {
                    sum.add(number);
                }
            }
            State::Rank(halves) => {
                if let (true, Measure::Rank(rank)) = (value != NONE, &asks.measure) {
                    halves.enter(value, &mut pool.numbers, *rank);
                }
            }
        }
    }

    /// The oldest entry leaves.
    pub(super) fn leave(&mut self, pool: &mut Pool, asks: &Asks) {
        let at = self.first;
        let Entry { value, next, .. } = pool.entries[at];
        match &mut self.state {
            State::Events | State::Times(_) => {}
            State::Values(different) => *different -= u32::from(pool.forget(value)),
            State::Sum(sum) => {
                if let Some(number) = pool.take_number(value) {
                    sum.remove(number);
                }
            }
            State::Rank(halves) => {
                if let (true, Measure::Rank(rank)) = (value != NONE, &asks.measure) {
                    halves.leave(value, &mut pool.numbers, *rank);
                }
            }
        }
        self.release_first(pool, next);
    }

    fn release_first(&mut self, pool: &mut Pool, next: u32) {
        pool.entries.release(self.first);
        pool.bytes -= size_of::<Entry>();
        self.first = next;
        if next == NONE {
            self.last = NONE;
        }
        self.len -= 1;
        self.unheard = self.unheard.min(self.len);
    }

    /// Everything leaves.
    pub(super) fn clear(&mut self, pool: &mut Pool, asks: &Asks) {
        if let State::Rank(halves) = &mut self.state {
            halves.clear(&mut pool.numbers); // In one, not number by number.
            while self.first != NONE {
                self.release_first(pool, pool.entries[self.first].next);
            }
        }
        while self.first != NONE {
            self.leave(pool, asks);
        }
    }

    fn decide(&self, pool: &Pool, asks: &Asks, oldest: i64, places: &[u16]) -> Decision {
        let start = || pool.entries[self.first].time;
        let holds = match (&asks.measure, &self.state) {
            (Measure::Events, _) => asks.within(Number::Int(self.len.into())),
            (Measure::Values, State::Values(different)) => asks.within(Number::Int((*different).into())),
            (Measure::Sum, State::Sum(sum)) => adds_up(sum, asks, 1),
            (Measure::Average, State::Sum(sum)) => adds_up(sum, asks, self.len.into()),
            (Measure::Rank(rank), State::Rank(halves)) => halves.value(&pool.numbers, *rank).is_some_and(|n| asks.within(n)),
            (Measure::Rules, State::Times(last)) => {
                asks.within(Number::Int(last.iter().filter(|t| **t >= oldest).count() as i128))
            }
            (Measure::Ordered, State::Times(chains)) => asks.within(Number::Int(longest(chains, asks.places, oldest) as i128)),
            (Measure::Formula(formula), State::Times(last)) if !asks.absence => {
                formula.holds(false, &|place, _| last[usize::from(place)] >= oldest)
            }
            (Measure::Formula(formula), State::Times(last)) => {
                if !places.iter().any(|p| asks.wanted[usize::from(*p)]) {
                    return Decision::No;
                }
                // The shortest window that satisfies it: it begins when one of the rules last happened.
                let before = |end: i64| last.iter().copied().filter(|t| (oldest..end).contains(t)).max();
                let mut start = before(i64::MAX);
                while let Some(at) = start {
                    if stands(formula, last, at, asks.timespan_ns) {
                        return Decision::Unless(at);
                    }
                    start = before(at);
                }
                return Decision::No;
            }
            (Measure::Chain { step, steps }, State::Times(times)) => {
                let (starts, last) = times.split_at(usize::from(*steps));
                let start = starts[starts.len() - 1];
                if start < oldest {
                    return Decision::No;
                }
                if asks.absence {
                    let wanted = places.iter().any(|p| asks.wanted[usize::from(*p)]);
                    let unless = wanted && unbroken(step, last, start);
                    return if unless { Decision::Unless(start) } else { Decision::No };
                }
                true
            }
            _ => false,
        };
        if holds { Decision::Holds(start()) } else { Decision::No }
    }

    /// Whether what was asked not to happen has not, now that the window that began at `start` has ended. Gives when the last of what was
    /// asked to happen did.
    pub(super) fn has_stood(&self, asks: &Asks, start: i64) -> Option<i64> {
        let State::Times(times) = &self.state else { return None };
        let (holds, last) = match &asks.measure {
            Measure::Formula(formula) => (stands(formula, times, start, asks.timespan_ns), &times[..]),
            Measure::Chain { step, steps } => {
                let last = &times[usize::from(*steps)..];
                (unbroken(step, last, start), last)
            }
            _ => return None,
        };
        let wanted = last.iter().zip(&asks.wanted).filter(|(_, wanted)| **wanted).map(|(last, _)| *last);
        if holds { wanted.max() } else { None }
    }

    /// Appends the window to a snapshot.
    pub(super) fn save(&self, pool: &Pool, out: &mut Out) {
        out.number(self.len.into());
        out.number(self.unheard.into());
        out.signed(self.last_time);
        let mut at = self.first;
        while at != NONE {
            let entry = pool.entries[at];
            out.signed(entry.time.wrapping_sub(self.last_time));
            out.event(entry.event());
            match &self.state {
                State::Events | State::Times(_) => {}
                State::Values(_) => out.bytes(&pool.values[entry.value].bytes),
                State::Sum(_) | State::Rank(_) => {
                    let mut bytes = Vec::new();
                    if let Some(number) = pool.number(entry.value) {
                        encode::put_number_bytes(number, &mut bytes);
                    }
                    out.bytes(&bytes);
                }
            }
            at = entry.next;
        }
        if let State::Times(times) = &self.state {
            for time in times {
                out.signed(time.wrapping_sub(self.last_time));
            }
        }
    }

    /// Reads what [`Window::save`] has written into a new window. The measures are made from the entries: they are exact, so it is as if
    /// each had entered.
    pub(super) fn read(&mut self, pool: &mut Pool, asks: &Asks, index: u32, input: &mut In<'_>) -> Option<()> {
        let len = input.number()?;
        (self.unheard, self.last_time) = (input.small()?, input.signed()?);
        for _ in 0..len {
            let (time, event) = (input.signed()?.wrapping_add(self.last_time), input.event()?);
            let value = if asks.counts_values() { input.bytes()? } else { &[] };
            self.append(pool, asks, index, time, event, value);
        }
        if let State::Times(times) = &mut self.state {
            for time in times {
                *time = input.signed()?.wrapping_add(self.last_time);
            }
        }
        (self.unheard <= self.len).then_some(())
    }

    /// The window's events in their order.
    pub(super) fn events<'p>(&self, pool: &'p Pool) -> impl Iterator<Item = EventId> + use<'p> {
        let mut at = self.first;
        std::iter::from_fn(move || {
            (at != NONE).then(|| {
                let entry = pool.entries[at];
                at = entry.next;
                entry.event()
            })
        })
    }
}

impl Entry {
    fn event(&self) -> EventId {
        EventId { frame: Position { partition: self.partition, offset: self.offset }, nth: self.nth }
    }
}

/// Notes that rules have happened at `time`.
fn happened(times: &mut [i64], asks: &Asks, time: i64, places: &[u16]) {
    match &asks.measure {
        Measure::Chain { step, steps } => {
            // From the last step to the first: one event is one step, not two.
            for place in places.iter().rev().map(|p| usize::from(*p)) {
                match step[place].map(usize::from) {
                    Some(0) => times[0] = time,
                    Some(n) => times[n] = times[n].max(times[n - 1]),
                    None => {}
                }
                times[usize::from(*steps) + place] = time;
            }
        }
        Measure::Ordered => {
            // times[place × places + n]: the latest start of n + 1 rules in order that end with this one.
            let n = asks.places;
            for place in places.iter().rev().map(|p| usize::from(*p)) {
                for length in (1..=place).rev() {
                    let before = (0..place).map(|p| times[p * n + length - 1]).max().unwrap_or(NEVER);
                    times[place * n + length] = times[place * n + length].max(before);
                }
                times[place * n] = time;
            }
        }
        _ => {
            for place in places {
                times[usize::from(*place)] = time;
            }
        }
    }
}

/// How many rules have happened in their order.
fn longest(chains: &[i64], places: usize, oldest: i64) -> usize {
    (0..places).rev().find(|length| (0..places).any(|p| chains[p * places + length] >= oldest)).map_or(0, |length| length + 1)
}

/// Whether the condition holds for the window from `start`. What must not happen must not have in the timespan before it either: the
/// order is of no importance.
fn stands(formula: &Formula, last: &[i64], start: i64, timespan_ns: i64) -> bool {
    let before = start.saturating_sub(timespan_ns);
    formula.holds(false, &|place, negated| last[usize::from(place)] >= if negated { before } else { start })
}

/// Whether none of the rules without a step has happened since `start`.
fn unbroken(step: &[Option<u16>], last: &[i64], start: i64) -> bool {
    step.iter().zip(last).all(|(step, last)| step.is_some() || *last < start)
}

fn adds_up(sum: &Sum, asks: &Asks, count: i64) -> bool {
    asks.bounds.iter().all(|(order, bound)| {
        let found = sum.compare(*bound, count);
        match order {
            Order::Eq => found == Ordering::Equal,
            Order::Neq => found != Ordering::Equal,
            Order::Gt => found == Ordering::Greater,
            Order::Gte => found != Ordering::Less,
            Order::Lt => found == Ordering::Less,
            Order::Lte => found != Ordering::Greater,
        }
    })
}

impl Pool {
    /// Where the entry after this one lies.
    pub(super) fn next_entry(&self, at: u32) -> u32 {
        if at == NONE { NONE } else { self.entries[at].next }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.numbers.bytes()
    }

    /// What an entry takes, with its value.
    pub(super) fn bytes_per_entry(&self) -> usize {
        self.bytes() / self.entries.len().max(1)
    }

    /// The hash of a value of a window.
    pub(super) fn hash(&self, window: u32, bytes: &[u8]) -> u32 {
        hash_of(&self.hasher, &(window, bytes))
    }

    /// Something that hangs on where the value with a hash lies, for [`super::groups::Groups::warm`].
    pub(super) fn touch(&self, hash: u32) -> u64 {
        self.by_value.touch(hash)
    }

    /// The same of the value itself.
    pub(super) fn touch_value(&self, hash: u32) -> u64 {
        self.by_value.find(hash, |_| true).map_or(0, |at| self.values[at].count.into())
    }

    /// The place of a value of a window, and whether the window had none like it.
    fn value(&mut self, window: u32, bytes: &[u8]) -> (u32, bool) {
        let hash = self.hash(window, bytes);
        let same = |at: u32| {
            let valued = &self.values[at];
            valued.window == window && *valued.bytes == *bytes
        };
        if let Some(at) = self.by_value.find(hash, same) {
            self.values[at].count += 1;
            return (at, false);
        }
        let bytes = Short::from(bytes);
        self.bytes += Pool::bytes_of(&bytes);
        let at = self.values.put(Valued { window, count: 1, hash, bytes });
        self.by_value.insert(hash, at);
        (at, true)
    }

    /// What a value takes.
    fn bytes_of(value: &Short) -> usize {
        size_of::<Valued>() + value.elsewhere() + Index::BYTES_EACH
    }

    /// One entry less has the value; whether none is left.
    fn forget(&mut self, at: u32) -> bool {
        let valued = &mut self.values[at];
        valued.count -= 1;
        if valued.count > 0 {
            return false;
        }
        let bytes = std::mem::take(&mut valued.bytes);
        self.bytes -= Pool::bytes_of(&bytes);
        self.by_value.remove(valued.hash, at);
        self.values.release(at);
        true
    }

    /// The place of a number; no place where the bytes are none.
    fn put_number(&mut self, bytes: &[u8]) -> u32 {
        encode::number(bytes).map_or(NONE, |number| self.numbers.put(number))
    }

    fn number(&self, at: u32) -> Option<Number> {
        (at != NONE).then(|| self.numbers.get(at))
    }

    fn take_number(&mut self, at: u32) -> Option<Number> {
        let number = self.number(at)?;
        self.numbers.release(at);
        Some(number)
    }
}
