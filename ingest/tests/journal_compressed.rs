//! What compression promises: every record is read back as it was, in order or alone; trees and links stay; killed at any point nothing is
//! lost; a changed bit is found and costs what lies in its block.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event::{Clock, Content, FrameHead, Frames, Position, TenantId, Time, Transport};
use ingest::log::{Fetched, Journal, JournalOptions, Recovery, verify};
use proptest::prelude::*;

struct Steps(AtomicI64);

impl Clock for Steps {
    fn now(&self) -> Time {
        Time::from_unix_ms(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

const SEGMENT_BYTES: u64 = 600 * 1024;

fn open(dir: &Path, compress: bool) -> (Journal, Recovery) {
    let clock = Arc::new(Steps(AtomicI64::new(1_775_000_000_000)));
    Journal::open(dir, JournalOptions { segment_bytes: SEGMENT_BYTES, compress }, clock).expect("opens")
}

fn head(n: u64) -> FrameHead {
    FrameHead {
        position: Position::default(),
        received: Time::from_unix_s(1_775_000_000 + n as i64),
        tenant: TenantId(1),
        source: Some(if n.is_multiple_of(3) { "[2001:db8::1]:514" } else { "192.0.2.1:514" }.parse().expect("an address")),
        origin: None,
        transport: Transport::Udp,
        content: Content::Text,
        truncated: n.is_multiple_of(7),
        listener: (n % 3) as u16,
    }
}

/// Numbers that look like chance and are the same each time.
fn chance(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A record of `len` bytes, part of it words and part noise.
fn record(n: u64, len: usize) -> Vec<u8> {
    let mut bytes = format!("<13>record {n} of sshd: failed password for root ").into_bytes();
    let mut state = n + 1;
    while bytes.len() < len {
        match chance(&mut state) % 3 {
            0 => bytes.extend(chance(&mut state).to_le_bytes()),
            _ => bytes.extend(b" from 192.0.2.77 port 50022 ssh2"),
        }
    }
    bytes.truncate(len);
    bytes
}

/// Writes records of these lengths into an uncompressed journal.
fn write(dir: &Path, lengths: &[usize]) {
    let (mut journal, _) = open(dir, false);
    for group in lengths.chunks(20) {
        let mut frames = Frames::default();
        for len in group {
            let n = frames.len() as u64;
            frames.push(head(n), &record(n, *len));
        }
        journal.appender().append_blocking(frames).expect("appends");
        journal.sync().expect("syncs");
    }
    journal.close();
}

/// Some five segments, each of several blocks; one record is longer than a block.
fn lengths(state: &mut u64) -> Vec<usize> {
    let mut lengths: Vec<usize> = (0..1500).map(|_| 60 + (chance(state) % 3000) as usize).collect();
    lengths[700] = 200 * 1024;
    lengths
}

fn all(journal: &Journal, next: u64) -> Vec<Fetched> {
    let mut reader = journal.reader(next);
    let mut all = Vec::new();
    loop {
        let mut out = Frames::default();
        if reader.read(&mut out, 1 << 20, Duration::ZERO).expect("reads") == 0 && reader.next_offset() > journal.durable() {
            return all;
        }
        let texts = out.iter().filter(|f| f.head.content == Content::Text);
        all.extend(texts.map(|f| Fetched { head: f.head, bytes: f.bytes.to_vec() }));
    }
}

/// The files of a folder but for the lock.
fn files(dir: &Path) -> BTreeMap<String, PathBuf> {
    let entries = std::fs::read_dir(dir).expect("there").map(|e| e.expect("an entry").path());
    let named = entries.map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path));
    named.filter(|(name, _)| name != "lock").collect()
}

/// Of the segments: the one that is being made ready counts for nothing yet.
fn names(dir: &Path) -> Vec<String> {
    files(dir).into_keys().filter(|name| name != "next.part").collect()
}

fn copy(from: &Path, to: &Path) {
    for (name, path) in files(from) {
        std::fs::copy(path, to.join(name)).expect("copied");
    }
}

fn compress(dir: &Path) {
    let (mut journal, _) = open(dir, true);
    journal.settle().expect("compresses");
    journal.close();
}

/// An uncompressed journal and its twin whose closed segments are compressed.
struct Twins {
    plain: tempfile::TempDir,
    packed: tempfile::TempDir,
    records: Vec<Fetched>,
}

fn twins(lengths: &[usize]) -> Twins {
    let (plain, packed) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(plain.path(), lengths);
    copy(plain.path(), packed.path());
    compress(packed.path());
    let records = all(&open(plain.path(), false).0, 1);
    assert_eq!(records.len(), lengths.len());
    Twins { plain, packed, records }
}

#[test]
fn compressed_segments_are_the_same_segments() {
    let twins = twins(&lengths(&mut 3));
    let before = verify(twins.plain.path()).expect("reads");
    let after = verify(twins.packed.path()).expect("reads");
    assert_eq!(before.problem, None);
    assert_eq!(before, after, "the same records, trees and links");
    assert_ne!(before.chain, [0; 32]);
    let (plain, packed) = (files(twins.plain.path()), files(twins.packed.path()));
    assert_eq!(plain.len(), packed.len());
    assert!(packed.len() >= 4, "{} segments", packed.len());
    for (n, ((name, path), (other, twin))) in plain.iter().zip(&packed).enumerate() {
        let bytes = std::fs::read(path).expect("reads");
        if n + 1 == plain.len() {
            assert_eq!(name, other, "the newest stays as it is");
            continue;
        }
        assert_eq!(*other, format!("{name}.zst"));
        let stored = std::fs::read(twin).expect("reads");
        assert!(stored.len() < bytes.len());
        // Any zstd gives the segment back, byte for byte.
        assert!(zstd::decode_all(&stored[..]).expect("is zstd") == bytes, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever the lengths, each record is read back alone, in any order, and in order from anywhere.
    #[test]
    fn every_record_is_read_back(
        mut lengths in prop::collection::vec(prop_oneof![20 => 0usize..2000, 2 => 0usize..20_000, 1 => 100_000usize..262_144], 1..400),
        seed in 1u64..u64::MAX,
    ) {
        lengths.extend([1000; 700]); // Enough for a segment to be closed.
        let twins = twins(&lengths);
        prop_assert!(names(twins.packed.path()).iter().any(|name| name.ends_with(".zst")));
        let (journal, recovery) = open(twins.packed.path(), false);
        prop_assert_eq!((recovery.torn_bytes, recovery.quarantined), (0, None));
        let mut state = seed;
        for _ in 0..300 {
            let expected = &twins.records[chance(&mut state) as usize % twins.records.len()];
            let found = journal.fetch(expected.head.position).expect("reads");
            prop_assert_eq!(found.as_ref(), Some(expected));
        }
        // Some of them at once: none, far apart, close together; and what is not there.
        for step in [1, 3, 40, 400] {
            let chosen: Vec<&Fetched> = twins.records.iter().filter(|_| chance(&mut state).is_multiple_of(step)).collect();
            let mut offsets: Vec<u64> = chosen.iter().map(|record| record.head.position.offset).collect();
            offsets.push(1_000_000_000);
            let mut found = Vec::new();
            journal.fetch_all(&offsets, |record| found.push(record.clone())).expect("reads");
            prop_assert!(found.iter().eq(chosen));
        }
        let from = chance(&mut state) as usize % twins.records.len();
        prop_assert!(all(&journal, twins.records[from].head.position.offset) == twins.records[from..]);
        prop_assert!(all(&journal, 1) == twins.records);
    }
}

#[test]
fn killed_at_any_point_nothing_is_lost() {
    let twins = twins(&lengths(&mut 5));
    let name = names(twins.plain.path()).remove(0);
    let (plain, packed, part) = (name.clone(), format!("{name}.zst"), format!("{name}.part"));
    let whole = std::fs::read(twins.packed.path().join(&packed)).expect("reads");
    // What lies in the folder: begun; half-written, at many lengths; whole; named; named, but what the disk has of it is not whole.
    let mut states: Vec<(&str, &str, usize)> = vec![("nothing yet", &part, 0), ("written", &part, whole.len())];
    states.extend((1..40).map(|n| ("half-written", part.as_str(), whole.len() * n / 40)));
    states.extend([
        ("named", packed.as_str(), whole.len()),
        ("named, not whole", &packed, whole.len() / 2),
        ("named, empty", &packed, 0),
    ]);
    for (state, file, len) in states {
        let dir = tempfile::tempdir().expect("a folder");
        copy(twins.plain.path(), dir.path());
        std::fs::write(dir.path().join(file), &whole[..len]).expect("written");
        // An outsider reads it as it lies there.
        assert_eq!(verify(dir.path()).expect("reads"), verify(twins.plain.path()).expect("reads"), "{state} {len}");
        let (journal, recovery) = open(dir.path(), false);
        assert_eq!((recovery.torn_bytes, recovery.quarantined), (0, None), "{state} {len}");
        assert!(all(&journal, 1) == twins.records, "{state} {len}");
        let kept: Vec<String> = names(dir.path()).into_iter().filter(|n| n.starts_with(&name)).collect();
        let expected = if state == "named" { &packed } else { &plain };
        assert_eq!(kept, std::slice::from_ref(expected), "{state} {len}");
        drop(journal);
        // And it is compressed the next time.
        compress(dir.path());
        assert_eq!(names(dir.path()), names(twins.packed.path()), "{state} {len}");
    }
}

#[test]
fn a_changed_bit_is_found_and_costs_its_block_at_most() {
    let twins = twins(&lengths(&mut 9));
    let victims: Vec<String> = names(twins.packed.path()).into_iter().filter(|n| n.ends_with(".zst")).collect();
    let mut state = 13;
    let (mut named, mut unharmed) = (0, 0);
    for round in 0..120 {
        let dir = tempfile::tempdir().expect("a folder");
        copy(twins.packed.path(), dir.path());
        let victim = dir.path().join(&victims[chance(&mut state) as usize % victims.len()]);
        let mut bytes = std::fs::read(&victim).expect("reads");
        // Every fourth one near the end, where the table is.
        let at = if round % 4 == 0 {
            bytes.len() - 1 - chance(&mut state) as usize % 150
        } else {
            chance(&mut state) as usize % bytes.len()
        };
        bytes[at] ^= 1 << (chance(&mut state) % 8);
        std::fs::write(&victim, &bytes).expect("written");
        let report = verify(dir.path()).expect("reads");
        let (path, problem) = report.problem.expect("a changed bit is found");
        assert_eq!(path, victim, "{problem}");
        let (journal, _) = open(dir.path(), false);
        let found = all(&journal, 1);
        assert!(found.is_sorted_by_key(|f| f.head.position.offset), "in order, none twice");
        let left: BTreeMap<u64, &Fetched> = found.iter().map(|f| (f.head.position.offset, f)).collect();
        let gone: Vec<&Fetched> = twins.records.iter().filter(|r| !left.contains_key(&r.head.position.offset)).collect();
        assert!(twins.records.iter().all(|r| left.get(&r.head.position.offset).is_none_or(|f| **f == *r)), "nothing is made up");
        let bytes: usize = gone.iter().map(|r| r.bytes.len() + 60).sum();
        let longest = gone.iter().map(|r| r.bytes.len()).max().unwrap_or(0);
        assert!(bytes <= 128 * 1024 + 2 * (longest + 60), "byte {at} cost {} records", gone.len());
        match gone.first() {
            // The first record that cannot be read is the one that is named; a commit frame may come before it.
            Some(first) if problem.contains("was expected there") => {
                let offset = first.head.position.offset;
                assert!((offset - 1..=offset).any(|n| problem.contains(&format!("offset {n} "))), "{offset}: {problem}");
                named += 1;
            }
            _ => unharmed += 1,
        }
        for record in gone {
            assert_eq!(journal.fetch(record.head.position).expect("reads"), None);
        }
    }
    assert!(named > 20 && unharmed > 5, "{named} {unharmed}");
}

#[test]
fn readers_go_on_while_segments_are_compressed_under_them() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), &lengths(&mut 21));
    let expected = all(&open(dir.path(), false).0, 1);
    let (journal, _) = open(dir.path(), true);
    let mut reader = journal.reader(1);
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        let mut out = Frames::default();
        reader.read(&mut out, 40_000, Duration::ZERO).expect("reads");
        seen.extend(
            out.iter().filter(|f| f.head.content == Content::Text).map(|f| Fetched { head: f.head, bytes: f.bytes.to_vec() }),
        );
        for record in &expected[seen.len().saturating_sub(2)..seen.len()] {
            assert_eq!(journal.fetch(record.head.position).expect("reads").as_ref(), Some(record));
        }
        if seen.len() > expected.len() / 2 {
            journal.settle().expect("compresses");
        }
    }
    assert!(seen == expected);
    assert!(reader.gaps.is_empty());
}

#[test]
fn what_cannot_be_compressed_stays_as_it_was_written_and_is_tried_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(dir.path(), true);
    // A folder stands where the first segment's compressed bytes would be written to.
    let obstacle = dir.path().join("00000000000000000001.journal.part");
    std::fs::create_dir(&obstacle).expect("made");
    let lengths = lengths(&mut 33);
    let append = || {
        for group in lengths.chunks(50) {
            let mut frames = Frames::default();
            group.iter().for_each(|len| frames.push(head(0), &record(0, *len)));
            journal.appender().append_blocking(frames).expect("appends");
        }
        journal.sync().expect("syncs");
        journal.settle().expect("the thread is alive");
    };
    append();
    let packed = || names(dir.path()).iter().filter(|name| name.ends_with(".zst")).count();
    assert_eq!(packed(), 0, "{:?}", names(dir.path()));
    assert_eq!(all(&journal, 1).len(), lengths.len());
    std::fs::remove_dir(&obstacle).expect("removed");
    append();
    assert_eq!(packed(), names(dir.path()).len() - 1, "all but the newest");
    assert_eq!(all(&journal, 1).len(), 2 * lengths.len());
    assert_eq!(verify(dir.path()).expect("reads").problem, None);
}
