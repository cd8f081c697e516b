//! What a format's own names mean: a table of rules from a record's keys to event fields.
//!
//! Where several keys go to one field, the first that is there and says something wins, so the order of a table is its order of
//! preference. `-` and the empty text say nothing.

use std::net::IpAddr;

use event::{FieldId, FormatId, LogSource, LogSourceId, RowBuilder, Time, Value};

use super::{Fields, Key, Keys, Record, View};
use crate::decode::format::{address, host_and_port_of, protocol, request_line, transport, url};
use crate::decode::stamp;
use crate::decode::text::Context;

/// A format whose records name their fields.
pub(in crate::decode) struct Format {
    /// `mihari.format`.
    pub(in crate::decode) name: &'static str,
    /// The Sigma log source.
    pub(in crate::decode) source: LogSource<'static>,
    /// Keys that a record of this format has, each list an alternative; `key=value` asks for that text too.
    pub(in crate::decode) needs: &'static [&'static [&'static str]],
    /// Before each of the record's own names, which are all kept. Empty where the names are ECS names already.
    pub(in crate::decode) native: &'static str,
    /// Fields that are always there.
    pub(in crate::decode) constants: &'static [(&'static str, &'static str)],
    /// From key to field, in groups that have the text given first before each of their keys.
    pub(in crate::decode) rules: &'static [(&'static str, &'static [(&'static str, To)])],
}

/// Where a value goes, and as what.
#[derive(Clone, Copy)]
pub(in crate::decode) enum To {
    /// As it stands, every value of the key.
    As(&'static str),
    /// In lower case.
    Lower(&'static str),
    /// A number, also where the record has it as text.
    Number(&'static str),
    /// An address: to the first field, or where it is none to the second.
    Address(&'static str, &'static str),
    /// `host:port` below this name: `.ip` or `.domain`, and `.port`.
    Host(&'static str),
    /// The event's time: RFC 3339 and its relatives, or seconds, milliseconds, microseconds or nanoseconds since 1970.
    Time,
    /// An instant that is not the event's time.
    Instant(&'static str),
    /// A duration in units of so many nanoseconds.
    Duration(&'static str, f64),
    /// Added to what other rules added to the same field.
    Sum(&'static str),
    /// `url.original` and its parts.
    Url,
    /// `GET /path HTTP/1.1`: method, URL and version.
    RequestLine,
    /// The text given here, where the key says anything.
    Is(&'static str, &'static str),
    /// The text that stands beside the value; a value that is not listed says nothing.
    Case(&'static str, &'static [(&'static str, &'static str)]),
    /// `DOMAIN\user`, `user@domain` or `user`: to `.name` and `.domain` below this name.
    Account(&'static str),
    /// A file: `.path` and `.name` below this name.
    Path(&'static str),
    /// The last part of a path: the name of a file, below no name.
    LastPart(&'static str),
    /// Hashes below this name, which of them their length tells; several with commas between, or behind `SHA256=`.
    Hash(&'static str),
    /// The text without what stands here before it.
    Without(&'static str, &'static str),
    /// A domain, without the dot of the root at its end.
    Rootless(&'static str),
    /// The address that stands so many parts before the last one, parts being what the character separates.
    Part(&'static str, char, usize),
    /// A protocol's number or name: `network.transport`, `network.iana_number`.
    Protocol,
    /// An address of mail, without angle brackets and the name before them.
    Mail(&'static str),
}

enum Compiled {
    As(FieldId),
    Lower(FieldId),
    Number(FieldId),
    Address(FieldId, FieldId),
    Host(FieldId, FieldId, FieldId),
    Time,
    Instant(FieldId),
    Duration(FieldId, f64),
    Sum(FieldId),
    Url,
    RequestLine,
    Is(FieldId, &'static str),
    Case(FieldId, &'static [(&'static str, &'static str)]),
    Account(FieldId, FieldId),
    Path(FieldId, FieldId),
    LastPart(FieldId),
    Hash([FieldId; 3]),
    Without(FieldId, &'static str),
    Rootless(FieldId),
    Part(FieldId, char, usize),
    Protocol,
    Mail(FieldId),
}

/// What becomes of a key's values.
pub(in crate::decode) struct Rule {
    key: Key,
    to: Compiled,
    /// The number of the field in this table.
    slot: u8,
    /// The record's own key of the field's name: what the record says itself stands.
    own: Option<Key>,
}

impl Rule {
    /// A rule outside a table.
    pub(in crate::decode) fn new(key: &str, to: To, keys: &mut Keys) -> Rule {
        Rule { key: keys.declare(key), to: to.compile(), slot: 0, own: None }
    }

    /// The field that it writes, the first of several.
    pub(in crate::decode) fn field(&self) -> FieldId {
        match self.to {
            Compiled::As(field)
            | Compiled::Lower(field)
            | Compiled::Number(field)
            | Compiled::Instant(field)
            | Compiled::Duration(field, _)
            | Compiled::Is(field, _)
            | Compiled::Case(field, _)
            | Compiled::Account(field, _)
            | Compiled::Path(field, _)
            | Compiled::LastPart(field)
            | Compiled::Without(field, _)
            | Compiled::Rootless(field)
            | Compiled::Part(field, ..)
            | Compiled::Address(field, _)
            | Compiled::Host(field, ..)
            | Compiled::Hash([field, ..])
            | Compiled::Mail(field)
            | Compiled::Sum(field) => field,
            Compiled::Url => FieldId::URL_ORIGINAL,
            Compiled::RequestLine => FieldId::HTTP_REQUEST_METHOD,
            Compiled::Protocol => FieldId::NETWORK_TRANSPORT,
            Compiled::Time => FieldId::EVENT_CREATED,
        }
    }

    /// Whether the row says already what this rule would.
    pub(in crate::decode) fn is_told(&self, row: &RowBuilder<'_>) -> bool {
        match self.to {
            Compiled::Address(ip, name) | Compiled::Host(ip, name, _) => row.has(ip) || row.has(name),
            Compiled::Hash(fields) => fields.iter().all(|field| row.has(*field)),
            Compiled::Time | Compiled::Sum(_) => false,
            _ => row.get(self.field()).is_some(),
        }
    }

    /// Writes `value`; whether anything was written.
    pub(in crate::decode) fn write(&self, value: Value<'_>, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        self.to.write(value, context, row)
    }
}

/// Fields that one table writes at most.
const SLOTS_MAX: usize = 128;

/// A format, ready to write events.
pub(in crate::decode) struct Table {
    format: FormatId,
    source: LogSourceId,
    needs: Vec<Vec<(Key, Option<&'static str>)>>,
    constants: Vec<(FieldId, &'static str, Option<Key>)>,
    rules: Vec<Rule>,
    fields: Fields,
}

impl Table {
    pub(in crate::decode) fn new(format: &Format, keys: &mut Keys) -> Table {
        Table::below(format, format.native, format.rules, keys)
    }

    /// With other rules than the format's own, and another prefix before the record's names.
    pub(in crate::decode) fn below(
        format: &Format,
        native: &str,
        rules: &[(&str, &[(&'static str, To)])],
        keys: &mut Keys,
    ) -> Table {
        let own = |field: &str, keys: &mut Keys| native.is_empty().then(|| keys.declare(field));
        let mut slots: Vec<&str> = Vec::new();
        let needs = format.needs.iter().map(|all| {
            let needs = all.iter().map(|need| match need.split_once('=') {
                Some((key, value)) => (keys.declare(key), Some(value)),
                None => (keys.declare(need), None),
            });
            needs.collect()
        });
        let needs: Vec<Vec<_>> = needs.collect();
        let constants = format.constants.iter().map(|(field, text)| (FieldId::known(field), *text, own(field, keys))).collect();
        let mut compiled = Vec::new();
        let all = rules.iter().flat_map(|(prefix, rules)| rules.iter().map(move |(key, to)| (format!("{prefix}{key}"), *to)));
        for (key, to) in all {
            let field = to.field();
            let slot = slots.iter().position(|slot| *slot == field).unwrap_or_else(|| {
                slots.push(field);
                slots.len() - 1
            });
            assert!(slot < SLOTS_MAX, "{}: more than {SLOTS_MAX} fields", format.name);
            let key = keys.declare(&key);
            let own = own(field, keys).filter(|own| *own != key);
            compiled.push(Rule { key, to: to.compile(), slot: slot as u8, own });
        }
        Table {
            format: FormatId::known(format.name),
            source: LogSourceId::intern(format.source),
            needs,
            constants,
            rules: compiled,
            fields: Fields::new(native),
        }
    }

    /// Of each of the ways to be of this format the first key that a record has then.
    pub(in crate::decode) fn leads(&self) -> impl Iterator<Item = Key> {
        self.needs.iter().map(|all| all[0].0)
    }

    /// Whether the record is of this format.
    pub(in crate::decode) fn fits(&self, view: View<'_>) -> bool {
        let is = |(key, value): &(Key, Option<&str>)| match value {
            None => view.has(*key),
            Some(text) => view.get(*key).is_some_and(|v| v.as_text() == Some(text)),
        };
        self.needs.iter().any(|all| all.iter().all(is))
    }

    /// Marks the event as one of this format.
    pub(in crate::decode) fn mark(&self, row: &mut RowBuilder<'_>) {
        row.format(self.format);
        row.log_source(self.source);
    }

    /// Writes the event: what the rules say first, so that it is there also where the record has more than an event holds.
    pub(in crate::decode) fn write(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let view = record.view(text);
        self.mark(row);
        for (field, text, own) in &self.constants {
            if own.is_none_or(|own| !view.has(own)) {
                row.text(*field, text);
            }
        }
        self.write_rules(view, context, row);
        self.write_native(record, text, row);
    }

    /// Writes what the rules say.
    pub(in crate::decode) fn write_rules(&self, view: View<'_>, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let mut written = [0u64; SLOTS_MAX / 64];
        for rule in &self.rules {
            let (word, bit) = (usize::from(rule.slot) / 64, 1 << (rule.slot % 64));
            let taken = written[word] & bit != 0 && !matches!(rule.to, Compiled::Sum(_));
            if taken || !view.has(rule.key) || rule.own.is_some_and(|own| view.has(own)) {
                continue;
            }
            for value in view.all(rule.key) {
                if !matches!(value, Value::Null | Value::Text("" | "-")) && rule.to.write(value, context, row) {
                    written[word] |= bit;
                }
            }
        }
    }

    /// Writes the record's own names.
    pub(in crate::decode) fn write_native(&mut self, record: &Record, text: &str, row: &mut RowBuilder<'_>) {
        for (key, value) in record.view(text).iter() {
            self.fields.write(&record.keys, key, value, row);
        }
        if record.too_deep() {
            row.text(FieldId::FLAGS, "nesting_refused");
        }
        if record.too_many() {
            row.text(FieldId::FLAGS, "fields_refused");
        }
    }
}

impl To {
    /// The field that it writes, the first of several.
    pub(in crate::decode) fn field(self) -> &'static str {
        match self {
            To::As(field)
            | To::Lower(field)
            | To::Number(field)
            | To::Address(field, _)
            | To::Host(field)
            | To::Instant(field)
            | To::Duration(field, _)
            | To::Sum(field)
            | To::Is(field, _)
            | To::Case(field, _)
            | To::Account(field)
            | To::Path(field)
            | To::LastPart(field)
            | To::Hash(field)
            | To::Without(field, _)
            | To::Mail(field)
            | To::Rootless(field)
            | To::Part(field, ..) => field,
            To::Time => "@timestamp",
            To::Url => "url.original",
            To::RequestLine => "http.request.method",
            To::Protocol => "network.transport",
        }
    }

    fn compile(self) -> Compiled {
        let field = FieldId::known;
        let below = |base: &str, name: &str| FieldId::intern(&format!("{base}{name}")).unwrap_or(FieldId::MESSAGE);
        match self {
            To::As(f) => Compiled::As(field(f)),
            To::Lower(f) => Compiled::Lower(field(f)),
            To::Number(f) => Compiled::Number(field(f)),
            To::Address(ip, name) => Compiled::Address(field(ip), field(name)),
            To::Host(base) => Compiled::Host(below(base, ".ip"), below(base, ".domain"), below(base, ".port")),
            To::Time => Compiled::Time,
            To::Instant(f) => Compiled::Instant(field(f)),
            To::Duration(f, unit) => Compiled::Duration(field(f), unit),
            To::Sum(f) => Compiled::Sum(field(f)),
            To::Url => Compiled::Url,
            To::RequestLine => Compiled::RequestLine,
            To::Is(f, text) => Compiled::Is(field(f), text),
            To::Case(f, cases) => Compiled::Case(field(f), cases),
            To::Account(base) => Compiled::Account(below(base, ".name"), below(base, ".domain")),
            To::Path(base) => Compiled::Path(below(base, ".path"), below(base, ".name")),
            To::LastPart(f) => Compiled::LastPart(field(f)),
            To::Hash(base) => Compiled::Hash([".md5", ".sha1", ".sha256"].map(|name| below(base, name))),
            To::Without(f, prefix) => Compiled::Without(field(f), prefix),
            To::Rootless(f) => Compiled::Rootless(field(f)),
            To::Part(f, separator, nth) => Compiled::Part(field(f), separator, nth),
            To::Protocol => Compiled::Protocol,
            To::Mail(f) => Compiled::Mail(field(f)),
        }
    }
}

impl Compiled {
    /// Writes `value`; whether anything was written.
    fn write(&self, value: Value<'_>, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        match (self, value) {
            (Compiled::As(field), value) => row.value(*field, value),
            (Compiled::Lower(field), Value::Text(text)) => lower(row, *field, text),
            (Compiled::Number(field), Value::Text(text)) => return number(row, *field, text),
            (Compiled::Number(field), Value::Float(n)) if n.fract() == 0.0 && n.abs() < 9e15 => row.int(*field, n as i64),
            (Compiled::Number(field), value) => row.value(*field, value),
            (Compiled::Address(ip, name), Value::Text(text)) => address(row, *ip, *name, text),
            (Compiled::Host(ip, name, port), Value::Text(text)) => host_and_port_of(row, *ip, *name, *port, text),
            (Compiled::Time, value) => return time(value, context).map(|time| row.time(time)).is_some(),
            (Compiled::Instant(field), value) => {
                return time(value, context).map(|time| row.time_cell(*field, time)).is_some();
            }
            (Compiled::Duration(field, unit), value) => {
                let n = match value {
                    Value::Int(n) => n as f64,
                    Value::Float(n) => n,
                    Value::Text(text) => match text.parse() {
                        Ok(n) => n,
                        Err(_) => return false,
                    },
                    _ => return false,
                };
                row.int(*field, (n * unit).round() as i64);
            }
            (Compiled::Sum(field), value) => {
                let n = match value {
                    Value::Int(n) => n,
                    Value::Text(text) => text.parse().unwrap_or(0),
                    _ => 0,
                };
                let sum = row.get(*field).and_then(|v| v.as_int()).unwrap_or(0).saturating_add(n);
                row.remove(*field);
                row.int(*field, sum);
            }
            (Compiled::Url, Value::Text(text)) => url(row, text),
            (Compiled::RequestLine, Value::Text(text)) if !row.has(FieldId::URL_ORIGINAL) => request_line(text, row),
            (Compiled::RequestLine, Value::Text(text)) => match text.split_once(' ') {
                Some((method, _)) => row.text(FieldId::HTTP_REQUEST_METHOD, method),
                None => return false,
            },
            (Compiled::Mail(field), Value::Text(text)) => {
                let text = text.trim();
                let bare = text.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>'));
                row.text(*field, bare.unwrap_or(text));
            }
            (Compiled::Protocol, Value::Text(text)) => protocol(row, text),
            (Compiled::Protocol, Value::Int(n)) if (0..256).contains(&n) => {
                row.int(FieldId::NETWORK_IANA_NUMBER, n);
                if let Some(name) = transport(n as u64) {
                    row.text(FieldId::NETWORK_TRANSPORT, name);
                }
            }
            (Compiled::Is(field, text), _) => row.text(*field, text),
            (Compiled::Case(field, cases), value) => {
                let is = |case: &str| match value {
                    Value::Text(text) => text.eq_ignore_ascii_case(case),
                    Value::Bool(b) => case == if b { "true" } else { "false" },
                    Value::Int(n) => case.parse() == Ok(n),
                    _ => false,
                };
                match cases.iter().find(|(case, _)| is(case)) {
                    Some((_, text)) => row.text(*field, text),
                    None => return false,
                }
            }
            (Compiled::Account(name, domain), Value::Text(text)) => account(row, *name, *domain, text),
            (Compiled::Path(path, name), Value::Text(text)) => {
                row.text(*path, text);
                let file = text.rsplit(['/', '\\']).next().unwrap_or("");
                if !file.is_empty() {
                    row.text(*name, file);
                }
            }
            (Compiled::LastPart(field), Value::Text(text)) => {
                let last = text.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(text);
                row.text(*field, last);
            }
            (Compiled::Hash(fields), Value::Text(text)) => return hashes(row, fields, text),
            (Compiled::Without(field, prefix), Value::Text(text)) => row.text(*field, text.strip_prefix(prefix).unwrap_or(text)),
            (Compiled::Rootless(field), Value::Text(text)) => {
                let bare = text.strip_suffix('.').filter(|bare| !bare.is_empty());
                row.text(*field, bare.unwrap_or(text));
            }
            (Compiled::Part(field, separator, nth), Value::Text(text)) => {
                match text.rsplit(*separator).nth(*nth).and_then(|part| part.trim().parse().ok()) {
                    Some(ip) => row.ip(*field, ip),
                    None => return false,
                }
            }
            _ => return false,
        }
        true
    }
}

/// Adds a text in lower case; not copied where it is so already.
pub(in crate::decode) fn lower(row: &mut RowBuilder<'_>, field: FieldId, text: &str) {
    if !text.bytes().any(|b| b.is_ascii_uppercase()) {
        return row.text(field, text);
    }
    // Names of protocols and the like are short: only what is no name at all costs memory of its own.
    let mut small = [0; 128];
    match small.get_mut(..text.len()) {
        Some(lower) => {
            lower.copy_from_slice(text.as_bytes());
            lower.make_ascii_lowercase();
            row.text(field, std::str::from_utf8(lower).unwrap_or(text));
        }
        None => row.text(field, &text.to_ascii_lowercase()),
    }
}

fn number(row: &mut RowBuilder<'_>, field: FieldId, text: &str) -> bool {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).map(|n| row.uint(field, n)).is_ok();
    }
    if let Ok(n) = text.parse::<u64>() {
        row.uint(field, n);
        return true;
    }
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() && n.fract() == 0.0 && n.abs() < 9e15 => row.int(field, n as i64),
        Ok(n) if n.is_finite() => row.float(field, n),
        _ => return false,
    }
    true
}

/// Hashes by their length, where the row has none of the kind yet; whether there were any.
fn hashes(row: &mut RowBuilder<'_>, [md5, sha1, sha256]: &[FieldId; 3], text: &str) -> bool {
    let mut found = false;
    for part in text.split([',', ' ', ';', '=', ':']).filter(|part| part.bytes().all(|b| b.is_ascii_hexdigit())) {
        let field = match part.len() {
            32 => *md5,
            40 => *sha1,
            64 => *sha256,
            _ => continue,
        };
        if !row.has(field) {
            row.text(field, part);
            found = true;
        }
    }
    found
}

/// `DOMAIN\user`, or the name alone.
pub(in crate::decode) fn account(row: &mut RowBuilder<'_>, name: FieldId, domain: FieldId, text: &str) {
    match text.split_once('\\') {
        Some((left, right)) if !right.is_empty() => {
            row.text(name, right.trim_start_matches('\\'));
            if !left.is_empty() {
                row.text(domain, left);
            }
        }
        _ => {
            // `NAME@192.0.2.7`: where he is belongs to no name.
            let of = text.split_once('@').filter(|(name, place)| !name.is_empty() && place.parse::<IpAddr>().is_ok());
            row.text(name, of.map_or(text, |(name, _)| name));
        }
    }
}

/// An instant: text with a date, or a number since 1970 whose size tells its unit.
pub(in crate::decode) fn time(value: Value<'_>, context: &Context<'_>) -> Option<Time> {
    match value {
        Value::Int(n) => epoch(n as f64, n),
        Value::Float(n) => epoch(n, n as i64),
        Value::Text(text) => {
            let text = text.trim();
            let is_compact = |text: &str| text.split('.').next().is_some_and(|whole| whole.len() == 14);
            if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !is_compact(text) {
                return epoch(text.parse().ok()?, text.parse().unwrap_or(0));
            }
            let (stamp, _) = stamp::any(text)?;
            stamp.resolve(context.zone, context.reference)
        }
        _ => None,
    }
}

/// From 1990 to 2100 in each unit: the ranges do not meet.
fn epoch(n: f64, whole: i64) -> Option<Time> {
    const FROM: f64 = 631_152_000.0;
    const TO: f64 = 4_102_444_800.0;
    let within = |unit: f64| (FROM * unit..TO * unit).contains(&n);
    if within(1.0) {
        // Microseconds are what a double holds beside ten digits of seconds.
        return Some(Time::from_unix_ns((n * 1e6).round() as i64 * 1000));
    }
    // A trace whose clock begins at zero: seconds, which alone are written with a fraction.
    if (0.0..FROM).contains(&n) && n.fract() != 0.0 {
        return Some(Time::from_unix_ns((n * 1e6).round() as i64 * 1000));
    }
    [(1e3, 1_000_000), (1e6, 1000), (1e9, 1)]
        .into_iter()
        .find(|(unit, _)| within(*unit))
        .map(|(_, ns)| Time::from_unix_ns(whole.saturating_mul(ns)))
}
