//! A shard that is damaged or gone keeps nothing from being indexed, is missed by every answer that it could have had a part in, and is built
//! anew from the journal, it alone.

mod doors;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use doors::time;
use event::{Batch, TenantId, Time};
use index::{IndexOptions, Missing, SearchLimits, SearchRequest, SearchResponse, Searcher, Writer, inspect, mend, query};

/// Events of a shard.
const SHARD: u64 = 100;
/// Those of four shards and a part of the fifth.
const ALL: u64 = 4 * SHARD + 50;
const TENANT: TenantId = TenantId(0);

fn batch(first: u64, last: u64) -> Batch {
    doors::batch(first, last, |_, _| {})
}

fn options(dir: &Path) -> IndexOptions {
    IndexOptions { shard_documents: SHARD, ..IndexOptions::new(dir) }
}

fn write(writer: &mut Writer, first: u64, last: u64) {
    for first in (first..=last).step_by(25) {
        writer.write(&batch(first, last.min(first + 24))).expect("writes");
        writer.commit().expect("commits");
    }
    writer.settle().expect("merges");
}

/// An index of five shards, and their folders.
fn index(dir: &Path) -> Vec<PathBuf> {
    let (mut writer, _) = Writer::open(&options(dir), TENANT).expect("opens");
    write(&mut writer, 1, ALL);
    drop(writer);
    let entries = std::fs::read_dir(dir.join("tenant-0")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut shards: Vec<PathBuf> = entries.filter(|path| path.join("meta.json").exists()).collect();
    shards.sort();
    assert!(shards.len() >= 5, "{shards:?}");
    shards
}

fn search(searcher: &Searcher, from: Option<Time>, to: Option<Time>) -> SearchResponse {
    let query = query::parse("door", time(0)).expect("a query");
    let request = SearchRequest { from, to, size: 1000, ..SearchRequest::new(query) };
    searcher.search(&request, &SearchLimits { stop: Arc::new(|| false) }).expect("searches")
}

fn found(answer: &SearchResponse) -> Vec<u64> {
    answer.hits.iter().rev().map(|hit| hit.id.frame.offset).collect()
}

fn mend_from_the_log(dir: &Path, missing: &Missing, last: u64) -> u64 {
    let read = |offset| Ok((offset <= last).then(|| (batch(offset, last.min(offset + 39)), last.min(offset + 39) + 1)));
    mend(&options(dir), TENANT, missing, read).expect("mends")
}

/// Every way to damage a shard that is tried: what is done to which of its files.
fn damages(shard: &Path) -> Vec<(String, Box<dyn Fn()>)> {
    let mut all: Vec<(String, Box<dyn Fn()>)> = Vec::new();
    for entry in std::fs::read_dir(shard).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.starts_with('.') && name != ".managed.json" {
            continue; // Locks.
        }
        let bytes = std::fs::read(&path).expect("a file");
        let written = |what: &str, bytes: Vec<u8>| -> (String, Box<dyn Fn()>) {
            let path = path.clone();
            (format!("{name} {what}"), Box::new(move || std::fs::write(&path, &bytes).expect("written")))
        };
        all.push(written("empty", Vec::new()));
        all.push(written("cut", bytes[..bytes.len() / 2].to_vec()));
        if !name.ends_with("json") {
            all.push(written("cut by a byte", bytes[..bytes.len() - 1].to_vec()));
        }
        all.push(written("garbage", vec![0xA7; bytes.len()]));
        if !name.starts_with('.') {
            all.push((format!("{name} gone"), Box::new(move || std::fs::remove_file(&path).expect("removed"))));
        }
    }
    let folder = shard.to_owned();
    all.push(("all of it gone".to_owned(), Box::new(move || std::fs::remove_dir_all(&folder).expect("removed"))));
    all
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[test]
fn a_damaged_shard_is_left_out_missed_and_built_anew() {
    let whole = tempfile::tempdir().expect("a folder");
    let shards = index(whole.path());
    let (first, last) = (SHARD + 1, 2 * SHARD);
    let count = damages(&shards[1]).len();
    assert!(count > 30, "{count}");
    for at in 0..count {
        let dir = tempfile::tempdir().expect("a folder");
        copy(whole.path(), dir.path());
        let folder = dir.path().join("tenant-0").join(shards[1].file_name().expect("a name"));
        let (what, damage) = damages(&folder).swap_remove(at);
        damage();
        let (mut writer, indexed) = Writer::open(&options(dir.path()), TENANT).expect(&what);
        assert_eq!(indexed, ALL, "{what}");
        let searcher = writer.searcher();
        let missing = searcher.missing();
        assert_eq!(missing.iter().map(|one| one.offsets).collect::<Vec<_>>(), [(first, last)], "{what}");
        assert_eq!(missing[0].time, Some((time(first), time(last))), "{what}: the one behind it knows");
        assert!(missing[0].reason.contains("`mihari reindex`"), "{what}: {}", missing[0].reason);
        // What comes in is indexed, and all but the one is found.
        write(&mut writer, ALL + 1, ALL + 20);
        let answer = search(&searcher, None, None);
        let rest: Vec<u64> = (1..first).chain(last + 1..=ALL + 20).collect();
        assert_eq!(found(&answer), rest, "{what}");
        assert_eq!((answer.complete, answer.total_exact, &answer.missing), (false, false, &missing), "{what}");
        // Only an answer that it could have had a part in misses it.
        for (from, to, complete) in [
            (None, Some(time(first)), true),
            (Some(time(last + 1)), None, true),
            (Some(time(last)), None, false),
            (None, Some(time(first + 1)), false),
        ] {
            assert_eq!(search(&searcher, from, to).complete, complete, "{what} {from:?} {to:?}");
        }
        drop(writer);
        let seen = inspect(dir.path(), TENANT, false).expect("looks");
        assert_eq!(seen, missing, "{what}");
        let kept: Vec<_> = shards.iter().filter(|shard| **shard != shards[1]).collect();
        let before =
            kept.iter().map(|shard| std::fs::metadata(shard.join("meta.json")).expect("there").modified().expect("a time"));
        let before: Vec<_> = before.collect();
        assert_eq!(mend_from_the_log(dir.path(), &seen[0], ALL + 20), SHARD, "{what}");
        assert_eq!(inspect(dir.path(), TENANT, true).expect("looks"), [], "{what}");
        let after =
            kept.iter().map(|shard| std::fs::metadata(shard.join("meta.json")).expect("there").modified().expect("a time"));
        assert_eq!(after.collect::<Vec<_>>(), before, "{what}: the others are as they were");
        let (writer, indexed) = Writer::open(&options(dir.path()), TENANT).expect(&what);
        assert_eq!(indexed, ALL + 20, "{what}");
        let answer = search(&writer.searcher(), None, None);
        assert_eq!(found(&answer), (1..=ALL + 20).collect::<Vec<_>>(), "{what}");
        assert!(answer.complete && answer.total_exact && answer.missing.is_empty(), "{what}");
    }
}

#[test]
fn the_newest_shard_that_is_damaged_is_written_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = index(dir.path());
    std::fs::write(shards[4].join("meta.json"), "").expect("written");
    let seen = inspect(dir.path(), TENANT, false).expect("looks");
    assert_eq!(seen.iter().map(|one| one.offsets).collect::<Vec<_>>(), [(4 * SHARD + 1, u64::MAX)]);
    let (mut writer, indexed) = Writer::open(&options(dir.path()), TENANT).expect("opens");
    assert_eq!(indexed, 4 * SHARD, "the log is read on from there");
    write(&mut writer, indexed + 1, ALL);
    let answer = search(&writer.searcher(), None, None);
    assert_eq!(found(&answer), (1..=ALL).collect::<Vec<_>>());
    assert!(answer.complete);
    drop(writer);
    assert_eq!(index::remove_set_aside(dir.path(), TENANT).expect("removes"), 1);
    assert_eq!(index::remove_set_aside(dir.path(), TENANT).expect("removes"), 0);
}

#[test]
fn every_shard_damaged_begins_the_index_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    for shard in index(dir.path()) {
        std::fs::write(shard.join("meta.json"), "{}").expect("written");
    }
    let (mut writer, indexed) = Writer::open(&options(dir.path()), TENANT).expect("opens");
    assert_eq!(indexed, 0);
    write(&mut writer, 1, ALL);
    assert_eq!(found(&search(&writer.searcher(), None, None)).len() as u64, ALL);
}

#[test]
fn several_side_by_side_are_missed_whole_and_mended_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = index(dir.path());
    std::fs::write(shards[1].join("meta.json"), "x").expect("written");
    std::fs::remove_dir_all(&shards[2]).expect("removed");
    let (writer, _) = Writer::open(&options(dir.path()), TENANT).expect("opens");
    let missing = writer.searcher().missing();
    assert_eq!(missing.iter().map(|one| one.offsets).collect::<Vec<_>>(), [(SHARD + 1, 3 * SHARD)]);
    // Nobody knows the times of the first of them: any may be missing.
    assert_eq!((missing[0].time, missing[0].received), (None, None));
    assert!(!search(&writer.searcher(), Some(time(ALL)), None).complete);
    drop(writer);
    assert_eq!(mend_from_the_log(dir.path(), &missing[0], ALL), 2 * SHARD);
    let (writer, _) = Writer::open(&options(dir.path()), TENANT).expect("opens");
    assert_eq!(found(&search(&writer.searcher(), None, None)), (1..=ALL).collect::<Vec<_>>());
    assert!(writer.searcher().missing().is_empty());
}

#[test]
fn what_a_search_is_not_about_it_does_not_miss() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = index(dir.path());
    std::fs::write(shards[1].join("meta.json"), "").expect("written");
    let (mut writer, _) = Writer::open(&options(dir.path()), TENANT).expect("opens");
    let searcher = writer.searcher();
    for (received, complete) in
        [((1, SHARD), true), ((1, SHARD + 1), false), ((2 * SHARD, ALL), false), ((2 * SHARD + 1, ALL), true)]
    {
        let received = Some((time(received.0), time(received.1)));
        let request = SearchRequest { received, ..SearchRequest::new(query::parse("door", time(0)).expect("a query")) };
        let answer = searcher.search(&request, &SearchLimits { stop: Arc::new(|| false) }).expect("searches");
        assert_eq!((answer.complete, answer.total), (complete, ALL - SHARD), "{received:?}");
    }
    // It goes with what comes behind it.
    assert_eq!(writer.drop_before(time(SHARD + 1)).expect("drops"), 1);
    assert!(shards[1].exists() && searcher.missing().len() == 1);
    assert_eq!(writer.drop_before(time(3 * SHARD + 1)).expect("drops"), 2);
    assert!(!shards[1].exists() && searcher.missing().is_empty());
}

#[test]
fn a_bit_that_has_turned_is_found_by_its_checksum() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = index(dir.path());
    let files = std::fs::read_dir(&shards[3]).expect("a folder").map(|entry| entry.expect("an entry").path());
    let postings = files.into_iter().find(|path| path.extension().is_some_and(|e| e == "idx")).expect("postings");
    let mut bytes = std::fs::read(&postings).expect("a file");
    bytes[10] ^= 1;
    std::fs::write(&postings, bytes).expect("written");
    assert_eq!(inspect(dir.path(), TENANT, false).expect("looks"), [], "it opens");
    let seen = inspect(dir.path(), TENANT, true).expect("looks");
    assert_eq!(seen.iter().map(|one| one.offsets).collect::<Vec<_>>(), [(3 * SHARD + 1, 4 * SHARD)]);
    assert_eq!(mend_from_the_log(dir.path(), &seen[0], ALL), SHARD);
    assert_eq!(inspect(dir.path(), TENANT, true).expect("looks"), []);
}
