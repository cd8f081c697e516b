//! Values that no field of this kind has: a query that asks for them would find nothing, without a word.

use std::net::IpAddr;
use std::ops::Bound;

use super::{Reason, Scalar, Test};
use crate::schema::{Kind, kind};
use crate::tokens::has_words;

/// What is wrong with a value of a field, by their texts.
type Wrong = fn(String, String) -> Reason;

/// Why `test` holds of no value of the field `name` as it is kept; none where one may fit.
pub(super) fn misfit(name: &str, test: &Test) -> Option<Reason> {
    let kind = kind(name);
    let (wrong, fits): (Wrong, fn(&Scalar) -> bool) = match kind {
        Kind::Ip => (Reason::NoAddress, |end| matches!(end, Scalar::Ip(_))),
        Kind::Number => (Reason::NoNumber, |end| matches!(end, Scalar::Integer(_) | Scalar::Number(_))),
        Kind::Time => (Reason::NoTime, |end| matches!(end, Scalar::Time(_))),
        Kind::Message => {
            return match test {
                Test::Is(text) if !has_words(text) => Some(Reason::NoWords),
                Test::Range(..) => Some(Reason::NoOrder(name.to_owned())),
                _ => None,
            };
        }
        Kind::Keyword | Kind::Rest => return None,
    };
    let wrong = |text: &str| Some(wrong(text.to_owned(), name.to_owned()));
    match test {
        Test::Is(text) => {
            let is = match kind {
                Kind::Ip => text.parse::<IpAddr>().is_ok(),
                Kind::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
                _ => crate::lower::instant(text).is_some(),
            };
            if is { None } else { wrong(text) }
        }
        Test::Near(near) => wrong(near.text()),
        Test::Network(low, high) if kind != Kind::Ip => wrong(&format!("{low} to {high}")),
        Test::Range(low, high) => [low, high].into_iter().find_map(|end| match end {
            Bound::Included(end) | Bound::Excluded(end) if !fits(end) => wrong(&end.to_string()),
            _ => None,
        }),
        _ => None,
    }
}
