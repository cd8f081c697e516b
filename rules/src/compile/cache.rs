//! What was found in values seen before: most values of a log come again and again.
//!
//! ```text
//!  slots   hash -> where in the ring, how long           one place a hash, the newest stays
//!  ring    value bytes | finds | value bytes | finds ... overwritten in a circle; an entry that was overwritten is gone
//! ```
//!
//! The value itself is compared, so a collision, also a made one, costs a miss and never an answer.

/// Places for values.
const SLOTS: usize = 1 << 15;
/// Bytes kept of values and finds: with the slots 3 MiB a thread, what a core's second-level cache holds or nearly.
const RING_BYTES: usize = 1 << 21;
/// Bytes of the longest value kept; longer ones seldom come again.
pub(super) const VALUE_BYTES_MAX: usize = 1024;
/// Finds of one value kept; one with more is searched each time.
const FINDS_MAX: usize = 256;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u64,
    /// Whose find it is.
    owner: u32,
    /// Where it was written, counted from the ring's beginning and never wrapped; plus one, zero where the slot is free.
    written: u64,
    value_bytes: u16,
    finds: u16,
}

/// A bounded cache from values to what was found in them. Takes its memory with the first value.
#[derive(Debug, Default)]
pub(super) struct Cache {
    slots: Box<[Slot]>,
    ring: Box<[u8]>,
    /// Bytes ever written.
    written: u64,
}

impl Cache {
    /// Adds what `owner` found in `value` to `finds`, if that is known.
    pub(super) fn get(&self, owner: u32, hash: u64, value: &[u8], finds: &mut Vec<u32>) -> bool {
        let Some(slot) = self.slots.get(hash as usize % SLOTS) else { return false };
        if slot.hash != hash || slot.owner != owner || slot.written == 0 || usize::from(slot.value_bytes) != value.len() {
            return false;
        }
        let start = slot.written - 1;
        if start + RING_BYTES as u64 <= self.written {
            return false;
        }
        let at = start as usize % RING_BYTES;
        let (kept, rest) = self.ring[at..].split_at(value.len());
        if kept != value {
            return false;
        }
        let bytes = &rest[..usize::from(slot.finds) * 4];
        finds.extend(bytes.as_chunks::<4>().0.iter().map(|find| u32::from_le_bytes(*find)));
        true
    }

    /// Keeps what `owner` found in `value`, in place of what its slot held.
    pub(super) fn put(&mut self, owner: u32, hash: u64, value: &[u8], finds: &[u32]) {
        if value.len() > VALUE_BYTES_MAX || finds.len() > FINDS_MAX {
            return;
        }
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS].into();
            self.ring = vec![0; RING_BYTES].into();
        }
        let bytes = value.len() + finds.len() * 4;
        let mut at = self.written as usize % RING_BYTES;
        if at + bytes >= RING_BYTES {
            // An entry is never split: what is left of the ring is passed over.
            self.written += (RING_BYTES - at) as u64;
            at = 0;
        }
        self.slots[hash as usize % SLOTS] =
            Slot { hash, owner, written: self.written + 1, value_bytes: value.len() as u16, finds: finds.len() as u16 };
        let (kept, rest) = self.ring[at..].split_at_mut(value.len());
        kept.copy_from_slice(value);
        for (to, find) in rest.as_chunks_mut::<4>().0.iter_mut().zip(finds) {
            *to = find.to_le_bytes();
        }
        self.written += bytes.max(1) as u64;
    }
}

const _: () = assert!(VALUE_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(FINDS_MAX <= u16::MAX as usize);
const _: () = assert!(VALUE_BYTES_MAX + FINDS_MAX * 4 < RING_BYTES / 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_there_until_it_is_overwritten() {
        let mut cache = Cache::default();
        let mut finds = Vec::new();
        assert!(!cache.get(0, 5, b"", &mut finds));
        cache.put(0, 5, b"", &[]);
        assert!(cache.get(0, 5, b"", &mut finds));
        cache.put(0, 7, b"value", &[1, u32::MAX]);
        assert!(cache.get(0, 7, b"value", &mut finds));
        assert_eq!(finds, [1, u32::MAX]);
        assert!(!cache.get(0, 7, b"other", &mut finds), "the same hash of another value");
        assert!(!cache.get(1, 7, b"value", &mut finds), "of another matcher");
        assert!(!cache.get(0, 7 + SLOTS as u64, b"value", &mut finds));
        let value = [b'x'; VALUE_BYTES_MAX];
        for n in 0..(3 * RING_BYTES / VALUE_BYTES_MAX) as u64 {
            cache.put(0, 100 + n, &value, &[n as u32]);
            finds.clear();
            assert!(cache.get(0, 100 + n, &value, &mut finds));
            assert_eq!(finds, [n as u32]);
        }
        assert!(!cache.get(0, 7, b"value", &mut finds), "overwritten");
        cache.put(0, 9, &[0; VALUE_BYTES_MAX + 1], &[]);
        assert!(!cache.get(0, 9, &[0; VALUE_BYTES_MAX + 1], &mut finds), "too long to keep");
    }
}
