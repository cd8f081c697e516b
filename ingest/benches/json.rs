//! JSON records into a batch, and `serde_json` into its tree of values as the peer.
//!
//! `cargo bench -p ingest --bench json [-- FILE]`: FILE is NDJSON, plain or `.zst`; without one, records that are made here. Both read the
//! same lines, turn about, several rounds; the best round of each counts. What is timed of ours is the whole decoder: character check,
//! syslog header, recognition, reading, the fields' names, the event's time. The peer's is the parse alone.

#![expect(clippy::print_stdout, reason = "the figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{BatchBuilder, Content, Frame, FrameHead, LogRange, Position, Time, Transport};
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};

const ROUNDS: usize = 7;
/// Records of a batch; the arena holds them with room to spare.
const PER_BATCH: usize = 4096;

fn main() {
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    match file {
        Some(path) => measure(&path, &lines_of(&path)),
        None => {
            for (name, lines) in made() {
                measure(name, &lines);
            }
        }
    }
}

fn lines_of(path: &str) -> Vec<String> {
    let bytes = std::fs::read(path).expect("the file can be read");
    let bytes = if path.ends_with(".zst") { zstd::decode_all(&bytes[..]).expect("zstd") } else { bytes };
    String::from_utf8(bytes).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// Records like those of sensors and hosts, each kind by itself.
fn made() -> Vec<(&'static str, Vec<String>)> {
    let of = |make: fn(u32) -> String| (0..20_000).map(make).collect();
    vec![
        (
            "sensor",
            of(|n| {
                format!(
                    r#"{{"timestamp":"2026-04-01T09:00:{:02}.250000+0900","flow_id":{n},"in_iface":"lan1","event_type":"flow","src_ip":"192.0.2.{}","src_port":{},"dest_ip":"198.51.100.9","dest_port":443,"proto":"TCP","app_proto":"tls","flow":{{"pkts_toserver":4,"pkts_toclient":4,"bytes_toserver":{n},"bytes_toclient":599,"start":"2026-04-01T08:59:00.000000+0900","state":"closed","reason":"timeout","alerted":false}}}}"#,
                    n % 60,
                    n % 250,
                    n % 60_000
                )
            }),
        ),
        (
            "host",
            of(|n| {
                format!(
                    r#"{{"EventTime":"2026-04-01 09:00:{:02}","Hostname":"pc{}.city.example.jp","EventType":"INFO","Severity":"INFO","EventID":1,"SourceName":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational","ProcessID":2992,"Message":"Process Create:\r\nProcessId: {n}\r\nImage: C:\\Windows\\System32\\cmd.exe","Image":"C:\\Windows\\System32\\cmd.exe","CommandLine":"cmd /c dir {n}","CurrentDirectory":"C:\\","User":"CITY\\taro","Hashes":"MD5=00AA,SHA256=11BB","ParentImage":"C:\\Windows\\explorer.exe","SourceModuleType":"im_msvistalog"}}"#,
                    n % 60,
                    n % 3000
                )
            }),
        ),
        (
            "application",
            of(|n| {
                format!(
                    r#"{{"@timestamp":"2026-04-01T00:00:{:02}Z","log.level":"INFO","message":"saved document {n}","service":{{"name":"portal"}},"user":{{"name":"u{}"}},"tags":["a","b"],"duration_ms":{}}}"#,
                    n % 60,
                    n % 900,
                    n % 77
                )
            }),
        ),
    ]
}

fn measure(name: &str, lines: &[String]) {
    let settings = Arc::new(DecodeSettings::new("Asia/Tokyo", Time::from_unix_s(1_775_001_600)).expect("a known zone"));
    let mut decoder = TextDecoder::new(&settings);
    let bytes: usize = lines.iter().map(String::len).sum();
    let (mut ours, mut peer) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for batch in lines.chunks(PER_BATCH) {
            let mut builder = BatchBuilder::default();
            for (at, line) in batch.iter().enumerate() {
                let head = FrameHead {
                    position: Position { partition: 0, offset: at as u64 + 1 },
                    ..FrameHead::new(Transport::File, Content::Text)
                };
                decoder.decode(Frame { head, bytes: line.as_bytes() }, &mut builder);
            }
            black_box(builder.finish(LogRange::default(), Time::UNKNOWN));
        }
        ours = ours.min(start.elapsed());
        let start = Instant::now();
        for line in lines {
            black_box(serde_json::from_str::<serde_json::value::Value>(line).ok());
        }
        peer = peer.min(start.elapsed());
    }
    let per_line = |time: Duration| time.as_nanos() as f64 / lines.len() as f64;
    println!(
        "{name}: {} lines of {} bytes; decoder {:.0} ns a line ({:.0} MB/s), serde_json {:.0} ns; decoder/peer {:.2}",
        lines.len(),
        bytes / lines.len().max(1),
        per_line(ours),
        bytes as f64 / 1e6 / ours.as_secs_f64(),
        per_line(peer),
        ours.as_secs_f64() / peer.as_secs_f64(),
    );
}
