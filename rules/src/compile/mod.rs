//! All rules compiled together: what an event's values open is looked up, and only rules with an open gate are evaluated.
//!
//! ```text
//!  rule   ─▶ gate: the rarest tests one of which must hold      a rule without gate is always evaluated
//!  log source of rules ─▶ plan ─▶ field ─▶ matcher of all gates on it: whole values, starts, ends, windows, numbers, networks
//!  event  ─▶ route of its log source: the plans that are for it ─▶ gates opened ─▶ candidates ─▶ their conditions
//!            how often gates open is counted; rules whose gates open in vain get others by what was counted
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
mod packed;
mod plan;
mod program;
mod rarity;
mod scan;
mod share;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use scan::State;

use self::form::{form_of, texts_of};
use self::gate::{Share, gate_of};
use self::plan::Plan;
use self::program::Guards;
use self::rarity::Rarity;
use self::share::Shares;
use crate::sigma::item::Expr;
use crate::sigma::rule::RuleSource;
use crate::test_of::Bound;

/// The compiled form of a rule set, with gates chosen by guess.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// One for each log source that rules name.
    plans: Vec<Arc<Plan>>,
    /// All rules: for events of unknown log source.
    everything: Arc<Plan>,
    guards: Guards,
    rarity: Rarity,
    /// Per test the guessed shares of events for which it holds and fails.
    shares: Vec<Share>,
}

/// A rule's number, its log source and its condition.
pub(crate) type Condition<'a> = (u32, &'a RuleSource, &'a Expr<u32>);

impl Compiled {
    /// Compiles conditions over `tests`.
    pub(crate) fn new(tests: &[Bound], rules: &[Condition<'_>]) -> Compiled {
        let mut texts = Vec::new();
        tests.iter().for_each(|bound| texts_of(&bound.test, &mut texts));
        let rarity = Rarity::of(texts.iter());
        drop(texts);
        let forms: Vec<_> = tests.iter().map(|bound| form_of(&bound.test, &rarity)).collect();
        let shares = Shares::new(tests, &forms, rules.iter().map(|(_, _, expr)| *expr));
        let mut by_source: BTreeMap<&RuleSource, Vec<(u32, &Expr<u32>)>> = BTreeMap::new();
        for (rule, source, expr) in rules {
            by_source.entry(source).or_default().push((*rule, *expr));
        }
        let shares: Vec<Share> = tests.iter().zip(&forms).zip(0..).map(|((b, f), test)| shares.of(test, b, f, &rarity)).collect();
        let plan = |members: &[(u32, &Expr<u32>)]| {
            let gates = members.iter().map(|(_, expr)| gate_of(expr, &|test| shares[test as usize])).collect();
            Arc::new(Plan::new(members, gates, tests, |test| forms[test as usize].clone(), &rarity))
        };
        let plans = by_source.values().map(|members| plan(members)).collect();
        let everything = plan(&rules.iter().map(|(rule, _, expr)| (*rule, *expr)).collect::<Vec<_>>());
        Compiled { plans, everything, guards: Guards::new(tests, &rarity), rarity, shares }
    }
}
