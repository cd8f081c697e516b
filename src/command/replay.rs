//! `mihari replay`: captures through the real pipeline off line, with the captures' own clock.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::Args;
use event::limits::BATCH_BYTES_MAX;
use event::{Frames, Time};
use ingest::decode::DecodeSettings;
use ingest::decode::flow::FlowDecoder;
use rules::alert::{Alert, AlertChange};
use rules::{Behaviour, BehaviourOptions, Correlator};

use crate::clock::Stopwatch;
use crate::config::Config;
use crate::loaded::{Loaded, decode_settings, load_policy, load_rules, load_site, must_exist};
use crate::pipeline::{self, Current, InForce, Parts, Spent};
use merge::Inputs;

mod merge;

/// Arguments of `mihari replay`.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// Rule files and folders; without any, the shipped pack
    #[arg(long)]
    rules: Vec<PathBuf>,
    /// The zone file
    #[arg(long)]
    policy: Option<PathBuf>,
    /// A configuration, for how records are read and how late they may come
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where alerts go as JSON lines; standard output otherwise
    #[arg(long)]
    alerts: Option<PathBuf>,
    /// Where events go as JSON lines
    #[arg(long)]
    events: Option<PathBuf>,
    /// Where statistics go as JSON; `-` is standard error
    #[arg(long)]
    stats: Option<PathBuf>,
    /// Worker threads
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Bytes of a batch
    #[arg(long, default_value_t = BATCH_BYTES_MAX, value_parser = clap::value_parser!(u64).range(1..=BATCH_BYTES_MAX as u64).map(|n: u64| n as usize))]
    batch_bytes: usize,
    /// Records without a year lie nearest to this instant; without it, to the first file's age
    #[arg(long)]
    reference: Option<Time>,
    /// Captures, plain or compressed
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
}

use clap::builder::TypedValueParser;

pub(crate) fn run(args: &Replay) -> Result<ExitCode> {
    let mut config = args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    if !args.rules.is_empty() {
        config.rules.paths.clone_from(&args.rules);
        config.rules.pack = false;
    }
    if args.threads > 0 {
        config.threads = args.threads;
    }
    must_exist(&config.rules.paths)?;
    let Loaded { rules, problems, .. } = load_rules(&config.rules);
    for p in problems.iter().filter(|p| p.refused) {
        super::complain(&super::visible(&format!("{}:{}: refused: {}", p.path, p.line, p.reason)));
    }
    let rules = Arc::new(rules);
    let policy = args.policy.as_deref().or(config.policy.as_deref()).map(load_policy).transpose()?.map(Arc::new);
    let reference = args.reference.unwrap_or_else(|| super::parse::reference_of(&args.inputs[0]));
    let settings = decode_settings(&config.decode, &[], reference)?;
    let mut events = args.events.as_ref().map(|path| create(path)).transpose()?;
    let parts = Parts {
        settings: settings.clone(),
        current: Current::new(Arc::new(InForce { rules: rules.clone(), policy: policy.clone() })),
        threads: config.worker_threads(),
    };
    let (site, problems) = load_site(&config.behaviour)?;
    problems.iter().for_each(|problem| super::complain(problem));
    let site = Arc::new(site.with_policy(policy));
    let lateness_ns = i64::from(config.rules.lateness_s) * 1_000_000_000;
    let mut behaviour = Behaviour::new(rules.clone(), BehaviourOptions { lateness_ns, site });
    let mut correlator = Correlator::new(rules, config.rules.correlate_options()?);
    let source = source(args, &settings)?;
    let spent = Arc::new(Spent::default());
    let mut alerts: BTreeMap<(Time, String), Alert> = BTreeMap::new();
    let mut changes: Vec<AlertChange> = Vec::new();
    let mut cells: BTreeMap<rules::CellKey, i64> = BTreeMap::new();
    let mut span: Option<(Time, Time)> = None;
    let mut clock = reference.min(Time::EPOCH);
    let (observed, mut writer) = (spent.clone(), event::json::Writer::default());
    let watch = Stopwatch::start();
    pipeline::run(&parts, FlowDecoder::default(), &spent, source, |done| {
        match done {
            Some(mut done) => {
                clock = done.batch.settle_received(clock);
                correlator.advance(&done.batch, &done.matches, &mut changes);
                for time in done.batch.iter().map(|event| event.time()).filter(|time| time.unix_s() > YEAR_2000_S) {
                    let (first, last) = span.unwrap_or((time, time));
                    span = Some((first.min(time), last.max(time)));
                }
                let watch = Stopwatch::start();
                behaviour.take(&done.batch, done.observed, &mut changes);
                Spent::add(&observed.behave_ns, &watch);
                if let Some(events) = &mut events {
                    let mut text = Vec::new();
                    for event in done.batch.iter() {
                        writer.write(event, &mut text);
                        text.push(b'\n');
                    }
                    events.write_all(&text)?;
                }
            }
            None => {
                correlator.flush(&mut changes);
                behaviour.flush(&mut changes);
            }
        }
        for (key, count) in behaviour.take_cells() {
            *cells.entry(key).or_default() += count;
        }
        for change in changes.drain(..) {
            let alert = change.alert().clone();
            alerts.insert((alert.window_start, alert.id.clone()), alert);
        }
        Ok(())
    })?;
    if let Some(events) = &mut events {
        events.flush()?;
    }
    let mut text = String::new();
    for alert in alerts.values() {
        text.push_str(&alert.to_json());
        text.push('\n');
    }
    match &args.alerts {
        Some(path) => std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?,
        None => std::io::stdout().lock().write_all(text.as_bytes())?,
    }
    if let Some(path) = &args.stats {
        let stats =
            statistics(&spent, watch.elapsed().as_secs_f64(), alerts.len(), &correlator, &behaviour, (&verdicts(&cells), span));
        if path.as_os_str() == "-" {
            writeln!(std::io::stderr().lock(), "{stats}")?;
        } else {
            std::fs::write(path, stats + "\n").with_context(|| format!("failed to write {}", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(path: &std::path::Path) -> Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| format!("failed to write {}", path.display()))?))
}

/// The captures as one log: positions from 1 in the order of receipt.
fn source(args: &Replay, settings: &Arc<DecodeSettings>) -> Result<impl FnMut(&mut Frames) -> Result<bool> + Send + 'static> {
    let mut inputs = Inputs::open(&args.inputs, settings)?;
    let batch_bytes = args.batch_bytes;
    let mut offset = 0;
    Ok(move |frames: &mut Frames| {
        let more = inputs.read(frames, batch_bytes)?;
        for head in frames.heads_mut() {
            offset += 1;
            head.position.offset = offset;
        }
        Ok(more)
    })
}

/// Before it no time is a record's own: it has none, or its clock was never set.
const YEAR_2000_S: i64 = 946_684_800;

/// Conversations by verdict.
fn verdicts(cells: &BTreeMap<rules::CellKey, i64>) -> BTreeMap<&'static str, i64> {
    let mut verdicts = BTreeMap::new();
    for (key, count) in cells {
        *verdicts.entry(key.verdict.name()).or_default() += count;
    }
    verdicts
}

/// What each stage took and how much went through it, as JSON.
fn statistics(
    spent: &Spent,
    seconds: f64,
    alerts: usize,
    correlator: &Correlator,
    behaviour: &Behaviour,
    (verdicts, span): (&BTreeMap<&str, i64>, Option<(Time, Time)>),
) -> String {
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (frames, events) = (get(&spent.frames), get(&spent.events));
    let stage = |ns: u64| {
        let s = ns as f64 / 1e9;
        let per_second = if s > 0.0 { (events as f64 / s).round() } else { 0.0 };
        serde_json::json!({"seconds": (s * 1000.0).round() / 1000.0, "events_per_second": per_second})
    };
    let stats = serde_json::json!({
        "seconds": (seconds * 1000.0).round() / 1000.0, "frames": frames, "bytes": get(&spent.bytes), "events": events,
        "quarantined": get(&spent.quarantined), "alerts": alerts, "events_per_second": (events as f64 / seconds.max(1e-9)).round(),
        "stages": {"read": stage(get(&spent.read_ns)), "decode_flows": stage(get(&spent.flows_ns)), "decode_text": stage(get(&spent.text_ns)),
            "policy": stage(get(&spent.policy_ns)), "match": stage(get(&spent.match_ns)), "correlate": stage(get(&spent.sink_ns).saturating_sub(get(&spent.behave_ns))), "behave": stage(get(&spent.behave_ns))},
        "behaviour": behaviour.counters(), "behaviour_bytes": behaviour.byte_len(),
        "verdicts": verdicts, "first_event": span.map(|(first, _)| first), "last_event": span.map(|(_, last)| last),
        "correlation": correlator.counters(),
        "correlation_by_rule": correlator.counters_by_rule().map(|(info, c)| (info.id.clone(), serde_json::json!(c))).collect::<serde_json::Map<_, _>>(),
    });
    serde_json::to_string_pretty(&stats).expect("statistics are serialisable")
}
