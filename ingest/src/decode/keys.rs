//! A vendor's keys: the native name under which each is kept, and the ECS fields that its value becomes.
//!
//! A table is text, a key a line: `key = field field:kind ...`; `a | b = ...` where keys mean the same. The first key of a record
//! that gives a field wins; a `?` behind the kind gives way to every key without one, wherever it stands (`unauthuser = user.name?`).
//!
//! | kind | what is written |
//! |---|---|
//! | (none) | the value as it stands |
//! | `lower` | in small letters |
//! | `int` | a number, where the value is one |
//! | `ip` | an address; what is none goes to `.address` of the same end |
//! | `some-ip` | likewise, but `0.0.0.0` and `::` stand for none: another key may have one |
//! | `endpoint` | `address:port`, `address/port`: `.ip` and `.port` |
//! | `account` | `DOMAIN\name`: `.name` and `.domain` |
//! | `mailbox` | `name@domain`, `DOMAIN\name`: `.name` and `.domain` |
//! | `transport` | an IANA protocol number or name: `network.transport` and, from a number, `network.iana_number` |
//! | `url` | `url.*`, a text without a scheme beginning with the host (what proxies write) |
//! | `uri` | `url.*`, a text without a scheme being a path (RFC 3986 §4.2) |
//! | `file` | `.path` and `.name` of a path |
//! | `seconds`, `millis` | `event.duration` in nanoseconds |
//! | `outcome` | `success` or `failure`, where the word is known |
//! | `verdict` | the value, and `event.type` `allowed` or `denied` where the word is known |

use event::{FieldId, RowBuilder, Value};
use hashbrown::HashMap;

use super::ip;
use super::names::Names;

/// What is made of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Text,
    Lower,
    Int,
    Ip,
    SomeIp,
    Endpoint,
    Account,
    Mailbox,
    Transport,
    Url,
    Uri,
    File,
    Seconds,
    Millis,
    Outcome,
    Verdict,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    kind: Kind,
    field: FieldId,
    /// The field that the kind adds beside: `.address`, `.port`, `.domain`, `.name`.
    beside: Option<FieldId>,
    slot: usize,
}

/// A key of the table, found beforehand: for columns, whose names no record repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    native: Option<FieldId>,
    first: usize,
    last: usize,
}

/// One vendor's keys.
#[derive(Debug)]
pub(super) struct Keys {
    native: Names,
    known: HashMap<&'static str, Known>,
    targets: Vec<Target>,
    /// Targets that give way, with the native field that holds their value.
    later: Vec<(FieldId, Target)>,
    /// Fields of the table; the index is a target's slot.
    fields: Vec<FieldId>,
    taken: Vec<bool>,
    scratch: String,
    value: String,
}

impl Keys {
    /// Reads a table; native names are `prefix` and the key, in small letters where `prefix` ends so.
    ///
    /// # Panics
    /// Where the table is malformed: it is the code's own, and a test builds every reader.
    pub(super) fn new(prefix: &'static str, table: &'static str) -> Keys {
        let mut keys = Keys {
            native: Names::new(prefix),
            known: HashMap::new(),
            targets: Vec::new(),
            later: Vec::new(),
            fields: Vec::new(),
            taken: Vec::new(),
            scratch: String::new(),
            value: String::new(),
        };
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (names, targets) = line.split_once(" = ").unwrap_or((line, ""));
            for name in names.split(" | ") {
                let native = keys.native.field(name);
                let first = keys.targets.len();
                for word in targets.split_whitespace() {
                    let (target, gives_way) = keys.target(word);
                    match native.filter(|_| gives_way) {
                        Some(native) => keys.later.push((native, target)),
                        None => keys.targets.push(target),
                    }
                }
                let known = Known { native, first, last: keys.targets.len() };
                assert!(keys.known.insert(name, known).is_none(), "a key twice: {name}");
            }
        }
        keys.taken = vec![false; keys.fields.len()];
        keys
    }

    fn target(&mut self, word: &'static str) -> (Target, bool) {
        let (word, gives_way) = word.strip_suffix('?').map_or((word, false), |word| (word, true));
        let (name, kind) = word.split_once(':').unwrap_or((word, ""));
        let kind = match kind {
            "" => Kind::Text,
            "lower" => Kind::Lower,
            "int" => Kind::Int,
            "ip" => Kind::Ip,
            "some-ip" => Kind::SomeIp,
            "endpoint" => Kind::Endpoint,
            "account" => Kind::Account,
            "mailbox" => Kind::Mailbox,
            "transport" => Kind::Transport,
            "url" => Kind::Url,
            "uri" => Kind::Uri,
            "file" => Kind::File,
            "seconds" => Kind::Seconds,
            "millis" => Kind::Millis,
            "outcome" => Kind::Outcome,
            "verdict" => Kind::Verdict,
            _ => panic!("no kind is named {kind}"),
        };
        let sibling = |name: &str, last: &str| {
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            FieldId::intern(&format!("{stem}.{last}"))
        };
        let end = ["source.", "destination.", "client.", "server."].iter().any(|end| name.starts_with(end));
        let beside = match kind {
            Kind::Ip | Kind::SomeIp if end => sibling(name, "address"),
            Kind::Endpoint => sibling(name, "port"),
            Kind::Account | Kind::Mailbox => sibling(name, "domain"),
            Kind::File => sibling(name, "name"),
            _ => None,
        };
        let field = FieldId::known(name);
        let slot = self.fields.iter().position(|known| *known == field).unwrap_or_else(|| {
            self.fields.push(field);
            self.fields.len() - 1
        });
        (Target { kind, field, beside, slot }, gives_way)
    }

    /// Before a record's first key.
    pub(super) fn begin(&mut self) {
        self.taken.fill(false);
    }

    /// `key` for [`Keys::put_known`]; one that the table lacks has its native name only.
    pub(super) fn find(&mut self, key: &str) -> Known {
        let native = self.native.field(key);
        self.known.get(key).copied().unwrap_or(Known { native, first: 0, last: 0 })
    }

    /// Whether the table says what becomes of `key`.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.known
            .get(key)
            .is_some_and(|known| known.first < known.last || self.later.iter().any(|(native, _)| Some(*native) == known.native))
    }

    /// Whether a key of this record gave `field`, or [`Keys::claim`] did.
    pub(super) fn has(&self, field: FieldId) -> bool {
        self.fields.iter().position(|known| *known == field).is_some_and(|slot| self.taken[slot])
    }

    /// Keeps later keys from giving `field`: the reader itself writes it.
    pub(super) fn claim(&mut self, field: FieldId) {
        if let Some(slot) = self.fields.iter().position(|known| *known == field) {
            self.taken[slot] = true;
        }
    }

    /// Writes one pair: under its native name, and as the fields of the table. Absent values (empty, `-`, `N/A`) give none.
    pub(super) fn put(&mut self, key: &str, value: &str, row: &mut RowBuilder<'_>) {
        let Some(known) = self.known.get(key).copied() else {
            if let Some(field) = self.native.field(key)
                && !value.is_empty()
            {
                row.text(field, value);
            }
            return;
        };
        self.put_known(known, value, row);
    }

    /// Writes one value as [`Keys::put`] does.
    pub(super) fn put_known(&mut self, known: Known, value: &str, row: &mut RowBuilder<'_>) {
        if value.is_empty() {
            return;
        }
        if let Some(native) = known.native {
            row.text(native, value);
        }
        if is_absent(value) {
            return;
        }
        for at in known.first..known.last {
            let target = self.targets[at];
            if !self.taken[target.slot] && write(target, value, &mut self.scratch, row) {
                self.taken[target.slot] = true;
            }
        }
    }

    /// After a record's last key: fields that only keys which give way can fill.
    pub(super) fn finish(&mut self, row: &mut RowBuilder<'_>) {
        let mut text = std::mem::take(&mut self.value);
        for at in 0..self.later.len() {
            let (native, target) = self.later[at];
            if self.taken[target.slot] {
                continue;
            }
            let Some(Value::Text(value)) = row.get(native).filter(|v| v.as_text().is_some_and(|v| !is_absent(v))) else {
                continue;
            };
            text.clear();
            text.push_str(value);
            if target.kind == Kind::Text {
                row.copy_first(native, target.field);
                self.taken[target.slot] = true;
            } else if write(target, &text, &mut self.scratch, row) {
                self.taken[target.slot] = true;
            }
        }
        self.value = text;
    }
}

/// What devices write for nothing.
pub(super) fn is_absent(value: &str) -> bool {
    matches!(value, "" | "-" | "N/A" | "n/a" | "<n/a>" | "(null)")
}

/// Writes `value` as `target`; false where it is none of that kind.
fn write(target: Target, value: &str, scratch: &mut String, row: &mut RowBuilder<'_>) -> bool {
    let Target { kind, field, beside, .. } = target;
    match kind {
        Kind::Text => row.text(field, value),
        Kind::Lower => lower(row, field, value, scratch),
        Kind::Int => match value.parse::<u64>() {
            Ok(n) => row.uint(field, n),
            Err(_) => return false,
        },
        Kind::Ip | Kind::SomeIp => match (ip::parse(ip::bare(value)), beside) {
            (Some(ip), _) if kind == Kind::SomeIp && ip.is_unspecified() => return false,
            (Some(ip), _) => row.ip(field, ip.to_canonical()),
            (None, Some(beside)) => {
                row.text(beside, value);
                return false;
            }
            (None, None) => return false,
        },
        Kind::Endpoint => {
            let (host, port) = endpoint(value);
            let Some(ip) = ip::parse(host) else { return false };
            row.ip(field, ip);
            if let (Some(beside), Some(port)) = (beside, port) {
                row.uint(beside, port.into());
            }
        }
        Kind::Account => {
            let (domain, name) = account(value);
            row.text(field, name);
            if let (Some(beside), Some(domain)) = (beside, domain) {
                row.text(beside, domain);
            }
        }
        Kind::Mailbox => {
            match (value.rsplit_once('@').or_else(|| value.split_once('\\').map(|(domain, name)| (name, domain))), beside) {
                (Some((name, domain)), Some(beside)) if !name.is_empty() && !domain.is_empty() => {
                    row.text(field, name);
                    row.text(beside, domain);
                }
                _ => row.text(field, value),
            }
        }
        Kind::Transport => transport(row, value, scratch),
        Kind::Url => super::format::host_url(row, value),
        Kind::Uri => super::format::uri(row, value),
        Kind::File => {
            row.text(field, value);
            let name = value.rsplit(['/', '\\']).next().unwrap_or("");
            if let Some(beside) = beside.filter(|_| !name.is_empty()) {
                row.text(beside, name);
            }
        }
        Kind::Seconds | Kind::Millis => {
            let Ok(n) = value.parse::<f64>() else { return false };
            let ns = n * if kind == Kind::Seconds { 1e9 } else { 1e6 };
            if !(0.0..1e18).contains(&ns) {
                return false;
            }
            row.uint(field, ns as u64);
        }
        Kind::Outcome => match outcome(value) {
            Some(outcome) => row.text(field, outcome),
            None => return false,
        },
        Kind::Verdict => {
            row.text(field, value);
            if let Some(kind) = verdict(value) {
                row.text(FieldId::EVENT_TYPE, kind);
            }
        }
    }
    true
}

/// Adds `value` in small letters; not copied where it has no capitals.
pub(super) fn lower(row: &mut RowBuilder<'_>, field: FieldId, value: &str, scratch: &mut String) {
    if value.bytes().any(|b| b.is_ascii_uppercase()) {
        scratch.clear();
        scratch.push_str(value);
        scratch.make_ascii_lowercase();
        row.text(field, scratch);
    } else {
        row.text(field, value);
    }
}

/// Adds `network.transport`, and `network.iana_number` where the protocol is given as a number.
pub(super) fn transport(row: &mut RowBuilder<'_>, value: &str, scratch: &mut String) {
    // `tcp/https`, as SonicWall writes it
    let of = value.split_once('/').filter(|(first, _)| ["tcp", "udp"].iter().any(|known| first.eq_ignore_ascii_case(known)));
    let value = of.map_or(value, |(first, _)| first);
    match value.parse::<u64>() {
        Ok(number) => {
            row.uint(FieldId::NETWORK_IANA_NUMBER, number);
            if let Some(name) = super::format::transport(number) {
                row.text(FieldId::NETWORK_TRANSPORT, name);
            }
        }
        Err(_) => lower(row, FieldId::NETWORK_TRANSPORT, value, scratch),
    }
}

/// `address:port`, `address/port`, `[address]:port` or an address alone.
pub(super) fn endpoint(text: &str) -> (&str, Option<u16>) {
    let text = text.trim();
    if ip::is(text) {
        return (text, None);
    }
    let split = text.rsplit_once([':', '/']).and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match split {
        Some((host, port)) => (ip::bare(host), Some(port)),
        None => (ip::bare(text), None),
    }
}

/// The domain and the name of `DOMAIN\name`; the backslash may be doubled.
pub(super) fn account(text: &str) -> (Option<&str>, &str) {
    match text.rsplit_once('\\') {
        Some((domain, name)) if !name.is_empty() => (Some(domain.trim_end_matches('\\')).filter(|d| !d.is_empty()), name),
        _ => (None, text),
    }
}

/// `success` or `failure` for the words that devices use.
pub(super) fn outcome(word: &str) -> Option<&'static str> {
    let first = word.split(' ').next().unwrap_or(word);
    let has = |words: &[&str]| words.iter().any(|w| first.eq_ignore_ascii_case(w));
    if has(&["success", "successful", "succeeded", "ok", "passed", "successfully"]) {
        Some("success")
    } else if has(&["failure", "failed", "fail", "error", "unsuccessful", "negotiate_error", "denied", "rejected"]) {
        Some("failure")
    } else {
        None
    }
}

/// `allowed` or `denied` for the words that devices use for what they did with traffic.
pub(super) fn verdict(word: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|w| word.eq_ignore_ascii_case(w));
    if has(&[
        "deny",
        "denied",
        "block",
        "blocked",
        "drop",
        "dropped",
        "reject",
        "rejected",
        "reset",
        "reset-both",
        "reset-client",
        "reset-server",
        "discard",
        "discarded",
        "prevent",
        "quarantine",
        "quarantined",
        "block-url",
        "block-continue",
        "drop-icmp",
        "ip-conn",
        "terminate",
        "terminated",
        "malware block",
        "block with reset",
    ]) {
        Some("denied")
    } else if has(&[
        "allow",
        "allowed",
        "accept",
        "accepted",
        "pass",
        "passed",
        "permit",
        "permitted",
        "passthrough",
        "alert",
        "close",
        "timeout",
        "client-rst",
        "server-rst",
        "start",
        "bypass",
        "monitor",
        "detect",
        "trust",
        "continue",
    ]) {
        Some("allowed")
    } else {
        None
    }
}
