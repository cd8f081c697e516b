//! `mihari rules`: checking, testing and listing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use rules::{LoadOptions, cases};

use crate::config;

/// What to do with rules.
#[derive(Subcommand, Debug)]
pub(crate) enum RulesCommand {
    /// Print every problem with file, line and reason
    Check {
        /// Rule files and folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Run case files (`.jsonl`), also those that lie beside rules in a folder
    Test {
        /// Case files and folders
        #[arg(required = true)]
        cases: Vec<PathBuf>,
    },
    /// List the rules in force
    List {
        /// Rule files and folders; without any, the shipped pack
        paths: Vec<PathBuf>,
    },
}

pub(crate) fn run(command: &RulesCommand) -> Result<ExitCode> {
    match command {
        RulesCommand::Check { paths } => Ok(check(paths)),
        RulesCommand::Test { cases } => test(cases),
        RulesCommand::List { paths } => Ok(list(paths)),
    }
}

fn check(paths: &[PathBuf]) -> ExitCode {
    let (files, mut problems) = rules::read_files(paths);
    let (set, more) = rules::load(&files, &LoadOptions::default());
    problems.extend(more);
    for p in &problems {
        let kind = if p.refused { "refused" } else { "warning" };
        let hint = p.hint.as_ref().map_or(String::new(), |h| format!(" ({h})"));
        super::say(&format!("{}:{}: {kind}: {}{hint}", p.path, p.line, super::visible(&p.reason)));
    }
    let refused = problems.iter().filter(|p| p.refused).count();
    super::say(&format!(
        "{} files, {} rules loaded, {refused} refused, {} warnings, {} different tests",
        files.len(),
        set.rules().len(),
        problems.len() - refused,
        set.tests()
    ));
    if refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn test(paths: &[PathBuf]) -> Result<ExitCode> {
    let (mut passed, mut failed) = (0u64, 0u64);
    for path in case_files(paths)? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let beside = path.with_file_name("rule.yml");
        let rule = beside.exists().then(|| std::fs::read_to_string(&beside)).transpose().context("failed to read a rule")?;
        for outcome in cases::run(&text, rule.as_deref()) {
            match outcome.failure {
                None => passed += 1,
                Some(reason) => {
                    failed += 1;
                    super::say(&format!("{}: {}: {}", path.display(), outcome.name, super::visible(&reason)));
                }
            }
        }
    }
    super::say(&format!("{passed} passed, {failed} failed"));
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

fn list(paths: &[PathBuf]) -> ExitCode {
    let config = config::Rules { paths: paths.to_vec(), pack: paths.is_empty(), ..config::Rules::default() };
    let (set, _) = crate::role::load_rules(&config);
    for rule in set.rules() {
        let part = |p: &Option<String>| p.clone().unwrap_or_else(|| "-".to_owned());
        let source = format!("{}/{}/{}", part(&rule.source.product), part(&rule.source.category), part(&rule.source.service));
        super::say(&format!("{:13} {source:30} {} {}", rule.level, rule.id, super::visible(&rule.title)));
    }
    ExitCode::SUCCESS
}
