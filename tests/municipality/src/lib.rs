//! A synthetic municipality: the records that its devices send, second by second, with planted incidents and their ground truth.
//!
//! ```text
//!  Plan (seed, terminals, start, length) ──▶ Traffic: Iterator<Item = Record>   in order of time
//!                                        ──▶ incidents(): what was planted, when, between whom
//!                                        ──▶ town::POLICY: the zone file that is true of it
//! ```
//!
//! The same plan gives the same bytes. Nothing here is taken from a real network: addresses are private or from the
//! documentation ranges (RFC 5737, RFC 2544), names are invented, formats are written after the vendors' documentation.
//!
//! The demo and the tests send these records over real sockets; `mihari generate` writes them to files. The clock of the day
//! ([`Plan::day_speed`]) may run faster than the records, so that two minutes show the shape of a day; the timestamps in the
//! records are never stretched.

mod dice;
mod exporter;
mod incident;
mod line;
pub mod town;
mod traffic;

pub use incident::{Incident, Kind};
pub use town::{Channel, DEVICES, Device};
pub use traffic::{Record, Traffic};

use event::Time;

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The same seed gives the same records.
    pub seed: u64,
    /// How many office terminals there are, in all zones together: 10 to 20,000.
    pub terminals: u32,
    /// The first instant.
    pub start: Time,
    /// How long it goes on, in seconds.
    pub length_s: u32,
    /// How many seconds of the municipality's day pass in a second of the records: 1 is real time. Moves the rates, not the
    /// timestamps.
    pub day_speed: u32,
    /// The hour (JST) of the municipality's day at the start; without one, that of `start`. Moves the rates, not the timestamps.
    pub hour: Option<u8>,
    /// Whether incidents are planted.
    pub incidents: bool,
}

impl Plan {
    /// The incidents of this plan, by their start.
    pub fn incidents(&self) -> Vec<Incident> {
        incident::planted(self)
    }

    /// The records of this plan, by their time.
    pub fn traffic(&self) -> Traffic {
        Traffic::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan {
            seed,
            terminals: 100,
            start: Time::from_unix_s(1_775_001_600),
            length_s: 120,
            day_speed: 60,
            hour: None,
            incidents: true,
        }
    }

    #[test]
    fn the_same_plan_gives_the_same_records_in_order_of_time() {
        let a: Vec<Record> = plan(1).traffic().collect();
        let b: Vec<Record> = plan(1).traffic().collect();
        let c: Vec<Record> = plan(2).traffic().collect();
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert!(a.len() > 1000, "{}", a.len());
        assert!(a.is_sorted_by_key(|record| record.time));
        let end = plan(1).start.plus_ns(120 * 1_000_000_000);
        assert!(a.iter().all(|record| record.time >= plan(1).start && record.time < end));
    }

    #[test]
    fn every_kind_is_planted_within_the_plan() {
        for length_s in [60, 120, 3600, 86_400] {
            let plan = Plan { length_s, ..plan(3) };
            let incidents = plan.incidents();
            for kind in Kind::ALL {
                assert!(incidents.iter().any(|i| i.kind == kind), "{kind:?} in {length_s} s");
            }
            for incident in incidents {
                assert!(incident.start >= plan.start && incident.start < incident.end, "{incident:?}");
                assert!(incident.end <= plan.start.plus_ns(i64::from(length_s) * 1_000_000_000), "{incident:?}");
            }
        }
    }

    #[test]
    fn every_device_sends_and_a_silent_one_stops() {
        let plan = plan(4);
        let silent = plan.incidents().into_iter().find(|i| i.kind == Kind::SilentDevice).expect("planted");
        for (index, device) in DEVICES.iter().enumerate() {
            let mut times = plan.traffic().filter(|record| record.device == index).map(|record| record.time);
            let last = times.by_ref().last().unwrap_or_else(|| panic!("{} sends nothing", device.name));
            assert_eq!(last <= silent.start, device.name == silent.device.unwrap_or(""), "{}", device.name);
        }
    }
}
