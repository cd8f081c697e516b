//! The server: what it is given, and how it answers anything: token, limits, headers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use event::{Clock, Time};
use index::{RawSource, Searcher};
use rules::CorrelateOptions;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower_http::limit::RequestBodyLimitLayer;

use crate::backtest::{self, Reread};
use crate::connections::{self, Limits};
use crate::intake::{Intake, unpacked};
use crate::places::Places;
use crate::problem::{Problem, as_problem};
use crate::rule_desk::{LOADING_MAX, RuleDesk};
use crate::store::{Identity, Store, StoreError};
use crate::{Hub, elastic, export, routes};

/// Searches at once; one tenant of several has all but one of these places at most.
const SEARCHES_MAX: usize = 4;
/// Wrong tokens from one address in a minute; further ones are told to wait.
const FAILURES_MAX: u32 = 20;
/// Addresses whose wrong tokens are counted at once.
const FAILURES_ADDRESSES_MAX: usize = 10_000;
/// How long a request may take, streams left out.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Requests that read the store at once; further ones wait. Each holds a blocking thread, of which the runtime has 512.
const READS_MAX: usize = 32;
/// Requests that write the store at once: apart, so that writers who wait for the disk keep nobody from reading.
const WRITES_MAX: usize = 8;

/// A file of the dashboards.
pub struct StaticFile {
    /// Its bytes.
    pub bytes: std::borrow::Cow<'static, [u8]>,
    /// Its type.
    pub content_type: &'static str,
}

/// Finds a file of the dashboards by its path.
pub type Files = Arc<dyn Fn(&str) -> Option<StaticFile> + Send + Sync>;

/// Counters of the pipeline that `GET /stats` shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    /// Events a second, over the last seconds.
    pub events_per_second: f64,
    /// The last offset of the log that is durable.
    pub journal_position: u64,
    /// The offset up to which the log is searchable, what becomes no event included.
    pub searchable_position: u64,
    /// For how many milliseconds something has waited to be searchable, where that is longer than it takes as a rule.
    pub behind_ms: Option<u64>,
    /// Whether the disk is full, so that the analysis waits.
    pub waits_for_room: bool,
}

/// Everything that the server answers from.
pub struct Api {
    /// Alerts, tokens, counts.
    pub store: Store,
    /// Per tenant (by number) its index.
    pub searchers: Vec<Searcher>,
    /// The tenants' names, by number.
    pub tenants: Vec<String>,
    /// The log, to read from.
    pub raw: Arc<dyn RawSource>,
    /// The log, to append to.
    pub intake: Arc<dyn Intake>,
    /// The log, to decode again.
    pub reread: Arc<dyn Reread>,
    /// How correlation treats time, also in backtests.
    pub correlate: CorrelateOptions,
    /// The rules and the zone policy in force, and who changes them.
    pub rules: Arc<dyn RuleDesk>,
    /// Where live readers subscribe.
    pub hub: Hub,
    /// The metrics as Prometheus reads them.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The pipeline's counters.
    pub stage: Arc<dyn Fn() -> Stage + Send + Sync>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// When the program started.
    pub started: Time,
    /// The dashboards' files, by path.
    pub files: Files,
}

pub(crate) struct Shared {
    pub(crate) api: Api,
    pub(crate) searches: Places,
    /// Backtests that tell how far they are, and so may take long, at once.
    pub(crate) backtests: Places,
    /// Places of requests whose rules are loaded.
    pub(crate) loading: Arc<Semaphore>,
    pub(crate) contexts: elastic::Contexts,
    pub(crate) exports: Places,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
    failures: Mutex<HashMap<IpAddr, (i64, u32)>>,
}

impl Shared {
    /// Reads the store on a thread that may wait for the disk: the runtime's own threads never do.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Answer<T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask(&self.reads, ask).await
    }

    /// Writes it so.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Answer<T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask(&self.writes, ask).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        ask: impl FnOnce(&Store) -> Answer<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = places.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the program is stopping"))?;
        let store = self.api.store.clone();
        // The place is kept as long as the store works, also when nobody waits for the answer any more.
        let asking = tokio::task::spawn_blocking(move || {
            let answer = ask(&store);
            drop(permit);
            answer
        });
        match asking.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(StoreError::Refused(reason))) => Err(Problem::bad("refused", reason)),
            Ok(Err(error)) if error.is_full() => {
                let detail = "the disk is full, and nothing was changed: it works again once there is room";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "disk_full", detail))
            }
            Ok(Err(error)) => Err(Problem::internal(&error)),
            Err(error) => Err(Problem::internal(&error)),
        }
    }

    /// Counts a wrong token of an address; false where it has offered too many. A good token passes all the same: behind a proxy everybody
    /// has one address, and none may shut out the others.
    fn failed(&self, ip: IpAddr) -> bool {
        let minute = self.api.clock.now().unix_s() / 60;
        let mut failures = self.failures.lock().expect("no code panics under this lock");
        if failures.len() >= FAILURES_ADDRESSES_MAX {
            failures.clear(); // Whoever guesses from so many addresses is not stopped by counting them.
        }
        let entry = failures.entry(ip).or_insert((minute, 0));
        *entry = if entry.0 == minute { (minute, (entry.1 + 1).min(FAILURES_MAX + 1)) } else { (minute, 1) };
        entry.1 <= FAILURES_MAX
    }
}

type Answer<T> = Result<T, StoreError>;

/// Answers until `stop` is cancelled.
pub async fn serve(listener: TcpListener, api: Api, limits: Limits, stop: CancellationToken) {
    let tenants = api.searchers.len();
    let shared = Arc::new(Shared {
        api,
        searches: Places::new(SEARCHES_MAX, tenants),
        backtests: Places::new(backtest::AT_ONCE_MAX, tenants),
        loading: Arc::new(Semaphore::new(LOADING_MAX)),
        contexts: elastic::Contexts::default(),
        exports: Places::new(export::EXPORTS_MAX, tenants),
        reads: Arc::new(Semaphore::new(READS_MAX)),
        writes: Arc::new(Semaphore::new(WRITES_MAX)),
        stop: stop.clone(),
        failures: Mutex::new(HashMap::new()),
    });
    connections::serve(listener, &router(shared), limits, &stop).await;
}

/// How often a quiet stream says that it is there.
pub(crate) const ALIVE: Duration = Duration::from_secs(15);
/// How often a stream asks whether its token is still good.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Tells a stream when to end: the program stops, or its token is no longer good. A task of its own asks, for a stream that has much to
/// tell would drop the question again and again. It ends with the guard.
pub(crate) fn watch(shared: &Arc<Shared>, identity: &Identity) -> (CancellationToken, DropGuard) {
    let end = shared.stop.child_token();
    let (shared, token, watching) = (shared.clone(), identity.token.clone(), end.clone());
    tokio::spawn(async move {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = watching.cancelled() => return,
                _ = look.tick() => {}
            }
            let id = token.clone();
            // A fault of the store ends the stream too: the client comes again.
            if !shared.read(move |store| store.is_good(&id)).await.unwrap_or(false) {
                watching.cancel();
            }
        }
    });
    (end.clone(), end.drop_guard())
}

fn router(shared: Arc<Shared>) -> Router {
    let mut guarded = Router::new();
    for route in routes::table() {
        let limit = RequestBodyLimitLayer::new(route.body_bytes_max());
        let unpacking = middleware::from_fn_with_state(route.unpacked_bytes_max(), unpacked);
        let mut handler = route.handler.layer::<_, Infallible>(unpacking).layer(limit);
        // An export takes from the address what a body may have too; Elasticsearch's and OpenTelemetry's clients are told in their own form.
        if route.path.starts_with("/api/v1/") && !route.path.starts_with("/api/v1/_elastic") && route.path != "/api/v1/export" {
            handler = handler.layer(middleware::from_fn_with_state(route.parameters, known_parameters));
        }
        guarded = guarded.route(route.path, handler);
    }
    let guarded = guarded.route_layer(middleware::from_fn_with_state(shared.clone(), authenticate));
    Router::new()
        .merge(guarded)
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(get(file))
        .layer(DefaultBodyLimit::disable()) // Each route has its own bound.
        .layer(middleware::from_fn(as_problem))
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn(elastic::as_expected))
        .layer(middleware::from_fn(headers))
        .with_state(shared)
}

/// Lets a request pass that bears a good token, and says whose it is.
async fn authenticate(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().map(|c| c.0.ip());
    let token = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(token_of);
    let offered = token.is_some();
    let identity = match token {
        Some(token) => match shared.read(move |store| store.identity(&token)).await {
            Ok(identity) => identity,
            Err(problem) => return problem.into_response(),
        },
        None => None,
    };
    let Some(identity) = identity.filter(|i| (i.tenant as usize) < shared.api.searchers.len()) else {
        if let (Some(ip), true) = (peer, offered)
            && !shared.failed(ip)
        {
            return Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", "too many wrong tokens; wait a minute")
                .into_response();
        }
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "a token is needed: Authorization: Bearer TOKEN");
        return ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response();
    };
    request.extensions_mut().insert(identity);
    next.run(request).await
}

/// A mistyped parameter must not look like one that changes nothing.
async fn known_parameters(State(known): State<&'static [&'static str]>, request: Request, next: Next) -> Response {
    let names = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    // What cannot be read is told by the route, if it takes any.
    let unknown = names.ok().and_then(|Query(pairs)| pairs.into_iter().find(|(name, _)| !known.contains(&name.as_str())));
    match unknown {
        None => next.run(request).await,
        Some((name, _)) => {
            let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Problem::bad("bad_request", format!("{name:?} is no parameter of this route, which takes {takes}")).into_response()
        }
    }
}

/// The token of an `Authorization`: by itself, as the key of Elasticsearch's clients, or as the password of Grafana and its like.
fn token_of(value: &str) -> Option<String> {
    /// Far beyond any token of ours.
    const BYTES_MAX: usize = 1024;
    let (scheme, rest) = value.split_once(' ').filter(|_| value.len() <= BYTES_MAX)?;
    let rest = rest.trim();
    let unpacked = || String::from_utf8(base64::engine::general_purpose::STANDARD.decode(rest).ok()?).ok();
    // `ID:KEY` or `USER:PASSWORD`: only the second part counts.
    let second = |text: String| text.split_once(':').map(|(_, token)| token.to_owned()).unwrap_or(text);
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.to_owned()),
        "apikey" if rest.starts_with("mih_") => Some(rest.to_owned()),
        "apikey" | "basic" => unpacked().map(second),
        _ => None,
    }
}

/// Ends what takes too long. A stream has answered long before: only its head is waited for.
async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "the request took too long").into_response(),
    }
}

/// Nothing inline, nothing from elsewhere; and markup is made by the one policy of `dashboards/src/runtime.ts` alone, which takes the
/// constants of compiled templates: no text of a sender can become markup even by a mistake of ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types mihari-templates";

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Ready where the store answers and what comes in is analysed; the rest was opened before the server began. What is missing of the index is
/// told, and keeps nothing from working.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if (shared.api.stage)().waits_for_room {
        let detail = "the disk is full: the analysis waits for room";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).into_response();
    }
    match shared.read(Store::tokens).await {
        Ok(_) => match shared.api.searchers.iter().map(|searcher| searcher.missing().len()).sum() {
            0usize => "ok\n".into_response(),
            missing => {
                format!("degraded: {missing} missing parts of the index; `mihari reindex` builds them anew\n").into_response()
            }
        },
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "the alert store does not answer").into_response(),
    }
}

/// A file of the dashboards; what is no file is a page of theirs.
async fn file(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return Problem::not_found().into_response();
    }
    let name = path.rsplit('/').next().unwrap_or("");
    let found = (shared.api.files)(path).or_else(|| if name.contains('.') { None } else { (shared.api.files)("index.html") });
    match found {
        Some(file) => ([(header::CONTENT_TYPE, file.content_type)], Body::from(file.bytes)).into_response(),
        None if name.contains('.') => Problem::not_found().into_response(),
        None => {
            let detail = "the dashboards were not built into this binary; run `make dashboards` and build again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_dashboards", detail).into_response()
        }
    }
}
