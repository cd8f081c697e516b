//! What behaviour's alerts must not depend on: the order of arrival within lateness, batch sizes, interruptions. And what a correlation
//! may not name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, Time, Transport};
use proptest::prelude::*;
use rules::alert::AlertChange;
use rules::{Behaviour, BehaviourOptions, LoadOptions, Observed, RuleSet, Site, load};

const LATENESS_S: i64 = 30;

/// Every behaviour that watches what events tell of, so low that a few hundred events reach it.
const RULES: &str = "
title: Beacon
behaviour: {type: beacon, score: 0.3, timing_score: 0.1, connections: 4, span: 10s}
mihari: {fold: 1h}
---
title: Unanswered
behaviour: {type: beacon, answered: 'no', score: 0.3, timing_score: 0.1, connections: 4, span: 10s}
---
title: Long
behaviour: {type: long_connection, bands: [30s, 5m]}
---
title: Scan
behaviour: {type: scan, hosts: 3, ports: 3, pings: 3, contacts: 4}
---
title: Guessing
behaviour: {type: guessing, connections: 5, failures: 3, users: 3, sources: 3, gap: 30s}
---
title: Exfiltration
behaviour: {type: exfiltration, bytes: 1000000}
---
title: Tunnel
behaviour: {type: dns_tunnel, names: 10, name_bytes: 8, entropy: 1.0}
---
title: New service
behaviour: {type: first_seen, what: service, learn: 10s}
---
title: New destination
behaviour: {type: first_seen, what: destination, learn: 10s, stable: 1000}
---
title: Port
behaviour: {type: port}
---
title: Past the proxy
behaviour: {type: bypass, of: proxy, clients: 2, share: 0.5, connections: 1, learn: 0s}
---
title: Past the resolver
behaviour: {type: bypass, of: dns, clients: 2, share: 0.5, connections: 1, learn: 0s}
---
title: Flood
behaviour: {type: flood, bits_per_second: 5000, packets_per_second: 20, flows_per_second: 10, seconds: 1s}
---
title: Lateral
behaviour: {type: lateral, hosts: 2}
---
title: Carrier
behaviour: {type: carrier, ping_bytes: 40, bytes: 1000}
---
title: Mail
behaviour: {type: mail, hosts: 3}
---
title: Chat
behaviour: {type: chat, connections: 2}
---
title: Peers
behaviour: {type: peers, hosts: 5, networks: 3, failed_share: 0}
---
title: Made-up names
behaviour: {type: names, what: made_up, names: 5, entropy: 0}
---
title: Many addresses
behaviour: {type: names, what: addresses, networks: 5}
---
title: Clicks
behaviour: {type: clicks, queries: 1, hosts: 3, gap: 1h, span: 5s}
---
title: Outgoing flood
behaviour: {type: flood, class: inside, bits_per_second: 1000, seconds: 1s}
---
title: Strangers
behaviour: {type: scan, class: outside, digest: 'yes', hosts: 3}
";

/// What an event tells of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Answered,
    Unanswered,
    Upload,
    Long,
    /// One way alone: the other way is another record.
    There,
    Back,
    /// What the other device tells of a connection.
    Again,
    Administration,
    OtherPort,
    Ping,
    PingOut,
    Mail,
    Query,
    Proxied,
    Failure,
    Success,
    Irc,
    Peer,
    NoName,
    Addresses,
    Page,
    Stranger,
}

const KINDS: [Kind; 22] = [
    Kind::Answered,
    Kind::Unanswered,
    Kind::Upload,
    Kind::Long,
    Kind::There,
    Kind::Back,
    Kind::Again,
    Kind::Administration,
    Kind::OtherPort,
    Kind::Ping,
    Kind::PingOut,
    Kind::Mail,
    Kind::Query,
    Kind::Proxied,
    Kind::Failure,
    Kind::Success,
    Kind::Irc,
    Kind::Peer,
    Kind::NoName,
    Kind::Addresses,
    Kind::Page,
    Kind::Stranger,
];

/// An event: its number in the order of time, when it happened, how long it took to arrive (both in milliseconds), what it tells of.
#[derive(Clone, Debug)]
struct Seen {
    number: u64,
    time: i64,
    delay: i64,
    kind: Kind,
    source: u8,
    other: u8,
}

/// A few hundred events, each at a time of its own: what happened at one instant is taken in the order of the log.
fn streams() -> impl Strategy<Value = Vec<Seen>> {
    let one = (1i64..900, 0i64..=LATENESS_S * 1000, prop::sample::select(KINDS.to_vec()), 0u8..3, 0u8..8);
    prop::collection::vec(one, 200..800).prop_map(|all| {
        let mut time = 1_770_000_000_000;
        let seen = |(number, (gap, delay, kind, source, other))| {
            time += gap;
            Seen { number, time, delay, kind, source, other }
        };
        (0..).zip(all).map(seen).collect()
    })
}

fn fill(row: &mut event::RowBuilder<'_>, seen: &Seen) {
    let Seen { source, other, number, .. } = seen;
    let mut text = |name: &'static str, value: &str| row.text(FieldId::known(name), value);
    let stranger = matches!(seen.kind, Kind::Stranger);
    text("source.ip", &if stranger { format!("198.{}.7.{source}", number % 250) } else { format!("10.0.0.{source}") });
    let outside = format!("198.51.100.{}", other % 2);
    let (inside, mail) = (format!("10.0.{}.{other}", if stranger { 2 + number % 9 } else { 1 }), format!("203.0.113.{other}"));
    let peer = format!("{}.{other}.0.9", 20 + number % 50);
    let ports = |row: &mut event::RowBuilder<'_>, from: u64, to: u64| {
        row.uint(FieldId::known("source.port"), from);
        row.uint(FieldId::known("destination.port"), to);
    };
    match seen.kind {
        Kind::Query => {
            text("dns.question.name", &format!("a{number:07x}{other}.example.com"));
            text("dns.question.registered_domain", "example.com");
            text("dns.question.type", "A");
            text("destination.ip", if *other == 0 { "198.51.100.53" } else { "10.0.0.53" });
            return;
        }
        Kind::NoName | Kind::Addresses => {
            let made_up = matches!(seen.kind, Kind::NoName);
            let domain = if made_up { format!("k{number}x.com") } else { "many.example.org".to_owned() };
            text("dns.question.name", &domain);
            text("dns.response_code", if made_up { "NXDOMAIN" } else { "NOERROR" });
            text("dns.answers.data", if made_up { "" } else { "20.1.0.9,21.1.0.9" });
            text("dns.answers.data", &format!("30.{}.0.9", number % 200));
            return;
        }
        Kind::Proxied => {
            text("http.request.method", "CONNECT");
            text("url.domain", &format!("host{}.example.net", other % 2));
            return;
        }
        Kind::Failure | Kind::Success => {
            text("event.category", "authentication");
            text("event.outcome", if matches!(seen.kind, Kind::Failure) { "failure" } else { "success" });
            text("user.name", &format!("user{other}"));
            text("host.name", "server");
            return;
        }
        _ => {}
    }
    let (to, transport, answer) = match seen.kind {
        Kind::Unanswered if *other > 4 => (&inside, "tcp", "unanswered"),
        Kind::Unanswered => (&outside, "tcp", "unanswered"),
        Kind::Administration => (&inside, "tcp", "answered"),
        Kind::Ping => (&inside, "icmp", ""),
        Kind::PingOut => (&outside, "icmp", ""),
        Kind::Mail | Kind::Page => (&mail, "tcp", "answered"),
        Kind::Peer => (&peer, "udp", if number % 3 == 0 { "unanswered" } else { "answered" }),
        Kind::Stranger => (&inside, "tcp", "unanswered"),
        Kind::There | Kind::Back => (&outside, "udp", ""),
        _ => (&outside, "tcp", "answered"),
    };
    if matches!(seen.kind, Kind::Back) {
        text("source.ip", "");
    }
    text("destination.ip", to);
    text("network.transport", transport);
    if !answer.is_empty() {
        text("flow.answer", answer);
    }
    if matches!(seen.kind, Kind::OtherPort) {
        text("network.protocol", "ssh");
    }
    let (sent, received) = match seen.kind {
        Kind::Upload => (400_000, Some(100)),
        Kind::PingOut => (600, None),
        Kind::There | Kind::Back | Kind::Ping => (90 + number % 7, None),
        _ => (500 + number % 5, Some(700)),
    };
    row.uint(FieldId::known("source.bytes"), sent);
    row.uint(FieldId::known("source.packets"), 1 + sent / 1000);
    if let Some(received) = received {
        row.uint(FieldId::known("destination.bytes"), received);
    }
    match seen.kind {
        // Few source ports, so that both ways and both devices' records meet.
        Kind::There | Kind::Back => ports(row, 50_000 + u64::from(*other), 8000),
        Kind::Again => ports(row, 40_000 + number.saturating_sub(1) % 50, 443),
        Kind::Administration => ports(row, 40_000 + number, 445),
        Kind::OtherPort => ports(row, 40_000 + number, 4444),
        Kind::Unanswered => ports(row, 40_000 + number, if *other > 4 { 445 } else { 80 + u64::from(*other) }),
        Kind::Ping | Kind::PingOut => row.uint(FieldId::known("icmp.type"), 8),
        Kind::Mail => ports(row, 40_000 + number, 25),
        Kind::Irc => ports(row, 40_000 + number, 6667),
        Kind::Peer => ports(row, 40_000 + number, 20_000 + number % 900),
        Kind::Page => ports(row, 40_000 + number, 80),
        Kind::Stranger => ports(row, 40_000 + number, 3389),
        _ => ports(row, 40_000 + number % 50, 443),
    }
    if matches!(seen.kind, Kind::Long) {
        row.uint(FieldId::known("event.duration"), 400_000_000_000);
    }
}

struct Ran {
    changes: Vec<AlertChange>,
    /// The events' numbers in the order of their arrival.
    numbers: Vec<u64>,
    late: u64,
}

/// Runs over events as they arrive, in batches of the sizes of `per`, again and again; where `interrupted`, each batch by a behaviour
/// that was restored from the one before.
fn run(set: &Arc<RuleSet>, events: &[Seen], per: &[usize], interrupted: bool) -> Ran {
    let options =
        BehaviourOptions { lateness_ns: LATENESS_S * 1_000_000_000, site: Arc::new(Site::new(&[], None).expect("the default")) };
    let mut behaviour = Behaviour::new(set.clone(), options.clone());
    let (mut out, mut offset, mut rest) = (Vec::new(), 0, events);
    for size in per.iter().cycle() {
        let (chunk, after) = rest.split_at(rest.len().min(*size));
        rest = after;
        let Some(last) = chunk.last() else { break };
        let mut builder = BatchBuilder::default();
        let first = offset + 1;
        let received = |seen: &Seen| Time::from_unix_ns((seen.time + seen.delay) * 1_000_000);
        for seen in chunk {
            offset += 1;
            let sensor: IpAddr = if matches!(seen.kind, Kind::Again) { [192, 0, 2, 2].into() } else { [192, 0, 2, 1].into() };
            let head = FrameHead {
                position: Position { partition: 0, offset },
                received: received(seen),
                source: Some(SocketAddr::new(sensor, 1)),
                ..FrameHead::new(Transport::Internal, Content::Text)
            };
            let mut row = builder.row(&head, 0, "");
            row.time(Time::from_unix_ns(seen.time * 1_000_000));
            fill(&mut row, seen);
        }
        let mut batch = builder.finish(LogRange { partition: 0, first, last: offset }, received(last));
        // Read beforehand or not.
        if first % 2 == 0 {
            let observed = Observed::read(&mut batch, None);
            behaviour.take(&batch, observed, &mut out);
        } else {
            behaviour.advance(&batch, &mut out);
        }
        if interrupted {
            let snapshot = behaviour.snapshot();
            behaviour = Behaviour::new(set.clone(), options.clone());
            behaviour.restore(&snapshot).expect("a snapshot of the same rules");
        }
    }
    behaviour.flush(&mut out);
    Ran { changes: out, numbers: events.iter().map(|seen| seen.number).collect(), late: behaviour.counters().late }
}

/// Each alert as it stands in the end, and the events that show it by their numbers: their ids tell the order of arrival.
fn in_the_end(Ran { changes, numbers, .. }: &Ran) -> BTreeMap<String, (String, BTreeSet<u64>)> {
    let last: BTreeMap<_, _> = changes.iter().map(|change| (change.alert().id.clone(), change.alert().clone())).collect();
    let told = |(id, mut alert): (String, rules::alert::Alert)| {
        let evidence = alert.evidence.drain(..).map(|event| numbers[event.frame.offset as usize - 1]).collect();
        (id, (alert.to_json(), evidence))
    };
    last.into_iter().map(told).collect()
}

fn rules() -> Arc<RuleSet> {
    let (set, problems) = load(&[("rules".to_owned(), RULES.to_owned())], &LoadOptions::default());
    assert_eq!(problems, []);
    Arc::new(set)
}

#[test]
fn order_of_arrival_batches_and_interruptions_change_no_alert() {
    let set = rules();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let titles = std::cell::RefCell::new(BTreeSet::new());
    let cases = (streams(), prop::collection::vec(1usize..40, 1..6));
    let law = runner.run(&cases, |(in_order, per)| {
        let mut arriving = in_order.clone();
        arriving.sort_by_key(|seen| seen.time + seen.delay);
        let at_once: Vec<Seen> = in_order.into_iter().map(|seen| Seen { delay: 0, ..seen }).collect();
        let whole = run(&set, &at_once, &[1], false);
        let expected = in_the_end(&whole);
        titles.borrow_mut().extend(whole.changes.iter().map(|change| change.alert().rule.title.clone()));
        let batches = run(&set, &arriving, &per, false);
        let again = run(&set, &arriving, &per, true);
        prop_assert_eq!((whole.late, batches.late, again.late), (0, 0, 0));
        prop_assert_eq!(&batches.changes, &again.changes, "interrupted");
        prop_assert_eq!(expected, in_the_end(&batches), "reordered, in batches");
        Ok(())
    });
    if let Err(why) = law {
        panic!("{why}");
    }
    let all: BTreeSet<String> = set.rules().map(|rule| rule.title.clone()).collect();
    assert_eq!(*titles.borrow(), all, "the streams exercise every behaviour");
}

#[test]
fn beyond_lateness_order_does_matter() {
    let set = rules();
    // Three failures and a success after them, which arrives first where the failures are late.
    let ends_in_success = |delay: i64| {
        let kinds = [Kind::Failure, Kind::Failure, Kind::Failure, Kind::Success];
        let seen = |(number, kind): (u64, Kind)| {
            let delay = if matches!(kind, Kind::Failure) { delay } else { 0 };
            Seen { number, time: 1_770_000_000_000 + number as i64 * 1000, delay, kind, source: 1, other: 7 }
        };
        let mut events: Vec<Seen> = (0..).zip(kinds).map(seen).collect();
        events.sort_by_key(|seen| seen.time + seen.delay);
        let ran = run(&set, &events, &[1], false);
        let succeeded = ran.changes.iter().any(|change| change.alert().explanation["kind"].contains("succeeded"));
        (succeeded, ran.late)
    };
    assert_eq!(ends_in_success(LATENESS_S * 1000), (true, 0));
    assert_eq!(ends_in_success(LATENESS_S * 1000 + 10_000), (false, 3));
}

#[test]
fn a_correlation_of_a_behaviour_is_refused() {
    for (names, word) in [("[guessing]", "guessing"), ("[failed, guessing]", "guessing"), ("[4b1d4f0e]", "4b1d4f0e")] {
        let text = format!(
            "title: Guessing
id: 4b1d4f0e
name: guessing
behaviour: {{type: guessing}}
---
title: Failed
name: failed
logsource: {{category: any}}
detection: {{s: {{k: a}}, condition: s}}
---
title: Both
correlation: {{type: temporal, rules: {names}, group-by: [source.ip], timespan: 5m}}
"
        );
        let (set, problems) = load(&[("rules".to_owned(), text)], &LoadOptions::default());
        let [problem] = &problems[..] else { panic!("{names}: {problems:?}") };
        assert!(problem.refused && problem.reason.contains(&format!("names {word:?}, a behaviour")), "{problem:?}");
        assert!(set.rules().all(|rule| rule.alerts), "what it named still alerts");
    }
}

#[test]
fn another_rule_set_takes_up_what_both_have() {
    let of = |text: &str| {
        let (set, problems) = load(&[("rules".to_owned(), text.to_owned())], &LoadOptions::default());
        assert_eq!(problems, []);
        Arc::new(set)
    };
    const SCAN: &str = "title: Scan\nid: s\nbehaviour: {type: scan, hosts: 6, ports: 9, pings: 9, contacts: 90}\n";
    let first = of(&format!("title: Long\nbehaviour: {{type: long_connection, bands: [30s, 5m]}}\n---\n{SCAN}"));
    for (name, text, anew, fires) in [
        ("moved, with others about it", format!("{SCAN}---\ntitle: Flood\nbehaviour: {{type: flood}}\n"), 1, true),
        ("its words and level changed", format!("{SCAN}level: critical\ndescription: other words\n"), 0, true),
        ("its numbers changed", SCAN.replace("hosts: 6", "hosts: 5"), 0, true),
        ("what it watches changed", SCAN.replace("hosts: 6", "class: outside, hosts: 6"), 1, false),
        ("its id changed", SCAN.replace("id: s", "id: t"), 1, false),
    ] {
        for restored in [false, true] {
            let second = of(&text);
            let options = BehaviourOptions { lateness_ns: 0, site: Arc::new(Site::new(&[], None).expect("the default")) };
            let mut behaviour = Behaviour::new(first.clone(), options.clone());
            let mut out = Vec::new();
            for number in 0..6u64 {
                if number == 3 {
                    if restored {
                        let snapshot = behaviour.snapshot();
                        behaviour = Behaviour::new(second.clone(), options.clone());
                        assert_eq!(behaviour.restore(&snapshot).expect("a snapshot"), anew, "{name}");
                    } else {
                        assert_eq!(behaviour.replace(second.clone()), anew, "{name}");
                    }
                }
                let time = Time::from_unix_ns(1_770_000_000_000_000_000 + number as i64 * 1_000_000_000);
                let mut builder = BatchBuilder::default();
                let head = FrameHead {
                    position: Position { partition: 0, offset: number + 1 },
                    received: time,
                    ..FrameHead::new(Transport::Internal, Content::Text)
                };
                let mut row = builder.row(&head, 0, "");
                row.time(time);
                // One host after the other, each in vain.
                let other = number as u8 + 5;
                fill(&mut row, &Seen { number, time: 0, delay: 0, kind: Kind::Unanswered, source: 1, other });
                drop(row);
                let range = LogRange { partition: 0, first: number + 1, last: number + 1 };
                behaviour.advance(&builder.finish(range, time), &mut out);
            }
            behaviour.flush(&mut out);
            assert_eq!(out.iter().any(|change| change.alert().rule.title == "Scan"), fires, "{name}, restored: {restored}");
        }
    }
}
