//! Alerts of Snort and Suricata as lines: `alert_fast`, `alert_full`, and Snort's syslog output (Snort users manual §2.6).

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, host_and_port_of, host_before_port_of, number};
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    suricata: Kind,
    generator: FieldId,
    revision: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("snort", Some("snort"), None, None),
            suricata: Kind::new("suricata", Some("suricata"), None, None),
            generator: FieldId::known("snort.gid"),
            revision: FieldId::known("rule.version"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["snort"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().rank(4).starts("0").starts("1").starts("2").starts("[").app("snort").app("suricata").stamped()
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&[" -> "]]
    }

    /// `[TIME  [**]] [GID:SID:REV] MESSAGE [**] [Classification: C] [Priority: N] {PROTOCOL} FROM -> TO`
    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        let (time, rest) = match message.split_once("[**]") {
            Some((time, rest)) if time.len() < 40 => (time.trim(), rest.trim_start()),
            _ => ("", message),
        };
        // Suricata says what it did with the packet: `[Drop]`, `[wDrop]`.
        let dropped = time.ends_with("[Drop]");
        let time = time.strip_suffix("[Drop]").or_else(|| time.strip_suffix("[wDrop]")).unwrap_or(time).trim_end();
        let Some((ids, rest)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { return false };
        let mut numbers = ids.split(':');
        let (Some(gid), Some(sid), Some(revision), None) = (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        if [gid, sid, revision].iter().any(|n| n.parse::<u64>().is_err()) {
            return false;
        }
        // The message is the rule's, what follows it is not the packet's: the last marks count.
        let Some(braces) = rest.rfind('{').or_else(|| rest.find("\n")) else { return false };
        let (head, ends) = rest.split_at(braces);
        let tag = |name: &str| head.rsplit_once(name).and_then(|(_, after)| after.split(']').next());
        let name_end = ["[**]", " [Classification: ", " [Priority: "].iter().filter_map(|mark| head.find(mark)).min();
        let name = head[..name_end.unwrap_or(head.len())].trim();
        let (protocol, ends) = match ends.strip_prefix('{').and_then(|ends| ends.split_once('}')) {
            Some((protocol, ends)) => (protocol, ends),
            None => ("", ends),
        };
        let Some((from, to)) = ends.split_once(" -> ") else { return false };
        let from = from.rsplit([' ', '\n']).next().unwrap_or(from);
        let to = to.split([' ', '\n', '\r']).next().unwrap_or(to);
        let is_suricata = context.header.app.is_some_and(|app| app.eq_ignore_ascii_case("suricata")) || time.len() > 21;
        if is_suricata { self.suricata } else { self.kind }.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_KIND, "alert");
        row.text(FieldId::EVENT_CATEGORY, "intrusion_detection");
        row.text(FieldId::EVENT_TYPE, if dropped { "denied" } else { "allowed" });
        row.text(FieldId::OBSERVER_TYPE, "ids");
        row.text(FieldId::RULE_ID, sid);
        row.text(FieldId::RULE_NAME, name);
        row.text(self.generator, gid);
        row.text(self.revision, revision);
        if let Some(class) = tag("[Classification: ") {
            row.text(FieldId::RULE_CATEGORY, class);
        }
        if let Some(priority) = tag("[Priority: ") {
            number(row, FieldId::EVENT_SEVERITY, priority.trim());
        }
        if !time.is_empty() {
            context.set_time(row, american(time));
        }
        if !protocol.is_empty() {
            super::lower_text(row, FieldId::NETWORK_TRANSPORT, protocol);
        }
        // Suricata gives every end a port, ICMP's type and code for want of one.
        let end_of = if is_suricata { host_before_port_of } else { host_and_port_of };
        end_of(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT, from);
        end_of(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, FieldId::DESTINATION_PORT, to);
        true
    }
}

/// `04/01-09:00:00.000000`, or with the year before or behind the day.
fn american(time: &str) -> Option<stamp::Stamp> {
    let (date, clock) = time.split_once('-')?;
    let mut parts = [""; 3];
    let mut count = 0;
    for part in date.split('/') {
        *parts.get_mut(count)? = part;
        count += 1;
    }
    match (count, parts[0].len(), parts[2].len()) {
        (2, 2, _) => stamp::without_year(parts[0], parts[1], clock),
        // Snort with `-y` writes two digits, before the month (Snort 2) or behind the day.
        (3, 2, 4) | (3, 2, 2) => stamp::numeric(time, true).map(|(stamp, _)| stamp),
        _ => None,
    }
}
