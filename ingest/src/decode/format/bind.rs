//! BIND 9's query log: `client [@0x...] ADDRESS#PORT (NAME): [view V: ]query: NAME CLASS TYPE FLAGS (SERVER)`.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number};
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    flags: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { kind: Kind::new("bind", Some("bind"), Some("dns"), None), flags: FieldId::known("dns.header_flags") }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["bind"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything()
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        // Written to a file, a time and `queries: info: ` may stand before.
        let Some(start) = message.find("client ").filter(|at| *at <= 64) else { return false };
        let rest = &message[start + 7..];
        let rest = rest.strip_prefix("@0x").and_then(|r| r.split_once(' ')).map_or(rest, |(_, rest)| rest);
        let Some((client, rest)) = rest.split_once(' ') else { return false };
        let Some((ip, port)) = client.trim_end_matches(':').split_once('#') else { return false };
        let Some((lead, query)) = rest.split_once("query: ").or_else(|| rest.split_once("query (cache) ")) else { return false };
        if lead.len() > 600 || !(lead.is_empty() || lead.starts_with('(') || lead.starts_with("view ")) {
            return false;
        }
        self.kind.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "network");
        row.text(FieldId::EVENT_ACTION, "dns_query");
        row.text(FieldId::NETWORK_PROTOCOL, "dns");
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, ip);
        number(row, FieldId::SOURCE_PORT, port.trim_end_matches(':'));
        if let Some(denied) = query.strip_prefix('\'') {
            // `query (cache) 'NAME/TYPE/CLASS' denied`
            let (what, after) = denied.split_once('\'').unwrap_or((denied, ""));
            let mut parts = what.split('/');
            for field in [FieldId::DNS_QUESTION_NAME, FieldId::DNS_QUESTION_TYPE, FieldId::DNS_QUESTION_CLASS] {
                if let Some(part) = parts.next() {
                    row.text(field, part);
                }
            }
            row.text(FieldId::EVENT_OUTCOME, if after.contains("denied") { "failure" } else { "success" });
            return true;
        }
        let mut words = query.split(' ');
        for field in [FieldId::DNS_QUESTION_NAME, FieldId::DNS_QUESTION_CLASS, FieldId::DNS_QUESTION_TYPE, self.flags] {
            if let Some(word) = words.next().filter(|w| !w.is_empty()) {
                row.text(field, word);
            }
        }
        true
    }
}
