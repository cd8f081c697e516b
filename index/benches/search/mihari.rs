//! Our index.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use event::{TenantId, Time};
use index::{
    Aggregation, AggregationKind, IndexOptions, Interval, SearchLimits, SearchRequest, Searcher, TermsOrder, Writer, query,
};

use crate::events::{Event, START_NS, batch, event, received};
use crate::{Ask, Engine, Loaded, bytes_below, cpu_of, making, measured};

pub(crate) struct Mihari {
    searcher: Searcher,
    writer: Writer,
    events: u64,
}

/// CPU time of one query, sorted.
pub(crate) type Times = Vec<Duration>;

impl Mihari {
    /// Asks each of `asks` again and again while nothing else happens, then while `more` events are written at full rate, with commits and
    /// merges. Gives the CPU times of each, idle and busy, and the longest wall time from a write until its events can be
    /// found.
    pub(crate) fn while_indexing(&mut self, more: u64, asks: &[Ask]) -> (Vec<(Times, Times)>, Duration) {
        /// Passes over all queries while nothing else happens.
        const IDLE_PASSES: usize = 40;
        let mut times: Vec<(Times, Times)> = asks.iter().map(|_| (Vec::new(), Vec::new())).collect();
        let ask = |searcher: &Searcher, which: &Ask, into: &mut Times| {
            let start = cpu_of("/proc/thread-self/schedstat");
            found(searcher, which);
            into.push(cpu_of("/proc/thread-self/schedstat") - start);
        };
        for _ in 0..IDLE_PASSES {
            for (which, (idle, _)) in asks.iter().zip(&mut times) {
                ask(&self.searcher, which, idle);
            }
        }
        let done = AtomicBool::new(false);
        let (searcher, writer, first) = (&self.searcher, &mut self.writer, self.events);
        let longest = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let (mut at, mut longest) = (first, Duration::ZERO);
                let mut oldest: Option<Instant> = None;
                while at < first + more {
                    let batch = batch(at, 8192.min(first + more - at));
                    at += batch.len() as u64;
                    oldest.get_or_insert_with(Instant::now);
                    writer.write(&batch).unwrap();
                    if writer.commit_due() || at == first + more {
                        writer.commit().unwrap();
                        longest = longest.max(oldest.take().unwrap().elapsed());
                    }
                }
                done.store(true, Ordering::Release);
                longest
            });
            while !done.load(Ordering::Acquire) {
                for (which, (_, busy)) in asks.iter().zip(&mut times) {
                    ask(searcher, which, busy);
                }
            }
            writing.join().unwrap()
        });
        self.events += more;
        times.iter_mut().for_each(|(idle, busy)| (idle.sort(), busy.sort()).0);
        (times, longest)
    }
}

pub(crate) fn load(dir: &Path, events: u64) -> (Mihari, Loaded) {
    let (made_cpu, made_wall) = making(events, |first, n| drop(batch(first, n)));
    let (mut writer, _) = Writer::open(&IndexOptions::new(dir), TenantId(0)).unwrap();
    let mut longest = Duration::ZERO;
    let (cpu, wall) = measured(
        |first, n| {
            let batch = batch(first, n);
            let start = Instant::now();
            writer.write(&batch).unwrap();
            if writer.commit_due() {
                writer.commit().unwrap();
            }
            longest = longest.max(start.elapsed());
        },
        events,
    );
    let (settle_cpu, settle_wall) = measured(
        |_, _| {
            writer.commit().unwrap();
            writer.settle().unwrap();
        },
        1,
    );
    let searcher = writer.searcher();
    let usage = searcher.usage().unwrap();
    let mut kinds = std::collections::BTreeMap::new();
    crate::bytes_by_kind(dir, &mut kinds);
    let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{kind} {:.1}", *n as f64 / events as f64)).collect();
    let note = format!(
        "{} shards, {} segments; longest write with its commit {} ms; B/event: {}",
        usage.len(),
        usage.iter().map(|u| u.segments).sum::<usize>(),
        longest.as_millis(),
        kinds.join(", ")
    );
    let loaded = Loaded {
        seconds_cpu: cpu + settle_cpu - made_cpu,
        seconds_wall: wall + settle_wall - made_wall,
        bytes: bytes_below(dir),
        note,
    };
    (Mihari { searcher, writer, events }, loaded)
}

fn text(ask: &Ask) -> String {
    match ask {
        Ask::Words(words) => format!("\"{words}\""),
        Ask::Both(one, two) => format!("{one} AND {two}"),
        Ask::Is(field, value) => format!("{field}:\"{value}\""),
        Ask::Network(field, network, None) => format!("{field}:{network}"),
        Ask::Network(field, network, Some(words)) => format!("{field}:{network} AND \"{words}\""),
        Ask::Substring(None, inner) => format!("*{inner}*"),
        Ask::Substring(Some(field), inner) => format!("{field}:*{inner}*"),
        Ask::Regex(field, regex) => format!("{field}:/{regex}/"),
        Ask::Above(field, n) => format!("{field}:>{n}"),
        Ask::Newest(Some(ask)) => text(ask),
        _ => "*".to_owned(),
    }
}

impl Engine for Mihari {
    fn ask(&mut self, ask: &Ask) -> Option<u64> {
        Some(found(&self.searcher, ask))
    }
}

/// The number that the query asks for.
fn found(searcher: &Searcher, ask: &Ask) -> u64 {
    let limits = SearchLimits { stop: Arc::new(|| false) };
    let query = query::parse(&text(ask), Time::from_unix_ns(START_NS)).unwrap();
    let mut request = SearchRequest { size: 0, ..SearchRequest::new(query) };
    let field = |field: &str| field.to_owned();
    let aggregation: Option<Aggregation> = match ask {
        Ask::Histogram => Some(
            AggregationKind::DateHistogram {
                field: field("@timestamp"),
                interval: Interval::ms(3_600_000),
                zone: index::TimeZone::UTC,
                min_count: 1,
                bounds: None,
                missing: None,
            }
            .into(),
        ),
        Ask::Terms(name) => Some(
            AggregationKind::Terms {
                field: field(name),
                size: 10,
                order: TermsOrder::Count,
                min_count: 1,
                missing: None,
                chosen: Default::default(),
            }
            .into(),
        ),
        Ask::Cardinality(name) => Some(AggregationKind::Cardinality { field: field(name) }.into()),
        Ask::Percentiles(name) => {
            Some(AggregationKind::Percentiles { field: field(name), percents: vec![50.0, 99.0], missing: None }.into())
        }
        _ => None,
    };
    let aggregating = aggregation.is_some();
    request.aggregations.extend(aggregation.map(|a| ("a".to_owned(), a)));
    if matches!(ask, Ask::Newest(_)) {
        (request.size, request.total_max) = (10, Some(0));
    }
    let found = searcher.search(&request, &limits).unwrap();
    match ask {
        Ask::Newest(_) => found.hits.len() as u64,
        Ask::Cardinality(_) => found.aggregations["a"].value.unwrap() as u64,
        Ask::Percentiles(_) => found.aggregations["a"].values["50"].unwrap() as u64,
        _ if aggregating => found.aggregations["a"].buckets.iter().map(|b| b.count).max().unwrap_or(0),
        _ => found.total,
    }
}

/// The records in the journal, as they are received: CPU seconds of writing and compressing them, and bytes of the files.
pub(crate) fn journal(dir: &Path, events: u64) -> (f64, u64) {
    use event::{Content, FrameHead, Frames, Transport};
    let (made_cpu, _) = making(events, |first, n| {
        let mut it = Event::default();
        (first..first + n).for_each(|at| event(at, &mut it));
    });
    let clock = Arc::new(Ticking(AtomicI64::new(START_NS)));
    let (mut journal, _) = ingest::log::Journal::open(dir, ingest::log::JournalOptions::default(), clock).unwrap();
    let appender = journal.appender();
    let mut it = Event::default();
    let (cpu, _) = measured(
        |first, n| {
            let mut frames = Frames::default();
            for at in first..first + n {
                event(at, &mut it);
                let mut head = FrameHead::new(Transport::Udp, Content::Text);
                head.received = received(at);
                head.source = Some("192.0.2.1:514".parse().unwrap());
                frames.push(head, it.raw.as_bytes());
            }
            appender.append_blocking(frames).unwrap();
        },
        events,
    );
    // What is begun when it is opened again is another segment: all records are in closed ones.
    journal.close();
    drop(journal);
    let clock = Arc::new(Ticking(AtomicI64::new(START_NS)));
    let (end_cpu, _) = measured(
        |_, _| {
            let (journal, _) = ingest::log::Journal::open(dir, ingest::log::JournalOptions::default(), clock.clone()).unwrap();
            journal.sync().unwrap();
            let mut one = Frames::default();
            one.push(FrameHead::new(Transport::Internal, Content::Tick), b"");
            journal.appender().append_blocking(one).unwrap();
            journal.sync().unwrap();
            journal.settle().unwrap();
        },
        1,
    );
    (cpu + end_cpu - made_cpu, bytes_below(dir))
}

struct Ticking(AtomicI64);

impl event::Clock for Ticking {
    fn now(&self) -> Time {
        Time::from_unix_ns(self.0.fetch_add(1_000_000, Ordering::Relaxed))
    }
}
