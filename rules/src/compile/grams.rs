//! Which literals a value contains: one pass that looks at each window of a few bytes.
//!
//! ```text
//!  literal   \psexec.exe           its rarest windows of four bytes, here "psex" and "sexe", stand in a filter and a table
//!  value     c:\tools\psexec.exe
//!            ~~~~                  each second window of the value is looked up in the filter (a bit); where it may be there,
//!                    ^^^^          in the table, and the literals that have it are compared in full
//! ```
//!
//! Where no literal is shorter than seven bytes, each has four windows side by side, and each fourth window of a value is looked up: one of
//! the four stands there wherever the literal does. With literals of five or six bytes it is two and each second, with shorter ones one and each.
//!
//! Chosen over an automaton of Aho and Corasick because the choice of the window makes hits rare, because lookups do not wait for each
//! other as an automaton's states do, and because thousands of long literals (hash sums) need a few bytes each in place of a state a byte.
//! Windows are spread so that few literals share one: that bounds the work a byte on any input.

use hashbrown::HashMap;

use super::hash::Table;
use super::rarity::Rarity;

/// Bytes of a window; shorter literals have windows of their own length.
pub(super) const WINDOW_BYTES: usize = 4;

/// Sets of literals by the width of their windows.
#[derive(Debug, Default)]
pub(super) struct Grams {
    widths: Vec<Width>,
}

#[derive(Debug)]
struct Width {
    bytes: usize,
    mask: u32,
    /// A bit for each window; a power of two of words.
    filter: Box<[u64]>,
    table: Table,
    /// Windows of a literal side by side, and windows of a value from one that is looked up to the next.
    step: usize,
    /// Per window of the table where its entries start; one more at the end.
    starts: Box<[u32]>,
    entries: Box<[Entry]>,
    /// The literals, and what the caller knows each by.
    literals: Box<[(Box<[u8]>, u32)]>,
}

/// A literal that has a window.
#[derive(Clone, Copy, Debug)]
struct Entry {
    literal: u32,
    /// From the literal's start to the end of its window.
    before: u32,
}

/// Literals already found in a value: each is compared and told once, however often its window stands there.
#[derive(Debug, Default)]
pub(super) struct Found {
    seen: Vec<u32>,
    round: u32,
}

impl Found {
    fn begin(&mut self, names: usize) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.seen.fill(0);
            self.round = 1;
        }
        if self.seen.len() < names {
            self.seen.resize(names, 0);
        }
    }
}

/// Spreads windows over the filter's words and bits (Fibonacci hashing).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bits of a filter for each of its windows: few foreign windows pass.
const FILTER_BITS_EACH: usize = 64;
const FILTER_BITS_MIN: usize = 1 << 10;
/// 16 KiB: a filter stays in the first-level cache.
const FILTER_BITS_MAX: usize = 1 << 17;

impl Grams {
    /// Literals, none empty, with the number that each is known by: numbers below `literals.len()` of the whole matcher.
    pub(super) fn new(literals: Vec<(String, u32)>, rarity: &Rarity) -> Grams {
        let mut by_width: [Vec<(String, u32)>; WINDOW_BYTES] = Default::default();
        for (text, name) in literals {
            by_width[text.len().min(WINDOW_BYTES) - 1].push((text, name));
        }
        let widths = by_width.into_iter().enumerate().filter(|(_, of)| !of.is_empty());
        Grams { widths: widths.map(|(at, of)| Width::new(at + 1, of, rarity)).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.widths.is_empty()
    }

    /// Windows of a usual text that are looked up.
    pub(super) fn price(&self) -> usize {
        const USUAL_BYTES: usize = 32;
        self.widths.iter().map(|width| USUAL_BYTES / width.step).sum()
    }

    /// Bytes of the shortest literal.
    pub(super) fn shortest(&self) -> Option<usize> {
        self.widths.iter().flat_map(|width| &width.literals).map(|(literal, _)| literal.len()).min()
    }

    /// Calls `hit` once with every literal that `value` contains. `names`: above every number a literal is known by.
    pub(super) fn find(&self, value: &[u8], names: usize, found: &mut Found, mut hit: impl FnMut(u32)) {
        found.begin(names);
        for width in &self.widths {
            width.find(value, found, &mut hit);
        }
    }
}

/// Windows of a literal side by side at most: a power of two.
const STEP_MAX: usize = 4;

impl Width {
    fn new(bytes: usize, literals: Vec<(String, u32)>, rarity: &Rarity) -> Width {
        let shortest = literals.iter().map(|(text, _)| text.len()).min().unwrap_or(bytes);
        let step = 1 << (shortest - bytes + 1).ilog2();
        let step = if bytes < WINDOW_BYTES { 1 } else { STEP_MAX.min(step) };
        let mut sharing: HashMap<u32, u64> = HashMap::with_capacity(literals.len() * step);
        let mut entries: Vec<(u32, Entry)> = Vec::with_capacity(literals.len() * step);
        let mut weights = Vec::new();
        let mut kept = Vec::with_capacity(literals.len());
        for ((text, name), literal) in literals.into_iter().zip(0..) {
            let text = text.into_bytes().into_boxed_slice();
            weights.clear();
            weights.extend(text.windows(bytes).map(|window| {
                let sharing = sharing.get(&number(window)).copied().unwrap_or(0);
                u64::from(rarity.of_window(window)) * (1 + sharing * sharing)
            }));
            let runs = weights.windows(step).map(|run| run.iter().sum::<u64>());
            let rarest = runs.enumerate().min_by_key(|(_, weight)| *weight).map_or(0, |(at, _)| at);
            for (window, at) in text.windows(bytes).zip(0..).skip(rarest).take(step) {
                *sharing.entry(number(window)).or_default() += 1;
                entries.push((number(window), Entry { literal, before: at + bytes as u32 }));
            }
            kept.push((text, name));
        }
        entries.sort_by_key(|(window, _)| *window);
        let mut keys: Vec<(u64, u32)> = Vec::new();
        let mut starts = Vec::new();
        for (at, (window, _)) in entries.iter().enumerate() {
            if keys.last().is_none_or(|(key, _)| *key != u64::from(*window)) {
                keys.push((u64::from(*window), keys.len() as u32));
                starts.push(at as u32);
            }
        }
        starts.push(entries.len() as u32);
        let bits = (keys.len() * FILTER_BITS_EACH).next_power_of_two().clamp(FILTER_BITS_MIN, FILTER_BITS_MAX);
        let mut filter = vec![0u64; bits / 64].into_boxed_slice();
        for (window, _) in &entries {
            let (word, bit) = place(*window, filter.len() - 1);
            filter[word] |= 1 << bit;
        }
        let mask = if bytes == 4 { u32::MAX } else { (1 << (8 * bytes)) - 1 };
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        Width { bytes, mask, filter, table: Table::new(&keys), step, starts: starts.into(), entries, literals: kept.into() }
    }

    fn find(&self, value: &[u8], found: &mut Found, hit: &mut impl FnMut(u32)) {
        // Windows are loaded one by one: none waits for the one before.
        let mut look = |at: usize, window: u32| {
            if self.may_have(window) {
                self.compare(value, at + WINDOW_BYTES, window, found, hit);
            }
        };
        match (self.bytes, self.step) {
            (WINDOW_BYTES, STEP_MAX) => {
                for (at, window) in value.as_chunks::<WINDOW_BYTES>().0.iter().enumerate() {
                    look(at * WINDOW_BYTES, u32::from_le_bytes(*window));
                }
            }
            (WINDOW_BYTES, 1) => {
                for (at, window) in value.windows(WINDOW_BYTES).enumerate() {
                    look(at, number(window));
                }
            }
            (WINDOW_BYTES, step) => {
                for (at, window) in value.windows(WINDOW_BYTES).enumerate().step_by(step) {
                    look(at, number(window));
                }
            }
            _ => {
                let mut window = 0u32;
                for (at, byte) in value.iter().enumerate() {
                    window = (window << 8 | u32::from(*byte)) & self.mask;
                    if self.may_have(window) && at + 1 >= self.bytes {
                        self.compare(value, at + 1, window, found, hit);
                    }
                }
            }
        }
    }

    /// Whether any literal may have the window.
    #[inline]
    fn may_have(&self, window: u32) -> bool {
        let (word, bit) = place(window, self.filter.len() - 1);
        self.filter[word] >> bit & 1 != 0
    }

    #[inline(never)]
    fn compare(&self, value: &[u8], end: usize, window: u32, found: &mut Found, hit: &mut impl FnMut(u32)) {
        let Some(bucket) = self.table.get(u64::from(window)) else { return };
        for entry in &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize] {
            let Some(start) = end.checked_sub(entry.before as usize) else { continue };
            let (literal, name) = &self.literals[entry.literal as usize];
            let seen = &mut found.seen[*name as usize];
            if *seen != found.round && value[start..].starts_with(literal) {
                *seen = found.round;
                hit(*name);
            }
        }
    }
}

const _: () = assert!(STEP_MAX == WINDOW_BYTES, "windows that are looked up lie side by side");

/// A window's word in a filter, and its bit there.
#[inline]
fn place(window: u32, words_mask: usize) -> (usize, u64) {
    let spread = u64::from(window).wrapping_mul(SPREAD);
    ((spread >> 48) as usize & words_mask, spread >> 40 & 63)
}

/// A window as a number: one of four bytes as it is loaded, a shorter one as its bytes are pushed.
#[inline]
fn number(window: &[u8]) -> u32 {
    match window.first_chunk::<WINDOW_BYTES>() {
        Some(window) => u32::from_le_bytes(*window),
        None => window.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            literals in prop::collection::btree_set("[abé\u{0}]{1,12}", 0..60),
            shortest in 1usize..9,
            value in "[abé\u{0}]{0,60}",
        ) {
            let literals: Vec<String> = literals.into_iter().filter(|literal| literal.len() >= shortest).collect();
            let grams = Grams::new(literals.iter().cloned().zip(0..).collect(), &Rarity::of([].iter()));
            let mut seen = Found::default();
            for _ in 0..2 {
                let mut found = Vec::new();
                grams.find(value.as_bytes(), literals.len(), &mut seen, |name| found.push(name as usize));
                found.sort_unstable();
                let expected: Vec<usize> = (0..literals.len()).filter(|at| value.contains(&literals[*at])).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
