//! Zeek's logs: how each is recognised, its columns, and what they mean (Zeek documentation, "Log Files" and the script reference's
//! `Info` records).
//!
//! Columns are written `name:type`: `t` time, `i` interval, `a` address, `p` port, `n` count or int, `d` double, `b` bool, `s` string, enum
//! or set, `P` transport protocol, `C` connection state. They are those of a default installation, in order; a stream with a `#fields`
//! line needs none of this.

use super::findings::FINDINGS;
use crate::decode::record::table::To::{self, Address, As, Case, Duration, Instant, Is, Lower, Number, Path, Sum, Time, Url};

pub(super) struct Log {
    /// Zeek's own name (`_path`, `#path`): the Sigma service.
    pub(super) path: &'static str,
    /// Its name in ECS (`event.dataset` is `zeek.` and this).
    pub(super) dataset: &'static str,
    /// The Sigma category, where it has one.
    pub(super) category: Option<&'static str>,
    /// `event.category`.
    pub(super) kind: &'static str,
    /// `network.transport` and `network.protocol`, where the log says neither.
    pub(super) transport: &'static str,
    pub(super) protocol: &'static str,
    /// Keys that only this log has together, besides `ts`: alternatives of keys.
    pub(super) needs: &'static [&'static [&'static str]],
    pub(super) columns: &'static str,
    pub(super) rules: &'static [(&'static str, To)],
}

/// What names mean in every log.
pub(super) const EVERYWHERE: &[(&str, To)] = &[
    ("ts", Time),
    ("uid", As("event.id")),
    ("id.orig_h", Address("source.ip", "source.address")),
    ("id.orig_p", Number("source.port")),
    ("id.resp_h", Address("destination.ip", "destination.address")),
    ("id.resp_p", Number("destination.port")),
    ("proto", Lower("network.transport")),
    ("community_id", As("network.community_id")),
    ("id.vlan", As("network.vlan.id")),
    ("_system_name", As("observer.name")),
    ("_node_name", As("observer.name")),
];

pub(super) const OUTCOME: &[(&str, &str)] = &[
    ("true", "success"),
    ("T", "success"),
    ("false", "failure"),
    ("F", "failure"),
    ("success", "success"),
    ("failed", "failure"),
    ("succeeded", "success"),
];

/// A log about a connection that the tables do not have: a package's or one's own.
pub(super) const OTHER: &str = "other";

/// A log of which nothing is said.
pub(super) const NONE: Log = Log {
    path: "",
    dataset: "",
    category: None,
    kind: "network",
    transport: "",
    protocol: "",
    needs: &[],
    columns: "",
    rules: &[],
};

/// The first columns of a log about a connection.
macro_rules! connection {
    ($rest:literal) => {
        concat!("ts:t uid:s id.orig_h:a id.orig_p:p id.resp_h:a id.resp_p:p ", $rest)
    };
}

pub(super) use connection;

/// Every log. Where two fit a record, the first one is meant.
pub(super) fn logs() -> impl Iterator<Item = &'static Log> {
    PROTOCOLS.iter().chain(FINDINGS)
}

/// Logs of protocols and of what goes through them.
const PROTOCOLS: &[Log] = &[
    Log {
        path: "conn",
        dataset: "connection",
        needs: &[&["uid", "conn_state"], &["uid", "orig_ip_bytes", "resp_ip_bytes"], &["uid", "missed_bytes", "proto"]],
        columns: connection!(
            "proto:P service:s duration:i orig_bytes:n resp_bytes:n conn_state:C local_orig:b local_resp:b missed_bytes:n history:s orig_pkts:n orig_ip_bytes:n resp_pkts:n resp_ip_bytes:n tunnel_parents:s"
        ),
        rules: &[
            ("service", As("network.protocol")),
            ("duration", Duration("event.duration", 1e9)),
            ("orig_ip_bytes", Number("source.bytes")),
            ("resp_ip_bytes", Number("destination.bytes")),
            ("orig_pkts", Number("source.packets")),
            ("resp_pkts", Number("destination.packets")),
            ("orig_ip_bytes", Sum("network.bytes")),
            ("resp_ip_bytes", Sum("network.bytes")),
            ("orig_pkts", Sum("network.packets")),
            ("resp_pkts", Sum("network.packets")),
            ("orig_l2_addr", As("source.mac")),
            ("resp_l2_addr", As("destination.mac")),
            ("vlan", As("network.vlan.id")),
        ],
        ..NONE
    },
    Log {
        path: "dns",
        dataset: "dns",
        category: Some("dns"),
        protocol: "dns",
        needs: &[&["uid", "trans_id"], &["uid", "query", "qtype_name"], &["uid", "qclass_name"], &["uid", "rcode_name", "proto"]],
        columns: connection!(
            "proto:P trans_id:n rtt:i query:s qclass:n qclass_name:s qtype:n qtype_name:s rcode:n rcode_name:s AA:b TC:b RD:b RA:b Z:n answers:s TTLs:s rejected:b"
        ),
        rules: &[
            ("trans_id", As("dns.id")),
            ("rtt", Duration("event.duration", 1e9)),
            ("query", As("dns.question.name")),
            (
                "qclass_name",
                Case(
                    "dns.question.class",
                    &[("C_INTERNET", "IN"), ("C_CHAOS", "CH"), ("C_HESIOD", "HS"), ("C_NONE", "NONE"), ("C_ANY", "ANY")],
                ),
            ),
            ("qclass_name", As("dns.question.class")),
            ("qtype_name", As("dns.question.type")),
            ("rcode_name", As("dns.response_code")),
            (
                "rcode_name",
                Case(
                    "event.outcome",
                    &[
                        ("NOERROR", "success"),
                        ("NXDOMAIN", "failure"),
                        ("SERVFAIL", "failure"),
                        ("REFUSED", "failure"),
                        ("FORMERR", "failure"),
                        ("NOTIMP", "failure"),
                    ],
                ),
            ),
            ("answers", As("dns.answers.data")),
            ("TTLs", As("dns.answers.ttl")),
        ],
        ..NONE
    },
    Log {
        path: "sip",
        dataset: "sip",
        transport: "udp",
        protocol: "sip",
        needs: &[&["uid", "call_id"], &["uid", "request_from", "request_to"], &["uid", "method", "response_path"]],
        columns: connection!(
            "trans_depth:n method:s uri:s date:s request_from:s request_to:s response_from:s response_to:s reply_to:s call_id:s seq:s subject:s request_path:s response_path:s user_agent:s status_code:n status_msg:s warning:s request_body_len:n response_body_len:n content_type:s"
        ),
        rules: &[
            ("method", As("event.action")),
            ("uri", As("url.full")),
            ("user_agent", As("user_agent.original")),
            ("status_code", Number("sip.status_code")),
            ("status_msg", As("event.reason")),
        ],
        ..NONE
    },
    Log {
        path: "http",
        dataset: "http",
        kind: "web",
        transport: "tcp",
        protocol: "http",
        needs: &[
            &["uid", "method", "uri", "trans_depth"],
            &["uid", "host", "uri"],
            &["uid", "request_body_len", "resp_mime_types"],
            &["uid", "status_code", "response_body_len", "request_body_len", "trans_depth"],
        ],
        columns: connection!(
            "trans_depth:n method:s host:s uri:s referrer:s version:s user_agent:s origin:s request_body_len:n response_body_len:n status_code:n status_msg:s info_code:n info_msg:s tags:s username:s password:s proxied:s orig_fuids:s orig_filenames:s orig_mime_types:s resp_fuids:s resp_filenames:s resp_mime_types:s"
        ),
        rules: &[
            ("method", As("http.request.method")),
            ("method", Lower("event.action")),
            ("host", As("url.domain")),
            ("host", As("destination.domain")),
            ("uri", Url),
            ("id.resp_p", Number("url.port")),
            ("referrer", As("http.request.referrer")),
            ("version", As("http.version")),
            ("user_agent", As("user_agent.original")),
            ("request_body_len", Number("http.request.body.bytes")),
            ("response_body_len", Number("http.response.body.bytes")),
            ("status_code", Number("http.response.status_code")),
            ("username", As("user.name")),
            ("username", As("url.username")),
            ("password", As("url.password")),
            ("resp_mime_types", As("http.response.mime_type")),
            ("orig_mime_types", As("http.request.mime_type")),
        ],
        ..NONE
    },
    Log {
        path: "ssl",
        dataset: "ssl",
        transport: "tcp",
        protocol: "tls",
        needs: &[
            &["uid", "cipher", "version"],
            &["uid", "server_name", "established"],
            &["uid", "ssl_history"],
            &["uid", "resumed", "established"],
        ],
        columns: connection!(
            "version:s cipher:s curve:s server_name:s resumed:b last_alert:s next_protocol:s established:b ssl_history:s cert_chain_fps:s client_cert_chain_fps:s sni_matches_cert:b"
        ),
        rules: &[
            ("version", As("tls.version")),
            ("cipher", As("tls.cipher")),
            ("curve", As("tls.curve")),
            ("server_name", As("tls.client.server_name")),
            ("server_name", As("destination.domain")),
            ("resumed", As("tls.resumed")),
            ("established", As("tls.established")),
            ("next_protocol", As("tls.next_protocol")),
            ("subject", As("tls.server.subject")),
            ("issuer", As("tls.server.issuer")),
            ("client_subject", As("tls.client.subject")),
            ("client_issuer", As("tls.client.issuer")),
            ("ja3", As("tls.client.ja3")),
            ("ja3s", As("tls.server.ja3s")),
            ("established", Case("event.outcome", OUTCOME)),
        ],
        ..NONE
    },
    Log {
        path: "x509",
        dataset: "x509",
        kind: "file",
        needs: &[&["certificate.serial"], &["certificate.subject"], &["fingerprint", "certificate.version"]],
        columns: "ts:t fingerprint:s certificate.version:n certificate.serial:s certificate.subject:s certificate.issuer:s certificate.not_valid_before:t certificate.not_valid_after:t certificate.key_alg:s certificate.sig_alg:s certificate.key_type:s certificate.key_length:n certificate.exponent:s certificate.curve:s san.dns:s san.uri:s san.email:s san.ip:s basic_constraints.ca:b basic_constraints.path_len:n host_cert:b client_cert:b",
        rules: &[
            ("id", As("event.id")),
            ("certificate.serial", As("file.x509.serial_number")),
            ("certificate.subject", As("file.x509.subject.distinguished_name")),
            ("certificate.issuer", As("file.x509.issuer.distinguished_name")),
            ("certificate.version", As("file.x509.version_number")),
            ("certificate.not_valid_before", Instant("file.x509.not_before")),
            ("certificate.not_valid_after", Instant("file.x509.not_after")),
            ("certificate.key_alg", As("file.x509.public_key_algorithm")),
            ("certificate.sig_alg", As("file.x509.signature_algorithm")),
            ("certificate.key_length", Number("file.x509.public_key_size")),
            ("certificate.exponent", As("file.x509.public_key_exponent")),
            ("certificate.curve", As("file.x509.public_key_curve")),
            ("san.dns", As("file.x509.alternative_names")),
            ("fingerprint", As("file.hash.sha256")),
        ],
        ..NONE
    },
    Log {
        path: "files",
        dataset: "files",
        kind: "file",
        needs: &[&["fuid", "seen_bytes"], &["fuid", "analyzers"], &["fuid", "tx_hosts"], &["fuid", "missing_bytes"]],
        columns: "ts:t fuid:s uid:s id.orig_h:a id.orig_p:p id.resp_h:a id.resp_p:p source:s depth:n analyzers:s mime_type:s filename:s duration:i local_orig:b is_orig:b seen_bytes:n total_bytes:n missing_bytes:n overflow_bytes:n timedout:b parent_fuid:s md5:s sha1:s sha256:s extracted:s extracted_cutoff:b extracted_size:n",
        rules: &[
            ("conn_uids", As("event.id")),
            ("tx_hosts", Address("server.ip", "server.address")),
            ("rx_hosts", Address("client.ip", "client.address")),
            ("mime_type", As("file.mime_type")),
            ("filename", Path("file")),
            ("total_bytes", Number("file.size")),
            ("md5", As("file.hash.md5")),
            ("sha1", As("file.hash.sha1")),
            ("sha256", As("file.hash.sha256")),
            ("duration", Duration("event.duration", 1e9)),
        ],
        ..NONE
    },
    Log {
        path: "ftp",
        dataset: "ftp",
        transport: "tcp",
        protocol: "ftp",
        needs: &[
            &["uid", "command", "reply_code"],
            &["uid", "command", "reply_msg"],
            &["uid", "data_channel.passive"],
            &["uid", "data_channel.resp_h"],
            &["uid", "user", "password", "command"],
        ],
        columns: connection!(
            "user:s password:s command:s arg:s mime_type:s file_size:n reply_code:n reply_msg:s data_channel.passive:b data_channel.orig_h:a data_channel.resp_h:a data_channel.resp_p:p fuid:s"
        ),
        rules: &[
            ("user", As("user.name")),
            ("command", As("event.action")),
            ("arg", Is("event.kind", "event")),
            ("mime_type", As("file.mime_type")),
            ("file_size", Number("file.size")),
            ("reply_code", Number("ftp.response_code")),
        ],
        ..NONE
    },
    Log {
        path: "irc",
        dataset: "irc",
        transport: "tcp",
        protocol: "irc",
        needs: &[
            &["uid", "nick", "command"],
            &["uid", "command", "value", "addl"],
            &["uid", "command", "value"],
            &["uid", "nick", "user"],
        ],
        columns: connection!("nick:s user:s command:s value:s addl:s dcc_file_name:s dcc_file_size:n dcc_mime_type:s fuid:s"),
        rules: &[
            ("user", As("user.name")),
            ("command", As("event.action")),
            ("dcc_file_name", Path("file")),
            ("dcc_file_size", Number("file.size")),
            ("dcc_mime_type", As("file.mime_type")),
        ],
        ..NONE
    },
    Log {
        path: "kerberos",
        dataset: "kerberos",
        category: None,
        transport: "tcp",
        protocol: "kerberos",
        needs: &[
            &["uid", "request_type", "client"],
            &["uid", "request_type", "service"],
            &["uid", "request_type", "cipher"],
            &["uid", "renewable"],
            &["uid", "request_type", "success"],
        ],
        columns: connection!(
            "request_type:s client:s service:s success:b error_msg:s from:t till:t cipher:s forwardable:b renewable:b client_cert_subject:s client_cert_fuid:s server_cert_subject:s server_cert_fuid:s"
        ),
        rules: &[
            ("request_type", As("event.action")),
            ("success", Case("event.outcome", OUTCOME)),
            ("error_msg", As("event.reason")),
            ("cipher", As("tls.cipher")),
        ],
        ..NONE
    },
    Log {
        path: "ntlm",
        dataset: "ntlm",
        kind: "authentication",
        transport: "tcp",
        protocol: "ntlm",
        needs: &[
            &["uid", "domainname"],
            &["uid", "hostname", "username", "success"],
            &["uid", "server_nb_computer_name"],
            &["uid", "server_dns_computer_name"],
        ],
        columns: connection!(
            "username:s hostname:s domainname:s server_nb_computer_name:s server_dns_computer_name:s server_tree_name:s success:b"
        ),
        rules: &[
            ("username", As("user.name")),
            ("domainname", As("user.domain")),
            ("hostname", As("source.domain")),
            ("server_dns_computer_name", As("destination.domain")),
            ("server_nb_computer_name", As("destination.domain")),
            ("success", Case("event.outcome", OUTCOME)),
        ],
        ..NONE
    },
    Log {
        path: "smb_files",
        dataset: "smb_files",
        kind: "file",
        transport: "tcp",
        protocol: "smb",
        needs: &[
            &["uid", "action", "path", "name"],
            &["uid", "times.modified"],
            &["uid", "action", "name", "size"],
            &["uid", "fuid", "action", "path"],
        ],
        columns: connection!(
            "fuid:s action:s path:s name:s size:n prev_name:s times.modified:t times.accessed:t times.created:t times.changed:t"
        ),
        rules: &[
            ("action", As("event.action")),
            ("name", As("file.name")),
            ("size", Number("file.size")),
            ("times.modified", Instant("file.mtime")),
            ("times.accessed", Instant("file.accessed")),
            ("times.created", Instant("file.created")),
            ("times.changed", Instant("file.ctime")),
        ],
        ..NONE
    },
    Log {
        path: "smb_mapping",
        dataset: "smb_mapping",
        transport: "tcp",
        protocol: "smb",
        needs: &[&["uid", "share_type"], &["uid", "native_file_system"], &["uid", "path", "service", "id.resp_p"]],
        columns: connection!("path:s service:s native_file_system:s share_type:s"),
        rules: &[("path", As("file.path"))],
        ..NONE
    },
    Log {
        path: "smb_cmd",
        dataset: "smb_cmd",
        transport: "tcp",
        protocol: "smb",
        needs: &[
            &["uid", "command", "sub_command"],
            &["uid", "command", "argument", "status"],
            &["uid", "command", "tree"],
            &["uid", "command", "smb1_offered_dialects"],
        ],
        columns: connection!("command:s sub_command:s argument:s status:s rtt:i version:s username:s tree:s tree_service:s"),
        rules: &[
            ("command", As("event.action")),
            ("username", As("user.name")),
            ("status", As("event.reason")),
            (
                "status",
                Case(
                    "event.outcome",
                    &[
                        ("SUCCESS", "success"),
                        ("STATUS_SUCCESS", "success"),
                        ("ACCESS_DENIED", "failure"),
                        ("LOGON_FAILURE", "failure"),
                    ],
                ),
            ),
        ],
        ..NONE
    },
    Log {
        path: "dce_rpc",
        dataset: "dce_rpc",
        transport: "tcp",
        protocol: "dce_rpc",
        needs: &[&["uid", "endpoint", "operation"], &["uid", "named_pipe"]],
        columns: connection!("rtt:i named_pipe:s endpoint:s operation:s"),
        rules: &[("operation", As("event.action")), ("rtt", Duration("event.duration", 1e9))],
        ..NONE
    },
    Log {
        path: "dhcp",
        dataset: "dhcp",
        transport: "udp",
        protocol: "dhcp",
        needs: &[&["uids", "client_addr"], &["uids", "mac"], &["msg_types"], &["assigned_addr"], &["lease_time", "mac"]],
        columns: "ts:t uids:s client_addr:a server_addr:a mac:s host_name:s client_fqdn:s domain:s requested_addr:a assigned_addr:a lease_time:i client_message:s server_message:s msg_types:s duration:i",
        rules: &[
            ("uids", As("event.id")),
            ("client_addr", Address("source.ip", "source.address")),
            ("client_addr", Address("client.ip", "client.address")),
            ("assigned_ip", Address("source.ip", "source.address")),
            ("server_addr", Address("destination.ip", "destination.address")),
            ("server_addr", Address("server.ip", "server.address")),
            ("mac", As("source.mac")),
            ("mac", As("client.mac")),
            ("host_name", As("source.domain")),
            ("client_fqdn", As("client.domain")),
            ("domain", As("network.name")),
            ("duration", Duration("event.duration", 1e9)),
        ],
        ..NONE
    },
    Log {
        path: "dnp3",
        dataset: "dnp3",
        transport: "tcp",
        protocol: "dnp3",
        needs: &[&["uid", "fc_request"], &["uid", "fc_reply"]],
        columns: connection!("fc_request:s fc_reply:s iin:n"),
        rules: &[("fc_request", Lower("event.action")), ("fc_reply", Lower("event.action"))],
        ..NONE
    },
    Log {
        path: "modbus",
        dataset: "modbus",
        transport: "tcp",
        protocol: "modbus",
        needs: &[&["uid", "func"], &["uid", "tid", "unit"]],
        columns: connection!("tid:n unit:n func:s pdu_type:s exception:s"),
        rules: &[("func", As("event.action")), ("exception", Is("event.outcome", "failure")), ("exception", As("event.reason"))],
        ..NONE
    },
    Log {
        path: "mysql",
        dataset: "mysql",
        kind: "database",
        transport: "tcp",
        protocol: "mysql",
        needs: &[&["uid", "cmd", "arg"], &["uid", "cmd", "rows"], &["uid", "cmd", "success"]],
        columns: connection!("cmd:s arg:s success:b rows:n response:s"),
        rules: &[("cmd", As("event.action")), ("success", Case("event.outcome", OUTCOME))],
        ..NONE
    },
];
