//! What the free text of an unknown program says plainly: who, from where, and whether it failed.
//!
//! Programs that nobody described write of logins in much the same words. Only what cannot well mean anything else is taken, since whoever
//! logs in chooses the name that stands in the text: an address counts where it is the only one, or where two stand as `from A to B` or
//! `A -> B`, so that a name which brings an address of its own makes the record say nothing rather than something false. What was found so
//! is marked by `guessed` in `mihari.flags`.

use std::net::{IpAddr, SocketAddr};

use event::{FieldId, RowBuilder};

use crate::decode::stamp::{self, Stamp};
use crate::decode::syslog::is_level;

/// Bytes of a text that are looked at: what matters stands early, and records may be large.
const TEXT_BYTES_MAX: usize = 2048;

/// Words before the address of whoever did something.
const BEFORE_ADDRESS: &[&str] = &[
    "from",
    "by",
    "ip",
    "ips",
    "client",
    "remote",
    "address",
    "addr",
    "host",
    "rhost",
    "peer",
    "source",
    "src",
    "srcip",
    "for",
    "attacker",
    "remote_addr",
    "remoteaddr",
    "client_ip",
    "clientip",
    "remote_ip",
    "ip_address",
    "ipaddress",
    "src_ip",
    "connection",
    "host-ip",
    "x-forwarded-for",
    "origin",
    "visitor",
    "user-ip",
    "remotehost",
    "neighbor",
    "nbr",
];

/// Words before an address that is not theirs who did something: not even a login's only address counts there.
const BEFORE_ANOTHER: &[&str] =
    &["to", "server", "destination", "dst", "dest", "local", "at", "on", "via", "proxy", "against", "listening", "with"];

/// Words between two addresses of which the first spoke to the second.
const BETWEEN: &[&str] = &["to", "->", "-->", "=>", "==>"];

/// Words before a name.
const BEFORE_NAME: &[&str] =
    &["user", "username", "user-name", "user_name", "account", "login", "name", "admin", "loginname", "usr"];

/// Words that stand where a name might, and are none.
const NO_NAME: &[&str] = &[
    "a",
    "account",
    "added",
    "agent",
    "and",
    "as",
    "at",
    "attempt",
    "authenticated",
    "authentication",
    "by",
    "cannot",
    "connected",
    "could",
    "created",
    "credentials",
    "database",
    "deleted",
    "denied",
    "disabled",
    "disconnected",
    "does",
    "entry",
    "error",
    "exec",
    "failed",
    "failure",
    "for",
    "from",
    "group",
    "had",
    "has",
    "id",
    "in",
    "incorrect",
    "information",
    "input",
    "interface",
    "invalid",
    "ip",
    "is",
    "locked",
    "logged",
    "login",
    "logon",
    "logout",
    "mapping",
    "name",
    "names",
    "not",
    "of",
    "on",
    "or",
    "page",
    "password",
    "profile",
    "rejected",
    "request",
    "requested",
    "session",
    "successful",
    "successfully",
    "succeeded",
    "tried",
    "to",
    "unknown",
    "user",
    "username",
    "using",
    "via",
    "was",
    "were",
    "with",
    "without",
];

const LOGIN: &[&str] =
    &["login", "log in", "logged in", "logon", "sign in", "signed in", "auth", "password", "credential", "2fa", "otp", "token"];
const FAILED: &[&str] = &[
    "fail",
    "invalid",
    "incorrect",
    "denied",
    "reject",
    "unsuccessful",
    "wrong",
    "bad password",
    "bad credential",
    "locked out",
    "not allowed",
    "unauthorized",
    "unauthorised",
    "refused",
    "unknown user",
    "not found",
    "do not match",
    "does not match",
    "mismatch",
];
const WENT_WELL: &[&str] = &["succe", "accepted", "logged in", "authenticated", "signed in", "granted"];

/// Words of a line's beginning among which its level stands.
const LEVEL_WITHIN: usize = 4;

/// How a program's own log begins: the time, and how grave it is.
pub(in crate::decode) fn beginning(text: &str) -> Option<(Stamp, Option<&str>)> {
    let bare = text.trim_start_matches(['[', '(', '"']);
    let (stamp, rest) = stamp::any(bare)?;
    let level = words(&rest[..rest.floor_char_boundary(128)])
        .take(LEVEL_WITHIN)
        .map(|(_, word)| word.trim_matches(['[', ']', ':', '-', '*']));
    Some((stamp, level.into_iter().find(|word| is_level(word))))
}

/// Writes what `text` says.
pub(in crate::decode) fn guess(text: &str, row: &mut RowBuilder<'_>) {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    if contains(text, "CEF:") || contains(text, "LEEF:") {
        return; // It has a form, and is broken or carried by a text: what its values say is not what the text says.
    }
    let says = |words: &[&str]| words.iter().any(|word| contains(text, word));
    let login = says(LOGIN);
    let found = ends(text, login, row) | name(text, login, row);
    if !found {
        return;
    }
    row.text(FieldId::FLAGS, "guessed");
    if row.get(FieldId::EVENT_OUTCOME).is_none() && login {
        let outcome = if says(FAILED) {
            "failure"
        } else if says(WENT_WELL) {
            "success"
        } else {
            return;
        };
        row.text(FieldId::EVENT_CATEGORY, "authentication");
        row.text(FieldId::EVENT_OUTCOME, outcome);
    }
}

/// Whether `text` holds `word`, in any case of ASCII letters.
pub(super) fn contains(text: &str, word: &str) -> bool {
    let first = word.as_bytes()[0];
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), text.as_bytes())
        .any(|at| text.as_bytes()[at..].get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes())))
}

/// The words of a text, each with where it begins. What opens or closes a word is not part of it.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let divides =
        |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '"' | '\'' | '=' | '<' | '>' | '{' | '}' | '|' | '`');
    text.split(divides).filter_map(move |word| {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        (!word.is_empty()).then_some((at, word))
    })
}

/// An address, alone or with its port.
fn address(word: &str) -> Option<(IpAddr, Option<u16>)> {
    if !word.contains(['.', ':']) {
        return None;
    }
    let bare = word.trim_end_matches(['.', ':', ']']).trim_start_matches(['[', '/', '@']);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some((ip.to_canonical(), None));
    }
    let socket = word.trim_end_matches(['.', ':']).trim_start_matches(['/', '@']);
    // `[192.0.2.7:40122]`
    let whole = socket.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).filter(|inner| !inner.contains(['[', ']']));
    if let Some(Ok(socket)) = whole.map(str::parse::<SocketAddr>) {
        return Some((socket.ip().to_canonical(), Some(socket.port())));
    }
    if let Ok(socket) = socket.parse::<SocketAddr>() {
        return Some((socket.ip().to_canonical(), Some(socket.port())));
    }
    // `[192.0.2.7]:40122`
    let (ip, port) = socket.strip_prefix('[')?.split_once("]:")?;
    Some((ip.parse().ok()?, Some(port.parse().ok()?)))
}

/// The port in brackets behind an address: `192.0.2.7(40122)`.
fn port_in_brackets(rest: &str) -> Option<u16> {
    rest.strip_prefix(['(', '['])?.split_once([')', ']'])?.0.parse().ok()
}

/// Who spoke to whom. Of a `login`, the only address is whose it is, whatever stands before it.
fn ends(text: &str, login: bool, row: &mut RowBuilder<'_>) -> bool {
    if row.get(FieldId::SOURCE_IP).is_some() {
        return false;
    }
    let mut before = "";
    let mut first: Option<(IpAddr, Option<u16>, bool)> = None;
    let mut second: Option<(IpAddr, Option<u16>)> = None;
    let (mut end, mut between, mut port) = (0, "", None);
    for (at, word) in words(text) {
        if let Some((ip, own_port)) = address(word) {
            let own_port = own_port.or_else(|| port_in_brackets(&text[at + word.len()..]));
            match (first, second) {
                (None, _) => {
                    let lead = before.trim_end_matches([':', ']', '[']).trim_start_matches('[');
                    let one_of = |words: &[&str]| words.iter().any(|known| lead.eq_ignore_ascii_case(known));
                    let led = one_of(BEFORE_ADDRESS) || (login && !one_of(BEFORE_ANOTHER));
                    first = Some((ip, own_port, led));
                    end = at + word.len();
                }
                (Some((one, ..)), None) if one != ip => {
                    second = Some((ip, own_port));
                    between = text[end..at].trim_matches(|c: char| c.is_ascii_digit() || " ()[],".contains(c));
                }
                (Some((one, ..)), other) if one != ip && other.is_none_or(|(two, _)| two != ip) => return false,
                _ => {}
            }
        } else if before.eq_ignore_ascii_case("port") && port.is_none() && first.is_some() && second.is_none() {
            port = word.trim_end_matches(['.', ':', ']']).parse::<u16>().ok();
        }
        before = word;
    }
    let Some((ip, own_port, led)) = first else { return false };
    match second {
        None if led => {}
        Some((to, to_port)) if BETWEEN.contains(&between) => {
            row.ip(FieldId::DESTINATION_IP, to);
            if let Some(port) = to_port {
                row.int(FieldId::DESTINATION_PORT, i64::from(port));
            }
        }
        _ => return false,
    }
    row.ip(FieldId::SOURCE_IP, ip);
    if let Some(port) = own_port.or(port) {
        row.int(FieldId::SOURCE_PORT, i64::from(port));
    }
    true
}

/// `user "NAME"`, `user: NAME`, `user NAME`; of a `login` also the one word of `for NAME from`, `by NAME from`.
fn name(text: &str, login: bool, row: &mut RowBuilder<'_>) -> bool {
    if row.get(FieldId::USER_NAME).is_some() {
        return false;
    }
    if named(text, row) {
        return true;
    }
    let mut last = ["", ""];
    for (_, word) in words(text).filter(|_| login) {
        let led = ["for", "by"].iter().any(|known| last[0].eq_ignore_ascii_case(known));
        let found = last[1].trim_matches(['[', ']', ':', '.']);
        if led
            && (matches!(word, "from" | "via" | "through" | "by" | "using" | "on") || address(word).is_some())
            && !found.is_empty()
            && !NO_NAME.iter().any(|no| found.eq_ignore_ascii_case(no))
            && address(found).is_none()
        {
            row.text(FieldId::USER_NAME, found);
            return true;
        }
        last = [last[1], word];
    }
    false
}

fn named(text: &str, row: &mut RowBuilder<'_>) -> bool {
    for (at, word) in words(text) {
        let key = word.trim_end_matches(':').trim_start_matches('[');
        if !BEFORE_NAME.iter().any(|known| key.eq_ignore_ascii_case(known)) {
            continue;
        }
        let rest = text[at + word.len()..].trim_start_matches([' ', ':', '=', '[']);
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`' | '<'));
        let found = match quote {
            Some(quote) => {
                let close = if quote == '<' { '>' } else { quote };
                rest[1..].find(close).map(|end| &rest[1..=end])
            }
            None => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')' | ']' | '"' | '\'' | '('))
                    .unwrap_or(rest.len());
                Some(rest[..end].trim_end_matches(['.', ':', '!', ']']))
            }
        };
        let Some(found) = found.filter(|found| !found.is_empty() && *found != "-" && found.len() <= 256) else { continue };
        let plain = quote.is_some() || word.ends_with(':') || text[at + word.len()..].starts_with('=');
        let led_again = word.ends_with(':') && BEFORE_NAME.iter().any(|known| found.eq_ignore_ascii_case(known));
        let none = led_again
            || !plain
                && (!contains(key, "user")
                    || NO_NAME.iter().any(|no| found.eq_ignore_ascii_case(no))
                    || found.contains(['=', '/']));
        if none || address(found).is_some() || found.bytes().all(|b| b.is_ascii_punctuation()) {
            continue;
        }
        row.text(FieldId::USER_NAME, found);
        return true;
    }
    false
}
