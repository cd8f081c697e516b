//! A look at a JSON object without reading it: which keys it has, and what stands behind one. [`super::record`] reads it.

use super::pairs::quote_or_escape;

/// The keys of the object in `text` and their values as written, without reading what the values hold. Stops where it is no JSON.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = inner(text);
    std::iter::from_fn(move || next_entry(&mut rest))
}

/// What follows the brace of the object in `text`.
fn inner(text: &str) -> &str {
    behind(text, is_blank).strip_prefix('{').unwrap_or("")
}

/// The next key and its value; `rest` goes on behind them.
fn next_entry<'a>(rest: &mut &'a str) -> Option<(&'a str, &'a str)> {
    let key = behind(rest, |byte| byte == b',' || is_blank(byte)).strip_prefix('"')?;
    let end = string_end(key.as_bytes(), 0)?;
    let (key, after) = (&key[..end], &key[end + 1..]);
    let value = behind(behind(after, is_blank).strip_prefix(':')?, is_blank);
    let (value, behind) = value.split_at(value_length(value)?);
    *rest = behind;
    Some((key, value))
}

/// Where the outermost keys of an object and their values stand, as far as they were looked for: many readers ask for some.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Where each key begins and how long it is, then the same of its value.
    places: Vec<[u32; 4]>,
    /// How much of the text stands behind them. None: nothing was looked for.
    left: Option<usize>,
}

impl Entries {
    /// Forgets the object before.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.left = None;
    }

    /// As [`find`] in `text`, always the same one since [`Entries::clear`].
    pub(super) fn find<'a>(&mut self, text: &'a str, path: &str) -> Option<&'a str> {
        let part = |start: u32, len: u32| &text[start as usize..start as usize + len as usize];
        // Most keys are others from the first letter on.
        let first = path.as_bytes().first();
        let may_be = |[key, len, ..]: &&[u32; 4]| *len == 0 || text.as_bytes().get(*key as usize) == first;
        let known = self.places.iter().filter(may_be);
        let mut known = known.map(|[key, key_len, value, value_len]| (part(*key, *key_len), part(*value, *value_len)));
        if let Some(found) = known.find_map(|(key, value)| within(key, value, path)) {
            return Some(found);
        }
        let start = |part: &str| (part.as_ptr() as usize - text.as_ptr() as usize) as u32;
        let mut rest = self.left.map_or_else(|| inner(text), |left| &text[text.len() - left..]);
        let found = loop {
            let Some((key, value)) = next_entry(&mut rest) else {
                rest = "";
                break None;
            };
            if self.places.len() == ENTRIES_MAX {
                return find(text, path);
            }
            self.places.push([start(key), key.len() as u32, start(value), value.len() as u32]);
            if let Some(found) = within(key, value, path) {
                break Some(found);
            }
        };
        self.left = Some(rest.len());
        found
    }
}

/// Outermost keys of an object whose places are kept; for those behind them the text is searched.
const ENTRIES_MAX: usize = 256;

/// Whether it may stand around a value (RFC 8259 §2).
#[inline]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The text behind the bytes of ASCII that it begins with and that are `marks`.
#[inline]
fn behind(text: &str, marks: impl Fn(u8) -> bool) -> &str {
    let length = text.bytes().position(|byte| !marks(byte)).unwrap_or(text.len());
    &text[length..]
}

/// The value of the key `path` as written: the key itself, or a key within a key's object where a dot parts them.
pub(super) fn find<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    entries(text).find_map(|(key, value)| within(key, value, path))
}

/// The value of `path` where it is `key`, or lies within its value.
fn within<'a>(key: &str, value: &'a str, path: &str) -> Option<&'a str> {
    let below = path.strip_prefix(key)?;
    match below.strip_prefix('.') {
        None if below.is_empty() => Some(value),
        Some(below) if value.starts_with('{') => find(value, below),
        _ => None,
    }
}

/// Where the string ends whose first quote stands before `at`.
#[inline]
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = quote_or_escape(bytes, at.min(bytes.len()))?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// What a byte within an object or a list says of where it ends.
const OTHER: u8 = 0;
const QUOTE: u8 = 1;
const OPENS: u8 = 2;
const CLOSES: u8 = 3;
const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    kinds[b'"' as usize] = QUOTE;
    kinds[b'{' as usize] = OPENS;
    kinds[b'[' as usize] = OPENS;
    kinds[b'}' as usize] = CLOSES;
    kinds[b']' as usize] = CLOSES;
    kinds
};

/// How long the value is with which `text` begins.
fn value_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'"' => Some(string_end(bytes, 1)? + 1),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0usize, 0);
            while let Some(byte) = bytes.get(at) {
                match KINDS[usize::from(*byte)] {
                    OTHER => {}
                    QUOTE => at = string_end(bytes, at + 1)?,
                    OPENS => depth += 1,
                    _ if depth == 1 => return Some(at + 1),
                    _ => depth -= 1,
                }
                at += 1;
            }
            None
        }
        _ => Some(bytes.iter().position(|b| matches!(b, b',' | b'}' | b']')).unwrap_or(bytes.len())),
    }
}
