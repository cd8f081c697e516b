//! Elasticsearch's query DSL, read into our one query tree.
//!
//! What only ranks (`boost`, `tie_breaker`) is read over, for nothing is ranked here. What we cannot answer is refused by name: a query is
//! never answered as if a part of it were not there.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use event::Time;
use index::query::{self, Lucene, Near, Pattern, Query, Scalar, Test, instant};
use index::{IndexError, Searcher, TimeZone};
use serde_json::Value;

use super::dates::Reading;
use super::fault::{Fault, Members, list_of, text_of};
use super::pipeline::VALUES_MAX;
use super::simple;

/// Queries within each other.
const DEPTH_MAX: usize = 40;
/// Queries and values of one request, as of a text.
const CONDITIONS_MAX: usize = 20_000;
/// Alternatives that `minimum_should_match` of several may become.
const CHOICES_MAX: usize = 500;

type Read<T> = Result<T, Fault>;

/// The fields that events have, with their types.
pub(crate) struct Fields(BTreeMap<String, &'static str>);

impl Fields {
    pub(crate) fn of(searcher: &Searcher) -> Result<Fields, IndexError> {
        Ok(Fields(searcher.fields()?.into_iter().map(|f| (f.name, f.kind)).collect()))
    }

    pub(crate) fn kind(&self, name: &str) -> &'static str {
        self.0.get(name).copied().unwrap_or(if name == "message" { "text" } else { "keyword" })
    }

    pub(crate) fn is_date(&self, name: &str) -> bool {
        matches!(name, "@timestamp" | "event.received") || self.kind(name) == "date"
    }

    /// The field that a request means: with Elasticsearch's own mappings, `NAME.keyword` is the keyword of a text.
    pub(crate) fn name<'n>(&self, name: &'n str) -> &'n str {
        match name.strip_suffix(".keyword") {
            Some(base) if !self.0.contains_key(name) => base,
            _ => name,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.0.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// That an event has a field of this name or pattern, or one within the object of this name.
    fn exists(&self, name: &str) -> Query {
        let name = self.name(name);
        // Every event has these.
        if matches!(name, "_id" | "_index") {
            return Query::All;
        }
        if !name.contains('*') {
            let within = |other: &str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            let mut names: Vec<String> = self.iter().map(|(n, _)| n).filter(|n| within(n)).map(str::to_owned).collect();
            names.push(name.to_owned());
            return any(names.into_iter().map(|name| Query::Field(name, Test::Exists)).collect());
        }
        any(self.expand(&[name.to_owned()]).into_iter().map(|name| Query::Field(name, Test::Exists)).collect())
    }

    /// The fields of these names and patterns (`user.*`), a weight (`^2`) left out.
    fn expand(&self, patterns: &[String]) -> Vec<String> {
        let mut all = Vec::new();
        for pattern in patterns {
            let name = pattern.split_once('^').map_or(pattern.as_str(), |(name, _)| name);
            if name.contains('*') {
                all.extend(self.iter().filter(|(n, _)| glob(name, n)).map(|(n, _)| n.to_owned()));
            } else {
                all.push(self.name(name).to_owned());
            }
        }
        all
    }
}

/// Whether `name` is of the form `pattern`, in which `*` stands for anything.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or("");
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(end)
}

/// Reads queries.
pub(crate) struct Dsl<'a> {
    pub(crate) fields: &'a Fields,
    pub(crate) now: Time,
    /// Values that each bucket may be computed from yet.
    pub(crate) values_left: usize,
    left: usize,
    depth: usize,
}

impl<'a> Dsl<'a> {
    pub(crate) fn new(fields: &'a Fields, now: Time) -> Dsl<'a> {
        Dsl { fields, now, values_left: VALUES_MAX, left: CONDITIONS_MAX, depth: 0 }
    }

    fn spend(&mut self, count: usize) -> Read<()> {
        let left = self.left.checked_sub(count);
        self.left = left.ok_or_else(|| Fault::illegal(format!("a query has {CONDITIONS_MAX} parts at most")))?;
        Ok(())
    }

    /// One query.
    pub(crate) fn query(&mut self, value: Value) -> Read<Query> {
        self.spend(1)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::illegal(format!("queries stand {DEPTH_MAX} deep at most")));
        }
        let members = Members::new("query", value)?;
        let (kind, body) = members.single().map_err(|_| Fault::parsing("a query is an object with one member, its kind"))?;
        let query = self.kind(&kind, body)?;
        self.depth -= 1;
        Ok(query)
    }

    fn kind(&mut self, kind: &str, body: Value) -> Read<Query> {
        match kind {
            "match_all" => Ok(Query::All),
            "match_none" => Ok(Query::Or(Vec::new())),
            "bool" => self.bool(body),
            "constant_score" => {
                let mut members = Members::new(kind, body)?;
                let inner = members.required("filter")?;
                members.ignore(&["boost", "_name"]);
                members.finish()?;
                self.query(inner)
            }
            "dis_max" => {
                let mut members = Members::new(kind, body)?;
                let inner = members.required("queries")?;
                members.ignore(&["boost", "tie_breaker", "_name"]);
                members.finish()?;
                Ok(any(self.all_of(inner)?))
            }
            "boosting" => {
                let mut members = Members::new(kind, body)?;
                let inner = members.required("positive")?;
                members.ignore(&["negative", "negative_boost", "boost", "_name"]);
                members.finish()?;
                self.query(inner)
            }
            // What only ranks is read over.
            "function_score" | "script_score" => {
                let mut members = Members::new(kind, body)?;
                let inner = members.take("query");
                members.ignore(&[
                    "functions",
                    "boost",
                    "boost_mode",
                    "score_mode",
                    "max_boost",
                    "weight",
                    "random_score",
                    "script_score",
                ]);
                members.ignore(&["field_value_factor", "linear", "exp", "gauss", "script", "_name"]);
                members.finish()?;
                inner.map_or(Ok(Query::All), |inner| self.query(inner))
            }
            "exists" => {
                let mut members = Members::new(kind, body)?;
                let field = members.text("field")?.ok_or_else(|| Fault::parsing("[exists] requires [field]"))?;
                members.ignore(&["boost", "_name"]);
                members.finish()?;
                Ok(self.fields.exists(&field))
            }
            "ids" => {
                let mut members = Members::new(kind, body)?;
                let values = list_of(members.required("values")?);
                members.ignore(&["boost", "_name", "type"]);
                members.finish()?;
                self.spend(values.len())?;
                Ok(ids(&values))
            }
            "query_string" => self.query_string(body),
            "simple_query_string" => self.simple_query_string(body),
            "multi_match" | "combined_fields" => self.multi_match(body),
            "terms" => self.terms(body),
            "term"
            | "match"
            | "match_phrase"
            | "match_phrase_prefix"
            | "match_bool_prefix"
            | "prefix"
            | "wildcard"
            | "regexp"
            | "fuzzy"
            | "range" => self.of_field(kind, body),
            "nested" | "has_child" | "has_parent" | "script" | "geo_distance" | "geo_bounding_box" | "geo_shape"
            | "more_like_this" | "percolate" | "terms_set" | "knn" | "semantic" | "intervals" | "rank_feature" | "wrapper"
            | "distance_feature" | "span_term" | "span_near" | "parent_id" => {
                Err(Fault::illegal(format!("[{kind}] queries are not supported")))
            }
            _ => Err(Fault::parsing(format!("unknown query [{kind}]"))),
        }
    }

    fn all_of(&mut self, value: Value) -> Read<Vec<Query>> {
        list_of(value).into_iter().map(|v| self.query(v)).collect()
    }

    fn bool(&mut self, body: Value) -> Read<Query> {
        let mut members = Members::new("bool", body)?;
        let mut all = Vec::new();
        for name in ["must", "filter"] {
            all.extend(members.take(name).map_or(Ok(Vec::new()), |v| self.all_of(v))?);
        }
        // Whatever they are: what must not be, within one of these, is a condition as any other.
        let required = !all.is_empty();
        let should = members.take("should").map_or(Ok(Vec::new()), |v| self.all_of(v))?;
        for name in ["must_not", "mustNot"] {
            let none = members.take(name).map_or(Ok(Vec::new()), |v| self.all_of(v))?;
            all.extend(none.into_iter().map(|q| Query::Not(Box::new(q))));
        }
        // Where nothing is required, one of them is, also where the request says none (Lucene, BooleanQuery).
        let least = usize::from(!required && !should.is_empty());
        let wanted = match members.take("minimum_should_match") {
            Some(value) => minimum(&value, should.len())?.max(least),
            None => least,
        };
        members.ignore(&["boost", "_name", "adjust_pure_negative", "disable_coord"]);
        members.finish()?;
        all.extend(at_least(should, wanted)?);
        Ok(match all.len() {
            0 => Query::All,
            1 => all.remove(0),
            _ => Query::And(all),
        })
    }

    fn terms(&mut self, body: Value) -> Read<Query> {
        let mut members = Members::new("terms", body)?;
        members.ignore(&["boost", "_name"]);
        let (field, values) = members.single()?;
        let Value::Array(values) = values else { return Err(Fault::parsing("[terms] needs a list of values")) };
        self.spend(values.len())?;
        if field == "_id" {
            return Ok(ids(&values));
        }
        let tests: Read<Vec<Query>> = values.iter().map(|v| self.term(&field, v)).collect();
        Ok(any(tests?))
    }

    /// That a field has exactly this value.
    fn term(&self, field: &str, value: &Value) -> Read<Query> {
        let text =
            text_of(value).ok_or_else(|| Fault::parsing(format!("a value of [{field}] is a text, a number or a boolean")))?;
        match field {
            "_id" => return Ok(ids(std::slice::from_ref(value))),
            // Every name of an index stands for the tenant's one store.
            "_index" => return Ok(Query::All),
            _ => {}
        }
        let field = self.fields.name(field);
        if self.fields.is_date(field) {
            let reading = Reading { now: self.now, zone: &TimeZone::UTC, format: None };
            let time = |up| reading.read(value, up).ok_or_else(|| Fault::parsing(format!("{text:?} is no instant")));
            return Ok(Query::Field(field.to_owned(), whole_millisecond(time(false)?)));
        }
        let test = Test::of(&text).map_err(|reason| Fault::illegal(reason.to_string()))?;
        of(field, test)
    }

    /// The kinds that are written `{FIELD: VALUE}` or `{FIELD: {PARAMETER: VALUE}}`.
    fn of_field(&mut self, kind: &str, body: Value) -> Read<Query> {
        let mut outer = Members::new(kind, body)?;
        outer.ignore(&["boost", "_name"]);
        let (field, value) = outer.single().map_err(|_| Fault::parsing(format!("[{kind}] names one field")))?;
        if kind == "range" {
            return self.range(&field, value);
        }
        let mut members = match value {
            Value::Object(_) => Members::new(kind, value)?,
            value => Members::new(kind, serde_json::json!({ "value": value }))?,
        };
        let value = ["value", "query", "wildcard", "prefix"].iter().find_map(|name| members.take(name));
        let value = value.ok_or_else(|| Fault::parsing(format!("[{kind}] needs a value for [{field}]")))?;
        let ignore_case = members.flag("case_insensitive")?.unwrap_or(false);
        members.ignore(&["boost", "_name", "rewrite", "fuzzy_rewrite", "analyzer", "lenient", "max_expansions"]);
        members.ignore(&["auto_generate_synonyms_phrase_query", "max_determinized_states", "transpositions"]);
        members.fits("zero_terms_query", |value| value == "none")?;
        members.fits("flags", |flags| matches!(flags.as_str(), Some("ALL" | "NONE" | "")) || *flags == -1)?;
        let how = How { ignore_case, ..How::read(&mut members)? };
        members.finish()?;
        if kind == "term" {
            return self.term(&field, &value);
        }
        let text = text_of(&value).ok_or_else(|| Fault::parsing(format!("[{kind}] needs a text for [{field}]")))?;
        let name = self.fields.name(&field).to_owned();
        self.matching(kind, &name, &text, &how, &value)
    }

    fn matching(&self, kind: &str, name: &str, text: &str, how: &How, value: &Value) -> Read<Query> {
        let is_text = self.fields.kind(name) == "text";
        let pattern =
            |pattern: Result<Pattern, _>| of(name, Test::Glob(pattern.map_err(|_| Fault::illegal("the pattern is too large"))?));
        let near = |text: &str, changes| Test::Near(Near::new(text, changes, how.fixed));
        let illegal = |reason: query::Reason| Fault::illegal(format!("[{name}]: {reason}"));
        match kind {
            "match" | "match_bool_prefix" if is_text => {
                let word = |word: &str| match how.changes {
                    Some(changes) if word.chars().all(char::is_alphanumeric) => of(name, near(word, changes)),
                    _ => Ok(Query::Words(word.to_owned())),
                };
                let mut words: Vec<Query> = text.split_whitespace().map(word).collect::<Read<_>>()?;
                if kind == "match_bool_prefix"
                    && let Some(last) = words.last_mut()
                {
                    *last = Query::WordsPrefix(text.split_whitespace().last().unwrap_or_default().to_owned());
                }
                let wanted = match &how.minimum_should {
                    Some(value) => minimum(value, words.len())?,
                    None if how.all => words.len(),
                    None => 1.min(words.len()),
                };
                Ok(at_least(words, wanted)?.unwrap_or_else(|| Query::Or(Vec::new())))
            }
            "match_phrase" if is_text => Query::near(text, how.slop).map_err(illegal),
            "match_phrase_prefix" if is_text && how.slop == 0 => Ok(Query::WordsPrefix(text.to_owned())),
            "match_phrase_prefix" if is_text => Err(Fault::illegal(format!("[{kind}] does not support [slop] of {}", how.slop))),
            "fuzzy" => of(name, near(text, how.changes.flatten())),
            "match" => match how.changes {
                Some(changes) if self.fields.kind(name) == "keyword" => of(name, near(text, changes)),
                _ => self.term(name, value),
            },
            "match_phrase" => self.term(name, value),
            "match_phrase_prefix" | "match_bool_prefix" | "prefix" => pattern(Pattern::prefix(text)),
            "wildcard" if text == "*" => Ok(Query::Field(name.to_owned(), Test::Exists)),
            "wildcard" => pattern(Pattern::new(text)),
            _ => {
                let regex = query::lucene_regex(text, how.ignore_case).map_err(|e| Fault::illegal(format!("{text:?}: {e}")))?;
                of(name, Test::Regex(regex))
            }
        }
    }

    fn range(&self, field: &str, value: Value) -> Read<Query> {
        let field = self.fields.name(field);
        let mut members = Members::new("range", value)?;
        let format = members.text("format")?;
        let zone = zone_of(&mut members)?;
        members.ignore(&["boost", "_name", "relation"]);
        let reading = Reading { now: self.now, zone: &zone, format: format.as_deref() };
        let include = [members.flag("include_lower")?.unwrap_or(true), members.flag("include_upper")?.unwrap_or(true)];
        let (mut low, mut high) = (Bound::Unbounded, Bound::Unbounded);
        for (name, is_low, included) in [
            ("gt", true, false),
            ("gte", true, true),
            ("lt", false, false),
            ("lte", false, true),
            ("from", true, include[0]),
            ("to", false, include[1]),
        ] {
            let Some(value) = members.take(name) else { continue };
            let end = self.end(field, &value, &reading, is_low != included)?;
            *if is_low { &mut low } else { &mut high } = match (end, included) {
                // A date is whole milliseconds there: what lies within the last of them belongs to it.
                (Scalar::Time(time), _) => {
                    let ms = time.unix_ns().div_euclid(1_000_000).saturating_mul(1_000_000);
                    let next = Scalar::Time(Time::from_unix_ns(ms.saturating_add(1_000_000)));
                    match (is_low, included) {
                        (true, true) => Bound::Included(Scalar::Time(Time::from_unix_ns(ms))),
                        (true, false) => Bound::Included(next),
                        (false, true) => Bound::Excluded(next),
                        (false, false) => Bound::Excluded(Scalar::Time(Time::from_unix_ns(ms))),
                    }
                }
                (end, true) => Bound::Included(end),
                (end, false) => Bound::Excluded(end),
            };
        }
        members.finish()?;
        Ok(Query::Field(
            field.to_owned(),
            match (low, high) {
                (Bound::Unbounded, Bound::Unbounded) => Test::Exists,
                (low, high) => Test::Range(low, high),
            },
        ))
    }

    fn end(&self, field: &str, value: &Value, reading: &Reading<'_>, up: bool) -> Read<Scalar> {
        let wrong = |what: &str| Fault::parsing(format!("[range] on [{field}]: {value} is no {what}"));
        if self.fields.is_date(field) {
            return reading.read(value, up).map(Scalar::Time).ok_or_else(|| wrong("instant"));
        }
        let text = text_of(value).ok_or_else(|| wrong("end of a range"))?;
        match self.fields.kind(field) {
            "long" | "double" => Scalar::number(&text).ok_or_else(|| wrong("number")),
            "ip" => match Scalar::guess(&text, self.now) {
                Scalar::Ip(ip) => Ok(Scalar::Ip(ip)),
                _ => Err(wrong("address")),
            },
            _ => Ok(Scalar::guess(&text, self.now)),
        }
    }

    fn query_string(&self, body: Value) -> Read<Query> {
        let mut members = Members::new("query_string", body)?;
        let text = members.text("query")?.ok_or_else(|| Fault::parsing("[query_string] requires [query]"))?;
        let all = operator_of(&mut members, "default_operator")?;
        let mut fields: Vec<String> = members.text("default_field")?.into_iter().collect();
        fields.extend(members.take("fields").map_or_else(Vec::new, list_of).iter().filter_map(text_of));
        members.ignore(&[
            "analyze_wildcard",
            "allow_leading_wildcard",
            "analyzer",
            "auto_generate_synonyms_phrase_query",
            "boost",
        ]);
        // A query with a `~` is refused, so that nothing else that is said of it matters.
        members.ignore(&["enable_position_increments", "fuzziness", "fuzzy_max_expansions", "fuzzy_prefix_length", "lenient"]);
        members.ignore(&["fuzzy_transpositions", "max_determinized_states", "quote_analyzer", "rewrite", "_name", "tie_breaker"]);
        members.fits("phrase_slop", is_zero)?;
        members.fits("minimum_should_match", is_zero)?;
        members.fits("type", |kind| matches!(kind.as_str(), Some("best_fields" | "most_fields")))?;
        members.fits("escape", |escape| *escape == false)?;
        let zone = zone_of(&mut members)?;
        members.finish()?;
        self.lucene(&text, all, &fields, &zone)
    }

    /// A query in Lucene's syntax; its dates are of `zone` where they do not say.
    pub(crate) fn lucene(&self, text: &str, all: bool, fields: &[String], zone: &TimeZone) -> Read<Query> {
        let fields = self.default_fields(fields);
        query::parse_lucene(text, &Lucene { all, fields: &fields, zone: Some(zone) }, self.now)
            .map_err(|error| Fault::new(axum::http::StatusCode::BAD_REQUEST, "query_shard_exception", error.to_string()))
            .map(|query| self.named(query))
    }

    /// The fields that words are looked for in; none where the record's words are meant.
    fn default_fields(&self, fields: &[String]) -> Vec<String> {
        let every = |f: &String| matches!(f.split('^').next(), Some("*" | "_all" | "message"));
        if fields.iter().any(every) { Vec::new() } else { self.fields.expand(fields) }
    }

    /// The query with the fields that its names mean.
    fn named(&self, query: Query) -> Query {
        let each = |all: Vec<Query>| all.into_iter().map(|q| self.named(q)).collect();
        match query {
            Query::And(all) => Query::And(each(all)),
            Query::Or(any) => Query::Or(each(any)),
            Query::Not(inner) => Query::Not(Box::new(self.named(*inner))),
            Query::Field(name, Test::Exists) => self.fields.exists(&name),
            // `user.\*:root`: in any of them that can have such a value.
            Query::Field(name, test) if name.contains('*') => {
                let of_field = |name: String| Query::of(&name, test.clone()).ok();
                Query::Or(self.fields.expand(&[name]).into_iter().filter_map(of_field).collect())
            }
            Query::Field(name, test) => Query::Field(self.fields.name(&name).to_owned(), test),
            other => other,
        }
    }

    fn simple_query_string(&self, body: Value) -> Read<Query> {
        let mut members = Members::new("simple_query_string", body)?;
        let text = members.text("query")?.ok_or_else(|| Fault::parsing("[simple_query_string] requires [query]"))?;
        let all = operator_of(&mut members, "default_operator")?;
        let fields: Vec<String> = members.take("fields").map_or_else(Vec::new, list_of).iter().filter_map(text_of).collect();
        members.ignore(&["analyze_wildcard", "analyzer", "auto_generate_synonyms_phrase_query", "boost", "lenient"]);
        members.ignore(&["fuzzy_max_expansions", "fuzzy_prefix_length", "fuzzy_transpositions", "_name"]);
        members.fits("flags", |flags| flags == "ALL" || *flags == -1)?;
        members.fits("minimum_should_match", is_zero)?;
        members.finish()?;
        let fields = self.default_fields(&fields);
        simple::parse(&text, all, &|text, whole| {
            let one = |name: Option<&String>| -> Read<Query> {
                let Some(name) = name else {
                    return Ok(if whole { Query::Words(text.to_owned()) } else { Query::WordsPrefix(text.to_owned()) });
                };
                let kind = if whole { "match_phrase" } else { "prefix" };
                self.matching(kind, name, text, &How::default(), &Value::String(text.to_owned()))
            };
            if fields.is_empty() { one(None) } else { Ok(any(fields.iter().map(|f| one(Some(f))).collect::<Read<_>>()?)) }
        })
    }

    fn multi_match(&mut self, body: Value) -> Read<Query> {
        let mut members = Members::new("multi_match", body)?;
        let value = members.required("query")?;
        let text = text_of(&value).ok_or_else(|| Fault::parsing("[multi_match] needs a text"))?;
        let fields: Vec<String> = members.take("fields").map_or_else(Vec::new, list_of).iter().filter_map(text_of).collect();
        let kind = match members.text("type")?.as_deref() {
            None | Some("best_fields" | "most_fields" | "cross_fields") => "match",
            Some("phrase") => "match_phrase",
            Some("phrase_prefix") => "match_phrase_prefix",
            Some("bool_prefix") => "match_bool_prefix",
            Some(other) => return Err(Fault::illegal(format!("[multi_match] of type [{other}] is not supported"))),
        };
        members.fits("zero_terms_query", |value| value == "none")?;
        members.ignore(&["boost", "_name", "analyzer", "lenient", "tie_breaker", "max_expansions"]);
        members.ignore(&["auto_generate_synonyms_phrase_query", "fuzzy_rewrite"]);
        let how = How::read(&mut members)?;
        members.finish()?;
        let mut names = self.default_fields(&fields);
        if names.is_empty() {
            names.push("message".to_owned());
        }
        self.spend(names.len())?;
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            // A text that is no value of a field's type is not found there.
            match self.matching(kind, &name, &text, &how, &value) {
                Ok(query) => found.push(query),
                Err(_) if !matches!(self.fields.kind(&name), "text" | "keyword") => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(any(found))
    }
}

/// How a text is to be matched.
#[derive(Default)]
struct How {
    /// Whether all words are required, not one of them.
    all: bool,
    minimum_should: Option<Value>,
    ignore_case: bool,
    /// How far words may be from where a phrase has them.
    slop: u32,
    /// How many letters may be others, where some may: as many as is usual for the length, or so many.
    changes: Option<Option<usize>>,
    /// Letters at the beginning that may not.
    fixed: usize,
}

impl How {
    fn read(members: &mut Members) -> Read<How> {
        let slop = members.count("slop")?.unwrap_or(0);
        let changes = match members.take("fuzziness").as_ref().and_then(text_of).as_deref() {
            None | Some("0") => None,
            Some("AUTO" | "auto" | "AUTO:3,6") => Some(None),
            Some("1") => Some(Some(1)),
            Some("2") => Some(Some(2)),
            Some(other) => return Err(Fault::illegal(format!("[fuzziness] {other:?} is not supported"))),
        };
        members.fits("fuzzy_transpositions", |value| *value == true)?;
        Ok(How {
            all: operator_of(members, "operator")?,
            minimum_should: members.take("minimum_should_match"),
            ignore_case: false,
            slop: u32::try_from(slop).unwrap_or(u32::MAX),
            changes,
            fixed: members.count("prefix_length")?.unwrap_or(0),
        })
    }
}

/// Whether an operator is [and]; [or] where there is none.
fn operator_of(members: &mut Members, name: &str) -> Read<bool> {
    match members.text(name)?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("or") => Ok(false),
        Some("and") => Ok(true),
        Some(other) => Err(Fault::illegal(format!("[{name}] is [and] or [or], not [{other}]"))),
    }
}

fn is_zero(value: &Value) -> bool {
    *value == 0 || value == "0"
}

/// The zone that a request names; UTC where it names none.
pub(crate) fn zone_of(members: &mut Members) -> Read<TimeZone> {
    match members.text("time_zone")? {
        Some(name) => instant::zone(&name).ok_or_else(|| Fault::illegal(format!("unknown time zone {name:?}"))),
        None => Ok(TimeZone::UTC),
    }
}

/// That the field has a value so.
fn of(field: &str, test: Test) -> Read<Query> {
    Query::of(field, test).map_err(|reason| Fault::illegal(format!("[{field}]: {reason}")))
}

/// The instants that Elasticsearch calls the same: it keeps milliseconds.
fn whole_millisecond(time: Time) -> Test {
    let ms = time.unix_ns().div_euclid(1_000_000).saturating_mul(1_000_000);
    let end = |ns| Scalar::Time(Time::from_unix_ns(ns));
    Test::Range(Bound::Included(end(ms)), Bound::Excluded(end(ms.saturating_add(1_000_000))))
}

fn ids(values: &[Value]) -> Query {
    // What is no id of ours is the id of no event.
    Query::Ids(values.iter().filter_map(|v| v.as_str()?.parse().ok()).collect())
}

pub(crate) fn any(mut queries: Vec<Query>) -> Query {
    if queries.len() == 1 { queries.remove(0) } else { Query::Or(queries) }
}

/// How many of `count` clauses `minimum_should_match` asks for.
fn minimum(value: &Value, count: usize) -> Read<usize> {
    let wrong = || Fault::parsing(format!("[minimum_should_match] {value} is not supported"));
    let text = text_of(value).ok_or_else(wrong)?;
    let wanted = match text.strip_suffix('%') {
        Some(percent) => {
            let percent: i64 = percent.parse().map_err(|_| wrong())?;
            let part = count as i64 * percent.abs() / 100;
            if percent < 0 { count as i64 - part } else { part }
        }
        None => {
            let number: i64 = text.parse().map_err(|_| wrong())?;
            if number < 0 { count as i64 + number } else { number }
        }
    };
    Ok(wanted.max(0) as usize)
}

/// That at least `wanted` of these hold; none where that is no condition.
fn at_least(queries: Vec<Query>, wanted: usize) -> Read<Option<Query>> {
    let count = queries.len();
    Ok(match wanted {
        0 => None,
        1 => Some(any(queries)),
        n if n == count => Some(Query::And(queries)),
        n if n > count => Some(Query::Or(Vec::new())),
        n => {
            let choices = (0..n).try_fold(1usize, |all, i| all.checked_mul(count - i).map(|all| all / (i + 1)));
            if choices.is_none_or(|all| all > CHOICES_MAX) {
                return Err(Fault::illegal(format!("[minimum_should_match] {n} of {count} is too many choices")));
            }
            let mut all = Vec::new();
            choose(&queries, n, &mut Vec::new(), &mut all);
            Some(Query::Or(all))
        }
    })
}

fn choose(from: &[Query], n: usize, chosen: &mut Vec<Query>, all: &mut Vec<Query>) {
    if n == 0 {
        all.push(Query::And(chosen.clone()));
        return;
    }
    for (at, query) in from.iter().enumerate().take(from.len() + 1 - n.min(from.len() + 1)) {
        chosen.push(query.clone());
        choose(&from[at + 1..], n - 1, chosen, all);
        chosen.pop();
    }
}

/// Takes the bounds of `@timestamp` that all hits must keep out of a query, as the range of time that is searched.
pub(crate) fn hoist(query: Query) -> (Query, Option<Time>, Option<Time>) {
    let (mut from, mut to): (Option<Time>, Option<Time>) = (None, None);
    let mut bound = |query: &Query| -> bool {
        let Query::Field(name, Test::Range(low, high)) = query else { return false };
        let after = |t: &Time| Time::from_unix_ns(t.unix_ns().saturating_add(1));
        let low = match low {
            Bound::Unbounded => None,
            Bound::Included(Scalar::Time(t)) => Some(*t),
            Bound::Excluded(Scalar::Time(t)) => Some(after(t)),
            _ => return false,
        };
        let high = match high {
            Bound::Unbounded => None,
            Bound::Excluded(Scalar::Time(t)) => Some(*t),
            Bound::Included(Scalar::Time(t)) => Some(after(t)),
            _ => return false,
        };
        if name != "@timestamp" {
            return false;
        }
        from = from.max(low);
        to = match (to, high) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        true
    };
    fn walk(query: Query, bound: &mut dyn FnMut(&Query) -> bool) -> Option<Query> {
        match query {
            Query::And(all) => {
                let left: Vec<Query> = all.into_iter().filter_map(|q| walk(q, bound)).collect();
                (!left.is_empty()).then_some(Query::And(left))
            }
            query => (!bound(&query)).then_some(query),
        }
    }
    let query = walk(query, &mut bound).unwrap_or(Query::All);
    (query, from, to)
}

/// The kind of a field's values as sorted.
pub(crate) fn key_kind(fields: &Fields, name: &str) -> index::KeyKind {
    match fields.kind(name) {
        _ if fields.is_date(name) => index::KeyKind::Time,
        "ip" => index::KeyKind::Ip,
        "long" | "double" => index::KeyKind::Number,
        _ => index::KeyKind::Text,
    }
}

/// Values that a request gave by name, as text.
pub(crate) type Parameters = HashMap<String, String>;
