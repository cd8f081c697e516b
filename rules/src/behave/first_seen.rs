//! What was not there before: a service inside that answers for the first time, or a destination outside to which a host goes that
//! otherwise always goes to the same few. Both need a time of learning.

use serde::{Deserialize, Serialize};

use super::observe::{Answer, Observation, What};
use super::sketch::{Distinct, mix, mix_text};
use super::{Found, Parameters, View, site};
use crate::table::Table;

#[derive(Default, Deserialize, Serialize)]
struct Host {
    since: i64,
    /// Networks and names that it goes to.
    destinations: Distinct<1024, 10>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct FirstSeen {
    hosts: Table<(u32, u128), Host>,
}

impl FirstSeen {
    pub(super) fn new(p: &Parameters) -> FirstSeen {
        FirstSeen { hosts: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.hosts.evicted(), self.hosts.byte_len())
    }

    /// Reads the hosts that go somewhere, see [`Table::warm`].
    pub(super) fn warm(&self, of: &[&Observation], p: &Parameters) -> u64 {
        let hosts = of.iter().map(|o| (o.tenant, o.source));
        self.hosts.warm(hosts, |nth, host| match host.destinations.count() {
            known if known > p.stable => known,
            _ => host.destinations.read(place(of[nth])),
        })
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if view.to_many || o.answer != Answer::Yes && o.what != What::Proxied || o.continued {
            return;
        }
        if p.what == "service" { self.service(view, p, found) } else { self.destination(view, p, found) }
    }

    fn service(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if !view.service_is_new || !view.destination_inside {
            return;
        }
        let learnt = view.since.is_some_and(|since| o.time.saturating_sub(since) >= p.learn);
        // A port above those that are given out to clients serves one conversation.
        let serves = o.what == What::Flow && o.port > 0 && o.port < 32_768;
        if !serves || !learnt || view.expected(p) {
            return;
        }
        // A host that was never seen is a new host, not a new service of one; that it is new is told all the same.
        let mut f = Found::at(view, &["destination.ip", "destination.port", "network.transport"]);
        f.seconds("watched_s", o.time - view.since.unwrap_or(o.time));
        f.seconds("forgotten_after_s", p.forget);
        found.push(f);
    }

    fn destination(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let outward = view.source_inside && !view.destination_inside && o.destination != 0 || o.what == What::Proxied;
        if !outward || view.expected(p) {
            return;
        }
        self.hosts.expire(o.time.saturating_sub(p.forget));
        let host = self.hosts.entry((o.tenant, o.source), o.time);
        if host.since == 0 {
            host.since = o.time;
        }
        // Of a host that goes to many places a further one says nothing, now or later.
        let known = host.destinations.count();
        if known > p.stable {
            return;
        }
        let target = if o.what == What::Proxied { mix_text(view.name()) } else { place(o) };
        let is_new = host.destinations.insert(target);
        if !is_new || o.time.saturating_sub(host.since) < p.learn || known == 0 {
            return;
        }
        let group: &[&str] = if o.what == What::Proxied {
            &["source.ip", "destination.domain"]
        } else {
            &["source.ip", "destination.ip", "destination.port"]
        };
        let mut f = Found::at(view, group);
        f.explain("destinations_known", known);
        f.seconds("watched_s", o.time - host.since);
        found.push(f);
    }
}

/// Where it went, where that has no name: a provider's addresses change within their network (/24, /48).
fn place(o: &Observation) -> u64 {
    mix(site::network(o.destination, 24, 48) ^ (u128::from(o.port) << 1))
}
