//! Names to small numbers, once a process: bounded, append-only, the same number for the same name.
//!
//! The numbers depend on the order in which names were first seen, so nothing observable may depend on them: whoever shows or
//! sorts something uses the names.

use std::collections::{HashMap, HashSet};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bounded table of names. Names live as long as the process: the bound is what keeps them from growing.
pub struct Interner {
    table: RwLock<Table>,
    /// A bit for each name that has others below it. Read without the lock: it is asked for events, and of few names.
    above: Vec<AtomicU64>,
    names_max: usize,
    name_bytes_max: usize,
    refused: AtomicU64,
}

struct Table {
    ids: HashMap<&'static str, u16>,
    names: Vec<&'static str>,
    /// What names have before each of their dots.
    parents: HashSet<&'static str>,
}

impl Interner {
    /// A table that holds `fixed` under the numbers 0, 1, 2 ... and room for names up to `names_max` in all.
    ///
    /// # Panics
    /// Where `fixed` repeats a name: the caller's constants would disagree with the table.
    pub fn new(fixed: &[&'static str], names_max: usize, name_bytes_max: usize) -> Interner {
        assert!(fixed.len() <= names_max && names_max <= usize::from(u16::MAX));
        let table = Table { ids: HashMap::with_capacity(fixed.len() * 2), names: Vec::new(), parents: HashSet::new() };
        let above = (0..names_max.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let interner = Interner { table: RwLock::new(table), above, names_max, name_bytes_max, refused: AtomicU64::new(0) };
        for name in fixed {
            let mut table = interner.table.write().expect("no code panics under this lock");
            assert!(!table.ids.contains_key(name), "name given twice: {name}");
            interner.add(&mut table, name);
        }
        interner
    }

    /// The number of `name`, given now if it is new. `None` where the table is full or the name too long (counted).
    pub fn intern(&self, name: &str) -> Option<u16> {
        if let Some(id) = self.find(name) {
            return Some(id);
        }
        let mut table = self.table.write().expect("no code panics under this lock");
        if let Some(id) = table.ids.get(name) {
            return Some(*id);
        }
        if table.names.len() >= self.names_max || name.len() > self.name_bytes_max {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.add(&mut table, Box::leak(name.into())))
    }

    fn add(&self, table: &mut Table, name: &'static str) -> u16 {
        let id = table.names.len() as u16;
        table.names.push(name);
        table.ids.insert(name, id);
        for parent in name.match_indices('.').map(|(at, _)| &name[..at]) {
            if table.parents.insert(parent)
                && let Some(id) = table.ids.get(parent)
            {
                self.note_above(*id);
            }
        }
        if table.parents.contains(name) {
            self.note_above(id);
        }
        id
    }

    fn note_above(&self, id: u16) {
        self.above[usize::from(id) / 64].fetch_or(1 << (id % 64), Ordering::Relaxed);
    }

    /// The number of `name` if it has one.
    pub fn find(&self, name: &str) -> Option<u16> {
        self.table.read().expect("no code panics under this lock").ids.get(name).copied()
    }

    /// The name of `id`.
    ///
    /// # Panics
    /// Where `id` was not given by this table.
    pub fn name(&self, id: u16) -> &'static str {
        self.table.read().expect("no code panics under this lock").names[usize::from(id)]
    }

    /// Whether one of `others` has a name that begins with that of `id` and a dot.
    ///
    /// # Panics
    /// Where one was not given by this table.
    pub fn any_below(&self, id: u16, mut others: impl Iterator<Item = u16>) -> bool {
        if self.above[usize::from(id) / 64].load(Ordering::Relaxed) & 1 << (id % 64) == 0 {
            return false;
        }
        let table = self.table.read().expect("no code panics under this lock");
        let name = table.names[usize::from(id)];
        others.any(|other| table.names[usize::from(other)].strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }

    /// All names so far; the index is the number.
    pub fn names(&self) -> Vec<&'static str> {
        self.table.read().expect("no code panics under this lock").names.clone()
    }

    /// How often a new name was refused because of a bound.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_and_the_bound_holds() {
        let table = Interner::new(&["a", "b"], 3, 4);
        assert_eq!(table.intern("b"), Some(1));
        assert_eq!(table.intern("c"), Some(2));
        assert_eq!(table.intern("d"), None);
        assert_eq!(table.intern("c"), Some(2));
        assert_eq!(table.name(2), "c");
        assert_eq!(table.refused(), 1);
    }

    #[test]
    fn a_name_is_above_those_that_go_on_behind_it_with_a_dot() {
        let table = Interner::new(&["a.b", "ab"], 10, 20);
        let [a, long, deep] = ["a", "a.bc", "a.b.c.d"].map(|name| table.intern(name).expect("room"));
        let below = |id, others: &[u16]| table.any_below(id, others.iter().copied());
        assert!(below(a, &[1, 0]) && below(a, &[deep]), "also those that were there before it");
        assert!(!below(a, &[a, 1]));
        assert!(below(0, &[long, deep]) && !below(0, &[0, long]));
        assert!(!below(deep, &[0, long, a]) && !below(1, &[0, a]));
        assert!(!below(table.intern("a.b.c.").expect("room"), &[deep]));
    }
}
