//! Cisco ASA and FTD: `%ASA-LEVEL-NUMBER: text` (Cisco, "ASA Series Syslog Messages"), FTD's security events `%FTD-1-430003: Key: value,
//! Key: value`.
//!
//! A message names two ends in the order of its text; that order is kept as source and destination, as the vendor's own mapping to
//! fields does. Which end began is told by `client.*` and `server.*` where the message says it: a connection built `outbound` began
//! at the second end, for the first one is the less trusted one whoever began.

use std::collections::HashMap;

use event::{FieldId, RowBuilder};

use super::asa_messages::MESSAGES;
use super::sentence::{Done, End, Message, PARTS_MAX, capture, compile, fits, identity};
use super::{Kind, Recognise, address, number};
use crate::decode::cut::cut;
use crate::decode::keys::{self, Keys};
use crate::decode::text::Context;

pub(super) struct Reader {
    asa: Kind,
    aaa: Kind,
    ftd: Kind,
    messages: HashMap<u32, Vec<Message>>,
    others: Vec<Message>,
    keys: Keys,
    connection: FieldId,
    acl: FieldId,
    scratch: String,
}

/// FTD's security events (Cisco, "Secure Firewall Threat Defense Syslog Messages", 430001 to 430007).
const KEYS: &str = "
    SrcIP | InitiatorIP = source.ip:ip
    DstIP | ResponderIP = destination.ip:ip
    SrcPort | InitiatorPort = source.port:int
    DstPort | ResponderPort = destination.port:int
    Protocol = network.transport:transport
    IngressInterface = observer.ingress.interface.name
    EgressInterface = observer.egress.interface.name
    IngressZone = observer.ingress.zone
    EgressZone = observer.egress.zone
    AccessControlRuleName = rule.name
    ACPolicy | FilePolicy | IntrusionPolicy = rule.ruleset
    AccessControlRuleAction | FileAction | InlineResult = event.action:verdict
    AccessControlRuleReason | IntrusionRuleReason = event.reason
    User = user.name user.id
    Client = network.application:lower
    WebApplication = network.application:lower?
    ApplicationProtocol = network.protocol:lower
    ConnectionDuration = event.duration:seconds
    ConnectionID = cisco.asa.connection_id
    InitiatorPackets = source.packets:int
    ResponderPackets = destination.packets:int
    InitiatorBytes = source.bytes:int
    ResponderBytes = destination.bytes:int
    NAT_InitiatorIP = source.nat.ip:ip
    NAT_InitiatorPort = source.nat.port:int
    NAT_ResponderIP = destination.nat.ip:ip
    NAT_ResponderPort = destination.nat.port:int
    DNSQuery = dns.question.name
    DNSRecordType
    DNSResponseType
    URL = url.original:uri
    URI = url.original:uri
    URLCategory = rule.category?
    ReferencedHost = url.domain?
    HTTPReferer = http.request.referrer
    HTTPResponse = http.response.status_code:int
    UserAgent = user_agent.original
    FileSHA256 = file.hash.sha256
    FileName = file.name
    FileSize = file.size:int
    FileType = file.type
    ThreatName = rule.description
    Message = message
    SID | SignatureID = rule.id
    Classification = rule.category
    Priority = event.severity:int
    ICMPType = icmp.type:int
    ICMPCode = icmp.code:int
    SSLVersion = tls.version
    SSLCipherSuite = tls.cipher
    VLAN_ID = network.vlan.id
";

/// How messages that the table does not have name two ends.
const OTHERS: &[&str] = &["{x} from {s} to {d}", "{x}src {s} dst {d}", "{x}src {s} dest {d}", "{x} for {s} to {d}"];

impl Reader {
    pub(super) fn new() -> Reader {
        let kind = |service| Kind::new("cisco_asa", Some("cisco"), Some("firewall"), Some(service));
        let mut messages: HashMap<u32, Vec<Message>> = HashMap::new();
        for (numbers, done, pattern) in MESSAGES {
            for number in numbers.split(' ') {
                let (lead, parts) = compile(pattern);
                let number = number.parse().expect("numbers of the table are numbers");
                messages.entry(number).or_default().push(Message { done: *done, lead, parts });
            }
        }
        Reader {
            asa: kind("asa"),
            aaa: Kind::new("cisco_asa", Some("cisco"), None, Some("aaa")),
            ftd: kind("ftd"),
            messages,
            others: OTHERS
                .iter()
                .map(|pattern| {
                    let (lead, parts) = compile(pattern);
                    Message { done: Done::Told, lead, parts }
                })
                .collect(),
            keys: Keys::new("cisco.ftd.security.", KEYS),
            connection: FieldId::known("cisco.asa.connection_id"),
            acl: FieldId::known("cisco.asa.rule_name"),
            scratch: String::new(),
        }
    }

    fn observed(&self, context: &Context<'_>, product: &str, row: &mut RowBuilder<'_>) {
        row.text(FieldId::OBSERVER_VENDOR, "Cisco");
        row.text(FieldId::OBSERVER_PRODUCT, product);
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        row.text(FieldId::EVENT_CATEGORY, "network");
        // `Apr 27 02:03:03 firewall: %ASA-...`: what looks like a program is the device.
        let header = &context.header;
        if let (None, None, Some(app)) = (header.host, header.procid, header.app) {
            row.text(FieldId::HOST_NAME, app);
        }
    }

    fn message(&mut self, number: u32, text: &str, row: &mut RowBuilder<'_>) {
        if matches!(number, 302_020 | 302_021) && self.icmp(text, row) {
            return;
        }
        let mut found = [("", ""); PARTS_MAX];
        for message in self.messages.get(&number).into_iter().flatten() {
            let Some(count) = fits(message, text, &mut found) else { continue };
            let found = &found[..count];
            let value = |name: &str| found.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| *v);
            self.done(message.done, number, value("v"), row);
            for (name, value) in found {
                capture(name, value, self.connection, self.acl, &mut self.scratch, row);
            }
            match number {
                313_001 | 313_004 | 106_018 | 106_013 => row.text(FieldId::NETWORK_TRANSPORT, "icmp"),
                722_051 => row.copy_first(FieldId::SOURCE_USER_NAME, FieldId::USER_NAME),
                313_008 => row.text(FieldId::NETWORK_TRANSPORT, "ipv6-icmp"),
                _ => {}
            }
            if message.done == Done::Translated {
                translated(value("d"), row);
            }
            self.began(value("w"), value("s"), value("d"), message.done, row);
            return;
        }
        session(text, row);
        if !row.has(FieldId::SOURCE_IP) {
            self.ends(text, row);
        }
    }

    /// The two ends of a message that the table does not have, where both are addresses.
    fn ends(&mut self, text: &str, row: &mut RowBuilder<'_>) {
        let mut found = [("", ""); PARTS_MAX];
        for message in &self.others {
            let Some(count) = fits(message, text, &mut found) else { continue };
            let ends = found[..count].iter().filter(|(name, _)| *name != "x");
            if ends.clone().all(|(_, end)| End::read(end).host.parse::<std::net::IpAddr>().is_ok()) {
                for (name, end) in ends {
                    capture(name, end, self.connection, self.acl, &mut self.scratch, row);
                }
                row.text(FieldId::FLAGS, "guessed");
                return;
            }
        }
    }

    /// Who began: the second end of what was built outbound. Not said where it ends: there the port that a service has tells.
    fn began(&self, way: &str, first: &str, second: &str, done: Done, row: &mut RowBuilder<'_>) {
        if first.is_empty() || second.is_empty() || !matches!(done, Done::Began | Done::Ended) || !row.has(self.connection) {
            return;
        }
        let (from, to) = (End::read(first), End::read(second));
        let turned = match way {
            "outbound" => true,
            "inbound" => false,
            _ => matches!((from.port_number(), to.port_number()), (Some(a), Some(b)) if a < 1024 && b >= 1024),
        };
        let (client, server) = if turned { (to, from) } else { (from, to) };
        for (end, ip, port) in
            [(client, FieldId::CLIENT_IP, FieldId::CLIENT_PORT), (server, FieldId::SERVER_IP, FieldId::SERVER_PORT)]
        {
            if let Ok(host) = end.host.parse() {
                row.ip(ip, host);
                number(row, port, end.port);
            }
        }
    }

    fn done(&self, done: Done, number: u32, verdict: &str, row: &mut RowBuilder<'_>) {
        let (action, kind, outcome) = match done {
            Done::Told => ("", "", ""),
            Done::Denied if number / 1000 == 434 => ("drop", "denied", "failure"),
            Done::Denied => ("deny", "denied", "failure"),
            Done::Permitted => ("permitted", "allowed", "success"),
            Done::Began => ("connection-started", "allowed", "success"),
            Done::Ended => ("flow-expiration", "allowed", "success"),
            Done::Translated => ("address-translation", "info", ""),
            Done::LoggedIn => ("login", "", "success"),
            Done::LoginFailed => ("login", "", "failure"),
            Done::LoggedOut => ("logout", "", ""),
            Done::Asked if verdict.starts_with("permitted") || verdict == "est-allowed" => ("permitted", "allowed", "success"),
            Done::Asked => ("deny", "denied", "failure"),
        };
        let action = if action.is_empty() && number == 750_003 { "error" } else { action };
        for (field, text) in [(FieldId::EVENT_ACTION, action), (FieldId::EVENT_TYPE, kind), (FieldId::EVENT_OUTCOME, outcome)] {
            if !text.is_empty() {
                row.text(field, text);
            }
        }
    }

    /// `Built inbound ICMP connection for faddr 198.51.100.9/0 gaddr 203.0.113.1/0 laddr 10.0.0.1/0 type 8 code 0`: the local end is the
    /// source, as the vendor's mapping has it.
    fn icmp(&self, text: &str, row: &mut RowBuilder<'_>) -> bool {
        let Some([lead, far, global, rest]) = cut(text, ["", "faddr ", " gaddr ", " laddr "]) else { return false };
        let near = &rest[..End::length(rest)];
        let began = lead.starts_with("Built");
        self.done(if began { Done::Began } else { Done::Ended }, 0, "", row);
        row.text(FieldId::NETWORK_TRANSPORT, "icmp");
        let (far, near, global) = (End::read(far), End::read(near), End::read(global));
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, near.host);
        address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, far.host);
        for (end, field) in [(near, FieldId::USER_NAME), (far, FieldId::DESTINATION_USER_NAME)] {
            if !end.user.is_empty() {
                row.text(field, identity(end.user).0);
            }
        }
        if global.host != near.host {
            address(row, FieldId::SOURCE_NAT_IP, FieldId::SOURCE_ADDRESS, global.host);
        }
        let way = lead.split(' ').nth(1).unwrap_or("");
        if began && matches!(way, "inbound" | "outbound") {
            row.text(FieldId::NETWORK_DIRECTION, way);
            let (client, server) = if way == "inbound" { (far, near) } else { (near, far) };
            for (end, ip) in [(client, FieldId::CLIENT_IP), (server, FieldId::SERVER_IP)] {
                if let Ok(host) = end.host.parse() {
                    row.ip(ip, host);
                }
            }
        }
        if let Some([_, kind, code]) = cut(rest, ["", " type ", " code "]) {
            number(row, FieldId::ICMP_TYPE, kind);
            number(row, FieldId::ICMP_CODE, code.split(' ').next().unwrap_or(""));
        }
        true
    }

    /// `Key: value, Key: value`. The device writes the ends before what a sender can forge, and the first value of a key stands.
    fn security_event(&mut self, text: &str, row: &mut RowBuilder<'_>) {
        self.keys.begin();
        let (mut record, mut initiator, mut responder) = ("", None::<u64>, None::<u64>);
        for (key, value) in key_values(text) {
            self.keys.put(key, value, row);
            match key {
                "DNSRecordType" => record = value,
                "InitiatorBytes" => initiator = value.parse().ok(),
                "ResponderBytes" => responder = value.parse().ok(),
                "WebApplication" => keys::lower(row, FieldId::NETWORK_APPLICATION, value, &mut self.scratch),
                _ => {}
            }
        }
        self.keys.finish(row);
        if let (Some(sent), Some(received)) = (initiator, responder) {
            row.uint(FieldId::NETWORK_BYTES, sent.saturating_add(received));
        }
        let record = match record {
            "a host address" => "A",
            "IP6 Address" | "ip6 address" => "AAAA",
            "a domain name pointer" => "PTR",
            "an authoritative name server" => "NS",
            "mail exchange" => "MX",
            "marks the start of a zone of authority" => "SOA",
            "text strings" => "TXT",
            "the canonical name for an alias" => "CNAME",
            "Server Selection" => "SRV",
            other => other,
        };
        if !record.is_empty() {
            row.text(FieldId::DNS_QUESTION_TYPE, record);
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["cisco_asa"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(6)
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["%ASA-"], &["%FTD-"], &["%FWSM-"], &["%PIX-"]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        let Some((lead, rest)) = message.split_once('%') else { return false };
        if !super::ios::is_lead(lead) {
            return false;
        }
        let Some((product, rest)) = rest.split_once('-').filter(|(p, _)| matches!(*p, "ASA" | "FTD" | "FWSM" | "PIX")) else {
            return false;
        };
        // `%ASA-6-302013: ...`, and with a class in newer releases: `%ASA-session-6-302013: ...`.
        let Some((lead, text)) = rest.split_once(':') else { return false };
        let mut parts = lead.rsplit('-');
        let (Some(code), Some(level)) = (parts.next(), parts.next()) else { return false };
        if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) || level.len() != 1 {
            return false;
        }
        let text = text.trim();
        if code.starts_with("109") || code.starts_with("113") { self.aaa } else { self.asa }.mark(row);
        self.observed(context, if product == "FTD" { "ftd" } else { "asa" }, row);
        row.text(FieldId::EVENT_CODE, code);
        number(row, FieldId::EVENT_SEVERITY, level);
        if code.starts_with("43000") {
            self.ftd.mark(row);
            self.security_event(text, row);
        } else {
            row.text(FieldId::MESSAGE, text);
            let number = code.parse().unwrap_or(0);
            self.message(number, text, row);
        }
        true
    }
}

/// What a translation's second end is: no destination, though the vendor's mapping to fields has it there, but the source as others see it.
fn translated(end: &str, row: &mut RowBuilder<'_>) {
    let end = End::read(end);
    if let Ok(ip) = end.host.parse() {
        row.ip(FieldId::SOURCE_NAT_IP, ip);
        number(row, FieldId::SOURCE_NAT_PORT, end.port);
    }
}

/// Messages of no pattern that name a session at their start: `Group <G> User <U> IP <A> ...`, `Group = G, Username = U, IP = A, ...`.
fn session(text: &str, row: &mut RowBuilder<'_>) {
    if let Some(rest) = text.strip_prefix("Group <")
        && let Some([group, rest]) = cut(rest, ["", "> User <"])
        && let Some((user, ip)) = rest.rsplit_once("> IP <")
    {
        row.text(FieldId::GROUP_NAME, group);
        capture_user(user, row);
        let ip = ip.split('>').next().unwrap_or("");
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, ip);
        return;
    }
    let mut rest = text;
    for (lead, field) in [("Group = ", FieldId::GROUP_NAME), ("Username = ", FieldId::USER_NAME), ("IP = ", FieldId::SOURCE_IP)] {
        let Some((value, after)) = rest.strip_prefix(lead).and_then(|r| r.split_once(", ")) else { continue };
        match lead {
            "IP = " => address(row, field, FieldId::SOURCE_ADDRESS, value),
            "Username = " => capture_user(value, row),
            _ => row.text(field, value),
        }
        rest = after;
    }
}

fn capture_user(user: &str, row: &mut RowBuilder<'_>) {
    let (domain, name) = keys::account(user);
    row.text(FieldId::USER_NAME, name);
    if let Some(domain) = domain {
        row.text(FieldId::USER_DOMAIN, domain);
    }
}

/// Pairs of `Key: value, Key: value`; a value ends where `, Key: ` begins.
fn key_values(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        let (key, after) = rest.split_once(": ").filter(|(key, _)| is_key(key))?;
        let mut from = 0;
        let (value, next) = loop {
            let Some(comma) = after[from..].find(", ").map(|at| from + at) else { break (after, "") };
            let tail = &after[comma + 2..];
            if tail.split_once(": ").is_some_and(|(key, _)| is_key(key)) {
                break (&after[..comma], tail);
            }
            from = comma + 2;
        };
        rest = next;
        Some((key, value.trim()))
    })
}

/// A key: a word that begins with a capital, or two (`Prefilter Policy`).
fn is_key(text: &str) -> bool {
    let mut words = text.split(' ');
    let word = |word: &str| {
        word.len() <= 40
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    words.next().is_some_and(word) && words.next().is_none_or(word) && words.next().is_none()
}
