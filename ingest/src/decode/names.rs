//! Field names made at run time: a vendor's own key behind a prefix, interned once.

use event::FieldId;
use hashbrown::HashMap;

/// Keys remembered for one prefix; further ones are looked up each time.
const KEYS_MAX: usize = 2048;

/// What names begin with that only this program may write. `@timestamp` is the event's time.
const OURS: &[&str] = &["mihari.", "policy.", "zone.", "tenant", "log.source.", "event.received", "@timestamp"];

/// Whether a record would say what only this program may, were `name` behind `prefix` a field: only where its names stand as they are.
pub(super) fn is_ours(prefix: &str, name: &str) -> bool {
    prefix.is_empty() && OURS.iter().any(|ours| name.starts_with(ours))
}

/// Fields named `prefix` + key.
#[derive(Debug)]
pub(super) struct Names {
    prefix: &'static str,
    known: HashMap<Box<str>, FieldId>,
    scratch: String,
}

impl Names {
    pub(super) fn new(prefix: &'static str) -> Names {
        Names { prefix, known: HashMap::new(), scratch: String::new() }
    }

    /// The field of `key`: behind a prefix a blank within it is `_`, else it is left out, as rules name fields. None where the table of names is
    /// full, or the name is ours.
    pub(super) fn field(&mut self, key: &str) -> Option<FieldId> {
        if let Some(id) = self.known.get(key) {
            return Some(*id);
        }
        self.scratch.clear();
        self.scratch.push_str(self.prefix);
        match self.prefix {
            "" => self.scratch.extend(key.split(' ')),
            _ => self.scratch.extend(key.chars().map(|c| if c == ' ' { '_' } else { c })),
        }
        if is_ours(self.prefix, &self.scratch) {
            return None;
        }
        let id = FieldId::intern(&self.scratch)?;
        if self.known.len() < KEYS_MAX {
            self.known.insert(key.into(), id);
        }
        Some(id)
    }
}
