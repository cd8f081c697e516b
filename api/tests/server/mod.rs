//! The interface over a real socket, for the tests of it: two tenants, a clock that stands until it is moved, a log in memory.
#![allow(dead_code, reason = "each file of tests is its own program and uses what it needs")]

use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use api::{Api, Commit, Destination, Hub, Intake, Limits, Received, RuleDesk, RulesShown, Scheduler, Stage, Store, Tally};
use event::{Batch, Clock, FrameHead, Frames, Position, TenantId, Time};
use index::{IndexOptions, RawSource, Writer};
use rules::alert::AlertChange;
use rules::coverage::Coverage;
use rules::{Counters, Did, LoadOptions, Mode, Modes, RuleCost, RuleSet};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub(crate) const SECOND_NS: i64 = 1_000_000_000;

pub(crate) fn start() -> Time {
    "2026-04-01T00:00:00Z".parse().expect("a time")
}

/// Counts a batch as the pipeline does, each event as a frame of its own.
pub(crate) fn count(tally: &mut Tally, batch: &Batch) {
    let received = batch.iter().map(|event| Received {
        tenant: event.tenant(),
        source: event.source(),
        origin: event.origin(),
        transport: event.transport(),
        received: event.received(),
        records: 1,
        without_records: 0,
        bytes: event.raw().len() as u64,
    });
    tally.receive(&received.collect::<Vec<_>>());
    tally.add(batch);
}

/// A clock that stands until it is moved.
pub(crate) struct Standing(pub(crate) AtomicI64);

impl Clock for Standing {
    fn now(&self) -> Time {
        Time::from_unix_ns(self.0.load(Ordering::Relaxed))
    }
}

struct Nothing;

impl RawSource for Nothing {
    fn raw(&self, _: Position) -> std::io::Result<Option<(FrameHead, Vec<u8>)>> {
        Ok(None)
    }
}

/// A log in memory.
#[derive(Default)]
struct InMemory(Mutex<Vec<Frames>>);

impl Intake for InMemory {
    fn append(&self, frames: Frames) -> Pin<Box<dyn Future<Output = Option<Position>> + Send + '_>> {
        let mut all = self.0.lock().expect("a lock");
        let before: usize = all.iter().map(Frames::len).sum();
        all.push(frames);
        Box::pin(std::future::ready(Some(Position { partition: 0, offset: before as u64 + 1 })))
    }

    fn text(&self, frame: event::Frame<'_>) -> String {
        String::from_utf8_lossy(frame.bytes).into_owned()
    }

    fn reads(&self, _: event::Frame<'_>) -> bool {
        true
    }
}

/// A desk with one rule, whose reload is refused.
struct OneRule {
    rules: Arc<RuleSet>,
    modes: Mutex<Arc<Modes>>,
}

impl OneRule {
    fn new() -> OneRule {
        let text = "title: A rule\nid: rule/1\nlogsource: {category: nothing}\ndetection: {s: {a: 1}, condition: s}\n";
        let (rules, problems) = rules::load(&[("one".to_owned(), text.to_owned())], &LoadOptions::default());
        assert_eq!(problems, []);
        OneRule { rules: Arc::new(rules), modes: Mutex::default() }
    }
}

impl RuleDesk for OneRule {
    fn rules(&self) -> Arc<RuleSet> {
        self.rules.clone()
    }

    fn shown(&self, _: u32) -> RulesShown {
        RulesShown {
            rules: self.rules.clone(),
            refused: Arc::default(),
            loaded: start(),
            failure: Some("rules.yml:3: no title".to_owned()),
            did: vec![Did { cost: RuleCost { matches: 7, evaluated: 9, ..RuleCost::default() }, last_match: Some(start()) }],
            given_up: vec![("rule/1".to_owned(), Counters { late: 3, ..Counters::default() })],
            unmapped: Coverage::default().gaps(&self.rules),
        }
    }

    fn options(&self) -> Arc<LoadOptions> {
        let placeholders = [("word".to_owned(), vec!["nothing".to_owned()])].into();
        Arc::new(LoadOptions { placeholders, ..LoadOptions::default() })
    }

    fn policy(&self) -> Option<Arc<rules::policy::Policy>> {
        None
    }

    fn modes(&self) -> Arc<Modes> {
        self.modes.lock().expect("not poisoned").clone()
    }

    fn set_mode(&self, rule: &str, tenant: u32, mode: Mode) {
        Arc::make_mut(&mut self.modes.lock().expect("not poisoned")).set(rule, Some(tenant), mode);
    }

    fn reload(&self, _: &str) -> Result<usize, String> {
        Err("rules.yml:3: no title".to_owned())
    }
}

/// A log that is not read again.
struct Unread;

impl api::Reread for Unread {
    fn begin(&self) -> std::io::Result<Box<dyn api::Reading>> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// A server of two tenants, with a token of each, on one thread of a runtime.
pub(crate) struct Server {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<Standing>,
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    pub(crate) tokens: [String; 2],
    pub(crate) hub: Hub,
    /// How far the pipeline is said to be.
    pub(crate) stage: Arc<Mutex<Stage>>,
    pub(crate) stop: CancellationToken,
    writers: Mutex<Vec<Writer>>,
    runtime: Option<tokio::runtime::Runtime>,
    serving: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(limits: Limits) -> Server {
        Server::with(limits, &[])
    }

    /// With these events in the index of the tenant that each is of.
    pub(crate) fn with(limits: Limits, batches: &[Batch]) -> Server {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(Standing(AtomicI64::new(start().unix_ns())));
        let store = Store::open(&dir.path().join("mihari.sqlite"), clock.clone()).expect("opens");
        let options = IndexOptions::new(&dir.path().join("index"));
        let writers = (0..2).map(|tenant| Writer::open(&options, TenantId(tenant)).expect("an index").0);
        let mut writers: Vec<Writer> = writers.collect();
        batches.iter().for_each(|batch| index(&mut writers, batch));
        let searchers = writers.iter().map(Writer::searcher).collect();
        let tokens = [0, 1].map(|tenant| store.create_token("test", tenant, 30).expect("a token"));
        let (desk, stage) = (Arc::new(OneRule::new()), Arc::<Mutex<Stage>>::default());
        let hub = Hub::default();
        let api = Api {
            store: store.clone(),
            searchers,
            tenants: vec!["aomori".to_owned(), "hirosaki".to_owned()],
            raw: Arc::new(Nothing),
            intake: Arc::new(InMemory::default()),
            reread: Arc::new(Unread),
            correlate: rules::CorrelateOptions::default(),
            rules: desk,
            hub: hub.clone(),
            metrics: Arc::new(String::new),
            stage: {
                let stage = stage.clone();
                Arc::new(move || *stage.lock().expect("not poisoned"))
            },
            clock: clock.clone(),
            started: start(),
            files: Arc::new(|_| None),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let serving = runtime.spawn(api::serve(listener, api, limits, stop.clone()));
        Server {
            dir,
            clock,
            store,
            address,
            tokens,
            hub,
            stage,
            stop,
            writers: Mutex::new(writers),
            runtime: Some(runtime),
            serving: Some(serving),
        }
    }

    /// Puts events into the index of the tenant that each is of.
    pub(crate) fn index(&self, batch: &Batch) {
        index(&mut self.writers.lock().expect("not poisoned"), batch);
    }

    /// What runs the scheduled searches of this store, asked when `until` is searchable; the clock may be another one.
    pub(crate) fn scheduler(&self, until: Time, clock: Arc<dyn Clock>, destinations: &[Destination]) -> Scheduler {
        Scheduler {
            // As after a restart: nothing is kept but what the database has.
            store: Store::open(&self.dir.path().join("mihari.sqlite"), clock.clone()).expect("opens"),
            searchers: self.writers.lock().expect("not poisoned").iter().map(Writer::searcher).collect(),
            until: Arc::new(move || until),
            clock,
            destinations: destinations.to_vec(),
            hub: self.hub.clone(),
            ring: Arc::new(|| ()),
        }
    }

    /// Any request; gives the status, the `ETag`, and the answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        seen: Option<&str>,
        body: &Value,
    ) -> (u16, Option<String>, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url()))
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", "application/json");
        if let Some(seen) = seen {
            request = request.header("If-Match", seen);
        }
        let mut answer = match method {
            "GET" | "DELETE" => agent.run(request.body(()).expect("a request")),
            _ => agent.run(request.body(body.to_string()).expect("a request")),
        }
        .expect("an answer");
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().expect("text").to_owned());
        let text = answer.body_mut().read_to_string().expect("a body");
        (answer.status().as_u16(), tag, serde_json::from_str(&text).expect("JSON"))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Result<Value, String> {
        let mut text = String::new();
        let mut body = api::client::stream(&self.url(), path, &[], token).map_err(|e| e.to_string())?;
        body.read_to_string(&mut text).map_err(|e| e.to_string())?;
        serde_json::from_str(&text).map_err(|e| e.to_string())
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> Result<Value, String> {
        let text = api::client::post(&self.url(), path, token, &body.to_string()).map_err(|e| e.to_string())?;
        serde_json::from_str(&text).map_err(|e| e.to_string())
    }

    pub(crate) fn apply(&self, position: u64, changes: &[AlertChange], destinations: &[Destination], tally: &mut Tally) {
        self.apply_with(position, changes, destinations, tally, &Modes::default());
    }

    pub(crate) fn apply_with(
        &self,
        position: u64,
        changes: &[AlertChange],
        destinations: &[Destination],
        tally: &mut Tally,
        modes: &Modes,
    ) {
        let commit = Commit { position, changes, destinations, modes };
        self.store.apply(&commit, tally).expect("stored");
    }
}

fn index(writers: &mut [Writer], batch: &Batch) {
    for writer in writers {
        writer.write(batch).expect("written");
        writer.commit().expect("committed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let (Some(runtime), Some(serving)) = (self.runtime.take(), self.serving.take()) {
            runtime.block_on(serving).expect("it ends when told to");
        }
    }
}
