//! The zone policy as the interface tells it: the matrix of what passed between zones, its versions, their differences.
//!
//! A cell of the matrix is a pair of zones in an hour. It is *broken* where something was let through that nothing allows; *kept* only where
//! nothing was and every sensor that the policy names for it was heard all along; else *not observed*, whatever was counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse, Response};
use event::Time;
use rules::policy::{Policy, PolicyProblem};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::problem::Problem;
use crate::search;
use crate::server::Shared;
use crate::store::{CellRow, HeardRow, Identity};

const HOUR_S: i64 = 3600;
const MINUTE_S: i64 = 60;
/// How long after a minute its records may still be on their way: the hour that goes on is judged up to here.
const SETTLED_S: i64 = 120;
/// Hours of one answer: a quarter of a year.
const HOURS_MAX: i64 = 93 * 24;
/// Hours of single cells in one answer.
const CELL_HOURS_MAX: usize = 200_000;
/// Hours before the range that are looked at for the last sign of life. Who was not heard in them was not heard.
const BEFORE_HOURS_MAX: i64 = 31 * 24;

/// What can be said of a cell.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum CellState {
    /// Nothing was let through that nothing allows, and everyone who had to look did.
    #[serde(rename = "kept")]
    Kept,
    /// Not everyone who had to look did.
    #[serde(rename = "not observed")]
    NotObserved,
    /// Something was let through that nothing allows.
    #[serde(rename = "broken")]
    Broken,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// What passed: kept, by exception, and against the policy.
    allowed: i64,
    /// What was denied or came to nothing: what nothing allows, and what a line allows.
    denied: i64,
    violations: i64,
    attempts: i64,
    exceptions: i64,
    unclear: i64,
}

impl Counts {
    fn add(&mut self, verdict: &str, n: i64) {
        match verdict {
            "kept" => self.allowed += n,
            "exception" => {
                self.exceptions += n;
                self.allowed += n;
            }
            "violation" => {
                self.violations += n;
                self.allowed += n;
            }
            "attempt" => {
                self.attempts += n;
                self.denied += n;
            }
            "denied" => self.denied += n,
            _ => self.unclear += n,
        }
    }
}

/// What was counted of a pair in an hour, and the hashes of the policies by which it was judged.
type Judged = (Counts, BTreeSet<String>);

#[derive(Debug, Serialize)]
pub(crate) struct CellHour {
    hour: Time,
    state: CellState,
    /// The sensors that were not heard all along.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent: Vec<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    policies: BTreeSet<String>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    from: String,
    to: String,
    state: CellState,
    /// Why it is so, in a word: `violation`, `observed`, `blind` (no sensor), `silent` (a sensor was not heard), `unclear` (what passed, or
    /// who began it, is not known), `gone` (a zone that the policy in force does not have), `no hour`.
    reason: &'static str,
    sensors: Vec<String>,
    silent: BTreeSet<String>,
    /// The hashes of the policies by which what is counted was judged.
    policies: BTreeSet<String>,
    #[serde(flatten)]
    counts: Counts,
    /// How many hours are in each state.
    hours_kept: usize,
    hours_broken: usize,
    hours_not_observed: usize,
    /// A query that finds the records.
    query: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hours: Vec<CellHour>,
}

/// The minutes (since 1970) from `from` to before `to` in which the last sign of life was `heartbeat` minutes ago or longer.
fn silent_minutes(heard: &BTreeMap<i64, u64>, heartbeat: i64, from: i64, to: i64) -> BTreeSet<i64> {
    let is_heard = |minute: i64| heard.get(&minute.div_euclid(60)).is_some_and(|bits| bits >> minute.rem_euclid(60) & 1 == 1);
    let mut silent = BTreeSet::new();
    // Further back than so there is nothing that could end before the range.
    let mut since = from.saturating_sub(heartbeat);
    for minute in since.max(from - BEFORE_HOURS_MAX * 60)..=to {
        if minute == to || is_heard(minute) {
            if minute - since >= heartbeat {
                silent.extend(since.saturating_add(heartbeat - 1).max(from)..minute);
            }
            since = minute + 1;
        }
    }
    silent
}

/// The zones of the policy, and those that something was counted for when another one was in force.
fn zones<'a>(policy: &'a Policy, cells: &'a [CellRow]) -> Vec<&'a str> {
    let mut all: Vec<&str> = policy.zones.iter().map(|zone| zone.name.as_str()).collect();
    let counted: BTreeSet<&str> = cells.iter().flat_map(|(_, from, to, ..)| [from.as_str(), to.as_str()]).collect();
    let gone: Vec<&str> = counted.into_iter().filter(|zone| !all.contains(zone)).collect();
    all.extend(gone);
    all
}

/// The matrix of the hours from `from` to before `to` (seconds since 1970), of which only what lies before `until` is judged.
pub(crate) fn matrix(
    policy: &Policy,
    cells: &[CellRow],
    heard: &[HeardRow],
    (from, to, until): (i64, i64, i64),
    hourly: bool,
) -> Vec<Cell> {
    let mut counts: BTreeMap<(&str, &str), BTreeMap<i64, Judged>> = BTreeMap::new();
    for (hour, zone_from, zone_to, verdict, n, policy) in cells {
        let (of_hour, policies) = counts.entry((zone_from, zone_to)).or_default().entry(*hour).or_default();
        of_hour.add(verdict, *n);
        policies.extend(policy.clone().filter(|_| *n != 0));
    }
    let end = to.min(until);
    let hours: Vec<i64> = (from..to).step_by(HOUR_S as usize).filter(|hour| *hour < until).collect();
    // Per line of `observe`, the hours in which the sensor was not heard all along.
    let silent: Vec<BTreeSet<i64>> = policy
        .observe
        .iter()
        .map(|sensor| {
            let bits: BTreeMap<i64, u64> =
                heard.iter().filter(|(name, ..)| *name == sensor.sensor).map(|(_, hour, bits)| (hour / HOUR_S, *bits)).collect();
            let minutes = silent_minutes(&bits, i64::from(sensor.heartbeat_minutes()), from / MINUTE_S, end / MINUTE_S);
            minutes.into_iter().map(|minute| minute.div_euclid(60) * HOUR_S).collect()
        })
        .collect();
    let mut all = Vec::new();
    let zones = zones(policy, cells);
    for (at_a, a) in zones.iter().copied().enumerate() {
        for (at_b, b) in zones.iter().copied().enumerate().filter(|(_, b)| *b != a) {
            let gone = at_a.max(at_b) >= policy.zones.len();
            let seeing: Vec<usize> = (0..policy.observe.len()).filter(|at| !gone && policy.observe[*at].sees(a, b)).collect();
            let of = counts.get(&(a, b));
            let mut cell = Cell {
                from: a.to_owned(),
                to: b.to_owned(),
                state: CellState::NotObserved,
                reason: "no hour",
                sensors: seeing.iter().map(|at| policy.observe[*at].sensor.clone()).collect(),
                silent: BTreeSet::new(),
                policies: BTreeSet::new(),
                counts: Counts::default(),
                hours_kept: 0,
                hours_broken: 0,
                hours_not_observed: 0,
                query: evidence(a, b),
                hours: Vec::new(),
            };
            // What was counted in the minutes that are not settled yet is counted all the same.
            let every: BTreeSet<i64> = hours.iter().copied().chain(of.into_iter().flat_map(|of| of.keys().copied())).collect();
            for hour in every {
                let (n, policies) = of.and_then(|of| of.get(&hour)).cloned().unwrap_or_default();
                let missing: Vec<String> = seeing
                    .iter()
                    .filter(|at| silent[**at].contains(&hour))
                    .map(|at| policy.observe[*at].sensor.clone())
                    .collect();
                // Of an hour that is not settled yet only what was let through can be said.
                let settled = hour < until;
                let unseen = seeing.is_empty() || !missing.is_empty() || n.unclear > 0 || !settled;
                let state = match (n.violations > 0, unseen) {
                    (true, _) => CellState::Broken,
                    (false, true) => CellState::NotObserved,
                    (false, false) => CellState::Kept,
                };
                match state {
                    CellState::Kept => cell.hours_kept += 1,
                    CellState::Broken => cell.hours_broken += 1,
                    CellState::NotObserved => cell.hours_not_observed += usize::from(settled),
                }
                let total = &mut cell.counts;
                total.allowed += n.allowed;
                total.denied += n.denied;
                total.violations += n.violations;
                total.attempts += n.attempts;
                total.exceptions += n.exceptions;
                total.unclear += n.unclear;
                cell.silent.extend(missing.iter().cloned());
                cell.policies.extend(policies.iter().cloned());
                if hourly {
                    cell.hours.push(CellHour { hour: Time::from_unix_s(hour), state, silent: missing, policies, counts: n });
                }
            }
            (cell.state, cell.reason) = match () {
                () if cell.hours_broken > 0 => (CellState::Broken, "violation"),
                () if gone => (CellState::NotObserved, "gone"),
                () if seeing.is_empty() => (CellState::NotObserved, "blind"),
                () if !cell.silent.is_empty() => (CellState::NotObserved, "silent"),
                () if cell.counts.unclear > 0 => (CellState::NotObserved, "unclear"),
                () if cell.hours_not_observed > 0 => (CellState::NotObserved, "silent"),
                () if cell.hours_kept > 0 => (CellState::Kept, "observed"),
                () => (CellState::NotObserved, "no hour"),
            };
            all.push(cell);
        }
    }
    all
}

/// Finds the records of a cell, those of answers too, whose sender is the other zone.
fn evidence(from: &str, to: &str) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    let (from, to) = (quoted(from), quoted(to));
    format!("(zone.source:{from} AND zone.destination:{to}) OR (zone.source:{to} AND zone.destination:{from})")
}

pub(crate) async fn policy(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    match shared.api.rules.policy() {
        Some(policy) => Ok(Json(json!(*policy)).into_response()),
        None => Err(Problem::not_found()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MatrixParameters {
    from: Option<String>,
    to: Option<String>,
    hours: Option<String>,
}

pub(crate) async fn matrix_route(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(range): Query<MatrixParameters>,
) -> Result<Response, Problem> {
    let now = shared.api.clock.now();
    let to = search::instant(range.to.as_deref(), "to", now)?.unwrap_or(now);
    let from = search::instant(range.from.as_deref(), "from", now)?.unwrap_or_else(|| to.plus_ns(-24 * HOUR_S * 1_000_000_000));
    search::ordered(from, to)?;
    let hourly = range.hours.as_deref().is_some_and(|text| !matches!(text, "" | "false" | "no" | "0"));
    let Some(policy) = shared.api.rules.policy() else {
        return Ok(Json(json!({"zones": [], "cells": [], "sensors": []})).into_response());
    };
    // The hours that meet the range.
    let (from, to) = (from.unix_s().div_euclid(HOUR_S) * HOUR_S, (to.unix_s() + HOUR_S - 1).div_euclid(HOUR_S) * HOUR_S);
    let hours = (to - from) / HOUR_S;
    let pairs = policy.zones.len() * policy.zones.len();
    if hours > HOURS_MAX || hourly && hours as usize * pairs > CELL_HOURS_MAX {
        return Err(Problem::bad("too_long", format!("{hours} hours of {pairs} pairs are too many for one answer")));
    }
    let until = (now.unix_s() - SETTLED_S).div_euclid(MINUTE_S) * MINUTE_S;
    let (rows, heard) = shared
        .read(move |store| {
            let rows = store.cells(identity.tenant, from, to)?;
            Ok((rows, store.heard(identity.tenant, from - BEFORE_HOURS_MAX * HOUR_S, to)?))
        })
        .await?;
    let cells = matrix(&policy, &rows, &heard, (from, to, until), hourly);
    let sensors: Vec<_> = policy
        .observe
        .iter()
        .map(|sensor| {
            let last = heard
                .iter()
                .filter(|(name, ..)| *name == sensor.sensor)
                .map(|(_, hour, bits)| Time::from_unix_s(hour + (63 - i64::from(bits.leading_zeros())).max(0) * MINUTE_S));
            json!({"sensor": sensor.sensor, "heartbeat_minutes": sensor.heartbeat_minutes(), "last_heard": last.max()})
        })
        .collect();
    let zones = zones(&policy, &rows);
    Ok(Json(
        json!({"zones": zones, "from": Time::from_unix_s(from), "to": Time::from_unix_s(to), "until": Time::from_unix_s(until),
        "policy": policy.sha256, "cells": cells, "sensors": sensors}),
    )
    .into_response())
}

/// The policies that were in force.
pub(crate) async fn versions(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let versions = shared.read(|store| store.policy_versions()).await?;
    Ok(Json(json!({"versions": versions})).into_response())
}

/// One of them, as it was written.
pub(crate) async fn version(State(shared): State<Arc<Shared>>, Path(sha256): Path<String>) -> Result<Response, Problem> {
    let text = text_of(&shared, sha256).await?;
    Ok(Json(json!({"yaml": text})).into_response())
}

async fn text_of(shared: &Arc<Shared>, sha256: String) -> Result<String, Problem> {
    shared.read(move |store| store.policy_text(&sha256)).await?.ok_or_else(Problem::not_found)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffParameters {
    a: String,
    b: String,
}

/// What two versions decide differently.
pub(crate) async fn diff(State(shared): State<Arc<Shared>>, Query(of): Query<DiffParameters>) -> Result<Response, Problem> {
    let read = |text: String| Policy::parse(&text).map(|(policy, _)| policy).map_err(|problems| refused(&problems));
    let (a, b) = (read(text_of(&shared, of.a).await?)?, read(text_of(&shared, of.b).await?)?);
    Ok(Json(json!({"a": a.sha256, "b": b.sha256, "changes": rules::policy::diff(&a, &b)})).into_response())
}

pub(crate) fn refused(problems: &[PolicyProblem]) -> Problem {
    let reason = problems.iter().find(|p| !p.warning).map_or_else(String::new, |p| format!("line {:?}: {}", p.lines, p.reason));
    Problem::bad("bad_policy", format!("the policy does not hold together: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, Time, Transport};
    use rules::CellKey;
    use rules::policy::{Policy, Verdict};

    use super::*;
    use crate::store::{Commit, Store};
    use crate::tally::Tally;

    const POLICY: &str = "zones:\n  a: {cidr: [10.1.0.0/16]}\n  b: {cidr: [10.2.0.0/16]}\n  c: {rest: true}\nallow:\n  \
        - {from: a, to: b, service: [tcp/443]}\nobserve:\n  - {sensor: fw, cells: [[a, \"*\"]], heartbeat: 5m}\n  \
        - {sensor: flow, address: [192.0.2.9], cells: [[a, b]], heartbeat: 1m}\n";
    const START_S: i64 = 1_775_001_600; // 2026-04-01T00:00:00Z

    fn policy() -> Policy {
        Policy::parse(POLICY).expect("valid").0
    }

    struct Still;

    impl event::Clock for Still {
        fn now(&self) -> Time {
            Time::from_unix_s(START_S)
        }
    }

    /// A record of each sensor at each of these seconds.
    fn batch(seconds: &[(i64, &str)], first: u64) -> event::Batch {
        let mut builder = BatchBuilder::default();
        for (at, (second, sensor)) in seconds.iter().enumerate() {
            let address = if *sensor == "flow" { "192.0.2.9:2055" } else { "192.0.2.1:514" };
            let head = FrameHead {
                position: Position { partition: 0, offset: first + at as u64 },
                received: Time::from_unix_s(START_S + second),
                source: Some(address.parse().expect("an address")),
                ..FrameHead::new(Transport::Internal, Content::Text)
            };
            let mut row = builder.row(&head, 0, "");
            row.time(Time::from_unix_s(START_S + second));
            if *sensor != "flow" {
                row.text(FieldId::HOST_NAME, &format!("{}.example.jp", sensor.to_uppercase()));
            }
        }
        let last = first + seconds.len() as u64 - 1;
        builder.finish(LogRange { partition: 0, first, last }, Time::from_unix_s(START_S + seconds.last().expect("some").0))
    }

    fn states(cells: &[Cell], from: &str, to: &str) -> (CellState, &'static str, Vec<CellState>) {
        let cell = cells.iter().find(|cell| cell.from == from && cell.to == to).expect("a cell");
        (cell.state, cell.reason, cell.hours.iter().map(|hour| hour.state).collect())
    }

    /// The firewall falls silent in the second hour; the flow exporter is heard every minute of all four.
    #[test]
    fn p04_a_silent_sensor_leaves_its_cells_not_observed_never_kept() {
        let policy = policy();
        let mut seconds: Vec<(i64, &str)> = (-60..240).map(|minute| (minute * 60 + 5, "flow")).collect();
        seconds.extend((-60..240).filter(|m| m % 4 == 0 && !(60..120).contains(m)).map(|minute| (minute * 60 + 30, "fw")));
        seconds.sort_unstable();
        let dir = tempfile::tempdir().expect("a folder");
        let open = || Store::open(&dir.path().join("s"), Arc::new(Still)).expect("opens");
        let mut offset = 1;
        // A program that ends after each few records, and reads some of them twice.
        for part in seconds.chunks(37) {
            let store = open();
            for _ in 0..2 {
                let mut tally = Tally::default();
                tally.sensors(&batch(part, offset), &policy);
                let commit = Commit { position: offset, changes: &[], destinations: &[], modes: &rules::Modes::default() };
                store.apply(&commit, &mut tally).expect("stored");
            }
            offset += part.len() as u64;
        }
        let store = open();
        let mut tally = Tally::default();
        let cell =
            |hour: i64, verdict| CellKey { tenant: 0, hour: (START_S + hour * HOUR_S) * 1_000_000_000, from: 0, to: 1, verdict };
        let counts = [
            (cell(0, Verdict::Kept), 7),
            (cell(1, Verdict::Kept), 5),
            (cell(2, Verdict::Attempt), 3),
            (cell(3, Verdict::Violation), 1),
            (cell(3, Verdict::Denied), 6),
        ];
        tally.verdicts(&policy, counts.into_iter().collect());
        let commit = Commit { position: offset, changes: &[], destinations: &[], modes: &rules::Modes::default() };
        store.apply(&commit, &mut tally).expect("stored");
        let hours = |from: i64, to: i64, until: i64| {
            let (from, to) = (START_S + from * HOUR_S, START_S + to * HOUR_S);
            let rows = store.cells(0, from, to).expect("rows");
            let heard = store.heard(0, from - BEFORE_HOURS_MAX * HOUR_S, to).expect("rows");
            matrix(&policy, &rows, &heard, (from, to, START_S + until), true)
        };
        use CellState::{Broken, Kept, NotObserved};
        let all = hours(0, 4, 4 * HOUR_S);
        // The last sign of life of the first hour holds into the second one, and the third one's first ends the silence.
        assert_eq!(states(&all, "a", "b"), (Broken, "violation", vec![Kept, NotObserved, Kept, Broken]));
        assert_eq!(states(&all, "a", "c"), (NotObserved, "silent", vec![Kept, NotObserved, Kept, Kept]));
        assert_eq!(states(&all, "c", "a"), states(&all, "a", "c"), "a sensor sees both ways");
        assert_eq!(states(&all, "b", "c"), (NotObserved, "blind", vec![NotObserved; 4]), "no sensor");
        assert_eq!(states(&hours(2, 3, 3 * HOUR_S), "a", "b"), (Kept, "observed", vec![Kept]));
        // What is not over is judged as far as it has gone; what has not begun, not at all.
        assert_eq!(states(&hours(0, 1, 30 * 60), "a", "b"), (Kept, "observed", vec![Kept]));
        assert_eq!(states(&hours(1, 2, HOUR_S + 20 * 60), "a", "b"), (NotObserved, "silent", vec![NotObserved]));
        assert_eq!(states(&hours(5, 6, 5 * HOUR_S), "a", "b"), (NotObserved, "no hour", vec![]));
        let counted = all.iter().find(|cell| cell.from == "a" && cell.to == "b").expect("a cell").counts;
        assert_eq!((counted.allowed, counted.denied, counted.violations, counted.attempts), (13, 9, 1, 3));
        // What is not known to have been denied is not kept; what was counted under a zone's former name is told.
        let rows = |from: &str, verdict: &str| vec![(START_S, from.to_owned(), "b".to_owned(), verdict.to_owned(), 2, None)];
        let heard = store.heard(0, START_S - BEFORE_HOURS_MAX * HOUR_S, START_S + HOUR_S).expect("rows");
        let first_hour = |rows: &[CellRow]| matrix(&policy, rows, &heard, (START_S, START_S + HOUR_S, START_S + HOUR_S), true);
        assert_eq!(states(&first_hour(&rows("a", "kept")), "a", "b"), (Kept, "observed", vec![Kept]));
        assert_eq!(states(&first_hour(&rows("a", "unclear")), "a", "b"), (NotObserved, "unclear", vec![NotObserved]));
        assert_eq!(states(&first_hour(&rows("old", "violation")), "old", "b"), (Broken, "violation", vec![Broken]));
        assert_eq!(states(&first_hour(&rows("old", "kept")), "old", "b"), (NotObserved, "gone", vec![NotObserved]));
        // An hour that has only begun takes nothing from those before it, but for what was let through in it.
        let begun = |verdict: &str| {
            let at =
                |hour: i64, verdict: &str| (START_S + hour * HOUR_S, "a".to_owned(), "b".to_owned(), verdict.to_owned(), 2, None);
            let range = (START_S, START_S + 2 * HOUR_S, START_S + HOUR_S);
            let cells = matrix(&policy, &[at(0, "kept"), at(1, verdict)], &heard, range, true);
            let cell = cells.iter().find(|cell| cell.from == "a" && cell.to == "b").expect("a cell");
            (states(&cells, "a", "b"), cell.counts.allowed, cell.hours_not_observed)
        };
        assert_eq!(begun("kept"), ((Kept, "observed", vec![Kept, NotObserved]), 4, 0));
        assert_eq!(begun("violation"), ((Broken, "violation", vec![Kept, Broken]), 4, 0));
        // Another tenant has heard nothing.
        assert!(store.heard(1, START_S, START_S + 4 * HOUR_S).expect("rows").is_empty());
    }

    #[test]
    fn a_heartbeat_is_missed_to_the_minute() {
        let bits = |minutes: &[i64]| {
            let mut heard: BTreeMap<i64, u64> = BTreeMap::new();
            for minute in minutes {
                *heard.entry(minute.div_euclid(60)).or_default() |= 1 << minute.rem_euclid(60);
            }
            heard
        };
        let silent =
            |minutes: &[i64], heartbeat| silent_minutes(&bits(minutes), heartbeat, 60, 120).into_iter().collect::<Vec<_>>();
        let every_fifth: Vec<i64> = (55..120).step_by(5).collect();
        assert_eq!(silent(&every_fifth, 5), Vec::<i64>::new());
        assert_eq!(silent(&every_fifth, 4), (64..120).step_by(5).collect::<Vec<_>>());
        // A silence that began before counts where it reaches into the range.
        assert_eq!(silent(&[50, 62, 65, 70, 75, 80, 85, 90, 95, 100, 105, 110, 115], 5), [60, 61]);
        assert_eq!(silent(&[], 5).len(), 60);
        // Who was never heard was silent, however long its heartbeat; a sign of life a day ago is one.
        for heartbeat in [4 * 1440, 31 * 1440, 400 * 1440] {
            assert_eq!(silent(&[], heartbeat).len(), 60, "{heartbeat}");
            assert_eq!(silent(&[60 - 1440], heartbeat), Vec::<i64>::new(), "{heartbeat}");
        }
    }

    #[test]
    fn versions_are_kept_and_compared() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(&dir.path().join("s"), Arc::new(Still)).expect("opens");
        let other = POLICY.replace("tcp/443", "tcp/444");
        for text in [POLICY, POLICY, &other, POLICY] {
            let policy = Policy::parse(text).expect("valid").0;
            store.policy_in_force(&policy.sha256, text, 1, "test").expect("stored");
        }
        let versions = store.policy_versions().expect("rows");
        assert_eq!(versions.len(), 3, "what is in force already is no new version");
        assert_eq!(store.policy_text(&versions[1].sha256[..12]).expect("read").as_deref(), Some(other.as_str()));
        for wrong in ["", "%", "zz"] {
            assert_eq!(store.policy_text(wrong).expect("read"), None, "{wrong}");
        }
    }

    #[test]
    fn a_cell_names_the_policies_that_judged_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(&dir.path().join("s"), Arc::new(Still)).expect("opens");
        let policies = [POLICY, &POLICY.replace("tcp/443", "tcp/444")].map(|text| Policy::parse(text).expect("valid").0);
        let key =
            |hour: i64, verdict| CellKey { tenant: 0, hour: (START_S + hour * HOUR_S) * 1_000_000_000, from: 0, to: 1, verdict };
        let judged = [
            (0, vec![(key(0, Verdict::Kept), 2), (key(1, Verdict::Kept), 4)]),
            // Of the second hour's one is told more of by the next policy; the first hour's are as they were.
            (1, vec![(key(1, Verdict::Violation), 1), (key(2, Verdict::Violation), 3), (key(2, Verdict::Kept), 0)]),
            (0, vec![(key(3, Verdict::Unclear), 0)]),
        ];
        for (position, (by, cells)) in (1..).zip(judged) {
            let mut tally = Tally::default();
            store.policy_in_force(&policies[by].sha256, &policies[by].text, position, "test").expect("stored");
            tally.verdicts(&policies[by], cells.into_iter().collect());
            let commit = Commit { position, changes: &[], destinations: &[], modes: &rules::Modes::default() };
            store.apply(&commit, &mut tally).expect("stored");
        }
        let (from, to) = (START_S, START_S + 4 * HOUR_S);
        let all = matrix(&policies[1], &store.cells(0, from, to).expect("rows"), &[], (from, to, to), true);
        let cell = all.iter().find(|cell| cell.from == "a" && cell.to == "b").expect("a cell");
        let named = |by: &[usize]| by.iter().map(|by| policies[*by].sha256.clone()).collect::<BTreeSet<_>>();
        let hours: Vec<_> = cell.hours.iter().map(|hour| (hour.policies.clone(), hour.counts.allowed)).collect();
        assert_eq!(hours, [(named(&[0]), 2), (named(&[0, 1]), 5), (named(&[1]), 3), (named(&[]), 0)]);
        assert_eq!((&cell.policies, cell.counts.violations), (&named(&[0, 1]), 4));
    }
}
