//! What a proxy tells of, under the zone policy: not one connection but two, and its record seldom names the address between them.

use super::table::Way;
use super::{Cell, Communication, Policy, Service};

const TCP: u8 = 6;

impl Policy {
    /// Whether a zone lies between that the source may reach by TCP and that may reach the destination. Where an invariant forbids the
    /// pair, only the zone that it names counts, and none where it names none.
    pub(super) fn allows_by_way(&self, from: u16, to: u16, c: &Communication) -> bool {
        let (source, destination) = (c.source.to_canonical(), c.destination.to_canonical());
        let between = match self.table.way(from, to) {
            Way::Any => 0..self.zones.len() as u16,
            Way::Only(zone) => zone..zone + 1,
            Way::Closed => return false,
        };
        let tcp = |service: &&Service| service.protocol.is_none_or(|p| p == TCP);
        let until = |line: &Cell| line.until.is_none_or(|until| c.time <= until);
        between.filter(|middle| *middle != from && *middle != to).any(|middle| {
            self.table.lines(from, middle).iter().any(|line| {
                until(line) && line.src.is_none_or(|net| net.contains(&source)) && line.service.iter().any(|s| tcp(&s))
            }) && self.table.lines(middle, to).iter().any(|line| {
                let ported = |s: &Service| c.port.is_none_or(|port| (s.low..=s.high).contains(&port));
                let reaches = line.dst.is_none_or(|net| net.contains(&destination));
                until(line) && reaches && line.service.iter().filter(tcp).any(ported)
            })
        })
    }
}
