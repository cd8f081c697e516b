//! The first hits of a search, in the order asked for.

use std::collections::BinaryHeap;

use crate::hit::{Found, Place};
use crate::search::Sort;

/// The first hits in the order asked for.
pub(crate) struct Top {
    pub(crate) size: usize,
    sort: Sort,
    /// The last of them on top.
    heap: BinaryHeap<Ranked>,
}

/// A hit, to be put in order: the last is the greatest.
pub(crate) struct Ranked(pub(crate) Found, pub(crate) Sort);

impl Ranked {
    fn place(&self) -> Place {
        self.0.0
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        let ordering = self.place().cmp(&other.place());
        if self.1 == Sort::Desc { ordering.reverse() } else { ordering }
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl Top {
    /// None yet.
    pub(crate) fn new(size: usize, sort: Sort) -> Top {
        Top { size, sort, heap: BinaryHeap::new() }
    }

    /// Whether no hit of this time can be among the first any more.
    pub(crate) fn closed_to(&self, time: i64) -> bool {
        if self.size == 0 {
            return true;
        }
        if self.heap.len() < self.size {
            return false;
        }
        let worst = self.heap.peek().map_or(time, |r| r.place().time);
        match self.sort {
            Sort::Desc => time < worst,
            Sort::Asc => time > worst,
        }
    }

    /// Those of the first `size` that come before every hit of this time, first to last.
    pub(crate) fn before(&self, time: i64, size: usize) -> Vec<Found> {
        let certain = |r: &&Ranked| match self.sort {
            Sort::Desc => r.place().time > time,
            Sort::Asc => r.place().time < time,
        };
        let mut certain: Vec<&Ranked> = self.heap.iter().filter(certain).collect();
        certain.sort_unstable();
        certain.into_iter().take(size).map(|r| r.0).collect()
    }

    pub(crate) fn add(&mut self, found: Found) {
        self.heap.push(Ranked(found, self.sort));
        if self.heap.len() > self.size {
            self.heap.pop();
        }
    }

    /// The first `size` with their cursors, and whether there are more.
    pub(crate) fn page(self, size: usize) -> (Vec<Found>, Vec<String>, bool) {
        let mut found: Vec<Found> = self.heap.into_sorted_vec().into_iter().map(|r| r.0).collect();
        let more = found.len() > size;
        found.truncate(size);
        let cursors = found.iter().map(|(place, ..)| place.to_cursor()).collect();
        (found, cursors, more)
    }
}
