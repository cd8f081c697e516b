//! Where in the texts of a hit a query is found, for whoever shows it.
//!
//! Words are marked where the record's words were asked for, in whichever field they stand; a value that was asked for by its field is marked
//! as a whole, or where it begins so. What a query only excludes, and what asks for no text (that a field exists, a range), marks nothing.

use std::net::IpAddr;
use std::ops::Range;

use event::Value;
use regex::Regex;

use crate::matcher::value_holds;
use crate::query::{Query, Test, Word, beginning};
use crate::schema::{MESSAGE, v6};
use crate::tokens::{asked_words, leading_part, lone_wide, placed_words};

/// What of a query marks texts.
#[derive(Clone, Debug)]
pub struct Marks(Vec<Mark>);

#[derive(Clone, Debug)]
enum Mark {
    /// These words one after the other.
    Row(Vec<Word>),
    /// A word that begins so.
    Beginning(String),
    /// A character that is no word where others stand beside it.
    Wide(char),
    /// A word for which this holds.
    Word(Test),
    /// A whole value of this field for which this holds.
    Whole(String, Test),
    /// What the expression finds in the message.
    Found(Regex),
}

impl Marks {
    /// What of `query` marks texts.
    pub fn of(query: &Query) -> Marks {
        let mut all = Vec::new();
        add(query, &mut all);
        Marks(all)
    }

    /// The bytes of `text`, a value of `field`, that the query asks for, in their order and apart from each other; those found so far once `stop`
    /// says so.
    pub fn within(&self, field: &str, text: &str, stop: &dyn Fn() -> bool) -> Vec<Range<usize>> {
        let words = placed_words(text);
        let mut all: Vec<Range<usize>> = Vec::new();
        for mark in self.0.iter().take_while(|_| !stop()) {
            let mut each = |holds: &dyn Fn(&str) -> bool| {
                all.extend(words.iter().filter(|(word, _)| holds(word)).map(|(_, place)| place.clone()));
            };
            match mark {
                Mark::Row(row) => {
                    let found =
                        words.windows(row.len()).filter(|w| w.iter().zip(row).all(|((word, _), wanted)| wanted.holds(word)));
                    all.extend(found.map(|w| w[0].1.start..w[w.len() - 1].1.end));
                }
                Mark::Beginning(start) => each(&|word| word.starts_with(start.as_str())),
                Mark::Wide(c) => all.extend(text.match_indices(*c).map(|(at, found)| at..at + found.len())),
                Mark::Word(Test::Glob(pattern)) => each(&|word| pattern.regex.is_match(word)),
                Mark::Word(Test::Regex(regex)) => each(&|word| regex.is_match(word)),
                Mark::Word(Test::Near(near)) => each(&|word| near.holds(word)),
                Mark::Word(Test::Network(low, high)) => {
                    each(&|word| word.parse().is_ok_and(|ip| (*low..=*high).contains(&v6(ip))));
                }
                Mark::Word(_) => {}
                Mark::Whole(name, test) if name == field => {
                    let holds = value_holds(Value::Text(text), test)
                        || text.parse().is_ok_and(|ip: IpAddr| value_holds(Value::Ip(ip), test));
                    all.extend(holds.then_some(0..text.len()));
                }
                Mark::Whole(..) => {}
                Mark::Found(regex) if field == MESSAGE => all.extend(regex.find_iter(text).map(|found| found.range())),
                Mark::Found(_) => {}
            }
        }
        joined(all)
    }
}

fn add(query: &Query, all: &mut Vec<Mark>) {
    match query {
        Query::And(parts) | Query::Or(parts) => parts.iter().for_each(|part| add(part, all)),
        Query::Words(text) => add_words(text, all),
        Query::WordsPrefix(text) => add_row(beginning(text), all),
        Query::WordsLike(row) => add_row(row.clone(), all),
        Query::WordsApart(rows) => rows.iter().for_each(|row| add_row(row.clone(), all)),
        Query::WordsNear(words, _) => words.iter().for_each(|word| add_row(vec![Word::Is(word.clone())], all)),
        Query::Message(reading) => all.push(Mark::Found(reading.regex().clone())),
        Query::Field(name, Test::Is(text)) if name == MESSAGE => add_words(text, all),
        Query::Field(name, test) if name == MESSAGE => all.push(Mark::Word(test.clone())),
        Query::Field(_, Test::Exists | Test::Range(..)) => {}
        Query::Field(name, test) => all.push(Mark::Whole(name.clone(), test.clone())),
        Query::All | Query::Not(_) | Query::Ids(_) | Query::WordPart(_) => {}
    }
}

fn add_words(text: &str, all: &mut Vec<Mark>) {
    let words = asked_words(text);
    match lone_wide(&words) {
        Some(c) => all.push(Mark::Wide(c)),
        None => add_row(words.into_iter().map(Word::Is).collect(), all),
    }
    all.extend(leading_part(text).map(Mark::Beginning));
}

fn add_row(row: Vec<Word>, all: &mut Vec<Mark>) {
    if !row.is_empty() {
        all.push(Mark::Row(row));
    }
}

/// The same bytes in order, those that touch or overlap as one.
fn joined(mut all: Vec<Range<usize>>) -> Vec<Range<usize>> {
    all.retain(|range| !range.is_empty());
    all.sort_by_key(|range| (range.start, range.end));
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(all.len());
    for range in all {
        match apart.last_mut().filter(|last| last.end >= range.start) {
            Some(last) => last.end = last.end.max(range.end),
            None => apart.push(range),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use event::Time;

    use super::*;
    use crate::query::parse;

    /// The text with what is marked in brackets.
    fn marked(query: &str, field: &str, text: &str) -> String {
        let query = parse(query, Time::EPOCH).expect("a query");
        let mut shown = text.to_owned();
        for range in Marks::of(&query).within(field, text, &|| false).into_iter().rev() {
            shown.insert(range.end, ']');
            shown.insert(range.start, '[');
        }
        shown
    }

    #[test]
    fn what_was_asked_for_is_marked() {
        for (query, field, text, expected) in [
            ("failed", "message", "Failed password, FAILED", "[Failed] password, [FAILED]"),
            ("\"failed password\" root", "message", "Failed  password for root", "[Failed  password] for [root]"),
            ("failed NOT root", "message", "failed root", "[failed] root"),
            ("pass*", "message", "/etc/passwd", "/etc/[passwd]"),
            ("message:*asswor*", "message", "a password", "a [password]"),
            ("10.0.0", "message", "from 10.0.0.7 to 10.1.0.7", "from [10.0.0.7] to 10.1.0.7"),
            ("message:/fa.*word/", "message", "a failed password for", "a [failed password] for"),
            ("rot~1", "message", "for root", "for [root]"),
            ("務課", "message", "総務課の人", "総[務課]の人"),
            ("課", "message", "総務課の人", "総務[課]の人"),
            ("ログ", "message", "ﾛｸﾞＩＮ ログ", "[ﾛｸﾞ]ＩＮ [ログ]"),
            ("がin", "message", "か\u{3099}ＩＮ x", "[か\u{3099}ＩＮ] x"),
            ("x", "message", "é x か\u{3099}", "é [x] か\u{3099}"),
            ("user.name:TARO", "user.name", "taro", "[taro]"),
            ("user.name:taro", "host.name", "taro", "taro"),
            ("user.name:t*", "user.name", "taro yamada", "[taro yamada]"),
            ("user.name:* bytes:>5", "user.name", "taro", "taro"),
            ("source.ip:10.0.0.0/8", "source.ip", "10.0.0.1", "[10.0.0.1]"),
            ("source.ip:10.0.0.0/8", "source.ip", "11.0.0.1", "11.0.0.1"),
            ("*", "message", "all", "all"),
        ] {
            assert_eq!(marked(query, field, text), expected, "{query}");
        }
    }
}
