//! `key=value` pairs: values bare, or in double quotes with backslash escapes; and what vendors make of them.

use wide::u8x16;

use super::cut::{find, trimmed};

/// One pair, borrowed from the record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// The pairs of `text`, separated by blanks, `,` or `;`. What is no pair is stepped over. A quoted value ends at the first quote that
/// stands before a separator or the end, so that a quote which a device did not escape does not end it.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = Pair<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    // What is looked for is ASCII: bytes are told apart, not characters.
    let next_of =
        |from: usize, kinds: u8| bytes[from..].iter().position(|b| KINDS[usize::from(*b)] & kinds != 0).map(|n| from + n);
    std::iter::from_fn(move || {
        loop {
            let start = next_of(at, !SEPARATOR)?;
            let end = next_of(start, SEPARATOR | EQUALS | QUOTE)?;
            if bytes[end] != b'=' {
                at = end + bytes[end..].iter().take_while(|b| **b == b'"').count();
                continue;
            }
            let (key, value) = (&text[start..end], &text[end + 1..]);
            if let Some(quoted) = value.strip_prefix('"') {
                if let Some(quoted) = doubled(value) {
                    let close = quoted.find("\"\"").unwrap_or(quoted.len());
                    at = (end + 3 + close + 2).min(text.len());
                    return Some(Pair { key, value: &quoted[..close] });
                }
                let close = closing_quote(quoted);
                at = (end + 2 + close + 1).min(text.len());
                return Some(Pair { key, value: &quoted[..close] });
            }
            // `key='two words'`; quotes around further pairs are somebody else's (`msg='op=login id=0'`).
            let single = value.strip_prefix('\'').and_then(|quoted| quoted.split_once('\''));
            if let Some((inner, after)) = single.filter(|(inner, after)| {
                !inner.is_empty() && !inner.contains('=') && (after.is_empty() || after.starts_with(is_separator))
            }) {
                at = text.len() - after.len();
                return Some(Pair { key, value: inner });
            }
            at = next_of(end + 1, SEPARATOR).unwrap_or(text.len());
            return Some(Pair { key, value: &text[end + 1..at] });
        }
    })
}

/// What stands between pairs, and the two bytes within them that mean something.
const SEPARATOR: u8 = 1;
const EQUALS: u8 = 2;
const QUOTE: u8 = 4;
const OTHER: u8 = 8;
const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    kinds[b' ' as usize] = SEPARATOR;
    kinds[b',' as usize] = SEPARATOR;
    kinds[b';' as usize] = SEPARATOR;
    kinds[b'\t' as usize] = SEPARATOR;
    kinds[b'=' as usize] = EQUALS;
    kinds[b'"' as usize] = QUOTE;
    kinds
};

/// How pairs are written where it is not the usual way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    /// What stands between pairs: a bare value may then hold blanks. None: blanks, `,` and `;`.
    pub(super) separator: Option<char>,
    /// What stands between key and value.
    pub(super) equals: char,
    /// Values may hold blanks, and end where the next ` key=` begins.
    pub(super) spaced: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style { separator: None, equals: '=', spaced: false }
    }
}

/// The pairs of `text` as `style` writes them.
pub(super) fn styled<'a>(text: &'a str, style: Style, mut each: impl FnMut(Pair<'a>)) {
    any(text, style, |pair| {
        each(pair);
        false
    });
}

/// Whether `is` says yes to one of the pairs of `text`, as `style` writes them; it is asked up to that one.
pub(super) fn any<'a>(text: &'a str, style: Style, is: impl FnMut(Pair<'a>) -> bool) -> bool {
    if style.spaced {
        spaced(text, style.equals, is)
    } else if style == Style::default() {
        pairs(text).any(is)
    } else {
        divided(text, style).any(is)
    }
}

/// The pairs of `text` with what `style` says between them and within them.
fn divided(text: &str, style: Style) -> impl Iterator<Item = Pair<'_>> {
    let between = move |c: char| style.separator.map_or(is_separator(c), |s| s == c);
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|c: char| between(c) || c == ' ' || c == '\t');
            let after = &rest[first_divider(rest, style)?..];
            let Some(value) = after.strip_prefix(style.equals) else {
                rest = after; // A word that is no pair.
                continue;
            };
            let key = trimmed(&rest[..rest.len() - after.len()]);
            let key = if style.separator == Some(']') { key.trim_start_matches('[') } else { key }; // `[key=value][key=value]`
            let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key); // `"key"="value"`
            let value = if style.equals == '=' { value } else { value.trim_start_matches(' ') };
            let (value, end) = match value.strip_prefix('"') {
                Some(quoted) => {
                    let close = quoted_end(quoted, between);
                    (&quoted[..close], quoted.get(close + 1..).unwrap_or(""))
                }
                None => value.split_at(first_separator(value, style.separator).unwrap_or(value.len())),
            };
            rest = end;
            return Some(Pair { key, value: trimmed(value) });
        }
    })
}

/// Where the first separator of `text` stands.
fn first_separator(text: &str, separator: Option<char>) -> Option<usize> {
    match separator {
        Some(separator) => find(text, separator),
        None => text.bytes().position(|b| KINDS[usize::from(b)] & SEPARATOR != 0),
    }
}

/// Where the first separator of `text` stands, or what stands between key and value.
fn first_divider(text: &str, style: Style) -> Option<usize> {
    let equals = u8::try_from(style.equals).ok().filter(u8::is_ascii);
    let separator = style.separator.map(|separator| u8::try_from(separator).ok().filter(u8::is_ascii));
    match (equals, separator) {
        (Some(equals), Some(Some(separator))) => memchr::memchr2(equals, separator, text.as_bytes()),
        (Some(equals), None) => text.bytes().position(|b| b == equals || KINDS[usize::from(b)] & SEPARATOR != 0),
        _ => [find(text, style.equals), first_separator(text, style.separator)].into_iter().flatten().min(),
    }
}

/// Where a value in quotes ends: at the quote before a separator or the end.
fn quoted_end(quoted: &str, between: impl Fn(char) -> bool) -> usize {
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if quoted[at + 1..].chars().next().is_none_or(|next| between(next) || next == ' ') => return at,
            _ => {}
        }
    }
    quoted.len()
}

/// `key=value with blanks key=value`: a value ends where the next word before an unescaped `=` begins.
fn spaced<'a>(text: &'a str, equals: char, mut is: impl FnMut(Pair<'a>) -> bool) -> bool {
    let Some(mut end) = unescaped(text, equals) else { return false };
    let mut key = trimmed(&text[..end]);
    key = key.rsplit([' ', '\t']).next().unwrap_or(key);
    let mut rest = text;
    loop {
        let after = &rest[end + equals.len_utf8()..];
        let mut from = 0;
        let next = loop {
            let Some(found) = after.get(from..).and_then(|tail| unescaped(tail, equals)) else { break None };
            let place = from + found;
            let start = after[..place].rfind([' ', '\t']).map(|at| at + 1);
            match start.filter(|start| is_key(&after[*start..place])) {
                Some(start) => break Some((start, place)),
                None => from = place + equals.len_utf8(),
            }
        };
        let value = trimmed(next.map_or(after, |(start, _)| &after[..start]));
        let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        if is(Pair { key, value: bare }) {
            return true;
        }
        match next {
            Some((start, place)) => {
                key = &after[start..place];
                rest = after;
                end = place;
            }
            None => return false,
        }
    }
}

/// A word that may be a key: letters, digits and `_ . - [ ] / @ #`.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-[]/@#".contains(&b))
}

/// Where `wanted` stands with no backslash before it.
fn unescaped(text: &str, wanted: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let found = c == wanted && !escaped;
        escaped = c == '\\' && !escaped;
        found.then_some(at)
    })
}

/// What follows `""` where a relay has doubled the quotes, as in CSV: `key=""value""`. `""` before a separator is an empty value.
fn doubled(value: &str) -> Option<&str> {
    value.strip_prefix("\"\"").filter(|rest| !rest.is_empty() && !rest.starts_with(is_separator) && rest.contains("\"\""))
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | ',' | ';' | '\t')
}

/// The first `"` or backslash from `at` on. Most values are a word, which one step reads before a search of more is made ready.
#[inline]
pub(super) fn quote_or_escape(bytes: &[u8], at: usize) -> Option<usize> {
    let Some(step) = bytes[at..].first_chunk() else {
        return bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')).map(|found| at + found);
    };
    let step = u8x16::new(*step);
    match (step.simd_eq(u8x16::splat(b'"')) | step.simd_eq(u8x16::splat(b'\\'))).to_bitmask() {
        0 => memchr::memchr2(b'"', b'\\', &bytes[at + 16..]).map(|found| at + 16 + found),
        marks => Some(at + marks.trailing_zeros() as usize),
    }
}

/// Where the value that begins with a quote ends.
fn closing_quote(quoted: &str) -> usize {
    let bytes = quoted.as_bytes();
    let mut at = 0;
    while let Some(place) = quote_or_escape(bytes, at) {
        if bytes[place] == b'\\' {
            at = (place + 2).min(bytes.len());
            continue;
        }
        match bytes.get(place + 1) {
            None => return place,
            Some(next) if is_separator(char::from(*next)) => return place,
            // `level="info": text`, `[.. key="value"]`, `[.. key="value"]: text`
            Some(b':' | b']' | b')') if matches!(bytes.get(place + 2), None | Some(b' ' | b':')) => return place,
            _ => at = place + 1,
        }
    }
    quoted.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_read() {
        type Case = (Style, &'static str, &'static [(&'static str, &'static str)]);
        let cases: &[Case] = &[
            (
                Style { separator: Some(';'), ..Style::default() },
                "a=1 2; b=\"x; y\";c=",
                &[("a", "1 2"), ("b", "x; y"), ("c", "")],
            ),
            (
                Style { separator: Some(','), equals: ':', ..Style::default() },
                "A key: v w, other:x",
                &[("A key", "v w"), ("other", "x")],
            ),
            (Style { equals: ':', ..Style::default() }, "a:1, word b:2;\tc:", &[("a", "1"), ("b", "2"), ("c", "")]),
            (
                Style { separator: Some('\u{3001}'), ..Style::default() },
                "a=1 2\u{3001}b=\"x\u{3001} y\"\u{3001}a=3",
                &[("a", "1 2"), ("b", "x\u{3001} y"), ("a", "3")],
            ),
            (Style { spaced: true, ..Style::default() }, "a=1 2 b=x c=\\=d e", &[("a", "1 2"), ("b", "x"), ("c", "\\=d e")]),
            (Style { spaced: true, ..Style::default() }, "no pairs here", &[]),
        ];
        for (style, text, expected) in cases {
            let mut got = Vec::new();
            styled(text, *style, |p| got.push((p.key, p.value)));
            assert_eq!(got, *expected, "{text}");
            for nth in 0..=got.len() {
                let mut asked = 0;
                let found = any(text, *style, |_| {
                    asked += 1;
                    asked > nth
                });
                assert_eq!((found, asked), (nth < got.len(), got.len().min(nth + 1)), "{text}");
            }
        }
    }

    #[test]
    fn pairs_are_found() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("a=1 b=\"two words\" c=", &[("a", "1"), ("b", "two words"), ("c", "")]),
            ("msg=\"say \\\"a=b\\\" now\" x=1", &[("msg", "say \\\"a=b\\\" now"), ("x", "1")]),
            ("user=\"a\"b\" x=1", &[("user", "a\"b"), ("x", "1")]),
            ("plain words then k=v", &[("k", "v")]),
            ("a=\"never closed", &[("a", "never closed")]),
            ("a==b", &[("a", "=b")]),
            ("a=\"\"b c\"\" d=\"\" e=1", &[("a", "b c"), ("d", ""), ("e", "1")]),
            ("\"\"\"", &[]),
            ("a='b c' d='e=f g=h' i='", &[("a", "b c"), ("d", "'e=f"), ("g", "h'"), ("i", "'")]),
        ];
        for (text, expected) in cases {
            let got: Vec<_> = pairs(text).map(|p| (p.key, p.value)).collect();
            assert_eq!(got, *expected, "{text}");
        }
    }
}
