//! The correlator against a reference that keeps every event and forms every window anew: the same firings, windows and evidence, in
//! whatever order events arrive, whatever the batches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::{BatchBuilder, Content, EventId, FieldId, FrameHead, LogRange, Position, Time, Transport};
use proptest::prelude::*;
use rules::alert::AlertChange;
use rules::{CorrelateOptions, Correlator, Detector, LoadOptions, RuleSet, load};

const LATENESS_S: i64 = 30;

/// An event: when it happened, how long it took to arrive, which rules it satisfies, and its fields.
#[derive(Clone, Debug)]
struct Seen {
    time: i64,
    delay: i64,
    kinds: BTreeSet<char>,
    ip: u8,
    d: Option<char>,
    /// In quarters, so that sums in `f64` are exact here.
    n: Option<i64>,
}

fn seen() -> impl Strategy<Value = Seen> {
    let kinds = prop::collection::btree_set(prop::sample::select(vec!['a', 'b', 'c']), 1..3);
    let d = prop::option::weighted(0.9, prop::sample::select(vec!['p', 'q', 'r', 's']));
    (0i64..400, 0i64..45, kinds, 0u8..2, d, prop::option::weighted(0.9, -8i64..60))
        .prop_map(|(time, delay, kinds, ip, d, n)| Seen { time: 100_000 + time, delay, kinds, ip, d, n })
}

/// A correlation, and by what the reference judges its windows.
struct Spec {
    title: &'static str,
    rules: &'static [&'static str],
    by: &'static [&'static str],
    timespan_s: i64,
    yaml: &'static str,
    judge: Judge,
}

enum Judge {
    /// A window, in order, that ends with the event.
    Window(fn(&[Entered]) -> bool),
    /// Of an absence: which rules must happen; whether a window satisfies what must; whether what must not has not, in the window and,
    /// where the order is of no importance, in the timespan before.
    Absence { wanted: &'static [usize], in_order: bool, holds: fn(&BTreeSet<usize>, &BTreeSet<usize>) -> bool },
}

/// An event in a correlation.
#[derive(Clone, Debug)]
struct Entered {
    time: i64,
    event: EventId,
    places: BTreeSet<usize>,
    d: Option<char>,
    n: Option<f64>,
}

fn rank(window: &[Entered], rank: f64) -> f64 {
    let mut numbers: Vec<f64> = window.iter().filter_map(|e| e.n).collect();
    numbers.sort_by(f64::total_cmp);
    let at = rank * (numbers.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    numbers[low] * (1.0 - part) + numbers[(low + 1).min(numbers.len() - 1)] * part
}

fn fired(window: &[Entered]) -> BTreeSet<usize> {
    window.iter().flat_map(|e| e.places.iter().copied()).collect()
}

/// The longest run of ascending places, each of a later event.
fn longest(window: &[Entered], places: usize) -> usize {
    // Every choice of places, in order: does it occur as a subsequence of events?
    let choices = (1u32..1 << places).map(|choice| (0..places).filter(|p| choice >> p & 1 == 1).collect::<Vec<_>>());
    choices.filter(|choice| occurs(window, choice)).map(|choice| choice.len()).max().unwrap_or(0)
}

fn occurs(window: &[Entered], order: &[usize]) -> bool {
    let mut wanted = order.iter();
    let mut next = wanted.next();
    for event in window {
        if next.is_some_and(|place| event.places.contains(place)) {
            next = wanted.next();
        }
    }
    next.is_none()
}

const SPECS: &[Spec] = &[
    Spec {
        title: "count",
        rules: &["a"],
        by: &["ip"],
        timespan_s: 60,
        yaml: "type: event_count, condition: {gte: 3}",
        judge: Judge::Window(|w| w.len() >= 3),
    },
    Spec {
        title: "count in a range, of two rules, of all",
        rules: &["a", "b"],
        by: &[],
        timespan_s: 25,
        yaml: "type: event_count, condition: {gt: 1, lte: 3}",
        judge: Judge::Window(|w| (2..=3).contains(&w.len())),
    },
    Spec {
        title: "values",
        rules: &["a", "b"],
        by: &["ip"],
        timespan_s: 90,
        yaml: "type: value_count, condition: {field: d, gte: 3}",
        judge: Judge::Window(|w| w.iter().filter_map(|e| e.d).collect::<BTreeSet<_>>().len() >= 3),
    },
    Spec {
        title: "tuples",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 40,
        yaml: "type: value_count, condition: {field: [d, n], neq: 2, lt: 5}",
        judge: Judge::Window(|w| {
            let different: BTreeSet<String> = w.iter().map(|e| format!("{:?}", (e.d, e.n))).collect();
            different.len() != 2 && different.len() < 5
        }),
    },
    Spec {
        title: "sum",
        rules: &["a", "b"],
        by: &["ip"],
        timespan_s: 60,
        yaml: "type: value_sum, condition: {field: n, gt: 20.25}",
        judge: Judge::Window(|w| w.iter().filter_map(|e| e.n).sum::<f64>() > 20.25),
    },
    Spec {
        title: "average",
        rules: &["a", "c"],
        by: &["ip"],
        timespan_s: 60,
        yaml: "type: value_avg, condition: {field: n, lte: 4.5}",
        judge: Judge::Window(|w| w.iter().filter_map(|e| e.n).sum::<f64>() <= 4.5 * w.len() as f64),
    },
    Spec {
        title: "percentile",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 120,
        yaml: "type: value_percentile, condition: {field: n, percentile: 90, gte: 12.5}",
        judge: Judge::Window(|w| rank(w, 0.9) >= 12.5),
    },
    Spec {
        title: "median",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 120,
        yaml: "type: value_median, condition: {field: n, lt: 6}",
        judge: Judge::Window(|w| rank(w, 0.5) < 6.0),
    },
    Spec {
        title: "together",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 30,
        yaml: "type: temporal",
        judge: Judge::Window(|w| fired(w).len() == 3),
    },
    Spec {
        title: "two together",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 10,
        yaml: "type: temporal, condition: {gte: 2}",
        judge: Judge::Window(|w| fired(w).len() >= 2),
    },
    Spec {
        title: "either with c",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 15,
        yaml: "type: temporal, condition: (a or b) and c",
        judge: Judge::Window(|w| fired(w).contains(&2) && fired(w).len() >= 2),
    },
    Spec {
        title: "in order",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 45,
        yaml: "type: temporal_ordered",
        judge: Judge::Window(|w| occurs(w, &[0, 1, 2])),
    },
    Spec {
        title: "two in order",
        rules: &["c", "b", "a"],
        by: &["ip"],
        timespan_s: 20,
        yaml: "type: temporal_ordered, condition: {gte: 2}",
        judge: Judge::Window(|w| longest(w, 3) >= 2),
    },
    Spec {
        title: "the same twice, in order",
        rules: &["a", "a", "b"],
        by: &["ip"],
        timespan_s: 45,
        yaml: "type: temporal_ordered",
        judge: Judge::Window(|w| occurs(w, &[0, 1, 2])),
    },
    Spec {
        title: "a without b",
        rules: &["a", "b"],
        by: &["ip"],
        timespan_s: 20,
        yaml: "type: temporal, condition: a and not b",
        judge: Judge::Absence { wanted: &[0], in_order: false, holds: |is, no| is.contains(&0) && !no.contains(&1) },
    },
    Spec {
        title: "a and b without c",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 30,
        yaml: "type: temporal, condition: all of a* and b and not 1 of c*",
        judge: Judge::Absence {
            wanted: &[0, 1],
            in_order: false,
            holds: |is, no| is.contains(&0) && is.contains(&1) && !no.contains(&2),
        },
    },
    Spec {
        title: "one without the other",
        rules: &["a", "b"],
        by: &["ip"],
        timespan_s: 15,
        yaml: "type: temporal, condition: (a and not b) or (b and not a)",
        judge: Judge::Absence {
            wanted: &[0, 1],
            in_order: false,
            holds: |is, no| is.contains(&0) && !no.contains(&1) || is.contains(&1) && !no.contains(&0),
        },
    },
    Spec {
        title: "a then b, then no c",
        rules: &["a", "b", "c"],
        by: &["ip"],
        timespan_s: 30,
        yaml: "type: temporal_ordered, condition: a and b and not c",
        judge: Judge::Absence { wanted: &[0, 1], in_order: true, holds: |_, no| !no.contains(&2) },
    },
    Spec {
        title: "many, then b",
        rules: &["inner", "b"],
        by: &["ip"],
        timespan_s: 60,
        yaml: "type: temporal_ordered",
        judge: Judge::Window(|w| occurs(w, &[0, 1])),
    },
    Spec {
        title: "many of one value, then c",
        rules: &["of a value", "c"],
        by: &["ip"],
        timespan_s: 60,
        yaml: "type: temporal_ordered",
        judge: Judge::Window(|w| occurs(w, &[0, 1])),
    },
    Spec {
        title: "nothing, and c",
        rules: &["quiet", "c"],
        by: &["ip"],
        timespan_s: 60,
        yaml: "type: temporal",
        judge: Judge::Window(|w| fired(w).len() == 2),
    },
];

/// Correlations that others listen to.
const INNER: &[Spec] = &[
    Spec {
        title: "inner",
        rules: &["a"],
        by: &["ip", "d"],
        timespan_s: 60,
        yaml: "type: event_count, condition: {gte: 2}",
        judge: Judge::Window(|w| w.len() >= 2),
    },
    Spec {
        title: "of a value",
        rules: &["a", "b"],
        by: &["d"],
        timespan_s: 30,
        yaml: "type: event_count, condition: {gte: 3}",
        judge: Judge::Window(|w| w.len() >= 3),
    },
    Spec {
        title: "quiet",
        rules: &["a", "b"],
        by: &["ip"],
        timespan_s: 10,
        yaml: "type: temporal, condition: a and not b",
        judge: Judge::Absence { wanted: &[0], in_order: false, holds: |is, no| is.contains(&0) && !no.contains(&1) },
    },
];

fn rules() -> Arc<RuleSet> {
    let mut text = String::new();
    for kind in ['a', 'b', 'c'] {
        text += &format!(
            "title: {kind}\nname: {kind}\nlogsource: {{category: any}}\ndetection: {{s: {{k: {kind}}}, condition: s}}\n---\n"
        );
    }
    for spec in INNER.iter().chain(SPECS) {
        text += &format!(
            "title: {}\nname: {}\ncorrelation: {{{}, rules: [{}], group-by: [{}], timespan: {}s}}\n---\n",
            spec.title,
            spec.title,
            spec.yaml,
            spec.rules.join(","),
            spec.by.join(","),
            spec.timespan_s
        );
    }
    let (set, problems) = load(&[("rules".to_owned(), text)], &LoadOptions::default());
    assert_eq!(problems, []);
    Arc::new(set)
}

/// The events in the order in which they arrive, each with its id.
fn arriving(events: &[Seen]) -> Vec<(EventId, Seen)> {
    let mut arriving = events.to_vec();
    arriving.sort_by_key(|e| e.time + e.delay);
    let id = |at: usize| EventId { frame: Position { partition: 0, offset: at as u64 + 1 }, nth: 0 };
    arriving.into_iter().enumerate().map(|(at, e)| (id(at), e)).collect()
}

/// What an alert says: rule, group, start of its first window, last event, how often, which events.
type Said = BTreeMap<(String, Vec<String>), (i64, i64, u64, BTreeSet<EventId>)>;

/// In batches of `per`; where `interrupted`, each batch by a correlator that was restored from the one before.
fn by_the_correlator(set: &Arc<RuleSet>, events: &[Seen], per: usize, interrupted: bool) -> Said {
    let options = CorrelateOptions { lateness_ns: LATENESS_S * 1_000_000_000, ..CorrelateOptions::default() };
    let mut correlator = Correlator::new(set.clone(), options.clone());
    let mut detector = Detector::new(set.clone());
    let mut out = Vec::new();
    for chunk in arriving(events).chunks(per) {
        let mut builder = BatchBuilder::default();
        let mut received = Time::UNKNOWN;
        for (id, seen) in chunk {
            received = Time::from_unix_s(seen.time + seen.delay);
            let head = FrameHead { position: id.frame, received, ..FrameHead::new(Transport::Internal, Content::Text) };
            let mut row = builder.row(&head, 0, "");
            row.time(Time::from_unix_s(seen.time));
            for kind in &seen.kinds {
                row.text(FieldId::known("k"), &kind.to_string());
            }
            row.int(FieldId::known("ip"), seen.ip.into());
            if let Some(d) = seen.d {
                row.text(FieldId::known("d"), &d.to_string());
            }
            match seen.n {
                Some(n) if n % 4 == 0 => row.int(FieldId::known("n"), n / 4),
                Some(n) => row.text(FieldId::known("n"), &(n as f64 / 4.0).to_string()),
                None => {}
            }
        }
        let (first, last) = (chunk[0].0.frame.offset, chunk[chunk.len() - 1].0.frame.offset);
        let batch = builder.finish(LogRange { partition: 0, first, last }, received);
        let mut matches = Vec::new();
        detector.scan(&batch, &mut matches);
        correlator.advance(&batch, &matches, &mut out);
        if interrupted {
            let snapshot = correlator.snapshot();
            correlator = Correlator::new(set.clone(), options.clone());
            correlator.restore(&snapshot).expect("a snapshot of the same rules");
        }
    }
    correlator.flush(&mut out);
    assert_eq!(correlator.counters().late > 0, events.iter().any(|e| e.delay > LATENESS_S), "late events are counted");
    let mut said = Said::new();
    for alert in out.iter().map(AlertChange::alert).filter(|a| a.rule.kind == "correlation") {
        let spec = SPECS.iter().find(|s| s.title == alert.rule.title).expect("only these alert");
        let group = spec.by.iter().map(|name| alert.group[*name].to_owned()).collect();
        let evidence = alert.evidence.iter().copied().collect();
        let times = (alert.first.unix_s(), alert.last.unix_s());
        said.insert((alert.rule.title.clone(), group), (times.0, times.1, alert.count, evidence));
    }
    said
}

/// A firing: when, by which event, of which group, of a window that began when, with which events, the last of them when.
#[derive(Clone, Debug)]
struct Firing {
    time: i64,
    event: EventId,
    group: Vec<String>,
    start: i64,
    last: i64,
    events: BTreeSet<EventId>,
}

fn by_the_reference(events: &[Seen]) -> Said {
    let standing = |e: &Seen| e.time.max(e.time + e.delay - LATENESS_S);
    let mut events: Vec<(i64, EventId, Seen)> = arriving(events).into_iter().map(|(id, e)| (standing(&e), id, e)).collect();
    events.sort_by_key(|(time, id, _)| (*time, *id));
    let inner: BTreeMap<&str, Vec<Firing>> =
        INNER.iter().map(|spec| (spec.title, firings(spec, &events, &BTreeMap::new()))).collect();
    let mut said = Said::new();
    for spec in SPECS {
        for firing in firings(spec, &events, &inner) {
            let alert = said.entry((spec.title.to_owned(), firing.group)).or_insert((firing.start, 0, 0, BTreeSet::new()));
            alert.0 = alert.0.min(firing.start);
            alert.1 = alert.1.max(firing.last);
            alert.2 += 1;
            alert.3.extend(firing.events);
        }
    }
    said
}

/// What enters a window, by time; what ends at an instant stands after what happens then.
type ByTime = BTreeMap<(i64, bool, EventId), Entered>;

fn firings(spec: &Spec, events: &[(i64, EventId, Seen)], inner: &BTreeMap<&str, Vec<Firing>>) -> Vec<Firing> {
    let mut entering: BTreeMap<Vec<String>, ByTime> = BTreeMap::new();
    for (time, event, seen) in events {
        let places: BTreeSet<usize> =
            (0..spec.rules.len()).filter(|p| seen.kinds.iter().any(|k| spec.rules[*p] == k.to_string())).collect();
        let n = seen.n.map(|n| n as f64 / 4.0);
        let has_fields = (!spec.yaml.contains("field: n") || n.is_some())
            && (!spec.yaml.contains("field: d") || seen.d.is_some())
            && (!spec.yaml.contains("[d, n]") || n.is_some() && seen.d.is_some());
        let group: Option<Vec<String>> = spec
            .by
            .iter()
            .map(|name| if *name == "ip" { Some(seen.ip.to_string()) } else { seen.d.map(|d| d.to_string()) })
            .collect();
        if let (Some(group), true, false) = (group, has_fields, places.is_empty()) {
            let entered = Entered { time: *time, event: *event, places, d: seen.d, n };
            entering.entry(group).or_default().insert((*time, false, *event), entered);
        }
    }
    for (place, rule) in spec.rules.iter().enumerate() {
        for firing in inner.get(rule).into_iter().flatten() {
            let (time, _, seen) = events.iter().find(|e| e.1 == firing.event).expect("an event");
            let key = (firing.time, firing.time != *time, firing.event);
            // The outer one's own `group-by`, whatever the inner one groups by.
            let of_group = entering.entry(vec![seen.ip.to_string()]).or_default();
            let fresh = Entered { time: firing.time, event: firing.event, places: BTreeSet::new(), d: None, n: None };
            of_group.entry(key).or_insert(fresh).places.insert(place);
        }
    }
    entering
        .into_iter()
        .flat_map(|(group, of_group)| of_group_firings(spec, &group, &of_group.into_values().collect::<Vec<_>>()))
        .collect()
}

fn of_group_firings(spec: &Spec, group: &[String], entries: &[Entered]) -> Vec<Firing> {
    let mut found = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let Entered { time, event, .. } = *entry;
        let window: Vec<Entered> = entries[..=at].iter().filter(|e| e.time >= time - spec.timespan_s).cloned().collect();
        match &spec.judge {
            Judge::Window(holds) if holds(&window) => {
                let events = window.iter().map(|e| e.event).collect();
                found.push(Firing { time, event, group: group.to_vec(), start: window[0].time, last: time, events });
            }
            Judge::Window(_) => {}
            Judge::Absence { wanted, in_order, holds } => {
                if !entry.places.iter().any(|p| wanted.contains(p)) {
                    continue;
                }
                let stands = |start: i64, until: usize, end: i64| {
                    let between = |from: i64| -> Vec<Entered> {
                        entries[..until].iter().filter(|e| (from..=end).contains(&e.time)).cloned().collect()
                    };
                    let before = if *in_order { start } else { start - spec.timespan_s };
                    (!in_order || latest_start(&between(time - spec.timespan_s), wanted) == Some(start) || until > at + 1)
                        && holds(&fired(&between(start)), &fired(&between(before)))
                };
                let starts: BTreeSet<i64> = window.iter().map(|e| e.time).collect();
                let Some(start) = starts.into_iter().rev().find(|start| stands(*start, at + 1, time)) else { continue };
                let end = start + spec.timespan_s;
                if stands(start, entries.len(), end) {
                    let wanted_until_end =
                        entries.iter().filter(|e| e.time <= end && e.places.iter().any(|p| wanted.contains(p)));
                    let last = wanted_until_end.map(|e| e.time).max().expect("this one at least");
                    let events = BTreeSet::from([event]);
                    found.push(Firing { time: end, event, group: group.to_vec(), start, last, events });
                }
            }
        }
    }
    found.sort_by_key(|f| (f.time, f.event));
    found
}

/// The latest instant from which the places occur in their order.
fn latest_start(window: &[Entered], order: &[usize]) -> Option<i64> {
    (0..window.len())
        .rev()
        .find(|at| window[*at].places.contains(&order[0]) && occurs(&window[*at..], order))
        .map(|at| window[at].time)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_correlator_equals_the_reference(events in prop::collection::vec(seen(), 1..60), per in 1usize..20, interrupted: bool) {
        let set = rules();
        prop_assert_eq!(by_the_correlator(&set, &events, per, interrupted), by_the_reference(&events));
    }
}

#[test]
fn every_correlation_of_the_reference_fires_somewhere() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut fired: BTreeSet<String> = BTreeSet::new();
    for _ in 0..20 {
        let events = prop::collection::vec(seen(), 60..61).new_tree(&mut runner).expect("events").current();
        fired.extend(by_the_reference(&events).into_keys().map(|(title, _)| title));
    }
    assert_eq!(fired, SPECS.iter().map(|s| s.title.to_owned()).collect());
}
