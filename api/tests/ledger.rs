//! What became of every record: the ledger, the sources and the list of what is quarantined.

mod server;

use api::{Limits, Received, Tally};
use event::{BatchBuilder, Content, Frame, FrameHead, LogRange, Position, TenantId, Transport};
use serde_json::{Value, json};
use server::{SECOND_NS, Server, count, start};

/// The rows of one source, of the list of sources and of the ledger.
fn told(server: &Server, source: &str) -> [Value; 2] {
    ["sources", "ledger"].map(|path| {
        let all = server.get(&format!("/api/v1/{path}"), &server.tokens[0]).expect("told");
        let rows = all["sources"].as_array().or(all["days"].as_array()).expect("rows");
        rows.iter().find(|row| row["address"] == source || row["source"] == source).cloned().unwrap_or_default()
    })
}

#[test]
fn what_was_received_is_counted_by_itself_and_what_was_refused_by_its_sender() {
    let server = Server::start(Limits::default());
    let mut tally = Tally::default();
    let head = |n: u8, content| FrameHead {
        received: start(),
        source: Some(([192, 0, 2, n], 514).into()),
        ..FrameHead::new(Transport::Udp, content)
    };
    // One whose records all come out, and one that loses two on the way: the ledger shows that they do not add up.
    for (n, of_five) in [(1, 5), (2, 3)] {
        let mut received = Vec::new();
        for _ in 0..5 {
            Received::note(&mut received, Frame { head: head(n, Content::Text), bytes: b"<13>x" }, 1);
        }
        assert_eq!(received.len(), 1, "frames of one sender in a row are one entry");
        tally.receive(&received);
        let mut builder = BatchBuilder::default();
        for _ in 0..of_five {
            builder.row(&head(n, Content::Text), 0, "<13>x");
        }
        tally.add(&builder.finish(LogRange::default(), start()));
    }
    // An exporter whose template never comes.
    let mut received = Vec::new();
    let tomorrow = FrameHead { received: start().plus_ns(86_400 * SECOND_NS), ..head(3, Content::Flow) };
    for head in [head(3, Content::Flow), head(3, Content::Flow), tomorrow] {
        Received::note(&mut received, Frame { head, bytes: &[0; 40] }, 0);
    }
    assert_eq!(received.len(), 2, "each day by itself");
    tally.receive(&received);
    for (n, reason, count) in [(1, "over_quota", 90), (1, "not_allowed", 1), (4, "not_allowed", 14)] {
        let sender = Some([192, 0, 2, n].into());
        tally.dropped(TenantId(0), sender, Transport::Udp, start(), reason, count);
    }
    server.apply(1, &[], &[], &mut tally);
    let [source, day] = told(&server, "192.0.2.1");
    assert_eq!([&source["received"], &source["parsed"], &source["dropped"], &source["bytes"]], [96, 5, 91, 25], "{source}");
    assert_eq!((&day["received"], &day["parsed"]), (&json!(96), &json!(5)), "{day}");
    assert_eq!(day["dropped"], json!({"not_allowed": 1, "over_quota": 90}));
    let [_, day] = told(&server, "192.0.2.2");
    assert_eq!((&day["received"], &day["parsed"]), (&json!(5), &json!(3)), "{day}");
    let [source, day] = told(&server, "192.0.2.3");
    assert_eq!([&source["received"], &source["without_records"], &source["bytes"]], [0, 3, 120], "{source}");
    assert_eq!([&day["received"], &day["without_records"]], [0, 1], "{day}");
    assert_eq!(told(&server, "192.0.2.4"), [Value::Null, Value::Null], "who may not send is no source");
    let [source, day] = told(&server, "other");
    assert_eq!([&source["received"], &source["parsed"], &source["dropped"]], [14, 0, 14], "{source}");
    assert_eq!((&day["received"], &day["dropped"]), (&json!(14), &json!({"not_allowed": 14})), "{day}");
}

/// A firewall after an update sends thousands of records a second that nobody can read: of one commit the newest are listed, of all that came
/// before each.
#[test]
fn what_is_quarantined_is_listed_however_much_it_is() {
    const AT_ONCE: u64 = 100_010;
    const IN_ALL: u64 = AT_ONCE + 30_000;
    let server = Server::start(Limits::default());
    let mut frames = (1..=IN_ALL).map(|offset| FrameHead {
        position: Position { partition: 0, offset },
        received: start(),
        ..FrameHead::new(Transport::File, Content::Text)
    });
    let mut quarantine = |until: u64| {
        let mut tally = Tally::default();
        loop {
            let mut builder = BatchBuilder::default();
            let left = until + 1 - frames.clone().next().map_or(until + 1, |head| head.position.offset);
            for head in frames.by_ref().take(left.min(8192) as usize) {
                builder.row(&head, 0, "x").quarantine("no decoder knows this record");
            }
            if builder.is_empty() {
                break;
            }
            count(&mut tally, &builder.finish(LogRange::default(), start()));
        }
        server.apply(until, &[], &[], &mut tally);
    };
    quarantine(AT_ONCE);
    let listed = server.get("/api/v1/quarantine?size=1", &server.tokens[0]).expect("listed");
    assert_eq!((&listed["total"], &listed["records"][0]["id"]), (&json!(100_000), &json!("0-11-0")), "{listed}");
    quarantine(IN_ALL);
    let (mut after, mut next) = (String::new(), 11);
    loop {
        let path = format!("/api/v1/quarantine?size=1000{after}");
        let page = server.get(&path, &server.tokens[0]).expect("listed");
        assert_eq!(page["total"], json!(IN_ALL + 1 - next), "what is still to come");
        for record in page["records"].as_array().expect("records") {
            assert_eq!(record["id"], json!(format!("0-{next}-0")), "each once, in order");
            next += 1;
        }
        let Some(last) = page["after"].as_str() else { break };
        after = format!("&after={last}");
    }
    assert_eq!(next, IN_ALL + 1);
}
