//! Values that no field of this kind has: a query that asks for them would find nothing, without a word.

use std::net::IpAddr;
use std::ops::Bound;

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::{Reason, Scalar, Test};
use crate::schema::{Kind, kind};
use crate::tokens::{has_words, is_wide};

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
                Test::Regex(regex) if !may_fit_a_word(regex) => Some(Reason::NoSuchWord),
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
        Test::Network(low, high) if kind != Kind::Ip => wrong(&format!("{low} to {high}")),
        Test::Range(low, high) => [low, high].into_iter().find_map(|end| match end {
            Bound::Included(end) | Bound::Excluded(end) if !fits(end) => wrong(&end.to_string()),
            _ => None,
        }),
        _ => None,
    }
}

/// Whether there may be a word in which this is found: words are of letters and digits, or addresses, dates and times; those of Chinese and
/// Japanese characters are pairs, of which no expression knows.
fn may_fit_a_word(regex: &Regex) -> bool {
    let of_letters = |c: char| c.is_alphanumeric() && !is_wide(c);
    let joined = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | ':');
    regex_syntax::parse(regex.as_str()).map_or(true, |hir| may_be_of(&hir, &of_letters) || may_be_of(&hir, &joined))
}

/// Whether a text of such characters alone matches.
fn may_be_of(hir: &Hir, holds: &dyn Fn(char) -> bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(text) => std::str::from_utf8(&text.0).is_ok_and(|text| text.chars().all(holds)),
        HirKind::Class(Class::Unicode(class)) => class.iter().any(|range| (range.start()..=range.end()).any(holds)),
        HirKind::Class(Class::Bytes(class)) => class.iter().any(|range| (range.start()..=range.end()).any(|b| holds(b.into()))),
        HirKind::Repetition(repeated) => repeated.min == 0 || may_be_of(&repeated.sub, holds),
        HirKind::Capture(inner) => may_be_of(&inner.sub, holds),
        HirKind::Concat(parts) => parts.iter().all(|part| may_be_of(part, holds)),
        HirKind::Alternation(parts) => parts.iter().any(|part| may_be_of(part, holds)),
    }
}
