//! One event through the compiled rules: its route, the gates that its values open, the conditions of the candidates.

use event::{EventRef, FieldId, LogSourceId, Value};

use super::Compiled;
use super::cache::{Cache, VALUE_BYTES_MAX};
use super::grams::Found;
use super::hash::hash;
use super::program::{self, Ask, Maker, fold_value};
use crate::detect::RuleCost;
use crate::test_of::Bound;

/// What one thread keeps between events: nothing that an answer depends on.
pub(crate) struct State {
    /// Per log source its route, made when it is first seen.
    routes: Vec<Option<Route>>,
    /// Per test the event (by a running number) of its answer.
    answers: Vec<(u32, Answer)>,
    /// Per rule the event for which it last became a candidate.
    chosen: Vec<u32>,
    event: u32,
    candidates: Vec<u32>,
    finds: Vec<u32>,
    cell: CellText,
    found: Found,
    cache: Cache,
    maker: Maker,
    pub(crate) costs: Vec<RuleCost>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    No,
    Yes,
    /// The gate opened, but the test asks for more.
    Perhaps,
}

/// The plans for one log source, merged.
#[derive(Default)]
struct Route {
    always: Vec<u32>,
    /// Per field where its matchers start in `matchers`, and how many there are.
    fields: Vec<(u16, u16)>,
    matchers: Vec<u32>,
    keywords: Vec<u32>,
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
    pub(crate) fn new(tests: usize, rules: usize) -> State {
        State {
            routes: Vec::new(),
            answers: vec![(0, Answer::No); tests],
            chosen: vec![0; rules],
            event: 0,
            candidates: Vec::new(),
            finds: Vec::new(),
            cell: CellText::default(),
            found: Found::default(),
            cache: Cache::default(),
            maker: Maker::default(),
            costs: vec![RuleCost::default(); rules],
        }
    }

    /// Calls `matched` with each rule that the event satisfies, in their order. `eligible`: whether a rule is for the log source.
    pub(crate) fn scan(
        &mut self,
        compiled: &Compiled,
        tests: &[Bound],
        event: EventRef<'_>,
        eligible: impl Fn(u32, LogSourceId) -> bool,
        mut matched: impl FnMut(u32),
    ) {
        let source = event.log_source();
        if self.routes.len() <= source.index() {
            self.routes.resize_with(source.index() + 1, || None);
        }
        let State { routes, answers, chosen, candidates, finds, cell, found, cache, maker, costs, .. } = self;
        let route = routes[source.index()].get_or_insert_with(|| compiled.route(source, eligible));
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            answers.fill((0, Answer::No));
            chosen.fill(0);
            self.event = 1;
        }
        let now = self.event;
        candidates.clear();
        candidates.extend_from_slice(&route.always);
        let mut open = |finds: &[u32]| {
            for gate in finds {
                let gate = &compiled.gates[*gate as usize];
                answers[gate.test as usize] = (now, if gate.exact { Answer::Yes } else { Answer::Perhaps });
                for rule in &compiled.gate_rules[gate.rules_start as usize..gate.rules_end as usize] {
                    if chosen[*rule as usize] != now {
                        chosen[*rule as usize] = now;
                        candidates.push(*rule);
                    }
                }
            }
        };
        for (field, value) in event.cells() {
            let (start, count) = route.fields.get(field.index()).copied().unwrap_or((0, 0));
            if count == 0 && route.keywords.is_empty() {
                continue;
            }
            cell.is_folded = false;
            let of_field = &route.matchers[usize::from(start)..usize::from(start) + usize::from(count)];
            for matcher in of_field.iter().chain(&route.keywords) {
                finds.clear();
                compiled.find(*matcher, value, cell, found, cache, finds);
                if !finds.is_empty() {
                    open(finds);
                }
            }
        }
        if candidates.is_empty() {
            return;
        }
        candidates.sort_unstable();
        maker.next_event();
        for rule in candidates.iter() {
            let cost = &mut costs[*rule as usize];
            cost.evaluated += 1;
            let holds = program::holds(&compiled.nodes, compiled.programs[*rule as usize] as usize, &mut |ask| {
                let (Ask::Gated(test) | Ask::Test(test)) = ask;
                let (made_for, answer) = &mut answers[test as usize];
                match (*made_for == now, *answer, ask) {
                    (true, Answer::Yes, _) => true,
                    (true, Answer::No, _) | (false, _, Ask::Gated(_)) => false,
                    (true, Answer::Perhaps, _) | (false, _, Ask::Test(_)) => {
                        cost.tests += 1;
                        let holds = maker.make(test, &tests[test as usize], &compiled.guards, event);
                        (*made_for, *answer) = (now, if holds { Answer::Yes } else { Answer::No });
                        holds
                    }
                }
            });
            cost.text_bytes += std::mem::take(&mut maker.bytes);
            if holds {
                cost.matches += 1;
                matched(*rule);
            }
        }
    }
}

impl Compiled {
    /// The plans for events of this log source, merged.
    fn route(&self, source: LogSourceId, eligible: impl Fn(u32, LogSourceId) -> bool) -> Route {
        let plans: Vec<_> = if source == LogSourceId::UNKNOWN {
            vec![&self.everything]
        } else {
            self.plans.iter().filter(|plan| eligible(plan.example, source)).collect()
        };
        let mut fields: Vec<(FieldId, u32)> = plans.iter().flat_map(|plan| plan.fields.iter().copied()).collect();
        fields.sort_unstable();
        let mut route = Route::default();
        for (field, matcher) in fields {
            if route.fields.len() <= field.index() {
                route.fields.resize(field.index() + 1, (0, 0));
            }
            let (start, count) = &mut route.fields[field.index()];
            if *count == 0 {
                *start = route.matchers.len() as u16;
            }
            *count += 1;
            route.matchers.push(matcher);
        }
        for plan in plans {
            route.always.extend_from_slice(&plan.always);
            route.keywords.extend(plan.keywords);
        }
        route
    }

    /// Adds to `finds` the gates that `value` opens.
    fn find(
        &self,
        number: u32,
        value: Value<'_>,
        cell: &mut CellText,
        found: &mut Found,
        cache: &mut Cache,
        finds: &mut Vec<u32>,
    ) {
        let matcher = &self.matchers[number as usize];
        finds.extend_from_slice(&matcher.present);
        if value == Value::Null {
            return;
        }
        if let Value::Text(text) = value
            && matcher.is_costly()
            && text.len() <= VALUE_BYTES_MAX
        {
            let hash = hash(text.as_bytes(), CACHE_SEED.wrapping_add(u64::from(number) << 32));
            if cache.get(hash, text.as_bytes(), finds) {
                return;
            }
            let from = finds.len();
            matcher.find_value(value, finds);
            matcher.find_text(cell.folded(value), found, finds);
            cache.put(hash, text.as_bytes(), &finds[from..]);
            return;
        }
        matcher.find_value(value, finds);
        if matcher.reads_text {
            matcher.find_text(cell.folded(value), found, finds);
        }
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
