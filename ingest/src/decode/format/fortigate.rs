//! FortiOS logs (Fortinet, "FortiOS Log Message Reference"), which FortiGate and FortiProxy write: key=value pairs that begin with the
//! date or the device, traffic, UTM and event logs alike. Every vendor field is kept as `fortinet.firewall.*` beside its ECS name.

use event::{FieldId, RowBuilder, Time};

use super::{Kind, Recognise, address};
use crate::decode::keys::{self, Keys};
use crate::decode::pairs::pairs;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    traffic: Kind,
    utm: Kind,
    event: Kind,
    keys: Keys,
    scratch: String,
}

/// The keys that a record begins with.
const FIRST: [&str; 8] = ["date", "time", "devname", "devid", "logver", "eventtime", "timestamp", "logid"];

/// FortiOS field names; what depends on the log's type is in [`Reader::read`].
const KEYS: &str = "
    srcip = source.ip:ip
    srcport = source.port:int
    srcmac | src_mac = source.mac
    mastersrcmac | stamac | mac = source.mac?
    src_port = source.port:int?
    dst_port = destination.port:int?
    src_int = observer.ingress.interface.name?
    dst_int = observer.egress.interface.name?
    policy_id = rule.id?
    srcname = source.domain?
    src_host = source.domain?
    dst_host = destination.domain?
    dstname = destination.domain?
    dstip | dst_ip = destination.ip:ip
    dstport = destination.port:int
    dstmac = destination.mac
    masterdstmac = destination.mac?
    ip | sip | clientip = source.ip:ip?
    dip = destination.ip:ip?
    sport = source.port:int?
    dport = destination.port:int?
    server = destination.ip:ip?
    tranip = destination.nat.ip:ip
    tranport = destination.nat.port:int
    transport = source.nat.port:int
    sentpkt = source.packets:int
    rcvdpkt = destination.packets:int
    proto = network.transport:transport
    protocol = network.transport:transport?
    service = network.protocol:lower service.name:lower
    app = network.application
    srcintf | interface | in_interface = observer.ingress.interface.name
    dstintf | out_interface = observer.egress.interface.name
    outintf = observer.egress.interface.name?
    srcintfrole = observer.ingress.zone?
    dstintfrole = observer.egress.zone?
    devname = observer.name
    devid = observer.serial_number
    logid | log_id = event.code
    level = log.level
    eventid = event.id
    msg = message
    logdesc = rule.description
    reason | error = event.reason
    user = user.name
    unauthuser | xauthuser | admin | login = user.name?
    initiator = user.name?
    dstuser = destination.user.name
    dstunauthuser = destination.user.name?
    group | adgroup = group.name
    xauthgroup = group.name?
    policyid = rule.id
    policyname = rule.name
    poluuid = rule.uuid
    attack | virus = rule.name?
    attackid | virusid = rule.id?
    profile = rule.ruleset
    applist = rule.ruleset?
    catdesc = rule.category
    appcat = rule.category?
    hostname = url.domain destination.domain
    url = url.original:uri
    referralurl | httpreferer = http.request.referrer
    httpmethod = http.request.method
    agent | httpagent | useragent = user_agent.original
    status = event.outcome:outcome
    filename | fname = file.name
    infectedfilename = file.name?
    filesize = file.size:int
    filetype = file.type?
    analyticscksum | filehash = file.hash.sha256
    cn | certcn | scertcname | sni = tls.server.x509.subject.common_name?
    tlsver = tls.version
    cipher | ciphersuite = tls.cipher
    qname = dns.question.name
    qtype = dns.question.type
    qclass = dns.question.class
    xid = dns.id
    ipaddr = dns.resolved_ip?
    from | sender = email.from.address
    to | recipient = email.to.address
    subject = email.subject
    ssid = network.name
    cveid | cve = vulnerability.id
    srccountry = source.geo.country_name?
    dstcountry = destination.geo.country_name?
    vd = observer.virtual_domain?
    osname = host.os.name?
    icmptype = icmp.type:int
    icmpcode = icmp.code:int
    duration = event.duration:seconds
    tunnelip | assignip = source.nat.ip:ip?
    trandisp
    policytype
    type
    subtype
    eventtype
    cfgpath
    cfgattr
    cfgobj
";

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            traffic: Kind::new("fortigate", Some("fortigate"), Some("firewall"), Some("traffic")),
            utm: Kind::new("fortigate", Some("fortigate"), Some("firewall"), Some("utm")),
            event: Kind::new("fortigate", Some("fortigate"), None, Some("event")),
            keys: Keys::new("fortinet.firewall.", KEYS),
            scratch: String::new(),
        }
    }

    /// `locip` and `remip` of a tunnel: this end speaks to that one; without `locip` the remote end came to us.
    fn ends_of_tunnel(&mut self, local: (&str, &str), remote: (&str, &str), row: &mut RowBuilder<'_>) {
        if remote.0.is_empty() || self.keys.has(FieldId::SOURCE_IP) {
            return;
        }
        if local.0.is_empty() {
            address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, remote.0);
            super::number(row, FieldId::SOURCE_PORT, remote.1);
        } else {
            address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, local.0);
            super::number(row, FieldId::SOURCE_PORT, local.1);
            address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_ADDRESS, remote.0);
            super::number(row, FieldId::DESTINATION_PORT, remote.1);
            self.keys.claim(FieldId::DESTINATION_IP);
        }
        self.keys.claim(FieldId::SOURCE_IP);
    }

    /// Actions that say how a login went (`ssl-login-fail`, `FSSO-logon`, `auth-logon`).
    fn outcome_of(&self, action: &str, row: &mut RowBuilder<'_>) {
        if action.ends_with("-fail") || action.ends_with("-failed") || action.ends_with("_fail") {
            row.text(FieldId::EVENT_OUTCOME, "failure");
        } else if action.ends_with("-logon") || action.ends_with("-logoff") || action == "tunnel-up" {
            row.text(FieldId::EVENT_OUTCOME, "success");
        }
    }

    /// The scheme and port of a request whose `url` is a path only: what the service was.
    fn requested(&self, port: &str, service: &str, row: &mut RowBuilder<'_>) {
        if !row.has(FieldId::URL_ORIGINAL) {
            return;
        }
        if !row.has(FieldId::URL_SCHEME) {
            match service {
                "HTTPS" | "https" => row.text(FieldId::URL_SCHEME, "https"),
                "HTTP" | "http" => row.text(FieldId::URL_SCHEME, "http"),
                _ => {}
            }
        }
        if port == "443" && !row.has(FieldId::URL_PORT) {
            row.uint(FieldId::URL_PORT, 443);
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["fortigate"]
    }

    fn recognise(&self) -> Recognise {
        FIRST.iter().fold(Recognise::new(), |recognise, key| recognise.starts(key))
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[
            &["type=", "devname="],
            &["type=", "devid="],
            &["type=", "logid="],
            &["type=", "log_id="],
            &["type=", "vd="],
            &["type=", "subtype="],
        ]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        let Some((kind, action)) = recognise(message) else { return false };
        let traffic = kind == "traffic";
        let utm = !traffic && !matches!(kind, "event" | "kevent");
        match () {
            () if traffic => self.traffic,
            () if utm => self.utm,
            () => self.event,
        }
        .mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Fortinet");
        row.text(FieldId::OBSERVER_PRODUCT, "Fortigate");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        row.text(FieldId::EVENT_CATEGORY, "network");
        self.keys.begin();
        let (mut date, mut time, mut zone, mut instant) = ("", "", "", None);
        let (mut sent, mut received, mut packets) = (None::<u64>, None::<u64>, None::<u64>);
        let (mut local, mut remote, mut event_type, mut destination_port, mut service) = (("", ""), ("", ""), "", "", "");
        let mut interface = "";
        if kind == "gtp" {
            self.keys.claim(FieldId::EMAIL_FROM_ADDRESS);
            self.keys.claim(FieldId::EMAIL_TO_ADDRESS);
        }
        for pair in pairs(message) {
            // A user group or name that is not known is written as N/A; the native field keeps it.
            self.keys.put(pair.key, pair.value, row);
            match pair.key {
                "date" => date = pair.value,
                "time" => time = pair.value,
                "tz" => zone = pair.value,
                "eventtime" => instant = epoch(pair.value),
                "sentbyte" => sent = pair.value.parse().ok(),
                "rcvdbyte" => received = pair.value.parse().ok(),
                "sentpkt" | "rcvdpkt" => packets = Some(packets.unwrap_or(0).saturating_add(pair.value.parse().unwrap_or(0))),
                "locip" => local.0 = pair.value,
                "locport" => local.1 = pair.value,
                "remip" | "rip" => remote.0 = pair.value,
                "remport" => remote.1 = pair.value,
                "eventtype" => event_type = pair.value,
                "dstport" => destination_port = pair.value,
                "service" => service = pair.value,
                "ui" => interface = pair.value,
                // Of a mobile network's tunnels these are its ends.
                "from" if kind == "gtp" => address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, pair.value),
                "to" if kind == "gtp" => address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_ADDRESS, pair.value),
                "transip" if pair.value != "0.0.0.0" => address(row, FieldId::SOURCE_NAT_IP, FieldId::SOURCE_ADDRESS, pair.value),
                "policytype" if traffic => row.text(FieldId::RULE_RULESET, pair.value),
                _ => {}
            }
        }
        if traffic {
            self.keys.claim(FieldId::RULE_RULESET);
        }
        self.ends_of_tunnel(local, remote, row);
        self.keys.finish(row);
        // `GUI(192.0.2.7)`, `ssh(192.0.2.7)`: where an administrator sits.
        if !row.has(FieldId::SOURCE_IP)
            && let Some(from) = interface.strip_suffix(')').and_then(|interface| interface.split_once('('))
            && from.1.parse::<std::net::IpAddr>().is_ok()
        {
            row.text(FieldId::SOURCE_IP, from.1);
        }
        if !action.is_empty() {
            row.text(FieldId::EVENT_ACTION, action);
            if let Some(verdict) = keys::verdict(action) {
                row.text(FieldId::EVENT_TYPE, verdict);
            }
            if !row.has(FieldId::EVENT_OUTCOME) {
                self.outcome_of(action, row);
            }
        }
        // What a UTM engine saw is an action beside what it did.
        if utm && !event_type.is_empty() && event_type != action {
            row.text(FieldId::EVENT_ACTION, event_type);
        }
        self.requested(destination_port, service, row);
        for (field, bytes) in [(FieldId::SOURCE_BYTES, sent), (FieldId::DESTINATION_BYTES, received)] {
            if let Some(bytes) = bytes {
                row.uint(field, bytes);
            }
        }
        if let (Some(sent), Some(received)) = (sent, received) {
            row.uint(FieldId::NETWORK_BYTES, sent.saturating_add(received));
        }
        if let Some(packets) = packets {
            row.uint(FieldId::NETWORK_PACKETS, packets);
        }
        match instant {
            Some(instant) => row.time(instant),
            None if !date.is_empty() => {
                self.scratch.clear();
                self.scratch.extend([date, "T", time, zone]);
                context.set_time(row, stamp::iso(&self.scratch).map(|(stamp, _)| stamp));
            }
            None => {}
        }
        true
    }
}

/// The log's type and its action. The structure: the record begins with one of the keys that FortiOS puts first, and among its first
/// keys are the type and the device, the log's number or the virtual domain.
fn recognise(message: &str) -> Option<(&str, &str)> {
    let (mut kind, mut action, mut by, mut first) = ("", "", 0, true);
    for pair in pairs(message) {
        if first && !FIRST.contains(&pair.key) {
            return None;
        }
        first = false;
        match pair.key {
            "device_id" | "device" | "msg_id" => return None, // FortiMail, FortiWeb and others.
            "devname" | "devid" | "logid" | "log_id" | "vd" | "subtype" => by += 1,
            "type" if kind.is_empty() => kind = pair.value,
            "action" if action.is_empty() => action = pair.value,
            _ => {}
        }
    }
    let known = matches!(
        kind,
        "traffic"
            | "event"
            | "utm"
            | "webfilter"
            | "virus"
            | "ips"
            | "app-ctrl"
            | "dns"
            | "dlp"
            | "anomaly"
            | "emailfilter"
            | "spam"
            | "voip"
            | "waf"
            | "gtp"
            | "ssh"
            | "ssl"
            | "icap"
            | "cifs"
            | "file-filter"
            | "contentlog"
            | "attack"
            | "forti-switch"
            | "virtual-patch"
            | "casb"
            | "sctp-filter"
    );
    (known && by >= 2).then_some((kind, action))
}

/// `eventtime`: seconds, milliseconds, microseconds or nanoseconds since 1970, by release.
fn epoch(text: &str) -> Option<Time> {
    let n: i64 = text.parse().ok()?;
    let scale = match text.len() {
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1000,
        19 => 1,
        _ => return None,
    };
    n.checked_mul(scale).map(Time::from_unix_ns)
}
