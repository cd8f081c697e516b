//! A table with a bound: beyond it the entry that was idle longest gives way. What is seen of it never depends on the order of hashes.
//!
//! ```text
//!  index  hash ─▶ slot            slots  [ key value touched older newer ] ...
//!                                 oldest ─▶ ... ─▶ newest      a list through the slots, in the order in which they were touched
//! ```

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// No slot: an end of the list.
const NONE: u32 = u32::MAX;
/// Keys that are looked ahead for: what is read for so many fits the nearest caches.
pub(super) const AHEAD: usize = 32;

/// Where an entry lies, until something is removed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u32);

struct Slot<K, V> {
    key: K,
    value: V,
    touched: i64,
}

/// A slot's neighbours in the order of touch, and its key's hash; by themselves, so that many fit where few slots would.
#[derive(Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
    hash: u64,
}

/// See the module.
pub(super) struct Table<K, V> {
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    slots: Vec<Slot<K, V>>,
    links: Vec<Link>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    max: usize,
    evicted: u64,
}

impl<K: Copy + Eq + Hash, V: Default> Table<K, V> {
    /// A table of at most `max` entries.
    pub(super) fn new(max: usize) -> Table<K, V> {
        Table {
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            slots: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            max: max.clamp(1, NONE as usize - 1),
            evicted: 0,
        }
    }

    /// Changes how many entries there may be at most. More than that give way one by one, as others come.
    pub(super) fn bound(&mut self, max: usize) {
        self.max = max.clamp(1, NONE as usize - 1);
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Entries that gave way so far.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes that the table itself holds, what its values point to not counted.
    pub(super) fn byte_len(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<K, V>>()
            + self.links.capacity() * size_of::<Link>()
            + self.index.capacity() * 5
            + self.free.capacity() * 4
    }

    fn find(&self, key: &K) -> Option<u32> {
        if self.is_newest(key) {
            return Some(self.newest);
        }
        if self.index.is_empty() { None } else { self.find_hashed(self.hasher.hash_one(key), key) }
    }

    /// Whether `key` was touched last: many records in a row are about one tenant, one device, one host.
    fn is_newest(&self, key: &K) -> bool {
        self.slots.get(self.newest as usize).is_some_and(|slot| slot.key == *key)
    }

    fn find_hashed(&self, hash: u64, key: &K) -> Option<u32> {
        self.index.find(hash, |slot| self.slots[*slot as usize].key == *key).copied()
    }

    /// The value of `key`, not touched.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.find(key).map(|slot| &self.slots[slot as usize].value)
    }

    /// The value of `key`, not touched.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).map(|slot| &mut self.slots[slot as usize].value)
    }

    /// Where the value of `key` lies, not touched.
    pub(super) fn place(&self, key: &K) -> Option<Place> {
        self.find(key).map(Place)
    }

    /// The value at a place.
    pub(super) fn at(&self, place: Place) -> &V {
        &self.slots[place.0 as usize].value
    }

    /// The value at a place.
    pub(super) fn at_mut(&mut self, place: Place) -> &mut V {
        &mut self.slots[place.0 as usize].value
    }

    /// The value of `key`, made if it was not there, touched at `now`.
    pub(super) fn entry(&mut self, key: K, now: i64) -> &mut V {
        let place = self.entry_place(key, now);
        self.at_mut(place)
    }

    /// Where the value of `key` lies, made if it was not there, touched at `now`.
    pub(super) fn entry_place(&mut self, key: K, now: i64) -> Place {
        // What was touched last stays where it is.
        if self.is_newest(&key) {
            self.slots[self.newest as usize].touched = now;
            return Place(self.newest);
        }
        let hash = self.hasher.hash_one(key);
        let slot = match self.find_hashed(hash, &key) {
            Some(slot) => {
                self.unlink(slot);
                slot
            }
            None => {
                if self.index.len() >= self.max && self.pop_oldest().is_some() {
                    self.evicted += 1;
                }
                self.insert(hash, key, V::default())
            }
        };
        self.link(slot, now);
        Place(slot)
    }

    fn insert(&mut self, hash: u64, key: K, value: V) -> u32 {
        let made = Slot { key, value, touched: i64::MIN };
        let link = Link { older: NONE, newer: NONE, hash };
        let slot = match self.free.pop() {
            Some(slot) => {
                (self.slots[slot as usize], self.links[slot as usize]) = (made, link);
                slot
            }
            None => {
                self.slots.push(made);
                self.links.push(link);
                (self.slots.len() - 1) as u32
            }
        };
        let links = &self.links;
        self.index.insert_unique(hash, slot, |other| links[*other as usize].hash);
        slot
    }

    /// Forgets `key`; gives its value.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.find(key)?;
        Some(self.take_out(slot))
    }

    fn take_out(&mut self, slot: u32) -> V {
        if let Ok(entry) = self.index.find_entry(self.links[slot as usize].hash, |other| *other == slot) {
            entry.remove();
        }
        self.unlink(slot);
        self.free.push(slot);
        std::mem::take(&mut self.slots[slot as usize].value)
    }

    /// Forgets the entry that was idle longest; gives it.
    pub(super) fn pop_oldest(&mut self) -> Option<(K, V)> {
        let oldest = self.oldest;
        let key = self.slots.get(oldest as usize)?.key;
        Some((key, self.take_out(oldest)))
    }

    /// Reads what will be needed when each of `keys`, [`AHEAD`] at most, is asked for in turn, and `deeper` what a value points to. It
    /// changes nothing; but reads that do not wait for each other take hardly longer than one, and then all of it lies near. What it gives
    /// hangs on what was read, so that the reads are not left out.
    pub(super) fn warm(&self, keys: impl Iterator<Item = K>, deeper: impl Fn(&V) -> u64) -> u64 {
        let (mut slots, mut len) = ([NONE; AHEAD], 0);
        for (slot, key) in slots.iter_mut().zip(keys) {
            // Whether it is the key is not asked: that would wait for the slot. It is, but once in a hundred times.
            *slot = self.index.find(self.hasher.hash_one(key), |_| true).copied().unwrap_or(NONE);
            len += 1;
        }
        let slots = &slots[..len];
        let mut read = 0;
        // A full table gives up an entry for each new one.
        if self.index.len() >= self.max {
            let mut at = self.oldest;
            for _ in 0..len {
                let Some(link) = self.links.get(at as usize) else { break };
                read ^= self.index.find(link.hash, |_| true).copied().unwrap_or(NONE) as i64;
                at = link.newer;
            }
        }
        for slot in slots {
            let (Some(slot), Some(link)) = (self.slots.get(*slot as usize), self.links.get(*slot as usize)) else { continue };
            read ^= slot.touched ^ i64::from(link.newer);
        }
        let mut deep = 0;
        for slot in slots {
            let (Some(slot), Some(link)) = (self.slots.get(*slot as usize), self.links.get(*slot as usize)) else { continue };
            for near in [link.older, link.newer] {
                read ^= self.links.get(near as usize).map_or(0, |near| i64::from(near.newer));
            }
            deep ^= deeper(&slot.value);
        }
        read as u64 ^ deep
    }

    /// Every value, from the one that was idle longest on.
    pub(super) fn for_each(&mut self, mut see: impl FnMut(&mut V)) {
        let mut at = self.oldest;
        while let Some(slot) = self.slots.get_mut(at as usize) {
            at = self.links[at as usize].newer;
            see(&mut slot.value);
        }
    }

    /// Forgets a few of the entries that were not touched since `before`; called at each step, it keeps up.
    pub(super) fn expire(&mut self, before: i64) {
        for _ in 0..4 {
            if self.slots.get(self.oldest as usize).is_none_or(|slot| slot.touched >= before) {
                break;
            }
            self.pop_oldest();
        }
    }

    /// Entries from the one idle longest to the one touched last.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V, i64)> {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = self.links[at as usize].newer;
            Some((&slot.key, &slot.value, slot.touched))
        })
    }

    fn unlink(&mut self, slot: u32) {
        let Link { older, newer, .. } = self.links[slot as usize];
        match self.links.get_mut(older as usize) {
            Some(other) => other.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(other) => other.older = older,
            None => self.newest = older,
        }
    }

    fn link(&mut self, slot: u32, now: i64) {
        self.slots[slot as usize].touched = now;
        let link = &mut self.links[slot as usize];
        (link.older, link.newer) = (self.newest, NONE);
        match self.links.get_mut(self.newest as usize) {
            Some(other) => other.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }
}

impl<K: Copy + Eq + Hash + Serialize, V: Default + Serialize> Serialize for Table<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries: Vec<(&K, &V, i64)> = self.iter().collect();
        (self.max, self.evicted, entries).serialize(serializer)
    }
}

impl<'de, K: Copy + Eq + Hash + Deserialize<'de>, V: Default + Deserialize<'de>> Deserialize<'de> for Table<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Table<K, V>, D::Error> {
        let (max, evicted, entries) = <(usize, u64, Vec<(K, V, i64)>)>::deserialize(deserializer)?;
        let mut table = Table::new(max);
        table.evicted = evicted;
        for (key, value, touched) in entries {
            let hash = table.hasher.hash_one(key);
            if table.find_hashed(hash, &key).is_none() {
                let slot = table.insert(hash, key, value);
                table.link(slot, touched);
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(table: &Table<u32, u32>) -> Vec<u32> {
        table.iter().map(|(key, _, _)| *key).collect()
    }

    proptest! {
        /// Against the obvious form: a list in the order of touch.
        #[test]
        fn it_is_a_list_in_order_of_touch(steps in prop::collection::vec((0u8..4, 0u32..12), 0..200)) {
            let mut table: Table<u32, u32> = Table::new(8);
            let mut plain: Vec<(u32, u32)> = Vec::new();
            for (now, (step, key)) in steps.into_iter().enumerate() {
                match step {
                    0..=1 => {
                        *table.entry(key, now as i64) += 1;
                        let value = plain.iter().position(|(k, _)| *k == key).map_or(0, |at| plain.remove(at).1);
                        if plain.len() >= 8 {
                            plain.remove(0);
                        }
                        plain.push((key, value + 1));
                    }
                    2 => {
                        let value = plain.iter().position(|(k, _)| *k == key).map(|at| plain.remove(at).1);
                        prop_assert_eq!(table.remove(&key), value);
                    }
                    _ => {
                        let oldest = (!plain.is_empty()).then(|| plain.remove(0));
                        prop_assert_eq!(table.pop_oldest(), oldest);
                    }
                }
                prop_assert_eq!(keys(&table), plain.iter().map(|(k, _)| *k).collect::<Vec<_>>());
                prop_assert!(plain.iter().all(|(k, v)| table.get(k) == Some(v)));
            }
            let bytes = serde_json::to_vec(&table).expect("serialisable");
            let again: Table<u32, u32> = serde_json::from_slice(&bytes).expect("readable");
            prop_assert_eq!(keys(&again), keys(&table));
        }
    }

    #[test]
    fn what_is_idle_expires_and_what_is_too_much_is_counted() {
        let mut table: Table<u32, ()> = Table::new(3);
        for key in 0..5 {
            table.entry(key, i64::from(key));
        }
        assert_eq!((table.len(), table.evicted()), (3, 2));
        table.expire(4);
        assert_eq!(table.iter().map(|(key, _, _)| *key).collect::<Vec<_>>(), [4]);
    }
}
