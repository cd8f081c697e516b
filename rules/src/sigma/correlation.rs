//! Correlation rules: their syntax. What they ask of events is in `correlate`.

use std::collections::BTreeMap;

use super::condition::{self, Condition};
use super::item::{Number, Order};
use crate::fault::{Fault, did_you_mean, unknown_keys};
use crate::yaml::Node;

/// The kinds of correlation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// How many events.
    EventCount,
    /// How many different values (or tuples of values).
    ValueCount,
    /// Different rules, in any order.
    Temporal,
    /// Different rules, in the order of the list.
    TemporalOrdered,
    /// The sum of a field.
    ValueSum,
    /// The average of a field.
    ValueAvg,
    /// A percentile of a field, interpolated linearly.
    ValuePercentile,
    /// The median of a field.
    ValueMedian,
}

/// A correlation as written. Rules are named as the document names them, by id or name.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// Its kind.
    pub kind: Kind,
    /// The rules that it is about.
    pub rules: Vec<String>,
    /// The fields, or aliases, by whose values events are told apart.
    pub group_by: Vec<String>,
    /// The window, in nanoseconds; both edges belong to it.
    pub timespan_ns: i64,
    /// Comparisons that all must hold.
    pub bounds: Vec<(Order, Number)>,
    /// Which of the rules must have fired, for temporal ones with a condition of their own.
    pub extended: Option<Condition>,
    /// The fields whose values count.
    pub fields: Vec<String>,
    /// The percentile, 0 to 100.
    pub percentile: f64,
    /// Alias → rule → field.
    pub aliases: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether the rules named alert for themselves too.
    pub generate: bool,
}

/// Windows may not be longer: state is kept as long, within the bounds of the correlator.
const TIMESPAN_NS_MAX: i64 = 366 * 24 * 3600 * 1_000_000_000;
const RULES_MAX: usize = 256;

/// The kinds by the names that rules give them.
const KINDS: [(&str, Kind); 8] = [
    ("event_count", Kind::EventCount),
    ("value_count", Kind::ValueCount),
    ("temporal", Kind::Temporal),
    ("temporal_ordered", Kind::TemporalOrdered),
    ("value_sum", Kind::ValueSum),
    ("value_avg", Kind::ValueAvg),
    ("value_percentile", Kind::ValuePercentile),
    ("value_median", Kind::ValueMedian),
];
const ORDERS: [(&str, Order); 6] =
    [("gt", Order::Gt), ("gte", Order::Gte), ("lt", Order::Lt), ("lte", Order::Lte), ("eq", Order::Eq), ("neq", Order::Neq)];

/// Keys of a `correlation`; the last two as others write them.
const KEYS: &[&str] = &["type", "rules", "group-by", "timespan", "condition", "aliases", "timeframe", "generate"];

/// Reads the `correlation` of `document`, with advice on what is probably not meant.
///
/// # Errors
/// Says everything that is missing or wrong.
pub fn correlation(document: &Node) -> Result<(Correlation, Vec<Fault>), Vec<Fault>> {
    let node = document.get("correlation").unwrap_or(&Node::Null);
    let named = node.text_at("type").unwrap_or("");
    let Some((_, kind)) = KINDS.into_iter().find(|(name, _)| *name == named) else {
        let kinds = KINDS.map(|(name, _)| name);
        let meant = did_you_mean(named, kinds).or_else(|| Some(format!("types are {}", kinds.join(", "))));
        return Err(vec![Fault::new(&["type"], format!("unknown correlation type {named:?}")).hint(meant)]);
    };
    let is_temporal = matches!(kind, Kind::Temporal | Kind::TemporalOrdered);
    let mut faults = Vec::new();
    let mut texts = |key: &str| -> Vec<String> {
        let elements = node.get(key).map_or(&[][..], Node::elements);
        let texts: Option<Vec<String>> = elements.iter().map(Node::written).collect();
        texts.unwrap_or_else(|| {
            faults.push(Fault::new(&[key], format!("{key}: expects names")).hint(Some(format!("write `{key}: [a, b]`"))));
            Vec::new()
        })
    };
    let (mut rules, group_by) = (texts("rules"), texts("group-by"));
    rules = rules.into_iter().map(referred).collect();
    let timespan = node.get("timespan").or(node.get("timeframe")).and_then(Node::scalar);
    let timespan_ns = timespan.as_deref().map_or(Err("no timespan".to_owned()), |text| {
        let reason = || format!("{text:?} is no timespan (a number with s, m, h, d, w, M or y, 366 days at most)");
        timespan_ns(text).ok_or_else(reason)
    });
    let timespan_ns = timespan_ns.unwrap_or_else(|reason| {
        faults.push(Fault::new(&["time"], reason).hint(Some("write one such as 10m".to_owned())));
        0
    });
    let compares = compares(node.get("condition"), is_temporal).unwrap_or_else(|wrong| {
        faults.extend(wrong);
        Compares::default()
    });
    if let (true, Some(condition)) = (rules.is_empty(), &compares.extended) {
        names_in(condition, &mut rules);
    }
    if rules.is_empty() || rules.len() > RULES_MAX {
        let hint = Some("write `rules: [a, b]`, by id or name".to_owned());
        faults.push(Fault::new(&["rules"], format!("a correlation is about 1 to {RULES_MAX} rules")).hint(hint));
    }
    if faults.is_empty()
        && !matches!(kind, Kind::EventCount | Kind::Temporal | Kind::TemporalOrdered)
        && compares.fields.is_empty()
    {
        let hint = Some("write `field:` beside the comparison".to_owned());
        faults.push(Fault::new(&["condition"], "the condition names no field").hint(hint));
    }
    if faults.is_empty() && compares.bounds.is_empty() && !is_temporal {
        let hint = Some("write one such as `gte: 5`".to_owned());
        faults.push(Fault::new(&["condition"], "the condition compares nothing").hint(hint));
    }
    let mut aliases = BTreeMap::new();
    if let Some(other) = node.get("aliases").filter(|aliases| !matches!(aliases, Node::Map(_) | Node::Null)) {
        let hint = Some("write `alias: {rule: field}`".to_owned());
        faults
            .push(Fault::new(&["aliases"], format!("aliases: {} is no mapping", other.scalar().unwrap_or_default())).hint(hint));
    }
    if let Some(Node::Map(entries)) = node.get("aliases") {
        for (alias, by_rule) in entries {
            let Node::Map(by_rule) = by_rule else {
                let hint = Some("write `alias: {rule: field}`".to_owned());
                faults.push(Fault::new(&["aliases", alias], format!("the alias {alias} is no mapping")).hint(hint));
                continue;
            };
            let fields = by_rule.iter().filter_map(|(rule, field)| Some((rule.clone(), field.written()?))).collect();
            aliases.insert(alias.clone(), fields);
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut advice = unknown_keys(node, KEYS);
    if let Some(text) = timespan.filter(|text| text.ends_with('M')) {
        let hint = Some("minutes are written m".to_owned());
        advice.push(Fault::new(&["time"], format!("{text} is a number of months")).hint(hint));
    }
    if let (Kind::EventCount | Kind::Temporal | Kind::TemporalOrdered, false) = (kind, compares.fields.is_empty()) {
        advice.push(Fault::new(&["condition", "field"], format!("{named} counts no values: `field` means nothing here")));
    }
    advice.extend(in_vain(kind, &rules, &compares.bounds));
    let correlation = Correlation {
        kind,
        rules,
        group_by,
        timespan_ns,
        bounds: compares.bounds,
        extended: compares.extended,
        fields: compares.fields,
        percentile: compares.percentile,
        aliases,
        // The schema has it beside `correlation`, pySigma within.
        generate: [document, node].iter().any(|at| matches!(at.get("generate"), Some(Node::Bool(true)))),
    };
    Ok((correlation, advice))
}

/// Advice on comparisons that hold for every number that a window can count, or for none.
fn in_vain(kind: Kind, rules: &[String], bounds: &[(Order, Number)]) -> Option<Fault> {
    let most = match kind {
        Kind::EventCount | Kind::ValueCount => i128::MAX,
        Kind::Temporal | Kind::TemporalOrdered => rules.len() as i128,
        Kind::ValueSum | Kind::ValueAvg | Kind::ValuePercentile | Kind::ValueMedian => return None,
    };
    // Between two numbers that are compared with, the answer is always the same.
    let ends = bounds.iter().flat_map(|(_, with)| [-1.0, 0.0, 1.0].map(|by| (with.float() + by).floor() as i128));
    let ends = ends.filter(|n| *n >= 0);
    let holds = |n: i128| bounds.iter().all(|(order, with)| Number::Int(n).compare(*order, *with));
    let reason = if bounds.is_empty() {
        return None;
    } else if ends.clone().chain([0, 1]).all(holds) {
        "every number satisfies the condition"
    } else if !ends.chain([1, most]).filter(|n| (1..=most).contains(n)).any(holds) {
        "no number that can be counted satisfies the condition"
    } else {
        return None;
    };
    Some(Fault::new(&["condition"], reason).hint(Some("compare with a number from 1 up that a window reaches".to_owned())))
}

/// What the condition of a correlation asks.
struct Compares {
    bounds: Vec<(Order, Number)>,
    extended: Option<Condition>,
    fields: Vec<String>,
    percentile: f64,
}

impl Default for Compares {
    fn default() -> Compares {
        Compares { bounds: Vec::new(), extended: None, fields: Vec::new(), percentile: 50.0 }
    }
}

fn compares(condition: Option<&Node>, is_temporal: bool) -> Result<Compares, Vec<Fault>> {
    let mut compares = Compares::default();
    let mut faults = Vec::new();
    let entries = match condition {
        Some(Node::Text(_)) if !is_temporal => {
            let hint = Some("write one such as `condition: {gte: 5}`, or take type temporal".to_owned());
            return Err(vec![Fault::new(&["condition"], "only temporal correlations take a condition over rules").hint(hint)]);
        }
        Some(Node::Text(text)) => {
            let wrong =
                |reason| vec![Fault::new(&["condition"], reason).hint(Some("write one such as `a and not b`".to_owned()))];
            compares.extended = Some(condition::parse(text).map_err(wrong)?);
            return Ok(compares);
        }
        Some(Node::Map(entries)) => entries,
        None if is_temporal => return Ok(compares),
        _ => {
            let hint = Some("write one such as `condition: {gte: 5}`".to_owned());
            return Err(vec![Fault::new(&["condition"], "no condition").hint(hint)]);
        }
    };
    for (key, value) in entries {
        let number = Number::of(value).or_else(|| Number::parse(value.text()?));
        let place = ["condition", key];
        match key.as_str() {
            "field" => compares.fields = value.elements().iter().filter_map(Node::written).collect(),
            "percentile" => match number.map(Number::float).filter(|p| (0.0..=100.0).contains(p)) {
                Some(percentile) => compares.percentile = percentile,
                None => faults.push(
                    Fault::new(&place, "percentile is a number from 0 to 100").hint(Some("write one such as 95".to_owned())),
                ),
            },
            _ => match (ORDERS.into_iter().find(|(name, _)| name == key), number) {
                (Some((_, order)), Some(number)) => compares.bounds.push((order, number)),
                (Some(_), None) => {
                    let hint = Some("write one such as 5".to_owned());
                    faults.push(Fault::new(&place, format!("{key}: expects a number")).hint(hint));
                }
                (None, _) => {
                    let known = ORDERS.map(|(name, _)| name).into_iter().chain(["field", "percentile"]);
                    let meant = did_you_mean(key, known).or_else(|| Some("conditions are gt, gte, lt, lte, eq, neq".to_owned()));
                    faults.push(Fault::new(&place, format!("unknown condition {key:?}")).hint(meant));
                }
            },
        }
    }
    if faults.is_empty() { Ok(compares) } else { Err(faults) }
}

/// The rules that a condition names, in the order in which it names them.
fn names_in(condition: &Condition, names: &mut Vec<String>) {
    match condition {
        Condition::Name(name) if !names.contains(name) => names.push(name.clone()),
        Condition::Name(_) | Condition::Of(..) => {}
        Condition::Not(inner) => names_in(inner, names),
        Condition::And(of) | Condition::Or(of) => of.iter().for_each(|c| names_in(c, names)),
    }
}

/// A name by which a rule is meant. Of ids that are UUIDs case says nothing (RFC 9562 §4).
pub(crate) fn referred(name: String) -> String {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let groups = name.split('-').map(|group| Some(group.len()).filter(|_| group.bytes().all(|b| b.is_ascii_hexdigit())));
    if groups.eq(GROUPS.map(Some)) { name.to_ascii_lowercase() } else { name }
}

pub(crate) fn timespan_ns(text: &str) -> Option<i64> {
    let unit_at = text.len().checked_sub(1)?;
    let seconds = match text.get(unit_at..)? {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        // Beside the specification, as pySigma has them; a year is the Gregorian one, a month its twelfth.
        "w" => 7 * 86_400,
        "M" => 2_629_746,
        "y" => 31_556_952,
        _ => return None,
    };
    let count: i64 = text.get(..unit_at)?.trim().parse().ok()?;
    count.checked_mul(seconds)?.checked_mul(1_000_000_000).filter(|ns| (1..=TIMESPAN_NS_MAX).contains(ns))
}

impl Correlation {
    /// The field of a rule that a group-by name means: the alias's for the rule, else the name itself.
    pub fn group_field<'a>(&'a self, name: &'a str, rule_names: &[String]) -> &'a str {
        let of_rule = |alias: &'a BTreeMap<String, String>| rule_names.iter().find_map(|rule| alias.get(rule));
        self.aliases.get(name).and_then(of_rule).map_or(name, String::as_str)
    }
}
