//! Room on the disk: whether there is any, and waiting for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Stopwatch;

/// With less than this a fault is taken for one of a full disk: what the database and the index write at once. The engine tells only that
/// a thread of its own has ended, not of what.
const ROOM_BYTES: u64 = 32 << 20;
/// How often it is looked for room.
const LOOK_TIME: Duration = Duration::from_millis(500);
/// How long it is looked before it is tried all the same: a small disk has never so much.
const LOOKED_TIME_MAX: Duration = Duration::from_secs(5);

/// The disk that the data lie on, and whether the analysis waits for room there.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    data: PathBuf,
    lacking: Arc<AtomicBool>,
}

impl Room {
    /// Of the disk that holds `data`.
    pub(crate) fn new(data: &Path) -> Room {
        Room { data: data.to_owned(), lacking: Arc::default() }
    }

    /// Whether the disk is full, or nearly.
    pub(crate) fn is_scarce(&self) -> bool {
        rustix::fs::statvfs(&self.data).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < ROOM_BYTES)
    }

    /// Whether something failed for want of room, and nothing was written since.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.lacking.load(Ordering::Relaxed)
    }

    /// Waits until there is room, or until `stop`; some seconds at most.
    pub(crate) fn wait(&self, stop: &AtomicBool) {
        self.tell(true);
        let watch = Stopwatch::start();
        while self.is_scarce() && !stop.load(Ordering::Relaxed) && watch.elapsed() < LOOKED_TIME_MAX {
            // Nothing is ever sent here.
            let waited = crossbeam_channel::never::<()>().recv_timeout(LOOK_TIME);
            debug_assert!(waited.is_err());
        }
    }

    /// Something was written: there is room.
    pub(crate) fn found(&self) {
        if self.is_waited_for() {
            self.tell(false);
        }
    }

    fn tell(&self, lacking: bool) {
        self.lacking.store(lacking, Ordering::Relaxed);
        metrics::gauge!("mihari_waits_for_room").set(f64::from(u8::from(lacking)));
    }
}
