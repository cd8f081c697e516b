//! The rules in force: what they are, what they do and cost, their modes, and loading them anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use event::{EventId, Time};
use rules::coverage::Gap;
use rules::explain::explain;
use rules::policy::Policy;
use rules::{Budget, Counters, Did, LoadOptions, Mode, Modes, Problem as RuleProblem, RuleSet, Source};
use serde::Deserialize;
use serde_json::json;

use crate::problem::Problem;
use crate::server::Shared;
use crate::store::Identity;

/// What the rules do, and who changes them. The service implements it.
pub trait RuleDesk: Send + Sync {
    /// The rules in force.
    fn rules(&self) -> Arc<RuleSet>;

    /// The rules as they stand, with what they did with this tenant's events.
    fn shown(&self, tenant: u32) -> RulesShown;

    /// The placeholders and field names that rules are read with.
    fn options(&self) -> Arc<LoadOptions>;

    /// The zone policy in force with the rules.
    fn policy(&self) -> Option<Arc<Policy>>;

    /// The modes in force.
    fn modes(&self) -> Arc<Modes>;

    /// A person has set a mode: it holds from the next batch on.
    fn set_mode(&self, rule: &str, tenant: u32, mode: Mode);

    /// Reads the rule files and the zone policy anew and puts them in force together, as `by` has asked; how many rules there are. Blocks while
    /// it compiles.
    ///
    /// # Errors
    /// Why the rules and the policy before stay in force.
    fn reload(&self, by: &str) -> Result<usize, String>;
}

/// The rules as they stand.
#[derive(Clone)]
pub struct RulesShown {
    /// The rules in force.
    pub rules: Arc<RuleSet>,
    /// What was refused when they were loaded.
    pub refused: Arc<Vec<RuleProblem>>,
    /// When they were loaded.
    pub loaded: Time,
    /// Why the last attempt to load others failed, where it did.
    pub failure: Option<String>,
    /// Per rule what it did with the tenant's events since it was loaded.
    pub did: Vec<Did>,
    /// What correlations have given up for a bound or that came late, by the rule's id. Empty where there are several tenants, whose
    /// events they were is not counted.
    pub given_up: Vec<(String, Counters)>,
    /// The log sources and fields that rules name and no event of the tenant has had.
    pub unmapped: Vec<Gap>,
}

pub(crate) async fn in_force(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
) -> Result<Response, Problem> {
    let tenant = identity.tenant;
    let alerts = shared.read(move |store| store.alerts_by_rule(tenant)).await?;
    let alerts: BTreeMap<String, (i64, i64)> = alerts.into_iter().map(|(rule, count, last)| (rule, (count, last))).collect();
    let RulesShown { rules, refused, loaded, failure, did, given_up, unmapped } = shared.api.rules.shown(tenant);
    let modes = shared.api.rules.modes();
    let given_up: BTreeMap<String, Counters> = given_up.into_iter().collect();
    let entry = |(at, rule): (usize, &rules::RuleInfo)| {
        let mut entry = json!(rule);
        let (count, last_alert) = alerts.get(&rule.id).map_or((0, None), |(n, last)| (*n, Some(Time::from_unix_ns(*last))));
        let Did { cost, last_match } = did.get(at).copied().unwrap_or_default();
        let titles: BTreeMap<&str, &str> =
            rule.texts.iter().map(|(language, texts)| (language.as_str(), texts.title.as_str())).collect();
        entry["titles"] = json!(titles);
        entry["matches"] = json!(cost.matches);
        entry["cost"] = json!({"evaluated": cost.evaluated, "tests": cost.tests, "text_bytes": cost.text_bytes});
        if let Some(counters) = given_up.get(&rule.id) {
            entry["given_up"] = json!(counters);
        }
        entry["alerts"] = json!(count);
        entry["last_match"] = json!(last_match.max(last_alert));
        let own = modes.of(&rule.id, tenant);
        // A rule that only correlations use never alerts for itself.
        entry["mode"] = json!(if own == Mode::Alert && !rule.alerts { Mode::Record } else { own });
        entry
    };
    let rules: Vec<_> = rules.rules().enumerate().map(entry).collect();
    let body = json!({"rules": rules, "refused": *refused, "loaded": loaded, "failure": failure, "unmapped": unmapped});
    Ok(Json(body).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RulesBody {
    yaml: String,
}

/// Requests whose rules are loaded at once; the next wait. A short text can ask for much work.
pub(crate) const LOADING_MAX: usize = 1;

/// Loads rules that somebody has sent, within what a request may grow to.
pub(crate) async fn load_sent(shared: &Shared, files: Vec<Source>) -> Result<(RuleSet, Vec<RuleProblem>), Problem> {
    let place = shared.loading.clone().acquire_owned().await.map_err(|error| Problem::internal(&error))?;
    let options = LoadOptions { budget: Budget::REQUEST, ..(*shared.api.rules.options()).clone() };
    let loading = tokio::task::spawn_blocking(move || {
        let _place = place;
        rules::load(&files, &options)
    });
    loading.await.map_err(|error| Problem::internal(&error))
}

pub(crate) async fn check(
    State(shared): State<Arc<Shared>>,
    body: Result<Json<RulesBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    if body.yaml.len() > rules::yaml::FILE_BYTES_MAX {
        return Err(Problem::bad("too_long", format!("{} bytes at most", rules::yaml::FILE_BYTES_MAX)));
    }
    let (set, mut problems) = load_sent(&shared, vec![("request".to_owned(), body.yaml)]).await?;
    problems.extend(rules::style::style(&set));
    Ok(Json(json!({"rules": set.rules().len(), "problems": problems})).into_response())
}

pub(crate) async fn reload(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
) -> Result<Response, Problem> {
    tracing::info!(by = identity.name, "the rules and the zone policy are to be loaded anew");
    let desk = shared.api.rules.clone();
    let loaded =
        tokio::task::spawn_blocking(move || desk.reload(&identity.name)).await.map_err(|error| Problem::internal(&error))?;
    match loaded {
        Ok(rules) => {
            let mut answer = json!({"rules": rules});
            if let Some(policy) = shared.api.rules.policy() {
                answer["policy"] = json!({"sha256": policy.sha256});
            }
            Ok(Json(answer).into_response())
        }
        Err(reason) => Err(Problem::new(StatusCode::CONFLICT, "rules_refused", reason)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainParameters {
    event: String,
}

/// Why a rule matches an event, or not. The event is read from the log again, by the decoders and zones of now.
pub(crate) async fn explained(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(rule): Path<String>,
    Query(of): Query<ExplainParameters>,
) -> Result<Response, Problem> {
    let id: EventId = of.event.parse().map_err(|_| Problem::bad("bad_id", format!("{:?} is no event's id", of.event)))?;
    let (reread, rules) = (shared.api.reread.clone(), shared.api.rules.rules());
    let found = rules.rules().position(|info| info.id == rule).ok_or_else(Problem::not_found)?;
    let explaining = tokio::task::spawn_blocking(move || -> std::io::Result<_> {
        let mut explained = None;
        reread.begin()?.frames(&[id.frame.offset], &mut |batch, _| {
            let event = batch.iter().find(|event| event.id() == id && event.tenant().0 == identity.tenant);
            explained = event.map(|event| explain(&rules, found, event));
        })?;
        Ok(explained)
    });
    let explanation = explaining.await.map_err(|error| Problem::internal(&error))?.map_err(|error| Problem::internal(&error))?;
    let explanation = explanation.ok_or_else(Problem::not_found)?;
    Ok(Json(json!({"holds": explanation.holds(), "explanation": explanation})).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModeBody {
    mode: Mode,
    #[serde(default)]
    comment: Option<String>,
}

/// Sets a rule's mode for the tenant; answers with all that was ever set.
pub(crate) async fn set_mode(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    body: Result<Json<ModeBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(ModeBody { mode, comment }) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    if !shared.api.rules.rules().rules().any(|rule| rule.id == id) {
        return Err(Problem::not_found());
    }
    tracing::info!(rule = id, mode = mode.word(), by = identity.name, "a rule's mode is set");
    let (tenant, rule) = (identity.tenant, id.clone());
    let history = shared
        .write(move |store| {
            store.set_rule_mode(&identity, &rule, mode, comment.as_deref())?;
            store.rule_mode_history(tenant, &rule)
        })
        .await?;
    shared.api.rules.set_mode(&id, tenant, mode);
    Ok(Json(json!({"id": id, "mode": mode, "history": history})).into_response())
}
