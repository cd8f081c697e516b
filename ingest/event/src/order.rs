//! Cells into the order of their fields: a chain of cells for each field, the fields by a bit for each. Records of one kind have their
//! fields in one order, so how that was put right is remembered.

use crate::FieldId;
use crate::places::Places;

/// Cells of a record whose order is remembered, at most.
const KNOWN_CELLS_MAX: usize = 128;
/// Orders that are remembered: the one before gives way where two have one place.
const KNOWN: usize = 1024;
/// Cells of all remembered orders; beyond, all are forgotten.
const KNOWN_STEPS_MAX: usize = 1 << 15;

/// The memory in which the cells of a record are sorted.
#[derive(Debug)]
pub(crate) struct Orders<T> {
    /// The first cell of each field.
    fields: Places,
    /// The last cell so far of the field whose first cell it is; then of each cell the next one of its field, or itself.
    last: Vec<u16>,
    next: Vec<u16>,
    sorted: Vec<T>,
    known: Vec<Known>,
    steps: Vec<Step>,
}

/// An order that was seen: its steps.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    hash: u64,
    start: u32,
    len: u32,
}

/// The field that the `nth` cell had, and which cell is the `nth` when they are sorted.
#[derive(Clone, Copy, Debug)]
struct Step {
    field: FieldId,
    from: u16,
}

impl<T> Default for Orders<T> {
    fn default() -> Orders<T> {
        Orders {
            fields: Places::default(),
            last: Vec::new(),
            next: Vec::new(),
            sorted: Vec::new(),
            known: Vec::new(),
            steps: Vec::new(),
        }
    }
}

impl<T: Copy> Orders<T> {
    /// Sorts the cells of a record by their fields, cells of one field in their order.
    pub(crate) fn sort(&mut self, cells: &mut [T], field: impl Fn(&T) -> FieldId) {
        let hash = kind(cells, &field);
        let place = (hash >> 32) as usize % KNOWN;
        let known = self.known.get(place).copied().filter(|known| known.hash == hash && known.len as usize == cells.len());
        let is_remembered = known.is_some_and(|known| self.sort_as(known, cells, &field));
        // Decoders that know their fields beforehand write them in order.
        if !is_remembered && !cells.is_sorted_by_key(|cell| field(cell).index()) {
            self.learn(cells, field, place, hash);
        }
    }

    /// Sorts as is remembered. False, and nothing done, where the fields are others.
    fn sort_as(&mut self, known: Known, cells: &mut [T], field: impl Fn(&T) -> FieldId) -> bool {
        let steps = &self.steps[known.start as usize..][..cells.len()];
        if self.sorted.len() < cells.len() {
            self.sorted.resize(cells.len(), cells[0]);
        }
        let sorted = &mut self.sorted[..cells.len()];
        for ((to, step), cell) in sorted.iter_mut().zip(steps).zip(&*cells) {
            if step.field != field(cell) {
                return false;
            }
            *to = cells[usize::from(step.from)];
        }
        cells.copy_from_slice(sorted);
        true
    }

    /// Sorts, and remembers how.
    fn learn(&mut self, cells: &mut [T], field: impl Fn(&T) -> FieldId, place: usize, hash: u64) {
        debug_assert!(cells.len() <= usize::from(u16::MAX), "limits::CELLS_PER_EVENT_MAX");
        let Orders { fields, last, next, sorted, known, steps } = self;
        last.resize(cells.len(), 0);
        next.clear();
        for (cell, at) in cells.iter().zip(0..) {
            let place = field(cell).index();
            next.push(at);
            if fields.first(place, at) {
                last[usize::from(at)] = at;
            } else {
                let first = usize::from(fields.who(place));
                next[usize::from(std::mem::replace(&mut last[first], at))] = at;
            }
        }
        if known.is_empty() || steps.len() > KNOWN_STEPS_MAX {
            known.clear();
            known.resize(KNOWN, Known::default());
            steps.clear();
        }
        let start = steps.len();
        fields.drain(|_, first| {
            let mut at = first;
            loop {
                let field = field(&cells[steps.len() - start]);
                steps.push(Step { field, from: at });
                let after = next[usize::from(at)];
                if after == at {
                    break;
                }
                at = after;
            }
        });
        sorted.clear();
        sorted.extend(steps[start..].iter().map(|step| cells[usize::from(step.from)]));
        cells.copy_from_slice(sorted);
        if cells.len() <= KNOWN_CELLS_MAX {
            known[place] = Known { hash, start: start as u32, len: cells.len() as u32 };
        } else {
            steps.truncate(start);
        }
    }
}

/// A hash of the number of cells and of the fields of a few, which tell most kinds of record apart; whether it is the kind is compared.
fn kind<T>(cells: &[T], field: impl Fn(&T) -> FieldId) -> u64 {
    const SAMPLES: usize = 8;
    let sample = |hash: u64, nth| hash.rotate_left(11) ^ field(&cells[nth * cells.len() / SAMPLES]).index() as u64;
    let start = cells.len() as u64;
    let hash = if cells.is_empty() { start } else { (0..SAMPLES).fold(start, sample) };
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_sorted_as_a_stable_sort_does_it() {
        let names: Vec<FieldId> = (0..40).map(|n| FieldId::intern(&format!("order.{n}")).expect("room")).collect();
        let mut orders = Orders::default();
        let mut state = 1u32;
        for round in 0..4000 {
            let cells = round % 50 + if round % 500 == 0 { 1000 } else { 0 };
            let mut cells: Vec<(FieldId, usize)> = (0..cells)
                .map(|at| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (names[(state >> 16) as usize % [4, 40][round % 2]], at)
                })
                .collect();
            let mut expected = cells.clone();
            expected.sort_by_key(|cell| cell.0);
            orders.sort(&mut cells, |cell| cell.0);
            assert_eq!(cells, expected);
        }
    }
}
