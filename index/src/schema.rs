//! What a document holds: an event's times and number, its addresses as addresses, the words of its record, and every other field in
//! one JSON object (searched in lower case, shown as written).

use std::collections::BTreeSet;
use std::net::IpAddr;

use event::{EventRef, Value};
use tantivy::schema::{
    DateOptions, DateTimePrecision, Field, IndexRecordOption, IpAddrOptions, JsonObjectOptions, NumericOptions, OwnedValue,
    Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{LowerCaser, RawTokenizer, TextAnalyzer};
use tantivy::{DateTime, TantivyDocument};

/// Fields that are kept as addresses: exact and by network.
pub(crate) const IP_FIELDS: [&str; 9] = [
    "source.ip",
    "destination.ip",
    "client.ip",
    "server.ip",
    "host.ip",
    "observer.ip",
    "source.nat.ip",
    "destination.nat.ip",
    "log.source.address",
];
/// Names of JSON paths that one shard keeps; an event's fields beyond are found by their words only.
pub(crate) const FIELDS_PER_SHARD_MAX: usize = 4096;
/// Bytes of one value in a column; a longer one is cut there, and found whole by its words.
const VALUE_BYTES_MAX: usize = 8192;

pub(crate) const LOWER: &str = "lower";
pub(crate) const WORDS: &str = "words";
/// The name of the JSON field, the root of every path.
pub(crate) const REST: &str = "f";

/// The schema and its fields.
#[derive(Clone)]
pub(crate) struct Layout {
    pub(crate) schema: Schema,
    pub(crate) time: Field,
    pub(crate) received: Field,
    pub(crate) seq: Field,
    pub(crate) nth: Field,
    pub(crate) words: Field,
    pub(crate) rest: Field,
    pub(crate) ips: [Field; IP_FIELDS.len()],
}

impl Layout {
    pub(crate) fn new() -> Layout {
        let mut builder = Schema::builder();
        let date = DateOptions::default().set_fast().set_precision(DateTimePrecision::Nanoseconds);
        let number = NumericOptions::default().set_fast();
        let time = builder.add_date_field("time", date.clone());
        let received = builder.add_date_field("received", date);
        let seq = builder.add_u64_field("seq", number.clone().set_indexed());
        let nth = builder.add_u64_field("nth", number);
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let words = builder.add_text_field("words", TextOptions::default().set_indexing_options(indexing));
        let indexing =
            TextFieldIndexing::default().set_tokenizer(LOWER).set_fieldnorms(false).set_index_option(IndexRecordOption::Basic);
        let rest = JsonObjectOptions::default().set_indexing_options(indexing).set_fast("raw").set_expand_dots_enabled();
        let rest = builder.add_json_field(REST, rest);
        let ip = IpAddrOptions::default().set_indexed().set_fast();
        let ips = IP_FIELDS.map(|name| builder.add_ip_addr_field(&ip_column(name), ip.clone()));
        Layout { schema: builder.build(), time, received, seq, nth, words, rest, ips }
    }

    pub(crate) fn register(index: &tantivy::Index) {
        index.tokenizers().register(WORDS, crate::tokens::LogTokenizer);
        index.tokenizers().register(LOWER, TextAnalyzer::builder(RawTokenizer::default()).filter(LowerCaser).build());
    }

    /// The place of an address field in [`IP_FIELDS`].
    pub(crate) fn ip(&self, name: &str) -> Option<Field> {
        IP_FIELDS.iter().position(|n| *n == name).map(|at| self.ips[at])
    }

    /// The document of an event; names of new fields go to `names`.
    pub(crate) fn document(&self, event: EventRef<'_>, names: &mut BTreeSet<String>) -> TantivyDocument {
        let mut doc = TantivyDocument::default();
        doc.add_date(self.time, DateTime::from_timestamp_nanos(event.time().unix_ns()));
        doc.add_date(self.received, DateTime::from_timestamp_nanos(event.received().unix_ns()));
        doc.add_u64(self.seq, event.id().frame.offset);
        doc.add_u64(self.nth, u64::from(event.id().nth));
        let mut all_words = String::new();
        if event.raw().is_empty() {
            for (_, value) in event.cells() {
                all_words.push_str(&value.to_string());
                all_words.push(' ');
            }
        }
        doc.add_text(self.words, if event.raw().is_empty() { all_words.as_str() } else { event.raw() });
        let mut rest: Vec<(String, OwnedValue)> = Vec::new();
        let mut add = |name: &str, value: OwnedValue| {
            if !names.contains(name) {
                if names.len() >= FIELDS_PER_SHARD_MAX {
                    return;
                }
                names.insert(name.to_owned());
            }
            match rest.iter_mut().find(|(n, _)| n == name) {
                Some((_, OwnedValue::Array(values))) => values.push(value),
                Some((_, one)) => *one = OwnedValue::Array(vec![std::mem::replace(one, OwnedValue::Null), value]),
                None => rest.push((name.to_owned(), value)),
            }
        };
        for (field, value) in event.cells() {
            let name = field.name();
            if let (Some(field), Value::Ip(ip)) = (self.ip(name), value) {
                doc.add_ip_addr(field, v6(ip));
                continue;
            }
            if let Some(value) = owned(value) {
                add(name, value);
            } else {
                add("mihari.null", OwnedValue::Str(name.to_owned()));
            }
        }
        if let Some(source) = event.source() {
            doc.add_ip_addr(self.ips[IP_FIELDS.len() - 1], v6(source));
        }
        for (name, text) in synthetic(event) {
            add(name, OwnedValue::Str(text.to_owned()));
        }
        doc.add_object(self.rest, rest.into_iter().collect());
        doc
    }
}

/// What every event carries beside its cells, as fields: one list for the index and for the live tail.
pub(crate) fn synthetic(event: EventRef<'_>) -> impl Iterator<Item = (&'static str, &'static str)> {
    let source = event.log_source().parts();
    [
        ("mihari.format", Some(event.format().name())),
        ("mihari.log_source.category", source.category),
        ("mihari.log_source.product", source.product),
        ("mihari.log_source.service", source.service),
        ("mihari.transport", Some(event.transport().name())),
        ("mihari.quarantined", event.quarantined().then_some("true")),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
}

/// The column of an address field: dots in names have a meaning of their own in the engine.
pub(crate) fn ip_column(name: &str) -> String {
    format!("ip_{}", name.replace('.', "_"))
}

pub(crate) fn v6(ip: IpAddr) -> std::net::Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn owned(value: Value<'_>) -> Option<OwnedValue> {
    Some(match value {
        Value::Null => return None,
        Value::Text(text) => OwnedValue::Str(text[..text.floor_char_boundary(VALUE_BYTES_MAX)].to_owned()),
        Value::Int(n) => OwnedValue::I64(n),
        Value::Uint(n) => OwnedValue::U64(n),
        Value::Float(n) if n.is_finite() => OwnedValue::F64(n),
        Value::Float(_) => return None,
        Value::Bool(b) => OwnedValue::Bool(b),
        // The engine panics on addresses within JSON; an instant is kept as text, which sorts as it should.
        Value::Ip(ip) => OwnedValue::Str(ip.to_string()),
        Value::Time(time) => OwnedValue::Str(time.to_string()),
    })
}

/// Names that queries use for what is not a cell.
pub(crate) fn is_time_field(name: &str) -> bool {
    name == "@timestamp" || name == "event.received"
}
