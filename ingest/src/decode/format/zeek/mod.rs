//! Zeek's logs, as JSON and as tab-separated lines, with a `#fields` line or without. Zeek's own names are kept as `zeek.LOG.*`.

mod findings;
mod logs;

use event::{FieldId, LogSource, LogSourceId, RowBuilder, Value};

use self::logs::{EVERYWHERE, logs};
use super::{Needed, Rarity, Recognise, host_and_port_parts, number};
use crate::decode::record::table::{Format, Table};
use crate::decode::record::{Key, Keys, Record, View};
use crate::decode::text::Context;

/// One log, ready to write.
struct Log {
    table: Table,
    columns: Vec<(Key, u8)>,
    dataset: Box<str>,
    constants: Vec<(FieldId, &'static str)>,
    transport: Option<&'static str>,
    protocol: Option<&'static str>,
    source: LogSourceId,
}

/// Every log.
pub(super) struct Logs {
    logs: Vec<Log>,
    paths: Vec<&'static str>,
    path: Key,
    ts: Key,
    proto: Key,
    local: [Key; 2],
    kerberos_client: Key,
    answers: Key,
    uri: Key,
    operation: Key,
    share: Key,
    file: Key,
    scratch: String,
    resolved: FieldId,
    version_protocol: FieldId,
    tls_version: FieldId,
    username: FieldId,
    client: FieldId,
    server: FieldId,
    certificates: [(Key, FieldId); 4],
}

impl Logs {
    pub(super) fn new(keys: &mut Keys) -> Logs {
        let logs = logs().map(|log| {
            let native = format!("zeek.{}.", log.dataset);
            let source = LogSource { product: Some("zeek"), category: log.category, service: Some(log.path) };
            let format = Format { name: "zeek", source, needs: log.needs, native: "", constants: &[], rules: &[] };
            let table = Table::below(&format, &native, &[("", log.rules), ("", EVERYWHERE)], keys);
            let columns = log.columns.split_ascii_whitespace().filter_map(|column| column.rsplit_once(':'));
            let alert = matches!(log.path, "notice" | "weird" | "intel" | "signatures");
            let metric = matches!(log.path, "stats" | "capture_loss");
            let mut constants = vec![
                (FieldId::EVENT_MODULE, "zeek"),
                (
                    FieldId::EVENT_KIND,
                    if alert {
                        "alert"
                    } else if metric {
                        "metric"
                    } else {
                        "event"
                    },
                ),
                (FieldId::EVENT_CATEGORY, log.kind),
                (FieldId::OBSERVER_PRODUCT, "Zeek"),
                (FieldId::OBSERVER_TYPE, "ids"),
            ];
            if log.kind != "network" && log.kind != "file" && log.kind != "intrusion_detection" {
                constants.push((FieldId::EVENT_CATEGORY, "network"));
            }
            Log {
                columns: columns.map(|(name, kind)| (keys.declare(name), kind.as_bytes()[0])).collect(),
                table,
                dataset: native.trim_end_matches('.').into(),
                constants,
                transport: Some(log.transport).filter(|text| !text.is_empty()),
                protocol: Some(log.protocol).filter(|text| !text.is_empty()),
                source: LogSourceId::intern(source),
            }
        });
        Logs {
            logs: logs.collect(),
            paths: self::logs::logs().map(|log| log.path).collect(),
            path: keys.declare("_path"),
            ts: keys.declare("ts"),
            proto: keys.declare("proto"),
            local: ["local_orig", "local_resp"].map(|name| keys.declare(name)),
            kerberos_client: keys.declare("client"),
            answers: keys.declare("answers"),
            uri: keys.declare("uri"),
            operation: keys.declare("operation"),
            share: keys.declare("path"),
            file: keys.declare("name"),
            scratch: String::new(),
            resolved: FieldId::known("dns.resolved_ip"),
            version_protocol: FieldId::known("tls.version_protocol"),
            tls_version: FieldId::known("tls.version"),
            username: FieldId::known("url.username"),
            client: FieldId::known("client.ip"),
            server: FieldId::known("server.ip"),
            certificates: [
                ("cert.client_subject", "tls.client.subject"),
                ("cert.server_subject", "tls.server.subject"),
                ("client_cert_subject", "tls.client.subject"),
                ("server_cert_subject", "tls.server.subject"),
            ]
            .map(|(key, field)| (keys.declare(key), FieldId::known(field))),
        }
    }

    /// Writes the record if it is one of Zeek's.
    pub(super) fn read(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Some(log) = self.find(record.view(text)) else { return false };
        self.write(log, record, text, context, row);
        true
    }

    /// The log whose record this is: as it says itself, else by what only that log has.
    fn find(&self, view: View<'_>) -> Option<usize> {
        if !view.has(self.ts) {
            return None;
        }
        if let Some(path) = view.text(self.path) {
            return self.by_path(path).or_else(|| self.by_path(logs::OTHER).filter(|other| self.logs[*other].table.fits(view)));
        }
        self.logs.iter().position(|log| log.table.fits(view))
    }

    /// The log of this name; Corelight's sensors also write what a log says of long or like connections.
    fn by_path(&self, path: &str) -> Option<usize> {
        let known = |path: &str| self.paths.iter().position(|known| *known == path);
        known(path).or_else(|| ["_red", "_long", "_agg"].iter().find_map(|end| known(path.strip_suffix(end)?)))
    }

    fn write(&mut self, number: usize, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let view = record.view(text);
        let path = self.paths[number];
        let log = &mut self.logs[number];
        log.table.mark(row);
        row.log_source(log.source);
        for (field, text) in &log.constants {
            row.text(*field, text);
        }
        row.text(FieldId::EVENT_DATASET, &log.dataset);
        log.table.write_rules(view, context, row);
        if let Some(transport) = log.transport.filter(|_| !view.has(self.proto)) {
            row.text(FieldId::NETWORK_TRANSPORT, transport);
        }
        if let Some(protocol) = log.protocol {
            row.text(FieldId::NETWORK_PROTOCOL, protocol);
        }
        match path {
            "conn" => self.direction(view, row),
            "dns" => {
                for answer in view.all(self.answers) {
                    if let Some(ip) = answer.as_text().and_then(|text| text.parse().ok()) {
                        row.ip(self.resolved, ip);
                    }
                }
            }
            "kerberos" => {
                if let Some(client) = view.text(self.kerberos_client) {
                    let (name, realm) = client.rsplit_once('/').map_or((client, None), |(name, realm)| (name, Some(realm)));
                    row.text(FieldId::USER_NAME, name);
                    if let Some(realm) = realm {
                        row.text(FieldId::USER_DOMAIN, realm);
                    }
                }
                for (key, field) in self.certificates {
                    if let Some(subject) = view.text(key) {
                        row.text(field, subject);
                    }
                }
            }
            // Who answers was asked by whom it answers.
            "arp" if view.text(self.operation) == Some("reply") => {
                for (from, to) in [(FieldId::SOURCE_IP, self.server), (FieldId::DESTINATION_IP, self.client)] {
                    if let Some(Value::Ip(ip)) = row.get(from) {
                        row.ip(to, ip);
                    }
                }
            }
            "http" => super::outcome_of_status(row),
            "ssl" => self.tls_version(row),
            "sip" => self.sip(view, row),
            "smb_files" => {
                // The path is the share's; the name is the file's within it.
                match (view.text(self.share), view.text(self.file)) {
                    (Some(share), Some(file)) => {
                        self.scratch.clear();
                        self.scratch.extend([share, "\\", file]);
                        row.text(FieldId::FILE_PATH, &self.scratch);
                    }
                    (share, file) => {
                        if let Some(path) = share.or(file) {
                            row.text(FieldId::FILE_PATH, path);
                        }
                    }
                }
            }
            _ => {}
        }
        self.logs[number].table.write_native(record, text, row);
    }

    /// Whose networks the ends lie in, as the log says.
    fn direction(&self, view: View<'_>, row: &mut RowBuilder<'_>) {
        let local = self.local.map(|key| match view.get(key) {
            Some(Value::Bool(local)) => Some(local),
            Some(Value::Text("T")) => Some(true),
            Some(Value::Text("F")) => Some(false),
            _ => None,
        });
        if let [Some(from), Some(to)] = local {
            let direction = match (from, to) {
                (true, true) => "internal",
                (true, false) => "outbound",
                (false, true) => "inbound",
                (false, false) => "external",
            };
            row.text(FieldId::NETWORK_DIRECTION, direction);
        }
    }

    /// `TLSv12` is version 1.2 of TLS.
    fn tls_version(&self, row: &mut RowBuilder<'_>) {
        let Some(Value::Text(text)) = row.get(self.tls_version) else { return };
        let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (name, number) = text.split_at(digits);
        let mut digits = number.bytes().filter(u8::is_ascii_digit);
        let Some(major) = digits.next() else { return };
        let version = [major, b'.', digits.next().unwrap_or(b'0')];
        let mut protocol = [0; 16];
        let name = name.trim_end_matches(['v', 'V']);
        let Some(lower) = protocol.get_mut(..name.len()) else { return };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        row.remove(self.tls_version);
        for (field, text) in [(self.tls_version, &version[..]), (self.version_protocol, lower)] {
            row.text(field, std::str::from_utf8(text).unwrap_or(""));
        }
    }

    /// `sip:user@host:port;parameters` (RFC 3261 §19.1).
    fn sip(&self, view: View<'_>, row: &mut RowBuilder<'_>) {
        let Some(uri) = view.text(self.uri) else { return };
        let Some((scheme @ ("sip" | "sips" | "tel"), rest)) = uri.split_once(':') else { return };
        row.text(FieldId::URL_SCHEME, scheme);
        let rest = rest.split([';', '?']).next().unwrap_or(rest);
        let host = rest.rsplit('@').next().unwrap_or(rest);
        let (host, port) = host_and_port_parts(host);
        row.text(FieldId::URL_DOMAIN, host);
        if let Some(port) = port {
            number(row, FieldId::URL_PORT, port);
        }
        if let Some((user, _)) = rest.rsplit_once('@') {
            row.text(self.username, user);
        }
    }

    /// The log whose columns these are by default: every one must be of its type.
    fn by_columns(&self, line: &str) -> Option<usize> {
        let count = line.split('\t').count();
        self.logs.iter().position(|log| {
            log.columns.len() == count && line.split('\t').zip(&log.columns).all(|(value, (_, kind))| is_of(value, *kind))
        })
    }
}

/// Whether a column's text is of its type; what is unset is.
fn is_of(value: &str, kind: u8) -> bool {
    if value == "-" || value == "(empty)" {
        return kind != b't';
    }
    match kind {
        b't' => value.split_once('.').is_some_and(|(s, us)| s.len() >= 9 && digits(s) && digits(us)),
        b'i' | b'd' => value.parse::<f64>().is_ok(),
        b'a' => value.parse::<std::net::IpAddr>().is_ok(),
        b'p' => value.parse::<u16>().is_ok(),
        b'n' => value.parse::<i64>().is_ok(),
        b'b' => matches!(value, "T" | "F"),
        b'P' => matches!(value, "tcp" | "udp" | "icmp" | "unknown_transport"),
        b'C' => CONNECTION_STATES.contains(&value),
        _ => true,
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Columns that are sets or vectors.
const VECTORS: &[&str] = &[
    "tunnel_parents",
    "answers",
    "TTLs",
    "tags",
    "proxied",
    "orig_fuids",
    "orig_filenames",
    "orig_mime_types",
    "resp_fuids",
    "resp_filenames",
    "resp_mime_types",
    "cert_chain_fps",
    "client_cert_chain_fps",
    "cert_chain_fuids",
    "client_cert_chain_fuids",
    "san.dns",
    "san.uri",
    "san.email",
    "san.ip",
    "analyzers",
    "uids",
    "conn_uids",
    "tx_hosts",
    "rx_hosts",
    "msg_types",
    "actions",
    "email_dest",
    "sources",
    "matched",
    "request_path",
    "response_path",
    "rcptto",
    "fuids",
    "client_channels",
    "section_names",
    "attributes",
    "ssl_history",
];

const CONNECTION_STATES: &[&str] = &["S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH"];

/// Tab-separated logs.
pub(super) struct Reader {
    record: Record,
    logs: Logs,
}

impl Reader {
    pub(super) fn new() -> Reader {
        let mut record = Record::new();
        let logs = Logs::new(&mut record.keys);
        Reader { record, logs }
    }

    /// The columns of `line` by their names into the record.
    fn fill<'n>(&mut self, whole: &str, line: &str, names: impl Iterator<Item = &'n str>) {
        self.record.begin();
        for (name, value) in names.zip(line.split('\t')) {
            let key = self.record.keys.child(Key::ROOT, name);
            self.column(whole, key, value);
        }
    }

    /// One column: unset ones are absent, sets and vectors several values. Within them Zeek escapes the comma.
    fn column(&mut self, whole: &str, key: Key, value: &str) {
        if matches!(value, "-" | "(empty)" | "") {
            return;
        }
        let several = value.contains(',') && VECTORS.contains(&self.record.keys.name(key));
        for part in value.split(',').take(if several { usize::MAX } else { 0 }) {
            self.record.text(whole, key, part);
        }
        if !several {
            self.record.text(whole, key, value);
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["zeek"]
    }

    fn recognise(&self) -> Recognise {
        let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "#"];
        digits.iter().fold(Recognise::new().stamped().rank(4), |recognise, digit| recognise.starts(digit))
    }

    fn needs(&self, byte: u8, rarity: &Rarity) -> Vec<Needed> {
        match byte {
            b'#' => Vec::new(),
            _ => vec![Needed::of(["\t"].into_iter(), rarity)],
        }
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let whole = context.header.message;
        if whole.starts_with('#') {
            return self.read_with_header(whole, context, row);
        }
        if memchr::memchr(b'\t', whole.as_bytes()).is_none() {
            return false;
        }
        let line = whole.lines().next().unwrap_or("");
        let Some(log) = self.logs.by_columns(line) else { return false };
        self.record.begin();
        for (value, column) in line.split('\t').zip(0..) {
            let key = self.logs.logs[log].columns[column].0;
            self.column(whole, key, value);
        }
        self.logs.write(log, &self.record, whole, context, row);
        true
    }
}

impl Reader {
    /// A log with its header lines, or header lines alone.
    fn read_with_header(&mut self, whole: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let header = |name: &str| {
            whole
                .lines()
                .find_map(|line| line.strip_prefix('#')?.strip_prefix(name)?.strip_prefix(['\t', ' ']).map(str::trim_end))
        };
        let data = whole.lines().rfind(|line| !line.starts_with('#') && !line.is_empty());
        match (header("fields"), data) {
            (Some(fields), Some(line)) => {
                let path = header("path");
                self.fill(whole, line, fields.split('\t'));
                let log = match path {
                    Some(path) => self.logs.by_path(path),
                    None => self.logs.find(self.record.view(whole)),
                };
                let Some(log) = log else { return false };
                self.logs.write(log, &self.record, whole, context, row);
                true
            }
            _ => false,
        }
    }
}
