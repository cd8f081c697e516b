//! Retention drops whole shards by when their records were received, the oldest first, never the open one; searches say where the index begins.

use std::path::Path;
use std::sync::Arc;

use event::{Batch, BatchBuilder, Content, FrameHead, LogRange, Position, TenantId, Time, Transport};
use index::{IndexOptions, SearchLimits, SearchRequest, SearchResponse, Writer, query};

const HOUR_NS: i64 = 3_600 * 1_000_000_000;

/// When the record with this log offset was received: one each ten minutes.
fn received(offset: u64) -> Time {
    Time::from_unix_s(1_780_000_000).plus_ns(offset as i64 * HOUR_NS / 6)
}

/// An event that says to have happened a day before.
fn event(offset: u64) -> Batch {
    let mut builder = BatchBuilder::default();
    let position = Position { partition: 0, offset };
    let head = FrameHead { position, received: received(offset), ..FrameHead::new(Transport::Udp, Content::Text) };
    builder.row(&head, 0, "door").time(received(offset).plus_ns(-24 * HOUR_NS));
    builder.finish(LogRange { partition: 0, first: offset, last: offset }, received(offset))
}

fn write(writer: &mut Writer, offsets: std::ops::RangeInclusive<u64>) {
    for offset in offsets {
        writer.write(&event(offset)).expect("writes");
        writer.commit().expect("commits");
    }
    writer.settle().expect("merges");
}

fn search(writer: &Writer, from: Option<Time>) -> SearchResponse {
    let request = SearchRequest { from, size: 100, ..SearchRequest::new(query::parse("door", received(0)).expect("a query")) };
    writer.searcher().search(&request, &SearchLimits { stop: Arc::new(|| false) }).expect("searches")
}

fn offsets(answer: &SearchResponse) -> Vec<u64> {
    answer.hits.iter().rev().map(|hit| hit.id.frame.offset).collect()
}

fn folders(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("tenant-0")).expect("a folder").count()
}

/// Segments of each shard, in log order.
fn segments(writer: &Writer) -> Vec<usize> {
    writer.searcher().usage().expect("reads").iter().map(|one| one.segments).collect()
}

/// Bytes of the files in a folder.
fn bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("a folder").map(|file| file.expect("a file").metadata().expect("a size").len());
    files.sum()
}

#[test]
fn closed_shards_become_one_segment_and_answer_as_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened_within = |closed_segments, shard_documents| {
        let options = IndexOptions { shard_documents, closed_segments, ..IndexOptions::new(dir.path()) };
        Writer::open(&options, TenantId(0)).expect("opens")
    };
    let opened = |shard_documents| opened_within(5, shard_documents);
    // A process that ended before it merged leaves a closed shard of six segments: a commit that closes a shard begins no merge.
    for (shard_documents, offsets) in [(100, 1..=5), (1, 6..=7)] {
        let (mut writer, _) = opened(shard_documents);
        for offset in offsets {
            writer.write(&event(offset)).expect("writes");
            writer.commit().expect("commits");
        }
    }
    let (mut writer, _) = opened_within(6, 100);
    writer.settle().expect("merges");
    assert_eq!(segments(&writer), [6, 1], "as many as there may be");
    drop(writer);
    let (mut writer, _) = opened(100);
    let first = dir.path().join("tenant-0/shard-00000000000000000001");
    let (before, size) = (writer.searcher().snapshot().expect("opens"), bytes(&first));
    write(&mut writer, 8..=8);
    assert_eq!(segments(&writer), [1, 2]);
    assert!(bytes(&first) < size, "what was merged is gone from the disk");
    let request = SearchRequest { size: 100, ..SearchRequest::new(query::parse("door", received(0)).expect("a query")) };
    let seen = before.search(&request, &SearchLimits { stop: Arc::new(|| false) }).expect("searches");
    assert_eq!(offsets(&seen), (1..=7).collect::<Vec<_>>(), "a search that began before it");
    assert_eq!(offsets(&search(&writer, None)), (1..=8).collect::<Vec<_>>());
    // There is nothing left to do after a restart, and what is merged goes as a whole.
    drop(writer);
    let (mut writer, last) = opened(100);
    assert_eq!((last, segments(&writer)), (8, vec![1, 2]));
    writer.settle().expect("merges");
    assert_eq!(writer.drop_before(received(7)).expect("drops"), 1);
    assert_eq!(offsets(&search(&writer, None)), [7, 8]);
}

#[test]
fn whole_shards_go_and_searches_say_where_the_index_begins() {
    let dir = tempfile::tempdir().expect("a folder");
    // A shard closes with the first record that comes an hour after its first one: seven each.
    let options = IndexOptions { shard_span_ns: HOUR_NS, ..IndexOptions::new(dir.path()) };
    let (mut writer, _) = Writer::open(&options, TenantId(0)).expect("opens");
    write(&mut writer, 1..=17);
    let shards = |writer: &Writer| writer.searcher().usage().expect("reads").iter().map(|one| one.offsets).collect::<Vec<_>>();
    assert_eq!(shards(&writer), [(1, 7), (8, 14), (15, 17)]);
    assert_eq!(search(&writer, None).begins, None, "with the log");
    // As long as one of its records is young enough, a shard stays, however old its events say to be.
    assert_eq!(writer.drop_before(received(7)).expect("drops"), 0);
    assert_eq!(writer.drop_before(received(8)).expect("drops"), 1);
    let left = folders(dir.path());
    let answer = search(&writer, None);
    assert_eq!((offsets(&answer), answer.complete), ((8..=17).collect(), true), "what was to go is no lack");
    assert_eq!(answer.begins, Some(received(8)));
    assert_eq!(search(&writer, Some(received(9))).begins, None, "nothing from before was asked for");
    // The open one stays in any case, and goes on.
    assert_eq!(writer.drop_before(received(1000)).expect("drops"), 1);
    assert_eq!((shards(&writer), folders(dir.path())), (vec![(15, 17)], left - 1));
    write(&mut writer, 18..=20);
    drop(writer);
    let (writer, last) = Writer::open(&options, TenantId(0)).expect("opens");
    assert_eq!((last, offsets(&search(&writer, None))), (20, (15..=20).collect()), "what is gone does not come again");
    assert!(writer.searcher().missing().is_empty(), "nor is it missed");
    assert_eq!(search(&writer, None).begins, Some(received(15)));
}
