//! Values of an event as bytes: the key of its group, the values that count, the fields that an alert will show.
//!
//! A match waits long after its batch is gone, so what it needs is copied, into a buffer that many matches share.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use event::{EventRef, FieldId, Time, Value};
use sha2::{Digest, Sha256};

use crate::alert::{FIELDS_MAX, TextMap, VALUE_BYTES_MAX};
use crate::sigma::item::Number;

/// Bytes of the fields of one event that wait for an alert; further fields are not shown.
const SHOWN_BYTES_MAX: usize = 2048;

/// By which a plain rule's alerts are told apart where it names no fields: the first that the event has.
const USUAL: [FieldId; 5] =
    [FieldId::SOURCE_IP, FieldId::HOST_NAME, FieldId::USER_NAME, FieldId::OBSERVER_NAME, FieldId::OBSERVER_IP];

/// The fields that an alert shows: those that tell who, whom and what. A place here is part of the snapshot's format.
const SHOWN: [FieldId; FIELDS_MAX] = [
    FieldId::SOURCE_IP,
    FieldId::SOURCE_PORT,
    FieldId::DESTINATION_IP,
    FieldId::DESTINATION_PORT,
    FieldId::USER_NAME,
    FieldId::HOST_NAME,
    FieldId::EVENT_ACTION,
    FieldId::EVENT_OUTCOME,
    FieldId::NETWORK_TRANSPORT,
    FieldId::NETWORK_BYTES,
    FieldId::SOURCE_BYTES,
    FieldId::URL_ORIGINAL,
    FieldId::URL_DOMAIN,
    FieldId::HTTP_REQUEST_METHOD,
    FieldId::HTTP_RESPONSE_STATUS_CODE,
    FieldId::USER_AGENT_ORIGINAL,
    FieldId::DNS_QUESTION_NAME,
    FieldId::PROCESS_COMMAND_LINE,
    FieldId::RULE_NAME,
    FieldId::ZONE_SOURCE,
    FieldId::ZONE_DESTINATION,
    FieldId::POLICY_VERDICT,
    FieldId::POLICY_CLAUSE,
    FieldId::OBSERVER_NAME,
];

/// By field number its place in [`SHOWN`]. All of them are constants, so their numbers are low.
static PLACE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut places = vec![u8::MAX; SHOWN.iter().map(|f| f.index() + 1).max().unwrap_or(0)];
    for (place, field) in SHOWN.iter().enumerate() {
        places[field.index()] = place as u8;
    }
    places
});

/// The names of [`SHOWN`].
static NAMES: LazyLock<[&str; FIELDS_MAX]> = LazyLock::new(|| SHOWN.map(FieldId::name));

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(VALUE_BYTES_MAX)]
}

/// Bytes behind a long value that is cut: an ellipsis and the beginning of the SHA-256 of all of it, in hexadecimal.
const TOLD_APART_BYTES: usize = "…".len() + 16;

/// Appends a value by which events are told apart or counted: as [`put_text`], but of a long one that is cut not only the beginning counts.
fn put_whole(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) if text.len() > VALUE_BYTES_MAX => {
            let hash: [u8; 32] = Sha256::digest(text).into();
            let begin = &text[..text.floor_char_boundary(VALUE_BYTES_MAX - TOLD_APART_BYTES)];
            let hash = hash[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            put_text(Value::Text(&format!("{begin}…{hash:016x}")), out);
        }
        other => put_text(other, out),
    }
}

/// Appends the value as a person would write it, its length before it.
fn put_text(value: Value<'_>, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    match value {
        Value::Text(text) => out.extend_from_slice(shortened(text).as_bytes()),
        Value::Ip(std::net::IpAddr::V4(ip)) => put_ip4(ip, out),
        other => write!(out, "{other}").expect("writing to memory does not fail"),
    }
    let len = (out.len() - at - 2) as u16;
    out[at..at + 2].copy_from_slice(&len.to_le_bytes());
}

/// As `Display`, which costs five times as much.
fn put_ip4(ip: Ipv4Addr, out: &mut Vec<u8>) {
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

/// The values, but nulls, of the first of `fields` that has one.
fn values<'b>(event: EventRef<'b>, fields: &[FieldId]) -> impl Iterator<Item = Value<'b>> + use<'b> {
    let is_value = |value: &Value<'_>| *value != Value::Null;
    let found = fields.iter().copied().find(|field| event.all(*field).any(|value| is_value(&value)));
    found.into_iter().flat_map(move |field| event.all(field)).filter(is_value)
}

/// The first of the values of `fields` that is not null.
pub(super) fn first<'b>(event: EventRef<'b>, fields: &[FieldId]) -> Option<Value<'b>> {
    values(event, fields).next()
}

/// Values of one field that an event brings for correlation, and combinations of those of several fields; further ones are left out (counted).
const VALUES_MAX: usize = 16;
const COMBINATIONS_MAX: usize = 64;

/// Appends one text per name, of an array that of its first value, and says whether there are further values. None where the event lacks one
/// of the names: it belongs to no group, and nothing is appended.
pub(super) fn put_all(event: EventRef<'_>, names: &[Vec<FieldId>], out: &mut Vec<u8>) -> Option<bool> {
    let (start, mut further) = (out.len(), false);
    for fields in names {
        let mut values = values(event, fields);
        match values.next() {
            Some(value) => put_whole(value, out),
            None => {
                out.truncate(start);
                return None;
            }
        }
        further |= values.next().is_some();
    }
    Some(further)
}

/// What [`put_all`] writes for each combination of the values, each once, and how many were left out.
pub(super) fn combinations(event: EventRef<'_>, names: &[Vec<FieldId>]) -> (BTreeSet<Vec<u8>>, u64) {
    let (mut all, mut left_out) = (BTreeSet::from([Vec::new()]), 0);
    for fields in names {
        let mut texts: BTreeSet<Vec<u8>> = BTreeSet::new();
        for value in values(event, fields) {
            let mut text = Vec::new();
            put_whole(value, &mut text);
            if texts.len() < VALUES_MAX {
                texts.insert(text);
            } else {
                left_out += u64::from(!texts.contains(&text));
            }
        }
        let longer = all.iter().flat_map(|before| texts.iter().map(move |text| [before.as_slice(), text.as_slice()].concat()));
        let mut longer: Vec<Vec<u8>> = longer.collect();
        left_out += longer.len().saturating_sub(COMBINATIONS_MAX) as u64;
        longer.truncate(COMBINATIONS_MAX);
        all = longer.into_iter().collect();
    }
    (all, left_out)
}

/// The numbers that the event's field says, as [`put_number`] writes one, and how many were left out.
pub(super) fn numbers(event: EventRef<'_>, fields: &[FieldId]) -> (Vec<Vec<u8>>, u64) {
    let (mut all, mut left_out) = (Vec::new(), 0);
    for number in values(event, fields).filter_map(crate::test_of::number_of) {
        let mut bytes = Vec::new();
        if put_number_bytes(number, &mut bytes) && all.len() < VALUES_MAX {
            all.push(bytes);
        } else {
            left_out += 1;
        }
    }
    (all, left_out)
}

/// The texts that [`put_all`] has written.
pub(super) fn texts(bytes: &[u8]) -> Vec<&str> {
    each_text(bytes).collect()
}

/// The same, one after the other.
pub(super) fn each_text(mut bytes: &[u8]) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (text, rest) = next_text(bytes)?;
        bytes = rest;
        Some(text)
    })
}

fn next_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    Some((std::str::from_utf8(text).unwrap_or_default(), rest))
}

/// Appends texts so that [`texts`] gives them back.
pub(super) fn put_texts<'t>(texts: impl IntoIterator<Item = &'t str>, out: &mut Vec<u8>) {
    for text in texts {
        put_whole(Value::Text(text), out);
    }
}

/// Appends the number that the event's field says, and tells whether it has further values; none where it says no number.
pub(super) fn put_number(event: EventRef<'_>, fields: &[FieldId], out: &mut Vec<u8>) -> Option<bool> {
    let mut values = values(event, fields);
    let number = values.find_map(crate::test_of::number_of)?;
    put_number_bytes(number, out).then(|| values.next().is_some())
}

/// Appends a number; `false` where it is none that can be added up.
pub(super) fn put_number_bytes(number: Number, out: &mut Vec<u8>) -> bool {
    match number {
        Number::Int(n) => {
            out.push(0);
            out.extend_from_slice(&n.to_le_bytes());
        }
        Number::Float(n) if n.is_finite() => {
            out.push(1);
            out.extend_from_slice(&n.to_le_bytes());
        }
        Number::Float(_) => return false,
    }
    true
}

/// The number that [`put_number`] has written.
pub(super) fn number(bytes: &[u8]) -> Option<Number> {
    match bytes.split_first()? {
        (0, rest) => Some(Number::Int(i128::from_le_bytes(rest.try_into().ok()?))),
        (1, rest) => Some(Number::Float(f64::from_le_bytes(rest.try_into().ok()?))),
        _ => None,
    }
}

/// Appends the key of a plain rule's alert: the period in which repeats fold, then the fields that the rule names, or the first of
/// [`USUAL`].
pub(super) fn put_plain_key(event: EventRef<'_>, named: &[Vec<FieldId>], period: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&period.to_le_bytes());
    if named.is_empty() {
        let found = USUAL.iter().enumerate().find_map(|(place, f)| Some((place, event.get(*f)?)));
        match found {
            Some((place, value)) => {
                out.push(place as u8);
                put_whole(value, out);
            }
            None => out.push(USUAL.len() as u8),
        }
        return;
    }
    for fields in named {
        put_whole(first(event, fields).unwrap_or(Value::Null), out);
    }
}

/// The names and values of a key that [`put_plain_key`] has written.
pub(super) fn plain_group(key: &[u8], named: &[Vec<FieldId>]) -> TextMap {
    let Some((_period, key)) = key.split_first_chunk::<8>() else { return TextMap::default() };
    if named.is_empty() {
        let Some((place, rest)) = key.split_first() else { return TextMap::default() };
        let name = USUAL.get(usize::from(*place)).map(|f| f.name());
        return name.into_iter().zip(texts(rest)).collect();
    }
    let names = named.iter().map(|fields| fields.first().map_or("", |f| f.name()));
    names.zip(texts(key)).collect()
}

/// Appends the fields that an alert would show.
pub(super) fn put_shown(event: EventRef<'_>, out: &mut Vec<u8>) {
    let (start, mut last, places) = (out.len(), u8::MAX, &*PLACE);
    for (field, value) in event.cells() {
        let place = places.get(field.index()).copied().unwrap_or(u8::MAX);
        if place == u8::MAX || place == last {
            continue; // Of an array the first value.
        }
        last = place;
        let before = out.len();
        out.push(place);
        match value {
            Value::Null => out.push(0),
            Value::Text(text) => {
                out.push(1);
                put_text(Value::Text(text), out);
            }
            Value::Int(n) => put_fixed(2, &n.to_le_bytes(), out),
            Value::Uint(n) => put_fixed(3, &n.to_le_bytes(), out),
            Value::Float(n) => put_fixed(4, &n.to_le_bytes(), out),
            Value::Bool(b) => put_fixed(5, &[u8::from(b)], out),
            Value::Ip(std::net::IpAddr::V4(ip)) => put_fixed(6, &ip.octets(), out),
            Value::Ip(std::net::IpAddr::V6(ip)) => put_fixed(7, &ip.octets(), out),
            Value::Time(time) => put_fixed(8, &time.unix_ns().to_le_bytes(), out),
        }
        if out.len() - start > SHOWN_BYTES_MAX {
            out.truncate(before);
            return;
        }
    }
}

/// Appends, behind the fields that an alert would show, what chained correlations ask of the event, by number.
pub(super) fn put_carried(event: EventRef<'_>, names: &[Vec<FieldId>], out: &mut Vec<u8>) {
    for (number, fields) in (0u16..).zip(names) {
        if let Some(value) = first(event, fields) {
            out.push(u8::MAX); // No place among those that are shown.
            put_fixed(CARRIED, &number.to_le_bytes(), out);
            put_whole(value, out);
        }
    }
}

/// What [`put_carried`] has written by this number.
pub(super) fn carried(mut bytes: &[u8], number: u16) -> Option<String> {
    loop {
        let (_, value, rest) = next_shown(bytes)?;
        if bytes.get(1..4) == Some(&[CARRIED, number.to_le_bytes()[0], number.to_le_bytes()[1]]) {
            return Some(value.to_string());
        }
        bytes = rest;
    }
}

/// The kind of a value that is carried and not shown.
const CARRIED: u8 = 9;

fn put_fixed(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

/// The fields that [`put_shown`] has written, by name.
pub(super) fn shown(mut bytes: &[u8]) -> TextMap {
    let (mut fields, names) = (TextMap::with_capacity(SHOWN_USUAL, SHOWN_USUAL_BYTES), &*NAMES);
    while let Some((place, value, rest)) = next_shown(bytes) {
        if let Some(name) = names.get(usize::from(place)) {
            fields.insert_written(name, |text| event::json::write_plain(&value, text));
        }
        bytes = rest;
    }
    fields
}

/// How many fields an alert usually shows, and their bytes with their names.
const SHOWN_USUAL: usize = 8;
const SHOWN_USUAL_BYTES: usize = 256;

fn next_shown(bytes: &[u8]) -> Option<(u8, Value<'_>, &[u8])> {
    fn fixed<const N: usize>(rest: &[u8]) -> Option<([u8; N], &[u8])> {
        rest.split_first_chunk::<N>().map(|(found, rest)| (*found, rest))
    }
    let ([place, kind], rest) = fixed::<2>(bytes)?;
    let (value, rest) = match kind {
        0 => (Value::Null, rest),
        1 => next_text(rest).map(|(text, rest)| (Value::Text(text), rest))?,
        2 => fixed(rest).map(|(b, rest)| (Value::Int(i64::from_le_bytes(b)), rest))?,
        3 => fixed(rest).map(|(b, rest)| (Value::Uint(u64::from_le_bytes(b)), rest))?,
        4 => fixed(rest).map(|(b, rest)| (Value::Float(f64::from_le_bytes(b)), rest))?,
        5 => fixed(rest).map(|([b], rest)| (Value::Bool(b != 0), rest))?,
        6 => fixed(rest).map(|(b, rest)| (Value::Ip(Ipv4Addr::from_octets(b).into()), rest))?,
        7 => fixed(rest).map(|(b, rest)| (Value::Ip(Ipv6Addr::from_octets(b).into()), rest))?,
        8 => fixed(rest).map(|(b, rest)| (Value::Time(Time::from_unix_ns(i64::from_le_bytes(b))), rest))?,
        CARRIED => fixed::<2>(rest).and_then(|(_, rest)| next_text(rest)).map(|(text, rest)| (Value::Text(text), rest))?,
        _ => return None,
    };
    Some((place, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_reads_as_the_event_does() {
        let object = r#"{"source.ip":"192.0.2.7","source.port":443,"user.name":["a","b"],"network.bytes":18446744073709551615,
            "event.action":null,"url.original":"/x","host.name":true,"rule.name":1.5,"other":"not shown"}"#;
        let batch = crate::cases::batch_of(&[object]).expect("an object");
        let event = batch.event(0);
        let mut bytes = Vec::new();
        put_shown(event, &mut bytes);
        let expected: TextMap = SHOWN.iter().filter_map(|f| Some((f.name().to_owned(), event.get(*f)?.to_string()))).collect();
        assert_eq!(shown(&bytes), expected);
        assert_eq!(expected.iter().len(), 8);
        put_carried(
            event,
            &[vec![FieldId::known("absent")], vec![FieldId::known("other")], vec![FieldId::SOURCE_PORT]],
            &mut bytes,
        );
        assert_eq!(shown(&bytes), expected, "what is carried is not shown");
        assert_eq!([0, 1, 2, 3].map(|n| carried(&bytes, n)), [None, Some("not shown".to_owned()), Some("443".to_owned()), None]);
    }

    #[test]
    fn addresses_are_written_as_by_display() {
        for ip in [[0, 0, 0, 0], [1, 20, 255, 100], [10, 9, 99, 101], [255, 255, 255, 255]].map(Ipv4Addr::from_octets) {
            let mut out = Vec::new();
            put_ip4(ip, &mut out);
            assert_eq!(String::from_utf8(out), Ok(ip.to_string()));
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters_and_told_apart_by_all_of_it() {
        let long = "あ".repeat(VALUE_BYTES_MAX);
        let other = format!("{long}b");
        let mut out = Vec::new();
        put_texts([long.as_str(), &other, &long, "b"], &mut out);
        let found = texts(&out);
        assert_eq!((found.len(), found[0] == found[1], found[0] == found[2], found[3]), (4, false, true, "b"));
        assert!(found[0].len() <= VALUE_BYTES_MAX && found[0].starts_with("ああ"));
        let mut again = Vec::new();
        put_texts(found.iter().copied(), &mut again);
        assert_eq!(again, out, "what is cut stays as it is");
    }

    #[test]
    fn damaged_bytes_are_no_panic() {
        for bytes in [&[1u8][..], &[0, 1, 9, 0], &[3, 2, 1], &[0, 9], &[255; 40]] {
            shown(bytes);
            texts(bytes);
            number(bytes);
        }
    }
}
