//! What a proxy tells of, under the zone policy: not one connection but two, and its record seldom names the address between them.

use super::{Cell, Communication, Policy, Service};

const TCP: u8 = 6;

impl Policy {
    /// Whether some zone lies between that the source may reach by TCP and that may reach the destination.
    pub(super) fn allows_by_way(&self, c: &Communication) -> bool {
        let (source, destination) = (c.source.to_canonical(), c.destination.to_canonical());
        let (from, to) = (self.lookup.zone(source), self.lookup.zone(destination));
        let tcp = |service: &&Service| service.protocol.is_none_or(|p| p == TCP);
        let until = |line: &Cell| line.until.is_none_or(|until| c.time <= until);
        let lines = |from, to| self.cells.get(&(from, to)).into_iter().flatten();
        (0..self.zones.len() as u16).filter(|middle| *middle != from && *middle != to).any(|middle| {
            lines(from, middle).any(|line| {
                until(line) && line.src.is_none_or(|net| net.contains(&source)) && line.service.iter().any(|s| tcp(&s))
            }) && lines(middle, to).any(|line| {
                let ported = |s: &Service| c.port.is_none_or(|port| (s.low..=s.high).contains(&port));
                let reaches = line.dst.is_none_or(|net| net.contains(&destination));
                until(line) && reaches && line.service.iter().filter(tcp).any(ported)
            })
        })
    }
}
