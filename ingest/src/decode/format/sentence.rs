//! Messages of Cisco devices as sentences: patterns of text and captures, and the ends that they name.
//!
//! A pattern is text with captures in braces; a message fits it as far as its captures are filled. `{s}` and `{d}` are ends; a text
//! reaches up to the first place of what follows it, with `>` up to the last (a user who is not known yet may write what he likes
//! into his name).
//!
//! | capture | field |
//! |---|---|
//! | `s`, `d` | source and destination: `interface:address/port (mapped/port) (user)`, `interface/address(port)` |
//! | `sn` | the address that the source has within the tunnel |
//! | `D` | destination whose port is a service's name |
//! | `s4`, `d4` | `address:port` |
//! | `si`, `di` | interface that the packet came by, goes by |
//! | `u`, `su` | `user.name`, `source.user.name` (`DOMAIN\name`) |
//! | `p`, `w` | `network.transport`, direction |
//! | `a`, `v` | access list, its verdict |
//! | `c`, `b`, `t`, `r` | connection, bytes, duration, reason |
//! | `bo`, `bi`, `k` | bytes to the client, bytes from it, packets |
//! | `g`, `cmd`, `url`, `f`, `dom`, `mac`, `it`, `ic` | group, command, URL, file, resolved name, MAC, ICMP type and code |
//! | `n`, `st` | `network.protocol`, the state that it is in now |
//! | `x` | nothing |

use event::{FieldId, RowBuilder};

use super::{address, number};
use crate::decode::keys;

/// What a message says was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Done {
    /// Nothing in particular.
    Told,
    /// Traffic was refused.
    Denied,
    /// Traffic may pass.
    Permitted,
    /// A connection began.
    Began,
    /// It ended.
    Ended,
    /// A translation of addresses began or ended.
    Translated,
    /// Somebody logged in.
    LoggedIn,
    /// Somebody did not.
    LoginFailed,
    /// Somebody logged out.
    LoggedOut,
    /// The verdict is a capture.
    Asked,
}

/// A message's pattern, cut into captures and the text behind each.
pub(super) struct Message {
    pub(super) done: Done,
    pub(super) lead: &'static str,
    pub(super) parts: Vec<Part>,
}

#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Up to the last place of what follows.
    pub(super) greedy: bool,
    pub(super) then: &'static str,
}

/// Captures of one pattern at most.
pub(super) const PARTS_MAX: usize = 16;

pub(super) fn compile(pattern: &'static str) -> (&'static str, Vec<Part>) {
    let mut pieces = pattern.split('{');
    let lead = pieces.next().unwrap_or("");
    let parts: Vec<Part> = pieces
        .map(|piece| {
            let (name, then) = piece.split_once('}').expect("a capture of the table is closed");
            Part { name: name.trim_end_matches('>'), greedy: name.ends_with('>'), then }
        })
        .collect();
    assert!(parts.len() <= PARTS_MAX, "too many captures: {pattern}");
    (lead, parts)
}

/// Cuts `text` as the message says: how many captures there are.
pub(super) fn fits<'t>(message: &Message, text: &'t str, found: &mut [(&'static str, &'t str); PARTS_MAX]) -> Option<usize> {
    let mut rest = text.strip_prefix(message.lead)?;
    for (at, part) in message.parts.iter().enumerate() {
        let end = match part.name {
            "s" | "d" | "D" if !part.then.starts_with('/') => {
                let end = End::length(rest);
                if !rest[end..].starts_with(part.then) || end == 0 {
                    return None;
                }
                end
            }
            _ if part.then.is_empty() => rest.len(),
            _ if part.greedy => rest.rfind(part.then)?,
            _ => rest.find(part.then)?,
        };
        found[at] = (part.name, &rest[..end]);
        rest = &rest[end + part.then.len()..];
    }
    Some(message.parts.len())
}

/// One end as a message writes it.
#[derive(Clone, Copy, Default)]
pub(super) struct End<'t> {
    pub(super) interface: &'t str,
    pub(super) host: &'t str,
    pub(super) port: &'t str,
    pub(super) mapped: &'t str,
    pub(super) mapped_port: &'t str,
    pub(super) user: &'t str,
}

impl<'t> End<'t> {
    /// How far the end that `text` begins with reaches, its brackets included.
    pub(super) fn length(text: &str) -> usize {
        let mut end = text.find([' ', '(', ')', '>', ']', ',', ';']).unwrap_or(text.len());
        let bare = &text[..end];
        if end < text.len() || bare.ends_with(['.', ':']) {
            end = bare.trim_end_matches(['.', ':']).len();
        }
        loop {
            let after = &text[end..];
            let open = after.strip_prefix(" (").or(after.strip_prefix('('));
            let Some(inside) = open else { return end };
            let Some(close) = inside.find(')') else { return end };
            let group = &inside[..close];
            // `(type 8, code 0)` and `(not authenticated)` are the message's.
            let is_mapped = group.rsplit_once('/').is_some_and(|(host, port)| {
                port.bytes().all(|b| b.is_ascii_digit()) && !host.bytes().all(|b| b.is_ascii_digit())
            });
            let is_port = !after.starts_with(' ') && !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
            let is_user = group.contains('\\')
                || (group.bytes().all(|b| b.is_ascii_alphanumeric()) && group.bytes().any(|b| b.is_ascii_alphabetic()))
                || (!after.starts_with(' ') && !group.contains([' ', ',']));
            if !(is_mapped || is_port || is_user) {
                return end;
            }
            end += after.len() - inside.len() + close + 1;
        }
    }

    pub(super) fn read(text: &'t str) -> End<'t> {
        let bare = text.split([' ', '(']).next().unwrap_or("");
        let mut end = End::default();
        let is_ip = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
        let is_port = |text: &str| text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty();
        match (bare.split_once('/'), bare.split_once(':')) {
            // `outside/198.51.100.9(5000)`
            (Some((interface, host)), _) if !is_port(host) && !is_ip(interface) && !interface.contains(':') => {
                end.interface = interface;
                end.host = host;
            }
            (_, Some((interface, rest))) if !is_ip(bare) && !bare.rsplit_once('/').is_some_and(|(host, _)| is_ip(host)) => {
                end.interface = interface;
                (end.host, end.port) = rest.rsplit_once('/').unwrap_or((rest, ""));
            }
            _ => (end.host, end.port) = bare.rsplit_once('/').unwrap_or((bare, "")),
        }
        let mut rest = &text[bare.len()..];
        while let Some((_, inside)) = rest.split_once('(') {
            let (group, after) = inside.split_once(')').unwrap_or((inside, ""));
            match group.rsplit_once('/') {
                Some((host, port)) if is_port(port) => (end.mapped, end.mapped_port) = (host, port),
                _ if is_port(group) && end.port.is_empty() => end.port = group,
                _ if is_ip(group) => end.mapped = group,
                _ if end.user.is_empty() => end.user = group,
                _ => {}
            }
            rest = after;
        }
        end
    }

    pub(super) fn port_number(&self) -> Option<u16> {
        self.port.parse().ok()
    }

    pub(super) fn write(self, source: bool, row: &mut RowBuilder<'_>) {
        use FieldId as F;
        let (ip, name, port, interface, nat, nat_port) = match source {
            true => (
                F::SOURCE_IP,
                F::SOURCE_DOMAIN,
                F::SOURCE_PORT,
                F::OBSERVER_INGRESS_INTERFACE_NAME,
                F::SOURCE_NAT_IP,
                F::SOURCE_NAT_PORT,
            ),
            false => (
                F::DESTINATION_IP,
                F::DESTINATION_DOMAIN,
                F::DESTINATION_PORT,
                F::OBSERVER_EGRESS_INTERFACE_NAME,
                F::DESTINATION_NAT_IP,
                F::DESTINATION_NAT_PORT,
            ),
        };
        address(row, ip, name, self.host);
        number(row, port, self.port);
        if !self.interface.is_empty() {
            row.text(interface, self.interface);
        }
        if !self.mapped.is_empty() && (self.mapped != self.host || self.mapped_port != self.port) {
            if self.mapped != self.host
                && let Ok(mapped) = self.mapped.parse()
            {
                row.ip(nat, mapped);
            }
            number(row, nat_port, self.mapped_port);
        }
        if !self.user.is_empty() && source {
            let (user, domain) = identity(self.user);
            row.text(F::SOURCE_USER_NAME, user);
            if let Some(domain) = domain {
                row.text(F::SOURCE_USER_DOMAIN, domain);
            }
        } else if !self.user.is_empty() {
            row.text(F::DESTINATION_USER_NAME, identity(self.user).0);
        }
    }
}

/// Name and domain of `LOCAL\name`, `LOCAL\DOMAIN\name`, `LOCAL\name@domain`: `LOCAL` says that the device itself knows the user.
pub(super) fn identity(user: &str) -> (&str, Option<&str>) {
    let user = user.strip_prefix("LOCAL\\").unwrap_or(user);
    match (user.rsplit_once('\\'), user.rsplit_once('@')) {
        (Some((domain, name)), _) => (name, Some(domain)),
        (None, Some((name, domain))) => (name, Some(domain)),
        (None, None) => (user, None),
    }
}

/// Writes one capture.
pub(super) fn capture(
    name: &str,
    value: &str,
    connection: FieldId,
    acl: FieldId,
    scratch: &mut String,
    row: &mut RowBuilder<'_>,
) {
    use FieldId as F;
    let value = value.trim();
    if value.is_empty() {
        return;
    }
    match name {
        "s" => End::read(value).write(true, row),
        "d" => End::read(value).write(false, row),
        "D" => {
            let end = End::read(value);
            if end.port_number().is_none() && !end.port.is_empty() {
                row.text(F::NETWORK_PROTOCOL, end.port);
            }
            end.write(false, row);
        }
        "s4" | "d4" => {
            let (host, port) = keys::endpoint(value);
            End { host, ..End::default() }.write(name == "s4", row);
            if let Some(port) = port {
                row.uint(if name == "s4" { F::SOURCE_PORT } else { F::DESTINATION_PORT }, port.into());
            }
        }
        "dh" => address(row, F::DESTINATION_IP, F::DESTINATION_DOMAIN, value),
        // `<::>` is none.
        "sn" => {
            if let Some(ip) = value.parse::<std::net::IpAddr>().ok().filter(|ip| !ip.is_unspecified()) {
                row.ip(F::SOURCE_NAT_IP, ip);
            }
        }
        "si" => row.text(F::OBSERVER_INGRESS_INTERFACE_NAME, value),
        "di" => row.text(F::OBSERVER_EGRESS_INTERFACE_NAME, value),
        "u" | "su" => {
            let (domain, user) = keys::account(value.trim_matches('\''));
            row.text(if name == "u" { F::USER_NAME } else { F::SOURCE_USER_NAME }, user);
            if let Some(domain) = domain {
                row.text(F::USER_DOMAIN, domain);
            }
        }
        "p" if value != "protocol" => keys::transport(row, value.strip_prefix("protocol ").unwrap_or(value), scratch),
        "k" => number(row, F::SOURCE_PACKETS, value),
        "st" => row.text(F::EVENT_ACTION, value),
        "n" => keys::lower(row, F::NETWORK_PROTOCOL, value, scratch),
        "w" => row.text(F::NETWORK_DIRECTION, value),
        "a" => {
            row.text(acl, value);
            row.text(F::RULE_NAME, value);
        }
        "c" => row.text(connection, value),
        "b" => number(row, F::NETWORK_BYTES, value),
        "bo" => number(row, F::DESTINATION_BYTES, value),
        "bi" => number(row, F::SOURCE_BYTES, value),
        "t" => {
            if let Some(ns) = duration_ns(value) {
                row.uint(F::EVENT_DURATION, ns);
            }
        }
        "r" => row.text(F::EVENT_REASON, value),
        "g" => row.text(F::GROUP_NAME, value),
        "cmd" => row.text(F::PROCESS_COMMAND_LINE, value),
        "url" => super::uri(row, value),
        "f" => row.text(F::FILE_PATH, value),
        "dom" => row.text(F::DESTINATION_DOMAIN, value.split([',', ' ']).next().unwrap_or(value)),
        "mac" => row.text(F::SOURCE_MAC, value),
        "it" => number(row, F::ICMP_TYPE, value),
        "ic" => number(row, F::ICMP_CODE, value),
        _ => {}
    }
}

/// `H:MM:SS`, and `1d 2h:03m:04s` of newer releases' sessions.
pub(super) fn duration_ns(text: &str) -> Option<u64> {
    let (days, clock) = match text.split_once("d ") {
        Some((days, clock)) => (days.parse::<u64>().ok()?, clock),
        None => (0, text),
    };
    let mut total = 0u64;
    for part in clock.split(':') {
        total = total.checked_mul(60)?.checked_add(part.trim_end_matches(['h', 'm', 's']).parse::<u32>().ok()?.into())?;
    }
    total.checked_add(days.checked_mul(86_400)?)?.checked_mul(1_000_000_000)
}
