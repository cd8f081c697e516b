//! `mihari reindex`: what the index lacks, built anew from the journal; or all of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use api::{Reread, Store};
use clap::Args;
use event::{Clock, TenantId};
use index::Missing;
use ingest::log::{Journal, JournalOptions};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::loaded::{decode_settings, index_options, load_policy};
use crate::pipeline::{Current, InForce};
use crate::reread::JournalAgain;

/// Arguments of `mihari reindex`.
#[derive(Args, Debug)]
pub(crate) struct Reindex {
    /// The service's configuration; without one, every default
    #[arg(long)]
    config: Option<PathBuf>,
    /// Throw the whole index away: the service builds it anew when it starts
    #[arg(long)]
    all: bool,
}

/// A part of the log that a tenant's index lacks.
pub(crate) struct Part {
    tenant: TenantId,
    missing: Missing,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.missing.offsets;
        let last = if last == u64::MAX { "the newest".to_owned() } else { last.to_string() };
        write!(f, "the index of tenant {} lacks log offsets {first} to {last}: {}", self.tenant.0, self.missing.reason)?;
        self.missing.causes.iter().try_for_each(|cause| write!(f, " ({cause})"))
    }
}

/// What the index in this folder lacks. With `every_byte` its checksums are compared too.
pub(crate) fn missing_of(index: &Path, every_byte: bool) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for tenant in index::tenants(index)? {
        let missing = index::inspect(index, tenant, every_byte)?;
        parts.extend(missing.into_iter().map(|missing| Part { tenant, missing }));
    }
    Ok(parts)
}

/// The index is a view of the journal: whatever it lacks is made from it again. Alerts stay as they are.
pub(crate) fn run(args: &Reindex) -> Result<ExitCode> {
    let config = args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    let (journal, index) = (config.data.join("journal"), config.data.join("index"));
    anyhow::ensure!(journal.is_dir(), "there is no journal at {}: nothing could be built from it", journal.display());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Whoever holds the journal is a service that runs.
    let (journal, recovery) = Journal::open(&journal, JournalOptions::default(), clock.clone())
        .context("failed to open the journal: is the service running?")?;
    if args.all {
        if index.is_dir() {
            std::fs::remove_dir_all(&index).with_context(|| format!("failed to remove {}", index.display()))?;
        }
        let records = recovery.next.saturating_sub(1);
        super::say(&format!("the index is gone; the service builds it anew from {records} records when it starts"));
        return Ok(ExitCode::SUCCESS);
    }
    let policy = config.policy.as_deref().map(load_policy).transpose()?.map(Arc::new);
    let (no_rules, _) = rules::load(&[], &rules::LoadOptions::default());
    let again = JournalAgain {
        journal: Arc::new(journal),
        settings: decode_settings(&config.decode, &config.listen, clock.now())?,
        current: Current::new(Arc::new(InForce { rules: Arc::new(no_rules), policy })),
        store: Store::open(&config.data.join("mihari.sqlite"), clock)?,
    };
    let parts = missing_of(&index, true)?;
    for part in &parts {
        super::say(&part.to_string());
        let mut reading = again.begin().context("failed to read the journal")?;
        let events = index::mend(&index_options(&config), part.tenant, &part.missing, |offset| reading.onwards(offset))?;
        super::say(&match part.missing.offsets {
            (_, u64::MAX) => "it is removed; the service builds it anew when it starts".to_owned(),
            _ => format!("{events} events are indexed anew"),
        });
    }
    let mut aside = 0;
    for tenant in index::tenants(&index)? {
        aside += index::remove_set_aside(&index, tenant)?;
    }
    if aside > 0 {
        super::say(&format!("{aside} shards that had been set aside are removed"));
    }
    if parts.is_empty() {
        super::say("the index lacks nothing; `--all` throws it away, to be built anew");
    }
    Ok(ExitCode::SUCCESS)
}
