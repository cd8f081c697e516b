//! Which log sources and fields events have had, and which of those that rules name no event has ever had: a rule that can never match says
//! nothing, so somebody must.

use std::collections::{BTreeMap, BTreeSet};

use event::{Batch, EventRef, FieldId, LogSourceId};
use serde::Serialize;

use crate::ruleset::{Body, RuleSet};
use crate::sigma::item::{Expr, Test};
use crate::sigma::rule::RuleSource;

/// What events have had. Bounded by the tables of log sources and fields: 2 KiB a log source.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By log source, a bit a field.
    sources: BTreeMap<LogSourceId, Vec<u64>>,
}

/// What rules of one log source name, and no event has had.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// The log source, as the rules name it.
    pub log_source: RuleSource,
    /// How many rules are for it.
    pub rules: usize,
    /// Whether any event was of it.
    pub seen: bool,
    /// Where some were: the fields that none of them had, as the rules name them, and how many rules name each.
    pub fields: Vec<(String, usize)>,
}

impl Coverage {
    /// Notes the events of a batch.
    pub fn note(&mut self, batch: &Batch) {
        batch.iter().for_each(|event| self.note_event(event));
    }

    /// Notes one event.
    pub fn note_event(&mut self, event: EventRef<'_>) {
        let bits = self.sources.entry(event.log_source()).or_default();
        for (field, _) in event.cells() {
            let (word, bit) = (field.index() / 64, field.index() % 64);
            if bits.len() <= word {
                bits.resize(word + 1, 0);
            }
            bits[word] |= 1 << bit;
        }
    }

    /// What rules name and no event has had, by log source. Events of an unknown log source are no one's.
    pub fn gaps(&self, set: &RuleSet) -> Vec<Gap> {
        let mut by_source: BTreeMap<&RuleSource, Vec<usize>> = BTreeMap::new();
        for (rule, info) in set.rules().enumerate() {
            if matches!(set.rules[rule].body, Body::Sigma { .. }) {
                by_source.entry(&info.source).or_default().push(rule);
            }
        }
        let gap = |(source, rules): (&RuleSource, Vec<usize>)| {
            let fits = |id: &LogSourceId| *id != LogSourceId::UNKNOWN && set.eligible(rules[0], *id);
            let bits: Vec<&Vec<u64>> = self.sources.iter().filter(|(id, _)| fits(id)).map(|(_, bits)| bits).collect();
            let has = |field: FieldId| {
                bits.iter().any(|bits| bits.get(field.index() / 64).is_some_and(|word| word >> (field.index() % 64) & 1 == 1))
            };
            let mut fields: BTreeMap<String, usize> = BTreeMap::new();
            for rule in rules.iter().filter(|_| !bits.is_empty()) {
                let mut missing = BTreeSet::new();
                if let Body::Sigma { expr, .. } = &set.rules[*rule].body {
                    missing_of(set, expr, &has, &mut missing);
                }
                for field in missing {
                    *fields.entry(field.to_owned()).or_default() += 1;
                }
            }
            let (rules, seen) = (rules.len(), !bits.is_empty());
            Gap { log_source: source.clone(), rules, seen, fields: fields.into_iter().collect() }
        };
        by_source.into_iter().map(gap).filter(|gap| !gap.seen || !gap.fields.is_empty()).collect()
    }
}

fn missing_of<'s>(set: &'s RuleSet, expr: &Expr<u32>, has: &impl Fn(FieldId) -> bool, missing: &mut BTreeSet<&'s str>) {
    match expr {
        Expr::And(of) | Expr::Or(of) | Expr::AtLeast(_, of) => of.iter().for_each(|e| missing_of(set, e, has, missing)),
        Expr::Not(inner) => missing_of(set, inner, has, missing),
        Expr::Atom(atom) => {
            let bound = &set.atoms[*atom as usize];
            let absent_is_fine = matches!(bound.test, Test::Null | Test::Exists(false));
            if let (Some(first), false) = (bound.fields.first(), absent_is_fine || bound.fields.iter().any(|f| has(*f))) {
                missing.insert(first.name());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event::LogSource;

    use super::*;
    use crate::cases::batch_of_sources;
    use crate::options::LoadOptions;
    use crate::ruleset::load;

    #[test]
    fn what_no_event_has_had_is_told() {
        let rules = "
title: A
logsource: {category: coverage_a}
detection: {s: {here: 1, there: 2}, n: {nowhere: null}, condition: s and not n}
---
title: B
logsource: {category: coverage_a, product: p}
detection: {s: {here: 1}, condition: s}
---
title: C
logsource: {category: coverage_c}
detection: {s: {here: 1}, condition: s}
";
        let (set, problems) = load(&[("rules".to_owned(), rules.to_owned())], &LoadOptions::default());
        assert_eq!(problems, []);
        let source = LogSource { product: Some("p"), category: Some("coverage_a"), service: None };
        let source = LogSourceId::intern(source);
        let mut coverage = Coverage::default();
        coverage.note(&batch_of_sources([(source, r#"{"here": 5}"#)].into_iter()).expect("an object"));
        let of = |category: &str| RuleSource { category: Some(category.to_owned()), ..RuleSource::default() };
        let expected = [
            Gap { log_source: of("coverage_a"), rules: 1, seen: true, fields: vec![("there".to_owned(), 1)] },
            Gap { log_source: of("coverage_c"), rules: 1, seen: false, fields: vec![] },
        ];
        assert_eq!(coverage.gaps(&set), expected);
    }
}
