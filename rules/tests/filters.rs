//! A filter is the rule's condition and its own (specification, "Global Filter"): cases of our own, and any rules with any filters against
//! rules that a person has combined with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use rules::cases::batch_of;
use rules::{Detector, LoadOptions, Match, load, matches_plainly};

/// Parts of a detection, over few fields and values, so that events often satisfy them.
const PARTS: [&str; 6] = ["{f: a}", "{g|startswith: b}", "{f|neq: c, g: '*'}", "[{h: 1}, {f: b}]", "[bb]", "{h: null}"];
/// Conditions over the parts `p` and `q`.
const CONDITIONS: [&str; 7] = ["p", "not p", "p and q", "p or not q", "not (p or q)", "1 of them", "all of q*"];
/// Log sources: of a rule, and of a filter that may cover it.
const SOURCES: [&str; 4] =
    ["product: x", "product: x, category: y", "product: x, category: y, service: z", "product: w, category: y"];

#[derive(Clone, Debug)]
struct Detection {
    parts: [usize; 2],
    condition: usize,
    source: usize,
}

#[derive(Clone, Debug)]
struct Filter {
    detection: Detection,
    /// The rules it names, by id where even, else by name; none for `any`.
    rules: Option<BTreeSet<usize>>,
}

fn detection() -> impl Strategy<Value = Detection> {
    let parts = prop::array::uniform2(0..PARTS.len());
    (parts, 0..CONDITIONS.len(), 0..SOURCES.len()).prop_map(|(parts, condition, source)| Detection { parts, condition, source })
}

fn filter(rules: usize) -> impl Strategy<Value = Filter> {
    (detection(), prop::option::of(prop::collection::btree_set(0..rules, 1..rules)))
        .prop_map(|(detection, rules)| Filter { detection, rules })
}

fn event() -> impl Strategy<Value = String> {
    let value = |values: &[&'static str]| prop::option::of(prop::sample::select(values.to_vec()));
    (value(&["\"a\"", "\"b\"", "\"c\""]), value(&["\"b\"", "\"bb\"", "[\"a\",\"bc\"]"]), value(&["1", "2", "null"])).prop_map(
        |(f, g, h)| {
            let cells = [("f", f), ("g", g), ("h", h)].map(|(name, value)| value.map(|value| format!("\"{name}\":{value}")));
            format!("{{{}}}", cells.into_iter().flatten().collect::<Vec<_>>().join(","))
        },
    )
}

impl Detection {
    /// Its parts and its condition, the names of the parts after `prefix`.
    fn body(&self, prefix: &str) -> (String, String) {
        let parts = format!("{prefix}p: {}, {prefix}q: {}", PARTS[self.parts[0]], PARTS[self.parts[1]]);
        let named = |word: &str| match word {
            "p" | "q" | "q*" => format!("{prefix}{word}"),
            "them" => format!("{prefix}*"),
            other => other.to_owned(),
        };
        let spaced = CONDITIONS[self.condition].replace('(', "( ").replace(')', " )");
        (parts, spaced.split(' ').map(named).collect::<Vec<_>>().join(" "))
    }
}

/// Whether a filter of one log source is for rules of the other: it names nothing that the rule does not.
fn covers(filter: usize, rule: usize) -> bool {
    SOURCES[filter].split(", ").all(|part| SOURCES[rule].split(", ").any(|of_rule| of_rule == part))
}

fn with_filters(rules: &[Detection], filters: &[Filter]) -> String {
    let mut text = String::new();
    for (at, rule) in rules.iter().enumerate() {
        let (parts, condition) = rule.body("");
        let source = SOURCES[rule.source];
        text += &format!(
            "title: R{at}\nid: id-{at}\nname: n{at}\nlogsource: {{{source}}}\ndetection: {{{parts}, condition: {condition}}}\n---\n"
        );
    }
    for filter in filters {
        let (parts, condition) = filter.detection.body("");
        let name = |at: &usize| if at.is_multiple_of(2) { format!("id-{at}") } else { format!("n{at}") };
        let named = filter.rules.as_ref().map(|rules| format!("[{}]", rules.iter().map(name).collect::<Vec<_>>().join(", ")));
        let source = SOURCES[filter.detection.source];
        text += &format!(
            "title: F\nlogsource: {{{source}}}\nfilter: {{rules: {}, {parts}, condition: {condition}}}\n---\n",
            named.as_deref().unwrap_or("any")
        );
    }
    text
}

fn by_hand(rules: &[Detection], filters: &[Filter]) -> String {
    let mut text = String::new();
    for (at, rule) in rules.iter().enumerate() {
        let (mut parts, condition) = rule.body("own");
        let mut condition = format!("({condition})");
        for (number, filter) in filters.iter().enumerate() {
            let meant = filter.rules.as_ref().is_none_or(|rules| rules.contains(&at));
            if meant && covers(filter.detection.source, rule.source) {
                let (more, further) = filter.detection.body(&format!("f{number}"));
                parts = format!("{parts}, {more}");
                condition = format!("{condition} and ({further})");
            }
        }
        let source = SOURCES[rule.source];
        text += &format!("title: R{at}\nlogsource: {{{source}}}\ndetection: {{{parts}, condition: {condition}}}\n---\n");
    }
    text
}

/// Which rules each event satisfies: plainly and compiled, which must agree.
fn matches(text: &str, events: &[String]) -> Vec<Vec<u32>> {
    let (set, problems) = load(&[("rules".to_owned(), text.to_owned())], &LoadOptions::default());
    assert!(problems.iter().all(|problem| !problem.refused), "{problems:?} in {text}");
    let set = Arc::new(set);
    let batch = batch_of(&events.iter().map(String::as_str).collect::<Vec<_>>()).expect("objects");
    let plain: Vec<Vec<u32>> = batch.iter().map(|event| matches_plainly(&set, event)).collect();
    let mut found: Vec<Match> = Vec::new();
    Detector::new(set).scan(&batch, &mut found);
    let mut compiled = vec![Vec::new(); events.len()];
    found.iter().for_each(|found| compiled[found.row as usize].push(found.rule));
    assert_eq!(plain, compiled);
    plain
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_equal_rules_combined_by_hand(
        rules in prop::collection::vec(detection(), 3),
        filters in prop::collection::vec(filter(3), 0..4),
        events in prop::collection::vec(event(), 1..20),
    ) {
        prop_assert_eq!(matches(&with_filters(&rules, &filters), &events), matches(&by_hand(&rules, &filters), &events));
    }
}

#[test]
fn a_filter_says_for_which_rules_it_is() {
    let rule = "title: R\nlogsource: {product: x}\ndetection: {s: {e: a}, condition: s}\n---\n";
    let events = [r#"{"e":"a","u":"x"}"#.to_owned(), r#"{"e":"a"}"#.to_owned()];
    let filter =
        |rules: &str| format!("{rule}title: F\nlogsource: {{product: x}}\nfilter: {{{rules}s: {{u: x}}, condition: not s}}\n");
    for rules in ["rules: any, ", "rules: Any, ", "rules: [any], ", "rules: [], ", "rules: R, "] {
        assert_eq!(matches(&filter(rules), &events), [vec![], vec![0]], "{rules}");
    }
    let (_, problems) = load(&[("f".to_owned(), filter(""))], &LoadOptions::default());
    assert!(problems.iter().any(|problem| problem.refused && problem.reason.contains("for which rules")), "{problems:?}");
}

#[test]
fn a_filter_says_where_it_may_not_do_what_was_meant() {
    let filter = |condition: &str, rules: &str| {
        format!(
            "title: F, not here\nlogsource: {{product: x}}\nfilter: {{rules: {rules}, s: {{u: x}}, condition: {condition}}}\n"
        )
    };
    let rule = "title: R\nname: r\nlogsource: {product: x}\ndetection: {s: {e: a}, condition: s}\n---\n";
    for (condition, rules, warnings) in [("not s", "any", 0), ("s", "any", 1), ("not s", "[other]", 1), ("s", "[other]", 2)] {
        let (set, problems) = load(&[("f".to_owned(), format!("{rule}{}", filter(condition, rules)))], &LoadOptions::default());
        assert_eq!(set.rules().len(), 1);
        assert_eq!(problems.len(), warnings, "{condition} {rules}: {problems:?}");
        assert!(problems.iter().all(|problem| !problem.refused && problem.line == 6), "{problems:?}");
    }
    let (set, problems) = load(&[("f".to_owned(), format!("{rule}{}", filter("t", "any")))], &LoadOptions::default());
    assert!(set.rules().len() == 1 && problems.iter().any(|problem| problem.refused), "{problems:?}");
}
