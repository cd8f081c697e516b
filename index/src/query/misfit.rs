//! Values that no field of this kind has: a query that asks for them would find nothing, without a word.

use std::net::IpAddr;
use std::ops::Bound;

use super::{NO_WORDS, Scalar, Test};
use crate::schema::{Kind, kind};
use crate::tokens::has_words;

/// Why `test` holds of no value of the field `name` as it is kept, for people; none where one may fit.
pub fn misfit(name: &str, test: &Test) -> Option<String> {
    let kind = kind(name);
    let (wanted, fits): (&str, fn(&Scalar) -> bool) = match kind {
        Kind::Ip => ("address or network", |end| matches!(end, Scalar::Ip(_))),
        Kind::Number => ("number", |end| matches!(end, Scalar::Number(_))),
        Kind::Time => ("time", |end| matches!(end, Scalar::Time(_))),
        Kind::Message => {
            return match test {
                Test::Is(text) if !has_words(text) => Some(NO_WORDS.to_owned()),
                Test::Range(..) => Some(format!("{name} has no order: a range of it is nothing")),
                _ => None,
            };
        }
        Kind::Keyword | Kind::Rest => return None,
    };
    let wrong = |text: &str| Some(format!("{text:?} is no {wanted}, which {name} has"));
    match test {
        Test::Is(text) => {
            let is = match kind {
                Kind::Ip => text.parse::<IpAddr>().is_ok(),
                Kind::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
                _ => crate::lower::instant(text).is_some(),
            };
            if is { None } else { wrong(text) }
        }
        Test::Network(low, high) if kind != Kind::Ip => wrong(&format!("{low} to {high}")),
        Test::Range(low, high) => [low, high].into_iter().find_map(|end| match end {
            Bound::Included(end) | Bound::Excluded(end) if !fits(end) => wrong(&end.to_string()),
            _ => None,
        }),
        _ => None,
    }
}
