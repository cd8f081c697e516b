//! What a proxy tells of, under the zone policy: not one connection but two, and its record seldom names the address between them.

use super::{Cell, Communication, Policy, Service};

const TCP: u8 = 6;

impl Policy {
    /// Whether a zone lies between that the source may reach by TCP and that may reach the destination. Where invariants forbid the
    /// pair, only the zones that they name count, and none where one of them names none.
    pub(super) fn allows_by_way(&self, from: u16, to: u16, c: &Communication) -> bool {
        let (source, destination) = (c.source.to_canonical(), c.destination.to_canonical());
        let tcp = |service: &&Service| service.protocol.is_none_or(|p| p == TCP);
        let until = |line: &Cell| line.until.is_none_or(|until| c.time <= until);
        let between = |middle: &u16| *middle != from && *middle != to && self.table.leads_through(from, *middle, to);
        (0..self.zones.len() as u16).filter(between).any(|middle| {
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
