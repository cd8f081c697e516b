//! Juniper SRX (Junos, "System Log Explorer"): security logs with structured data, `[junos@2636.1.1.1.2.41 source-address="..." ...]`,
//! and the session logs as text, `RT_FLOW_SESSION_CREATE: session created A/1->B/2 ...`. Every parameter is kept as `juniper.srx.*`.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number};
use crate::decode::cut::{between, cut, word};
use crate::decode::keys::{self, Keys};
use crate::decode::pairs::pairs;
use crate::decode::text::Context;

pub(super) struct Reader {
    flow: Kind,
    idp: Kind,
    utm: Kind,
    other: Kind,
    keys: Keys,
    tag: FieldId,
    process: FieldId,
}

/// The processes that log as the security services do.
const PROCESSES: [&str; 14] = [
    "RT_FLOW",
    "RT_IDP",
    "RT_IDS",
    "RT_UTM",
    "RT_AAMW",
    "RT_SECINTEL",
    "RT_SCREEN",
    "RT_SCTP",
    "RT_GTP",
    "RT_ALG",
    "RT_NAT",
    "RT_DNS",
    "RT_SRC_NAT_PBA",
    "RT_IPSEC",
];

const KEYS: &str = "
    source-address = source.ip:ip
    client-ip = source.ip:ip?
    source-port = source.port:int
    destination-address = destination.ip:ip
    destination-port = destination.port:int
    nat-source-port
    nat-destination-port
    nat-source-address
    nat-destination-address
    protocol-id = network.transport:transport
    protocol-name = network.transport:transport
    protocol = network.protocol:lower
    service-name
    application | application-name = network.application
    nested-application
    source-zone-name | source-zone = observer.ingress.zone
    destination-zone-name | destination-zone = observer.egress.zone
    source-interface-name | packet-incoming-interface | interface-name = observer.ingress.interface.name
    destination-interface-name = observer.egress.interface.name
    policy-name = rule.name
    profile-name | profile = rule.ruleset
    rulebase-name | ruleebase-name = rule.ruleset
    rule-name = rule.id
    category = rule.category
    attack-name | name | threat-name = rule.description
    packets-from-client | inbound-packets = source.packets:int
    bytes-from-client | inbound-bytes = source.bytes:int
    packets-from-server | outbound-packets = destination.packets:int
    bytes-from-server | outbound-bytes = destination.bytes:int
    elapsed-time = event.duration:seconds
    reason = event.reason
    username = user.name source.user.name
    user-name = user.name?
    hostname | source-name = source.domain
    http-host = url.domain
    url = url.domain?
    obj = url.path
    filename | file-name = file.name
    sample-sha256 = file.hash.sha256
    sender-address = email.from.address
    recipient-address = email.to.address
    threat-severity | verdict-number
    action
    icmp-type = icmp.type:int
    session-id-32 | session-id = network.session_id
    message = message
";

impl Reader {
    pub(super) fn new() -> Reader {
        let kind = |service| Kind::new("juniper_srx", Some("juniper"), Some("firewall"), Some(service));
        Reader {
            flow: kind("flow"),
            idp: kind("idp"),
            utm: kind("utm"),
            other: kind("srx"),
            keys: Keys::new("juniper.srx.", KEYS),
            tag: FieldId::known("juniper.srx.tag"),
            process: FieldId::known("juniper.srx.process"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["juniper_srx"]
    }

    fn recognise(&self) -> Recognise {
        PROCESSES.iter().fold(Recognise::new(), |recognise, process| recognise.app(process))
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let header = &context.header;
        let app = header.app.unwrap_or("");
        if !app.starts_with("RT_") {
            return false;
        }
        // With structured data the tag is the message's id; as text it stands first.
        let (tag, parameters) = match (header.msgid, header.structured) {
            (Some(tag), Some(structured)) => (tag, structured),
            (Some(tag), None) => (tag, header.message),
            (None, _) => match header.message.trim_start().split_once(": ") {
                Some((tag, text)) => (tag, text),
                None => return false,
            },
        };
        if tag.is_empty() || !tag.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
            return false;
        }
        match app {
            "RT_FLOW" => self.flow,
            "RT_IDP" | "RT_IDS" => self.idp,
            "RT_UTM" => self.utm,
            _ => self.other,
        }
        .mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Juniper");
        row.text(FieldId::OBSERVER_PRODUCT, "SRX");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        row.text(FieldId::EVENT_CATEGORY, "network");
        if let Some(host) = header.host {
            row.text(FieldId::OBSERVER_NAME, host);
        }
        row.text(self.process, app);
        row.text(self.tag, tag);
        row.text(FieldId::EVENT_CODE, tag);
        let (mut action, mut bytes, mut packets) = ("", None::<u64>, None::<u64>);
        self.keys.begin();
        if parameters.starts_with('[') {
            // A policy is named by `policy-name`; intrusion prevention has the rule base for its rules' name.
            if app == "RT_IDP" {
                self.keys.claim(FieldId::RULE_NAME);
            }
            let rest = parameters.trim_matches(['[', ']']);
            let rest = match rest.split_once(' ') {
                Some((id, rest)) if !id.contains('=') => rest,
                _ => rest,
            };
            for pair in pairs(rest) {
                let value = pair.value.trim();
                let value = if matches!(value, "None" | "UNKNOWN") { "" } else { value };
                self.keys.put(pair.key, value, row);
                match pair.key {
                    "action" => action = value,
                    "rulebase-name" | "ruleebase-name" if app == "RT_IDP" => row.text(FieldId::RULE_NAME, value),
                    "bytes-from-client" | "bytes-from-server" => {
                        bytes = Some(bytes.unwrap_or(0).saturating_add(value.parse().unwrap_or(0)));
                    }
                    "packets-from-client" | "packets-from-server" => {
                        packets = Some(packets.unwrap_or(0).saturating_add(value.parse().unwrap_or(0)));
                    }
                    "nat-source-address" => translated(FieldId::SOURCE_NAT_IP, value, row),
                    "nat-destination-address" => translated(FieldId::DESTINATION_NAT_IP, value, row),
                    "nat-source-port" if value != "0" => number(row, FieldId::SOURCE_NAT_PORT, value),
                    "nat-destination-port" if value != "0" => number(row, FieldId::DESTINATION_NAT_PORT, value),
                    _ => {}
                }
            }
        } else {
            row.text(FieldId::MESSAGE, parameters);
            text(tag, parameters, row);
        }
        self.keys.finish(row);
        if let Some(bytes) = bytes {
            row.uint(FieldId::NETWORK_BYTES, bytes);
        }
        if let Some(packets) = packets {
            row.uint(FieldId::NETWORK_PACKETS, packets);
        }
        done(tag, action, row);
        true
    }
}

fn translated(field: FieldId, value: &str, row: &mut RowBuilder<'_>) {
    if let Ok(ip) = value.parse::<std::net::IpAddr>()
        && !ip.is_unspecified()
    {
        row.ip(field, ip);
    }
}

/// What the tag says happened, and what the device did.
fn done(tag: &str, action: &str, row: &mut RowBuilder<'_>) {
    let has = |part: &str| tag.contains(part);
    let (event, kind) = match () {
        () if has("SESSION_CREATE") => ("flow_started", "allowed"),
        () if has("SESSION_CLOSE") => ("flow_close", "allowed"),
        () if has("SESSION_DENY") => ("flow_deny", "denied"),
        () if has("SESSION_VOL_UPDATE") || has("SESSION_ROUTE_UPDATE") => ("flow_update", "allowed"),
        () if has("WEBFILTER") => ("web_filter", if has("BLOCKED") { "denied" } else { "allowed" }),
        () if has("AV_VIRUS") => ("virus_detected", "denied"),
        () if has("ANTISPAM") => ("antispam_filter", "denied"),
        () if has("CONTENT_FILTERING") => ("content_filter", "denied"),
        () if has("APPDDOS") => ("application_ddos", ""),
        () if has("IDP_ATTACK") => ("security_threat", ""),
        () if has("AAMW") || has("SECINTEL") => ("malware_detected", ""),
        () if has("SCREEN_ICMP") || has("SCREEN_UDP") || has("SCREEN_TCP") => ("screen_detected", ""),
        () if has("SCREEN_IP") => ("tunneling_screen", ""),
        () => ("", ""),
    };
    if !event.is_empty() {
        row.text(FieldId::EVENT_ACTION, event);
    }
    if !action.is_empty() {
        row.text(FieldId::EVENT_ACTION, action);
    }
    match crate::decode::keys::verdict(action) {
        Some(verdict) => row.text(FieldId::EVENT_TYPE, verdict),
        None if !kind.is_empty() => row.text(FieldId::EVENT_TYPE, kind),
        None => {}
    }
}

/// The session logs as text: `session created A/1->B/2 [0x0] SERVICE A'/1->B'/2 [0x0] RULE ... PROTOCOL POLICY FROM TO ID USER(ROLE)
/// INTERFACE ...`; `session closed REASON: A/1->B/2 ...`; `session denied A/1->B/2 [0x0] SERVICE PROTOCOL(ICMP) POLICY FROM TO ...`.
fn text(tag: &str, text: &str, row: &mut RowBuilder<'_>) {
    let rest = match () {
        () if tag.contains("SESSION_CREATE") => text.strip_prefix("session created "),
        () if tag.contains("SESSION_DENY") => text.strip_prefix("session denied "),
        () if tag.contains("SESSION_CLOSE") => match cut(text, ["session closed ", ": "]) {
            Some([reason, rest]) => {
                row.text(FieldId::EVENT_REASON, reason);
                Some(rest)
            }
            None => None,
        },
        () => None,
    };
    let Some(rest) = rest else { return sentence(text, row) };
    // A connection tag stands behind the ends in newer releases.
    let mut words = rest.split(' ').filter(|word| !word.is_empty() && !word.starts_with("0x"));
    let Some((from, to)) = words.next().and_then(|ends| ends.split_once("->")) else { return };
    end(from, FieldId::SOURCE_IP, FieldId::SOURCE_PORT, FieldId::SOURCE_ADDRESS, row);
    end(to, FieldId::DESTINATION_IP, FieldId::DESTINATION_PORT, FieldId::DESTINATION_ADDRESS, row);
    words.next(); // The service.
    if tag.contains("SESSION_DENY") {
        let protocol = words.next().unwrap_or("").split('(').next().unwrap_or("");
        policy(protocol, &mut words, row);
        return;
    }
    if let Some((from, to)) = words.next().and_then(|ends| ends.split_once("->")) {
        end(from, FieldId::SOURCE_NAT_IP, FieldId::SOURCE_NAT_PORT, FieldId::SOURCE_ADDRESS, row);
        end(to, FieldId::DESTINATION_NAT_IP, FieldId::DESTINATION_NAT_PORT, FieldId::DESTINATION_ADDRESS, row);
    }
    // One or two words name each translation rule; the protocol is the first number behind them.
    if let Some(protocol) = words.find(|word| word.bytes().all(|b| b.is_ascii_digit())) {
        policy(protocol, &mut words, row);
    }
    // `ID PACKETS(BYTES) PACKETS(BYTES) SECONDS` where it ends, `ID USER(ROLES) INTERFACE` where it begins.
    words.next();
    let Some((first, sent)) = words.next().and_then(in_brackets) else { return };
    if tag.contains("SESSION_CREATE") {
        if !matches!(first, "N/A" | "UNKNOWN") {
            row.text(FieldId::USER_NAME, first);
            row.text(FieldId::SOURCE_USER_NAME, first);
        }
        if let Some(interface) = words.next() {
            row.text(FieldId::OBSERVER_INGRESS_INTERFACE_NAME, interface);
        }
        return;
    }
    number(row, FieldId::SOURCE_PACKETS, first);
    number(row, FieldId::SOURCE_BYTES, sent);
    if let Some((packets, bytes)) = words.next().and_then(in_brackets) {
        number(row, FieldId::DESTINATION_PACKETS, packets);
        number(row, FieldId::DESTINATION_BYTES, bytes);
        if let (Ok(sent), Ok(received)) = (sent.parse::<u64>(), bytes.parse::<u64>()) {
            row.uint(FieldId::NETWORK_BYTES, sent.saturating_add(received));
        }
    }
    if let Some(seconds) = words.next().and_then(|word| word.parse::<u64>().ok()) {
        row.uint(FieldId::EVENT_DURATION, seconds.saturating_mul(1_000_000_000));
    }
}

/// `A(B)`
fn in_brackets(word: &str) -> Option<(&str, &str)> {
    word.strip_suffix(')')?.split_once('(')
}

/// What stands behind `lead`, up to a comma or a blank.
fn behind<'t>(text: &'t str, lead: &str) -> Option<&'t str> {
    let rest = &text[text.find(lead)? + lead.len()..];
    Some(rest.split([',', ' ']).next().unwrap_or(rest)).filter(|value| !matches!(*value, "" | "N/A" | "NONE" | "UNKNOWN"))
}

/// Screens, content security and intrusion prevention as text: `... source: A:1, destination: B:2, zone name: Z, interface name: I,
/// action: drop`; `... A(1)->B(2) CATEGORY="C" URL=U ... USERNAME=N`; `... from A:1 to B:2 source-zone Z ... file F ...`;
/// `... <A/1->B/2> for TCP protocol ... rulebase R in policy P. attack: ..., name=N, ... intf:ZONE:IF->ZONE:IF`.
fn sentence(text: &str, row: &mut RowBuilder<'_>) {
    let ends = behind(text, "source: ")
        .zip(behind(text, "destination: "))
        .or_else(|| cut(text, [" from ", " to "]).map(|[from, to]| (from, word(to))))
        .or_else(|| {
            text.split(' ').find_map(|word| {
                word.trim_matches(['<', '>']).split_once("->").filter(|(from, _)| from.contains(['(', '/', ':']))
            })
        });
    if let Some((from, to)) = ends {
        for (end, ip, port, name) in [
            (from, FieldId::SOURCE_IP, FieldId::SOURCE_PORT, FieldId::SOURCE_ADDRESS),
            (to, FieldId::DESTINATION_IP, FieldId::DESTINATION_PORT, FieldId::DESTINATION_ADDRESS),
        ] {
            match in_brackets(end) {
                Some((host, digits)) => {
                    address(row, ip, name, host);
                    number(row, port, digits);
                }
                None if end.contains('/') => self::end(end, ip, port, name, row),
                None => {
                    let (host, digits) = keys::endpoint(end);
                    address(row, ip, name, host);
                    if let Some(digits) = digits {
                        row.uint(port, digits.into());
                    }
                }
            }
        }
    }
    for (lead, field) in [
        ("zone name: ", FieldId::OBSERVER_INGRESS_ZONE),
        ("source-zone ", FieldId::OBSERVER_INGRESS_ZONE),
        ("interface name: ", FieldId::OBSERVER_INGRESS_INTERFACE_NAME),
        ("action: ", FieldId::EVENT_ACTION),
        ("action=", FieldId::EVENT_ACTION),
        (" URL=", FieldId::URL_DOMAIN),
        (" OBJ=", FieldId::URL_PATH),
        (" USERNAME=", FieldId::USER_NAME),
        (" username=", FieldId::USER_NAME),
        (" username ", FieldId::USER_NAME),
        (" file ", FieldId::FILE_NAME),
        (" virus ", FieldId::RULE_DESCRIPTION),
        (" name=", FieldId::RULE_DESCRIPTION),
        (" in policy ", FieldId::RULE_NAME),
        (" rulebase ", FieldId::RULE_RULESET),
    ] {
        if !row.has(field)
            && let Some(value) = behind(text, lead)
        {
            row.text(field, value.trim_end_matches('.'));
        }
    }
    if let Some(protocol) = between(text, "> for ", " protocol ").filter(|protocol| !protocol.contains(' ')) {
        let lower = match protocol {
            "TCP" => "tcp",
            "UDP" => "udp",
            "ICMP" => "icmp",
            other => other,
        };
        row.text(FieldId::NETWORK_TRANSPORT, lower);
    }
    // `intf:trust:ge-0/0/1.0->untrust:ge-0/0/2.0`
    if let Some((from, to)) = behind(text, " intf:").and_then(|ends| ends.split_once("->")) {
        for (end, zone, interface) in [
            (from, FieldId::OBSERVER_INGRESS_ZONE, FieldId::OBSERVER_INGRESS_INTERFACE_NAME),
            (to, FieldId::OBSERVER_EGRESS_ZONE, FieldId::OBSERVER_EGRESS_INTERFACE_NAME),
        ] {
            if let Some((name, port)) = end.split_once(':') {
                row.text(zone, name);
                row.text(interface, port);
            }
        }
    }
}

fn policy<'t>(protocol: &str, words: &mut impl Iterator<Item = &'t str>, row: &mut RowBuilder<'_>) {
    let mut scratch = String::new();
    crate::decode::keys::transport(row, protocol, &mut scratch);
    for field in [FieldId::RULE_NAME, FieldId::OBSERVER_INGRESS_ZONE, FieldId::OBSERVER_EGRESS_ZONE] {
        if let Some(word) = words.next() {
            row.text(field, word);
        }
    }
}

fn end(text: &str, ip: FieldId, port: FieldId, name: FieldId, row: &mut RowBuilder<'_>) {
    let (host, number_text) = text.rsplit_once('/').unwrap_or((text, ""));
    address(row, ip, name, host);
    number(row, port, number_text);
}
