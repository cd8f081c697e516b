//! Sigma strings: text with the wildcards `*` and `?`, and how they are matched.

use std::borrow::Cow;

use wide::u8x16;

/// A part of a pattern.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Part {
    /// This text.
    Text(String),
    /// Any characters, also none, also line ends (`*`).
    Any,
    /// One character (`?`).
    One,
}

/// A Sigma string.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Pattern(pub Vec<Part>);

impl Pattern {
    /// Reads a Sigma string: a backslash takes the meaning from `*`, `?` and `\`, and is itself before anything else
    /// (specification, "Escape Character").
    pub fn parse(text: &str) -> Pattern {
        let mut pattern = Pattern::default();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.peek() {
                    Some(&next @ ('*' | '?' | '\\')) => {
                        chars.next();
                        pattern.push(next);
                    }
                    _ => pattern.push('\\'),
                },
                '*' => {
                    if pattern.0.last() != Some(&Part::Any) {
                        pattern.0.push(Part::Any);
                    }
                }
                '?' => pattern.0.push(Part::One),
                c => pattern.push(c),
            }
        }
        pattern
    }

    /// The text itself, without wildcards.
    pub fn literal(text: &str) -> Pattern {
        Pattern(if text.is_empty() { Vec::new() } else { vec![Part::Text(text.to_owned())] })
    }

    pub(crate) fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => self.0.push(Part::Text(c.to_string())),
        }
    }

    /// This, and `other` behind it.
    #[must_use]
    pub fn then(mut self, other: &Pattern) -> Pattern {
        for part in &other.0 {
            match (self.0.last_mut(), part) {
                (Some(Part::Text(text)), Part::Text(more)) => text.push_str(more),
                (Some(Part::Any), Part::Any) => {}
                _ => self.0.push(part.clone()),
            }
        }
        self
    }

    /// The text, where there is no wildcard.
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// With any characters allowed before and after, as asked.
    #[must_use]
    pub fn open(mut self, start: bool, end: bool) -> Pattern {
        if start && self.0.first() != Some(&Part::Any) {
            self.0.insert(0, Part::Any);
        }
        if end && self.0.last() != Some(&Part::Any) {
            self.0.push(Part::Any);
        }
        self
    }

    /// With every text part changed by `f`.
    #[must_use]
    pub fn map(self, f: impl Fn(&str) -> String) -> Pattern {
        let part = |part| match part {
            Part::Text(text) => Part::Text(f(&text)),
            other => other,
        };
        Pattern(self.0.into_iter().map(part).collect())
    }

    /// Whether `text` is of this form, from its start to its end. Both are folded already where case does not count.
    pub fn matches(&self, text: &str) -> bool {
        match self.0.as_slice() {
            [] => text.is_empty(),
            [Part::Text(whole)] => text == whole,
            [Part::Any] => true,
            [Part::Any, Part::Text(end)] => text.ends_with(end.as_str()),
            [Part::Text(start), Part::Any] => text.starts_with(start.as_str()),
            [Part::Any, Part::Text(within), Part::Any] => memchr::memmem::find(text.as_bytes(), within.as_bytes()).is_some(),
            parts => glob(parts, text),
        }
    }
}

/// Matches greedily with one place to come back to: linear times the pattern's parts, never exponential.
fn glob(parts: &[Part], text: &str) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut back: Option<(usize, &str)> = None; // The part behind the last `*`, and where its text was tried.
    loop {
        let step = match parts.get(at) {
            Some(Part::Any) => {
                back = Some((at + 1, rest));
                at += 1;
                continue;
            }
            Some(Part::Text(expected)) => rest.strip_prefix(expected.as_str()),
            Some(Part::One) => rest.chars().next().map(|c| &rest[c.len_utf8()..]),
            None if rest.is_empty() => return true,
            None => None,
        };
        match (step, back) {
            (Some(after), _) => {
                at += 1;
                rest = after;
            }
            (None, Some((part, tried))) => {
                let Some(c) = tried.chars().next() else { return false };
                let tried = &tried[c.len_utf8()..];
                // Behind `*` a text can begin only where it stands.
                let tried = match parts.get(part) {
                    Some(Part::Text(next)) => match memchr::memmem::find(tried.as_bytes(), next.as_bytes()) {
                        Some(found) => &tried[found..],
                        None => return false,
                    },
                    _ => tried,
                };
                back = Some((part, tried));
                at = part;
                rest = tried;
            }
            (None, None) => return false,
        }
    }
}

/// Folds case for comparing: ASCII at once, the rest of Unicode as its case folding has it (`CaseFolding.txt`, status C and S).
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|b| b.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() }
    } else {
        let mut folded = String::with_capacity(text.len());
        fold_onto(text, &mut folded);
        folded.into()
    }
}

/// Folds into `out`, which is emptied first.
pub fn fold_into(text: &str, out: &mut String) {
    out.clear();
    fold_onto(text, out);
}

/// Folds onto the end of `out`.
pub fn fold_onto(text: &str, out: &mut String) {
    if text.is_ascii() {
        let from = out.len();
        out.push_str(text);
        out[from..].make_ascii_lowercase();
    } else {
        text.chars().for_each(|c| fold_char(c, &mut |c| out.push(c)));
    }
}

/// Folds onto the end of bytes: for what reads no characters.
pub(crate) fn fold_onto_bytes(text: &str, out: &mut Vec<u8>) {
    let from = out.len();
    out.extend_from_slice(text.as_bytes());
    if !fold_ascii(&mut out[from..]) {
        out.truncate(from);
        let mut push = |c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        text.chars().for_each(|c| fold_char(c, &mut push));
    }
}

/// Makes the letters of ASCII lower case, sixteen bytes a step; the last step may overlap the one before it. Whether there are no others.
fn fold_ascii(bytes: &mut [u8]) -> bool {
    fn step(bytes: &mut [u8; 16]) -> u8x16 {
        let before = u8x16::new(*bytes);
        let from_a = before - u8x16::splat(b'A');
        let is_upper = from_a.simd_eq(from_a.min(u8x16::splat(b'Z' - b'A')));
        *bytes = (before | is_upper & u8x16::splat(b'a' - b'A')).to_array();
        before
    }
    if bytes.len() < 16 {
        return fold_short(bytes);
    }
    let (steps, rest) = bytes.as_chunks_mut();
    let mut all = steps.iter_mut().fold(u8x16::ZERO, |all, bytes| all | step(bytes));
    if !rest.is_empty() {
        all = bytes.last_chunk_mut().map_or(all, |last| all | step(last));
    }
    all.to_bitmask() == 0 // The high bit of each byte.
}

/// The same of fewer bytes than one such step, eight a step.
fn fold_short(bytes: &mut [u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    fn step(bytes: &mut [u8; 8]) -> u64 {
        let word = u64::from_le_bytes(*bytes);
        // The high bit of each byte that is at least `A`, or above `Z`: below 128 there is no carry from one byte into the next.
        let low = word & !HIGH;
        let (at_least, above) = (low + ONES * (128 - b'A' as u64), low + ONES * (127 - b'Z' as u64));
        let upper = (at_least ^ above) & !word & HIGH;
        *bytes = (word | upper >> 2).to_le_bytes();
        word
    }
    let all = if let Some(first) = bytes.first_chunk_mut() {
        let first = step(first);
        bytes.last_chunk_mut().map_or(first, |last| first | step(last))
    } else {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let before = step(&mut word);
        bytes.copy_from_slice(&word[..bytes.len()]);
        before
    };
    all & HIGH == 0
}

/// Lower case, by way of upper case where that is one character: so the final sigma is a sigma, and the long s an s. The Turkic `ı` is
/// itself, as Unicode has it for other languages; so is the `İ`, whose lower case is two characters: one stays one, for `?`.
fn fold_char(c: char, push: &mut impl FnMut(char)) {
    if c.is_ascii() {
        return push(c.to_ascii_lowercase());
    }
    let mut upper = c.to_uppercase();
    let upper = match (upper.next(), upper.next()) {
        (Some(upper), None) if c != 'ı' => upper,
        _ => c,
    };
    let mut lower = upper.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) => push(lower),
        _ => push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_folded_wherever_it_stands() {
        for byte in 0..=0x17f_u32 {
            let c = char::from_u32(byte).expect("a character");
            for length in 0..40 {
                for at in [0, length / 2, length] {
                    let text: String =
                        "AZaz@[`{".chars().cycle().take(at).chain([c]).chain("Q".repeat(length - at).chars()).collect();
                    let mut folded = b"X".to_vec();
                    fold_onto_bytes(&text, &mut folded);
                    assert_eq!(folded[1..], *fold(&text).as_bytes(), "{text}");
                }
            }
        }
    }

    #[test]
    fn escapes_are_those_of_the_specification() {
        let text = |t: &str| Part::Text(t.to_owned());
        for (sigma, parts) in [
            (r"a\b", vec![text(r"a\b")]),
            (r"a\\b", vec![text(r"a\b")]),
            (r"\*", vec![text("*")]),
            (r"\\*", vec![text("\\"), Part::Any]),
            (r"\\\*", vec![text(r"\*")]),
            (r"\\\\x", vec![text(r"\\x")]),
            (r"\\\x", vec![text(r"\\x")]),
            ("a?b*", vec![text("a"), Part::One, text("b"), Part::Any]),
            ("", vec![]),
        ] {
            assert_eq!(Pattern::parse(sigma).0, parts, "{sigma}");
        }
    }

    #[test]
    fn wildcards_match() {
        for (sigma, text, expected) in [
            ("a*c", "a\nb\nc", true),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c", "abcab", false),
            ("*ab", "aab", true),
            ("*aab", "aaab", true),
            ("1?", "1é", true),
            ("1?", "1", false),
            ("??t", "cat", true),
            ("*?", "", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(Pattern::parse(sigma).matches(text), expected, "{sigma} {text}");
        }
    }

    #[test]
    fn a_character_stays_one() {
        for c in (0..=0x10_ffff_u32).filter_map(char::from_u32) {
            assert_eq!(fold(&c.to_string()).chars().count(), 1, "{c:?}");
        }
    }

    #[test]
    fn case_folds_as_unicode_has_it() {
        for (a, b, same) in [
            ("ΟΔΟΣ", "οδος", true),
            ("ſ", "S", true),
            ("\u{212a}", "k", true),
            ("µ", "Μ", true),
            ("ǅ", "ǆ", true),
            ("ẞ", "ß", true),
            ("Ж", "ж", true),
            ("Ꮳ", "ꮳ", true),
            ("ı", "I", false),
            ("İ", "i", false),
            ("İ", "İ", true),
            ("é", "e", false),
        ] {
            assert_eq!(fold(a) == fold(b), same, "{a} {b}");
            for text in [a.to_owned(), format!("Abc{b}XYZ"), "Plain".to_owned()] {
                let mut bytes = b"X".to_vec();
                fold_onto_bytes(&text, &mut bytes);
                assert_eq!(bytes, format!("X{}", fold(&text)).as_bytes());
            }
        }
    }

    #[test]
    fn many_stars_stay_quick() {
        let pattern = Pattern::parse(&"*a".repeat(60));
        assert!(!pattern.matches(&"a".repeat(59)));
        assert!(!Pattern::parse("*a*a*a*a*b").matches(&"a".repeat(60_000)));
    }
}
