//! `mihari search` and `mihari tail`: against a running service.

use std::io::{BufRead, BufReader, Read};
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

#[derive(Deserialize)]
struct Answer {
    total: u64,
    complete: bool,
    hits: Vec<Box<serde_json::value::RawValue>>,
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
    let body = serde_json::json!({"query": args.query, "from": args.from, "to": args.to, "size": args.size}).to_string();
    let text = api::client::post(&args.service.url, "/api/v1/search", &args.service.token, &body)?;
    let answer: Answer = serde_json::from_str(&text).context("the service's answer cannot be read")?;
    for hit in &answer.hits {
        super::say(&super::visible_json(hit.get()));
    }
    super::complain(&format!(
        "{} of {} hits{}",
        answer.hits.len(),
        answer.total,
        if answer.complete { "" } else { ", not everything was searched" }
    ));
    Ok(ExitCode::SUCCESS)
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
