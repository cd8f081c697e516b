//! Squid's native access log: `TIME ELAPSED CLIENT RESULT/STATUS BYTES METHOD URL USER HIERARCHY/PEER TYPE`
//! (squid-cache.org, "Features/LogFormat").

use std::net::IpAddr;

use event::{FieldId, RowBuilder, Time};

use super::{Kind, Recognise, address, number, some_text, url};
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    result: FieldId,
    hierarchy: FieldId,
    peer: FieldId,
    mime: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("squid", Some("squid"), Some("proxy"), None),
            result: FieldId::known("squid.result"),
            hierarchy: FieldId::known("squid.hierarchy_status"),
            peer: FieldId::known("squid.peer"),
            mime: FieldId::known("http.response.mime_type"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["squid"]
    }

    fn recognise(&self) -> Recognise {
        // The time stands first, in seconds since 1970.
        b"+-0123456789"
            .iter()
            .fold(Recognise::new(), |recognise, byte| recognise.starts(char::from(*byte).encode_utf8(&mut [0; 4])))
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["/"]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        let mut words = message.split_ascii_whitespace();
        let mut word = || words.next();
        let Some((seconds, millis)) = word().and_then(|time| time.split_once('.')) else { return false };
        let Some(first) = word() else { return false };
        // Some leave out how long it took.
        let (elapsed, client) = if first.parse::<IpAddr>().is_ok() { (None, Some(first)) } else { (Some(first), word()) };
        let (Some(client), Some(code), Some(bytes), Some(method), Some(target)) = (client, word(), word(), word(), word()) else {
            return false;
        };
        let (user, hierarchy, mime) = (word(), word(), word());
        let Some((result, status)) = code.split_once('/') else { return false };
        let elapsed = elapsed.map(str::parse::<i64>).transpose();
        let (Ok(seconds), Ok(millis), Ok(elapsed)) = (seconds.parse::<i64>(), millis.parse::<i64>(), elapsed) else {
            return false;
        };
        if !result.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            || bytes.parse::<u64>().is_err()
            || !(0..1000).contains(&millis)
        {
            return false;
        }
        self.kind.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "web");
        row.text(FieldId::OBSERVER_TYPE, "proxy");
        row.text(FieldId::OBSERVER_PRODUCT, "squid");
        row.time(Time::from_unix_s(seconds).plus_ns(millis * 1_000_000));
        if let Some(elapsed) = elapsed {
            row.int(FieldId::EVENT_DURATION, elapsed.saturating_mul(1_000_000));
        }
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, client);
        row.text(FieldId::EVENT_ACTION, result);
        row.text(self.result, result);
        let denied = result.contains("DENIED");
        row.text(FieldId::EVENT_TYPE, if denied { "denied" } else { "allowed" });
        row.text(FieldId::EVENT_OUTCOME, if denied || result == "NONE" { "failure" } else { "success" });
        number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, status);
        number(row, FieldId::HTTP_RESPONSE_BYTES, bytes);
        some_text(row, FieldId::HTTP_REQUEST_METHOD, method);
        url(row, target);
        some_text(row, FieldId::USER_NAME, user.unwrap_or(""));
        if let Some((hierarchy, peer)) = hierarchy.and_then(|h| h.split_once('/')) {
            row.text(self.hierarchy, hierarchy);
            // What the proxy, not the client, connected to.
            some_text(row, self.peer, peer);
            super::address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, peer);
        }
        some_text(row, self.mime, mime.unwrap_or(""));
        true
    }
}
