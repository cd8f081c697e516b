//! Which segments become one, and when.
//!
//! Only neighbours in log order are merged, so that a segment stays a run of the log: times stay nearly in order, and a frame is found by
//! halving. A segment belongs to a level by the power of [`FAN_IN`] that its documents reach; as soon as so many of the newest ones are of
//! a level or below, they become one of the next, unless they are large enough. At full rate no document is thus written twice; where a
//! commit holds a few events, each merge is small. One merge runs at a time, on a thread of the engine.
//!
//! Where closed shards are in too many segments together, the oldest become one segment each, beside everything else ([`compact`]): each file of
//! each segment is one of the mappings that the system allows a process (65,530 as a rule), and a year of shards in sixty segments each would
//! need more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tantivy::index::{SegmentId, SegmentMeta};
use tantivy::indexer::{IndexWriterOptions, NoMergePolicy};
use tantivy::{FutureResult, Index, IndexWriter, TantivyDocument, TantivyError};
use tracing::{Span, debug_span};

use crate::IndexError;
use crate::segment::Segment;
use crate::shard::Shard;

/// Segments of a level that become one of the next.
const FAN_IN: usize = 8;
/// Segments of one merge: their files are open at once.
const MERGED_MAX: usize = 64;
/// Documents of a segment that is large enough to stay as it is: a commit's worth at full rate. More would cost a second pass over every
/// document; a shard of two million has some sixty such segments.
const DOCUMENTS_ENOUGH: u32 = 32_768;
/// Documents of a closed shard's segment that is large enough to stay as it is: half of what a shard holds as a rule.
const DOCUMENTS_ENOUGH_CLOSED: u32 = 1_000_000;
/// Bytes that must be free on the disk beside twice those of a shard that becomes one segment: collecting comes first.
const ROOM_BYTES: u64 = 1 << 30;
/// The least heap that the engine takes; nothing is added to it.
const HEAP_BYTES: usize = 15 << 20;
/// The lowest priority: merging what is closed takes only what nobody else wants of the processor.
const NICE: i32 = 19;

/// The merge that runs, if one does, with the span that tells how long.
#[derive(Default)]
pub(crate) struct Merging(Option<(FutureResult<Option<SegmentMeta>>, Span)>);

impl Merging {
    /// Looks after the merge that runs, and begins the next where one is due. True: a merge has ended.
    pub(crate) fn tend(
        &mut self,
        writer: &mut IndexWriter<TantivyDocument>,
        segments: &[Arc<Segment>],
    ) -> Result<bool, TantivyError> {
        let mut ended = false;
        if let Some((running, _)) = &mut self.0 {
            match Pin::new(running).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => return Ok(false),
                Poll::Ready(result) => {
                    self.0 = None;
                    result?;
                    ended = true;
                }
            }
        }
        // What has ended is searchable only after the next reload: the segments here are the ones before.
        if !ended {
            let due = chosen(segments, due_from);
            if !due.is_empty() {
                self.0 = Some((writer.merge(&due), debug_span!(parent: None, "merge")));
            }
        }
        Ok(ended)
    }

    /// Waits for the merge that runs. Not by the future's own blocking call, which fails on one that was polled before.
    pub(crate) fn wait(&mut self) -> Result<(), TantivyError> {
        let Some((mut running, _span)) = self.0.take() else { return Ok(()) };
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut running).poll(&mut context) {
                Poll::Pending => std::thread::park(),
                Poll::Ready(result) => return result.map(drop),
            }
        }
    }

    /// Whether a merge runs.
    pub(crate) fn running(&self) -> bool {
        self.0.is_some()
    }
}

/// Wakes the thread that waits for a merge.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn level(documents: u32) -> u32 {
    documents.max(1).ilog(FAN_IN as u32)
}

/// The segments that `choose` chooses by their numbers of documents.
fn chosen(segments: &[Arc<Segment>], choose: impl Fn(&[u32]) -> Option<std::ops::Range<usize>>) -> Vec<SegmentId> {
    let documents: Vec<u32> = segments.iter().map(|s| s.max_doc()).collect();
    choose(&documents).map_or_else(Vec::new, |range| segments[range].iter().map(|s| s.id()).collect())
}

/// The newest segments that are to become one.
fn due_from(documents: &[u32]) -> Option<std::ops::Range<usize>> {
    let levels = documents.iter().map(|n| if *n >= DOCUMENTS_ENOUGH { u32::MAX } else { level(*n) });
    let levels: Vec<u32> = levels.collect();
    (0..=level(DOCUMENTS_ENOUGH)).find_map(|level| {
        let run = levels.iter().rev().take_while(|l| **l <= level).count();
        let start = levels.len() - run;
        (run >= FAN_IN).then(|| start..levels.len().min(start + MERGED_MAX))
    })
}

/// What writes to an index. Which segments are neighbours only we know: the engine merges none by itself.
pub(crate) fn writer(index: &Index, heap_bytes: usize) -> Result<IndexWriter<TantivyDocument>, TantivyError> {
    let threads = IndexWriterOptions::builder().num_worker_threads(1).num_merge_threads(1);
    let writer = index.writer_with_options(threads.memory_budget_per_thread(heap_bytes).build())?;
    writer.set_merge_policy(Box::new(NoMergePolicy));
    Ok(writer)
}

/// Makes one segment of those of a closed shard, as far as there is room on the disk. The segments before are there until that one is
/// whole, and for searches that have begun until they end. To be called on a thread of its own, whose priority it lowers.
///
/// # Errors
/// Where the engine or the disk fails. The shard is then as before.
pub(crate) fn compact(shard: &Shard) -> Result<(), IndexError> {
    let _compact = debug_span!("compact", shard = shard.name).entered();
    let fail = |source| shard.fault("compact", source);
    // The engine's threads begin with the priority of the one that begins them.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "merging keeps its priority");
    }
    let index = Index::open_in_dir(&shard.dir).map_err(fail)?;
    let mut writer = writer(&index, HEAP_BYTES).map_err(fail)?;
    loop {
        let neighbours = chosen(&shard.segments()?, closed_from);
        if neighbours.is_empty() || !has_room(shard)? {
            break;
        }
        writer.merge(&neighbours).wait().map_err(fail)?;
        shard.publish(None)?;
    }
    // What an ended process has left half merged, too.
    writer.garbage_collect_files().wait().map_err(fail)?;
    writer.wait_merging_threads().map_err(fail)
}

/// Whether the disk holds the shard twice more and leaves room.
fn has_room(shard: &Shard) -> Result<bool, IndexError> {
    let disk = rustix::fs::statvfs(&shard.dir).map_err(|error| crate::shard::io("measure", &shard.dir)(error.into()))?;
    let has_room = disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM_BYTES.saturating_add(2 * shard.bytes()?);
    if !has_room {
        tracing::warn!(
            shard = shard.name,
            "no room on the disk to merge a closed shard: it stays in more segments until the next start"
        );
    }
    Ok(has_room)
}

/// The segments of a closed shard that are to become one.
fn closed_from(documents: &[u32]) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    for run in documents.split(|n| *n >= DOCUMENTS_ENOUGH_CLOSED) {
        if run.len() > 1 {
            return Some(start..start + run.len().min(MERGED_MAX));
        }
        start += run.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_small_ones_become_one() {
        assert_eq!(due_from(&[5000; 7]), None);
        assert_eq!(due_from(&[5000; 8]), Some(0..8));
        assert_eq!(due_from(&[40_000; 8]), None);
        let mut large = vec![40_000];
        large.extend([5000; 8]);
        assert_eq!(due_from(&large), Some(1..9));
        let mut mixed = vec![20_000; 3];
        mixed.extend([1; 8]);
        assert_eq!(due_from(&mixed), Some(3..11));
        assert_eq!(due_from(&[1; 200]), Some(0..64));
    }

    #[test]
    fn a_closed_shard_becomes_one_segment_or_few_large_ones() {
        let compacted = |mut documents: Vec<u32>| {
            let mut written = 0;
            while let Some(range) = closed_from(&documents) {
                let sum = documents[range.clone()].iter().sum();
                written += sum;
                documents.splice(range, [sum]);
            }
            (documents, written)
        };
        assert_eq!(compacted(vec![32_768; 61]), (vec![61 * 32_768], 61 * 32_768));
        assert_eq!(compacted(vec![7, 5, 3]), (vec![15], 15));
        assert_eq!(compacted(vec![2_000_000]), (vec![2_000_000], 0));
        assert_eq!(compacted(vec![5, 2_000_000, 5]), (vec![5, 2_000_000, 5], 0));
        assert_eq!(compacted(vec![2_000_000, 5, 5]), (vec![2_000_000, 10], 10));
        assert_eq!(compacted(vec![40_000; 66]), (vec![64 * 40_000, 80_000], 66 * 40_000));
        assert_eq!(compacted(Vec::new()), (Vec::new(), 0));
    }

    #[test]
    fn however_events_come_segments_stay_few() {
        for commit in [1u32, 7, 100, 5000, 25_000, 50_000] {
            let mut segments: Vec<u32> = Vec::new();
            for _ in 0..20_000 {
                segments.push(commit);
                while let Some(range) = due_from(&segments) {
                    let sum = segments[range.clone()].iter().sum();
                    segments.splice(range, [sum]);
                }
                let small = segments.iter().filter(|n| **n < DOCUMENTS_ENOUGH).count();
                assert!(small <= FAN_IN * 7, "{commit}: {small}");
            }
        }
    }
}
