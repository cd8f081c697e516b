//! `mihari token`: who may use the HTTP interface.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use api::Store;
use clap::Subcommand;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::loaded::make_data;

/// What to do with tokens.
#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown once
    Create {
        /// The configuration of the service
        #[arg(long)]
        config: Option<PathBuf>,
        /// Whose it is
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: String,
        /// The tenant that it may see
        #[arg(long)]
        tenant: Option<String>,
        /// Days that it is good for
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
    },
    /// Show the tokens, without their secrets
    List {
        /// The configuration of the service
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// End a token for good, at once, also while the service runs
    Revoke {
        /// The configuration of the service
        #[arg(long)]
        config: Option<PathBuf>,
        /// The token's id: what stands between `mih_` and the next `_`
        id: String,
    },
}

pub(crate) fn run(command: &TokenCommand) -> Result<ExitCode> {
    let (TokenCommand::Create { config, .. } | TokenCommand::List { config } | TokenCommand::Revoke { config, .. }) = command;
    let config = config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    let database = config.data.join("mihari.sqlite");
    match command {
        TokenCommand::Create { .. } => make_data(&config.data)?,
        _ => anyhow::ensure!(database.exists(), "there is no {}: is this the service's configuration?", database.display()),
    }
    let store = Store::open(&database, Arc::new(SystemClock))?;
    match command {
        TokenCommand::Create { name, tenant, days, .. } => {
            super::say(&store.create_token(name, config.tenant(tenant.as_deref())?.0, *days)?);
        }
        TokenCommand::List { .. } => {
            for token in store.list_tokens(None)? {
                let tenant = config.tenants.get(token.tenant as usize).map_or("?", String::as_str);
                let used = token.last_used.map_or_else(|| "never used".to_owned(), |time| format!("used {time}"));
                let state = match token.revoked {
                    Some(time) => format!("revoked {time}"),
                    None if token.good => format!("good until {}", token.expires),
                    None => format!("expired {}", token.expires),
                };
                super::say(&format!("{}  {tenant}  {}  {state}, {used}", token.id, super::visible(&token.name)));
            }
        }
        TokenCommand::Revoke { id, .. } => {
            // The whole token is taken too, for whoever has only that at hand.
            let id = id.strip_prefix("mih_").unwrap_or(id).split('_').next().unwrap_or("");
            if !store.revoke_token(id)? {
                super::complain("there is no token of this id");
                return Ok(ExitCode::FAILURE);
            }
            super::say(&format!("{id} is revoked"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
