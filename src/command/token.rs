//! `mihari token`: who may use the HTTP interface.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use api::Store;
use clap::Subcommand;

use crate::clock::SystemClock;
use crate::config::Config;

/// What to do with tokens.
#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown once
    Create {
        /// The configuration of the service
        #[arg(long)]
        config: Option<PathBuf>,
        /// Whose it is
        #[arg(long)]
        name: String,
        /// The tenant that it may see
        #[arg(long)]
        tenant: Option<String>,
        /// Days that it is good for
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
    },
}

pub(crate) fn run(command: &TokenCommand) -> Result<ExitCode> {
    let TokenCommand::Create { config, name, tenant, days } = command;
    let config = config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    let tenant = config.tenant(tenant.as_deref())?;
    std::fs::create_dir_all(&config.data)?;
    let store = Store::open(&config.data.join("mihari.sqlite"), Arc::new(SystemClock))?;
    super::say(&store.create_token(name, tenant.0, *days)?);
    Ok(ExitCode::SUCCESS)
}
