//! The index beside its peers: `cargo bench -p index -- [--events N] [--only mihari,stock,sqlite,duckdb] [--runs N] [--busy]`; with
//! `--busy` also our queries while events are written.
//!
//! Two million events of about 300 bytes, made by [`events`], go into our index, a stock tantivy schema, SQLite with FTS5 and (where
//! `python3` has the package `duckdb`) DuckDB; then each kind of query is asked of each, warm, on one thread. One table is printed. Queries
//! are measured in CPU time, so that what else the machine does counts less; ratios within one run still say more than the figures.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark prints, and measures time"
)]

mod duckdb;
mod events;
mod mihari;
mod sqlite;
mod stock;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How each engine is asked.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// How many records have these words one after the other.
    Words(&'static str),
    /// How many have both words.
    Both(&'static str, &'static str),
    /// How many have this value.
    Is(&'static str, &'static str),
    /// How many have an address in this network, with these words or without.
    Network(&'static str, &'static str, Option<&'static str>),
    /// How many have a word, or a value of the field, that holds this text.
    Substring(Option<&'static str>, &'static str),
    /// How many have a value that the regular expression finds.
    Regex(&'static str, &'static str),
    /// How many have a number above this.
    Above(&'static str, i64),
    /// The newest ten that [`Ask`] counts; of everything, where it counts nothing.
    Newest(Option<Box<Ask>>),
    /// Hits per hour.
    Histogram,
    /// The ten most frequent values.
    Terms(&'static str),
    /// How many different values.
    Cardinality(&'static str),
    /// Percentiles of a number.
    Percentiles(&'static str),
}

/// A kind of query: its name, the limit in milliseconds, and how it is asked.
fn kinds() -> Vec<(&'static str, Option<f64>, Ask)> {
    let newest = |ask: Ask| Ask::Newest(Some(Box::new(ask)));
    vec![
        ("count term, common", Some(1.0), Ask::Words("password")),
        ("count term, rare", Some(1.0), Ask::Words("kanri399")),
        ("count IP", Some(1.0), Ask::Is("source.ip", "10.0.2.1")),
        ("count keyword", Some(1.0), Ask::Is("user.name", "zeimu007")),
        ("count AND", Some(5.0), Ask::Both("failed", "invalid")),
        ("count AND, rare", Some(5.0), Ask::Both("failed", "kanri007")),
        ("count phrase", Some(20.0), Ask::Words("failed password")),
        ("newest 10, all", Some(10.0), Ask::Newest(None)),
        ("newest 10, term", Some(10.0), newest(Ask::Words("password"))),
        ("newest 10, AND", Some(10.0), newest(Ask::Both("failed", "invalid"))),
        ("newest 10, phrase", Some(10.0), newest(Ask::Words("failed password"))),
        ("newest 10, IP", Some(10.0), newest(Ask::Is("source.ip", "10.0.2.1"))),
        ("newest 10, CIDR", Some(10.0), newest(Ask::Network("source.ip", "10.3.0.0/16", None))),
        ("count CIDR /8", Some(6.0), Ask::Network("source.ip", "10.0.0.0/8", None)),
        ("count CIDR /16", Some(6.0), Ask::Network("source.ip", "10.3.0.0/16", None)),
        ("count CIDR /24", Some(6.0), Ask::Network("source.ip", "10.3.2.0/24", None)),
        ("CIDR and phrase", Some(10.0), Ask::Network("source.ip", "10.0.0.0/12", Some("failed password"))),
        ("CIDR and term", Some(10.0), Ask::Network("source.ip", "10.0.0.0/12", Some("failed"))),
        ("number above", None, Ask::Above("network.bytes", 500_000)),
        ("histogram 1 h, all", Some(25.0), Ask::Histogram),
        ("terms source.ip, all", Some(25.0), Ask::Terms("source.ip")),
        ("terms user.name, all", Some(25.0), Ask::Terms("user.name")),
        ("cardinality source.ip", Some(50.0), Ask::Cardinality("source.ip")),
        ("cardinality user.name", None, Ask::Cardinality("user.name")),
        ("percentiles bytes", None, Ask::Percentiles("network.bytes")),
        ("substring of a word", Some(160.0), Ask::Substring(None, "asswor")),
        ("substring of url", Some(160.0), Ask::Substring(Some("url.original"), "zeimu77")),
        ("regex on url", Some(160.0), Ask::Regex("url.original", "kanri.*id=4[0-9]$")),
    ]
}

/// What an engine says of itself.
pub(crate) struct Loaded {
    pub(crate) seconds_cpu: f64,
    pub(crate) seconds_wall: f64,
    pub(crate) bytes: u64,
    pub(crate) note: String,
}

/// An engine that holds the events.
pub(crate) trait Engine {
    /// The number that the query asks for; none where the engine cannot be asked so.
    fn ask(&mut self, ask: &Ask) -> Option<u64>;

    /// CPU time that the thread has used which answers.
    fn cpu(&self) -> Duration {
        cpu_of("/proc/thread-self/schedstat")
    }
}

/// CPU time by the kernel's count: exact for a thread that has just slept or yielded.
pub(crate) fn cpu_of(path: &str) -> Duration {
    std::thread::yield_now();
    let stat = std::fs::read_to_string(path).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned();
    let events: u64 = option("--events").map_or(2_000_000, |n| n.parse().unwrap());
    let runs: usize = option("--runs").map_or(7, |n| n.parse().unwrap());
    let only = option("--only").unwrap_or_else(|| "mihari,stock,sqlite,duckdb".to_owned());
    let dir = tempfile::tempdir().unwrap();

    let raw_bytes: u64 = {
        let mut event = events::Event::default();
        (0..events.min(100_000))
            .map(|n| {
                events::event(n, &mut event);
                event.raw.len() as u64
            })
            .sum::<u64>()
            / events.clamp(1, 100_000)
    };
    println!("{events} events, {raw_bytes} B of raw text each\n");
    println!("| engine | events/CPU-s | events/s | B/event | |\n|---|---|---|---|---|");
    let mut answers: BTreeMap<&str, Vec<(Option<u64>, Duration)>> = BTreeMap::new();
    for name in only.split(',') {
        let path = dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let loaded: Option<(Box<dyn Engine>, Loaded)> = match name {
            "mihari" => {
                let (engine, loaded) = mihari::load(&path, events);
                Some((Box::new(engine), loaded))
            }
            "stock" => Some(stock::load(&path, events)),
            "sqlite" => Some(sqlite::load(&path, events)),
            "duckdb" => duckdb::load(&path, events),
            other => panic!("no engine {other}"),
        };
        if name == "mihari" {
            let path = dir.path().join("journal");
            let (seconds, bytes) = mihari::journal(&path, events);
            println!(
                "| journal, compressed | {:.0} | | {:.1} | the records of mihari and of the engines that keep none |",
                events as f64 / seconds,
                bytes as f64 / events as f64
            );
            std::fs::remove_dir_all(&path).unwrap();
        }
        let Some((mut engine, loaded)) = loaded else {
            println!("| {name} | not there | | | |");
            continue;
        };
        println!(
            "| {name} | {:.0} | {:.0} | {:.1} | {} |",
            events as f64 / loaded.seconds_cpu,
            events as f64 / loaded.seconds_wall,
            loaded.bytes as f64 / events as f64,
            loaded.note
        );
        let mut list = Vec::new();
        for (_, _, ask) in kinds() {
            let mut times = Vec::with_capacity(runs);
            let mut found = None;
            let started = Instant::now();
            for run in 0..=runs {
                let start = engine.cpu();
                found = engine.ask(&ask);
                if run > 0 {
                    times.push(engine.cpu() - start); // The first one warms up.
                }
                if found.is_none() || (run > 1 && started.elapsed() > Duration::from_secs(20)) {
                    break;
                }
            }
            times.sort();
            list.push((found, times.get(times.len() / 2).copied().unwrap_or_default()));
        }
        answers.insert(name, list);
    }
    if arguments.iter().any(|a| a == "--busy") {
        busy(&dir.path().join("busy"), events);
    }
    let names: Vec<&str> = only.split(',').filter(|n| answers.contains_key(n)).collect();
    println!(
        "\nWarm medians in ms; in brackets what was found, where it differs from the first engine (each splits words in its own way).\n"
    );
    println!("| query | limit | {} |\n|---|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for (at, (kind, limit, _)) in kinds().iter().enumerate() {
        let first = names.first().and_then(|n| answers[n][at].0);
        let cells: Vec<String> = names
            .iter()
            .map(|name| {
                let (found, time) = &answers[name][at];
                let ms = time.as_secs_f64() * 1000.0;
                match found {
                    None => "–".to_owned(),
                    Some(n) if Some(*n) == first && *name != names[0] => format!("{ms:.2}"),
                    Some(n) => format!("{ms:.2} ({n})"),
                }
            })
            .collect();
        let limit = limit.map_or(String::new(), |l| l.to_string());
        println!("| {kind} | {limit} | {} |", cells.join(" | "));
    }
}

/// Queries of our index while nothing else happens, and while events are written at full rate.
fn busy(path: &std::path::Path, events: u64) {
    std::fs::create_dir_all(path).unwrap();
    let (mut engine, _) = mihari::load(path, events);
    let kinds = kinds();
    let asks: Vec<Ask> = kinds.iter().map(|(_, _, ask)| ask.clone()).collect();
    let (times, longest) = engine.while_indexing(events / 2, &asks);
    let at = |times: &[Duration], share: f64| {
        let place = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    };
    println!(
        "\nWhile {} more events are written at full rate, with commits and merges (CPU ms; a write could be found after {} ms at most):\n",
        events / 2,
        longest.as_millis()
    );
    println!("| query | idle p50 | idle p99 | busy p50 | busy p99 | runs |\n|---|---|---|---|---|---|");
    let (mut all_idle, mut all_busy) = (Vec::new(), Vec::new());
    for ((name, ..), (idle, busy)) in kinds.iter().zip(&times) {
        let [a, b] = [at(idle, 0.5), at(idle, 0.99)];
        println!("| {name} | {a:.2} | {b:.2} | {:.2} | {:.2} | {} |", at(busy, 0.5), at(busy, 0.99), busy.len());
        all_idle.extend(idle);
        all_busy.extend(busy);
    }
    all_idle.sort();
    all_busy.sort();
    let (idle, busy) = (at(&all_idle, 0.99), at(&all_busy, 0.99));
    println!(
        "| all together | {:.2} | {idle:.2} | {:.2} | {busy:.2} | p99 {:.2} times |",
        at(&all_idle, 0.5),
        at(&all_busy, 0.5),
        busy / idle
    );
}

/// CPU time of this process so far, all its threads.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Runs `work` on `events` made beforehand in pieces; measures only the work.
pub(crate) fn measured(mut work: impl FnMut(u64, u64), events: u64) -> (f64, f64) {
    const PIECE: u64 = 8192;
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    let mut first = 0;
    while first < events {
        let n = PIECE.min(events - first);
        work(first, n);
        first += n;
    }
    (cpu_seconds() - cpu, wall.elapsed().as_secs_f64())
}

/// Bytes of all files below `dir`, by what their names end in.
pub(crate) fn bytes_by_kind(dir: &std::path::Path, all: &mut BTreeMap<String, u64>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            bytes_by_kind(&entry.path(), all);
        } else {
            let kind = entry.path().extension().map_or(String::new(), |e| e.to_string_lossy().into_owned());
            *all.entry(kind).or_default() += entry.metadata().unwrap().len();
        }
    }
}

/// Bytes of all files below `dir`.
pub(crate) fn bytes_below(dir: &std::path::Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() { bytes_below(&entry.path()) } else { entry.metadata().unwrap().len() }
        })
        .sum()
}

/// CPU and wall seconds that making the events takes, to be taken off where they are made along the way.
pub(crate) fn making(events: u64, mut make: impl FnMut(u64, u64)) -> (f64, f64) {
    let sample = events.min(200_000);
    let (cpu, wall) = measured(&mut make, sample);
    let times = events as f64 / sample as f64;
    (cpu * times, wall * times)
}
