//! Export: every hit of a query, streamed page by page, with a manifest that says what it is.
//!
//! Memory holds a few pages, whatever the number of hits. All pages are of one moment of the index. The last line is the manifest; without it
//! an export has broken off.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Query as FromQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use event::{Time, hexadecimal};
use index::{Hit, SearchLimits, SearchRequest, Sort, query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_stream::wrappers::ReceiverStream;

use crate::problem::Problem;
use crate::search::{Lack, On, SEARCH_NS_MAX, instant, ordered};
use crate::server::{Shared, watch};
use crate::store::{Export, Identity};

/// Hits of one page.
const PAGE: usize = 500;
/// Pages that wait for a slow reader.
const PAGES_WAITING_MAX: usize = 2;
/// Exports at once: each keeps a thread and the index as it was.
pub(crate) const EXPORTS_MAX: usize = 2;
/// Columns of a table.
const COLUMNS_MAX: usize = 1000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExportBody {
    query: String,
    from: Option<String>,
    to: Option<String>,
    format: Option<String>,
    fields: Option<Vec<String>>,
}

/// What an export is, and what it can be checked by.
#[derive(Serialize)]
struct Manifest {
    query: String,
    from: Option<Time>,
    to: Option<Time>,
    format: &'static str,
    tenant: Option<String>,
    /// By whom, and when.
    by: String,
    created: Time,
    /// Hits told, and whether these are all.
    count: u64,
    complete: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    incomplete: Vec<Lack>,
    /// Over every byte before the manifest.
    sha256: String,
    /// Over the records as told, each after its length (8 bytes, little endian), to be compared with the journal's.
    raw_sha256: String,
    /// The first and the last log offset told: `mihari verify` proves the journal that has them.
    offsets: Option<(u64, u64)>,
    /// The last log offset that was searchable.
    searched_to: u64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    Ndjson,
    Csv,
}

pub(crate) async fn export(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    FromQuery(parameters): FromQuery<HashMap<String, String>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut asked: ExportBody = match body.trim_ascii().is_empty() {
        true => ExportBody::default(),
        false => serde_json::from_slice(&body).map_err(|e| Problem::bad("bad_body", e.to_string()))?,
    };
    for (name, text) in parameters {
        match name.as_str() {
            "query" => asked.query = text,
            "from" => asked.from = Some(text),
            "to" => asked.to = Some(text),
            "format" => asked.format = Some(text),
            "fields" => asked.fields = Some(text.split(',').map(str::to_owned).collect()),
            other => return Err(Problem::bad("bad_parameter", format!("{other:?} is no parameter of an export"))),
        }
    }
    let form = match asked.format.as_deref() {
        None | Some("ndjson") => Form::Ndjson,
        Some("csv") => Form::Csv,
        Some(other) => return Err(Problem::bad("bad_format", format!("{other:?}: ndjson and csv are known"))),
    };
    let now = shared.api.clock.now();
    let parsed = query::parse(&asked.query, now).map_err(|error| Problem::query(&error))?;
    let mut request = SearchRequest::new(parsed);
    request.from = instant(asked.from.as_deref(), "from", now)?;
    request.to = instant(asked.to.as_deref(), "to", now)?;
    if let (Some(from), Some(to)) = (request.from, request.to) {
        ordered(from, to)?;
    }
    (request.sort, request.size, request.total_max) = (Sort::Asc, PAGE, Some(0));
    let on = On::of(&shared, &identity);
    let columns = match (form, &asked.fields) {
        (_, Some(fields)) => fields.clone(),
        (Form::Csv, None) => {
            let fields = on.searcher.fields().map_err(|error| Problem::internal(&error))?;
            fields.into_iter().map(|f| f.name).collect()
        }
        (Form::Ndjson, None) => Vec::new(),
    };
    if columns.len() > COLUMNS_MAX {
        return Err(Problem::bad("too_many_columns", format!("{COLUMNS_MAX} columns at most: name the fields")));
    }
    request.fields = asked.fields;
    let manifest = Manifest {
        query: asked.query,
        from: request.from,
        to: request.to,
        format: if form == Form::Csv { "csv" } else { "ndjson" },
        tenant: shared.api.tenants.get(identity.tenant as usize).cloned(),
        by: identity.name.clone(),
        created: now,
        count: 0,
        complete: false,
        incomplete: Vec::new(),
        sha256: String::new(),
        raw_sha256: String::new(),
        offsets: None,
        searched_to: on.searcher.position(),
    };
    let place = shared.exports.try_take(identity.tenant);
    let place = place.ok_or_else(|| {
        let detail = format!("as many exports are running as may at once, {EXPORTS_MAX} in all; come again");
        Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
    })?;
    tracing::info!(query = manifest.query, by = identity.name, "an export begins");
    let (sender, receiver) = tokio::sync::mpsc::channel(PAGES_WAITING_MAX);
    let (end, guard) = watch(&shared, &identity);
    let (clock, store) = (shared.api.clock.clone(), shared.api.store.clone());
    tokio::task::spawn_blocking(move || {
        let mut writing = Writing { form, columns, manifest, bytes: Sha256::new(), raw: Sha256::new(), sender };
        let limits = || {
            let (clock, end) = (clock.clone(), end.clone());
            let deadline = clock.now().plus_ns(SEARCH_NS_MAX);
            SearchLimits { stop: Arc::new(move || end.is_cancelled() || clock.now() > deadline) }
        };
        if let Err(error) = writing.all(&on, request, &limits) {
            tracing::warn!(%error, "an export has broken off");
        }
        let Manifest { query, from, to, count, complete, sha256, .. } = &writing.manifest;
        let what = Export { count: *count, complete: *complete, sha256: Some(sha256.as_str()).filter(|hash| !hash.is_empty()) };
        if let Err(error) = store.exported(&identity, query, (*from, *to), what) {
            tracing::warn!(%error, by = identity.name, "failed to record an export for auditors");
        }
        drop((place, guard));
    });
    let kind = if form == Form::Csv { "text/csv; charset=utf-8" } else { "application/x-ndjson" };
    let name = if form == Form::Csv { "attachment; filename=\"export.csv\"" } else { "attachment; filename=\"export.ndjson\"" };
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], body).into_response())
}

struct Writing {
    form: Form,
    columns: Vec<String>,
    manifest: Manifest,
    bytes: Sha256,
    raw: Sha256,
    sender: tokio::sync::mpsc::Sender<Result<Bytes, std::io::Error>>,
}

impl Writing {
    fn all(&mut self, on: &On, mut request: SearchRequest, limits: &dyn Fn() -> SearchLimits) -> Result<(), index::IndexError> {
        let snapshot = on.searcher.snapshot()?;
        if self.form == Form::Csv {
            let mut head = "id,time,received".to_owned();
            for name in &self.columns {
                head.push(',');
                cell(&Value::from(name.as_str()), &mut head);
            }
            head.push_str(",raw\r\n");
            if !self.send(head) {
                return Ok(());
            }
        }
        let lacks = loop {
            let mut page = snapshot.search(&request, &limits())?;
            let mut text = String::new();
            for hit in std::mem::take(&mut page.hits) {
                self.hit(on, hit, &mut text);
            }
            if !self.send(text) {
                return Ok(()); // Nobody reads on.
            }
            request.cursor = page.cursor.take();
            if page.stopped || request.cursor.is_none() {
                break on.lacks_of(&page);
            }
        };
        self.manifest.complete = lacks.is_empty();
        self.manifest.incomplete = lacks;
        self.manifest.sha256 = hexadecimal(&std::mem::take(&mut self.bytes).finalize());
        self.manifest.raw_sha256 = hexadecimal(&std::mem::take(&mut self.raw).finalize());
        let manifest = serde_json::to_string(&self.manifest).expect("a manifest is serialisable");
        let last = if self.form == Form::Csv { format!("# {manifest}\r\n") } else { format!("{{\"manifest\":{manifest}}}\n") };
        self.send(last);
        Ok(())
    }

    fn hit(&mut self, on: &On, hit: Hit, text: &mut String) {
        let offset = hit.id.frame.offset;
        let (low, high) = self.manifest.offsets.unwrap_or((offset, offset));
        self.manifest.offsets = Some((low.min(offset), high.max(offset)));
        self.manifest.count += 1;
        let raw = on.raw_of(&hit);
        let text_of_raw = raw.as_deref().unwrap_or_default();
        self.raw.update((text_of_raw.len() as u64).to_le_bytes());
        self.raw.update(text_of_raw);
        if self.form == Form::Ndjson {
            let shown = on.shown_with(hit, raw);
            text.push_str(&serde_json::to_string(&shown).expect("a hit is serialisable"));
            text.push('\n');
            return;
        }
        text.push_str(&format!("{},{},{}", hit.id, hit.time, hit.received));
        for name in &self.columns {
            text.push(',');
            match (hit.fields.get(name), name.as_str()) {
                (Some(value), _) => cell(value, text),
                (None, "@timestamp") => cell(&hit.time.to_string().into(), text),
                (None, "event.received") => cell(&hit.received.to_string().into(), text),
                (None, _) => {}
            }
        }
        text.push(',');
        cell(&raw.unwrap_or_default().into(), text);
        text.push_str("\r\n");
    }

    /// Sends some text; false where nobody reads.
    fn send(&mut self, text: String) -> bool {
        self.bytes.update(&text);
        self.sender.blocking_send(Ok(text.into())).is_ok()
    }
}

/// A cell of a table (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe in front: the text is a sender's.
fn cell(value: &Value, out: &mut String) {
    let text = match value {
        Value::Null => return,
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            list.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let formula =
        !value.is_number() && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%', '＝', '＋', '－', '＠']);
    let quoted = formula || text.contains([',', '"', '\r', '\n', ' ', ';', '\t']);
    if quoted {
        out.push('"');
    }
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    if quoted {
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (value, expected) in [
            (json!("a"), "a"),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"x\""), "\"say \"\"x\"\"\""),
            (json!("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\""),
            (json!("@SUM(1)"), "\"'@SUM(1)\""),
            (json!("-1+1"), "\"'-1+1\""),
            (json!(-1), "-1"),
            (json!(["=x", "y"]), "\"'=x y\""),
            (json!("\t=1"), "\"'\t=1\""),
            (json!("＝1"), "\"'＝1\""),
            (json!(null), ""),
            (json!(true), "true"),
        ] {
            let mut out = String::new();
            cell(&value, &mut out);
            assert_eq!(out, expected, "{value}");
        }
    }
}
