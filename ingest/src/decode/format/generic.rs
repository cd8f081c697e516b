//! Records that name their fields themselves: JSON objects and key=value pairs of no vendor that we know.

use event::{FieldId, RowBuilder, Time, Value};

use super::{Kind, Recognise, address};
use crate::decode::json;
use crate::decode::names::Names;
use crate::decode::pairs::pairs;
use crate::decode::stamp;
use crate::decode::text::Context;

/// JSON objects.
pub(super) struct Json(Reader);
/// Key=value text.
pub(super) struct Pairs(Reader);

impl Json {
    pub(super) fn new() -> Json {
        Json(Reader::new())
    }
}

impl Pairs {
    pub(super) fn new() -> Pairs {
        Pairs(Reader::new())
    }
}

impl super::Reader for Json {
    fn names(&self) -> Vec<&'static str> {
        vec!["json"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("{").rank(Recognise::LAST)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        self.0.read_json(context, row)
    }
}

impl super::Reader for Pairs {
    fn names(&self) -> Vec<&'static str> {
        vec!["key_value"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(Recognise::LAST)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        self.0.read_pairs(context, row)
    }
}

struct Reader {
    json: Kind,
    pairs: Kind,
    names: Names,
    path: String,
    times: Vec<FieldId>,
    known: Vec<(FieldId, FieldId)>,
    addresses: Vec<(FieldId, FieldId)>,
}

/// Pairs that a record needs to be taken for key=value text.
const PAIRS_MIN: usize = 3;

impl Reader {
    fn new() -> Reader {
        use FieldId as F;
        let known = |table: &[(&'static str, FieldId)]| table.iter().map(|(k, f)| (F::known(k), *f)).collect();
        Reader {
            json: Kind::new("json", None, None, None),
            pairs: Kind::new("key_value", None, None, None),
            names: Names::new(""),
            path: String::new(),
            times: ["@timestamp", "timestamp", "time", "ts", "eventTime", "datetime", "TimeCreated"].map(F::known).to_vec(),
            known: known(&[
                ("src_port", F::SOURCE_PORT),
                ("srcport", F::SOURCE_PORT),
                ("id.orig_p", F::SOURCE_PORT),
                ("dst_port", F::DESTINATION_PORT),
                ("dest_port", F::DESTINATION_PORT),
                ("dstport", F::DESTINATION_PORT),
                ("id.resp_p", F::DESTINATION_PORT),
                ("msg", F::MESSAGE),
                ("user", F::USER_NAME),
                ("username", F::USER_NAME),
                ("action", F::EVENT_ACTION),
                ("host", F::HOST_NAME),
                ("hostname", F::HOST_NAME),
            ]),
            addresses: known(&[
                ("src_ip", F::SOURCE_IP),
                ("srcip", F::SOURCE_IP),
                ("src", F::SOURCE_IP),
                ("client_ip", F::SOURCE_IP),
                ("id.orig_h", F::SOURCE_IP),
                ("source.ip", F::SOURCE_IP),
                ("dst_ip", F::DESTINATION_IP),
                ("dest_ip", F::DESTINATION_IP),
                ("dstip", F::DESTINATION_IP),
                ("dst", F::DESTINATION_IP),
                ("id.resp_h", F::DESTINATION_IP),
                ("destination.ip", F::DESTINATION_IP),
            ]),
        }
    }

    fn read_json(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        if !message.starts_with('{') {
            return false;
        }
        let mark = row.mark();
        if !json::object(message, &mut self.names, &mut self.path, row) {
            row.rewind(mark);
            return false;
        }
        self.json.mark(row);
        self.name(context, row);
        true
    }

    fn read_pairs(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        let first = message.find('=').unwrap_or(0);
        let key = |text: &str| {
            !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-@/".contains(&b))
        };
        if !key(&message[..first]) || pairs(message).filter(|p| key(p.key)).take(PAIRS_MIN).count() < PAIRS_MIN {
            return false;
        }
        self.pairs.mark(row);
        for pair in pairs(message).filter(|p| key(p.key)) {
            if let Some(field) = self.names.field(pair.key) {
                row.text(field, pair.value);
            }
        }
        self.name(context, row);
        true
    }

    /// ECS names beside the record's own, where these are the usual ones.
    fn name(&self, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        for field in &self.times {
            let time = match row.get(*field) {
                Some(Value::Text(text)) => stamp::iso(text)
                    .or_else(|| stamp::bsd(text))
                    .and_then(|(stamp, _)| stamp.resolve(context.zone, context.reference)),
                Some(Value::Float(seconds)) if (1e9..4e9).contains(&seconds) => Some(Time::from_unix_ns((seconds * 1e9) as i64)),
                Some(Value::Int(n)) if (1_000_000_000..4_000_000_000).contains(&n) => Some(Time::from_unix_s(n)),
                Some(Value::Int(n)) if (1_000_000_000_000..4_000_000_000_000).contains(&n) => Some(Time::from_unix_ms(n)),
                _ => None,
            };
            if let Some(time) = time {
                row.time(time);
                break;
            }
        }
        for (key, field) in &self.addresses {
            if let Some(Value::Text(text)) = row.get(*key)
                && !matches!(row.get(*field), Some(Value::Ip(_)))
            {
                let text = text.to_owned();
                if text.parse::<std::net::IpAddr>().is_ok() {
                    row.remove(*field);
                    address(row, *field, *field, &text);
                }
            }
        }
        for (key, field) in &self.known {
            if row.get(*field).is_none() {
                row.copy_first(*key, *field);
            }
        }
        if row.get(FieldId::MESSAGE).is_none() {
            row.text(FieldId::MESSAGE, context.header.message);
        }
    }
}
