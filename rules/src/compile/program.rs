//! A rule's condition as a flat list of nodes, its cheap parts first, and the tests that are made only when a condition asks.

use event::{EventRef, FieldId, Value};
use hashbrown::HashMap;
use memchr::memmem::Finder;

use super::form::literals_of_regex;
use super::rarity::Rarity;
use crate::sigma::item::{Expr, Test};
use crate::sigma::pattern::{Part, fold_onto, fold_onto_bytes};
use crate::test_of::{Bound, Scratch, searched};

/// A node and all below it: the nodes from its own place up to `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    op: Op,
    end: u32,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A test on which there is a gate: it can hold only where the gate opened.
    Gated(u32),
    /// Any other test.
    Test(u32),
    All,
    Any,
    AtLeast(u32),
    Not,
}

/// What a condition asks of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// A test whose gate was tried on every value.
    Gated(u32),
    /// A test that may not have been made.
    Test(u32),
}

/// Appends the nodes of `expr`. `gated`: whether a test has a gate; `price`: what making a test costs.
pub(super) fn append(expr: &Expr<u32>, gated: &impl Fn(u32) -> bool, price: &impl Fn(u32) -> u32, nodes: &mut Vec<Node>) {
    let at = nodes.len();
    let sorted = |of: &'_ [Expr<u32>], nodes: &mut Vec<Node>| {
        let mut order: Vec<usize> = (0..of.len()).collect();
        order.sort_by_cached_key(|at| price_of(&of[*at], price));
        for part in order {
            append(&of[part], gated, price, nodes);
        }
    };
    match expr {
        Expr::Atom(test) => nodes.push(Node { op: if gated(*test) { Op::Gated(*test) } else { Op::Test(*test) }, end: 0 }),
        Expr::And(of) => {
            nodes.push(Node { op: Op::All, end: 0 });
            sorted(of, nodes);
        }
        Expr::Or(of) => {
            nodes.push(Node { op: Op::Any, end: 0 });
            sorted(of, nodes);
        }
        Expr::AtLeast(n, of) => {
            nodes.push(Node { op: Op::AtLeast(u32::try_from(*n).unwrap_or(u32::MAX)), end: 0 });
            sorted(of, nodes);
        }
        Expr::Not(inner) => {
            nodes.push(Node { op: Op::Not, end: 0 });
            append(inner, gated, price, nodes);
        }
        Expr::Named(_, inner) => return append(inner, gated, price, nodes),
    }
    nodes[at].end = nodes.len() as u32;
}

/// The tests of the condition that begins at node `at`.
pub(super) fn tests_of(nodes: &[Node], at: usize) -> impl Iterator<Item = u32> {
    nodes[at..nodes[at].end as usize].iter().filter_map(|node| match node.op {
        Op::Gated(test) | Op::Test(test) => Some(test),
        Op::All | Op::Any | Op::AtLeast(_) | Op::Not => None,
    })
}

/// Makes nodes of tests what `gated` says of each test.
pub(super) fn mark(nodes: &mut [Node], gated: impl Fn(u32) -> bool) {
    for node in nodes {
        if let Op::Gated(test) | Op::Test(test) = node.op {
            node.op = if gated(test) { Op::Gated(test) } else { Op::Test(test) };
        }
    }
}

fn price_of(expr: &Expr<u32>, price: &impl Fn(u32) -> u32) -> u32 {
    match expr {
        Expr::Atom(test) => price(*test),
        Expr::And(of) | Expr::Or(of) | Expr::AtLeast(_, of) => of.iter().map(|e| price_of(e, price)).fold(0, u32::saturating_add),
        Expr::Not(inner) | Expr::Named(_, inner) => price_of(inner, price),
    }
}

/// What making a test costs, roughly: for the order of a condition's parts.
pub(super) fn price(test: &Bound, gated: bool) -> u32 {
    if gated {
        return 1;
    }
    let one = match &test.test {
        Test::Null | Test::Exists(_) => 2,
        Test::Number(_) | Test::Bool(_) | Test::Compare(..) => 4,
        Test::Text { .. } | Test::Cidr(_) | Test::TimePart(..) => 8,
        Test::FieldRef { .. } => 32,
        Test::Regex(_) => 64,
    };
    if test.keyword { one * 16 } else { one }
}

/// Whether the condition that begins at node `at` holds.
pub(crate) fn holds(nodes: &[Node], at: usize, test: &mut impl FnMut(Ask) -> bool) -> bool {
    let Node { op, end } = nodes[at];
    let mut child = at + 1;
    match op {
        Op::Gated(number) => test(Ask::Gated(number)),
        Op::Test(number) => test(Ask::Test(number)),
        Op::Not => !holds(nodes, child, test),
        Op::All => {
            while child < end as usize {
                if !holds(nodes, child, test) {
                    return false;
                }
                child = nodes[child].end as usize;
            }
            true
        }
        Op::Any => {
            while child < end as usize {
                if holds(nodes, child, test) {
                    return true;
                }
                child = nodes[child].end as usize;
            }
            false
        }
        Op::AtLeast(n) => {
            let mut count = 0;
            while count < n && child < end as usize {
                count += u32::from(holds(nodes, child, test));
                child = nodes[child].end as usize;
            }
            count >= n
        }
    }
}

/// How a test is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum How {
    /// One value of its fields is to hold.
    OfFields,
    /// One of all values that keywords look at is to hold.
    OfAll,
    /// Otherwise: the test itself says.
    Else,
}

/// What is to be known of a test before it is looked at: most ask for fields that the event has not, or for a literal. Of many tests these
/// lie side by side, where the tests themselves are waited for one by one.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Its place among the literals, plus one; 0 where it has none.
    literals: u32,
    /// Where its fields are among all.
    fields_start: u32,
    fields_end: u32,
    how: How,
}

/// Literals of tests, ready to be searched for, by the number of the test: what a value is to contain, or one of those without
/// which an expression is not run. And the tests' fields.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    heads: Vec<Head>,
    fields: Vec<FieldId>,
    literals: Vec<Box<[Finder<'static>]>>,
}

impl Guards {
    pub(super) fn new(tests: &[Bound], rarity: &Rarity) -> Guards {
        let finder = |text: &str| Finder::new(text.as_bytes()).into_owned();
        let mut guards = Guards::default();
        let mut known: HashMap<&[FieldId], (u32, u32)> = HashMap::new();
        for bound in tests {
            let found: Option<Box<[_]>> = match &bound.test {
                Test::Text { pattern, cased: false } => match pattern.0.as_slice() {
                    [Part::Any, Part::Text(text), Part::Any] => Some([finder(text)].into()),
                    _ => None,
                },
                Test::Regex(regex) => {
                    literals_of_regex(regex.as_str(), rarity).map(|texts| texts.iter().map(|text| finder(text)).collect())
                }
                _ => None,
            };
            let literals = if found.is_some() { guards.literals.len() as u32 + 1 } else { 0 };
            guards.literals.extend(found);
            let (fields_start, fields_end) = *known.entry(&bound.fields).or_insert_with(|| {
                let start = guards.fields.len() as u32;
                guards.fields.extend(&bound.fields);
                (start, guards.fields.len() as u32)
            });
            let how = match bound.test {
                Test::Null | Test::Exists(_) | Test::FieldRef { .. } => How::Else,
                _ if bound.keyword => How::OfAll,
                _ => How::OfFields,
            };
            guards.heads.push(Head { literals, fields_start, fields_end, how });
        }
        guards
    }

    /// Whether a literal of the test stands in the text; none where the test has none.
    fn find(&self, head: Head, folded: &[u8]) -> Option<bool> {
        let at = head.literals.checked_sub(1)?;
        Some(self.literals[at as usize].iter().any(|literal| literal.find(folded).is_some()))
    }
}

/// Stands between values that are looked at together: no text has it, in lower case or not.
pub(super) const BETWEEN: u8 = 0xff;

/// Makes tests of one event, each text folded once.
#[derive(Default)]
pub(crate) struct Maker {
    folded: String,
    /// Texts of the event by where they lie and how long they are, and where in `folded` their lower case is.
    known: Vec<(usize, usize, usize)>,
    /// Where the last one was found: tests of all values go through them in order.
    last: usize,
    /// Every value's text in lower case, for tests of all of them at once; empty until one asks.
    values: Vec<u8>,
    plain: String,
    scratch: Scratch,
    /// Bytes of text looked at since this was last set.
    pub(crate) bytes: u64,
}

impl Maker {
    /// Forgets the event before.
    pub(crate) fn next_event(&mut self) {
        self.folded.clear();
        self.known.clear();
        self.last = 0;
        self.values.clear();
    }

    /// Whether the test of this number holds: as [`Bound::holds`].
    pub(crate) fn make(&mut self, number: u32, tests: &[Bound], guards: &Guards, event: EventRef<'_>) -> bool {
        let head = guards.heads[number as usize];
        let test = || &tests[number as usize];
        match head.how {
            How::OfFields => {
                let fields = &guards.fields[head.fields_start as usize..head.fields_end as usize];
                let mut values = fields.iter().flat_map(|field| event.all(*field));
                values.any(|value| self.holds(head, test(), guards, value))
            }
            How::OfAll => match &test().test {
                Test::Text { cased: false, .. } if head.literals != 0 => {
                    let values = self.values(event);
                    guards.find(head, values).unwrap_or(false)
                }
                _ => searched(event).any(|value| self.holds(head, test(), guards, value)),
            },
            How::Else => {
                self.bytes += 1;
                test().holds(event, &mut self.scratch)
            }
        }
    }

    /// Whether the test holds for one value: as [`Bound::value_holds`].
    fn holds(&mut self, head: Head, bound: &Bound, guards: &Guards, value: Value<'_>) -> bool {
        match (&bound.test, value) {
            (Test::Text { pattern, cased: false }, Value::Text(text)) => {
                let (from, to) = self.fold(text);
                let folded = &self.folded[from..to];
                guards.find(head, folded.as_bytes()).unwrap_or_else(|| pattern.matches(folded))
            }
            (Test::Regex(regex), Value::Text(text)) => {
                let (from, to) = self.fold(text);
                guards.find(head, &self.folded.as_bytes()[from..to]).unwrap_or(true) && regex.is_match(text)
            }
            _ => {
                self.bytes += 1;
                bound.value_holds(value, &mut self.scratch)
            }
        }
    }

    /// The lower case of all values that keywords look at one after the other, [`BETWEEN`] each.
    fn values(&mut self, event: EventRef<'_>) -> &[u8] {
        if self.values.is_empty() {
            for value in searched(event).filter(|value| *value != Value::Null) {
                fold_value(value, &mut self.plain, &mut self.values);
                self.values.push(BETWEEN);
            }
        }
        self.bytes += self.values.len() as u64;
        &self.values
    }

    /// Where in `folded` the text's lower case is.
    fn fold(&mut self, text: &str) -> (usize, usize) {
        self.bytes += text.len() as u64;
        let (place, length) = (text.as_ptr() as usize, text.len());
        let count = self.known.len();
        let is = |known: &(usize, usize, usize)| known.0 == place && known.1 == length;
        let at = (self.last..count).chain(0..self.last.min(count)).find(|at| is(&self.known[*at]));
        let at = at.unwrap_or_else(|| {
            self.known.push((place, length, self.folded.len()));
            fold_onto(text, &mut self.folded);
            count
        });
        self.last = at;
        let to = self.known.get(at + 1).map_or(self.folded.len(), |next| next.2);
        (self.known[at].2, to)
    }
}

/// Puts the lower case of a value's text onto the end of `out`; `text` is room for what is no text.
pub(super) fn fold_value(value: Value<'_>, text: &mut String, out: &mut Vec<u8>) {
    if let Value::Text(value) = value {
        fold_onto_bytes(value, out);
    } else {
        crate::test_of::write_text(value, text);
        fold_onto_bytes(text, out);
    }
}
