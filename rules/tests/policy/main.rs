//! The zone policy's promises, each test named after its row: what crosses a zone's border is told once and rightly, a way through the
//! sanitiser has two legs, and a changed cell is noticed.

mod brute;
mod in_force;
mod p03;
mod records;
mod translated;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSource, LogSourceId, Position, Time, Transport};
use proptest::prelude::*;
use rules::policy::{Communication, Decision, Policy, Verdict};
use rules::{LoadOptions, load};

use records::{FIREWALL, LATENESS_S, POLICY, Ran, Record, START_S, fill, flow, groups, run, run_by};

const TALKERS: [(&str, &str, u16); 4] = [
    ("10.2.16.9", "10.9.1.20", 443),
    ("10.3.16.9", "172.20.1.10", 8080),
    ("10.1.16.1", "10.1.16.2", 445),
    ("172.20.1.10", "198.51.100.7", 443),
];

/// One flow of the My-Number zone to another among a million that are allowed.
#[test]
fn p01_one_mynumber_flow_in_a_million_is_one_critical_alert() {
    let million = |odd: Record| {
        (0..1_000_000i64).map(move |n| {
            let (from, to, port) = TALKERS[n as usize % 4];
            // A port comes again after three minutes: another conversation.
            if n == 618_033 {
                Record { ms: n * 3, ..odd.clone() }
            } else {
                flow(n * 3, (from, 1024 + (n % 60_000) as u16), (to, port))
            }
        })
    };
    let odd = flow(0, ("10.1.16.9", 50_000), ("198.51.100.7", 443));
    let ran = run(POLICY, million(odd), &["zone-violation"], 8192, false);
    assert_eq!(groups(&ran), [["10.1.16.9", "198.51.100.7"]]);
    assert_eq!((ran.new[0].rule.level.as_str(), ran.new[0].clause.as_deref()), ("critical", Some("6(3)①")));
    assert_eq!(ran.cells[&("mynumber".to_owned(), "outside".to_owned(), Verdict::Violation)], 1);
    assert_eq!(ran.cells.values().sum::<i64>(), 750_000, "a quarter stays within its zone");
}

#[test]
fn p01_an_exception_allows_until_its_last_day_is_over() {
    // The exception's last day ends at midnight in Japan, fifteen hours from the start.
    let day = 15 * 3600 * 1000;
    for (ms, verdict) in [(0, Verdict::Exception), (day - 1, Verdict::Exception), (day, Verdict::Violation)] {
        let ran = run(POLICY, [flow(ms, ("10.1.5.10", 50_000), ("10.2.8.4", 1433))].into_iter(), &["zone-violation"], 1, false);
        assert_eq!(ran.new.len(), usize::from(verdict == Verdict::Violation), "{ms}");
        assert_eq!(ran.cells.into_iter().collect::<Vec<_>>(), [(("mynumber".to_owned(), "lgwan".to_owned(), verdict), 1)]);
    }
    // Neither does it allow others, nor other services.
    for (from, port) in [("10.1.5.11", 1433), ("10.1.5.10", 1434)] {
        let ran = run(POLICY, [flow(0, (from, 50_000), ("10.2.8.4", port))].into_iter(), &["zone-violation"], 1, false);
        assert_eq!(ran.new.len(), 1, "{from} {port}");
    }
}

/// Whoever sends a record states its time: one that is decades away is counted in the hour in which it came.
#[test]
fn p01_a_forged_time_makes_no_hour_of_its_own() {
    const HOUR_MS: i64 = 3_600_000;
    let forged = |n: u16| {
        let told = flow((i64::from(n) - 250) * 1000 * HOUR_MS, ("10.2.16.9", 10_000 + n), ("10.3.0.9", 443));
        Record { delay_ms: i64::from(n) - told.ms, ..told }
    };
    let ran = run(POLICY, (0..500).map(forged), &["zone-violation"], 100, false);
    assert_eq!(ran.cells.values().sum::<i64>(), 500, "{:?}", ran.cells);
    assert_eq!(ran.hours.len(), 1, "{:?}", ran.hours);
}

/// What comes hours later, as where a relay had no line, is judged and counted as of the time at which it happened: in the hour in which its
/// sensor was heard, by the exceptions of then.
#[test]
fn p04_what_comes_late_counts_in_its_hour() {
    const HOUR_MS: i64 = 3_600_000;
    // The exception's last day ends fifteen hours from the start.
    let late = |hours, delay_ms, to| Record { delay_ms, ..flow(hours * HOUR_MS - 1, ("10.1.5.10", 50_000), (to, 1433)) };
    for (record, hour, verdict) in [
        (late(15, 2 * HOUR_MS, "10.2.8.4"), 14, Verdict::Exception),
        (late(16, 2 * HOUR_MS, "10.2.8.4"), 15, Verdict::Violation),
        (late(3, 100 * HOUR_MS, "10.2.8.5"), 2, Verdict::Violation),
    ] {
        let ran = run(POLICY, [record].into_iter(), &["zone-violation"], 1, true);
        assert_eq!(ran.hours, [(START_S + hour * 3600) * 1_000_000_000].into());
        assert_eq!(ran.cells.into_iter().collect::<Vec<_>>(), [(("mynumber".to_owned(), "lgwan".to_owned(), verdict), 1)]);
        assert_eq!(ran.new.len(), usize::from(verdict == Verdict::Violation));
    }
}

/// The two ways of a conversation belong together where they come within 120 s of each other, the last instant too: the earlier began. Beyond, the
/// lower port was called.
#[test]
fn p01_two_ways_within_120_s_are_one_conversation() {
    let (ours, other) = (("10.3.16.9", 50_001), ("198.51.100.7", 50_000));
    let way = |ms, from, to| Record { flags: Some(0), transport: "udp", ..flow(ms, from, to) };
    for (apart_ms, from) in [(1000, other), (119_999, other), (120_000, other), (120_001, ours), (180_000, ours)] {
        let records = [way(0, other, ours), way(apart_ms, ours, other)];
        let ran = run(POLICY, records.into_iter(), &["zone-violation"], 1, false);
        let to = if from == ours { other } else { ours };
        assert_eq!(groups(&ran), [[from.0, to.0]], "{apart_ms}");
    }
}

/// NetFlow has the type of a message of ICMP in the destination's port: what answers was not begun by who sent it. Where it says none, the other way is
/// waited for.
#[test]
fn p01_an_answer_of_icmp_began_nothing() {
    let (ours, other) = ("10.3.16.9", "198.51.100.7");
    let message = |ms, from, to, kind: u16| Record { flags: Some(0), transport: "icmp", ..flow(ms, (from, 0), (to, kind << 8)) };
    for (records, from) in [
        (vec![message(0, ours, other, 8)], ours),
        (vec![message(0, other, ours, 8)], other),
        (vec![message(0, other, ours, 3)], ours),
        (vec![message(0, other, ours, 11)], ours),
        (vec![message(0, other, ours, 0), message(10, ours, other, 8)], ours),
        (vec![message(0, other, ours, 0)], other),
    ] {
        let ran = run(POLICY, records.into_iter(), &["zone-violation"], 1, false);
        let to = if from == ours { other } else { ours };
        assert_eq!(groups(&ran), [[from, to]]);
    }
}

/// Denied by one device and let through by another is let through; told twice is told once; denied is no violation.
#[test]
fn p01_devices_that_disagree_give_one_alert() {
    let (from, to) = (("10.1.16.9", 50_000), ("10.3.10.8", 445));
    let denied = Record { denied: true, ..flow(0, from, to) };
    let passed = Record { sensor: 2, ..flow(40, from, to) };
    for (records, alerts, verdict) in [
        (vec![denied.clone()], 0, Verdict::Attempt),
        (vec![denied.clone(), passed.clone()], 1, Verdict::Violation),
        (vec![passed.clone(), denied], 1, Verdict::Violation),
        (vec![passed.clone(), Record { sensor: 3, ..passed }], 1, Verdict::Violation),
    ] {
        let ran = run(POLICY, records.into_iter(), &["zone-violation"], 1, false);
        assert_eq!(ran.new.len(), alerts);
        assert_eq!(ran.cells.into_iter().collect::<Vec<_>>(), [(("mynumber".to_owned(), "internet".to_owned(), verdict), 1)]);
    }
}

/// Allow and deny are never counted alike: what a line or an exception allows and a device denied is counted apart, until it passes.
#[test]
fn p01_what_was_denied_is_no_allowed_traffic() {
    let (from, to) = (("10.3.16.9", 50_000), ("172.20.1.10", 8080));
    let (excepted, server) = (("10.1.5.10", 50_000), ("10.2.8.4", 1433));
    let unanswered = |from, to| Record { flags: Some(0x02), ..flow(0, from, to) };
    let denied = |from, to| Record { denied: true, ..flow(0, from, to) };
    let passed = |from, to| Record { sensor: 2, ..flow(40, from, to) };
    for (records, verdict) in [
        (vec![denied(from, to)], Verdict::Denied),
        (vec![unanswered(from, to)], Verdict::Denied),
        (vec![denied(from, to), passed(from, to)], Verdict::Kept),
        (vec![passed(from, to), denied(from, to)], Verdict::Kept),
        (vec![denied(excepted, server)], Verdict::Denied),
        (vec![denied(excepted, server), passed(excepted, server)], Verdict::Exception),
    ] {
        let ran = run(POLICY, records.clone().into_iter(), &["zone-violation"], 1, true);
        let counted: Vec<_> = ran.cells.iter().map(|((.., counted), count)| (*counted, *count)).collect();
        assert_eq!(counted, [(verdict, 1)], "{records:?}");
        assert!(ran.new.is_empty(), "{records:?}");
    }
}

/// A firewall that lets an opening pass has let it pass, whether or not somebody answers; the packets back are answers.
#[test]
fn p01_what_a_firewall_lets_pass_has_passed() {
    let (a, b) = (("10.1.16.9", 50_000), ("198.51.100.7", 443));
    let packet = |from, to, flags, denied| Record { flags: Some(flags), denied, sensor: FIREWALL, ..flow(0, from, to) };
    for (record, alerts) in [
        (packet(a, b, 0x02, false), 1),
        (packet(a, b, 0x02, true), 0),
        (packet(("172.20.1.10", 8080), ("10.3.16.9", 50_000), 0x10, false), 0),
        (packet(("172.20.1.10", 8080), ("10.3.16.9", 50_000), 0x12, false), 0),
        (packet(("172.20.1.10", 8080), ("10.3.16.9", 50_000), 0x02, false), 1),
    ] {
        let ran = run(POLICY, [record.clone()].into_iter(), &["zone-violation"], 1, false);
        assert_eq!(ran.new.len(), alerts, "{record:?}");
    }
}

/// The one conversation that a record makes by itself: its zones from who began, and its verdict; and what is written onto the record.
fn alone(record: &Record) -> ((String, String, Verdict), [String; 3]) {
    let policy = Policy::parse(POLICY).expect("valid").0;
    let mut builder = BatchBuilder::default();
    fill(&mut builder, 1, record);
    let mut batch = builder.finish(LogRange { partition: 0, first: 1, last: 1 }, Time::UNKNOWN);
    policy.annotate(&mut batch);
    let event = batch.event(0);
    let written = [FieldId::ZONE_SOURCE, FieldId::ZONE_DESTINATION, FieldId::POLICY_VERDICT]
        .map(|field| event.get(field).and_then(|v| v.as_text()).unwrap_or("").to_owned());
    let cells = run(POLICY, [record.clone()].into_iter(), &["zone-violation"], 1, false).cells;
    let inside = || (written[0].clone(), written[1].clone(), Verdict::Internal);
    (cells.into_keys().next().unwrap_or_else(inside), written)
}

/// Whoever attacks chooses the port from which: it makes no answer of what a firewall denied, let pass, or saw begin.
#[test]
fn p01_the_port_of_the_sender_excuses_nobody() {
    let web = ("198.51.100.7", 443);
    let names = ("172.20.1.10", 53);
    let desk = ("172.20.1.10", 3389);
    let record = |from, to, transport, flags, denied| Record { flags, denied, transport, sensor: FIREWALL, ..flow(0, from, to) };
    for (record, from, to, verdict) in [
        (record(web, desk, "tcp", None, true), "outside", "seccloud", Verdict::Attempt),
        (record(web, desk, "tcp", Some(0x02), true), "outside", "seccloud", Verdict::Attempt),
        (record(web, desk, "tcp", Some(0x12), true), "outside", "seccloud", Verdict::Attempt),
        (record(web, desk, "tcp", None, false), "outside", "seccloud", Verdict::Violation),
        (record(names, ("10.3.16.9", 3389), "udp", None, true), "seccloud", "internet", Verdict::Attempt),
        (record(names, ("10.3.16.9", 3389), "udp", None, false), "seccloud", "internet", Verdict::Violation),
        // An answer on the wire, and one that a packet filter let pass, which its flags say.
        (Record { sensor: 1, ..record(web, desk, "tcp", Some(0x18), false) }, "seccloud", "outside", Verdict::Kept),
        (record(web, desk, "tcp", Some(0x10), false), "seccloud", "outside", Verdict::Kept),
    ] {
        let (told, written) = alone(&record);
        assert_eq!(told, (from.to_owned(), to.to_owned(), verdict), "{record:?}");
        assert_eq!(written[2], verdict.name(), "{record:?}");
    }
}

/// A proxy that does not say with whom it spoke is judged by the host that was asked for, where that is an address, else as somebody outside.
#[test]
fn p02_a_proxy_without_the_other_end_has_a_verdict() {
    for (from, asked, denied, to, verdict) in [
        ("10.3.16.9", "www.example.jp", false, "outside", Verdict::Kept),
        ("10.3.16.9", "www.example.jp", true, "outside", Verdict::Attempt),
        ("10.1.16.9", "www.example.jp", false, "outside", Verdict::Violation),
        ("10.3.16.9", "10.1.16.2", false, "mynumber", Verdict::Violation),
        ("10.3.16.9", "[2001:db8::7]", false, "outside", Verdict::Kept),
        ("10.2.16.9", "10.3.10.8", false, "internet", Verdict::Kept),
    ] {
        let record = Record { asked, denied, ..flow(0, (from, 0), ("", 443)) };
        let ((zone, other, told), written) = alone(&record);
        assert_eq!((other.as_str(), told), (to, verdict), "{record:?}");
        assert_eq!(written, [zone.as_str(), to, verdict.name()], "{record:?}");
        let ran = run(POLICY, [record].into_iter(), &["zone-violation"], 1, false);
        assert_eq!(ran.new.len(), usize::from(verdict == Verdict::Violation));
        assert!(ran.new.iter().all(|alert| alert.group["source.ip"] == *from));
    }
}

/// Two records of one way each are one conversation, begun by whom the earlier start, the flags or the ports name.
#[test]
fn p01_both_ways_of_a_conversation_have_one_beginner() {
    const ACK: Option<i64> = Some(0x1b);
    let (a, b) = (("10.1.16.9", 4444), ("198.51.100.7", 3333));
    let way = |ms: i64, start_ms: i64, from, to, flags| Record { start_ms, flags, ..flow(ms, from, to) };
    for (name, records, beginner) in [
        ("the earlier start, though it is told later", vec![way(100, 5, a, b, ACK), way(110, 0, b, a, ACK)], b.0),
        ("the earlier start, told first", vec![way(100, 0, a, b, ACK), way(110, 5, b, a, ACK)], a.0),
        (
            "a second's rounding between two packets",
            vec![
                way(100, 0, ("198.51.100.7", 443), ("10.1.16.9", 50_000), ACK),
                way(110, 700, ("10.1.16.9", 50_000), ("198.51.100.7", 443), ACK),
            ],
            a.0,
        ),
        ("a minute and a half between", vec![way(100, 5, a, b, ACK), way(90_000, 0, b, a, ACK)], b.0),
        ("SYN alone", vec![way(100, 0, a, b, Some(2)), way(110, 0, b, a, Some(0x12)), way(200, 0, a, b, ACK)], a.0),
        ("SYN and ACK alone", vec![way(100, 0, b, a, Some(0x12)), way(110, 0, a, b, ACK)], a.0),
        ("one way only: the lower port is the service", vec![way(100, 0, a, b, ACK)], a.0),
        ("one way only, the other way round", vec![way(100, 0, b, a, ACK)], a.0),
    ] {
        for per in [1, 7] {
            let ran = run(POLICY, records.clone().into_iter(), &["zone-violation"], per, per == 1);
            let other = if beginner == a.0 { b.0 } else { a.0 };
            assert_eq!(groups(&ran), [[beginner, other]], "{name}");
            assert_eq!(ran.cells.values().sum::<i64>(), 1, "{name}: {:?}", ran.cells);
        }
    }
}

#[test]
fn p02_lgwan_reaches_the_internet_through_the_sanitiser_with_both_legs() {
    const RULES: [&str; 2] = ["zone-violation", "zone-sanitiser"];
    let first = flow(0, ("10.2.16.9", 50_000), ("10.9.1.20", 443));
    let second = |ms| flow(ms, ("10.9.1.21", 50_000), ("10.3.10.8", 443));
    // Hours later, so that what waits is decided by then, not by the end.
    let end = flow(7_200_000, ("10.3.16.9", 50_000), ("172.20.1.10", 8080));
    let direct = flow(0, ("10.2.16.9", 50_000), ("10.3.10.8", 443));
    let late = |delay_ms| Record { delay_ms, ..second(5_000) };
    let denied = |ms| Record { denied: true, sensor: 2, ..second(ms) };
    for (name, records, expected) in [
        ("direct", vec![direct], vec![["10.2.16.9", "10.3.10.8"]]),
        ("two legs", vec![first.clone(), second(5_000)], vec![]),
        ("the second leg told late, within lateness", vec![first.clone(), late(29_000)], vec![]),
        ("one leg: the first", vec![first.clone()], vec![["10.2.16.9", "10.9.1.20"]]),
        ("one leg: the second", vec![second(5_000)], vec![["10.9.1.21", "10.3.10.8"]]),
        ("one leg, and one that was denied", vec![first.clone(), denied(5_000)], vec![["10.2.16.9", "10.9.1.20"]]),
        ("a denied leg that another device let pass", vec![first.clone(), denied(5_000), second(5_040)], vec![]),
        (
            "the second leg comes too late",
            vec![first, second(60_000)],
            vec![["10.2.16.9", "10.9.1.20"], ["10.9.1.21", "10.3.10.8"]],
        ),
    ] {
        for (per, interrupted) in [(1, false), (1, true), (9, false)] {
            let records = records.iter().cloned().chain([end.clone()]);
            let ran = run(POLICY, records, &RULES, per, interrupted);
            assert_eq!(groups(&ran), expected, "{name}");
        }
    }
}

/// A session through the sanitiser: the terminal's leg and, a little later, the sanitiser's own; both told when they end.
fn session(n: u16, ms: i64, length_ms: i64, bytes: i64) -> [Record; 2] {
    let terminal: &'static str = format!("10.2.{}.{}", 16 + n / 200, 1 + n % 200).leak();
    let leg = |ms: i64, from, to, bytes| Record { start_ms: ms, bytes, ..flow(ms + length_ms, from, to) };
    // What it hands on differs a little, as headers and rendering do.
    let (first, second) = (("10.9.1.20", 443), ("10.9.1.21", 20_000 + n));
    let later = ms + 100 + i64::from(n) * 37 % 700;
    [leg(ms, (terminal, 50_000 + n % 1000), first, bytes), leg(later, second, ("10.3.10.8", 443), bytes + bytes / 40)]
}

/// Twenty sessions a second all the time, as two thousand terminals have them: what goes past the sanitiser finds no session that it
/// could belong to.
#[test]
fn p02_a_bypass_does_not_hide_among_the_sessions_of_others() {
    let crowd = || {
        // Of any size from some kilobytes to some ten megabytes.
        let bytes = |n: u16| (3000.0 * 10f64.powf(f64::from(n) * 0.618 % 1.0 * 4.0)) as i64;
        (0..1200u16).flat_map(move |n| session(n, i64::from(n) * 50, 200 + i64::from(n) % 40 * 300, bytes(n)))
    };
    let [lone_first, lone_second] = session(1300, 15_000, 2000, 777_000);
    let end = flow(7_200_000, ("10.3.16.9", 50_000), ("172.20.1.10", 8080));
    for (name, odd, expected) in [
        ("none", None, vec![]),
        ("a second leg without a first", Some(lone_second.clone()), vec![["10.9.1.21", "10.3.10.8"]]),
        ("a first leg without a second", Some(Record { bytes: 900_000_000, ..lone_first }), vec![["10.2.22.101", "10.9.1.20"]]),
        ("far more than anybody's", Some(Record { bytes: 900_000_000, ..lone_second }), vec![["10.9.1.21", "10.3.10.8"]]),
    ] {
        let mut records: Vec<Record> = crowd().chain(odd.clone()).chain([end.clone()]).collect();
        records.sort_by_key(|record| record.ms);
        let ran = run(POLICY, records.into_iter(), &["zone-sanitiser"], 500, true);
        assert_eq!(groups(&ran), expected, "{name}");
        for (alert, odd) in ran.new.iter().zip(odd) {
            let told = &alert.explanation;
            assert_eq!(told["bytes"], odd.bytes.to_string(), "{name}: the one that went past, and not another: {told:?}");
            let others = |key: &str| told.get(key).map_or(0, |count| count.parse::<u64>().expect("a number"));
            assert!(others("other_legs_at_its_time") > 600, "{told:?}");
            let unfit = others("of_these_carried_other_amounts");
            assert_eq!(unfit + others("of_these_belong_to_another"), others("other_legs_at_its_time"), "{told:?}");
            assert!(unfit > 0, "{told:?}");
            assert!(told["nearest"].contains(" apart, ") && told["nearest"].contains(", belongs to 10."), "{told:?}");
        }
    }
}

/// Two hundred a second, of which those of the first seconds are told with their second leg last: too many to be compared each with each.
/// Each explains one other there too.
#[test]
fn p02_a_bypass_does_not_hide_in_a_crowd_that_is_not_compared_one_by_one() {
    let crowd = || {
        let bytes = |n: u16| (3000.0 * 10f64.powf(f64::from(n) * 0.618 % 1.0 * 4.0)) as i64;
        (0..6000u16).flat_map(move |n| session(n, i64::from(n) * 5, 200 + i64::from(n) % 40 * 300, bytes(n)))
    };
    let [lone_first, lone_second] = session(6100, 15_000, 2000, 777_000);
    let end = flow(7_200_000, ("10.3.16.9", 50_000), ("172.20.1.10", 8080));
    for (name, odd) in
        [("none", None), ("a first leg without a second", Some(lone_first)), ("a second leg without a first", Some(lone_second))]
    {
        let mut records: Vec<Record> = crowd().chain(odd.clone()).chain([end.clone()]).collect();
        records.sort_by_key(|record| record.ms);
        let ran = run(POLICY, records.into_iter(), &["zone-sanitiser"], 500, true);
        let side = |ip: &str| if ip.starts_with("10.2.") { "first" } else { "second" };
        let told: Vec<(&str, bool)> =
            ran.new.iter().map(|alert| (side(&alert.group["source.ip"]), alert.explanation.contains_key("crowd"))).collect();
        let expected: Vec<(&str, bool)> = odd.iter().map(|odd| (side(odd.from.0), true)).collect();
        assert_eq!(told, expected, "{name}: {:?}", ran.new.iter().map(|alert| &alert.explanation).collect::<Vec<_>>());
    }
}

/// Where records end, legs are missing that would have come: one of the right time is enough there, none is not.
#[test]
fn p02_the_end_of_the_records_is_no_missing_leg() {
    let [first, second] = session(1, 0, 100, 900);
    let [other, _] = session(2, 500, 100, 900);
    for (name, records, expected) in [
        ("two sessions, the leg of one of them not told yet", vec![first.clone(), second, other], vec![]),
        ("one leg alone", vec![first], vec![["10.2.16.2", "10.9.1.20"]]),
    ] {
        let ran = run(POLICY, records.into_iter(), &["zone-sanitiser"], 1, true);
        assert_eq!(groups(&ran), expected, "{name}");
    }
}

/// What records tell of a way through decides which legs belong together.
#[test]
fn p02_a_leg_belongs_to_what_it_names_and_carries_as_much() {
    let end = flow(7_200_000, ("10.3.16.9", 50_000), ("172.20.1.10", 8080));
    let (a, b) = (("10.2.16.9", 50_000), ("10.2.16.10", 50_000));
    let (inner, outer) = (("10.9.1.20", 443), |port| ("10.9.1.21", port));
    let server = ("10.3.10.8", 443);
    let first = |ms, from, bytes| Record { bytes, ..flow(ms, from, inner) };
    let second = |ms, port, bytes| Record { bytes, ..flow(ms, outer(port), server) };
    let of_a = ["10.2.16.9", "10.9.1.20"];
    let on = ["10.9.1.21", "10.3.10.8"];
    for (name, records, one, several) in [
        ("two connections of one", vec![first(0, a, 900), second(10, 1, 900), second(20, 2, 900)], vec![on], vec![]),
        ("ten times as much, but little", vec![first(0, a, 900), second(10, 1, 9_000_000)], vec![], vec![]),
        ("more than ten times as much", vec![first(0, a, 9_000_000), second(10, 1, 99_000_000)], vec![of_a, on], vec![of_a, on]),
        ("much, and nearly as much", vec![first(0, a, 300_000_000), second(10, 1, 99_000_000)], vec![], vec![]),
        ("much, but nobody counted the other", vec![first(0, a, 0), second(10, 1, 99_000_000)], vec![], vec![]),
        (
            "for a terminal that is not there",
            vec![first(0, a, 900), Record { behalf: "10.2.16.10", ..second(10, 1, 900) }],
            vec![of_a, on],
            vec![of_a, on],
        ),
        (
            "for a terminal, though another one's is nearer",
            vec![first(0, b, 900), first(9000, a, 900), Record { behalf: "10.2.16.10", ..second(9001, 1, 900) }],
            vec![of_a],
            vec![of_a],
        ),
        (
            "for the address to which a terminal's was translated on the way there",
            vec![
                Record { seen_as: ("10.2.0.1", 0), ..first(0, b, 900) },
                first(9000, a, 900),
                Record { behalf: "10.2.0.1", ..second(9001, 1, 900) },
            ],
            vec![of_a],
            vec![of_a],
        ),
        (
            "for whom the sanitiser itself is named: it is not said which terminal",
            vec![first(0, a, 900), Record { behalf: "10.9.1.20", ..second(10, 1, 900) }],
            vec![],
            vec![],
        ),
        (
            "the file of one, though the other one's leg is nearer",
            vec![
                Record { file: "r8-014.docx", ..first(0, b, 90_000_000) },
                first(9000, a, 900),
                Record { file: "R8-014.docx", ..second(9001, 1, 900) },
            ],
            vec![of_a],
            vec![],
        ),
        (
            "at one address, though the other's is nearer",
            vec![
                Record { to: ("10.9.1.30", 443), ..first(0, b, 900) },
                first(9000, a, 900),
                Record { from: ("10.9.1.30", 1), ..second(9001, 1, 900) },
            ],
            vec![of_a],
            vec![],
        ),
        ("the nearer one in volume", vec![first(0, a, 900), first(1, b, 700_000), second(2, 1, 690_000)], vec![of_a], vec![]),
    ] {
        for (legs, wanted) in [("one", one), ("several", several)] {
            let rule = format!("title: Half\nbehaviour: {{type: zone, what: sanitiser, legs: {legs}}}\n");
            let (set, problems) = load(&[("rules".to_owned(), rule)], &LoadOptions::default());
            assert_eq!(problems, []);
            let ran = run_by(&Arc::new(set), POLICY, records.iter().cloned().chain([end.clone()]), 1, true);
            let (mut found, mut wanted) = (groups(&ran), wanted);
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{name}, {legs}");
        }
    }
}

/// A device tells of a session when it ends, or each few minutes while it goes on, whichever of the legs ends first.
#[test]
fn p02_a_leg_is_waited_for_until_it_is_told() {
    let end = flow(7_200_000, ("10.3.16.9", 50_000), ("172.20.1.10", 8080));
    let tick = |ms| flow(ms, ("10.3.16.9", 50_000), ("172.20.1.10", 53));
    let told = |start_ms, ms, from, to| Record { start_ms, ends: true, ..flow(ms, from, to) };
    let first = |start_ms, ms| told(start_ms, ms, ("10.2.16.9", 50_000), ("10.9.1.20", 443));
    let second = |start_ms, ms| told(start_ms, ms, ("10.9.1.21", 50_000), ("10.3.10.8", 443));
    const MINUTE: i64 = 60_000;
    let each_five = |last: i64| (0..last / 5).map(|n| first(n * 5 * MINUTE, (n + 1) * 5 * MINUTE));
    for (name, records, expected) in [
        ("the second leg ends long after the first", vec![first(0, 9000), tick(4 * MINUTE), second(5000, 5 * MINUTE)], 0),
        ("the first leg ends long after the second", vec![second(5000, 9000), tick(4 * MINUTE), first(0, 5 * MINUTE)], 0),
        ("the second leg never comes", vec![first(0, 9000), tick(4 * MINUTE), tick(5 * MINUTE)], 1),
        ("one that goes on, the other a moment", each_five(60).chain([second(5000, 9000)]).collect(), 0),
        ("one that goes on alone", each_five(60).collect(), 1),
    ] {
        let mut records = records;
        records.sort_by_key(|record: &Record| record.ms);
        records.push(end.clone());
        let ran = run(POLICY, records.into_iter(), &["zone-sanitiser"], 1, true);
        assert_eq!(ran.new.len(), expected, "{name}: {:?}", ran.new.iter().map(|alert| &alert.explanation).collect::<Vec<_>>());
    }
}

/// The device that translates a terminal's address, and one behind it, tell of one leg, whichever tells first and in however many records;
/// what is missing is missed of the terminal.
#[test]
fn p02_a_leg_seen_before_and_after_its_source_is_translated_is_one() {
    const MINUTE: i64 = 60_000;
    const HIDDEN: &str = "10.2.0.1";
    let end = flow(7_200_000, ("10.3.16.9", 50_000), ("172.20.1.10", 8080));
    let sanitiser = ("10.9.1.20", 443);
    let inside = |ms, length_ms| Record {
        start_ms: ms,
        ends: true,
        seen_as: (HIDDEN, 61_000),
        ..flow(ms + length_ms, ("10.2.16.9", 50_000), sanitiser)
    };
    let outside =
        |ms, length_ms| Record { start_ms: ms, ends: true, sensor: 2, ..flow(ms + length_ms, (HIDDEN, 61_000), sanitiser) };
    let on =
        |ms, length_ms| Record { start_ms: ms, ends: true, ..flow(ms + length_ms, ("10.9.1.21", 50_000), ("10.3.10.8", 443)) };
    let parts = |range: std::ops::Range<i64>| range.map(move |n| outside(n * MINUTE, MINUTE - 1));
    for (name, legs) in [
        ("the one that translates tells first", vec![inside(0, 1000), outside(5, 2000)]),
        ("it tells last", vec![outside(5, 1000), inside(0, 2000)]),
        ("it tells last, when a session of minutes has ended", parts(0..9).chain([inside(0, 9 * MINUTE)]).collect()),
        ("it tells when it begins, the other one each minute", [inside(0, 0)].into_iter().chain(parts(0..9)).collect()),
    ] {
        for (has_second, expected) in [(true, vec![]), (false, vec![["10.2.16.9", "10.9.1.20"]])] {
            let second = has_second.then(|| on(10, 900));
            let mut records: Vec<Record> = legs.iter().cloned().chain(second).chain([end.clone()]).collect();
            records.sort_by_key(|record| record.ms);
            for interrupted in [false, true] {
                let ran = run(POLICY, records.iter().cloned(), &["zone-sanitiser"], 1, interrupted);
                assert_eq!(groups(&ran), expected, "{name}, with a second leg: {has_second}");
            }
        }
    }
    // Two terminals behind one address, of which the one goes past the sanitiser.
    let other = Record { from: ("10.2.16.10", 50_000), seen_as: (HIDDEN, 61_001), ..inside(3, 1000) };
    let records =
        [inside(0, 1000), other, outside(5, 1500), Record { from: (HIDDEN, 61_001), ..outside(8, 1500) }, on(10, 900), end];
    let ran = run(POLICY, records.into_iter(), &["zone-sanitiser"], 1, false);
    assert_eq!(groups(&ran), [["10.2.16.9", "10.9.1.20"]]);
}

/// Whatever the order of arrival within lateness, the batches and the interruptions, the same legs are alone, for the same reasons.
#[test]
fn p02_which_legs_belong_together_does_not_hang_on_arrival() {
    const TERMINALS: [&str; 3] = ["10.2.16.9", "10.2.16.10", "10.2.16.11"];
    const SANITISERS: [&str; 2] = ["10.9.1.20", "10.9.1.21"];
    let one =
        (1i64..20_000, 0i64..LATENESS_S * 1000, any::<bool>(), 0usize..3, 0usize..2, 0u16..6, (0i64..40_000, 0u32..30, 0u8..4));
    let cases = (prop::collection::vec(one, 10..120), prop::collection::vec(1usize..30, 1..3));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(48));
    let law = runner.run(&cases, |(all, per)| {
        let mut ms = 0;
        let mut in_order: Vec<Record> = Vec::new();
        for (gap, delay_ms, is_first, terminal, sanitiser, port, (length, size, names)) in all {
            ms += gap;
            let (terminal, sanitiser) = (TERMINALS[terminal], SANITISERS[sanitiser]);
            let (from, to) = if is_first {
                ((terminal, 50_000 + port), (sanitiser, 443))
            } else {
                ((sanitiser, 50_000 + port), ("10.3.10.8", 443))
            };
            let behalf = if !is_first && names == 0 { terminal } else { "" };
            let file = if names == 1 { TERMINALS[usize::from(port) % 3] } else { "" };
            // Some one way of two, which waits for the other; and some translated, which another device sees from there on.
            let flags = (port == 5).then_some(0x1b);
            let seen_as = if is_first && names == 2 { ("10.2.0.1", 61_000 + port) } else { ("", 0) };
            let is_behind = is_first && names == 3;
            let from = if is_behind { ("10.2.0.1", 61_000 + port) } else { from };
            let sensor = if is_behind { 2 } else { 1 };
            in_order.push(Record {
                delay_ms,
                start_ms: ms - length,
                bytes: 1 << size,
                flags,
                behalf,
                file,
                seen_as,
                sensor,
                ..flow(ms, from, to)
            });
        }
        in_order.push(flow(ms + 7_200_000, ("10.3.16.9", 50_000), ("172.20.1.10", 8080)));
        arrival_does_not_matter(in_order, &per, &["zone-sanitiser"], |ran| -> BTreeMap<_, _> {
            ran.new.iter().map(|alert| (alert.id.clone(), alert.explanation.clone())).collect()
        })
    });
    if let Err(why) = law {
        panic!("{why}");
    }
}

/// What rules tell of records in the order of their times, a batch each, they tell of the same as they arrive: in batches of any of these
/// sizes, interrupted or not.
fn arrival_does_not_matter<T: std::fmt::Debug + PartialEq>(
    in_order: Vec<Record>,
    per_batch: &[usize],
    rules: &[&str],
    told: impl Fn(&Ran) -> T,
) -> Result<(), TestCaseError> {
    let mut arriving = in_order.clone();
    arriving.sort_by_key(|record| record.ms + record.delay_ms);
    let at_once = in_order.into_iter().map(|record| Record { delay_ms: 0, ..record });
    let expected = told(&run(POLICY, at_once, rules, 1, false));
    for (size, interrupted) in per_batch.iter().flat_map(|size| [(*size, false), (*size, true)]) {
        prop_assert_eq!(&expected, &told(&run(POLICY, arriving.clone().into_iter(), rules, size, interrupted)));
    }
    Ok(())
}

/// Two sanitisers of one way, each named by an invariant of its own: a proxy in either may lead through, another may not; and of each way
/// both legs are needed, one of each is no way through.
#[test]
fn p02_two_sanitisers_are_two_ways() {
    let two = POLICY
        .replace("  sanitiser: {", "  screens: {cidr: [10.9.2.0/24]}\n  sanitiser: {")
        .replace(
            "exceptions:",
            "  - {from: lgwan, to: screens, service: [tcp/443]}\n  - {from: screens, to: internet, service: [tcp/8443]}\nexceptions:",
        )
        .replace("must_deny:", "must_deny:\n  - {from: lgwan, to: [internet, outside, seccloud], unless_via: screens}");
    let closed = format!("{two}  - {{from: lgwan, to: [internet]}}\n");
    let cases = [(443, "kept"), (8443, "kept"), (22, "violation")];
    for (text, open) in [(&two, true), (&closed, false)] {
        let policy = Policy::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).0;
        let told: Vec<_> = cases.iter().map(|(port, _)| ("10.2.16.9", "10.3.10.8", *port)).collect();
        let expected: Vec<_> = cases.iter().map(|(_, verdict)| if open { *verdict } else { "violation" }).collect();
        assert_eq!(by_proxy(&policy, &told), expected);
    }
    let (terminal, server) = (("10.2.16.9", 50_000), ("10.3.10.8", 443));
    let (mail, screens) = ("10.9.1.20", "10.9.2.20");
    let legs = |to: &'static str, from: &'static str, port| {
        let legs =
            [flow(0, terminal, (to, 443)), flow(100, (from, 50_000), (server.0, port)), flow(900_000, ("10.3.16.9", 1), server)];
        run(&two, legs.into_iter(), &["zone-sanitiser"], 10, false).new.len()
    };
    assert_eq!((legs(mail, mail, 443), legs(screens, screens, 8443)), (0, 0));
    assert_eq!((legs(mail, screens, 8443), legs(screens, mail, 443)), (2, 2));
}

/// A proxy's record names the ends of two connections; only the sanitiser may stand between where the policy says so.
#[test]
fn p02_no_other_zone_stands_in_for_the_sanitiser() {
    let wider = POLICY.replace("exceptions:", "  - {from: lgwan, to: internet, service: [tcp/99]}\nexceptions:");
    // An invariant forbids the line itself.
    assert!(Policy::parse(&wider).is_err());
    let via_seccloud = POLICY.replace(
        "must_deny:",
        "  - {from: lgwan, to: sanitiser, service: [udp/1], src: 10.2.0.1, owner: o, ticket: t, until: 2027-03-31}\nmust_deny:",
    );
    let policy = Policy::parse(&via_seccloud).expect("valid").0;
    let cases = [
        ("10.2.16.9", "198.51.100.7", "violation"),
        ("10.2.16.9", "10.3.10.8", "kept"),
        ("10.3.16.9", "198.51.100.7", "kept"),
        ("10.1.16.9", "198.51.100.7", "violation"),
    ];
    let told: Vec<_> = cases.iter().map(|(from, to, _)| (*from, *to, 443)).collect();
    assert_eq!(by_proxy(&policy, &told), cases.map(|(.., verdict)| verdict));
}

/// The verdicts on what a proxy tells of, from whom to whom and to which port, all of TCP and let through.
fn by_proxy(policy: &Policy, told: &[(&str, &str, i64)]) -> Vec<String> {
    let mut builder = BatchBuilder::default();
    for (at, (from, to, port)) in told.iter().enumerate() {
        let head = FrameHead {
            position: Position { partition: 0, offset: at as u64 + 1 },
            ..FrameHead::new(Transport::Internal, Content::Text)
        };
        let mut row = builder.row(&head, 0, "");
        row.log_source(LogSourceId::intern(LogSource { category: Some("proxy"), ..LogSource::default() }));
        row.ip(FieldId::SOURCE_IP, from.parse().expect("an address"));
        row.ip(FieldId::DESTINATION_IP, to.parse().expect("an address"));
        row.int(FieldId::DESTINATION_PORT, *port);
        row.text(FieldId::NETWORK_TRANSPORT, "tcp");
        row.text(FieldId::EVENT_TYPE, "allowed");
    }
    let mut batch = builder.finish(LogRange { partition: 0, first: 1, last: told.len() as u64 }, Time::UNKNOWN);
    policy.annotate(&mut batch);
    batch.iter().map(|event| rules::policy::verdict_of(event).expect("one").to_owned()).collect()
}

/// Whatever the order of arrival within lateness, the batches and the interruptions, the verdicts are the same.
#[test]
fn verdicts_do_not_hang_on_arrival() {
    const HOSTS: [&str; 6] = ["10.1.16.9", "10.2.16.9", "10.9.1.20", "10.3.10.8", "172.20.1.10", "198.51.100.7"];
    let one = (
        1i64..900,
        0i64..LATENESS_S * 1000,
        0usize..6,
        0usize..6,
        0u16..3,
        prop::sample::select(vec![None, Some(2), Some(0x12), Some(0x1b)]),
        any::<bool>(),
    );
    let cases = (prop::collection::vec(one, 20..200), prop::collection::vec(1usize..40, 1..3));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(48));
    let law = runner.run(&cases, |(all, per)| {
        let mut ms = 0;
        let in_order: Vec<Record> = all
            .into_iter()
            .map(|(gap, delay_ms, from, to, port, flags, denied)| {
                ms += gap;
                let (from, to) = ((HOSTS[from], 443 + port), (HOSTS[to], 443));
                Record { delay_ms, start_ms: ms - i64::from(port) * 50, flags, denied, ..flow(ms, from, to) }
            })
            .collect();
        arrival_does_not_matter(in_order, &per, &["zone-violation", "zone-sanitiser"], |ran| {
            let mut ids: Vec<(String, [String; 2])> =
                ran.new.iter().zip(groups(ran)).map(|(alert, group)| (alert.id.clone(), group.map(str::to_owned))).collect();
            ids.sort();
            (ran.cells.clone(), ids)
        })
    });
    if let Err(why) = law {
        panic!("{why}");
    }
}

/// What is written onto a record is the verdict of the conversation that it makes by itself, so that a search finds what an alert is about.
#[test]
fn a_record_has_the_verdict_of_its_conversation() {
    const HOSTS: [&str; 6] = ["10.1.16.9", "10.2.16.9", "10.9.1.20", "10.3.10.8", "172.20.1.10", "198.51.100.7"];
    let flags = prop::sample::select(vec![None, Some(2), Some(0x10), Some(0x12), Some(0x14), Some(0x1b)]);
    let one = (0usize..6, 0usize..6, 442u16..446, 442u16..446, flags, any::<bool>(), any::<bool>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(256));
    let law = runner.run(&one, |(from, to, source_port, port, flags, denied, firewall)| {
        let sensor = if firewall { FIREWALL } else { 1 };
        let (from, to) = ((HOSTS[from], source_port), (HOSTS[to], port));
        let ((began, called, verdict), written) = alone(&Record { flags, denied, sensor, ..flow(0, from, to) });
        prop_assert_eq!(&written[2], verdict.name());
        let mut zones = [written[0].clone(), written[1].clone()];
        let mut ends = [began, called];
        zones.sort();
        ends.sort();
        prop_assert_eq!(zones, ends);
        Ok(())
    });
    if let Err(why) = law {
        panic!("{why}");
    }
}

/// The templates of the four network models: each holds together, leaves no pair unseen, and keeps what the model promises.
#[test]
fn the_shipped_network_models_hold_together() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/policy");
    let mut models = Vec::new();
    for entry in std::fs::read_dir(folder).expect("shipped") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let (policy, problems) = Policy::parse(&text).unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
        assert_eq!(problems, [], "{}", path.display());
        assert!(policy.blind.is_empty());
        assert_eq!(path.file_stem().and_then(|name| name.to_str()), Some(policy.model.as_str()));
        // Nobody reaches the My-Number zone, and it reaches nobody, but for its one exception.
        for zone in policy.zones.iter().filter(|zone| zone.name != "mynumber") {
            // And no line that lets somebody in holds together with the rest.
            let line = format!("\n  - {{from: {}, to: mynumber, service: [tcp/443], owner: x}}\nexceptions:", zone.name);
            assert!(Policy::parse(&text.replacen("\nexceptions:", &line, 1)).is_err(), "{}: {line}", policy.model);
            let there = zone.cidr.first().map_or(IpAddr::from([203, 0, 113, 1]), |net| net.addr());
            for port in 0..=u16::MAX {
                for (source, destination) in [(IpAddr::from([10, 1, 16, 9]), there), (there, IpAddr::from([10, 1, 16, 9]))] {
                    let time = Time::from_unix_s(START_S);
                    let c = Communication { source, destination, protocol: Some(6), port: Some(port), time };
                    assert_eq!(policy.decide(&c), Decision::Denied, "{} {c:?}", policy.model);
                }
            }
        }
        models.push(policy.model);
    }
    models.sort();
    assert_eq!(models, ["alpha", "alpha-prime", "beta", "beta-prime"]);
}
