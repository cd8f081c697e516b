//! Clavister cOS Core (Clavister, "Log Reference Guide"): `id=600001 event=conn_open action=... [message=text key=value ][rules rule=NAME
//! ][conn [conn connsrcip=... ]]`. The groups that the firewall fills itself tell the ends; the message's own keys only what these lack.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise};
use crate::decode::keys::Keys;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    keys: Keys,
}

const KEYS: &str = "
    id = event.code
    event
    action = event.action:verdict
    connsrcip = source.ip:ip
    conndestip = destination.ip:ip
    connsrcport = source.port:int
    conndestport = destination.port:int
    connipproto = network.transport:transport
    connrecvif = observer.ingress.interface.name
    conndestif = observer.egress.interface.name
    srcip = source.ip:ip?
    destip = destination.ip:ip?
    srcport = source.port:int?
    destport = destination.port:int?
    hwsender = source.mac
    hwdest = destination.mac
    rule = rule.name
    username | user = user.name
    ipaddr | remote_ip = source.ip:ip?
    dstip | local_ip = destination.ip:ip?
    virusname = rule.description
    filename = file.name
    connrecvzone | recvzone = observer.ingress.zone
    conndestzone = observer.egress.zone
    application = network.application
    algmod = network.protocol
    newconnsrcip
    newconndestip
    newconnsrcport
    newconndestport
    client_ip
    message
";

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { kind: Kind::new("clavister", Some("clavister"), Some("firewall"), None), keys: Keys::new("clavister.", KEYS) }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["clavister"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("id=").rank(6)
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["id=", "event=", "["]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        let Some((head, groups)) = message.split_once('[') else { return false };
        let mut first = words(head);
        let (Some(("id", id)), Some(("event", _))) = (first.next(), first.next()) else { return false };
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        self.kind.mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Clavister");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        row.text(FieldId::EVENT_CATEGORY, "network");
        self.keys.begin();
        // `message=text` stands in a group of its own, or bare before the groups.
        let (head, bare) = head.split_once(" message=").unwrap_or((head, ""));
        for (key, value) in words(head) {
            self.keys.put(key, value, row);
        }
        let (text, rest) = match groups.starts_with("message=") {
            true => groups.split_once(']').unwrap_or((groups, "")),
            false => (bare, groups),
        };
        let (mut mapped, mut plain) = ([""; 4], [""; 4]);
        for (key, value) in words(rest) {
            self.keys.put(key, value, row);
            for (at, names) in [
                ("newconnsrcip", "connsrcip"),
                ("newconnsrcport", "connsrcport"),
                ("newconndestip", "conndestip"),
                ("newconndestport", "conndestport"),
            ]
            .iter()
            .enumerate()
            {
                if key == names.0 {
                    mapped[at] = value;
                } else if key == names.1 {
                    plain[at] = value;
                }
            }
        }
        let said = text.strip_prefix("message=").unwrap_or(text);
        row.text(FieldId::MESSAGE, said.trim_end());
        let mut client = "";
        for (key, value) in words(said) {
            if key == "client_ip" {
                client = value;
            }
            let of_groups = key.starts_with("conn") && !key.ends_with("zone") || matches!(key, "id" | "event" | "rule");
            if !of_groups {
                self.keys.put(key, value, row);
            }
        }
        self.keys.finish(row);
        // What a translation left as it was is none.
        for (ip, port, at) in [
            (FieldId::SOURCE_NAT_IP, FieldId::SOURCE_NAT_PORT, 0),
            (FieldId::DESTINATION_NAT_IP, FieldId::DESTINATION_NAT_PORT, 2),
        ] {
            if let Ok(address) = mapped[at].parse()
                && mapped[at] != plain[at]
            {
                row.ip(ip, address);
            }
            if mapped[at + 1] != plain[at + 1] {
                super::number(row, port, mapped[at + 1]);
            }
        }
        if !self.keys.has(FieldId::SOURCE_IP)
            && let Ok(address) = client.parse()
        {
            row.ip(FieldId::SOURCE_NAT_IP, address);
        }
        true
    }
}

/// The `key=value` words of a text, values bare or in quotes, brackets parting them as blanks do.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([' ', '[', ']', '\t']);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find([' ', '[', ']', '=', '"']).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            let Some(value) = after.strip_prefix('=') else {
                // A word or a quoted text that is no pair.
                rest = match after.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"').map_or("", |(_, after)| after),
                    None => after,
                };
                continue;
            };
            if let Some(quoted) = value.strip_prefix('"') {
                let (value, after) = quoted.split_once('"').unwrap_or((quoted, ""));
                rest = after;
                return Some((key, value));
            }
            let (value, after) = value.split_at(value.find([' ', '[', ']']).unwrap_or(value.len()));
            rest = after;
            return Some((key, value));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found() {
        let found: Vec<_> = words("a=1 [b c=\"x y\" ]d= plain \"quoted k=v\" e=2]").collect();
        assert_eq!(found, [("a", "1"), ("c", "x y"), ("d", ""), ("e", "2")]);
    }
}
