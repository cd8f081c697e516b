//! Where a frame lies in the log, and which event of it is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a frame lies in the log: its partition and its sequence number there. Permanent: compression, sealing and
/// rebuilding never change it. Numbers are dense within a partition, from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The partition of the log.
    pub partition: u32,
    /// The sequence number of the frame within the partition; 0 stands before the first frame.
    pub offset: u64,
}

/// One event: the frame it came in, and which one of that frame (a flow packet holds many).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EventId {
    /// The frame.
    pub frame: Position,
    /// Which event of the frame, from 0.
    pub nth: u16,
}

/// The frames of one batch: from the first to the last position, both inclusive.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LogRange {
    /// The partition.
    pub partition: u32,
    /// The first offset.
    pub first: u64,
    /// The last offset.
    pub last: u64,
}

/// `partition-offset-nth`, all decimal: `0-12345-0`.
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.frame.partition, self.frame.offset, self.nth)
    }
}

/// The text was no event id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadEventId;

impl fmt::Display for BadEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an event id such as 0-12345-0")
    }
}

impl std::error::Error for BadEventId {}

impl FromStr for EventId {
    type Err = BadEventId;

    fn from_str(text: &str) -> Result<EventId, BadEventId> {
        let mut parts = text.split('-');
        let mut next = || parts.next().filter(|p| p.bytes().all(|c| c.is_ascii_digit())).ok_or(BadEventId);
        let (partition, offset, nth) = (next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(BadEventId);
        }
        Ok(EventId {
            frame: Position {
                partition: partition.parse().map_err(|_| BadEventId)?,
                offset: offset.parse().map_err(|_| BadEventId)?,
            },
            nth: nth.parse().map_err(|_| BadEventId)?,
        })
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_bad_ones_are_refused() {
        let id = EventId { frame: Position { partition: 3, offset: u64::MAX }, nth: 65_535 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "1", "1-2", "1-2-3-4", "-1-2", "1-2-65536", "1-+2-3", "a-b-c", "1-18446744073709551616-0"] {
            assert_eq!(bad.parse::<EventId>(), Err(BadEventId), "{bad}");
        }
    }
}
