//! Reading a zone file, and proving it: what collides, what is never used, what an invariant forbids, what nobody sees.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use event::Time;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::table::{Lookup, Table};
use super::{Cell, Line, MustDeny, Observe, Policy, PolicyProblem, Sensors, Service, Zone};
use crate::behave::observe::transport_number;
use crate::yaml::{self, FILE_BYTES_MAX, Node, Placed, PlacedValue};

/// Zones of one file.
const ZONES_MAX: usize = 250;
/// Lines of each kind in one file: as many as fit into it where each says who, why and until when.
const LINES_MAX: usize = FILE_BYTES_MAX / LINE_BYTES;
const LINE_BYTES: usize = 200;
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
        let file = match yaml::placed(self.text) {
            Ok(file) => file,
            Err((line, reason)) => {
                self.problem(&[line], reason);
                return None;
            }
        };
        self.keys(&file, &["model", "zones", "default", "allow", "exceptions", "must_deny", "observe"]);
        if let Some(default) = file.get("default").filter(|default| default.scalar().as_deref() != Some("deny")) {
            self.problem(&[default.line], "default: only deny is possible".to_owned());
        }
        let (zones, places) = self.zones(&file);
        let names: Vec<String> = zones.iter().map(|z| z.name.clone()).collect();
        let allow = self.lines(&file, "allow", &names, false);
        let exceptions = self.lines(&file, "exceptions", &names, true);
        let must_deny = self.must_deny(&file, &names);
        let observe = self.observe(&file, &names);
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
        let lookup = Lookup::new(&zones);
        self.prove_reached(&zones, &places, &lookup);
        self.prove_single(&cells);
        self.prove_used(&zones, &exceptions);
        self.prove_invariants(&must_deny, &allow, &exceptions);
        for (from, to) in &blind {
            self.warn(&[], format!("no sensor sees {from} → {to}: it is never reported as kept"));
        }
        let sha256 = event::hexadecimal(&Sha256::digest(self.text));
        let model = self.text_at(&file, "model").unwrap_or_default();
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

    /// Refuses what is no mapping, and keys that there are not.
    fn keys(&mut self, of: &Placed, known: &[&str]) {
        if !matches!(of.value, PlacedValue::Map(_)) {
            self.problem(&[of.line], "expected a mapping".to_owned());
        }
        for (key, line, _) in of.entries().iter().filter(|(key, ..)| !known.contains(&key.as_str())) {
            self.problem(&[*line], format!("unknown key {key:?}"));
        }
    }

    /// The text at a key. One that is there and is none, or is empty, is refused: it would say something else than was meant.
    fn text_at(&mut self, of: &Placed, key: &str) -> Option<String> {
        let node = of.get(key)?;
        let text = node.scalar();
        if text.is_none() {
            self.problem(&[node.line], format!("{key}: expected one value that is not empty"));
        }
        text
    }

    /// The texts at a key, each with its line, of a list or of one value; with the same refusals.
    fn texts_at(&mut self, of: &Placed, key: &str) -> Vec<(String, usize)> {
        let Some(node) = of.get(key) else { return Vec::new() };
        let elements = match &node.value {
            PlacedValue::List(list) if !list.is_empty() => &list[..],
            _ => std::slice::from_ref(node),
        };
        let mut texts = Vec::new();
        for element in elements {
            match element.scalar() {
                Some(text) => texts.push((text, element.line)),
                None => self.problem(&[element.line], format!("{key}: expected values that are not empty")),
            }
        }
        texts
    }

    /// The prefixes at a key, each with its line.
    fn networks_at(&mut self, of: &Placed, key: &str) -> Vec<(IpNet, usize)> {
        let mut nets = Vec::new();
        for (text, line) in self.texts_at(of, key) {
            match network(&text) {
                Some(net) => nets.push((net, line)),
                None => self.problem(&[line], format!("{key}: {text:?} is no address or prefix")),
            }
        }
        nets
    }

    /// The entries of a section of the file, a list, as many as are read.
    fn section<'f>(&mut self, file: &'f Placed, name: &str) -> &'f [Placed] {
        let Some((_, line, node)) = file.entries().iter().find(|(key, ..)| key == name) else { return &[] };
        match &node.value {
            PlacedValue::Scalar(Node::Null) => &[],
            PlacedValue::List(list) => {
                self.bound(name, *line, list.len(), LINES_MAX);
                &list[..list.len().min(LINES_MAX)]
            }
            _ => {
                self.problem(&[*line], format!("{name}: expected a list"));
                &[]
            }
        }
    }

    /// Refuses a section with more entries than are read.
    fn bound(&mut self, section: &str, line: usize, count: usize, max: usize) {
        if count > max {
            self.problem(&[line], format!("{section}: {count} entries, at most {max} are read"));
        }
    }

    /// The zones, and the line of each.
    fn zones(&mut self, file: &Placed) -> (Vec<Zone>, Vec<usize>) {
        let Some((_, section, node)) = file.entries().iter().find(|(key, ..)| key == "zones") else {
            self.problem(&[file.line], "no zones".to_owned());
            return (Vec::new(), Vec::new());
        };
        if node.entries().is_empty() {
            self.problem(&[*section], "zones: expected a mapping of names to zones".to_owned());
        }
        let (mut zones, mut places): (Vec<Zone>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut seen: HashMap<IpNet, (String, usize)> = HashMap::new();
        self.bound("zones", *section, node.entries().len(), ZONES_MAX);
        for (name, line, node) in node.entries().iter().take(ZONES_MAX) {
            // `*` is every zone; a name stands in records, alerts and queries.
            if name.trim().is_empty() || name == "*" || name.chars().any(char::is_control) {
                self.problem(&[*line], format!("{name:?} is no name for a zone"));
            }
            self.keys(node, &["name", "cidr", "clause", "rest"]);
            let mut cidr = Vec::new();
            for (net, at) in self.networks_at(node, "cidr") {
                if let Some((other, other_line)) = seen.insert(net, (name.clone(), at)) {
                    self.problem(&[other_line, at], format!("{net} is in zone {other} and in zone {name}"));
                }
                cidr.push(net);
            }
            let rest = match node.get("rest").map(|rest| (rest.line, &rest.value)) {
                None => false,
                Some((_, PlacedValue::Scalar(Node::Bool(rest)))) => *rest,
                Some((line, _)) => {
                    self.problem(&[line], "rest: true or false".to_owned());
                    false
                }
            };
            if cidr.is_empty() && !rest {
                self.problem(&[*line], format!("zone {name} has no addresses"));
            }
            let names = match node.get("name") {
                Some(names) if !names.entries().is_empty() => {
                    let languages = names.entries().iter().map(|(language, ..)| language);
                    languages.filter_map(|language| Some((language.clone(), self.text_at(names, language)?))).collect()
                }
                _ => self.text_at(node, "name").map(|name| ("en".to_owned(), name)).into_iter().collect(),
            };
            let clause = self.text_at(node, "clause");
            zones.push(Zone { name: name.clone(), names, cidr, clause, rest });
            places.push(*line);
        }
        self.nested(&seen);
        let rests: Vec<usize> = zones.iter().zip(&places).filter(|(zone, _)| zone.rest).map(|(_, line)| *line).collect();
        match rests.len() {
            1 => {}
            0 => self.problem(&[*section], "no zone has `rest: true`: other addresses have no zone".to_owned()),
            _ => self.problem(&rests, "more than one zone has `rest: true`".to_owned()),
        }
        (zones, places)
    }

    /// Refuses prefixes of which longer ones of other zones leave nothing, and tells where they leave nothing of the rest.
    fn prove_reached(&mut self, zones: &[Zone], places: &[usize], lookup: &Lookup) {
        for v6 in [false, true] {
            let starts = lookup.starts(v6);
            let holders = |low: u128, high: u128| -> BTreeSet<u16> {
                let inside = starts[starts.partition_point(|start| *start <= low)..].iter().take_while(|start| **start <= high);
                std::iter::once(&low).chain(inside).map(|at| lookup.zone_of_bits(*at, v6)).collect()
            };
            for (at, zone) in zones.iter().enumerate() {
                for net in &zone.cidr {
                    let (low, high) = match net {
                        IpNet::V4(net) if !v6 => (net.network().to_bits().into(), net.broadcast().to_bits().into()),
                        IpNet::V6(net) if v6 => (net.network().to_bits(), net.broadcast().to_bits()),
                        _ => continue,
                    };
                    let holders = holders(low, high);
                    if holders.contains(&(at as u16)) {
                        continue;
                    }
                    let lines: Vec<usize> = std::iter::once(at)
                        .chain(holders.iter().map(|zone| usize::from(*zone)))
                        .map(|zone| places[zone])
                        .collect();
                    let reason =
                        format!("{net} of zone {} holds no address: longer prefixes of other zones have them all", zone.name);
                    self.problem(&lines, reason);
                }
            }
        }
        if let Some(at) = zones.iter().position(|zone| zone.rest)
            && [false, true]
                .into_iter()
                .all(|v6| lookup.starts(v6).iter().all(|start| usize::from(lookup.zone_of_bits(*start, v6)) != at))
        {
            self.warn(
                &[places[at]],
                format!("zone {} holds no address: the prefixes of other zones have them all", zones[at].name),
            );
        }
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

    /// The zone that a key names.
    fn zone_at(&mut self, of: &Placed, key: &str, names: &[String]) -> Option<String> {
        if of.get(key).is_none() {
            self.problem(&[of.line], format!("{key} is missing"));
        }
        let name = self.text_at(of, key)?;
        let known = names.contains(&name);
        if !known {
            self.problem(&[of.line], format!("{key}: no zone is named {name:?}"));
        }
        known.then_some(name)
    }

    fn lines(&mut self, file: &Placed, section: &str, names: &[String], exception: bool) -> Vec<Line> {
        const ABOUT: [&str; 4] = ["basis", "owner", "reason", "ticket"];
        let known: &[&str] = if exception {
            &["from", "to", "service", "src", "dst", "until", "basis", "owner", "reason", "ticket"]
        } else {
            &["from", "to", "service", "basis", "owner", "reason", "ticket"]
        };
        let mut lines = Vec::new();
        for entry in self.section(file, section) {
            let line = entry.line;
            self.keys(entry, known);
            let (from, to) = (self.zone_at(entry, "from", names), self.zone_at(entry, "to", names));
            let mut service = Vec::new();
            let written = self.texts_at(entry, "service");
            for (text, line) in &written {
                match parse_service(text) {
                    Ok(s) => service.push(s),
                    Err(reason) => self.problem(&[*line], format!("{text:?} is no service ({reason})")),
                }
            }
            // `tcp/80,81` within brackets is two services.
            let ported = written.iter().any(|(text, _)| text.contains('/'));
            for (text, line) in written.iter().filter(|(text, _)| ported && text.parse::<u8>().is_ok()) {
                self.warn(
                    &[*line],
                    format!("{text} is the protocol of that number, whatever its ports; a port is written tcp/{text}"),
                );
            }
            if entry.get("service").is_none() {
                self.problem(&[line], "no service".to_owned());
            }
            let mut net = |key: &str| {
                let text = self.text_at(entry, key)?;
                let found = network(&text);
                if found.is_none() {
                    self.problem(&[line], format!("{key}: {text:?} is no address or prefix"));
                }
                found
            };
            let (src, dst) = (net("src"), net("dst"));
            let until = self.text_at(entry, "until");
            let until_time = until.as_deref().and_then(end_of_day);
            if until.is_some() && until_time.is_none() {
                self.problem(&[line], format!("until: {:?} is no date (2027-03-31)", until.unwrap_or_default()));
            }
            if exception {
                for key in ["owner", "ticket", "until"].into_iter().filter(|key| entry.get(key).is_none()) {
                    self.problem(&[line], format!("an exception needs {key}"));
                }
            }
            let about = ABOUT.iter().filter_map(|key| Some(((*key).to_owned(), self.text_at(entry, key)?))).collect();
            if let (Some(from), Some(to)) = (from, to) {
                if from == to {
                    self.problem(&[line], format!("{from} → {to}: within a zone everything is allowed"));
                }
                lines.push(Line { line, from, to, service, src, dst, until: until_time, about });
            }
        }
        lines
    }

    fn must_deny(&mut self, file: &Placed, names: &[String]) -> Vec<MustDeny> {
        let mut all = Vec::new();
        for entry in self.section(file, "must_deny") {
            self.keys(entry, &["from", "to", "unless_via"]);
            let from = self.zone_at(entry, "from", names);
            if entry.get("to").is_none() {
                self.problem(&[entry.line], "to is missing".to_owned());
            }
            let mut to = Vec::new();
            for (name, line) in self.texts_at(entry, "to") {
                if !names.contains(&name) {
                    self.problem(&[line], format!("to: no zone is named {name:?}"));
                }
                to.push(name);
            }
            let unless_via = entry.get("unless_via").and_then(|_| self.zone_at(entry, "unless_via", names));
            if let Some(from) = &from {
                if to.contains(from) {
                    self.problem(&[entry.line], format!("to: within {from} everything is allowed; that cannot be denied"));
                }
                // Every line would lead through it, and so none be forbidden.
                if let Some(via) = unless_via.as_ref().filter(|via| *via == from || to.contains(via)) {
                    self.problem(&[entry.line], format!("unless_via: {via} is an end of the way, not between"));
                }
            }
            if let Some(from) = from {
                all.push(MustDeny { line: entry.line, from, to, unless_via });
            }
        }
        all
    }

    fn observe(&mut self, file: &Placed, names: &[String]) -> Vec<Observe> {
        let mut all = Vec::new();
        for entry in self.section(file, "observe") {
            let line = entry.line;
            self.keys(entry, &["sensor", "address", "cells", "heartbeat"]);
            let heartbeat = self.text_at(entry, "heartbeat").unwrap_or_default();
            if crate::sigma::correlation::timespan_ns(&heartbeat).is_none() {
                self.problem(&[line], format!("heartbeat: {heartbeat:?} is no timespan (5m)"));
            }
            let address = self.networks_at(entry, "address").into_iter().map(|(net, _)| net).collect();
            if entry.get("sensor").is_none() {
                self.problem(&[line], "sensor is missing".to_owned());
            }
            let sensor = self.text_at(entry, "sensor").unwrap_or_default();
            let cells = self.cells(entry, names);
            if cells.is_empty() {
                self.warn(&[line], format!("sensor {sensor} sees no pair of zones: it has no cells"));
            }
            all.push(Observe { sensor, address, cells, heartbeat });
        }
        all
    }

    /// The pairs of zones that a sensor sees.
    fn cells(&mut self, of: &Placed, names: &[String]) -> Vec<(String, String)> {
        let Some(node) = of.get("cells") else { return Vec::new() };
        let PlacedValue::List(list) = &node.value else {
            self.problem(&[node.line], "cells: expected a list of pairs of zones".to_owned());
            return Vec::new();
        };
        let mut cells = Vec::new();
        for cell in list {
            let pair = match &cell.value {
                PlacedValue::List(pair) => pair.iter().filter_map(Placed::scalar).collect(),
                _ => Vec::new(),
            };
            let [from, to] = &pair[..] else {
                self.problem(&[cell.line], "a cell is a pair of zones".to_owned());
                continue;
            };
            for name in [from, to].into_iter().filter(|name| *name != "*" && !names.contains(name)) {
                self.problem(&[cell.line], format!("cells: no zone is named {name:?}"));
            }
            cells.push((from.clone(), to.clone()));
        }
        cells
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

    /// No line allows what an invariant forbids. Of several that forbid one pair each names a way through; one that names none closes them all.
    fn prove_invariants(&mut self, must_deny: &[MustDeny], allow: &[Line], exceptions: &[Line]) {
        let mut closing: HashMap<(&str, &str), usize> = HashMap::new();
        for invariant in must_deny.iter().filter(|invariant| invariant.unless_via.is_none()) {
            for to in &invariant.to {
                closing.entry((&invariant.from, to)).or_insert(invariant.line);
            }
        }
        for MustDeny { line, from, to, unless_via } in must_deny {
            let Some(via) = unless_via else { continue };
            for to in to.iter().collect::<BTreeSet<_>>() {
                if let Some(closing) = closing.get(&(from.as_str(), to.as_str())) {
                    let reason = format!("line {closing} forbids {from} → {to} by whatever way, also by {via}");
                    self.warn(&[*closing, *line], reason);
                }
            }
        }
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
fn parse_service(text: &str) -> Result<Service, &'static str> {
    const FORM: &str = "tcp/443, udp/1024-2048, icmp, any";
    if text == "any" {
        return Ok(Service { protocol: None, low: 0, high: u16::MAX });
    }
    let (name, ports) = text.split_once('/').map_or((text, None), |(protocol, ports)| (protocol, Some(ports)));
    let protocol = transport_number(name).ok_or(FORM)?;
    let Some(ports) = ports else { return Ok(Service { protocol: Some(protocol), low: 0, high: u16::MAX }) };
    if !PORTED.contains(&protocol) {
        return Err("only tcp, udp, dccp, sctp and udplite have ports: name the protocol alone");
    }
    let port = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    let (low, high): (u16, u16) = port(low).zip(port(high)).ok_or(FORM)?;
    if low <= high { Ok(Service { protocol: Some(protocol), low, high }) } else { Err("the lower port stands first") }
}

/// The protocols that have ports, as IANA numbers them: TCP, UDP, DCCP, SCTP, UDP-Lite.
const PORTED: [u8; 5] = [6, 17, 33, 132, 136];

/// A prefix, or an address as one. Of IPv4 in IPv6 clothes (RFC 4291 §2.5.5.2) the IPv4 prefix, as addresses are taken.
fn network(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    let whole = net.trunc() == net;
    let net = match net.addr().to_canonical() {
        ip @ IpAddr::V4(_) if net.prefix_len() >= 96 && matches!(net, IpNet::V6(_)) => {
            IpNet::new(ip, net.prefix_len() - 96).ok()?
        }
        _ => net,
    };
    whole.then_some(net)
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
