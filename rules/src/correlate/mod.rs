//! From matches to alerts: correlation in event time, and folding of repeats. Stateful and sequential: batches come in log order.
//!
//! ```text
//!  plain match ─────────────────────────────────────────────────▶ fold ─▶ once a batch: alerts that changed
//!       └▶ queue: waits until the watermark has passed ─▶ groups ─▶ window ─┘
//!                                                   ▲                 │ a correlation that others listen to;
//!                                                   └─────────────────┘ an absence, when its window has ended
//! ```
//!
//! Times as in `docs/decisions/0004-event-time-and-watermarks.md`: an event stands at clamp(time, received - lateness, received).
//! What is decided, and what is given up for a bound, depends on the log alone: not on batches, nor on interruptions.

mod arrive;
mod encode;
mod fold;
mod groups;
pub(crate) mod plan;
mod queue;
mod rank;
mod short;
mod snapshot;
mod sum;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Batch, EventId, EventRef, TenantId, Time};
use ipnet::IpNet;
use serde::Serialize;

use crate::alert::AlertChange;
use crate::detect::{Did, Match, RuleCost, Work};
use crate::ruleset::{Body, BoundCorrelation, RuleInfo, RuleSet};
use crate::sigma::item::Number;
use arrive::Arrivals;
use fold::{Firing, OpenAlerts};
use groups::{AHEAD, Groups};
use queue::{Ending, Queue, Span, Waiting};
use window::{Decision, Entering};

pub use fold::{ALERTS_OPEN_MAX, DEGRADED_RULE};
pub use snapshot::RestoreError;
pub use window::ENTRIES_PER_WINDOW_MAX;

/// How often memory is measured against the bounds, in nanoseconds of event time.
const MEASURE_NS: i64 = 1_000_000_000;

/// How much a correlator keeps. What goes beyond gives way as each says; it is counted by rule, and an alert says that the rule is degraded.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Groups of one rule and tenant; the one that was idle longest gives way.
    pub groups_per_rule: usize,
    /// Bytes of the windows of one rule and tenant; groups that were idle longest give way.
    pub bytes_per_rule: usize,
    /// Bytes of the windows of one tenant; groups of the rule that has most give way.
    pub bytes_per_tenant: usize,
    /// Bytes of all windows; groups of the rule and tenant that have most give way.
    pub bytes_total: usize,
    /// Matches of one rule and tenant that wait for the watermark; further ones are taken at once.
    pub waiting_per_rule: usize,
    /// Bytes of the same.
    pub waiting_bytes_per_rule: usize,
}

impl Default for Bounds {
    /// A machine with 4 GiB keeps half of it for others; a rule takes a quarter of what all may.
    fn default() -> Bounds {
        Bounds {
            groups_per_rule: 1 << 20,
            bytes_per_rule: 256 << 20,
            bytes_per_tenant: 512 << 20,
            bytes_total: 1 << 30,
            waiting_per_rule: 1 << 20,
            waiting_bytes_per_rule: 128 << 20,
        }
    }
}

/// How correlation treats time, and how much it keeps.
#[derive(Clone, Debug)]
pub struct CorrelateOptions {
    /// How late an event may come and still be taken in its order, in nanoseconds.
    pub lateness_ns: i64,
    /// The same for certain senders, by prefix; the longest wins. Correlation waits for the latest of all.
    pub lateness_by_source: Vec<(IpNet, i64)>,
    /// How much is kept.
    pub bounds: Bounds,
}

impl Default for CorrelateOptions {
    fn default() -> CorrelateOptions {
        CorrelateOptions { lateness_ns: 30 * 1_000_000_000, lateness_by_source: Vec::new(), bounds: Bounds::default() }
    }
}

/// The text was no network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected an address, or a prefix such as 192.0.2.0/24")]
pub struct BadNetwork;

impl CorrelateOptions {
    /// Events from `cidr`, an address or a prefix, may come so many nanoseconds late.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn add_source(&mut self, cidr: &str, lateness_ns: i64) -> Result<(), BadNetwork> {
        let net = cidr.parse().or_else(|_| cidr.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(|_| BadNetwork)?;
        self.lateness_by_source.push((net, lateness_ns));
        Ok(())
    }
}

/// What was given up for a bound, or came late.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Matches of events that came later than lateness allows; correlated at the watermark.
    pub late: u64,
    /// Groups that gave way.
    pub groups_evicted: u64,
    /// Entries that gave way.
    pub entries_evicted: u64,
    /// Matches taken before the watermark.
    pub taken_early: u64,
    /// Absences that were not decided.
    pub undecided: u64,
    /// Open alerts that gave way, so that a repeat of them was a new alert.
    pub alerts_closed_early: u64,
}

impl Counters {
    /// Each count with its name and what it counts.
    pub fn named(&self) -> [(&'static str, &'static str, u64); 6] {
        [
            ("late", "Matches of events that came later than lateness allows.", self.late),
            ("groups_evicted", "Groups that gave way to a bound.", self.groups_evicted),
            ("entries_evicted", "Entries of windows that gave way to a bound.", self.entries_evicted),
            ("taken_early", "Matches that were taken before the watermark, for a bound.", self.taken_early),
            ("undecided", "Absences that were not decided, for a bound.", self.undecided),
            ("alerts_closed_early", "Open alerts that gave way to a bound.", self.alerts_closed_early),
        ]
    }

    fn add(&mut self, other: &Counters) {
        self.late += other.late;
        self.groups_evicted += other.groups_evicted;
        self.entries_evicted += other.entries_evicted;
        self.taken_early += other.taken_early;
        self.undecided += other.undecided;
        self.alerts_closed_early += other.alerts_closed_early;
    }
}

/// That an event has made a correlation true, or kept it so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fired {
    /// The correlation: its index in the set.
    pub rule: usize,
    /// The event.
    pub event: EventId,
    /// The group's values, in the order of the correlation's `group-by`.
    pub group: Vec<String>,
}

/// A correlation that listens to another: from where it has its key and its values.
struct Outer {
    rule: usize,
    place: u16,
    key: Vec<From>,
    value: Vec<From>,
}

/// Where a value of a correlation that listens to another is found.
enum From {
    /// At this place of the other's group.
    Group(usize),
    /// In the event that made the other fire, among what is carried.
    Event(u16),
}

/// A match that enters a correlation, with what the event brings for it.
struct Step {
    rank: u32,
    rule: u32,
    key: Vec<u8>,
    place: u16,
    value: Vec<u8>,
}

/// The state of one rule, by tenant.
#[derive(Default)]
struct OfRule {
    groups: BTreeMap<u32, Groups>,
    alerts: BTreeMap<u32, OpenAlerts>,
    degraded: BTreeMap<u32, OpenAlerts>,
    counters: Counters,
}

impl OfRule {
    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.alerts.is_empty() && self.degraded.is_empty() && self.counters == Counters::default()
    }
}

/// Correlates matches and makes alerts.
pub struct Correlator {
    rules: Arc<RuleSet>,
    options: CorrelateOptions,
    wait_ns: i64,
    ranks: Vec<u32>,
    outers: Vec<Vec<Outer>>,
    /// Per rule how long repeats fold, from 1 on: a correlation's at least for its timespan, so that no two of its alerts begin at one instant.
    fold_ns: Vec<i64>,
    of_rule: Vec<OfRule>,
    queue: Queue,
    /// Matches of the event at hand that do not wait, and their bytes: taken together, for they are one event.
    at_once: (Vec<Waiting>, Vec<u8>),
    /// Per partition of the log the latest receipt.
    received: BTreeMap<u32, i64>,
    /// When memory is measured next: when an event at or after this is to be taken, or the watermark is there.
    measure_at: i64,
    /// Where events are decided on arrival, what has arrived and what has fired.
    on_arrival: Option<(Arrivals, Vec<Fired>)>,
}

/// An event on its way through the correlations that it satisfies.
#[derive(Clone, Copy)]
struct Passing<'p> {
    time: i64,
    event: EventId,
    tenant: u32,
    fields: &'p [u8],
}

impl Correlator {
    /// A correlator without history.
    pub fn new(rules: Arc<RuleSet>, options: CorrelateOptions) -> Correlator {
        let wait_ns = options.lateness_by_source.iter().map(|(_, ns)| *ns).fold(options.lateness_ns, i64::max);
        let ranks = plan::ranks(&rules.listeners).into_iter().map(Option::unwrap_or_default).collect();
        let outers = (0..rules.rules.len()).map(|rule| outers(&rules, rule)).collect();
        let of_rule = (0..rules.rules.len()).map(|_| OfRule::default()).collect();
        let fold_ns = rules.rules.iter().map(|rule| match &rule.body {
            Body::Sigma { .. } | Body::Behaviour(_) => rule.info.fold_ns,
            Body::Correlation(bound) => rule.info.fold_ns.max(bound.asks.timespan_ns + 1),
        });
        let fold_ns = fold_ns.collect();
        Correlator {
            rules,
            options,
            wait_ns,
            ranks,
            outers,
            fold_ns,
            of_rule,
            queue: Queue::default(),
            at_once: Default::default(),
            received: BTreeMap::new(),
            measure_at: i64::MAX,
            on_arrival: None,
        }
    }

    /// A correlator for case files: lateness is unlimited, and whatever does not ask for an absence is decided when it arrives.
    /// [`Correlator::take_fired`] tells what has fired.
    pub fn deciding_on_arrival(rules: Arc<RuleSet>) -> Correlator {
        let options = CorrelateOptions { lateness_ns: i64::MAX, ..CorrelateOptions::default() };
        Correlator { on_arrival: Some(Default::default()), ..Correlator::new(rules, options) }
    }

    /// Goes on with other rules: what is known of rules that are the same in both sets is kept, of others it is dropped. Between batches.
    pub fn replace(&mut self, rules: Arc<RuleSet>) {
        let mut next = Correlator::new(rules, self.options.clone());
        let before = self.rules.rules.iter().map(|rule| (rule.key, rule.is_correlation()));
        let places = next.rules.places_of(before);
        for (of, place) in self.of_rule.iter_mut().zip(&places) {
            if let Some(place) = place {
                next.of_rule[*place] = std::mem::take(of);
            }
        }
        next.queue = std::mem::take(&mut self.queue);
        let ranks = &next.ranks;
        next.queue.renumber(|rule| places[rule as usize].map(|place| (place as u32, ranks[place])));
        next.received = std::mem::take(&mut self.received);
        next.measure_at = self.measure_at;
        next.on_arrival = self.on_arrival.take();
        *self = next;
    }

    /// What has fired since this was last asked, where events are decided on arrival.
    pub fn take_fired(&mut self) -> Vec<Fired> {
        self.on_arrival.as_mut().map_or_else(Vec::new, |(_, fired)| std::mem::take(fired))
    }

    /// How often correlations have fired, and when last, since this was last asked.
    pub fn take_work(&mut self) -> Vec<Work> {
        let mut all = Vec::new();
        for (rule, of) in (0..).zip(&mut self.of_rule) {
            for (tenant, groups) in &mut of.groups {
                if let Some((matches, last)) = groups.fired.take() {
                    let mut did = Did { cost: RuleCost { matches, ..RuleCost::default() }, last_match: None };
                    did.met(Time::from_unix_ns(last));
                    all.push(Work { tenant: TenantId(*tenant), rule, did });
                }
            }
        }
        all
    }

    /// What was given up so far.
    pub fn counters(&self) -> Counters {
        let mut all = Counters::default();
        for of in &self.of_rule {
            all.add(&of.counters);
        }
        all
    }

    /// The same by rule, of those rules for which something was given up or came late.
    pub fn counters_by_rule(&self) -> impl Iterator<Item = (&RuleInfo, Counters)> {
        let both = self.rules.rules().zip(&self.of_rule).map(|(info, of)| (info, of.counters));
        both.filter(|(_, counters)| *counters != Counters::default())
    }

    /// Groups that are kept, and about how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        let groups = self.of_rule.iter().flat_map(|of| of.groups.values());
        groups.fold((0, 0), |(count, bytes), groups| (count + groups.len(), bytes + groups.bytes()))
    }

    /// Takes the matches of a batch (by row and rule) and moves time to its end; appends what changed, each alert once.
    pub fn advance(&mut self, batch: &Batch, matches: &[Match], out: &mut Vec<AlertChange>) {
        for of_event in matches.chunk_by(|a, b| a.row == b.row) {
            for found in of_event {
                self.take(batch.event(found.row as usize), found.rule as usize, out);
            }
            self.take_at_once(out);
        }
        if batch.received != Time::UNKNOWN {
            self.receive(batch.range.partition, batch.received.unix_ns());
            self.pass(self.watermark(), out);
        }
        self.tell(out);
    }

    /// Nothing more will come: what waits is decided.
    pub fn flush(&mut self, out: &mut Vec<AlertChange>) {
        self.pass(i64::MAX, out);
        self.tell(out);
    }

    fn receive(&mut self, partition: u32, received: i64) {
        let latest = self.received.entry(partition).or_insert(received);
        *latest = (*latest).max(received);
    }

    /// No event that stands before it is still to come.
    fn watermark(&self) -> i64 {
        self.received.values().min().map_or(i64::MIN, |received| received.saturating_sub(self.wait_ns))
    }

    fn take(&mut self, event: EventRef<'_>, rule: usize, out: &mut Vec<AlertChange>) {
        let rules = self.rules.clone();
        let time = self.stands_at(event, rule);
        let tenant = event.tenant().0;
        if let (true, Body::Sigma { group, .. }) = (rules.rules[rule].info.alerts, &rules.rules[rule].body) {
            // Plain rules alert at once, whatever may still come: so repeats fold by the clock's periods, not from the first to arrive.
            let period = time.saturating_sub(time.rem_euclid(self.fold_ns[rule]));
            let (mut key, mut fields) = (Vec::new(), Vec::new());
            encode::put_plain_key(event, group, period, &mut key);
            encode::put_shown(event, &mut fields);
            let own = event.time().unix_ns();
            let firing = Firing {
                time: period,
                start: period,
                first: own,
                last: own,
                key: &key,
                event: Some(event.id()),
                count: 1,
                fields: &fields,
                unordered: true,
            };
            self.fold(rule, tenant, &firing, out);
        }
        let mut fields = None;
        for (correlation, place) in &rules.listeners[rule] {
            if let Body::Correlation(bound) = &rules.rules[*correlation].body {
                self.wait(event, time, (rule, *correlation, *place), bound, &mut fields, out);
            }
        }
    }

    fn take_at_once(&mut self, out: &mut Vec<AlertChange>) {
        let (mut matches, mut bytes) = std::mem::take(&mut self.at_once);
        self.at_event(&matches, &bytes, out);
        matches.clear();
        bytes.clear();
        self.at_once = (matches, bytes);
    }

    /// Where the event stands in time for correlation.
    fn stands_at(&mut self, event: EventRef<'_>, rule: usize) -> i64 {
        let (time, received) = (event.time().unix_ns(), event.received().unix_ns());
        if self.on_arrival.is_some() {
            return time;
        }
        self.receive(event.id().frame.partition, received);
        let by_source = event.source().and_then(|source| {
            let matching = self.options.lateness_by_source.iter().filter(|(net, _)| net.contains(&source));
            matching.max_by_key(|(net, _)| net.prefix_len()).map(|(_, ns)| *ns)
        });
        let earliest = received.saturating_sub(by_source.unwrap_or(self.options.lateness_ns));
        if time < earliest {
            self.of_rule[rule].counters.late += 1;
        }
        time.min(received).max(earliest)
    }

    /// Puts a match of a plain rule into the queue for a correlation. `fields` is where the event's fields lie once they are there.
    fn wait(
        &mut self,
        event: EventRef<'_>,
        time: i64,
        (rule, correlation, place): (usize, usize, u16),
        bound: &BoundCorrelation,
        fields: &mut Option<Span>,
        out: &mut Vec<AlertChange>,
    ) {
        let (tenant, at) = (event.tenant().0, usize::from(place));
        let at_once = self.on_arrival.is_some() && !bound.asks.absence || !self.has_room(correlation, tenant, bound, time, out);
        let bucket = self.queue.bucket(time);
        let bytes = if at_once { &mut self.at_once.1 } else { &mut bucket.bytes };
        let start = bytes.len();
        let span = |bytes: &Vec<u8>, from: usize| Span { start: from as u32, len: (bytes.len() - from) as u32 };
        let Some(further_keys) = encode::put_all(event, &bound.keys[at], bytes) else {
            return; // An event without the field belongs to no group.
        };
        let key = span(bytes, start);
        let value_at = bytes.len();
        let valued = if bound.asks.adds_up() {
            bound.values[at].first().and_then(|fields| encode::put_number(event, fields, bytes))
        } else if bound.asks.counts_values() {
            encode::put_all(event, &bound.values[at], bytes)
        } else {
            Some(false)
        };
        let Some(further_values) = valued else {
            bytes.truncate(start);
            return; // Nor does it count where it has no value that counts.
        };
        let value = span(bytes, value_at);
        let shown = match (at_once, *fields) {
            (false, Some(shown)) => shown,
            _ => {
                let from = bytes.len();
                encode::put_shown(event, bytes);
                encode::put_carried(event, &self.rules.carries[rule], bytes);
                span(bytes, from)
            }
        };
        let (one, several, left_out);
        let all: &[(Span, Span)] = if further_keys || further_values {
            (several, left_out) = each_value(event, bound, at, bytes);
            &several
        } else {
            (one, left_out) = ([(key, value)], 0);
            &one
        };
        let (rank, rule) = (self.ranks[correlation], correlation as u32);
        let waiting = |&(key, value): &(Span, Span)| Waiting {
            time,
            event: event.id(),
            rank,
            rule,
            place,
            tenant,
            key,
            value,
            fields: shown,
        };
        if at_once {
            self.at_once.0.extend(all.iter().map(waiting));
        } else {
            *fields = Some(shown);
            let groups = self.of_rule[correlation].groups.get_mut(&tenant);
            let (count, bytes) = all.iter().map(waiting).fold((0, 0), |(count, bytes), waiting| {
                bucket.push(waiting);
                (count + 1, bytes + waiting.byte_len())
            });
            if let Some(groups) = groups {
                groups.waiting += count;
                groups.waiting_bytes += bytes;
            }
        }
        if left_out > 0 {
            self.of_rule[correlation].counters.entries_evicted += left_out;
            self.degrade(correlation, tenant, time, left_out, out);
        }
    }

    /// Whether one more match of a correlation may wait. What is full only because the watermark was not looked at since the last batch is
    /// emptied first, so that the answer does not depend on batches.
    fn has_room(
        &mut self,
        correlation: usize,
        tenant: u32,
        bound: &BoundCorrelation,
        time: i64,
        out: &mut Vec<AlertChange>,
    ) -> bool {
        let bounds = self.options.bounds;
        let groups = self.of_rule[correlation].groups.entry(tenant).or_insert_with(|| Groups::new(&bound.asks));
        let full =
            |groups: &Groups| groups.waiting >= bounds.waiting_per_rule || groups.waiting_bytes >= bounds.waiting_bytes_per_rule;
        if !full(groups) {
            return true;
        }
        self.pass(self.watermark(), out);
        if self.of_rule[correlation].groups.get(&tenant).is_some_and(|groups| !full(groups)) {
            return true;
        }
        self.of_rule[correlation].counters.taken_early += 1;
        self.degrade(correlation, tenant, time, 1, out);
        false
    }

    /// Decides everything that stands before `watermark`.
    fn pass(&mut self, watermark: i64, out: &mut Vec<AlertChange>) {
        while let Some(due) = self.queue.take(watermark) {
            let (mut at, mut warm) = (0, 0);
            while let Some(first) = due.matches.get(at) {
                if at >= warm {
                    warm = (at + AHEAD).min(due.matches.len());
                    self.warm(&due.matches[at..warm], &due.bytes);
                }
                while let Some(ending) = self.queue.take_ending(first.time) {
                    self.end(&ending, out);
                }
                if self.measure_at <= first.time {
                    self.measure(out);
                }
                let same = |m: &&Waiting| (m.time, m.event, m.tenant) == (first.time, first.event, first.tenant);
                let run = due.matches[at..].iter().take_while(same).count();
                for waiting in &due.matches[at..at + run] {
                    if let Some(groups) = self.of_rule[waiting.rule as usize].groups.get_mut(&waiting.tenant) {
                        groups.waiting -= 1;
                        groups.waiting_bytes -= waiting.byte_len();
                    }
                }
                self.at_event(&due.matches[at..at + run], &due.bytes, out);
                at += run;
            }
            self.queue.done(due);
        }
        while let Some(ending) = self.queue.take_ending(watermark) {
            self.end(&ending, out);
        }
        if self.measure_at <= watermark {
            self.measure(out);
        }
    }

    /// Reads what matches that come next will need of their groups.
    fn warm(&self, waiting: &[Waiting], bytes: &[u8]) {
        let mut read = 0;
        for of_rule in waiting.chunk_by(|a, b| (a.rule, a.tenant) == (b.rule, b.tenant)) {
            let rule = of_rule[0].rule as usize;
            let Body::Correlation(bound) = &self.rules.rules[rule].body else { continue };
            if let Some(groups) = self.of_rule[rule].groups.get(&of_rule[0].tenant) {
                let entering = of_rule.iter().map(|waiting| (waiting.key.of(bytes), waiting.value.of(bytes)));
                read ^= groups.warm(&bound.asks, entering);
            }
        }
        std::hint::black_box(read);
    }

    /// An event is taken by the correlations that it satisfies.
    fn at_event(&mut self, waiting: &[Waiting], bytes: &[u8], out: &mut Vec<AlertChange>) {
        let [first, ..] = waiting else { return };
        let passing = Passing { time: first.time, event: first.event, tenant: first.tenant, fields: first.fields.of(bytes) };
        if let ([only], true) = (waiting, self.outers[first.rule as usize].is_empty()) {
            self.enter(passing, first.rule as usize, only.key.of(bytes), &[only.place], &[only.value.of(bytes)], out);
            return;
        }
        let step = |w: &Waiting| Step {
            rank: w.rank,
            rule: w.rule,
            key: w.key.of(bytes).to_vec(),
            place: w.place,
            value: w.value.of(bytes).to_vec(),
        };
        self.cascade(passing, waiting.iter().map(step).collect(), out);
    }

    /// Takes an event through correlations, from the inside out: each is asked once, with all of its rules that the event satisfies.
    fn cascade(&mut self, passing: Passing<'_>, mut steps: Vec<Step>, out: &mut Vec<AlertChange>) {
        while !steps.is_empty() {
            // The first stands last.
            steps.sort_by(|a, b| (b.rank, b.rule, &b.key, b.place).cmp(&(a.rank, a.rule, &a.key, a.place)));
            let Some(Step { rule, key, place, value, .. }) = steps.pop() else { return };
            let (mut places, mut values) = (vec![place], vec![value]);
            while let Some(next) = steps.pop_if(|next| next.rule == rule && next.key == key) {
                if places.last() != Some(&next.place) {
                    places.push(next.place);
                }
                // Several rules that the event satisfies bring the same values.
                if next.place == place || !values.contains(&next.value) {
                    values.push(next.value);
                }
            }
            let rule = rule as usize;
            if self.enter(passing, rule, &key, &places, &values, out) {
                self.listen(rule, &key, passing.fields, &mut steps);
            }
        }
    }

    /// What a correlation that has fired brings to those that listen to it.
    fn listen(&self, rule: usize, key: &[u8], fields: &[u8], steps: &mut Vec<Step>) {
        let texts = encode::texts(key);
        let said = |from: &From| match from {
            From::Group(at) => texts.get(*at).map(|text| (*text).to_owned()),
            From::Event(number) => encode::carried(fields, *number),
        };
        for outer in &self.outers[rule] {
            let Body::Correlation(bound) = &self.rules.rules[outer.rule].body else { continue };
            let all = |of: &[From]| of.iter().map(said).collect::<Option<Vec<String>>>();
            let (Some(key), Some(values)) = (all(&outer.key), all(&outer.value)) else { continue };
            let (mut outer_key, mut value) = (Vec::new(), Vec::new());
            encode::put_texts(key.iter().map(String::as_str), &mut outer_key);
            if bound.asks.adds_up() {
                let number = values.first().and_then(|text| Number::parse(text));
                if !number.is_some_and(|number| encode::put_number_bytes(number, &mut value)) {
                    continue;
                }
            } else {
                encode::put_texts(values.iter().map(String::as_str), &mut value);
            }
            let (rank, place) = (self.ranks[outer.rule], outer.place);
            steps.push(Step { rank, rule: outer.rule as u32, key: outer_key, place, value });
        }
    }

    /// An event enters the window of its group with each of its values. Whether it satisfies the correlation now.
    fn enter(
        &mut self,
        passing: Passing<'_>,
        rule: usize,
        key: &[u8],
        places: &[u16],
        values: &[impl AsRef<[u8]>],
        out: &mut Vec<AlertChange>,
    ) -> bool {
        let Passing { time, event, tenant, fields } = passing;
        let rules = self.rules.clone();
        let Body::Correlation(bound) = &rules.rules[rule].body else { return false };
        let asks = &bound.asks;
        let entering = values.iter().map(|value| Entering { time, event, places, value: value.as_ref() });
        if let Some((arrivals, _)) = &mut self.on_arrival
            && !asks.absence
        {
            let mut holds = false;
            for entering in entering {
                holds = arrivals.enter((rule as u32, tenant), asks, key, entering); // What all of its values make of the window counts.
            }
            return holds && self.fire(passing, rule, key, None, time, out);
        }
        self.measure_at = self.measure_at.min((time.div_euclid(MEASURE_NS) + 1).saturating_mul(MEASURE_NS));
        let Bounds { groups_per_rule, bytes_per_rule, waiting_per_rule, .. } = self.options.bounds;
        let of = &mut self.of_rule[rule];
        let groups = of.groups.entry(tenant).or_insert_with(|| Groups::new(asks));
        let (mut lost, mut last) = (0, None);
        for entering in entering {
            let entered = groups.enter(asks, key, entering, (groups_per_rule, bytes_per_rule));
            lost += entered.groups_given_up + entered.entries_given_up;
            of.counters.groups_evicted += entered.groups_given_up;
            of.counters.entries_evicted += entered.entries_given_up;
            last = Some(entered);
        }
        let Some(entered) = last else { return false };
        if let Decision::Unless(start) = entered.decision {
            if groups.endings >= waiting_per_rule {
                of.counters.undecided += 1;
                lost += 1;
            } else {
                groups.endings += 1;
                let (rank, end) = (self.ranks[rule], start.saturating_add(asks.timespan_ns));
                let (key, fields) = (key.into(), fields.into());
                self.queue.push_ending(Ending { end, event, rank, rule: rule as u32, tenant, start, key, fields });
            }
        }
        if lost > 0 {
            self.degrade(rule, tenant, time, lost, out);
        }
        match entered.decision {
            Decision::Holds(start) => self.fire(passing, rule, key, Some(entered.group), start, out),
            Decision::No | Decision::Unless(_) => false,
        }
    }

    /// A window has ended: what was asked not to happen has, or has not.
    fn end(&mut self, ending: &Ending, out: &mut Vec<AlertChange>) {
        let rules = self.rules.clone();
        let Ending { end, event, rule, tenant, start, key, fields, .. } = ending;
        if self.measure_at <= *end {
            self.measure(out);
        }
        let rule = *rule as usize;
        let Body::Correlation(bound) = &rules.rules[rule].body else { return };
        let Some(groups) = self.of_rule[rule].groups.get_mut(tenant) else { return };
        groups.endings -= 1;
        let stood = groups.group(key).and_then(|group| groups.window(group).has_stood(&bound.asks, *start));
        let Some(last) = stood else { return }; // Also where the group was given up, so that nobody knows.
        groups.note_fired(last);
        let passing = Passing { time: *end, event: *event, tenant: *tenant, fields };
        let (time, start) = (*end, *start);
        let firing = Firing { time, start, first: start, last, key, event: Some(*event), count: 1, fields, unordered: false };
        self.note(rule, *event, key);
        if rules.rules[rule].info.alerts {
            self.fold(rule, *tenant, &firing, out);
        }
        let mut steps = Vec::new();
        self.listen(rule, key, fields, &mut steps);
        self.cascade(passing, steps, out);
    }

    /// A window satisfies its correlation. `true`, for who listens.
    fn fire(
        &mut self,
        passing: Passing<'_>,
        rule: usize,
        key: &[u8],
        group: Option<u32>,
        start: i64,
        out: &mut Vec<AlertChange>,
    ) -> bool {
        let Passing { time, event, tenant, fields } = passing;
        self.note(rule, event, key);
        let OfRule { groups, alerts, counters, .. } = &mut self.of_rule[rule];
        let Some(groups) = groups.get_mut(&tenant) else { return true };
        groups.note_fired(time);
        if !self.rules.rules[rule].info.alerts {
            return true;
        }
        let Some(group) = group else { return true };
        let firing =
            Firing { time, start, first: start, last: time, key, event: Some(event), count: 1, fields, unordered: false };
        let alerts = alerts.entry(tenant).or_insert_with(OpenAlerts::new);
        let rules = &self.rules;
        let mut tell = |open: &fold::Open| out.push(fold::change(open, fold::body(rules, rule, tenant, open)));
        let fold_ns = self.fold_ns[rule];
        counters.alerts_closed_early += alerts.fold(&firing, fold_ns, |all| groups.hear(group, all), &mut tell);
        true
    }

    fn note(&mut self, rule: usize, event: EventId, key: &[u8]) {
        if let Some((_, fired)) = &mut self.on_arrival {
            fired.push(Fired { rule, event, group: encode::texts(key).into_iter().map(str::to_owned).collect() });
        }
    }

    /// Folds a firing of one event into the open alert of its group, or opens one.
    fn fold(&mut self, rule: usize, tenant: u32, firing: &Firing<'_>, out: &mut Vec<AlertChange>) {
        let rules = &self.rules;
        let of = &mut self.of_rule[rule];
        let mut tell = |open: &fold::Open| out.push(fold::change(open, fold::body(rules, rule, tenant, open)));
        let alerts = of.alerts.entry(tenant).or_insert_with(OpenAlerts::new);
        let fold_ns = self.fold_ns[rule];
        of.counters.alerts_closed_early += alerts.fold(firing, fold_ns, |_| firing.event.into_iter(), &mut tell);
    }

    /// The rule has given something up: it says so once an hour.
    fn degrade(&mut self, rule: usize, tenant: u32, time: i64, lost: u64, out: &mut Vec<AlertChange>) {
        let rules = &self.rules;
        let mut tell = |open: &fold::Open| out.push(fold::change(open, fold::degraded(rules, rule, tenant, open)));
        let firing = Firing {
            time,
            start: time,
            first: time,
            last: time,
            key: &[],
            event: None,
            count: lost,
            fields: &[],
            unordered: false,
        };
        let alerts = self.of_rule[rule].degraded.entry(tenant).or_insert_with(OpenAlerts::new);
        alerts.fold(&firing, fold::DEGRADED_FOLD_NS, |_| std::iter::empty(), &mut tell);
    }

    /// Forgets what no event can reach any more, and gives groups up where there are more bytes than the bounds allow. At fixed instants of
    /// event time, so that it does not depend on batches.
    fn measure(&mut self, out: &mut Vec<AlertChange>) {
        let rules = self.rules.clone();
        let now = self.measure_at;
        self.measure_at = i64::MAX;
        let mut by_tenant: BTreeMap<u32, usize> = BTreeMap::new();
        for (rule, of) in self.of_rule.iter_mut().enumerate() {
            if let Body::Correlation(bound) = &rules.rules[rule].body {
                for (tenant, groups) in &mut of.groups {
                    groups.expire(&bound.asks, now);
                    *by_tenant.entry(*tenant).or_default() += groups.bytes();
                }
            }
            for (tenant, alerts) in &mut of.alerts {
                let mut tell = |open: &fold::Open| out.push(fold::change(open, fold::body(&rules, rule, *tenant, open)));
                alerts.expire(self.fold_ns[rule], now, &mut tell);
            }
        }
        for (tenant, bytes) in &mut by_tenant {
            *bytes = self.shrink(Some(*tenant), *bytes, self.options.bounds.bytes_per_tenant, now, out);
        }
        self.shrink(None, by_tenant.values().sum(), self.options.bounds.bytes_total, now, out);
    }

    /// Gives groups up, of whoever has most bytes, until there are no more than `max`. Gives how many bytes there are.
    fn shrink(&mut self, tenant: Option<u32>, mut bytes: usize, max: usize, now: i64, out: &mut Vec<AlertChange>) -> usize {
        let rules = self.rules.clone();
        while bytes > max {
            let mine = |of: &u32| tenant.is_none_or(|tenant| tenant == *of);
            let all = self.of_rule.iter().enumerate().flat_map(|(rule, of)| of.groups.iter().map(move |(t, g)| (rule, *t, g)));
            let largest = all.filter(|(_, t, _)| mine(t)).max_by_key(|(_, _, groups)| groups.bytes());
            let Some((rule, of, _)) = largest.map(|(rule, tenant, groups)| (rule, tenant, groups.len())) else { break };
            let Body::Correlation(bound) = &rules.rules[rule].body else { break };
            let Some(groups) = self.of_rule[rule].groups.get_mut(&of) else { break };
            // A share at a time, so that who has most is not searched for each group.
            let until = (bytes - max).max(max / 64);
            let (before, mut given_up) = (groups.bytes(), 0);
            while before - groups.bytes() < until && groups.give_up(&bound.asks) {
                given_up += 1;
            }
            bytes -= before - groups.bytes();
            if given_up == 0 {
                break;
            }
            self.of_rule[rule].counters.groups_evicted += given_up;
            self.degrade(rule, of, now, given_up, out);
        }
        bytes
    }

    /// Tells every alert that has changed since this was last done.
    fn tell(&mut self, out: &mut Vec<AlertChange>) {
        let rules = self.rules.clone();
        for (rule, of) in self.of_rule.iter_mut().enumerate() {
            for (tenant, alerts) in &mut of.alerts {
                alerts.tell(|open| out.push(fold::change(open, fold::body(&rules, rule, *tenant, open))));
            }
            for (tenant, alerts) in &mut of.degraded {
                alerts.tell(|open| out.push(fold::change(open, fold::degraded(&rules, rule, *tenant, open))));
            }
        }
    }
}

/// Every group that an event belongs to with every value that counts, where fields have several: written behind `bytes`. And how many were left
/// out.
fn each_value(event: EventRef<'_>, bound: &BoundCorrelation, at: usize, bytes: &mut Vec<u8>) -> (Vec<(Span, Span)>, u64) {
    let mut put = |text: &[u8]| {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(text);
        Span { start, len: text.len() as u32 }
    };
    let (keys, keys_left_out) = encode::combinations(event, &bound.keys[at]);
    let (values, values_left_out) = if bound.asks.adds_up() {
        bound.values[at].first().map_or_else(Default::default, |fields| encode::numbers(event, fields))
    } else if bound.asks.counts_values() {
        let (values, left_out) = encode::combinations(event, &bound.values[at]);
        (values.into_iter().collect(), left_out)
    } else {
        (vec![Vec::new()], 0)
    };
    let keys: Vec<Span> = keys.iter().map(|key| put(key)).collect();
    let values: Vec<Span> = values.iter().map(|value| put(value)).collect();
    let all = keys.iter().flat_map(|key| values.iter().map(move |value| (*key, *value)));
    (all.collect(), keys_left_out + values_left_out)
}

/// The correlations that listen to `rule`, which is one itself.
fn outers(rules: &RuleSet, rule: usize) -> Vec<Outer> {
    let Body::Correlation(inner) = &rules.rules[rule].body else { return Vec::new() };
    let place_of = |names: &[String], name: &String| names.iter().position(|other| other == name);
    let from = |name: &String| match place_of(&inner.written.group_by, name) {
        Some(at) => Some(From::Group(at)),
        None => place_of(&rules.carried, name).map(|at| From::Event(at as u16)),
    };
    let all = |names: &[String]| names.iter().map(from).collect::<Option<Vec<From>>>();
    let outer = |(outer, place): &(usize, u16)| {
        let Body::Correlation(bound) = &rules.rules[*outer].body else { return None };
        let key = all(&bound.key_names[usize::from(*place)])?;
        let value = if bound.asks.counts_values() { all(&bound.written.fields)? } else { Vec::new() };
        Some(Outer { rule: *outer, place: *place, key, value })
    };
    rules.listeners[rule].iter().filter_map(outer).collect()
}
