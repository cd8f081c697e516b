//! The keys of JSON records as small numbers: a path of keys is found by hash, without building its name.
//!
//! A key is known by its parent and the bytes between its quotes. Records of one kind have their keys in one order, so the key that
//! followed before is compared first: where it stands again, it costs neither the search for its end nor a hash. Any other costs a hash
//! and a comparison. `{"id":{"orig_h":..}}` and `{"id.orig_h":..}` are the same path: senders write both.

use std::hash::{BuildHasher, RandomState};

use crate::limits::FIELD_NAME_BYTES_MAX;

/// A path of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key(u32);

impl Key {
    /// The record itself: no key.
    pub const ROOT: Key = Key(0);
    /// A path too long to be a field's name: its value is not a column.
    pub const REFUSED: Key = Key(1);

    /// The number, for tables indexed by path.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Paths that a table holds before those that records brought are forgotten: what senders invent does not grow it for ever.
pub const PATHS_MAX: usize = 1 << 15;

/// Keys that are expected after one.
const AFTER: usize = 4;
/// Bytes of a key that are compared at once.
const HEAD_BYTES: usize = 16;

/// An entry: this key below this parent is that path.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    parent: u32,
    path: u32,
    /// Where the key stands in the text, its closing quote behind it.
    key_start: u32,
    key_len: u16,
    /// Whether it is written as it is read: nothing in it is escaped.
    is_plain: bool,
    /// Its first bytes with the closing quote, and which bits of so many are theirs: most keys are compared at once.
    head: u128,
    head_mask: u128,
    /// The entries (plus one) that last came after it, the latest first: records of several kinds share a key and part after it.
    after: [u32; AFTER],
}

/// The table of paths. Every reader of JSON has its own.
#[derive(Debug)]
pub struct Keys {
    /// Open addressing, linear probing; a power of two, at most half full. Holds an index into `entries` plus one.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    text: String,
    paths: Vec<Box<str>>,
    /// The entry (plus one) of the key before, 0 at a record's start, and what last came at a start.
    last: u32,
    first: [u32; AFTER],
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
            last: 0,
            first: [0; AFTER],
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
    pub fn name(&self, key: Key) -> &str {
        &self.paths[key.index()]
    }

    /// How often paths were forgotten: numbers given before that stand for other paths now, but for those declared.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// How many paths are never forgotten.
    pub fn kept(&self) -> usize {
        self.built.2
    }

    /// Begins a record. Forgets what records brought, where that is too much.
    pub fn begin(&mut self) {
        self.last = 0;
        if self.paths.len() <= PATHS_MAX {
            return;
        }
        let (entries, text, paths) = self.built;
        self.entries.truncate(entries);
        self.text.truncate(text);
        self.paths.truncate(paths);
        self.first = [0; AFTER];
        self.entries.iter_mut().for_each(|entry| entry.after = [0; AFTER]);
        self.generation += 1;
        self.rehash(1024.max((entries * 2).next_power_of_two()));
    }

    /// The path that is expected below `parent` and how many bytes of `rest` its key takes with the closing quote, where `rest` (what
    /// stands behind the opening quote) begins with it.
    #[inline]
    pub fn expected(&mut self, parent: Key, rest: &[u8]) -> Option<(Key, usize)> {
        let head = u128::from_le_bytes(*rest.first_chunk::<HEAD_BYTES>()?);
        let after = match self.last.checked_sub(1) {
            None => self.first,
            Some(last) => self.entries[last as usize].after,
        };
        for number in after {
            let Some(entry) = number.checked_sub(1).map(|at| &self.entries[at as usize]) else { break };
            if entry.parent != parent.0 || head & entry.head_mask != entry.head {
                continue;
            }
            let length = usize::from(entry.key_len) + 1;
            if length > HEAD_BYTES {
                let start = entry.key_start as usize;
                if !rest.starts_with(&self.text.as_bytes()[start..start + length]) {
                    continue;
                }
            }
            self.last = number;
            return Some((Key(entry.path), length));
        }
        None
    }

    /// The path of `key` (as it stands between its quotes, unescaped) below `parent`.
    pub fn child(&mut self, parent: Key, key: &str) -> Key {
        if parent == Key::REFUSED || key.len() > FIELD_NAME_BYTES_MAX {
            return Key::REFUSED;
        }
        let entry = self.entry(parent, key);
        Key(self.entries[entry].path)
    }

    /// [`Keys::child`] of the key that comes next in a record: it is expected there from now on.
    pub fn next(&mut self, parent: Key, key: &str) -> Key {
        if parent == Key::REFUSED || key.len() > FIELD_NAME_BYTES_MAX {
            return Key::REFUSED;
        }
        let entry = self.entry(parent, key);
        let number = entry as u32 + 1;
        if self.entries[entry].is_plain {
            let after = match self.last.checked_sub(1) {
                None => &mut self.first,
                Some(last) => &mut self.entries[last as usize].after,
            };
            let from = after.iter().position(|known| *known == number).unwrap_or(AFTER - 1);
            after.copy_within(..from, 1);
            after[0] = number;
        }
        self.last = number;
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
        self.text.push('"');
        let is_plain = !key.bytes().any(|byte| matches!(byte, b'"' | b'\\'));
        let key_len = key.len() as u16;
        let mut head = [0; HEAD_BYTES];
        for (to, byte) in head.iter_mut().zip(key.bytes().chain([b'"'])) {
            *to = byte;
        }
        let bits = 8 * (key.len() as u32 + 1);
        self.entries.push(Entry {
            hash,
            parent: parent.0,
            path: path.0,
            key_start,
            key_len,
            is_plain,
            head: u128::from_le_bytes(head),
            head_mask: u128::MAX.checked_shl(bits).map_or(u128::MAX, |above| !above),
            after: [0; AFTER],
        });
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
fn hash(seed: u64, parent: u32, key: &[u8]) -> u32 {
    let fold = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(seed | 1 << 63);
        (product >> 64) as u64 ^ product as u64
    };
    let (words, rest) = key.as_chunks();
    let start = fold(seed, u64::from(parent) ^ ((key.len() as u64) << 32));
    let state = words.iter().fold(start, |state, word| fold(state, u64::from_le_bytes(*word)));
    fold(state, rest.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_is_expected() {
        let mut keys = Keys::new();
        let (mut a, mut b) = (Key::ROOT, Key::ROOT);
        for order in [["a", "b", "c"], ["a", "b", "c"], ["a", "c", "b"]] {
            keys.begin();
            order.iter().for_each(|key| _ = keys.next(Key::ROOT, key));
            (a, b) = (keys.child(Key::ROOT, "a"), keys.child(Key::ROOT, "b"));
        }
        keys.begin();
        assert_eq!(keys.expected(Key::ROOT, b"ab\":1,\"other\":\"b\"}"), None, "another key that begins alike");
        assert_eq!(keys.expected(a, b"a\":1,\"other\":\"b\"}"), None, "below another parent");
        assert_eq!(keys.expected(Key::ROOT, b"a\":1,\"other\":\"b\"}"), Some((a, 2)));
        assert_eq!(keys.expected(Key::ROOT, b"b\":1,\"other\":\"b\"}"), Some((b, 2)), "one of the two that came after");
        assert_eq!(keys.expected(Key::ROOT, b"x\":1,\"other\":\"b\"}"), None);
        let escaped = keys.next(Key::ROOT, "q\"x");
        keys.begin();
        keys.next(Key::ROOT, "a");
        keys.next(Key::ROOT, "b");
        assert_eq!(keys.expected(Key::ROOT, b"q\"x\":1,\"other\":\"b\"}"), None, "a quote ends the key that is written");
        assert_eq!(keys.child(Key::ROOT, "q\"x"), escaped);
    }
}
