//! From matches to alerts: correlation in event time, and folding of repeats. Stateful and sequential: batches come in log order.
//!
//! ```text
//!  plain match ───────────────────────────────────────────▶ fold ─▶ alert
//!       └▶ wait until the watermark has passed ─▶ windows ─┘
//! ```
//!
//! Times as in `docs/decisions/0004-event-time-and-watermarks.md`: an event stands at clamp(time, received - lateness, received).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use event::{Batch, EventId, EventRef, FieldId, Time, Value};
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertChange, AlertRule, FIELDS_MAX, VALUE_BYTES_MAX, alert_id};
use crate::detect::Match;
use crate::ruleset::{Body, RuleSet};
use crate::sigma::correlation::Entry;

/// Groups of one rule that are kept; the one that was idle longest gives way (counted).
pub const GROUPS_PER_RULE_MAX: usize = 100_000;
/// Entries of one window; the oldest gives way (counted).
pub const ENTRIES_PER_WINDOW_MAX: usize = 10_000;
/// Matches that wait for the watermark; beyond it the earliest are taken at once (counted).
pub const WAITING_MAX: usize = 1_000_000;
/// Correlations over correlations.
const CHAIN_MAX: usize = 8;

/// How correlation treats time.
#[derive(Clone, Copy, Debug)]
pub struct CorrelateOptions {
    /// How late an event may come and still be taken in its order, in nanoseconds.
    pub lateness_ns: i64,
}

impl Default for CorrelateOptions {
    fn default() -> CorrelateOptions {
        CorrelateOptions { lateness_ns: 30 * 1_000_000_000 }
    }
}

/// What was given up for a bound, or came late.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Events that came later than lateness allows; correlated at the watermark.
    pub late: u64,
    /// Groups that gave way.
    pub groups_evicted: u64,
    /// Entries that gave way.
    pub entries_evicted: u64,
    /// Matches taken before the watermark.
    pub taken_early: u64,
}

/// The values that tell a group apart. A key of maps, so it is stored as one string.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Group(Vec<String>);

impl Serialize for Group {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(&self.0).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Group, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        serde_json::from_str(&text).map(Group).map_err(serde::de::Error::custom)
    }
}

type GroupKey = (u32, Group);

/// A match on its way to a window.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Waiting {
    rule: usize,
    place: u16,
    tenant: u32,
    group: Group,
    value: Option<Vec<String>>,
    fields: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Kept {
    time: i64,
    event: EventId,
    entry: Entry,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct State {
    /// By time and event, then the order in which rules stand.
    waiting: BTreeMap<i64, Vec<(EventId, Waiting)>>,
    waiting_len: usize,
    /// Per rule and group the entries in order of time.
    windows: BTreeMap<usize, BTreeMap<u32, BTreeMap<Group, VecDeque<Kept>>>>,
    /// Per rule and group the alert that repeats fold into.
    open: BTreeMap<usize, BTreeMap<u32, BTreeMap<Group, Alert>>>,
    watermark: i64,
    counters: Counters,
}

/// Correlates matches and makes alerts.
pub struct Correlator {
    rules: Arc<RuleSet>,
    options: CorrelateOptions,
    state: State,
}

/// A snapshot was not of these rules, or not readable.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Made by other rules.
    #[error("the snapshot belongs to other rules")]
    OtherRules,
    /// Not a snapshot.
    #[error("the snapshot cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

impl Correlator {
    /// A correlator without history.
    pub fn new(rules: Arc<RuleSet>, options: CorrelateOptions) -> Correlator {
        Correlator { rules, options, state: State { watermark: i64::MIN, ..State::default() } }
    }

    /// What was given up so far.
    pub fn counters(&self) -> Counters {
        self.state.counters
    }

    /// Takes the matches of a batch (by row and rule) and moves time to its end; appends what changed.
    pub fn advance(&mut self, batch: &Batch, matches: &[Match], out: &mut Vec<AlertChange>) {
        for found in matches {
            let event = batch.event(found.row as usize);
            // Everything that waits and is older than this event's watermark comes before what this event does.
            self.pass(event.received().plus_ns(-self.options.lateness_ns), out);
            self.take(event, found.rule as usize, out);
        }
        if batch.received != Time::UNKNOWN {
            self.pass(batch.received.plus_ns(-self.options.lateness_ns), out);
        }
    }

    /// Nothing more will come: what waits is decided.
    pub fn flush(&mut self, out: &mut Vec<AlertChange>) {
        self.pass(Time::MAX, out);
    }

    /// The state as bytes, for [`Correlator::restore`].
    pub fn snapshot(&self) -> Vec<u8> {
        serde_json::to_vec(&(self.rules.hash(), &self.state)).expect("the state is serialisable")
    }

    /// Takes up a state: what follows is as if there had been no interruption.
    ///
    /// # Errors
    /// Where it is none, or of other rules; nothing is changed then.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let (hash, state): ([u8; 32], State) = serde_json::from_slice(bytes)?;
        if hash != self.rules.hash() {
            return Err(RestoreError::OtherRules);
        }
        self.state = state;
        Ok(())
    }

    fn take(&mut self, event: EventRef<'_>, rule: usize, out: &mut Vec<AlertChange>) {
        let rules = self.rules.clone();
        let time = event.time().min(event.received()).max(event.received().plus_ns(-self.options.lateness_ns));
        if time > event.time() {
            self.state.counters.late += 1;
        }
        if let (true, Body::Sigma { group, .. }) = (rules.rules[rule].info.alerts, &rules.rules[rule].body) {
            let group = plain_group(event, group);
            let key = (event.tenant().0, Group(group.iter().map(|(_, v)| v.clone()).collect()));
            self.fold(rule, key, event.time(), &[event.id()], || (group, fields_of(event)), out);
        }
        for (correlation, place) in &rules.listeners[rule] {
            let Body::Correlation(bound) = &rules.rules[*correlation].body else { continue };
            let mut group = Vec::with_capacity(bound.keys[usize::from(*place)].len());
            for fields in &bound.keys[usize::from(*place)] {
                match first_value(event, fields) {
                    Some(value) => group.push(value),
                    None => break, // An event without the field belongs to no group.
                }
            }
            if group.len() < bound.written.group_by.len() {
                continue;
            }
            let value = (!bound.values.is_empty())
                .then(|| bound.values.iter().map(|fields| first_value(event, fields)).collect::<Option<Vec<_>>>())
                .flatten();
            let waiting = Waiting {
                rule: *correlation,
                place: *place,
                tenant: event.tenant().0,
                group: Group(group),
                value,
                fields: fields_of(event),
            };
            self.state.waiting.entry(time.unix_ns()).or_default().push((event.id(), waiting));
            self.state.waiting_len += 1;
        }
        while self.state.waiting_len > WAITING_MAX {
            self.state.counters.taken_early += 1;
            self.pass_one(out);
        }
    }

    /// Decides everything that stands before `watermark`.
    fn pass(&mut self, watermark: Time, out: &mut Vec<AlertChange>) {
        self.state.watermark = self.state.watermark.max(watermark.unix_ns());
        while self.state.waiting.first_key_value().is_some_and(|(time, _)| *time < self.state.watermark) {
            self.pass_one(out);
        }
    }

    /// Decides everything that stands at the earliest instant.
    fn pass_one(&mut self, out: &mut Vec<AlertChange>) {
        let Some((time, mut at_once)) = self.state.waiting.pop_first() else { return };
        self.state.waiting_len -= at_once.len();
        at_once.sort_by_key(|(event, waiting)| (*event, waiting.rule, waiting.place));
        for (event, waiting) in at_once {
            self.enter(time, event, waiting, CHAIN_MAX, out);
        }
    }

    /// Puts an event into its window, and alerts where the window satisfies the correlation.
    fn enter(&mut self, time: i64, event: EventId, waiting: Waiting, chain_left: usize, out: &mut Vec<AlertChange>) {
        let rules = self.rules.clone();
        let Waiting { rule, place, tenant, group, value, fields } = waiting;
        let Body::Correlation(bound) = &rules.rules[rule].body else { return };
        let timespan_ns = bound.written.timespan_ns;
        let windows = self.state.windows.entry(rule).or_default();
        let groups: usize = windows.values().map(BTreeMap::len).sum();
        let of_tenant = windows.entry(tenant).or_default();
        if groups >= GROUPS_PER_RULE_MAX && !of_tenant.contains_key(&group) {
            self.state.counters.groups_evicted += evict(of_tenant, time.saturating_sub(timespan_ns));
        }
        let window = of_tenant.entry(group.clone()).or_default();
        while window.front().is_some_and(|kept| kept.time < time.saturating_sub(timespan_ns)) {
            window.pop_front();
        }
        if window.len() >= ENTRIES_PER_WINDOW_MAX {
            window.pop_front();
            self.state.counters.entries_evicted += 1;
        }
        window.push_back(Kept { time, event, entry: Entry { rule: place, value } });
        if !bound.written.holds(window.iter().map(|kept| &kept.entry)) {
            return;
        }
        let evidence: Vec<EventId> = window.iter().map(|kept| kept.event).collect();
        let first = window.front().map_or(time, |kept| kept.time);
        if rules.rules[rule].info.alerts {
            let named: Vec<(String, String)> = bound.written.group_by.iter().cloned().zip(group.0.iter().cloned()).collect();
            let start = Time::from_unix_ns(first);
            let shown = fields.clone();
            self.fold_at(rule, (tenant, group.clone()), start, Time::from_unix_ns(time), &evidence, || (named, shown), out);
        }
        if chain_left == 0 {
            return;
        }
        for (outer, place) in &rules.listeners[rule] {
            let Body::Correlation(outer_bound) = &rules.rules[*outer].body else { continue };
            // The inner correlation's values, by the names of its group-by.
            let named = |name: &String| bound.written.group_by.iter().position(|g| g == name).map(|at| group.0[at].clone());
            let Some(outer_group) =
                outer_bound.key_names[usize::from(*place)].iter().map(named).collect::<Option<Vec<String>>>().map(Group)
            else {
                continue;
            };
            let value = outer_bound.written.fields.iter().map(named).collect::<Option<Vec<_>>>().filter(|v| !v.is_empty());
            let waiting = Waiting { rule: *outer, place: *place, tenant, group: outer_group, value, fields: fields.clone() };
            self.enter(time, event, waiting, chain_left - 1, out);
        }
    }

    fn fold(
        &mut self,
        rule: usize,
        key: GroupKey,
        time: Time,
        evidence: &[EventId],
        describe: impl FnOnce() -> (Vec<(String, String)>, BTreeMap<String, String>),
        out: &mut Vec<AlertChange>,
    ) {
        self.fold_at(rule, key, time, time, evidence, describe, out);
    }

    /// Folds a firing into the open alert of its group, or opens one.
    #[expect(clippy::too_many_arguments, reason = "everything that an alert is made of")]
    fn fold_at(
        &mut self,
        rule: usize,
        (tenant, group): GroupKey,
        start: Time,
        time: Time,
        evidence: &[EventId],
        describe: impl FnOnce() -> (Vec<(String, String)>, BTreeMap<String, String>),
        out: &mut Vec<AlertChange>,
    ) {
        let info = &self.rules.rules[rule].info;
        let by_tenant = self.state.open.entry(rule).or_default();
        let groups: usize = by_tenant.values().map(BTreeMap::len).sum();
        let open = by_tenant.entry(tenant).or_default();
        if let Some(alert) = open.get_mut(&group)
            && time.since_ns(alert.window_start) < info.fold_ns
            && alert.window_start.since_ns(time) < info.fold_ns
        {
            alert.count += 1;
            alert.last = alert.last.max(time);
            alert.first = alert.first.min(start);
            alert.add_evidence(evidence);
            out.push(AlertChange::Updated(alert.clone()));
            return;
        }
        if groups >= GROUPS_PER_RULE_MAX && !open.contains_key(&group) {
            let before = open.len();
            let oldest = time.plus_ns(-info.fold_ns);
            open.retain(|_, alert| alert.window_start > oldest);
            if open.len() == before {
                open.pop_first();
            }
            self.state.counters.groups_evicted += (before - open.len()) as u64;
        }
        let (named, fields) = describe();
        let named: BTreeMap<String, String> = named.into_iter().collect();
        let text = |of: fn(&crate::ruleset::Texts) -> &String| {
            let texts = info.texts.iter().map(|(language, t)| (language.clone(), of(t).clone()));
            texts.filter(|(_, t)| !t.is_empty()).collect::<BTreeMap<_, _>>()
        };
        let mut alert = Alert {
            id: alert_id(tenant, &info.id, &named, start),
            tenant,
            rule: AlertRule {
                id: info.id.clone(),
                title: info.title.clone(),
                level: info.level.clone(),
                tags: info.tags.clone(),
                kind: info.kind.to_owned(),
            },
            title: text(|t| &t.title),
            meaning: text(|t| &t.meaning),
            first_steps: text(|t| &t.first_steps),
            false_positives: text(|t| &t.false_positives),
            clause: fields.get(FieldId::POLICY_CLAUSE.name()).cloned().or_else(|| info.clause.clone()),
            group: named,
            window_start: start,
            first: start,
            last: time,
            count: 1,
            evidence: Vec::new(),
            fields,
        };
        alert.add_evidence(evidence);
        open.insert(group, alert.clone());
        out.push(AlertChange::New(alert));
    }
}

/// Drops windows that hold nothing young; where all do, the one whose last entry is oldest.
fn evict(windows: &mut BTreeMap<Group, VecDeque<Kept>>, oldest: i64) -> u64 {
    let before = windows.len();
    windows.retain(|_, window| window.back().is_some_and(|kept| kept.time >= oldest));
    if windows.len() == before {
        let idle = windows.iter().min_by_key(|(_, window)| window.back().map(|kept| kept.time)).map(|(group, _)| group.clone());
        if let Some(idle) = idle {
            windows.remove(&idle);
        }
    }
    (before - windows.len()) as u64
}

fn first_value(event: EventRef<'_>, fields: &[FieldId]) -> Option<String> {
    fields.iter().find_map(|f| event.get(*f)).filter(|v| *v != Value::Null).map(|v| shortened(&v.to_string()))
}

/// The group of a plain rule: the fields that it names, or the first that the event has of those by which people tell alerts apart.
fn plain_group(event: EventRef<'_>, named: &[Vec<FieldId>]) -> Vec<(String, String)> {
    if named.is_empty() {
        const USUAL: [FieldId; 5] =
            [FieldId::SOURCE_IP, FieldId::HOST_NAME, FieldId::USER_NAME, FieldId::OBSERVER_NAME, FieldId::OBSERVER_IP];
        let found = USUAL.iter().find_map(|f| Some((f.name().to_owned(), shortened(&event.get(*f)?.to_string()))));
        return found.into_iter().collect();
    }
    let value = |fields: &Vec<FieldId>| {
        let name = fields.first().map_or("", |f| f.name()).to_owned();
        (name, first_value(event, fields).unwrap_or_default())
    };
    named.iter().map(value).collect()
}

/// The fields of an event that an alert shows: those that tell who, whom and what.
fn fields_of(event: EventRef<'_>) -> BTreeMap<String, String> {
    use FieldId as F;
    const SHOWN: [FieldId; FIELDS_MAX] = [
        F::SOURCE_IP,
        F::SOURCE_PORT,
        F::DESTINATION_IP,
        F::DESTINATION_PORT,
        F::USER_NAME,
        F::HOST_NAME,
        F::EVENT_ACTION,
        F::EVENT_OUTCOME,
        F::NETWORK_TRANSPORT,
        F::NETWORK_BYTES,
        F::SOURCE_BYTES,
        F::URL_ORIGINAL,
        F::URL_DOMAIN,
        F::HTTP_REQUEST_METHOD,
        F::HTTP_RESPONSE_STATUS_CODE,
        F::USER_AGENT_ORIGINAL,
        F::DNS_QUESTION_NAME,
        F::PROCESS_COMMAND_LINE,
        F::RULE_NAME,
        F::ZONE_SOURCE,
        F::ZONE_DESTINATION,
        F::POLICY_VERDICT,
        F::POLICY_CLAUSE,
        F::OBSERVER_NAME,
    ];
    SHOWN.iter().filter_map(|f| Some((f.name().to_owned(), shortened(&event.get(*f)?.to_string())))).collect()
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(VALUE_BYTES_MAX)].to_owned()
}
