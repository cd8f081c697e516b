//! Texts with wildcards: over a whole value, and over the words of a record.

use regex::{Regex, RegexBuilder};

use super::{Query, REGEX_BYTES_MAX, Reason};
use crate::fold::folded;
use crate::tokens::{has_words, is_pair, is_wide, lone_wide, words_between};

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
/// other, of which those with a wildcard are of a form. A `*` stands for a part of a word, and for any text: what is behind it comes somewhere
/// behind what is before it. At an end it asks for nothing.
///
/// # Errors
/// Where nothing could be found by it: why not.
pub(super) fn like(glob: &str) -> Result<Query, Reason> {
    let signs = signs(glob);
    let ends = |sign: &Sign| *sign != Sign::Any;
    let inner =
        signs.iter().position(ends).zip(signs.iter().rposition(ends)).map_or(&[][..], |(first, last)| &signs[first..last]);
    let mut asked = words_like(&signs, false);
    if inner.contains(&Sign::Any) {
        asked = match (asked, words_like(&signs, true)) {
            (Ok(within), Ok(over)) => Ok(Query::Or(vec![within, over])),
            (within, over) => within.or(over),
        };
    }
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

/// As [`like`], of no joined words; `over`: each `*` goes over the ends of words.
fn words_like(signs: &[Sign], over: bool) -> Result<Query, Reason> {
    let mut rows = Rows::default();
    let mut at = 0;
    while let Some(sign) = signs.get(at) {
        let run = &signs[at..at + signs[at..].iter().take_while(|sign| sign.is_narrow()).count()];
        let before = at.checked_sub(1).and_then(|before| signs.get(before));
        at += run.len().max(1);
        match sign {
            Sign::Char(c) if run.is_empty() => rows.text.push(*c),
            _ if run.iter().all(|sign| matches!(sign, Sign::Char(_))) => rows.text.extend(chars(run)),
            _ if run.iter().all(|sign| *sign == Sign::Any) => {
                let more = |sign: &Sign| sign.is_wide() || (sign.is_narrow() && *sign != Sign::Any);
                if signs[at..].iter().any(more) {
                    rows.end()?;
                }
            }
            _ => {
                let wide = |sign: Option<&Sign>| sign.is_some_and(|sign| sign.is_wide());
                let ends = [(wide(before), run.first()), (wide(signs.get(at)), run.last())];
                if ends.iter().any(|(wide, end)| *wide && *end == Some(&Sign::One)) {
                    return Err(Reason::WildcardWithin);
                }
                let [before, behind] = ends.map(|(wide, end)| (wide || over) && end == Some(&Sign::Any));
                if before {
                    rows.end()?;
                }
                let mut piece = Vec::with_capacity(run.len());
                for (at, sign) in run.iter().enumerate() {
                    piece.push(*sign);
                    if over && *sign == Sign::Any && piece.len() > 1 && at + 1 < run.len() {
                        rows.like(&piece)?;
                        rows.end()?;
                        piece = vec![Sign::Any];
                    }
                }
                rows.like(&piece)?;
                if behind {
                    rows.end()?;
                }
            }
        }
    }
    rows.query()
}

/// Rows of words that stand apart in a pattern, as they are read.
#[derive(Default)]
struct Rows {
    all: Vec<Vec<Word>>,
    /// The row that is not ended yet, and behind it the text that has no words of a form.
    row: Vec<Word>,
    text: String,
}

/// Rows of one pattern.
const ROWS_MAX: usize = 32;

impl Rows {
    fn like(&mut self, run: &[Sign]) -> Result<(), Reason> {
        let words = words_between(&std::mem::take(&mut self.text), self.row.is_empty(), false);
        self.row.extend(words.into_iter().map(Word::Is));
        self.row.push(of_form(run)?);
        Ok(())
    }

    /// Ends the row: what comes next stands anywhere behind it.
    fn end(&mut self) -> Result<(), Reason> {
        let words = words_between(&std::mem::take(&mut self.text), self.row.is_empty(), true);
        self.row.extend(match lone_wide(&words).filter(|_| self.row.is_empty()) {
            // One character is the beginning of a pair wherever it stands, but at the end of its run.
            Some(c) => vec![Pattern::prefix(c.encode_utf8(&mut [0; 4])).map(Word::Like).map_err(|_| Reason::PatternTooLarge)?],
            None => words.into_iter().map(Word::Is).collect(),
        });
        self.all.extend(Some(std::mem::take(&mut self.row)).filter(|row| !row.is_empty()));
        if self.all.len() > ROWS_MAX { Err(Reason::PatternTooLarge) } else { Ok(()) }
    }

    fn query(mut self) -> Result<Query, Reason> {
        if self.all.is_empty() && self.row.is_empty() {
            return if has_words(&self.text) { Ok(Query::Words(self.text)) } else { Err(Reason::NoWords) };
        }
        self.end()?;
        Ok(if self.all.len() == 1 { Query::WordsLike(self.all.remove(0)) } else { Query::WordsApart(self.all) })
    }
}

/// By how much a row reaches beyond the place of its last word: the last of a run of wide characters begins no word of its own there.
pub(crate) fn reach(row: &[Word]) -> u32 {
    u32::from(matches!(row.last(), Some(Word::Is(word)) if is_pair(word)))
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
