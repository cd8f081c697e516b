//! The rules and the zone policy in force: loaded beside those that run, swapped together at a batch boundary; the modes of rules; what they do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use api::{RuleDesk, RulesShown};
use event::{Batch, Clock, TenantId, Time};
use rules::coverage::{Coverage, Seen};
use rules::policy::Policy;
use rules::{Counters, Did, LoadOptions, Match, Mode, Modes, Problem, RuleCost, RuleInfo, RuleSet, Work};
use tracing::{info, warn};

use crate::config::{self, Config};
use crate::loaded::{Loaded, load_policy, load_rules};
use crate::pipeline::{Current, InForce};

/// Rules that have series of their own among the metrics: of those that have matched, the ones that did most often. A time series
/// database keeps a series for each, and `GET /rules` has them all.
const METRIC_RULES_MAX: usize = 500;

/// What the API shows and changes of the rules.
pub(crate) struct Desk {
    config: config::Rules,
    policy: Option<PathBuf>,
    current: Current,
    clock: Arc<dyn Clock>,
    /// One attempt at a time.
    loading: Mutex<()>,
    state: Mutex<State>,
}

/// What waits to be in force at most: while the analysis waits (a full disk) each holds all of its rules.
const ASKED_MAX: usize = 8;

struct State {
    in_force: Arc<InForce>,
    /// What was loaded and has matched nothing yet, with who asked for it, in their order: at most [`ASKED_MAX`].
    asked_for: Vec<(Arc<InForce>, String)>,
    options: Arc<LoadOptions>,
    refused: Arc<Vec<Problem>>,
    refused_texts: BTreeSet<(String, String)>,
    loaded: Time,
    failure: Option<String>,
    modes: Arc<Modes>,
    by_tenant: BTreeMap<TenantId, OfTenant>,
    /// What correlations have given up, by the id of the rule.
    given_up: Vec<(String, Counters)>,
}

/// What is known of one tenant's events, which no other tenant is shown.
struct OfTenant {
    /// What each rule in force has done with them.
    did: Vec<Did>,
    coverage: Coverage,
}

impl State {
    fn of_tenant(&mut self, tenant: TenantId) -> &mut OfTenant {
        let rules = self.in_force.rules.rules().len();
        self.by_tenant
            .entry(tenant)
            .or_insert_with(|| OfTenant { did: vec![Did::default(); rules], coverage: Coverage::default() })
    }
}

impl Desk {
    /// A desk for what was loaded by the configuration, with the modes that it and people have set.
    pub(crate) fn new(config: &Config, loaded: Loaded, policy: Option<Arc<Policy>>, modes: Modes, clock: Arc<dyn Clock>) -> Desk {
        let refused_texts = loaded.refused().into_iter().map(|(text, _)| text).collect();
        let Loaded { rules, options, problems, .. } = loaded;
        let in_force = Arc::new(InForce { rules: Arc::new(rules), policy });
        let state = State {
            in_force: in_force.clone(),
            asked_for: Vec::new(),
            options: Arc::new(options),
            refused: Arc::new(problems),
            refused_texts,
            loaded: clock.now(),
            failure: None,
            modes: Arc::new(modes),
            by_tenant: BTreeMap::new(),
            given_up: Vec::new(),
        };
        Desk {
            config: config.rules.clone(),
            policy: config.policy.clone(),
            current: Current::new(in_force),
            clock,
            loading: Mutex::new(()),
            state: Mutex::new(state),
        }
    }

    /// Where the pipeline looks what is in force.
    pub(crate) fn current(&self) -> Current {
        self.current.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code panics under this lock")
    }

    /// Notes which log sources and fields a batch brought.
    pub(crate) fn note_seen(&self, batch: &Batch) {
        let mut state = self.state();
        for event in batch.iter() {
            state.of_tenant(event.tenant()).coverage.note_event(event);
        }
    }

    /// Which log sources and fields events have had, as stored, by tenant.
    pub(crate) fn seen(&self) -> Vec<u8> {
        let state = self.state();
        let seen: Vec<(u32, Vec<Seen>)> = state.by_tenant.iter().map(|(tenant, of)| (tenant.0, of.coverage.seen())).collect();
        serde_json::to_vec(&seen).expect("names are serialisable")
    }

    /// Goes on from what was stored.
    ///
    /// # Errors
    /// Where it is not what [`Desk::seen`] gave.
    pub(crate) fn restore_seen(&self, bytes: &[u8]) -> serde_json::Result<()> {
        let seen: Vec<(u32, Vec<Seen>)> = serde_json::from_slice(bytes)?;
        let mut state = self.state();
        seen.iter().for_each(|(tenant, seen)| state.of_tenant(TenantId(*tenant)).coverage.add(seen));
        Ok(())
    }

    /// Notes what the rules of `in_force` did with a batch.
    pub(crate) fn note(&self, in_force: &Arc<InForce>, batch: &Batch, matches: &[Match], work: &[Work]) {
        let mut state = self.state();
        if !Arc::ptr_eq(in_force, &state.in_force) {
            return; // The last batches of rules that are no more in force.
        }
        for Work { tenant, rule, did } in work {
            state.of_tenant(*tenant).did[*rule as usize].add(*did);
        }
        for found in matches {
            let event = batch.event(found.row as usize);
            state.of_tenant(event.tenant()).did[found.rule as usize].met(event.time());
        }
    }

    /// Notes what correlation has given up, by rule.
    pub(crate) fn note_given_up<'r>(&self, by_rule: impl Iterator<Item = (&'r RuleInfo, Counters)>) {
        self.state().given_up = by_rule.map(|(info, counters)| (info.id.clone(), counters)).collect();
    }

    /// Appends to metrics in Prometheus' text format what the rules in force that have matched did and cost, since they were loaded, for all
    /// tenants together, and what correlations have given up.
    pub(crate) fn write_metrics(&self, out: &mut String) {
        let state = self.state();
        let mut sums = vec![Did::default(); state.in_force.rules.rules().len()];
        for of in state.by_tenant.values() {
            sums.iter_mut().zip(&of.did).for_each(|(sum, did)| sum.add(*did));
        }
        let mut matched: Vec<_> = state.in_force.rules.rules().zip(sums).filter(|(_, did)| did.cost.matches > 0).collect();
        matched.sort_by_key(|(rule, did)| (Reverse(did.cost.matches), &rule.id));
        let untold = matched.len().saturating_sub(METRIC_RULES_MAX);
        matched.truncate(METRIC_RULES_MAX);
        type Of = fn(&RuleCost) -> u64;
        let counters: [(&str, &str, Of); 4] = [
            ("matches", "Events that satisfied the rule.", |cost| cost.matches),
            ("evaluated", "Events for which the rule's condition was evaluated.", |cost| cost.evaluated),
            ("tests", "Tests made for the rule alone.", |cost| cost.tests),
            ("text_bytes", "Bytes of text that these tests looked at.", |cost| cost.text_bytes),
        ];
        for (name, help, of) in counters {
            write_counter(out, name, help, matched.iter().map(|(rule, did)| (rule.id.as_str(), of(&did.cost))));
        }
        let mut given_up: Vec<_> = state.given_up.iter().map(|(id, counters)| (id.as_str(), counters.named())).collect();
        given_up.sort_by_key(|(id, named)| (Reverse(named.iter().map(|(.., count)| count).sum::<u64>()), *id));
        given_up.truncate(METRIC_RULES_MAX);
        for (at, (name, help, _)) in Counters::default().named().into_iter().enumerate() {
            write_counter(out, name, help, given_up.iter().map(|(id, named)| (*id, named[at].2)));
        }
        let write = writeln!(
            out,
            "# HELP mihari_rules_without_series Rules that have matched and are not among the series of rules.\n\
             # TYPE mihari_rules_without_series gauge\nmihari_rules_without_series {untold}"
        );
        write.expect("writing to a String does not fail");
    }

    /// Tells `record` who asked for what is in force from now on; once, unless it fails. What was replaced before it matched anything was
    /// never in force.
    pub(crate) fn record_asker<E>(&self, in_force: &Arc<InForce>, record: impl FnOnce(&str) -> Result<(), E>) -> Result<(), E> {
        let is = |(asked, _): &(Arc<InForce>, String)| Arc::ptr_eq(asked, in_force);
        let by = self.state().asked_for.iter().find(|asked| is(asked)).map(|(_, by)| by.clone());
        let Some(by) = by else { return Ok(()) };
        record(&by)?;
        let mut state = self.state();
        let to = state.asked_for.iter().position(is).map_or(0, |at| at + 1);
        state.asked_for.drain(..to);
        Ok(())
    }

    /// Reads the rules and the zone policy and puts them in force, if the policy holds together and no rule of those in force is lost by a mistake: nothing is refused but what was refused word for word
    /// before, and no path that had rules has none.
    fn load(&self, by: &str) -> Result<usize, String> {
        let _one = self.loading.lock().expect("no code panics under this lock");
        let loaded = load_rules(&self.config);
        let refused = loaded.refused();
        let mut state = self.state();
        let new = refused.iter().filter(|(text, _)| !state.refused_texts.contains(text));
        let mut mistakes: Vec<String> = new.map(|(_, p)| format!("{}:{}: {}", p.path, p.line, p.reason)).collect();
        let has_rules = |set: &RuleSet, path: &Path| set.rules().any(|rule| Path::new(&rule.path).starts_with(path));
        let bare =
            self.config.paths.iter().filter(|path| has_rules(&state.in_force.rules, path) && !has_rules(&loaded.rules, path));
        mistakes.extend(bare.map(|path| format!("{}: it had rules and has none; a restart takes that as it is", path.display())));
        let policy = self.load_policy(state.in_force.policy.as_ref());
        mistakes.extend(policy.as_ref().err().cloned());
        if !mistakes.is_empty() {
            let reason = mistakes.join("; ");
            state.failure = Some(reason.clone());
            metrics::counter!("mihari_rules_reload_total", "result" => "refused").increment(1);
            warn!(reason, "the rules and the zone policy in force stay");
            return Err(reason);
        }
        let refused_texts = refused.into_iter().map(|(text, _)| text).collect();
        let Loaded { rules, options, problems, .. } = loaded;
        let count = rules.rules().len();
        let in_force = Arc::new(InForce { rules: Arc::new(rules), policy: policy? });
        state.by_tenant.values_mut().for_each(|of| of.did = vec![Did::default(); count]);
        (state.in_force, state.options, state.refused) = (in_force.clone(), Arc::new(options), Arc::new(problems));
        (state.refused_texts, state.loaded, state.failure) = (refused_texts, self.clock.now(), None);
        if state.asked_for.len() == ASKED_MAX {
            state.asked_for.remove(0); // Overtaken before it matched anything.
        }
        state.asked_for.push((in_force.clone(), by.to_owned()));
        self.current.set(in_force);
        metrics::counter!("mihari_rules_reload_total", "result" => "loaded").increment(1);
        info!(rules = count, "rules and zone policy loaded anew; they hold from the next batch on");
        Ok(count)
    }

    /// Reads the zone policy; the one in force where its text is the same.
    fn load_policy(&self, in_force: Option<&Arc<Policy>>) -> Result<Option<Arc<Policy>>, String> {
        let Some(path) = &self.policy else { return Ok(None) };
        let read = load_policy(path).map_err(|error| format!("{error:#}"))?;
        Ok(Some(in_force.filter(|policy| policy.sha256 == read.sha256).cloned().unwrap_or_else(|| Arc::new(read))))
    }

    /// What tells whether any rule file, file that rules are read with, or the policy has changed: names, sizes and times of change.
    pub(crate) fn stamp(&self) -> Vec<(PathBuf, u64, Option<std::time::SystemTime>)> {
        let config::Rules { paths, placeholders, mapping, .. } = &self.config;
        let (found, _) = rules::find_files(&[&paths[..], placeholders, mapping].concat(), &rules::PLACEHOLDER_FILES);
        let stamp = |path: PathBuf| {
            let about = std::fs::metadata(&path).ok()?;
            Some((path, about.len(), about.modified().ok()))
        };
        found.into_iter().chain(self.policy.clone()).filter_map(stamp).collect()
    }
}

/// Appends a counter of rules.
fn write_counter<'r>(out: &mut String, name: &str, help: &str, rules: impl Iterator<Item = (&'r str, u64)>) {
    let mut line = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("writing to a String does not fail");
    line(format_args!("# HELP mihari_rule_{name}_total {help}\n# TYPE mihari_rule_{name}_total counter\n"));
    for (id, count) in rules {
        line(format_args!("mihari_rule_{name}_total{{rule=\"{}\"}} {count}\n", escaped(id)));
    }
}

/// A label's value as Prometheus' text format has it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl RuleDesk for Desk {
    fn rules(&self) -> Arc<RuleSet> {
        self.state().in_force.rules.clone()
    }

    fn policy(&self) -> Option<Arc<Policy>> {
        self.state().in_force.policy.clone()
    }

    fn shown(&self, tenant: u32) -> RulesShown {
        let mut state = self.state();
        let rules = state.in_force.rules.clone();
        let OfTenant { did, coverage } = state.of_tenant(TenantId(tenant));
        let (did, unmapped) = (did.clone(), coverage.gaps(&rules));
        let given_up = if state.by_tenant.len() > 1 { Vec::new() } else { state.given_up.clone() };
        let (refused, failure) = (state.refused.clone(), state.failure.clone());
        RulesShown { rules, refused, loaded: state.loaded, failure, did, given_up, unmapped }
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
    use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSource, LogSourceId, Transport};
    use rules::{Detector, cases::batch_of, load};

    use super::*;
    use crate::clock::SystemClock;

    fn desk(rules: usize) -> (Desk, Arc<InForce>) {
        let text = |n| {
            format!("title: T\nid: 'r\"\\{n:04}'\nlogsource: {{category: any}}\ndetection: {{s: {{f: {n}}}, condition: s}}\n")
        };
        let text = (0..rules).map(text).collect::<Vec<_>>().join("---\n");
        let (set, problems) = load(&[("rules".to_owned(), text)], &LoadOptions::default());
        assert_eq!(problems, []);
        let loaded = Loaded { rules: set, options: LoadOptions::default(), problems, files: Vec::new() };
        let desk = Desk::new(&Config::default(), loaded, None, Modes::default(), Arc::new(SystemClock));
        let in_force = desk.current().get();
        (desk, in_force)
    }

    #[test]
    fn the_metrics_have_a_bounded_number_of_rules_those_that_match_most() {
        let more = METRIC_RULES_MAX + 3;
        let (desk, in_force) = desk(more + 1);
        let batch = batch_of(&["{}"]).expect("an object");
        let cost = |rule: usize| RuleCost { matches: 1 + u64::from(rule == more - 1), evaluated: 7, tests: 5, text_bytes: 30 };
        let work =
            |rule| Work { tenant: TenantId::default(), rule: rule as u32, did: Did { cost: cost(rule), last_match: None } };
        desk.note(&in_force, &batch, &[], &(0..more).map(work).collect::<Vec<_>>());
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
        let rules = config::Rules {
            pack: false,
            paths: vec![dir.join("rules")],
            placeholders: vec![dir.join("values")],
            ..config::Rules::default()
        };
        let config = Config { rules, ..Config::default() };
        Desk::new(&config, load_rules(&config.rules), None, Modes::default(), Arc::new(SystemClock))
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
            Detector::new(desk.rules()).scan(&batch, &mut matches);
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

    #[test]
    fn no_rule_in_force_is_lost_by_a_fault_that_reads_like_one_before() {
        let dir = tempfile::tempdir().expect("a folder");
        let (broken, whole) = ("f|expand: '%nothing%'", "f: 1");
        let put = |one: &str, two: &str| write(dir.path(), "rules/a.yml", &format!("{}---\n{}", rule("a", one), rule("b", two)));
        put(broken, whole);
        let desk = desk_of(dir.path());
        let in_force = || desk.rules().rules().map(|rule| rule.id.clone()).collect::<Vec<_>>();
        write(dir.path(), "rules/c.yml", &rule("c", whole));
        assert_eq!(desk.reload("test"), Ok(2), "what was refused may stay so");
        for one in [broken, whole] {
            put(one, broken);
            let reason = desk.reload("test").expect_err("rule b would be lost");
            assert!(reason.contains("a.yml:") && reason.contains("%nothing%"), "{reason}");
            assert_eq!(desk.shown(0).failure, Some(reason));
            assert_eq!(in_force(), ["b", "c"]);
        }
        put(whole, whole);
        assert_eq!(desk.reload("test"), Ok(3));
        std::fs::remove_dir_all(dir.path().join("rules")).expect("removed");
        std::fs::create_dir(dir.path().join("rules")).expect("made");
        assert!(desk.reload("test").expect_err("a checkout is under way").contains("it had rules and has none"));
        assert_eq!(in_force(), ["a", "b", "c"]);
    }

    #[test]
    fn a_tenant_is_shown_what_its_own_events_did() {
        let (desk, in_force) = desk(2);
        let mut builder = BatchBuilder::default();
        for tenant in [1, 2, 1, 2, 1] {
            let head = FrameHead { tenant: TenantId(tenant), ..FrameHead::new(Transport::File, Content::Text) };
            let mut row = builder.row(&head, 0, "");
            row.time(Time::from_unix_s(i64::from(tenant) * 100));
            row.uint(FieldId::intern("f").expect("room"), u64::from(tenant - 1));
        }
        let batch = builder.finish(LogRange::default(), Time::UNKNOWN);
        let (mut detector, mut matches) = (Detector::new(in_force.rules.clone()), Vec::new());
        detector.scan(&batch, &mut matches);
        desk.note(&in_force, &batch, &matches, &detector.take_work());
        let shown = |tenant: u32| desk.shown(tenant).did.iter().map(|did| (did.cost.matches, did.last_match)).collect::<Vec<_>>();
        assert_eq!(shown(0), [(0, None), (0, None)]);
        assert_eq!(shown(1), [(3, Some(Time::from_unix_s(100))), (0, None)]);
        assert_eq!(shown(2), [(0, None), (2, Some(Time::from_unix_s(200)))]);
        assert!(desk.shown(0).did.iter().all(|did| did.cost == RuleCost::default()), "nor what that cost");
        let mut out = String::new();
        desk.write_metrics(&mut out);
        assert!(out.contains("mihari_rule_matches_total{rule=\"r\\\"\\\\0000\"} 3"), "{out}");
    }

    #[test]
    fn what_correlations_give_up_is_among_the_metrics_and_shown_where_one_tenant_is() {
        let (desk, in_force) = desk(1);
        let counters = Counters { late: 4, groups_evicted: 2, ..Counters::default() };
        desk.note_given_up(in_force.rules.rules().map(|info| (info, counters)));
        let mut out = String::new();
        desk.write_metrics(&mut out);
        for (name, count) in [("late", 4), ("groups_evicted", 2), ("undecided", 0)] {
            let line = format!("mihari_rule_{name}_total{{rule=\"r\\\"\\\\0000\"}} {count}");
            assert!(out.lines().any(|other| other == line), "{line}: {out}");
        }
        assert_eq!(desk.shown(0).given_up, [("r\"\\0000".to_owned(), counters)]);
        desk.shown(1);
        assert_eq!(desk.shown(0).given_up, [], "whose they were is not counted");
    }

    #[test]
    fn what_events_have_had_is_known_after_a_restart() {
        let fields = |desk: &Desk, tenant| desk.shown(tenant).unmapped.into_iter().flat_map(|gap| gap.fields).collect::<Vec<_>>();
        let mut builder = BatchBuilder::default();
        let head = FrameHead { tenant: TenantId(1), ..FrameHead::new(Transport::File, Content::Text) };
        let mut row = builder.row(&head, 0, "");
        row.log_source(LogSourceId::intern(LogSource { product: None, category: Some("desk"), service: None }));
        row.uint(FieldId::intern("g").expect("room"), 1);
        drop(row);
        let batch = builder.finish(LogRange::default(), Time::UNKNOWN);
        let ((before, _), (after, _)) = (desk(1), desk(1));
        before.note_seen(&batch);
        let missing = [("f".to_owned(), 1)];
        assert_eq!(fields(&before, 1), missing);
        assert_eq!(fields(&after, 1), [], "no event, no field of it");
        after.restore_seen(&before.seen()).expect("what was stored");
        assert_eq!((fields(&after, 1), fields(&after, 0)), (missing.to_vec(), Vec::new()));
        assert!(after.restore_seen(b"x").is_err());
    }
}
