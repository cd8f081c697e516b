//! Who sends, counted: forged senders stay bounded, and the silent, the unknown and what never came have lists.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;

use api::{Limits, Tally};
use event::{Batch, BatchBuilder, Content, FormatId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use serde_json::{Value, json};

use super::server::{SECOND_NS, Server, count, start};

/// One datagram from each address, received at `at`; each fifth cannot be read.
fn datagrams(tenant: u32, addresses: impl Iterator<Item = u32>, at: Time) -> Batch {
    let mut builder = BatchBuilder::default();
    let mut last = 0;
    for (n, address) in addresses.enumerate() {
        last = n as u64 + 1;
        let head = FrameHead {
            position: Position { partition: 0, offset: last },
            received: at,
            tenant: TenantId(tenant),
            source: Some(SocketAddr::new(Ipv4Addr::from(address).into(), 514)),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        let mut row = builder.row(&head, 0, "<13>x");
        if n % 5 == 0 {
            row.quarantine("empty record");
        }
    }
    builder.finish(LogRange { partition: 0, first: 1, last }, at)
}

/// (rows, rows named `other`, records) of the sources, and (records, records of `other`) of the ledger.
fn counted(server: &Server, tenant: usize) -> ((usize, usize, i64), (i64, i64)) {
    let sources = server.get("/api/v1/sources", &server.tokens[tenant]).expect("read");
    let sources = sources["sources"].as_array().expect("a list").clone();
    let others = sources.iter().filter(|s| s["address"] == "other").count();
    let received = sources.iter().filter_map(|s| s["received"].as_i64()).sum();
    let ledger = server.get("/api/v1/ledger", &server.tokens[tenant]).expect("read");
    let days = ledger["days"].as_array().expect("a list").clone();
    let of = |name: Option<&str>| {
        let days = days.iter().filter(|d| name.is_none_or(|name| d["source"] == name));
        days.filter_map(|d| d["received"].as_i64()).sum::<i64>()
    };
    ((sources.len(), others, received), (of(None), of(Some("other"))))
}

#[test]
fn forged_senders_stay_bounded_and_are_counted() {
    let server = Server::start(Limits::default());
    let mut tally = Tally::default();
    let at = start();
    // Eleven thousand addresses in one commit, then as many others; a neighbour whose one sender is not touched by it.
    for (position, range) in [(1, 0..11_000), (2, 11_000..22_000)] {
        for from in range.clone().step_by(1000) {
            count(&mut tally, &datagrams(0, from..from + 1000, at));
        }
        count(&mut tally, &datagrams(1, 7..8, at));
        server.apply(position, &[], &[], &mut tally);
    }
    let (sources, ledger) = counted(&server, 0);
    assert_eq!(sources, (10_001, 1, 22_000));
    assert_eq!(ledger, (22_000, 12_000));
    assert_eq!(counted(&server, 1), ((1, 0, 2), (2, 0)));
    let most = server.get("/api/v1/sources?size=2", &server.tokens[0]).expect("read");
    assert_eq!((&most["total"], &most["sources"][0]["address"]), (&json!(10_001), &json!("other")));
    assert_eq!(most["sources"].as_array().map(Vec::len), Some(2));
    // Days later those have been silent and make room; what they sent is still counted.
    count(&mut tally, &datagrams(0, 50_000..50_010, at.plus_ns(2 * 86_400 * SECOND_NS)));
    server.apply(3, &[], &[], &mut tally);
    let (sources, ledger) = counted(&server, 0);
    assert_eq!(sources, (11, 1, 22_010));
    assert_eq!(ledger, (22_010, 12_000));
}

/// `n` records of one address, a minute apart up to this second after the start, of this format.
fn sender(tally: &mut Tally, tenant: u32, address: u32, n: i64, until_s: i64, format: FormatId) {
    for nth in 0..n {
        let received = start().plus_ns((until_s - 60 * (n - 1 - nth)) * SECOND_NS);
        let mut builder = BatchBuilder::default();
        let head = FrameHead {
            received,
            tenant: TenantId(tenant),
            source: Some(SocketAddr::new(Ipv4Addr::from(address).into(), 514)),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        builder.row(&head, 0, "<13>x").format(format);
        count(tally, &builder.finish(LogRange { partition: 0, first: 1, last: 1 }, received));
    }
}

#[test]
fn who_is_silent_and_whom_nobody_knows_have_lists_page_by_page() {
    let server = Server::start(Limits::default());
    let mut tally = Tally::default();
    let known = FormatId::known("squid");
    let (hour, address) = (3600, |n: u32| Ipv4Addr::from(n).to_string());
    for n in 1..=5 {
        sender(&mut tally, 0, n, 20, hour * i64::from(n), known); // A record a minute until then.
    }
    // One of its programs writes what nobody knows, in this commit and in the next: it is known all the same.
    sender(&mut tally, 0, 5, 1, 5 * hour, FormatId::known("syslog"));
    sender(&mut tally, 0, 6, 20, 6 * hour, FormatId::known("syslog"));
    sender(&mut tally, 0, 7, 1, 6 * hour - 1000, FormatId::UNKNOWN);
    sender(&mut tally, 0, 8, 2, 6 * hour - 1000, FormatId::UNKNOWN);
    sender(&mut tally, 1, 9, 20, hour, FormatId::UNKNOWN);
    server.apply(1, &[], &[], &mut tally);
    sender(&mut tally, 0, 5, 1, 5 * hour, FormatId::UNKNOWN);
    server.apply(2, &[], &[], &mut tally);
    server.clock.0.store(start().plus_ns((6 * hour + 60) * SECOND_NS).unix_ns(), Ordering::Relaxed);
    let pages = |path: &str, size: usize| {
        let (mut all, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = server.get(&format!("/api/v1/sources/{path}?size={size}{after}"), &server.tokens[0]).expect("read");
            all.extend(
                page["sources"].as_array().expect("a list").iter().map(|s| s["address"].as_str().expect("text").to_owned()),
            );
            pages += 1;
            match page["after"].as_str() {
                Some(next) => after = format!("&after={}", next.replace('|', "%7C")),
                None => return (all, page["total"].clone(), pages),
            }
        }
    };
    // Who has been silent for longest comes first; who pauses a minute may do so for a quarter of an hour.
    let silent: Vec<String> = [1, 2, 3, 4, 5, 7, 8].map(address).into();
    assert_eq!(pages("silent", 3), (silent.clone(), json!(7), 3));
    assert_eq!(pages("silent", 100), (silent, json!(7), 1));
    let unidentified: Vec<String> = [6, 7, 8].map(address).into();
    assert_eq!(pages("unidentified", 2), (unidentified.clone(), json!(3), 2));
    assert_eq!(pages("unidentified", 3), (unidentified, json!(3), 2), "a full last page does not know that it is the last");
    let all = server.get("/api/v1/sources?size=1", &server.tokens[0]).expect("read");
    assert_eq!([&all["total"], &all["silent"], &all["unidentified"], &all["quarantined"]], [8, 7, 3, 0], "{all}");
    let of = |n: u32| {
        let all = server.get("/api/v1/sources", &server.tokens[0]).expect("read");
        all["sources"].as_array().and_then(|all| all.iter().find(|s| s["address"] == address(n)).cloned()).expect("there")
    };
    assert_eq!((&of(5)["silent_ms"], &of(5)["unidentified"]), (&json!((hour + 60) * 1000), &json!(false)));
    assert_eq!((&of(6)["silent_ms"], &of(6)["unidentified"]), (&Value::Null, &json!(true)));
    for bad in ["silent?after=x", "unidentified?after=1%7Cx", "silent?what=1"] {
        assert!(server.get(&format!("/api/v1/sources/{bad}"), &server.tokens[0]).expect_err("refused").contains("400"), "{bad}");
    }
}

/// What exporters' sequence numbers say never came stands beside what was received, by source and in the ledger, which it does not touch.
#[test]
fn what_is_missing_by_an_exporter_s_numbers_stands_beside_its_ledger() {
    let server = Server::start(Limits::default());
    let (mut tally, at) = (Tally::default(), start());
    let exporter = |n| datagrams(0, n..n + 1, at).event(0).source().expect("a sender");
    count(&mut tally, &datagrams(0, 7..8, at));
    tally.missing(TenantId(0), exporter(7), at, "sequence_packets", 5);
    // Nothing that could be read ever came from there.
    tally.missing(TenantId(0), exporter(8), at, "sequence_records", 30);
    server.apply(1, &[], &[], &mut tally);
    tally.missing(TenantId(0), exporter(7), at, "sequence_packets", 2);
    tally.missing(TenantId(1), exporter(7), at, "sequence_packets", 1);
    server.apply(2, &[], &[], &mut tally);
    let sources = server.get("/api/v1/sources", &server.tokens[0]).expect("read");
    assert_eq!(sources["sources"][0]["address"], exporter(7).to_string());
    assert_eq!(sources["sources"][0]["lost_before"], json!({"sequence_packets": 7}));
    let ledger = server.get("/api/v1/ledger", &server.tokens[0]).expect("read");
    let of = |source: &str| ledger["days"].as_array().and_then(|days| days.iter().find(|day| day["source"] == source).cloned());
    let own = of(&exporter(7).to_string()).expect("a day");
    assert_eq!((&own["received"], &own["lost_before"]), (&json!(1), &json!({"sequence_packets": 7})));
    assert_eq!(of("other").expect("a day")["lost_before"], json!({"sequence_records": 30}));
    // Who makes room takes what it lost along.
    for (position, from) in [(3, 100_000), (4, 200_000)] {
        for from in (from..from + 11_000).step_by(1000) {
            count(&mut tally, &datagrams(0, from..from + 1000, at.plus_ns(2 * 86_400 * SECOND_NS)));
        }
        server.apply(position, &[], &[], &mut tally);
    }
    let sources = server.get("/api/v1/sources", &server.tokens[0]).expect("read");
    let other = sources["sources"].as_array().and_then(|all| all.iter().find(|s| s["address"] == "other").cloned());
    assert_eq!(other.expect("folded")["lost_before"], json!({"sequence_packets": 7, "sequence_records": 30}));
}
