//! Cutting a text: at words that stand in it in a fixed order, for messages that a device writes as sentences; and at its ends.

/// The parts of `text` that follow each of `words`, each up to the next word, the last one up to the end. Each word is found at its
/// first place behind the one before; none where one is missing. A first word that is empty begins at the start.
pub(super) fn cut<'t, const N: usize>(text: &'t str, words: [&str; N]) -> Option<[&'t str; N]> {
    let mut parts = [""; N];
    let mut rest = text;
    for (at, word) in words.iter().enumerate() {
        let place = rest.find(word)?;
        if at > 0 {
            parts[at - 1] = &rest[..place];
        }
        rest = &rest[place + word.len()..];
    }
    if let Some(last) = parts.last_mut() {
        *last = rest;
    }
    Some(parts)
}

/// What stands between `open` and the next `close`; up to the end where `close` is missing.
pub(super) fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let rest = &text[text.find(open)? + open.len()..];
    Some(rest.find(close).map_or(rest, |end| &rest[..end]))
}

/// The first place of `mark` in `text`. What stands between values is mostly ASCII, which is searched for as a byte.
pub(super) fn find(text: &str, mark: char) -> Option<usize> {
    match u8::try_from(mark) {
        Ok(byte) if byte.is_ascii() => memchr::memchr(byte, text.as_bytes()),
        _ => text.find(mark),
    }
}

/// What stands before and behind the first `mark` in `text`.
pub(super) fn at_first(text: &str, mark: char) -> Option<(&str, &str)> {
    let at = find(text, mark)?;
    Some((&text[..at], &text[at + mark.len_utf8()..]))
}

/// The first word of `text`, up to a blank.
pub(super) fn word(text: &str) -> &str {
    text.trim_start().split([' ', '\t']).next().unwrap_or("")
}

/// The text without blanks around it, at once where neither end is one: most values have none.
pub(super) fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_in_order() {
        assert_eq!(
            cut("User taro@db from 10.0.0.1 left", ["User ", "@", " from ", " "]),
            Some(["taro", "db", "10.0.0.1", "left"])
        );
        assert_eq!(cut("from a to b", ["", "from ", " to "]), Some(["", "a", "b"]));
        assert_eq!(cut("to b from a", ["from ", " to "]), None);
        assert_eq!(between("a <b> c", "<", ">"), Some("b"));
        assert_eq!(between("a <b", "<", ">"), Some("b"));
        assert_eq!(between("a", "<", ">"), None);
        assert_eq!(word(" one two"), "one");
        assert_eq!((at_first("a,b,c", ','), at_first("a、b", '、')), (Some(("a", "b,c")), Some(("a", "b"))));
        assert_eq!((at_first("é", '\u{e9}'), at_first("a", ',')), (Some(("", "")), None));
    }
}
