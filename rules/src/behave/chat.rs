//! Chat to the outside: IRC, which no office needs any more and old bots still take their orders by. Told by what a sensor has heard, on
//! any port; else by the ports of IRC, where the connections are sparse as talk is, and either stay or are made again and again.

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::{Answer, What};
use super::ports::Ports;
use super::{Found, Parameters, View};
use crate::table::Table;

/// Ports of IRC where the rule names none (RFC 1459 §4.1, RFC 7194).
const PORTS: Ports = Ports::new(&[194, 6660, 6661, 6662, 6663, 6664, 6665, 6666, 6667, 6668, 6669, 6697]);
/// What sensors say where they have not heard anything else: nothing, or that it is encrypted.
const NOTHING_ELSE: [&str; 5] = ["", "unknown", "failed", "tls", "ssl"];
/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;

/// Tenant, source, destination, port.
type Key = (u32, u128, u128, u16);

#[derive(Default, Deserialize, Serialize)]
struct Talk {
    start: i64,
    connections: u64,
    sent: u64,
    received: u64,
    /// How long they lasted together.
    lasted: i64,
    heard: bool,
    told: bool,
    evidence: Vec<EventId>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Chat {
    talks: Table<Key, Talk>,
}

impl Chat {
    pub(super) fn new(p: &Parameters) -> Chat {
        Chat { talks: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.talks.evicted(), self.talks.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Flow || o.transport != 6 || view.destination_inside || view.to_many || o.answer.failed() {
            return;
        }
        let is_port = if p.chat_ports.has_ports() { p.chat_ports.covers_port(o) } else { PORTS.contains(o.port) };
        let protocol = view.protocol();
        let heard = protocol.split([',', '-', '/']).any(|part| part.eq_ignore_ascii_case("irc"));
        let by_port = is_port && NOTHING_ELSE.iter().any(|known| known.eq_ignore_ascii_case(protocol));
        if !heard && !by_port || view.expected(p) {
            return;
        }
        self.talks.expire(o.time.saturating_sub(p.forget));
        let talk = self.talks.entry((o.tenant, o.source, o.destination, o.port), o.time);
        if talk.connections == 0 {
            talk.start = o.start;
        }
        talk.connections += u64::from(!o.continued || talk.connections == 0);
        talk.sent += o.sent;
        talk.received += o.received;
        // A further record of one tells its whole length.
        let lasts = o.end.saturating_sub(o.start);
        talk.lasted = if o.continued { talk.lasted.max(lasts) } else { talk.lasted.saturating_add(lasts) };
        talk.heard |= heard;
        if talk.evidence.len() < EVIDENCE_MAX {
            talk.evidence.push(o.event);
        }
        let both = talk.sent > 0 && (talk.received > 0 || o.answer == Answer::Yes);
        let seconds = (talk.lasted as f64 / 1e9).max(1.0);
        let rate = (talk.sent + talk.received) as f64 / seconds;
        let stays = talk.lasted >= p.duration && rate <= p.bytes_per_second;
        let each = (talk.sent + talk.received) as f64 / talk.connections as f64;
        let again = talk.connections >= p.connections && each <= p.bytes;
        if talk.told || !both || !(talk.heard || stays || again) {
            return;
        }
        talk.told = true;
        let mut f = Found::at(view, &["source.ip", "destination.ip", "destination.port"]);
        f.start = talk.start;
        f.evidence.clone_from(&talk.evidence);
        f.explain("told_by", if talk.heard { "what was spoken" } else { "the port" });
        f.explain("connections", talk.connections);
        f.seconds("lasted_s", talk.lasted);
        f.explain("bytes_sent", talk.sent);
        f.explain("bytes_received", talk.received);
        f.explain("bytes_per_second", format!("{rate:.1}"));
        found.push(f);
    }
}
