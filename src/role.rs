//! The service: collecting and analysing, over one journal.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use api::{Api, Destination, Hub, Intake, Notifier, Scheduler, Schedules, Stage, StaticFile, Store};
use event::{BatchBuilder, Clock, Frame, Frames, LogRange, Position, TenantId, Time};
use index::{Searcher, Writer};
use ingest::decode::text::{TextDecoder, text_of};
use ingest::decode::{DecodeSettings, Decoder};
use ingest::listen::{
    Datagrams, FileMarks, Follow, Kafka, Listen, Listeners, Marks, Place, RECEIVE_BUFFER_BYTES, Stream, StreamProtocol,
};
use ingest::log::{Appender, Journal};
use metrics_exporter_prometheus::PrometheusHandle;
use rules::{BehaviourOptions, Modes};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::analysis::{Analysis, record, ring};
use crate::clock::{Stopwatch, SystemClock};
use crate::config::{Config, From, ListenKind};
use crate::loaded::{decode_settings, index_options, load_policy, load_rules, load_site, make_data};
use crate::pipeline::{Parts, Spent};
use crate::raw::JournalRaw;
use crate::reread::{JournalAgain, MessagesAgain};
use crate::retention::Trimmer;
use crate::room::Room;
use crate::rule_desk::Desk;
use crate::searchable::Searchable;

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
