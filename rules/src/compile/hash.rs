//! Hashing of rule literals and event values. Every hit is compared byte by byte, so collisions cost time, never an answer.

/// Odd constants with well mixed bits (from the digits of pi).
const MIX: u64 = 0x243f_6a88_85a3_08d3;
const STEP: u64 = 0x1319_8a2e_0370_7345;

/// A 64-bit hash of `bytes`, sixteen bytes a step (the multiply-and-fold of wyhash).
pub(super) fn hash(bytes: &[u8], seed: u64) -> u64 {
    let word = |at: &[u8]| {
        let mut word = [0; 8];
        word[..at.len()].copy_from_slice(at);
        u64::from_le_bytes(word)
    };
    let mut state = seed ^ (bytes.len() as u64).wrapping_mul(STEP);
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk::<16>() {
        let (low, high) = block.split_at(8);
        state = fold(word(low) ^ STEP, word(high) ^ state ^ MIX);
        rest = after;
    }
    let (low, high) = rest.split_at(rest.len().min(8));
    fold(word(low) ^ STEP ^ state, word(high) ^ MIX)
}

fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    wide as u64 ^ (wide >> 64) as u64
}

/// A table from 64-bit keys to numbers: built once, open addressing, at most half full.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Key, and number plus one; zero where the slot is free.
    slots: Box<[(u64, u32)]>,
}

impl Table {
    /// The table that gives each key its number. Keys are distinct, numbers below `u32::MAX`.
    pub(super) fn new(keys: &[(u64, u32)]) -> Table {
        let mut slots = vec![(0, 0); (keys.len() * 2).next_power_of_two()].into_boxed_slice();
        for (key, number) in keys.iter().copied() {
            let mut slot = Table::start(key, slots.len());
            while slots[slot].1 != 0 {
                slot = (slot + 1) & (slots.len() - 1);
            }
            slots[slot] = (key, number + 1);
        }
        Table { slots }
    }

    fn start(key: u64, slots: usize) -> usize {
        (key.wrapping_mul(MIX | 1) >> 32) as usize & (slots - 1)
    }

    /// The number of `key`.
    pub(super) fn get(&self, key: u64) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = Table::start(key, self.slots.len());
        loop {
            let (found, at) = self.slots[slot];
            if at == 0 {
                return None;
            }
            if found == key {
                return Some(at as usize - 1);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_its_keys_and_no_others() {
        let keys: Vec<u64> = (0..1000).map(|n| n * n * 64).collect();
        let table = Table::new(&keys.iter().copied().zip(0..).collect::<Vec<_>>());
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(table.get(*key), Some(at));
        }
        assert_eq!(table.get(3), None);
        assert_eq!(Table::new(&[]).get(0), None);
        assert_eq!(Table::default().get(0), None);
    }

    #[test]
    fn the_hash_sees_every_byte_and_the_length() {
        let text: Vec<u8> = (0..80).collect();
        for length in 0..text.len() {
            let whole = hash(&text[..length], 7);
            assert_ne!(whole, hash(&text[..length], 8));
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 1;
                assert_ne!(whole, hash(&other, 7), "byte {at} of {length}");
            }
            let mut longer = text[..length].to_vec();
            longer.push(0);
            assert_ne!(whole, hash(&longer, 7));
        }
    }
}
