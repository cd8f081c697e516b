//! The clock that the edges are given. The middle of the pipeline has none: time is data there.

use crate::Time;

/// Tells the wall-clock time. The program has one that reads the machine's clock, a replay has one that follows the capture.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Time;
}
