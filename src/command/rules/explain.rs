//! `mihari rules explain`: why a rule matches an event, or not.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use event::Batch;
use event::limits::FRAME_BYTES_MAX;
use rules::explain::{explain, find};

use super::ReadWith;
use crate::loaded::{Loaded, load_rules};

/// Arguments of `mihari rules explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// A rule file, or the id, name or title of a rule of `--rules` or else of the shipped pack
    rule: String,
    /// The event: a record as it was received or a JSON object, a file that holds one, or `-` for standard input
    event: String,
    /// Rule files and folders in which the rule is looked for
    #[arg(long)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    with: ReadWith,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Explain) -> Result<ExitCode> {
    let file = Path::new(&args.rule);
    let of_file = file.is_file();
    let mut paths = args.rules.clone();
    if of_file {
        paths.push(file.to_owned());
    }
    crate::loaded::must_exist(&args.rules)?;
    let Loaded { rules: set, problems, .. } = load_rules(&args.with.rules(paths)?);
    super::complain_of_refused(problems.iter().filter(|p| !of_file || p.path == args.rule));
    let meant: Vec<usize> = match of_file {
        true => set.rules().enumerate().filter(|(_, info)| info.path == args.rule).map(|(rule, _)| rule).collect(),
        false => find(&set, &args.rule).into_iter().map(|(rule, _)| rule).collect(),
    };
    if meant.is_empty() {
        bail!("no rule is called {:?}; see `mihari rules list`", args.rule);
    }
    let batch = event(&args.event)?;
    let mut holds = false;
    for rule in meant {
        let explanation = explain(&set, rule, batch.event(0));
        holds |= explanation.holds();
        if args.json {
            super::super::say(&serde_json::to_string(&explanation)?);
        } else {
            super::super::say(super::super::visible_lines(&explanation.to_string()).trim_end());
        }
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn event(text: &str) -> Result<Batch> {
    let mut text = text.to_owned();
    if text == "-" {
        text.clear();
        std::io::stdin().take(FRAME_BYTES_MAX as u64).read_to_string(&mut text).context("failed to read standard input")?;
    } else if Path::new(&text).is_file() {
        let file = std::fs::File::open(&text).with_context(|| format!("failed to read {text}"))?;
        let mut inside = String::new();
        file.take(FRAME_BYTES_MAX as u64).read_to_string(&mut inside).with_context(|| format!("failed to read {text}"))?;
        text = inside;
    }
    let text = text.trim();
    if text.is_empty() {
        bail!("the record is empty");
    }
    // A single word that looks like a path is a mistyped one, not a record.
    if !text.contains(char::is_whitespace) && (text.starts_with(['/', '.']) || text.ends_with(".json") || text.ends_with(".log"))
    {
        bail!("failed to read {text}: there is no such file");
    }
    if text.starts_with('{') {
        return rules::cases::batch_of(&[text]).map_err(|reason| anyhow::anyhow!("not an event: {reason}"));
    }
    super::records::record(text)
}
