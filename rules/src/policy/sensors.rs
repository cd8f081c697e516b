//! Sensors: whose record is a sign of life of which sensor, and which cells each one sees.

use std::collections::HashMap;
use std::net::IpAddr;

use event::{EventRef, FieldId};
use ipnet::IpNet;

use super::Observe;

const MINUTE_NS: i64 = 60 * 1_000_000_000;

/// The sensors of a policy, to be found by what a record says of who saw it.
#[derive(Clone, Debug, Default)]
pub struct Sensors {
    /// Lower case; a sensor may have several lines.
    names: HashMap<String, Vec<usize>>,
    addresses: Vec<(IpNet, usize)>,
}

/// Where a record says who saw it. The relay that sent it comes last.
const NAMES: [FieldId; 5] =
    [FieldId::OBSERVER_NAME, FieldId::OBSERVER_HOSTNAME, FieldId::HOST_NAME, FieldId::HOST_HOSTNAME, FieldId::SYSLOG_HOSTNAME];
const ADDRESSES: [FieldId; 2] = [FieldId::OBSERVER_IP, FieldId::FLOW_EXPORTER];

impl Sensors {
    pub(super) fn new(observe: &[Observe]) -> Sensors {
        let mut sensors = Sensors::default();
        for (at, one) in observe.iter().enumerate() {
            sensors.names.entry(one.sensor.to_ascii_lowercase()).or_default().push(at);
            let named = one.sensor.parse::<IpAddr>().ok().map(IpNet::from);
            sensors.addresses.extend(one.address.iter().copied().chain(named).map(|net| (net, at)));
        }
        sensors
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Gives the sensors (by their place in `observe`) of which the record is a sign of life.
    pub fn heard(&self, event: EventRef<'_>, found: &mut Vec<usize>) {
        found.clear();
        let mut name = String::new();
        for text in NAMES.iter().filter_map(|field| event.get(*field)?.as_text()) {
            // Whole, or the first label of a longer name.
            for part in [text, text.split('.').next().unwrap_or(text)] {
                name.clear();
                name.extend(part.chars().map(|c| c.to_ascii_lowercase()));
                found.extend(self.names.get(&name).into_iter().flatten());
            }
        }
        if !self.addresses.is_empty() {
            let said = ADDRESSES.iter().filter_map(|field| event.get(*field)?.as_ip());
            for ip in said.chain(event.source()).map(|ip| ip.to_canonical()) {
                found.extend(self.addresses.iter().filter(|(net, _)| net.contains(&ip)).map(|(_, at)| *at));
            }
        }
        found.sort_unstable();
        found.dedup();
    }
}

impl Observe {
    /// In how many minutes it must be heard; a part of a minute counts as one.
    pub fn heartbeat_minutes(&self) -> u32 {
        let ns = crate::sigma::correlation::timespan_ns(&self.heartbeat).unwrap_or(MINUTE_NS);
        u32::try_from((ns + MINUTE_NS - 1) / MINUTE_NS).unwrap_or(u32::MAX).max(1)
    }

    /// Whether it sees what passes between two zones, whoever began.
    pub fn sees(&self, from: &str, to: &str) -> bool {
        let is = |pattern: &str, name: &str| pattern == "*" || pattern == name;
        self.cells.iter().any(|(a, b)| (is(a, from) && is(b, to)) || (is(a, to) && is(b, from)))
    }
}
