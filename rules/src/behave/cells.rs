//! Which fields of an event an observation is read from, whichever of their names a format uses.

use std::sync::LazyLock;

use event::limits::CELLS_PER_EVENT_MAX;
use event::{EventRef, FieldId, Value};

use super::site::bits;
use crate::policy::passed_word;

macro_rules! slots {
    ($($slot:ident: $($name:literal)|+,)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "numbers the slots below")]
        #[derive(Clone, Copy)]
        #[repr(u8)]
        pub(super) enum Slot { $($slot,)* END }
        /// Per slot the event fields that fill it; of several the one that stands first in the event's cells.
        const FIELDS: &[(&str, Slot)] = &[$($(($name, Slot::$slot),)+)*];
    };
}

slots! {
    SOURCE: "source.ip",
    SOURCE_PORT: "source.port",
    DESTINATION: "destination.ip",
    PORT: "destination.port",
    TRANSPORT: "network.transport",
    NUMBER: "network.iana_number",
    PROTOCOL: "network.protocol",
    SENT: "source.bytes",
    RECEIVED: "destination.bytes",
    BYTES: "network.bytes",
    SENT_PACKETS: "source.packets",
    RECEIVED_PACKETS: "destination.packets",
    PACKETS: "network.packets",
    FLAGS: "flow.tcp_flags",
    ANSWER: "flow.answer",
    STATE: "zeek.connection.conn_state" | "zeek.connection.state",
    HISTORY: "zeek.connection.history",
    ARGUS: "argus.state",
    SAMPLING: "flow.sampling_rate",
    ICMP: "icmp.type",
    EXPORTER: "flow.exporter",
    START: "event.start" | "suricata.eve.flow.start",
    FINISH: "event.end" | "suricata.eve.flow.end",
    DURATION: "event.duration",
    ACTION: "event.action",
    TYPE: "event.type",
    OUTCOME: "event.outcome",
    CATEGORY: "event.category",
    KIND: "event.kind",
    QUESTION: "dns.question.name",
    QUESTION_TYPE: "dns.question.type",
    REGISTERED: "dns.question.registered_domain",
    DOMAIN: "url.domain" | "destination.domain",
    SERVER_NAME: "tls.client.server_name" | "tls.server_name",
    URL: "url.original" | "url.full",
    URL_PORT: "url.port",
    METHOD: "http.request.method",
    RESPONSE_BYTES: "http.response.bytes",
    STATUS: "http.response.status_code",
    USER: "user.name",
    SOURCE_USER: "source.user.name",
    HOST: "host.name",
    CODE: "event.code" | "winlog.event_id",
    PROVIDER: "event.provider" | "winlog.provider_name",
    SAID_BY: "observer.name" | "observer.serial_number" | "log.syslog.hostname",
    OBSERVER_TYPE: "observer.type",
    SHA256: "file.hash.sha256",
    SHA1: "file.hash.sha1",
    MD5: "file.hash.md5",
    FILE: "file.name",
    BEHALF: "network.forwarded_ip",
    RESPONSE_CODE: "dns.response_code",
    ANSWERS: "dns.resolved_ip" | "dns.answers.data",
    CLIENT: "client.ip",
    SERVER: "server.ip",
    SOURCE_NAT: "source.nat.ip",
    SOURCE_NAT_PORT: "source.nat.port",
    DESTINATION_NAT: "destination.nat.ip",
    DESTINATION_NAT_PORT: "destination.nat.port",
    SERVER_FLAGS: "suricata.eve.tcp.tcp_flags_tc",
}

const SLOTS: usize = Slot::END as usize;

/// Per field the slot that it fills; beyond all of them for most.
pub(super) struct Slots(Vec<u8>);

static ALL: LazyLock<Slots> = LazyLock::new(|| {
    let mut slot_of = Vec::new();
    for (name, slot) in FIELDS {
        let index = FieldId::known(name).index();
        if slot_of.len() <= index {
            slot_of.resize(index + 1, SLOTS as u8);
        }
        slot_of[index] = *slot as u8;
    }
    Slots(slot_of)
});

impl Slots {
    pub(super) fn all() -> &'static Slots {
        &ALL
    }

    /// The cells of an event.
    pub(super) fn cells<'b>(&self, event: EventRef<'b>) -> Cells<'b> {
        let mut cells = Cells { event, nth: [0; SLOTS] };
        for (at, field) in event.fields().enumerate() {
            let Some(slot) = self.0.get(field.index()) else { continue };
            let Some(nth) = cells.nth.get_mut(usize::from(*slot)) else { continue };
            // Of several types the one that says what was decided.
            let decides = || *slot == Slot::TYPE as u8 && event.cell(at).as_text().and_then(passed_word).is_some();
            if *nth == 0 || decides() {
                *nth = at as u16 + 1;
            }
        }
        cells
    }
}

/// The fields that an observation is read from.
pub(crate) fn fields() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|(name, _)| *name)
}

/// The cells of one event by slot. Most slots are empty, and most of the others are asked for once: only where they stand is kept.
pub(super) struct Cells<'b> {
    event: EventRef<'b>,
    /// Which of the event's cells, from 1; 0 where it has none.
    nth: [u16; SLOTS],
}

const _: () = assert!(CELLS_PER_EVENT_MAX < u16::MAX as usize);

impl<'b> Cells<'b> {
    #[inline]
    fn value(&self, slot: Slot) -> Option<Value<'b>> {
        let nth = self.nth[slot as usize].checked_sub(1)?;
        Some(self.event.cell(usize::from(nth)))
    }

    pub(super) fn text(&self, slot: Slot) -> Option<&'b str> {
        self.value(slot).and_then(|v| v.as_text())
    }

    pub(super) fn number(&self, slot: Slot) -> Option<u64> {
        match self.value(slot)? {
            Value::Int(n) => u64::try_from(n).ok(),
            Value::Uint(n) => Some(n),
            Value::Float(n) if n >= 0.0 && n < u64::MAX as f64 => Some(n as u64),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn address(&self, slot: Slot) -> Option<u128> {
        match self.value(slot)? {
            Value::Ip(ip) => Some(bits(ip)),
            Value::Text(text) => text.parse().ok().map(bits),
            _ => None,
        }
    }

    pub(super) fn time(&self, slot: Slot) -> Option<i64> {
        match self.value(slot)? {
            Value::Time(time) => Some(time.unix_ns()),
            // Seconds, as in cases.
            Value::Int(seconds) => seconds.checked_mul(1_000_000_000),
            Value::Float(seconds) => Some((seconds * 1e9) as i64),
            Value::Text(text) => stamp(text),
            _ => None,
        }
    }

    pub(super) fn has(&self, slot: Slot) -> bool {
        self.nth[slot as usize] != 0
    }
}

/// An RFC 3339 stamp, also with an offset without a colon.
fn stamp(text: &str) -> Option<i64> {
    if let Some(time) = event::Time::parse_rfc3339(text) {
        return Some(time.unix_ns());
    }
    let (most, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
    event::Time::parse_rfc3339(&format!("{most}:{minutes}")).map(event::Time::unix_ns)
}
