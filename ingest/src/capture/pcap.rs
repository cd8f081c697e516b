//! Packets out of pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng) files.

use std::io::{BufRead, Read};
use std::net::SocketAddr;

use event::Time;

use crate::packet;

/// Bytes of one packet or block; what is longer is damage.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Interfaces of one pcapng section.
const INTERFACES_MAX: usize = 1024;

/// A packet as it was captured.
pub(super) struct Packet<'p> {
    pub(super) time: Time,
    /// The link-layer frame.
    pub(super) bytes: &'p [u8],
    /// Where its network header begins; none where it carries no IP.
    pub(super) network: Option<usize>,
}

/// A UDP datagram.
pub(super) struct Datagram<'p> {
    pub(super) source: SocketAddr,
    pub(super) port: u16,
    pub(super) payload: &'p [u8],
}

#[derive(Clone, Copy)]
struct Interface {
    link: u16,
    /// Nanoseconds of one unit of time, where that is whole; else units in a second.
    resolution: Resolution,
}

#[derive(Clone, Copy)]
enum Resolution {
    UnitNs(i64),
    PerSecond(u64),
}

/// Reads packets one after the other.
pub(super) struct Packets {
    format: Format,
    big: bool,
    interfaces: Vec<Interface>,
    started: bool,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Pcap,
    PcapNg,
}

impl Packets {
    /// By the first bytes of a file.
    pub(super) fn recognise(head: &[u8]) -> Option<Packets> {
        let magic: [u8; 4] = head.get(..4)?.try_into().ok()?;
        let (format, big, unit) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Format::Pcap, false, 1000),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Format::Pcap, true, 1000),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Format::Pcap, false, 1),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Format::Pcap, true, 1),
            [0x0a, 0x0d, 0x0d, 0x0a] => (Format::PcapNg, head.get(8) == Some(&0x1a), 1000),
            _ => return None,
        };
        let interfaces = match format {
            Format::Pcap => vec![Interface { link: 0, resolution: Resolution::UnitNs(unit) }],
            Format::PcapNg => Vec::new(),
        };
        Some(Packets { format, big, interfaces, started: false, buffer: Vec::new() })
    }

    /// The next packet, or none at the end.
    pub(super) fn next(&mut self, input: &mut impl BufRead) -> Result<Option<Packet<'_>>, String> {
        loop {
            let found = match self.format {
                Format::Pcap => self.pcap(input)?,
                Format::PcapNg => self.pcapng(input)?,
            };
            let Some(found) = found else { return Ok(None) };
            let Some((time, link, range)) = found else { continue };
            let bytes = &self.buffer[range];
            return Ok(Some(Packet { time, bytes, network: network_at(link, bytes) }));
        }
    }

    /// Reads `n` bytes to the buffer. False at the end of the file; an error within a record.
    fn fill(&mut self, input: &mut impl BufRead, n: usize, first: bool) -> Result<bool, String> {
        if n > BLOCK_BYTES_MAX {
            return Err(format!("a block of {n} bytes"));
        }
        self.buffer.clear();
        let got = input.take(n as u64).read_to_end(&mut self.buffer).map_err(|e| e.to_string())?;
        match got {
            0 if first => Ok(false),
            _ if got < n => Err("it ends within a packet".to_owned()),
            _ => Ok(true),
        }
    }

    fn u32(&self, at: usize) -> u32 {
        let b: [u8; 4] = self.buffer.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or([0; 4]);
        if self.big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    }

    fn u16(&self, at: usize) -> u16 {
        let b: [u8; 2] = self.buffer.get(at..at + 2).and_then(|b| b.try_into().ok()).unwrap_or([0; 2]);
        if self.big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) }
    }

    #[expect(clippy::type_complexity, reason = "end of file, or a packet that may be none of ours")]
    fn pcap(&mut self, input: &mut impl BufRead) -> Result<Option<Option<(Time, u16, std::ops::Range<usize>)>>, String> {
        if !self.started {
            if !self.fill(input, 24, true)? {
                return Ok(None);
            }
            self.interfaces[0].link = self.u32(20) as u16;
            self.started = true;
        }
        if !self.fill(input, 16, true)? {
            return Ok(None);
        }
        let (seconds, fraction, length) = (self.u32(0), self.u32(4), self.u32(8) as usize);
        let Interface { link, resolution } = self.interfaces[0];
        let unit = if let Resolution::UnitNs(unit) = resolution { unit } else { 1 };
        let time = Time::from_unix_s(seconds.into()).plus_ns(i64::from(fraction) * unit);
        self.fill(input, length, false)?;
        Ok(Some(Some((time, link, 0..length))))
    }

    #[expect(clippy::type_complexity, reason = "end of file, or a block that may hold no packet")]
    fn pcapng(&mut self, input: &mut impl BufRead) -> Result<Option<Option<(Time, u16, std::ops::Range<usize>)>>, String> {
        if !self.fill(input, 8, true)? {
            return Ok(None);
        }
        let section = self.buffer[..4] == [0x0a, 0x0d, 0x0d, 0x0a];
        if section {
            // The byte order of a section stands behind its length.
            let length: [u8; 4] = self.buffer[4..8].try_into().expect("4 bytes");
            self.fill(input, 4, false)?;
            self.big = self.buffer[0] == 0x1a;
            let length = if self.big { u32::from_be_bytes(length) } else { u32::from_le_bytes(length) };
            self.interfaces.clear();
            self.fill(input, (length as usize).checked_sub(12).ok_or("a block shorter than its head")?, false)?;
            return Ok(Some(None));
        }
        let (kind, length) = (self.u32(0), self.u32(4) as usize);
        self.fill(input, length.checked_sub(8).ok_or("a block shorter than its head")?, false)?;
        match kind {
            1 => {
                if self.interfaces.len() >= INTERFACES_MAX {
                    return Err("too many interfaces".to_owned());
                }
                let interface = Interface { link: self.u16(0), resolution: self.resolution(8) };
                self.interfaces.push(interface);
                Ok(Some(None))
            }
            6 => {
                let Some(Interface { link, resolution }) = self.interfaces.get(self.u32(0) as usize).copied() else {
                    return Err("a packet of an unknown interface".to_owned());
                };
                let units = u64::from(self.u32(4)) << 32 | u64::from(self.u32(8));
                let time = match resolution {
                    Resolution::UnitNs(unit) => Time::from_unix_ns((units as i64).saturating_mul(unit)),
                    Resolution::PerSecond(per) => Time::from_unix_s((units / per) as i64)
                        .plus_ns((u128::from(units % per) * 1_000_000_000 / u128::from(per)) as i64),
                };
                let captured = (self.u32(12) as usize).min(self.buffer.len().saturating_sub(20));
                Ok(Some(Some((time, link, 20..20 + captured))))
            }
            _ => Ok(Some(None)),
        }
    }

    /// The option `if_tsresol` of an interface's description; microseconds where absent.
    fn resolution(&self, mut at: usize) -> Resolution {
        while at + 4 <= self.buffer.len() {
            let (code, length) = (self.u16(at), usize::from(self.u16(at + 2)));
            match (code, self.buffer.get(at + 4)) {
                (0, _) => break,
                (9, Some(value)) if value & 0x80 == 0 && *value <= 9 => {
                    return Resolution::UnitNs(10i64.pow(9 - u32::from(*value)));
                }
                (9, Some(value)) if value & 0x80 != 0 => return Resolution::PerSecond(1 << (value & 0x3f)),
                _ => at += 4 + length.next_multiple_of(4),
            }
        }
        Resolution::UnitNs(1000)
    }
}

/// Where the network header begins within a link-layer frame.
fn network_at(link: u16, b: &[u8]) -> Option<usize> {
    Some(match link {
        1 => packet::ethernet(b)?.1,
        113 => 16,
        276 => 20,
        0 | 108 => 4,
        12 | 14 | 101 | 228 | 229 => 0,
        _ => return None,
    })
}

/// The datagram that a packet carries. None of a fragment.
pub(super) fn datagram<'p>(packet: &Packet<'p>) -> Option<Datagram<'p>> {
    let b = packet.bytes;
    let network = packet::network(b, packet.network?)?;
    let (source_port, port) = packet::transport(b, &network).ports?;
    if network.protocol != 17 || network.fragment.is_some() {
        return None;
    }
    let header = b.get(network.start..network.start + 8)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]])).checked_sub(8)?;
    let start = network.start + 8;
    let payload = &b[start..start + length.min(b.len() - start)];
    Some(Datagram { source: SocketAddr::new(network.source, source_port), port, payload })
}
