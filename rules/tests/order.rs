//! What alerts must not depend on: the order of arrival within lateness, batch sizes, interruptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, Time, Transport};
use rules::alert::AlertChange;
use rules::{CorrelateOptions, Correlator, Detector, LoadOptions, RuleSet, load};

const RULES: &str = "
title: A
name: a
logsource: {category: any}
detection: {s: {k: a}, condition: s}
---
title: B
name: b
logsource: {category: any}
detection: {s: {k: b}, condition: s}
---
title: P
logsource: {category: any}
detection: {s: {k: [a, p]}, condition: s}
---
title: Count
correlation: {type: event_count, rules: [a], group-by: [source.ip], timespan: 60s, condition: {gte: 3}}
---
title: Order
correlation: {type: temporal_ordered, rules: [a, b], group-by: [source.ip], timespan: 20s}
";

/// When it happened and when it was received, in seconds; what it was; from which address.
type Seen = (i64, i64, &'static str, &'static str);

/// Runs in batches of `per`; where `interrupted`, each batch by a correlator that was restored from the one before.
fn run(set: &Arc<RuleSet>, events: &[Seen], per: usize, interrupted: bool) -> Vec<AlertChange> {
    let mut correlator = Correlator::new(set.clone(), CorrelateOptions::default());
    let mut detector = Detector::new(set.clone());
    let (mut out, mut matches, mut offset) = (Vec::new(), Vec::new(), 0);
    for chunk in events.chunks(per) {
        let mut builder = BatchBuilder::default();
        let first = offset + 1;
        for (time, received, kind, ip) in chunk {
            offset += 1;
            let head = FrameHead {
                position: Position { partition: 0, offset },
                received: Time::from_unix_s(*received),
                ..FrameHead::new(Transport::Internal, Content::Text)
            };
            let mut row = builder.row(&head, 0, "");
            row.time(Time::from_unix_s(*time));
            row.text(FieldId::known("k"), kind);
            row.text(FieldId::SOURCE_IP, ip);
        }
        let received = chunk.last().map_or(Time::UNKNOWN, |seen| Time::from_unix_s(seen.1));
        let batch = builder.finish(LogRange { partition: 0, first, last: offset }, received);
        matches.clear();
        detector.scan(&batch, &mut matches);
        correlator.advance(&batch, &matches, &mut out);
        if interrupted {
            let snapshot = correlator.snapshot();
            correlator = Correlator::new(set.clone(), CorrelateOptions::default());
            correlator.restore(&snapshot).expect("a snapshot of the same rules");
        }
    }
    correlator.flush(&mut out);
    out
}

fn rules() -> Arc<RuleSet> {
    let (set, problems) = load(&[("rules".to_owned(), RULES.to_owned())], &LoadOptions::default());
    assert_eq!(problems, []);
    Arc::new(set)
}

/// Streams of 40 events with times of their own, each received up to `late` seconds after it happened.
fn streams(late: u64) -> impl Iterator<Item = Vec<Seen>> {
    let mut state = 1u64;
    let mut below = move |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    (0..200).map(move |_| {
        let mut time = 100_000;
        let mut events: Vec<Seen> = (0..40)
            .map(|_| {
                time += 1 + below(12) as i64;
                let delay = below(late + 1) as i64;
                (time, time + delay, ["a", "b", "p", "x"][below(4) as usize], ["192.0.2.1", "192.0.2.2"][below(2) as usize])
            })
            .collect();
        events.sort_by_key(|seen| seen.1);
        events
    })
}

/// What the correlations said in the end: title, address, first and last time, how often.
fn correlated(changes: &[AlertChange]) -> Vec<String> {
    let last: BTreeMap<_, _> = changes.iter().map(|change| (&change.alert().id, change.alert())).collect();
    let alerts = last.into_values().filter(|alert| alert.rule.kind == "correlation");
    let mut said: Vec<String> =
        alerts.map(|a| format!("{} {:?} {:?} {:?} {}", a.rule.title, a.group, a.window_start, a.last, a.count)).collect();
    said.sort();
    said
}

fn in_order_of_time(events: &[Seen]) -> Vec<Seen> {
    let mut sorted: Vec<Seen> = events.iter().map(|(time, _, kind, ip)| (*time, *time, *kind, *ip)).collect();
    sorted.sort_by_key(|seen| seen.0);
    sorted
}

#[test]
fn order_of_arrival_within_lateness_changes_no_correlation() {
    let set = rules();
    let mut alerts = 0;
    for events in streams(29) {
        let found = correlated(&run(&set, &events, 1, false));
        alerts += found.len();
        assert_eq!(found, correlated(&run(&set, &in_order_of_time(&events), 1, false)), "{events:?}");
    }
    assert!(alerts > 200, "the streams exercise the correlations: {alerts}");
}

#[test]
fn order_of_arrival_beyond_lateness_does() {
    let set = rules();
    let differs = |events: Vec<Seen>| {
        correlated(&run(&set, &events, 1, false)) != correlated(&run(&set, &in_order_of_time(&events), 1, false))
    };
    assert!(streams(300).any(differs), "so the test above can fail");
}

#[test]
fn batch_sizes_and_interruptions_change_nothing() {
    let set = rules();
    // Each alert as it stands in the end: which of its states in between are told depends on the batches.
    let in_the_end = |changes: Vec<AlertChange>| -> BTreeMap<String, String> {
        changes.iter().map(|change| (change.alert().id.clone(), change.alert().to_json())).collect()
    };
    for events in streams(60) {
        let whole = run(&set, &events, 1, false);
        let sevens = run(&set, &events, 7, false);
        assert_eq!(sevens, run(&set, &events, 7, true), "interrupted: {events:?}");
        assert_eq!(in_the_end(whole), in_the_end(sevens), "{events:?}");
    }
}

#[test]
fn an_alert_is_told_once_a_batch() {
    let events: Vec<Seen> = (0..40).map(|n| (100_000 + n, 100_000 + n, "p", "192.0.2.1")).collect();
    let changes = run(&rules(), &events, 40, false);
    let counts: Vec<u64> = changes.iter().map(|change| change.alert().count).collect();
    assert_eq!(counts, [40]);
}
