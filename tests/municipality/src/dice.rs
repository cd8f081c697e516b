//! Chance, repeatable: the few draws that the traffic needs, on ChaCha8 (the same on every machine).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A source of chance.
#[derive(Clone, Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The dice of `seed` for one purpose: two purposes do not share their throws.
    pub(crate) fn new(seed: u64, purpose: u64) -> Dice {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Dice(rng)
    }

    /// A whole number of `low..high`.
    pub(crate) fn range(&mut self, low: u32, high: u32) -> u32 {
        self.0.random_range(low..high)
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.0.random::<f64>() < p
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }

    /// The waiting time to the next of events that come `per_s` times a second on average, in nanoseconds (exponential,
    /// at least a microsecond).
    pub(crate) fn wait_ns(&mut self, per_s: f64) -> i64 {
        let u: f64 = self.0.random::<f64>().max(f64::MIN_POSITIVE);
        ((-u.ln() / per_s) * 1e9).clamp(1e3, 1e18) as i64
    }

    /// A size with a long tail, about `median`: most are near, a few are a hundred times as large.
    pub(crate) fn size(&mut self, median: u32) -> u64 {
        let u: f64 = self.0.random::<f64>().clamp(1e-6, 1.0 - 1e-6);
        let factor = (u / (1.0 - u)).powf(0.7); // log-logistic: median 1
        (f64::from(median) * factor.clamp(0.05, 200.0)) as u64
    }

    /// `len` lower-case letters and digits.
    pub(crate) fn letters(&mut self, len: usize) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
        (0..len).map(|_| char::from(LETTERS[self.range(0, 32) as usize])).collect()
    }
}
