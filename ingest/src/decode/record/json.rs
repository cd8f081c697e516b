//! JSON into a flat record.

use event::Value;
use event::keys::Keys;
pub(in crate::decode) use event::object::Outcome;
use event::object::{self, Name, Sink};

use super::{Record, Scalar};

/// Reads the object in `text` into `record`.
pub(in crate::decode) fn read(text: &str, record: &mut Record) -> Outcome {
    record.begin();
    let mut room = std::mem::take(&mut record.room);
    let outcome = object::read(text, &mut room, &mut Items { record, text });
    record.room = room;
    outcome
}

struct Items<'r, 't> {
    record: &'r mut Record,
    text: &'t str,
}

impl Sink for Items<'_, '_> {
    #[inline]
    fn keys(&mut self) -> &mut Keys {
        &mut self.record.keys
    }

    #[inline]
    fn value(&mut self, Name { path, .. }: Name, value: Value<'_>) {
        let scalar = match value {
            Value::Text(text) => return self.record.text(self.text, path, text), // A long number, or written out.
            Value::Int(n) => Scalar::Int(n),
            Value::Uint(n) => Scalar::Uint(n),
            Value::Float(n) => Scalar::Float(n),
            Value::Bool(b) => Scalar::Bool(b),
            Value::Null | Value::Ip(_) | Value::Time(_) => Scalar::Null, // JSON has no addresses and no times.
        };
        self.record.push(path, scalar);
    }

    #[inline]
    fn span(&mut self, Name { path, .. }: Name, start: usize, len: usize) {
        self.record.push(path, Scalar::Text(start as u32, len as u32));
    }

    fn too_deep(&mut self) {
        self.record.too_deep = true;
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
            (r#"{"a":[],"b":{ },"c":[1,[]],"d":{"e":{}}}"#, Whole, &["a=Null", "b=Null", "c=Int(1)", "c=Null", "d.e=Null"]),
            (r#"{"a":[1,],"b":}"#, No, &[]),
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
            (r#"{"a":1,"b":true"#, Cut, &["a=Int(1)", "b=Bool(true)"]),
            (
                r#"{"a":"C:\\Temp\\report of the month.txt","b":"D:\\"#,
                Cut,
                &["a=Text(\"C:\\\\Temp\\\\report of the month.txt\")"],
            ),
            ("{\"a\":\"\\\0\"}", Whole, &["a=Text(\"\\\\\\0\")"]),
            ("{\"a\0\":7,\"\0\":8}", Whole, &["a\0=Int(7)", "\0=Int(8)"]),
            ("{\"a\":12\0", No, &[]),
            ("{\"a\":1}\0", No, &[]),
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
            Json::Object(members) if members.is_empty() && !path.is_empty() => out.push((path.to_owned(), "null".to_owned())),
            Json::Array(elements) if elements.is_empty() => out.push((path.to_owned(), "null".to_owned())),
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
            prop::num::f64::NORMAL.prop_map(Json::from),
            (any::<i64>(), 0..19u32).prop_map(|(n, shift)| Json::from(n as f64 / 10f64.powi(shift as i32))),
            "\\PC{0,24}".prop_map(Json::from),
            "[\"\\\\\n\t/é😀a]{0,24}".prop_map(Json::from),
            "([\"\\\\\n\u{1}é]|[a-z]{10,40}){0,12}".prop_map(Json::from),
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

        /// What a reader remembers of records before changes nothing: each record is read as a reader reads it that has seen none.
        #[test]
        fn what_came_before_changes_nothing(
            values in prop::collection::vec(any_json(), 1..4),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3usize, "[\\[\\]{}\",:0-9.eE+\\-tfnN ab\\\\\u{0}é]{0,4}"), 0..12),
        ) {
            let mut texts: Vec<String> = values.iter().map(|value| serde_json::to_string(value).unwrap()).collect();
            for (at, cut, put) in edits {
                // A record like one before it, but for one place.
                let mut text = at.get(&texts).clone();
                let from = text.floor_char_boundary(at.index(text.len() + 1));
                let to = text.floor_char_boundary((from + cut).min(text.len())).max(from);
                text.replace_range(from..to, &put);
                texts.push(text);
            }
            let mut record = Record::new();
            for text in texts.iter().chain(&texts) {
                let outcome = super::read(text, &mut record);
                let items: Vec<_> = record.view(text).iter().map(|(key, value)| format!("{}={value:?}", record.keys.name(key))).collect();
                prop_assert_eq!((outcome, items), read(text), "{}", text);
            }
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
