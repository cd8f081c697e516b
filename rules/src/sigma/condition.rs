//! Conditions: `selection and not 1 of filter_*`, with `not` before `and` before `or`.

/// A condition over named parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A part by its name.
    Name(String),
    /// At least so many of the parts that a pattern names; none for all of them.
    Of(Option<usize>, String),
    /// Not this.
    Not(Box<Condition>),
    /// All of these.
    And(Vec<Condition>),
    /// One of these.
    Or(Vec<Condition>),
}

/// Brackets and `not`s within each other at most.
const DEPTH_MAX: usize = 64;

struct Parser<'a> {
    words: Vec<&'a str>,
    at: usize,
    depth: usize,
}

/// Reads a condition.
///
/// # Errors
/// Says what is wrong.
pub fn parse(text: &str) -> Result<Condition, String> {
    if text.contains('|') {
        return Err("pipes in conditions were removed from Sigma: use a correlation rule".to_owned());
    }
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = match rest.as_bytes()[0] {
            b'(' | b')' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || c == '(' || c == ')').unwrap_or(rest.len()),
        };
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    let mut parser = Parser { words, at: 0, depth: 0 };
    let condition = parser.or()?;
    match parser.words.get(parser.at) {
        None => Ok(condition),
        Some(word) => Err(format!("unexpected {word:?} in the condition")),
    }
}

impl Parser<'_> {
    fn is(&self, word: &str) -> bool {
        self.words.get(self.at).is_some_and(|w| w.eq_ignore_ascii_case(word))
    }

    fn or(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.and()?];
        while self.is("or") {
            self.at += 1;
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn and(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.not()?];
        while self.is("and") {
            self.at += 1;
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn not(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("the condition is nested too deeply".to_owned());
        }
        let found = if self.is("not") {
            self.at += 1;
            Condition::Not(Box::new(self.not()?))
        } else {
            self.one()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn one(&mut self) -> Result<Condition, String> {
        let Some(word) = self.words.get(self.at).copied() else { return Err("the condition ends too early".to_owned()) };
        self.at += 1;
        if word == "(" {
            let inner = self.or()?;
            if !self.is(")") {
                return Err("a bracket is not closed in the condition".to_owned());
            }
            self.at += 1;
            return Ok(inner);
        }
        if word == ")" || ["and", "or", "of"].iter().any(|k| word.eq_ignore_ascii_case(k)) {
            return Err(format!("unexpected {word:?} in the condition"));
        }
        if self.is("of") {
            let count = if word.eq_ignore_ascii_case("all") {
                None
            } else if word.eq_ignore_ascii_case("any") {
                Some(1)
            } else {
                Some(word.parse().map_err(|_| format!("{word:?} is no number of parts"))?)
            };
            self.at += 1;
            let Some(name) = self.words.get(self.at).copied() else { return Err("the condition ends too early".to_owned()) };
            self.at += 1;
            return Ok(Condition::Of(count, name.to_owned()));
        }
        Ok(Condition::Name(word.to_owned()))
    }
}

/// Whether `name` is one of those that an `of` means: `*` stands for any characters, `them` for all names. Those that begin with `_` are meant
/// only by a pattern that does so too (as pySigma has it).
pub fn means(pattern: &str, name: &str) -> bool {
    if name.starts_with('_') && !pattern.starts_with('_') {
        return false;
    }
    pattern.eq_ignore_ascii_case("them") || super::pattern::Pattern::parse(pattern).matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: &str) -> Condition {
        Condition::Name(n.to_owned())
    }

    #[test]
    fn precedence_and_brackets() {
        assert_eq!(
            parse("a or b and NOT c"),
            Ok(Condition::Or(vec![name("a"), Condition::And(vec![name("b"), Condition::Not(Box::new(name("c")))])]))
        );
        assert_eq!(
            parse("(a OR b) and 1 of c_*"),
            Ok(Condition::And(vec![Condition::Or(vec![name("a"), name("b")]), Condition::Of(Some(1), "c_*".to_owned())]))
        );
        assert_eq!(parse("all of them"), Ok(Condition::Of(None, "them".to_owned())));
        for bad in ["", "a and", "(a", "a)", "or a", "a b", "x of y", "a | count() > 5", "1 of"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&"(".repeat(100_000)).is_err());
        assert!(parse(&"not ".repeat(100_000)).is_err());
    }
}
