//! What is seen before and behind a translation of its addresses, by two devices, counts once: for volumes, for behaviours, in the matrix,
//! and by who really asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rules::policy::Verdict;
use rules::{LoadOptions, RuleSet, load};

use super::arrival_does_not_matter;
use super::records::{LATENESS_S, POLICY, Record, flow, groups, run, run_by};

/// In no zone that may ask for anything.
const HIDDEN: &str = "10.2.0.1";
const TERMINAL: &str = "10.3.16.9";
const OUTSIDE: (&str, u16) = ("198.51.100.7", 443);

fn behaviours() -> Arc<RuleSet> {
    let rules = "
title: Beacon
behaviour: {type: beacon, score: 0.3, timing_score: 0.1, connections: 10, span: 10s}
---
title: Long
behaviour: {type: long_connection, bands: [50s]}
---
title: Exfiltration
behaviour: {type: exfiltration, bytes: 1000000}
---
title: Many
behaviour: {type: scan, hosts: 3}
";
    let (set, problems) = load(&[("rules".to_owned(), rules.to_owned())], &LoadOptions::default());
    assert_eq!(problems, []);
    Arc::new(set)
}

/// A connection of a minute: as the firewall tells of it when it begins and when it has ended, and as an exporter outside does.
struct Session {
    begins: Record,
    ended: Record,
    outside: Record,
}

fn session(ms: i64, port: u16, to: (&'static str, u16)) -> Session {
    const LENGTH_MS: i64 = 60_000;
    let told = |ms: i64, from| Record { bytes: 100_000, ..flow(ms, from, to) };
    let by_firewall = |ms| Record { seen_as: (HIDDEN, 61_000 + port), ..told(ms, (TERMINAL, 50_000 + port)) };
    Session {
        begins: Record { bytes: 0, begins: true, ..by_firewall(ms) },
        // The session's end is noticed after a while.
        ended: Record { start_ms: ms, ends: true, ..by_firewall(ms + LENGTH_MS + 30_000) },
        outside: Record {
            start_ms: ms,
            ends: true,
            sensor: 2,
            flags: Some(0x1b),
            ..told(ms + LENGTH_MS, (HIDDEN, 61_000 + port))
        },
    }
}

/// Twenty connections, one each five minutes, of which these records are told; and one before them, so that the address is known.
fn sessions(to: (&'static str, u16), told: impl Fn(Session) -> Vec<Record>) -> Vec<Record> {
    let known = Record { start_ms: -510_000, ..session(-600_000, 99, ("198.51.100.99", 80)).ended };
    let each = (0..20u16).flat_map(|n| told(session(i64::from(n) * 300_000, n, to)));
    let mut all: Vec<Record> = [known].into_iter().chain(each).collect();
    all.sort_by_key(|record| record.ms);
    all
}

type Telling = fn(Session) -> Vec<Record>;

const TELLINGS: [(&str, Telling); 4] = [
    ("the firewall alone", |s| vec![s.ended]),
    ("the exporter first", |s| vec![s.outside, s.ended]),
    ("the firewall from the begin on", |s| vec![s.begins, s.outside, s.ended]),
    ("the firewall first", |s| vec![Record { ms: s.outside.ms, ..s.ended }, s.outside]),
];

#[test]
fn what_two_devices_tell_about_a_translation_is_one_terminals() {
    let told = |telling: Telling| {
        let ran = run_by(&behaviours(), POLICY, sessions(OUTSIDE, telling).into_iter(), 1, true);
        let mut told: Vec<_> =
            ran.new.iter().map(|alert| (alert.rule.title.clone(), alert.group["source.ip"].to_string())).collect();
        told.sort();
        let sent: Vec<_> =
            ran.new.iter().filter_map(|alert| alert.explanation.get("bytes_sent_this_hour").map(ToString::to_string)).collect();
        (told, sent)
    };
    let expected = told(TELLINGS[0].1);
    let by_rule: Vec<&str> = expected.0.iter().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(by_rule, ["Beacon", "Exfiltration", "Long"]);
    assert!(expected.0.iter().all(|(_, source)| source == TERMINAL), "{expected:?}");
    for (name, telling) in TELLINGS {
        assert_eq!(told(telling), expected, "{name}");
    }
    // What the firewall does not tell of is nobody else's.
    let (alone, _) = told(|s| vec![s.outside]);
    assert_eq!(alone.len(), 3);
    assert!(alone.iter().all(|(_, source)| source == HIDDEN), "{alone:?}");
}

#[test]
fn what_two_devices_tell_about_a_translation_has_one_verdict() {
    let cell = |from: &str, verdict| ((from.to_owned(), "seccloud".to_owned(), verdict), 20);
    for (name, telling) in TELLINGS {
        let records = sessions(("172.20.1.10", 8080), telling);
        let ran = run(POLICY, records.into_iter().skip(1), &["zone-violation"], 1, true);
        assert_eq!(groups(&ran), [[""; 2]; 0], "{name}");
        assert_eq!(ran.cells, BTreeMap::from([cell("internet", Verdict::Kept)]), "{name}");
    }
    let ran = run(POLICY, sessions(("172.20.1.10", 8080), |s| vec![s.outside]).into_iter().skip(1), &["zone-violation"], 1, true);
    assert_eq!(
        ran.cells,
        BTreeMap::from([cell("lgwan", Verdict::Violation)]),
        "what nobody else tells of is judged as it is told"
    );
}

/// A published server is called by one address and seen by another one.
#[test]
fn what_two_devices_tell_of_a_published_server_is_one() {
    let policy = POLICY.replace("exceptions:", "  - {from: outside, to: seccloud, service: [tcp/8443]}\nexceptions:");
    let told = |to, ms, sensor| Record { sensor, start_ms: 0, ..flow(ms, ("198.51.100.7", 40_000), to) };
    let firewall = Record { really: ("172.20.1.10", 8443), ..told(("203.0.113.80", 443), 1000, 1) };
    let inside = told(("172.20.1.10", 8443), 1001, 2);
    for records in [[firewall.clone(), inside.clone()], [Record { ms: 900, ..inside }, firewall]] {
        let ran = run(&policy, records.into_iter(), &["zone-violation"], 1, true);
        let cell = ("outside".to_owned(), "seccloud".to_owned(), Verdict::Kept);
        assert_eq!((groups(&ran), &ran.cells), (vec![], &BTreeMap::from([(cell, 1)])));
    }
}

/// A port that is given to another one is that one's from then on; where it is too soon to say, nobody's.
#[test]
fn a_port_that_is_given_again_is_never_the_wrong_terminals() {
    let other = "10.3.16.10";
    for (gap_ms, expected) in [(60_000, vec![other]), (5_000, vec![other]), (500, vec![HIDDEN])] {
        let first = session(0, 0, OUTSIDE);
        let later = 60_000 + gap_ms;
        let second = Record { from: (other, 50_000), ..session(later, 0, OUTSIDE).begins };
        // Only what the other one sends is large.
        let sent = Record { ms: later + 1000, start_ms: later, bytes: 3_000_000, ..first.outside.clone() };
        let end = Record { from: (other, 1), to: (other, 1), ..flow(7_200_000, (other, 1), OUTSIDE) };
        let records = [first.begins, first.outside, second, sent, end];
        let ran = run_by(&behaviours(), POLICY, records.into_iter(), 1, false);
        let of: Vec<&str> =
            ran.new.iter().filter(|alert| alert.rule.title == "Exfiltration").map(|alert| &alert.group["source.ip"]).collect();
        assert_eq!(of, expected, "after {gap_ms} ms");
    }
}

/// Whatever the order of arrival within lateness, the batches and the interruptions.
#[test]
fn what_is_told_about_translations_does_not_hang_on_arrival() {
    let one = (1i64..20_000, 0i64..LATENESS_S * 1000, 0usize..4, 0u16..3, 0i64..60_000, any::<bool>());
    let cases = (prop::collection::vec(one, 20..120), prop::collection::vec(1usize..40, 1..3));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(48));
    let law = runner.run(&cases, |(all, per)| {
        let mut ms = 0;
        let in_order: Vec<Record> = all
            .into_iter()
            .map(|(gap, delay_ms, kind, port, length, is_other)| {
                ms += gap;
                let Session { begins, ended, outside } = session(ms, port, ("172.20.1.10", 8080));
                let answer = Record { from: outside.to, to: outside.from, ..outside.clone() };
                let record = [begins, ended, outside, answer][kind].clone();
                let from = if is_other && record.from.0 == TERMINAL { ("10.3.16.10", record.from.1) } else { record.from };
                Record { ms, start_ms: ms - length, delay_ms, from, ..record }
            })
            .collect();
        arrival_does_not_matter(in_order, &per, &["zone-violation", "long-connection"], |ran| {
            let ids: BTreeMap<_, _> = ran.new.iter().map(|alert| (alert.id.clone(), alert.group.clone())).collect();
            (ran.cells.clone(), ids)
        })
    });
    if let Err(why) = law {
        panic!("{why}");
    }
}
