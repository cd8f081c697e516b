//! An event as one flat JSON object with dotted names: what `mihari parse` prints and what a hit shows.

mod writer;

use std::fmt::Write;
use std::net::IpAddr;

use crate::{EventRef, Time, Value};
pub use writer::Writer;

/// Appends `event` to `out` as one flat JSON object, its names sorted, arrays where a field has several values. Besides the
/// cells it has `@timestamp`, `event.received`, `mihari.format` and, where known, `mihari.log_source.*`.
///
/// For one event; who writes many has a [`Writer`], which writes the same.
pub fn write_event(event: EventRef<'_>, out: &mut String) {
    let mut cells: Vec<(&str, Value<'_>)> = event.cells().map(|(field, value)| (field.name(), value)).collect();
    cells.extend(BESIDE.iter().zip(beside(event)).filter_map(|(name, value)| Some((*name, value?))));
    cells.sort_by_key(|(name, _)| *name); // Stable: values of one field keep their order.
    out.push('{');
    for (at, group) in cells.chunk_by(|a, b| a.0 == b.0).enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(group[0].0, out);
        out.push(':');
        write_values(group.iter().map(|(_, value)| *value), out);
    }
    out.push('}');
}

/// One value by itself, several as an array.
fn write_values<'v>(values: impl ExactSizeIterator<Item = Value<'v>>, out: &mut String) {
    let several = values.len() > 1;
    if several {
        out.push('[');
    }
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_value(&value, out);
    }
    if several {
        out.push(']');
    }
}

/// The names of what stands in an event's row, not in its cells.
const BESIDE: [&str; 6] = [
    "@timestamp",
    "event.received",
    "mihari.format",
    "mihari.log_source.category",
    "mihari.log_source.product",
    "mihari.log_source.service",
];

fn beside(event: EventRef<'_>) -> [Option<Value<'_>>; 6] {
    let time = |time| Some(Value::Time(time)).filter(|_| time != Time::UNKNOWN);
    let source = event.log_source().parts();
    let [category, product, service] = [source.category, source.product, source.service].map(|part| part.map(Value::Text));
    let format = Some(Value::Text(event.format().name()));
    [time(event.time()), time(event.received()), format, category, product, service]
}

/// Appends one value as JSON. A float that JSON has no form for (NaN, infinity) becomes null.
pub fn write_value(value: &Value<'_>, out: &mut String) {
    let written = match value {
        Value::Null => out.write_str("null"),
        Value::Text(text) => {
            write_text(text, out);
            Ok(())
        }
        Value::Int(n) => {
            if *n < 0 {
                out.push('-');
            }
            write_digits(n.unsigned_abs(), 1, out);
            Ok(())
        }
        Value::Uint(n) => {
            write_digits(*n, 1, out);
            Ok(())
        }
        Value::Float(n) if n.is_finite() => write!(out, "{n:?}"),
        Value::Float(_) => out.write_str("null"),
        Value::Bool(b) => write!(out, "{b}"),
        Value::Ip(IpAddr::V4(_)) => {
            out.push('"');
            write_plain(value, out);
            out.push('"');
            Ok(())
        }
        Value::Ip(ip) => write!(out, "\"{ip}\""),
        Value::Time(time) => {
            write_time(*time, out);
            Ok(())
        }
    };
    written.expect("writing to a String does not fail");
}

/// Appends one value as it is displayed, the usual kinds without the machinery of formatting.
pub fn write_plain(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Text(text) => out.push_str(text),
        Value::Int(_) | Value::Uint(_) => write_value(value, out),
        Value::Ip(IpAddr::V4(ip)) => {
            let [first, others @ ..] = ip.octets();
            write_digits(first.into(), 1, out);
            for octet in others {
                out.push('.');
                write_digits(octet.into(), 1, out);
            }
        }
        other => write!(out, "{other}").expect("writing to a String does not fail"),
    }
}

/// Appends a number, with zeros before it up to so many digits.
pub(crate) fn write_digits(mut n: u64, digits_min: usize, out: &mut String) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while n > 0 {
        at -= 1;
        text[at] = b'0' + (n % 10) as u8;
        n /= 10;
    }
    let at = at.min(text.len() - digits_min);
    out.push_str(std::str::from_utf8(&text[at..]).unwrap_or_default());
}

/// An instant as [`Time`] is displayed, in quotes.
fn write_time(time: Time, out: &mut String) {
    let (year, month, day, hour, minute, second, ns) = time.civil();
    let parts =
        [(year.unsigned_abs(), 4, '"'), (month, 2, '-'), (day, 2, '-'), (hour, 2, 'T'), (minute, 2, ':'), (second, 2, ':')];
    for (part, digits, before) in parts {
        out.push(before);
        write_digits(part.into(), digits, out);
    }
    let fraction = match ns {
        0 => None,
        _ if ns % 1_000_000 == 0 => Some((ns / 1_000_000, 3)),
        _ if ns % 1000 == 0 => Some((ns / 1000, 6)),
        _ => Some((ns, 9)),
    };
    if let Some((part, digits)) = fraction {
        out.push('.');
        write_digits(part.into(), digits, out);
    }
    out.push_str("Z\"");
}

/// Appends a JSON string (RFC 8259 §7). What is escaped is ASCII, so what lies between is text by itself and copied as it stands.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = first_escaped(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            other => write!(out, "\\u{other:04x}").expect("writing to a String does not fail"),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Where the first byte stands that is escaped. Eight bytes are looked at at once: of each kind the lowest that is found is told exactly, since what
/// is subtracted borrows upwards only.
fn first_escaped(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & (ONES << 7);
    let mut at = 0;
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let found = below(word, 0x20) | is(b'"') | is(b'\\') | is(0x7f);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    text[at..].iter().position(|b| ESCAPED[usize::from(*b)]).map(|rest| at + rest)
}

/// The bytes that a JSON string escapes, and DEL, which a terminal would not show.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escaped[byte] = true;
        byte += 1;
    }
    escaped[0x7f] = true;
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, Content, FieldId, FrameHead, LogRange, Transport};

    #[test]
    fn many_are_written_as_one_is() {
        let mut builder = BatchBuilder::default();
        let head = FrameHead {
            received: Time::from_unix_ns(1_775_000_000_120_000_000),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        for nth in 0..40_u16 {
            let mut row = builder.row(&head, nth, "raw");
            // Names that come in between, one of them the name of what is no cell.
            for name in ["b", "a.b", "a", "@timestamp", "event.received", "zz"].iter().skip(usize::from(nth) % 5) {
                row.text(FieldId::intern(&format!("{name}{}", if nth % 7 == 0 { nth } else { 0 })).expect("room"), "x\n\"y\"");
                row.text(FieldId::known(name), "again");
            }
            row.int(FieldId::EVENT_SEQUENCE, [0, -1, i64::MIN, i64::MAX, 10, 100_000][usize::from(nth) % 6]);
            row.uint(FieldId::EVENT_SEQUENCE, u64::MAX - u64::from(nth));
            for ip in ["0.0.0.0", "255.10.1.200", "2001:db8::1"] {
                row.ip(FieldId::SOURCE_IP, ip.parse().expect("an address"));
            }
            row.time(Time::from_unix_ns(1_775_000_000_000_000_000 + [0, 5_000_000, 7_000, 1][usize::from(nth) % 4]));
            row.bool(FieldId::TAGS, nth % 2 == 0);
            row.float(FieldId::TAGS, f64::from(nth) / 3.0);
        }
        let batch = builder.finish(LogRange::default(), Time::UNKNOWN);
        let mut writer = Writer::default();
        for event in batch.iter() {
            let (mut one, mut of_many) = (String::new(), Vec::new());
            write_event(event, &mut one);
            writer.write(event, &mut of_many);
            assert_eq!(String::from_utf8(of_many).expect("text"), one);
        }
    }

    #[test]
    fn numbers_and_instants_are_as_they_are_displayed() {
        for ns in [0, 1, 999, 1_000, 120_000_000, 1_775_000_000_000_000_000, 1_775_000_000_123_456_789, -1, -86_400_000_000_000] {
            let (mut time, mut number) = (String::new(), String::new());
            write_value(&Value::Time(Time::from_unix_ns(ns)), &mut time);
            write_value(&Value::Int(ns), &mut number);
            assert_eq!((time, number), (format!("\"{}\"", Time::from_unix_ns(ns)), ns.to_string()));
        }
        let addresses = ["0.0.0.0", "255.10.1.200", "2001:db8::1"].map(|ip| Value::Ip(ip.parse().expect("an address")));
        let numbers = [Value::Int(i64::MIN), Value::Int(0), Value::Uint(u64::MAX), Value::Float(1.0), Value::Bool(true)];
        let others = [Value::Text("a\"b"), Value::Null, Value::Time(Time::from_unix_ns(1))];
        for value in addresses.into_iter().chain(numbers).chain(others) {
            let mut plain = String::new();
            write_plain(&value, &mut plain);
            assert_eq!(plain, value.to_string());
        }
    }

    #[test]
    fn what_is_escaped_is_found_wherever_it_stands() {
        for byte in 0..=255_u8 {
            for at in 0..20 {
                let mut text = *b"abcdefghijklmnopqrstuvw\xff";
                text[at] = byte;
                let plain = text.iter().position(|b| ESCAPED[usize::from(*b)]);
                assert_eq!(first_escaped(&text), plain, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn every_character_is_written_so_that_it_is_read_again() {
        let all: String = (0..0x300).filter_map(char::from_u32).chain("個人\u{1f4a9}\u{2028}".chars()).collect();
        for text in [all.as_str(), "", "plain", "\"", "\\", "\u{7f}a\u{1}", "end\n"] {
            let mut written = String::from("x");
            write_text(text, &mut written);
            assert_eq!(serde_json::from_str::<String>(&written[1..]).expect("JSON"), text);
            assert!(written.bytes().all(|b| b >= 0x20 && b != 0x7f), "nothing that a terminal obeys");
        }
    }
}
