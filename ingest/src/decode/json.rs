//! JSON straight into cells: objects become dotted names, arrays several cells. No tree of values is built.

use std::fmt;

use event::{FieldId, RowBuilder};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::names::Names;

/// Objects and arrays within each other at most; `serde_json` itself stops at 128.
const DEPTH_MAX: usize = 32;

/// Writes the object in `text` to `row`; `names` gives the fields. False where it is no whole JSON object: the row may hold part of
/// it then.
pub(super) fn object(text: &str, names: &mut Names, path: &mut String, row: &mut RowBuilder<'_>) -> bool {
    path.clear();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let writer = Writer { row, names, path, depth: 0 };
    writer.deserialize(&mut deserializer).is_ok() && deserializer.end().is_ok()
}

/// The keys of the object in `text` and their values as written, without reading what the values hold. Stops where it is no JSON.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text.trim_start().strip_prefix('{').unwrap_or("");
    std::iter::from_fn(move || {
        let key = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']).strip_prefix('"')?;
        let end = string_end(key)?;
        let (key, after) = (&key[..end], &key[end + 1..]);
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        let length = value_length(value)?;
        rest = &value[length..];
        Some((key, &value[..length]))
    })
}

/// The value of the key `path` as written: the key itself, or a key within a key's object where a dot parts them.
pub(super) fn find<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    entries(text).find_map(|(key, value)| {
        let below = path.strip_prefix(key)?;
        match below.strip_prefix('.') {
            None if below.is_empty() => Some(value),
            Some(below) if value.starts_with('{') => find(value, below),
            _ => None,
        }
    })
}

/// Where the string ends whose first quote has been read.
fn string_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// How long the value is with which `text` begins.
fn value_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'"' => Some(string_end(&text[1..])? + 2),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0usize, 0);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => at += string_end(&text[at + 1..])? + 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth == 1 => return Some(at + 1),
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
            None
        }
        _ => Some(bytes.iter().position(|b| matches!(b, b',' | b'}' | b']')).unwrap_or(bytes.len())),
    }
}

struct Writer<'w, 'r> {
    row: &'w mut RowBuilder<'r>,
    names: &'w mut Names,
    path: &'w mut String,
    depth: usize,
}

impl<'r> Writer<'_, 'r> {
    fn field(&mut self) -> Option<FieldId> {
        self.names.field(self.path)
    }

    fn deeper(&mut self) -> Writer<'_, 'r> {
        Writer { row: self.row, names: self.names, path: self.path, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth == 0 { deserializer.deserialize_map(self) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for Writer<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.depth >= DEPTH_MAX {
            return Err(A::Error::custom("nested too deeply"));
        }
        let length = self.path.len();
        while let Some(()) = map.next_key_seed(Key(self.path))? {
            map.next_value_seed(self.deeper())?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if self.depth >= DEPTH_MAX {
            return Err(A::Error::custom("nested too deeply"));
        }
        while seq.next_element_seed(self.deeper())?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        if let Some(field) = self.field() {
            self.row.text(field, text);
        }
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, n: i64) -> Result<(), E> {
        if let Some(field) = self.field() {
            self.row.int(field, n);
        }
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, n: u64) -> Result<(), E> {
        if let Some(field) = self.field() {
            self.row.uint(field, n);
        }
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, n: f64) -> Result<(), E> {
        if let Some(field) = self.field() {
            self.row.float(field, n);
        }
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, b: bool) -> Result<(), E> {
        if let Some(field) = self.field() {
            self.row.bool(field, b);
        }
        Ok(())
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        if let Some(field) = self.field() {
            self.row.null(field);
        }
        Ok(())
    }
}

/// Reads a key onto the end of the path.
struct Key<'p>(&'p mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(key);
        Ok(())
    }
}
