//! Records that name their fields themselves, of no vendor that we know: key=value pairs here, JSON objects in [`super::structured`].

use event::{FieldId, RowBuilder, Value};

use super::{Kind, Recognise, address};
use crate::decode::pairs::pairs;
use crate::decode::record::table;
use crate::decode::record::{Fields, Key, Keys, Record};
use crate::decode::text::Context;

/// Pairs that a record needs to be taken for key=value text.
const PAIRS_MIN: usize = 3;

/// Key=value text.
pub(super) struct Reader {
    record: Record,
    plain: Plain,
}

impl Reader {
    pub(super) fn new() -> Reader {
        let mut record = Record::new();
        let plain = Plain::new("key_value", &mut record.keys);
        Reader { record, plain }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["key_value"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(Recognise::LAST)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        let first = message.find('=').unwrap_or(0);
        let is_key = |text: &str| {
            !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-@/".contains(&b))
        };
        if !is_key(&message[..first]) || pairs(message).filter(|p| is_key(p.key)).take(PAIRS_MIN).count() < PAIRS_MIN {
            return false;
        }
        self.record.begin();
        for pair in pairs(message).filter(|p| is_key(p.key)) {
            let key = self.record.keys.child(Key::ROOT, pair.key);
            self.record.text(message, key, pair.value);
        }
        self.plain.write(&self.record, message, context, row);
        true
    }
}

/// The names that records of many programs have, and the fields they mean.
pub(super) struct Plain {
    kind: Kind,
    fields: Fields,
    times: Vec<Key>,
    addresses: Vec<(Key, FieldId, FieldId)>,
    known: Vec<(Key, FieldId, Key)>,
    message: Key,
}

impl Plain {
    pub(super) fn new(format: &'static str, keys: &mut Keys) -> Plain {
        use FieldId as F;
        let mut own = |pairs: &[(&str, FieldId)]| {
            pairs.iter().map(|(key, field)| (keys.declare(key), *field, keys.declare(field.name()))).collect::<Vec<_>>()
        };
        let known = own(&[
            ("src_port", F::SOURCE_PORT),
            ("srcport", F::SOURCE_PORT),
            ("sport", F::SOURCE_PORT),
            ("dst_port", F::DESTINATION_PORT),
            ("dest_port", F::DESTINATION_PORT),
            ("dstport", F::DESTINATION_PORT),
            ("dport", F::DESTINATION_PORT),
            ("msg", F::MESSAGE),
            ("Message", F::MESSAGE),
            ("user", F::USER_NAME),
            ("username", F::USER_NAME),
            ("action", F::EVENT_ACTION),
            ("level", F::LOG_LEVEL),
            ("severity", F::LOG_LEVEL),
            ("host", F::HOST_NAME),
            ("hostname", F::HOST_NAME),
            ("Hostname", F::HOST_NAME),
            ("proto", F::NETWORK_TRANSPORT),
        ]);
        let addresses = [
            ("src_ip", F::SOURCE_IP, F::SOURCE_ADDRESS),
            ("srcip", F::SOURCE_IP, F::SOURCE_ADDRESS),
            ("src", F::SOURCE_IP, F::SOURCE_ADDRESS),
            ("client_ip", F::SOURCE_IP, F::SOURCE_ADDRESS),
            ("clientip", F::SOURCE_IP, F::SOURCE_ADDRESS),
            ("remote_addr", F::SOURCE_IP, F::SOURCE_ADDRESS),
            ("dst_ip", F::DESTINATION_IP, F::DESTINATION_ADDRESS),
            ("dest_ip", F::DESTINATION_IP, F::DESTINATION_ADDRESS),
            ("dstip", F::DESTINATION_IP, F::DESTINATION_ADDRESS),
            ("dst", F::DESTINATION_IP, F::DESTINATION_ADDRESS),
        ];
        Plain {
            kind: Kind::new(format, None, None, None),
            fields: Fields::new(""),
            times: ["@timestamp", "timestamp", "time", "ts", "eventTime", "datetime", "TimeCreated", "EventTime"]
                .map(|name| keys.declare(name))
                .to_vec(),
            addresses: addresses.map(|(key, ip, name)| (keys.declare(key), ip, name)).to_vec(),
            known,
            message: keys.declare("message"),
        }
    }

    /// Writes the record under its own names, and under ECS names what usually has them.
    pub(super) fn write(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let view = record.view(text);
        self.kind.mark(row);
        if let Some(time) = self.times.iter().find_map(|key| table::time(view.get(*key)?, context)) {
            row.time(time);
        }
        for (key, value) in view.iter() {
            self.fields.write(&record.keys, key, value, row);
        }
        for (key, ip, name) in &self.addresses {
            if let Some(text) = view.text(*key).filter(|_| row.get(*ip).is_none()) {
                address(row, *ip, *name, text);
            }
        }
        for (key, field, own) in &self.known {
            if !view.has(*own)
                && row.get(*field).is_none()
                && let Some(value) = view.get(*key).filter(|value| !matches!(value, Value::Null | Value::Text("" | "-")))
            {
                row.value(*field, value);
            }
        }
        if record.too_deep() {
            row.text(FieldId::FLAGS, "nesting_refused");
        }
        if record.too_many() {
            row.text(FieldId::FLAGS, "fields_refused");
        }
        if !view.has(self.message) && row.get(FieldId::MESSAGE).is_none() {
            row.text(FieldId::MESSAGE, text);
        }
    }
}
