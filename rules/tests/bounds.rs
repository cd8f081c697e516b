//! What correlation keeps is bounded: what gives way is the rule's own, is counted, and is told in an alert; and none of that depends on
//! batches or interruptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use rules::alert::{Alert, AlertChange};
use rules::{Bounds, CorrelateOptions, Correlator, Counters, DEGRADED_RULE, Detector, LoadOptions, RuleSet, load};

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
title: Flooded
correlation: {type: event_count, rules: [a], group-by: [ip], timespan: 10m, condition: {gte: 3}}
---
title: Flooded values
correlation: {type: value_count, rules: [a], group-by: [to], timespan: 10m, condition: {field: ip, gte: 100000}}
---
title: Quiet
correlation: {type: event_count, rules: [b], group-by: [ip], timespan: 10m, condition: {gte: 3}}
---
title: Absent
correlation: {type: temporal, rules: [a, b], group-by: [ip], timespan: 10s, condition: a and not b}
";

/// Second, kind, address, tenant.
type Seen = (i64, &'static str, u32, u32);

fn rules() -> Arc<RuleSet> {
    let (set, problems) = load(&[("rules".to_owned(), RULES.to_owned())], &LoadOptions::default());
    assert_eq!(problems, []);
    Arc::new(set)
}

struct Ran {
    changes: Vec<AlertChange>,
    by_rule: BTreeMap<String, Counters>,
    largest: (usize, usize),
}

impl Ran {
    /// Each alert as it stands in the end.
    fn alerts(&self) -> BTreeMap<&str, &Alert> {
        self.changes.iter().map(|change| (change.alert().id.as_str(), change.alert())).collect()
    }

    fn titled(&self, title: &str) -> Vec<&Alert> {
        self.alerts().into_values().filter(|alert| alert.rule.title == title).collect()
    }

    fn degraded(&self) -> Vec<(String, u64)> {
        let mut found: Vec<(String, u64)> = self
            .alerts()
            .into_values()
            .filter(|a| a.rule.id == DEGRADED_RULE)
            .map(|a| (a.group["rule.name"].to_owned(), a.count))
            .collect();
        found.sort();
        found
    }
}

fn run(bounds: Bounds, events: &[Seen], per: usize, interrupted: bool) -> Ran {
    let options = CorrelateOptions { lateness_ns: 5_000_000_000, bounds, ..CorrelateOptions::default() };
    let set = rules();
    let mut correlator = Correlator::new(set.clone(), options.clone());
    let mut detector = Detector::new(set.clone());
    let (mut changes, mut offset, mut largest) = (Vec::new(), 0, (0, 0));
    for chunk in events.chunks(per) {
        let mut builder = BatchBuilder::default();
        let first = offset + 1;
        let mut received = Time::UNKNOWN;
        for (second, kind, ip, tenant) in chunk {
            offset += 1;
            received = Time::from_unix_s(100_000 + second);
            let head = FrameHead {
                position: Position { partition: 0, offset },
                tenant: TenantId(*tenant),
                received,
                ..FrameHead::new(Transport::Internal, Content::Text)
            };
            let mut row = builder.row(&head, 0, "");
            row.text(FieldId::known("k"), kind);
            row.int(FieldId::known("ip"), (*ip).into());
            row.text(FieldId::known("to"), "one");
        }
        let batch = builder.finish(LogRange { partition: 0, first, last: offset }, received);
        let mut matches = Vec::new();
        detector.scan(&batch, &mut matches);
        correlator.advance(&batch, &matches, &mut changes);
        let (groups, bytes) = correlator.size();
        largest = (largest.0.max(groups), largest.1.max(bytes));
        if interrupted {
            let snapshot = correlator.snapshot();
            correlator = Correlator::new(set.clone(), options.clone());
            correlator.restore(&snapshot).expect("a snapshot of the same rules");
        }
    }
    correlator.flush(&mut changes);
    let by_rule = correlator.counters_by_rule().map(|(info, counters)| (info.title.clone(), counters)).collect();
    Ran { changes, by_rule, largest }
}

/// A flood of `a` from ever new addresses, with three quiet `b` from one between.
fn flood(events: u32, per_second: u32) -> Vec<Seen> {
    let mut flood: Vec<Seen> = (0..events).map(|n| (i64::from(n / per_second), "a", n, 0)).collect();
    for part in 1..=3 {
        let at = flood.len() / 4 * part;
        flood.insert(at, (flood[at].0, "b", 7, 0));
    }
    flood
}

#[test]
fn the_group_that_was_idle_longest_gives_way_and_the_rule_says_so() {
    let bounds = Bounds { groups_per_rule: 100, ..Bounds::default() };
    let mut events = flood(1000, 50);
    // Address 999 is still there, address 0 is not.
    events.extend([(20, "a", 999, 0), (20, "a", 999, 0), (20, "a", 0, 0), (20, "a", 0, 0)]);
    let ran = run(bounds, &events, 64, false);
    let flooded: Vec<&str> = ran.titled("Flooded").iter().map(|a| &a.group["ip"]).collect();
    assert_eq!(flooded, ["999"]);
    assert_eq!(ran.by_rule["Flooded"].groups_evicted, 901);
    assert_eq!(ran.titled("Quiet").len(), 1, "the other rule is untouched");
    assert!(!ran.by_rule.contains_key("Quiet"), "{:?}", ran.by_rule);
    assert!(ran.degraded().contains(&("Flooded".to_owned(), 901)), "{:?}", ran.degraded());
}

#[test]
fn memory_stays_at_the_bound() {
    let few = run(Bounds { groups_per_rule: 500, ..Bounds::default() }, &flood(2_000, 50), 64, false);
    let many = run(Bounds { groups_per_rule: 500, ..Bounds::default() }, &flood(20_000, 500), 64, false);
    assert!(few.largest.0 <= 3 * 500 + 2 && many.largest.0 <= 3 * 500 + 2, "{:?}", many.largest);
    let bytes = Bounds { bytes_per_rule: 200_000, ..Bounds::default() };
    let ran = run(bytes, &flood(20_000, 500), 64, false);
    assert!(ran.by_rule["Flooded"].groups_evicted > 0);
    assert!(ran.by_rule["Flooded values"].entries_evicted > 0, "one group has them all: it gives of its own");
    assert!(ran.largest.1 <= 4 * 200_000, "each of four rules keeps to its bound: {:?}", ran.largest);
}

#[test]
fn of_a_tenant_who_has_most_gives_way_and_other_tenants_do_not() {
    let mut events = flood(20_000, 500);
    for at in [10_000, 5_000, 100] {
        events.insert(at, (events[at].0, "a", 1, 1));
    }
    let ran = run(Bounds { bytes_per_tenant: 1_500_000, ..Bounds::default() }, &events, 64, false);
    assert!(ran.by_rule.values().any(|counters| counters.groups_evicted > 0), "{:?}", ran.by_rule);
    assert!(ran.alerts().values().filter(|a| a.rule.id == DEGRADED_RULE).all(|a| a.tenant == 0));
    assert_eq!(ran.titled("Flooded").iter().filter(|a| a.tenant == 1).count(), 1);
    assert_eq!(ran.titled("Quiet").len(), 1);
}

#[test]
fn who_finds_the_queue_full_is_taken_at_once() {
    let bounds = Bounds { waiting_per_rule: 10, ..Bounds::default() };
    let ran = run(bounds, &flood(1000, 50), 64, false);
    assert!(ran.by_rule["Flooded"].taken_early > 0 && ran.by_rule["Absent"].undecided > 0, "{:?}", ran.by_rule);
    assert_eq!(ran.titled("Quiet").len(), 1);
    assert!(!ran.by_rule.contains_key("Quiet"));
}

#[test]
fn what_gives_way_depends_on_the_log_alone() {
    let mut events = flood(3000, 40);
    events.extend((0..1000).map(|n| (75 + n / 50, if n % 5 == 0 { "b" } else { "a" }, (n % 170) as u32, (n % 2) as u32)));
    let tight = [
        Bounds { groups_per_rule: 50, ..Bounds::default() },
        Bounds { bytes_per_rule: 20_000, ..Bounds::default() },
        Bounds { bytes_per_tenant: 50_000, ..Bounds::default() },
        Bounds { bytes_total: 40_000, ..Bounds::default() },
        Bounds { waiting_per_rule: 30, ..Bounds::default() },
        Bounds { waiting_bytes_per_rule: 300, ..Bounds::default() },
        Bounds { groups_per_rule: 70, bytes_total: 50_000, waiting_per_rule: 90, ..Bounds::default() },
    ];
    for bounds in tight {
        let one = run(bounds, &events, 1, false);
        assert!(!one.degraded().is_empty(), "{bounds:?} is tight");
        for (per, interrupted) in [(7, false), (500, false), (13, true)] {
            let other = run(bounds, &events, per, interrupted);
            assert_eq!(one.by_rule, other.by_rule, "{bounds:?}, {per} a batch");
            assert_eq!(one.alerts(), other.alerts(), "{bounds:?}, {per} a batch");
        }
    }
}

#[test]
fn a_damaged_snapshot_is_refused_and_changes_nothing() {
    let set = rules();
    let mut correlator = Correlator::new(set.clone(), CorrelateOptions::default());
    let fresh = correlator.snapshot();
    for cut in 0..fresh.len() {
        assert!(correlator.restore(&fresh[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..fresh.len() {
        let mut damaged = fresh.clone();
        damaged[at] ^= 0x55;
        let _either = correlator.restore(&damaged);
    }
    assert_eq!(correlator.restore(&fresh), Ok(()));
    assert_eq!(correlator.snapshot(), fresh);
}
