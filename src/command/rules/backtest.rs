//! `mihari rules backtest`: a rule over the history of a running service.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use crate::clock::Stopwatch;
use crate::command::client::Service;
use crate::command::{complain, say, visible};

/// How often it is told how far a backtest is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Arguments of `mihari rules backtest`.
#[derive(Args, Debug)]
pub(crate) struct Backtest {
    /// The rule's file, with the rules that it correlates; or the id of a shipped rule
    rule: String,
    /// The first instant (RFC 3339, or now-7d)
    #[arg(long, default_value = "")]
    from: String,
    /// The instant before which it ends
    #[arg(long, default_value = "")]
    to: String,
    /// Replay everything, whether it can match or not: slow, to compare with
    #[arg(long)]
    full: bool,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: Service,
}

pub(super) fn run(args: &Backtest) -> Result<ExitCode> {
    let path = Path::new(&args.rule);
    let mut body = serde_json::json!({"from": args.from, "to": args.to, "full": args.full});
    // A file that is not there is told as one, not as the id of no rule.
    let is_path = args.rule.contains('/') || path.extension().is_some_and(|kind| kind == "yml" || kind == "yaml");
    if is_path || path.is_file() {
        body["yaml"] = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?.into();
    } else {
        body["rule"] = args.rule.as_str().into();
    }
    let mut told = Stopwatch::start();
    let mut answer = Value::Null;
    for line in args.service.lines("/api/v1/backtests", &body.to_string())? {
        answer = serde_json::from_str(&line?).context("the service's answer cannot be read")?;
        if answer["last"] != true && told.elapsed() >= TELL_EVERY {
            complain(&format!("{} events replayed, {} matches", answer["events"], answer["matches"]));
            told = Stopwatch::start();
        }
    }
    anyhow::ensure!(answer["last"] == true, "the answer has broken off");
    if args.json {
        say(&answer.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    for (day, told) in answer["days"].as_object().into_iter().flatten() {
        say(&format!("{day} {:>8} alerts {:>10} matches", told["alerts"], told["matches"]));
        for alert in told["samples"].as_array().into_iter().flatten() {
            let first = alert["first"].as_str().unwrap_or_default();
            let title = alert["rule"]["title"].as_str().unwrap_or_default();
            say(&format!("    {first} {} {}", visible(title), visible(&alert["group"].to_string())));
        }
    }
    let exact = match answer["exact"].as_bool() {
        Some(true) => "exact".to_owned(),
        _ => format!("not exact: {}", visible(&answer["reasons"].to_string())),
    };
    complain(&format!(
        "{} alerts, {} matches; {} frames replayed in {} ms; {exact}",
        answer["alerts"], answer["matches"], answer["frames"], answer["took_ms"]
    ));
    Ok(ExitCode::SUCCESS)
}
