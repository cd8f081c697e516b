//! How many different values there were: exact while few, estimated beyond (HyperLogLog; Flajolet et al. 2007, with linear counting for
//! small numbers). Hashes are fixed, so that a count means the same on every machine and after every restart.

use hashbrown::HashSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values that are kept in a sorted list, a few lines of a cache; more go to a set.
const LIST_MAX: usize = 64;

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
/// is then 1.04 / sqrt(2^BITS). Most stay few: what more need lies behind a pointer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Distinct<const EXACT: usize, const BITS: u32> {
    list: Vec<u64>,
    many: Option<Box<Many>>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
enum Many {
    Set(#[serde(serialize_with = "as_list", deserialize_with = "of_list")] HashSet<u64>),
    Registers(Registers),
}

/// The largest rank of each part of the hashes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(from = "Stored", into = "Stored")]
struct Registers {
    ranks: Vec<u8>,
    /// The sum of 2^-r over the registers, in units of 2^-64, and how many are empty: kept, as what they say is worked out anew at each change.
    sum: u128,
    empty: u32,
    /// What they say.
    count: u64,
}

/// What is stored of them.
#[derive(Deserialize, Serialize)]
struct Stored(Vec<u8>);

impl From<Stored> for Registers {
    fn from(Stored(ranks): Stored) -> Registers {
        let sum = ranks.iter().map(|rank| part(*rank)).sum();
        let empty = ranks.iter().filter(|rank| **rank == 0).count() as u32;
        let mut registers = Registers { ranks, sum, empty, count: 0 };
        registers.count = registers.estimate();
        registers
    }
}

impl From<Registers> for Stored {
    fn from(registers: Registers) -> Stored {
        Stored(registers.ranks)
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

fn of_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashSet<u64>, D::Error> {
    Ok(Vec::deserialize(deserializer)?.into_iter().collect())
}

impl<const EXACT: usize, const BITS: u32> Distinct<EXACT, BITS> {
    /// Adds a hash. Says whether it was new; of estimated counts, whether the estimate changed.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        let Some(many) = &mut self.many else {
            let Err(at) = self.list.binary_search(&hash) else { return false };
            if self.list.len() < LIST_MAX.min(EXACT) {
                self.list.insert(at, hash);
                return true;
            }
            let mut set: HashSet<u64> = std::mem::take(&mut self.list).into_iter().collect();
            let many = if set.len() < EXACT {
                set.insert(hash);
                Many::Set(set)
            } else {
                Many::Registers(Registers::new(BITS, set.into_iter().chain([hash])))
            };
            self.many = Some(Box::new(many));
            return true;
        };
        match &mut **many {
            Many::Registers(registers) => registers.insert(BITS, hash),
            Many::Set(set) if set.contains(&hash) => false,
            Many::Set(set) if set.len() < EXACT => set.insert(hash),
            Many::Set(set) => {
                let mut registers = Registers::new(BITS, set.drain());
                let changed = registers.insert(BITS, hash);
                **many = Many::Registers(registers);
                changed
            }
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        match self.many.as_deref() {
            None => self.list.len() as u64,
            Some(Many::Set(set)) => set.len() as u64,
            Some(Many::Registers(registers)) => registers.count,
        }
    }

    /// Something that hangs on what will be read when a hash is added, for [`crate::table::Table::warm`].
    pub(super) fn read(&self, hash: u64) -> u64 {
        match self.many.as_deref() {
            // Every line of it, as a search's own steps would wait for each other.
            None => self.list.iter().step_by(8).fold(0, |read, hash| read ^ hash),
            Some(Many::Set(set)) => u64::from(set.contains(&hash)),
            Some(Many::Registers(registers)) => registers.ranks[Registers::place(BITS, hash)].into(),
        }
    }

    /// Whether there was none.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.many.is_none()
    }

    /// Whether the count is exact.
    pub(super) fn is_exact(&self) -> bool {
        !matches!(self.many.as_deref(), Some(Many::Registers(_)))
    }
}

impl Registers {
    fn new(bits: u32, hashes: impl Iterator<Item = u64>) -> Registers {
        let mut registers = Registers { ranks: vec![0; 1 << bits], sum: part(0) << bits, empty: 1 << bits, count: 0 };
        for hash in hashes {
            registers.insert(bits, hash);
        }
        registers
    }

    /// The register of a hash.
    fn place(bits: u32, hash: u64) -> usize {
        (hash >> (64 - bits)) as usize
    }

    fn insert(&mut self, bits: u32, hash: u64) -> bool {
        let at = Registers::place(bits, hash);
        let rank = ((hash << bits) | 1 << (bits - 1)).leading_zeros() as u8 + 1;
        let before = self.ranks[at];
        if before >= rank {
            return false;
        }
        self.ranks[at] = rank;
        self.sum = self.sum - part(before) + part(rank);
        self.empty -= u32::from(before == 0);
        self.count = self.estimate();
        true
    }

    fn estimate(&self) -> u64 {
        let m = self.ranks.len() as f64;
        let sum = self.sum as f64 / part(0) as f64;
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let estimate = if raw <= 2.5 * m && self.empty > 0 { m * (m / f64::from(self.empty)).ln() } else { raw };
        estimate.round() as u64
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
                let registers = |counted: &Distinct<16, 8>| match counted.many.as_deref() {
                    Some(Many::Registers(Registers { ranks, sum, empty, .. })) => (ranks.clone(), *sum, *empty),
                    other => panic!("{other:?}"),
                };
                let (ranks, kept, _) = registers(&many);
                assert_eq!((registers(&again), again.count()), (registers(&many), many.count()));
                let sum: f64 = ranks.iter().map(|rank| 0.5f64.powi(i32::from(*rank))).sum();
                assert!((kept as f64 / part(0) as f64 - sum).abs() < 1e-9);
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
