//! Documents in windows: a query is answered for [`WINDOW`] documents at a time, each window one set of bits.
//!
//! Every part of a query fills or narrows the same few cache lines, so that lists of documents, column scans and their combinations cost
//! the same wherever they stand in the query, a search can stop between any two windows, and the newest windows can go first.

use tantivy::DocId;

/// Documents of one window. 512 bytes of bits stay in the nearest cache; a column scan of that length pays for its start.
pub(crate) const WINDOW: u32 = 4096;
const WORDS: usize = WINDOW as usize / 64;

/// Which documents of a window are in.
#[derive(Clone)]
pub(crate) struct Bits(pub(crate) [u64; WORDS]);

impl Bits {
    pub(crate) fn none() -> Bits {
        Bits([0; WORDS])
    }

    /// The first `len`.
    pub(crate) fn first(len: u32) -> Bits {
        let mut bits = Bits::none();
        bits.set_range(0, len);
        bits
    }

    pub(crate) fn set(&mut self, at: u32) {
        self.0[at as usize / 64] |= 1 << (at % 64);
    }

    pub(crate) fn has(&self, at: u32) -> bool {
        self.0[at as usize / 64] >> (at % 64) & 1 == 1
    }

    pub(crate) fn clear(&mut self, at: u32) {
        self.0[at as usize / 64] &= !(1 << (at % 64));
    }

    pub(crate) fn set_range(&mut self, from: u32, to: u32) {
        for (n, word) in self.0.iter_mut().enumerate() {
            let start = n as u32 * 64;
            let (low, high) = (from.clamp(start, start + 64) - start, to.clamp(start, start + 64) - start);
            if low < high {
                *word |= (u64::MAX >> (64 - (high - low))) << low;
            }
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }

    pub(crate) fn or(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub(crate) fn and(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    pub(crate) fn without(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !b);
    }

    /// Calls `each` with every place that is in, in order.
    pub(crate) fn each(&self, mut each: impl FnMut(u32)) {
        for (n, word) in self.0.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                each(n as u32 * 64 + word.trailing_zeros());
                word &= word - 1;
            }
        }
    }

    /// Keeps the places for which `keep` says yes.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        for n in 0..WORDS {
            let mut word = self.0[n];
            while word != 0 {
                let at = n as u32 * 64 + word.trailing_zeros();
                word &= word - 1;
                if !keep(at) {
                    self.clear(at);
                }
            }
        }
    }
}

/// Documents of a whole segment, for what is put together from many lists.
pub(crate) struct SegmentBits(Vec<u64>);

impl SegmentBits {
    pub(crate) fn none(max_doc: DocId) -> SegmentBits {
        SegmentBits(vec![0; max_doc.div_ceil(WINDOW) as usize * WORDS])
    }

    pub(crate) fn set(&mut self, doc: DocId) {
        self.0[doc as usize / 64] |= 1 << (doc % 64);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    /// The bits of the window that begins at `start`.
    pub(crate) fn window(&self, start: DocId) -> Bits {
        let at = start as usize / 64;
        let mut bits = Bits::none();
        bits.0.copy_from_slice(&self.0[at..at + WORDS]);
        bits
    }

    /// The first document from `from` on.
    pub(crate) fn next(&self, from: DocId) -> Option<DocId> {
        let mut at = from as usize / 64;
        let mut word = self.0.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.0.get(at)?;
        }
        Some(at as u32 * 64 + word.trailing_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_places_agree() {
        for (from, to) in [(0, 0), (0, 1), (5, 70), (63, 64), (64, 128), (0, WINDOW), (4000, WINDOW)] {
            let mut bits = Bits::none();
            bits.set_range(from, to);
            assert_eq!(bits.count(), to - from);
            let mut places = Vec::new();
            bits.each(|at| places.push(at));
            assert_eq!(places, (from..to).collect::<Vec<_>>());
        }
    }
}
