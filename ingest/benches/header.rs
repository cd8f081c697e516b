//! The syslog header beside `syslog_loose`, and whole records of each format.
//!
//! `cargo bench -p ingest --bench header [-- FILE]`: FILE is a log, plain or `.zst`; without one, the mixed corpus where it is there. Then
//! lines that are made here, then the cases of `formats/*.yaml`, each format by itself and the mean over formats. Header: both sides give
//! the parts and the instant. Both read the same lines, turn about, several rounds; the best round of each counts. Times are the thread's own on the processor.

#![expect(clippy::print_stdout, reason = "the figures")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use described::Description;
use event::{BatchBuilder, Content, Frame, FrameHead, LogRange, Position, Time, Transport};
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};
use jiff::tz::TimeZone;
use syslog_loose::Variant;

#[path = "../tests/described/mod.rs"]
mod described;
// The header is private to the decoder. It is measured as it stands in its file, not made public for that.
#[expect(dead_code, reason = "the decoder's, of which the header is one part")]
#[path = "../src/decode/stamp.rs"]
mod stamp;
#[expect(dead_code, unused_imports, reason = "the decoder's, of which the header is one part")]
#[path = "../src/decode/syslog.rs"]
mod syslog;

const ROUNDS: usize = 7;
/// Lines of the corpus that are measured: enough for its mixture, few enough for seconds.
const LINES_MAX: usize = 50_000;
/// Lines that one side reads before the other does: some 100 KiB.
const IN_CACHE: usize = 256;
/// Records of a batch.
const PER_BATCH: usize = 4096;
/// How often a format's cases are read in a round.
const RECORDS_PER_FORMAT: usize = 2_000;
/// 2026-04-01 09:00 in Japan.
const REFERENCE_S: i64 = 1_775_001_600;

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let corpus = given.unwrap_or_else(|| here.join("../../shared/corpus/syslog-mixed.log.zst"));
    match lines_of(&corpus) {
        Some(lines) => {
            headers("corpus", &lines);
            println!("corpus, whole records: {:.0} ns a line", records(&lines));
            by_format(&lines);
        }
        None => println!("corpus: skipped, {} is not there", corpus.display()),
    }
    headers(
        "made, RFC 5424",
        &made(|n| {
            format!(
                "<{}>1 2026-04-01T09:{:02}:{:02}.25+09:00 gw{} portal {n} ID{} - user u{n} logged in",
                n % 192,
                n / 60 % 60,
                n % 60,
                n % 9,
                n % 50
            )
        }),
    );
    headers(
        "made, RFC 3164",
        &made(|n| {
            format!(
                "<{}>Apr  1 09:{:02}:{:02} gw{} sshd[{n}]: Accepted publickey for u{n} from 192.0.2.7 port 5122 ssh2",
                n % 192,
                n / 60 % 60,
                n % 60,
                n % 9
            )
        }),
    );
    headers(
        "made, key=value",
        &made(|n| {
            format!(
                "<{}>date=2026-04-01 time=09:00:00 devname=\"fw{}\" logid=\"0000000013\" type=\"traffic\" srcip=192.0.2.7 sessionid={n}",
                n % 192,
                n % 9
            )
        }),
    );
    formats(&here.join("formats"));
}

/// How long this thread was on a processor.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}

fn lines_of(path: &Path) -> Option<Vec<String>> {
    let bytes = std::fs::read(path).ok()?;
    let bytes = if path.extension().is_some_and(|e| e == "zst") { zstd::decode_all(&bytes[..]).expect("zstd") } else { bytes };
    Some(String::from_utf8_lossy(&bytes).lines().take(LINES_MAX).map(str::to_owned).collect())
}

fn made(line: fn(u32) -> String) -> Vec<String> {
    (0..20_000).map(line).collect()
}

fn headers(name: &str, lines: &[String]) {
    let zone = stamp::Zone::new(TimeZone::get("Asia/Tokyo").expect("a known zone"));
    // Records are received when they are written: the time of the first one with a year stands for the receipt of all.
    let written = |line: &String| syslog::header(line).stamp.filter(stamp::Stamp::has_offset)?.resolve(&zone, Time::EPOCH);
    let reference = lines.iter().find_map(written).unwrap_or(Time::from_unix_s(REFERENCE_S));
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    let (mut our_times, mut their_times) = (0, 0);
    for _ in 0..ROUNDS {
        let (mut our_round, mut their_round) = (Duration::ZERO, Duration::ZERO);
        (our_times, their_times) = (0, 0);
        for lines in lines.chunks(IN_CACHE) {
            // A line that was just received is in the cache, for whoever reads it.
            black_box(lines.iter().flat_map(|line| line.bytes()).fold(0u8, |sum, byte| sum ^ byte));
            let start = cpu();
            for line in lines {
                let header = black_box(syslog::header(line));
                let time = black_box(header.stamp.and_then(|stamp| stamp.resolve(&zone, reference)));
                our_times += usize::from(time.is_some());
            }
            our_round += cpu() - start;
            let start = cpu();
            for line in lines {
                let message = black_box(syslog_loose::parse_message(line, Variant::Either));
                their_times += usize::from(message.timestamp.is_some());
            }
            their_round += cpu() - start;
        }
        ours = ours.min(our_round);
        theirs = theirs.min(their_round);
    }
    let per_line = |time: Duration| time.as_nanos() as f64 / lines.len() as f64;
    println!(
        "header, {name}: ours {:.0} ns a line ({our_times} times found), syslog_loose {:.0} ns ({their_times}); ours/peer {:.2}",
        per_line(ours),
        per_line(theirs),
        ours.as_secs_f64() / theirs.as_secs_f64(),
    );
}

/// Nanoseconds that the whole decoder takes for a line, into the finished batch.
fn records(lines: &[String]) -> f64 {
    let settings = Arc::new(DecodeSettings::new("Asia/Tokyo", Time::from_unix_s(REFERENCE_S)).expect("a known zone"));
    let mut decoder = TextDecoder::new(&settings);
    let mut best = Duration::MAX;
    let mut builder = BatchBuilder::default();
    for _ in 0..ROUNDS {
        let start = cpu();
        for batch in lines.chunks(PER_BATCH) {
            for (at, line) in batch.iter().enumerate() {
                decoder.decode(frame(at, line), &mut builder);
            }
            let batch = black_box(builder.finish(LogRange::default(), Time::UNKNOWN));
            builder.reuse(batch);
        }
        best = best.min(cpu() - start);
    }
    best.as_nanos() as f64 / lines.len() as f64
}

/// What the corpus' lines cost, format by format, each among its own.
fn by_format(lines: &[String]) {
    let settings = Arc::new(DecodeSettings::new("Asia/Tokyo", Time::from_unix_s(REFERENCE_S)).expect("a known zone"));
    let mut decoder = TextDecoder::new(&settings);
    let mut of_format: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for batch in lines.chunks(PER_BATCH) {
        let mut builder = BatchBuilder::default();
        batch.iter().enumerate().for_each(|(at, line)| decoder.decode(frame(at, line), &mut builder));
        for event in builder.finish(LogRange::default(), Time::UNKNOWN).iter() {
            of_format.entry(event.format().name()).or_default().push(batch[event.id().frame.offset as usize - 1].clone());
        }
    }
    let mut found: Vec<(f64, &str, usize)> =
        of_format.iter().map(|(name, of)| (records(of) * of.len() as f64, *name, of.len())).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let sum: f64 = found.iter().map(|f| f.0).sum();
    println!("corpus, format by format: {:.0} ns a line; the most:", sum / lines.len() as f64);
    for (ns, name, count) in found.iter().take(20) {
        println!("  {name}: {:.0} % of it, {:.0} ns a line ({count} lines)", ns / sum * 100.0, ns / *count as f64);
    }
}

/// The `at`th line of a batch.
fn frame(at: usize, line: &str) -> Frame<'_> {
    let head = FrameHead {
        position: Position { partition: 0, offset: at as u64 + 1 },
        received: Time::from_unix_s(REFERENCE_S),
        ..FrameHead::new(Transport::File, Content::Text)
    };
    Frame { head, bytes: line.as_bytes() }
}

fn formats(folder: &Path) {
    let files = std::fs::read_dir(folder).expect("the formats are beside the benchmark").map(|file| file.expect("a file").path());
    let mut found: Vec<(f64, String, usize)> = files
        .filter_map(|file| {
            let text = std::fs::read_to_string(&file).expect("text");
            let description: Description = serde_saphyr::from_str(&text).expect("a description");
            let cases = &description.cases;
            let lines: Vec<String> = cases.iter().map(|case| case.raw.clone()).cycle().take(RECORDS_PER_FORMAT).collect();
            (!lines.is_empty())
                .then(|| (records(&lines), description.name, cases.iter().map(|c| c.raw.len()).sum::<usize>() / cases.len()))
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!(
        "whole records, mean over {} formats: {:.0} ns a line; the slowest:",
        found.len(),
        found.iter().map(|f| f.0).sum::<f64>() / found.len() as f64
    );
    for (ns, name, bytes) in found.iter().take(20) {
        println!("  {name}: {ns:.0} ns ({bytes} bytes)");
    }
}
