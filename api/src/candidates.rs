//! From what a rule's events must have to a query that finds all of them, and few others.
//!
//! The index is not the engine: it compares without case, cuts long values, and knows of a message its words only. Wherever the two may
//! differ the query asks for less, so that no event is missed; the engine then decides.

use std::ops::Bound;

use index::is_wide;
use index::query::{Pattern, Query, Scalar, Test};
use rules::Necessary;
use rules::sigma::item::{Number, Order, Test as Asked};
use rules::sigma::pattern::{Part, Pattern as Form};

/// The mark of events that the index does not hold whole: long values, too many names.
const NOT_WHOLE: &str = "mihari.cut";
/// Numbers as nobody writes them (`+5`, `05`, ` 5`, `5e0`): the engine reads them, the index has them as text.
const ODD_NUMBER: &str =
    r"^\s+[-+0-9.eE]+\s*$|^[-+0-9.eE]+\s+$|^[-+]?[0-9]*\.[-+0-9.eE]*$|^[-+]?[0-9]+[eE][-+0-9]*$|^\+[0-9]+$|^-?0[0-9]+$";

/// What is asked of the index.
pub(crate) struct Candidates {
    /// The query.
    pub(crate) query: Query,
    /// Whether it is narrower than everything.
    pub(crate) narrowed: bool,
    /// Whether it asks for what was told when events were stored: their zones and verdicts.
    pub(crate) as_stored: bool,
}

/// The candidates for a rule of which this is necessary.
pub(crate) fn candidates(necessary: &Necessary<'_>) -> Candidates {
    let mut as_stored = false;
    match query(necessary, &mut as_stored) {
        None => Candidates { query: Query::All, narrowed: false, as_stored: false },
        Some(query) => {
            let query = Query::Or(vec![query, Query::Field(NOT_WHOLE.to_owned(), Test::Exists)]);
            Candidates { query, narrowed: true, as_stored }
        }
    }
}

/// None: nothing can be asked.
fn query(necessary: &Necessary<'_>, as_stored: &mut bool) -> Option<Query> {
    match necessary {
        Necessary::Anything => None,
        Necessary::All(parts) => {
            let asked: Vec<Query> = parts.iter().filter_map(|part| query(part, as_stored)).collect();
            (!asked.is_empty()).then_some(Query::And(asked))
        }
        Necessary::Any(parts) => Some(Query::Or(parts.iter().map(|part| query(part, as_stored)).collect::<Option<_>>()?)),
        Necessary::Source(parts) => {
            let name = |part: &str| format!("mihari.log_source.{part}");
            let one = |(part, values): &(&'static str, Vec<&str>)| {
                let is = |v: &&str| Query::Field(name(part), Test::is(v));
                Query::Or(values.iter().map(is).collect())
            };
            let known = ["product", "category", "service"].map(|part| Query::Field(name(part), Test::Exists));
            let unknown = Query::Not(Box::new(Query::Or(known.into())));
            Some(Query::Or(vec![Query::And(parts.iter().map(one).collect()), unknown]))
        }
        Necessary::Value { fields, test } => {
            let mut any = Vec::with_capacity(fields.len());
            for field in fields {
                any.push(value(field, test)?);
                *as_stored |= field.starts_with("zone.") || field.starts_with("policy.");
            }
            Some(Query::Or(any))
        }
    }
}

fn value(field: &str, test: &Asked) -> Option<Query> {
    if matches!(field, "@timestamp" | "event.received" | "log.source.address") || field.starts_with("mihari.") {
        return None; // What the index has by these names is not a value of the event.
    }
    let is = |test: Test| Some(Query::Field(field.to_owned(), test));
    match test {
        Asked::Text { pattern, .. } if field == "message" => words(pattern),
        _ if field == "message" => None,
        Asked::Text { pattern, .. } => is(text(pattern)?),
        Asked::Number(number) => {
            let n = match number {
                Number::Int(n) => *n as f64,
                Number::Float(n) => *n,
            };
            // Neighbours too: whole numbers beyond 2^53 are not told apart by their float.
            let near = Test::Range(Bound::Included(Scalar::Number(n.next_down())), Bound::Included(Scalar::Number(n.next_up())));
            let written = match number {
                Number::Int(n) => n.to_string(),
                Number::Float(n) => n.to_string(),
            };
            let tests = [near, Test::Is(written), of_text(ODD_NUMBER)];
            Some(Query::Or(tests.into_iter().map(|t| Query::Field(field.to_owned(), t)).collect()))
        }
        Asked::Bool(wanted) => is(Test::Is(wanted.to_string())),
        Asked::Regex(regex) => is(Test::Regex(regex.clone())),
        Asked::Cidr(net) => {
            let (low, high) = match net {
                ipnet::IpNet::V4(net) => (net.network().to_ipv6_mapped(), net.broadcast().to_ipv6_mapped()),
                ipnet::IpNet::V6(net) => (net.network(), net.broadcast()),
            };
            // The engine reads an address between blanks, too.
            let tests = [Test::Network(low, high), of_text(r"^\s|\s$")];
            Some(Query::Or(tests.into_iter().map(|t| Query::Field(field.to_owned(), t)).collect()))
        }
        Asked::Compare(order, number) => {
            let n = number.float();
            let (low, high) = (Scalar::Number(n.next_down()), Scalar::Number(n.next_up()));
            let range = match order {
                Order::Eq => Test::Range(Bound::Included(low), Bound::Included(high)),
                Order::Neq => Test::Exists,
                Order::Gt | Order::Gte => Test::Range(Bound::Included(low), Bound::Unbounded),
                Order::Lt | Order::Lte => Test::Range(Bound::Unbounded, Bound::Included(high)),
            };
            // Texts that are numbers are not compared as numbers by the index.
            let tests = [range, of_text(r"^\s*[-+]?[0-9.]")];
            Some(Query::Or(tests.into_iter().map(|t| Query::Field(field.to_owned(), t)).collect()))
        }
        _ => None,
    }
}

/// That a value is a text in which this is found.
fn of_text(regex: &str) -> Test {
    Test::OfText(Box::new(Test::Regex(regex::Regex::new(regex).expect("ours are well formed"))))
}

/// A pattern over a whole value. None where nothing is asked of the value, or only that it is empty.
fn text(form: &Form) -> Option<Test> {
    /// The one letter whose small form hangs on its place, which the two sides read differently.
    const SIGMAS: [char; 3] = ['Σ', 'σ', 'ς'];
    match form.as_literal() {
        Some("") => return None,
        Some(text) if !text.contains(SIGMAS) => return Some(Test::is(text)),
        _ => {}
    }
    let mut glob = String::new();
    let mut asks = false;
    for part in &form.0 {
        match part {
            // One character of the engine's may be several as the index compares them (`㍿`).
            Part::Any | Part::One => glob.push('*'),
            Part::Text(text) => {
                for c in text.chars() {
                    match c {
                        c if SIGMAS.contains(&c) => glob.push('?'),
                        '*' | '?' | '\\' => glob.extend(['\\', c]),
                        c => glob.push(c),
                    }
                    asks = true;
                }
            }
        }
    }
    if asks { Pattern::new(&glob).ok().map(Test::Glob) } else { None }
}

/// Letters of a word, of which only a part is known, from which on it is asked for: fewer are in too many words.
const PART_LETTERS_MIN: usize = 3;
/// Letters of the beginning of a word that is asked for: the index cuts longer words.
const LETTERS_MAX: usize = 100;

/// What the words of a record have for certain where its message has a text of this form. A wildcard, or what the record has around the
/// message, may belong to the first and to the last word of each piece.
fn words(form: &Form) -> Option<Query> {
    let mut all = Vec::new();
    for part in &form.0 {
        let Part::Text(text) = part else { continue };
        for run in text.split(|c: char| !is_wide(c)).filter(|run| run.chars().nth(1).is_some()) {
            all.push(Query::Words(run.to_owned())); // Whatever stands around them, neighbours are pairs.
        }
        let (mut rest, mut before) = (text.as_str(), None);
        while let Some(c) = rest.chars().next() {
            let len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (run, behind) = rest.split_at(if len > 0 { len } else { c.len_utf8() });
            if len > 0 {
                all.extend(word(run, before.is_some_and(parts), behind.chars().next().is_some_and(parts)));
            }
            (rest, before) = (behind, Some(c).filter(|_| len == 0));
        }
    }
    (!all.is_empty()).then_some(Query::And(all))
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

    #[test]
    fn only_what_is_certain_is_asked_of_a_message() {
        for (form, expected) in [
            ("*failed password for*", vec!["~failed", "password", "for*"]),
            ("*failed*", vec!["~failed"]),
            ("*in*", vec![]),
            ("error: a bc 10.0.0.1 def at 09:00 x", vec!["~error", "bc", "def", "at"]),
            ("*one*two three four*", vec!["~one", "~two", "three", "four*"]),
            ("日本 log 語", vec!["日本", "log"]),
            ("*ログイン失敗user*", vec!["ログイン失敗", "user*"]),
            ("*éabc def\u{2014}ghi*", vec!["~abc", "def*", "~ghi"]),
            ("*Invalid USER 5x*", vec!["~invalid", "user"]),
        ] {
            let shown = |query: Query| match query {
                Query::Words(word) => word,
                Query::WordPart(part) => format!("~{part}"),
                Query::WordsPrefix(start) => format!("{start}*"),
                other => panic!("{other:?}"),
            };
            let found = match words(&Form::parse(form)) {
                Some(Query::And(all)) => all.into_iter().map(shown).collect(),
                _ => Vec::new(),
            };
            assert_eq!(found, expected, "{form}");
        }
    }

    #[test]
    fn numbers_that_nobody_writes_so_are_found_too() {
        let odd = regex::Regex::new(ODD_NUMBER).expect("it is well formed");
        for (text, is) in [
            ("+5", true),
            ("05", true),
            (" 5", true),
            ("5 ", true),
            ("5.0", true),
            ("5e0", true),
            ("5", false),
            ("-5", false),
            ("a5", false),
        ] {
            assert_eq!(odd.is_match(text), is, "{text:?}");
        }
    }
}
