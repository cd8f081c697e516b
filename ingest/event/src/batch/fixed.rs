//! Texts of the code itself, of which a batch keeps one copy for all its events.

use crate::limits::BATCH_TEXT_BYTES_MAX;

/// Places for texts; a power of two.
const PLACES: usize = 64;
/// Texts that a batch keeps once: so few that a search ends soon.
const FIXED_MAX: usize = 32;

/// Where in the batch each text begins, by where it lies in the program.
#[derive(Debug)]
pub(super) struct Fixed {
    places: [(&'static str, usize); PLACES],
    count: usize,
}

impl Default for Fixed {
    fn default() -> Fixed {
        Fixed { places: [("", 0); PLACES], count: 0 }
    }
}

impl Fixed {
    /// Where `text` begins in `arena`, to which it is appended if it is not there. None where there is no room for it.
    #[inline]
    pub(super) fn start(&mut self, text: &'static str, arena: &mut String) -> Option<usize> {
        // Texts of the program lie side by side: the upper bits do not tell them apart.
        let address = text.as_ptr() as usize;
        let mut at = (address ^ address >> 6) % PLACES;
        loop {
            let (known, start) = self.places[at];
            if std::ptr::eq(known, text) {
                return Some(start);
            }
            if known.is_empty() {
                return self.append(text, at, arena);
            }
            at = (at + 1) % PLACES;
        }
    }

    #[cold]
    fn append(&mut self, text: &'static str, at: usize, arena: &mut String) -> Option<usize> {
        let start = arena.len();
        if start + text.len() > BATCH_TEXT_BYTES_MAX {
            return None;
        }
        arena.push_str(text);
        if self.count < FIXED_MAX {
            self.places[at] = (text, start);
            self.count += 1;
        }
        Some(start)
    }

    /// Forgets all: the next batch has none.
    pub(super) fn clear(&mut self) {
        if self.count > 0 {
            *self = Fixed::default();
        }
    }
}
