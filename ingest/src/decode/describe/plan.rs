//! From a description to a plan: names interned, templates compiled, keys and values in tables.

use std::collections::BTreeMap;

use event::{FieldId, FormatId, LogSource, LogSourceId};
use hashbrown::HashMap;
use jiff::tz::TimeZone;
use memchr::memmem;

use super::DescriptionError;
use super::file::{self, Action, File, Line, Scalar, Some1};
use super::target::{self, Convert, Extent, Target, TimeForm};
use super::template::Template;
use crate::decode::grams::{Needed, Rarity, Waiting};
use crate::decode::pairs::Style;
use crate::decode::record;
use crate::decode::stamp::Zone;
use crate::decode::text::Context;

/// A compiled description.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) also: Vec<&'static str>,
    pub(crate) apps: Vec<String>,
    pub(crate) bare: bool,
    pub(crate) claims: bool,
    pub(crate) rank: u8,
    pub(super) format: FormatId,
    pub(super) log_source: LogSourceId,
    pub(crate) native: &'static str,
    /// The zone of stamps without an offset, where it is not the sender's.
    pub(super) zone: Option<Zone>,
    pub(super) set: Sets,
    pub(super) lines: Vec<LinePlan>,
    /// What becomes of keys, and the number of each there.
    keys: Vec<Key>,
    numbers: HashMap<Box<str>, u16>,
    pub(super) values: Vec<HashMap<Box<str>, Meaning>>,
    pub(super) parts: Vec<Vec<LinePlan>>,
    /// Lines by the byte that the text begins with: for each a place in `candidates`, since most bytes share one.
    by_first: Vec<u16>,
    candidates: Vec<Candidates>,
}

/// Lines of a description that texts of some first byte may fit, each with what it needs: once for each of the ways to fit it.
#[derive(Debug)]
pub(super) struct Candidates {
    lines: Vec<(u16, Needed)>,
    /// Where they are many: who waits for which of the text's pairs.
    waiting: Option<Waiting>,
}

/// Lines that are asked one after the other at most.
const FEW: usize = 16;
/// Ways to fit that are tried at once at most: to look at the whole text for its pairs costs more.
const AT_ONCE: usize = 2;

impl Candidates {
    fn new(lines: Vec<(u16, Needed)>) -> Candidates {
        let waiting = (lines.len() > FEW).then(|| {
            let lines = lines.chunk_by(|one, other| one.0 == other.0);
            Waiting::new(lines.map(|line| (line[0].0, line.iter().map(|(_, needed)| *needed).collect())))
        });
        Candidates { lines, waiting }
    }

    /// The first line that `fits` says yes to, of those that the text may fit. Of an object that was read the lines tell by its keys at once.
    /// `found` is memory for a bit a line.
    pub(super) fn find(
        &self,
        context: &Context<'_>,
        is_object: bool,
        found: &mut Vec<u64>,
        mut fits: impl FnMut(u16) -> bool,
    ) -> bool {
        let Some(waiting) = &self.waiting else {
            let at_once = is_object || self.lines.len() <= AT_ONCE && !context.has_grams();
            let grams = (!at_once).then(|| context.grams());
            let may_fit = |needed: &Needed| grams.is_none_or(|grams| grams.may_hold(needed));
            let mut asked = None;
            return self.lines.iter().any(|(at, needed)| may_fit(needed) && asked.replace(*at) != Some(*at) && fits(*at));
        };
        found.clear();
        found.resize(self.lines.last().map_or(0, |(at, _)| usize::from(*at) / 64 + 1), 0);
        waiting.find(context.grams(), found);
        for (word, bits) in found.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let at = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if fits(at as u16) {
                    return true;
                }
            }
        }
        false
    }
}

/// A template and what goes with it.
#[derive(Debug)]
pub(super) struct LinePlan {
    pub(super) template: Template,
    pub(super) set: Sets,
    pub(super) log_source: Option<LogSourceId>,
    pub(super) columns: Vec<Box<str>>,
    pub(super) asks: Vec<Ask>,
}

/// A key that pairs or JSON must have.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) key: Box<str>,
    /// One of them is its value; none: any is.
    pub(super) values: Option<Vec<Box<str>>>,
    /// Looks for the key anywhere, which costs less than to read every pair.
    pub(super) anywhere: memmem::Finder<'static>,
}

impl Ask {
    fn new(key: &str, values: Option<Vec<Box<str>>>) -> Ask {
        Ask { key: key.into(), values, anywhere: memmem::Finder::new(key).into_owned() }
    }

    /// Whether `value` is one that its key may have.
    pub(super) fn wants(&self, value: &str) -> bool {
        self.values.as_ref().is_none_or(|values| values.iter().any(|one| **one == *value))
    }
}

/// Where a key's value goes.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) native: FieldId,
    pub(super) targets: Vec<Target>,
}

/// What a value means.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) write: Option<Box<str>>,
    pub(super) set: Sets,
}

/// Cells that stand fast.
pub(super) type Sets = Vec<(FieldId, Vec<Constant>)>;

#[derive(Debug)]
pub(super) enum Constant {
    Text(Box<str>),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// Keys that one line asks for at most.
const ASKS_MAX: usize = 64;
/// Templates of one description at most.
const LINES_MAX: usize = 2048;

impl Plan {
    /// Everything that a capture or a key of it becomes.
    fn targets(&self) -> impl Iterator<Item = &Target> {
        let captures =
            self.lines.iter().chain(self.parts.iter().flatten()).flat_map(|line| line.template.captures.iter().flatten());
        captures.chain(self.keys.iter().flat_map(|key| &key.targets))
    }

    /// Whether something of it is the event's time.
    pub(super) fn writes_time(&self) -> bool {
        let is_time = |form: TimeForm| matches!(form, TimeForm::Date | TimeForm::Clock | TimeForm::Zone);
        self.targets().any(|target| match target.convert {
            Convert::EventTime(_) => true,
            Convert::Time(form) => is_time(form),
            _ => false,
        })
    }

    /// Whether records of it name their fields.
    pub(super) fn names_fields(&self) -> bool {
        self.targets().any(|target| target.convert.is_body())
    }

    /// Compiles `file`; `bases` are the descriptions that it may build on, `rarity` what texts seldom hold.
    pub(super) fn compile(file: &File, bases: &BTreeMap<String, File>, rarity: &Rarity) -> Result<Plan, DescriptionError> {
        let fault = |reason: String| DescriptionError { name: file.name.clone(), reason };
        if file.name.is_empty() || !file.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(fault("a name is lower case letters, digits and _".to_owned()));
        }
        let format = FormatId::intern(&file.name).ok_or_else(|| fault("no room for the name".to_owned()))?;
        let also = file.also.iter().map(|name| FormatId::intern(name).map(FormatId::name));
        let native = file.native.clone().unwrap_or_else(|| format!("{}.", file.name));
        // The interner keeps names for as long as the process lives, so the prefix costs one name.
        let native =
            if native.is_empty() { "" } else { FieldId::intern(&native).ok_or_else(|| fault("no room".to_owned()))?.name() };
        let mut keys: BTreeMap<&str, &Some1> = BTreeMap::new();
        let mut values: BTreeMap<&str, BTreeMap<&str, &Action>> = BTreeMap::new();
        let from = file.base.iter().map(|base| bases.get(base).ok_or_else(|| fault(format!("no description is named {base:?}"))));
        for part in from.chain([Ok(file)]) {
            let part = part?;
            keys.extend(part.keys.iter().map(|(key, targets)| (key.as_str(), targets)));
            for (name, table) in &part.values {
                values.entry(name).or_default().extend(table.iter().map(|(value, action)| (value.as_str(), action)));
            }
        }
        let mut compiler = Compiler { native, parts: file.parts.keys().map(String::as_str).collect(), values: Vec::new() };
        let mut tables = Vec::new();
        for (name, table) in &values {
            compiler.values.push(name);
            let mut meanings = HashMap::new();
            for (value, action) in table {
                let meaning = match action {
                    Action::Write(text) => Meaning { write: Some(text.to_string().into()), set: Vec::new() },
                    Action::Set(set) => Meaning { write: None, set: sets(set, native).map_err(&fault)? },
                };
                meanings.insert(value.to_lowercase().into(), meaning);
            }
            tables.push(meanings);
        }
        let mut plan = Plan {
            name: format.name(),
            also: also.collect::<Option<_>>().ok_or_else(|| fault("no room for a name".to_owned()))?,
            apps: file.apps.clone(),
            bare: file.bare || file.apps.is_empty(),
            claims: file.claims,
            rank: file.rank,
            format,
            log_source: log_source(&file.source),
            native,
            zone: file.zone.as_deref().map(zone).transpose().map_err(&fault)?,
            set: sets(&file.set, native).map_err(&fault)?,
            lines: compiler.lines(&file.lines).map_err(&fault)?,
            keys: Vec::new(),
            numbers: HashMap::new(),
            values: tables,
            parts: file.parts.values().map(|lines| compiler.lines(lines)).collect::<Result<_, _>>().map_err(&fault)?,
            by_first: Vec::new(),
            candidates: Vec::new(),
        };
        for (at, name) in values.keys().enumerate() {
            if !keys.contains_key(name) && !compiler.is_captured(&plan, name) {
                // A key of which only the values say something.
                let Some(field) = FieldId::intern(&format!("{native}{name}")) else { return Err(fault("no room".to_owned())) };
                let target = Target { values: Some(at as u16), ..Target::new(field, name, Convert::Nothing, false) };
                plan.tell(name, Key { native: field, targets: vec![target] });
            }
        }
        for (key, specs) in keys {
            let native_field = FieldId::intern(&format!("{native}{key}")).ok_or_else(|| fault("no room".to_owned()))?;
            let mut targets = Vec::new();
            for spec in specs.iter().filter(|spec| **spec != Scalar::Null(())) {
                targets.extend(compiler.spec(&spec.to_string(), Some(key)).map_err(|e| fault(format!("key {key:?}: {e}")))?.0);
            }
            plan.tell(key, Key { native: native_field, targets });
        }
        let needed = plan.lines.iter().map(|line| (line.template.first_bytes(), line.needs(rarity), line.template.behind_time()));
        let needed: Vec<_> = needed.collect();
        for byte in 0..256 {
            let lines = (0..).zip(&needed).filter(|(_, (first, ..))| first[byte]);
            let lines = lines.flat_map(|(at, (_, needs, behind_time))| {
                let behind_time = behind_time.as_ref().filter(|behind_time| !behind_time.without[byte]);
                needs.iter().map(move |one| (at, behind_time.map_or(*one, |behind| one.behind_time(behind.first, behind.second))))
            });
            let lines: Vec<(u16, Needed)> = lines.collect();
            let place = plan.candidates.iter().position(|other| other.lines == lines).unwrap_or_else(|| {
                plan.candidates.push(Candidates::new(lines));
                plan.candidates.len() - 1
            });
            plan.by_first.push(place as u16);
        }
        Ok(plan)
    }

    fn tell(&mut self, name: &str, key: Key) {
        self.numbers.insert(name.into(), self.keys.len() as u16);
        self.keys.push(key);
    }

    /// The number of the key `name`, where the description says something of it.
    pub(super) fn number(&self, name: &str) -> Option<u16> {
        self.numbers.get(name).copied()
    }

    /// What becomes of the key of this number.
    pub(super) fn key(&self, number: u16) -> &Key {
        &self.keys[usize::from(number)]
    }

    /// The lines that may fit a text which begins with `byte`.
    pub(super) fn candidates(&self, byte: u8) -> &Candidates {
        &self.candidates[usize::from(self.by_first[usize::from(byte)])]
    }

    /// Keys of which a JSON record must hold one to be tried; empty where no line is JSON.
    pub(crate) fn json_keys(&self) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(|line| line.takes_json())
            .filter_map(|line| line.asks.first().map(|ask| ask.key.split('.').next().unwrap_or(&ask.key)))
    }

    /// Whether it describes nothing, but holds the cases of a format that is programmed.
    pub(crate) fn is_only_cases(&self) -> bool {
        self.lines.is_empty() && self.apps.is_empty()
    }

    /// Whether a line begins with the record's own time.
    pub(crate) fn is_stamped(&self) -> bool {
        self.lines.iter().any(|line| line.template.is_stamped())
    }

    /// Whether some line may begin with `byte`, JSON of known keys left out.
    pub(crate) fn may_begin_with(&self, byte: u8) -> bool {
        self.candidates(byte).lines.iter().any(|(at, _)| {
            let line = &self.lines[usize::from(*at)];
            !line.takes_json() || line.asks.is_empty()
        })
    }

    /// What each line needs that may begin with `byte`.
    pub(crate) fn needs(&self, byte: u8) -> Vec<Needed> {
        self.candidates(byte).lines.iter().map(|(_, needed)| *needed).collect()
    }
}

impl LinePlan {
    /// What texts that fit hold: the template's literals, the keys that pairs or JSON must have, each by its parts, and their values.
    fn needs(&self, rarity: &Rarity) -> Vec<Needed> {
        let mut ways = self.template.ways();
        let mut apart = |literal: &str| {
            ways.gap();
            ways.literal(literal);
        };
        // Of pairs written the usual way the sign follows the key, whatever dots it has.
        let is_plain = |target: &Target| target.convert == Convert::Pairs(Style::default());
        let is_plain =
            self.template.captures.iter().all(|c| c.iter().all(|target| !target.convert.is_body() || is_plain(target)));
        for ask in self.asks.iter().filter(|_| self.columns.is_empty()) {
            if is_plain {
                apart(&format!("{}=", ask.key));
            } else {
                ask.key.split('.').for_each(&mut apart);
            }
        }
        for values in self.asks.iter().filter_map(|ask| ask.values.as_ref()) {
            ways.gap();
            ways.fork(values, |value, ways| ways.literal(value));
        }
        ways.needs(rarity)
    }

    /// The keys that an object must have, among `keys`.
    pub(super) fn asked_of_objects(&self, keys: &mut record::Keys) -> Vec<record::Key> {
        self.asks.iter().filter(|_| self.takes_json()).map(|ask| keys.declare(&ask.key)).collect()
    }

    /// Whether the whole text is JSON.
    fn takes_json(&self) -> bool {
        self.template.first_bytes().iter().all(|fits| *fits)
            && self.template.captures.first().is_some_and(|c| c.iter().any(|t| t.convert == Convert::Json))
    }
}

fn zone(name: &str) -> Result<Zone, String> {
    TimeZone::get(name).map(Zone::new).map_err(|_| format!("no time zone is named {name:?}"))
}

fn log_source(source: &file::Source) -> LogSourceId {
    LogSourceId::intern(LogSource {
        product: source.product.as_deref(),
        category: source.category.as_deref(),
        service: source.service.as_deref(),
    })
}

fn sets(constants: &file::Constants, native: &str) -> Result<Sets, String> {
    constants
        .iter()
        .map(|(name, values)| {
            let name = name.strip_prefix('.').map_or_else(|| name.clone(), |key| format!("{native}{key}"));
            let field = FieldId::intern(&name).ok_or_else(|| format!("no room for the field {name:?}"))?;
            let values = values.iter().map(|value| match value {
                Scalar::Null(()) => Err(format!("{name} has no value")),
                Scalar::Bool(b) => Ok(Constant::Bool(*b)),
                Scalar::Int(n) => Ok(Constant::Int(*n)),
                Scalar::Float(n) => Ok(Constant::Float(*n)),
                Scalar::Text(text) => Ok(Constant::Text(text.as_str().into())),
            });
            Ok((field, values.collect::<Result<_, _>>()?))
        })
        .collect()
}

struct Compiler<'f> {
    native: &'f str,
    /// In the order of their numbers.
    parts: Vec<&'f str>,
    values: Vec<&'f str>,
}

impl Compiler<'_> {
    fn spec(&self, spec: &str, key: Option<&str>) -> Result<(Vec<Target>, Extent), String> {
        let parts = |name: &str| self.parts.iter().position(|p| *p == name).map(|at| at as u16);
        let (mut targets, extent) = target::parse(spec, self.native, &parts)?;
        for target in &mut targets {
            let known = |name: &str| self.values.iter().position(|v| *v == name);
            target.values = known(&target.name).or_else(|| known(key?)).map(|at| at as u16);
        }
        Ok((targets, extent))
    }

    fn is_captured(&self, plan: &Plan, name: &str) -> bool {
        let captures = |lines: &[LinePlan]| {
            lines.iter().flat_map(|line| &line.template.captures).flatten().any(|target| &*target.name == name)
        };
        captures(&plan.lines) || plan.parts.iter().any(|lines| captures(lines))
    }

    fn lines(&self, lines: &[Line]) -> Result<Vec<LinePlan>, String> {
        let mut plans = Vec::new();
        for line in lines {
            let full = match line {
                Line::Full(full) => full.clone(),
                Line::Plain(text) => file::FullLine {
                    line: Some1::One(Scalar::Text(text.clone())),
                    set: BTreeMap::new(),
                    source: None,
                    columns: Vec::new(),
                    has: Vec::new(),
                    is: BTreeMap::new(),
                },
            };
            for text in full.line.iter() {
                let text = text.to_string();
                let template =
                    Template::compile(&text, |spec| self.spec(spec, None)).map_err(|e| format!("line {text:?}: {e}"))?;
                if full.has.len() + full.is.len() > ASKS_MAX {
                    return Err(format!("line {text:?} asks for more than {ASKS_MAX} keys"));
                }
                let has = full.has.iter().map(|key| Ask::new(key, None));
                let is = full
                    .is
                    .iter()
                    .map(|(key, values)| Ask::new(key, Some(values.iter().map(|v| v.to_string().into()).collect())));
                plans.push(LinePlan {
                    template,
                    set: sets(&full.set, self.native)?,
                    log_source: full.source.as_ref().map(log_source),
                    columns: full.columns.iter().map(|c| c.as_str().into()).collect(),
                    asks: has.chain(is).collect(),
                });
            }
        }
        if plans.len() > LINES_MAX {
            return Err(format!("more than {LINES_MAX} lines"));
        }
        Ok(plans)
    }
}
