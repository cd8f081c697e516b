//! The syslog header: RFC 5424, RFC 3164, and what devices make of them. Zero copies: parts are slices of the record.

use std::borrow::Cow;
use std::net::IpAddr;

use event::{FieldId, RowBuilder};
use wide::u8x16;

use super::stamp::{self, Stamp};

/// A record's header and what follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Header<'a> {
    pub(super) priority: Option<u8>,
    pub(super) version: Option<u16>,
    pub(super) stamp: Option<Stamp>,
    pub(super) host: Option<&'a str>,
    pub(super) app: Option<&'a str>,
    pub(super) procid: Option<&'a str>,
    pub(super) msgid: Option<&'a str>,
    pub(super) structured: Option<&'a str>,
    pub(super) message: &'a str,
}

/// Reads the header of `record`. A record without any is all message.
pub(super) fn header(record: &str) -> Header<'_> {
    let (first, rest) = priority(bare(record));
    let Some((sender, rest)) = original_address(rest) else { return after(first, rest) };
    let (own, rest) = priority(rest);
    let header = after(own.or(first), rest);
    Header { host: header.host.or(Some(sender)), ..header }
}

/// `Original Address=ADDRESS `, which Kiwi Syslog Server puts before what it passes on ("Retain the original source address"), and what follows.
#[inline]
fn original_address(text: &str) -> Option<(&str, &str)> {
    let (address, rest) = text.strip_prefix("Original Address=")?.split_once(' ')?;
    address.parse::<IpAddr>().is_ok().then_some((address, rest))
}

/// What a container wrote, behind the stream's name and whether the line is whole.
fn container_line(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("stdout ").or_else(|| text.strip_prefix("stderr "))?;
    rest.strip_prefix("F ").or_else(|| rest.strip_prefix("P "))
}

/// The header behind the priority.
fn after(priority: Option<u8>, rest: &str) -> Header<'_> {
    // Without a priority as files keep it, where the year that follows tells the version's number from any other.
    if (priority.is_some() || rest.starts_with("1 2"))
        && let Some(header) = rfc5424(rest, priority)
    {
        return header;
    }
    rfc3164(rest, priority)
}

/// The header that a relay found a record with, where it passed that on behind its own: what the record's own says counts, the relay's
/// for the rest.
pub(super) fn passed_on<'a>(relay: &Header<'a>) -> Option<Header<'a>> {
    // What a program writes may be what its users wrote: only a relay's header has none.
    let host = relay.host.filter(|_| relay.app.is_none())?;
    let text = bare(relay.message);
    let own = match text.as_bytes() {
        [b'<', b'0'..=b'9', ..] => header(text),
        // Without a priority the text may be a program's that begins with a time: there the program's name must stand, too.
        [b'A'..=b'Z', _, _, b' ', ..] if stamp::bsd(text).is_some() => rfc3164(text, None),
        [b'0'..=b'9', _, _, _, b'-', ..] if stamp::iso(text).is_some() => rfc3164(text, None),
        _ => return None,
    };
    let is_whole = own.priority.is_some() || own.host.is_some() && (own.app.is_some() || own.message.starts_with('%'));
    is_whole.then_some(Header {
        priority: own.priority.or(relay.priority),
        version: own.version.or(relay.version),
        stamp: own.stamp.or(relay.stamp),
        host: own.host.or(Some(host)),
        msgid: own.msgid.or(relay.msgid),
        structured: own.structured.or(relay.structured),
        ..own
    })
}

/// Whether the text begins with a time of its own, in brackets or not.
pub(super) fn begins_with_time(text: &str) -> bool {
    let text = text.strip_prefix(['[', '"']).unwrap_or(text);
    stamp::bsd(text).is_some() || stamp::any(text).is_some()
}

/// `name[1]: text`, `name: text` of a record without any header, as some forms keep it. None where it begins otherwise; whether it is
/// a program's name, the caller knows.
pub(super) fn tagged(record: &str) -> Option<Header<'_>> {
    let (app, procid, message) = tag(record);
    let good = match procid {
        Some(pid) => pid.bytes().all(|b| b.is_ascii_digit()),
        // Sentences begin with capitals (`Audit: ...`), programs' names do not.
        None => app.is_some_and(|app| !app.bytes().any(|b| b.is_ascii_uppercase())),
    };
    good.then_some(Header { app, procid, message, ..Header::default() })
}

/// What follows the priority.
pub(super) fn after_priority(record: &str) -> &str {
    let rest = priority(bare(record)).1;
    original_address(rest).map_or(rest, |(_, rest)| priority(rest).1)
}

/// Without what is not the record's: a byte order mark, and the length of octet counting (RFC 6587 §3.4.1) that a relay left before it.
#[inline]
fn bare(record: &str) -> &str {
    if record.as_bytes().first() == Some(&b'<') {
        return record; // As nearly every record begins.
    }
    let record = record.strip_prefix('\u{feff}').unwrap_or(record);
    if !record.starts_with(|c: char| c.is_ascii_digit()) {
        return record;
    }
    let digits = record.bytes().take_while(u8::is_ascii_digit).count();
    match record[digits..].strip_prefix(' ') {
        Some(rest) if (1..=6).contains(&digits) && rest.starts_with('<') && priority(rest).0.is_some() => rest,
        _ => record,
    }
}

/// `<0>` to `<191>` (RFC 5424 §6.2.1).
#[inline]
fn priority(record: &str) -> (Option<u8>, &str) {
    let digit = |byte: u8| u16::from(byte) - u16::from(b'0');
    let (number, length) = match record.as_bytes() {
        [b'<', a @ b'0'..=b'9', b'>', ..] => (digit(*a), 3),
        [b'<', a @ b'0'..=b'9', b @ b'0'..=b'9', b'>', ..] => (digit(*a) * 10 + digit(*b), 4),
        [b'<', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'>', ..] => (digit(*a) * 100 + digit(*b) * 10 + digit(*c), 5),
        _ => return (None, record),
    };
    match u8::try_from(number) {
        Ok(number) if number <= 191 => (Some(number), &record[length..]),
        _ => (None, record),
    }
}

/// `VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA [SP MSG]` (RFC 5424 §6).
fn rfc5424(text: &str, priority: Option<u8>) -> Option<Header<'_>> {
    let (version, rest) = match text.as_bytes() {
        [b'1', b' ', ..] => (1, &text[2..]),
        [b'1'..=b'9', ..] => {
            let digits = text.bytes().take(4).take_while(u8::is_ascii_digit).count();
            let version: u16 = text[..digits].parse().ok().filter(|_| digits <= 3)?;
            (version, text[digits..].strip_prefix(' ')?)
        }
        _ => return None, // §6.2.2: NONZERO-DIGIT 0*2DIGIT
    };
    let (stamp, rest) = match rest.strip_prefix("- ") {
        Some(rest) => (None, rest),
        None => {
            let (stamp, rest) = stamp::iso(rest)?;
            (Some(stamp), rest.strip_prefix(' ')?)
        }
    };
    let (host, rest) = word(rest)?;
    if ["{", "CEF:", "LEEF:"].iter().any(|begins| rest.starts_with(begins)) {
        // Some senders let the record begin behind the host (CyberArk's vault).
        return Some(Header { priority, version: Some(version), stamp, host: value(host), message: rest, ..Header::default() });
    }
    let (app, rest) = word(rest)?;
    let (procid, rest) = word(rest)?;
    let (msgid, rest) = word(rest).unwrap_or((rest, ""));
    let (structured, message) = structured_data(rest);
    let message = message.strip_prefix('\u{feff}').unwrap_or(message); // §6.4 MSG-UTF8
    Some(Header {
        priority,
        version: Some(version),
        stamp,
        host: value(host),
        app: value(app),
        procid: value(procid),
        msgid: value(msgid),
        structured,
        message,
    })
}

/// What stands before the next blank, and what follows.
#[inline]
fn word(text: &str) -> Option<(&str, &str)> {
    let end = blank(text.as_bytes())?;
    Some((&text[..end], &text[end + 1..]))
}

/// Where the first blank stands.
#[inline]
fn blank(text: &[u8]) -> Option<usize> {
    first_of(text, [b' '])
}

/// Where the first of some bytes stands. What is looked for is near: a search made for long texts costs more to begin than this to end.
#[inline]
fn first_of<const N: usize>(text: &[u8], wanted: [u8; N]) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = text.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
        let found = marks(step, wanted);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += STEP;
    }
    text[at..].iter().position(|b| wanted.contains(b)).map(|rest| at + rest)
}

/// Bytes that are looked at at once.
const STEP: usize = 16;

/// A bit for each byte that is one of those wanted.
#[inline]
fn marks<const N: usize>(step: &[u8; STEP], wanted: [u8; N]) -> u32 {
    let step = u8x16::new(*step);
    wanted.iter().fold(u8x16::splat(0), |found, byte| found | step.simd_eq(u8x16::splat(*byte))).to_bitmask()
}

/// What a byte may be part of, a bit each.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let name = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name || matches!(b, b':' | b'%') {
            classes[byte] |= HOST;
        }
        if name || matches!(b, b'/' | b'+' | b'@') {
            classes[byte] |= TAG;
        }
        byte += 1;
    }
    classes
};
/// A host's name or address.
const HOST: u8 = 1;
/// Bytes of the longest (RFC 5424 §6, HOSTNAME).
const HOST_BYTES_MAX: usize = 255;
/// A program's name.
const TAG: u8 = 2;

#[inline]
fn is_of(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// How many bytes of a class the text begins with. Names differ in length from record to record: where one ends is told without a branch for each
/// byte.
#[inline]
fn run_of(text: &[u8], class: u8) -> usize {
    let mut at = 0;
    while let Some(step) = text.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
        let step = u8x16::new(*step);
        let is = |byte| step.simd_eq(u8x16::splat(byte));
        let within = |bytes: u8x16, first: u8, last: u8| {
            let above = bytes - u8x16::splat(first);
            above.min(u8x16::splat(last - first)).simd_eq(above)
        };
        let name = within(step, b'0', b'9') | within(step | u8x16::splat(0x20), b'a', b'z') | within(step, b'-', b'.') | is(b'_');
        let good = if class == HOST { name | is(b':') | is(b'%') } else { name | is(b'/') | is(b'+') | is(b'@') };
        let other = !good.to_bitmask() & 0xffff;
        if other != 0 {
            return at + other.trailing_zeros() as usize;
        }
        at += STEP;
    }
    at + text[at..].iter().take_while(|b| is_of(**b, class)).count()
}

/// The nil value is absence (§6.2.3).
fn value(part: &str) -> Option<&str> {
    (part != "-" && !part.is_empty()).then_some(part)
}

/// Splits `[a@1 k="v"][b] message`. Within a value `"`, `\` and `]` are escaped by a backslash (§6.3.3).
fn structured_data(text: &str) -> (Option<&str>, &str) {
    if let Some(rest) = text.strip_prefix('-') {
        return (None, rest.strip_prefix(' ').unwrap_or(rest));
    }
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'[') {
        return (None, text);
    }
    let (mut quoted, mut escaped) = (false, usize::MAX);
    let mut start = 0;
    while start < bytes.len() {
        let mut last = [0; STEP];
        let step = bytes[start..].first_chunk::<STEP>().unwrap_or_else(|| {
            last[..bytes.len() - start].copy_from_slice(&bytes[start..]);
            &last
        });
        let mut found = marks(step, [b'"', b'\\', b']']);
        while found != 0 {
            let at = start + found.trailing_zeros() as usize;
            found &= found - 1;
            match bytes[at] {
                _ if at == escaped => {}
                b'"' => quoted = !quoted,
                // Within quotes a backslash escapes, without them a bracket closes.
                b'\\' if quoted => escaped = at + 1,
                b']' if !quoted && bytes.get(at + 1) != Some(&b'[') => {
                    let (structured, rest) = text.split_at(at + 1);
                    return (Some(structured), rest.strip_prefix(' ').unwrap_or(rest));
                }
                _ => {}
            }
        }
        start += STEP;
    }
    (None, text) // Never closed: it is the message.
}

/// One parameter of the structured data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parameter<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    escaped: &'a str,
}

impl<'a> Parameter<'a> {
    /// The value, without the backslashes that escape (§6.3.3).
    pub(super) fn value(&self) -> Cow<'a, str> {
        if !self.escaped.contains('\\') {
            return Cow::Borrowed(self.escaped);
        }
        let mut out = String::with_capacity(self.escaped.len());
        let mut chars = self.escaped.chars().peekable();
        while let Some(c) = chars.next() {
            match chars.peek() {
                Some('"' | '\\' | ']') if c == '\\' => out.extend(chars.next()),
                _ => out.push(c), // A backslash before anything else is itself.
            }
        }
        Cow::Owned(out)
    }
}

/// The parameters of structured data, as [`header`] cut it out.
pub(super) fn parameters(structured: &str) -> impl Iterator<Item = Parameter<'_>> {
    let (mut rest, mut id) = (structured, "");
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(' ');
            if let Some(element) = rest.strip_prefix('[') {
                let end = element.find([' ', ']'])?;
                (id, rest) = element.split_at(end);
                continue;
            }
            if let Some(after) = rest.strip_prefix(']') {
                rest = after;
                continue;
            }
            // Some senders write a blank after the `=`.
            let (name, after) = rest.split_once('=')?;
            let value = after.trim_start_matches(' ').strip_prefix('"')?;
            let mut escaped = false;
            let end = value.find(|c| {
                let found = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                found
            })?;
            rest = &value[end + 1..];
            return Some(Parameter { id, name: name.trim(), escaped: &value[..end] });
        }
    })
}

/// `TIMESTAMP HOSTNAME TAG[PID]: CONTENT` (RFC 3164 §4.1), each part absent at times. Without a priority a line is only taken for
/// syslog where it begins with a timestamp.
fn rfc3164(text: &str, priority: Option<u8>) -> Header<'_> {
    let has_priority = priority.is_some();
    let plain = Header { priority, message: text, ..Header::default() };
    // Cisco puts a sequence number, `*` or `.` before the timestamp: `<189>1234: *Apr  1 09:00:00.123: %SYS-5-...`.
    let digits = if has_priority { text.bytes().take_while(u8::is_ascii_digit).count() } else { 0 };
    let lead = text[digits..].strip_prefix(": ").filter(|_| digits > 0).unwrap_or(text);
    // `<189>1234: sw1: Apr  1 09:00:00.123: %SYS-5-...`: with its name, where the device is told to write it (`logging origin-id`).
    if digits > 0
        && let Some((name, rest)) = lead.split_once(": ").filter(|(name, _)| is_host(name))
        && let Some((stamp, rest)) = stamp::bsd(rest.trim_start_matches(['*', '.']))
        && let Some(message) = rest.strip_prefix(": ").filter(|rest| rest.starts_with('%'))
    {
        return Header { stamp: Some(stamp), host: Some(name), message, ..plain };
    }
    let lead = match lead.as_bytes() {
        [b'*' | b'.' | b' ', ..] if has_priority => lead.trim_start_matches(['*', '.', ' ']),
        _ => lead,
    };
    // Where a colon follows, as on NX-OS, there is no host, and the format's reader knows the time.
    let own_form = |text| stamp::header(text).filter(|(_, rest)| rest.starts_with(' '));
    let Some((stamp, rest)) = stamp::bsd(lead).or_else(|| stamp::iso(lead)).or_else(|| own_form(lead)) else {
        if has_priority {
            // `<134>app[1]: text`: no time and no host, but a tag.
            let (app, procid, message) = tag(text);
            return if app.is_some() { Header { app, procid, message, ..plain } } else { plain };
        }
        return plain;
    };
    if !(rest.starts_with(' ') || rest.starts_with(':')) {
        return plain; // `2026-04-01T09:00:00,123 ...` of some program: its time is the decoder's business.
    }
    let header = Header { stamp: Some(stamp), ..plain };
    if let Some(message) = rest.strip_prefix(':') {
        return Header { message: message.trim_start(), ..header }; // Cisco: no host.
    }
    let rest = rest.trim_start();
    // A container's line (Kubernetes, "CRI log format"): `TIME stdout F text`.
    if let Some(message) = container_line(rest).filter(|_| !has_priority) {
        return Header { message, ..header };
    }
    // AIX, passing on what another host sent: `Message forwarded from HOST: sshd[1]: text`.
    if let Some((host, after)) = rest.strip_prefix("Message forwarded from ").and_then(|rest| rest.split_once(": "))
        && is_host(host)
    {
        let (app, procid, message) = tag(after_facility(after));
        return Header { host: Some(host), app, procid, message, ..header };
    }
    let (first, _) = word(rest).unwrap_or((rest, ""));
    // `user.info host app: text`: some write the priority as a word before the host.
    let rest = if first.len() <= PRIORITY_WORD_BYTES_MAX && first.contains('.') { after_facility(rest) } else { rest };
    let (word, after) = word(rest).unwrap_or((rest, ""));
    if let Some(device) = word.strip_suffix(':').filter(|device| after.starts_with('%') && !device.ends_with(']')) {
        return Header { app: Some(device), message: after, ..header }; // Cisco: whatever the device is called.
    }
    if word.starts_with("(\"") && word.ends_with("\")") {
        let (app, procid, message) = tag(after.trim_start()); // UniFi: `("MODEL,MAC,VERSION") hostapd: text`.
        return Header { app, procid, message, ..header };
    }
    let host = (1..=HOST_BYTES_MAX).contains(&word.len()) && run_of(rest.as_bytes(), HOST) == word.len();
    if !host && is_model(word) {
        let (app, procid, message) = tag(after.trim_start());
        return Header { app, procid, message, ..header };
    }
    if word.ends_with(':') || word.starts_with('%') || !host && word.bytes().any(|b| b == b'[') {
        let (app, procid, message) = tag(rest); // No host.
        return Header { app, procid, message, ..header };
    }
    // OpenStack: `2026-04-01 09:00:00.123 25 INFO nova.compute text`.
    let is_process = || word.bytes().all(|b| b.is_ascii_digit()) && after.trim_start().split(' ').next().is_some_and(is_level);
    if !host || !has_priority && (is_level(word) || NO_HOSTS.contains(&word) || is_process()) {
        return Header { message: rest, ..header };
    }
    let after = after_facility(after.trim_start());
    if let Some(message) = after.strip_prefix(": ") {
        return Header { host: Some(word), message, ..header }; // ASA: `host : %ASA-...`.
    }
    if matches!(after.as_bytes(), [b'0'..=b'9', _, _, _, b'-', ..]) && stamp::iso(after).is_some() {
        return Header { host: Some(word), message: after, ..header }; // A relay's: the record goes on with its own time.
    }
    let (app, procid, message) = tag(after);
    Header { host: Some(word), app, procid, message: after_message_id(message), ..header }
}

/// What follows `[ID 800047 auth.notice] `, as Solaris numbers its messages (syslogd(8), msgid(8)).
fn after_message_id(message: &str) -> &str {
    let Some((id, rest)) = message.strip_prefix("[ID ").and_then(|rest| rest.split_once("] ")) else { return message };
    let named = id.split_once(' ').is_some_and(|(number, name)| {
        number.bytes().all(|b| b.is_ascii_digit()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
    });
    if named { rest } else { message }
}

/// Bytes of the longest priority that is written as a word: `authpriv.warning`.
const PRIORITY_WORD_BYTES_MAX: usize = 16;

/// Some gateways write the priority as a word after the host: `user.info kernel: ...`; AIX `auth|security:info sshd[1]: ...`;
/// BIG-IP the severity alone: `notice mcpd[1]: ...`.
fn after_facility(text: &str) -> &str {
    const NAMES: &[&str] =
        &["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"];
    if !matches!(text.as_bytes(), [b'a' | b'c' | b'd' | b'e' | b'f' | b'i' | b'k' | b'l' | b'm' | b'n' | b's' | b'u' | b'w', ..])
    {
        return text;
    }
    // `sshd[12]:` ends it at once.
    let end = text.bytes().take(24).position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'|')));
    let Some(end) = end.filter(|end| text.as_bytes()[*end] == b' ') else { return text };
    let (word, rest) = (&text[..end], &text[end + 1..]);
    let is_severity =
        |word| matches!(word, "emerg" | "alert" | "crit" | "err" | "warning" | "warn" | "notice" | "info" | "debug");
    let Some((facility, severity)) = word.split_once(['.', ':']) else {
        let is_tag = is_severity(word) && rest.as_bytes().get(run_of(rest.as_bytes(), TAG)) == Some(&b'[');
        return if is_tag { rest } else { text };
    };
    let facility = facility.split('|').next().unwrap_or(facility);
    let known = NAMES.contains(&facility) || facility.strip_prefix("local").is_some_and(|n| n.len() == 1);
    if known && is_severity(severity) { rest } else { text }
}

/// Whether what stands around the colon before `behind` is the beginning of a web server's line: `2001:db8::7 - -`, `www.example:443 192.0.2.7 - -`.
fn begins_a_request(text: &str, behind: &str) -> bool {
    let (first, rest) = behind.split_once(' ').unwrap_or((behind, ""));
    let is_port = (1..=5).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_digit());
    let is_address = |word: &str| word.parse::<IpAddr>().is_ok();
    is_port && rest.split(' ').next().is_some_and(is_address)
        || first.contains(':') && is_address(&text[..text.len() - behind.len() + first.len()])
}

/// `name: text`, `name[1]: text`, `name[1] text`, `Two Words[1]: text`; else all is text.
fn tag(text: &str) -> (Option<&str>, Option<&str>, &str) {
    let mut end = run_of(text.as_bytes(), TAG);
    if text.as_bytes().get(end).is_some_and(|b| !b.is_ascii()) {
        end = text.find(|c: char| !(c.is_alphanumeric() || c.is_ascii() && is_of(c as u8, TAG))).unwrap_or(text.len());
    }
    // `(squid-1)[711]: text`: a process of several, or one that is not what it is named after yet.
    if end == 0 && text.starts_with('(') {
        let inner = 1 + run_of(&text.as_bytes()[1..], TAG);
        if inner > 1 && text[inner..].starts_with(")[") {
            end = inner + 1;
        }
    }
    let name = &text[..end];
    let rest = &text[end..];
    // `gdm-password][711]: text`: GNOME's display manager leaves a bracket of its own.
    let rest = rest.strip_prefix(']').filter(|rest| rest.starts_with(['[', ':'])).unwrap_or(rest);
    // `192.0.2.7:40122`, `01490500:5:`: no name.
    if name.is_empty() || name.len() > 64 || name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return (None, None, text);
    }
    if let Some(message) = rest.strip_prefix(':') {
        if matches!(name, "CEF" | "LEEF") {
            return (None, None, text); // The record itself begins so.
        }
        if !message.starts_with(' ') && begins_a_request(text, message) {
            return (None, None, text);
        }
        return (Some(name), None, message.strip_prefix(' ').unwrap_or(message));
    }
    if let Some(rest) = rest.strip_prefix('[')
        && let Some(end) = rest.bytes().take(33).position(|b| b == b']')
        && let (pid, after) = (&rest[..end], &rest[end + 1..])
        && !pid.is_empty()
        && pid.bytes().all(|b| b.is_ascii_graphic())
    {
        let message = after.strip_prefix(':').unwrap_or(after);
        return (Some(name), Some(pid), message.strip_prefix(' ').unwrap_or(message));
    }
    if rest.starts_with(' ') {
        return spaced_tag(text).unwrap_or((None, None, text));
    }
    if rest.starts_with(',')
        && let Some(after) = after_model(text)
    {
        return tag(after);
    }
    (None, None, text)
}

/// UniFi's access points put what they are before the program: `U6-Pro,0a1b2c3d4e5f,U6-Pro-6.5.28+14491: hostapd[2101]: text`.
fn after_model(text: &str) -> Option<&str> {
    let (model, after) = text.split_once(": ").filter(|(model, _)| model.len() <= HOST_BYTES_MAX && !model.contains(' '))?;
    is_model(model).then_some(after)
}

/// Whether the word says what a UniFi access point is: its model and its hardware address, parted by a comma.
fn is_model(word: &str) -> bool {
    let is_mac = |part: &str| part.len() == 12 && part.bytes().all(|b| b.is_ascii_hexdigit());
    word.contains(',') && word.split(',').take(2).any(is_mac)
}

/// `Google Chrome[85294]: text`: macOS names programs as people do.
fn spaced_tag(text: &str) -> Option<(Option<&str>, Option<&str>, &str)> {
    let end = text.bytes().take(65).position(|b| b == b'[')?;
    let (name, rest) = (&text[..end], &text[end + 1..]);
    let (pid, rest) = rest.split_once("]:")?;
    let word = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '(' | ')');
    let good = name.chars().all(word) && !name.ends_with(' ') && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    good.then(|| (Some(name), Some(pid), rest.strip_prefix(' ').unwrap_or(rest)))
}

/// `message repeated 5 times: [ text]` (rsyslog), `last message repeated 5 times` (BSD): what was repeated, and how often.
pub(super) fn repeated(message: &str) -> Option<(&str, u64)> {
    if let Some(rest) = message.strip_prefix("message repeated ") {
        let (times, rest) = rest.split_once(" times: [")?;
        return Some((rest.strip_suffix(']')?.trim(), times.parse().ok()?));
    }
    let times = message.strip_prefix("last message repeated ").or(message.strip_prefix("last message buffered "))?;
    let times = times.strip_suffix(" times").or(times.strip_suffix(" time"))?;
    Some((message, times.parse().ok()?))
}

/// Writes the priority and what it is made of (RFC 5424 §6.2.1).
pub(super) fn write_priority(priority: Option<u8>, row: &mut RowBuilder<'_>) {
    let Some(priority) = priority else { return };
    row.int(FieldId::SYSLOG_PRIORITY, i64::from(priority));
    row.int(FieldId::SYSLOG_FACILITY_CODE, i64::from(priority / 8));
    row.text(FieldId::SYSLOG_FACILITY_NAME, facility_name(priority));
    row.int(FieldId::SYSLOG_SEVERITY_CODE, i64::from(priority % 8));
    row.text(FieldId::SYSLOG_SEVERITY_NAME, severity_name(priority));
}

/// A host's name or address: what stands second in RFC 3164, as far as it can be told from a word of the text.
#[inline]
fn is_host(word: &str) -> bool {
    (1..=HOST_BYTES_MAX).contains(&word.len()) && word.bytes().all(|b| is_of(b, HOST))
}

/// What programs call how grave a record is (RFC 5424 §6.2.1, and the words of logging libraries).
const LEVELS: &[&str] = &[
    "trace",
    "debug",
    "info",
    "information",
    "notice",
    "warn",
    "warning",
    "err",
    "error",
    "crit",
    "critical",
    "alert",
    "emerg",
    "emergency",
    "fatal",
    "severe",
    "panic",
    "verbose",
    // As zerolog and log4net shorten them.
    "trc",
    "dbg",
    "inf",
    "wrn",
    "ftl",
];

/// Whether `word` is a level's name.
pub(super) fn is_level(word: &str) -> bool {
    word.len() <= 11 && LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level))
}

/// Words that stand behind a time where no host does, as programs begin to tell of logins.
const NO_HOSTS: [&str; 8] = ["-", "Failed", "Invalid", "Login", "Unsuccessful", "Authentication", "Unauthorized", "User"];

const FACILITIES: [&str; 24] = [
    "kernel",
    "user-level",
    "mail",
    "system",
    "security/authorization",
    "syslogd",
    "line-printer",
    "network-news",
    "uucp",
    "clock",
    "security/authorization",
    "ftp",
    "ntp",
    "log-audit",
    "log-alert",
    "clock",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];
const SEVERITIES: [&str; 8] = ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"];

/// The facility's name (RFC 5424 §6.2.1, table 1).
pub(super) fn facility_name(priority: u8) -> &'static str {
    FACILITIES[usize::from(priority / 8).min(23)]
}

/// The severity's name (RFC 5424 §6.2.1, table 2).
pub(super) fn severity_name(priority: u8) -> &'static str {
    SEVERITIES[usize::from(priority % 8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_where_another_byte_stands() {
        for class in [HOST, TAG] {
            for byte in 0..=255 {
                for at in [0, 3, 15, 16, 20, 39] {
                    let mut text = [b'a'; 40];
                    text[at] = byte;
                    assert_eq!(run_of(&text, class), if is_of(byte, class) { 40 } else { at }, "{byte} at {at}");
                }
            }
        }
    }

    #[test]
    fn what_kiwi_passes_on_comes_from_the_original_address() {
        for (record, priority, host, message) in [
            ("<134>Original Address=192.0.2.7 Apr  1 09:00:00 web1 app: text", Some(134), Some("web1"), "text"),
            ("<134>Original Address=192.0.2.7 date=2026-04-01 a=b", Some(134), Some("192.0.2.7"), "date=2026-04-01 a=b"),
            ("Original Address=2001:db8::7 <38>1 - web1 app - - - text", Some(38), Some("web1"), "text"),
            ("Original Address=here text", None, None, "Original Address=here text"),
        ] {
            let header = header(record);
            assert_eq!((header.priority, header.host, header.message), (priority, host, message), "{record}");
        }
    }

    #[test]
    fn what_a_relay_passed_on_has_its_own_header() {
        type Own<'a> = (Option<u8>, Option<&'a str>, Option<&'a str>, &'a str);
        let cases: &[(&str, Option<Own<'_>>)] = &[
            (
                "<13>Apr  1 09:00:05 relay Apr  1 09:00:00 web1 sshd[7]: text",
                Some((Some(13), Some("web1"), Some("sshd"), "text")),
            ),
            (
                "<13>Apr  1 09:00:05 relay 2026-04-01T09:00:00Z web1 sshd[7]: text",
                Some((Some(13), Some("web1"), Some("sshd"), "text")),
            ),
            ("<13>1 2026-04-01T00:00:00Z relay - - - - <38>app: text", Some((Some(38), Some("relay"), Some("app"), "text"))),
            ("<13>Apr  1 09:00:05 relay 29 <38>1 - web1 app - - - text", Some((Some(38), Some("web1"), Some("app"), "text"))),
            ("<13>Apr  1 09:00:05 relay Apr  1 09:00:00 asa1 %ASA-1-1: x", Some((Some(13), Some("asa1"), None, "%ASA-1-1: x"))),
            // A program's text, whatever it looks like.
            ("<13>Apr  1 09:00:05 web1 chat[7]: Apr  1 09:00:00 dc1 sshd[1]: text", None),
            ("<13>Apr  1 09:00:05 web1 chat: <38>sshd[1]: text", None),
            ("<13>Apr  1 09:00:05 web1 Apr  1 09:00:00 some words", None),
            ("<13>Apr  1 09:00:05 web1 <200>words", None),
            ("<13>Apr  1 09:00:05 web1 words", None),
        ];
        for (record, expected) in cases {
            let own = passed_on(&header(record));
            assert_eq!(own.map(|own| (own.priority, own.host, own.app, own.message)), *expected, "{record}");
        }
    }

    #[test]
    fn structured_data_is_split_by_its_quotes() {
        type Case = (&'static str, &'static [(&'static str, &'static str, &'static str)]);
        let cases: &[Case] = &[
            ("[a@1 k=\"x][y\" l=\"2\"][b m=\"3\"]", &[("a@1", "k", "x][y"), ("a@1", "l", "2"), ("b", "m", "3")]),
            ("[a k=\"\\\"q\\\" \\] \\\\ \\n\"]", &[("a", "k", "\"q\" ] \\ \\n")]),
            ("[a][b k= \"v\"]", &[("b", "k", "v")]),
            ("[a]", &[]),
        ];
        for (text, expected) in cases {
            let found: Vec<_> = parameters(text).map(|p| (p.id, p.name, p.value().into_owned())).collect();
            let found: Vec<_> = found.iter().map(|(id, name, value)| (*id, *name, value.as_str())).collect();
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn headers_are_read() {
        // record, host, app, procid, message, whether there is a time
        type Case = (&'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>, &'static str, bool);
        let cases: &[Case] = &[
            ("<34>Oct 11 22:14:15 mymachine su: 'su root' failed", Some("mymachine"), Some("su"), None, "'su root' failed", true),
            ("<38>Apr  1 09:00:00 srv sshd[12]: x", Some("srv"), Some("sshd"), Some("12"), "x", true),
            ("<34>1 2003-10-11T22:14:15.003Z h app 7 ID47 - \u{feff}text", Some("h"), Some("app"), Some("7"), "text", true),
            ("<165>1 2003-10-11T22:14:15.003Z h app - - [a@1 k=\"]\\\"\"][b] text", Some("h"), Some("app"), None, "text", true),
            ("<165>1 - - - - - -", None, None, None, "", false),
            (
                "<189>date=2026-04-01 time=09:00:00 devname=\"fw\"",
                None,
                None,
                None,
                "date=2026-04-01 time=09:00:00 devname=\"fw\"",
                false,
            ),
            (
                "<166>Apr 01 2026 09:00:00 fw-edge : %ASA-6-302013: Built",
                Some("fw-edge"),
                None,
                None,
                "%ASA-6-302013: Built",
                true,
            ),
            ("<166>Apr 01 2026 09:00:00: %ASA-6-302013: Built", None, None, None, "%ASA-6-302013: Built", true),
            ("<189>1234: *Apr  1 09:00:00.123: %SYS-5-CONFIG_I: x", None, None, None, "%SYS-5-CONFIG_I: x", true),
            ("Apr  1 09:00:00 srv kernel: [1.0] IN=eth0", Some("srv"), Some("kernel"), None, "[1.0] IN=eth0", true),
            ("2026-04-01T09:00:00+09:00 srv named[9]: q", Some("srv"), Some("named"), Some("9"), "q", true),
            ("<38>Apr  1 09:00:00 srv auth|security:info sshd[7]: x", Some("srv"), Some("sshd"), Some("7"), "x", true),
            ("<38>Apr  1 09:00:00 srv daemon:evil app: x", Some("srv"), Some("daemon"), None, "evil app: x", true),
            ("<38>Apr  1 09:00:00 Message forwarded from srv: su: x", Some("srv"), Some("su"), None, "x", true),
            ("<13>app: hello", None, Some("app"), None, "hello", false),
            ("\u{feff}<38>Apr  1 09:00:00 srv sshd[12]: x", Some("srv"), Some("sshd"), Some("12"), "x", true),
            ("41 <38>Apr  1 09:00:00 srv sshd[12]: x", Some("srv"), Some("sshd"), Some("12"), "x", true),
            ("<189>2026 Apr  1 09:00:00 sw1 app: x", Some("sw1"), Some("app"), None, "x", true),
            ("<38>Wed Apr  1 09:00:00 2026 srv sshd[12]: x", Some("srv"), Some("sshd"), Some("12"), "x", true),
            ("<38>Apr  1 2026 09:00:00.123 JST srv app: x", Some("srv"), Some("app"), None, "x", true),
            ("<38>2026-04-01T09:00:00+0400 srv app: x", Some("srv"), Some("app"), None, "x", true),
            ("<38>1 2026-04-01T09:00:00.123 srv app 7 - - x", Some("srv"), Some("app"), Some("7"), "x", true),
            ("<38>1 2026-04-01T09:00:00.123456+09:00 - - - - [a k=\"v\"]", None, None, None, "", true),
            ("<134> id=firewall sn=1", None, None, None, " id=firewall sn=1", false),
            ("<30>device=\"SFW\" date=2026-04-01", None, None, None, "device=\"SFW\" date=2026-04-01", false),
            ("<13>CEF:0|a|b|1|2|c|3|src=192.0.2.1", None, None, None, "CEF:0|a|b|1|2|c|3|src=192.0.2.1", false),
            ("Apr  1 09:00:00 2001:db8::7 app[1]: x", Some("2001:db8::7"), Some("app"), Some("1"), "x", true),
            ("Apr  1 09:00:00 pc gdm-password][12]: x", Some("pc"), Some("gdm-password"), Some("12"), "x", true),
            ("Apr  1 09:00:00 mac Two Words[12]: x", Some("mac"), Some("Two Words"), Some("12"), "x", true),
            ("Apr  1 09:00:00 gw user.info kernel: x", Some("gw"), Some("kernel"), None, "x", true),
            ("<191>999 - h a - m - x", Some("h"), Some("a"), None, "x", false),
            ("just words", None, None, None, "just words", false),
            ("<999>x", None, None, None, "<999>x", false),
            ("52 <34>1 2003-10-11T22:14:15.003Z h app - - - text", Some("h"), Some("app"), None, "text", true),
            ("52 <x>", None, None, None, "52 <x>", false),
            ("", None, None, None, "", false),
        ];
        for (record, host, app, procid, message, has_time) in cases {
            let h = header(record);
            assert_eq!(
                (h.host, h.app, h.procid, h.message, h.stamp.is_some()),
                (*host, *app, *procid, *message, *has_time),
                "{record}"
            );
        }
    }
}
