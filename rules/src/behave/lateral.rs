//! Lateral movement: a terminal that reaches several other terminals on ports of administration. What many use is a server, not a
//! terminal, whatever they use it for.

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::{Answer, What};
use super::ports::Ports;
use super::sketch::{Distinct, mix};
use super::{Found, Parameters, View, site};
use crate::table::Table;

/// Ports of administration where the rule names none: SSH, Telnet, RPC, SMB, RDP, WinRM, VNC.
const PORTS: Ports = Ports::new(&[22, 23, 135, 139, 445, 3389, 5900, 5985, 5986]);
/// Addresses that an alert names, and events that are kept as evidence.
const EXAMPLES_MAX: usize = 16;

#[derive(Default, Deserialize, Serialize)]
struct Episode {
    begun: bool,
    start: i64,
    last: i64,
    hosts: Distinct<256, 10>,
    next: u64,
    examples: Vec<u128>,
    evidence: Vec<EventId>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Lateral {
    episodes: Table<(u32, u128), Episode>,
}

impl Lateral {
    pub(super) fn new(p: &Parameters) -> Lateral {
        Lateral { episodes: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.episodes.evicted(), self.episodes.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Flow || !view.source_inside || !view.destination_inside || view.to_many || o.continued {
            return;
        }
        let administers =
            o.transport == 6 && if p.admin_ports.has_ports() { p.admin_ports.covers_port(o) } else { PORTS.contains(o.port) };
        let serves_many = view.service.is_some_and(|service| service.all() >= p.clients);
        if !administers || o.answer != Answer::Yes || serves_many || o.source == o.destination || view.expected(p) {
            return;
        }
        if view.destination_role.server {
            return;
        }
        self.episodes.expire(o.time.saturating_sub(p.gap));
        let episode = self.episodes.entry((o.tenant, o.source), o.time);
        if !episode.begun || o.time.saturating_sub(episode.last) > p.gap {
            *episode = Episode { begun: true, start: o.start, ..Episode::default() };
        }
        episode.last = o.time;
        if !episode.hosts.insert(mix(o.destination)) {
            return;
        }
        if episode.examples.len() < EXAMPLES_MAX {
            episode.examples.push(o.destination);
            episode.evidence.push(o.event);
        }
        let hosts = episode.hosts.count();
        if hosts < episode.next.max(p.hosts) {
            return;
        }
        episode.next = hosts * 10;
        let mut f = Found::at(view, &["source.ip"]);
        f.start = episode.start;
        f.evidence.clone_from(&episode.evidence);
        f.explain("hosts", hosts);
        f.seconds("span_s", episode.last - episode.start);
        f.explain("examples", site::listed(&episode.examples));
        found.push(f);
    }
}
