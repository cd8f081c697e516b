//! CEF (ArcSight "Implementing ArcSight Common Event Format", version 0 and 1):
//! `CEF:0|vendor|product|version|class id|name|severity|key=value key=value ...`.
//!
//! In the header `\|` and `\\` are escapes; in the extension `\=`, `\\`, `\n`, `\r`. A value may hold blanks: it ends where the next key
//! begins. A key is a word of letters, digits and `_ . -` before an unescaped `=`; since senders put what they were given into values,
//! an unescaped `=` after such a word within a value does begin a key: the format cannot tell.

use event::{FieldId, RowBuilder, Time};

use super::{Kind, Recognise, address, number, some_text, url};
use crate::decode::names::Names;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    native: Names,
    version: FieldId,
    vendor: FieldId,
    product: FieldId,
    class: FieldId,
    name: FieldId,
    severity: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("cef", None, None, None),
            native: Names::new("cef.extensions."),
            version: FieldId::known("cef.version"),
            vendor: FieldId::known("cef.device.vendor"),
            product: FieldId::known("cef.device.product"),
            class: FieldId::known("cef.device.event_class_id"),
            name: FieldId::known("cef.name"),
            severity: FieldId::known("cef.severity"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["cef"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(8)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        let Some(start) = message.find("CEF:").filter(|at| *at <= 64) else { return false };
        let mut parts: [&str; 7] = [""; 7];
        let mut rest = &message[start + 4..];
        for part in &mut parts {
            let Some(end) = unescaped(rest, b'|') else { return false };
            *part = &rest[..end];
            rest = &rest[end + 1..];
        }
        let [version, vendor, product, device_version, class, name, severity] = parts;
        if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return false;
        }
        self.kind.mark(row);
        for (field, text) in [
            (self.version, version),
            (self.vendor, vendor),
            (self.product, product),
            (self.class, class),
            (self.name, name),
            (self.severity, severity),
            (FieldId::OBSERVER_VENDOR, vendor),
            (FieldId::OBSERVER_PRODUCT, product),
            (FieldId::OBSERVER_VERSION, device_version),
            (FieldId::EVENT_CODE, class),
        ] {
            some_text(row, field, &plain(text));
        }
        number(row, FieldId::EVENT_SEVERITY, severity);
        let mut has_message = false;
        let mut key_end = unescaped(rest, b'=');
        let mut key = key_end.map_or("", |end| rest[..end].trim());
        while let Some(end) = key_end {
            let after = &rest[end + 1..];
            // The next key is the last word before the next unescaped `=`.
            let next_end = next_key(after);
            let (value, next) = match next_end {
                Some((start, end)) => (after[..start].trim_end(), Some((&after[start..end], end))),
                None => (after.trim_end(), None),
            };
            if let Some(field) = self.native.field(key) {
                let value = plain(value);
                row.text(field, &value);
                has_message |= key == "msg";
                cell(key, &value, context, row);
            }
            match next {
                Some((next_key, end)) => {
                    rest = after;
                    key = next_key;
                    key_end = Some(end);
                }
                None => break,
            }
        }
        if !has_message {
            some_text(row, FieldId::MESSAGE, &plain(name));
        }
        true
    }
}

/// Where the first `byte` stands that no backslash escapes.
fn unescaped(text: &str, byte: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let place = at + memchr::memchr2(byte, b'\\', bytes.get(at..)?)?;
        if bytes[place] == byte {
            return Some(place);
        }
        at = place + 2;
    }
}

/// The next key in `text`: where it begins and where its `=` stands.
fn next_key(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let end = from + unescaped(text.get(from..)?, b'=')?;
        let start = text[..end].rfind(' ').map(|at| at + 1);
        if let Some(start) = start
            && start < end
            && text[start..end].bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        {
            return Some((start, end));
        }
        from = end + 1;
    }
}

fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next @ ('|' | '\\' | '='))) => {
                out.push(next);
                chars.next();
            }
            ('\\', Some(next @ ('n' | 'r'))) => {
                out.push(if next == 'n' { '\n' } else { '\r' });
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out.into()
}

fn cell(key: &str, value: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
    use FieldId as F;
    match key {
        "src" => address(row, F::SOURCE_IP, F::SOURCE_ADDRESS, value),
        "dst" => address(row, F::DESTINATION_IP, F::DESTINATION_ADDRESS, value),
        "spt" => number(row, F::SOURCE_PORT, value),
        "dpt" => number(row, F::DESTINATION_PORT, value),
        "shost" => row.text(F::SOURCE_DOMAIN, value),
        "dhost" => row.text(F::DESTINATION_DOMAIN, value),
        "smac" => row.text(F::SOURCE_MAC, value),
        "dmac" => row.text(F::DESTINATION_MAC, value),
        "suser" => row.text(F::SOURCE_USER_NAME, value),
        "duser" => row.text(F::DESTINATION_USER_NAME, value),
        "in" => number(row, F::SOURCE_BYTES, value),
        "out" => number(row, F::DESTINATION_BYTES, value),
        "proto" => row.text(F::NETWORK_TRANSPORT, &value.to_ascii_lowercase()),
        "app" => row.text(F::NETWORK_PROTOCOL, &value.to_ascii_lowercase()),
        "act" => {
            row.text(F::EVENT_ACTION, value);
            let word = value.to_ascii_lowercase();
            if matches!(word.as_str(), "deny" | "denied" | "block" | "blocked" | "drop" | "dropped" | "reject" | "reset") {
                row.text(F::EVENT_TYPE, "denied");
            } else if matches!(word.as_str(), "allow" | "allowed" | "accept" | "accepted" | "permit" | "permitted" | "pass") {
                row.text(F::EVENT_TYPE, "allowed");
            }
        }
        "outcome" => row.text(F::EVENT_OUTCOME, value),
        "reason" => row.text(F::EVENT_REASON, value),
        "msg" => row.text(F::MESSAGE, value),
        "request" => url(row, value),
        "requestMethod" => row.text(F::HTTP_REQUEST_METHOD, value),
        "requestClientApplication" => row.text(F::USER_AGENT_ORIGINAL, value),
        "fname" => row.text(F::FILE_NAME, value),
        "filePath" => row.text(F::FILE_PATH, value),
        "dvchost" => row.text(F::OBSERVER_HOSTNAME, value),
        "dvc" => address(row, F::OBSERVER_IP, F::OBSERVER_NAME, value),
        "externalId" => row.text(F::EVENT_ID, value),
        "sourceTranslatedAddress" => address(row, F::SOURCE_NAT_IP, F::SOURCE_ADDRESS, value),
        "destinationTranslatedAddress" => address(row, F::DESTINATION_NAT_IP, F::DESTINATION_ADDRESS, value),
        "rt" | "end" | "start" => {
            // Milliseconds since 1970, or a date with a zone or without.
            let time = match value.parse::<i64>() {
                Ok(ms) => Some(Time::from_unix_ms(ms)),
                Err(_) => {
                    stamp::bsd(value).or_else(|| stamp::iso(value)).and_then(|(s, _)| s.resolve(context.zone, context.reference))
                }
            };
            match (key, time) {
                ("rt", Some(time)) => row.time(time),
                ("start", Some(time)) => row.time_cell(F::EVENT_START, time),
                (_, Some(time)) => row.time_cell(F::EVENT_END, time),
                _ => {}
            }
        }
        _ => {}
    }
}
