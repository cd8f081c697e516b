//! Devices that write WELF, the WebTrends Enhanced Log Format: `id=firewall time="..." fw=... pri=...`, each with keys of its own:
//! SonicWall (SonicOS Log Events Reference), SonicWall SMA, Stormshield (SNS Audit Logs), Ivanti Connect Secure (Pulse Secure).

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, some_text};
use crate::decode::cut::{between, word};
use crate::decode::keys::{self, Keys};
use crate::decode::pairs::pairs;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    sonicwall: Dialect,
    remote_access: Dialect,
    stormshield: Dialect,
    pulse: Dialect,
    scratch: String,
}

struct Dialect {
    kind: Kind,
    keys: Keys,
    vendor: &'static str,
}

const SONICWALL: &str = "
    src = source.ip:ip?
    dst = destination.ip:ip?
    srcV6 = source.ip:ip
    dstV6 = destination.ip:ip
    srcMac = source.mac
    dstMac = destination.mac
    proto = network.transport?
    m = event.code
    msg = message event.action
    fw = observer.ip:ip
    sn = observer.serial_number
    usr | user = user.name
    sent = source.bytes:int
    rcvd = destination.bytes:int
    spkt = source.packets:int
    rpkt = destination.packets:int
    rule = rule.name
    appName = network.application
    sid = rule.id
    dstname = destination.domain url.domain
    arg = url.path
    op = http.request.method
    result = http.response.status_code:int
    Category = rule.category
    note = event.reason
    cdur = event.duration:millis
    pri = event.severity:int
    natSrc
    natDst
";

const REMOTE_ACCESS: &str = "
    src = source.ip:ip
    dst
    fw = observer.ip:ip
    sn = observer.serial_number
    user = user.name:mailbox
    usr = user.name:mailbox?
    domain = user.domain?
    agent = user_agent.original
    msg = message
    m = event.code
    pri = event.severity:int
    portal
";

const STORMSHIELD: &str = "
    fw = observer.serial_number observer.hostname
    src | address = source.ip:ip
    srcport = source.port:int
    srcmac = source.mac
    modsrc = source.nat.ip:ip
    modsrcport = source.nat.port:int
    dst = destination.ip:ip
    dstport = destination.port:int
    origdst = destination.nat.ip:ip
    origdstport = destination.nat.port:int
    dstmac = destination.mac
    dstname = destination.domain
    ipproto = network.transport:transport
    proto = network.protocol:lower
    srcif = observer.ingress.interface.name
    dstif = observer.egress.interface.name
    ruleid = rule.id
    rulename = rule.name
    slotlevel = rule.category
    policyname = rule.ruleset
    action = event.action:verdict
    sent = source.bytes:int
    rcvd = destination.bytes:int
    duration = event.duration:seconds
    user = user.name
    domain = user.domain
    service = process.name
    op = http.request.method
    arg = url.original:uri
    result = http.response.status_code:int
    cat_site = rule.category?
    virus = rule.description
    alarmid = rule.id?
    pri = event.severity:int
    msg = message
    logtype
    icmptype = icmp.type:int
    icmpcode = icmp.code:int
";

const PULSE: &str = "
    fw = observer.ip:ip
    vpn = service.name
    user = user.name
    realm = user.domain
    roles = user.roles
    src = source.ip:ip
    dst = destination.ip:ip
    dstname = destination.domain
    sent = source.bytes:int
    rcvd = destination.bytes:int
    agent = user_agent.original
    arg = url.original:uri
    op = http.request.method
    result = http.response.status_code:int
    duration = event.duration:seconds
    pri = event.severity:int
    msg = message
";

impl Reader {
    pub(super) fn new() -> Reader {
        let dialect = |format, product, vendor, category, prefix, table| Dialect {
            kind: Kind::new(format, Some(product), category, None),
            keys: Keys::new(prefix, table),
            vendor,
        };
        Reader {
            sonicwall: dialect("sonicwall", "sonicwall", "SonicWall", Some("firewall"), "sonicwall.firewall.", SONICWALL),
            remote_access: dialect("sonicwall_sma", "sonicwall", "SonicWall", None, "sonicwall.sma.", REMOTE_ACCESS),
            stormshield: dialect("stormshield", "stormshield", "Stormshield", Some("firewall"), "stormshield.", STORMSHIELD),
            pulse: dialect("pulse_secure", "pulse_secure", "Ivanti", None, "pulse_secure.", PULSE),
            scratch: String::new(),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["sonicwall", "sonicwall_sma", "stormshield", "pulse_secure"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("id=").starts("time=").starts("startime=").rank(6)
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["fw="]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        let mut first = "";
        let (mut fw, mut priority, mut serial, mut code, mut vpn, mut started, mut kind) =
            (false, false, false, false, false, false, "");
        for (at, pair) in pairs(message).enumerate() {
            match pair.key {
                key @ ("id" | "time" | "startime") if at == 0 => first = key,
                _ if at == 0 => return false,
                "fw" => fw = true,
                "pri" => priority = true,
                "sn" => serial = true,
                "m" => code = true,
                "vpn" => vpn = true,
                "startime" => started = true,
                "logtype" => kind = pair.value,
                _ => {}
            }
        }
        if first.is_empty() || !fw {
            return false;
        }
        match () {
            () if !kind.is_empty() && (started || matches!(first, "startime" | "id")) => {
                self.stormshield(kind, message, context, row);
            }
            () if vpn && priority && !message.starts_with("id=ArrayOS") => self.pulse(message, context, row),
            () if serial && code && message.starts_with("id=sslvpn") => self.remote_access(message, context, row),
            () if serial && code && first == "id" => self.sonicwall(message, context, row),
            () => return false,
        }
        true
    }
}

/// What a message of SonicWall says of a session, and how it went.
fn login(message: &str) -> Option<(&'static str, &'static str)> {
    [
        ("User login successful", "login", "success"),
        ("User login failed", "login", "failure"),
        ("User login denied", "login", "failure"),
        ("User logged out", "logout", "success"),
    ]
    .into_iter()
    .find(|(begins, ..)| message.starts_with(begins))
    .map(|(_, action, outcome)| (action, outcome))
}

impl Dialect {
    fn write(&mut self, message: &str, context: &Context<'_>, scratch: &mut String, row: &mut RowBuilder<'_>) {
        self.kind.mark(row);
        row.text(FieldId::OBSERVER_VENDOR, self.vendor);
        row.text(FieldId::EVENT_CATEGORY, "network");
        self.keys.begin();
        let (mut time, mut zone) = ("", "");
        for pair in pairs(message) {
            self.keys.put(pair.key, pair.value, row);
            match pair.key {
                "time" => time = pair.value,
                "tz" => zone = pair.value,
                _ => {}
            }
        }
        self.keys.finish(row);
        scratch.clear();
        scratch.extend([time.trim_end_matches(" UTC"), zone, if time.ends_with(" UTC") { "Z" } else { "" }]);
        context.set_time(row, stamp::iso(scratch).map(|(stamp, _)| stamp));
    }
}

impl Reader {
    fn sonicwall(&mut self, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        self.sonicwall.write(message, context, &mut self.scratch, row);
        let mut said = "";
        for pair in pairs(message) {
            // `address:port:interface[:name]`
            let (ip, port, interface) = match pair.key {
                "src" => (FieldId::SOURCE_IP, FieldId::SOURCE_PORT, FieldId::OBSERVER_INGRESS_INTERFACE_NAME),
                "dst" => (FieldId::DESTINATION_IP, FieldId::DESTINATION_PORT, FieldId::OBSERVER_EGRESS_INTERFACE_NAME),
                "natSrc" => (FieldId::SOURCE_NAT_IP, FieldId::SOURCE_NAT_PORT, FieldId::FLAGS),
                "natDst" => (FieldId::DESTINATION_NAT_IP, FieldId::DESTINATION_NAT_PORT, FieldId::FLAGS),
                "proto" => {
                    let (name, service) = pair.value.split_once('/').unwrap_or((pair.value, ""));
                    row.remove(FieldId::NETWORK_TRANSPORT);
                    keys::transport(row, name, &mut self.scratch);
                    if service.bytes().any(|b| b.is_ascii_alphabetic()) {
                        keys::lower(row, FieldId::NETWORK_PROTOCOL, service, &mut self.scratch);
                    }
                    continue;
                }
                // Newer releases say what became of the packet; older ones tell it by the message alone.
                "fw_action" if pair.value == "drop" => {
                    row.text(FieldId::EVENT_TYPE, "denied");
                    continue;
                }
                "msg" => {
                    said = pair.value;
                    continue;
                }
                _ => continue,
            };
            let Some((host, rest)) = pair.value.split_once(':') else { continue };
            let mut parts = rest.split(':');
            // IPv6 addresses have a key of their own, and leave this one empty.
            let address = host.parse();
            if address.is_ok() || host.is_empty() {
                if let Ok(address) = address {
                    row.ip(ip, address);
                }
                super::number(row, port, parts.next().unwrap_or(""));
                if interface != FieldId::FLAGS {
                    some_text(row, interface, parts.next().unwrap_or(""));
                }
                match pair.key {
                    "src" => some_text(row, FieldId::SOURCE_DOMAIN, parts.next().unwrap_or("")),
                    "dst" if !row.has(FieldId::DESTINATION_DOMAIN) => {
                        some_text(row, FieldId::DESTINATION_DOMAIN, parts.next().unwrap_or(""));
                    }
                    _ => {}
                }
            }
        }
        if !row.has(FieldId::EVENT_TYPE) && (said.ends_with(" dropped") || said.ends_with(" denied")) {
            row.text(FieldId::EVENT_TYPE, "denied");
        }
        if let Some((_, outcome)) = login(said) {
            row.text(FieldId::EVENT_OUTCOME, outcome);
        }
    }

    fn remote_access(&mut self, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        self.remote_access.write(message, context, &mut self.scratch, row);
        let value = |key: &str| pairs(message).find(|pair| pair.key == key).map_or("", |pair| pair.value);
        super::address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, value("dst"));
        if let Some((action, outcome)) = login(value("msg")) {
            row.text(FieldId::EVENT_ACTION, action);
            row.text(FieldId::EVENT_OUTCOME, outcome);
        }
    }

    fn stormshield(&mut self, kind: &str, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        self.stormshield.write(message, context, &mut self.scratch, row);
        let value = |key: &str| pairs(message).find(|pair| pair.key == key).map_or("", |pair| pair.value);
        let text = value("msg");
        if let (Ok(sent), Ok(received)) = (value("sent").parse::<u64>(), value("rcvd").parse::<u64>()) {
            row.uint(FieldId::NETWORK_BYTES, sent.saturating_add(received));
        }
        match kind {
            // What an administrator typed.
            "server" => some_text(row, FieldId::PROCESS_COMMAND_LINE, text),
            "auth" | "xvpn" => {
                if text.contains("uthentication") {
                    row.text(FieldId::EVENT_ACTION, "authentication");
                }
                let says = |word| super::guess::contains(text, word);
                let failed = says("failed") || says("error") || !matches!(value("error"), "" | "0");
                let worked = says("success") || value("error") == "0";
                if failed || worked {
                    row.text(FieldId::EVENT_OUTCOME, if failed { "failure" } else { "success" });
                }
                if let Some((service, _)) = text.split_once(" authentication ")
                    && service.bytes().all(|b| b.is_ascii_uppercase())
                {
                    keys::lower(row, FieldId::NETWORK_PROTOCOL, service, &mut self.scratch);
                }
            }
            _ => {}
        }
    }

    fn pulse(&mut self, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        self.pulse.write(message, context, &mut self.scratch, row);
        let Some(text) = pairs(message).find(|pair| pair.key == "msg").map(|pair| pair.value) else { return };
        // `AUT24804: text`
        let Some((code, text)) = text.split_once(": ") else { return };
        if code.len() >= 8 && code.bytes().take(3).all(|b| b.is_ascii_uppercase()) {
            row.text(FieldId::EVENT_CODE, code);
        }
        let meaning = match code {
            "AUT24326" | "AUT22670" | "AUT31504" | "AUT24414" => Some(("login", "success")),
            "AUT24327" | "AUT23457" | "AUT24321" => Some(("login", "failure")),
            "AUT22673" | "AUT31085" => Some(("logout", "success")),
            _ => None,
        };
        if let Some((action, outcome)) = meaning {
            row.text(FieldId::EVENT_ACTION, action);
            row.text(FieldId::EVENT_OUTCOME, outcome);
        }
        if let Some(policy) = text.strip_prefix("Host Checker policy '").and_then(|rest| rest.split_once('\'')) {
            row.text(FieldId::RULE_NAME, policy.0);
        }
        // Requests of clients that are not known yet: the whole of it is their text.
        let path = between(text, "(URL=", ")").or_else(|| text.strip_prefix("Unauthenticated request url ").map(word));
        if let Some(path) = path {
            row.text(FieldId::URL_PATH, path);
        }
        if let Some(peer) = between(text, "was trying to connect to '", "'").or_else(|| between(text, "] SNMP trap to ", " ")) {
            let (host, port) = keys::endpoint(peer);
            super::address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, host);
            if let Some(port) = port {
                row.uint(FieldId::DESTINATION_PORT, port.into());
            }
        }
    }
}
