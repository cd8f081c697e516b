//! A plan: the rules of one log source with their gates, matchers and conditions.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use event::FieldId;
use hashbrown::HashMap;

use super::form::Form;
use super::gate::{self, Share};
use super::matcher::Matcher;
use super::program::{self, Node};
use super::rarity::Rarity;
use crate::sigma::item::{Expr, Test};
use crate::test_of::Bound;

/// A rule of a plan: its number, and where its condition's nodes begin.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Member {
    pub(super) rule: u32,
    pub(super) nodes_start: u32,
}

/// The rules of one log source.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Its rules: all are for the same events.
    pub(super) members: Vec<Member>,
    /// Per member its gate, if it has one.
    chosen: Vec<Option<gate::Gate>>,
    /// Rules without gate.
    pub(super) always: Vec<Member>,
    /// Fields with their matchers, sorted.
    pub(super) fields: Vec<(FieldId, u32)>,
    /// The matcher of keywords.
    pub(super) keywords: Option<u32>,
    /// Shared with the plan that this one was made of, but for those whose gates are others.
    pub(super) matchers: Vec<Arc<Matcher>>,
    /// Per matcher its fields; none for keywords.
    groups: Vec<Vec<FieldId>>,
    pub(super) gates: Vec<Gate>,
    opens: Vec<Member>,
    pub(super) nodes: Vec<Node>,
}

/// A test that opens rules. Its number stays while other gates come and go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    pub(super) test: u32,
    /// Whether the test holds wherever the gate opens.
    pub(super) exact: bool,
    opens_start: u32,
    opens_end: u32,
}

/// Where nothing has a number.
const NONE: u32 = u32::MAX;

impl Plan {
    /// The plan of these rules with these gates.
    pub(super) fn new(
        rules: &[(u32, &Expr<u32>)],
        chosen: Vec<Option<gate::Gate>>,
        tests: &[Bound],
        form_of: impl Fn(u32) -> Form,
        rarity: &Rarity,
    ) -> Plan {
        let gated: HashSet<u32> = chosen.iter().flatten().flat_map(|gate| gate.tests.iter().copied()).collect();
        let is_gated = |test: u32| gated.contains(&test) && !by_absence(&tests[test as usize]);
        let price = |test: u32| program::price(&tests[test as usize], is_gated(test));
        let mut plan = Plan::default();
        for ((rule, expr), gate) in rules.iter().zip(&chosen) {
            let member = Member { rule: *rule, nodes_start: plan.nodes.len() as u32 };
            program::append(expr, &is_gated, &price, &mut plan.nodes);
            plan.members.push(member);
            if gate.is_none() {
                plan.always.push(member);
            }
        }
        plan.chosen = chosen;
        plan.place_gates(tests, form_of, rarity);
        plan.mark_nodes(tests);
        plan
    }

    /// Gives members, by their places, other gates.
    pub(super) fn change(
        &mut self,
        others: Vec<(usize, gate::Gate)>,
        tests: &[Bound],
        form_of: impl Fn(u32) -> Form,
        rarity: &Rarity,
    ) {
        for (member, gate) in others {
            self.chosen[member] = Some(gate);
        }
        self.place_gates(tests, form_of, rarity);
        self.mark_nodes(tests);
    }

    /// Tells the conditions which tests have gates.
    fn mark_nodes(&mut self, tests: &[Bound]) {
        let mut gated = vec![false; tests.len()];
        self.gates.iter().filter(|gate| gate.test != NONE).for_each(|gate| gated[gate.test as usize] = true);
        program::mark(&mut self.nodes, |test| gated[test as usize] && !by_absence(&tests[test as usize]));
    }

    /// Makes gates and matchers what the members' gates ask for. What is right as it stands is kept.
    fn place_gates(&mut self, tests: &[Bound], form_of: impl Fn(u32) -> Form, rarity: &Rarity) {
        let mut opened: Vec<(u32, Option<Member>)> = Vec::new();
        for (member, gate) in self.members.iter().zip(&self.chosen) {
            match gate {
                Some(gate) => opened.extend(gate.tests.iter().map(|test| (*test, Some(*member)))),
                // What a rule asks of every event is looked up with the rest, and opens nothing.
                None => {
                    let is_looked_up = |test: &u32| is_looked_up(&tests[*test as usize]);
                    let asked = program::tests_of(&self.nodes, member.nodes_start as usize).filter(is_looked_up);
                    opened.extend(asked.map(|test| (test, None)));
                }
            }
        }
        opened.sort_unstable();
        let mut numbers = vec![NONE; tests.len()];
        self.gates
            .iter()
            .zip(0..)
            .filter(|(gate, _)| gate.test != NONE)
            .for_each(|(g, number)| numbers[g.test as usize] = number);
        let before = std::mem::replace(&mut self.gates, Vec::with_capacity(opened.len()));
        let closed = Gate { test: NONE, exact: false, opens_start: 0, opens_end: 0 };
        self.gates.resize(before.len(), closed);
        self.opens.clear();
        let mut added = Vec::new();
        for of_test in opened.chunk_by(|a, b| a.0 == b.0) {
            let test = of_test[0].0;
            let opens_start = self.opens.len() as u32;
            self.opens.extend(of_test.iter().filter_map(|(_, member)| *member));
            let gate = Gate { test, exact: false, opens_start, opens_end: self.opens.len() as u32 };
            match before.get(numbers[test as usize] as usize) {
                Some(known) => self.gates[numbers[test as usize] as usize] = Gate { exact: known.exact, ..gate },
                None => added.push(gate),
            }
        }
        // A gate's number is in the matcher of its fields: those that lose or gain one are made anew.
        let group_of = |test: u32| {
            let bound = &tests[test as usize];
            if bound.keyword { &[][..] } else { &bound.fields[..] }
        };
        let free: Vec<usize> = (0..before.len()).filter(|at| self.gates[*at].test == NONE).collect();
        let lost = free.iter().map(|at| before[*at].test).filter(|test| *test != NONE);
        let mut changed: BTreeMap<&[FieldId], Vec<(u32, Form)>> =
            lost.chain(added.iter().map(|gate| gate.test)).map(|test| (group_of(test), Vec::new())).collect();
        let mut free = free.into_iter();
        for gate in added {
            match free.next() {
                Some(at) => self.gates[at] = gate,
                None => self.gates.push(gate),
            }
        }
        for (gate, number) in self.gates.iter_mut().zip(0..).filter(|(gate, _)| gate.test != NONE) {
            if let Some(forms) = changed.get_mut(group_of(gate.test)) {
                let form = form_of(gate.test);
                gate.exact = matches!(form, Form::Number(_) | Form::Network(_) | Form::Text { exact: true, .. });
                forms.push((number, form));
            }
        }
        // Fields that stand for one name have one matcher, so that it is not held twice.
        for (fields, forms) in changed {
            let matcher = Arc::new(Matcher::new(&forms, rarity));
            match self.groups.iter().position(|group| group == fields) {
                Some(at) => self.matchers[at] = matcher,
                None => {
                    let number = self.matchers.len() as u32;
                    self.matchers.push(matcher);
                    self.groups.push(fields.to_vec());
                    self.fields.extend(fields.iter().map(|field| (*field, number)));
                    if fields.is_empty() {
                        self.keywords = Some(number);
                    }
                }
            }
        }
        self.fields.sort_unstable();
    }

    /// Members whose gates opened often enough that others may be better, by their places; `opens` counts each gate in so many `events`.
    fn warm(&self, opens: &[u32], events: u64) -> Vec<usize> {
        let mut by_rule: HashMap<u32, u64> = HashMap::new();
        for (gate, opens) in self.gates.iter().zip(opens).filter(|(_, opens)| **opens > 0) {
            self.opened_by(*gate).iter().for_each(|member| *by_rule.entry(member.rule).or_default() += u64::from(*opens));
        }
        let is_warm = |member: &Member| by_rule.get(&member.rule).is_some_and(|opens| opens * WARM_EVENTS > events);
        (0..self.members.len()).filter(|at| is_warm(&self.members[*at])).collect()
    }

    /// Better gates for members whose gates open often, and by how much the candidates for an event would be fewer with them, where
    /// `share_of` is right. `condition` is a rule's.
    pub(super) fn better<'e>(
        &self,
        tally: &Tally,
        condition: impl Fn(u32) -> Option<&'e Expr<u32>>,
        share_of: &impl Fn(u32) -> Share,
    ) -> (Vec<(usize, gate::Gate)>, f64) {
        let of_test = |test: &u32| share_of(*test).holds.or(share_of(*test).fails);
        let share = |gate: &gate::Gate| gate.tests.iter().filter_map(of_test).sum::<f64>().min(1.0);
        let mut gain = 0.0;
        let mut others = Vec::new();
        for at in self.warm(&tally.opens, tally.events) {
            let other = condition(self.members[at].rule).and_then(|expr| gate::gate_of(expr, share_of));
            if let (Some(now), Some(other)) = (&self.chosen[at], other)
                && share(now) > share(&other)
            {
                gain += share(now) - share(&other);
                others.push((at, other));
            }
        }
        (others, gain)
    }

    /// The rules that a gate opens.
    pub(super) fn opened_by(&self, gate: Gate) -> &[Member] {
        &self.opens[gate.opens_start as usize..gate.opens_end as usize]
    }
}

/// Whether the test can hold by absence: then a gate that stays shut says nothing of it.
fn by_absence(test: &Bound) -> bool {
    matches!(test.test, Test::Null | Test::Exists(false))
}

/// Whether one value of a field decides the test, and a matcher finds it without looking at each: an address, a number, a literal.
fn is_looked_up(test: &Bound) -> bool {
    !test.keyword && matches!(test.test, Test::Cidr(_) | Test::Number(_) | Test::Text { cased: false, .. })
}

/// How often the gates of a plan opened, and when that is looked at.
#[derive(Debug)]
pub(super) struct Tally {
    events: u64,
    /// Events at which the plan is looked at next.
    next: u64,
    in_vain: u64,
    opens: Vec<u32>,
    /// Shares of tests as counted, in place of guesses; of all times that the plan was looked at.
    measured: HashMap<u32, f64>,
}

/// Events after which a plan is first looked at; then after four times as many each time.
const LOOK_AFTER_EVENTS: u64 = 1024;
const LOOK_AGAIN_FACTOR: u64 = 4;
/// A plan is looked at no more after so many events: what it became by then stays.
const LOOK_UNTIL_EVENTS: u64 = 5_000_000;
/// Rules evaluated in vain for an event that are worth a new plan. A twentieth is what the look-ups of one field cost.
pub(super) const VAIN_SHARE: f64 = 0.05;

/// A rule that is a candidate for fewer than one of so many events keeps its gate: there is little to gain.
const WARM_EVENTS: u64 = 2048;

impl Tally {
    pub(super) fn new(plan: &Plan) -> Tally {
        let opens = vec![0; plan.gates.len()];
        Tally { events: 0, next: LOOK_AFTER_EVENTS, in_vain: 0, opens, measured: HashMap::new() }
    }

    pub(super) fn event(&mut self) {
        self.events += 1;
    }

    /// Counts a gate that opened.
    pub(super) fn opened(&mut self, gate: u32) {
        let opens = &mut self.opens[gate as usize];
        *opens = opens.saturating_add(1);
    }

    /// Counts a rule whose gate opened and which did not hold.
    pub(super) fn in_vain(&mut self) {
        self.in_vain += 1;
    }

    /// Whether other gates may be better: asked after each event, and so rarely said. Then [`Tally::share`] tells what was counted.
    pub(super) fn is_due(&mut self, plan: &Plan) -> bool {
        if self.events < self.next {
            return false;
        }
        self.next = if self.next >= LOOK_UNTIL_EVENTS { u64::MAX } else { self.next * LOOK_AGAIN_FACTOR };
        let due = self.in_vain as f64 > self.events as f64 * VAIN_SHARE;
        if due {
            for (gate, opens) in plan.gates.iter().zip(&self.opens).filter(|(gate, _)| gate.test != NONE) {
                self.measured.insert(gate.test, (f64::from(*opens) + 0.5) / self.events as f64);
            }
        }
        due
    }

    /// How often a test held, where it was a gate when that was last counted.
    pub(super) fn share(&self, test: u32) -> Option<f64> {
        self.measured.get(&test).copied()
    }

    /// Begins to count for a new plan.
    pub(super) fn begin(&mut self, plan: &Plan) {
        (self.events, self.in_vain) = (0, 0);
        self.opens.clear();
        self.opens.resize(plan.gates.len(), 0);
    }
}
