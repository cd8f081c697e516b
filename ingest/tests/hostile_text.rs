//! Text that is meant to hurt: nesting, names without end, lines without end. Memory and work stay within bounds, and the next record is read.

use std::sync::Arc;

use event::limits::{FIELDS_MAX, FRAME_BYTES_MAX};
use event::{Batch, BatchBuilder, Content, FieldId, Frame, FrameHead, LogRange, Position, Time, Transport};
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};
use ingest::listen::Framer;

struct Texts {
    decoder: TextDecoder,
    builder: BatchBuilder,
}

impl Texts {
    fn new() -> Texts {
        let settings = DecodeSettings::new("Asia/Tokyo", Time::from_unix_s(1_775_001_600)).expect("a known zone");
        Texts { decoder: TextDecoder::new(&Arc::new(settings)), builder: BatchBuilder::default() }
    }

    fn decode(&mut self, text: &str) -> Batch {
        let head = FrameHead {
            position: Position { partition: 0, offset: 1 },
            received: Time::from_unix_s(1_775_001_600),
            ..FrameHead::new(Transport::Tcp, Content::Text)
        };
        self.decoder.decode(Frame { head, bytes: text.as_bytes() }, &mut self.builder);
        self.builder.finish(LogRange::default(), Time::UNKNOWN)
    }

    /// A plain record is read as ever.
    fn goes_on(&mut self) {
        let batch = self.decode("<38>Apr  1 09:00:00 srv sshd[7]: Failed password for root from 192.0.2.7 port 4711 ssh2");
        assert_eq!(batch.event(0).get(FieldId::SOURCE_IP).map(|ip| ip.to_string()).as_deref(), Some("192.0.2.7"));
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells");
    statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

#[test]
fn ten_thousand_brackets_are_one_record() {
    let mut texts = Texts::new();
    for depth in [100, 10_000, 40_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"a\":[", "]}")] {
            let within = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for text in [
                within.clone(),
                format!("{{\"message\":\"x\",\"deep\":{within}}}"),
                open.repeat(depth),
                format!("<13>app: {within}"),
            ] {
                assert_eq!(texts.decode(&text[..text.len().min(FRAME_BYTES_MAX)]).len(), 1);
            }
        }
        for text in ["(".repeat(depth), "\\\"".repeat(depth), "<a>".repeat(depth), "a=\"".repeat(depth), "[a b=\"".repeat(depth)]
        {
            assert_eq!(texts.decode(&format!("<13>1 2026-04-01T00:00:00Z h a - - {text}")).len(), 1);
        }
    }
    texts.goes_on();
}

#[test]
fn a_hundred_thousand_names_fill_a_bounded_table_and_stay_in_the_text() {
    let mut texts = Texts::new();
    texts.goes_on();
    let before = resident_bytes();
    for record in 0..1000 {
        let members: Vec<String> = (0..100).map(|n| format!("\"name_{record}_{n}\":\"value {n}\"")).collect();
        let text = format!("{{{}}}", members.join(","));
        let batch = texts.decode(&text);
        assert_eq!(batch.event(0).raw(), text, "what is no column is in the text");
    }
    for record in 0..1000 {
        let pairs: Vec<String> = (0..100).map(|n| format!("key_{record}_{n}={n}")).collect();
        assert_eq!(texts.decode(&format!("<13>Apr  1 09:00:00 fw app: {}", pairs.join(" "))).len(), 1);
    }
    assert!(FieldId::all_names().len() <= FIELDS_MAX);
    assert!(FieldId::refused() > 0);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 128 << 20, "{} MiB more", grown >> 20);
    texts.goes_on();
}

#[test]
fn a_line_of_a_gigabyte_costs_one_frame_of_memory() {
    let mut framer = Framer::default();
    let mut out: Vec<(usize, bool)> = Vec::new();
    let piece = vec![b'x'; 1 << 20];
    let before = resident_bytes();
    framer.push(b"<13>", &mut |_, _| panic!("not yet"));
    for _ in 0..1024 {
        framer.push(&piece, &mut |_, _| panic!("not yet"));
    }
    let grown = resident_bytes().saturating_sub(before);
    framer.push(b"\n<13>next\n", &mut |message, cut| out.push((message.len(), cut)));
    assert_eq!(out, [(FRAME_BYTES_MAX, true), (8, false)]);
    assert!(grown < 16 << 20, "{} MiB more", grown >> 20);
}
