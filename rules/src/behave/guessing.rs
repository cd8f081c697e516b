//! Passwords that are guessed: failed logins of one source or against one account, many accounts tried by one source (spraying), and,
//! where no log tells of logins, many short connections to a service that asks for one: from one source to one host, or to many, or to one
//! host from many. Web pages and mail boxes may ask for one too: there, many more must come from outside within minutes, and all be alike. Where
//! requests are told, by a sensor or by the web server itself, those count that try a login: what a page that asks for one gets, and what is
//! refused for want of it.
//!
//! Who sprays slowly (`what: spraying`) is told from a gateway or server behind which many people mistype by what becomes of the accounts: people
//! log in after all.

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::{Answer, What};
use super::ports::Ports;
use super::sketch::{Distinct, mix, mix_text};
use super::{Found, Parameters, View};
use crate::table::Table;

/// Services that ask for a password before anything else, by their usual ports and the names that sensors give them.
const SERVICES: [(&str, Ports); 15] = [
    ("ssh", Ports::new(&[22, 222, 2200, 2222, 8022, 10_022, 22_222])),
    ("rdp", Ports::new(&[3388, 3389, 3390, 13_389, 33_389])),
    ("telnet", Ports::new(&[23, 2323])),
    ("ftp", Ports::new(&[21, 2121])),
    ("vnc", Ports::new(&[5900, 5901])),
    ("smb", Ports::new(&[445])),
    ("mssql", Ports::new(&[1433])),
    ("mysql", Ports::new(&[3306])),
    ("postgresql", Ports::new(&[5432])),
    ("ldap", Ports::new(&[389])),
    ("winrm", WINRM),
    ("oracle", Ports::new(&[1521])),
    ("redis", Ports::new(&[6379])),
    ("mongodb", Ports::new(&[27_017])),
    ("rlogin", Ports::new(&[513])),
];
/// Windows' remote management.
const WINRM: Ports = Ports::new(&[5985, 5986]);
/// Those of them that programs use by themselves, all day: from inside their connections alone say little.
const USED_BY_PROGRAMS: [&str; 9] = ["smb", "mssql", "mysql", "postgresql", "ldap", "winrm", "oracle", "redis", "mongodb"];
/// Those at which people sit: who comes to one from everywhere for seconds, and always alike, guesses.
const USED_BY_PEOPLE: [&str; 5] = ["ssh", "rdp", "telnet", "vnc", "rlogin"];
/// Of many hosts that one source comes to, or many sources that come to one host, so many times the connections, and so many hosts.
const SPREAD_TIMES: u64 = 2;
const SPREAD_HOSTS_MIN: u64 = 8;
/// Between our own hosts each must get so many, all alike, of so many bytes at most from who comes: keys and a few passwords are no more.
const AGAIN_EACH: u64 = 4;
const LOGIN_BYTES_MAX: u64 = 4096;
/// From inside, so many connections must come within this: monitoring and jobs connect for ever, but every minute or so.
const INSIDE_NS: i64 = 300_000_000_000;
/// The same to a service that programs use.
const INSIDE_PROGRAM_NS: i64 = 60_000_000_000;
/// And so many times the connections: a tool guesses faster than programs ask.
const PROGRAM_TIMES: u64 = 3;
/// Ports of the web and of gateways, where pages ask for passwords, and those of mail boxes and of who hands in mail; so many times the
/// connections must come.
const WEB: Ports = Ports::new(&[80, 443, 4443, 8080, 8443, 10_443]);
const MAIL: Ports = Ports::new(&[110, 143, 465, 587, 993, 995]);
const WEB_TIMES: u64 = 5;
/// Those of mail boxes alone: mail is handed in by programs too, good and bad.
const MAIL_BOXES: Ports = Ports::new(&super::called::MAIL_BOX_PORTS);
/// Where mail is handed in nobody looks every minute whether there is some: so many times the connections are enough.
const HANDED_IN: Ports = Ports::new(&[465, 587]);
const HANDED_IN_TIMES: u64 = 3;
/// Of a page that takes logins alone so many times the tries are needed.
const PAGE_TIMES: u64 = 2;
/// And what they send may differ so much: the standard deviation over the mean.
const ALIKE_MAX: f64 = 0.15;
/// A server asks for a login (RFC 9110 §15.5.2).
const UNAUTHORIZED: u16 = 401;
/// Words in the path of a page that takes a login, and in a query that has a password. Lower case.
const LOGIN_PAGES: [&str; 6] = ["login", "logon", "signin", "sign-in", "j_security_check", "xmlrpc.php"];
const PASSWORDS: [&str; 3] = ["password=", "passwd=", "pwd="];
/// Who guesses hardly asks for anything else: of the tries at most one in so many is beside them of other requests. A browser that is logged in by
/// itself is refused once or twice for each page.
const OTHER_ONE_IN: u64 = 10;
/// Of the accounts that a source tries slowly at most one in so many gets in.
const SUCCEEDED_ONE_IN: u64 = 4;
/// Whose tries come faster, by the mean, is found without hours of memory.
const SLOW_NS: i64 = 300_000_000_000;
/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;

type Set = Distinct<64, 10>;

#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
enum Key {
    /// Tenant, source, destination, port: connections.
    Connections(u32, u128, u128, u16),
    /// Tenant, source, port: connections to many hosts.
    Hosts(u32, u128, u16),
    /// Tenant, destination, port: connections from many sources.
    Target(u32, u128, u16),
    /// Tenant, source as [`network`]: failed logins.
    Source(u32, u128),
    /// Tenant, source as [`network`], host by its address or name: logins at web pages.
    Pages(u32, u128, u128),
    /// Tenant, account: failed logins from several sources.
    Account(u32, u64),
}

#[derive(Default, Deserialize, Serialize)]
struct Episode {
    begun: bool,
    start: i64,
    last: i64,
    failures: u64,
    /// Accounts tried by a source; sources that tried an account or a host.
    others: Set,
    hosts: Set,
    /// Accounts that got in from a source, of whoever sprays slowly.
    succeeded: Set,
    next: u64,
    evidence: Vec<EventId>,
    /// Requests for other pages.
    others_asked: u64,
    sent: u64,
    /// The sum of the squares of what was sent, in bytes.
    squares: f64,
}

impl Episode {
    /// Whether its connections sent nearly as much each.
    fn alike(&self) -> bool {
        let mean = self.sent as f64 / self.failures as f64;
        let variance = self.squares / self.failures as f64 - mean * mean;
        variance.max(0.0).sqrt() <= ALIKE_MAX * mean
    }
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Guessing {
    episodes: Table<Key, Episode>,
}

impl Guessing {
    pub(super) fn new(p: &Parameters) -> Guessing {
        Guessing { episodes: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.episodes.evicted(), self.episodes.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        match view.o.what {
            What::Login if p.what == "spraying" => self.spraying(view, p, found),
            What::Flow if !view.o.continued && p.what != "spraying" => self.connection(view, p, found),
            What::Login => self.login(view, p, found),
            What::Request if p.what != "spraying" => self.page(view, p, found),
            _ => {}
        }
    }

    fn episode(&mut self, key: Key, view: &View<'_>, p: &Parameters) -> &mut Episode {
        let o = view.o;
        self.episodes.expire(o.time.saturating_sub(p.gap));
        let episode = self.episodes.entry(key, o.time);
        if !episode.begun || o.time.saturating_sub(episode.last) > p.gap {
            *episode = Episode { begun: true, start: o.start, ..Episode::default() };
        }
        episode.last = o.time;
        if episode.evidence.len() < EVIDENCE_MAX {
            episode.evidence.push(o.event);
        }
        episode
    }

    /// Forgets an episode that began before `since`: the next try begins another one.
    fn forget_older(&mut self, key: &Key, since: i64) {
        if self.episodes.get(key).is_some_and(|episode| episode.start < since) {
            self.episodes.remove(key);
        }
    }

    fn connection(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.transport != 6 || o.answer != Answer::Yes || o.end - o.start > p.duration {
            return;
        }
        let by_port = || if WEB.contains(o.port) { Some("http") } else { MAIL.contains(o.port).then_some("mail") };
        // Mail servers have public addresses, which may be ours without anybody having said so.
        let named = if view.source_inside { None } else { by_port().filter(|name| view.destination_inside || *name == "mail") };
        let Some(service) = service(view.protocol(), o.port).or(named) else { return };
        if !p.services.is_empty() && !p.services.iter().any(|name| name == service) || view.expected(p) {
            return;
        }
        let (by_programs, web) = (USED_BY_PROGRAMS.contains(&service), matches!(service, "http" | "mail"));
        // Where many inside use it so, it is how the service is run.
        if view.source_inside && by_programs && view.service.is_some_and(|known| known.inside >= p.clients) {
            return;
        }
        let times = if web && HANDED_IN.contains(o.port) {
            HANDED_IN_TIMES
        } else if web {
            WEB_TIMES
        } else if view.source_inside && by_programs {
            PROGRAM_TIMES
        } else {
            1
        };
        let key = Key::Connections(o.tenant, o.source, o.destination, o.port);
        let longest = if by_programs { INSIDE_PROGRAM_NS } else { INSIDE_NS };
        if view.source_inside || web {
            self.forget_older(&key, o.time.saturating_sub(longest));
        }
        let told = |f: &mut Found, episode: &Episode| {
            f.start = episode.start;
            f.evidence.clone_from(&episode.evidence);
            f.explain("service", service);
            f.explain("connections", episode.failures);
            f.explain("bytes_sent_mean", episode.sent / episode.failures);
            f.seconds("span_s", o.time - episode.start);
        };
        let episode = self.count(key, view, p);
        // Programs ask for one thing and another; who guesses sends nearly the same each time.
        let must_be_alike = web || view.source_inside && by_programs;
        if episode.failures >= episode.next.max(p.connections * times) && (!must_be_alike || episode.alike()) {
            episode.next = episode.failures * 10;
            let mut f = Found::at(view, &["source.ip", "destination.ip", "destination.port"]);
            f.explain("kind", "connections to a service that asks for a password");
            told(&mut f, episode);
            found.push(f);
        }
        // What programs use they use everywhere.
        if web || view.source_inside && by_programs {
            return;
        }
        // Between our own hosts that is administration, unless each of them is come to again and again, for next to nothing.
        let inside = view.source_inside && view.destination_inside;
        let key = Key::Hosts(o.tenant, o.source, o.port);
        if inside {
            self.forget_older(&key, o.time.saturating_sub(INSIDE_NS));
        }
        let episode = self.count(key, view, p);
        let hosts = episode.hosts.count();
        let each =
            episode.failures >= hosts * AGAIN_EACH && episode.alike() && episode.sent <= episode.failures * LOGIN_BYTES_MAX;
        if episode.failures >= episode.next.max(p.connections * SPREAD_TIMES) && hosts >= SPREAD_HOSTS_MIN && (!inside || each) {
            episode.next = episode.failures * 10;
            let mut f = Found::at(view, &["source.ip", "destination.port"]);
            f.explain("kind", "connections to a service that asks for a password, of many hosts");
            f.explain("hosts", hosts);
            told(&mut f, episode);
            found.push(f);
        }
        if view.source_inside || !USED_BY_PEOPLE.contains(&service) {
            return;
        }
        let episode = self.count(Key::Target(o.tenant, o.destination, o.port), view, p);
        let sources = episode.others.count();
        let many = episode.failures >= episode.next.max(p.connections * SPREAD_TIMES) && sources >= p.sources;
        if many && episode.alike() {
            episode.next = episode.failures * 10;
            let mut f = Found::at(view, &["destination.ip", "destination.port"]);
            f.explain("kind", "connections to a service that asks for a password, from many sources");
            f.explain("sources", sources);
            told(&mut f, episode);
            found.push(f);
        }
    }

    /// A request that tries a login, as far as that is to be seen: many from one source, and hardly any others.
    fn page(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let ours = !view.source_inside || view.destination_inside || o.destination == 0;
        if !ours || !p.services.is_empty() && !p.services.iter().any(|name| name == "http") || view.expected(p) {
            return;
        }
        let url = o.url.of(view.text);
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let page = has_word(path, &LOGIN_PAGES);
        let sent = page && o.detail.of(view.text) == "POST";
        let tries = o.status == UNAUTHORIZED || sent || has_word(query, &PASSWORDS);
        let host = if o.destination == 0 { u128::from(mix_text(view.name())) } else { o.destination };
        let key = Key::Pages(o.tenant, network(o.source), host);
        if !tries {
            if let Some(episode) = self.episodes.get_mut(&key).filter(|_| !page) {
                episode.others_asked += 1;
            }
            return;
        }
        self.forget_older(&key, o.time.saturating_sub(INSIDE_NS));
        let episode = self.episode(key, view, p);
        episode.failures += 1;
        episode.sent += u64::from(sent);
        // Browsers are refused again and again by themselves (RFC 9110 §11.6.1); a login page is sent to by who logs in.
        let least = p.connections * if episode.sent == episode.failures { PAGE_TIMES } else { WEB_TIMES };
        if episode.failures < episode.next.max(least) || episode.others_asked * OTHER_ONE_IN > episode.failures {
            return;
        }
        episode.next = episode.failures * 10;
        let mut f = Found::at(view, &["source.ip", "destination.ip", "destination.domain"]);
        // It may have a password.
        f.fields.remove("url.original");
        f.start = episode.start;
        f.evidence.clone_from(&episode.evidence);
        f.explain("kind", if view.protocol() == "sip" { "registrations of telephones" } else { "logins at web pages" });
        f.explain("tries", episode.failures);
        f.explain("page", path);
        f.explain("other_requests", episode.others_asked);
        f.seconds("span_s", episode.last - episode.start);
        found.push(f);
    }

    /// Counts a connection in an episode.
    fn count(&mut self, key: Key, view: &View<'_>, p: &Parameters) -> &mut Episode {
        let o = view.o;
        let episode = self.episode(key, view, p);
        episode.failures += 1;
        episode.sent += o.sent;
        episode.squares += (o.sent as f64).powi(2);
        match key {
            Key::Hosts(..) => episode.hosts.insert(mix(o.destination)),
            Key::Target(..) => episode.others.insert(mix(network(o.source))),
            _ => false,
        };
        episode
    }

    fn login(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let user = o.detail.of(view.text);
        if o.answer == Answer::Yes {
            self.success(view, user, p, found);
            return;
        }
        if o.answer != Answer::Refused || view.expected(p) {
            return;
        }
        let (account, host) = (mix_text(user), mix(o.destination) ^ mix_text(view.name()));
        let (failures, users, sources) = (p.failures, p.users, p.sources);
        let episode = self.episode(Key::Source(o.tenant, network(o.source)), view, p);
        episode.failures += 1;
        episode.others.insert(account);
        episode.hosts.insert(host);
        let spraying = episode.others.count() >= users;
        if episode.failures >= episode.next.max(failures) || spraying && episode.next == 0 {
            episode.next = episode.failures * 10;
            let mut f = Found::at(view, &["source.ip"]);
            describe(&mut f, episode, if spraying { "many accounts from one source" } else { "many failures from one source" });
            f.explain("accounts", episode.others.count());
            found.push(f);
        }
        if user.is_empty() {
            return;
        }
        let source = mix(network(o.source));
        let episode = self.episode(Key::Account(o.tenant, account), view, p);
        episode.failures += 1;
        episode.others.insert(source);
        episode.hosts.insert(host);
        if episode.others.count() >= episode.next.max(sources) {
            episode.next = episode.others.count() * 10;
            let mut f = Found::at(view, &["user.name"]);
            describe(&mut f, episode, "one account from many sources");
            f.explain("sources", episode.others.count());
            found.push(f);
        }
    }

    /// Accounts that one source tries over hours, of which hardly any gets in.
    fn spraying(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let user = o.detail.of(view.text);
        if user.is_empty() || view.expected(p) {
            return;
        }
        let key = Key::Source(o.tenant, network(o.source));
        if o.answer == Answer::Yes {
            // Who has not failed yet may be anybody.
            if let Some(episode) = self.episodes.get_mut(&key) {
                episode.succeeded.insert(mix_text(user));
            }
            return;
        }
        if o.answer != Answer::Refused {
            return;
        }
        let (account, host, users) = (mix_text(user), mix(o.destination) ^ mix_text(view.name()), p.users);
        let episode = self.episode(key, view, p);
        episode.failures += 1;
        episode.others.insert(account);
        episode.hosts.insert(host);
        let (tried, succeeded) = (episode.others.count(), episode.succeeded.count());
        let slow = episode.last - episode.start >= SLOW_NS.saturating_mul(episode.failures as i64 - 1);
        if tried < episode.next.max(users) || succeeded * SUCCEEDED_ONE_IN > tried || !slow {
            return;
        }
        episode.next = tried * 10;
        let mut f = Found::at(view, &["source.ip"]);
        describe(&mut f, episode, "many accounts from one source, slowly");
        f.explain("accounts", tried);
        f.explain("accounts_that_got_in", succeeded);
        found.push(f);
    }

    /// A login that succeeds after an alert for its source: the guess may have been right.
    fn success(&mut self, view: &View<'_>, user: &str, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let key = Key::Source(o.tenant, network(o.source));
        let gap = p.gap;
        let Some(episode) = self.episodes.get_mut(&key).filter(|e| e.next > 0 && o.time.saturating_sub(e.last) <= gap) else {
            return;
        };
        let mut f = Found::at(view, &["source.ip"]);
        describe(&mut f, episode, "a login succeeded after many failures");
        f.explain("account", user);
        f.evidence.push(o.event);
        found.push(f);
        self.episodes.remove(&key);
    }
}

/// An address, or of IPv6 the network of 64 bits, of which one customer has all (RFC 6177).
fn network(address: u128) -> u128 {
    if address >> 32 == 0xffff { address } else { address >> 64 << 64 }
}

/// Whether a text has one of these words, in letters of either case.
fn has_word(text: &str, words: &[&str]) -> bool {
    let (text, starts) = (text.as_bytes(), |word: &str| text.len().saturating_sub(word.len() - 1));
    words.iter().any(|word| (0..starts(word)).any(|at| text[at..at + word.len()].eq_ignore_ascii_case(word.as_bytes())))
}

fn describe(f: &mut Found, episode: &Episode, kind: &str) {
    f.start = episode.start;
    f.evidence.clone_from(&episode.evidence);
    f.explain("kind", kind);
    f.explain("failures", episode.failures);
    f.explain("hosts", episode.hosts.count());
    f.seconds("span_s", episode.last - episode.start);
}

/// The names by which a rule chooses services.
pub(super) fn service_names() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|(name, _)| *name).chain(["http", "mail"])
}

/// Whether it is a service that asks for a password first, or a mail box, by the protocol that was seen, else by the port.
pub(super) fn asks_for_passwords(protocol: &str, port: u16) -> bool {
    service(protocol, port).is_some() || MAIL_BOXES.contains(port)
}

/// The service, by the protocol that was seen, else by the port.
fn service(protocol: &str, port: u16) -> Option<&'static str> {
    let by_name = |name: &str| SERVICES.iter().find(|(known, _)| *known == name).map(|(known, _)| *known);
    match protocol {
        // What is spoken within encryption is not heard: of RDP that alone is seen.
        "" | "failed" | "unknown" | "ssl" | "tls" => {
            SERVICES.iter().find(|(_, ports)| ports.contains(port)).map(|(name, _)| *name)
        }
        "ms-wbt-server" => by_name("rdp"),
        "smb2" | "microsoft-ds" => by_name("smb"),
        // As Zeek and Suricata name them.
        "rfb" => by_name("vnc"),
        "pgsql" => by_name("postgresql"),
        "ldap_tcp" => by_name("ldap"),
        // Remote management is asked for by HTTP (MS-WSMV).
        "http" | "http2" if WINRM.contains(port) => by_name("winrm"),
        // Some sensors name several, or a version: `ssh-2.0`, `gssapi,smb`.
        other => other.split([',', '-', '/']).find_map(|part| by_name(&part.to_ascii_lowercase())),
    }
}
