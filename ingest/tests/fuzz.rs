//! Whatever bytes come, every reader of outside bytes goes on: no panic, no hang, output within bounds.
//!
//! `cargo test -p ingest --test fuzz` replays `tests/fuzz/TARGET/*` (inputs that once were a fault, or are of a kind that was one elsewhere), then
//! some thousand inputs that a seeded generator makes of the cases of `formats/*.yaml` and of packets made here. `make fuzz` goes on for
//! `MIHARI_FUZZ_SECONDS` from a seed of its own (`MIHARI_FUZZ_SEED`), and says which. An input at which a target panics or stands still is
//! written beside the corpora. It is a mutator of our own: coverage-guided fuzzing needs a compiler that this project does not ask for.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a fuzzer says what it does")]
#![expect(clippy::disallowed_methods, reason = "the watch on what stands still, and the time to fuzz for")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event::limits::{CELLS_PER_EVENT_MAX, FRAME_BYTES_MAX};
use event::{Batch, BatchBuilder, Content, Frame, FrameHead, Frames, LogRange, Position, Release, Time, Transport};
use ingest::capture::Capture;
use ingest::decode::flow::FlowDecoder;
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};
use ingest::listen::Framer;

/// Inputs of each target without more being asked for.
const INPUTS: usize = 1_500;
/// Bytes of an input, but for those that grow by repetition.
const INPUT_BYTES_MAX: usize = 4_096;
/// After so long one input has not ended: it never will.
const STANDS_STILL: Duration = Duration::from_secs(60);
const REFERENCE_S: i64 = 1_775_001_600;

/// xorshift64 (Marsaglia, "Xorshift RNGs").
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What is done with an input.
type Run = Box<dyn FnMut(&[u8])>;

/// A reader of bytes.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    run: Run,
}

fn head(content: Content, source: &str) -> FrameHead {
    FrameHead {
        position: Position { partition: 0, offset: 1 },
        received: Time::from_unix_s(REFERENCE_S),
        source: source.parse().ok(),
        ..FrameHead::new(Transport::Udp, content)
    }
}

/// What must hold of every batch.
fn check(batch: &Batch) {
    for event in batch.iter() {
        assert!(event.cells().len() <= CELLS_PER_EVENT_MAX);
        let mut text = String::new();
        event::json::write_event(event, &mut text);
        serde_json::from_str::<serde::de::IgnoredAny>(&text).expect("an event is JSON");
    }
}

fn text_target(name: &'static str, charset: Option<&str>, seeds: &[Vec<u8>]) -> Target {
    let mut settings = DecodeSettings::new("Asia/Tokyo", Time::from_unix_s(REFERENCE_S)).expect("a known zone");
    settings.add_source("192.0.2.0/24", None, charset, None).expect("a prefix");
    let mut decoder = TextDecoder::new(&Arc::new(settings));
    let run = move |bytes: &[u8]| {
        let mut builder = BatchBuilder::default();
        decoder.decode(Frame { head: head(Content::Text, "192.0.2.1:514"), bytes }, &mut builder);
        let batch = builder.finish(LogRange::default(), Time::UNKNOWN);
        assert_eq!(batch.len(), 1, "a record is an event");
        check(&batch);
    };
    Target { name, seeds: seeds.to_vec(), run: Box::new(run) }
}

fn flow_target() -> Target {
    // One decoder for all inputs: templates of one meet data of another.
    let mut decoder = FlowDecoder::default();
    let run = move |bytes: &[u8]| {
        let mut builder = BatchBuilder::default();
        for exporter in ["192.0.2.1:2055", "[2001:db8::1]:4739"] {
            decoder.decode(Frame { head: head(Content::Flow, exporter), bytes }, &mut builder);
        }
        check(&builder.finish(LogRange::default(), Time::UNKNOWN));
    };
    Target { name: "flow", seeds: flow_seeds(), run: Box::new(run) }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// A packet of each version, small.
fn flow_seeds() -> Vec<Vec<u8>> {
    let mut v5 = words(&[5 << 16 | 1, 60_000, 1_700_000_000, 0, 0, 100]);
    v5.extend(words(&[0xc000_0201, 0xc633_6402, 0, 0x0001_0002, 3, 180, 50_000, 55_000, 0xc000_0035, 0x0002_1100, 0, 0]));
    let mut v7 = v5.clone();
    v7[1] = 7;
    v7.extend([0; 4]);
    let mut v9 = words(&[9 << 16 | 2, 60_000, 1_700_000_000, 1, 5]);
    v9.extend(words(&[20, 0x0100_0003, 0x0008_0004, 0x000c_0004, 0x0001_0004, 0x0100_0010, 0xc000_0201, 0xc633_6402, 40]));
    let mut options = words(&[9 << 16 | 1, 60_000, 1_700_000_000, 2, 5, 0x0001_0012, 0x0101_0004, 0x0004_0001, 0x0004_0022]);
    options.extend([0, 4]);
    let mut ipfix =
        words(&[0, 1_700_000_000, 1, 5, 0x0002_0018, 0x0100_0004, 0x0008_0004, 0x000c_0004, 0x0052_ffff, 0x8001_0004]);
    ipfix.extend(words(&[29_305, 0x0100_0016, 0xc000_0201, 0xc633_6402]));
    ipfix.extend([3, b'e', b't', b'h', 0, 0, 0, 9, 0, 0]);
    let length = (ipfix.len() as u16).to_be_bytes();
    ipfix[..4].copy_from_slice(&[0, 10, length[0], length[1]]);
    let mut packet = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0x00, 0x07, 0x08, 0x00];
    packet.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
    packet.extend([0xc0, 0x00, 0x01, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02]);
    let mut record = words(&[1, 1518, 4, packet.len() as u32]);
    record.extend(&packet);
    record.resize(record.len().next_multiple_of(4), 0);
    let mut sflow = words(&[5, 1, 0xc000_02fe, 9, 77, 1000, 1, 1, 40 + record.len() as u32]);
    sflow.extend(words(&[1, 3, 512, 1024, 0, 3, 4, 1]));
    sflow.extend(record);
    vec![v5, v7, v9, options, ipfix, sflow]
}

fn framer_target(seeds: &[Vec<u8>]) -> Target {
    let run = |bytes: &[u8]| {
        for mut framer in [Framer::default(), Framer::lines()] {
            let mut out = 0;
            let mut emit = |message: &[u8], _: bool| {
                assert!((1..=FRAME_BYTES_MAX).contains(&message.len()));
                out += message.len();
            };
            for piece in bytes.chunks(7) {
                framer.push(piece, &mut emit);
            }
            framer.finish(&mut emit);
            assert!(out <= bytes.len(), "nothing is made up");
        }
    };
    let mut seeds: Vec<Vec<u8>> = seeds.iter().take(50).map(|seed| [seed.as_slice(), b"\n"].concat()).collect();
    seeds.extend([b"9 <13>first12 <13>a\nsecond".to_vec(), b"<13>a\0<13>b\0".to_vec(), b"999999999 <13>x".to_vec()]);
    Target { name: "framer", seeds, run: Box::new(run) }
}

fn capture_target(seeds: &[Vec<u8>]) -> Target {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("capture");
    let run = move |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        let Ok(mut capture) = Capture::open(&path) else { return };
        let mut frames = Frames::default();
        loop {
            frames.clear();
            match capture.read(&mut frames, 1 << 20) {
                Ok(0) | Err(_) => break,
                Ok(_) => assert!(frames.byte_len() <= (1 << 20) + 2 * FRAME_BYTES_MAX),
            }
        }
        assert!(dir.path().exists());
    };
    let flow = &flow_seeds()[0];
    let mut pcap = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
    let udp = [&[0x08u8, 0x07, 0x08, 0x07][..], &((flow.len() + 8) as u16).to_be_bytes(), &[0, 0], flow].concat();
    let length = ((udp.len() + 20) as u16).to_be_bytes();
    let ip = [&[0x45u8, 0, length[0], length[1], 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2][..], &udp].concat();
    let packet = [&[2u8, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &ip].concat();
    pcap.extend([[0; 4], [0; 4], (packet.len() as u32).to_le_bytes(), (packet.len() as u32).to_le_bytes()].concat());
    pcap.extend(packet);
    let hex: String = flow.iter().map(|b| format!("{b:02x}")).collect();
    let mut all = vec![pcap, format!("{{\"exporter\":\"192.0.2.1\",\"port\":2055,\"hex\":\"{hex}\"}}\n").into_bytes()];
    all.push(b"#separator \\x09\n#path\tconn\n#fields\tts\tuid\n1.0\tC1\n".to_vec());
    all.extend(seeds.iter().take(20).cloned());
    Target { name: "capture", seeds: all, run: Box::new(run) }
}

fn journal_target() -> Target {
    let run = |bytes: &[u8]| {
        use ingest::log::format::{Commit, FRAME_HEAD_BYTES, Head, Header, decode_record};
        std::hint::black_box(Header::decode(bytes));
        std::hint::black_box(Commit::decode(bytes));
        if let Some(frame) = Head::decode(bytes)
            && let Some((head, record)) = decode_record(0, &frame, bytes.get(FRAME_HEAD_BYTES..).unwrap_or_default())
        {
            drop(Release::decode(Frame { head, bytes: record }).map(|release| release.encode()));
        }
        FlowDecoder::default().restore(bytes);
    };
    let frame = Frame { head: head(Content::Text, "192.0.2.1:514"), bytes: b"<13>a record" };
    let (_, released) = Release { of: event::EventId::default(), frame }.encode().expect("room");
    let templates = br#"[1,[[[0,"192.0.2.1",9,5,256],[[[0,8,4,false]],false,0]]],[]]"#.to_vec();
    let record = [&[12, 0, 0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0; 14], &released].concat();
    Target { name: "journal", seeds: vec![record, templates], run: Box::new(run) }
}

fn description_target() -> Target {
    let run = |bytes: &[u8]| {
        let mut settings = DecodeSettings::new("UTC", Time::from_unix_s(REFERENCE_S)).expect("a known zone");
        let text = String::from_utf8_lossy(bytes).into_owned();
        if settings.add_formats(&[("fuzzed.yaml".to_owned(), text)]).is_ok() {
            let mut decoder = TextDecoder::new(&Arc::new(settings));
            let mut builder = BatchBuilder::default();
            decoder.decode(
                Frame { head: head(Content::Text, "192.0.2.1:514"), bytes: b"<13>Apr  1 09:00:00 h a: b=1 c" },
                &mut builder,
            );
            check(&builder.finish(LogRange::default(), Time::UNKNOWN));
        }
    };
    let mut seeds: Vec<Vec<u8>> = yaml_files().into_iter().map(|(_, text)| text.into_bytes()).collect();
    seeds.retain(|seed| seed.len() < INPUT_BYTES_MAX);
    Target { name: "description", seeds, run: Box::new(run) }
}

fn yaml_files() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("formats");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the formats").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).expect("text"))).collect()
}

#[derive(serde::Deserialize)]
struct Description {
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    raw: String,
}

/// The records of the shipped descriptions' cases.
fn text_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (path, text) in yaml_files() {
        let description: Description =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        seeds.extend(description.cases.into_iter().map(|case| case.raw.into_bytes()));
    }
    assert!(seeds.len() > 100, "{} cases", seeds.len());
    seeds
}

fn targets() -> Vec<Target> {
    let text = text_seeds();
    vec![
        text_target("text", None, &text),
        text_target("text_shift_jis", Some("shift_jis"), &text),
        text_target("text_euc_jp", Some("euc-jp"), &text),
        text_target("text_iso_2022_jp", Some("iso-2022-jp"), &text),
        flow_target(),
        framer_target(&text),
        capture_target(&text),
        journal_target(),
        description_target(),
    ]
}

/// What parsers stumble over.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\x1b$B",
    b"\x1b(B",
    b"\x8f",
    b"\x81",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\",
    b"=",
    b"|",
    b"%",
    b"<191>",
    b"<999>",
    b"4294967295",
    b"-1",
    b"1e999",
    b"\xf0\x9f\x92\xa9",
    b"\r\n",
    b"CEF:0|",
];

/// An input out of a seed: some changes of some kinds.
fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(9) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => input.truncate(at),
            3 => drop(input.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
            4 => {
                let end = (at + random.below(16)).min(input.len());
                input.drain(at..end);
            }
            5 => {
                // A part of another seed in its place.
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => {
                // A part again and again: nesting, long lists.
                let end = (at + 1 + random.below(8)).min(input.len());
                let part = input[at.min(end)..end].repeat(1 + random.below(200));
                input.splice(at..at, part);
            }
            7 if at + 4 <= input.len() => {
                let number = [0u32, 1, 0x7fff_ffff, u32::MAX, 0xffff_0000][random.below(5)];
                input[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            _ => {
                let byte = random.next() as u8;
                input.splice(at..at, [byte]);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// The input that runs now, and since when, for the watch.
type Running = Arc<Mutex<Option<(Instant, &'static str, Vec<u8>)>>>;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = corpus(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(format!("found-{:08x}", crc32c::crc32c(input)));
    std::fs::write(&path, input).expect("written");
    path
}

fn watch(running: Running) {
    std::thread::spawn(move || {
        loop {
            std::thread::park_timeout(Duration::from_secs(1));
            let now = running.lock().expect("no code panics under this lock").clone();
            if let Some((since, name, input)) = now
                && since.elapsed() > STANDS_STILL
            {
                eprintln!("{name} stands still: {}", keep(name, &input).display());
                std::process::abort();
            }
        }
    });
}

fn run(target: &mut Target, input: &[u8], running: &Running) {
    *running.lock().expect("no code panics under this lock") = Some((Instant::now(), target.name, input.to_vec()));
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    *running.lock().expect("no code panics under this lock") = None;
    if ended.is_err() {
        panic!("{} panicked: {}", target.name, keep(target.name, input).display());
    }
}

#[test]
fn no_bytes_make_a_reader_panic_or_stand_still() {
    let seconds =
        std::env::var("MIHARI_FUZZ_SECONDS").ok().map(|text| text.parse::<u64>().expect("MIHARI_FUZZ_SECONDS is a number"));
    let seed =
        std::env::var("MIHARI_FUZZ_SEED").map_or(0x6d69_6861_7269, |text| text.parse().expect("MIHARI_FUZZ_SEED is a number"));
    let running = Running::default();
    watch(running.clone());
    let mut targets = targets();
    let share = seconds.map(|seconds| Duration::from_secs(seconds) / targets.len() as u32);
    for target in &mut targets {
        let mut inputs = 0;
        if let Ok(entries) = std::fs::read_dir(corpus(target.name)) {
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
            files.sort();
            for file in files {
                run(target, &std::fs::read(file).expect("readable"), &running);
                inputs += 1;
            }
        }
        for seed in target.seeds.clone() {
            run(target, &seed, &running);
            inputs += 1;
        }
        let mut random = Random(seed);
        let start = Instant::now();
        // Making a decoder of a description costs a thousand times what a record does.
        let wanted = if target.name == "description" { INPUTS / 20 } else { INPUTS };
        let mut made = 0;
        while share.map_or(made < wanted, |share| start.elapsed() < share) {
            let input = mutate(&mut random, &target.seeds);
            run(target, &input, &running);
            made += 1;
        }
        println!("{}: {} inputs, seed {seed}", target.name, inputs + made);
    }
}
