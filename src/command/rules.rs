//! `mihari rules`: checking, testing, explaining, listing and asking the history.

mod backtest;
mod explain;
mod junit;
mod list;
mod navigator;
mod records;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use rules::{LoadOptions, Problem, cases};

use crate::config::{self, Config};
use crate::loaded::load_options;

/// What to do with rules.
#[derive(Subcommand, Debug)]
pub(crate) enum RulesCommand {
    /// Print every problem with file, line and reason
    Check {
        /// Rule files and folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        with: ReadWith,
    },
    /// Run case files (`.jsonl`), also those that lie beside rules in a folder, with the captures that they name
    Test {
        /// Case files and folders
        #[arg(required = true)]
        cases: Vec<PathBuf>,
        /// Write the outcomes to this file too, as JUnit's XML
        #[arg(long)]
        junit: Option<PathBuf>,
        #[command(flatten)]
        with: ReadWith,
    },
    /// Say why a rule matches an event, or not: each part of its condition, and what the event has there
    Explain(explain::Explain),
    /// Ask what a rule would have found in the history of a running service
    Backtest(backtest::Backtest),
    /// List rules: what they are for and, over captures, what they hit and cost; which of them can never match
    List(list::List),
}

/// What rules are read with: files that a configuration names, and others.
#[derive(Args, Debug)]
pub(crate) struct ReadWith {
    /// A configuration, for the placeholders and field names that it gives rules
    #[arg(long)]
    config: Option<PathBuf>,
    /// Files and folders of values for placeholders
    #[arg(long)]
    placeholders: Vec<PathBuf>,
    /// Files and folders of what field names mean, by log source
    #[arg(long)]
    mapping: Vec<PathBuf>,
}

impl ReadWith {
    /// The configuration of the rules at `paths`; without any, of the shipped pack.
    fn rules(&self, paths: Vec<PathBuf>) -> Result<config::Rules> {
        let mut rules = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?.rules;
        rules.placeholders.extend_from_slice(&self.placeholders);
        rules.mapping.extend_from_slice(&self.mapping);
        Ok(config::Rules { pack: paths.is_empty(), paths, ..rules })
    }

    fn options(&self) -> Result<(LoadOptions, Vec<Problem>)> {
        Ok(load_options(&self.rules(Vec::new())?))
    }
}

/// Tells on standard error what was refused.
fn complain_of_refused<'p>(problems: impl IntoIterator<Item = &'p Problem>) {
    for p in problems.into_iter().filter(|p| p.refused) {
        super::complain(&super::visible(&format!("{}:{}: refused: {}", p.path, p.line, p.reason)));
    }
}

pub(crate) fn run(command: &RulesCommand) -> Result<ExitCode> {
    match command {
        RulesCommand::Check { paths, with } => {
            crate::loaded::must_exist(paths)?;
            check(paths, with)
        }
        RulesCommand::Test { cases, junit, with } => test(cases, junit.as_deref(), with),
        RulesCommand::Explain(args) => explain::run(args),
        RulesCommand::Backtest(args) => backtest::run(args),
        RulesCommand::List(args) => list::run(args),
    }
}

fn check(paths: &[PathBuf], with: &ReadWith) -> Result<ExitCode> {
    let (options, mut problems) = with.options()?;
    let (files, more) = rules::read_files(paths);
    problems.extend(more);
    let (set, more) = rules::load(&files, &options);
    problems.extend(more);
    // A folder that holds none is most likely not the one that was meant.
    anyhow::ensure!(!files.is_empty() || !problems.is_empty(), "no rule file was found");
    problems.extend(rules::style::style(&set));
    for p in &problems {
        let kind = if p.refused { "refused" } else { "warning" };
        let hint = p.hint.as_ref().map_or(String::new(), |h| format!(" ({h})"));
        super::say(&super::visible(&format!("{}:{}: {kind}: {}{hint}", p.path, p.line, p.reason)));
    }
    let refused = problems.iter().filter(|p| p.refused).count();
    super::say(&format!(
        "{} files, {} rules loaded, {refused} problems that refuse a rule, {} warnings, {} different tests",
        files.len(),
        set.rules().len(),
        problems.len() - refused,
        set.tests()
    ));
    dearest(&set);
    Ok(if refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Rules whose cost is told.
const DEAREST: usize = 5;

/// Tells which rules cost most, as estimated: first those that are evaluated for every event.
fn dearest(set: &rules::RuleSet) {
    let estimates = set.rules().enumerate().map(|(rule, info)| (rules::style::estimate(set, rule), info));
    let mut estimates: Vec<_> = estimates.filter(|(estimate, _)| estimate.cost > 0).collect();
    estimates.sort_by_key(|(estimate, info)| (estimate.gated, std::cmp::Reverse(estimate.cost), &info.id));
    if estimates.is_empty() {
        return;
    }
    let ungated = estimates.iter().filter(|(estimate, _)| !estimate.gated).count();
    super::say(&format!(
        "{ungated} rules are evaluated for every event of their log source; the dearest rules, in looks at a value an event:"
    ));
    for (estimate, info) in estimates.iter().take(DEAREST) {
        let when = if estimate.gated { "where a test that must hold does" } else { "for every event" };
        super::say(&format!("{:7} {when}: {}", estimate.cost, super::visible(&info.title)));
    }
}

fn test(paths: &[PathBuf], junit: Option<&Path>, with: &ReadWith) -> Result<ExitCode> {
    let (options, problems) = with.options()?;
    complain_of_refused(&problems);
    anyhow::ensure!(problems.is_empty(), "the files that rules are read with are not as they must be");
    let (mut passed, mut failed) = (0u64, 0u64);
    let mut suites = Vec::new();
    for path in case_files(paths)? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let beside = path.with_file_name("rule.yml");
        let rule = beside.exists().then(|| std::fs::read_to_string(&beside)).transpose().context("failed to read a rule")?;
        let outcomes = cases::run(&text, rule.as_deref(), &options, &records::Beside(&path));
        for outcome in &outcomes {
            match &outcome.failure {
                None => passed += 1,
                Some(reason) => {
                    failed += 1;
                    super::say(&super::visible(&format!("{}: {}: {reason}", path.display(), outcome.name)));
                }
            }
        }
        suites.push((path, outcomes));
    }
    if let Some(path) = junit {
        std::fs::write(path, junit::document(&suites)).with_context(|| format!("failed to write {}", path.display()))?;
    }
    super::say(&format!("{passed} passed, {failed} failed"));
    // A folder that holds none is most likely not the one that was meant.
    anyhow::ensure!(passed + failed > 0, "no case was found");
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn case_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    fn walk(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(&path, found)?;
            } else if path.extension().is_some_and(|e| e == "jsonl") {
                found.push(path);
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found).with_context(|| format!("failed to list {}", path.display()))?;
        } else {
            found.push(path.clone());
        }
    }
    found.sort();
    Ok(found)
}
