//! Mail sent from where no mail is served: a host inside that takes no mail itself goes to many mail servers outside, as a terminal does
//! whose malware sends spam. A mail server is known by what it answers, a sender of newsletters by the safelist.

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::{Answer, What};
use super::sketch::{Distinct, mix};
use super::{Found, Parameters, View};
use crate::table::Table;

/// Where servers give mail to each other (RFC 5321 §4.5.4.2).
pub(super) const SMTP: u16 = 25;
/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;

#[derive(Default, Deserialize, Serialize)]
struct Window {
    start: i64,
    connections: u64,
    answered: u64,
    sent: u64,
    servers: Distinct<64, 8>,
    next: u64,
    evidence: Vec<EventId>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Mail {
    windows: Table<(u32, u128), Window>,
}

impl Mail {
    pub(super) fn new(p: &Parameters) -> Mail {
        Mail { windows: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.windows.evicted(), self.windows.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Flow || o.port != SMTP || o.transport != 6 || o.continued {
            return;
        }
        // Where the site's own addresses are public ones that it did not name, neither end is inside.
        if view.destination_inside || view.role.mail || view.expected(p) {
            return;
        }
        self.windows.expire(o.time.saturating_sub(p.span));
        let window = self.windows.entry((o.tenant, o.source), o.time);
        if o.time.saturating_sub(window.start) > p.span {
            *window = Window { start: o.time, next: window.next, ..Window::default() };
        }
        window.connections += 1;
        window.answered += u64::from(o.answer == Answer::Yes);
        window.sent += o.sent;
        if window.evidence.len() < EVIDENCE_MAX {
            window.evidence.push(o.event);
        }
        if !window.servers.insert(mix(o.destination)) {
            return;
        }
        let servers = window.servers.count();
        if servers < window.next.max(p.hosts) {
            return;
        }
        window.next = servers * 10;
        let mut f = Found::at(view, &["source.ip"]);
        f.start = window.start;
        f.evidence.clone_from(&window.evidence);
        f.explain("servers", servers);
        f.explain("connections", window.connections);
        f.explain("answered", window.answered);
        f.explain("bytes_sent", window.sent);
        f.seconds("span_s", o.time - window.start);
        found.push(f);
    }
}
