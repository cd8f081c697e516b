//! Line templates: literals, captures, optional parts and alternatives, matched from left to right.
//!
//! Matching never goes back over a capture: a capture ends at the first (or, if it says so, the last) place where something that may
//! follow it stands, and a group takes the first of its choices that fits. Only a `last` capture tries a few of the last places, so that what
//! follows may be told by its form (`{user.name:last} {source.ip:ip} port`). So a template costs a fixed number of looks at the text for
//! each of its parts, whatever the text is.

use std::cell::Cell;

use memchr::{memchr, memrchr};

use super::target::{Extent, Target, TimeForm};
use crate::decode::grams::{self, Ways};
use crate::decode::stamp::{self, Stamp};

/// A compiled template.
#[derive(Debug)]
pub(super) struct Template {
    ops: Vec<Op>,
    pub(super) captures: Vec<Vec<Target>>,
}

#[derive(Debug)]
enum Op {
    Literal(Box<str>),
    /// Any number of blanks, also none.
    Blanks,
    Capture {
        index: u16,
        extent: Extent,
        follow: Follow,
    },
    /// The first choice that fits; none of them where the group is optional.
    Group {
        choices: Vec<Vec<Op>>,
        optional: bool,
    },
}

/// What may stand after a capture.
#[derive(Clone, Debug, Default, PartialEq)]
struct Follow {
    literals: Vec<Literal>,
    /// Whether the text may end there.
    end: bool,
    /// What follows is told by its own form (a number, an address): a word before it ends at a blank.
    own: bool,
}

/// A text that is searched for by its rarest byte: most begin with a blank, of which a line has dozens.
#[derive(Clone, Debug, PartialEq)]
struct Literal {
    text: Box<str>,
    /// Where that byte stands.
    rare: usize,
}

/// Where a capture lies in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) capture: u16,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The time that a record's text begins with and how long it is, for one record: hundreds of templates ask for it.
#[derive(Debug, Default)]
pub(in crate::decode) struct FirstTime {
    /// Where the text begins and how long it is.
    of: Cell<(usize, usize)>,
    found: Cell<Option<(Stamp, usize)>>,
}

impl FirstTime {
    fn length(&self, text: &str) -> Option<usize> {
        let of = (text.as_ptr() as usize, text.len());
        if self.of.replace(of) != of {
            let found = stamp::any(text).map(|(stamp, rest)| (stamp, text.len() - rest.len()));
            self.found.set(found.filter(|(_, length)| *length > 0));
        }
        self.found.get().map(|(_, length)| length)
    }

    /// The time that `text` says, where that is the one which was found before.
    pub(super) fn stamp(&self, text: &str) -> Option<Stamp> {
        let (stamp, length) = self.found.get()?;
        // Three digits behind a colon are a fraction only where a blank follows, which stands no longer in `text`.
        let is_whole = !matches!(text.as_bytes(), [.., b':', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9']);
        ((text.as_ptr() as usize, text.len()) == (self.of.get().0, length) && is_whole).then_some(stamp)
    }

    /// What stands behind the time that `text` begins with; nothing where it begins with none.
    pub(in crate::decode) fn behind<'t>(&self, text: &'t str) -> &'t [u8] {
        self.length(text).map_or(&[], |length| &text.as_bytes()[length..])
    }
}

/// What stands behind the time that texts which fit a template begin with.
#[derive(Debug)]
pub(super) struct BehindTime {
    /// The byte directly behind it, and of which kinds the next one may be.
    pub(super) first: u8,
    pub(super) second: u64,
    /// Bytes that texts may begin with which begin with no time.
    pub(super) without: [bool; 256],
}

/// Captures of one template at most: more is a mistake in the description.
const CAPTURES_MAX: usize = 128;
/// How many of the last places a `last` capture tries.
const LAST_TRIES: usize = 8;
/// `last` captures of one template at most: their tries multiply.
const LASTS_MAX: usize = 2;
/// Groups within each other at most.
const DEPTH_MAX: usize = 8;

/// What a template is made of, before it is known what follows what.
#[derive(Debug)]
enum Part {
    Literal(String),
    Blanks,
    Capture(u16, Extent),
    Group(Vec<Vec<Part>>, bool),
}

impl Template {
    /// Compiles `text`; `capture` makes the targets and the extent of what stands between braces.
    pub(super) fn compile(
        text: &str,
        mut capture: impl FnMut(&str) -> Result<(Vec<Target>, Extent), String>,
    ) -> Result<Template, String> {
        let mut parser = Parser { text, at: 0, lasts: 0, captures: Vec::new(), capture: &mut capture };
        let parts = parser.sequence(0)?;
        if parser.at != text.len() {
            return Err(format!("nothing is open where {:?} closes", &text[parser.at..]));
        }
        let captures = parser.captures;
        let ops = link(parts, &Follow { end: true, ..Follow::default() })?;
        Ok(Template { ops, captures })
    }

    /// What texts that fit hold.
    pub(super) fn ways(&self) -> Ways {
        let mut ways = Ways::new();
        hold(&self.ops, &mut ways);
        ways
    }

    /// What stands behind the time that texts which fit begin with, where it is known.
    pub(super) fn behind_time(&self) -> Option<BehindTime> {
        let (beginning, optional, after) = match &self.ops[..] {
            [Op::Group { choices, optional }, after @ ..] if choices.len() == 1 => (&choices[0][..], *optional, after),
            ops => (ops.get(..2)?, false, &ops[2..]),
        };
        let [Op::Capture { extent: Extent::Time(TimeForm::Any), .. }, Op::Literal(literal)] = beginning else { return None };
        let mut without = [false; 256];
        if optional && first_bytes(after, &mut without) {
            return None;
        }
        let mut second = [false; 256];
        match literal.as_bytes() {
            [_, byte, ..] => second[usize::from(*byte)] = true,
            _ if first_bytes(after, &mut second) => second = [true; 256],
            _ => {}
        }
        Some(BehindTime { first: literal.as_bytes()[0], second: grams::kinds(&second), without })
    }

    /// The captures of `text`, where it is wholly what the template says.
    pub(super) fn matches(&self, text: &str, first: &FirstTime, hits: &mut Vec<Hit>) -> bool {
        hits.clear();
        run(&self.ops, text, first, 0, true, hits).is_some()
    }

    /// Which bytes a text that fits may begin with.
    pub(super) fn first_bytes(&self) -> [bool; 256] {
        let mut set = [false; 256];
        if first_bytes(&self.ops, &mut set) {
            set = [true; 256];
        }
        set
    }

    /// Whether the record's own time stands first: such a text looks as if it began with a syslog header.
    pub(super) fn is_stamped(&self) -> bool {
        fn stamped(ops: &[Op]) -> bool {
            match ops.first() {
                Some(Op::Capture { extent, .. }) => matches!(extent, Extent::Time(_)),
                Some(Op::Group { choices, .. }) => choices.iter().any(|choice| stamped(choice)),
                _ => false,
            }
        }
        stamped(&self.ops)
    }
}

/// Adds what `ops` hold to `ways`.
fn hold(ops: &[Op], ways: &mut Ways) {
    for op in ops {
        match op {
            Op::Literal(literal) => ways.literal(literal),
            Op::Capture { extent: Extent::OneOf(texts), .. } => ways.fork(texts, |text, ways| ways.literal(text)),
            Op::Group { choices, optional: false } => ways.fork(choices, |choice, ways| hold(choice, ways)),
            _ => ways.gap(),
        }
    }
}

/// Adds the bytes that `ops` may begin with; true where they may be empty.
fn first_bytes(ops: &[Op], set: &mut [bool; 256]) -> bool {
    for op in ops {
        match op {
            Op::Literal(text) => {
                set[usize::from(text.as_bytes()[0])] = true;
                return false;
            }
            Op::Blanks => set[usize::from(b' ')] = true,
            Op::Capture { extent, .. } => {
                if extent.first_bytes(set) {
                    *set = [true; 256];
                }
                return false;
            }
            Op::Group { choices, optional } => {
                let mut open = *optional;
                for choice in choices {
                    open |= first_bytes(choice, set);
                }
                if !open {
                    return false;
                }
            }
        }
    }
    true
}

/// Matches `ops` from `at` on, to the end of the text where it must be `whole`; where it ended.
fn run(ops: &[Op], text: &str, first: &FirstTime, mut at: usize, whole: bool, hits: &mut Vec<Hit>) -> Option<usize> {
    for (nth, op) in ops.iter().enumerate() {
        match op {
            Op::Literal(literal) => {
                if !begins(&text.as_bytes()[at..], literal.as_bytes()) {
                    return None;
                }
                at += literal.len();
            }
            Op::Blanks => at += text[at..].bytes().take_while(|b| matches!(b, b' ' | b'\t')).count(),
            Op::Capture { index, extent, follow } => {
                let rest = &text[at..];
                let length = match extent {
                    Extent::Text => follow.find(rest)?,
                    Extent::Word => {
                        let end = rest.bytes().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(rest.len());
                        follow.find_within(rest, end).filter(|length| *length > 0)?
                    }
                    Extent::Last => {
                        let mark = hits.len();
                        let mut limit = rest.len();
                        for _ in 0..LAST_TRIES {
                            let length = follow.find_last(rest, limit)?;
                            hits.push(Hit { capture: *index, start: at as u32, end: (at + length) as u32 });
                            if let Some(end) = run(&ops[nth + 1..], text, first, at + length, whole, hits) {
                                return Some(end);
                            }
                            hits.truncate(mark);
                            limit = length.checked_sub(1)?;
                        }
                        return None;
                    }
                    Extent::Time(TimeForm::Any) if at == 0 => first.length(text)?,
                    own => own.length(rest)?,
                };
                hits.push(Hit { capture: *index, start: at as u32, end: (at + length) as u32 });
                at += length;
            }
            Op::Group { choices, optional } => {
                let mark = hits.len();
                let found = choices.iter().find_map(|choice| {
                    hits.truncate(mark);
                    run(choice, text, first, at, false, hits)
                });
                match found {
                    Some(after) => at = after,
                    None if *optional => hits.truncate(mark),
                    None => return None,
                }
            }
        }
    }
    (!whole || at == text.len()).then_some(at)
}

/// Whether `text` begins with `literal`: most are one byte, which needs no call.
#[inline]
fn begins(text: &[u8], literal: &[u8]) -> bool {
    match literal {
        [byte] => text.first() == Some(byte),
        _ => text.starts_with(literal),
    }
}

impl Literal {
    /// `text` is not empty.
    fn new(text: &str) -> Literal {
        let how_often = |byte: u8| match byte {
            b' ' => 2,
            b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b'0'..=b'9' => 1,
            _ => 0,
        };
        let rare = (0..text.len()).min_by_key(|at| how_often(text.as_bytes()[*at])).unwrap_or(0);
        Literal { text: text.into(), rare }
    }

    /// The first place in `text`. Literals are a few bytes and their texts a line: preparing a search for them costs more than the search.
    fn find(&self, text: &[u8]) -> Option<usize> {
        let (literal, mut from) = (self.text.as_bytes(), self.rare);
        loop {
            let at = from + memchr(literal[self.rare], text.get(from..)?)?;
            if literal.len() == 1 || text[at - self.rare..].starts_with(literal) {
                return Some(at - self.rare);
            }
            from = at + 1;
        }
    }

    /// The last place in `text`.
    fn find_last(&self, text: &[u8]) -> Option<usize> {
        let literal = self.text.as_bytes();
        let mut end = text.len().checked_sub(literal.len() - 1 - self.rare)?;
        loop {
            let at = memrchr(literal[self.rare], &text[..end])?;
            let start = at.checked_sub(self.rare)?;
            if text[start..].starts_with(literal) {
                return Some(start);
            }
            end = at;
        }
    }
}

impl Follow {
    fn find(&self, text: &str) -> Option<usize> {
        match &self.literals[..] {
            [] => self.end.then_some(text.len()),
            [one] => one.find(text.as_bytes()).or(self.end.then_some(text.len())),
            more => {
                let first = more.iter().fold(None, |first: Option<usize>, one| {
                    // Only a place before the first one so far counts.
                    let window = first.map_or(text.len(), |first| text.len().min((first + one.text.len()).saturating_sub(1)));
                    one.find(&text.as_bytes()[..window]).or(first)
                });
                first.or(self.end.then_some(text.len()))
            }
        }
    }

    /// The last place that begins at `limit` or before.
    fn find_last(&self, text: &str, limit: usize) -> Option<usize> {
        if self.end && limit == text.len() && self.literals.is_empty() {
            return Some(limit);
        }
        let window = |one: &Literal| &text.as_bytes()[..text.len().min(limit + one.text.len())];
        let last = self.literals.iter().filter_map(|one| one.find_last(window(one))).max();
        last.or((self.end && limit == text.len()).then_some(limit))
    }

    /// The first place up to `end`, where a word ends: the first blank.
    fn find_within(&self, text: &str, end: usize) -> Option<usize> {
        let found = self.literals.iter().filter_map(|one| {
            if one.text.starts_with([' ', '\t']) {
                return begins(&text.as_bytes()[end..], one.text.as_bytes()).then_some(end);
            }
            let window = text.len().min(end + one.text.len());
            one.find(&text.as_bytes()[..window])
        });
        found.min().or((self.own || self.end && end == text.len()).then_some(end))
    }

    fn add(&mut self, other: &Follow) {
        self.literals.extend(other.literals.iter().cloned());
        self.end |= other.end;
        self.own |= other.own;
    }
}

/// What `parts` may begin with, where `after` comes behind them. None where it cannot be told.
fn beginning(parts: &[Part], after: &Follow) -> Option<Follow> {
    let mut found = Follow::default();
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(text) => {
                found.literals.push(Literal::new(text));
                return Some(found);
            }
            Part::Blanks => {
                found.literals.push(Literal::new(" "));
            }
            Part::Capture(..) => return None,
            Part::Group(choices, optional) => {
                let behind = || beginning(&parts[at + 1..], after);
                for choice in choices {
                    let nothing = Follow { end: true, ..Follow::default() };
                    let mut first = beginning(choice, &nothing)?;
                    if std::mem::take(&mut first.end) {
                        found.add(&behind()?); // A choice that may be empty.
                    }
                    found.add(&first);
                }
                if *optional {
                    found.add(&behind()?);
                }
                return Some(found);
            }
        }
    }
    found.add(after);
    Some(found)
}

/// Gives each capture what may follow it.
fn link(parts: Vec<Part>, after: &Follow) -> Result<Vec<Op>, String> {
    let mut ops = Vec::with_capacity(parts.len());
    let mut rest = parts;
    while !rest.is_empty() {
        let part = rest.remove(0);
        let follow = beginning(&rest, after);
        ops.push(match part {
            Part::Literal(text) => Op::Literal(text.into()),
            Part::Blanks => Op::Blanks,
            Part::Capture(index, extent) => {
                let follow = match follow {
                    Some(follow) => follow,
                    None if extent.is_open() => {
                        return Err("a capture that may be any text needs a literal or the end after it".to_owned());
                    }
                    None => Follow { own: true, ..Follow::default() },
                };
                Op::Capture { index, extent, follow }
            }
            Part::Group(choices, optional) => {
                // A capture that ends a choice within needs it; where it cannot be told, `link` says so for open captures only.
                let follow = follow.unwrap_or(Follow { own: true, ..Follow::default() });
                let choices = choices.into_iter().map(|choice| link(choice, &follow)).collect::<Result<_, _>>()?;
                Op::Group { choices, optional }
            }
        });
    }
    Ok(ops)
}

struct Parser<'a, F> {
    text: &'a str,
    at: usize,
    lasts: usize,
    captures: Vec<Vec<Target>>,
    capture: &'a mut F,
}

impl<F: FnMut(&str) -> Result<(Vec<Target>, Extent), String>> Parser<'_, F> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn eat(&mut self, literal: &str) -> bool {
        let found = self.rest().starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    /// Parts up to the end, or to what closes or divides the group.
    fn sequence(&mut self, depth: usize) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let flush = |literal: &mut String, parts: &mut Vec<Part>| {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(literal)));
            }
        };
        while let Some(next) = self.rest().chars().next() {
            if depth > 0 && (next == '|' || self.rest().starts_with("]]") || self.rest().starts_with("))")) {
                break;
            }
            if self.eat("{ }") {
                flush(&mut literal, &mut parts);
                parts.push(Part::Blanks);
            } else if self.eat("{") {
                flush(&mut literal, &mut parts);
                let end = self.rest().find('}').ok_or("a brace is not closed")?;
                let (targets, extent) = (self.capture)(&self.text[self.at..self.at + end])?;
                self.at += end + 1;
                self.lasts += usize::from(extent == Extent::Last);
                if self.lasts > LASTS_MAX {
                    return Err(format!("more than {LASTS_MAX} captures with `last`"));
                }
                if self.captures.len() >= CAPTURES_MAX {
                    return Err(format!("more than {CAPTURES_MAX} captures"));
                }
                parts.push(Part::Capture(self.captures.len() as u16, extent));
                self.captures.push(targets);
            } else if self.rest().starts_with("[[") || self.rest().starts_with("((") {
                flush(&mut literal, &mut parts);
                let optional = self.rest().starts_with("[[");
                self.at += 2;
                if depth >= DEPTH_MAX {
                    return Err(format!("groups within each other more than {DEPTH_MAX} deep"));
                }
                let mut choices = vec![self.sequence(depth + 1)?];
                while self.eat("|") {
                    choices.push(self.sequence(depth + 1)?);
                }
                let close = if optional { "]]" } else { "))" };
                if !self.eat(close) {
                    return Err(format!("a group is not closed by {close}"));
                }
                parts.push(Part::Group(choices, optional));
            } else {
                if next == '\\' {
                    self.at += 1;
                }
                let next = self.rest().chars().next().ok_or("nothing stands after the last backslash")?;
                self.at += next.len_utf8();
                literal.push(next);
            }
        }
        flush(&mut literal, &mut parts);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Literal;

    proptest! {
        #[test]
        fn literals_are_found_where_they_stand(text in "[ aebx]{0,24}", literal in "[ aebx]{1,4}") {
            let one = Literal::new(&literal);
            prop_assert_eq!(one.find(text.as_bytes()), text.find(&literal));
            prop_assert_eq!(one.find_last(text.as_bytes()), text.rfind(&literal));
        }
    }
}
