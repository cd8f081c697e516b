//! A shard that cannot be opened for want of files is no damaged one: answers say that it is missing, and what to set. Alone in its process,
//! whose limit it lowers.

use std::sync::Arc;

use event::{Batch, BatchBuilder, Content, FrameHead, LogRange, Position, TenantId, Time, Transport};
use index::{
    IndexError, IndexOptions, OpenShards, SearchLimits, SearchRequest, SearchResponse, Searcher, Writer, inspect, query,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const TENANT: TenantId = TenantId(0);

fn batch(offset: u64) -> Batch {
    let mut builder = BatchBuilder::default();
    let position = Position { partition: 0, offset };
    let received = Time::from_unix_s(1_780_000_000 + offset as i64);
    let head = FrameHead { position, received, ..FrameHead::new(Transport::Udp, Content::Text) };
    builder.row(&head, 0, "door").time(received);
    builder.finish(LogRange { partition: 0, first: offset, last: offset }, received)
}

fn search(searcher: &Searcher, size: usize) -> SearchResponse {
    let request = SearchRequest { size, ..SearchRequest::new(query::parse("door", Time::EPOCH).expect("a query")) };
    searcher.search(&request, &SearchLimits { stop: Arc::new(|| false) }).expect("searches")
}

fn offsets(answer: &SearchResponse) -> Vec<u64> {
    answer.hits.iter().map(|hit| hit.id.frame.offset).collect()
}

#[test]
fn want_of_files_is_told_as_what_it_is_and_passes() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = IndexOptions { shard_documents: 1, open_shards: OpenShards::new(1), ..IndexOptions::new(dir.path()) };
    let (mut writer, _) = Writer::open(&options, TENANT).expect("opens");
    for offset in 1..=3 {
        writer.write(&batch(offset)).expect("writes");
        writer.commit().expect("commits");
    }
    writer.settle().expect("merges");
    let searcher = writer.searcher();
    assert_eq!(offsets(&search(&searcher, 10)), [3, 2, 1]);
    assert_eq!(search(&searcher, 0).total, 3, "the oldest is searched last");
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).expect("lowered");
    let (answer, start, seen) =
        (search(&searcher, 10), Writer::open(&options, TenantId(0)).err(), inspect(dir.path(), TENANT, false));
    setrlimit(Resource::Nofile, before).expect("raised");
    // That one is open still.
    assert_eq!((offsets(&answer), answer.complete, answer.total_exact), (vec![1], false, false));
    assert_eq!(answer.missing.iter().map(|one| one.offsets).collect::<Vec<_>>(), [(3, 3), (2, 2)]);
    for one in &answer.missing {
        assert!(one.reason.contains("LimitNOFILE") && !one.reason.contains("reindex"), "{}", one.reason);
    }
    for error in [start, seen.err()] {
        assert!(matches!(&error, Some(IndexError::Scarce { want, .. }) if want.contains("LimitNOFILE")), "{error:?}");
    }
    assert!(searcher.missing().is_empty(), "it is not damaged");
    let answer = search(&searcher, 10);
    assert_eq!((offsets(&answer), answer.complete), (vec![3, 2, 1], true));
    assert_eq!(inspect(dir.path(), TENANT, true).expect("looks"), []);
}
