//! A disk that is full is waited out: what was acknowledged is there, nothing more is acknowledged, senders wait, readers read on, and once
//! there is room everything goes on by itself. On a real one: a tmpfs of 8 MiB in a mount namespace of the test's own.
#![expect(clippy::print_stdout, reason = "a test tells what it skips")]

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use event::{Clock, Content, FrameHead, Frames, Time, Transport};
use ingest::log::{Journal, JournalOptions, verify};

const DISK: &str = "MIHARI_TEST_SMALL_DISK";
/// What `unshare` or `mount` may not do here ends in this.
const NOT_ALLOWED: i32 = 77;
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the journal may be silent before it counts as waiting: it tries again twice meanwhile.
const SILENCE: Duration = Duration::from_millis(1200);
const RECORD_BYTES: usize = 2000;
const OPTIONS: JournalOptions = JournalOptions { segment_bytes: 512 << 10, compress: true };

struct Still;

impl Clock for Still {
    fn now(&self) -> Time {
        Time::from_unix_s(1_775_000_000)
    }
}

#[test]
fn a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on(Path::new(&disk));
    }
    let dir = tempfile::tempdir().expect("a folder");
    let script = format!("mount -t tmpfs -o size=8m none \"$0\" || exit {NOT_ALLOWED}; exec \"$@\"");
    let run = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .arg(dir.path())
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost", "--nocapture"])
        .env(DISK, dir.path())
        .output();
    let told = match run {
        Ok(told) => told,
        Err(error) => return println!("skipped: unshare cannot be run: {error}"),
    };
    let said = || format!("{}\n{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    if told.status.code() == Some(NOT_ALLOWED) || said().contains("unshare: ") {
        return println!("skipped: no mount namespace of one's own here: {}", said());
    }
    assert!(told.status.success() && said().contains("1 passed"), "{}", said());
}

/// A file that takes all the room there is.
fn fill(path: &Path) {
    let mut ballast = std::fs::File::create(path).expect("made");
    let mut part = vec![0xA5; 64 << 10];
    while !part.is_empty() {
        if ballast.write_all(&part).is_err() {
            part.truncate(part.len() / 2);
        }
    }
}

fn record(n: u64) -> Frames {
    let mut frames = Frames::default();
    // No compressor makes room of these.
    let noise: String = (0..RECORD_BYTES as u64 / 16)
        .map(|i| format!("{:016x}", (n * 1000 + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    frames.push(FrameHead::new(Transport::Tcp, Content::Text), format!("{n} {noise}").as_bytes());
    frames
}

/// The numbers of the records that can be read, in their order.
fn numbers(journal: &Journal) -> Vec<u64> {
    let mut reader = journal.reader(1);
    let mut found = Vec::new();
    loop {
        let mut frames = Frames::default();
        if reader.read(&mut frames, 64 << 10, Duration::ZERO).expect("reads") == 0 && reader.next_offset() > journal.durable() {
            return found;
        }
        for frame in frames.iter().filter(|frame| frame.head.content == Content::Text) {
            let text = str::from_utf8(frame.bytes).expect("text");
            found.push(text.split(' ').next().expect("a number").parse().expect("a number"));
        }
    }
}

fn on(disk: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (folder, ballast) = (disk.join("journal"), disk.join("ballast"));
    let (journal, _) = Journal::open(&folder, OPTIONS, Arc::new(Still)).expect("opens");
    let appender = journal.appender();
    let mut next = 0;
    for _ in 0..3 {
        fill(&ballast);
        // Until nobody is told any more that a record is on the disk.
        let waiting = loop {
            let (appender, n) = (appender.clone(), next);
            let mut told = runtime.spawn(async move { appender.append_synced(record(n)).await });
            next += 1;
            match runtime.block_on(async { tokio::time::timeout(SILENCE, &mut told).await }) {
                Ok(acknowledged) => acknowledged.expect("no panic").expect("the journal is open"),
                Err(_) => break told,
            }
            assert!(next < 10_000, "the disk is never full");
        };
        let durable = journal.durable();
        assert_eq!(numbers(&journal), (0..next - 1).collect::<Vec<_>>(), "what was acknowledged can be read meanwhile");
        // Senders come to a stand: only so many wait in the queue.
        let mut queued = Vec::new();
        loop {
            let (appender, n) = (appender.clone(), next);
            let mut sent = runtime.spawn(async move { appender.append(record(n)).await });
            next += 1;
            let done = runtime.block_on(async { tokio::time::timeout(SILENCE, &mut sent).await });
            queued.push(sent);
            if done.is_err() {
                break;
            }
            queued.pop();
            assert!(queued.is_empty() && next < 20_000, "senders are never made to wait");
        }
        assert_eq!(journal.durable(), durable, "nothing became durable where there was no room");
        std::fs::remove_file(&ballast).expect("removed");
        let told = runtime.block_on(async { tokio::time::timeout(PATIENCE, waiting).await });
        told.expect("it goes on by itself").expect("no panic").expect("written");
        for sent in queued {
            runtime
                .block_on(async { tokio::time::timeout(PATIENCE, sent).await })
                .expect("taken")
                .expect("no panic")
                .expect("taken");
        }
        journal.sync().expect("synced");
        assert_eq!(numbers(&journal), (0..next).collect::<Vec<_>>(), "each once, in order");
        journal.settle().expect("compressed");
    }
    drop((appender, journal));
    let report = verify(&folder).expect("reads");
    assert_eq!(report.problem, None);
    assert!(report.frames >= next, "{report:?}");
    let (journal, recovery) = Journal::open(&folder, OPTIONS, Arc::new(Still)).expect("opens");
    assert_eq!((recovery.torn_bytes, recovery.quarantined), (0, None));
    assert_eq!(numbers(&journal), (0..next).collect::<Vec<_>>());
}
