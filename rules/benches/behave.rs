//! How many flows a second one thread judges and watches: the zone policy and every shipped behaviour together; and what ten million
//! different pairs of addresses take, whether the planted incidents are seen all the same.
//!
//! `cargo bench -p rules --bench behave [-- WORD N]`: `rate`, `pairs`, or both, with N million flows (3 and 10 otherwise). The batches are
//! made beforehand; the time is the thread's own on the processor. The digest is of every alert and every change of one, in order.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures, and how far it has come")]

mod clock;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use clock::processor_time;
use event::{
    Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSource, LogSourceId, Position, Time, Transport, Value,
};
use rules::alert::AlertChange;
use rules::policy::Policy;
use rules::{Behaviour, BehaviourOptions, LoadOptions, Observed, Site, load, pack};

/// The program's own, so that memory costs what it costs there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PER_BATCH: u64 = 8192;
/// Flows of a second of event time.
const PER_SECOND: u64 = 30_000;
/// Flows after which is told how far it has come.
const TOLD: u64 = 1_000_000;
const START_S: i64 = 1_775_001_600;

const POLICY: &str = "
zones:
  mynumber:  {cidr: [10.1.0.0/16]}
  lgwan:     {cidr: [10.2.0.0/16]}
  internet:  {cidr: [10.3.0.0/16, 10.64.0.0/10]}
  sanitiser: {cidr: [10.9.1.0/24]}
  seccloud:  {cidr: [172.20.0.0/16]}
  outside:   {rest: true}
allow:
  - {from: lgwan, to: sanitiser, service: [tcp/443]}
  - {from: sanitiser, to: internet, service: [tcp/443]}
  - {from: internet, to: seccloud, service: [tcp/8080, udp/53]}
  - {from: internet, to: outside, service: [tcp/443, udp/443]}
  - {from: seccloud, to: outside, service: [tcp/443]}
must_deny:
  - {from: mynumber, to: [internet, outside, seccloud]}
  - {from: lgwan, to: [internet, outside, seccloud], unless_via: sanitiser}
";

fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    (statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096) >> 20
}

struct Flow {
    source: u32,
    destination: u32,
    source_port: u16,
    port: u16,
    udp: bool,
    sent: u64,
    received: u64,
    flags: u8,
}

/// Flows as a town has them: `sources` terminals, each with a few places that it comes to, and a tail of all others.
fn ordinary(n: u64, sources: u64) -> Flow {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n >> 7;
    let source = mixed % sources;
    let place = if mixed >> 40 & 7 == 0 { mixed >> 20 & 0xffff } else { source * 13 % 400 + (mixed >> 50) % 12 };
    let udp = mixed >> 33 & 3 == 0;
    Flow {
        source: 0x0a03_0000 + source as u32,
        destination: if udp { 0xac14_0135 } else { 0xc612_0000 + place as u32 },
        source_port: 1024 + (n % 60_000) as u16,
        port: if udp { 53 } else { 443 },
        udp,
        sent: 600 + mixed % 4000,
        received: 900 + mixed % 90_000,
        flags: 0x1b,
    }
}

/// Ten million pairs: every flow another one, of 100,000 hosts.
fn pairs(n: u64) -> Flow {
    let destination = 0x1400_0000 + (n.wrapping_mul(2_654_435_761) % 100_000_007) as u32;
    Flow { source: 0x0a40_0000 + (n % 100_000) as u32, destination, ..ordinary(n, 2000) }
}

/// Incidents among them, every so many flows: a beacon, a scan, one flow that the policy forbids, much data sent out.
fn planted(n: u64, every: u64) -> Option<Flow> {
    let flow = |source, destination, port, sent, received, flags| Flow {
        source,
        destination,
        source_port: 1024 + (n / 97 % 60_000) as u16,
        port,
        udp: false,
        sent,
        received,
        flags,
    };
    match n % every {
        1 => Some(flow(0x0a03_0909, 0xcb00_7107, 443, 812, 1204, 0x1b)),
        2..=4 => Some(flow(0x0a03_0a0a, 0x0a03_4000 + (n / every * 3 + n % every) as u32 % 4096, 445, 60, 0, 0x02)),
        5 if n / every == 40 => Some(flow(0x0a01_1009, 0xcb00_7108, 443, 900, 900, 0x1b)),
        6 if n / every % 20 == 3 => Some(flow(0x0a03_0b0b, 0xcb00_7109, 443, 400_000_000, 90_000, 0x1b)),
        _ => None,
    }
}

fn batch(from: u64, to: u64, make: &impl Fn(u64) -> Flow, flow_source: LogSourceId) -> Batch {
    let mut builder = BatchBuilder::default();
    let mut received = Time::UNKNOWN;
    for n in from..to {
        let flow = make(n);
        received = Time::from_unix_ns(START_S * 1_000_000_000 + n as i64 * (1_000_000_000 / PER_SECOND as i64));
        let head = FrameHead {
            position: Position { partition: 0, offset: n + 1 },
            received,
            source: Some(([192, 0, 2, 1], 2055).into()),
            ..FrameHead::new(Transport::Udp, Content::Flow)
        };
        let mut row = builder.row(&head, 0, "");
        row.time(received);
        row.log_source(flow_source);
        row.ip(FieldId::SOURCE_IP, std::net::Ipv4Addr::from_bits(flow.source).into());
        row.int(FieldId::SOURCE_PORT, i64::from(flow.source_port));
        row.ip(FieldId::DESTINATION_IP, std::net::Ipv4Addr::from_bits(flow.destination).into());
        row.int(FieldId::DESTINATION_PORT, i64::from(flow.port));
        row.int(FieldId::NETWORK_IANA_NUMBER, if flow.udp { 17 } else { 6 });
        row.int(FieldId::SOURCE_BYTES, flow.sent as i64);
        row.int(FieldId::SOURCE_PACKETS, 1 + flow.sent as i64 / 1400);
        row.int(FieldId::DESTINATION_BYTES, flow.received as i64);
        row.int(FieldId::DESTINATION_PACKETS, if flow.received == 0 { 0 } else { 1 + flow.received as i64 / 1400 });
        row.value(FieldId::EVENT_START, Value::Time(received.plus_ns(-2_000_000)));
        row.value(FieldId::EVENT_END, Value::Time(received));
        if !flow.udp {
            row.int(FieldId::FLOW_TCP_FLAGS, i64::from(flow.flags));
        }
    }
    builder.finish(LogRange { partition: 0, first: from + 1, last: to }, received)
}

/// Sources of the planted incidents; alerts of others are counted, and otherwise nobody's incident.
const PLANTED: [&str; 4] = ["10.3.9.9\"", "10.3.10.10\"", "10.1.16.9\"", "10.3.11.11\""];

#[derive(Default)]
struct Ran {
    policy: Duration,
    behave: Duration,
    /// Of planted incidents, by rule and group.
    planted: BTreeSet<(String, String)>,
    /// New ones, and repeats that were told.
    alerts: u64,
    repeats: u64,
    digest: DefaultHasher,
    bytes_max: usize,
    evicted: u64,
}

fn run(flows: u64, entries: Option<usize>, make: impl Fn(u64) -> Flow) -> Ran {
    let files: Vec<(String, String)> = pack()
        .iter()
        .filter(|(_, text)| text.contains("\nbehaviour:\n"))
        .map(|(name, text)| {
            let kind = |word: &str| text.contains(&format!("  type: {word}\n"));
            let bounded = !kind("source") && !kind("zone") && !kind("hours");
            let put = entries.filter(|_| bounded).map_or_else(String::new, |n| format!("  entries_max: {n}\n"));
            ((*name).to_owned(), text.replace("\nbehaviour:\n", &format!("\nbehaviour:\n{put}")))
        })
        .collect();
    let (set, problems) = load(&files, &LoadOptions::default());
    assert_eq!(problems, []);
    let policy = Arc::new(Policy::parse(POLICY).expect("valid").0);
    let site = Arc::new(Site::new(&[], None).expect("the default").with_policy(Some(policy.clone())));
    let mut behaviour = Behaviour::new(Arc::new(set), BehaviourOptions { lateness_ns: 30_000_000_000, site });
    if let Some(entries) = entries {
        behaviour.bound_shared(entries);
    }
    let flow_source = LogSourceId::intern(LogSource { category: Some("flow"), ..LogSource::default() });
    let mut ran = Ran::default();
    let mut out = Vec::new();
    let mut at = 0;
    while at < flows {
        let mut batch = batch(at, (at + PER_BATCH).min(flows), &make, flow_source);
        let before = processor_time();
        let observed = Observed::read(&mut batch, Some(&policy));
        let between = processor_time();
        behaviour.take(&batch, observed, &mut out);
        let after = processor_time();
        ran.policy += between - before;
        ran.behave += after - between;
        behaviour.take_cells();
        if (at / PER_BATCH).is_multiple_of(16) {
            ran.bytes_max = ran.bytes_max.max(behaviour.byte_len());
        }
        ran.take(&mut out);
        at += PER_BATCH;
        if at % TOLD < PER_BATCH && at < flows {
            eprintln!(
                "  {} M flows, {} MiB of tables, {} MiB resident",
                at / 1_000_000,
                behaviour.byte_len() >> 20,
                resident_mib()
            );
        }
    }
    let before = processor_time();
    behaviour.flush(&mut out);
    ran.behave += processor_time() - before;
    ran.take(&mut out);
    ran.bytes_max = ran.bytes_max.max(behaviour.byte_len());
    ran.evicted = behaviour.counters().evicted;
    ran
}

impl Ran {
    fn take(&mut self, out: &mut Vec<AlertChange>) {
        for change in out.drain(..) {
            let alert = change.alert();
            self.digest.write(format!("{change:?}").as_bytes());
            match change {
                AlertChange::New(_) => self.alerts += 1,
                AlertChange::Updated(_) => self.repeats += 1,
            }
            let group = format!("{:?}", alert.group);
            if PLANTED.iter().any(|ip| group.contains(ip)) {
                self.planted.insert((alert.rule.title.clone(), group));
            }
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |word: &str| words.is_empty() || words.iter().any(|w| w == word);
    let million = words.iter().find_map(|w| w.parse::<u64>().ok());
    if wanted("rate") {
        let flows = million.unwrap_or(3) * 1_000_000;
        let ran = run(flows, None, |n| planted(n, 5000).unwrap_or_else(|| ordinary(n, 2000)));
        let ns = |took: Duration| took.as_nanos() as f64 / flows as f64;
        println!(
            "policy {:.0} ns, behaviours {:.0} ns a flow: {:.0} flows/s a core; {} MiB of tables, {} alerts, {} repeats, digest {:016x}",
            ns(ran.policy),
            ns(ran.behave),
            1e9 / (ns(ran.policy) + ns(ran.behave)),
            ran.bytes_max >> 20,
            ran.alerts,
            ran.repeats,
            ran.digest.finish()
        );
    }
    if wanted("pairs") {
        let million = million.unwrap_or(10);
        let flows = million * 1_000_000;
        let mix = |n: u64| planted(n, 5000).unwrap_or_else(|| pairs(n));
        let mut told = Vec::new();
        for (name, entries) in [("bounded", None), ("unbounded", Some(20_000_000))] {
            let ran = run(flows, entries, mix);
            println!(
                "{million} M pairs, {name:9}: {:>6} MiB of tables at most, {:>6} MiB resident, {} evicted, {:.0} flows/s, {} alerts",
                ran.bytes_max >> 20,
                resident_mib(),
                ran.evicted,
                flows as f64 / (ran.policy + ran.behave).as_secs_f64(),
                ran.alerts
            );
            told.push(ran.planted);
        }
        let (a, b) = (&told[0], &told[1]);
        println!("planted: {} alerts bounded, {} unbounded, {} differ", a.len(), b.len(), a.symmetric_difference(b).count());
        for alert in a.union(b) {
            let where_found = match (a.contains(alert), b.contains(alert)) {
                (true, true) => "both",
                (true, false) => "bounded only",
                _ => "unbounded only",
            };
            println!("    {where_found}: {} {}", alert.0, alert.1);
        }
    }
}
