//! Who and where: the zones, the devices that send records, the names that people and hosts have.

use std::net::Ipv4Addr;

/// The zone file that is true of this municipality (model α of the three-layer model).
pub const POLICY: &str = include_str!("policy.yaml");

/// How a device sends its records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channel {
    /// Syslog, one message a UDP datagram.
    SyslogUdp,
    /// Syslog over TCP, octet counted (RFC 6587 §3.4.1).
    SyslogTcp,
    /// NetFlow or IPFIX over UDP.
    Flow,
}

/// A device that sends records.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Its host name.
    pub name: &'static str,
    /// The address from which it sends.
    pub address: Ipv4Addr,
    /// How it sends.
    pub channel: Channel,
}

const fn device(name: &'static str, address: [u8; 4], channel: Channel) -> Device {
    let [a, b, c, d] = address;
    Device { name, address: Ipv4Addr::new(a, b, c, d), channel }
}

pub(crate) const FW_CORE: usize = 0;
pub(crate) const FW_EDGE: usize = 1;
pub(crate) const FW_LGWAN: usize = 2;
pub(crate) const PROXY: usize = 3;
pub(crate) const DNS: usize = 4;
pub(crate) const MAIL: usize = 5;
pub(crate) const WWW: usize = 6;
pub(crate) const PORTAL: usize = 7;
pub(crate) const IDS: usize = 8;
pub(crate) const SERVERS: [usize; 4] = [9, 10, 11, 12];
pub(crate) const FLOW_EDGE: usize = 13;
pub(crate) const FLOW_CORE: usize = 14;
pub(crate) const FLOW_MYNUMBER: usize = 15;

/// Every device. [`crate::Record::device`] is an index into this table.
pub const DEVICES: &[Device] = &[
    device("fw-core", [10, 3, 250, 1], Channel::SyslogUdp), // FortiGate between the zones, also SSL-VPN
    device("fw-edge", [172, 20, 250, 1], Channel::SyslogUdp), // Cisco ASA at the Internet
    device("fw-lgwan", [10, 2, 250, 1], Channel::SyslogUdp), // Linux with nftables before the LGWAN zone
    device("proxy1", [172, 20, 1, 10], Channel::SyslogTcp), // Squid
    device("dns1", [172, 20, 1, 53], Channel::SyslogUdp),   // BIND
    device("mail1", [172, 20, 1, 25], Channel::SyslogTcp),  // Postfix
    device("www1", [172, 20, 2, 80], Channel::SyslogTcp),   // nginx, the public site
    device("portal1", [172, 20, 2, 81], Channel::SyslogTcp), // Apache, the application portal
    device("ids1", [172, 20, 250, 9], Channel::SyslogTcp),  // Suricata
    device("srv-file", [10, 3, 10, 11], Channel::SyslogTcp), // Linux servers
    device("srv-gw", [172, 20, 3, 22], Channel::SyslogTcp),
    device("srv-gis", [10, 3, 10, 13], Channel::SyslogTcp),
    device("srv-backup", [10, 3, 10, 14], Channel::SyslogTcp),
    device("rt-edge", [172, 20, 250, 2], Channel::Flow),   // NetFlow v9
    device("sw-core", [10, 3, 250, 2], Channel::Flow),     // IPFIX
    device("sw-mynumber", [10, 1, 250, 2], Channel::Flow), // NetFlow v5
];

pub(crate) const PROXY_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 20, 1, 10);
pub(crate) const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 20, 1, 53);
pub(crate) const MAIL_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 20, 1, 25);
pub(crate) const WWW_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 20, 2, 80);
pub(crate) const PORTAL_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 20, 2, 81);
pub(crate) const GATEWAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 20, 3, 22);
pub(crate) const SANITISER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 20);
/// Runs the browsers whose screens the sanitiser hands on.
pub(crate) const SCREEN_SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 3, 10, 20);

/// Terminals of the Internet zone: `n` counts from 0.
pub(crate) fn internet_terminal(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 3, 16 + (n / 240 % 160) as u8, 10 + (n % 240) as u8)
}

/// Terminals of the LGWAN zone.
pub(crate) fn lgwan_terminal(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 2, 16 + (n / 240 % 160) as u8, 10 + (n % 240) as u8)
}

/// Terminals of the My-Number zone.
pub(crate) fn mynumber_terminal(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 16 + (n / 240 % 160) as u8, 10 + (n % 240) as u8)
}

/// Hosts on the Internet, of the benchmark range (RFC 2544), which no one has.
pub(crate) fn outside(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(198, 18 + (n / 60_000 % 2) as u8, (n / 250 % 240) as u8, 1 + (n % 250) as u8)
}

pub(crate) const USERS: &[&str] = &[
    "sato.k",
    "suzuki.m",
    "takahashi.y",
    "tanaka.h",
    "ito.r",
    "watanabe.s",
    "yamamoto.n",
    "nakamura.t",
    "kobayashi.a",
    "kato.j",
    "yoshida.e",
    "yamada.o",
    "sasaki.c",
    "narita.f",
    "kudo.i",
    "kon.w",
    "miura.d",
    "saito.b",
    "abe.u",
    "fukushi.g",
];

pub(crate) const ADMINS: &[&str] = &["joho-admin", "joho-nw", "joho-gis"];

pub(crate) const SITES: &[&str] = &[
    "www.example.jp",
    "news.example.com",
    "map.example.net",
    "www.pref.example.jp",
    "cdn.example.com",
    "mail.example.org",
    "update.example.com",
    "bousai.example.jp",
    "weather.example.jp",
    "shop.example.net",
    "docs.example.org",
    "video.example.com",
    "search.example.com",
    "static.example.net",
    "api.example.com",
    "koho.example.jp",
];

pub(crate) const PATHS: &[&str] = &[
    "/",
    "/index.html",
    "/news/2026/",
    "/kurashi/gomi.html",
    "/kosodate/",
    "/img/logo.png",
    "/css/site.css",
    "/js/app.js",
    "/bousai/map.html",
    "/shinsei/form.pdf",
    "/api/v2/notices?area=north",
    "/search?q=%E7%A8%8E%E9%87%91",
    "/favicon.ico",
];

pub(crate) const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36 Edg/148.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.2 Mobile/15E148 Safari/604.1",
];
