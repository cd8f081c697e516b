//! Logs of Internet Information Services and `http.sys` in the W3C extended log file format (W3C working draft WD-logfile; Microsoft,
//! "W3C Logging" and "Error logging in HTTP APIs"). With a `#Fields` line the names count; without one the line's shape does.

use std::net::IpAddr;

use event::{FieldId, LogSource, RowBuilder};

use super::{Needed, Rarity, Recognise};
use crate::decode::record::table::{Format, Table, To};
use crate::decode::record::{Key, Record};
use crate::decode::stamp::{self, Zone};
use crate::decode::text::Context;

const W3C: Format = Format {
    name: "iis",
    source: LogSource { product: Some("windows"), category: Some("webserver"), service: Some("iis") },
    needs: &[],
    native: "iis.access.",
    constants: &[("event.module", "iis"), ("event.kind", "event"), ("event.category", "web")],
    rules: &[(
        "",
        &[
            ("c-ip", To::Address("source.ip", "source.address")),
            ("c-port", To::Number("source.port")),
            ("s-ip", To::Address("destination.ip", "destination.address")),
            ("s-port", To::Number("destination.port")),
            ("s-computername", To::As("host.name")),
            ("cs-method", To::As("http.request.method")),
            ("cs-uri", To::Url),
            ("cs-uri", To::As("url.path")),
            ("cs-uri-stem", To::As("url.original")),
            ("cs-uri-stem", To::As("url.path")),
            ("cs-uri-query", To::As("url.query")),
            ("cs-username", To::As("user.name")),
            ("cs-version", To::Without("http.version", "HTTP/")),
            ("cs-host", To::As("url.domain")),
            ("cs-host", To::As("destination.domain")),
            ("cs(User-Agent)", To::As("user_agent.original")),
            ("cs(Referer)", To::As("http.request.referrer")),
            ("cs(Cookie)", To::As("http.cookie")),
            ("sc-status", To::Number("http.response.status_code")),
            ("sc-bytes", To::Number("http.response.body.bytes")),
            ("cs-bytes", To::Number("http.request.body.bytes")),
            ("time-taken", To::Duration("event.duration", 1e6)),
            ("X-Forwarded-For", To::As("network.forwarded_ip")),
            ("s-reason", To::As("event.reason")),
            ("date", To::Is("event.dataset", "iis.access")),
        ],
    )],
};

pub(super) struct Reader {
    record: Record,
    table: Table,
    status: Key,
    date: Key,
    time: Key,
    names: Vec<(&'static str, Key)>,
}

const NAMES: &[&str] = &[
    "date",
    "time",
    "s-sitename",
    "s-computername",
    "s-ip",
    "cs-method",
    "cs-uri-stem",
    "cs-uri-query",
    "s-port",
    "cs-username",
    "c-ip",
    "cs-version",
    "cs(User-Agent)",
    "cs(Cookie)",
    "cs(Referer)",
    "cs-host",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
    "sc-bytes",
    "cs-bytes",
    "time-taken",
    "X-Forwarded-For",
    "c-port",
    "cs-uri",
    "streamid",
    "s-siteid",
    "s-reason",
    "s-queuename",
];

impl Reader {
    pub(super) fn new() -> Reader {
        let mut record = Record::new();
        let table = Table::new(&W3C, &mut record.keys);
        let names = NAMES.iter().map(|name| (*name, record.keys.declare(name))).collect();
        let [status, date, time] = ["sc-status", "date", "time"].map(|name| record.keys.declare(name));
        Reader { record, table, status, date, time, names }
    }

    fn put(&mut self, whole: &str, name: &'static str, value: &str) {
        if value == "-" || value.is_empty() {
            return;
        }
        // A zone within an address (`fe80::1%4`) is of no use elsewhere.
        let value = if name.ends_with("-ip") { value.split('%').next().unwrap_or(value) } else { value };
        if let Some((_, key)) = self.names.iter().find(|(known, _)| *known == name) {
            self.record.text(whole, *key, value);
        }
    }

    fn write(&mut self, whole: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let view = self.record.view(whole);
        // The log's times are UTC, whatever the zone of the server (Microsoft, "W3C Logging").
        if let (Some(date), Some(time)) = (view.text(self.date), view.text(self.time)) {
            let stamp = stamp::assemble(date, time, "");
            if let Some(time) = stamp.and_then(|stamp| stamp.resolve(Zone::utc(), context.reference)) {
                row.time(time);
            }
        }
        if let Some(status) = view.text(self.status) {
            row.text(FieldId::EVENT_OUTCOME, if status >= "400" { "failure" } else { "success" });
        }
        self.table.write(&self.record, whole, context, row);
    }

    /// `#Fields: NAME NAME ...` and a line of values.
    fn read_with_header(&mut self, whole: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let fields = whole.lines().find_map(|line| line.strip_prefix("#Fields:"));
        let line = whole.lines().rfind(|line| !line.starts_with('#') && !line.trim().is_empty());
        let (Some(fields), Some(line)) = (fields, line) else { return false };
        self.record.begin();
        for (name, value) in fields.split_ascii_whitespace().zip(line.split_ascii_whitespace()) {
            if value == "-" {
                continue;
            }
            let value = value.trim_matches('"');
            let key = self.record.keys.child(Key::ROOT, name);
            self.record.text(whole, key, value);
        }
        self.write(whole, context, row);
        true
    }
}

/// A word that is an address, also with a zone.
fn is_address(word: &str) -> bool {
    word.split('%').next().unwrap_or(word).parse::<IpAddr>().is_ok()
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

fn is_status(word: &str) -> bool {
    word.len() == 3 && is_number(word) && ("100".."600").contains(&word)
}

/// A line's words; no line of these logs has more.
const WORDS_MAX: usize = 40;

impl Reader {
    /// `DATE TIME [SITE] [COMPUTER] [SERVER-IP] METHOD STEM QUERY PORT USER CLIENT-IP [VERSION] [AGENT] [COOKIE] [REFERER] [HOST] STATUS
    /// SUBSTATUS WIN32 [SENT RECEIVED] [TAKEN] [FORWARDED-FOR]`: what may be absent is told by its shape.
    fn read_access(&mut self, whole: &str, words: &[&str], context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let is_method = |word: &str| {
            (2..=20).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
        };
        let method = (2..=5).find(|at| {
            let port = words.get(at + 3).and_then(|word| word.parse::<u16>().ok());
            is_method(words[*at]) && words.get(at + 1).is_some_and(|stem| stem.starts_with(['/', '*'])) && port.is_some()
        });
        let Some(at) = method.filter(|at| words.len() >= at + 9) else { return false };
        let rest = &words[at + 6..];
        let status =
            (0..rest.len().saturating_sub(2)).find(|s| is_status(rest[*s]) && is_number(rest[s + 1]) && is_number(rest[s + 2]));
        let Some(status) = status else { return false };
        self.record.begin();
        for (position, word) in words[2..at].iter().enumerate() {
            match () {
                () if is_address(word) => self.put(whole, "s-ip", word),
                () if position == 0 && word.starts_with("W3SVC") => self.put(whole, "s-sitename", word),
                () if word.contains(['[', '(']) => {} // Not a name: a rich text's idea of an address.
                () => self.put(whole, "s-computername", word),
            }
        }
        for (name, word) in ["date", "time"].iter().zip(words) {
            self.put(whole, name, word);
        }
        for (name, word) in ["cs-method", "cs-uri-stem", "cs-uri-query", "s-port", "cs-username"].iter().zip(&words[at..]) {
            self.put(whole, name, word);
        }
        if is_address(words[at + 5]) {
            self.put(whole, "c-ip", words[at + 5]);
        }
        let mut middle = &rest[..status];
        if let [version, tail @ ..] = middle
            && version.starts_with("HTTP/")
        {
            self.put(whole, "cs-version", version);
            middle = tail;
        }
        let looks_like_url = |word: &str| word.contains("://");
        let names: &[&'static str] = match middle {
            [_] => &["cs(User-Agent)"],
            [_, _] => &["cs(User-Agent)", "cs(Referer)"],
            [_, _, last] if looks_like_url(last) => &["cs(User-Agent)", "cs(Cookie)", "cs(Referer)"],
            [_, _, _] => &["cs(User-Agent)", "cs(Referer)", "cs-host"],
            _ => &["cs(User-Agent)", "cs(Cookie)", "cs(Referer)", "cs-host"],
        };
        for (name, word) in names.iter().zip(middle) {
            self.put(whole, name, word);
        }
        let tail = &rest[status..];
        for (name, word) in ["sc-status", "sc-substatus", "sc-win32-status"].iter().zip(tail) {
            self.put(whole, name, word);
        }
        let tail = &tail[3..];
        let numbers = tail.iter().take_while(|word| is_number(word)).count();
        let names: &[&'static str] = match numbers {
            1 => &["time-taken"],
            2 => &["sc-bytes", "time-taken"],
            3.. => &["sc-bytes", "cs-bytes", "time-taken"],
            0 => &[],
        };
        for (name, word) in names.iter().zip(tail) {
            self.put(whole, name, word);
        }
        if let Some(forwarded) = tail.get(numbers) {
            self.put(whole, "X-Forwarded-For", forwarded);
        }
        self.write(whole, context, row);
        true
    }

    /// `DATE TIME CLIENT PORT SERVER PORT VERSION METHOD URI [STREAM] STATUS SITE REASON QUEUE`
    fn read_error(&mut self, whole: &str, words: &[&str], context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let is_end = |at: usize| is_address(words[at]) && words[at + 1].parse::<u16>().is_ok();
        let or_nothing = |at: usize| words[at] == "-" && words[at + 1] == "-";
        let [.., status, site, reason, queue] = words else { return false };
        // Where no end is known, that the reason is a word of http.sys tells (`Timer_MinBytesPerSecond`, `AppOffline`).
        let is_reason = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_uppercase()) && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if words.len() < 13
            || !(is_end(2) || or_nothing(2))
            || !(is_end(4) || or_nothing(4))
            || or_nothing(2) && or_nothing(4) && !is_reason(reason)
        {
            return false;
        }
        let is_version = words[6] == "-" || words[6].starts_with("HTTP/");
        if !is_version || !(is_status(status) || *status == "-") {
            return false;
        }
        self.record.begin();
        for (name, word) in ["date", "time", "c-ip", "c-port", "s-ip", "s-port", "cs-version", "cs-method"].iter().zip(words) {
            self.put(whole, name, word);
        }
        let has_streams = ["HTTP/2", "HTTP/3"].iter().any(|version| words[6].starts_with(version));
        // Between the method and the status: the target, which an attacker may have given blanks, and in newer versions the stream.
        let target = match &words[8..words.len() - 4] {
            [target @ .., stream] if !target.is_empty() && (*stream == "-" || has_streams && is_number(stream)) => target,
            target => target,
        };
        if let [first, .., last] | [first @ last] = target {
            let (from, to) =
                (first.as_ptr() as usize - whole.as_ptr() as usize, last.as_ptr() as usize - whole.as_ptr() as usize);
            self.put(whole, "cs-uri", &whole[from..to + last.len()]);
        }
        for (name, word) in [("sc-status", status), ("s-siteid", site), ("s-reason", reason), ("s-queuename", queue)] {
            self.put(whole, name, word);
        }
        self.write(whole, context, row);
        true
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["iis"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().rank(4).starts("#").starts("1").starts("2").stamped()
    }

    fn needs(&self, byte: u8, rarity: &Rarity) -> Vec<Needed> {
        // A target behind its method; or a version of HTTP, where a `-` may stand.
        let marks: &[&str] = if byte == b'#' { &["#Fields:"] } else { &[" /", " *", " HTTP/", " - "] };
        marks.iter().map(|mark| Needed::of(std::iter::once(*mark), rarity)).collect()
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let whole = context.header.message;
        if whole.starts_with('#') {
            return self.read_with_header(whole, context, row);
        }
        let bytes = whole.as_bytes();
        if bytes.len() < 30 || bytes[4] != b'-' || bytes[7] != b'-' || bytes[10] != b' ' || bytes[13] != b':' || bytes[19] != b' '
        {
            return false;
        }
        let line = whole.lines().next().unwrap_or("");
        let mut words = [""; WORDS_MAX];
        let mut count = 0;
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            if count == WORDS_MAX {
                return false;
            }
            words[count] = word;
            count += 1;
        }
        let words = &words[..count];
        count >= 11
            && words[1].len() == 8
            && stamp::iso(line).is_some()
            && (self.read_access(whole, words, context, row) || self.read_error(whole, words, context, row))
    }
}
