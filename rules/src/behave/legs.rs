//! Which leg to a sanitiser and which leg from it are one way through: each explains one other, and no more.
//!
//! Two legs may belong together where the second begins while the first goes on, or `within` of it; where one names the terminal for
//! which it is, that is the other's source; and where both tell how much they carried, one carries no more than `times` as much, or both
//! little. Of those that may, the ones that name the same terminal or file do first, then the nearest: in time, at one address of the
//! sanitiser, in volume. No two legs would rather have each other than what they have (a stable matching; Gale, Shapley 1962, "College
//! Admissions and the Stability of Marriage"). As both sides see one distance there is exactly one such matching, whatever came first.
//!
//! A leg that has one is looked at only by those that may be nearer to it than that one is: they lie by how far that is, as powers of two.
//! So among many legs few are compared. Where it is still too many (thousands that none fits), the minute is crowded: no more pairs are made
//! as they come, but when the time of a leg is over, it takes the earliest of those left that may be its. Each explains one other there too:
//! taken in the order in which their times are over, as many find one as can (Glover 1967, "Maximum Matching in a Convex Bipartite Graph").

use std::collections::{BTreeMap, BTreeSet};

use event::EventId;
use serde::{Deserialize, Serialize};

use super::Parameters;
use super::connection::End;
use super::sketch::mix;

/// Legs that are compared for a new one, and for those that thereby lose what they had. Where that is not all, its minute is crowded.
const COMPARED_MAX: usize = 8192;
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
}

/// How far a pair of legs is, least first; no two pairs are as far.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) struct Distance {
    /// They do not name the same terminal or file.
    unnamed: bool,
    ns: i64,
    first: u64,
    second: u64,
    /// How much of it is more than the distance of two addresses.
    beyond: i64,
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
    pub(super) fn across(self) -> Side {
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

/// Where legs that are not decided are sought.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
enum Place {
    /// By the hash of what they name, see [`Leg::named`].
    Named(u64),
    /// By the sanitiser's address.
    At(u128),
    Anywhere,
}

/// How far a leg may be to one that lies under `n`, if it is to be nearer than what that has: less than 2 to the power of `n` nanoseconds.
type Reach = u8;

/// What has no other one is within everybody's reach.
const ALONE: Reach = 64;

/// The legs of one side.
#[derive(Default, Deserialize, Serialize)]
struct Legs {
    /// By number, in the order in which they came.
    all: BTreeMap<u64, Leg>,
    /// By their start.
    starts: BTreeSet<(i64, u64)>,
    /// Those that are not decided, by their start.
    open: BTreeMap<(Place, Reach), BTreeSet<(i64, u64)>>,
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

    /// Where it is sought, and by whom: what names the same goes before what is near.
    fn places(&self, side: Side) -> impl Iterator<Item = (Place, Reach)> {
        let reach = |ns: i64| (i64::BITS - ns.leading_zeros()) as Reach;
        let named = self.other.filter(|has| !has.unnamed).map_or(ALONE, |has| reach(has.ns));
        let (near, far) = match self.other {
            None => (Some(ALONE), Some(ALONE)),
            Some(has) if has.unnamed => (Some(reach(has.ns)), (has.beyond >= 0).then(|| reach(has.beyond))),
            Some(_) => (None, None),
        };
        let places = self.named(side).map(move |name| (Place::Named(name), named));
        let places = places.chain(near.map(|reach| (Place::At(self.at(side)), reach)));
        places.chain(far.map(|reach| (Place::Anywhere, reach))).filter(|_| !self.decided)
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
        legs.put(side, number, leg);
        self.seek(side, number, p);
        number
    }

    /// Adds what a further record tells of the newest leg of a conversation; `told` has that record's times, volume and names.
    pub(super) fn extend(&mut self, side: Side, told: &Leg, p: &Parameters) {
        let legs = self.side_mut(side);
        let Some(number) = legs.of.get(&(told.source, told.destination, told.transport)).copied() else { return };
        let Some(mut leg) = legs.take(side, number) else { return };
        // All its distances change: the one that it has looks anew without it, and then it looks itself.
        if !leg.decided
            && let Some(had) = leg.other.take().map(|distance| distance.across(side))
        {
            self.side_mut(side.across()).change(side.across(), had, |had| had.other = None);
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
        self.side_mut(side).put(side, number, leg);
        self.seek(side, number, p);
    }

    /// The time of a leg is over: it keeps the one that it has, and that one keeps it and need not be looked at any more; gives that one.
    pub(super) fn decide(&mut self, side: Side, number: u64) -> Option<u64> {
        let decide = |leg: &mut Leg| leg.decided = true;
        self.side_mut(side).change(side, number, decide);
        let other = self.get(side, number)?.other?.across(side);
        self.side_mut(side.across()).change(side.across(), other, decide);
        Some(other)
    }

    /// Forgets a leg.
    pub(super) fn remove(&mut self, side: Side, number: u64) {
        let legs = self.side_mut(side);
        let Some(leg) = legs.take(side, number) else { return };
        let conversation = (leg.source, leg.destination, leg.transport);
        if legs.of.get(&conversation) == Some(&number) {
            legs.of.remove(&conversation);
        }
        if self.firsts.all.is_empty() {
            self.longest = 0;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.firsts.all.is_empty() && self.seconds.all.is_empty()
    }

    /// Finds the other one of a leg that has none: the nearest of those that it is nearer to than what they have. Who thereby loses its
    /// own looks again.
    fn seek(&mut self, side: Side, number: u64, p: &Parameters) {
        let (mut seeking, mut left) = (Some(number), COMPARED_MAX);
        while let Some(number) = seeking {
            let Some(minute) = self.get(side, number).map(|leg| leg.start.div_euclid(MINUTE_NS)) else { return };
            if self.crowded.contains(&minute) {
                return;
            }
            let distance = match self.nearest(side, number, &mut left, p) {
                Ok(Some(distance)) => distance,
                Ok(None) => return,
                Err(Crowded) => return self.crowd(minute),
            };
            seeking = self.join(side, distance);
        }
    }

    /// Makes a pair; gives what the one across from `side` had before.
    fn join(&mut self, side: Side, distance: Distance) -> Option<u64> {
        let across = side.across();
        let had = self.get(across, distance.across(side)).and_then(|leg| leg.other).map(|had| had.across(across));
        if let Some(had) = had {
            self.side_mut(side).change(side, had, |leg| leg.other = None);
        }
        for (side, number) in [(Side::First, distance.first), (Side::Second, distance.second)] {
            self.side_mut(side).change(side, number, |leg| leg.other = Some(distance));
        }
        had
    }

    /// In a crowd, at the end of a leg's time: the earliest of those that have no other one and may be its, what names the same first. Says
    /// whether there is one.
    pub(super) fn settle(&mut self, side: Side, number: u64, p: &Parameters) -> bool {
        let found = self.earliest(side, number, p);
        if let Some(distance) = found {
            self.join(side, distance);
        }
        found.is_some()
    }

    fn earliest(&self, side: Side, number: u64, p: &Parameters) -> Option<Distance> {
        let leg = self.get(side, number).filter(|leg| leg.other.is_none() && !leg.decided)?;
        let across = self.side(side.across());
        let (from, to) = self.span(side, leg, p);
        let places = leg.named(side).map(Place::Named).chain([Place::Anywhere]);
        let alone = places.filter_map(|place| across.open.get(&(place, ALONE)));
        let mut near = alone.flat_map(|starts| starts.range((from, 0)..=(to.max(from), u64::MAX))).take(COMPARED_MAX);
        near.find_map(|(_, at)| distance(pair(side, (number, leg), (*at, across.all.get(at)?)), p))
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

    fn nearest(&self, side: Side, number: u64, left: &mut usize, p: &Parameters) -> Result<Option<Distance>, Crowded> {
        let Some(leg) = self.get(side, number).filter(|leg| !leg.decided && leg.other.is_none()) else { return Ok(None) };
        let mut best: Option<Distance> = None;
        for name in leg.named(side) {
            self.nearest_at(Place::Named(name), 0, (side, number, leg), (&mut best, left), p)?;
        }
        if best.is_none() {
            self.nearest_at(Place::At(leg.at(side)), 0, (side, number, leg), (&mut best, left), p)?;
            self.nearest_at(Place::Anywhere, p.within, (side, number, leg), (&mut best, left), p)?;
        }
        Ok(best)
    }

    /// Looks in one place, where all are `apart` at least, for what is nearer than the best so far.
    fn nearest_at(
        &self,
        place: Place,
        apart: i64,
        (side, number, leg): (Side, u64, &Leg),
        (best, left): (&mut Option<Distance>, &mut usize),
        p: &Parameters,
    ) -> Result<(), Crowded> {
        let across = self.side(side.across());
        for ((_, reach), starts) in across.open.range((place, 0)..=(place, ALONE)).rev() {
            let reach = 1_i64.checked_shl(u32::from(*reach)).filter(|reach| *reach > 0).unwrap_or(i64::MAX);
            for (near, other) in self.by_start(side, leg, starts, p) {
                if near >= reach || best.is_some_and(|best| near.saturating_add(apart) > best.ns) {
                    break;
                }
                *left = left.checked_sub(1).ok_or(Crowded)?;
                let Some(o) = across.all.get(&other) else { continue };
                let nearer = distance(pair(side, (number, leg), (other, o)), p)
                    .filter(|distance| o.other.is_none_or(|has| *distance < has))
                    .filter(|distance| !distance.unnamed || !matches!(place, Place::Named(_)));
                *best = best.iter().copied().chain(nearer).min();
            }
        }
        Ok(())
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

    /// Legs of the other side that may be near enough in time, also those that explain another; the nearest ones.
    fn at_its_time<'w>(&'w self, side: Side, leg: &Leg, p: &Parameters) -> impl Iterator<Item = (i64, u64, &'w Leg)> + use<'w> {
        let across = self.side(side.across());
        let near = self.by_start(side, leg, &across.starts, p).take(COMPARED_MAX);
        near.filter_map(|(near, number)| Some((near, number, across.all.get(&number)?)))
    }

    /// Whether a leg could belong to any of the other side, also to one that explains another.
    pub(super) fn belongs(&self, side: Side, number: u64, p: &Parameters) -> bool {
        self.get(side, number).is_some_and(|leg| {
            self.at_its_time(side, leg, p).any(|(_, at, other)| {
                let ((_, first), (_, second)) = pair(side, (number, leg), (at, other));
                in_time(first, second, p) && same_terminal(first, second) && fits(first, second, p)
            })
        })
    }

    /// What there is of the other side at a leg's time.
    pub(super) fn others(&self, side: Side, number: u64, p: &Parameters) -> Others {
        let mut others = Others::default();
        let Some(leg) = self.get(side, number) else { return others };
        for (near, other, o) in self.at_its_time(side, leg, p) {
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
        others
    }

    /// What explains a leg.
    pub(super) fn explained_by(&self, side: Side, number: u64) -> Option<&Leg> {
        self.get(side.across(), self.get(side, number)?.other?.across(side))
    }
}

impl Legs {
    fn put(&mut self, side: Side, number: u64, leg: Leg) {
        self.starts.insert((leg.start, number));
        for place in leg.places(side) {
            self.open.entry(place).or_default().insert((leg.start, number));
        }
        self.all.insert(number, leg);
    }

    fn take(&mut self, side: Side, number: u64) -> Option<Leg> {
        let leg = self.all.remove(&number)?;
        self.starts.remove(&(leg.start, number));
        for place in leg.places(side) {
            let Some(starts) = self.open.get_mut(&place) else { continue };
            starts.remove(&(leg.start, number));
            if starts.is_empty() {
                self.open.remove(&place);
            }
        }
        Some(leg)
    }

    /// Changes a leg, if it is there: it is sought elsewhere then.
    fn change(&mut self, side: Side, number: u64, change: impl FnOnce(&mut Leg)) {
        if let Some(mut leg) = self.take(side, number) {
            change(&mut leg);
            self.put(side, number, leg);
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
    Some(Distance { unnamed: !named, ns, first: a, second: b, beyond: ns - p.within })
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
        };
        (side, leg)
    }

    fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
        let one = (any::<bool>(), 0i64..120_000, 0i64..20_000, 0u8..3, 0u16..60_000, 0u8..4, 0u8..6);
        prop::collection::vec(one, 1..40)
    }

    fn add(way: &mut Way, drawn: Drawn, p: &Parameters) -> (Side, u64) {
        let (side, leg) = leg(&drawn, (way.next % 60_000) as u16);
        (side, way.add(side, leg, p))
    }

    fn other(way: &Way, (side, number): (Side, u64)) -> Option<u64> {
        way.get(side, number)?.other.map(|has| has.across(side))
    }

    /// Sessions a second for a minute, through three addresses or each on from another one. What is made of them is up to twice as much, up to
    /// 200 ms later. One of the second legs is nobody's. Says whether any minute was crowded, and how many legs have no other one in the end.
    fn busy(sessions: i64) -> (bool, usize) {
        let (p, mut way, mut seed) = (parameters(), Way::default(), 7);
        let mut draw = |below: u64| {
            seed = mix(u128::from(seed));
            (seed % below) as i64
        };
        let mut legs: Vec<Drawn> = vec![(false, 30_001, 900, 1, 300, 2, 0)];
        for n in 0..sessions * 60 {
            let (start, at, kibibytes) = (n * 1000 / sessions, draw(3) as u8, draw(4000) as u16);
            let on = if draw(2) == 0 { at } else { 2 - at };
            legs.push((true, start, 900, at, kibibytes, 0, 0));
            legs.push((false, start + 1 + draw(200), 900, on, kibibytes + draw(4000) as u16, 2, 0));
        }
        legs.sort_by_key(|leg| leg.1);
        let added: Vec<(Side, u64)> = legs.into_iter().map(|leg| add(&mut way, leg, &p)).collect();
        for (side, number) in &added {
            if way.is_crowded(*side, *number, &p) {
                way.settle(*side, *number, &p);
            }
            way.decide(*side, *number);
        }
        (!way.crowded.is_empty(), added.into_iter().filter(|leg| other(&way, *leg).is_none()).count())
    }

    #[test]
    fn what_goes_past_is_found_among_the_sessions_of_a_town_and_in_a_crowd() {
        assert_eq!(busy(30), (false, 1));
        assert_eq!(busy(300), (true, 1));
    }

    #[test]
    fn where_too_many_fit_none_the_legs_take_the_earliest_left_each_one_and_later_ones_are_compared_again() {
        let (p, mut way) = (parameters(), Way::default());
        for at in 0..COMPARED_MAX as i64 {
            add(&mut way, (true, at, 0, 0, 60_000, 3, 0), &p);
        }
        // What carries another amount than all of them is told apart from them by nobody else's other leg.
        let (side, odd) = add(&mut way, (false, 100, 0, 0, 1, 3, 0), &p);
        assert!(way.is_crowded(side, odd, &p) && !way.settle(side, odd, &p) && !way.belongs(side, odd, &p));
        let fits = [(false, 101, 0, 0, 1, 3, 0), (true, 102, 0, 0, 2, 3, 0), (false, 103, 0, 0, 2, 3, 0)];
        let [one, first, two] = fits.map(|leg| add(&mut way, leg, &p));
        assert_eq!([one, first, two].map(|leg| other(&way, leg)), [None; 3]);
        assert!(way.settle(first.0, first.1, &p));
        let taken = [(side, odd), one, two].map(|leg| other(&way, leg));
        assert_eq!(taken, [Some(first.1), None, None], "the earliest, and no more than one");
        let later = 3_600_000;
        let [_, paired, left] = [(true, 0), (false, 1), (false, 2)]
            .map(|(is_first, ms)| add(&mut way, (is_first, later + ms, 0, 0, 60_000, 3, 0), &p));
        assert!(other(&way, paired).is_some() && other(&way, left).is_none() && !way.is_crowded(side, left.1, &p));
    }

    /// How many pairs there can be at most: each first leg takes a second one, and who has that another (Kuhn 1955).
    fn most(may: &[Vec<usize>], seconds: usize) -> usize {
        fn find(first: usize, may: &[Vec<usize>], seen: &mut [bool], has: &mut [Option<usize>]) -> bool {
            may[first].iter().any(|second| {
                if std::mem::replace(&mut seen[*second], true) {
                    return false;
                }
                let free = has[*second].is_none_or(|other| find(other, may, seen, has));
                if free {
                    has[*second] = Some(first);
                }
                free
            })
        }
        let mut has = vec![None; seconds];
        (0..may.len()).filter(|first| find(*first, may, &mut vec![false; seconds], &mut has)).count()
    }

    proptest! {
        #[test]
        fn in_a_crowd_as_many_legs_find_one_as_can(all in drawn()) {
            let (p, mut way) = (parameters(), Way::default());
            way.crowded.extend(-1..5);
            // Whoever it is, and little.
            let plain = |(is_first, start, length, at, kibibytes, ..): Drawn| {
                (is_first, start, length, at, kibibytes % 4000, 2, 0)
            };
            let added: Vec<(Side, u64)> = all.into_iter().map(|leg| add(&mut way, plain(leg), &p)).collect();
            let of = |side| added.iter().filter(move |leg| leg.0 == side).map(|leg| leg.1).collect::<Vec<u64>>();
            let (mut firsts, seconds) = (of(Side::First), of(Side::Second));
            let leg = |side, number| way.get(side, number).expect("there");
            let may = firsts.iter().map(|first| {
                let fits = |second: &&u64| in_time(leg(Side::First, *first), leg(Side::Second, **second), &p);
                (0..seconds.len()).filter(|at| fits(&&seconds[*at])).collect()
            });
            let most = most(&may.collect::<Vec<Vec<usize>>>(), seconds.len());
            firsts.sort_by_key(|first| way.get(Side::First, *first).map(|leg| leg.end));
            let mut found = 0;
            for first in firsts {
                prop_assert!(way.get(Side::First, first).is_some_and(|leg| leg.other.is_none()));
                found += usize::from(way.settle(Side::First, first, &p));
                way.decide(Side::First, first);
            }
            prop_assert_eq!(found, most);
        }

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
