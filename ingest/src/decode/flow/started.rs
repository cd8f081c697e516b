//! When exporters started, as they tell in options records: of IPFIX, the times of flows in uptime count from then.

use super::kept::{Bounds, Kept};
use super::{Export, Field, unsigned};

const STARTS: Bounds = Bounds { exporter_max: 256, max: 65_536, refused: "mihari_flow_starts_refused_total" };

/// Milliseconds since 1970, by domain.
pub(super) type Starts = Kept<(), u64>;

/// None yet.
pub(super) fn none() -> Starts {
    Kept::new(STARTS)
}

/// systemInitTimeMilliseconds (RFC 5102 §5.8.1), if that is what the field tells.
pub(super) fn field(field: &Field, value: &[u8]) -> Option<u64> {
    (field.enterprise == 0 && field.element == 160 && !field.scope).then(|| unsigned(value))?.filter(|ms| *ms > 0)
}

impl Export {
    /// Of a packet whose exporter started then, by its own clock; where its header tells the uptime, that counts. The counter of
    /// flowStartSysUpTime has 32 bits and wraps, as that of NetFlow's headers does: so does this.
    pub(super) fn since(self, started_ms: Option<u64>) -> Export {
        let claimed_ms = self.claimed.unix_ns() / 1_000_000;
        let told = started_ms.map(|started_ms| claimed_ms.wrapping_sub_unsigned(started_ms) as u32);
        Export { uptime_ms: self.uptime_ms.or(told), ..self }
    }
}
