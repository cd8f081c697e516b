//! Matching: which rules an event satisfies. Stateless but for caches, so each worker thread has its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Batch, EventRef, TenantId, Time};
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

/// What a rule has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Did {
    /// Its matches, and its work for them.
    #[serde(flatten)]
    pub cost: RuleCost,
    /// The time of the latest event that satisfied it.
    pub last_match: Option<Time>,
}

impl Did {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Did) {
        self.cost.add(other.cost);
        self.last_match = self.last_match.max(other.last_match);
    }

    /// An event of this time satisfied it; one without a time is none that was the last.
    pub fn met(&mut self, time: Time) {
        if time != Time::UNKNOWN {
            self.last_match = self.last_match.max(Some(time));
        }
    }
}

/// What a rule has done with the events of one tenant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Work {
    /// Whose events.
    pub tenant: TenantId,
    /// The rule: its index in the set.
    pub rule: u32,
    /// What it did.
    pub did: Did,
}

/// Finds matches in batches.
pub struct Detector {
    rules: Arc<RuleSet>,
    state: State,
    /// Whose events were looked at last: the costs in `state` are theirs.
    tenant: TenantId,
    /// The costs of the others.
    costs_of_others: BTreeMap<TenantId, Vec<RuleCost>>,
}

impl Detector {
    /// A detector for these rules.
    pub fn new(rules: Arc<RuleSet>) -> Detector {
        Detector { state: State::new(&rules), rules, tenant: TenantId::default(), costs_of_others: BTreeMap::new() }
    }

    /// Appends the matches of `batch` to `out`, by row and rule.
    pub fn scan(&mut self, batch: &Batch, out: &mut Vec<Match>) {
        for (row, event) in batch.iter().enumerate() {
            let row = row as u32;
            if event.tenant() != self.tenant {
                self.count_for(event.tenant());
            }
            let rules = &self.rules;
            self.state.scan(rules, event, |rule| out.push(Match { row, rule }));
        }
    }

    /// From now on work is done for this tenant.
    fn count_for(&mut self, tenant: TenantId) {
        let none = || vec![RuleCost::default(); self.rules.rules.len()];
        let costs = self.costs_of_others.remove(&tenant).unwrap_or_else(none);
        let before = std::mem::replace(&mut self.state.costs, costs);
        self.costs_of_others.insert(std::mem::replace(&mut self.tenant, tenant), before);
    }

    /// What rules did since this was last called, without the times of matches.
    pub fn take_work(&mut self) -> Vec<Work> {
        let mut all = Vec::new();
        for (tenant, costs) in std::iter::once((&self.tenant, &mut self.state.costs)).chain(&mut self.costs_of_others) {
            for (rule, cost) in (0..).zip(costs).filter(|(_, cost)| **cost != RuleCost::default()) {
                let did = Did { cost: std::mem::take(cost), last_match: None };
                all.push(Work { tenant: *tenant, rule, did });
            }
        }
        all
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
