//! Check Point's Log Exporter (Check Point, "Log Exporter", sk122323): `[action:"Accept"; flags:"444676"; ...]` behind a syslog header
//! whose program is `CheckPoint`, or `time=...|hostname=...|product=...` in its splunk form. Every key is kept as `checkpoint.*`.

use std::net::IpAddr;

use event::{FieldId, RowBuilder, Time};

use super::{Kind, Recognise, number};
use crate::decode::keys::Keys;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    keys: Keys,
}

/// Check Point's log fields (sk144192).
const KEYS: &str = "
    action = event.action:verdict
    src = source.ip:ip
    client_ip | endpoint_ip | src_ip = source.ip:ip?
    dst = destination.ip:ip
    dst_ip = destination.ip:ip?
    s_port = source.port:int
    service = destination.port:int
    d_port = destination.port:int?
    proto = network.transport:transport
    service_id = network.application
    appi_name = network.application?
    mac_source_address = source.mac
    mac_destination_address = destination.mac
    src_machine_name = source.domain
    dst_machine_name | dst_domain_name = destination.domain
    domain = dns.question.name?
    dns_query = dns.question.name
    dns_type = dns.question.type
    origin = observer.name
    origin_ip = observer.ip:ip
    inzone = observer.ingress.zone
    outzone = observer.egress.zone
    client_inbound_interface = observer.ingress.interface.name?
    server_outbound_interface = observer.egress.interface.name?
    loguid = event.id
    rule_uid = rule.uuid
    dlp_rule_uid = rule.uuid?
    rule_name = rule.name
    malware_rule_name | app_rule_name | dlp_rule_name = rule.name?
    objectname = rule.name?
    rule = rule.id
    malware_rule_id | app_rule_id = rule.id?
    layer_name = rule.ruleset
    smartdefense_profile = rule.ruleset?
    matched_category | categories = rule.category
    protection_name = rule.description
    client_outbound_bytes = source.bytes:int
    server_outbound_bytes = destination.bytes:int
    sent_bytes = source.bytes:int?
    received_bytes = destination.bytes:int?
    client_outbound_packets = source.packets:int
    server_outbound_packets = destination.packets:int
    bytes = network.bytes:int
    packets = network.packets:int
    elapsed = event.duration:seconds
    user | src_user_name = user.name
    administrator = user.name?
    xauth_user | snid | user_name = user.name?
    user_group | src_user_group = group.name
    dst_user_name = destination.user.name
    from = email.from.address
    to = email.to.address
    email_subject = email.subject
    email_id | email_message_id = email.message_id
    file_name = file.name
    file_md5 = file.hash.md5
    file_sha1 = file.hash.sha1
    file_sha256 = file.hash.sha256
    file_size = file.size:int
    file_type = file.type
    resource = url.original:url
    method = http.request.method
    referrer = http.request.referrer
    user_agent | web_client_type = user_agent.original
    http_status = http.response.status_code:int
    host_ip = host.ip:ip
    os_name = host.os.name
    os_version = host.os.version
    process_name = process.name
    process_md5 = process.hash.md5
    parent_process_name = process.parent.name
    parent_process_md5 = process.parent.hash.md5
    icmp_type = icmp.type:int
    icmp_code = icmp.code:int
    audit_status | auth_status | status = event.outcome:outcome
    reason | action_reason | description = event.reason
    message_info | sys_message | operation | information = message
    severity = event.severity:int
    industry_reference = vulnerability.id
    ifdir
    ifname
    xlatesrc
    xlatedst
    xlatesport
    xlatedport
    time
    product
    flags
";

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { kind: Kind::new("checkpoint", Some("checkpoint"), Some("firewall"), None), keys: Keys::new("checkpoint.", KEYS) }
    }

    fn write<'t>(&mut self, pairs: impl Iterator<Item = (&'t str, &'t str)>, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        self.kind.mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Checkpoint");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        row.text(FieldId::EVENT_CATEGORY, "network");
        self.keys.begin();
        let (mut interface, mut direction, mut time) = ("", "", None);
        for (key, value) in pairs {
            self.keys.put(key, value, row);
            match key {
                "ifname" => interface = value,
                "ifdir" => direction = value,
                "product" => row.text(FieldId::OBSERVER_PRODUCT, value),
                "time" => time = value.parse::<i64>().ok(),
                "xlatesrc" => translated(FieldId::SOURCE_NAT_IP, value, row),
                "xlatedst" => translated(FieldId::DESTINATION_NAT_IP, value, row),
                "xlatesport" if value != "0" => number(row, FieldId::SOURCE_NAT_PORT, value),
                "xlatedport" if value != "0" => number(row, FieldId::DESTINATION_NAT_PORT, value),
                _ => {}
            }
        }
        if !interface.is_empty() {
            let (field, way) = match direction {
                "outbound" => (FieldId::OBSERVER_EGRESS_INTERFACE_NAME, "outbound"),
                _ => (FieldId::OBSERVER_INGRESS_INTERFACE_NAME, "inbound"),
            };
            self.keys.claim(field);
            row.text(field, interface);
            row.text(FieldId::NETWORK_DIRECTION, way);
        }
        self.keys.finish(row);
        // The exporter's own time has a year and a zone.
        if context.header.stamp.is_none_or(|stamp| !stamp.has_offset())
            && let Some(time) = time.filter(|t| (1_000_000_000..10_000_000_000).contains(t))
        {
            row.time(Time::from_unix_s(time));
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["checkpoint"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().app("CheckPoint").starts("[").starts("time=")
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&[":\"", "\"; "], &["time=", "|product="]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let header = &context.header;
        let text = header.structured.unwrap_or(header.message).trim();
        if let Some(text) = text.strip_prefix('[').filter(|text| is_quoted(text)) {
            self.write(quoted(text), context, row);
            return true;
        }
        if is_quoted(text) && header.app == Some("CheckPoint") {
            self.write(quoted(text), context, row);
            return true;
        }
        if is_piped(text) {
            self.write(text.split('|').filter_map(|pair| pair.split_once('=')), context, row);
            return true;
        }
        false
    }
}

/// `0.0.0.0` stands for an end that is not translated.
fn translated(field: FieldId, value: &str, row: &mut RowBuilder<'_>) {
    if let Ok(ip) = value.parse::<IpAddr>()
        && !ip.is_unspecified()
    {
        row.ip(field, ip);
    }
}

/// Whether the text begins `word:"...";` as the exporter's syslog form does.
fn is_quoted(text: &str) -> bool {
    let Some((key, rest)) = text.split_once(":\"") else { return false };
    !key.is_empty() && key.len() <= 64 && key.bytes().all(is_key_byte) && rest.contains("\"; ")
}

/// Whether the text is the exporter's splunk form: it begins with the time, and names the product and the log's id or place.
fn is_piped(text: &str) -> bool {
    text.starts_with("time=") && text.contains("|product=") && (text.contains("|loguid=") || text.contains("|sequencenum="))
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ')
}

/// Pairs of the syslog form: `key:"value"; key:"value"]`, within a value a backslash before `"`, `]` and itself. Some keys have two
/// colons.
fn quoted(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (key, after) = rest.split_once(":\"")?;
        let bytes = after.as_bytes();
        let mut at = 0;
        let end = loop {
            match memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or(&[])) {
                None => break after.len(),
                Some(found) if bytes[at + found] == b'\\' => at += found + 2,
                // A quote that no separator follows was not escaped.
                Some(found) => match bytes.get(at + found + 1) {
                    None | Some(b';' | b']') => break at + found,
                    Some(_) => at += found + 1,
                },
            }
        };
        rest = after.get(end + 1..).unwrap_or("");
        Some((key.trim_start_matches([';', ' ']).trim_end_matches(':'), &after[..end]))
    })
}
