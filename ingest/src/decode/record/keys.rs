//! The keys of JSON records as small numbers: a path of keys is found by hash, without building its name.
//!
//! A key is known by its parent and the bytes between its quotes, so that a record whose keys were seen before costs a hash and a
//! comparison a key. `{"id":{"orig_h":..}}` and `{"id.orig_h":..}` are the same path: senders write both.

use std::hash::{BuildHasher, RandomState};

use event::limits::FIELD_NAME_BYTES_MAX;
use event::{FieldId, RowBuilder, Value};

/// A path of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::decode) struct Key(u32);

impl Key {
    /// The record itself: no key.
    pub(in crate::decode) const ROOT: Key = Key(0);
    /// A path too long to be a field's name: its value is not a column.
    pub(in crate::decode) const REFUSED: Key = Key(1);

    pub(in crate::decode) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Paths that a table holds before those that records brought are forgotten: what senders invent does not grow it for ever.
const PATHS_MAX: usize = 1 << 15;

/// An entry: this key below this parent is that path.
#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    parent: u32,
    path: u32,
    key_start: u32,
    key_len: u16,
}

/// The table of paths. Every reader of JSON has its own.
pub(in crate::decode) struct Keys {
    /// Open addressing, linear probing; a power of two, at most half full. Holds an index into `entries` plus one.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    text: String,
    paths: Vec<Box<str>>,
    /// How much of each was there when the readers were built.
    built: (usize, usize, usize),
    generation: u32,
    seed: u64,
}

impl Keys {
    pub(super) fn new() -> Keys {
        let paths = vec!["".into(), "".into()];
        let seed = RandomState::new().hash_one(0);
        Keys { slots: vec![0; 1024], entries: Vec::new(), text: String::new(), paths, built: (0, 0, 2), generation: 0, seed }
    }

    /// The path named `name`, for a reader's table.
    pub(in crate::decode) fn declare(&mut self, name: &str) -> Key {
        let key = self.child(Key::ROOT, name);
        self.built = (self.entries.len(), self.text.len(), self.paths.len());
        key
    }

    /// How many paths there are.
    pub(in crate::decode) fn len(&self) -> usize {
        self.paths.len()
    }

    /// How often paths were forgotten: what is remembered of a path's number holds within one generation.
    pub(in crate::decode) fn generation(&self) -> u32 {
        self.generation
    }

    /// The path's name, its keys joined by dots.
    pub(in crate::decode) fn name(&self, key: Key) -> &str {
        &self.paths[key.index()]
    }

    /// Forgets what records brought, where that is too much. Called between records.
    pub(super) fn prune(&mut self) {
        if self.paths.len() <= PATHS_MAX {
            return;
        }
        let (entries, text, paths) = self.built;
        self.entries.truncate(entries);
        self.text.truncate(text);
        self.paths.truncate(paths);
        self.generation += 1;
        self.rehash(1024.max((entries * 2).next_power_of_two()));
    }

    /// The path of `key` (as it stands between its quotes, unescaped) below `parent`.
    pub(in crate::decode) fn child(&mut self, parent: Key, key: &str) -> Key {
        if parent == Key::REFUSED || key.len() > FIELD_NAME_BYTES_MAX {
            return Key::REFUSED;
        }
        let hash = hash(self.seed, parent.0, key.as_bytes());
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(entry) = self.slots[at].checked_sub(1).map(|index| &self.entries[index as usize]) {
            if entry.hash == hash && entry.parent == parent.0 {
                let start = entry.key_start as usize;
                if &self.text.as_bytes()[start..start + usize::from(entry.key_len)] == key.as_bytes() {
                    return Key(entry.path);
                }
            }
            at = (at + 1) & mask;
        }
        self.insert(parent, key, hash)
    }

    fn insert(&mut self, parent: Key, key: &str, hash: u32) -> Key {
        let path = match key.rsplit_once('.') {
            // The same path as nested objects: its last key below the path of the rest.
            Some((head, last)) if !head.is_empty() => {
                let head = self.child(parent, head);
                self.child(head, last)
            }
            _ => {
                let base = &self.paths[parent.index()];
                let name = if base.is_empty() { key.into() } else { format!("{base}.{key}").into_boxed_str() };
                if name.len() > FIELD_NAME_BYTES_MAX {
                    Key::REFUSED
                } else {
                    self.paths.push(name);
                    Key(self.paths.len() as u32 - 1)
                }
            }
        };
        let key_start = self.text.len() as u32;
        self.text.push_str(key);
        self.entries.push(Entry { hash, parent: parent.0, path: path.0, key_start, key_len: key.len() as u16 });
        if self.entries.len() * 2 > self.slots.len() {
            self.rehash(self.slots.len() * 2);
        } else {
            self.place(self.entries.len() - 1);
        }
        path
    }

    fn place(&mut self, entry: usize) {
        let mask = self.slots.len() - 1;
        let mut at = self.entries[entry].hash as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = entry as u32 + 1;
    }

    fn rehash(&mut self, size: usize) {
        self.slots.clear();
        self.slots.resize(size, 0);
        for entry in 0..self.entries.len() {
            self.place(entry);
        }
    }
}

/// Words of eight bytes by a folded multiplication, as wyhash does it. The seed is the process's own: nobody outside can choose keys
/// that collide. It is not observable, as positions in a `HashMap` are not.
fn hash(seed: u64, parent: u32, key: &[u8]) -> u32 {
    let fold = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(seed | 1 << 63);
        (product >> 64) as u64 ^ product as u64
    };
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    let mut words = key.chunks_exact(8);
    let mut state = fold(seed, u64::from(parent) ^ ((key.len() as u64) << 32));
    for chunk in &mut words {
        state = fold(state, word(chunk));
    }
    fold(state, word(words.remainder())) as u32
}

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

/// What names of ours begin with. `@timestamp` is the event's time.
const OURS: &[&str] = &["mihari.", "policy.", "zone.", "tenant", "event.received", "@timestamp"];

impl Fields {
    pub(in crate::decode) fn new(prefix: &str) -> Fields {
        Fields { prefix: prefix.into(), generation: 0, known: Vec::new(), scratch: String::new() }
    }

    /// Writes `value` to the field of `key`: nothing where the table of names is full.
    pub(in crate::decode) fn write(&mut self, keys: &Keys, key: Key, value: Value<'_>, row: &mut RowBuilder<'_>) {
        match (self.known(keys, key), value) {
            (Known::Address(field), Value::Text(text)) => match text.parse() {
                Ok(ip) => row.ip(field, ip),
                Err(_) => row.text(field, text),
            },
            (Known::Field(field) | Known::Address(field), value) => row.value(field, value),
            (Known::Not | Known::Refused, _) => {}
        }
    }

    fn known(&mut self, keys: &Keys, key: Key) -> Known {
        if self.generation != keys.generation {
            self.generation = keys.generation;
            self.known.truncate(keys.built.2);
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
        let name = keys.name(key);
        // Where a record's names stand as they are, it must not say what only this program may.
        let ours = self.prefix.is_empty() && OURS.iter().any(|ours| name.starts_with(ours));
        if key == Key::REFUSED || ours {
            return Known::Refused;
        }
        self.scratch.clear();
        self.scratch.push_str(&self.prefix);
        self.scratch.push_str(name);
        match FieldId::intern(&self.scratch) {
            None => Known::Refused,
            Some(field) if self.prefix.is_empty() && name.ends_with(".ip") => Known::Address(field),
            Some(field) => Known::Field(field),
        }
    }
}

#[cfg(test)]
mod tests {
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
        let ours = keys.declare("policy.verdict");
        assert!(matches!(Fields::new("").known(&keys, ours), Known::Refused));
        for odd in [".", "..", ".a", "a.", ""] {
            let key = keys.child(id, odd);
            assert_eq!(keys.child(id, odd), key, "{odd}");
        }
    }

    #[test]
    fn what_records_bring_is_forgotten_beyond_the_bound() {
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
            keys.prune();
        }
        assert!(keys.len() <= PATHS_MAX + 1);
        assert_eq!(keys.child(Key::ROOT, "alert.signature"), declared);
        assert_eq!(field(&mut fields, &keys), Some("alert.signature"));
        assert_eq!(keys.child(Key::ROOT, &"k".repeat(FIELD_NAME_BYTES_MAX + 1)), Key::REFUSED);
        assert_eq!(keys.child(Key::REFUSED, "a"), Key::REFUSED);
    }
}
