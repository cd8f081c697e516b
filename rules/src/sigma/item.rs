//! Detection items: `field|modifier|modifier: values`, turned into tests.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use super::pattern::{Part, Pattern, fold};
use crate::fault::{Fault, all, did_you_mean};
use crate::yaml::Node;

/// What is asked of one value, or of a field's presence.
#[derive(Clone, Debug)]
pub enum Test {
    /// The value's text has this form. Both sides are folded unless `cased`.
    Text {
        /// The form.
        pattern: Pattern,
        /// Whether case counts.
        cased: bool,
    },
    /// The number equals, exactly.
    Number(Number),
    /// True or false, or their names.
    Bool(bool),
    /// Absent, or present without a value.
    Null,
    /// Present, whatever its value; or absent.
    Exists(bool),
    /// The regular expression is found in the text.
    Regex(Regex),
    /// The address lies in the network.
    Cidr(IpNet),
    /// The number compares so.
    Compare(Order, Number),
    /// A part of the time that the value says is, or compares so.
    TimePart(TimePart, Order, i64),
    /// The field's text has this form, made of another field's value.
    FieldRef {
        /// The other field, as the rule names it.
        field: String,
        /// Whether anything may stand before.
        open_start: bool,
        /// Whether anything may stand after.
        open_end: bool,
        /// Whether case counts.
        cased: bool,
    },
}

/// A number as written: whole ones stay exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Order {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
}

/// A part of a time (specification, "Time Modifiers").
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TimePart {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// Of the month, from 1.
    Day,
    /// ISO 8601 week of the year.
    Week,
    /// From 1.
    Month,
    /// The year.
    Year,
}

/// A test of a field, or of any value of the event.
#[derive(Clone, Debug)]
pub struct Atom {
    /// The field as the rule names it; none for keywords.
    pub field: Option<String>,
    /// The test.
    pub test: Test,
}

/// A condition over tests.
#[derive(Clone, Debug)]
pub enum Expr<A> {
    /// A test.
    Atom(A),
    /// All of these; of none, true.
    And(Vec<Expr<A>>),
    /// One of these; of none, false.
    Or(Vec<Expr<A>>),
    /// At least so many of these.
    AtLeast(usize, Vec<Expr<A>>),
    /// Not this.
    Not(Box<Expr<A>>),
}

impl Number {
    /// From a value's text, where all of it is a number.
    pub fn parse(text: &str) -> Option<Number> {
        let text = text.trim();
        if let Ok(n) = text.parse::<i128>() {
            return Some(Number::Int(n));
        }
        let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
        text.parse().ok().filter(|n: &f64| plain && n.is_finite()).map(Number::Float)
    }

    /// Compares, exactly where both are whole.
    pub fn compare(self, order: Order, other: Number) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let ordering = match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        };
        let Some(ordering) = ordering else { return order == Order::Neq };
        match order {
            Order::Eq => ordering == Equal,
            Order::Neq => ordering != Equal,
            Order::Gt => ordering == Greater,
            Order::Gte => ordering != Less,
            Order::Lt => ordering == Less,
            Order::Lte => ordering != Greater,
        }
    }

    /// As a float, for sums and averages.
    pub fn float(self) -> f64 {
        match self {
            Number::Int(n) => n as f64,
            Number::Float(n) => n,
        }
    }
}

/// Bytes of one regular expression, and of its compiled form.
const REGEX_BYTES_MAX: usize = 4096;
const REGEX_COMPILED_BYTES_MAX: usize = 16 << 20;
/// Alternatives that one item may grow to (dashes of all kinds at every place).
const ALTERNATIVES_MAX: usize = 10_000;

/// Values for placeholders (`%name%`), where the configuration gives them.
pub type Placeholders = std::collections::BTreeMap<String, Vec<String>>;

/// The names of all modifiers.
const MODIFIERS: [&str; 30] = [
    "contains",
    "startswith",
    "endswith",
    "all",
    "cased",
    "re",
    "i",
    "ignorecase",
    "m",
    "multiline",
    "s",
    "dotall",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "cidr",
    "exists",
    "fieldref",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "windash",
    "base64",
    "base64offset",
    "expand",
];

#[derive(Clone)]
enum Value {
    Pattern(Pattern),
    Bytes(Vec<u8>),
    Raw(String),
    Other(Node),
}

/// Reads `key: values`, where `key` is a field with modifiers. An empty field means any value of the event.
///
/// # Errors
/// Says everything that the specification or our bounds refuse.
pub fn item(key: &str, values: &Node, placeholders: &Placeholders) -> Result<Expr<Atom>, Vec<Fault>> {
    // A keyword has no key by which its place is found.
    let below = if key.is_empty() { &[][..] } else { &[key][..] };
    let wrong = |reason: String| vec![Fault::new(below, if key.is_empty() { reason } else { format!("{key}: {reason}") })];
    let mut parts = key.split('|');
    let name = parts.next().unwrap_or("").trim();
    // Names are compared without blanks: backends of the public rules read `Source Name` as `SourceName`.
    let field = (!name.is_empty()).then(|| name.replace(' ', ""));
    let modifiers: Vec<String> = parts.map(|m| m.trim().to_ascii_lowercase()).collect();
    let has = |wanted: &str| modifiers.iter().any(|m| m == wanted);
    if let Node::Map(_) = values {
        return Err(wrong("a value must not be a mapping".to_owned()));
    }
    let is_regex = has("re");
    // Per value as written its forms: one of them is enough, also where `all` asks for each value.
    let mut known_values: Vec<Vec<Value>> = Vec::new();
    for node in values.elements() {
        known_values.push(vec![match node {
            Node::List(_) | Node::Map(_) => return Err(wrong("a value must be a scalar".to_owned())),
            Node::Text(text) if is_regex => Value::Raw(text.clone()),
            Node::Text(text) => Value::Pattern(Pattern::parse(text)),
            other => Value::Other(other.clone()),
        }]);
    }
    if let (Node::Null, true) = (values, modifiers.iter().all(|m| m == "neq" || m == "all" || m == "cased")) {
        known_values.push(vec![Value::Other(Node::Null)]);
    }
    let cased = has("cased");
    let (mut open_start, mut open_end) = (false, false);
    let mut order = None;
    let mut part = None;
    let mut special = None;
    let mut negate = false;
    for modifier in &modifiers {
        match modifier.as_str() {
            "contains" => (open_start, open_end) = (true, true),
            "startswith" => open_end = true,
            "endswith" => open_start = true,
            "all" | "cased" | "re" | "i" | "m" | "s" | "ignorecase" | "multiline" | "dotall" => {}
            "neq" => negate = true,
            "gt" => order = Some(Order::Gt),
            "gte" => order = Some(Order::Gte),
            "lt" => order = Some(Order::Lt),
            "lte" => order = Some(Order::Lte),
            "cidr" | "exists" | "fieldref" => special = Some(modifier.as_str()),
            "minute" => part = Some(TimePart::Minute),
            "hour" => part = Some(TimePart::Hour),
            "day" => part = Some(TimePart::Day),
            "week" => part = Some(TimePart::Week),
            "month" => part = Some(TimePart::Month),
            "year" => part = Some(TimePart::Year),
            "windash" => known_values = each(known_values, windash).map_err(wrong)?,
            "base64" => known_values = each(known_values, base64_of).map_err(wrong)?,
            "base64offset" => known_values = each(known_values, base64_offsets).map_err(wrong)?,
            "wide" | "utf16le" => known_values = each(known_values, |v| utf16(v, false, false)).map_err(wrong)?,
            "utf16be" => known_values = each(known_values, |v| utf16(v, true, false)).map_err(wrong)?,
            "utf16" => known_values = each(known_values, |v| utf16(v, false, true)).map_err(wrong)?,
            "expand" => {
                let give = || Some("give the placeholder its values in the configuration".to_owned());
                let hinted = |reason| wrong(reason).into_iter().map(|fault| fault.hint(give())).collect::<Vec<_>>();
                known_values = each(known_values, |v| expand(v, placeholders)).map_err(hinted)?;
            }
            other => {
                let fault = Fault::new(below, format!("{key}: unknown modifier {other:?}"));
                return Err(vec![fault.hint(did_you_mean(other, MODIFIERS))]);
            }
        }
    }
    if !has("expand") && modifiers.is_empty() && field.is_none() && known_values.is_empty() {
        return Err(wrong("a keyword list is empty".to_owned()));
    }
    let test_of = |value: &Value| -> Result<Expr<Atom>, String> {
        let test = if let Some(part) = part {
            let n = match integer(value) {
                Some(n) => i64::try_from(n).map_err(|_| format!("{n} is out of range"))?,
                None => return Err("expects a whole number".to_owned()),
            };
            Test::TimePart(part, order.unwrap_or(Order::Eq), n)
        } else if let Some(order) = order {
            Test::Compare(order, number(value).ok_or("expects a number")?)
        } else if is_regex {
            regex(value, &modifiers)?
        } else {
            match special {
                Some("cidr") => {
                    let text = literal(value).ok_or("expects a network")?;
                    let net = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
                    Test::Cidr(net.map_err(|_| format!("{text:?} is no network"))?.trunc())
                }
                Some("exists") => match value {
                    Value::Other(Node::Bool(b)) => Test::Exists(*b),
                    // YAML 1.1, which most rules are written for, has more names for them.
                    _ => match literal(value).map(|text| text.to_lowercase()).as_deref() {
                        Some("true" | "yes" | "on") => Test::Exists(true),
                        Some("false" | "no" | "off") => Test::Exists(false),
                        _ => return Err("expects true or false".to_owned()),
                    },
                },
                Some("fieldref") => {
                    let field = literal(value).ok_or("expects a field")?;
                    Test::FieldRef { field: field.replace(' ', ""), open_start, open_end, cased }
                }
                _ => plain(value, open_start || field.is_none(), open_end || field.is_none(), cased),
            }
        };
        if field.is_none() && matches!(test, Test::Exists(_) | Test::Null | Test::FieldRef { .. }) {
            return Err("a keyword must be text, a number or an expression".to_owned());
        }
        Ok(Expr::Atom(Atom { field: field.clone(), test }))
    };
    // Each value's forms by themselves: whoever mends a list wants to know of all that is wrong in it.
    let tests_of = |(at, forms): (usize, &Vec<Value>)| {
        let written = values.elements().get(at).and_then(Node::scalar).unwrap_or_default();
        let there = |reason| wrong(reason).into_iter().map(|fault| fault.at(&written)).collect::<Vec<_>>();
        forms.iter().map(test_of).collect::<Result<Vec<_>, String>>().map_err(there)
    };
    let values = all(known_values.iter().enumerate().map(tests_of))?;
    let one_of = |mut forms: Vec<Expr<Atom>>| if forms.len() == 1 { forms.remove(0) } else { Expr::Or(forms) };
    let joined = if has("all") && values.len() != 1 {
        Expr::And(values.into_iter().map(one_of).collect())
    } else {
        one_of(values.into_iter().flatten().collect())
    };
    Ok(if negate { Expr::Not(Box::new(joined)) } else { joined })
}

fn each(values: Vec<Vec<Value>>, change: impl Fn(Value) -> Result<Vec<Value>, String>) -> Result<Vec<Vec<Value>>, String> {
    let mut out = Vec::with_capacity(values.len());
    let mut count = 0;
    for forms in values {
        let mut changed = Vec::new();
        for value in forms {
            changed.extend(change(value)?);
            if count + changed.len() > ALTERNATIVES_MAX {
                return Err(format!("grows to more than {ALTERNATIVES_MAX} alternatives"));
            }
        }
        count += changed.len();
        out.push(changed);
    }
    Ok(out)
}

fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Pattern(pattern) => pattern.as_literal().map(str::to_owned),
        Value::Raw(text) => Some(text.clone()),
        Value::Bytes(_) => None,
        Value::Other(node) => node.scalar(),
    }
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Other(Node::Int(n)) => Some(Number::Int(*n)),
        Value::Other(Node::Float(n)) => Some(Number::Float(*n)),
        Value::Pattern(pattern) => Number::parse(pattern.as_literal()?),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i128> {
    match number(value)? {
        Number::Int(n) => Some(n),
        Number::Float(_) => None,
    }
}

fn plain(value: &Value, open_start: bool, open_end: bool, cased: bool) -> Test {
    let pattern = match value {
        Value::Other(Node::Null) => return Test::Null,
        Value::Other(Node::Int(n)) if !open_start && !open_end => return Test::Number(Number::Int(*n)),
        Value::Other(Node::Float(n)) if !open_start && !open_end => return Test::Number(Number::Float(*n)),
        Value::Other(Node::Bool(b)) if !open_start && !open_end => return Test::Bool(*b),
        Value::Other(node) => Pattern::literal(&node.scalar().unwrap_or_default()),
        Value::Pattern(pattern) => pattern.clone(),
        Value::Raw(text) => Pattern::literal(text),
        Value::Bytes(bytes) => Pattern::literal(&bytes.iter().map(|b| char::from(*b)).collect::<String>()),
    };
    let pattern = pattern.open(open_start, open_end);
    Test::Text { pattern: if cased { pattern } else { pattern.map(|t| fold(t).into_owned()) }, cased }
}

fn regex(value: &Value, modifiers: &[String]) -> Result<Test, String> {
    let Some(source) = literal(value) else { return Err("expects a regular expression".to_owned()) };
    if source.len() > REGEX_BYTES_MAX {
        return Err(format!("the regular expression is longer than {REGEX_BYTES_MAX} bytes"));
    }
    // Flags stand in the text, so that two expressions are the same where their texts are.
    let mut flags = String::new();
    for (flag, names) in [('i', ["i", "ignorecase"]), ('m', ["m", "multiline"]), ('s', ["s", "dotall"])] {
        if modifiers.iter().any(|m| names.contains(&m.as_str())) {
            flags.push(flag);
        }
    }
    let flagged = if flags.is_empty() { source } else { format!("(?{flags}){source}") };
    RegexBuilder::new(&flagged).size_limit(REGEX_COMPILED_BYTES_MAX).build().map(Test::Regex).map_err(|error| {
        let reason = error.to_string();
        reason.lines().last().unwrap_or("not a regular expression").trim().to_owned()
    })
}

const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// Every dash or slash that begins a word stands for each kind of dash and slash, all of them together.
fn windash(value: Value) -> Result<Vec<Value>, String> {
    let Value::Pattern(pattern) = value else { return Ok(vec![value]) };
    let mut variants = vec![Pattern::default()];
    let mut before_is_word = false;
    for part in pattern.0 {
        let Part::Text(text) = part else {
            before_is_word = false;
            for variant in &mut variants {
                variant.0.push(part.clone());
            }
            continue;
        };
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let flag =
                DASHES.contains(&c) && !before_is_word && chars.peek().is_none_or(|next| next.is_alphanumeric() || *next == '_');
            before_is_word = c.is_alphanumeric() || c == '_';
            if flag {
                let grown = variants.len() * DASHES.len();
                if grown > ALTERNATIVES_MAX {
                    return Err(format!("windash grows to more than {ALTERNATIVES_MAX} alternatives"));
                }
                variants = variants
                    .iter()
                    .flat_map(|variant| {
                        DASHES.iter().map(|dash| {
                            let mut variant = variant.clone();
                            variant.push(*dash);
                            variant
                        })
                    })
                    .collect();
            } else {
                for variant in &mut variants {
                    variant.push(c);
                }
            }
        }
    }
    Ok(variants.into_iter().map(Value::Pattern).collect())
}

fn bytes_of(value: Value) -> Result<Vec<u8>, String> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        other => literal(&other).map(String::into_bytes).ok_or_else(|| "an encoded value must have no wildcard".to_owned()),
    }
}

/// The text as base64 has it, with the padding that ends it (RFC 4648, section 4) and, for those who leave it out, without.
fn base64_of(value: Value) -> Result<Vec<Value>, String> {
    let padded = STANDARD.encode(bytes_of(value)?);
    let bare = padded.trim_end_matches('=');
    let forms = if bare.len() == padded.len() { vec![bare] } else { vec![padded.as_str(), bare] };
    Ok(forms.into_iter().map(|form| Value::Pattern(Pattern::literal(form))).collect())
}

/// The three forms that a text has within longer base64, without the characters at both ends that its neighbours decide.
fn base64_offsets(value: Value) -> Result<Vec<Value>, String> {
    let bytes = bytes_of(value)?;
    let forms = (0..3usize).filter_map(|offset| {
        let mut padded = vec![b' '; offset];
        padded.extend_from_slice(&bytes);
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let start = [0, 2, 3][offset];
        // A last group of one or two bytes shares its last character with what follows.
        let end = if padded.len() % 3 == 0 { encoded.len() } else { encoded.len() - 1 };
        encoded.get(start..end).filter(|form| !form.is_empty()).map(|form| Value::Pattern(Pattern::literal(form)))
    });
    Ok(forms.collect())
}

fn utf16(value: Value, big: bool, mark: bool) -> Result<Vec<Value>, String> {
    let text = String::from_utf8(bytes_of(value)?).map_err(|_| "a value is encoded twice".to_owned())?;
    let units = mark.then_some(0xfeffu16).into_iter().chain(text.encode_utf16());
    let bytes = units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
    Ok(vec![Value::Bytes(bytes)])
}

/// Replaces `%name%` by the values that the configuration gives it.
fn expand(value: Value, placeholders: &Placeholders) -> Result<Vec<Value>, String> {
    let Value::Pattern(pattern) = &value else { return Ok(vec![value]) };
    let Some((at, name, before, after)) = pattern.0.iter().enumerate().find_map(|(at, part)| {
        let Part::Text(text) = part else { return None };
        let (before, rest) = text.split_once('%')?;
        let (name, after) = rest.split_once('%')?;
        (!name.is_empty()).then(|| (at, name.to_owned(), before.to_owned(), after.to_owned()))
    }) else {
        return Ok(vec![value]);
    };
    let Some(values) = placeholders.get(&name) else {
        return Err(format!("the placeholder %{name}% has no value in the configuration"));
    };
    let mut out = Vec::new();
    for text in values {
        let mut parts: Vec<Part> = pattern.0[..at].to_vec();
        parts.extend(Pattern::literal(&before).0);
        parts.extend(Pattern::parse(text).0);
        parts.extend(Pattern::literal(&after).0);
        parts.extend_from_slice(&pattern.0[at + 1..]);
        let mut joined = Pattern::default();
        for part in parts {
            match part {
                Part::Text(text) => text.chars().for_each(|c| joined.push(c)),
                other => joined.0.push(other),
            }
        }
        out.push(Value::Pattern(joined));
        if out.len() > ALTERNATIVES_MAX {
            return Err(format!("%{name}% grows to more than {ALTERNATIVES_MAX} alternatives"));
        }
    }
    Ok(out)
}
