//! Formats that are described, not programmed: a file of templates, keys, constants and cases (`docs/formats.md`), compiled once.
//!
//! ```text
//!  formats/*.yaml ─▶ file::File ─▶ plan::Plan ─▶ Reader: template, then writer::Writer
//! ```

mod file;
mod plan;
mod target;
mod template;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use event::RowBuilder;

use super::format::Object;
use super::grams::Rarity;
use super::names::Names;
use super::record::{Key, Keys};
use super::text::Context;
use file::File;
pub(super) use plan::Plan;
pub(super) use template::FirstTime;
use template::Hit;
use writer::{Scratch, Writer};

/// A description makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("format {name:?}: {reason}")]
pub struct DescriptionError {
    /// The format's name, or the file's.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

/// The descriptions in `formats/`, by their files' names: the build script makes the list.
const SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/formats.rs"));

/// Bytes of one description at most.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Every description, compiled.
#[derive(Debug, Default)]
pub(super) struct Library {
    pub(super) plans: Vec<Arc<Plan>>,
    /// What the descriptions' own records seldom hold.
    pub(super) rarity: Rarity,
}

impl Library {
    /// What is shipped.
    pub(super) fn shipped() -> Arc<Library> {
        static LIBRARY: LazyLock<Arc<Library>> =
            LazyLock::new(|| Arc::new(Library::load(SHIPPED.iter().copied()).expect("the shipped descriptions compile")));
        LIBRARY.clone()
    }

    /// What is shipped, and more: a description takes the place of a shipped one of its name.
    pub(super) fn with<'a>(more: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Library, DescriptionError> {
        Library::load(SHIPPED.iter().copied().chain(more))
    }

    fn load<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Library, DescriptionError> {
        let mut files = BTreeMap::new();
        for (path, text) in texts {
            let file = read(path, text)?;
            files.insert(file.name.clone(), file);
        }
        let rarity = Rarity::of(files.values().flat_map(|file| &file.cases).map(|case| case.raw.as_str()));
        let plans = files.values().map(|file| Plan::compile(file, &files, &rarity).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Library { plans, rarity })
    }
}

fn read(path: &str, text: &str) -> Result<File, DescriptionError> {
    let fault = |reason: String| DescriptionError { name: path.to_owned(), reason };
    if text.len() > FILE_BYTES_MAX {
        return Err(fault(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    serde_saphyr::from_str(text).map_err(|error| fault(error.to_string()))
}

/// Without the blanks and line ends around it. Most have none, and every reader asks.
pub(super) fn trimmed(message: &str) -> &str {
    const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
    match message.as_bytes() {
        [b'!'..=b'~', .., b'!'..=b'~'] => message,
        _ => message.trim_matches(BLANKS),
    }
}

/// Reads records by a plan.
pub(super) struct Reader {
    plan: Arc<Plan>,
    /// Whether no key or capture of it is the event's time.
    lacks_time: bool,
    names: Names,
    /// The keys that each line of objects must have, among those of objects that were read before.
    asked: Vec<Vec<Key>>,
    hits: Vec<Hit>,
    /// A bit for each line that may fit.
    found: Vec<u64>,
    scratch: Scratch,
}

impl Reader {
    /// A reader; `keys` are those of objects that it may be given.
    pub(super) fn new(plan: &Arc<Plan>, keys: &mut Keys) -> Reader {
        Reader {
            asked: plan.lines.iter().map(|line| line.asked_of_objects(keys)).collect(),
            plan: plan.clone(),
            lacks_time: !plan.writes_time(),
            names: Names::new(plan.native),
            hits: Vec::new(),
            found: Vec::new(),
            scratch: Scratch::new(plan.native, plan.names_fields()),
        }
    }

    /// What it reads by.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Writes the record where one of the lines fits it; `object` is what it was read as, where it is one.
    pub(super) fn read(&mut self, mut object: Option<&mut Object<'_>>, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Reader { plan, lacks_time, names, asked, hits, found, scratch } = self;
        let message = trimmed(context.header.message);
        let Some(first) = message.bytes().next() else { return false };
        let mut in_zone = None;
        let read = object.as_deref().map(|object| object.read);
        let done = plan.candidates(first).find(context, read.is_some(), found, |at| {
            let line = &plan.lines[usize::from(at)];
            if !line.template.matches(message, &context.first_time, hits)
                || !writer::accepts(
                    line,
                    message,
                    hits,
                    object.as_deref_mut().map(|object| (object, &asked[usize::from(at)][..])),
                )
            {
                return false;
            }
            let mark = row.mark();
            let writes = match &plan.zone {
                Some(zone) => in_zone.insert(context.in_zone(zone)),
                None => context,
            };
            let mut writer = Writer { plan, names, scratch, read, context: writes, row };
            if writer.line(line, message, hits) {
                writer.set(&line.set);
                row.log_source(line.log_source.unwrap_or(plan.log_source));
                return true;
            }
            row.rewind(mark);
            false
        });
        if done {
            let writes = in_zone.as_ref().unwrap_or(context);
            let mut writer = Writer { plan, names, scratch, read, context: writes, row };
            writer.finish();
            writer.usual(*lacks_time, object.map(|object| &mut *object.usual));
        }
        done
    }

    /// Takes a record of the format's own program that no line fits.
    pub(super) fn claim(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Reader { plan, names, scratch, .. } = self;
        let claims = plan.claims && !plan.apps.is_empty();
        if claims {
            row.log_source(plan.log_source);
            Writer { plan, names, scratch, read: None, context, row }.finish();
        }
        claims
    }
}
