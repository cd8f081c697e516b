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
    STATUS: "http.response.status_code" | "sip.status_code",
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
    REASON: "event.reason",
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
static SLOT_OF: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut slot_of = Vec::new();
    for (name, slot) in FIELDS {
        let index = FieldId::known(name).index();
        if slot_of.len() <= index {
            slot_of.resize(index + 1, SLOTS as u8);
        }
        slot_of[index] = *slot as u8;
    }
    slot_of
});

/// Finds the slots of events. Of many events in a row the fields are the same, and so is where their slots stand.
pub(super) struct Finder {
    slot_of: &'static [u8],
    /// The fields of the last event, one for each of its cells.
    fields: Vec<FieldId>,
    /// Where its slots stand, see [`Cells`].
    nth: [u16; SLOTS],
    /// Whether that hangs on the fields alone.
    is_known: bool,
}

impl Finder {
    pub(super) fn new() -> Finder {
        Finder { slot_of: &SLOT_OF, fields: Vec::new(), nth: [0; SLOTS], is_known: false }
    }

    /// The cells of an event.
    pub(super) fn cells<'b>(&mut self, event: EventRef<'b>) -> Cells<'b> {
        let fields = event.fields();
        let are_same = fields.len() == self.fields.len() && fields.zip(&self.fields).all(|(field, known)| field == *known);
        if !(self.is_known && are_same) {
            self.find(event);
        }
        Cells { event, nth: self.nth }
    }

    fn find(&mut self, event: EventRef<'_>) {
        (self.nth, self.is_known) = ([0; SLOTS], true);
        self.fields.clear();
        for (at, field) in event.fields().enumerate() {
            self.fields.push(field);
            let Some(slot) = self.slot_of.get(field.index()) else { continue };
            let Some(nth) = self.nth.get_mut(usize::from(*slot)) else { continue };
            let is_first = *nth == 0;
            // Of several types the one that says what was decided.
            let is_type = !is_first && *slot == Slot::TYPE as u8;
            self.is_known &= !is_type;
            if is_first || is_type && event.cell(at).as_text().and_then(passed_word).is_some() {
                *nth = at as u16 + 1;
            }
        }
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

    #[inline]
    pub(super) fn text(&self, slot: Slot) -> Option<&'b str> {
        self.value(slot).and_then(|v| v.as_text())
    }

    /// Whether one of the values of a slot's field is this word.
    pub(super) fn says(&self, slot: Slot, word: &str) -> bool {
        let first = self.nth[slot as usize].checked_sub(1);
        let field = first.and_then(|first| self.event.fields().nth(usize::from(first)));
        field.is_some_and(|field| self.event.all(field).any(|value| value.as_text() == Some(word)))
    }

    /// Most slots are asked for in vain, and most numbers are whole: only that is decided in place.
    #[inline]
    pub(super) fn number(&self, slot: Slot) -> Option<u64> {
        let nth = self.nth[slot as usize].checked_sub(1)?;
        match self.event.cell_int(usize::from(nth)) {
            Some(n) => u64::try_from(n).ok(),
            None => self.number_there(slot),
        }
    }

    /// A port.
    pub(super) fn port(&self, slot: Slot) -> Option<u16> {
        self.number(slot).and_then(|n| u16::try_from(n).ok())
    }

    fn number_there(&self, slot: Slot) -> Option<u64> {
        match self.value(slot)? {
            Value::Int(n) => u64::try_from(n).ok(),
            Value::Uint(n) => Some(n),
            Value::Float(n) if n >= 0.0 && n < u64::MAX as f64 => Some(n as u64),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn address(&self, slot: Slot) -> Option<u128> {
        if self.has(slot) { self.address_there(slot) } else { None }
    }

    fn address_there(&self, slot: Slot) -> Option<u128> {
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

    #[inline]
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

#[cfg(test)]
mod tests {
    use event::{BatchBuilder, Content, FrameHead, LogRange, Position, Time, Transport};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a finder knows of the events before changes nothing.
        #[test]
        fn each_event_is_read_as_if_it_were_the_first(
            events in prop::collection::vec(prop::sample::select(vec!["", "T", "TT", "TTT", "A", "AT", "ATT", "TTA", "O"]), 1..40),
            words in prop::collection::vec(prop::sample::select(vec!["info", "denied", "allowed", "connection"]), 120),
        ) {
            let mut builder = BatchBuilder::default();
            let mut words = words.into_iter();
            for (at, fields) in events.iter().enumerate() {
                let position = Position { partition: 0, offset: at as u64 + 1 };
                let head = FrameHead { position, received: Time::EPOCH, ..FrameHead::new(Transport::Udp, Content::Text) };
                let mut row = builder.row(&head, 0, "");
                for field in fields.chars() {
                    match field {
                        'T' => row.text(FieldId::EVENT_TYPE, words.next().unwrap_or_default()),
                        'A' => row.text(FieldId::EVENT_ACTION, "drop"),
                        _ => row.int(FieldId::known("not.of.any.slot"), 1),
                    }
                }
            }
            let batch = builder.finish(LogRange::default(), Time::EPOCH);
            let mut finder = Finder::new();
            for event in batch.iter() {
                prop_assert_eq!(finder.cells(event).nth, Finder::new().cells(event).nth);
            }
        }
    }
}
