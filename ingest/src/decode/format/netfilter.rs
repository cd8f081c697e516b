//! The Linux kernel's netfilter log (iptables and nftables): `PREFIX IN=eth1 OUT= MAC=... SRC=... DST=... PROTO=TCP SPT=... DPT=...`.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number};
use crate::decode::pairs::pairs;
use crate::decode::stamp;
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
        vec!["netfilter", "iptables", "nftables"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything()
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&[" PROTO="]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        // The kernel writes IN= before OUT= before SRC=; a prefix is at most 127 bytes (nf_log), a time may stand before it.
        let whole = message.find("IN=").filter(|at| *at <= 200).filter(|start| {
            let rest = &message[*start..];
            let bridge = message.starts_with(|c: char| c.is_ascii_digit()); // Proxmox VE leaves OUT= out.
            let out = rest.find(" OUT=").unwrap_or(if bridge { 0 } else { usize::MAX });
            rest.find(" SRC=").or_else(|| rest.find(">SRC=")).is_some_and(|src| src > out && rest[src..].contains(" DST="))
                && rest.contains(" PROTO=")
        });
        // Syslog daemons cut long messages of the kernel: the second half stands alone.
        let half = || {
            let kernel = context.header.app == Some("kernel");
            (kernel && message.contains(" PROTO=") && message.contains(" SPT=") && message.contains(" DPT=")).then_some(0)
        };
        let Some(start) = whole.or_else(half) else { return false };
        let rest = &message[start..];
        self.kind.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "network");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        self.prefix(&message[..start], context, row);
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
            // Some kernels print their level before each part: `<1>SRC=`.
            let key = pair.key.strip_prefix('<').and_then(|rest| rest.split_once('>')).map_or(pair.key, |(_, key)| key);
            match key {
                "IN" if !pair.value.is_empty() && !row.has(FieldId::OBSERVER_INGRESS_INTERFACE_NAME) => {
                    row.text(FieldId::OBSERVER_INGRESS_INTERFACE_NAME, pair.value);
                }
                "OUT" if !pair.value.is_empty() => row.text(FieldId::OBSERVER_EGRESS_INTERFACE_NAME, pair.value),
                "SRC" => address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, pair.value),
                "DST" => address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, pair.value),
                "SPT" => number(row, FieldId::SOURCE_PORT, pair.value),
                "DPT" => number(row, FieldId::DESTINATION_PORT, pair.value),
                "LEN" if !row.has(self.length) => number(row, self.length, pair.value),
                "TTL" | "HOPLIMIT" => number(row, self.ttl, pair.value),
                "MARK" => row.text(self.mark, pair.value),
                "PROTO" => super::protocol(row, pair.value),
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

impl Reader {
    /// What stands before `IN=`: what the rule's author wrote, or what a vendor's firewall writes there.
    fn prefix(&self, lead: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let lead = lead.trim();
        let lead = match lead.strip_prefix('[').and_then(|p| p.split_once(']')) {
            Some((uptime, rest)) if uptime.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'.')) => rest.trim(),
            _ => lead,
        };
        let prefix = lead.trim_matches([':', '[', ']', ' ']);
        if prefix.is_empty() {
            return;
        }
        row.text(self.prefix, prefix);
        let done = match lead.strip_prefix('[').and_then(|l| l.split_once(']')) {
            Some((rule, _)) => rule_of_gateway(rule, row),
            None => None,
        };
        let done = done.or_else(|| {
            if let Some(word) = prefix.strip_prefix("iptables ").filter(|word| !word.contains(' ')) {
                row.text(FieldId::EVENT_ACTION, word);
                return action(word);
            }
            let (chain, verdict) = proxmox(prefix, context, row)?;
            row.text(FieldId::OBSERVER_INGRESS_INTERFACE_NAME, chain);
            row.text(FieldId::EVENT_ACTION, verdict);
            action(verdict)
        });
        let Some(action) = done.or_else(|| action(prefix)) else { return };
        if !row.has(FieldId::EVENT_ACTION) {
            row.text(FieldId::EVENT_ACTION, action);
        }
        row.text(FieldId::EVENT_TYPE, if action == "accept" { "allowed" } else { "denied" });
    }
}

/// EdgeOS and UniFi: `RULESET-NUMBER-A`, `RULESET-A-NUMBER`; A accepts, D drops, R rejects. A rule set may be named after two zones.
fn rule_of_gateway(rule: &str, row: &mut RowBuilder<'_>) -> Option<&'static str> {
    let letter = |text: &str| match text {
        "A" => Some("accept"),
        "D" => Some("drop"),
        "R" => Some("reject"),
        _ => None,
    };
    let (head, last) = rule.rsplit_once('-')?;
    let (name, middle) = head.rsplit_once('-')?;
    let (id, action) = letter(last).map(|action| (middle, action)).or_else(|| letter(middle).map(|action| (last, action)))?;
    row.text(FieldId::RULE_NAME, name);
    row.text(FieldId::RULE_ID, id);
    row.text(FieldId::EVENT_ACTION, action);
    if let Some((from, to)) = name.split_once('-').filter(|(from, to)| !from.is_empty() && !to.is_empty() && !to.contains('-')) {
        row.text(FieldId::OBSERVER_INGRESS_ZONE, from);
        row.text(FieldId::OBSERVER_EGRESS_ZONE, to);
    }
    Some(if action == "accept" { "accept" } else { "deny" })
}

/// Proxmox VE: `VMID LEVEL CHAIN-IN TIME [policy ]VERDICT`: the chain and the verdict.
fn proxmox<'a>(prefix: &'a str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> Option<(&'a str, &'a str)> {
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let mut words = prefix.splitn(4, ' ');
    let (vm, level, chain) = (words.next()?, words.next()?, words.next()?);
    if !digits(vm) || !digits(level) {
        return None;
    }
    let (stamp, rest) = stamp::any(words.next()?)?;
    let verdict = rest.trim().trim_start_matches("policy ");
    context.set_time(row, Some(stamp));
    Some((chain.strip_suffix("-IN").or(chain.strip_suffix("-OUT")).unwrap_or(chain), verdict))
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
