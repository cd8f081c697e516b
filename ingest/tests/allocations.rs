//! No allocation per event: once a decoder has seen a format, a record of it costs none.
//!
//! The cases of every description are decoded until buffers and tables have grown, then counted. `cargo test -p ingest --test allocations
//! -- --nocapture` prints what each format costs.

#![expect(clippy::print_stdout, reason = "the counts")]

mod described;

use std::path::Path;
use std::sync::Arc;

use described::Description;
use event::{BatchBuilder, Content, Frame, FrameHead, LogRange, Position, Time, Transport};
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};

/// 2026-04-01 09:00 in Japan.
const REFERENCE_S: i64 = 1_775_001_600;
/// How often a format's cases are decoded before they are counted: buffers have grown, names are known.
const WARM_UP: usize = 4;
/// How often they are decoded while they are counted: what a batch costs, whatever its events, is a small part of it then.
const COUNTED: usize = 40;
/// Allocations that one event may cost: those of the batch, divided by its events.
const PER_EVENT_MAX: f64 = 0.1;

fn decode(decoder: &mut TextDecoder, builder: &mut BatchBuilder, lines: &[String]) {
    for (at, line) in lines.iter().enumerate() {
        let head = FrameHead {
            position: Position { partition: 0, offset: at as u64 + 1 },
            received: Time::from_unix_s(REFERENCE_S),
            ..FrameHead::new(Transport::File, Content::Text)
        };
        decoder.decode(Frame { head, bytes: line.as_bytes() }, builder);
    }
}

#[test]
fn a_record_of_a_known_format_costs_no_allocation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("formats");
    let settings = Arc::new(DecodeSettings::new("Asia/Tokyo", Time::from_unix_s(REFERENCE_S)).expect("a known zone"));
    let mut decoder = TextDecoder::new(&settings);
    let mut found: Vec<(f64, String)> = Vec::new();
    for file in std::fs::read_dir(folder).expect("the formats are here") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let description: Description = serde_saphyr::from_str(&text).expect("a description");
        let lines: Vec<String> = description.cases.into_iter().map(|case| case.raw).collect();
        if lines.is_empty() {
            continue;
        }
        // One batch all the way: it grows while it is not counted.
        let mut builder = BatchBuilder::default();
        for _ in 0..WARM_UP {
            // More than will be counted: the batch has room.
            for _ in 0..2 * COUNTED {
                decode(&mut decoder, &mut builder, &lines);
            }
            builder.finish(LogRange::default(), Time::UNKNOWN);
        }
        let counted = allocation_counter::measure(|| {
            for _ in 0..COUNTED {
                decode(&mut decoder, &mut builder, &lines);
            }
        });
        found.push((counted.count_total as f64 / (COUNTED * lines.len()) as f64, description.name));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (count, name) in found.iter().filter(|(count, _)| *count > 0.0) {
        println!("{name}: {count:.2} allocations an event");
    }
    println!("{} formats, {} without any allocation", found.len(), found.iter().filter(|(count, _)| *count == 0.0).count());
    let beyond: Vec<_> = found.iter().filter(|(count, _)| *count > PER_EVENT_MAX).collect();
    assert!(beyond.is_empty(), "more than {PER_EVENT_MAX} allocations an event: {beyond:?}");
}
