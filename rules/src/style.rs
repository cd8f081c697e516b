//! What is allowed but probably not meant, and what a rule costs: advice for who writes rules.

use event::FieldId;

use crate::correlate::ENTRIES_PER_WINDOW_MAX;
use crate::ruleset::{Body, Problem, RuleInfo, RuleSet};
use crate::sigma::item::{Expr, Number, Order, Test};
use crate::sigma::pattern::Part;

/// Where a record says whether it was let through, by the name that a rule may use.
const VERDICTS: [&str; 8] =
    ["event.action", "event.outcome", "event.type", "policy.verdict", "action", "blocked", "disposition", "sc-status"];
/// Log sources whose records are of traffic that was let through or was not.
const TRAFFIC: [&str; 3] = ["firewall", "proxy", "network_connection"];
/// Values that a keyword is looked for in.
const VALUES_OF_EVENT: u64 = 20;
/// From so much on, a rule that is evaluated for every event of its log source is called dear.
const DEAR: u64 = 100;

/// What one event of its log source costs a rule at most, in looks at a value: a guess from the rule's text, for comparing rules. What they do
/// cost is counted when they run ([`crate::RuleCost`]).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Estimate {
    /// The cost of evaluating it.
    pub cost: u64,
    /// Whether some test must hold for it to match, so that it is evaluated only where one does.
    pub gated: bool,
}

/// Estimates what a rule costs. Correlations cost nothing an event.
pub fn estimate(set: &RuleSet, rule: usize) -> Estimate {
    match &set.rules[rule].body {
        Body::Sigma { expr, .. } => Estimate { cost: cost(set, expr), gated: gated(set, expr) },
        Body::Correlation(_) | Body::Behaviour(_) => Estimate { cost: 0, gated: true },
    }
}

fn cost(set: &RuleSet, expr: &Expr<u32>) -> u64 {
    match expr {
        Expr::And(of) | Expr::Or(of) | Expr::AtLeast(_, of) => of.iter().map(|e| cost(set, e)).sum(),
        Expr::Not(inner) | Expr::Named(_, inner) => cost(set, inner),
        Expr::Atom(atom) => {
            let bound = &set.atoms[*atom as usize];
            let one = match &bound.test {
                Test::Regex(_) => 20,
                Test::Text { pattern, .. } => pattern.0.iter().map(|part| if *part == Part::Any { 2 } else { 1 }).sum(),
                Test::FieldRef { .. } => 4,
                _ => 1,
            };
            one * if bound.keyword { VALUES_OF_EVENT } else { bound.fields.len() as u64 }
        }
    }
}

/// Whether the condition needs some test to hold that is no test of absence.
fn gated(set: &RuleSet, expr: &Expr<u32>) -> bool {
    match expr {
        Expr::Atom(atom) => !matches!(set.atoms[*atom as usize].test, Test::Null | Test::Exists(false)),
        Expr::And(all) => all.iter().any(|e| gated(set, e)),
        Expr::Or(any) => any.iter().all(|e| gated(set, e)),
        Expr::AtLeast(n, of) => *n > 0 && of.iter().all(|e| gated(set, e)),
        Expr::Not(_) => false,
        Expr::Named(_, inner) => gated(set, inner),
    }
}

/// Advice on each rule; nothing of it is refused.
pub fn style(set: &RuleSet) -> Vec<Problem> {
    let mut advice = Vec::new();
    for (rule, info) in set.rules().enumerate() {
        let mut say = |reason: String, hint: &str| {
            let (path, line, hint) = (info.path.clone(), info.line, Some(hint.to_owned()));
            advice.push(Problem { path, line, refused: false, reason: format!("{}: {reason}", info.title), hint });
        };
        match &set.rules[rule].body {
            Body::Sigma { expr, .. } => {
                if is_of_traffic(info) && !says_verdict(set, expr) {
                    say(
                        "a rule about traffic that does not say whether it was let through".to_owned(),
                        "test event.action or event.outcome: what was blocked is another matter than what was not",
                    );
                }
                let Estimate { cost, gated } = estimate(set, rule);
                if !gated && cost >= DEAR {
                    say(
                        format!("evaluated for every event of its log source, at a cost of about {cost}"),
                        "add a test that must hold and that few events satisfy",
                    );
                }
            }
            // Its numbers are checked when it is read.
            Body::Behaviour(_) => {}
            Body::Correlation(bound) => {
                let beyond = |(order, n): &&(Order, Number)| {
                    matches!(order, Order::Gt | Order::Gte | Order::Eq) && n.float() > ENTRIES_PER_WINDOW_MAX as f64
                };
                if bound.asks.counts()
                    && let Some((_, n)) = bound.written.bounds.iter().find(beyond)
                {
                    say(
                        format!("a window holds {ENTRIES_PER_WINDOW_MAX} events, so that it never counts {}", n.float()),
                        "group by more fields, or take a shorter timespan",
                    );
                }
            }
        }
    }
    advice.sort();
    advice
}

fn is_of_traffic(info: &RuleInfo) -> bool {
    info.source.category.as_deref().is_some_and(|category| TRAFFIC.contains(&category))
        && info.source.product.as_deref() != Some("windows")
        && info.source.product.as_deref() != Some("linux")
        && info.source.product.as_deref() != Some("macos")
}

fn says_verdict(set: &RuleSet, expr: &Expr<u32>) -> bool {
    match expr {
        Expr::And(of) | Expr::Or(of) | Expr::AtLeast(_, of) => of.iter().any(|e| says_verdict(set, e)),
        Expr::Not(inner) | Expr::Named(_, inner) => says_verdict(set, inner),
        Expr::Atom(atom) => {
            let bound = &set.atoms[*atom as usize];
            bound.fields.iter().copied().map(FieldId::name).any(|name| VERDICTS.contains(&name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::LoadOptions;
    use crate::ruleset::load;

    fn advice(rules: &str) -> Vec<String> {
        let (set, problems) = load(&[("rules".to_owned(), rules.to_owned())], &LoadOptions::default());
        assert_eq!(problems, []);
        style(&set).into_iter().map(|p| format!("{}: {}", p.line, p.reason)).collect()
    }

    #[test]
    fn a_rule_about_traffic_says_what_became_of_it() {
        let rule =
            |test: &str| format!("title: T\nlogsource: {{category: firewall}}\ndetection: {{s: {{{test}}}, condition: s}}\n");
        assert_eq!(advice(&rule("destination.port: 22, event.action: deny")), Vec::<String>::new());
        let said = advice(&rule("destination.port: 22"));
        assert_eq!(said, ["1: T: a rule about traffic that does not say whether it was let through"]);
    }

    #[test]
    fn a_rule_that_only_excludes_is_dear() {
        let rule = |condition: &str| {
            format!(
                "title: T\nlogsource: {{product: x}}\ndetection:\n  s: ['*a*b*', '*c*d*']\n  t: {{f: v}}\n  condition: {condition}\n"
            )
        };
        assert_eq!(advice(&rule("t and not s")), Vec::<String>::new());
        assert_eq!(
            advice(&rule("not s and not t")),
            ["1: T: evaluated for every event of its log source, at a cost of about 321"]
        );
    }

    #[test]
    fn a_count_that_no_window_reaches_is_told() {
        let rules = |count: u32| {
            format!(
                "title: A\nname: a\nlogsource: {{product: x}}\ndetection: {{s: {{f: v}}, condition: s}}\n---\n\
                 title: C\ncorrelation: {{type: event_count, rules: [a], timespan: 1h, condition: {{gte: {count}}}}}\n"
            )
        };
        assert_eq!(advice(&rules(100_000)), Vec::<String>::new());
        assert_eq!(advice(&rules(100_001)).len(), 1);
    }
}
