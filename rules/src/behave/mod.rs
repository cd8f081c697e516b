//! Behaviour: what no single record shows. Connections, queries and logins are observed in the order of their times, told once however
//! many devices tell of them, and watched by the behaviours that rule files describe (`behaviour:`).
//!
//! ```text
//!  event ─▶ observe ─▶ wait for the watermark ─▶ stitch ─▶ learn ─▶ behaviours ─▶ fold ─▶ alert
//!                      in order of (time, id)    two ways, several observers: one connection
//! ```
//!
//! Pure as the rest of the crate: the same log gives the same alerts whatever the batches, and whatever the order of arrival within
//! lateness (`docs/decisions/0004-event-time-and-watermarks.md`). Every table has a bound; beyond it the entry that was idle longest
//! gives way and is counted.

mod beacon;
mod bypass;
mod carrier;
pub(crate) mod conversation;
mod dns;
mod exfiltration;
mod first_seen;
mod flood;
mod fold;
mod guessing;
mod hours;
pub mod indicator;
mod knowledge;
mod lateral;
mod long_connection;
mod mail;
mod observe;
mod parameters;
mod port;
mod queue;
mod scan;
mod site;
mod sketch;
mod source;
mod stitch;
mod table;
mod zone;

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Batch, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::alert::AlertChange;
use crate::ruleset::{Body, RuleInfo, RuleSet};
use conversation::{CellKey, Conversations, Judged};
use fold::Fold;
pub(crate) use fold::Found;
use knowledge::{Knowledge, Role, Service};
use observe::{Observation, Observer};
pub(crate) use parameters::Parameters;
use queue::Queue;
pub use site::Site;
use stitch::Stitch;

/// A second is taken whole, see [`queue`].
const SECOND_NS: i64 = 1_000_000_000;

/// The types of behaviour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Beacon,
    LongConnection,
    Scan,
    Guessing,
    Exfiltration,
    DnsTunnel,
    FirstSeen,
    Port,
    Bypass,
    Flood,
    Lateral,
    Indicator,
    Source,
    Zone,
    Hours,
    Carrier,
    Mail,
}

impl Kind {
    const ALL: [Kind; 17] = [
        Kind::Beacon,
        Kind::LongConnection,
        Kind::Scan,
        Kind::Guessing,
        Kind::Exfiltration,
        Kind::DnsTunnel,
        Kind::FirstSeen,
        Kind::Port,
        Kind::Bypass,
        Kind::Flood,
        Kind::Lateral,
        Kind::Indicator,
        Kind::Source,
        Kind::Zone,
        Kind::Hours,
        Kind::Carrier,
        Kind::Mail,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Beacon => "beacon",
            Kind::LongConnection => "long_connection",
            Kind::Scan => "scan",
            Kind::Guessing => "guessing",
            Kind::Exfiltration => "exfiltration",
            Kind::DnsTunnel => "dns_tunnel",
            Kind::FirstSeen => "first_seen",
            Kind::Port => "port",
            Kind::Bypass => "bypass",
            Kind::Flood => "flood",
            Kind::Lateral => "lateral",
            Kind::Indicator => "indicator",
            Kind::Source => "source",
            Kind::Zone => "zone",
            Kind::Hours => "hours",
            Kind::Mail => "mail",
            Kind::Carrier => "carrier",
        }
    }
}

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

/// One observation with what is known about it.
pub(super) struct View<'v> {
    o: &'v Observation,
    text: &'v str,
    site: &'v Site,
    known: &'v Knowledge,
    /// The service at the destination, as it is known with this observation.
    service: Option<&'v Service>,
    /// Whether this observation is the first to show the service at work.
    service_is_new: bool,
    /// What the source is for others.
    role: Role,
    source_inside: bool,
    destination_inside: bool,
    /// The destination is no single host; one that is not known may be.
    to_many: bool,
}

impl View<'_> {
    fn name(&self) -> &str {
        self.o.name.of(self.text)
    }

    fn protocol(&self) -> &str {
        self.o.protocol.of(self.text)
    }

    /// Whether the rule, or the site, expects this.
    fn expected(&self, parameters: &Parameters) -> bool {
        let name = self.name();
        parameters.safelist.covers(self.o, name) || self.site.expects(self.o, name)
    }
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
        }
    }

    fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        match self {
            Watch::Beacon(watch) => watch.take(view, p, found),
            Watch::LongConnection(watch) => watch.take(view, p, found),
            Watch::Scan(watch) => watch.take(view, p, found),
            Watch::Guessing(watch) => watch.take(view, p, found),
            Watch::Exfiltration(watch) => watch.take(view, p, found),
            Watch::DnsTunnel(watch) => watch.take(view, p, found),
            Watch::FirstSeen(watch) => watch.take(view, p, found),
            Watch::Port(watch) => watch.take(view, p, found),
            Watch::Bypass(watch) => watch.take(view, p, found),
            Watch::Flood(watch) => watch.take(view, p, found),
            Watch::Lateral(watch) => watch.take(view, p, found),
            Watch::Indicator(watch) => watch.take(view, p, found),
            Watch::Hours(watch) => watch.take(view, p, found),
            Watch::Mail(watch) => watch.take(view, p, found),
            Watch::Carrier(watch) => watch.take(view, p, found),
            // They watch records, and what the policy says of conversations.
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
        }
    }
}

/// The part that survives a restart.
#[derive(Deserialize, Serialize)]
struct State {
    queue: Queue,
    stitch: Stitch,
    conversations: Conversations,
    /// The hash of the policy that those were judged by: the numbers of its zones are in them.
    policy: Option<String>,
    known: Knowledge,
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
    observer: Observer,
    state: State,
    /// Reused from step to step.
    ready: Vec<Observation>,
    found: Vec<Found>,
    judged: Vec<Judged>,
    /// The places of the rules about zones among the watches.
    zones: Vec<usize>,
}

/// A snapshot was not readable.
#[derive(Debug, thiserror::Error)]
pub enum BehaviourRestoreError {
    /// Not a snapshot.
    #[error("the snapshot cannot be read")]
    Unreadable(#[from] postcard::Error),
}

impl Behaviour {
    /// Watches without history.
    pub fn new(rules: Arc<RuleSet>, options: BehaviourOptions) -> Behaviour {
        let state = State {
            queue: Queue::default(),
            stitch: Stitch::default(),
            conversations: Conversations::default(),
            policy: options.site.policy().map(|policy| policy.sha256.clone()),
            known: Knowledge::default(),
            watches: Vec::new(),
            fold: Fold::default(),
            counters: BehaviourCounters::default(),
        };
        let mut behaviour = Behaviour {
            observer: Observer::new(options.site.policy().is_some()),
            rules,
            options,
            state,
            ready: Vec::new(),
            found: Vec::new(),
            judged: Vec::new(),
            zones: Vec::new(),
        };
        behaviour.seat(Vec::new());
        behaviour
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
        let zones = self.state.watches.iter().enumerate().filter(|(_, kept)| matches!(kept.watch, Watch::Zone(_)));
        self.zones = zones.map(|(place, _)| place).collect();
        anew
    }

    /// Goes on with other rules, from the next batch on: a behaviour that is in both sets, with the same id and
    /// watching the same, keeps what it has seen and its open alerts; its thresholds and safelists may be others. Gives the number of behaviours that begin anew.
    pub fn replace(&mut self, rules: Arc<RuleSet>) -> usize {
        self.rules = rules;
        let kept = std::mem::take(&mut self.state.watches);
        self.seat(kept)
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
        if self.is_idle() {
            return;
        }
        let lateness = self.options.lateness_ns;
        self.sources(out, |sources, p, found| {
            for event in batch.iter() {
                sources.observe(event, p, found);
            }
            sources.look(batch.received.unix_ns(), p, found);
        });
        for event in batch.iter() {
            let (received, happened) = (event.received().unix_ns(), event.time().unix_ns());
            let time = happened.min(received).max(received.saturating_sub(lateness));
            let queue = &mut self.state.queue;
            if queue.observe(&self.observer, event, time) {
                self.state.counters.observed += 1;
                self.state.counters.late += u64::from(time > happened);
                if queue.is_full() {
                    self.state.counters.taken_early += 1;
                    self.pass(i64::MIN, out);
                }
            }
        }
        if batch.received != Time::UNKNOWN {
            let watermark = batch.received.unix_ns().saturating_sub(lateness);
            self.pass(watermark, out);
            // Whole seconds have passed.
            self.judge(None, watermark.div_euclid(SECOND_NS) * SECOND_NS, out);
        }
    }

    /// Nothing more will come: what waits is decided.
    pub fn flush(&mut self, out: &mut Vec<AlertChange>) {
        self.pass(i64::MAX, out);
        self.release(i64::MAX, out);
        self.judge(None, i64::MAX, out);
    }

    /// What went through and what was given up so far.
    pub fn counters(&self) -> BehaviourCounters {
        let evicted: u64 = self.state.watches.iter().map(|kept| kept.watch.size().0).sum();
        BehaviourCounters {
            evicted: evicted
                + self.state.known.evicted()
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
            + self.state.stitch.byte_len()
            + self.state.conversations.byte_len()
            + self.state.queue.byte_len()
    }

    /// The state as bytes, for [`Behaviour::restore`].
    pub fn snapshot(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.state).expect("the state is serialisable")
    }

    /// Takes up a state: what follows is as if there had been no interruption. Of other rules, what they have in common with these goes
    /// on; gives the number of behaviours that begin anew.
    ///
    /// # Errors
    /// Where it is none; nothing is changed then.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<usize, BehaviourRestoreError> {
        let policy = self.state.policy.take();
        self.state = postcard::from_bytes(bytes)?;
        let mut kept = std::mem::take(&mut self.state.watches);
        if self.state.policy != policy {
            self.state.conversations = Conversations::default();
            self.state.policy = policy;
            kept.retain(|kept| !matches!(kept.watch, Watch::Zone(_)));
        }
        Ok(self.seat(kept))
    }

    /// Lets the rules about sources see something, and folds what they find.
    fn sources(&mut self, out: &mut Vec<AlertChange>, mut see: impl FnMut(&mut source::Sources, &Parameters, &mut Vec<Found>)) {
        let State { watches, fold, counters, .. } = &mut self.state;
        for Kept { at, watch, .. } in watches.iter_mut() {
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
        while let Some((mut waiting, text)) = self.state.queue.pop(watermark) {
            for o in &mut waiting {
                self.judge(Some(o), o.time, out);
                if o.begins {
                    continue;
                }
                self.release(o.time, out);
                self.state.counters.sampled += u64::from(o.sampling > 1);
                match self.state.stitch.take(o, &text) {
                    stitch::Taken::Now => self.watch(o, &text, out),
                    stitch::Taken::Later => {}
                    stitch::Taken::Duplicate => self.state.counters.duplicates += 1,
                }
            }
            if early {
                break;
            }
        }
    }

    /// Watches the records of one way that have waited long enough by `now`.
    fn release(&mut self, now: i64, out: &mut Vec<AlertChange>) {
        let (mut ready, mut text) = (std::mem::take(&mut self.ready), String::new());
        self.state.stitch.release(now, &mut ready, &mut text);
        for o in ready.drain(..) {
            self.watch(&o, &text, out);
        }
        self.ready = ready;
    }

    /// Asks the zone policy about a record, and about what has waited until `now`; gives what it says to the rules about zones.
    fn judge(&mut self, o: Option<&Observation>, now: i64, out: &mut Vec<AlertChange>) {
        let Some(policy) = self.options.site.policy() else { return };
        let State { conversations, watches, fold, counters, .. } = &mut self.state;
        conversations.release(policy, now, &mut self.judged);
        if let Some(o) = o {
            conversations.take(policy, o, &mut self.judged);
        }
        for place in &self.zones {
            let Kept { at, watch, .. } = &mut watches[*place];
            let rule = &self.rules.rules[*at];
            let (Watch::Zone(zone), Body::Behaviour(parameters)) = (watch, &rule.body) else { continue };
            // What is due is looked at before what is new, so that it does not hang on batches how much was known.
            zone.look(now, policy, parameters, &mut self.found);
            for judged in &self.judged {
                zone.take(judged, policy, parameters, &mut self.found);
            }
            for found in self.found.drain(..) {
                counters.evicted += fold.fold(&rule.info, found, out);
            }
        }
        self.judged.clear();
    }

    /// Gives an observation to every behaviour, and what they find to the fold.
    fn watch(&mut self, o: &Observation, text: &str, out: &mut Vec<AlertChange>) {
        let State { known, watches, fold, counters, .. } = &mut self.state;
        let site = &*self.options.site;
        let (source_inside, destination_inside) = (site.is_inside(o.source), site.is_inside(o.destination));
        let (service, service_is_new) = known.learn(o, source_inside, destination_inside);
        let view = View {
            o,
            text,
            site,
            known,
            service: service.map(|place| known.service(place)),
            service_is_new,
            role: known.role(o.tenant, o.source),
            source_inside,
            destination_inside,
            to_many: o.destination != 0 && site::is_many(o.destination),
        };
        for Kept { at, watch, .. } in watches.iter_mut() {
            let rule = &self.rules.rules[*at];
            let Body::Behaviour(parameters) = &rule.body else { continue };
            watch.take(&view, parameters, &mut self.found);
            for found in self.found.drain(..) {
                counters.evicted += fold.fold(&rule.info, found, out);
            }
        }
    }
}
