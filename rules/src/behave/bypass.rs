//! Past the proxy, past the resolver: where a network's hosts go through a proxy or ask a resolver of their own, one that goes straight to
//! the web, to another resolver, or to a resolver over HTTPS stands out. Whether there is such a proxy or resolver is learnt.

use serde::{Deserialize, Serialize};

use super::knowledge::{PROXY_PORTS, ROLE_CLIENTS_MIN};
use super::observe::{Answer, What};
use super::sketch::{Distinct, mix};
use super::{Found, Parameters, View};
use crate::table::Table;

/// Whether the destination is a proxy: many clients from inside on a proxy's port.
pub(super) fn is_proxy(view: &View<'_>) -> bool {
    view.o.transport == 6
        && PROXY_PORTS.contains(view.o.port)
        && view.service.is_some_and(|service| service.inside >= ROLE_CLIENTS_MIN)
}

type Set = Distinct<256, 10>;

/// What the hosts of a tenant do.
#[derive(Default, Deserialize, Serialize)]
struct Habit {
    /// Those that use the proxy or the resolver inside.
    through: Set,
    /// Those that go past it.
    past: Set,
    /// Since when that is watched.
    since: Option<i64>,
}

#[derive(Default, Deserialize, Serialize)]
struct Going {
    connections: u64,
    told: bool,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Bypass {
    habits: Table<u32, Habit>,
    going: Table<(u32, u128, u128, u16), Going>,
}

impl Bypass {
    pub(super) fn new(p: &Parameters) -> Bypass {
        Bypass { habits: Table::new(10_000), going: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.habits.evicted() + self.going.evicted(), self.habits.byte_len() + self.going.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if !view.source_inside || view.to_many || o.continued {
            return;
        }
        let source = mix(o.source);
        let doh = p.of == "dns" && !o.name.is_empty() && o.what != What::Query && p.doh.covers_name(view.name());
        // The types of ICMP's messages are no ports.
        let has_port = !matches!(o.transport, 1 | 58);
        let through = match (p.of.as_str(), o.what) {
            ("proxy", What::Proxied) => true,
            ("proxy", What::Flow) => view.destination_inside && PROXY_PORTS.contains(o.port) && o.transport == 6,
            ("dns", What::Flow) => view.destination_inside && o.port == 53 && has_port,
            ("dns", What::Query) => view.destination_inside || o.destination == 0,
            _ => false,
        };
        if through && !doh {
            let habit = self.habits.entry(o.tenant, o.time);
            habit.through.insert(source);
            habit.since.get_or_insert(o.time);
            return;
        }
        let web = o.port == 80 || o.port == 443;
        let past = match (p.of.as_str(), o.what) {
            ("proxy", What::Flow) => web && !view.destination_inside && matches!(o.transport, 6 | 17),
            ("dns", What::Flow) => doh || !view.destination_inside && matches!(o.port, 53 | 853) && has_port,
            ("dns", What::Query | What::Request | What::Proxied) => doh || o.what == What::Query && !view.destination_inside,
            _ => false,
        };
        if !past || matches!(o.answer, Answer::No | Answer::Refused | Answer::Denied) || view.expected(p) {
            return;
        }
        let for_others = if p.of == "dns" { view.role.resolver } else { view.role.proxy };
        if for_others {
            return;
        }
        let habit = self.habits.entry(o.tenant, o.time);
        habit.past.insert(source);
        let (through, past) = (habit.through.count(), habit.past.count());
        let share = through as f64 / (through + past) as f64;
        // Who the proxy is shows only when its clients' connections have been told of too: a proxy's log is quicker than flow records.
        let learnt = habit.since.is_some_and(|since| o.time.saturating_sub(since) >= p.learn);
        if through < p.clients || share < p.share || !learnt {
            return;
        }
        self.going.expire(o.time.saturating_sub(p.forget));
        let going = self.going.entry((o.tenant, o.source, if doh { 0 } else { o.destination }, o.port), o.time);
        going.connections += 1;
        if going.told || going.connections < p.connections {
            return;
        }
        going.told = true;
        let mut f = Found::at(
            view,
            if doh { &["source.ip", "destination.domain"] } else { &["source.ip", "destination.ip", "destination.port"] },
        );
        f.explain(
            "past",
            if doh {
                "the resolver, over HTTPS"
            } else if p.of == "dns" {
                "the resolver"
            } else {
                "the proxy"
            },
        );
        f.explain("sources_through", through);
        f.explain("sources_past", past);
        f.score("share_through", share);
        f.explain("connections", going.connections);
        found.push(f);
    }
}
