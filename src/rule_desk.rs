//! The rules in force: loaded beside those that run, swapped at a batch boundary; their modes; what they do.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use api::{RuleDesk, RulesShown};
use event::{Batch, Clock, Time};
use rules::coverage::Coverage;
use rules::{LoadOptions, Match, Mode, Modes, Problem, RuleCost, RuleSet};
use tracing::{info, warn};

use crate::config;
use crate::pipeline::InForce;
use crate::role::{Loaded, load_rules};

/// Rules that have series of their own among the metrics: of those that have matched, the ones that did most often. A time series
/// database keeps a series for each, and `GET /rules` has them all.
const METRIC_RULES_MAX: usize = 500;

/// What the API shows and changes of the rules.
pub(crate) struct Desk {
    config: config::Rules,
    in_force: InForce,
    clock: Arc<dyn Clock>,
    /// One attempt at a time.
    loading: Mutex<()>,
    state: Mutex<State>,
}

/// Sets of rules that wait to be in force at most: while the analysis waits (a full disk) each holds all of its rules.
const ASKED_MAX: usize = 8;

struct State {
    rules: Arc<RuleSet>,
    /// Sets that were loaded and have matched nothing yet, with who asked for them, in their order: at most [`ASKED_MAX`].
    asked_for: Vec<(Arc<RuleSet>, String)>,
    options: Arc<LoadOptions>,
    refused: Arc<Vec<Problem>>,
    loaded: Time,
    failure: Option<String>,
    modes: Arc<Modes>,
    done: Vec<(RuleCost, Option<Time>)>,
    coverage: Coverage,
}

impl Desk {
    /// A desk for these rules, with the modes that the configuration and people have set.
    pub(crate) fn new(config: &config::Rules, loaded: Loaded, modes: Modes, clock: Arc<dyn Clock>) -> Desk {
        let Loaded { rules, options, problems } = loaded;
        let rules = Arc::new(rules);
        let done = vec![Default::default(); rules.rules().len()];
        let state = State {
            rules: rules.clone(),
            asked_for: Vec::new(),
            options: Arc::new(options),
            refused: Arc::new(problems),
            loaded: clock.now(),
            failure: None,
            modes: Arc::new(modes),
            done,
            coverage: Coverage::default(),
        };
        let (config, in_force) = (config.clone(), InForce::new(rules));
        Desk { config, in_force, clock, loading: Mutex::new(()), state: Mutex::new(state) }
    }

    /// Where the pipeline looks which rules are in force.
    pub(crate) fn in_force(&self) -> InForce {
        self.in_force.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code panics under this lock")
    }

    /// Notes what a batch brought and what `rules` did with it.
    pub(crate) fn note(&self, rules: &Arc<RuleSet>, batch: &Batch, matches: &[Match], costs: &[(u32, RuleCost)]) {
        let mut state = self.state();
        state.coverage.note(batch);
        if !Arc::ptr_eq(rules, &state.rules) {
            return; // The last batches of rules that are no more in force.
        }
        for (rule, cost) in costs {
            state.done[*rule as usize].0.add(*cost);
        }
        for found in matches {
            let last = &mut state.done[found.rule as usize].1;
            *last = (*last).max(Some(batch.event(found.row as usize).time()));
        }
    }

    /// Appends to metrics in Prometheus' text format what the rules in force that have matched did and cost, since they were loaded.
    pub(crate) fn write_metrics(&self, out: &mut String) {
        let state = self.state();
        let mut matched: Vec<_> = state.rules.rules().zip(&state.done).filter(|(_, (cost, _))| cost.matches > 0).collect();
        matched.sort_by_key(|(rule, (cost, _))| (Reverse(cost.matches), &rule.id));
        let untold = matched.len().saturating_sub(METRIC_RULES_MAX);
        matched.truncate(METRIC_RULES_MAX);
        type Of = fn(&RuleCost) -> u64;
        let counters: [(&str, &str, Of); 4] = [
            ("matches", "Events that satisfied the rule.", |cost| cost.matches),
            ("evaluated", "Events for which the rule's condition was evaluated.", |cost| cost.evaluated),
            ("tests", "Tests made for the rule alone.", |cost| cost.tests),
            ("text_bytes", "Bytes of text that these tests looked at.", |cost| cost.text_bytes),
        ];
        let mut write = || -> std::fmt::Result {
            for (name, help, of) in counters {
                writeln!(out, "# HELP mihari_rule_{name}_total {help}\n# TYPE mihari_rule_{name}_total counter")?;
                for (rule, (cost, _)) in &matched {
                    writeln!(out, "mihari_rule_{name}_total{{rule=\"{}\"}} {}", escaped(&rule.id), of(cost))?;
                }
            }
            writeln!(out, "# HELP mihari_rules_without_series Rules that have matched and are not among the series of rules.")?;
            writeln!(out, "# TYPE mihari_rules_without_series gauge\nmihari_rules_without_series {untold}")
        };
        write().expect("writing to a String does not fail");
    }

    /// Tells `record` who asked for these rules, which match from now on; once, unless it fails. Sets that were replaced before they matched
    /// anything were never in force.
    pub(crate) fn record_asker<E>(&self, rules: &Arc<RuleSet>, record: impl FnOnce(&str) -> Result<(), E>) -> Result<(), E> {
        let is = |(set, _): &(Arc<RuleSet>, String)| Arc::ptr_eq(set, rules);
        let by = self.state().asked_for.iter().find(|asked| is(asked)).map(|(_, by)| by.clone());
        let Some(by) = by else { return Ok(()) };
        record(&by)?;
        let mut state = self.state();
        let to = state.asked_for.iter().position(is).map_or(0, |at| at + 1);
        state.asked_for.drain(..to);
        Ok(())
    }

    /// Reads the rules and puts them in force, if nothing is refused that those in force had not refused too.
    fn load(&self, by: &str) -> Result<usize, String> {
        let _one = self.loading.lock().expect("no code panics under this lock");
        let Loaded { rules, options, problems } = load_rules(&self.config);
        let told = |p: &Problem| format!("{}:{}: {}", p.path, p.line, p.reason);
        let mut state = self.state();
        let known: BTreeSet<(&String, &String)> = state.refused.iter().map(|p| (&p.path, &p.reason)).collect();
        let refused: Vec<String> =
            problems.iter().filter(|p| p.refused && !known.contains(&(&p.path, &p.reason))).map(told).collect();
        if !refused.is_empty() {
            let reason = refused.join("; ");
            state.failure = Some(reason.clone());
            metrics::counter!("mihari_rules_reload_total", "result" => "refused").increment(1);
            warn!(reason, "the rules in force stay");
            return Err(reason);
        }
        let rules = Arc::new(rules);
        let count = rules.rules().len();
        state.done = vec![Default::default(); count];
        (state.rules, state.options, state.refused) = (rules.clone(), Arc::new(options), Arc::new(problems));
        (state.loaded, state.failure) = (self.clock.now(), None);
        if state.asked_for.len() == ASKED_MAX {
            state.asked_for.remove(0); // Overtaken before it matched anything.
        }
        state.asked_for.push((rules.clone(), by.to_owned()));
        self.in_force.set(rules);
        metrics::counter!("mihari_rules_reload_total", "result" => "loaded").increment(1);
        info!(rules = count, "rules loaded anew; they match from the next batch on");
        Ok(count)
    }

    /// What tells whether any rule file, or file that rules are read with, has changed: names, sizes and times of change.
    pub(crate) fn stamp(&self) -> Vec<(PathBuf, u64, Option<std::time::SystemTime>)> {
        let config::Rules { paths, placeholders, mapping, .. } = &self.config;
        let (found, _) = rules::find_files(&[&paths[..], placeholders, mapping].concat(), &rules::PLACEHOLDER_FILES);
        let stamp = |path: PathBuf| {
            let about = std::fs::metadata(&path).ok()?;
            Some((path, about.len(), about.modified().ok()))
        };
        found.into_iter().filter_map(stamp).collect()
    }
}

/// A label's value as Prometheus' text format has it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl RuleDesk for Desk {
    fn shown(&self) -> RulesShown {
        let state = self.state();
        RulesShown {
            rules: state.rules.clone(),
            refused: state.refused.clone(),
            loaded: state.loaded,
            failure: state.failure.clone(),
            done: state.done.clone(),
            unmapped: state.coverage.gaps(&state.rules),
        }
    }

    fn options(&self) -> Arc<LoadOptions> {
        self.state().options.clone()
    }

    fn modes(&self) -> Arc<Modes> {
        self.state().modes.clone()
    }

    fn set_mode(&self, rule: &str, tenant: u32, mode: Mode) {
        Arc::make_mut(&mut self.state().modes).set(rule, Some(tenant), mode);
    }

    fn reload(&self, by: &str) -> Result<usize, String> {
        self.load(by)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rules::{Detector, cases::batch_of, load};

    use super::*;
    use crate::clock::SystemClock;

    fn desk(rules: usize) -> (Desk, Arc<RuleSet>) {
        let text = |n| {
            format!("title: T\nid: 'r\"\\{n:04}'\nlogsource: {{category: any}}\ndetection: {{s: {{f: {n}}}, condition: s}}\n")
        };
        let text = (0..rules).map(text).collect::<Vec<_>>().join("---\n");
        let (set, problems) = load(&[("rules".to_owned(), text)], &LoadOptions::default());
        assert_eq!(problems, []);
        let loaded = Loaded { rules: set, options: LoadOptions::default(), problems };
        let desk = Desk::new(&config::Rules::default(), loaded, Modes::default(), Arc::new(SystemClock));
        let set = desk.in_force().get();
        (desk, set)
    }

    #[test]
    fn the_metrics_have_a_bounded_number_of_rules_those_that_match_most() {
        let more = METRIC_RULES_MAX + 3;
        let (desk, set) = desk(more + 1);
        let batch = batch_of(&["{}"]).expect("an object");
        let cost = |rule: usize| RuleCost { matches: 1 + u64::from(rule == more - 1), evaluated: 7, tests: 5, text_bytes: 30 };
        let costs: Vec<(u32, RuleCost)> = (0..more).map(|rule| (rule as u32, cost(rule))).collect();
        desk.note(&set, &batch, &[], &costs);
        let mut out = String::new();
        desk.write_metrics(&mut out);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.iter().filter(|line| line.starts_with("mihari_rule_")).count(), 4 * METRIC_RULES_MAX);
        let at = lines.iter().position(|line| *line == "# TYPE mihari_rule_matches_total counter").expect("there");
        assert_eq!(lines[at + 1], format!("mihari_rule_matches_total{{rule=\"r\\\"\\\\{:04}\"}} 2", more - 1));
        assert!(lines.contains(&r#"mihari_rule_text_bytes_total{rule="r\"\\0000"} 30"#), "{}", lines[at + 2]);
        assert_eq!(lines.last(), Some(&"mihari_rules_without_series 3"));
        assert!(!out.contains(&format!("{more:04}")), "a rule that did not match has no series");
    }

    /// A desk for the rules of the folder `rules`, with the placeholders of the folder `values`.
    fn desk_of(dir: &Path) -> Desk {
        let config = config::Rules {
            pack: false,
            paths: vec![dir.join("rules")],
            placeholders: vec![dir.join("values")],
            ..config::Rules::default()
        };
        Desk::new(&config, load_rules(&config), Modes::default(), Arc::new(SystemClock))
    }

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn rule(id: &str, detection: &str) -> String {
        format!("title: {id}\nid: {id}\nlogsource: {{category: any}}\ndetection: {{s: {{{detection}}}, condition: s}}\n")
    }

    #[test]
    fn placeholders_are_read_anew_with_the_rules() {
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), "rules/a.yml", &rule("a", "host|expand: '%servers%'"));
        write(dir.path(), "values/servers.txt", "one\n");
        let desk = desk_of(dir.path());
        let matches = |host: &str| {
            let batch = batch_of(&[&format!("{{\"host\": \"{host}\"}}")]).expect("an object");
            let mut matches = Vec::new();
            Detector::new(desk.in_force().get()).scan(&batch, &mut matches);
            !matches.is_empty()
        };
        assert!(matches("one") && !matches("two"));
        let before = desk.stamp();
        write(dir.path(), "values/servers.txt", "two and\ntwo\n");
        assert_ne!(desk.stamp(), before, "who watches the rules sees it");
        assert_eq!(desk.reload("test"), Ok(1));
        assert!(matches("two") && !matches("one"));
        assert_eq!(desk.options().placeholders["servers"], ["two and", "two"]);
        write(dir.path(), "values/servers.txt", "\n");
        assert!(desk.reload("test").expect_err("no value").contains("%servers% has no value"));
        assert!(matches("two"), "the rules in force stay");
    }
}
