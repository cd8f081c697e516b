//! `mihari parse`: records to one flat JSON object a line, in input order.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use event::limits::BATCH_BYTES_MAX;
use event::{BatchBuilder, Clock, Content, EventRef, Frame, FrameHead, Frames, LogRange, Position, Time, Transport};
use ingest::capture::Capture;
use ingest::decode::flow::FlowDecoder;
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};
use serde::Deserialize;

use crate::clock::SystemClock;
use crate::config;
use crate::loaded::decode_settings;

/// Arguments of `mihari parse`.
#[derive(Args, Debug)]
pub(crate) struct Parse {
    /// Read every record as this format
    #[arg(long)]
    format: Option<String>,
    /// Read case files: a JSON object with `id` and `raw` a line; prints `{"id","event"}`
    #[arg(long)]
    cases: Option<PathBuf>,
    /// The time zone of records that do not state theirs; without it Asia/Tokyo, and UTC for case files
    #[arg(long)]
    time_zone: Option<String>,
    /// Files and folders of format descriptions, besides the shipped ones
    #[arg(long)]
    formats: Vec<PathBuf>,
    /// Print what devices counted (sFlow's counter samples) too, not records of traffic alone
    #[arg(long)]
    metrics: bool,
    /// Records without a year lie nearest to this instant; without it, to the file's age
    #[arg(long)]
    reference: Option<Time>,
    /// Captures; standard input where none is named
    files: Vec<PathBuf>,
}

/// The instant that stamps without a year are nearest to: the file's last change.
pub(crate) fn reference_of(path: &Path) -> Time {
    let modified = std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let since = modified.and_then(|m| m.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or_else(|| SystemClock.now(), |d| Time::from_unix_ns(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
}

pub(crate) fn run(args: &Parse) -> Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    if let Some(path) = &args.cases {
        cases(args, path, &mut out)?;
    } else {
        let stdin = [PathBuf::from("-")];
        for path in if args.files.is_empty() { &stdin[..] } else { &args.files } {
            file(args, path, &mut out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &Parse, path: &Path) -> Result<Arc<DecodeSettings>> {
    let mut decode = config::Decode { formats: args.formats.clone(), ..config::Decode::default() };
    if let Some(zone) = args.time_zone.as_deref().or(args.cases.is_some().then_some("UTC")) {
        zone.clone_into(&mut decode.time_zone);
    }
    let settings = decode_settings(&decode, &[], args.reference.unwrap_or_else(|| reference_of(path)))?;
    if let Some(format) = &args.format {
        let known = settings.formats();
        if !known.contains(&format.as_str()) {
            bail!("no format is named {format:?}; known: {}", known.join(", "));
        }
    }
    Ok(settings)
}

#[derive(Deserialize)]
struct Case {
    id: serde_json::value::Value,
    raw: String,
}

fn cases(args: &Parse, path: &Path, out: &mut impl Write) -> Result<()> {
    let file = std::fs::File::open(path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut decoder = TextDecoder::new(&settings(args, path)?);
    let mut builder = BatchBuilder::default();
    let (mut text, mut writer) = (Vec::new(), event::json::Writer::default());
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let case: Case =
            serde_json::from_str(&line).with_context(|| format!("{}: line {} is no case", path.display(), at + 1))?;
        let head = FrameHead {
            position: Position { partition: 0, offset: at as u64 + 1 },
            ..FrameHead::new(Transport::File, Content::Text)
        };
        decoder.decode_as(Frame { head, bytes: case.raw.as_bytes() }, args.format.as_deref(), &mut builder);
        let batch = builder.finish(LogRange::default(), Time::UNKNOWN);
        text.clear();
        writer.write(batch.event(0), &mut text);
        write!(out, "{{\"id\":{},\"event\":", case.id)?;
        text.extend_from_slice(b"}\n");
        out.write_all(&text)?;
    }
    Ok(())
}

fn file(args: &Parse, path: &Path, out: &mut impl Write) -> Result<()> {
    let mut capture = Capture::open(path)?;
    let mut text_decoder = TextDecoder::new(&settings(args, path)?);
    let mut flow_decoder = FlowDecoder::default();
    let mut frames = Frames::default();
    let mut builder = BatchBuilder::default();
    let mut offset = 0;
    let (mut text, mut writer) = (Vec::new(), event::json::Writer::default());
    loop {
        frames.clear();
        let read = capture.read(&mut frames, BATCH_BYTES_MAX);
        for head in frames.heads_mut() {
            offset += 1;
            head.position.offset = offset;
        }
        for frame in frames.iter() {
            match frame.head.content {
                Content::Flow => flow_decoder.decode(frame, &mut builder),
                _ => text_decoder.decode_as(frame, args.format.as_deref(), &mut builder),
            }
        }
        let batch = builder.finish(LogRange::default(), Time::UNKNOWN);
        let is_counted = |event: &EventRef<'_>| event.log_source() == FlowDecoder::counters();
        for event in batch.iter().filter(|event| args.metrics || !is_counted(event)) {
            text.clear();
            writer.write(event, &mut text);
            text.push(b'\n');
            out.write_all(&text)?;
        }
        if read? == 0 {
            return Ok(());
        }
    }
}
