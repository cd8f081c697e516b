//! Terms one after the other.
//!
//! The documents that have the rarest term are candidates; the rest of the query narrows them first. Where many are left, the lists of all
//! terms are gone through side by side, a window at a time, positions and all: a few steps a document instead of a search in each list.

use std::io;

use tantivy::directory::CompositeFile;
use tantivy::index::{InvertedIndexReader, SegmentComponent};
use tantivy::positions::PositionReader;
use tantivy::postings::{BlockSegmentPostings, Postings as _, SegmentPostings, TermInfo};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet, SegmentReader, TERMINATED};

use crate::node::Postings;
use crate::window::Bits;

/// Up to so many candidates in a window each is searched for in the lists.
const FEW: u32 = 64;

/// A phrase.
pub(crate) struct Phrase {
    terms: Vec<Postings>,
    /// The places of [`Phrase::terms`], the rarest first.
    order: Vec<usize>,
    /// The rarest term's documents, read ahead of its positions.
    lead: Option<SegmentPostings>,
    /// Where the positions of the terms' field lie.
    positions_of: CompositeFile,
    field: Field,
    /// The terms' lists as they are gone through, in the order of [`Phrase::order`].
    lists: Vec<List>,
    starts: Vec<u32>,
    positions: Vec<u32>,
    /// Documents of the window and where in them the phrase may begin.
    begun: Vec<(u32, u32)>,
    going_on: Vec<(u32, u32)>,
}

impl Phrase {
    /// `terms` in the order of the phrase, with positions.
    pub(crate) fn new(terms: Vec<Postings>, segment: &SegmentReader, field: Field) -> tantivy::Result<Phrase> {
        let mut order: Vec<usize> = (0..terms.len()).collect();
        order.sort_by_key(|at| terms[*at].info().doc_freq);
        let positions_of = CompositeFile::open(&segment.open_read(SegmentComponent::Positions)?)?;
        Ok(Phrase {
            terms,
            order,
            lead: None,
            positions_of,
            field,
            lists: Vec::new(),
            starts: Vec::new(),
            positions: Vec::new(),
            begun: Vec::new(),
            going_on: Vec::new(),
        })
    }

    /// How many documents have the rarest term.
    pub(crate) fn rarest(&self) -> u64 {
        self.order.first().map_or(0, |at| u64::from(self.terms[*at].info().doc_freq))
    }

    /// Begins anew, before the first window.
    pub(crate) fn rewind(&mut self) {
        self.lead = None;
        self.lists.clear();
        self.terms.iter_mut().for_each(Postings::rewind);
    }

    /// A document from `from` on before which there is no match.
    pub(crate) fn next(&mut self, from: DocId) -> io::Result<DocId> {
        let mut at = from;
        for term in &mut self.terms {
            at = at.max(term.seek(from)?);
        }
        Ok(at)
    }

    /// The documents of the window that have the rarest term.
    pub(crate) fn candidates(&mut self, start: DocId, len: u32, out: &mut Bits) -> io::Result<()> {
        let Some(rarest) = self.order.first() else { return Ok(()) };
        let list = match &mut self.lead {
            Some(list) => list,
            None => self.lead.insert(self.terms[*rarest].documents()?),
        };
        let mut doc = if list.doc() < start { list.seek(start) } else { list.doc() };
        while doc < start + len {
            out.set(doc - start);
            doc = list.advance();
        }
        Ok(())
    }

    /// Keeps of `bits` the documents that have the phrase.
    pub(crate) fn keep(&mut self, start: DocId, len: u32, bits: &mut Bits) -> io::Result<()> {
        let candidates = bits.count();
        if candidates > FEW {
            return self.keep_many(start, len, bits);
        }
        let mut failed = None;
        bits.retain(|at| match self.holds(start + at) {
            Ok(holds) => holds,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(()), Err)
    }

    /// Whether one document has the phrase.
    fn holds(&mut self, doc: DocId) -> io::Result<bool> {
        for at in &self.order {
            if self.terms[*at].seek(doc)? != doc {
                return Ok(false);
            }
        }
        self.starts.clear();
        for (n, at) in self.order.iter().enumerate() {
            let list = if n == 0 { &mut self.starts } else { &mut self.positions };
            list.clear();
            let offset = offset(self.order.len(), *at);
            self.terms[*at].cursor()?.append_positions_with_offset(offset, list);
            if n > 0 {
                let mut theirs = self.positions.iter().peekable();
                self.starts.retain(|own| {
                    while theirs.next_if(|their| *their < own).is_some() {}
                    theirs.peek() == Some(&own)
                });
            }
            if self.starts.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// As [`Phrase::keep`], for many.
    fn keep_many(&mut self, start: DocId, len: u32, bits: &mut Bits) -> io::Result<()> {
        if self.lists.is_empty() {
            for at in &self.order {
                let (index, info) = self.terms[*at].list();
                self.lists.push(List::open(index, info, &self.positions_of, self.field)?);
            }
        }
        self.begun.clear();
        for (n, (list, at)) in self.lists.iter_mut().zip(&self.order).enumerate() {
            let offset = offset(self.terms.len(), *at);
            self.going_on.clear();
            if n == 0 {
                list.window(start, len, bits, offset, |place| self.going_on.push(place));
            } else {
                // Both in order: what was begun and goes on here.
                let mut begun = self.begun.iter().copied().peekable();
                list.window(start, len, bits, offset, |place| {
                    while begun.next_if(|own| *own < place).is_some() {}
                    if begun.next_if_eq(&place).is_some() {
                        self.going_on.push(place);
                    }
                });
            }
            std::mem::swap(&mut self.begun, &mut self.going_on);
            let mut left = Bits::none();
            self.begun.iter().for_each(|(at, _)| left.set(*at));
            bits.and(&left);
            if bits.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// What is added to the positions of the term at `at`, so that those of one phrase are the same: where the phrase would begin, moved on by
/// its length to stay positive.
pub(crate) fn offset(terms: usize, at: usize) -> u32 {
    (terms - at) as u32
}

/// One term's documents and positions, gone through in order.
struct List {
    blocks: BlockSegmentPostings,
    positions: PositionReader,
    /// Positions in the blocks before.
    before: u64,
    deltas: Vec<u32>,
}

impl List {
    fn open(index: &InvertedIndexReader, info: &TermInfo, positions: &CompositeFile, field: Field) -> io::Result<List> {
        let blocks = index.read_block_postings_from_terminfo(info, IndexRecordOption::WithFreqsAndPositions)?;
        let bytes = match positions.open_read(field) {
            Some(file) => file.slice(info.positions_range.clone()).read_bytes()?,
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, "the words have no positions")),
        };
        Ok(List { blocks, positions: PositionReader::open(bytes)?, before: 0, deltas: Vec::new() })
    }

    /// Calls `each` with the place in the window and the position, `offset` added, of every occurrence in a document of `bits`.
    fn window(&mut self, start: DocId, len: u32, bits: &Bits, offset: u32, mut each: impl FnMut((u32, u32))) {
        let end = start + len;
        loop {
            let docs = self.blocks.docs();
            let Some(last) = docs.last().copied() else { return };
            let freqs = self.blocks.freqs();
            if last >= start {
                let (from, to) = (docs.partition_point(|doc| *doc < start), docs.partition_point(|doc| *doc < end));
                let sum = |freqs: &[u32]| freqs.iter().map(|n| u64::from(*n)).sum::<u64>();
                if docs[from..to].iter().any(|doc| bits.has(doc - start)) {
                    self.deltas.resize(sum(&freqs[from..to]) as usize, 0);
                    self.positions.read(self.before + sum(&freqs[..from]), &mut self.deltas);
                    let mut at = 0;
                    for (doc, freq) in docs[from..to].iter().zip(&freqs[from..to]) {
                        let next = at + *freq as usize;
                        if bits.has(doc - start) {
                            let mut position = offset;
                            for delta in &self.deltas[at..next] {
                                position += delta;
                                each((doc - start, position));
                            }
                        }
                        at = next;
                    }
                }
                if to < docs.len() {
                    return; // The rest of the block is of later windows.
                }
            }
            self.before += self.blocks.freqs().iter().map(|n| u64::from(*n)).sum::<u64>();
            self.blocks.advance();
            if self.blocks.docs().first().is_none_or(|doc| *doc == TERMINATED) {
                return;
            }
        }
    }
}
