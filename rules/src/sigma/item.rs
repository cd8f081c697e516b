//! Detection items: `field|modifier|modifier: values`, turned into tests.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ipnet::{IpNet, Ipv4Net};
use regex::Regex;

use super::budget::Reading;
use super::pattern::{Part, Pattern, fold};
use super::placeholder::{GIVE_VALUES, expand, expand_expression};
use super::{expression, modifier};
use crate::fault::{Fault, all};
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

impl TimePart {
    /// Each by its modifier, and from which number to which it goes.
    const ALL: [(&str, TimePart, i64, i64); 6] = [
        ("minute", TimePart::Minute, 0, 59),
        ("hour", TimePart::Hour, 0, 23),
        ("day", TimePart::Day, 1, 31),
        ("week", TimePart::Week, 1, 53),
        ("month", TimePart::Month, 1, 12),
        ("year", TimePart::Year, 0, 9999),
    ];

    fn named(name: &str) -> Option<TimePart> {
        TimePart::ALL.into_iter().find(|(known, ..)| *known == name).map(|(_, part, ..)| part)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        TimePart::ALL[self as usize].0
    }

    /// The test that it compares so.
    fn compares(self, order: Order, with: i64) -> Result<Test, String> {
        let (name, _, first, last) = TimePart::ALL[self as usize];
        let holds = |n: i64| Number::Int(n.into()).compare(order, Number::Int(with.into()));
        // As a part goes from its first number to its last, its ends and the number itself are all that can differ.
        if ![first, last, with.clamp(first, last)].into_iter().any(holds) {
            let article = if name == "hour" { "an" } else { "a" };
            return Err(format!("{article} {name} is a number from {first} to {last}, which {with} rules out"));
        }
        Ok(Test::TimePart(self, order, with))
    }
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
    /// This, which the rule calls so: it says what the condition is made of, and asks nothing itself.
    Named(Arc<str>, Box<Expr<A>>),
}

impl<A> Expr<A> {
    /// How many nodes it has that ask something.
    pub fn nodes(&self) -> usize {
        match self {
            Expr::Atom(_) => 1,
            Expr::Not(inner) => 1 + inner.nodes(),
            Expr::And(of) | Expr::Or(of) | Expr::AtLeast(_, of) => 1 + of.iter().map(Expr::nodes).sum::<usize>(),
            Expr::Named(_, inner) => inner.nodes(),
        }
    }
}

impl Number {
    /// The number that a rule has, exactly as it is written there, also where YAML's reader keeps a fraction.
    pub(crate) fn of(node: &Node) -> Option<Number> {
        match node {
            Node::Int(n, _) => Some(Number::Int(*n)),
            Node::Float(n, written) => {
                written.as_deref().and_then(Number::parse).or(Some(Number::Float(*n)).filter(|_| n.is_finite()))
            }
            _ => None,
        }
    }

    /// From a value's text, where all of it is a number.
    pub fn parse(text: &str) -> Option<Number> {
        if let Ok(n) = text.parse::<i128>() {
            return Some(Number::Int(n));
        }
        let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
        text.parse().ok().filter(|n: &f64| plain && n.is_finite()).map(Number::Float)
    }

    /// Compares, exactly where both are whole.
    pub fn compare(self, order: Order, other: Number) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let Some(ordering) = self.ordering(other) else { return order == Order::Neq };
        match order {
            Order::Eq => ordering == Equal,
            Order::Neq => ordering != Equal,
            Order::Gt => ordering == Greater,
            Order::Gte => ordering != Less,
            Order::Lt => ordering == Less,
            Order::Lte => ordering != Greater,
        }
    }

    /// Which one is greater, exactly where both are whole; none where one is no number.
    pub(crate) fn ordering(self, other: Number) -> Option<std::cmp::Ordering> {
        match (self.whole(), other.whole()) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }

    /// A whole number as such, however it was written: large ones stay apart from their neighbours.
    fn whole(self) -> Number {
        const LIMIT: f64 = (1u128 << 100) as f64;
        match self {
            Number::Float(n) if n.fract() == 0.0 && n.abs() < LIMIT => Number::Int(n as i128),
            other => other,
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

/// Alternatives that one item may grow to (dashes of all kinds at every place).
pub(super) const ALTERNATIVES_MAX: usize = 10_000;

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
pub fn item(key: &str, values: &Node, reading: &Reading<'_>) -> Result<Expr<Atom>, Vec<Fault>> {
    // A keyword has no key by which its place is found.
    let below = if key.is_empty() { &[][..] } else { &[key][..] };
    // Where nothing is left, it is not even spelt out.
    reading.take_test().map_err(|fault| vec![fault])?;
    let mut parts = key.split('|');
    let name = parts.next().unwrap_or("").trim();
    // Names are compared without blanks: backends of the public rules read `Source Name` as `SourceName`.
    let field = (!name.is_empty()).then(|| name.replace(' ', ""));
    let placed = |fault: Fault| {
        let reason = if key.is_empty() { fault.reason } else { format!("{key}: {}", fault.reason) };
        Fault { place: below.iter().map(|key| (*key).to_owned()).collect(), reason, hint: fault.hint }
    };
    let wrong = |reason: String| {
        let hint = Some("write shorter values without wildcards, each in an item of its own".to_owned());
        vec![placed(Fault::new(&[], reason).hint(hint))]
    };
    let modifiers = modifier::read(parts).map_err(|fault| vec![placed(fault)])?;
    let has = |wanted: &str| modifiers.iter().any(|m| m == wanted);
    let no_scalar = |reason: &str| {
        let hint = Some("write `field: value`, or `field:` with a list of values".to_owned());
        vec![placed(Fault::new(&[], reason).hint(hint))]
    };
    if let Node::Map(_) = values {
        return Err(no_scalar("a value must not be a mapping"));
    }
    let is_regex = has("re");
    let is_plain = modifiers.iter().all(|m| m == "neq" || m == "all" || m == "cased");
    // Per value as written its forms: one of them is enough, also where `all` asks for each value.
    let mut known_values: Vec<Vec<Value>> = Vec::new();
    for node in values.elements() {
        known_values.push(match node {
            Node::List(_) | Node::Map(_) => return Err(no_scalar("a value must be a scalar")),
            // Before all other modifiers: none of them has a meaning for a placeholder itself.
            Node::Text(text) if has("expand") => {
                let hinted = |reason| vec![placed(Fault::new(&[], reason).hint(Some(GIVE_VALUES.to_owned())))];
                if is_regex {
                    expand_expression(text, reading.placeholders).map_err(hinted)?.into_iter().map(Value::Raw).collect()
                } else {
                    expand(text, reading.placeholders).map_err(hinted)?.into_iter().map(Value::Pattern).collect()
                }
            }
            Node::Text(text) if is_regex => vec![Value::Raw(text.clone())],
            Node::Text(text) => vec![Value::Pattern(Pattern::parse(text))],
            // `0x10` is a number and, in records that write it so, a text.
            Node::Int(_, Some(text)) if is_plain && Number::parse(text).is_none() => {
                vec![Value::Other(node.clone()), Value::Pattern(Pattern::literal(text))]
            }
            other => vec![Value::Other(other.clone())],
        });
    }
    if let (Node::Null, true) = (values, is_plain) {
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
            "neq" => negate = true,
            "gt" => order = Some(Order::Gt),
            "gte" => order = Some(Order::Gte),
            "lt" => order = Some(Order::Lt),
            "lte" => order = Some(Order::Lte),
            "cidr" | "exists" | "fieldref" => special = Some(modifier.as_str()),
            "windash" => known_values = each(known_values, windash).map_err(wrong)?,
            "base64" => known_values = each(known_values, base64_of).map_err(wrong)?,
            "base64offset" => known_values = each(known_values, base64_offsets).map_err(wrong)?,
            "wide" | "utf16le" => known_values = each(known_values, |v| utf16(v, false, false)).map_err(wrong)?,
            "utf16be" => known_values = each(known_values, |v| utf16(v, true, false)).map_err(wrong)?,
            "utf16" => known_values = each(known_values, |v| utf16(v, false, true)).map_err(wrong)?,
            // Those of lists, case and expressions change no value by themselves.
            other => part = part.or(TimePart::named(other)),
        }
    }
    if known_values.is_empty() {
        let hint = "write one, or `null` for a field that is absent".to_owned();
        return Err(vec![placed(Fault::new(&[], "there is no value to compare with").hint(Some(hint)))]);
    }
    let test_of = |value: &Value| -> Result<Expr<Atom>, Fault> {
        reading.take_test()?;
        let test = if let Some(part) = part {
            let n = integer(value).ok_or_else(|| expects("a whole number", "3"))?;
            let of_part =
                |reason: String| Fault::from(reason).hint(Some(format!("write a number that a {} can be", part.name())));
            let n = i64::try_from(n).map_err(|_| of_part(format!("{n} is out of range")))?;
            part.compares(order.unwrap_or(Order::Eq), n).map_err(of_part)?
        } else if let Some(order) = order {
            Test::Compare(order, number(value).ok_or_else(|| expects("a number", "5"))?)
        } else if is_regex {
            let text = literal(value).ok_or_else(|| expects("a regular expression", "^a.*b$"))?;
            Test::Regex(reading.take_regex(|| expression::read(&text, has))?)
        } else {
            match special {
                Some("cidr") => Test::Cidr(network(&literal(value).ok_or_else(|| expects("a network", "192.0.2.0/24"))?)?),
                Some("exists") => match value {
                    Value::Other(Node::Bool(b)) => Test::Exists(*b),
                    // YAML 1.1, which most rules are written for, has more names for them.
                    _ => match literal(value).map(|text| text.to_lowercase()).as_deref() {
                        Some("true" | "yes" | "on") => Test::Exists(true),
                        Some("false" | "no" | "off") => Test::Exists(false),
                        _ => return Err(expects("true or false", "true")),
                    },
                },
                Some("fieldref") => {
                    let field = literal(value).ok_or_else(|| expects("a field", "SubjectUserName"))?;
                    Test::FieldRef { field: field.replace(' ', ""), open_start, open_end, cased }
                }
                _ => plain(value, open_start || field.is_none(), open_end || field.is_none(), cased),
            }
        };
        if field.is_none() && matches!(test, Test::Exists(_) | Test::Null | Test::FieldRef { .. }) {
            let hint = Some("name a field before the modifier".to_owned());
            return Err(Fault::from("a keyword must be text, a number or an expression").hint(hint));
        }
        Ok(Expr::Atom(Atom { field: field.clone(), test }))
    };
    // Each value's forms by themselves: whoever mends a list wants to know of all that is wrong in it.
    let tests_of = |(at, forms): (usize, &Vec<Value>)| {
        let written = values.elements().get(at).and_then(Node::scalar).unwrap_or_default();
        forms.iter().map(test_of).collect::<Result<Vec<_>, Fault>>().map_err(|fault| vec![placed(fault).at(&written)])
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

/// A value that is not what its modifiers ask for.
fn expects(what: &str, such_as: &str) -> Fault {
    Fault::from(format!("expects {what}")).hint(Some(format!("write one such as {such_as}")))
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
        Value::Other(node) => node.written(),
    }
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Other(node) => Number::of(node),
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
    let whole = !open_start && !open_end;
    let pattern = match value {
        Value::Other(Node::Null) => return Test::Null,
        Value::Other(Node::Bool(b)) if whole => return Test::Bool(*b),
        Value::Other(node) => match Number::of(node).filter(|_| whole) {
            Some(number) => return Test::Number(number),
            None => Pattern::literal(&node.written().unwrap_or_default()),
        },
        Value::Pattern(pattern) => pattern.clone(),
        Value::Raw(text) => Pattern::literal(text),
        Value::Bytes(bytes) => Pattern::literal(&of_bytes(bytes)),
    };
    let pattern = pattern.open(open_start, open_end);
    Test::Text { pattern: if cased { pattern } else { pattern.map(|t| fold(t).into_owned()) }, cased }
}

/// Bits before an IPv4 address within an IPv6 one (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// A network or an address, an IPv4 one within IPv6 as what it is: so events' addresses are read.
fn network(text: &str) -> Result<IpNet, Fault> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let hint = || Some("write one such as 192.0.2.0/24 or 2001:db8::/32".to_owned());
    let net = parsed.map_err(|_| Fault::new(&[], format!("{text:?} is no network")).hint(hint()))?.trunc();
    let mapped = match net {
        IpNet::V6(net) => net.prefix_len().checked_sub(MAPPED_BITS).zip(net.addr().to_ipv4_mapped()),
        IpNet::V4(_) => None,
    };
    Ok(mapped.and_then(|(length, address)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4))
}

const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// Every dash or slash that begins a word stands for each kind of dash and slash, all of them together.
fn windash(value: Value) -> Result<Vec<Value>, String> {
    let pattern = match value {
        Value::Pattern(pattern) => pattern,
        // `-1` without quotes.
        Value::Other(node @ (Node::Int(..) | Node::Float(..))) => Pattern::literal(&node.written().unwrap_or_default()),
        other => return Ok(vec![other]),
    };
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

/// The text in UTF-16, each byte of it a character here; wildcards stay.
fn utf16(value: Value, big: bool, mark: bool) -> Result<Vec<Value>, String> {
    let bytes = |text: &str, mark: bool| -> Vec<u8> {
        let units = mark.then_some(0xfeffu16).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    match value {
        Value::Pattern(pattern) if pattern.as_literal().is_none() => {
            let pattern = pattern.map(|text| of_bytes(&bytes(text, false)));
            Ok(vec![Value::Pattern(if mark { Pattern::literal(&of_bytes(&bytes("", true))).then(&pattern) } else { pattern })])
        }
        other => {
            let text = String::from_utf8(bytes_of(other)?).map_err(|_| "a value is encoded twice".to_owned())?;
            Ok(vec![Value::Bytes(bytes(&text, mark))])
        }
    }
}

/// Bytes as text, a character each.
fn of_bytes(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
