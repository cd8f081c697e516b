//! The lines that the devices write, after their vendors' documentation. Devices stamp Japan Standard Time, mostly without
//! saying so.

use std::fmt::Write;
use std::net::Ipv4Addr;

use event::Time;

const JST_NS: i64 = 9 * 3600 * 1_000_000_000;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End(pub(crate) Ipv4Addr, pub(crate) u16);

/// `Apr  1 09:00:00` (RFC 3164 §4.1.2).
fn stamp_3164(time: Time) -> String {
    let (_, month, day, hour, minute, second, _) = time.plus_ns(JST_NS).civil();
    format!("{} {day:2} {hour:02}:{minute:02}:{second:02}", MONTHS[month as usize - 1])
}

/// `2026-04-01T09:00:00.123456+09:00` (RFC 5424 §6.2.3).
fn stamp_5424(time: Time) -> String {
    let (year, month, day, hour, minute, second, ns) = time.plus_ns(JST_NS).civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}+09:00", ns / 1000)
}

/// `01/Apr/2026:09:00:00 +0900`, as web servers write it.
fn stamp_clf(time: Time) -> String {
    let (year, month, day, hour, minute, second, _) = time.plus_ns(JST_NS).civil();
    format!("{day:02}/{}/{year:04}:{hour:02}:{minute:02}:{second:02} +0900", MONTHS[month as usize - 1])
}

/// An RFC 3164 message.
pub(crate) fn syslog(priority: u8, time: Time, host: &str, tag: &str, message: &str) -> String {
    format!("<{priority}>{} {host} {tag}: {message}", stamp_3164(time))
}

/// An RFC 5424 message without structured data.
pub(crate) fn syslog_5424(priority: u8, time: Time, host: &str, app: &str, message: &str) -> String {
    format!("<{priority}>1 {} {host} {app} - - - {message}", stamp_5424(time))
}

fn fortigate_head(time: Time, level: &str, priority: u8, logid: &str, kind: &str, subtype: &str) -> String {
    let (year, month, day, hour, minute, second, _) = time.plus_ns(JST_NS).civil();
    format!(
        "<{priority}>date={year:04}-{month:02}-{day:02} time={hour:02}:{minute:02}:{second:02} devname=\"fw-core\" \
         devid=\"FGT60FTK00000001\" eventtime={} tz=\"+0900\" logid=\"{logid}\" type=\"{kind}\" subtype=\"{subtype}\" \
         level=\"{level}\" vd=\"root\"",
        time.unix_ns()
    )
}

/// What a firewall saw of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) id: u32,
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) protocol: u8,
    pub(crate) seconds: u32,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// FortiOS traffic log, subtype forward.
pub(crate) fn fortigate_traffic(time: Time, s: &Session, action: &str, service: &str) -> String {
    let level = if action == "deny" { "warning" } else { "notice" };
    let mut line = fortigate_head(time, level, if action == "deny" { 188 } else { 189 }, "0000000013", "traffic", "forward");
    let (packets_out, packets_in) = (s.sent / 900 + 1, s.received / 1200 + u64::from(s.received > 0));
    write!(
        line,
        " srcip={} srcport={} srcintf=\"port3\" srcintfrole=\"lan\" dstip={} dstport={} dstintf=\"port1\" dstintfrole=\"wan\" \
         sessionid={} proto={} action=\"{action}\" policyid={} policytype=\"policy\" service=\"{service}\" trandisp=\"noop\" \
         duration={} sentbyte={} rcvdbyte={} sentpkt={packets_out} rcvdpkt={packets_in} appcat=\"unscanned\"",
        s.from.0,
        s.from.1,
        s.to.0,
        s.to.1,
        s.id,
        s.protocol,
        if action == "deny" { 0 } else { 12 },
        s.seconds,
        s.sent,
        s.received
    )
    .expect("writing to a String does not fail");
    line
}

/// FortiOS event log, subtype vpn: an SSL-VPN tunnel.
pub(crate) fn fortigate_vpn(time: Time, user: &str, remote: Ipv4Addr, action: &str, tunnel: Ipv4Addr) -> String {
    let mut line = fortigate_head(time, "information", 190, "0101039947", "event", "vpn");
    write!(
        line,
        " logdesc=\"SSL VPN {action}\" action=\"{action}\" tunneltype=\"ssl-tunnel\" tunnelid=1234 remip={remote} tunnelip={tunnel} \
         user=\"{user}\" group=\"telework\" dst_host=\"N/A\" reason=\"N/A\" msg=\"SSL tunnel established\""
    )
    .expect("writing to a String does not fail");
    line
}

/// Cisco ASA: 302014 (teardown of an allowed connection) at its end.
pub(crate) fn asa_teardown(time: Time, s: &Session, from: &str, to: &str) -> String {
    let (code, word) = if s.protocol == 17 { (302_016, "UDP") } else { (302_014, "TCP") };
    let fins = if s.protocol == 17 { "" } else { " TCP FINs" };
    asa(
        time,
        6,
        code,
        &format!(
            "Teardown {word} connection {} for {from}:{}/{} to {to}:{}/{} duration 0:{:02}:{:02} bytes {}{fins}",
            s.id,
            s.from.0,
            s.from.1,
            s.to.0,
            s.to.1,
            s.seconds / 60,
            s.seconds % 60,
            s.sent + s.received
        ),
    )
}

/// Cisco ASA: 106023 (denied by an access list).
pub(crate) fn asa_deny(time: Time, protocol: &str, from: End, to: End) -> String {
    let text = format!(
        "Deny {protocol} src outside:{}/{} dst dmz:{}/{} by access-group \"outside_in\" [0x0, 0x0]",
        from.0, from.1, to.0, to.1
    );
    asa(time, 4, 106_023, &text)
}

fn asa(time: Time, severity: u8, code: u32, text: &str) -> String {
    let (year, month, day, hour, minute, second, _) = time.plus_ns(JST_NS).civil();
    let month = MONTHS[month as usize - 1];
    let priority = 160 + severity;
    format!("<{priority}>{month} {day:02} {year} {hour:02}:{minute:02}:{second:02} fw-edge : %ASA-{severity}-{code}: {text}")
}

/// A Linux kernel netfilter log line with the given prefix.
pub(crate) fn netfilter(time: Time, host: &str, prefix: &str, from: End, to: End, id: u32) -> String {
    let uptime = time.unix_ns() / 1000 % 9_000_000_000_000;
    let text = format!(
        "[{:6}.{:06}] {prefix}: IN=eth1 OUT=eth0 MAC=52:54:00:0a:02:01:52:54:00:0a:02:fe:08:00 SRC={} DST={} LEN=60 TOS=0x00 \
         PREC=0x00 TTL=63 ID={} DF PROTO=TCP SPT={} DPT={} WINDOW=64240 RES=0x00 SYN URGP=0",
        uptime / 1_000_000,
        uptime % 1_000_000,
        from.0,
        to.0,
        id % 65_536,
        from.1,
        to.1
    );
    syslog(4, time, host, "kernel", &text)
}

/// What a web server or a proxy saw of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) client: Ipv4Addr,
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) agent: &'a str,
}

/// Squid's native access log.
pub(crate) fn squid(time: Time, r: &Request<'_>, elapsed_ms: u32, peer: Ipv4Addr) -> String {
    let tag = if r.method == "CONNECT" { "TCP_TUNNEL" } else { "TCP_MISS" };
    let content = if r.method == "CONNECT" { "-" } else { "text/html" };
    let text = format!(
        "{}.{:03} {elapsed_ms:6} {} {tag}/{} {} {} {} - HIER_DIRECT/{peer} {content}",
        time.unix_s(),
        time.unix_ms().rem_euclid(1000),
        r.client,
        r.status,
        r.bytes,
        r.method,
        r.url
    );
    syslog(134, time, "proxy1", "squid[1711]", &text)
}

/// The combined log format of Apache and nginx.
pub(crate) fn combined(time: Time, r: &Request<'_>, user: &str) -> String {
    format!(
        "{} - {user} [{}] \"{} {} HTTP/1.1\" {} {} \"-\" \"{}\"",
        r.client,
        stamp_clf(time),
        r.method,
        r.url,
        r.status,
        r.bytes,
        r.agent
    )
}

/// BIND 9's query log.
pub(crate) fn bind_query(time: Time, client: End, name: &str, kind: &str) -> String {
    let text = format!("client @0x7f2c1c0a5b40 {}#{} ({name}): query: {name} IN {kind} + (172.20.1.53)", client.0, client.1);
    syslog(30, time, "dns1", "named[901]", &text)
}

/// A Suricata EVE alert (JSON), sent by syslog.
pub(crate) fn eve_alert(time: Time, from: End, to: End, signature: (u32, &str, &str, u8), flow: u32) -> String {
    let (year, month, day, hour, minute, second, ns) = time.plus_ns(JST_NS).civil();
    let (id, name, category, severity) = signature;
    let text = format!(
        "{{\"timestamp\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}+0900\",\"flow_id\":{flow},\
         \"in_iface\":\"eth1\",\"event_type\":\"alert\",\"src_ip\":\"{}\",\"src_port\":{},\"dest_ip\":\"{}\",\"dest_port\":{},\
         \"proto\":\"TCP\",\"alert\":{{\"action\":\"allowed\",\"gid\":1,\"signature_id\":{id},\"rev\":2,\"signature\":\"{name}\",\
         \"category\":\"{category}\",\"severity\":{severity}}}}}",
        ns / 1000,
        from.0,
        from.1,
        to.0,
        to.1
    );
    syslog(133, time, "ids1", "suricata[77]", &text)
}
