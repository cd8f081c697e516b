//! How many matches a second one thread correlates, with a million groups; and what five million groups take.
//!
//! `cargo bench -p rules --bench correlate [-- WORD]`: only what is named like WORD. The batches are made beforehand, so what is timed is
//! [`Correlator::advance`] alone: keys and values read from the events, queue, windows, alerts. The figures are of the thread's own time on
//! the processor, so that other work on the machine does not count; it still takes its share of the caches.

#![expect(clippy::print_stdout, reason = "the figures")]

mod clock;

use std::sync::Arc;
use std::time::Duration;

use clock::processor_time;
use event::{Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, Time, Transport};
use rules::alert::AlertChange;
use rules::{CorrelateOptions, Correlator, DEGRADED_RULE, Detector, LoadOptions, Match, load};

/// The program's own, so that memory costs what it costs there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Events of a batch.
const PER_BATCH: u64 = 8192;
/// Events of a second of event time: 30 s of lateness hold fewer than the queue's bound.
const PER_SECOND: u64 = 30_000;

fn main() {
    let word = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let million = 1_000_000;
    let cases: &[(&str, &str, u64, u64)] = &[
        (
            "event_count, 1 M groups",
            "type: event_count, group-by: [source.ip], timespan: 1h, condition: {gte: 1000}",
            million,
            4 * million,
        ),
        ("event_count, 1 group", "type: event_count, group-by: [], timespan: 3s, condition: {gte: 1000000}", 1, 4 * million),
        (
            "event_count, 1 group, always true",
            "type: event_count, group-by: [], timespan: 3s, condition: {gte: 1}",
            1,
            4 * million,
        ),
        (
            "value_count, 1 M groups",
            "type: value_count, group-by: [source.ip], timespan: 1h, condition: {field: destination.port, gte: 1000}",
            million,
            4 * million,
        ),
        (
            "value_sum, 1 M groups",
            "type: value_sum, group-by: [source.ip], timespan: 1h, condition: {field: network.bytes, gt: 1000000000}",
            million,
            4 * million,
        ),
        (
            "value_percentile, 1,000 groups",
            "type: value_percentile, group-by: [source.ip], timespan: 1h, condition: {field: network.bytes, percentile: 99, gt: 1000000000}",
            1000,
            2 * million,
        ),
        (
            "temporal, 1 M groups, none complete",
            "type: temporal, rules: [a, b, never], group-by: [source.ip], timespan: 1h",
            million,
            4 * million,
        ),
        (
            "temporal_ordered, 1 M groups, none complete",
            "type: temporal_ordered, rules: [b, a, never], group-by: [source.ip], timespan: 1h",
            million,
            4 * million,
        ),
        // From the second event of a group on each one makes an alert, and there are too many for any to be open still.
        ("temporal, 1 M groups", "type: temporal, rules: [a, b], group-by: [source.ip], timespan: 1h", million, 4 * million),
        (
            "temporal_ordered, 1 M groups",
            "type: temporal_ordered, rules: [a, b], group-by: [source.ip], timespan: 1h",
            million,
            4 * million,
        ),
        (
            "absence, 100,000 groups",
            "type: temporal, rules: [a, b], group-by: [source.ip], timespan: 10s, condition: a and not b",
            100_000,
            2 * million,
        ),
    ];
    for (name, correlation, groups, events) in cases {
        if name.contains(&word) {
            let (took, correlator, _) = run(correlation, *groups, *events);
            let (kept, bytes) = correlator.size();
            let rate = *events as f64 / took.as_secs_f64();
            println!("{name:44} {rate:>12.0} matches/s   {kept:>9} groups {:>5} MB", bytes >> 20);
        }
    }
    if "five million".contains(&word) {
        five_million();
    }
}

/// Five million groups from forged addresses: memory stays at the bound, and the rule says that it is degraded.
fn five_million() {
    let correlation = "type: event_count, group-by: [source.ip], timespan: 1h, condition: {gte: 1000}";
    let mut resident = Vec::new();
    for groups in [2_000_000, 5_000_000] {
        let (took, correlator, degraded) = run(correlation, groups, groups);
        resident.push(resident_bytes());
        let (kept, bytes) = correlator.size();
        println!(
            "{groups} different groups                {:>12.0} matches/s   {kept:>9} groups {:>5} MB, {} MB resident, {} evicted, {degraded} alert",
            groups as f64 / took.as_secs_f64(),
            bytes >> 20,
            resident_bytes() >> 20,
            correlator.counters().groups_evicted
        );
    }
    println!("resident memory grew {:.2} times from 2 M to 5 M groups", resident[1] as f64 / resident[0] as f64);
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Correlates `events` events of `groups` addresses, in an order without pattern. Gives the time it took, the correlator, and how many
/// alerts say that the rule is degraded.
fn run(correlation: &str, groups: u64, events: u64) -> (Duration, Correlator, usize) {
    let rules = if correlation.contains("rules:") { "" } else { "rules: [a, b], " };
    let text = format!(
        "title: A\nname: a\nlogsource: {{category: any}}\ndetection: {{s: {{k: a}}, condition: s}}\n---\n\
         title: B\nname: b\nlogsource: {{category: any}}\ndetection: {{s: {{k: b}}, condition: s}}\n---\n\
         title: N\nname: never\nlogsource: {{category: any}}\ndetection: {{s: {{k: never}}, condition: s}}\n---\n\
         title: C\ncorrelation: {{{rules}{correlation}}}\n"
    );
    let (set, problems) = load(&[("bench".to_owned(), text)], &LoadOptions::default());
    assert_eq!(problems, []);
    let set = Arc::new(set);
    let mut detector = Detector::new(set.clone());
    let mut correlator = Correlator::new(set, CorrelateOptions::default());
    let (mut took, mut out, mut degraded) = (Duration::ZERO, Vec::new(), 0);
    let mut matches: Vec<Match> = Vec::new();
    let mut at = 0;
    while at < events {
        let batch = batch(at, (at + PER_BATCH).min(events), groups);
        matches.clear();
        detector.scan(&batch, &mut matches);
        assert_eq!(matches.len(), batch.len());
        let before = processor_time();
        correlator.advance(&batch, &matches, &mut out);
        took += processor_time() - before;
        let new = out.iter().filter(|change| matches!(change, AlertChange::New(_)));
        degraded += new.filter(|change| change.alert().rule.id == DEGRADED_RULE).count();
        out.clear();
        at += PER_BATCH;
    }
    let before = processor_time();
    correlator.flush(&mut out);
    (took + (processor_time() - before), correlator, degraded)
}

fn batch(from: u64, to: u64, groups: u64) -> Batch {
    let mut builder = BatchBuilder::default();
    let mut received = Time::UNKNOWN;
    for at in from..to {
        // A step that is prime to any power of ten visits every group once a round.
        let group = at.wrapping_mul(7_368_787) % groups;
        received = Time::from_unix_ns((1_000_000 + at as i64) * (1_000_000_000 / PER_SECOND as i64));
        let head = FrameHead {
            position: Position { partition: 0, offset: at + 1 },
            received,
            ..FrameHead::new(Transport::Internal, Content::Text)
        };
        let mut row = builder.row(&head, 0, "");
        row.time(received);
        row.text(FieldId::known("k"), if (at / groups).is_multiple_of(2) && groups > 1 { "b" } else { "a" });
        row.ip(FieldId::SOURCE_IP, std::net::Ipv4Addr::from_bits(group as u32 + (10 << 24)).into());
        row.ip(FieldId::DESTINATION_IP, [192, 0, 2, 1].into());
        row.int(FieldId::DESTINATION_PORT, (at % 60_000) as i64);
        row.int(FieldId::NETWORK_BYTES, (at % 9973) as i64);
        row.text(FieldId::EVENT_ACTION, "deny");
    }
    builder.finish(LogRange { partition: 0, first: from + 1, last: to }, received)
}
