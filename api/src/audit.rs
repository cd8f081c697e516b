//! The audit trail: what was in force when, and who changed it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::problem::Problem;
use crate::search::instant;
use crate::server::Shared;
use crate::store::{AUDIT_KINDS, Identity};

/// Records of one answer.
const SIZE_MAX: u32 = 1000;
const SIZE: u32 = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Which {
    what: Option<String>,
    before: Option<i64>,
    size: Option<u32>,
    /// Looks at every kept text too.
    texts: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct When {
    at: Option<String>,
}

/// `GET /audit`.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    if let Some(what) = which.what.as_deref().filter(|what| !AUDIT_KINDS.contains(what)) {
        return Err(Problem::bad("bad_kind", format!("{what:?} is none of {}", AUDIT_KINDS.join(", "))));
    }
    let size = which.size.unwrap_or(SIZE).clamp(1, SIZE_MAX);
    let trail = shared
        .read(move |store| {
            let mut trail = store.audit(identity.tenant, which.what.as_deref(), which.before, size)?;
            trail.texts = which.texts.unwrap_or(false).then(|| store.audit_texts()).transpose()?;
            Ok(trail)
        })
        .await?;
    Ok(Json(trail).into_response())
}

/// `GET /audit/rules/{id}`: what the rule said then.
pub(crate) async fn rule(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(when): Query<When>,
) -> Result<Response, Problem> {
    let now = shared.api.clock.now();
    let at = instant(when.at.as_deref(), "at", now)?.unwrap_or(now);
    let detail = format!("no rule of the id {id:?} was in force then, or its text was not kept");
    let then = shared.read(move |store| store.rule_then(&id, at)).await?;
    let then = then.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_found", detail))?;
    Ok(Json(then).into_response())
}
