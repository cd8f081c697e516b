//! Every reader of outside bytes, what must hold of what it gives, and inputs to begin with. `tests/fuzz.rs` of this crate asks them in each test run,
//! the fuzzers in the project's `tests/fuzz` with the compiler's help.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::limits::{CELLS_PER_EVENT_MAX, FRAME_BYTES_MAX};
use event::{Batch, BatchBuilder, Content, Frame, FrameHead, Frames, LogRange, Position, Release, Time, Transport};
use ingest::capture::Capture;
use ingest::decode::flow::FlowDecoder;
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder, Differing};
use ingest::listen::Framer;

/// Bytes of an input, but for those that grow by repetition.
pub(crate) const INPUT_BYTES_MAX: usize = 4_096;
const REFERENCE_S: i64 = 1_775_001_600;

/// What is done with an input.
pub(crate) type Run = Box<dyn FnMut(&[u8])>;

/// A reader of bytes.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) seeds: Vec<Vec<u8>>,
    pub(crate) run: Run,
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
    settings.add_source("192.0.2.0/24", Differing { charset, ..Differing::default() }).expect("a prefix");
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

fn description_target(formats: &Path) -> Target {
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
    let mut seeds: Vec<Vec<u8>> = yaml_files(formats).into_iter().map(|(_, text)| text.into_bytes()).collect();
    seeds.retain(|seed| seed.len() < INPUT_BYTES_MAX);
    Target { name: "description", seeds, run: Box::new(run) }
}

fn yaml_files(formats: &Path) -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(formats).expect("the formats").map(|entry| entry.expect("a file").path()).collect();
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
fn text_seeds(formats: &Path) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (path, text) in yaml_files(formats) {
        let description: Description =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        seeds.extend(description.cases.into_iter().map(|case| case.raw.into_bytes()));
    }
    assert!(seeds.len() > 100, "{} cases", seeds.len());
    seeds
}

/// All of them, with the cases of the descriptions in `formats` to begin with.
pub(crate) fn targets(formats: &Path) -> Vec<Target> {
    let text = text_seeds(formats);
    vec![
        text_target("text", None, &text),
        text_target("text_shift_jis", Some("shift_jis"), &text),
        text_target("text_euc_jp", Some("euc-jp"), &text),
        text_target("text_iso_2022_jp", Some("iso-2022-jp"), &text),
        flow_target(),
        framer_target(&text),
        capture_target(&text),
        journal_target(),
        description_target(formats),
    ]
}
