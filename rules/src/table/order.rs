//! Slots in the order in which they were touched, the oldest first.
//!
//! A list through the slots would say the same, but each touch would wait for its two neighbours, which lie anywhere. Here a touch writes one
//! number at the end and one where it stood, and waits for neither: whoever is touched again leaves its earlier place empty. A slot knows its
//! place by its *turn*, counted from the first place that there ever was.

use std::collections::VecDeque;

use super::NONE;

/// Places for each slot, and a few more, beyond which the empty ones are taken out.
const PLACES_MAX: usize = 3;
const PLACES_MIN: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The first and the last place are never empty.
    places: VecDeque<u32>,
    /// The turn of the first place.
    first: u64,
}

impl Order {
    /// About how many bytes a slot takes, with its share of the empty places.
    pub(crate) const BYTES_EACH: usize = 2 * size_of::<u32>();

    /// The slot that was touched last.
    #[inline]
    pub(crate) fn newest(&self) -> Option<u32> {
        self.places.back().copied()
    }

    /// The slot that was touched before all others.
    #[inline]
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.places.front().copied()
    }

    /// Something that hangs on what [`Order::leave`] writes over, to read it ahead.
    #[inline]
    pub(crate) fn read(&self, turn: u64) -> u64 {
        self.places[(turn - self.first) as usize].into()
    }

    /// All of them, the oldest first.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.places.iter().copied().filter(|slot| *slot != NONE)
    }

    /// Bytes that it holds.
    pub(crate) fn byte_len(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
    }

    /// The slot of that turn leaves its place.
    #[inline]
    pub(crate) fn leave(&mut self, turn: u64) {
        let at = (turn - self.first) as usize;
        self.places[at] = NONE;
        while self.places.front() == Some(&NONE) {
            self.places.pop_front();
            self.first += 1;
        }
        while self.places.back() == Some(&NONE) {
            self.places.pop_back();
        }
    }

    /// Puts a slot that has no place at the end, and gives its turn. `len` is how many slots there are, and `moved` is told the others' new
    /// turns where they get any.
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, len: usize, moved: impl FnMut(u32, u64)) -> u64 {
        if self.places.len() >= PLACES_MAX * len + PLACES_MIN {
            self.close_up(moved);
        }
        self.places.push_back(slot);
        self.first + self.places.len() as u64 - 1
    }

    /// Takes the empty places out.
    fn close_up(&mut self, mut moved: impl FnMut(u32, u64)) {
        let mut turn = self.first;
        self.places.retain(|slot| {
            let is_taken = *slot != NONE;
            if is_taken {
                moved(*slot, turn);
                turn += 1;
            }
            is_taken
        });
    }
}
