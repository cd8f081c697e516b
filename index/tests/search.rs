//! What is written is found: the index against the plain matcher, paging, aggregations, restarts.

use std::path::Path;
use std::sync::Arc;

use event::{Batch, BatchBuilder, Content, EventId, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use index::{
    AggregationKind, IndexOptions, Interval, Matcher, Messages, SearchLimits, SearchRequest, Searcher, Sort, TermsOrder, Writer,
    query,
};

fn start() -> Time {
    "2026-04-01T00:00:00Z".parse().expect("a time")
}

/// Events 1..=n of a small town, some in Japanese, some with hostile values.
fn batch(first: u64, n: u64) -> Batch {
    let mut builder = BatchBuilder::default();
    for offset in first..first + n {
        let head = FrameHead {
            position: Position { partition: 0, offset },
            received: start().plus_ns(offset as i64 * 1_000_000_000),
            tenant: TenantId(0),
            source: Some("192.0.2.1:514".parse().expect("an address")),
            origin: None,
            transport: Transport::Udp,
            content: Content::Text,
            truncated: false,
            listener: 0,
        };
        let user = ["taro", "Jiro", "花子", "a b", "*"][offset as usize % 5];
        let raw =
            format!("Failed password for {user} from 10.0.{}.{} 個人番号の照会 /etc/pass-{offset}", offset % 7, offset % 250);
        let mut row = builder.row(&head, 0, &raw);
        row.time(start().plus_ns((offset as i64 - (offset % 3) as i64 * 2) * 1_000_000_000));
        row.text(FieldId::USER_NAME, user);
        row.ip(FieldId::SOURCE_IP, format!("10.0.{}.{}", offset % 7, offset % 250).parse().expect("an address"));
        if offset % 4 == 0 {
            row.ip(FieldId::DESTINATION_IP, format!("2001:db8::{offset:x}").parse().expect("an address"));
        }
        row.int(FieldId::SOURCE_BYTES, offset as i64 * 100);
        row.text(FieldId::EVENT_ACTION, if offset % 2 == 0 { "Deny" } else { "accept" });
        row.text(FieldId::TAGS, "one");
        row.text(FieldId::TAGS, "two");
        if offset % 6 == 0 {
            row.null(FieldId::EVENT_REASON);
            row.float(FieldId::known("ratio"), offset as f64 / 8.0);
            row.bool(FieldId::known("flag"), offset % 12 == 0);
        }
    }
    builder.finish(LogRange { partition: 0, first, last: first + n - 1 }, start())
}

fn limits() -> SearchLimits {
    SearchLimits { stop: Arc::new(|| false) }
}

fn options(dir: &Path) -> IndexOptions {
    IndexOptions { shard_documents: 150, ..IndexOptions::new(dir) }
}

fn request(text: &str) -> SearchRequest {
    SearchRequest::new(query::parse(text, start()).expect(text))
}

const QUERIES: &[&str] = &[
    "NOT \"from 10.0.3.5\"",
    "NOT \"for taro from\"",
    "user.name:j* OR NOT \"for taro from\"",
    "failed NOT \"pass-38\"",
    "failed AND (NOT user.name:taro OR NOT user.name:jiro)",
    "*",
    "failed",
    "\"failed password\"",
    "\"password failed\"",
    "個人番号",
    "番号",
    "号",
    "pass*",
    "p?ss",
    "10.0.3.5",
    "user.name:jiro",
    "user.name:JIRO",
    "user.name:花子",
    "user.name:\"a b\"",
    "user.name:\\*",
    "user.name:*",
    "user.name:j*",
    "user.name:/^[tj]/",
    "source.ip:10.0.3.0/24",
    "source.ip:10.0.0.0/8 AND event.action:deny",
    "source.ip:10.0.3.5",
    "source.ip:[10.0.1.0 TO 10.0.2.255]",
    "destination.ip:2001:db8::/32",
    "destination.ip:*",
    "_exists_:destination.ip",
    "NOT destination.ip:*",
    "source.bytes:>5000",
    "source.bytes:[1000 TO 2000}",
    "source.bytes:1500",
    "ratio:1.5",
    "ratio:<3",
    "flag:true",
    "tags:two",
    "event.action:(deny OR accept) -user.name:taro",
    "@timestamp:[2026-04-01T00:01:00Z TO 2026-04-01T00:02:00Z]",
    "@timestamp:>2026-04-01T00:03:00Z",
    "no.such.field:x",
    "NOT no.such.field:x",
    "mihari.transport:udp log.source.address:192.0.2.1",
    "event.action:acc*t OR user.name:t?ro",
    "source.ip:10.0.3.*",
];

#[test]
fn the_index_answers_as_the_matcher_does() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, last) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    assert_eq!(last, 0);
    let batches: Vec<Batch> = (0..8).map(|n| batch(1 + n * 50, 50)).collect();
    for batch in &batches {
        writer.write(batch).expect("writes");
        writer.commit().expect("commits");
    }
    let searcher = writer.searcher();
    assert_eq!(searcher.position(), 400);
    for text in QUERIES {
        let matcher = Matcher::new(query::parse(text, start()).expect(text));
        let mut expected: Vec<_> =
            batches.iter().flat_map(|b| b.iter()).filter(|e| matcher.matches(*e)).map(|e| (e.time(), e.id())).collect();
        expected.sort();
        expected.reverse();
        let found = searcher.search(&SearchRequest { size: 1000, ..request(text) }, &limits()).expect(text);
        let ids: Vec<_> = found.hits.iter().map(|h| (h.time, h.id)).collect();
        assert_eq!(ids, expected, "{text}");
        assert_eq!(found.total, expected.len() as u64, "{text}");
        assert!(found.complete);
    }
}

#[test]
fn pages_have_no_gaps_and_no_repeats_while_records_come() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, _) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    writer.write(&batch(1, 300)).expect("writes");
    writer.commit().expect("commits");
    let searcher = writer.searcher();
    for sort in [Sort::Desc, Sort::Asc] {
        let mut seen = Vec::new();
        let mut cursor = None;
        let expected = searcher.search(&SearchRequest { size: 1000, sort, ..request("deny") }, &limits());
        let expected: Vec<_> = expected.expect("searches").hits.iter().map(|h| h.id).collect();
        let request = |cursor| SearchRequest { size: 7, sort, cursor, ..request("event.action:deny") };
        loop {
            let page = searcher.search(&request(cursor), &limits()).expect("searches");
            seen.extend(page.hits.iter().map(|h| h.id));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), seen.len());
        assert_eq!(seen.len(), 150);
        assert!(expected.is_empty(), "`deny` is a field's value, not a word of the records");
    }
    assert!(searcher.search(&SearchRequest { cursor: Some("x".to_owned()), ..request("*") }, &limits()).is_err());
}

/// The messages of the events with an even number, as a journal would give them.
struct Kept;

impl Messages for Kept {
    fn messages(&self, id: EventId) -> std::io::Result<Vec<String>> {
        match id.frame.offset {
            8 => Ok(Vec::new()),
            10 => Err(std::io::Error::other("damaged")),
            offset => Ok(vec![format!("message {offset}")]),
        }
    }
}

#[test]
fn messages_are_those_of_the_records() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, _) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    let mut builder = BatchBuilder::default();
    for offset in 1..=12 {
        let head = FrameHead {
            position: Position { partition: 0, offset },
            received: start(),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        let mut row = builder.row(&head, 0, "a record");
        row.time(start().plus_ns(offset as i64));
        if offset % 2 == 0 {
            row.text(FieldId::MESSAGE, "a record");
        }
    }
    writer.write(&builder.finish(LogRange { partition: 0, first: 1, last: 12 }, start())).expect("writes");
    writer.commit().expect("commits");
    let told = |searcher: &Searcher, request: &SearchRequest| -> Vec<String> {
        let found = searcher.search(request, &limits()).expect("searches");
        let shown = found.hits.iter().filter_map(|hit| Some(format!("{} {}", hit.id.frame.offset, hit.fields.get("message")?)));
        shown.collect()
    };
    let searcher = writer.searcher();
    assert_eq!(told(&searcher, &request("*")), [""; 0]);
    let searcher = searcher.with_messages(Arc::new(Kept));
    let expected = ["12 \"message 12\"", "6 \"message 6\"", "4 \"message 4\"", "2 \"message 2\""];
    assert_eq!(told(&searcher, &request("*")), expected, "8 is gone, 10 cannot be read");
    let fields = |name: &str| Some(vec![name.to_owned()]);
    assert_eq!(told(&searcher, &SearchRequest { fields: fields("message"), ..request("*") }), expected);
    assert_eq!(told(&searcher, &SearchRequest { fields: fields("user.name"), ..request("*") }), [""; 0]);
}

#[test]
fn hits_show_every_field_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, _) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    writer.write(&batch(1, 20)).expect("writes");
    writer.commit().expect("commits");
    let hit = writer.searcher().event("0-12-0".parse().expect("an id")).expect("searches").expect("is there");
    let fields = serde_json::to_string(&hit.fields).expect("JSON");
    assert_eq!(
        fields,
        "{\"destination.ip\":\"2001:db8::c\",\"event.action\":\"Deny\",\"event.reason\":null,\"flag\":true,\
         \"log.source.address\":\"192.0.2.1\",\"mihari.format\":\"unknown\",\"mihari.transport\":\"udp\",\"ratio\":1.5,\
         \"source.bytes\":1200,\"source.ip\":\"10.0.5.12\",\"tags\":[\"one\",\"two\"],\"user.name\":\"花子\"}"
    );
}

#[test]
fn aggregations_count_every_hit() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, _) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    for n in 0..4 {
        writer.write(&batch(1 + n * 100, 100)).expect("writes");
        writer.commit().expect("commits");
    }
    let terms = |field: &str| {
        let field = field.to_owned();
        AggregationKind::Terms {
            field,
            size: 3,
            order: TermsOrder::Count,
            min_count: 1,
            missing: None,
            chosen: Default::default(),
        }
        .into()
    };
    let histogram = AggregationKind::DateHistogram {
        field: "@timestamp".to_owned(),
        interval: Interval::ms(60_000),
        zone: jiff::tz::TimeZone::UTC,
        min_count: 1,
        bounds: None,
        missing: None,
    };
    let aggregations = vec![
        ("when".to_owned(), histogram.into()),
        ("who".to_owned(), terms("user.name")),
        ("where".to_owned(), terms("source.ip")),
    ];
    let found = writer.searcher().search(&SearchRequest { size: 0, aggregations, ..request("*") }, &limits()).expect("searches");
    assert!(found.hits.is_empty() && found.cursor.is_none());
    assert_eq!(found.aggregations["when"].buckets.iter().map(|b| b.count).sum::<u64>(), 400);
    assert_eq!(found.aggregations["who"].buckets.len(), 3);
    assert!(found.aggregations["who"].buckets.iter().all(|b| b.count == 80));
    assert_eq!(found.aggregations["who"].other, Some(160));
    assert!(found.aggregations["where"].buckets[0].key.starts_with("10.0."));
}

#[test]
fn a_restart_goes_on_where_the_commit_was() {
    let dir = tempfile::tempdir().expect("a folder");
    {
        let (mut writer, _) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
        writer.write(&batch(1, 100)).expect("writes");
        writer.commit().expect("commits");
        writer.write(&batch(101, 100)).expect("writes");
        // Ended here without a commit.
    }
    let (mut writer, last) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    assert_eq!(last, 100);
    writer.write(&batch(51, 150)).expect("writes"); // Read again from before: what is there is not taken twice.
    writer.commit().expect("commits");
    let found = writer.searcher().search(&request("*"), &limits()).expect("searches");
    assert_eq!(found.total, 200);
    drop(writer);
    let (_, last) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    assert_eq!(last, 200);
}

#[test]
fn a_search_that_is_told_to_stop_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, _) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    writer.write(&batch(1, 100)).expect("writes");
    writer.commit().expect("commits");
    let found = writer.searcher().search(&request("*"), &SearchLimits { stop: Arc::new(|| true) }).expect("searches");
    assert!(!found.complete);
}

#[test]
fn what_was_not_committed_is_forgotten_and_can_be_written_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, _) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    let searcher = writer.searcher();
    writer.write(&batch(1, 100)).expect("writes");
    writer.commit().expect("commits"); // From half of what closes a shard on, the next one is made ready.
    for _ in 0..2 {
        writer.write(&batch(101, 100)).expect("writes");
        assert_eq!(writer.last(), 200);
        writer.roll_back().expect("goes on");
        assert_eq!((writer.last(), writer.pending()), (100, 0));
        assert_eq!(searcher.search(&request("*"), &limits()).expect("searches").total, 100);
    }
    for first in [101, 201, 301] {
        writer.write(&batch(first, 100)).expect("writes");
        writer.commit().expect("commits");
    }
    assert_eq!(searcher.search(&request("*"), &limits()).expect("searches").total, 400);
    assert_eq!(searcher.usage().expect("reads").len(), 3, "two shards closed, one begun");
}

/// A record of the log: what its decoder made of it, and which quarantined event it releases.
fn record(offset: u64, is_read: bool, released_from: Option<u64>) -> Batch {
    let mut builder = BatchBuilder::default();
    let position = Position { partition: 0, offset };
    let head = FrameHead { position, received: start(), ..FrameHead::new(Transport::Tcp, Content::Text) };
    let mut row = builder.row(&head, 0, "a record");
    row.time(start());
    if let Some(from) = released_from {
        let from = EventId { frame: Position { partition: 0, offset: from }, nth: 0 };
        row.text(FieldId::RELEASED_FROM, &from.to_string());
    }
    if !is_read {
        row.quarantine("no decoder knows this record");
    }
    drop(row);
    builder.finish(LogRange { partition: 0, first: offset, last: offset }, start())
}

#[test]
fn a_released_record_stands_once_wherever_the_log_is_read_from() {
    let written = |path: &Path, records: &[(u64, bool, Option<u64>)]| {
        let (mut writer, _) = Writer::open(&options(path), TenantId(0)).expect("opens");
        records.iter().for_each(|(offset, is_read, from)| writer.write(&record(*offset, *is_read, *from)).expect("writes"));
        writer.commit().expect("commits");
        let count = |text| writer.searcher().search(&request(text), &limits()).expect("searches").total;
        (count("*"), count("mihari.quarantined:true"))
    };
    let dir = tempfile::tempdir().expect("a folder");
    assert_eq!(written(dir.path(), &[(1, false, None), (2, true, None)]), (2, 1));
    // The decoders of a later program read it: it was released, and stands beside what it was.
    assert_eq!(written(dir.path(), &[(3, true, Some(1))]), (3, 1));
    // The same log by the later program from its beginning: the first record is read at once.
    let anew = tempfile::tempdir().expect("a folder");
    assert_eq!(written(anew.path(), &[(1, true, None), (2, true, None), (3, true, Some(1))]), (2, 0));
    // What could not be read in its place (the head of its table came later) is there by its release alone.
    let later = tempfile::tempdir().expect("a folder");
    assert_eq!(written(later.path(), &[(1, false, None), (2, true, None), (3, true, Some(1))]), (3, 1));
}

#[test]
fn a_shard_that_was_made_ready_and_not_begun_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let folders = || std::fs::read_dir(dir.path().join("tenant-0")).expect("a folder").count();
    let (mut writer, _) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    writer.write(&batch(1, 100)).expect("writes");
    writer.commit().expect("commits");
    drop(writer);
    assert_eq!(folders(), 2);
    let (mut writer, last) = Writer::open(&options(dir.path()), TenantId(0)).expect("opens");
    assert_eq!((folders(), last), (1, 100), "what was open is open still");
    writer.write(&batch(101, 40)).expect("writes");
    writer.commit().expect("commits");
    assert_eq!(writer.searcher().usage().expect("reads").len(), 1);
}
