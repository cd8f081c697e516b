//! A plan: the rules of one log source with their gates, matchers and conditions.

use std::collections::{BTreeMap, HashMap, HashSet};

use event::FieldId;

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
#[derive(Debug)]
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
    pub(super) matchers: Vec<Matcher>,
    pub(super) gates: Vec<Gate>,
    opens: Vec<Member>,
    pub(super) nodes: Vec<Node>,
}

/// A test that opens rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    pub(super) test: u32,
    /// Whether the test holds wherever the gate opens.
    pub(super) exact: bool,
    opens_start: u32,
    opens_end: u32,
}

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
        // Where a test can hold by absence, a gate that stays shut says nothing of it.
        let by_absence = |test: u32| matches!(tests[test as usize].test, Test::Null | Test::Exists(false));
        let is_gated = |test: u32| gated.contains(&test) && !by_absence(test);
        let price = |test: u32| program::price(&tests[test as usize], is_gated(test));
        let mut plan = Plan {
            members: Vec::with_capacity(rules.len()),
            chosen: Vec::new(),
            always: Vec::new(),
            fields: Vec::new(),
            keywords: None,
            matchers: Vec::new(),
            gates: Vec::new(),
            opens: Vec::new(),
            nodes: Vec::new(),
        };
        let mut opened: BTreeMap<u32, Vec<Member>> = BTreeMap::new();
        for ((rule, expr), gate) in rules.iter().zip(&chosen) {
            let member = Member { rule: *rule, nodes_start: plan.nodes.len() as u32 };
            program::append(expr, &is_gated, &price, &mut plan.nodes);
            plan.members.push(member);
            match gate {
                None => plan.always.push(member),
                Some(gate) => gate.tests.iter().for_each(|test| opened.entry(*test).or_default().push(member)),
            }
        }
        plan.add_gates(opened, tests, form_of, rarity);
        plan.chosen = chosen;
        plan
    }

    fn add_gates(&mut self, opened: BTreeMap<u32, Vec<Member>>, tests: &[Bound], form_of: impl Fn(u32) -> Form, rarity: &Rarity) {
        // Fields that stand for one name have one matcher, so that it is not held twice.
        let mut by_fields: BTreeMap<&[FieldId], Vec<(u32, Form)>> = BTreeMap::new();
        let mut keywords = Vec::new();
        for (test, members) in opened {
            let bound = &tests[test as usize];
            let form = form_of(test);
            let number = self.gates.len() as u32;
            let opens_start = self.opens.len() as u32;
            self.opens.extend(members);
            let exact = matches!(form, Form::Number(_) | Form::Network(_) | Form::Text { exact: true, .. });
            self.gates.push(Gate { test, exact, opens_start, opens_end: self.opens.len() as u32 });
            let forms = if bound.keyword { &mut keywords } else { by_fields.entry(&bound.fields).or_default() };
            forms.push((number, form));
        }
        for (fields, forms) in by_fields {
            let number = self.matchers.len() as u32;
            self.matchers.push(Matcher::new(&forms, rarity));
            self.fields.extend(fields.iter().map(|field| (*field, number)));
        }
        self.fields.sort_unstable();
        if !keywords.is_empty() {
            self.keywords = Some(self.matchers.len() as u32);
            self.matchers.push(Matcher::new(&keywords, rarity));
        }
    }

    /// By how much the candidates for an event would be fewer with other gates, one for each member, where `share_of` is right.
    pub(super) fn gain(&self, others: &[Option<gate::Gate>], share_of: &impl Fn(u32) -> Share) -> f64 {
        let of_test = |test: &u32| share_of(*test).holds.or(share_of(*test).fails);
        let share = |gate: &gate::Gate| gate.tests.iter().filter_map(of_test).sum::<f64>().min(1.0);
        let both = self.chosen.iter().flatten().zip(others.iter().flatten()).filter(|(now, other)| now.tests != other.tests);
        both.map(|(now, other)| share(now) - share(other)).sum()
    }

    /// The rules that a gate opens.
    pub(super) fn opened_by(&self, gate: Gate) -> &[Member] {
        &self.opens[gate.opens_start as usize..gate.opens_end as usize]
    }
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
            for (gate, opens) in plan.gates.iter().zip(&self.opens) {
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
