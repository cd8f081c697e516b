//! What a verdict costs: 10,000 prefixes of both families, 1,000 lines, some of them exceptions for single addresses.
//!
//! `cargo bench -p rules --bench policy`. The communications are made beforehand, half of them of zones that have lines, so that what is
//! timed is [`Policy::decide`] alone, in the thread's own time on the processor.

#![expect(clippy::print_stdout, reason = "the figures")]

mod clock;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clock::processor_time;
use event::Time;
use rules::policy::{Communication, Decision, Policy};

const ZONES: u32 = 100;
const PREFIXES: u32 = 10_000;
const LINES: u32 = 1_000;
const ASKED: usize = 1 << 20;

/// The n-th prefix: nine of ten IPv4, of lengths 20 to 28, some within others.
fn prefix(n: u32) -> (IpAddr, u8) {
    if n.is_multiple_of(10) {
        (Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n) << 64).into(), 64)
    } else {
        let length = 20 + (n % 9) as u8;
        let base = (10 << 24) + n * 1500 * 16;
        (Ipv4Addr::from_bits(base >> (32 - length) << (32 - length)).into(), length)
    }
}

fn text() -> String {
    let mut zones: Vec<Vec<String>> = vec![Vec::new(); ZONES as usize];
    let mut seen = std::collections::HashSet::new();
    for n in 0..PREFIXES {
        let (ip, length) = prefix(n);
        if seen.insert((ip, length)) {
            zones[(n % (ZONES - 1)) as usize].push(format!("\"{ip}/{length}\""));
        }
    }
    let mut text = String::from("zones:\n");
    for (zone, cidr) in zones.iter().enumerate().take(ZONES as usize - 1) {
        text += &format!("  z{zone}: {{cidr: [{}]}}\n", cidr.join(", "));
    }
    text.push_str("  rest: {rest: true}\nallow:\n");
    let lines = LINES / 10 * 9;
    for n in 0..lines {
        let (from, to) = (n % 33, 40 + n / 33 % 20);
        text += &format!("  - {{from: z{from}, to: z{to}, service: [tcp/{}-{}]}}\n", 100 + n, 100 + n);
    }
    text.push_str("exceptions:\n");
    for n in 0..LINES - lines {
        // All of one pair and service, each for an address of its own: the longest list that there can be.
        let (ip, _) = prefix(1 + n * (ZONES - 1));
        text += &format!(
            "  - {{from: z1, to: rest, service: [tcp/443], src: {}, owner: o, ticket: t{n}, until: 2030-01-01}}\n",
            one_of(ip, n)
        );
    }
    text
}

/// An address of the prefixes of zone 1.
fn one_of(ip: IpAddr, n: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() + n % 4).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() + u128::from(n)).into(),
    }
}

fn main() {
    let (policy, _) = match Policy::parse(&text()) {
        Ok(policy) => policy,
        Err(problems) => panic!("{:?}", &problems[..problems.len().min(5)]),
    };
    let prefixes: usize = policy.zones.iter().map(|zone| zone.cidr.len()).sum();
    println!("{prefixes} prefixes, {} lines, {} exceptions", policy.allow.len(), policy.exceptions.len());
    let mut state = 7u64;
    let mut roll = |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(below)) as u32
    };
    for (name, share_v6) in [("IPv4", 0), ("IPv6", 100), ("one in ten IPv6", 10)] {
        let asked: Vec<Communication> = (0..ASKED)
            .map(|n| {
                let mut end = || {
                    let v6 = roll(100) < share_v6;
                    let at = if v6 { roll(PREFIXES / 10) * 10 } else { roll(PREFIXES / 10) * 10 + 1 + roll(9) };
                    one_of(prefix(at).0, roll(4))
                };
                let (source, destination) = (end(), if n % 4 == 0 { [8, 8, 8, 8].into() } else { end() });
                let port = Some(if n % 2 == 0 { 443 } else { 100 + roll(1000) as u16 });
                Communication { source, destination, protocol: Some(6), port, time: Time::from_unix_s(1_775_000_000) }
            })
            .collect();
        let mut best = Duration::MAX;
        let mut decided = [0usize; 4];
        for _ in 0..5 {
            decided = [0; 4];
            let before = processor_time();
            for c in &asked {
                let at = match black_box(policy.decide(black_box(c))) {
                    Decision::Internal => 0,
                    Decision::Allowed(_) => 1,
                    Decision::Exception(_) => 2,
                    Decision::Denied => 3,
                };
                decided[at] += 1;
            }
            best = best.min(processor_time() - before);
        }
        println!(
            "{name:16} {:6.1} ns a verdict (of {ASKED}: {} internal, {} allowed, {} by exception, {} denied)",
            best.as_nanos() as f64 / ASKED as f64,
            decided[0],
            decided[1],
            decided[2],
            decided[3]
        );
    }
}
