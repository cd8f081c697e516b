//! Scans: a source that tries many ports of a host, one port of many hosts, or many hosts whatever the port, and mostly fails, or says nothing
//! where it is answered.
//!
//! Counts go over an episode: as long as tries follow each other with no longer pause than the gap, and for so many gaps at most, so that a
//! day's dead links do not add up. Beside the counts stands the
//! sequential test of Jung, Paxson, Berger, Balakrishnan (2004, "Fast Portscan Detection Using Sequential Hypothesis Testing"): each first
//! contact that fails makes a scanner four times likelier, each that succeeds four times less. An alert comes again when ten times as many
//! were tried. Scanners outside that share the work are counted by their network (/24, /64) too: no address of it does enough alone. And strangers who do so by what they are after: many of them,
//! a few tries each, within minutes many more than that port is usually tried by.

use std::collections::BTreeMap;

use event::{EventId, Time};
use serde::{Deserialize, Serialize};

use super::mail::SMTP;
use super::observe::{Answer, Observation, What};
use super::sketch::{Distinct, mix};
use super::{Found, Parameters, View, site};
use crate::calendar::{date, day_and_second};
use crate::table::Table;

/// The logarithm of what one first contact changes: (1 - 0.2) / (1 - 0.8) on failure, its inverse on success.
const STEP: f64 = 1.386_294;
/// The sum at which a source is taken for a scanner: detection 0.99, false alarms 0.01.
const ACCEPT: f64 = 4.595_12;
/// The sum below which the walk does not sink, so that a scan after much good traffic is seen.
const FLOOR: f64 = -ACCEPT;
/// Addresses or ports that an alert names.
const EXAMPLES_MAX: usize = 16;
/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;

/// How long an episode is at most, in gaps.
const EPISODE_GAPS: i64 = 24;
/// Of strangers outside, on ports that no service has (RFC 6335 §6), so many times the hosts must be tried and such a share fail: programs that
/// share files, and calls, try many too, of whom some are there; of who is picked at random hardly any is. Whoever keeps at it `peers` tells.
const STRANGERS_TIMES: u64 = 3;
const STRANGERS_FAILED_SHARE: f64 = 0.85;
const STRANGE_PORT_MIN: u16 = 1024;

/// Of tries of which nobody tells what became of them so many times more are needed.
const UNTOLD_TIMES: u64 = 3;

/// Of the mail servers to which a mail server brings mail many are gone, or do not want it.
const MAIL_FAILED_SHARE: f64 = 0.6;
/// Ports of pages; and those to which traceroute sends, one by one (traceroute(8): 33434 and on, three a hop).
const BROWSED: [u16; 2] = [80, 443];
const TRACED: std::ops::RangeInclusive<u16> = 33_434..=33_690;

type Set = Distinct<128, 11>;

#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
enum Key {
    /// Tenant, source, destination, protocol: ports of one host.
    Ports(u32, u128, u128, u8),
    /// Tenant, source, port, protocol: hosts on one port.
    Hosts(u32, u128, u16, u8),
    /// Tenant, source: first contacts.
    Contacts(u32, u128),
    /// Tenant, network outside, port, protocol: hosts on one port, by several sources.
    Network(u32, u128, u16, u8),
    /// Tenant, source: first contacts with strangers outside on ports of no service.
    Strangers(u32, u128),
}

/// Who looks for hosts by ARP asks for so many times the hosts of pings, within so long, and of them such a share gives no answer: a router asks for
/// whom it has something for, and a sensor may not see what is answered to one host alone.
const ASKED_TIMES: u64 = 2;
const ASKED_NS: i64 = 60_000_000_000;
const ASKED_FAILED_SHARE: f64 = 0.75;
/// Of ICMP's rare requests so many times fewer than of pings.
const REQUESTS_PART: u64 = 3;
/// Of a network so many times the hosts that one source needs: many customers of a provider are as many strangers.
const NETWORK_TIMES: u64 = 4;
/// What one provider gives to one customer, or a little more, is /24, /64; and at least so many of its addresses.
const NETWORK_SOURCES_MIN: u64 = 4;

/// How long tries of strangers on one port are counted together, in gaps; and how long it is remembered what is usual.
const STRANGERS_GAPS: i64 = 2;
const USUAL_NS: i64 = 86_400_000_000_000;
/// More than usual by so much; what was usual fades by a tenth each time.
const USUAL_TIMES: f64 = 4.0;
const USUAL_FADES: f64 = 0.9;

/// Tries on one port from anywhere outside.
#[derive(Default, Deserialize, Serialize)]
struct Strangers {
    start: i64,
    tries: u64,
    sources: Distinct<64, 9>,
    hosts: Distinct<64, 9>,
    /// How many sources there were at most, before.
    usual: f64,
    told: bool,
    examples: Vec<u128>,
    evidence: Vec<EventId>,
}

#[derive(Default, Deserialize, Serialize)]
struct Episode {
    begun: bool,
    start: i64,
    last: i64,
    failed: Set,
    succeeded: Set,
    likelihood: f64,
    /// The count at which the next alert comes; 0 before the first.
    next: u64,
    examples: Vec<u128>,
    evidence: Vec<EventId>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Scan {
    episodes: Table<Key, Episode>,
    /// Who takes part, where several addresses of a network scan.
    parts: Table<Key, Distinct<16, 6>>,
    /// By tenant, port and protocol.
    strangers: Table<(u32, u16, u8), Strangers>,
    /// Where the rule wants one: by tenant, who scanned on the day that goes on.
    digests: BTreeMap<u32, Digest>,
}

/// Who scanned on one day in Japan: scanners outside are the weather, told of once a day.
#[derive(Default, Deserialize, Serialize)]
struct Digest {
    day: i64,
    start: i64,
    /// By address: how many hosts or ports failed, at most, and by which kind of scan.
    scanners: BTreeMap<u128, (u64, String)>,
    /// Further scanners, of which only their number is kept.
    beyond: u64,
}

/// Scanners of one day that a digest tells apart.
const SCANNERS_MAX: usize = 1000;

impl Scan {
    pub(super) fn new(p: &Parameters) -> Scan {
        Scan {
            episodes: Table::new(p.entries_max),
            parts: Table::new(p.entries_max),
            strangers: Table::new(p.entries_max),
            digests: BTreeMap::new(),
        }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        let evicted = self.episodes.evicted() + self.parts.evicted() + self.strangers.evicted();
        (evicted, self.episodes.byte_len() + self.parts.byte_len() + self.strangers.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Flow || o.continued || view.to_many || o.source == 0 || o.destination == 0 {
            return;
        }
        if p.class == if view.source_inside { "outside" } else { "inside" } {
            return;
        }
        if view.protocol() == "arp" {
            return self.asked(view, p, found);
        }
        let ping = matches!((o.transport, o.icmp), (1, None | Some(8 | 13 | 15 | 17)) | (58, Some(128)));
        // A connection that says nothing was a try too; but browsers open some to the web that they never need.
        let probe = o.said_nothing() && (view.destination_inside || !BROWSED.contains(&o.port));
        let tcp_or_udp = matches!(o.transport, 6 | 17 | 132);
        // Of what a device lets pass and does not count nobody knows whether it was answered: a few pages and mails are asked for, not many
        // ports of one host or many hosts on one port.
        let untold = is_untold(o) && tcp_or_udp && !BROWSED.contains(&o.port) && o.port != SMTP && !is_strange(view);
        let failed = o.answer.failed() || ping || probe || untold;
        let tells = ping || tcp_or_udp && (o.answer != Answer::Unknown || untold);
        let traced = o.transport == 17 && TRACED.contains(&o.port);
        if !tells || traced || o.is_stray() {
            return;
        }
        if failed && view.expected(p) {
            return;
        }
        self.episodes.expire(o.time.saturating_sub(p.gap));
        let (host, port) = (mix(o.destination), mix(u128::from(o.port)));
        // A service that answers others is known: that it fails now is an outage, not a try in the dark.
        let dark = view.service.is_none_or(|service| probe && service.all() <= 1);
        if ping {
            // Nobody asks for the time or the mask of several hosts but who looks around.
            let (kind, of) = match o.icmp.filter(|_| o.transport == 1) {
                Some(kind @ (13 | 15 | 17)) => (u16::from(kind), "requests"),
                _ => (0, "pings"),
            };
            self.count(Key::Hosts(o.tenant, o.source, kind, 1), of, host, true, o.destination, view, p, found);
            return;
        }
        // Each failure is counted in all three ways, this one last: where it is not, neither are the others.
        let contacts = if is_strange(view) { Key::Strangers(o.tenant, o.source) } else { Key::Contacts(o.tenant, o.source) };
        let counted = if failed { dark } else { self.episodes.get(&contacts).is_some() };
        if counted {
            self.count(Key::Hosts(o.tenant, o.source, o.port, o.transport), "hosts", host, failed, o.destination, view, p, found);
            let shown = u128::from(o.port);
            self.count(Key::Ports(o.tenant, o.source, o.destination, o.transport), "ports", port, failed, shown, view, p, found);
            if untold {
                return;
            }
            self.count(contacts, "contacts", host, failed, o.destination, view, p, found);
            if !view.source_inside && p.digest == "yes" {
                let network = Key::Network(o.tenant, site::network(o.source, 24, 64), o.port, o.transport);
                self.parts.expire(o.time.saturating_sub(p.gap));
                self.parts.entry(network, o.time).insert(mix(o.source));
                self.count(network, "network", host, failed, o.destination, view, p, found);
                if failed {
                    self.strangers(view, p, found);
                }
            }
        }
    }

    /// Who has an address, asked by ARP; an answer tells that it was good to ask.
    fn asked(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.source == o.destination || o.answer == Answer::Unknown || view.expected(p) {
            return;
        }
        self.episodes.expire(o.time.saturating_sub(p.gap));
        let key = Key::Hosts(o.tenant, o.source, 0, 0);
        if self.episodes.get(&key).is_some_and(|episode| episode.next == 0 && o.time.saturating_sub(episode.start) > ASKED_NS) {
            self.episodes.remove(&key);
        }
        self.count(key, "asked", mix(o.destination), o.answer != Answer::Yes, o.destination, view, p, found);
    }

    /// A try from outside that failed, with those of everybody else on that port.
    fn strangers(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        self.strangers.expire(o.time.saturating_sub(USUAL_NS));
        let all = self.strangers.entry((o.tenant, o.port, o.transport), o.time);
        if o.time.saturating_sub(all.start) > p.gap.saturating_mul(STRANGERS_GAPS) {
            let usual = (all.sources.count() as f64).max(all.usual * USUAL_FADES);
            *all = Strangers { start: o.time, usual, ..Strangers::default() };
        }
        all.tries += 1;
        all.hosts.insert(mix(o.destination));
        if all.sources.insert(mix(o.source)) && all.examples.len() < EXAMPLES_MAX {
            all.examples.push(o.source);
        }
        if all.evidence.len() < EVIDENCE_MAX {
            all.evidence.push(o.event);
        }
        let (sources, hosts, least) = (all.sources.count(), all.hosts.count(), p.hosts * NETWORK_TIMES);
        // Each has a few tries, and they do not ask for one thing that many want.
        let shared = sources >= least && hosts >= least && all.tries <= sources * 2;
        if all.told || !shared || (sources as f64) < all.usual * USUAL_TIMES {
            return;
        }
        all.told = true;
        let kind = "hosts on one port, by many addresses of many networks";
        let mut f = Found::at(view, &["destination.port", "network.transport"]);
        f.group.insert("scan".to_owned(), kind.to_owned());
        f.start = all.start;
        f.evidence.clone_from(&all.evidence);
        f.explain("kind", kind);
        f.explain("sources", sources);
        f.explain("failed", hosts);
        f.explain("usual_sources", all.usual.round());
        f.seconds("span_s", o.time - all.start);
        f.explain("examples", site::listed(&all.examples));
        found.push(self.digests.entry(o.tenant).or_default().add(f, o.source, hosts, kind));
    }

    #[expect(clippy::too_many_arguments, reason = "one try, counted in each of three ways")]
    fn count(
        &mut self,
        key: Key,
        of: &'static str,
        value: u64,
        failed: bool,
        shown: u128,
        view: &View<'_>,
        p: &Parameters,
        found: &mut Vec<Found>,
    ) {
        let o = view.o;
        // An episode begins with a failure; without one there is nothing to weigh.
        if !failed && self.episodes.get(&key).is_none() {
            return;
        }
        let episode = self.episodes.entry(key, o.time);
        if !episode.begun || o.time.saturating_sub(episode.last) > p.gap {
            *episode = Episode { begun: true, start: o.start, ..Episode::default() };
        } else if o.time.saturating_sub(episode.start) > p.gap.saturating_mul(EPISODE_GAPS) {
            // What goes on was told of.
            *episode = Episode { begun: true, start: o.start, next: episode.next, ..Episode::default() };
        }
        episode.last = o.time;
        let first = if failed { episode.failed.insert(value) } else { episode.succeeded.insert(value) };
        if first {
            episode.likelihood = (episode.likelihood + if failed { STEP } else { -STEP }).max(FLOOR);
        }
        if !failed || !first {
            return;
        }
        if episode.examples.len() < EXAMPLES_MAX {
            episode.examples.push(shown);
        }
        if episode.evidence.len() < EVIDENCE_MAX {
            episode.evidence.push(o.event);
        }
        let count = episode.failed.count();
        let share = count as f64 / (count + episode.succeeded.count()).max(1) as f64;
        let strange = is_strange(view) && matches!(of, "hosts" | "contacts");
        let least = match of {
            "ports" if is_untold(o) => p.ports * UNTOLD_TIMES,
            "hosts" if is_untold(o) => p.hosts * UNTOLD_TIMES,
            "ports" => p.ports,
            "hosts" if strange => p.hosts * STRANGERS_TIMES,
            "hosts" => p.hosts,
            "pings" => p.pings,
            "requests" => p.pings / REQUESTS_PART,
            "asked" => p.pings * ASKED_TIMES,
            "network" => p.hosts * NETWORK_TIMES,
            _ => p.contacts,
        };
        let enough = count >= episode.next.max(least) && episode.last - episode.start >= p.span;
        let share_min = match of {
            "asked" => p.failed_share.max(ASKED_FAILED_SHARE),
            _ if strange => p.failed_share.max(STRANGERS_FAILED_SHARE),
            "hosts" if view.role.mail && o.port == SMTP => p.failed_share.max(MAIL_FAILED_SHARE),
            _ => p.failed_share,
        };
        let likely = match of {
            "contacts" => episode.likelihood >= ACCEPT && share >= share_min,
            "network" => share >= p.failed_share && self.parts.get(&key).is_some_and(|all| all.count() >= NETWORK_SOURCES_MIN),
            _ => share >= share_min,
        };
        if !enough || !likely {
            return;
        }
        episode.next = count * 10;
        let (group, kind): (&[&str], _) = match of {
            "ports" => (&["source.ip", "destination.ip", "network.transport"], "ports of one host"),
            "hosts" => (&["source.ip", "destination.port", "network.transport"], "hosts on one port"),
            "pings" | "requests" => (&["source.ip", "network.transport"], "hosts by ping"),
            "asked" => (&["source.ip"], "hosts by ARP"),
            "network" => (&["destination.port", "network.transport"], "hosts on one port, by several addresses of a network"),
            _ => (&["source.ip"], "hosts on any port"),
        };
        let mut f = Found::at(view, group);
        f.group.insert("scan".to_owned(), kind.to_owned());
        f.start = episode.start;
        f.evidence.clone_from(&episode.evidence);
        f.evidence.push(o.event);
        f.explain("kind", kind);
        f.explain("source_class", if view.source_inside { "inside" } else { "outside" });
        f.explain("failed", count);
        f.explain("failed_is_exact", episode.failed.is_exact());
        f.explain("succeeded", episode.succeeded.count());
        f.score("failed_share", share);
        f.score("likelihood_ratio_log", episode.likelihood);
        f.seconds("span_s", episode.last - episode.start);
        let examples: Vec<String> = episode
            .examples
            .iter()
            .map(|shown| if of == "ports" { shown.to_string() } else { site::address(*shown).to_string() })
            .collect();
        f.explain("examples", examples.join(" "));
        if p.digest == "yes" {
            let digest = self.digests.entry(o.tenant).or_default();
            let source = if of == "network" { site::network(o.source, 24, 64) } else { o.source };
            found.push(digest.add(f, source, count, kind));
        } else {
            found.push(f);
        }
    }
}

/// Whether it passed and that is all that is known: a device told of its first packet.
fn is_untold(o: &Observation) -> bool {
    o.answer == Answer::Unknown && o.packets == 0 && o.passed == Some(true)
}

/// Whether it goes from inside to a stranger outside, on a port that no service has.
fn is_strange(view: &View<'_>) -> bool {
    view.source_inside && !view.destination_inside && view.o.port >= STRANGE_PORT_MIN
}

impl Digest {
    /// Adds a scan; gives what is told of the whole day so far.
    fn add(&mut self, scan: Found, source: u128, count: u64, kind: &str) -> Found {
        let (day, _) = day_and_second(Time::from_unix_ns(scan.time));
        if day > self.day {
            *self = Digest { day, start: scan.start, ..Digest::default() };
        }
        self.start = self.start.min(scan.start);
        let full = self.scanners.len() >= SCANNERS_MAX;
        match self.scanners.get_mut(&source) {
            Some(most) if most.0 >= count => {}
            Some(most) => *most = (count, kind.to_owned()),
            None if full => self.beyond += 1,
            None => {
                self.scanners.insert(source, (count, kind.to_owned()));
            }
        }
        let mut most: Vec<_> = self.scanners.iter().collect();
        most.sort_by_key(|(source, (count, _))| (std::cmp::Reverse(*count), **source));
        let told = |(source, (count, kind)): &(&u128, &(u64, String))| format!("{} ({count} {kind})", site::address(**source));
        let mut f = Found { start: self.start, explanation: BTreeMap::new(), ..scan };
        f.group = BTreeMap::from([("scan".to_owned(), "scanners of one day".to_owned()), ("day".to_owned(), date(self.day))]);
        f.explain("scanners", self.scanners.len() as u64 + self.beyond);
        f.explain("most", most.iter().take(EXAMPLES_MAX).map(told).collect::<Vec<_>>().join(", "));
        f
    }
}
