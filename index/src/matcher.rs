//! A query against one event, for the live tail: the same answer as the index gives.

use std::ops::Bound;

use event::{EventRef, FieldId, Value};

use crate::document::searched_text;
use crate::fold::folded;
use crate::lower::{instant, integer_within, spellings, text_within};
use crate::node::compare;
use crate::phrase::offset;
use crate::query::{Query, Scalar, Test, Word, beginning, reach};
use crate::row::lie_within;
use crate::schema::{MESSAGE, SYNTHETIC, is_time_field, synthetic, v6};
use crate::tokens::{WORD_BYTES_MAX, all_words, asked_words, leading_part, lone_wide};

/// A query, ready to be asked of events.
#[derive(Clone, Debug)]
pub struct Matcher {
    query: Query,
}

impl Matcher {
    /// A matcher for `query`.
    pub fn new(query: Query) -> Matcher {
        Matcher { query }
    }

    /// Whether the event is a hit.
    pub fn matches(&self, event: EventRef<'_>) -> bool {
        holds(&self.query, event)
    }
}

fn holds(query: &Query, event: EventRef<'_>) -> bool {
    match query {
        Query::All => true,
        Query::And(all) => all.iter().all(|q| holds(q, event)),
        Query::Or(any) => any.iter().any(|q| holds(q, event)),
        Query::Not(inner) => !holds(inner, event),
        Query::Words(wanted) => words_hold(wanted, event),
        Query::WordsPrefix(wanted) => words_in_a_row(&beginning(wanted), event),
        Query::WordsLike(wanted) => words_in_a_row(wanted, event),
        Query::WordsApart(rows) => rows_apart(rows, event),
        Query::WordsNear(words, distance) => {
            let have = words_of(event);
            let places = |(at, wanted): (usize, &String)| -> Vec<u32> {
                let stands = (0u32..).zip(&have).filter(|(_, word)| *word == wanted);
                stands.map(|(place, _)| place + offset(words.len(), at)).collect()
            };
            lie_within(&words.iter().enumerate().map(places).collect::<Vec<_>>(), *distance)
        }
        Query::Message(reading) => FieldId::find(MESSAGE)
            .is_some_and(|id| event.all(id).any(|value| matches!(value, Value::Text(text) if reading.holds(text)))),
        Query::Ids(ids) => ids.contains(&event.id()),
        Query::WordPart(part) => any_word(event, |word| word.contains(part) || word.len() >= WORD_BYTES_MAX),
        Query::Field(name, test) if name == MESSAGE => match test {
            Test::Exists => FieldId::find(MESSAGE).is_some_and(|id| event.all(id).any(|v| matches!(v, Value::Text(_)))),
            Test::Is(text) => words_hold(text, event),
            Test::Glob(pattern) => any_word(event, |word| pattern.regex.is_match(word)),
            Test::Regex(regex) => any_word(event, |word| regex.is_match(word)),
            Test::Network(low, high) => any_word(event, |word| word.parse().is_ok_and(|ip| (*low..=*high).contains(&v6(ip)))),
            Test::Near(near) => any_word(event, |word| near.holds(word)),
            Test::Range(..) | Test::OfText(_) => false,
        },
        Query::Field(name, test) => field_holds(name, test, event),
    }
}

fn words_hold(wanted: &str, event: EventRef<'_>) -> bool {
    let (wanted_words, have) = (asked_words(wanted), words_of(event));
    if let Some(c) = lone_wide(&wanted_words) {
        return have.iter().any(|word| word.contains(c));
    }
    !wanted_words.is_empty() && have.windows(wanted_words.len()).any(|w| w == wanted_words)
        || leading_part(wanted).is_some_and(|start| have.iter().any(|word| word.starts_with(&start)))
}

fn words_in_a_row(wanted: &[Word], event: EventRef<'_>) -> bool {
    let row = |have: &[String]| have.iter().zip(wanted).all(|(word, wanted)| wanted.holds(word));
    !wanted.is_empty() && words_of(event).windows(wanted.len()).any(row)
}

fn rows_apart(rows: &[Vec<Word>], event: EventRef<'_>) -> bool {
    let have = words_of(event);
    let mut from = 0;
    rows.iter().all(|row| {
        let stands =
            |at: &usize| have.len() >= at + row.len() && have[*at..].iter().zip(row).all(|(word, wanted)| wanted.holds(word));
        let found = (from..have.len()).find(stands);
        from = found.map_or(from, |at| at + row.len() + reach(row) as usize);
        found.is_some()
    })
}

fn any_word(event: EventRef<'_>, holds: impl Fn(&str) -> bool) -> bool {
    words_of(event).iter().any(|word| holds(word))
}

fn words_of(event: EventRef<'_>) -> Vec<String> {
    all_words(searched_text(event, &mut String::new()))
}

fn field_holds(name: &str, test: &Test, event: EventRef<'_>) -> bool {
    if is_time_field(name) {
        let time = if name == "@timestamp" { event.time() } else { event.received() };
        return value_holds(Value::Time(time), test);
    }
    if name == "log.source.address" && event.source().is_some_and(|ip| value_holds(Value::Ip(ip), test)) {
        return true;
    }
    if synthetic(event).any(|(at, text)| SYNTHETIC[at] == name && value_holds(Value::Text(text), test)) {
        return true;
    }
    let Some(field) = FieldId::find(name) else { return false };
    event.all(field).any(|value| value != Value::Null && value_holds(value, test))
}

/// Whether a value is what is asked of its field.
pub(crate) fn value_holds(value: Value<'_>, test: &Test) -> bool {
    match test {
        Test::Exists => !matches!(value, Value::Float(n) if !n.is_finite()),
        Test::Is(wanted) => match value {
            Value::Text(text) => spellings(wanted).contains(&folded(text)),
            Value::Ip(ip) => wanted.parse().is_ok_and(|w: std::net::IpAddr| v6(w) == v6(ip)),
            Value::Time(time) => instant(wanted) == Some(time),
            Value::Int(_) | Value::Uint(_) | Value::Float(_) => Scalar::number(wanted).is_some_and(|number| {
                let end = Bound::Included(number);
                within(value, &end, true) && within(value, &end, false)
            }),
            Value::Bool(b) => wanted.parse() == Ok(b),
            Value::Null => false,
        },
        Test::Glob(pattern) => shown(value).is_some_and(|text| pattern.regex.is_match(&folded(&text))),
        Test::Regex(regex) => shown(value).is_some_and(|text| regex.is_match(&text)),
        Test::Network(low, high) => match value {
            Value::Ip(ip) => (*low..=*high).contains(&v6(ip)),
            Value::Text(text) => text.parse().is_ok_and(|ip| (*low..=*high).contains(&v6(ip))),
            _ => false,
        },
        Test::Near(near) => matches!(value, Value::Text(text) if near.holds(&folded(text))),
        Test::OfText(test) => matches!(value, Value::Text(_)) && value_holds(value, test),
        Test::Range(low, high) => within(value, low, true) && within(value, high, false),
    }
}

/// A value as patterns see it.
fn shown(value: Value<'_>) -> Option<String> {
    match value {
        Value::Float(n) if !n.is_finite() => None,
        Value::Ip(ip) => Some(ip.to_canonical().to_string()),
        value => Some(value.to_string()),
    }
}

fn within(value: Value<'_>, bound: &Bound<Scalar>, is_low: bool) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (end, included) = match bound {
        Bound::Unbounded => return !matches!(value, Value::Bool(_)),
        Bound::Included(end) => (end, true),
        Bound::Excluded(end) => (end, false),
    };
    let ordering = match (end, value) {
        (_, Value::Text(text)) => return text_within(text, bound, is_low),
        (_, Value::Int(n)) => return integer_within(n.into(), bound, is_low),
        (_, Value::Uint(n)) => return integer_within(n.into(), bound, is_low),
        (Scalar::Integer(end), Value::Float(n)) if n.is_finite() => Some(compare(*end, n).reverse()),
        (Scalar::Number(end), Value::Float(n)) if n.is_finite() => n.partial_cmp(end),
        (Scalar::Time(end), Value::Time(v)) => Some(v.cmp(end)),
        (Scalar::Ip(end), Value::Ip(v)) => Some(v6(v).cmp(end)),
        _ => None,
    };
    match ordering {
        Some(Equal) => included,
        Some(Greater) => is_low,
        Some(Less) => !is_low,
        None => false,
    }
}
