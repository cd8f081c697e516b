//! Correlation rules: their syntax. What they ask of events is in `correlate`.

use std::collections::BTreeMap;

use super::condition::{self, Condition};
use super::item::{Number, Order};
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

/// Windows may not be longer: state would be kept as long.
const TIMESPAN_NS_MAX: i64 = 31 * 24 * 3600 * 1_000_000_000;
const RULES_MAX: usize = 256;

/// Reads the `correlation` of `document`.
///
/// # Errors
/// Says what is missing or wrong.
pub fn correlation(document: &Node) -> Result<Correlation, String> {
    let Some(node) = document.get("correlation") else { return Err("no correlation".to_owned()) };
    let kind = match node.text_at("type").unwrap_or("") {
        "event_count" => Kind::EventCount,
        "value_count" => Kind::ValueCount,
        "temporal" => Kind::Temporal,
        "temporal_ordered" => Kind::TemporalOrdered,
        "value_sum" => Kind::ValueSum,
        "value_avg" => Kind::ValueAvg,
        "value_percentile" => Kind::ValuePercentile,
        "value_median" => Kind::ValueMedian,
        other => return Err(format!("unknown correlation type {other:?}")),
    };
    let texts = |key: &str| -> Result<Vec<String>, String> {
        let elements = node.get(key).map_or(&[][..], Node::elements);
        elements.iter().map(|e| e.scalar().ok_or_else(|| format!("{key}: expects names"))).collect()
    };
    let rules = texts("rules")?;
    let timespan = node.get("timespan").or(node.get("timeframe")).and_then(Node::scalar).ok_or("no timespan")?;
    let mut correlation = Correlation {
        kind,
        group_by: texts("group-by")?,
        timespan_ns: timespan_ns(&timespan)
            .ok_or_else(|| format!("{timespan:?} is no timespan (a number with s, m, h, d, w or M, 31 days at most)"))?,
        bounds: Vec::new(),
        extended: None,
        fields: Vec::new(),
        percentile: 50.0,
        aliases: BTreeMap::new(),
        // The schema has it beside `correlation`, pySigma within.
        generate: [document, node].iter().any(|at| matches!(at.get("generate"), Some(Node::Bool(true)))),
        rules,
    };
    let is_temporal = matches!(kind, Kind::Temporal | Kind::TemporalOrdered);
    match node.get("condition") {
        Some(Node::Text(_)) if !is_temporal => return Err("only temporal correlations take a condition over rules".to_owned()),
        Some(Node::Text(text)) => {
            let condition = condition::parse(text)?;
            if correlation.rules.is_empty() {
                names_in(&condition, &mut correlation.rules);
            }
            correlation.extended = Some(condition);
        }
        Some(Node::Map(entries)) => {
            for (key, value) in entries {
                let order = match key.as_str() {
                    "gt" => Order::Gt,
                    "gte" => Order::Gte,
                    "lt" => Order::Lt,
                    "lte" => Order::Lte,
                    "eq" => Order::Eq,
                    "neq" => Order::Neq,
                    "field" => {
                        correlation.fields = value.elements().iter().filter_map(Node::scalar).collect();
                        continue;
                    }
                    "percentile" => {
                        let wanted = value.scalar().and_then(|t| Number::parse(&t)).map(Number::float);
                        correlation.percentile =
                            wanted.filter(|p| (0.0..=100.0).contains(p)).ok_or("percentile is a number from 0 to 100")?;
                        continue;
                    }
                    other => return Err(format!("unknown condition {other:?}")),
                };
                let number = value.scalar().and_then(|t| Number::parse(&t)).ok_or_else(|| format!("{key}: expects a number"))?;
                correlation.bounds.push((order, number));
            }
        }
        None if is_temporal => {}
        _ => return Err("no condition".to_owned()),
    }
    if correlation.rules.is_empty() || correlation.rules.len() > RULES_MAX {
        return Err(format!("a correlation is about 1 to {RULES_MAX} rules"));
    }
    let counts_values = kind != Kind::EventCount && !is_temporal;
    if counts_values && correlation.fields.is_empty() {
        return Err("the condition names no field".to_owned());
    }
    if correlation.bounds.is_empty() && !is_temporal {
        return Err("the condition compares nothing".to_owned());
    }
    if let Some(Node::Map(aliases)) = node.get("aliases") {
        for (alias, by_rule) in aliases {
            let Node::Map(by_rule) = by_rule else { return Err(format!("the alias {alias} is no mapping")) };
            let fields = by_rule.iter().filter_map(|(rule, field)| Some((rule.clone(), field.scalar()?))).collect();
            correlation.aliases.insert(alias.clone(), fields);
        }
    }
    Ok(correlation)
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

pub(crate) fn timespan_ns(text: &str) -> Option<i64> {
    let unit_at = text.len().checked_sub(1)?;
    let seconds = match text.get(unit_at..)? {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        // Beside the specification, as pySigma has them; a month is a twelfth of the Gregorian year.
        "w" => 7 * 86_400,
        "M" => 2_629_746,
        _ => return None,
    };
    let count: i64 = text.get(..unit_at)?.trim().parse().ok()?;
    count.checked_mul(seconds)?.checked_mul(1_000_000_000).filter(|ns| (1..=TIMESPAN_NS_MAX).contains(ns))
}

impl Correlation {
    /// The field of a rule that a group-by name means: the alias's for the rule, else the name itself.
    pub fn group_field<'a>(&'a self, name: &'a str, rule_names: &[&str]) -> &'a str {
        let of_rule = |alias: &'a BTreeMap<String, String>| rule_names.iter().find_map(|rule| alias.get(*rule));
        self.aliases.get(name).and_then(of_rule).map_or(name, String::as_str)
    }
}
