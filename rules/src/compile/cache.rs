//! What was found in values seen before: most values of a log come again and again.
//!
//! ```text
//!  slots   part of the hash, where in the ring                       one place a hash, the newest stays
//!  ring    owner, lengths | value bytes | finds | owner, ...         overwritten in a circle; an entry that was overwritten is gone
//! ```
//!
//! The value itself is compared, so a collision, also a made one, costs a miss and never an answer. A slot is eight bytes, so that all
//! slots lie in the second-level cache: a look-up waits for memory and for little else.

/// Places for values: 128 KiB.
const SLOTS: usize = 1 << 14;
/// Bytes of a unit, in which places in the ring are counted.
const UNIT_BYTES: usize = 8;
/// Units kept of values and finds: 1 MiB a thread.
const RING_UNITS: u32 = 1 << 17;
/// Bytes of the longest value kept; longer ones seldom come again.
pub(super) const VALUE_BYTES_MAX: usize = 1024;
/// Bytes of a find.
const FIND_BYTES: usize = 8;
/// Finds of one value kept; one with more is searched each time.
const FINDS_MAX: usize = 256;
/// Units written after which all is forgotten, before places would be counted round.
const WRITTEN_MAX: u32 = u32::MAX - 2 * RING_UNITS;

/// Where a value may be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    tag: u32,
    /// Units written before it.
    written: u32,
}

/// A bounded cache from values to what was found in them. Takes its memory with the first value.
#[derive(Debug, Default)]
pub(super) struct Cache {
    slots: Box<[Slot]>,
    ring: Box<[u8]>,
    /// Units ever written.
    written: u32,
}

/// Who looks for what, how long the value is and how many finds there are: what an entry begins with.
fn header(owner: u32, value_bytes: usize, finds: usize) -> [u8; UNIT_BYTES] {
    (u64::from(owner) | (value_bytes as u64) << 32 | (finds as u64) << 48).to_le_bytes()
}

impl Cache {
    /// The slot of a hash: first asked for of several values, then looked at, so that the memory's answers are not waited for in turn.
    #[inline]
    pub(super) fn slot(&self, hash: u64) -> Slot {
        self.slots.get(hash as usize % SLOTS).copied().unwrap_or_default()
    }

    /// What `owner` (never 0) found in `value`, if that is known.
    #[inline]
    pub(super) fn get(&self, slot: Slot, owner: u32, hash: u64, value: &[u8]) -> Option<&[[u8; FIND_BYTES]]> {
        if slot.tag != (hash >> 32) as u32 || self.written.wrapping_sub(slot.written) > RING_UNITS {
            return None;
        }
        let at = (slot.written % RING_UNITS) as usize * UNIT_BYTES;
        let (begin, rest) = self.ring.get(at..)?.split_first_chunk::<UNIT_BYTES>()?;
        let [known @ .., low, high] = begin;
        if header(owner, value.len(), 0)[..6] != known[..] || rest[..value.len()] != *value {
            return None;
        }
        let finds = usize::from(u16::from_le_bytes([*low, *high]));
        Some(rest[value.len()..value.len() + finds * FIND_BYTES].as_chunks::<FIND_BYTES>().0)
    }

    /// Keeps what `owner` found in `value`, in place of what its slot held.
    pub(super) fn put(&mut self, owner: u32, hash: u64, value: &[u8], finds: &[u64]) {
        if value.len() > VALUE_BYTES_MAX || finds.len() > FINDS_MAX {
            return;
        }
        if self.slots.is_empty() || self.written > WRITTEN_MAX {
            self.slots = vec![Slot::default(); SLOTS].into();
            self.ring = vec![0; RING_UNITS as usize * UNIT_BYTES].into();
            self.written = 0;
        }
        let units = (UNIT_BYTES + value.len() + finds.len() * FIND_BYTES).div_ceil(UNIT_BYTES) as u32;
        let place = self.written % RING_UNITS;
        if place + units > RING_UNITS {
            self.written += RING_UNITS - place; // An entry is never split: what is left of the ring is passed over.
        }
        let at = (self.written % RING_UNITS) as usize * UNIT_BYTES;
        let (begin, rest) = self.ring[at..].split_at_mut(UNIT_BYTES);
        begin.copy_from_slice(&header(owner, value.len(), finds.len()));
        let (kept, rest) = rest.split_at_mut(value.len());
        kept.copy_from_slice(value);
        for (to, find) in rest.as_chunks_mut::<FIND_BYTES>().0.iter_mut().zip(finds) {
            *to = find.to_le_bytes();
        }
        self.slots[hash as usize % SLOTS] = Slot { tag: (hash >> 32) as u32, written: self.written };
        self.written += units;
    }
}

const _: () = assert!(VALUE_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(FINDS_MAX <= u16::MAX as usize);
const _: () = assert!(VALUE_BYTES_MAX + FINDS_MAX * FIND_BYTES + 2 * UNIT_BYTES < RING_UNITS as usize * UNIT_BYTES / 2);

#[cfg(test)]
mod tests {
    use super::*;

    const RING_BYTES: usize = RING_UNITS as usize * UNIT_BYTES;

    fn get(cache: &Cache, owner: u32, hash: u64, value: &[u8]) -> Option<Vec<u64>> {
        let finds = cache.get(cache.slot(hash), owner, hash, value)?;
        Some(finds.iter().map(|find| u64::from_le_bytes(*find)).collect())
    }

    #[test]
    fn what_was_put_is_there_until_it_is_overwritten() {
        let mut cache = Cache::default();
        assert_eq!(get(&cache, 1, 5, b""), None);
        cache.put(1, 5, b"", &[]);
        assert_eq!(get(&cache, 1, 5, b""), Some(vec![]));
        cache.put(1, 7, b"value", &[1, u64::MAX]);
        assert_eq!(get(&cache, 1, 7, b"value"), Some(vec![1, u64::MAX]));
        assert_eq!(get(&cache, 1, 7, b"other"), None, "the same hash of another value");
        assert_eq!(get(&cache, 1, 7, b"valu"), None, "a part of it");
        assert_eq!(get(&cache, 2, 7, b"value"), None, "of another matcher");
        assert_eq!(get(&cache, 1, 7 + (1 << 32), b"value"), None, "the same slot of another hash");
        let value = [b'x'; VALUE_BYTES_MAX];
        for n in 0..(3 * RING_BYTES / VALUE_BYTES_MAX) as u64 {
            cache.put(1, 100 + n, &value, &[n]);
            assert_eq!(get(&cache, 1, 100 + n, &value), Some(vec![n]));
        }
        assert_eq!(get(&cache, 1, 7, b"value"), None, "overwritten");
        cache.put(1, 9, &[0; VALUE_BYTES_MAX + 1], &[]);
        assert_eq!(get(&cache, 1, 9, &[0; VALUE_BYTES_MAX + 1]), None, "too long to keep");
    }

    #[test]
    fn places_are_not_counted_round() {
        let mut cache = Cache::default();
        cache.put(1, 7, b"before", &[1]);
        cache.written = WRITTEN_MAX + 1;
        cache.put(1, 8, b"after", &[2]);
        assert_eq!(get(&cache, 1, 7, b"before"), None);
        assert_eq!(get(&cache, 1, 8, b"after"), Some(vec![2]));
        assert!(cache.written < RING_UNITS);
    }
}
