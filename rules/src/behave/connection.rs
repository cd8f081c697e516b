//! The connections that are remembered, each once: what its records have told so far ([`super::stitch`]), and what the zone policy said of
//! it ([`super::conversation`]). Most flows are one of a connection's own, so that each begins an entry and another one gives way; hence
//! one table for both, and small entries.

use serde::{Deserialize, Serialize};

use super::conversation::Talk;
use super::stitch::Seen;
use crate::table::Table;

/// Connections that are remembered; beyond it the one idle longest is forgotten (counted), and a late record of it counts as another one.
const CONNECTIONS_MAX: usize = 500_000;
/// How long a connection is remembered after its last record.
pub(super) const REMEMBERED_NS: i64 = 120 * 1_000_000_000;

/// An address and a port.
pub(super) type End = (u128, u16);

/// Tenant, protocol, and both ends whichever began; the lower one first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(super) struct Key {
    low: u128,
    high: u128,
    tenant: u32,
    low_port: u16,
    high_port: u16,
    transport: u8,
}

impl Key {
    pub(super) fn new(tenant: u32, transport: u8, a: End, b: End) -> Key {
        let ((low, low_port), (high, high_port)) = (a.min(b), a.max(b));
        Key { low, high, tenant, low_port, high_port, transport }
    }

    /// Whether `end` is the lower one.
    pub(super) fn is_low(&self, end: End) -> bool {
        end == (self.low, self.low_port)
    }
}

/// What is known of a connection.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Connection {
    pub(super) seen: Seen,
    pub(super) talk: Talk,
}

const _: () = assert!(size_of::<Key>() <= 48 && size_of::<Connection>() <= 112);

/// All of them.
pub(super) type Connections = Table<Key, Connection>;

/// None yet.
pub(super) fn none() -> Connections {
    Table::new(CONNECTIONS_MAX)
}
