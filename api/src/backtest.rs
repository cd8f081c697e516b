//! A rule over the stored history: the index finds the events that it could match, the log gives them back, and the real engine decides.
//!
//! ```text
//!  rule ─ necessary ─▶ query ─▶ index ─ log offsets ─▶ log, decoders ─ batches ─▶ detector, correlator ─▶ alerts by day
//! ```
//!
//! The answer is that of replaying every event of the range, and says `exact`; where something stands against that, it says what.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use event::{Batch, Time, hexadecimal};
use index::{IndexError, Missing, SearchLimits, SearchRequest};
use rules::alert::{Alert, AlertChange};
use rules::{CorrelateOptions, Correlator, Detector, LoadOptions, Necessary, RuleSet};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::candidates::candidates;
use crate::problem::Problem;
use crate::rule_desk::load_sent;
use crate::search::{On, in_parts, instant, ordered, run, takes_lines};
use crate::server::Shared;
use crate::store::Identity;
use crate::tally::{day_number, day_text};

/// How long a backtest may take that is answered at once: a request ends at 30 s.
const TIME_NS_MAX: i64 = 25 * 1_000_000_000;
/// How long one may take that tells how far it is.
const TOLD_TIME_NS_MAX: i64 = 1800 * 1_000_000_000;
/// Of those, how many run at once; the next wait.
pub(crate) const AT_ONCE_MAX: usize = 2;
/// Events after which one tells how far it is.
const TELL_EVERY: u64 = 65_536;
/// Frames that are asked for at once: what lies close together is read once, and an alert that goes on is told once a batch.
const FRAMES_AT_ONCE: usize = 8192;
/// Alerts that are kept; a rule that makes more is not one to be told alert by alert.
const ALERTS_MAX: usize = 10_000;
/// Alerts that are shown of a day.
const SAMPLES_MAX: usize = 5;

/// The log, decoded again.
pub trait Reread: Send + Sync {
    /// Begins to read.
    fn begin(&self) -> io::Result<Box<dyn Reading>>;
}

/// A reader of the log that decodes.
pub trait Reading {
    /// The events of the frames at these offsets, ascending, in batches no larger than those of the pipeline, each with how many frames it is of.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn frames(&mut self, offsets: &[u64], each: &mut dyn FnMut(Batch, u64)) -> io::Result<()>;

    /// The events of some frames from `offset` on, and the offset after them; none at the end.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn onwards(&mut self, offset: u64) -> io::Result<Option<(Batch, u64)>>;

    /// Flow packets among what was read: their templates are those of now.
    fn flows(&self) -> u64;
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestBody {
    /// The rule, with the rules that it correlates.
    yaml: Option<String>,
    /// The id of a shipped rule, instead.
    rule: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// Replays everything: what the short way is measured against.
    #[serde(default)]
    full: bool,
}

#[derive(Debug, Default, Serialize)]
struct Day {
    matches: u64,
    alerts: u64,
    samples: Vec<Alert>,
}

/// What one of the rules has told.
#[derive(Debug, Default, Serialize)]
struct OfRule {
    matches: u64,
    alerts: u64,
    /// Over its alerts as canonical JSON, by id: two answers with the same one have the same alerts.
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    rules: BTreeMap<String, OfRule>,
    from: Option<Time>,
    to: Option<Time>,
    /// Whether these are the alerts of replaying everything.
    exact: bool,
    /// What stands against it.
    reasons: Vec<String>,
    /// Whether the index could narrow what was replayed.
    narrowed: bool,
    /// Frames that were replayed.
    frames: u64,
    /// Events of them.
    events: u64,
    matches: u64,
    alerts: u64,
    days: BTreeMap<String, Day>,
}

pub(crate) async fn backtest(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    body: Result<Json<BacktestBody>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    let now = shared.api.clock.now();
    let range = (instant(body.from.as_deref(), "from", now)?, instant(body.to.as_deref(), "to", now)?);
    if let (Some(from), Some(to)) = range {
        ordered(from, to)?;
    }
    let files = match (body.yaml, body.rule) {
        (Some(yaml), None) if yaml.len() <= rules::yaml::FILE_BYTES_MAX => vec![("request".to_owned(), yaml)],
        (Some(_), None) => return Err(Problem::bad("too_long", format!("{} bytes at most", rules::yaml::FILE_BYTES_MAX))),
        (None, Some(id)) => {
            shipped(&id).ok_or_else(|| Problem::bad("no_such_rule", format!("no shipped rule has the id {id:?}")))?
        }
        _ => return Err(Problem::bad("bad_body", "either yaml or rule")),
    };
    let (set, problems) = load_sent(&shared, files).await?;
    if let Some(problem) = problems.iter().find(|p| p.refused) {
        return Err(Problem::bad("bad_rule", format!("line {}: {}", problem.line, problem.reason)));
    }
    if set.rules().len() == 0 {
        return Err(Problem::bad("bad_rule", "there is no rule"));
    }
    let (reread, correlate) = (shared.api.reread.clone(), shared.api.correlate.clone());
    let (tenant, set) = (identity.tenant, Arc::new(set));
    let work = move |on: &On, limits: &SearchLimits, tell: &mut dyn FnMut(&Found)| {
        let replay = Replay { set, tenant, range, correlate, full: body.full };
        let fail = |source| IndexError::Io { action: "read the log for", path: "the backtest".into(), source };
        let answer = replay.run(on, reread.begin().map_err(fail)?.as_mut(), limits, tell)?.map_err(fail)?;
        serde_json::to_value(answer).map_err(|error| fail(error.into()))
    };
    if takes_lines(&headers) {
        let places = shared.backtests.clone();
        return in_parts((shared, identity), (places, TOLD_TIME_NS_MAX), move |on, limits, telling| {
            let mut told = 0;
            work(on, limits, &mut |found| {
                let part = || json!({"frames": found.frames, "events": found.events, "matches": found.matches});
                if found.events - told >= TELL_EVERY && telling.tell(part) {
                    told = found.events;
                }
            })
        })
        .await;
    }
    let mut answer = run(&shared, &identity, TIME_NS_MAX, move |on, limits| work(on, limits, &mut |_| {})).await?;
    answer["took_ms"] = (shared.api.clock.now().since_ns(now) / 1_000_000).into();
    Ok(Json(answer).into_response())
}

/// The shipped file in which the rule of this id is.
fn shipped(id: &str) -> Option<Vec<rules::Source>> {
    let has = |text: &str| {
        let (set, _) = rules::load(&[("pack".to_owned(), text.to_owned())], &LoadOptions::default());
        set.rules().any(|rule| rule.id == id)
    };
    let (name, text) = rules::pack().iter().find(|(_, text)| text.contains(id) && has(text))?;
    Some(vec![((*name).to_owned(), (*text).to_owned())])
}

struct Replay {
    set: Arc<RuleSet>,
    tenant: u32,
    range: (Option<Time>, Option<Time>),
    correlate: CorrelateOptions,
    full: bool,
}

/// What one replay has found.
struct Found {
    detector: Detector,
    correlator: Correlator,
    frames: u64,
    events: u64,
    matches: u64,
    /// By rule.
    matches_of: Vec<u64>,
    alerts: BTreeMap<String, Alert>,
    more_alerts: bool,
    days: BTreeMap<String, Day>,
}

impl Replay {
    fn run(
        &self,
        on: &On,
        reading: &mut dyn Reading,
        limits: &SearchLimits,
        tell: &mut dyn FnMut(&Found),
    ) -> Result<io::Result<Answer>, IndexError> {
        let rules: Vec<usize> = (0..self.set.rules().len()).collect();
        let mut reasons = Vec::new();
        let reach = rules.iter().map(|r| self.set.reach_ns(*r)).try_fold(0, |most, ns| Some(i64::max(most, ns?)));
        if reach.is_none() {
            return Err(IndexError::Refused(
                "a behaviour learns from every event there is: it cannot be asked of a part of the history".to_owned(),
            ));
        }
        let necessary = Necessary::Any(rules.iter().map(|r| self.set.necessary(*r)).collect());
        let asked = candidates(&necessary);
        // A window may have begun before the range.
        let from = self.range.0.map(|t| t.plus_ns(-reach.unwrap_or(0)));
        let within = |time: Time| from.is_none_or(|f| time >= f) && self.range.1.is_none_or(|t| time < t);
        let mut found = Found {
            detector: Detector::new(self.set.clone()),
            correlator: Correlator::new(self.set.clone(), self.correlate.clone()),
            frames: 0,
            events: 0,
            matches: 0,
            matches_of: vec![0; rules.len()],
            alerts: BTreeMap::new(),
            more_alerts: false,
            days: BTreeMap::new(),
        };
        let narrowed = asked.narrowed && !self.full;
        let mut fault = None;
        let request = SearchRequest { from, to: self.range.1, ..SearchRequest::new(asked.query) };
        let snapshot = on.searcher.snapshot()?;
        let missing = if narrowed { snapshot.missing(&request) } else { Vec::new() };
        reasons.extend(on.lacks(false, &missing, &[]).into_iter().map(|lack| lack.detail));
        let complete = if narrowed {
            let mut waiting: Vec<u64> = Vec::with_capacity(FRAMES_AT_ONCE);
            let mut read = |offsets: &[u64]| {
                let take = &mut |batch: Batch, frames| {
                    found.take(&batch, frames, self.tenant, within);
                    tell(&found);
                };
                fault = reading.frames(offsets, take).err();
                fault.is_none()
            };
            let visited = snapshot.visit(&request, limits, |offsets| {
                waiting.extend_from_slice(offsets);
                if waiting.len() < FRAMES_AT_ONCE {
                    return true;
                }
                let done = waiting.chunks(FRAMES_AT_ONCE).all(|some| !(limits.stop)() && read(some));
                waiting.clear();
                done
            })?;
            let told = |one: &Missing| missing.iter().any(|known| known.offsets == one.offsets);
            let more: Vec<Missing> = visited.missing.into_iter().filter(|one| !told(one)).collect();
            let lacks = on.lacks(false, &more, &[]).into_iter().filter(|lack| lack.code == "missing");
            reasons.extend(lacks.map(|lack| lack.detail));
            visited.ended && waiting.chunks(FRAMES_AT_ONCE).all(&mut read)
        } else {
            let (mut offset, last) = snapshot.offsets(&request).unwrap_or((1, 0));
            loop {
                if offset > last {
                    break true;
                }
                if (limits.stop)() {
                    break false;
                }
                match reading.onwards(offset) {
                    Ok(Some((batch, next))) => {
                        found.take(&batch, next - offset, self.tenant, within);
                        tell(&found);
                        offset = next;
                    }
                    Ok(None) => break true,
                    Err(error) => {
                        fault = Some(error);
                        break false;
                    }
                }
            }
        };
        if let Some(error) = fault {
            return Ok(Err(error));
        }
        if !complete {
            reasons.push("the time was over before everything was replayed".to_owned());
        }
        if narrowed && asked.as_stored {
            reasons.push("events were chosen by the zones and verdicts that they were stored with".to_owned());
        }
        if narrowed && reading.flows() > 0 {
            reasons.push("flow packets were read with the templates of now".to_owned());
        }
        found.end();
        if found.more_alerts {
            reasons.push(format!("more than {ALERTS_MAX} alerts: the first are told"));
        }
        let counters = found.correlator.counters();
        if counters.groups_evicted + counters.entries_evicted + counters.taken_early + counters.undecided > 0 {
            reasons.push("the correlation gave something up for its bounds".to_owned());
        }
        let mut of_rules: BTreeMap<String, OfRule> = BTreeMap::new();
        for (rule, matches) in self.set.rules().zip(&found.matches_of) {
            of_rules.entry(rule.id.clone()).or_default().matches += matches;
        }
        let mut hashes: BTreeMap<String, Sha256> = BTreeMap::new();
        let mut alerts = 0;
        let mut days = found.days;
        for alert in found.alerts.into_values().filter(|a| self.range.0.is_none_or(|from| a.last >= from)) {
            alerts += 1;
            of_rules.entry(alert.rule.id.clone()).or_default().alerts += 1;
            let hash = hashes.entry(alert.rule.id.clone()).or_default();
            hash.update(alert.to_json());
            hash.update("\n");
            let day = days.entry(day_of(alert.first)).or_default();
            day.alerts += 1;
            day.samples.push(alert);
        }
        for day in days.values_mut() {
            day.samples.sort_by(|a, b| (a.first, &a.id).cmp(&(b.first, &b.id)));
            day.samples.truncate(SAMPLES_MAX);
        }
        for (id, of) in &mut of_rules {
            of.sha256 = hexadecimal(&hashes.remove(id).unwrap_or_default().finalize());
        }
        Ok(Ok(Answer {
            rules: of_rules,
            from: self.range.0,
            to: self.range.1,
            exact: reasons.is_empty(),
            reasons,
            narrowed,
            frames: found.frames,
            events: found.events,
            matches: found.matches,
            alerts,
            days,
        }))
    }
}

/// The day in Japan, as the ledger's.
fn day_of(time: Time) -> String {
    day_text(day_number(time))
}

impl Found {
    fn take(&mut self, batch: &Batch, frames: u64, tenant: u32, within: impl Fn(Time) -> bool) {
        self.frames += frames;
        self.events += batch.len() as u64;
        let mut matches = Vec::new();
        self.detector.scan(batch, &mut matches);
        matches.retain(|found| {
            let event = batch.event(found.row as usize);
            event.tenant().0 == tenant && within(event.time())
        });
        self.matches += matches.len() as u64;
        for found in &matches {
            self.matches_of[found.rule as usize] += 1;
            self.days.entry(day_of(batch.event(found.row as usize).time())).or_default().matches += 1;
        }
        let mut changes = Vec::new();
        self.correlator.advance(batch, &matches, &mut changes);
        self.keep(changes);
    }

    fn end(&mut self) {
        let mut changes = Vec::new();
        self.correlator.flush(&mut changes);
        self.keep(changes);
    }

    fn keep(&mut self, changes: Vec<AlertChange>) {
        for change in changes {
            let (AlertChange::New(alert) | AlertChange::Updated(alert)) = change;
            if self.alerts.len() >= ALERTS_MAX && !self.alerts.contains_key(&alert.id) {
                self.more_alerts = true;
                continue;
            }
            self.alerts.insert(alert.id.clone(), alert);
        }
    }
}
