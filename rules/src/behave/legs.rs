//! Which leg to a sanitiser and which leg from it are one way through: each explains one other, and no more.
//!
//! Two legs may belong together where the second begins while the first goes on, or `within` of it; where one names the terminal for
//! which it is, that is the other's source; and where both tell how much they carried, one carries no more than `times` as much, or both
//! little. Of those that may, the ones that name the same terminal or file do first, then the nearest: in time, at one address of the
//! sanitiser, in volume. No two legs would rather have each other than what they have (a stable matching; Gale, Shapley 1962, "College
//! Admissions and the Stability of Marriage"). As both sides see one distance there is exactly one such matching, whatever came first.
//!
//! A leg whose source or destination is translated on its way has other ends behind that. Who stands there tells of the same leg: where
//! one record names the ends that another one has, and they are of one time, both are of one leg, whichever came first, between the ends
//! before the translation ([`Way::take`]).
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
    /// Its source and destination as they are seen where either has been translated; where none is, the same.
    pub(super) seen: (End, End),
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
    /// The newest of each conversation, and of each as it is seen where its ends have been translated.
    of: BTreeMap<Conversation, u64>,
    seen: BTreeMap<Conversation, u64>,
}

type Conversation = (End, End, u8);

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
        let terminals = if side == Side::First { [self.source.0, self.seen.0.0] } else { [self.behalf, 0] };
        let terminals = terminals.map(|terminal| (terminal != 0).then(|| mix(terminal)));
        terminals.into_iter().chain([(self.file != 0).then_some(self.file)]).flatten()
    }

    /// Whether a second leg says that it is for this first one's terminal.
    fn is_named_by(&self, second: &Leg) -> bool {
        second.behalf != 0 && [self.source.0, self.seen.0.0].contains(&second.behalf)
    }

    fn conversation(&self) -> Conversation {
        (self.source, self.destination, self.transport)
    }

    fn seen_conversation(&self) -> Conversation {
        (self.seen.0, self.seen.1, self.transport)
    }

    /// Whether `told` is of its time, or begins so soon after it that it goes on.
    fn goes_on(&self, told: &Leg) -> bool {
        told.start <= self.end.saturating_add(REOPENED_NS)
    }

    /// Whether both are of one time, by two devices' clocks.
    fn is_of_one_time(&self, told: &Leg) -> bool {
        self.goes_on(told) && told.goes_on(self)
    }

    /// Adds what a record tells, or what is known of the same leg otherwise.
    fn add(&mut self, told: &Leg) {
        self.start = self.start.min(told.start);
        self.end = self.end.max(told.end);
        if told.bytes > 0 && (self.bytes == 0 || self.observer == told.observer) {
            (self.bytes, self.observer) = (self.bytes.saturating_add(told.bytes), told.observer);
        }
        if self.behalf == 0 {
            self.behalf = told.behalf;
        }
        if self.file == 0 {
            self.file = told.file;
        }
        if told.conversation() != told.seen_conversation() && told.seen_conversation() == self.conversation() {
            // It is told as it was before it was translated.
            (self.event, self.time) = (told.event, told.time);
            (self.source, self.destination, self.seen) = (told.source, told.destination, told.seen);
        } else if self.conversation() == self.seen_conversation() {
            self.seen = told.seen;
        }
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

    /// Takes what a record tells: its times, volume and names. Gives the number of the leg where that is a new one. What is no news
    /// is of the newest leg of its conversation, if that has one.
    pub(super) fn take(&mut self, side: Side, told: Leg, is_news: bool, p: &Parameters) -> Option<u64> {
        let legs = self.side(side);
        let at = |of: &BTreeMap<_, u64>, conversation, is_same: &dyn Fn(&Leg) -> bool| {
            of.get(&conversation).copied().filter(|number| legs.all.get(number).is_some_and(is_same))
        };
        // An exporter's timeout may be longer than conversations are remembered.
        let same = at(&legs.of, told.conversation(), &|leg| !is_news || leg.goes_on(&told));
        let same = same.or_else(|| at(&legs.seen, told.conversation(), &|leg| leg.is_of_one_time(&told)));
        let behind = at(&legs.of, told.seen_conversation(), &|leg| leg.is_of_one_time(&told));
        let (number, twin) = match (same.or(behind), behind) {
            (None, _) => return is_news.then(|| self.add(side, told, p)),
            (Some(same), Some(behind)) if same != behind => {
                // What is decided stays.
                if self.is_decided(side, behind) { (behind, Some(same)) } else { (same, Some(behind)) }
            }
            (Some(number), _) => (number, None),
        };
        if let Some(twin) = twin.and_then(|twin| self.take_out(side, twin, p)) {
            self.extend(side, number, &twin, p);
        }
        self.extend(side, number, &told, p);
        None
    }

    /// Adds a leg and gives its number.
    fn add(&mut self, side: Side, leg: Leg, p: &Parameters) -> u64 {
        let number = self.next;
        self.next += 1;
        self.put(side, number, leg, p);
        number
    }

    fn put(&mut self, side: Side, number: u64, leg: Leg, p: &Parameters) {
        if side == Side::First {
            self.longest = self.longest.max(leg.end.saturating_sub(leg.start));
        }
        let legs = self.side_mut(side);
        legs.index(side, number, &leg);
        legs.all.insert(number, leg);
        self.seek(side, number, p);
    }

    /// Takes a leg out, as one that belongs to none; the one that it had looks anew, unless that is decided.
    fn take_out(&mut self, side: Side, number: u64, p: &Parameters) -> Option<Leg> {
        let had = if self.is_decided(side, number) { None } else { self.part(side, number) };
        let leg = self.side_mut(side).take_out(side, number)?;
        if let Some(had) = had {
            self.seek(side.across(), had, p);
        }
        Some(leg)
    }

    /// Adds what is told of a leg: all its distances change, so that it looks itself anew.
    fn extend(&mut self, side: Side, number: u64, told: &Leg, p: &Parameters) {
        let Some(mut leg) = self.take_out(side, number, p) else { return };
        leg.add(told);
        self.put(side, number, leg, p);
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
        self.side_mut(side).take_out(side, number);
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
        for (of, conversation) in self.conversations(leg) {
            let newest = of.entry(conversation).or_insert(number);
            *newest = number.max(*newest);
        }
    }

    /// Where it is found by its ends, and by those as they are seen behind a translation, if there is one.
    fn conversations(&mut self, leg: &Leg) -> impl Iterator<Item = (&mut BTreeMap<Conversation, u64>, Conversation)> {
        let (own, seen) = (leg.conversation(), leg.seen_conversation());
        [(&mut self.of, own)].into_iter().chain((seen != own).then_some((&mut self.seen, seen)))
    }

    fn take_out(&mut self, side: Side, number: u64) -> Option<Leg> {
        let leg = self.all.remove(&number)?;
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
        for (of, conversation) in self.conversations(&leg) {
            if of.get(&conversation) == Some(&number) {
                of.remove(&conversation);
            }
        }
        Some(leg)
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
mod tests;
