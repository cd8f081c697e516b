//! Deciding on arrival, for case files: lateness is unlimited, and each event that makes or keeps a condition true fires at once.
//!
//! An event may come long after those that happened later, so each group keeps all its events, and the windows about a new one are formed
//! anew, by the same [`super::window::Window`] that the pipeline keeps.

use std::collections::BTreeMap;

use event::EventId;

use super::groups::Groups;
use super::plan::Asks;
use super::window::{Decision, Entering};

/// An event of a group.
#[derive(Debug)]
struct Arrived {
    time: i64,
    event: EventId,
    places: Vec<u16>,
    value: Vec<u8>,
}

/// Every event of every group so far.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    groups: BTreeMap<(u32, u32, Vec<u8>), Vec<Arrived>>,
}

impl Arrivals {
    /// Whether some window that holds this event satisfies the correlation, with what has arrived so far.
    pub(super) fn enter(&mut self, (rule, tenant): (u32, u32), asks: &Asks, key: &[u8], entering: Entering<'_>) -> bool {
        let Entering { time, event, places, value } = entering;
        let seen = self.groups.entry((rule, tenant, key.to_vec())).or_default();
        let at = seen.partition_point(|a| (a.time, a.event) < (time, event));
        seen.insert(at, Arrived { time, event, places: places.to_vec(), value: value.to_vec() });
        let first = seen.partition_point(|a| a.time < time.saturating_sub(asks.timespan_ns));
        let last = time.saturating_add(asks.timespan_ns);
        let mut anew = Groups::new(asks);
        seen[first..].iter().enumerate().take_while(|(_, a)| a.time <= last).any(|(nth, arrived)| {
            let Arrived { time, event, places, value } = arrived;
            let entering = Entering { time: *time, event: *event, places, value };
            let entered = anew.enter(asks, &[], entering, (usize::MAX, usize::MAX));
            // An event is decided once all of its values are in.
            let is_last = seen.get(first + nth + 1).is_none_or(|next| next.event != *event);
            first + nth >= at && is_last && matches!(entered.decision, Decision::Holds(_))
        })
    }
}
