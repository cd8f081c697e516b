//! Behaviour: what no single record shows. Connections, queries and logins are observed in the order of their times, told once however
//! many devices tell of them, and watched by the behaviours that rule files describe (`behaviour:`).
//!
//! ```text
//!  event ─▶ observe ─▶ wait for the watermark ─▶ untranslate ─▶ stitch ─▶ learn ─▶ behaviours ─▶ fold ─▶ alert
//!                      in order of (time, id)                  two ways, several observers: one connection
//! ```
//!
//! Pure as the rest of the crate: the same log gives the same alerts whatever the batches, and whatever the order of arrival within
//! lateness (`docs/decisions/0004-event-time-and-watermarks.md`). Every table has a bound; beyond it the entry that was idle longest
//! gives way and is counted.

mod beacon;
mod bypass;
mod called;
mod carrier;
pub(crate) mod cells;
mod chat;
mod clicks;
mod connection;
pub(crate) mod conversation;
mod dns;
mod due;
mod exfiltration;
mod first_seen;
mod flood;
mod fold;
mod guessing;
mod hours;
mod idn;
pub mod indicator;
mod kind;
mod knowledge;
mod lateral;
mod legs;
mod long_connection;
mod mail;
mod names;
pub(crate) mod observe;
mod observed;
mod parameters;
mod peers;
mod port;
mod ports;
mod queue;
mod rhythm;
mod scan;
mod site;
mod sketch;
mod source;
mod stitch;
mod translated;
mod view;
mod volume;
mod zone;

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Batch, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::alert::AlertChange;
use crate::policy::Policy;
use crate::ruleset::{Body, Rule, RuleInfo, RuleSet};
use crate::table::AHEAD;
use called::Called;
use connection::Connections;
use conversation::{CellKey, Conversations, Judged};
use due::{Due, Find};
use fold::Fold;
pub(crate) use fold::Found;
use kind::Class;
pub(crate) use kind::Kind;
use knowledge::Knowledge;
use observe::{Observation, What};
pub use observed::Observed;
pub(crate) use parameters::Parameters;
use queue::{Queue, Second};
pub use site::Site;
use stitch::Stitch;
use translated::Translated;
use view::View;

/// The layout of a snapshot; a state of another one would be read as something that it is not.
const SNAPSHOT_VERSION: u8 = 9;
/// A second is taken whole, see [`queue`].
const SECOND_NS: i64 = 1_000_000_000;

/// How behaviour treats time, and what the site knows of itself.
#[derive(Clone, Debug)]
pub struct BehaviourOptions {
    /// How late an event may come and still be taken in its order, in nanoseconds.
    pub lateness_ns: i64,
    /// The site.
    pub site: Arc<Site>,
}

/// What went through, what was given up for a bound, what came late.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct BehaviourCounters {
    /// Observations taken.
    pub observed: u64,
    /// Flow records that told of a connection that another device had told of.
    pub duplicates: u64,
    /// Records of sampled traffic: what was not sampled was not seen.
    pub sampled: u64,
    /// Observations that came later than lateness allows; taken at the watermark.
    pub late: u64,
    /// Observations taken before the watermark, because too many waited.
    pub taken_early: u64,
    /// Entries of tables, and open alerts, that gave way.
    pub evicted: u64,
}

/// Watches one behaviour. The state is the whole of it.
#[derive(Deserialize, Serialize)]
enum Watch {
    Beacon(beacon::Beacon),
    LongConnection(long_connection::LongConnection),
    Scan(scan::Scan),
    Guessing(Box<guessing::Guessing>),
    Exfiltration(exfiltration::Exfiltration),
    DnsTunnel(dns::DnsTunnel),
    FirstSeen(first_seen::FirstSeen),
    Port(port::Port),
    Bypass(bypass::Bypass),
    Flood(flood::Flood),
    Lateral(lateral::Lateral),
    Indicator(indicator::Watch),
    Source(source::Sources),
    Zone(zone::Zone),
    Hours(hours::Hours),
    Carrier(carrier::Carrier),
    Mail(mail::Mail),
    Chat(chat::Chat),
    Peers(peers::Peers),
    Names(names::Names),
    Clicks(clicks::Clicks),
}

impl Watch {
    fn new(parameters: &Parameters) -> Watch {
        match parameters.kind {
            Kind::Beacon => Watch::Beacon(beacon::Beacon::new(parameters)),
            Kind::LongConnection => Watch::LongConnection(long_connection::LongConnection::new(parameters)),
            Kind::Scan => Watch::Scan(scan::Scan::new(parameters)),
            Kind::Guessing => Watch::Guessing(Box::new(guessing::Guessing::new(parameters))),
            Kind::Exfiltration => Watch::Exfiltration(exfiltration::Exfiltration::new(parameters)),
            Kind::DnsTunnel => Watch::DnsTunnel(dns::DnsTunnel::new(parameters)),
            Kind::FirstSeen => Watch::FirstSeen(first_seen::FirstSeen::new(parameters)),
            Kind::Port => Watch::Port(port::Port::new(parameters)),
            Kind::Bypass => Watch::Bypass(bypass::Bypass::new(parameters)),
            Kind::Flood => Watch::Flood(flood::Flood::new(parameters)),
            Kind::Lateral => Watch::Lateral(lateral::Lateral::new(parameters)),
            Kind::Indicator => Watch::Indicator(indicator::Watch::new(parameters)),
            Kind::Source => Watch::Source(source::Sources::new(parameters)),
            Kind::Zone => Watch::Zone(zone::Zone::default()),
            Kind::Hours => Watch::Hours(hours::Hours),
            Kind::Mail => Watch::Mail(mail::Mail::new(parameters)),
            Kind::Carrier => Watch::Carrier(carrier::Carrier::new(parameters)),
            Kind::Chat => Watch::Chat(chat::Chat::new(parameters)),
            Kind::Peers => Watch::Peers(peers::Peers::new(parameters)),
            Kind::Names => Watch::Names(names::Names::new(parameters)),
            Kind::Clicks => Watch::Clicks(clicks::Clicks::new(parameters)),
        }
    }

    /// Reads what those of the views will ask for, by their numbers, that may concern it, where its table is too large for the caches.
    fn warm(&self, views: &[View<'_>], concerning: &[usize], p: &Parameters) {
        let of = || -> Vec<&Observation> { concerning.iter().map(|nth| views[*nth].o).collect() };
        std::hint::black_box(match self {
            Watch::Beacon(watch) => watch.warm(&of()),
            Watch::Exfiltration(watch) => watch.warm(&of()),
            Watch::FirstSeen(watch) if p.what != "service" => watch.warm(&of(), p),
            Watch::Carrier(watch) => watch.warm(&of()),
            _ => 0,
        });
    }

    /// Watches those of the views, by their numbers, that may concern it. What it finds goes to `found`, each with that number.
    fn take(&mut self, views: &[View<'_>], concerning: &[usize], p: &Parameters, found: &mut Vec<(usize, Found)>) {
        match self {
            Watch::Beacon(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::LongConnection(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Scan(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Guessing(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Exfiltration(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::DnsTunnel(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::FirstSeen(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Port(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Bypass(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Flood(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Lateral(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Indicator(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Hours(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Mail(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Carrier(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Chat(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Peers(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Names(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Clicks(watch) => each(views, concerning, found, |view, found| watch.take(view, p, found)),
            Watch::Source(_) | Watch::Zone(_) => {}
        }
    }

    /// Entries that gave way, and bytes held.
    fn size(&self) -> (u64, usize) {
        match self {
            Watch::Beacon(watch) => watch.size(),
            Watch::LongConnection(watch) => watch.size(),
            Watch::Scan(watch) => watch.size(),
            Watch::Guessing(watch) => watch.size(),
            Watch::Exfiltration(watch) => watch.size(),
            Watch::DnsTunnel(watch) => watch.size(),
            Watch::FirstSeen(watch) => watch.size(),
            Watch::Port(watch) => watch.size(),
            Watch::Bypass(watch) => watch.size(),
            Watch::Flood(watch) => watch.size(),
            Watch::Lateral(watch) => watch.size(),
            Watch::Indicator(watch) => watch.size(),
            Watch::Source(watch) => watch.size(),
            Watch::Zone(watch) => watch.size(),
            Watch::Hours(_) => (0, 0),
            Watch::Mail(watch) => watch.size(),
            Watch::Carrier(watch) => watch.size(),
            Watch::Chat(watch) => watch.size(),
            Watch::Peers(watch) => watch.size(),
            Watch::Names(watch) => watch.size(),
            Watch::Clicks(watch) => watch.size(),
        }
    }
}

/// Lets a behaviour take those of the views that may concern it, see [`Watch::take`].
fn each(
    views: &[View<'_>],
    concerning: &[usize],
    found: &mut Vec<(usize, Found)>,
    mut take: impl FnMut(&View<'_>, &mut Vec<Found>),
) {
    let mut of_one = Vec::new();
    for nth in concerning {
        take(&views[*nth], &mut of_one);
        if !of_one.is_empty() {
            found.extend(of_one.drain(..).map(|found| (*nth, found)));
        }
    }
}

/// The part that survives a restart.
#[derive(Deserialize, Serialize)]
struct State {
    queue: Queue,
    translated: Translated,
    connections: Connections,
    stitch: Stitch,
    conversations: Conversations,
    /// The text of the policy that those were judged by: the numbers of its zones are in them.
    policy: Option<String>,
    known: Knowledge,
    called: Called,
    /// Per behaviour rule, in the order of the set.
    watches: Vec<Kept>,
    fold: Fold,
    counters: BehaviourCounters,
}

/// What one rule has seen, under a name that outlives the rule set: another set takes it up where it has the same rule.
#[derive(Deserialize, Serialize)]
struct Kept {
    /// The rule's id, and the hash of what its state hangs on.
    rule: RuleKey,
    /// Its index in the set.
    #[serde(skip)]
    at: usize,
    watch: Watch,
}

#[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
struct RuleKey {
    id: String,
    hash: [u8; 16],
}

impl RuleKey {
    fn of(info: &RuleInfo, parameters: &Parameters) -> RuleKey {
        let digest = Sha256::digest(parameters.shape_of_state());
        RuleKey { id: info.id.clone(), hash: std::array::from_fn(|at| digest[at]) }
    }
}

/// Watches behaviour over the events of a log. Stateful and sequential: batches come in log order.
pub struct Behaviour {
    rules: Arc<RuleSet>,
    options: BehaviourOptions,
    state: State,
    /// What the behaviours watch next, and what was found since they did.
    due: Due,
    finds: Vec<Find>,
    /// Reused from step to step.
    found: Vec<Found>,
    judged: Vec<Judged>,
    /// Who sent the events of a batch.
    heard: Vec<source::Run>,
    /// The places of the rules about zones among the watches, and of those about sources.
    zones: Vec<usize>,
    sources: Vec<usize>,
    /// By class of observation, of those that it may concern.
    concerned: Vec<Vec<usize>>,
    /// By place among the watches, which of the observations that are due may concern it.
    concerning: Vec<Vec<usize>>,
}

/// A snapshot was not readable.
#[derive(Debug, thiserror::Error)]
pub enum BehaviourRestoreError {
    /// Of a program that kept other things.
    #[error("the snapshot is of another version")]
    Version,
    /// Not a snapshot.
    #[error("the snapshot cannot be read")]
    Unreadable(#[from] postcard::Error),
}

impl Behaviour {
    /// Watches without history.
    pub fn new(rules: Arc<RuleSet>, options: BehaviourOptions) -> Behaviour {
        let state = State {
            queue: Queue::default(),
            translated: Translated::default(),
            connections: connection::none(),
            stitch: Stitch::default(),
            conversations: Conversations::default(),
            policy: options.site.policy().map(|policy| policy.text.clone()),
            known: Knowledge::default(),
            called: Called::default(),
            watches: Vec::new(),
            fold: Fold::default(),
            counters: BehaviourCounters::default(),
        };
        let mut behaviour = Behaviour {
            rules,
            options,
            state,
            due: Due::default(),
            finds: Vec::new(),
            found: Vec::new(),
            judged: Vec::new(),
            heard: Vec::new(),
            zones: Vec::new(),
            sources: Vec::new(),
            concerned: Vec::new(),
            concerning: Vec::new(),
        };
        behaviour.seat(Vec::new());
        behaviour
    }

    /// Changes how many connections and services are remembered, which all rules share; what rules say of themselves (`entries_max`) stands.
    /// For comparing what the bounds cost with what they lose.
    pub fn bound_shared(&mut self, entries_max: usize) {
        self.state.connections.bound(entries_max);
        self.state.known.bound(entries_max);
    }

    /// Gives each behaviour of the set what it has seen before, by id and content; gives the number of those that begin anew.
    fn seat(&mut self, kept: Vec<Kept>) -> usize {
        let mut kept: Vec<Option<Kept>> = kept.into_iter().map(Some).collect();
        let mut anew = 0;
        self.state.watches.clear();
        for (at, rule) in self.rules.rules.iter().enumerate() {
            let Body::Behaviour(parameters) = &rule.body else { continue };
            let key = RuleKey::of(&rule.info, parameters);
            let found = kept.iter_mut().find(|k| k.as_ref().is_some_and(|k| k.rule == key)).and_then(Option::take);
            anew += usize::from(found.is_none());
            let watch = found.map_or_else(|| Watch::new(parameters), |kept| kept.watch);
            self.state.watches.push(Kept { rule: key, at, watch });
        }
        self.concerning.resize_with(self.state.watches.len(), Vec::new);
        let places = |which: fn(&Watch) -> bool| {
            let all = self.state.watches.iter().enumerate();
            all.filter(|(_, kept)| which(&kept.watch)).map(|(place, _)| place).collect()
        };
        self.zones = places(|watch| matches!(watch, Watch::Zone(_)));
        self.sources = places(|watch| matches!(watch, Watch::Source(_)));
        let concerned = |class: Class| {
            let all = self.state.watches.iter().enumerate().filter(|(_, kept)| match &self.rules.rules[kept.at].body {
                Body::Behaviour(parameters) => parameters.kind.may_concern(parameters, class),
                _ => false,
            });
            all.map(|(place, _)| place).collect()
        };
        self.concerned = (0..Class::COUNT).map(|number| concerned(Class::of(number))).collect();
        anew
    }

    /// Goes on with other rules, from the next batch on: a behaviour that is in both sets, with the same id and
    /// watching the same, keeps what it has seen and its open alerts; its thresholds and safelists may be others. Gives the number of behaviours that begin anew.
    pub fn replace(&mut self, rules: Arc<RuleSet>) -> usize {
        self.rules = rules;
        let kept = std::mem::take(&mut self.state.watches);
        self.seat(kept)
    }

    /// Goes on with another zone policy, from the next batch on: what was said of conversations stands, and what is told from now on is
    /// judged by this one. Behaviours keep what they have seen.
    pub fn replace_policy(&mut self, policy: Option<Arc<Policy>>) {
        let before = self.options.site.policy().cloned();
        if before.as_ref().map(|policy| &policy.text) == policy.as_ref().map(|policy| &policy.text) {
            return;
        }
        self.options.site = Arc::new(Site::clone(&self.options.site).with_policy(policy));
        self.go_over(before.as_deref());
    }

    /// Takes what was judged by another policy over to the one in force: who began a conversation stays known, its next record is judged and
    /// counted anew.
    fn go_over(&mut self, before: Option<&Policy>) {
        let State { connections, conversations, watches, policy, .. } = &mut self.state;
        let now = self.options.site.policy();
        *policy = now.map(|now| now.text.clone());
        conversations.go_over(connections, now.is_some());
        for kept in watches {
            match (&mut kept.watch, before, now) {
                (Watch::Zone(zone), Some(before), Some(now)) => zone.go_over(before, now),
                (Watch::Zone(zone), ..) => *zone = zone::Zone::default(),
                _ => {}
            }
        }
    }

    /// Whether no rule of the set describes a behaviour and there is no policy: then nothing is observed.
    pub fn is_idle(&self) -> bool {
        self.state.watches.is_empty() && self.options.site.policy().is_none()
    }

    /// What the zone policy said of conversations since this was asked last: how many more, or fewer, of a cell and hour.
    pub fn take_cells(&mut self) -> BTreeMap<CellKey, i64> {
        self.state.conversations.take_cells()
    }

    /// Takes the events of a batch and moves time to its end; appends what changed.
    pub fn advance(&mut self, batch: &Batch, out: &mut Vec<AlertChange>) {
        self.take(batch, Observed::of(batch, self.options.site.policy().is_some()), out);
    }

    /// The same, where what the batch tells of was read before; with a policy where there is one.
    pub fn take(&mut self, batch: &Batch, observed: Observed, out: &mut Vec<AlertChange>) {
        if self.is_idle() {
            return;
        }
        if observed.is_unsettled {
            // Its times may be others since.
            let again = Observed { is_unsettled: false, ..Observed::of(batch, self.options.site.policy().is_some()) };
            return self.take(batch, again, out);
        }
        let lateness = self.options.lateness_ns;
        let mut heard = std::mem::take(&mut self.heard);
        if !self.sources.is_empty() {
            source::runs(batch, &mut heard);
        }
        self.sources(out, |sources, p, found| {
            for run in &heard {
                sources.observe(batch, run, p, found);
            }
            sources.look(batch.received.unix_ns(), p, found);
        });
        self.heard = heard;
        for (received, o) in observed.observations {
            let time = o.time.min(received).max(received.saturating_sub(lateness));
            self.state.counters.observed += 1;
            self.state.counters.late += u64::from(time > o.time);
            self.state.queue.push(Observation { time, ..o }, &observed.text);
            if self.state.queue.is_full() {
                self.state.counters.taken_early += 1;
                self.pass(i64::MIN, out);
            }
        }
        if batch.received != Time::UNKNOWN {
            let watermark = batch.received.unix_ns().saturating_sub(lateness);
            self.pass(watermark, out);
            // Whole seconds have passed.
            let now = watermark.div_euclid(SECOND_NS) * SECOND_NS;
            self.take_held(now);
            self.judge(None, "", now);
            self.watch(&[], "", out);
        }
    }

    /// Nothing more will come: what waits is decided.
    pub fn flush(&mut self, out: &mut Vec<AlertChange>) {
        self.pass(i64::MAX, out);
        self.take_held(i64::MAX);
        self.release(i64::MAX);
        self.judge(None, "", i64::MAX);
        self.watch(&[], "", out);
    }

    /// What went through and what was given up so far.
    pub fn counters(&self) -> BehaviourCounters {
        let evicted: u64 = self.state.watches.iter().map(|kept| kept.watch.size().0).sum();
        BehaviourCounters {
            evicted: evicted
                + self.state.known.evicted()
                + self.state.called.evicted()
                + self.state.translated.evicted()
                + self.state.connections.evicted()
                + self.state.stitch.evicted()
                + self.state.conversations.evicted()
                + self.state.counters.evicted,
            ..self.state.counters
        }
    }

    /// Bytes that the tables hold.
    pub fn byte_len(&self) -> usize {
        let watches: usize = self.state.watches.iter().map(|kept| kept.watch.size().1).sum();
        watches
            + self.state.known.byte_len()
            + self.state.called.byte_len()
            + self.state.translated.byte_len()
            + self.state.connections.byte_len()
            + self.state.stitch.byte_len()
            + self.state.conversations.byte_len()
            + self.state.queue.byte_len()
    }

    /// The state as bytes, for [`Behaviour::restore`].
    pub fn snapshot(&self) -> Vec<u8> {
        postcard::to_extend(&self.state, vec![SNAPSHOT_VERSION]).expect("the state is serialisable")
    }

    /// Takes up a state: what follows is as if there had been no interruption. Of other rules, what they have in common with these goes
    /// on; gives the number of behaviours that begin anew.
    ///
    /// # Errors
    /// Where it is none; nothing is changed then.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<usize, BehaviourRestoreError> {
        let Some((&SNAPSHOT_VERSION, bytes)) = bytes.split_first() else { return Err(BehaviourRestoreError::Version) };
        let state: State = postcard::from_bytes(bytes)?;
        let policy = self.state.policy.take();
        self.state = state;
        if self.state.policy != policy {
            let before = self.state.policy.as_deref().and_then(|text| Policy::parse(text).ok());
            self.go_over(before.as_ref().map(|(policy, _)| policy));
        }
        let kept = std::mem::take(&mut self.state.watches);
        Ok(self.seat(kept))
    }

    /// Lets the rules about sources see something, and folds what they find.
    fn sources(&mut self, out: &mut Vec<AlertChange>, mut see: impl FnMut(&mut source::Sources, &Parameters, &mut Vec<Found>)) {
        let State { watches, fold, counters, .. } = &mut self.state;
        for place in &self.sources {
            let Kept { at, watch, .. } = &mut watches[*place];
            let (Watch::Source(sources), Body::Behaviour(parameters)) = (watch, &self.rules.rules[*at].body) else { continue };
            see(sources, parameters, &mut self.found);
            for found in self.found.drain(..) {
                counters.evicted += fold.fold(&self.rules.rules[*at].info, found, out);
            }
        }
    }

    /// Decides everything that stands before `watermark`; at least the earliest.
    fn pass(&mut self, watermark: i64, out: &mut Vec<AlertChange>) {
        let early = watermark == i64::MIN;
        while let Some(mut second) = self.state.queue.pop(watermark) {
            let Second { observations, text, .. } = &mut second;
            for some in observations.chunks_mut(AHEAD) {
                std::hint::black_box(Stitch::warm(&self.state.connections, some));
                for (nth, o) in some.iter_mut().enumerate() {
                    self.step(nth, o, text);
                }
                self.watch(some, text, out);
            }
            self.state.queue.done(second);
            if early {
                break;
            }
        }
    }

    /// Takes the next observation in the order of time, the nth of its slice.
    fn step(&mut self, nth: usize, o: &mut Observation, text: &str) {
        self.take_held(o.time);
        if self.state.translated.waits(o) {
            self.state.translated.hold(o, text);
            // What is no flow is watched as it is told, and judged by who asked.
            if o.what != What::Flow {
                self.follow(Some(nth), o, text);
            }
            return;
        }
        self.ask(o, text);
        self.follow(Some(nth), o, text);
    }

    /// Takes what has waited until `now` for somebody to tell of its translation.
    fn take_held(&mut self, now: i64) {
        while let Some((mut o, text)) = self.state.translated.release(now) {
            self.ask(&mut o, &text);
            if o.what == What::Flow {
                self.follow(None, &mut o, &text);
            }
        }
    }

    /// Tells a flow as it was before its translation, and asks the zone policy about it. Of anything else that is told to the policy alone:
    /// behaviours watch it once for each device.
    fn ask(&mut self, o: &mut Observation, text: &str) {
        let State { translated, connections, conversations, .. } = &mut self.state;
        if o.what == What::Flow {
            if let Some(behind) = translated.take(o) {
                conversations.take_back(connections, &behind, o);
            }
            self.judge(Some(o), text, o.time);
        } else {
            let mut o = *o;
            translated.tell_before(&mut o);
            self.judge(Some(&o), text, o.time);
        }
    }

    /// Takes an observation that the policy was asked about on to the behaviours: the nth of its slice, or one that has waited.
    fn follow(&mut self, nth: Option<usize>, o: &mut Observation, text: &str) {
        if o.begins {
            return;
        }
        self.release(o.time);
        self.state.counters.sampled += u64::from(o.sampling > 1);
        match self.state.stitch.take(&mut self.state.connections, o, text) {
            stitch::Taken::Now => match nth {
                Some(nth) => self.due.push(nth),
                None => self.due.push_waited(*o, text),
            },
            stitch::Taken::Later => {}
            stitch::Taken::Duplicate => self.state.counters.duplicates += 1,
        }
    }

    /// Takes the records of one way on that have waited long enough by `now`.
    fn release(&mut self, now: i64) {
        self.state.stitch.release(&mut self.state.connections, now, &mut self.due);
    }

    /// Asks the zone policy about a record, and about what has waited until `now`; gives what it says to the rules about zones.
    fn judge(&mut self, o: Option<&Observation>, text: &str, now: i64) {
        let Some(policy) = self.options.site.policy() else { return };
        let State { connections, conversations, watches, .. } = &mut self.state;
        conversations.release(connections, policy, now, &mut self.judged);
        if let Some(o) = o {
            conversations.take(connections, policy, o, text, &mut self.judged);
        }
        for place in &self.zones {
            let Kept { at, watch, .. } = &mut watches[*place];
            let (Watch::Zone(zone), Body::Behaviour(parameters)) = (watch, &self.rules.rules[*at].body) else { continue };
            // What is due is looked at before what is new, so that it does not hang on batches how much was known.
            for judged in &self.judged {
                zone.look(judged.at, policy, parameters, &mut self.found);
                zone.take(judged, policy, parameters, &mut self.found);
            }
            zone.look(now, policy, parameters, &mut self.found);
            let nth = self.due.len();
            self.finds.extend(self.found.drain(..).map(|found| Find { nth, watched: None, at: *at, found }));
        }
        self.judged.clear();
    }

    /// Gives what is due to every behaviour, and what was found to the fold; `slice` and `text` as in [`Due::iter`].
    fn watch(&mut self, slice: &[Observation], text: &str, out: &mut Vec<AlertChange>) {
        let State { known, called, watches, fold, counters, .. } = &mut self.state;
        let due: Vec<_> = self.due.iter(slice, text).collect();
        std::hint::black_box(known.warm(&due));
        let mut views = Vec::with_capacity(due.len());
        for (o, text) in due {
            let (view, class) = View::new(o, text, &self.options.site, known);
            for place in &self.concerned[class.number()] {
                self.concerning[*place].push(views.len());
            }
            views.push(view);
        }
        let mut found = Vec::new();
        for ((place, Kept { at, watch, .. }), concerning) in watches.iter_mut().enumerate().zip(&mut self.concerning) {
            let Body::Behaviour(parameters) = &self.rules.rules[*at].body else { continue };
            if concerning.is_empty() {
                continue;
            }
            watch.warm(&views, concerning, parameters);
            watch.take(&views, concerning, parameters, &mut found);
            concerning.clear();
            let finds = found.drain(..).map(|(nth, found)| Find { nth, watched: Some(place), at: *at, found });
            self.finds.extend(finds);
        }
        self.finds.sort_by_key(|find| (find.nth, find.watched));
        let mut finds = self.finds.drain(..).peekable();
        for nth in 0..=views.len() {
            // What nobody watches was found by the rules about zones.
            let view = views.get(nth);
            if let Some(View { o, text, .. }) = view {
                called.learn(o, text);
            }
            while let Some(Find { watched, at, mut found, .. }) = finds.next_if(|find| find.nth == nth) {
                let Rule { info, body, .. } = &self.rules.rules[at];
                if let (Some(_), Some(view), Body::Behaviour(parameters)) = (watched, view, body)
                    && view.is_expected_by_answers(&mut found, parameters, called)
                {
                    continue;
                }
                counters.evicted += fold.fold(info, found, out);
            }
        }
        drop(finds);
        self.due.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::knowledge::Role;
    use super::observe::Answer;
    use super::*;

    const RULES: [&str; 23] = [
        "type: beacon",
        "type: beacon\nanswered: 'no'",
        "type: long_connection\nbands: [1s]",
        "type: scan",
        "type: scan\nclass: inside",
        "type: scan\nclass: outside",
        "type: guessing",
        "type: guessing\nwhat: spraying",
        "type: exfiltration",
        "type: dns_tunnel",
        "type: first_seen\nwhat: service\nlearn: 0s",
        "type: first_seen\nwhat: destination",
        "type: port",
        "type: bypass\nof: proxy",
        "type: bypass\nof: dns",
        "type: lateral",
        "type: mail",
        "type: chat",
        "type: peers",
        "type: names\nwhat: made_up",
        "type: names\nwhat: addresses",
        "type: clicks",
        "type: carrier",
    ];

    proptest! {
        /// What is passed over by class changes nothing and finds nothing.
        #[test]
        fn what_does_not_concern_a_behaviour_changes_nothing(
            what in prop::sample::select(What::ALL.to_vec()),
            answer in prop::sample::select(vec![Answer::Yes, Answer::No, Answer::Refused, Answer::Unknown]),
            transport in prop::sample::select(vec![0u8, 1, 6, 17, 132]),
            port in prop::sample::select(vec![22u16, 25, 53, 80, 443, 445, 853, 3128, 6667, 40_000]),
            (source_inside, destination_inside) in any::<(bool, bool)>(),
            (is_named, has_protocol) in any::<(bool, bool)>(),
            sent in 0u64..2_000_000_000,
        ) {
            let site = Site::new(&[], None).expect("the default");
            let address = |inside: bool, last: u32| site::bits(std::net::Ipv4Addr::from_bits(if inside { 0x0a00_0000 } else { 0xc633_6400 } + last).into());
            let mut text = String::new();
            let mut o = Observation::made(what, answer, (address(source_inside, 1), address(destination_inside, 2)), (transport, port), sent, &mut text);
            if !is_named {
                (o.name, o.domain) = Default::default();
            }
            if !has_protocol {
                o.protocol = Default::default();
            }
            let class = Class::new(&o, source_inside, destination_inside);
            let view = View {
                o: &o,
                text: &text,
                site: &site,
                service: None,
                service_is_new: true,
                sources_inside: 0,
                since: None,
                role: Role::default(),
                destination_role: Role::default(),
                source_serves: false,
                source_inside,
                destination_inside,
                to_many: false,
            };
            let views = [view];
            for rule in RULES {
                let document = crate::yaml::documents(rule).into_iter().next().expect("a document");
                let parameters = Parameters::read(&document.value.expect("a mapping"), &Default::default()).expect("parameters");
                if parameters.kind.may_concern(&parameters, class) {
                    continue;
                }
                let mut watch = Watch::new(&parameters);
                let before = postcard::to_allocvec(&watch).expect("stored");
                let mut found = Vec::new();
                watch.take(&views, &[0], &parameters, &mut found);
                prop_assert_eq!(&found, &[]);
                prop_assert_eq!(postcard::to_allocvec(&watch).expect("stored"), before, "{} {:?}", rule, class);
            }
        }
    }
}
