//! Cisco Umbrella (Umbrella documentation, "Log Formats and Versioning"): comma-separated values, quoted; which log it is, its columns
//! tell: DNS has a query type like `1 (A)`, the proxy a URL, the cloud firewall a direction, IP logs two addresses with a port each,
//! intrusion prevention a signature's number, the administrators' audit a number before the time.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number, some_text};
use crate::decode::csv;
use crate::decode::keys;
use crate::decode::stamp::{self, Zone};
use crate::decode::text::Context;

pub(super) struct Reader {
    dns: Kind,
    proxy: Kind,
    firewall: Kind,
    names: [FieldId; 4],
    audited: [FieldId; 3],
    email: FieldId,
    scratch: String,
}

/// Columns that are looked at; every log has its newer ones behind.
const COLUMNS_MAX: usize = 32;

impl Reader {
    pub(super) fn new() -> Reader {
        let kind = |category| Kind::new("cisco_umbrella", Some("cisco"), Some(category), Some("umbrella"));
        let name = |name| FieldId::intern(&format!("cisco.umbrella.{name}")).expect("the decoders' own names fit");
        Reader {
            dns: kind("dns"),
            proxy: kind("proxy"),
            firewall: kind("firewall"),
            names: ["identities", "identity_types", "categories", "policy_identity_type"].map(name),
            audited: ["type", "before", "after"].map(name),
            email: FieldId::known("user.email"),
            scratch: String::new(),
        }
    }

    fn dns(&self, c: &[&str], row: &mut RowBuilder<'_>) {
        self.dns.mark(row);
        some_text(row, FieldId::SOURCE_USER_NAME, c[1]);
        some_text(row, self.names[0], c[2]);
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, c[3]);
        // The address that the query came from to Umbrella: the client's behind its translation.
        address(row, FieldId::SOURCE_NAT_IP, FieldId::SOURCE_ADDRESS, c[4]);
        verdict(c[5], row);
        some_text(row, FieldId::DNS_QUESTION_TYPE, c[6]);
        some_text(row, FieldId::DNS_RESPONSE_CODE, c[7]);
        some_text(row, FieldId::DNS_QUESTION_NAME, c[8]);
        some_text(row, FieldId::DESTINATION_DOMAIN, c[8]);
        some_text(row, FieldId::RULE_CATEGORY, c[9]);
        some_text(row, self.names[3], c[10]);
        some_text(row, self.names[1], c[11]);
    }

    fn proxy(&self, c: &[&str], row: &mut RowBuilder<'_>) {
        self.proxy.mark(row);
        some_text(row, FieldId::USER_NAME, c[1]);
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, c[2]);
        address(row, FieldId::SOURCE_NAT_IP, FieldId::SOURCE_ADDRESS, c[3]);
        address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, c[4]);
        verdict(c[6], row);
        super::uri(row, c[7]);
        some_text(row, FieldId::HTTP_REQUEST_REFERRER, c[8]);
        some_text(row, FieldId::USER_AGENT_ORIGINAL, c[9]);
        number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, c[10]);
        number(row, FieldId::HTTP_REQUEST_BYTES, c[11]);
        number(row, FieldId::HTTP_RESPONSE_BYTES, c[12]);
        number(row, FieldId::HTTP_RESPONSE_BODY_BYTES, c[13]);
        some_text(row, FieldId::FILE_HASH_SHA256, c[14]);
        some_text(row, FieldId::RULE_CATEGORY, c[15]);
        some_text(row, FieldId::RULE_NAME, c[16]);
    }

    fn firewall(&mut self, c: &[&str], row: &mut RowBuilder<'_>) {
        self.firewall.mark(row);
        some_text(row, FieldId::SOURCE_USER_NAME, c[2]);
        some_text(row, self.names[1], c[3]);
        keys::lower(row, FieldId::NETWORK_DIRECTION, c[4], &mut self.scratch);
        keys::transport(row, c[5], &mut self.scratch);
        number(row, FieldId::SOURCE_BYTES, c[6]);
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, c[7]);
        number(row, FieldId::SOURCE_PORT, c[8]);
        address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, c[9]);
        number(row, FieldId::DESTINATION_PORT, c[10]);
        some_text(row, FieldId::RULE_ID, c[12]);
        verdict(c[13], row);
    }

    fn ends(&self, c: [&str; 4], row: &mut RowBuilder<'_>) {
        self.firewall.mark(row);
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, c[0]);
        number(row, FieldId::SOURCE_PORT, c[1]);
        address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, c[2]);
        number(row, FieldId::DESTINATION_PORT, c[3]);
    }

    /// `time, identity, source, port, destination, port, categories, identity types`
    fn by_address(&self, c: &[&str], row: &mut RowBuilder<'_>) {
        self.ends([c[2], c[3], c[4], c[5]], row);
        some_text(row, FieldId::SOURCE_USER_NAME, c[1]);
        some_text(row, FieldId::RULE_CATEGORY, c[6]);
        some_text(row, self.names[1], c[7]);
    }

    /// `time, identities, types, generator, signature, message, list, severity, class, CVEs, protocol, session, ends, action`
    fn intrusion(&mut self, c: &[&str], row: &mut RowBuilder<'_>) {
        self.ends([c[12], c[13], c[14], c[15]], row);
        some_text(row, FieldId::SOURCE_USER_NAME, c[1]);
        some_text(row, self.names[1], c[2]);
        some_text(row, FieldId::RULE_ID, c[4]);
        some_text(row, FieldId::RULE_NAME, c[5]);
        some_text(row, FieldId::RULE_CATEGORY, c[8]);
        keys::transport(row, c[10], &mut self.scratch);
        verdict(c[16], row);
    }

    /// `id, time, email, user, type, action, address, before, after`
    fn audit(&self, c: &[&str], row: &mut RowBuilder<'_>) {
        self.firewall.mark(row);
        some_text(row, FieldId::EVENT_ID, c[0]);
        some_text(row, self.email, c[2]);
        some_text(row, FieldId::USER_NAME, if c[3].is_empty() { c[2] } else { c[3] });
        some_text(row, FieldId::EVENT_ACTION, c[5]);
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, c[6]);
        row.text(FieldId::EVENT_CATEGORY, "configuration");
        for (name, value) in self.audited.iter().zip([c[4], c[7], c[8]]) {
            some_text(row, *name, value);
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["cisco_umbrella"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("\"").starts("1").starts("2").rank(6)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        // A bare stamp in front was taken for a header's.
        let message = if context.header.priority.is_none() { context.record } else { context.header.message };
        let mut columns = [""; COLUMNS_MAX];
        let mut count = 0;
        for value in csv::values(message.trim()) {
            if count < COLUMNS_MAX {
                columns[count] = value;
            }
            count += 1;
        }
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let is_audit = count == 9 && digits(columns[0]) && columns[5].bytes().all(|b| b.is_ascii_lowercase());
        let Some((time, "")) = stamp::iso(columns[usize::from(is_audit)]).filter(|_| count >= 7) else { return false };
        let is_ip = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
        let is_query_type = |text: &str| text.split_once(" (").is_some_and(|(n, name)| digits(n) && name.ends_with(')'));
        match () {
            () if matches!(columns[4], "INBOUND" | "OUTBOUND") && count >= 13 => self.firewall(&columns, row),
            () if columns[7].contains("://") && count >= 15 => self.proxy(&columns, row),
            () if is_query_type(columns[6]) && count >= 10 => self.dns(&columns, row),
            () if count <= 9 && is_ip(columns[2]) && is_ip(columns[4]) && digits(columns[3]) && digits(columns[5]) => {
                self.by_address(&columns, row);
            }
            () if count >= 17 && digits(columns[4]) && is_ip(columns[12]) && is_ip(columns[14]) => self.intrusion(&columns, row),
            () if is_audit => self.audit(&columns, row),
            () => return false,
        }
        row.text(FieldId::OBSERVER_VENDOR, "Cisco");
        row.text(FieldId::OBSERVER_PRODUCT, "umbrella");
        row.text(FieldId::MESSAGE, message);
        // Umbrella states its times in UTC.
        if let Some(time) = time.resolve(Zone::utc(), context.reference) {
            row.time(time);
        }
        true
    }
}

fn verdict(word: &str, row: &mut RowBuilder<'_>) {
    some_text(row, FieldId::EVENT_ACTION, word);
    if let Some(kind) = keys::verdict(word) {
        row.text(FieldId::EVENT_TYPE, kind);
    }
}
