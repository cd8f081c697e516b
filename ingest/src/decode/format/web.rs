//! Access logs of web servers: the common and the combined log format of Apache, nginx and many others, with a virtual host before or not.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number, some_text, url};
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    apache: Kind,
    nginx: Kind,
    ident: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            apache: Kind::new("webserver", Some("apache"), Some("webserver"), None),
            nginx: Kind::new("webserver", Some("nginx"), Some("webserver"), None),
            ident: FieldId::known("client.user.ident"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["webserver"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything()
    }

    /// `[VHOST] CLIENT IDENT USER [TIME] "METHOD URL HTTP/1.1" STATUS BYTES ["REFERRER" "AGENT"]`
    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        let Some((lead, rest)) = message.split_once(" [") else { return false };
        let Some((time, rest)) = rest.split_once("] \"") else { return false };
        let Some(stamp) = stamp::clf(time) else { return false };
        let mut names = lead.splitn(5, ' ');
        let words: [Option<&str>; 4] = std::array::from_fn(|_| names.next());
        let (host, client, ident, user) = match words {
            [Some(host), Some(client), Some(ident), Some(user)] if ident == "-" && !client.starts_with('-') => {
                (Some(host), client, ident, user)
            }
            [Some(client), Some(ident), Some(user), None] => (None, client, ident, user),
            [Some(client), Some(ident), Some(_), Some(_)] => (None, client, ident, &lead[client.len() + ident.len() + 2..]),
            _ => return false,
        };
        let (request, rest) = quoted(rest);
        let mut tail = rest.trim_start().split(' ');
        let (Some(status), Some(bytes)) = (tail.next(), tail.next()) else { return false };
        if status.len() != 3 || status.parse::<u16>().is_err() {
            return false;
        }
        let app = context.header.app.unwrap_or("");
        if app.contains("nginx") { self.nginx } else { self.apache }.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "web");
        context.set_time(row, Some(stamp));
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, client);
        if let Some(host) = host {
            super::host_and_port(row, host);
        }
        some_text(row, self.ident, ident);
        some_text(row, FieldId::USER_NAME, user);
        // The target may hold blanks: an attacker's does.
        if let Some((method, target)) = request.split_once(' ') {
            let (target, version) =
                target.rsplit_once(" HTTP/").map_or((target, None), |(target, version)| (target, Some(version)));
            row.text(FieldId::HTTP_REQUEST_METHOD, method);
            url(row, target);
            if let Some(version) = version {
                row.text(FieldId::HTTP_VERSION, version);
            }
        } else {
            some_text(row, FieldId::URL_ORIGINAL, request);
        }
        number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, status);
        number(row, FieldId::HTTP_RESPONSE_BODY_BYTES, bytes.trim_end());
        row.text(FieldId::EVENT_OUTCOME, if status >= "400" { "failure" } else { "success" });
        let after = rest.trim_start().splitn(3, ' ').nth(2).unwrap_or("");
        if let Some((referrer, after)) = after.strip_prefix('"').map(quoted) {
            some_text(row, FieldId::HTTP_REQUEST_REFERRER, referrer);
            if let Some((agent, _)) = after.trim_start().strip_prefix('"').map(quoted) {
                some_text(row, FieldId::USER_AGENT_ORIGINAL, agent);
            }
        }
        true
    }
}

/// What stands before the closing quote, and what follows it. Apache and nginx escape quotes within by a backslash.
fn quoted(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or(&[])) {
        let place = at + found;
        if bytes[place] == b'"' {
            return (&text[..place], &text[place + 1..]);
        }
        at = place + 2;
    }
    (text, "")
}
