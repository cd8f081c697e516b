//! Data carried where only questions should be: in DNS and in pings, told from flows alone, where no log shows the names. A source's
//! questions, or the answers to them, are on average far larger than names and addresses are, and there are many.
//!
//! Counts go over windows of a fixed length, so that hours of ordinary questions do not hide what comes among them. Whoever asks for
//! others is left out: what they ask is seen where they ask it.

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::{Observation, What};
use super::{Found, Parameters, View};
use crate::table::Table;

/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;
/// Answers that carry data are so many times larger than the questions.
const ANSWER_TIMES: u64 = 4;

/// Tenant, source, destination, and whether it is ICMP.
type Key = (u32, u128, u128, bool);

#[derive(Default, Deserialize, Serialize)]
struct Window {
    start: i64,
    packets: u64,
    questions: u64,
    sent: u64,
    received: u64,
    /// Bytes at which the next alert comes; 0 before the first.
    next: u64,
    evidence: Vec<EventId>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Carrier {
    windows: Table<Key, Window>,
}

impl Carrier {
    pub(super) fn new(p: &Parameters) -> Carrier {
        Carrier { windows: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.windows.evicted(), self.windows.byte_len())
    }

    /// Reads the windows of questions, see [`Table::warm`].
    pub(super) fn warm(&self, of: &[&Observation]) -> u64 {
        let questions = of.iter().filter(|o| o.transport == 17 && o.port == 53);
        self.windows.warm(questions.map(|o| (o.tenant, o.source, o.destination, false)), |_, window| window.sent)
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let ping = match (o.transport, o.icmp) {
            (1, kind) => matches!(kind, None | Some(0 | 8)) && !view.destination_inside,
            (58, kind) => matches!(kind, None | Some(128 | 129)) && !view.destination_inside,
            _ => false,
        };
        let dns = o.transport == 17 && o.port == 53 && !view.role.resolver;
        // Where the site's own addresses are public ones that it did not name, neither end is inside.
        let ours = view.source_inside || !view.destination_inside;
        if o.what != What::Flow || !(ping || dns) || !ours || view.to_many || view.expected(p) {
            return;
        }
        self.windows.expire(o.time.saturating_sub(p.span));
        let window = self.windows.entry((o.tenant, o.source, o.destination, ping), o.time);
        if o.time.saturating_sub(window.start) > p.span {
            let next = window.next;
            *window = Window { start: o.time, next, ..Window::default() };
        }
        let packets = o.packets.max(1);
        window.packets += packets;
        window.questions += if o.received > 0 { packets.div_ceil(2) } else { packets };
        window.sent += o.sent;
        window.received += o.received;
        if window.evidence.len() < EVIDENCE_MAX {
            window.evidence.push(o.event);
        }
        let (all, mean) = (window.sent + window.received, |bytes: u64, of: u64| bytes as f64 / of.max(1) as f64);
        let many = if ping { all as f64 >= p.bytes } else { window.questions >= p.queries };
        if !many || all < window.next {
            return;
        }
        let (sent, received) = (mean(window.sent, window.questions), mean(window.received, window.questions));
        let why = if ping {
            (mean(all, window.packets) >= p.ping_bytes).then_some("pings that carry data")
        } else if sent >= p.query_bytes {
            Some("questions of DNS that carry data")
        } else {
            let carries = received >= p.answer_bytes && window.received >= window.sent.saturating_mul(ANSWER_TIMES);
            carries.then_some("answers of DNS that carry data")
        };
        let Some(why) = why else { return };
        window.next = all.saturating_mul(10);
        let mut f = Found::at(view, &["source.ip", "destination.ip", "network.transport"]);
        f.start = window.start;
        f.evidence.clone_from(&window.evidence);
        f.explain("kind", why);
        f.explain("questions", window.questions);
        f.explain("bytes_sent", window.sent);
        f.explain("bytes_received", window.received);
        f.score("question_bytes_mean", sent);
        f.score("answer_bytes_mean", received);
        f.seconds("span_s", o.time - window.start);
        found.push(f);
    }
}
