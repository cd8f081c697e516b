//! Observations that the behaviours watch next, some of them together: each behaviour takes all of those that concern it before the next one
//! does, since the code of all of them is more than the nearest cache of a processor holds. Nobody sees it: what a behaviour is told of an
//! observation is what was known in the order of time ([`super::view::View`]), and what is found is put in that order again.

use super::Found;
use super::observe::Observation;

/// See the module.
#[derive(Default)]
pub(super) struct Due {
    order: Vec<At>,
    /// Those that have waited, and the texts of them all.
    waited: Vec<Observation>,
    text: String,
}

/// Where an observation lies: in the slice that is taken just now, or among those that have waited.
#[derive(Clone, Copy)]
enum At {
    Slice(usize),
    Waited(usize),
}

impl Due {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Adds the nth of the slice that is taken just now.
    pub(super) fn push(&mut self, nth: usize) {
        self.order.push(At::Slice(nth));
    }

    /// Adds one that has waited, whose texts are in `text`.
    pub(super) fn push_waited(&mut self, mut o: Observation, text: &str) {
        o.move_texts(text, &mut self.text);
        self.order.push(At::Waited(self.waited.len()));
        self.waited.push(o);
    }

    /// All of them in their order, each with where its texts are; `slice` is that which is taken just now, and `text` has its texts.
    pub(super) fn iter<'d>(
        &'d self,
        slice: &'d [Observation],
        text: &'d str,
    ) -> impl Iterator<Item = (&'d Observation, &'d str)> {
        self.order.iter().map(move |at| match at {
            At::Slice(nth) => (&slice[*nth], text),
            At::Waited(nth) => (&self.waited[*nth], &*self.text),
        })
    }

    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.waited.clear();
        self.text.clear();
    }
}

/// What a rule found, and when it is told.
pub(super) struct Find {
    /// The number of the observation of those that are due.
    pub(super) nth: usize,
    /// The rule's place among the watches where that one watched the observation; none for what was found before any did.
    pub(super) watched: Option<usize>,
    /// The rule's index in the set.
    pub(super) at: usize,
    pub(super) found: Found,
}
