//! What one field's value opens: every gate on that field, looked up at once.

use std::collections::BTreeMap;
use std::net::IpAddr;

use event::Value;
use ipnet::IpNet;

use super::form::{Anchor, Form};
use super::grams::{Found, Grams};
use super::hash::{Table, hash};
use super::ladder::Ladder;
use super::rarity::Rarity;
use crate::sigma::item::{Number, Order};
use crate::test_of::{address_of, number_of};

/// The gates on one field (or on every value, for keywords).
#[derive(Debug, Default)]
pub(super) struct Matcher {
    /// Gates that any cell of the field opens.
    pub(super) present: Box<[u32]>,
    /// Those of them that any cell of a field below it opens too.
    pub(super) below: Box<[u32]>,
    /// Whole values by their hashes: the table gives the first of a hash.
    whole: Table,
    wholes: Box<[(u64, Box<str>, u32)]>,
    whole_lengths: Lengths,
    starts: Ladder,
    ends: Ladder,
    within: Grams,
    numbers: Box<[(u64, Number, u32)]>,
    networks: Networks,
    /// Per name of a literal where its gates start; one more at the end.
    gates_start: Box<[u32]>,
    gates: Box<[u32]>,
    /// Whether any gate asks for text.
    reads_text: bool,
    /// Whether any asks for text that a number can be written as.
    reads_digits: bool,
}

/// Lengths of texts: a bit for each number of bytes, the last one for all that are longer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Lengths(u64);

impl Lengths {
    pub(super) const ANY: Lengths = Lengths(u64::MAX);

    fn of(bytes: usize) -> Lengths {
        Lengths(1 << bytes.min(63))
    }

    fn from(bytes: usize) -> Lengths {
        Lengths(u64::MAX << bytes.min(63))
    }

    /// These and those.
    pub(super) fn and(self, other: Lengths) -> Lengths {
        Lengths(self.0 | other.0)
    }

    /// Whether a text of so many bytes is among them.
    #[inline]
    pub(super) fn have(self, bytes: usize) -> bool {
        self.0 >> bytes.min(63) & 1 != 0
    }
}

/// What numbers are written with, also infinity and what is no number.
const NUMBER_BYTES: &[u8] = b"0123456789+-.einfa";

/// Distinguishes the hashes of whole values from those of the cache.
const WHOLE_SEED: u64 = 0x5742_6d65;

impl Matcher {
    /// The matcher of these forms, each with the number of its gate.
    pub(super) fn new(forms: &[(u32, Form)], rarity: &Rarity) -> Matcher {
        let (mut present, mut below) = (Vec::new(), Vec::new());
        let mut by_literal: BTreeMap<(Anchor, &str), Vec<u32>> = BTreeMap::new();
        let mut numbers = Vec::new();
        let mut networks = Vec::new();
        for (gate, form) in forms {
            match form {
                Form::Present => present.push(*gate),
                Form::There | Form::Absent => {
                    present.push(*gate);
                    below.push(*gate);
                }
                Form::Text { literals, .. } => {
                    for (anchor, text) in literals {
                        by_literal.entry((*anchor, text)).or_default().push(*gate);
                    }
                }
                Form::Number(number) => numbers.push((key(*number), *number, *gate)),
                Form::Network(net) => networks.push((*net, *gate)),
            }
        }
        numbers.sort_by_key(|(key, _, gate)| (*key, *gate));
        let (mut gates, mut gates_start) = (Vec::new(), vec![0]);
        let mut by_anchor: [Vec<(String, u32)>; 4] = Default::default();
        for (name, ((anchor, text), of)) in by_literal.into_iter().enumerate() {
            by_anchor[anchor as usize].push((text.to_owned(), name as u32));
            gates.extend(of);
            gates_start.push(gates.len() as u32);
        }
        let reads_digits = by_anchor.iter().flatten().any(|(text, _)| text.bytes().all(|byte| NUMBER_BYTES.contains(&byte)));
        let [wholes, starts, ends, within] = by_anchor;
        let mut wholes: Vec<(u64, Box<str>, u32)> =
            wholes.into_iter().map(|(text, name)| (hash(text.as_bytes(), WHOLE_SEED), text.into_boxed_str(), name)).collect();
        wholes.sort();
        let firsts: Vec<(u64, u32)> = (0..wholes.len())
            .filter(|at| *at == 0 || wholes[at - 1].0 != wholes[*at].0)
            .map(|at| (wholes[at].0, at as u32))
            .collect();
        let reads_text = gates_start.len() > 1;
        let whole_lengths = wholes.iter().map(|(_, text, _)| Lengths::of(text.len())).fold(Lengths::default(), Lengths::and);
        Matcher {
            present: present.into(),
            below: below.into(),
            whole: Table::new(&firsts),
            wholes: wholes.into(),
            whole_lengths,
            starts: Ladder::new(starts, false),
            ends: Ladder::new(ends, true),
            within: Grams::new(within, rarity),
            numbers: numbers.into(),
            networks: Networks::new(networks),
            gates_start: gates_start.into(),
            gates: gates.into(),
            reads_text,
            reads_digits,
        }
    }

    /// Whether it only asks for texts within values: then it may be asked for several values at once, one behind the other.
    pub(super) fn is_within(&self) -> bool {
        let is_anchored = !self.wholes.is_empty() || !self.starts.is_empty() || !self.ends.is_empty();
        !is_anchored && self.numbers.is_empty() && self.networks.is_empty()
    }

    /// Whether it may be asked so for ASCII text of any case.
    pub(super) fn is_caseless(&self) -> bool {
        self.within.is_caseless()
    }

    /// Whether a value is of any interest: else only that it is there.
    pub(super) fn reads_values(&self) -> bool {
        self.reads_text || !self.numbers.is_empty() || !self.networks.is_empty()
    }

    /// Whether a number can open a gate.
    pub(super) fn reads_numbers(&self) -> bool {
        self.reads_digits || !self.numbers.is_empty() || !self.networks.is_empty()
    }

    /// Whether the value's text can open a gate.
    pub(super) fn reads_text_of(&self, value: Value<'_>) -> bool {
        self.reads_text && (self.reads_digits || !matches!(value, Value::Int(_) | Value::Uint(_) | Value::Float(_)))
    }

    /// What it costs to look a usual text up, in look-ups of a table.
    pub(super) fn price(&self) -> usize {
        let ladders = [&self.starts, &self.ends].into_iter().filter(|ladder| !ladder.is_empty()).count();
        let read = usize::from(!self.numbers.is_empty()) + usize::from(!self.networks.is_empty());
        2 + 6 * (ladders + read + usize::from(!self.wholes.is_empty())) + self.within.price()
    }

    /// How long a text, in lower case, can be that opens a gate.
    pub(super) fn lengths(&self) -> Lengths {
        if !self.numbers.is_empty() || !self.networks.is_empty() {
            return Lengths::ANY;
        }
        let shortest = [self.starts.shortest(), self.ends.shortest(), self.within.shortest()].into_iter().flatten().min();
        self.whole_lengths.and(shortest.map_or_else(Lengths::default, Lengths::from))
    }

    /// Adds the gates that numbers and addresses open.
    pub(super) fn find_value(&self, value: Value<'_>, out: &mut Vec<u32>) {
        if !self.numbers.is_empty()
            && let Some(number) = number_of(value)
        {
            let wanted = key(number);
            let from = self.numbers.partition_point(|(key, ..)| *key < wanted);
            let same = self.numbers[from..].iter().take_while(|(key, ..)| *key == wanted);
            out.extend(same.filter(|(_, n, _)| number.compare(Order::Eq, *n)).map(|(.., gate)| *gate));
        }
        if !self.networks.is_empty()
            && let Some(ip) = address_of(value)
        {
            self.networks.find(ip, out);
        }
    }

    /// Adds the gates that a value's text opens; `folded` is in lower case, but where [`Matcher::is_caseless`].
    pub(super) fn find_text(&self, folded: &[u8], found: &mut Found, out: &mut Vec<u32>) {
        let mut hit = |name: u32| {
            let (from, to) = (self.gates_start[name as usize] as usize, self.gates_start[name as usize + 1] as usize);
            out.extend_from_slice(&self.gates[from..to]);
        };
        if self.whole_lengths.have(folded.len()) {
            let wanted = hash(folded, WHOLE_SEED);
            let from = self.whole.get(wanted).unwrap_or(self.wholes.len());
            let same = self.wholes[from..].iter().take_while(|(hash, ..)| *hash == wanted);
            same.filter(|(_, text, _)| text.as_bytes() == folded).for_each(|(.., name)| hit(*name));
        }
        self.starts.find(folded, &mut hit);
        self.ends.find(folded, &mut hit);
        if !self.within.is_empty() {
            self.within.find(folded, self.gates_start.len(), found, &mut hit);
        }
    }
}

/// Numbers that compare equal have one key: whole ones beyond 2^53 may share one with their neighbours, and are compared.
fn key(number: Number) -> u64 {
    (number.float() + 0.0).to_bits()
}

/// Networks that nest: each with the smallest other one around it, found as in a [`Ladder`].
#[derive(Debug, Default)]
struct Networks {
    v4: Box<[Network]>,
    v6: Box<[Network]>,
}

#[derive(Debug)]
struct Network {
    start: u128,
    net: IpNet,
    gate: u32,
    around: Option<u32>,
}

impl Networks {
    fn new(networks: Vec<(IpNet, u32)>) -> Networks {
        let (v4, v6) = networks.into_iter().partition(|(net, _)| matches!(net, IpNet::V4(_)));
        Networks { v4: Networks::nest(v4), v6: Networks::nest(v6) }
    }

    fn nest(mut networks: Vec<(IpNet, u32)>) -> Box<[Network]> {
        networks.sort_by_key(|(net, gate)| (number_of_address(net.network()), net.prefix_len(), *gate));
        let mut nested: Vec<Network> = Vec::with_capacity(networks.len());
        for (net, gate) in networks {
            let mut around = nested.len().checked_sub(1).map(|at| at as u32);
            while let Some(at) = around.filter(|at| !nested[*at as usize].net.contains(&net)) {
                around = nested[at as usize].around;
            }
            nested.push(Network { start: number_of_address(net.network()), net, gate, around });
        }
        nested.into()
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn find(&self, ip: IpAddr, out: &mut Vec<u32>) {
        let networks = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        let wanted = number_of_address(ip);
        let mut at = networks.partition_point(|n| n.start <= wanted).checked_sub(1);
        while let Some(network) = at.map(|at| &networks[at]) {
            if network.net.contains(&ip) {
                out.push(network.gate);
            }
            at = network.around.map(|at| at as usize);
        }
    }
}

fn number_of_address(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn networks_find_what_contains_the_address(
            nets in prop::collection::vec((any::<bool>(), 0u32..64, 20u8..=32), 0..30),
            v4: bool,
            ip in 0u32..64,
        ) {
            let address = |v4: bool, n: u32| match v4 {
                true => IpAddr::V4(n.into()),
                false => IpAddr::V6((u128::from(n) << 96).into()),
            };
            let nets: Vec<(IpNet, u32)> =
                nets.iter().map(|(v4, n, bits)| IpNet::new(address(*v4, *n), *bits).expect("fits").trunc()).zip(0..).collect();
            let expected: Vec<u32> =
                nets.iter().filter(|(net, _)| net.contains(&address(v4, ip))).map(|(_, gate)| *gate).collect();
            let mut found = Vec::new();
            Networks::new(nets).find(address(v4, ip), &mut found);
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
