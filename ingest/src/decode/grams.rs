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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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

/// What texts of some form hold: the literals of one of the ways to have it.
#[derive(Clone, Debug)]
pub(super) struct Ways(Vec<Way>);

/// Literals of a text; those that stand side by side are one.
#[derive(Clone, Debug, Default)]
struct Way {
    literals: Vec<String>,
    /// Whether the next one stands directly behind the last.
    open: bool,
}

/// Ways that are told apart at most; what would make more is taken to say nothing.
const WAYS_MAX: usize = 16;

impl Ways {
    /// One way, of which nothing is known.
    pub(super) fn new() -> Ways {
        Ways(vec![Way::default()])
    }

    /// Every way goes on with `literal`.
    pub(super) fn literal(&mut self, literal: &str) {
        for way in &mut self.0 {
            match way.literals.last_mut().filter(|_| way.open) {
                Some(last) => last.push_str(literal),
                None => way.literals.push(literal.to_owned()),
            }
            way.open = true;
        }
    }

    /// Every way goes on with what is not known.
    pub(super) fn gap(&mut self) {
        self.0.iter_mut().for_each(|way| way.open = false);
    }

    /// Every way goes on with one of `choices`, as `go` says of each.
    pub(super) fn fork<C>(&mut self, choices: &[C], go: impl Fn(&C, &mut Ways)) {
        let mut found = Vec::new();
        for choice in choices {
            let mut ways = self.clone();
            go(choice, &mut ways);
            found.append(&mut ways.0);
            if found.len() > WAYS_MAX {
                return self.gap();
            }
        }
        self.0 = found;
    }

    /// The pairs that each way needs.
    pub(super) fn needs(&self) -> Vec<Needed> {
        let mut needs: Vec<Needed> = Vec::new();
        for needed in self.0.iter().map(|way| Needed::of(way.literals.iter().map(String::as_str))) {
            if !needs.contains(&needed) {
                needs.push(needed);
            }
        }
        needs
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

/// Numbers, each with pairs of which a text must hold one: a look over the text's map finds those that may be meant, however many there are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiting {
    /// Every pair that some number waits for.
    pairs: [u64; BITS / 64],
    /// How many such pairs there are before each word of `pairs`.
    before: [u16; BITS / 64],
    /// Who waits for which pair, sorted by pair, and what else they need.
    who: Vec<(u16, Vec<(u16, Needed)>)>,
    /// Numbers of which nothing is known.
    always: Vec<u16>,
}

impl Waiting {
    /// Nobody.
    pub(super) fn new() -> Waiting {
        Waiting { pairs: [0; BITS / 64], before: [0; BITS / 64], who: Vec::new(), always: Vec::new() }
    }

    /// `number` is meant only by texts that hold all pairs of one of `needed`; by any text where that is none, or asks for nothing.
    pub(super) fn add(&mut self, number: u16, needed: &[Needed]) {
        if needed.is_empty() || needed.iter().any(|needed| !needed.some) {
            self.always.push(number);
            return;
        }
        for (pair, needed) in needed.iter().map(|needed| (needed.bits[0], *needed)) {
            let (word, bit) = (usize::from(pair) / 64, 1 << (pair % 64));
            let at = self.place(word, bit);
            if self.pairs[word] & bit == 0 {
                self.pairs[word] |= bit;
                self.before[word + 1..].iter_mut().for_each(|before| *before += 1);
                self.who.insert(at, (pair, Vec::new()));
            }
            self.who[at].1.push((number, needed));
        }
    }

    /// Where in `who` the pair of this bit stands, or would.
    fn place(&self, word: usize, bit: u64) -> usize {
        usize::from(self.before[word]) + (self.pairs[word] & (bit - 1)).count_ones() as usize
    }

    /// Sets in `found` the bit of each number that the text of `grams` may mean, and of a few that it does not.
    pub(super) fn find(&self, grams: &Grams, found: &mut [u64]) {
        let mut set = |number: u16| found[usize::from(number) / 64] |= 1 << (number % 64);
        self.always.iter().for_each(|number| set(*number));
        for (word, (held, waited)) in grams.bits.iter().zip(&self.pairs).enumerate() {
            let mut both = held.get() & waited;
            while both != 0 {
                let at = self.place(word, both & both.wrapping_neg());
                both &= both - 1;
                self.who[at].1.iter().filter(|(_, needed)| grams.may_hold(needed)).for_each(|(number, _)| set(*number));
            }
        }
    }
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

        #[test]
        fn who_may_be_meant_is_found(text in ".{0,60}", literals in prop::collection::vec(".{0,4}", 0..150)) {
            let needed: Vec<Needed> = literals.iter().map(|literal| Needed::of(std::iter::once(literal.as_str()))).collect();
            let mut waiting = Waiting::new();
            for (number, two) in needed.chunks(2).enumerate() {
                waiting.add(number as u16, two);
            }
            let grams = Grams::new();
            let mut found = [0; 2];
            waiting.find(grams.of(&text), &mut found);
            for (number, two) in needed.chunks(2).enumerate() {
                let meant = two.iter().any(|needed| grams.may_hold(needed));
                prop_assert!(!meant || found[number / 64] & 1 << (number % 64) != 0, "{number}");
            }
        }
    }

    #[test]
    fn one_of_the_ways_is_needed_whole() {
        let mut ways = Ways::new();
        ways.literal("action=");
        ways.fork(&["ACCEPT", "CLOSE"], |choice, ways| ways.literal(choice));
        ways.gap();
        ways.literal(" host=");
        let may_be = |text: &str| ways.needs().iter().any(|needed| Grams::new().of(text).may_hold(needed));
        assert!(may_be("action=ACCEPT host=a") && may_be("action=CLOSE host=a"));
        assert!(!may_be("action=OPENED host=a"));
        ways.fork(&[""; WAYS_MAX], |_, _| {});
        assert_eq!(ways.needs().len(), 2, "more than can be told apart say nothing");
    }

    #[test]
    fn what_is_not_there_is_denied() {
        let grams = Grams::new();
        let needed = Needed::of(["Failed password for ", " ssh2"].into_iter());
        assert!(!grams.of("session opened by taro").may_hold(&needed));
        assert!(grams.may_hold(&Needed::default()));
    }
}
