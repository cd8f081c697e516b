//! Bots that know each other instead of a server: one source that goes, within a while, to many addresses in many networks outside, on
//! ports that no service has; some are gone by then. So do programs that share files.
//!
//! What goes to ports of services is left out, and so is what a server's own port sends: those are answers.

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::What;
use super::sketch::{Distinct, mix};
use super::{Found, Parameters, View, site};
use crate::table::Table;

/// Ports below belong to services (RFC 6335 §6).
const PORT_MIN: u16 = 1024;
/// Events that are kept as evidence, and addresses that an alert names.
const EVIDENCE_MAX: usize = 24;
const EXAMPLES_MAX: usize = 16;
/// Of so many times the peers it does not matter how many have failed.
const MANY_TIMES: u64 = 3;

#[derive(Default, Deserialize, Serialize)]
struct Window {
    start: i64,
    tries: u64,
    failed: u64,
    peers: Distinct<128, 10>,
    networks: Distinct<64, 9>,
    ports: Distinct<64, 8>,
    sent: u64,
    next: u64,
    examples: Vec<u128>,
    evidence: Vec<EventId>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Peers {
    windows: Table<(u32, u128, u8), Window>,
}

impl Peers {
    pub(super) fn new(p: &Parameters) -> Peers {
        Peers { windows: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.windows.evicted(), self.windows.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let high = o.port >= PORT_MIN && o.source_port >= PORT_MIN && matches!(o.transport, 6 | 17);
        if o.what != What::Flow || !high || view.destination_inside || view.to_many || o.continued || o.turned {
            return;
        }
        if view.source_serves || view.expected(p) {
            return;
        }
        self.windows.expire(o.time.saturating_sub(p.span));
        let window = self.windows.entry((o.tenant, o.source, o.transport), o.time);
        if o.time.saturating_sub(window.start) > p.span {
            *window = Window { start: o.time, next: window.next, ..Window::default() };
        }
        window.tries += 1;
        window.failed += u64::from(o.answer.failed());
        window.sent += o.sent;
        window.ports.insert(mix(u128::from(o.port)));
        if window.evidence.len() < EVIDENCE_MAX {
            window.evidence.push(o.event);
        }
        if !window.peers.insert(mix(o.destination)) {
            return;
        }
        window.networks.insert(mix(site::network(o.destination, 16, 32)));
        if window.examples.len() < EXAMPLES_MAX {
            window.examples.push(o.destination);
        }
        let (peers, networks) = (window.peers.count(), window.networks.count());
        let share = window.failed as f64 / window.tries as f64;
        let enough = peers >= window.next.max(p.hosts) && networks >= p.networks;
        if !enough || share < p.failed_share && peers < p.hosts * MANY_TIMES {
            return;
        }
        window.next = peers * 10;
        // Most do so by both transports: one alert.
        let mut f = Found::at(view, &["source.ip"]);
        f.start = window.start;
        f.evidence.clone_from(&window.evidence);
        f.explain("peers", peers);
        f.explain("networks", networks);
        f.explain("ports", window.ports.count());
        f.explain("tries", window.tries);
        f.score("failed_share", share);
        f.explain("bytes_sent_mean", window.sent / window.tries);
        f.seconds("span_s", o.time - window.start);
        f.explain("examples", site::listed(&window.examples));
        found.push(f);
    }
}
