//! A record's proof leads to a chain value that the journal has, also compressed, and nothing that was changed in it holds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use event::{Clock, Content, FrameHead, Frames, Time, Transport};
use ingest::log::{Journal, JournalOptions, Proof, prove, verify};

struct Steps(AtomicI64);

impl Clock for Steps {
    fn now(&self) -> Time {
        Time::from_unix_ms(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn open(dir: &Path, compress: bool) -> Journal {
    let clock = Arc::new(Steps(AtomicI64::new(1_775_000_000_000)));
    Journal::open(dir, JournalOptions { segment_bytes: 16 * 1024, compress }, clock).expect("opens").0
}

/// Groups of one to nine records, each committed by itself.
fn write(journal: &Journal) {
    for group in 0..60u32 {
        let mut frames = Frames::default();
        for n in 0..=group % 9 {
            frames
                .push(FrameHead::new(Transport::Udp, Content::Text), format!("record {group} {n} {}", "x".repeat(80)).as_bytes());
        }
        journal.appender().append_blocking(frames).expect("appends");
        journal.sync().expect("syncs");
    }
}

#[test]
fn every_record_is_proved_and_no_change_of_a_proof_holds() {
    for compress in [false, true] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut journal = open(dir.path(), compress);
        write(&journal);
        journal.settle().expect("compresses");
        let durable = journal.durable();
        let (mut proved, mut sealed, mut ends) = (0, 0, Vec::new());
        for offset in 1..=durable {
            // Commits are no records.
            let Some(proof) = journal.prove(offset).expect("reads") else { continue };
            assert_eq!((proof.offset, proof.problem()), (offset, None));
            let text = serde_json::to_string(&proof).expect("JSON");
            assert_eq!(serde_json::from_str::<Proof>(&text).expect("reads"), proof);
            (proved, sealed) = (proved + 1, sealed + u32::from(proof.sealed));
            ends.push(proof.chain);
            for changed in changes(&proof) {
                assert!(changed.problem().is_some(), "{changed:?}");
            }
        }
        assert!(proved > 250 && sealed > 100 && sealed < proved, "{proved} {sealed}");
        assert_eq!(journal.prove(durable + 1).expect("reads"), None);
        journal.close();
        let report = verify(dir.path()).expect("reads");
        assert_eq!(
            (report.problem, ends.last()),
            (None, Some(&report.chain)),
            "the last segment ends with the journal's own value"
        );
        let other = tempfile::tempdir().expect("a folder");
        assert_eq!(prove(other.path(), 1, u64::MAX).expect("reads"), None);
    }
}

/// The proof with one thing in it another.
fn changes(proof: &Proof) -> Vec<Proof> {
    let change = |with: &dyn Fn(&mut Proof)| {
        let mut changed = proof.clone();
        with(&mut changed);
        changed
    };
    let mut all = vec![
        change(&|p| *p.body.last_mut().expect("a body") ^= 1),
        change(&|p| p.body.push(0)),
        change(&|p| p.offset += p.batches[0].last + 1),
        change(&|p| p.before[0] ^= 1),
        change(&|p| p.chain[31] ^= 1),
        change(&|p| p.batches[0].root[7] ^= 1),
        change(&|p| p.batches[0].last += 1),
        change(&|p| p.path.push([0; 32])),
        change(&|p| p.batches.clear()),
    ];
    if !proof.path.is_empty() {
        all.push(change(&|p| p.path[0][0] ^= 1));
        all.push(change(&|p| {
            p.path.pop();
        }));
        let first = proof.batches[0].first;
        all.push(change(&|p| p.offset = if p.offset == first { first + 1 } else { first }));
    }
    if proof.batches.len() > 1 {
        all.push(change(&|p| {
            p.batches.pop();
        }));
        all.push(change(&|p| p.batches.swap(0, 1)));
    }
    all
}
