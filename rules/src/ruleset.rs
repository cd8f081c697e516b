//! A set of rules: loaded from files, bound to fields, ready to match. Immutable; shared by all threads.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use event::{FieldId, LogSource, LogSourceId};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::alert::{AlertRule, ByLanguage};
use crate::behave::Parameters;
use crate::compile::Compiled;
use crate::correlate::plan::Asks;
use crate::fault::{Fault, did_you_mean, misspelt_keys, unknown_keys};
use crate::mapping::Mapping;
use crate::options::LoadOptions;
use crate::resolve::{Resolved, called, resolve};
use crate::sigma::advice as written;
use crate::sigma::budget::Reading;
use crate::sigma::correlation::{self, Correlation, referred};
use crate::sigma::item::{Atom, Expr};
use crate::sigma::rule::{RuleSource, detection, source};
use crate::test_of::Bound;
use crate::yaml::{self, Document, Node};

/// Rules of one set.
const RULES_MAX: usize = 50_000;
/// Names of fields that chained correlations of one set ask of events.
const CARRIED_MAX: usize = 64;
/// How long repeats fold into the alert of the first, where a rule does not say.
const FOLD_NS: i64 = 3600 * 1_000_000_000;

/// What is wrong with a file or a rule.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Problem {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// Whether the rule was refused; else it is a warning.
    pub refused: bool,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a rule says of itself in one language.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Texts {
    /// A short name.
    pub title: String,
    /// What it means.
    pub meaning: String,
    /// What to do first.
    pub first_steps: String,
    /// What else it may be.
    pub false_positives: String,
}

/// What people see of a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleInfo {
    /// Its id, or its name or title where it has none.
    pub id: String,
    /// Its name, by which correlations may refer to it.
    #[serde(skip)]
    pub name: Option<String>,
    /// Its title.
    pub title: String,
    /// informational, low, medium, high or critical.
    pub level: String,
    /// stable, test, experimental, deprecated, unsupported.
    pub status: String,
    /// `sigma`, `correlation` or `behaviour`.
    pub kind: &'static str,
    /// Tags, such as `attack.t1110`.
    pub tags: Vec<String>,
    /// Its log source.
    #[serde(rename = "log_source")]
    pub source: RuleSource,
    /// The texts, by language (`ja`, `en`).
    #[serde(skip)]
    pub texts: BTreeMap<String, Texts>,
    /// The clause of the policy that it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// The fields by which its alerts are told apart.
    #[serde(skip)]
    pub group: Vec<String>,
    /// How long repeats fold, in nanoseconds.
    #[serde(skip)]
    pub fold_ns: i64,
    /// Whether it alerts for itself: not where only correlations use it.
    pub alerts: bool,
    /// Its file.
    pub path: String,
    /// Where it begins there, from 1.
    #[serde(skip)]
    pub line: usize,
    #[serde(skip)]
    said: OnceLock<Said>,
}

/// What every alert of a rule says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) rule: Arc<AlertRule>,
    pub(crate) title: ByLanguage,
    pub(crate) meaning: ByLanguage,
    pub(crate) first_steps: ByLanguage,
    pub(crate) false_positives: ByLanguage,
}

impl RuleInfo {
    /// What every alert of the rule says.
    pub(crate) fn said(&self) -> &Said {
        self.said.get_or_init(|| {
            let text = |of: fn(&Texts) -> &String| {
                let texts = self.texts.iter().map(|(language, t)| (language.clone(), of(t).clone()));
                Arc::new(texts.filter(|(_, t)| !t.is_empty()).collect::<BTreeMap<_, _>>())
            };
            Said {
                rule: Arc::new(AlertRule {
                    id: self.id.clone(),
                    title: self.title.clone(),
                    level: self.level.clone(),
                    tags: self.tags.clone(),
                    kind: self.kind.to_owned(),
                }),
                title: text(|t| &t.title),
                meaning: text(|t| &t.meaning),
                first_steps: text(|t| &t.first_steps),
                false_positives: text(|t| &t.false_positives),
            }
        })
    }
}

/// What a rule does.
pub(crate) enum Body {
    Sigma { expr: Expr<u32>, group: Vec<Vec<FieldId>> },
    Correlation(Box<BoundCorrelation>),
    Behaviour(Box<Parameters>),
}

/// A correlation with its rules found and its fields bound.
pub(crate) struct BoundCorrelation {
    pub(crate) written: Correlation,
    /// What its windows are asked.
    pub(crate) asks: Asks,
    /// Per rule: per group-by name the fields that mean it.
    pub(crate) keys: Vec<Vec<Vec<FieldId>>>,
    /// Per rule: per group-by name the name that a correlation among the rules gave that value.
    pub(crate) key_names: Vec<Vec<String>>,
    /// Per rule: the fields whose values count.
    pub(crate) values: Vec<Vec<Vec<FieldId>>>,
}

pub(crate) struct Rule {
    pub(crate) info: RuleInfo,
    pub(crate) body: Body,
    /// Over its id, its text and, for a correlation, those of every rule that it hangs on.
    pub(crate) key: RuleKey,
    /// What was written: the rule, then what stands beside it.
    texts: Vec<Arc<str>>,
}

/// A rule as it was written, for whoever keeps what was in force.
#[derive(Debug)]
pub struct Written<'r> {
    /// Its id.
    pub id: &'r str,
    /// What tells whether another rule of this id is the same, in hexadecimal: over its text and, for a correlation, over those of every rule that it
    /// hangs on.
    pub identity: String,
    /// Its text, then those of the filters that narrow it, and the placeholders and field names that the configuration gives it.
    pub texts: &'r [Arc<str>],
}

impl Rule {
    pub(crate) fn is_correlation(&self) -> bool {
        matches!(self.body, Body::Correlation(_))
    }
}

/// What tells whether a rule of another set is this one, unchanged: then what is known of it holds on.
pub(crate) type RuleKey = [u8; 16];

/// Rules, ready to match.
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) atoms: Vec<Bound>,
    /// Per rule, the correlations that listen to it and its place in their lists.
    pub(crate) listeners: Vec<Vec<(usize, u16)>>,
    /// Names that chained correlations ask of the event itself, for the correlation within does not group by them.
    pub(crate) carried: Vec<String>,
    /// Per rule that correlations listen to the fields that mean each of these names.
    pub(crate) carries: Vec<Vec<Vec<FieldId>>>,
    /// The conditions of all Sigma rules, compiled together.
    pub(crate) compiled: Compiled,
    hash: [u8; 32],
}

/// A document that was read.
pub(crate) struct Parsed {
    pub(crate) info: RuleInfo,
    document: Document,
    pub(crate) path: String,
    pub(crate) content: Content,
    /// The texts that it is read with: those of the filters that narrow it, and what the configuration says of its placeholders and field names.
    beside: BTreeSet<Arc<str>>,
}

impl Parsed {
    /// What is wrong with it, or advice.
    pub(crate) fn problem(&self, fault: Fault, refused: bool) -> Problem {
        problem_at(&self.path, &self.document, fault, refused)
    }

    /// Whether an id is written, not taken from its name or title.
    pub(crate) fn has_id(&self) -> bool {
        self.document.value.as_ref().is_ok_and(|node| node.get("id").and_then(Node::scalar).is_some_and(|id| !id.is_empty()))
    }
}

fn problem_at(path: &str, document: &Document, fault: Fault, refused: bool) -> Problem {
    let Fault { place, reason, hint } = fault;
    Problem { path: path.to_owned(), line: document.line_of(&place), refused, reason, hint }
}

pub(crate) enum Content {
    Rule(Expr<Atom>),
    Correlation(Correlation),
    Behaviour(Box<Parameters>),
    Filter { rules: Vec<String>, expr: Expr<Atom> },
}

/// A file of rules in memory: its name for messages, and its text.
pub type Source = (String, String);

/// Loads rules from texts. Whatever cannot be loaded is told; the rest is.
pub fn load(files: &[Source], options: &LoadOptions) -> (RuleSet, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut parsed: Vec<Parsed> = Vec::new();
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    let reading = Reading::new(&options.placeholders, options.budget);
    let placeholders = placeholder_texts(options);
    placeholders.iter().for_each(|(_, text)| add(text));
    options.mapping.own_texts(None).for_each(|text| add(&text));
    for (path, text) in files {
        add(text);
        let documents = yaml::documents(text);
        if documents.is_empty() {
            let (path, reason) = (path.clone(), "the file holds no document".to_owned());
            let hint = Some("write a rule, or take the file away".to_owned());
            problems.push(Problem { path, line: 1, refused: false, reason, hint });
        }
        for document in documents {
            reading.next_document();
            match parse(path, document, &reading, &mut problems) {
                Some(mut rule) if parsed.len() < RULES_MAX => {
                    let named = placeholders.iter().filter(|(name, _)| rule.document.text.contains(name));
                    rule.beside.extend(named.map(|(_, text)| text.clone()));
                    rule.beside.extend(options.mapping.own_texts(Some(&rule.info.source)));
                    parsed.push(rule);
                }
                Some(_) => {
                    let reason = format!("more than {RULES_MAX} rules");
                    problems.push(Problem { path: path.clone(), line: 1, refused: true, reason, hint: None });
                }
                None => {}
            }
        }
    }
    apply_filters(&mut parsed, &reading, &mut problems);
    let builder = Builder { mapping: options.mapping.clone(), atoms: Vec::new(), known: HashMap::new() };
    let set = builder.build(parsed, hash.finalize().into(), &mut problems);
    problems.sort();
    (set, problems)
}

/// Per placeholder how rules name it, and what it stands for.
fn placeholder_texts(options: &LoadOptions) -> Vec<(String, Arc<str>)> {
    let text = |(name, values): (&String, &Vec<String>)| (format!("%{name}%"), Arc::from(format!("%{name}%: {values:?}\n")));
    options.placeholders.iter().map(text).collect()
}

/// Reads one document. Everything that is wrong with it is told, and one wrong thing is enough to refuse it.
fn parse(path: &str, document: Document, reading: &Reading<'_>, problems: &mut Vec<Problem>) -> Option<Parsed> {
    let mut tell = |fault: Fault, refused: bool| problems.push(problem_at(path, &document, fault, refused));
    let node = match &document.value {
        Ok(node) => node,
        Err((line, reason)) => {
            let (path, line) = (path.to_owned(), *line);
            let hint = Some("a document is YAML: keys with values, what lies below further in, odd signs in quotes".to_owned());
            problems.push(Problem { path, line, refused: true, reason: reason.clone(), hint });
            return None;
        }
    };
    let (mut faults, mut advice) = (Vec::new(), Vec::new());
    let is_collection = node.text_at("action").is_some_and(|a| a == "global" || a == "reset" || a == "repeat");
    if is_collection {
        let hint = Some("write each rule with everything that it says, and take `action` away".to_owned());
        faults.push(Fault::new(&["action"], "the action of rule collections was removed from Sigma").hint(hint));
    }
    let mut info = info(node, path, &mut faults);
    advice.extend(misspelt_keys(node, KEYS));
    let below_key = |key: &str, faults: Vec<Fault>| faults.into_iter().map(|fault| fault.below(key)).collect::<Vec<_>>();
    advice.extend(node.get("logsource").map_or_else(Vec::new, |node| below_key("logsource", misspelt_keys(node, SOURCE_KEYS))));
    advice.extend(node.get("mihari").map_or_else(Vec::new, |node| below_key("mihari", unknown_keys(node, OUR_KEYS))));
    if !info.status.is_empty() && !STATUSES.contains(&info.status.as_str()) {
        let hint = did_you_mean(&info.status, STATUSES).or_else(|| Some(format!("it is one of {}", STATUSES.join(", "))));
        advice.push(Fault::new(&["status"], format!("unknown status {:?}", info.status)).hint(hint));
    }
    info.line = document.line;
    let read_source = |faults: &mut Vec<Fault>| {
        source(node).unwrap_or_else(|fault| {
            faults.push(fault);
            RuleSource::default()
        })
    };
    let content = if node.get("correlation").is_some() {
        info.kind = "correlation";
        below("correlation", correlation::correlation(node)).map(|(correlation, told)| {
            advice.extend(told.into_iter().map(|fault| fault.below("correlation")));
            Content::Correlation(correlation)
        })
    } else if let Some(node) = node.get("behaviour") {
        info.kind = "behaviour";
        below("behaviour", Parameters::read(node, reading.placeholders()))
            .map(|parameters| Content::Behaviour(Box::new(parameters)))
    } else if let Some(filter) = node.get("filter") {
        let rules = filter_rules(filter, &mut faults);
        info.source = read_source(&mut faults);
        advice.extend(below_key("filter", written::advice(filter)));
        below("filter", detection(filter, &["rules"], reading)).map(|found| Content::Filter { rules, expr: found.expr })
    } else if let Some(node) = node.get("detection") {
        info.source = read_source(&mut faults);
        advice.extend(below_key("detection", written::advice(node)));
        below("detection", detection(node, &[], reading)).map(|found| {
            let unused = |name: String| {
                let hint = Some("name it in the condition, or take it away".to_owned());
                Fault::new(&["detection", &name], format!("the condition never names {name:?}")).hint(hint)
            };
            advice.extend(found.unused.into_iter().map(unused));
            Content::Rule(found.expr)
        })
    } else if is_collection {
        Err(Vec::new())
    } else {
        let kinds = ["detection", "correlation", "filter", "behaviour"];
        let keys = if let Node::Map(entries) = node { &entries[..] } else { &[] };
        let meant = keys.iter().find_map(|(key, _)| did_you_mean(key, kinds));
        let hint = meant.or_else(|| Some("a document has detection, correlation, filter or behaviour".to_owned()));
        Err(vec![Fault::new(&[], "no Sigma rule").hint(hint)])
    };
    let content = content.map_err(|wrong| faults.extend(wrong)).ok();
    let refused = !faults.is_empty();
    faults.into_iter().for_each(|fault| tell(fault, true));
    let content = content.filter(|_| !refused)?;
    advice.into_iter().for_each(|fault| tell(fault, false));
    Some(Parsed { info, path: path.to_owned(), document, content, beside: BTreeSet::new() })
}

/// What every rule of a filter's log source is called.
const ANY: &str = "any";

/// The rules that a filter names. A list of none means any, as in pySigma.
fn filter_rules(filter: &Node, faults: &mut Vec<Fault>) -> Vec<String> {
    match filter.get("rules") {
        None | Some(Node::Null) => {
            let hint = Some("write `rules: any`, or a list of ids or names".to_owned());
            faults.push(Fault::new(&["filter"], "the filter does not say for which rules it is").hint(hint));
            Vec::new()
        }
        Some(Node::List(list)) if list.is_empty() => vec![ANY.to_owned()],
        Some(Node::Text(text)) if text.eq_ignore_ascii_case(ANY) => vec![ANY.to_owned()],
        Some(named) => named.elements().iter().filter_map(Node::written).map(referred).collect(),
    }
}

/// The same, with its faults seen from the document.
fn below<T>(key: &str, result: Result<T, Vec<Fault>>) -> Result<T, Vec<Fault>> {
    result.map_err(|faults| faults.into_iter().map(|fault| fault.below(key)).collect())
}

/// Keys of a document: those of the specification, and ours. Others are let pass, unless they are like one of these.
const KEYS: &[&str] = &[
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "references",
    "author",
    "date",
    "modified",
    "tags",
    "scope",
    "logsource",
    "detection",
    "correlation",
    "filter",
    "fields",
    "falsepositives",
    "level",
    "generate",
    "action",
    "behaviour",
    "mihari",
];
const SOURCE_KEYS: &[&str] = &["product", "category", "service", "definition"];
const OUR_KEYS: &[&str] = &["ja", "en", "clause", "fold", "group"];
const STATUSES: [&str; 5] = ["stable", "test", "experimental", "deprecated", "unsupported"];

/// The levels of Sigma.
const LEVELS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];

fn info(node: &Node, path: &str, faults: &mut Vec<Fault>) -> RuleInfo {
    let text = |key: &str| node.get(key).and_then(Node::scalar).unwrap_or_default();
    let title = text("title");
    if title.is_empty() {
        let keys = if let Node::Map(entries) = node { &entries[..] } else { &[] };
        let meant = keys.iter().find_map(|(key, _)| did_you_mean(key, ["title"]));
        let hint = meant.or_else(|| Some("write `title:` with what the rule finds".to_owned()));
        faults.push(Fault::new(&["title"], "no title").hint(hint));
    }
    let id = [text("id"), text("name"), title.clone()].into_iter().find(|t| !t.is_empty()).unwrap_or_default();
    let level = text("level");
    if !level.is_empty() && !LEVELS.contains(&level.as_str()) {
        let hint = did_you_mean(&level, LEVELS).or_else(|| Some(format!("levels are {}", LEVELS.join(", "))));
        faults.push(Fault::new(&["level"], format!("unknown level {level:?}")).hint(hint));
    }
    let ours = node.get("mihari");
    let list = |node: Option<&Node>| node.map_or(&[][..], Node::elements).iter().filter_map(Node::scalar).collect::<Vec<_>>();
    let mut texts = BTreeMap::new();
    for language in ["ja", "en"] {
        if let Some(node) = ours.and_then(|o| o.get(language)) {
            let text = |key: &str| node.get(key).and_then(Node::scalar).unwrap_or_default();
            let (title, meaning) = (text("title"), text("meaning"));
            let (first_steps, false_positives) = (text("first_steps"), text("false_positives"));
            texts.insert(language.to_owned(), Texts { title, meaning, first_steps, false_positives });
        }
    }
    let fold = ours.and_then(|o| o.get("fold")).and_then(Node::scalar);
    let fold_ns = fold.map_or(Some(FOLD_NS), |fold| correlation::timespan_ns(&fold)).unwrap_or_else(|| {
        faults.push(Fault::new(&["mihari", "fold"], "fold is no timespan").hint(Some("write one such as 1h".to_owned())));
        FOLD_NS
    });
    RuleInfo {
        id,
        name: node.text_at("name").map(str::to_owned),
        title,
        level: if level.is_empty() { "medium".to_owned() } else { level },
        status: text("status"),
        kind: "sigma",
        tags: list(node.get("tags")),
        source: RuleSource::default(),
        texts,
        clause: ours.and_then(|o| o.get("clause")).and_then(Node::scalar),
        group: list(ours.and_then(|o| o.get("group"))),
        fold_ns,
        alerts: true,
        path: path.to_owned(),
        line: 1,
        said: OnceLock::new(),
    }
}

/// The key of a rule: over its id and text; of a correlation also over those of every rule that it hangs on, by way of other correlations
/// too, with the filters of these. Windows that were filled by another question are not this rule's.
fn key_of(at: usize, parsed: &[Parsed], by_name: &HashMap<String, usize>) -> RuleKey {
    let mut hash = Sha256::new();
    let (mut met, mut next) = (BTreeSet::from([at]), vec![at]);
    while let Some(at) = next.pop() {
        let rule = &parsed[at];
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(&rule.info.id);
        add(&rule.document.text);
        if let Content::Correlation(written) = &rule.content {
            for other in written.rules.iter().filter_map(|name| by_name.get(name)) {
                add(&parsed[*other].info.id);
                add(parsed[*other].info.name.as_deref().unwrap_or_default());
                add(&parsed[*other].beside.len().to_string());
                parsed[*other].beside.iter().for_each(|text| add(text));
                if met.insert(*other) {
                    next.push(*other);
                }
            }
        }
    }
    *hash.finalize().first_chunk().unwrap_or(&[0; 16])
}

struct Builder {
    mapping: Mapping,
    atoms: Vec<Bound>,
    known: HashMap<String, u32>,
}

impl Builder {
    fn build(mut self, mut parsed: Vec<Parsed>, hash: [u8; 32], problems: &mut Vec<Problem>) -> RuleSet {
        parsed.retain(|p| !matches!(p.content, Content::Filter { .. }));
        let Resolved { by_name, asks } = resolve(&mut parsed, problems);
        let names: Vec<Vec<String>> = parsed.iter().map(|rule| called(rule, &rule.info.id)).collect();
        let sources: Vec<RuleSource> = parsed.iter().map(|p| p.info.source.clone()).collect();
        let mut silent = vec![false; parsed.len()];
        let mut listeners = vec![Vec::new(); parsed.len()];
        let mut rules: Vec<Rule> = Vec::with_capacity(parsed.len());
        let keys: Vec<RuleKey> = (0..parsed.len()).map(|at| key_of(at, &parsed, &by_name)).collect();
        for (((at, mut rule), key), asks) in parsed.into_iter().enumerate().zip(keys).zip(asks) {
            let texts = std::iter::once(Arc::from(rule.document.text.as_str())).chain(rule.beside.iter().cloned()).collect();
            let body = match rule.content {
                Content::Rule(expr) => {
                    let group = rule.info.group.iter().map(|g| self.mapping.fields(&rule.info.source, g)).collect();
                    Body::Sigma { expr: self.bind(&rule.info.source, &expr), group }
                }
                Content::Correlation(written) => {
                    let asks = asks.expect("what correlations ask was worked out above");
                    let found: Vec<usize> = written.rules.iter().map(|name| by_name[name]).collect();
                    for (place, other) in found.iter().enumerate() {
                        silent[*other] |= !written.generate;
                        listeners[*other].push((at, place as u16));
                    }
                    rule.info.group = written.group_by.clone();
                    Body::Correlation(Box::new(self.bind_correlation(written, asks, &found, &names, &sources)))
                }
                Content::Behaviour(parameters) => Body::Behaviour(parameters),
                Content::Filter { .. } => unreachable!("filters were taken out above"),
            };
            rules.push(Rule { info: rule.info, body, key, texts });
        }
        for (rule, silent) in rules.iter_mut().zip(silent) {
            rule.info.alerts = !silent;
        }
        let conditions = rules.iter().zip(0..).filter_map(|(rule, number)| match &rule.body {
            Body::Sigma { expr, .. } => Some((number, &rule.info.source, expr)),
            Body::Correlation(_) | Body::Behaviour(_) => None,
        });
        let compiled = Compiled::new(&self.atoms, &conditions.collect::<Vec<_>>());
        let carried = carried(&rules, &listeners, problems);
        let fields_of = |(source, listeners): (&RuleSource, &Vec<_>)| match listeners.is_empty() {
            true => Vec::new(),
            false => carried.iter().map(|name| self.mapping.fields(source, name)).collect(),
        };
        let carries = sources.iter().zip(&listeners).map(fields_of).collect();
        RuleSet { rules, atoms: self.atoms, listeners, carried, carries, compiled, hash }
    }

    fn bind_correlation(
        &self,
        written: Correlation,
        asks: Asks,
        rules: &[usize],
        names: &[Vec<String>],
        sources: &[RuleSource],
    ) -> BoundCorrelation {
        let (mut keys, mut key_names, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for rule in rules {
            let own = &names[*rule];
            let fields_of = |name: &String| self.mapping.fields(&sources[*rule], written.group_field(name, own));
            keys.push(written.group_by.iter().map(fields_of).collect());
            values.push(written.fields.iter().map(fields_of).collect());
            key_names.push(written.group_by.iter().map(|group| written.group_field(group, own).to_owned()).collect());
        }
        BoundCorrelation { written, asks, keys, key_names, values }
    }

    /// Numbers the tests of a condition, the same test of the same fields once.
    fn bind(&mut self, source: &RuleSource, expr: &Expr<Atom>) -> Expr<u32> {
        match expr {
            Expr::Atom(atom) => {
                let bound = Bound::new(atom, |name| self.mapping.fields(source, name));
                let key = format!("{:?}", (&bound.fields, &bound.other, bound.keyword, &bound.test));
                let next = self.atoms.len() as u32;
                let id = *self.known.entry(key).or_insert(next);
                if id == next {
                    self.atoms.push(bound);
                }
                Expr::Atom(id)
            }
            Expr::And(all) => Expr::And(all.iter().map(|e| self.bind(source, e)).collect()),
            Expr::Or(any) => Expr::Or(any.iter().map(|e| self.bind(source, e)).collect()),
            Expr::AtLeast(n, of) => Expr::AtLeast(*n, of.iter().map(|e| self.bind(source, e)).collect()),
            Expr::Not(inner) => Expr::Not(Box::new(self.bind(source, inner))),
            Expr::Named(name, inner) => Expr::Named(name.clone(), Box::new(self.bind(source, inner))),
        }
    }
}

/// The names that correlations ask of those within them which do not group by them. A correlation only uses its own `group-by` (correlation
/// specification, "Ordered Temporal Proximity"), so such a name is that of a field of the event that made the inner one fire.
fn carried(rules: &[Rule], listeners: &[Vec<(usize, u16)>], problems: &mut Vec<Problem>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (inner, of) in rules.iter().zip(listeners) {
        let Body::Correlation(within) = &inner.body else { continue };
        for (outer, place) in of {
            let Rule { info, body: Body::Correlation(bound), .. } = &rules[*outer] else { continue };
            let asked = bound.key_names[usize::from(*place)].iter().chain(&bound.written.fields);
            for name in asked.filter(|name| !within.written.group_by.contains(name)) {
                if names.len() < CARRIED_MAX && !names.contains(name) {
                    names.push(name.clone());
                } else if !names.contains(name) {
                    let reason =
                        format!("more than {CARRIED_MAX} fields are asked through other correlations: {name:?} is not found");
                    let hint = Some(format!("let {:?} group by {name:?} too", inner.info.title));
                    problems.push(Problem { path: info.path.clone(), line: info.line, refused: false, reason, hint });
                }
            }
        }
    }
    names
}

/// Adds each filter's condition to the rules that it names (as pySigma: the rule and the filter's condition as written).
fn apply_filters(parsed: &mut [Parsed], reading: &Reading<'_>, problems: &mut Vec<Problem>) {
    let filters: Vec<_> = parsed
        .iter()
        .filter_map(|p| match &p.content {
            Content::Filter { rules, expr } => Some((
                rules.clone(),
                p.info.source.clone(),
                expr.clone(),
                p.path.clone(),
                p.document.line,
                p.beside.iter().cloned().chain([Arc::from(p.document.text.as_str())]).collect::<Vec<_>>(),
            )),
            _ => None,
        })
        .collect();
    let known: HashSet<String> =
        parsed.iter().flat_map(|rule| rule.info.name.iter().chain([&rule.info.id])).cloned().map(referred).collect();
    for (names, source, expr, path, line, texts) in filters {
        if !negates(&expr) {
            let reason = "a filter without `not` keeps only what it selects".to_owned();
            let hint = Some("to leave something out, write `condition: not selection`".to_owned());
            problems.push(Problem { path: path.clone(), line, refused: false, reason, hint });
        }
        let nodes = expr.nodes();
        let mut used = false;
        for rule in parsed.iter_mut() {
            let id = referred(rule.info.id.clone());
            let meant = names.iter().any(|n| n == ANY || *n == id || rule.info.name.as_ref() == Some(n));
            let covers = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
            let fits = covers(&source.product, &rule.info.source.product)
                && covers(&source.category, &rule.info.source.category)
                && covers(&source.service, &rule.info.source.service);
            if let Content::Rule(own) = &mut rule.content
                && meant
                && fits
            {
                used = true;
                reading.next_document(); // What a filter grows to counts for all rules together.
                if let Err(Fault { reason, hint, .. }) = reading.take_nodes(nodes) {
                    problems.push(Problem { path: path.clone(), line, refused: true, reason, hint });
                    break;
                }
                rule.beside.extend(texts.iter().cloned());
                match own {
                    // Filters stand beside each other: within each other many would nest too deeply.
                    Expr::And(all) => all.push(expr.clone()),
                    one => *one = Expr::And(vec![std::mem::replace(one, Expr::Or(Vec::new())), expr.clone()]),
                }
            }
        }
        let mut tell = |reason: String| {
            let hint = Some("rules are named by id or name, and the log source must be theirs".to_owned());
            problems.push(Problem { path: path.clone(), line, refused: false, reason, hint });
        };
        if used {
            let unknown = names.iter().filter(|name| *name != ANY && !known.contains(*name));
            unknown.for_each(|name| tell(format!("the filter names {name:?}, which is not loaded")));
        } else {
            tell("the filter applies to no loaded rule".to_owned());
        }
    }
}

/// Whether a condition asks that something is not so.
fn negates(expr: &Expr<Atom>) -> bool {
    match expr {
        Expr::Not(_) => true,
        Expr::Atom(_) => false,
        Expr::And(of) | Expr::Or(of) | Expr::AtLeast(_, of) => of.iter().any(negates),
        Expr::Named(_, inner) => negates(inner),
    }
}

/// Categories that stand for several others (Sigma taxonomy appendix, "Registry").
pub(crate) const GENERIC: &[(&str, &[&str])] =
    &[("registry_event", &["registry_add", "registry_delete", "registry_set", "registry_rename"])];

impl RuleSet {
    /// What people see of the rules; a [`crate::Match`] names a rule by its index here.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &RuleInfo> {
        self.rules.iter().map(|rule| &rule.info)
    }

    /// Whether any of them describes a behaviour.
    pub fn has_behaviours(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.body, Body::Behaviour(_)))
    }

    /// Over all texts: two sets with the same hash give the same alerts.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The rules as they were written.
    pub fn written(&self) -> impl Iterator<Item = Written<'_>> {
        self.rules.iter().map(move |rule| Written {
            id: &rule.info.id,
            identity: event::hexadecimal(&rule.key),
            texts: &rule.texts,
        })
    }

    /// Where the rules with these keys stand here; none for those that are no more, or not as they were.
    pub(crate) fn places_of(&self, keys: impl Iterator<Item = (RuleKey, bool)>) -> Vec<Option<usize>> {
        let mut here: HashMap<(RuleKey, bool), Vec<usize>> = HashMap::new();
        for (at, rule) in self.rules.iter().enumerate().rev() {
            here.entry((rule.key, rule.is_correlation())).or_default().push(at);
        }
        keys.map(|key| here.get_mut(&key)?.pop()).collect()
    }

    /// Different tests altogether.
    pub fn tests(&self) -> usize {
        self.atoms.len()
    }

    /// Whether the rule is for events of this log source: each part that the rule names must be the event's; an event of
    /// which nothing is known is for every rule.
    pub(crate) fn eligible(&self, rule: usize, source: LogSourceId) -> bool {
        if source == LogSourceId::UNKNOWN {
            return true;
        }
        let wanted = &self.rules[rule].info.source;
        let LogSource { product, category, service } = source.parts();
        if wanted.category.as_deref() == Some("any") {
            return true;
        }
        let fits = |wanted: &Option<String>, has: Option<&str>| wanted.as_deref().is_none_or(|w| Some(w) == has);
        let covers = || {
            GENERIC
                .iter()
                .any(|(wide, narrow)| wanted.category.as_deref() == Some(wide) && category.is_some_and(|c| narrow.contains(&c)))
        };
        fits(&wanted.product, product) && (fits(&wanted.category, category) || covers()) && fits(&wanted.service, service)
    }
}
