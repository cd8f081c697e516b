//! One Sigma rule or filter: from a YAML document to a condition over tests.

use std::cell::Cell;

use super::budget::Reading;
use super::condition::{self, Condition};
use super::item::{Atom, Expr, item};
use crate::fault::{Fault, all, did_you_mean};
use crate::yaml::Node;

/// The `logsource` of a rule, in lower case.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize)]
pub struct RuleSource {
    /// The product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The category; `any` (ours) makes a rule eligible for every event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// How a log source is written.
const SOURCE_FORM: &str = "write one such as `logsource: {category: firewall}`";
/// How a condition is written.
const CONDITION_FORM: &str = "write one such as `selection and not 1 of filter_*`";

/// Reads the `logsource` of a document.
///
/// # Errors
/// Says what is missing or wrong.
pub fn source(document: &Node) -> Result<RuleSource, Fault> {
    let Some(node) = document.get("logsource") else {
        return Err(Fault::new(&[], "no logsource").hint(Some(SOURCE_FORM.to_owned())));
    };
    let Node::Map(entries) = node else {
        return Err(Fault::new(&["logsource"], "logsource is no mapping").hint(Some(SOURCE_FORM.to_owned())));
    };
    let part = |name: &str| match node.get(name) {
        None | Some(Node::Null) => Ok(None),
        Some(value) => match value.scalar() {
            Some(text) => Ok(Some(text.to_lowercase())),
            None => {
                let reason = format!("logsource: {name} is no text");
                Err(Fault::new(&["logsource", name], reason).hint(Some(SOURCE_FORM.to_owned())))
            }
        },
    };
    let source = RuleSource { product: part("product")?, category: part("category")?, service: part("service")? };
    // Further keys (definition, or a user's own) say something to people only (specification, "Log Source").
    if source == RuleSource::default() {
        let meant = entries.iter().find_map(|(key, _)| did_you_mean(key, ["product", "category", "service"]));
        let meant = meant.or_else(|| Some(SOURCE_FORM.to_owned()));
        return Err(Fault::new(&["logsource"], "logsource names no product, category or service").hint(meant));
    }
    Ok(source)
}

/// What a rule looks for.
pub struct Detection {
    /// The condition over tests.
    pub expr: Expr<Atom>,
    /// Parts that the condition never names, probably not meant: those that begin with `_` may stand by.
    pub unused: Vec<String>,
}

/// Reads the `detection` (or the body of a filter) of a document: the condition over its parts, which are all keys but those `beside`.
///
/// # Errors
/// Says everything that the specification or our bounds refuse.
pub fn detection(node: &Node, beside: &[&str], reading: &Reading<'_>) -> Result<Detection, Vec<Fault>> {
    let Node::Map(entries) = node else {
        let hint = Some("write names of parts, what each looks for, and a `condition`".to_owned());
        return Err(vec![Fault::new(&[], "detection is no mapping").hint(hint)]);
    };
    let (mut parts, mut faults) = (Vec::new(), Vec::new());
    for (name, value) in entries {
        match name.as_str() {
            "condition" => {}
            other if beside.contains(&other) => {}
            "timeframe" => faults.push(
                Fault::new(&["timeframe"], "timeframe was removed from Sigma").hint(Some("write a correlation rule".to_owned())),
            ),
            _ => {
                // A part that is wrong is there all the same: the condition is not to be blamed for it.
                let expr = part(value, reading).unwrap_or_else(|wrong| {
                    let named = |fault: Fault| Fault { reason: format!("{name}: {}", fault.reason), ..fault.below(name) };
                    faults.extend(wrong.into_iter().map(named));
                    Expr::Or(Vec::new())
                });
                parts.push(Part { name, nodes: expr.nodes(), expr, used: Cell::new(false) });
            }
        }
    }
    let conditions = node.get("condition").map_or(&[][..], Node::elements);
    if conditions.is_empty() {
        let meant = entries.iter().find_map(|(key, _)| did_you_mean(key, ["condition"]));
        let hint = meant.or_else(|| Some(format!("{CONDITION_FORM} under `condition`")));
        faults.push(Fault::new(&[], "no condition").hint(hint));
    }
    let read = conditions.iter().map(|text| match text.text().map(condition::parse) {
        None => Err(vec![Fault::new(&["condition"], "a condition must be text").hint(Some(CONDITION_FORM.to_owned()))]),
        Some(Err(reason)) => Err(vec![Fault::new(&["condition"], reason).hint(Some(CONDITION_FORM.to_owned()))]),
        Some(Ok(condition)) => resolve(&condition, &parts, reading),
    });
    let mut any = all(read).unwrap_or_else(|wrong| {
        faults.extend(wrong);
        Vec::new()
    });
    if !faults.is_empty() {
        faults.dedup(); // Once a bound is reached, everything that follows is beyond it.
        return Err(faults);
    }
    let unused = parts.iter().filter(|part| !part.used.get() && !part.name.starts_with('_'));
    let unused = unused.map(|part| part.name.to_owned()).collect();
    Ok(Detection { expr: if any.len() == 1 { any.remove(0) } else { Expr::Or(any) }, unused })
}

/// A named part of a detection.
struct Part<'n> {
    name: &'n str,
    expr: Expr<Atom>,
    nodes: usize,
    /// Whether a condition means it.
    used: Cell<bool>,
}

/// A part's body: a mapping is all of its items, a list one of its elements, anything else a keyword.
fn part(node: &Node, reading: &Reading<'_>) -> Result<Expr<Atom>, Vec<Fault>> {
    match node {
        Node::Map(entries) if !entries.is_empty() => {
            let mut items = all(entries.iter().map(|(key, values)| item(key, values, reading)))?;
            Ok(if items.len() == 1 { items.remove(0) } else { Expr::And(items) })
        }
        Node::List(elements) if elements.iter().any(|e| matches!(e, Node::Map(_) | Node::List(_))) => {
            Ok(Expr::Or(all(elements.iter().map(|element| part(element, reading)))?))
        }
        Node::Null | Node::Map(_) => Err(vec![Fault::new(&[], "is empty").hint(Some("name a field or a keyword".to_owned()))]),
        keywords => item("", keywords, reading),
    }
}

/// The parts that there are, for whoever named another.
fn names_of(parts: &[Part<'_>]) -> Option<String> {
    let names: Vec<&str> = parts.iter().map(|part| part.name).take(NAMES_MAX).collect();
    (!names.is_empty()).then(|| format!("there are {}", names.join(", ")))
}

/// Names of parts that are told.
const NAMES_MAX: usize = 10;

fn resolve(condition: &Condition, parts: &[Part<'_>], reading: &Reading<'_>) -> Result<Expr<Atom>, Vec<Fault>> {
    let every = |of: &[Condition]| all(of.iter().map(|c| resolve(c, parts, reading)));
    let expr_of = |part: &Part<'_>| -> Result<Expr<Atom>, Vec<Fault>> {
        part.used.set(true);
        reading.take_nodes(part.nodes).map_err(|fault| vec![fault.below("condition")])?;
        Ok(Expr::Named(part.name.into(), Box::new(part.expr.clone())))
    };
    Ok(match condition {
        Condition::Name(name) => {
            let found = parts.iter().find(|part| part.name == name);
            let found = found.ok_or_else(|| {
                let meant = did_you_mean(name, parts.iter().map(|part| part.name)).or_else(|| names_of(parts));
                let reason = format!("the condition names {name:?}, which is not there");
                vec![Fault::new(&["condition"], reason).hint(meant)]
            })?;
            expr_of(found)?
        }
        Condition::Not(inner) => Expr::Not(Box::new(resolve(inner, parts, reading)?)),
        Condition::And(of) => Expr::And(every(of)?),
        Condition::Or(of) => Expr::Or(every(of)?),
        Condition::Of(count, pattern) => {
            let meant = parts.iter().filter(|part| condition::means(pattern, part.name));
            let meant: Vec<_> = meant.map(expr_of).collect::<Result<_, _>>()?;
            if meant.is_empty() {
                let reason = format!("no part is named like {pattern:?}");
                return Err(vec![Fault::new(&["condition"], reason).hint(names_of(parts))]);
            }
            match count {
                None => Expr::And(meant),
                Some(1) => Expr::Or(meant),
                Some(n) if (1..=meant.len()).contains(n) => Expr::AtLeast(*n, meant),
                Some(n) => {
                    let reason = format!("{n} of {pattern} can never be asked: it means {} parts", meant.len());
                    let hint = format!("write a number from 1 to {}, or all of {pattern}", meant.len());
                    return Err(vec![Fault::new(&["condition"], reason).hint(Some(hint))]);
                }
            }
        }
    })
}
