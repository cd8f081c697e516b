//! What two policies decide differently, exactly: by ranges of addresses that change their zone, and by pairs of zones and intervals of
//! services. A zone that has another name and the same addresses is told as renamed, and is one zone for all else. Exceptions are compared with their addresses and their end, lines with who answers for them and why; and what sensors see, what
//! zones are called and which clause speaks of them.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::Serialize;

use super::read::shown;
use super::{Line, Policy, Service, Zone};

/// Something that another policy decides differently.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    /// Addresses that belong to another zone.
    Zone {
        /// The first address.
        first: String,
        /// The last one.
        last: String,
        /// The zone of the first policy.
        before: String,
        /// The zone of the second policy.
        after: String,
    },
    /// A zone that has the same addresses under another name. All else is told under the second policy's name.
    Renamed {
        /// Its name in the first policy.
        before: String,
        /// Its name in the second policy.
        after: String,
    },
    /// A zone that one of them has and the other has not, that people call otherwise, or of which another clause speaks.
    Named {
        /// The zone.
        zone: String,
        /// What the first policy says: its names by language, its clause.
        before: String,
        /// What the second policy says.
        after: String,
    },
    /// Another network model.
    Model {
        /// What the first policy says.
        before: String,
        /// What the second policy says.
        after: String,
    },
    /// Services of a pair of zones that are decided differently.
    Service {
        /// From which zone.
        from: String,
        /// To which zone.
        to: String,
        /// Which services, such as `tcp/443-445`.
        service: String,
        /// `allowed`, `denied`, or the addresses and end of an exception; with what the lines say of who answers for them and why.
        before: String,
        /// The same in the second policy.
        after: String,
        /// The deciding lines of the first policy.
        lines_before: Vec<usize>,
        /// The deciding lines of the second policy.
        lines_after: Vec<usize>,
    },
    /// A sensor that sees other pairs of zones, has other addresses or another heartbeat.
    Sensor {
        /// The sensor's name.
        sensor: String,
        /// What the first policy says.
        before: String,
        /// What the second policy says.
        after: String,
    },
    /// An invariant that one of them has and the other has not.
    Invariant {
        /// From which zone.
        from: String,
        /// To which zone.
        to: String,
        /// What the first policy says.
        before: String,
        /// What the second policy says.
        after: String,
    },
}

/// What `b` decides differently from `a`, in a fixed order.
pub fn diff(a: &Policy, b: &Policy) -> Vec<Change> {
    let renamed = renamed(a, b);
    let mut changes: Vec<Change> =
        renamed.iter().map(|(before, after)| Change::Renamed { before: before.clone(), after: after.clone() }).collect();
    let a = &with_names(a, &renamed);
    changes.extend(zones(a, b));
    let named = differing(&named(a), &named(b)).into_iter();
    changes.extend(named.map(|(zone, before, after)| Change::Named { zone, before, after }));
    if a.model != b.model {
        changes.push(Change::Model { before: a.model.clone(), after: b.model.clone() });
    }
    let pairs: BTreeSet<(String, String)> =
        [a, b].into_iter().flat_map(|p| p.allow.iter().chain(&p.exceptions)).map(|l| (l.from.clone(), l.to.clone())).collect();
    for (from, to) in pairs {
        services(a, b, &from, &to, &mut changes);
    }
    changes.extend(differing(&invariants(a), &invariants(b)).into_iter().map(|((from, to), before, after)| Change::Invariant {
        from,
        to,
        before,
        after,
    }));
    changes.extend(differing(&sensors(a), &sensors(b)).into_iter().map(|(sensor, before, after)| Change::Sensor {
        sensor,
        before,
        after,
    }));
    changes
}

/// The zones of one policy that another one has under another name, with that name: the same prefixes, or all other addresses, where neither
/// policy has the other's name.
pub fn renamed(a: &Policy, b: &Policy) -> BTreeMap<String, String> {
    fn alone<'p>(of: &'p Policy, other: &Policy) -> BTreeMap<(bool, BTreeSet<IpNet>), &'p str> {
        let zones = of.zones.iter().filter(|zone| other.zone_named(&zone.name).is_none());
        zones.map(|zone| ((zone.rest, zone.cidr.iter().copied().collect()), zone.name.as_str())).collect()
    }
    let after = alone(b, a);
    let both =
        alone(a, b).into_iter().filter_map(|(addresses, name)| Some((name.to_owned(), (*after.get(&addresses)?).to_owned())));
    both.collect()
}

/// The policy with other names for some of its zones.
fn with_names(policy: &Policy, names: &BTreeMap<String, String>) -> Policy {
    let mut policy = policy.clone();
    let rename = |name: &mut String| {
        if let Some(other) = names.get(name) {
            name.clone_from(other);
        }
    };
    policy.zones.iter_mut().for_each(|zone| rename(&mut zone.name));
    for line in policy.allow.iter_mut().chain(&mut policy.exceptions) {
        rename(&mut line.from);
        rename(&mut line.to);
    }
    for invariant in &mut policy.must_deny {
        rename(&mut invariant.from);
        invariant.to.iter_mut().chain(&mut invariant.unless_via).for_each(rename);
    }
    for (from, to) in policy.observe.iter_mut().flat_map(|sensor| &mut sensor.cells) {
        rename(from);
        rename(to);
    }
    policy
}

/// Of what two policies say under a name, that which differs; `nothing` where one of them has no such name.
fn differing<K: Clone + Ord>(a: &BTreeMap<K, String>, b: &BTreeMap<K, String>) -> Vec<(K, String, String)> {
    let said = |all: &BTreeMap<K, String>, key: &K| all.get(key).cloned().unwrap_or_else(|| "nothing".to_owned());
    let keys: BTreeSet<&K> = a.keys().chain(b.keys()).collect();
    let both = keys.into_iter().map(|key| (key.clone(), said(a, key), said(b, key)));
    both.filter(|(_, before, after)| before != after).collect()
}

/// What must be denied of each pair, by however many entries.
fn invariants(policy: &Policy) -> BTreeMap<(String, String), String> {
    let mut entries: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for one in &policy.must_deny {
        let via = one.unless_via.as_ref().map_or_else(String::new, |via| format!(" unless via {via}"));
        for to in &one.to {
            entries.entry((one.from.clone(), to.clone())).or_default().insert(format!("must be denied{via}"));
        }
    }
    joined(entries)
}

/// What several entries say of each.
fn joined<K: Ord>(entries: BTreeMap<K, BTreeSet<String>>) -> BTreeMap<K, String> {
    entries.into_iter().map(|(of, said)| (of, said.into_iter().collect::<Vec<_>>().join("; "))).collect()
}

/// What is said of each sensor, in however many entries.
fn sensors(policy: &Policy) -> BTreeMap<String, String> {
    let mut entries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in &policy.observe {
        let cells: BTreeSet<String> = one.cells.iter().map(|(from, to)| format!("{from} → {to}")).collect();
        let addresses: BTreeSet<String> = one.address.iter().map(ToString::to_string).collect();
        let list = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(", ");
        let from = if addresses.is_empty() { String::new() } else { format!(" from {}", list(addresses)) };
        entries.entry(one.sensor.clone()).or_default().insert(format!("sees {}{from} every {}", list(cells), one.heartbeat));
    }
    joined(entries)
}

/// What is said of each zone beside its addresses.
fn named(policy: &Policy) -> BTreeMap<String, String> {
    let said = |zone: &Zone| {
        let names = zone.names.iter().map(|(language, name)| format!("{language} {name}"));
        let rest = zone.rest.then(|| "all other addresses".to_owned());
        let clause = zone.clause.as_ref().map(|clause| format!("clause {clause}"));
        let all: Vec<String> = names.chain(rest).chain(clause).collect();
        if all.is_empty() { "no name".to_owned() } else { all.join(", ") }
    };
    policy.zones.iter().map(|zone| (zone.name.clone(), said(zone))).collect()
}

fn zones(a: &Policy, b: &Policy) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for v6 in [false, true] {
        let starts: BTreeSet<u128> = [a, b].into_iter().flat_map(|p| p.lookup.starts(v6)).collect();
        let mut open: Option<(u128, String, String)> = None;
        let last = if v6 { u128::MAX } else { u128::from(u32::MAX) };
        let mut close = |open: &mut Option<(u128, String, String)>, end: u128| {
            if let Some((start, before, after)) = open.take()
                && before != after
            {
                let text = |bits: u128| {
                    if v6 {
                        std::net::Ipv6Addr::from_bits(bits).to_string()
                    } else {
                        std::net::Ipv4Addr::from_bits(bits as u32).to_string()
                    }
                };
                changes.push(Change::Zone { first: text(start), last: text(end), before, after });
            }
        };
        for start in starts {
            let name = |p: &Policy| p.zones[usize::from(p.lookup.zone_of_bits(start, v6))].name.clone();
            let (before, after) = (name(a), name(b));
            if open.as_ref().is_some_and(|(_, x, y)| (x, y) == (&before, &after)) {
                continue;
            }
            if start > 0 {
                close(&mut open, start - 1);
            }
            open = Some((start, before, after));
        }
        close(&mut open, last);
    }
    changes
}

/// The services of a pair, cut at every edge of either policy's lines; neighbours that change alike are one.
fn services(a: &Policy, b: &Policy, from: &str, to: &str, changes: &mut Vec<Change>) {
    let lines = |p: &Policy| -> Vec<(Line, bool)> {
        let is = |l: &&Line| l.from == from && l.to == to;
        let allow = p.allow.iter().filter(is).map(|l| (l.clone(), false));
        allow.chain(p.exceptions.iter().filter(is).map(|l| (l.clone(), true))).collect()
    };
    let (old, new) = (lines(a), lines(b));
    // Protocols that some line names; what only `any` speaks of stands for all the others.
    let named: BTreeSet<Option<u8>> =
        old.iter().chain(&new).flat_map(|(l, _)| &l.service).map(|s| s.protocol).chain([None]).collect();
    for protocol in named {
        let is = |s: &&Service| s.protocol.is_none() || s.protocol == protocol;
        let mut edges: BTreeSet<u32> = BTreeSet::from([0, 65_536]);
        for s in old.iter().chain(&new).flat_map(|(l, _)| &l.service).filter(is) {
            edges.extend([u32::from(s.low), u32::from(s.high) + 1]);
        }
        let mut open: Option<(u32, Said, Said)> = None;
        let mut close = |open: &mut Option<(u32, Said, Said)>, end: u32| {
            if let Some((low, before, after)) = open.take()
                && before.words != after.words
            {
                let service = Service { protocol, low: low as u16, high: (end - 1) as u16 };
                let mut name = shown(&service);
                if protocol.is_none() {
                    name = name.replace("any", "any other protocol");
                }
                changes.push(Change::Service {
                    from: from.to_owned(),
                    to: to.to_owned(),
                    service: name,
                    before: before.words,
                    after: after.words,
                    lines_before: before.lines,
                    lines_after: after.lines,
                });
            }
        };
        for low in edges.into_iter().filter(|edge| *edge < 65_536) {
            let (before, after) = (said(&old, protocol, low as u16), said(&new, protocol, low as u16));
            if open.as_ref().is_some_and(|(_, x, y)| *x == before && *y == after) {
                continue;
            }
            close(&mut open, low);
            open = Some((low, before, after));
        }
        close(&mut open, 65_536);
    }
}

#[derive(Eq, PartialEq)]
struct Said {
    words: String,
    lines: Vec<usize>,
}

/// What lines say of one service of their pair.
fn said(lines: &[(Line, bool)], protocol: Option<u8>, port: u16) -> Said {
    let speaks =
        |l: &Line| l.service.iter().any(|s| (s.protocol.is_none() || s.protocol == protocol) && (s.low..=s.high).contains(&port));
    let mut of: Vec<(String, usize)> = Vec::new();
    for (line, exception) in lines.iter().filter(|(line, _)| speaks(line)) {
        let words = if *exception {
            let place = |net: Option<ipnet::IpNet>| net.map_or_else(|| "any".to_owned(), |net| net.to_string());
            let until = line.until.map_or_else(String::new, |until| format!(" until {until}"));
            format!("exception {} → {}{until}", place(line.src), place(line.dst))
        } else {
            "allowed".to_owned()
        };
        let about: Vec<String> = line.about.iter().map(|(key, text)| format!("{key} {text}")).collect();
        let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        of.push((words + &about, line.line));
    }
    of.sort();
    let lines = of.iter().map(|(_, line)| *line).collect();
    let words: Vec<String> = of.into_iter().map(|(words, _)| words).collect();
    Said { words: if words.is_empty() { "denied".to_owned() } else { words.join("; ") }, lines }
}
