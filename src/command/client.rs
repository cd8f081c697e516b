//! `mihari search` and `mihari tail`: against a running service.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

/// Where the service is, and the token.
#[derive(Args, Clone, Debug)]
pub(crate) struct Service {
    /// The service's address
    #[arg(long, default_value = "http://127.0.0.1:8686", env = "MIHARI_URL")]
    pub(crate) url: String,
    /// The token
    #[arg(long, env = "MIHARI_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
}

impl Service {
    /// Posts a request and gives the lines of its answer as they come.
    pub(crate) fn lines(&self, path: &str, body: &str) -> Result<impl Iterator<Item = Result<String>>> {
        let answer = BufReader::new(api::client::download(&self.url, path, &self.token, body)?);
        Ok(answer.lines().map(|line| line.context("the service has gone")))
    }
}

/// Arguments of `mihari search`.
#[derive(Args, Debug)]
pub(crate) struct Search {
    /// The query; nothing finds everything
    #[arg(default_value = "")]
    query: String,
    /// The first instant (RFC 3339, or now-15m)
    #[arg(long, default_value = "now-24h")]
    from: String,
    /// The instant before which it ends
    #[arg(long, default_value = "")]
    to: String,
    /// Hits at most
    #[arg(long, default_value_t = 50)]
    size: usize,
    /// Write every hit to this file instead, and what it is to FILE.manifest.json
    #[arg(long)]
    export: Option<PathBuf>,
    /// The form of an export
    #[arg(long, default_value = "ndjson", value_parser = ["ndjson", "csv"], requires = "export")]
    format: String,
    #[command(flatten)]
    service: Service,
}

/// Arguments of `mihari tail`.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// The query; nothing follows everything
    #[arg(default_value = "")]
    query: String,
    #[command(flatten)]
    service: Service,
}

/// A part of an answer; the last one says whether it is complete.
#[derive(Deserialize)]
struct Part {
    total: u64,
    hits: Vec<Box<serde_json::value::RawValue>>,
    #[serde(default)]
    last: bool,
    #[serde(default)]
    complete: bool,
    /// How far back an incomplete search came.
    #[serde(default)]
    searched_from: Option<String>,
    /// Why it is not complete.
    #[serde(default)]
    incomplete: Vec<Lack>,
    /// Fields of the query that no event has.
    #[serde(default)]
    unknown_fields: Vec<String>,
}

/// A reason why an answer may not tell all.
#[derive(Deserialize)]
struct Lack {
    code: String,
    detail: String,
}

/// Asks the service for a document.
pub(crate) fn ask<T: serde::de::DeserializeOwned>(service: &Service, path: &str, parameters: &[(&str, &str)]) -> Result<T> {
    let mut text = String::new();
    api::client::stream(&service.url, path, parameters, &service.token)?.read_to_string(&mut text)?;
    serde_json::from_str(&text).context("the service's answer cannot be read")
}

/// Sends the service a document and gives its answer.
pub(crate) fn send<T: serde::de::DeserializeOwned>(service: &Service, path: &str, body: &serde_json::Value) -> Result<T> {
    let text = api::client::post(&service.url, path, &service.token, &body.to_string())?;
    serde_json::from_str(&text).context("the service's answer cannot be read")
}

pub(crate) fn search(args: &Search) -> Result<ExitCode> {
    if let Some(path) = &args.export {
        return export(args, path);
    }
    let body = serde_json::json!({"query": args.query, "from": args.from, "to": args.to, "size": args.size}).to_string();
    let mut shown = 0;
    for line in args.service.lines("/api/v1/search", &body)? {
        let part: Part = serde_json::from_str(&line?).context("the service's answer cannot be read")?;
        for hit in &part.hits {
            super::say(&super::visible_json(hit.get()));
        }
        shown += part.hits.len();
        if part.last {
            super::complain(&format!("{shown} of {} hits", part.total));
            for name in &part.unknown_fields {
                super::complain(&format!("no event has the field {}", super::visible(name)));
            }
            if part.complete {
                return Ok(ExitCode::SUCCESS);
            }
            if part.incomplete.is_empty() || part.incomplete.iter().any(|lack| lack.code == "stopped") {
                let reached = part.searched_from.map(|from| format!("only what is since {} was: ", super::visible(&from)));
                let reached = reached.unwrap_or_default();
                super::complain(&format!(
                    "not everything was searched in the time that a search has: {reached}ask for a shorter range"
                ));
            }
            for lack in part.incomplete.iter().filter(|lack| lack.code != "stopped") {
                super::complain(&super::visible(&lack.detail));
            }
            return Ok(ExitCode::FAILURE);
        }
    }
    bail!("the answer has broken off")
}

/// Writes every hit to a file; the last line, which says what they are, to a file beside it.
fn export(args: &Search, path: &Path) -> Result<ExitCode> {
    let body = serde_json::json!({"query": args.query, "from": args.from, "to": args.to, "format": args.format}).to_string();
    let failed = || format!("failed to write {}", path.display());
    let mut lines = BufReader::new(api::client::download(&args.service.url, "/api/v1/export", &args.service.token, &body)?);
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).with_context(failed)?);
    let (mut line, mut next) = (Vec::new(), Vec::new());
    lines.read_until(b'\n', &mut line).context("the service has gone")?;
    loop {
        next.clear();
        if lines.read_until(b'\n', &mut next).context("the service has gone")? == 0 {
            break;
        }
        file.write_all(&line).with_context(failed)?;
        std::mem::swap(&mut line, &mut next);
    }
    file.flush().with_context(failed)?;
    let last = String::from_utf8_lossy(&line);
    let last = last.trim_end();
    let manifest = last.strip_prefix("# ").or_else(|| last.strip_prefix("{\"manifest\":").and_then(|m| m.strip_suffix('}')));
    let manifest = manifest.context("the export has broken off: it has no manifest")?;
    let told: Manifest = serde_json::from_str(manifest).context("the manifest cannot be read")?;
    let beside = PathBuf::from(format!("{}.manifest.json", path.display()));
    std::fs::write(&beside, format!("{manifest}\n")).with_context(|| format!("failed to write {}", beside.display()))?;
    let all = if told.complete { "" } else { ", not all of them" };
    super::complain(&format!("{} hits{all}; SHA-256 {}", told.count, super::visible(&told.sha256)));
    Ok(if told.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Deserialize)]
struct Manifest {
    count: u64,
    complete: bool,
    sha256: String,
}

pub(crate) fn tail(args: &Tail) -> Result<ExitCode> {
    let stream = api::client::stream(&args.service.url, "/api/v1/tail", &[("query", &args.query)], &args.service.token)?;
    let mut kind = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line.context("the service has gone")?;
        if let Some(name) = line.strip_prefix("event: ") {
            kind = name.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            match kind.as_str() {
                "skipped" => super::complain(&format!("skipped {data}")),
                _ => super::say(&super::visible_json(data)),
            }
        }
    }
    bail!("the service has gone")
}
