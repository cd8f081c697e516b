//! Which of the rules that were read stand: ids are told apart, and a correlation that names what there is not is refused.

use std::collections::{HashMap, HashSet};

use crate::correlate::plan::{Asks, ranks};
use crate::fault::Fault;
use crate::ruleset::{Content, Parsed, Problem};
use crate::sigma::correlation::{Correlation, referred};

/// What correlations are about.
pub(crate) struct Resolved {
    /// The rules by their ids and names.
    pub(crate) by_name: HashMap<String, usize>,
    /// Per rule, where it is a correlation, what that asks of its windows. All rules that it names are there.
    pub(crate) asks: Vec<Option<Asks>>,
}

/// Takes away what does not stand, and tells it.
pub(crate) fn resolve(parsed: &mut Vec<Parsed>, problems: &mut Vec<Problem>) -> Resolved {
    tell_apart(parsed, problems);
    let by_name = by_name(parsed, problems);
    let mut listeners = vec![Vec::new(); parsed.len()];
    let mut outcomes: Vec<Option<Result<Asks, Fault>>> = Vec::with_capacity(parsed.len());
    for (at, rule) in parsed.iter().enumerate() {
        let Content::Correlation(written) = &rule.content else {
            outcomes.push(None);
            continue;
        };
        outcomes.push(Some(rules_of(at, written, parsed, &by_name).and_then(|rules| {
            let called: Vec<Vec<String>> =
                rules.iter().zip(&written.rules).map(|(rule, as_written)| called(&parsed[*rule], as_written)).collect();
            unknown_in_aliases(written, &called).for_each(|fault| problems.push(rule.problem(fault, false)));
            for (place, inner) in rules.into_iter().enumerate() {
                listeners[inner].push((at, place as u16));
            }
            let hint = || Some(format!("the correlation is about {}", written.rules.join(", ")));
            Asks::new(written, &called).map_err(|reason| Fault::new(&["correlation", "condition"], reason).hint(hint()))
        })));
    }
    let is_refused = |outcome: &Option<Result<Asks, Fault>>| matches!(outcome, Some(Err(_)));
    let mut refused: Vec<usize> = (0..parsed.len()).filter(|at| is_refused(&outcomes[*at])).collect();
    while let Some(inner) = refused.pop() {
        for (outer, place) in &listeners[inner] {
            let Content::Correlation(written) = &parsed[*outer].content else { continue };
            if !is_refused(&outcomes[*outer]) {
                outcomes[*outer] = Some(Err(not_loaded(&written.rules[usize::from(*place)])));
                refused.push(*outer);
            }
        }
    }
    listeners.iter_mut().for_each(|of| of.retain(|(outer, _)| !is_refused(&outcomes[*outer])));
    for (at, _) in ranks(&listeners).iter().enumerate().filter(|(_, rank)| rank.is_none()) {
        let reason = format!("{:?} refers to itself by way of other correlations", parsed[at].info.title);
        let hint = Some("let it name rules that do not hang on it".to_owned());
        outcomes[at] = Some(Err(Fault::new(&["correlation"], reason).hint(hint)));
    }
    let mut asks = Vec::with_capacity(parsed.len());
    let mut outcomes = outcomes.into_iter();
    parsed.retain(|rule| match outcomes.next().flatten().transpose() {
        Ok(of_rule) => {
            asks.push(of_rule);
            true
        }
        Err(fault) => {
            problems.push(rule.problem(fault, true));
            false
        }
    });
    Resolved { by_name: self::by_name(parsed, &mut Vec::new()), asks }
}

/// Gives each rule an id of its own, for counters, settings and alerts go by it. Where a written id stands twice, the second rule is refused; of rules
/// without one that have the same name or title, the second is numbered.
fn tell_apart(parsed: &mut Vec<Parsed>, problems: &mut Vec<Problem>) {
    let mut known: HashMap<String, String> = HashMap::new();
    parsed.retain_mut(|rule| {
        let written = rule.info.id.clone();
        let id = referred(written.clone());
        let Some(path) = known.get(&id) else {
            known.insert(id, rule.path.clone());
            return true;
        };
        let reason = format!("{id:?} is also the id of a rule in {path}");
        let hint = Some("give each rule an id of its own, such as a UUID".to_owned());
        let is_refused = rule.has_id();
        problems.push(rule.problem(Fault::new(&[&written], reason).hint(hint), is_refused));
        if !is_refused {
            let numbered = (2..).map(|n: usize| format!("{id} ({n})")).find(|id| !known.contains_key(id)).unwrap_or_default();
            known.insert(numbered.clone(), rule.path.clone());
            rule.info.id = numbered;
        }
        !is_refused
    });
}

/// The rules by their ids and names; names that mean several are told.
fn by_name(parsed: &[Parsed], problems: &mut Vec<Problem>) -> HashMap<String, usize> {
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (at, rule) in parsed.iter().enumerate() {
        for name in [Some(&rule.info.id), rule.info.name.as_ref()].into_iter().flatten() {
            if let Some(other) = by_name.insert(referred(name.clone()), at).filter(|other| *other != at) {
                let reason = format!("{name:?} is also the id or name of a rule in {}", parsed[other].path);
                let hint = Some("give each rule a name of its own: correlations and filters mean the last".to_owned());
                problems.push(rule.problem(Fault::new(&[name], reason).hint(hint), false));
            }
        }
    }
    by_name
}

/// The rules that a correlation names, by their numbers.
fn rules_of(at: usize, written: &Correlation, parsed: &[Parsed], by_name: &HashMap<String, usize>) -> Result<Vec<usize>, Fault> {
    let rule_of = |name: &String| match by_name.get(name) {
        None => Err(not_loaded(name)),
        Some(own) if *own == at => {
            let hint = Some("let it name other rules".to_owned());
            Err(Fault::new(&["rules", name], format!("the correlation names itself, {name:?}")).hint(hint))
        }
        Some(other) if matches!(parsed[*other].content, Content::Behaviour(_)) => {
            let reason = format!("the correlation names {name:?}, a behaviour: it has no events of its own to correlate");
            Err(Fault::new(&["rules", name], reason).hint(Some("correlate Sigma rules and other correlations".to_owned())))
        }
        Some(other) => Ok(*other),
    };
    written.rules.iter().map(rule_of).collect()
}

fn not_loaded(name: &str) -> Fault {
    let hint = "load the rule too, or mend it where it is refused; rules are named by id or name".to_owned();
    Fault::new(&["rules", name], format!("the correlation names {name:?}, which is not loaded")).hint(Some(hint))
}

/// What a rule is called: its name, its id, and as a correlation writes it.
pub(crate) fn called(rule: &Parsed, as_written: &str) -> Vec<String> {
    let own = rule.info.name.iter().chain([&rule.info.id]).cloned();
    own.chain([as_written.to_owned()]).collect()
}

/// Rules that aliases name and the correlation is not about.
fn unknown_in_aliases<'c>(written: &'c Correlation, called: &[Vec<String>]) -> impl Iterator<Item = Fault> + 'c {
    let known: HashSet<String> = called.iter().flatten().cloned().collect();
    let by_alias = written.aliases.iter().flat_map(|(alias, by_rule)| by_rule.keys().map(move |rule| (alias, rule)));
    by_alias.filter(move |(_, rule)| !known.contains(*rule)).map(|(alias, rule)| {
        let reason = format!("the alias {alias} names {rule:?}, which is none of the correlation's rules");
        let hint = Some(format!("it is about {}", written.rules.join(", ")));
        Fault::new(&["aliases", alias, rule], reason).hint(hint)
    })
}
