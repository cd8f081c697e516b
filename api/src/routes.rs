//! The table of routes: it builds the router, the OpenAPI description and the tests. What is not in it needs no token and tells nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use serde::Deserialize;
use serde_json::json;

use crate::problem::Problem;
use crate::search::LINES;
use crate::server::Shared;
use crate::store::{Identity, SourcePage, SourcesOf, Store};
use crate::{
    alerts, attribution, audit, backtest, elastic, export, intake, otlp, quarantine, rule_desk, saved, search, what_if, zones,
};

/// One route.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Its name in the OpenAPI description.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// Query parameters.
    pub(crate) parameters: &'static [&'static str],
    /// Headers that are needed beside the token.
    pub(crate) headers: &'static [&'static str],
    /// Members of the JSON body, where there is one.
    pub(crate) body: &'static [&'static str],
    /// The type of the answer.
    pub(crate) answer: &'static str,
    /// Whether the body is records, and as what they are sent.
    pub(crate) records: bool,
    pub(crate) media: &'static str,
    pub(crate) handler: MethodRouter<Arc<Shared>>,
}

/// Bytes of a body that asks for something.
const BODY_BYTES_MAX: usize = 1 << 20;

impl Route {
    /// Bytes of the body at most.
    pub(crate) fn body_bytes_max(&self) -> usize {
        if self.records { intake::BODY_BYTES_MAX } else { BODY_BYTES_MAX }
    }

    /// The same of one that was sent packed.
    pub(crate) fn unpacked_bytes_max(&self) -> usize {
        if self.records { intake::UNPACKED_BYTES_MAX } else { BODY_BYTES_MAX }
    }
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

fn read(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    handler: MethodRouter<Arc<Shared>>,
) -> Route {
    Route {
        method: "get",
        path,
        id,
        summary,
        parameters,
        headers: &[],
        body: &[],
        answer: JSON,
        records: false,
        media: JSON,
        handler,
    }
}

/// Every route that needs a token.
pub(crate) fn table() -> Vec<Route> {
    const SEARCH: &[&str] = &["query", "from", "to", "size", "sort", "cursor", "fields", "aggs"];
    const SAVED: &[&str] = &["name", "query", "range", "columns", "sort", "schedule"];
    const SEEN: &[&str] = &["If-Match"];
    const MODE: &[&str] = &["mode", "comment"];
    const ACTION: &[&str] = &["action", "comment", "assignee", "disposition"];
    const LIST: &[&str] = &["status", "level", "assignee", "rule", "text", "from", "to", "size", "cursor"];
    let write = |path, id, summary, body, handler| Route {
        method: "post",
        path,
        id,
        summary,
        parameters: &[],
        headers: &[],
        body,
        answer: JSON,
        records: false,
        media: JSON,
        handler,
    };
    let records = |method, path, id, summary, handler| Route {
        method,
        records: true,
        media: LINES,
        ..write(path, id, summary, &[], handler)
    };
    let live = |path, id, summary, parameters, handler| Route { answer: EVENTS, ..read(path, id, summary, parameters, handler) };
    let mut all = vec![
        records(
            "post",
            "/api/v1/ingest",
            "ingest",
            "Take records, one a line; answered once they are on disk",
            post(intake::lines),
        ),
        Route {
            media: "application/x-protobuf",
            ..records(
                "post",
                "/v1/logs",
                "otlp",
                "Take records as OpenTelemetry sends them, protobuf or JSON; answered once they are on disk",
                post(otlp::logs),
            )
        },
        write(
            "/api/v1/search",
            "search",
            "Search events; in lines, as they are found, where application/x-ndjson is accepted",
            SEARCH,
            post(search::search),
        ),
        Route {
            answer: "application/x-ndjson",
            ..write(
                "/api/v1/export",
                "export",
                "Every hit, as lines of JSON or as a table, with a manifest",
                &["query", "from", "to", "format", "fields"],
                get(export::export).post(export::export),
            )
        },
        read(
            "/api/v1/searches",
            "savedSearches",
            "Saved searches, and how far the scheduled ones have come",
            &[],
            get(saved::list),
        ),
        write("/api/v1/searches", "saveSearch", "Save a search, and schedule it", SAVED, post(saved::create)),
        write(
            "/api/v1/searches/try",
            "trySchedule",
            "What a schedule would find in the last whole window; nobody is told",
            &["query", "schedule"],
            post(saved::attempt),
        ),
        read("/api/v1/searches/{id}", "savedSearch", "One saved search, with its version as ETag", &[], get(saved::one)),
        Route {
            method: "put",
            headers: SEEN,
            ..write(
                "/api/v1/searches/{id}",
                "changeSearch",
                "Change a saved search that nobody has changed meanwhile",
                SAVED,
                put(saved::change),
            )
        },
        Route {
            method: "delete",
            headers: SEEN,
            ..write("/api/v1/searches/{id}", "deleteSearch", "Delete a saved search; its alerts stay", &[], delete(saved::delete))
        },
        read("/api/v1/searches/{id}/runs", "searchRuns", "Its last runs, the newest first", &[], get(saved::runs)),
        live("/api/v1/tail", "tail", "Follow events live", &["query"], get(search::tail)),
        read("/api/v1/fields", "fields", "The fields that events have", &[], get(search::fields)),
        read("/api/v1/events/{id}", "event", "One event", &[], get(search::one_event)),
        read(
            "/api/v1/events/{id}/context",
            "context",
            "What its sender sent before and after",
            &["before", "after"],
            get(search::context),
        ),
        read("/api/v1/events/{id}/proof", "proof", "What proves that its record is in the journal", &[], get(search::proof)),
        read("/api/v1/alerts", "alerts", "List alerts", LIST, get(alerts::list)),
        live("/api/v1/alerts/stream", "alertStream", "Follow alerts live", &[], get(alerts::stream)),
        read("/api/v1/alerts/{id}", "alert", "One alert", &[], get(alerts::one)),
        read("/api/v1/alerts/{id}/events", "alertEvents", "The evidence of an alert", &[], get(alerts::evidence_events)),
        read("/api/v1/alerts/{id}/timeline", "alertTimeline", "The history of an alert", &[], get(alerts::timeline)),
        write(
            "/api/v1/alerts/{id}/actions",
            "act",
            "Acknowledge, assign, comment, escalate, close, reopen",
            ACTION,
            post(alerts::act),
        ),
        read("/api/v1/rules", "rules", "The rules in force", &[], get(rule_desk::in_force)),
        write("/api/v1/rules/check", "checkRules", "Check rules without loading them", &["yaml"], post(rule_desk::check)),
        write(
            "/api/v1/rules/reload",
            "reloadRules",
            "Load the rules anew; on error those in force stay",
            &[],
            post(rule_desk::reload),
        ),
        Route {
            method: "patch",
            ..write(
                "/api/v1/rules/{id}",
                "setRuleMode",
                "Set a rule's mode: off, record, alert",
                MODE,
                patch(rule_desk::set_mode),
            )
        },
        read(
            "/api/v1/rules/{id}/explain",
            "explainRule",
            "Why a rule matches an event, or not",
            &["event"],
            get(rule_desk::explained),
        ),
        write(
            "/api/v1/backtests",
            "backtest",
            "Ask what a rule would have found in the stored history",
            &["yaml", "rule", "from", "to", "full"],
            post(backtest::backtest),
        ),
        read("/api/v1/policy", "policy", "The zone policy in force", &[], get(zones::policy)),
        read(
            "/api/v1/policy/matrix",
            "matrix",
            "What passed between zones: kept, broken or not observed, by cell and hour",
            &["from", "to", "hours"],
            get(zones::matrix_route),
        ),
        read("/api/v1/policy/versions", "policyVersions", "The zone policies that were in force", &[], get(zones::versions)),
        read("/api/v1/policy/versions/{sha256}", "policyVersion", "One of them, as written", &[], get(zones::version)),
        read("/api/v1/policy/diff", "policyDiff", "What two versions decide differently", &["a", "b"], get(zones::diff)),
        write(
            "/api/v1/policy/what-if",
            "policyWhatIf",
            "What a draft would have said otherwise of stored records",
            &["yaml", "from", "to"],
            post(what_if::what_if),
        ),
        read(
            "/api/v1/attribution",
            "attribution",
            "Which terminal stood behind an address at a time",
            &["ip", "port", "at", "transport"],
            get(attribution::attribution),
        ),
        read("/api/v1/sources", "sources", "Who sends", &["size"], get(sources)),
        read(
            "/api/v1/sources/silent",
            "silentSources",
            "Who has fallen silent, the one first that has been for longest",
            &["size", "after"],
            get(silent_sources),
        ),
        read(
            "/api/v1/sources/unidentified",
            "unidentifiedSources",
            "Whose records nobody knows: only the frame was understood",
            &["size", "after"],
            get(unidentified_sources),
        ),
        read(
            "/api/v1/quarantine",
            "quarantine",
            "Records that no decoder could read",
            &["reason", "source", "after", "size"],
            get(quarantine::list),
        ),
        write(
            "/api/v1/quarantine/reparse",
            "reparse",
            "Read them again after a parser was mended, and release those that are read",
            &["reason", "source", "after", "size", "dry_run"],
            post(quarantine::reparse),
        ),
        read("/api/v1/usage", "usage", "What is taken on the disk, by shard and by source", &["size"], get(usage)),
        read("/api/v1/ledger", "ledger", "What became of every record", &[], get(ledger)),
        read("/api/v1/stats", "stats", "Counters of the pipeline", &[], get(stats)),
        read("/api/v1/tokens", "tokens", "The tenant's tokens, without their secrets", &[], get(tokens)),
        write("/api/v1/tokens/{id}/revoke", "revokeToken", "End a token for good", &[], post(revoke_token)),
        read(
            "/api/v1/audit",
            "audit",
            "What was in force when, and who changed it, the newest first",
            &["what", "before", "size", "texts"],
            get(audit::list),
        ),
        read("/api/v1/audit/rules/{id}", "auditRule", "What a rule said at some time", &["at"], get(audit::rule)),
        read("/api/v1/whoami", "whoami", "Whose token this is", &[], get(whoami)),
        Route { answer: "text/plain", ..read("/metrics", "metrics", "Metrics for Prometheus", &[], get(metrics)) },
    ];
    all.extend(elastic::routes());
    all
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourcesParameters {
    size: Option<usize>,
}

/// All by address, or so many of those that have sent most.
async fn sources(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(parameters): Query<SourcesParameters>,
) -> Result<Response, Problem> {
    let tenant = identity.tenant;
    let page = shared
        .read(move |store| match parameters.size {
            None => store.sources_of(tenant, SourcesOf::All, None, None),
            Some(size) => {
                let (sources, _) = store.largest_sources(tenant, Some(size))?;
                Ok(SourcePage { sources, after: None, ..store.sources_of(tenant, SourcesOf::All, None, Some(0))? })
            }
        })
        .await?;
    Ok(Json(page).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageParameters {
    size: Option<usize>,
    after: Option<String>,
}

/// Sources of one kind, page by page.
async fn sources_of(shared: Arc<Shared>, identity: Identity, of: SourcesOf, page: PageParameters) -> Result<Response, Problem> {
    /// Sources of one answer.
    const SIZE: usize = 100;
    const SIZE_MAX: usize = 1000;
    let key = |text: String| {
        let mut parts = text.splitn(3, '|');
        let key = (parts.next()?.parse().ok()?, parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(key)
    };
    let after = match page.after {
        None => None,
        Some(text) => Some(key(text).ok_or_else(|| Problem::bad("bad_cursor", "after is none of ours".to_owned()))?),
    };
    let size = page.size.unwrap_or(SIZE).clamp(1, SIZE_MAX);
    let page = shared.read(move |store| store.sources_of(identity.tenant, of, after.as_ref(), Some(size))).await?;
    Ok(Json(page).into_response())
}

async fn silent_sources(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(page): Query<PageParameters>,
) -> Result<Response, Problem> {
    sources_of(shared, identity, SourcesOf::Silent, page).await
}

async fn unidentified_sources(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(page): Query<PageParameters>,
) -> Result<Response, Problem> {
    sources_of(shared, identity, SourcesOf::Unidentified, page).await
}

/// What the tenant takes on the disk. The index is one for all sources: each has the part of it that it has of the records' bytes.
async fn usage(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(parameters): Query<SourcesParameters>,
) -> Result<Response, Problem> {
    let searcher = shared.api.searchers[identity.tenant as usize].clone();
    let shards = tokio::task::spawn_blocking(move || searcher.usage()).await.map_err(|error| Problem::internal(&error))?;
    let shards = shards.map_err(|error| Problem::internal(&error))?;
    let index_bytes: u64 = shards.iter().map(|s| s.bytes).sum();
    let documents: u64 = shards.iter().map(|s| s.documents).sum();
    let (all, _) = shared.read(move |store| store.largest_sources(identity.tenant, None)).await?;
    let bytes = |source: &serde_json::Map<String, serde_json::Value>| source.get("bytes").and_then(|b| b.as_u64()).unwrap_or(0);
    let received: u64 = all.iter().map(bytes).sum();
    let mut sources: Vec<_> = all
        .iter()
        .map(|source| {
            let part = bytes(source) as f64 / received.max(1) as f64;
            json!({"address": source.get("address"), "transport": source.get("transport"), "bytes": bytes(source),
                "index_bytes": (index_bytes as f64 * part) as u64})
        })
        .collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source["bytes"].as_u64()));
    sources.truncate(parameters.size.unwrap_or(100));
    Ok(Json(json!({"documents": documents, "index_bytes": index_bytes, "received_bytes": received, "shards": shards,
        "sources": sources}))
    .into_response())
}

/// One entry a day and source: received = parsed + quarantined + dropped, and beside it what was lost before us.
async fn ledger(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Result<Response, Problem> {
    #[derive(Default, serde::Serialize)]
    struct Day {
        received: i64,
        parsed: i64,
        quarantined: BTreeMap<String, i64>,
        dropped: BTreeMap<String, i64>,
        /// Of the parsed ones, those that were quarantined at first, by the reason of then.
        released: BTreeMap<String, i64>,
        /// Flow packets of which no record came.
        without_records: i64,
        lost_before: BTreeMap<String, i64>,
    }
    let mut days: BTreeMap<(std::cmp::Reverse<String>, String), Day> = BTreeMap::new();
    for (day, source, what, count) in shared.read(move |store| store.ledger(identity.tenant)).await? {
        let entry = days.entry((std::cmp::Reverse(day), source)).or_default();
        match what.split_once(':') {
            None => match what.as_str() {
                "received" => entry.received += count,
                "without_records" => entry.without_records += count,
                _ => entry.parsed += count,
            },
            Some(("quarantined", reason)) => {
                if count != 0 {
                    *entry.quarantined.entry(reason.to_owned()).or_default() += count;
                }
            }
            Some(("released", reason)) => *entry.released.entry(reason.to_owned()).or_default() += count,
            Some(("lost", reason)) => *entry.lost_before.entry(reason.to_owned()).or_default() += count,
            Some((_, reason)) => *entry.dropped.entry(reason.to_owned()).or_default() += count,
        }
    }
    let days: Vec<_> = days
        .into_iter()
        .map(|((day, source), entry)| {
            let mut shown = json!(entry);
            shown["day"] = json!(day.0);
            shown["source"] = json!(source);
            shown
        })
        .collect();
    Ok(Json(json!({"days": days})).into_response())
}

async fn stats(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Result<Response, Problem> {
    let stage = (shared.api.stage)();
    let tenant = identity.tenant;
    let told = move |store: &Store| Ok((store.open_by_level(tenant)?, store.undelivered(tenant)?, store.received(tenant)?));
    let (open, undelivered, [received, quarantined, dropped]) = shared.read(told).await?;
    let open: BTreeMap<String, i64> = open.into_iter().collect();
    let searcher = &shared.api.searchers[identity.tenant as usize];
    let parsed = received - quarantined - dropped;
    Ok(Json(json!({"events_per_second": stage.events_per_second, "received_total": received, "parsed_total": parsed,
        "quarantined_total": quarantined, "journal_position": stage.journal_position, "indexed_position": stage.searchable_position,
        "documents": searcher.documents(), "index_missing": searcher.missing(), "behind_ms": stage.behind_ms,
        "alerts_open": open, "undelivered": undelivered, "started": shared.api.started}))
    .into_response())
}

async fn tokens(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Result<Response, Problem> {
    let tokens = shared.read(move |store| store.list_tokens(Some(identity.tenant))).await?;
    Ok(Json(json!({"tokens": tokens})).into_response())
}

/// Who has a token of the tenant may end any of them, also the own one: what has leaked must not wait for its owner.
async fn revoke_token(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    tracing::info!(token = id, by = identity.name, "a token is revoked");
    let of = id.clone();
    if !shared.write(move |store| store.revoke(Some(identity.tenant), &of, (&identity).into())).await? {
        return Err(Problem::not_found());
    }
    Ok(Json(json!({"id": id, "revoked": true})).into_response())
}

async fn whoami(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Response {
    Json(json!({"name": identity.name, "token": identity.token, "tenant": shared.api.tenants.get(identity.tenant as usize)}))
        .into_response()
}

/// They are of the whole program: what rules match and how much comes tells of every tenant.
async fn metrics(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>) -> Result<String, Problem> {
    if identity.tenant != 0 {
        let detail = "the metrics are of all tenants: a token of the first tenant reads them";
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_yours", detail));
    }
    Ok((shared.api.metrics)())
}
