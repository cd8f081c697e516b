//! FortiOS logs (Fortinet, "FortiOS Log Message Reference"): key=value pairs that begin with the date or the device, traffic, UTM and
//! event logs alike. Every vendor field is kept as `fortinet.firewall.*` beside its ECS name.

use event::{FieldId, RowBuilder, Time};

use super::{Kind, Recognise, address, number, some_text, transport};
use crate::decode::names::Names;
use crate::decode::pairs::pairs;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    traffic: Kind,
    utm: Kind,
    event: Kind,
    native: Names,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            traffic: Kind::new("fortigate", Some("fortigate"), Some("firewall"), Some("traffic")),
            utm: Kind::new("fortigate", Some("fortigate"), Some("firewall"), Some("utm")),
            event: Kind::new("fortigate", Some("fortigate"), None, Some("event")),
            native: Names::new("fortinet.firewall."),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["fortigate"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything()
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        // The structure: its first keys are date, time, devname, devid, logid, type, in some order; `logver` and others may be among them.
        let (mut device, mut kind, mut id) = (false, "", false);
        for pair in pairs(message).take(16) {
            match pair.key {
                "devname" | "devid" => device = true,
                "type" => kind = pair.value,
                "logid" | "log_id" => id = true,
                _ => {}
            }
        }
        if !device || !id || kind.is_empty() {
            return false;
        }
        match kind {
            "traffic" => self.traffic,
            "utm" | "webfilter" | "ips" | "virus" | "app-ctrl" | "dns" => self.utm,
            _ => self.event,
        }
        .mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Fortinet");
        row.text(FieldId::OBSERVER_PRODUCT, "Fortigate");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        let (mut date, mut time, mut zone, mut instant) = ("", "", "", None);
        let (mut sent, mut received, mut packets) = (None::<u64>, None::<u64>, None::<u64>);
        for pair in pairs(message) {
            if let Some(field) = self.native.field(pair.key) {
                row.text(field, pair.value);
            }
            match pair.key {
                "date" => date = pair.value,
                "time" => time = pair.value,
                "tz" => zone = pair.value,
                "eventtime" => instant = epoch(pair.value),
                "sentbyte" => sent = pair.value.parse().ok(),
                "rcvdbyte" => received = pair.value.parse().ok(),
                "sentpkt" | "rcvdpkt" => packets = Some(packets.unwrap_or(0).saturating_add(pair.value.parse().unwrap_or(0))),
                _ => {}
            }
            cell(pair.key, pair.value, row);
        }
        for (field, bytes) in [(FieldId::SOURCE_BYTES, sent), (FieldId::DESTINATION_BYTES, received)] {
            if let Some(bytes) = bytes {
                row.uint(field, bytes);
            }
        }
        if let (Some(sent), Some(received)) = (sent, received) {
            row.uint(FieldId::NETWORK_BYTES, sent.saturating_add(received));
        }
        if let Some(packets) = packets {
            row.uint(FieldId::NETWORK_PACKETS, packets);
        }
        match instant {
            Some(instant) => row.time(instant),
            None => {
                let text = format!("{date}T{time}{zone}");
                context.set_time(row, stamp::iso(&text).map(|(stamp, _)| stamp));
            }
        }
        true
    }
}

/// `eventtime`: seconds, milliseconds, microseconds or nanoseconds since 1970, by release.
fn epoch(text: &str) -> Option<Time> {
    let n: i64 = text.parse().ok()?;
    let scale = match text.len() {
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1000,
        19 => 1,
        _ => return None,
    };
    n.checked_mul(scale).map(Time::from_unix_ns)
}

/// The ECS name of a vendor key.
fn cell(key: &str, value: &str, row: &mut RowBuilder<'_>) {
    use FieldId as F;
    match key {
        "srcip" => address(row, F::SOURCE_IP, F::SOURCE_ADDRESS, value),
        "dstip" => address(row, F::DESTINATION_IP, F::DESTINATION_ADDRESS, value),
        "remip" | "rip" => address(row, F::SOURCE_IP, F::SOURCE_ADDRESS, value),
        "srcport" => number(row, F::SOURCE_PORT, value),
        "dstport" => number(row, F::DESTINATION_PORT, value),
        "transip" if value != "0.0.0.0" => address(row, F::SOURCE_NAT_IP, F::SOURCE_ADDRESS, value),
        "transport" => number(row, F::SOURCE_NAT_PORT, value),
        "tranip" => address(row, F::DESTINATION_NAT_IP, F::DESTINATION_ADDRESS, value),
        "tranport" => number(row, F::DESTINATION_NAT_PORT, value),
        "proto" => {
            if let Ok(protocol) = value.parse() {
                row.uint(F::NETWORK_IANA_NUMBER, protocol);
                if let Some(name) = transport(protocol) {
                    row.text(F::NETWORK_TRANSPORT, name);
                }
            }
        }
        "service" => some_text(row, F::NETWORK_PROTOCOL, &value.to_ascii_lowercase()),
        "app" => some_text(row, F::NETWORK_APPLICATION, value),
        "action" => {
            row.text(F::EVENT_ACTION, value);
            let denied = matches!(value, "deny" | "block" | "blocked" | "dropped" | "reset" | "ip-conn" | "quarantine");
            let passed =
                matches!(value, "accept" | "pass" | "passthrough" | "close" | "timeout" | "client-rst" | "server-rst" | "start");
            if denied || passed {
                row.text(F::EVENT_TYPE, if denied { "denied" } else { "allowed" });
            }
        }
        "status" => match value {
            "success" => row.text(F::EVENT_OUTCOME, "success"),
            "failure" | "failed" => row.text(F::EVENT_OUTCOME, "failure"),
            _ => {}
        },
        "devname" => row.text(F::OBSERVER_NAME, value),
        "devid" => row.text(F::OBSERVER_SERIAL_NUMBER, value),
        "logid" => row.text(F::EVENT_CODE, value),
        "level" => row.text(F::LOG_LEVEL, value),
        "msg" => row.text(F::MESSAGE, value),
        "reason" => some_text(row, F::EVENT_REASON, value),
        "user" | "unauthuser" if value != "N/A" => some_text(row, F::USER_NAME, value),
        "group" if value != "N/A" => some_text(row, F::GROUP_NAME, value),
        "srcintf" => row.text(F::OBSERVER_INGRESS_INTERFACE_NAME, value),
        "dstintf" => row.text(F::OBSERVER_EGRESS_INTERFACE_NAME, value),
        "policyid" => row.text(F::RULE_ID, value),
        "policyname" => row.text(F::RULE_NAME, value),
        "attack" => row.text(F::RULE_NAME, value),
        "srcmac" => row.text(F::SOURCE_MAC, value),
        "dstmac" => row.text(F::DESTINATION_MAC, value),
        "hostname" => some_text(row, F::URL_DOMAIN, value),
        "url" => row.text(F::URL_ORIGINAL, value),
        "agent" => row.text(F::USER_AGENT_ORIGINAL, value),
        "qname" => row.text(F::DNS_QUESTION_NAME, value),
        "qtype" => row.text(F::DNS_QUESTION_TYPE, value),
        "duration" => {
            if let Ok(seconds) = value.parse::<u64>() {
                row.uint(F::EVENT_DURATION, seconds.saturating_mul(1_000_000_000));
            }
        }
        _ => {}
    }
}
