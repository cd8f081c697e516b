//! A look at a JSON object without reading it: which keys it has, and what stands behind one. [`super::record`] reads it.

/// The keys of the object in `text` and their values as written, without reading what the values hold. Stops where it is no JSON.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = behind(text, BLANKS).strip_prefix('{').unwrap_or("");
    std::iter::from_fn(move || {
        let key = behind(rest, b" \t\r\n,").strip_prefix('"')?;
        let end = string_end(key)?;
        let (key, after) = (&key[..end], &key[end + 1..]);
        let value = behind(behind(after, BLANKS).strip_prefix(':')?, BLANKS);
        let length = value_length(value)?;
        rest = &value[length..];
        Some((key, &value[..length]))
    })
}

/// Where the outermost keys of an object and their values stand: many readers ask for some.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Where each key begins and how long it is, then the same of its value.
    places: Vec<[u32; 4]>,
    is_filled: bool,
}

impl Entries {
    /// Forgets the object before.
    pub(super) fn clear(&mut self) {
        self.is_filled = false;
    }

    /// As [`find`] in `text`, always the same one since [`Entries::clear`].
    pub(super) fn find<'a>(&mut self, text: &'a str, path: &str) -> Option<&'a str> {
        if !std::mem::replace(&mut self.is_filled, true) {
            let start = |part: &str| (part.as_ptr() as usize - text.as_ptr() as usize) as u32;
            let place = |(key, value): (&str, &str)| [start(key), key.len() as u32, start(value), value.len() as u32];
            self.places.clear();
            self.places.extend(entries(text).take(ENTRIES_MAX).map(place));
        }
        if self.places.len() == ENTRIES_MAX {
            return find(text, path);
        }
        let part = |start: u32, len: u32| &text[start as usize..start as usize + len as usize];
        find_in(self.places.iter().map(|[key, key_len, value, value_len]| (part(*key, *key_len), part(*value, *value_len))), path)
    }
}

/// Outermost keys of an object whose places are kept; of one with more the text is searched.
const ENTRIES_MAX: usize = 256;

/// What may stand around a value (RFC 8259 §2).
const BLANKS: &[u8] = b" \t\r\n";

/// The text behind the bytes of `marks`, all ASCII, that it begins with.
fn behind<'a>(text: &'a str, marks: &[u8]) -> &'a str {
    let length = text.bytes().position(|byte| !marks.contains(&byte)).unwrap_or(text.len());
    &text[length..]
}

/// The value of the key `path` as written: the key itself, or a key within a key's object where a dot parts them.
pub(super) fn find<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    find_in(entries(text), path)
}

fn find_in<'a>(mut entries: impl Iterator<Item = (&'a str, &'a str)>, path: &str) -> Option<&'a str> {
    entries.find_map(|(key, value)| {
        let below = path.strip_prefix(key)?;
        match below.strip_prefix('.') {
            None if below.is_empty() => Some(value),
            Some(below) if value.starts_with('{') => find(value, below),
            _ => None,
        }
    })
}

/// Where the string ends whose first quote has been read.
fn string_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// How long the value is with which `text` begins.
fn value_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'"' => Some(string_end(&text[1..])? + 2),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0usize, 0);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => at += string_end(&text[at + 1..])? + 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth == 1 => return Some(at + 1),
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
            None
        }
        _ => Some(bytes.iter().position(|b| matches!(b, b',' | b'}' | b']')).unwrap_or(bytes.len())),
    }
}
