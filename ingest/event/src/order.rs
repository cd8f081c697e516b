//! Cells into the order of their fields. Records of one kind have their fields in one order, so the way to sort them is remembered.

use crate::FieldId;

/// Ways remembered; a record's fields say which one is looked at.
const WAYS: usize = 256;
/// Cells of the longest record whose way is remembered; longer ones are rare and sorted each time.
const CELLS_MAX: usize = 255;

/// The fields of a record as they came, and which of them stands where once they are sorted.
#[derive(Clone, Debug, Default)]
struct Way {
    fields: Vec<FieldId>,
    from: Vec<u8>,
}

/// Remembers how records are sorted.
#[derive(Debug)]
pub(crate) struct Orders<T> {
    ways: Box<[Way]>,
    sorted: Vec<T>,
}

impl<T> Default for Orders<T> {
    fn default() -> Orders<T> {
        Orders { ways: Box::default(), sorted: Vec::new() }
    }
}

impl<T: Copy> Orders<T> {
    /// Sorts the cells of a record by their fields, cells of one field in their order.
    pub(crate) fn sort(&mut self, cells: &mut [T], field: impl Fn(&T) -> FieldId) {
        if cells.is_sorted_by_key(&field) {
            return; // Decoders that know their fields beforehand write them in order.
        }
        if cells.len() > CELLS_MAX {
            return cells.sort_by_key(field);
        }
        if self.ways.is_empty() {
            self.ways = vec![Way::default(); WAYS].into();
        }
        // Sums that do not wait for each other; a collision costs a sort.
        let weighed = cells.iter().zip(0u32..).map(|(cell, at)| (field(cell).index() as u32 + 1) * (2 * at + 1));
        let sum = weighed.fold(0u32, u32::wrapping_add);
        let hash = sum.wrapping_mul(0x9e37_79b1);
        let way = &mut self.ways[(hash >> 24) as usize % WAYS];
        if way.fields.len() != cells.len() || !way.fields.iter().zip(cells.iter()).all(|(known, cell)| *known == field(cell)) {
            // In the memory of the way that stood here: records whose sums collide cost no allocation.
            way.fields.clear();
            way.fields.extend(cells.iter().map(&field));
            way.from.clear();
            way.from.extend((0..cells.len()).map(|at| at as u8));
            way.from.sort_unstable_by_key(|at| (field(&cells[usize::from(*at)]), *at));
        }
        self.sorted.clear();
        self.sorted.extend(way.from.iter().map(|at| cells[usize::from(*at)]));
        cells.copy_from_slice(&self.sorted);
    }
}

const _: () = assert!(CELLS_MAX <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_sorted_as_a_stable_sort_does_it() {
        let names: Vec<FieldId> = ["order.a", "order.b", "order.c", "order.d"].into_iter().map(FieldId::known).collect();
        let mut orders = Orders::default();
        let mut state = 1u32;
        for round in 0..4000 {
            let cells = round % 9 + if round % 500 == 0 { CELLS_MAX } else { 0 };
            let mut cells: Vec<(FieldId, usize)> = (0..cells)
                .map(|at| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (names[(state >> 30) as usize], at)
                })
                .collect();
            let mut expected = cells.clone();
            expected.sort_by_key(|cell| cell.0);
            orders.sort(&mut cells, |cell| cell.0);
            assert_eq!(cells, expected);
        }
    }
}
