//! JSON records: read once, then asked for the names that tell its format.
//!
//! Formats whose meaning is a table stand in [`tables`]; those that need more are asked first. A record that nobody knows keeps its
//! names as they are: many senders write ECS names, and Sigma rules name the fields of many others.

use event::{FieldId, RowBuilder};

use super::generic::Plain;
use super::suricata::Eve;
use super::tables;
use super::usual::Usual;
use super::windows::{Carried, Events};
use super::zeek::Logs;
use crate::decode::colours;
use crate::decode::cut::find;
use crate::decode::json::Entries;
use crate::decode::record::json::{self, Outcome};
use crate::decode::record::table::{self, Table};
use crate::decode::record::{Fields, Key, Keys, Record, View};
use crate::decode::text::Context;

/// A record that was read as an object.
#[derive(Clone, Copy)]
pub(in crate::decode) struct ReadObject<'o> {
    pub(in crate::decode) record: &'o Record,
    pub(in crate::decode) text: &'o str,
}

impl ReadObject<'_> {
    /// Whether the object is `text`: that very place.
    pub(in crate::decode) fn is(&self, text: &str) -> bool {
        std::ptr::eq(self.text, text)
    }
}

/// The same for who is asked about it: a description of such objects need not read it again.
pub(in crate::decode) struct Object<'o> {
    pub(in crate::decode) read: ReadObject<'o>,
    /// What its names usually mean.
    pub(in crate::decode) usual: &'o mut Usual,
    entries: &'o mut Entries,
}

impl Object<'_> {
    /// Whether the object has `key`, one of its paths, as [`Object::find`] would say. None where only its text tells: what lies below a key
    /// may lie within a list, or behind a dot in the key itself.
    pub(in crate::decode) fn has(&self, key: Key) -> Option<bool> {
        let record = self.read.record;
        let (view, name) = (record.view(self.read.text), record.keys.name(key));
        if view.has(key) {
            return (!name.contains('.') || find(self.read.text, '[').is_none()).then_some(true);
        }
        let is_below = |path: &str| path.as_bytes().get(name.len()) == Some(&b'.') && path.starts_with(name);
        let is_all = !record.too_many() && !record.too_deep();
        (is_all && !view.keys().any(|path| is_below(record.keys.name(path)))).then_some(false)
    }

    /// The first value of `key`, which the object has, where it is a text, none of a list's, and stands there as it is.
    pub(in crate::decode) fn text(&self, key: Key) -> Option<&str> {
        let whole = self.read.text;
        let text = self.read.record.view(whole).text(key)?;
        let start = (text.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let before = whole.get(..start)?.strip_suffix('"')?;
        before.trim_ascii_end().ends_with(':').then_some(text)
    }

    /// The value of the key `path` in the object's `text` as written: the key itself, or a key within a key's object where a dot parts them.
    pub(in crate::decode) fn find<'t>(&mut self, text: &'t str, path: &str) -> Option<&'t str> {
        debug_assert!(self.read.is(text));
        self.entries.find(text, path)
    }
}

pub(super) struct Reader {
    record: Record,
    entries: Entries,
    eve: Eve,
    zeek: Logs,
    windows: Events,
    carried: Carried,
    tables: Tables,
    keycloak: super::keycloak::Events,
    plain: Plain,
    carrier: Carrier,
    is_cut: bool,
}

/// Container runtimes and log shippers put a program's own line into JSON.
struct Carrier {
    line: [Key; 17],
    marks: [Key; 29],
    /// The name of the program, as journals and collectors of syslog write it.
    program: [Key; 8],
    host: [Key; 4],
    time: Key,
    fields: Fields,
    memory: String,
}

impl Reader {
    pub(super) fn new() -> Reader {
        let mut record = Record::new();
        let keys = &mut record.keys;
        let eve = Eve::new(keys);
        let zeek = Logs::new(keys);
        let windows = Events::new(keys);
        let carried = Carried::new(keys);
        let tables = Tables::new(tables::TABLES.iter().map(|format| Table::new(format, keys)).collect());
        let keycloak = super::keycloak::Events::new(keys);
        let plain = Plain::new("json", keys);
        let carrier = Carrier {
            line: [
                "log",
                "message",
                "MESSAGE",
                "event.original",
                "full_message",
                "short_message",
                "_raw",
                "result._raw",
                "raw",
                "body",
                "Body",
                "body.stringValue",
                "textPayload",
                "event",
                "line",
                "msg",
                "contents.event",
            ]
            .map(|name| keys.declare(name)),
            marks: [
                "stream",
                "kubernetes.pod.name",
                "kubernetes.pod_name",
                "docker.container.id",
                "container.id",
                "log.file.path",
                "log.source.address",
                "input.type",
                "_TRANSPORT",
                "_HOSTNAME",
                "source_type",
                "short_message",
                "@version",
                "_raw",
                "result._raw",
                "severityText",
                "SeverityText",
                "logName",
                "fluentd.tag",
                "sourcetype",
                "syslogtag",
                "ident",
                "programname",
                "PROGRAM",
                "fromhost",
                "fromhost-ip",
                "LEGACY_MSGHDR",
                "syslog_facility",
                "contents.__topic__",
            ]
            .map(|name| keys.declare(name)),
            program: [
                "SYSLOG_IDENTIFIER",
                "log.syslog.appname",
                "appname",
                "ident",
                "_COMM",
                "_application_name",
                "programname",
                "PROGRAM",
            ]
            .map(|name| keys.declare(name)),
            host: ["_HOSTNAME", "log.syslog.hostname", "host", "hostname"].map(|name| keys.declare(name)),
            time: keys.declare("time"),
            fields: Fields::new(""),
            memory: String::new(),
        };
        let entries = Entries::default();
        Reader { record, entries, eve, zeek, windows, carried, tables, keycloak, plain, carrier, is_cut: false }
    }

    /// The paths of its records, for who asks for some of them.
    pub(super) fn keys(&mut self) -> &mut Keys {
        &mut self.record.keys
    }

    /// Names for a pin.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["json", "suricata", "windows"];
        names.extend(tables::TABLES.iter().map(|format| format.name));
        names
    }

    /// Reads the record, and writes it if its format is known.
    pub(super) fn read_known(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> Known {
        let text = object_of(context);
        if !text.starts_with('{') {
            return Known::No;
        }
        self.entries.clear();
        let outcome = json::read(text, &mut self.record);
        if outcome == Outcome::No {
            return Known::No;
        }
        let record = &self.record;
        let view = record.view(text);
        let known = self.eve.read(record, text, context, row)
            || self.windows.read(record, text, context, row)
            || self.carried.read(&record.keys, view, text, context, row)
            || self.zeek.read(record, text, context, row)
            || self.keycloak.read(record, text, context, row)
            || match self.tables.find(view) {
                Some(table) => {
                    table.write(record, text, context, row);
                    self.plain.write_usual(record, text, context, row);
                    super::outcome_of_status(row);
                    true
                }
                None => false,
            };
        self.is_cut = outcome == Outcome::Cut;
        if known {
            self.mark_cut(row);
            return Known::Written;
        }
        Known::Plain
    }

    /// Writes the record that [`Reader::read_known`] read last under its own names.
    pub(super) fn write_plain(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        if self.plain.write(&self.record, object_of(context), context, row) && !self.is_cut {
            row.object();
        }
        self.mark_cut(row);
    }

    /// The record that was read last, where it is whole.
    pub(super) fn object<'o>(&'o mut self, context: &Context<'o>) -> Option<Object<'o>> {
        let Reader { record, entries, plain, is_cut, .. } = self;
        let read = ReadObject { record, text: object_of(context) };
        (!*is_cut).then(|| Object { read, usual: plain.usual(), entries })
    }

    /// The paths of the record that was read last, in its order.
    pub(super) fn paths(&self) -> (&Keys, impl Iterator<Item = Key>) {
        (&self.record.keys, self.record.view("").keys())
    }

    fn mark_cut(&self, row: &mut RowBuilder<'_>) {
        if self.is_cut {
            row.text(FieldId::FLAGS, "json_cut");
        }
    }

    /// The line of a program within the record that was read last, if that carries one, and how long it is: behind it stands the program's
    /// name. Give it back to [`Reader::keep_line`].
    pub(super) fn take_line(&mut self, context: &Context<'_>) -> Option<(String, usize)> {
        let view = self.record.view(object_of(context));
        let line = self.carrier.line.iter().find_map(|key| view.text(*key))?;
        // Beside the words of a program of its own a text is one that its users may have written: no record.
        let is_around = |(key, _)| AROUND.contains(&self.record.keys.name(key));
        if !self.carrier.marks.iter().any(|key| view.has(*key)) && !view.iter().all(is_around) {
            return None;
        }
        let mut memory = std::mem::take(&mut self.carrier.memory);
        memory.clear();
        colours::add_without(line, &mut memory);
        memory.truncate(memory.trim_end().len());
        let length = memory.len();
        memory.push_str(self.carrier.program.iter().find_map(|key| view.text(*key)).unwrap_or(""));
        Some((memory, length))
    }

    /// Keeps the memory for the next line.
    pub(super) fn keep_line(&mut self, memory: String) {
        self.carrier.memory = memory;
    }

    /// Writes what the record says beside the object that it holds as `holder`.
    pub(super) fn write_around(&mut self, context: &Context<'_>, holder: &str, row: &mut RowBuilder<'_>) {
        let view = self.record.view(object_of(context));
        for (key, value) in view.iter().filter(|(key, _)| outermost_of(self.record.keys.name(*key)) != holder) {
            self.carrier.fields.write(&self.record.keys, key, value, row);
        }
        if let Some(time) = view.get(self.carrier.time).and_then(|value| table::time(value, context)) {
            row.time(time);
        }
    }

    /// Writes what the record says about where its line comes from.
    pub(super) fn write_carrier(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let view = self.record.view(object_of(context));
        for (key, value) in view.iter().filter(|(key, _)| !self.carrier.line.contains(key)) {
            self.carrier.fields.write(&self.record.keys, key, value, row);
        }
        if !row.has(FieldId::HOST_NAME)
            && let Some(host) = self.carrier.host.iter().find_map(|key| view.text(*key))
        {
            row.text(FieldId::HOST_NAME, host);
        }
        if let Some(time) = view.get(self.carrier.time).and_then(|value| table::time(value, context)) {
            row.time(time);
        }
    }
}

/// What alone may stand beside a line that a collector carries: what says when, from where and in which list it came.
const AROUND: &[&str] = &[
    "message",
    "log",
    "event",
    "line",
    "msg",
    "raw",
    "_raw",
    "body",
    "@timestamp",
    "timestamp",
    "time",
    "date",
    "host",
    "host.name",
    "hostname",
    "source",
    "path",
    "file",
    "offset",
    "index",
    "tag",
    "tags",
    "type",
    "@version",
];

/// Keys below which a collector or a cloud service puts the record that it carries.
const HOLDERS: &[&str] = &["event", "detail", "_source", "records", "Records", "record", "log", "result", "message"];

/// Formats whose meaning is a table.
struct Tables {
    tables: Vec<Table>,
    /// For each path, by its number, the tables of which a record may be that has it: a bit for each.
    by_path: Vec<u64>,
}

impl Tables {
    fn new(tables: Vec<Table>) -> Tables {
        assert!(tables.len() <= 64, "a bit for each");
        let mut by_path = Vec::new();
        for (nth, table) in tables.iter().enumerate() {
            for key in table.leads() {
                by_path.resize(by_path.len().max(key.index() + 1), 0);
                by_path[key.index()] |= 1 << nth;
            }
        }
        Tables { tables, by_path }
    }

    /// The first table that the record fits.
    fn find(&mut self, view: View<'_>) -> Option<&mut Table> {
        let mut may_be = view.keys().fold(0, |found, key| found | self.by_path.get(key.index()).copied().unwrap_or(0));
        while may_be != 0 {
            let nth = may_be.trailing_zeros() as usize;
            if self.tables[nth].fits(view) {
                return Some(&mut self.tables[nth]);
            }
            may_be &= may_be - 1;
        }
        None
    }
}

/// A path's first key.
pub(super) fn outermost_of(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

/// The object that makes up most of the object in `text` as the value of one of [`HOLDERS`], also alone in a list, and that key.
pub(super) fn held(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    // Where a text began, the last one of the outermost object, how deep the place is, and where the object began that may be meant.
    let (mut quote, mut key, mut depth, mut begun) = (None, "", 0, None);
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|b| b"\"\\{}[]".contains(b)) {
        at += next;
        match (bytes[at], quote) {
            (b'\\', _) => at += 1,
            (b'"', Some(start)) => {
                if depth == 1 {
                    key = &text[start..at];
                }
                quote = None;
            }
            (b'"', None) => quote = Some(at + 1),
            (_, Some(_)) => {}
            (opens @ (b'{' | b'['), None) => {
                depth += 1;
                let is_first = depth == 2 || depth == 3 && bytes[..at].trim_ascii_end().ends_with(b"[");
                if opens == b'{' && begun.is_none() && is_first && HOLDERS.contains(&key) {
                    begun = Some((at, depth));
                }
            }
            (_, None) => {
                depth -= 1;
                if let Some((start, _)) = begun.filter(|(_, of)| *of == depth + 1) {
                    let is_alone = depth == 1 || bytes[at + 1..].trim_ascii_start().starts_with(b"]");
                    if is_alone && (at + 1 - start) * 2 > text.len() {
                        return Some((key, &text[start..=at]));
                    }
                    begun = None;
                }
            }
        }
        at += 1;
        if at >= bytes.len() {
            break;
        }
    }
    None
}

/// The object of a record. Before it may stand the cookie of Common Event Expression, which rsyslog's and syslog-ng's JSON parsers
/// ask for.
fn object_of<'a>(context: &Context<'a>) -> &'a str {
    let message = context.header.message.trim();
    message.strip_prefix("@cee:").unwrap_or(message).trim_start()
}

/// Bytes of words before an object at most.
const LEAD_BYTES_MAX: usize = 96;

/// The object that stands behind a few words (`vendor: {"a":1}`) or alone in a list (`[{"a":1}]`) and goes on to the end, and what stands
/// before it.
pub(super) fn behind_words(message: &str) -> Option<(&str, &str)> {
    let message = message.trim();
    let message = message.strip_suffix(" []").or(message.strip_suffix(" {}")).unwrap_or(message); // Monolog: `text {...} []`
    if let Some(object) = message.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(("", object.trim())).filter(|(_, object)| object.starts_with('{'));
    }
    let start = memchr::memchr(b'{', message.as_bytes()).filter(|start| (1..=LEAD_BYTES_MAX).contains(start))?;
    let (lead, object) = message.split_at(start);
    let begins = object[1..].trim_start().starts_with('"');
    (begins && object.ends_with('}') && lead.ends_with([' ', ':', '\t', '='])).then_some((lead, object))
}

/// What reading a record as JSON came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Known {
    /// It is no JSON object.
    No,
    /// It is of a format that is known, and written.
    Written,
    /// It is an object that names its fields in its own way: nothing is written yet.
    Plain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_has_the_keys_that_the_text_has() {
        let texts = [
            r#"{"a":1,"b":{"c":"x"},"d":[{"c":1}],"e":{},"f":[]}"#,
            r#"{"a.b":1,"b":{"c.d":null},"":{"a":1},"ab":2}"#,
            r#"{"b":[],"c":{"d":{"e":""}},"c":3,"ba":{"a":1}}"#,
            r#"{"a":{"b":"x"},"c":"y","b":{"c":{"d":" z"}},"d":{"c":"\u0041"},"c.x":"w","e":["v","u"],"f":[{"a":1}]}"#,
            r#"{"a":{"b":"x"},"c":"y","b":{"c":{"d":" z"}},"d":{"c":"\u0041"},"c.x":"w","ab":2}"#,
        ];
        let names = ["a", "b", "c", "d", "e", "f", "a.b", "b.c", "c.d", "b.c.d", "d.c", "c.d.e", "ab", "ba", "x", "c.x"];
        let mut record = Record::new();
        let mut usual = Usual::new(&mut record.keys);
        let keys = names.map(|name| record.keys.declare(name));
        let (mut told, mut said) = (0, 0);
        for text in texts {
            assert_eq!(json::read(text, &mut record), Outcome::Whole);
            let read = ReadObject { record: &record, text };
            let mut object = Object { read, usual: &mut usual, entries: &mut Entries::default() };
            for (key, name) in keys.into_iter().zip(names) {
                let has = object.has(key);
                assert!(has.is_none_or(|has| has == object.find(text, name).is_some()), "{name} of {text}");
                told += usize::from(has.is_some());
                if let Some(value) = object.text(key).map(str::to_owned).filter(|_| has == Some(true)) {
                    assert_eq!(object.find(text, name), Some(&*format!("\"{value}\"")), "{name} of {text}");
                    said += 1;
                }
            }
        }
        assert!(told > 50 && said > 4, "most is told without the text: {told}, {said}");
    }

    #[test]
    fn an_object_is_held_that_makes_up_most_of_a_record() {
        let cases = [
            (r#"{"time":1,"event":{"a":"}\"{","b":[1,{"c":2}]}}"#, Some(("event", r#"{"a":"}\"{","b":[1,{"c":2}]}"#))),
            (r#"{"Records":[ {"a":"long enough"} ]}"#, Some(("Records", r#"{"a":"long enough"}"#))),
            (r#"{"records":[{"a":"one of two"},{"a":"the other one"}]}"#, None),
            (r#"{"event":{"a":1},"text":"more than that"}"#, None),
            (r#"{"body":{"a":"what users wrote"}}"#, None),
            (r#"{"x":{"event":{"a":"deeper than that"}}}"#, None),
            (r#"{"x":"event","y":{"a":"of another key"}}"#, None),
            (r#"{"event":{"a":"cut"#, None),
            (r#"}}]]"event\"#, None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(held(text), expected, "{text}");
        }
    }
}
