//! Suricata's EVE records (JSON; Suricata user guide, "EVE JSON Format"). Every key is kept as `suricata.eve.*` beside its ECS name.

use event::{FieldId, RowBuilder, Value};

use super::{Kind, Recognise, address};
use crate::decode::json;
use crate::decode::names::Names;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    native: Names,
    path: String,
    keys: Vec<(FieldId, Target)>,
    event_type: FieldId,
    timestamp: FieldId,
    flow_id: FieldId,
}

#[derive(Clone, Copy)]
enum Target {
    Same(FieldId),
    Lower(FieldId),
    Address(FieldId, FieldId),
    Add(FieldId),
}

impl Reader {
    pub(super) fn new() -> Reader {
        use FieldId as F;
        use Target::{Add, Address, Lower, Same};
        let mut native = Names::new("suricata.eve.");
        let table: &[(&str, Target)] = &[
            ("src_ip", Address(F::SOURCE_IP, F::SOURCE_ADDRESS)),
            ("src_port", Same(F::SOURCE_PORT)),
            ("dest_ip", Address(F::DESTINATION_IP, F::DESTINATION_ADDRESS)),
            ("dest_port", Same(F::DESTINATION_PORT)),
            ("proto", Lower(F::NETWORK_TRANSPORT)),
            ("app_proto", Same(F::NETWORK_PROTOCOL)),
            ("alert.signature", Same(F::RULE_NAME)),
            ("alert.signature_id", Same(F::RULE_ID)),
            ("alert.category", Same(F::RULE_CATEGORY)),
            ("alert.severity", Same(F::EVENT_SEVERITY)),
            ("alert.action", Same(F::EVENT_TYPE)),
            ("http.hostname", Same(F::URL_DOMAIN)),
            ("http.url", Same(F::URL_ORIGINAL)),
            ("http.http_user_agent", Same(F::USER_AGENT_ORIGINAL)),
            ("http.http_method", Same(F::HTTP_REQUEST_METHOD)),
            ("http.http_refer", Same(F::HTTP_REQUEST_REFERRER)),
            ("http.status", Same(F::HTTP_RESPONSE_STATUS_CODE)),
            ("http.length", Same(F::HTTP_RESPONSE_BODY_BYTES)),
            ("dns.rrname", Same(F::DNS_QUESTION_NAME)),
            ("dns.rrtype", Same(F::DNS_QUESTION_TYPE)),
            ("dns.query.rrname", Same(F::DNS_QUESTION_NAME)),
            ("dns.query.rrtype", Same(F::DNS_QUESTION_TYPE)),
            ("dns.queries.rrname", Same(F::DNS_QUESTION_NAME)),
            ("dns.queries.rrtype", Same(F::DNS_QUESTION_TYPE)),
            ("dns.rcode", Same(F::DNS_RESPONSE_CODE)),
            ("flow.bytes_toserver", Same(F::SOURCE_BYTES)),
            ("flow.bytes_toclient", Same(F::DESTINATION_BYTES)),
            ("flow.pkts_toserver", Same(F::SOURCE_PACKETS)),
            ("flow.pkts_toclient", Same(F::DESTINATION_PACKETS)),
            ("fileinfo.filename", Same(F::FILE_PATH)),
            ("fileinfo.sha256", Same(F::FILE_HASH_SHA256)),
            ("flow.bytes_toserver", Add(F::NETWORK_BYTES)),
            ("flow.bytes_toclient", Add(F::NETWORK_BYTES)),
            ("flow.pkts_toserver", Add(F::NETWORK_PACKETS)),
            ("flow.pkts_toclient", Add(F::NETWORK_PACKETS)),
        ];
        let keys = table.iter().filter_map(|(key, target)| Some((native.field(key)?, *target))).collect();
        Reader {
            kind: Kind::new("suricata", Some("suricata"), None, None),
            keys,
            path: String::new(),
            native,
            event_type: FieldId::known("suricata.eve.event_type"),
            timestamp: FieldId::known("suricata.eve.timestamp"),
            flow_id: FieldId::known("suricata.eve.flow_id"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["suricata"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().json("event_type")
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        // Both are written first in every record; looked for so that other JSON is not read twice.
        let head = &message[..message.floor_char_boundary(400)];
        if !(head.contains("\"event_type\"") || message.contains("\"event_type\"")) || !message.contains("\"timestamp\"") {
            return false;
        }
        let mark = row.mark();
        if !json::object(message, &mut self.native, &mut self.path, row)
            || row.get(self.event_type).is_none()
            || row.get(self.timestamp).is_none()
            || (row.get(self.flow_id).is_none()
                && self.keys.iter().all(|(key, _)| row.get(*key).is_none())
                && !message.contains("\"stats\""))
        {
            row.rewind(mark);
            return false;
        }
        self.kind.mark(row);
        row.text(FieldId::OBSERVER_PRODUCT, "Suricata");
        row.text(FieldId::OBSERVER_TYPE, "ids");
        row.text(FieldId::EVENT_CATEGORY, "network");
        for (key, target) in &self.keys {
            match *target {
                Target::Same(field) => row.copy_first(*key, field),
                Target::Lower(field) => {
                    if let Some(text) = row.get(*key).map(|v| v.to_string().to_ascii_lowercase()) {
                        row.text(field, &text);
                    }
                }
                Target::Address(ip, name) => {
                    if let Some(text) = row.get(*key).and_then(|v| v.as_text().map(str::to_owned)) {
                        address(row, ip, name, &text);
                    }
                }
                Target::Add(field) => {
                    if let Some(n) = row.get(*key).and_then(|v| v.as_int()) {
                        let sum = row.get(field).and_then(|v| v.as_int()).unwrap_or(0).saturating_add(n);
                        row.remove(field);
                        row.int(field, sum);
                    }
                }
            }
        }
        if let Some(Value::Text(kind)) = row.get(self.event_type) {
            let is_alert = kind == "alert";
            row.copy_first(self.event_type, FieldId::EVENT_ACTION);
            row.text(FieldId::EVENT_KIND, if is_alert { "alert" } else { "event" });
        }
        let stamp = row.get(self.timestamp).and_then(|v| v.as_text()).and_then(stamp::iso).map(|(stamp, _)| stamp);
        context.set_time(row, stamp);
        true
    }
}
