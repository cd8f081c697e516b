//! The key=value part of CEF and LEEF records, its escapes, and what both hold in the same way.

use event::{FieldId, RowBuilder};

use super::usual::Usual;
use crate::decode::record::{Key, Record};
use crate::decode::text::Context;

/// Pairs of one record; further ones are found in the raw text only.
const PAIRS_MAX: usize = 192;

/// The pairs of one record, values still escaped.
pub(super) struct Extension<'a> {
    pairs: [(&'a str, &'a str); PAIRS_MAX],
    len: usize,
}

impl<'a> Extension<'a> {
    fn new() -> Extension<'a> {
        Extension { pairs: [("", ""); PAIRS_MAX], len: 0 }
    }

    fn push(&mut self, key: &'a str, value: &'a str) {
        if self.len < PAIRS_MAX && !key.is_empty() {
            self.pairs[self.len] = (key, value);
            self.len += 1;
        }
    }

    /// Pairs apart from each other by a blank: a value ends where the next key begins.
    pub(super) fn spaced(text: &'a str) -> Extension<'a> {
        let mut found = Extension::new();
        let mut rest = text;
        let Some(mut end) = unescaped(rest, b'=') else { return found };
        let mut key = rest[..end].trim();
        loop {
            let after = &rest[end + 1..];
            match next_key(after) {
                Some((start, next_end)) => {
                    found.push(key, after[..start].trim());
                    key = &after[start..next_end];
                    rest = after;
                    end = next_end;
                }
                None => {
                    found.push(key, after.trim());
                    return found;
                }
            }
        }
    }

    /// Pairs apart from each other by `delimiter`.
    pub(super) fn delimited(text: &'a str, delimiter: &str) -> Extension<'a> {
        let mut found = Extension::new();
        for part in text.split(delimiter) {
            if let Some((key, value)) = part.split_once('=') {
                found.push(key.trim(), value.trim());
            }
        }
        found
    }

    /// The pairs in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs[..self.len].iter().copied()
    }

    /// The first value of `key` that is not empty.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.iter().find(|(k, v)| *k == key && !v.is_empty()).map(|(_, v)| v)
    }

    /// The value that the sender labelled so: `cs1Label=policy_name cs1=web`.
    pub(super) fn labelled(&self, label: &str) -> Option<&'a str> {
        let (key, _) = self.iter().find(|(k, v)| *v == label && k.ends_with("Label"))?;
        self.get(key.strip_suffix("Label")?)
    }
}

/// The pairs that a format's dictionary lacks, and what their names usually mean.
pub(super) struct Rest {
    record: Record,
    usual: Usual,
}

impl Rest {
    pub(super) fn new() -> Rest {
        let mut record = Record::new();
        let usual = Usual::new(&mut record.keys);
        Rest { record, usual }
    }

    /// Writes what the names of `pairs` usually mean that the dictionary `lacks`; of a custom field its label is the name.
    pub(super) fn write(
        &mut self,
        pairs: &Extension<'_>,
        lacks: impl Fn(&str) -> bool,
        context: &Context<'_>,
        sets_time: bool,
        scratch: &mut String,
        row: &mut RowBuilder<'_>,
    ) {
        self.record.begin();
        for (key, value) in pairs.iter() {
            let (name, value) = match key.strip_suffix("Label") {
                Some(custom) => match pairs.get(custom) {
                    Some(labelled) => (value, labelled),
                    None => continue,
                },
                None if lacks(key) => (key, value),
                None => continue,
            };
            let key = self.record.keys.child(Key::ROOT, name);
            self.record.text(context.record, key, plain(value, scratch));
        }
        self.usual.write(&self.record.keys, self.record.view(context.record), context, &[], sets_time, row);
    }
}

/// Where the first `byte` stands that no backslash escapes.
pub(super) fn unescaped(text: &str, byte: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let place = at + memchr::memchr2(byte, b'\\', bytes.get(at..)?)?;
        if bytes[place] == byte {
            return Some(place);
        }
        at = place + 2;
    }
}

/// The next key in `text`: where it begins and where its `=` stands.
fn next_key(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        // An escaped `=` may follow a doubled backslash, so that whole escapes are stepped over from the start.
        let end = from + unescaped(text.get(from..)?, b'=')?;
        let start = bytes[from..end].iter().rposition(|b| matches!(b, b' ' | b'\t')).map(|at| from + at + 1);
        if let Some(start) = start
            && start < end
            && bytes[start..end].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']'))
        {
            return Some((start, end));
        }
        from = end + 1;
    }
}

/// The text without its escapes; `scratch` holds it where there are any.
pub(super) fn plain<'t>(text: &'t str, scratch: &'t mut String) -> &'t str {
    if !text.contains('\\') {
        return text;
    }
    let path = is_bare_path(text);
    scratch.clear();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next @ ('|' | '\\' | '='))) => {
                scratch.push(next);
                chars.next();
            }
            ('\\', Some(next @ ('n' | 'r'))) if !path => {
                scratch.push(if next == 'n' { '\n' } else { '\r' });
                chars.next();
            }
            _ => scratch.push(c),
        }
    }
    scratch
}

/// Whether the text is a Windows path or an account (`TOWN\noda`) whose backslashes the sender did not escape: there `\n` is no line end.
fn is_bare_path(text: &str) -> bool {
    let named = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.$".contains(&b));
    matches!(text.as_bytes(), [drive, b':', b'\\', next, ..] if drive.is_ascii_alphabetic() && *next != b'\\')
        || text.len() <= ACCOUNT_BYTES_MAX
            && text
                .split_once('\\')
                .is_some_and(|(domain, name)| named(domain) && named(name) && !domain.bytes().any(|b| b.is_ascii_lowercase()))
}

/// A longer text is no `DOMAIN\name`.
const ACCOUNT_BYTES_MAX: usize = 64;

/// Adds a hash under the name that its length tells.
pub(super) fn hash(text: &str, row: &mut RowBuilder<'_>) {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return;
    }
    match text.len() {
        32 => row.text(FieldId::FILE_HASH_MD5, text),
        40 => row.text(FieldId::FILE_HASH_SHA1, text),
        64 => row.text(FieldId::FILE_HASH_SHA256, text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_split() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("src=10.0.0.1 msg=two words dst=10.0.0.2", &[("src", "10.0.0.1"), ("msg", "two words"), ("dst", "10.0.0.2")]),
            ("request=https://a/?b=c&d=e act=x", &[("request", "https://a/?b=c&d=e"), ("act", "x")]),
            ("msg=a\\=b c\\\\=d x=1", &[("msg", "a\\=b c\\\\=d"), ("x", "1")]),
            ("a= b=2", &[("a", ""), ("b", "2")]),
            ("no pair", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(Extension::spaced(text).iter().collect::<Vec<_>>(), *expected, "{text}");
        }
        let labelled = Extension::spaced("cs1Label=policy cs1=web cn1=3 cn1Label=rating");
        assert_eq!(
            (labelled.labelled("policy"), labelled.labelled("rating"), labelled.labelled("none")),
            (Some("web"), Some("3"), None)
        );
        let tabs = Extension::delimited("a=1\tb=two words\t c=3", "\t");
        assert_eq!(tabs.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "two words"), ("c", "3")]);
    }

    #[test]
    fn escapes_are_resolved() {
        let mut scratch = String::new();
        for (text, expected) in [
            ("a\\=b\\\\c\\|d", "a=b\\c|d"),
            ("one\\ntwo", "one\ntwo"),
            ("GET / HTTP/1.1\\r\\nHost: a", "GET / HTTP/1.1\r\nHost: a"),
            ("C:\\new\\file", "C:\\new\\file"),
        ] {
            assert_eq!(plain(text, &mut scratch), expected, "{text}");
        }
    }
}
