//! Rule files, conditions and patterns as nobody would write them: no panic, no endless work, and what is loaded matches as the plain form
//! does. `MIHARI_FUZZ_CASES` says how many cases each property tries; `make fuzz` sets it.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use rules::cases::batch_of;
use rules::{Detector, LoadOptions, RuleSet, load, matches_plainly};

/// Cases where nobody says how many.
const CASES: u32 = 64;

#[expect(clippy::disallowed_methods, reason = "how long to look is the caller's matter, not configuration")]
fn config() -> ProptestConfig {
    let cases = std::env::var("MIHARI_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn loaded(text: &str) -> Arc<RuleSet> {
    let (set, problems) = load(&[("fuzz".to_owned(), text.to_owned())], &LoadOptions::default());
    assert!(problems.iter().all(|p| !p.reason.is_empty() && p.line >= 1), "{problems:?}");
    Arc::new(set)
}

fn agrees(set: &Arc<RuleSet>, event: &str) {
    let Ok(batch) = batch_of(&[event]) else { return };
    let mut found = Vec::new();
    Detector::new(set.clone()).scan(&batch, &mut found);
    let found: Vec<u32> = found.iter().map(|found| found.rule).collect();
    assert_eq!(found, matches_plainly(set, batch.event(0)), "{event}");
}

/// A rule file of every kind of document, to be damaged.
const SEED: &str = include_str!("fuzz/seed.yaml");

/// What damages are made of: marks of YAML and of Sigma.
fn piece() -> impl Strategy<Value = String> {
    let words = vec![
        "&a",
        "*a",
        "<<:",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "|",
        ">",
        "'",
        "\"",
        "\\",
        "\n",
        "\t",
        "---",
        "...",
        "!!binary",
        "? ",
        "# ",
        "%",
        "null",
        "~",
        "true",
        "0x1f",
        "1e999",
        "-0",
        "|re",
        "|all",
        "|base64offset",
        "|wide",
        "|expand",
        "|fieldref",
        "|gt",
        "|neq",
        "not ",
        "1 of them",
        "all of *",
        "(",
        ")",
        "((((((((",
        "*",
        "?",
        "**",
        "\\*",
        "999999999999999999999",
        "é",
        "\u{feff}",
        "\u{0}",
        "timespan: 1h",
        "type: temporal",
        "condition: sel",
        "rules: one",
        "generate: true",
    ];
    prop_oneof![3 => select(words).prop_map(str::to_owned), 1 => "\\PC{0,12}"]
}

fn pattern() -> impl Strategy<Value = String> {
    let parts = vec![
        "a", "b", "A", "*", "?", "\\", "\\*", "\\\\", "é", "ſ", "-", "/", " ", "(", ")", "[a-c]", "+", "{1,9}", "|", ".", "^",
        "$",
    ];
    proptest::collection::vec(select(parts), 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_rule_files_are_loaded_or_refused(changes in proptest::collection::vec((any::<Index>(), 0usize..20, piece()), 1..6)) {
        let mut text = SEED.to_owned();
        for (at, taken, piece) in changes {
            let from = text.floor_char_boundary(at.index(text.len() + 1));
            let to = text.floor_char_boundary((from + taken).min(text.len()));
            text.replace_range(from..to, &piece);
        }
        let set = loaded(&text);
        for event in [r#"{"f":"abc","g":1,"h":"abc","k":"10.1.1.1"}"#, r#"{"f":["a","b"],"m":"x /x","l":null}"#, "{}"] {
            agrees(&set, event);
        }
    }

    #[test]
    fn any_condition_is_parsed_or_refused(words in proptest::collection::vec(piece(), 0..30)) {
        let condition = serde_json::to_string(&words.join(" ")).expect("text");
        let set = loaded(&format!(
            "title: T\nlogsource: {{category: any}}\ndetection:\n  sel: {{f: a}}\n  sel2: {{g: b}}\n  condition: {condition}\n"
        ));
        for event in [r#"{"f":"a"}"#, r#"{"f":"a","g":"b"}"#, "{}"] {
            agrees(&set, event);
        }
    }

    #[test]
    fn any_pattern_matches_as_the_plain_form_does(
        pattern in pattern(),
        modifier in select(vec!["", "|contains", "|startswith", "|endswith", "|cased", "|re", "|re|i", "|windash", "|windash|contains", "|base64offset|contains", "|wide|base64", "|fieldref", "|fieldref|contains"]),
        value in "[abABéſ*?/\\\\ -]{0,40}",
    ) {
        let pattern = serde_json::to_string(&pattern).expect("text");
        let set = loaded(&format!("title: T\nlogsource: {{category: any}}\ndetection: {{s: {{\"f{modifier}\": {pattern}}}, condition: s}}\n"));
        let value = serde_json::to_string(&value).expect("text");
        agrees(&set, &format!("{{\"f\":{value},\"a\":{value}}}"));
    }
}
