//! `mihari reindex`: the index thrown away, to be built anew from the journal.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use ingest::log::{Journal, JournalOptions};

use crate::clock::SystemClock;
use crate::config::Config;

/// Arguments of `mihari reindex`.
#[derive(Args, Debug)]
pub(crate) struct Reindex {
    /// The service's configuration; without one, every default
    #[arg(long)]
    config: Option<PathBuf>,
}

/// The index is a view of the journal: without it, the service begins at the journal's first record. Alerts stay as they are.
pub(crate) fn run(args: &Reindex) -> Result<ExitCode> {
    let config = args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    let (journal, index) = (config.data.join("journal"), config.data.join("index"));
    anyhow::ensure!(journal.is_dir(), "there is no journal at {}: nothing could be built from it", journal.display());
    // Whoever holds the journal is a service that runs.
    let (_journal, recovery) = Journal::open(&journal, JournalOptions::default(), Arc::new(SystemClock))
        .context("failed to open the journal: is the service running?")?;
    if index.is_dir() {
        std::fs::remove_dir_all(&index).with_context(|| format!("failed to remove {}", index.display()))?;
    }
    let records = recovery.next.saturating_sub(1);
    super::say(&format!("the index is gone; the service builds it anew from {records} records when it starts"));
    Ok(ExitCode::SUCCESS)
}
