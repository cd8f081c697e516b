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
        let heads = sorted.iter().map(|(text, _)| head(text.iter().copied())).collect();
        let (literals, names): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
        Ladder { from_end, heads, literals: literals.into(), parents: parents.into(), names: names.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Calls `hit` with every literal that `value` begins (ends) with.
    pub(super) fn find(&self, value: &[u8], mut hit: impl FnMut(u32)) {
        if self.is_empty() {
            return;
        }
        let wanted = if self.from_end { head(value.iter().rev().copied()) } else { head(value.iter().copied()) };
        let mut above = self.heads.partition_point(|head| *head < wanted);
        while above < self.heads.len() && self.heads[above] == wanted && self.compare(above, value) != Ordering::Greater {
            above += 1;
        }
        let mut at = above.checked_sub(1).map_or(NONE, |at| at as u32);
        while at != NONE && !self.stands_in(at as usize, value) {
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

    fn stands_in(&self, at: usize, value: &[u8]) -> bool {
        let literal = &self.literals[at];
        if literal.len() > value.len() {
            return false;
        }
        if self.from_end {
            literal.iter().eq(value[value.len() - literal.len()..].iter().rev())
        } else {
            value.starts_with(literal)
        }
    }
}

fn head(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut head = [0; 8];
    for (to, byte) in head.iter_mut().zip(bytes) {
        *to = byte;
    }
    u64::from_be_bytes(head)
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
