//! Indicators of compromise: addresses, prefixes, domains, pages and file hashes that others have reported, out of CSV, STIX 2.1 and MISP
//! files, matched against what is observed.
//!
//! Values are kept once in one text; an index of 5 bytes an entry finds them. A domain covers what lies below it. What a file says that is
//! no single value (a STIX pattern with `AND`, a type that nothing is compared with) is told and left out: matched in part it would alert
//! for what nobody reported. Values may be written so that nobody clicks them (`hxxp://bad[.]example[.]net`).

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::idn;
use super::observe::What;
use super::site::{bits, name_of_host};
use super::sketch::mix;
use super::{Found, Parameters, View};
use crate::table::Table;

/// Indicators of all files together.
const INDICATORS_MAX: usize = 10_000_000;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 2 << 30;
/// Problems that are told.
const PROBLEMS_MAX: usize = 100;
/// Bytes of what is said of an indicator.
const NOTE_BYTES_MAX: usize = 200;

/// What kind of thing an indicator is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sort {
    Address,
    Domain,
    Url,
    Hash,
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Sort::Address => "address",
            Sort::Domain => "domain",
            Sort::Url => "url",
            Sort::Hash => "hash",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    len: u16,
    sort: Sort,
    note: u32,
    holds: Holds,
}

/// When an indicator holds, in seconds since 1970: from `from_s` on and before `until_s`, where that is not 0.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Holds {
    from_s: u32,
    until_s: u32,
}

impl Holds {
    fn at(self, ns: i64) -> bool {
        let s = ns.div_euclid(1_000_000_000);
        s >= i64::from(self.from_s) && (self.until_s == 0 || s < i64::from(self.until_s))
    }

    /// As long as one of two says.
    fn or(self, other: Holds) -> Holds {
        let until_s = if self.until_s == 0 || other.until_s == 0 { 0 } else { self.until_s.max(other.until_s) };
        Holds { from_s: self.from_s.min(other.from_s), until_s }
    }
}

/// A set of indicators.
#[derive(Clone, Debug, Default)]
pub struct Indicators {
    text: String,
    entries: Vec<Entry>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Per length of prefix, in IPv6 terms and the longest first, the networks and their entries; an address is the longest.
    networks: Vec<(u8, HashMap<u128, u32>)>,
    /// What is said of them, each once.
    notes: Vec<String>,
}

impl Indicators {
    /// Reads the files at `paths`. Gives what was wrong with them too.
    pub fn load(paths: &[PathBuf]) -> (Indicators, Vec<String>) {
        let mut indicators = Indicators::default();
        let mut problems = Vec::new();
        for path in paths {
            let name = path.display();
            match std::fs::metadata(path)
                .and_then(|m| if m.len() > FILE_BYTES_MAX { Ok(None) } else { std::fs::read(path).map(Some) })
            {
                Ok(Some(bytes)) => indicators.add(&name.to_string(), &String::from_utf8_lossy(&bytes), &mut problems),
                Ok(None) => problems.push(format!("{name}: larger than {FILE_BYTES_MAX} bytes")),
                Err(error) => problems.push(format!("{name}: {error}")),
            }
        }
        (indicators, problems)
    }

    /// Adds what a file says: CSV, or JSON of STIX 2.1 or MISP.
    pub fn add(&mut self, name: &str, text: &str, problems: &mut Vec<String>) {
        let before = self.entries.len();
        let text = text.trim_start_matches('\u{feff}');
        let mut problem = |reason: String| {
            if problems.len() < PROBLEMS_MAX {
                problems.push(format!("{name}: {reason}"));
            }
        };
        if is_json(text) {
            match serde_json::from_str::<Json>(text) {
                Ok(json) => self.json(name, json, &mut problem),
                Err(error) => problem(format!("neither STIX nor MISP: {error}")),
            }
            // An object of STIX by itself, without a bundle about it.
            if self.entries.len() == before
                && let Ok(object) = serde_json::from_str::<Object>(text)
            {
                self.json(name, Json::Many(vec![Element::Stix(object)]), &mut problem);
            }
        } else {
            self.csv(name, text, &mut problem);
        }
        if self.entries.len() == before {
            problem("holds no indicator".to_owned());
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held.
    pub fn byte_len(&self) -> usize {
        let networks: usize = self.networks.iter().map(|(_, all)| all.capacity() * 32).sum();
        let notes: usize = self.notes.iter().map(String::len).sum();
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>() + self.index.capacity() * 5 + networks + notes
    }

    fn put(&mut self, sort: Sort, value: &str, note: u32, holds: Holds) -> Result<(), String> {
        if self.entries.len() >= INDICATORS_MAX {
            return Err(format!("more than {INDICATORS_MAX} indicators"));
        }
        let net = match sort {
            Sort::Address => Some(network(value)?),
            _ => None,
        };
        let value = match (sort, net) {
            (_, Some(net)) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
            (_, Some(net)) => net.to_string(),
            (Sort::Url, None) => plain_url(value),
            (Sort::Domain, None) => domain(value).ok_or_else(|| format!("{value:?} is no name of a host"))?,
            _ if is_hash(value) => value.to_ascii_lowercase(),
            _ => return Err(format!("{value:?} is no MD5, SHA-1 or SHA-256")),
        };
        let (Ok(start), Ok(len)) = (u32::try_from(self.text.len()), u16::try_from(value.len())) else {
            return Err("too long".to_owned());
        };
        let number = self.entries.len() as u32;
        if let Some(net) = net {
            let length = net.prefix_len() + if net.addr().is_ipv4() { 96 } else { 0 };
            let at = self.networks.partition_point(|(other, _)| *other > length);
            if self.networks.get(at).is_none_or(|(other, _)| *other != length) {
                self.networks.insert(at, (length, HashMap::new()));
            }
            let known = self.networks[at].1.entry(bits(net.network())).or_insert(number);
            if *known != number {
                let known = *known;
                self.also(known, holds);
                return Ok(());
            }
        } else if let Some(known) = self.find(sort, &value) {
            self.also(known, holds);
            return Ok(());
        }
        self.text.push_str(&value);
        self.entries.push(Entry { start, len, sort, note, holds });
        if net.is_none() {
            let (hasher, entries, text) = (&self.hasher, &self.entries, &self.text);
            let hash = |n: &u32| {
                let entry = &entries[*n as usize];
                hasher.hash_one((entry.sort as u8, &text[entry.start as usize..][..usize::from(entry.len)]))
            };
            self.index.insert_unique(hash(&number), number, hash);
        }
        Ok(())
    }

    /// Somebody else reports it too.
    fn also(&mut self, number: u32, holds: Holds) {
        let entry = &mut self.entries[number as usize];
        entry.holds = entry.holds.or(holds);
    }

    fn value(&self, number: u32) -> &str {
        let entry = &self.entries[number as usize];
        &self.text[entry.start as usize..][..usize::from(entry.len)]
    }

    fn find(&self, sort: Sort, value: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((sort as u8, value));
        self.index.find(hash, |n| self.entries[*n as usize].sort == sort && self.value(*n) == value).copied()
    }

    fn find_address(&self, address: u128) -> Option<u32> {
        self.networks.iter().find_map(|(length, networks)| {
            let mask = if *length == 0 { 0 } else { u128::MAX << (128 - u32::from(*length)) };
            networks.get(&(address & mask)).copied()
        })
    }

    fn find_domain(&self, name: &str) -> Option<u32> {
        let name = idn::in_ascii(name.trim_end_matches('.'))?;
        let mut rest = Some(&*name);
        while let Some(part) = rest {
            if let Some(found) = self.find(Sort::Domain, part) {
                return Some(found);
            }
            rest = part.split_once('.').map(|(_, above)| above);
        }
        None
    }

    fn note(&mut self, text: &str) -> u32 {
        let text = &text[..text.floor_char_boundary(NOTE_BYTES_MAX)];
        // Files speak of indicators in groups.
        if self.notes.last().is_none_or(|last| last != text) {
            self.notes.push(text.to_owned());
        }
        (self.notes.len() - 1) as u32
    }

    /// A line is a value, or there is a heading, perhaps within a comment, that says which column it is: `indicator`, `value`, `ioc`, `address`,
    /// `domain`, `url`, `hash`.
    fn csv(&mut self, name: &str, text: &str, problem: &mut impl FnMut(String)) {
        const VALUES: [&str; 12] = [
            "indicator",
            "value",
            "ioc",
            "ioc_value",
            "address",
            "ip",
            "ip_address",
            "dst_ip",
            "domain",
            "url",
            "hash",
            "sha256_hash",
        ];
        const ABOUT: [&str; 6] = ["description", "comment", "malware", "malware_printable", "threat", "tags"];
        let named = |cells: &[String], names: &[&str]| {
            cells.iter().position(|cell| names.iter().any(|n| n.eq_ignore_ascii_case(cell.trim())))
        };
        let mut column = 0;
        let mut about = None;
        let mut first = true;
        // The last comment that may be a heading.
        let mut commented: Vec<String> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("//") {
                let cells = csv_cells(line.trim_start_matches(['#', ';', '/', ' ']));
                if first && cells.len() > 1 && named(&cells, &VALUES).is_some() {
                    commented = cells;
                }
                continue;
            }
            let cells = csv_cells(line);
            if std::mem::take(&mut first) {
                // A line that has an indicator is no heading, also where a column of it says `ip`.
                let value_at = cells.iter().position(|cell| sort_of(&refanged(cell.trim())).is_some());
                let is_heading = value_at.is_none() && named(&cells, &VALUES).is_some();
                let heading = if is_heading { Some(&cells) } else { Some(&commented).filter(|c| c.len() == cells.len()) };
                column = heading.and_then(|heading| named(heading, &VALUES)).or(value_at).unwrap_or_default();
                about = heading.and_then(|heading| named(heading, &ABOUT));
                if is_heading {
                    continue;
                }
            }
            let Some(cell) = cells.get(column) else { continue };
            // What stands behind a value is said of it.
            let value = refanged(cell.split(" #").next().unwrap_or(cell).trim());
            let said = about.and_then(|about| cells.get(about)).map_or("", |said| said.trim());
            let note = self.note(&if said.is_empty() { name.to_owned() } else { format!("{name}: {said}") });
            let result = sort_of(&value)
                .ok_or_else(|| format!("{value:?} is no indicator"))
                .and_then(|sort| self.put(sort, &value, note, Holds::default()));
            if let Err(reason) = result {
                problem(format!("line {}: {reason}", at + 1));
            }
        }
    }

    fn json(&mut self, name: &str, json: Json, problem: &mut impl FnMut(String)) {
        let Parts { objects, event, response, events, mut attributes } = match json {
            Json::One(parts) => *parts,
            Json::Many(elements) => {
                let mut parts = Parts::default();
                for element in elements {
                    match element {
                        Element::Stix(object) => parts.objects.push(object),
                        Element::Misp(wrapped) => parts.events.push(wrapped),
                    }
                }
                parts
            }
        };
        for object in objects.into_iter().filter(|object| object.kind == "indicator" && !object.revoked) {
            let Object { name: title, pattern, pattern_type, valid_from, valid_until, .. } = object;
            let pattern_type = pattern_type.unwrap_or_default();
            if !pattern_type.is_empty() && pattern_type != "stix" {
                problem(format!("{title:?}: a pattern of type {pattern_type:?} is left out"));
                continue;
            }
            let seconds = |stamp: Option<String>| {
                let stamp = stamp.as_deref().and_then(event::Time::parse_rfc3339);
                stamp.map_or(0, |t| u32::try_from(t.unix_s()).unwrap_or(0))
            };
            let holds = Holds { from_s: seconds(valid_from), until_s: seconds(valid_until) };
            let note = self.note(&format!("{name}: {title}"));
            match stix_values(&pattern) {
                Ok(values) => {
                    for (sort, value) in values {
                        if let Err(reason) = self.put(sort, &refanged(&value), note, holds) {
                            problem(format!("{title:?}: {reason}"));
                        }
                    }
                }
                Err(reason) => problem(format!("{title:?}: {reason}")),
            }
        }
        let answered = match response {
            Response::Events(events) => events,
            Response::Attributes { attributes: found } => {
                attributes.extend(found);
                Vec::new()
            }
        };
        let alone = (!attributes.is_empty()).then(|| MispEvent { attributes, ..MispEvent::default() });
        let wrapped = answered.into_iter().chain(events).filter_map(|w| w.event);
        for event in event.into_iter().chain(alone).chain(wrapped) {
            let note = self.note(&format!("{name}: {}", event.info));
            let of_objects = event.objects.into_iter().flat_map(|object| object.attributes);
            for Attribute { kind, value, to_ids, deleted } in event.attributes.into_iter().chain(of_objects) {
                // Without the mark it is context, not something to detect.
                if to_ids.is_some_and(|mark| !mark.yes()) || deleted.is_some_and(|mark| mark.yes()) {
                    continue;
                }
                for (sort, value) in misp_values(&kind, &value) {
                    if let Err(reason) = self.put(sort, &refanged(value), note, Holds::default()) {
                        problem(reason);
                    }
                }
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    One(Box<Parts>),
    Many(Vec<Element>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Element {
    Stix(Object),
    Misp(Wrapped),
}

#[derive(Default, Deserialize)]
struct Parts {
    #[serde(default)]
    objects: Vec<Object>,
    #[serde(default, rename = "Event")]
    event: Option<MispEvent>,
    #[serde(default)]
    response: Response,
    #[serde(default)]
    events: Vec<Wrapped>,
    #[serde(default, rename = "Attribute")]
    attributes: Vec<Attribute>,
}

/// What MISP answers to a search for events, or for attributes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Response {
    Events(Vec<Wrapped>),
    Attributes {
        #[serde(rename = "Attribute")]
        attributes: Vec<Attribute>,
    },
}

impl Default for Response {
    fn default() -> Response {
        Response::Events(Vec::new())
    }
}

/// An object of a STIX bundle (STIX 2.1 §4.7).
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    pattern: String,
    #[serde(default)]
    pattern_type: Option<String>,
    #[serde(default)]
    valid_from: Option<String>,
    #[serde(default)]
    valid_until: Option<String>,
    #[serde(default)]
    revoked: bool,
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "Event")]
    event: Option<MispEvent>,
}

/// A MISP event (MISP core format, draft-dulaunoy-misp-core-format).
#[derive(Default, Deserialize)]
struct MispEvent {
    #[serde(default)]
    info: String,
    #[serde(default, rename = "Attribute")]
    attributes: Vec<Attribute>,
    #[serde(default, rename = "Object")]
    objects: Vec<MispObject>,
}

#[derive(Deserialize)]
struct MispObject {
    #[serde(default, rename = "Attribute")]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "type")]
    kind: String,
    value: String,
    #[serde(default)]
    to_ids: Option<Mark>,
    #[serde(default)]
    deleted: Option<Mark>,
}

/// Yes or no, also as a number or text, as exports of MISP have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Mark {
    Is(bool),
    Number(u8),
    Text(String),
}

impl Mark {
    fn yes(&self) -> bool {
        match self {
            Mark::Is(yes) => *yes,
            Mark::Number(number) => *number != 0,
            Mark::Text(text) => !matches!(text.as_str(), "" | "0" | "false"),
        }
    }
}

fn csv_cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let cell = cells.last_mut().expect("one cell at least");
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',' | ';' | '\t', false) => cells.push(String::new()),
            _ => cell.push(c),
        }
    }
    cells
}

/// A value as it is, of the forms in which people write what nobody should click.
fn refanged(value: &str) -> Cow<'_, str> {
    let scheme = value.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("hxxp"));
    if !scheme && !value.contains(['[', ']', '(', '{', '\\']) {
        return Cow::Borrowed(value);
    }
    let mut plain = value.to_owned();
    const FORMS: [(&str, &str); 11] = [
        ("[.]", "."),
        ("(.)", "."),
        ("{.}", "."),
        ("[dot]", "."),
        ("(dot)", "."),
        ("[:]", ":"),
        ("[://]", "://"),
        ("[/]", "/"),
        ("[.", "."),
        (".]", "."),
        ("\\.", "."),
    ];
    for (form, sign) in FORMS {
        plain = plain.replace(form, sign);
    }
    if scheme {
        plain.replace_range(1..3, "tt");
    }
    Cow::Owned(plain)
}

/// An address, one with a port, or a prefix that keeps no bit below its length.
fn network(value: &str) -> Result<IpNet, String> {
    if let Ok(ip) = value.parse::<IpAddr>().or_else(|_| value.parse::<SocketAddr>().map(|at| at.ip())) {
        return Ok(IpNet::from(ip.to_canonical()));
    }
    value.parse::<IpNet>().map(|net| net.trunc()).map_err(|_| format!("{value:?} is no address or prefix"))
}

/// What a bare value is, by its form.
fn sort_of(value: &str) -> Option<Sort> {
    if network(value).is_ok() {
        return Some(Sort::Address);
    }
    if is_hash(value) {
        return Some(Sort::Hash);
    }
    if value.contains("://") {
        return Some(Sort::Url);
    }
    domain(value).filter(|name| name.contains('.')).map(|_| Sort::Domain)
}

/// Whether a text is a hash of a file in hexadecimal: MD5, SHA-1 or SHA-256.
fn is_hash(value: &str) -> bool {
    matches!(value.len(), 32 | 40 | 64) && value.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The name of a host, perhaps with a port behind it, as DNS carries it.
fn domain(value: &str) -> Option<String> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let name = value.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(value, |(name, _)| name);
    // No highest domain is a number (RFC 3696 §2): such a text is an address that is none.
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name_of_host(name).filter(|name| !name.rsplit('.').next().is_some_and(is_number))
}

/// An address of a page as records have it in one form or another: without its scheme and the port that this stands for, its host in lower case and as
/// DNS carries it, without a fragment, which nobody sends, and a closing slash: `example.com/a?b`.
fn plain_url(value: &str) -> String {
    let value = value.split('#').next().unwrap_or(value);
    let (scheme, rest) = value.split_once("://").unwrap_or(("", value));
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let port = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => ":80",
        _ if scheme.eq_ignore_ascii_case("https") => ":443",
        _ => "",
    };
    let host = host.strip_suffix(port).unwrap_or(host);
    let host = idn::in_ascii(host).unwrap_or(Cow::Borrowed(host));
    format!("{host}{}", path.trim_end_matches('/'))
}

/// Whether a file is JSON: an object, or a list of them. An IPv6 address in brackets is none.
fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{') || text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['{', ']']))
}

/// The values of a STIX pattern that is one comparison, or several of which each alone is enough (STIX 2.1 §9).
fn stix_values(pattern: &str) -> Result<Vec<(Sort, String)>, String> {
    let mut values = Vec::new();
    let mut rest = pattern.trim();
    let mut sort = None;
    let mut wider = false;
    let ends = |c: char| c.is_whitespace() || matches!(c, '\'' | '[' | ']' | '(' | ')' | ',' | '=');
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (value, after) = stix_text(quoted).ok_or("a text that does not end")?;
            rest = after;
            if wider && network(&value).is_ok_and(|net| net.prefix_len() < net.max_prefix_len()) {
                return Err("a pattern with ISSUPERSET is left out: what is observed is one address".to_owned());
            }
            if let Some(sort) = sort {
                values.push((sort, value));
            }
            continue;
        }
        let end = rest.find(ends).unwrap_or(rest.len());
        let word = &rest[..end];
        rest = if end == 0 { &rest[first.len_utf8()..] } else { &rest[end..] };
        match word {
            "" | "OR" | "IN" | "ISSUBSET" => {}
            "ISSUPERSET" => wider = true,
            "AND" | "FOLLOWEDBY" | "NOT" | "LIKE" | "MATCHES" | "WITHIN" | "REPEATS" | "!=" | "!" | "<" | ">" => {
                return Err(format!("a pattern with {word} is left out"));
            }
            "ipv4-addr:value" | "ipv6-addr:value" | "network-traffic:dst_ref.value" | "network-traffic:src_ref.value" => {
                (sort, wider) = (Some(Sort::Address), false);
            }
            "domain-name:value" => sort = Some(Sort::Domain),
            "url:value" => sort = Some(Sort::Url),
            hash if hash.starts_with("file:hashes") => {
                sort = Some(Sort::Hash);
                // `file:hashes.'SHA-256' = '...'`: the name of the algorithm is a text too.
                if let Some(quoted) = rest.strip_prefix('\'') {
                    rest = stix_text(quoted).ok_or("a text that does not end")?.1;
                }
            }
            path if path.contains(':') => return Err(format!("nothing is compared with {path}")),
            _ => return Err(format!("{word:?} is not understood")),
        }
    }
    if values.is_empty() { Err("a pattern without a value".to_owned()) } else { Ok(values) }
}

fn stix_text(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' => return Some((value, &quoted[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

fn misp_values<'v>(kind: &str, value: &'v str) -> Vec<(Sort, &'v str)> {
    let (first, second) = value.split_once('|').map_or((value, ""), |(a, b)| (a, b));
    match kind {
        "ip-src" | "ip-dst" => vec![(Sort::Address, value)],
        "ip-src|port" | "ip-dst|port" => vec![(Sort::Address, first)],
        "domain" | "hostname" => vec![(Sort::Domain, value)],
        "hostname|port" => vec![(Sort::Domain, first)],
        "domain|ip" => vec![(Sort::Domain, first), (Sort::Address, second)],
        "url" | "uri" => vec![(Sort::Url, value)],
        "md5" | "sha1" | "sha256" => vec![(Sort::Hash, value)],
        // A sample is named by its MD5.
        "filename|md5" | "filename|sha1" | "filename|sha256" | "malware-sample" => vec![(Sort::Hash, second)],
        _ => Vec::new(),
    }
}

/// Which source met which indicator lately.
#[derive(Deserialize, Serialize)]
pub(super) struct Watch {
    told: Table<(u32, u128, u64), ()>,
}

impl Watch {
    pub(super) fn new(p: &Parameters) -> Watch {
        Watch { told: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.told.evicted(), self.told.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let indicators = view.site.indicators();
        if indicators.is_empty() {
            return;
        }
        let o = view.o;
        let mut hits: [Option<u32>; 5] = [None; 5];
        // Whom the Internet sends to is not ours to choose: that something listed knocked and was not let in says nothing.
        let knocked = !view.source_inside && o.answer.failed();
        if o.what != What::Query && !knocked {
            if o.destination != 0 && !view.destination_inside {
                hits[0] = indicators.find_address(o.destination);
            }
            if o.source != 0 && !view.source_inside {
                hits[1] = indicators.find_address(o.source);
            }
        }
        if !o.name.is_empty() && o.what != What::Login {
            hits[2] = indicators.find_domain(view.name()).or_else(|| indicators.find_address(bits(view.name().parse().ok()?)));
        }
        if !o.url.is_empty() {
            hits[3] = indicators.find(Sort::Url, &plain_url(o.url.of(view.text)));
        }
        if !o.hash.is_empty() {
            let hashes = o.hash.of(view.text).to_ascii_lowercase();
            hits[4] = hashes.split(' ').find_map(|hash| indicators.find(Sort::Hash, hash));
        }
        for number in hits.into_iter().flatten() {
            let entry = &indicators.entries[number as usize];
            if !entry.holds.at(o.time) || p.what != "any" && p.what != entry.sort.name() || view.expected(p) {
                continue;
            }
            self.told.expire(o.time.saturating_sub(p.forget));
            let key = (o.tenant, o.source, mix(u128::from(number)));
            let known = self.told.get(&key).is_some();
            self.told.entry(key, o.time);
            if known {
                continue;
            }
            let mut f = Found::at(view, &["source.ip"]);
            f.group.insert("threat.indicator".to_owned(), indicators.value(number).to_owned());
            f.explain("indicator", indicators.value(number));
            f.explain("indicator_kind", entry.sort.name());
            f.explain("reported_by", &indicators.notes[entry.note as usize]);
            f.explain("answered", o.answer.name());
            found.push(f);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Indicators, Vec<String>) {
        let (mut indicators, mut problems) = (Indicators::default(), Vec::new());
        indicators.add("feed", text, &mut problems);
        (indicators, problems)
    }

    fn address(indicators: &Indicators, text: &str) -> bool {
        indicators.find_address(bits(text.parse().expect("an address"))).is_some()
    }

    #[test]
    fn csv_with_and_without_a_heading() {
        let (plain, problems) = read("# feed\n203.0.113.7\n198.51.100.0/24\nbad.example.net\nhttps://Example.org/a/\nnot one\n");
        assert_eq!((plain.len(), problems.len()), (4, 1), "{problems:?}");
        assert!(address(&plain, "203.0.113.7") && address(&plain, "198.51.100.9") && !address(&plain, "203.0.113.8"));
        assert!(plain.find_domain("a.Bad.Example.NET.").is_some() && plain.find_domain("verybad.example.net").is_none());
        assert!(plain.find(Sort::Url, &plain_url("http://example.org/a")).is_some());
        let (headed, problems) = read("id,type,value,comment\n1,ip,\"203.0.113.9\",\"a, b\"\n");
        assert_eq!(problems, Vec::<String>::new());
        assert!(address(&headed, "203.0.113.9") && headed.notes[0].ends_with("a, b"));
    }

    #[test]
    fn values_that_nobody_should_click_are_read_as_what_they_are() {
        let feed = "\u{feff}ioc,comment\nhxxp://bad[.]example[.]net/a,one\nhXXps[:]//worse(.)example.net/b,two\nevil[.]example.com,three\n\
            203[.]0.113.51,four\n203.0.113.52:4444,five\n[2001:db8::7]:443,six\n例え.jp,seven\nbad\\.example[.com,eight\n";
        let (indicators, problems) = read(feed);
        assert_eq!((indicators.len(), problems.len()), (8, 0), "{problems:?}");
        assert!(["xn--r8jz45g.jp", "www.例え.JP", "bad.example.com"].iter().all(|name| indicators.find_domain(name).is_some()));
        for url in ["http://bad.example.net/a", "https://worse.example.net/b"] {
            assert!(indicators.find(Sort::Url, &plain_url(url)).is_some(), "{url}");
        }
        assert!(indicators.find_domain("www.evil.example.com").is_some());
        for ip in ["203.0.113.51", "203.0.113.52", "2001:db8::7"] {
            assert!(address(&indicators, ip), "{ip}");
        }
        assert!(indicators.notes[0].ends_with("one"), "the first column has its name without the mark of the byte order");
    }

    #[test]
    fn names_are_read_however_lists_write_them() {
        let feed = "; list\n*.wild.example\n.dot.example # said of it\nport.example:8443\n203.0.113.0/24 ; SBL1\n203.0.113.300\n";
        let (indicators, problems) = read(feed);
        assert_eq!((indicators.len(), problems.len()), (4, 1), "{problems:?}");
        for name in ["a.wild.example", "dot.example", "port.example"] {
            assert!(indicators.find_domain(name).is_some(), "{name}");
        }
        // Lists whose heading is a comment.
        let (indicators, problems) =
            read("####\n# a list\n# \"seen\",\"ioc_value\",\"type\"\n\"2026-01-01\", \"203.0.113.9:443\", \"ip\"\n");
        assert_eq!(problems, Vec::<String>::new());
        assert!(address(&indicators, "203.0.113.9"));
        let (indicators, problems) = read("ip,203.0.113.7\ndomain,a.example\n");
        assert_eq!((indicators.len(), problems), (2, Vec::new()), "without a heading the column that has an indicator");
    }

    #[test]
    fn one_page_is_one_page_however_it_is_written() {
        for (a, b, same) in [
            ("http://example.com:80/a", "http://example.com/a", true),
            ("https://EXAMPLE.com:443", "https://example.com/", true),
            ("http://example.com:443/a", "http://example.com/a", false),
            ("http://example.com/a#top", "https://example.com/a", true),
            ("http://example.com?Q=1", "http://Example.com?Q=1", true),
            ("http://example.com?Q=1", "http://example.com?q=1", false),
            ("http://例え.jp/a", "http://xn--r8jz45g.jp/a", true),
        ] {
            assert_eq!(plain_url(a) == plain_url(b), same, "{a} {b}");
        }
    }

    #[test]
    fn what_two_report_holds_as_long_as_one_says() {
        let object = |until: &str| {
            let valid = if until.is_empty() { String::new() } else { format!(r#","valid_until":"{until}""#) };
            format!(
                r#"{{"type":"indicator","name":"x","pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.1']"{valid}}}"#
            )
        };
        for (untils, expected) in [
            (["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"], 1_798_761_600),
            (["2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z"], 1_798_761_600),
            (["2026-01-01T00:00:00Z", ""], 0),
        ] {
            let (indicators, _) = read(&format!(r#"{{"objects":[{},{}]}}"#, object(untils[0]), object(untils[1])));
            assert_eq!(indicators.entries.iter().map(|entry| entry.holds.until_s).collect::<Vec<_>>(), [expected], "{untils:?}");
        }
    }

    #[test]
    fn stix_patterns_that_one_value_satisfies_are_taken_and_others_told() {
        let bundle = r#"{"type":"bundle","objects":[
            {"type":"indicator","name":"one","pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.1' OR domain-name:value = 'c2.example.net']","valid_until":"2026-01-01T00:00:00Z"},
            {"type":"indicator","name":"subset","pattern_type":"stix","pattern":"[ipv4-addr:value ISSUBSET '198.51.100.0/24']"},
            {"type":"indicator","name":"hash","pattern_type":"stix","pattern":"[file:hashes.'SHA-256' = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']"},
            {"type":"indicator","name":"both","pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.2' AND network-traffic:dst_port = 80]"},
            {"type":"indicator","name":"revoked","revoked":true,"pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.3']"},
            {"type":"indicator","name":"later","pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.4']","valid_from":"2099-01-01T00:00:00Z"},
            {"type":"indicator","name":"before","pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.6']","valid_from":"2020-01-01T00:00:00Z"},
            {"type":"indicator","name":"wider","pattern_type":"stix","pattern":"[ipv4-addr:value ISSUPERSET '192.0.2.0/24']"},
            {"type":"indicator","name":"lines","pattern_type":"stix","pattern":"[ipv4-addr:value\t=\n'203.0.113.8'\n OR network-traffic:dst_ref.value = '203.0.113.9']"},
            {"type":"malware","name":"x"}]}"#;
        let (indicators, problems) = read(bundle);
        assert_eq!((indicators.len(), problems.len()), (8, 2), "{problems:?}");
        assert!(address(&indicators, "203.0.113.9") && !address(&indicators, "192.0.2.1"));
        let alone = r#"{"type":"indicator","name":"x","pattern":"[domain-name:value = '例え.jp']"}"#;
        assert!(read(alone).0.find_domain("xn--r8jz45g.jp").is_some());
        let later = indicators.find_address(bits("203.0.113.4".parse().expect("an address"))).expect("there");
        let holds = indicators.entries[later as usize].holds;
        assert!(!holds.at(4_070_908_799_999_999_999) && holds.at(4_070_908_800_000_000_000));
        assert!(
            address(&indicators, "198.51.100.77") && !address(&indicators, "203.0.113.2") && !address(&indicators, "203.0.113.3")
        );
        assert!(indicators.find(Sort::Hash, &"a".repeat(64)).is_some());
        let c2 = indicators.find_domain("c2.example.net").expect("there");
        assert_eq!(indicators.entries[c2 as usize].holds, Holds { from_s: 0, until_s: 1_767_225_600 });
    }

    #[test]
    fn misp_attributes_marked_for_detection_are_taken() {
        let event = r#"{"response":[{"Event":{"info":"case","Attribute":[
            {"type":"ip-dst|port","value":"203.0.113.5|443","to_ids":true},
            {"type":"domain","value":"context.example.net","to_ids":false},
            {"type":"domain","value":"gone.example.net","to_ids":true,"deleted":true},
            {"type":"domain","value":"old.example.net","to_ids":"1","deleted":"0"},
            {"type":"comment","value":"words","to_ids":true}],
            "Object":[{"Attribute":[{"type":"filename|md5","value":"a.exe|0123456789abcdef0123456789abcdef","to_ids":true}]}]}}]}"#;
        let (indicators, problems) = read(event);
        assert_eq!((indicators.len(), problems), (3, Vec::new()));
        assert!(address(&indicators, "203.0.113.5") && indicators.find_domain("old.example.net").is_some());
        assert!(["context.example.net", "gone.example.net"].iter().all(|name| indicators.find_domain(name).is_none()));
        let attribute = r#"{"type":"malware-sample","value":"a.exe|0123456789abcdef0123456789abcdef"}"#;
        for form in [
            r#"[{"Event":{"Attribute":[@]}}]"#,
            r#"{"response":{"Attribute":[@]}}"#,
            r#"{"response":[{"Event":{"Attribute":[@]}}]}"#,
        ] {
            assert_eq!(read(&form.replace('@', attribute)).0.len(), 1, "{form}");
        }
    }

    #[test]
    fn what_is_no_indicator_file_says_so() {
        for text in ["{}", "{\"objects\":[]}", "[1]", "", "only words here"] {
            assert!(!read(text).1.is_empty(), "{text:?}");
        }
    }
}
