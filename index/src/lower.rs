//! From a query to what one segment does for it.
//!
//! Patterns go through the dictionary of the words or of the column, which is far shorter than the documents; the matching terms become
//! one set of documents, the matching codes one set of codes. Everything else is a list of documents or a scan of a column.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use event::Time;
use tantivy::columnar::{Column, DynamicColumn};
use tantivy::index::InvertedIndexReader;
use tantivy::postings::TermInfo;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DateTime, TantivyError, Term};

use crate::IndexError;
use crate::document::LONG_BYTES;
use crate::fold::folded;
use crate::node::{CodeSet, ColumnTest, Fold, Node, Postings, SameText, Shown, compare};
use crate::phrase::Phrase;
use crate::query::{Query, Scalar, Test, Word, beginning, reach};
use crate::reader::{ReadMessages, Reader};
use crate::row::{WORDS_MAX, apart, in_a_row, near};
use crate::schema::{Kind, Layout, is_time_field, v6, write_term};
use crate::segment::Segment;
use crate::shard::Shard;
use crate::tokens::{WORD_BYTES_MAX, asked_words, leading_part, lone_wide, words};
use crate::vocabulary::Vocabulary;
use crate::window::SegmentBits;

/// Lists of documents that are read side by side; more become one set beforehand.
const LISTS_MAX: usize = 32;
/// Words that are looked up one by one; where more fit a pattern, going through the whole dictionary (some 0.1 µs a word) is less work.
const LOOKED_UP_MAX: usize = 256;
/// Terms or values between two looks at whether to stop.
pub(crate) const LOOK_EVERY: usize = 16_384;

/// What stands between a query and its parts of one segment.
pub(crate) struct Lowering<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) segment: &'a Segment,
    /// The names that the shard keeps without a column of their own.
    pub(crate) rest: &'a BTreeSet<String>,
    pub(crate) reader: &'a Reader,
    pub(crate) stop: &'a dyn Fn() -> bool,
}

/// Why there is no answer.
pub(crate) enum Unable {
    /// It was told to stop.
    Stopped,
    /// It would take more than the limits allow: what of it, for people.
    TooMuch(&'static str),
    Engine(TantivyError),
}

impl Unable {
    /// As a fault of the index, in this shard; none where it was told to stop.
    pub(crate) fn fault(self, shard: &Shard) -> Option<IndexError> {
        match self {
            Unable::Stopped => None,
            Unable::TooMuch(what) => Some(IndexError::Refused(what.to_owned())),
            Unable::Engine(source) => Some(shard.fault("search", source)),
        }
    }
}

impl From<TantivyError> for Unable {
    fn from(error: TantivyError) -> Unable {
        Unable::Engine(error)
    }
}

impl From<io::Error> for Unable {
    fn from(error: io::Error) -> Unable {
        Unable::Engine(error.into())
    }
}

type Lowered = Result<Node, Unable>;

impl Lowering<'_> {
    pub(crate) fn query(&self, query: &Query) -> Lowered {
        let max_doc = self.segment.max_doc();
        Ok(match query {
            Query::All => Node::All,
            Query::And(all) => {
                let parts = all.iter().map(|q| self.query(q)).collect::<Result<Vec<_>, _>>()?;
                Node::and(parts, max_doc)
            }
            Query::Or(any) => self.any(any.iter().map(|q| self.query(q)).collect::<Result<Vec<_>, _>>()?)?,
            Query::Not(inner) => Node::negate(self.query(inner)?),
            Query::Words(text) => self.words(text)?,
            Query::WordsPrefix(text) => self.row(&beginning(text))?,
            Query::WordsLike(row) => self.row(row)?,
            Query::WordsApart(rows) => self.rows_apart(rows)?,
            Query::WordsNear(words, distance) => {
                let mut lists = Vec::with_capacity(words.len());
                for word in words {
                    let term = Term::from_field_text(self.layout.words, word);
                    match self.term(&term, IndexRecordOption::WithFreqsAndPositions)? {
                        Some(postings) => lists.push(postings),
                        None => return Ok(Node::Nothing),
                    }
                }
                let bits = near(lists, *distance, max_doc, self.stop)?;
                if bits.is_empty() { Node::Nothing } else { Node::Bits(bits) }
            }
            Query::Message(reading) => {
                let read = ReadMessages::new(self.reader, reading, (self.segment.seq.clone(), self.segment.nth.clone()));
                let parts = vec![self.query(&reading.asked)?, self.message(&Test::Exists)?, Node::Read(read)];
                Node::and(parts, max_doc)
            }
            Query::Ids(ids) => {
                let mut bits = SegmentBits::none(max_doc);
                for id in ids {
                    let nth = |doc: &u32| self.segment.nth.get_val(*doc) == u64::from(id.nth);
                    self.segment.documents_of(id.frame.offset).filter(nth).for_each(|doc| bits.set(doc));
                }
                if bits.is_empty() { Node::Nothing } else { Node::Bits(bits) }
            }
            Query::WordPart(part) => self.words_where(("", part), true, &|_| true)?,
            Query::Field(name, test) if is_time_field(name) => {
                let column = self.segment.reader.fast_fields().date(if name == "@timestamp" { "time" } else { "received" })?;
                self.column(DynamicColumn::DateTime(column), test)?
            }
            Query::Field(name, test) => self.field(name, test)?,
        })
    }

    /// One of these: many lists of documents become one set.
    fn any(&self, parts: Vec<Node>) -> Lowered {
        let lists = parts.iter().filter(|p| matches!(p, Node::Term(_))).count();
        if lists <= LISTS_MAX {
            return Ok(Node::or(parts));
        }
        let mut bits = SegmentBits::none(self.segment.max_doc());
        let mut others = Vec::new();
        for part in parts {
            match part {
                Node::Term(postings) => postings.all_into(&mut bits)?,
                other => others.push(other),
            }
        }
        others.push(Node::Bits(bits));
        Ok(Node::or(others))
    }

    fn inverted(&self, field: Field) -> Result<Arc<InvertedIndexReader>, Unable> {
        Ok(self.segment.reader.inverted_index(field)?)
    }

    fn term(&self, term: &Term, option: IndexRecordOption) -> Result<Option<Postings>, Unable> {
        let index = self.inverted(term.field())?;
        Ok(self.segment.term(&index, term)?.map(|info| Postings::new(index, info, option)))
    }

    /// The documents with this value of the field, however it is written.
    fn exact(&self, name: &str, text: &str) -> Lowered {
        let mut parts = Vec::new();
        let mut term = String::new();
        for text in spellings(text) {
            write_term(name, &text, &mut term);
            let found = self.term(&Term::from_field_text(self.layout.terms, &term), IndexRecordOption::Basic)?;
            parts.extend(found.map(Node::Term));
        }
        Ok(Node::or(parts))
    }

    /// The documents with this long value of the field that have no term for it: their records have its words.
    fn long(&self, name: &str, text: &str, in_rest: bool) -> Lowered {
        let mut terms = BTreeSet::new();
        words(text, |word| terms.extend([word.to_owned()]));
        let mut all = Vec::with_capacity(terms.len() + 1);
        for word in terms {
            match self.term(&Term::from_field_text(self.layout.words, &word), IndexRecordOption::Basic)? {
                Some(postings) => all.push(Node::Term(postings)),
                None => return Ok(Node::Nothing),
            }
        }
        let columns = self.segment.columns(self.layout, name, in_rest)?.into_iter().filter_map(|column| match column {
            DynamicColumn::Str(column) => Some(Node::Column(SameText::test(column, text))),
            _ => None,
        });
        all.push(Node::or(columns.collect()));
        Ok(Node::and(all, self.segment.max_doc()))
    }

    fn words(&self, text: &str) -> Lowered {
        let wanted = asked_words(text);
        if let Some(c) = lone_wide(&wanted) {
            return self.word_pattern(("", c.encode_utf8(&mut [0; 4])), &|_| true);
        }
        let terms: Vec<Term> = wanted.iter().map(|word| Term::from_field_text(self.layout.words, word)).collect();
        let phrase = match terms.len() {
            0 => Node::Nothing,
            1 => self.term(&terms[0], IndexRecordOption::Basic)?.map_or(Node::Nothing, Node::Term),
            _ => {
                let mut lists = Vec::with_capacity(terms.len());
                for term in &terms {
                    match self.term(term, IndexRecordOption::WithFreqsAndPositions)? {
                        Some(postings) => lists.push(postings),
                        None => break,
                    }
                }
                if lists.len() == terms.len() {
                    Node::Phrase(Phrase::new(lists, &self.segment.reader, self.layout.words)?)
                } else {
                    Node::Nothing
                }
            }
        };
        match leading_part(text) {
            Some(start) => {
                let begun = self.word_pattern((&start, ""), &|word| word.starts_with(&start))?;
                self.any(vec![phrase, begun])
            }
            None => Ok(phrase),
        }
    }

    /// The documents with words of these forms one after the other.
    fn row(&self, row: &[Word]) -> Lowered {
        if let [Word::Like(pattern)] = row {
            return self.word_pattern(pattern.literals(), &|word| pattern.regex.is_match(word));
        }
        let Some(lists) = self.lists(row)? else { return Ok(Node::Nothing) };
        let bits = in_a_row(lists, self.segment.max_doc(), self.stop)?;
        Ok(if bits.is_empty() { Node::Nothing } else { Node::Bits(bits) })
    }

    /// The documents with these rows of words, each somewhere behind the one before.
    fn rows_apart(&self, rows: &[Vec<Word>]) -> Lowered {
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(lists) = self.lists(row)? else { return Ok(Node::Nothing) };
            all.push((lists, reach(row)));
        }
        let bits = apart(all, self.segment.max_doc(), self.stop)?;
        Ok(if bits.is_empty() { Node::Nothing } else { Node::Bits(bits) })
    }

    /// The lists of the words that each of these stands for; none where one stands for none.
    fn lists(&self, row: &[Word]) -> Result<Option<Vec<Vec<Postings>>>, Unable> {
        let mut places = Vec::with_capacity(row.len());
        for word in row {
            let mut lists = Vec::new();
            match word {
                Word::Is(word) => {
                    let term = Term::from_field_text(self.layout.words, word);
                    lists.extend(self.term(&term, IndexRecordOption::WithFreqsAndPositions)?);
                }
                Word::Like(pattern) => {
                    let (index, fits) = (self.inverted(self.layout.words)?, |word: &str| pattern.regex.is_match(word));
                    self.each_word(&index, pattern.literals(), false, &fits, &mut |info| {
                        lists.push(Postings::new(index.clone(), info, IndexRecordOption::WithFreqsAndPositions));
                        if lists.len() > WORDS_MAX {
                            return Err(Unable::TooMuch(
                                "a part of the pattern stands for too many words: give more letters of it",
                            ));
                        }
                        Ok(())
                    })?;
                }
            }
            if lists.is_empty() {
                return Ok(None);
            }
            places.push(lists);
        }
        Ok(Some(places))
    }

    /// The documents with a word for which `fits` says yes; every such word begins with `start` and holds `inner`.
    fn word_pattern(&self, literals: (&str, &str), fits: &dyn Fn(&str) -> bool) -> Lowered {
        self.words_where(literals, false, fits)
    }

    /// As [`Lowering::word_pattern`]; where `or_long`, also those with a word whose end was left out.
    fn words_where(&self, literals: (&str, &str), or_long: bool, fits: &dyn Fn(&str) -> bool) -> Lowered {
        let index = self.inverted(self.layout.words)?;
        let mut found = Lists { bits: SegmentBits::none(self.segment.max_doc()), lists: Vec::new() };
        self.each_word(&index, literals, or_long, fits, &mut |info| {
            Ok(found.add(Postings::new(index.clone(), info, IndexRecordOption::Basic))?)
        })?;
        Ok(found.node())
    }

    /// Calls `found` with each word of the segment for which `fits` says yes; every such word begins with `start` and holds `inner`. Where
    /// `or_long`, also with those whose ends were left out.
    fn each_word(
        &self,
        index: &InvertedIndexReader,
        (start, inner): (&str, &str),
        or_long: bool,
        fits: &dyn Fn(&str) -> bool,
        found: &mut dyn FnMut(TermInfo) -> Result<(), Unable>,
    ) -> Result<(), Unable> {
        let fits = |word: &[u8]| std::str::from_utf8(word).is_ok_and(fits);
        if start.is_empty()
            && let Some(vocabulary) = self.segment.vocabulary(|| Vocabulary::read(index.terms(), self.stop))?
        {
            let (mut gone, mut stopped, mut matching) = (0, false, Vec::new());
            let term = |word: &[u8]| Term::from_field_text(self.layout.words, &String::from_utf8_lossy(word));
            if or_long {
                vocabulary.long().for_each(|word| matching.push(term(word)));
            }
            vocabulary.holding(inner, |word| {
                if fits(word) {
                    matching.push(term(word));
                }
                gone += 1;
                stopped = gone % LOOK_EVERY == 0 && (self.stop)();
                Ok(!stopped && matching.len() <= LOOKED_UP_MAX)
            })?;
            if stopped {
                return Err(Unable::Stopped);
            }
            if matching.len() <= LOOKED_UP_MAX {
                for term in matching {
                    if let Some(info) = self.segment.term(index, &term)? {
                        found(info)?;
                    }
                }
                return Ok(());
            }
        }
        let mut range = index.terms().range().ge(start.as_bytes());
        if let Some(end) = after_all(start.as_bytes()) {
            range = range.lt(end);
        }
        let finder = memchr::memmem::Finder::new(inner);
        let mut stream = range.into_stream()?;
        let mut gone = 0;
        while stream.advance() {
            gone += 1;
            if gone % LOOK_EVERY == 0 && (self.stop)() {
                return Err(Unable::Stopped);
            }
            let word = stream.key();
            if or_long && word.len() >= WORD_BYTES_MAX || finder.find(word).is_some() && fits(word) {
                found(stream.value().clone())?;
            }
        }
        Ok(())
    }

    fn field(&self, name: &str, test: &Test) -> Lowered {
        let (kind, _) = self.layout.kind(name);
        if kind == Kind::Message {
            return self.message(test);
        }
        let in_rest = self.rest.contains(name);
        let mut parts = Vec::new();
        // What is listed exactly needs no column.
        if let Test::Is(text) = test
            && (in_rest || matches!(kind, Kind::Ip | Kind::Keyword))
        {
            parts.push(self.exact(name, text)?);
            if kind != Kind::Ip && text.len() >= LONG_BYTES {
                parts.push(self.long(name, text, in_rest)?);
            }
        }
        match (kind, test) {
            (Kind::Ip | Kind::Keyword, Test::Is(_)) => {}
            (Kind::Rest, ..) => {}
            _ => {
                for column in self.segment.columns(self.layout, name, false)? {
                    parts.push(self.column(column, test)?);
                }
            }
        }
        if in_rest {
            let handles = self.segment.reader.fast_fields().dynamic_column_handles(&format!("{}.{name}", crate::schema::REST))?;
            for handle in handles {
                let column = handle.open()?;
                if !(matches!(column, DynamicColumn::Str(_)) && matches!(test, Test::Is(_))) {
                    parts.push(self.column(column, test)?);
                }
            }
        }
        Ok(Node::or(parts))
    }

    /// A test of `message`: a test of the record's words.
    fn message(&self, test: &Test) -> Lowered {
        match test {
            Test::Exists => {
                let columns = self.segment.columns(self.layout, crate::schema::MESSAGE, false)?;
                Ok(Node::or(columns.into_iter().map(|c| Node::Column(ColumnTest::Has(c.into_column_index()))).collect()))
            }
            Test::Is(text) => self.words(text),
            Test::Glob(pattern) => self.word_pattern(pattern.literals(), &|word| pattern.regex.is_match(word)),
            Test::Regex(regex) => self.word_pattern(("", ""), &|word| regex.is_match(word)),
            Test::Network(low, high) => {
                self.word_pattern(("", ""), &|word| word.parse().is_ok_and(|ip| (*low..=*high).contains(&v6(ip))))
            }
            Test::Near(near) => self.word_pattern(("", ""), &|word| near.holds(word)),
            Test::Range(..) | Test::OfText(_) => Ok(Node::Nothing),
        }
    }

    /// A test of the values of one column.
    fn column(&self, column: DynamicColumn, test: &Test) -> Lowered {
        let scan = |test| Ok(Node::Column(test));
        match (test, column) {
            (Test::Exists, column) => scan(ColumnTest::Has(column.into_column_index())),
            (Test::OfText(test), DynamicColumn::Str(column)) => self.dictionary(&column, test),
            (test, DynamicColumn::Str(column)) => self.dictionary(&column, test),
            (Test::OfText(_) | Test::Near(_), _) => Ok(Node::Nothing),
            (Test::Glob(pattern), DynamicColumn::IpAddr(column)) => match glob_network(&pattern.glob) {
                Some((low, high)) => scan(ColumnTest::Ip(column, low.into()..=high.into())),
                None => scan(Shown::test(DynamicColumn::IpAddr(column), pattern.regex.clone(), Fold::Folded)),
            },
            (Test::Glob(pattern), column) => scan(Shown::test(column, pattern.regex.clone(), Fold::Folded)),
            (Test::Regex(regex), column) => scan(Shown::test(column, regex.clone(), Fold::AsWritten)),
            (Test::Network(low, high), DynamicColumn::IpAddr(column)) => scan(ColumnTest::Ip(column, *low..=*high)),
            (Test::Is(text), DynamicColumn::Bool(column)) => {
                text.parse().map_or(Ok(Node::Nothing), |wanted| scan(ColumnTest::Bool(column, wanted)))
            }
            (Test::Is(text), DynamicColumn::DateTime(column)) => {
                instant(text).map_or(Ok(Node::Nothing), |time| scan(times(column, time, time)))
            }
            (Test::Is(text), column) => Ok(Scalar::number(text).map_or(Node::Nothing, |number| {
                let end = Bound::Included(number);
                numbers(column, &number_range(&end, &end))
            })),
            (Test::Range(low, high), DynamicColumn::DateTime(column)) => {
                Ok(time_range(low, high).map_or(Node::Nothing, |(low, high)| Node::Column(times(column, low, high))))
            }
            (Test::Range(low, high), DynamicColumn::IpAddr(column)) => Ok(ip_range(low, high)
                .map_or(Node::Nothing, |(low, high)| Node::Column(ColumnTest::Ip(column, low.into()..=high.into())))),
            (Test::Range(low, high), column) => Ok(numbers(column, &number_range(low, high))),
            (Test::Network(..), _) => Ok(Node::Nothing),
        }
    }

    /// A test of a column of texts: its dictionary says which codes match.
    fn dictionary(&self, column: &tantivy::columnar::StrColumn, test: &Test) -> Lowered {
        let fits: Box<dyn Fn(&str) -> bool> = match test {
            Test::Glob(pattern) => Box::new(|v| pattern.regex.is_match(&folded(v))),
            Test::Regex(regex) => Box::new(|v| regex.is_match(v)),
            Test::Network(low, high) => Box::new(|v| v.parse().is_ok_and(|ip| (*low..=*high).contains(&v6(ip)))),
            Test::Range(low, high) => Box::new(|v| text_within(v, low, true) && text_within(v, high, false)),
            Test::Is(text) => Box::new(|v| folded(v) == *text),
            Test::Near(near) => Box::new(|v| near.holds(&folded(v))),
            Test::Exists | Test::OfText(_) => Box::new(|_| true),
        };
        let dictionary = column.dictionary();
        let mut set = CodeSet::new(dictionary.num_terms() as u64);
        let mut stream = dictionary.stream()?;
        let mut code = 0u64;
        while stream.advance() {
            if code as usize % LOOK_EVERY == LOOK_EVERY - 1 && (self.stop)() {
                return Err(Unable::Stopped);
            }
            if std::str::from_utf8(stream.key()).is_ok_and(&fits) {
                set.insert(code);
            }
            code += 1;
        }
        Ok(if set.is_empty() { Node::Nothing } else { Node::Column(ColumnTest::Codes(column.ords().clone(), set)) })
    }
}

/// Lists of documents; many become one set.
struct Lists {
    bits: SegmentBits,
    lists: Vec<Postings>,
}

impl Lists {
    fn add(&mut self, list: Postings) -> std::io::Result<()> {
        self.lists.push(list);
        if self.lists.len() > LISTS_MAX {
            self.lists.drain(..).try_for_each(|list| list.all_into(&mut self.bits))?;
        }
        Ok(())
    }

    /// What is in one of them.
    fn node(self) -> Node {
        let mut parts: Vec<Node> = self.lists.into_iter().map(Node::Term).collect();
        if !self.bits.is_empty() {
            parts.push(Node::Bits(self.bits));
        }
        Node::or(parts)
    }
}

/// What comes after everything that begins with `start`.
fn after_all(start: &[u8]) -> Option<Vec<u8>> {
    let mut end = start.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

fn times(column: Column<DateTime>, low: Time, high: Time) -> ColumnTest {
    let date = |time: Time| DateTime::from_timestamp_nanos(time.unix_ns());
    ColumnTest::Time(column, date(low)..=date(high))
}

/// The texts that a query's text means: itself, and an address or an instant as we write it.
pub(crate) fn spellings(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    let address = text.parse::<IpAddr>().map(|ip| ip.to_canonical().to_string());
    all.extend(address.ok().or_else(|| instant(text).map(|time| time.to_string().to_lowercase())).filter(|t| t != text));
    all
}

/// The instant that a query's text names, as a value compares with it.
pub(crate) fn instant(text: &str) -> Option<Time> {
    text.to_uppercase().parse().ok()
}

fn time_range(low: &Bound<Scalar>, high: &Bound<Scalar>) -> Option<(Time, Time)> {
    let low = match low {
        Bound::Unbounded => Time::MIN,
        Bound::Included(Scalar::Time(t)) => *t,
        Bound::Excluded(Scalar::Time(t)) => Time::from_unix_ns(t.unix_ns().checked_add(1)?),
        _ => return None,
    };
    let high = match high {
        Bound::Unbounded => Time::MAX,
        Bound::Included(Scalar::Time(t)) => *t,
        Bound::Excluded(Scalar::Time(t)) => Time::from_unix_ns(t.unix_ns().checked_sub(1)?),
        _ => return None,
    };
    Some((low, high))
}

fn ip_range(low: &Bound<Scalar>, high: &Bound<Scalar>) -> Option<(u128, u128)> {
    let low = match low {
        Bound::Unbounded => 0,
        Bound::Included(Scalar::Ip(ip)) => ip.to_bits(),
        Bound::Excluded(Scalar::Ip(ip)) => ip.to_bits().checked_add(1)?,
        _ => return None,
    };
    let high = match high {
        Bound::Unbounded => u128::MAX,
        Bound::Included(Scalar::Ip(ip)) => ip.to_bits(),
        Bound::Excluded(Scalar::Ip(ip)) => ip.to_bits().checked_sub(1)?,
        _ => return None,
    };
    (low <= high).then_some((low, high))
}

/// A range of numbers, as integers and as floating-point numbers.
struct Numbers {
    integers: Option<RangeInclusive<i128>>,
    floats: Option<RangeInclusive<f64>>,
}

fn number_range(low: &Bound<Scalar>, high: &Bound<Scalar>) -> Numbers {
    let ends = || {
        let low = match low {
            Bound::Unbounded => (i128::MIN, f64::NEG_INFINITY),
            Bound::Included(Scalar::Integer(n)) => (*n, float_above(*n, Ordering::Equal)),
            Bound::Excluded(Scalar::Integer(n)) => (n.saturating_add(1), float_above(*n, Ordering::Greater)),
            Bound::Included(Scalar::Number(n)) => (n.ceil() as i128, *n),
            Bound::Excluded(Scalar::Number(n)) => ((n.floor() as i128).saturating_add(1), n.next_up()),
            _ => return None,
        };
        let high = match high {
            Bound::Unbounded => (i128::MAX, f64::INFINITY),
            Bound::Included(Scalar::Integer(n)) => (*n, -float_above(n.saturating_neg(), Ordering::Equal)),
            Bound::Excluded(Scalar::Integer(n)) => (n.saturating_sub(1), -float_above(n.saturating_neg(), Ordering::Greater)),
            Bound::Included(Scalar::Number(n)) => (n.floor() as i128, *n),
            Bound::Excluded(Scalar::Number(n)) => ((n.ceil() as i128).saturating_sub(1), n.next_down()),
            _ => return None,
        };
        Some((low, high))
    };
    let Some((low, high)) = ends() else { return Numbers { integers: None, floats: None } };
    // Zero is one number, but columns order its two signs: both lie in a range that begins or ends with either.
    let (low, high) = ((low.0, if low.1 == 0.0 { -0.0 } else { low.1 }), (high.0, if high.1 == 0.0 { 0.0 } else { high.1 }));
    Numbers { integers: (low.0 <= high.0).then_some(low.0..=high.0), floats: (low.1 <= high.1).then_some(low.1..=high.1) }
}

/// The smallest float whose order to `n` is at least this.
fn float_above(n: i128, least: Ordering) -> f64 {
    let near = n as f64;
    if compare(n, near).reverse() < least { near.next_up() } else { near }
}

fn numbers(column: DynamicColumn, range: &Numbers) -> Node {
    let test = match column {
        DynamicColumn::I64(column) => range.integers.as_ref().and_then(|r| {
            let (low, high) = (*r.start().max(&i128::from(i64::MIN)), *r.end().min(&i128::from(i64::MAX)));
            (low <= high).then(|| ColumnTest::I64(column, low as i64..=high as i64))
        }),
        DynamicColumn::U64(column) => range.integers.as_ref().and_then(|r| {
            let (low, high) = (*r.start().max(&0), *r.end().min(&i128::from(u64::MAX)));
            (low <= high).then(|| ColumnTest::U64(column, low as u64..=high as u64))
        }),
        DynamicColumn::F64(column) => range.floats.clone().map(|r| ColumnTest::F64(column, r)),
        _ => None,
    };
    test.map_or(Node::Nothing, Node::Column)
}

/// The network that a pattern such as `10.0.*` means.
fn glob_network(glob: &str) -> Option<(u128, u128)> {
    let parts: Vec<&str> = glob.strip_suffix(".*")?.split('.').collect();
    let bytes: Option<Vec<u8>> = parts.iter().map(|p| p.parse().ok().filter(|n: &u8| n.to_string() == **p)).collect();
    let bytes = bytes.filter(|b| (1..=3).contains(&b.len()))?;
    let end = |fill: u8| {
        let mut octets = [fill; 4];
        octets[..bytes.len()].copy_from_slice(&bytes);
        v6(IpAddr::from(octets)).to_bits()
    };
    Some((end(0), end(255)))
}

/// Whether a text lies on the right side of `bound`.
pub(crate) fn text_within(value: &str, bound: &Bound<Scalar>, is_low: bool) -> bool {
    use std::cmp::Ordering::{Greater, Less};
    let compare = |end: &Scalar| match end {
        Scalar::Text(end) => Some(folded(value).as_str().cmp(end)),
        Scalar::Time(end) => value.parse::<Time>().ok().map(|v| v.cmp(end)),
        Scalar::Ip(end) => value.parse::<IpAddr>().ok().map(|v| v6(v).cmp(end)),
        Scalar::Integer(_) | Scalar::Number(_) => None,
    };
    let beyond = if is_low { Greater } else { Less };
    match bound {
        Bound::Unbounded => true,
        Bound::Included(end) => compare(end).is_some_and(|o| o == beyond || o.is_eq()),
        Bound::Excluded(end) => compare(end) == Some(beyond),
    }
}

/// Whether an integer lies on the right side of `bound`.
pub(crate) fn integer_within(n: i128, bound: &Bound<Scalar>, is_low: bool) -> bool {
    use std::cmp::Ordering::{Greater, Less};
    let beyond = if is_low { Greater } else { Less };
    match bound {
        Bound::Unbounded => true,
        Bound::Included(end) => ordering(n, end).is_some_and(|o| o == beyond || o.is_eq()),
        Bound::Excluded(end) => ordering(n, end) == Some(beyond),
    }
}

/// How an integer compares with the end of a range, where that is a number.
fn ordering(n: i128, end: &Scalar) -> Option<Ordering> {
    match end {
        Scalar::Integer(end) => Some(n.cmp(end)),
        Scalar::Number(end) => Some(compare(n, *end)),
        _ => None,
    }
}
