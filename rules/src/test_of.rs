//! What one test says of one event: the plain form, which the compiled matcher must equal.

use std::net::IpAddr;

use event::{EventRef, FieldId, FormatId, Value};

use crate::sigma::item::{Atom, Expr, Number, Order, Test};
use crate::sigma::pattern::{Pattern, fold, fold_into};
use crate::written_time::part_of;

/// A test bound to the fields that it is about.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The fields that may hold the value, the rule's own name first; none for keywords.
    pub(crate) fields: Vec<FieldId>,
    /// The test.
    pub(crate) test: Test,
    /// For a field reference: the fields that it refers to.
    pub(crate) other: Vec<FieldId>,
    /// Whether any value of the event is meant.
    pub(crate) keyword: bool,
}

/// Memory that tests use, kept between them.
#[derive(Default)]
pub(crate) struct Scratch {
    text: String,
    folded: String,
}

/// An event with every value's text in lower case, its cells found by field.
pub(crate) struct Folded<'b> {
    event: EventRef<'b>,
    cells: Vec<(Value<'b>, String)>,
    /// Per field where its cells begin and end.
    places: Vec<(u32, u32)>,
}

impl<'b> Folded<'b> {
    pub(crate) fn new(event: EventRef<'b>) -> Folded<'b> {
        let mut places: Vec<(u32, u32)> = Vec::new();
        for (at, (field, _)) in (0..).zip(event.cells()) {
            if places.len() <= field.index() {
                places.resize(field.index() + 1, (0, 0));
            }
            let (start, end) = &mut places[field.index()];
            if *end == 0 {
                *start = at;
            }
            *end = at + 1;
        }
        let cells = event.cells().map(|(_, value)| (value, fold(&value.to_string()).into_owned())).collect();
        Folded { event, cells, places }
    }

    fn all(&self, field: FieldId) -> &[(Value<'b>, String)] {
        let (start, end) = self.places.get(field.index()).copied().unwrap_or((0, 0));
        &self.cells[start as usize..end as usize]
    }
}

impl Bound {
    /// Binds `atom`; `fields` gives the fields that a name means.
    pub(crate) fn new(atom: &Atom, mut fields: impl FnMut(&str) -> Vec<FieldId>) -> Bound {
        let other = match &atom.test {
            Test::FieldRef { field, .. } => fields(field),
            _ => Vec::new(),
        };
        Bound {
            fields: atom.field.as_deref().map_or_else(Vec::new, &mut fields),
            test: atom.test.clone(),
            other,
            keyword: atom.field.is_none(),
        }
    }

    /// Whether the test holds.
    pub(crate) fn holds(&self, event: EventRef<'_>, scratch: &mut Scratch) -> bool {
        match &self.test {
            Test::Null => self.fields.iter().all(|f| event.all(*f).all(|v| v == Value::Null) && !event.has_below(*f)),
            Test::Exists(expected) => self.fields.iter().any(|f| event.get(*f).is_some() || event.has_below(*f)) == *expected,
            Test::FieldRef { open_start, open_end, cased, .. } => self.refers(event, *open_start, *open_end, *cased, scratch),
            _ if self.keyword => searched(event).any(|value| self.value_holds(value, scratch)),
            _ => self.fields.iter().any(|f| event.all(*f).any(|value| self.value_holds(value, scratch))),
        }
    }

    /// Whether the test holds for an event whose texts are in lower case already.
    pub(crate) fn holds_plainly(&self, event: &Folded<'_>, scratch: &mut Scratch) -> bool {
        let mut holds = |(value, folded): &(Value<'_>, String)| match &self.test {
            Test::Text { pattern, cased: false } => *value != Value::Null && pattern.matches(folded),
            _ => self.value_holds(*value, scratch),
        };
        match &self.test {
            Test::Null | Test::Exists(_) | Test::FieldRef { .. } => self.holds(event.event, scratch),
            _ if self.keyword => event.cells.iter().enumerate().any(|(nth, cell)| is_searched(event.event, nth) && holds(cell)),
            _ => self.fields.iter().flat_map(|field| event.all(*field)).any(holds),
        }
    }

    /// Whether the test holds for one value. Not for tests of presence or of two fields.
    pub(crate) fn value_holds(&self, value: Value<'_>, scratch: &mut Scratch) -> bool {
        match &self.test {
            Test::Text { pattern, cased } => match value {
                Value::Null => false,
                Value::Text(text) => text_holds(pattern, *cased, text, &mut scratch.folded),
                other => {
                    write_text(other, &mut scratch.text);
                    text_holds(pattern, *cased, &scratch.text, &mut scratch.folded)
                }
            },
            Test::Number(wanted) => match number_of(value) {
                Some(n) => n.compare(Order::Eq, *wanted),
                None => false,
            },
            Test::Bool(wanted) => match value {
                Value::Bool(b) => b == *wanted,
                Value::Text(text) => text.eq_ignore_ascii_case(if *wanted { "true" } else { "false" }),
                _ => false,
            },
            Test::Regex(regex) => match value {
                Value::Null => false,
                Value::Text(text) => regex.is_match(text),
                other => {
                    write_text(other, &mut scratch.text);
                    regex.is_match(&scratch.text)
                }
            },
            Test::Cidr(net) => address_of(value).is_some_and(|ip| net.contains(&ip)),
            Test::Compare(order, bound) => number_of(value).is_some_and(|n| n.compare(*order, *bound)),
            Test::TimePart(part, order, bound) => {
                part_of(value, *part).is_some_and(|n| Number::Int(n.into()).compare(*order, Number::Int((*bound).into())))
            }
            Test::Null | Test::Exists(_) | Test::FieldRef { .. } => false,
        }
    }

    fn refers(&self, event: EventRef<'_>, open_start: bool, open_end: bool, cased: bool, scratch: &mut Scratch) -> bool {
        for other in self.other.iter().flat_map(|f| event.all(*f)) {
            if other == Value::Null {
                continue;
            }
            write_text(other, &mut scratch.text);
            if !cased {
                fold_into(&scratch.text, &mut scratch.folded);
                std::mem::swap(&mut scratch.text, &mut scratch.folded);
            }
            let pattern = Pattern::literal(&scratch.text).open(open_start, open_end);
            for value in self.fields.iter().flat_map(|f| event.all(*f)) {
                write_text(value, &mut scratch.text);
                let text = std::mem::take(&mut scratch.text);
                let holds = value != Value::Null && text_holds(&pattern, cased, &text, &mut scratch.folded);
                scratch.text = text;
                if holds {
                    return true;
                }
            }
        }
        false
    }
}

/// Whether keywords look at the `nth` cell: at what the record says, not at words by which a decoder classifies it; and at the values of an
/// object, not at its text, which has their names too.
#[inline]
pub(crate) fn is_searched(event: EventRef<'_>, nth: usize) -> bool {
    match event.field(nth) {
        FieldId::MESSAGE => !event.is_object(),
        field => event.format() == FormatId::UNKNOWN || !field.is_classification() || event.is_of_raw(nth),
    }
}

/// The values that keywords look at.
pub(crate) fn searched(event: EventRef<'_>) -> impl Iterator<Item = Value<'_>> {
    event.cells().enumerate().filter(move |(nth, _)| is_searched(event, *nth)).map(|(_, (_, value))| value)
}

fn text_holds(pattern: &Pattern, cased: bool, text: &str, folded: &mut String) -> bool {
    if cased {
        return pattern.matches(text);
    }
    fold_into(text, folded);
    pattern.matches(folded)
}

pub(crate) fn write_text(value: Value<'_>, out: &mut String) {
    out.clear();
    event::json::write_plain(&value, out);
}

/// The number that a value is, or that its text says.
pub(crate) fn number_of(value: Value<'_>) -> Option<Number> {
    match value {
        Value::Int(n) => Some(Number::Int(n.into())),
        Value::Uint(n) => Some(Number::Int(n.into())),
        Value::Float(n) => Some(Number::Float(n)),
        Value::Text(text) => Number::parse(text),
        _ => None,
    }
}

/// The address that a value is, or that its text says; an IPv4 address within an IPv6 one stands for itself, and which interface an address is of
/// (RFC 4007, section 11) does not matter.
pub(crate) fn address_of(value: Value<'_>) -> Option<IpAddr> {
    match value {
        Value::Ip(ip) => Some(ip.to_canonical()),
        Value::Text(text) => {
            let address = text.split_once('%').map_or(text, |(address, _)| address);
            address.trim().parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
        }
        _ => None,
    }
}

/// Evaluates a condition, each test as `test` says.
pub(crate) fn evaluate<A>(expr: &Expr<A>, test: &mut impl FnMut(&A) -> bool) -> bool {
    match expr {
        Expr::Atom(atom) => test(atom),
        Expr::And(all) => all.iter().all(|e| evaluate(e, test)),
        Expr::Or(any) => any.iter().any(|e| evaluate(e, test)),
        Expr::AtLeast(n, of) => of.iter().filter(|e| evaluate(e, test)).take(*n).count() >= *n,
        Expr::Not(inner) => !evaluate(inner, test),
        Expr::Named(_, inner) => evaluate(inner, test),
    }
}
