//! Suricata's EVE records (Suricata user guide, "EVE JSON Format"): every event type. Each key is kept as `suricata.eve.*` beside its ECS
//! name.

use event::{FieldId, LogSource, LogSourceId, RowBuilder};

use crate::decode::record::table::{Format, Table, To};
use crate::decode::record::{Key, Keys, Record};
use crate::decode::text::Context;

const EVE: Format = Format {
    name: "suricata",
    source: LogSource { product: Some("suricata"), category: None, service: None },
    needs: &[
        &["event_type", "timestamp", "flow_id"],
        &["event_type", "timestamp", "src_ip"],
        &["event_type", "timestamp", "stats.uptime"],
        &["event_type", "timestamp", "in_iface"],
        &["event_type=engine", "timestamp"],
        &["event_type=arp", "timestamp"],
    ],
    native: "suricata.eve.",
    constants: &[
        ("event.module", "suricata"),
        ("event.dataset", "suricata.eve"),
        ("observer.vendor", "OISF"),
        ("observer.product", "Suricata"),
        ("observer.type", "ids"),
        ("event.category", "network"),
    ],
    rules: &[(
        "",
        &[
            ("timestamp", To::Time),
            ("alert.action", To::As("event.action")),
            ("event_type", To::As("event.action")),
            ("host", To::As("observer.hostname")),
            ("in_iface", To::As("observer.ingress.interface.name")),
            ("src_ip", To::Address("source.ip", "source.address")),
            ("src_port", To::Number("source.port")),
            ("dest_ip", To::Address("destination.ip", "destination.address")),
            ("dest_port", To::Number("destination.port")),
            ("arp.src_ip", To::Address("source.ip", "source.address")),
            ("arp.dest_ip", To::Address("destination.ip", "destination.address")),
            ("ether.src_mac", To::As("source.mac")),
            ("ether.dest_mac", To::As("destination.mac")),
            ("arp.src_mac", To::As("source.mac")),
            ("arp.dest_mac", To::As("destination.mac")),
            ("proto", To::Lower("network.transport")),
            ("app_proto", To::Lower("network.protocol")),
            ("community_id", To::As("network.community_id")),
            ("vlan", To::As("network.vlan.id")),
            ("icmp_type", To::Number("icmp.type")),
            ("icmp_code", To::Number("icmp.code")),
            ("flow_id", To::As("event.id")),
            ("alert.signature", To::As("rule.name")),
            ("alert.signature_id", To::As("rule.id")),
            ("alert.rev", To::As("rule.version")),
            ("alert.category", To::As("rule.category")),
            ("alert.severity", To::Number("event.severity")),
            ("alert.action", To::Case("event.type", &[("allowed", "allowed"), ("blocked", "denied")])),
            ("alert.metadata.mitre_technique_id", To::As("threat.technique.id")),
            ("alert.metadata.mitre_tactic_id", To::As("threat.tactic.id")),
            ("http.hostname", To::As("url.domain")),
            ("http.hostname", To::As("destination.domain")),
            ("http.url", To::Url),
            ("http.http_port", To::Number("url.port")),
            ("http.http_user_agent", To::As("user_agent.original")),
            ("http.http_method", To::As("http.request.method")),
            ("http.http_refer", To::As("http.request.referrer")),
            ("http.protocol", To::Without("http.version", "HTTP/")),
            ("http.status", To::Number("http.response.status_code")),
            ("http.length", To::Number("http.response.body.bytes")),
            // Sensors built on Suricata.
            ("http.response_length", To::Number("http.response.body.bytes")),
            ("http.request_length", To::Number("http.request.body.bytes")),
            ("http.http_content_type", To::As("http.response.mime_type")),
            ("dns.id", To::As("dns.id")),
            ("dns.type", To::As("dns.type")),
            ("dns.rcode", To::As("dns.response_code")),
            ("dns.rrname", To::As("dns.question.name")),
            ("dns.rrtype", To::As("dns.question.type")),
            ("dns.query.rrname", To::As("dns.question.name")),
            ("dns.query.rrtype", To::As("dns.question.type")),
            ("dns.query.id", To::As("dns.id")),
            ("dns.queries.rrname", To::As("dns.question.name")),
            ("dns.queries.rrtype", To::As("dns.question.type")),
            ("dns.answer.rrname", To::As("dns.question.name")),
            ("dns.answers.rrname", To::As("dns.answers.name")),
            ("dns.answers.rrtype", To::As("dns.answers.type")),
            ("dns.answers.ttl", To::As("dns.answers.ttl")),
            ("dns.answers.rdata", To::As("dns.answers.data")),
            ("dns.rdata", To::As("dns.answers.data")),
            ("dns.ttl", To::As("dns.answers.ttl")),
            ("tls.sni", To::As("tls.client.server_name")),
            ("tls.sni", To::As("destination.domain")),
            ("tls.subject", To::As("tls.server.subject")),
            ("tls.issuerdn", To::As("tls.server.issuer")),
            ("tls.fingerprint", To::As("tls.server.hash.sha1")),
            ("tls.ja3.hash", To::As("tls.client.ja3")),
            ("tls.ja3s.hash", To::As("tls.server.ja3s")),
            ("tls.notbefore", To::Instant("tls.server.not_before")),
            ("tls.notafter", To::Instant("tls.server.not_after")),
            ("tls.session_resumed", To::As("tls.resumed")),
            ("tls.version", To::Without("tls.version", "TLS ")),
            ("ssh.client.software_version", To::As("user_agent.original")),
            ("smtp.mail_from", To::Mail("email.from.address")),
            ("smtp.rcpt_to", To::Mail("email.to.address")),
            ("email.from", To::Mail("email.from.address")),
            ("email.to", To::Mail("email.to.address")),
            ("email.cc", To::Mail("email.cc.address")),
            ("email.subject", To::As("email.subject")),
            ("email.message_id", To::As("email.message_id")),
            ("email.attachment", To::As("email.attachments.file.name")),
            ("smtp.helo", To::As("source.domain")),
            ("ftp.command", To::As("suricata.ftp_command")),
            ("rdp.cookie", To::As("user.name")),
            ("krb5.cname", To::As("user.name")),
            ("krb5.realm", To::As("user.domain")),
            ("smb.ntlmssp.user", To::As("user.name")),
            ("smb.ntlmssp.domain", To::As("user.domain")),
            ("smb.filename", To::Path("file")),
            ("tftp.file", To::Path("file")),
            ("sip.uri", To::As("url.full")),
            ("quic.sni", To::As("tls.client.server_name")),
            ("quic.sni", To::As("destination.domain")),
            ("nfs.filename", To::Path("file")),
            ("ftp_data.filename", To::Path("file")),
            ("dhcp.assigned_ip", To::Address("client.ip", "client.address")),
            ("dhcp.client_mac", To::As("client.mac")),
            ("dhcp.hostname", To::As("client.domain")),
            ("fileinfo.filename", To::Path("file")),
            ("fileinfo.size", To::Number("file.size")),
            ("fileinfo.md5", To::As("file.hash.md5")),
            ("fileinfo.sha1", To::As("file.hash.sha1")),
            ("fileinfo.sha256", To::As("file.hash.sha256")),
            ("files.filename", To::Path("file")),
            ("files.size", To::Number("file.size")),
            ("files.sha256", To::As("file.hash.sha256")),
            ("fileinfo.magic", To::As("file.mime_type")),
            ("flow.bytes_toserver", To::Number("source.bytes")),
            ("flow.bytes_toclient", To::Number("destination.bytes")),
            ("flow.pkts_toserver", To::Number("source.packets")),
            ("flow.pkts_toclient", To::Number("destination.packets")),
            ("flow.bytes_toserver", To::Sum("network.bytes")),
            ("flow.bytes_toclient", To::Sum("network.bytes")),
            ("flow.pkts_toserver", To::Sum("network.packets")),
            ("flow.pkts_toclient", To::Sum("network.packets")),
            ("netflow.bytes", To::Number("network.bytes")),
            ("netflow.pkts", To::Number("network.packets")),
            ("flow.start", To::Instant("event.start")),
            ("flow.end", To::Instant("event.end")),
            ("netflow.start", To::Instant("event.start")),
            ("netflow.end", To::Instant("event.end")),
            ("flow.age", To::Duration("event.duration", 1e9)),
            ("flow.reason", To::As("flow.end_reason")),
            ("anomaly.event", To::As("rule.name")),
            ("anomaly.type", To::As("rule.category")),
            ("drop.reason", To::As("event.reason")),
            ("engine.message", To::As("message")),
        ],
    )],
};

/// Event types that are not the name of an application protocol.
const NO_PROTOCOL: &[&str] = &[
    "alert",
    "anomaly",
    "arp",
    "drop",
    "engine",
    "fileinfo",
    "files",
    "flow",
    "metadata",
    "netflow",
    "packetinfo",
    "payload",
    "pkthdr",
    "stats",
    "verdict",
];

pub(super) struct Eve {
    table: Table,
    event_type: Key,
    app_proto: Key,
    answers: [Key; 4],
    resolved: FieldId,
    /// Of questions and answers of DNS, as Sigma's rules about those have it.
    dns: LogSourceId,
}

impl Eve {
    pub(super) fn new(keys: &mut Keys) -> Eve {
        Eve {
            table: Table::new(&EVE, keys),
            event_type: keys.declare("event_type"),
            app_proto: keys.declare("app_proto"),
            answers: ["dns.answers.rdata", "dns.rdata", "dns.grouped.A", "dns.grouped.AAAA"].map(|name| keys.declare(name)),
            resolved: FieldId::known("dns.resolved_ip"),
            dns: LogSourceId::intern(LogSource { category: Some("dns"), ..EVE.source }),
        }
    }

    /// Writes the record if it is one of Suricata's.
    pub(super) fn read(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let view = record.view(text);
        if !self.table.fits(view) {
            return false;
        }
        self.table.write(record, text, context, row);
        let kind = view.text(self.event_type).unwrap_or("");
        row.text(FieldId::EVENT_KIND, if kind == "alert" { "alert" } else { "event" });
        match kind {
            "alert" => row.text(FieldId::EVENT_CATEGORY, "intrusion_detection"),
            "drop" => row.text(FieldId::EVENT_TYPE, "denied"),
            "dns" => row.log_source(self.dns),
            _ => {}
        }
        if !view.has(self.app_proto) && !NO_PROTOCOL.contains(&kind) {
            row.text(FieldId::NETWORK_PROTOCOL, kind);
        }
        // The same address may stand in the answers and in their summary.
        for key in self.answers {
            let mut any = false;
            for address in view.all(key).filter_map(|v| v.as_text().and_then(|text| text.parse().ok())) {
                row.ip(self.resolved, address);
                any = true;
            }
            if any {
                break;
            }
        }
        true
    }
}
