//! The query language as Lucene's classic parser reads it, for the clients of Elasticsearch: `query_string`.
//!
//! The values are those of our own language. What differs: clauses that stand side by side are alternatives unless told otherwise; `AND`
//! and `OR` mark the clauses beside them as required or not, rather than binding more or less tightly; a regular expression is over the
//! whole value and written as Lucene writes it; `^2` is a weight, which means nothing where nothing is ranked.

use event::Time;
use jiff::tz::TimeZone;
use regex::{Regex, RegexBuilder};

use super::{
    CHANGES_MAX, DEPTH_MAX, Near, Parsed, Parser, Query, QueryError, REGEX_BYTES_MAX, Reason, Test, bad_regex, unescaped,
};
use crate::schema::{Kind, MESSAGE, kind};

/// Bytes of a query: converters of rules write long ones.
pub(super) const QUERY_BYTES_MAX: usize = 64 * 1024;

/// How a query of Lucene's syntax is meant.
#[derive(Clone, Debug, Default)]
pub struct Lucene<'a> {
    /// Whether clauses side by side are all required.
    pub all: bool,
    /// The fields that words without one are looked for in; none: the record's words.
    pub fields: &'a [String],
    /// The zone of dates that do not say theirs; none: UTC.
    pub zone: Option<&'a TimeZone>,
}

/// Reads a query in Lucene's syntax. Relative times are meant from `now`.
///
/// # Errors
/// Where it is none, or asks for what we have not: distances (`~`) of what has no words.
pub fn parse_lucene(text: &str, lucene: &Lucene<'_>, now: Time) -> Result<Query, QueryError> {
    let mut parser = Parser::new(text, now, Some(lucene))?;
    if matches!(parser.rest().trim(), "" | "*" | "*:*") {
        return Ok(Query::All);
    }
    let query = parser.clauses(None)?;
    if !parser.rest().is_empty() {
        return Err(parser.error(Reason::UnexpectedText));
    }
    Ok(query)
}

/// How a clause takes part.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Occurs {
    Must,
    May,
    MustNot,
}

impl Parser<'_> {
    /// Clauses up to a closing bracket or the end; of one field, where they stand within `field:( )`.
    pub(super) fn clauses(&mut self, field: Option<&str>) -> Parsed<Query> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(Reason::TooDeep));
        }
        let all = self.lucene.is_some_and(|l| l.all);
        let mut clauses: Vec<(Occurs, Query)> = Vec::new();
        loop {
            self.blanks();
            if self.rest().is_empty() || self.rest().starts_with(')') {
                break;
            }
            let start = self.at;
            let and = self.keyword(&["AND", "&&"]);
            let or = !and && self.keyword(&["OR", "||"]);
            if clauses.is_empty() && (and || or) {
                self.at = start;
                return Err(self.error(Reason::ExpectedConditionBefore));
            }
            self.blanks();
            let (mut required, mut negated) = (false, false);
            loop {
                if self.keyword(&["NOT"]) || self.eat("!") || self.eat("-") {
                    negated = !negated;
                } else if self.eat("+") {
                    required = true;
                } else {
                    break;
                }
                self.blanks();
            }
            let query = self.clause(field)?;
            // What `AND` and `OR` say of the clause before (Lucene, QueryParserBase::addClause).
            if let Some((occurs, _)) = clauses.last_mut().filter(|(occurs, _)| *occurs != Occurs::MustNot) {
                match (and, or && all) {
                    (true, _) => *occurs = Occurs::Must,
                    (_, true) => *occurs = Occurs::May,
                    _ => {}
                }
            }
            let required = required || and || (all && !or);
            clauses.push(match (negated, required) {
                (true, _) => (Occurs::MustNot, query),
                (false, true) => (Occurs::Must, query),
                (false, false) => (Occurs::May, query),
            });
        }
        self.depth -= 1;
        if clauses.is_empty() {
            return Err(self.error(Reason::ExpectedCondition));
        }
        Ok(together(clauses))
    }

    fn clause(&mut self, field: Option<&str>) -> Parsed<Query> {
        self.count()?;
        let query = match field {
            Some(_) if self.eat("(") => self.bracketed(field)?,
            Some(name) => self.value(name)?,
            None => self.free()?,
        };
        if self.eat("^") {
            let digits = self.rest().bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            self.at += digits;
            if digits == 0 {
                return Err(self.error(Reason::ExpectedWeight));
            }
        }
        if !self.rest().starts_with('~') {
            return Ok(query);
        }
        let changes = self.rest()[1..].bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        // What is less than one is a likeness, as it was written long ago.
        let count = self.rest()[1..=changes].parse().ok().filter(|n: &usize| *n <= CHANGES_MAX);
        let near = |text: &str| Test::Near(Near::new(text, count, 0));
        let query = match &query {
            Query::Words(text) if text.chars().all(char::is_alphanumeric) => Query::Field(MESSAGE.to_owned(), near(text)),
            Query::Field(name, Test::Is(text)) if kind(name) != Kind::Ip && kind(name) != Kind::Number => {
                Query::Field(name.clone(), near(text))
            }
            _ => return Err(self.error(Reason::Distance)),
        };
        self.at += 1 + changes;
        Ok(query)
    }

    /// A clause outside `field:( )`.
    fn free(&mut self) -> Parsed<Query> {
        if self.eat("(") {
            return self.bracketed(None);
        }
        if self.eat("*:*") {
            return Ok(Query::All);
        }
        let start = self.at;
        let fields = self.lucene.map(|l| l.fields).filter(|f| !f.is_empty());
        let unnamed = self.unnamed();
        if let (Some(query), None) = (&unnamed, fields) {
            return Ok(query.clone());
        }
        self.at = start;
        let name = if unnamed.is_none() { self.name() } else { String::new() };
        if !name.is_empty() && self.rest().starts_with([':', '<', '>']) && !self.rest().starts_with("://") {
            if self.eat(":") {
                self.blanks();
            }
            if name == "_exists_" {
                return Ok(Query::Field(unescaped(&self.word()?), Test::Exists));
            }
            return self.value(&name);
        }
        self.at = start;
        if let Some(fields) = fields {
            let mut any = Vec::with_capacity(fields.len());
            for field in fields {
                self.at = start;
                any.push(self.value(field)?);
            }
            return Ok(if any.len() == 1 { any.remove(0) } else { Query::Or(any) });
        }
        if self.rest().starts_with('/') {
            return self.value(MESSAGE);
        }
        if self.rest().starts_with('"') {
            return self.phrase();
        }
        self.unquoted()
    }
}

/// One query of clauses: all that must, none that must not, and one at least of the others where none must.
fn together(clauses: Vec<(Occurs, Query)>) -> Query {
    let (mut all, mut any) = (Vec::new(), Vec::new());
    let required = clauses.iter().any(|(occurs, _)| *occurs == Occurs::Must);
    for (occurs, query) in clauses {
        match occurs {
            Occurs::Must => all.push(query),
            Occurs::MustNot => all.push(Query::Not(Box::new(query))),
            Occurs::May if required => {}
            Occurs::May => any.push(query),
        }
    }
    match any.len() {
        0 => {}
        1 => all.append(&mut any),
        _ => all.push(Query::Or(any)),
    }
    if all.len() == 1 { all.remove(0) } else { Query::And(all) }
}

/// The source of `source/...`, and how many bytes it takes with its slash. As Lucene's lexer has it, whatever stands before a backslash: a slash
/// behind one ends nothing, but where no other does.
pub(super) fn slashed(text: &str) -> (String, usize) {
    let bytes = text.as_bytes();
    let slashes = || memchr::memchr_iter(b'/', bytes);
    let end = slashes().find(|at| *at == 0 || bytes[at - 1] != b'\\').or_else(|| slashes().next_back()).unwrap_or(bytes.len());
    (text[..end].to_owned(), (end + 1).min(bytes.len()))
}

/// A class of letters by its name, as Lucene knows it: of ASCII alone.
fn class_of(name: char) -> Option<(bool, &'static str)> {
    let letters = match name.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => " \\t\\n\\r\\x0b\\x0c",
        _ => return None,
    };
    Some((name.is_ascii_uppercase(), letters))
}

/// A regular expression of Lucene's syntax, over a whole value: `"..."` is meant literally, `@` is any text, `#` nothing at all. An anchor
/// at either end, which Lucene takes for a character, is taken for what it is meant.
///
/// # Errors
/// Where it is none, or has what we have not: complement (`~`), intersection (`&`), intervals (`<1-9>`).
pub fn lucene_regex(source: &str, ignore_case: bool) -> Result<Regex, Reason> {
    let bad = |why: &str| Reason::BadRegex(why.to_owned());
    let mut out = String::from("^(?:");
    let source = source.strip_prefix('^').unwrap_or(source);
    let mut chars = source.chars().peekable();
    let mut class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let next = chars.next().ok_or_else(|| bad("a backslash at the end"))?;
                match class_of(next) {
                    Some((false, letters)) if class => out.push_str(letters),
                    Some((negated, letters)) => out.extend([if negated { "[^" } else { "[" }, letters, "]"]),
                    // Other letters have no meaning behind a backslash.
                    None if next.is_alphanumeric() => out.push(next),
                    None => out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4]))),
                }
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            '[' if class => out.push_str("\\["),
            '&' | '~' if class => out.extend(['\\', c]),
            c if class => out.push(c),
            '[' => {
                class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '"' => loop {
                match chars.next() {
                    Some('"') => break,
                    Some(c) => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                    None => return Err(bad("a quote is never closed")),
                }
            },
            '@' => out.push_str(".*"),
            '#' => out.push_str("[^\\s\\S]"),
            '$' if chars.peek().is_none() => {}
            '^' | '$' => out.extend(['\\', c]),
            '~' | '&' => return Err(Reason::BadRegex(format!("{c} is not supported in regular expressions"))),
            '<' if chars.peek().is_some_and(char::is_ascii_digit) => {
                return Err(bad("intervals (<1-9>) are not supported in regular expressions"));
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    let built =
        RegexBuilder::new(&out).case_insensitive(ignore_case).dot_matches_new_line(true).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|e| bad_regex(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, all: bool, fields: &[&str]) -> String {
        let fields: Vec<String> = fields.iter().map(|f| (*f).to_owned()).collect();
        match parse_lucene(text, &Lucene { all, fields: &fields, zone: None }, Time::EPOCH) {
            Ok(query) => shown(&query),
            Err(error) => error.to_string(),
        }
    }

    fn shown(query: &Query) -> String {
        let list = |all: &[Query]| all.iter().map(shown).collect::<Vec<_>>().join(" ");
        match query {
            Query::All => "all".to_owned(),
            Query::And(all) => format!("(and {})", list(all)),
            Query::Or(any) => format!("(or {})", list(any)),
            Query::Not(inner) => format!("(not {})", shown(inner)),
            Query::Words(text) => text.clone(),
            Query::WordsLike(row) => format!("{row:?}"),
            Query::Field(name, Test::Is(text)) => format!("{name}={text}"),
            Query::Field(name, Test::Exists) => format!("{name}?"),
            Query::Field(name, Test::Glob(pattern)) => format!("{name}~{}", pattern.glob),
            Query::Field(name, Test::Regex(regex)) => format!("{name}/{regex}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn clauses_are_put_together_as_lucene_does() {
        for (text, all, expected) in [
            ("a b", false, "(or a b)"),
            ("a b", true, "(and a b)"),
            ("a AND b", false, "(and a b)"),
            ("a AND b c", false, "(and a b)"),
            ("a OR b AND c", false, "(and b c)"),
            ("a OR b", true, "(or a b)"),
            ("(a AND b) OR (c AND NOT d)", false, "(or (and a b) (and c (not d)))"),
            ("+a b -c", false, "(and a (not c))"),
            ("a -b", false, "(and (not b) a)"),
            ("NOT a", false, "(not a)"),
            ("x:(a OR \"b c\")", false, "(or x=a x=b c)"),
            ("x:(a AND NOT (b OR c*))", false, "(and x=a (not (or x=b x~c*)))"),
            ("x:a^2 AND y:*", false, "(and x=a y?)"),
            ("_exists_:x", false, "x?"),
            ("*:* AND x:a\\ b", false, "(and all x=a b)"),
            (r"x:*\\cmd.exe", false, r"x~*\\cmd.exe"),
            (r"x:/(^|\\/)\.[^\\/]/ y", false, r"(or x/^(?:(\^|\\/)\.[^\\/])$ y)"),
            (r"x:/a\\/", false, r"x/^(?:a\\)$"),
            ("x:/a.*\\/b/", false, "x/^(?:a.*/b)$"),
            ("and or", false, "(or and or)"),
        ] {
            assert_eq!(read(text, all, &[]), expected, "{text}");
        }
        // A colon behind a backslash names no field.
        assert!(read(r"*javascript\:alert* OR *\:179*", false, &[]).starts_with("(or ["));
        assert_eq!(read("s*:a", false, &[]), "wildcards in names of fields are not supported at character 0");
        assert_eq!(read("a \"b c\"", false, &["x", "y"]), "(or (or x=a y=a) (or x=b c y=b c))");
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (text, position) in
            [("AND a", 0), ("a AND", 5), ("(a", 2), ("a)", 1), ("10.0.0.1~2", 8), ("x:/(/", 2), ("s.*:a", 0), ("()", 1)]
        {
            let error = parse_lucene(text, &Lucene::default(), Time::EPOCH).map(|q| shown(&q)).expect_err(text);
            assert_eq!(error.position, position, "{text}: {error}");
        }
        for text in ["(".repeat(3000), "NOT (".repeat(200), "a ".repeat(4000), "x:(".repeat(200)] {
            assert!(parse_lucene(&text, &Lucene::default(), Time::EPOCH).is_err());
        }
    }

    #[test]
    fn regular_expressions_are_translated() {
        for (source, value, matches) in [
            ("a.c", "abc", true),
            ("a.c", "xabc", false),
            ("^abc$", "abc", true),
            ("\"a.c\"", "abc", false),
            ("a@", "a\nb", true),
            ("#", "", false),
            ("[^a&&b]x", "cx", true),
            ("[^a&&b]x", "&x", false),
            (r"\d+\.\w", "12.x", true),
            (r"\d", "１", false),
            (r"[\W\d]+", "-1", true),
            (r"[^\s]\S\D", "a b", false),
            (r"-k\s\w{1,64}(?:\s?(?:-p|-s))?", "-k netsvcs -p", true),
            (r"a\@b", "a@b", true),
            ("[]a]+", "]a", true),
        ] {
            assert_eq!(lucene_regex(source, false).expect(source).is_match(value), matches, "{source} {value}");
        }
        assert!(lucene_regex("ABC", true).expect("reads").is_match("abc"));
        for bad in ["~a", "a&b", "<1-9>", "(", "\"a", "a\\"] {
            assert!(lucene_regex(bad, false).is_err(), "{bad}");
        }
    }
}
