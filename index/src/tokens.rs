//! Words of log lines.
//!
//! A word is a run of letters and digits in lower case; what joins words (`.`, `-`, `/`, `@`, `=`) is not kept, so a path, a domain or a
//! hyphenated name is the phrase of its parts, found whole and in part. Three shapes that every record is full of are one word each,
//! which halves what they cost: an IPv4 address (`10.0.0.1`), a date (`2026-04-01`), a time of day (`09:00:00`, without its fraction and
//! offset). Their leading parts are found by [`leading_part`]. What is left out at the start of an IPv6 address is a word (`::`).
//!
//! Chinese and Japanese characters, which know no blanks, become pairs of neighbours, and the first and the last of a run stand beside
//! their pairs by themselves: `総務課A` is `総`, `総務`, `務課`, `課`, `a`. A text is looked for by [`asked_words`], without those at its
//! ends, where a run may go on, so that any part of it is found (`務課A`, `課A`).

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::ops::Range;

use event::limits::FIELD_NAME_BYTES_MAX;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use crate::document::FOLDED_BYTES_MAX;
use crate::fold::{normal, places};

/// Bytes of one word; the rest of a longer one is left out.
pub(crate) const WORD_BYTES_MAX: usize = 128;

/// Calls `each` with the words of `text`, in their order.
pub(crate) fn words(text: &str, mut each: impl FnMut(&str)) {
    let text = normal(text);
    let mut scanner = Scanner::new(&text);
    let mut word = String::new();
    while scanner.next(&mut word) {
        each(&word);
    }
}

/// The words of `text`.
pub(crate) fn all_words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    words(text, |w| all.push(w.to_owned()));
    all
}

/// The words by which `text` is looked for: a run of wide characters may go on before it and behind it.
pub(crate) fn asked_words(text: &str) -> Vec<String> {
    words_between(text, true, true)
}

/// The words by which a part of a text is looked for; whether a run of wide characters may go on before it, and behind it.
pub(crate) fn words_between(text: &str, open_before: bool, open_behind: bool) -> Vec<String> {
    let mut all = all_words(text);
    // Beside a pair at an end there is the end of its run.
    if open_before && all.get(1).is_some_and(|word| is_pair(word)) {
        all.remove(0);
    }
    if open_behind && all.iter().nth_back(1).is_some_and(|word| is_pair(word)) {
        all.pop();
    }
    all
}

/// The words of `text`, each with the bytes of `text` that it stands in.
pub(crate) fn placed_words(text: &str) -> Vec<(String, Range<usize>)> {
    let normal = normal(text);
    let mut scanner = Scanner::new(&normal);
    let (mut all, mut word) = (Vec::new(), String::new());
    while scanner.next(&mut word) {
        all.push((word.clone(), scanner.place.clone()));
    }
    if let Cow::Owned(_) = &normal {
        let places = places(text);
        for (_, place) in &mut all {
            let start = places.partition_point(|(at, _)| *at <= place.start).checked_sub(1);
            let end = places.partition_point(|(at, _)| *at < place.end);
            *place = start.map_or(0, |n| places[n].1)..places.get(end).map_or(text.len(), |(_, end)| *end);
        }
    }
    all
}

/// Whether `text` has any word.
pub(crate) fn has_words(text: &str) -> bool {
    let mut any = false;
    words(text, |_| any = true);
    any
}

/// Goes through the words of one text.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// Whether the run of wide characters at [`Scanner::at`] has been begun.
    in_run: bool,
    /// Where the last word stands.
    place: Range<usize>,
}

impl<'t> Scanner<'t> {
    /// `text`: in the one form of its characters.
    fn new(text: &'t str) -> Scanner<'t> {
        Scanner { text, at: 0, in_run: false, place: 0..0 }
    }

    /// Puts the next word into `word`; false at the end.
    fn next(&mut self, word: &mut String) -> bool {
        word.clear();
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if byte.is_ascii_alphanumeric() {
                self.narrow(word);
                return true;
            }
            if byte == b':' && self.at_shortened() {
                self.place = self.at..self.at + 2;
                self.at += 2;
                word.push_str("::");
                return true;
            }
            if byte.is_ascii() {
                self.at += 1;
                continue;
            }
            let c = char_at(self.text, self.at);
            if is_wide(c) {
                let behind = self.at + c.len_utf8();
                let next = self.text[behind..].chars().next().filter(|c| is_wide(*c));
                let begun = std::mem::replace(&mut self.in_run, next.is_some());
                word.push(c);
                if begun {
                    word.extend(next);
                }
                self.place = self.at..self.at + word.len();
                if begun || next.is_none() {
                    self.at = behind;
                }
                return true;
            }
            if c.is_alphanumeric() {
                self.narrow(word);
                return true;
            }
            self.at += c.len_utf8();
        }
        false
    }

    /// Whether an address begins here whose first groups are left out, which without a word for them would be that of its last ones.
    fn at_shortened(&self) -> bool {
        let rest = &self.text[self.at..];
        let joined = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.');
        rest.starts_with("::")
            && !self.text[..self.at].ends_with(joined)
            && rest[2..].starts_with(|c: char| c.is_ascii_hexdigit())
            && rest[..rest.find(|c| !joined(c)).unwrap_or(rest.len())].trim_end_matches(['.', ':']).parse::<Ipv6Addr>().is_ok()
    }

    /// A word that begins here.
    fn narrow(&mut self, word: &mut String) {
        let bytes = self.text.as_bytes();
        if bytes[self.at].is_ascii_digit()
            && let Some((len, skip)) = joined(bytes, self.at)
        {
            word.push_str(&self.text[self.at..self.at + len]);
            self.place = self.at..self.at + len;
            self.at += len + skip;
            return;
        }
        let start = self.at;
        let mut end = start;
        while bytes.get(end).is_some_and(u8::is_ascii_alphanumeric) {
            end += 1;
        }
        if bytes.get(end).is_none_or(u8::is_ascii) {
            self.at = end;
            self.place = start..end;
            word.push_str(&self.text[start..end.min(start + WORD_BYTES_MAX)]);
            word.make_ascii_lowercase();
            return;
        }
        for c in self.text[start..].chars() {
            if !c.is_alphanumeric() || is_wide(c) {
                break;
            }
            self.at += c.len_utf8();
            if word.len() < WORD_BYTES_MAX {
                word.extend(c.to_lowercase());
            }
        }
        self.place = start..self.at;
    }
}

fn char_at(text: &str, at: usize) -> char {
    text[at..].chars().next().unwrap_or(' ')
}

/// The length of the address, date or time of day that begins at `at`, and of what follows it that is no word.
fn joined(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let digit = |n: usize| bytes.get(at + n).is_some_and(u8::is_ascii_digit);
    let is = |n: usize, b: u8| bytes.get(at + n) == Some(&b);
    let behind = |separator: u8| at > 1 && bytes[at - 1] == separator && bytes[at - 2].is_ascii_alphanumeric();
    if behind(b'.') {
        return None; // The middle of a longer number.
    }
    if is(4, b'-') && is(7, b'-') && [0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(digit) && !digit(10) {
        // `2026-04-01T09:00:00`: the `T` belongs to neither.
        let skip = usize::from((is(10, b'T') || is(10, b't')) && clock(bytes, at + 11));
        let alone = skip == 1 || !bytes.get(at + 10).is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii());
        return alone.then_some((10, skip));
    }
    if clock(bytes, at) && !behind(b':') {
        let mut end = 8;
        if (is(end, b'.') || is(end, b',')) && digit(end + 1) {
            end += 1;
            while digit(end) {
                end += 1;
            }
        }
        if is(end, b'Z') || is(end, b'z') {
            end += 1;
        } else if (is(end, b'+') || is(end, b'-')) && digit(end + 1) && digit(end + 2) {
            let colon = usize::from(is(end + 3, b':'));
            if digit(end + 3 + colon) && digit(end + 4 + colon) {
                end += 5 + colon;
            }
        }
        let alone = !bytes.get(at + end).is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii());
        return Some((8, if alone { end - 8 } else { 0 }));
    }
    let mut end = 0;
    for part in 0..4 {
        if part > 0 {
            if !is(end, b'.') {
                return None;
            }
            end += 1;
        }
        let digits = (0..4).take_while(|n| digit(end + n)).count();
        let value = bytes.get(at + end..at + end + digits)?.iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0'));
        if digits == 0 || digits > 3 || value > 255 {
            return None;
        }
        end += digits;
    }
    let more = is(end, b'.') && digit(end + 1);
    let alone = !bytes.get(at + end).is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii());
    (alone && !more).then_some((end, 0))
}

/// Whether `09:00:00` stands at `at`.
fn clock(bytes: &[u8], at: usize) -> bool {
    bytes
        .get(at..at + 8)
        .is_some_and(|b| b[2] == b':' && b[5] == b':' && [0, 1, 3, 4, 6, 7].into_iter().all(|n| b[n].is_ascii_digit()))
        && !bytes.get(at + 8).is_some_and(|b| b.is_ascii_digit() || *b == b':')
}

/// Where `text` may be the beginning of a joined word (`10.0.3`, `2026-04`, `09:15`): what such words begin with.
pub(crate) fn leading_part(text: &str) -> Option<String> {
    let text = normal(text);
    let text = text.trim();
    for (separator, parts_max, widths) in [('.', 3, 1..=3), ('-', 2, 2..=4), (':', 2, 2..=2)] {
        let part = text.strip_suffix(separator).unwrap_or(text);
        let parts: Vec<&str> = part.split(separator).collect();
        let digits = |p: &&str| widths.contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
        let fits = match separator {
            '-' => parts.first().is_some_and(|p| p.len() == 4) && parts.iter().skip(1).all(|p| p.len() == 2),
            '.' => parts.iter().all(|p| p.parse::<u8>().is_ok()),
            _ => true,
        };
        let several = parts.len() > 1 || part.len() < text.len();
        if several && parts.len() <= parts_max && fits && parts.iter().all(digits) {
            return Some(format!("{part}{separator}"));
        }
    }
    None
}

/// Kanji, kana, their marks (`々`, `〆`, `〇`) and relatives: they know no blanks, and each pair of neighbours is a word.
pub fn is_wide(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3031}'..='\u{3035}' | '\u{303b}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}')
        || matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether a word is two wide characters beside each other.
pub(crate) fn is_pair(word: &str) -> bool {
    word.starts_with(is_wide) && word.chars().nth(1).is_some()
}

/// The one wide character that `words` are: whatever has it beside another knows it as a part of their pair only.
pub(crate) fn lone_wide<W: AsRef<str>>(words: &[W]) -> Option<char> {
    let [word] = words else { return None };
    let mut chars = word.as_ref().chars();
    chars.next().filter(|c| is_wide(*c) && chars.next().is_none())
}

/// [`words`] for the engine.
#[derive(Clone, Default)]
pub(crate) struct LogTokenizer {
    token: Token,
    /// The text in the one form of its characters, where it was in another.
    normal: String,
}

/// The words of one text.
pub(crate) struct Words<'a> {
    scanner: Scanner<'a>,
    token: &'a mut Token,
}

impl Tokenizer for LogTokenizer {
    type TokenStream<'a> = Words<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Words<'a> {
        self.token.position = usize::MAX;
        let text = match normal(text) {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => {
                self.normal = text;
                &self.normal
            }
        };
        Words { scanner: Scanner::new(text), token: &mut self.token }
    }
}

impl TokenStream for Words<'_> {
    fn advance(&mut self) -> bool {
        self.token.position = self.token.position.wrapping_add(1);
        self.scanner.next(&mut self.token.text)
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// What is added to the length of a term, so that it is a character of two bytes as a rule.
const LENGTH_FIRST: usize = 0x80;

/// Adds `term` to the text that [`ExactTokenizer`] takes apart: its length in bytes, as one character, and itself. A value that is cut where
/// columns cut it, folded, with a name before it, is far shorter than what a character can stand for.
pub(crate) fn push_exact(term: &str, text: &mut String) {
    const { assert!(FOLDED_BYTES_MAX + FIELD_NAME_BYTES_MAX + 2 + LENGTH_FIRST < 0xd800) };
    let length = u32::try_from(LENGTH_FIRST + term.len()).ok().and_then(char::from_u32);
    text.push(length.expect("it is shorter than the first surrogate"));
    text.push_str(term);
}

/// Terms as they are, all of a document in one text: beginning a text costs the engine as much as a word.
#[derive(Clone, Default)]
pub(crate) struct ExactTokenizer {
    token: Token,
}

/// The terms of one text.
pub(crate) struct Exact<'a> {
    rest: &'a str,
    token: &'a mut Token,
}

impl Tokenizer for ExactTokenizer {
    type TokenStream<'a> = Exact<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Exact<'a> {
        self.token.position = 0;
        Exact { rest: text, token: &mut self.token }
    }
}

impl TokenStream for Exact<'_> {
    fn advance(&mut self) -> bool {
        let mut chars = self.rest.chars();
        let Some(length) = chars.next() else { return false };
        let (term, rest) = chars.as_str().split_at(length as usize - LENGTH_FIRST);
        self.rest = rest;
        self.token.text.clear();
        self.token.text.push_str(term);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        words(text, |w| found.push(w.to_owned()));
        found
    }

    #[test]
    fn words_are_found() {
        for (text, expected) in [
            ("Failed password for root from 10.0.0.1", vec!["failed", "password", "for", "root", "from", "10.0.0.1"]),
            (
                "10.0.0.1:514, v1.2.3 1.2.3.4.5 300.1.1.1",
                vec!["10.0.0.1", "514", "v1", "2", "3", "1", "2", "3", "4", "5", "300", "1", "1", "1"],
            ),
            ("2026-04-01T09:00:00.123+09:00 a", vec!["2026-04-01", "09:00:00", "a"]),
            ("2026-04-01 09:00:00Z", vec!["2026-04-01", "09:00:00"]),
            ("outside:203.0.113.5/443 ::ffff:10.0.0.1", vec!["outside", "203.0.113.5", "443", "::", "ffff", "10.0.0.1"]),
            ("Apr  1 09:00:00 host-1.example", vec!["apr", "1", "09:00:00", "host", "1", "example"]),
            ("date=2026-04-01 mac=00:11:22:33:44:55", vec!["date", "2026-04-01", "mac", "00", "11", "22", "33", "44", "55"]),
            ("[::1]:443 ::5. a::1 ::std ::", vec!["::", "1", "443", "::", "5", "a", "1", "std"]),
            ("2026-04-01x 09:00:00x", vec!["2026", "04", "01x", "09:00:00", "x"]),
            ("/etc/passwd A_B", vec!["etc", "passwd", "a", "b"]),
            ("個人番号", vec!["個", "個人", "人番", "番号", "号"]),
            ("a字b", vec!["a", "字", "b"]),
            ("ログinログ", vec!["ロ", "ログ", "グ", "in", "ロ", "ログ", "グ"]),
            ("佐々木 〆", vec!["佐", "佐々", "々木", "木", "〆"]),
            ("ﾛｸﾞＩＮ か\u{3099}", vec!["ロ", "ログ", "グ", "in", "が"]),
            ("ÄÖü straße", vec!["äöü", "straße"]),
            ("", vec![]),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
    }

    #[test]
    fn a_run_may_go_on_at_both_ends_of_what_is_asked() {
        for (text, expected) in [
            ("個人番号", vec!["個人", "人番", "番号"]),
            ("課A", vec!["課", "a"]),
            ("総務課A", vec!["総務", "務課", "課", "a"]),
            ("第3課の", vec!["第", "3", "課", "課の"]),
            ("課 の", vec!["課", "の"]),
            ("字", vec!["字"]),
            ("", vec![]),
        ] {
            assert_eq!(asked_words(text), expected, "{text}");
        }
    }

    #[test]
    fn terms_are_what_was_pushed() {
        let terms = ["", "12:", ":", "a\nb\0c", "個人", "10.0.0.1", "\u{80}", &"x".repeat(FOLDED_BYTES_MAX)];
        let mut text = String::new();
        terms.iter().for_each(|term| push_exact(term, &mut text));
        let (mut tokenizer, mut found) = (ExactTokenizer::default(), Vec::new());
        tokenizer.token_stream(&text).process(&mut |token| found.push(token.text.clone()));
        assert_eq!(found, terms);
    }

    #[test]
    fn leading_parts_are_told() {
        for (text, expected) in [
            ("10.0.3", Some("10.0.3.")),
            ("10.0.", Some("10.0.")),
            ("10.", Some("10.")),
            ("10", None),
            ("10.0.0.1", None),
            ("1.300", None),
            ("2026-04", Some("2026-04-")),
            ("09:15", Some("09:15:")),
            ("a.b", None),
        ] {
            assert_eq!(leading_part(text).as_deref(), expected, "{text}");
        }
    }
}
