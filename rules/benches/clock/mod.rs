//! The processor time of this thread: what a benchmark measures on a machine that does other things too.

use std::time::Duration;

/// The thread's time on the processor so far.
pub(crate) fn processor_time() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says how long a thread ran");
    Duration::from_nanos(schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds first"))
}
