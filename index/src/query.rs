//! The query language: Lucene- and KQL-like. `source.ip:10.0.0.0/8 AND event.action:deny AND "failed password"`.
//!
//! ```text
//!  or      = and ("OR" and)*                       and = not (("AND")? not)*       not = ("NOT" | "!" | "-")? one
//!  one     = "(" or ")" | field ":" value | field ("<" | "<=" | ">" | ">=") value | word | "phrase"
//!  value   = word | "text" | /regex/ | "*" | "[" a "TO" b "]" | "{" a "TO" b "}" | ("<" | ">" | "<=" | ">=") word | "(" or ")"
//! ```
//!
//! Within `field:( )` each `one` is a value of that field. Words without a field search the record's words. Text compares without case. The
//! parser is ours: its depth and size are bounded, and it says at which character it stopped.

pub mod instant;
mod lucene;
mod misfit;
mod near;
mod pattern;
mod reading;
mod reason;
mod unnamed;

use std::fmt;
use std::ops::Bound;

use event::{EventId, Time};
use instant::Instants;
use jiff::tz::TimeZone;
pub use lucene::{Lucene, lucene_regex, parse_lucene};
use misfit::misfit;
pub use near::{CHANGES_MAX, Near};
pub use pattern::{Pattern, Word};
pub(crate) use pattern::{beginning, reach};
pub use reading::{Reading, holding};
pub use reason::Reason;
use regex::{Regex, RegexBuilder};

use crate::fold::folded;
use crate::schema::{Kind, MESSAGE, kind};
use crate::tokens::{asked_words, has_words};

/// The event itself, as a field.
const ID: &str = "_id";
/// The record as it came, as a field.
const ORIGINAL: &str = "event.original";

/// Words that may be asked for near each other.
const NEAR_WORDS_MAX: usize = 32;

/// Bytes of a query.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// Brackets within each other.
const DEPTH_MAX: usize = 50;
/// Conditions in a query.
const CONDITIONS_MAX: usize = 1024;
/// Bytes of a compiled regular expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A query.
#[derive(Clone, Debug)]
pub enum Query {
    /// Every event.
    All,
    /// The record has these words one after the other.
    Words(String),
    /// The record has these words one after the other, the last of them as the beginning of a word.
    WordsPrefix(String),
    /// The record has words of these forms one after the other.
    WordsLike(Vec<Word>),
    /// The record has these rows of words, each somewhere behind the one before.
    WordsApart(Vec<Vec<Word>>),
    /// The record has these words in any order, so near each other: each that lies elsewhere than in a phrase of them by so many places at most.
    WordsNear(Vec<String>, u32),
    /// The message has a text in which an expression is found.
    Message(Box<Reading>),
    /// The record has a word that holds this text, in lower case, or one so long that its end is not known: for whoever looks at each hit
    /// himself and must miss none.
    WordPart(String),
    /// One of these events.
    Ids(Vec<EventId>),
    /// The field has a value so.
    Field(String, Test),
    /// All of these.
    And(Vec<Query>),
    /// One of these.
    Or(Vec<Query>),
    /// Not this.
    Not(Box<Query>),
}

/// What is asked of a field.
#[derive(Clone, Debug)]
pub enum Test {
    /// It is there.
    Exists,
    /// A value is this folded text: [`Test::is`].
    Is(String),
    /// A value is of this form.
    Glob(Pattern),
    /// The regular expression is found in a value as it is written; of the message, in one of the record's words, which are folded.
    Regex(Regex),
    /// A value, of the message a word of the record, is nearly this text.
    Near(Near),
    /// A value is an address within these ends, as IPv6.
    Network(std::net::Ipv6Addr, std::net::Ipv6Addr),
    /// A value lies within these ends.
    Range(Bound<Scalar>, Bound<Scalar>),
    /// A value is a text, not a number or an address, for which this holds. An address without a column of its own is kept as text.
    OfText(Box<Test>),
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A whole number.
    Integer(i128),
    /// A number that may have a fraction.
    Number(f64),
    /// An instant.
    Time(Time),
    /// An address, as IPv6.
    Ip(std::net::Ipv6Addr),
    /// Folded text.
    Text(String),
}

/// What is wrong with a query, and at which character (from 0).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueryError {
    /// The character.
    pub position: usize,
    /// What is wrong.
    pub reason: Reason,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}", self.reason, self.position)
    }
}

impl std::error::Error for QueryError {}

/// Reads a query. Relative times are meant from `now`.
///
/// # Errors
/// Where it is none.
pub fn parse(text: &str, now: Time) -> Result<Query, QueryError> {
    let mut parser = Parser::new(text, now, None)?;
    if parser.rest().is_empty() || parser.rest().trim() == "*" {
        return Ok(Query::All);
    }
    let query = parser.or(None)?;
    if !parser.rest().is_empty() {
        return Err(parser.error(Reason::UnexpectedText));
    }
    Ok(query)
}

struct Parser<'q> {
    text: &'q str,
    at: usize,
    depth: usize,
    conditions: usize,
    now: Time,
    /// Set where the text is to be read as Lucene reads it.
    lucene: Option<&'q Lucene<'q>>,
}

type Parsed<T> = Result<T, QueryError>;

impl<'q> Parser<'q> {
    fn new(text: &'q str, now: Time, lucene: Option<&'q Lucene<'q>>) -> Parsed<Parser<'q>> {
        let mut parser = Parser { text, at: 0, depth: 0, conditions: 0, now, lucene };
        let bytes_max = if lucene.is_some() { lucene::QUERY_BYTES_MAX } else { QUERY_BYTES_MAX };
        if text.len() > bytes_max {
            return Err(parser.error(Reason::TooLong(bytes_max)));
        }
        parser.blanks();
        Ok(parser)
    }

    fn rest(&self) -> &'q str {
        &self.text[self.at..]
    }

    fn error(&self, reason: Reason) -> QueryError {
        QueryError { position: self.text[..self.at].chars().count(), reason }
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// A keyword: the letters, then no further word character.
    fn keyword(&mut self, words: &[&str]) -> bool {
        for word in words {
            if self.rest().get(..word.len()).is_some_and(|r| r == *word) {
                let after = self.rest()[word.len()..].chars().next();
                let letters = word.starts_with(char::is_alphabetic);
                if !letters || after.is_none_or(|c| c.is_whitespace() || c == '(') {
                    self.at += word.len();
                    self.blanks();
                    return true;
                }
            }
        }
        false
    }

    /// Alternatives up to a closing bracket or the end; of one field, where they stand within `field:( )`.
    fn or(&mut self, field: Option<&str>) -> Parsed<Query> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(Reason::TooDeep));
        }
        let mut parts = vec![self.and(field)?];
        while self.keyword(&["OR", "||", "or"]) {
            parts.push(self.and(field)?);
        }
        self.depth -= 1;
        Ok(if parts.len() == 1 { parts.remove(0) } else { Query::Or(parts) })
    }

    fn and(&mut self, field: Option<&str>) -> Parsed<Query> {
        let mut parts = vec![self.not(field)?];
        loop {
            self.blanks();
            if self.keyword(&["AND", "&&", "and"]) {
                parts.push(self.not(field)?);
            } else if self.rest().is_empty() || self.rest().starts_with(')') || self.at_or() {
                break;
            } else {
                parts.push(self.not(field)?);
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Query::And(parts) })
    }

    fn at_or(&mut self) -> bool {
        let place = self.at;
        let found = self.keyword(&["OR", "||", "or"]);
        self.at = place;
        found
    }

    fn not(&mut self, field: Option<&str>) -> Parsed<Query> {
        let mut negated = false;
        loop {
            self.blanks();
            if self.keyword(&["NOT", "not"]) || self.eat("!") || (self.rest().starts_with('-') && self.eat("-")) {
                negated = !negated;
            } else if !self.eat("+") {
                break;
            }
        }
        let query = self.one(field)?;
        self.blanks();
        Ok(if negated { Query::Not(Box::new(query)) } else { query })
    }

    fn count(&mut self) -> Parsed<()> {
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            return Err(self.error(Reason::TooManyConditions));
        }
        Ok(())
    }

    /// What stands between brackets, of which the first is behind us.
    fn bracketed(&mut self, field: Option<&str>) -> Parsed<Query> {
        self.blanks();
        let inner = if self.lucene.is_some() { self.clauses(field)? } else { self.or(field)? };
        self.blanks();
        if self.eat(")") { Ok(inner) } else { Err(self.error(Reason::ExpectedBracket)) }
    }

    fn one(&mut self, field: Option<&str>) -> Parsed<Query> {
        self.count()?;
        if self.eat("(") {
            return self.bracketed(field);
        }
        if let Some(name) = field {
            return self.value(name);
        }
        if self.rest().starts_with('"') {
            return self.phrase();
        }
        if self.eat("*:*") {
            return Ok(Query::All);
        }
        if let Some(query) = self.unnamed() {
            return Ok(query);
        }
        let start = self.at;
        let name = self.name();
        if !name.is_empty() {
            if self.rest().starts_with(':') && !self.rest().starts_with("://") {
                self.at += 1;
                self.blanks();
                if name == "_exists_" {
                    let field = self.word()?;
                    return Ok(Query::Field(unescaped(&field), Test::Exists));
                }
                return self.value(&name);
            }
            if self.rest().starts_with(['<', '>']) {
                return self.value(&name);
            }
            if let Some(negated) = self.compared(&name) {
                let query = self.value(&name)?;
                return Ok(if negated { Query::Not(Box::new(query)) } else { query });
            }
        }
        self.at = start;
        self.unquoted()
    }

    /// Whether an operator stands here as other languages write it, behind what is certainly a field's name: with blanks before it, or `=`, `==`,
    /// `!=`. True: it negates.
    fn compared(&mut self, name: &str) -> Option<bool> {
        let listed = kind(name) != Kind::Rest;
        let pathlike = name.contains('.') && name.starts_with(char::is_alphabetic);
        if !listed && !pathlike {
            return None;
        }
        let start = self.at;
        self.blanks();
        let spaced = self.at > start;
        let negated = self.eat("!=");
        let is = !negated
            && (self.eat("==") || ((spaced || (listed && name.contains('.'))) && self.eat("=")) || (spaced && self.eat(":")));
        if negated || is || (spaced && self.rest().starts_with(['<', '>'])) {
            self.blanks();
            return Some(negated);
        }
        self.at = start;
        None
    }

    /// Words in quotes.
    fn phrase(&mut self) -> Parsed<Query> {
        let start = self.at;
        let text = self.quoted()?;
        let query = self.words(start, text.clone())?;
        Ok(self.apart(&text)?.unwrap_or(query))
    }

    /// How far the words of a phrase may be from their places, where that is said here: `~5`.
    fn apart(&mut self, text: &str) -> Parsed<Option<Query>> {
        if !self.eat("~") {
            return Ok(None);
        }
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let distance = self.rest()[..digits].parse().map_err(|_| self.error(Reason::Distance))?;
        self.at += digits;
        Query::near(text, distance).map(Some).map_err(|reason| self.error(reason))
    }

    /// What is asked by a word that ends in `~`, or in `~` and how many changes there may be.
    fn nearly(word: &str, joins: &[char]) -> Option<Near> {
        let (text, changes) = word.rsplit_once('~')?;
        let changes = if changes.is_empty() { None } else { Some(changes.parse().ok().filter(|n: &usize| *n <= CHANGES_MAX)?) };
        let fits = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || joins.contains(&c));
        fits.then(|| Near::new(text, changes, 0))
    }

    /// A word without a field, or a pattern of one.
    fn unquoted(&mut self) -> Parsed<Query> {
        let start = self.at;
        let word = self.word()?;
        if named_by_pattern(&self.text[start..self.at]) {
            self.at = start;
            return Err(self.error(Reason::WildcardInName));
        }
        if !has_wildcard(&word) {
            let near = Parser::nearly(&word, &[]).map(|near| Query::Field(MESSAGE.to_owned(), Test::Near(near)));
            // `PROGRA~1` may be meant as it is.
            let words = self.words(start, unescaped(&word))?;
            return Ok(near.map_or_else(|| words.clone(), |near| Query::Or(vec![words.clone(), near])));
        }
        if word.chars().all(|c| c == '*') {
            return Ok(Query::All);
        }
        pattern::like(&word).map_err(|reason| {
            self.at = start;
            self.error(reason)
        })
    }

    /// The words of a text that stood at `start`. Where it has none it would find nothing, and its opposite everything.
    fn words(&mut self, start: usize, text: String) -> Parsed<Query> {
        if has_words(&text) {
            return Ok(Query::Words(text));
        }
        self.at = start;
        Err(self.error(Reason::NoWords))
    }

    /// A word here whose colons name no field.
    fn unnamed(&mut self) -> Option<Query> {
        let start = self.at;
        let query = self.word().ok().and_then(|word| unnamed::unnamed(&word));
        if query.is_none() {
            self.at = start;
        }
        query
    }

    /// A field's name, as far as there is one here.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let mut chars = self.rest().chars().peekable();
        let mut bytes = 0;
        while let Some(c) = chars.next() {
            if c == '\\' && chars.peek().is_some() {
                let next = chars.next().unwrap_or(' ');
                name.push(next);
                bytes += 1 + next.len_utf8();
            } else if c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@') {
                name.push(c);
                bytes += c.len_utf8();
            } else {
                break;
            }
        }
        self.at += bytes;
        name
    }

    /// A word up to a blank or a bracket; a backslash takes the meaning from the next character. What [`unescaped`] is for is still there.
    fn word(&mut self) -> Parsed<String> {
        let mut word = String::new();
        let mut escaped = false;
        let mut weight = None;
        let mut bytes = 0;
        for c in self.rest().chars() {
            if !escaped && (c.is_whitespace() || matches!(c, '(' | ')' | '"' | '[' | ']' | '{' | '}')) {
                break;
            }
            if !escaped && self.lucene.is_some() && matches!(c, '^' | '~') {
                break; // What follows belongs to the clause: its weight, or how far from it a match may be.
            }
            if c == '^' && !escaped {
                weight = Some((bytes, word.len() + 1));
            }
            bytes += c.len_utf8();
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && matches!(c, '*' | '?' | '\\') {
                word.push('\\'); // Kept for whoever looks for wildcards.
            }
            escaped = false;
            word.push(c);
        }
        if word.is_empty() {
            return Err(self.error(Reason::ExpectedWord));
        }
        if let Some((at, behind)) = weight
            && word[behind..].parse::<f32>().is_ok()
        {
            self.at += at;
            return Err(self.error(Reason::Weight));
        }
        self.at += bytes;
        Ok(word)
    }

    fn quoted(&mut self) -> Parsed<String> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, next)| next)),
                c => text.push(c),
            }
        }
        self.at = start;
        Err(self.error(Reason::UnclosedQuote))
    }

    fn value(&mut self, name: &str) -> Parsed<Query> {
        let start = self.at;
        if self.eat("(") {
            return self.bracketed(Some(name));
        }
        // In quotes a text may be meant that a device wrote where a number or an address belongs; a time is always one.
        let as_text = self.rest().starts_with('"') && matches!(kind(name), Kind::Ip | Kind::Number);
        let test = self.test(name)?;
        if let (Test::Is(text), MESSAGE) = (&test, name)
            && let Some(query) = self.apart(text)?
        {
            return Ok(query);
        }
        if as_text {
            return Ok(Query::Field(name.to_owned(), test));
        }
        Query::of(name, test).map_err(|reason| {
            self.at = start;
            self.error(reason)
        })
    }

    /// What is asked of the values of a field.
    fn test(&mut self, name: &str) -> Parsed<Test> {
        let rest = self.rest();
        match rest.chars().next() {
            None => Err(self.error(Reason::ExpectedValue)),
            Some('"') => {
                let text = self.quoted()?;
                match kind(name) {
                    // A value is whole: there is nothing between which a word could lie.
                    kind if kind != Kind::Message && self.rest().starts_with('~') => Err(self.error(Reason::Distance)),
                    Kind::Ip | Kind::Time => self.plain(name, &text),
                    _ => Ok(Test::is(&text)),
                }
            }
            Some('/') if rest[1..].contains('/') => {
                let start = self.at;
                let (source, bytes) = match self.lucene {
                    Some(_) => lucene::slashed(&rest[1..]),
                    None => slashed(&rest[1..]),
                };
                self.at += 1 + bytes;
                let regex = match self.lucene {
                    Some(_) => lucene_regex(&source, false),
                    None => RegexBuilder::new(&source).size_limit(REGEX_BYTES_MAX).build().map_err(|e| bad_regex(&e)),
                };
                regex.map(Test::Regex).map_err(|reason| {
                    self.at = start;
                    self.error(reason)
                })
            }
            Some('[' | '{') => self.range(name),
            Some('<' | '>') => {
                let operator = ["<=", ">=", "<", ">"].into_iter().find(|o| self.eat(o)).unwrap_or("<");
                self.blanks();
                let word = if self.rest().starts_with('"') { self.quoted()? } else { unescaped(&self.word()?) };
                // What a date leaves open belongs to it: `>2026-04-01` begins behind the day, `<=2026-04-01` ends with it.
                let end = self.scalar(name, &word, matches!(operator, ">" | "<="));
                Ok(match operator {
                    "<=" => Test::Range(Bound::Unbounded, Bound::Included(end)),
                    ">=" => Test::Range(Bound::Included(end), Bound::Unbounded),
                    "<" => Test::Range(Bound::Unbounded, Bound::Excluded(end)),
                    _ => Test::Range(Bound::Excluded(end), Bound::Unbounded),
                })
            }
            Some(_) => {
                let word = self.word()?;
                if word == "*" {
                    return Ok(Test::Exists);
                }
                if has_wildcard(&word) {
                    return Pattern::new(&word).map(Test::Glob).map_err(|_| self.error(Reason::PatternTooLarge));
                }
                if let Some(near) = Parser::nearly(&word, &['.', '-', '_', '@']) {
                    return Ok(Test::Near(near));
                }
                self.plain(name, &unescaped(&word))
            }
        }
    }

    /// That a value is this; a date is the whole of what it names.
    fn plain(&self, name: &str, text: &str) -> Parsed<Test> {
        if kind(name) == Kind::Time
            && let (Some(first), Some(last)) = (self.instant(text, false), self.instant(text, true))
        {
            return Ok(Test::Range(Bound::Included(Scalar::Time(first)), Bound::Included(Scalar::Time(last))));
        }
        Test::of(text).map_err(|reason| self.error(reason))
    }

    fn instant(&self, text: &str, up: bool) -> Option<Time> {
        let zone = self.lucene.and_then(|lucene| lucene.zone);
        Instants { now: self.now, zone: zone.unwrap_or(&TimeZone::UTC) }.read(text, up)
    }

    /// An end of a range of the field's values; `up`: what a date leaves open lies before it.
    fn scalar(&self, name: &str, word: &str, up: bool) -> Scalar {
        let time = if kind(name) == Kind::Time { self.instant(word, up) } else { None };
        time.map_or_else(|| Scalar::guess(word, self.now), Scalar::Time)
    }

    fn range(&mut self, name: &str) -> Parsed<Test> {
        let low_in = self.rest().starts_with('[');
        self.at += 1;
        let low = self.end()?;
        self.blanks();
        if !self.keyword(&["TO", "to"]) {
            return Err(self.error(Reason::ExpectedTo));
        }
        let high = self.end()?;
        self.blanks();
        let high_in = self.rest().starts_with(']');
        if !self.eat("]") && !self.eat("}") {
            return Err(self.error(Reason::ExpectedRangeEnd));
        }
        let bound = |end: Option<String>, included, up| match end.map(|word| self.scalar(name, &word, up)) {
            None => Bound::Unbounded,
            Some(end) if included => Bound::Included(end),
            Some(end) => Bound::Excluded(end),
        };
        Ok(match (bound(low, low_in, !low_in), bound(high, high_in, high_in)) {
            (Bound::Unbounded, Bound::Unbounded) => Test::Exists,
            (low, high) => Test::Range(low, high),
        })
    }

    /// The text of an end; none where it is open.
    fn end(&mut self) -> Parsed<Option<String>> {
        self.blanks();
        let word = if self.rest().starts_with('"') { self.quoted()? } else { self.word()? };
        Ok(if word == "*" { None } else { Some(unescaped(&word)) })
    }
}

impl Scalar {
    /// What a word is an end of: a number, an instant, an address, or else text.
    pub fn guess(word: &str, now: Time) -> Scalar {
        if let Some(number) = Scalar::number(word) {
            return number;
        }
        if let Some(time) = time(word, now) {
            return Scalar::Time(time);
        }
        if let Ok(ip) = word.parse() {
            return Scalar::Ip(crate::schema::v6(ip));
        }
        Scalar::Text(folded(word))
    }

    /// The number that is written so, a whole one exactly.
    pub fn number(text: &str) -> Option<Scalar> {
        match text.parse() {
            Ok(n) => Some(Scalar::Integer(n)),
            Err(_) => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Scalar::Number),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Integer(n) => n.fmt(f),
            Scalar::Number(n) => n.fmt(f),
            Scalar::Time(time) => time.fmt(f),
            Scalar::Ip(ip) => ip.to_canonical().fmt(f),
            Scalar::Text(text) => text.fmt(f),
        }
    }
}

impl Query {
    /// That the record has the words of `text`, each at most so many places from where it stands in the text.
    ///
    /// # Errors
    /// Where they are too many.
    pub fn near(text: &str, distance: u32) -> Result<Query, Reason> {
        let words = asked_words(text);
        if words.len() > NEAR_WORDS_MAX {
            return Err(Reason::PatternTooLarge);
        }
        let alone = distance == 0 || words.len() < 2;
        Ok(if alone { Query::Words(text.to_owned()) } else { Query::WordsNear(words, distance) })
    }

    /// That the field has a value so; of the message, which is kept as words, that a word is so, or words are.
    ///
    /// # Errors
    /// Where no value of the field as it is kept could be: why not.
    pub fn of(name: &str, test: Test) -> Result<Query, Reason> {
        if let Some(reason) = misfit(name, &test) {
            return Err(reason);
        }
        match test {
            Test::Is(text) if name == ID => Ok(Query::Ids(text.parse().into_iter().collect())),
            // It is told with every hit and kept as words, unless the event has a field of that name too.
            Test::Is(_) | Test::Glob(_) | Test::Exists if name == ORIGINAL => {
                let of_record = match &test {
                    Test::Is(text) if has_words(text) => Query::Words(text.clone()),
                    Test::Is(_) => return Err(Reason::NoWords),
                    Test::Glob(pattern) => pattern::like(&pattern.glob)?,
                    _ => Query::All,
                };
                Ok(Query::Or(vec![of_record, Query::Field(name.to_owned(), test)]))
            }
            Test::Glob(pattern) if name == MESSAGE => pattern::like(&pattern.glob),
            Test::Regex(regex) if name == MESSAGE => reading::found(&regex),
            test => Ok(Query::Field(name.to_owned(), test)),
        }
    }
}

impl Test {
    /// That a value is this text; of an address with a prefix length (`10.0.0.0/8`), that it is of this network.
    ///
    /// # Errors
    /// Where the prefix is too long.
    pub fn of(text: &str) -> Result<Test, Reason> {
        if let Some((address, bits)) = text.split_once('/')
            && let (Ok(ip), Ok(bits)) = (address.parse::<std::net::IpAddr>(), bits.parse::<u32>())
        {
            let all = if ip.is_ipv4() { 32 } else { 128 };
            if bits > all {
                return Err(Reason::PrefixTooLong(all));
            }
            let ip = crate::schema::v6(ip).to_bits();
            let mask = u128::MAX.checked_shl(all - bits).unwrap_or(0);
            return Ok(Test::Network((ip & mask).into(), (ip | !mask).into()));
        }
        Ok(Test::is(text))
    }

    /// That a value is this text.
    pub fn is(text: &str) -> Test {
        Test::Is(folded(text))
    }
}

/// Whether a word of the parser has a `*` or `?` that stands for others.
fn has_wildcard(word: &str) -> bool {
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' => return true,
            _ => {}
        }
    }
    false
}

/// Whether a word as it is written has a colon behind a name with wildcards. One behind a backslash is meant as it is.
fn named_by_pattern(written: &str) -> bool {
    let mut chars = written.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            ':' => return has_wildcard(&written[..at]),
            _ => {}
        }
    }
    false
}

/// A word of the parser as it was meant: without the backslashes that it kept for wildcards.
fn unescaped(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

/// Why a regular expression is none, in a line.
fn bad_regex(error: &regex::Error) -> Reason {
    let told = error.to_string();
    let line = told.lines().last().unwrap_or("bad regular expression");
    Reason::BadRegex(line.strip_prefix("error: ").unwrap_or(line).to_owned())
}

/// The source of `source/...`, and how many bytes it takes with its slash.
fn slashed(text: &str) -> (String, usize) {
    let mut source = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '/' => return (source, at + 1),
            '\\' => match chars.next() {
                Some((_, '/')) => source.push('/'),
                Some((_, next)) => {
                    source.push('\\');
                    source.push(next);
                }
                None => source.push('\\'),
            },
            c => source.push(c),
        }
    }
    (source, text.len())
}

/// An instant: RFC 3339, less of it (its start in UTC), or date math from `now` (`now-15m`, `now-1d/d`).
pub fn time(text: &str, now: Time) -> Option<Time> {
    Instants { now, zone: &TimeZone::UTC }.read(text, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Time {
        "2026-04-01T00:00:00Z".parse().expect("a time")
    }

    #[test]
    fn queries_are_read() {
        for text in [
            "source.ip:10.0.0.0/8 AND event.action:deny AND \"failed password\"",
            "a:(b OR c OR \"d e\") NOT x:y -z:1 +w",
            "bytes:[1 TO 5} AND n:>=5 n<7",
            "url.path:/etc\\/pass.*/ || !host:web*",
            "_exists_:user.name user:*",
            "@timestamp:[now-15m TO now]",
            "http://example.com/a",
            r"*javascript\:alert*",
            "個人番号 OR ログ*",
            "",
            "*",
        ] {
            assert!(parse(text, now()).is_ok(), "{text}: {:?}", parse(text, now()));
        }
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (text, position) in
            [("a AND", 5), ("(a", 2), ("a)", 1), ("x:", 2), ("あ \"b", 2), ("x:[1 2]", 5), ("x:/(/", 2), ("AND a", 4)]
        {
            let error = parse(text, now()).map(|q| format!("{q:?}"));
            match error {
                Err(error) => assert_eq!(error.position, position, "{text}: {error}"),
                // A keyword alone is a word like any other.
                Ok(query) => assert_eq!(text, "AND a", "{query}"),
            }
        }
        assert!(parse(&"(".repeat(3000), now()).is_err());
        assert!(parse(&"NOT ".repeat(4000), now()).is_err());
        assert!(parse(&"a ".repeat(4000), now()).is_err());
    }

    #[test]
    fn a_backslash_before_a_wildcard_may_itself_be_meant() {
        let globs = |text: &str| match parse(text, now()) {
            Ok(Query::Field(_, Test::Glob(pattern))) => {
                (pattern.regex.is_match("c:\\windows\\cmd.exe"), pattern.regex.is_match("c:windowscmd.exe"))
            }
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(globs(r"p:*\\cmd.exe"), (true, false));
        assert_eq!(globs(r"p:c\:\\*"), (true, false));
        assert!(matches!(parse(r"p:a\*b", now()), Ok(Query::Field(_, Test::Is(text))) if text == "a*b"));
        assert!(matches!(parse(r"p:c\:\\a", now()), Ok(Query::Field(_, Test::Is(text))) if text == r"c:\a"));
    }

    #[test]
    fn times_may_be_relative() {
        assert_eq!(time("now-15m", now()).map(|t| t.to_string()).as_deref(), Some("2026-03-31T23:45:00Z"));
        assert_eq!(time("2026-04-01", now()), Some(now()));
        assert_eq!(time("now-", now()), None);
        assert_eq!(time("now-9999999999999999999d", now()), None);
    }
}
