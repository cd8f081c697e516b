//! `simple_query_string`: `+` and, `|` or, `-` not, `"phrase"`, `word*`, brackets. It has no mistakes: what makes no sense is left out.

use index::Query;

use super::fault::Fault;

/// Brackets within each other.
const DEPTH_MAX: usize = 40;

/// Makes a query of a word or phrase; `false`: of the beginning of a word.
pub(crate) type Leaf<'a> = dyn Fn(&str, bool) -> Result<Query, Fault> + 'a;

/// Reads `text`; clauses side by side are all required where `all`.
pub(crate) fn parse(text: &str, all: bool, leaf: &Leaf<'_>) -> Result<Query, Fault> {
    let mut parser = Parser { rest: text, all, leaf, depth: 0 };
    let mut parts = Vec::new();
    while !parser.rest.is_empty() {
        // A bracket that closes nothing is left out.
        parser.rest = parser.rest.strip_prefix(')').unwrap_or(parser.rest);
        parts.extend(parser.clauses()?);
    }
    Ok(join(parts, all))
}

fn join(mut parts: Vec<Query>, all: bool) -> Query {
    match (parts.len(), all) {
        (1, _) => parts.remove(0),
        (_, true) if !parts.is_empty() => Query::And(parts),
        _ => Query::Or(parts),
    }
}

struct Parser<'a> {
    rest: &'a str,
    all: bool,
    leaf: &'a Leaf<'a>,
    depth: usize,
}

impl Parser<'_> {
    /// Clauses up to a closing bracket or the end.
    fn clauses(&mut self) -> Result<Option<Query>, Fault> {
        let mut found: Option<Query> = None;
        let mut operator = None;
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.chars().next() {
                None | Some(')') => return Ok(found),
                Some(c @ ('+' | '|')) => {
                    operator = Some(c);
                    self.rest = &self.rest[1..];
                    continue;
                }
                _ => {}
            }
            let mut negated = false;
            while let Some(rest) = self.rest.strip_prefix('-') {
                (negated, self.rest) = (!negated, rest);
            }
            let Some(query) = self.one()? else { continue };
            let query = if negated { Query::Not(Box::new(query)) } else { query };
            let and = operator.take().map_or(self.all, |c| c == '+');
            found = Some(match found {
                None => query,
                Some(before) => join(vec![before, query], and),
            });
        }
    }

    fn one(&mut self) -> Result<Option<Query>, Fault> {
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(Fault::illegal(format!("brackets stand {DEPTH_MAX} deep at most")));
            }
            self.rest = rest;
            let inner = self.clauses()?;
            self.rest = self.rest.strip_prefix(')').unwrap_or(self.rest);
            self.depth -= 1;
            return Ok(inner);
        }
        let (text, mut rest, quoted) = match self.rest.strip_prefix('"') {
            Some(rest) => {
                let (text, after) = rest.split_once('"').unwrap_or((rest, ""));
                (text.to_owned(), after, true)
            }
            None => {
                let mut text = String::new();
                let mut chars = self.rest.char_indices();
                let mut end = self.rest.len();
                while let Some((at, c)) = chars.next() {
                    match c {
                        '\\' => text.extend(chars.next().map(|(_, c)| c)),
                        c if c.is_whitespace() || matches!(c, '(' | ')' | '|' | '+' | '"' | '~') => {
                            end = at;
                            break;
                        }
                        c => text.push(c),
                    }
                }
                (text, &self.rest[end..], false)
            }
        };
        if let Some(after) = rest.strip_prefix('~') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            if after[..digits] != *"0" {
                return Err(Fault::illegal("distances (~) are not supported"));
            }
            rest = &after[digits..];
        }
        self.rest = rest;
        match text.strip_suffix('*').filter(|_| !quoted) {
            Some(start) if !start.is_empty() => (self.leaf)(start, false).map(Some),
            Some(_) => Ok(Some(Query::All)),
            None if text.trim().is_empty() => Ok(None),
            None => (self.leaf)(&text, true).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(query: &Query) -> String {
        let list = |all: &[Query]| all.iter().map(shown).collect::<Vec<_>>().join(" ");
        match query {
            Query::And(all) => format!("(and {})", list(all)),
            Query::Or(any) => format!("(or {})", list(any)),
            Query::Not(inner) => format!("(not {})", shown(inner)),
            Query::Words(text) => text.clone(),
            Query::WordsPrefix(text) => format!("{text}*"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn anything_is_read() {
        let leaf =
            |text: &str, whole: bool| Ok(if whole { Query::Words(text.to_owned()) } else { Query::WordsPrefix(text.to_owned()) });
        for (text, expected) in [
            ("a b", "(or a b)"),
            ("a + b", "(and a b)"),
            ("a + (b | c) -d", "(or (and a (or b c)) (not d))"),
            ("\"a b\" + c*", "(and a b c*)"),
            ("((a", "a"),
            ("a) b", "(or a b)"),
            ("+", "(or )"),
            ("\"a", "a"),
        ] {
            assert_eq!(shown(&parse(text, false, &leaf).expect(text)), expected, "{text}");
        }
        assert!(parse("a~2", false, &leaf).is_err());
        assert!(parse(&"(".repeat(100), false, &leaf).is_err());
    }
}
