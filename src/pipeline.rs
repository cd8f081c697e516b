//! The stages between a source of frames and what is made of them.
//!
//! ```text
//!  source ─▶ reader ──────────▶ workers ──────────────────▶ sequencer ─▶ sink
//!            flows decoded      text decoded, zones         batches in
//!            in their order     judged, observed, matched   their order
//! ```
//!
//! The reader and the sequencer are one thread each, so what they do is in log order; workers share nothing. Channels are bounded: who is
//! slow makes the others wait, back to the source.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use api::Received;
use crossbeam_channel::{Receiver, Sender, bounded};
use event::{Batch, BatchBuilder, Content, EventRef, FieldId, FrameHead, Frames, LogRange, TenantId, Time, Transport, Value};
use ingest::decode::community;
use ingest::decode::flow::{DroppedSet, FlowDecoder, Heard, NO_TEMPLATE};
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};
use rules::policy::Policy;
use rules::{Detector, Match, Observed, RuleSet, Work};
use tracing::trace_span;

use crate::clock::Stopwatch;

/// Batches on their way between two stages.
const BATCHES_WAITING_MAX: usize = 4;

/// The rules, and the zone policy where one is configured: loaded together, in force together.
pub(crate) struct InForce {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) policy: Option<Arc<Policy>>,
}

/// What is in force now. A batch is judged and matched by what is in force when it is read, and every later stage is told by what.
#[derive(Clone)]
pub(crate) struct Current(Arc<Mutex<Arc<InForce>>>);

impl Current {
    pub(crate) fn new(in_force: Arc<InForce>) -> Current {
        Current(Arc::new(Mutex::new(in_force)))
    }

    pub(crate) fn get(&self) -> Arc<InForce> {
        self.0.lock().expect("no code panics under this lock").clone()
    }

    /// Batches that are read from now on are judged and matched by `in_force`.
    pub(crate) fn set(&self, in_force: Arc<InForce>) {
        *self.0.lock().expect("no code panics under this lock") = in_force;
    }
}

/// What the stages work with.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) settings: Arc<DecodeSettings>,
    pub(crate) current: Current,
    pub(crate) threads: usize,
}

/// Records that the receiver lost, as the log tells it.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) tenant: TenantId,
    pub(crate) transport: Transport,
    /// Whose they were, where that is known.
    pub(crate) sender: Option<IpAddr>,
    pub(crate) received: Time,
    pub(crate) reason: String,
    pub(crate) count: u64,
}

/// A batch with what was found in it.
pub(crate) struct Done {
    pub(crate) batch: Batch,
    /// What its events tell the behaviours.
    pub(crate) observed: Observed,
    /// What it was judged and matched by.
    pub(crate) in_force: Arc<InForce>,
    pub(crate) matches: Vec<Match>,
    /// What rules did and cost, of those that did anything.
    pub(crate) work: Vec<Work>,
    pub(crate) lost: Vec<Lost>,
    /// What was received in it, by sender.
    pub(crate) received: Vec<Received>,
    /// The sequence numbers of its flow packets.
    pub(crate) heard: Vec<Heard>,
    /// The flow decoder's templates as of the end of this batch, where they have changed.
    pub(crate) templates: Option<Arc<Vec<u8>>>,
}

/// Time spent in each stage, in nanoseconds, and what went through.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    pub(crate) read_ns: AtomicU64,
    pub(crate) flows_ns: AtomicU64,
    pub(crate) text_ns: AtomicU64,
    pub(crate) policy_ns: AtomicU64,
    pub(crate) match_ns: AtomicU64,
    pub(crate) sink_ns: AtomicU64,
    /// Part of the sink's time.
    pub(crate) behave_ns: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) quarantined: AtomicU64,
}

impl Spent {
    pub(crate) fn add(counter: &AtomicU64, watch: &Stopwatch) {
        counter.fetch_add(u64::try_from(watch.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

struct Job {
    number: u64,
    in_force: Arc<InForce>,
    frames: Frames,
    builder: BatchBuilder,
    lost: Vec<Lost>,
    received: Vec<Received>,
    heard: Vec<Heard>,
    templates: Option<Arc<Vec<u8>>>,
}

/// Runs the stages until `source` says that there is no more (`false`), and gives each batch to `sink` in order. `source` fills the frames,
/// with positions; none is allowed where it waited in vain.
///
/// # Errors
/// The first fault of the source or the sink. The stages are ended either way.
pub(crate) fn run(
    parts: &Parts,
    mut flows: FlowDecoder,
    spent: &Arc<Spent>,
    mut source: impl FnMut(&mut Frames) -> Result<bool> + Send + 'static,
    mut sink: impl FnMut(Option<Done>) -> Result<()>,
) -> Result<()> {
    let (jobs, inbox) = bounded::<Job>(BATCHES_WAITING_MAX);
    let (done, outbox) = bounded::<(u64, Done)>(BATCHES_WAITING_MAX);
    let mut workers = Vec::new();
    for n in 0..parts.threads.max(1) {
        let (parts, inbox, done, spent) = (parts.clone(), inbox.clone(), done.clone(), spent.clone());
        workers.push(spawn(format!("worker-{n}"), move || work(&parts, &inbox, &done, &spent))?);
    }
    drop((inbox, done));
    let reader_spent = spent.clone();
    let current = parts.current.clone();
    let reader = spawn("reader".to_owned(), move || read(&mut flows, &mut source, &current, &jobs, &reader_spent))?;
    let mut waiting: BTreeMap<u64, Done> = BTreeMap::new();
    let mut next = 0;
    let mut result = Ok(());
    for (number, batch) in &outbox {
        waiting.insert(number, batch);
        while let Some(batch) = waiting.remove(&next) {
            next += 1;
            let watch = Stopwatch::start();
            let LogRange { first, last, .. } = batch.batch.range;
            result = trace_span!("sink", first, last).in_scope(|| sink(Some(batch)));
            Spent::add(&spent.sink_ns, &watch);
            if result.is_err() {
                break;
            }
        }
        if result.is_err() {
            break;
        }
    }
    drop(outbox); // Whoever still works finds no one who wants it, and ends.
    for worker in workers {
        worker.join().map_err(|_| anyhow!("a worker panicked"))?;
    }
    let read = reader.join().map_err(|_| anyhow!("the reader panicked"))?;
    result?;
    read?;
    sink(None)
}

fn spawn<T: Send + 'static>(name: String, run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name).spawn(run).context("failed to start a thread")
}

fn read(
    flows: &mut FlowDecoder,
    source: &mut impl FnMut(&mut Frames) -> Result<bool>,
    current: &Current,
    jobs: &Sender<Job>,
    spent: &Spent,
) -> Result<()> {
    let mut templates_told = flows.template_changes();
    for number in 0.. {
        let mut frames = Frames::default();
        let watch = Stopwatch::start();
        let more = source(&mut frames)?;
        Spent::add(&spent.read_ns, &watch);
        spent.bytes.fetch_add(frames.byte_len() as u64, Ordering::Relaxed);
        let watch = Stopwatch::start();
        let mut builder = BatchBuilder::default();
        let (mut lost, mut received, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        for frame in frames.iter() {
            match frame.head.content {
                Content::Flow => {
                    let before = builder.len();
                    flows.decode_heard(frame, &mut builder, &mut heard);
                    Received::note(&mut received, frame, builder.len() - before);
                }
                Content::Text => Received::note(&mut received, frame, 1),
                Content::Loss => lost.extend(loss(&frame)),
                Content::Tick | Content::Released | Content::Mark | Content::Tombstone => {}
            }
        }
        lost.extend(flows.take_dropped().into_iter().map(|DroppedSet { tenant, transport, sender, now, count }| Lost {
            tenant,
            transport,
            sender,
            received: now,
            reason: NO_TEMPLATE.to_owned(),
            count,
        }));
        let last = frames.get(frames.len().saturating_sub(1)).map_or(0, |frame| frame.head.position.offset);
        drop(trace_span!("read", last).entered());
        let changed = flows.template_changes() != templates_told;
        templates_told = flows.template_changes();
        let templates = changed.then(|| Arc::new(flows.snapshot()));
        Spent::add(&spent.flows_ns, &watch);
        if jobs.send(Job { number, in_force: current.get(), frames, builder, lost, received, heard, templates }).is_err() || !more
        {
            break;
        }
    }
    Ok(())
}

fn loss(frame: &event::Frame<'_>) -> Option<Lost> {
    #[derive(serde::Deserialize)]
    struct Told {
        reason: String,
        count: u64,
    }
    let told: Told = serde_json::from_slice(frame.bytes).ok()?;
    let FrameHead { tenant, transport, source, received, .. } = frame.head;
    let sender = source.map(|source| source.ip());
    Some(Lost { tenant, transport, sender, received, reason: told.reason, count: told.count })
}

fn work(parts: &Parts, inbox: &Receiver<Job>, done: &Sender<(u64, Done)>, spent: &Spent) {
    let mut text = TextDecoder::new(&parts.settings);
    let mut in_force = parts.current.get();
    let mut detector = Detector::new(in_force.rules.clone());
    for Job { number, in_force: of_batch, frames, mut builder, lost, received, heard, templates } in inbox {
        let first = frames.get(0).map_or(0, |f| f.head.position.offset);
        let last = frames.get(frames.len().saturating_sub(1)).map(|f| f.head);
        let working = trace_span!("work", first, last = last.map_or(0, |h| h.position.offset)).entered();
        let watch = Stopwatch::start();
        let mut records = 0;
        for frame in frames.iter() {
            match frame.head.content {
                Content::Text => {
                    text.decode(frame, &mut builder);
                    records += 1;
                }
                Content::Flow => records += 1,
                Content::Released => text.decode_released(frame, &mut builder),
                Content::Tick | Content::Loss | Content::Mark | Content::Tombstone => {}
            }
        }
        let range = LogRange { partition: 0, first, last: last.map_or(0, |h| h.position.offset) };
        let mut batch = builder.finish(range, last.map_or(Time::UNKNOWN, |h| h.received));
        Spent::add(&spent.text_ns, &watch);
        if !Arc::ptr_eq(&in_force, &of_batch) {
            in_force = of_batch;
            detector = Detector::new(in_force.rules.clone());
        }
        let watch = Stopwatch::start();
        let policy = in_force.policy.as_deref();
        let is_watched = policy.is_some() || in_force.rules.has_behaviours();
        let observed = if is_watched { Observed::read(&mut batch, policy) } else { Observed::default() };
        if parts.settings.community_id {
            community::annotate(&mut batch);
        }
        Spent::add(&spent.policy_ns, &watch);
        let watch = Stopwatch::start();
        let mut matches = Vec::new();
        detector.scan(&batch, &mut matches);
        Spent::add(&spent.match_ns, &watch);
        spent.frames.fetch_add(records, Ordering::Relaxed);
        spent.events.fetch_add(batch.len() as u64, Ordering::Relaxed);
        spent.quarantined.fetch_add(batch.iter().filter(|e| e.quarantined()).count() as u64, Ordering::Relaxed);
        let refused = |event: &EventRef<'_>| event.all(FieldId::FLAGS).any(|flag| flag == Value::Text("format_pin_refused"));
        metrics::counter!("mihari_format_pin_refused_total").increment(batch.iter().filter(refused).count() as u64);
        let work = detector.take_work();
        drop(working);
        if done
            .send((number, Done { batch, observed, in_force: in_force.clone(), matches, work, lost, received, heard, templates }))
            .is_err()
        {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use event::Position;
    use event::limits::BATCH_BYTES_MAX;
    use rules::LoadOptions;

    use super::*;

    fn rules_of(titles: &[&str]) -> Arc<RuleSet> {
        let text = |title: &&str| {
            format!("title: {title}\nlogsource: {{category: any}}\ndetection:\n  k: ['user root']\n  condition: k\n")
        };
        let text = titles.iter().map(text).collect::<Vec<_>>().join("---\n");
        let (set, problems) = rules::load(&[("rules".to_owned(), text)], &LoadOptions::default());
        assert_eq!(problems, []);
        Arc::new(set)
    }

    #[test]
    fn no_event_goes_unmatched_when_rules_are_swapped() {
        const BATCHES: u64 = 60;
        const RECORDS: u64 = 20;
        let in_force = |titles: &[&str]| Arc::new(InForce { rules: rules_of(titles), policy: None });
        let (old, new) = (in_force(&["kept"]), in_force(&["first", "kept", "last"]));
        let current = Current::new(old.clone());
        let settings = Arc::new(DecodeSettings::new("UTC", Time::from_unix_s(1_775_001_600)).expect("a zone"));
        let parts = Parts { settings, current: current.clone(), threads: 3 };
        let (mut batch, swap) = (0, new.clone());
        let source = move |frames: &mut Frames| {
            for nth in 1..=RECORDS {
                let position = Position { partition: 0, offset: batch * RECORDS + nth };
                let head = FrameHead { position, ..FrameHead::new(Transport::Udp, Content::Text) };
                frames.push(head, b"<38>Apr  1 09:00:00 host app: user root");
            }
            assert!(frames.byte_len() < BATCH_BYTES_MAX);
            batch += 1;
            if batch == BATCHES / 2 {
                current.set(swap.clone());
            }
            Ok(batch < BATCHES)
        };
        let (mut seen, mut swapped_at) = (0, None);
        run(&parts, FlowDecoder::default(), &Arc::new(Spent::default()), source, |done| {
            let Some(done) = done else { return Ok(()) };
            let is_new = Arc::ptr_eq(&done.in_force, &new);
            assert!(is_new || Arc::ptr_eq(&done.in_force, &old));
            assert!(is_new || swapped_at.is_none(), "the old rules after the new ones");
            if is_new && swapped_at.is_none() {
                swapped_at = Some(done.batch.range.first);
            }
            let wanted = done.batch.len() * done.in_force.rules.rules().len();
            assert_eq!(done.matches.len(), wanted, "every rule of its set matches every event of the batch");
            assert_eq!(done.work.iter().map(|work| work.did.cost.matches).sum::<u64>(), wanted as u64);
            seen += done.batch.len() as u64;
            Ok(())
        })
        .expect("runs");
        assert_eq!(seen, BATCHES * RECORDS);
        assert!(swapped_at.is_some_and(|first| first % RECORDS == 1), "at a batch's boundary");
    }

    #[test]
    fn conversations_have_ids_where_the_settings_ask_for_them() {
        let id = |wanted: bool| {
            let mut settings = DecodeSettings::new("UTC", Time::from_unix_s(1_775_001_600)).expect("a zone");
            settings.community_id = wanted;
            let current = Current::new(Arc::new(InForce { rules: rules_of(&["any"]), policy: None }));
            let parts = Parts { settings: Arc::new(settings), current, threads: 1 };
            let source = |frames: &mut Frames| {
                let record = b"<4>Apr  1 09:00:00 fw kernel: IN=eth0 OUT= SRC=128.232.110.120 DST=66.35.250.204 PROTO=TCP SPT=34855 DPT=80 SYN";
                frames.push(FrameHead::new(Transport::Udp, Content::Text), record);
                Ok(false)
            };
            let mut found = Vec::new();
            run(&parts, FlowDecoder::default(), &Arc::new(Spent::default()), source, |done| {
                let id = |event: EventRef<'_>| event.get(FieldId::NETWORK_COMMUNITY_ID).map(|id| id.to_string());
                found.extend(done.iter().flat_map(|done| done.batch.iter().map(id)));
                Ok(())
            })
            .expect("runs");
            found
        };
        // From the specification's baseline (github.com/corelight/community-id-spec), seed 0.
        assert_eq!(id(true), [Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned())]);
        assert_eq!(id(false), [None]);
    }
}
