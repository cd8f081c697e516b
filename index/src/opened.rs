//! Which closed shards are open: those that searches came to last, within a bound.
//!
//! ```text
//!  search ─▶ Shard::segments ─▶ open already? ─▶ Held ─▶ let go ─▶ stays open, until the place is needed
//!                                 no ─▶ opened ─┘
//! ```
//!
//! Each file of a segment that is open is a mapping of the process, of which the system allows so many (`vm.max_map_count`, 65,530 on Linux as
//! a rule). So a closed shard is opened when a search comes to it. Where more segments are open than the bound allows, the shard that no
//! search has come to for the longest time is closed, never one that a search holds. Nobody waits for a place: where all that is open is
//! held, one more is opened all the same, and what is beyond the bound is closed as soon as it is let go. So searches cannot wait for each
//! other, and what may be beyond the bound is what running searches hold: each the shard that it is at and a few that it reads hits from.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::IndexError;
use crate::segment::Segment;
use crate::shard::{Payload, Shard};

/// Segments that are open at once as a rule: 36,864 mappings of six files each, 56 % of what Linux allows. It is 6,144 closed shards
/// in one segment each, and some 100 that are not merged yet.
pub(crate) const OPEN_SEGMENTS: usize = 6144;

/// The closed shards that are open, of all tenants whose options share it. A copy is the same.
#[derive(Clone)]
pub struct OpenShards(Arc<Pool>);

struct Pool {
    segments_max: usize,
    open: Mutex<Open>,
    /// Whether it was told that no more could be opened, and none was since.
    told: AtomicBool,
}

#[derive(Default)]
struct Open {
    views: HashMap<u64, View>,
    /// Segments of all views.
    segments: usize,
    /// Views that are outdated.
    outdated: usize,
    /// Counts what happens: the number of the last view, and when views were used.
    turn: u64,
    opened: u64,
}

/// A closed shard that is open.
struct View {
    segments: Segments,
    /// Searches that hold it.
    holders: usize,
    /// The turn in which a search took it last.
    used: u64,
    /// Whether the shard has other segments by now: nobody takes it any more.
    outdated: bool,
}

type Segments = Arc<[Arc<Segment>]>;

/// Segments that one search has before it, in log order. As long as it has them, they stay open.
#[derive(Clone)]
pub(crate) struct Held {
    segments: Segments,
    /// None: of a shard that is written to.
    lease: Option<Arc<Lease>>,
}

/// Lets go a view when it is dropped.
struct Lease {
    open: OpenShards,
    view: u64,
}

impl std::fmt::Debug for OpenShards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} segments", self.segments(), self.0.segments_max)
    }
}

impl OpenShards {
    /// None yet; `segments_max`: how many segments of closed shards may be open at once, six mappings each.
    pub fn new(segments_max: usize) -> OpenShards {
        OpenShards(Arc::new(Pool { segments_max, open: Mutex::default(), told: AtomicBool::new(false) }))
    }

    /// Segments of closed shards that are open.
    pub fn segments(&self) -> usize {
        self.lock().segments
    }

    /// How often a closed shard was opened.
    pub fn opened(&self) -> u64 {
        self.lock().opened
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().expect("no code panics under this lock")
    }

    /// Takes a view, where it is open still.
    pub(crate) fn take(&self, view: u64) -> Option<Held> {
        let mut open = self.lock();
        open.turn += 1;
        let turn = open.turn;
        let taken = open.views.get_mut(&view)?;
        (taken.used, taken.holders) = (turn, taken.holders + 1);
        let segments = taken.segments.clone();
        drop(open);
        Some(Held { segments, lease: Some(Arc::new(Lease { open: self.clone(), view })) })
    }

    /// Adds a shard that was just opened, and takes it. Gives its view, too.
    pub(crate) fn add(&self, segments: Segments) -> (u64, Held) {
        metrics::counter!("mihari_index_shards_opened_total").increment(1);
        self.0.told.store(false, Ordering::Relaxed);
        self.lock().opened += 1;
        let view = self.put(segments.clone(), 1);
        (view, Held { segments, lease: Some(Arc::new(Lease { open: self.clone(), view })) })
    }

    /// Adds a shard that is open already, because it was written to until now.
    pub(crate) fn keep(&self, segments: Segments) -> u64 {
        self.put(segments, 0)
    }

    fn put(&self, segments: Segments, holders: usize) -> u64 {
        let mut open = self.lock();
        open.turn += 1;
        let view = open.turn;
        open.segments += segments.len();
        open.views.insert(view, View { segments, holders, used: view, outdated: false });
        self.close_surplus(open);
        view
    }

    /// Closes a view as soon as nobody holds it: its shard has other segments, or is gone.
    pub(crate) fn outdate(&self, view: u64) {
        let mut open = self.lock();
        if let Some(view) = open.views.get_mut(&view).filter(|view| !view.outdated) {
            view.outdated = true;
            open.outdated += 1;
        }
        self.close_surplus(open);
    }

    fn let_go(&self, view: u64) {
        let mut open = self.lock();
        if let Some(view) = open.views.get_mut(&view) {
            view.holders -= 1;
        }
        self.close_surplus(open);
    }

    /// Closes what nobody holds: what is outdated, and what is beyond the bound.
    fn close_surplus(&self, mut open: MutexGuard<'_, Open>) {
        let mut closed = Vec::new();
        while open.outdated > 0 || open.segments > self.0.segments_max {
            let free = open.views.iter().filter(|(_, view)| view.holders == 0);
            let Some((&first, view)) = free.min_by_key(|(_, view)| (!view.outdated, view.used)) else { break };
            if !view.outdated && open.segments <= self.0.segments_max {
                break;
            }
            if let Some(view) = open.views.remove(&first) {
                open.segments -= view.segments.len();
                open.outdated -= usize::from(view.outdated);
                closed.push(view);
            }
        }
        metrics::gauge!("mihari_index_open_shards").set(open.views.len() as f64);
        metrics::gauge!("mihari_index_open_segments").set(open.segments as f64);
        // Unmapping takes its time: not under the lock.
        drop(open);
        drop(closed);
    }

    /// Counts that a shard could not be opened for want of what the system allows. True: nobody was told since it went well last.
    pub(crate) fn failed(&self) -> bool {
        metrics::counter!("mihari_index_shards_not_opened_total").increment(1);
        !self.0.told.swap(true, Ordering::Relaxed)
    }
}

impl Held {
    /// Segments of a shard that is written to, or was when the search began.
    pub(crate) fn pinned(segments: Segments) -> Held {
        Held { segments, lease: None }
    }

    /// Whether the shard is written to, so that its segments change.
    pub(crate) fn is_pinned(&self) -> bool {
        self.lease.is_none()
    }
}

impl Deref for Held {
    type Target = [Arc<Segment>];

    fn deref(&self) -> &[Arc<Segment>] {
        &self.segments
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.open.let_go(self.view);
    }
}

/// A shard as one snapshot sees it.
pub(crate) struct Opened {
    pub(crate) shard: Arc<Shard>,
    pub(crate) payload: Arc<Payload>,
    /// What it had when it was written to still; none: it was closed, so its events stay what they are.
    written: Option<Held>,
}

impl Opened {
    /// As it is now; where it is written to, its segments are kept as they are.
    pub(crate) fn of(shard: Arc<Shard>) -> Result<Opened, IndexError> {
        let written = if shard.is_closed() { None } else { Some(shard.segments()?).filter(Held::is_pinned) };
        // The names after the segments: there is none in these that is not in those.
        let payload = shard.payload();
        Ok(Opened { shard, payload, written })
    }

    /// Whether it was written to then.
    pub(crate) fn is_written(&self) -> bool {
        self.written.is_some()
    }

    /// Its segments, in log order. One that is closed stays open as long as they are held.
    pub(crate) fn segments(&self) -> Result<Held, IndexError> {
        self.written.clone().map_or_else(|| self.shard.segments(), Ok)
    }

    /// Whether an event of it may lie in this range of time.
    pub(crate) fn meets(&self, (from, last): (i64, i64)) -> bool {
        self.payload.time.is_some_and(|(low, high)| from <= high && last >= low)
    }

    /// How many segments a search of it goes through, for all that is known before.
    pub(crate) fn parts(&self) -> usize {
        self.written.as_ref().map_or_else(|| self.shard.segment_count(), |segments| segments.len())
    }
}
