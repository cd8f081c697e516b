//! The zone policy: who may talk to whom, from a declarative file to a verdict on every communication.
//!
//! The file is proved when it is read: zones do not collide, every address has a zone, no two lines decide the same service of the same
//! pair, the invariants (`must_deny`) hold, and what no sensor sees is named. Problems name the lines.

mod diff;
mod proxied;
mod read;
mod record;
mod sensors;
mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use event::{EventRef, FieldId, Time, Value};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use diff::{Change, diff, renamed};
pub use record::believed;
pub(crate) use record::passed_word;
pub use sensors::Sensors;
use table::{Lookup, Table};

/// Something wrong with a policy file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PolicyProblem {
    /// The lines of the file that it is about, from 1.
    pub lines: Vec<usize>,
    /// What is wrong.
    pub reason: String,
    /// Whether the policy can still be used.
    pub warning: bool,
}

impl PolicyProblem {
    /// Its lines as they follow a file's name: `:3,9`, or nothing.
    pub fn place(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(usize::to_string).collect();
        if lines.is_empty() { String::new() } else { format!(":{}", lines.join(",")) }
    }
}

/// A zone.
#[derive(Clone, Debug, Serialize)]
pub struct Zone {
    /// Its key.
    pub name: String,
    /// Its name for people, by language.
    pub names: std::collections::BTreeMap<String, String>,
    /// Its prefixes; none for the zone of all other addresses.
    pub cidr: Vec<IpNet>,
    /// The clause of the policy that speaks of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// Whether it is the rest.
    pub rest: bool,
}

/// A service: a protocol and ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Service {
    /// The IANA protocol number; none for every protocol.
    pub protocol: Option<u8>,
    /// The lowest port.
    pub low: u16,
    /// The highest port.
    pub high: u16,
}

/// A line that allows something.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Where it stands in the file.
    pub line: usize,
    /// From which zone.
    pub from: String,
    /// To which zone.
    pub to: String,
    /// Which services.
    pub service: Vec<Service>,
    /// For an exception: from which addresses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<IpNet>,
    /// For an exception: to which addresses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<IpNet>,
    /// For an exception: the last instant of its last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why, who, under which number: as written.
    pub about: std::collections::BTreeMap<String, String>,
}

/// An invariant.
#[derive(Clone, Debug, Serialize)]
pub struct MustDeny {
    /// Where it stands.
    pub line: usize,
    /// From which zone.
    pub from: String,
    /// To which zones.
    pub to: Vec<String>,
    /// The zone through which it is allowed all the same, both legs being lines of their own. Where several invariants forbid a pair, each
    /// names one such zone; one that names none leaves no way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unless_via: Option<String>,
}

/// What a sensor sees.
#[derive(Clone, Debug, Serialize)]
pub struct Observe {
    /// The sensor's name, as its records say it.
    pub sensor: String,
    /// Its addresses, where its records do not say its name, as flow records do not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<IpNet>,
    /// Pairs of zones; `*` is every zone.
    pub cells: Vec<(String, String)>,
    /// How often it must be heard, as written.
    pub heartbeat: String,
}

/// A policy that holds together.
#[derive(Clone, Debug, Serialize)]
pub struct Policy {
    /// The network model, as written.
    pub model: String,
    /// The zones, in the order of the file.
    pub zones: Vec<Zone>,
    /// What is allowed.
    pub allow: Vec<Line>,
    /// What is allowed to some, for a time.
    pub exceptions: Vec<Line>,
    /// The invariants.
    pub must_deny: Vec<MustDeny>,
    /// The sensors.
    pub observe: Vec<Observe>,
    /// Pairs of zones that no sensor sees.
    pub blind: Vec<(String, String)>,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The file as it was read.
    #[serde(skip)]
    pub text: String,
    /// Whose records are whose signs of life.
    #[serde(skip)]
    pub sensors: Sensors,
    #[serde(skip)]
    lookup: Lookup,
    /// Per pair of zones what decides its services.
    #[serde(skip)]
    table: Table,
}

/// A line as it decides; exceptions name addresses and an end.
#[derive(Clone, Debug)]
struct Cell {
    line: usize,
    service: Vec<Service>,
    src: Option<IpNet>,
    dst: Option<IpNet>,
    until: Option<Time>,
    exception: bool,
}

impl Cell {
    /// Whether it speaks of these addresses at this time. Prefixes of lines are met as those of zones are: an IPv4 address in IPv6 clothes
    /// is the IPv4 address.
    fn is_about(&self, c: &Communication) -> bool {
        self.src.is_none_or(|net| net.contains(&c.source.to_canonical()))
            && self.dst.is_none_or(|net| net.contains(&c.destination.to_canonical()))
            && self.until.is_none_or(|until| c.time <= until)
    }

    fn decision(&self) -> Decision {
        if self.exception { Decision::Exception(self.line) } else { Decision::Allowed(self.line) }
    }
}

/// What the policy says of one communication.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Within one zone.
    Internal,
    /// A line allows it.
    Allowed(usize),
    /// An exception allows it.
    Exception(usize),
    /// Nothing allows it.
    Denied,
}

/// What became of one communication under the policy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Verdict {
    /// Within one zone.
    Internal,
    /// Allowed by a line, and not denied.
    Kept,
    /// Allowed by an exception, and not denied.
    Exception,
    /// Nothing allows it, and it was let through.
    Violation,
    /// Nothing allows it, and it was denied or came to nothing.
    Attempt,
    /// The record does not say enough.
    Unclear,
    /// A line or an exception allows it, and it was denied or came to nothing all the same. Last: stored states have numbers for these.
    Denied,
}

impl Verdict {
    /// Every verdict, in their order.
    pub const ALL: [Verdict; 7] = [
        Verdict::Internal,
        Verdict::Kept,
        Verdict::Exception,
        Verdict::Violation,
        Verdict::Attempt,
        Verdict::Unclear,
        Verdict::Denied,
    ];

    /// The word that stands in `policy.verdict`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Internal => "internal",
            Verdict::Kept => "kept",
            Verdict::Exception => "exception",
            Verdict::Violation => "violation",
            Verdict::Attempt => "attempt",
            Verdict::Unclear => "unclear",
            Verdict::Denied => "denied",
        }
    }
}

/// A verdict with what it rests on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// Indexes of the zones.
    pub(crate) from: u16,
    pub(crate) to: u16,
    /// The deciding line of the file.
    pub(crate) line: Option<usize>,
}

/// What the policy says of one record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordVerdict<'p> {
    /// The verdict.
    pub verdict: Verdict,
    /// The zone of who began.
    pub from: &'p str,
    /// The zone of who was called.
    pub to: &'p str,
    /// Whether the record's source is who began.
    pub from_source: bool,
}

/// The fields of a record that its verdict hangs on, beside its log source and time.
pub fn fields() -> impl Iterator<Item = &'static str> {
    crate::behave::cells::fields()
}

/// One communication, from its beginner to its other end.
#[derive(Clone, Copy, Debug)]
pub struct Communication {
    /// Who began.
    pub source: IpAddr,
    /// With whom.
    pub destination: IpAddr,
    /// The IANA protocol number, where known.
    pub protocol: Option<u8>,
    /// The destination's port, where known.
    pub port: Option<u16>,
    /// When.
    pub time: Time,
}

impl Policy {
    /// A warning for each exception that is over at `now`: it decides nothing any more.
    pub fn ended_exceptions(&self, now: Time) -> impl Iterator<Item = PolicyProblem> {
        self.exceptions.iter().filter(move |line| line.until.is_some_and(|until| until < now)).map(|line| {
            let reason =
                format!("the exception {} is over; it is never used", line.about.get("ticket").map_or("", String::as_str));
            PolicyProblem { lines: vec![line.line], reason, warning: true }
        })
    }

    /// The name of the zone that holds an address.
    pub fn zone_of(&self, ip: IpAddr) -> &str {
        &self.zones[usize::from(self.zone_index(ip))].name
    }

    /// Whether an address is in a zone that names its addresses, not in that of all others.
    pub(crate) fn names(&self, ip: IpAddr) -> bool {
        !self.zones[usize::from(self.zone_index(ip))].rest
    }

    /// The index of the zone that holds an address.
    pub(crate) fn zone_index(&self, ip: IpAddr) -> u16 {
        self.lookup.zone(ip)
    }

    /// The index of the zone of a name.
    pub(crate) fn zone_named(&self, name: &str) -> Option<u16> {
        self.zones.iter().position(|zone| zone.name == name).map(|at| at as u16)
    }

    /// The index of the zone of all other addresses.
    fn rest(&self) -> u16 {
        self.zones.iter().position(|zone| zone.rest).unwrap_or(0) as u16
    }

    /// What the policy says.
    pub fn decide(&self, c: &Communication) -> Decision {
        self.decide_between(self.zone_index(c.source), self.zone_index(c.destination), c)
    }

    /// What the policy says of a communication whose zones are known.
    fn decide_between(&self, from: u16, to: u16, c: &Communication) -> Decision {
        if from == to {
            return Decision::Internal;
        }
        let found = match (c.protocol, c.port) {
            (Some(protocol), Some(port)) => self.table.find(from, to, (protocol, port), c),
            // Only what speaks of every port, or of every protocol, decides what does not say which it has.
            _ => self.table.lines(from, to).iter().find(|cell| {
                cell.is_about(c)
                    && cell.service.iter().any(|s| {
                        s.protocol.is_none_or(|p| Some(p) == c.protocol)
                            && (s.low == 0 && s.high == u16::MAX || c.port.is_some_and(|port| (s.low..=s.high).contains(&port)))
                    })
            }),
        };
        found.map_or(Decision::Denied, Cell::decision)
    }

    /// The verdict on a communication that passed, was denied, or of which that is not known. `translated` is where it really went, by
    /// translation of addresses; `proxied` says that it is told by a proxy and so was two connections.
    pub(crate) fn judge(
        &self,
        c: &Communication,
        translated: Option<(IpAddr, Option<u16>)>,
        passed: Option<bool>,
        proxied: bool,
    ) -> Judgement {
        let real = translated.map_or(*c, |(ip, port)| Communication { destination: ip, port: port.or(c.port), ..*c });
        // With whom a proxy spoke that does not say so is not known: somebody in none of the zones that have addresses.
        let unknown = proxied && real.destination.is_unspecified();
        let to = if unknown { self.rest() } else { self.zone_index(real.destination) };
        let from = self.zone_index(real.source);
        let judged = |verdict, line| Judgement { verdict, from, to, line };
        let mut decision = self.decide_between(from, to, &real);
        if decision == Decision::Denied && real.port != c.port {
            // A line may name the port before or after translation.
            decision = self.decide_between(from, to, &Communication { port: c.port, ..real });
        }
        match decision {
            Decision::Internal => judged(Verdict::Internal, None),
            // Only what passed uses what is allowed.
            Decision::Allowed(line) | Decision::Exception(line) if passed == Some(false) => judged(Verdict::Denied, Some(line)),
            Decision::Allowed(line) => judged(Verdict::Kept, Some(line)),
            Decision::Exception(line) => judged(Verdict::Exception, Some(line)),
            // What goes to many stays on its own link unless the file says where it belongs.
            Decision::Denied if !unknown && self.zones[usize::from(to)].rest && is_of_the_link(real.destination) => {
                judged(Verdict::Internal, None)
            }
            // So does what comes from an address of the link; but what such a one asks of a zone is judged, unless it is what neighbours say to
            // each other (ICMPv6, RFC 4861).
            Decision::Denied
                if self.zones[usize::from(from)].rest
                    && is_of_the_link(real.source)
                    && (!is_link_local(real.source) || real.protocol == Some(58)) =>
            {
                judged(Verdict::Internal, None)
            }
            Decision::Denied => judged(
                match passed {
                    Some(true) if proxied && self.allows_by_way(from, to, &real) => Verdict::Kept,
                    Some(true) if self.hangs_on_what_is_unknown(from, to, &real) => Verdict::Unclear,
                    Some(true) => Verdict::Violation,
                    Some(false) => Verdict::Attempt,
                    None => Verdict::Unclear,
                },
                None,
            ),
        }
    }

    /// The clause of the policy that speaks of a pair of zones.
    pub(crate) fn clause(&self, from: u16, to: u16) -> Option<&str> {
        self.zones[usize::from(from)].clause.as_deref().or(self.zones[usize::from(to)].clause.as_deref())
    }

    /// Whether what goes from one zone to another may be one of two legs through a sanitiser.
    pub(crate) fn is_leg(&self, from: u16, to: u16) -> bool {
        self.table.is_leg(from, to)
    }

    /// Whether a line would allow it with another protocol or port, and the event does not say which it had: a later fragment has no
    /// port.
    fn hangs_on_what_is_unknown(&self, from: u16, to: u16, c: &Communication) -> bool {
        let protocols = c.protocol.map_or(0..=u8::MAX, |p| p..=p);
        let lines = self.table.lines(from, to).iter();
        let mut services = lines.filter(|line| line.is_about(c)).flat_map(|line| &line.service);
        (c.protocol.is_none() || c.port.is_none())
            && services.any(|s| {
                let ported = matches!(s.protocol, Some(6 | 17 | 132));
                s.protocol.is_none_or(|p| protocols.contains(&p))
                    && (c.protocol.is_none() || ported)
                    && c.port.is_none_or(|port| (s.low..=s.high).contains(&port))
            })
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Whether an address never leaves its link: groups, all, none, those of the link and of the host itself.
fn is_of_the_link(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified() || ip.is_loopback() || is_link_local(ip.into())
        }
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified() || ip.is_loopback() || is_link_local(ip.into()),
    }
}

/// A value as the policy would compare it; for tests of other crates.
pub fn verdict_of(event: EventRef<'_>) -> Option<&str> {
    match event.get(FieldId::POLICY_VERDICT) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}
