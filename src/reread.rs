//! The log, decoded again: for backtests, and for the messages of hits.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Reading, Reread, Store};
use event::limits::BATCH_BYTES_MAX;
use event::{Batch, BatchBuilder, Content, EventId, FieldId, Frame, Frames, LogRange, Time, Value};
use index::Messages;
use ingest::decode::flow::FlowDecoder;
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};
use ingest::log::{Fetched, Journal, Reader};
use rules::policy::Policy;

/// The journal, and how it is read.
pub(crate) struct JournalAgain {
    pub(crate) journal: Arc<Journal>,
    pub(crate) settings: Arc<DecodeSettings>,
    pub(crate) policy: Option<Arc<Policy>>,
    /// Has the flow decoder's templates.
    pub(crate) store: Store,
}

impl Reread for JournalAgain {
    fn begin(&self) -> io::Result<Box<dyn Reading>> {
        let mut flows = FlowDecoder::default();
        let resume = self.store.resume().map_err(io::Error::other)?;
        // Without templates, packets that need them are told as such, as when they came.
        let templates = resume.snapshots.iter().find(|(name, _)| name == "templates");
        let known = templates.is_none_or(|(_, bytes)| flows.restore(bytes));
        if !known {
            tracing::warn!("the flow templates could not be read for a backtest");
        }
        Ok(Box::new(Again {
            journal: self.journal.clone(),
            text: TextDecoder::new(&self.settings),
            flows,
            policy: self.policy.clone(),
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

    fn finish(&mut self, first: u64, last: u64, received: Time) -> Batch {
        let mut batch = self.builder.finish(LogRange { partition: 0, first, last }, received);
        if let Some(policy) = &self.policy {
            policy.annotate(&mut batch);
        }
        batch
    }
}

impl Reading for Again {
    fn frames(&mut self, offsets: &[u64]) -> io::Result<Batch> {
        let mut received = Time::UNKNOWN;
        let journal = self.journal.clone();
        let each = |found: &Fetched| {
            received = found.head.received;
            self.decode(found.frame());
        };
        journal.fetch_all(offsets, each).map_err(io::Error::other)?;
        let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
        Ok(self.finish(first, last, received))
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

impl Messages for MessagesAgain {
    fn messages(&self, id: EventId) -> io::Result<Vec<String>> {
        let Some(found) = self.journal.fetch(id.frame).map_err(io::Error::other)? else { return Ok(Vec::new()) };
        let (decoder, builder) = &mut *self.decoder.lock().expect("no code panics under this lock");
        match found.head.content {
            Content::Text => decoder.decode(found.frame(), builder),
            Content::Released => decoder.decode_released(found.frame(), builder),
            // Packets have no text.
            Content::Flow | Content::Tick | Content::Loss | Content::Mark | Content::Tombstone => return Ok(Vec::new()),
        }
        let batch = builder.finish(LogRange::default(), found.head.received);
        let event = batch.iter().find(|event| event.id().nth == id.nth);
        let texts = event.iter().flat_map(|event| event.all(FieldId::MESSAGE)).filter_map(|value| match value {
            Value::Text(text) => Some(text.to_owned()),
            _ => None,
        });
        Ok(texts.collect())
    }
}
