//! The rules as the configuration names them, loaded with what they are read with.

use rules::{LoadOptions, Problem, RuleSet, Source, read_files};

use crate::config;

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
