//! What the free text of an unknown program says plainly: who, from where, and whether it failed.
//!
//! Programs that nobody described write of logins in much the same words. Only what cannot well mean anything else is taken, since whoever
//! logs in chooses the name that stands in the text: an address counts where it is the only one, or where two stand as `from A to B` or
//! `A -> B`, so that a name which brings an address of its own makes the record say nothing rather than something false. What was found so
//! is marked by `guessed` in `mihari.flags`.

mod address;
mod name;
mod request;

use std::net::IpAddr;
use std::sync::LazyLock;

use event::{FieldId, RowBuilder};

use crate::decode::stamp::{self, Stamp};
use crate::decode::syslog::is_level;
use address::{address, port_behind_comma, port_in_brackets, with_low_port};
use name::{name, of_address};
use request::{asks, request, requests};
pub(super) use request::{is_method, is_request, is_target};

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
    "af_inet",
    "af_inet6",
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
    "accepted",
    "user-ip",
    "remotehost",
    "remoteip",
    "clientaddress",
    "neighbor",
    "nbr",
    "接続元",
    "送信元",
    "アドレス",
    "ipアドレス",
    "クライアント",
];

/// Words before an address that is not theirs who did something: not even a login's only address counts there.
const BEFORE_ANOTHER: &[&str] =
    &["to", "server", "destination", "dst", "dest", "local", "at", "on", "via", "proxy", "against", "listening", "with"];

/// Words before the address of whoever began it, where the other's has one of [`BEFORE_TARGET`] before it.
const BEFORE_SOURCE: &[&str] = &[
    "from",
    "source",
    "src",
    "srcip",
    "src_ip",
    "src-ip",
    "source_ip",
    "saddr",
    "sip",
    "client",
    "client_ip",
    "clientip",
    "remote",
    "remoteip",
    "remote_ip",
    "remoteaddr",
    "remote_addr",
    "rhost",
    "remotehost",
    "clientaddress",
    "peer",
    "initiator",
    "attacker",
    "origin",
    "送信元",
    "接続元",
];

/// Words before the address of whoever was spoken to.
const BEFORE_TARGET: &[&str] = &[
    "to",
    "destination",
    "dst",
    "dest",
    "dstip",
    "dst_ip",
    "dst-ip",
    "dest_ip",
    "destination_ip",
    "daddr",
    "dip",
    "server",
    "target",
    "responder",
    "victim",
    "宛先",
    "接続先",
];

/// Words before the address of whoever wrote the record, where the other's has one of [`BEFORE_SOURCE`] before it.
const BEFORE_OWN: &[&str] = &["host", "local", "listening", "listener", "bound", "node"];

/// Words between two addresses of which the first spoke to the second.
const BETWEEN: &[&str] = &["to", ">", "->", "-->", "=>", "==>", "→"];

/// Words before a hardware address that is not theirs who did something.
const BEFORE_OWN_MAC: &[&str] = &["ap", "bssid", "interface", "to", "server", "on", "with"];

/// Protocols that stand beside two ends.
const TRANSPORTS: &[&str] = &["tcp", "udp", "icmp", "icmpv6", "ipv6-icmp", "gre", "esp", "igmp", "sctp"];

/// What is done with traffic, as it stands before two ends.
const VERDICTS: &[(&str, &str)] = &[
    ("deny", "denied"),
    ("denied", "denied"),
    ("block", "denied"),
    ("blocked", "denied"),
    ("drop", "denied"),
    ("dropped", "denied"),
    ("reject", "denied"),
    ("rejected", "denied"),
    ("discard", "denied"),
    ("discarded", "denied"),
    ("permit", "allowed"),
    ("permitted", "allowed"),
    ("pass", "allowed"),
    ("passed", "allowed"),
    ("accept", "allowed"),
    ("accepted", "allowed"),
    ("allow", "allowed"),
    ("allowed", "allowed"),
];

const LOGIN: &[&str] = &[
    "login",
    "log in",
    "log on",
    "log-in",
    "logged in",
    "logged on",
    "logged out",
    "logged off",
    "logon",
    "logout",
    "ssh ",
    "access attempt",
    "telnet",
    "sign in",
    "sign on",
    "sign-in",
    "signed in",
    "auth",
    "password",
    "credential",
    "2fa",
    "otp",
    "token",
    "ログイン",
    "ログオン",
    "サインイン",
    "認証",
    "anmeld",
    "connexion",
];
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
    "authentication error",
    "auth error",
    "login error",
    "login_error",
    "not authenticate",
    "not be authenticated",
    "unable to log",
    "cannot log",
    "could not log",
    "認証エラー",
    "認証ng",
    "ログインng",
    "ログインエラー",
    "not authorized",
    "not authorised",
    "not accepted",
    "no such user",
    "too many",
    "limit reached",
    "to authenticate",
    "失敗",
    "拒否",
    "誤り",
    "できません",
    "fehlgeschlagen",
    "échou",
    "échec",
];
const WENT_WELL: &[&str] = &[
    "succe",
    "accepted",
    "logged in",
    "logged on",
    "authenticated",
    "signed in",
    "granted",
    "authorized login",
    "authorised login",
    " passed",
    "しました",
    "成功",
];

/// Words that are looked for anywhere in a text: by their first byte in small letters, which second ones there are, a bit for each that some
/// bytes share, and the words.
struct Anywhere(Vec<(u32, Vec<&'static str>)>);

/// Those of a login, that it failed, that it went well.
static SAID: LazyLock<[Anywhere; 3]> = LazyLock::new(|| [LOGIN, FAILED, WENT_WELL].map(Anywhere::new));

impl Anywhere {
    fn new(words: &[&'static str]) -> Anywhere {
        let mut lists = vec![(0, Vec::new()); 256];
        for word in words {
            let (second, list) = &mut lists[usize::from(word.as_bytes()[0])];
            *second |= Anywhere::bit(word.as_bytes()[1]);
            list.push(*word);
        }
        Anywhere(lists)
    }

    /// The bit of a word's second byte, which both cases of a letter share.
    fn bit(second: u8) -> u32 {
        1 << (second % 32)
    }

    /// Whether one of them stands in `text`, in any case of ASCII letters.
    fn stand_in(&self, text: &str) -> bool {
        text.as_bytes().windows(2).enumerate().any(|(at, pair)| {
            let (second, list) = &self.0[usize::from(pair[0].to_ascii_lowercase())];
            let begins = |word: &str| {
                let part = text.as_bytes()[at..].get(..word.len());
                part.is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
            };
            second & Anywhere::bit(pair[1]) != 0 && list.iter().any(|word| begins(word))
        })
    }
}

/// What stands between the columns of a table.
const COLUMN_DIVIDERS: [char; 5] = [',', '|', ';', '\t', '`'];

/// Dividers that a text has at least which is a row of a table.
const TABLE_DIVIDERS_MIN: usize = 3;

/// The first port that systems give to clients (Linux, `ip_local_port_range`): a server does not listen there.
const EPHEMERAL_PORT_MIN: u16 = 32_768;

/// Words of a line's beginning among which its level stands; in capital letters it may stand further behind.
const LEVEL_WITHIN: usize = 4;
const CAPITAL_LEVEL_WITHIN: usize = 8;

/// How a program's own log begins: the time, and how grave it is.
pub(in crate::decode) fn beginning(text: &str) -> Option<(Stamp, Option<&str>)> {
    if let Some((level, stamp, _)) = stamp::klog(text) {
        let level = match level {
            b'I' => "info",
            b'W' => "warning",
            b'E' => "error",
            _ => "fatal",
        };
        return Some((stamp, Some(level)));
    }
    let text = text.split_at_checked(3).filter(|(letter, _)| letter.ends_with(", ")).map_or(text, |(_, rest)| rest); // Ruby: `I, [`
    let bare = text.trim_start_matches(['[', '(', '"']);
    if let Some((stamp, rest)) = stamp::any(bare) {
        return Some((stamp, level(rest)));
    }
    // `WARNING 2026-04-01 09:00:00`, `[INFO] [2026-04-01 09:00:00]`
    let first = bare.split([' ', ']', ':']).next().filter(|word| is_level(word))?;
    let (stamp, _) = stamp::any(bare[first.len()..].trim_start_matches([' ', ']', ':', '-', '[']))?;
    Some((stamp, Some(first)))
}

/// How grave the text says at its beginning that it is.
pub(in crate::decode) fn level(text: &str) -> Option<&str> {
    let text = &text[..text.floor_char_boundary(128)];
    words(text).take(CAPITAL_LEVEL_WITHIN).enumerate().find_map(|(nth, (at, word))| {
        // ClickHouse: `<Error>`
        let in_angles = text[..at].ends_with('<') && text[at + word.len()..].starts_with('>');
        let bare = word.trim_matches(['[', ']', ':', '-', '*']);
        let bare = bare.split(['[', ']', ':']).find(|part| is_level(part)).unwrap_or(bare); // `[12][auth][WARNING]`, `::WARNING::`
        let bare = bare.rsplit('.').next().filter(|part| part.bytes().all(|b| b.is_ascii_uppercase())).unwrap_or(bare); // `app.WARNING`
        (is_level(bare) && (nth < LEVEL_WITHIN || in_angles || bare.bytes().all(|b| b.is_ascii_uppercase()))).then_some(bare)
    })
}

/// Writes what `text` says.
pub(in crate::decode) fn guess(text: &str, row: &mut RowBuilder<'_>) {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    if contains(text, "CEF:") || contains(text, "LEEF:") {
        return; // It has a form, and is broken or carried by a text: what its values say is not what the text says.
    }
    let login = SAID[0].stand_in(text);
    let found = ends(text, login, row) | name(text, login, row) | hardware(text, row);
    if !found {
        return;
    }
    request(text, row);
    row.text(FieldId::FLAGS, "guessed");
    if login {
        write_outcome(text, row);
    }
}

/// Writes whether the login went well that `text` tells of, where something else has told whose it is.
pub(super) fn outcome(text: &str, row: &mut RowBuilder<'_>) {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    if !row.has(FieldId::EVENT_OUTCOME) && SAID[0].stand_in(text) && write_outcome(text, row) {
        row.text(FieldId::FLAGS, "guessed");
    }
}

fn write_outcome(text: &str, row: &mut RowBuilder<'_>) -> bool {
    if row.has(FieldId::EVENT_OUTCOME) {
        return false;
    }
    let Some(outcome) = went(text) else { return false };
    row.text(FieldId::EVENT_CATEGORY, "authentication");
    row.text(FieldId::EVENT_OUTCOME, outcome);
    true
}

/// Whether what `text` tells of went well, where it says that.
fn went(text: &str) -> Option<&'static str> {
    let [_, failures, successes] = &*SAID;
    match failures.stand_in(text) {
        true => Some("failure"),
        false => successes.stand_in(text).then_some("success"),
    }
}

/// The same of a login's name: `user_login_failed`.
pub(super) fn outcome_of_login(action: &str) -> Option<&'static str> {
    SAID[0].stand_in(action).then(|| went(action))?
}

/// Whether `text` holds `word`, in any case of ASCII letters.
pub(super) fn contains(text: &str, word: &str) -> bool {
    let first = word.as_bytes()[0];
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), text.as_bytes())
        .any(|at| text.as_bytes()[at..].get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes())))
}

/// Whether it is one of some words, in any case of ASCII letters.
fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Which bytes of ASCII stand between words.
const DIVIDERS: [bool; 128] = {
    let mut table = [false; 128];
    let dividers = b" \t\n\x0b\x0c\r,;()\"'=<>{}|`";
    let mut at = 0;
    while at < dividers.len() {
        table[dividers[at] as usize] = true;
        at += 1;
    }
    table
};

#[inline]
fn divides(c: char) -> bool {
    match DIVIDERS.get(c as usize) {
        Some(divides) => *divides,
        None => {
            c.is_whitespace()
                || matches!(c, '「' | '」' | '『' | '』' | '【' | '】' | '、' | '。' | '\u{ff08}' | '\u{ff09}' | '\u{ff1a}')
        }
    }
}

/// Whether a word is of ASCII letters and digits alone, as most are: no mark parts it, and it is no address.
fn is_plain(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The words of a text, each with where it begins. What opens or closes a word is not part of it.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(divides).filter_map(move |word| {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        (!word.is_empty()).then_some((at, word))
    })
}

/// An address of a text.
#[derive(Clone, Copy)]
struct End<'t> {
    ip: IpAddr,
    port: Option<u16>,
    /// The word before it, without marks.
    lead: &'t str,
    /// Its name, where it stands in brackets behind that: `from pc7.city.test [192.0.2.7]`.
    name: &'t str,
    /// Where it begins and where the text goes on behind it.
    at: usize,
    behind: usize,
}

/// Who spoke to whom. Of a `login`, the only address is whose it is, whatever stands before it.
fn ends(text: &str, login: bool, row: &mut RowBuilder<'_>) -> bool {
    if row.has(FieldId::SOURCE_IP) {
        return false;
    }
    let (mut earlier, mut before, mut owner) = ("", "", "");
    let mut found: [Option<End<'_>>; 2] = [None, None];
    let mut last = 0;
    let mut named: [Option<u16>; 2] = [None, None];
    for (mut at, mut word) in words(text) {
        if !is_plain(word) {
            // `192.0.2.7:40122->192.0.2.9:445`
            word = word.strip_suffix('-').filter(|bare| text[at + bare.len()..].starts_with("->")).unwrap_or(word);
            // `192.0.2.7:40122][TCP]`
            word = word.split_once("][").map(|(first, _)| first).filter(|first| address(first).is_some()).unwrap_or(word);
            // `IP:192.0.2.7`, `src-port:40122`
            let led = word.split_once(':').or_else(|| word.strip_suffix(']')?.split_once('[')); // ..., `ClientIP[192.0.2.7]`
            let led = led.filter(|(lead, rest)| !rest.is_empty() && (is_one_of(lead, BEFORE_ADDRESS) || is_lead(lead)));
            // `user taro@192.0.2.7`, `(taro@192.0.2.7)` at the beginning, of a login also elsewhere
            let of_name = word.split_once('@').filter(|(name, rest)| {
                let led = is_one_of(before, &["user", "for", "login"])
                    || at <= 1 && of_address(text).is_some()
                    || login && name::of_whom(name, before).is_some();
                !name.is_empty() && led && address(rest).is_some()
            });
            if let Some((lead, rest)) = led.or(of_name) {
                before = if of_name.is_some() { "from" } else { lead };
                word = rest;
                at += lead.len() + 1;
            }
        }
        // `192.0.2.7/40122 -> 192.0.2.9/23`
        let as_first = || found[0].filter(|one| one.port.is_some()).and_then(|_| with_low_port(word));
        if let Some((ip, port)) = address(word).or_else(as_first) {
            let behind = at + word.len();
            let port = port.or_else(|| port_in_brackets(&text[behind..]));
            // `from taro@pc7 (192.0.2.7)`, `from pc7.city.test [192.0.2.7]`
            let bracket = text[..at].ends_with(['(', '[']) || text[at..].starts_with('[');
            let bracket = bracket && is_one_of(earlier, BEFORE_SOURCE);
            let in_brackets = bracket && (text[..at].ends_with('(') || is_host_name(before));
            // `CLIENT IP ADDRESS: 192.0.2.7`
            let owned = is_one_of(before.trim_end_matches(':'), &["ip", "address", "addr", "ipaddress"])
                && (is_one_of(owner, BEFORE_SOURCE) || is_one_of(owner, BEFORE_TARGET));
            // `connection to host 192.0.2.9`
            let of_host = before.eq_ignore_ascii_case("host") && is_one_of(earlier, BEFORE_TARGET);
            let lead = if in_brackets || of_host {
                earlier
            } else if owned {
                owner
            } else {
                before
            };
            let lead = lead.trim_end_matches([':', ']', '[']).trim_start_matches('[');
            let name = if in_brackets && is_host_name(before) { before } else { "" };
            let end = End { ip, port, lead, name, at, behind };
            match found {
                [None, _] => found[0] = Some(end),
                [Some(one), None] if one.ip != ip => {
                    found[1] = Some(end);
                    last = 1;
                }
                // `[192.0.2.7] ..,192.0.2.7,40122,192.0.2.9,80`: the table has its port.
                [Some(one), None] if one.port.is_none() && !is_one_of(one.lead, BEFORE_SOURCE) && fills_column(text, &end) => {
                    found[0] = Some(end);
                }
                [Some(one), Some(two)] if one.ip != ip && two.ip != ip => return four_columns(text, row),
                _ => {}
            }
        } else if let Some(port) = word.trim_end_matches(['.', ':', ']']).parse::<u16>().ok().filter(|port| *port > 0) {
            let whose = match port_of(before) {
                // `Src Port: 40122`
                Some(Whose::Last) if is_one_of(owner, BEFORE_SOURCE) => Some(Whose::Source),
                Some(Whose::Last) if is_one_of(owner, BEFORE_TARGET) => Some(Whose::Destination),
                whose => whose,
            };
            match whose {
                Some(Whose::Last) => {
                    if let Some(end) = &mut found[last] {
                        end.port = end.port.or(Some(port));
                    }
                }
                Some(Whose::Source) => named[0] = named[0].or(Some(port)),
                Some(Whose::Destination) => named[1] = named[1].or(Some(port)),
                None => {}
            }
        }
        if !is_one_of(before.trim_end_matches(':'), &["ip", "address", "addr"]) {
            owner = before;
        }
        (earlier, before) = (before, word);
    }
    let [Some(mut one), two] = found else { return false };
    if let Some(mut two) = two {
        let source = |end: &End<'_>| is_one_of(end.lead, BEFORE_SOURCE);
        let target = |end: &End<'_>| is_one_of(end.lead, BEFORE_TARGET);
        let between = without_brackets(&text[one.behind..two.at]);
        let bare = between.trim_matches(|c: char| c.is_ascii_digit() || " ()[],".contains(c));
        if target(&one) && source(&two) {
            std::mem::swap(&mut one, &mut two);
        } else if is_one_of(one.lead, BEFORE_OWN) && source(&two) {
            row.ip(FieldId::SOURCE_IP, two.ip);
            if let Some(port) = two.port {
                row.int(FieldId::SOURCE_PORT, i64::from(port));
            }
            return true;
        } else if bare.is_empty() && text[one.at..].starts_with('[') && text[..two.behind].ends_with(']') {
            // `from [CLIENT, PROXY]`
            row.ip(FieldId::SOURCE_IP, one.ip);
            return true;
        } else if let Some(columns) = columns(text, &one, &two).or_else(|| in_blanks(text, &one, &two)) {
            (one.port, two.port) = (one.port.or(columns[0]), two.port.or(columns[1]));
        } else {
            let beside = bare.is_empty() && one.port.is_some() && two.port.is_some(); // `192.0.2.7:40122 192.0.2.9:445`
            let led = BETWEEN.contains(&bare) || source(&one) && target(&two);
            if bare == "->" {
                one.port = one.port.or(port_behind_comma(&text[one.behind..]));
                two.port = two.port.or(port_behind_comma(&text[two.behind..]));
            }
            if !(led || beside || fills_column(text, &one) && fills_column(text, &two)) {
                return false;
            }
        }
        traffic(text, row);
        row.ip(FieldId::DESTINATION_IP, two.ip);
        if let Some(port) = two.port.or(named[1]) {
            row.int(FieldId::DESTINATION_PORT, i64::from(port));
        }
    } else {
        // `Listening on host 192.0.2.9`: the program's own, but not where a listener tells `from 192.0.2.7`.
        if one.ip.is_unspecified() || contains(text, "listen") && !is_one_of(one.lead, BEFORE_SOURCE) {
            return false;
        }
        let led = is_one_of(one.lead, BEFORE_ADDRESS) || login && !is_one_of(one.lead, BEFORE_ANOTHER);
        let peer = text[one.at..].starts_with('/') && one.port.is_some() && !is_one_of(one.lead, BEFORE_TARGET); // as Java writes it
        // `[192.0.2.7] RCPT refused`, `[192.0.2.7:40122]` of a log that begins with whom it is about
        let in_front = one.at <= 1 && text.starts_with('[') && text[one.behind..].trim_start_matches(']').starts_with(' ');
        let in_brackets = one.port.is_some_and(|port| port >= EPHEMERAL_PORT_MIN)
            && (text[one.at..].starts_with('[') || text[..one.at].ends_with(['(', '[']))
            && !is_one_of(one.lead, BEFORE_ANOTHER);
        // `user taro at 192.0.2.7 disconnected`, `user taro (192.0.2.7)`
        let of_user = || {
            let before = text[..one.at].trim_end_matches(['[', '(']);
            let mut back = before.rsplit(' ').filter(|word| !word.is_empty());
            let in_brackets = before.len() < one.at && before.ends_with(' ');
            let nth = if one.lead == "at" { 2 } else { 1 };
            (nth == 2 || in_brackets) && back.nth(nth).is_some_and(|word| word.eq_ignore_ascii_case("user"))
        };
        let asked = || asks(&text[one.behind..]) || !is_one_of(one.lead, BEFORE_ANOTHER) && requests(&text[..one.at]);
        if !(led || peer || in_front || in_brackets || begins(text, &one) || fills_column(text, &one) || of_user() || asked()) {
            return false;
        }
    }
    row.ip(FieldId::SOURCE_IP, one.ip);
    if let Some(port) = one.port.or(named[0]) {
        row.int(FieldId::SOURCE_PORT, i64::from(port));
    }
    if !one.name.is_empty() && !row.has(FieldId::SOURCE_DOMAIN) {
        row.text(FieldId::SOURCE_DOMAIN, one.name);
    }
    true
}

/// Whether a word can be the name of a host alone: of three labels, since `taro.yamada` is a person.
fn is_host_name(word: &str) -> bool {
    let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    word.split('.').count() > 2 && word.split('.').all(label) && word.ends_with(|c: char| c.is_ascii_alphabetic())
}

/// What follows the time that a log's line begins with.
fn behind_time(text: &str) -> &str {
    let bare = text.trim_start_matches(['[', '(', '"']);
    stamp::any(bare).map_or(text, |(_, rest)| rest.trim_start_matches([']', ')', '"', ':', ' ', '-', '|', ',']))
}

/// Whether the text begins with the address, behind a time and words in brackets: `2026-04-01 09:00:00 [in] 192.0.2.7 failed`.
fn begins(text: &str, end: &End<'_>) -> bool {
    let mut rest = behind_time(text);
    let begins_with_time = rest.len() < text.len();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        if text.len() - after.len() > end.at {
            break;
        }
        rest = after.trim_start();
    }
    begins_with_time && text.len() - rest.len() == end.at && text[end.behind..].starts_with(' ')
}

/// Without what stands in brackets behind an address: `(40122)(vlan7) -> `.
fn without_brackets(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
        rest = after;
    }
    rest
}

/// Whether a word before a colon says whose the value behind it is.
fn is_lead(word: &str) -> bool {
    is_one_of(word, BEFORE_SOURCE) || is_one_of(word, BEFORE_TARGET) || port_of(word).is_some()
}

/// Whose a port is.
enum Whose {
    /// Of the address before it.
    Last,
    Source,
    Destination,
}

/// Whose the port is that stands behind `lead`.
fn port_of(lead: &str) -> Option<Whose> {
    let lead = lead.trim_end_matches(':');
    let is_port = lead.len().checked_sub(4).and_then(|at| lead.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case("port"));
    match lead.as_bytes().first()?.to_ascii_lowercase() {
        b'p' if lead.eq_ignore_ascii_case("port") => Some(Whose::Last),
        b's' if lead.eq_ignore_ascii_case("spt") || is_port => Some(Whose::Source),
        b'r' | b'c' if is_port && !lead.eq_ignore_ascii_case("report") => Some(Whose::Source), // `rport`, `client-port`
        b'd' if lead.eq_ignore_ascii_case("dpt") || is_port => Some(Whose::Destination),
        _ => None,
    }
}

/// The ports of two addresses that stand in neighbouring columns of one table: `192.0.2.7|40122|192.0.2.9|80`. None where they do not.
fn columns(text: &str, one: &End<'_>, two: &End<'_>) -> Option<[Option<u16>; 2]> {
    let between = text[one.behind..two.at].trim_matches(['"', ' ']);
    let divider = between.chars().next().filter(|c| COLUMN_DIVIDERS.contains(c))?;
    let inner = between[1..].strip_suffix(divider).map(|inner| inner.trim_matches(['"', ' ']));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    match inner {
        None if between.len() == 1 && !text[one.behind..two.at].contains(' ') => Some([None, None]),
        Some(inner) => {
            let own = port(inner)?;
            let after = text[two.behind..].trim_start_matches('"').trim_start_matches(' ').strip_prefix(divider).unwrap_or("");
            let next = after.split(divider).next().unwrap_or("").trim_matches(['"', ' ']);
            Some([Some(own), port(next)])
        }
        None => None,
    }
}

/// Two addresses and their ports in columns side by side, `A,B,port,port` or `A,port,B,port`, of a table that has further addresses; nothing
/// where that may be read twice.
fn four_columns(text: &str, row: &mut RowBuilder<'_>) -> bool {
    let Some(divider) = COLUMN_DIVIDERS.into_iter().find(|divider| text.matches(*divider).count() > TABLE_DIVIDERS_MIN) else {
        return false;
    };
    let mut four = [""; 4];
    let mut found = None;
    for column in text.split(divider) {
        four.rotate_left(1);
        four[3] = column.trim_matches([' ', '"']);
        let ips = four.map(|address| address.parse::<IpAddr>().ok());
        let ports = four.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0));
        let ends = match (ips, ports) {
            ([Some(one), Some(two), ..], [.., Some(own), Some(other)]) => (one, two, own, other),
            ([Some(one), _, Some(two), _], [_, Some(own), _, Some(other)]) => (one, two, own, other),
            _ => continue,
        };
        if found.replace(ends).is_some() {
            return false;
        }
    }
    let Some((one, two, own, other)) = found else { return false };
    traffic(text, row);
    row.ip(FieldId::SOURCE_IP, one);
    row.int(FieldId::SOURCE_PORT, i64::from(own));
    row.ip(FieldId::DESTINATION_IP, two);
    row.int(FieldId::DESTINATION_PORT, i64::from(other));
    true
}

/// The ports of two addresses that each have theirs behind a blank: `192.0.2.7 40122 192.0.2.9 80`.
fn in_blanks(text: &str, one: &End<'_>, two: &End<'_>) -> Option<[Option<u16>; 2]> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let between = text[one.behind..two.at].strip_prefix(' ')?.strip_suffix(' ')?;
    let next = text[two.behind..].strip_prefix(' ')?.split(' ').next()?;
    Some([Some(port(between)?), Some(port(next)?)])
}

/// Whether an address fills a column of a table.
fn fills_column(text: &str, end: &End<'_>) -> bool {
    let before = text[..end.at].trim_end_matches('"').chars().next_back();
    let after = text[end.behind..].trim_start_matches('"').chars().next();
    before.or(after).is_some_and(|divider| {
        COLUMN_DIVIDERS.contains(&divider)
            && after.is_none_or(|after| after == divider)
            && text.matches(divider).count() >= TABLE_DIVIDERS_MIN
    })
}

/// What was done with the traffic between two ends, and its protocol.
fn traffic(text: &str, row: &mut RowBuilder<'_>) {
    let mut verdict = None;
    for word in words(text).flat_map(|(_, word)| word.split("][")) {
        let word = word.trim_matches(['[', ']', ':', '.', '{', '}']);
        let word = word.rsplit([':', '/']).next().unwrap_or(word); // `proto:TCP`, `192.0.2.7:445/tcp`
        if !row.has(FieldId::NETWORK_TRANSPORT)
            && let Some(transport) = TRANSPORTS.iter().find(|known| word.eq_ignore_ascii_case(known))
        {
            row.text(FieldId::NETWORK_TRANSPORT, if *transport == "icmpv6" { "ipv6-icmp" } else { transport });
        }
        verdict = verdict.or_else(|| VERDICTS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)));
    }
    if let Some((action, kind)) = verdict.filter(|_| !row.has(FieldId::EVENT_ACTION)) {
        row.text(FieldId::EVENT_ACTION, action);
        row.text(FieldId::EVENT_TYPE, kind);
    }
}

/// The only hardware address of a text, where it is no device's own.
fn hardware(text: &str, row: &mut RowBuilder<'_>) -> bool {
    let source = FieldId::SOURCE_MAC;
    if row.has(source) {
        return false;
    }
    let mut found: Option<(&str, bool)> = None;
    let mut before = "";
    for (_, word) in words(text) {
        let before = std::mem::replace(&mut before, word);
        if word.len() < MAC_BYTES_MIN {
            continue;
        }
        let bare = word.trim_matches(['[', ']', '.', ',']).trim_end_matches(':');
        let bare = bare.rsplit_once('@').map_or(bare, |(_, after)| after);
        // `[client:00-11-22-33-44-55]`
        let led = bare.split_once(':').filter(|(lead, _)| lead.len() > 2 || lead.eq_ignore_ascii_case("ap"));
        let (lead, bare) = led.map_or((before, bare), |(lead, rest)| (lead.trim_start_matches('['), rest));
        if is_mac(bare) {
            let own = is_one_of(lead, BEFORE_OWN_MAC);
            match found {
                Some((other, _)) if other.eq_ignore_ascii_case(bare) => {}
                Some((_, false)) if own => {}
                Some((_, false)) => return false,
                Some((_, true)) | None => found = Some((bare, own)),
            }
        }
    }
    let Some((mac, false)) = found else { return false };
    row.text(source, mac);
    true
}

/// Three groups of four digits with dots.
const MAC_BYTES_MIN: usize = 14;

/// Six pairs of hexadecimal digits with `:` or `-` between, or three groups of four with dots.
pub(super) fn is_mac(word: &str) -> bool {
    let good = |separator: u8, every: usize| {
        word.bytes().enumerate().all(|(at, b)| if at % every == every - 1 { b == separator } else { b.is_ascii_hexdigit() })
    };
    match word.len() {
        17 => good(b':', 3) || good(b'-', 3),
        MAC_BYTES_MIN => good(b'.', 5),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_marks_of_both_scripts() {
        let all = |text: &'static str| words(text).map(|(_, word)| word).collect::<Vec<_>>();
        assert_eq!(all("a, (b)=\"c\" 2001:db8::7"), ["a", "b", "c", "2001:db8::7"]);
        assert_eq!(all("ユーザー「taro」が\u{ff08}192.0.2.7\u{ff09}。"), ["ユーザー", "taro", "が", "192.0.2.7"]);
    }

    #[test]
    fn hardware_addresses_are_told_from_other_words() {
        for (word, good) in [
            ("00:11:22:aa:bb:cc", true),
            ("00-11-22-AA-BB-CC", true),
            ("0011.22aa.bbcc", true),
            ("00:11:22:aa:bb:cg", false),
            ("2001:db8:0:0:0:1", false),
        ] {
            assert_eq!(is_mac(word), good, "{word}");
        }
    }
}
