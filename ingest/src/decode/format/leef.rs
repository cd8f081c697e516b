//! LEEF 1.0 and 2.0 (IBM, "Log Event Extended Format", version 2): `LEEF:1.0|vendor|product|version|event id|key=value<tab>...`; in 2.0
//! a delimiter stands before the pairs (`^`, or `x09`). Relays write the tab as `#011`; some senders leave `LEEF:` out or part the
//! pairs by blanks.

use event::{FieldId, RowBuilder, Time};

use super::extension::{Extension, Rest, plain};
use super::{Kind, Recognise, address, number, some_text};
use crate::decode::cut::{cut, word};
use crate::decode::keys::Keys;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    watchguard: Kind,
    keys: Keys,
    rest: Rest,
    scratch: String,
    delimiter: String,
    version: FieldId,
    target_user: FieldId,
    syslog_severity: FieldId,
}

/// The predefined attributes (IBM, "Predefined LEEF event attributes") and the keys that vendors add.
const KEYS: &str = "
    src = source.ip:ip
    dst = destination.ip:ip
    srcPort = source.port:int
    dstPort = destination.port:int
    srcMAC = source.mac
    dstMAC = destination.mac
    srcPreNAT = source.ip:ip?
    srcPostNAT = source.nat.ip:ip
    srcPostNATPort = source.nat.port:int
    dstPreNAT = destination.ip:ip?
    dstPostNAT = destination.nat.ip:ip
    dstPostNATPort = destination.nat.port:int
    srcBytes = source.bytes:int
    dstBytes = destination.bytes:int
    srcPackets = source.packets:int
    dstPackets = destination.packets:int
    totalPackets = network.packets:int
    proto = network.transport:transport
    usrName = user.name:account
    accountName = user.name?
    domain = user.domain
    role = user.roles
    identSrc = source.ip:ip?
    identHostName = host.name
    identMAC = source.mac?
    identGrpName | groupID = group.name
    vSrc = source.nat.ip:ip?
    vSrcName = source.domain?
    policy = rule.ruleset
    resource = service.name
    url = url.original:uri
    sev = event.severity:int
    msg = message
    description = message?
    reason = event.reason
    action | Action | act = event.action:verdict
    cat
    devTime
    devTimeFormat
    realm
    disp = event.action:verdict
    in_if = observer.ingress.interface.name
    out_if = observer.egress.interface.name
    serial = observer.serial_number
    host_name | sender = observer.name host.name
    sent_bytes = source.bytes:int
    rcvd_bytes = destination.bytes:int
    proxy_act = rule.category
    rule_name = rule.name
    dstname = url.domain destination.domain
    arg = url.original:uri
    op = http.request.method
    app_name = network.application
    content_type = http.response.mime_type
    tls_version = tls.version
    server_ssl = tls.cipher
    client_ssl = tls.cipher?
    sni = tls.client.server_name
    src_user = user.name
    duser = destination.user.name
    dhost = destination.ip:ip
    shost = source.ip:ip?
    File = file.name
    TargetUser = user.target.name
    externalId = event.id
";

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("leef", None, None, None),
            watchguard: Kind::new("leef", Some("watchguard"), Some("firewall"), None),
            keys: Keys::new("leef.", KEYS),
            rest: Rest::new(),
            scratch: String::new(),
            delimiter: String::new(),
            version: FieldId::known("leef.version"),
            target_user: FieldId::known("user.target.name"),
            syslog_severity: FieldId::SYSLOG_SEVERITY_CODE,
        }
    }

    /// Sets the delimiter; gives the pairs.
    fn delimiter<'t>(&mut self, version: &str, rest: &'t str) -> &'t str {
        self.delimiter.clear();
        let mut rest = rest;
        if version.starts_with('2')
            && let Some((delimiter, after)) = rest.split_once('|')
            && delimiter.len() <= 5
            && !delimiter.contains('=')
        {
            rest = after;
            let hexadecimal = delimiter.strip_prefix("0x").or(delimiter.strip_prefix('x'));
            match hexadecimal.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32) {
                Some(c) => self.delimiter.push(c),
                None if delimiter.is_empty() => self.delimiter.push('\t'),
                None => self.delimiter.push_str(delimiter),
            }
        }
        if self.delimiter.is_empty() {
            self.delimiter.push_str(match () {
                () if rest.contains('\t') => "\t",
                () if rest.contains("#011") => "#011",
                () if rest.contains("\\t") => "\\t",
                () if rest.split('|').filter(|part| part.contains('=')).count() > 2 => "|",
                () => " ",
            });
        }
        rest
    }

    fn vendor(&self, vendor: &str, id: &str, pairs: &Extension<'_>, row: &mut RowBuilder<'_>) {
        let message = pairs.get("msg").unwrap_or("");
        match vendor {
            "WatchGuard" => watchguard(message, row),
            "Cyber-Ark" | "CyberArk" => {
                // Its severity is syslog's: 6 is an ordinary logon.
                let severity = pairs.get("sev").unwrap_or("");
                number(row, self.syslog_severity, severity);
                match pairs.get("Action").unwrap_or("") {
                    _ if matches!(severity, "0" | "1" | "2" | "3") => row.text(FieldId::EVENT_OUTCOME, "failure"),
                    "Logon" => row.text(FieldId::EVENT_OUTCOME, "success"),
                    _ => {}
                }
                if let Some(target) = pairs.get("TargetUser")
                    && !row.has(self.target_user)
                {
                    row.text(self.target_user, target);
                }
            }
            // `src` is the computer, whose ends stand beside.
            "Panda Security" => {
                address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, pairs.get("RemoteIP").unwrap_or(""));
                number(row, FieldId::DESTINATION_PORT, pairs.get("RemotePort").unwrap_or(""));
                number(row, FieldId::SOURCE_PORT, pairs.get("LocalPort").unwrap_or(""));
            }
            "Forcepoint" | "FORCEPOINT" => {
                row.text(FieldId::EVENT_ACTION, id);
                // A command typed on the engine: `HISTORY: PID\=1 UID\=0 USER\=root COMMAND`.
                if let Some([pid, _, rest]) = cut(message, ["PID\\=", " UID\\=", " USER\\="]) {
                    number(row, FieldId::PROCESS_PID, pid);
                    if let Some((_, command)) = rest.split_once(' ') {
                        row.text(FieldId::PROCESS_COMMAND_LINE, command);
                    }
                }
            }
            _ => {}
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["leef"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("L").starts("1").starts("2")
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["1.0|"], &["1|"], &["2.0|"], &["2|"]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.with_tag("LEEF").trim_start();
        let text = message.strip_prefix("LEEF:").unwrap_or(message);
        let mut parts = text.splitn(6, '|');
        let (Some(version), Some(vendor), Some(product), Some(release), Some(id), Some(rest)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        if !matches!(version, "1.0" | "1" | "2.0" | "2") || vendor.is_empty() {
            return false;
        }
        let rest = self.delimiter(version, rest);
        match vendor {
            "WatchGuard" => self.watchguard,
            _ => self.kind,
        }
        .mark(row);
        row.text(self.version, version);
        for (field, text) in [
            (FieldId::OBSERVER_VENDOR, vendor),
            (FieldId::OBSERVER_PRODUCT, product),
            (FieldId::OBSERVER_VERSION, release),
            (FieldId::EVENT_CODE, id),
        ] {
            some_text(row, field, text);
        }
        let pairs = match self.delimiter.as_str() {
            " " => Extension::spaced(rest),
            delimiter => Extension::delimited(rest, delimiter),
        };
        self.keys.begin();
        for (key, value) in pairs.iter() {
            self.keys.put(key, plain(value, &mut self.scratch), row);
        }
        self.keys.finish(row);
        self.vendor(vendor, id, &pairs, row);
        let time = pairs.get("devTime").and_then(|value| instant(value, pairs.get("devTimeFormat"), context));
        if let Some(time) = time {
            row.time(time);
        }
        self.rest.write(&pairs, |key| !self.keys.knows(key), context, time.is_none(), &mut self.scratch, row);
        if !row.has(FieldId::EVENT_ACTION) {
            some_text(row, FieldId::EVENT_ACTION, id);
        }
        true
    }
}

/// WatchGuard's messages (Fireware Log Catalog) that hold what has no key.
fn watchguard(message: &str, row: &mut RowBuilder<'_>) {
    if message.starts_with("DHCP") {
        lease(message, row);
        return;
    }
    // `SSL VPN user NAME logged in. Virtual IP address is A. Real IP address is B.`
    if let Some([user, virtual_ip, real_ip]) =
        cut(message, ["ser ", " logged in. Virtual IP address is ", ". Real IP address is "])
    {
        let user = user.rsplit_once('@').map_or(user, |(name, _)| name);
        login(user, real_ip.trim_end_matches('.'), true, "", row);
        address(row, FieldId::SOURCE_NAT_IP, FieldId::SOURCE_ADDRESS, virtual_ip);
        return;
    }
    // `Authentication of SSLVPN user [NAME@Firebox-DB] from ADDRESS was rejected, REASON`, `WebUI User NAME@Firebox-DB from ADDRESS
    // logged in`, `... log in attempt was rejected - REASON`. The name is the sender's: the address is the one that stands last.
    let said = [(" was rejected", false), (" log in attempt was rejected", false), (" was accepted", true), (" logged in", true)];
    for (words, good) in said.into_iter().rev() {
        if let Some((lead, reason)) = message.split_once(words)
            && let Some((user, from)) = lead.rsplit_once(" from ")
            && let Some((_, user)) =
                user.split_once(" User ").or_else(|| user.split_once("User ")).or_else(|| user.split_once("user "))
        {
            let user = user.strip_prefix('[').and_then(|user| user.strip_suffix(']')).unwrap_or(user);
            let user = user.rsplit_once('@').map_or(user, |(name, _)| name);
            login(user, word(from), good, reason.trim_start_matches([' ', '-', ',']), row);
            return;
        }
    }
}

fn login(user: &str, from: &str, good: bool, reason: &str, row: &mut RowBuilder<'_>) {
    address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, from);
    // `<missing user name>`
    if !user.starts_with('<') {
        some_text(row, FieldId::USER_NAME, user);
    }
    row.text(FieldId::EVENT_OUTCOME, if good { "success" } else { "failure" });
    some_text(row, FieldId::EVENT_REASON, reason);
}

/// `DHCPACK on ADDRESS to MAC (NAME) via INTERFACE`, `DHCPREQUEST for ADDRESS from MAC (NAME) via ...`, `DHCPDISCOVER from MAC via ...`.
fn lease(message: &str, row: &mut RowBuilder<'_>) {
    let words = message.split_ascii_whitespace();
    let mut before = "";
    for now in words {
        match before {
            "on" | "for" | "of" => address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, now),
            "to" | "from" if now.len() == 17 && now.bytes().filter(|b| *b == b':').count() == 5 => {
                row.text(FieldId::SOURCE_MAC, now);
            }
            "via" => break,
            _ => {
                if let Some(name) = now.strip_prefix('(').and_then(|name| name.strip_suffix(')'))
                    && row.has(FieldId::SOURCE_MAC)
                {
                    row.text(FieldId::SOURCE_DOMAIN, name);
                }
            }
        }
        before = now;
    }
}

/// `devTime`: milliseconds since 1970, or a date, whose numbers stand as `devTimeFormat` says.
fn instant(value: &str, format: Option<&str>, context: &Context<'_>) -> Option<Time> {
    if let Ok(ms) = value.parse::<i64>() {
        return Some(Time::from_unix_ms(ms));
    }
    let day_first = format.is_some_and(|format| format.starts_with('d'));
    let found = if day_first { stamp::numeric(value, false) } else { None };
    found.or_else(|| stamp::any(value)).and_then(|(s, _)| s.resolve(context.zone, context.reference))
}
