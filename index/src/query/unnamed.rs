//! Words whose colons name no field: addresses and times, as one pastes them from a log; and networks.

use std::net::{Ipv6Addr, SocketAddr};

use super::{Query, Test};
use crate::schema::{IPS, MESSAGE};

/// What a word of such a form is searched for: the record has its words; those of an IPv6 address in each way that devices write it.
pub(super) fn unnamed(word: &str) -> Option<Query> {
    if word.contains('/')
        && let Ok(network @ Test::Network(..)) = Test::of(word)
    {
        return Some(within(word, &network));
    }
    let address = word.split(['/', '%']).next().unwrap_or(word);
    if let Ok(ip) = address.parse::<Ipv6Addr>() {
        let groups = |group: &dyn Fn(u16) -> String| ip.segments().map(group).join(":");
        let mut ways = vec![word.to_owned()];
        if address.len() == word.len() {
            ways.extend([ip.to_canonical().to_string(), groups(&|n| format!("{n:x}")), groups(&|n| format!("{n:04x}"))]);
            ways.sort_unstable();
            ways.dedup();
        }
        let mut ways: Vec<Query> = ways.into_iter().map(Query::Words).collect();
        return Some(if ways.len() == 1 { ways.remove(0) } else { Query::Or(ways) });
    }
    let is = word.parse::<SocketAddr>().is_ok() || is_hardware_address(word) || is_clock(word) || is_instant(word);
    is.then(|| Query::Words(word.to_owned()))
}

/// Records with an address of the network: a word of theirs, or one of their addresses, whose IPv6 is not one word.
fn within(word: &str, network: &Test) -> Query {
    let fields = std::iter::once(MESSAGE).chain(IPS.iter().copied());
    let mut any: Vec<Query> = fields.map(|name| Query::Field(name.to_owned(), network.clone())).collect();
    any.push(Query::Words(word.to_owned()));
    Query::Or(any)
}

/// `00:1b:44:11:3a:b7`, or the maker's part of it.
fn is_hardware_address(word: &str) -> bool {
    let group = |group: &str| group.len() == 2 && group.bytes().all(|b| b.is_ascii_hexdigit());
    (3..=8).contains(&word.split(':').count()) && word.split(':').all(group)
}

/// `2026-04-01T09:15:00Z`, or less of it.
fn is_instant(word: &str) -> bool {
    let Some((date, clock)) = word.split_once(['T', 't']) else { return false };
    let digits = |(part, width): (&str, usize)| part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
    date.split('-').count() == 3 && date.split('-').zip([4, 2, 2]).all(digits) && is_clock(clock)
}

/// `9:15`, `09:15:00`, `09:15:00.123+09:00`.
fn is_clock(word: &str) -> bool {
    let clock = word.find(['.', ',', 'Z', 'z', '+', '-']).map_or(word, |end| &word[..end]);
    let behind = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | 'Z' | 'z' | '+' | '-' | ':');
    let digits = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (2..=3).contains(&clock.split(':').count()) && clock.split(':').all(digits) && word[clock.len()..].chars().all(behind)
}
