//! Regular expressions over the text of a message.
//!
//! The index has a message's words, not its text. An expression whose matches all lie within a word is held against the dictionary of words,
//! which is far shorter than the records. Any other is held against the texts themselves, which are read again from the journal, and only of
//! those records whose words have what every match must have.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::{Query, REGEX_BYTES_MAX, Reason, Test, bad_regex};
use crate::fold::folded;
use crate::schema::MESSAGE;
use crate::tokens::is_wide;

/// An expression over the text of messages.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What the words of every record that has such a message have.
    pub(crate) asked: Query,
    regex: Regex,
}

impl Reading {
    /// The expression.
    pub(crate) fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Whether the expression is found in the text, as it is written or in the one form of its characters.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.regex.is_match(text) || (!text.is_ascii() && self.regex.is_match(&folded(text)))
    }
}

/// That the expression is found, without case, in a word of the record or in its message.
///
/// # Errors
/// Where it becomes too large.
pub(super) fn found(regex: &Regex) -> Result<Query, Reason> {
    let mut any_case = RegexBuilder::new(regex.as_str());
    any_case.case_insensitive(true).dot_matches_new_line(true).size_limit(REGEX_BYTES_MAX);
    let regex = any_case.build().map_err(|error| bad_regex(&error))?;
    let hir = regex_syntax::parse(regex.as_str()).ok();
    let of_letters = |c: char| c.is_alphanumeric() && !is_wide(c);
    let joined = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | ':');
    let mut any = Vec::new();
    if hir.as_ref().is_none_or(|hir| is_of(hir, &of_letters, false) || is_of(hir, &joined, false)) {
        any.push(Query::Field(MESSAGE.to_owned(), Test::Regex(regex.clone())));
    }
    if hir.as_ref().is_none_or(|hir| !is_of(hir, &of_letters, true)) {
        let asked = hir.map_or(Query::All, |hir| asked(&hir));
        any.push(Query::Message(Box::new(Reading { asked, regex })));
    }
    Ok(if any.len() == 1 { any.remove(0) } else { Query::Or(any) })
}

/// Whether a match may be of such characters alone; with `every`, whether each must.
fn is_of(hir: &Hir, holds: &dyn Fn(char) -> bool, every: bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(text) => std::str::from_utf8(&text.0).is_ok_and(|text| text.chars().all(holds)),
        HirKind::Class(Class::Unicode(class)) => fit(class.iter().flat_map(|range| range.start()..=range.end()), holds, every),
        HirKind::Class(Class::Bytes(class)) => {
            fit(class.iter().flat_map(|range| range.start()..=range.end()).map(char::from), holds, every)
        }
        HirKind::Repetition(repeated) => {
            let may_be_left_out = repeated.max == Some(0) || !every && repeated.min == 0;
            may_be_left_out || is_of(&repeated.sub, holds, every)
        }
        HirKind::Capture(inner) => is_of(&inner.sub, holds, every),
        HirKind::Alternation(parts) if !every => parts.iter().any(|part| is_of(part, holds, every)),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(|part| is_of(part, holds, every)),
    }
}

/// Whether one of these letters, or every one, is such.
fn fit(mut letters: impl Iterator<Item = char>, holds: &dyn Fn(char) -> bool, every: bool) -> bool {
    if every { letters.all(holds) } else { letters.any(holds) }
}

/// What the words of every record have in which this is found.
fn asked(hir: &Hir) -> Query {
    match hir.kind() {
        HirKind::Capture(inner) => return asked(&inner.sub),
        HirKind::Alternation(parts) => {
            let any: Vec<Query> = parts.iter().map(asked).collect();
            return if any.iter().any(|one| matches!(one, Query::All)) { Query::All } else { Query::Or(any) };
        }
        _ => {}
    }
    let mut texts = vec![String::new()];
    texts_of(hir, &mut texts);
    let mut all: Vec<Query> = texts.iter().flat_map(|text| holding(text)).collect();
    match all.len() {
        0 => Query::All,
        1 => all.remove(0),
        _ => Query::And(all),
    }
}

/// Adds the texts that stand in every match: the last goes on with what comes next.
fn texts_of(hir: &Hir, texts: &mut Vec<String>) {
    let add = |texts: &mut Vec<String>, text: &str| texts.last_mut().expect("it begins with one").push_str(text);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(text) => match std::str::from_utf8(&text.0) {
            Ok(text) => add(texts, text),
            Err(_) => texts.push(String::new()),
        },
        // `[Ff]`, as a letter of any case is written.
        HirKind::Class(Class::Unicode(class)) => {
            let mut letters: Vec<char> =
                class.iter().flat_map(|range| range.start()..=range.end()).take(5).map(|c| c.to_ascii_lowercase()).collect();
            // The long s and the sign of Kelvin are of the class too; as words are kept they are `s` and `k`.
            letters.iter_mut().for_each(|c| *c = folded(c.encode_utf8(&mut [0; 4])).chars().next().unwrap_or(*c));
            letters.dedup();
            match letters.as_slice() {
                [letter] => add(texts, letter.encode_utf8(&mut [0; 4])),
                _ => texts.push(String::new()),
            }
        }
        HirKind::Class(Class::Bytes(_)) | HirKind::Alternation(_) => texts.push(String::new()),
        HirKind::Repetition(repeated) => {
            if repeated.min > 0 {
                texts_of(&repeated.sub, texts);
            }
            if repeated.max != Some(1) || repeated.min != 1 {
                texts.push(String::new());
            }
        }
        HirKind::Capture(inner) => texts_of(&inner.sub, texts),
        HirKind::Concat(parts) => parts.iter().for_each(|part| texts_of(part, texts)),
    }
}

/// Letters of a word, of which only a part is known, from which on it is asked for: fewer are in too many words.
const PART_LETTERS_MIN: usize = 3;
/// Letters of the beginning of a word that is asked for: the index cuts longer words.
const LETTERS_MAX: usize = 100;

/// What the words of a record have for certain where its message has this text. What stands around it may belong to its first and to its last
/// word.
pub fn holding(text: &str) -> Vec<Query> {
    let mut all = Vec::new();
    for run in text.split(|c: char| !is_wide(c)).filter(|run| run.chars().nth(1).is_some()) {
        all.push(Query::Words(run.to_owned())); // Whatever stands around them, neighbours are pairs.
    }
    let (mut rest, mut before) = (text, None);
    while let Some(c) = rest.chars().next() {
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(if len > 0 { len } else { c.len_utf8() });
        if len > 0 {
            all.extend(word(run, before.is_some_and(parts), behind.chars().next().is_some_and(parts)));
        }
        (rest, before) = (behind, Some(c).filter(|_| len == 0));
    }
    all
}

/// What is asked of a run of letters; digits may be a part of an address or of a time.
fn word(run: &str, begins: bool, ends: bool) -> Option<Query> {
    let run = run.to_ascii_lowercase();
    let least = if begins && ends { 2 } else { PART_LETTERS_MIN };
    if !(least..=LETTERS_MAX).contains(&run.len()) || !run.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    match (begins, ends) {
        (true, true) => Some(Query::Words(run)),
        (true, false) => Some(Query::WordsPrefix(run)),
        (false, _) => Some(Query::WordPart(run)),
    }
}

/// Whether a character stands between words.
fn parts(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_alphanumeric() || is_wide(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(query: &Query) -> String {
        let list = |all: &[Query]| all.iter().map(shown).collect::<Vec<_>>().join(" ");
        match query {
            Query::All => "all".to_owned(),
            Query::And(all) => list(all),
            Query::Or(any) => format!("({})", list(any)),
            Query::Words(word) => word.clone(),
            Query::WordPart(part) => format!("~{part}"),
            Query::WordsPrefix(start) => format!("{start}*"),
            Query::Field(..) => "word".to_owned(),
            Query::Message(reading) => format!("[{}]", shown(&reading.asked)),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn only_what_may_go_beyond_a_word_is_read() {
        for (source, expected) in [
            ("failed", "word"),
            ("^fail(ed|ure)?$", "word"),
            ("roo[a-z0-9]+", "word"),
            ("Failed password", "[~failed password*]"),
            ("failed.*root", "(word [~failed ~root])"),
            (r"for (root|admin) from \d+", "[~for from]"),
            (r"user=\w+ failed for", "[~user failed for*]"),
            ("個人.*照会", "[個人 照会]"),
            ("(denied.*tcp|udp dropped)", "(word [(~denied ~tcp ~udp dropped*)])"),
            ("a.c|b", "(word [all])"),
            (r"[^ ]+@example\.com", "[example com*]"),
            (r"(error )+code", "[~error ~code]"),
            (".", "(word [all])"),
        ] {
            let found = found(&Regex::new(source).expect(source)).expect(source);
            assert_eq!(shown(&found), expected, "{source}");
        }
    }
}
