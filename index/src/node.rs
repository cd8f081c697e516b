//! A query over one segment, answered window by window.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use regex::Regex;
use tantivy::columnar::{Column, ColumnIndex, DynamicColumn, StrColumn};
use tantivy::index::InvertedIndexReader;
use tantivy::postings::{SegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DateTime, DocId, DocSet, TERMINATED};

use crate::fold::folded;
use crate::phrase::Phrase;
use crate::reader::ReadMessages;
use crate::shown::show;
use crate::window::{Bits, SegmentBits};

/// Up to so many candidates in a window it pays to look at each, rather than to read the whole window.
const FEW: u32 = 64;
/// How many looks into a column reading a message is worth.
const READ_COST: u64 = 1000;

/// A part of a query. Windows are asked for in ascending order; [`Node::rewind`] begins anew.
pub(crate) enum Node {
    All,
    Nothing,
    Bits(SegmentBits),
    Term(Postings),
    Phrase(Phrase),
    Column(ColumnTest),
    /// What is told by messages, which are read from the journal.
    Read(ReadMessages),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
}

impl Node {
    /// All of these.
    pub(crate) fn and(parts: Vec<Node>, max_doc: DocId) -> Node {
        let mut kept = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Node::All => {}
                Node::Nothing => return Node::Nothing,
                Node::And(inner) => kept.extend(inner),
                part => kept.push(part),
            }
        }
        // The fewest first; what can only narrow last.
        kept.sort_by_key(|part| part.cost(max_doc));
        match kept.len() {
            0 => Node::All,
            1 => kept.remove(0),
            _ => Node::And(kept),
        }
    }

    /// One of these.
    pub(crate) fn or(parts: Vec<Node>) -> Node {
        let mut kept = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Node::All => return Node::All,
                Node::Nothing => {}
                Node::Or(inner) => kept.extend(inner),
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Node::Nothing,
            1 => kept.remove(0),
            _ => Node::Or(kept),
        }
    }

    /// Not this.
    pub(crate) fn negate(part: Node) -> Node {
        match part {
            Node::All => Node::Nothing,
            Node::Nothing => Node::All,
            Node::Not(inner) => *inner,
            part => Node::Not(Box::new(part)),
        }
    }

    /// Whether messages are read for it: it comes last.
    fn reads(&self) -> bool {
        match self {
            Node::Read(_) => true,
            Node::And(parts) | Node::Or(parts) => parts.iter().any(Node::reads),
            Node::Not(inner) => inner.reads(),
            _ => false,
        }
    }

    /// How much work it is to go through it: the documents that are looked at.
    fn cost(&self, max_doc: DocId) -> u64 {
        let all = u64::from(max_doc);
        match self {
            Node::All => all,
            Node::Nothing => 0,
            Node::Bits(bits) => bits.count(),
            Node::Term(postings) => u64::from(postings.info.doc_freq),
            Node::Phrase(phrase) => 4 * phrase.rarest(),
            Node::Column(_) => all + 1,
            Node::Read(_) => READ_COST * (all + 1),
            Node::And(parts) => parts.iter().map(|p| p.cost(max_doc)).min().unwrap_or(0),
            Node::Or(parts) => parts.iter().fold(0, |sum: u64, p| sum.saturating_add(p.cost(max_doc))),
            // What can only narrow comes after what can be gone through.
            Node::Not(_) => u64::MAX,
        }
    }

    /// How many documents match, where that is known without looking.
    pub(crate) fn known_count(&self, max_doc: DocId) -> Option<u64> {
        match self {
            Node::All => Some(u64::from(max_doc)),
            Node::Nothing => Some(0),
            Node::Bits(bits) => Some(bits.count()),
            Node::Term(postings) => Some(u64::from(postings.info.doc_freq)),
            Node::Not(inner) => inner.known_count(max_doc).map(|n| u64::from(max_doc) - n),
            _ => None,
        }
    }

    /// Begins anew, before the first window.
    pub(crate) fn rewind(&mut self) {
        match self {
            Node::All | Node::Nothing | Node::Bits(_) | Node::Column(_) | Node::Read(_) => {}
            Node::Term(postings) => postings.rewind(),
            Node::Phrase(phrase) => phrase.rewind(),
            Node::And(parts) | Node::Or(parts) => parts.iter_mut().for_each(Node::rewind),
            Node::Not(inner) => inner.rewind(),
        }
    }

    /// A document from `from` on before which there is no match; [`TERMINATED`]: none from there on.
    pub(crate) fn next(&mut self, from: DocId) -> io::Result<DocId> {
        Ok(match self {
            Node::All | Node::Column(_) | Node::Read(_) | Node::Not(_) => from,
            Node::Nothing => TERMINATED,
            Node::Bits(bits) => bits.next(from).unwrap_or(TERMINATED),
            Node::Term(postings) => postings.seek(from)?,
            Node::Phrase(phrase) => phrase.next(from)?,
            Node::And(parts) => {
                let mut at = from;
                for part in parts {
                    at = at.max(part.next(from)?);
                }
                at
            }
            Node::Or(parts) => {
                let mut at = TERMINATED;
                for part in parts {
                    at = at.min(part.next(from)?);
                }
                at
            }
        })
    }

    /// Adds the matches of the window that begins at `start` and holds `len` documents.
    pub(crate) fn fill(&mut self, start: DocId, len: u32, out: &mut Bits) -> io::Result<()> {
        match self {
            Node::All => out.set_range(0, len),
            Node::Nothing => {}
            Node::Bits(bits) => out.or(&bits.window(start)),
            Node::Term(postings) => postings.fill(start, len, out)?,
            Node::Phrase(phrase) => {
                let mut found = Bits::none();
                phrase.candidates(start, len, &mut found)?;
                phrase.keep(start, len, &mut found)?;
                out.or(&found);
            }
            Node::Column(test) => test.fill(start, len, out)?,
            Node::And(parts) => {
                let mut found = Bits::none();
                for (n, part) in parts.iter_mut().enumerate() {
                    match part {
                        // Its positions are looked at when the others have said which.
                        Node::Phrase(phrase) if n == 0 => phrase.candidates(start, len, &mut found)?,
                        part if n == 0 && part.reads() => found.set_range(0, len),
                        part if n == 0 => part.fill(start, len, &mut found)?,
                        Node::Phrase(_) => {}
                        part if part.reads() => {}
                        part => part.keep(start, len, &mut found)?,
                    }
                    if found.is_empty() {
                        return Ok(());
                    }
                }
                for part in parts.iter_mut() {
                    if let Node::Phrase(phrase) = part {
                        phrase.keep(start, len, &mut found)?;
                    }
                }
                for part in parts.iter_mut().filter(|part| part.reads()) {
                    part.keep(start, len, &mut found)?;
                }
                out.or(&found);
            }
            Node::Or(parts) => {
                for part in parts.iter_mut().filter(|part| !part.reads()) {
                    part.fill(start, len, out)?;
                }
                // Only what nothing else has said of is worth reading.
                for part in parts.iter_mut().filter(|part| part.reads()) {
                    let mut left = Bits::first(len);
                    left.without(out);
                    part.keep(start, len, &mut left)?;
                    out.or(&left);
                }
            }
            Node::Read(read) => {
                let mut found = Bits::first(len);
                read.keep(start, &mut found);
                out.or(&found);
            }
            Node::Not(inner) => {
                let mut found = Bits::first(len);
                inner.drop_from(start, len, &mut found)?;
                out.or(&found);
            }
        }
        Ok(())
    }

    /// Keeps of `bits` what matches.
    fn keep(&mut self, start: DocId, len: u32, bits: &mut Bits) -> io::Result<()> {
        match self {
            Node::All => {}
            Node::Not(inner) => inner.drop_from(start, len, bits)?,
            Node::Term(postings) if bits.count() <= FEW => postings.keep(start, bits)?,
            Node::Phrase(phrase) => phrase.keep(start, len, bits)?,
            Node::Column(ColumnTest::Same(test)) => test.keep(start, bits)?,
            Node::Column(test) if bits.count() <= FEW => test.keep(start, bits)?,
            Node::Read(read) => read.keep(start, bits),
            Node::And(parts) => {
                for reads in [false, true] {
                    for part in parts.iter_mut().filter(|part| part.reads() == reads) {
                        part.keep(start, len, bits)?;
                    }
                }
            }
            Node::Or(parts) if parts.iter().any(Node::reads) => {
                let (mut found, mut left) = (Bits::none(), bits.clone());
                for reads in [false, true] {
                    for part in parts.iter_mut().filter(|part| part.reads() == reads) {
                        let mut these = left.clone();
                        part.keep(start, len, &mut these)?;
                        left.without(&these);
                        found.or(&these);
                    }
                }
                *bits = found;
            }
            _ => {
                let mut found = Bits::none();
                self.fill(start, len, &mut found)?;
                bits.and(&found);
            }
        }
        Ok(())
    }

    /// Takes out of `bits` what matches.
    fn drop_from(&mut self, start: DocId, len: u32, bits: &mut Bits) -> io::Result<()> {
        let mut found = bits.clone();
        self.keep(start, len, &mut found)?;
        bits.without(&found);
        Ok(())
    }
}

/// The documents that have one term.
pub(crate) struct Postings {
    index: Arc<InvertedIndexReader>,
    info: TermInfo,
    option: IndexRecordOption,
    cursor: Option<SegmentPostings>,
}

impl Postings {
    pub(crate) fn new(index: Arc<InvertedIndexReader>, info: TermInfo, option: IndexRecordOption) -> Postings {
        Postings { index, info, option, cursor: None }
    }

    /// The term's documents and what is known of them.
    pub(crate) fn info(&self) -> &TermInfo {
        &self.info
    }

    /// Where the list lies.
    pub(crate) fn list(&self) -> (&InvertedIndexReader, &TermInfo) {
        (&self.index, &self.info)
    }

    /// The documents alone, from the first one on.
    pub(crate) fn documents(&self) -> io::Result<SegmentPostings> {
        self.index.read_postings_from_terminfo(&self.info, IndexRecordOption::Basic)
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) {
        self.cursor = None;
    }

    pub(crate) fn cursor(&mut self) -> io::Result<&mut SegmentPostings> {
        if self.cursor.is_none() {
            self.cursor = Some(self.index.read_postings_from_terminfo(&self.info, self.option)?);
        }
        Ok(self.cursor.as_mut().expect("it was just set"))
    }

    pub(crate) fn seek(&mut self, target: DocId) -> io::Result<DocId> {
        let cursor = self.cursor()?;
        Ok(if cursor.doc() < target { cursor.seek(target) } else { cursor.doc() })
    }

    fn fill(&mut self, start: DocId, len: u32, out: &mut Bits) -> io::Result<()> {
        let mut doc = self.seek(start)?;
        let end = start + len;
        let cursor = self.cursor()?;
        while doc < end {
            out.set(doc - start);
            doc = cursor.advance();
        }
        Ok(())
    }

    fn keep(&mut self, start: DocId, bits: &mut Bits) -> io::Result<()> {
        let cursor = self.cursor()?;
        bits.retain(|at| {
            let target = start + at;
            (if cursor.doc() < target { cursor.seek(target) } else { cursor.doc() }) == target
        });
        Ok(())
    }

    /// Sets every document of the list.
    pub(crate) fn all_into(self, bits: &mut SegmentBits) -> io::Result<()> {
        let mut cursor = self.documents()?;
        while cursor.doc() != TERMINATED {
            bits.set(cursor.doc());
            cursor.advance();
        }
        Ok(())
    }
}

/// A test of the values in a column.
pub(crate) enum ColumnTest {
    I64(Column<i64>, RangeInclusive<i64>),
    U64(Column<u64>, RangeInclusive<u64>),
    F64(Column<f64>, RangeInclusive<f64>),
    Bool(Column<bool>, bool),
    Time(Column<DateTime>, RangeInclusive<DateTime>),
    Ip(Column<std::net::Ipv6Addr>, RangeInclusive<std::net::Ipv6Addr>),
    /// A code of a dictionary that is in the set.
    Codes(Column<u64>, CodeSet),
    /// There is a value.
    Has(ColumnIndex),
    /// The value as it is shown fits the pattern.
    Shown(Box<Shown>),
    /// The value is this text.
    Same(Box<SameText>),
}

/// A text that values are compared with without case, with what is known of the codes seen so far: for candidates, not for all documents.
pub(crate) struct SameText {
    column: StrColumn,
    wanted: String,
    known: HashMap<u64, bool>,
}

impl SameText {
    /// `wanted`: folded.
    pub(crate) fn test(column: StrColumn, wanted: &str) -> ColumnTest {
        ColumnTest::Same(Box::new(SameText { column, wanted: wanted.to_owned(), known: HashMap::new() }))
    }

    fn keep(&mut self, start: DocId, bits: &mut Bits) -> io::Result<()> {
        let SameText { column, wanted, known } = self;
        let (mut failed, mut text) = (None, String::new());
        bits.retain(|at| {
            column.ords().values_for_doc(start + at).any(|code| {
                if let Some(same) = known.get(&code) {
                    return *same;
                }
                text.clear();
                let same = column.ord_to_str(code, &mut text).map(|found| found && folded(&text) == *wanted);
                let same = same.unwrap_or_else(|error| {
                    failed = Some(error);
                    false
                });
                if known.len() < KNOWN_MAX {
                    known.insert(code, same);
                }
                same
            })
        });
        failed.map_or(Ok(()), Err)
    }
}

/// A pattern over values that have no dictionary, with what is known of the values seen so far.
pub(crate) struct Shown {
    column: DynamicColumn,
    regex: Regex,
    fold: Fold,
    known: HashMap<String, bool>,
}

/// Values whose answer a pattern remembers.
const KNOWN_MAX: usize = 100_000;

impl Shown {
    pub(crate) fn test(column: DynamicColumn, regex: Regex, fold: Fold) -> ColumnTest {
        ColumnTest::Shown(Box::new(Shown { column, regex, fold, known: HashMap::new() }))
    }

    fn keep(&mut self, start: DocId, bits: &mut Bits) -> io::Result<()> {
        let Shown { column, regex, fold, known } = self;
        let mut failed = None;
        bits.retain(|at| {
            let mut found = false;
            let done = show(column, start + at, |text| {
                found = found
                    || known.get(text).copied().unwrap_or_else(|| {
                        let fits = match fold {
                            Fold::AsWritten => regex.is_match(text),
                            Fold::Folded => regex.is_match(&folded(text)),
                        };
                        if known.len() < KNOWN_MAX {
                            known.insert(text.to_owned(), fits);
                        }
                        fits
                    });
            });
            failed = failed.take().or(done.err());
            found
        });
        failed.map_or(Ok(()), Err)
    }
}

/// How a shown value is put before a pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fold {
    AsWritten,
    Folded,
}

/// Codes of a dictionary.
pub(crate) struct CodeSet(Vec<u64>);

impl CodeSet {
    pub(crate) fn new(codes: u64) -> CodeSet {
        CodeSet(vec![0; codes.div_ceil(64) as usize])
    }

    pub(crate) fn insert(&mut self, code: u64) {
        self.0[code as usize / 64] |= 1 << (code % 64);
    }

    fn contains(&self, code: u64) -> bool {
        self.0.get(code as usize / 64).is_some_and(|w| w >> (code % 64) & 1 == 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }
}

impl ColumnTest {
    fn fill(&mut self, start: DocId, len: u32, out: &mut Bits) -> io::Result<()> {
        let window = start..start + len;
        let mut docs: Vec<DocId> = Vec::new();
        match self {
            ColumnTest::I64(column, range) => in_range(column, range, window, &mut docs),
            ColumnTest::U64(column, range) => in_range(column, range, window, &mut docs),
            ColumnTest::F64(column, range) => in_range(column, range, window, &mut docs),
            ColumnTest::Bool(column, wanted) => in_range(column, &(*wanted..=*wanted), window, &mut docs),
            ColumnTest::Time(column, range) => in_range(column, range, window, &mut docs),
            ColumnTest::Ip(column, range) => in_range(column, range, window, &mut docs),
            ColumnTest::Codes(column, set) => {
                let rows = column.index.docid_range_to_rowids(window);
                let mut codes = [0u64; 256];
                for first in rows.clone().step_by(codes.len()) {
                    let codes = &mut codes[..((rows.end - first) as usize).min(256)];
                    column.values.get_range(u64::from(first), codes);
                    docs.extend(codes.iter().zip(first..).filter(|(code, _)| set.contains(**code)).map(|(_, row)| row));
                }
                column.index.select_batch_in_place(start, &mut docs);
            }
            ColumnTest::Has(ColumnIndex::Full) => out.set_range(0, len),
            ColumnTest::Has(index) => {
                docs.extend(index.docid_range_to_rowids(window));
                index.select_batch_in_place(start, &mut docs);
            }
            ColumnTest::Shown(..) | ColumnTest::Same(..) => {
                let mut bits = Bits::first(len);
                self.keep(start, &mut bits)?;
                out.or(&bits);
            }
        }
        docs.iter().for_each(|doc| out.set(doc - start));
        Ok(())
    }

    fn keep(&mut self, start: DocId, bits: &mut Bits) -> io::Result<()> {
        match self {
            ColumnTest::I64(c, range) => bits.retain(|at| c.values_for_doc(start + at).any(|v| range.contains(&v))),
            ColumnTest::U64(c, range) => bits.retain(|at| c.values_for_doc(start + at).any(|v| range.contains(&v))),
            ColumnTest::F64(c, range) => bits.retain(|at| c.values_for_doc(start + at).any(|v| range.contains(&v))),
            ColumnTest::Bool(c, wanted) => bits.retain(|at| c.values_for_doc(start + at).any(|v| v == *wanted)),
            ColumnTest::Time(c, range) => bits.retain(|at| c.values_for_doc(start + at).any(|v| range.contains(&v))),
            ColumnTest::Ip(c, range) => bits.retain(|at| c.values_for_doc(start + at).any(|v| range.contains(&v))),
            ColumnTest::Codes(c, set) => bits.retain(|at| c.values_for_doc(start + at).any(|code| set.contains(code))),
            ColumnTest::Has(index) => bits.retain(|at| index.has_value(start + at)),
            ColumnTest::Shown(shown) => return shown.keep(start, bits),
            ColumnTest::Same(same) => return same.keep(start, bits),
        }
        Ok(())
    }
}

/// The documents of the window with a value in `range`. The engine takes a range that ends below the smallest value for that value
/// (tantivy-columnar 0.27, `transform_range_before_linear_transformation`), so such a range is not asked for.
fn in_range<T: Copy + PartialOrd + std::fmt::Debug + Send + Sync + 'static>(
    column: &Column<T>,
    range: &RangeInclusive<T>,
    window: std::ops::Range<DocId>,
    docs: &mut Vec<DocId>,
) {
    if *range.end() >= column.min_value() && *range.start() <= column.max_value() {
        column.get_docids_for_value_range(range.clone(), window, docs);
    }
}

/// Compares an integer with a number that may have a fraction, exactly.
pub(crate) fn compare(n: i128, with: f64) -> Ordering {
    let floor = with.floor();
    match n.cmp(&(floor as i128)) {
        Ordering::Equal if with > floor => Ordering::Less,
        ordering => ordering,
    }
}
