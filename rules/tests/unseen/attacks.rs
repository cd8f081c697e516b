//! Attacks of random size, speed and shape.

use std::net::Ipv4Addr;

use super::flow::{Dice, End, Flow, ICMP, TCP, UDP};

type Attack = (&'static str, &'static [&'static str], fn(&mut Dice) -> Vec<Flow>);

const INSIDE: &str = "A host inside tries many hosts or ports";
const SLOW: &str = "A host inside tries many hosts or ports slowly";
const OUTSIDE: &str = "An address outside tries many hosts or ports";
const GUESSING: &str = "Passwords are being guessed";
const BEACON: &str = "Regular connections to one place outside";
const UNANSWERED: &str = "Regular calls to one place outside that nobody answers";
const CARRIER: &str = "Data carried in DNS or ping packets";
const SPAM: &str = "A terminal sends mail to many servers outside";
const CHAT: &str = "A host inside talks to a chat server outside";
const PEERS: &str = "A host inside talks to many strangers on ports of no service";
const FLOOD: &str = "A host inside floods somebody outside";
const CLICKS: &str = "Pages asked for at a machine's pace";

pub(crate) const ATTACKS: &[Attack] = &[
    ("horizontal scan from inside", &[INSIDE], |d| hosts(d, true)),
    ("horizontal scan from outside", &[OUTSIDE], |d| hosts(d, false)),
    ("vertical scan from inside", &[INSIDE], |d| ports(d, true)),
    ("vertical scan from outside", &[OUTSIDE], |d| ports(d, false)),
    ("slow scan", &[SLOW, INSIDE], slow),
    ("scan of a few ports of each host", &[INSIDE], few),
    ("scan by UDP", &[INSIDE], udp),
    ("scan of open doors", &[INSIDE], open),
    ("scan by FIN, NULL or Xmas", &[INSIDE], without_syn),
    ("sweep by ping", &[INSIDE], ping),
    ("scan shared by a network outside", &[OUTSIDE], shared),
    ("guessing from outside", &[GUESSING], |d| guessing(d, false)),
    ("guessing from inside", &[GUESSING], |d| guessing(d, true)),
    ("guessing at a web page", &[GUESSING], web),
    ("guessing at a mail box", &[GUESSING], mail_box),
    ("guessing at many hosts", &[GUESSING], |d| spread(d, true)),
    ("guessing shared by many", &[GUESSING], |d| spread(d, false)),
    ("beacon", &[BEACON], beacon),
    ("sparse beacon", &[BEACON], sparse),
    ("beacon of a short capture", &[BEACON], short),
    ("C2 that nobody answers", &[UNANSWERED], unanswered),
    ("C2 that nobody answers, tried thrice", &[UNANSWERED], thrice),
    ("bot that looks for peers", &[INSIDE, PEERS], peers),
    ("tunnel in DNS, sending", &[CARRIER], |d| dns(d, true)),
    ("tunnel in DNS, fetching", &[CARRIER], |d| dns(d, false)),
    ("tunnel in pings", &[CARRIER], pings),
    ("spam", &[SPAM], spam),
    ("orders by IRC, in one long connection", &[CHAT], |d| chat(d, true)),
    ("orders by IRC, made again and again", &[CHAT], |d| chat(d, false)),
    ("bots that know each other", &[PEERS], network_of_bots),
    ("attack on others by datagrams", &[FLOOD], |d| flood(d, UDP)),
    ("attack on others by pings", &[FLOOD], |d| flood(d, ICMP)),
    ("attack on others by SYNs", &[FLOOD], syns),
    ("clicks on advertisements", &[CLICKS], clicks),
    ("scan shared by strangers outside", &[OUTSIDE], strangers),
];

fn terminal(d: &mut Dice) -> Ipv4Addr {
    Ipv4Addr::new(10, 3, d.range(0, 20) as u8, d.range(1, 250) as u8)
}

fn neighbour(n: u64) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a04_0001 + n as u32)
}

/// Refused or unanswered, a few answered.
fn mostly_failed(d: &mut Dice, answered: f64, refused: f64) -> End {
    if d.share() < answered {
        End::Answered
    } else if d.share() < refused {
        End::Refused
    } else {
        End::Silent
    }
}

fn source(d: &mut Dice, inside: bool) -> Ipv4Addr {
    if inside { terminal(d) } else { d.outside() }
}

fn hosts(d: &mut Dice, inside: bool) -> Vec<Flow> {
    let (from, count) = (source(d, inside), d.scale(16.0, 300.0) as u64);
    let (gap, port) = (d.scale(0.005, 10.0), d.pick(&[21u16, 22, 23, 80, 443, 445, 1433, 3389, 5900, 8080]));
    let (answered, refused) = (d.between(0.0, 0.3), d.share());
    (0..count)
        .map(|n| {
            let end = mostly_failed(d, answered, refused);
            Flow::new(d, n as f64 * gap, from, neighbour(n), TCP, port).ending(end)
        })
        .collect()
}

fn ports(d: &mut Dice, inside: bool) -> Vec<Flow> {
    let (from, to, count) = (source(d, inside), neighbour(7), d.scale(20.0, 1000.0) as u64);
    let (gap, refused, first) = (d.scale(0.002, 10.0), d.share(), d.range(1, 2000));
    (0..count)
        .map(|n| {
            let end = mostly_failed(d, 0.05, refused);
            Flow::new(d, n as f64 * gap, from, to, TCP, (first + n * 7) as u16).ending(end)
        })
        .collect()
}

/// SYN, SYN and ACK, RST: a scanner that finds everything open.
fn open(d: &mut Dice) -> Vec<Flow> {
    let (from, count, gap, port) = (terminal(d), d.range(12, 100), d.scale(0.01, 5.0), d.pick(&[22u16, 80, 443, 445, 3389]));
    (0..count).map(|n| Flow::new(d, n as f64 * gap, from, neighbour(n), TCP, port).ending(End::Empty)).collect()
}

fn without_syn(d: &mut Dice) -> Vec<Flow> {
    let (from, to, count, gap) = (terminal(d), neighbour(9), d.range(20, 500), d.scale(0.002, 2.0));
    (0..count).map(|n| Flow::new(d, n as f64 * gap, from, to, TCP, (n * 3 + 1) as u16).ending(End::Reset)).collect()
}

fn slow(d: &mut Dice) -> Vec<Flow> {
    let (from, count, gap) = (terminal(d), d.range(45, 120), d.between(100.0, 900.0));
    let (port, answered, refused) = (d.pick(&[22u16, 445, 3389, 80]), d.between(0.0, 0.3), d.share());
    let mut at = 0.0;
    (0..count)
        .map(|n| {
            at += d.between(0.5, 1.5) * gap;
            let end = mostly_failed(d, answered, refused);
            Flow::new(d, at, from, neighbour(n * 3), TCP, port).ending(end)
        })
        .collect()
}

fn few(d: &mut Dice) -> Vec<Flow> {
    let (from, count, gap, refused) = (terminal(d), d.range(25, 100), d.scale(0.05, 8.0), d.share());
    (0..count)
        .map(|n| {
            let end = mostly_failed(d, 0.1, refused);
            let port = d.pick(&[22u16, 80, 135, 139, 443, 445, 3306, 3389, 5985, 8080, 8443]);
            Flow::new(d, n as f64 * gap, from, neighbour(n / 2), TCP, port).ending(end)
        })
        .collect()
}

fn udp(d: &mut Dice) -> Vec<Flow> {
    let (from, count, gap) = (terminal(d), d.range(20, 200), d.scale(0.01, 5.0));
    let (port, down) = (d.pick(&[69u16, 111, 161, 500, 623, 11_211]), d.share() < 0.5);
    (0..count)
        .map(|n| {
            let (to, port) = if down { (neighbour(5), 1000 + n as u16 * 3) } else { (neighbour(n), port) };
            Flow::new(d, n as f64 * gap, from, to, UDP, port).bytes(60, 0).ending(End::Silent)
        })
        .collect()
}

fn ping(d: &mut Dice) -> Vec<Flow> {
    let (from, count, gap, answered) = (terminal(d), d.range(25, 254), d.scale(0.002, 3.0), d.share());
    (0..count)
        .map(|n| {
            let received = if d.share() < answered { 84 } else { 0 };
            Flow::new(d, n as f64 * gap, from, neighbour(n), ICMP, 0).bytes(84, received).lasting(0.01)
        })
        .collect()
}

/// Each address of a network outside tries so few that it alone would not be noticed.
fn shared(d: &mut Dice) -> Vec<Flow> {
    let (net, count, gap) = (d.outside().to_bits() & !0xff, d.range(100, 300), d.scale(0.1, 5.0));
    let port = d.pick(&[22u16, 3389, 445, 5900]);
    (0..count)
        .map(|n| {
            let from = Ipv4Addr::from_bits(net + 1 + (n * 37 % 60) as u32);
            Flow::new(d, n as f64 * gap, from, neighbour(n), TCP, port).ending(End::Silent)
        })
        .collect()
}

fn guessing(d: &mut Dice, inside: bool) -> Vec<Flow> {
    let (from, to) = (source(d, inside), neighbour(3));
    let port = d.pick(&[21u16, 22, 23, 3389, 5900]);
    let (count, gap) = (d.scale(40.0, 400.0) as u64, d.scale(0.1, 6.0));
    let (sent, received, length) = (d.range(700, 3000), d.range(900, 4000), d.between(0.2, 4.0));
    (0..count)
        .map(|n| {
            let (sent, received) = (sent + d.range(0, 60), received + d.range(0, 60));
            Flow::new(d, n as f64 * gap, from, to, TCP, port).bytes(sent, received).lasting(length)
        })
        .collect()
}

fn web(d: &mut Dice) -> Vec<Flow> {
    let (from, to, port, gap) = (d.outside(), neighbour(3), d.pick(&[80u16, 443, 8443, 10_443]), d.scale(0.02, 2.0));
    let (sent, received, length) = (d.range(400, 2500), d.range(400, 9000), d.between(0.05, 2.0));
    (0..d.range(150, 800))
        .map(|n| {
            let (sent, received) = (sent + d.range(0, 40), received + d.range(0, 60));
            Flow::new(d, n as f64 * gap, from, to, TCP, port).bytes(sent, received).lasting(length)
        })
        .collect()
}

fn mail_box(d: &mut Dice) -> Vec<Flow> {
    let (from, to, port, gap) = (d.outside(), neighbour(3), d.pick(&[110u16, 143, 587, 993, 995]), d.scale(0.05, 2.0));
    let (sent, received) = (d.range(300, 1500), d.range(400, 5000));
    (0..d.range(130, 500))
        .map(|n| {
            let (sent, received) = (sent + d.range(0, 30), received + d.range(0, 60));
            Flow::new(d, n as f64 * gap, from, to, TCP, port).bytes(sent, received).lasting(0.8)
        })
        .collect()
}

/// A few tries of each host by one, or of one host by each of many.
fn spread(d: &mut Dice, hosts: bool) -> Vec<Flow> {
    let (many, gap) = (d.range(12, 40), d.scale(0.2, 8.0));
    let port = if hosts { d.pick(&[21u16, 22, 23, 3389, 5900]) } else { d.pick(&[22u16, 23, 3389]) };
    let (one, sent, received) = (d.outside(), d.range(700, 3000), d.range(900, 4000));
    let others: Vec<_> = (0..many).map(|_| d.outside()).collect();
    (0..many * d.range(4, 8))
        .map(|n| {
            let (from, to) = if hosts { (one, neighbour(n % many)) } else { (others[(n % many) as usize], neighbour(3)) };
            let (sent, received) = (sent + d.range(0, 60), received + d.range(0, 60));
            Flow::new(d, n as f64 * gap, from, to, TCP, port).bytes(sent, received).lasting(2.0)
        })
        .collect()
}

fn regular(d: &mut Dice, count: u64, interval: f64, jitter: f64) -> Vec<Flow> {
    let (from, to, port) = (terminal(d), d.outside(), d.pick(&[80u16, 443, 8443, 4444, 8080]));
    let (sent, noise, received) = (d.range(150, 2000), d.range(1, 80), d.range(100, 4000));
    let mut at = 0.0;
    (0..count)
        .map(|_| {
            at += interval * (1.0 + jitter * d.between(-1.0, 1.0));
            let (sent, received) = (sent + d.range(0, noise), received + d.range(0, 400));
            Flow::new(d, at, from, to, TCP, port).bytes(sent, received)
        })
        .collect()
}

fn beacon(d: &mut Dice) -> Vec<Flow> {
    let (count, interval, jitter) = (d.scale(45.0, 300.0) as u64, d.scale(5.0, 1200.0), d.between(0.0, 0.5));
    regular(d, count, interval, jitter)
}

fn sparse(d: &mut Dice) -> Vec<Flow> {
    let (count, interval, jitter) = (d.range(14, 40), d.between(3600.0, 6.0 * 3600.0), d.between(0.0, 0.3));
    regular(d, count, interval, jitter)
}

/// A few visits of a program that keeps its time.
fn short(d: &mut Dice) -> Vec<Flow> {
    let (count, interval, jitter) = (d.range(14, 20), d.scale(20.0, 300.0), d.between(0.0, 0.05));
    regular(d, count, interval, jitter)
}

/// Each time once more after a second and after three, from other ports.
fn thrice(d: &mut Dice) -> Vec<Flow> {
    let (count, interval, jitter) = (d.range(60, 120), d.scale(20.0, 300.0), d.between(0.0, 0.2));
    let tries = regular(d, count, interval, jitter);
    let again = |d: &mut Dice, flow: &Flow, later: f64| Flow {
        at: flow.at + later,
        source_port: d.range(32_768, 61_000) as u16,
        ..*flow
    };
    let all = tries.iter().flat_map(|flow| [0.0, 1.01, 3.03].map(|later| again(d, flow, later)));
    all.map(|flow| flow.ending(End::Silent)).collect()
}

fn unanswered(d: &mut Dice) -> Vec<Flow> {
    let (count, interval, jitter) = (d.range(60, 300), d.scale(5.0, 300.0), d.between(0.0, 0.3));
    let end = d.pick(&[End::Silent, End::Refused]);
    regular(d, count, interval, jitter).into_iter().map(|flow| flow.ending(end)).collect()
}

fn peers(d: &mut Dice) -> Vec<Flow> {
    let (from, count, gap) = (terminal(d), d.range(60, 300), d.scale(0.2, 8.0));
    let transport = d.pick(&[TCP, UDP]);
    (0..count)
        .map(|n| {
            let (to, port) = (d.outside(), d.range(1024, 65_000) as u16);
            let end = mostly_failed(d, 0.2, 0.1);
            Flow::new(d, n as f64 * gap, from, to, transport, port).bytes(140, 300).ending(end)
        })
        .collect()
}

fn dns(d: &mut Dice, sending: bool) -> Vec<Flow> {
    let from = terminal(d);
    let to = if d.share() < 0.5 { Ipv4Addr::new(10, 9, 0, 53) } else { d.outside() };
    let (count, gap) = (d.range(600, 2000), d.scale(0.02, 1.0));
    (0..count)
        .map(|n| {
            let (sent, received) =
                if sending { (d.range(170, 270), d.range(90, 300)) } else { (d.range(70, 110), d.range(700, 1300)) };
            Flow::new(d, n as f64 * gap, from, to, UDP, 53).bytes(sent, received).lasting(0.03)
        })
        .collect()
}

fn pings(d: &mut Dice) -> Vec<Flow> {
    let (from, to, count) = (terminal(d), d.outside(), d.range(30, 200));
    let (gap, each) = (d.between(1.0, 10.0), d.range(20_000, 200_000));
    (0..count).map(|n| Flow::new(d, n as f64 * gap, from, to, ICMP, 0).bytes(each, each).lasting(gap * 0.9)).collect()
}

fn spam(d: &mut Dice) -> Vec<Flow> {
    let (from, count, gap) = (terminal(d), d.range(60, 400), d.scale(0.2, 20.0));
    (0..count)
        .map(|n| {
            let (to, end) = (d.outside(), mostly_failed(d, 0.6, 0.3));
            let sent = d.range(2000, 30_000);
            Flow::new(d, n as f64 * gap, from, to, TCP, 25).bytes(sent, 1200).lasting(2.0).ending(end)
        })
        .collect()
}

/// Hours of next to nothing, told of in parts, or a minute now and then when the server sends the bot away.
fn chat(d: &mut Dice, long: bool) -> Vec<Flow> {
    let (from, to, port) = (terminal(d), d.outside(), d.pick(&[6660u16, 6666, 6667, 6668, 6669, 6697]));
    if long {
        let length = d.scale(120.0, 5.0 * 3600.0);
        let (sent, received) = (d.between(0.5, 20.0) * length, d.between(1.0, 60.0) * length);
        return vec![Flow::new(d, 0.0, from, to, TCP, port).bytes(400 + sent as u64, 900 + received as u64).lasting(length)];
    }
    let (count, gap) = (d.range(5, 30), d.scale(30.0, 3600.0));
    (0..count)
        .map(|n| {
            let (sent, received, length) = (d.range(200, 2000), d.range(300, 6000), d.between(1.0, 40.0));
            Flow::new(d, n as f64 * gap * 1.1, from, to, TCP, port).bytes(sent, received).lasting(length)
        })
        .collect()
}

/// Most of them are there, and all say the same.
fn network_of_bots(d: &mut Dice) -> Vec<Flow> {
    let (from, count, gap) = (terminal(d), d.range(120, 500), d.scale(0.3, 6.0));
    let (sent, gone) = (d.range(60, 400), d.between(0.3, 0.6));
    let peers: Vec<_> = (0..100).map(|_| (d.outside(), d.range(1100, 65_000) as u16)).collect();
    (0..count)
        .map(|n| {
            let (to, port) = peers[n as usize % peers.len()];
            let end = if (u64::from(port) * 7919 % 1000) as f64 / 1000.0 < gone { End::Silent } else { End::Answered };
            Flow::new(d, n as f64 * gap, from, to, UDP, port).bytes(sent, sent).ending(end)
        })
        .collect()
}

fn flood(d: &mut Dice, transport: u8) -> Vec<Flow> {
    let (from, to, port) = (terminal(d), d.outside(), d.pick(&[53u16, 80, 443, 3074, 27_015]));
    let (bits, seconds, each) = (d.scale(3e7, 5e8), d.range(20, 200), d.between(0.2, 5.0));
    (0..(seconds as f64 / each) as u64)
        .map(|n| {
            let sent = (bits / 8.0 * each) as u64;
            Flow::new(d, n as f64 * each, from, to, transport, port).bytes(sent, 0).ending(End::Silent).lasting(each)
        })
        .collect()
}

fn syns(d: &mut Dice) -> Vec<Flow> {
    let (from, to, port) = (terminal(d), d.outside(), d.pick(&[80u16, 443, 22, 25_565]));
    let (rate, seconds) = (d.scale(80.0, 400.0), d.range(20, 60));
    (0..(rate * seconds as f64) as u64).map(|n| Flow::new(d, n as f64 / rate, from, to, TCP, port).ending(End::Silent)).collect()
}

fn clicks(d: &mut Dice) -> Vec<Flow> {
    let (from, gap, seconds) = (terminal(d), d.scale(0.1, 1.8), d.range(2400, 5400));
    let places: Vec<_> = (0..d.range(80, 400)).map(|_| d.outside()).collect();
    let mut at = 0.0;
    let mut all = Vec::new();
    while at < seconds as f64 {
        let (to, sent, received, lost) =
            (d.pick(&places), d.scale(300.0, 1500.0) as u64, d.scale(400.0, 60_000.0) as u64, d.share());
        let flow = Flow::new(d, at, from, to, TCP, 80).bytes(sent, received).lasting(0.4);
        all.push(if lost < 0.1 { flow.ending(End::Silent) } else { flow });
        at += gap * d.between(0.3, 1.7);
    }
    all
}

/// Addresses that have nothing to do with each other, one or two tries each.
fn strangers(d: &mut Dice) -> Vec<Flow> {
    let (count, gap, port) = (d.range(150, 400), d.scale(0.1, 1.0), d.pick(&[22u16, 3389, 445, 5900, 8443]));
    let hosts = d.range(80, 240);
    (0..count)
        .map(|n| {
            let (from, to) = (d.outside(), neighbour(n % hosts));
            Flow::new(d, n as f64 * gap, from, to, TCP, port).ending(End::Silent)
        })
        .collect()
}
