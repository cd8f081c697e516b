//! `mihari bench`: how many events a second go from the sockets to the index, with everything on, and where the time goes.
//!
//! The service runs as it does in `mihari demo`; several municipalities at their busiest hour send to it over loopback sockets, in the
//! same process. Each second a marked record is sent and looked for, so that the time until it is found is measured, not inferred.

mod stages;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use event::Clock;
use municipality::{Channel, DEVICES, Plan, town};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use self::stages::Stages;
use super::demo::{duration, own_folder};
use super::serve::{log_layer, start_metrics};
use crate::clock::{Stopwatch, SystemClock};
use crate::config::{Config, Listen, ListenKind};
use crate::pipeline::Spent;
use crate::role;

/// Arguments of `mihari bench`.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// Events a second that are offered, about
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// How long, such as 60s or 5m
    #[arg(long = "for", default_value = "60s", value_parser = duration)]
    length: Duration,
    /// Rule files and folders beside the shipped pack
    #[arg(long)]
    rules: Vec<PathBuf>,
    /// Threads that decode and match; the machine's cores by default
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Events after which a shard of the index is closed, where it is to happen often
    #[arg(long)]
    shard_events: Option<u64>,
    /// Bytes of a segment of the journal, where it is to happen often that one is closed
    #[arg(long)]
    segment_bytes: Option<u64>,
    /// Where to keep data; a folder of its own below the system's temporary one otherwise, removed at the end
    #[arg(long)]
    data: Option<PathBuf>,
    /// End with success only if nothing was lost and all was searchable within two seconds of the last record
    #[arg(long)]
    check: bool,
}

/// Events a second that a terminal causes at the busiest hour, in the devices' words altogether.
const EVENTS_PER_TERMINAL: f64 = 0.78;
/// Terminals of one municipality at most; beyond, there are several.
const TERMINALS_MAX: u32 = 20_000;
/// The busiest hour (JST).
const BUSY_HOUR: u8 = 10;
/// How far a record may be behind with `--check`; its help says it in words.
const LAG_MAX: Duration = Duration::from_secs(2);
/// How often a marked record is sent, and how often it is looked for.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBE_LOOK: Duration = Duration::from_millis(50);
/// How often it is tried to remove the folder.
const REMOVALS_MAX: u32 = 100;
/// How long after the last record the rest may take.
const AFTER_MAX: Duration = Duration::from_secs(600);
/// What counts as a stall of the intake.
const STALL: Duration = Duration::from_millis(100);
const REPORT_EVERY: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Bench) -> Result<ExitCode> {
    let stages = Stages::new();
    let ours = ["index", "ingest::log", "mihari"].map(|target| (target, tracing::Level::TRACE));
    let listen = stages.clone().with_filter(tracing_subscriber::filter::Targets::new().with_targets(ours));
    tracing_subscriber::registry().with(log_layer("warn,tantivy=error")).with(listen).init();
    let metrics = start_metrics()?;
    let own = if args.data.is_some() { None } else { Some(own_folder("bench")?) };
    let data = args.data.clone().or_else(|| own.clone()).context("no folder")?;
    std::fs::create_dir_all(&data).with_context(|| format!("failed to make {}", data.display()))?;
    let policy = data.join("policy.yaml");
    std::fs::write(&policy, town::POLICY)?;
    let listen = |kind| Listen::socket(kind, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    let mut config = Config {
        data: data.join("data"),
        listen: vec![listen(ListenKind::SyslogUdp), listen(ListenKind::FlowUdp)],
        policy: Some(policy),
        threads: args.threads,
        ..Config::default()
    };
    config.api.address.set_port(0);
    config.rules.paths = args.rules.clone();
    config.index.shard_events = args.shard_events.unwrap_or(config.index.shard_events);
    config.journal.segment_bytes = args.segment_bytes;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    let result = runtime.block_on(measure(args, &config, metrics, &stages));
    drop(runtime);
    if let Some(own) = own {
        let mut removed = std::fs::remove_dir_all(&own);
        for _ in 0..REMOVALS_MAX {
            if removed.is_ok() {
                break;
            }
            // A merge of the engine that runs on writes until it finds that nobody waits for it.
            let waited = crossbeam_channel::never::<()>().recv_timeout(PROBE_LOOK);
            debug_assert!(waited.is_err());
            removed = std::fs::remove_dir_all(&own);
        }
        removed.with_context(|| format!("failed to remove {}", own.display()))?;
    }
    result
}

/// What the senders have done so far.
#[derive(Default)]
struct Sent {
    records: AtomicU64,
    /// The greatest time that a record was sent after its time, in nanoseconds: the generator is too slow where it grows.
    late_ns: AtomicU64,
}

async fn measure(
    args: &Bench,
    config: &Config,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    stages: &Stages,
) -> Result<ExitCode> {
    let service = role::start(config, metrics).await?;
    let bound: Vec<SocketAddr> = service.bound.iter().copied().flatten().collect();
    let [syslog, flow] = bound[..] else { anyhow::bail!("a listener has no address") };
    let terminals = (f64::from(args.rate) / EVENTS_PER_TERMINAL) as u32;
    let towns = terminals.div_ceil(TERMINALS_MAX).max(1);
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(Sent::default());
    let plan = Plan {
        seed: 1,
        terminals: (terminals / towns).max(10),
        start: SystemClock.now().plus_ns(500_000_000),
        length_s: args.length.as_secs() as u32,
        day_speed: 0,
        hour: Some(BUSY_HOUR),
        incidents: true,
    };
    super::say(&format!("{towns} municipalities of {} terminals, {} s", plan.terminals, plan.length_s));
    let watch = Stopwatch::start();
    let mut senders = Vec::new();
    for number in 0..towns {
        let plan = Plan { seed: plan.seed + u64::from(number), ..plan };
        let (stop, sent) = (stop.clone(), sent.clone());
        let run = move || send(&plan, number as u8, syslog, flow, &stop, &sent);
        senders.push(std::thread::Builder::new().name("generator".to_owned()).spawn(run)?);
    }
    let probe = {
        let (stop, searcher, stages) = (stop.clone(), service.searchers[0].clone(), stages.clone());
        std::thread::Builder::new().name("probe".to_owned()).spawn(move || probe(&searcher, syslog, &stop, &stages))?
    };
    let stopping = service.stopping();
    let mut look = tokio::time::interval(PROBE_LOOK);
    let mut before = (0_u64, Duration::ZERO);
    // How far each stage was behind the one before it since the last report, in records and in events.
    let mut behind_most = (0_u64, 0_u64);
    while senders.iter().any(|s| !s.is_finished()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => stop.store(true, Ordering::Relaxed),
            () = stopping.cancelled() => stop.store(true, Ordering::Relaxed),
            _ = look.tick() => {}
        }
        let now = watch.elapsed();
        let searchable = service.searchers[0].documents();
        let unread = sent.records.load(Ordering::Relaxed).saturating_sub(service.spent.frames.load(Ordering::Relaxed));
        let unfound = service.spent.events.load(Ordering::Relaxed).saturating_sub(searchable);
        behind_most = (behind_most.0.max(unread), behind_most.1.max(unfound));
        if now - before.1 >= REPORT_EVERY {
            let rate = (searchable - before.0) as f64 / (now - before.1).as_secs_f64();
            super::say(&format!(
                "{:4} s  sent {} records (late {} ms)  analysed {}  events {}  searchable {searchable} ({rate:.0}/s)  \
                 at most {} records not analysed, {} events not searchable",
                now.as_secs(),
                sent.records.load(Ordering::Relaxed),
                sent.late_ns.swap(0, Ordering::Relaxed) / 1_000_000,
                service.spent.frames.load(Ordering::Relaxed),
                service.spent.events.load(Ordering::Relaxed),
                behind_most.0,
                behind_most.1,
            ));
            (before, behind_most) = ((searchable, now), (0, 0));
        }
    }
    for sender in senders {
        sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
    }
    let sending = watch.elapsed();
    stop.store(true, Ordering::Relaxed);
    stages.end();
    let probed = probe.join().map_err(|_| anyhow::anyhow!("the probe panicked"))??;
    let total = sent.records.load(Ordering::Relaxed) + probed.sent;
    while watch.elapsed() < sending + AFTER_MAX {
        look.tick().await;
        let searchable = service.searchers[0].documents();
        if service.caught_up()? && searchable == service.spent.events.load(Ordering::Relaxed) {
            break;
        }
    }
    let whole = watch.elapsed();
    let (events, received) = (service.spent.events.load(Ordering::Relaxed), service.spent.frames.load(Ordering::Relaxed));
    let lost = total.saturating_sub(received);
    let alerts = service.store.all_alerts()?.len();
    let behind = whole - sending;
    super::say("");
    super::say(&format!("sent {total} records in {:.1} s, received {received}, lost {lost}", sending.as_secs_f64()));
    super::say(&format!(
        "{events} events searchable after {:.1} s ({:.0} events/s; the last {:.1} s after the last record), {alerts} alerts",
        whole.as_secs_f64(),
        events as f64 / whole.as_secs_f64(),
        behind.as_secs_f64(),
    ));
    super::say(&probed.shown());
    stages.told().iter().for_each(|line| super::say(line));
    profile(&service.spent, events, whole)?;
    service.stop().await?;
    let size = |name: &str| bytes_of(&config.data.join(name)).unwrap_or(0) as f64 / events.max(1) as f64;
    super::say(&format!("bytes an event: journal {:.0}, index {:.0}", size("journal"), size("index")));
    Ok(if args.check && (lost > 0 || behind > LAG_MAX) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Sends a municipality's records at their times, each device from a loopback address of its own.
fn send(plan: &Plan, number: u8, syslog: SocketAddr, flow: SocketAddr, stop: &AtomicBool, sent: &Sent) -> Result<()> {
    let mut sockets = Vec::new();
    for (n, device) in DEVICES.iter().enumerate() {
        let own = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 20, number, n as u8 + 1)), 0);
        let socket = UdpSocket::bind(own).context("failed to make a socket")?;
        socket.connect(if device.channel == Channel::Flow { flow } else { syslog })?;
        sockets.push(socket);
    }
    let never = crossbeam_channel::never::<()>();
    let mut now = SystemClock.now();
    for record in plan.traffic() {
        while record.time > now {
            now = SystemClock.now();
            let wait_ns = record.time.since_ns(now);
            if wait_ns > 0 {
                // Not shorter than a millisecond: a wait costs more than a record.
                let waited = never.recv_timeout(Duration::from_nanos(wait_ns as u64).max(Duration::from_millis(1)));
                debug_assert!(waited.is_err());
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        let before = sent.records.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(256) {
            now = SystemClock.now();
            sent.late_ns.fetch_max(u64::try_from(now.since_ns(record.time)).unwrap_or(0), Ordering::Relaxed);
        }
        sockets[record.device].send(&record.bytes).context("failed to send")?;
    }
    Ok(())
}

/// The marked records and how long each took to be found.
struct Probed {
    sent: u64,
    delays: Vec<Duration>,
}

impl Probed {
    fn shown(&self) -> String {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let at = |part: f64| delays.get(((delays.len() as f64 - 1.0) * part) as usize).map_or(f64::NAN, Duration::as_secs_f64);
        format!(
            "from UDP to found, {} of {} marked records: median {:.2} s, 95 % {:.2} s, longest {:.2} s",
            delays.len(),
            self.sent,
            at(0.5),
            at(0.95),
            at(1.0)
        )
    }
}

fn probe(searcher: &index::Searcher, syslog: SocketAddr, stop: &AtomicBool, stages: &Stages) -> Result<Probed> {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 21, 0, 1), 0)).context("failed to make a socket")?;
    let never = crossbeam_channel::never::<()>();
    let limits = index::SearchLimits { stop: Arc::new(|| false) };
    let mut probed = Probed { sent: 0, delays: Vec::new() };
    let mut waiting: Vec<(String, Stopwatch)> = Vec::new();
    let mut last: Option<Stopwatch> = None;
    let mut after: Option<Stopwatch> = None;
    loop {
        if !stop.load(Ordering::Relaxed) && last.as_ref().is_none_or(|l| l.elapsed() >= PROBE_EVERY) {
            let word = format!("markedrecord{}", probed.sent);
            socket.send_to(format!("<14>probe mihari-bench: {word}").as_bytes(), syslog).context("failed to send")?;
            probed.sent += 1;
            waiting.push((word, Stopwatch::start()));
            last = Some(Stopwatch::start());
        }
        let mut found = Vec::new();
        // The oldest is found first: the others need not be asked for before.
        for (n, (word, since)) in waiting.iter().enumerate() {
            let query = index::query::parse(word, SystemClock.now()).map_err(|e| anyhow::anyhow!("{e:?}"))?;
            let request = index::SearchRequest { size: 1, total_max: Some(1), ..index::SearchRequest::new(query) };
            let answer = searcher.search(&request, &limits)?;
            let Some(hit) = answer.hits.first() else { break };
            stages.found(hit.id.frame.offset, since.elapsed());
            found.push(n);
            probed.delays.push(since.elapsed());
        }
        waiting.drain(..found.len());
        if stop.load(Ordering::Relaxed) {
            let since = after.get_or_insert_with(Stopwatch::start);
            if waiting.is_empty() || since.elapsed() > AFTER_MAX {
                return Ok(probed);
            }
        }
        let waited = never.recv_timeout(PROBE_LOOK);
        debug_assert!(waited.is_err());
    }
}

/// Where the time went: by stage as the pipeline counts it (by the clock), and by thread as the kernel does (on the processor).
fn profile(spent: &Spent, events: u64, whole: Duration) -> Result<()> {
    let stages = [
        ("read the journal, waits included", &spent.read_ns),
        ("decode flows", &spent.flows_ns),
        ("decode text", &spent.text_ns),
        ("zone policy", &spent.policy_ns),
        ("match rules", &spent.match_ns),
        ("correlate, behaviour, store", &spent.sink_ns),
    ];
    let each = |seconds: f64| seconds * 1e6 / events.max(1) as f64;
    super::say(&format!("{:34} {:>9} {:>9}", "stage (by the clock)", "seconds", "µs/event"));
    for (name, ns) in stages {
        let seconds = ns.load(Ordering::Relaxed) as f64 / 1e9;
        super::say(&format!("{name:34} {seconds:>9.1} {:>9.2}", each(seconds)));
    }
    super::say(&format!("{:34} {:>9} {:>9}", "threads (on the processor)", "seconds", "µs/event"));
    let sum = processor_s(Path::new("/proc/self/stat"))?.context("no figures of the process")?.1;
    let mut threads = threads()?;
    let alive: f64 = threads.iter().map(|(_, seconds)| seconds).sum();
    threads.push(("ended: generators, merges".to_owned(), sum - alive));
    for (name, seconds) in threads {
        super::say(&format!("{name:34} {seconds:>9.1} {:>9.2}", each(seconds)));
    }
    super::say(&format!("{:34} {sum:>9.1} {:>9.2}  ({:.2} cores busy)", "altogether", each(sum), sum / whole.as_secs_f64()));
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    super::say(&format!("resident memory at most: {peak}"));
    Ok(())
}

/// Processor time of this process's threads in seconds, by name (numbers at the end taken off), the greatest first.
fn threads() -> Result<Vec<(String, f64)>> {
    let mut by_name: BTreeMap<String, f64> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task").context("failed to list the threads")? {
        // A thread may end meanwhile.
        let Ok(Some((name, seconds))) = processor_s(&entry?.path().join("stat")) else { continue };
        *by_name.entry(name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()).or_default() += seconds;
    }
    let mut all: Vec<(String, f64)> = by_name.into_iter().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(all)
}

/// Name and processor time of a process or thread, from its `stat` (proc(5): fields 14 and 15).
fn processor_s(stat: &Path) -> std::io::Result<Option<(String, f64)>> {
    const TICKS_PER_S: f64 = 100.0; // USER_HZ, the same on every architecture that Debian has.
    let text = std::fs::read_to_string(stat)?;
    Ok(text.rsplit_once(')').and_then(|(head, rest)| {
        let (_, name) = head.split_once('(')?;
        let ticks: f64 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        Some((name.to_owned(), ticks / TICKS_PER_S))
    }))
}

fn bytes_of(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { bytes_of(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}
