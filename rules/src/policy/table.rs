//! The policy compiled: which zone holds an address, and which line decides a service of a pair of zones.
//!
//! ```text
//!  address ─▶ 16 bits of it ─▶ the few ranges there ─▶ zone
//!  (zone, zone) ─▶ row ─▶ protocol and port as one number, among sorted intervals ─▶ line
//! ```
//!
//! Prefixes within prefixes are laid flat into ranges that do not overlap, so that the longest one is found without trying lengths. The
//! memory is bounded by the file: two ranges a prefix, a table of 64 Ki places, and the square of the number of zones.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::read::Cells;
use super::{Cell, Communication, MustDeny, Service, Zone};

/// Entries of the lists of exceptions of one pair of zones; with more the exceptions are looked through one by one.
const CANDIDATES_MAX: usize = 1 << 20;

/// Zones by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    /// How many IPv4 ranges begin at or before the address whose upper half is the index.
    roots: Vec<u32>,
    starts_v4: Vec<u32>,
    zones_v4: Vec<u16>,
    starts_v6: Vec<u128>,
    zones_v6: Vec<u16>,
    /// As `roots`, by the part of the address in which the prefixes differ: sites have theirs below one prefix.
    roots_v6: Vec<u32>,
    part_v6: Part,
}

/// Where an address of IPv6 stands between the first and the last range's beginning, in 65,536 equal parts; by its upper half.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    first: u64,
    shift: u32,
}

impl Part {
    const LAST: u64 = u16::MAX as u64;

    fn new(starts: &[u128]) -> Part {
        let upper = |start: Option<&u128>| start.map_or(0, |start| (start >> 64) as u64);
        let (first, last) = (upper(starts.get(1)), upper(starts.last()));
        let bits = u64::BITS - (last - first).leading_zeros();
        Part { first, shift: bits.saturating_sub(16) }
    }

    fn of(self, address: u128) -> usize {
        ((((address >> 64) as u64).saturating_sub(self.first) >> self.shift).min(Part::LAST)) as usize
    }

    /// The first address of a part; the last of all where the part lies beyond it.
    fn begin(self, part: u64) -> u128 {
        let upper = self.first.checked_add(part << self.shift);
        if part == 0 { 0 } else { upper.map_or(u128::MAX, |upper| u128::from(upper) << 64) }
    }
}

impl Lookup {
    pub(super) fn new(zones: &[Zone]) -> Lookup {
        let rest = zones.iter().position(|z| z.rest).unwrap_or(0) as u16;
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (at, zone) in zones.iter().enumerate() {
            for net in &zone.cidr {
                match net {
                    IpNet::V4(net) => {
                        v4.push((u128::from(net.network().to_bits()), u128::from(net.broadcast().to_bits()), at as u16));
                    }
                    IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits(), at as u16)),
                }
            }
        }
        let (v4, v6) = (flat(v4, rest, u128::from(u32::MAX)), flat(v6, rest, u128::MAX));
        let starts_v4: Vec<u32> = v4.iter().map(|(start, _)| *start as u32).collect();
        let root = |upper: u32| starts_v4.partition_point(|start| *start <= upper << 16) as u32;
        let mut roots: Vec<u32> = (0..1 << 16).map(root).collect();
        roots.push(starts_v4.len() as u32);
        let starts_v6: Vec<u128> = v6.iter().map(|(start, _)| *start).collect();
        let part_v6 = Part::new(&starts_v6);
        let root = |part: u64| starts_v6.partition_point(|start| *start <= part_v6.begin(part)) as u32;
        let mut roots_v6: Vec<u32> = (0..=Part::LAST).map(root).collect();
        roots_v6.push(starts_v6.len() as u32);
        Lookup {
            roots,
            roots_v6,
            part_v6,
            starts_v4,
            zones_v4: v4.into_iter().map(|(_, zone)| zone).collect(),
            starts_v6,
            zones_v6: v6.into_iter().map(|(_, zone)| zone).collect(),
        }
    }

    /// The index of the zone of an address.
    pub(super) fn zone(&self, ip: IpAddr) -> u16 {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let ip = ip.to_bits();
                let upper = (ip >> 16) as usize;
                let (low, high) = (self.roots[upper] as usize, self.roots[upper + 1] as usize);
                // The first range begins at nought, so that one always stands before.
                self.zones_v4[low + self.starts_v4[low..high].partition_point(|start| *start <= ip) - 1]
            }
            IpAddr::V6(ip) => {
                let ip = ip.to_bits();
                let part = self.part_v6.of(ip);
                let (low, high) = (self.roots_v6[part] as usize, self.roots_v6[part + 1] as usize);
                self.zones_v6[low + self.starts_v6[low..high].partition_point(|start| *start <= ip) - 1]
            }
        }
    }
}

impl Lookup {
    /// Where ranges begin, of one family of addresses.
    pub(super) fn starts(&self, v6: bool) -> Vec<u128> {
        if v6 { self.starts_v6.clone() } else { self.starts_v4.iter().map(|start| u128::from(*start)).collect() }
    }

    /// The index of the zone of an address as a number.
    pub(super) fn zone_of_bits(&self, bits: u128, v6: bool) -> u16 {
        let at = if v6 {
            self.starts_v6.partition_point(|start| *start <= bits)
        } else {
            self.starts_v4.partition_point(|start| u128::from(*start) <= bits)
        };
        if v6 { self.zones_v6[at - 1] } else { self.zones_v4[at - 1] }
    }
}

/// Prefixes (first address, last address, zone) as ranges that touch and do not overlap, by their beginnings.
fn flat(mut prefixes: Vec<(u128, u128, u16)>, rest: u16, last: u128) -> Vec<(u128, u16)> {
    fn put(ranges: &mut Vec<(u128, u16)>, at: u128, zone: u16) {
        match ranges.last_mut() {
            Some((start, there)) if *start == at => *there = zone,
            Some((_, there)) if *there == zone => {}
            _ => ranges.push((at, zone)),
        }
    }
    // The outer ones before what lies within them.
    prefixes.sort_by_key(|(low, high, _)| (*low, Reverse(*high)));
    let mut ranges = vec![(0, rest)];
    // The prefixes that are not ended yet; what lies around one goes on behind it.
    let mut open: Vec<(u128, u16)> = Vec::new();
    let close = |ranges: &mut Vec<(u128, u16)>, open: &mut Vec<(u128, u16)>, before: Option<u128>| {
        while let Some((end, _)) = open.pop_if(|(end, _)| before.is_none_or(|at| *end < at)) {
            if end < last {
                put(ranges, end + 1, open.last().map_or(rest, |(_, zone)| *zone));
            }
        }
    };
    for (low, high, zone) in prefixes {
        close(&mut ranges, &mut open, Some(low));
        put(&mut ranges, low, zone);
        open.push((high, zone));
    }
    close(&mut ranges, &mut open, None);
    ranges
}

/// Through which zones a proxy may lead from one zone to another, where an invariant forbids the pair.
#[derive(Clone, Debug, Default)]
struct Way {
    /// An invariant names no zone: it leads through none.
    closed: bool,
    /// Those that invariants name: each is one way through.
    via: Vec<u16>,
}

/// Lines by pair of zones.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    zones: usize,
    /// Per pair the number of its row, from 1; 0 for none.
    index: Vec<u32>,
    rows: Vec<Row>,
    /// Pairs that an invariant forbids.
    ways: BTreeMap<(u16, u16), Way>,
    /// Per pair whether it is one of the two legs of such a way.
    legs: Vec<bool>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    /// The lines as written, exceptions behind the others.
    lines: Vec<Cell>,
    /// What lines without exceptions allow: lowest and highest number of a service, and the line. They do not overlap.
    allow: Vec<(u32, u32, u32)>,
    /// What exceptions may allow.
    exceptions: Vec<Candidates>,
    /// The exceptions were too many for lists of candidates.
    plain: bool,
}

/// Exceptions that speak of the services between two numbers.
#[derive(Clone, Debug, Default)]
struct Candidates {
    low: u32,
    high: u32,
    /// Those for one source address, sorted by it.
    hosts: Vec<(IpAddr, u32)>,
    /// The others.
    nets: Vec<u32>,
}

/// Protocol and port as one number.
fn number(protocol: u8, port: u16) -> u32 {
    u32::from(protocol) << 16 | u32::from(port)
}

/// The numbers that a service spans; of every protocol with some ports as many spans as there are protocols.
fn spans(service: &Service) -> Vec<(u32, u32)> {
    match service.protocol {
        Some(protocol) => vec![(number(protocol, service.low), number(protocol, service.high))],
        None if service.low == 0 && service.high == u16::MAX => vec![(0, number(u8::MAX, u16::MAX))],
        None => (0..=u8::MAX).map(|protocol| (number(protocol, service.low), number(protocol, service.high))).collect(),
    }
}

impl Row {
    fn new(lines: Vec<Cell>) -> Row {
        let mut row = Row { lines, ..Row::default() };
        let mut excepted: Vec<(u32, u32, u32)> = Vec::new();
        for (at, cell) in row.lines.iter().enumerate() {
            let into = if cell.exception { &mut excepted } else { &mut row.allow };
            into.extend(cell.service.iter().flat_map(spans).map(|(low, high)| (low, high, at as u32)));
        }
        row.allow.sort_unstable();
        let mut edges: Vec<u32> = excepted.iter().flat_map(|(low, high, _)| [*low, high + 1]).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut held = 0;
        for pair in edges.windows(2) {
            let (low, high) = (pair[0], pair[1] - 1);
            let mut candidates = Candidates { low, high, ..Candidates::default() };
            for (_, _, at) in excepted.iter().filter(|(from, to, _)| *from <= low && high <= *to) {
                match row.lines[*at as usize].src {
                    Some(net) if net.prefix_len() == net.max_prefix_len() => candidates.hosts.push((net.addr(), *at)),
                    _ => candidates.nets.push(*at),
                }
            }
            candidates.hosts.sort_unstable();
            held += candidates.hosts.len() + candidates.nets.len();
            if held > CANDIDATES_MAX {
                row.exceptions.clear();
                row.plain = true;
                break;
            }
            if !candidates.hosts.is_empty() || !candidates.nets.is_empty() {
                row.exceptions.push(candidates);
            }
        }
        row
    }

    fn find(&self, number: u32, c: &Communication) -> Option<&Cell> {
        let before = self.allow.partition_point(|(low, ..)| *low <= number);
        if let Some((_, high, at)) = before.checked_sub(1).map(|at| self.allow[at])
            && number <= high
        {
            return self.lines.get(at as usize);
        }
        if self.plain {
            let spans_it = |s: &Service| spans(s).iter().any(|(low, high)| (*low..=*high).contains(&number));
            return self.lines.iter().find(|cell| cell.exception && cell.is_about(c) && cell.service.iter().any(spans_it));
        }
        let before = self.exceptions.partition_point(|c| c.low <= number);
        let candidates = before.checked_sub(1).map(|at| &self.exceptions[at]).filter(|c| number <= c.high)?;
        let source = c.source.to_canonical();
        let first = candidates.hosts.partition_point(|(host, _)| *host < source);
        let hosts = candidates.hosts[first..].iter().take_while(|(host, _)| *host == source).map(|(_, at)| at);
        hosts.chain(&candidates.nets).map(|at| &self.lines[*at as usize]).find(|cell| cell.is_about(c))
    }
}

impl Table {
    pub(super) fn new(zones: usize, cells: Cells, must_deny: &[MustDeny], zone: impl Fn(&str) -> u16) -> Table {
        let mut table = Table { zones, index: vec![0; zones * zones], legs: vec![false; zones * zones], ..Table::default() };
        let mut cells: Vec<_> = cells.into_iter().collect();
        cells.sort_by_key(|(pair, _)| *pair);
        for ((from, to), lines) in cells {
            table.rows.push(Row::new(lines));
            let at = table.at(from, to);
            table.index[at] = table.rows.len() as u32;
        }
        for invariant in must_deny {
            for to in &invariant.to {
                let way = table.ways.entry((zone(&invariant.from), zone(to))).or_default();
                match &invariant.unless_via {
                    Some(via) => {
                        way.via.push(zone(via));
                        for (from, to) in [(&invariant.from, via), (via, to)] {
                            let at = table.at(zone(from), zone(to));
                            table.legs[at] = true;
                        }
                    }
                    None => way.closed = true,
                }
            }
        }
        table
    }

    fn at(&self, from: u16, to: u16) -> usize {
        usize::from(from) * self.zones + usize::from(to)
    }

    fn row(&self, from: u16, to: u16) -> Option<&Row> {
        self.rows.get((self.index[self.at(from, to)] as usize).checked_sub(1)?)
    }

    /// The lines of a pair, exceptions behind the others.
    pub(super) fn lines(&self, from: u16, to: u16) -> &[Cell] {
        self.row(from, to).map_or(&[], |row| &row.lines)
    }

    /// Whether no invariant keeps a proxy from leading from one zone to another through a third one.
    pub(super) fn leads_through(&self, from: u16, middle: u16, to: u16) -> bool {
        self.ways.get(&(from, to)).is_none_or(|way| !way.closed && way.via.contains(&middle))
    }

    /// Whether what goes from one zone to another may be one of two legs through a sanitiser.
    pub(super) fn is_leg(&self, from: u16, to: u16) -> bool {
        self.legs[self.at(from, to)]
    }

    /// The line that decides a service, among those that speak of the addresses and the time.
    pub(super) fn find(&self, from: u16, to: u16, (protocol, port): (u8, u16), c: &Communication) -> Option<&Cell> {
        self.row(from, to)?.find(number(protocol, port), c)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(cidr: Vec<IpNet>, rest: bool) -> Zone {
        Zone { name: String::new(), names: Default::default(), cidr, clause: None, rest }
    }

    /// Addresses of few networks, some far from the others, and of both families.
    fn address() -> impl Strategy<Value = IpAddr> {
        let base = prop::sample::select(vec![0u128, 0x2001_0db8 << 96, 0x2001_0db8_0042 << 80, 0xfd00 << 112, u128::MAX << 64]);
        let v6 = (base, any::<u64>(), 0u32..100)
            .prop_map(|(base, low, shift)| IpAddr::V6((base | u128::from(low) << shift >> 16).into()));
        prop_oneof![4 => v6, 1 => any::<u32>().prop_map(|bits| IpAddr::V4(bits.into()))]
    }

    proptest! {
        /// The tables before the ranges change nothing: the longest prefix decides, tried one by one.
        #[test]
        fn the_longest_prefix_decides(nets in prop::collection::vec((address(), 0u8..=128), 1..40), asked in prop::collection::vec(address(), 50)) {
            let mut nets: Vec<IpNet> = nets
                .into_iter()
                .map(|(ip, length)| IpNet::new(ip, if ip.is_ipv4() { length.min(32) } else { length }).expect("a length").trunc())
                .collect();
            nets.sort_unstable();
            nets.dedup();
            let mut zones: Vec<Zone> = nets.iter().map(|net| zone(vec![*net], false)).collect();
            zones.push(zone(Vec::new(), true));
            let lookup = Lookup::new(&zones);
            let edges = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for ip in asked.into_iter().chain(edges).map(|ip| ip.to_canonical()) {
                let longest = nets.iter().enumerate().filter(|(_, net)| net.contains(&ip)).max_by_key(|(_, net)| net.prefix_len());
                prop_assert_eq!(usize::from(lookup.zone(ip)), longest.map_or(nets.len(), |(at, _)| at), "{}", ip);
            }
        }
    }
}
