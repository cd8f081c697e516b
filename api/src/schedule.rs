//! Scheduled searches: each window of receive time is searched once, when all of it is searchable, and alerts where its condition holds.
//!
//! ```text
//!  log (receive times only rise) ─▶ index: searchable until ─▶ window over? ─▶ search ─▶ run, alerts, next window: one transaction
//! ```
//!
//! The log is the clock: it stamps its frames so that receive times never go back, with a tick each second where nothing comes. So a window
//! that ends before the last stamp that is searchable is complete, and no lateness need be guessed. What is released from quarantine is of the
//! window in which it was released. A window that was not told before the
//! program ended is searched after the next start; one that was is passed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use event::{Clock, EventId, FieldId, Time};
use index::query::{Scalar, Test};
use index::{Aggregation, AggregationKind, Chosen, Hit, Query, SearchLimits, SearchRequest, Searcher, Sort, TermsOrder, query};
use rules::alert::{Alert, AlertRule, ByLanguage, FIELDS_MAX, TextMap, VALUE_BYTES_MAX, alert_id};
use tracing::{info, warn};

use crate::hub::Hub;
use crate::notify::Destination;
use crate::saved::{Condition, Schedule};
use crate::search::SEARCH_NS_MAX;
use crate::store::{DueSearch, Run, Store, StoreError};

/// Groups of one window that alert; of more, those that stand furthest from what is allowed.
pub(crate) const GROUPS_MAX: usize = 100;
/// Events of one window that an alert names.
const EVIDENCE_SHOWN: usize = 10;
/// How long a schedule waits after a run that failed.
const RETRY_NS: i64 = 60 * 1_000_000_000;
/// How often it is looked whether a window is over.
const LOOK: Duration = Duration::from_secs(1);

/// What runs scheduled searches.
#[derive(Clone)]
pub struct Scheduler {
    /// Where they are kept, and their alerts.
    pub store: Store,
    /// Per tenant (by number) its index.
    pub searchers: Vec<Searcher>,
    /// The receive time up to which everything is searchable.
    pub until: Arc<dyn Fn() -> Time + Send + Sync>,
    /// The clock, for deadlines and the times of runs.
    pub clock: Arc<dyn Clock>,
    /// Where new alerts are told.
    pub destinations: Vec<Destination>,
    /// Where live readers subscribe.
    pub hub: Hub,
    /// Called where there is somebody to tell.
    pub ring: Arc<dyn Fn() + Send + Sync>,
}

/// A thread that runs them.
pub struct Schedules {
    thread: JoinHandle<()>,
    stop: Arc<(Mutex<bool>, Condvar)>,
}

impl Schedules {
    /// Ends the thread; what is due then is searched after the next start.
    pub fn stop(self) {
        *self.stop.0.lock().expect("no code panics under this lock") = true;
        self.stop.1.notify_all();
        if self.thread.join().is_err() {
            warn!("the thread of scheduled searches panicked");
        }
    }
}

impl Scheduler {
    /// Runs what is due from now on.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start(self) -> std::io::Result<Schedules> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("schedules".to_owned()).spawn(move || {
            loop {
                if let Err(error) = self.run_due_until(&|| *stopped.0.lock().expect("no code panics under this lock")) {
                    warn!(%error, "failed to run the scheduled searches");
                }
                let state = stopped.0.lock().expect("no code panics under this lock");
                let (state, _) =
                    stopped.1.wait_timeout_while(state, LOOK, |stop| !*stop).expect("no code panics under this lock");
                if *state {
                    return;
                }
            }
        })?;
        Ok(Schedules { thread, stop })
    }

    /// Searches every window that is over; how many there were.
    ///
    /// # Errors
    /// Where the store fails. What was told before is told.
    pub fn run_due(&self) -> Result<usize, StoreError> {
        self.run_due_until(&|| false)
    }

    fn run_due_until(&self, stopped: &dyn Fn() -> bool) -> Result<usize, StoreError> {
        let mut ran = 0;
        let mut failed = BTreeSet::new();
        loop {
            // One window of each in turn, so that one that has much to catch up does not hold up the others; what has failed waits for the
            // next look at least.
            let mut due = self.store.due_searches((self.until)())?;
            due.retain(|one| !failed.contains(&one.id));
            if due.is_empty() {
                return Ok(ran);
            }
            for one in &due {
                if stopped() {
                    return Ok(ran);
                }
                if !self.run(one)? {
                    failed.insert(one.id.clone());
                }
                ran += 1;
            }
        }
    }

    /// False where it says nothing of its window.
    fn run(&self, due: &DueSearch) -> Result<bool, StoreError> {
        let at = self.clock.now();
        let (clock, deadline) = (self.clock.clone(), at.plus_ns(SEARCH_NS_MAX));
        let limits = SearchLimits { stop: Arc::new(move || clock.now() > deadline) };
        let window = (due.window_start, due.window_end);
        let found = match self.searchers.get(due.tenant as usize) {
            Some(searcher) => find(searcher, &due.query, &due.schedule, window, &limits),
            None => Err("its tenant is not configured any more".to_owned()),
        };
        let took_ms = self.clock.now().since_ns(at) / 1_000_000;
        let ran = Run {
            at,
            window_start: window.0,
            window_end: window.1,
            took_ms,
            matched: None,
            alerts: 0,
            beyond: false,
            error: None,
        };
        let done = found.is_ok();
        let result = if done { "done" } else { "failed" };
        metrics::counter!("mihari_scheduled_searches_total", "result" => result).increment(1);
        let (ran, alerts) = match found {
            Ok(found) => {
                let ran =
                    Run { matched: Some(found.matched as i64), alerts: found.firings.len() as i64, beyond: found.beyond, ..ran };
                (ran, found.firings.into_iter().map(|firing| alert(due, firing)).collect())
            }
            Err(reason) => {
                warn!(search = due.name, reason, "a scheduled search has failed");
                let failing = failing(due, &reason);
                (Run { error: Some(reason), ..ran }, vec![failing])
            }
        };
        let retry = at.plus_ns(RETRY_NS);
        let told = self.store.search_ran(due, &ran, alerts, retry, &self.destinations)?;
        let told = told.unwrap_or_default();
        for (id, _) in &told {
            self.hub.alert(due.tenant, id);
        }
        let new = told.iter().filter(|(_, is_told)| *is_told).count();
        if new > 0 {
            info!(search = due.name, alerts = new, "a scheduled search alerts");
            metrics::counter!("mihari_alerts_total").increment(new as u64);
            (self.ring)();
        }
        Ok(done)
    }
}

/// What one window holds.
#[derive(Debug)]
pub(crate) struct Found {
    /// Events that match.
    pub(crate) matched: u64,
    /// How often the condition holds.
    pub(crate) firings: Vec<Firing>,
    /// Whether more groups satisfy it than are told.
    pub(crate) beyond: bool,
}

/// The condition holds: for all, or for one group.
#[derive(Debug)]
pub(crate) struct Firing {
    pub(crate) group: TextMap,
    pub(crate) count: u64,
    /// The newest of its events.
    hits: Vec<Hit>,
}

/// Searches one window of receive time.
///
/// # Errors
/// Why it says nothing of the window, for people.
pub(crate) fn find(
    searcher: &Searcher,
    text: &str,
    schedule: &Schedule,
    (from, to): (Time, Time),
    limits: &SearchLimits,
) -> Result<Found, String> {
    let asked = query::parse(text, to).map_err(|error| error.to_string())?;
    let mut request = SearchRequest::new(Query::And(vec![asked, became_known(from, to)]));
    request.received = Some((from, to.plus_ns(-1)));
    let count = schedule.count;
    request.size = if schedule.group_by.is_some() { 0 } else { EVIDENCE_SHOWN };
    if let Some(field) = &schedule.group_by {
        // Those that satisfy it come first, and one more than are told says that there are more.
        let (order, min_count) = match schedule.condition {
            Condition::Above => (TermsOrder::Count, count.saturating_add(1)),
            Condition::AtLeast => (TermsOrder::Count, count),
            Condition::Exactly => (TermsOrder::CountAscending, count),
            Condition::Below | Condition::None => (TermsOrder::CountAscending, 1),
        };
        let kind = AggregationKind::Terms {
            field: field.clone(),
            size: GROUPS_MAX + 1,
            order,
            min_count: min_count.max(1),
            missing: None,
            chosen: Chosen::default(),
        };
        let newest = Aggregation::from(AggregationKind::TopHits { size: EVIDENCE_SHOWN, sort: Sort::Desc });
        request.aggregations = vec![("groups".to_owned(), Aggregation { kind, inner: vec![("newest".to_owned(), newest)] })];
    }
    let answer = searcher.search(&request, limits).map_err(|error| error.to_string())?;
    if let Some(missing) = answer.missing.first() {
        return Err(format!("a part of the index is missing that it would search: {}", missing.reason));
    }
    if answer.stopped {
        return Err(format!("it was not done within {} s", SEARCH_NS_MAX / 1_000_000_000));
    }
    let holds = |n: u64| schedule.condition.holds(n, count);
    let Some(field) = &schedule.group_by else {
        let firing = Firing { group: TextMap::default(), count: answer.total, hits: answer.hits };
        return Ok(Found {
            matched: answer.total,
            firings: holds(answer.total).then_some(firing).into_iter().collect(),
            beyond: false,
        });
    };
    let groups = answer.aggregations.into_values().next().unwrap_or_default();
    let mut firings: Vec<Firing> = groups
        .buckets
        .into_iter()
        .filter(|bucket| holds(bucket.count))
        .map(|bucket| Firing {
            group: [(field, bucket.key)].into_iter().collect(),
            count: bucket.count,
            hits: bucket.aggs.into_values().flat_map(|newest| newest.hits).collect(),
        })
        .collect();
    let beyond = firings.len() > GROUPS_MAX || groups.approximate;
    firings.truncate(GROUPS_MAX);
    Ok(Found { matched: answer.total, firings, beyond })
}

/// What became known in a window: what was received in it, and what was released in it from quarantine. A released record keeps the receive time
/// of then, whose window may be over; it is counted in the window of its release and in no other.
fn became_known(from: Time, to: Time) -> Query {
    let within = Test::Range(Bound::Included(Scalar::Time(from)), Bound::Excluded(Scalar::Time(to)));
    let field = |id: FieldId, test| Query::Field(id.name().to_owned(), test);
    let received = Query::Field("event.received".to_owned(), within.clone());
    let not_released = Query::Not(Box::new(field(FieldId::RELEASED, Test::Exists)));
    Query::Or(vec![Query::And(vec![received, not_released]), field(FieldId::RELEASED, within)])
}

fn alert(due: &DueSearch, firing: Firing) -> Alert {
    let schedule = &due.schedule;
    let explanation = BTreeMap::from([
        ("count".to_owned(), firing.count.to_string()),
        ("condition".to_owned(), schedule.condition.told(schedule.count)),
        ("from".to_owned(), due.window_start.to_string()),
        ("to".to_owned(), due.window_end.to_string()),
        ("query".to_owned(), due.query.clone()),
    ]);
    let evidence: Vec<EventId> = firing.hits.iter().map(|hit| hit.id).collect();
    let shown = |(name, value): (&String, &serde_json::Value)| {
        let value = value.as_array().and_then(|all| all.first()).unwrap_or(value);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), text[..text.floor_char_boundary(VALUE_BYTES_MAX)].to_owned())
    };
    let is_ours = |name: &str| name.starts_with("mihari.") || name.starts_with("log.");
    let fields = firing
        .hits
        .last()
        .map(|hit| hit.fields.iter().filter(|(name, _)| !is_ours(name)).take(FIELDS_MAX).map(shown).collect())
        .unwrap_or_default();
    Alert { evidence, fields, explanation, ..bare(due, firing.group, schedule.message.clone()) }
}

/// Says that a schedule is blind: an alert of its own, which each further attempt folds into.
fn failing(due: &DueSearch, reason: &str) -> Alert {
    let group = [("state", "failing")].into_iter().collect();
    bare(due, group, format!("the scheduled search says nothing, for it fails: {reason}"))
}

fn bare(due: &DueSearch, group: TextMap, message: String) -> Alert {
    let schedule = &due.schedule;
    let rule = AlertRule {
        id: due.id.clone(),
        title: schedule.title.clone(),
        level: schedule.level.clone(),
        tags: Vec::new(),
        kind: "search".to_owned(),
    };
    // In whichever language it was written ("und": undetermined, ISO 639).
    let meaning = Some(message).filter(|text| !text.is_empty()).map(|text| ("und".to_owned(), text));
    Alert {
        id: alert_id(due.tenant, &due.id, &group, due.window_start),
        tenant: due.tenant,
        rule: rule.into(),
        title: ByLanguage::default(),
        meaning: meaning.into_iter().collect::<BTreeMap<_, _>>().into(),
        first_steps: ByLanguage::default(),
        false_positives: ByLanguage::default(),
        clause: None,
        group,
        window_start: due.window_start,
        first: due.window_start,
        last: due.window_end,
        count: 1,
        evidence: Vec::new(),
        fields: TextMap::default(),
        explanation: BTreeMap::new(),
    }
}
