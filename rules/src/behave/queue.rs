//! Observations that wait for the watermark, a second of them together. A second is taken whole, when no earlier observation can come
//! any more, in the order of (time, event).

use std::collections::BTreeMap;

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::Observation;

/// Observations that may wait; beyond it the earliest second is taken at once (counted). Half a minute of 30,000 a second.
const WAITING_MAX: usize = 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;
/// Seconds that are kept for their memory: one that is filled while another one is taken, and one more.
const SPARE_MAX: usize = 2;

/// What happened within a second.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Second {
    pub(super) observations: Vec<Observation>,
    /// The texts of them all.
    pub(super) text: String,
    /// Whether one came before an earlier one. Of a second that was stored nobody knows.
    #[serde(skip, default = "yes")]
    is_unsorted: bool,
}

fn yes() -> bool {
    true
}

/// Where an observation stands in the order.
fn place(o: &Observation) -> (i64, EventId) {
    (o.time, o.event)
}

/// See the module.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Queue {
    seconds: BTreeMap<i64, Second>,
    waiting: usize,
    #[serde(skip)]
    spare: Vec<Second>,
}

impl Queue {
    /// Takes an observation, whose texts are in `text`.
    pub(super) fn push(&mut self, mut o: Observation, text: &str) {
        let Queue { seconds, spare, .. } = self;
        let number = o.time.div_euclid(SECOND_NS);
        // The latest second will hold about as much as the one before: what grows piece by piece is moved each time. Room is made for the
        // latest alone, so that seconds with little in them take little, however many they are.
        let before = seconds.last_key_value().filter(|(last, _)| **last < number);
        let like = before.map_or(0, |(_, second)| second.observations.len());
        let second = seconds.entry(number).or_insert_with(|| spare.pop().unwrap_or_default());
        if second.observations.is_empty() {
            second.observations.reserve(like + like / 8);
        }
        if !text.is_empty() {
            o.move_texts(text, &mut second.text);
        }
        second.is_unsorted |= second.observations.last().is_some_and(|last| place(last) > place(&o));
        second.observations.push(o);
        self.waiting += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting > WAITING_MAX
    }

    pub(super) fn byte_len(&self) -> usize {
        self.waiting * size_of::<Observation>() + self.seconds.values().map(|second| second.text.len()).sum::<usize>()
    }

    /// The earliest second that has passed by `watermark`, in order; the earliest of all for the least watermark.
    pub(super) fn pop(&mut self, watermark: i64) -> Option<Second> {
        let (second, _) = self.seconds.first_key_value()?;
        if watermark != i64::MIN && (second + 1).saturating_mul(SECOND_NS) > watermark {
            return None;
        }
        let (_, mut second) = self.seconds.pop_first()?;
        self.waiting -= second.observations.len();
        if std::mem::take(&mut second.is_unsorted) {
            second.observations.sort_unstable_by_key(place);
        }
        Some(second)
    }

    /// A second has been dealt with.
    pub(super) fn done(&mut self, mut second: Second) {
        if self.spare.len() < SPARE_MAX {
            second.observations.clear();
            second.text.clear();
            self.spare.push(second);
        }
    }
}
