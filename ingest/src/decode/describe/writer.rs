//! Writes what a template captured: conversions, keys of pairs and JSON, what values mean.

use event::{FieldId, RowBuilder, Value};
use hashbrown::HashMap;

use super::plan::{Ask, Constant, Key, LinePlan, Meaning, Plan, Sets};
use super::target::{Convert, Target, TimeForm};
use super::template::{FirstTime, Hit};
use crate::decode::cut::{at_first, trimmed};
use crate::decode::format::{self, Object, ReadObject, Usual, protocol, url};
use crate::decode::names::Names;
use crate::decode::pairs::{self, Style};
use crate::decode::record::json::Outcome;
use crate::decode::record::{self, ByPath, Fields, Record};
use crate::decode::text::Context;
use crate::decode::{ip, json, stamp};

/// How CEF and its like write pairs.
const CEF: Style = Style { separator: None, equals: '=', spaced: true };
/// Templates within the values of templates at most.
const DEPTH_MAX: usize = 4;

/// Buffers that live from record to record.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    inner: Vec<Vec<Hit>>,
    depth: usize,
    text: String,
    json: Option<Box<Json>>,
    lower: String,
    plain: String,
    /// A date, a time of day and an offset that stand apart.
    date: String,
    clock: String,
    zone: String,
}

/// An object's values, or pairs whose keys the description lacks; the fields of its native names, and what the names usually mean.
pub(super) struct Json {
    record: Record,
    /// What becomes of the paths of `record`, and of those of objects that were read before a description was asked.
    own: Paths,
    read: Paths,
    usual: Option<Usual>,
    /// Keys that the description says something of, one for each scalar.
    told: Vec<record::Key>,
    /// Where in the message the object stands. None: the record is of pairs, or of nothing yet.
    object: Option<std::ops::Range<usize>>,
    /// Whether the object was read before.
    was_read: bool,
}

/// What becomes of the paths of one table of keys.
struct Paths {
    fields: Fields,
    /// The number of a path's key in the plan.
    numbers: ByPath<Option<u16>>,
}

impl Paths {
    fn new(native: &str) -> Paths {
        Paths { fields: Fields::new(native), numbers: ByPath::default() }
    }
}

impl Json {
    fn new(native: &str, names_fields: bool) -> Json {
        let mut record = Record::new();
        let usual = names_fields.then(|| Usual::new(&mut record.keys));
        let (own, read) = (Paths::new(native), Paths::new(native));
        Json { record, own, read, usual, told: Vec::new(), object: None, was_read: false }
    }
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Json").finish_non_exhaustive()
    }
}

impl Scratch {
    /// Buffers for a description whose native names have `native` before them, and whose records name their fields or not.
    pub(super) fn new(native: &str, names_fields: bool) -> Scratch {
        Scratch { json: Some(Box::new(Json::new(native, names_fields))), ..Scratch::default() }
    }
}

pub(super) struct Writer<'w, 'c, 'r> {
    pub(super) plan: &'w Plan,
    pub(super) names: &'w mut Names,
    pub(super) scratch: &'w mut Scratch,
    /// The record, where it was read as an object.
    pub(super) read: Option<ReadObject<'w>>,
    pub(super) context: &'w Context<'c>,
    pub(super) row: &'w mut RowBuilder<'r>,
}

/// Whether the keys that the line asks for are there; `object` is what the record was read as, and those keys among its own.
pub(super) fn accepts(line: &LinePlan, text: &str, hits: &[Hit], object: Option<(&mut Object<'_>, &[record::Key])>) -> bool {
    if line.asks.is_empty() {
        return true;
    }
    let body = hits.iter().find_map(|hit| {
        let target = line.template.captures[usize::from(hit.capture)].first()?;
        let text = &text[hit.start as usize..hit.end as usize];
        target.convert.is_body().then_some((text, &target.convert))
    });
    let Some((text, convert)) = body else { return false };
    match convert {
        Convert::Json => {
            let mut object = object.filter(|(object, _)| object.read.is(text));
            line.asks.iter().enumerate().all(|(nth, ask)| {
                let known = object.as_ref().and_then(|(object, keys)| Some((object, *keys.get(nth)?)));
                let has = known.and_then(|(object, key)| object.has(key));
                if let Some(has) = has.filter(|has| !has || ask.values.is_none()) {
                    return has;
                }
                if let Some(value) = known.filter(|_| has.is_some()).and_then(|(object, key)| object.text(key)) {
                    return ask.wants(value);
                }
                let found = match &mut object {
                    Some((object, _)) => object.find(text, &ask.key),
                    None => json::find(text, &ask.key),
                };
                found.is_some_and(|found| ask.wants(unquoted(found)))
            })
        }
        Convert::Csv(separator) => line.asks.iter().all(|ask| {
            let mut rest = Some(text);
            let found = line.columns.iter().find_map(|column| {
                let (value, after) = csv_value(rest?, *separator);
                rest = after;
                (**column == *ask.key).then_some(value)
            });
            found.is_some_and(|found| ask.wants(found))
        }),
        Convert::Pairs(style) => are_told(&line.asks, text, *style),
        _ => are_told(&line.asks, text, CEF),
    }
}

/// Whether the pairs of `text` have every key that is asked for: the first pair of a key counts.
fn are_told(asks: &[Ask], text: &str, style: Style) -> bool {
    if asks.iter().any(|ask| ask.anywhere.find(text.as_bytes()).is_none()) {
        return false;
    }
    // A bit for each that was found: all are looked for in one reading.
    let (mut found, mut refused) = (0u64, false);
    let all = u64::MAX >> (64 - asks.len());
    let done = pairs::any(text, style, |pair| {
        for (nth, ask) in asks.iter().enumerate() {
            if found & 1 << nth == 0 && *ask.key == *pair.key {
                found |= 1 << nth;
                refused |= !ask.wants(pair.value);
            }
        }
        refused || found == all
    });
    done && !refused
}

/// A JSON value as written, without the quotes around it.
fn unquoted(value: &str) -> &str {
    match value.as_bytes() {
        [b'"', first, .., last, b'"'] if *first != b'"' && *last != b'"' => &value[1..value.len() - 1],
        _ => value.trim_matches('"'),
    }
}

impl Writer<'_, '_, '_> {
    /// Writes what `line` captured of `text`. False where a body is not what it should be: the row may hold part of it then.
    pub(super) fn line(&mut self, line: &LinePlan, text: &str, hits: &[Hit]) -> bool {
        self.scratch.date.clear();
        self.scratch.clock.clear();
        self.scratch.zone.clear();
        if let Some(json) = &mut self.scratch.json {
            json.record.begin();
            json.told.clear();
            json.object = None;
            json.was_read = false;
        }
        let good = self.captures(line, text, hits);
        if !self.scratch.clock.is_empty() {
            let Scratch { date, clock, zone, .. } = &*self.scratch;
            self.context.set_time(self.row, stamp::assemble(date, clock, zone));
        }
        good
    }

    fn captures(&mut self, line: &LinePlan, text: &str, hits: &[Hit]) -> bool {
        for hit in hits {
            let part = &text[hit.start as usize..hit.end as usize];
            for target in &line.template.captures[usize::from(hit.capture)] {
                match &target.convert {
                    Convert::Json => {
                        if !self.json(part) {
                            return false;
                        }
                    }
                    Convert::Pairs(style) => pairs::styled(part, *style, |pair| self.pair(pair.key, pair.value)),
                    Convert::Cef => pairs::styled(part, CEF, |pair| {
                        if pair.value.contains('\\') {
                            let mut plain = std::mem::take(&mut self.scratch.plain);
                            unescape(pair.value, &mut plain);
                            self.pair(pair.key, &plain);
                            self.scratch.plain = plain;
                        } else {
                            self.pair(pair.key, pair.value);
                        }
                    }),
                    Convert::Csv(separator) => self.csv(part, *separator, &line.columns),
                    _ => self.write(target, part),
                }
            }
        }
        true
    }

    /// Writes what a key's value says: its native field, and where the description sends it.
    fn pair(&mut self, key: &str, value: &str) {
        let plan = self.plan;
        match plan.number(key).map(|number| plan.key(number)) {
            Some(Key { native, targets }) => {
                self.row.text(*native, value);
                for target in targets {
                    self.write(target, value);
                }
            }
            None => {
                if let Some(field) = self.names.field(key) {
                    self.row.text(field, value);
                }
                if let Some(Json { record, usual: Some(_), object: None, .. }) = self.scratch.json.as_deref_mut() {
                    let key = record.keys.child(record::Key::ROOT, key);
                    record.text(self.context.header.message, key, value);
                }
            }
        }
    }

    fn csv(&mut self, text: &str, separator: char, columns: &[Box<str>]) {
        let mut rest = Some(text);
        for column in columns {
            let Some(now) = rest else { return };
            let (value, after) = csv_value(now, separator);
            rest = after;
            if &**column == "_" || value.is_empty() {
                continue;
            }
            if value.contains("\"\"") {
                let mut plain = std::mem::take(&mut self.scratch.plain);
                plain.clear();
                for (at, piece) in value.split("\"\"").enumerate() {
                    plain.push_str(if at > 0 { "\"" } else { "" });
                    plain.push_str(piece);
                }
                self.pair(column, &plain);
                self.scratch.plain = plain;
            } else {
                self.pair(column, value);
            }
        }
    }

    /// Writes an object: every key under its native name, and to where the description sends it. False where it is no whole object.
    fn json(&mut self, text: &str) -> bool {
        let plan = self.plan;
        let text = text.trim();
        // An object within a value of this one is not looked into.
        let Some(mut json) = self.scratch.json.take() else { return false };
        let Json { record: own_record, own, read, told, object, was_read, .. } = &mut *json;
        let known = self.read.filter(|known| known.is(text));
        *was_read = known.is_some();
        let whole = *was_read || record::json::read(text, own_record) == Outcome::Whole;
        let (record, Paths { fields, numbers }) = match known {
            Some(known) => (known.record, read),
            None => (&*own_record, own),
        };
        if whole {
            let start = (text.as_ptr() as usize).wrapping_sub(self.context.header.message.as_ptr() as usize);
            *object = (start < self.context.header.message.len()).then(|| start..start + text.len());
            told.clear();
            for (key, value) in record.view(text).iter() {
                fields.write(&record.keys, key, value, self.row);
            }
            let view = record.view(text);
            for (key, scalar) in view.scalars() {
                let number = numbers.of(&record.keys, key, || plan.number(record.keys.name(key)));
                let Some(number) = number else { continue };
                told.push(key);
                for target in &plan.key(number).targets {
                    self.json_value(target, view.value(scalar));
                }
            }
        }
        let odd = [(record.too_deep(), "nesting_refused"), (record.too_many(), "fields_refused")];
        for (_, flag) in odd.iter().filter(|(is_so, _)| whole && *is_so) {
            self.row.text(FieldId::FLAGS, flag);
        }
        if !whole || object.is_none() {
            own_record.begin(); // What it says cannot be looked at again.
            told.clear();
            *was_read = false;
        }
        self.scratch.json = Some(json);
        whole
    }

    /// Writes what is said of every record of the format.
    pub(super) fn finish(&mut self) {
        let plan = self.plan;
        self.row.format(plan.format);
        self.set(&plan.set);
        if !self.row.has(FieldId::MESSAGE) {
            self.row.text(FieldId::MESSAGE, self.context.header.message);
        }
    }

    /// Writes what keys that the description lacks usually mean; `of_read` knows that of an object that was read before.
    pub(super) fn usual(&mut self, sets_time: bool, of_read: Option<&mut Usual>) {
        let Some(Json { record, usual: Some(usual), told, object, was_read, .. }) = self.scratch.json.as_deref_mut() else {
            return;
        };
        let (record, usual) = match self.read.zip(of_read).filter(|_| *was_read) {
            Some((read, usual)) => (read.record, usual),
            None => (&*record, usual),
        };
        if record.is_empty() {
            return;
        }
        let message = self.context.header.message;
        let text = object.clone().map_or(message, |object| &message[object]);
        usual.write(&record.keys, record.view(text), self.context, told, sets_time, self.row);
    }

    fn json_value(&mut self, target: &Target, value: Value<'_>) {
        if matches!(value, Value::Null | Value::Text("" | "-")) {
            return;
        }
        let same = match target.convert {
            Convert::Text => true,
            Convert::Int | Convert::Float | Convert::Bool => !matches!(value, Value::Text(_)),
            _ => false,
        };
        if same && target.values.is_none() && !matches!(value, Value::Text(_)) {
            if target.replaces {
                self.row.remove(target.field);
            }
            if !target.if_absent || !self.row.has(target.field) {
                self.row.value(target.field, value);
            }
            return;
        }
        match value {
            Value::Text(text) => self.write(target, text),
            other => {
                use std::fmt::Write;
                let mut text = std::mem::take(&mut self.scratch.text);
                text.clear();
                write!(text, "{other}").expect("writing to a String does not fail");
                self.write(target, &text);
                self.scratch.text = text;
            }
        }
    }

    /// Writes `text` to where `target` says, in place of what the header said.
    fn write(&mut self, target: &Target, text: &str) {
        if target.replaces && !matches!(trimmed(text), "" | "-") {
            self.row.remove(target.field);
        }
        self.convert_meant(target, text);
    }

    /// Writes what `text` means by `values`, or else says.
    fn convert_meant(&mut self, target: &Target, text: &str) {
        let text = match target.values {
            Some(table) => self.meant(&self.plan.values[usize::from(table)], target, trimmed(text)),
            None => trimmed(text),
        };
        if text.is_empty() || text == "-" || (target.if_absent && self.row.has(target.field)) {
            return;
        }
        match target.convert {
            Convert::Text => add_text(self.row, target.field, text), // As most are.
            _ => self.convert(target, text),
        }
    }

    /// What `text` means by `table`, whose cells are written; else what it says.
    fn meant<'t>(&mut self, table: &'t HashMap<Box<str>, Meaning>, target: &Target, text: &'t str) -> &'t str {
        let lower = &mut self.scratch.lower;
        lower.clear();
        // What is quoted means what stands between the quotes.
        let plain = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).filter(|_| target.convert == Convert::Plain);
        let plain = plain.unwrap_or(text);
        if plain.is_ascii() {
            lower.push_str(plain);
            lower.make_ascii_lowercase();
        } else {
            lower.extend(plain.chars().flat_map(char::to_lowercase));
        }
        let meaning = table.get(lower.as_str()).or_else(|| table.get("*").filter(|_| !text.is_empty()));
        if let Some(meaning) = meaning {
            self.set(&meaning.set);
        }
        meaning.and_then(|meaning| meaning.write.as_deref()).unwrap_or(text)
    }

    #[inline(never)]
    fn convert(&mut self, target: &Target, text: &str) {
        let (row, field) = (&mut *self.row, target.field);
        match target.convert {
            Convert::Text => add_text(row, field, text),
            Convert::Says => {
                add_text(row, field, text);
                format::guess(text, row);
            }
            Convert::Lower | Convert::Upper => {
                let scratch = &mut self.scratch.lower;
                scratch.clear();
                scratch.push_str(text);
                if target.convert == Convert::Lower {
                    scratch.make_ascii_lowercase();
                } else {
                    scratch.make_ascii_uppercase();
                }
                // Where nothing changed the raw text serves.
                add_text(row, field, if scratch == text { text } else { scratch });
            }
            Convert::Plain => {
                let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
                if inner.contains('\\') {
                    unescape(inner, &mut self.scratch.lower);
                    row.text(field, &self.scratch.lower);
                } else if !inner.is_empty() && inner != "-" {
                    row.text(field, inner);
                }
            }
            Convert::Domain if text.starts_with('(') => {
                let plain = &mut self.scratch.lower;
                let text = if counted_labels(text, plain) { plain } else { text };
                add_text(row, field, text);
            }
            Convert::Domain => add_text(row, field, text.trim_end_matches('.')),
            Convert::Audit => {
                let plain = &mut self.scratch.lower;
                let text = if audit_text(text, plain) { plain } else { text };
                add_text(row, field, text);
            }
            Convert::Email => {
                let bare = text.trim_matches(['<', '>']);
                if bare.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !bare.contains(' ')) {
                    row.text(field, bare);
                }
            }
            Convert::Int => {
                if let Ok(n) = text.parse::<i64>() {
                    row.int(field, n);
                } else if let Ok(n) = text.parse::<u64>() {
                    row.uint(field, n);
                }
            }
            Convert::Hex => {
                let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
                if let Ok(n) = u64::from_str_radix(digits, 16) {
                    row.uint(field, n);
                }
            }
            Convert::Float => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(n), _) => row.int(field, n),
                (_, Ok(n)) if n.is_finite() => row.float(field, n),
                _ => {}
            },
            Convert::Bool => match text {
                "true" | "True" | "TRUE" | "yes" | "Yes" | "1" => row.bool(field, true),
                "false" | "False" | "FALSE" | "no" | "No" | "0" => row.bool(field, false),
                _ => {}
            },
            Convert::Ip => {
                let bare = ip::bare(text);
                let without_zone = || bare.split_once('%').and_then(|(bare, _)| ip::parse(bare));
                if let Some(ip) = ip::parse(bare).or_else(without_zone) {
                    row.ip(field, ip.to_canonical());
                }
            }
            Convert::Address(name) => address(row, field, name, text),
            Convert::Endpoint(name, port) => endpoint(row, field, name, port, text),
            Convert::Account(domain) => match text.split_once('\\') {
                Some((before, name)) => {
                    row.text(domain, before);
                    row.text(field, name.trim_start_matches('\\'));
                }
                None => row.text(field, text),
            },
            Convert::EventTime(form) | Convert::Time(form) => self.time(target, form, text),
            Convert::Span(unit) => {
                if let Ok(n) = text.parse::<f64>()
                    && n >= 0.0
                {
                    row.int(field, (n * unit as f64).round() as i64);
                }
            }
            Convert::Url => {
                url(row, text);
                if !matches!(field, FieldId::MESSAGE | FieldId::URL_ORIGINAL) {
                    row.text(field, text);
                }
            }
            Convert::Protocol => protocol(row, text),
            Convert::List(separator) => {
                for part in text.split(separator).map(str::trim).filter(|part| !part.is_empty()) {
                    row.text(field, part);
                }
            }
            Convert::Parts(number) => {
                self.parts(number, text);
                if &*target.name != "_" && !self.row.has(field) {
                    self.row.text(field, text);
                }
            }
            Convert::Pairs(style) => pairs::styled(text, style, |pair| self.pair(pair.key, pair.value)),
            Convert::Json => {
                self.json(text);
            }
            Convert::Nothing | Convert::Cef | Convert::Csv(_) => {}
        }
    }

    fn time(&mut self, target: &Target, form: TimeForm, text: &str) {
        let Context { zone, reference, .. } = *self.context;
        let stamp = match form {
            TimeForm::Date | TimeForm::Clock | TimeForm::Zone => {
                let place = match form {
                    TimeForm::Date => &mut self.scratch.date,
                    TimeForm::Clock => &mut self.scratch.clock,
                    _ => &mut self.scratch.zone,
                };
                place.clear();
                place.push_str(text);
                return;
            }
            TimeForm::Epoch => None,
            TimeForm::Any => match self.context.first_time.stamp(text) {
                Some(stamp) => Some((stamp, "")),
                None => stamp::any(text),
            },
            TimeForm::MonthFirst => stamp::numeric(text, true),
            TimeForm::DayFirst => stamp::numeric(text, false),
        };
        let time = match form {
            TimeForm::Epoch => stamp::epoch(text),
            _ => stamp.and_then(|(stamp, _)| stamp.resolve(zone, reference)),
        };
        let is_event = matches!(target.convert, Convert::EventTime(_));
        match time {
            // Until something is told, the time is that of the receipt.
            Some(_) if is_event && target.if_absent && self.row.time_now() != self.row.received() => {}
            Some(time) if is_event => self.row.time(time),
            Some(time) => self.row.time_cell(target.field, time),
            None => {}
        }
    }

    /// Writes what the first of the named templates that fits says of `text`; nothing where none fits.
    fn parts(&mut self, number: u16, text: &str) {
        let plan = self.plan;
        if self.scratch.depth >= DEPTH_MAX {
            return;
        }
        self.scratch.depth += 1;
        let mut hits = self.scratch.inner.pop().unwrap_or_default();
        let fitting = plan.parts[usize::from(number)]
            .iter()
            .find(|line| line.template.matches(text, &FirstTime::default(), &mut hits) && accepts(line, text, &hits, None));
        if let Some(line) = fitting {
            self.captures(line, text, &hits);
            self.set(&line.set);
        }
        self.scratch.inner.push(hits);
        self.scratch.depth -= 1;
    }

    /// Writes constants where the fields hold nothing yet.
    pub(super) fn set(&mut self, sets: &Sets) {
        for (field, values) in sets {
            if self.row.has(*field) {
                continue;
            }
            for value in values {
                match value {
                    Constant::Text(text) => self.row.text(*field, text),
                    Constant::Int(n) => self.row.int(*field, *n),
                    Constant::Float(n) => self.row.float(*field, *n),
                    Constant::Bool(b) => self.row.bool(*field, *b),
                }
            }
        }
    }
}

/// Adds text, but not once more what the field says already: many records say a thing twice.
fn add_text(row: &mut RowBuilder<'_>, field: FieldId, text: &str) {
    if !text.is_empty() && !row.says(field, text) {
        row.text(field, text);
    }
}

/// The name of `(3)www(4)city(7)example(0)`, as Microsoft's DNS server writes it; whether the text has that form.
fn counted_labels(text: &str, plain: &mut String) -> bool {
    plain.clear();
    let mut rest = text;
    while let Some((count, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        let Some(label) = count.parse().ok().and_then(|count: usize| after.get(..count)) else { return false };
        if !plain.is_empty() && !label.is_empty() {
            plain.push('.');
        }
        plain.push_str(label);
        rest = &after[label.len()..];
    }
    rest.is_empty()
}

/// An address or a name; an IPv4 address that stands mapped into IPv6's (RFC 4291 section 2.5.5.2) as it is.
fn address(row: &mut RowBuilder<'_>, ip: FieldId, name: FieldId, text: &str) {
    let bare = ip::bare(text);
    let plain = bare.get(..7).filter(|lead| lead.eq_ignore_ascii_case("::ffff:")).map(|lead| &bare[lead.len()..]);
    let plain = plain.filter(|plain| plain.parse::<std::net::Ipv4Addr>().is_ok());
    format::address(row, ip, name, plain.unwrap_or(text));
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`, `10.0.0.1#53`, `10.0.0.1.80`, `10.0.0.1/80`, `name:80`, or no port.
fn endpoint(row: &mut RowBuilder<'_>, ip: FieldId, name: FieldId, port: FieldId, text: &str) {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let before = &text[..text.len() - digits];
    if digits > 0
        && digits <= 5
        && let Some(host) = before.strip_suffix([':', '#', '/', '.', ',']).or(before.strip_suffix("->"))
        && (!ip::is(text) || before.ends_with(['#', '/']))
        && (!before.ends_with('.') || ip::is(ip::bare(host)))
        && let Ok(number) = text[before.len()..].parse::<u16>()
    {
        address(row, ip, name, host);
        row.int(port, i64::from(number));
    } else {
        address(row, ip, name, text);
    }
}

/// The first value of `text` and what follows the separator: bare, or in quotes that are doubled within.
fn csv_value(text: &str, separator: char) -> (&str, Option<&str>) {
    if let Some(quoted) = text.trim_start_matches(' ').strip_prefix('"') {
        let bytes = quoted.as_bytes();
        let mut at = 0;
        while let Some(found) = memchr::memchr(b'"', &bytes[at..]) {
            let place = at + found;
            if bytes.get(place + 1) == Some(&b'"') {
                at = place + 2;
                continue;
            }
            let after = &quoted[place + 1..];
            return (&quoted[..place], at_first(after, separator).map(|(_, rest)| rest));
        }
    }
    at_first(text, separator).map_or((text, None), |(value, rest)| (value, Some(rest)))
}

/// Reads what auditd wrote in hexadecimal: it does so only where the text has a blank, a quote or an unprintable byte.
fn audit_text(text: &str, plain: &mut String) -> bool {
    let digits = text.len() >= 2 && text.len().is_multiple_of(2) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    if !digits {
        return false;
    }
    plain.clear();
    let mut needed = false;
    for pair in text.as_bytes().chunks(2) {
        let value = |digit: u8| if digit <= b'9' { digit - b'0' } else { digit - b'A' + 10 };
        let byte = value(pair[0]) << 4 | value(pair[1]);
        needed |= !(0x21..0x7f).contains(&byte) || byte == b'"';
        plain.push(if byte == 0 { ' ' } else { char::from(byte) });
    }
    if !plain.is_ascii() {
        let bytes: Vec<u8> = plain.chars().map(|c| c as u8).collect();
        match String::from_utf8(bytes) {
            Ok(text) => *plain = text,
            Err(_) => return false,
        }
    }
    needed
}

/// Takes the backslashes away that escape.
fn unescape(text: &str, out: &mut String) {
    out.clear();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(c @ ('\\' | '"' | '=' | '|' | '\'' | ']' | '/')) => out.push(c),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
}
