//! Which terminal stood behind an address at a time: from the records of address translation, of proxies that say for whom they ask, and
//! of leases, as they are stored.
//!
//! ```text
//!  address, port, time ─▶ translations ─▶ address inside ─▶ forwarded for ─▶ address of the terminal ─▶ leases ─▶ its name
//! ```
//!
//! Two devices' clocks differ, and a port is given to the next terminal at once. So a name is given only where no other terminal can have had
//! the address at that time, clocks off by [`CLOCKS_NS`] both ways; else the answer is *ambiguous* and names them all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Response};
use event::{EventId, Time};
use index::{Hit, IndexError, SearchLimits, SearchRequest, Sort};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::search::{self, On};
use crate::server::Shared;
use crate::store::Identity;

const SECOND_NS: i64 = 1_000_000_000;
/// How far the clocks of two devices may be apart.
const CLOCKS_NS: i64 = 2 * SECOND_NS;
/// How far from the time records of a translation are looked for; of a lease, before it.
const TRANSLATIONS_NS: i64 = 24 * 3600 * SECOND_NS;
const LEASES_NS: i64 = 8 * 24 * 3600 * SECOND_NS;
/// How far from the time a proxy's record is its own.
const FORWARDED_NS: i64 = 60 * SECOND_NS;
/// Records of one step, before the time and after it, the nearest.
const RECORDS_MAX: usize = 500;
/// Addresses, or names, that an ambiguous answer tells.
const CANDIDATES_MAX: usize = 20;

/// How sure an answer is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confidence {
    /// Nothing tells.
    Unknown,
    /// Several can have had it.
    Ambiguous,
    /// Nobody else is known to have had it.
    Likely,
    /// A record covers the time.
    Certain,
}

/// Somebody had something, from a time to a time; an end that no record tells is open.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Held<W> {
    who: W,
    from: Option<i64>,
    to: Option<i64>,
    event: Option<EventId>,
}

/// Who had it at `at`, of those who held it one after the other. Each open end reaches as far as the next or previous holder's known end.
fn decide<W: Clone + Ord>(held: &[Held<W>], at: i64) -> (Confidence, BTreeSet<W>) {
    let mut possible: BTreeSet<W> = BTreeSet::new();
    let mut certain: BTreeSet<W> = BTreeSet::new();
    let mut covered = false;
    for one in held {
        let others = || held.iter().filter(|other| other.who != one.who);
        // When another one is known to have begun after it, or ended before it.
        let known_from = one.from.or(one.to).unwrap_or(at);
        let known_to = one.to.or(one.from).unwrap_or(at);
        let until = one.to.or_else(|| others().filter_map(|other| other.from).filter(|from| *from >= known_from).min());
        let since = one.from.or_else(|| others().filter_map(|other| other.to).filter(|to| *to <= known_to).max());
        let (low, high) = (since.unwrap_or(i64::MIN), until.unwrap_or(i64::MAX));
        if low.saturating_sub(CLOCKS_NS) <= at && at <= high.saturating_add(CLOCKS_NS) {
            possible.insert(one.who.clone());
            covered |= known_from <= at && at <= known_to;
        }
        if known_from.saturating_add(CLOCKS_NS) < at && at < known_to.saturating_sub(CLOCKS_NS) {
            certain.insert(one.who.clone());
        }
    }
    match (certain.len(), possible.len()) {
        // Two cannot have it at once: whoever only touches the time by what clocks may differ has not.
        (1, _) => (Confidence::Certain, certain),
        (0, 0) => (Confidence::Unknown, possible),
        (0, 1) => (if covered { Confidence::Certain } else { Confidence::Likely }, possible),
        _ => (Confidence::Ambiguous, possible),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    ip: String,
    port: Option<u16>,
    at: Option<String>,
    transport: Option<String>,
}

#[derive(Debug, Serialize)]
struct Step {
    /// `translation`, `forwarded` or `lease`.
    by: &'static str,
    confidence: Confidence,
    /// Whom the step leads to: addresses, or for a lease the hardware address and what is known with it.
    to: Vec<Value>,
    /// Records that say so.
    events: Vec<EventId>,
}

pub(crate) async fn attribution(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(asked): Query<Parameters>,
) -> Result<Response, Problem> {
    let now = shared.api.clock.now();
    let ip: IpAddr = asked.ip.parse().map_err(|_| Problem::bad("bad_address", format!("{:?} is no address", asked.ip)))?;
    let at = search::instant(asked.at.as_deref(), "at", now)?.unwrap_or(now);
    if asked.transport.as_deref().is_some_and(|t| !t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')) {
        return Err(Problem::bad("bad_transport", "transport is a name such as tcp".to_owned()));
    }
    let (port, transport) = (asked.port, asked.transport);
    let steps = search::run(&shared, &identity, search::SEARCH_NS_MAX, move |on, limits| {
        let look = Look { on, limits, now, at: at.unix_ns() };
        look.all(ip, port, transport.as_deref())
    })
    .await?;
    let confidence = steps.iter().map(|step| step.confidence).min().unwrap_or(Confidence::Unknown);
    let last = |by: &[&str]| steps.iter().rev().find(|step| by.contains(&step.by) && step.confidence >= Confidence::Likely);
    let named = |step: Option<&Step>| step.and_then(|step| step.to.first()).cloned();
    // What is ambiguous on the way names nobody.
    let terminal = (confidence >= Confidence::Likely).then(|| {
        let address = named(last(&["translation", "forwarded"])).unwrap_or_else(|| json!({"ip": ip}));
        json!({"address": address, "lease": named(last(&["lease"]))})
    });
    Ok(Json(json!({"ip": ip, "port": port, "at": at, "confidence": confidence, "terminal": terminal, "steps": steps}))
        .into_response())
}

/// What a search found.
struct Records {
    hits: Vec<Hit>,
    /// Whether there are no others.
    all: bool,
}

impl Records {
    /// How sure what they tell is: where there are others, one of those may have had it.
    fn sure(&self, confidence: Confidence) -> Confidence {
        if self.all || confidence == Confidence::Unknown { confidence } else { Confidence::Ambiguous }
    }
}

/// The searches of one question.
struct Look<'s> {
    on: &'s On,
    limits: &'s SearchLimits,
    now: Time,
    at: i64,
}

impl Look<'_> {
    fn all(&self, ip: IpAddr, port: Option<u16>, transport: Option<&str>) -> Result<Vec<Step>, IndexError> {
        let mut steps = Vec::new();
        let mut at_ip = Some((ip, port));
        if let Some(step) = self.translation(ip, port, transport)? {
            at_ip = one_address(&step);
            steps.push(step);
        }
        if let Some((ip, port)) = at_ip
            && let Some(step) = self.forwarded(ip, port)?
        {
            at_ip = one_address(&step);
            steps.push(step);
        }
        if let Some((ip, _)) = at_ip
            && let Some(step) = self.lease(ip)?
        {
            steps.push(step);
        }
        Ok(steps)
    }

    /// The records of a time, those nearest to what was asked for; and whether these are all.
    fn search(&self, query: &str, from: i64, to: i64) -> Result<Records, IndexError> {
        let mut records = Records { hits: Vec::new(), all: true };
        // The queries are ours, and valid.
        let Ok(query) = search::parse(query, self.now) else { return Ok(records) };
        let at = self.at.clamp(from, to);
        for (from, to, sort) in [(from, at, Sort::Desc), (at, to, Sort::Asc)] {
            let mut request = SearchRequest::new(query.clone());
            (request.from, request.to) = (Some(Time::from_unix_ns(from)), Some(Time::from_unix_ns(to)));
            (request.size, request.sort) = (RECORDS_MAX, sort);
            let found = self.on.searcher.search(&request, self.limits)?;
            records.all &= found.complete && found.total_exact && found.total <= RECORDS_MAX as u64;
            records.hits.extend(found.hits);
        }
        Ok(records)
    }

    /// Who stood behind a translated address.
    fn translation(&self, ip: IpAddr, port: Option<u16>, transport: Option<&str>) -> Result<Option<Step>, IndexError> {
        let mut query = format!("source.nat.ip:\"{ip}\"");
        if let Some(port) = port {
            query += &format!(" AND source.nat.port:{port}");
        }
        if let Some(transport) = transport {
            query += &format!(" AND network.transport:\"{transport}\"");
        }
        let records = self.search(&query, self.at - TRANSLATIONS_NS, self.at + TRANSLATIONS_NS)?;
        let held: Vec<Held<(IpAddr, Option<u16>)>> = records.hits.iter().filter_map(translated).collect();
        if held.is_empty() {
            return Ok(None);
        }
        let (confidence, who) = decide(&closed(held.clone()), self.at);
        let confidence = records.sure(confidence);
        let users: BTreeMap<IpAddr, &str> =
            records.hits.iter().filter_map(|hit| Some((address(hit, "source.ip")?, text(hit, "user.name")?))).collect();
        let to =
            who.iter().take(CANDIDATES_MAX).map(|(ip, port)| json!({"ip": ip, "port": port, "user": users.get(ip)})).collect();
        let events = held.iter().filter(|one| who.contains(&one.who)).filter_map(|one| one.event).take(CANDIDATES_MAX).collect();
        Ok(Some(Step { by: "translation", confidence, to, events }))
    }

    /// For whom a proxy asked.
    fn forwarded(&self, ip: IpAddr, port: Option<u16>) -> Result<Option<Step>, IndexError> {
        let mut query = format!("source.ip:\"{ip}\" AND network.forwarded_ip:*");
        if let Some(port) = port {
            query += &format!(" AND source.port:{port}");
        }
        let around = if port.is_some() { FORWARDED_NS } else { CLOCKS_NS };
        let records = self.search(&query, self.at - around, self.at + around)?;
        let who: BTreeMap<IpAddr, EventId> =
            records.hits.iter().filter_map(|hit| Some((address(hit, "network.forwarded_ip")?, hit.id))).collect();
        // The proxy's word; a client may have put words into its mouth.
        let confidence = match who.len() {
            0 => return Ok(None),
            1 => records.sure(Confidence::Likely),
            _ => Confidence::Ambiguous,
        };
        let to = who.keys().take(CANDIDATES_MAX).map(|ip| json!({"ip": ip})).collect();
        Ok(Some(Step { by: "forwarded", confidence, to, events: who.into_values().take(CANDIDATES_MAX).collect() }))
    }

    /// Who had an address on lease: from a DHCP server, or for a session of a VPN.
    fn lease(&self, ip: IpAddr) -> Result<Option<Step>, IndexError> {
        let sessions = [VPN_BEGINS, VPN_ENDS].concat().iter().map(|code| format!("\"{code}\"")).collect::<Vec<_>>().join(" OR ");
        let of = format!("source.mac:* OR client.mac:* OR (user.name:* AND event.code:({sessions}))");
        let query = format!("(source.ip:\"{ip}\" OR client.ip:\"{ip}\") AND ({of})");
        let records = self.search(&query, self.at - LEASES_NS, self.at + CLOCKS_NS + SECOND_NS)?;
        let held: Vec<Held<Holder>> = records.hits.iter().filter_map(leased).collect();
        if held.is_empty() {
            return Ok(None);
        }
        let (confidence, who) = decide(&closed(renewed(held.clone())), self.at);
        let known = |holder: &Holder| {
            let of: Vec<&Hit> = records.hits.iter().filter(|hit| leased(hit).is_some_and(|one| one.who == *holder)).collect();
            let first = |names: &[&str]| of.iter().find_map(|hit| names.iter().find_map(|name| text(hit, name)));
            // The record's own host is the server.
            let host = first(&["source.domain", "client.domain", "fortinet.firewall.hostname"]);
            match holder {
                Holder::Hardware(mac) => json!({"mac": mac, "host": host, "user": first(&["user.name"])}),
                Holder::User(user) => json!({"mac": null, "host": host, "user": user}),
            }
        };
        let to = who.iter().take(CANDIDATES_MAX).map(known).collect();
        let events = held.iter().filter(|one| who.contains(&one.who)).filter_map(|one| one.event).take(CANDIDATES_MAX).collect();
        Ok(Some(Step { by: "lease", confidence: records.sure(confidence), to, events }))
    }
}

fn one_address(step: &Step) -> Option<(IpAddr, Option<u16>)> {
    let [one] = &step.to[..] else { return None };
    let port = one["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    Some((one["ip"].as_str()?.parse().ok()?, port))
}

/// Joins what is known of one holding by several records: where one tells the begin and the next one the end.
fn closed<W: Clone + Ord>(mut held: Vec<Held<W>>) -> Vec<Held<W>> {
    held.sort_by_key(|one| one.from.or(one.to));
    let mut joined: Vec<Held<W>> = Vec::new();
    for one in held {
        match joined.last_mut() {
            Some(last) if last.who == one.who && last.to.is_none() && one.from.is_none() => last.to = one.to,
            Some(last) if last.who == one.who && last.to.is_none() => {
                // Told again, or held again: nobody else was in between.
                last.to = one.to;
            }
            _ => joined.push(one),
        }
    }
    joined
}

/// Leases that are told of with their end: one that is asked for again goes on, one that is given back before is over.
fn renewed<W: Clone + Ord>(mut held: Vec<Held<W>>) -> Vec<Held<W>> {
    held.sort_by_key(|one| one.from.or(one.to));
    let mut all: Vec<Held<W>> = Vec::new();
    for one in held {
        let at = one.from.or(one.to);
        match all.last_mut() {
            Some(last) if last.who == one.who && last.to.is_some() && at <= last.to => {
                last.to = if one.from.is_none() || one.to.is_none() { one.to } else { last.to.max(one.to) };
            }
            _ => all.push(one),
        }
    }
    all
}

fn translated(hit: &Hit) -> Option<Held<(IpAddr, Option<u16>)>> {
    let who = (address(hit, "source.ip")?, number(hit, "source.port").and_then(|port| u16::try_from(port).ok()));
    let time = hit.time.unix_ns();
    let action = text(hit, "event.action").unwrap_or("").to_ascii_lowercase();
    let begins =
        ["start", "built", "create", "open", "up"].iter().any(|word| action.ends_with(word)) || action == "connection-started";
    let (start, end) = (instant(hit, "event.start"), instant(hit, "event.end"));
    let duration = number(hit, "event.duration");
    let (from, to) = match (start, end, duration) {
        (Some(start), Some(end), _) => (Some(start), Some(end)),
        (_, _, Some(ns)) => (start.or(Some(time - ns)), Some(start.map_or(time, |start| start + ns))),
        (Some(start), None, None) => (Some(start), Some(time)),
        _ if begins => (Some(time), None),
        _ => (None, Some(time)),
    };
    Some(Held { who, from, to, event: Some(hit.id) })
}

/// Who holds a lease: a network card, or whoever logged in to a VPN.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Holder {
    /// The hardware address in RFC 7042's form.
    Hardware(String),
    User(String),
}

/// Records that a VPN gave a user an address, and that it ended: `event.code` of ASA's user identity (746012, 746013) and GlobalProtect.
const VPN_BEGINS: [&str; 2] = ["746012", "gateway-connected"];
const VPN_ENDS: [&str; 2] = ["746013", "gateway-logout"];

fn leased(hit: &Hit) -> Option<Held<Holder>> {
    let time = hit.time.unix_ns();
    let held = |who: Holder, from, to| Some(Held { who, from, to, event: Some(hit.id) });
    let code = text(hit, "event.code").unwrap_or("");
    if let (true, Some(user)) = (VPN_BEGINS.contains(&code) || VPN_ENDS.contains(&code), text(hit, "user.name")) {
        let (from, to) = if VPN_BEGINS.contains(&code) { (Some(time), None) } else { (None, Some(time)) };
        return held(Holder::User(user.to_owned()), from, to);
    }
    let mac = Holder::Hardware(hardware(text(hit, "source.mac").or_else(|| text(hit, "client.mac"))?)?);
    // Many records have a hardware address, also that of the next router: a lease is what DHCP tells.
    let told = ["event.action", "event.code", "fortinet.firewall.dhcp_msg"];
    let told = told.iter().filter_map(|name| text(hit, name)).collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let source = ["mihari.log_source.category", "mihari.log_source.service"].iter().any(|name| text(hit, name) == Some("dhcp"));
    if !source && !told.contains("dhcp") && text(hit, "fortinet.firewall.dhcp_msg").is_none() {
        return None;
    }
    let is = |words: &[&str]| words.iter().any(|word| told.contains(word));
    if is(&["release", "expire", "delete", "revoke"]) {
        return held(mac, None, Some(time));
    }
    if is(&["nak", "offer", "advert", "request", "discover"]) {
        return None;
    }
    is(&["ack", "lease", "assign", "renew", "bound", "new", "start"]).then_some(())?;
    let lasts = ["lease", "lease_s", "lease_time", "lease_duration"];
    let lasts = hit.fields.iter().find(|(name, _)| name.rsplit('.').next().is_some_and(|end| lasts.contains(&end)));
    let seconds = lasts.and_then(|(_, value)| first(value).as_i64().or_else(|| first(value).as_str()?.parse().ok()));
    held(mac, Some(time), seconds.filter(|s| (0..=LEASE_S_MAX).contains(s)).map(|s| time.saturating_add(s * SECOND_NS)))
}

/// The longest lease, in seconds, that ends: more is one without an end (RFC 2131, section 3.3, has 0xffffffff for it).
const LEASE_S_MAX: i64 = 0xffff_fffe;

/// A hardware address as RFC 7042 writes it, from its usual forms; none where it has no six octets.
fn hardware(text: &str) -> Option<String> {
    let digits: Vec<u8> = text.bytes().filter(|b| !matches!(b, b':' | b'-' | b'.')).map(|b| b.to_ascii_uppercase()).collect();
    let valid = digits.len() == 12 && digits.iter().all(u8::is_ascii_hexdigit);
    valid.then(|| digits.chunks(2).map(|two| String::from_utf8_lossy(two).into_owned()).collect::<Vec<_>>().join("-"))
}

fn first(value: &Value) -> &Value {
    value.as_array().and_then(|all| all.first()).unwrap_or(value)
}

fn text<'h>(hit: &'h Hit, name: &str) -> Option<&'h str> {
    hit.fields.get(name).and_then(|value| first(value).as_str())
}

fn number(hit: &Hit, name: &str) -> Option<i64> {
    hit.fields.get(name).and_then(|value| first(value).as_i64())
}

fn address(hit: &Hit, name: &str) -> Option<IpAddr> {
    text(hit, name)?.parse().ok()
}

fn instant(hit: &Hit, name: &str) -> Option<i64> {
    let time: Time = text(hit, name)?.parse().ok()?;
    Some(time.unix_ns())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(who: char, from: Option<i64>, to: Option<i64>) -> Held<char> {
        Held { who, from: from.map(|s| s * SECOND_NS), to: to.map(|s| s * SECOND_NS), event: None }
    }

    #[test]
    fn p07_a_port_used_again_names_the_right_terminal_or_none() {
        use Confidence::{Ambiguous, Certain, Likely, Unknown};
        let two = [held('a', Some(0), Some(100)), held('b', Some(130), Some(200))];
        let quick = [held('a', Some(0), Some(100)), held('b', Some(101), Some(200))];
        let begins = [held('a', Some(0), None), held('b', Some(130), None)];
        let ends = [held('a', None, Some(100)), held('b', None, Some(200))];
        for (held, at, confidence, who) in [
            (&two, 50, Certain, "a"),
            (&two, 99, Certain, "a"),
            (&two, 101, Likely, "a"),
            (&two, 115, Unknown, ""),
            (&two, 150, Certain, "b"),
            (&quick, 50, Certain, "a"),
            (&quick, 99, Ambiguous, "ab"),
            (&quick, 100, Ambiguous, "ab"),
            (&quick, 102, Ambiguous, "ab"),
            (&quick, 110, Certain, "b"),
            // No record tells the end: whoever began last has it, but right at the change.
            (&begins, 60, Likely, "a"),
            (&begins, 129, Ambiguous, "ab"),
            (&begins, 140, Likely, "b"),
            (&ends, 60, Likely, "a"),
            (&ends, 150, Likely, "b"),
            (&ends, 101, Ambiguous, "ab"),
        ] {
            let (found, names) = decide(held, at * SECOND_NS);
            assert_eq!((found, names.into_iter().collect::<String>().as_str()), (confidence, who), "{held:?} at {at}");
        }
        assert_eq!(decide::<char>(&[], 0).0, Unknown);
    }

    /// Thousands of ports that go from terminal to terminal within a minute, told by a device whose clock is off: never a wrong name.
    #[test]
    fn p07_no_wrong_name_ever() {
        let mut state = 1u64;
        let mut roll = |below: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % below
        };
        let (mut right, mut asked) = (0, 0);
        for _ in 0..3000 {
            // The truth, in milliseconds, and what the device writes of it.
            let (mut at, mut truth, mut told) = (0, Vec::new(), Vec::new());
            let off = roll(4001) - 2000;
            let style = roll(3);
            for _ in 0..2 + roll(5) {
                at += roll(60_000);
                let (who, from) = (roll(4), at);
                at += 1 + roll(120_000);
                truth.push((who, from, at));
                let ns = |ms: i64| Some((ms + off) * 1_000_000);
                let (from, to) = match style {
                    0 => (ns(from), ns(at)),
                    1 => (ns(from), None),
                    _ => (None, ns(at)),
                };
                told.push(Held { who, from, to, event: None });
            }
            let told = closed(told);
            for (who, from, to) in &truth {
                let moment = from + roll(to - from + 1);
                let (confidence, names) = decide(&told, moment * 1_000_000);
                asked += 1;
                if confidence >= Confidence::Likely {
                    assert_eq!(
                        names.into_iter().collect::<Vec<_>>(),
                        [*who],
                        "{truth:?} {told:?} at {moment}, clock off by {off}"
                    );
                    right += 1;
                }
            }
        }
        assert!(right * 2 > asked, "{right} of {asked} were named");
    }

    #[test]
    fn records_are_read_for_who_held_what_and_when() {
        let hit = |fields: &[(&str, Value)]| Hit {
            id: "1-0".parse().unwrap_or_default(),
            time: Time::from_unix_s(1000),
            received: Time::from_unix_s(1000),
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        };
        let ip = ("source.ip", json!("10.3.16.9"));
        let built = translated(&hit(&[ip.clone(), ("event.action", json!("connection-started"))])).expect("held");
        assert_eq!((built.from, built.to), (Some(1000 * SECOND_NS), None));
        let ended = translated(&hit(&[ip.clone(), ("event.duration", json!(30 * SECOND_NS))])).expect("held");
        assert_eq!((ended.from, ended.to), (Some(970 * SECOND_NS), Some(1000 * SECOND_NS)));
        let dhcp = ("mihari.log_source.category", json!("dhcp"));
        let lease =
            |told: &[(&str, Value)]| leased(&hit(&[&[ip.clone(), ("source.mac", json!("00:11:22:33:44:aa"))], told].concat()));
        let ack = lease(&[dhcp.clone(), ("event.action", json!("DHCPACK")), ("isc_dhcp.lease_s", json!(600))]).expect("a lease");
        assert_eq!((&ack.who, ack.to), (&Holder::Hardware("00-11-22-33-44-AA".to_owned()), Some(1600 * SECOND_NS)));
        for (told, from, to) in [
            (vec![dhcp.clone(), ("event.code", json!("DHCP4_LEASE_ALLOC"))], Some(1000), None),
            (vec![("mihari.log_source.service", json!("dhcp")), ("event.action", json!("assign"))], Some(1000), None),
            (
                vec![("fortinet.firewall.dhcp_msg", json!("Ack")), ("fortinet.firewall.lease", json!("60"))],
                Some(1000),
                Some(1060),
            ),
            (vec![dhcp.clone(), ("event.action", json!("DHCPRELEASE"))], None, Some(1000)),
            (vec![dhcp.clone(), ("event.action", json!("DHCPACK")), ("x.lease_time", json!(i64::MAX))], Some(1000), None),
        ] {
            let held = lease(&told).expect("a lease");
            assert_eq!((held.from, held.to), (from.map(|s| s * SECOND_NS), to.map(|s| s * SECOND_NS)), "{told:?}");
            assert_eq!(held.who, ack.who, "{told:?}");
        }
        for action in ["DHCPDISCOVER", "DHCPNAK", "DHCPOFFER", "DHCPREQUEST", ""] {
            assert!(lease(&[dhcp.clone(), ("event.action", json!(action))]).is_none(), "{action}");
        }
        // A firewall's session has the hardware address of whoever handed it the packet.
        assert!(lease(&[("mihari.log_source.category", json!("firewall")), ("event.action", json!("start"))]).is_none());
        for (code, from, to) in
            [("746012", Some(1000), None), ("gateway-connected", Some(1000), None), ("gateway-logout", None, Some(1000))]
        {
            let held =
                leased(&hit(&[ip.clone(), ("event.code", json!(code)), ("user.name", json!("hanako"))])).expect("a session");
            assert_eq!(held.who, Holder::User("hanako".to_owned()));
            assert_eq!((held.from, held.to), (from.map(|s: i64| s * SECOND_NS), to.map(|s: i64| s * SECOND_NS)), "{code}");
        }
    }

    #[test]
    fn a_lease_goes_on_when_it_is_renewed_and_ends_when_it_is_given_back() {
        use Confidence::{Ambiguous, Certain, Unknown};
        let given_back = [
            held('a', Some(0), Some(600)),
            held('a', Some(300), Some(900)),
            held('a', None, Some(400)),
            held('b', Some(450), Some(1050)),
        ];
        // Nobody gave it back: both can have it.
        let overlapping = [held('a', Some(0), Some(600)), held('b', Some(300), Some(900))];
        for (held, at, confidence, who) in [
            (&given_back[..], 350, Certain, "a"),
            (&given_back[..], 430, Unknown, ""),
            (&given_back[..], 500, Certain, "b"),
            (&given_back[..2], 700, Certain, "a"),
            (&overlapping[..], 100, Certain, "a"),
            (&overlapping[..], 450, Ambiguous, "ab"),
            (&overlapping[..], 700, Certain, "b"),
        ] {
            let (found, names) = decide(&closed(renewed(held.to_vec())), at * SECOND_NS);
            assert_eq!((found, names.into_iter().collect::<String>().as_str()), (confidence, who), "{held:?} at {at}");
        }
    }

    #[test]
    fn hardware_addresses_have_one_form() {
        for text in ["aa:bb:cc:00:11:22", "AA-BB-CC-00-11-22", "aabb.cc00.1122", "AABBCC001122"] {
            assert_eq!(hardware(text).as_deref(), Some("AA-BB-CC-00-11-22"), "{text}");
        }
        assert_eq!((hardware("a"), hardware("zz:bb:cc:00:11:22")), (None, None));
    }

    #[test]
    fn where_there_are_other_records_nobody_is_named() {
        use Confidence::{Ambiguous, Certain, Unknown};
        let records = |all| Records { hits: Vec::new(), all };
        assert_eq!((records(true).sure(Certain), records(false).sure(Certain)), (Certain, Ambiguous));
        assert_eq!(records(false).sure(Unknown), Unknown);
    }
}
