//! Removing old segments of the journal while the service runs, as far as every consumer has passed them, and not while the clock is doubted.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use api::Store;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use event::{Clock, Time};
use index::Searcher;
use ingest::log::{Journal, Retention};
use tracing::{info, warn};

use crate::clock::{Stopwatch, SystemClock};

/// How often is looked for segments of the journal that may go.
const RETENTION_TIME: Duration = Duration::from_secs(60);
/// By how much the clock may move otherwise than time passes, before nothing is removed for its age any more.
const CLOCK_JUMP: Duration = Duration::from_secs(60);
/// How long the program may have been down without the clock being doubted.
const DOWN_TIME: Duration = Duration::from_secs(86_400);

/// The thread that removes.
pub(crate) struct Trimmer {
    stop: Sender<Infallible>,
    thread: JoinHandle<()>,
}

impl Trimmer {
    /// Starts it, where anything is ever to be removed. `remembered` is up to where the stored state of the analysis goes: from there the log is
    /// read after a restart. `last_received` is when the last record before this start was received.
    pub(crate) fn start(
        retention: &Retention,
        journal: &Arc<Journal>,
        searchers: &[Searcher],
        remembered: &Arc<AtomicU64>,
        last_received: Time,
        store: &Store,
    ) -> io::Result<Option<Trimmer>> {
        if *retention == Retention::default() {
            return Ok(None);
        }
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let work = Work {
            journal: journal.clone(),
            retention: *retention,
            searchers: searchers.to_vec(),
            remembered: remembered.clone(),
            last_received,
            store: store.clone(),
        };
        let thread = std::thread::Builder::new().name("retention".to_owned()).spawn(move || work.run(&stopped))?;
        Ok(Some(Trimmer { stop, thread }))
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("the retention of the journal panicked"))
    }
}

struct Work {
    journal: Arc<Journal>,
    retention: Retention,
    searchers: Vec<Searcher>,
    remembered: Arc<AtomicU64>,
    last_received: Time,
    store: Store,
}

impl Work {
    fn run(self, stop: &Receiver<Infallible>) {
        let (watch, started) = (Stopwatch::start(), SystemClock.now());
        let mut trusted = clock_is_plausible(self.last_received, started, Duration::ZERO, DOWN_TIME);
        if !trusted {
            warn!(last = %self.last_received, now = %started, "the clock is far from the last record's: no segment of the journal is removed for its age until a restart");
        }
        while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(RETENTION_TIME) {
            let now = SystemClock.now();
            if trusted && !clock_is_plausible(started, now, watch.elapsed(), CLOCK_JUMP) {
                trusted = false;
                warn!(%now, "the clock has jumped: no segment of the journal is removed for its age until a restart");
            }
            let indexed = self.searchers.iter().map(Searcher::position).min().unwrap_or(0);
            let passed = indexed.min(self.remembered.load(Ordering::Relaxed));
            match self.journal.trim(&self.retention, passed, Some(now).filter(|_| trusted)) {
                Ok(removed) => {
                    if let (Some(first), Some(last)) = (removed.first(), removed.last()) {
                        let told =
                            self.store.journal_removed(removed.len(), (first.first, last.last), last.reason.word(), last.bound);
                        if let Err(error) = told {
                            warn!(%error, "failed to record for auditors what was removed; the journal has it too");
                        }
                    }
                    for tombstone in removed {
                        info!(first = tombstone.first, last = tombstone.last, reason = ?tombstone.reason, "a segment of the journal was removed");
                    }
                }
                Err(error) => {
                    warn!(%error, reason = ?std::error::Error::source(&error), "failed to remove old segments of the journal");
                }
            }
        }
    }
}

/// Whether a clock that said `before` may say `now` after `elapsed`.
fn clock_is_plausible(before: Time, now: Time, elapsed: Duration, slack: Duration) -> bool {
    let ns = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    before == Time::UNKNOWN || now.since_ns(before).saturating_sub(ns(elapsed)).saturating_abs() <= ns(slack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_is_doubted_and_one_that_goes_is_not() {
        let (start, minute) = (Time::from_unix_s(1_775_000_000), Duration::from_secs(60));
        let after = |seconds: i64| start.plus_ns(seconds * 1_000_000_000);
        for (now, elapsed, plausible) in [
            (after(3_600), 3_600, true),
            (after(3_650), 3_600, true),
            (after(3_700), 3_600, false),
            (after(3_500), 3_600, false),
            (after(365 * 86_400), 3_600, false),
            (after(-86_400), 0, false),
            (Time::from_unix_ns(i64::MAX), 0, false),
            (Time::from_unix_ns(i64::MIN + 1), 0, false),
        ] {
            assert_eq!(
                clock_is_plausible(start, now, Duration::from_secs(elapsed), minute),
                plausible,
                "{now} after {elapsed} s"
            );
        }
        assert!(clock_is_plausible(Time::UNKNOWN, start, Duration::ZERO, minute), "nothing was received before");
    }
}
