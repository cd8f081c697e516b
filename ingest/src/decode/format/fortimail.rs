//! Fortinet's FortiMail, FortiWeb and FortiADC (each product's Log Reference): like FortiOS, with `device_id`, `log_id` and `pri`. Every
//! key is kept as `fortinet.mail.*` or `fortinet.web.*` beside its ECS name.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number, some_text};
use crate::decode::cut::between;
use crate::decode::keys::Keys;
use crate::decode::pairs::pairs;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    mail: Kind,
    web: Kind,
    mail_keys: Keys,
    web_keys: Keys,
    tls: [FieldId; 4],
    user_email: FieldId,
    scratch: String,
}

const MAIL: &str = "
    client_ip = source.ip:ip
    src = source.ip:ip?
    client_name = source.domain
    dst_ip = destination.ip:ip
    from = email.from.address
    to = email.to.address
    subject = email.subject
    user = user.name
    action = event.action
    status = event.outcome:outcome
    pri = log.level
    log_id = event.code
    session_id = email.local_id
    device_id = observer.serial_number
    msg = message
    policy_id = rule.id
    virus = rule.description
    classifier = rule.category
    disposition = event.reason
    message_length = email.size:int
";

const WEB: &str = "
    src | original_src = source.ip:ip
    src_port = source.port:int
    dst = destination.ip:ip
    dst_port = destination.port:int
    trans_src = source.nat.ip:ip
    trans_src_port = source.nat.port:int
    trans_dst = destination.nat.ip:ip
    trans_dst_port = destination.nat.port:int
    proto = network.transport:transport
    service = network.protocol:lower
    policy = rule.ruleset
    action = event.action:verdict
    status = event.outcome:outcome
    http_method = http.request.method
    http_host = url.domain
    http_url = url.original:uri
    http_agent = user_agent.original
    http_referer | http_refer = http.request.referrer
    http_retcode = http.response.status_code:int
    http_version = http.version
    http_request_bytes | ibytes = http.request.bytes:int
    http_response_bytes | obytes = http.response.bytes:int
    cipher_suite = tls.cipher
    user | user_name = user.name
    pri = log.level
    log_id = event.code
    device_id = observer.serial_number
    devname = observer.name
    main_type = rule.category
    sub_type = rule.name
    signature_id = rule.id
    signature_subclass = rule.description
    msg = message
    reason = event.reason
";

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            mail: Kind::new("fortimail", Some("fortimail"), None, None),
            web: Kind::new("fortiweb", Some("fortiweb"), Some("webserver"), None),
            mail_keys: Keys::new("fortinet.mail.", MAIL),
            web_keys: Keys::new("fortinet.web.", WEB),
            tls: ["tls.client.subject", "tls.client.issuer", "tls.server.subject", "tls.server.issuer"].map(FieldId::known),
            user_email: FieldId::known("user.email"),
            scratch: String::new(),
        }
    }

    /// What the mail engines say in the message: sendmail's `key=value, key=value`, and what the scanners found.
    fn mail_message(&self, text: &str, row: &mut RowBuilder<'_>) {
        if let Some(name) = between(text, "File name: ", ", scanned").or_else(|| between(text, "File ", " has been scanned")) {
            let (name, sum) = name.split_once("(checksum:").unwrap_or((name, ""));
            row.text(FieldId::FILE_NAME, name.trim());
            some_text(row, FieldId::FILE_HASH_SHA256, sum.trim().trim_end_matches(')'));
        }
        if let Some(url) = between(text, "identified URL: ", ", ") {
            super::uri(row, url);
        }
        let server = text.starts_with("STARTTLS=server");
        for part in text.split(", ") {
            let Some((key, value)) = part.split_once('=') else { continue };
            let value = value.trim();
            match key {
                "to" => {
                    let address = value.trim_matches(['<', '>']);
                    row.text(FieldId::EMAIL_TO_ADDRESS, address);
                    row.text(self.user_email, address);
                }
                "from" => row.text(FieldId::EMAIL_FROM_ADDRESS, value.trim_matches(['<', '>'])),
                "size" => number(row, FieldId::FILE_SIZE, value),
                "proto" => row.text(FieldId::NETWORK_PROTOCOL, value),
                "msgid" => row.text(FieldId::EMAIL_MESSAGE_ID, value.trim_matches(['<', '>'])),
                // `relay=name [address]`
                "relay" => {
                    let (name, rest) = value.split_once('[').unwrap_or((value, ""));
                    some_text(row, FieldId::DESTINATION_DOMAIN, name.trim());
                    address(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_ADDRESS, rest.split(']').next().unwrap_or(""));
                }
                "version" => row.text(FieldId::TLS_VERSION, value),
                "cipher" => row.text(FieldId::TLS_CIPHER, value),
                "cert-subject" => row.text(self.tls[if server { 2 } else { 0 }], value),
                "cert-issuer" => row.text(self.tls[if server { 3 } else { 1 }], value),
                _ => {}
            }
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["fortimail", "fortiweb"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("date=").starts("time=")
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["device_id=", "log_id=", "pri=", "type="]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        let (mut device, mut id, mut priority, mut kind, mut web) = (false, false, false, "", false);
        for (at, pair) in pairs(message).enumerate() {
            match pair.key {
                "date" | "time" if at == 0 => {}
                _ if at == 0 => return false,
                "device_id" => device = true,
                "log_id" => id = true,
                "pri" => priority = true,
                "msg_id" => web = true,
                "type" if kind.is_empty() => kind = pair.value,
                _ => {}
            }
        }
        if !(device && id && priority) || kind.is_empty() {
            return false;
        }
        if web { self.web } else { self.mail }.mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Fortinet");
        row.text(FieldId::OBSERVER_PRODUCT, if web { "FortiWeb" } else { "FortiMail" });
        row.text(FieldId::EVENT_CATEGORY, if web { "web" } else { "email" });
        let table = if web { &mut self.web_keys } else { &mut self.mail_keys };
        table.begin();
        let (mut date, mut time, mut text, mut interface, mut client) = ("", "", "", "", "");
        for pair in pairs(message) {
            table.put(pair.key, pair.value, row);
            match pair.key {
                "date" => date = pair.value,
                "time" => time = pair.value,
                "msg" => text = pair.value,
                "ui" => interface = pair.value,
                "client_name" => client = pair.value,
                _ => {}
            }
        }
        table.finish(row);
        if !web {
            self.mail_message(text, row);
            // `mx.example [192.0.2.7]`, `[192.0.2.7]`
            if !row.has(FieldId::SOURCE_IP)
                && let Some((name, rest)) = client.split_once('[')
                && let Ok(ip) = rest.trim_end_matches(']').parse()
            {
                row.ip(FieldId::SOURCE_IP, ip);
                row.remove(FieldId::SOURCE_DOMAIN);
                some_text(row, FieldId::SOURCE_DOMAIN, name.trim());
            }
            // `GUI(192.0.2.7)`, `192.0.2.7`: from where an administrator or a user of the web mail works.
            if let Ok(ip) = between(interface, "(", ")").unwrap_or(interface).parse() {
                row.ip(FieldId::SOURCE_IP, ip);
            }
        }
        if !date.is_empty() {
            self.scratch.clear();
            self.scratch.extend([date, "T", time]);
            context.set_time(row, stamp::iso(&self.scratch).map(|(stamp, _)| stamp));
        }
        true
    }
}
