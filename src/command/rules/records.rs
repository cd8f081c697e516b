//! Records and captures as the program reads them, for rules to be run over.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use event::limits::BATCH_BYTES_MAX;
use event::{Batch, BatchBuilder, Clock, Content, Frame, FrameHead, Frames, LogRange, Position, Time, Transport};
use ingest::capture::Capture;
use ingest::decode::Decoder;
use ingest::decode::flow::FlowDecoder;
use ingest::decode::text::TextDecoder;
use rules::cases::Records;

use crate::clock::SystemClock;
use crate::config;

/// The events of a record as it was received; there is at least one.
pub(super) fn record(text: &str) -> Result<Batch> {
    let settings = crate::loaded::decode_settings(&config::Decode::default(), &[], SystemClock.now())?;
    let head = FrameHead { position: Position { partition: 0, offset: 1 }, ..FrameHead::new(Transport::File, Content::Text) };
    let mut builder = BatchBuilder::default();
    TextDecoder::new(&settings).decode(Frame { head, bytes: text.as_bytes() }, &mut builder);
    let batch = builder.finish(LogRange { partition: 0, first: 1, last: 1 }, Time::UNKNOWN);
    ensure!(!batch.is_empty(), "the record is empty");
    Ok(batch)
}

/// Gives `each` the events of a capture in batches; an event's offset is the number of its record, from 1.
pub(super) fn capture(path: &Path, mut each: impl FnMut(Batch)) -> Result<()> {
    let reference = crate::command::parse::reference_of(path);
    let mut text = TextDecoder::new(&crate::loaded::decode_settings(&config::Decode::default(), &[], reference)?);
    let (mut flows, mut capture) = (FlowDecoder::default(), Capture::open(path)?);
    let (mut frames, mut builder, mut offset) = (Frames::default(), BatchBuilder::default(), 0);
    loop {
        frames.clear();
        let more = capture.read(&mut frames, BATCH_BYTES_MAX)? > 0;
        for head in frames.heads_mut() {
            offset += 1;
            head.position.offset = offset;
        }
        for frame in frames.iter() {
            match frame.head.content {
                Content::Flow => flows.decode(frame, &mut builder),
                _ => text.decode(frame, &mut builder),
            }
        }
        each(builder.finish(LogRange::default(), Time::UNKNOWN));
        if !more {
            return Ok(());
        }
    }
}

/// Reads what the cases of the file at this path name.
pub(super) struct Beside<'p>(pub(super) &'p Path);

impl Records for Beside<'_> {
    fn record(&self, text: &str) -> Result<Batch, String> {
        record(text).map_err(|error| format!("{error:#}"))
    }

    fn capture(&self, name: &str, each: &mut dyn FnMut(&Batch)) -> Result<(), String> {
        let path = self.0.with_file_name(name);
        let read = capture(&path, |batch| each(&batch)).with_context(|| format!("failed to read {}", path.display()));
        read.map_err(|error| format!("{error:#}"))
    }
}
