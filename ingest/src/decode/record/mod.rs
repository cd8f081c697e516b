//! A record that names its fields, as a flat list: each scalar with the path of its keys. JSON, XML, tables with a header and
//! key=value text all become one, so that what a format's names mean is written down once, whatever the encoding.
//!
//! ```text
//!  {"a":{"b":1},"c":["x","y"]}   ->   a.b = 1 | c = "x" | c = "y"
//! ```
//!
//! Text is a span of the record's own bytes unless it had escapes. A record's memory is used again for the next one.

pub(super) mod json;
mod keys;
pub(super) mod table;

use event::Value;
use event::limits::CELLS_PER_EVENT_MAX;
use event::object::Room;

pub(super) use event::keys::{Key, Keys};
pub(super) use keys::{ByPath, Fields};

/// Scalars kept of one record: an event holds no more cells. Further ones are in the raw text only.
const ITEMS_MAX: usize = CELLS_PER_EVENT_MAX;

/// A value as the record keeps it: [`View::value`] has what it says.
#[derive(Clone, Copy)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// A span of the record: where it begins and how long it is.
    Text(u32, u32),
    /// A span of the unescaped texts.
    Unescaped(u32, u32),
}

#[derive(Clone, Copy)]
struct Item {
    key: Key,
    value: Scalar,
    /// The next item of the same path, plus one; 0 for none.
    next: u32,
}

/// What is known of a path in the record at hand.
#[derive(Clone, Copy, Default)]
struct Seen {
    record: u32,
    first: u32,
    last: u32,
}

/// One record, and the memory for the next one.
pub(super) struct Record {
    pub(super) keys: Keys,
    items: Vec<Item>,
    unescaped: String,
    room: Room,
    seen: Vec<Seen>,
    number: u32,
    too_deep: bool,
    too_many: bool,
}

impl Record {
    pub(super) fn new() -> Record {
        Record {
            keys: Keys::new(),
            items: Vec::new(),
            unescaped: String::new(),
            room: Room::default(),
            seen: Vec::new(),
            number: 0,
            too_deep: false,
            too_many: false,
        }
    }

    /// Begins the next record: nothing of the one before is left.
    pub(super) fn begin(&mut self) {
        self.keys.begin();
        self.items.clear();
        self.unescaped.clear();
        self.too_deep = false;
        self.too_many = false;
        self.number = self.number.wrapping_add(1);
        if self.number == 0 {
            self.seen.clear(); // Every number was used: what old records left must not be taken for new.
            self.number = 1;
        }
    }

    /// Whether something was nested too deeply and stepped over.
    pub(super) fn too_deep(&self) -> bool {
        self.too_deep
    }

    /// Whether there was more than an event has cells for.
    pub(super) fn too_many(&self) -> bool {
        self.too_many
    }

    /// Whether it holds no scalar.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a text: a span of `whole`, which is what [`Record::view`] will be given, or a copy.
    pub(super) fn text(&mut self, whole: &str, key: Key, text: &str) {
        let start = (text.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        if start.saturating_add(text.len()) <= whole.len() {
            self.push(key, Scalar::Text(start as u32, text.len() as u32));
        } else {
            self.unescaped(key, |out| out.push_str(text));
        }
    }

    /// Adds a text that `write` makes.
    pub(super) fn unescaped(&mut self, key: Key, write: impl FnOnce(&mut String)) {
        let start = self.unescaped.len();
        write(&mut self.unescaped);
        let len = self.unescaped.len() - start;
        self.push(key, Scalar::Unescaped(start as u32, len as u32));
    }

    /// The record as read from `text`.
    pub(super) fn view<'t>(&'t self, text: &'t str) -> View<'t> {
        View { record: self, text }
    }

    fn push(&mut self, key: Key, value: Scalar) {
        if key == Key::REFUSED || self.items.len() >= ITEMS_MAX {
            self.too_many = true;
            return;
        }
        if self.seen.len() <= key.index() {
            self.seen.resize(self.keys.len(), Seen::default());
        }
        let at = self.items.len() as u32;
        let seen = &mut self.seen[key.index()];
        if seen.record == self.number {
            self.items[seen.last as usize].next = at + 1;
            seen.last = at;
        } else {
            *seen = Seen { record: self.number, first: at, last: at };
        }
        self.items.push(Item { key, value, next: 0 });
    }
}

/// The values of a record, borrowed from it and from the text that it was read from.
#[derive(Clone, Copy)]
pub(super) struct View<'t> {
    record: &'t Record,
    text: &'t str,
}

impl<'t> View<'t> {
    /// Whether the record has `key`.
    pub(super) fn has(self, key: Key) -> bool {
        self.seen(key).is_some()
    }

    /// The first value of `key`.
    pub(super) fn get(self, key: Key) -> Option<Value<'t>> {
        Some(self.value(self.record.items[self.seen(key)?.first as usize].value))
    }

    /// The first value of `key`, where it is a text that is not empty.
    pub(super) fn text(self, key: Key) -> Option<&'t str> {
        self.get(key)?.as_text().filter(|text| !text.is_empty())
    }

    /// The first value of `key`, where it is a whole number or a text that is one (decimal, or hexadecimal behind `0x`).
    pub(super) fn int(self, key: Key) -> Option<i64> {
        match self.get(key)? {
            Value::Int(n) => Some(n),
            Value::Float(n) if n.fract() == 0.0 && n.abs() < 9e15 => Some(n as i64),
            Value::Text(text) => {
                let text = text.trim();
                text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| i64::from_str_radix(digits, 16).ok())
            }
            _ => None,
        }
    }

    /// Every value of `key`, in the record's order.
    pub(super) fn all(self, key: Key) -> impl Iterator<Item = Value<'t>> {
        let mut next = self.seen(key).map_or(0, |seen| seen.first + 1);
        std::iter::from_fn(move || {
            let item = self.record.items[next.checked_sub(1)? as usize];
            next = item.next;
            Some(self.value(item.value))
        })
    }

    /// Every scalar with its path, in the record's order.
    pub(super) fn iter(self) -> impl Iterator<Item = (Key, Value<'t>)> {
        self.scalars().map(move |(key, scalar)| (key, self.value(scalar)))
    }

    /// The same, for who asks for the values of few paths.
    pub(super) fn scalars(self) -> impl Iterator<Item = (Key, Scalar)> + use<'t> {
        self.record.items.iter().map(|item| (item.key, item.value))
    }

    /// The path of every scalar, in the record's order.
    pub(super) fn keys(self) -> impl Iterator<Item = Key> + use<'t> {
        self.record.items.iter().map(|item| item.key)
    }

    fn seen(self, key: Key) -> Option<&'t Seen> {
        self.record.seen.get(key.index()).filter(|seen| seen.record == self.record.number)
    }

    /// What `scalar`, one of this record's, says.
    #[inline]
    pub(super) fn value(self, scalar: Scalar) -> Value<'t> {
        let span = |text: &'t str, start: u32, len: u32| &text[start as usize..start as usize + len as usize];
        match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(b) => Value::Bool(b),
            Scalar::Int(n) => Value::Int(n),
            Scalar::Uint(n) => Value::Uint(n),
            Scalar::Float(n) => Value::Float(n),
            Scalar::Text(start, len) => Value::Text(span(self.text, start, len)),
            Scalar::Unescaped(start, len) => Value::Text(span(&self.record.unescaped, start, len)),
        }
    }
}
