//! A disk that is full is waited out: what was acknowledged is there, nothing more is acknowledged, senders wait, readers read on, and once
//! there is room everything goes on by itself. On a real one: a tmpfs of 8 MiB in a mount namespace of the test's own.

#[path = "../../tests/program/small_disk.rs"]
mod small_disk;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use event::{Clock, Content, FrameHead, Frames, Time, Transport};
use ingest::log::{Journal, JournalOptions, verify};
use small_disk::{fill, on_a_small_disk};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long the journal may be silent before it counts as waiting: it tries again twice meanwhile.
const SILENCE: Duration = Duration::from_millis(1200);
const RECORD_BYTES: usize = 2000;
/// Of the records that fill the queue, which takes thousands: they must find room on the disk later.
const SHORT_BYTES: usize = 16;
const OPTIONS: JournalOptions = JournalOptions { segment_bytes: 512 << 10, compress: true };

struct Still;

impl Clock for Still {
    fn now(&self) -> Time {
        Time::from_unix_s(1_775_000_000)
    }
}

#[test]
fn a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost() {
    on_a_small_disk("a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost", 8, on);
}

fn record(n: u64, bytes: usize) -> Frames {
    let mut frames = Frames::default();
    // No compressor makes room of these.
    let noise: String =
        (0..bytes as u64 / 16).map(|i| format!("{:016x}", (n * 1000 + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
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
        fill(&ballast, 0);
        // Until nobody is told any more that a record is on the disk.
        let waiting = loop {
            let (appender, n) = (appender.clone(), next);
            let mut told = runtime.spawn(async move { appender.append_synced(record(n, RECORD_BYTES)).await });
            next += 1;
            match runtime.block_on(async { tokio::time::timeout(SILENCE, &mut told).await }) {
                Ok(acknowledged) => {
                    acknowledged.expect("no panic").expect("the journal is open");
                }
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
            let mut sent = runtime.spawn(async move { appender.append(record(n, SHORT_BYTES)).await });
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
