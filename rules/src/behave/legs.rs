//! Which leg to a sanitiser and which leg from it are one way through: each explains one other, and no more.
//!
//! Two legs may belong together where the second begins while the first goes on, or `within` of it; where one names the terminal for
//! which it is, that is the other's source; and where both tell how much they carried, one carries no more than `times` as much, or both
//! little. Of those that may, the ones that name the same terminal or file do first, then the nearest: in time, at one address of the
//! sanitiser, in volume. No two legs would rather have each other than what they have (a stable matching; Gale, Shapley 1962, "College
//! Admissions and the Stability of Marriage"). As both sides see one distance there is exactly one such matching, whatever came first.
//!
//! To find it costs comparisons with every leg of that time, or that names the same. Where there are too many, the minute is crowded: no more
//! pairs are made in it, and any leg of the right time, volume and terminal is enough for another.

use std::collections::{BTreeMap, BTreeSet};

use event::EventId;
use serde::{Deserialize, Serialize};

use super::Parameters;
use super::connection::End;
use super::sketch::mix;

/// Legs that one leg is compared with, from the nearest in time on, and addresses of the sanitiser that are looked at for them. Where that is
/// not all, its minute is crowded.
const COMPARED_MAX: usize = 2048;
/// Legs that one new leg may part from what they had, one after the other. Where that is not all, its minute is crowded.
const PARTED_MAX: usize = 64;
const MINUTE_NS: i64 = 60_000_000_000;
/// Crowded minutes that are remembered: longer than any leg is.
const CROWDED_MAX: usize = 26 * 60;

/// A leg: a conversation with the sanitiser, or of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Leg {
    pub(super) event: EventId,
    pub(super) transport: u8,
    pub(super) source: End,
    pub(super) destination: End,
    pub(super) from: u16,
    pub(super) to: u16,
    pub(super) time: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    /// Bytes both ways, as the device counts them that counted first; 0 where nobody did.
    pub(super) bytes: u64,
    pub(super) observer: u64,
    /// Until when the other one is waited for.
    pub(super) due: i64,
    /// The terminal that it says it is for; 0 where it does not say.
    pub(super) behalf: u128,
    /// The hash of the file that it carries; 0 where it does not say.
    pub(super) file: u64,
    /// The other leg, and how far it is.
    pub(super) other: Option<Distance>,
    /// It stays with what it has: its time is over, or that of the one that it has.
    pub(super) decided: bool,
    /// Its time is over.
    pub(super) over: bool,
}

/// How far a pair of legs is, least first; no two pairs are as far.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) struct Distance {
    /// They do not name the same terminal or file.
    unnamed: bool,
    ns: i64,
    first: u64,
    second: u64,
}

impl Distance {
    /// The leg at the other end of a pair of which one is on `side`.
    fn across(self, side: Side) -> u64 {
        if side == Side::First { self.second } else { self.first }
    }
}

/// To the sanitiser, or from it on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) enum Side {
    First,
    Second,
}

impl Side {
    fn across(self) -> Side {
        if self == Side::First { Side::Second } else { Side::First }
    }
}

/// Why the other legs at a leg's time do not explain it.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// All that are near enough in time.
    pub(super) all: u64,
    pub(super) explain_another: u64,
    pub(super) carry_other_amounts: u64,
    pub(super) for_other_terminals: u64,
    /// The nearest in time, and how far, in nanoseconds.
    pub(super) nearest: Option<(i64, u64)>,
}

/// The legs of one side.
#[derive(Default, Deserialize, Serialize)]
struct Legs {
    /// By number, in the order in which they came.
    all: BTreeMap<u64, Leg>,
    /// By the sanitiser's address, and their start.
    at: BTreeMap<u128, BTreeSet<(i64, u64)>>,
    /// By what they name: [`named`].
    named: BTreeSet<(u64, u64)>,
    /// The newest of each conversation.
    of: BTreeMap<(End, End, u8), u64>,
}

/// The legs of one invariant of one tenant.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Way {
    firsts: Legs,
    seconds: Legs,
    next: u64,
    /// How long the longest first leg was.
    longest: i64,
    /// Minutes in which legs were too many to be compared.
    crowded: BTreeSet<i64>,
}

/// There are too many legs at that time.
struct Crowded;

impl Leg {
    /// The sanitiser's address.
    fn at(&self, side: Side) -> u128 {
        if side == Side::First { self.destination.0 } else { self.source.0 }
    }

    /// What it names, each as a hash: its terminal, its file.
    fn named(&self, side: Side) -> impl Iterator<Item = u64> {
        let terminal = if side == Side::First { self.source.0 } else { self.behalf };
        [(terminal != 0).then(|| mix(terminal)), (self.file != 0).then_some(self.file)].into_iter().flatten()
    }
}

impl Way {
    fn side(&self, side: Side) -> &Legs {
        if side == Side::First { &self.firsts } else { &self.seconds }
    }

    fn side_mut(&mut self, side: Side) -> &mut Legs {
        if side == Side::First { &mut self.firsts } else { &mut self.seconds }
    }

    pub(super) fn get(&self, side: Side, number: u64) -> Option<&Leg> {
        self.side(side).all.get(&number)
    }

    /// Adds a leg and gives its number.
    pub(super) fn add(&mut self, side: Side, leg: Leg, p: &Parameters) -> u64 {
        let number = self.next;
        self.next += 1;
        if side == Side::First {
            self.longest = self.longest.max(leg.end.saturating_sub(leg.start));
        }
        let legs = self.side_mut(side);
        legs.of.insert((leg.source, leg.destination, leg.transport), number);
        legs.index(side, number, &leg);
        legs.all.insert(number, leg);
        self.seek(side, number, p);
        number
    }

    /// Adds what a further record tells of the newest leg of a conversation; `told` has that record's times, volume and names.
    pub(super) fn extend(&mut self, side: Side, told: &Leg, p: &Parameters) {
        let legs = self.side_mut(side);
        let Some(number) = legs.of.get(&(told.source, told.destination, told.transport)).copied() else { return };
        let Some(mut leg) = legs.all.remove(&number) else { return };
        legs.forget(side, number, &leg);
        // All its distances change: the one that it has looks anew without it, and then it looks itself.
        if !leg.decided
            && let Some(had) = leg.other.take().map(|distance| distance.across(side))
        {
            if let Some(had) = self.side_mut(side.across()).all.get_mut(&had) {
                had.other = None;
            }
            self.seek(side.across(), had, p);
        }
        leg.start = leg.start.min(told.start);
        leg.end = leg.end.max(told.end);
        if told.bytes > 0 && (leg.bytes == 0 || leg.observer == told.observer) {
            (leg.bytes, leg.observer) = (leg.bytes.saturating_add(told.bytes), told.observer);
        }
        if leg.behalf == 0 {
            leg.behalf = told.behalf;
        }
        if leg.file == 0 {
            leg.file = told.file;
        }
        if side == Side::First {
            self.longest = self.longest.max(leg.end.saturating_sub(leg.start));
        }
        let legs = self.side_mut(side);
        legs.index(side, number, &leg);
        legs.all.insert(number, leg);
        self.seek(side, number, p);
    }

    /// The time of a leg is over: it keeps the one that it has, and that one keeps it. Says whether it has one.
    pub(super) fn decide(&mut self, side: Side, number: u64) -> bool {
        let Some(leg) = self.side_mut(side).all.get_mut(&number) else { return true };
        (leg.decided, leg.over) = (true, true);
        let Some(other) = leg.other else { return false };
        if let Some(other) = self.side_mut(side.across()).all.get_mut(&other.across(side)) {
            other.decided = true;
        }
        true
    }

    /// Forgets a leg.
    pub(super) fn remove(&mut self, side: Side, number: u64) {
        let legs = self.side_mut(side);
        let Some(leg) = legs.all.remove(&number) else { return };
        legs.forget(side, number, &leg);
        let conversation = (leg.source, leg.destination, leg.transport);
        if legs.of.get(&conversation) == Some(&number) {
            legs.of.remove(&conversation);
        }
        if self.firsts.all.is_empty() {
            self.longest = 0;
        }
    }

    /// Whether a leg was taken out of the pairs that are still made.
    pub(super) fn is_decided(&self, side: Side, number: u64) -> bool {
        self.get(side, number).is_none_or(|leg| leg.decided)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.firsts.all.is_empty() && self.seconds.all.is_empty()
    }

    /// Takes a leg's other one from it, and gives that.
    fn part(&mut self, side: Side, number: u64) -> Option<u64> {
        let other = self.side_mut(side).all.get_mut(&number)?.other.take()?.across(side);
        self.side_mut(side.across()).all.get_mut(&other)?.other = None;
        Some(other)
    }

    /// Finds the other one of a leg that has none: the nearest of those that it is nearer to than what they have. Who thereby loses its
    /// own looks again.
    fn seek(&mut self, side: Side, number: u64, p: &Parameters) {
        let mut seeking = Some(number);
        for _ in 0..PARTED_MAX {
            let Some(number) = seeking.take() else { return };
            let Some(minute) = self.get(side, number).map(|leg| leg.start.div_euclid(MINUTE_NS)) else { return };
            if self.crowded.contains(&minute) {
                return;
            }
            let distance = match self.nearest(side, number, p) {
                Ok(Some(distance)) => distance,
                Ok(None) => return,
                Err(Crowded) => return self.crowd(minute),
            };
            let across = side.across();
            seeking = self.part(across, distance.across(side));
            for (side, number) in [(side, number), (across, distance.across(side))] {
                if let Some(leg) = self.side_mut(side).all.get_mut(&number) {
                    leg.other = Some(distance);
                }
            }
        }
        if let Some(leg) = seeking.and_then(|number| self.get(side, number)) {
            self.crowd(leg.start.div_euclid(MINUTE_NS));
        }
    }

    fn crowd(&mut self, minute: i64) {
        self.crowded.insert(minute);
        if self.crowded.len() > CROWDED_MAX {
            self.crowded.pop_first();
        }
    }

    /// Whether a leg was there in a crowded minute, or may belong to one that was.
    pub(super) fn is_crowded(&self, side: Side, number: u64, p: &Parameters) -> bool {
        self.get(side, number).is_some_and(|leg| {
            let (from, to) = self.span(side, leg, p);
            self.crowded.range(from.div_euclid(MINUTE_NS)..=to.div_euclid(MINUTE_NS)).next().is_some()
        })
    }

    fn nearest(&self, side: Side, number: u64, p: &Parameters) -> Result<Option<Distance>, Crowded> {
        let Some(leg) = self.get(side, number).filter(|leg| !leg.decided && leg.other.is_none()) else { return Ok(None) };
        let across = self.side(side.across());
        let free = |distance: &Distance, other: &Leg| !other.decided && other.other.is_none_or(|has| *distance < has);
        let to = |other: u64| {
            let o = across.all.get(&other)?;
            distance(pair(side, (number, leg), (other, o)), p).filter(|distance| free(distance, o))
        };
        let mut compared = 0;
        let mut one_more = || {
            compared += 1;
            if compared > COMPARED_MAX { Err(Crowded) } else { Ok(()) }
        };
        let mut best: Option<Distance> = None;
        for (_, other) in leg.named(side).flat_map(|name| across.named.range((name, 0)..=(name, u64::MAX))) {
            one_more()?;
            best = best.into_iter().chain(to(*other).filter(|distance| !distance.unnamed)).min();
        }
        if best.is_some() {
            return Ok(best);
        }
        for (at, starts) in &across.at {
            one_more()?;
            let apart = if *at == leg.at(side) { 0 } else { p.within };
            for (near, other) in self.by_start(side, leg, starts, p) {
                if best.is_some_and(|best| near.saturating_add(apart) > best.ns) {
                    break;
                }
                one_more()?;
                best = best.into_iter().chain(to(other)).min();
            }
        }
        Ok(best)
    }

    /// When a leg of the other side may have begun.
    fn span(&self, side: Side, leg: &Leg, p: &Parameters) -> (i64, i64) {
        match side {
            Side::First => (leg.start.saturating_sub(p.within), leg.end.saturating_add(p.within)),
            Side::Second => (leg.start.saturating_sub(p.within).saturating_sub(self.longest), leg.start.saturating_add(p.within)),
        }
    }

    /// Legs of the other side that may be near enough in time, the one that began nearest first: how far, and its number.
    fn by_start<'w>(
        &self,
        side: Side,
        leg: &Leg,
        starts: &'w BTreeSet<(i64, u64)>,
        p: &Parameters,
    ) -> impl Iterator<Item = (i64, u64)> + use<'w> {
        let (from, to) = self.span(side, leg, p);
        let start = leg.start;
        let mut before = starts.range((from.min(start), 0)..(start, 0)).rev().peekable();
        let mut after = starts.range((start, 0)..=(to.max(start), u64::MAX)).peekable();
        std::iter::from_fn(move || {
            let gone = before.peek().map(|(at, _)| start.saturating_sub(*at));
            let comes = after.peek().map(|(at, _)| at.saturating_sub(start));
            match (gone, comes) {
                (Some(ns), None) => before.next().map(|(_, other)| (ns, *other)),
                (Some(gone), Some(comes)) if gone < comes => before.next().map(|(_, other)| (gone, *other)),
                (_, Some(ns)) => after.next().map(|(_, other)| (ns, *other)),
                (None, None) => None,
            }
        })
    }

    /// Whether a leg could belong to any of the other side, also to one that explains another.
    pub(super) fn belongs(&self, side: Side, number: u64, p: &Parameters) -> bool {
        let Some(leg) = self.get(side, number) else { return false };
        let across = self.side(side.across());
        let mut near =
            across.at.values().take(COMPARED_MAX).flat_map(|starts| self.by_start(side, leg, starts, p).take(COMPARED_MAX));
        near.any(|(_, at)| {
            across.all.get(&at).is_some_and(|other| {
                let ((_, first), (_, second)) = pair(side, (number, leg), (at, other));
                in_time(first, second, p) && same_terminal(first, second) && fits(first, second, p)
            })
        })
    }

    /// What there is of the other side at a leg's time.
    pub(super) fn others(&self, side: Side, number: u64, p: &Parameters) -> Others {
        let mut others = Others::default();
        let Some(leg) = self.get(side, number) else { return others };
        let across = self.side(side.across());
        for starts in across.at.values().take(COMPARED_MAX) {
            for (near, other) in self.by_start(side, leg, starts, p).take(COMPARED_MAX) {
                let Some(o) = across.all.get(&other) else { continue };
                let (first, second) = pair(side, (number, leg), (other, o));
                if !in_time(first.1, second.1, p) {
                    continue;
                }
                others.all += 1;
                if !same_terminal(first.1, second.1) {
                    others.for_other_terminals += 1;
                } else if !fits(first.1, second.1, p) {
                    others.carry_other_amounts += 1;
                } else if o.other.is_some() {
                    others.explain_another += 1;
                }
                others.nearest = others.nearest.into_iter().chain([(near, other)]).min();
            }
        }
        others
    }

    /// What explains a leg.
    pub(super) fn explained_by(&self, side: Side, number: u64) -> Option<&Leg> {
        self.get(side.across(), self.get(side, number)?.other?.across(side))
    }
}

impl Legs {
    fn index(&mut self, side: Side, number: u64, leg: &Leg) {
        self.at.entry(leg.at(side)).or_default().insert((leg.start, number));
        self.named.extend(leg.named(side).map(|name| (name, number)));
    }

    fn forget(&mut self, side: Side, number: u64, leg: &Leg) {
        if let Some(starts) = self.at.get_mut(&leg.at(side)) {
            starts.remove(&(leg.start, number));
            if starts.is_empty() {
                self.at.remove(&leg.at(side));
            }
        }
        for name in leg.named(side) {
            self.named.remove(&(name, number));
        }
    }
}

type Numbered<'l> = (u64, &'l Leg);

/// Two legs, the first one first.
fn pair<'l>(side: Side, one: Numbered<'l>, other: Numbered<'l>) -> (Numbered<'l>, Numbered<'l>) {
    if side == Side::First { (one, other) } else { (other, one) }
}

/// How far two legs are; none where they cannot belong together.
fn distance(((a, first), (b, second)): (Numbered<'_>, Numbered<'_>), p: &Parameters) -> Option<Distance> {
    let same_file = first.file != 0 && first.file == second.file;
    let named = same_file || second.behalf != 0 && second.behalf == first.source.0;
    if !in_time(first, second, p) || !same_terminal(first, second) || !(same_file || fits(first, second, p)) {
        return None;
    }
    let apart = if first.destination.0 == second.source.0 { 0 } else { p.within };
    // What carries half as much is as far as half of `within`.
    let (less, more) = (first.bytes.min(second.bytes), first.bytes.max(second.bytes));
    let unlike = if less == 0 { 0 } else { p.within - (i128::from(p.within) * i128::from(less) / i128::from(more)) as i64 };
    let ns = first.start.abs_diff(second.start).min(i64::MAX as u64 / 2) as i64 + apart + unlike;
    Some(Distance { unnamed: !named, ns, first: a, second: b })
}

fn in_time(first: &Leg, second: &Leg, p: &Parameters) -> bool {
    (first.start.saturating_sub(p.within)..=first.end.saturating_add(p.within)).contains(&second.start)
}

fn same_terminal(first: &Leg, second: &Leg) -> bool {
    second.behalf == 0 || second.behalf == first.source.0
}

/// Whether one leg can have carried what the other did.
fn fits(first: &Leg, second: &Leg, p: &Parameters) -> bool {
    let (less, more) = (first.bytes.min(second.bytes), first.bytes.max(second.bytes));
    less == 0 || more as f64 <= p.bytes.max(less as f64 * p.times)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameters() -> Parameters {
        let node = crate::yaml::documents("type: zone\nwhat: sanitiser").into_iter().next().expect("a document");
        Parameters::read(&node.value.expect("a mapping")).expect("parameters")
    }

    /// Milliseconds of its start and length, sanitiser's address, kibibytes, terminal, file.
    type Drawn = (bool, i64, i64, u8, u16, u8, u8);

    fn leg(&(is_first, start, length, at, kibibytes, terminal, file): &Drawn, source_port: u16) -> (Side, Leg) {
        let (side, at, terminal) =
            (if is_first { Side::First } else { Side::Second }, 100 + u128::from(at), u128::from(terminal));
        let (source, destination) = if is_first { (1 + terminal, at) } else { (at, 200) };
        let (start, end) = (start * 1_000_003, (start + length) * 1_000_003);
        let leg = Leg {
            event: EventId::default(),
            transport: 6,
            source: (source, source_port),
            destination: (destination, 443),
            from: 0,
            to: 0,
            time: end,
            start,
            end,
            bytes: u64::from(kibibytes) << 10,
            observer: 1,
            due: i64::MAX,
            behalf: if is_first || terminal > 1 { 0 } else { 1 + terminal },
            file: u64::from(file.saturating_sub(3)),
            other: None,
            decided: false,
            over: false,
        };
        (side, leg)
    }

    fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
        let one = (any::<bool>(), 0i64..120_000, 0i64..20_000, 0u8..3, 0u16..60_000, 0u8..4, 0u8..6);
        prop::collection::vec(one, 1..40)
    }

    #[test]
    fn legs_of_a_crowd_are_not_compared_one_by_one_and_later_ones_are_again() {
        let (p, mut way) = (parameters(), Way::default());
        let add = |way: &mut Way, is_first: bool, start: i64, kibibytes: u16| {
            let (side, leg) = leg(&(is_first, start, 0, 0, kibibytes, 3, 0), (start % 60_000) as u16);
            (side, way.add(side, leg, &p))
        };
        for at in 0..COMPARED_MAX as i64 {
            add(&mut way, true, at, 60_000);
        }
        // What carries another amount than all of them is told apart from them by nobody else's other leg.
        let (side, odd) = add(&mut way, false, 100, 1);
        assert!(way.is_crowded(side, odd, &p) && !way.belongs(side, odd, &p));
        let (_, usual) = add(&mut way, false, 101, 60_000);
        assert!(way.get(side, usual).is_some_and(|leg| leg.other.is_none()));
        assert!(way.is_crowded(side, usual, &p) && way.belongs(side, usual, &p));
        let later = 3_600_000;
        add(&mut way, true, later, 60_000);
        let [(_, paired), (_, left)] = [later + 1, later + 2].map(|at| add(&mut way, false, at, 60_000));
        assert!(way.get(side, paired).is_some_and(|leg| leg.other.is_some()));
        assert!(way.get(side, left).is_some_and(|leg| leg.other.is_none()) && !way.is_crowded(side, left, &p));
    }

    proptest! {
        /// Against the obvious form: of all pairs the nearest is taken, and again of those that are left. In whatever order they come, and
        /// told in one record or in two.
        #[test]
        fn pairs_are_those_that_are_nearest(all in drawn(), order in any::<u64>(), twice in prop::collection::vec(any::<bool>(), 40)) {
            let p = parameters();
            let legs: Vec<(Side, Leg)> = all.iter().enumerate().map(|(n, one)| leg(one, n as u16)).collect();
            let mut pairs: Vec<(Distance, usize, usize)> = Vec::new();
            for (a, (_, first)) in legs.iter().enumerate().filter(|(_, leg)| leg.0 == Side::First) {
                for (b, (_, second)) in legs.iter().enumerate().filter(|(_, leg)| leg.0 == Side::Second) {
                    pairs.extend(distance(((0, first), (0, second)), &p).map(|distance| (distance, a, b)));
                }
            }
            pairs.sort();
            prop_assume!(pairs.windows(2).all(|two| two[0].0 < two[1].0));
            let (mut taken, mut expected) = (BTreeSet::new(), BTreeSet::new());
            for (_, a, b) in pairs {
                if !taken.contains(&a) && !taken.contains(&b) {
                    taken.extend([a, b]);
                    expected.insert((a as u16, b as u16));
                }
            }
            let mut places: Vec<usize> = (0..legs.len()).collect();
            places.sort_by_key(|n| mix(u128::from(order) << 64 | *n as u128));
            let mut way = Way::default();
            for n in places {
                let (side, leg) = &legs[n];
                if twice[n] {
                    let half = Leg { bytes: leg.bytes / 2, end: leg.start, behalf: 0, file: 0, ..leg.clone() };
                    way.add(*side, half, &p);
                    way.extend(*side, &Leg { bytes: leg.bytes - leg.bytes / 2, ..leg.clone() }, &p);
                } else {
                    way.add(*side, leg.clone(), &p);
                }
            }
            let port = |side, number| way.get(side, number).expect("there").source.1;
            let found: BTreeSet<(u16, u16)> = way.firsts.all.values().filter_map(|leg| leg.other)
                .map(|has| (port(Side::First, has.first), port(Side::Second, has.second))).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(way.seconds.all.values().filter(|leg| leg.other.is_some()).count(), expected.len());
        }
    }
}
