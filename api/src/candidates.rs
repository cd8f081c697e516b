//! From what a rule's events must have to a query that finds all of them, and few others.
//!
//! The index is not the engine: it compares without case, cuts long values, and knows of a message its words only. Wherever the two may
//! differ the query asks for less, so that no event is missed; the engine then decides.

use std::ops::Bound;

use index::query::{Pattern, Query, Scalar, Test, holding};
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

/// What the words of a record have for certain where its message has a text of this form.
fn words(form: &Form) -> Option<Query> {
    let texts = form.0.iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
    let all: Vec<Query> = texts.flat_map(|text| holding(text)).collect();
    (!all.is_empty()).then_some(Query::And(all))
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
