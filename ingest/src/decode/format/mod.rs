//! The formats, a file each. A reader looks at the message, and either writes the record's cells and says yes, or says no and leaves
//! nothing behind. Recognition goes by structure at a fixed place (a tag, a first key, a literal), never by a word anywhere in the text:
//! senders write what they like into their values.

mod asa;
mod bind;
mod cef;
mod fortigate;
mod generic;
mod linux;
mod netfilter;
mod squid;
mod suricata;
mod web;

use std::net::IpAddr;

use event::{FieldId, FormatId, LogSource, LogSourceId, RowBuilder, Value};

use super::text::Context;

/// Which format a record is in: its name and its Sigma log source.
#[derive(Clone, Copy)]
struct Kind {
    format: FormatId,
    log_source: LogSourceId,
}

impl Kind {
    fn new(format: &'static str, product: Option<&str>, category: Option<&str>, service: Option<&str>) -> Kind {
        Kind { format: FormatId::known(format), log_source: LogSourceId::intern(LogSource { product, category, service }) }
    }

    fn mark(self, row: &mut RowBuilder<'_>) {
        row.format(self.format);
        row.log_source(self.log_source);
    }
}

/// Every reader.
pub(super) struct Readers {
    asa: asa::Reader,
    bind: bind::Reader,
    cef: cef::Reader,
    fortigate: fortigate::Reader,
    generic: generic::Reader,
    linux: linux::Reader,
    netfilter: netfilter::Reader,
    squid: squid::Reader,
    suricata: suricata::Reader,
    web: web::Reader,
}

impl Readers {
    pub(super) fn new() -> Readers {
        Readers {
            asa: asa::Reader::new(),
            bind: bind::Reader::new(),
            cef: cef::Reader::new(),
            fortigate: fortigate::Reader::new(),
            generic: generic::Reader::new(),
            linux: linux::Reader::new(),
            netfilter: netfilter::Reader::new(),
            squid: squid::Reader::new(),
            suricata: suricata::Reader::new(),
            web: web::Reader::new(),
        }
    }

    /// Reads the record as `pin`, or as the first format whose structure it has. False where it has none.
    pub(super) fn read(&mut self, context: &Context<'_>, pin: Option<&str>, row: &mut RowBuilder<'_>) -> bool {
        match pin {
            Some("sshd" | "sudo" | "su" | "pam" | "cron") => self.linux.read(context, row),
            Some("netfilter") => self.netfilter.read(context, row),
            Some("fortigate") => self.fortigate.read(context, row),
            Some("cisco_asa") => self.asa.read(context, row),
            Some("squid") => self.squid.read(context, row),
            Some("bind") => self.bind.read(context, row),
            Some("webserver") => self.web.read(context, row),
            Some("suricata") => self.suricata.read(context, row),
            Some("cef") => self.cef.read(context, row),
            Some("json") => self.generic.read_json(context, row),
            Some("key_value") => self.generic.read_pairs(context, row),
            Some(_) => false,
            None => self.recognise(context, row),
        }
    }

    fn recognise(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        match message.trim_start().as_bytes().first() {
            None => false,
            Some(b'{') => self.suricata.read(context, row) || self.generic.read_json(context, row),
            Some(b'%') => self.asa.read(context, row),
            _ => {
                self.linux.read(context, row)
                    || self.cef.read(context, row)
                    || self.fortigate.read(context, row)
                    || self.netfilter.read(context, row)
                    || self.squid.read(context, row)
                    || self.bind.read(context, row)
                    || self.web.read(context, row)
                    || self.generic.read_pairs(context, row)
            }
        }
    }
}

/// Adds an address: as an address where it is one, else as what it says.
fn address(row: &mut RowBuilder<'_>, ip: FieldId, name: FieldId, text: &str) {
    let bare = text.trim_matches(['[', ']']);
    match bare.parse::<IpAddr>() {
        Ok(address) => row.ip(ip, address),
        Err(_) if !bare.is_empty() && bare != "-" => row.text(name, bare),
        Err(_) => {}
    }
}

/// Adds a number where the text is one.
fn number(row: &mut RowBuilder<'_>, field: FieldId, text: &str) {
    if let Ok(n) = text.parse::<u64>() {
        row.uint(field, n);
    }
}

/// Adds text that is there and is not the `-` that stands for nothing.
fn some_text(row: &mut RowBuilder<'_>, field: FieldId, text: &str) {
    if !text.is_empty() && text != "-" {
        row.text(field, text);
    }
}

/// `network.transport` by IANA protocol number.
pub(super) fn transport(number: u64) -> Option<&'static str> {
    Some(match number {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        41 => "ipv6",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "ipv6-icmp",
        89 => "ospf",
        132 => "sctp",
        _ => return None,
    })
}

/// The URL's parts from the whole: an absolute one, `host:port` (CONNECT), or a path.
fn url(row: &mut RowBuilder<'_>, whole: &str) {
    row.text(FieldId::URL_ORIGINAL, whole);
    let rest = match whole.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            row.text(FieldId::URL_SCHEME, scheme);
            let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            host_and_port(row, authority);
            &rest[authority.len()..]
        }
        _ if whole.starts_with('/') => whole,
        _ => {
            if !whole.contains('/') {
                host_and_port(row, whole);
            }
            return;
        }
    };
    let rest = rest.split('#').next().unwrap_or(rest);
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    if !path.is_empty() {
        row.text(FieldId::URL_PATH, path);
        let name = path.rsplit('/').next().unwrap_or("");
        if let Some((stem, extension)) = name.rsplit_once('.')
            && !stem.is_empty()
            && (1..=10).contains(&extension.len())
            && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            row.text(FieldId::URL_EXTENSION, extension);
        }
    }
    if let Some(query) = query {
        row.text(FieldId::URL_QUERY, query);
    }
}

fn host_and_port(row: &mut RowBuilder<'_>, authority: &str) {
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (authority, ""),
    };
    some_text(row, FieldId::URL_DOMAIN, host.trim_matches(['[', ']']));
    number(row, FieldId::URL_PORT, port);
}

/// What follows from the cells whatever the format.
pub(super) fn enrich(row: &mut RowBuilder<'_>) {
    if let Some(Value::Text(name)) = row.get(FieldId::DNS_QUESTION_NAME) {
        // Without a list of public suffixes: the last two labels, or three where the second-level one is short (`city.example.co.jp`).
        let labels = name.trim_end_matches('.').rsplit('.').take(3).collect::<Vec<_>>();
        let short = labels.len() == 3 && labels[1].len() <= 3 && labels[0].len() == 2;
        let take = if short { 3 } else { 2 };
        if labels.len() >= take {
            let len: usize = labels[..take].iter().map(|l| l.len() + 1).sum::<usize>() - 1;
            let name = name.trim_end_matches('.');
            let registered = name[name.len() - len..].to_owned();
            row.text(FieldId::DNS_QUESTION_REGISTERED_DOMAIN, &registered);
        }
    }
    if row.get(FieldId::EVENT_KIND).is_none() && !row.is_quarantined() {
        row.text(FieldId::EVENT_KIND, "event");
    }
}
