//! Rows of the policy that hang on time and measure, each test named after its row: sources that fall silent, floods, contractors' logins.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use event::{
    BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSource, LogSourceId, Position, RowBuilder, Time, Transport, Value,
};
use rules::alert::{Alert, AlertChange};
use rules::{Behaviour, BehaviourOptions, LoadOptions, Site, load, pack};

const SECOND_NS: i64 = 1_000_000_000;
/// Monday, 6 April 2026, midnight in Japan.
const MONDAY_S: i64 = 1_775_401_200;

/// A shipped rule with some of its text replaced, over events that `next` fills in, each with the sender's address; gives every alert as
/// it stands in the end.
fn run(
    rule: &str,
    replace: &[(&str, &str)],
    mut next: impl FnMut() -> Option<(i64, IpAddr, Box<dyn Fn(&mut RowBuilder<'_>)>)>,
) -> Vec<Alert> {
    let name = format!("pack/{rule}/rule.yml");
    let mut text = pack().iter().find(|(n, _)| *n == name).expect("shipped").1.to_owned();
    for (find, put) in replace {
        assert!(text.contains(find), "{find}");
        text = text.replace(find, put);
    }
    let (set, problems) = load(&[(name, text)], &LoadOptions::default());
    assert_eq!(problems, []);
    let options = BehaviourOptions { lateness_ns: 0, site: Arc::new(Site::new(&[], None).expect("the default")) };
    let mut behaviour = Behaviour::new(Arc::new(set), options);
    let mut out = Vec::new();
    let mut alerts: Vec<Alert> = Vec::new();
    let mut offset = 0;
    let mut more = true;
    while more {
        let mut builder = BatchBuilder::default();
        let (first, mut received) = (offset + 1, Time::UNKNOWN);
        for _ in 0..4096 {
            let Some((ns, source, fill)) = next() else {
                more = false;
                break;
            };
            offset += 1;
            received = Time::from_unix_ns(ns);
            let head = FrameHead {
                position: Position { partition: 0, offset },
                received,
                source: Some(SocketAddr::new(source, 514)),
                ..FrameHead::new(Transport::Udp, Content::Text)
            };
            let mut row = builder.row(&head, 0, "");
            row.time(received);
            fill(&mut row);
        }
        behaviour.advance(&builder.finish(LogRange { partition: 0, first, last: offset }, received), &mut out);
        if !more {
            behaviour.flush(&mut out);
        }
        for change in out.drain(..) {
            let alert = change.alert().clone();
            match (&change, alerts.iter_mut().find(|a| a.id == alert.id)) {
                (AlertChange::Updated(_), Some(there)) => *there = alert,
                _ => alerts.push(alert),
            }
        }
    }
    alerts
}

/// A hundred sources, each with a rhythm of its own, ten of them quiet from eight in the evening to seven in the morning. One stops on the
/// fourth day.
#[test]
fn p12_one_of_a_hundred_sources_falls_silent_and_is_missed_within_its_own_period() {
    const STOPPED: usize = 41;
    let period_s = |source: usize| 20 + (source as i64 * 7) % 100;
    let stop_s = 3 * 86_400 + 11 * 3600;
    let end_s = 4 * 86_400 + 12 * 3600;
    let mut due: Vec<(i64, usize)> = (0..100).map(|source| (source as i64, source)).collect();
    due.sort_unstable_by(|a, b| b.cmp(a));
    let mut heap: std::collections::BinaryHeap<std::cmp::Reverse<(i64, usize)>> =
        due.into_iter().map(std::cmp::Reverse).collect();
    let alerts = run("source-silent", &[], || {
        loop {
            let std::cmp::Reverse((at, source)) = heap.pop()?;
            if at >= end_s {
                return None;
            }
            // Some jitter, always the same.
            let jitter = (at * 2_654_435_761 + source as i64 * 97).rem_euclid(9) - 4;
            heap.push(std::cmp::Reverse((at + period_s(source) + jitter, source)));
            let hour = at / 3600 % 24;
            let asleep = source.is_multiple_of(10) && !(7..20).contains(&hour);
            if asleep || source == STOPPED && at >= stop_s {
                continue;
            }
            let name = format!("device{source}");
            let fill: Box<dyn Fn(&mut RowBuilder<'_>)> = Box::new(move |row| row.text(FieldId::HOST_NAME, &name));
            return Some(((MONDAY_S + at) * SECOND_NS, IpAddr::from([192, 0, 2, source as u8]), fill));
        }
    });
    let hosts: Vec<&str> = alerts.iter().map(|alert| &alert.group["host.name"]).collect();
    assert_eq!(hosts, ["device41"], "nobody else, also not those who sleep at night");
    let after_s = alerts[0].last.unix_s() - MONDAY_S - stop_s;
    let told = |name: &str| alerts[0].explanation[name].parse::<f64>().expect("a number");
    // The floor of the shipped rule is five minutes; its learned gap is about its period.
    assert!(
        (told("usual_gap_s") - period_s(STOPPED) as f64).abs() <= period_s(STOPPED) as f64 * 0.5,
        "{:?}",
        alerts[0].explanation
    );
    assert!((0..=(period_s(STOPPED) * 6).max(400)).contains(&after_s), "missed after {after_s} s");
}

/// What a flood was made of, and what its alert measures.
struct Flood {
    name: &'static str,
    /// Records a second, and what each of them has.
    flows: i64,
    packets: i64,
    bytes: i64,
    seconds: i64,
    sources: i64,
    flags: i64,
    transport: &'static str,
    port: i64,
    source_port: i64,
    class: &'static str,
}

#[test]
fn p13_a_flood_is_measured_within_one_in_a_hundred() {
    for flood in [
        Flood {
            name: "SYN",
            flows: 2000,
            packets: 500,
            bytes: 30_000,
            seconds: 120,
            sources: 5000,
            flags: 2,
            transport: "tcp",
            port: 443,
            source_port: 0,
            class: "tcp syn",
        },
        Flood {
            name: "amplified",
            flows: 500,
            packets: 600,
            bytes: 800_000,
            seconds: 45,
            sources: 900,
            flags: -1,
            transport: "udp",
            port: 40_000,
            source_port: 123,
            class: "udp amplification",
        },
        Flood {
            name: "long, from everywhere",
            flows: 400,
            packets: 1000,
            bytes: 64_000,
            seconds: 600,
            sources: 60_000,
            flags: -1,
            transport: "udp",
            port: 80,
            source_port: 0,
            class: "udp",
        },
    ] {
        let (mut n, total) = (0i64, flood.flows * flood.seconds);
        let Flood { flows, packets, bytes, sources, flags, transport, port, source_port, .. } = flood;
        let alerts = run("flood", &[], || {
            // An hour later something ordinary, so that the flood is over.
            if n > total {
                return None;
            }
            let ordinary = n == total;
            let at = MONDAY_S * SECOND_NS + n * SECOND_NS / flows + if ordinary { 3600 * SECOND_NS } else { 0 };
            let source = n * 7919 % sources;
            n += 1;
            let fill: Box<dyn Fn(&mut RowBuilder<'_>)> = Box::new(move |row| {
                row.log_source(LogSourceId::intern(LogSource { category: Some("flow"), ..LogSource::default() }));
                row.ip(FieldId::SOURCE_IP, std::net::Ipv4Addr::from_bits(0xc612_0000 + source as u32).into());
                row.ip(FieldId::DESTINATION_IP, [10, 3, 0, if ordinary { 9 } else { 80 }].into());
                row.int(FieldId::SOURCE_PORT, if source_port == 0 { 1024 + (n * 31) % 60_000 } else { source_port });
                row.int(FieldId::DESTINATION_PORT, port);
                row.text(FieldId::NETWORK_TRANSPORT, transport);
                row.int(FieldId::SOURCE_BYTES, bytes);
                row.int(FieldId::SOURCE_PACKETS, packets);
                row.value(FieldId::EVENT_START, Value::Time(Time::from_unix_ns(at)));
                if flags >= 0 {
                    row.int(FieldId::FLOW_TCP_FLAGS, flags);
                }
            });
            Some((at, IpAddr::from([192, 0, 2, 1]), fill))
        });
        let [alert] = &alerts[..] else { panic!("{}: {alerts:?}", flood.name) };
        let told = |name: &str| alert.explanation[name].parse::<f64>().expect("a number");
        for (name, measured, made) in [
            ("Gbit/s", told("peak_gigabits_per_second"), (flows * bytes * 8) as f64 / 1e9),
            ("mean Mbit/s", told("mean_megabits_per_second"), (flows * bytes * 8) as f64 / 1e6),
            ("packets/s", told("peak_packets_per_second"), (flows * packets) as f64),
            ("bytes", told("bytes"), (total * bytes) as f64),
            ("packets", told("packets"), (total * packets) as f64),
            ("seconds", told("seconds"), flood.seconds as f64),
            ("sources", told("sources"), sources.min(total) as f64),
        ] {
            assert!((measured / made - 1.0).abs() <= 0.01, "{}: {name}: measured {measured}, made {made}", flood.name);
        }
        assert_eq!(alert.explanation["class"], flood.class, "{}", flood.name);
    }
}

#[test]
fn p14_a_contractor_logs_in_on_a_monday_at_ten_or_at_the_turn_of_the_year() {
    for (time, user, alerts) in [
        ("2026-12-14T10:00:00+09:00", "vendor-nw", 0),
        ("2027-01-03T10:00:00+09:00", "vendor-nw", 1),
        ("2027-01-04T10:00:00+09:00", "vendor-nw", 0),
        ("2026-09-22T10:00:00+09:00", "vendor-nw", 1),
        ("2026-12-14T03:00:00+09:00", "vendor-nw", 1),
        ("2027-01-03T10:00:00+09:00", "sato.k", 0),
    ] {
        let at: Time = time.parse().expect("a time");
        let mut once = Some(at);
        let found = run("vendor-out-of-hours", &[], || {
            let at = once.take()?;
            let fill: Box<dyn Fn(&mut RowBuilder<'_>)> = Box::new(move |row| {
                row.text(FieldId::EVENT_CATEGORY, "authentication");
                row.text(FieldId::EVENT_OUTCOME, "success");
                row.text(FieldId::USER_NAME, user);
                row.ip(FieldId::SOURCE_IP, [10, 3, 9, 9].into());
            });
            Some((at.unix_ns(), IpAddr::from([192, 0, 2, 1]), fill))
        });
        assert_eq!(found.len(), alerts, "{time} {user}");
    }
}
