//! The log, decoded again: for backtests, and for the messages of hits.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Reading, Reread, Store};
use event::limits::BATCH_BYTES_MAX;
use event::{Batch, BatchBuilder, Content, EventId, FieldId, Frame, Frames, LogRange, Time, Value};
use index::Messages;
use ingest::decode::community;
use ingest::decode::flow::FlowDecoder;
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};
use ingest::log::{Fetched, Journal, Reader};
use rules::policy::Policy;

use crate::pipeline::Current;

/// The journal, and how it is read.
pub(crate) struct JournalAgain {
    pub(crate) journal: Arc<Journal>,
    pub(crate) settings: Arc<DecodeSettings>,
    pub(crate) current: Current,
    /// Has the flow decoder's templates.
    pub(crate) store: Store,
}

impl Reread for JournalAgain {
    fn begin(&self) -> io::Result<Box<dyn Reading>> {
        let mut flows = FlowDecoder::default();
        let templates = self.store.snapshot("templates").map_err(io::Error::other)?;
        // Without templates, packets that need them are told as such, as when they came.
        let known = templates.is_none_or(|bytes| flows.restore(&bytes));
        if !known {
            tracing::warn!("the flow templates could not be read for a backtest");
        }
        Ok(Box::new(Again {
            journal: self.journal.clone(),
            text: TextDecoder::new(&self.settings),
            flows,
            policy: self.current.get().policy.clone(),
            community_id: self.settings.community_id,
            builder: BatchBuilder::default(),
            packets: 0,
            onwards: None,
        }))
    }
}

struct Again {
    journal: Arc<Journal>,
    text: TextDecoder,
    flows: FlowDecoder,
    policy: Option<Arc<Policy>>,
    community_id: bool,
    builder: BatchBuilder,
    packets: u64,
    /// Where reading from one end to the other stands.
    onwards: Option<Reader>,
}

impl Again {
    fn decode(&mut self, frame: Frame<'_>) {
        match frame.head.content {
            Content::Text => self.text.decode(frame, &mut self.builder),
            Content::Flow => {
                self.packets += 1;
                self.flows.decode(frame, &mut self.builder);
            }
            Content::Released => self.text.decode_released(frame, &mut self.builder),
            Content::Tick | Content::Loss | Content::Mark | Content::Tombstone => {}
        }
    }

    fn end(&mut self, part: &Part) -> Batch {
        self.finish(part.first.unwrap_or(0), part.last, part.received)
    }

    fn finish(&mut self, first: u64, last: u64, received: Time) -> Batch {
        let mut batch = self.builder.finish(LogRange { partition: 0, first, last }, received);
        if let Some(policy) = &self.policy {
            policy.annotate(&mut batch);
        }
        if self.community_id {
            community::annotate(&mut batch);
        }
        batch
    }
}

/// The frames of one batch, as they are fetched: no more bytes than a batch of the pipeline has room for, or records would be left out.
struct Part {
    frames: u64,
    bytes: usize,
    first: Option<u64>,
    last: u64,
    received: Time,
}

impl Default for Part {
    fn default() -> Part {
        Part { frames: 0, bytes: 0, first: None, last: 0, received: Time::UNKNOWN }
    }
}

impl Part {
    fn add(&mut self, found: &Fetched) {
        let offset = found.head.position.offset;
        self.frames += 1;
        self.bytes += found.bytes.len();
        self.first = self.first.or(Some(offset));
        (self.last, self.received) = (offset, found.head.received);
    }
}

impl Reading for Again {
    fn frames(&mut self, offsets: &[u64], each: &mut dyn FnMut(Batch, u64)) -> io::Result<()> {
        let journal = self.journal.clone();
        let mut part = Part::default();
        journal
            .fetch_all(offsets, |found| {
                if part.bytes + found.bytes.len() > BATCH_BYTES_MAX {
                    each(self.end(&part), part.frames);
                    part = Part::default();
                }
                part.add(found);
                self.decode(found.frame());
            })
            .map_err(io::Error::other)?;
        if part.frames > 0 {
            each(self.end(&part), part.frames);
        }
        Ok(())
    }

    fn onwards(&mut self, offset: u64) -> io::Result<Option<(Batch, u64)>> {
        let mut reader = match self.onwards.take().filter(|reader| reader.next_offset() == offset) {
            Some(reader) => reader,
            None => self.journal.reader(offset),
        };
        let mut frames = Frames::default();
        if reader.read(&mut frames, BATCH_BYTES_MAX, Duration::ZERO).map_err(io::Error::other)? == 0 {
            return Ok(None);
        }
        let next = reader.next_offset();
        self.onwards = Some(reader);
        let (mut first, mut last) = (None, None);
        for frame in frames.iter() {
            first = first.or(Some(frame.head.position.offset));
            last = Some(frame.head);
            self.decode(frame);
        }
        let received = last.map_or(Time::UNKNOWN, |head| head.received);
        let batch = self.finish(first.unwrap_or(offset), last.map_or(offset, |head| head.position.offset), received);
        Ok(Some((batch, next)))
    }

    fn flows(&self) -> u64 {
        self.packets
    }
}

/// The messages of events, from their records. One decoder for all who ask: a record takes some microseconds.
pub(crate) struct MessagesAgain {
    journal: Arc<Journal>,
    decoder: Mutex<(TextDecoder, BatchBuilder)>,
}

impl MessagesAgain {
    pub(crate) fn new(journal: &Arc<Journal>, settings: &Arc<DecodeSettings>) -> MessagesAgain {
        let decoder = Mutex::new((TextDecoder::new(settings), BatchBuilder::default()));
        MessagesAgain { journal: journal.clone(), decoder }
    }
}

impl MessagesAgain {
    /// The batch of one record; none where it is none of text.
    fn decoded(&self, found: &Fetched) -> Option<Batch> {
        let (decoder, builder) = &mut *self.decoder.lock().expect("no code panics under this lock");
        match found.head.content {
            Content::Text => decoder.decode(found.frame(), builder),
            Content::Released => decoder.decode_released(found.frame(), builder),
            // Packets have no text.
            Content::Flow | Content::Tick | Content::Loss | Content::Mark | Content::Tombstone => return None,
        }
        Some(builder.finish(LogRange::default(), found.head.received))
    }
}

/// The messages of the event of this number.
fn messages_of(batch: &Batch, nth: u16) -> Vec<String> {
    let event = batch.iter().find(|event| event.id().nth == nth);
    let texts = event.iter().flat_map(|event| event.all(FieldId::MESSAGE)).filter_map(|value| match value {
        Value::Text(text) => Some(text.to_owned()),
        _ => None,
    });
    texts.collect()
}

impl Messages for MessagesAgain {
    fn messages(&self, id: EventId) -> io::Result<Vec<String>> {
        let Some(found) = self.journal.fetch(id.frame).map_err(io::Error::other)? else { return Ok(Vec::new()) };
        Ok(self.decoded(&found).map_or_else(Vec::new, |batch| messages_of(&batch, id.nth)))
    }

    fn of_all(&self, ids: &[EventId], each: &mut dyn FnMut(usize, &[String])) -> io::Result<()> {
        let mut offsets: Vec<u64> = ids.iter().map(|id| id.frame.offset).collect();
        offsets.dedup();
        let mut at = 0;
        let fetched = self.journal.fetch_all(&offsets, |found| {
            let offset = found.head.position.offset;
            at += ids[at..].partition_point(|id| id.frame.offset < offset);
            let same = ids[at..].iter().take_while(|id| id.frame.offset == offset).count();
            if let Some(batch) = self.decoded(found) {
                (at..at + same).for_each(|place| each(place, &messages_of(&batch, ids[place].nth)));
            }
            at += same;
        });
        fetched.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use event::limits::{BATCH_TEXT_BYTES_MAX, FRAME_BYTES_MAX};
    use event::{FrameHead, Transport};
    use ingest::log::JournalOptions;

    use super::*;
    use crate::clock::SystemClock;
    use crate::pipeline::InForce;

    #[test]
    fn more_than_a_batch_has_room_for_is_read_again_whole() {
        const RECORDS: usize = BATCH_TEXT_BYTES_MAX / FRAME_BYTES_MAX + 8;
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(SystemClock);
        let (journal, _) = Journal::open(&dir.path().join("journal"), JournalOptions::default(), clock.clone()).expect("opens");
        let record = |n: usize| format!("<38>Apr  1 09:00:00 host app: number {n} {}", "x".repeat(FRAME_BYTES_MAX - 60));
        for n in 0..RECORDS {
            let mut frames = Frames::default();
            frames.push(FrameHead::new(Transport::Tcp, Content::Text), record(n).as_bytes());
            journal.appender().append_blocking(frames).expect("appended");
        }
        journal.sync().expect("synced");
        let (rules, _) = rules::load(&[], &rules::LoadOptions::default());
        let again = JournalAgain {
            journal: Arc::new(journal),
            settings: Arc::new(DecodeSettings::new("UTC", Time::from_unix_s(1_775_001_600)).expect("a zone")),
            current: Current::new(Arc::new(InForce { rules: Arc::new(rules), policy: None })),
            store: Store::open(&dir.path().join("store"), clock).expect("opens"),
        };
        let offsets: Vec<u64> = (1..=again.journal.durable()).collect();
        let (mut whole, mut frames) = (Vec::new(), 0);
        let each = &mut |batch: Batch, of: u64| {
            assert!(batch.iter().map(|event| event.raw().len()).sum::<usize>() <= BATCH_BYTES_MAX);
            whole.extend(batch.iter().map(|event| event.raw().to_owned()));
            frames += of;
        };
        again.begin().expect("begins").frames(&offsets, each).expect("reads");
        assert_eq!(whole.len(), RECORDS);
        assert!(whole.iter().enumerate().all(|(n, raw)| *raw == record(n)), "each as it was received");
        assert!(frames >= RECORDS as u64);
    }
}
