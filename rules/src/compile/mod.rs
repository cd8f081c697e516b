//! All rules compiled together: what an event's values open is looked up, and only rules with an open gate are evaluated.
//!
//! ```text
//!  rule   ─▶ gate: the rarest tests one of which must hold      a rule without gate is always evaluated
//!  log source of rules ─▶ plan ─▶ field ─▶ matcher of all gates on it: whole values, starts, ends, windows, numbers, networks
//!  event  ─▶ route of its log source: the plans that are for it ─▶ gates opened ─▶ candidates ─▶ their conditions
//! ```
//!
//! A rule stands in the plan of its own log source and once more in the plan of all rules, which events of unknown log source go
//! through; so memory is linear in the rules however many log sources events have. It promises the matches of the plain form
//! ([`crate::matches_plainly`]), and work that is linear in the event's text for any given rules.

mod cache;
mod form;
mod gate;
mod grams;
mod hash;
mod ladder;
mod matcher;
mod program;
mod rarity;
mod scan;

use std::collections::{BTreeMap, HashSet};

use event::FieldId;

pub(crate) use scan::State;

use self::form::{Form, form_of, texts_of};
use self::gate::gate_of;
use self::matcher::Matcher;
use self::program::{Guards, Node};
use self::rarity::Rarity;
use crate::sigma::item::Expr;
use crate::sigma::rule::RuleSource;
use crate::test_of::Bound;

/// The compiled form of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    plans: Vec<Plan>,
    /// All rules: for events of unknown log source.
    everything: Plan,
    matchers: Vec<Matcher>,
    gates: Vec<Gate>,
    gate_rules: Vec<u32>,
    nodes: Vec<Node>,
    /// Per rule where its nodes start.
    programs: Vec<u32>,
    guards: Guards,
}

/// The rules of one log source.
#[derive(Debug, Default)]
struct Plan {
    /// A rule of the plan: all are for the same events.
    example: u32,
    /// Rules without gate.
    always: Vec<u32>,
    /// Fields with their matchers, sorted.
    fields: Vec<(FieldId, u32)>,
    /// The matcher of keywords.
    keywords: Option<u32>,
}

/// A test that opens rules.
#[derive(Clone, Copy, Debug)]
struct Gate {
    test: u32,
    /// Whether the test holds wherever the gate opens.
    exact: bool,
    rules_start: u32,
    rules_end: u32,
}

impl Compiled {
    /// Compiles conditions over `tests`. Each is given with its rule's number and log source.
    pub(crate) fn new(tests: &[Bound], rules: &[(u32, &RuleSource, &Expr<u32>)]) -> Compiled {
        let mut texts = Vec::new();
        tests.iter().for_each(|bound| texts_of(&bound.test, &mut texts));
        let rarity = Rarity::of(texts.iter());
        drop(texts);
        let forms: Vec<Form> = tests.iter().map(|bound| form_of(&bound.test, &rarity)).collect();
        let share_of = |test: u32| share(&tests[test as usize], &forms[test as usize], &rarity);
        let gates: Vec<Option<gate::Gate>> = rules.iter().map(|(_, _, expr)| gate_of(expr, &share_of)).collect();
        let mut by_source: BTreeMap<&RuleSource, Vec<usize>> = BTreeMap::new();
        for (at, (_, source, _)) in rules.iter().enumerate() {
            by_source.entry(source).or_default().push(at);
        }
        let mut compiled = Compiled { guards: Guards::new(tests, &rarity), ..Compiled::default() };
        let mut builder = Builder { tests, forms: &forms, gates: &gates, rules, rarity: &rarity, out: &mut compiled };
        let mut programs = vec![0; rules.iter().map(|(rule, ..)| *rule as usize + 1).max().unwrap_or(0)];
        for members in by_source.values() {
            let plan = builder.plan(members);
            builder.out.plans.push(plan);
            let gated: HashSet<u32> =
                members.iter().filter_map(|at| gates[*at].as_ref()).flat_map(|gate| gate.tests.iter().copied()).collect();
            let is_gated = |test: u32| gated.contains(&test);
            let price = |test: u32| program::price(&tests[test as usize], is_gated(test));
            for at in members {
                let (rule, _, expr) = rules[*at];
                programs[rule as usize] = builder.out.nodes.len() as u32;
                program::append(expr, &is_gated, &price, &mut builder.out.nodes);
            }
        }
        builder.out.everything = builder.plan(&(0..rules.len()).collect::<Vec<_>>());
        compiled.programs = programs;
        compiled
    }
}

struct Builder<'a> {
    tests: &'a [Bound],
    forms: &'a [Form],
    gates: &'a [Option<gate::Gate>],
    rules: &'a [(u32, &'a RuleSource, &'a Expr<u32>)],
    rarity: &'a Rarity,
    out: &'a mut Compiled,
}

impl Builder<'_> {
    /// The plan of these rules, given by their places in `rules`.
    fn plan(&mut self, members: &[usize]) -> Plan {
        let mut plan = Plan { example: members.first().map_or(0, |at| self.rules[*at].0), ..Plan::default() };
        let mut opened: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for at in members {
            match &self.gates[*at] {
                None => plan.always.push(self.rules[*at].0),
                Some(gate) => gate.tests.iter().for_each(|test| opened.entry(*test).or_default().push(self.rules[*at].0)),
            }
        }
        // Fields that stand for one name have one matcher, so that it is not held twice.
        let mut by_fields: BTreeMap<&[FieldId], Vec<(u32, Form)>> = BTreeMap::new();
        let mut keywords = Vec::new();
        for (test, rules) in opened {
            let bound = &self.tests[test as usize];
            let form = self.forms[test as usize].clone();
            let number = self.out.gates.len() as u32;
            let rules_start = self.out.gate_rules.len() as u32;
            self.out.gate_rules.extend(rules);
            let exact = matches!(form, Form::Number(_) | Form::Network(_) | Form::Text { exact: true, .. });
            self.out.gates.push(Gate { test, exact, rules_start, rules_end: self.out.gate_rules.len() as u32 });
            let forms = if bound.keyword { &mut keywords } else { by_fields.entry(&bound.fields).or_default() };
            forms.push((number, form));
        }
        for (fields, forms) in by_fields {
            let number = self.matcher(&forms);
            plan.fields.extend(fields.iter().map(|field| (*field, number)));
        }
        plan.fields.sort_unstable();
        if !keywords.is_empty() {
            plan.keywords = Some(self.matcher(&keywords));
        }
        plan
    }

    fn matcher(&mut self, forms: &[(u32, Form)]) -> u32 {
        self.out.matchers.push(Matcher::new(forms, self.rarity));
        self.out.matchers.len() as u32 - 1
    }
}

/// The guessed share of events for which a test holds; none where it can hold by absence and is no gate.
fn share(bound: &Bound, form: &Form, rarity: &Rarity) -> Option<f64> {
    let share = match form {
        Form::Anything => return None,
        Form::Present if bound.keyword => return None,
        Form::Present => 0.6,
        Form::Number(_) => 0.03,
        Form::Network(_) => 0.05,
        Form::Text { literals, .. } => literals.iter().map(|(_, text)| rarity.share(text)).sum(),
    };
    Some(if bound.keyword { (share * 4.0_f64).min(1.0) } else { share })
}
