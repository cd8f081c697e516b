//! Cisco IOS, IOS XE and NX-OS: `%FACILITY-SEVERITY-MNEMONIC: text` (Cisco, "System Message Guide"), behind what the device writes before
//! it: a sequence number, a host, a time with `*` or `.`, a zone, the time since it started.

use std::collections::HashMap;

use event::{FieldId, RowBuilder};

use super::sentence::{Done, Message, PARTS_MAX, capture, compile, fits};
use super::{Kind, Recognise, number};
use crate::decode::keys;
use crate::decode::stamp;
use crate::decode::text::Context;

use Done::{Asked, Denied, LoggedIn, LoggedOut, LoginFailed, Permitted, Told};

pub(super) struct Reader {
    ios: Kind,
    aaa: Kind,
    nxos: Kind,
    messages: HashMap<&'static str, Vec<Message>>,
    facility: FieldId,
    acl: FieldId,
    connection: FieldId,
    scratch: String,
}

/// Mnemonics, what was done, pattern; of several for one mnemonic the first that fits stands.
const MESSAGES: &[(&str, Done, &str)] = &[
    // SEC, IPV6: access lists.
    ("IPACCESSLOGP ACCESSLOGP", Asked, "list {a} {v} {p} {s} -> {d}, {k} packet"),
    ("IPACCESSLOGP ACCESSLOGP", Asked, "list {a} {v} {p} {s} ({si} {mac}) -> {d}, {k} packet"),
    ("IPACCESSLOGP ACCESSLOGP", Asked, "list {a} {v} {p} {s} ({si} ) -> {d}, {k} packet"),
    ("IPACCESSLOGP ACCESSLOGP", Asked, "list {a} {v} {p} {s} ({si}) -> {d}, {k} packet"),
    ("IPACCESSLOGDP ACCESSLOGDP", Asked, "list {a} {v} {p} {s} ({si} {mac}) -> {d} ({it}/{ic}), {k} packet"),
    ("IPACCESSLOGDP ACCESSLOGDP", Asked, "list {a} {v} {p} {s} -> {d} ({it}/{ic}), {k} packet"),
    ("IPACCESSLOGNP ACCESSLOGNP", Asked, "list {a} {v} {proto} {s} -> {d}, {k} packet"),
    ("IPACCESSLOGSP ACCESSLOGSP", Asked, "list {a} {v} {p} {s} -> {d} ({x}), {k} packet"),
    ("IPACCESSLOGRP", Asked, "list {a} {v} {p} {s} -> {d}, {k} packet"),
    ("IPACCESSLOGS", Asked, "list {a} {v} {s} {k} packet"),
    (
        "ACLLOG_FLOW_INTERVAL ACLLOG_NEW_FLOW",
        Asked,
        "Src IP: {s}, Dst IP: {d}, Src Port: {sp}, Dst Port: {dp}, Src Intf: {si}, Protocol: \"{p}\"({x}), ACL Name: {a}, ACE Action: {v}, ",
    ),
    (
        "ACLLOG_FLOW_INTERVAL ACLLOG_NEW_FLOW",
        Told,
        "Src IP: {s}, Dst IP: {d}, Src Port: {sp}, Dst Port: {dp}, Src Intf: {si}, Protocol: \"{p}\"({x}), ",
    ),
    (
        "ACLLOG_FLOW_INTERVAL ACLLOG_NEW_FLOW",
        Told,
        "Source IP: {s}, Destination IP: {d}, Source Port: {sp}, Destination Port: {dp}, Source Interface: {si}, Protocol: \"{p}\"({x}), ",
    ),
    // Intrusion prevention.
    ("SIGNATURE", Denied, "Sig:{sig} Subsig:{x} Sev:{x} {sn>} [{s4} -> {d4}]"),
    // Logins.
    ("LOGIN_SUCCESS", LoggedIn, "Login Success [user: {u>}] [Source: {s}] [localport: {dp}]"),
    ("LOGIN_FAILED", LoginFailed, "Login failed [user: {u>}] [Source: {s}] [localport: {dp}] [Reason: {r}]"),
    (
        "QUIET_MODE_ON",
        Denied,
        "Still timeleft for watching failures is {x} secs, [user: {u>}] [Source: {s}] [localport: {dp}] [Reason: {r}]",
    ),
    // The load balancer ACE.
    ("251008 251010", Told, "Health probe failed for server {d} on port {dp}, {r}"),
    // Arista EOS.
    ("LOGIN_FAILED", LoginFailed, "user {u>} failed to login [from: {s}] [service: {x}] [reason: {r}]"),
    ("LOGIN_FAILED", LoginFailed, "user {u>} [from: {s}] [service: {x}] [reason: {r}]"),
    ("CMD", Told, "{u} {x} {s} stop {x} cmd={cmd>} <cr>"),
    ("CMD", Told, "{u} {x} {s} stop {x} cmd={cmd}"),
    ("IPACCESS", Asked, "list {a} {si} {v} {p} {s} -> {d}"),
    ("AAA_ACCOUNTING_MESSAGE", Told, "{x}:{s4}@{x}:{u}:{cmd>} ("),
    ("AAA_ACCOUNTING_MESSAGE", Told, "{x}:{s4}@{x}:{u}:{cmd}"),
    // Dell OS9.
    ("LOGIN_SUCCESS", LoggedIn, "Login successful for user {u>} on {x} ( {s} )"),
    ("LOGIN_SUCCESS", LoggedIn, "Login successful for user {u>} on"),
    ("LOGIN_FAILURE AUTHENTICATION_FAILURE", LoginFailed, "{x} for user {u>} on {x} ( {s} )"),
    ("LOGOUT", LoggedOut, "Exec session is terminated for user {u>} on line {x} ( {s} )"),
    ("LOGOUT", LoggedOut, "Exec session is terminated for user {u>} on line"),
    ("LOGIN_PASSED", LoggedIn, "{x}Login Successful from host {s} by user '{u>}' using"),
    ("LOGIN_FAILED", LoginFailed, "{x}Login Un-Successful from host {s} by user '{u>}' using"),
    ("LOGIN", LoggedIn, "user {u>} logged in [from: {s}] [service: {x}]"),
    ("LOGOUT", LoggedOut, "user {u>} logged out [from: {s}] [service: {x}]"),
    ("SSH2_SESSION SSH_SESSION", Told, "{x} request from {s} (tty = {x}) {x} Succeeded"),
    ("SSH2_SESSION SSH_SESSION", LoginFailed, "{x} request from {s} (tty = {x}) {x} Failed"),
    ("SSH2_USERAUTH SSH_USERAUTH", LoggedIn, "User '{u>}' authentication for {x} from {s} (tty = {x}) {x} Succeeded"),
    ("SSH2_USERAUTH SSH_USERAUTH", LoginFailed, "User '{u>}' authentication for {x} from {s} (tty = {x}) {x} Failed"),
    ("SSH2_CLOSE", LoggedOut, "SSH2 Session from {s} (tty = {x}) for user '{u>}' {x} closed"),
    ("LOGOUT", LoggedOut, "User {u>} has exited tty session {x}({s})"),
    ("CONFIG_I", Told, "Configured from {x} by {u>} on {x} ({s})"),
    ("CONFIG_I", Told, "Configured from {x} by {u>} on {x}({s})"),
    ("CONFIG_I", Told, "Configured from {x} by {x} ({s})"),
    ("CONFIG_I", Told, "Configured from {x} by {u}"),
    ("VSHD_SYSLOG_CONFIG_I", Told, "Configured from {x} by {u>} on {s4}@{x}"),
    ("VSHD_SYSLOG_CONFIG_I", Told, "Configured from {x} by {u>} on {x}"),
    ("CFGLOG_LOGGEDCMD", Told, "User:{u}  logged command:{cmd}"),
    // Wireless controllers, whose texts begin with the line of their source.
    ("AAA_AUTH_ADMIN_USER", LoggedIn, "{x}Authentication succeeded for {x}user '{u>}' on {s}"),
    ("AAA_AUTH_ADMIN_USER", LoginFailed, "{x}Authentication failed for {x}user '{u>}' on {s}"),
    (
        "AUTHENTICATION_TRAP",
        LoggedIn,
        "{x}Client Authenticated: MACAddress:{mac} Base Radio MAC:{x} Slot:{x} User Name:{u>} Ip Address:{s} SSID:",
    ),
    // Interfaces and addresses.
    ("UPDOWN", Told, "Interface {si}, changed state to {st}"),
    ("UPDOWN", Told, "Line protocol on Interface {si}, changed state to {st}"),
    ("CHANGED", Told, "Interface {si}, changed state to {st}"),
    (
        "IF_DOWN_ADMIN_DOWN IF_DOWN_LINK_FAILURE IF_DOWN_NONE IF_DOWN_INITIALIZING IF_DOWN_CFG_CHANGE IF_DOWN_ERROR_DISABLED IF_DOWN_PORT_CHANNEL_MEMBERS_DOWN IF_DOWN_INTERFACE_REMOVED",
        Told,
        "Interface {si} is {st} ({r})",
    ),
    ("IF_UP", Told, "Interface {si} is {st} in"),
    ("DUP_SRC_IP", Told, "{x} Source address of packet received from {mac} on {si}(port-{x}) is duplicate of local, {s} "),
    ("DUP_SRC_IP", Told, "{x} Source address of packet received from {mac} on {si} is duplicate of local, {s}"),
    ("MACFLAP_NOTIF", Told, "Host {mac} in vlan {x} is flapping between port {si} and port {di}"),
    ("PSECURE_VIOLATION", Denied, "Security violation occurred, caused by MAC address {mac} on port {si}."),
    ("DHCP_SNOOPING_DENY", Denied, "{x} Invalid ARPs ({x}) on {si}, vlan {x}.([{mac}/{s}/{x}/{d}/"),
    ("DHCP_SNOOPING_MATCH_MAC_FAIL", Denied, "{x}, chaddr: {mac}, MAC sa: {x}"),
    ("DUPADDR", Told, "Duplicate address {s} on {si}, sourced by {mac}"),
    ("ADJCHANGE", Told, "neighbor {s} {st} "),
    ("ADJCHG NBRCHANGE", Told, "Process {x}, Nbr {s} on {si} from {x} to {st}, {r}"),
    ("FAIL", LoginFailed, "{x} for client ({mac}) {x}on Interface {si} {x}Username: {u}"),
    ("FAIL", LoginFailed, "{x} for client ({mac}) {x}on Interface {si} "),
    ("SUCCESS START", Told, "{x} for client ({mac}) on Interface {si} {x}Username: {u}"),
    ("SUCCESS START", Told, "{x} for client ({mac}) on Interface {si} "),
    ("ADJCHANGE NOTIFICATION", Told, "{x}neighbor {s} "),
    ("ADJCHANGE", Told, "peer {s} {x}new state {st}"),
    ("NBRCHANGE", Told, "{x}: Neighbor {s} ({si}) is {st}: {r}"),
    ("STATECHANGE", Told, "{si} Grp {x} state {x} -> {st}"),
    ("RECVD_PKT_INV_SPI", Denied, "{x}destaddr={d}, prot={x}, {x}srcaddr={s}"),
    ("RECVD_PKT_NOT_IPSEC", Denied, "{x}dest_addr= /{d}, src_addr= {s}, prot= {p}"),
    ("RECVD_PKT_NOT_IPSEC", Denied, "{x}dest_addr= {d}, src_addr= {s}, prot= {p}"),
    ("RADIUS_DEAD RADIUS_ALIVE", Told, "RADIUS server {d4},{x} is {r}"),
    ("ERR_DISABLE", Told, "{r} error detected on {si}, putting"),
    ("SESSION_STATUS", Told, "Crypto tunnel is {st}. {x}eer {s4} "),
    ("PING_CONFLICT", Told, "DHCP address conflict: {x}pinged {s}"),
    ("HTTP_JAVA_BLOCK", Denied, "JAVA applet is blocked from ({s4}) to ({d4})"),
    ("PLATFORM", Denied, "{x}%FW-6-DROP_PKT: Dropping {p} pkt from {si} {s4} => {d4}("),
    // The firewall of zones.
    ("DROP_PKT", Denied, "Dropping {n} session {s4} {d4} on zone-pair {x} class {x} due to {r}"),
    ("DROP_PKT", Denied, "Dropping {n} session {s4} {d4} "),
    ("SESS_AUDIT_TRAIL_START", Permitted, "{x}Start {n} session: initiator ({s4}) -- responder ({d4})"),
    ("SESS_AUDIT_TRAIL", Permitted, "{x}Stop {n} session: initiator ({s4}) sent {bi} bytes -- responder ({d4}) sent {bo} bytes"),
];

impl Reader {
    pub(super) fn new() -> Reader {
        let mut messages: HashMap<&'static str, Vec<Message>> = HashMap::new();
        for (names, done, pattern) in MESSAGES {
            for name in names.split(' ') {
                let (lead, parts) = compile(pattern);
                messages.entry(name).or_default().push(Message { done: *done, lead, parts });
            }
        }
        let kind = |format, service| Kind::new(format, Some("cisco"), None, service);
        Reader {
            ios: kind("cisco_ios", Some("ios")),
            aaa: kind("cisco_ios", Some("aaa")),
            nxos: kind("cisco_nxos", Some("nxos")),
            messages,
            facility: FieldId::known("cisco.ios.facility"),
            acl: FieldId::known("cisco.ios.access_list"),
            connection: FieldId::known("cisco.ios.connection_id"),
            scratch: String::new(),
        }
    }

    fn text(&mut self, mnemonic: &str, text: &str, row: &mut RowBuilder<'_>) {
        if mnemonic == "SYSTEM_MSG" {
            system_message(text, row);
            return;
        }
        let mut found = [("", ""); PARTS_MAX];
        for message in self.messages.get(mnemonic).into_iter().flatten() {
            let Some(count) = fits(message, text, &mut found) else { continue };
            let found = &found[..count];
            let verdict = found.iter().find(|(name, _)| *name == "v").map_or("", |(_, verdict)| *verdict);
            for (name, value) in found {
                match *name {
                    "sp" => number(row, FieldId::SOURCE_PORT, value),
                    "dp" => number(row, FieldId::DESTINATION_PORT, value),
                    "sig" => row.text(FieldId::RULE_ID, value),
                    "sn" => row.text(FieldId::RULE_NAME, value),
                    // A list that matches no protocol writes its number, 0 for any.
                    "proto" if *value != "0" => keys::transport(row, value, &mut self.scratch),
                    _ => capture(name, value, self.connection, self.acl, &mut self.scratch, row),
                }
            }
            let (action, kind, outcome) = match message.done {
                Asked if verdict.eq_ignore_ascii_case("permitted") || verdict.eq_ignore_ascii_case("permit") => {
                    ("permitted", "allowed", "")
                }
                Asked | Denied => ("deny", "denied", ""),
                Permitted => ("permitted", "allowed", ""),
                LoggedIn => ("login", "", "success"),
                LoginFailed => ("login", "", "failure"),
                LoggedOut => ("logout", "", ""),
                _ => ("", "", ""),
            };
            for (field, text) in [(FieldId::EVENT_ACTION, action), (FieldId::EVENT_TYPE, kind), (FieldId::EVENT_OUTCOME, outcome)]
            {
                if !text.is_empty() {
                    row.text(field, text);
                }
            }
            return;
        }
        super::guess::guess(text, row);
        names(text, row);
    }
}

/// The interface and the hardware address that a message of no pattern names, if it names one.
fn names(text: &str, row: &mut RowBuilder<'_>) {
    let words = text
        .split([' ', ',', '(', ')', '[', ']', ';'])
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| !word.is_empty());
    let (mut interface, mut mac) = (None, None);
    for word in words {
        if interface.is_none() && is_interface(word) {
            interface = Some(word);
        } else if mac.is_none() && is_mac(word) {
            mac = Some(word);
        }
    }
    for (field, found) in [(FieldId::OBSERVER_INGRESS_INTERFACE_NAME, interface), (FieldId::SOURCE_MAC, mac)] {
        if let Some(found) = found.filter(|_| !row.has(field)) {
            row.text(field, found);
        }
    }
}

/// `GigabitEthernet1/0/7`, `Gi1/0/7.10`, `Vlan10`, `port-channel7`.
fn is_interface(word: &str) -> bool {
    const KINDS: [&str; 29] = [
        "ethernet",
        "fastethernet",
        "gigabitethernet",
        "tengigabitethernet",
        "twentyfivegige",
        "fortygigabitethernet",
        "hundredgige",
        "twogigabitethernet",
        "fivegigabitethernet",
        "vlan",
        "port-channel",
        "tunnel",
        "loopback",
        "serial",
        "dot11radio",
        "mgmt",
        "management",
        "bundle-ether",
        "eth",
        "gi",
        "te",
        "fa",
        "po",
        "hu",
        "fo",
        "twe",
        "tw",
        "vl",
        "lo",
    ];
    KINDS.iter().any(|kind| {
        let (Some(lead), Some(number)) = (word.get(..kind.len()), word.get(kind.len()..)) else { return false };
        lead.eq_ignore_ascii_case(kind) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b"/.:".contains(&b))
    })
}

/// `0011.2233.4455`
fn is_mac(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() == 14 && bytes[4] == b'.' && bytes[9] == b'.' && bytes.iter().all(|b| b.is_ascii_hexdigit() || *b == b'.')
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["cisco_ios", "cisco_nxos"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(7)
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[
            &["%", "-0-", ": "],
            &["%", "-1-", ": "],
            &["%", "-2-", ": "],
            &["%", "-3-", ": "],
            &["%", "-4-", ": "],
            &["%", "-5-", ": "],
            &["%", "-6-", ": "],
            &["%", "-7-", ": "],
            &["%", "-8-", ": "],
            &["%", "-9-", ": "],
        ]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        // Dell OS9 names the unit of a stack first: `%STKUNIT1-M:CP %SEC-5-LOGIN_SUCCESS: `.
        let unit = message.strip_prefix('%').and_then(|rest| rest.split_once(' ')).filter(|(unit, rest)| {
            rest.starts_with('%')
                && unit.len() <= 32
                && unit.contains(':')
                && unit.bytes().all(|b| b.is_ascii_alphanumeric() || b"-:._".contains(&b))
        });
        let Some((lead, rest)) = unit.map_or(message, |(_, rest)| rest).split_once('%') else { return false };
        let Some((tag, text)) = rest.split_once(": ") else { return false };
        // `HOST: 2026 Apr  1 09:00:00 JST: %...`, as files keep it without the priority.
        let device = lead.split_once(": ").filter(|(name, rest)| {
            context.header.priority.is_none()
                && year_first(rest).is_some()
                && (1..=64).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        });
        let lead = device.map_or(lead, |(_, rest)| rest);
        if !is_lead(lead) {
            return false;
        }
        // FACILITY[-SUBFACILITY]-SEVERITY-MNEMONIC
        let mut parts = tag.rsplitn(3, '-');
        let (Some(mnemonic), Some(severity), Some(facility)) = (parts.next(), parts.next(), parts.next()) else { return false };
        let named = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_-+".contains(&b))
        };
        if !(named(mnemonic) && named(facility)) || severity.len() != 1 || !severity.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        // NX-OS puts the year first.
        let nexus = lead.trim_start_matches(['*', '.', ' ', ':']).starts_with(|c: char| c.is_ascii_digit())
            && year_first(lead.trim_start_matches([' ', ':'])).is_some()
            || mnemonic == "SYSTEM_MSG";
        match () {
            () if nexus => self.nxos,
            () if facility.starts_with("SEC_LOGIN") || facility == "AAA" || facility == "SSH" || mnemonic == "CONFIG_I" => {
                self.aaa
            }
            () => self.ios,
        }
        .mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Cisco");
        row.text(FieldId::OBSERVER_PRODUCT, if nexus { "nxos" } else { "ios" });
        row.text(FieldId::EVENT_CATEGORY, "network");
        if let (None, None, Some(app)) = (context.header.host, context.header.procid, context.header.app)
            && !app.bytes().all(|b| b.is_ascii_digit())
        {
            row.text(FieldId::HOST_NAME, app); // `HOST: 2026 Apr  1 09:00:00 JST: %...`
        }
        if let Some((name, _)) = device {
            row.text(FieldId::HOST_NAME, name);
        }
        row.text(FieldId::EVENT_CODE, mnemonic);
        row.text(self.facility, facility);
        number(row, FieldId::EVENT_SEVERITY, severity);
        row.text(FieldId::MESSAGE, text);
        self.text(mnemonic, text.trim_end(), row);
        if let Some(stamp) = own_time(lead) {
            context.set_time(row, Some(stamp));
        }
        true
    }
}

/// What a device writes before its tag: numbers, a time, a zone; nothing that a sender could have put there.
pub(super) fn is_lead(lead: &str) -> bool {
    // Wireless controllers name the task first: `*apfReceiveTask: Apr 01 09:00:00.123: `.
    let task = lead.strip_prefix('*').and_then(|rest| rest.split_once(": "));
    let lead =
        task.filter(|(task, _)| task.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).map_or(lead, |(_, rest)| rest);
    // A zone's name that the administrator chose: `*Apr  1 09:00:00 mng: `, right behind the time and before the colon.
    let zone = lead.strip_suffix(": ").and_then(|lead| lead.rsplit_once(' ')).filter(|(before, zone)| {
        (2..=5).contains(&zone.len())
            && zone.bytes().all(|b| b.is_ascii_lowercase())
            && before.ends_with(|c: char| c.is_ascii_digit())
            && before.rsplit(' ').next().is_some_and(|clock| clock.matches(':').count() == 2)
    });
    let lead = zone.map_or(lead, |(before, _)| &lead[..before.len() + 1]);
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let known = |word: &str| {
        let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        letters == 0
            || MONTHS.contains(&word)
            || (letters <= 5 && word.bytes().all(|b| b.is_ascii_uppercase() || !b.is_ascii_alphabetic()))
            || (digits > 0 && word.bytes().all(|b| b.is_ascii_digit() || b"wydh".contains(&b))) // `1y30w`: the time since the start.
    };
    lead.len() <= 80 && (lead.is_empty() || lead.ends_with([' ', ':'])) && lead.split([' ', ':', '*', '.']).all(known)
}

/// `2026 Apr  1 09:00:00 ...`
fn year_first(text: &str) -> Option<&str> {
    let (year, rest) = text.split_once(' ')?;
    (year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with(|c: char| c.is_ascii_uppercase()))
        .then_some(rest)
}

/// The device's own time in what stands before the tag: `1234: *Apr  1 09:00:00.123 JST: `.
fn own_time(lead: &str) -> Option<stamp::Stamp> {
    let mut rest = lead;
    loop {
        rest = rest.trim_start_matches(['*', '.', ' ', ':']);
        if let Some((stamp, _)) = stamp::bsd(rest).or_else(|| stamp::iso(rest)).or_else(|| stamp::year_first(rest)) {
            return Some(stamp);
        }
        rest = rest.split_once(": ")?.1;
    }
}

/// NX-OS passes on what its daemons log: `text - daemon[pid]`.
fn system_message(text: &str, row: &mut RowBuilder<'_>) {
    let (text, daemon) = text.rsplit_once(" - ").unwrap_or((text, ""));
    let (name, pid) = daemon.trim_end_matches(']').split_once('[').unwrap_or((daemon, ""));
    if !name.is_empty() && !name.contains(' ') {
        row.text(FieldId::PROCESS_NAME, name);
        number(row, FieldId::PROCESS_PID, pid);
    }
    let says = |words| super::guess::contains(text, words);
    let failed = ["authentication failure", "authentication failed", "failed password"].into_iter().any(says);
    let accepted = says("accepted ");
    if !failed && !accepted {
        return;
    }
    row.text(FieldId::EVENT_ACTION, "login");
    row.text(FieldId::EVENT_OUTCOME, if failed { "failure" } else { "success" });
    // PAM: `...; logname= uid=0 euid=0 tty=ssh ruser= rhost=A  user=NAME`.
    if text.starts_with("pam_unix(")
        && let Some((_, rest)) = text.split_once(" rhost=")
    {
        let (from, user) = rest.split_once(' ').unwrap_or((rest, ""));
        super::address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, from);
        super::some_text(row, FieldId::USER_NAME, user.trim_start().strip_prefix("user=").unwrap_or(""));
        return;
    }
    // The name is the sender's; the address stands behind it.
    if let Some((lead, from)) = text.rsplit_once(" from ") {
        super::address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, from.split([' ', ',']).next().unwrap_or(from));
        let user = lead.split_once(" user ").or_else(|| lead.split_once(" for ")).map_or("", |(_, user)| user);
        let user = user.strip_prefix("illegal user ").or(user.strip_prefix("invalid user ")).unwrap_or(user);
        super::some_text(row, FieldId::USER_NAME, user);
    }
}
