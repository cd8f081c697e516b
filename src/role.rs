//! The service: collecting and analysing, over one journal.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use api::{
    Api, Commit, Destination, Hub, Intake, Notifier, RuleDesk, Scheduler, Schedules, Stage, State, StaticFile, Store, Tally,
};
use crossbeam_channel::bounded;
use event::limits::BATCH_BYTES_MAX;
use event::{Batch, BatchBuilder, Clock, Frame, Frames, LogRange, Position, TenantId, Time, Transport};
use index::{IndexOptions, Searcher, Writer};
use ingest::decode::flow::{FlowDecoder, Missing, Sequences};
use ingest::decode::text::{TextDecoder, text_of};
use ingest::decode::{DecodeSettings, Decoder, Differing};
use ingest::listen::{
    Datagrams, FileMarks, Follow, KERNEL_DROP, Kafka, Listen, Listeners, Marks, Place, RECEIVE_BUFFER_BYTES, Stream,
    StreamProtocol,
};
use ingest::log::{Appender, Journal};
use metrics_exporter_prometheus::PrometheusHandle;
use rules::alert::AlertChange;
use rules::behave::indicator::Indicators;
use rules::policy::Policy;
use rules::{Behaviour, BehaviourOptions, CorrelateOptions, Correlator, Modes, RuleSet, Site};
use tokio_util::sync::CancellationToken;
use tracing::{debug_span, error, info, trace_span, warn};

use crate::clock::{Stopwatch, SystemClock};
use crate::config::{Config, From, ListenKind};
use crate::loaded::load_rules;
use crate::pipeline::{self, Done, InForce, Parts, Spent};
use crate::raw::JournalRaw;
use crate::reread::{JournalAgain, MessagesAgain};
use crate::retention::Trimmer;
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

/// Refuses what is not there: a mistyped path must not pass for a folder without rules.
pub(crate) fn must_exist(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        std::fs::metadata(path).with_context(|| format!("failed to read {}", path.display()))?;
    }
    Ok(())
}

/// Makes the folder of the data where there is none, for its owner alone: the records and the alerts are confidential.
pub(crate) fn make_data(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("failed to make {}", path.display()))
}

/// Records for auditors what is in force from this log offset on.
fn record(store: &Store, (rules, policy): (&RuleSet, Option<&Policy>), from: u64, by: &str) -> Result<()> {
    if let Some(policy) = policy {
        store.policy_in_force(&policy.sha256, &policy.text, from, by).context("failed to record the zone policy in force")?;
    }
    store
        .rules_in_force(&event::hexadecimal(&rules.hash()), rules.written(), from, by)
        .context("failed to record the rules in force")
}

/// Reads and proves the zone file.
pub(crate) fn load_policy(path: &Path) -> Result<Policy> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    match Policy::parse(&text) {
        Ok((policy, mut problems)) => {
            problems.extend(policy.ended_exceptions(SystemClock.now()));
            for problem in problems {
                warn!(path = %path.display(), lines = ?problem.lines, reason = problem.reason, "the zone policy");
            }
            Ok(policy)
        }
        Err(problems) => {
            let text: Vec<String> = problems
                .iter()
                .filter(|p| !p.warning)
                .map(|p| format!("{}{}: {}", path.display(), p.place(), p.reason))
                .collect();
            anyhow::bail!("the zone policy does not hold together\n{}", text.join("\n"))
        }
    }
}

/// The format descriptions at `paths`, a folder's in the order of their names.
fn description_files(paths: &[PathBuf]) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in paths {
        let failed = || format!("failed to read {}", path.display());
        if path.is_dir() {
            let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path).with_context(failed)?.collect();
            let entries = entries.with_context(failed)?.into_iter().map(|entry| entry.path());
            files.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml")));
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Ok((path.display().to_string(), text))
    };
    files.into_iter().map(read).collect()
}

/// What the site knows of itself, with its indicators, and what is wrong with these.
pub(crate) fn load_site(config: &crate::config::Behaviour) -> Result<(Site, Vec<String>)> {
    let list = |name: &str, texts: &[String]| {
        (name.to_owned(), rules::yaml::Node::List(texts.iter().cloned().map(rules::yaml::Node::Text).collect()))
    };
    let crate::config::Safelist { sources, destinations, domains, ports } = &config.safelist;
    let safelist = rules::yaml::Node::Map(vec![
        list("sources", sources),
        list("destinations", destinations),
        list("domains", domains),
        list("ports", ports),
    ]);
    let site = Site::new(&config.inside, Some(&safelist)).map_err(anyhow::Error::msg).context("behaviour")?;
    let (indicators, problems) = Indicators::load(&config.indicators);
    Ok((site.with_indicators(indicators), problems))
}

/// The decoders' settings as configured, with what differs for places that are listened at.
pub(crate) fn decode_settings(
    config: &crate::config::Decode,
    listens: &[crate::config::Listen],
    reference: Time,
) -> Result<Arc<DecodeSettings>> {
    let mut settings = DecodeSettings::new(&config.time_zone, reference).context("decode.time_zone")?;
    settings.community_id = config.community_id;
    if !config.formats.is_empty() {
        settings.add_formats(&description_files(&config.formats)?).context("decode.formats")?;
    }
    for source in &config.sources {
        let added = settings.add_source(&source.cidr, source.differing());
        added.with_context(|| format!("decode.sources: {}", source.cidr))?;
    }
    for (at, listen) in listens.iter().enumerate().filter(|(_, listen)| listen.differing() != Differing::default()) {
        let path = listen.path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let (transport, names) = match (listen.kind, &listen.kafka) {
            (ListenKind::File, _) => (Transport::File, path.into_iter().collect()),
            (_, Some(kafka)) => (Transport::Kafka, kafka.topics.clone()),
            _ => (Transport::Stdin, Vec::new()),
        };
        settings.add_way(transport, &names, listen.differing()).with_context(|| format!("listen[{at}]"))?;
    }
    Ok(Arc::new(settings))
}

/// How the index is kept, as configured.
pub(crate) fn index_options(config: &Config) -> IndexOptions {
    IndexOptions {
        shard_documents: config.index.shard_events,
        shard_span_ns: i64::from(config.index.shard_hours) * 3600 * 1_000_000_000,
        ..IndexOptions::new(&config.data.join("index"))
    }
}

struct JournalIntake {
    appender: Appender,
    settings: Arc<DecodeSettings>,
    /// Reads again what is quarantined; seldom, so one for all who ask.
    decoder: Mutex<TextDecoder>,
}

impl Intake for JournalIntake {
    fn append(&self, frames: Frames) -> Pin<Box<dyn Future<Output = Option<Position>> + Send + '_>> {
        let position = |offset| Position { partition: 0, offset };
        Box::pin(async move { self.appender.append_synced(frames).await.ok().map(position) })
    }

    fn text(&self, frame: Frame<'_>) -> String {
        text_of(&self.settings, frame).into_owned()
    }

    fn reads(&self, frame: Frame<'_>) -> bool {
        let mut batch = BatchBuilder::default();
        self.decoder.lock().expect("no code panics under this lock").decode(frame, &mut batch);
        batch.finish(LogRange::default(), Time::UNKNOWN).iter().all(|event| !event.quarantined())
    }
}

/// Where records come in, as configured.
fn places(config: &Config, journal: &Arc<Journal>) -> Result<Vec<Listen>> {
    let mut listens = Vec::new();
    let mut marks = None;
    for listen in &config.listen {
        let (tenant, admission) = config.admission(listen)?;
        let socket = listen.address.context("a socket needs an address");
        let multiline = listen.multiline.as_ref().map(crate::config::Lines::multiline).transpose()?;
        let stream = |address, protocol| {
            let tls = listen.tls.as_ref().map(crate::config::Tls::files);
            let (proxy_protocol, multiline) = (listen.proxy_protocol, multiline.clone());
            Place::Stream(Stream { address, protocol, tls, proxy_protocol, multiline })
        };
        let datagrams = |address| Datagrams {
            address,
            sockets: listen.sockets,
            receive_buffer_bytes: listen.receive_buffer_bytes.unwrap_or(RECEIVE_BUFFER_BYTES),
        };
        let place = match listen.kind {
            ListenKind::SyslogUdp => Place::SyslogUdp(datagrams(socket?)),
            ListenKind::FlowUdp => Place::FlowUdp(datagrams(socket?)),
            ListenKind::SyslogTcp => stream(socket?, StreamProtocol::Syslog),
            ListenKind::Relp => stream(socket?, StreamProtocol::Relp),
            ListenKind::IpfixTcp => stream(socket?, StreamProtocol::Ipfix),
            ListenKind::File => {
                let path = listen.path.clone().context("a file needs a path")?;
                let marks = match &marks {
                    Some(marks) => marks,
                    None => {
                        let opened = FileMarks::open(&config.data.join("files.json"), journal);
                        marks.insert(opened.context("failed to find how far followed files were read")?)
                    }
                };
                Place::File(Follow { path, from_start: listen.from == From::Start, multiline, marks: marks.clone() })
            }
            ListenKind::Kafka => {
                let crate::config::Kafka { brokers, topics, group, properties } =
                    listen.kafka.clone().context("kafka needs brokers")?;
                let marks = Marks::open(&config.data.join(format!("kafka-{group}.json")), &group, journal)
                    .with_context(|| format!("failed to find how far the group {group} was read"))?;
                Place::Kafka(Kafka { brokers, topics, group, properties, marks })
            }
            ListenKind::Stdin => Place::Stdin { multiline },
        };
        listens.push(Listen { place, tenant, admission });
    }
    Ok(listens)
}

/// A service that runs.
pub(crate) struct Service {
    /// The address of the HTTP interface.
    pub(crate) address: std::net::SocketAddr,
    /// The listeners' addresses, in the order of the configuration.
    pub(crate) bound: Vec<Option<std::net::SocketAddr>>,
    /// The store, for commands that make tokens or look at alerts.
    pub(crate) store: Store,
    /// The rules in force.
    pub(crate) desk: Arc<Desk>,
    /// What searches each tenant's events.
    pub(crate) searchers: Vec<Searcher>,
    /// Where the time of the analysis goes.
    pub(crate) spent: Arc<Spent>,
    stop: CancellationToken,
    listeners: Listeners,
    server: tokio::task::JoinHandle<()>,
    analysis: Option<std::thread::JoinHandle<Result<()>>>,
    stop_analysis: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    notifier: Arc<Mutex<Option<Notifier>>>,
    schedules: Schedules,
    /// What is received.
    pub(crate) journal: Arc<Journal>,
    trimmer: Option<Trimmer>,
}

/// Starts everything that `config` asks for.
///
/// # Errors
/// Where a part cannot be started; what was started is ended.
pub(crate) async fn start(config: &Config, metrics: PrometheusHandle) -> Result<Service> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started = clock.now();
    let loaded = load_rules(&config.rules);
    for problem in loaded.problems.iter().filter(|p| p.refused) {
        warn!(path = problem.path, line = problem.line, reason = problem.reason, "a rule was refused");
    }
    info!(rules = loaded.rules.rules().len(), tests = loaded.rules.tests(), "rules loaded");
    let policy = config.policy.as_deref().map(load_policy).transpose()?.map(Arc::new);
    let settings = decode_settings(&config.decode, &config.listen, started)?;
    make_data(&config.data)?;
    let (journal, recovery) = Journal::open(&config.data.join("journal"), config.journal.options(), clock.clone())
        .context("failed to open the journal")?;
    info!(next = recovery.next, torn_bytes = recovery.torn_bytes, "journal recovered");
    if let Some(copy) = &recovery.quarantined {
        error!(copy = %copy.display(), "part of the journal was damaged; a copy was set aside");
    }
    let journal = Arc::new(journal);
    let store = Store::open(&config.data.join("mihari.sqlite"), clock.clone())?;
    store.settle_releases(journal.durable())?;
    record(&store, (&loaded.rules, policy.as_deref()), store.position()? + 1, "at the start")?;
    let options = index_options(config);
    let mut writers = Vec::new();
    for tenant in 0..config.tenants.len() {
        writers.push(Writer::open(&options, TenantId(tenant as u32)).context("failed to open the index")?.0);
    }
    let known = writers.iter().map(Writer::last).chain([store.position()?]).max().unwrap_or(0);
    if journal.go_on_behind(known).context("failed to go on with the journal")? {
        let first = recovery.next;
        error!(
            first,
            last = known,
            "the journal ends before what was analysed: these records are lost; what comes now is taken behind them"
        );
    }
    let messages: Arc<dyn index::Messages> = Arc::new(MessagesAgain::new(&journal, &settings));
    let searchers: Vec<Searcher> = writers.iter().map(|writer| writer.searcher().with_messages(messages.clone())).collect();
    let listener = tokio::net::TcpListener::bind(config.api.address)
        .await
        .with_context(|| format!("failed to listen on {}", config.api.address))?;
    let address = listener.local_addr()?;
    let base_url =
        config.api.base_url.as_deref().map_or_else(|| format!("http://{address}"), |url| url.trim_end_matches('/').to_owned());
    let mut destinations = Vec::new();
    for n in &config.notify {
        let (name, slack_webhook, language) = (n.name.clone(), n.slack_webhook.clone(), n.language.clone());
        destinations.push(Destination { name, tenant: config.tenant(n.tenant.as_deref())?.0, slack_webhook, language });
    }
    let notifier = Notifier::start(&store, &clock, &destinations, &base_url).context("failed to start the notifier")?;
    let notifier = Arc::new(Mutex::new(Some(notifier)));
    let hub = Hub::default();
    let spent = Arc::new(Spent::default());
    let (site, left_out) = load_site(&config.behaviour)?;
    for problem in left_out {
        warn!(problem, "an indicator was left out");
    }
    let mut modes = Modes::default();
    for set in &config.rules.modes {
        let tenant = set.tenant.as_deref().map(|name| config.tenant(Some(name))).transpose()?;
        modes.set(&set.rule, tenant.map(|tenant| tenant.0), set.mode);
    }
    for (tenant, rule, mode) in store.rule_modes()? {
        modes.set(&rule, Some(tenant), mode);
    }
    let desk = Arc::new(Desk::new(config, loaded, policy, modes, clock.clone()));
    let remembered = Arc::new(AtomicU64::new(0));
    let trimmer = Trimmer::start(&config.journal.retention(), &journal, &searchers, &remembered, recovery.received, &store)?;
    let stop_analysis = Arc::new(AtomicBool::new(false));
    let failed = Arc::new(AtomicBool::new(false));
    let again =
        JournalAgain { journal: journal.clone(), settings: settings.clone(), current: desk.current(), store: store.clone() };
    let indexed = writers.iter().map(Writer::last).min().unwrap_or(0);
    let searchable = Searchable::begin(&journal, indexed, started).context("failed to read the journal")?;
    let (room, index_time) = (Room::new(&config.data), Duration::from_millis(u64::from(config.index.commit_ms)));
    let analysis = Analysis {
        parts: Parts { settings: settings.clone(), current: desk.current(), threads: config.worker_threads() },
        correlate: config.rules.correlate_options()?,
        behaviour: BehaviourOptions { lateness_ns: i64::from(config.rules.lateness_s) * 1_000_000_000, site: Arc::new(site) },
        index_time,
        index_keep_ns: config.index.retention_days.map(|days| i64::from(days) * 86_400 * 1_000_000_000),
        journal: journal.clone(),
        store: store.clone(),
        hub: hub.clone(),
        searchable: searchable.clone(),
        spent: spent.clone(),
        desk: desk.clone(),
        stop: stop_analysis.clone(),
        destinations,
        notifier: notifier.clone(),
        remembered: remembered.clone(),
        room: room.clone(),
    };
    let scheduler = Scheduler {
        store: store.clone(),
        searchers: searchers.clone(),
        until: {
            let searchable = searchable.clone();
            Arc::new(move || searchable.get().1)
        },
        clock: clock.clone(),
        destinations: analysis.destinations.clone(),
        hub: hub.clone(),
        ring: {
            let notifier = notifier.clone();
            Arc::new(move || ring(&notifier))
        },
    };
    let schedules = scheduler.start().context("failed to start the scheduled searches")?;
    let stop = CancellationToken::new();
    let (fail, stop_all) = (failed.clone(), stop.clone());
    let analysis = std::thread::Builder::new().name("analysis".to_owned()).spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| analysis.run(writers)))
            .unwrap_or_else(|_| Err(anyhow::anyhow!("a bug: the analysis panicked")));
        if let Err(error) = &result {
            error!(error = format!("{error:#}"), "analysis has failed");
            fail.store(true, Ordering::Relaxed);
            stop_all.cancel();
        }
        result
    })?;
    let rate = Rate::default();
    let (stage_spent, stage_journal, of_rules, of_index) = (spent.clone(), journal.clone(), desk.clone(), searchers.clone());
    let api = Api {
        store: store.clone(),
        searchers: searchers.clone(),
        tenants: config.tenants.clone(),
        raw: Arc::new(JournalRaw::new(journal.clone())),
        intake: Arc::new(JournalIntake {
            appender: journal.appender(),
            settings: settings.clone(),
            decoder: Mutex::new(TextDecoder::new(&settings)),
        }),
        rules: desk.clone(),
        reread: Arc::new(again),
        correlate: config.rules.correlate_options()?,
        hub,
        metrics: Arc::new(move || {
            let missing: usize = of_index.iter().map(|searcher| searcher.missing().len()).sum();
            metrics::gauge!("mihari_index_missing_parts").set(missing as f64);
            let mut text = metrics.render();
            of_rules.write_metrics(&mut text);
            text
        }),
        stage: Arc::new(move || {
            let events = stage_spent.events.load(Ordering::Relaxed);
            let (now, durable) = (SystemClock.now(), stage_journal.durable());
            Stage {
                events_per_second: rate.of(events, now),
                journal_position: durable,
                searchable_position: searchable.get().0,
                behind_ms: searchable.behind_ms(durable, now, index_time),
                waits_for_room: room.is_waited_for(),
            }
        }),
        clock: clock.clone(),
        started,
        files: Arc::new(|path| dashboards::file(path).map(|f| StaticFile { bytes: f.bytes, content_type: f.content_type })),
    };
    let server = tokio::spawn(api::serve(listener, api, config.api.limits(), stop.clone()));
    let listeners = Listeners::start(&places(config, &journal)?, &journal.appender(), &clock, &stop)?;
    let bound = listeners.bound().to_vec();
    for (listen, address) in config.listen.iter().zip(&bound) {
        info!(kind = ?listen.kind, address = ?address, path = ?listen.path, "listening");
    }
    info!(%address, "HTTP interface");
    Ok(Service {
        address,
        bound,
        store,
        desk,
        searchers,
        spent,
        stop,
        listeners,
        server,
        analysis: Some(analysis),
        stop_analysis,
        failed,
        notifier,
        schedules,
        journal,
        trimmer,
    })
}

/// For how long the journal may write nothing while the program ends.
const STANDSTILL_TIME: Duration = Duration::from_secs(10);

impl Service {
    /// Cancelled when the service is to end, also by its own fault.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether all that was received has been analysed.
    pub(crate) fn caught_up(&self) -> Result<bool> {
        self.journal.sync().context("the journal has ended")?;
        let durable = self.journal.durable();
        Ok(self.store.position()? + 2 >= durable)
    }

    /// Waits until the journal has stood still for [`STANDSTILL_TIME`]: it writes each second at least, so that its disk takes nothing more.
    pub(crate) fn standstill(&self) -> impl Future<Output = u64> + use<> {
        let journal = self.journal.clone();
        async move {
            let (mut durable, mut watch) = (journal.durable(), Stopwatch::start());
            while watch.elapsed() < STANDSTILL_TIME {
                tokio::time::sleep(STANDSTILL_TIME / 20).await;
                if journal.durable() != durable {
                    (durable, watch) = (journal.durable(), Stopwatch::start());
                }
            }
            durable
        }
    }

    /// Ends everything in order: no more in, what is there to the journal, what is in the journal analysed and stored.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        self.listeners.join().await;
        if let Some(trimmer) = self.trimmer.take() {
            tokio::task::spawn_blocking(move || trimmer.end()).await??;
        }
        let journal = self.journal.clone();
        tokio::task::spawn_blocking(move || journal.sync()).await?.context("the journal has ended")?;
        self.stop_analysis.store(true, Ordering::Relaxed);
        let analysis = self.analysis.take().context("stopped twice")?;
        let result = tokio::task::spawn_blocking(move || analysis.join()).await?;
        let schedules = self.schedules;
        tokio::task::spawn_blocking(move || schedules.stop()).await?;
        let notifier = self.notifier.lock().expect("no code panics under this lock").take();
        if let Some(notifier) = notifier {
            tokio::task::spawn_blocking(move || notifier.stop()).await?;
        }
        self.server.await?;
        let store = self.store;
        if let Err(error) = tokio::task::spawn_blocking(move || store.put_together()).await? {
            warn!(%error, "failed to put the database into one file; all of it is there with the files beside it");
        }
        match result {
            Ok(result) => result,
            Err(_) => anyhow::bail!("the analysis panicked"),
        }?;
        anyhow::ensure!(!self.failed.load(Ordering::Relaxed), "the analysis had failed");
        Ok(())
    }
}

/// Events a second between two looks.
#[derive(Default)]
struct Rate(Mutex<Option<(Time, u64, f64)>>);

impl Rate {
    fn of(&self, events: u64, now: Time) -> f64 {
        let mut last = self.0.lock().expect("no code panics under this lock");
        match *last {
            Some((at, _, rate)) if now.since_ns(at) < 900_000_000 => rate,
            Some((at, before, _)) => {
                let rate = events.saturating_sub(before) as f64 / (now.since_ns(at) as f64 / 1e9);
                *last = Some((now, events, rate));
                rate
            }
            None => {
                *last = Some((now, events, 0.0));
                0.0
            }
        }
    }
}

struct Analysis {
    parts: Parts,
    correlate: CorrelateOptions,
    behaviour: BehaviourOptions,
    index_time: Duration,
    /// How long shards are kept, in nanoseconds.
    index_keep_ns: Option<i64>,
    journal: Arc<Journal>,
    store: Store,
    hub: Hub,
    searchable: Searchable,
    spent: Arc<Spent>,
    desk: Arc<Desk>,
    stop: Arc<AtomicBool>,
    destinations: Vec<Destination>,
    notifier: Arc<Mutex<Option<Notifier>>>,
    /// Up to where the state goes that is stored.
    remembered: Arc<AtomicU64>,
    room: Room,
}

impl Analysis {
    /// Analyses until told to stop. On a full disk it waits for room and goes on as after a restart, from what is stored: the journal waits by
    /// itself.
    fn run(self, mut writers: Vec<Writer>) -> Result<()> {
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
        let mut correlator = Correlator::new(in_force.rules.clone(), self.correlate.clone());
        let mut behaviour = Behaviour::new(in_force.rules.clone(), self.behaviour.clone());
        behaviour.replace_policy(in_force.policy.clone());
        let (mut flows, mut sequences) = (FlowDecoder::default(), Sequences::default());
        // The position that the states below belong to; what lies between it and `analysed` is read again for their sake. Without any, the
        // log is read from its beginning.
        let mut remembered = 0;
        let mut templates: Option<Arc<Vec<u8>>> = None;
        for (name, bytes) in &resume.snapshots {
            match name.as_str() {
                "correlator" => {
                    let parts = bytes.split_first_chunk::<8>().map(|(at, state)| (u64::from_le_bytes(*at), state));
                    match parts.map(|(at, state)| (at, correlator.restore(state))) {
                        Some((at, Ok(()))) => remembered = at.min(analysed),
                        Some((at, Err(error))) => {
                            remembered = at.min(analysed);
                            warn!(%error, "correlation begins anew");
                        }
                        None => {
                            remembered = analysed;
                            warn!("the state of correlation cannot be read; correlation begins anew");
                        }
                    }
                }
                "templates" => {
                    templates = Some(Arc::new(bytes.clone()));
                    if !flows.restore(bytes) {
                        warn!("the flow templates could not be read; they come again");
                    }
                }
                "sequences" => {
                    if !sequences.restore(bytes) {
                        warn!("the sequence numbers of flow exporters could not be read; they are followed anew");
                    }
                }
                "behaviour" => {
                    if let Err(error) = behaviour.restore(bytes) {
                        warn!(%error, "the behaviour analysis begins anew");
                    }
                }
                "seen" => {
                    if let Err(error) = self.desk.restore_seen(bytes) {
                        warn!(%error, "which fields events have had is learned anew");
                    }
                }
                other => warn!(name = other, "unknown state in the store"),
            }
        }
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
            if let Some(Done { batch, in_force: of_batch, mut matches, mut work, lost, received, heard, templates: changed }) =
                done
            {
                let offset = batch.range.last;
                if !Arc::ptr_eq(&in_force, &of_batch) {
                    in_force = of_batch;
                    correlator.replace(in_force.rules.clone());
                    behaviour.replace(in_force.rules.clone());
                    behaviour.replace_policy(in_force.policy.clone());
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
                    correlator.advance(&batch, &matches, &mut changes);
                    behaviour.advance(&batch, &mut changes);
                    modes.keep_changes(&mut changes);
                    self.desk.note_seen(&batch);
                    work.extend(correlator.take_work());
                    self.desk.note_given_up(correlator.counters_by_rule());
                    sequences.advance(&heard, batch.received, &mut missing);
                    tell(&behaviour, &correlator, &sequences);
                    templates = changed.or(templates.take());
                    let cells = behaviour.take_cells();
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
                    let mut correlation = position.to_le_bytes().to_vec();
                    correlation.extend(correlator.snapshot());
                    let watched = Some(behaviour.snapshot()).filter(|bytes| bytes.len() <= BEHAVIOUR_BYTES_MAX);
                    if watched.is_none() {
                        warn!(bytes = behaviour.byte_len(), "the state of the behaviour analysis is too large to store");
                    }
                    let mut parts = vec![
                        ("sequences", Arc::new(sequences.snapshot())),
                        ("correlator", Arc::new(correlation)),
                        ("behaviour", Arc::new(watched.unwrap_or_default())),
                        ("seen", Arc::new(self.desk.seen())),
                    ];
                    parts.extend(templates.clone().map(|templates| ("templates", templates)));
                    (state_watch, state_cost) = (Some(Stopwatch::start()), taking.elapsed());
                    State { position, parts }
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

/// What outlasts a wait for room.
struct SoFar {
    /// What is in force, as auditors know it.
    in_force: Arc<InForce>,
    /// The last log offset whose events live tails and rule figures have had.
    shown: u64,
}

/// Says that there may be something to deliver.
fn ring(notifier: &Mutex<Option<Notifier>>) {
    if let Some(notifier) = &*notifier.lock().expect("no code panics under this lock") {
        notifier.ring();
    }
}

/// What the behaviour analysis, correlation and the exporters' sequence numbers hold and have given up, as metrics.
fn tell(behaviour: &Behaviour, correlator: &Correlator, sequences: &Sequences) {
    let (groups, bytes) = correlator.size();
    metrics::gauge!("mihari_correlation_groups").set(groups as f64);
    metrics::gauge!("mihari_correlation_bytes").set(bytes as f64);
    for (name, _, count) in correlator.counters().named() {
        metrics::counter!(format!("mihari_correlation_{name}_total")).absolute(count);
    }
    metrics::gauge!("mihari_flow_sequences").set(sequences.streams() as f64);
    metrics::counter!("mihari_flow_restarts_total").absolute(sequences.restarts());
    let counters = behaviour.counters();
    metrics::gauge!("mihari_behaviour_bytes").set(behaviour.byte_len() as f64);
    metrics::counter!("mihari_behaviour_evicted_total").absolute(counters.evicted);
    metrics::counter!("mihari_behaviour_duplicates_total").absolute(counters.duplicates);
    metrics::counter!("mihari_behaviour_sampled_total").absolute(counters.sampled);
    metrics::counter!("mihari_behaviour_late_total").absolute(counters.late);
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
