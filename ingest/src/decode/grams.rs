//! Which pairs of neighbouring bytes a text holds, as a small bit map: whether a line of a description may fit is asked of it before the text
//! itself is searched.
//!
//! A record that only the description's templates can tell apart is held against hundreds of them, each with words that it needs. One pass
//! over the text answers nearly all of those at a look or two each. The map errs on one side only: what it denies is not in the text.

use std::cell::Cell;

/// Bits of the map: a text of 200 bytes sets about one in thirty.
const BITS: usize = 4096;
/// Pairs that one template asks for: the rarest of what it needs.
const NEEDED_MAX: usize = 6;

/// The pairs of one text; filled when the first asks.
#[derive(Debug)]
pub(super) struct Grams {
    bits: [Cell<u64>; BITS / 64],
    filled: Cell<bool>,
}

/// The pairs that a template needs; the last stands in the places left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needed {
    bits: [u16; NEEDED_MAX],
    /// Whether there is any.
    some: bool,
}

fn bit(first: u8, second: u8) -> usize {
    ((usize::from(first) << 5) ^ usize::from(second)) & (BITS - 1)
}

impl Grams {
    /// An empty map, for one text.
    pub(super) fn new() -> Grams {
        Grams { bits: [const { Cell::new(0) }; BITS / 64], filled: Cell::new(false) }
    }

    /// Makes the map of `text`, always the same one, where that was not done.
    pub(super) fn of(&self, text: &str) -> &Grams {
        if !self.filled.replace(true) {
            self.fill(text.as_bytes());
        }
        self
    }

    /// Whether the text may hold what is `needed`; true for certain where it does.
    #[inline]
    pub(super) fn may_hold(&self, needed: &Needed) -> bool {
        !needed.some || needed.bits.iter().all(|bit| self.bits[usize::from(*bit) / 64].get() & 1 << (bit % 64) != 0)
    }

    fn fill(&self, text: &[u8]) {
        let mut before = 0;
        for byte in text {
            let bit = bit(before, *byte);
            let word = &self.bits[bit / 64];
            word.set(word.get() | 1 << (bit % 64));
            before = *byte;
        }
    }
}

impl Needed {
    /// The pairs of `literals`, each of which stands in every text that fits; those that few texts hold first.
    pub(super) fn of<'l>(literals: impl Iterator<Item = &'l str>) -> Needed {
        let mut pairs: Vec<(u8, u16)> = literals
            .flat_map(|literal| literal.as_bytes().windows(2).map(|pair| (commonness(pair), bit(pair[0], pair[1]) as u16)))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        let Some((_, last)) = pairs.get(..NEEDED_MAX.min(pairs.len())).and_then(|pairs| pairs.last()) else {
            return Needed::default();
        };
        let mut needed = Needed { bits: [*last; NEEDED_MAX], some: true };
        for (place, (_, bit)) in needed.bits.iter_mut().zip(&pairs) {
            *place = *bit;
        }
        needed
    }
}

/// How often a pair is met in logs, roughly: small letters side by side are what every text has.
fn commonness(pair: &[u8]) -> u8 {
    let common = |byte: u8| match byte {
        b'a' | b'e' | b'i' | b'n' | b'o' | b'r' | b's' | b't' | b' ' => 3,
        b'a'..=b'z' | b'0'..=b'9' | b':' | b'.' => 2,
        b'A'..=b'Z' | b'-' | b'=' | b'[' | b']' | b'"' => 1,
        _ => 0,
    };
    pair.iter().map(|byte| common(*byte)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_there_is_never_denied(before in ".{0,40}", literal in ".{1,20}", after in ".{0,40}") {
            let text = format!("{before}{literal}{after}");
            let grams = Grams::new();
            let needed = Needed::of(std::iter::once(literal.as_str()));
            prop_assert!(grams.of(&text).may_hold(&needed));
        }
    }

    #[test]
    fn what_is_not_there_is_denied() {
        let grams = Grams::new();
        let needed = Needed::of(["Failed password for ", " ssh2"].into_iter());
        assert!(!grams.of("session opened by taro").may_hold(&needed));
        assert!(grams.may_hold(&Needed::default()));
    }
}
