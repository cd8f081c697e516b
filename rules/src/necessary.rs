//! What every event that a rule can match must have: for a search that finds candidates before the rule is asked.
//!
//! It is never narrower than the rule. What cannot be said of one event's values (absence, what is compared with another field, words of
//! no field) asks for nothing.

use crate::ruleset::{Body, GENERIC, RuleSet};
use crate::sigma::item::{Expr, Test};

/// A condition that every match keeps.
#[derive(Clone, Debug)]
pub enum Necessary<'r> {
    /// Nothing is asked.
    Anything,
    /// All of these.
    All(Vec<Necessary<'r>>),
    /// One of these; of none, no event matches.
    Any(Vec<Necessary<'r>>),
    /// The event's log source is unknown, or each part of it (`product`, `category`, `service`) is one of those named.
    Source(Vec<(&'static str, Vec<&'r str>)>),
    /// One of the fields has a value for which the test holds.
    Value {
        /// Their names.
        fields: Vec<&'static str>,
        /// The test, of one value.
        test: &'r Test,
    },
}

impl RuleSet {
    /// What every event that takes part in the rule must have; of a correlation, in one of its rules.
    pub fn necessary(&self, rule: usize) -> Necessary<'_> {
        let entry = &self.rules[rule];
        match &entry.body {
            Body::Sigma { expr, .. } => all(vec![self.source(rule), self.condition(expr)]),
            Body::Correlation(_) => {
                let listened = (0..self.rules.len()).filter(|r| self.listeners[*r].iter().any(|(c, _)| *c == rule));
                any(listened.map(|r| self.necessary(r)).collect())
            }
            Body::Behaviour(_) => Necessary::Anything,
        }
    }

    /// How far before an alert the events may lie that made it, in nanoseconds; none where nothing bounds it.
    pub fn reach_ns(&self, rule: usize) -> Option<i64> {
        match &self.rules[rule].body {
            Body::Sigma { .. } => Some(0),
            Body::Correlation(bound) => {
                let listened = (0..self.rules.len()).filter(|r| self.listeners[*r].iter().any(|(c, _)| *c == rule));
                let inner = listened.map(|r| self.reach_ns(r)).try_fold(0, |most, ns| Some(i64::max(most, ns?)))?;
                Some(bound.written.timespan_ns.saturating_add(inner))
            }
            Body::Behaviour(_) => None,
        }
    }

    fn source(&self, rule: usize) -> Necessary<'_> {
        let wanted = &self.rules[rule].info.source;
        let mut parts = Vec::new();
        if let Some(product) = &wanted.product {
            parts.push(("product", vec![product.as_str()]));
        }
        if let Some(category) = &wanted.category {
            if category == "any" {
                return Necessary::Anything;
            }
            let narrow = GENERIC.iter().filter(|(wide, _)| wide == category).flat_map(|(_, narrow)| narrow.iter().copied());
            parts.push(("category", std::iter::once(category.as_str()).chain(narrow).collect()));
        }
        if let Some(service) = &wanted.service {
            parts.push(("service", vec![service.as_str()]));
        }
        if parts.is_empty() { Necessary::Anything } else { Necessary::Source(parts) }
    }

    fn condition(&self, expr: &Expr<u32>) -> Necessary<'_> {
        match expr {
            Expr::Atom(atom) => {
                let bound = &self.atoms[*atom as usize];
                match &bound.test {
                    _ if bound.keyword => Necessary::Anything,
                    Test::Null | Test::Exists(_) | Test::FieldRef { .. } | Test::TimePart(..) => Necessary::Anything,
                    test => Necessary::Value { fields: bound.fields.iter().map(|f| f.name()).collect(), test },
                }
            }
            Expr::And(parts) => all(parts.iter().map(|e| self.condition(e)).collect()),
            Expr::AtLeast(n, parts) if *n >= parts.len() => all(parts.iter().map(|e| self.condition(e)).collect()),
            Expr::AtLeast(0, _) | Expr::Not(_) => Necessary::Anything,
            Expr::Named(_, inner) => self.condition(inner),
            Expr::Or(parts) | Expr::AtLeast(_, parts) => any(parts.iter().map(|e| self.condition(e)).collect()),
        }
    }
}

fn all(mut parts: Vec<Necessary<'_>>) -> Necessary<'_> {
    parts.retain(|part| !matches!(part, Necessary::Anything));
    match parts.len() {
        0 => Necessary::Anything,
        1 => parts.remove(0),
        _ => Necessary::All(parts),
    }
}

fn any(mut parts: Vec<Necessary<'_>>) -> Necessary<'_> {
    match parts.len() {
        _ if parts.iter().any(|part| matches!(part, Necessary::Anything)) => Necessary::Anything,
        1 => parts.remove(0),
        _ => Necessary::Any(parts),
    }
}
