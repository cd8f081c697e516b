//! One event through the compiled rules: its route, the gates that its values open, the conditions of the candidates.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::limits::FIELDS_MAX;
use event::{EventRef, FieldId, LogSourceId, Value};

use super::Compiled;
use super::cache::{Cache, Slot, VALUE_BYTES_MAX};
use super::form::form_of;
use super::gate::Share;
use super::grams::Found;
use super::hash::hash;
use super::matcher::{Lengths, Matcher};
use super::plan::{Member, Plan, Tally, VAIN_SHARE};
use super::program::{self, Ask, BETWEEN, Maker, fold_value};
use crate::detect::RuleCost;
use crate::ruleset::{Body, RuleSet};
use crate::test_of::is_searched;

/// What one thread keeps between events: nothing that an answer depends on.
pub(crate) struct State {
    /// The plans of the rule set, the plan of all rules last: each with its gates as counted here.
    plans: Vec<Running>,
    /// Per log source its route, made when it is first seen.
    routes: Vec<Option<Route>>,
    /// Per test its last answer.
    answers: Vec<Answer>,
    /// Per rule the event for which it last became a candidate.
    chosen: Vec<u32>,
    event: u32,
    candidates: Vec<Candidate>,
    finds: Vec<u64>,
    gates: Vec<u32>,
    cell: CellText,
    /// The values of fields without matchers of their own, in lower case where that matters: for keywords.
    run: Vec<u8>,
    found: Found,
    cache: Cache,
    maker: Maker,
    /// How many lists of matchers there ever were: what the cache holds is of one of them.
    owners: u32,
    asked: Vec<Asked>,
    pub(crate) costs: Vec<RuleCost>,
}

/// A plan in use.
struct Running {
    plan: Arc<Plan>,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Candidate {
    member: Member,
    plan: u32,
    /// By a gate; else it has none.
    is_opened: bool,
}

/// A test's answer and, in the bits above, the running number of the event for which it was given: small, so that those of many tests
/// stay in the cache.
#[derive(Clone, Copy, Debug, Default)]
struct Answer(u32);

impl Answer {
    const NO: u32 = 0;
    const YES: u32 = 1;
    /// The gate opened, but the test asks for more.
    const PERHAPS: u32 = 2;
    const BITS: u32 = 2;

    fn new(event: u32, what: u32) -> Answer {
        Answer(event << Answer::BITS | what)
    }

    /// What it is for this event, if it was given for it.
    fn of(self, event: u32) -> Option<u32> {
        (self.0 >> Answer::BITS == event).then_some(self.0 & ((1 << Answer::BITS) - 1))
    }
}

/// Events are numbered up to here, then anew.
const EVENT_MAX: u32 = u32::MAX >> Answer::BITS;

/// The plans for one log source, merged.
#[derive(Debug, Default)]
struct Route {
    plans: Vec<u32>,
    /// What a field opens, by its number.
    fields: Vec<OfField>,
    /// The lists of fields that have matchers of their own.
    own: BTreeMap<FieldId, u16>,
    /// Gates that open where a field is there, and those of them that open where one below it is.
    here: BTreeMap<FieldId, Vec<Opens>>,
    below: BTreeMap<FieldId, Vec<Opens>>,
    /// Gates that open where fields are there, and which of them are a field's.
    present: Vec<Opens>,
    presents: Vec<(u32, u32)>,
    lists: Vec<List>,
    matchers: Vec<Matching>,
    /// The list for fields that have no matchers of their own, but for keywords.
    others: Option<u16>,
    /// Whether these fields' values can be looked up together.
    is_run: bool,
    /// Whether they may be so in any case.
    is_caseless: bool,
}

/// What a field opens. Four bytes: an event's fields lie far apart in their table, and each is waited for.
#[derive(Clone, Copy, Debug)]
struct OfField {
    /// The list of its matchers, or [`NO_LIST`] where neither it nor keywords have any.
    list: u16,
    /// Place of the gates that open by its presence, plus one; 0 where there are none, [`NOT_MET`] where that is not yet known.
    presents: u16,
}

const NO_LIST: u16 = u16::MAX;
const NOT_MET: u16 = u16::MAX;
const _: () = assert!(FIELDS_MAX < NOT_MET as usize);

/// A gate and its plan.
#[derive(Clone, Copy, Debug)]
struct Opens {
    plan: u32,
    gate: u32,
}

impl Route {
    /// What a field opens that is met for the first time.
    #[cold]
    fn meet(&mut self, field: FieldId) -> OfField {
        let start = self.present.len() as u32;
        self.present.extend(self.here.get(&field).into_iter().flatten());
        if !self.below.is_empty() {
            let name = field.name();
            let above = name.match_indices('.').filter_map(|(at, _)| FieldId::find(&name[..at]));
            self.present.extend(above.filter_map(|field| self.below.get(&field)).flatten());
        }
        let end = self.present.len() as u32;
        if end > start {
            self.presents.push((start, end));
        }
        let list = self.own.get(&field).copied().or(self.others).unwrap_or(NO_LIST);
        let of = OfField { list, presents: if end > start { self.presents.len() as u16 } else { 0 } };
        if self.fields.len() <= field.index() {
            self.fields.resize(field.index() + 1, OfField { list: NO_LIST, presents: NOT_MET });
        }
        self.fields[field.index()] = of;
        of
    }
}

/// The matchers of a field, those of keywords last: looked up together, and cached together.
#[derive(Debug)]
struct List {
    start: u32,
    end: u32,
    /// How many of them are the field's own, not those of keywords.
    own: u32,
    /// For the cache: never 0. The next number is that of whole numbers.
    owner: u32,
    /// Whether a look-up costs so much that its result is worth keeping.
    is_costly: bool,
    /// Of texts in which anything can be found.
    lengths: Lengths,
    /// Whether anything can be found in numbers.
    reads_numbers: bool,
    /// Values looked for in the cache since that was last judged, and how many were there; below 0 so many are to be looked up without.
    asked: i32,
    known: i32,
}

/// Look-ups that cost more than asking the cache does, which waits for memory.
const CACHED_ABOVE: usize = 24;
/// Values after which it is judged whether a field's come again.
const JUDGE_AFTER: i32 = 512;
/// Of eight values fewer than one came again: so many are looked up without the cache, then it is tried anew.
const TRY_AGAIN_AFTER: i32 = 8192;

impl List {
    /// Whether the cache is to be asked. Values that never come again, such as times, would only push out others.
    fn is_cached(&mut self) -> bool {
        if !self.is_costly {
            return false;
        }
        if self.asked == JUDGE_AFTER {
            self.asked = if self.known < JUDGE_AFTER / 8 { -TRY_AGAIN_AFTER } else { 0 };
            self.known = 0;
        }
        self.asked += 1;
        self.asked > 0
    }
}

/// A matcher and its plan.
#[derive(Clone, Debug)]
struct Matching {
    plan: u32,
    matcher: Arc<Matcher>,
    /// Of texts in which it can find anything: so most are not looked up, and the matcher need not be fetched.
    lengths: Lengths,
}

impl Matching {
    fn new(plan: usize, matcher: &Arc<Matcher>) -> Matching {
        Matching { plan: plan as u32, matcher: matcher.clone(), lengths: matcher.lengths() }
    }
}

/// A cell whose matchers are asked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Its place among the event's cells.
    cell: u16,
    list: u16,
    hash: u64,
    slot: Slot,
    /// Matchers whose finds count, the first ones of the list: not those of keywords where these do not look at the cell.
    counted: u32,
}

/// A gate that a value opens, and by which of the list's matchers.
fn find_of(place: usize, gate: u32) -> u64 {
    (place as u64) << 32 | u64::from(gate)
}

/// The matcher of a find.
fn place_of(find: u64) -> u32 {
    (find >> 32) as u32
}

/// What opens gates.
struct Opener<'s> {
    plans: &'s mut [Running],
    answers: &'s mut [Answer],
    chosen: &'s mut [u32],
    candidates: &'s mut Vec<Candidate>,
    now: u32,
}

impl Opener<'_> {
    fn find(&mut self, matchers: &[Matching], find: u64) {
        self.open(Opens { plan: matchers[place_of(find) as usize].plan, gate: find as u32 });
    }

    fn open(&mut self, Opens { plan: at, gate: number }: Opens) {
        let Running { plan, tally } = &mut self.plans[at as usize];
        let gate = plan.gates[number as usize];
        self.answers[gate.test as usize] = Answer::new(self.now, if gate.exact { Answer::YES } else { Answer::PERHAPS });
        tally.opened(number);
        for member in plan.opened_by(gate) {
            let chosen = &mut self.chosen[member.rule as usize];
            if *chosen != self.now {
                *chosen = self.now;
                self.candidates.push(Candidate { member: *member, plan: at, is_opened: true });
            }
        }
    }
}

/// The text of the cell at hand, folded when first asked for.
#[derive(Default)]
struct CellText {
    plain: String,
    folded: Vec<u8>,
    is_folded: bool,
}

const CACHE_SEED: u64 = 0x6361_6368;

impl State {
    pub(crate) fn new(rules: &RuleSet) -> State {
        let compiled = &rules.compiled;
        let plans = compiled.plans.iter().chain([&compiled.everything]);
        let plans = plans.map(|plan| Running { plan: plan.clone(), tally: Tally::new(plan) });
        State {
            plans: plans.collect(),
            routes: Vec::new(),
            answers: vec![Answer::default(); rules.atoms.len()],
            chosen: vec![0; rules.rules.len()],
            event: 0,
            candidates: Vec::new(),
            finds: Vec::new(),
            gates: Vec::new(),
            cell: CellText::default(),
            run: Vec::new(),
            found: Found::default(),
            cache: Cache::default(),
            maker: Maker::default(),
            owners: 1,
            asked: Vec::new(),
            costs: vec![RuleCost::default(); rules.rules.len()],
        }
    }

    /// Calls `matched` with each rule that the event satisfies, in their order.
    pub(crate) fn scan(&mut self, rules: &RuleSet, event: EventRef<'_>, matched: impl FnMut(u32)) {
        let source = event.log_source().index();
        if self.routes.len() <= source {
            self.routes.resize_with(source + 1, || None);
        }
        if self.routes[source].is_none() {
            let route = self.route(rules, event.log_source());
            self.owners = self.owners.wrapping_add(2 * route.lists.len() as u32);
            self.routes[source] = Some(route);
        }
        if self.event == EVENT_MAX {
            self.answers.fill(Answer::default());
            self.chosen.fill(0);
            self.event = 0;
        }
        self.event += 1;
        self.choose(event, source);
        if !self.candidates.is_empty() {
            self.evaluate(rules, event, matched);
        }
        let is_due = |running: &mut Running| running.tally.is_due(&running.plan);
        let mut plans = self.routes[source].iter().flat_map(|route| &route.plans).copied();
        // One an event: it may take the route with it, and the others are asked after the next.
        if let Some(due) = plans.find(|plan| is_due(&mut self.plans[*plan as usize])) {
            self.remake(rules, due);
        }
    }

    /// Makes the rules candidates whose gates the event opens, and those without gate.
    fn choose(&mut self, event: EventRef<'_>, source: usize) {
        let State { plans, routes, answers, chosen, candidates, finds, gates, cell, run, found, cache, asked, .. } = self;
        let now = self.event;
        candidates.clear();
        let Some(route) = &mut routes[source] else { return };
        for plan in &route.plans {
            let running = &mut plans[*plan as usize];
            running.tally.event();
            candidates.extend(running.plan.always.iter().map(|member| Candidate {
                member: *member,
                plan: *plan,
                is_opened: false,
            }));
        }
        // First every value's slot, then what stands there: the memory answers all at once, not one after the other.
        asked.clear();
        run.clear();
        let mut opener = Opener { plans, answers, chosen, candidates, now };
        for (at, field) in event.fields().enumerate() {
            let known = route.fields.get(field.index()).copied().filter(|of| of.presents != NOT_MET);
            let OfField { list: number, presents } = known.unwrap_or_else(|| route.meet(field));
            if let Some(at) = usize::from(presents).checked_sub(1) {
                let (start, end) = route.presents[at];
                route.present[start as usize..end as usize].iter().for_each(|opens| opener.open(*opens));
            }
            if number == NO_LIST {
                continue;
            }
            let is_other = route.others == Some(number);
            let list = &mut route.lists[usize::from(number)];
            let has_keywords = list.own < list.end - list.start;
            let counted = if !has_keywords || is_searched(event, at) { u32::MAX } else { list.own };
            if counted == 0 {
                continue;
            }
            let hash = match event.cell_bytes(at) {
                // Most fields' values are too short for any keyword. What is not ASCII may have another length in lower case.
                Some(text) if !list.lengths.have(text.len()) && text.is_ascii() => continue,
                None if !list.reads_numbers && matches!(event.cell(at), Value::Int(_) | Value::Uint(_) | Value::Float(_)) => {
                    continue;
                }
                _ if is_other && route.is_run => {
                    match event.cell_bytes(at) {
                        Some(text) if route.is_caseless && text.is_ascii() => run.extend_from_slice(text),
                        _ if event.cell(at) == Value::Null => continue,
                        _ => fold_value(event.cell(at), &mut cell.plain, run),
                    }
                    run.push(BETWEEN);
                    continue;
                }
                Some(text) if text.len() <= VALUE_BYTES_MAX && list.is_cached() => hash(text, seed(list.owner)),
                Some(_) => 0,
                None => match event.cell(at) {
                    Value::Int(n) if list.is_costly => hash(&n.to_le_bytes(), seed(list.owner + 1)),
                    _ => 0,
                },
            };
            let slot = if hash == 0 { Slot::default() } else { cache.slot(hash) };
            asked.push(Asked { cell: at as u16, list: number, hash, slot, counted });
        }
        if let Some(others) = route.others.filter(|_| !run.is_empty()) {
            let List { start, end, .. } = route.lists[usize::from(others)];
            let matchers = &route.matchers[start as usize..end as usize];
            for (place, Matching { matcher, .. }) in matchers.iter().enumerate() {
                gates.clear();
                matcher.find_text(run, found, gates);
                gates.iter().for_each(|gate| opener.find(matchers, find_of(place, *gate)));
            }
        }
        for Asked { cell: at, list, hash, slot, counted } in asked.iter().copied() {
            let list = &mut route.lists[usize::from(list)];
            let List { start, end, owner, .. } = *list;
            let matchers = &route.matchers[start as usize..end as usize];
            let mut open = |find| {
                if place_of(find) < counted {
                    opener.find(matchers, find);
                }
            };
            let number;
            let kept: Option<(u32, &[u8])> = match event.cell_bytes(usize::from(at)) {
                _ if hash == 0 => None,
                Some(text) => Some((owner, text)),
                None => match event.cell(usize::from(at)) {
                    Value::Int(n) => {
                        number = n.to_le_bytes();
                        Some((owner + 1, &number))
                    }
                    _ => None,
                },
            };
            if let Some((owner, bytes)) = kept
                && let Some(finds) = cache.get(slot, owner, hash, bytes)
            {
                list.known += 1;
                finds.iter().for_each(|find| open(u64::from_le_bytes(*find)));
                continue;
            }
            let value = event.cell(usize::from(at));
            finds.clear();
            cell.is_folded = false;
            let is_text = matches!(value, Value::Text(_));
            for (place, Matching { matcher, lengths, .. }) in matchers.iter().enumerate() {
                if is_text && *lengths != Lengths::ANY && !lengths.have(cell.folded(value).len()) {
                    continue;
                }
                gates.clear();
                find(matcher, value, cell, found, gates);
                finds.extend(gates.iter().map(|gate| find_of(place, *gate)));
            }
            if let Some((owner, bytes)) = kept {
                cache.put(owner, hash, bytes, finds);
            }
            finds.iter().copied().for_each(open);
        }
        candidates.sort_unstable();
    }

    fn evaluate(&mut self, rules: &RuleSet, event: EventRef<'_>, mut matched: impl FnMut(u32)) {
        let State { plans, answers, candidates, maker, costs, .. } = self;
        let now = self.event;
        maker.next_event();
        for Candidate { member, plan, is_opened } in candidates.iter() {
            let Running { plan, tally } = &mut plans[*plan as usize];
            let cost = &mut costs[member.rule as usize];
            cost.evaluated += 1;
            let holds = program::holds(&plan.nodes, member.nodes_start as usize, &mut |ask| {
                let (Ask::Gated(test) | Ask::Test(test)) = ask;
                let answer = &mut answers[test as usize];
                match (answer.of(now), ask) {
                    (Some(Answer::YES), _) => true,
                    (Some(Answer::NO), _) | (None, Ask::Gated(_)) => false,
                    (Some(_), _) | (None, Ask::Test(_)) => {
                        cost.tests += 1;
                        let holds = maker.make(test, &rules.atoms, &rules.compiled.guards, event);
                        *answer = Answer::new(now, if holds { Answer::YES } else { Answer::NO });
                        holds
                    }
                }
            });
            cost.text_bytes += std::mem::take(&mut maker.bytes);
            if holds {
                cost.matches += 1;
                matched(member.rule);
            } else if *is_opened {
                tally.in_vain();
            }
        }
    }

    /// The plans for events of this log source, merged.
    fn route(&self, rules: &RuleSet, source: LogSourceId) -> Route {
        let everything = self.plans.len() - 1;
        let is_for = |at: &usize| match (source == LogSourceId::UNKNOWN, *at == everything) {
            (true, is_everything) => is_everything,
            (false, true) => false,
            (false, false) => {
                self.plans[*at].plan.members.first().is_some_and(|member| rules.eligible(member.rule as usize, source))
            }
        };
        let plans: Vec<usize> = (0..self.plans.len()).filter(is_for).collect();
        let mut route = Route { plans: plans.iter().map(|at| *at as u32).collect(), ..Route::default() };
        let mut own: BTreeMap<FieldId, Vec<Matching>> = BTreeMap::new();
        let mut keywords = Vec::new();
        for at in plans {
            let plan = &self.plans[at].plan;
            for (field, matcher) in &plan.fields {
                let matcher = &plan.matchers[*matcher as usize];
                for (gates, opened) in [(&matcher.present, &mut route.here), (&matcher.below, &mut route.below)] {
                    if !gates.is_empty() {
                        opened.entry(*field).or_default().extend(gates.iter().map(|gate| Opens { plan: at as u32, gate: *gate }));
                    }
                }
                if matcher.reads_values() {
                    own.entry(*field).or_default().push(Matching::new(at, matcher));
                }
            }
            keywords.extend(plan.keywords.map(|matcher| Matching::new(at, &plan.matchers[matcher as usize])));
        }
        let mut add = |matchers: &[Matching]| {
            let (start, own) = (route.matchers.len() as u32, matchers.len() as u32);
            route.matchers.extend(matchers.iter().chain(&keywords).cloned());
            let matchers = &route.matchers[start as usize..];
            let is_costly = matchers.iter().map(|of| of.matcher.price()).sum::<usize>() > CACHED_ABOVE;
            let reads_numbers = matchers.iter().any(|of| of.matcher.reads_numbers());
            let lengths = matchers.iter().map(|of| of.lengths).fold(Lengths::default(), Lengths::and);
            let owner = self.owners.wrapping_add(2 * route.lists.len() as u32).max(1);
            let end = route.matchers.len() as u32;
            route.lists.push(List { start, end, own, owner, is_costly, lengths, reads_numbers, asked: 0, known: 0 });
            route.lists.len() as u16 - 1
        };
        let is_caseless = keywords.iter().all(|of| of.matcher.is_caseless());
        let mut is_run = false;
        if !keywords.is_empty() {
            route.others = Some(add(&[]));
            is_run = keywords.iter().all(|of| of.matcher.is_within());
        }
        let own = own.into_iter().map(|(field, matchers)| (field, add(&matchers))).collect();
        Route { own, is_run, is_caseless, ..route }
    }

    /// Gives rules of a plan other gates, chosen by what was counted, where that is worth it.
    fn remake(&mut self, rules: &RuleSet, at: u32) {
        let Compiled { rarity, shares, .. } = &rules.compiled;
        let Running { plan, tally } = &mut self.plans[at as usize];
        let condition = |rule: u32| match &rules.rules[rule as usize].body {
            Body::Sigma { expr, .. } => Some(expr),
            Body::Correlation(_) | Body::Behaviour(_) => None,
        };
        let share_of = |test: u32| {
            let counted = |guess: f64| tally.share(test).unwrap_or(guess);
            let Share { holds, fails } = shares[test as usize];
            Share { holds: holds.map(counted), fails: fails.map(counted) }
        };
        let (others, gain) = plan.better(tally, condition, &share_of);
        if gain < VAIN_SHARE {
            return;
        }
        let plan = Arc::make_mut(plan);
        plan.change(others, &rules.atoms, |test| form_of(&rules.atoms[test as usize].test, rarity), rarity);
        tally.begin(plan);
        self.routes
            .iter_mut()
            .filter(|route| route.as_ref().is_some_and(|route| route.plans.contains(&at)))
            .for_each(|r| *r = None);
    }
}

/// Adds to `gates` those that `value` opens.
fn find(matcher: &Matcher, value: Value<'_>, cell: &mut CellText, found: &mut Found, gates: &mut Vec<u32>) {
    if value == Value::Null {
        return;
    }
    matcher.find_value(value, gates);
    if matcher.reads_text_of(value) {
        matcher.find_text(cell.folded(value), found, gates);
    }
}

/// The seed of an owner's hashes.
fn seed(owner: u32) -> u64 {
    CACHE_SEED ^ u64::from(owner) << 32
}

impl CellText {
    fn folded(&mut self, value: Value<'_>) -> &[u8] {
        if !self.is_folded {
            self.folded.clear();
            fold_value(value, &mut self.plain, &mut self.folded);
            self.is_folded = true;
        }
        &self.folded
    }
}
