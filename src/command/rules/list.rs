//! `mihari rules list`: what there is and, over captures, what it hit and cost, and what can never match.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use event::Time;
use rules::coverage::Coverage;
use rules::{CorrelateOptions, Correlator, Detector, Did, RuleInfo, RuleSet, Work, style};
use serde::Serialize;

use super::{ReadWith, navigator};
use crate::command::{say, visible};
use crate::loaded::{Loaded, load_rules};

/// Arguments of `mihari rules list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Rule files and folders; without any, the shipped pack
    paths: Vec<PathBuf>,
    /// Run the rules over this capture, to count what each hits and costs
    #[arg(long)]
    over: Vec<PathBuf>,
    /// List the log sources and fields that rules name and no event of the captures has
    #[arg(long, requires = "over")]
    unmapped: bool,
    /// Write the coverage of ATT&CK techniques to this file, as a layer for the ATT&CK Navigator
    #[arg(long)]
    navigator: Option<PathBuf>,
    #[command(flatten)]
    with: ReadWith,
    /// Print JSON, a rule a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'r> {
    #[serde(flatten)]
    rule: &'r RuleInfo,
    /// Looks at a value an event, estimated.
    estimated_cost: u64,
    /// Whether a test must hold before it is evaluated.
    gated: bool,
    #[serde(flatten)]
    did: Option<Did>,
}

pub(super) fn run(args: &List) -> Result<ExitCode> {
    crate::loaded::must_exist(&args.paths)?;
    let Loaded { rules, problems, .. } = load_rules(&args.with.rules(args.paths.clone())?);
    super::complain_of_refused(&problems);
    let code = if problems.iter().any(|p| p.refused) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    let set = Arc::new(rules);
    let mut coverage = Coverage::default();
    let did = if args.over.is_empty() { None } else { Some(over(&set, &args.over, &mut coverage)?) };
    if let Some(path) = &args.navigator {
        std::fs::write(path, navigator::layer(&set)).with_context(|| format!("failed to write {}", path.display()))?;
    }
    if args.unmapped {
        unmapped(&set, &coverage, args.json)?;
        return Ok(code);
    }
    for (at, rule) in set.rules().enumerate() {
        let style::Estimate { cost, gated } = style::estimate(&set, at);
        let did = did.as_ref().map(|did| did[at]);
        if args.json {
            say(&serde_json::to_string(&Line { rule, estimated_cost: cost, gated, did })?);
            continue;
        }
        let cost = if gated { cost.to_string() } else { format!("{cost}!") };
        let mut line = format!("{:13} {:30} {cost:>6}", rule.level, source(&rule.source));
        if let Some(Did { cost, last_match }) = did {
            let last = last_match.map_or_else(|| "-".to_owned(), |time| time.to_string());
            line += &format!(" {:>9} {:>9} {last:20}", cost.matches, cost.evaluated);
        }
        say(&format!("{} {} {} [{}]", visible(&line), visible(&rule.id), visible(&rule.title), visible(&rule.tags.join(" "))));
    }
    Ok(code)
}

fn source(source: &rules::sigma::rule::RuleSource) -> String {
    let part = |p: &Option<String>| p.clone().unwrap_or_else(|| "-".to_owned());
    format!("{}/{}/{}", part(&source.product), part(&source.category), part(&source.service))
}

fn over(set: &Arc<RuleSet>, captures: &[PathBuf], coverage: &mut Coverage) -> Result<Vec<Did>> {
    let mut did = vec![Did::default(); set.rules().len()];
    let mut detector = Detector::new(set.clone());
    let mut correlator = Correlator::new(set.clone(), CorrelateOptions::default());
    let (mut matches, mut clock, mut changes) = (Vec::new(), Time::EPOCH, Vec::new());
    for path in captures {
        super::records::capture(path, |mut batch| {
            coverage.note(&batch);
            matches.clear();
            detector.scan(&batch, &mut matches);
            for found in &matches {
                did[found.rule as usize].met(batch.event(found.row as usize).time());
            }
            clock = batch.settle_received(clock);
            correlator.advance(&batch, &matches, &mut changes);
            changes.clear();
        })?;
    }
    correlator.flush(&mut changes);
    for Work { rule, did: more, .. } in detector.take_work().into_iter().chain(correlator.take_work()) {
        did[rule as usize].add(more);
    }
    Ok(did)
}

fn unmapped(set: &RuleSet, coverage: &Coverage, json: bool) -> Result<()> {
    let gaps = coverage.gaps(set);
    for gap in &gaps {
        if json {
            say(&serde_json::to_string(gap)?);
        } else if gap.seen {
            for (field, rules) in &gap.fields {
                say(&format!(
                    "{:30} no event has {}: {rules} of {} rules",
                    visible(&source(&gap.log_source)),
                    visible(field),
                    gap.rules
                ));
            }
        } else {
            say(&format!("{:30} no event: {} rules", visible(&source(&gap.log_source)), gap.rules));
        }
    }
    Ok(())
}
