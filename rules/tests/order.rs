//! What alerts must not depend on: the order of arrival within lateness, batch sizes, interruptions, changes of other rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, Time, Transport};
use rules::alert::{Alert, AlertChange};
use rules::{CorrelateOptions, Correlator, Detector, LoadOptions, RuleSet, load};

/// Two plain rules that correlations name.
macro_rules! a_and_b {
    () => {
        "
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
"
    };
}

const RULES: &str = concat!(
    a_and_b!(),
    "title: P
logsource: {category: any}
detection: {s: {k: [a, p]}, condition: s}
mihari: {fold: 100s}
---
title: Count
correlation: {type: event_count, rules: [a], group-by: [source.ip], timespan: 60s, condition: {gte: 3}}
---
title: Order
correlation: {type: temporal_ordered, rules: [a, b], group-by: [source.ip], timespan: 20s}
"
);

/// When it happened and when it was received, in seconds; what it was; from which address.
type Seen = (i64, i64, &'static str, &'static str);

/// Runs in batches of `per`; where `interrupted`, each batch by a correlator that was restored from the one before.
fn run(set: &Arc<RuleSet>, events: &[Seen], per: usize, interrupted: bool) -> Vec<AlertChange> {
    run_by(set, events, per, |_, correlator| {
        if interrupted {
            restored(correlator, set);
        }
        set.clone()
    })
}

/// Goes on by way of a snapshot.
fn restored(correlator: &mut Correlator, set: &Arc<RuleSet>) {
    let snapshot = correlator.snapshot();
    *correlator = Correlator::new(set.clone(), CorrelateOptions::default());
    correlator.restore(&snapshot).expect("a snapshot");
}

/// Runs in batches of `per`. After each, `next` may do something to the correlator, and gives the rules of the next batch.
fn run_by(
    set: &Arc<RuleSet>,
    events: &[Seen],
    per: usize,
    mut next: impl FnMut(usize, &mut Correlator) -> Arc<RuleSet>,
) -> Vec<AlertChange> {
    let mut correlator = Correlator::new(set.clone(), CorrelateOptions::default());
    let mut detector = Detector::new(set.clone());
    let (mut out, mut matches, mut offset) = (Vec::new(), Vec::new(), 0);
    for (nth, chunk) in events.chunks(per).enumerate() {
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
            row.int(FieldId::SOURCE_PORT, time % 100);
        }
        let received = chunk.last().map_or(Time::UNKNOWN, |seen| Time::from_unix_s(seen.1));
        let batch = builder.finish(LogRange { partition: 0, first, last: offset }, received);
        matches.clear();
        detector.scan(&batch, &mut matches);
        correlator.advance(&batch, &matches, &mut out);
        detector = Detector::new(next(nth, &mut correlator));
    }
    correlator.flush(&mut out);
    out
}

fn rules() -> Arc<RuleSet> {
    loaded(RULES)
}

fn loaded(text: &str) -> Arc<RuleSet> {
    let (set, problems) = load(&[("rules".to_owned(), text.to_owned())], &LoadOptions::default());
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

/// What was said in the end: title, group, window, first and last time, how often, and what the alert shows.
fn said(changes: &[AlertChange]) -> Vec<String> {
    let last: BTreeMap<_, _> = changes.iter().map(|change| (&change.alert().id, change.alert())).collect();
    let one = |a: &Alert| {
        let times = (a.window_start, a.first, a.last);
        format!("{} {} {:?} {times:?} {} {:?}", a.id, a.rule.title, a.group, a.count, a.fields)
    };
    let mut said: Vec<String> = last.into_values().map(one).collect();
    said.sort();
    said
}

fn in_order_of_time(events: &[Seen]) -> Vec<Seen> {
    let mut sorted: Vec<Seen> = events.iter().map(|(time, _, kind, ip)| (*time, *time, *kind, *ip)).collect();
    sorted.sort_by_key(|seen| seen.0);
    sorted
}

#[test]
fn order_of_arrival_within_lateness_changes_no_alert() {
    let set = rules();
    let mut alerts = 0;
    for events in streams(29) {
        let found = said(&run(&set, &events, 1, false));
        alerts += found.len();
        assert_eq!(found, said(&run(&set, &in_order_of_time(&events), 1, false)), "{events:?}");
    }
    assert!(alerts > 200, "the streams exercise the rules: {alerts}");
}

#[test]
fn order_of_arrival_beyond_lateness_does() {
    let set = rules();
    let differs =
        |events: Vec<Seen>| said(&run(&set, &events, 1, false)) != said(&run(&set, &in_order_of_time(&events), 1, false));
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

/// Rules of every kind of state, before a change of the folder.
const BEFORE: &str = concat!(
    a_and_b!(),
    "title: Stays plain
logsource: {category: any}
detection: {s: {k: [a, p]}, condition: s}
---
title: Stays
name: stays
correlation: {type: event_count, rules: [a], group-by: [source.ip], timespan: 60s, condition: {gte: 3}, generate: true}
---
title: Stays too
correlation: {type: value_count, rules: [a, b], group-by: [source.ip], timespan: 90s, condition: {field: k, gte: 2}, generate: true}
---
title: Stays, an absence
correlation: {type: temporal, rules: [a, b], group-by: [source.ip], timespan: 20s, condition: a and not b, generate: true}
---
title: Stays, a chain
correlation: {type: temporal_ordered, rules: [stays, b], group-by: [source.ip], timespan: 90s, generate: true}
---
title: Changes
correlation: {type: event_count, rules: [a, b], group-by: [source.ip], timespan: 60s, condition: {gte: 3}, generate: true}
---
title: Changes, an absence
correlation: {type: temporal, rules: [a, b], group-by: [source.ip], timespan: 20s, condition: b and not a, generate: true}
---
title: Changes, plain
logsource: {category: any}
detection: {s: {k: x}, condition: s}
---
title: Goes
correlation: {type: temporal_ordered, rules: [a, b], group-by: [source.ip], timespan: 20s, generate: true}
"
);

/// Inner rules, one of them behind a chain and one behind a filter, and correlations of them.
const CHAINED: &str = concat!(
    a_and_b!(),
    "title: Over a
name: over
correlation: {type: event_count, rules: [a], group-by: [source.ip], timespan: 60s, condition: {gte: 2}, generate: true}
---
title: Over that
correlation: {type: temporal_ordered, rules: [over, b], group-by: [source.ip], timespan: 90s, generate: true}
---
title: Beside, over b
correlation: {type: event_count, rules: [b], group-by: [source.ip], timespan: 60s, condition: {gte: 3}, generate: true}
---
title: Filter
logsource: {category: any}
filter: {rules: [a], selection: {k: none}, condition: not selection}
"
);

/// The same in another order, with some changed, one gone and one come.
fn after() -> String {
    let changed = BEFORE
        .replace(
            "timespan: 60s, condition: {gte: 3}, generate: true}\n---\ntitle: Changes, an",
            "timespan: 50s, condition: {gte: 3}, generate: true}\n---\ntitle: Changes, an",
        )
        .replace("condition: b and not a", "condition: b and not (a)")
        .replace("{k: x}", "{k: [x, p]}");
    let mut documents: Vec<&str> = changed.split("---\n").collect();
    documents.retain(|document| !document.contains("title: Goes"));
    documents.push("title: Comes\ncorrelation: {type: event_count, rules: [b], group-by: [source.ip], timespan: 60s, condition: {gte: 2}, generate: true}\n");
    documents.reverse();
    documents.join("---\n") // Each text as it was: a rule is the same where its text is.
}

/// Each alert of rules that are called so, as it stands in the end.
fn of_rules(changes: &[AlertChange], called: &[&str]) -> BTreeMap<String, String> {
    let of = |change: &&AlertChange| called.iter().any(|word| change.alert().rule.title.starts_with(word));
    changes.iter().filter(of).map(|change| (change.alert().id.clone(), change.alert().to_json())).collect()
}

/// A change of the rules: by taking up the new ones, or by a restart with them.
fn changing(
    before: &Arc<RuleSet>,
    after: &Arc<RuleSet>,
    events: &[Seen],
    per: usize,
    at: usize,
    restart: bool,
) -> Vec<AlertChange> {
    run_by(before, events, per, |nth, correlator| {
        if nth == at {
            if restart { restored(correlator, after) } else { correlator.replace(after.clone()) }
        }
        if nth < at { before.clone() } else { after.clone() }
    })
}

#[test]
fn a_change_of_the_rules_keeps_what_is_known_of_those_that_stay() {
    let (before, after) = (loaded(BEFORE), loaded(&after()));
    let (mut stayed, mut lost) = (0, 0);
    for (n, events) in streams(29).enumerate() {
        let (per, at) = ([1, 4, 7][n % 3], n % 5);
        let whole = run(&before, &events, per, false);
        for restart in [false, true] {
            let changed = changing(&before, &after, &events, per, at, restart);
            let (expected, found) = (of_rules(&whole, &["A", "B", "Stays"]), of_rules(&changed, &["A", "B", "Stays"]));
            assert_eq!(expected, found, "{per} a batch, changed after batch {at}, restart {restart}: {events:?}");
            stayed += expected.len();
            // What is new begins where it came: as if there had been no event before.
            let since = changing(&before, &after, &events, per, at, restart);
            let fresh = run_by(&before, &events, per, |nth, correlator| {
                if nth == at {
                    *correlator = Correlator::new(after.clone(), CorrelateOptions::default());
                }
                if nth < at { before.clone() } else { after.clone() }
            });
            let new = ["Changes", "Comes"];
            assert_eq!(of_rules(&since, &new), of_rules(&fresh, &new), "{per} a batch, changed after batch {at}: {events:?}");
            lost += usize::from(of_rules(&whole, &["Changes"]) != of_rules(&since, &["Changes"]));
        }
    }
    assert!(stayed > 1000 && lost > 10, "the streams exercise the change: {stayed}, {lost}");
}

#[test]
fn a_correlation_begins_anew_where_a_rule_that_it_hangs_on_was_changed() {
    let before = loaded(CHAINED);
    let mut lost = 0;
    for (find, put) in [("{k: a}", "{k: [a, p]}"), ("{k: none}", "{k: [none, b]}")] {
        let after = loaded(&CHAINED.replace(find, put));
        for (n, events) in streams(29).enumerate() {
            let (per, at) = ([1, 4, 7][n % 3], n % 5);
            let whole = run(&before, &events, per, false);
            for restart in [false, true] {
                let changed = changing(&before, &after, &events, per, at, restart);
                assert_eq!(of_rules(&whole, &["Beside"]), of_rules(&changed, &["Beside"]), "{events:?}");
                // What asks another question begins where it came, also behind a chain: as if there had been no event before.
                let fresh = run_by(&before, &events, per, |nth, correlator| {
                    if nth == at {
                        *correlator = Correlator::new(after.clone(), CorrelateOptions::default());
                    }
                    if nth < at { before.clone() } else { after.clone() }
                });
                assert_eq!(of_rules(&changed, &["Over"]), of_rules(&fresh, &["Over"]), "after batch {at}: {events:?}");
                lost += usize::from(of_rules(&whole, &["Over"]) != of_rules(&changed, &["Over"]));
            }
        }
    }
    assert!(lost > 10, "the streams exercise the change: {lost}");
}

#[test]
fn a_change_and_a_restart_with_other_rules_are_one() {
    let (before, after) = (loaded(BEFORE), loaded(&after()));
    for (n, events) in streams(60).enumerate() {
        let (per, at) = ([1, 4, 7][n % 3], n % 6);
        let changed = changing(&before, &after, &events, per, at, false);
        assert_eq!(changed, changing(&before, &after, &events, per, at, true), "{per} a batch, after batch {at}: {events:?}");
        // There and back: what the second set did not have is gone, and the rest is as if nothing had been.
        let back = run_by(&before, &events, per, |nth, correlator| {
            if nth == at {
                correlator.replace(after.clone());
                restored(correlator, &before);
            }
            before.clone()
        });
        let whole = run(&before, &events, per, false);
        assert_eq!(of_rules(&back, &["A", "B", "Stays"]), of_rules(&whole, &["A", "B", "Stays"]), "{events:?}");
    }
}

#[test]
fn what_waits_for_a_rule_that_goes_is_forgotten() {
    let (before, after) = (loaded(BEFORE), loaded(&after()));
    let events: Vec<Seen> = (0..10).map(|n| (100_000 + n, 100_000 + n, ["a", "b"][n as usize % 2], "192.0.2.1")).collect();
    let mut states = Vec::new();
    for restart in [false, true] {
        run_by(&before, &events, 10, |_, correlator| {
            if restart {
                restored(correlator, &after);
            } else {
                correlator.replace(after.clone());
            }
            states.push(correlator.snapshot());
            let (kept, _) = correlator.size();
            assert_eq!(kept, 0, "all of it waits still");
            after.clone()
        });
    }
    assert_eq!(states[0], states[1]);
}
