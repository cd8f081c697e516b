//! Which segments become one, and when.
//!
//! Only neighbours in log order are merged, so that a segment stays a run of the log: times stay nearly in order, and a frame is found by
//! halving. A segment belongs to a level by the power of [`FAN_IN`] that its documents reach; as soon as so many of the newest ones are of
//! a level or below, they become one of the next, unless they are large enough. At full rate no document is thus written twice; where a
//! commit holds a few events, each merge is small. One merge runs at a time, on a thread of the engine.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tantivy::index::{SegmentId, SegmentMeta};
use tantivy::{FutureResult, IndexWriter, TantivyDocument, TantivyError};
use tracing::{Span, debug_span};

use crate::segment::Segment;

/// Segments of a level that become one of the next.
const FAN_IN: usize = 8;
/// Segments of one merge: their files are open at once.
const MERGED_MAX: usize = 64;
/// Documents of a segment that is large enough to stay as it is: a commit's worth at full rate. More would cost a second pass over every
/// document; a shard of two million has 61 such segments at most.
const DOCUMENTS_ENOUGH: u32 = 32_768;

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
            let due = due(segments);
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

/// The newest segments that are to become one.
fn due(segments: &[Arc<Segment>]) -> Vec<SegmentId> {
    let documents: Vec<u32> = segments.iter().map(|s| s.max_doc()).collect();
    due_from(&documents).map_or_else(Vec::new, |range| segments[range].iter().map(|s| s.id()).collect())
}

fn due_from(documents: &[u32]) -> Option<std::ops::Range<usize>> {
    let levels = documents.iter().map(|n| if *n >= DOCUMENTS_ENOUGH { u32::MAX } else { level(*n) });
    let levels: Vec<u32> = levels.collect();
    (0..=level(DOCUMENTS_ENOUGH)).find_map(|level| {
        let run = levels.iter().rev().take_while(|l| **l <= level).count();
        let start = levels.len() - run;
        (run >= FAN_IN).then(|| start..levels.len().min(start + MERGED_MAX))
    })
}

/// The segments of a shard that is closed that become one: the small ones at its end.
pub(crate) fn rest_of_closed(segments: &[Arc<Segment>]) -> Vec<SegmentId> {
    let small = segments.iter().rev().take_while(|s| s.max_doc() < DOCUMENTS_ENOUGH).count();
    if small < 2 {
        return Vec::new();
    }
    segments[segments.len() - small..].iter().map(|s| s.id()).collect()
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
