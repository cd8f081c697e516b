//! What became of every record: the ledger, the sources and the list of what is quarantined.

mod server;

use api::{Limits, Tally};
use event::{BatchBuilder, Content, FrameHead, LogRange, Position, Transport};
use serde_json::json;
use server::{Server, start};

/// A firewall after an update sends thousands of records a second that nobody can read.
#[test]
fn of_what_is_quarantined_at_once_the_newest_are_listed() {
    const AT_ONCE: usize = 100_010;
    let server = Server::start(Limits::default());
    let mut tally = Tally::default();
    let mut frames = (1..=AT_ONCE as u64).map(|offset| FrameHead {
        position: Position { partition: 0, offset },
        received: start(),
        ..FrameHead::new(Transport::File, Content::Text)
    });
    loop {
        let mut builder = BatchBuilder::default();
        for head in frames.by_ref().take(8192) {
            builder.row(&head, 0, "x").quarantine("no decoder knows this record");
        }
        if builder.is_empty() {
            break;
        }
        tally.add(&builder.finish(LogRange::default(), start()));
    }
    server.apply(AT_ONCE as u64, &[], &[], &mut tally);
    let listed = server.get("/api/v1/quarantine?size=1", &server.tokens[0]).expect("listed");
    assert_eq!((&listed["total"], &listed["records"][0]["id"]), (&json!(100_000), &json!("0-11-0")), "{listed}");
}
