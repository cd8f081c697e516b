//! `key=value` pairs: values bare, or in double quotes with backslash escapes.

/// One pair, borrowed from the record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// The pairs of `text`, separated by blanks, `,` or `;`. What is no pair is stepped over. A quoted value ends at the first quote that
/// stands before a separator or the end, so that a quote which a device did not escape does not end it.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = Pair<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(is_separator);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(|c: char| c == '=' || is_separator(c) || c == '"')?;
            let (key, after) = rest.split_at(end);
            let Some(value) = after.strip_prefix('=') else {
                rest = after.trim_start_matches('"');
                if rest.len() == after.len() && !after.starts_with(is_separator) {
                    return None;
                }
                continue;
            };
            if let Some(quoted) = value.strip_prefix('"') {
                let close = closing_quote(quoted);
                rest = quoted.get(close + 1..).unwrap_or("");
                return Some(Pair { key, value: &quoted[..close] });
            }
            let end = value.find(is_separator).unwrap_or(value.len());
            rest = &value[end..];
            return Some(Pair { key, value: &value[..end] });
        }
    })
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | ',' | ';' | '\t')
}

/// Where the value that begins with a quote ends.
fn closing_quote(quoted: &str) -> usize {
    let bytes = quoted.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at..]) {
        let place = at + found;
        if bytes[place] == b'\\' {
            at = (place + 2).min(bytes.len());
            continue;
        }
        match bytes.get(place + 1) {
            None => return place,
            Some(next) if is_separator(char::from(*next)) => return place,
            _ => at = place + 1,
        }
    }
    quoted.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("a=1 b=\"two words\" c=", &[("a", "1"), ("b", "two words"), ("c", "")]),
            ("msg=\"say \\\"a=b\\\" now\" x=1", &[("msg", "say \\\"a=b\\\" now"), ("x", "1")]),
            ("user=\"a\"b\" x=1", &[("user", "a\"b"), ("x", "1")]),
            ("plain words then k=v", &[("k", "v")]),
            ("a=\"never closed", &[("a", "never closed")]),
            ("a==b", &[("a", "=b")]),
            ("\"\"\"", &[]),
        ];
        for (text, expected) in cases {
            let got: Vec<_> = pairs(text).map(|p| (p.key, p.value)).collect();
            assert_eq!(got, *expected, "{text}");
        }
    }
}
