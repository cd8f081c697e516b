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
//! the four stands there wherever the literal does. With literals of eleven bytes it is eight and each eighth, with those of four one and each.
//! So short literals, where they are few, are searched for otherwise ([`super::packed`]).
//!
//! Chosen over an automaton of Aho and Corasick because the choice of the window makes hits rare, because lookups do not wait for each
//! other as an automaton's states do, and because thousands of long literals (hash sums) need a few bytes each in place of a state a byte.
//! Windows are spread so that few literals share one: that bounds the work a byte on any input.

use hashbrown::HashMap;

use super::hash::Table;
use super::packed::{self, Packed};
use super::rarity::Rarity;

/// Bytes of a window; shorter literals have windows of their own length.
pub(super) const WINDOW_BYTES: usize = 4;

/// Sets of literals by the width of their windows.
#[derive(Debug, Default)]
pub(super) struct Grams {
    widths: Vec<Width>,
    packed: Vec<Packed>,
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
    fn has(&self, name: u32) -> bool {
        self.seen[name as usize] == self.round
    }

    /// Whether the literal is found here for the first time.
    #[inline]
    pub(super) fn is_new(&mut self, name: u32) -> bool {
        std::mem::replace(&mut self.seen[name as usize], self.round) != self.round
    }

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

/// Windows of a literal side by side at most.
const STEP_MAX: usize = 8;
/// Entries of a width whose literals have more than [`STEP_USUAL`] windows each: with more, too many foreign windows pass the filter.
const ENTRIES_MAX: usize = 8192;
const STEP_USUAL: usize = 4;
/// Windows that are asked for at once: there is seldom one of them that may be a literal's.
const TOGETHER: usize = 4;
/// Bytes of a usual text, for prices.
const USUAL_BYTES: usize = 64;
/// What it costs to look a window up, to search for literals packed together, and that by byte: instructions, about.
const WINDOW_PRICE: usize = 11;
const PACKED_PRICE: usize = 60;
const PACKED_BYTE_PRICE: usize = 2;
/// Shorter literals stand in too many places.
const PACKED_BYTES_MIN: usize = 3;

impl Grams {
    /// Literals, none empty, with the number that each is known by: numbers below `literals.len()` of the whole matcher.
    pub(super) fn new(literals: Vec<(String, u32)>, rarity: &Rarity) -> Grams {
        let mut by_width: [Vec<(String, u32)>; WINDOW_BYTES] = Default::default();
        for (text, name) in literals {
            by_width[text.len().min(WINDOW_BYTES) - 1].push((text, name));
        }
        let mut grams = Grams::default();
        for (mut literals, bytes) in by_width.into_iter().zip(1..).filter(|(of, _)| !of.is_empty()) {
            let step = if bytes == WINDOW_BYTES { cheapest_step(&literals) } else { 2 };
            let (short, long) = literals.drain(..).partition(|(text, _)| text.len() < bytes + step - 1);
            let short: Vec<(String, u32)> = short;
            let is_packed =
                bytes >= PACKED_BYTES_MIN && price(short.len(), long.len(), step) < price(0, short.len() + long.len(), 1);
            match is_packed.then(|| packed_of(&short)).flatten() {
                Some(packed) => {
                    grams.packed.extend(packed);
                    literals = long;
                }
                None => literals = short.into_iter().chain(long).collect(),
            }
            if !literals.is_empty() {
                grams.widths.push(Width::new(bytes, literals, rarity));
            }
        }
        grams
    }

    pub(super) fn is_empty(&self) -> bool {
        self.widths.is_empty() && self.packed.is_empty()
    }

    /// Whether it finds the same in ASCII text of any case.
    pub(super) fn is_caseless(&self) -> bool {
        self.packed.is_empty() && self.widths.iter().all(|width| width.bytes == WINDOW_BYTES)
    }

    /// What it costs to look a usual text up, in look-ups of a table.
    pub(super) fn price(&self) -> usize {
        let windows: usize = self.widths.iter().map(|width| USUAL_BYTES / 2 / width.step).sum();
        windows + self.packed.len() * PACKED_PRICE / WINDOW_PRICE
    }

    /// Bytes of the shortest literal.
    pub(super) fn shortest(&self) -> Option<usize> {
        let of_widths = self.widths.iter().flat_map(|width| &width.literals).map(|(literal, _)| literal.len());
        of_widths.chain(self.packed.iter().filter_map(Packed::shortest)).min()
    }

    /// Calls `hit` once with every literal that `value`, in lower case, contains. `names`: above every number a literal is known by.
    pub(super) fn find(&self, value: &[u8], names: usize, found: &mut Found, mut hit: impl FnMut(u32)) {
        found.begin(names);
        for width in &self.widths {
            width.find(value, found, &mut hit);
        }
        for packed in &self.packed {
            packed.find(value, found, &mut hit);
        }
    }
}

/// What a usual text costs with so many literals packed, and so many others of which each `step`th window is looked up.
fn price(packed: usize, others: usize, step: usize) -> usize {
    let windows = if others > 0 { USUAL_BYTES / step * WINDOW_PRICE } else { 0 };
    windows + packed.div_ceil(packed::LITERALS_MAX) * (PACKED_PRICE + USUAL_BYTES * PACKED_BYTE_PRICE)
}

/// The step between windows with which a usual text costs least, where shorter literals are packed.
fn cheapest_step(literals: &[(String, u32)]) -> usize {
    let shorter = |step: usize| literals.iter().filter(|(text, _)| text.len() < WINDOW_BYTES + step - 1).count();
    let steps = (1..=STEP_MAX).filter(|step| *step <= STEP_USUAL || literals.len() * step <= ENTRIES_MAX);
    steps.min_by_key(|step| price(shorter(*step), literals.len() - shorter(*step), *step)).unwrap_or(1)
}

fn packed_of(literals: &[(String, u32)]) -> Option<Vec<Packed>> {
    literals.chunks(packed::LITERALS_MAX).map(|literals| Packed::new(literals.to_vec())).collect()
}

impl Width {
    fn new(bytes: usize, literals: Vec<(String, u32)>, rarity: &Rarity) -> Width {
        let shortest = literals.iter().map(|(text, _)| text.len()).min().unwrap_or(bytes);
        let step_max = if literals.len() * STEP_MAX <= ENTRIES_MAX { STEP_MAX } else { STEP_USUAL };
        let step = if bytes < WINDOW_BYTES { 1 } else { step_max.min(shortest - bytes + 1) };
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
        match (self.bytes, self.step) {
            (WINDOW_BYTES, 1) => self.find_each::<1>(value, found, hit),
            (WINDOW_BYTES, 2) => self.find_each::<2>(value, found, hit),
            (WINDOW_BYTES, 3) => self.find_each::<3>(value, found, hit),
            (WINDOW_BYTES, 4) => self.find_apart::<4>(value, found, hit),
            (WINDOW_BYTES, 5) => self.find_apart::<5>(value, found, hit),
            (WINDOW_BYTES, 6) => self.find_apart::<6>(value, found, hit),
            (WINDOW_BYTES, 7) => self.find_apart::<7>(value, found, hit),
            (WINDOW_BYTES, _) => self.find_apart::<STEP_MAX>(value, found, hit),
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

    /// Looks up each `STEP`th window. Windows are loaded one by one: none waits for the one before.
    #[inline]
    fn find_each<const STEP: usize>(&self, value: &[u8], found: &mut Found, hit: &mut impl FnMut(u32)) {
        for (at, window) in value.windows(WINDOW_BYTES).enumerate().step_by(STEP) {
            self.look(value, at, number(window), found, hit);
        }
    }

    /// The same where no two of these windows overlap.
    #[inline]
    fn find_apart<const STEP: usize>(&self, value: &[u8], found: &mut Found, hit: &mut impl FnMut(u32)) {
        let (steps, rest) = value.as_chunks::<STEP>();
        let mut look = |steps: &[[u8; STEP]], from: usize| {
            for (step, nth) in steps.iter().zip(from..) {
                self.look(value, nth * STEP, number(step), found, hit);
            }
        };
        let (together, others) = steps.as_chunks::<TOGETHER>();
        for (steps, nth) in together.iter().zip(0..) {
            if steps.iter().fold(0, |bits, step| bits | self.bits(number(step))) & 1 != 0 {
                look(steps, nth * TOGETHER);
            }
        }
        look(others, steps.len() - others.len());
        if rest.len() >= WINDOW_BYTES {
            self.look(value, value.len() - rest.len(), number(rest), found, hit);
        }
    }

    /// Compares the literals that have the window at `at`.
    #[inline]
    fn look(&self, value: &[u8], at: usize, window: u32, found: &mut Found, hit: &mut impl FnMut(u32)) {
        if self.may_have(window) {
            self.compare(value, at + WINDOW_BYTES, window, found, hit);
        }
    }

    /// Whether any literal may have the window.
    #[inline]
    fn may_have(&self, window: u32) -> bool {
        self.bits(window) & 1 != 0
    }

    /// The window's bit of the filter as the lowest one; those above are others'.
    #[inline]
    fn bits(&self, window: u32) -> u64 {
        let (word, bit) = place(window, self.filter.len() - 1);
        self.filter[word] >> bit
    }

    #[inline(never)]
    fn compare(&self, value: &[u8], end: usize, window: u32, found: &mut Found, hit: &mut impl FnMut(u32)) {
        let Some(bucket) = self.table.get(u64::from(window)) else { return };
        for entry in &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize] {
            let Some(start) = end.checked_sub(entry.before as usize) else { continue };
            let (literal, name) = &self.literals[entry.literal as usize];
            let stands = || value.get(start..start + literal.len()).is_some_and(|text| text.eq_ignore_ascii_case(literal));
            if !found.has(*name) && stands() && found.is_new(*name) {
                hit(*name);
            }
        }
    }
}

/// A window's word in a filter, and its bit there.
#[inline]
fn place(window: u32, words_mask: usize) -> (usize, u64) {
    let spread = u64::from(window).wrapping_mul(SPREAD);
    ((spread >> 48) as usize & words_mask, spread >> 40 & 63)
}

/// Turns capital letters into small ones, and some other bytes into each other: what is filed under a window is compared in full.
const SMALL: u32 = 0x2020_2020;

/// A window as a number: one of four bytes as it is loaded, whatever the case of its letters; a shorter one as its bytes are pushed.
#[inline]
fn number(window: &[u8]) -> u32 {
    match window.first_chunk::<WINDOW_BYTES>() {
        Some(window) => u32::from_le_bytes(*window) | SMALL,
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
            if grams.is_caseless() {
                let mut found = Vec::new();
                let value: String = value.chars().filter(char::is_ascii).collect();
                grams.find(value.to_ascii_uppercase().as_bytes(), literals.len(), &mut seen, |name| found.push(name as usize));
                found.sort_unstable();
                let expected: Vec<usize> = (0..literals.len()).filter(|at| value.contains(&literals[*at])).collect();
                prop_assert_eq!(found, expected, "in capitals");
            }
        }
    }
}
