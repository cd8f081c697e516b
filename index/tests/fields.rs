//! Names of fields that senders make up: bounded for each, so that one cannot shut out the others' fields, and told where something is not kept.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use event::{Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use index::{AggregationKind, IndexOptions, SearchLimits, SearchRequest, SearchResponse, TermsOrder, Writer, query};

/// Names that a shard keeps, and those of one event.
const KEPT: usize = 4096;
const KEPT_OF_EVENT: usize = 256;

fn start() -> Time {
    "2026-04-01T00:00:00Z".parse().expect("a time")
}

/// One event with a value `v` of each of these fields, which its record has as words too.
fn event(offset: u64, sender: u8, names: &[String]) -> Batch {
    let mut builder = BatchBuilder::default();
    let position = Position { partition: 0, offset };
    let source = Some(SocketAddr::from(([192, 0, 2, sender], 514)));
    let head = FrameHead { position, received: start(), source, ..FrameHead::new(Transport::Tcp, Content::Text) };
    let raw = names.iter().map(|name| format!("{name}=value")).collect::<Vec<_>>().join(" ");
    let mut row = builder.row(&head, 0, &raw);
    row.time(start());
    for name in names {
        row.text(FieldId::intern(name).expect("there is room"), "value");
    }
    drop(row);
    builder.finish(LogRange { partition: 0, first: offset, last: offset }, start())
}

fn names(prefix: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{prefix}.n{n}")).collect()
}

fn open(dir: &Path) -> Writer {
    Writer::open(&IndexOptions::new(dir), TenantId(0)).expect("opens").0
}

fn search(writer: &Writer, request: &SearchRequest) -> SearchResponse {
    writer.searcher().search(request, &SearchLimits { stop: Arc::new(|| false) }).expect("searches")
}

fn find(writer: &Writer, text: &str) -> (u64, Vec<String>) {
    let found = search(writer, &SearchRequest::new(query::parse(text, start()).expect(text)));
    (found.total, found.fields_incomplete)
}

#[test]
fn a_flood_of_names_leaves_room_for_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = open(dir.path());
    let flood = names("flood", 0..KEPT);
    for (offset, some) in (1..).zip(flood.chunks(200)) {
        writer.write(&event(offset, 1, some)).expect("writes");
    }
    // Others come later, each with names of its own, and again with one that is known.
    for sender in 2..6 {
        let own = names(&format!("sender{sender}"), 0..100);
        writer.write(&event(100 + u64::from(sender), sender, &own)).expect("writes");
    }
    writer.write(&event(200, 1, &["sender2.n7".to_owned()])).expect("writes");
    writer.commit().expect("commits");
    for again in [false, true] {
        assert_eq!(find(&writer, "sender2.n7:value"), (2, vec![]), "{again}");
        assert_eq!(find(&writer, "sender5.n99:value"), (1, vec![]), "{again}");
        assert_eq!(find(&writer, "flood.n0:value"), (1, vec![]), "{again}");
        // What is not kept is found by its words, and whoever asks for the field is told.
        let last = format!("flood.n{}", KEPT - 1);
        assert_eq!(find(&writer, &format!("{last}:value")), (0, vec![last.clone()]), "{again}");
        assert_eq!(find(&writer, &format!("\"{last}=value\"")), (1, vec![]), "{again}");
        // What it knows it knows after a restart.
        drop(writer);
        writer = open(dir.path());
    }
    let mut request = SearchRequest::new(query::parse("NOT flood.n4000:x", start()).expect("a query"));
    let terms = |field: &str| AggregationKind::Terms {
        field: field.to_owned(),
        size: 1,
        order: TermsOrder::Count,
        min_count: 1,
        missing: None,
        chosen: Default::default(),
    };
    let inner = vec![("b".to_owned(), terms("flood.n4001").into())];
    let outer = index::Aggregation { kind: terms("flood.n1"), inner };
    request.aggregations = vec![("a".to_owned(), outer)];
    request.sort_by = Some("flood.n4002".to_owned());
    assert_eq!(search(&writer, &request).fields_incomplete, ["flood.n4000", "flood.n4001", "flood.n4002"]);
}

#[test]
fn an_event_of_many_names_keeps_some_and_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = open(dir.path());
    writer.write(&event(1, 1, &names("wide", 0..KEPT_OF_EVENT + 10))).expect("writes");
    writer.write(&event(2, 1, &[format!("wide.n{}", KEPT_OF_EVENT + 1)])).expect("writes");
    writer.commit().expect("commits");
    let kept = writer.searcher().fields().expect("readable").iter().filter(|field| field.name.starts_with("wide.")).count();
    assert_eq!(kept, KEPT_OF_EVENT + 1);
    let last = format!("wide.n{}", KEPT_OF_EVENT - 1);
    assert_eq!(find(&writer, &format!("{last}:value")), (1, vec![]));
    // The first event has it too, and only the second has a column of it.
    let beyond = format!("wide.n{}", KEPT_OF_EVENT + 1);
    assert_eq!(find(&writer, &format!("{beyond}:value")), (1, vec![beyond.clone()]));
    // Events that are not kept whole are marked, for whoever must miss none.
    assert_eq!(find(&writer, "mihari.cut:true").0, 1);
}
