//! Matching: which rules an event satisfies. Stateless, so each worker thread has its own.
//!
//! Tests are numbered over the whole set: a test that many rules share is made once an event, and only if some rule gets as far.

use std::sync::Arc;

use event::{Batch, EventRef};

use crate::ruleset::{Body, RuleSet};
use crate::test_of::{Scratch, evaluate};

/// A rule that an event satisfies.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Match {
    /// The event: its row in the batch.
    pub row: u32,
    /// The rule: its index in the set.
    pub rule: u32,
}

/// Finds matches in batches.
pub struct Detector {
    rules: Arc<RuleSet>,
    /// Per log source the rules for it, made when it is first seen.
    eligible: Vec<Option<Box<[u32]>>>,
    /// Per test the event (by a running number) for which it was made, and its answer.
    memo: Vec<(u32, bool)>,
    event: u32,
    scratch: Scratch,
}

impl Detector {
    /// A detector for these rules.
    pub fn new(rules: Arc<RuleSet>) -> Detector {
        Detector { memo: vec![(0, false); rules.atoms.len()], eligible: Vec::new(), event: 0, scratch: Scratch::default(), rules }
    }

    /// Appends the matches of `batch` to `out`, by row and rule.
    pub fn scan(&mut self, batch: &Batch, out: &mut Vec<Match>) {
        for (row, event) in batch.iter().enumerate() {
            self.scan_event(event, row as u32, out);
        }
    }

    fn scan_event(&mut self, event: EventRef<'_>, row: u32, out: &mut Vec<Match>) {
        let source = event.log_source();
        if self.eligible.len() <= source.index() {
            self.eligible.resize(source.index() + 1, None);
        }
        let rules = &self.rules;
        let eligible = self.eligible[source.index()].get_or_insert_with(|| {
            (0..rules.rules.len())
                .filter(|r| matches!(rules.rules[*r].body, Body::Sigma { .. }) && rules.eligible(*r, source))
                .map(|r| r as u32)
                .collect()
        });
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.memo.fill((0, false));
            self.event = 1;
        }
        for rule in eligible.iter() {
            let Body::Sigma { expr, .. } = &rules.rules[*rule as usize].body else { continue };
            let holds = evaluate(expr, &mut |atom: &u32| {
                let (made_for, answer) = &mut self.memo[*atom as usize];
                if *made_for != self.event {
                    *answer = rules.atoms[*atom as usize].holds(event, &mut self.scratch);
                    *made_for = self.event;
                }
                *answer
            });
            if holds {
                out.push(Match { row, rule: *rule });
            }
        }
    }
}

/// Which rules of the set an event satisfies whatever its log source, each test made anew: the plain form.
pub fn matches_plainly(rules: &RuleSet, event: EventRef<'_>) -> Vec<u32> {
    let mut scratch = Scratch::default();
    let all = rules.rules.iter().enumerate().filter(|(_, rule)| match &rule.body {
        Body::Sigma { expr, .. } => evaluate(expr, &mut |atom: &u32| rules.atoms[*atom as usize].holds(event, &mut scratch)),
        Body::Correlation(_) => false,
    });
    all.map(|(at, _)| at as u32).collect()
}
