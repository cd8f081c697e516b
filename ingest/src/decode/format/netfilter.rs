//! The Linux kernel's netfilter log (iptables and nftables): `PREFIX IN=eth1 OUT= MAC=... SRC=... DST=... PROTO=TCP SPT=... DPT=...`.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number};
use crate::decode::pairs::pairs;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    prefix: FieldId,
    ttl: FieldId,
    length: FieldId,
    mark: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("netfilter", Some("linux"), Some("firewall"), None),
            prefix: FieldId::known("iptables.prefix"),
            ttl: FieldId::known("iptables.ttl"),
            length: FieldId::known("iptables.length"),
            mark: FieldId::known("iptables.mark"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["netfilter"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything()
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        // The kernel writes IN= before OUT= before SRC=; a prefix is at most 127 bytes (nf_log), a time may stand before it.
        let Some(start) = message.find("IN=").filter(|at| *at <= 200) else { return false };
        let rest = &message[start..];
        let Some(out) = rest.find(" OUT=") else { return false };
        let Some(src) = rest.find(" SRC=").filter(|src| *src > out) else { return false };
        if !rest[src..].contains(" DST=") || !rest.contains(" PROTO=") {
            return false;
        }
        self.kind.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "network");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        let prefix = message[..start].trim();
        let prefix = match prefix.strip_prefix('[').and_then(|p| p.split_once(']')) {
            Some((uptime, prefix)) if uptime.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'.')) => prefix.trim(),
            _ => prefix,
        };
        let prefix = prefix.trim_matches([':', '[', ']', ' ']);
        if !prefix.is_empty() {
            row.text(self.prefix, prefix);
            if let Some(action) = action(prefix) {
                row.text(FieldId::EVENT_ACTION, action);
                row.text(FieldId::EVENT_TYPE, if action == "accept" { "allowed" } else { "denied" });
            }
        }
        let mut flags = 0;
        for word in rest.split(' ') {
            flags |= match word {
                "FIN" => 0x01,
                "SYN" => 0x02,
                "RST" => 0x04,
                "PSH" => 0x08,
                "ACK" => 0x10,
                "URG" => 0x20,
                _ => 0,
            };
        }
        let mut inner = false;
        for pair in pairs(rest) {
            // ICMP errors quote the packet they answer in brackets: that one is not this one.
            inner |= pair.key.starts_with('[');
            if inner {
                break;
            }
            match pair.key {
                "IN" if !pair.value.is_empty() => row.text(FieldId::OBSERVER_INGRESS_INTERFACE_NAME, pair.value),
                "OUT" if !pair.value.is_empty() => row.text(FieldId::OBSERVER_EGRESS_INTERFACE_NAME, pair.value),
                "SRC" => address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, pair.value),
                "DST" => address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, pair.value),
                "SPT" => number(row, FieldId::SOURCE_PORT, pair.value),
                "DPT" => number(row, FieldId::DESTINATION_PORT, pair.value),
                "LEN" if row.get(self.length).is_none() => number(row, self.length, pair.value),
                "TTL" | "HOPLIMIT" => number(row, self.ttl, pair.value),
                "MARK" => row.text(self.mark, pair.value),
                "PROTO" => match pair.value.parse::<u64>() {
                    Ok(protocol) => {
                        row.uint(FieldId::NETWORK_IANA_NUMBER, protocol);
                        if let Some(name) = super::transport(protocol) {
                            row.text(FieldId::NETWORK_TRANSPORT, name);
                        }
                    }
                    Err(_) => row.text(FieldId::NETWORK_TRANSPORT, &pair.value.to_ascii_lowercase()),
                },
                "MAC" if pair.value.len() >= 35 && pair.value.is_ascii() => {
                    row.text(FieldId::DESTINATION_MAC, &pair.value[..17]);
                    row.text(FieldId::SOURCE_MAC, &pair.value[18..35]);
                }
                _ => {}
            }
        }
        if flags != 0 {
            row.int(FieldId::FLOW_TCP_FLAGS, flags);
        }
        true
    }
}

/// What the rule that logged did, where its prefix says so: the kernel itself does not tell.
fn action(prefix: &str) -> Option<&'static str> {
    let has = |words: &[&str]| {
        prefix.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| words.iter().any(|w| word.eq_ignore_ascii_case(w)))
    };
    if has(&["drop", "dropped", "deny", "denied", "block", "blocked", "reject", "rejected", "invalid"]) {
        Some("deny")
    } else if has(&["accept", "accepted", "allow", "allowed", "pass", "permit"]) {
        Some("accept")
    } else {
        None
    }
}
