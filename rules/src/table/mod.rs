//! A table with a bound: beyond it the entry that was idle longest gives way. What is seen of it never depends on the order of hashes.
//!
//! ```text
//!  index  [ hash slot ] ...       slots  [ touched turn key value ] ...
//!                                 order  slot · slot slot · slot    one for each touch, the oldest first; whoever is touched again
//!                                        ▲ first                    leaves its earlier place empty (·)
//! ```
//!
//! [`Index`] and [`Order`] serve whoever keeps slots of its own.

mod index;
mod order;

use std::hash::{BuildHasher, Hash};

use hashbrown::DefaultHashBuilder;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

pub(crate) use index::Index;
pub(crate) use order::Order;

/// No slot: an empty place in the order, or in the index.
pub(crate) const NONE: u32 = u32::MAX;
/// Keys that are looked ahead for at most: what is read for so many fits the nearest caches.
pub(crate) const AHEAD: usize = 64;

/// What an [`Index`] knows a key by.
#[inline]
pub(crate) fn hash_of<K: Hash + ?Sized>(hasher: &DefaultHashBuilder, key: &K) -> u32 {
    let hash = hasher.hash_one(key);
    (hash ^ hash >> 32) as u32
}

/// Where an entry lies, until something is removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(u32);

/// What every look-up reads stands first, beside each other.
#[repr(C)]
struct Slot<K, V> {
    touched: i64,
    /// Its place in the order.
    turn: u64,
    key: K,
    value: V,
}

/// See the module.
pub(crate) struct Table<K, V> {
    index: Index,
    hasher: DefaultHashBuilder,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    order: Order,
    max: usize,
    evicted: u64,
}

impl<K: Copy + Eq + Hash, V: Default> Table<K, V> {
    /// A table of at most `max` entries.
    pub(crate) fn new(max: usize) -> Table<K, V> {
        Table {
            index: Index::default(),
            hasher: DefaultHashBuilder::default(),
            slots: Vec::new(),
            free: Vec::new(),
            order: Order::default(),
            max: max.clamp(1, NONE as usize - 1),
            evicted: 0,
        }
    }

    /// Changes how many entries there may be at most. More than that give way one by one, as others come.
    pub(crate) fn bound(&mut self, max: usize) {
        self.max = max.clamp(1, NONE as usize - 1);
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Entries that gave way so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes that the table itself holds, what its values point to not counted.
    pub(crate) fn byte_len(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<K, V>>() + self.index.byte_len() + self.order.byte_len() + self.free.capacity() * 4
    }

    fn find(&self, key: &K) -> Option<u32> {
        if let Some(newest) = self.newest(key) {
            return Some(newest);
        }
        if self.index.len() == 0 { None } else { self.find_hashed(self.hash(key), key) }
    }

    /// The slot that was touched last, if it is that of `key`: many records in a row are about one tenant, one device, one host.
    fn newest(&self, key: &K) -> Option<u32> {
        self.order.newest().filter(|newest| self.slots[*newest as usize].key == *key)
    }

    fn hash(&self, key: &K) -> u32 {
        hash_of(&self.hasher, key)
    }

    fn find_hashed(&self, hash: u32, key: &K) -> Option<u32> {
        self.index.find(hash, |slot| self.slots[slot as usize].key == *key)
    }

    /// The value of `key`, not touched.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.find(key).map(|slot| &self.slots[slot as usize].value)
    }

    /// The value of `key`, not touched.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).map(|slot| &mut self.slots[slot as usize].value)
    }

    /// Where the value of `key` lies, not touched.
    pub(crate) fn place(&self, key: &K) -> Option<Place> {
        self.find(key).map(Place)
    }

    /// The value at a place.
    pub(crate) fn at(&self, place: Place) -> &V {
        &self.slots[place.0 as usize].value
    }

    /// The value at a place.
    pub(crate) fn at_mut(&mut self, place: Place) -> &mut V {
        &mut self.slots[place.0 as usize].value
    }

    /// The value of `key`, made if it was not there, touched at `now`.
    pub(crate) fn entry(&mut self, key: K, now: i64) -> &mut V {
        let place = self.entry_place(key, now);
        self.at_mut(place)
    }

    /// Where the value of `key` lies, made if it was not there, touched at `now`.
    pub(crate) fn entry_place(&mut self, key: K, now: i64) -> Place {
        // What was touched last stays where it is.
        if let Some(newest) = self.newest(&key) {
            self.slots[newest as usize].touched = now;
            return Place(newest);
        }
        let hash = self.hash(&key);
        let slot = match self.find_hashed(hash, &key) {
            Some(slot) => {
                self.leave(slot);
                slot
            }
            None => {
                if self.index.len() >= self.max && self.pop_oldest().is_some() {
                    self.evicted += 1;
                }
                self.insert(hash, key, V::default())
            }
        };
        self.touch(slot, now);
        Place(slot)
    }

    fn insert(&mut self, hash: u32, key: K, value: V) -> u32 {
        let made = Slot { touched: i64::MIN, turn: 0, key, value };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = made;
                slot
            }
            None => {
                self.slots.push(made);
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(hash, slot);
        slot
    }

    /// Forgets `key`; gives its value.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.find(key)?;
        Some(self.take_out(slot))
    }

    fn take_out(&mut self, slot: u32) -> V {
        self.index.remove(self.hash(&self.slots[slot as usize].key), slot);
        self.leave(slot);
        self.free.push(slot);
        std::mem::take(&mut self.slots[slot as usize].value)
    }

    /// Forgets the entry that was idle longest; gives it.
    pub(crate) fn pop_oldest(&mut self) -> Option<(K, V)> {
        let oldest = self.order.oldest()?;
        let key = self.slots[oldest as usize].key;
        Some((key, self.take_out(oldest)))
    }

    /// Reads what will be needed when each of `keys`, the first [`AHEAD`] of them, is asked for in turn, and `deeper` what the value of the nth of them
    /// points to. It changes nothing; but reads that do not wait for each other take hardly longer than one, and then all of it lies near. What it gives
    /// hangs on what was read, so that the reads are not left out.
    pub(crate) fn warm(&self, keys: impl Iterator<Item = K>, deeper: impl Fn(usize, &V) -> u64) -> u64 {
        if self.index.len() == 0 {
            return 0;
        }
        // Step by step for all of them, so that of each step the reads do not wait for each other.
        let (mut hashes, mut len, mut read) = ([0; AHEAD], 0, 0);
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = self.hash(&key);
            read ^= self.index.touch(*hash);
            len += 1;
        }
        // A full table gives up an entry for each new one.
        let going = if self.index.len() >= self.max { len } else { 0 };
        let oldest = || self.order.iter().take(going).map(|slot| &self.slots[slot as usize]);
        read = oldest().fold(read, |read, slot| read ^ slot.turn);
        // Whether it is the key is not asked: that would wait for the slot. It is, but once in a billion times.
        let slots = &mut hashes[..len];
        slots.iter_mut().for_each(|hash| *hash = self.index.find(*hash, |_| true).unwrap_or(NONE));
        let found = || slots.iter().enumerate().filter(|(_, slot)| **slot != NONE);
        let slot = |slot: &u32| &self.slots[*slot as usize];
        read = found().fold(read, |read, (_, at)| read ^ slot(at).turn);
        read = oldest().fold(read, |read, slot| read ^ self.index.touch(self.hash(&slot.key)));
        found().fold(read, |read, (nth, at)| read ^ self.order.read(slot(at).turn) ^ deeper(nth, &slot(at).value))
    }

    /// Every value, from the one that was idle longest on.
    pub(crate) fn for_each(&mut self, mut see: impl FnMut(&mut V)) {
        for slot in self.order.iter() {
            see(&mut self.slots[slot as usize].value);
        }
    }

    /// Forgets a few of the entries that were not touched since `before`; called at each step, it keeps up.
    pub(crate) fn expire(&mut self, before: i64) {
        for _ in 0..4 {
            if self.order.oldest().is_none_or(|oldest| self.slots[oldest as usize].touched >= before) {
                break;
            }
            self.pop_oldest();
        }
    }

    /// Entries from the one idle longest to the one touched last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V, i64)> {
        self.order.iter().map(|slot| {
            let Slot { touched, key, value, .. } = &self.slots[slot as usize];
            (key, value, *touched)
        })
    }

    /// The slot leaves its place in the order.
    fn leave(&mut self, slot: u32) {
        self.order.leave(self.slots[slot as usize].turn);
    }

    /// Puts a slot that has no place at the end of the order.
    fn touch(&mut self, slot: u32, now: i64) {
        let slots = &mut self.slots;
        let turn = self.order.push(slot, self.index.len(), |slot, turn| slots[slot as usize].turn = turn);
        let touched = &mut slots[slot as usize];
        (touched.touched, touched.turn) = (now, turn);
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
            let hash = table.hash(&key);
            if table.find_hashed(hash, &key).is_none() {
                let slot = table.insert(hash, key, value);
                table.touch(slot, touched);
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
