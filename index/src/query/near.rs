//! Words that are nearly one: so many letters changed, left out, added, or changed for their neighbours.

use crate::fold::folded;

/// Changes that may be asked for. As in Lucene: more make one word of another.
pub const CHANGES_MAX: usize = 2;
/// Letters of a text that is compared so.
const LETTERS_MAX: usize = 128;

/// A text from which others differ by a few letters.
#[derive(Clone, Debug)]
pub struct Near {
    letters: Vec<char>,
    changes: usize,
    /// Letters at the beginning that are the same.
    fixed: usize,
}

impl Near {
    /// `changes`: how many there may be; none: as many as Elasticsearch takes for a text so long, up to two. `fixed`: letters at the beginning
    /// that are the same.
    pub fn new(text: &str, changes: Option<usize>, fixed: usize) -> Near {
        let letters: Vec<char> = folded(text).chars().take(LETTERS_MAX).collect();
        let usual = match letters.len() {
            0..=2 => 0,
            3..=5 => 1,
            _ => 2,
        };
        Near { changes: changes.unwrap_or(usual).min(CHANGES_MAX), fixed: fixed.min(letters.len()), letters }
    }

    /// The text that is compared with.
    pub(crate) fn text(&self) -> String {
        self.letters.iter().collect()
    }

    /// Whether a folded text is so near.
    pub(crate) fn holds(&self, text: &str) -> bool {
        // Bytes say enough to leave most words alone: a letter has four at most.
        if text.len() > 4 * (self.letters.len() + self.changes) || text.len() + self.changes < self.letters.len() {
            return false;
        }
        let other: Vec<char> = text.chars().collect();
        let begins = other.len() >= self.fixed && other[..self.fixed] == self.letters[..self.fixed];
        begins && other.len().abs_diff(self.letters.len()) <= self.changes && self.distance(&other) <= self.changes
    }

    /// Changes between the texts, of which each place is changed once at most (optimal string alignment).
    fn distance(&self, other: &[char]) -> usize {
        let width = other.len() + 1;
        let (mut before, mut last, mut row) = (vec![0; width], (0..width).collect::<Vec<usize>>(), vec![0; width]);
        for (at, own) in self.letters.iter().enumerate() {
            row[0] = at + 1;
            for (n, their) in other.iter().enumerate() {
                let mut least = (last[n] + usize::from(own != their)).min(last[n + 1] + 1).min(row[n] + 1);
                if at > 0 && n > 0 && self.letters[at - 1] == *their && *own == other[n - 1] {
                    least = least.min(before[n - 1] + 1);
                }
                row[n + 1] = least;
            }
            if row.iter().min().is_some_and(|least| *least > self.changes) {
                return self.changes + 1;
            }
            std::mem::swap(&mut before, &mut last);
            std::mem::swap(&mut last, &mut row);
        }
        last[other.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted() {
        for (text, changes, other, holds) in [
            ("root", Some(1), "root", true),
            ("roto", Some(1), "root", true),
            ("rot", Some(1), "root", true),
            ("roott", Some(1), "root", true),
            ("toor", Some(1), "root", false),
            ("toor", Some(2), "root", true),
            ("administrator", None, "adminstratro", true),
            ("root", None, "rxxt", false),
            ("ab", None, "ac", false),
            ("ログイン", Some(1), "ログオン", true),
            ("", Some(2), "ab", true),
            ("abc", Some(9), "xyz", false),
        ] {
            assert_eq!(Near::new(text, changes, 0).holds(other), holds, "{text} {other}");
        }
        assert!(!Near::new("root", Some(1), 1).holds("toot") && Near::new("root", Some(1), 1).holds("rooot"));
    }
}
