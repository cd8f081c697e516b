//! Looking into the messages of candidates, which are read from their records again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event::EventId;
use tantivy::DocId;
use tantivy::columnar::ColumnValues;

use crate::Messages;
use crate::query::Reading;
use crate::window::Bits;

/// Where a search reads messages, and of how many it could not.
#[derive(Clone, Default)]
pub(crate) struct Reader {
    messages: Option<Arc<dyn Messages>>,
    unread: Arc<AtomicU64>,
}

impl Reader {
    pub(crate) fn new(messages: Option<&Arc<dyn Messages>>) -> Reader {
        Reader { messages: messages.cloned(), unread: Arc::default() }
    }

    /// Messages that would have been looked into, and whose records are gone or cannot be read.
    pub(crate) fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }
}

/// A test of the messages of documents. It comes after everything else that can tell.
pub(crate) struct ReadMessages {
    reader: Reader,
    reading: Reading,
    seq: Arc<dyn ColumnValues<u64>>,
    nth: Arc<dyn ColumnValues<u64>>,
}

impl ReadMessages {
    pub(crate) fn new(
        reader: &Reader,
        reading: &Reading,
        (seq, nth): (Arc<dyn ColumnValues<u64>>, Arc<dyn ColumnValues<u64>>),
    ) -> ReadMessages {
        ReadMessages { reader: reader.clone(), reading: reading.clone(), seq, nth }
    }

    /// Keeps of the window's `bits` the documents whose message is so; one that cannot be read is not.
    pub(crate) fn keep(&self, start: DocId, bits: &mut Bits) {
        let (mut ids, mut fits): (Vec<EventId>, Vec<bool>) = (Vec::new(), Vec::new());
        let id = |doc: DocId| EventId {
            frame: event::Position { partition: 0, offset: self.seq.get_val(doc) },
            nth: self.nth.get_val(doc) as u16,
        };
        bits.each(|at| ids.push(id(start + at)));
        fits.resize(ids.len(), false);
        let mut read = 0u64;
        if let Some(messages) = &self.reader.messages {
            let look = &mut |at: usize, texts: &[String]| {
                read += 1;
                fits[at] = texts.iter().any(|text| self.reading.holds(text));
            };
            if let Err(error) = messages.of_all(&ids, look) {
                tracing::warn!(%error, "failed to read messages that a query looks into");
            }
        }
        self.reader.unread.fetch_add(ids.len() as u64 - read, Ordering::Relaxed);
        let mut fits = fits.into_iter();
        bits.retain(|_| fits.next() == Some(true));
    }
}
