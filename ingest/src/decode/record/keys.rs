//! The fields of a format's own names: a prefix before each path, blanks left out.

use event::keys::{Key, Keys};
use event::{FieldId, RowBuilder, Value};

use crate::decode::ip;
use crate::decode::names::is_ours;

/// What is known of each path of one table of keys: found when it is first asked for, forgotten with the path.
pub(in crate::decode) struct ByPath<T> {
    generation: u32,
    known: Vec<Option<T>>,
}

impl<T> Default for ByPath<T> {
    fn default() -> ByPath<T> {
        ByPath { generation: 0, known: Vec::new() }
    }
}

impl<T: Copy> ByPath<T> {
    /// What is known of `key`, one of `keys`, which is always the same table; else what `find` finds.
    #[inline]
    pub(in crate::decode) fn of(&mut self, keys: &Keys, key: Key, find: impl FnOnce() -> T) -> T {
        if self.generation != keys.generation() {
            self.generation = keys.generation();
            self.known.truncate(keys.kept());
        }
        if let Some(Some(known)) = self.known.get(key.index()) {
            return *known;
        }
        let found = find();
        if self.known.len() <= key.index() {
            self.known.resize(keys.len(), None);
        }
        self.known[key.index()] = Some(found);
        found
    }
}

/// The fields of a format's own names: a prefix before each path, interned when a path is first written.
pub(in crate::decode) struct Fields {
    prefix: Box<str>,
    known: ByPath<Known>,
    scratch: String,
}

#[derive(Clone, Copy)]
enum Known {
    Refused,
    Field(FieldId),
    /// A field that ECS says holds addresses.
    Address(FieldId),
}

impl Fields {
    pub(in crate::decode) fn new(prefix: &str) -> Fields {
        Fields { prefix: prefix.into(), known: ByPath::default(), scratch: String::new() }
    }

    /// Writes `value` to the field of `key`; `false` where it has none, as where the table of names is full.
    pub(in crate::decode) fn write(&mut self, keys: &Keys, key: Key, value: Value<'_>, row: &mut RowBuilder<'_>) -> bool {
        match (self.known(keys, key), value) {
            (Known::Address(field), Value::Text(text)) => match ip::parse(text) {
                Some(ip) => row.ip(field, ip),
                None => row.text(field, text),
            },
            (Known::Field(field) | Known::Address(field), value) => row.value(field, value),
            (Known::Refused, _) => return false,
        }
        true
    }

    fn known(&mut self, keys: &Keys, key: Key) -> Known {
        let Fields { prefix, known, scratch } = self;
        known.of(keys, key, || field_of(prefix, keys, key, scratch))
    }
}

fn field_of(prefix: &str, keys: &Keys, key: Key, scratch: &mut String) -> Known {
    scratch.clear();
    scratch.push_str(prefix);
    // Without blanks, as rules name fields: those who write rules read `New Value` as `NewValue`.
    scratch.extend(keys.name(key).split(' '));
    if key == Key::REFUSED || is_ours(prefix, scratch) {
        return Known::Refused;
    }
    match FieldId::intern(scratch) {
        None => Known::Refused,
        Some(field) if prefix.is_empty() && scratch.ends_with(".ip") => Known::Address(field),
        Some(field) => Known::Field(field),
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
