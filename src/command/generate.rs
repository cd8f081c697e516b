//! `mihari generate`: the synthetic municipality as captures, with its zone file and the truth of what was planted.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::Args;
use event::Time;
use municipality::{Channel, DEVICES, Plan, Record, town};
use serde::Serialize;

use crate::detection;

mod check;

/// Arguments of `mihari generate`.
#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the traffic goes on
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=44_640))]
    minutes: u32,
    /// Office terminals in all zones together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    terminals: u32,
    /// The first instant (RFC 3339)
    #[arg(long, default_value = "2026-04-01T09:00:00+09:00")]
    start: Time,
    /// Plant no incidents
    #[arg(long)]
    quiet: bool,
    /// The folder to write; made if absent
    #[arg(long, required_unless_present = "check")]
    out: Option<PathBuf>,
    /// Write nothing: send the records through the pipeline and tell which incidents were detected, and how soon
    #[arg(long, conflicts_with = "out")]
    check: bool,
}

#[derive(Serialize)]
struct Truth<'a> {
    seed: u64,
    terminals: u32,
    start: Time,
    end: Time,
    records: u64,
    incidents: Vec<Planted<'a>>,
}

#[derive(Serialize)]
struct Planted<'a> {
    #[serde(flatten)]
    incident: &'a municipality::Incident,
    /// The rules of the shipped pack that claim to see it.
    seen_by: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    not_seen_because: Option<&'static str>,
}

/// The collector's address in the capture.
const COLLECTOR: Ipv4Addr = Ipv4Addr::new(172, 20, 250, 100);

/// Writes `traffic.pcap` (every record as a UDP datagram from its device), `logs/DEVICE.log` (the same syslog records as
/// lines), `policy.yaml` and `truth.json`.
pub(crate) fn run(args: &Generate) -> Result<ExitCode> {
    let plan = Plan {
        seed: args.seed,
        terminals: args.terminals,
        start: args.start,
        length_s: args.minutes * 60,
        day_speed: 1,
        hour: None,
        incidents: !args.quiet,
    };
    let Some(out) = args.out.as_ref().filter(|_| !args.check) else { return check::run(&plan) };
    let end = plan.start.plus_ns(i64::from(plan.length_s) * 1_000_000_000);
    let logs_dir = out.join("logs");
    fs::create_dir_all(&logs_dir).with_context(|| format!("failed to make {}", logs_dir.display()))?;
    let pcap_path = out.join("traffic.pcap");
    let mut pcap = Pcap::create(BufWriter::new(create(&pcap_path)?))?;
    let mut logs: BTreeMap<usize, BufWriter<File>> = BTreeMap::new();
    for (index, device) in DEVICES.iter().enumerate().filter(|(_, device)| device.channel != Channel::Flow) {
        logs.insert(index, BufWriter::new(create(&logs_dir.join(format!("{}.log", device.name)))?));
    }
    let mut records = 0;
    for record in plan.traffic() {
        records += 1;
        pcap.datagram(&record)?;
        if let Some(log) = logs.get_mut(&record.device) {
            log.write_all(&record.bytes)?;
            log.write_all(b"\n")?;
        }
    }
    pcap.out.flush()?;
    for log in logs.into_values() {
        let file = log.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        // Lines of RFC 3164 have no year: a reader takes it from the age of the file.
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(end.unix_s()).unwrap_or(0)))?;
    }
    fs::write(out.join("policy.yaml"), town::POLICY)?;
    let incidents = plan.incidents();
    let planted = incidents.iter().map(|incident| Planted {
        incident,
        seen_by: detection::claim(incident.kind),
        not_seen_because: detection::too_short(incident.kind, args.minutes),
    });
    let truth =
        Truth { seed: plan.seed, terminals: plan.terminals, start: plan.start, end, records, incidents: planted.collect() };
    fs::write(out.join("truth.json"), serde_json::to_string_pretty(&truth)? + "\n")?;
    super::say(&format!("{records} records, {} incidents in {}", incidents.len(), out.display()));
    Ok(ExitCode::SUCCESS)
}

fn create(path: &std::path::Path) -> Result<File> {
    File::create(path).with_context(|| format!("failed to write {}", path.display()))
}

/// Writes a capture of IPv4 UDP datagrams (pcap with nanoseconds, link type 101: raw IP).
struct Pcap<W: Write> {
    out: W,
}

impl<W: Write> Pcap<W> {
    fn create(mut out: W) -> Result<Pcap<W>> {
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 101] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Pcap { out })
    }

    fn datagram(&mut self, record: &Record) -> Result<()> {
        let device = &DEVICES[record.device];
        let port = if device.channel == Channel::Flow { 2055 } else { 514 };
        let packet = ipv4_udp(SocketAddrV4::new(device.address, 40_000), SocketAddrV4::new(COLLECTOR, port), &record.bytes);
        let seconds = u32::try_from(record.time.unix_s()).context("pcap has no times outside 1970 to 2106")?;
        let ns = record.time.unix_ns().rem_euclid(1_000_000_000) as u32;
        for word in [seconds, ns, packet.len() as u32, packet.len() as u32] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&packet)?;
        Ok(())
    }
}

/// An IPv4 packet (RFC 791) with a UDP datagram (RFC 768) that has no checksum, which IPv4 allows.
fn ipv4_udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let total = 28 + payload.len() as u16;
    let mut packet = Vec::with_capacity(usize::from(total));
    packet.extend([0x45, 0]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]); // not fragmented, 64 hops, UDP, the checksum below
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend((total - 20).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}
