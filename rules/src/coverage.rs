//! Which log sources and fields events have had, and which of those that rules name no event has ever had: a rule that can never match says
//! nothing, so somebody must.

use std::collections::{BTreeMap, BTreeSet};

use event::{Batch, EventRef, FieldId, LogSource, LogSourceId};
use serde::{Deserialize, Serialize};

use crate::ruleset::{Body, RuleSet};
use crate::sigma::item::{Expr, Test};
use crate::sigma::rule::RuleSource;

/// What events have had. Bounded by the tables of log sources and fields: 2 KiB a log source.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By log source, a bit a field.
    sources: BTreeMap<LogSourceId, Vec<u64>>,
}

/// A log source that events were of, and the fields that any of them had.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Seen {
    log_source: RuleSource,
    fields: Vec<String>,
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
            set(bits, field);
        }
    }

    /// What is known, by names: the numbers of fields and log sources are another process's.
    pub fn seen(&self) -> Vec<Seen> {
        let names = FieldId::all_names();
        let fields = |bits: &Vec<u64>| {
            let had = names.iter().enumerate().filter(|(at, _)| has(bits, *at));
            had.map(|(_, name)| (*name).to_owned()).collect()
        };
        let seen = |(id, bits): (&LogSourceId, &Vec<u64>)| {
            let LogSource { product, category, service } = id.parts();
            let owned = |part: Option<&str>| part.map(str::to_owned);
            let log_source = RuleSource { product: owned(product), category: owned(category), service: owned(service) };
            Seen { log_source, fields: fields(bits) }
        };
        self.sources.iter().map(seen).collect()
    }

    /// Adds what was known before.
    pub fn add(&mut self, seen: &[Seen]) {
        for Seen { log_source: RuleSource { product, category, service }, fields } in seen {
            let id = LogSourceId::intern(LogSource {
                product: product.as_deref(),
                category: category.as_deref(),
                service: service.as_deref(),
            });
            let bits = self.sources.entry(id).or_default();
            fields.iter().filter_map(|name| FieldId::intern(name)).for_each(|field| set(bits, field));
        }
    }

    /// What rules name and no event has had, by log source; what correlations ask of events counts for the log sources of the rules that they correlate.
    /// Events of an unknown log source are no one's.
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
            let mut missing = Missing { set, bits, rules_of: BTreeMap::new() };
            let seen = !missing.bits.is_empty();
            for rule in rules.iter().filter(|_| seen) {
                missing.of_rule(*rule);
            }
            let fields = missing.rules_of.into_iter().map(|(field, rules)| (field.to_owned(), rules.len())).collect();
            Gap { log_source: source.clone(), rules: rules.len(), seen, fields }
        };
        by_source.into_iter().map(gap).filter(|gap| !gap.seen || !gap.fields.is_empty()).collect()
    }
}

fn has(bits: &[u64], at: usize) -> bool {
    bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

fn set(bits: &mut Vec<u64>, field: FieldId) {
    let (word, bit) = (field.index() / 64, field.index() % 64);
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    bits[word] |= 1 << bit;
}

/// Fields that no event of one log source has had.
struct Missing<'s> {
    set: &'s RuleSet,
    /// What events have had.
    bits: Vec<&'s Vec<u64>>,
    /// By field, as rules name it, the rules that do.
    rules_of: BTreeMap<&'static str, BTreeSet<usize>>,
}

impl Missing<'_> {
    fn of_rule(&mut self, rule: usize) {
        if let Body::Sigma { expr, .. } = &self.set.rules[rule].body {
            self.of_condition(rule, expr);
        }
        for (correlation, place) in &self.set.listeners[rule] {
            if let Body::Correlation(bound) = &self.set.rules[*correlation].body {
                let at = usize::from(*place);
                bound.keys[at].iter().chain(&bound.values[at]).for_each(|fields| self.note(*correlation, fields));
            }
        }
    }

    fn of_condition(&mut self, rule: usize, expr: &Expr<u32>) {
        match expr {
            Expr::And(of) | Expr::Or(of) | Expr::AtLeast(_, of) => of.iter().for_each(|e| self.of_condition(rule, e)),
            Expr::Not(inner) | Expr::Named(_, inner) => self.of_condition(rule, inner),
            Expr::Atom(atom) => {
                let bound = &self.set.atoms[*atom as usize];
                if !matches!(bound.test, Test::Null | Test::Exists(false)) {
                    self.note(rule, &bound.fields);
                }
                self.note(rule, &bound.other);
            }
        }
    }

    /// Notes the first of these fields, which mean the same, where no event has had any.
    fn note(&mut self, rule: usize, fields: &[FieldId]) {
        let had = |field: &FieldId| self.bits.iter().any(|bits| has(bits, field.index()));
        if let (Some(first), false) = (fields.first(), fields.iter().any(had)) {
            self.rules_of.entry(first.name()).or_default().insert(rule);
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn what_correlations_and_references_ask_of_events_is_told_too() {
        let rules = "
title: A
name: a
logsource: {category: coverage_c}
detection: {s: {here: 1, here|fieldref: nowhere_else}, condition: s}
---
title: Many
correlation:
  {type: value_count, rules: [a], group-by: [here, no.group], timespan: 1m, condition: {field: no.value, gte: 2}}
";
        let (set, problems) = load(&[("rules".to_owned(), rules.to_owned())], &LoadOptions::default());
        assert_eq!(problems, []);
        let source = LogSourceId::intern(LogSource { product: None, category: Some("coverage_c"), service: None });
        let batch = batch_of_sources([(source, r#"{"here": 1}"#)].into_iter()).expect("an object");
        let mut coverage = Coverage::default();
        coverage.note(&batch);
        let gaps = coverage.gaps(&set);
        let named = ["no.group", "no.value", "nowhere_else"].map(|name| (name.to_owned(), 1));
        assert_eq!((gaps.len(), &gaps[0].fields[..]), (1, &named[..]));
        let mut again = Coverage::default();
        again.add(&coverage.seen());
        assert_eq!((again.gaps(&set), again.seen()), (gaps, coverage.seen()));
    }
}
