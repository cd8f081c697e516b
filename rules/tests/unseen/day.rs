//! A working day of a small network: everything that looks a little like an attack and is none.

use std::net::Ipv4Addr;

use super::flow::{Dice, End, Flow, ICMP, TCP, UDP};

const DAY: f64 = 86_400.0;
const HOUR: f64 = 3600.0;
const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 53);
const MAIL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 25);
const FILES: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 44);
const MONITOR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 99);
const WEB: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 80);

fn terminal(n: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 3, (n / 200) as u8, 1 + (n % 200) as u8)
}

pub(crate) fn day(d: &mut Dice) -> Vec<Flow> {
    let mut all = Vec::new();
    let sites: Vec<Ipv4Addr> = (0..60).map(|_| d.outside()).collect();
    for n in 0..20 {
        let from = terminal(n);
        browse(d, from, &sites, &mut all);
        polls(d, from, &sites, &mut all);
        files(d, from, &mut all);
    }
    resolve(d, &mut all);
    mail(d, &mut all);
    monitor(d, &mut all);
    serve(d, &mut all);
    jobs(d, &mut all);
    oddities(d, &sites, &mut all);
    programs(d, &sites, &mut all);
    calls(d, &mut all);
    office(d, &sites, &mut all);
    all.retain(|flow| flow.at < DAY);
    all
}

/// Pages: several connections at once, to a few sites, and then nothing for minutes; each name asked for before.
fn browse(d: &mut Dice, from: Ipv4Addr, sites: &[Ipv4Addr], all: &mut Vec<Flow>) {
    let mut at = d.between(0.0, HOUR);
    while at < 10.0 * HOUR {
        for _ in 0..d.range(2, 9) {
            let (begin, to) = (at + d.between(0.0, 4.0), d.pick(sites));
            let (asked, told) = (d.range(58, 95), d.range(90, 400));
            all.push(Flow::new(d, begin, from, RESOLVER, UDP, 53).bytes(asked, told).lasting(0.01));
            let (sent, received, length) = (d.scale(400.0, 9000.0), d.scale(600.0, 900_000.0), d.scale(0.1, 60.0));
            let quic = d.share() < 0.2;
            let page = Flow::new(d, begin, from, to, if quic { UDP } else { TCP }, 443);
            let page = page.bytes(sent as u64, received as u64).lasting(length);
            let lost = d.share() < 0.01;
            all.push(if lost { page.ending(End::Silent) } else { page });
            // Pictures and counters of places that are gone: mostly the same ones.
            if d.share() < 0.03 {
                let gone = if d.share() < 0.7 { Ipv4Addr::new(198, 51, 100, d.range(1, 6) as u8) } else { d.outside() };
                all.push(Flow::new(d, begin, from, gone, TCP, 443).ending(End::Silent));
            }
        }
        at += d.wait(420.0);
    }
}

/// Time, update checks, mail and chat that look for news.
fn polls(d: &mut Dice, from: Ipv4Addr, sites: &[Ipv4Addr], all: &mut Vec<Flow>) {
    let (time, every) = (d.pick(sites), d.pick(&[64.0, 256.0, 1024.0]));
    let mut at = d.between(0.0, every);
    while at < DAY {
        all.push(Flow::new(d, at, from, time, UDP, 123).bytes(76, 76).lasting(0.02));
        at += every * 4.0;
    }
    // Update checks: every few hours, to whichever address the network of servers gives.
    let mut at = d.between(0.0, 4.0 * HOUR);
    while at < DAY {
        let (to, received) = (d.pick(sites), d.scale(2000.0, 5e6) as u64);
        all.push(Flow::new(d, at, from, to, TCP, 443).bytes(900, received).lasting(3.0));
        at += 4.0 * HOUR + d.between(-1800.0, 1800.0);
    }
    // A telephone call by video: one address, two hours, much both ways.
    if d.share() < 0.3 {
        let (at, to, length) = (d.between(0.0, 8.0 * HOUR), d.outside(), d.between(300.0, 1500.0));
        all.push(Flow::new(d, at, from, to, UDP, 3478).bytes(90_000_000, 120_000_000).lasting(length));
    }
}

fn files(d: &mut Dice, from: Ipv4Addr, all: &mut Vec<Flow>) {
    let mut at = d.between(0.0, HOUR);
    while at < 10.0 * HOUR {
        let (sent, received, length) = (d.scale(2000.0, 5e7) as u64, d.scale(2000.0, 5e7) as u64, d.scale(1.0, 900.0));
        all.push(Flow::new(d, at, from, FILES, TCP, 445).bytes(sent, received).lasting(length));
        at += d.wait(1800.0);
    }
    // And what the other servers are for.
    let mut at = d.between(0.0, HOUR);
    while at < 10.0 * HOUR {
        let server = Ipv4Addr::new(10, 9, 1, 10 + d.range(0, 8) as u8);
        let (sent, received) = (d.scale(500.0, 9000.0) as u64, d.scale(500.0, 90_000.0) as u64);
        all.push(Flow::new(d, at, from, server, TCP, 8443).bytes(sent, received).lasting(2.0));
        at += d.wait(600.0);
    }
}

/// The resolver asks servers all over the world, some of which are down.
fn resolve(d: &mut Dice, all: &mut Vec<Flow>) {
    let mut at = 0.0;
    while at < DAY {
        let to = d.outside();
        let (sent, received) = (d.range(60, 100), d.range(90, 600));
        let asked = Flow::new(d, at, RESOLVER, to, UDP, 53).bytes(sent, received).lasting(0.05);
        let down = d.share() < 0.05;
        all.push(if down { asked.ending(End::Silent) } else { asked });
        at += d.wait(45.0);
    }
}

/// A mail server gets mail and sends it on, to many and not always with success; terminals leave theirs with it.
fn mail(d: &mut Dice, all: &mut Vec<Flow>) {
    let mut at = 0.0;
    while at < DAY {
        let (other, sent, received) = (d.outside(), d.scale(2000.0, 2e6) as u64, d.scale(2000.0, 2e6) as u64);
        all.push(Flow::new(d, at, other, MAIL, TCP, 25).bytes(received, 900).lasting(2.0));
        let to = d.outside();
        let out = Flow::new(d, at + 20.0, MAIL, to, TCP, 25).bytes(sent, 900).lasting(2.0);
        let down = d.share() < 0.08;
        all.push(if down { out.ending(End::Silent) } else { out });
        let n = d.range(0, 20);
        all.push(Flow::new(d, at + 5.0, terminal(n), MAIL, TCP, 587).bytes(sent, 900).lasting(1.0));
        at += d.wait(180.0);
    }
}

/// A monitoring server asks every server every few minutes by ping and by connection; one is down for half an hour.
fn monitor(d: &mut Dice, all: &mut Vec<Flow>) {
    let down = d.between(HOUR, 20.0 * HOUR);
    let mut at = 0.0;
    while at < DAY {
        for n in 0..8u8 {
            let to = Ipv4Addr::new(10, 9, 1, 10 + n);
            let is_down = n == 3 && at > down && at < down + 1800.0;
            all.push(Flow::new(d, at, MONITOR, to, ICMP, 0).bytes(84, if is_down { 0 } else { 84 }).lasting(0.01));
            let tried = Flow::new(d, at + 1.0, MONITOR, to, TCP, if n % 2 == 0 { 22 } else { 443 }).bytes(300, 400);
            all.push(if is_down { tried.ending(End::Silent) } else { tried });
        }
        at += 300.0;
    }
}

/// A public site, which somebody's monitor asks every ten seconds, with what the Internet sends to any address.
fn serve(d: &mut Dice, all: &mut Vec<Flow>) {
    let (watcher, mut at) = (d.outside(), 0.0);
    while at < 2.0 * HOUR {
        all.push(Flow::new(d, at, watcher, WEB, TCP, 443).bytes(700, 3000));
        at += 10.0;
    }
    let mut at = 0.0;
    while at < DAY {
        let (from, sent, received) = (d.outside(), d.range(400, 4000), d.scale(500.0, 500_000.0) as u64);
        for _ in 0..d.range(1, 4) {
            all.push(Flow::new(d, at, from, WEB, TCP, 443).bytes(sent, received).lasting(1.0));
        }
        at += d.wait(60.0);
    }
    let mut at = 0.0;
    while at < DAY {
        let (from, port) = (d.outside(), d.pick(&[22u16, 23, 80, 445, 3389, 5555, 8080]));
        for _ in 0..d.range(1, 4) {
            let to = Ipv4Addr::new(10, 9, 0, d.range(1, 250) as u8);
            all.push(Flow::new(d, at, from, to, TCP, port).ending(End::Silent));
        }
        at += d.wait(120.0);
    }
}

/// Backups, file transfers every five minutes, administration.
fn jobs(d: &mut Dice, all: &mut Vec<Flow>) {
    let backup = Ipv4Addr::new(10, 9, 0, 200);
    for n in 0..6u8 {
        let from = Ipv4Addr::new(10, 9, 1, 10 + n);
        let begin = 14.0 * HOUR + f64::from(n) * 600.0;
        all.push(Flow::new(d, begin, from, backup, TCP, 9101).bytes(9_000_000_000, 4_000_000).lasting(500.0));
    }
    let mut at = 7.0;
    while at < DAY {
        all.push(Flow::new(d, at, Ipv4Addr::new(10, 9, 1, 10), FILES, TCP, 22).bytes(5000, 3000).lasting(2.5));
        at += 300.0;
    }
    for _ in 0..6 {
        let (at, to, length) =
            (d.between(0.0, 9.0 * HOUR), Ipv4Addr::new(10, 9, 1, 10 + d.range(0, 8) as u8), d.scale(40.0, 1200.0));
        all.push(Flow::new(d, at, terminal(19), to, TCP, 3389).bytes(800_000, 9_000_000).lasting(length));
    }
}

/// A server that is down, for those who use it; a program that calls at home irregularly; pings to see whether the Internet is there; a
/// newsletter's worth of addresses that no longer answer.
fn oddities(d: &mut Dice, sites: &[Ipv4Addr], all: &mut Vec<Flow>) {
    let down = d.between(2.0 * HOUR, 8.0 * HOUR);
    for n in 0..12 {
        let mut at = down + d.between(0.0, 30.0);
        while at < down + 900.0 {
            let end = if n % 2 == 0 { End::Silent } else { End::Refused };
            all.push(Flow::new(d, at, terminal(n), FILES, TCP, 8443).ending(end));
            at += d.between(5.0, 60.0);
        }
    }
    let mut at = 0.0;
    while at < DAY {
        let (sent, received) = (d.scale(300.0, 90_000.0) as u64, d.scale(300.0, 90_000.0) as u64);
        all.push(Flow::new(d, at, terminal(5), sites[3], TCP, 443).bytes(sent, received));
        at += d.wait(900.0);
    }
    let mut at = 0.0;
    while at < 4.0 * HOUR {
        all.push(Flow::new(d, at, terminal(8), sites[4], ICMP, 0).bytes(84 * 4, 84 * 4).lasting(4.0));
        at += 60.0;
    }
}

/// What programs fetch by themselves: pages of the weather, mail in a browser, lists of viruses, updates that terminals give each other.
fn programs(d: &mut Dice, sites: &[Ipv4Addr], all: &mut Vec<Flow>) {
    for n in 0..20 {
        let from = terminal(n);
        // A page of the weather or the news that is left open: asked for again when somebody looks at it, of a size that differs.
        let mut at = d.between(0.0, HOUR);
        while at < 10.0 * HOUR {
            let received = d.scale(4000.0, 400_000.0) as u64;
            let sent = d.scale(600.0, 3000.0) as u64;
            all.push(Flow::new(d, at, from, sites[7], TCP, 443).bytes(sent, received).lasting(1.5));
            at += 120.0 + d.wait(400.0);
        }
        // Mail in a browser: every half minute while it is open, through whichever of a few addresses; everybody's is there.
        let mut at = d.between(0.0, HOUR);
        while at < 9.0 * HOUR {
            let to = sites[10 + d.range(0, 4) as usize];
            let (sent, received) = (d.range(700, 900), d.scale(500.0, 9000.0) as u64);
            all.push(Flow::new(d, at, from, to, TCP, 443).bytes(sent, received).lasting(0.3));
            at += d.between(20.0, 90.0);
        }
        // Lists of viruses, hourly or so, and their pieces, several at once from a network of servers, without encryption.
        let mut at = d.between(0.0, HOUR);
        while at < DAY {
            for _ in 0..d.range(3, 12) {
                let (begin, to, received) = (at + d.between(0.0, 20.0), d.pick(&sites[20..40]), d.scale(5000.0, 3e7) as u64);
                all.push(Flow::new(d, begin, from, to, TCP, 80).bytes(500, received).lasting(2.0));
            }
            at += d.between(0.6, 1.4) * 2.0 * HOUR;
        }
        // Other terminals are asked for updates, of which some are off.
        let at = d.between(0.0, 10.0 * HOUR);
        for peer in 0..d.range(8, 14) {
            let flow = Flow::new(d, at + peer as f64 * 0.5, from, terminal(14 + peer), TCP, 7680).bytes(9000, 2_000_000);
            all.push(if peer >= 6 { flow.ending(End::Silent) } else { flow });
        }
        // Updates from other terminals, here and outside.
        for _ in 0..d.range(0, 12) {
            let (at, length) = (d.between(0.0, 10.0 * HOUR), d.scale(1.0, 60.0));
            let to = if d.share() < 0.7 { terminal(d.range(0, 20)) } else { d.outside() };
            let gone = d.share() < 0.1 && to.octets()[0] != 10;
            let flow = Flow::new(d, at, from, to, TCP, 7680).bytes(9000, 2_000_000).lasting(length);
            all.push(if gone { flow.ending(End::Silent) } else { flow });
        }
    }
}

/// Calls by video: a relay of the provider, and a few people directly, some of whom cannot be reached; both ways, for an hour.
fn calls(d: &mut Dice, all: &mut Vec<Flow>) {
    for n in 0..10 {
        let (from, at, length) = (terminal(n * 2), d.between(0.0, 9.0 * HOUR), d.between(600.0, 1700.0));
        for _ in 0..d.range(2, 5) {
            let (to, port) = (d.outside(), d.range(10_000, 60_000) as u16);
            let tried = Flow::new(d, at, from, to, UDP, port).bytes(180, 0).ending(End::Silent);
            all.push(tried);
        }
        let (relay, port) = (d.outside(), d.pick(&[3478u16, 3480, 8801, 19_305]));
        let rate = d.scale(60_000.0, 600_000.0);
        let (sent, received) = ((rate * length) as u64, (rate * length * d.between(0.7, 4.0)) as u64);
        all.push(Flow::new(d, at + 1.0, from, relay, UDP, port).bytes(sent, received).lasting(length));
    }
}

/// An upload to a store outside by QUIC and one by TCP, a copy of a server to another site at night, printers that are asked how they
/// are, a program that checks an address list of links slowly, a project's chat in a browser.
fn office(d: &mut Dice, sites: &[Ipv4Addr], all: &mut Vec<Flow>) {
    let at = d.between(0.0, 9.0 * HOUR);
    all.push(Flow::new(d, at, terminal(3), sites[50], UDP, 443).bytes(400_000_000, 5_000_000).lasting(60.0));
    all.push(Flow::new(d, at + 900.0, terminal(4), sites[51], TCP, 443).bytes(300_000_000, 4_000_000).lasting(40.0));
    let mut at = d.between(0.0, 60.0);
    while at < DAY {
        for n in 0..4u8 {
            let printer = Ipv4Addr::new(10, 9, 2, 10 + n);
            let off = n == 3 && at > 12.0 * HOUR;
            let asked = Flow::new(d, at, FILES, printer, UDP, 161).bytes(90, 120).lasting(0.01);
            all.push(if off { asked.ending(End::Silent) } else { asked });
        }
        at += 600.0;
    }
    let mut at = d.between(0.0, HOUR);
    while at < 8.0 * HOUR {
        let (to, lost, received) = (d.outside(), d.share(), d.scale(500.0, 90_000.0) as u64);
        let flow = Flow::new(d, at, terminal(11), to, TCP, 443).bytes(700, received).lasting(0.5);
        all.push(if lost < 0.1 { flow.ending(End::Silent) } else { flow });
        at += d.wait(90.0);
    }
    // A stream: one place, much, without end; and a download by many connections at once.
    let mut at = d.between(0.0, HOUR);
    for _ in 0..600 {
        all.push(Flow::new(d, at, terminal(12), sites[52], TCP, 80).bytes(500, 900_000).lasting(3.0));
        at += d.between(3.0, 5.0);
    }
}
