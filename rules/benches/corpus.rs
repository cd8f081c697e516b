//! All public rules over the event corpora, on one core: `cargo bench -p rules --features peer`.
//!
//! Both sides read the events' JSON and match; the peer is `rsigma-eval` with its log-source routing. Times are the thread's processor
//! time, the least of several rounds that alternate between the two, so that a busy machine disturbs them little. What is compared
//! are ratios within one run. `cargo bench -p rules --features peer -- net routed` runs what has these words in its name.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod clock;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use clock::processor_time;
use event::object::{Outcome, Reader};
use event::{Batch, BatchBuilder, Content, FrameHead, LogRange, LogSource, LogSourceId, Time, Transport};
use rules::cases::batch_of_sources;
use rules::{Detector, LoadOptions, Match, RuleSet, Source, load, matches_plainly};
use serde::Deserialize;

const CORPORA: [&str; 2] = ["net", "mixed60k"];
const ROUNDS: usize = 3;
/// Few enough that a batch stays in the second-level cache.
const BATCH_EVENTS: usize = 256;

fn shared(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name)
}

/// Resident memory in MiB.
fn resident_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("readable");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("there");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = processor_time();
    let out = work();
    (out, (processor_time() - start).as_secs_f64())
}

struct Corpus {
    name: &'static str,
    lines: Vec<String>,
    sources: Vec<LogSourceId>,
}

#[derive(Deserialize)]
struct Tags<'a> {
    #[serde(rename = "_ls_product")]
    product: Option<&'a str>,
    #[serde(rename = "_ls_category")]
    category: Option<&'a str>,
    #[serde(rename = "_ls_service")]
    service: Option<&'a str>,
}

fn corpus(name: &'static str) -> Corpus {
    let file = std::fs::File::open(shared(&format!("corpus/{name}.ndjson.zst"))).expect("the corpus is beside the project");
    let mut text = String::new();
    zstd::Decoder::new(file).expect("zstd").read_to_string(&mut text).expect("text");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let source = |line: &String| {
        let Tags { product, category, service } = serde_json::from_str(line).expect("an object");
        LogSourceId::intern(LogSource { product, category, service })
    };
    Corpus { name, sources: lines.iter().map(source).collect(), lines }
}

fn batches(corpus: &Corpus, routed: bool) -> Vec<Batch> {
    let source = |at: usize| if routed { corpus.sources[at] } else { LogSourceId::UNKNOWN };
    let chunks = corpus.lines.chunks(BATCH_EVENTS).enumerate();
    chunks
        .map(|(chunk, lines)| {
            let events = lines.iter().enumerate().map(|(at, line)| (source(chunk * BATCH_EVENTS + at), line.as_str()));
            batch_of_sources(events).expect("objects")
        })
        .collect()
}

/// As many rules once more, renamed, their values changed: each text that is looked for differs from the original's.
fn doubled(files: &[Source]) -> Vec<Source> {
    let mut all = files.to_vec();
    for (path, text) in files {
        let mut copy = String::with_capacity(text.len());
        let mut within = false;
        for line in text.lines() {
            within = match line.chars().next() {
                Some(c) if !c.is_whitespace() => line.starts_with("detection:"),
                _ => within,
            };
            copy.push_str(&if within { changed(line) } else { renamed(line) });
            copy.push('\n');
        }
        all.push((format!("{path}.copy"), copy));
    }
    all
}

fn renamed(line: &str) -> String {
    for key in ["title: ", "id: ", "name: "] {
        if let Some(rest) = line.strip_prefix(key) {
            return format!("{key}{}", if key == "id: " { rest.chars().rev().collect() } else { format!("{rest} copy") });
        }
    }
    line.to_owned()
}

/// A quoted value with two of its letters changed.
fn changed(line: &str) -> String {
    if line.trim_start().starts_with("condition") || line.contains("|re") || line.contains("|cidr") {
        return line.to_owned();
    }
    let Some(start) = line.find('\'') else { return line.to_owned() };
    let (head, value) = line.split_at(start);
    let mut letters = 0;
    let swap = value.chars().map(|c| match c {
        'a'..='y'
            if {
                letters += 1;
                letters % 4 == 2
            } =>
        {
            char::from(c as u8 + 1)
        }
        'A'..='Y'
            if {
                letters += 1;
                letters % 4 == 2
            } =>
        {
            char::from(c as u8 + 1)
        }
        c => c,
    });
    format!("{head}{}", swap.collect::<String>())
}

fn scan(detector: &mut Detector, batches: &[Batch], out: &mut Vec<Match>) -> u64 {
    let mut matches = 0;
    for batch in batches {
        out.clear();
        detector.scan(batch, out);
        matches += out.len() as u64;
    }
    matches
}

/// Reads the events' JSON straight into batches, and matches. The log source is the corpus's tag.
///
/// A function of its own, so that a profile tells its share.
#[inline(never)]
fn read_and_scan(detector: &mut Detector, corpus: &Corpus, routed: bool, out: &mut Vec<Match>) -> u64 {
    let mut reader = Reader::new(rules::cases::sigma_name);
    let mut builder = BatchBuilder::default();
    let mut matches = 0;
    for (lines, sources) in corpus.lines.chunks(BATCH_EVENTS).zip(corpus.sources.chunks(BATCH_EVENTS)) {
        let batch = read(&mut reader, &mut builder, lines, sources, routed);
        out.clear();
        detector.scan(&batch, out);
        matches += out.len() as u64;
        builder.reuse(batch);
    }
    matches
}

fn read(reader: &mut Reader, builder: &mut BatchBuilder, lines: &[String], sources: &[LogSourceId], routed: bool) -> Batch {
    let head = FrameHead::new(Transport::Internal, Content::Text);
    for (line, source) in lines.iter().zip(sources) {
        let mut row = builder.row(&head, 0, line);
        row.log_source(if routed { *source } else { LogSourceId::UNKNOWN });
        assert_eq!(reader.read(line, &mut row), Outcome::Whole);
    }
    builder.finish(LogRange::default(), Time::UNKNOWN)
}

/// The reader without rules.
fn read_alone(rounds: usize, wanted: impl Fn(&str) -> bool) {
    for name in CORPORA.into_iter().filter(|name| wanted(name)) {
        let corpus = corpus(name);
        let seconds = (0..rounds).map(|_| timed(|| read_only(&corpus)).1).fold(f64::MAX, f64::min);
        println!("{name}: JSON only {:.0} events/s", corpus.lines.len() as f64 / seconds);
    }
}

/// Reads the events' JSON alone.
///
/// A function of its own, as [`read_and_scan`].
#[inline(never)]
fn read_only(corpus: &Corpus) -> u64 {
    let mut reader = Reader::new(rules::cases::sigma_name);
    let mut builder = BatchBuilder::default();
    let chunks = corpus.lines.chunks(BATCH_EVENTS).zip(corpus.sources.chunks(BATCH_EVENTS));
    let mut events = 0;
    for (lines, sources) in chunks {
        let batch = read(&mut reader, &mut builder, lines, sources, true);
        events += batch.len() as u64;
        builder.reuse(batch);
    }
    events
}

fn loaded(files: &[Source]) -> (Arc<RuleSet>, f64) {
    let ((set, _), seconds) = timed(|| load(files, &LoadOptions::default()));
    (Arc::new(set), seconds)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let told = words.iter().any(|word| word == "costs");
    let wanted = |name: &str| {
        words.iter().all(|word| {
            ["costs", "sources", "alone", "json", "once", "twice"].contains(&word.as_str()) || name.contains(word.as_str())
        })
    };
    if !shared("corpus").exists() {
        println!("skipped: the corpora are not beside the project");
        return;
    }
    // For a profile of ours alone or of the reader alone; `once` for one that counts instructions, also of the rules doubled.
    let [alone, json, once, doubling] = ["alone", "json", "once", "twice"].map(|word| words.iter().any(|of| of == word));
    if json {
        return read_alone(if once { 1 } else { ROUNDS * 8 }, wanted);
    }
    let (files, _) = rules::read_files(&[shared("sigma/rules")]);
    let before = resident_mib();
    let (set, seconds) = loaded(&files);
    println!("load: {} rules, {} tests, {seconds:.3} s, {} MiB more", set.rules().len(), set.tests(), resident_mib() - before);
    let mut twice = set.clone();
    if !once || doubling {
        let seconds;
        (twice, seconds) = loaded(&doubled(&files));
        println!("load, doubled: {} rules, {} tests, {seconds:.3} s", twice.rules().len(), twice.tests());
    }
    if words.iter().any(|word| word == "verify") {
        return verify(&set, &words);
    }
    #[cfg(feature = "peer")]
    let peer = if alone || once { peer::Peer::new(&[]) } else { peer::Peer::new(&files) };
    #[cfg(feature = "peer")]
    if words.iter().any(|word| word == "differences") {
        return peer.differences(&set);
    }
    for name in CORPORA {
        let corpus = corpus(name);
        for routed in [true, false] {
            let name = format!("{} {}", corpus.name, if routed { "routed" } else { "all rules" });
            if !wanted(&name) {
                continue;
            }
            if words.iter().any(|word| word == "sources") {
                by_source(&set, &corpus);
                break;
            }
            let batches = batches(&corpus, routed);
            let events = corpus.lines.len() as f64;
            let mut out = Vec::new();
            let mut least = [f64::MAX; 5];
            let mut matches = [0; 5];
            if once {
                let mut detector = Detector::new(if doubling { twice.clone() } else { set.clone() });
                let found = read_and_scan(&mut detector, &corpus, routed, &mut Vec::new());
                println!("{name}: {found} matches");
                continue;
            }
            // For a profile, enough that loading is little of it.
            for _ in 0..if alone { 8 * ROUNDS } else { ROUNDS } {
                for (at, set) in [&set, &twice].into_iter().enumerate().take(if alone { 1 } else { 2 }) {
                    // A cold start each round: caches are filled within the time.
                    let mut detector = Detector::new(set.clone());
                    let (found, seconds) = timed(|| scan(&mut detector, &batches, &mut out));
                    least[at] = least[at].min(seconds);
                    matches[at] = found;
                    if told && at == 0 {
                        tell_costs(set, &mut detector, events);
                    }
                }
                let mut detector = Detector::new(set.clone());
                let (found, seconds) = timed(|| read_and_scan(&mut detector, &corpus, routed, &mut out));
                least[3] = least[3].min(seconds);
                matches[3] = found;
                least[4] = least[4].min(timed(|| read_only(&corpus)).1);
                #[cfg(feature = "peer")]
                if !alone {
                    let (found, seconds) = timed(|| peer.run(&corpus.lines, routed));
                    least[2] = least[2].min(seconds);
                    matches[2] = found;
                }
            }
            let rate = |at: usize| events / least[at];
            println!("{name}: match only {:.0} events/s, {} matches", rate(0), matches[0]);
            println!("{name}: rules doubled {:.0} events/s, {} matches, cost x {:.2}", rate(1), matches[1], least[1] / least[0]);
            println!("{name}: JSON only {:.0} events/s", rate(4));
            println!("{name}: JSON and match {:.0} events/s, {} matches", rate(3), matches[3]);
            if matches[2] > 0 {
                let ratio = least[2] / least[3];
                println!("{name}: peer, JSON and match {:.0} events/s, {} matches; ratio {ratio:.1}", rate(2), matches[2]);
            }
        }
    }
}

/// Compares every match of the compiled rules with the plain form's, over every event, with log sources and without.
fn verify(set: &Arc<RuleSet>, words: &[String]) {
    let sources: Vec<_> = set.rules().map(|rule| rule.source.clone()).collect();
    for name in CORPORA.into_iter().filter(|name| words.iter().any(|word| word == name) || words.len() == 1) {
        let corpus = corpus(name);
        let (mut routed, mut all) = (Detector::new(set.clone()), Detector::new(set.clone()));
        let (mut events, mut matches, mut wrong) = (0, [0, 0], 0);
        for (with, without) in batches(&corpus, true).iter().zip(&batches(&corpus, false)) {
            let mut found = [Vec::new(), Vec::new()];
            routed.scan(with, &mut found[0]);
            all.scan(without, &mut found[1]);
            let mut expected = [Vec::new(), Vec::new()];
            for (row, event) in with.iter().enumerate() {
                let has = event.log_source().parts();
                for rule in matches_plainly(set, event) {
                    let one = Match { row: row as u32, rule };
                    expected[1].push(one);
                    let wanted = &sources[rule as usize];
                    let fits = |wanted: &Option<String>, has: Option<&str>| wanted.is_none() || wanted.as_deref() == has;
                    // The taxonomy's one general category; the compiled rules have their own table.
                    let registry = ["registry_add", "registry_delete", "registry_set", "registry_rename"];
                    let is_general = wanted.category.as_deref() == Some("registry_event");
                    let covers = is_general && has.category.is_some_and(|category| registry.contains(&category));
                    let parts = fits(&wanted.product, has.product) && (fits(&wanted.category, has.category) || covers);
                    if event.log_source() == LogSourceId::UNKNOWN || parts && fits(&wanted.service, has.service) {
                        expected[0].push(one);
                    }
                }
            }
            events += with.len();
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                matches[at] += expected.len();
                wrong += usize::from(found != expected);
            }
            if events % (BATCH_EVENTS * 32) == 0 {
                println!("verify {name}: {events} events, {matches:?} matches so far, {wrong} batches differ");
            }
        }
        println!("verify {name}: {events} events, {matches:?} matches with and without log sources, {wrong} batches differ");
        assert_eq!(wrong, 0, "the compiled rules differ from the plain form");
    }
}

/// What events of each log source cost.
fn by_source(set: &Arc<RuleSet>, corpus: &Corpus) {
    let mut sources = corpus.sources.clone();
    sources.sort_unstable();
    sources.dedup();
    let mut told = Vec::new();
    for source in sources {
        let at: Vec<usize> = (0..corpus.lines.len()).filter(|at| corpus.sources[*at] == source).collect();
        let lines = at.iter().map(|at| corpus.lines[*at].clone()).collect();
        let part = Corpus { name: corpus.name, lines, sources: vec![source; at.len()] };
        let batches = batches(&part, true);
        let mut detector = Detector::new(set.clone());
        let (_, seconds) = timed(|| scan(&mut detector, &batches, &mut Vec::new()));
        let bytes = part.lines.iter().map(String::len).sum::<usize>() / part.lines.len();
        told.push((seconds, part.lines.len(), bytes, source));
    }
    told.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (seconds, events, bytes, source) in told.iter().take(16) {
        println!(
            "  {:.1} ms, {events} events of {bytes} bytes, {:.0} ns each: {source:?}",
            seconds * 1e3,
            seconds * 1e9 / *events as f64
        );
    }
}

fn tell_costs(set: &RuleSet, detector: &mut Detector, events: f64) {
    let infos: Vec<_> = set.rules().collect();
    let work = detector.take_work();
    let mut costs: Vec<_> = work.iter().map(|work| (work.did.cost, infos[work.rule as usize])).collect();
    let sum = costs.iter().map(|(cost, _)| cost.evaluated).sum::<u64>() as f64;
    let tests = costs.iter().map(|(cost, _)| cost.tests).sum::<u64>() as f64;
    println!("  {:.2} candidates and {:.2} tests an event; most evaluated:", sum / events, tests / events);
    costs.sort_by_key(|(cost, _)| std::cmp::Reverse(cost.evaluated));
    for (cost, rule) in costs.iter().take(12) {
        println!("  {cost:?} {}", rule.path);
    }
}

#[cfg(feature = "peer")]
mod peer {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use rsigma_eval::event::JsonEvent;
    use rsigma_eval::{Engine, LogSourceExtractor};
    use rules::{Detector, Match, RuleSet, Source};

    use super::{CORPORA, batches, corpus};

    pub(super) struct Peer {
        routed: Engine,
        all: Engine,
    }

    impl Peer {
        pub(super) fn new(files: &[Source]) -> Peer {
            let rules: Vec<_> = files
                .iter()
                .filter_map(|(_, text)| rsigma_parser::parse_sigma_yaml(text).ok())
                .flat_map(|collection| collection.rules)
                .collect();
            let engine = || {
                let mut engine = Engine::new();
                let refused = engine.add_rules(&rules).len();
                println!("peer: {} rules, {refused} refused", engine.rule_count());
                engine
            };
            let (mut routed, all) = (engine(), engine());
            let extractor = LogSourceExtractor::new().with_field_names("_ls_product", "_ls_service", "_ls_category");
            routed.set_logsource_extractor(Some(extractor));
            Peer { routed, all }
        }

        /// Prints per rule on how many events only one of the two finds it: all rules on all events, and with log sources. What only one
        /// finds with log sources and both find without is a matter of routing, not of matching.
        pub(super) fn differences(&self, set: &Arc<RuleSet>) {
            let names: Vec<String> = set.rules().map(|rule| format!("{} {}", rule.id, rule.title)).collect();
            for name in CORPORA {
                let corpus = corpus(name);
                let mut differ: BTreeMap<String, (u64, u64, usize)> = BTreeMap::new();
                let (mut detector, mut routing) = (Detector::new(set.clone()), Detector::new(set.clone()));
                let (mut same, mut same_routed, mut at) = (0, 0, 0);
                // Of routing: only ours, only the peer's; and with which rules.
                let (mut only, mut rules) = ([0, 0], [BTreeSet::new(), BTreeSet::new()]);
                for (batch, with_sources) in batches(&corpus, false).iter().zip(&batches(&corpus, true)) {
                    let (mut found, mut routed) = (Vec::new(), Vec::new());
                    detector.scan(batch, &mut found);
                    routing.scan(with_sources, &mut routed);
                    for row in 0..batch.len() {
                        let of_row = |found: &[Match]| -> BTreeSet<String> {
                            let of_row = found.iter().filter(|m| m.row as usize == row);
                            of_row.map(|m| names[m.rule as usize].clone()).collect()
                        };
                        let value: serde_json::Value = serde_json::from_str(&corpus.lines[at]).expect("an object");
                        let of_peer = |engine: &Engine| -> BTreeSet<String> {
                            let name = |header: &rsigma_eval::RuleHeader| {
                                format!("{} {}", header.rule_id.clone().unwrap_or_default(), header.rule_title)
                            };
                            engine.evaluate(&JsonEvent::borrow(&value)).iter().map(|result| name(&result.header)).collect()
                        };
                        let (ours, theirs) = (of_row(&found), of_peer(&self.all));
                        let (ours_routed, theirs_routed) = (of_row(&routed), of_peer(&self.routed));
                        same += ours.intersection(&theirs).count();
                        same_routed += ours_routed.intersection(&theirs_routed).count();
                        ours.difference(&theirs).for_each(|rule| {
                            let entry = differ.entry(rule.clone()).or_default();
                            (entry.0, entry.2) = (entry.0 + 1, at);
                        });
                        theirs.difference(&ours).for_each(|rule| {
                            let entry = differ.entry(rule.clone()).or_default();
                            (entry.1, entry.2) = (entry.1 + 1, at);
                        });
                        for (side, (one, other)) in
                            [(&ours_routed, &theirs_routed), (&theirs_routed, &ours_routed)].into_iter().enumerate()
                        {
                            for rule in one.difference(other).filter(|rule| ours.contains(*rule) && theirs.contains(*rule)) {
                                only[side] += 1;
                                rules[side].insert(rule.clone());
                            }
                        }
                        at += 1;
                    }
                }
                println!("{name}: {same} matches by both; with log sources {same_routed}");
                for (side, who) in ["ours", "the peer"].into_iter().enumerate() {
                    println!("{name}: only {who} by its routing: {} matches of {} rules", only[side], rules[side].len());
                    rules[side].iter().take(8).for_each(|rule| println!("{name}:   such as {rule}"));
                }
                for (rule, (ours, theirs, last)) in differ {
                    println!("{name}: only ours {ours}, only the peer {theirs} (last at line {}): {rule}", last + 1);
                }
            }
        }

        pub(super) fn run(&self, lines: &[String], routed: bool) -> u64 {
            let engine = if routed { &self.routed } else { &self.all };
            let mut matches = 0;
            for line in lines {
                let value: serde_json::Value = serde_json::from_str(line).expect("an object");
                matches += engine.evaluate(&JsonEvent::borrow(&value)).len() as u64;
            }
            matches
        }
    }
}
