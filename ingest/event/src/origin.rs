//! What a frame came from that has no sender's address: a file, a topic of Kafka.

use std::fmt;
use std::sync::LazyLock;

use crate::intern::Interner;
use crate::limits::{ORIGIN_BYTES_MAX, ORIGINS_MAX};

/// An interned name: the path of a file, a topic.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct OriginId(u16);

static ORIGINS: LazyLock<Interner> = LazyLock::new(|| Interner::new(&[], ORIGINS_MAX, ORIGIN_BYTES_MAX));

impl OriginId {
    /// The id of `name`; `None` where the table is full or the name too long.
    pub fn intern(name: &str) -> Option<OriginId> {
        ORIGINS.intern(name).map(OriginId)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        ORIGINS.name(self.0)
    }
}

impl fmt::Debug for OriginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
