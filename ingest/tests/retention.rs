//! Dropping old segments: what is left is still proved, what is gone is named, and nothing goes unsaid, killed at any point too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event::{Clock, Content, FrameHead, Frames, Position, Time, Transport};
use ingest::log::{Journal, JournalOptions, Reason, Retention, Tombstone, verify};

const START_S: i64 = 1_775_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// A clock that moves a second at each look, and may be set.
#[derive(Clone)]
struct Steps(Arc<AtomicI64>);

impl Clock for Steps {
    fn now(&self) -> Time {
        Time::from_unix_s(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Opens a journal, some hours after any was opened before.
fn open(dir: &Path, compress: bool) -> (Journal, Steps) {
    static OPENED: AtomicI64 = AtomicI64::new(0);
    let clock = Steps(Arc::new(AtomicI64::new(START_S + 10_000 * OPENED.fetch_add(1, Ordering::Relaxed))));
    let options = JournalOptions { segment_bytes: 16 * 1024, compress };
    (Journal::open(dir, options, Arc::new(clock.clone())).expect("opens").0, clock)
}

/// Appends `count` groups of twenty records.
fn write(journal: &Journal, count: u64) {
    for group in 0..count {
        let mut frames = Frames::default();
        for n in 0..20 {
            let head = FrameHead { received: Time::from_unix_s(START_S), ..FrameHead::new(Transport::Udp, Content::Text) };
            frames.push(head, format!("record {group} {n} {}", "x".repeat(60)).as_bytes());
        }
        journal.appender().append_blocking(frames).expect("appends");
        journal.sync().expect("syncs");
    }
}

/// The offsets of the text records from `next` on, and whether nothing was missing between them.
fn read(journal: &Journal, next: u64) -> (Vec<u64>, bool) {
    let (mut reader, mut all) = (journal.reader(next), Vec::new());
    while reader.next_offset() <= journal.durable() {
        let mut out = Frames::default();
        reader.read(&mut out, 4096, Duration::ZERO).expect("reads");
        all.extend(out.iter().filter(|f| f.head.content == Content::Text).map(|f| f.head.position.offset));
    }
    (all, reader.gaps.is_empty())
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).expect("there").map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.to_string_lossy().contains(".journal"));
    paths.sort();
    paths
}

fn copy(from: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(from).expect("there") {
        let path = entry.expect("an entry").path();
        if path.ends_with("next.part") {
            continue; // It comes and goes with the journal's own thread, and counts for nothing yet.
        }
        std::fs::copy(&path, dir.path().join(path.file_name().expect("a name"))).expect("copied");
    }
    dir
}

const EVERYTHING: Retention = Retention { age_ns: Some(0), bytes: None };

#[test]
fn what_is_left_is_proved_and_what_is_gone_is_named() {
    for compress in [false, true] {
        let dir = tempfile::tempdir().expect("a folder");
        let (journal, clock) = open(dir.path(), compress);
        write(&journal, 30);
        journal.settle().expect("settles");
        let (before, count) = (read(&journal, 1).0, segments(dir.path()).len());
        let passed = before[300];
        assert_eq!(journal.trim(&Retention::default(), u64::MAX, Some(clock.now())).expect("trims"), [], "kept for ever");
        assert_eq!(journal.trim(&EVERYTHING, 0, Some(clock.now())).expect("trims"), [], "nobody has passed anything");
        let removed = journal.trim(&EVERYTHING, passed, Some(clock.now())).expect("trims");
        let last = removed.last().expect("some").last;
        assert!(last <= passed && last + 400 > passed, "as far as was passed, in whole segments");
        assert_eq!(journal.removed(), last);
        assert_eq!(segments(dir.path()).len(), count - removed.len());
        assert!(removed.iter().all(|tombstone| tombstone.reason == Reason::Age));
        // Who reads on reads what is left, without a gap; what is gone is gone, and is no fault.
        let left: Vec<u64> = before.iter().copied().filter(|offset| *offset > last).collect();
        assert_eq!(read(&journal, 1), (left.clone(), true));
        assert_eq!(journal.fetch(Position { partition: 0, offset: before[0] }).expect("no fault"), None);
        assert!(journal.fetch(Position { partition: 0, offset: left[0] }).expect("reads").is_some());
        write(&journal, 10);
        let more = journal.trim(&EVERYTHING, journal.durable(), Some(clock.now())).expect("trims");
        drop(journal);
        let all: Vec<Tombstone> = removed.into_iter().chain(more).collect();
        let report = verify(dir.path()).expect("reads");
        assert_eq!((report.problem, &report.removed), (None, &all));
        let (journal, _) = open(dir.path(), compress);
        assert_eq!(journal.removed(), all.last().expect("some").last);
        assert!(read(&journal, 1).1);
    }
}

#[test]
fn only_what_is_too_old_or_too_much_goes() {
    let dir = tempfile::tempdir().expect("a folder");
    let (journal, clock) = open(dir.path(), false);
    write(&journal, 30);
    let bytes: u64 = segments(dir.path()).iter().map(|path| std::fs::metadata(path).expect("there").len()).sum();
    let bound = Retention { age_ns: None, bytes: Some(bytes / 2) };
    let removed = journal.trim(&bound, u64::MAX, None).expect("trims");
    assert!(removed.iter().all(|t| t.reason == Reason::Bytes && t.bound == bytes / 2));
    let left: u64 = segments(dir.path()).iter().map(|path| std::fs::metadata(path).expect("there").len()).sum();
    assert!(left <= bytes / 2 && left + 16 * 1024 + 4096 > bytes / 2, "{left} of {bytes}");
    // A year: nothing yet. The clock leaps, and whoever asks does not trust it: nothing. It is trusted: all but the newest.
    let year = Retention { age_ns: Some(365 * 86_400 * SECOND_NS), bytes: None };
    assert_eq!(journal.trim(&year, u64::MAX, Some(clock.now())).expect("trims"), []);
    clock.0.fetch_add(366 * 86_400, Ordering::Relaxed);
    assert_eq!(journal.trim(&year, u64::MAX, None).expect("trims"), []);
    assert!(!journal.trim(&year, u64::MAX, Some(clock.now())).expect("trims").is_empty());
    assert_eq!(segments(dir.path()).len(), 1);
    assert!(!read(&journal, 1).0.is_empty(), "the newest segment stays");
}

#[test]
fn killed_between_any_two_steps_nothing_is_lost_unsaid() {
    let dir = tempfile::tempdir().expect("a folder");
    let (journal, clock) = open(dir.path(), false);
    write(&journal, 30);
    journal.sync().expect("syncs");
    let untouched = copy(dir.path());
    let removed = journal.trim(&EVERYTHING, 250, Some(clock.now())).expect("trims");
    assert!(!removed.is_empty());
    drop(journal);
    let file = std::fs::read(dir.path().join("tombstones")).expect("there");
    // The tombstone is there, the segment still is too; also with a torn line behind it.
    for torn in ["", "{\"first\":"] {
        let killed = copy(dir.path());
        for path in segments(untouched.path()).iter().take(removed.len()) {
            std::fs::copy(path, killed.path().join(path.file_name().expect("a name"))).expect("copied");
        }
        std::fs::write(killed.path().join("tombstones"), [file.as_slice(), torn.as_bytes()].concat()).expect("written");
        assert_eq!(verify(killed.path()).expect("reads").problem, None);
        let (journal, clock) = open(killed.path(), false);
        assert_eq!(journal.removed(), removed.last().expect("some").last);
        assert!(read(&journal, 1).1);
        let more = journal.trim(&EVERYTHING, journal.durable(), Some(clock.now())).expect("trims");
        drop(journal);
        let report = verify(killed.path()).expect("reads");
        assert_eq!((report.problem, report.removed.len()), (None, removed.len() + more.len()));
    }
    // The tombstone is in the journal only: the segment is there, and goes the next time.
    let killed = copy(dir.path());
    for path in segments(untouched.path()).iter().take(removed.len()) {
        std::fs::copy(path, killed.path().join(path.file_name().expect("a name"))).expect("copied");
    }
    std::fs::remove_file(killed.path().join("tombstones")).expect("removed");
    assert_eq!(verify(killed.path()).expect("reads").problem, None);
    let (journal, clock) = open(killed.path(), false);
    assert_eq!(journal.removed(), 0);
    assert_eq!(journal.trim(&EVERYTHING, 250, Some(clock.now())).expect("trims").len(), removed.len());
    drop(journal);
    assert_eq!(verify(killed.path()).expect("reads").problem, None);
}

#[test]
fn what_was_removed_by_hand_or_made_to_look_so_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let (journal, clock) = open(dir.path(), false);
    write(&journal, 30);
    let removed = journal.trim(&EVERYTHING, 250, Some(clock.now())).expect("trims");
    drop(journal);
    let problem = |dir: &Path| verify(dir).expect("reads").problem.map(|(_, what)| what);
    let file = std::fs::read_to_string(dir.path().join("tombstones")).expect("there");
    let changed = |text: &str| {
        let forged = copy(dir.path());
        std::fs::write(forged.path().join("tombstones"), text).expect("written");
        problem(forged.path())
    };
    assert_eq!(problem(dir.path()), None);
    assert!(changed("").is_some_and(|what| what.contains("missing before it")), "no tombstone");
    assert!(changed(&file.replacen("\"age\"", "\"bytes\"", 1)).is_some_and(|what| what.contains("its own link")));
    // A line that is none is a fault, not one that keeps the journal from being opened; nothing is removed until it is mended.
    let damaged = copy(dir.path());
    std::fs::write(damaged.path().join("tombstones"), file.clone() + "?\n").expect("written");
    assert!(problem(damaged.path()).is_some_and(|what| what.contains("a line that is none")));
    let (journal, clock) = open(damaged.path(), false);
    assert!(journal.trim(&EVERYTHING, u64::MAX, Some(clock.now())).is_err());
    drop(journal);
    let without_first: String = file.lines().skip(1).map(|line| format!("{line}\n")).collect();
    assert!(removed.len() == 1 || changed(&without_first).is_some());
    // The oldest segment that is left, removed without a tombstone.
    let forged = copy(dir.path());
    std::fs::remove_file(&segments(forged.path())[0]).expect("removed");
    assert!(problem(forged.path()).is_some());
    // One that says what retention would have said, made with a journal of the same content elsewhere: it is not in this journal.
    let elsewhere = copy(dir.path());
    let (journal, clock) = open(elsewhere.path(), false);
    assert!(!journal.trim(&EVERYTHING, 450, Some(clock.now())).expect("trims").is_empty());
    drop(journal);
    let forged = copy(dir.path());
    std::fs::copy(elsewhere.path().join("tombstones"), forged.path().join("tombstones")).expect("copied");
    for path in segments(dir.path()).iter().filter(|path| !elsewhere.path().join(path.file_name().expect("a name")).exists()) {
        std::fs::remove_file(forged.path().join(path.file_name().expect("a name"))).expect("removed");
    }
    assert!(problem(forged.path()).is_some_and(|what| what.contains("is not in the journal")));
}
