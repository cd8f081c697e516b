//! Closed shards are opened when a search comes to them, no more of them at once than the bound allows, and answers are the same.

mod doors;

use std::path::Path;
use std::sync::Arc;

use doors::time;
use event::{Batch, EventId, FieldId, Position, RowBuilder, TenantId};
use index::{
    AggregationKind, IndexOptions, OpenShards, Query, SearchLimits, SearchRequest, SearchResponse, Searcher, Sort, TermsOrder,
    Writer, query,
};

/// Events of a shard.
const SHARD: u64 = 20;
const SHARDS: u64 = 30;
/// Those of the last are in the shard that is written to.
const ALL: u64 = SHARD * SHARDS + 5;
const TENANT: TenantId = TenantId(0);
/// Files of a segment.
const FILES: usize = 6;

fn batch(first: u64, last: u64) -> Batch {
    doors::batch(first, last, |offset, row| {
        row.text(FieldId::USER_NAME, &format!("user{}", offset % 7));
        if offset == SHARD / 2 {
            row.text(FieldId::known("seldom.name"), "once");
        }
    })
}

/// An index whose closed shards are in two segments each.
fn made(dir: &Path, open: &OpenShards) -> Writer {
    let mut writer = opened(dir, open);
    for first in (1..=ALL).step_by(SHARD as usize / 2) {
        writer.write(&batch(first, ALL.min(first + SHARD / 2 - 1))).expect("writes");
        writer.commit().expect("commits");
    }
    writer.settle().expect("merges");
    writer
}

fn opened(dir: &Path, open: &OpenShards) -> Writer {
    let options = IndexOptions { shard_documents: SHARD, open_shards: open.clone(), ..IndexOptions::new(dir) };
    Writer::open(&options, TENANT).expect("opens").0
}

fn request(text: &str) -> SearchRequest {
    SearchRequest { size: 1000, ..SearchRequest::new(query::parse(text, time(0)).expect("a query")) }
}

fn search(searcher: &Searcher, request: &SearchRequest) -> SearchResponse {
    searcher.search(request, &SearchLimits { stop: Arc::new(|| false) }).expect("searches")
}

fn found(answer: &SearchResponse) -> Vec<u64> {
    answer.hits.iter().map(|hit| hit.id.frame.offset).collect()
}

/// Mappings that this process has of files below `dir`, removed ones too.
fn mappings(dir: &Path) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux tells its mappings");
    maps.lines().filter(|line| line.contains(&*dir.to_string_lossy())).count()
}

#[test]
fn no_more_is_mapped_than_the_bound_allows() {
    let (dir, open) = (tempfile::tempdir().expect("a folder"), OpenShards::new(6));
    drop(made(dir.path(), &open));
    let writer = opened(dir.path(), &open);
    let searcher = writer.searcher();
    let written = FILES * searcher.usage().expect("reads").last().expect("a shard").segments;
    assert_eq!((open.segments(), mappings(dir.path())), (0, written), "a start leaves nothing open");
    assert_eq!(searcher.documents(), ALL);
    let counted = SearchRequest { size: 0, ..request("door") };
    for round in 1..=2 {
        assert_eq!(search(&searcher, &counted).total, ALL);
        assert_eq!(open.opened(), round * SHARDS, "each once");
        assert!(open.segments() <= 6 && mappings(dir.path()) <= written + 6 * FILES, "{open:?}");
    }
    // The ones that were searched last are those that are open still: the oldest, of two segments each.
    assert_eq!(search(&searcher, &SearchRequest { to: Some(time(3 * SHARD + 1)), ..counted }).total, 3 * SHARD);
    assert_eq!(open.opened(), 2 * SHARDS);
    // What reads hits from everywhere, also by a field, opens some twice, and leaves no more.
    assert_eq!(found(&search(&searcher, &request("door"))), (1..=ALL).rev().collect::<Vec<_>>());
    let sorted = SearchRequest { sort_by: Some("user.name".to_owned()), sort: Sort::Asc, ..request("door") };
    let answer = search(&searcher, &sorted);
    let mut expected: Vec<u64> = (1..=ALL).collect();
    expected.sort_by_key(|offset| (offset % 7, std::cmp::Reverse(*offset)));
    assert_eq!(found(&answer), expected);
    assert!(open.segments() <= 6 && mappings(dir.path()) <= written + 6 * FILES, "{open:?}");
}

#[test]
fn only_what_an_answer_needs_is_opened() {
    let (dir, open) = (tempfile::tempdir().expect("a folder"), OpenShards::new(1000));
    drop(made(dir.path(), &open));
    let writer = opened(dir.path(), &open);
    let searcher = writer.searcher();
    let mut before = 0;
    let mut opens = |what: &str, shards: u64| {
        assert_eq!(open.opened() - before, shards, "{what}");
        before = open.opened();
    };
    let newest = |size| SearchRequest { size, total_max: Some(0), ..request("door") };
    assert_eq!(found(&search(&searcher, &newest(3))), [ALL, ALL - 1, ALL - 2]);
    opens("the newest are in the shard that is written to", 0);
    let answer = search(&searcher, &newest(10));
    assert_eq!((answer.hits.len(), answer.total_exact), (10, false));
    opens("the newest go back into one more", 1);
    let all = SearchRequest { size: 3, ..SearchRequest::new(Query::All) };
    let answer = search(&searcher, &all);
    assert_eq!((answer.total, answer.total_exact), (ALL, true));
    opens("how many there are of all is known", 0);
    let within = SearchRequest { from: Some(time(SHARD + 1)), to: Some(time(2 * SHARD)), ..request("door") };
    assert_eq!(search(&searcher, &within).total, SHARD - 1);
    opens("a range within one", 1);
    assert_eq!(search(&searcher, &SearchRequest { to: Some(time(1)), ..request("door") }).total, 0);
    opens("a range before all", 0);
    assert_eq!(found(&search(&searcher, &request("seldom.name:once AND door"))), [SHARD / 2]);
    opens("a field that one has", 1);
    assert_eq!(search(&searcher, &request("nowhere.name:once")).total, 0);
    opens("a field that none has", 0);
    let id = EventId { frame: Position { partition: 0, offset: 5 * SHARD + 1 }, nth: 0 };
    assert_eq!(searcher.event(id).expect("reads").expect("is there").id, id);
    opens("one event", 1);
    let snapshot = searcher.snapshot().expect("opens");
    opens("a point in time", 0);
    let limits = SearchLimits { stop: Arc::new(|| false) };
    let beside = snapshot.beside(id, &request("door").query, (3, 3), &limits).expect("searches");
    assert_eq!((beside.before.len(), beside.behind.len(), beside.complete), (3, 3, true));
    opens("what stands beside it", 1);
    let middle = SearchRequest { from: Some(time(10 * SHARD + 3)), to: Some(time(20 * SHARD + 3)), ..request("door") };
    assert_eq!(snapshot.offsets(&middle), Some((10 * SHARD + 1, 20 * SHARD + 10)), "by segments");
    opens("both ends of a range", 2);
}

#[test]
fn searches_side_by_side_at_the_bound_answer_as_one() {
    let (dir, open) = (tempfile::tempdir().expect("a folder"), OpenShards::new(1));
    let writer = made(dir.path(), &open);
    let searcher = writer.searcher();
    let users = AggregationKind::Terms {
        field: "user.name".to_owned(),
        size: 10,
        order: TermsOrder::Count,
        min_count: 1,
        missing: None,
        chosen: Default::default(),
    };
    let requests: Vec<SearchRequest> = (0..8)
        .map(|n| SearchRequest {
            from: Some(time(n * 2 * SHARD)),
            sort: if n % 2 == 0 { Sort::Desc } else { Sort::Asc },
            aggregations: vec![("users".to_owned(), users.clone().into())],
            ..request(&format!("door NOT user.name:user{n}"))
        })
        .collect();
    let alone: Vec<SearchResponse> = requests.iter().map(|request| search(&searcher, request)).collect();
    assert!(alone.iter().all(|answer| answer.complete && answer.total > 100));
    std::thread::scope(|scope| {
        for (request, alone) in requests.iter().zip(&alone) {
            let searcher = &searcher;
            scope.spawn(move || (0..4).for_each(|_| assert_eq!(&search(searcher, request), alone)));
        }
    });
    assert!(open.segments() <= 1, "what is let go is closed: {open:?}");
}

#[test]
fn a_search_that_began_before_sees_what_retention_drops_and_merging_replaces() {
    let (dir, open) = (tempfile::tempdir().expect("a folder"), OpenShards::new(2));
    drop(made(dir.path(), &open));
    let folders = || std::fs::read_dir(dir.path().join("tenant-0")).expect("a folder").count();
    let options =
        IndexOptions { shard_documents: SHARD, closed_segments: 10, open_shards: open.clone(), ..IndexOptions::new(dir.path()) };
    let (mut writer, _) = Writer::open(&options, TENANT).expect("opens");
    let (before, there) = (writer.searcher().snapshot().expect("opens"), folders());
    let all = || {
        let answer = before.search(&request("door"), &SearchLimits { stop: Arc::new(|| false) }).expect("searches");
        assert!(answer.complete);
        found(&answer)
    };
    writer.settle().expect("merges");
    assert!(writer.searcher().usage().expect("reads").iter().filter(|shard| shard.segments == 1).count() > 20);
    assert_eq!(all(), (1..=ALL).rev().collect::<Vec<_>>(), "other segments, the same events");
    assert_eq!(writer.drop_before(time(10 * SHARD + 1)).expect("drops"), 10);
    assert_eq!(found(&search(&writer.searcher(), &request("door"))), (10 * SHARD + 1..=ALL).rev().collect::<Vec<_>>());
    assert_eq!(all(), (1..=ALL).rev().collect::<Vec<_>>(), "also those that were not open");
    assert_eq!(folders(), there);
    drop(before);
    assert_eq!(folders(), there - 10, "they go with the last who may come to them");
    assert!(open.segments() <= 2, "{open:?}");
    // A process that ends before leaves what the next one removes.
    let held = writer.searcher().snapshot().expect("opens");
    assert_eq!(writer.drop_before(time(11 * SHARD + 1)).expect("drops"), 1);
    drop(writer);
    let writer = opened(dir.path(), &open);
    assert_eq!(folders(), there - 11);
    assert_eq!(search(&writer.searcher(), &request("door")).total, ALL - 11 * SHARD);
    drop(held);
}

/// Gives an event fields without a column of their own.
fn values_of_kinds(offset: u64, row: &mut RowBuilder<'_>) {
    let whole = offset.cast_signed();
    row.int(FieldId::known("kinds.long"), whole);
    row.float(FieldId::known("kinds.double"), 0.5);
    row.bool(FieldId::known("kinds.boolean"), true);
    row.text(FieldId::known("kinds.keyword"), "text");
    row.ip(FieldId::known("kinds.address"), [192, 0, 2, 1].into());
    // Of one kind in an event, of another in the next or in another shard.
    let (number, text) = (FieldId::known("kinds.number"), FieldId::known("kinds.text"));
    if offset.is_multiple_of(2) {
        row.int(number, whole);
    } else {
        row.float(number, 1.5);
    }
    if offset.is_multiple_of(SHARD) {
        row.text(text, "late");
    } else {
        row.int(text, whole);
    }
    if offset < SHARD {
        row.bool(FieldId::known("kinds.later"), true);
    } else {
        row.int(FieldId::known("kinds.later"), whole);
    }
}

/// What kinds of values these have over all shards.
const KINDS: [(&str, &str); 8] = [
    ("address", "keyword"),
    ("boolean", "boolean"),
    ("double", "double"),
    ("keyword", "keyword"),
    ("later", "keyword"),
    ("long", "long"),
    ("number", "double"),
    ("text", "keyword"),
];

fn kinds(writer: &Writer) -> Vec<(String, &'static str)> {
    let fields = writer.searcher().fields().expect("reads").into_iter();
    fields.filter_map(|field| Some((field.name.strip_prefix("kinds.")?.to_owned(), field.kind))).collect()
}

/// Takes out of a shard's list what kinds of values its fields have, as a program wrote it that did not note them.
fn forget_kinds(shard: &Path) {
    let path = shard.join("meta.json");
    let text = std::fs::read_to_string(&path).expect("reads");
    let from = text.find(r#"\"kinds\":"#).expect("there");
    let len = text[from..].find("},").expect("an end") + 2;
    std::fs::write(&path, [&text[..from], &text[from + len..]].concat()).expect("writes");
}

#[test]
fn fields_are_listed_without_opening_shards() {
    let (dir, open) = (tempfile::tempdir().expect("a folder"), OpenShards::new(2));
    let expected = KINDS.map(|(name, kind)| (name.to_owned(), kind));
    let mut writer = opened(dir.path(), &open);
    for first in (1..=3 * SHARD).step_by(5) {
        writer.write(&doors::batch(first, first + 4, values_of_kinds)).expect("writes");
        writer.commit().expect("commits");
        if first == SHARD / 2 + 1 {
            // It goes on with what the shard has noted.
            drop(writer);
            writer = opened(dir.path(), &open);
        }
    }
    writer.settle().expect("merges");
    assert_eq!(kinds(&writer), expected);
    drop(writer);
    let before = open.opened();
    let writer = opened(dir.path(), &open);
    assert_eq!(kinds(&writer), expected);
    assert_eq!(open.opened(), before, "what is noted needs no shard");
    // What was not noted is read from the shards, once.
    drop(writer);
    let shards = std::fs::read_dir(dir.path().join("tenant-0")).expect("lists").map(|entry| entry.expect("lists").path());
    let mut shards: Vec<_> = shards.filter(|shard| shard.join("meta.json").exists()).collect();
    shards.sort();
    shards[..3].iter().for_each(|shard| forget_kinds(shard));
    let mut writer = opened(dir.path(), &open);
    assert_eq!(kinds(&writer), expected);
    let after = open.opened();
    assert!(after > before, "{after}");
    assert_eq!(kinds(&writer), expected);
    assert_eq!(open.opened(), after);
    // A shard that is written to goes on without.
    writer.write(&doors::batch(3 * SHARD + 1, 3 * SHARD + 2, values_of_kinds)).expect("writes");
    writer.commit().expect("commits");
    assert_eq!(kinds(&writer), expected);
}
