//! Several captures as one, by time of receipt. A text capture does not know it: there it is the latest event time up to the line, which
//! takes a first decoding where there are several captures to be put in order.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use event::{BatchBuilder, Content, Frames, LogRange, Time};
use ingest::capture::Capture;
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};

/// Bytes read ahead of each capture.
const AHEAD_BYTES: usize = 256 * 1024;

/// Captures being read.
pub(super) struct Inputs {
    inputs: Vec<Input>,
    decoder: TextDecoder,
    single: bool,
}

struct Input {
    capture: Capture,
    ahead: Frames,
    next: usize,
    clock: Time,
    ended: bool,
}

impl Inputs {
    pub(super) fn open(paths: &[PathBuf], settings: &Arc<DecodeSettings>) -> Result<Inputs> {
        let mut inputs = Vec::new();
        for path in paths {
            let capture = Capture::open(path)?;
            inputs.push(Input { capture, ahead: Frames::default(), next: 0, clock: Time::UNKNOWN, ended: false });
        }
        Ok(Inputs { single: inputs.len() == 1, inputs, decoder: TextDecoder::new(settings) })
    }

    /// Fills `out` up to `bytes_max`; false when all captures have ended.
    pub(super) fn read(&mut self, out: &mut Frames, bytes_max: usize) -> Result<bool> {
        if self.single {
            return Ok(self.inputs[0].capture.read(out, bytes_max)? > 0);
        }
        while out.byte_len() < bytes_max {
            for input in &mut self.inputs {
                input.fill(&mut self.decoder)?;
            }
            let first = self.inputs.iter().enumerate().filter_map(|(at, i)| Some((i.ahead.get(i.next)?.head.received, at))).min();
            let Some((_, at)) = first else { return Ok(false) };
            let input = &mut self.inputs[at];
            if let Some(frame) = input.ahead.get(input.next) {
                out.push(frame.head, frame.bytes);
            }
            input.next += 1;
        }
        Ok(true)
    }
}

impl Input {
    fn fill(&mut self, decoder: &mut TextDecoder) -> Result<()> {
        if self.ended || self.next < self.ahead.len() {
            return Ok(());
        }
        self.ahead.clear();
        self.next = 0;
        self.ended = self.capture.read(&mut self.ahead, AHEAD_BYTES)? == 0;
        let mut builder = BatchBuilder::default();
        let mut times = Vec::with_capacity(self.ahead.len());
        for frame in self.ahead.iter() {
            if frame.head.received != Time::UNKNOWN || frame.head.content != Content::Text {
                times.push(frame.head.received);
                continue;
            }
            decoder.decode(frame, &mut builder);
            times.push(builder.finish(LogRange::default(), Time::UNKNOWN).event(0).time());
        }
        for (head, time) in self.ahead.heads_mut().zip(times) {
            self.clock = self.clock.max(time);
            head.received = self.clock;
        }
        Ok(())
    }
}
