//! `mihari demo`: the whole pipeline on its embedded default, watched by a synthetic municipality that sends over real sockets.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use event::{Clock, Time};
use municipality::{Channel, DEVICES, Incident, Plan, town};

use super::serve::{start_logging, start_metrics};
use crate::clock::SystemClock;
use crate::config::{Config, Listen, ListenKind};
use crate::{detection, role};

/// Arguments of `mihari demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// The same seed plants the same incidents
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The port of the HTTP interface; 0 for any
    #[arg(long, default_value_t = 8686)]
    port: u16,
    /// Where to keep data; a folder of its own below the system's temporary one otherwise, removed at the end
    #[arg(long)]
    data: Option<PathBuf>,
    /// How long, such as 120s or 5m; without it until interrupted
    #[arg(long = "for", value_parser = duration)]
    length: Option<Duration>,
    /// End with success only if every incident was detected that the rules claim to see
    #[arg(long)]
    check: bool,
    /// Office terminals
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    terminals: u32,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("expected a number with s, m or h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number with s, m or h".to_owned())?;
    (10..=86_400).contains(&(number * seconds)).then(|| Duration::from_secs(number * seconds)).ok_or("10s to 24h".to_owned())
}

/// How long one round of the municipality lasts where no length is given.
const ROUND_S: u64 = 180;
/// Correlation waits this long for late records: short, so that a person sees alerts come.
const LATENESS_S: u32 = 5;
/// How long after the last record alerts may still come.
const AFTER_S: u64 = 25;
const TOKEN_DAYS: u32 = 1;

pub(crate) fn run(args: &Demo) -> Result<ExitCode> {
    start_logging("warn,tantivy=error");
    let metrics = start_metrics()?;
    let own = if args.data.is_some() { None } else { Some(own_folder("demo")?) };
    let data = args.data.clone().or_else(|| own.clone()).context("no folder")?;
    std::fs::create_dir_all(&data).with_context(|| format!("failed to make {}", data.display()))?;
    let policy = data.join("policy.yaml");
    std::fs::write(&policy, policy_of_the_demo())?;
    let quick = data.join("silent.yml");
    std::fs::write(&quick, detection::silent_in_demo().context("the shipped rule is there")?)?;
    let listen = |kind| Listen::socket(kind, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    let mut config = Config {
        data: data.join("data"),
        listen: vec![listen(ListenKind::SyslogUdp), listen(ListenKind::SyslogTcp), listen(ListenKind::FlowUdp)],
        policy: Some(policy),
        ..Config::default()
    };
    config.api.address.set_port(args.port);
    config.rules.lateness_s = LATENESS_S;
    config.rules.paths.push(quick);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    let result = runtime.block_on(watch(args, &config, metrics));
    drop(runtime);
    if let Some(own) = own {
        std::fs::remove_dir_all(&own).with_context(|| format!("failed to remove {}", own.display()))?;
    }
    result
}

/// The loopback address from which a device's records come.
fn loopback(device: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 10, 0, device as u8 + 1)
}

/// The town's zone file, its sensors at the addresses from which they send here.
fn policy_of_the_demo() -> String {
    DEVICES.iter().enumerate().fold(town::POLICY.to_owned(), |text, (n, device)| {
        text.replace(&format!("address: {},", device.address), &format!("address: {},", loopback(n)))
    })
}

/// A folder below the system's temporary one.
pub(super) fn own_folder(name: &str) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("mihari-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).with_context(|| format!("failed to make {}", path.display()))?;
    Ok(path)
}

async fn watch(args: &Demo, config: &Config, metrics: metrics_exporter_prometheus::PrometheusHandle) -> Result<ExitCode> {
    let service = role::start(config, metrics).await?;
    let token = service.store.create_token("demo", 0, TOKEN_DAYS)?;
    super::say(&format!("Dashboards: http://{}", service.address));
    super::say(&format!("Token:      {token}"));
    if !dashboards::is_built() {
        super::say("(the dashboards are not built into this binary; `make dashboards` builds them)");
    }
    let bound: Vec<SocketAddr> = service.bound.iter().copied().flatten().collect();
    let [syslog_udp, syslog_tcp, flow_udp] = bound[..] else { anyhow::bail!("a listener has no address") };
    let stop = Arc::new(AtomicBool::new(false));
    let length_s = args.length.map_or(ROUND_S, |l| l.as_secs()) as u32;
    let (seed, terminals, once) = (args.seed, args.terminals, args.length.is_some());
    let (told, mut plans) = tokio::sync::mpsc::unbounded_channel::<Vec<Incident>>();
    let sender_stop = stop.clone();
    let sender = tokio::task::spawn_blocking(move || -> Result<u64> {
        let mut sent = 0;
        for round in 0.. {
            let plan = Plan {
                seed: seed.wrapping_add(round),
                terminals,
                start: SystemClock.now().plus_ns(200_000_000),
                length_s,
                day_speed: 8 * 3600 / length_s.max(1),
                hour: None,
                incidents: true,
            };
            if told.send(plan.incidents()).is_err() {
                break;
            }
            sent += send(&plan, syslog_udp, syslog_tcp, flow_udp, &sender_stop)?;
            if once || sender_stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(sent)
    });
    let stopping = service.stopping();
    let mut incidents: Vec<Incident> = Vec::new();
    let mut detected: BTreeSet<usize> = BTreeSet::new();
    let mut announced = 0;
    let mut every = tokio::time::interval(Duration::from_millis(500));
    let mut sender = Some(sender);
    let mut ended: Option<Time> = None;
    let mut interrupted = false;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => interrupted = true,
            () = stopping.cancelled() => interrupted = true,
            _ = every.tick() => {}
        }
        while let Ok(more) = plans.try_recv() {
            incidents.extend(more);
        }
        let now = SystemClock.now();
        while let Some(incident) = incidents.get(announced).filter(|i| i.start <= now) {
            super::say(&format!("{} planted  {}", clock_text(now), shown(incident)));
            announced += 1;
        }
        let alerts = service.store.all_alerts()?;
        for (at, incident) in incidents.iter().enumerate() {
            if !detected.contains(&at)
                && let Some(alert) = alerts.iter().find(|alert| detection::shows(alert, incident))
            {
                detected.insert(at);
                let seconds = now.since_ns(incident.start) as f64 / 1e9;
                super::say(&format!(
                    "{} DETECTED {} after {seconds:.1} s: {}",
                    clock_text(now),
                    shown(incident),
                    alert.rule.title
                ));
            }
        }
        if sender.as_ref().is_some_and(tokio::task::JoinHandle::is_finished)
            && let Some(handle) = sender.take()
        {
            let sent = handle.await??;
            super::say(&format!("{} {sent} records sent", clock_text(now)));
            ended = Some(now);
        }
        let all = detected.len() == incidents.len();
        let waited = ended
            .is_some_and(|e| all && service.caught_up().unwrap_or(false) || now.since_ns(e) > AFTER_S as i64 * 1_000_000_000);
        if interrupted || waited {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    if let Some(handle) = sender {
        handle.await??;
    }
    let mut alerts = service.store.all_alerts()?;
    alerts.retain(|alert| !detection::is_of_the_end(alert, ended));
    let outcome = summary(&incidents, &detected, &alerts);
    service.stop().await?;
    Ok(if args.check && !outcome { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Says what was found and what was not, and why; true where every incident was detected that the rules claim to see.
fn summary(incidents: &[Incident], detected: &BTreeSet<usize>, alerts: &[rules::alert::Alert]) -> bool {
    let mut good = true;
    super::say("");
    for (at, incident) in incidents.iter().enumerate() {
        let what = if detected.contains(&at) {
            "detected"
        } else {
            good = false;
            "MISSED"
        };
        super::say(&format!("{:44} {what}", shown(incident)));
    }
    let others: Vec<_> =
        alerts.iter().filter(|alert| !incidents.iter().any(|incident| detection::shows(alert, incident))).collect();
    super::say(&format!("{} alerts, {} of them about no planted incident", alerts.len(), others.len()));
    for alert in others {
        let group: Vec<String> = alert.group.iter().map(|(k, v)| format!("{k}={v}")).collect();
        super::say(&format!("  {} ({})", alert.rule.title, super::visible(&group.join(", "))));
    }
    good
}

fn shown(incident: &Incident) -> String {
    let kind = serde_json::to_string(&incident.kind).unwrap_or_default();
    let who = match (incident.source, incident.destination, incident.device) {
        (Some(source), Some(destination), _) => format!("{source} -> {destination}"),
        (_, _, Some(device)) => device.to_owned(),
        _ => String::new(),
    };
    format!("{:16} {who}", kind.trim_matches('"'))
}

fn clock_text(time: Time) -> String {
    let (_, _, _, hour, minute, second, _) = time.plus_ns(9 * 3600 * 1_000_000_000).civil();
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// Sends the records of a plan at their times: each device from a loopback address of its own.
fn send(plan: &Plan, syslog_udp: SocketAddr, syslog_tcp: SocketAddr, flow_udp: SocketAddr, stop: &AtomicBool) -> Result<u64> {
    enum Wire {
        Datagrams(UdpSocket, SocketAddr),
        Stream(TcpStream),
    }
    let mut wires = Vec::new();
    for (n, device) in DEVICES.iter().enumerate() {
        let own = SocketAddr::new(IpAddr::V4(loopback(n)), 0);
        wires.push(match device.channel {
            Channel::SyslogUdp => Wire::Datagrams(UdpSocket::bind(own).context("failed to make a socket")?, syslog_udp),
            Channel::Flow => Wire::Datagrams(UdpSocket::bind(own).context("failed to make a socket")?, flow_udp),
            Channel::SyslogTcp => {
                let socket = socket_from(own).context("failed to make a socket")?;
                socket.connect(&syslog_tcp.into()).context("failed to connect")?;
                Wire::Stream(socket.into())
            }
        });
    }
    let never = crossbeam_channel::never::<()>();
    let mut sent = 0;
    for record in plan.traffic() {
        loop {
            let wait_ns = record.time.since_ns(SystemClock.now());
            if stop.load(Ordering::Relaxed) {
                return Ok(sent);
            }
            if wait_ns <= 0 {
                break;
            }
            let wait = Duration::from_nanos(wait_ns as u64).min(Duration::from_millis(200));
            let waited = never.recv_timeout(wait);
            debug_assert!(waited.is_err());
        }
        match &mut wires[record.device] {
            Wire::Datagrams(socket, to) => {
                socket.send_to(&record.bytes, *to).context("failed to send")?;
            }
            Wire::Stream(stream) => {
                let mut framed = format!("{} ", record.bytes.len()).into_bytes();
                framed.extend_from_slice(&record.bytes);
                stream.write_all(&framed).context("failed to send")?;
            }
        }
        sent += 1;
    }
    Ok(sent)
}

fn socket_from(own: SocketAddr) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&own.into())?;
    Ok(socket)
}
