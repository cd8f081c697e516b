//! Which pairs of neighbouring bytes a text holds, as a small bit map: whether a line of a description may fit is asked of it before the text
//! itself is searched.
//!
//! A record that only the description's templates can tell apart is held against hundreds of them, each with words that it needs. One pass
//! over the text answers nearly all of those at a look or two each. The map errs on one side only: what it denies is not in the text.

use std::cell::Cell;

/// Words of the map: one for each kind of byte that a pair may begin with, where the second byte's low bits say which bit, and the last.
const WORDS: usize = 64;
/// The last word: a bit for each kind of byte that may stand behind the time that a message begins with, and one that is always there.
const BEHIND_TIME: u8 = WORDS as u8 - 1;
const ALWAYS: u16 = BEHIND_TIME as u16 * 64 + 63;
/// The kinds: a letter in either case, a digit, each of the marks that stand between words and values, and whatever else.
const KINDS: [u8; 256] = {
    let marks = b" |,;\t=:[]\"()-./_<>%#'@{}*+";
    let mut kinds = [BEHIND_TIME - 1; 256];
    let mut nth = 0;
    while nth < 26 {
        (kinds[b'a' as usize + nth], kinds[b'A' as usize + nth]) = (nth as u8, nth as u8);
        nth += 1;
    }
    while nth < 36 {
        kinds[b'0' as usize + nth - 26] = nth as u8;
        nth += 1;
    }
    while nth < 36 + marks.len() {
        kinds[marks[nth - 36] as usize] = nth as u8;
        nth += 1;
    }
    assert!(nth < BEHIND_TIME as usize, "one is left for all others");
    kinds
};
/// Bytes that one turn marks.
const STEP: usize = 8;
/// Pairs that one template asks for: the rarest of what it needs. Further ones would be there where these are.
const NEEDED_MAX: usize = 4;

/// The pairs of one text; filled when the first asks. Every byte begins a pair, the last one with a byte that is none.
#[derive(Debug)]
pub(super) struct Grams {
    words: [Cell<u64>; WORDS],
    /// A bit for the kind of byte that stands second behind the time that the message begins with. All where there is none.
    second: Cell<u64>,
    filled: Cell<bool>,
}

/// The bits that a template needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Needed {
    /// Of its pairs, the rarest first, then of what stands behind the time that a message begins with. [`ALWAYS`] is in the places left.
    bits: [u16; NEEDED_MAX + 1],
    /// The word of a byte that stands alone, the rarest: what is told apart by a `|` or a tab has no pairs. Or the last one.
    word: u8,
    /// The kinds of byte that may stand second behind the time that a message begins with.
    second: u64,
}

impl Default for Needed {
    fn default() -> Needed {
        Needed { bits: [ALWAYS; NEEDED_MAX + 1], word: BEHIND_TIME, second: u64::MAX }
    }
}

#[inline]
fn word(first: u8) -> usize {
    usize::from(KINDS[usize::from(first)]) % WORDS
}

/// A bit for each kind of byte that is in `set`.
pub(super) fn kinds(set: &[bool; 256]) -> u64 {
    (0..=u8::MAX).filter(|byte| set[usize::from(*byte)]).fold(0, |kinds, byte| kinds | 1 << word(byte))
}

fn bit(first: u8, second: u8) -> u16 {
    word(first) as u16 * 64 + u16::from(second % 64)
}

impl Grams {
    /// An empty map, for one text.
    pub(super) fn new() -> Grams {
        Grams { words: [const { Cell::new(0) }; WORDS], second: Cell::new(u64::MAX), filled: Cell::new(false) }
    }

    /// Makes the map of `text`, always the same one, where that was not done.
    pub(super) fn of(&self, text: &str) -> &Grams {
        if !self.filled.replace(true) {
            self.fill(text.as_bytes());
        }
        self
    }

    /// Whether the map was made.
    pub(super) fn is_filled(&self) -> bool {
        self.filled.get()
    }

    /// The same map, where the message within the text begins with a time and has this behind it, or begins with none.
    pub(super) fn beginning(&self, behind_time: &[u8]) -> &Grams {
        let kind = |nth: usize| behind_time.get(nth).map(|byte| 1 << word(*byte));
        self.words[usize::from(BEHIND_TIME)].set(1 << (ALWAYS % 64) | kind(0).unwrap_or(0));
        self.second.set(kind(1).unwrap_or(u64::MAX));
        self
    }

    /// Whether the text may hold what is `needed`; true for certain where it does. The rarest is asked for first: most texts lack it.
    #[inline]
    pub(super) fn may_hold(&self, needed: &Needed) -> bool {
        self.holds(needed.bits[0]) && self.may_hold_rest(needed)
    }

    /// The same, where the first of its bits is known to be there.
    #[inline]
    fn may_hold_rest(&self, needed: &Needed) -> bool {
        let [_, second, more @ ..] = &needed.bits;
        self.holds(*second)
            && self.words[usize::from(needed.word) % WORDS].get() != 0
            && more.iter().all(|bit| self.holds(*bit))
            && self.second.get() & needed.second != 0
    }

    #[inline]
    fn holds(&self, bit: u16) -> bool {
        self.words[usize::from(bit / 64) % WORDS].get() & 1 << (bit % 64) != 0
    }

    fn fill(&self, text: &[u8]) {
        let mut before = 0;
        let mut next = |byte: &u8| {
            let word = &self.words[word(before)];
            word.set(word.get() | 1 << (byte % 64));
            before = *byte;
        };
        // A byte is as little work as a turn of a loop, so a turn takes several.
        let (steps, rest) = text.as_chunks::<STEP>();
        for step in steps {
            step.iter().for_each(&mut next);
        }
        rest.iter().for_each(&mut next);
        next(&0);
        self.beginning(&[]);
    }
}

/// How many of some texts hold a pair or a byte. What few hold tells most, so that is what is asked for.
#[derive(Debug)]
pub(super) struct Rarity {
    pairs: Vec<u32>,
    bytes: [u32; 256],
}

impl Default for Rarity {
    fn default() -> Rarity {
        Rarity::of(std::iter::empty())
    }
}

impl Rarity {
    /// Counts `texts`.
    pub(super) fn of<'t>(texts: impl Iterator<Item = &'t str>) -> Rarity {
        let mut rarity = Rarity { pairs: vec![0; WORDS * 64], bytes: [0; 256] };
        for text in texts {
            let grams = Grams::new();
            grams.fill(text.as_bytes());
            for (bit, count) in (0..).zip(&mut rarity.pairs) {
                *count += u32::from(grams.holds(bit));
            }
            for (byte, count) in (0..=u8::MAX).zip(&mut rarity.bytes) {
                *count += u32::from(grams.words[word(byte)].get() != 0);
            }
        }
        rarity
    }
}

impl Needed {
    /// The pairs of `literals`, each of which stands in every text that fits; those that few texts hold first.
    pub(super) fn of<'l>(literals: impl Iterator<Item = &'l str> + Clone, rarity: &Rarity) -> Needed {
        let mut pairs: Vec<(u32, u16)> = literals
            .clone()
            .flat_map(|literal| literal.as_bytes().windows(2).map(|pair| bit(pair[0], pair[1])))
            .map(|bit| (rarity.pairs[usize::from(bit)], bit))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        let alone = literals.filter(|literal| literal.len() == 1).map(|literal| literal.as_bytes()[0]);
        let byte = alone.min_by_key(|byte| (rarity.bytes[usize::from(*byte)], *byte));
        let mut needed = Needed { word: byte.map_or(BEHIND_TIME, |byte| word(byte) as u8), ..Needed::default() };
        for (place, (_, bit)) in needed.bits[..NEEDED_MAX].iter_mut().zip(&pairs) {
            *place = *bit;
        }
        needed
    }

    /// The same, of messages that begin with a time, have `first` behind it and then a byte of one of the kinds `second`.
    pub(super) fn behind_time(mut self, first: u8, second: u64) -> Needed {
        // In the first place where nothing else is.
        let place = if self.bits[0] == ALWAYS { 0 } else { NEEDED_MAX };
        self.bits[place] = u16::from(BEHIND_TIME) * 64 + word(first) as u16;
        self.second = second;
        self
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
    pub(super) fn needs(&self, rarity: &Rarity) -> Vec<Needed> {
        let mut needs: Vec<Needed> = Vec::new();
        for needed in self.0.iter().map(|way| Needed::of(way.literals.iter().map(String::as_str), rarity)) {
            if !needs.contains(&needed) {
                needs.push(needed);
            }
        }
        needs
    }
}

/// Numbers, each with pairs of which a text must hold one: a look over the text's map finds those that may be meant, however many there are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiting {
    words: Vec<Waited>,
    /// Where in `who` those are that wait for each of the bits.
    places: Vec<(u32, u32)>,
    /// Who waits, in the order of the bits, and what else they need.
    who: Vec<(u16, Needed)>,
}

/// The bits of one word of the map that some number waits for.
#[derive(Clone, Debug, PartialEq)]
struct Waited {
    word: u16,
    /// How many such bits there are before this word, and for each of its own before that.
    before: u16,
    nth: [u8; 64],
    bits: u64,
}

impl Waiting {
    /// Each number is meant only by texts that hold all of one of what it needs; by any text where that is nothing.
    pub(super) fn new(numbers: impl Iterator<Item = (u16, Vec<Needed>)>) -> Waiting {
        let mut who = Vec::new();
        for (number, needed) in numbers {
            let is_any = needed.is_empty() || needed.contains(&Needed::default());
            let needed = if is_any { vec![Needed::default()] } else { needed };
            who.extend(needed.into_iter().map(|needed| (number, needed)));
        }
        who.sort_by_key(|(_, needed)| needed.bits[0]);
        let (mut words, mut places, mut start): (Vec<Waited>, Vec<_>, _) = (Vec::new(), Vec::new(), 0);
        for same in who.chunk_by(|one, other| one.1.bits[0] == other.1.bits[0]) {
            let (word, bit) = (same[0].1.bits[0] / 64, same[0].1.bits[0] % 64);
            if words.last().is_none_or(|last| last.word != word) {
                words.push(Waited { word, before: places.len() as u16, nth: [0; 64], bits: 0 });
            }
            if let Some(last) = words.last_mut() {
                last.nth[usize::from(bit)] = last.bits.count_ones() as u8;
                last.bits |= 1 << bit;
            }
            places.push((start, start + same.len() as u32));
            start += same.len() as u32;
        }
        Waiting { words, places, who }
    }

    /// Sets in `found` the bit of each number that the text of `grams` may mean, and of a few that it does not.
    pub(super) fn find(&self, grams: &Grams, found: &mut [u64]) {
        for word in &self.words {
            let mut both = grams.words[usize::from(word.word) % WORDS].get() & word.bits;
            while both != 0 {
                let nth = word.nth[both.trailing_zeros() as usize % 64];
                both &= both - 1;
                let (start, end) = self.places[usize::from(word.before) + usize::from(nth)];
                for (number, needed) in &self.who[start as usize..end as usize] {
                    if grams.may_hold_rest(needed) {
                        found[usize::from(*number) / 64] |= 1 << (number % 64);
                    }
                }
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
            let needed = Needed::of(std::iter::once(literal.as_str()), &Rarity::default());
            prop_assert!(grams.of(&text).may_hold(&needed));
        }

        #[test]
        fn who_may_be_meant_is_found(text in ".{0,60}", literals in prop::collection::vec(".{0,4}", 0..150)) {
            let needed: Vec<Needed> = literals.iter().map(|literal| Needed::of(std::iter::once(literal.as_str()), &Rarity::default())).collect();
            let waiting = Waiting::new((0..).zip(needed.chunks(2).map(<[Needed]>::to_vec)));
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
        let may_be = |text: &str| ways.needs(&Rarity::default()).iter().any(|needed| Grams::new().of(text).may_hold(needed));
        assert!(may_be("action=ACCEPT host=a") && may_be("action=CLOSE host=a"));
        assert!(!may_be("action=OPENED host=a"));
        ways.fork(&[""; WAYS_MAX], |_, _| {});
        assert_eq!(ways.needs(&Rarity::default()).len(), 2, "more than can be told apart say nothing");
    }

    #[test]
    fn what_is_not_there_is_denied() {
        let grams = Grams::new();
        let needed = Needed::of(["Failed password for ", " ssh2"].into_iter(), &Rarity::default());
        assert!(!grams.of("session opened by taro").may_hold(&needed));
        assert!(grams.may_hold(&Needed::default()));
    }

    #[test]
    fn what_few_texts_hold_is_asked_for() {
        let rarity = Rarity::of(["a=1 b=2", "a=1 c=2", "a=1 d|2"].into_iter());
        let needed = |literals: &[&str]| Needed::of(literals.iter().copied(), &rarity);
        assert_eq!(needed(&["a=", "b="]).bits[0], bit(b'b', b'='));
        assert_eq!(usize::from(needed(&["|", "="]).word), word(b'|'));
        let grams = Grams::new();
        assert!(!grams.of("a=1 c=2").may_hold(&needed(&["|"])) && grams.may_hold(&needed(&["="])));
    }
}
