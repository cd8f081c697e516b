//! Counts and percentiles in bounded space. Both give the same answer however the values are split and in whatever order they come.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Hashes that are kept: counts are exact up to here, with a standard error of 0.4 % beyond. 1 MB at most.
const HASHES_MAX: usize = 65_536;

/// How many different values there are: the smallest hashes are kept (K minimum values; Bar-Yossef et al. 2002).
#[derive(Clone, Debug, Default)]
pub(crate) struct Distinct {
    /// Sorted, each once, where `settled`.
    hashes: Vec<u64>,
    settled: usize,
}

impl Distinct {
    pub(crate) fn add(&mut self, value: &[u8]) {
        self.hashes.push(hash(value));
        if self.hashes.len() - self.settled > HASHES_MAX {
            self.settle();
        }
    }

    pub(crate) fn merge(&mut self, other: Distinct) {
        self.hashes.extend(other.hashes);
        self.settle();
    }

    fn settle(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.hashes.truncate(HASHES_MAX);
        self.settled = self.hashes.len();
    }

    pub(crate) fn count(&self) -> u64 {
        let mut all = self.clone();
        all.settle();
        if all.hashes.len() < HASHES_MAX {
            return all.hashes.len() as u64;
        }
        let last = all.hashes.last().map_or(1.0, |h| *h as f64) / u64::MAX as f64;
        ((HASHES_MAX as f64 - 1.0) / last).round() as u64
    }
}

/// FNV-1a with a final mix: the hash must not change between runs, as a random one would.
pub(super) fn hash(value: &[u8]) -> u64 {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            let mut h = self.0;
            h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            h ^ (h >> 31)
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
    fnv.write(value);
    fnv.finish()
}

/// Buckets of one power of two: a bucket's middle is within 1 % of all values in it.
const PARTS_BITS: u32 = 6;

/// Percentiles by buckets of nearly equal ratio: the first bits of the number (as HdrHistogram; an answer is within 1/128 of a value).
#[derive(Clone, Debug, Default)]
pub(crate) struct Quantiles {
    buckets: HashMap<i64, u64, BuildHasherDefault<super::gather::Mix>>,
    count: u64,
    /// The smallest and the largest value.
    range: Option<(f64, f64)>,
}

impl Quantiles {
    pub(crate) fn add(&mut self, value: f64) {
        *self.buckets.entry(bucket(value)).or_default() += 1;
        self.count += 1;
        self.range = spanned(self.range, (value, value));
    }

    pub(crate) fn merge(&mut self, other: &Quantiles) {
        for (bucket, n) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += n;
        }
        self.count += other.count;
        self.range = other.range.map_or(self.range, |range| spanned(self.range, range));
    }

    /// The value below which `percent` of all lie: within the smallest and the largest.
    pub(crate) fn percentile(&self, percent: f64) -> Option<f64> {
        let rank = (percent / 100.0 * (self.count.checked_sub(1)?) as f64).round() as u64;
        let (low, high) = self.range?;
        let mut sorted: Vec<(i64, u64)> = self.buckets.iter().map(|(bucket, n)| (*bucket, *n)).collect();
        sorted.sort_unstable();
        let mut before = 0;
        for (bucket, n) in sorted {
            before += n;
            if before > rank {
                return Some(middle(bucket).clamp(low, high));
            }
        }
        None
    }

    /// How many of a hundred are not above this value; of those about as large, as if they lay evenly.
    pub(crate) fn rank(&self, value: f64) -> Option<f64> {
        let (low, high) = self.range?;
        if value >= high {
            return Some(100.0);
        }
        if value < low {
            return Some(0.0);
        }
        let at = bucket(value);
        let below: u64 = self.buckets.iter().filter(|(bucket, _)| **bucket < at).map(|(_, n)| n).sum();
        let beside = self.buckets.get(&at).copied().unwrap_or(0);
        let (first, last) = ends(at);
        let (first, last) = (first.max(low), last.min(high));
        let share = if last > first { (value - first) / (last - first) } else { 1.0 };
        Some(100.0 * (below as f64 + beside as f64 * share) / self.count as f64)
    }
}

/// What covers both ranges.
pub(super) fn spanned(one: Option<(f64, f64)>, (low, high): (f64, f64)) -> Option<(f64, f64)> {
    Some(one.map_or((low, high), |(l, h)| (l.min(low), h.max(high))))
}

/// Zero is bucket 0; larger values count up, negative ones down.
fn bucket(value: f64) -> i64 {
    let at = (value.abs().to_bits() >> (52 - PARTS_BITS)) as i64;
    if value < 0.0 { -at } else { at }
}

fn middle(bucket: i64) -> f64 {
    let (low, high) = ends(bucket);
    (low + high) / 2.0
}

/// The smallest and the largest value of a bucket.
fn ends(bucket: i64) -> (f64, f64) {
    if bucket == 0 {
        return (0.0, 0.0);
    }
    let end = |at: i64| f64::from_bits((at as u64) << (52 - PARTS_BITS));
    let (near, far) = (end(bucket.abs()), end(bucket.abs() + 1));
    if bucket > 0 { (near, far) } else { (-far, -near) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_counted_exactly_and_many_nearly() {
        for n in [0u32, 1, 1000, 65_535, 300_000] {
            let (mut one, mut two) = (Distinct::default(), Distinct::default());
            for value in 0..n {
                let half = if value % 2 == 0 { &mut one } else { &mut two };
                half.add(&value.to_le_bytes());
                half.add(&value.to_le_bytes());
            }
            one.merge(two);
            let error = (one.count() as f64 - f64::from(n)).abs();
            assert!(error <= if n < 65_536 { 0.0 } else { 0.02 * f64::from(n) }, "{n}: {}", one.count());
        }
    }

    #[test]
    fn percentiles_are_within_a_hundredth() {
        let mut all = Quantiles::default();
        (-1000..=1000).for_each(|n| all.add(f64::from(n) * 3.0));
        for (percent, value) in [(0.0, -3000.0), (50.0, 0.0), (75.0, 1500.0), (99.0, 2940.0), (100.0, 3000.0)] {
            let found = all.percentile(percent).expect("there are values");
            assert!((found - value).abs() <= 0.0101 * f64::abs(value), "{percent}: {found}");
        }
        for (value, percent) in [(-3001.0, 0.0), (-1500.0, 25.0), (0.0, 50.0), (1.0, 50.0), (2400.0, 90.0), (3000.0, 100.0)] {
            let found = all.rank(value).expect("there are values");
            assert!((found - percent).abs() <= 1.0, "{value}: {found}");
        }
        assert_eq!(Quantiles::default().percentile(50.0), None);
        assert_eq!(Quantiles::default().rank(50.0), None);
        let mut ports = Quantiles::default();
        ports.add(65_000.0);
        let mut more = Quantiles::default();
        more.add(65_100.0);
        ports.merge(&more);
        assert_eq!([0.0, 100.0].map(|percent| ports.percentile(percent)), [Some(65_000.0), Some(65_100.0)]);
    }
}
