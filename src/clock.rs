//! The machine's clock: the one place where the program asks what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event::{Clock, Time};

/// The wall clock of the machine, in whole microseconds: no clock is truer than that, and what is below would cost each event ten bits in the index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the edge that all others are given")]
    fn now(&self) -> Time {
        let whole = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX).saturating_mul(1000);
        let ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => whole(since),
            Err(before) => -whole(before.duration()),
        };
        Time::from_unix_ns(ns)
    }
}

/// Measures how long something takes; never part of a result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "measures durations for statistics and deadlines at the edge")]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
