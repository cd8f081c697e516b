//! Cisco ISE (Cisco, "ISE Syslogs"): `CISE_CATEGORY ID PARTS NTH TIME OFFSET SEQUENCE CODE SEVERITY CLASS: text, Key=value, Key=value,`.
//! A long message comes in parts; the later ones hold the rest of the pairs only.

use std::net::IpAddr;

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, some_text};
use crate::decode::keys::Keys;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    keys: Keys,
    category: FieldId,
    observer: FieldId,
    /// Whether the record is the ACS's: there the device that asked is not who logs in.
    is_acs: bool,
    device: Option<IpAddr>,
}

const KEYS: &str = "
    Device IP Address = source.ip:ip
    AdminIPAddress = source.ip:ip
    EndpointIPAddress = source.ip:ip
    Framed-IP-Address = source.ip:ip?
    NAS-IP-Address = source.ip:ip?
    Remote-Address = client.ip:ip
    DestinationIPAddress = destination.ip:ip
    DestinationPort = destination.port:int
    UserName = user.name
    AdminName = user.name
    User = user.name?
    AD-Account-Name = user.name?
    AD-User-Resolved-Identities = user.email?
    AD-Domain = user.domain
    Protocol = network.protocol
    EndpointMacAddress = source.mac
    IdentityPolicyMatchedRule = rule.name
    IdentitySelectionMatchedRule = rule.name?
    AuthorizationPolicyMatchedRule = rule.name?
    EndpointMatchedPolicy = rule.name?
    EndPointPolicyID = rule.id
    MatchedPolicyID = rule.id?
    host-name = host.name
    FailureReason = event.reason
    OperationMessageText = message
    SelectedAccessService = rule.ruleset
    AuthenticationMethod
    Calling-Station-ID
    Called-Station-ID
    User-Name
    PeerName
    NetworkDeviceName = observer.name?
    SSID
    CmdSet = process.command_line
    url-redirect = url.original:uri
";

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("cisco_ise", Some("cisco"), Some("authentication"), Some("ise")),
            keys: Keys::new("cisco.ise.", KEYS),
            category: FieldId::known("cisco.ise.category"),
            observer: FieldId::known("observer.ip"),
            is_acs: false,
            device: None,
        }
    }

    /// One pair, and those within its value.
    fn pair(&mut self, key: &str, value: &str, row: &mut RowBuilder<'_>) {
        match key {
            "cisco-av-pair" => {
                if let Some((key, value)) = value.split_once('=') {
                    self.keys.put(key, value, row);
                }
                return;
            }
            "Response" => {
                for part in value.trim_matches(['{', '}', ' ']).split("; ") {
                    if let Some((key, value)) = part.split_once('=') {
                        self.pair(key.trim(), value.trim_end_matches([';', ' ']), row);
                    }
                }
                return;
            }
            "Device IP Address" if self.is_acs => {
                self.device = value.parse().ok();
                return;
            }
            "Remote-Address" | "Calling-Station-ID" if self.is_acs => {
                if let (Ok(ip), None) = (value.parse(), row.get(FieldId::SOURCE_IP)) {
                    row.ip(FieldId::SOURCE_IP, ip);
                }
            }
            _ => {}
        }
        let is_mac = value.len() == 17 && value.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'-'));
        match key {
            // A device without a user is named by its hardware address.
            "UserName" if is_mac => row.text(FieldId::SOURCE_MAC, value),
            _ => self.keys.put(key, value, row),
        }
        match key {
            "Calling-Station-ID" if is_mac && !self.keys.has(FieldId::SOURCE_MAC) => row.text(FieldId::SOURCE_MAC, value),
            "Called-Station-ID" if is_mac => row.text(FieldId::DESTINATION_MAC, value),
            "User-Name" => {
                if let Some(host) = value.strip_prefix("host/") {
                    row.text(FieldId::HOST_NAME, host);
                }
            }
            "PeerName" => some_text(row, FieldId::DESTINATION_DOMAIN, value.trim().trim_start_matches("CN=")),
            _ => {}
        }
    }
}

/// Before the category of a record: ISE's, and that of the ACS before it, which writes the same.
const PREFIXES: [&str; 2] = ["CISE_", "CSCOacs_"];

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["cisco_ise"]
    }

    fn recognise(&self) -> Recognise {
        ('0'..='9')
            .fold(PREFIXES.iter().fold(Recognise::new(), |recognise, prefix| recognise.starts(prefix)), |recognise, digit| {
                recognise.starts(digit.encode_utf8(&mut [0; 4]))
            })
            .rank(6)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        let is_category = |word: &str| PREFIXES.iter().any(|prefix| word.starts_with(prefix));
        let header_app = context.header.app.filter(|app| is_category(app));
        let (category, rest) = match message.split_once(' ').filter(|(word, _)| is_category(word)) {
            Some((category, rest)) => (category, rest),
            None => (header_app.unwrap_or(""), message),
        };
        // Ten digits, how many parts, which one.
        let mut words = rest.splitn(4, ' ');
        let (Some(id), Some(parts), Some(nth), Some(rest)) = (words.next(), words.next(), words.next(), words.next()) else {
            return false;
        };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if id.len() != 10 || !is_number(id) || !is_number(parts) || !is_number(nth) || parts.len() > 3 || !rest.contains('=') {
            return false;
        }
        self.kind.mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Cisco");
        row.text(FieldId::OBSERVER_PRODUCT, "ISE");
        row.text(FieldId::EVENT_CATEGORY, "authentication");
        some_text(row, self.category, category);
        self.keys.begin();
        self.is_acs = category.starts_with("CSCOacs_");
        self.device = None;
        let mut pairs = rest.trim_start();
        if let Some((time, after)) = stamp::iso(pairs) {
            context.set_time(row, Some(time));
            // Sequence, code, severity, class: text.
            let mut words = after.split_whitespace();
            let (_, code, severity) = (words.next(), words.next().unwrap_or(""), words.next().unwrap_or(""));
            row.text(FieldId::EVENT_CODE, code);
            row.text(FieldId::LOG_LEVEL, severity);
            if let Some((_, text)) = after.split_once(": ") {
                let (said, after) = text.split_once(',').unwrap_or((text, ""));
                row.text(FieldId::EVENT_ACTION, said.trim());
                if said.contains("succeeded") || category.ends_with("_Passed_Authentications") {
                    row.text(FieldId::EVENT_OUTCOME, "success");
                } else if said.contains("failed") || category.ends_with("_Failed_Attempts") {
                    row.text(FieldId::EVENT_OUTCOME, "failure");
                }
                pairs = after;
            }
        }
        // A value may hold commas: a pair begins where a comma is followed by a key.
        for part in pairs.split(',') {
            let part = part.trim_matches([' ', '\\']);
            if let Some((key, value)) = part.split_once('=') {
                self.pair(key.trim(), value, row);
                // `EndpointProperty=chaddr=AA:BB,...`: its first pair stands in its value.
                if key == "EndpointProperty"
                    && let Some((key, value)) = value.split_once('=')
                {
                    self.pair(key, value, row);
                }
            }
        }
        self.keys.finish(row);
        if let Some(device) = self.device {
            row.ip(self.observer, device);
            if !row.has(FieldId::SOURCE_IP) {
                row.ip(FieldId::SOURCE_IP, device);
            }
        }
        if !row.has(FieldId::MESSAGE) {
            row.text(FieldId::MESSAGE, message);
        }
        true
    }
}
