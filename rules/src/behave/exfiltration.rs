//! Exfiltration: a source inside that sends out far more in an hour than it ever did, and more than a floor, and mostly sends.
//!
//! An hour's volume is compared with the hours of the last fourteen days in which the source sent at all. Where there are too few, the
//! floor alone decides. What goes to a proxy goes out.

use std::collections::VecDeque;

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::{Observation, What};
use super::{Found, Parameters, View, bypass};
use crate::table::Table;

const HOUR_NS: i64 = 3_600_000_000_000;
/// Hours of history: fourteen days.
const HOURS_MAX: usize = 14 * 24;
/// Hours below which history does not say what is usual.
const HOURS_MIN: usize = 24;
/// Of what was sent in the hour of most so many times must be sent now.
const MORE_TIMES: f64 = 1.5;
/// Events that are kept as evidence: those that sent most.
const EVIDENCE_MAX: usize = 16;

#[derive(Default, Deserialize, Serialize)]
struct Source {
    hour: i64,
    sent: u64,
    received: u64,
    /// When the next alert of this hour comes, in bytes.
    next: u64,
    /// Largest first.
    largest: Vec<(u64, EventId)>,
    /// What is not larger is not among them; beside the sums, for most records are not.
    least: u64,
    /// Kibibytes sent in earlier hours, those without any left out.
    history: VecDeque<u32>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Exfiltration {
    sources: Table<(u32, u128), Source>,
}

impl Exfiltration {
    pub(super) fn new(p: &Parameters) -> Exfiltration {
        Exfiltration { sources: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        let history: usize = self.sources.len() * HOURS_MAX * size_of::<u32>();
        (self.sources.evicted(), self.sources.byte_len() + history)
    }

    /// Reads the sources that send, see [`Table::warm`].
    pub(super) fn warm(&self, of: &[&Observation]) -> u64 {
        self.sources.warm(of.iter().map(|o| (o.tenant, o.source)), |_, source| source.sent)
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Flow || !view.source_inside || view.to_many || o.sent == 0 || o.answer.failed() {
            return;
        }
        let out = !view.destination_inside || bypass::is_proxy(view);
        if !out || view.expected(p) || view.role.proxy {
            return;
        }
        let (sent, received) = (o.sent.saturating_mul(o.sampling.into()), o.received.saturating_mul(o.sampling.into()));
        let source = self.sources.entry((o.tenant, o.source), o.time);
        let hour = o.time.div_euclid(HOUR_NS);
        if hour != source.hour {
            if source.sent > 0 {
                source.history.push_back(u32::try_from(source.sent >> 10).unwrap_or(u32::MAX));
            }
            if source.history.len() > HOURS_MAX {
                source.history.pop_front();
            }
            (source.hour, source.sent, source.received, source.next) = (hour, 0, 0, 0);
            source.largest.clear();
            source.least = 0;
        }
        source.sent += sent;
        source.received += received;
        if sent > source.least {
            let at = source.largest.partition_point(|(bytes, _)| *bytes >= sent);
            source.largest.insert(at, (sent, o.event));
            source.largest.truncate(EVIDENCE_MAX);
            if source.largest.len() == EVIDENCE_MAX {
                source.least = source.largest[EVIDENCE_MAX - 1].0;
            }
        }
        if source.sent < source.next.max(p.bytes as u64) {
            return;
        }
        let share = source.sent as f64 / (source.sent + source.received) as f64;
        // About as much as once before is not far more than ever; of an hour that was not much by itself, this one may be the rest.
        let most = source.history.iter().max().map_or(0, |kibibytes| u64::from(*kibibytes) << 10);
        if most >= p.bytes as u64 && (source.sent as f64) < most as f64 * MORE_TIMES {
            return;
        }
        let usual = usual(&source.history);
        if share < p.upload_share || usual.is_some_and(|bytes| (source.sent as f64) < bytes as f64 * p.times) {
            return;
        }
        source.next = source.sent.saturating_mul(10);
        let mut f = Found::at(view, &["source.ip"]);
        f.start = hour * HOUR_NS;
        f.evidence = source.largest.iter().map(|(_, event)| *event).collect();
        f.evidence.sort_unstable();
        f.explain("bytes_sent_this_hour", source.sent);
        f.explain("bytes_received_this_hour", source.received);
        f.score("upload_share", share);
        f.explain("floor_bytes", p.bytes as u64);
        f.explain("hours_of_history", source.history.len());
        match usual {
            Some(bytes) => {
                f.explain("usual_bytes_an_hour", bytes);
                f.score("times_usual", source.sent as f64 / bytes.max(1) as f64);
            }
            None => f.explain("usual_bytes_an_hour", "too short a history to say; the floor decides"),
        }
        found.push(f);
    }
}

/// The 99th percentile of the hours, in bytes; none where they are too few.
fn usual(history: &VecDeque<u32>) -> Option<u64> {
    if history.len() < HOURS_MIN {
        return None;
    }
    let mut sorted: Vec<u32> = history.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get((sorted.len() - 1) * 99 / 100).map(|kibibytes| u64::from(*kibibytes) << 10)
}
