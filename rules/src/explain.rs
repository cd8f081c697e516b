//! Why a rule matches an event, or not: its condition as a tree, each part with what it found.

use std::fmt;

use event::{EventRef, FieldId, LogSourceId, Value};
use serde::Serialize;

use crate::ruleset::{Body, RuleInfo, RuleSet};
use crate::sigma::expression;
use crate::sigma::item::{Expr, Number, Order, Test};
use crate::sigma::pattern::{Part as Piece, Pattern};
use crate::test_of::{Bound, Scratch, searched};

/// Values of one field that are shown.
const VALUES_MAX: usize = 5;
/// Characters of one value or pattern that are shown.
const TEXT_MAX: usize = 120;
/// Parts of one list that are shown: those that decided it first.
const PARTS_MAX: usize = 12;

/// Why a rule matches an event, or not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The rule's id.
    pub rule: String,
    /// The rule's title.
    pub title: String,
    /// Whether the event is of the rule's log source. An event of which nothing is known is of every one.
    pub eligible: bool,
    /// The condition; none for correlations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Part>,
    /// For correlations: of each rule what it says, and to which group the event would belong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<Feed>,
}

/// A rule that feeds a correlation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feed {
    /// What the rule says.
    pub rule: Explanation,
    /// The group by name; none as the value where the event lacks the field, so that it takes no part.
    pub group: Vec<(String, Option<String>)>,
    /// The values that count, in the same way.
    pub values: Vec<(String, Option<String>)>,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Whether it holds.
    pub holds: bool,
    /// What the rule calls it, where it has a name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it asks.
    pub asks: String,
    /// For a test: what the event has there; empty where it has nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
    /// Its parts; of many, the first of those that decided it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// How many parts are not shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub hidden: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Explanation {
    /// Whether the event satisfies the rule; for a correlation, whether it satisfies one of its rules and takes part in a group.
    pub fn holds(&self) -> bool {
        let takes_part = |feed: &Feed| feed.group.iter().chain(&feed.values).all(|(_, value)| value.is_some());
        let feeds = self.feeds.iter().any(|feed| feed.rule.holds() && takes_part(feed));
        self.condition.as_ref().map_or(feeds, |condition| self.eligible && condition.holds)
    }
}

/// The rules that `name` means: by id, name or title.
pub fn find<'s>(set: &'s RuleSet, name: &str) -> Vec<(usize, &'s RuleInfo)> {
    let means = |info: &RuleInfo| info.id == name || info.name.as_deref() == Some(name) || info.title == name;
    set.rules().enumerate().filter(|(_, info)| means(info)).collect()
}

/// Explains what the rule at index `rule` says of an event.
pub fn explain(set: &RuleSet, rule: usize, event: EventRef<'_>) -> Explanation {
    let found = &set.rules[rule];
    let (mut condition, mut feeds) = (None, Vec::new());
    match &found.body {
        Body::Sigma { expr, .. } => condition = Some(part(set, expr, event, &mut Scratch::default())),
        // What many events together show, no one event explains.
        Body::Behaviour(_) => {}
        Body::Correlation(bound) => {
            let value =
                |fields: &Vec<FieldId>| fields.iter().find_map(|f| event.get(*f)).filter(|v| *v != Value::Null).map(shown);
            let named = |names: &[String], fields: &[Vec<FieldId>]| -> Vec<(String, Option<String>)> {
                names.iter().cloned().zip(fields.iter().map(value)).collect()
            };
            for (other, listeners) in set.listeners.iter().enumerate() {
                for (_, place) in listeners.iter().filter(|(listener, _)| *listener == rule) {
                    let at = usize::from(*place);
                    // What a correlation gives to another are the values of its own group.
                    let inner = matches!(set.rules[other].body, Body::Correlation(_));
                    let group = if inner { Vec::new() } else { named(&bound.written.group_by, &bound.keys[at]) };
                    let values = if inner { Vec::new() } else { named(&bound.written.fields, &bound.values[at]) };
                    feeds.push(Feed { rule: explain(set, other, event), group, values });
                }
            }
        }
    }
    let eligible = event.log_source() == LogSourceId::UNKNOWN || set.eligible(rule, event.log_source());
    Explanation { rule: found.info.id.clone(), title: found.info.title.clone(), eligible, condition, feeds }
}

fn part(set: &RuleSet, expr: &Expr<u32>, event: EventRef<'_>, scratch: &mut Scratch) -> Part {
    let mut parts = |of: &[Expr<u32>]| of.iter().map(|e| part(set, e, event, scratch)).collect::<Vec<_>>();
    match expr {
        Expr::Atom(atom) => {
            let bound = &set.atoms[*atom as usize];
            let (asks, found) = (asks(bound), found(bound, event));
            Part { holds: bound.holds(event, scratch), name: None, asks, found, parts: Vec::new(), hidden: 0 }
        }
        Expr::And(all) => {
            let parts = parts(all);
            of_parts(parts.iter().all(|p| p.holds), "all of".to_owned(), parts)
        }
        Expr::Or(any) => {
            let parts = parts(any);
            of_parts(parts.iter().any(|p| p.holds), "one of".to_owned(), parts)
        }
        Expr::AtLeast(n, of) => {
            let parts = parts(of);
            of_parts(parts.iter().filter(|p| p.holds).count() >= *n, format!("at least {n} of"), parts)
        }
        Expr::Not(inner) => {
            let inner = part(set, inner, event, scratch);
            of_parts(!inner.holds, "not".to_owned(), vec![inner])
        }
        Expr::Named(name, inner) => Part { name: Some(name.to_string()), ..part(set, inner, event, scratch) },
    }
}

fn of_parts(holds: bool, asks: String, mut parts: Vec<Part>) -> Part {
    if parts.len() > PARTS_MAX {
        // What decided it: where it holds, the parts that do; else those that do not.
        parts.sort_by_key(|p| p.holds != holds);
    }
    let hidden = parts.len().saturating_sub(PARTS_MAX);
    parts.truncate(PARTS_MAX);
    Part { holds, name: None, asks, found: Vec::new(), parts, hidden }
}

fn found(bound: &Bound, event: EventRef<'_>) -> Vec<String> {
    if bound.keyword {
        // Of all the event's values those that satisfy it.
        let mut scratch = Scratch::default();
        let hits = searched(event).filter(|value| bound.value_holds(*value, &mut scratch));
        return hits.take(VALUES_MAX).map(shown).collect();
    }
    let own = bound.fields.iter().flat_map(|f| event.all(*f)).take(VALUES_MAX).map(shown);
    let of_other = |f: &FieldId| event.all(*f).map(|value| format!("{} {}", f.name(), shown(value))).collect::<Vec<_>>();
    own.chain(bound.other.iter().flat_map(of_other).take(VALUES_MAX)).collect()
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => quoted(text),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(TEXT_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// A test in words.
fn asks(bound: &Bound) -> String {
    let names = |fields: &[FieldId]| fields.iter().map(|f| f.name()).collect::<Vec<_>>().join(" or ");
    let field = if bound.keyword { "any value".to_owned() } else { names(&bound.fields) };
    let order = |order: &Order| match order {
        Order::Eq => "is",
        Order::Neq => "is not",
        Order::Gt => "is more than",
        Order::Gte => "is at least",
        Order::Lt => "is less than",
        Order::Lte => "is at most",
    };
    match &bound.test {
        Test::Text { pattern, cased } => format!("{field} {}{}", in_words(pattern), if *cased { ", in this case" } else { "" }),
        Test::Number(n) => format!("{field} is {}", Shown(*n)),
        Test::Bool(b) => format!("{field} is {b}"),
        Test::Null => format!("{field} is absent or null"),
        Test::Exists(true) => format!("{field} is there"),
        Test::Exists(false) => format!("{field} is not there"),
        Test::Regex(regex) => {
            format!("{field} matches /{}/", expression::shown(regex).chars().take(TEXT_MAX).collect::<String>())
        }
        Test::Cidr(net) => format!("{field} lies in {net}"),
        Test::Compare(how, n) => format!("{field} {} {}", order(how), Shown(*n)),
        Test::TimePart(of, how, n) => format!("the {} of {field} {} {n}", of.name(), order(how)),
        Test::FieldRef { open_start, open_end, cased, .. } => {
            let how = match (open_start, open_end) {
                (true, true) => "contains",
                (true, false) => "ends with",
                (false, true) => "starts with",
                (false, false) => "is",
            };
            format!("{field} {how} the value of {}{}", names(&bound.other), if *cased { ", in this case" } else { "" })
        }
    }
}

fn in_words(pattern: &Pattern) -> String {
    match pattern.0.as_slice() {
        [] => "is empty".to_owned(),
        [Piece::Text(text)] => format!("is {}", quoted(text)),
        [Piece::Any] => "has any value".to_owned(),
        [Piece::Any, Piece::Text(text)] => format!("ends with {}", quoted(text)),
        [Piece::Text(text), Piece::Any] => format!("starts with {}", quoted(text)),
        [Piece::Any, Piece::Text(text), Piece::Any] => format!("contains {}", quoted(text)),
        pieces => {
            let text = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?"),
                Piece::Any => "*".to_owned(),
                Piece::One => "?".to_owned(),
            });
            format!("is like {}", quoted(&text.collect::<String>()))
        }
    }
}

struct Shown(Number);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Number::Int(n) => n.fmt(f),
            Number::Float(n) => n.fmt(f),
        }
    }
}

/// As an indented tree, `+` before what holds and `-` before what does not.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl Explanation {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let sign = |holds: bool| if holds { '+' } else { '-' };
        writeln!(f, "{:depth$}{} {} ({})", "", sign(self.holds()), self.title, self.rule)?;
        if !self.eligible {
            writeln!(f, "{:depth$}  - the event is of another log source", "")?;
        }
        if let Some(condition) = &self.condition {
            condition.write(f, depth + 2)?;
        }
        for feed in &self.feeds {
            feed.rule.write(f, depth + 2)?;
            for (what, (name, value)) in feed.group.iter().map(|g| ("group", g)).chain(feed.values.iter().map(|v| ("counts", v)))
            {
                let text = value.as_deref().unwrap_or("the event has none");
                writeln!(f, "{:depth$}    {} {what}: {name} = {text}", "", sign(value.is_some()))?;
            }
        }
        Ok(())
    }
}

impl Part {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:depth$}{} ", "", if self.holds { '+' } else { '-' })?;
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        write!(f, "{}", self.asks)?;
        if self.parts.is_empty() {
            let found = self.found.join(", ");
            writeln!(f, "; the event has {}", if found.is_empty() { "none" } else { &found })?;
        } else {
            writeln!(f)?;
        }
        self.parts.iter().try_for_each(|part| part.write(f, depth + 2))?;
        if self.hidden > 0 {
            writeln!(f, "{:1$}  and {2} more", "", depth, self.hidden)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::batch_of;
    use crate::options::LoadOptions;
    use crate::ruleset::load;

    const RULES: &str = "
title: Denied web
name: denied
logsource: {category: firewall}
detection:
  hit: {act: deny, port: [80, 443]}
  own: {source.ip|cidr: 10.0.0.0/8}
  condition: hit and not own
---
title: Many
correlation: {type: value_count, rules: [denied], group-by: [source.ip], timespan: 1m, condition: {field: user, gte: 3}}
";

    fn explained(name: &str, event: &str) -> String {
        let (set, problems) = load(&[("rules".to_owned(), RULES.to_owned())], &LoadOptions::default());
        assert_eq!(problems, []);
        let batch = batch_of(&[event]).expect("an object");
        let [(rule, _)] = find(&set, name)[..] else { panic!("{name} is one rule") };
        explain(&set, rule, batch.event(0)).to_string()
    }

    #[test]
    fn each_part_says_what_it_found() {
        let said = explained("Denied web", r#"{"act":"Deny","port":8080,"source.ip":"192.0.2.1"}"#);
        let expected = [
            "- Denied web (denied)",
            "  - all of",
            "    - hit: all of",
            r#"      + act is "deny"; the event has "Deny""#,
            "      - one of",
            "        - port is 80; the event has 8080",
            "        - port is 443; the event has 8080",
            "    + not",
            r#"      - own: source.ip lies in 10.0.0.0/8; the event has "192.0.2.1""#,
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn keywords_and_other_fields_say_what_they_found() {
        let rule =
            "title: R\nlogsource: {product: x}\ndetection: {k: [evil, worse], s: {a|fieldref|cased: b}, condition: k and s}\n";
        let (set, _) = load(&[("rules".to_owned(), rule.to_owned())], &LoadOptions::default());
        let batch = batch_of(&[r#"{"a":"Q","b":"q","c":"an evil thing"}"#]).expect("an object");
        let said = explain(&set, 0, batch.event(0)).to_string();
        for line in [
            r#"+ any value contains "evil"; the event has "an evil thing""#,
            r#"- any value contains "worse"; the event has none"#,
            r#"- s: a is the value of b, in this case; the event has "Q", b "q""#,
        ] {
            assert!(said.contains(line), "{said}");
        }
    }

    #[test]
    fn a_correlation_tells_the_group_and_what_counts() {
        let said = explained("Many", r#"{"act":"deny","port":80,"source.ip":"192.0.2.1"}"#);
        assert!(said.starts_with("- Many"), "it lacks the value that counts: {said}");
        assert!(said.contains(r#"+ group: source.ip = "192.0.2.1""#), "{said}");
        assert!(said.contains("- counts: user = the event has none"), "{said}");
    }
}
