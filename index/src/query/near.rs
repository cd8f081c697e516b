//! Words that are nearly one: so many letters changed, left out, added, or changed for their neighbours.

use crate::fold::folded;

/// Changes that may be asked for. As in Lucene: more make one word of another.
pub const CHANGES_MAX: usize = 2;
/// Letters of a text that is compared so.
const LETTERS_MAX: usize = 128;

/// A text from which others differ by a few letters.
#[derive(Clone, Debug)]
pub struct Near {
    text: String,
    letters: usize,
    changes: usize,
    /// Bytes at the beginning that are the same.
    fixed: usize,
}

impl Near {
    /// `changes`: how many there may be; none: as many as Elasticsearch takes for a text so long, up to two. `fixed`: letters at the beginning
    /// that are the same.
    pub fn new(text: &str, changes: Option<usize>, fixed: usize) -> Near {
        let text: String = folded(text).chars().take(LETTERS_MAX).collect();
        let letters = text.chars().count();
        let usual = match letters {
            0..=2 => 0,
            3..=5 => 1,
            _ => 2,
        };
        let fixed = text.chars().take(fixed).map(char::len_utf8).sum();
        Near { text, letters, changes: changes.unwrap_or(usual).min(CHANGES_MAX), fixed }
    }

    /// The text that is compared with.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a folded text is so near, by changes of which each place has one at most (optimal string alignment).
    pub(crate) fn holds(&self, text: &str) -> bool {
        // Bytes say enough to leave most words alone: a letter has four at most.
        text.len() <= 4 * (self.letters + self.changes)
            && text.starts_with(&self.text[..self.fixed])
            && text.chars().count().abs_diff(self.letters) <= self.changes
            && strsim::osa_distance(&self.text, text) <= self.changes
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
