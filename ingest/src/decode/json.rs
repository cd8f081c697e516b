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
