//! Events of a municipality's devices, made by number: the same number gives the same event, whoever asks.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use event::{Batch, BatchBuilder, Content, FieldId, FormatId, FrameHead, LogRange, Position, TenantId, Time, Transport};

/// The first event: 1 April 2026, 00:00 UTC.
pub(crate) const START_NS: i64 = 1_775_001_600_000_000_000;
/// From one event to the next: two million are 24 hours.
const STEP_NS: i64 = 43_200_000;

/// SplitMix64: small, seeded, the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// Small numbers often, large ones seldom.
    fn skewed(&mut self, sides: u64) -> u64 {
        let (a, b) = (self.roll(sides), self.roll(sides));
        a * b / sides
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len() as u64) as usize]
    }
}

/// An event before it is in a batch, for every engine the same.
#[derive(Default)]
pub(crate) struct Event {
    pub(crate) time: i64,
    pub(crate) raw: String,
    pub(crate) format: &'static str,
    pub(crate) host: String,
    pub(crate) source: Option<Ipv4Addr>,
    pub(crate) destination: Option<Ipv4Addr>,
    pub(crate) ports: Option<(u16, u16)>,
    pub(crate) user: Option<String>,
    pub(crate) action: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) bytes: Option<i64>,
    pub(crate) url: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) status: Option<i64>,
    pub(crate) message: Option<(usize, usize)>,
}

const WORDS: &[&str] = &["kanri", "zeimu", "juumin", "fukushi", "kensetsu", "kyouiku", "bousai", "suidou", "kikaku", "soumu"];
const SITES: &[&str] = &["www", "mail", "cdn", "api", "static", "img", "portal", "files"];
const HOSTS: &[&str] = &["example.jp", "example.com", "pref.example.jp", "city.example.jp", "vendor.example", "news.example"];

fn inside(dice: &mut Dice) -> Ipv4Addr {
    Ipv4Addr::new(10, dice.skewed(16) as u8, dice.roll(4) as u8, 1 + dice.skewed(80) as u8)
}

fn outside(dice: &mut Dice) -> Ipv4Addr {
    let n = dice.skewed(40_000) as u32;
    Ipv4Addr::from_bits(0xcb00_7100_u32.wrapping_add(n.wrapping_mul(2_654_435_761) >> 8))
}

fn user(dice: &mut Dice) -> String {
    format!("{}{:03}", WORDS[dice.roll(10) as usize], dice.skewed(400))
}

/// `2026-04-01` and `09:00:00` of a time.
fn date_and_clock(ns: i64) -> (String, String) {
    let text = Time::from_unix_s(ns / 1_000_000_000).to_string();
    (text[..10].to_owned(), text[11..19].to_owned())
}

/// Event number `n`.
pub(crate) fn event(n: u64, event: &mut Event) {
    let mut dice = Dice::new(n.wrapping_mul(0xd134_2543_de82_ef95));
    let time = START_NS + n as i64 * STEP_NS - dice.skewed(3000) as i64 * 1_000_000;
    let time = time / 1_000_000_000 * 1_000_000_000;
    let (date, clock) = date_and_clock(time);
    let mut raw = std::mem::take(&mut event.raw);
    raw.clear();
    *event = Event { time, ..Event::default() };
    let host = format!("{}-{:02}", dice.pick(&["fw", "sv", "pc", "gw"]), dice.roll(40));
    let kind = dice.roll(100);
    if kind < 45 {
        let (source, destination) = (inside(&mut dice), outside(&mut dice));
        let ports = (1024 + dice.roll(60_000) as u16, [443, 80, 53, 25, 22, 3389, 8080, 445][dice.skewed(8) as usize]);
        let (sent, received) = (dice.skewed(60_000), dice.skewed(900_000));
        let action = dice.pick(&["accept", "accept", "accept", "close", "close", "deny", "timeout"]);
        let policy = 1 + dice.skewed(120);
        let session = n * 7 + dice.roll(7);
        let service = match ports.1 {
            443 => "HTTPS",
            80 => "HTTP",
            53 => "DNS",
            _ => "tcp",
        };
        write!(
            raw,
            "<189>date={date} time={clock} devname=\"{host}\" devid=\"FG100FTK20{:06}\" logid=\"0000000013\" type=\"traffic\" \
             subtype=\"forward\" level=\"notice\" vd=\"root\" srcip={source} srcport={} srcintf=\"lan{}\" dstip={destination} \
             dstport={} dstintf=\"wan1\" policyid={policy} sessionid={session} proto=6 action=\"{action}\" service=\"{service}\" \
             duration={} sentbyte={sent} rcvdbyte={received} sentpkt={} rcvdpkt={}",
            dice.roll(12),
            ports.0,
            dice.roll(4),
            ports.1,
            dice.skewed(600),
            sent / 700 + 1,
            received / 900 + 1
        )
        .expect("a string takes it");
        *event = Event {
            time,
            format: "fortigate",
            host,
            source: Some(source),
            destination: Some(destination),
            ports: Some(ports),
            action,
            outcome: if action == "deny" { "failure" } else { "success" },
            bytes: Some((sent + received) as i64),
            ..Event::default()
        };
    } else if kind < 65 {
        let source = inside(&mut dice);
        let (domain, user) = (format!("{}.{}", dice.pick(SITES), dice.pick(HOSTS)), user(&mut dice));
        let url = format!(
            "http://{domain}/{}/{}{}.html?id={}",
            dice.pick(WORDS),
            dice.pick(WORDS),
            dice.skewed(900),
            dice.skewed(50_000)
        );
        let bytes = dice.skewed(200_000) as i64;
        let status = [200, 200, 200, 304, 302, 404, 403, 500][dice.skewed(8) as usize];
        write!(
            raw,
            "<134>{clock} {host} squid[1{:03}]: {}.{:03} {:6} {source} TCP_MISS/{status} {bytes} GET {url} {user} \
             HIER_DIRECT/{} text/html",
            dice.roll(1000),
            time / 1_000_000_000,
            dice.roll(1000),
            dice.skewed(9000),
            outside(&mut dice)
        )
        .expect("a string takes it");
        *event = Event {
            time,
            format: "squid",
            host,
            source: Some(source),
            user: Some(user),
            action: "GET",
            outcome: if status < 400 { "success" } else { "failure" },
            bytes: Some(bytes),
            url: Some(url),
            domain: Some(domain),
            status: Some(status),
            ..Event::default()
        };
    } else if kind < 80 {
        let (source, user) = (if dice.roll(4) == 0 { outside(&mut dice) } else { inside(&mut dice) }, user(&mut dice));
        let failed = dice.roll(3) > 0;
        write!(raw, "<86>Apr {:>2} {clock} {host} sshd[{}]: ", date[8..].trim_start_matches('0'), 1000 + dice.roll(60_000))
            .expect("a string takes it");
        let start = raw.len();
        let what = if failed { "Failed password for invalid user" } else { "Accepted password for" };
        write!(
            raw,
            "{what} {user} from {source} port {} ssh2: RSA SHA256:{:016x}{:016x}",
            1024 + dice.roll(60_000),
            dice.roll(u64::MAX),
            dice.roll(4096)
        )
        .expect("a string takes it");
        *event = Event {
            time,
            format: "sshd",
            host,
            source: Some(source),
            user: Some(user),
            action: "ssh_login",
            outcome: if failed { "failure" } else { "success" },
            message: Some((start, raw.len())),
            ..Event::default()
        };
    } else if kind < 90 {
        let source = inside(&mut dice);
        let domain = format!("{}{}.{}", dice.pick(SITES), dice.skewed(300), dice.pick(HOSTS));
        write!(
            raw,
            "<30>{clock} {host} named[812]: client @0x7f{:010x} {source}#{} ({domain}): query: {domain} IN {} +E(0)K (10.0.0.53)",
            dice.roll(1 << 40),
            1024 + dice.roll(60_000),
            dice.pick(&["A", "A", "AAAA", "PTR", "TXT"])
        )
        .expect("a string takes it");
        *event = Event {
            time,
            format: "named",
            host,
            source: Some(source),
            action: "query",
            outcome: "success",
            domain: Some(domain),
            ..Event::default()
        };
    } else {
        let source = outside(&mut dice);
        let url = format!(
            "/{}/{}{}.php?q={}&住民={}",
            dice.pick(WORDS),
            dice.pick(WORDS),
            dice.skewed(90),
            dice.skewed(9000),
            dice.roll(9)
        );
        let (status, bytes) = ([200, 200, 301, 404, 403, 500][dice.skewed(6) as usize], dice.skewed(90_000) as i64);
        write!(
            raw,
            "<142>{clock} {host} httpd: {source} - - [{}/Apr/2026:{clock} +0000] \"GET {url} HTTP/1.1\" {status} {bytes} \
             \"https://www.city.example.jp/\" \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/12{}.0 Safari/537.36\"",
            &date[8..],
            dice.roll(10)
        )
        .expect("a string takes it");
        *event = Event {
            time,
            format: "httpd",
            host,
            source: Some(source),
            action: "GET",
            outcome: if status < 400 { "success" } else { "failure" },
            bytes: Some(bytes),
            url: Some(url),
            status: Some(status),
            ..Event::default()
        };
    }
    event.raw = raw;
}

/// When event number `n` was received: in whole microseconds, as the machine's clock tells it.
pub(crate) fn received(n: u64) -> Time {
    let ns = Dice::new(n ^ 0x5bd1_e995).roll(STEP_NS as u64);
    Time::from_unix_ns((START_NS + n as i64 * STEP_NS + ns as i64) / 1000 * 1000)
}

/// Events `first..first + n` as the pipeline hands them over.
pub(crate) fn batch(first: u64, n: u64) -> Batch {
    let mut builder = BatchBuilder::default();
    let mut it = Event::default();
    for number in first..first + n {
        event(number, &mut it);
        let head = FrameHead {
            position: Position { partition: 0, offset: number + 1 },
            received: received(number),
            tenant: TenantId(0),
            source: Some("192.0.2.1:514".parse().expect("an address")),
            origin: None,
            transport: Transport::Udp,
            content: Content::Text,
            truncated: false,
            listener: 0,
        };
        let mut row = builder.row(&head, 0, &it.raw);
        row.time(Time::from_unix_ns(it.time));
        row.format(FormatId::known(it.format));
        row.text(FieldId::HOST_NAME, &it.host);
        row.text(FieldId::EVENT_ACTION, it.action);
        row.text(FieldId::EVENT_OUTCOME, it.outcome);
        if let Some(ip) = it.source {
            row.ip(FieldId::SOURCE_IP, IpAddr::V4(ip));
        }
        if let Some(ip) = it.destination {
            row.ip(FieldId::DESTINATION_IP, IpAddr::V4(ip));
            row.text(FieldId::NETWORK_TRANSPORT, "tcp");
            row.text(FieldId::OBSERVER_PRODUCT, "fortigate");
            row.text(FieldId::OBSERVER_VENDOR, "fortinet");
            row.text(FieldId::EVENT_CATEGORY, "network");
        }
        if let Some((source, destination)) = it.ports {
            row.int(FieldId::SOURCE_PORT, source.into());
            row.int(FieldId::DESTINATION_PORT, destination.into());
        }
        if let Some(user) = &it.user {
            row.text(FieldId::USER_NAME, user);
        }
        if let Some(bytes) = it.bytes {
            row.int(FieldId::NETWORK_BYTES, bytes);
        }
        if let Some(url) = &it.url {
            row.text(FieldId::URL_ORIGINAL, url);
        }
        if let Some(domain) = &it.domain {
            row.text(FieldId::URL_DOMAIN, domain);
        }
        if let Some(status) = it.status {
            row.int(FieldId::HTTP_RESPONSE_STATUS_CODE, status);
        }
        if let Some((start, end)) = it.message {
            let raw: &str = row.raw();
            row.text(FieldId::MESSAGE, &raw[start..end]);
        }
    }
    builder.finish(LogRange { partition: 0, first: first + 1, last: first + n }, Time::from_unix_ns(START_NS))
}
