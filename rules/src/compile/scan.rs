//! One event through the compiled rules: its route, the gates that its values open, the conditions of the candidates.

use std::sync::Arc;

use event::{EventRef, FieldId, LogSourceId, Value};

use super::Compiled;
use super::cache::{Cache, VALUE_BYTES_MAX};
use super::form::form_of;
use super::gate::{Share, gate_of};
use super::grams::Found;
use super::hash::hash;
use super::matcher::Matcher;
use super::plan::{Member, Plan, Tally, VAIN_SHARE};
use super::program::{self, Ask, Maker, fold_value};
use crate::detect::RuleCost;
use crate::ruleset::{Body, RuleSet};

/// What one thread keeps between events: nothing that an answer depends on.
pub(crate) struct State {
    /// The plans of the rule set, the plan of all rules last: each with its gates as counted here.
    plans: Vec<Running>,
    /// Per log source its route, made when it is first seen.
    routes: Vec<Option<Route>>,
    /// Per test the event (by a running number) of its answer.
    answers: Vec<(u32, Answer)>,
    /// Per rule the event for which it last became a candidate.
    chosen: Vec<u32>,
    event: u32,
    candidates: Vec<Candidate>,
    finds: Vec<u32>,
    cell: CellText,
    found: Found,
    cache: Cache,
    maker: Maker,
    /// How many matchers there ever were: what the cache holds is of one of them.
    owners: u32,
    pub(crate) costs: Vec<RuleCost>,
}

/// A plan in use.
struct Running {
    plan: Arc<Plan>,
    tally: Tally,
    /// The number of its first matcher, for the cache.
    owner: u32,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Candidate {
    member: Member,
    plan: u32,
    /// By a gate; else it has none.
    is_opened: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    No,
    Yes,
    /// The gate opened, but the test asks for more.
    Perhaps,
}

/// The plans for one log source, merged.
#[derive(Debug, Default)]
struct Route {
    plans: Vec<u32>,
    /// Per field where its matchers start in `matchers`, and how many there are.
    fields: Vec<(u16, u16)>,
    matchers: Vec<MatcherRef>,
    keywords: Vec<MatcherRef>,
}

#[derive(Clone, Copy, Debug)]
struct MatcherRef {
    plan: u32,
    matcher: u32,
}

/// The text of the cell at hand, folded when first asked for.
#[derive(Default)]
struct CellText {
    plain: String,
    folded: String,
    is_folded: bool,
}

const CACHE_SEED: u64 = 0x6361_6368;

impl State {
    pub(crate) fn new(rules: &RuleSet) -> State {
        let compiled = &rules.compiled;
        let mut owners = 0;
        let plans = compiled.plans.iter().chain([&compiled.everything]).map(|plan| {
            let owner = owners;
            owners += plan.matchers.len() as u32;
            Running { plan: plan.clone(), tally: Tally::new(plan), owner }
        });
        State {
            plans: plans.collect(),
            routes: Vec::new(),
            answers: vec![(0, Answer::No); rules.atoms.len()],
            chosen: vec![0; rules.rules.len()],
            event: 0,
            candidates: Vec::new(),
            finds: Vec::new(),
            cell: CellText::default(),
            found: Found::default(),
            cache: Cache::default(),
            maker: Maker::default(),
            owners,
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
            self.routes[source] = Some(self.route(rules, event.log_source()));
        }
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.answers.fill((0, Answer::No));
            self.chosen.fill(0);
            self.event = 1;
        }
        self.choose(event, source);
        if !self.candidates.is_empty() {
            self.evaluate(rules, event, matched);
        }
        let due = self.routes[source].iter().flat_map(|route| route.plans.iter().copied());
        let is_due = |running: &mut Running| running.tally.is_due(&running.plan);
        let due: Vec<u32> = due.filter(|plan| is_due(&mut self.plans[*plan as usize])).collect();
        for plan in due {
            self.remake(rules, plan);
        }
    }

    /// Makes the rules candidates whose gates the event opens, and those without gate.
    fn choose(&mut self, event: EventRef<'_>, source: usize) {
        let State { plans, routes, answers, chosen, candidates, finds, cell, found, cache, .. } = self;
        let now = self.event;
        candidates.clear();
        let Some(route) = &routes[source] else { return };
        for plan in &route.plans {
            let running = &mut plans[*plan as usize];
            running.tally.event();
            candidates.extend(running.plan.always.iter().map(|member| Candidate {
                member: *member,
                plan: *plan,
                is_opened: false,
            }));
        }
        for (field, value) in event.cells() {
            let (start, count) = route.fields.get(field.index()).copied().unwrap_or((0, 0));
            if count == 0 && route.keywords.is_empty() {
                continue;
            }
            cell.is_folded = false;
            let of_field = &route.matchers[usize::from(start)..usize::from(start) + usize::from(count)];
            for at in of_field.iter().chain(&route.keywords) {
                let Running { plan, tally, owner } = &mut plans[at.plan as usize];
                finds.clear();
                find(&plan.matchers[at.matcher as usize], *owner + at.matcher, value, cell, found, cache, finds);
                for number in finds.iter() {
                    let gate = plan.gates[*number as usize];
                    answers[gate.test as usize] = (now, if gate.exact { Answer::Yes } else { Answer::Perhaps });
                    tally.opened(*number);
                    for member in plan.opened_by(gate) {
                        if chosen[member.rule as usize] != now {
                            chosen[member.rule as usize] = now;
                            candidates.push(Candidate { member: *member, plan: at.plan, is_opened: true });
                        }
                    }
                }
            }
        }
        candidates.sort_unstable();
    }

    fn evaluate(&mut self, rules: &RuleSet, event: EventRef<'_>, mut matched: impl FnMut(u32)) {
        let State { plans, answers, candidates, maker, costs, .. } = self;
        let now = self.event;
        maker.next_event();
        for Candidate { member, plan, is_opened } in candidates.iter() {
            let Running { plan, tally, .. } = &mut plans[*plan as usize];
            let cost = &mut costs[member.rule as usize];
            cost.evaluated += 1;
            let holds = program::holds(&plan.nodes, member.nodes_start as usize, &mut |ask| {
                let (Ask::Gated(test) | Ask::Test(test)) = ask;
                let (made_for, answer) = &mut answers[test as usize];
                match (*made_for == now, *answer, ask) {
                    (true, Answer::Yes, _) => true,
                    (true, Answer::No, _) | (false, _, Ask::Gated(_)) => false,
                    (true, Answer::Perhaps, _) | (false, _, Ask::Test(_)) => {
                        cost.tests += 1;
                        let holds = maker.make(test, &rules.atoms[test as usize], &rules.compiled.guards, event);
                        (*made_for, *answer) = (now, if holds { Answer::Yes } else { Answer::No });
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
        let mut fields: Vec<(FieldId, u32, u32)> = Vec::new();
        for at in plans {
            let plan = &self.plans[at].plan;
            fields.extend(plan.fields.iter().map(|(field, matcher)| (*field, at as u32, *matcher)));
            route.keywords.extend(plan.keywords.map(|matcher| MatcherRef { plan: at as u32, matcher }));
        }
        fields.sort_unstable();
        for (field, plan, matcher) in fields {
            if route.fields.len() <= field.index() {
                route.fields.resize(field.index() + 1, (0, 0));
            }
            let (start, count) = &mut route.fields[field.index()];
            if *count == 0 {
                *start = route.matchers.len() as u16;
            }
            *count += 1;
            route.matchers.push(MatcherRef { plan, matcher });
        }
        route
    }

    /// Makes a plan anew with gates chosen by what was counted, where that is worth it.
    fn remake(&mut self, rules: &RuleSet, at: u32) {
        let Compiled { rarity, shares, .. } = &rules.compiled;
        let Running { plan, tally, owner } = &mut self.plans[at as usize];
        let conditions: Vec<_> = plan
            .members
            .iter()
            .filter_map(|member| match &rules.rules[member.rule as usize].body {
                Body::Sigma { expr, .. } => Some((member.rule, expr)),
                Body::Correlation(_) | Body::Behaviour(_) => None,
            })
            .collect();
        let share_of = |test: u32| {
            let counted = |guess: f64| tally.share(test).unwrap_or(guess);
            let Share { holds, fails } = shares[test as usize];
            Share { holds: holds.map(counted), fails: fails.map(counted) }
        };
        let gates: Vec<_> = conditions.iter().map(|(_, expr)| gate_of(expr, &share_of)).collect();
        if plan.gain(&gates, &share_of) < VAIN_SHARE {
            return;
        }
        let form = |test: u32| form_of(&rules.atoms[test as usize].test, rarity);
        let made = Arc::new(Plan::new(&conditions, gates, &rules.atoms, form, rarity));
        tally.begin(&made);
        *owner = self.owners;
        self.owners = self.owners.wrapping_add(made.matchers.len() as u32);
        *plan = made;
        self.routes.clear();
    }
}

/// Adds to `finds` the gates that `value` opens. `owner` tells apart what is cached of different matchers.
fn find(
    matcher: &Matcher,
    owner: u32,
    value: Value<'_>,
    cell: &mut CellText,
    found: &mut Found,
    cache: &mut Cache,
    finds: &mut Vec<u32>,
) {
    finds.extend_from_slice(&matcher.present);
    if value == Value::Null {
        return;
    }
    if let Value::Text(text) = value
        && matcher.is_costly()
        && text.len() <= VALUE_BYTES_MAX
    {
        let hash = hash(text.as_bytes(), CACHE_SEED ^ u64::from(owner) << 32);
        if cache.get(owner, hash, text.as_bytes(), finds) {
            return;
        }
        let from = finds.len();
        matcher.find_value(value, finds);
        matcher.find_text(cell.folded(value), found, finds);
        cache.put(owner, hash, text.as_bytes(), &finds[from..]);
        return;
    }
    matcher.find_value(value, finds);
    if matcher.reads_text {
        matcher.find_text(cell.folded(value), found, finds);
    }
}

impl CellText {
    fn folded(&mut self, value: Value<'_>) -> &str {
        if !self.is_folded {
            fold_value(value, &mut self.plain, &mut self.folded);
            self.is_folded = true;
        }
        &self.folded
    }
}
