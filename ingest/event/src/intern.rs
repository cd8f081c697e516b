//! Names to small numbers, once a process: bounded, append-only, the same number for the same name.
//!
//! The numbers depend on the order in which names were first seen, so nothing observable may depend on them: whoever shows or
//! sorts something uses the names.

use std::collections::HashMap;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bounded table of names. Names live as long as the process: the bound is what keeps them from growing.
pub struct Interner {
    table: RwLock<Table>,
    names_max: usize,
    name_bytes_max: usize,
    refused: AtomicU64,
}

struct Table {
    ids: HashMap<&'static str, u16>,
    names: Vec<&'static str>,
}

impl Interner {
    /// A table that holds `fixed` under the numbers 0, 1, 2 ... and room for names up to `names_max` in all.
    ///
    /// # Panics
    /// Where `fixed` repeats a name: the caller's constants would disagree with the table.
    pub fn new(fixed: &[&'static str], names_max: usize, name_bytes_max: usize) -> Interner {
        assert!(fixed.len() <= names_max && names_max <= usize::from(u16::MAX));
        let mut ids = HashMap::with_capacity(fixed.len() * 2);
        for (id, name) in fixed.iter().enumerate() {
            assert!(ids.insert(*name, id as u16).is_none(), "name given twice: {name}");
        }
        let table = RwLock::new(Table { ids, names: fixed.to_vec() });
        Interner { table, names_max, name_bytes_max, refused: AtomicU64::new(0) }
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
        let id = table.names.len() as u16;
        let name: &'static str = Box::leak(name.into());
        table.names.push(name);
        table.ids.insert(name, id);
        Some(id)
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
}
