//! The proof and the verdicts of random policies, of all that a zone file can say, against an evaluator that tries everything; and each
//! mutation of one is noticed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSource, LogSourceId, Position, Time, Transport};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rules::policy::{Change, Communication, Decision, Policy, Verdict, diff};

/// The zones: three that name their addresses, and the rest.
const ZONES: usize = 4;
const REST: usize = ZONES - 1;
/// What each of the three has, with its number in place of `#`.
const OWN: [&str; 2] = ["172.1#.0.0/16", "2001:db8:#::/48"];
/// Prefixes that a zone may have beside, within those of another one and elsewhere.
const MORE: [&str; 6] =
    ["172.10.128.0/17", "172.11.7.0/24", "2001:db8:1:7::/64", "::ffff:172.12.64.0/114", "198.51.100.0/24", "172.10.7.9"];
/// Where an exception may be for one of the three, and for the rest.
const PLACES: [&str; 6] = ["172.1#.0.0/16", "172.1#.7.0/24", "172.1#.7.9", "2001:db8:#::/48", "2001:db8:#::9", "172.0.0.0/8"];
const PLACES_REST: [&str; 4] = ["203.0.113.0/24", "203.0.113.7", "fd07::/16", "::ffff:203.0.113.0/120"];
const PROTOCOLS: [(&str, u8); 4] = [("tcp", 6), ("udp", 17), ("icmp", 1), ("47", 47)];
/// The last day of an exception, and its last instant, as the days of Japan end.
const DAYS: [(&str, &str); 2] =
    [("2026-03-31", "2026-03-31T14:59:59.999999999Z"), ("2026-04-01", "2026-04-01T14:59:59.999999999Z")];

/// Protocol by its place, none for each; lowest and highest port, none for all.
type Service = (Option<usize>, Option<(u16, u16)>);

#[derive(Clone, Debug)]
struct Line {
    from: usize,
    to: usize,
    service: Vec<Service>,
    src: Option<String>,
    dst: Option<String>,
    /// The place of the last day, of an exception.
    until: Option<usize>,
    owner: u8,
}

#[derive(Clone, Debug)]
struct Model {
    /// By prefix the zone that has it beside its own.
    more: Vec<Option<usize>>,
    /// By zone the number of its clause, if any.
    clauses: Vec<Option<u8>>,
    allow: Vec<Line>,
    exceptions: Vec<Line>,
    must_deny: Vec<(usize, BTreeSet<usize>, Option<usize>)>,
    /// Per sensor the pairs that it sees, none for each zone, and its heartbeat in minutes.
    observe: Vec<(Vec<[Option<usize>; 2]>, u8)>,
}

/// The model as a file; where its lines, exceptions and invariants stand in it.
struct Written {
    text: String,
    allow: Vec<usize>,
    exceptions: Vec<usize>,
    must_deny: Vec<usize>,
}

fn place() -> impl Strategy<Value = (Index, bool)> {
    (any::<Index>(), prop::bool::weighted(0.1))
}

/// Whether a protocol, by its place in [`PROTOCOLS`], has ports: a line that gives one to another is refused.
fn has_ports(protocol: Option<usize>) -> bool {
    protocol.is_some_and(|at| matches!(PROTOCOLS[at].1, 6 | 17))
}

/// A line of these zones, its places of the zones' own or, seldom, of others.
fn line(exception: bool) -> impl Strategy<Value = Line> {
    let service =
        (select(vec![Some(0), Some(0), Some(1), Some(2), Some(3), None]), prop::option::weighted(0.8, (0u16..7, 0u16..3)));
    let services = prop::collection::vec(service, 1..3);
    let places = prop::array::uniform2(prop::option::of(place()));
    (0..ZONES, 1..ZONES, services, places, 0..DAYS.len(), 0u8..3).prop_map(move |(from, on, service, places, until, owner)| {
        let to = (from + on) % ZONES;
        let mut seen = BTreeSet::new();
        // A line that says one thing twice would hide a mutation of either.
        let alone = |(protocol, _): &Service| seen.insert(*protocol) && (protocol.is_some() || seen.len() == 1);
        let service = service
            .into_iter()
            .map(|(protocol, ports)| (protocol, ports.map(|(low, more)| (low, low + more)).filter(|_| has_ports(protocol))));
        let mut service: Vec<Service> = service.filter(alone).collect();
        if service.iter().any(|(protocol, _)| protocol.is_none()) {
            service.truncate(1);
        }
        let at = |zone: usize, place: Option<(Index, bool)>| {
            let (index, elsewhere) = place.filter(|_| exception)?;
            let zone = if elsewhere { (zone + 1) % ZONES } else { zone };
            Some(if zone == REST {
                index.get(&PLACES_REST).to_string()
            } else {
                index.get(&PLACES).replace('#', &zone.to_string())
            })
        };
        let [src, dst] = places;
        Line { from, to, service, src: at(from, src), dst: at(to, dst), until: exception.then_some(until), owner }
    })
}

fn model() -> impl Strategy<Value = Model> {
    let zones = || prop::collection::vec(prop::option::weighted(0.4, 0..ZONES), MORE.len());
    let invariant = (0..ZONES, prop::collection::btree_set(0..ZONES, 1..3), prop::option::of(0..ZONES));
    let pair = prop::array::uniform2(prop::option::weighted(0.6, 0..ZONES));
    let sensor = (prop::collection::vec(pair, 1..3), 1u8..9);
    (
        zones(),
        prop::collection::vec(prop::option::of(0u8..3), ZONES),
        prop::collection::vec(line(false), 0..5),
        prop::collection::vec(line(true), 0..5),
        prop::collection::vec(invariant, 0..4),
        prop::collection::vec(sensor, 0..3),
    )
        .prop_map(|(more, clauses, allow, exceptions, must_deny, observe)| Model {
            more,
            clauses,
            allow,
            exceptions,
            must_deny,
            observe,
        })
}

fn net(text: &str) -> IpNet {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).expect("a prefix");
    match net.addr().to_canonical() {
        IpAddr::V4(ip) if net.addr().is_ipv6() => IpNet::new(ip.into(), net.prefix_len() - 96).expect("a length"),
        _ => net,
    }
}

fn own(zone: usize) -> impl Iterator<Item = String> {
    OWN.iter().filter(move |_| zone != REST).map(move |text| text.replace('#', &zone.to_string()))
}

fn speaks(service: &Service, protocol: u8, port: u16) -> bool {
    service.0.is_none_or(|at| PROTOCOLS[at].1 == protocol) && service.1.is_none_or(|(low, high)| (low..=high).contains(&port))
}

impl Line {
    fn is_about(&self, source: IpAddr, destination: IpAddr) -> bool {
        let holds = |place: &Option<String>, ip: IpAddr| place.as_ref().is_none_or(|text| net(text).contains(&ip));
        holds(&self.src, source) && holds(&self.dst, destination)
    }

    fn is_in_force(&self, time: Time) -> bool {
        self.until.is_none_or(|day| time <= DAYS[day].1.parse().expect("a time"))
    }

    /// Whether it decides a service of which perhaps not all is known: then only what speaks of every protocol or port does.
    fn decides(&self, protocol: Option<u8>, port: Option<u16>) -> bool {
        self.service.iter().any(|service| match (protocol, port) {
            (Some(protocol), Some(port)) => speaks(service, protocol, port),
            (Some(protocol), None) => service.1.is_none() && speaks(service, protocol, 0),
            (None, Some(port)) => service.0.is_none() && speaks(service, 0, port),
            (None, None) => *service == (None, None),
        })
    }
}

impl Model {
    fn written(&self) -> Written {
        let mut file = Written { text: "zones:\n".to_owned(), allow: vec![], exceptions: vec![], must_deny: vec![] };
        for (zone, clause) in self.clauses.iter().enumerate() {
            let more = MORE.iter().zip(&self.more).filter(|(_, of)| **of == Some(zone)).map(|(text, _)| (*text).to_owned());
            let cidr: Vec<String> = own(zone).chain(more).map(|text| format!("\"{text}\"")).collect();
            let cidr = if cidr.is_empty() { String::new() } else { format!("cidr: [{}], ", cidr.join(", ")) };
            let clause = clause.map_or_else(String::new, |clause| format!("clause: \"{clause}\", "));
            writeln!(file.text, "  z{zone}: {{{cidr}{clause}rest: {}}}", zone == REST).expect("a text");
        }
        let mut number = file.text.lines().count();
        let mut list = |text: &mut String, name: &str, entries: Vec<String>| -> Vec<usize> {
            if entries.is_empty() {
                return Vec::new();
            }
            number += 1;
            writeln!(text, "{name}:").expect("a text");
            let numbers = entries.iter().map(|entry| {
                number += 1;
                writeln!(text, "  - {{{entry}}}").expect("a text");
                number
            });
            numbers.collect()
        };
        file.allow = list(&mut file.text, "allow", self.allow.iter().map(entry).collect());
        file.exceptions = list(&mut file.text, "exceptions", self.exceptions.iter().map(entry).collect());
        let names = |zones: &BTreeSet<usize>| zones.iter().map(|zone| format!("z{zone}")).collect::<Vec<_>>().join(", ");
        let invariants = self.must_deny.iter().map(|(from, to, via)| {
            let via = via.map_or_else(String::new, |via| format!(", unless_via: z{via}"));
            format!("from: z{from}, to: [{}]{via}", names(to))
        });
        file.must_deny = list(&mut file.text, "must_deny", invariants.collect());
        let zone = |zone: &Option<usize>| zone.map_or_else(|| "\"*\"".to_owned(), |zone| format!("z{zone}"));
        let sensors = self.observe.iter().enumerate().map(|(at, (cells, minutes))| {
            let cells: Vec<String> = cells.iter().map(|[from, to]| format!("[{}, {}]", zone(from), zone(to))).collect();
            format!("sensor: s{at}, cells: [{}], heartbeat: {minutes}m", cells.join(", "))
        });
        list(&mut file.text, "observe", sensors.collect());
        file
    }

    /// The zone of the longest prefix, tried one by one.
    fn zone(&self, ip: IpAddr) -> usize {
        let own = (0..ZONES).flat_map(|zone| own(zone).map(move |text| (net(&text), zone)));
        let more = MORE.iter().zip(&self.more).filter_map(|(text, zone)| Some((net(text), (*zone)?)));
        let holding = own.chain(more).filter(|(net, _)| net.contains(&ip));
        holding.max_by_key(|(net, _)| net.prefix_len()).map_or(REST, |(_, zone)| zone)
    }

    /// What the first line says that speaks of it.
    fn decide(&self, file: &Written, c: &Communication) -> Decision {
        let (from, to) = (self.zone(c.source), self.zone(c.destination));
        if from == to {
            return Decision::Internal;
        }
        let says = |(line, _): &(&Line, &usize)| {
            (line.from, line.to) == (from, to)
                && line.is_about(c.source, c.destination)
                && line.is_in_force(c.time)
                && line.decides(c.protocol, c.port)
        };
        let allowed = self.allow.iter().zip(&file.allow).find(says).map(|(_, at)| Decision::Allowed(*at));
        let excepted = || self.exceptions.iter().zip(&file.exceptions).find(says).map(|(_, at)| Decision::Exception(*at));
        allowed.or_else(excepted).unwrap_or(Decision::Denied)
    }

    /// What of TCP a proxy let through: it makes a connection of its own, from a zone between.
    fn proxied(&self, file: &Written, c: &Communication, port: u16) -> Verdict {
        match self.decide(file, c) {
            Decision::Internal => return Verdict::Internal,
            Decision::Allowed(_) => return Verdict::Kept,
            Decision::Exception(_) => return Verdict::Exception,
            Decision::Denied => {}
        }
        let (from, to) = (self.zone(c.source), self.zone(c.destination));
        let vias = self.invariants().filter(|(a, b, _)| (*a, *b) == (from, to)).map(|(.., via)| via).collect::<Vec<_>>();
        let lines = || self.allow.iter().chain(&self.exceptions).filter(|line| line.is_in_force(c.time));
        let leads = (0..ZONES).filter(|middle| *middle != from && *middle != to).any(|middle| {
            let open = vias.is_empty() || !vias.contains(&None) && vias.contains(&Some(middle));
            let there = lines().any(|line| {
                let tcp = line.service.iter().any(|(protocol, _)| protocol.is_none_or(|at| PROTOCOLS[at].1 == 6));
                (line.from, line.to) == (from, middle)
                    && tcp
                    && line.src.as_ref().is_none_or(|text| net(text).contains(&c.source))
            });
            let on = lines().any(|line| {
                let to_it = line.dst.as_ref().is_none_or(|text| net(text).contains(&c.destination));
                (line.from, line.to) == (middle, to) && to_it && line.service.iter().any(|service| speaks(service, 6, port))
            });
            open && there && on
        });
        if leads { Verdict::Kept } else { Verdict::Violation }
    }

    /// Each pair that is forbidden, and unless by which zone.
    fn invariants(&self) -> impl Iterator<Item = (usize, usize, Option<usize>)> {
        self.must_deny.iter().flat_map(|(from, to, via)| to.iter().map(move |to| (*from, *to, *via)))
    }

    /// The lines that each problem of the file is about, found by trying every address and service.
    fn problems(&self, file: &Written, addresses: &[IpAddr]) -> BTreeSet<Vec<usize>> {
        let lines: Vec<(&Line, usize)> =
            self.allow.iter().chain(&self.exceptions).zip(file.allow.iter().chain(&file.exceptions).copied()).collect();
        // An invariant about a zone alone, or with an end of the way as what is between, forbids nothing.
        let invariants = self.must_deny.iter().zip(&file.must_deny);
        let void = invariants
            .filter(|((from, to, via), _)| to.contains(from) || via.is_some_and(|via| via == *from || to.contains(&via)));
        let mut all: BTreeSet<Vec<usize>> = void.map(|(_, at)| vec![*at]).collect();
        for (n, (a, at)) in lines.iter().enumerate() {
            for (b, other) in &lines[n + 1..] {
                let ends = |a: &Option<String>, b: &Option<String>| {
                    let holds = |place: &Option<String>, ip: &IpAddr| place.as_ref().is_none_or(|text| net(text).contains(ip));
                    addresses.iter().any(|ip| holds(a, ip) && holds(b, ip))
                };
                let one = services()
                    .any(|(protocol, port)| a.decides(Some(protocol), Some(port)) && b.decides(Some(protocol), Some(port)));
                if (a.from, a.to) == (b.from, b.to) && one && ends(&a.src, &b.src) && ends(&a.dst, &b.dst) {
                    all.insert(vec![*at, *other]);
                }
            }
            let used = |place: &Option<String>, zone: usize| {
                place.as_ref().is_none_or(|text| addresses.iter().any(|ip| net(text).contains(ip) && self.zone(*ip) == zone))
            };
            if !used(&a.src, a.from) || !used(&a.dst, a.to) {
                all.insert(vec![*at]);
            }
            for ((from, to, via), invariant) in self.must_deny.iter().zip(&file.must_deny) {
                if a.from == *from && to.contains(&a.to) && *via != Some(a.to) {
                    all.insert(vec![*invariant, *at]);
                }
            }
        }
        all
    }

    /// Pairs that no sensor sees.
    fn blind(&self) -> BTreeSet<(String, String)> {
        let sees = |from: usize, to: usize| {
            let is = |pattern: Option<usize>, zone: usize| pattern.is_none_or(|named| named == zone);
            let both = |[a, b]: [Option<usize>; 2]| is(a, from) && is(b, to) || is(a, to) && is(b, from);
            self.observe.iter().flat_map(|(cells, _)| cells).any(|cell| both(*cell))
        };
        let pairs = (0..ZONES).flat_map(|from| (0..ZONES).map(move |to| (from, to))).filter(|(from, to)| from != to);
        pairs.filter(|(from, to)| !sees(*from, *to)).map(|(from, to)| (format!("z{from}"), format!("z{to}"))).collect()
    }

    /// Changes one thing. Gives whether a verdict must be another one then.
    fn mutate(&mut self, kind: u8, which: Index, by: Index) -> Option<bool> {
        fn one<T>(of: &mut [T], which: Index) -> Option<&mut T> {
            if of.is_empty() { None } else { Some(&mut of[which.index(of.len())]) }
        }
        let other = |zone: usize| (zone + 1 + by.index(ZONES - 1)) % ZONES;
        match kind {
            0 => {
                let at = which.index(MORE.len());
                let first = net(MORE[at]).network();
                let before = self.zone(first);
                self.more[at] = Some(other(before));
                return Some(true);
            }
            1 => {
                let line = one(&mut self.allow, which)?;
                let (low, high) = one(&mut line.service, by)?.1.as_mut()?;
                if by.index(2) == 0 {
                    *high += 1;
                } else {
                    *low = low.checked_sub(1)?;
                }
                return Some(true);
            }
            2 => {
                let line = one(&mut self.allow, which)?;
                (line.from, line.to) = (line.to, line.from);
                return Some(true);
            }
            3 => {
                let line = one(&mut self.exceptions, which)?;
                line.until = line.until.map(|day| 1 - day);
                return Some(true);
            }
            4 => {
                let line = one(&mut self.exceptions, which)?;
                let place = if line.from == REST {
                    "203.0.113.7".to_owned()
                } else {
                    PLACES[by.index(PLACES.len())].replace('#', &line.from.to_string())
                };
                line.src = (line.src.as_ref() != Some(&place)).then_some(place);
            }
            5 => one(&mut self.exceptions, which)?.owner += 1,
            6 => {
                let (from, to, via) = one(&mut self.must_deny, which)?;
                let zone = other(*from);
                match by.index(3) {
                    0 => *via = if *via == Some(zone) { None } else { Some(zone) },
                    _ if to.contains(&zone) && to.len() > 1 => drop(to.remove(&zone)),
                    _ if to.insert(zone) => {}
                    _ => *from = other(*from),
                }
            }
            7 => {
                let (cells, minutes) = one(&mut self.observe, which)?;
                let cell = one(cells, by)?;
                if by.index(2) == 0 {
                    *minutes += 1;
                } else {
                    cell[0] = cell[0].map_or(Some(0), |zone| (zone < REST).then_some(zone + 1));
                }
            }
            _ => {
                let clause = one(&mut self.clauses, which)?;
                *clause = if clause.is_none() { Some(7) } else { None };
            }
        }
        Some(false)
    }
}

fn entry(line: &Line) -> String {
    let service = line.service.iter().map(|(protocol, ports)| {
        let name = protocol.map_or("any", |at| PROTOCOLS[at].0);
        match ports {
            None => name.to_owned(),
            Some((low, high)) if low == high => format!("{name}/{low}"),
            Some((low, high)) => format!("{name}/{low}-{high}"),
        }
    });
    let service = service.collect::<Vec<_>>().join(", ");
    let mut text = format!("from: z{}, to: z{}, service: [{service}], owner: o{}", line.from, line.to, line.owner);
    for (key, place) in [("src", &line.src), ("dst", &line.dst)] {
        if let Some(place) = place {
            write!(text, ", {key}: \"{place}\"").expect("a text");
        }
    }
    if let Some(day) = line.until {
        write!(text, ", ticket: t, until: {}", DAYS[day].0).expect("a text");
    }
    text
}

/// Protocols and ports at every edge of the lines, and beyond.
fn services() -> impl Iterator<Item = (u8, u16)> {
    PROTOCOLS
        .iter()
        .map(|(_, number)| *number)
        .chain([99])
        .flat_map(|protocol| (0..11).chain([u16::MAX]).map(move |port| (protocol, port)))
}

/// The first and last addresses of every prefix that there may be, and some of none.
fn addresses() -> Vec<IpAddr> {
    let of = (0..REST).flat_map(|zone| OWN.iter().chain(&PLACES).map(move |text| text.replace('#', &zone.to_string())));
    let all = of.chain(MORE.iter().chain(&PLACES_REST).map(|text| (*text).to_owned())).map(|text| net(&text));
    let edges = all.flat_map(|net| [net.network(), net.broadcast()]);
    let beyond = ["172.200.0.1", "192.0.2.1", "2001:db8:9::1"].map(|text| text.parse().expect("an address"));
    edges.chain(beyond).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The last instants of the days, and the next ones.
fn times() -> impl Iterator<Item = Time> {
    DAYS.iter().map(|(_, last)| last.parse::<Time>().expect("a time")).flat_map(|last| [last, last.plus_ns(1)])
}

/// The verdicts on what a proxy tells of these, all of TCP and let through.
fn verdicts_of_a_proxy(policy: &Policy, told: &[(Communication, u16)]) -> Vec<Option<Verdict>> {
    let mut builder = BatchBuilder::default();
    for (offset, (c, port)) in (1..).zip(told) {
        let head =
            FrameHead { position: Position { partition: 0, offset }, ..FrameHead::new(Transport::Internal, Content::Text) };
        let mut row = builder.row(&head, 0, "");
        row.time(c.time);
        row.log_source(LogSourceId::intern(LogSource { category: Some("proxy"), ..LogSource::default() }));
        row.ip(FieldId::SOURCE_IP, c.source);
        row.ip(FieldId::DESTINATION_IP, c.destination);
        row.int(FieldId::DESTINATION_PORT, i64::from(*port));
        row.text(FieldId::NETWORK_TRANSPORT, "tcp");
        row.text(FieldId::EVENT_TYPE, "allowed");
    }
    let batch = builder.finish(LogRange { partition: 0, first: 1, last: told.len() as u64 }, Time::UNKNOWN);
    policy.verdicts(&batch).map(|verdict| verdict.map(|verdict| verdict.verdict)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A file is refused exactly where trying everything finds a problem, with the same lines; else every verdict is the one found so.
    #[test]
    fn p03_proof_and_verdicts_are_those_of_a_brute_force_evaluator(model in model(), ends in prop::collection::vec(any::<Index>(), 12)) {
        let (file, addresses) = (model.written(), addresses());
        let ends: Vec<IpAddr> = ends.iter().map(|end| *end.get(&addresses)).collect();
        let expected = model.problems(&file, &addresses);
        let policy = match Policy::parse(&file.text) {
            Ok((policy, _)) => policy,
            Err(problems) => {
                let told: BTreeSet<Vec<usize>> = problems.into_iter().filter(|p| !p.warning).map(|p| p.lines).collect();
                prop_assert_eq!(told, expected, "{}", file.text);
                return Ok(());
            }
        };
        prop_assert_eq!(BTreeSet::new(), expected, "{}", file.text);
        prop_assert_eq!(policy.blind.iter().cloned().collect::<BTreeSet<_>>(), model.blind(), "{}", file.text);
        let known = services().map(|(protocol, port)| (Some(protocol), Some(port)));
        let services: Vec<_> = known.chain([(Some(6), None), (Some(99), None), (None, Some(3)), (None, None)]).collect();
        for (source, destination) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            for (protocol, port) in &services {
                for time in times() {
                    let c = Communication { source, destination, protocol: *protocol, port: *port, time };
                    prop_assert_eq!(policy.decide(&c), model.decide(&file, &c), "{:?}\n{}", c, file.text);
                }
            }
        }
        let mut by_proxy = Vec::new();
        for (source, destination) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            for (port, time) in [1, 3, 5, 9].into_iter().flat_map(|port| times().map(move |time| (port, time))) {
                by_proxy.push((Communication { source, destination, protocol: Some(6), port: Some(port), time }, port));
            }
        }
        for ((c, port), verdict) in by_proxy.iter().zip(verdicts_of_a_proxy(&policy, &by_proxy)) {
            prop_assert_eq!(verdict, Some(model.proxied(&file, c, *port)), "{:?}\n{}", c, file.text);
        }
    }

    /// A policy of which one thing was changed is refused or told apart, and where a verdict is another one, its zones or services are told.
    #[test]
    fn p03_each_mutation_is_noticed(model in model(), kind in 0u8..9, which in any::<Index>(), by in any::<Index>()) {
        let mut mutant = model.clone();
        let Some(decides) = mutant.mutate(kind, which, by) else { return Ok(()) };
        let (before, after) = (model.written(), mutant.written());
        prop_assert_ne!(&before.text, &after.text);
        if kind == 6 && model.invariants().collect::<BTreeSet<_>>() == mutant.invariants().collect() {
            // Another invariant says the same.
            return Ok(());
        }
        let (Ok((a, _)), Ok((b, _))) = (Policy::parse(&before.text), Policy::parse(&after.text)) else { return Ok(()) };
        let changes = diff(&a, &b);
        prop_assert!(!changes.is_empty(), "{}\n{}", before.text, after.text);
        let (addresses, mut differ) = (addresses(), false);
        let ends = addresses.iter().flat_map(|a| addresses.iter().map(move |b| (*a, *b)));
        // Not everything at once: a prefix concerns every service, a line's ports every host of its zones, an exception its hosts alone.
        let (every_end, every_service) = match kind {
            0 => (1, 7),
            1 | 2 => (3, 1),
            3 | 4 => (1, 1),
            _ => (7, 7),
        };
        let services: Vec<(u8, u16)> = services().step_by(every_service).collect();
        for (source, destination) in ends.step_by(every_end) {
            let zones = [&a, &b].map(|p| (p.zone_of(source).to_owned(), p.zone_of(destination).to_owned()));
            for (protocol, port) in &services {
                for time in times() {
                    let c = Communication { source, destination, protocol: Some(*protocol), port: Some(*port), time };
                    let kind = |decision| match decision {
                        Decision::Internal => 0,
                        Decision::Allowed(_) => 1,
                        Decision::Exception(_) => 2,
                        Decision::Denied => 3,
                    };
                    if kind(a.decide(&c)) == kind(b.decide(&c)) {
                        continue;
                    }
                    differ = true;
                    let told = changes.iter().any(|change| match change {
                        Change::Zone { first, last, .. } => {
                            let (first, last): (IpAddr, IpAddr) = (first.parse().expect("one"), last.parse().expect("one"));
                            [source, destination].iter().any(|ip| ip.is_ipv4() == first.is_ipv4() && (first..=last).contains(ip))
                        }
                        Change::Service { from, to, .. } => zones.iter().any(|(x, y)| (from, to) == (x, y)),
                        _ => false,
                    });
                    prop_assert!(told, "{:?} {:?}\n{}\n{}", c, changes, before.text, after.text);
                }
            }
        }
        prop_assert!(differ || !decides, "no verdict differs\n{}\n{}", before.text, after.text);
    }
}
