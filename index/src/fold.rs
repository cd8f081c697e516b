//! How texts compare: in small letters, and in one form of each character.
//!
//! Japanese devices write one word in several forms: kana of half and of full width, Latin letters and digits of full width, marks on kana
//! as characters of their own (file names of some systems). Unicode's form NFKC (UAX #15) is the one of all of them. A text of ASCII alone
//! is in it already, and is not looked at.

use std::borrow::Cow;

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// The text with each character in the one form of it.
pub(crate) fn normal(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfkc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfkc().collect())
    }
}

/// The text as others are compared with it.
pub(crate) fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { normal(text).to_lowercase() }
}

/// Where the parts of a text that become others together begin: in its one form, and in the text itself. Both end with the ends.
pub(crate) fn places(text: &str) -> Vec<(usize, usize)> {
    let mut starts: Vec<usize> = text.char_indices().filter(|(_, c)| !joins_the_one_before(*c)).map(|(at, _)| at).collect();
    starts.push(text.len());
    let (mut all, mut at) = (Vec::with_capacity(starts.len()), 0);
    let mut before = 0;
    for start in starts {
        at += normal(&text[before..start]).len();
        all.push((at, start));
        before = start;
    }
    all
}

/// Whether rules read the text otherwise than it is compared here: it has a letter that case folding takes for another one than its small
/// form (a long s, a final sigma, a micro sign), or a mark that becomes a part of the character before it.
pub(crate) fn folds_otherwise(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| letter_folds_otherwise(c) || joins_the_one_before(c))
}

fn letter_folds_otherwise(c: char) -> bool {
    /// Behind it there is none: a test looks at all letters.
    const LAST: char = '\u{1fff}';
    if c.is_ascii() || c > LAST {
        return false;
    }
    // As rules fold: by way of the capital, where that is one letter.
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) if c != 'ı' => !upper.to_lowercase().eq(c.to_lowercase()),
        _ => false,
    }
}

fn joins_the_one_before(c: char) -> bool {
    // The last are Korean letters and the marks and Korean letters of half width: they stand for others that join.
    !c.is_ascii()
        && (canonical_combining_class(c) != 0
            || is_nfkc_quick(std::iter::once(c)) == IsNormalized::Maybe
            || matches!(c, '\u{3131}'..='\u{318e}' | '\u{ff9e}'..='\u{ffdc}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_fold_otherwise_are_known() {
        for (text, expected) in [
            ("user", false),
            ("uſer", true),
            ("ΟΔΟΣ", false),
            ("οδος", true),
            ("5 µs", true),
            ("個人 ログ é", false),
            ("Ａ１（ｶﾅ）㈱", false),
            ("e\u{301}", true),
            ("か\u{3099}", true),
            ("ｶﾞ", true),
        ] {
            assert_eq!(folds_otherwise(text), expected, "{text}");
        }
        let folded = |c: char| {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(upper), None) if c != 'ı' => upper.to_lowercase().collect::<String>(),
                _ => c.to_lowercase().collect(),
            }
        };
        for c in '\0'..=char::MAX {
            assert_eq!(letter_folds_otherwise(c), folded(c) != c.to_lowercase().collect::<String>(), "{c:?}");
        }
    }

    /// What is not marked as folding otherwise may be taken apart anywhere: its parts fold to the parts of it.
    #[test]
    fn only_what_joins_the_one_before_changes_it() {
        for before in ['a', 'か', '가'] {
            for c in ('\u{80}'..='\u{1ffff}').filter(|c| !joins_the_one_before(*c)) {
                let (alone, together) = (normal(&c.to_string()).into_owned(), normal(&format!("{before}{c}")).into_owned());
                assert_eq!(together, format!("{before}{alone}"), "{before}{c:?}");
            }
        }
    }
}
