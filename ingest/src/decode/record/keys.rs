//! The fields of a format's own names: a prefix before each path, blanks left out.

use event::keys::{Key, Keys};
use event::{FieldId, RowBuilder, Value};

use crate::decode::names::is_ours;

/// The fields of a format's own names: a prefix before each path, interned when a path is first written.
pub(in crate::decode) struct Fields {
    prefix: Box<str>,
    generation: u32,
    known: Vec<Known>,
    scratch: String,
}

#[derive(Clone, Copy)]
enum Known {
    Not,
    Refused,
    Field(FieldId),
    /// A field that ECS says holds addresses.
    Address(FieldId),
}

impl Fields {
    pub(in crate::decode) fn new(prefix: &str) -> Fields {
        Fields { prefix: prefix.into(), generation: 0, known: Vec::new(), scratch: String::new() }
    }

    /// Writes `value` to the field of `key`; `false` where it has none, as where the table of names is full.
    pub(in crate::decode) fn write(&mut self, keys: &Keys, key: Key, value: Value<'_>, row: &mut RowBuilder<'_>) -> bool {
        match (self.known(keys, key), value) {
            (Known::Address(field), Value::Text(text)) => match text.parse() {
                Ok(ip) => row.ip(field, ip),
                Err(_) => row.text(field, text),
            },
            (Known::Field(field) | Known::Address(field), value) => row.value(field, value),
            (Known::Not | Known::Refused, _) => return false,
        }
        true
    }

    fn known(&mut self, keys: &Keys, key: Key) -> Known {
        if self.generation != keys.generation() {
            self.generation = keys.generation();
            self.known.truncate(keys.kept());
        }
        match self.known.get(key.index()) {
            None | Some(Known::Not) => {}
            Some(known) => return *known,
        }
        let known = self.find(keys, key);
        if self.known.len() <= key.index() {
            self.known.resize(keys.len(), Known::Not);
        }
        self.known[key.index()] = known;
        known
    }

    fn find(&mut self, keys: &Keys, key: Key) -> Known {
        self.scratch.clear();
        self.scratch.push_str(&self.prefix);
        // Without blanks, as rules name fields: those who write rules read `New Value` as `NewValue`.
        self.scratch.extend(keys.name(key).split(' '));
        if key == Key::REFUSED || is_ours(&self.prefix, &self.scratch) {
            return Known::Refused;
        }
        match FieldId::intern(&self.scratch) {
            None => Known::Refused,
            Some(field) if self.prefix.is_empty() && self.scratch.ends_with(".ip") => Known::Address(field),
            Some(field) => Known::Field(field),
        }
    }
}

#[cfg(test)]
mod tests {
    use event::limits::FIELD_NAME_BYTES_MAX;

    use super::*;

    #[test]
    fn a_dotted_key_is_the_nested_path() {
        let mut keys = Keys::new();
        let dotted = keys.declare("id.orig_h");
        let id = keys.child(Key::ROOT, "id");
        assert_eq!(keys.child(id, "orig_h"), dotted);
        assert_eq!(keys.child(Key::ROOT, "id.orig_h"), dotted);
        assert_ne!(keys.child(Key::ROOT, "orig_h"), dotted);
        assert_eq!(keys.name(dotted), "id.orig_h");
        let mut fields = Fields::new("zeek.");
        assert!(matches!(fields.known(&keys, dotted), Known::Field(field) if field.name() == "zeek.id.orig_h"));
        for name in ["policy.verdict", " policy .verdict", "log.source.address", "log .source.address"] {
            let ours = keys.declare(name);
            assert!(matches!(Fields::new("").known(&keys, ours), Known::Refused), "{name}");
        }
        for odd in [".", "..", ".a", "a.", ""] {
            let key = keys.child(id, odd);
            assert_eq!(keys.child(id, odd), key, "{odd}");
        }
    }

    #[test]
    fn what_records_bring_is_forgotten_beyond_the_bound() {
        const PATHS_MAX: usize = event::keys::PATHS_MAX;
        let mut keys = Keys::new();
        let declared = keys.declare("alert.signature");
        let mut fields = Fields::new("");
        let field = |fields: &mut Fields, keys: &Keys| match fields.known(keys, declared) {
            Known::Field(field) => Some(field.name()),
            _ => None,
        };
        assert_eq!(field(&mut fields, &keys), Some("alert.signature"));
        for n in 0..3 * PATHS_MAX {
            keys.child(Key::ROOT, &format!("k{n}"));
            keys.begin();
        }
        assert!(keys.len() <= PATHS_MAX + 1);
        assert_eq!(keys.child(Key::ROOT, "alert.signature"), declared);
        assert_eq!(field(&mut fields, &keys), Some("alert.signature"));
        assert_eq!(keys.child(Key::ROOT, &"k".repeat(FIELD_NAME_BYTES_MAX + 1)), Key::REFUSED);
        assert_eq!(keys.child(Key::REFUSED, "a"), Key::REFUSED);
    }
}
