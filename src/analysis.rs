//! The analysis: from the journal through rules and behaviours to the store and the index, from where each of them stands.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use api::{Commit, Destination, Hub, Notifier, Resume, RuleDesk, State, Store, Tally};
use crossbeam_channel::bounded;
use event::limits::BATCH_BYTES_MAX;
use event::{Batch, Frames, Time};
use index::Writer;
use ingest::decode::flow::{FlowDecoder, Missing, Sequences};
use ingest::listen::KERNEL_DROP;
use ingest::log::Journal;
use rules::alert::AlertChange;
use rules::policy::Policy;
use rules::{Behaviour, BehaviourOptions, CorrelateOptions, Correlator, RuleSet};
use tracing::{debug_span, error, info, trace_span, warn};

use crate::clock::Stopwatch;
use crate::pipeline::{self, Done, InForce, Parts, Spent};
use crate::room::Room;
use crate::rule_desk::Desk;
use crate::searchable::Searchable;

/// How long the reader waits for the journal before it looks whether to stop.
const READ_WAIT: Duration = Duration::from_millis(200);
/// Batches that may wait for the index: what comes in while it commits, which stops it for a third of a second at full rate.
const INDEX_WAITING_MAX: usize = 32;
/// How often the pipeline's position is stored where nothing urgent happens.
const COMMIT_TIME: Duration = Duration::from_secs(1);
/// How often its state is stored too. A restart takes up the state and reads the log from there, so this much is read again; the alerts
/// that come of it are known already.
const STATE_TIME: Duration = Duration::from_secs(10);
/// Storing the state takes at most this part of the time, however much there is.
const STATE_SHARE: u32 = 50;

/// Bytes of the behaviour analysis' state that are stored; a larger one is not, and it begins anew after a restart (told).
const BEHAVIOUR_BYTES_MAX: usize = 512 << 20;

/// One analysis of a service, over its journal.
pub(crate) struct Analysis {
    pub(crate) parts: Parts,
    pub(crate) correlate: CorrelateOptions,
    pub(crate) behaviour: BehaviourOptions,
    pub(crate) index_time: Duration,
    /// How long shards are kept, in nanoseconds.
    pub(crate) index_keep_ns: Option<i64>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) store: Store,
    pub(crate) hub: Hub,
    pub(crate) searchable: Searchable,
    pub(crate) spent: Arc<Spent>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) notifier: Arc<Mutex<Option<Notifier>>>,
    /// Up to where the state goes that is stored.
    pub(crate) remembered: Arc<AtomicU64>,
    pub(crate) room: Room,
}

impl Analysis {
    /// Analyses until told to stop. On a full disk it waits for room and goes on as after a restart, from what is stored: the journal waits by
    /// itself.
    pub(crate) fn run(self, mut writers: Vec<Writer>) -> Result<()> {
        let mut so_far = SoFar { in_force: self.parts.current.get(), shown: 0 };
        loop {
            let fault = match self.read_on(&mut writers, &mut so_far) {
                Err(fault) if self.room.is_scarce() && !writers.is_empty() && !self.stop.load(Ordering::Relaxed) => fault,
                ended => return ended,
            };
            metrics::counter!("mihari_analysis_lacked_room_total").increment(1);
            if !self.room.is_waited_for() {
                error!(error = format!("{fault:#}"), "the disk is full: the analysis waits for room");
            }
            self.room.wait(&self.stop);
            for writer in &mut writers {
                writer.roll_back().context("failed to go on with the index")?;
            }
        }
    }

    /// Reads the journal from where each consumer stands, until told to stop. The writers are given back, but where a thread has panicked.
    fn read_on(&self, writers: &mut Vec<Writer>, so_far: &mut SoFar) -> Result<()> {
        let resume = self.store.resume()?;
        let indexed = writers.iter().map(Writer::last).min().unwrap_or(0);
        let analysed = resume.position;
        let mut in_force = so_far.in_force.clone();
        let mut engine = Engine::new(&in_force, self);
        let mut flows = FlowDecoder::default();
        // The position that the engine's state belongs to; what lies between it and `analysed` is read again for its sake.
        let remembered = engine.restore(&resume, &mut flows, &self.desk);
        info!(analysed, indexed, remembered, "analysis goes on");
        self.remembered.store(remembered, Ordering::Relaxed);
        let (batches, inbox) = bounded::<Arc<Batch>>(INDEX_WAITING_MAX);
        let (times, searchable, store) = ((self.index_time, self.index_keep_ns), self.searchable.clone(), self.store.clone());
        let (mut taken, room) = (std::mem::take(writers), self.room.clone());
        let indexer = std::thread::Builder::new().name("indexer".to_owned()).spawn(move || {
            let indexed = index_batches(&mut taken, &inbox, times, &searchable, &store, &room);
            (taken, indexed)
        })?;
        let mut reader = self.journal.reader(remembered.min(indexed) + 1);
        let (journal, stop) = (self.journal.clone(), self.stop.clone());
        let source = move |frames: &mut Frames| {
            // A batch ends where the engine stood, so that no batch is half known to it.
            reader.limit(match reader.next_offset() {
                next if next <= remembered => remembered,
                next if next <= analysed => analysed,
                _ => u64::MAX,
            });
            let stopping = stop.load(Ordering::Relaxed);
            let got = reader.read(frames, BATCH_BYTES_MAX, READ_WAIT)?;
            Ok(got > 0 || !stopping || reader.next_offset() <= journal.durable())
        };
        let mut tally = Tally::default();
        let mut changes: Vec<AlertChange> = Vec::new();
        let mut missing: Vec<Missing> = Vec::new();
        let mut position = analysed;
        let mut stored = analysed;
        // The first state is stored at once: until there is one, a restart reads the whole log.
        let (mut watch, mut state_watch) = (Stopwatch::start(), None::<Stopwatch>);
        let (mut cost, mut state_cost) = (Duration::ZERO, Duration::ZERO);
        let told = self.remembered.clone();
        let states = self.store.state_writer(move |position| told.store(position, Ordering::Relaxed));
        let states = states.context("failed to start the thread that stores states")?;
        let spent = self.spent.clone();
        let result = pipeline::run(&self.parts, flows, &spent, source, |done| {
            let last = done.is_none();
            if let Some(Done {
                batch,
                observed,
                in_force: of_batch,
                mut matches,
                mut work,
                lost,
                received,
                heard,
                templates: changed,
            }) = done
            {
                let offset = batch.range.last;
                if !Arc::ptr_eq(&in_force, &of_batch) {
                    in_force = of_batch;
                    engine.replace(&in_force);
                    let from = batch.range.first.max(position + 1);
                    info!(rules = in_force.rules.rules().len(), from, "other rules are in force");
                    self.desk.record_asker(&in_force, |by| {
                        record(&self.store, (&in_force.rules, in_force.policy.as_deref()), from, by)
                    })?;
                    so_far.in_force = in_force.clone();
                }
                let modes = self.desk.modes();
                modes.keep_matches(&in_force.rules, &batch, &mut matches);
                if offset > remembered {
                    engine.correlator.advance(&batch, &matches, &mut changes);
                    engine.behaviour.take(&batch, observed, &mut changes);
                    modes.keep_changes(&mut changes);
                    self.desk.note_seen(&batch);
                    work.extend(engine.correlator.take_work());
                    self.desk.note_given_up(engine.correlator.counters_by_rule());
                    engine.sequences.advance(&heard, batch.received, &mut missing);
                    engine.tell();
                    engine.templates = changed.or(engine.templates.take());
                    let cells = engine.behaviour.take_cells();
                    if offset <= analysed {
                        changes.clear(); // The store has them.
                    } else if let Some(policy) = &in_force.policy {
                        tally.verdicts(policy, cells);
                    }
                }
                // A batch without frames, where the reader waited in vain, has offset 0: what waits to be stored must outlast it.
                if offset > analysed {
                    if offset > so_far.shown {
                        self.desk.note(&in_force, &batch, &matches, &work);
                    }
                    tally.receive(&received);
                    tally.add(&batch);
                    if let Some(policy) = &in_force.policy {
                        tally.sensors(&batch, policy);
                    }
                    for l in &lost {
                        if l.reason == KERNEL_DROP {
                            tally.lost(l.tenant, l.transport, l.received, &l.reason, l.count);
                        } else {
                            tally.dropped(l.tenant, l.sender, l.transport, l.received, &l.reason, l.count);
                        }
                    }
                    for m in &missing {
                        tally.missing(m.tenant, m.exporter, m.received, m.unit.reason(), m.count);
                        metrics::counter!("mihari_flow_missing_total", "reason" => m.unit.reason()).increment(m.count);
                    }
                    position = position.max(offset);
                }
                missing.clear(); // What is of before `analysed` the store has.
                metrics::counter!("mihari_events_total").increment(batch.len() as u64);
                let batch = Arc::new(batch);
                if offset > analysed.max(so_far.shown) && !batch.is_empty() {
                    self.hub.publish(batch.clone());
                }
                so_far.shown = so_far.shown.max(offset);
                // One without events too: it says how far the log has come.
                if offset > 0 && batches.send(batch).is_err() {
                    anyhow::bail!("the index has failed");
                }
            }
            // An alert is stored at once, but storing must not take all the time.
            let due = watch.elapsed() >= COMMIT_TIME || (!changes.is_empty() && watch.elapsed() > cost * 10);
            if position > stored && (due || last) {
                // A state is stored once its position is, so that none is ahead of the alerts.
                let state_time = STATE_TIME.max(state_cost * STATE_SHARE);
                let state_due = !states.busy() && state_watch.as_ref().is_none_or(|w| w.elapsed() >= state_time);
                let state = (last || state_due).then(|| {
                    let _take = debug_span!("take state").entered();
                    let taking = Stopwatch::start();
                    let state = engine.state(position, self.desk.seen());
                    (state_watch, state_cost) = (Some(Stopwatch::start()), taking.elapsed());
                    state
                });
                let commit_watch = Stopwatch::start();
                trace_span!("store").in_scope(|| self.commit(position, &mut changes, &mut tally))?;
                cost = commit_watch.elapsed();
                if let Some(state) = state {
                    states.store(state);
                }
                stored = position;
                watch = Stopwatch::start();
            }
            Ok(())
        });
        drop(batches);
        states.end();
        let (taken, indexed) = indexer.join().map_err(|_| anyhow::anyhow!("the indexer panicked"))?;
        *writers = taken;
        // Where the index has failed, the analysis tells only that it did.
        indexed.and(result)
    }

    fn commit(&self, position: u64, changes: &mut Vec<AlertChange>, tally: &mut Tally) -> Result<()> {
        let modes = self.desk.modes();
        let commit = Commit { position, changes, destinations: &self.destinations, modes: &modes };
        let new = self.store.apply(&commit, tally)?;
        for change in changes.iter().filter(|change| modes.is_told(change.alert())) {
            self.hub.alert(change.alert().tenant, &change.alert().id);
        }
        if !new.is_empty() {
            metrics::counter!("mihari_alerts_total").increment(new.len() as u64);
            ring(&self.notifier);
        }
        changes.clear();
        Ok(())
    }
}

/// What follows the records one after another and knows what came before.
struct Engine {
    correlator: Correlator,
    behaviour: Behaviour,
    sequences: Sequences,
    /// The flow templates as learnt last: the decoder has them, the state stores them.
    templates: Option<Arc<Vec<u8>>>,
}

impl Engine {
    /// One that has seen nothing.
    fn new(in_force: &InForce, analysis: &Analysis) -> Engine {
        let correlator = Correlator::new(in_force.rules.clone(), analysis.correlate.clone());
        let mut behaviour = Behaviour::new(in_force.rules.clone(), analysis.behaviour.clone());
        behaviour.replace_policy(in_force.policy.clone());
        Engine { correlator, behaviour, sequences: Sequences::default(), templates: None }
    }

    /// Takes up the stored states; gives the position that they belong to, 0 where there are none: the log is read from its beginning then.
    fn restore(&mut self, resume: &Resume, flows: &mut FlowDecoder, desk: &Desk) -> u64 {
        let mut remembered = 0;
        for (name, bytes) in &resume.snapshots {
            match name.as_str() {
                "correlator" => match bytes.split_first_chunk::<8>() {
                    Some((at, state)) => {
                        remembered = u64::from_le_bytes(*at).min(resume.position);
                        if let Err(error) = self.correlator.restore(state) {
                            warn!(%error, "correlation begins anew");
                        }
                    }
                    None => {
                        remembered = resume.position;
                        warn!("the state of correlation cannot be read; correlation begins anew");
                    }
                },
                "templates" => {
                    self.templates = Some(Arc::new(bytes.clone()));
                    if !flows.restore(bytes) {
                        warn!("the flow templates could not be read; they come again");
                    }
                }
                "sequences" => {
                    if !self.sequences.restore(bytes) {
                        warn!("the sequence numbers of flow exporters could not be read; they are followed anew");
                    }
                }
                "behaviour" => {
                    if let Err(error) = self.behaviour.restore(bytes) {
                        warn!(%error, "the behaviour analysis begins anew");
                    }
                }
                "seen" => {
                    if let Err(error) = desk.restore_seen(bytes) {
                        warn!(%error, "which fields events have had is learned anew");
                    }
                }
                other => warn!(name = other, "unknown state in the store"),
            }
        }
        remembered
    }

    /// Goes on with other rules and another policy.
    fn replace(&mut self, in_force: &InForce) {
        self.correlator.replace(in_force.rules.clone());
        self.behaviour.replace(in_force.rules.clone());
        self.behaviour.replace_policy(in_force.policy.clone());
    }

    /// Its state as stored, of this position.
    fn state(&self, position: u64, seen: Vec<u8>) -> State {
        let mut correlation = position.to_le_bytes().to_vec();
        correlation.extend(self.correlator.snapshot());
        let watched = Some(self.behaviour.snapshot()).filter(|bytes| bytes.len() <= BEHAVIOUR_BYTES_MAX);
        if watched.is_none() {
            warn!(bytes = self.behaviour.byte_len(), "the state of the behaviour analysis is too large to store");
        }
        let mut parts = vec![
            ("sequences", Arc::new(self.sequences.snapshot())),
            ("correlator", Arc::new(correlation)),
            ("behaviour", Arc::new(watched.unwrap_or_default())),
            ("seen", Arc::new(seen)),
        ];
        parts.extend(self.templates.clone().map(|templates| ("templates", templates)));
        State { position, parts }
    }

    /// What it holds and has given up, as metrics.
    fn tell(&self) {
        let (groups, bytes) = self.correlator.size();
        metrics::gauge!("mihari_correlation_groups").set(groups as f64);
        metrics::gauge!("mihari_correlation_bytes").set(bytes as f64);
        for (name, _, count) in self.correlator.counters().named() {
            metrics::counter!(format!("mihari_correlation_{name}_total")).absolute(count);
        }
        metrics::gauge!("mihari_flow_sequences").set(self.sequences.streams() as f64);
        metrics::counter!("mihari_flow_restarts_total").absolute(self.sequences.restarts());
        let counters = self.behaviour.counters();
        metrics::gauge!("mihari_behaviour_bytes").set(self.behaviour.byte_len() as f64);
        metrics::counter!("mihari_behaviour_evicted_total").absolute(counters.evicted);
        metrics::counter!("mihari_behaviour_duplicates_total").absolute(counters.duplicates);
        metrics::counter!("mihari_behaviour_sampled_total").absolute(counters.sampled);
        metrics::counter!("mihari_behaviour_late_total").absolute(counters.late);
    }
}

/// What outlasts a wait for room.
struct SoFar {
    /// What is in force, as auditors know it.
    in_force: Arc<InForce>,
    /// The last log offset whose events live tails and rule figures have had.
    shown: u64,
}

/// Says that there may be something to deliver.
pub(crate) fn ring(notifier: &Mutex<Option<Notifier>>) {
    if let Some(notifier) = &*notifier.lock().expect("no code panics under this lock") {
        notifier.ring();
    }
}

/// Writes batches into the index and commits in time.
fn index_batches(
    writers: &mut [Writer],
    inbox: &crossbeam_channel::Receiver<Arc<Batch>>,
    (index_time, keep_ns): (Duration, Option<i64>),
    searchable: &Searchable,
    store: &Store,
    room: &Room,
) -> Result<()> {
    // A commit is due so long after the last one was begun: what it took does not come on top. At least half of that lies between two, as
    // long as something waits to be written: behind a slow commit (a busy disk) what came meanwhile is written, and committed at once.
    let (mut watch, mut taken) = (Stopwatch::start(), Duration::ZERO);
    let (mut newest, mut come) = (Time::UNKNOWN, (0, Time::UNKNOWN));
    loop {
        let latest = index_time.max(taken + index_time / 2);
        let due = |waiting: bool| if waiting { latest } else { index_time };
        let left = due(!inbox.is_empty()).saturating_sub(watch.elapsed());
        let received = inbox.recv_timeout(left.max(Duration::from_millis(1)));
        if let Ok(batch) = &received {
            come = (batch.range.last, batch.received);
        }
        if let Some(batch) = received.as_ref().ok().filter(|batch| !batch.is_empty()) {
            for writer in writers.iter_mut() {
                writer.write(batch).context("failed to write the index")?;
            }
            newest = newest.max(batch.received);
        }
        let ended = matches!(received, Err(crossbeam_channel::RecvTimeoutError::Disconnected));
        if ended || watch.elapsed() >= due(!inbox.is_empty()) || writers.iter().any(Writer::commit_due) {
            watch = Stopwatch::start();
            for writer in writers.iter_mut() {
                writer.commit().context("failed to commit the index")?;
                // Ages are told by the log: a machine whose clock is wrong must not lose its history.
                if let Some(keep_ns) = keep_ns.filter(|_| newest != Time::UNKNOWN) {
                    let before = newest.plus_ns(-keep_ns);
                    let gone = writer.drop_before(before).context("failed to drop old shards")?;
                    if gone > 0 {
                        info!(shards = gone, "old shards dropped");
                        store.shards_dropped(writer.tenant().0, gone, before).context("failed to record what was dropped")?;
                    }
                }
            }
            // Nothing has come before the first tick: what there was is searchable, and no more.
            if come.0 > 0 {
                searchable.set(come.0, come.1);
            }
            room.found();
            taken = watch.elapsed();
        }
        if ended {
            return Ok(());
        }
    }
}

/// Records for auditors what is in force from this log offset on.
pub(crate) fn record(store: &Store, (rules, policy): (&RuleSet, Option<&Policy>), from: u64, by: &str) -> Result<()> {
    if let Some(policy) = policy {
        store.policy_in_force(&policy.sha256, &policy.text, from, by).context("failed to record the zone policy in force")?;
    }
    store
        .rules_in_force(&event::hexadecimal(&rules.hash()), rules.written(), from, by)
        .context("failed to record the rules in force")
}
