//! How much of the log is searchable, and whether that is as much as it should be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{Position, Time};
use ingest::log::{Journal, LogError};

/// Log offsets behind the last record that are searched for nothing: a commit, and the tick that is on its way.
const BEHIND_OFFSETS: u64 = 2;
/// Log offsets behind the last record that nobody waits for at the start, before anything was committed: ticks of the time before, as a rule.
const START_OFFSETS: u64 = 64;
/// How long what is not searchable may have waited, beside the time of a commit, before answers say so: more than twice what it takes as a
/// rule, a second until the next tick and a commit at full rate.
const BEHIND_TIME: Duration = Duration::from_secs(4);

/// How much of the log is searchable.
#[derive(Clone, Debug)]
pub(crate) struct Searchable(Arc<Mutex<Until>>);

#[derive(Clone, Copy, Debug)]
struct Until {
    /// The last log offset that is searchable.
    offset: u64,
    /// When it was received. Receive times only rise along the log.
    received: Time,
    /// Nothing was committed since the start: what there is behind it has waited, however short a time, and may be none but ticks.
    from_before: bool,
}

impl Searchable {
    /// At the start, where the index goes up to the log offset `last`.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub(crate) fn begin(journal: &Journal, last: u64, now: Time) -> Result<Searchable, LogError> {
        // The last record that is searchable, or the first that is not.
        let received = |offset| Ok(journal.fetch(Position { partition: 0, offset })?.map(|found| found.head.received));
        let known = received(last)?.map_or_else(|| received(journal.removed().max(last) + 1), |time| Ok(Some(time)))?;
        let until = Until { offset: last, received: known.unwrap_or(now), from_before: true };
        Ok(Searchable(Arc::new(Mutex::new(until))))
    }

    /// The last log offset that is searchable, and when it was received.
    pub(crate) fn get(&self) -> (u64, Time) {
        let until = self.0.lock().expect("no code panics under this lock");
        (until.offset, until.received)
    }

    pub(crate) fn set(&self, offset: u64, received: Time) {
        *self.0.lock().expect("no code panics under this lock") = Until { offset, received, from_before: false };
    }

    /// For how many milliseconds something has waited to be searchable, where that is longer than it takes as a rule with commits so far apart.
    /// The log, which goes up to `durable`, has a tick each second, so it is known also where nothing comes.
    pub(crate) fn behind_ms(&self, durable: u64, now: Time, commits: Duration) -> Option<u64> {
        let Until { offset, received, from_before } = *self.0.lock().expect("no code panics under this lock");
        let waited = Duration::from_nanos(u64::try_from(now.since_ns(received)).unwrap_or(0));
        let behind = match from_before {
            true => durable > offset + START_OFFSETS,
            false => durable > offset + BEHIND_OFFSETS && waited > commits + BEHIND_TIME,
        };
        behind.then_some(waited.as_millis() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_the_next_commit_is_not_behind_and_what_waits_longer_is() {
        let (start, commits) = (Time::from_unix_s(1_780_000_000), Duration::from_millis(800));
        let until = Until { offset: 100, received: start, from_before: true };
        let searchable = Searchable(Arc::new(Mutex::new(until)));
        let after = |ms: i64| start.plus_ns(ms * 1_000_000);
        assert_eq!(searchable.behind_ms(165, after(40), commits), Some(40), "from before the start");
        assert_eq!(searchable.behind_ms(164, after(3_600_000), commits), None);
        searchable.set(100, start);
        for (durable, ms, expected) in [
            (100, 0, None),
            (90_000, 2_000, None),
            (90_000, 4_800, None),
            (90_000, 4_801, Some(4_801)),
            (102, 60_000, None),
            (103, 60_000, Some(60_000)),
            (90_000, -60_000, None),
        ] {
            assert_eq!(searchable.behind_ms(durable, after(ms), commits), expected, "{durable} {ms}");
        }
        searchable.set(90_000, after(60_000));
        assert_eq!(searchable.behind_ms(90_001, after(60_500), commits), None);
    }
}
