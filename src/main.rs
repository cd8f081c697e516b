//! mihari (見張り, the lookout): security-event monitoring for the Internet-facing segment of a municipality.
//!
//! This is the program: it reads the configuration, wires the stages, runs, and stops cleanly. What the stages do is in the crates.

mod analysis;
mod clock;
mod command;
mod config;
mod detection;
mod loaded;
mod pipeline;
mod raw;
mod reread;
mod retention;
mod role;
mod room;
mod rule_desk;
mod searchable;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Memory that is freed goes back to the system, and threads do not wait for each other to have some.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Security-event monitoring: records in, correlated alerts and search out.
#[derive(Parser, Debug)]
#[command(name = "mihari", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the service
    Serve(command::serve::Serve),
    /// Watch a synthetic municipality
    Demo(command::demo::Demo),
    /// Measure how many events a second go from the sockets to the index
    Bench(command::bench::Bench),
    /// Run captures through the pipeline off line
    Replay(command::replay::Replay),
    /// Decode records to JSON lines
    Parse(command::parse::Parse),
    /// Check, test and list rules
    #[command(subcommand)]
    Rules(command::rules::RulesCommand),
    /// Prove a zone policy
    #[command(subcommand)]
    Policy(command::policy::PolicyCommand),
    /// Search a running service
    Search(command::client::Search),
    /// Follow events of a running service
    Tail(command::client::Tail),
    /// List and release what no decoder could read
    #[command(subcommand)]
    Quarantine(command::quarantine::QuarantineCommand),
    /// Show what was in force when, and who changed it
    Audit(command::audit::Audit),
    /// Check a journal off line, and the index beside it
    Verify(command::verify::Verify),
    /// Build anew what the index lacks, from the journal
    Reindex(command::reindex::Reindex),
    /// Write the synthetic municipality to files
    Generate(command::generate::Generate),
    /// Make, list and revoke tokens
    #[command(subcommand)]
    Token(command::token::TokenCommand),
}

/// 0: done; 1: a problem that was asked for was found; 2: bad usage or input.
fn main() -> ExitCode {
    // A reader that goes away (`| head`) ends the program quietly rather than with a panic.
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Serve(args) => command::serve::run(&args),
        Command::Demo(args) => command::demo::run(&args),
        Command::Bench(args) => command::bench::run(&args),
        Command::Replay(args) => command::replay::run(&args),
        Command::Parse(args) => command::parse::run(&args),
        Command::Rules(args) => command::rules::run(&args),
        Command::Policy(args) => command::policy::run(&args),
        Command::Search(args) => command::client::search(&args),
        Command::Tail(args) => command::client::tail(&args),
        Command::Quarantine(args) => command::quarantine::run(&args),
        Command::Audit(args) => command::audit::run(&args),
        Command::Verify(args) => command::verify::run(&args),
        Command::Reindex(args) => command::reindex::run(&args),
        Command::Generate(args) => command::generate::run(&args),
        Command::Token(args) => command::token::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            command::complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<std::io::Error>()).any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line as a shell would give them, without its comment.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match quote {
                Some(end) if c == end => quote = None,
                None if c == '#' && word.is_none() => break,
                None if c == '"' || c == '\'' => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                None if c.is_whitespace() => words.extend(word.take()),
                _ => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn every_command_of_the_readme_is_one() {
        let blocks = include_str!("../README.md").split("```").skip(1).step_by(2).flat_map(str::lines);
        let lines: Vec<_> = blocks.filter(|line| line.starts_with("mihari ")).map(words).collect();
        assert!(lines.len() > 10);
        for line in lines {
            // A token is taken from the environment.
            let token = ["search", "audit", "tail"].contains(&line[1].as_str()) && !line.contains(&"--token".to_owned());
            let line = line.into_iter().chain(token.then(|| ["--token", "T"].map(str::to_owned)).into_iter().flatten());
            let line: Vec<String> = line.collect();
            if let Err(error) = Arguments::try_parse_from(&line) {
                panic!("{line:?}: {error}");
            }
            if let Some(at) = line.iter().position(|word| word == "explain") {
                let named = format!("title: {}\n", line[at + 1]);
                assert!(
                    rules::pack().iter().any(|(_, text)| text.contains(&named)),
                    "no shipped rule is called {:?}",
                    line[at + 1]
                );
            }
        }
    }
}
