//! From our query to the engine's.
//!
//! Patterns and ranges of text over JSON paths have no query of the engine: the values of the path's column are gone through, which are
//! few, and those that fit become a set of terms.

use std::net::IpAddr;
use std::ops::Bound;

use regex::{Regex, RegexBuilder};
use tantivy::query::{
    AllQuery, BitSetDocSet, BooleanQuery, ConstScorer, EmptyQuery, EnableScoring, ExistsQuery, Explanation, PhraseQuery,
    Query as Engine, RangeQuery, RegexQuery, Scorer, TermQuery, TermSetQuery, Weight,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DateTime, DocId, DocSet, Score, Searcher, SegmentReader, TERMINATED, Term};

use crate::IndexError;
use crate::query::{Query, Scalar, Test, glob_source};
use crate::schema::{Layout, REST, ip_column, is_time_field, v6};
use crate::tokens::words;

/// Different values that a pattern may match in one segment.
const VALUES_MAX: usize = 100_000;

type Lowered = Result<Box<dyn Engine>, IndexError>;

/// The engine's form of `query` for one shard.
pub(crate) fn lower(query: &Query, layout: &Layout, searcher: &Searcher) -> Lowered {
    let each = |queries: &[Query]| queries.iter().map(|q| lower(q, layout, searcher)).collect::<Result<Vec<_>, _>>();
    Ok(match query {
        Query::All => Box::new(AllQuery),
        Query::And(all) => Box::new(BooleanQuery::intersection(each(all)?)),
        Query::Or(any) => Box::new(BooleanQuery::union(each(any)?)),
        Query::Not(inner) => Box::new(Without(lower(inner, layout, searcher)?)),
        Query::Words(text) => {
            let mut terms = Vec::new();
            words(text, |word| terms.push(Term::from_field_text(layout.words, word)));
            match terms.len() {
                0 => Box::new(AllQuery),
                1 => term(terms.remove(0)),
                _ => Box::new(PhraseQuery::new(terms)),
            }
        }
        Query::WordGlob(glob) => {
            let source = glob_source(glob);
            let regex = RegexQuery::from_pattern(&source, layout.words)
                .map_err(|_| IndexError::Refused("the pattern is too large".to_owned()))?;
            Box::new(regex)
        }
        Query::Field(name, test) if is_time_field(name) => {
            let field = if name == "@timestamp" { layout.time } else { layout.received };
            match test {
                Test::Exists => Box::new(AllQuery),
                Test::Range(low, high) => date_range(field, low, high),
                Test::Is(text) => match text.to_uppercase().parse() {
                    Ok(time) => date_range(field, &Bound::Included(Scalar::Time(time)), &Bound::Included(Scalar::Time(time))),
                    Err(_) => Box::new(EmptyQuery),
                },
                _ => Box::new(EmptyQuery),
            }
        }
        Query::Field(name, test) => match layout.ip(name) {
            Some(field) => Box::new(BooleanQuery::union(vec![address(field, name, test), rest(name, test, layout, searcher)?])),
            None => rest(name, test, layout, searcher)?,
        },
    })
}

fn term(term: Term) -> Box<dyn Engine> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn date_range(field: Field, low: &Bound<Scalar>, high: &Bound<Scalar>) -> Box<dyn Engine> {
    let bound = |end: &Bound<Scalar>| match end {
        Bound::Included(Scalar::Time(t)) => Some(Bound::Included(date(field, t.unix_ns()))),
        Bound::Excluded(Scalar::Time(t)) => Some(Bound::Excluded(date(field, t.unix_ns()))),
        Bound::Unbounded => Some(Bound::Unbounded),
        _ => None,
    };
    match (bound(low), bound(high)) {
        (Some(Bound::Unbounded), Some(Bound::Unbounded)) => Box::new(AllQuery),
        (Some(low), Some(high)) => Box::new(RangeQuery::new(low, high)),
        _ => Box::new(EmptyQuery),
    }
}

fn date(field: Field, ns: i64) -> Term {
    Term::from_field_date(field, DateTime::from_timestamp_nanos(ns))
}

/// Events whose time lies in `from..to`.
pub(crate) fn time_range(layout: &Layout, from: Option<event::Time>, to: Option<event::Time>) -> Box<dyn Engine> {
    let low = from.map_or(Bound::Unbounded, |t| Bound::Included(Scalar::Time(t)));
    let high = to.map_or(Bound::Unbounded, |t| Bound::Excluded(Scalar::Time(t)));
    date_range(layout.time, &low, &high)
}

/// A test of a field that is kept as an address. Ends of ranges are always included: the engine steps over its ends otherwise.
fn address(field: Field, name: &str, test: &Test) -> Box<dyn Engine> {
    let range = |low: u128, high: u128| -> Box<dyn Engine> {
        if low > high {
            return Box::new(EmptyQuery);
        }
        let end = |bits: u128| Bound::Included(Term::from_field_ip_addr(field, bits.into()));
        Box::new(RangeQuery::new(end(low), end(high)))
    };
    match test {
        Test::Exists => Box::new(ExistsQuery::new(ip_column(name), false)),
        Test::Is(text) => match text.parse::<IpAddr>() {
            Ok(ip) => term(Term::from_field_ip_addr(field, v6(ip))),
            Err(_) => Box::new(EmptyQuery),
        },
        Test::Network(low, high) => range(low.to_bits(), high.to_bits()),
        Test::Range(low, high) => {
            let low = match low {
                Bound::Unbounded => Some(0),
                Bound::Included(Scalar::Ip(ip)) => Some(ip.to_bits()),
                Bound::Excluded(Scalar::Ip(ip)) => ip.to_bits().checked_add(1),
                _ => None,
            };
            let high = match high {
                Bound::Unbounded => Some(u128::MAX),
                Bound::Included(Scalar::Ip(ip)) => Some(ip.to_bits()),
                Bound::Excluded(Scalar::Ip(ip)) => ip.to_bits().checked_sub(1),
                _ => None,
            };
            match (low, high) {
                (Some(low), Some(high)) => range(low, high),
                _ => Box::new(EmptyQuery),
            }
        }
        // `10.0.*` is a pattern over the written form; networks are what addresses are searched by.
        Test::Glob(regex) => {
            glob_network(regex).map_or_else(|| Box::new(EmptyQuery) as Box<dyn Engine>, |(low, high)| range(low, high))
        }
        Test::Regex(_) => Box::new(EmptyQuery),
    }
}

/// The network that a pattern such as `10.0.*` means.
fn glob_network(regex: &Regex) -> Option<(u128, u128)> {
    let start = regex.as_str().strip_prefix("(?s)^")?.strip_suffix(".*$")?.replace("\\.", ".");
    let parts: Vec<&str> = start.strip_suffix('.')?.split('.').collect();
    let bytes: Option<Vec<u8>> = parts.iter().map(|p| p.parse().ok()).collect();
    let bytes = bytes.filter(|b| (1..=3).contains(&b.len()))?;
    let end = |fill: u8| {
        let mut octets = [fill; 4];
        octets[..bytes.len()].copy_from_slice(&bytes);
        v6(IpAddr::from(octets)).to_bits()
    };
    Some((end(0), end(255)))
}

/// A test of a path of the JSON field.
fn rest(name: &str, test: &Test, layout: &Layout, searcher: &Searcher) -> Lowered {
    let path = || Term::from_field_json_path(layout.rest, name, true);
    let text = |text: &str| {
        let mut term = path();
        term.append_type_and_str(text);
        term
    };
    let number = |n: f64| {
        let mut term = path();
        if n.fract() == 0.0 && n.abs() < 9e18 {
            term.append_type_and_fast_value(n as i64);
        } else {
            term.append_type_and_fast_value(n);
        }
        term
    };
    Ok(match test {
        Test::Exists => Box::new(ExistsQuery::new(format!("{REST}.{name}"), false)),
        Test::Is(wanted) => {
            let mut any = vec![term(text(wanted))];
            if let Ok(n) = wanted.parse::<f64>()
                && n.is_finite()
            {
                any.push(term(number(n)));
                let mut float = path();
                float.append_type_and_fast_value(n);
                any.push(term(float));
                if n >= 9e18
                    && let Ok(n) = wanted.parse::<u64>()
                {
                    let mut unsigned = path();
                    unsigned.append_type_and_fast_value(n);
                    any.push(term(unsigned));
                }
            }
            if let Ok(b) = wanted.parse::<bool>() {
                let mut boolean = path();
                boolean.append_type_and_fast_value(b);
                any.push(term(boolean));
            }
            Box::new(BooleanQuery::union(any))
        }
        Test::Glob(regex) => values(name, searcher, &text, |v| regex.is_match(&v.to_lowercase()))?,
        Test::Regex(regex) => values(name, searcher, &text, |v| regex.is_match(v))?,
        Test::Network(low, high) => {
            values(name, searcher, &text, |v| v.parse().is_ok_and(|ip| (*low..=*high).contains(&v6(ip))))?
        }
        Test::Range(low, high) => {
            let numeric = |end: &Bound<Scalar>| match end {
                Bound::Included(Scalar::Number(n)) => Some(Bound::Included(number(*n))),
                Bound::Excluded(Scalar::Number(n)) => Some(Bound::Excluded(number(*n))),
                Bound::Unbounded => Some(Bound::Unbounded),
                _ => None,
            };
            match (numeric(low), numeric(high)) {
                (Some(Bound::Unbounded), Some(Bound::Unbounded)) => Box::new(ExistsQuery::new(format!("{REST}.{name}"), false)),
                (Some(low), Some(high)) => Box::new(RangeQuery::new(low, high)),
                _ => values(name, searcher, &text, |v| text_within(v, low, true) && text_within(v, high, false))?,
            }
        }
    })
}

fn text_within(value: &str, bound: &Bound<Scalar>, is_low: bool) -> bool {
    let compare = |end: &Scalar| match end {
        Scalar::Text(end) => Some(value.to_lowercase().as_str().cmp(end)),
        Scalar::Time(end) => value.parse::<event::Time>().ok().map(|v| v.cmp(end)),
        Scalar::Ip(_) | Scalar::Number(_) => None,
    };
    let beyond = if is_low { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less };
    match bound {
        Bound::Unbounded => true,
        Bound::Included(end) => compare(end).is_some_and(|o| o == beyond || o.is_eq()),
        Bound::Excluded(end) => compare(end) == Some(beyond),
    }
}

/// The documents that have one of the path's texts for which `fits` says yes.
fn values(name: &str, searcher: &Searcher, text: &dyn Fn(&str) -> Term, fits: impl Fn(&str) -> bool) -> Lowered {
    let fail = |source| IndexError::Engine { action: "read a column of", shard: String::new(), source };
    let mut terms = Vec::new();
    let mut value = String::new();
    for segment in searcher.segment_readers() {
        let Some(column) = segment.fast_fields().str(&format!("{REST}.{name}")).map_err(fail)? else { continue };
        for ord in 0..column.dictionary().num_terms() as u64 {
            value.clear();
            let found = column.ord_to_str(ord, &mut value).map_err(|e| fail(e.into()))?;
            if found && fits(&value) {
                if terms.len() >= VALUES_MAX {
                    return Err(IndexError::Refused(format!("the pattern matches more than {VALUES_MAX} values of {name}")));
                }
                terms.push(text(&value.to_lowercase()));
            }
        }
    }
    if terms.is_empty() { Ok(Box::new(EmptyQuery)) } else { Ok(Box::new(TermSetQuery::new(terms))) }
}

/// The pattern over a whole word.
pub(crate) fn word_regex(glob: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!("(?s)^(?:{})$", glob_source(glob))).size_limit(1 << 20).build()
}

/// The documents that a query does not find. The engine's own exclusion steps back in a phrase (tantivy 0.27: an assertion of
/// `PhraseScorer::seek_danger` fails under `Exclude`), so the complement is taken here.
#[derive(Debug)]
struct Without(Box<dyn Engine>);

struct WithoutWeight(Box<dyn Weight>);

impl Clone for Without {
    fn clone(&self) -> Without {
        Without(self.0.box_clone())
    }
}

impl Engine for Without {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(WithoutWeight(self.0.weight(scoring)?)))
    }
}

impl Weight for WithoutWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let mut set = BitSet::with_max_value_and_full(reader.max_doc());
        let mut found = self.0.scorer(reader, 1.0)?;
        while found.doc() != TERMINATED {
            set.remove(found.doc());
            found.advance();
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(set), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("without", 1.0))
    }
}
