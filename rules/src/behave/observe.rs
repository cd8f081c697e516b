//! What behaviour is about: an observation of one connection, query, web request or login, read off an event whatever its format.

use event::{EventId, EventRef, FieldId, LogSourceId, Value};
use serde::{Deserialize, Serialize};

use super::cells::{Cells, Finder, Slot};
use super::knowledge::PROXY_PORTS;
use super::site::bits;
use super::sketch::mix_text;
use crate::policy::{believed, passed_word};

/// The port of DNS.
const DNS: u16 = 53;
/// Bytes of one name or address of a page that are kept.
const TEXT_BYTES_MAX: usize = 1024;

/// What was observed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum What {
    /// A connection, by a flow record, a firewall or a sensor.
    Flow,
    /// A request through a proxy: its destination is a name.
    Proxied,
    /// A request or handshake as a sensor saw it, beside the flow that it belongs to.
    Request,
    /// A DNS question.
    Query,
    /// A login that was tried.
    Login,
    /// A file that a sensor or scanner saw.
    File,
}

impl What {
    /// In their order.
    pub(super) const ALL: [What; 6] = [What::Flow, What::Proxied, What::Request, What::Query, What::Login, What::File];
}

/// Whether the other end answered.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Answer {
    /// It did; of a login: it succeeded.
    Yes,
    /// Nothing came back.
    No,
    /// It refused; of a login: it failed.
    Refused,
    /// A firewall denied it.
    Denied,
    /// The record does not say.
    Unknown,
}

impl Answer {
    /// Whether the connection is known to have come to nothing.
    pub(super) fn failed(self) -> bool {
        matches!(self, Answer::No | Answer::Refused | Answer::Denied)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Answer::Yes => "answered",
            Answer::No => "unanswered",
            Answer::Refused => "refused",
            Answer::Denied => "denied",
            Answer::Unknown => "unknown",
        }
    }
}

/// A text of an observation: a part of the queue's text.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start as usize..(self.start + self.len) as usize).unwrap_or("")
    }

    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }

    fn push(text: &mut String, part: &str) -> Span {
        let part = &part[..part.floor_char_boundary(TEXT_BYTES_MAX)];
        let start = text.len() as u32;
        text.push_str(part);
        Span { start, len: part.len() as u32 }
    }

    /// The same part within another text, to which it is appended.
    pub(super) fn moved(self, from: &str, to: &mut String) -> Span {
        if self.is_empty() { self } else { Span::push(to, self.of(from)) }
    }
}

/// One observation. Addresses are 128 bits, times nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Observation {
    pub(super) event: EventId,
    pub(super) tenant: u32,
    pub(super) what: What,
    pub(super) answer: Answer,
    /// IANA protocol number; 0 where unknown.
    pub(super) transport: u8,
    /// TCP flags that were seen, where the record has them.
    pub(super) flags: Option<u8>,
    /// ICMP type.
    pub(super) icmp: Option<u8>,
    pub(super) source_port: u16,
    pub(super) port: u16,
    /// The application protocol as the record names it.
    pub(super) protocol: Span,
    /// The instant at which it is taken in order: the event's, within lateness.
    pub(super) time: i64,
    /// When it happened, as far as that is to be believed ([`believed`]); it may have come later than lateness allows.
    pub(super) happened: i64,
    /// When it began.
    pub(super) start: i64,
    /// When it ended, or was last seen.
    pub(super) end: i64,
    pub(super) source: u128,
    /// 0 where the record names none.
    pub(super) destination: u128,
    /// Bytes from the source, from the destination, and packets of both.
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) packets: u64,
    /// The record counts both directions, or says that there was nothing in the other.
    pub(super) both_ways: bool,
    /// One packet in so many was looked at; 1 where the record does not say.
    pub(super) sampling: u32,
    /// The record says, or leaves no doubt, who began.
    pub(super) known: bool,
    /// Its sender was called: the ends were turned.
    pub(super) turned: bool,
    /// It is one way of a connection of which the other is another record.
    pub(super) one_way: bool,
    /// It tells only that a connection begins, or of ends alone: it counts for the zone policy and for translations, nowhere else.
    pub(super) begins: bool,
    /// Whether a device let it pass, or it was seen where it passes.
    pub(super) passed: Option<bool>,
    /// Where it really went, where its destination was translated; 0 otherwise.
    pub(super) translated: u128,
    pub(super) translated_port: u16,
    /// Who saw it.
    pub(super) observer: u64,
    /// The host's name: asked for, spoken to.
    pub(super) name: Span,
    /// The domain under which a name was registered.
    pub(super) domain: Span,
    /// DNS record type; method of a request; user of a login.
    pub(super) detail: Span,
    /// The page's address.
    pub(super) url: Span,
    /// A file's hashes, blanks between, and its name.
    pub(super) hash: Span,
    pub(super) file: Span,
    /// For whom a device in between asked, where the record says so; 0 otherwise.
    pub(super) behalf: u128,
    /// The address to which its source was translated; 0 where it was not. And its port; 0 where the record does not say.
    pub(super) seen_as: u128,
    pub(super) seen_as_port: u16,
    /// How a web server answered (RFC 9110 §15); 0 where the record does not say.
    pub(super) status: u16,
    /// DNS: there is no such name.
    pub(super) no_such_name: bool,
    /// DNS: the addresses that the answer has, blanks between.
    pub(super) answers: Span,
    /// A further record of a connection that was told of before: its volume is new, the connection is not.
    pub(super) continued: bool,
}

impl Observation {
    /// For tests: one between two ends, with a name and a user.
    #[cfg(test)]
    pub(super) fn made(
        what: What,
        answer: Answer,
        (source, destination): (u128, u128),
        (transport, port): (u8, u16),
        sent: u64,
        text: &mut String,
    ) -> Observation {
        const TIME: i64 = 1_775_001_600_000_000_000;
        Observation {
            event: EventId::default(),
            tenant: 0,
            what,
            answer,
            transport,
            flags: None,
            icmp: None,
            source_port: 40_000,
            port,
            protocol: Span::push(text, "ssh"),
            time: TIME,
            happened: TIME,
            start: TIME - 3600 * 1_000_000_000,
            end: TIME,
            source,
            destination,
            sent,
            received: 1,
            packets: 1 + sent / 1400,
            both_ways: true,
            sampling: 1,
            known: false,
            turned: false,
            one_way: false,
            begins: false,
            passed: None,
            translated: 0,
            translated_port: 0,
            observer: 1,
            name: Span::push(text, "a1b2c3.example.com"),
            domain: Span::push(text, "example.com"),
            detail: Span::push(text, "vendor"),
            url: Span::default(),
            hash: Span::default(),
            file: Span::default(),
            behalf: 0,
            seen_as: 0,
            seen_as_port: 0,
            status: 0,
            no_such_name: false,
            answers: Span::default(),
            continued: false,
        }
    }

    /// Takes the texts along from one place to another.
    pub(super) fn move_texts(&mut self, from: &str, to: &mut String) {
        for span in [
            &mut self.protocol,
            &mut self.name,
            &mut self.domain,
            &mut self.detail,
            &mut self.url,
            &mut self.hash,
            &mut self.file,
            &mut self.answers,
        ] {
            *span = span.moved(from, to);
        }
    }

    /// Whether a zone policy says something of it by itself: somebody spoke with somebody, or with a proxy, which may not say with whom.
    pub(super) fn is_between_two(&self) -> bool {
        let spoke = !matches!(self.what, What::Login | What::File);
        spoke && self.source != 0 && (self.destination != 0 || self.what == What::Proxied)
    }

    /// Turns it: its source was called. What nothing came back to was an answer.
    pub(super) fn turn(&mut self) {
        if !self.both_ways || self.received == 0 {
            let refused = self.transport == 6
                && self.flags.is_some_and(|flags| flags & 0x04 != 0 && flags & 0x02 == 0 && flags & 0x09 == 0);
            self.answer = if refused { Answer::Refused } else { Answer::Yes };
        }
        std::mem::swap(&mut self.source, &mut self.destination);
        std::mem::swap(&mut self.source_port, &mut self.port);
        std::mem::swap(&mut self.sent, &mut self.received);
        self.turned = !self.turned;
    }

    /// Bytes both ways, scaled up where traffic was sampled.
    pub(super) fn bytes_estimated(&self) -> u64 {
        (self.sent + self.received).saturating_mul(u64::from(self.sampling))
    }
}

/// IANA protocol number of a name or number.
pub(crate) fn transport_number(name: &str) -> Option<u8> {
    let known = [
        ("tcp", 6),
        ("udp", 17),
        ("icmp", 1),
        ("ipv6-icmp", 58),
        ("icmp6", 58),
        ("gre", 47),
        ("esp", 50),
        ("ah", 51),
        ("sctp", 132),
    ];
    known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, n)| *n).or_else(|| name.parse().ok())
}

/// Reads observations off events.
pub(super) struct Observer {
    finder: Finder,
    /// Whether there is a zone policy, for which alone most records count that tell only that something begins.
    policy: bool,
    /// The log source of the last event, and its category: of many events in a row it is the same.
    category: Option<(LogSourceId, Option<&'static str>)>,
}

impl Observer {
    pub(super) fn new(policy: bool) -> Observer {
        Observer { finder: Finder::new(), policy, category: None }
    }

    fn category(&mut self, of: LogSourceId) -> Option<&'static str> {
        match self.category {
            Some((known, category)) if known == of => category,
            _ => self.category.insert((of, of.parts().category)).1,
        }
    }

    /// What the event tells of; texts go to `text`. `time` is where it stands in the order.
    pub(super) fn observe(&mut self, event: EventRef<'_>, time: i64, text: &mut String) -> Option<Observation> {
        let cells = self.finder.cells(event);
        let category = self.category(event.log_source());
        // What a sensor thinks of traffic is no traffic; a login that a trap tells of is one.
        let alert = cells.text(Slot::KIND) == Some("alert") && !(cells.has(Slot::OUTCOME) && is_login(&cells));
        if alert || event.quarantined() || is_translation(&cells, category) {
            return None;
        }
        let counts = |begins: bool| self.policy || !begins || cells.has(Slot::SOURCE_NAT);
        let what = what(&cells, category).filter(|(_, begins)| counts(*begins))?;
        Some(observation(event, &cells, category, what, time, Wanted::All, text))
    }

    /// A record as one of a communication, whatever else it tells of: none without two ends, but for a proxy's, which may not say with whom
    /// it spoke. What a verdict does not hang on is not read.
    pub(super) fn communication(&mut self, event: EventRef<'_>, text: &mut String) -> Option<Observation> {
        let cells = self.finder.cells(event);
        let category = self.category(event.log_source());
        if !cells.has(Slot::SOURCE) || is_translation(&cells, category) {
            return None;
        }
        let what = what(&cells, category).map(|(what, _)| what).filter(|what| !matches!(what, What::Login | What::File));
        if !cells.has(Slot::DESTINATION) && what != Some(What::Proxied) {
            return None;
        }
        let what = (what.unwrap_or(What::Request), false);
        Some(observation(event, &cells, category, what, event.time().unix_ns(), Wanted::Ends, text))
    }
}

/// What of an observation is read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Wanted {
    All,
    /// Who spoke with whom, and whether it passed; of names only that of the host that a proxy was asked for.
    Ends,
}

/// The observation that the cells of an event make. `category` is that of its log source.
fn observation(
    event: EventRef<'_>,
    cells: &Cells<'_>,
    category: Option<&str>,
    (what, begins): (What, bool),
    time: i64,
    wanted: Wanted,
    text: &mut String,
) -> Observation {
    let all = wanted == Wanted::All;
    let source = cells.address(Slot::SOURCE);
    let stated = event.time().unix_ns();
    let duration = cells.number(Slot::DURATION).and_then(|ns| i64::try_from(ns).ok());
    let end = cells.time(Slot::FINISH);
    // A record says when it began, or how long it took until it was written; Zeek writes when it began and how long it took.
    let start = cells.time(Slot::START).unwrap_or_else(|| match (duration, cells.has(Slot::STATE)) {
        (Some(ns), false) => end.unwrap_or(stated).saturating_sub(ns),
        _ => stated,
    });
    let end = end.unwrap_or_else(|| start.saturating_add(duration.unwrap_or(0))).max(start);
    let transport = cells.number(Slot::NUMBER).and_then(|n| u8::try_from(n).ok());
    let transport = transport.or_else(|| cells.text(Slot::TRANSPORT).and_then(transport_number)).unwrap_or(0);
    let (sent, received) = (cells.number(Slot::SENT), cells.number(Slot::RECEIVED));
    let (sent_packets, received_packets) = (cells.number(Slot::SENT_PACKETS), cells.number(Slot::RECEIVED_PACKETS));
    let both_ways = received.is_some() || received_packets.is_some() || cells.has(Slot::ARGUS);
    let total = cells.number(Slot::BYTES);
    let flags = cells.number(Slot::FLAGS).and_then(|n| u8::try_from(n & 0xff).ok());
    let named = all || what == What::Proxied;
    let hash = if named { hashes(cells, text) } else { Span::default() };
    let mut put = |part: Option<&str>| part.filter(|_| named).map_or(Span::default(), |part| Span::push(text, part));
    let mut o = Observation {
        event: event.id(),
        tenant: event.tenant().0,
        what,
        answer: Answer::Unknown,
        transport,
        flags,
        icmp: icmp_type(cells, transport),
        source_port: cells.port(Slot::SOURCE_PORT).unwrap_or(0),
        port: cells.port(Slot::PORT).or(cells.port(Slot::URL_PORT)).unwrap_or(0),
        protocol: put(cells.text(Slot::PROTOCOL)),
        time,
        happened: believed(event).unix_ns(),
        start,
        end,
        source: source.unwrap_or(0),
        destination: cells.address(Slot::DESTINATION).unwrap_or(0),
        sent: sent.or_else(|| Some(total? - received.unwrap_or(0).min(total?))).unwrap_or(0),
        received: received.or(cells.number(Slot::RESPONSE_BYTES)).or_else(|| total?.checked_sub(sent?)).unwrap_or(0),
        packets: cells.number(Slot::PACKETS).unwrap_or(sent_packets.unwrap_or(0) + received_packets.unwrap_or(0)),
        both_ways,
        sampling: cells.number(Slot::SAMPLING).and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
        known: false,
        turned: false,
        one_way: false,
        begins,
        passed: None,
        translated: 0,
        translated_port: 0,
        observer: if all { observer(event, cells) } else { 0 },
        continued: false,
        name: Span::default(),
        domain: Span::default(),
        detail: Span::default(),
        url: put(cells.text(Slot::URL)),
        hash,
        file: put(cells.text(Slot::FILE)),
        behalf: cells.address(Slot::BEHALF).unwrap_or(0),
        seen_as: 0,
        seen_as_port: 0,
        status: 0,
        no_such_name: false,
        answers: Span::default(),
    };
    o.answer = answer(cells, &o, received.or(received_packets));
    match what {
        What::Query => {
            // The packet of an answer, as some sensors tell it: who asked is its destination.
            if o.source_port == DNS && o.port != DNS && o.destination != 0 {
                std::mem::swap(&mut o.source, &mut o.destination);
                std::mem::swap(&mut o.source_port, &mut o.port);
                (o.known, o.turned) = (true, true);
            }
            o.name = put(cells.text(Slot::QUESTION));
            o.domain = put(cells.text(Slot::REGISTERED).or_else(|| cells.text(Slot::QUESTION).map(registered)));
            o.detail = put(cells.text(Slot::QUESTION_TYPE));
            o.no_such_name = cells.text(Slot::RESPONSE_CODE).is_some_and(|code| code.eq_ignore_ascii_case("NXDOMAIN"));
            if all && cells.has(Slot::ANSWERS) {
                o.answers = answers(event, text);
            }
        }
        What::Login => {
            o.name = put(cells.text(Slot::HOST));
            o.detail = put(cells.text(Slot::USER).or_else(|| cells.text(Slot::SOURCE_USER)));
        }
        _ => {
            o.name = put(cells.text(Slot::SERVER_NAME).or(cells.text(Slot::DOMAIN)));
            o.detail = put(cells.text(Slot::METHOD));
            o.status = cells.number(Slot::STATUS).and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
        }
    }
    // Seen where it passes, by who does not decide whether it may: a firewall's record may show flags too.
    let told = [Slot::STATE, Slot::ARGUS, Slot::FLAGS, Slot::ANSWER].into_iter().any(|slot| cells.has(slot));
    let wire = category != Some("firewall") && (told || category == Some("flow") || cells.text(Slot::ACTION) == Some("flow"));
    let word = [Slot::TYPE, Slot::ACTION].into_iter().find_map(|slot| cells.text(slot).and_then(passed_word));
    o.passed = passed(word, o.answer, wire, transport);
    o.one_way = wire && !both_ways;
    if matches!(what, What::Flow | What::Proxied | What::Request) && source.is_some() && o.destination != 0 {
        ends(cells, &mut o);
    }
    if !o.known {
        turn(&mut o);
    }
    o
}

/// The hashes that are told of a file, blanks between, the longest first: a list may have any of them.
fn hashes(cells: &Cells<'_>, text: &mut String) -> Span {
    let mut all = Span { start: text.len() as u32, len: 0 };
    for hash in [Slot::SHA256, Slot::SHA1, Slot::MD5].into_iter().filter_map(|slot| cells.text(slot)) {
        if all.len > 0 {
            text.push(' ');
        }
        Span::push(text, hash);
        all.len = text.len() as u32 - all.start;
    }
    all
}

/// The type of a message of ICMP, where the record has one.
fn icmp_type(cells: &Cells<'_>, transport: u8) -> Option<u8> {
    if !matches!(transport, 1 | 58) {
        return cells.number(Slot::ICMP).and_then(|n| u8::try_from(n).ok());
    }
    // Zeek writes the type where others write a port.
    let by_zeek = || cells.number(Slot::SOURCE_PORT).filter(|_| cells.has(Slot::STATE));
    // NetFlow has it in the upper half of the destination's port; exporters that leave the port empty mean no type by it.
    let by_netflow = || cells.number(Slot::PORT).filter(|port| *port > 0xff && cells.has(Slot::EXPORTER)).map(|port| port >> 8);
    // Argus has the code in the upper half.
    let told = cells.number(Slot::ICMP).map(|n| if cells.has(Slot::ARGUS) { n & 0xff } else { n });
    told.or_else(by_zeek).or_else(by_netflow).and_then(|n| u8::try_from(n).ok())
}

/// The addresses that a DNS answer has, blanks between; of those that fit.
fn answers(event: EventRef<'_>, text: &mut String) -> Span {
    let fields = ["dns.resolved_ip", "dns.answers.data"].map(FieldId::known);
    let mut all = String::new();
    for (_, value) in event.cells().filter(|(field, _)| fields.contains(field)) {
        let mut add = |ip: std::net::IpAddr| all.extend([if all.is_empty() { "" } else { " " }, &ip.to_string()]);
        match value {
            Value::Ip(ip) => add(ip),
            Value::Text(list) => list.split([',', ' ']).filter_map(|part| part.parse().ok()).for_each(&mut add),
            _ => {}
        }
    }
    if all.is_empty() { Span::default() } else { Span::push(text, &all) }
}

/// Who began, and where it went, where the record says more than its two ends.
fn ends(cells: &Cells<'_>, o: &mut Observation) {
    let said = cells.address(Slot::CLIENT).zip(cells.address(Slot::SERVER));
    if said == Some((o.destination, o.source)) && o.destination != o.source {
        std::mem::swap(&mut o.source, &mut o.destination);
        std::mem::swap(&mut o.source_port, &mut o.port);
        std::mem::swap(&mut o.sent, &mut o.received);
        (o.known, o.turned) = (true, true);
    }
    o.known |= said == Some((o.source, o.destination));
    let mut nats = [(Slot::SOURCE_NAT, Slot::SOURCE_NAT_PORT), (Slot::DESTINATION_NAT, Slot::DESTINATION_NAT_PORT)];
    if o.turned {
        nats.reverse();
    }
    let nat = |(ip, nat_port): (Slot, Slot), told: u128| {
        let other = cells.address(ip).filter(|other| *other != told && *other != 0);
        other.map_or((0, 0), |other| (other, cells.port(nat_port).unwrap_or(0)))
    };
    (o.seen_as, o.seen_as_port) = nat(nats[0], o.source);
    (o.translated, o.translated_port) = nat(nats[1], o.destination);
}

/// Whether it passed: a device that decides says so; where traffic is only seen, what became of it does. Of a datagram that nobody answers that
/// is not known: many ask for no answer (syslog, flow records, traps).
fn passed(word: Option<bool>, answer: Answer, seen: bool, transport: u8) -> Option<bool> {
    match (word, answer) {
        (Some(false), _) | (_, Answer::Denied) => Some(false),
        (Some(true), _) if !seen => Some(true),
        (_, Answer::Yes) => Some(true),
        (_, Answer::No) => (transport != 17).then_some(false),
        (_, Answer::Refused) => None,
        (word, Answer::Unknown) => {
            if seen {
                Some(true)
            } else {
                word
            }
        }
    }
}

/// The domain under which a name was likely registered, where the record does not say: two labels, or three below a country whose second
/// level is for kinds of organisations (`co.jp`, `com.au`).
fn registered(name: &str) -> &str {
    const KINDS: [&str; 17] =
        ["ac", "ad", "co", "com", "ed", "edu", "go", "gov", "gr", "lg", "ltd", "mil", "ne", "net", "or", "org", "sch"];
    let name = name.trim_end_matches('.');
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let (first, second, third) = (dots.next(), dots.next(), dots.next());
    let labels = |before: Option<usize>| before.map_or(name, |at| &name[at + 1..]);
    let kinds =
        first.is_some_and(|first| name.len() - first == 3 && KINDS.contains(&&name[second.map_or(0, |at| at + 1)..first]));
    if kinds { labels(third) } else { labels(second) }
}

/// What it is, and whether it counts for the zone policy only.
fn what(cells: &Cells<'_>, category: Option<&str>) -> Option<(What, bool)> {
    let ends = cells.has(Slot::SOURCE) && cells.has(Slot::DESTINATION);
    let action = cells.text(Slot::ACTION).unwrap_or("");
    // That a connection begins is told again, with its counts, when it ends.
    if ends && matches!(action, "connection-started" | "flow_created" | "start") {
        return Some((What::Flow, true));
    }
    if ends && is_proxy(cells, category) && !is_named(cells) {
        return Some((What::Proxied, true));
    }
    let decided = || [Slot::TYPE, Slot::ACTION].into_iter().any(|slot| cells.text(slot).and_then(passed_word).is_some());
    kind(cells, category).map(|what| (what, false)).or_else(|| (ends && decided()).then_some((What::Flow, true)))
}

/// Whether it tells how a firewall translates an address: both ends are one host's then, and nobody spoke.
/// `of` is the category of the event's log source, which a record cannot choose.
fn is_translation(cells: &Cells<'_>, of: Option<&str>) -> bool {
    of == Some("firewall") && cells.text(Slot::ACTION) == Some("address-translation")
}

/// Whether a proxy tells it; `of` is the category of the event's log source.
fn is_proxy(cells: &Cells<'_>, of: Option<&str>) -> bool {
    cells.text(Slot::OBSERVER_TYPE) == Some("proxy") || of == Some("proxy")
}

/// Whether it says by name what it was about.
fn is_named(cells: &Cells<'_>) -> bool {
    [Slot::DOMAIN, Slot::SERVER_NAME, Slot::URL].into_iter().any(|slot| cells.has(slot))
}

/// `of` is the category of the event's log source.
fn kind(cells: &Cells<'_>, of: Option<&str>) -> Option<What> {
    if cells.has(Slot::QUESTION) {
        return cells.has(Slot::SOURCE).then_some(What::Query);
    }
    let action = cells.text(Slot::ACTION).unwrap_or("");
    if cells.has(Slot::OUTCOME) && is_login(cells) {
        return cells.has(Slot::SOURCE).then_some(What::Login);
    }
    let (source, destination) = (cells.has(Slot::SOURCE), cells.has(Slot::DESTINATION));
    let named = is_named(cells);
    // Without both ends and a way of transport it is no connection.
    let carried = cells.has(Slot::TRANSPORT) || cells.has(Slot::NUMBER) || cells.has(Slot::PORT);
    let counted = cells.has(Slot::SENT) || cells.has(Slot::BYTES) || cells.has(Slot::PACKETS) || cells.has(Slot::SENT_PACKETS);
    // A request to a proxy, as a sensor beside it saw it: an absolute address, or the method that opens a tunnel.
    let absolute = || {
        cells.port(Slot::PORT).is_some_and(|port| PROXY_PORTS.contains(port))
            && cells.text(Slot::URL).is_some_and(|url| url.starts_with("http://"))
    };
    let asked = cells.text(Slot::METHOD).is_some_and(|method| method == "CONNECT" || absolute());
    if source && named && (is_proxy(cells, of) || asked) {
        return Some(What::Proxied);
    }
    if source && destination && carried {
        let flow = matches!(of, Some("flow" | "firewall")) || cells.has(Slot::STATE);
        let flow = flow || action == "flow" || cells.has(Slot::ANSWER) || (counted && !cells.has(Slot::METHOD));
        if flow {
            return Some(What::Flow);
        }
        if named {
            return Some(What::Request);
        }
        return cells.has(Slot::TYPE).then_some(What::Flow);
    }
    let file = cells.has(Slot::SHA256) || cells.has(Slot::SHA1) || cells.has(Slot::MD5);
    if file {
        return Some(What::File);
    }
    (source && named).then_some(What::Request)
}

/// Windows' records of its security log that somebody logged in or could not: 4624 and 4625, Kerberos' 4771, and 4768 where it was refused
/// (Microsoft, "Audit logon events", "Audit Kerberos Authentication Service").
const WINDOWS_LOGINS: [u64; 3] = [4624, 4625, 4771];
const WINDOWS_TICKET: u64 = 4768;

/// What Kerberos says of a wrong password or an account that is not there or locked (RFC 4120 §7.5.9).
const WRONG_PASSWORD: [&str; 3] = ["KDC_ERR_PREAUTH_FAILED", "KDC_ERR_C_PRINCIPAL_UNKNOWN", "KDC_ERR_CLIENT_REVOKED"];

/// Whether somebody logged in or could not, by what the record's program calls it.
fn is_login(cells: &Cells<'_>) -> bool {
    // Its tickets and checks of passwords are of the same category, and one login writes several.
    if cells.text(Slot::PROVIDER) == Some("Microsoft-Windows-Security-Auditing") {
        let failed = cells.text(Slot::OUTCOME) == Some("failure");
        return cells.number(Slot::CODE).is_some_and(|code| WINDOWS_LOGINS.contains(&code) || code == WINDOWS_TICKET && failed);
    }
    if cells.says(Slot::CATEGORY, "authentication") {
        return true;
    }
    // A ticket for somebody, by his password; the first request goes without one, and is told to come again with it (RFC 4120 §7.5.9).
    if cells.text(Slot::PROTOCOL) == Some("kerberos") {
        let refused = || cells.text(Slot::REASON).is_some_and(|reason| WRONG_PASSWORD.contains(&reason));
        return cells.text(Slot::ACTION) == Some("AS") && (cells.text(Slot::OUTCOME) == Some("success") || refused());
    }
    let says = |slot, words: &[&str]| cells.text(slot).is_some_and(|text| words.iter().any(|word| text.contains(word)));
    let user = cells.text(Slot::USER).or_else(|| cells.text(Slot::SOURCE_USER)).is_some_and(|user| user != "N/A");
    // What names a user may tell of it in a code; gateways tell of the tunnel only.
    says(Slot::ACTION, &["login", "logon", "logged-in", "authentication"])
        || user && (says(Slot::CODE, &["-auth", "-login"]) || cells.text(Slot::ACTION) == Some("tunnel-up"))
}

/// What Argus says became of a flow (ra(1), STATE): of TCP the flags of each side about a low line, else a word. `alone`: nothing came back.
fn argus(state: &str, alone: bool) -> Answer {
    match state.split_once('_') {
        Some((_, back)) if back.contains('S') => Answer::Yes,
        Some((_, back)) if back.contains('R') => Answer::Refused,
        Some((_, "")) => Answer::No,
        Some((there, _)) if !there.contains('S') => Answer::Yes,
        Some(_) => Answer::Unknown,
        None => match state {
            "CON" | "EST" | "FIN" | "CLO" | "ACC" | "ECR" | "RSP" | "SF" | "S1" | "S2" | "S3" | "RSTO" => Answer::Yes,
            "INT" | "REQ" | "TIM" | "S0" | "SH" => Answer::No,
            // Of requests of ICMP the counts say whether anything came back.
            "ECO" | "TST" | "MAS" | "IRQ" if alone => Answer::No,
            "ECO" | "TST" | "MAS" | "IRQ" => Answer::Yes,
            "RST" | "URP" | "URH" | "URN" | "URF" | "UNK" | "REJ" => Answer::Refused,
            _ => Answer::Unknown,
        },
    }
}

/// Whether the other end answered, by whatever the record has that says so.
fn answer(cells: &Cells<'_>, o: &Observation, back: Option<u64>) -> Answer {
    if o.what == What::Login {
        return match cells.text(Slot::OUTCOME) {
            Some("success") => Answer::Yes,
            Some("failure") => Answer::Refused,
            _ => Answer::Unknown,
        };
    }
    if let Some(word) = cells.text(Slot::ANSWER) {
        let all = [Answer::Yes, Answer::No, Answer::Refused, Answer::Denied];
        return all.into_iter().find(|answer| answer.name() == word).unwrap_or(Answer::Unknown);
    }
    let is_denied = |slot| cells.text(slot).and_then(passed_word) == Some(false);
    if is_denied(Slot::TYPE) || is_denied(Slot::ACTION) {
        return Answer::Denied;
    }
    if let Some(state) = cells.text(Slot::STATE) {
        // Zeek, base/protocols/conn/main.zeek: what became of a connection.
        // A reset where there was no SYN and ACK before, and no data: the answer to a scan by other flags than SYN (nmap's -sF, -sN, -sX, -sA).
        let history = cells.text(Slot::HISTORY).unwrap_or("");
        if history.contains('r') && !history.contains(['h', 'D', 'd']) {
            return Answer::Refused;
        }
        return match state {
            "S0" | "SH" => Answer::No,
            "REJ" | "RSTOS0" => Answer::Refused,
            "S1" | "S2" | "S3" | "SF" | "RSTO" | "RSTR" => Answer::Yes,
            "RSTRH" | "SHR" => Answer::Unknown,
            _ if back == Some(0) => Answer::No,
            _ => Answer::Unknown,
        };
    }
    if let Some(state) = cells.text(Slot::ARGUS) {
        return argus(state, o.received == 0);
    }
    if let Some(flags) = cells.text(Slot::SERVER_FLAGS).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
        return match (flags & 0x02 != 0, flags & 0x04 != 0) {
            (true, _) => Answer::Yes,
            (false, true) => Answer::Refused,
            _ => {
                if back == Some(0) {
                    Answer::No
                } else {
                    Answer::Yes
                }
            }
        };
    }
    // One packet that a device lets pass, with its flags, says nothing of what came back.
    let one_packet = o.packets == 0
        && back.is_none()
        && [Slot::TYPE, Slot::ACTION].into_iter().any(|slot| cells.text(slot).and_then(passed_word) == Some(true));
    if one_packet {
        return Answer::Unknown;
    }
    match (o.transport, o.flags, back) {
        (6, Some(flags), None | Some(0)) if flags & 0x17 == 0x02 => Answer::No,
        (6, Some(flags), None) if flags & 0x14 == 0x14 && flags & 0x0b == 0 => Answer::Refused,
        (6, Some(flags), None) if flags & 0x10 != 0 => Answer::Yes,
        // Counted both ways: who began sent nothing but a SYN, or nobody more than SYN, ACK and RST.
        (6, Some(flags), Some(1..)) if flags & 0x02 != 0 && (flags & 0x11 == 0 || flags & 0x1f == 0x16) => Answer::Refused,
        (_, _, Some(0)) => Answer::No,
        (_, _, Some(_)) => Answer::Yes,
        _ => Answer::Unknown,
    }
}

/// Packets of a connection that is made and ended, and the most that one has without data, with Ethernet's head.
const EMPTY_PACKETS: std::ops::RangeInclusive<u64> = 3..=7;
const EMPTY_BYTES_MAX: u64 = 74;

impl Observation {
    /// Of several hashes of the file the first, which is the longest; empty where there is none.
    pub(super) fn first_hash<'t>(&self, text: &'t str) -> &'t str {
        if self.hash.is_empty() {
            return "";
        }
        self.hash.of(text).split(' ').next().unwrap_or_default()
    }

    /// Whether it was answered and nothing was said: a door was tried, as scanners do.
    pub(super) fn said_nothing(&self) -> bool {
        self.transport == 6
            && self.answer == Answer::Yes
            && self.sampling <= 1
            && self.received > 0
            && EMPTY_PACKETS.contains(&self.packets)
            && self.sent + self.received <= self.packets * EMPTY_BYTES_MAX
    }

    /// Whether it may be a late packet of an answer that a firewall has no connection for any more.
    pub(super) fn is_stray(&self) -> bool {
        self.answer == Answer::Denied
            && is_service(self.source_port)
            && self.port >= 1024
            && self.flags.is_none_or(|flags| flags & 0x12 != 0x02)
    }
}

/// Services whose answers, told as records of their own, must not look as if they began a connection.
pub(super) fn is_service(port: u16) -> bool {
    (1..1024).contains(&port) || matches!(port, 1900 | 3478 | 3702 | 5353 | 5355 | 11_211)
}

/// Turns a record of answers alone so that the end that asked is the source: a UDP datagram from a service's port, a TCP record
/// that begins with SYN and ACK or resets, to an ephemeral port.
fn turn(o: &mut Observation) {
    if o.what != What::Flow || o.both_ways && o.received > 0 {
        return;
    }
    let from_service = is_service(o.source_port) && !is_service(o.port) && o.port >= 1024;
    let answers = match (o.transport, o.flags) {
        (17, _) => from_service,
        (6, Some(flags)) => from_service && (flags & 0x12 == 0x12 || flags & 0x04 != 0 || flags & 0x02 == 0),
        _ => false,
    };
    if answers && !matches!(o.answer, Answer::Denied) {
        o.turn();
        o.sent = 0;
        (o.seen_as, o.seen_as_port) = (0, 0);
        if o.translated != 0 {
            // Where an answer really went is who asked.
            (o.seen_as, o.seen_as_port) = (o.source, o.source_port);
            (o.source, o.source_port) = (o.translated, if o.translated_port == 0 { o.source_port } else { o.translated_port });
            (o.translated, o.translated_port) = (0, 0);
        }
    }
}

/// Who told: the device as it names itself, as records of several come through one relay; else their sender, or where that is unknown their
/// format.
fn observer(event: EventRef<'_>, cells: &Cells<'_>) -> u64 {
    match (cells.text(Slot::SAID_BY), event.source()) {
        (Some(name), _) => mix_text(name),
        (None, Some(ip)) => super::sketch::mix(bits(ip)),
        (None, None) => mix_text(event.format().name()),
    }
}

#[cfg(test)]
mod tests {
    use super::registered;

    #[test]
    fn a_domain_is_taken_from_its_name() {
        for (name, domain) in [
            ("a.b.example.com", "example.com"),
            ("example.com.", "example.com"),
            ("x.y.example.co.jp", "example.co.jp"),
            ("co.jp", "co.jp"),
            ("example.jp", "example.jp"),
            ("t.example.jp", "example.jp"),
            ("a.b.t.co", "t.co"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(registered(name), domain, "{name}");
        }
    }
}
