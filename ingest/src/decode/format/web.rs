//! Access logs of web servers: the common and the combined log format (Apache HTTP Server documentation, "Log Files"; nginx,
//! `ngx_http_log_module`) and what Traefik, the ingress controller of Kubernetes, LiteSpeed and nginx Proxy Manager make of them.

use std::net::IpAddr;

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, host_and_port_of, number, some_text, url};
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    apache: Kind,
    nginx: Kind,
    traefik: Kind,
    manager: Kind,
    ident: FieldId,
    forwarded: FieldId,
    tls_version: FieldId,
    tls_protocol: FieldId,
    tls_cipher: FieldId,
    router: FieldId,
    backend: FieldId,
    upstream: FieldId,
    request_id: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        let kind = |product| Kind::new("webserver", Some(product), Some("webserver"), None);
        Reader {
            apache: kind("apache"),
            nginx: kind("nginx"),
            traefik: kind("traefik"),
            manager: Kind::new("nginx_proxy_manager", Some("nginx"), Some("webserver"), None),
            ident: FieldId::known("client.user.ident"),
            forwarded: FieldId::known("network.forwarded_ip"),
            tls_version: FieldId::known("tls.version"),
            tls_protocol: FieldId::known("tls.version_protocol"),
            tls_cipher: FieldId::known("tls.cipher"),
            router: FieldId::known("traefik.access.frontend_name"),
            backend: FieldId::known("traefik.access.backend_url"),
            upstream: FieldId::known("nginx.ingress_controller.upstream.name"),
            request_id: FieldId::known("http.request.id"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["webserver", "nginx_proxy_manager"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(7)
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["] ", " \""]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        if message.starts_with('[') {
            return self.manager(message, context, row) || self.ssl_request(message, context, row);
        }
        self.combined(message, context, row)
    }
}

impl Reader {
    /// `[VHOST[:PORT]] CLIENT[, CLIENT...] IDENT USER [TIME] "METHOD URL HTTP/1.1" STATUS BYTES ["REFERRER" "AGENT" ...]`
    fn combined(&self, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Some((lead, rest)) = message.split_once(" [") else { return false };
        let Some((time, rest)) = rest.split_once("] \"") else { return false };
        let Some(stamp) = stamp::clf(time) else { return false };
        let Some(Lead { host, clients, ident, user }) = lead_of(lead) else { return false };
        let (request, rest) = quoted(rest);
        let Some((status, after)) = rest.trim_start().split_once(' ') else { return false };
        let (bytes, after) = after.split_once(' ').unwrap_or((after, ""));
        let is_status = status == "-" || (status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit()));
        let is_bytes = bytes == "-" || (!bytes.is_empty() && bytes.bytes().all(|b| b.is_ascii_digit()));
        if !is_status || !is_bytes {
            return false;
        }
        let (referrer, after) = optional(after);
        let (agent, after) = optional(after);
        let after = after.trim();
        let is_traefik = after.ends_with("ms") && after.contains('"');
        let is_ingress = after.contains(" [") && after.contains("] ");
        let app = context.header.app.unwrap_or("");
        match () {
            () if is_traefik || app.contains("traefik") => self.traefik,
            () if is_ingress || app.contains("nginx") || lead.contains(", ") => self.nginx,
            () => self.apache,
        }
        .mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "web");
        row.text(FieldId::EVENT_TYPE, "access");
        let (module, dataset) = match () {
            () if is_traefik || app.contains("traefik") => ("traefik", "traefik.access"),
            () if is_ingress => ("nginx", "nginx.ingress_controller"),
            () if app.contains("nginx") || lead.contains(", ") => ("nginx", "nginx.access"),
            () => ("apache", "apache.access"),
        };
        row.text(FieldId::EVENT_MODULE, module);
        row.text(FieldId::EVENT_DATASET, dataset);
        context.set_time(row, Some(stamp));
        self.clients(clients, row);
        if let Some(host) = host {
            let (name, _) = super::host_and_port_parts(host);
            if name.trim_matches(['[', ']']).parse::<IpAddr>().is_err() {
                super::host_and_port(row, host);
            }
            host_and_port_of(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, FieldId::DESTINATION_PORT, host);
        }
        some_text(row, self.ident, ident);
        some_text(row, FieldId::USER_NAME, user);
        request_line(request, row);
        number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, status);
        number(row, FieldId::HTTP_RESPONSE_BODY_BYTES, bytes);
        if status != "-" {
            row.text(FieldId::EVENT_OUTCOME, if status >= "400" { "failure" } else { "success" });
        }
        some_text(row, FieldId::HTTP_REQUEST_REFERRER, referrer);
        some_text(row, FieldId::USER_AGENT_ORIGINAL, agent);
        if is_traefik {
            let mut quotes = after.split('"');
            some_text(row, self.router, quotes.nth(1).unwrap_or(""));
            some_text(row, self.backend, quotes.nth(1).unwrap_or(""));
        } else if is_ingress {
            // `LENGTH TIME [UPSTREAM] [ALTERNATIVE] ADDRESS LENGTH TIME STATUS ID`
            let name = after.split_once(" [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(name, _)| name);
            some_text(row, self.upstream, name);
            some_text(row, self.request_id, after.rsplit(' ').next().unwrap_or(""));
        }
        true
    }

    /// Forwarding servers put each client before the next: the first public one is the client, where none is the first.
    fn clients(&self, clients: &str, row: &mut RowBuilder<'_>) {
        let parts = || clients.split([',', ' ', '"']).filter(|part| !part.is_empty() && *part != "-");
        let address_of = |part: &str| part.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let addresses = || parts().filter_map(address_of);
        match addresses().find(|ip| is_public(*ip)).or_else(|| addresses().next()) {
            Some(ip) => row.ip(FieldId::SOURCE_IP, ip.to_canonical()),
            None => {
                if let Some(name) = parts().next() {
                    address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, name);
                }
            }
        }
        if parts().nth(1).is_some() {
            for ip in addresses() {
                row.ip(self.forwarded, ip);
            }
        }
    }

    /// Apache's `ssl_request_log`: `[TIME] CLIENT PROTOCOL CIPHER "REQUEST" BYTES`.
    fn ssl_request(&self, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Some((time, rest)) = message.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { return false };
        let Some((stamp, (lead, rest))) = stamp::clf(time).zip(rest.split_once(" \"")) else { return false };
        let mut words = lead.split(' ');
        let (Some(client), Some(protocol), Some(cipher), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return false;
        };
        if !(protocol == "-" || protocol.starts_with("TLS") || protocol.starts_with("SSL")) {
            return false;
        }
        let (request, bytes) = quoted(rest);
        self.apache.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "web");
        context.set_time(row, Some(stamp));
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, client);
        if let Some((name, version)) = protocol.split_once('v') {
            super::lower_text(row, self.tls_protocol, name);
            row.text(self.tls_version, version);
        }
        some_text(row, self.tls_cipher, cipher);
        request_line(request, row);
        number(row, FieldId::HTTP_RESPONSE_BODY_BYTES, bytes.trim());
        true
    }

    /// nginx Proxy Manager: `[TIME] [CACHE [UPSTREAM-STATUS]] STATUS - METHOD SCHEME HOST "URI" [Client IP] [Length N] [Gzip R]
    /// [Sent-to SERVER] "AGENT" "REFERRER"`.
    fn manager(&self, message: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Some((time, rest)) = message.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { return false };
        let Some(stamp) = stamp::clf(time) else { return false };
        let Some((lead, rest)) = rest.split_once(" \"") else { return false };
        let mut words = lead.rsplit(' ');
        let (Some(host), Some(scheme), Some(method), Some("-"), Some(status)) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            return false;
        };
        let (uri, rest) = quoted(rest);
        let tag = |name: &str| {
            let (_, after) = rest.split_once(name)?;
            after.split(']').next()
        };
        let Some(client) = tag("[Client ") else { return false };
        let Some((_, quotes)) = rest.split_once("] \"") else { return false };
        let (agent, after) = quoted(quotes);
        let (referrer, _) = optional(after);
        self.manager.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, "web");
        context.set_time(row, Some(stamp));
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, client);
        row.text(FieldId::HTTP_REQUEST_METHOD, method);
        row.text(FieldId::URL_SCHEME, scheme);
        super::host_and_port(row, host);
        url(row, uri);
        number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, status);
        number(row, FieldId::HTTP_RESPONSE_BODY_BYTES, tag("[Length ").unwrap_or(""));
        row.text(FieldId::EVENT_OUTCOME, if status >= "400" { "failure" } else { "success" });
        if let Some(server) = tag("[Sent-to ") {
            host_and_port_of(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, FieldId::DESTINATION_PORT, server);
        }
        some_text(row, FieldId::USER_AGENT_ORIGINAL, agent);
        some_text(row, FieldId::HTTP_REQUEST_REFERRER, referrer);
        true
    }
}

/// What stands before the time.
struct Lead<'a> {
    host: Option<&'a str>,
    clients: &'a str,
    ident: &'a str,
    user: &'a str,
}

/// `[HOST] CLIENT[, CLIENT...] IDENT USER`: the identity is `-` nearly always, the user may hold blanks.
fn lead_of(lead: &str) -> Option<Lead<'_>> {
    let (left, ident, user) = match lead.split_once(" - ") {
        Some((left, user)) => (left, "-", user),
        None => {
            let mut words = lead.splitn(3, ' ');
            let (client, ident, user) = (words.next()?, words.next()?, words.next()?);
            (client, ident, user)
        }
    };
    if left.is_empty() || left.len() > 1024 {
        return None;
    }
    // A first word that no comma follows stands before the clients: the server's name.
    let (host, clients) = match left.split_once(' ') {
        Some((first, rest)) if !first.ends_with(',') && !first.starts_with('"') => (Some(first), rest),
        _ => (None, left),
    };
    // Clients are addresses or names.
    let is_name = |part: &str| {
        part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'[' | b']' | b'%'))
    };
    let plausible = clients.split([',', ' ', '"']).filter(|part| !part.is_empty()).all(is_name);
    plausible.then_some(Lead { host, clients, ident, user })
}

/// The method, the target and the version; a line that has no such parts is all target.
pub(in crate::decode) fn request_line(request: &str, row: &mut RowBuilder<'_>) {
    let is_method = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_'));
    match request.split_once(' ') {
        // The target may hold blanks: an attacker's does.
        Some((method, target)) if is_method(method) => {
            let (target, version) = match target.rsplit_once("HTTP/") {
                Some((target, version)) if target.is_empty() || target.ends_with(' ') => (target.trim_end(), Some(version)),
                _ => (target, None),
            };
            row.text(FieldId::HTTP_REQUEST_METHOD, method);
            if !target.is_empty() {
                url(row, target);
            }
            if let Some(version) = version {
                row.text(FieldId::HTTP_VERSION, version);
            }
        }
        _ => some_text(row, FieldId::URL_ORIGINAL, request),
    }
}

/// A quoted part or a bare `-` at the start, and what follows.
fn optional(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.strip_prefix('"') {
        Some(rest) => quoted(rest),
        None => ("", text.strip_prefix("- ").unwrap_or(if text == "-" { "" } else { text })),
    }
}

/// What stands before the closing quote, and what follows it. Apache and nginx escape quotes within by a backslash.
pub(super) fn quoted(text: &str) -> (&str, &str) {
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

/// Whether an address is one of the Internet's.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64; // RFC 6598
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}
