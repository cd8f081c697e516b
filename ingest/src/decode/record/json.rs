//! JSON into a flat record, in one pass.
//!
//! Lenient where strictness would lose evidence: a record that is cut off keeps what came before the cut, what is nested too deeply is
//! stepped over, control characters within text stand for themselves. A number that no machine number holds stays text.

use super::{Key, Record, Scalar};

/// Objects and arrays within each other at most; what lies deeper is stepped over and the record is marked.
const DEPTH_MAX: usize = 64;

/// How a text reads as JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::decode) enum Outcome {
    /// One object, and nothing after it.
    Whole,
    /// An object whose end is missing: what came before the cut was read.
    Cut,
    /// No JSON object.
    No,
}

/// Reads the object in `text` into `record`.
pub(in crate::decode) fn read(text: &str, record: &mut Record) -> Outcome {
    record.begin();
    Scanner { bytes: text.as_bytes(), text, at: 0, record }.object()
}

/// Why reading ends early.
enum Stop {
    /// The text ends.
    End,
    /// It is no JSON.
    Bad,
}

/// Where a container was opened.
#[derive(Clone, Copy)]
struct Open {
    is_object: bool,
    /// The path of what the container holds, but for an object's own keys.
    path: Key,
}

struct Scanner<'t, 'd> {
    bytes: &'t [u8],
    text: &'t str,
    at: usize,
    record: &'d mut Record,
}

impl<'t> Scanner<'t, '_> {
    fn object(mut self) -> Outcome {
        if self.token().is_none_or(|byte| byte != b'{') {
            return Outcome::No;
        }
        match self.read() {
            Ok(()) if self.nothing_follows() => Outcome::Whole,
            Err(Stop::End) if !self.record.items.is_empty() => Outcome::Cut,
            _ => Outcome::No,
        }
    }

    /// Whether nothing but closing marks comes: a brace too many, or the comma of a list, takes nothing from the record.
    fn nothing_follows(&self) -> bool {
        self.bytes[self.at..].iter().all(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'}' | b']' | b','))
    }

    /// The next byte that is no white space; not taken.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Reads the object that begins here. No recursion: the depth is bounded by the stack of open containers.
    fn read(&mut self) -> Result<(), Stop> {
        let mut stack = [Open { is_object: true, path: Key::ROOT }; DEPTH_MAX];
        let mut depth = 0;
        self.at += 1;
        let mut first = true;
        loop {
            let open = stack[depth];
            let close = if open.is_object { b'}' } else { b']' };
            let mut byte = self.token().ok_or(Stop::End)?;
            if byte == close {
                // A comma before the end is let pass: hand-made records have it.
                self.at += 1;
                if depth == 0 {
                    return Ok(());
                }
                depth -= 1;
                first = false;
                continue;
            }
            if !first {
                if byte != b',' {
                    return Err(Stop::Bad);
                }
                self.at += 1;
                byte = self.token().ok_or(Stop::End)?;
                if byte == close {
                    continue;
                }
            }
            first = false;
            let mut path = open.path;
            if open.is_object {
                if byte != b'"' {
                    return Err(Stop::Bad);
                }
                self.at += 1;
                path = self.key(open.path)?;
                if self.token().ok_or(Stop::End)? != b':' {
                    return Err(Stop::Bad);
                }
                self.at += 1;
                byte = self.token().ok_or(Stop::End)?;
            }
            match byte {
                b'"' => {
                    self.at += 1;
                    let value = self.string()?;
                    self.record.push(path, value);
                }
                b'{' | b'[' => {
                    if depth + 1 == DEPTH_MAX {
                        self.record.too_deep = true;
                        self.step_over()?;
                    } else {
                        self.at += 1;
                        depth += 1;
                        stack[depth] = Open { is_object: byte == b'{', path };
                        first = true;
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let value = self.number()?;
                    self.record.push(path, value);
                }
                _ => {
                    let value = self.word()?;
                    self.record.push(path, value);
                }
            }
        }
    }

    fn key(&mut self, parent: Key) -> Result<Key, Stop> {
        let span = self.string()?;
        let record = &mut *self.record;
        Ok(match span {
            Scalar::Unescaped(start, _) => {
                let key = record.keys.child(parent, &record.unescaped[start as usize..]);
                record.unescaped.truncate(start as usize);
                key
            }
            Scalar::Text(start, len) => record.keys.child(parent, &self.text[start as usize..start as usize + len as usize]),
            _ => Key::REFUSED,
        })
    }

    /// The text from here, behind its opening quote, to its closing one.
    fn string(&mut self) -> Result<Scalar, Stop> {
        let start = self.at;
        // Most keys and values are short: a few bytes by hand before the vector search pays.
        let near = self.bytes.len().min(start + 16);
        let mut at = start;
        while at < near {
            match self.bytes[at] {
                b'"' => {
                    self.at = at + 1;
                    return Ok(Scalar::Text(start as u32, (at - start) as u32));
                }
                b'\\' => return self.escaped(start, at),
                _ => at += 1,
            }
        }
        match memchr::memchr2(b'"', b'\\', &self.bytes[at..]) {
            None => Err(Stop::End),
            Some(found) if self.bytes[at + found] == b'"' => {
                self.at = at + found + 1;
                Ok(Scalar::Text(start as u32, (at + found - start) as u32))
            }
            Some(found) => self.escaped(start, at + found),
        }
    }

    /// The rest of a text with escapes; the first one is at `at`.
    #[cold]
    fn escaped(&mut self, start: usize, mut at: usize) -> Result<Scalar, Stop> {
        let out_start = self.record.unescaped.len();
        let mut plain = start;
        loop {
            self.record.unescaped.push_str(&self.text[plain..at]);
            let Some(escape) = self.bytes.get(at + 1) else { return Err(Stop::End) };
            let mut next = at + 2;
            let char = match escape {
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'"' | b'\\' | b'/' => char::from(*escape),
                b'u' => match self.unicode(at) {
                    Some((char, end)) => {
                        next = end;
                        char
                    }
                    None => {
                        next = at + 1; // No escape that JSON knows: the backslash stands for itself.
                        '\\'
                    }
                },
                _ => {
                    next = at + 1;
                    '\\'
                }
            };
            self.record.unescaped.push(char);
            plain = next;
            match memchr::memchr2(b'"', b'\\', &self.bytes[next..]) {
                None => return Err(Stop::End),
                Some(found) if self.bytes[next + found] == b'"' => {
                    self.record.unescaped.push_str(&self.text[plain..next + found]);
                    self.at = next + found + 1;
                    let len = self.record.unescaped.len() - out_start;
                    return Ok(Scalar::Unescaped(out_start as u32, len as u32));
                }
                Some(found) => at = next + found,
            }
        }
    }

    /// `\uXXXX` at `at`, with its second half where it is the first of a pair; half a pair is the replacement character.
    fn unicode(&self, at: usize) -> Option<(char, usize)> {
        let unit = |at: usize| {
            let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
            digits.iter().try_fold(0u32, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
        };
        let high = unit(at)?;
        if (0xd800..0xdc00).contains(&high)
            && let Some(low) = unit(at + 6).filter(|low| (0xdc00..0xe000).contains(low))
        {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), at + 12));
        }
        Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), at + 6))
    }

    fn number(&mut self) -> Result<Scalar, Stop> {
        let start = self.at;
        let negative = self.bytes[start] == b'-';
        self.at += usize::from(negative);
        let digits = self.at;
        let mut n: u64 = 0;
        let mut overflow = false;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            let (product, over) = n.overflowing_mul(10);
            let (sum, carry) = product.overflowing_add(u64::from(digit - b'0'));
            overflow |= over | carry;
            n = sum;
            self.at += 1;
        }
        if self.at == digits {
            return Err(if self.at == self.bytes.len() { Stop::End } else { Stop::Bad });
        }
        let whole = self.at;
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
            self.at += 1;
        }
        if self.at == self.bytes.len() {
            return Err(Stop::End); // An object's last number is followed by something.
        }
        let span = Scalar::Text(start as u32, (self.at - start) as u32);
        if whole == self.at {
            if !overflow && !negative {
                return Ok(i64::try_from(n).map_or(Scalar::Uint(n), Scalar::Int));
            }
            if !overflow && n <= i64::MIN.unsigned_abs() {
                return Ok(Scalar::Int((n as i64).wrapping_neg()));
            }
            return Ok(span); // As many digits as it has: a machine number would lose some.
        }
        match self.text[start..self.at].parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Scalar::Float(n)),
            Ok(_) => Ok(span),
            Err(_) => Err(Stop::Bad),
        }
    }

    fn word(&mut self) -> Result<Scalar, Stop> {
        let rest = &self.bytes[self.at..];
        for (word, value) in
            [(&b"true"[..], Scalar::Bool(true)), (b"false", Scalar::Bool(false)), (b"null", Scalar::Null), (b"NaN", Scalar::Null)]
        {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
            if word.starts_with(rest) {
                return Err(Stop::End);
            }
        }
        Err(Stop::Bad)
    }

    /// Passes the container that begins here, whatever it holds: brackets are counted, not compared.
    fn step_over(&mut self) -> Result<(), Stop> {
        let mut depth = 0usize;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                b'"' => loop {
                    let rest = self.bytes.get(self.at..).unwrap_or(&[]);
                    let Some(found) = memchr::memchr2(b'"', b'\\', rest) else { return Err(Stop::End) };
                    self.at += found + 1 + usize::from(rest[found] == b'\\');
                    if rest[found] == b'"' {
                        break;
                    }
                },
                _ => {}
            }
        }
        Err(Stop::End)
    }
}

#[cfg(test)]
mod tests {
    use event::Value;
    use proptest::prelude::*;

    use super::super::ITEMS_MAX;
    use super::*;

    fn read(text: &str) -> (Outcome, Vec<String>) {
        let mut record = Record::new();
        let outcome = super::read(text, &mut record);
        let items = record.view(text).iter().map(|(key, value)| format!("{}={value:?}", record.keys.name(key))).collect();
        (outcome, items)
    }

    #[test]
    fn records_are_read() {
        use Outcome::{Cut, No, Whole};
        let cases: &[(&str, Outcome, &[&str])] = &[
            ("{}", Whole, &[]),
            (r#" {"a":{"b":1},"c":["x","y"]} "#, Whole, &["a.b=Int(1)", "c=Text(\"x\")", "c=Text(\"y\")"]),
            (r#"{"a":[{"b":1},{"b":[2,[3]]}]}"#, Whole, &["a.b=Int(1)", "a.b=Int(2)", "a.b=Int(3)"]),
            (r#"{"a":true,"b":false,"c":null,"d":-0.5}"#, Whole, &["a=Bool(true)", "b=Bool(false)", "c=Null", "d=Float(-0.5)"]),
            (r#"{"a":"q\"\\\/\n\u00e9\ud83d\ude00"}"#, Whole, &["a=Text(\"q\\\"\\\\/\\né😀\")"]),
            (r#"{"a":"\ud83d","b":"\udc00x"}"#, Whole, &["a=Text(\"\u{fffd}\")", "b=Text(\"\u{fffd}x\")"]),
            (r#"{"a":"\x41 \u12"}"#, Whole, &["a=Text(\"\\\\x41 \\\\u12\")"]),
            (r#"{"a":1,"a":2}"#, Whole, &["a=Int(1)", "a=Int(2)"]),
            (r#"{"\u0061":1}"#, Whole, &["a=Int(1)"]),
            (
                r#"{"a":18446744073709551615,"b":-9223372036854775808}"#,
                Whole,
                &["a=Uint(18446744073709551615)", "b=Int(-9223372036854775808)"],
            ),
            (r#"{"a":18446744073709551616,"b":1e999}"#, Whole, &["a=Text(\"18446744073709551616\")", "b=Text(\"1e999\")"]),
            (r#"{"a":1,}"#, Whole, &["a=Int(1)"]),
            ("{\"a\":\"tab\there\"}", Whole, &["a=Text(\"tab\\there\")"]),
            (r#"{"a":1,"b":"cut of"#, Cut, &["a=Int(1)"]),
            (r#"{"a":1,"b":tr"#, Cut, &["a=Int(1)"]),
            (r#"{"a":"a longer text that goes on","b":"\"#, Cut, &["a=Text(\"a longer text that goes on\")"]),
            (r#"{"a":1,"b":12"#, Cut, &["a=Int(1)"]),
            (r#"{"a":1}},"#, Whole, &["a=Int(1)"]),
            (r#"{"a":1} x"#, No, &["a=Int(1)"]),
            (r#"{"a" 1}"#, No, &[]),
            (r#"{"a":1 "b":2}"#, No, &["a=Int(1)"]),
            (r#"{"a":-}"#, No, &[]),
            (r#"{"a":1.2.3}"#, No, &[]),
            (r#"{"a":]}"#, No, &[]),
            (r#"{'a':1}"#, No, &[]),
            ("{", No, &[]),
            ("[1]", No, &[]),
            ("", No, &[]),
        ];
        for (text, outcome, items) in cases {
            let (got, found) = read(text);
            assert_eq!(got, *outcome, "{text}");
            if got != No {
                assert_eq!(found, *items, "{text}");
            }
        }
    }

    #[test]
    fn bounds_are_kept_and_told() {
        let mut record = Record::new();
        for opener in ["{\"a\":", "["] {
            let text = format!("{{\"x\":1,\"deep\":{}{},\"y\":2}}", opener.repeat(10_000), "]");
            assert_eq!(super::read(&text, &mut record), Outcome::Cut);
            assert!(record.too_deep());
            let close = if opener == "[" { "]" } else { "}" };
            let text = format!("{{\"x\":1,\"deep\":{}0{},\"y\":2}}", opener.repeat(10_000), close.repeat(10_000));
            assert_eq!(super::read(&text, &mut record), Outcome::Whole);
            let y = record.keys.declare("y");
            assert_eq!(record.view(&text).get(y), Some(Value::Int(2)));
        }
        let names: Vec<String> = (0..100_000).map(|n| format!("\"n{n}\":{n}")).collect();
        let text = format!("{{{}}}", names.join(","));
        assert_eq!(super::read(&text, &mut record), Outcome::Whole);
        assert!(record.too_many() && record.view(&text).iter().count() == ITEMS_MAX);
        assert_eq!(super::read("{\"a\":1}", &mut record), Outcome::Whole);
        assert!(!record.too_many() && !record.too_deep());
        let n5 = record.keys.declare("n5");
        assert!(!record.view("").has(n5), "a value of the record before");
    }

    /// The scalars of `value` as `read` shows them, by another reader.
    fn scalars(path: &str, value: &serde_json::value::Value, out: &mut Vec<(String, String)>) {
        use serde_json::value::Value as Json;
        match value {
            Json::Object(members) => {
                for (key, value) in members {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    scalars(&below, value, out);
                }
            }
            Json::Array(elements) => elements.iter().for_each(|element| scalars(path, element, out)),
            Json::Null => out.push((path.to_owned(), "null".to_owned())),
            Json::String(text) => out.push((path.to_owned(), format!("{text:?}"))),
            Json::Number(n) if n.is_f64() => out.push((path.to_owned(), format!("{:?}", n.as_f64().unwrap()))),
            other => out.push((path.to_owned(), other.to_string())),
        }
    }

    fn shown(text: &str) -> Option<Vec<(String, String)>> {
        let mut record = Record::new();
        (super::read(text, &mut record) == Outcome::Whole).then(|| {
            let shown = record.view(text).iter().map(|(key, value)| {
                let value = match value {
                    Value::Null => "null".to_owned(),
                    Value::Text(text) => format!("{text:?}"),
                    Value::Float(n) => format!("{n:?}"),
                    other => other.to_string(),
                };
                (record.keys.name(key).to_owned(), value)
            });
            shown.collect()
        })
    }

    fn any_json() -> impl Strategy<Value = serde_json::value::Value> {
        use serde_json::value::Value as Json;
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            (-1e15..1e15f64).prop_map(Json::from),
            "\\PC{0,24}".prop_map(Json::from),
            "[\"\\\\\n\t/é😀a]{0,24}".prop_map(Json::from),
        ];
        let tree = leaf.prop_recursive(5, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::btree_map("[a-z@_\"é]{1,9}", inner, 0..6).prop_map(|members| members.into_iter().collect()),
            ]
        });
        prop::collection::btree_map("[a-zA-Z@_]{1,12}", tree, 0..8).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        /// What another reader writes is read as that reader reads it.
        #[test]
        fn json_is_read_as_others_read_it(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut expected = Vec::new();
            scalars("", &value, &mut expected);
            prop_assert_eq!(shown(&text), Some(expected), "{}", text);
        }

        /// Any text, and any JSON cut or changed at one place: no panic, and no key that the text has not.
        #[test]
        fn any_text_is_survived(value in any_json(), at in any::<prop::sample::Index>(), other in any::<char>(), noise in "\\PC{0,60}") {
            let mut text = serde_json::to_string(&value).unwrap();
            let place = text.floor_char_boundary(at.index(text.len() + 1));
            text.insert(place, other);
            for text in [text.as_str(), &text[..place], &noise, &format!("{{{noise}")] {
                let mut record = Record::new();
                let outcome = super::read(text, &mut record);
                prop_assert!(outcome != Outcome::Whole || text.contains('}'), "an end that is not there");
                prop_assert!(record.view(text).iter().count() <= ITEMS_MAX);
            }
        }
    }
}
