//! Observations that wait for the watermark, a second of them together. A second is taken whole, when no earlier observation can come
//! any more, in the order of (time, event).

use std::collections::BTreeMap;

use event::EventRef;
use serde::{Deserialize, Serialize};

use super::observe::{Observation, Observer};

/// Observations that may wait; beyond it the earliest second is taken at once (counted). Half a minute of 30,000 a second.
const WAITING_MAX: usize = 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;

#[derive(Default, Deserialize, Serialize)]
struct Second {
    observations: Vec<Observation>,
    /// The texts of them all.
    text: String,
}

/// See the module.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Queue {
    seconds: BTreeMap<i64, Second>,
    waiting: usize,
}

impl Queue {
    /// Observes an event; false where there is nothing to observe.
    pub(super) fn observe(&mut self, observer: &Observer, event: EventRef<'_>, time: i64) -> bool {
        let second = self.seconds.entry(time.div_euclid(SECOND_NS)).or_default();
        match observer.observe(event, time, &mut second.text) {
            Some(o) => {
                second.observations.push(o);
                self.waiting += 1;
                true
            }
            None => {
                if second.observations.is_empty() {
                    self.seconds.remove(&time.div_euclid(SECOND_NS));
                }
                false
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting > WAITING_MAX
    }

    pub(super) fn byte_len(&self) -> usize {
        self.waiting * size_of::<Observation>() + self.seconds.values().map(|second| second.text.len()).sum::<usize>()
    }

    /// The earliest second that has passed by `watermark`, in order, with its texts; the earliest of all for the least watermark.
    pub(super) fn pop(&mut self, watermark: i64) -> Option<(Vec<Observation>, String)> {
        let (second, _) = self.seconds.first_key_value()?;
        if watermark != i64::MIN && (second + 1).saturating_mul(SECOND_NS) > watermark {
            return None;
        }
        let (_, mut second) = self.seconds.pop_first()?;
        self.waiting -= second.observations.len();
        second.observations.sort_unstable_by_key(|o| (o.time, o.event));
        Some((second.observations, second.text))
    }
}
