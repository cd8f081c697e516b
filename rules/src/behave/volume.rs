//! Falls in volume: a deep one at once, and a lasting one of a source that is steady, however much less that is.

use serde::{Deserialize, Serialize};

use super::Parameters;
use super::source::{DEVIATIONS, WINDOW_NS_MAX};

/// Half-hours over which a fall is looked for that is less than deep, and the smallest one.
const LASTING_SLOTS: u32 = 4;
const FALL_MIN: f64 = 0.4;
/// Such hours before one is unusual, and how many the usual spread is of.
const SPREAD_MIN: u32 = 24;
const SPREAD_OF: u32 = 200;

/// Half-hours in a row that together use to bring enough records to judge by.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct HalfHours {
    pub(super) began: i64,
    pub(super) usual: f64,
    pub(super) records: u64,
}

/// Hours in a row, and by how much what they brought has differed from what is usual.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Hours {
    gathered: HalfHours,
    slots: u32,
    /// The mean square of the difference, of what is usual; and of how many it is.
    spread: f64,
    windows: u32,
    /// They brought too little and have not come back since.
    fallen: bool,
}

impl HalfHours {
    /// Takes a half-hour that uses to bring `usual` records; gives those in a row that together brought too few.
    pub(super) fn take(&mut self, began: i64, usual: f32, records: u64, p: &Parameters) -> Option<HalfHours> {
        self.add(began, usual, records);
        if self.usual < p.records as f64 {
            return None;
        }
        let full = std::mem::take(self);
        // Where nothing came at all it is silence.
        (full.records > 0 && full.share() < p.share).then_some(full)
    }

    fn add(&mut self, began: i64, usual: f32, records: u64) {
        if self.usual == 0.0 || began - self.began >= WINDOW_NS_MAX {
            *self = HalfHours { began, ..HalfHours::default() };
        }
        self.usual += f64::from(usual);
        self.records += records;
    }

    /// What came, of what is usual.
    fn share(&self) -> f64 {
        self.records as f64 / self.usual
    }
}

impl Hours {
    /// Takes a half-hour as [`HalfHours::take`]; gives hours that brought less than a source which is so steady ever does.
    pub(super) fn take(&mut self, began: i64, usual: f32, records: u64, p: &Parameters) -> Option<HalfHours> {
        self.gathered.add(began, usual, records);
        self.slots += 1;
        if self.slots < LASTING_SLOTS || self.gathered.usual < p.records as f64 {
            return None;
        }
        self.slots = 0;
        let full = std::mem::take(&mut self.gathered);
        let fall = FALL_MIN.max(DEVIATIONS * self.spread.sqrt());
        let low = full.records > 0 && self.windows >= SPREAD_MIN && full.share() < 1.0 - fall;
        let fell = low && !self.fallen;
        self.fallen = low;
        if !low {
            // A busy day counts no more than an empty one: it says nothing of how little is unusual.
            let difference = (full.share() - 1.0).min(1.0);
            self.windows = (self.windows + 1).min(SPREAD_OF);
            self.spread += (difference * difference - self.spread) / f64::from(self.windows);
        }
        fell.then_some(full)
    }
}
