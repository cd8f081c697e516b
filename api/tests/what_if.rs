//! A draft of the zone policy over stored records: it sees all that a verdict hangs on, and tells what would change.

mod server;

use std::sync::atomic::Ordering;

use api::Limits;
use event::{
    Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSource, LogSourceId, Position, TenantId, Transport, Value,
};
use rules::policy::Policy;
use serde_json::json;
use server::{SECOND_NS, Server, start};

const POLICY: &str = "
zones:
  hall:   {cidr: [10.1.0.0/16], clause: \"6(3)①\"}
  school: {cidr: [10.2.0.0/16]}
  world:  {rest: true}
allow:
  - {from: hall, to: school, service: [tcp/443, udp/1000-2000]}
  - {from: school, to: world, service: [any]}
exceptions:
  - {from: hall, to: world, service: [tcp/25], src: 10.1.0.9, owner: o, ticket: R8-021, until: 2027-03-31}
observe:
  - {sensor: fw-hall, cells: [[hall, \"*\"]], heartbeat: 5m}
";

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).0
}

/// A record: the category of its log source, its source and destination with their ports (0 for none), and its other cells.
type Record = (Option<&'static str>, (&'static str, i64), (&'static str, i64), Vec<(&'static str, Value<'static>)>);

const TCP: (&str, Value<'static>) = ("network.transport", Value::Text("tcp"));
const ALLOWED: (&str, Value<'static>) = ("event.type", Value::Text("allowed"));
const WHOLE: (&str, Value<'static>) = ("flow.tcp_flags", Value::Int(0x1b));

/// These records of a tenant as they are stored under [`POLICY`], all of the same instant.
fn stored(tenant: u32, first: u64, records: &[Record]) -> Batch {
    let mut batch = unjudged(tenant, first, records);
    policy(POLICY).annotate(&mut batch);
    batch
}

/// The same where there was no policy.
fn unjudged(tenant: u32, first: u64, records: &[Record]) -> Batch {
    let mut builder = BatchBuilder::default();
    for (offset, (category, source, destination, cells)) in (first..).zip(records) {
        let head = FrameHead {
            position: Position { partition: 0, offset },
            tenant: TenantId(tenant),
            received: start(),
            ..FrameHead::new(Transport::Internal, Content::Text)
        };
        let mut row = builder.row(&head, 0, "");
        row.time(start());
        row.log_source(LogSourceId::intern(LogSource { category: *category, ..LogSource::default() }));
        let ends = [
            (FieldId::SOURCE_IP, FieldId::SOURCE_PORT, source),
            (FieldId::DESTINATION_IP, FieldId::DESTINATION_PORT, destination),
        ];
        for (ip_field, port_field, (ip, port)) in ends {
            if let Ok(ip) = ip.parse() {
                row.ip(ip_field, ip);
            }
            if *port != 0 {
                row.int(port_field, *port);
            }
        }
        for (name, value) in cells {
            row.value(FieldId::intern(name).expect("room"), *value);
        }
    }
    builder.finish(LogRange { partition: 0, first, last: first + records.len() as u64 - 1 }, start())
}

fn what_if(server: &Server, token: usize, draft: &str) -> serde_json::Value {
    let body = json!({"yaml": draft, "from": "2026-03-01T00:00:00Z"});
    server.post("/api/v1/policy/what-if", &server.tokens[token], &body).expect("tried")
}

/// Each of these cells decides something: without it the verdict, or who began, is another. All of them are read back, so that the policy
/// that was in force would have said what it did say.
#[test]
fn all_that_a_verdict_hangs_on_is_read_back() {
    let (hall, school, world) = ("10.1.0.1", "10.2.0.1", "203.0.113.5");
    let text = Value::Text;
    let (argus, client, server_is) = (("argus.state", text("s_")), ("client.ip", text(hall)), ("server.ip", text(school)));
    let records: Vec<Record> = [
        (Some("firewall"), (hall, 50_000), (school, 444), vec![TCP, ALLOWED]),
        (Some("firewall"), (hall, 50_001), (school, 444), vec![TCP, ("event.action", text("DROP"))]),
        (Some("firewall"), (hall, 50_002), (school, 443), vec![ALLOWED, TCP]),
        (Some("flow"), (hall, 50_003), (school, 1500), vec![("network.iana_number", Value::Int(17))]),
        (Some("flow"), (hall, 50_004), (school, 22), vec![TCP, ("flow.tcp_flags", Value::Int(2))]),
        (Some("network"), (hall, 50_005), (school, 444), vec![TCP, ("flow.answer", text("unanswered"))]),
        (Some("network"), (hall, 50_006), (school, 444), vec![TCP, ("zeek.connection.conn_state", text("SF"))]),
        (
            Some("network"),
            (hall, 50_007),
            (school, 444),
            vec![TCP, ("event.action", text("flow")), ("suricata.eve.tcp.tcp_flags_tc", text("04"))],
        ),
        (Some("network"), (school, 444), (hall, 50_008), vec![TCP, client, server_is, argus]),
        (Some("network"), (school, 444), (hall, 50_009), vec![TCP, argus, server_is, client]),
        (Some("network"), (school, 444), (hall, 50_010), vec![TCP, argus, client, server_is]),
        (
            Some("flow"),
            (hall, 50_011),
            (school, 22),
            vec![("network.iana_number", Value::Int(17)), ("destination.packets", Value::Int(0))],
        ),
        (
            Some("flow"),
            (hall, 50_012),
            (school, 22),
            vec![("network.iana_number", Value::Int(17)), ("destination.bytes", Value::Int(0))],
        ),
        (Some("firewall"), (hall, 50_013), (world, 443), vec![TCP, ALLOWED, ("destination.nat.ip", text(school))]),
        (
            Some("firewall"),
            (hall, 50_014),
            (world, 8443),
            vec![TCP, ALLOWED, ("destination.nat.ip", text(school)), ("destination.nat.port", Value::Int(443))],
        ),
        (
            Some("network"),
            (world, 443),
            (hall, 50_015),
            vec![TCP, ALLOWED, client, ("server.ip", text(world)), ("source.nat.ip", text(school))],
        ),
        (Some("flow"), (school, 0), (hall, 0), vec![("network.iana_number", Value::Int(1)), ("icmp.type", Value::Int(0))]),
        (Some("proxy"), (hall, 0), ("", 443), vec![TCP, ALLOWED, ("url.domain", text(school))]),
        (Some("proxy"), (hall, 0), ("", 443), vec![TCP, ALLOWED, ("destination.domain", text(school))]),
        (Some("proxy"), (hall, 0), ("", 0), vec![TCP, ALLOWED, ("url.domain", text(school)), ("url.port", Value::Int(444))]),
        (None, (hall, 0), ("", 443), vec![TCP, ALLOWED, ("url.domain", text(school)), ("observer.type", text("proxy"))]),
        (None, (hall, 0), ("", 443), vec![TCP, ALLOWED, ("url.domain", text(school)), ("http.request.method", text("CONNECT"))]),
    ]
    .into();
    let draft = policy(POLICY);
    let told = |record: &Record| {
        let batch = stored(0, 1, std::slice::from_ref(record));
        let verdict = draft.verdicts(&batch).next().expect("a record");
        verdict.map(|v| (v.verdict, v.from.to_owned(), v.to.to_owned(), v.from_source))
    };
    for record in &records {
        let mut without = record.clone();
        let (name, _) = without.3.pop().expect("a cell");
        assert_ne!(told(record), told(&without), "{name}");
    }
    // So do the ends, their ports and the category.
    let by_port = (Some("flow"), (school, 443), (hall, 50_016), vec![TCP, WHOLE]);
    let by_category = (Some("flow"), (hall, 50_017), (school, 22), vec![TCP]);
    assert_ne!(told(&by_port), told(&(Some("flow"), (school, 0), (hall, 50_016), vec![TCP, WHOLE])));
    assert_ne!(told(&by_category), told(&(None, (hall, 50_017), (school, 22), vec![TCP])));
    let records = [records, vec![by_port, by_category]].concat();
    let server = Server::with(Limits::default(), &[stored(0, 1, &records)]);
    let answer = what_if(&server, 0, POLICY);
    assert_eq!(
        (&answer["looked_at"], &answer["complete"], &answer["changes"]),
        (&json!(records.len()), &json!(true), &json!([]))
    );
}

#[test]
fn a_draft_tells_what_it_would_change() {
    let near = ("10.2.7.7", 443);
    let far = ("10.2.200.7", 443);
    let mail = |from| (Some("firewall"), (from, 50_000), ("203.0.113.5", 25), vec![TCP, ALLOWED]);
    let records: [Record; 5] = [
        (Some("firewall"), ("10.1.0.1", 50_000), near, vec![TCP, ALLOWED]),
        (Some("firewall"), ("10.1.0.1", 50_000), far, vec![TCP, ALLOWED]),
        // An answer: its source is who was called.
        (Some("flow"), far, ("10.1.0.2", 50_000), vec![TCP, WHOLE]),
        mail("10.1.0.9"),
        mail("10.1.0.8"),
    ];
    let server = Server::with(Limits::default(), &[stored(0, 1, &records), stored(1, 6, &records[..1])]);
    server.clock.0.store(start().unix_ns() + 20 * 86_400 * SECOND_NS, Ordering::Relaxed);
    let row = |ends: [&str; 2], service: &str, said: [&str; 2], count: u64| {
        let [from, to] = ends;
        json!({"from": from, "to": to, "service": service, "before": said[0], "after": said[1], "count": count})
    };
    let moved = ["kept (hall → school)", "violation (hall → world)"];
    for (find, put, expected) in [
        ("10.2.0.0/16", "10.2.0.0/17", vec![row(["hall", "school"], "tcp/443", moved, 2)]),
        ("tcp/443, udp", "udp", vec![row(["hall", "school"], "tcp/443", ["kept", "violation"], 3)]),
        ("src: 10.1.0.9", "src: 10.1.0.0/24", vec![row(["hall", "world"], "tcp/25", ["violation", "exception"], 1)]),
        // The exception's last day was the one before the records', or theirs: both are over by now.
        ("2027-03-31", "2026-03-31", vec![row(["hall", "world"], "tcp/25", ["exception", "violation"], 1)]),
        ("2027-03-31", "2026-04-01", vec![]),
        ("heartbeat: 5m", "heartbeat: 1m", vec![]),
        ("sensor: fw-hall", "sensor: fw-school, address: [192.0.2.7]", vec![]),
        ("R8-021", "R8-022", vec![]),
    ] {
        let draft = POLICY.replacen(find, put, 1);
        let answer = what_if(&server, 0, &draft);
        let mut changes = answer["changes"].as_array().expect("a list").clone();
        for change in &mut changes {
            let example = change.as_object_mut().expect("a row").remove("example");
            assert!(example.is_some_and(|id| id.is_string()), "{put}");
        }
        assert_eq!((&answer["looked_at"], changes), (&json!(records.len()), expected), "{put}");
        assert_eq!(answer["sha256"], json!(policy(&draft).sha256));
    }
    let theirs = what_if(&server, 1, &POLICY.replacen("tcp/443, udp", "udp", 1));
    assert_eq!((&theirs["looked_at"], &theirs["changes"][0]["count"]), (&json!(1), &json!(1)), "each tenant's own records");
    let refused = server.post(
        "/api/v1/policy/what-if",
        &server.tokens[0],
        &json!({"yaml": POLICY.replace("hall, to: school", "hall, to: nowhere")}),
    );
    assert!(refused.is_err_and(|why| why.contains("400") && why.contains("nowhere")));
}

/// A zone that has another name and the same addresses is the zone that it was; what else the draft changes is told under the new name.
#[test]
fn a_renamed_zone_changes_nothing_else() {
    let to = |port| (Some("firewall"), ("10.1.0.1", 50_000), ("10.2.7.7", port), vec![TCP, ALLOWED]);
    let answer = (Some("flow"), ("10.2.7.7", 443), ("10.1.0.2", 50_000), vec![TCP, WHOLE]);
    let server = Server::with(Limits::default(), &[stored(0, 1, &[to(443), to(444), answer])]);
    let draft = POLICY.replace("school", "college").replace("world", "abroad");
    let rows = |draft: &str| what_if(&server, 0, draft)["changes"].as_array().expect("a list").len();
    // While nothing says which policy was in force, the names are all that is known.
    assert_eq!(rows(&draft), 2);
    server.store.policy_in_force(&policy(POLICY).sha256, POLICY, 1, "a test").expect("stored");
    let answer = what_if(&server, 0, &draft);
    assert_eq!((&answer["changes"], &answer["renamed"]), (&json!([]), &json!({"school": "college", "world": "abroad"})));
    let answer = what_if(&server, 0, &draft.replacen("tcp/443, udp", "udp", 1));
    let row = &answer["changes"][0];
    let told = ["from", "to", "service", "before", "after"].map(|key| row[key].as_str().expect("a text"));
    assert_eq!((told, &row["count"]), (["hall", "college", "tcp/443", "kept", "violation"], &json!(2)));
    // Other addresses are another zone.
    let moved = what_if(&server, 0, &draft.replace("10.2.0.0/16", "10.2.0.0/17"));
    assert_eq!((&moved["renamed"], rows(&draft.replace("10.2.0.0/16", "10.2.0.0/17"))), (&json!({"world": "abroad"}), 2));
}

/// Before there is a policy, its first draft is what one would try.
#[test]
fn a_draft_is_tried_on_what_was_stored_without_a_policy() {
    let to = |ip, port| (Some("firewall"), ("10.1.0.1", 50_000), (ip, port), vec![TCP, ALLOWED]);
    let query = (Some("dns"), ("10.1.0.1", 50_000), ("", 0), vec![]);
    let records: [Record; 5] = [to("10.2.7.7", 443), to("10.2.7.8", 443), to("10.2.7.7", 444), to("10.1.7.7", 444), query];
    let server = Server::with(Limits::default(), &[unjudged(0, 1, &records)]);
    let answer = what_if(&server, 0, POLICY);
    let told: Vec<_> = answer["changes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| ["from", "to", "service", "before", "after", "count"].map(|key| row[key].to_string().replace('"', "")))
        .collect();
    let row = |service: &str, after: &str, count: &str| ["hall", "school", service, "", after, count].map(str::to_owned);
    assert_eq!((told, &answer["complete"]), (vec![row("tcp/443", "kept", "2"), row("tcp/444", "violation", "1")], &json!(true)));
}
