//! A query against one event, for the live tail: the same answer as the index gives.

use std::ops::Bound;

use event::{EventRef, FieldId, Time, Value};

use crate::query::{Query, Scalar, Test};
use crate::schema::{is_time_field, synthetic, v6};
use crate::tokens::words;

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
        Query::Words(wanted) => {
            let wanted = all_words(wanted);
            let have = words_of(event);
            wanted.is_empty() || have.windows(wanted.len()).any(|w| w == wanted)
        }
        Query::WordGlob(glob) => {
            let regex = crate::lower::word_regex(glob);
            regex.is_ok_and(|regex| words_of(event).iter().any(|w| regex.is_match(w)))
        }
        Query::Field(name, test) => field_holds(name, test, event),
    }
}

fn all_words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    words(text, |w| all.push(w.to_owned()));
    all
}

fn words_of(event: EventRef<'_>) -> Vec<String> {
    if !event.raw().is_empty() {
        return all_words(event.raw());
    }
    all_words(&event.cells().map(|(_, v)| v.to_string() + " ").collect::<String>())
}

fn field_holds(name: &str, test: &Test, event: EventRef<'_>) -> bool {
    if is_time_field(name) {
        let time = if name == "@timestamp" { event.time() } else { event.received() };
        return value_holds(Value::Time(time), test);
    }
    if name == "log.source.address" {
        return event.source().is_some_and(|ip| value_holds(Value::Ip(ip), test));
    }
    if synthetic(event).any(|(n, text)| n == name && value_holds(Value::Text(text), test)) {
        return true;
    }
    let Some(field) = FieldId::find(name) else { return false };
    event.all(field).any(|value| value != Value::Null && value_holds(value, test))
}

fn value_holds(value: Value<'_>, test: &Test) -> bool {
    match test {
        Test::Exists => true,
        Test::Is(wanted) => match value {
            Value::Text(text) => text.to_lowercase() == *wanted,
            Value::Ip(ip) => wanted.parse().is_ok_and(|w: std::net::IpAddr| v6(w) == v6(ip)),
            other => other.to_string().to_lowercase() == *wanted || wanted.parse::<f64>().is_ok_and(|n| number(other) == Some(n)),
        },
        Test::Glob(regex) => regex.is_match(&value.to_string().to_lowercase()),
        Test::Regex(regex) => regex.is_match(&value.to_string()),
        Test::Network(low, high) => match value {
            Value::Ip(ip) => (*low..=*high).contains(&v6(ip)),
            Value::Text(text) => text.parse().is_ok_and(|ip| (*low..=*high).contains(&v6(ip))),
            _ => false,
        },
        Test::Range(low, high) => within(value, low, true) && within(value, high, false),
    }
}

fn within(value: Value<'_>, bound: &Bound<Scalar>, is_low: bool) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (end, included) = match bound {
        Bound::Unbounded => return true,
        Bound::Included(end) => (end, true),
        Bound::Excluded(end) => (end, false),
    };
    let ordering = match (end, value) {
        (Scalar::Number(n), value) => number(value).and_then(|v| v.partial_cmp(n)),
        (Scalar::Time(t), Value::Time(v)) => Some(v.cmp(t)),
        (Scalar::Time(t), Value::Text(text)) => text.parse::<Time>().ok().map(|v| v.cmp(t)),
        (Scalar::Ip(ip), Value::Ip(v)) => Some(v6(v).cmp(ip)),
        (Scalar::Text(t), Value::Text(v)) => Some(v.to_lowercase().as_str().cmp(t)),
        _ => None,
    };
    match ordering {
        Some(Equal) => included,
        Some(Greater) => is_low,
        Some(Less) => !is_low,
        None => false,
    }
}

fn number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Int(n) => Some(n as f64),
        Value::Uint(n) => Some(n as f64),
        Value::Float(n) => Some(n),
        _ => None,
    }
}
