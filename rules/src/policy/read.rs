//! Reading a zone file, and proving it: what collides, what is never used, what an invariant forbids, what nobody sees.

use std::collections::HashMap;
use std::net::IpAddr;

use event::Time;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::table::{Lookup, Table};
use super::{Cell, Line, MustDeny, Observe, Policy, PolicyProblem, Sensors, Service, Zone};
use crate::behave::observe::transport_number;
use crate::yaml::{self, Document, Node};

/// Zones, and lines of each kind, in one file.
const ZONES_MAX: usize = 250;
const LINES_MAX: usize = 10_000;
/// Problems of one file that are told; a file with more is told so.
pub(super) const PROBLEMS_MAX: usize = 500;
/// Japan Standard Time, in which dates of the file are meant.
const JST_NS: i64 = 9 * 3600 * 1_000_000_000;

/// Per pair of zones its lines; exceptions behind the others.
pub(super) type Cells = HashMap<(u16, u16), Vec<Cell>>;

impl Policy {
    /// Reads and proves a policy file. Warnings come with the policy.
    ///
    /// # Errors
    /// Every problem that was found, warnings among them.
    pub fn parse(text: &str) -> Result<(Policy, Vec<PolicyProblem>), Vec<PolicyProblem>> {
        let mut reader = Reader { problems: Vec::new(), text };
        let policy = reader.read();
        let problems = reader.problems;
        match policy {
            Some(policy) if problems.iter().all(|p| p.warning) => Ok((policy, problems)),
            _ => Err(problems),
        }
    }
}

struct Reader<'t> {
    problems: Vec<PolicyProblem>,
    text: &'t str,
}

impl Reader<'_> {
    fn problem(&mut self, lines: &[usize], reason: String) {
        let faults = self.problems.iter().filter(|p| !p.warning).count();
        if faults < PROBLEMS_MAX {
            self.problems.push(PolicyProblem { lines: lines.to_vec(), reason, warning: false });
        } else if faults == PROBLEMS_MAX {
            let reason = format!("more than {PROBLEMS_MAX} problems; the others are not shown");
            self.problems.push(PolicyProblem { lines: Vec::new(), reason, warning: false });
        }
    }

    /// Whether further problems would not be told.
    fn full(&self) -> bool {
        self.problems.len() > PROBLEMS_MAX && self.problems.iter().filter(|p| !p.warning).count() > PROBLEMS_MAX
    }

    fn warn(&mut self, lines: &[usize], reason: String) {
        self.problems.push(PolicyProblem { lines: lines.to_vec(), reason, warning: true });
    }

    fn read(&mut self) -> Option<Policy> {
        let mut documents = yaml::documents(self.text);
        if documents.len() != 1 {
            self.problem(&[1], "a policy file has one document".to_owned());
            return None;
        }
        let document = documents.remove(0);
        let node = match &document.value {
            Ok(node) => node.clone(),
            Err((line, reason)) => {
                self.problem(&[*line], reason.clone());
                return None;
            }
        };
        self.keys(&node, &document, &["model", "zones", "default", "allow", "exceptions", "must_deny", "observe"]);
        if node.get("default").is_some_and(|d| d.text() != Some("deny")) {
            self.problem(&[document.line_of(&["default"])], "default: only deny is possible".to_owned());
        }
        let zones = self.zones(&node, &document);
        let names: Vec<String> = zones.iter().map(|z| z.name.clone()).collect();
        let allow = self.lines(&node, "allow", &names, false);
        let exceptions = self.lines(&node, "exceptions", &names, true);
        let must_deny = self.must_deny(&node, &names);
        let observe = self.observe(&node, &names);
        let blind = blind(&names, &observe);
        let index = |name: &str| names.iter().position(|n| n == name).unwrap_or(0) as u16;
        let mut cells: Cells = HashMap::new();
        for (lines, exception) in [(&allow, false), (&exceptions, true)] {
            for l in lines {
                let (service, src, dst, until) = (l.service.clone(), l.src, l.dst, l.until);
                cells.entry((index(&l.from), index(&l.to))).or_default().push(Cell {
                    line: l.line,
                    service,
                    src,
                    dst,
                    until,
                    exception,
                });
            }
        }
        self.prove_single(&cells);
        self.prove_used(&zones, &exceptions);
        self.prove_invariants(&must_deny, &allow, &exceptions);
        for (from, to) in &blind {
            self.warn(&[], format!("no sensor sees {from} → {to}: it is never reported as kept"));
        }
        let sha256 = Sha256::digest(self.text).iter().map(|b| format!("{b:02x}")).collect();
        let model = node.get("model").and_then(Node::scalar).unwrap_or_default();
        let lookup = Lookup::new(&zones);
        let sensors = Sensors::new(&observe);
        let table = Table::new(names.len(), cells, &must_deny, index);
        Some(Policy {
            model,
            zones,
            allow,
            exceptions,
            must_deny,
            observe,
            blind,
            sha256,
            text: self.text.to_owned(),
            sensors,
            lookup,
            table,
        })
    }

    fn keys(&mut self, node: &Node, document: &Document, known: &[&str]) {
        let Node::Map(entries) = node else {
            self.problem(&[document.line], "expected a mapping".to_owned());
            return;
        };
        for (key, _) in entries {
            if !known.contains(&key.as_str()) {
                self.problem(&[document.line_of(&[key])], format!("unknown key {key:?}"));
            }
        }
    }

    fn zones(&mut self, node: &Node, document: &Document) -> Vec<Zone> {
        let Some(Node::Map(entries)) = node.get("zones") else {
            self.problem(&[document.line_of(&["zones"])], "no zones".to_owned());
            return Vec::new();
        };
        let mut zones: Vec<Zone> = Vec::new();
        let mut seen: HashMap<IpNet, (String, usize)> = HashMap::new();
        self.bound("zones", entries.len(), ZONES_MAX);
        for (name, node) in entries.iter().take(ZONES_MAX) {
            let line = yaml::line_in(self.text, &["zones", name]) + 1;
            self.entry_keys(node, line, &["name", "cidr", "clause", "rest"]);
            let mut cidr = Vec::new();
            for text in node.get("cidr").map_or(&[][..], Node::elements).iter().filter_map(Node::scalar) {
                match network(&text) {
                    Some(net) => {
                        if let Some((other, other_line)) = seen.insert(net, (name.clone(), line)) {
                            self.problem(&[other_line, line], format!("{net} is in zone {other} and in zone {name}"));
                        }
                        cidr.push(net);
                    }
                    None => self.problem(&[line], format!("{text:?} is no prefix")),
                }
            }
            let rest = matches!(node.get("rest"), Some(Node::Bool(true)));
            if cidr.is_empty() && !rest {
                self.problem(&[line], format!("zone {name} has no addresses"));
            }
            let names = match node.get("name") {
                Some(Node::Map(names)) => {
                    names.iter().filter_map(|(language, n)| Some((language.clone(), n.scalar()?))).collect()
                }
                Some(other) => other.scalar().map(|n| ("en".to_owned(), n)).into_iter().collect(),
                None => std::collections::BTreeMap::new(),
            };
            zones.push(Zone { name: name.clone(), names, cidr, clause: node.get("clause").and_then(Node::scalar), rest });
        }
        self.nested(&seen);
        match zones.iter().filter(|z| z.rest).count() {
            1 => {}
            0 => {
                self.problem(
                    &[document.line_of(&["zones"])],
                    "no zone has `rest: true`: other addresses have no zone".to_owned(),
                );
            }
            _ => self.problem(&[document.line_of(&["rest:"])], "more than one zone has `rest: true`".to_owned()),
        }
        zones
    }

    /// Warns of prefixes that lie within another zone's. Sorted, an outer prefix stands before its inner ones: the open ones are a stack.
    fn nested(&mut self, seen: &HashMap<IpNet, (String, usize)>) {
        let mut sorted: Vec<_> = seen.iter().collect();
        sorted.sort_by_key(|(net, _)| (net.network(), net.prefix_len()));
        let mut open: Vec<(&IpNet, &(String, usize))> = Vec::new();
        for (net, place) in sorted {
            while open.last().is_some_and(|(outer, _)| !outer.contains(net)) {
                open.pop();
            }
            let (name, line) = place;
            if let Some((outer, (outer_name, outer_line))) = open.last()
                && outer_name != name
            {
                let reason = format!("{net} of zone {name} lies within {outer} of zone {outer_name}: the longer prefix decides");
                self.warn(&[*outer_line, *line], reason);
            }
            open.push((net, place));
        }
    }

    /// Refuses a section with more entries than are read.
    fn bound(&mut self, section: &str, count: usize, max: usize) {
        if count > max {
            self.problem(
                &[yaml::line_in(self.text, &[section]) + 1],
                format!("{section}: {count} entries, at most {max} are read"),
            );
        }
    }

    /// An exception whose addresses are not those of its zones is never used.
    fn prove_used(&mut self, zones: &[Zone], exceptions: &[Line]) {
        let covering = |net: &IpNet| {
            let around = zones.iter().flat_map(|z| z.cidr.iter().map(move |c| (c, z))).filter(|(c, _)| c.contains(net));
            let closest = around.max_by_key(|(c, _)| c.prefix_len()).map(|(_, z)| z);
            closest.or_else(|| zones.iter().find(|z| z.rest)).map(|z| z.name.as_str())
        };
        for line in exceptions {
            for (key, net, zone) in [("src", line.src, &line.from), ("dst", line.dst, &line.to)] {
                let Some(net) = net else { continue };
                let own = zones.iter().filter(|z| z.name == *zone).flat_map(|z| &z.cidr).any(|c| net.contains(c));
                if !own && covering(&net) != Some(zone.as_str()) {
                    self.problem(&[line.line], format!("{key}: {net} is not in zone {zone}; the exception is never used"));
                }
            }
        }
    }

    fn entry_keys(&mut self, node: &Node, line: usize, known: &[&str]) {
        match node {
            Node::Map(entries) => {
                for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
                    self.problem(&[line], format!("unknown key {key:?}"));
                }
            }
            _ => self.problem(&[line], "expected a mapping".to_owned()),
        }
    }

    /// The lines of the elements of the list `section`.
    fn lines_of_list(&self, section: &str) -> Vec<usize> {
        let start = self.text.lines().position(|l| l.starts_with(&format!("{section}:"))).unwrap_or(0);
        let body = self.text.lines().enumerate().skip(start + 1);
        let body = body.take_while(|(_, l)| l.starts_with([' ', '-', '#']) || l.trim().is_empty());
        let dashes: Vec<(usize, usize)> = body
            .filter(|(_, l)| l.trim_start().starts_with("- "))
            .map(|(at, l)| (at + 1, l.len() - l.trim_start().len()))
            .collect();
        let depth = dashes.iter().map(|(_, depth)| *depth).min().unwrap_or(0);
        dashes.into_iter().filter(|(_, d)| *d == depth).map(|(at, _)| at).collect()
    }

    fn zone_name(&mut self, node: &Node, key: &str, names: &[String], line: usize) -> Option<String> {
        let name = node.get(key).and_then(Node::scalar);
        match name {
            Some(name) if names.contains(&name) => Some(name),
            Some(name) => {
                self.problem(&[line], format!("{key}: no zone is named {name:?}"));
                None
            }
            None => {
                self.problem(&[line], format!("{key} is missing"));
                None
            }
        }
    }

    fn lines(&mut self, node: &Node, section: &str, names: &[String], exception: bool) -> Vec<Line> {
        const ABOUT: [&str; 4] = ["basis", "owner", "reason", "ticket"];
        let places = self.lines_of_list(section);
        let mut lines = Vec::new();
        self.bound(section, node.get(section).map_or(&[][..], Node::elements).len(), LINES_MAX);
        for (at, entry) in node.get(section).map_or(&[][..], Node::elements).iter().take(LINES_MAX).enumerate() {
            let line = places.get(at).copied().unwrap_or(1);
            let known: &[&str] = if exception {
                &["from", "to", "service", "src", "dst", "until", "basis", "owner", "reason", "ticket"]
            } else {
                &["from", "to", "service", "basis", "owner", "reason", "ticket"]
            };
            self.entry_keys(entry, line, known);
            let (from, to) = (self.zone_name(entry, "from", names, line), self.zone_name(entry, "to", names, line));
            let mut service = Vec::new();
            for text in entry.get("service").map_or(&[][..], Node::elements).iter().filter_map(Node::scalar) {
                match parse_service(&text) {
                    Some(s) => service.push(s),
                    None => self.problem(&[line], format!("{text:?} is no service (tcp/443, udp/1024-2048, icmp, any)")),
                }
            }
            if entry.get("service").is_none_or(|services| services.elements().is_empty()) {
                self.problem(&[line], "no service".to_owned());
            }
            let mut net = |key: &str| {
                let text = entry.get(key).and_then(Node::scalar)?;
                let found = network(&text);
                if found.is_none() {
                    self.problem(&[line], format!("{key}: {text:?} is no address or prefix"));
                }
                found
            };
            let (src, dst) = (net("src"), net("dst"));
            let until = entry.get("until").and_then(Node::scalar);
            let until_time = until.as_deref().and_then(end_of_day);
            if until.is_some() && until_time.is_none() {
                self.problem(&[line], format!("until: {:?} is no date (2027-03-31)", until.unwrap_or_default()));
            }
            if exception {
                for key in ["owner", "ticket", "until"] {
                    if entry.get(key).is_none() {
                        self.problem(&[line], format!("an exception needs {key}"));
                    }
                }
            }
            let about = ABOUT.iter().filter_map(|key| Some(((*key).to_owned(), entry.get(key)?.scalar()?))).collect();
            if let (Some(from), Some(to)) = (from, to) {
                if from == to {
                    self.problem(&[line], format!("{from} → {to}: within a zone everything is allowed"));
                }
                lines.push(Line { line, from, to, service, src, dst, until: until_time, about });
            }
        }
        lines
    }

    fn must_deny(&mut self, node: &Node, names: &[String]) -> Vec<MustDeny> {
        let places = self.lines_of_list("must_deny");
        let mut all = Vec::new();
        self.bound("must_deny", node.get("must_deny").map_or(&[][..], Node::elements).len(), LINES_MAX);
        for (at, entry) in node.get("must_deny").map_or(&[][..], Node::elements).iter().take(LINES_MAX).enumerate() {
            let line = places.get(at).copied().unwrap_or(1);
            self.entry_keys(entry, line, &["from", "to", "unless_via"]);
            let from = self.zone_name(entry, "from", names, line);
            let to: Vec<String> = entry.get("to").map_or(&[][..], Node::elements).iter().filter_map(Node::scalar).collect();
            for name in to.iter().filter(|n| !names.contains(n)) {
                self.problem(&[line], format!("to: no zone is named {name:?}"));
            }
            let unless_via =
                entry.get("unless_via").is_some().then(|| self.zone_name(entry, "unless_via", names, line)).flatten();
            if let Some(from) = from {
                all.push(MustDeny { line, from, to, unless_via });
            }
        }
        all
    }

    fn observe(&mut self, node: &Node, names: &[String]) -> Vec<Observe> {
        let places = self.lines_of_list("observe");
        let mut all = Vec::new();
        self.bound("observe", node.get("observe").map_or(&[][..], Node::elements).len(), LINES_MAX);
        for (at, entry) in node.get("observe").map_or(&[][..], Node::elements).iter().take(LINES_MAX).enumerate() {
            let line = places.get(at).copied().unwrap_or(1);
            self.entry_keys(entry, line, &["sensor", "address", "cells", "heartbeat"]);
            let mut cells = Vec::new();
            for cell in entry.get("cells").map_or(&[][..], Node::elements) {
                match cell.elements() {
                    [from, to] => {
                        let pair = (from.scalar().unwrap_or_default(), to.scalar().unwrap_or_default());
                        for name in [&pair.0, &pair.1] {
                            if name != "*" && !names.contains(name) {
                                self.problem(&[line], format!("cells: no zone is named {name:?}"));
                            }
                        }
                        cells.push(pair);
                    }
                    _ => self.problem(&[line], "a cell is a pair of zones".to_owned()),
                }
            }
            let heartbeat = entry.get("heartbeat").and_then(Node::scalar).unwrap_or_default();
            if crate::sigma::correlation::timespan_ns(&heartbeat).is_none() {
                self.problem(&[line], format!("heartbeat: {heartbeat:?} is no timespan (5m)"));
            }
            let mut address = Vec::new();
            for text in entry.get("address").map_or(&[][..], Node::elements).iter().filter_map(Node::scalar) {
                match network(&text) {
                    Some(net) => address.push(net),
                    None => self.problem(&[line], format!("address: {text:?} is no address or prefix")),
                }
            }
            let sensor = entry.get("sensor").and_then(Node::scalar).unwrap_or_default();
            if sensor.is_empty() {
                self.problem(&[line], "sensor is missing".to_owned());
            }
            all.push(Observe { sensor, address, cells, heartbeat });
        }
        all
    }

    /// No service of a pair of zones is decided by two lines. Exact: protocols and intervals of ports are compared, not sampled.
    fn prove_single(&mut self, cells: &Cells) {
        let mut pairs: Vec<_> = cells.iter().collect();
        pairs.sort_by_key(|(pair, _)| **pair);
        for (_, lines) in pairs {
            for (at, a) in lines.iter().enumerate() {
                if self.full() {
                    return;
                }
                for b in &lines[at + 1..] {
                    let places = |x: Option<IpNet>, y: Option<IpNet>| match (x, y) {
                        (Some(x), Some(y)) => x.contains(&y) || y.contains(&x),
                        _ => true,
                    };
                    if !places(a.src, b.src) || !places(a.dst, b.dst) {
                        continue;
                    }
                    let clash = a.service.iter().find_map(|x| b.service.iter().find_map(|y| overlap(x, y)));
                    if let Some(s) = clash {
                        let what = if b.exception && !a.exception { "is never used for" } else { "decides again" };
                        self.problem(
                            &[a.line, b.line],
                            format!("line {} {what} {}, which line {} decides", b.line, shown(&s), a.line),
                        );
                    }
                }
            }
        }
    }

    fn prove_invariants(&mut self, must_deny: &[MustDeny], allow: &[Line], exceptions: &[Line]) {
        for invariant in must_deny {
            for line in allow.iter().chain(exceptions) {
                if line.from == invariant.from
                    && invariant.to.contains(&line.to)
                    && invariant.unless_via.as_ref() != Some(&line.to)
                {
                    self.problem(
                        &[invariant.line, line.line],
                        format!("line {} allows {} → {}, which line {} forbids", line.line, line.from, line.to, invariant.line),
                    );
                }
            }
        }
    }
}

fn overlap(a: &Service, b: &Service) -> Option<Service> {
    let protocol = match (a.protocol, b.protocol) {
        (Some(x), Some(y)) if x != y => return None,
        (x, y) => x.or(y),
    };
    let (low, high) = (a.low.max(b.low), a.high.min(b.high));
    (low <= high).then_some(Service { protocol, low, high })
}

pub(super) fn shown(s: &Service) -> String {
    let protocol = match s.protocol {
        Some(6) => "tcp".to_owned(),
        Some(17) => "udp".to_owned(),
        Some(n) => format!("protocol {n}"),
        None => "any".to_owned(),
    };
    match (s.low, s.high) {
        (0, u16::MAX) => protocol,
        (low, high) if low == high => format!("{protocol}/{low}"),
        (low, high) => format!("{protocol}/{low}-{high}"),
    }
}

/// `tcp/443`, `udp/1024-2048`, `icmp`, `any`.
fn parse_service(text: &str) -> Option<Service> {
    if text == "any" {
        return Some(Service { protocol: None, low: 0, high: u16::MAX });
    }
    let (protocol, ports) = text.split_once('/').map_or((text, None), |(protocol, ports)| (protocol, Some(ports)));
    let protocol = Some(transport_number(protocol)?);
    let Some(ports) = ports else { return Some(Service { protocol, low: 0, high: u16::MAX }) };
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some(Service { protocol, low, high })
}

fn network(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    (net.trunc() == net).then_some(net)
}

/// The last instant of a day in Japan.
fn end_of_day(text: &str) -> Option<Time> {
    let start = Time::parse_rfc3339(&format!("{text}T00:00:00Z"))?;
    Some(start.plus_ns(86_400 * 1_000_000_000 - 1 - JST_NS))
}

/// Pairs of zones that no sensor sees.
fn blind(names: &[String], observe: &[Observe]) -> Vec<(String, String)> {
    let seen = |from: &String, to: &String| observe.iter().any(|sensor| sensor.sees(from, to));
    let pairs = names.iter().flat_map(|from| names.iter().map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to && !seen(from, to)).map(|(from, to)| (from.clone(), to.clone())).collect()
}
