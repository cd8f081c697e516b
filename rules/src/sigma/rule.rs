//! One Sigma rule or filter: from a YAML document to a condition over tests.

use super::condition::{self, Condition};
use super::item::{Atom, Expr, Placeholders, item};
use crate::yaml::Node;

/// The `logsource` of a rule, in lower case.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize)]
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

/// Reads the `logsource` of a document.
///
/// # Errors
/// Says what is missing or wrong.
pub fn source(document: &Node) -> Result<RuleSource, String> {
    let Some(node) = document.get("logsource") else { return Err("no logsource".to_owned()) };
    let Node::Map(entries) = node else { return Err("logsource is no mapping".to_owned()) };
    let part = |name: &str| match node.get(name) {
        None | Some(Node::Null) => Ok(None),
        Some(value) => match value.scalar() {
            Some(text) => Ok(Some(text.to_lowercase())),
            None => Err(format!("logsource: {name} is no text")),
        },
    };
    let source = RuleSource { product: part("product")?, category: part("category")?, service: part("service")? };
    // Further keys (definition, or a user's own) say something to people only (specification, "Log Source").
    if entries.is_empty() || source == RuleSource::default() {
        return Err("logsource names no product, category or service".to_owned());
    }
    Ok(source)
}

/// Reads the `detection` (or the body of a filter) of a document: the condition over its parts.
///
/// # Errors
/// Says what the specification or our bounds refuse, with the word of the document where it stands.
pub fn detection(node: &Node, placeholders: &Placeholders) -> Result<Expr<Atom>, (String, String)> {
    let at = |word: &str| {
        let word = word.to_owned();
        move |reason| (word, reason)
    };
    let Node::Map(entries) = node else { return Err(at("detection")("detection is no mapping".to_owned())) };
    let mut parts = Vec::new();
    for (name, value) in entries {
        match name.as_str() {
            "condition" | "rules" => {}
            "timeframe" => return Err(at("timeframe")("timeframe was removed from Sigma: use a correlation rule".to_owned())),
            _ => parts
                .push((name.as_str(), part(value, placeholders).map_err(|reason| (name.clone(), format!("{name}: {reason}")))?)),
        }
    }
    let conditions = node.get("condition").map_or(&[][..], Node::elements);
    if conditions.is_empty() {
        return Err(at("detection")("no condition".to_owned()));
    }
    let mut any = Vec::new();
    for text in conditions {
        let text = text.text().ok_or_else(|| at("condition")("a condition must be text".to_owned()))?;
        let condition = condition::parse(text).map_err(at("condition"))?;
        any.push(resolve(&condition, &parts).map_err(at("condition"))?);
    }
    Ok(if any.len() == 1 { any.remove(0) } else { Expr::Or(any) })
}

/// A named part: a mapping is all of its items, a list one of its elements, anything else a keyword.
fn part(node: &Node, placeholders: &Placeholders) -> Result<Expr<Atom>, String> {
    match node {
        Node::Map(entries) => {
            let mut all = Vec::with_capacity(entries.len());
            for (key, values) in entries {
                all.push(item(key, values, placeholders)?);
            }
            Ok(if all.len() == 1 { all.remove(0) } else { Expr::And(all) })
        }
        Node::List(elements) if elements.iter().any(|e| matches!(e, Node::Map(_) | Node::List(_))) => {
            Ok(Expr::Or(elements.iter().map(|element| part(element, placeholders)).collect::<Result<_, _>>()?))
        }
        Node::List(elements) if elements.is_empty() => Err("is empty".to_owned()),
        Node::Null => Err("is empty".to_owned()),
        keywords => item("", keywords, placeholders),
    }
}

fn resolve(condition: &Condition, parts: &[(&str, Expr<Atom>)]) -> Result<Expr<Atom>, String> {
    let all = |of: &[Condition]| of.iter().map(|c| resolve(c, parts)).collect::<Result<Vec<_>, _>>();
    Ok(match condition {
        Condition::Name(name) => {
            let found = parts.iter().find(|(n, _)| n == name);
            found.ok_or_else(|| format!("the condition names {name:?}, which is not there"))?.1.clone()
        }
        Condition::Not(inner) => Expr::Not(Box::new(resolve(inner, parts)?)),
        Condition::And(of) => Expr::And(all(of)?),
        Condition::Or(of) => Expr::Or(all(of)?),
        Condition::Of(count, pattern) => {
            let meant: Vec<_> =
                parts.iter().filter(|(name, _)| condition::means(pattern, name)).map(|(_, e)| e.clone()).collect();
            if meant.is_empty() {
                return Err(format!("no part is named like {pattern:?}"));
            }
            match count {
                None => Expr::And(meant),
                Some(1) => Expr::Or(meant),
                Some(n) => Expr::AtLeast(*n, meant),
            }
        }
    })
}
