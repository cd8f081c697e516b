//! Records that no decoder could read: listed, read again after a parser was mended, and released.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Response};
use event::{Content, EventId, Frame, Frames, Release, TenantId};
use event::{hexadecimal, limits::BATCH_BYTES_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::server::Shared;
use crate::store::{Identity, Listed, QuarantineFilter};

/// Records of one answer, and those that one request reads again: each costs a look into the log.
const SIZE_MAX: u32 = 1000;
const SIZE: u32 = 100;
/// Bytes of the record that the list shows.
const SHOWN_BYTES: usize = 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Which {
    reason: Option<String>,
    source: Option<String>,
    after: Option<String>,
    size: Option<u32>,
    /// Only say what would be released.
    dry_run: bool,
}

impl Which {
    fn filter(&self) -> Result<QuarantineFilter, Problem> {
        let after = self.after.as_deref().map(str::parse::<EventId>).transpose();
        let after = after.map_err(|error| Problem::bad("bad_id", error.to_string()))?;
        Ok(QuarantineFilter { reason: self.reason.clone(), source: self.source.clone(), after })
    }
}

/// `GET /quarantine`.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let (filter, size) = (which.filter()?, which.size.unwrap_or(SIZE).min(SIZE_MAX));
    let (records, total) = shared.read(move |store| store.quarantined(identity.tenant, &filter, size)).await?;
    let after = records.last().map(|record| record.id).filter(|_| records.len() == size as usize);
    let (raw, intake) = (shared.api.raw.clone(), shared.api.intake.clone());
    let shown = blocking(move || {
        records
            .into_iter()
            .map(|record| {
                let kept = raw.raw(record.id.frame);
                let (raw, hex, raw_bytes) = match kept {
                    Ok(Some((head, bytes))) => {
                        let kept = &bytes[..bytes.len().min(SHOWN_BYTES)];
                        let text = (head.content == Content::Text).then(|| intake.text(Frame { head, bytes: kept }));
                        (text, Some(hexadecimal(kept)), Some(bytes.len()))
                    }
                    // Gone with an old part of the log, or the disk fails: the list is still worth having.
                    Ok(None) | Err(_) => (None, None, None),
                };
                let Listed { id, received, source, transport, reason, releasing } = record;
                json!({"id": id, "received": received, "source": source, "transport": transport, "reason": reason,
                    "releasing": releasing, "raw": raw, "hex": hex, "raw_bytes": raw_bytes})
            })
            .collect::<Vec<Value>>()
    })
    .await?;
    Ok(Json(json!({"records": shown, "total": total, "after": after})).into_response())
}

/// `POST /quarantine/reparse`: reads some of them again with the decoders as they are now, and releases those that they read. The answer comes
/// once the releases are on disk.
pub(crate) async fn reparse(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    body: Result<Json<Which>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Problem> {
    let Json(which) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    let (filter, size) = (which.filter()?, which.size.unwrap_or(SIZE_MAX).min(SIZE_MAX));
    let tenant = identity.tenant;
    let asked = filter.clone();
    let (records, _) = shared.read(move |store| store.quarantined(tenant, &asked, size)).await?;
    let looked_at = records.len();
    let after = records.last().map(|record| record.id).filter(|_| looked_at == size as usize);
    let (raw, intake) = (shared.api.raw.clone(), shared.api.intake.clone());
    let readable = blocking(move || {
        let mut readable = Vec::new();
        for record in records.into_iter().filter(|record| !record.releasing && record.id.nth == 0) {
            // Flow packets are decoded in their order, by templates that were there then: they are not read again.
            let Ok(Some((head, bytes))) = raw.raw(record.id.frame) else { continue };
            if head.content == Content::Text && head.tenant == TenantId(tenant) && intake.reads(Frame { head, bytes: &bytes }) {
                readable.extend(Release { of: record.id, frame: Frame { head, bytes: &bytes } }.encode().map(|r| (record.id, r)));
            }
        }
        readable
    })
    .await?;
    let mut released = readable.len();
    if !which.dry_run && released > 0 {
        let ids: Vec<EventId> = readable.iter().map(|(id, _)| *id).collect();
        let by = identity.clone();
        let begun = shared.write(move |store| store.begin_release(&by, &filter, &ids)).await?;
        released = begun.len();
        let mut parts = vec![Frames::default()];
        for (_, (head, bytes)) in readable.iter().filter(|(id, _)| begun.binary_search(id).is_ok()) {
            if parts.last().is_none_or(|frames| frames.byte_len() + bytes.len() > BATCH_BYTES_MAX) {
                parts.push(Frames::default());
            }
            if let Some(frames) = parts.last_mut() {
                frames.push(*head, bytes);
            }
        }
        for frames in parts.into_iter().filter(|frames| !frames.is_empty()) {
            if shared.api.intake.append(frames).await.is_none() {
                return Err(Problem::stopping());
            }
        }
        tracing::info!(released, looked_at, by = identity.name, "quarantined records were released");
    }
    Ok(Json(json!({"looked_at": looked_at, "released": released, "after": after})).into_response())
}

/// Runs what waits for the disk on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))
}
