//! What answers say of what they lack.

mod server;

use api::{Limits, Received, Stage, Tally};
use event::{BatchBuilder, Content, Frame, FrameHead, LogRange, Position, TenantId, Transport};
use serde_json::{Value, json};
use server::{SECOND_NS, Server, start};

/// An event of each tenant.
fn filled() -> Server {
    let mut builder = BatchBuilder::default();
    for offset in 1..=2 {
        let head = FrameHead {
            position: Position { partition: 0, offset },
            received: start(),
            tenant: TenantId(offset as u32 - 1),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        builder.row(&head, 0, "a gate").time(start().plus_ns(-SECOND_NS));
    }
    Server::with(Limits::default(), &[builder.finish(LogRange { partition: 0, first: 1, last: 2 }, start())])
}

#[test]
fn an_index_behind_the_journal_makes_answers_incomplete() {
    let server = filled();
    let asked = json!({"query": "gate"});
    for (behind_ms, complete) in [(None, true), (Some(9_300), false), (None, true)] {
        let stage = Stage { journal_position: 70_002, searchable_position: 2, behind_ms, ..Stage::default() };
        *server.stage.lock().expect("not poisoned") = stage;
        let answer = server.post("/api/v1/search", &server.tokens[0], &asked).expect("searches");
        assert_eq!((&answer["complete"], &answer["total"]), (&json!(complete), &json!(1)), "{answer}");
        // How far both are is told in any case: what a commit takes is no lack.
        assert_eq!((&answer["journal_position"], &answer["indexed_position"]), (&json!(70_002), &json!(2)));
        let export = api::client::download(&server.url(), "/api/v1/export", &server.tokens[0], &asked.to_string());
        let text = std::io::read_to_string(export.expect("begins")).expect("ends");
        let manifest: Value = serde_json::from_str(text.lines().last().expect("a manifest")).expect("JSON");
        assert_eq!(manifest["manifest"]["complete"], complete, "{manifest}");
        for incomplete in [&answer["incomplete"], &manifest["manifest"]["incomplete"]] {
            let why = incomplete[0]["detail"].as_str();
            assert_eq!(why.is_some_and(|why| why.contains("70002") && why.contains("9 s")), !complete, "{incomplete}");
        }
        let stats = server.get("/api/v1/stats", &server.tokens[1]).expect("read");
        assert_eq!(stats["behind_ms"], json!(behind_ms));
    }
}

#[test]
fn a_tenant_is_told_what_it_received_itself() {
    let server = filled();
    let (mut builder, mut received) = (BatchBuilder::default(), Vec::new());
    for (offset, tenant) in (1..).zip([0, 1, 0, 0]) {
        let head = FrameHead {
            position: Position { partition: 0, offset },
            received: start(),
            tenant: TenantId(tenant),
            ..FrameHead::new(Transport::Tcp, Content::Text)
        };
        Received::note(&mut received, Frame { head, bytes: b"a gate" }, 1);
        let mut row = builder.row(&head, 0, "a gate");
        if offset == 4 {
            row.quarantine("bad");
        }
    }
    let mut tally = Tally::default();
    tally.receive(&received);
    tally.add(&builder.finish(LogRange { partition: 0, first: 1, last: 4 }, start()));
    server.apply(4, &[], &[], &mut tally);
    for (token, expected) in server.tokens.iter().zip([[3, 2, 1], [1, 1, 0]]) {
        let stats = server.get("/api/v1/stats", token).expect("read");
        assert_eq!(
            ["received_total", "parsed_total", "quarantined_total"].map(|name| stats[name].clone()),
            expected.map(Value::from)
        );
    }
}
