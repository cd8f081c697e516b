//! Zeek's logs of what it found, of less common protocols, and of itself. See [`super::logs`].

use super::logs::{Log, NONE, OTHER, OUTCOME, connection};
use crate::decode::record::table::To::{Account, Address, As, Case, Duration, Instant, Is, Lower, Number};

pub(super) const FINDINGS: &[Log] = &[
    Log {
        path: "notice",
        dataset: "notice",
        kind: "intrusion_detection",
        needs: &[&["note", "actions"], &["note", "msg"], &["note", "suppress_for"]],
        columns: connection!(
            "fuid:s file_mime_type:s file_desc:s proto:P note:s msg:s sub:s src:a dst:a p:p n:n peer_descr:s actions:s email_dest:s suppress_for:i remote_location.country_code:s remote_location.region:s remote_location.city:s remote_location.latitude:d remote_location.longitude:d"
        ),
        rules: &[
            ("note", As("rule.name")),
            ("msg", As("rule.description")),
            ("msg", As("message")),
            ("src", Address("source.ip", "source.address")),
            ("dst", Address("destination.ip", "destination.address")),
            ("p", Number("destination.port")),
            ("file_mime_type", As("file.mime_type")),
            ("file_desc", As("file.name")),
            ("peer_descr", As("observer.name")),
            ("dropped", Case("event.type", &[("true", "denied"), ("T", "denied"), ("false", "allowed"), ("F", "allowed")])),
        ],
        ..NONE
    },
    Log {
        path: "weird",
        dataset: "weird",
        needs: &[&["name", "notice", "peer"], &["name", "notice"], &["name", "addl", "peer"]],
        columns: connection!("name:s addl:s notice:b peer:s source:s"),
        rules: &[("name", As("rule.name")), ("addl", As("rule.description")), ("peer", As("observer.name"))],
        ..NONE
    },
    Log {
        path: "intel",
        dataset: "intel",
        kind: "threat",
        needs: &[&["seen.indicator"], &["seen.where"], &["matched", "sources"]],
        columns: connection!(
            "seen.indicator:s seen.indicator_type:s seen.where:s seen.node:s matched:s sources:s fuid:s file_mime_type:s file_desc:s"
        ),
        rules: &[
            ("seen.indicator", As("threat.indicator.description")),
            ("seen.indicator", As("rule.name")),
            ("seen.indicator_type", As("threat.indicator.type")),
            ("sources", As("threat.indicator.provider")),
            ("file_mime_type", As("file.mime_type")),
        ],
        ..NONE
    },
    Log {
        path: "ntp",
        dataset: "ntp",
        transport: "udp",
        protocol: "ntp",
        needs: &[&["uid", "stratum"], &["uid", "ref_id"], &["uid", "xmt_time"]],
        columns: connection!(
            "version:n mode:n stratum:n poll:i precision:i root_delay:i root_disp:i ref_id:s ref_time:t org_time:t rec_time:t xmt_time:t num_exts:n"
        ),
        rules: &[],
        ..NONE
    },
    Log {
        path: "ocsp",
        dataset: "ocsp",
        transport: "tcp",
        needs: &[&["hashAlgorithm", "serialNumber"], &["certStatus"], &["hash.algorithm", "serial_number"]],
        columns: "ts:t id:s hashAlgorithm:s issuerNameHash:s issuerKeyHash:s serialNumber:s certStatus:s revoketime:t revokereason:s thisUpdate:t nextUpdate:t",
        rules: &[
            ("id", As("event.id")),
            ("serialNumber", As("tls.server.x509.serial_number")),
            ("certStatus", As("event.reason")),
        ],
        ..NONE
    },
    Log {
        path: "pe",
        dataset: "pe",
        kind: "file",
        needs: &[&["is_exe", "machine"], &["compile_ts", "subsystem"], &["section_names", "os"]],
        columns: "ts:t id:s machine:s compile_ts:t os:s subsystem:s is_exe:b is_64bit:b uses_aslr:b uses_dep:b uses_code_integrity:b uses_seh:b has_import_table:b has_export_table:b has_cert_table:b has_debug_data:b section_names:s",
        rules: &[
            ("id", As("event.id")),
            ("machine", As("file.pe.architecture")),
            ("compile_ts", Instant("file.pe.compile_time")),
        ],
        ..NONE
    },
    Log {
        path: "radius",
        dataset: "radius",
        kind: "authentication",
        transport: "udp",
        protocol: "radius",
        needs: &[&["uid", "username", "result"], &["uid", "framed_addr"], &["uid", "mac", "result"], &["uid", "tunnel_client"]],
        columns: connection!("username:s mac:s framed_addr:a tunnel_client:s connect_info:s reply_msg:s result:s ttl:i"),
        rules: &[
            ("username", As("user.name")),
            ("mac", As("source.mac")),
            ("framed_addr", Address("client.ip", "client.address")),
            ("reply_msg", As("event.reason")),
            ("result", Case("event.outcome", OUTCOME)),
        ],
        ..NONE
    },
    Log {
        path: "rdp",
        dataset: "rdp",
        transport: "tcp",
        protocol: "rdp",
        needs: &[
            &["uid", "security_protocol"],
            &["uid", "cookie", "result"],
            &["uid", "keyboard_layout"],
            &["uid", "cert_count"],
            &["uid", "client_build"],
        ],
        columns: connection!(
            "cookie:s result:s security_protocol:s client_channels:s keyboard_layout:s client_build:s client_name:s client_dig_product_id:s desktop_width:n desktop_height:n requested_color_depth:s cert_type:s cert_count:n cert_permanent:b encryption_level:s encryption_method:s"
        ),
        rules: &[
            ("cookie", As("user.name")),
            ("client_name", As("source.domain")),
            ("ssl", As("tls.established")),
            ("result", As("event.reason")),
        ],
        ..NONE
    },
    Log {
        path: "rfb",
        dataset: "rfb",
        transport: "tcp",
        protocol: "rfb",
        needs: &[
            &["uid", "client_major_version"],
            &["uid", "authentication_method", "desktop_name"],
            &["uid", "auth", "share_flag"],
        ],
        columns: connection!(
            "client_major_version:s client_minor_version:s server_major_version:s server_minor_version:s authentication_method:s auth:b share_flag:b desktop_name:s width:n height:n"
        ),
        rules: &[("auth", Case("event.outcome", OUTCOME)), ("desktop_name", As("destination.domain"))],
        ..NONE
    },
    Log {
        path: "signatures",
        dataset: "signature",
        kind: "intrusion_detection",
        needs: &[&["sig_id", "event_msg"], &["sig_id", "note"]],
        columns: "ts:t uid:s src_addr:a src_port:p dst_addr:a dst_port:p note:s sig_id:s event_msg:s sub_msg:s sig_count:n host_count:n",
        rules: &[
            ("src_addr", Address("source.ip", "source.address")),
            ("src_port", Number("source.port")),
            ("dst_addr", Address("destination.ip", "destination.address")),
            ("dst_port", Number("destination.port")),
            ("sig_id", As("rule.id")),
            ("note", As("rule.name")),
            ("event_msg", As("rule.description")),
            ("event_msg", As("message")),
        ],
        ..NONE
    },
    Log {
        path: "smtp",
        dataset: "smtp",
        transport: "tcp",
        protocol: "smtp",
        needs: &[
            &["uid", "helo"],
            &["uid", "mailfrom"],
            &["uid", "last_reply"],
            &["uid", "rcptto"],
            &["uid", "x_originating_ip"],
        ],
        columns: connection!(
            "trans_depth:n helo:s mailfrom:s rcptto:s date:s from:s to:s cc:s reply_to:s msg_id:s in_reply_to:s subject:s x_originating_ip:a first_received:s second_received:s last_reply:s path:s user_agent:s tls:b fuids:s is_webmail:b"
        ),
        rules: &[
            ("helo", As("source.domain")),
            ("mailfrom", As("email.from.address")),
            ("from", As("email.from.address")),
            ("rcptto", As("email.to.address")),
            ("to", As("email.to.address")),
            ("cc", As("email.cc.address")),
            ("reply_to", As("email.reply_to.address")),
            ("msg_id", As("email.message_id")),
            ("subject", As("email.subject")),
            ("user_agent", As("user_agent.original")),
            ("tls", As("tls.established")),
            ("last_reply", As("event.reason")),
        ],
        ..NONE
    },
    Log {
        path: "snmp",
        dataset: "snmp",
        transport: "udp",
        protocol: "snmp",
        needs: &[&["uid", "community"], &["uid", "get_requests"], &["uid", "set_requests"]],
        columns: connection!(
            "duration:i version:s community:s get_requests:n get_bulk_requests:n get_responses:n set_requests:n display_string:s up_since:t"
        ),
        rules: &[("duration", Duration("event.duration", 1e9))],
        ..NONE
    },
    Log {
        path: "socks",
        dataset: "socks",
        transport: "tcp",
        protocol: "socks",
        needs: &[&["uid", "request.host"], &["uid", "request.name"], &["uid", "request_p"], &["uid", "bound_p"]],
        columns: connection!(
            "version:n user:s password:s status:s request.host:a request.name:s request_p:p bound.host:a bound.name:s bound_p:p"
        ),
        rules: &[
            ("user", As("user.name")),
            ("status", Case("event.outcome", OUTCOME)),
            ("status", As("event.reason")),
            ("request.host", Address("server.ip", "server.address")),
            ("request.name", As("server.domain")),
            ("request_p", Number("server.port")),
        ],
        ..NONE
    },
    Log {
        path: "ssh",
        dataset: "ssh",
        kind: "authentication",
        transport: "tcp",
        protocol: "ssh",
        needs: &[
            &["uid", "auth_attempts"],
            &["uid", "auth_success"],
            &["uid", "client", "server"],
            &["uid", "hassh"],
            &["uid", "kex_alg"],
        ],
        columns: connection!(
            "version:n auth_success:b auth_attempts:n direction:s client:s server:s cipher_alg:s mac_alg:s compression_alg:s kex_alg:s host_key_alg:s host_key:s remote_location.country_code:s remote_location.region:s remote_location.city:s remote_location.latitude:d remote_location.longitude:d"
        ),
        rules: &[
            ("auth_success", Case("event.outcome", OUTCOME)),
            ("client", As("user_agent.original")),
            ("direction", Case("network.direction", &[("INBOUND", "inbound"), ("OUTBOUND", "outbound")])),
        ],
        ..NONE
    },
    Log {
        path: "syslog",
        dataset: "syslog",
        protocol: "syslog",
        needs: &[&["uid", "facility", "severity"]],
        columns: connection!("proto:P facility:s severity:s message:s"),
        rules: &[
            ("facility", As("log.syslog.facility.name")),
            ("severity", As("log.syslog.severity.name")),
            ("message", As("message")),
        ],
        ..NONE
    },
    Log {
        path: "dpd",
        dataset: "dpd",
        needs: &[&["uid", "analyzer", "failure_reason"]],
        columns: connection!("proto:P analyzer:s failure_reason:s"),
        rules: &[("analyzer", Lower("network.protocol")), ("failure_reason", As("event.reason"))],
        ..NONE
    },
    Log {
        path: "analyzer",
        dataset: "analyzer",
        needs: &[&["analyzer_kind", "analyzer_name"]],
        columns: "ts:t cause:s analyzer_kind:s analyzer_name:s uid:s fuid:s id.orig_h:a id.orig_p:p id.resp_h:a id.resp_p:p failure_reason:s failure_data:s",
        rules: &[
            ("analyzer_name", Lower("network.protocol")),
            ("failure_reason", As("event.reason")),
            ("cause", As("event.action")),
        ],
        ..NONE
    },
    Log {
        path: "tunnel",
        dataset: "tunnel",
        needs: &[&["tunnel_type", "action"], &["tunnel_type"]],
        columns: connection!("tunnel_type:s action:s"),
        rules: &[("action", As("event.action"))],
        ..NONE
    },
    // Written by packages: Zeek itself has the events and no log of them.
    Log {
        path: "arp",
        dataset: "arp",
        transport: "arp",
        protocol: "arp",
        needs: &[&["operation", "orig_h", "resp_h", "src_mac"], &["operation", "orig_h", "resp_h", "orig_hw"]],
        rules: &[
            ("operation", As("event.action")),
            ("operation", Case("flow.answer", &[("request", "unanswered"), ("reply", "answered")])),
            ("orig_h", Address("source.ip", "source.address")),
            ("resp_h", Address("destination.ip", "destination.address")),
            ("src_mac", As("source.mac")),
            ("dst_mac", As("destination.mac")),
        ],
        ..NONE
    },
    Log {
        path: "traceroute",
        dataset: "traceroute",
        needs: &[&["src", "dst", "proto"]],
        columns: "ts:t src:a dst:a proto:P",
        rules: &[("src", Address("source.ip", "source.address")), ("dst", Address("destination.ip", "destination.address"))],
        ..NONE
    },
    Log {
        path: "software",
        dataset: "software",
        needs: &[&["software_type"], &["unparsed_version"]],
        columns: "ts:t host:a host_p:p software_type:s name:s version.major:n version.minor:n version.minor2:n version.minor3:n version.addl:s unparsed_version:s",
        rules: &[
            ("host", Address("host.ip", "host.name")),
            ("name", As("package.name")),
            ("unparsed_version", As("package.version")),
            ("url", As("url.original")),
        ],
        ..NONE
    },
    Log {
        path: "known_hosts",
        dataset: "known_hosts",
        needs: &[],
        columns: "ts:t host:a",
        rules: &[("host", Address("host.ip", "host.name"))],
        ..NONE
    },
    Log {
        path: "known_services",
        dataset: "known_services",
        needs: &[&["port_num", "port_proto"]],
        columns: "ts:t host:a port_num:p port_proto:P service:s",
        rules: &[
            ("host", Address("host.ip", "host.name")),
            ("port_num", Number("server.port")),
            ("port_proto", Lower("network.transport")),
            ("service", Lower("network.protocol")),
        ],
        ..NONE
    },
    Log {
        path: "known_certs",
        dataset: "known_certs",
        needs: &[&["host", "port_num", "issuer_subject"]],
        columns: "ts:t host:a port_num:p subject:s issuer_subject:s serial:s",
        rules: &[
            ("host", Address("host.ip", "host.name")),
            ("subject", As("tls.server.subject")),
            ("issuer_subject", As("tls.server.issuer")),
        ],
        ..NONE
    },
    Log {
        path: "ldap",
        dataset: "ldap",
        transport: "tcp",
        protocol: "ldap",
        needs: &[&["uid", "message_id", "opcode"]],
        columns: connection!("message_id:n version:n opcode:s result:s diagnostic_message:s object:s argument:s"),
        rules: &[
            ("opcode", As("event.action")),
            ("object", As("user.name")),
            ("result", As("event.reason")),
            (
                "result",
                Case(
                    "event.outcome",
                    &[("success", "success"), ("invalidCredentials", "failure"), ("insufficientAccessRights", "failure")],
                ),
            ),
        ],
        ..NONE
    },
    Log {
        path: "ldap_search",
        dataset: "ldap_search",
        transport: "tcp",
        protocol: "ldap",
        needs: &[&["uid", "message_id", "base_object"], &["uid", "message_id", "filter"]],
        columns: connection!(
            "message_id:n scope:s deref_aliases:s base_object:s result_count:n result:s diagnostic_message:s filter:s attributes:s"
        ),
        rules: &[("result", As("event.reason"))],
        ..NONE
    },
    Log {
        path: "quic",
        dataset: "quic",
        transport: "udp",
        protocol: "quic",
        needs: &[&["uid", "client_initial_dcid"]],
        columns: connection!(
            "version:s client_initial_dcid:s client_scid:s server_scid:s server_name:s client_protocol:s history:s"
        ),
        rules: &[
            ("server_name", As("tls.client.server_name")),
            ("server_name", As("destination.domain")),
            ("client_protocol", As("tls.next_protocol")),
        ],
        ..NONE
    },
    Log {
        path: "stats",
        dataset: "stats",
        needs: &[&["mem", "pkts_proc"], &["events_proc", "events_queued"]],
        columns: "ts:t peer:s mem:n pkts_proc:n bytes_recv:n pkts_dropped:n pkts_link:n pkt_lag:i pkts_filtered:n events_proc:n events_queued:n active_tcp_conns:n active_udp_conns:n active_icmp_conns:n tcp_conns:n udp_conns:n icmp_conns:n timers:n active_timers:n files:n active_files:n dns_requests:n active_dns_requests:n reassem_tcp_size:n reassem_file_size:n reassem_frag_size:n reassem_unknown_size:n",
        rules: &[("peer", As("observer.name")), ("mem", Is("event.kind", "metric"))],
        ..NONE
    },
    Log {
        path: "capture_loss",
        dataset: "capture_loss",
        needs: &[&["percent_lost"], &["gaps", "acks"]],
        columns: "ts:t ts_delta:i peer:s gaps:n acks:n percent_lost:d",
        rules: &[("peer", As("observer.name")), ("acks", Is("event.kind", "metric"))],
        ..NONE
    },
    Log {
        path: "packet_filter",
        dataset: "packet_filter",
        needs: &[&["node", "filter", "success"]],
        columns: "ts:t node:s filter:s init:b success:b failure_reason:s",
        rules: &[("node", As("observer.name")), ("success", Case("event.outcome", OUTCOME))],
        ..NONE
    },
    Log {
        path: "reporter",
        dataset: "reporter",
        needs: &[&["level", "message", "location"]],
        columns: "ts:t level:s message:s location:s",
        rules: &[("level", As("log.level")), ("message", As("message"))],
        ..NONE
    },
    Log {
        path: "broker",
        dataset: "broker",
        needs: &[&["ty", "ev", "peer.address"]],
        columns: "ts:t ty:s ev:s peer.address:s peer.bound_port:p message:s",
        rules: &[("ev", As("event.action")), ("message", As("message"))],
        ..NONE
    },
    Log {
        path: "cluster",
        dataset: "cluster",
        needs: &[&["node", "message", "ts"]],
        columns: "ts:t node:s message:s",
        rules: &[("node", As("observer.name")), ("message", As("message"))],
        ..NONE
    },
    Log {
        path: "login",
        dataset: "login",
        kind: "authentication",
        transport: "tcp",
        needs: &[&["uid", "user", "client_user", "confused"]],
        columns: connection!("version:s user:s client_user:s password:s success:b confused:b"),
        rules: &[("user", Account("user")), ("success", Case("event.outcome", OUTCOME))],
        ..NONE
    },
    // Corelight's: what Suricata saw on the same sensor.
    Log {
        path: "suricata_corelight",
        dataset: "suricata_corelight",
        kind: "intrusion_detection",
        needs: &[&["suri_id", "alert.signature"]],
        columns: "",
        rules: &[
            ("alert.signature", As("rule.name")),
            ("alert.signature_id", As("rule.id")),
            ("alert.rev", As("rule.version")),
            ("alert.category", As("rule.category")),
            ("alert.severity", Number("event.severity")),
            ("alert.action", As("event.action")),
            ("service", Lower("network.protocol")),
        ],
        ..NONE
    },
    Log { path: OTHER, dataset: "other", needs: &[&["_path", "uid", "id.orig_h", "id.resp_h"]], ..NONE },
];
