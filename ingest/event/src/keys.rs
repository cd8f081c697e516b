//! The keys of JSON records as small numbers: a path of keys is found by hash, without building its name.
//!
//! A key is known by its parent and the bytes between its quotes: it costs a hash and a comparison. `{"id":{"orig_h":..}}` and
//! `{"id.orig_h":..}` are the same path: senders write both.

use std::hash::{BuildHasher, RandomState};

use crate::limits::FIELD_NAME_BYTES_MAX;
use crate::shapes::Shapes;

/// A path of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key(u32);

impl Key {
    /// The record itself: no key.
    pub const ROOT: Key = Key(0);
    /// A path too long to be a field's name: its value is not a column.
    pub const REFUSED: Key = Key(1);

    /// The number, for tables indexed by path.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// Paths that a table holds before those that records brought are forgotten: what senders invent does not grow it for ever.
pub const PATHS_MAX: usize = 1 << 15;

/// An entry: this key below this parent is that path.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    parent: u32,
    path: u32,
    /// Where the key stands in the text.
    key_start: u32,
    key_len: u16,
}

/// The table of paths. Every reader of JSON has its own.
#[derive(Debug)]
pub struct Keys {
    /// Open addressing, linear probing; a power of two, at most half full. Holds an index into `entries` plus one.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    text: String,
    paths: Vec<Box<str>>,
    /// What stands between the values of records, by these paths.
    pub(crate) shapes: Shapes,
    /// How much of each was there when the readers were built.
    built: (usize, usize, usize),
    generation: u32,
    seed: u64,
}

impl Keys {
    /// A table without paths.
    #[expect(clippy::new_without_default, reason = "its seed is the process's own: no two are alike")]
    pub fn new() -> Keys {
        let paths = vec!["".into(), "".into()];
        let seed = RandomState::new().hash_one(0);
        Keys {
            slots: vec![0; 1024],
            entries: Vec::new(),
            text: String::new(),
            paths,
            shapes: Shapes::new(seed),
            built: (0, 0, 2),
            generation: 0,
            seed,
        }
    }

    /// The path named `name`, for a reader's table.
    pub fn declare(&mut self, name: &str) -> Key {
        let key = self.child(Key::ROOT, name);
        self.built = (self.entries.len(), self.text.len(), self.paths.len());
        key
    }

    /// How many paths there are, the root among them.
    #[expect(clippy::len_without_is_empty, reason = "there always is the root")]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// The path's name, its keys joined by dots.
    #[inline]
    pub fn name(&self, key: Key) -> &str {
        &self.paths[key.index()]
    }

    /// How often paths were forgotten: numbers given before that stand for other paths now, but for those declared.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// How many paths are never forgotten.
    pub fn kept(&self) -> usize {
        self.built.2
    }

    /// Begins a record. Forgets what records brought, where that is too much.
    pub fn begin(&mut self) {
        if self.paths.len() <= PATHS_MAX {
            return;
        }
        let (entries, text, paths) = self.built;
        self.entries.truncate(entries);
        self.text.truncate(text);
        self.paths.truncate(paths);
        self.shapes.forget();
        self.generation += 1;
        self.rehash(1024.max((entries * 2).next_power_of_two()));
    }

    /// The path of `key` (as it stands between its quotes, unescaped) below `parent`.
    pub fn child(&mut self, parent: Key, key: &str) -> Key {
        if parent == Key::REFUSED || key.len() > FIELD_NAME_BYTES_MAX {
            return Key::REFUSED;
        }
        let entry = self.entry(parent, key);
        Key(self.entries[entry].path)
    }

    fn entry(&mut self, parent: Key, key: &str) -> usize {
        let hash = hash(self.seed, parent.0, key.as_bytes());
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(index) = self.slots[at].checked_sub(1).map(|index| index as usize) {
            let entry = &self.entries[index];
            if entry.hash == hash && entry.parent == parent.0 {
                let start = entry.key_start as usize;
                if &self.text.as_bytes()[start..start + usize::from(entry.key_len)] == key.as_bytes() {
                    return index;
                }
            }
            at = (at + 1) & mask;
        }
        self.insert(parent, key, hash)
    }

    fn insert(&mut self, parent: Key, key: &str, hash: u32) -> usize {
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
        self.entries.len() - 1
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
pub(crate) fn hash(seed: u64, parent: u32, key: &[u8]) -> u32 {
    let fold = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(seed | 1 << 63);
        (product >> 64) as u64 ^ product as u64
    };
    let (words, rest) = key.as_chunks();
    let start = fold(seed, u64::from(parent) ^ ((key.len() as u64) << 32));
    let state = words.iter().fold(start, |state, word| fold(state, u64::from_le_bytes(*word)));
    fold(state, rest.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))) as u32
}
