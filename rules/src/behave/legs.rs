//! Which leg to a sanitiser and which leg from it are one way through: each explains one other, and no more.
//!
//! Two legs may belong together where the second begins while the first goes on, or `within` of it; where one names the terminal for
//! which it is, that is the other's source; and where both tell how much they carried, one carries no more than `times` as much, or both
//! little. Of those that may, the ones that name the same terminal or file do first, then the nearest: in time, at one address of the
//! sanitiser, in volume. No two legs would rather have each other than what they have (a stable matching; Gale, Shapley 1962, "College
//! Admissions and the Stability of Marriage"). As both sides see one distance there is exactly one such matching, whatever came first.
//!
//! To find it costs comparisons with every leg of that time, or that names the same. Where there are too many, the minute is crowded: no more
//! pairs are made in it as legs come. There a leg takes one that is left when its time is over; where none is, others change theirs for it,
//! so that the crowd has as many pairs as it can ([`Way::settle`]). Each still explains one other: what goes past leaves one over.

use std::collections::{BTreeMap, BTreeSet};

use event::EventId;
use serde::{Deserialize, Serialize};

use super::Parameters;
use super::connection::End;
use super::conversation::REOPENED_NS;
use super::sketch::mix;

/// Legs that one leg is compared with, from the nearest in time on, and addresses of the sanitiser that are looked at for them. Where that is
/// not all, its minute is crowded.
const COMPARED_MAX: usize = 2048;
/// Legs that one new leg may part from what they had, one after the other. Where that is not all, its minute is crowded.
const PARTED_MAX: usize = 64;
/// Legs that may change theirs for one that is left over in a crowd, the nearest in time; and comparisons to find them, for all legs whose time
/// is over within a minute. Where that is not all, any leg of the right time, volume and terminal is enough.
const CHANGED_MAX: usize = 8192;
const CHANGE_COMPARED_MAX: usize = 1 << 20;
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
    /// As whom its source is seen from there on, where that is translated; 0 where it is not.
    pub(super) seen_as: u128,
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

    fn ends(self) -> [(Side, u64); 2] {
        [(Side::First, self.first), (Side::Second, self.second)]
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

/// Legs by their start: how near one must be to be had by it, see [`Leg::reach`].
type Starts = BTreeMap<(i64, u64), i64>;

/// The legs of one side.
#[derive(Default, Deserialize, Serialize)]
struct Legs {
    /// By number, in the order in which they came.
    all: BTreeMap<u64, Leg>,
    /// By the sanitiser's address, and their start.
    at: BTreeMap<u128, Starts>,
    /// Those that have no other one and whose time is not over.
    left: Starts,
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
    /// The minute in which others were last sought that change theirs, and what remains of its comparisons.
    searched: (i64, usize),
}

/// There are too many legs at that time.
struct Crowded;

/// A leg that another one could be had for, were it to change its own.
struct Change {
    seeker: u64,
    /// The one that it has now, which the leg at `back` would take.
    has: u64,
    back: usize,
}

impl Leg {
    /// The sanitiser's address.
    fn at(&self, side: Side) -> u128 {
        if side == Side::First { self.destination.0 } else { self.source.0 }
    }

    /// What it names, each as a hash: its terminal, by either address, and its file.
    fn named(&self, side: Side) -> impl Iterator<Item = u64> {
        let terminals = if side == Side::First { [self.source.0, self.seen_as] } else { [self.behalf, 0] };
        let terminals = terminals.map(|terminal| (terminal != 0).then(|| mix(terminal)));
        terminals.into_iter().chain([(self.file != 0).then_some(self.file)]).flatten()
    }

    /// Whether a second leg says that it is for this first one's terminal.
    fn is_named_by(&self, second: &Leg) -> bool {
        second.behalf != 0 && [self.source.0, self.seen_as].contains(&second.behalf)
    }

    /// Nobody that is further than this, and does not name the same, can be had in place of what it has.
    fn reach(&self) -> i64 {
        match self.other {
            _ if self.decided => i64::MIN,
            None => i64::MAX,
            Some(has) if has.unnamed => has.ns,
            Some(_) => i64::MIN,
        }
    }

    /// It has no other one, and its time is not over.
    fn is_left(&self) -> bool {
        self.other.is_none() && !self.over
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

    /// Whether what is told goes on a leg that is known: an exporter's timeout may be longer than conversations are remembered.
    pub(super) fn goes_on(&self, side: Side, told: &Leg) -> bool {
        let legs = self.side(side);
        let newest = legs.of.get(&(told.source, told.destination, told.transport)).and_then(|number| legs.all.get(number));
        newest.is_some_and(|leg| told.start <= leg.end.saturating_add(REOPENED_NS))
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
        if leg.seen_as == 0 {
            leg.seen_as = told.seen_as;
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
        self.side_mut(side).change(side, number, |leg| (leg.decided, leg.over) = (true, true));
        let Some(leg) = self.get(side, number) else { return true };
        let Some(other) = leg.other else { return false };
        self.side_mut(side.across()).change(side.across(), other.across(side), |leg| leg.decided = true);
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

    /// Gives the zones of the legs other numbers. A leg of a zone that has none any more is forgotten.
    pub(super) fn renumber(&mut self, zone: impl Fn(u16) -> Option<u16>) {
        for side in [Side::First, Side::Second] {
            let legs = self.side_mut(side).all.iter_mut();
            let gone: Vec<u64> = legs
                .filter_map(|(number, leg)| match (zone(leg.from), zone(leg.to)) {
                    (Some(from), Some(to)) => {
                        (leg.from, leg.to) = (from, to);
                        None
                    }
                    _ => Some(*number),
                })
                .collect();
            gone.into_iter().for_each(|number| self.remove(side, number));
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
        let other = self.get(side, number)?.other?.across(side);
        self.side_mut(side).change(side, number, |leg| leg.other = None);
        self.side_mut(side.across()).change(side.across(), other, |leg| leg.other = None);
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
            self.join(distance);
        }
        if let Some(leg) = seeking.and_then(|number| self.get(side, number)) {
            self.crowd(leg.start.div_euclid(MINUTE_NS));
        }
    }

    fn join(&mut self, distance: Distance) {
        for (side, number) in distance.ends() {
            self.side_mut(side).change(side, number, |leg| leg.other = Some(distance));
        }
    }

    /// In a crowd, when the time of a leg is over that has no other one: finds it one, also where others change theirs for it. What has one
    /// keeps one; so no crowd has more pairs (augmenting paths; Berge 1957, "Two Theorems in Graph Theory"). But whose own time is not over
    /// gives its up where there is no other way: it looks again when that is over, and what is its may not have been told yet. Says whether
    /// all that may change was looked at.
    pub(super) fn settle(&mut self, side: Side, number: u64, p: &Parameters) -> bool {
        if let Some(distance) = self.nearest_left(side, number, p) {
            self.join(distance);
            return true;
        }
        let Some(minute) = self.get(side, number).map(|leg| leg.due.div_euclid(MINUTE_NS)) else { return true };
        if self.searched.0 != minute {
            self.searched = (minute, CHANGE_COMPARED_MAX);
        }
        let mut remain = self.searched.1;
        let pairs = self.changes(side, number, &mut remain, p);
        self.searched.1 = remain;
        let Ok(pairs) = pairs else { return false };
        if let Some(last) = pairs.first() {
            self.part(side.across(), last.across(side));
        }
        for distance in pairs {
            self.join(distance);
            if distance.ends().iter().any(|(side, number)| self.is_decided(*side, *number)) {
                for (side, number) in distance.ends() {
                    self.side_mut(side).change(side, number, |leg| leg.decided = true);
                }
            }
        }
        true
    }

    /// The one that began nearest of those that have no other one.
    fn nearest_left(&self, side: Side, number: u64, p: &Parameters) -> Option<Distance> {
        let (leg, across) = (self.get(side, number)?, self.side(side.across()));
        let mut near = self.by_start(side, leg, &across.left, p).take(COMPARED_MAX);
        near.find_map(|(_, at, _)| distance(pair(side, (number, leg), (at, across.all.get(&at)?)), p))
    }

    /// The pairs to make so that a leg has another one, and each that has one now and whose time is over has one then; none where there is no
    /// such way.
    fn changes(&self, side: Side, number: u64, remain: &mut usize, p: &Parameters) -> Result<Vec<Distance>, Crowded> {
        let across = self.side(side.across());
        let Some(start) = self.get(side, number).map(|leg| leg.start) else { return Ok(Vec::new()) };
        let each = CHANGED_MAX / across.at.len().max(1);
        let near = across.at.values().flat_map(|starts| outwards(starts, start, (i64::MIN, i64::MAX)).take(each));
        let mut unseen: BTreeSet<(i64, u64)> = near.filter_map(|(_, at, _)| Some((across.all.get(&at)?.start, at))).collect();
        *remain = remain.saturating_sub(unseen.len());
        let (mut reached, mut at, mut gives) = (vec![Change { seeker: number, has: 0, back: 0 }], 0, None);
        while let Some(&Change { seeker, .. }) = reached.get(at) {
            at += 1;
            let Some(leg) = self.get(side, seeker) else { continue };
            let (from, to) = self.span(side, leg, p);
            let in_time: Vec<(i64, u64)> = unseen.range((from, 0)..=(to.max(from), u64::MAX)).copied().collect();
            for (start, other) in in_time {
                *remain = remain.checked_sub(1).ok_or(Crowded)?;
                let Some(o) = across.all.get(&other) else { continue };
                let Some(distance) = distance(pair(side, (seeker, leg), (other, o)), p) else { continue };
                unseen.remove(&(start, other));
                match o.other.map(|has| has.across(side.across())) {
                    Some(seeker) => {
                        if gives.is_none() && !o.decided && self.is_crowded(side, seeker, p) {
                            gives = Some((at - 1, distance));
                        }
                        reached.push(Change { seeker, has: other, back: at - 1 });
                    }
                    None if o.over => {}
                    None => return Ok(self.along(side, &reached, at - 1, distance, p)),
                }
            }
        }
        Ok(gives.map_or_else(Vec::new, |(at, distance)| self.along(side, &reached, at, distance, p)))
    }

    /// The pairs of a way found: the last one takes what is left, each one before it what the one after it had.
    fn along(&self, side: Side, reached: &[Change], mut at: usize, last: Distance, p: &Parameters) -> Vec<Distance> {
        let across = self.side(side.across());
        let mut pairs = vec![last];
        while at > 0 {
            let Change { has, back, .. } = reached[at];
            let seeker = reached[back].seeker;
            let legs = self.get(side, seeker).zip(across.all.get(&has));
            pairs.extend(legs.and_then(|(leg, other)| distance(pair(side, (seeker, leg), (has, other)), p)));
            at = back;
        }
        pairs
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
            for (near, other, reach) in self.by_start(side, leg, starts, p) {
                let ns = near.saturating_add(apart);
                if best.is_some_and(|best| ns > best.ns) {
                    break;
                }
                one_more()?;
                if ns <= reach {
                    best = best.into_iter().chain(to(other)).min();
                }
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

    /// Legs of the other side that may be near enough in time, as [`outwards`] gives them.
    fn by_start<'w>(
        &self,
        side: Side,
        leg: &Leg,
        starts: &'w Starts,
        p: &Parameters,
    ) -> impl Iterator<Item = (i64, u64, i64)> + use<'w> {
        outwards(starts, leg.start, self.span(side, leg, p))
    }

    /// Whether a leg could belong to any of the other side, also to one that explains another.
    pub(super) fn belongs(&self, side: Side, number: u64, p: &Parameters) -> bool {
        let Some(leg) = self.get(side, number) else { return false };
        let across = self.side(side.across());
        let mut near =
            across.at.values().take(COMPARED_MAX).flat_map(|starts| self.by_start(side, leg, starts, p).take(COMPARED_MAX));
        near.any(|(_, at, _)| {
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
            for (near, other, _) in self.by_start(side, leg, starts, p).take(COMPARED_MAX) {
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
    fn change(&mut self, side: Side, number: u64, change: impl FnOnce(&mut Leg)) {
        let Some(leg) = self.all.get_mut(&number) else { return };
        change(leg);
        let (at, start, reach, left) = (leg.at(side), (leg.start, number), leg.reach(), leg.is_left());
        self.place(at, start, reach, left);
    }

    fn place(&mut self, at: u128, start: (i64, u64), reach: i64, left: bool) {
        self.at.entry(at).or_default().insert(start, reach);
        if left {
            self.left.insert(start, reach);
        } else {
            self.left.remove(&start);
        }
    }

    fn index(&mut self, side: Side, number: u64, leg: &Leg) {
        self.place(leg.at(side), (leg.start, number), leg.reach(), leg.is_left());
        self.named.extend(leg.named(side).map(|name| (name, number)));
    }

    fn forget(&mut self, side: Side, number: u64, leg: &Leg) {
        self.left.remove(&(leg.start, number));
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

/// Legs that began between two times, the nearest to `start` first: how far, its number, its reach.
fn outwards(starts: &Starts, start: i64, (from, to): (i64, i64)) -> impl Iterator<Item = (i64, u64, i64)> + use<'_> {
    let mut before = starts.range((from.min(start), 0)..(start, 0)).rev().peekable();
    let mut after = starts.range((start, 0)..=(to.max(start), u64::MAX)).peekable();
    std::iter::from_fn(move || {
        let gone = before.peek().map(|((at, _), _)| start.saturating_sub(*at));
        let comes = after.peek().map(|((at, _), _)| at.saturating_sub(start));
        let (ns, next) = match (gone, comes) {
            (Some(gone), comes) if comes.is_none_or(|comes| gone < comes) => (gone, before.next()),
            (_, comes) => (comes?, after.next()),
        };
        next.map(|((_, number), reach)| (ns, *number, *reach))
    })
}

type Numbered<'l> = (u64, &'l Leg);

/// Two legs, the first one first.
fn pair<'l>(side: Side, one: Numbered<'l>, other: Numbered<'l>) -> (Numbered<'l>, Numbered<'l>) {
    if side == Side::First { (one, other) } else { (other, one) }
}

/// How far two legs are; none where they cannot belong together.
fn distance(((a, first), (b, second)): (Numbered<'_>, Numbered<'_>), p: &Parameters) -> Option<Distance> {
    let same_file = first.file != 0 && first.file == second.file;
    let named = same_file || first.is_named_by(second);
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
    second.behalf == 0 || first.is_named_by(second)
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
        Parameters::read(&node.value.expect("a mapping"), &Default::default()).expect("parameters")
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
            seen_as: 0,
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
        // What carries another amount than all of them is not explained by them, another one is when its time is over.
        let (side, odd) = add(&mut way, false, 100, 1);
        let (_, usual) = add(&mut way, false, 101, 60_000);
        for (number, explained) in [(odd, false), (usual, true)] {
            assert!(way.get(side, number).is_some_and(|leg| leg.other.is_none()) && way.is_crowded(side, number, &p));
            assert!(way.settle(side, number, &p));
            assert_eq!(way.decide(side, number), explained);
        }
        let later = 3_600_000;
        add(&mut way, true, later, 60_000);
        let [(_, paired), (_, left)] = [later + 1, later + 2].map(|at| add(&mut way, false, at, 60_000));
        assert!(way.get(side, paired).is_some_and(|leg| leg.other.is_some()));
        assert!(way.get(side, left).is_some_and(|leg| leg.other.is_none()) && !way.is_crowded(side, left, &p));
    }

    /// Pairs that may be made, by the places of the two legs.
    fn possible(legs: &[(Side, Leg)], p: &Parameters) -> Vec<(Distance, usize, usize)> {
        let of = |side| legs.iter().enumerate().filter(move |(_, (is, _))| *is == side);
        let all = of(Side::First).flat_map(|(a, (_, first))| of(Side::Second).map(move |(b, (_, second))| (a, first, b, second)));
        all.filter_map(|(a, first, b, second)| Some((distance(((0, first), (0, second)), p)?, a, b))).collect()
    }

    /// The most pairs that can be made of these: each first leg takes one for which another finds another (Kuhn 1955).
    fn most(pairs: &[(Distance, usize, usize)]) -> usize {
        fn takes(
            a: usize,
            pairs: &[(Distance, usize, usize)],
            seen: &mut BTreeSet<usize>,
            of: &mut BTreeMap<usize, usize>,
        ) -> bool {
            pairs.iter().filter(|pair| pair.1 == a).any(|&(_, _, b)| {
                let free = seen.insert(b) && of.get(&b).copied().is_none_or(|has| takes(has, pairs, seen, of));
                if free {
                    of.insert(b, a);
                }
                free
            })
        }
        let (firsts, mut of) = (pairs.iter().map(|pair| pair.1).collect::<BTreeSet<_>>(), BTreeMap::new());
        firsts.into_iter().filter(|a| takes(*a, pairs, &mut BTreeSet::new(), &mut of)).count()
    }

    proptest! {
        /// In a crowd, from whatever leg on it is one, there are as many pairs as there can be, each of two that may be one.
        #[test]
        fn a_crowd_has_as_many_pairs_as_it_can(all in drawn(), order in any::<u64>(), since in 0usize..40) {
            let p = parameters();
            let legs: Vec<(Side, Leg)> = all.iter().enumerate().map(|(n, one)| leg(one, n as u16)).collect();
            let mut way = Way::default();
            let mut numbers = Vec::new();
            for (n, (side, leg)) in legs.iter().enumerate() {
                if n == since {
                    (0..3).for_each(|minute| way.crowd(minute));
                }
                numbers.push((mix(u128::from(order) << 64 | n as u128), *side, way.add(*side, leg.clone(), &p)));
            }
            numbers.sort_unstable();
            for (_, side, number) in &numbers {
                let alone = way.get(*side, *number).is_some_and(|leg| leg.other.is_none());
                prop_assert!(!alone || way.settle(*side, *number, &p));
                way.decide(*side, *number);
            }
            let pairs: Vec<Distance> = way.firsts.all.values().filter_map(|leg| leg.other).collect();
            for (side, number) in pairs.iter().flat_map(|pair| [(Side::First, pair.first), (Side::Second, pair.second)]) {
                let other = way.get(side, number).and_then(|leg| leg.other);
                prop_assert!(other.is_some_and(|other| pairs.contains(&other)));
                prop_assert!(way.explained_by(side, number).is_some_and(|leg| leg.decided));
            }
            prop_assert_eq!(pairs.len(), most(&possible(&legs, &p)));
        }

        /// Against the obvious form: of all pairs the nearest is taken, and again of those that are left. In whatever order they come, and
        /// told in one record or in two.
        #[test]
        fn pairs_are_those_that_are_nearest(all in drawn(), order in any::<u64>(), twice in prop::collection::vec(any::<bool>(), 40)) {
            let p = parameters();
            let legs: Vec<(Side, Leg)> = all.iter().enumerate().map(|(n, one)| leg(one, n as u16)).collect();
            let mut pairs = possible(&legs, &p);
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
