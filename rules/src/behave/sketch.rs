//! How many different values there were: exact while few, estimated beyond (HyperLogLog; Flajolet et al. 2007, with linear counting for
//! small numbers). Hashes are fixed, so that a count means the same on every machine and after every restart.

use hashbrown::HashSet;
use serde::{Deserialize, Serialize, Serializer};

/// Values that are kept in a sorted list; more go to a set.
const LIST_MAX: usize = 16;

/// A hash with no key: every bit of the input changes every bit of it with even chance (the finaliser of MurmurHash3, twice).
pub(super) fn mix(value: u128) -> u64 {
    let half = |mut x: u64| {
        x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        x ^ (x >> 33)
    };
    half((value as u64).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(half((value >> 64) as u64).rotate_left(29)))
}

/// The hash of a text, letter case aside.
pub(super) fn mix_text(text: &str) -> u64 {
    let mut state = text.len() as u64;
    for chunk in text.as_bytes().chunks(8) {
        let word = chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(byte.to_ascii_lowercase()));
        state = mix(u128::from(state) << 64 | u128::from(word));
    }
    state
}

/// Different values, counted. `EXACT` is how many are told apart exactly; `BITS` the logarithm of the registers beyond: the standard error
/// is then 1.04 / sqrt(2^BITS).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(from = "Stored")]
pub(super) struct Distinct<const EXACT: usize, const BITS: u32> {
    list: Vec<u64>,
    #[serde(serialize_with = "as_list")]
    set: HashSet<u64>,
    registers: Vec<u8>,
    /// The sum of 2^-r over the registers, in units of 2^-64, and how many are empty: kept, as counts are asked for at each insertion.
    #[serde(skip)]
    sum: u128,
    #[serde(skip)]
    empty: u32,
}

/// What is stored of it.
#[derive(Deserialize)]
struct Stored {
    list: Vec<u64>,
    set: Vec<u64>,
    registers: Vec<u8>,
}

impl<const EXACT: usize, const BITS: u32> From<Stored> for Distinct<EXACT, BITS> {
    fn from(Stored { list, set, registers }: Stored) -> Self {
        let sum = registers.iter().map(|rank| part(*rank)).sum();
        let empty = registers.iter().filter(|rank| **rank == 0).count() as u32;
        Distinct { list, set: set.into_iter().collect(), registers, sum, empty }
    }
}

/// 2^-rank in units of 2^-64. No hash of 64 bits has a rank beyond 64.
fn part(rank: u8) -> u128 {
    1 << (64 - rank.min(64))
}

/// A set is stored as a list.
fn as_list<S: Serializer>(set: &HashSet<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(set)
}

impl<const EXACT: usize, const BITS: u32> Distinct<EXACT, BITS> {
    /// Adds a hash. Says whether it was new; of estimated counts, whether the estimate changed.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        if !self.registers.is_empty() {
            return self.register(hash);
        }
        if self.set.is_empty() {
            let Err(at) = self.list.binary_search(&hash) else { return false };
            if self.list.len() < LIST_MAX.min(EXACT) {
                self.list.insert(at, hash);
                return true;
            }
            self.set.extend(self.list.drain(..));
            self.list = Vec::new();
        }
        if self.set.contains(&hash) {
            return false;
        }
        if self.set.len() < EXACT {
            return self.set.insert(hash);
        }
        self.registers = vec![0; 1 << BITS];
        (self.sum, self.empty) = (part(0) << BITS, 1 << BITS);
        for kept in std::mem::take(&mut self.set) {
            self.register(kept);
        }
        self.register(hash)
    }

    fn register(&mut self, hash: u64) -> bool {
        let at = (hash >> (64 - BITS)) as usize;
        let rank = ((hash << BITS) | 1 << (BITS - 1)).leading_zeros() as u8 + 1;
        let before = self.registers[at];
        if before >= rank {
            return false;
        }
        self.registers[at] = rank;
        self.sum = self.sum - part(before) + part(rank);
        self.empty -= u32::from(before == 0);
        true
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        if self.registers.is_empty() {
            return (self.list.len() + self.set.len()) as u64;
        }
        let m = self.registers.len() as f64;
        let sum = self.sum as f64 / part(0) as f64;
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let estimate = if raw <= 2.5 * m && self.empty > 0 { m * (m / f64::from(self.empty)).ln() } else { raw };
        estimate.round() as u64
    }

    /// Whether the count is exact.
    pub(super) fn is_exact(&self) -> bool {
        self.registers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_exact_and_many_within_three_standard_errors() {
        let mut small: Distinct<64, 10> = Distinct::default();
        for n in 0..64u128 {
            assert!(small.insert(mix(n)) && !small.insert(mix(n)), "{n}");
            assert_eq!(small.count(), n as u64 + 1);
        }
        assert!(small.is_exact());
        for (n, most) in [(1_000u128, 0.1), (100_000, 0.1)] {
            let mut many: Distinct<64, 10> = Distinct::default();
            (0..n).for_each(|value| {
                many.insert(mix(value));
            });
            let off = (many.count() as f64 / n as f64 - 1.0).abs();
            assert!(!many.is_exact() && off < most, "{n}: {off}");
        }
        let mut fine: Distinct<1024, 14> = Distinct::default();
        (0..1_000_000u128).for_each(|value| {
            fine.insert(mix(value << 40));
        });
        let off = (fine.count() as f64 / 1e6 - 1.0).abs();
        assert!(off < 0.025, "{off}");
    }

    #[test]
    fn what_is_kept_of_the_registers_is_what_they_say() {
        let mut many: Distinct<16, 8> = Distinct::default();
        for n in 0..5_000u128 {
            many.insert(mix(n));
            if n % 500 == 17 {
                let stored = postcard::to_allocvec(&many).expect("stored");
                let again: Distinct<16, 8> = postcard::from_bytes(&stored).expect("read");
                assert_eq!((again.sum, again.empty, again.count()), (many.sum, many.empty, many.count()));
                let sum: f64 = many.registers.iter().map(|rank| 0.5f64.powi(i32::from(*rank))).sum();
                assert!((many.sum as f64 / part(0) as f64 - sum).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn texts_are_told_apart_but_for_their_case() {
        assert_eq!(mix_text("Example.JP"), mix_text("example.jp"));
        assert_ne!(mix_text("example.jp"), mix_text("example.jq"));
        assert_ne!(mix_text("ab"), mix_text("abc"));
        assert_ne!(mix_text("abcdefgh"), mix_text("abcdefghi"));
    }
}
