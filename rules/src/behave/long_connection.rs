//! Long connections: one that stays open to the outside for half an hour, an hour, and longer. Each band alerts once.

use serde::{Deserialize, Serialize};

use super::observe::What;
use super::{Found, Parameters, View};
use crate::table::Table;

const MINUTE_NS: i64 = 60_000_000_000;
/// The bands where the rule names none: half an hour, then as RITA's, 1, 4, 8 and 12 hours.
const BANDS_NS: [i64; 5] = [30 * MINUTE_NS, 60 * MINUTE_NS, 240 * MINUTE_NS, 480 * MINUTE_NS, 720 * MINUTE_NS];

/// So many clients inside, and such a share of all sources there, make a destination a common one.
const COMMON_CLIENTS_MIN: u64 = 5;
const COMMON_SHARE: f64 = 0.25;

type Key = (u32, u128, u128, u16, u16, u8);

/// Per connection how many bands it has passed.
#[derive(Deserialize, Serialize)]
pub(super) struct LongConnection {
    passed: Table<Key, u8>,
}

impl LongConnection {
    pub(super) fn new(p: &Parameters) -> LongConnection {
        LongConnection { passed: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.passed.evicted(), self.passed.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let length = o.end - o.start;
        if o.what != What::Flow || length < MINUTE_NS || o.answer.failed() {
            return;
        }
        if view.to_many || view.destination_inside || view.is_within_one_network() || o.received == 0 && o.both_ways {
            return;
        }
        let bands = if p.bands.is_empty() { &BANDS_NS[..] } else { &p.bands };
        let reached = bands.iter().filter(|band| length >= **band).count();
        if reached == 0 || view.expected(p) {
            return;
        }
        // What so many inside use is how the place works: notices and chat, of which flows tell no names.
        let clients = view.service.map_or(0, |service| service.inside);
        if clients >= COMMON_CLIENTS_MIN && clients as f64 >= view.sources_inside as f64 * COMMON_SHARE {
            return;
        }
        let key = (o.tenant, o.source, o.destination, o.source_port, o.port, o.transport);
        let passed = self.passed.entry(key, o.time);
        if reached <= usize::from(*passed) {
            return;
        }
        *passed = reached as u8;
        let mut f = Found::at(view, &["source.ip", "destination.ip", "destination.port", "network.transport"]);
        f.seconds("duration_s", length);
        f.seconds("band_s", bands[reached - 1]);
        f.explain("bytes_sent", o.sent);
        f.explain("bytes_received", o.received);
        found.push(f);
    }
}
