//! Names that nobody has, and names that have too many addresses: malware that makes up domains until one answers (domain generation),
//! and hosts of a botnet that lend a name their addresses for minutes (fast flux).
//!
//! Whoever asks for others is left out: what they ask is seen where they ask it.

use std::net::IpAddr;

use event::EventId;
use serde::{Deserialize, Serialize};

use super::dns::entropy;
use super::observe::What;
use super::sketch::{Distinct, mix, mix_text};
use super::{Found, Parameters, View, site};
use crate::table::Table;

/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;
/// Names or addresses that an alert shows.
const EXAMPLES_MAX: usize = 8;
/// Of a proxy, which asks for many, so many times the names.
const PROXY_TIMES: u64 = 10;
/// Names that lead nowhere but within one network (RFC 6762, RFC 8375, RFC 9476, and what devices come with).
const OWN: [&str; 9] = ["arpa", "local", "lan", "home", "internal", "corp", "localdomain", "alt", "onion"];

#[derive(Default, Deserialize, Serialize)]
struct Window {
    start: i64,
    queries: u64,
    /// Domains that do not exist; networks of the addresses.
    different: Distinct<256, 10>,
    /// The sum of the bits of entropy a character, of the different ones.
    entropy: f64,
    clients: Distinct<16, 6>,
    next: u64,
    examples: Vec<String>,
    evidence: Vec<EventId>,
}

impl Window {
    fn at(windows: &mut Table<(u32, u128), Window>, key: (u32, u128), time: i64, span: i64) -> &mut Window {
        windows.expire(time.saturating_sub(span));
        let window = windows.entry(key, time);
        if time.saturating_sub(window.start) > span {
            *window = Window { start: time, next: window.next, ..Window::default() };
        }
        window
    }

    fn show(&mut self, event: EventId, example: impl FnOnce() -> String) {
        if self.evidence.len() < EVIDENCE_MAX && self.evidence.last() != Some(&event) {
            self.evidence.push(event);
        }
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }

    fn describe(&self, f: &mut Found, now: i64) {
        f.start = self.start;
        f.evidence.clone_from(&self.evidence);
        f.explain("queries", self.queries);
        f.seconds("span_s", now - self.start);
        f.explain("examples", self.examples.join(" "));
    }
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Names {
    windows: Table<(u32, u128), Window>,
}

impl Names {
    pub(super) fn new(p: &Parameters) -> Names {
        Names { windows: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.windows.evicted(), self.windows.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Query || o.name.is_empty() {
            return;
        }
        if p.what == "addresses" { self.addresses(view, p, found) } else { self.made_up(view, p, found) }
    }

    fn made_up(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let domain = o.domain.of(view.text).trim_end_matches('.');
        let Some((label, rest)) = domain.split_once('.') else { return };
        let top = rest.rsplit('.').next().unwrap_or(rest);
        if !o.no_such_name || OWN.iter().any(|own| own.eq_ignore_ascii_case(top)) || view.expected(p) {
            return;
        }
        if view.role.resolver || view.role.mail {
            return;
        }
        let window = Window::at(&mut self.windows, (o.tenant, o.source), o.time, p.span);
        window.queries += 1;
        if !window.different.insert(mix_text(domain)) {
            return;
        }
        window.entropy += entropy(label);
        window.show(o.event, || domain.to_owned());
        let names = window.different.count();
        let least = if view.role.proxy { p.names * PROXY_TIMES } else { p.names };
        let mean = window.entropy / names as f64;
        if names < window.next.max(least) || mean < p.entropy {
            return;
        }
        window.next = names * 10;
        let mut f = Found::at(view, &["source.ip"]);
        f.explain("domains_that_do_not_exist", names);
        f.score("entropy_bits_mean", mean);
        window.describe(&mut f, o.time);
        found.push(f);
    }

    fn addresses(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.answers.is_empty() || view.expected(p) {
            return;
        }
        let name = view.name().trim_end_matches('.');
        let window = Window::at(&mut self.windows, (o.tenant, u128::from(mix_text(name))), o.time, p.span);
        window.queries += 1;
        window.clients.insert(mix(o.source));
        let mut is_new = false;
        for ip in o.answers.of(view.text).split(' ').filter_map(|text| text.parse::<IpAddr>().ok()) {
            let bits = site::bits(ip);
            if !view.site.is_inside(bits) && window.different.insert(mix(site::network(bits, 16, 32))) {
                is_new = true;
                window.show(o.event, || ip.to_string());
            }
        }
        let networks = window.different.count();
        if !is_new || networks < window.next.max(p.networks) {
            return;
        }
        window.next = networks * 10;
        let mut f = Found::at(view, &["dns.question.name"]);
        f.explain("networks", networks);
        f.explain("clients", window.clients.count());
        window.describe(&mut f, o.time);
        found.push(f);
    }
}
