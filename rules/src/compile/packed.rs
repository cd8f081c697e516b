//! Few short literals, searched for in one pass over sixteen or thirty-two bytes at once (Teddy, of `aho-corasick`).
//!
//! Windows ([`super::grams`]) are looked up the more rarely the longer the literals are. A few short ones among many long ones would
//! have every window looked up, so they are searched for by themselves.

use aho_corasick::Span;
use aho_corasick::packed::{Config, MatchKind, Searcher};

use super::grams::Found;

/// Literals of one searcher: of more, too many places look as if one stood there.
pub(super) const LITERALS_MAX: usize = 64;
/// No other literal.
const NONE: u32 = u32::MAX;

/// A set of literals.
#[derive(Debug)]
pub(super) struct Packed {
    searcher: Searcher,
    literals: Box<[Literal]>,
}

#[derive(Debug)]
struct Literal {
    bytes: usize,
    /// What the caller knows it by.
    name: u32,
    /// The longest other literal that it begins with.
    shorter: u32,
}

impl Packed {
    /// At most [`LITERALS_MAX`] distinct literals, none empty, with the number that each is known by. None where the processor has no
    /// such instructions.
    pub(super) fn new(mut literals: Vec<(String, u32)>) -> Option<Packed> {
        literals.sort();
        let texts: Vec<&str> = literals.iter().map(|(text, _)| text.as_str()).collect();
        let searcher = Config::new().match_kind(MatchKind::LeftmostLongest).builder().extend(&texts).build()?;
        let mut kept: Vec<Literal> = Vec::with_capacity(literals.len());
        for (at, (text, name)) in literals.iter().enumerate() {
            let mut shorter = at.checked_sub(1).map_or(NONE, |at| at as u32);
            while shorter != NONE && !text.starts_with(texts[shorter as usize]) {
                shorter = kept[shorter as usize].shorter;
            }
            kept.push(Literal { bytes: text.len(), name: *name, shorter });
        }
        Some(Packed { searcher, literals: kept.into() })
    }

    /// Bytes of the shortest literal.
    pub(super) fn shortest(&self) -> Option<usize> {
        self.literals.iter().map(|literal| literal.bytes).min()
    }

    /// Calls `hit` with every literal that `value` contains and that was not yet found there.
    pub(super) fn find(&self, value: &[u8], found: &mut Found, hit: &mut impl FnMut(u32)) {
        let mut from = 0;
        while let Some(of) = self.searcher.find_in(value, Span::from(from..value.len())) {
            // The longest that begins there: all others that do are its beginnings.
            let mut at = of.pattern().as_u32();
            while at != NONE {
                let Literal { name, shorter, .. } = self.literals[at as usize];
                if found.is_new(name) {
                    hit(name);
                }
                at = shorter;
            }
            from = of.start() + 1;
        }
    }
}
