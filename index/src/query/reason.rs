//! What can be wrong with a query: in English, and by a name that stays, for whoever says it in another language.

use std::fmt;

use super::CONDITIONS_MAX;

/// Why a query is none, or could never find anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// It is longer than queries may be: how many bytes they have.
    TooLong(usize),
    /// Its brackets stand in each other too deeply.
    TooDeep,
    /// It has too many conditions.
    TooManyConditions,
    /// There is something behind its end.
    UnexpectedText,
    /// A word is missing.
    ExpectedWord,
    /// A value is missing.
    ExpectedValue,
    /// A condition is missing.
    ExpectedCondition,
    /// A condition is missing before `AND` or `OR`.
    ExpectedConditionBefore,
    /// `)` is missing.
    ExpectedBracket,
    /// `TO` is missing in a range.
    ExpectedTo,
    /// A range has no end.
    ExpectedRangeEnd,
    /// The number of a weight is missing.
    ExpectedWeight,
    /// A quote is never closed.
    UnclosedQuote,
    /// The name of a field has wildcards.
    WildcardInName,
    /// A `?` stands where it cannot.
    WildcardWithin,
    /// A pattern is too large.
    PatternTooLarge,
    /// A text has no word.
    NoWords,
    /// A weight (`^`).
    Weight,
    /// A distance (`~`).
    Distance,
    /// A regular expression is none: why.
    BadRegex(String),
    /// A prefix is longer than so many bits.
    PrefixTooLong(u32),
    /// A range of a field without an order.
    NoOrder(String),
    /// A value that is no address, of a field of addresses.
    NoAddress(String, String),
    /// A value that is no number, of a field of numbers.
    NoNumber(String, String),
    /// A value that is no time, of a field of times.
    NoTime(String, String),
}

impl Reason {
    /// Its name.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::TooLong(_) => "too_long",
            Reason::TooDeep => "too_deep",
            Reason::TooManyConditions => "too_many_conditions",
            Reason::UnexpectedText => "unexpected_text",
            Reason::ExpectedWord => "expected_word",
            Reason::ExpectedValue => "expected_value",
            Reason::ExpectedCondition => "expected_condition",
            Reason::ExpectedConditionBefore => "expected_condition_before",
            Reason::ExpectedBracket => "expected_bracket",
            Reason::ExpectedTo => "expected_to",
            Reason::ExpectedRangeEnd => "expected_range_end",
            Reason::ExpectedWeight => "expected_weight",
            Reason::UnclosedQuote => "unclosed_quote",
            Reason::WildcardInName => "wildcard_in_name",
            Reason::WildcardWithin => "wildcard_within",
            Reason::PatternTooLarge => "pattern_too_large",
            Reason::NoWords => "no_words",
            Reason::Weight => "weight",
            Reason::Distance => "distance",
            Reason::BadRegex(_) => "bad_regex",
            Reason::PrefixTooLong(_) => "prefix_too_long",
            Reason::NoOrder(_) => "no_order",
            Reason::NoAddress(..) => "no_address",
            Reason::NoNumber(..) => "no_number",
            Reason::NoTime(..) => "no_time",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Reason::TooLong(bytes) => return write!(f, "longer than {bytes} bytes"),
            Reason::TooDeep => "nested too deeply",
            Reason::TooManyConditions => return write!(f, "more than {CONDITIONS_MAX} conditions"),
            Reason::UnexpectedText => "unexpected text",
            Reason::ExpectedWord => "expected a word",
            Reason::ExpectedValue => "expected a value",
            Reason::ExpectedCondition => "expected a condition",
            Reason::ExpectedConditionBefore => "expected a condition before it",
            Reason::ExpectedBracket => "expected )",
            Reason::ExpectedTo => "expected TO",
            Reason::ExpectedRangeEnd => "expected ] or }",
            Reason::ExpectedWeight => "expected a weight",
            Reason::UnclosedQuote => "the quote is never closed",
            Reason::WildcardInName => "wildcards in names of fields are not supported",
            Reason::WildcardWithin => "beside Chinese and Japanese text ? cannot stand: * can",
            Reason::PatternTooLarge => "the pattern is too large",
            Reason::NoWords => "records are found by their letters and digits, of which there are none",
            Reason::Weight => "weights (^) mean nothing where nothing is ranked",
            Reason::Distance => "a distance (~) is of words: of one, or of several in quotes with a number behind it",
            Reason::BadRegex(why) => why,
            Reason::PrefixTooLong(bits) => return write!(f, "a prefix has {bits} bits at most"),
            Reason::NoOrder(name) => return write!(f, "{name} has no order: a range of it is nothing"),
            Reason::NoAddress(value, name) => return write!(f, "{value:?} is no address or network, which {name} has"),
            Reason::NoNumber(value, name) => return write!(f, "{value:?} is no number, which {name} has"),
            Reason::NoTime(value, name) => return write!(f, "{value:?} is no time, which {name} has"),
        };
        f.write_str(text)
    }
}
