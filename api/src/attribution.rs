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
use index::{Hit, IndexError, SearchLimits, SearchRequest};
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
/// Records of one step.
const RECORDS_MAX: usize = 1000;
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

    fn search(&self, query: &str, from: i64, to: i64) -> Result<Vec<Hit>, IndexError> {
        // The queries are ours, and valid.
        let Ok(query) = search::parse(query, self.now) else { return Ok(Vec::new()) };
        let mut request = SearchRequest::new(query);
        (request.from, request.to) = (Some(Time::from_unix_ns(from)), Some(Time::from_unix_ns(to)));
        request.size = RECORDS_MAX;
        Ok(self.on.searcher.search(&request, self.limits)?.hits)
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
        let hits = self.search(&query, self.at - TRANSLATIONS_NS, self.at + TRANSLATIONS_NS)?;
        let held: Vec<Held<(IpAddr, Option<u16>)>> = hits.iter().filter_map(translated).collect();
        if held.is_empty() {
            return Ok(None);
        }
        let (confidence, who) = decide(&closed(held.clone()), self.at);
        let users: BTreeMap<IpAddr, &str> =
            hits.iter().filter_map(|hit| Some((address(hit, "source.ip")?, text(hit, "user.name")?))).collect();
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
        let hits = self.search(&query, self.at - around, self.at + around)?;
        let who: BTreeMap<IpAddr, EventId> =
            hits.iter().filter_map(|hit| Some((address(hit, "network.forwarded_ip")?, hit.id))).collect();
        // The proxy's word; a client may have put words into its mouth.
        let confidence = match who.len() {
            0 => return Ok(None),
            1 => Confidence::Likely,
            _ => Confidence::Ambiguous,
        };
        let to = who.keys().take(CANDIDATES_MAX).map(|ip| json!({"ip": ip})).collect();
        Ok(Some(Step { by: "forwarded", confidence, to, events: who.into_values().take(CANDIDATES_MAX).collect() }))
    }

    /// Who had an address on lease.
    fn lease(&self, ip: IpAddr) -> Result<Option<Step>, IndexError> {
        let query = format!("(source.ip:\"{ip}\" OR client.ip:\"{ip}\") AND (source.mac:* OR client.mac:*)");
        let hits = self.search(&query, self.at - LEASES_NS, self.at + CLOCKS_NS + SECOND_NS)?;
        let held: Vec<Held<String>> = hits.iter().filter_map(leased).collect();
        if held.is_empty() {
            return Ok(None);
        }
        let (confidence, who) = decide(&closed(held.clone()), self.at);
        let known = |mac: &str| {
            let of: Vec<&Hit> = hits.iter().filter(|hit| leased(hit).is_some_and(|one| one.who == mac)).collect();
            let first = |names: &[&str]| of.iter().find_map(|hit| names.iter().find_map(|name| text(hit, name)));
            json!({"mac": mac, "host": first(&["host.name", "source.domain", "client.domain"]), "user": first(&["user.name"])})
        };
        let to = who.iter().take(CANDIDATES_MAX).map(|mac| known(mac)).collect();
        let events = held.iter().filter(|one| who.contains(&one.who)).filter_map(|one| one.event).take(CANDIDATES_MAX).collect();
        Ok(Some(Step { by: "lease", confidence, to, events }))
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

fn leased(hit: &Hit) -> Option<Held<String>> {
    let mac = text(hit, "source.mac").or_else(|| text(hit, "client.mac"))?.to_ascii_uppercase().replace(':', "-");
    let action = text(hit, "event.action").unwrap_or("").to_ascii_lowercase();
    let time = hit.time.unix_ns();
    let is = |words: &[&str]| words.iter().any(|word| action.contains(word));
    if is(&["release", "expire", "delete", "revoke"]) {
        return Some(Held { who: mac, from: None, to: Some(time), event: Some(hit.id) });
    }
    is(&["ack", "lease", "assign", "renew", "bound", "new", "start"]).then_some(())?;
    if is(&["nak", "offer", "request", "discover"]) {
        return None;
    }
    let lasts =
        hit.fields.iter().find(|(name, _)| ["lease_s", "lease_time", "lease_duration"].iter().any(|end| name.ends_with(end)));
    let seconds = lasts.and_then(|(_, value)| first(value).as_i64());
    Some(Held { who: mac, from: Some(time), to: seconds.map(|s| time + s * SECOND_NS), event: Some(hit.id) })
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
        let ack = leased(&hit(&[
            ip.clone(),
            ("source.mac", json!("00:11:22:33:44:aa")),
            ("event.action", json!("DHCPACK")),
            ("isc_dhcp.lease_s", json!(600)),
        ]));
        let ack = ack.expect("a lease");
        assert_eq!((ack.who.as_str(), ack.to), ("00-11-22-33-44-AA", Some(1600 * SECOND_NS)));
        for action in ["DHCPDISCOVER", "DHCPNAK", "DHCPOFFER", "DHCPREQUEST", ""] {
            assert!(leased(&hit(&[("source.mac", json!("a")), ("event.action", json!(action))])).is_none(), "{action}");
        }
    }
}
