//! Cells into the order of their fields: a chain of cells for each field, the fields by a bit for each.

use crate::FieldId;
use crate::places::Places;

/// The memory in which the cells of a record are sorted.
#[derive(Debug)]
pub(crate) struct Orders<T> {
    /// The first cell of each field.
    fields: Places,
    /// The last cell so far of the field whose first cell it is; then of each cell the next one of its field, or itself.
    last: Vec<u16>,
    next: Vec<u16>,
    sorted: Vec<T>,
}

impl<T> Default for Orders<T> {
    fn default() -> Orders<T> {
        Orders { fields: Places::default(), last: Vec::new(), next: Vec::new(), sorted: Vec::new() }
    }
}

impl<T: Copy> Orders<T> {
    /// Sorts the cells of a record by their fields, cells of one field in their order.
    pub(crate) fn sort(&mut self, cells: &mut [T], field: impl Fn(&T) -> FieldId) {
        if cells.is_sorted_by_key(&field) {
            return; // Decoders that know their fields beforehand write them in order.
        }
        debug_assert!(cells.len() <= usize::from(u16::MAX), "limits::CELLS_PER_EVENT_MAX");
        let Orders { fields, last, next, sorted } = self;
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
        sorted.clear();
        fields.drain(|_, first| {
            let mut at = first;
            loop {
                sorted.push(cells[usize::from(at)]);
                let after = next[usize::from(at)];
                if after == at {
                    break;
                }
                at = after;
            }
        });
        cells.copy_from_slice(sorted);
    }
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
