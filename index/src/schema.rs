//! What a shard holds of an event: its times and number, a column for each field that devices write often, the words of its record, and
//! every other field in one JSON object (columns) beside one list of `name NUL value` terms.
//!
//! | kind | index | column |
//! |---|---|---|
//! | address | exact, as shown | yes: networks, ranges, counts |
//! | number, instant | no: a column is read at more than 500 values a microsecond | yes |
//! | keyword | exact, in lower case | as written |
//! | `message` | its words, with the record's | no: for showing it is read from the record again ([`crate::Messages`]) |
//! | any other | text: exact, in lower case | yes |
//!
//! What is exact is a term of one field, `terms`, with the name before it: a dictionary a field would cost each segment a megabyte of
//! the builder's tables, which is a third of all the work of writing.
//!
//! The field lists are the format of a shard: whoever changes them raises [`crate::shard::VERSION`].

use std::net::{IpAddr, Ipv6Addr};

use event::{EventRef, FieldId};
use tantivy::schema::{
    DateOptions, DateTimePrecision, Field, IndexRecordOption, IpAddrOptions, JsonObjectOptions, NumericOptions, Schema,
    TextFieldIndexing, TextOptions,
};

use crate::document::FOLDED_BYTES_MAX;
use crate::fold::folded;

/// Fields that are kept as addresses.
pub(crate) const IPS: &[&str] = &[
    "client.ip",
    "destination.ip",
    "destination.nat.ip",
    "host.ip",
    "log.source.address",
    "observer.ip",
    "server.ip",
    "source.ip",
    "source.nat.ip",
];
/// Fields that are kept as integers.
pub(crate) const NUMBERS: &[&str] = &[
    "destination.as.number",
    "destination.bytes",
    "destination.nat.port",
    "destination.packets",
    "destination.port",
    "event.duration",
    "event.sequence",
    "event.severity",
    "flow.domain_id",
    "flow.end_reason",
    "flow.sampling_rate",
    "flow.tcp_flags",
    "flow.template_id",
    "http.request.body.bytes",
    "http.request.bytes",
    "http.response.body.bytes",
    "http.response.bytes",
    "http.response.status_code",
    "icmp.code",
    "icmp.type",
    "log.syslog.facility.code",
    "log.syslog.priority",
    "log.syslog.severity.code",
    "network.bytes",
    "network.packets",
    "observer.egress.interface.id",
    "observer.ingress.interface.id",
    "policy.line",
    "process.pid",
    "source.as.number",
    "source.bytes",
    "source.nat.port",
    "source.packets",
    "source.port",
    "url.port",
];
/// Fields that are kept as instants.
pub(crate) const TIMES: &[&str] = &["event.created", "event.end", "event.start"];
/// Fields that are kept as keywords.
pub(crate) const KEYWORDS: &[&str] = &[
    "destination.address",
    "destination.domain",
    "destination.mac",
    "destination.user.name",
    "dns.answers.data",
    "dns.answers.type",
    "dns.question.class",
    "dns.question.name",
    "dns.question.registered_domain",
    "dns.question.type",
    "dns.response_code",
    "error.message",
    "event.action",
    "event.category",
    "event.code",
    "event.dataset",
    "event.id",
    "event.kind",
    "event.module",
    "event.outcome",
    "event.provider",
    "event.reason",
    "event.timezone",
    "event.type",
    "file.hash.sha256",
    "file.name",
    "file.path",
    "flow.exporter",
    "group.name",
    "host.hostname",
    "host.name",
    "http.request.method",
    "http.request.referrer",
    "http.version",
    "log.level",
    "log.syslog.appname",
    "log.syslog.facility.name",
    "log.syslog.hostname",
    "log.syslog.msgid",
    "log.syslog.procid",
    "log.syslog.severity.name",
    "mihari.flags",
    "mihari.format",
    "mihari.log_source.category",
    "mihari.log_source.product",
    "mihari.log_source.service",
    "mihari.quarantined",
    "mihari.transport",
    "network.application",
    "network.community_id",
    "network.direction",
    "network.iana_number",
    "network.protocol",
    "network.transport",
    "network.type",
    "network.vlan.id",
    "observer.egress.interface.name",
    "observer.egress.zone",
    "observer.hostname",
    "observer.ingress.interface.name",
    "observer.ingress.zone",
    "observer.name",
    "observer.product",
    "observer.serial_number",
    "observer.type",
    "observer.vendor",
    "observer.version",
    "policy.clause",
    "policy.verdict",
    "process.command_line",
    "process.executable",
    "process.name",
    "process.working_directory",
    "rule.category",
    "rule.id",
    "rule.name",
    "rule.ruleset",
    "source.address",
    "source.domain",
    "source.mac",
    "source.user.name",
    "tags",
    "url.domain",
    "url.extension",
    "url.full",
    "url.original",
    "url.path",
    "url.query",
    "url.scheme",
    "user.domain",
    "user.effective.name",
    "user.id",
    "user.name",
    "user_agent.original",
    "zone.destination",
    "zone.source",
];
/// The field whose words are the record's words.
pub(crate) const MESSAGE: &str = "message";
/// The field that names the fields which are there without a value.
pub(crate) const NULLS: &str = "mihari.null";

/// The tokenizers, by the names they are registered under.
pub(crate) const EXACT: &str = "exact";
pub(crate) const WORDS: &str = "words";
/// The JSON field, the root of every path that has no column of its own.
pub(crate) const REST: &str = "f";
/// The column that is true where there is a `message`.
pub(crate) const HAS_MESSAGE: &str = "has_message";

/// How a field is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Ip,
    Number,
    Time,
    Keyword,
    Message,
    Rest,
}

/// Where the values of a field go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    /// Its column, where it has one of its own.
    pub(crate) field: Option<Field>,
    /// What its terms begin with, where it has terms of its own.
    pub(crate) code: Option<char>,
}

const REST_SLOT: Slot = Slot { kind: Kind::Rest, field: None, code: None };

/// The schema and its fields.
pub(crate) struct Layout {
    pub(crate) schema: Schema,
    pub(crate) time: Field,
    pub(crate) received: Field,
    pub(crate) seq: Field,
    pub(crate) nth: Field,
    pub(crate) words: Field,
    pub(crate) has_message: Field,
    pub(crate) rest: Field,
    pub(crate) terms: Field,
    named: Vec<(&'static str, Kind, Field)>,
    /// By [`FieldId::index`]; ids beyond are of the rest.
    slots: Vec<Slot>,
    /// In the order of [`SYNTHETIC`].
    pub(crate) synthetic: [(FieldId, Slot); SYNTHETIC.len()],
    /// The address that a frame came from.
    pub(crate) source: (FieldId, Slot),
}

impl Layout {
    pub(crate) fn new() -> Layout {
        let mut builder = Schema::builder();
        let date = DateOptions::default().set_fast().set_precision(DateTimePrecision::Nanoseconds);
        let number = NumericOptions::default().set_fast();
        let time = builder.add_date_field("time", date.clone());
        let received = builder.add_date_field("received", date.clone());
        let seq = builder.add_u64_field("seq", number.clone());
        let nth = builder.add_u64_field("nth", number.clone());
        let indexing = |tokenizer, option| {
            TextFieldIndexing::default().set_tokenizer(tokenizer).set_fieldnorms(false).set_index_option(option)
        };
        let words = TextOptions::default().set_indexing_options(indexing(WORDS, IndexRecordOption::WithFreqsAndPositions));
        let words = builder.add_text_field("words", words);
        let has_message = builder.add_bool_field(HAS_MESSAGE, number.clone());
        let rest = builder.add_json_field(REST, JsonObjectOptions::default().set_fast("raw").set_expand_dots_enabled());
        let terms = TextOptions::default().set_indexing_options(indexing(EXACT, IndexRecordOption::Basic));
        let terms = builder.add_text_field("terms", terms);
        let mut named = Vec::new();
        let ip = IpAddrOptions::default().set_fast();
        named.extend(IPS.iter().map(|name| (*name, Kind::Ip, builder.add_ip_addr_field(&column(name), ip.clone()))));
        named.extend(NUMBERS.iter().map(|name| (*name, Kind::Number, builder.add_i64_field(&column(name), number.clone()))));
        named.extend(TIMES.iter().map(|name| (*name, Kind::Time, builder.add_date_field(&column(name), date.clone()))));
        let keyword = TextOptions::default().set_fast("raw");
        named.extend(KEYWORDS.iter().map(|name| (*name, Kind::Keyword, builder.add_text_field(&column(name), keyword.clone()))));
        let mut slots = Vec::new();
        let mut place = |name: &'static str, kind, field| {
            let at = FieldId::known(name).index();
            if slots.len() <= at {
                slots.resize(at + 1, REST_SLOT);
            }
            slots[at] = Slot { kind, field, code: code(name) };
        };
        named.iter().for_each(|(name, kind, field)| place(name, *kind, Some(*field)));
        place(MESSAGE, Kind::Message, None);
        named.sort_unstable_by_key(|(name, ..)| *name);
        let listed = |id: FieldId| (id, slots[id.index()]);
        let synthetic = SYNTHETIC.map(|name| listed(FieldId::known(name)));
        let source = listed(FieldId::LOG_SOURCE_ADDRESS);
        let schema = builder.build();
        Layout { schema, time, received, seq, nth, words, has_message, rest, terms, named, slots, synthetic, source }
    }

    pub(crate) fn register(index: &tantivy::Index) {
        index.tokenizers().register(WORDS, crate::tokens::LogTokenizer::default());
        index.tokenizers().register(EXACT, crate::tokens::ExactTokenizer::default());
    }

    /// How the field of this name is kept, and its place where it has one of its own.
    pub(crate) fn kind(&self, name: &str) -> (Kind, Option<Field>) {
        match self.named.binary_search_by_key(&name, |(name, ..)| name) {
            Ok(at) => (self.named[at].1, Some(self.named[at].2)),
            Err(_) if name == MESSAGE => (Kind::Message, None),
            Err(_) => (Kind::Rest, None),
        }
    }

    /// As [`Layout::kind`], by number.
    pub(crate) fn slot(&self, field: FieldId) -> Slot {
        self.slots.get(field.index()).copied().unwrap_or(REST_SLOT)
    }
}

/// What every event carries beside its cells, as fields: one list for the index and for the live tail.
pub(crate) const SYNTHETIC: [&str; 6] = [
    "mihari.format",
    "mihari.log_source.category",
    "mihari.log_source.product",
    "mihari.log_source.service",
    "mihari.transport",
    "mihari.quarantined",
];

/// The values of [`SYNTHETIC`], by their places there.
pub(crate) fn synthetic(event: EventRef<'_>) -> impl Iterator<Item = (usize, &'static str)> {
    let source = event.log_source().parts();
    let values: [Option<&str>; SYNTHETIC.len()] = [
        Some(event.format().name()),
        source.category,
        source.product,
        source.service,
        Some(event.transport().name()),
        event.quarantined().then_some("true"),
    ];
    values.into_iter().enumerate().filter_map(|(at, text)| Some((at, text?)))
}

/// The engine's name of a column: dots in names have a meaning of their own there.
pub(crate) fn column(name: &str) -> String {
    format!("c_{}", name.replace('.', "__"))
}

/// What the terms of a listed field begin with.
fn code(name: &str) -> Option<char> {
    /// Two bytes each, letters, so that they stay what they are.
    const FIRST: u32 = 0x100;
    let place = IPS.binary_search(&name).or_else(|_| KEYWORDS.binary_search(&name).map(|at| IPS.len() + at));
    char::from_u32(FIRST + place.ok()? as u32)
}

/// Puts the term into `term` under which the value `text` of the field `name` is found: without case. A listed field is one character
/// in front, any other its name between a character that no name begins with and one that none holds.
pub(crate) fn write_term(name: &str, text: &str, term: &mut String) {
    match code(name) {
        Some(code) => write_listed(code, text, term),
        None => {
            term.clear();
            term.push('\u{1}');
            term.push_str(name);
            term.push('\0');
            push_folded(text, term);
        }
    }
}

/// As [`write_term`], of a listed field.
pub(crate) fn write_listed(code: char, text: &str, term: &mut String) {
    term.clear();
    term.push(code);
    push_folded(text, term);
}

/// Adds `text` as texts compare; what grows by that beyond [`FOLDED_BYTES_MAX`] is cut there.
fn push_folded(text: &str, term: &mut String) {
    if text.is_ascii() {
        let start = term.len();
        term.push_str(text);
        term[start..].make_ascii_lowercase();
    } else {
        let folded = folded(text);
        term.push_str(&folded[..folded.floor_char_boundary(FOLDED_BYTES_MAX)]);
    }
}

pub(crate) fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// How the field of this name is kept.
pub(crate) fn kind(name: &str) -> Kind {
    let lists = [(IPS, Kind::Ip), (NUMBERS, Kind::Number), (TIMES, Kind::Time), (KEYWORDS, Kind::Keyword)];
    match lists.into_iter().find(|(names, _)| names.binary_search(&name).is_ok()) {
        Some((_, kind)) => kind,
        None if is_time_field(name) => Kind::Time,
        None if name == MESSAGE => Kind::Message,
        None => Kind::Rest,
    }
}

/// Names that queries use for what is not a cell.
pub(crate) fn is_time_field(name: &str) -> bool {
    name == "@timestamp" || name == "event.received"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_field_has_a_column_of_its_own() {
        let layout = Layout::new();
        for (names, kind) in [(IPS, Kind::Ip), (NUMBERS, Kind::Number), (TIMES, Kind::Time), (KEYWORDS, Kind::Keyword)] {
            assert!(names.is_sorted());
            for name in names {
                assert_eq!(layout.kind(name).0, kind, "{name}");
                let slot = layout.slot(FieldId::known(name));
                assert_eq!(layout.kind(name), (slot.kind, slot.field), "{name}");
                assert_eq!(super::kind(name), kind, "{name}");
                assert_eq!(slot.code.is_some(), matches!(kind, Kind::Ip | Kind::Keyword), "{name}");
            }
        }
        assert_eq!(layout.kind(MESSAGE).0, Kind::Message);
        assert_eq!(layout.kind("no.such").0, Kind::Rest);
    }
}
