//! Cisco ASA (and FTD in its ASA form): `%ASA-LEVEL-NUMBER: text` (Cisco, "ASA Series Syslog Messages").
//!
//! A message names two ends, written `interface:address/port`. Which end began depends on the message; only those are read whose
//! documentation says so. Every other message keeps its number, level and text.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number};
use crate::decode::text::Context;

pub(super) struct Reader {
    asa: Kind,
    connection: FieldId,
    acl: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            asa: Kind::new("cisco_asa", Some("cisco"), Some("firewall"), Some("asa")),
            connection: FieldId::known("cisco.asa.connection_id"),
            acl: FieldId::known("cisco.asa.rule_name"),
        }
    }

    /// `Built inbound TCP connection 12 for outside:198.51.100.9/5000 (198.51.100.9/5000)[(user)] to dmz:10.0.0.1/443 (203.0.113.1/443)`
    fn built(&self, text: &str, row: &mut RowBuilder<'_>) {
        let Some((lead, ends)) = text.split_once(" for ") else { return };
        let Some((first, second)) = ends.split_once(" to ") else { return };
        let mut words = lead.split(' ');
        let (direction, protocol) = (words.nth(1).unwrap_or(""), words.next().unwrap_or(""));
        if let Some(id) = lead.rsplit(' ').next() {
            row.text(self.connection, id);
        }
        row.text(FieldId::EVENT_ACTION, "connection-started");
        passed(protocol, row);
        row.text(FieldId::NETWORK_DIRECTION, direction);
        // The lower-security end stands first, whoever began: an outbound connection began at the second.
        let (from, to) = if direction == "outbound" { (second, first) } else { (first, second) };
        end(from, true, row);
        end(to, false, row);
    }

    /// `Teardown TCP connection 12 for outside:198.51.100.9/5000 to dmz:10.0.0.1/443 duration 0:00:05 bytes 1234 TCP FINs`
    fn teardown(&self, text: &str, row: &mut RowBuilder<'_>) {
        let Some((lead, rest)) = text.split_once(" for ") else { return };
        let Some((ends, tail)) = rest.split_once(" duration ") else { return };
        let Some((first, second)) = ends.split_once(" to ") else { return };
        if let Some(id) = lead.rsplit(' ').next() {
            row.text(self.connection, id);
        }
        row.text(FieldId::EVENT_ACTION, "flow-expiration");
        passed(lead.split(' ').nth(1).unwrap_or(""), row);
        // Not said which end began: the one with the port that a service has is the destination.
        let service =
            |part: &str| part.rsplit('/').next().and_then(|p| p.split([' ', '(']).next()).and_then(|p| p.parse::<u16>().ok());
        let swap = matches!((service(first), service(second)), (Some(a), Some(b)) if a < 1024 && b >= 1024);
        let (from, to) = if swap { (second, first) } else { (first, second) };
        end(from, true, row);
        end(to, false, row);
        let mut words = tail.split(' ');
        if let Some(ns) = words.next().and_then(duration_ns) {
            row.uint(FieldId::EVENT_DURATION, ns);
        }
        if words.next() == Some("bytes") {
            number(row, FieldId::NETWORK_BYTES, words.next().unwrap_or(""));
        }
        if let Some((_, reason)) = tail.split_once(" bytes ").and_then(|(_, r)| r.split_once(' ')) {
            row.text(FieldId::EVENT_REASON, reason);
        }
    }

    /// `Deny tcp src outside:198.51.100.9/5000 dst dmz:10.0.0.1/23 [(type 8, code 0)] by access-group "outside_in" [0x0, 0x0]`
    fn access_group(&self, text: &str, row: &mut RowBuilder<'_>) {
        let Some((lead, rest)) = text.split_once(" src ") else { return };
        let Some((from, rest)) = rest.split_once(" dst ") else { return };
        let (to, tail) = rest.split_once(" by access-group ").unwrap_or((rest, ""));
        deny(lead.rsplit(' ').next().unwrap_or(""), row);
        end(from, true, row);
        end(to, false, row);
        if let Some(name) = tail.strip_prefix('"').and_then(|t| t.split('"').next()) {
            row.text(self.acl, name);
            row.text(FieldId::RULE_NAME, name);
        }
    }

    /// `access-list NAME denied tcp outside/198.51.100.9(5000) -> dmz/10.0.0.1(23) hit-cnt 1 ...`
    fn access_list(&self, text: &str, row: &mut RowBuilder<'_>) {
        let mut words = text.split(' ');
        let (Some("access-list"), Some(name), Some(verdict), Some(mut protocol)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return;
        };
        if protocol == "for" {
            words.next(); // `permitted for user 'NAME' tcp ...`
            words.next();
            protocol = words.next().unwrap_or("");
        }
        let (Some(from), Some("->"), Some(to)) = (words.next(), words.next(), words.next()) else { return };
        row.text(self.acl, name);
        row.text(FieldId::RULE_NAME, name);
        if verdict.starts_with("permitted") || verdict == "est-allowed" {
            row.text(FieldId::EVENT_ACTION, "permitted");
            passed(protocol, row);
        } else {
            deny(protocol, row);
        }
        for (text, source) in [(from, true), (to, false)] {
            if let Some((interface, rest)) = text.split_once('/') {
                let (host, port) = rest.split_once('(').unwrap_or((rest, ""));
                place(interface, host, port.trim_end_matches(|c: char| !c.is_ascii_digit()), source, row);
            }
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["cisco_asa"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("%")
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        let Some(rest) = message.strip_prefix("%ASA-").or(message.strip_prefix("%FTD-")) else { return false };
        // `%ASA-6-302013: ...`, and with a class in newer releases: `%ASA-session-6-302013: ...`.
        let Some((lead, text)) = rest.split_once(": ") else { return false };
        let mut parts = lead.rsplit('-');
        let (Some(code), Some(level)) = (parts.next(), parts.next()) else { return false };
        if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) || level.len() != 1 {
            return false;
        }
        self.asa.mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Cisco");
        row.text(FieldId::OBSERVER_PRODUCT, if message.starts_with("%ASA") { "asa" } else { "ftd" });
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        row.text(FieldId::EVENT_CODE, code);
        row.text(FieldId::MESSAGE, text);
        row.text(FieldId::EVENT_CATEGORY, "network");
        number(row, FieldId::EVENT_SEVERITY, level);
        match code {
            "302013" | "302015" => self.built(text, row),
            "302014" | "302016" => self.teardown(text, row),
            "302020" | "302021" => icmp(text, row),
            "106023" => self.access_group(text, row),
            "106100" | "106102" => self.access_list(text, row),
            "106001" | "106006" | "106007" | "106015" => denied(text, row),
            "106014" | "106021" | "106010" | "106016" | "106017" => denied(text, row),
            "605004" | "605005" | "113004" | "113005" | "113012" | "113015" | "611101" | "611102" => login(code, text, row),
            _ => {}
        }
        true
    }
}

/// `interface:address/port (mapped/port) (user)`
fn end(text: &str, source: bool, row: &mut RowBuilder<'_>) {
    let mut words = text.split(' ');
    let first = words.next().unwrap_or("").split('(').next().unwrap_or("");
    let (interface, rest) = first.split_once(':').unwrap_or(("", first));
    let (host, port) = rest.rsplit_once('/').unwrap_or((rest, ""));
    place(interface, host, port, source, row);
    let mapped = words.next().and_then(|w| w.strip_prefix('(')).and_then(|w| w.split(')').next());
    if let Some((nat, nat_port)) = mapped.and_then(|m| m.rsplit_once('/'))
        && nat != host
    {
        let (ip, port_field, name) = match source {
            true => (FieldId::SOURCE_NAT_IP, FieldId::SOURCE_NAT_PORT, FieldId::SOURCE_ADDRESS),
            false => (FieldId::DESTINATION_NAT_IP, FieldId::DESTINATION_NAT_PORT, FieldId::DESTINATION_ADDRESS),
        };
        address(row, ip, name, nat);
        number(row, port_field, nat_port);
    }
}

fn place(interface: &str, host: &str, port: &str, source: bool, row: &mut RowBuilder<'_>) {
    let (ip, name, port_field, interface_field) = if source {
        (FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT, FieldId::OBSERVER_INGRESS_INTERFACE_NAME)
    } else {
        (FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, FieldId::DESTINATION_PORT, FieldId::OBSERVER_EGRESS_INTERFACE_NAME)
    };
    address(row, ip, name, host);
    number(row, port_field, port);
    if !interface.is_empty() {
        row.text(interface_field, interface);
    }
}

fn passed(protocol: &str, row: &mut RowBuilder<'_>) {
    row.text(FieldId::EVENT_TYPE, "allowed");
    row.text(FieldId::EVENT_OUTCOME, "success");
    transport(protocol, row);
}

fn deny(protocol: &str, row: &mut RowBuilder<'_>) {
    row.text(FieldId::EVENT_ACTION, "deny");
    row.text(FieldId::EVENT_TYPE, "denied");
    row.text(FieldId::EVENT_OUTCOME, "failure");
    transport(protocol, row);
}

fn transport(protocol: &str, row: &mut RowBuilder<'_>) {
    match protocol.parse().map(super::transport) {
        Ok(Some(name)) => row.text(FieldId::NETWORK_TRANSPORT, name),
        Ok(None) => {}
        Err(_) if protocol.is_empty() => {}
        Err(_) => row.text(FieldId::NETWORK_TRANSPORT, &protocol.to_ascii_lowercase()),
    }
}

/// `Built inbound ICMP connection for faddr 198.51.100.9/0 gaddr 203.0.113.1/0 laddr 10.0.0.1/0 ...`
fn icmp(text: &str, row: &mut RowBuilder<'_>) {
    row.text(FieldId::EVENT_ACTION, if text.starts_with("Built") { "connection-started" } else { "flow-expiration" });
    passed("icmp", row);
    let after = |word: &str| text.split_once(word).map(|(_, rest)| rest.split([' ', '/', '(']).next().unwrap_or(""));
    let (Some(far), Some(near)) = (after("faddr "), after("laddr ")) else { return };
    let (from, to) = if text.contains("outbound") { (near, far) } else { (far, near) };
    place("", from, "", true, row);
    place("", to, "", false, row);
}

/// `Inbound TCP connection denied from 198.51.100.9/5000 to 10.0.0.1/23 flags SYN on interface outside`, `Deny inbound UDP from ... to ...`,
/// `Deny inbound icmp src outside:198.51.100.9 dst dmz:10.0.0.1 (type 8, code 0)`, `Deny TCP (no connection) from ... to ...`.
fn denied(text: &str, row: &mut RowBuilder<'_>) {
    let protocol = text.split(' ').find(|w| matches!(w.to_ascii_uppercase().as_str(), "TCP" | "UDP" | "ICMP")).unwrap_or("");
    deny(protocol, row);
    let split = text.split_once(" from ").and_then(|(_, r)| r.split_once(" to "));
    let split = split.or_else(|| text.split_once(" src ").and_then(|(_, r)| r.split_once(" dst ")));
    if let Some((from, to)) = split {
        end(from.trim(), true, row);
        end(to, false, row);
    }
}

/// Logins to the device itself and AAA.
fn login(code: &str, text: &str, row: &mut RowBuilder<'_>) {
    let success = matches!(code, "605005" | "113004" | "113012" | "611101");
    row.text(FieldId::EVENT_ACTION, "login");
    row.text(FieldId::EVENT_OUTCOME, if success { "success" } else { "failure" });
    if let Some((_, user)) = text.split_once("user \"").or(text.split_once("Uname: ")).or(text.split_once("user = ")) {
        let user = user.split(['"', ' ', ':']).next().unwrap_or("");
        if !user.is_empty() {
            row.text(FieldId::USER_NAME, user);
        }
    }
    if let Some((_, from)) = text.split_once(" from ").or(text.split_once("IP address: ")).or(text.split_once("user IP = ")) {
        let (host, port) = from
            .split([' ', ','])
            .next()
            .unwrap_or("")
            .split_once('/')
            .unwrap_or((from.split([' ', ',']).next().unwrap_or(""), ""));
        place("", host, port, true, row);
    }
}

/// `H:MM:SS`
fn duration_ns(text: &str) -> Option<u64> {
    let mut total = 0u64;
    for part in text.split(':') {
        total = total.checked_mul(60)?.checked_add(part.parse::<u32>().ok()?.into())?;
    }
    total.checked_mul(1_000_000_000)
}
