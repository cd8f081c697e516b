//! Flow exporters: NetFlow v5, NetFlow v9 (RFC 3954) and IPFIX (RFC 7011), the packets as a router builds them.

use event::Time;

use crate::line::End;

/// One direction of a conversation as an exporter saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) protocol: u8,
    pub(crate) tcp_flags: u8,
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) start: Time,
    pub(crate) end: Time,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    V5,
    V9,
    Ipfix,
}

/// Flows of a packet: fewer than fit, as routers do.
const FLOWS_PER_PACKET: usize = 20;
/// How often templates are sent again, in packets and in seconds.
const TEMPLATE_PACKETS: u32 = 20;
const TEMPLATE_NS: i64 = 15_000_000_000;

/// An exporter's state: what it holds back, and its counters.
#[derive(Clone, Debug)]
pub(crate) struct Exporter {
    version: Version,
    domain: u32,
    boot: Time,
    held: Vec<Flow>,
    sequence: u32,
    packets: u32,
    template_at: Option<Time>,
}

/// Information elements of the template and their lengths (IANA "IPFIX Entities"; the same numbers in NetFlow v9).
const ELEMENTS: [(u16, u16); 8] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (1, 8), (2, 8)];
const TEMPLATE_ID: u16 = 256;

impl Exporter {
    pub(crate) fn new(version: Version, domain: u32, boot: Time) -> Exporter {
        Exporter { version, domain, boot, held: Vec::new(), sequence: 0, packets: 0, template_at: None }
    }

    /// Takes a flow; gives a packet when enough have come together.
    pub(crate) fn add(&mut self, flow: Flow, now: Time) -> Option<Vec<u8>> {
        self.held.push(flow);
        if self.held.len() >= FLOWS_PER_PACKET { self.flush(now) } else { None }
    }

    /// The packet of what is held, if anything is.
    pub(crate) fn flush(&mut self, now: Time) -> Option<Vec<u8>> {
        if self.held.is_empty() {
            return None;
        }
        let flows = std::mem::take(&mut self.held);
        let with_template =
            self.template_at.is_none_or(|at| now.since_ns(at) >= TEMPLATE_NS) || self.packets.is_multiple_of(TEMPLATE_PACKETS);
        if with_template {
            self.template_at = Some(now);
        }
        self.packets += 1;
        Some(match self.version {
            Version::V5 => self.v5(&flows, now),
            Version::V9 => self.v9(&flows, now, with_template),
            Version::Ipfix => self.ipfix(&flows, now, with_template),
        })
    }

    fn uptime_ms(&self, time: Time) -> u32 {
        (time.since_ns(self.boot) / 1_000_000) as u32
    }

    fn v5(&mut self, flows: &[Flow], now: Time) -> Vec<u8> {
        let mut p = Vec::with_capacity(24 + 48 * flows.len());
        put16(&mut p, 5);
        put16(&mut p, flows.len() as u16);
        put32(&mut p, self.uptime_ms(now));
        put32(&mut p, now.unix_s() as u32);
        put32(&mut p, now.unix_ns().rem_euclid(1_000_000_000) as u32);
        put32(&mut p, self.sequence);
        p.extend([0, self.domain as u8, 0, 0]); // engine type and id, no sampling
        for f in flows {
            p.extend(f.from.0.octets());
            p.extend(f.to.0.octets());
            p.extend([0; 4]); // next hop
            put16(&mut p, 1);
            put16(&mut p, 2);
            put32(&mut p, f.packets.min(u64::from(u32::MAX)) as u32);
            put32(&mut p, f.bytes.min(u64::from(u32::MAX)) as u32);
            put32(&mut p, self.uptime_ms(f.start));
            put32(&mut p, self.uptime_ms(f.end));
            put16(&mut p, f.from.1);
            put16(&mut p, f.to.1);
            p.extend([0, f.tcp_flags, f.protocol, 0]);
            p.extend([0; 8]); // autonomous systems, masks, padding
        }
        self.sequence = self.sequence.wrapping_add(flows.len() as u32);
        p
    }

    fn v9(&mut self, flows: &[Flow], now: Time, with_template: bool) -> Vec<u8> {
        let mut p = Vec::with_capacity(1400);
        put16(&mut p, 9);
        put16(&mut p, flows.len() as u16 + u16::from(with_template));
        put32(&mut p, self.uptime_ms(now));
        put32(&mut p, now.unix_s() as u32);
        put32(&mut p, self.sequence);
        put32(&mut p, self.domain);
        if with_template {
            self.template(&mut p, 0, &[(22, 4), (21, 4)]); // first and last switched, in uptime
        }
        self.data(&mut p, flows, |exporter, p, f| {
            put32(p, exporter.uptime_ms(f.start));
            put32(p, exporter.uptime_ms(f.end));
        });
        self.sequence = self.sequence.wrapping_add(1);
        p
    }

    fn ipfix(&mut self, flows: &[Flow], now: Time, with_template: bool) -> Vec<u8> {
        let mut p = Vec::with_capacity(1400);
        put16(&mut p, 10);
        put16(&mut p, 0); // the length, when it is known
        put32(&mut p, now.unix_s() as u32);
        put32(&mut p, self.sequence);
        put32(&mut p, self.domain);
        if with_template {
            self.template(&mut p, 2, &[(152, 8), (153, 8)]); // flow start and end, in milliseconds
        }
        self.data(&mut p, flows, |_, p, f| {
            put64(p, f.start.unix_ms() as u64);
            put64(p, f.end.unix_ms() as u64);
        });
        self.sequence = self.sequence.wrapping_add(flows.len() as u32);
        let length = p.len() as u16;
        p[2..4].copy_from_slice(&length.to_be_bytes());
        p
    }

    fn template(&self, p: &mut Vec<u8>, set: u16, times: &[(u16, u16); 2]) {
        let fields = ELEMENTS.len() + times.len();
        put16(p, set);
        put16(p, 4 + 4 + 4 * fields as u16);
        put16(p, TEMPLATE_ID);
        put16(p, fields as u16);
        for (id, length) in ELEMENTS.iter().chain(times) {
            put16(p, *id);
            put16(p, *length);
        }
    }

    fn data(&self, p: &mut Vec<u8>, flows: &[Flow], times: impl Fn(&Exporter, &mut Vec<u8>, &Flow)) {
        let start = p.len();
        put16(p, TEMPLATE_ID);
        put16(p, 0);
        for f in flows {
            p.extend(f.from.0.octets());
            p.extend(f.to.0.octets());
            put16(p, f.from.1);
            put16(p, f.to.1);
            p.extend([f.protocol, f.tcp_flags]);
            put64(p, f.bytes);
            put64(p, f.packets);
            times(self, p, f);
        }
        while !(p.len() - start).is_multiple_of(4) {
            p.push(0);
        }
        let length = (p.len() - start) as u16;
        p[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn put16(p: &mut Vec<u8>, n: u16) {
    p.extend(n.to_be_bytes());
}

fn put32(p: &mut Vec<u8>, n: u32) {
    p.extend(n.to_be_bytes());
}

fn put64(p: &mut Vec<u8>, n: u64) {
    p.extend(n.to_be_bytes());
}
