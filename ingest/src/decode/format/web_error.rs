//! Error logs of Apache and nginx, and ModSecurity's records within them (ModSecurity reference manual, "Alert Action Description").

use event::{FieldId, RowBuilder};

use super::web::request_line;
use super::{Kind, Needed, Rarity, Recognise, host_and_port_of, host_before_port_of, number, some_text};
use crate::decode::names::Names;
use crate::decode::stamp;
use crate::decode::text::Context;

/// How grave it is, as nginx writes that (`error_log`).
const LEVELS: [&str; 8] = ["[debug] ", "[info] ", "[notice] ", "[warn] ", "[error] ", "[crit] ", "[alert] ", "[emerg] "];

pub(super) struct Reader {
    apache: Kind,
    nginx: Kind,
    modsecurity: Kind,
    module: FieldId,
    code: FieldId,
    thread: FieldId,
    connection: FieldId,
    server: FieldId,
    native: Names,
    rule_file: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            apache: Kind::new("apache_error", Some("apache"), None, Some("error")),
            nginx: Kind::new("nginx_error", Some("nginx"), None, Some("error")),
            modsecurity: Kind::new("modsecurity", Some("modsecurity"), None, None),
            module: FieldId::known("apache.error.module"),
            code: FieldId::EVENT_CODE,
            thread: FieldId::known("process.thread.id"),
            connection: FieldId::known("nginx.error.connection_id"),
            server: FieldId::known("server.domain"),
            native: Names::new("modsecurity."),
            rule_file: FieldId::RULE_RULESET,
        }
    }

    /// `[TIME] [MODULE:LEVEL] [pid N:tid N] [client ADDRESS:PORT] CODE: text, referer: URL`
    fn read_apache(&mut self, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        // `Mon Dec 26 16:22:00.123456 2016`: the day of the week says nothing. By syslog the header has the time.
        let own = message.strip_prefix('[').and_then(|rest| rest.split_once("] ")).and_then(|(time, rest)| {
            let (stamp, end) = stamp::bsd(time.split_once(' ')?.1)?;
            end.is_empty().then_some((stamp, rest))
        });
        let (stamp, mut rest) = match own {
            Some((stamp, rest)) => (Some(stamp), rest),
            None if context.header.app.is_some_and(is_server) => (None, message),
            None => return false,
        };
        let mut module = "";
        let mut level = "";
        let mut process = "";
        let mut clients = [""; 2];
        let mut count = 0;
        // An address of IPv6 has brackets of its own.
        while let Some((part, after)) =
            rest.strip_prefix('[').and_then(|rest| rest.split_once("] ").or_else(|| rest.split_once(']')))
        {
            match part.split_once(' ') {
                Some(("pid", id)) => process = id,
                Some(("client" | "remote", client)) if count < clients.len() => {
                    clients[count] = client;
                    count += 1;
                }
                None if level.is_empty() => {
                    (module, level) = part.rsplit_once(':').unwrap_or(("", part));
                }
                _ => break,
            }
            rest = after.trim_start();
        }
        if level.is_empty() {
            return false;
        }
        let security = rest.starts_with("ModSecurity");
        if security { self.modsecurity } else { self.apache }.mark(row);
        if stamp.is_some() {
            context.set_time(row, stamp);
        }
        row.text(FieldId::MESSAGE, rest);
        row.text(FieldId::LOG_LEVEL, level);
        some_text(row, self.module, module);
        row.text(FieldId::EVENT_CATEGORY, if security { "intrusion_detection" } else { "web" });
        row.text(FieldId::EVENT_TYPE, if security { "info" } else { "error" });
        let (pid, thread) = process.split_once(":tid ").unwrap_or((process, ""));
        if let Ok(pid) = pid.parse() {
            row.remove(FieldId::PROCESS_PID);
            row.int(FieldId::PROCESS_PID, pid);
        }
        number(row, self.thread, thread);
        if count > 0 {
            // Apache 2.4, which names the process, gives every client a port.
            let client_of = if process.is_empty() { host_and_port_of } else { host_before_port_of };
            client_of(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT, clients[0]);
        }
        if security {
            self.security(rest, row);
            return true;
        }
        let (text, referrer) = rest.rsplit_once(", referer: ").map_or((rest, ""), |(text, referrer)| (text, referrer));
        some_text(row, FieldId::HTTP_REQUEST_REFERRER, referrer);
        // `(70014)End of file found: [client ADDRESS:PORT] AH01991: text`: why the system says it failed stands before the client.
        let text = match text.split_once("[client ").filter(|(before, _)| count == 0 && before.starts_with('(')) {
            Some((_, after)) => {
                let (client, rest) = after.split_once("] ").unwrap_or((after, ""));
                let client = client.trim_end_matches(']');
                let client_of = if process.is_empty() { host_and_port_of } else { host_before_port_of };
                client_of(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT, client);
                rest
            }
            None => text,
        };
        // `(111)Connection refused: AH00957: text`
        let is_system = |(system, rest): &(&str, &str)| system.starts_with('(') && rest.get(..7).is_some_and(is_code);
        let text = text.split_once(": ").filter(is_system).map_or(text, |(_, rest)| rest);
        let text = match text.split_once(": ").filter(|(code, _)| is_code(code)) {
            Some((code, text)) => {
                row.text(self.code, code);
                text
            }
            None => text,
        };
        for label in [
            "File does not exist: ",
            "script not found or unable to stat: ",
            "Directory index forbidden by Options directive: ",
            "client denied by server configuration: ",
        ] {
            if let Some(path) = text.strip_prefix(label) {
                row.text(FieldId::FILE_PATH, path.trim());
            }
        }
        refused(text, row);
        // What a program in PHP says itself (error_log()), not what PHP says of it: a failed login of its own.
        let says_itself = module.starts_with("php") && !text.starts_with("PHP ");
        if says_itself || !row.has(FieldId::SOURCE_IP) && !module.starts_with("ssl") {
            super::guess(text, row);
        }
        true
    }

    /// `2026/04/01 09:00:00 [error] PID#TID: *CONNECTION text, client: .., server: .., request: "..", host: ".."`
    fn read_nginx(&mut self, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let (stamp, rest) = match stamp::iso(message) {
            Some((stamp, rest)) => (Some(stamp), rest.trim_start()),
            None => (None, message),
        };
        let Some(level) = LEVELS.iter().find(|level| rest.starts_with(**level)) else { return false };
        let (level, rest) = (&level[1..level.len() - 2], &rest[level.len()..]);
        let Some((process, text)) = rest.split_once(": ") else { return false };
        let Some((pid, thread)) = process.split_once('#') else { return false };
        let (Ok(pid), Ok(thread)) = (pid.parse(), thread.parse()) else { return false };
        let (connection, text) = match text.strip_prefix('*').and_then(|rest| rest.split_once(' ')) {
            Some((connection, text)) => (connection, text),
            None => ("", text),
        };
        let security = text.contains("ModSecurity: ");
        if security { self.modsecurity } else { self.nginx }.mark(row);
        context.set_time(row, stamp);
        row.text(FieldId::MESSAGE, text);
        row.text(FieldId::LOG_LEVEL, level);
        row.text(FieldId::EVENT_CATEGORY, if security { "intrusion_detection" } else { "web" });
        row.text(FieldId::EVENT_TYPE, if security { "info" } else { "error" });
        row.remove(FieldId::PROCESS_PID);
        row.int(FieldId::PROCESS_PID, pid);
        row.int(self.thread, thread);
        number(row, self.connection, connection);
        // What nginx adds stands behind the text, and before the request: what a client wrote into either does not count.
        let before_request = &text[..text.find(", request: \"").unwrap_or(text.len())];
        let Some(at) = before_request.rfind(", client: ") else {
            if security {
                self.security(text, row);
            }
            return true;
        };
        let tail = &text[at..];
        let bare = |name: &str| tail.split_once(name).map_or("", |(_, after)| after.split(", ").next().unwrap_or(""));
        let in_quotes = |name: &str| tail.split_once(name).map_or("", |(_, after)| super::web::quoted(after).0);
        host_and_port_of(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT, bare(", client: ").trim());
        some_text(row, self.server, bare(", server: "));
        let request = in_quotes(", request: \"");
        if !request.is_empty() {
            request_line(request, row);
        }
        let host = in_quotes(", host: \"");
        if !host.is_empty() && !row.has(FieldId::URL_DOMAIN) {
            super::host_and_port(row, host);
        }
        some_text(row, FieldId::HTTP_REQUEST_REFERRER, in_quotes(", referrer: \""));
        // ngx_mail_core_module
        some_text(row, FieldId::USER_NAME, in_quotes(", login: \""));
        for (begins, outcome) in [("client login failed: ", "failure"), ("client logged in", "success")] {
            if text.starts_with(begins) {
                row.text(FieldId::EVENT_CATEGORY, "authentication");
                row.text(FieldId::EVENT_OUTCOME, outcome);
            }
        }
        if security {
            self.security(&text[..at], row);
        }
        // ngx_http_auth_basic_module
        if let Some(rest) = text[..at].strip_prefix("user \"")
            && let Some((user, _)) =
                rest.rsplit_once("\": password mismatch").or_else(|| rest.rsplit_once("\" was not found in \""))
        {
            some_text(row, FieldId::USER_NAME, user);
            row.text(FieldId::EVENT_OUTCOME, "failure");
        }
        true
    }

    /// `ModSecurity: text [file ".."] [line ".."] [id ".."] [msg ".."] ...`
    fn security(&mut self, text: &str, row: &mut RowBuilder<'_>) {
        row.text(FieldId::EVENT_KIND, "alert");
        row.text(FieldId::OBSERVER_PRODUCT, "ModSecurity");
        row.text(FieldId::OBSERVER_TYPE, "waf");
        let denied = text.split_once("ModSecurity: ").is_some_and(|(_, said)| said.starts_with("Access denied"));
        row.text(FieldId::EVENT_ACTION, if denied { "denied" } else { "warning" });
        let mut rest = text;
        // A value ends at `"]` before the next tag: the data that it quotes may hold quotes of its own.
        while let Some(at) = rest.find(" [") {
            rest = &rest[at + 2..];
            let Some((name, after)) = rest.split_once(" \"") else { break };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                continue;
            }
            let Some(end) = after.find("\"]") else { break };
            let value = &after[..end];
            rest = &after[end + 2..];
            if value.is_empty() {
                continue;
            }
            if let Some(field) = self.native.field(name) {
                row.text(field, value);
            }
            match name {
                "id" => row.text(FieldId::RULE_ID, value),
                "msg" => row.text(FieldId::RULE_NAME, value),
                "file" => row.text(self.rule_file, value),
                "tag" => row.text(FieldId::RULE_CATEGORY, value),
                "severity" => some_text(row, FieldId::EVENT_SEVERITY, value),
                "hostname" if !row.has(FieldId::URL_DOMAIN) => row.text(FieldId::URL_DOMAIN, value),
                "uri" if !row.has(FieldId::URL_ORIGINAL) => super::url(row, value),
                "unique_id" => row.text(FieldId::EVENT_ID, value),
                _ => {}
            }
        }
    }
}

/// Whom mod_auth_basic, mod_auth_digest and mod_authz_* did not let in, and to what (modules/aaa): the user's name is the client's text,
/// so what stands behind it is looked for from the end.
fn refused(text: &str, row: &mut RowBuilder<'_>) {
    let text = text.strip_prefix("Digest: ").unwrap_or(text);
    let (user, path) = if let Some(rest) = text.strip_prefix("user ") {
        let failed = ["authentication", "authorization"].into_iter().find_map(|what| {
            let (user, rest) = rest.rsplit_once(" failure for \"")?;
            Some((user.strip_suffix(what)?.strip_suffix(": ")?, rest.split('"').next().unwrap_or("")))
        });
        let quoted = || {
            let (user, rest) = rest.strip_prefix('`')?.rsplit_once("' in realm `")?;
            Some((user, rest.rsplit_once("' not found: ")?.1))
        };
        let found = failed
            .or_else(quoted)
            .or_else(|| rest.rsplit_once(": password mismatch: "))
            .or_else(|| rest.rsplit_once(" not found: ").or_else(|| Some((rest.strip_suffix(" not found")?, ""))));
        let Some(found) = found else { return };
        found
    } else if let Some(rest) = text.strip_prefix("Authorization of user ") {
        let Some((user, rest)) = rest.rsplit_once(" to access ") else { return };
        (user, rest.split_once(" failed, reason: ").map_or("", |(path, _)| path))
    } else if text.starts_with("client denied by server configuration: ") {
        ("", "")
    } else {
        return;
    };
    row.text(FieldId::EVENT_OUTCOME, "failure");
    some_text(row, FieldId::USER_NAME, user);
    some_text(row, FieldId::URL_PATH, path);
}

/// Programs that log as Apache does.
fn is_server(app: &str) -> bool {
    matches!(app.split('/').next(), Some("httpd" | "apache2" | "apache"))
}

/// `AH01374` and the like.
fn is_code(text: &str) -> bool {
    text.len() == 7 && text.starts_with("AH") && text[2..].bytes().all(|b| b.is_ascii_digit())
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["apache_error", "nginx_error"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().rank(4).starts("[").starts("2").starts("1").stamped()
    }

    fn needs(&self, byte: u8, rarity: &Rarity) -> Vec<Needed> {
        match byte {
            b'[' => vec![Needed::of(["]"].into_iter(), rarity)],
            // Only nginx begins with the bare time, and has the level behind it.
            _ => LEVELS.iter().map(|level| Needed::of([*level, "#", ": "].into_iter(), rarity)).collect(),
        }
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        self.read_apache(message, context, row) || self.read_nginx(message, context, row)
    }
}
