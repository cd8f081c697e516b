//! How often a test holds, guessed from the rules alone: the choice of gates rests on it, no answer does.
//!
//! Values that rules compare a field with as a whole are taken for the field's values: where rules name only GET and POST, either is
//! common; where they name a thousand names of programs, each is rare. A value that many rules want is common. Text within a value
//! is judged by its rarest window ([`Rarity`]).

use std::collections::BTreeMap;

use event::FieldId;

use super::form::{Anchor, Form};
use super::gate::Share;
use super::rarity::Rarity;
use crate::sigma::item::Expr;
use crate::test_of::Bound;

/// Uses of tests, and of all tests of whole values on a field.
#[derive(Debug)]
pub(super) struct Shares {
    uses: Vec<u32>,
    /// Per fields how many whole values rules name, and how often.
    wholes: BTreeMap<Vec<FieldId>, (u32, u32)>,
}

/// The share of events that have a field which rules read.
const PRESENT: f64 = 0.6;
/// The share of addresses in a network.
const NETWORK: f64 = 0.05;
/// How many values of an event a keyword is looked for in, weighed by how likely text is in them.
const KEYWORD_VALUES: f64 = 4.0;

impl Shares {
    pub(super) fn new<'a>(tests: &[Bound], forms: &[Form], conditions: impl Iterator<Item = &'a Expr<u32>>) -> Shares {
        let mut uses = vec![0; tests.len()];
        conditions.for_each(|expr| count(expr, &mut uses));
        let mut wholes: BTreeMap<Vec<FieldId>, (u32, u32)> = BTreeMap::new();
        for ((bound, form), uses) in tests.iter().zip(forms).zip(&uses) {
            if is_whole(form) {
                let (values, all) = wholes.entry(bound.fields.clone()).or_default();
                *values += 1;
                *all += uses;
            }
        }
        Shares { uses, wholes }
    }

    /// The guessed shares of events for which a test holds and fails.
    pub(super) fn of(&self, test: u32, bound: &Bound, form: &Form, rarity: &Rarity) -> Share {
        let share = match form {
            Form::Absent => return Share { holds: None, fails: Some(PRESENT) },
            Form::Present if bound.keyword => return Share::default(),
            Form::Present | Form::There => PRESENT,
            Form::Network(_) => NETWORK,
            _ if is_whole(form) && !bound.keyword => {
                let (values, all) = self.wholes.get(&bound.fields).copied().unwrap_or_default();
                let of_uses = f64::from(self.uses[test as usize]) / f64::from(all.max(1));
                of_uses.max(1.0 / f64::from(values + 1))
            }
            Form::Text { literals, .. } => literals.iter().map(|(_, text)| rarity.share(text)).sum(),
            Form::Number(_) => PRESENT,
        };
        Share { holds: Some(if bound.keyword { (share * KEYWORD_VALUES).min(1.0) } else { share }), fails: None }
    }
}

fn is_whole(form: &Form) -> bool {
    match form {
        Form::Number(_) => true,
        Form::Text { literals, .. } => literals.iter().all(|(anchor, _)| *anchor == Anchor::Whole),
        Form::Present | Form::There | Form::Absent | Form::Network(_) => false,
    }
}

fn count(expr: &Expr<u32>, uses: &mut [u32]) {
    match expr {
        Expr::Atom(test) => uses[*test as usize] += 1,
        Expr::And(of) | Expr::Or(of) | Expr::AtLeast(_, of) => of.iter().for_each(|e| count(e, uses)),
        Expr::Not(inner) | Expr::Named(_, inner) => count(inner, uses),
    }
}
