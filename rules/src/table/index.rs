//! Slots by the hash of their keys: open, with linear probing. Of a look-up it is mostly one line of a cache, and which one is known from
//! the hash alone, so that many can be read ahead at once. What grows is moved by what lies in it: the keys are not read again.

use super::NONE;

/// Slots by the hash of their keys.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A power of two of them, or none.
    buckets: Vec<Bucket>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    hash: u32,
    slot: u32,
}

/// Of so many eighths of the buckets that are full it grows.
const EIGHTHS_MAX: usize = 5;
const BUCKETS_MIN: usize = 8;

impl Index {
    /// About how many bytes a slot takes, with its share of the empty buckets.
    pub(crate) const BYTES_EACH: usize = 2 * size_of::<Bucket>();

    /// How many slots there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it holds.
    pub(crate) fn byte_len(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// Something that hangs on what [`Index::find`] reads first, to read it ahead.
    #[inline]
    pub(crate) fn touch(&self, hash: u32) -> u64 {
        if self.buckets.is_empty() { 0 } else { self.buckets[self.home(hash)].slot.into() }
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.buckets.len() - 1)
    }

    /// The first slot of that hash that `is` the one.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.buckets.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let bucket = self.buckets[at];
            if bucket.slot == NONE {
                return None;
            }
            if bucket.hash == hash && is(bucket.slot) {
                return Some(bucket.slot);
            }
            at = self.after(at);
        }
    }

    /// Adds a slot that is not there.
    pub(crate) fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 8 > self.buckets.len() * EIGHTHS_MAX {
            let more = (self.buckets.len() * 2).max(BUCKETS_MIN);
            let before = std::mem::replace(&mut self.buckets, vec![Bucket { hash: 0, slot: NONE }; more]);
            before.into_iter().filter(|bucket| bucket.slot != NONE).for_each(|bucket| self.put(bucket));
        }
        self.put(Bucket { hash, slot });
        self.len += 1;
    }

    fn put(&mut self, bucket: Bucket) {
        let mut at = self.home(bucket.hash);
        while self.buckets[at].slot != NONE {
            at = self.after(at);
        }
        self.buckets[at] = bucket;
    }

    /// Takes out a slot that is there, and moves up those behind it that would not be found otherwise.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let mut hole = self.home(hash);
        while self.buckets[hole].slot != slot {
            hole = self.after(hole);
        }
        let mask = self.buckets.len() - 1;
        let mut at = self.after(hole);
        while self.buckets[at].slot != NONE {
            let from_home = at.wrapping_sub(self.home(self.buckets[at].hash)) & mask;
            if from_home >= at.wrapping_sub(hole) & mask {
                self.buckets[hole] = self.buckets[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.buckets[hole].slot = NONE;
        self.len -= 1;
    }
}
