//! Values of a column as numbers that stand for them, and the values themselves.
//!
//! A code is a place in a dictionary, a number, or a compressed address; codes of one column are in the order of their values. Counting
//! and sorting go by codes, and only what is told becomes a value.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;

use event::Time;
use tantivy::DocId;
use tantivy::columnar::column_values::{CompactHit, CompactSpaceU64Accessor};
use tantivy::columnar::{
    Column, ColumnType, DynamicColumn, DynamicColumnHandle, MonotonicallyMappableToU64, StrColumn, TermOrdHit,
};

use crate::aggregate::{KeyKind, Source};
use crate::lower::{Lowering, Unable};
use crate::node::compare;
use crate::shown;

/// A value that is counted or sorted by.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Key {
    /// That there is no value.
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number beyond what [`Key::Int`] holds.
    Large(u64),
    /// In the order of numbers.
    Float(u64),
    Time(i64),
    Ip(u128),
    Text(String),
    /// The place of a range or a filter.
    Place(u32),
    Tuple(Vec<Key>),
}

impl Ord for Key {
    /// By kind; numbers in their order, however they are kept.
    fn cmp(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Bool(a), Key::Bool(b)) => a.cmp(b),
            (Key::Float(a), Key::Float(b)) => a.cmp(b),
            (Key::Time(a), Key::Time(b)) => a.cmp(b),
            (Key::Ip(a), Key::Ip(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Place(a), Key::Place(b)) => a.cmp(b),
            (Key::Tuple(a), Key::Tuple(b)) => a.cmp(b),
            (Key::Int(_) | Key::Large(_), Key::Int(_) | Key::Large(_)) => self.whole().cmp(&other.whole()),
            // One that may have a fraction comes behind the whole number that is the same.
            (Key::Int(_) | Key::Large(_), Key::Float(b)) => compare(self.whole(), f64::from_u64(*b)).then(Ordering::Less),
            (Key::Float(_), Key::Int(_) | Key::Large(_)) => other.cmp(self).reverse(),
            (a, b) => a.place().cmp(&b.place()),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Key {
    /// The whole number that it is; 0 where it is none.
    fn whole(&self) -> i128 {
        match self {
            Key::Int(n) => (*n).into(),
            Key::Large(n) => (*n).into(),
            _ => 0,
        }
    }

    /// The place of its kind among all.
    fn place(&self) -> u8 {
        match self {
            Key::Null => 0,
            Key::Bool(_) => 1,
            Key::Int(_) | Key::Large(_) | Key::Float(_) => 2,
            Key::Time(_) => 3,
            Key::Ip(_) => 4,
            Key::Text(_) => 5,
            Key::Place(_) => 6,
            Key::Tuple(_) => 7,
        }
    }

    /// A number: a whole one is the same however its column is kept.
    pub(crate) fn float(n: f64) -> Key {
        if n.fract() == 0.0 && n.abs() < 9e15 { Key::Int(n as i64) } else { Key::Float(n.to_u64()) }
    }

    /// The value as it is shown.
    pub(crate) fn show(&self) -> String {
        match self {
            Key::Null => String::new(),
            Key::Bool(b) => b.to_string(),
            Key::Int(n) => n.to_string(),
            Key::Large(n) => n.to_string(),
            Key::Float(n) => shown::float(f64::from_u64(*n)),
            Key::Time(ns) => Time::from_unix_ns(*ns).to_string(),
            Key::Ip(ip) => shown::ip((*ip).into()),
            Key::Text(text) => text.clone(),
            Key::Place(n) => n.to_string(),
            Key::Tuple(parts) => parts.iter().map(Key::show).collect::<Vec<_>>().join("|"),
        }
    }

    /// What kind of value it is.
    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Key::Null => KeyKind::Null,
            Key::Bool(_) => KeyKind::Bool,
            Key::Int(_) | Key::Large(_) | Key::Float(_) => KeyKind::Number,
            Key::Time(_) => KeyKind::Time,
            Key::Ip(_) => KeyKind::Ip,
            Key::Text(_) | Key::Place(_) | Key::Tuple(_) => KeyKind::Text,
        }
    }

    /// Where this composite key stands to the one whose parts are shown so, which need not be among the keys.
    pub(crate) fn stands_to(&self, shown: &[Option<String>], sources: &[(String, Source)]) -> Ordering {
        let Key::Tuple(parts) = self else { return Ordering::Less };
        for ((part, text), (_, source)) in parts.iter().zip(shown).zip(sources) {
            let ordering = match (part, text) {
                (Key::Null, None) => Ordering::Equal,
                (Key::Null, Some(_)) => Ordering::Less,
                (_, None) => Ordering::Greater,
                // A value of another kind: texts are the last.
                (part, Some(text)) => part.read(text).map_or_else(
                    || if matches!(part, Key::Text(_)) { Ordering::Greater } else { Ordering::Less },
                    |value| part.cmp(&value),
                ),
            };
            if ordering != Ordering::Equal {
                return if source.descending { ordering.reverse() } else { ordering };
            }
        }
        Ordering::Equal
    }

    /// The value of the same kind that is shown as `text`.
    pub(crate) fn read(&self, text: &str) -> Option<Key> {
        Some(match self {
            Key::Bool(_) => Key::Bool(text.parse().ok()?),
            Key::Int(_) | Key::Large(_) | Key::Float(_) => match text.parse::<i64>() {
                Ok(n) => Key::Int(n),
                Err(_) => text.parse().map(Key::Large).or_else(|_| text.parse().map(Key::float)).ok()?,
            },
            Key::Time(_) => Key::Time(crate::query::time(text, Time::EPOCH)?.unix_ns()),
            Key::Ip(_) => Key::Ip(crate::schema::v6(text.parse().ok()?).to_bits()),
            Key::Text(_) => Key::Text(text.to_owned()),
            Key::Null | Key::Place(_) | Key::Tuple(_) => return None,
        })
    }

    /// Bytes that are the same for the same value only.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Key::Text(text) => text.as_bytes().to_vec(),
            Key::Ip(ip) => ip.to_be_bytes().to_vec(),
            other => other.show().into_bytes(),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Key::Null | Key::Bool(_) => 0,
            Key::Int(_) | Key::Large(_) | Key::Float(_) => 1,
            Key::Time(_) => 3,
            Key::Ip(_) => 4,
            Key::Text(_) | Key::Place(_) | Key::Tuple(_) => 5,
        }
    }

    /// The value as a cursor carries it: without a dot, so that it is one part of it.
    pub(crate) fn to_cursor(&self) -> String {
        match self {
            Key::Bool(b) => format!("b{}", u8::from(*b)),
            Key::Int(n) => format!("f{}", (*n as f64).to_u64()),
            Key::Large(n) => format!("f{}", (*n as f64).to_u64()),
            Key::Float(n) => format!("f{n}"),
            Key::Time(ns) => format!("t{ns}"),
            Key::Ip(ip) => format!("p{ip}"),
            other => format!("s{}", event::hexadecimal(&other.bytes())),
        }
    }

    /// The value of a cursor.
    pub(crate) fn from_cursor(text: &str) -> Option<Key> {
        let (kind, value) = text.split_at_checked(1)?;
        Some(match kind {
            "b" => Key::Bool(value == "1"),
            "f" => Key::Float(value.parse().ok()?),
            "t" => Key::Time(value.parse().ok()?),
            "p" => Key::Ip(value.parse().ok()?),
            "s" => {
                let byte = |at: usize| u8::from_str_radix(value.get(at..at + 2)?, 16).ok();
                let bytes: Option<Vec<u8>> = (0..value.len()).step_by(2).map(byte).collect();
                Key::Text(String::from_utf8(bytes?).ok()?)
            }
            _ => return None,
        })
    }
}

/// The values of one column, as numbers that stand for them.
pub(crate) struct Codes {
    pub(crate) kind: ColumnType,
    column: Column<u64>,
    texts: Option<StrColumn>,
    addresses: Option<Arc<CompactSpaceU64Accessor>>,
    buffer: Vec<u64>,
    rows: Vec<u32>,
    row_docs: Vec<DocId>,
}

impl Codes {
    pub(crate) fn open(lowering: &Lowering<'_>, field: &str) -> Result<Vec<Codes>, Unable> {
        let Lowering { layout, segment, rest, .. } = lowering;
        if layout.kind(field).0 == crate::schema::Kind::Message {
            return Ok(Vec::new());
        }
        let handles = segment.handles(layout, field, rest.contains(field))?;
        Ok(handles.iter().map(Codes::of).collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn of(handle: &DynamicColumnHandle) -> io::Result<Option<Codes>> {
        let kind = handle.column_type();
        if kind == ColumnType::Bytes {
            return Ok(None);
        }
        let Some(column) = handle.open_u64_lenient()? else { return Ok(None) };
        let texts = match handle.open()? {
            DynamicColumn::Str(column) => Some(column),
            _ => None,
        };
        let addresses = match kind {
            ColumnType::IpAddr => column.values.clone().downcast_arc::<CompactSpaceU64Accessor>().ok(),
            _ => None,
        };
        if column.values.num_vals() == 0 {
            return Ok(None);
        }
        Ok(Some(Codes { kind, column, texts, addresses, buffer: Vec::new(), rows: Vec::new(), row_docs: Vec::new() }))
    }

    /// Whether a document may have several values.
    pub(crate) fn has_several(&self) -> bool {
        matches!(self.column.index, tantivy::columnar::ColumnIndex::Multivalued(_))
    }

    /// How many codes there may be; none where they are no places in a table.
    pub(crate) fn space(&self) -> Option<u64> {
        let table = matches!(self.kind, ColumnType::Str | ColumnType::IpAddr | ColumnType::Bool);
        table.then(|| self.column.max_value().saturating_add(1))
    }

    /// Calls `each` with the place in `docs` and the code of every value, a value that a document has twice once.
    pub(crate) fn each(&mut self, docs: &[DocId], each: impl FnMut(usize, u64)) {
        self.visit(docs, true, each);
    }

    /// As [`Codes::each`], for what is measured of values: a number that a document has twice is two values. Of texts and addresses it is
    /// one, as in Elasticsearch.
    pub(crate) fn every(&mut self, docs: &[DocId], each: impl FnMut(usize, u64)) {
        self.visit(docs, matches!(self.kind, ColumnType::Str | ColumnType::IpAddr), each);
    }

    fn visit(&mut self, docs: &[DocId], once: bool, mut each: impl FnMut(usize, u64)) {
        use tantivy::columnar::ColumnIndex;
        match &self.column.index {
            ColumnIndex::Empty { .. } => {}
            ColumnIndex::Full => {
                self.buffer.resize(docs.len(), 0);
                let (Some(first), Some(last)) = (docs.first(), docs.last()) else { return };
                if (last - first) as usize == docs.len() - 1 && docs.is_sorted_by(|a, b| a < b) {
                    self.column.values.get_range(u64::from(*first), &mut self.buffer);
                } else {
                    self.column.values.get_vals(docs, &mut self.buffer);
                }
                self.buffer.iter().enumerate().for_each(|(at, code)| each(at, *code));
            }
            ColumnIndex::Optional(_) => {
                self.rows.clear();
                self.row_docs.clear();
                self.column.row_ids_for_docs(docs, &mut self.row_docs, &mut self.rows);
                self.buffer.resize(self.rows.len(), 0);
                self.column.values.get_vals(&self.rows, &mut self.buffer);
                let mut at = 0;
                for (doc, code) in self.row_docs.iter().zip(&self.buffer) {
                    while docs[at] != *doc {
                        at += 1;
                    }
                    each(at, *code);
                    at += 1;
                }
            }
            ColumnIndex::Multivalued(_) => {
                for (at, doc) in docs.iter().enumerate() {
                    self.buffer.clear();
                    self.buffer.extend(self.column.values_for_doc(*doc));
                    if once {
                        self.buffer.sort_unstable();
                        self.buffer.dedup();
                    }
                    self.buffer.iter().for_each(|code| each(at, *code));
                }
            }
        }
    }

    /// Counts every value of `docs` by its code, a value that a document has twice once. All codes are places in `counts`.
    pub(crate) fn count(&mut self, docs: &[DocId], counts: &mut [u32]) {
        use tantivy::columnar::ColumnIndex;
        let (Some(first), Some(last)) = (docs.first(), docs.last()) else { return };
        // Most often all documents of a window are hits: their values lie one behind the other.
        let whole = (last - first) as usize == docs.len() - 1 && docs.is_sorted_by(|a, b| a < b);
        if whole && !matches!(self.column.index, ColumnIndex::Multivalued(_)) {
            let rows = self.column.index.docid_range_to_rowids(*first..last + 1);
            self.buffer.resize(rows.len(), 0);
            self.column.values.get_range(u64::from(rows.start), &mut self.buffer);
            self.buffer.iter().for_each(|code| counts[*code as usize] += 1);
        } else {
            self.each(docs, |_, code| counts[code as usize] += 1);
        }
    }

    /// The code of a value, if the column has it. Only for columns whose codes are places in a table.
    pub(crate) fn code_of(&self, key: &Key) -> io::Result<Option<u64>> {
        Ok(match (key, &self.texts, &self.addresses) {
            (Key::Text(text), Some(texts), _) => texts.dictionary().term_ord(text)?,
            (Key::Ip(ip), _, Some(addresses)) => match addresses.u128_to_next_compact(*ip) {
                CompactHit::Exact(code) => Some(code.into()),
                CompactHit::Next(_) | CompactHit::AfterLast => None,
            },
            (Key::Bool(b), None, None) if self.kind == ColumnType::Bool => Some(u64::from(*b)),
            _ => None,
        })
    }

    /// Turns codes into numbers.
    pub(crate) fn number(&self) -> fn(u64) -> f64 {
        match self.kind {
            ColumnType::I64 => |code| i64::from_u64(code) as f64,
            ColumnType::U64 => |code| code as f64,
            // As milliseconds: whole ones exactly, which a count of nanoseconds that is divided is not.
            ColumnType::DateTime => |code| {
                let ns = i64::from_u64(code);
                ns.div_euclid(1_000_000) as f64 + ns.rem_euclid(1_000_000) as f64 / 1e6
            },
            _ => f64::from_u64,
        }
    }

    /// Calls `each` with the place in `codes`, which are sorted, and the value of every code.
    pub(crate) fn decode(&self, codes: &[u64], mut each: impl FnMut(usize, Key)) -> io::Result<()> {
        if let Some(texts) = &self.texts {
            let mut at = 0;
            texts.dictionary().sorted_ords_to_term_cb(codes, |text| {
                each(at, Key::Text(String::from_utf8_lossy(text).into_owned()));
                at += 1;
            })?;
            return Ok(());
        }
        for (at, code) in codes.iter().enumerate() {
            each(
                at,
                match self.kind {
                    ColumnType::I64 => Key::Int(i64::from_u64(*code)),
                    ColumnType::U64 => i64::try_from(*code).map_or(Key::Large(*code), Key::Int),
                    ColumnType::F64 => Key::float(f64::from_u64(*code)),
                    ColumnType::Bool => Key::Bool(*code != 0),
                    ColumnType::DateTime => Key::Time(i64::from_u64(*code)),
                    _ => match &self.addresses {
                        Some(addresses) => Key::Ip(addresses.compact_to_u128(*code as u32)),
                        None => continue,
                    },
                },
            );
        }
        Ok(())
    }

    /// The first value of a document; `last`: the last.
    pub(crate) fn best_of(&self, doc: DocId, last: bool) -> Option<u64> {
        let values = self.column.values_for_doc(doc);
        if last { values.max() } else { values.min() }
    }

    /// Where a code stands among those of all columns of its segment.
    pub(crate) fn order_of(&self, code: u64) -> (u8, u64) {
        let is_number = matches!(self.kind, ColumnType::I64 | ColumnType::U64 | ColumnType::F64);
        (rank(self.kind), if is_number { self.number()(code).to_u64() } else { code })
    }

    /// Compares codes with a value, in the order of values.
    pub(crate) fn compare_with(&self, key: &Key) -> io::Result<Box<dyn Fn(u64) -> Ordering>> {
        // A code that stands for the value, or for the next one that there is.
        let place = |code: u64, exact: bool| -> Box<dyn Fn(u64) -> Ordering> {
            Box::new(move |other| if exact { other.cmp(&code) } else { other.cmp(&code).then(Ordering::Greater) })
        };
        Ok(match (key, self.kind) {
            (Key::Text(text), ColumnType::Str) => match &self.texts {
                Some(texts) => match texts.dictionary().term_ord_or_next(text)? {
                    TermOrdHit::Exact(code) => place(code, true),
                    TermOrdHit::Next(code) => place(code, false),
                },
                None => Box::new(|_| Ordering::Greater),
            },
            (Key::Ip(ip), ColumnType::IpAddr) => match &self.addresses {
                Some(addresses) => match addresses.u128_to_next_compact(*ip) {
                    CompactHit::Exact(code) => place(code.into(), true),
                    CompactHit::Next(code) => place(code.into(), false),
                    CompactHit::AfterLast => Box::new(|_| Ordering::Less),
                },
                None => Box::new(|_| Ordering::Greater),
            },
            (Key::Time(ns), ColumnType::DateTime) => place(ns.to_u64(), true),
            (Key::Bool(b), ColumnType::Bool) => place(u64::from(*b), true),
            (Key::Float(n), ColumnType::I64 | ColumnType::U64 | ColumnType::F64) => {
                let (number, n) = (self.number(), f64::from_u64(*n));
                Box::new(move |code| number(code).total_cmp(&n))
            }
            // Of different kinds: in the order of kinds.
            (key, kind) => {
                let ordering = rank(kind).cmp(&key.rank());
                Box::new(move |_| ordering)
            }
        })
    }

    /// A code as what is sorted by: a number is compared with any other number.
    pub(crate) fn sorted_by(&self, code: u64) -> io::Result<Option<Key>> {
        if matches!(self.kind, ColumnType::I64 | ColumnType::U64 | ColumnType::F64) {
            return Ok(Some(Key::Float(self.number()(code).to_u64())));
        }
        let mut found = None;
        self.decode(&[code], |_, key| found = Some(key))?;
        Ok(found)
    }
}

/// The order of the kinds of columns, as that of [`Key`].
fn rank(kind: ColumnType) -> u8 {
    match kind {
        ColumnType::Bool => 0,
        ColumnType::I64 | ColumnType::U64 | ColumnType::F64 => 1,
        ColumnType::DateTime => 3,
        ColumnType::IpAddr => 4,
        ColumnType::Str | ColumnType::Bytes => 5,
    }
}
