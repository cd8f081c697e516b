//! What must stand in a value for a test to hold: the form in which the test is looked up.
//!
//! Text is compared folded, also where the test itself minds case: what holds exactly also holds folded, so a folded literal is
//! necessary, and the test is made in full on what is left.

use ipnet::IpNet;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::rarity::Rarity;
use crate::sigma::item::{Number, Test};
use crate::sigma::pattern::{Part, Pattern, fold};

/// Where a literal stands in the value.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Anchor {
    /// It is the value.
    Whole,
    /// At its start.
    Start,
    /// At its end.
    End,
    /// Anywhere.
    Within,
}

/// What a value must be for a test to hold.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Something, whatever it is: the field is there.
    Present,
    /// Text with one of these literals; `exact` where that is all that the test asks.
    Text {
        /// In lower case; not empty but for `Whole`.
        literals: Vec<(Anchor, String)>,
        /// Whether such a value needs no further test.
        exact: bool,
    },
    /// This number.
    Number(Number),
    /// An address of this network.
    Network(IpNet),
    /// Something, whatever it is, in the field or in one below it.
    There,
    /// Nothing at all, or a value that says nothing: only something in the field or in one below it can make the test fail.
    Absent,
}

/// The form of `test`.
pub(super) fn form_of(test: &Test, rarity: &Rarity) -> Form {
    match test {
        Test::Text { pattern, cased } => of_pattern(pattern, *cased, rarity),
        Test::Number(number) => Form::Number(*number),
        Test::Bool(wanted) => Form::Text { literals: vec![(Anchor::Whole, wanted.to_string())], exact: false },
        Test::Regex(regex) => match literals_of_regex(regex.as_str(), rarity) {
            Some(literals) => {
                Form::Text { literals: literals.into_iter().map(|text| (Anchor::Within, text)).collect(), exact: false }
            }
            None => Form::Present,
        },
        Test::Cidr(net) => Form::Network(*net),
        Test::Exists(true) => Form::There,
        Test::Null | Test::Exists(false) => Form::Absent,
        Test::Compare(..) | Test::TimePart(..) | Test::FieldRef { .. } => Form::Present,
    }
}

fn of_pattern(pattern: &Pattern, cased: bool, rarity: &Rarity) -> Form {
    let folded = |text: &str| if cased { fold(text).into_owned() } else { text.to_owned() };
    let one = |anchor, text: &str| Form::Text { literals: vec![(anchor, folded(text))], exact: !cased };
    match pattern.0.as_slice() {
        [] => one(Anchor::Whole, ""),
        [Part::Text(text)] => one(Anchor::Whole, text),
        [Part::Text(text), Part::Any] => one(Anchor::Start, text),
        [Part::Any, Part::Text(text)] => one(Anchor::End, text),
        [Part::Any, Part::Text(text), Part::Any] => one(Anchor::Within, text),
        parts => {
            let literals = parts.iter().enumerate().filter_map(|(at, part)| match part {
                Part::Text(text) if at == 0 => Some((Anchor::Start, folded(text))),
                Part::Text(text) if at + 1 == parts.len() => Some((Anchor::End, folded(text))),
                Part::Text(text) => Some((Anchor::Within, folded(text))),
                Part::Any | Part::One => None,
            });
            match literals.min_by(|(_, a), (_, b)| rarity.share(a).total_cmp(&rarity.share(b))) {
                Some(literal) => Form::Text { literals: vec![literal], exact: false },
                None => Form::Present,
            }
        }
    }
}

/// Every text that tests look for, for [`Rarity::of`].
pub(super) fn texts_of(test: &Test, out: &mut Vec<String>) {
    if let Test::Text { pattern, .. } = test {
        out.extend(pattern.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(fold(text).into_owned()),
            Part::Any | Part::One => None,
        }));
    }
}

/// Alternatives beyond which the literals of an expression are no help.
const ALTERNATIVES_MAX: usize = 32;
/// Characters of a class beyond which it is not one letter in its cases.
const CASES_MAX: usize = 4;

/// Literals, in lower case, one of which stands in the folded form of any text in which the expression is found. None where
/// there are no such literals.
pub(super) fn literals_of_regex(source: &str, rarity: &Rarity) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(source).ok()?;
    let mut found = Needed { best: None, run: String::new(), rarity };
    found.walk(&hir);
    found.end_run();
    found.best.map(|(_, literals)| literals)
}

/// The best set of literals so far, and the text that the expression is sure to continue with.
struct Needed<'r> {
    best: Option<(f64, Vec<String>)>,
    run: String,
    rarity: &'r Rarity,
}

impl Needed<'_> {
    fn walk(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => self.run.push_str(&fold(text)),
                Err(_) => self.end_run(),
            },
            HirKind::Class(class) => match letter_of(class) {
                Some(letter) => self.run.push_str(&letter),
                None => self.end_run(),
            },
            HirKind::Repetition(repetition) => {
                self.end_run();
                if repetition.min > 0 {
                    self.walk(&repetition.sub);
                    self.end_run();
                }
            }
            HirKind::Capture(capture) => self.walk(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.walk(part)),
            HirKind::Alternation(branches) => {
                self.end_run();
                let mut all = Vec::new();
                for branch in branches {
                    let mut inner = Needed { best: None, run: String::new(), rarity: self.rarity };
                    inner.walk(branch);
                    inner.end_run();
                    match inner.best {
                        Some((_, literals)) if all.len() + literals.len() <= ALTERNATIVES_MAX => all.extend(literals),
                        _ => return,
                    }
                }
                self.offer(all);
            }
        }
    }

    fn end_run(&mut self) {
        if !self.run.is_empty() {
            let run = std::mem::take(&mut self.run);
            self.offer(vec![run]);
        }
    }

    fn offer(&mut self, mut literals: Vec<String>) {
        literals.sort();
        literals.dedup();
        let share = literals.iter().map(|literal| self.rarity.share(literal)).sum();
        if self.best.as_ref().is_none_or(|(best, _)| share < *best) {
            self.best = Some((share, literals));
        }
    }
}

/// The one folded letter that every character of the class becomes, if there is one.
fn letter_of(class: &Class) -> Option<String> {
    let Class::Unicode(class) = class else { return None };
    let mut letters = class.iter().flat_map(|range| range.start()..=range.end()).take(CASES_MAX + 1).map(|c| {
        let mut bytes = [0; 4];
        fold(c.encode_utf8(&mut bytes)).into_owned()
    });
    let first = letters.next()?;
    let mut count = 1;
    for letter in letters {
        count += 1;
        if letter != first || count > CASES_MAX {
            return None;
        }
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(source: &str) -> Option<Vec<String>> {
        literals_of_regex(source, &Rarity::of([].iter()))
    }

    #[test]
    fn expressions_have_necessary_literals() {
        let some = |texts: &[&str]| Some(texts.iter().map(|t| (*t).to_owned()).collect());
        assert_eq!(literals("Foo"), some(&["foo"]));
        assert_eq!(literals(r"^abc\b.*x$"), some(&["abc"]));
        assert_eq!(literals("(?i)wget"), some(&["wget"]));
        assert_eq!(literals("(?i)kk"), some(&["kk"]), "the Kelvin sign folds to k");
        assert_eq!(literals("(?i)ssx"), some(&["ssx"]), "the long s folds to s");
        assert_eq!(literals("(wget|curl) http"), some(&[" http"]));
        assert_eq!(literals("(wgetx|curl5)[0-9]"), some(&["curl5", "wgetx"]));
        assert_eq!(literals("(?:ab)+[cd]"), some(&["ab"]));
        assert_eq!(literals("(ab)*[cd]"), None);
        assert_eq!(literals("a|"), None);
        assert_eq!(literals(r"\d+"), None);
        assert_eq!(literals("x?y"), some(&["y"]));
    }
}
