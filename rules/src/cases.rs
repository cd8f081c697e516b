//! Case files: rules with the events that they must and must not match.
//!
//! A line is `{"rule": YAML, "event": {...}, "match": bool}`, or for correlations `{"rules": YAML, "events": [{"_t": seconds, ...}],
//! "expected_alerts": [{"at_index", "group", "rule"}]}`. Beside a rule file, `cases.jsonl` may leave the rule out.
//!
//! In place of the event may stand a record as it was received, `{"raw": "<134>Apr 1 ...", "match": bool}`, or a capture that lies beside the case file,
//! `{"capture": "near-misses.log", "matches": COUNT}`, or with the numbers of the records that match, from 1, in place of the count. Both go
//! through the decoders, and the rules that are not for their log source are not asked.
//!
//! For behaviours the events may be written as series, `{"series": [{"from": seconds, "every": seconds, "count": N, "jitter": [seconds, ...], "behind": seconds, "unreadable": bool,
//! "event": {...}}], "indicators": CSV, "policy": YAML, "expected_alerts": [...]}`: the text `{n}` of an event, also `{n*3%7+1}`, is the number of its place
//! in the series, and alerts are told apart by group and rule alone.
//!
//! For correlations lateness is unlimited here: each event that makes or keeps a window's condition true gives an alert at its index.
//! Alerts of plain rules (those that no correlation keeps silent), whose groups are those of `mihari.group`, are compared where a case
//! expects one.

use std::collections::BTreeSet;
use std::sync::Arc;

use event::object::{self, Reader};
use event::{Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSourceId, Position, RowBuilder, Time, Transport};
use serde::Deserialize;

use crate::alert::AlertChange;
use crate::behave::indicator::Indicators;
use crate::behave::{Behaviour, BehaviourOptions, Site};
use crate::correlate::Correlator;
use crate::detect::{Detector, Match, matches_plainly};
use crate::options::LoadOptions;
use crate::policy::Policy;
use crate::ruleset::{Body, RuleSet, load};

/// What became of one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What it is called: its name or its place in the file.
    pub name: String,
    /// Why it failed; none where it passed.
    pub failure: Option<String>,
}

#[derive(Deserialize)]
struct Case<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, borrow)]
    rule: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    rules: Option<String>,
    #[serde(default, borrow)]
    event: Option<&'a serde_json::value::RawValue>,
    #[serde(default, rename = "match")]
    expected: Option<bool>,
    /// A record as it was received.
    #[serde(default)]
    raw: Option<String>,
    /// The name of a capture beside the case file.
    #[serde(default)]
    capture: Option<String>,
    /// What it has.
    #[serde(default)]
    matches: Option<Matches>,
    #[serde(default, borrow)]
    events: Option<Vec<&'a serde_json::value::RawValue>>,
    #[serde(default, borrow)]
    series: Vec<Series<'a>>,
    /// An indicator file that the site was given.
    #[serde(default)]
    indicators: Option<String>,
    /// The zone policy that the site was given.
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    expected_alerts: Vec<ExpectedAlert>,
}

/// The matches of a capture.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Matches {
    /// How many there are.
    Count(u64),
    /// Which records they are of, from 1.
    Of(BTreeSet<u64>),
}

/// Reads records as the program does: the decoders lie in another crate.
pub trait Records {
    /// The events of a record as it was received.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn record(&self, record: &str) -> Result<Batch, String>;

    /// Gives `each` the events of a capture beside the case file, in batches; an event's offset is the number of its record, from 1.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn capture(&self, name: &str, each: &mut dyn FnMut(&Batch)) -> Result<(), String>;
}

/// For cases whose events are written out.
pub struct NoRecords;

impl Records for NoRecords {
    fn record(&self, _: &str) -> Result<Batch, String> {
        Err("there is no decoder for records".to_owned())
    }

    fn capture(&self, _: &str, _: &mut dyn FnMut(&Batch)) -> Result<(), String> {
        Err("there is no decoder for captures".to_owned())
    }
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(default)]
    from: f64,
    #[serde(default)]
    every: f64,
    #[serde(default = "one")]
    count: u32,
    #[serde(default)]
    jitter: Vec<f64>,
    /// How far the records' own time lies before their receipt, in seconds.
    #[serde(default)]
    behind: f64,
    /// No decoder can read them.
    #[serde(default)]
    unreadable: bool,
    #[serde(borrow)]
    event: &'a serde_json::value::RawValue,
}

fn one() -> u32 {
    1
}

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
struct ExpectedAlert {
    #[serde(default)]
    at_index: usize,
    #[serde(default)]
    group: Vec<String>,
    #[serde(default)]
    rule: String,
}

/// Runs the cases of a file, their rules read with `options`. `beside` is the rule text that cases without one are about.
pub fn run(text: &str, beside: Option<&str>, options: &LoadOptions, records: &dyn Records) -> Vec<Outcome> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| match serde_json::from_str::<Case<'_>>(line) {
            Ok(case) => {
                let name = case.name.clone().unwrap_or_else(|| format!("line {}", at + 1));
                Outcome { name, failure: run_case(&case, beside, options, records).err() }
            }
            Err(error) => Outcome { name: format!("line {}", at + 1), failure: Some(format!("not a case: {error}")) },
        })
        .collect()
}

fn run_case(case: &Case<'_>, beside: Option<&str>, options: &LoadOptions, records: &dyn Records) -> Result<(), String> {
    let rules = case.rule.as_deref().or(case.rules.as_deref()).or(beside).ok_or("no rule")?;
    let (set, problems) = load(&[("case".to_owned(), rules.to_owned())], options);
    if let Some(problem) = problems.iter().find(|p| p.refused) {
        return Err(format!("refused: line {}: {}", problem.line, problem.reason));
    }
    if let Some(event) = case.event {
        let batch = batch_of(&[event.get()])?;
        return judge(!matches_plainly(&set, batch.event(0)).is_empty(), case);
    }
    if let Some(record) = &case.raw {
        let mut found = Vec::new();
        Detector::new(Arc::new(set)).scan(&records.record(record)?, &mut found);
        return judge(!found.is_empty(), case);
    }
    if let Some(name) = &case.capture {
        let expected = case.matches.as_ref().ok_or("the case does not say what matches in the capture")?;
        return over_capture(set, name, expected, records);
    }
    if case.events.is_none() && case.series.is_empty() {
        return Err("the case has no event: it needs event, events, series, raw or capture".to_owned());
    }
    if set.rules.iter().any(|rule| matches!(rule.body, Body::Behaviour(_))) {
        let mut found = behave(set, case)?;
        let mut expected: Vec<ExpectedAlert> =
            case.expected_alerts.iter().map(|alert| ExpectedAlert { at_index: 0, ..alert.clone() }).collect();
        found.sort();
        expected.sort();
        return if found == expected { Ok(()) } else { Err(format!("alerts {found:?}, expected {expected:?}")) };
    }
    let texts: Vec<&str> = case.events.iter().flatten().map(|e| e.get()).collect();
    let batch = batch_of(&texts)?;
    let set = Arc::new(set);
    let mut found = correlate(&set, &batch);
    let mut expected = case.expected_alerts.clone();
    let is_plain = |alert: &ExpectedAlert| set.rules().any(|rule| rule.kind == "sigma" && rule.title == alert.rule);
    if !expected.iter().any(is_plain) {
        found.retain(|alert| !is_plain(alert));
    }
    found.sort();
    expected.sort();
    if found == expected { Ok(()) } else { Err(format!("alerts {found:?}, expected {expected:?}")) }
}

/// The instant from which the seconds of a behaviour's cases count.
const CASES_START_S: i64 = 1_750_000_000;
/// Events of one case.
const SERIES_EVENTS_MAX: u32 = 1_000_000;

/// The alerts that behaviours give of a case's events and series, in the order of their times.
fn behave(set: RuleSet, case: &Case<'_>) -> Result<Vec<ExpectedAlert>, String> {
    let mut events: Vec<(f64, String, f64, bool)> = Vec::new();
    for series in &case.series {
        for n in 0..series.count.min(SERIES_EVENTS_MAX) {
            let jitter = series.jitter.get(n as usize % series.jitter.len().max(1)).copied().unwrap_or(0.0);
            let text = numbered(series.event.get(), u64::from(n))?;
            events.push((series.from + series.every * f64::from(n) + jitter, text, series.behind, series.unreadable));
        }
    }
    for event in case.events.iter().flatten() {
        let time = batch_of(&[event.get()])?.event(0).time();
        events.push((time.unix_ns() as f64 / 1e9, event.get().to_owned(), 0.0, false));
    }
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut builder, mut reader) = (BatchBuilder::default(), Reader::new(sigma_name));
    let instant = |seconds: f64| Time::from_unix_s(CASES_START_S).plus_ns((seconds * 1e9) as i64);
    for (at, (seconds, text, behind, unreadable)) in events.iter().enumerate() {
        let time = instant(*seconds);
        let head = FrameHead {
            position: Position { partition: 0, offset: at as u64 + 1 },
            received: time,
            ..FrameHead::new(Transport::Internal, Content::Text)
        };
        let mut row = builder.row(&head, 0, "");
        write_object(text, &mut reader, &mut row)?;
        row.time(time.plus_ns((-behind * 1e9) as i64));
        if *unreadable {
            row.quarantine("no decoder knows this record");
        }
    }
    let last = events.len() as u64;
    let received = events.last().map_or(Time::UNKNOWN, |(seconds, ..)| instant(*seconds));
    let batch = builder.finish(LogRange { partition: 0, first: 1, last }, received);
    let (mut indicators, mut problems) = (Indicators::default(), Vec::new());
    if let Some(text) = &case.indicators {
        indicators.add("indicators", text, &mut problems);
    }
    if let Some(problem) = problems.first() {
        return Err(problem.clone());
    }
    let policy = match case.policy.as_deref().map(Policy::parse) {
        Some(Err(problems)) => return Err(problems.first().map_or_else(String::new, |p| format!("policy: {}", p.reason))),
        Some(Ok((policy, _))) => Some(Arc::new(policy)),
        None => None,
    };
    let site = Arc::new(Site::new(&[], None)?.with_indicators(indicators).with_policy(policy));
    let mut behaviour = Behaviour::new(Arc::new(set), BehaviourOptions { lateness_ns: 0, site });
    let mut changes = Vec::new();
    behaviour.advance(&batch, &mut changes);
    behaviour.flush(&mut changes);
    let new = changes.iter().filter_map(|change| match change {
        AlertChange::New(alert) => Some(alert),
        AlertChange::Updated(_) => None,
    });
    let said = new.map(|alert| ExpectedAlert {
        at_index: 0,
        group: alert.group.values().map(str::to_owned).collect(),
        rule: alert.rule.title.clone(),
    });
    Ok(said.collect())
}

/// A series' event with its place in it: each `{n...}` is reckoned from left to right.
fn numbered(event: &str, n: u64) -> Result<String, String> {
    let mut out = String::with_capacity(event.len());
    let mut rest = event;
    while let Some(at) = rest.find("{n") {
        out.push_str(&rest[..at]);
        let end = rest[at..].find('}').ok_or("{n without an end")? + at;
        let mut value = n;
        let mut steps = &rest[at + 2..end];
        while let Some(step) = steps.chars().next() {
            let length = steps[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(steps.len() - 1);
            let by: u64 = steps[1..=length].parse().map_err(|_| format!("{{n{steps}}} is not understood"))?;
            value = match step {
                '+' => value.saturating_add(by),
                '*' => value.saturating_mul(by),
                '%' => value.checked_rem(by).ok_or("a remainder of nothing")?,
                '/' => value.checked_div(by).ok_or("a part of nothing")?,
                _ => return Err(format!("{{n{steps}}} is not understood")),
            };
            steps = &steps[length + 1..];
        }
        out.push_str(&value.to_string());
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn judge(found: bool, case: &Case<'_>) -> Result<(), String> {
    let expected = case.expected.ok_or("the case does not say whether the event matches")?;
    if found == expected { Ok(()) } else { Err(format!("matches: {found}, expected {expected}")) }
}

fn over_capture(set: RuleSet, name: &str, expected: &Matches, records: &dyn Records) -> Result<(), String> {
    let mut detector = Detector::new(Arc::new(set));
    let (mut matches, mut count, mut of) = (Vec::new(), 0, BTreeSet::new());
    records.capture(name, &mut |batch| {
        matches.clear();
        detector.scan(batch, &mut matches);
        count += matches.len() as u64;
        of.extend(matches.iter().map(|found| batch.event(found.row as usize).id().frame.offset));
    })?;
    let as_expected = match expected {
        Matches::Count(wanted) => count == *wanted,
        Matches::Of(wanted) => of == *wanted,
    };
    if as_expected { Ok(()) } else { Err(format!("{count} matches, of the records {of:?}; expected {expected:?}")) }
}

/// What fires, decided on arrival by the correlator that the pipeline uses.
fn correlate(set: &Arc<RuleSet>, batch: &Batch) -> Vec<ExpectedAlert> {
    let mut matches = Vec::new();
    for (row, event) in batch.iter().enumerate() {
        matches.extend(matches_plainly(set, event).into_iter().map(|rule| Match { row: row as u32, rule }));
    }
    let mut correlator = Correlator::deciding_on_arrival(set.clone());
    let mut unwanted = Vec::new();
    correlator.advance(batch, &matches, &mut unwanted);
    correlator.flush(&mut unwanted);
    let infos: Vec<_> = set.rules().collect();
    let alerts = correlator.take_fired().into_iter().filter(|fired| infos[fired.rule].alerts);
    let alert = |fired: crate::Fired| ExpectedAlert {
        at_index: (fired.event.frame.offset - 1) as usize,
        group: fired.group,
        rule: infos[fired.rule].title.clone(),
    };
    let plain = matches.iter().filter_map(|found| {
        let Body::Sigma { group, .. } = &set.rules[found.rule as usize].body else { return None };
        let event = batch.event(found.row as usize);
        let value = |fields: &Vec<FieldId>| fields.iter().find_map(|f| event.get(*f)).map_or_else(String::new, |v| v.to_string());
        let info = infos[found.rule as usize];
        let alert =
            ExpectedAlert { at_index: found.row as usize, group: group.iter().map(value).collect(), rule: info.title.clone() };
        info.alerts.then_some(alert)
    });
    alerts.map(alert).chain(plain).collect()
}

/// JSON objects as a batch, one event each: nested objects become dotted names, arrays several values, and blanks in names are left
/// out. An event's time is `_t`, in seconds since 1970.
///
/// # Errors
/// Where one is no object.
pub fn batch_of(objects: &[&str]) -> Result<Batch, String> {
    batch_of_sources(objects.iter().map(|text| (LogSourceId::UNKNOWN, *text)))
}

/// As [`batch_of`], each event of a log source.
///
/// # Errors
/// Where one is no object.
pub fn batch_of_sources<'a>(objects: impl ExactSizeIterator<Item = (LogSourceId, &'a str)>) -> Result<Batch, String> {
    let (mut builder, mut reader) = (BatchBuilder::default(), Reader::new(sigma_name));
    let last = objects.len() as u64;
    for (at, (source, text)) in objects.enumerate() {
        let head = FrameHead {
            position: Position { partition: 0, offset: at as u64 + 1 },
            ..FrameHead::new(Transport::Internal, Content::Text)
        };
        let mut row = builder.row(&head, 0, "");
        row.log_source(source);
        write_object(text, &mut reader, &mut row)?;
        let seconds = FieldId::find("_t").and_then(|f| row.get(f)).and_then(crate::test_of::number_of);
        row.time(Time::from_unix_ns(seconds.map_or(0, |n| (n.float() * 1e9) as i64)));
    }
    Ok(builder.finish(LogRange { partition: 0, first: 1, last }, Time::UNKNOWN))
}

fn write_object(text: &str, reader: &mut Reader, row: &mut RowBuilder<'_>) -> Result<(), String> {
    match reader.read(text, row) {
        object::Outcome::Whole => Ok(()),
        object::Outcome::Cut => Err("the event's JSON is cut off".to_owned()),
        object::Outcome::No => Err("the event is no JSON object".to_owned()),
    }
}

/// The name that Sigma has for the field `path`: blanks are not part of it.
pub fn sigma_name(path: &str, out: &mut String) {
    out.extend(path.split(' '));
}
