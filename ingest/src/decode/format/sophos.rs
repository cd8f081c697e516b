//! Sophos Firewall (Sophos, "Syslog guide for Sophos Firewall"): `device="SFW" date=... time=... log_id=...`, or in newer releases
//! `device_name="SFW" timestamp="..." ... log_id="..."`. Every key is kept as `sophos.xg.*`.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address};
use crate::decode::keys::{self, Keys};
use crate::decode::pairs::pairs;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    firewall: Kind,
    other: Kind,
    keys: Keys,
    scratch: String,
}

const KEYS: &str = "
    src_ip | sourceip = source.ip:ip
    remote_ip = source.ip:ip?
    remoteinterfaceip | ipaddress | client_ip = source.ip:ip?
    dst_ip | destinationip = destination.ip:ip
    localinterfaceip = destination.ip:ip?
    src_port = source.port:int
    dst_port = destination.port:int
    src_mac = source.mac
    dst_mac = destination.mac
    client_physical_address = source.mac?
    client_host_name = source.domain?
    src_domainname = source.domain
    dst_domainname = destination.domain
    protocol = network.transport:transport
    application = network.protocol:lower network.application
    application_name | app_name = network.application
    sent_pkts | packets_sent = source.packets:int
    recv_pkts | packets_received = destination.packets:int
    sent_bytes | bytes_sent = source.bytes:int
    recv_bytes | bytes_received = destination.bytes:int
    in_interface = observer.ingress.interface.name
    out_interface = observer.egress.interface.name
    srczone | src_zone = observer.ingress.zone
    dstzone | dst_zone = observer.egress.zone
    device_id | device_serial_id = observer.serial_number
    status = event.outcome:outcome
    priority | severity = log.level:lower
    fw_rule_id | firewall_rule_id = rule.id
    fw_rule_name | firewall_rule_name = rule.name
    idp_policy_id | ips_policy_id
    policy_type = rule.ruleset
    signature_id = rule.id
    signature_msg = rule.name
    classification = rule.category
    category = rule.category?
    threatname | threat | virus | virus_name = rule.description
    user_name | username | user = user.name
    user_gp | usergroupname | user_group = group.name
    url = url.original:uri
    domain | dstdomain = url.domain
    contenttype | content_type = http.response.mime_type
    httpresponsecode | httpstatus | http_status | status_code = http.response.status_code:int
    useragent | user_agent = user_agent.original
    referer = http.request.referrer
    method = http.request.method
    server = url.domain?
    filename | file_name = file.name
    FTP_url | file_path = file.path
    file_size | filesize = file.size:int
    filetype | file_type = file.mime_type
    sha1sum = file.hash.sha1
    sha256sum = file.hash.sha256
    from_email_address | sender = email.from.address
    to_email_address | recipient = email.to.address
    email_subject | subject = email.subject
    mailid | message_id = email.message_id
    eventid = event.id
    icmp_type = icmp.type:int
    icmp_code = icmp.code:int
    message = message
    reason = event.reason
    duration = event.duration:seconds
    log_id
    log_type
    log_component
    log_subtype
    tran_src_ip
    tran_dst_ip
    tran_src_port
    tran_dst_port
";

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            firewall: Kind::new("sophos_xg", Some("sophos"), Some("firewall"), None),
            other: Kind::new("sophos_xg", Some("sophos"), None, None),
            keys: Keys::new("sophos.xg.", KEYS),
            scratch: String::new(),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["sophos_xg"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("device")
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["device", "SF", " log_id="], &["device_name=", " log_component=", " log_id="]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        let first = pairs(message).next();
        // In newer releases `device_name` is the name that the administrator gave.
        let named = || message.contains(" log_component=");
        if !first.is_some_and(|pair| match pair.key {
            "device" => pair.value.starts_with("SF"),
            "device_name" => pair.value.starts_with("SF") || named(),
            _ => false,
        }) || !message.contains(" log_id=")
        {
            return false;
        }
        row.text(FieldId::OBSERVER_VENDOR, "Sophos");
        row.text(FieldId::OBSERVER_PRODUCT, "XG");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        self.keys.begin();
        let (mut kind, mut component, mut subtype, mut id) = ("", "", "", "");
        let (mut date, mut time, mut zone, mut instant) = ("", "", "", "");
        let (mut sent, mut received) = (None::<u64>, None::<u64>);
        let mut origin = "";
        for pair in pairs(message) {
            match pair.key {
                "log_type" => kind = pair.value,
                "log_component" => component = pair.value,
                "log_subtype" => subtype = pair.value,
                "log_id" => id = pair.value,
                "date" => date = pair.value,
                "time" => time = pair.value,
                "timezone" => zone = pair.value,
                "timestamp" => instant = pair.value,
                "sent_bytes" | "bytes_sent" => sent = pair.value.parse().ok(),
                "recv_bytes" | "bytes_received" => received = pair.value.parse().ok(),
                "source" => origin = pair.value,
                _ => {}
            }
            self.keys.put(pair.key, pair.value.trim(), row);
            match pair.key {
                "tran_src_ip" => translated(FieldId::SOURCE_NAT_IP, pair.value, row),
                "tran_dst_ip" => translated(FieldId::DESTINATION_NAT_IP, pair.value, row),
                "tran_src_port" if pair.value != "0" => super::number(row, FieldId::SOURCE_NAT_PORT, pair.value),
                "tran_dst_port" if pair.value != "0" => super::number(row, FieldId::DESTINATION_NAT_PORT, pair.value),
                "signature_id" => row.text(FieldId::RULE_ID, pair.value),
                "signature_msg" => row.text(FieldId::RULE_NAME, pair.value),
                _ => {}
            }
        }
        self.keys.finish(row);
        if kind == "Firewall" { self.firewall } else { self.other }.mark(row);
        row.text(FieldId::EVENT_CATEGORY, if subtype == "Authentication" { "authentication" } else { "network" });
        if !row.has(FieldId::LOG_LEVEL) && subtype == "Alert" {
            row.text(FieldId::LOG_LEVEL, "alert");
        }
        // The log's id and, within it, the message's (its last five digits).
        if !id.is_empty() {
            row.text(FieldId::EVENT_CODE, id);
            if id.len() == 12 && id.is_ascii() {
                row.text(FieldId::EVENT_CODE, &id[7..]);
            }
        }
        if !subtype.is_empty() {
            row.text(FieldId::EVENT_ACTION, subtype);
            if let Some(verdict) = keys::verdict(subtype) {
                row.text(FieldId::EVENT_TYPE, verdict);
            }
        }
        // What an engine of its own looked into says which protocol it was.
        if !self.keys.has(FieldId::NETWORK_PROTOCOL) && matches!(kind, "Anti-Virus" | "Anti-Spam" | "Content Filtering" | "WAF") {
            // The web engine calls both HTTP; the URL tells.
            match row.get(FieldId::URL_SCHEME) {
                Some(_) if component == "HTTP" => row.copy_first(FieldId::URL_SCHEME, FieldId::NETWORK_PROTOCOL),
                _ => keys::lower(row, FieldId::NETWORK_PROTOCOL, component, &mut self.scratch),
            }
        }
        // The sandbox names where the file came from.
        if kind == "Sandbox" && !origin.is_empty() {
            address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_ADDRESS, origin);
            row.text(FieldId::URL_DOMAIN, origin);
        }
        if !row.has(FieldId::URL_DOMAIN) {
            row.copy_first(FieldId::SOURCE_DOMAIN, FieldId::URL_DOMAIN);
        }
        if let (Some(sent), Some(received)) = (sent, received) {
            row.uint(FieldId::NETWORK_BYTES, sent.saturating_add(received));
        }
        let stamp = match instant {
            "" => stamp::assemble(date, time, zone),
            instant => stamp::iso(instant).map(|(stamp, _)| stamp),
        };
        context.set_time(row, stamp);
        true
    }
}

/// `0.0.0.0` and nothing stand for an end that is not translated.
fn translated(field: FieldId, value: &str, row: &mut RowBuilder<'_>) {
    if let Ok(ip) = value.parse::<std::net::IpAddr>()
        && !ip.is_unspecified()
    {
        row.ip(field, ip);
    }
}
