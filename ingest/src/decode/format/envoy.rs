//! Envoy's default access log (Envoy documentation, "Access logging", default format string).

use event::{FieldId, RowBuilder};

use super::web::{quoted, request_line};
use super::{Kind, Recognise, host_and_port_of, number, some_text};
use crate::decode::stamp;
use crate::decode::text::Context;

/// A line's words; further ones are an operator's own additions.
const WORDS_MAX: usize = 24;

pub(super) struct Reader {
    kind: Kind,
    flags: FieldId,
    request_id: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("envoy", Some("envoy"), Some("webserver"), None),
            flags: FieldId::known("envoyproxy.response_flags"),
            request_id: FieldId::known("http.request.id"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["envoy"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().rank(4).starts("[").starts("ACCESS [").app("envoy")
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["] \""]]
    }

    /// `[TIME] "METHOD PATH PROTOCOL" CODE FLAGS RECEIVED SENT DURATION UPSTREAM-TIME "FORWARDED-FOR" "AGENT" "ID" "AUTHORITY" "UPSTREAM"`
    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        let text = message.strip_prefix("ACCESS ").unwrap_or(message);
        let Some((time, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once("] \"")) else { return false };
        let Some((stamp, "")) = stamp::iso(time) else { return false };
        let (request, rest) = quoted(rest);
        let mut words = [""; WORDS_MAX];
        let mut count = 0;
        let mut rest = rest.trim_start();
        while !rest.is_empty() && count < WORDS_MAX {
            let (word, after) = match rest.strip_prefix('"') {
                Some(inside) => quoted(inside),
                None => rest.split_once(' ').unwrap_or((rest, "")),
            };
            words[count] = word;
            count += 1;
            rest = after.trim_start();
        }
        let words = &words[..count];
        let is_count = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        let [code, flags, ..] = *words else { return false };
        // Newer versions add details of the response and of the transport between the flags and the counts.
        let Some(at) = (2..count.saturating_sub(3)).find(|at| words[*at..at + 3].iter().all(|word| is_count(word))) else {
            return false;
        };
        if !is_count(code) || code.len() > 3 {
            return false;
        }
        let [received, sent, duration] = [words[at], words[at + 1], words[at + 2]];
        let [forwarded, agent, id, authority, upstream] = std::array::from_fn(|n| words.get(at + 4 + n).copied().unwrap_or(""));
        self.kind.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "network");
        row.text(FieldId::EVENT_TYPE, "connection");
        context.set_time(row, Some(stamp));
        some_text(row, self.flags, flags);
        if request == "- - -" || request == "-" {
            row.text(FieldId::NETWORK_TRANSPORT, "tcp");
            number(row, FieldId::SOURCE_BYTES, received);
            number(row, FieldId::DESTINATION_BYTES, sent);
            row.text(FieldId::EVENT_OUTCOME, if flags == "-" { "success" } else { "failure" });
        } else {
            row.text(FieldId::NETWORK_PROTOCOL, "http");
            request_line(request, row);
            number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, code);
            number(row, FieldId::HTTP_REQUEST_BODY_BYTES, received);
            number(row, FieldId::HTTP_RESPONSE_BODY_BYTES, sent);
            row.text(FieldId::EVENT_OUTCOME, if code >= "400" || code == "0" { "failure" } else { "success" });
        }
        if let Ok(ms) = duration.parse::<i64>() {
            row.int(FieldId::EVENT_DURATION, ms.saturating_mul(1_000_000));
        }
        let client = forwarded.split(',').next().unwrap_or("").trim();
        super::address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, client);
        // Istio adds the cluster, the upstream's and both of the downstream's addresses (Istio, "Envoy Access Logs").
        if let Some(downstream) = words.get(at + 12).filter(|_| !row.has(FieldId::SOURCE_IP)) {
            host_and_port_of(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT, downstream);
        }
        some_text(row, FieldId::USER_AGENT_ORIGINAL, agent);
        some_text(row, self.request_id, id);
        some_text(row, FieldId::URL_DOMAIN, authority);
        some_text(row, FieldId::DESTINATION_DOMAIN, authority);
        if upstream != "-" {
            host_and_port_of(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_ADDRESS, FieldId::DESTINATION_PORT, upstream);
        }
        true
    }
}
