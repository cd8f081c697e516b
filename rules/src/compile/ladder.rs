//! Which literals a value begins (or ends) with: sorted literals, each with the longest other literal that it begins with.
//!
//! ```text
//!  sorted   a   ab   abc   abd   b          value "abcx": the last literal not above it is "abc",
//!  parent   -   a    ab    ab    -          and all that the value begins with are abc and its parents: ab, a
//! ```
//!
//! One binary search a value, whatever the number and lengths of the literals. For ends the literals are held reversed.

use std::cmp::Ordering;

/// A literal without parent.
const NONE: u32 = u32::MAX;

/// A set of literals that anchor at one end of a value.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    from_end: bool,
    /// The first eight bytes of each literal, as a number that sorts alike: most comparisons need no more.
    heads: Box<[u64]>,
    literals: Box<[Box<[u8]>]>,
    parents: Box<[u32]>,
    /// What the caller knows each literal by.
    names: Box<[u32]>,
}

impl Ladder {
    /// Literals with the number that each is known by; distinct ones. `from_end`: they stand at the value's end.
    pub(super) fn new(literals: Vec<(String, u32)>, from_end: bool) -> Ladder {
        let mut sorted: Vec<(Box<[u8]>, u32)> = literals
            .into_iter()
            .map(|(text, name)| {
                let mut bytes = text.into_bytes();
                if from_end {
                    bytes.reverse();
                }
                (bytes.into_boxed_slice(), name)
            })
            .collect();
        sorted.sort();
        let mut parents = Vec::with_capacity(sorted.len());
        for (at, (text, _)) in sorted.iter().enumerate() {
            let mut parent = if at == 0 { NONE } else { at as u32 - 1 };
            while parent != NONE && !text.starts_with(&sorted[parent as usize].0) {
                parent = parents[parent as usize];
            }
            parents.push(parent);
        }
        let heads = sorted.iter().map(|(text, _)| head(text)).collect();
        let (literals, names): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
        Ladder { from_end, heads, literals: literals.into(), parents: parents.into(), names: names.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Bytes of the shortest literal.
    pub(super) fn shortest(&self) -> Option<usize> {
        self.literals.iter().map(|literal| literal.len()).min()
    }

    /// Calls `hit` with every literal that `value` begins (ends) with.
    pub(super) fn find(&self, value: &[u8], mut hit: impl FnMut(u32)) {
        if self.is_empty() {
            return;
        }
        let wanted = if self.from_end { head_from_end(value) } else { head(value) };
        let mut above = self.heads.partition_point(|head| *head < wanted);
        while above < self.heads.len() && self.heads[above] == wanted && self.compare(above, value) != Ordering::Greater {
            above += 1;
        }
        let mut at = above.checked_sub(1).map_or(NONE, |at| at as u32);
        while at != NONE && !self.stands_in(at as usize, wanted, value) {
            at = self.parents[at as usize];
        }
        while at != NONE {
            hit(self.names[at as usize]);
            at = self.parents[at as usize];
        }
    }

    fn compare(&self, at: usize, value: &[u8]) -> Ordering {
        let literal = self.literals[at].iter();
        if self.from_end { literal.cmp(value.iter().rev()) } else { literal.cmp(value.iter()) }
    }

    fn stands_in(&self, at: usize, head: u64, value: &[u8]) -> bool {
        let literal = &self.literals[at];
        let bits = (8 * literal.len() as u32).min(u64::BITS);
        if (self.heads[at] ^ head).leading_zeros() < bits || literal.len() > value.len() {
            return false;
        }
        if self.from_end {
            literal.iter().eq(value[value.len() - literal.len()..].iter().rev())
        } else {
            value.starts_with(literal)
        }
    }
}

/// The first eight bytes, the first one foremost; zeros where there are fewer.
fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => bytes.iter().zip(0..).fold(0, |head, (byte, at)| head | u64::from(*byte) << (56 - 8 * at)),
    }
}

/// The same of the bytes from the last one on backwards.
fn head_from_end(bytes: &[u8]) -> u64 {
    match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => bytes.iter().rev().zip(0..).fold(0, |head, (byte, at)| head | u64::from(*byte) << (56 - 8 * at)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            literals in prop::collection::btree_set("[ab\u{0}é]{1,12}", 0..40),
            value in "[ab\u{0}é]{0,14}",
            from_end: bool,
        ) {
            let literals: Vec<String> = literals.into_iter().collect();
            let ladder = Ladder::new(literals.iter().cloned().zip(0..).collect(), from_end);
            let mut found = Vec::new();
            ladder.find(value.as_bytes(), |name| found.push(name as usize));
            found.sort_unstable();
            let plain = |text: &String| if from_end { value.ends_with(text.as_str()) } else { value.starts_with(text.as_str()) };
            let expected: Vec<usize> = (0..literals.len()).filter(|at| plain(&literals[*at])).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
