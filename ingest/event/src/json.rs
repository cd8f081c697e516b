//! An event as one flat JSON object with dotted names: what `mihari parse` prints and what a hit shows.

use std::fmt::Write;

use crate::{EventRef, Time, Value};

/// Appends `event` to `out` as one flat JSON object, its names sorted, arrays where a field has several values. Besides the
/// cells it has `@timestamp`, `event.received`, `mihari.format` and, where known, `mihari.log_source.*`.
pub fn write_event(event: EventRef<'_>, out: &mut String) {
    let mut cells: Vec<(&str, Value<'_>)> = event.cells().map(|(field, value)| (field.name(), value)).collect();
    for (name, time) in [("@timestamp", event.time()), ("event.received", event.received())] {
        if time != Time::UNKNOWN {
            cells.push((name, Value::Time(time)));
        }
    }
    cells.push(("mihari.format", Value::Text(event.format().name())));
    let source = event.log_source().parts();
    for (name, part) in [
        ("mihari.log_source.category", source.category),
        ("mihari.log_source.product", source.product),
        ("mihari.log_source.service", source.service),
    ] {
        cells.extend(part.map(|part| (name, Value::Text(part))));
    }
    cells.sort_by_key(|(name, _)| *name); // Stable: values of one field keep their order.
    out.push('{');
    for (at, group) in cells.chunk_by(|a, b| a.0 == b.0).enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(group[0].0, out);
        out.push(':');
        match group {
            [(_, value)] => write_value(value, out),
            _ => {
                out.push('[');
                for (at, (_, value)) in group.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_value(value, out);
                }
                out.push(']');
            }
        }
    }
    out.push('}');
}

/// Appends one value as JSON. A float that JSON has no form for (NaN, infinity) becomes null.
pub fn write_value(value: &Value<'_>, out: &mut String) {
    let written = match value {
        Value::Null => out.write_str("null"),
        Value::Text(text) => {
            write_text(text, out);
            Ok(())
        }
        Value::Int(n) => write!(out, "{n}"),
        Value::Uint(n) => write!(out, "{n}"),
        Value::Float(n) if n.is_finite() => write!(out, "{n:?}"),
        Value::Float(_) => out.write_str("null"),
        Value::Bool(b) => write!(out, "{b}"),
        Value::Ip(ip) => write!(out, "\"{ip}\""),
        Value::Time(time) => write!(out, "\"{time}\""),
    };
    written.expect("writing to a String does not fail");
}

/// Appends a JSON string (RFC 8259 §7). What is escaped is ASCII, so what lies between is text by itself and copied as it stands.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| ESCAPED[usize::from(b)]) {
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
