//! Fields with several values, and long ones, in correlations: each value counts, and each is a group; as when decided on arrival, so in the pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use rules::alert::AlertChange;
use rules::cases::{NoRecords, batch_of, run};
use rules::{CorrelateOptions, Correlator, Detector, LoadOptions, load};

const RULE: &str = "title: a\nname: a\nlogsource: {category: any}\ndetection: {s: {e: a}, condition: s}\n---\n";

/// What a correlation over [`RULE`] makes of events: where it fires and for which group, and how often the alert of each group was folded.
fn fired(correlation: &str, events: &[String]) -> (Vec<(usize, String)>, BTreeMap<String, u64>) {
    let rules = format!("{RULE}title: X\ncorrelation: {{rules: [a], timespan: 1h, {correlation}}}\n");
    let on_arrival = {
        // Everything is expected at no place, so that the failure tells all.
        let case = serde_json::json!({"rules": rules, "events": events.iter().map(|e| serde_json::from_str(e).expect("JSON"))
            .collect::<Vec<serde_json::Value>>(), "expected_alerts": []});
        let outcome = run(&case.to_string(), None, &LoadOptions::default(), &NoRecords).remove(0);
        let told = outcome.failure.unwrap_or_default();
        let each = told.split("ExpectedAlert { at_index: ").skip(1).map(|part| {
            let (index, rest) = part.split_once(',').expect("an index");
            let group = rest.split_once("group: [").and_then(|(_, rest)| rest.split_once(']')).expect("a group").0;
            (index.parse().expect("a number"), group.replace('"', ""))
        });
        each.collect()
    };
    let (set, problems) = load(&[("r".to_owned(), rules)], &LoadOptions::default());
    assert!(problems.iter().all(|problem| !problem.refused), "{problems:?}");
    let set = Arc::new(set);
    let batch = batch_of(&events.iter().map(String::as_str).collect::<Vec<_>>()).expect("objects");
    let (mut matches, mut out) = (Vec::new(), Vec::new());
    Detector::new(set.clone()).scan(&batch, &mut matches);
    let mut correlator = Correlator::new(set, CorrelateOptions::default());
    correlator.advance(&batch, &matches, &mut out);
    correlator.flush(&mut out);
    let mut folded = BTreeMap::new();
    for alert in out.iter().map(AlertChange::alert).filter(|alert| alert.rule.kind == "correlation" && alert.rule.title == "X") {
        folded.insert(alert.group.values().collect::<Vec<_>>().join(","), alert.count);
    }
    (on_arrival, folded)
}

fn events(of: &[&str]) -> Vec<String> {
    of.iter().enumerate().map(|(at, fields)| format!("{{\"_t\":{at},\"e\":\"a\",{fields}}}")).collect()
}

#[test]
fn each_value_counts() {
    let several = events(&[r#""d":["p","q"]"#, r#""d":"q""#, r#""d":[null,"r"]"#, r#""d":[]"#]);
    let (on_arrival, folded) = fired("type: value_count, condition: {field: d, gte: 3}", &several);
    assert_eq!(on_arrival, [(2, String::new())]);
    assert_eq!(folded.values().collect::<Vec<_>>(), [&1]);
    // An event is decided once, by all that it brings.
    let (on_arrival, _) = fired("type: value_count, condition: {field: d, eq: 1}", &several);
    assert_eq!(on_arrival, []);
    let tuples = events(&[r#""d":["p","q"],"n":[1,2]"#]);
    assert_eq!(fired("type: value_count, condition: {field: [d, n], eq: 4}", &tuples).0, [(0, String::new())]);
}

#[test]
fn each_number_adds_up() {
    let numbers = events(&[r#""n":[2,2]"#, r#""n":["x",6]"#]);
    assert_eq!(fired("type: value_sum, condition: {field: n, eq: 10}", &numbers).0, [(1, String::new())]);
    assert_eq!(fired("type: value_avg, condition: {field: n, lt: 4}", &numbers).0, [(0, String::new()), (1, String::new())]);
    assert_eq!(fired("type: value_median, condition: {field: n, eq: 2}", &numbers).0, [(0, String::new()), (1, String::new())]);
}

#[test]
fn an_event_belongs_to_the_group_of_each_value() {
    let several = events(&[r#""u":["x","y"]"#, r#""u":"x""#, r#""u":["y","z"]"#]);
    let (on_arrival, folded) = fired("type: event_count, group-by: [u], condition: {gte: 2}", &several);
    assert_eq!(on_arrival, [(1, "x".to_owned()), (2, "y".to_owned())]);
    assert_eq!(folded.keys().collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn values_are_bounded_and_what_is_left_out_is_told() {
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let event = events(&[&format!(r#""u":[{0}],"d":[{0}]"#, many.join(","))]);
    let rules = format!(
        "{RULE}title: X\ncorrelation: {{type: value_count, rules: [a], timespan: 1h, group-by: [u], condition: {{field: d, gte: 1}}}}"
    );
    let (set, _) = load(&[("r".to_owned(), rules)], &LoadOptions::default());
    let set = Arc::new(set);
    let batch = batch_of(&[&event[0]]).expect("an object");
    let (mut matches, mut out) = (Vec::new(), Vec::new());
    Detector::new(set.clone()).scan(&batch, &mut matches);
    let mut correlator = Correlator::new(set, CorrelateOptions::default());
    correlator.advance(&batch, &matches, &mut out);
    correlator.flush(&mut out);
    assert_eq!(correlator.counters().entries_evicted, 2 * 84);
    assert!(out.iter().any(|change| change.alert().rule.id == rules::DEGRADED_RULE));
}

#[test]
fn long_values_are_told_apart_by_all_of_them() {
    let long = "x".repeat(2000);
    let several = events(&[&format!(r#""d":"{long}1""#), &format!(r#""d":"{long}2""#), &format!(r#""d":"{long}1""#)]);
    let (on_arrival, _) = fired("type: value_count, condition: {field: d, eq: 2}", &several);
    assert_eq!(on_arrival, [(1, String::new()), (2, String::new())]);
    let (on_arrival, _) = fired("type: event_count, group-by: [d], condition: {gte: 2}", &several);
    assert_eq!(on_arrival.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2]);
}
