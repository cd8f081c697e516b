//! What the configuration names, loaded: rules with what they are read with, the zone policy, the site, the decoders' settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use event::{Clock, Time, Transport};
use index::IndexOptions;
use ingest::decode::{DecodeSettings, Differing};
use rules::behave::indicator::Indicators;
use rules::policy::Policy;
use rules::{LoadOptions, Problem, RuleSet, Site, Source, read_files};
use tracing::warn;

use crate::clock::SystemClock;
use crate::config::{self, Config, ListenKind};

/// Rules as loaded, with what they were read with and what is wrong with either.
pub(crate) struct Loaded {
    pub(crate) rules: RuleSet,
    pub(crate) options: LoadOptions,
    pub(crate) problems: Vec<Problem>,
    /// The files, for saying which document a problem is of.
    pub(crate) files: Vec<Source>,
}

impl Loaded {
    /// What was refused, each with its file and the document as it is written there; nothing written where the file could not be read.
    pub(crate) fn refused(&self) -> Vec<((String, String), &Problem)> {
        let text_of = |p: &Problem| {
            let file = self.files.iter().find(|(path, _)| *path == p.path);
            file.and_then(|(_, text)| rules::yaml::document_at(text, p.line)).unwrap_or_default()
        };
        self.problems.iter().filter(|p| p.refused).map(|p| ((p.path.clone(), text_of(p)), p)).collect()
    }
}

/// The placeholders and field names that the configuration gives rules.
pub(crate) fn load_options(config: &config::Rules) -> (LoadOptions, Vec<Problem>) {
    LoadOptions::read(&config.placeholders, &config.mapping)
}

/// Loads the shipped pack, and what the configuration adds.
pub(crate) fn load_rules(config: &config::Rules) -> Loaded {
    let (options, mut problems) = load_options(config);
    let (mut files, more) = read_files(&config.paths);
    problems.extend(more);
    if config.pack {
        files.extend(rules::pack().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    }
    let (rules, more) = rules::load(&files, &options);
    problems.extend(more);
    Loaded { rules, options, problems, files }
}

/// Refuses what is not there: a mistyped path must not pass for a folder without rules.
pub(crate) fn must_exist(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        std::fs::metadata(path).with_context(|| format!("failed to read {}", path.display()))?;
    }
    Ok(())
}

/// Makes the folder of the data where there is none, for its owner alone: the records and the alerts are confidential.
pub(crate) fn make_data(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("failed to make {}", path.display()))
}

/// Reads and proves the zone file.
pub(crate) fn load_policy(path: &Path) -> Result<Policy> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    match Policy::parse(&text) {
        Ok((policy, mut problems)) => {
            problems.extend(policy.ended_exceptions(SystemClock.now()));
            for problem in problems {
                warn!(path = %path.display(), lines = ?problem.lines, reason = problem.reason, "the zone policy");
            }
            Ok(policy)
        }
        Err(problems) => {
            let text: Vec<String> = problems
                .iter()
                .filter(|p| !p.warning)
                .map(|p| format!("{}{}: {}", path.display(), p.place(), p.reason))
                .collect();
            anyhow::bail!("the zone policy does not hold together\n{}", text.join("\n"))
        }
    }
}

/// The format descriptions at `paths`, a folder's in the order of their names.
fn description_files(paths: &[PathBuf]) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in paths {
        let failed = || format!("failed to read {}", path.display());
        if path.is_dir() {
            let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path).with_context(failed)?.collect();
            let entries = entries.with_context(failed)?.into_iter().map(|entry| entry.path());
            files.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml")));
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Ok((path.display().to_string(), text))
    };
    files.into_iter().map(read).collect()
}

/// What the site knows of itself, with its indicators, and what is wrong with these.
pub(crate) fn load_site(config: &config::Behaviour) -> Result<(Site, Vec<String>)> {
    let list = |name: &str, texts: &[String]| {
        (name.to_owned(), rules::yaml::Node::List(texts.iter().cloned().map(rules::yaml::Node::Text).collect()))
    };
    let config::Safelist { sources, destinations, domains, ports } = &config.safelist;
    let safelist = rules::yaml::Node::Map(vec![
        list("sources", sources),
        list("destinations", destinations),
        list("domains", domains),
        list("ports", ports),
    ]);
    let site = Site::new(&config.inside, Some(&safelist)).map_err(anyhow::Error::msg).context("behaviour")?;
    let (indicators, problems) = Indicators::load(&config.indicators);
    Ok((site.with_indicators(indicators), problems))
}

/// The decoders' settings as configured, with what differs for places that are listened at.
pub(crate) fn decode_settings(
    config: &config::Decode,
    listens: &[config::Listen],
    reference: Time,
) -> Result<Arc<DecodeSettings>> {
    let mut settings = DecodeSettings::new(&config.time_zone, reference).context("decode.time_zone")?;
    settings.community_id = config.community_id;
    if !config.formats.is_empty() {
        settings.add_formats(&description_files(&config.formats)?).context("decode.formats")?;
    }
    for source in &config.sources {
        let added = settings.add_source(&source.cidr, source.differing());
        added.with_context(|| format!("decode.sources: {}", source.cidr))?;
    }
    for (at, listen) in listens.iter().enumerate().filter(|(_, listen)| listen.differing() != Differing::default()) {
        let path = listen.path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let (transport, names) = match (listen.kind, &listen.kafka) {
            (ListenKind::File, _) => (Transport::File, path.into_iter().collect()),
            (_, Some(kafka)) => (Transport::Kafka, kafka.topics.clone()),
            _ => (Transport::Stdin, Vec::new()),
        };
        settings.add_way(transport, &names, listen.differing()).with_context(|| format!("listen[{at}]"))?;
    }
    Ok(Arc::new(settings))
}

/// How the index is kept, as configured.
pub(crate) fn index_options(config: &Config) -> IndexOptions {
    IndexOptions {
        shard_documents: config.index.shard_events,
        shard_span_ns: i64::from(config.index.shard_hours) * 3600 * 1_000_000_000,
        ..IndexOptions::new(&config.data.join("index"))
    }
}
