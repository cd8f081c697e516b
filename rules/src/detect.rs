//! Matching: which rules an event satisfies. Stateless but for caches, so each worker thread has its own.

use std::sync::Arc;

use event::{Batch, EventRef};
use serde::Serialize;

use crate::compile::State;
use crate::ruleset::{Body, RuleSet};
use crate::test_of::{Folded, Scratch, evaluate};

/// A rule that an event satisfies.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Match {
    /// The event: its row in the batch.
    pub row: u32,
    /// The rule: its index in the set.
    pub rule: u32,
}

/// What a rule did and what it cost, counted. Work is counted, not timed: detection has no clock, and counts are the same on any machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct RuleCost {
    /// Events that satisfied it.
    pub matches: u64,
    /// Events for which its condition was evaluated, because one of its gates opened or it has none.
    pub evaluated: u64,
    /// Tests made for it alone, besides those that are looked up for all rules at once. A test that rules share counts for the first.
    pub tests: u64,
    /// Bytes of text that these tests looked at.
    pub text_bytes: u64,
}

impl RuleCost {
    /// Adds what another thread counted.
    pub fn add(&mut self, other: RuleCost) {
        self.matches += other.matches;
        self.evaluated += other.evaluated;
        self.tests += other.tests;
        self.text_bytes += other.text_bytes;
    }
}

/// Finds matches in batches.
pub struct Detector {
    rules: Arc<RuleSet>,
    state: State,
}

impl Detector {
    /// A detector for these rules.
    pub fn new(rules: Arc<RuleSet>) -> Detector {
        Detector { state: State::new(&rules), rules }
    }

    /// Appends the matches of `batch` to `out`, by row and rule.
    pub fn scan(&mut self, batch: &Batch, out: &mut Vec<Match>) {
        let rules = &self.rules;
        for (row, event) in batch.iter().enumerate() {
            let row = row as u32;
            self.state.scan(rules, event, |rule| out.push(Match { row, rule }));
        }
    }

    /// What each rule did and cost since this was last called; a rule's index is that of [`Match::rule`].
    pub fn take_costs(&mut self) -> impl ExactSizeIterator<Item = RuleCost> {
        self.state.costs.iter_mut().map(std::mem::take)
    }
}

/// Which rules of the set an event satisfies whatever its log source: the plain form. Every rule is evaluated; each test is made once.
pub fn matches_plainly(rules: &RuleSet, event: EventRef<'_>) -> Vec<u32> {
    let mut scratch = Scratch::default();
    let event = Folded::new(event);
    let mut answers = vec![None; rules.atoms.len()];
    let mut test = |atom: &u32| {
        let at = *atom as usize;
        *answers[at].get_or_insert_with(|| rules.atoms[at].holds_plainly(&event, &mut scratch))
    };
    let all = rules.rules.iter().enumerate().filter(|(_, rule)| match &rule.body {
        Body::Sigma { expr, .. } => evaluate(expr, &mut test),
        Body::Correlation(_) | Body::Behaviour(_) => false,
    });
    all.map(|(at, _)| at as u32).collect()
}
