//! Every kind of refusal with its lines, and verdicts of records. `tests/policy/brute.rs` tries everything.

use super::read::PROBLEMS_MAX;
use super::*;

const SMALL: &str = "zones:\n  a: {cidr: [10.1.0.0/16], clause: \"1\"}\n  b: {cidr: [10.2.0.0/16, \"2001:db8::/32\"]}\n  c: {rest: true}\n\
    default: deny\nallow:\n  - {from: a, to: b, service: [tcp/443, udp/1000-2000]}\n  - {from: b, to: c, service: [any]}\n\
    exceptions:\n  - {from: a, to: c, service: [tcp/25], src: 10.1.0.9, owner: o, ticket: t, until: 2027-03-31}\n\
    must_deny:\n  - {from: c, to: [a]}\nobserve:\n  - {sensor: s, cells: [[a, \"*\"], [b, \"*\"]], heartbeat: 5m}\n";

fn decide(policy: &Policy, source: &str, destination: &str, protocol: u8, port: u16, time: &str) -> Decision {
    policy.decide(&Communication {
        source: source.parse().expect("an address"),
        destination: destination.parse().expect("an address"),
        protocol: Some(protocol),
        port: Some(port),
        time: time.parse().expect("a time"),
    })
}

#[test]
fn lines_decide() {
    let (policy, problems) = Policy::parse(SMALL).expect("valid");
    assert_eq!(problems, []);
    let now = "2026-04-01T00:00:00Z";
    assert_eq!(decide(&policy, "10.1.0.1", "10.2.0.1", 6, 443, now), Decision::Allowed(7));
    assert_eq!(decide(&policy, "10.1.0.1", "2001:db8::1", 17, 2000, now), Decision::Allowed(7));
    assert_eq!(decide(&policy, "10.1.0.1", "10.2.0.1", 17, 2001, now), Decision::Denied);
    assert_eq!(decide(&policy, "10.2.0.1", "8.8.8.8", 1, 0, now), Decision::Allowed(8));
    assert_eq!(decide(&policy, "10.1.0.1", "10.1.0.2", 6, 1, now), Decision::Internal);
    assert_eq!(decide(&policy, "10.1.0.9", "8.8.8.8", 6, 25, now), Decision::Exception(10));
    assert_eq!(decide(&policy, "10.1.0.8", "8.8.8.8", 6, 25, now), Decision::Denied);
    assert_eq!(decide(&policy, "10.1.0.9", "8.8.8.8", 6, 25, "2027-03-31T14:59:59Z"), Decision::Exception(10));
    assert_eq!(decide(&policy, "10.1.0.9", "8.8.8.8", 6, 25, "2027-03-31T15:00:00Z"), Decision::Denied);
}

/// `[tcp/80,81]` is two services: all of protocol 81 is hardly meant. A sensor without cells sees nothing.
#[test]
fn what_is_probably_not_meant_is_told() {
    for (find, put, lines, word) in [
        ("udp/1000-2000", "444", vec![7], "no service"),
        ("udp/1000-2000", "81", vec![7], "the protocol of that number"),
        (", cells: [[a, \"*\"], [b, \"*\"]]", "", vec![14], "sees no pair of zones"),
    ] {
        let problems = match Policy::parse(&SMALL.replace(find, put)) {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        assert!(problems.iter().any(|p| p.lines == lines && p.reason.contains(word)), "{put}: {problems:?}");
    }
    let alone = SMALL.replace("[tcp/443, udp/1000-2000]", "[47]");
    assert_eq!(Policy::parse(&alone).expect("valid").1, []);
}

#[test]
fn ended_exceptions_are_told() {
    let (policy, _) = Policy::parse(SMALL).expect("valid");
    let told = |now: &str| policy.ended_exceptions(now.parse().expect("a time")).collect::<Vec<_>>();
    assert_eq!(told("2027-03-31T14:59:59Z"), []);
    let reason = "the exception t is over; it is never used".to_owned();
    assert_eq!(told("2027-03-31T15:00:00Z"), [PolicyProblem { lines: vec![10], reason, warning: true }]);
}

#[test]
fn what_does_not_hold_together_is_refused_with_its_lines() {
    for (find, put, lines, word) in [
        ("10.2.0.0/16", "10.1.0.0/16", vec![2, 3], "zone a and in zone b"),
        ("  c: {rest: true}", "  c: {cidr: [10.3.0.0/16]}", vec![1], "rest"),
        ("[any]}", "[any]}\n  - {from: a, to: b, service: [tcp/400-500]}", vec![7, 9], "tcp/443"),
        ("{from: c, to: [a]}", "{from: a, to: [b]}", vec![12, 7], "forbids"),
        ("{from: c, to: [a]}", "{from: c, to: [a, c]}", vec![12], "within c everything is allowed"),
        ("{from: c, to: [a]}", "{from: a, to: [b], unless_via: b}", vec![12], "b is an end of the way"),
        ("{from: c, to: [a]}", "{from: a, to: [b], unless_via: a}", vec![12], "a is an end of the way"),
        ("{from: b, to: c,", "{from: b, to: d,", vec![8], "no zone"),
        ("tcp/443", "tcp/x", vec![7], "no service"),
        ("tcp/443", "tcp/+80", vec![7], "no service"),
        ("tcp/443", "icmp/8", vec![7], "only tcp, udp, dccp, sctp and udplite have ports"),
        ("tcp/443", "47/3", vec![7], "only tcp, udp, dccp, sctp and udplite have ports"),
        ("udp/1000-2000", "udp/2000-1000", vec![7], "the lower port stands first"),
        ("ticket: t, ", "", vec![10], "needs ticket"),
        ("default: deny", "default: allow", vec![5], "only deny"),
        ("observe:", "obsrve:", vec![13], "unknown key"),
    ] {
        let text = SMALL.replace(find, put);
        let problems = Policy::parse(&text).expect_err(put);
        assert!(problems.iter().any(|p| p.lines == lines && p.reason.contains(word)), "{put}: {problems:?}");
    }
}

/// A key that is there and does not say what it should is never taken as absent: that would widen what a line allows.
#[test]
fn a_key_of_another_kind_or_empty_is_refused_with_its_line() {
    for (find, put, line, word) in [
        ("src: 10.1.0.9", "src: [10.1.0.9]", 10, "src: expected"),
        ("src: 10.1.0.9", "src: ~", 10, "src: expected"),
        ("until: 2027-03-31", "until: [2027-03-31]", 10, "until: expected"),
        ("owner: o", "owner: \" \"", 10, "owner: expected"),
        ("ticket: t", "ticket: ~", 10, "ticket: expected"),
        ("[tcp/25]", "[[tcp/25]]", 10, "service: expected"),
        ("[tcp/25]", "[]", 10, "service: expected"),
        ("from: c, to: [a]", "from: c", 12, "to is missing"),
        ("from: c, to: [a]", "from: c, to: []", 12, "to: expected"),
        ("from: c, to: [a]", "from: c, to: ~", 12, "to: expected"),
        ("from: c, to: [a]", "from: c, to: [[a]]", 12, "to: expected"),
        ("from: c, to: [a]", "from: c, to: [a], unless_via: [b]", 12, "unless_via: expected"),
        ("must_deny:\n  - {from: c, to: [a]}", "must_deny: {from: c, to: [a]}", 11, "expected a list"),
        ("cidr: [10.1.0.0/16]", "cidr: [{10.1.0.0/16: a}]", 2, "cidr: expected"),
        ("clause: \"1\"", "clause: [1]", 2, "clause: expected"),
        ("rest: true", "rest: yes", 4, "rest: true or false"),
        ("heartbeat: 5m", "heartbeat: [5m]", 14, "heartbeat: expected"),
        ("sensor: s", "sensor: \"\"", 14, "sensor: expected"),
        ("[[a, \"*\"], [b, \"*\"]]", "[[a, [b]]]", 14, "a cell is a pair"),
        ("[[a, \"*\"], [b, \"*\"]]", "a", 14, "cells: expected"),
    ] {
        let text = SMALL.replacen(find, put, 1);
        assert_ne!(text, SMALL, "{find}");
        let problems = Policy::parse(&text).expect_err(put);
        assert!(problems.iter().any(|p| p.lines == [line] && p.reason.contains(word)), "{put}: {problems:?}");
    }
}

#[test]
fn lines_are_those_of_the_file_however_it_is_written() {
    let wide = "  - {from: a, to: b,\n     service: [tcp/443,\n       udp/1000-2000]}\n  # -\n  -\n    from: b\n    to: c\n    service: any\n";
    let narrow = "  - {from: a, to: b, service: [tcp/443, udp/1000-2000]}\n  - {from: b, to: c, service: [any]}\n";
    let text = format!("---\n{}", SMALL.replace(narrow, wide));
    let (policy, _) = Policy::parse(&text).expect("valid");
    let lines: Vec<usize> = policy.allow.iter().chain(&policy.exceptions).map(|line| line.line).collect();
    assert_eq!(lines, [8, 13, 17]);
    assert_eq!(policy.must_deny[0].line, 19);
    let again = text.replace("exceptions:", "  -\n    {from: a, to: b, service: tcp/1-500}\nexceptions:");
    let problems = Policy::parse(&again).expect_err("a clash");
    assert_eq!(problems[0].lines, [8, 17]);
    assert_eq!(problems[0].reason, "line 17 decides again tcp/443, which line 8 decides");
}

#[test]
fn a_zone_of_which_others_leave_nothing_is_refused() {
    let b = "10.2.0.0/16, \"2001:db8::/32\"";
    for (put, lines) in [
        ("10.1.0.0/17, 10.1.128.0/17", Some(vec![2, 3])),
        ("10.1.64.0/18, 10.1.128.0/17", None),
        // As addresses are taken, these are IPv4.
        ("\"::ffff:10.1.0.0/113\", \"::ffff:10.1.128.0/113\"", Some(vec![2, 3])),
        ("\"::ffff:10.1.0.0/112\"", Some(vec![2, 3])),
    ] {
        let told = match Policy::parse(&SMALL.replace(b, put)) {
            Ok(_) => None,
            Err(problems) => problems.into_iter().find(|p| !p.warning).map(|p| p.lines),
        };
        assert_eq!(told, lines, "{put}");
    }
    let (policy, _) = Policy::parse(&SMALL.replace(b, "\"::ffff:10.7.0.0/112\"")).expect("valid");
    assert_eq!(policy.zone_of("10.7.1.1".parse().expect("an address")), "b");
    let (_, problems) = Policy::parse(&SMALL.replace(b, "0.0.0.0/0, \"::/0\"")).expect("valid");
    assert!(problems.iter().any(|p| p.lines == [4] && p.reason.contains("holds no address")), "{problems:?}");
}

#[test]
fn a_zone_has_a_name_that_stands_for_nothing_else() {
    for name in ["\"\"", "\"*\"", "\" \"", "\"d\\u0007\"", "~"] {
        let text = SMALL.replace("  c: {rest", &format!("  {name}: {{cidr: [10.9.0.0/16]}}\n  c: {{rest"));
        let problems = Policy::parse(&text).expect_err(name);
        assert!(problems.iter().any(|p| p.lines == [4] && p.reason.contains("is no name")), "{name}: {problems:?}");
    }
}

#[test]
fn blind_pairs_are_named() {
    let (policy, problems) = Policy::parse(&SMALL.replace("[b, \"*\"]", "[b, a]")).expect("valid");
    assert_eq!(policy.blind, [("b".to_owned(), "c".to_owned()), ("c".to_owned(), "b".to_owned())]);
    assert_eq!(problems.iter().filter(|p| p.warning).count(), 2);
}

/// Two that name a zone each leave two ways; beside one that names none they leave none, which is told.
#[test]
fn an_invariant_that_leaves_no_way_is_told_beside_one_that_names_one() {
    let zone = "  d: {cidr: [10.4.0.0/16]}\n  c: {rest: true}";
    let text = SMALL.replace("  c: {rest: true}", zone).replace(
        "  - {from: c, to: [a]}\n",
        "  - {from: a, to: [c], unless_via: b}\n  - {from: c, to: [a], unless_via: b}\n  - {from: c, to: [a], unless_via: d}\n",
    );
    let text = text
        .replace("  - {from: a, to: c, service: [tcp/25]", "  - {from: b, to: d, service: [tcp/25]")
        .replace("10.1.0.9", "10.2.0.9");
    let told = |text: &str| -> Vec<(Vec<usize>, String)> {
        let (_, problems) = Policy::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        problems.into_iter().filter(|p| p.reason.contains("whatever way")).map(|p| (p.lines, p.reason)).collect()
    };
    assert_eq!(told(&text), []);
    let closed = text.replace("observe:", "  - {from: c, to: [a, a, b]}\nobserve:");
    let reason = |via: &str| format!("line 16 forbids c → a by whatever way, also by {via}");
    assert_eq!(told(&closed), [(vec![16, 14], reason("b")), (vec![16, 15], reason("d"))]);
}

#[test]
fn exceptions_outside_their_zones_are_refused() {
    for (find, put, good) in [
        ("src: 10.1.0.9", "src: 10.2.0.9", false),
        ("src: 10.1.0.9", "src: 8.8.8.8", false),
        ("src: 10.1.0.9", "src: 10.0.0.0/8", true),
        ("src: 10.1.0.9", "src: 10.1.0.9, dst: 8.8.8.8", true),
        ("src: 10.1.0.9", "src: 10.1.0.9, dst: 10.2.0.1", false),
    ] {
        let found = Policy::parse(&SMALL.replace(find, put));
        assert_eq!(found.is_ok(), good, "{put}");
    }
}

#[test]
fn problems_are_bounded() {
    let more = "  - {from: a, to: b, service: [tcp/443]}\n".repeat(3000);
    let problems = Policy::parse(&SMALL.replace("exceptions:\n", &format!("{more}exceptions:\n"))).expect_err("clashes");
    assert_eq!(problems.iter().filter(|p| !p.warning).count(), PROBLEMS_MAX + 1);
    let zones: String = (0..300).map(|n| format!("  z{n}: {{cidr: [10.9.{}.{}]}}\n", n / 250, n % 250)).collect();
    let problems = Policy::parse(&SMALL.replace("default:", &format!("{zones}default:"))).expect_err("too many");
    assert!(problems.iter().any(|p| p.reason.contains("at most 250")), "{problems:?}");
}

#[test]
fn nested_prefixes_are_told_in_order_and_the_longer_decides() {
    let text = SMALL.replace("[10.2.0.0/16,", "[10.2.0.0/16, 10.1.7.0/24, 10.1.3.0/24,");
    let (policy, problems) = Policy::parse(&text).expect("valid");
    let told: Vec<&str> = problems.iter().filter_map(|p| p.reason.split(' ').next()).collect();
    assert_eq!(told, ["10.1.3.0/24", "10.1.7.0/24"]);
    assert_eq!(policy.zone_of("10.1.3.9".parse().expect("an address")), "b");
    assert_eq!(policy.zone_of("::ffff:10.1.4.9".parse().expect("an address")), "a");
}

/// An event: its category, source, destination, further cells; then the verdict and the clause.
type Told = (
    &'static str,
    (&'static str, u16),
    (&'static str, u16),
    &'static [(&'static str, Value<'static>)],
    &'static str,
    Option<&'static str>,
);

#[test]
fn events_get_their_verdicts() {
    use event::{BatchBuilder, Content, FrameHead, LogRange, LogSource, LogSourceId, Position, Transport};
    const TCP: (&str, Value<'static>) = ("network.transport", Value::Text("tcp"));
    const UDP: (&str, Value<'static>) = ("network.iana_number", Value::Int(17));
    const ALLOWED: (&str, Value<'static>) = ("event.type", Value::Text("allowed"));
    const DENIED: (&str, Value<'static>) = ("event.type", Value::Text("denied"));
    const DROP: (&str, Value<'static>) = ("event.action", Value::Text("DROP"));
    const ANSWERED: (&str, Value<'static>) = ("destination.bytes", Value::Int(711));
    const CLIENT: (&str, Value<'static>) = ("client.ip", Value::Text("10.1.0.1"));
    const SERVER: (&str, Value<'static>) = ("server.ip", Value::Text("10.2.0.1"));
    const SYN: (&str, Value<'static>) = ("flow.tcp_flags", Value::Int(2));
    const WHOLE: (&str, Value<'static>) = ("flow.tcp_flags", Value::Int(0x1b));
    const ACK: (&str, Value<'static>) = ("flow.tcp_flags", Value::Int(0x10));
    const NOTHING_BACK: (&str, Value<'static>) = ("destination.packets", Value::Int(0));
    const NEIGHBOUR: (&str, Value<'static>) = ("network.iana_number", Value::Int(58));
    const REALLY_B: (&str, Value<'static>) = ("destination.nat.ip", Value::Text("10.2.0.1"));
    let (a, b, c) = ("10.1.0.1", "10.2.0.1", "8.8.8.8");
    let (translated, link, link_v6) = ("192.0.2.99", "169.254.7.7", "fe80::7");
    let told: &[Told] = &[
        ("firewall", (a, 50_000), (b, 443), &[TCP, ALLOWED], "kept", None),
        ("firewall", (a, 50_000), (b, 443), &[TCP, DENIED], "denied", None),
        ("firewall", ("10.1.0.9", 50_000), (c, 25), &[TCP, DROP], "denied", None),
        ("flow", (a, 50_000), (b, 443), &[TCP, SYN], "denied", None),
        ("firewall", (a, 50_000), (b, 444), &[TCP, ALLOWED], "violation", Some("1")),
        ("firewall", (a, 50_000), (b, 444), &[TCP, DENIED], "attempt", Some("1")),
        ("firewall", (a, 50_000), (b, 444), &[TCP, DROP], "attempt", Some("1")),
        ("firewall", (a, 50_000), (b, 444), &[TCP], "unclear", Some("1")),
        ("firewall", (a, 50_000), ("10.1.0.2", 1), &[TCP, ALLOWED], "internal", None),
        ("firewall", ("10.1.0.9", 50_000), (c, 25), &[TCP, ALLOWED], "exception", None),
        // The clause is the source's zone's, else the destination's.
        ("firewall", (c, 50_000), (a, 22), &[TCP, ALLOWED], "violation", Some("1")),
        ("firewall", (c, 50_000), (b, 22), &[TCP, ALLOWED], "kept", None),
        // Without a protocol or port, what a line might allow is not called a violation; what none can is.
        ("firewall", (a, 0), (b, 0), &[TCP, ALLOWED], "unclear", Some("1")),
        ("firewall", (a, 50_000), (b, 443), &[ALLOWED], "unclear", Some("1")),
        ("firewall", (a, 50_000), (b, 444), &[ALLOWED], "violation", Some("1")),
        ("firewall", (a, 0), (c, 0), &[TCP, ALLOWED], "violation", Some("1")),
        // Flows have passed, but an unanswered opening has not.
        ("flow", (a, 50_000), (b, 1500), &[UDP], "kept", None),
        ("flow", (a, 50_000), (b, 22), &[TCP, WHOLE], "violation", Some("1")),
        ("flow", (a, 50_000), (b, 22), &[TCP, SYN], "attempt", Some("1")),
        ("flow", (a, 50_000), (b, 22), &[TCP, WHOLE, DENIED], "attempt", Some("1")),
        // Answers come back from an allowed service's port; an opening is none, nor is what comes from a port that is not allowed.
        ("flow", (b, 443), (a, 50_000), &[TCP, WHOLE], "kept", None),
        ("flow", (b, 1500), (a, 50_000), &[UDP], "kept", None),
        ("flow", (b, 443), (a, 50_000), &[TCP, SYN], "attempt", Some("1")),
        ("flow", (b, 444), (a, 50_000), &[TCP, WHOLE], "violation", Some("1")),
        ("flow", (b, 443), (a, 22), &[TCP, WHOLE], "violation", Some("1")),
        // A sensor on the wire says what became of a connection, and who began it.
        ("network", (a, 50_000), (b, 444), &[TCP, ("zeek.connection.conn_state", Value::Text("SF"))], "violation", Some("1")),
        ("network", (a, 50_000), (b, 444), &[TCP, ("zeek.connection.conn_state", Value::Text("S0"))], "attempt", Some("1")),
        ("network", (a, 50_000), (b, 443), &[TCP, ("zeek.connection.conn_state", Value::Text("SF"))], "kept", None),
        ("network", (a, 50_000), (b, 444), &[TCP, ("event.action", Value::Text("flow")), ANSWERED], "violation", Some("1")),
        ("network", (b, 444), (a, 50_000), &[TCP, ("argus.state", Value::Text("s_")), CLIENT, SERVER], "attempt", Some("1")),
        // A host and the address that it is translated to are no two ends.
        ("firewall", (a, 50_000), (c, 61_000), &[TCP, ("event.action", Value::Text("address-translation"))], "none", None),
        // Of a datagram that nobody answers is not known whether it came through; of a connection it is.
        ("flow", (a, 50_000), (b, 1500), &[UDP, NOTHING_BACK], "kept", None),
        ("flow", (a, 50_000), (b, 22), &[UDP, NOTHING_BACK], "unclear", Some("1")),
        ("firewall", (a, 50_000), (b, 22), &[UDP, NOTHING_BACK, DENIED], "attempt", Some("1")),
        ("flow", (a, 50_000), (b, 22), &[TCP, NOTHING_BACK], "attempt", Some("1")),
        // No router carries what comes from a link: it belongs to no zone. What goes to many, and between neighbours, stays there.
        ("firewall", (link, 50_000), (a, 445), &[TCP, ALLOWED], "violation", Some("1")),
        ("firewall", (link, 50_000), (a, 445), &[TCP, DENIED], "attempt", Some("1")),
        ("flow", (link_v6, 50_000), ("2001:db8::1", 445), &[TCP, WHOLE], "violation", None),
        ("flow", (link_v6, 0), ("2001:db8::1", 0), &[NEIGHBOUR], "internal", None),
        ("flow", (link, 5353), ("224.0.0.251", 5353), &[UDP], "internal", None),
        // An answer that is translated goes back to who asked, by the answer's port or by the lower one.
        ("flow", (c, 443), (translated, 50_000), &[TCP, WHOLE, REALLY_B], "kept", None),
        ("flow", (c, 53), (translated, 50_000), &[UDP, REALLY_B], "kept", None),
        ("flow", (c, 8443), (translated, 50_000), &[TCP, ACK, REALLY_B], "kept", None),
        ("flow", (c, 50_000), (translated, 443), &[TCP, WHOLE, REALLY_B], "violation", None),
        // The packet of a DNS answer, as some sensors tell it: its destination asked.
        ("network", (c, 53), (b, 50_000), &[UDP, ("dns.question.name", Value::Text("example.jp"))], "kept", None),
        // By way of a proxy in zone b, which a may reach; from b outside there is no zone between.
        ("proxy", (a, 0), (c, 443), &[TCP, ALLOWED], "kept", None),
        ("proxy", (a, 0), (c, 443), &[TCP, DENIED], "attempt", Some("1")),
        ("proxy", (c, 0), (a, 443), &[TCP, ALLOWED], "violation", Some("1")),
    ];
    // Zone a alone has a clause.
    let text = SMALL
        .replace("{from: b, to: c, service: [any]}", "{from: b, to: c, service: [any]}\n  - {from: c, to: b, service: [tcp/22]}");
    let (policy, _) = Policy::parse(&text).expect("valid");
    let mut builder = BatchBuilder::default();
    for (at, (category, source, destination, cells, ..)) in told.iter().enumerate() {
        let head = FrameHead {
            position: Position { partition: 0, offset: at as u64 + 1 },
            ..FrameHead::new(Transport::Internal, Content::Text)
        };
        let mut row = builder.row(&head, 0, "");
        row.log_source(LogSourceId::intern(LogSource { category: Some(category), ..LogSource::default() }));
        for (side, ip, port) in [("source", source.0, source.1), ("destination", destination.0, destination.1)] {
            row.ip(FieldId::find(&format!("{side}.ip")).expect("known"), ip.parse().expect("an address"));
            if port != 0 {
                row.int(FieldId::find(&format!("{side}.port")).expect("known"), i64::from(port));
            }
        }
        for (name, value) in *cells {
            row.value(FieldId::intern(name).expect("room"), *value);
        }
    }
    let mut batch = builder.finish(LogRange { partition: 0, first: 1, last: told.len() as u64 }, Time::UNKNOWN);
    let mut read = batch.clone();
    policy.annotate(&mut batch);
    crate::Observed::read(&mut read, Some(&policy));
    assert!(batch.iter().zip(read.iter()).all(|(a, b)| a.cells().eq(b.cells())), "read for behaviours too, they are the same");
    for (event, case) in batch.iter().zip(told) {
        if case.4 == "none" {
            assert!(verdict_of(event).is_none() && event.get(FieldId::ZONE_SOURCE).is_none(), "{case:?}");
            continue;
        }
        assert_eq!(verdict_of(event), Some(case.4), "{case:?}");
        assert_eq!(event.get(FieldId::POLICY_CLAUSE).and_then(|v| v.as_text()), case.5, "{case:?}");
        let initiator = event.get(FieldId::POLICY_INITIATOR).and_then(|v| v.as_text());
        let forbidden = matches!(case.4, "violation" | "attempt" | "unclear");
        assert_eq!(initiator.is_some(), forbidden, "{case:?}");
        let from_outside = policy.zone_of(case.1.0.parse().expect("an address")) == "c";
        assert!(!forbidden || (initiator == Some("outside")) == from_outside, "{case:?}");
        assert_eq!(
            event.get(FieldId::ZONE_SOURCE).and_then(|v| v.as_text()),
            Some(policy.zone_of(case.1.0.parse().expect("ip")))
        );
    }
}
