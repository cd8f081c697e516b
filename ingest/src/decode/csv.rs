//! Comma-separated values (RFC 4180), a record a text: values bare, or in quotes within which a quote is doubled.

use super::cut::at_first;

/// The values of `text` in their order; a doubled quote stays doubled. A quote that is never closed holds the rest.
pub(super) fn values(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let now = rest?;
        if let Some(quoted) = now.strip_prefix('"') {
            let bytes = quoted.as_bytes();
            let mut at = 0;
            while let Some(found) = memchr::memchr(b'"', &bytes[at..]) {
                let place = at + found;
                match bytes.get(place + 1) {
                    Some(b'"') => at = place + 2,
                    None => {
                        rest = None;
                        return Some(&quoted[..place]);
                    }
                    Some(b',') => {
                        rest = Some(&quoted[place + 2..]);
                        return Some(&quoted[..place]);
                    }
                    // A quote that the sender did not double.
                    Some(_) => at = place + 1,
                }
            }
            rest = None;
            return Some(quoted);
        }
        match at_first(now, ',') {
            Some((value, after)) => {
                rest = Some(after);
                Some(value)
            }
            None => {
                rest = None;
                Some(now)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split() {
        let cases: &[(&str, &[&str])] = &[
            ("a,b,c", &["a", "b", "c"]),
            ("a,\"b, c\",", &["a", "b, c", ""]),
            ("\"say \"\"x\"\"\",y", &["say \"\"x\"\"", "y"]),
            ("\"a\"b\",c", &["a\"b", "c"]),
            ("\"never closed,x", &["never closed,x"]),
            ("", &[""]),
        ];
        for (text, expected) in cases {
            assert_eq!(values(text).collect::<Vec<_>>(), *expected, "{text}");
        }
    }
}
