//! What becomes of a rule's matches, for each tenant: an alert, a record that nobody is told of, or nothing.

use std::collections::BTreeMap;

use event::Batch;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertChange};
use crate::detect::Match;
use crate::ruleset::RuleSet;

/// What becomes of a rule's matches.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing: correlations do not see them either.
    Off,
    /// They are stored, and correlations see them; nobody is told.
    Record,
    /// An alert.
    #[default]
    Alert,
}

impl Mode {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Record => "record",
            Mode::Alert => "alert",
        }
    }
}

/// The modes of rules, by their ids; what is not named alerts.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    of_rule: BTreeMap<String, Of>,
}

/// The modes of one rule: for all tenants, and for some.
#[derive(Clone, Debug, Default)]
struct Of {
    all: Mode,
    of_tenant: BTreeMap<u32, Mode>,
}

impl Modes {
    /// Sets the mode of a rule, for one tenant or for all that have none of their own.
    pub fn set(&mut self, rule: &str, tenant: Option<u32>, mode: Mode) {
        let of = self.of_rule.entry(rule.to_owned()).or_default();
        match tenant {
            None => of.all = mode,
            Some(tenant) => _ = of.of_tenant.insert(tenant, mode),
        }
    }

    /// The mode of a rule for a tenant.
    pub fn of(&self, rule: &str, tenant: u32) -> Mode {
        self.of_rule.get(rule).map_or(Mode::Alert, |of| of.of_tenant.get(&tenant).copied().unwrap_or(of.all))
    }

    /// Whether anybody is to be told of the alert.
    pub fn is_told(&self, alert: &Alert) -> bool {
        self.of(&alert.rule.id, alert.tenant) == Mode::Alert
    }

    /// Takes out the matches of rules that are off for the tenant of their event.
    pub fn keep_matches(&self, rules: &RuleSet, batch: &Batch, matches: &mut Vec<Match>) {
        if self.of_rule.is_empty() {
            return;
        }
        matches.retain(|found| {
            let id = &rules.rules[found.rule as usize].info.id;
            self.of(id, batch.event(found.row as usize).tenant().0) != Mode::Off
        });
    }

    /// Takes out what changed in alerts of rules that are off: correlations and behaviours, which have no matches of their own.
    pub fn keep_changes(&self, changes: &mut Vec<AlertChange>) {
        if !self.of_rule.is_empty() {
            changes.retain(|change| self.of(&change.alert().rule.id, change.alert().tenant) != Mode::Off);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::batch_of;
    use crate::options::LoadOptions;
    use crate::ruleset::load;

    #[test]
    fn a_rule_that_is_off_has_no_matches() {
        let text =
            |id: &str| format!("title: {id}\nid: {id}\nlogsource: {{category: any}}\ndetection: {{s: {{a: 1}}, condition: s}}\n");
        let (set, _) = load(&[("rules".to_owned(), text("one") + "---\n" + &text("two"))], &LoadOptions::default());
        let batch = batch_of(&[r#"{"a":1}"#]).expect("an object");
        let mut modes = Modes::default();
        let kept = |modes: &Modes| {
            let mut matches = vec![Match { row: 0, rule: 0 }, Match { row: 0, rule: 1 }];
            modes.keep_matches(&set, &batch, &mut matches);
            matches.iter().map(|found| found.rule).collect::<Vec<_>>()
        };
        assert_eq!(kept(&modes), [0, 1]);
        modes.set("two", None, Mode::Off);
        assert_eq!(kept(&modes), [0]);
        modes.set("two", Some(0), Mode::Record);
        assert_eq!(kept(&modes), [0, 1], "a tenant's own mode stands before that of all");
        assert_eq!((modes.of("two", 0), modes.of("two", 1), modes.of("three", 1)), (Mode::Record, Mode::Off, Mode::Alert));
    }
}
