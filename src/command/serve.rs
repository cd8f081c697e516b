//! `mihari serve`: the service.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use api::RuleDesk;
use clap::Args;
use ingest::listen::Follow;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rules::Problem;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Subscriber, error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::reindex::missing_of;
use crate::config::Config;
use crate::loaded::{Loaded, decode_settings, load_policy, load_rules, load_site};
use crate::role;
use crate::rule_desk::Desk;

/// Arguments of `mihari serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The configuration (YAML, or TOML by its name); without one, every default
    #[arg(long)]
    config: Option<PathBuf>,
    /// Only validate the configuration, the rules and the policy
    #[arg(long)]
    check: bool,
    /// Write the bound addresses as JSON to this file once all is up
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

/// Days that the first token is good for.
const FIRST_TOKEN_DAYS: u32 = 90;

/// Own messages as JSON lines on standard error; `MIHARI_LOG` chooses what.
pub(crate) fn start_logging(default: &str) {
    tracing_subscriber::registry().with(log_layer(default)).init();
}

/// What writes the log to the standard error stream.
pub(crate) fn log_layer<S: Subscriber + for<'l> LookupSpan<'l>>(default: &str) -> impl Layer<S> {
    let mut filter = EnvFilter::try_from_env("MIHARI_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // The client of webhooks tells whole addresses when it tells all: who has a chat's may write there.
    for directive in ["ureq=warn", "ureq_proto=warn"] {
        filter = filter.add_directive(directive.parse().expect("a plain directive"));
    }
    tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).with_filter(filter)
}

/// The process's metrics.
pub(crate) fn start_metrics() -> Result<PrometheusHandle> {
    PrometheusBuilder::new().install_recorder().context("failed to set up metrics")
}

pub(crate) fn run(args: &Serve) -> Result<ExitCode> {
    let config = args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    if args.check {
        let of_file = || {
            args.config
                .as_ref()
                .map_or_else(|| "bad configuration".to_owned(), |p| format!("bad configuration in {}", p.display()))
        };
        return check(&config).with_context(of_file);
    }
    start_logging("info,tantivy=warn");
    let metrics = start_metrics()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let hang_up = signal(SignalKind::hangup())?;
        let service = role::start(&config, metrics).await?;
        if service.store.tokens()? == 0 {
            let token = service.store.create_token("first", 0, FIRST_TOKEN_DAYS)?;
            super::announce(&format!("The first token, shown this once: {token}"));
        }
        super::announce(&format!("mihari is up: http://{}", service.address));
        if let Some(path) = &args.ready_file {
            let bound: Vec<Option<String>> = service.bound.iter().map(|b| b.map(|b| b.to_string())).collect();
            let ready = serde_json::json!({"api": service.address.to_string(), "listen": bound}).to_string();
            let beside = path.with_extension("new");
            std::fs::write(&beside, ready)
                .and_then(|()| std::fs::rename(&beside, path))
                .context("failed to write the ready file")?;
        }
        let stopping = service.stopping();
        let reloading = tokio::spawn(reload_rules(service.desk.clone(), config.rules.watch_s, hang_up));
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            () = stopping.cancelled() => {}
        }
        reloading.abort();
        info!("stopping");
        let standstill = service.standstill();
        let again = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::select! {
            ended = service.stop() => ended?,
            () = again => {
                error!("a second signal: ended at once, as after a crash; the next start analyses what was received and not analysed");
                std::process::exit(1);
            }
            durable = standstill => {
                error!(durable, "the disk is full: ended without what waits for room there. Who waits for an acknowledgement has none and sends again; of others what was received since is lost");
                // What is on the disk is whole, as after a crash; the threads that wait for room would be waited for.
                std::process::exit(1);
            }
        }
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Says what is wrong with the configuration, and with the rules, the policy and the other files that it names: what would keep the service
/// from starting is an error, what it would do without is told and gives 1.
fn check(config: &Config) -> Result<ExitCode> {
    decode_settings(&config.decode, &config.listen, event::Time::EPOCH)?;
    for (at, listen) in config.listen.iter().enumerate() {
        if let Some(tls) = &listen.tls {
            tls.files().check().with_context(|| format!("listen[{at}].tls"))?;
        }
    }
    let (_, mut without) = load_site(&config.behaviour)?;
    for path in config.listen.iter().filter_map(|listen| listen.path.as_ref()) {
        if let Err(error) = Follow::check(path) {
            without.push(format!("{}: {error}", path.display()));
        }
    }
    if let Some(path) = &config.policy {
        load_policy(path)?;
    }
    let Loaded { rules: set, problems, .. } = load_rules(&config.rules);
    for Problem { path, line, reason, refused, .. } in &problems {
        let told = format!("{path}:{line}: {reason}");
        if *refused { without.push(told) } else { super::say(&format!("{told} (a warning)")) }
    }
    for mode in &config.rules.modes {
        if !set.rules().any(|rule| rule.id == mode.rule) {
            without.push(format!("rules.modes: no rule has the id {:?}", mode.rule));
        }
    }
    // Nothing is kept from being collected by it, and the service says it as long as it runs.
    for part in missing_of(&config.data.join("index"), false)? {
        super::say(&format!("{part} (a warning)"));
    }
    without.iter().for_each(|told| super::say(&super::visible(told)));
    let rules = set.rules().len();
    if without.is_empty() {
        super::say(&format!("the configuration is valid; {rules} rules"));
        return Ok(ExitCode::SUCCESS);
    }
    super::say(&format!("the service would start with {rules} rules, and without what is named above"));
    Ok(ExitCode::FAILURE)
}

/// Loads the rules and the zone policy anew at SIGHUP and, where they are watched, when a file has changed.
async fn reload_rules(desk: Arc<Desk>, watch_s: u32, mut hang_up: tokio::signal::unix::Signal) {
    let mut known = desk.stamp();
    loop {
        let looked = async {
            match watch_s {
                0 => std::future::pending().await,
                seconds => tokio::time::sleep(Duration::from_secs(seconds.into())).await,
            }
        };
        let asked = tokio::select! {
            _ = hang_up.recv() => true,
            () = looked => false,
        };
        let (desk, before) = (desk.clone(), known.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let now = desk.stamp();
            if asked || now != before {
                // What is wrong is told by the desk.
                let _told = desk.reload(if asked { "a signal to the program" } else { "a rule file or the policy has changed" });
            }
            now
        });
        let Ok(now) = loading.await else { return };
        known = now;
    }
}
