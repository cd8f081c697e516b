//! What the service's threads waited for, from the spans that they are in: what made the journal's writer pause and what ran then, and in
//! which stage a marked record waited.
//!
//! A span costs two short reads of `/proc` here, which is why only the bench listens to them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Stopwatch;

/// Pauses and marked records that are told one by one: the longest.
const TOLD_MAX: usize = 10;
/// Pauses that are counted by what was waited for, by their length at least.
const COUNTED: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(50), Duration::from_millis(100)];
/// Pauses whose lengths are kept: an hour's at full rate.
const PAUSES_MAX: usize = 1 << 20;
/// Spans of other threads that are kept, to tell what ran during a pause, and how long one is at least.
const OTHERS_MAX: usize = 1 << 16;
const OTHER_TIME: Duration = Duration::from_millis(10);
/// Batches of each stage that are kept, to tell when a marked record went through: more than come until it is found.
const BATCHES_MAX: usize = 8192;
/// Offsets after which pauses are looked for: before, the senders begin.
const PAUSES_FROM: u64 = 10_000;

/// A stage: the module of its span and the span's name.
type Stage = (&'static str, &'static str);

const JOURNAL: &str = "ingest::log::journal";
const PUBLISH: Stage = (JOURNAL, "publish");
/// A listener waits for room before the journal's writer.
const ROOM: Stage = (JOURNAL, "room");
/// What a record goes through, in order, and what is told of it.
const THROUGH: [(Stage, &str); 6] = [
    (PUBLISH, "journal"),
    (("mihari::pipeline", "read"), "read"),
    (("mihari::pipeline", "work"), "decode, match"),
    (("mihari::pipeline", "sink"), "correlate, store"),
    (("index::writer", "write"), "index"),
    (("index::writer", "publish"), "commit"),
];

/// What a thread has had: time on a processor, and time when it could have run and another did.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu: Duration,
    queued: Duration,
}

impl Used {
    /// Of this thread so far (`proc(5)`, schedstat: nanoseconds on the processor, and waiting for one).
    fn so_far() -> Used {
        thread_local! {
            static FILE: Option<File> = File::open("/proc/thread-self/schedstat").ok();
        }
        let mut bytes = [0; 64];
        // Where the kernel does not tell, all is zero, and the figures say so.
        let len = FILE.with(|file| file.as_ref().and_then(|file| file.read_at(&mut bytes, 0).ok())).unwrap_or(0);
        let mut numbers = str::from_utf8(&bytes[..len]).unwrap_or_default().split(' ').filter_map(|n| n.parse().ok());
        let mut next = || Duration::from_nanos(numbers.next().unwrap_or(0));
        Used { cpu: next(), queued: next() }
    }

    fn since(self, before: Used) -> Used {
        Used { cpu: self.cpu.saturating_sub(before.cpu), queued: self.queued.saturating_sub(before.queued) }
    }
}

/// A span that has ended. Times are since the bench began to listen.
#[derive(Clone, Debug)]
struct Passed {
    stage: Stage,
    began: Duration,
    ended: Duration,
    used: Used,
}

impl Passed {
    fn length(&self) -> Duration {
        self.ended.saturating_sub(self.began)
    }

    /// What most of its time went into, as far as the kernel tells.
    fn shown(&self) -> String {
        let Used { cpu, queued } = self.used;
        format!("{} {} ms ({} on a processor, {} waiting for one)", name(self.stage), ms(self.length()), ms(cpu), ms(queued))
    }
}

fn name((module, name): Stage) -> String {
    format!("{} {name}", module.rsplit("::").next().unwrap_or(module))
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

/// From one synced write of the journal to the next.
#[derive(Debug)]
struct Pause {
    ended: Duration,
    length: Duration,
    used: Used,
    parts: Vec<Passed>,
}

impl Pause {
    /// What most of it went into.
    fn cause(&self) -> String {
        if self.used.queued * 2 > self.length {
            return "another thread had the processor".to_owned();
        }
        let longest = self.parts.iter().max_by_key(|part| part.length());
        match longest {
            Some(part) if part.stage.1 == "gather" && part.length() * 2 > self.length => "nothing to write".to_owned(),
            Some(part) if part.length() * 2 > self.length => name(part.stage),
            _ => "several".to_owned(),
        }
    }
}

/// A marked record, found.
#[derive(Debug)]
struct Marked {
    sent: Duration,
    found: Duration,
    /// When each stage of [`THROUGH`] was begun and done, as far as known.
    through: Vec<Option<(Duration, Duration)>>,
}

#[derive(Default)]
struct Seen {
    last: Option<(Duration, Used)>,
    parts: Vec<Passed>,
    lengths: Vec<Duration>,
    longest: Vec<Pause>,
    causes: BTreeMap<String, [u64; COUNTED.len()]>,
    others: VecDeque<Passed>,
    batches: BTreeMap<Stage, VecDeque<(u64, u64, Duration, Duration)>>,
    marked: Vec<Marked>,
    /// How often a listener waited, and for how long at most.
    waits: u64,
    waited_most: Duration,
    ended: bool,
}

/// Listens to spans.
#[derive(Clone)]
pub(super) struct Stages {
    watch: Stopwatch,
    seen: Arc<Mutex<Seen>>,
}

/// What is kept of a span while it lasts.
struct Lasting {
    began: Duration,
    entered: Used,
    used: Used,
    first: u64,
    last: Option<u64>,
}

impl Visit for Lasting {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "first" => self.first = value,
            "last" => self.last = Some(value),
            _ => {}
        }
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Stages {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let none = Used::default();
        let mut lasting = Lasting { began: self.watch.elapsed(), entered: none, used: none, first: 0, last: None };
        attributes.record(&mut lasting);
        span.extensions_mut().insert(lasting);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(lasting) = span.extensions_mut().get_mut::<Lasting>() {
            lasting.entered = Used::so_far();
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(lasting) = span.extensions_mut().get_mut::<Lasting>() {
            lasting.used = Used::so_far().since(lasting.entered);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let metadata: &'static Metadata<'static> = span.metadata();
        let extensions = span.extensions();
        let Some(lasting) = extensions.get::<Lasting>() else { return };
        let stage = (metadata.target(), metadata.name());
        let passed = Passed { stage, began: lasting.began, ended: self.watch.elapsed(), used: lasting.used };
        let now = (stage == PUBLISH).then(Used::so_far);
        let mut seen = self.seen.lock().expect("no code panics under this lock");
        if let Some(last) = lasting.last
            && THROUGH.iter().any(|(through, _)| *through == stage)
        {
            let batches = seen.batches.entry(stage).or_default();
            if batches.len() == BATCHES_MAX {
                batches.pop_front();
            }
            batches.push_back((lasting.first, last, passed.began, passed.ended));
        }
        if stage == ROOM {
            seen.waits += 1;
            seen.waited_most = seen.waited_most.max(passed.length());
        } else if stage.0 == JOURNAL {
            seen.journal(passed, lasting.last.unwrap_or(0), now);
        } else if passed.length() >= OTHER_TIME {
            if seen.others.len() == OTHERS_MAX {
                seen.others.pop_front();
            }
            seen.others.push_back(passed);
        }
    }
}

impl Seen {
    /// Takes what the journal's writer has done; `now` where it has just made it known.
    fn journal(&mut self, passed: Passed, offset: u64, now: Option<Used>) {
        let ended = passed.ended;
        self.parts.push(passed);
        let Some(used) = now else { return };
        let parts = std::mem::take(&mut self.parts);
        let Some((last, before)) = self.last.replace((ended, used)) else { return };
        if offset < PAUSES_FROM || self.ended || self.lengths.len() == PAUSES_MAX {
            return;
        }
        let pause = Pause { ended, length: ended.saturating_sub(last), used: used.since(before), parts };
        self.lengths.push(pause.length);
        for (n, length) in COUNTED.iter().enumerate() {
            if pause.length > *length {
                self.causes.entry(pause.cause()).or_default()[n] += 1;
            }
        }
        let at = self.longest.partition_point(|other| other.length >= pause.length);
        self.longest.insert(at, pause);
        self.longest.truncate(TOLD_MAX);
    }
}

impl Stages {
    pub(super) fn new() -> Stages {
        Stages { watch: Stopwatch::start(), seen: Arc::default() }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no code panics under this lock")
    }

    /// No more records are sent: pauses from now on count for nothing.
    pub(super) fn end(&self) {
        self.seen().ended = true;
    }

    /// Notes that the marked record at `offset`, sent so long ago, was found.
    pub(super) fn found(&self, offset: u64, ago: Duration) {
        let found = self.watch.elapsed();
        let mut seen = self.seen();
        let through = THROUGH.iter().map(|(stage, _)| {
            let batches = seen.batches.get(stage)?;
            let (.., began, ended) = batches.iter().find(|(first, last, ..)| *first <= offset && offset <= *last)?;
            Some((*began, *ended))
        });
        let through = through.collect();
        let sent = found.saturating_sub(ago);
        let at = seen.marked.partition_point(|other| other.found - other.sent >= ago);
        seen.marked.insert(at, Marked { sent, found, through });
        seen.marked.truncate(TOLD_MAX);
    }

    /// What there is to tell.
    pub(super) fn told(&self) -> Vec<String> {
        let mut seen = self.seen();
        seen.lengths.sort_unstable();
        let mut lines = Vec::new();
        let at = |part: f64| seen.lengths.get((seen.lengths.len().saturating_sub(1) as f64 * part) as usize).copied();
        lines.push(format!(
            "from one synced write of the journal to the next: median {} ms, 99.9 % {} ms, longest {} ms; over 100 ms {} of {}",
            at(0.5).as_ref().map_or(0, Duration::as_millis),
            at(0.999).as_ref().map_or(0, Duration::as_millis),
            at(1.0).as_ref().map_or(0, Duration::as_millis),
            seen.lengths.iter().filter(|length| **length > super::STALL).count(),
            seen.lengths.len()
        ));
        lines.push(format!(
            "a listener waited for room before the writer {} times, at most {} ms",
            seen.waits,
            ms(seen.waited_most)
        ));
        lines.push(format!("{:34} {:>9} {:>9} {:>9}", "of these, by what took most of it", "> 20 ms", "> 50 ms", "> 100 ms"));
        for (cause, [some, more, most]) in &seen.causes {
            lines.push(format!("{cause:34} {some:>9} {more:>9} {most:>9}"));
        }
        lines.push("the longest, and what ran meanwhile:".to_owned());
        for pause in &seen.longest {
            let began = pause.ended.saturating_sub(pause.length);
            let Used { cpu, queued } = pause.used;
            lines.push(format!(
                "{:>8.2} s {:>5} ms, {} on a processor, {} waiting for one",
                began.as_secs_f64(),
                ms(pause.length),
                ms(cpu),
                ms(queued)
            ));
            for part in pause.parts.iter().filter(|part| part.length() >= pause.length / 10) {
                lines.push(format!("             it: {}", part.shown()));
            }
            let meanwhile = seen.others.iter().filter(|other| other.began < pause.ended && other.ended > began);
            for other in meanwhile {
                let from = other.began.as_millis() as i128 - began.as_millis() as i128;
                lines.push(format!("        at {from:+5}: {}", other.shown()));
            }
        }
        let mut head = format!("{:>9} {:>7}", "sent at", "found");
        for (_, name) in THROUGH {
            head += &format!("  {name}");
        }
        lines.push(format!(
            "the slowest marked records: when, after how long, and until when each stage had begun and ended (ms){head}"
        ));
        for marked in &seen.marked {
            let mut line = format!("{:>8.2} s {:>5}", marked.sent.as_secs_f64(), ms(marked.found.saturating_sub(marked.sent)));
            for through in &marked.through {
                line += &match through {
                    Some((began, ended)) => {
                        format!("  {}-{}", ms(began.saturating_sub(marked.sent)), ms(ended.saturating_sub(marked.sent)))
                    }
                    None => "  ?".to_owned(),
                };
            }
            lines.push(line);
        }
        lines
    }
}
