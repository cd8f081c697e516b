//! The compiled matcher loses no match and invents none: it equals the plain form on the acceptance cases, on public rules over real
//! events where they are present, and on generated rules and events.

mod hostile;

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;

use event::{Batch, LogSource, LogSourceId};
use hostile::hostile;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use rules::cases::{batch_of, batch_of_sources};
use rules::{Detector, LoadOptions, Match, RuleCost, RuleSet, load, matches_plainly};
use serde::Deserialize;

#[expect(clippy::print_stdout, reason = "a test that did not run says so")]
fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if !path.exists() {
        println!("skipped: {} not present", path.display());
        return None;
    }
    Some(path)
}

fn set_of(text: &str) -> (Arc<RuleSet>, usize) {
    let (set, problems) = load(&[("rules".to_owned(), text.to_owned())], &LoadOptions::default());
    (Arc::new(set), problems.iter().filter(|p| p.refused).count())
}

/// Whether the parts that a rule names are the event's.
fn is_for(set: &RuleSet, rule: u32, source: LogSourceId) -> bool {
    let wanted = &set.rules().nth(rule as usize).expect("a rule").source;
    let has = source.parts();
    let fits = |wanted: &Option<String>, has: Option<&str>| wanted.is_none() || wanted.as_deref() == has;
    source == LogSourceId::UNKNOWN
        || wanted.category.as_deref() == Some("any")
        || fits(&wanted.product, has.product) && fits(&wanted.category, has.category) && fits(&wanted.service, has.service)
}

/// Panics where the detector's matches on `batch` are not the plain form's, narrowed to the event's log source. Gives how many.
fn compare(set: &RuleSet, detector: &mut Detector, batch: &Batch) -> usize {
    let mut found = Vec::new();
    detector.scan(batch, &mut found);
    let mut expected = Vec::new();
    for (row, event) in batch.iter().enumerate() {
        let rules = matches_plainly(set, event).into_iter().filter(|rule| is_for(set, *rule, event.log_source()));
        expected.extend(rules.map(|rule| Match { row: row as u32, rule }));
    }
    if found != expected {
        let (found, expected): (BTreeSet<_>, BTreeSet<_>) = (found.into_iter().collect(), expected.into_iter().collect());
        let lost: Vec<_> = expected.difference(&found).take(5).map(|m| told(set, batch, *m)).collect();
        let invented: Vec<_> = found.difference(&expected).take(5).map(|m| told(set, batch, *m)).collect();
        panic!("lost: {lost:#?}\ninvented: {invented:#?}");
    }
    found.len()
}

fn told(set: &RuleSet, batch: &Batch, found: Match) -> String {
    let rule = set.rules().nth(found.rule as usize).expect("a rule");
    let cells: Vec<String> = batch.event(found.row as usize).cells().map(|(f, v)| format!("{f:?}={v:?}")).collect();
    format!("{} ({}): {}", rule.title, rule.path, cells.join(" "))
}

#[test]
fn on_every_acceptance_case() {
    #[derive(Deserialize)]
    struct Case {
        rule: String,
        event: Box<serde_json::value::RawValue>,
    }
    let Some(path) = shared("sigma/cases.jsonl") else { return };
    let text = std::fs::read_to_string(path).expect("a readable file");
    let mut matches = 0;
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        let (set, _) = set_of(&case.rule);
        let batch = batch_of(&[case.event.get()]).expect("an event");
        matches += compare(&set, &mut Detector::new(set.clone()), &batch);
    }
    assert!(matches > 300, "{matches}");
}

#[derive(Deserialize)]
struct Tags {
    #[serde(rename = "_ls_product")]
    product: Option<String>,
    #[serde(rename = "_ls_category")]
    category: Option<String>,
    #[serde(rename = "_ls_service")]
    service: Option<String>,
}

/// Every `step`th event of a corpus, `at` a time, with its log source or without any.
fn corpus(path: PathBuf, step: usize, routed: bool, mut each: impl FnMut(&Batch)) {
    let file = std::fs::File::open(path).expect("a readable file");
    let lines = std::io::BufReader::new(zstd::Decoder::new(file).expect("a zstd file")).lines().step_by(step);
    let lines: Vec<String> = lines.map(|line| line.expect("text")).collect();
    for chunk in lines.chunks(512) {
        let events = chunk.iter().map(|line| {
            let tags: Tags = serde_json::from_str(line).expect("an object");
            let parts = [&tags.product, &tags.category, &tags.service].map(|part| part.as_deref());
            let source = LogSource { product: parts[0], category: parts[1], service: parts[2] };
            (if routed { LogSourceId::intern(source) } else { LogSourceId::UNKNOWN }, line.as_str())
        });
        each(&batch_of_sources(events).expect("objects"));
    }
}

fn on_public_rules(corpus_name: &str, step: usize) {
    let (Some(rules), Some(path)) = (shared("sigma/rules"), shared(corpus_name)) else { return };
    let (mut files, _) = rules::read_files(&[rules]);
    files.extend(rules::pack().iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    let set = Arc::new(load(&files, &LoadOptions::default()).0);
    let mut matches = 0;
    for routed in [true, false] {
        let mut detector = Detector::new(set.clone());
        corpus(path.clone(), step, routed, |batch| matches += compare(&set, &mut detector, batch));
    }
    assert!(matches > 50, "{matches}");
}

#[test]
fn on_public_rules_over_network_events() {
    on_public_rules("corpus/net.ndjson.zst", 701);
}

#[test]
fn on_public_rules_over_mixed_events() {
    on_public_rules("corpus/mixed60k.ndjson.zst", 401);
}

#[test]
fn on_hostile_patterns_with_bounded_work() {
    const VALUE_BYTES: usize = 64 << 10;
    let values = ["a".repeat(VALUE_BYTES), "ab".repeat(VALUE_BYTES / 2), format!("{}b", "a".repeat(VALUE_BYTES - 1))];
    let events: Vec<String> = values.iter().map(|value| format!("{{\"f\":{}}}", quoted(value))).collect();
    let batch = batch_of(&events.iter().map(String::as_str).collect::<Vec<_>>()).expect("objects");
    let mut matches = 0;
    for n in 0..300 {
        let rule = format!("title: T\nlogsource: {{category: any}}\ndetection: {{s: {{{}}}, condition: s}}\n", hostile(n));
        let (set, refused) = set_of(&rule);
        assert_eq!(refused, 0, "{rule}");
        let mut detector = Detector::new(set.clone());
        matches += compare(&set, &mut detector, &batch);
        let cost = detector.take_work().first().map_or_else(RuleCost::default, |work| work.did.cost);
        assert!(cost.text_bytes <= 3 * VALUE_BYTES as u64 && cost.tests <= 3, "{rule}: {cost:?}");
    }
    assert!(matches > 100, "{matches}");
}

/// Text over few letters, so that values meet: both cases, letters that fold in surprising ways, wildcards, escapes, dashes.
fn text() -> impl Strategy<Value = String> {
    let letters = vec!["a", "b", "A", "é", "É", "İ", "K", "ſ", "s", "*", "?", "\\", "-", "/", " ", "1", ".", "\n", "ab", "abab"];
    prop_oneof![
        4 => vec(select(letters), 0..5).prop_map(|letters| letters.concat()),
        1 => select(vec!["true", "1", "-1", "1.0", "1e3", "9007199254740993", "10.1.2.3", "::1", "2026-11-25T10:30:00Z"]).prop_map(str::to_owned),
    ]
}

fn number() -> impl Strategy<Value = String> {
    select(vec!["0", "1", "-1", "2", "1.0", "1.5", "1000", "9007199254740992", "9007199254740993", "18446744073709551615"])
        .prop_map(str::to_owned)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text")
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => text().prop_map(|text| quoted(&text)),
        2 => number(),
        1 => select(vec!["true", "false", "null"]).prop_map(str::to_owned),
    ]
}

fn several(one: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    vec(one, 1..4).prop_map(|all| if all.len() == 1 { all[0].clone() } else { format!("[{}]", all.join(", ")) }).boxed()
}

fn field() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c", "c.d", "e"])
}

/// A field (or none, for keywords) with modifiers and its values, each modifier of the specification among them.
fn item() -> impl Strategy<Value = String> {
    let encodings = vec!["wide", "utf16", "utf16le", "utf16be", "base64", "base64offset", "windash", "cased", "all", "neq"];
    let written = (
        prop_oneof![4 => field(), 1 => Just("")],
        subsequence(encodings, 0..3),
        select(vec!["", "|contains", "|startswith", "|endswith"]),
        several(scalar()),
    )
        .prop_map(|(field, others, place, values)| {
            let others: String = others.iter().map(|other| format!("|{other}")).collect();
            format!("{}: {values}", quoted(&format!("{field}{others}{place}")))
        });
    let expressions =
        vec!["a+b", "^a", "(a|1)b?$", "[ab]{2}", "s", "k", "É", "a.b", "(?:ab)+-", "\\d+", "", "^$", "x|a", "\\<a", "[a&&b]"];
    let flags = subsequence(vec!["i", "m", "s", "startswith", "endswith"], 0..3);
    let expression = (field(), flags, several(select(expressions).prop_map(quoted))).prop_map(|(field, flags, values)| {
        let flags: String = flags.iter().map(|flag| format!("|{flag}")).collect();
        format!("{}: {values}", quoted(&format!("{field}|re{flags}")))
    });
    let networks = vec!["10.0.0.0/8", "10.1.2.0/24", "10.1.2.3", "::/0", "::1/128", "0.0.0.0/0"];
    let network = (field(), several(select(networks).prop_map(quoted))).prop_map(|(f, v)| format!("\"{f}|cidr\": {v}"));
    let parts = vec!["", "|hour", "|minute", "|day", "|week", "|month", "|year"];
    let order =
        (field(), select(parts), select(vec!["|gt", "|gte", "|lt", "|lte", ""]), select(vec!["1", "10", "30", "1.5", "2026"]))
            .prop_map(|(field, part, order, n)| format!("\"{field}{part}{order}\": {n}"));
    let other = (field(), select(vec!["", "|contains", "|startswith", "|endswith", "|cased", "|neq"]), field())
        .prop_map(|(field, place, other)| format!("\"{field}|fieldref{place}\": {other}"));
    let presence = (field(), any::<bool>()).prop_map(|(field, there)| format!("\"{field}|exists\": {there}"));
    prop_oneof![8 => written, 2 => expression, 1 => network, 2 => order, 1 => other, 1 => presence]
}

/// A part of a detection: a mapping, a list of mappings, or keywords.
fn part() -> impl Strategy<Value = String> {
    let mapping = || vec(item(), 1..3).prop_map(|items| format!("{{{}}}", items.join(", ")));
    prop_oneof![
        4 => mapping(),
        1 => vec(mapping(), 1..3).prop_map(|all| format!("[{}]", all.join(", "))),
        1 => several(text().prop_map(|text| quoted(&text))),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = select(vec!["s1", "s2", "s3", "s4", "1 of s*", "all of them", "2 of s*", "3 of them"]).prop_map(str::to_owned);
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| format!("not ({inner})")),
            (inner.clone(), select(vec!["and", "or"]), inner).prop_map(|(a, join, b)| format!("({a}) {join} ({b})")),
        ]
    })
}

fn rule() -> impl Strategy<Value = String> {
    let source = select(vec!["{product: p}", "{product: p, category: c}", "{category: c}", "{service: s}", "{category: any}"]);
    (source, vec(part(), 4), condition()).prop_map(|(source, parts, condition)| {
        let parts: String = parts.iter().zip(1..).map(|(part, n)| format!("  s{n}: {part}\n")).collect();
        format!("title: T\nlogsource: {source}\ndetection:\n{parts}  condition: {condition}\n")
    })
}

fn happening() -> impl Strategy<Value = (LogSourceId, String)> {
    let value = prop_oneof![
        5 => scalar().boxed(),
        1 => vec(scalar(), 0..3).prop_map(|all| format!("[{}]", all.join(","))).boxed(),
        1 => scalar().prop_map(|inner| format!("{{\"d\":{inner}}}")).boxed(),
    ];
    let fields = subsequence(vec!["a", "b", "c", "c.d", "e", "f"], 0..=4);
    let source = select(vec![
        (None, None, None),
        (Some("p"), None, None),
        (Some("p"), Some("c"), None),
        (Some("q"), Some("c"), Some("s")),
    ]);
    (source, fields, vec(value, 4)).prop_map(|((product, category, service), fields, values)| {
        let cells: Vec<String> = fields.iter().zip(values).map(|(field, value)| format!("{}:{value}", quoted(field))).collect();
        (LogSourceId::intern(LogSource { product, category, service }), format!("{{{}}}", cells.join(",")))
    })
}

#[test]
fn a_gate_on_presence_opens_for_what_lies_below_too() {
    let rule = |detection: &str| format!("title: T\nlogsource: {{category: any}}\ndetection: {{{detection}}}\n");
    let (set, _) = set_of(&[rule("s: {f|exists: true}, condition: s"), rule("s: {f: null}, condition: not s")].join("---\n"));
    let mut detector = Detector::new(set.clone());
    // A name that comes later is below it as well.
    for events in [&[r#"{"g":1}"#, r#"{"fg":1}"#, r#"{"g":{"f":1}}"#][..], &[r#"{"f":1}"#, r#"{"f":{"new":1}}"#, r#"{"g":2}"#]] {
        compare(&set, &mut detector, &batch_of(events).expect("objects"));
    }
    let evaluated: Vec<u64> = detector.take_work().iter().map(|work| work.did.cost.evaluated).collect();
    assert_eq!(evaluated, [2, 2], "only events that have it");
}

#[test]
fn on_generated_rules_and_events() {
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let (matches, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let cases = (vec(rule(), 1..12), vec(happening(), 1..24));
    let ran = runner.run(&cases, |(rules, events)| {
        let (set, not_loaded) = set_of(&rules.join("---\n"));
        refused.set(refused.get() + not_loaded);
        let batch = batch_of_sources(events.iter().map(|(source, event)| (*source, event.as_str()))).expect("objects");
        let mut detector = Detector::new(set.clone());
        matches.set(matches.get() + compare(&set, &mut detector, &batch));
        // Again and again: what caches then say is the same, and what gates chosen by count open.
        let mut again = Vec::new();
        for _ in 0..1100 / events.len().max(20) {
            again.clear();
            detector.scan(&batch, &mut again);
        }
        compare(&set, &mut detector, &batch);
        Ok(())
    });
    ran.expect("the compiled form is the plain form");
    assert!(
        matches.get() > 2000 && refused.get() < 1500,
        "the cases say something: {} matches, {} refused",
        matches.get(),
        refused.get()
    );
}

/// Text as JSON writes it, some of its characters as the numbers that they have.
fn escaped(text: &str, numbered: &[bool]) -> String {
    let mut written = String::from("\"");
    for (c, numbered) in text.chars().zip(numbered.iter().cycle()) {
        match numbered {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| written.push_str(&format!("\\u{unit:04x}"))),
            false => {
                let quoted = quoted(&c.to_string());
                written.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
    }
    written + "\""
}

/// Keywords as long as those of public rules: what is escaped, folds, stands in arrays, is a number, goes over two values or lies only in
/// names does not tell the compiled form from the plain one.
#[test]
fn on_generated_keywords_and_events() {
    let letters =
        || vec!["abc", "ABD", "K", "\u{212a}", "k", "ſ", "s", "é", "É", "\\", "\"", "/", "410", "1.5", "true", "::", "\n", "x y"];
    let keyword =
        (vec(select(letters()), 2..4), select(vec!["", "", "", "*", "?"])).prop_map(|(letters, wild)| letters.join(wild));
    let keywords =
        (vec(keyword, 1..6), select(vec!["", "", "|all", "|contains", "|startswith", "|cased"])).prop_map(|(all, how)| {
            let all: Vec<String> = all.iter().map(|text| quoted(text)).collect();
            if how.is_empty() { format!("[{}]", all.join(", ")) } else { format!("{{\"{how}\": [{}]}}", all.join(", ")) }
        });
    let also = prop_oneof![3 => Just("k"), 1 => Just("k and not f"), 1 => Just("k or f")];
    let rule = (keywords, also).prop_map(|(keywords, condition)| {
        format!(
            "title: T\nlogsource: {{category: any}}\ndetection:\n  k: {keywords}\n  f: {{a: abc}}\n  condition: {condition}\n"
        )
    });
    let text = (vec(select(letters()), 0..6), vec(prop::bool::weighted(0.2), 8))
        .prop_map(|(letters, numbered)| (letters.concat(), numbered));
    let written = text.prop_map(|(text, numbered)| escaped(&text, &numbered)).boxed();
    let plain = select(vec!["410", "41015", "1.5", "410.5", "true", "null"]).prop_map(str::to_owned);
    let value = prop_oneof![
        4 => written.clone(),
        1 => plain,
        1 => vec(written.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(","))),
        1 => (written.clone(), written.clone()).prop_map(|(name, value)| format!("{{{name}:{value}}}")),
    ];
    let event = vec(value, 3).prop_map(|values| {
        let cells: Vec<String> =
            ["a", "b", "abc410"].iter().zip(values).map(|(field, value)| format!("\"{field}\":{value}")).collect();
        format!("{{{}}}", cells.join(","))
    });
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let matches = std::cell::Cell::new(0);
    let ran = runner.run(&(vec(rule, 1..4), vec(event, 1..24)), |(rules, events)| {
        let (set, _) = set_of(&rules.join("---\n"));
        let batch = batch_of(&events.iter().map(String::as_str).collect::<Vec<_>>()).expect("objects");
        matches.set(matches.get() + compare(&set, &mut Detector::new(set.clone()), &batch));
        Ok(())
    });
    ran.expect("the compiled form is the plain form");
    assert!(matches.get() > 100, "the cases say something: {} matches", matches.get());
}
