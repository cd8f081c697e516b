//! The journal's promises: what is committed is read back, a torn end is cut, damage costs itself only, and the verifier names it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event::{Clock, Content, FrameHead, Frames, Position, TenantId, Time, Transport};
use ingest::log::{Journal, JournalOptions, verify};

/// A clock that moves a millisecond at each look.
struct Steps(AtomicI64);

impl Clock for Steps {
    fn now(&self) -> Time {
        Time::from_unix_ms(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn open(dir: &Path) -> (Journal, ingest::log::Recovery) {
    let clock = Arc::new(Steps(AtomicI64::new(1_775_000_000_000)));
    Journal::open(dir, JournalOptions { segment_bytes: 16 * 1024, compress: false }, clock).expect("opens")
}

fn frames(first: u64, count: u64) -> Frames {
    let mut frames = Frames::default();
    for n in first..first + count {
        let head = FrameHead {
            position: Position::default(),
            received: Time::from_unix_s(1_775_000_000 + n as i64),
            tenant: TenantId(1),
            source: Some("192.0.2.1:514".parse().expect("an address")),
            origin: None,
            transport: Transport::Udp,
            content: Content::Text,
            truncated: n % 7 == 0,
            listener: (n % 3) as u16,
        };
        frames.push(head, format!("record {n} {}", "x".repeat((n % 90) as usize)).as_bytes());
    }
    frames
}

/// The records from `next` on, each with its offset.
fn read_all(journal: &Journal, next: u64) -> Vec<(u64, String)> {
    let mut reader = journal.reader(next);
    let mut all = Vec::new();
    loop {
        let mut out = Frames::default();
        if reader.read(&mut out, 4096, Duration::ZERO).expect("reads") == 0 && reader.next_offset() > journal.durable() {
            return all;
        }
        let texts = out.iter().filter(|f| f.head.content == Content::Text);
        all.extend(texts.map(|f| (f.head.position.offset, String::from_utf8_lossy(f.bytes).into_owned())));
    }
}

fn write(dir: &Path, groups: u64) -> Vec<(u64, String)> {
    let (mut journal, _) = open(dir);
    let appender = journal.appender();
    for group in 0..groups {
        appender.append_blocking(frames(group * 20, 20)).expect("appends");
        journal.sync().expect("syncs");
    }
    let all = read_all(&journal, 1);
    journal.close();
    all
}

#[test]
fn what_is_committed_is_read_back_over_rolls_and_restarts() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = write(dir.path(), 30);
    assert_eq!(first.len(), 600);
    assert!(first.is_sorted() && std::fs::read_dir(dir.path()).expect("there").count() > 3, "several segments");
    let second = write(dir.path(), 2);
    assert_eq!(second.len(), 640);
    assert_eq!(&second[..600], &first[..]);
    let (journal, recovery) = open(dir.path());
    assert_eq!((recovery.torn_bytes, recovery.quarantined), (0, None));
    for (offset, text) in &second {
        let found = journal.fetch(Position { partition: 0, offset: *offset }).expect("reads").expect("is there");
        assert_eq!(String::from_utf8_lossy(&found.bytes), *text);
        assert_eq!(found.head.truncated, text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number") % 7 == 0);
    }
    assert_eq!(read_all(&journal, second[300].0), second[300..]);
    let report = verify(dir.path()).expect("reads");
    assert_eq!(report.problem, None);
    assert_eq!(report.frames, 640);
}

/// Where the newest segments are gone, what comes gets no offset that somebody has read already, and the verifier names what is missing.
#[test]
fn behind_a_lost_end_no_offset_is_given_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let before = write(dir.path(), 30);
    let last = before.last().expect("a record").0;
    let newest = segments(dir.path()).pop().expect("a segment");
    std::fs::remove_file(newest).expect("removed");
    let (journal, recovery) = open(dir.path());
    assert!(recovery.next < last);
    assert!(journal.go_on_behind(last).expect("goes on") && !journal.go_on_behind(last).expect("is there"));
    assert_eq!(journal.durable(), last);
    journal.appender().append_blocking(frames(1000, 20)).expect("appends");
    journal.sync().expect("syncs");
    let all = read_all(&journal, 1);
    assert_eq!(all.iter().filter(|(offset, _)| *offset > last).count(), 20);
    assert!(all.iter().all(|(offset, text)| *offset > last || before.contains(&(*offset, text.clone()))));
    assert_eq!(read_all(&journal, last + 1).len(), 20, "who has read them goes on there");
    drop(journal);
    let (journal, recovery) = open(dir.path());
    assert_eq!((recovery.torn_bytes, recovery.quarantined), (0, None));
    assert_eq!(read_all(&journal, 1), all);
    let problem = verify(dir.path()).expect("reads").problem.expect("a gap").1;
    assert!(problem.contains(&format!("to {last} are missing")), "{problem}");
    // Where all of it is gone nobody waits for it either. Whoever reads up to a place within what is lost, as the analysis does up to where it stood,
    // gets past it, before anything follows and after.
    let empty = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(empty.path());
    assert!(journal.go_on_behind(99).expect("goes on"));
    for is_followed in [false, true] {
        if is_followed {
            journal.appender().append_blocking(frames(0, 5)).expect("appends");
            journal.sync().expect("syncs");
        }
        let mut reader = journal.reader(1);
        for limit in [50, 99] {
            reader.limit(limit);
            assert_eq!(reader.read(&mut Frames::default(), 4096, Duration::ZERO).expect("reads"), 0);
            assert_eq!(reader.next_offset(), limit + 1);
        }
    }
}

/// The segments that are made ready come one after the other, and none is left over.
#[test]
fn segments_made_ready_are_written_to_and_what_is_left_of_them_goes() {
    let dir = tempfile::tempdir().expect("a folder");
    let part = dir.path().join("next.part");
    let (journal, _) = open(dir.path());
    let appender = journal.appender();
    let (mut group, mut taken) = (0, 0);
    while taken < 3 {
        let was_ready = part.exists();
        appender.append_blocking(frames(group * 20, 20)).expect("appends");
        journal.sync().expect("syncs");
        group += 1;
        taken += u32::from(was_ready && !part.exists());
        assert!(group < 100_000, "no segment was made ready");
    }
    let all = read_all(&journal, 1);
    assert_eq!(all.len() as u64, group * 20);
    drop(journal);
    assert!(!part.exists());
    assert_eq!(verify(dir.path()).expect("reads").problem, None);
    let (journal, recovery) = open(dir.path());
    assert_eq!((recovery.torn_bytes, recovery.quarantined), (0, None));
    assert_eq!(read_all(&journal, 1), all);
}

/// A machine that died before the newest segment's name was on the disk finds it by what stands in it.
#[test]
fn a_segment_is_found_under_the_name_by_which_it_was_made_ready() {
    let dir = tempfile::tempdir().expect("a folder");
    let all = write(dir.path(), 30);
    let part = dir.path().join("next.part");
    let newest = segments(dir.path()).pop().expect("a segment");
    std::fs::rename(&newest, &part).expect("renamed");
    let (journal, recovery) = open(dir.path());
    assert_eq!((recovery.torn_bytes, recovery.quarantined), (0, None));
    assert_eq!(read_all(&journal, 1), all);
    assert!(newest.exists() && !part.exists());
    drop(journal);
    // What was made ready and never taken, or says that it is what is there already, is nothing.
    let older = std::fs::read(&segments(dir.path())[0]).expect("reads");
    for left in [vec![0; 16 * 1024], b"torn".to_vec(), older] {
        std::fs::write(&part, left).expect("written");
        let (journal, _) = open(dir.path());
        assert!(!part.exists());
        assert_eq!(read_all(&journal, 1), all);
    }
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_journal, _) = open(dir.path());
    let clock = Arc::new(Steps(AtomicI64::new(0)));
    assert!(Journal::open(dir.path(), JournalOptions::default(), clock).is_err());
}

/// Numbers that look like chance and are the same each time.
fn chance(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).expect("there").map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "journal"));
    paths.sort();
    paths
}

#[test]
fn a_torn_end_at_any_place_is_cut_and_what_lay_before_is_there() {
    let master = tempfile::tempdir().expect("a folder");
    let all = write(master.path(), 12);
    let last = segments(master.path()).pop().expect("a segment");
    let bytes = std::fs::read(&last).expect("reads");
    let mut state = 7;
    for _ in 0..150 {
        let dir = tempfile::tempdir().expect("a folder");
        for path in segments(master.path()) {
            std::fs::copy(&path, dir.path().join(path.file_name().expect("a name"))).expect("copied");
        }
        let cut = chance(&mut state) as usize % bytes.len();
        std::fs::write(dir.path().join(last.file_name().expect("a name")), &bytes[..cut]).expect("written");
        let (journal, recovery) = open(dir.path());
        let found = read_all(&journal, 1);
        assert_eq!(found, all[..found.len()], "cut at {cut}");
        assert!(found.last().is_none_or(|(offset, _)| *offset < recovery.next));
        // And it goes on from there.
        journal.appender().append_blocking(frames(0, 1)).expect("appends");
        journal.sync().expect("syncs");
        assert_eq!(read_all(&journal, 1).len(), found.len() + 1);
    }
}

#[test]
fn a_flipped_byte_anywhere_is_found_and_costs_little() {
    let master = tempfile::tempdir().expect("a folder");
    let all = write(master.path(), 12);
    let mut state = 11;
    for _ in 0..150 {
        let dir = tempfile::tempdir().expect("a folder");
        let paths = segments(master.path());
        let victim = &paths[chance(&mut state) as usize % paths.len()];
        for path in &paths {
            std::fs::copy(path, dir.path().join(path.file_name().expect("a name"))).expect("copied");
        }
        let path = dir.path().join(victim.file_name().expect("a name"));
        let mut bytes = std::fs::read(&path).expect("reads");
        let at = chance(&mut state) as usize % bytes.len();
        bytes[at] ^= 1 << (chance(&mut state) % 8);
        std::fs::write(&path, &bytes).expect("written");
        let report = verify(dir.path());
        let named =
            report.as_ref().map_or(true, |r| r.problem.is_some() || r.uncommitted > 0 || r.last < all.last().expect("records").0);
        assert!(named, "byte {at} of {} passed unseen", path.display());
        let clock = Arc::new(Steps(AtomicI64::new(1_775_000_000_000)));
        // A version number that was made higher is refused in so many words; everything else starts.
        let Ok((journal, _)) = Journal::open(dir.path(), JournalOptions { segment_bytes: 16 * 1024, compress: false }, clock)
        else {
            continue;
        };
        let found = read_all(&journal, 1);
        assert!(found.iter().all(|record| all.contains(record)), "nothing is made up");
        assert!(found.is_sorted(), "nothing comes twice or out of order");
        assert!(found.len() + 21 >= all.len(), "byte {at} of {} cost {} records", path.display(), all.len() - found.len());
    }
}
