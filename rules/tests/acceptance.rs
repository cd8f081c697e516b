//! Case files: our own, and beside the project, where they are present, the acceptance cases and the public rules.

use std::path::PathBuf;

#[expect(clippy::print_stdout, reason = "a test that did not run says so")]
fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/sigma").join(name);
    if !path.exists() {
        println!("skipped: {} not present", path.display());
        return None;
    }
    Some(path)
}

fn all_pass(path: Option<PathBuf>) {
    let Some(path) = path else { return };
    let text = std::fs::read_to_string(path).expect("a readable file");
    let outcomes = rules::cases::run(&text, None, &rules::LoadOptions::default(), &rules::cases::NoRecords);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.failure.is_some()).collect();
    assert!(failed.is_empty() && !outcomes.is_empty(), "{} of {}: {failed:#?}", failed.len(), outcomes.len());
}

#[test]
fn every_detection_case_passes() {
    all_pass(shared("cases.jsonl"));
}

#[test]
fn every_correlation_case_passes() {
    all_pass(shared("correlation.jsonl"));
}

#[test]
fn every_case_of_our_own_passes() {
    for name in ["correlation.jsonl", "filters.jsonl"] {
        all_pass(Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)));
    }
}

#[test]
fn every_public_rule_loads_but_those_with_placeholders() {
    let Some(path) = shared("rules") else { return };
    let (files, mut problems) = rules::read_files(&[path]);
    let (set, more) = rules::load(&files, &rules::LoadOptions::default());
    problems.extend(more);
    let (placeholders, other): (Vec<_>, Vec<_>) =
        problems.iter().filter(|p| p.refused).partition(|p| p.reason.contains("placeholder"));
    assert!(other.is_empty(), "{other:#?}");
    let refused: std::collections::BTreeSet<_> = placeholders.iter().map(|p| &p.path).collect();
    assert_eq!(set.rules().len() + refused.len(), files.len());
}
