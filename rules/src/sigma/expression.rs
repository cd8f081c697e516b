//! Regular expressions: written for PCRE (specification, "Regular Expression"), run by the `regex` crate, which has no backtracking.
//!
//! Most of what is written differently there is refused by the crate. What it would read as something else is written anew:
//!
//! ```text
//!  \<  \>            edges of a word to the crate, characters to PCRE        <  >
//!  [a[b]  [a&&b]     classes and operators within a class                    [a\[b]  [a\&&b]
//!  {  a{,3}  a{b      nothing (repetitions that are none), characters to PCRE \{  a\{,3}  a\{b
//!  \h \N \R \Z \e    nothing, to PCRE blanks, ends of lines and text         [\t ] and so on
//!  a$                the end, to PCRE also before a line end that is last       a\n?\z, where nothing comes behind
//! ```

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, AssertionKind, Ast, ClassSetBinaryOp, ClassSetItem};

use crate::fault::Fault;

/// Bytes of one regular expression, and of its compiled form.
const BYTES_MAX: usize = 4096;
const COMPILED_BYTES_MAX: usize = 16 << 20;
/// How often an expression is written anew: what becomes a character may change how the rest is read.
const ROUNDS_MAX: usize = 16;

/// Reads an expression. `has`: the modifiers of its item. Without `startswith` and `endswith` it may be found anywhere.
///
/// # Errors
/// Says why it is none that the crate can run.
pub(super) fn read(source: &str, has: impl Fn(&str) -> bool) -> Result<Regex, Fault> {
    if source.len() > BYTES_MAX {
        let hint = Some("write a list of shorter ones".to_owned());
        return Err(Fault::new(&[], format!("the regular expression is longer than {BYTES_MAX} bytes")).hint(hint));
    }
    let mut text = as_in_pcre(source)?;
    if !["m", "multiline", "endswith"].into_iter().any(&has) {
        text = with_last_line_end(text);
    }
    match (has("startswith"), has("endswith")) {
        (true, false) if !has("contains") => text = format!(r"\A(?:{text})"),
        (false, true) if !has("contains") => text = format!(r"(?:{text})\z"),
        _ => {}
    }
    // Flags stand in the text, so that two expressions are the same where their texts are.
    let flags = [("i", "ignorecase"), ("m", "multiline"), ("s", "dotall")];
    let flags: String = flags.into_iter().filter(|(short, long)| has(short) || has(long)).map(|(short, _)| short).collect();
    let flagged = if flags.is_empty() { text } else { format!("(?{flags}){text}") };
    RegexBuilder::new(&flagged).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| {
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or("not a regular expression").trim();
        let hint = if last.contains("look-around") || last.contains("backreference") {
            "expressions are run without going back: name what may stand there, or exclude it by another item and `not`"
        } else if reason.contains("size limit") {
            "write smaller repetitions, or several expressions"
        } else {
            "expressions have the syntax of the regex crate; a backslash takes the meaning from a sign"
        };
        let reason = format!("no regular expression: {}", last.strip_prefix("error: ").unwrap_or(last));
        Fault::new(&[], reason).hint(Some(hint.to_owned()))
    })
}

/// The expression as PCRE reads it, in the crate's syntax. What the crate cannot parse stays as it is: it tells what is wrong better.
fn as_in_pcre(source: &str) -> Result<String, Fault> {
    let mut text = source.to_owned();
    let parse = |text: &str| ast::parse::Parser::new().parse(text).ok();
    if parse(&text).is_none() {
        let other = with_known_escapes(source);
        text = if parse(&other).is_some() { other } else { return Ok(text) };
    }
    for _ in 0..ROUNDS_MAX {
        let Some(ast) = parse(&text) else { return Ok(text) };
        let mut others = ast::visit(&ast, Others::default()).unwrap_or_default();
        if others.is_empty() {
            return Ok(text);
        }
        others.sort_unstable_by_key(|(at, _)| *at);
        for (at, change) in others.into_iter().rev() {
            match change {
                Change::Escape => text.insert(at, '\\'),
                Change::Unescape => drop(text.remove(at)),
            }
        }
    }
    Err(Fault::new(&[], "classes within classes of the regular expression are nested too deeply")
        .hint(Some(r"write \[ for a bracket within a class".to_owned())))
}

/// The expression with each `$` that ends it also before a line end that is the text's last. One behind which something comes stays as it is: the
/// line end would be taken from what follows.
fn with_last_line_end(text: String) -> String {
    let by_line = text.split("(?").skip(1).any(|rest| rest.split([')', ':']).next().is_some_and(|flags| flags.contains('m')));
    let Some(ast) = ast::parse::Parser::new().parse(&text).ok().filter(|_| !by_line && text.contains('$')) else { return text };
    let mut at = Vec::new();
    last_ends(&ast, &mut at);
    at.sort_unstable();
    at.into_iter().rev().fold(text, |mut text, at| {
        text.replace_range(at..=at, LAST_END);
        text
    })
}

/// What a `$` is then.
const LAST_END: &str = r"(?:\n?\z)";

/// An expression for whoever wrote it.
pub(crate) fn shown(regex: &Regex) -> String {
    regex.as_str().replace(LAST_END, "$")
}

/// Where the `$` stand that nothing comes behind.
fn last_ends(ast: &Ast, at: &mut Vec<usize>) {
    match ast {
        Ast::Assertion(assertion) if assertion.kind == AssertionKind::EndLine => at.push(assertion.span.start.offset),
        Ast::Concat(parts) => parts.asts.iter().last().into_iter().for_each(|last| last_ends(last, at)),
        Ast::Alternation(ways) => ways.asts.iter().for_each(|way| last_ends(way, at)),
        Ast::Group(group) => last_ends(&group.ast, at),
        _ => {}
    }
}

/// The expression with what the crate does not know, and PCRE does, in the crate's own words.
fn with_known_escapes(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let (mut rest, mut in_class) = (source, false);
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        let next = behind.chars().next();
        let (taken, written) = match (c, next) {
            ('\\', Some(escaped)) => {
                let written = match (escaped, in_class) {
                    ('h', false) => r"[\t ]",
                    ('h', true) => r"\t ",
                    ('N', false) => r"[^\n]",
                    ('R', false) => r"(?:\r\n|[\n\v\f\r\x{85}\x{2028}\x{2029}])",
                    ('Z', false) => r"\n?\z",
                    ('e', _) => r"\x1b",
                    _ => &rest[..1 + escaped.len_utf8()],
                };
                (1 + escaped.len_utf8(), written)
            }
            ('[', _) if !in_class => {
                in_class = true;
                // A bracket that stands first in a class is a character of it.
                let first = ["[^]", "[]"].into_iter().find(|first| rest.starts_with(first));
                first.map_or((1, "["), |first| (first.len(), if first == "[]" { r"[\]" } else { r"[^\]" }))
            }
            (']', _) if in_class => {
                in_class = false;
                (1, "]")
            }
            ('{', _) if !in_class && !is_repetition(behind) => (1, r"\{"),
            _ => (c.len_utf8(), &rest[..c.len_utf8()]),
        };
        out.push_str(written);
        rest = &rest[taken..];
    }
    out
}

/// Whether a text goes on as a repetition does behind its brace: `3}`, `3,}`, `3,5}`.
fn is_repetition(behind: &str) -> bool {
    let Some((counts, _)) = behind.split_once('}') else { return false };
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
    !least.is_empty() && is_number(least) && is_number(most)
}

/// What is done to a sign at some place so that it is a character.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// A backslash is put before it.
    Escape,
    /// Its backslash, which stands at the place, is taken away.
    Unescape,
}

/// The places where the crate reads something else than PCRE.
#[derive(Default)]
struct Others(Vec<(usize, Change)>);

impl ast::Visitor for Others {
    type Output = Vec<(usize, Change)>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        if let Ast::Assertion(assertion) = ast
            && matches!(assertion.kind, AssertionKind::WordBoundaryStartAngle | AssertionKind::WordBoundaryEndAngle)
        {
            self.0.push((assertion.span.start.offset, Change::Unescape));
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        if let ClassSetItem::Bracketed(class) = item {
            self.0.push((class.span.start.offset, Change::Escape));
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, op: &ClassSetBinaryOp) -> Result<(), Self::Err> {
        self.0.push((op.lhs.span().end.offset, Change::Escape));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_also_before_the_last_line_end() {
        for (source, flag, text, expected) in [
            ("b$", "", "ab\n", true),
            ("b$", "", "ab\n\n", false),
            ("b$", "", "ab\nc", false),
            ("^$", "", "\n", true),
            ("(a|b$)|c", "", "b\n", true),
            (r"b$\n", "", "b\n", false),
            (r"b\$", "", "b\n", false),
            ("[b$]", "", "$", true),
            ("(?m)b$", "", "b\nc", true),
            ("b$", "m", "b\nc", true),
            ("b$", "i", "B\n", true),
            ("b$", "endswith", "b\n", false),
        ] {
            let regex = read(source, |has| has == flag).expect(source);
            assert_eq!(regex.is_match(text), expected, "{source} {flag} {text:?}");
        }
    }

    #[test]
    fn what_the_crate_reads_otherwise_is_written_anew() {
        for (source, written) in [
            (r"\<script\>", "<script>"),
            (r"\bx\b", r"\bx\b"),
            ("[a-z&&m]", r"[a-z\&&m]"),
            ("[+--z]", r"[+\--z]"),
            ("[~~.]", r"[\~~.]"),
            ("[[ab]c]", r"[\[ab]c]"),
            ("[[:digit:]x]", "[[:digit:]x]"),
            ("[a&&b&&c]", r"[a\&&b\&&c]"),
            ("([", "(["),
            (r"${jndi:", r"$\{jndi:"),
            ("a{,3}b{2}{", r"a\{,3}b{2}\{"),
            (r"[{]\h{2}", r"[{][\t ]{2}"),
            (r"[]\h][^]a]\Z", r"[\]\t ][^\]a]\n?\z"),
            (r"\e\\h", r"\x1b\\h"),
            (r"\Q{", r"\Q{"),
        ] {
            assert_eq!(as_in_pcre(source).as_deref(), Ok(written), "{source}");
        }
        let deep = format!("[{}a", "[b&&".repeat(200));
        assert!(as_in_pcre(&deep).is_ok_and(|text| text == deep), "no expression: the crate says so");
    }
}
