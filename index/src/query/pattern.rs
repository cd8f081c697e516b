//! Texts with wildcards: over a whole value, and over the words of a record.

use regex::{Regex, RegexBuilder};

use super::{Query, REGEX_BYTES_MAX, Reason};
use crate::fold::folded;
use crate::tokens::{has_words, is_wide, words_between};

/// A text with wildcards (`*`, `?`), folded, over a whole value or word.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As written, folded; a backslash takes the meaning from the next character.
    pub glob: String,
    /// The same as a regular expression.
    pub regex: Regex,
    start: String,
    inner: String,
}

/// What a word of a record is to be.
#[derive(Clone, Debug)]
pub enum Word {
    /// This, as words are kept.
    Is(String),
    /// Of this form.
    Like(Pattern),
}

impl Word {
    pub(crate) fn holds(&self, word: &str) -> bool {
        match self {
            Word::Is(wanted) => word == wanted,
            Word::Like(pattern) => pattern.regex.is_match(word),
        }
    }
}

/// A character of a pattern.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sign {
    /// `*`: any text.
    Any,
    /// `?`: any character.
    One,
    Char(char),
}

impl Sign {
    fn is_wide(self) -> bool {
        matches!(self, Sign::Char(c) if is_wide(c))
    }

    /// Whether it stands for others, or belongs to a word that ends at blanks.
    fn is_narrow(self) -> bool {
        !matches!(self, Sign::Char(c) if is_wide(c) || !c.is_alphanumeric())
    }
}

/// The characters of `glob`, those between wildcards folded.
fn signs(glob: &str) -> Vec<Sign> {
    let (mut all, mut text) = (Vec::new(), String::new());
    let mut chars = glob.chars();
    loop {
        let sign = match chars.next() {
            Some('\\') => {
                text.push(chars.next().unwrap_or('\\'));
                continue;
            }
            Some('*') => Some(Sign::Any),
            Some('?') => Some(Sign::One),
            Some(c) => {
                text.push(c);
                continue;
            }
            None => None,
        };
        all.extend(folded(&std::mem::take(&mut text)).chars().map(Sign::Char));
        let Some(sign) = sign else { return all };
        all.push(sign);
    }
}

impl Pattern {
    /// A pattern.
    ///
    /// # Errors
    /// Where it is too large.
    pub fn new(glob: &str) -> Result<Pattern, regex::Error> {
        Pattern::of(&signs(glob))
    }

    /// A pattern for what begins with `text`.
    ///
    /// # Errors
    /// Where it is too large.
    pub fn prefix(text: &str) -> Result<Pattern, regex::Error> {
        let mut all: Vec<Sign> = folded(text).chars().map(Sign::Char).collect();
        all.push(Sign::Any);
        Pattern::of(&all)
    }

    fn of(signs: &[Sign]) -> Result<Pattern, regex::Error> {
        let (mut glob, mut source) = (String::new(), String::new());
        let mut literals = vec![String::new()];
        for sign in signs {
            let (sign, meaning) = match sign {
                Sign::Any => ('*', ".*"),
                Sign::One => ('?', "."),
                Sign::Char(c) => {
                    if matches!(c, '*' | '?' | '\\') {
                        glob.push('\\');
                    }
                    glob.push(*c);
                    source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                    literals.last_mut().expect("it begins with one").push(*c);
                    continue;
                }
            };
            glob.push(sign);
            source.push_str(meaning);
            literals.push(String::new());
        }
        let regex = RegexBuilder::new(&format!("(?s)^{source}$")).size_limit(REGEX_BYTES_MAX).build()?;
        let start = literals[0].clone();
        let inner = literals.into_iter().max_by_key(String::len).unwrap_or_default();
        Ok(Pattern { glob, regex, start, inner })
    }

    /// What every match begins with, and the longest text that every match holds.
    pub(crate) fn literals(&self) -> (&str, &str) {
        (&self.start, &self.inner)
    }
}

/// What a record's words are asked for by a text with wildcards. What joins words is not kept: the parts between it are words one after the
/// other, of which those with a wildcard are of a form, and a `*` by itself at an end asks for nothing.
///
/// # Errors
/// Where nothing could be found by it: why not.
pub(super) fn like(glob: &str) -> Result<Query, Reason> {
    let signs = signs(glob);
    let asked = words_like(&signs);
    // An address, a date and a time are one word each, with what joins their parts.
    let joined = chars(&signs).all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | ':'));
    if !joined || chars(&signs).all(|c| c.is_ascii_digit()) || !chars(&signs).any(|c| c.is_ascii_digit()) {
        return asked;
    }
    let whole = Query::WordsLike(vec![of_form(&signs)?]);
    Ok(match asked {
        Ok(asked) => Query::Or(vec![whole, asked]),
        Err(_) => whole,
    })
}

fn of_form(signs: &[Sign]) -> Result<Word, Reason> {
    Pattern::of(signs).map(Word::Like).map_err(|_| Reason::PatternTooLarge)
}

/// As [`like`], of no joined words.
fn words_like(signs: &[Sign]) -> Result<Query, Reason> {
    let (mut words, mut text, mut at) = (Vec::new(), String::new(), 0);
    while let Some(sign) = signs.get(at) {
        let run = &signs[at..at + signs[at..].iter().take_while(|sign| sign.is_narrow()).count()];
        let before = at.checked_sub(1).and_then(|before| signs.get(before));
        at += run.len().max(1);
        match sign {
            Sign::Char(c) if run.is_empty() => text.push(*c),
            _ if run.iter().all(|sign| matches!(sign, Sign::Char(_))) => text.extend(chars(run)),
            _ if run.iter().all(|sign| *sign == Sign::Any) => {
                let more = |signs: &[Sign]| signs.iter().any(|sign| sign.is_wide() || sign.is_narrow() && *sign != Sign::Any);
                if more(&signs[at..]) && (!words.is_empty() || has_words(&text)) {
                    return Err(Reason::WildcardWithin);
                }
            }
            _ => {
                let wide = |sign: Option<&Sign>| sign.is_some_and(|sign| sign.is_wide());
                let open = |sign: Option<&Sign>| !matches!(sign, Some(Sign::Char(_)));
                if wide(before) && open(run.first()) || wide(signs.get(at)) && open(run.last()) {
                    return Err(Reason::WildcardWithin);
                }
                words.extend(words_between(&std::mem::take(&mut text), words.is_empty(), false).into_iter().map(Word::Is));
                words.push(of_form(run)?);
            }
        }
    }
    if !words.is_empty() {
        words.extend(words_between(&text, false, true).into_iter().map(Word::Is));
        Ok(Query::WordsLike(words))
    } else if has_words(&text) {
        Ok(Query::Words(text))
    } else {
        Err(Reason::NoWords)
    }
}

fn chars(signs: &[Sign]) -> impl Iterator<Item = char> {
    signs.iter().filter_map(|sign| if let Sign::Char(c) = sign { Some(*c) } else { None })
}

/// The words of `text` one after the other, the last of them as the beginning of a word.
pub(crate) fn beginning(text: &str) -> Vec<Word> {
    let mut all: Vec<Word> = words_between(text, true, true).into_iter().map(Word::Is).collect();
    // A run of wide characters may go on as it is.
    if let Some(Word::Is(last)) = all.last()
        && !last.starts_with(is_wide)
        && let Ok(pattern) = Pattern::prefix(last)
    {
        all.pop();
        all.push(Word::Like(pattern));
    }
    all
}
