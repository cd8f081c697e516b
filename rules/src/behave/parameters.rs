//! A behaviour as a rule file writes it: its type, its numbers, its safelist. Unknown words are refused.
//!
//! ```yaml
//! behaviour:
//!   type: beacon
//!   score: 0.85
//!   safelist: {domains: [example.com, "%vendor_services%"], ports: [udp/123]}
//! ```

use std::collections::BTreeSet;

use super::Kind;
use super::guessing::service_names;
use super::hours::Announced;
use super::site::Safelist;
use crate::fault::{Fault, did_you_mean};
use crate::sigma::correlation::timespan_ns;
use crate::sigma::placeholder::Placeholders;
use crate::yaml::Node;

/// What a rule file says of a behaviour, with the defaults of its type. Each type uses some of it.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(super) kind: Kind,
    pub(super) safelist: Safelist,
    pub(super) entries_max: usize,
    // Scores and shares, 0 to 1.
    pub(super) score: f64,
    pub(super) timing_score: f64,
    pub(super) prevalence: f64,
    pub(super) failed_share: f64,
    pub(super) upload_share: f64,
    pub(super) bulk_share: f64,
    pub(super) share: f64,
    // Counts.
    pub(super) connections: u64,
    pub(super) hosts: u64,
    pub(super) ports: u64,
    pub(super) pings: u64,
    pub(super) contacts: u64,
    pub(super) failures: u64,
    pub(super) users: u64,
    pub(super) sources: u64,
    pub(super) clients: u64,
    pub(super) networks: u64,
    pub(super) names: u64,
    pub(super) stable: u64,
    pub(super) records: u64,
    pub(super) queries: u64,
    // Sizes and rates.
    pub(super) bytes: f64,
    pub(super) times: f64,
    pub(super) name_bytes: f64,
    pub(super) bulk_name_bytes: f64,
    pub(super) query_bytes: f64,
    pub(super) answer_bytes: f64,
    pub(super) ping_bytes: f64,
    /// Hours of the day.
    pub(super) opens: f64,
    pub(super) closes: f64,
    /// Bits a character.
    pub(super) entropy: f64,
    pub(super) bits_per_second: f64,
    pub(super) bytes_per_second: f64,
    pub(super) packets_per_second: f64,
    pub(super) flows_per_second: f64,
    // Timespans in nanoseconds.
    pub(super) span: i64,
    pub(super) idle: i64,
    pub(super) gap: i64,
    pub(super) duration: i64,
    pub(super) learn: i64,
    pub(super) forget: i64,
    pub(super) seconds: i64,
    pub(super) within: i64,
    pub(super) session: i64,
    pub(super) bands: Vec<i64>,
    // Words.
    pub(super) answered: String,
    pub(super) class: String,
    pub(super) digest: String,
    pub(super) what: String,
    pub(super) legs: String,
    pub(super) of: String,
    pub(super) services: Vec<String>,
    pub(super) accounts: Vec<String>,
    pub(super) announced: Vec<Announced>,
    pub(super) doh: Safelist,
    pub(super) admin_ports: Safelist,
    pub(super) chat_ports: Safelist,
}

/// A number: its name, default, smallest and largest value.
type Number = (&'static str, f64, f64, f64);
/// A timespan: its name and default.
type Span = (&'static str, &'static str);

/// What a type takes besides numbers and timespans: lists of words.
struct Shape {
    numbers: &'static [Number],
    spans: &'static [Span],
    lists: &'static [&'static str],
    words: &'static [(&'static str, &'static [&'static str])],
}

/// Entries of a table may be set per rule; the bound of the bound keeps one rule from taking the machine.
const ENTRIES: Number = ("entries_max", 500_000.0, 100.0, 20_000_000.0);
/// Numbers that count: whole ones.
const COUNTS: [&str; 15] = [
    "entries_max",
    "connections",
    "hosts",
    "ports",
    "pings",
    "contacts",
    "failures",
    "users",
    "sources",
    "clients",
    "networks",
    "names",
    "stable",
    "records",
    "queries",
];
/// Which sources a rule is about, by where they stand.
const CLASS: (&str, &[&str]) = ("class", &["any", "inside", "outside"]);

fn shape(kind: Kind) -> Shape {
    match kind {
        Kind::Beacon => Shape {
            numbers: &[
                ENTRIES,
                ("score", 0.85, 0.0, 1.0),
                ("timing_score", 0.7, 0.0, 1.0),
                ("connections", 20.0, 4.0, 500.0),
                ("prevalence", 0.5, 0.0, 1.0),
                ("bytes_per_second", 50_000.0, 1.0, 1e12),
            ],
            spans: &[("span", "60s"), ("idle", "1d")],
            lists: &[],
            words: &[("answered", &["yes", "no"])],
        },
        Kind::LongConnection => Shape { numbers: &[ENTRIES], spans: &[], lists: &["bands"], words: &[] },
        Kind::Scan => Shape {
            numbers: &[
                ENTRIES,
                ("hosts", 8.0, 3.0, 100_000.0),
                ("ports", 10.0, 3.0, 65_535.0),
                ("pings", 15.0, 3.0, 100_000.0),
                ("contacts", 12.0, 4.0, 100_000.0),
                ("failed_share", 0.3, 0.0, 1.0),
            ],
            spans: &[("gap", "5m"), ("span", "0s")],
            lists: &[],
            words: &[CLASS, ("digest", &["no", "yes"])],
        },
        Kind::Guessing => Shape {
            numbers: &[
                ENTRIES,
                ("connections", 20.0, 5.0, 100_000.0),
                ("failures", 10.0, 3.0, 100_000.0),
                ("users", 10.0, 3.0, 100_000.0),
                ("sources", 10.0, 3.0, 100_000.0),
                ("clients", 10.0, 2.0, 100_000.0),
            ],
            spans: &[("gap", "5m"), ("duration", "30s")],
            lists: &["services"],
            words: &[("what", &["all", "spraying"])],
        },
        Kind::Exfiltration => Shape {
            numbers: &[ENTRIES, ("bytes", 1e9, 1e6, 1e15), ("times", 3.0, 1.0, 1000.0), ("upload_share", 0.8, 0.0, 1.0)],
            spans: &[],
            lists: &[],
            words: &[],
        },
        Kind::DnsTunnel => Shape {
            numbers: &[
                ENTRIES,
                ("names", 50.0, 10.0, 100_000.0),
                ("name_bytes", 24.0, 4.0, 253.0),
                ("entropy", 3.0, 0.0, 8.0),
                ("bulk_share", 0.5, 0.0, 1.0),
                ("bulk_name_bytes", 12.0, 1.0, 253.0),
            ],
            spans: &[("gap", "10m")],
            lists: &[],
            words: &[],
        },
        Kind::FirstSeen => Shape {
            numbers: &[ENTRIES, ("stable", 50.0, 1.0, 1000.0)],
            spans: &[("learn", "7d"), ("forget", "30d")],
            lists: &[],
            words: &[("what", &["service", "destination"])],
        },
        Kind::Port => {
            Shape { numbers: &[ENTRIES, ("sources", 5.0, 1.0, 100_000.0)], spans: &[("forget", "1d")], lists: &[], words: &[] }
        }
        Kind::Bypass => Shape {
            numbers: &[ENTRIES, ("clients", 10.0, 2.0, 100_000.0), ("share", 0.9, 0.5, 1.0), ("connections", 3.0, 1.0, 1000.0)],
            spans: &[("forget", "7d"), ("learn", "10m")],
            lists: &["doh"],
            words: &[("of", &["proxy", "dns"])],
        },
        Kind::Flood => Shape {
            numbers: &[
                ENTRIES,
                ("bits_per_second", 1e9, 1e3, 1e15),
                ("packets_per_second", 200_000.0, 10.0, 1e12),
                ("flows_per_second", 20_000.0, 10.0, 1e9),
            ],
            spans: &[("seconds", "5s")],
            lists: &[],
            words: &[CLASS],
        },
        Kind::Lateral => Shape {
            numbers: &[ENTRIES, ("hosts", 4.0, 2.0, 10_000.0), ("clients", 5.0, 2.0, 100_000.0)],
            spans: &[("gap", "1h")],
            lists: &["admin_ports"],
            words: &[],
        },
        Kind::Indicator => Shape {
            numbers: &[ENTRIES],
            spans: &[("forget", "1h")],
            lists: &[],
            words: &[("what", &["any", "address", "domain", "url", "hash"])],
        },
        Kind::Source => Shape {
            numbers: &[
                ("entries_max", 20_000.0, 100.0, 200_000.0),
                ("records", 30.0, 1.0, 1e6),
                ("times", 4.0, 1.0, 1000.0),
                ("share", 0.2, 0.0, 1.0),
            ],
            spans: &[("gap", "5m"), ("learn", "2d")],
            lists: &[],
            words: &[("what", &["silent", "volume", "clock", "unreadable"])],
        },
        Kind::Hours => Shape {
            numbers: &[("opens", 8.0, 0.0, 24.0), ("closes", 18.5, 0.0, 24.0)],
            spans: &[],
            lists: &["accounts", "announced"],
            words: &[],
        },
        Kind::Carrier => Shape {
            numbers: &[
                ENTRIES,
                ("queries", 300.0, 10.0, 1e6),
                ("query_bytes", 120.0, 40.0, 1500.0),
                ("answer_bytes", 600.0, 40.0, 65_535.0),
                ("ping_bytes", 128.0, 40.0, 65_535.0),
                ("bytes", 100_000.0, 1000.0, 1e12),
            ],
            spans: &[("span", "10m")],
            lists: &[],
            words: &[],
        },
        Kind::Chat => Shape {
            numbers: &[
                ENTRIES,
                ("connections", 3.0, 1.0, 1000.0),
                ("bytes_per_second", 2000.0, 1.0, 1e9),
                ("bytes", 20_000.0, 100.0, 1e12),
            ],
            spans: &[("duration", "60s"), ("forget", "1d")],
            lists: &["chat_ports"],
            words: &[],
        },
        Kind::Peers => Shape {
            numbers: &[
                ENTRIES,
                ("hosts", 40.0, 5.0, 100_000.0),
                ("networks", 25.0, 2.0, 60_000.0),
                ("failed_share", 0.2, 0.0, 1.0),
            ],
            spans: &[("span", "1h")],
            lists: &[],
            words: &[],
        },
        Kind::Names => Shape {
            numbers: &[ENTRIES, ("names", 25.0, 5.0, 100_000.0), ("networks", 30.0, 5.0, 60_000.0), ("entropy", 2.0, 0.0, 8.0)],
            spans: &[("span", "1h")],
            lists: &[],
            words: &[("what", &["made_up", "addresses"])],
        },
        Kind::Clicks => Shape {
            numbers: &[ENTRIES, ("queries", 20.0, 1.0, 1e6), ("hosts", 60.0, 3.0, 100_000.0)],
            spans: &[("gap", "15s"), ("span", "30m")],
            lists: &[],
            words: &[],
        },
        Kind::Mail => {
            Shape { numbers: &[ENTRIES, ("hosts", 20.0, 3.0, 100_000.0)], spans: &[("span", "1h")], lists: &[], words: &[] }
        }
        Kind::Zone => Shape {
            numbers: &[("bytes", 1e7, 0.0, 1e15), ("times", 10.0, 1.0, 1e6)],
            spans: &[("within", "30s"), ("session", "10m")],
            lists: &[],
            words: &[("what", &["violation", "attempt", "sanitiser"]), ("legs", &["one", "several"])],
        },
    }
}

impl Parameters {
    /// What the state of a behaviour hangs on: what it watches, and how much it may keep. Thresholds and safelists are asked each time, so
    /// that what was learnt stays true when they change.
    pub(super) fn shape_of_state(&self) -> String {
        let Parameters { kind, entries_max, answered, class, digest, what, of, bands, stable, .. } = self;
        format!("{kind:?} {entries_max} {answered} {class} {digest} {what} {of} {bands:?} {stable}")
    }

    /// Reads the member `behaviour` of a rule.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn read(node: &Node, placeholders: &Placeholders) -> Result<Parameters, Vec<Fault>> {
        let Node::Map(entries) = node else { return Err(vec![Fault::new(&[], "a behaviour is a mapping")]) };
        let named = node.text_at("type").unwrap_or("");
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == named) else {
            let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            let reason = format!("{named:?} is no type of behaviour; there are {}", all.join(", "));
            return Err(vec![Fault::new(&["type"], reason).hint(did_you_mean(named, all))]);
        };
        let shape = shape(kind);
        let mut faults = Vec::new();
        let mut safelist = Safelist::default();
        for (key, value) in entries {
            let reason = if key == "type" {
                None
            } else if key == "safelist" {
                match Safelist::read(value, placeholders) {
                    Ok(read) => safelist = read,
                    Err(fault) => faults.push(fault.below(key)),
                }
                None
            } else if let Some((_, _, least, most)) = shape.numbers.iter().find(|n| n.0 == key) {
                let whole = COUNTS.contains(&key.as_str());
                let ok = float(value).is_some_and(|v| (*least..=*most).contains(&v) && !(whole && v.fract() != 0.0));
                (!ok).then(|| format!("{key} is a {}number from {least} to {most}", if whole { "whole " } else { "" }))
            } else if shape.spans.iter().any(|s| s.0 == key) {
                let ok = value.scalar().as_deref().and_then(timespan_of).is_some();
                (!ok).then(|| format!("{key} is a timespan such as 5m"))
            } else if shape.lists.contains(&key.as_str()) {
                wrong_in_list(key, value)
            } else if let Some((_, words)) = shape.words.iter().find(|(name, _)| name == key) {
                let ok = value.scalar().is_some_and(|v| words.contains(&yes_no(value, &v).as_str()));
                (!ok).then(|| format!("{key} is one of {}", words.join(", ")))
            } else {
                let known = shape.numbers.iter().map(|n| n.0).chain(shape.spans.iter().map(|s| s.0));
                let known = known.chain(shape.lists.iter().copied()).chain(shape.words.iter().map(|w| w.0)).chain(["safelist"]);
                faults.push(Fault::new(&[key], format!("{named} knows no {key:?}")).hint(did_you_mean(key, known)));
                None
            };
            faults.extend(reason.map(|reason| Fault::new(&[key], reason)));
        }
        let read = Read { kind, values: entries };
        if read.number("opens") > read.number("closes") {
            faults.push(Fault::new(&["closes"], "closes is not before opens"));
        }
        let mut names = |list: &str, key: &str| {
            let node = Node::Map(vec![(key.to_owned(), Node::List(read.list(list).into_iter().map(Node::Text).collect()))]);
            Safelist::read(&node, placeholders).unwrap_or_else(|fault| {
                faults.push(fault.below(list));
                Safelist::default()
            })
        };
        let (doh, admin_ports) = (names("doh", "domains"), names("admin_ports", "ports"));
        let chat_ports = names("chat_ports", "ports");
        let announced: Vec<Result<Announced, String>> = read.list("announced").iter().map(|text| Announced::read(text)).collect();
        let announced =
            announced.into_iter().filter_map(|one| one.map_err(|reason| faults.push(Fault::new(&["announced"], reason))).ok());
        let announced = announced.collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let bands: BTreeSet<i64> = read.list("bands").iter().filter_map(|text| timespan_of(text)).collect();
        Ok(Parameters {
            kind,
            safelist,
            entries_max: read.count("entries_max") as usize,
            score: read.number("score"),
            timing_score: read.number("timing_score"),
            prevalence: read.number("prevalence"),
            failed_share: read.number("failed_share"),
            upload_share: read.number("upload_share"),
            bulk_share: read.number("bulk_share"),
            share: read.number("share"),
            connections: read.count("connections"),
            hosts: read.count("hosts"),
            ports: read.count("ports"),
            pings: read.count("pings"),
            contacts: read.count("contacts"),
            failures: read.count("failures"),
            users: read.count("users"),
            sources: read.count("sources"),
            clients: read.count("clients"),
            networks: read.count("networks"),
            names: read.count("names"),
            stable: read.count("stable"),
            records: read.count("records"),
            queries: read.count("queries"),
            bytes: read.number("bytes"),
            times: read.number("times"),
            name_bytes: read.number("name_bytes"),
            bulk_name_bytes: read.number("bulk_name_bytes"),
            query_bytes: read.number("query_bytes"),
            answer_bytes: read.number("answer_bytes"),
            ping_bytes: read.number("ping_bytes"),
            entropy: read.number("entropy"),
            opens: read.number("opens"),
            closes: read.number("closes"),
            bits_per_second: read.number("bits_per_second"),
            bytes_per_second: read.number("bytes_per_second"),
            packets_per_second: read.number("packets_per_second"),
            flows_per_second: read.number("flows_per_second"),
            span: read.span("span"),
            idle: read.span("idle"),
            gap: read.span("gap"),
            duration: read.span("duration"),
            learn: read.span("learn"),
            forget: read.span("forget"),
            seconds: read.span("seconds"),
            within: read.span("within"),
            session: read.span("session"),
            bands: bands.into_iter().collect(),
            answered: read.word("answered"),
            class: read.word("class"),
            digest: read.word("digest"),
            what: read.word("what"),
            legs: read.word("legs"),
            of: read.word("of"),
            services: read.list("services"),
            accounts: read.list("accounts"),
            announced,
            doh,
            admin_ports,
            chat_ports,
        })
    }
}

/// What is wrong with a list of words.
fn wrong_in_list(key: &str, value: &Node) -> Option<String> {
    let Node::List(list) = value else { return Some(format!("{key} is a list")) };
    let texts: Option<Vec<String>> = list.iter().map(Node::scalar).collect();
    let Some(texts) = texts else { return Some(format!("{key} is a list of words")) };
    match key {
        "bands" => {
            let wrong = texts.iter().find(|text| timespan_of(text).is_none())?;
            Some(format!("bands: {wrong:?} is no timespan such as 30m"))
        }
        "services" => {
            let wrong = texts.iter().find(|text| !service_names().any(|name| name == **text))?;
            let known: Vec<&str> = service_names().collect();
            Some(format!("services: {wrong:?} is none of {}", known.join(", ")))
        }
        _ => None,
    }
}

/// The members of a behaviour, with the shape of its type.
struct Read<'n> {
    kind: Kind,
    values: &'n [(String, Node)],
}

impl Read<'_> {
    fn value(&self, name: &str) -> Option<&Node> {
        self.values.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// A number; its default where the file does not say.
    fn number(&self, name: &str) -> f64 {
        let default = shape(self.kind).numbers.iter().find(|n| n.0 == name).map_or(0.0, |n| n.1);
        self.value(name).and_then(float).unwrap_or(default)
    }

    fn count(&self, name: &str) -> u64 {
        self.number(name) as u64
    }

    /// A timespan in nanoseconds.
    fn span(&self, name: &str) -> i64 {
        let default = shape(self.kind).spans.iter().find(|s| s.0 == name).map_or("0s", |s| s.1);
        let written = self.value(name).and_then(Node::scalar);
        written.as_deref().and_then(timespan_of).or_else(|| timespan_of(default)).unwrap_or(0)
    }

    fn list(&self, name: &str) -> Vec<String> {
        self.value(name).map_or(&[][..], Node::elements).iter().filter_map(Node::scalar).collect()
    }

    /// A word; the first possible one where the file does not say.
    fn word(&self, name: &str) -> String {
        let default = shape(self.kind).words.iter().find(|(word, _)| *word == name).map_or("", |(_, words)| words[0]);
        self.value(name).and_then(|node| Some(yes_no(node, &node.scalar()?))).unwrap_or_else(|| default.to_owned())
    }
}

fn float(node: &Node) -> Option<f64> {
    match node {
        Node::Int(n, _) => Some(*n as f64),
        Node::Float(n, _) if n.is_finite() => Some(*n),
        _ => None,
    }
}

/// YAML takes an unquoted `no` for a truth value in one version and for a word in another.
fn yes_no(node: &Node, text: &str) -> String {
    match node {
        Node::Bool(b) => if *b { "yes" } else { "no" }.to_owned(),
        _ => text.to_owned(),
    }
}

/// As Sigma's timespans; zero too.
fn timespan_of(text: &str) -> Option<i64> {
    if text == "0s" { Some(0) } else { timespan_ns(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would be read in part, or never hold, is refused.
    #[test]
    fn what_is_no_parameter_is_refused() {
        let read = |text: &str| Parameters::read(&crate::yaml::read(text).expect("YAML"), &Placeholders::new());
        for text in [
            "{type: beacon, connections: 20.5}",
            "{type: beacon, score: 1.1}",
            "{type: long_connection, bands: [1h, soon]}",
            "{type: long_connection, bands: [[1h]]}",
            "{type: guessing, services: [ssh, tlenet]}",
            "{type: lateral, admin_ports: [[tcp/445]]}",
            "{type: hours, opens: 18, closes: 8}",
            "{type: beacon, safelist: {domains: [[example.com]]}}",
        ] {
            assert!(read(text).is_err_and(|faults| faults.len() == 1), "{text}");
        }
        for text in ["{type: beacon, connections: 2e1, score: 0.5}", "{type: guessing, services: [ssh, http]}"] {
            assert!(read(text).is_ok(), "{text}");
        }
    }
}
