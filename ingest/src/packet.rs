//! Link, network and transport headers: of packets in a capture and of packet heads in sFlow samples. Reads borrowed bytes, holds nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Tags and labels (VLAN, MPLS) before the network header; more is no traffic.
const TAGS_MAX: usize = 16;
/// IPv6 extension headers of one packet.
const EXTENSIONS_MAX: usize = 16;

/// What lies under the network header.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Link {
    pub(crate) source_mac: Option<[u8; 6]>,
    pub(crate) destination_mac: Option<[u8; 6]>,
    /// The outermost VLAN id.
    pub(crate) vlan: Option<u16>,
}

/// A network header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Network {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    /// Where the transport header begins, and where the packet ends, as far as there are bytes.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Bytes of the packet as its header says, those that are not there too.
    pub(crate) length: usize,
    /// The packet is cut: its header says that it is longer.
    pub(crate) cut: bool,
    pub(crate) fragment: Option<Fragment>,
}

/// A piece of a packet (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fragment {
    pub(crate) id: u32,
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) more: bool,
}

/// The part of a transport header that flows are told by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Transport {
    pub(crate) ports: Option<(u16, u16)>,
    pub(crate) tcp_flags: Option<u8>,
    pub(crate) icmp: Option<(u8, u8)>,
}

/// An Ethernet frame's link layer and where its network header begins; none where it carries no IP.
pub(crate) fn ethernet(b: &[u8]) -> Option<(Link, usize)> {
    let mac = |range: Range<usize>| b.get(range).and_then(|m| <[u8; 6]>::try_from(m).ok());
    let mut link = Link { source_mac: mac(6..12), destination_mac: mac(0..6), vlan: None };
    let start = ether_type(b, 12, &mut link)?;
    Some((link, start))
}

/// Where the network header begins, behind the EtherType at `at` and the tags (IEEE 802.1Q, 802.1ad) or labels (RFC 3032) that follow it.
pub(crate) fn ether_type(b: &[u8], mut at: usize, link: &mut Link) -> Option<usize> {
    for _ in 0..TAGS_MAX {
        match be16(b, at)? {
            0x0800 | 0x86dd => return Some(at + 2),
            0x8100 | 0x88a8 | 0x9100 => {
                link.vlan = link.vlan.or(be16(b, at + 2).map(|tag| tag & 0x0fff));
                at += 4;
            }
            0x8847 | 0x8848 => return labels(b, at + 2),
            // PPPoE session (RFC 2516): a header of 6 bytes and the PPP protocol number.
            0x8864 if matches!(be16(b, at + 8)?, 0x0021 | 0x0057) => return Some(at + 10),
            _ => return None,
        }
    }
    None
}

/// Where the network header begins behind a stack of MPLS labels.
pub(crate) fn labels(b: &[u8], at: usize) -> Option<usize> {
    (0..TAGS_MAX).map(|n| at + 4 * n).find(|label| b.get(label + 2).is_some_and(|bottom| bottom & 1 == 1)).map(|label| label + 4)
}

/// The network header at `at`.
pub(crate) fn network(b: &[u8], at: usize) -> Option<Network> {
    match b.get(at)? >> 4 {
        4 => ipv4(b, at),
        6 => ipv6(b, at),
        _ => None,
    }
}

fn ipv4(b: &[u8], at: usize) -> Option<Network> {
    let header = usize::from(b.get(at)? & 0x0f) * 4;
    if header < 20 {
        return None;
    }
    let address = |from: usize| b.get(from..from + 4).and_then(|a| <[u8; 4]>::try_from(a).ok()).map(Ipv4Addr::from);
    let (source, destination) = (address(at + 12)?.into(), address(at + 16)?.into());
    let (id, pieces) = (be16(b, at + 4)?, be16(b, at + 6)?);
    let fragment = Fragment { id: id.into(), offset: usize::from(pieces & 0x1fff) * 8, more: pieces & 0x2000 != 0 };
    // Length 0: the sender's card cut the packet in pieces (TCP segmentation offload).
    let length = usize::from(be16(b, at + 2)?);
    let end = if length < header { b.len() } else { at + length };
    Some(Network {
        source,
        destination,
        protocol: *b.get(at + 9)?,
        start: at + header,
        end: end.min(b.len()),
        length: end - at,
        cut: end > b.len() || at + header > b.len(),
        fragment: (fragment.offset > 0 || fragment.more).then_some(fragment),
    })
}

fn ipv6(b: &[u8], at: usize) -> Option<Network> {
    let address = |from: usize| b.get(from..from + 16).and_then(|a| <[u8; 16]>::try_from(a).ok()).map(Ipv6Addr::from);
    let (source, destination) = (address(at + 8)?.into(), address(at + 24)?.into());
    let length = usize::from(be16(b, at + 4)?);
    let end = if length == 0 { b.len() } else { at + 40 + length };
    let (mut protocol, mut start, mut fragment) = (*b.get(at + 6)?, at + 40, None);
    for _ in 0..EXTENSIONS_MAX {
        let Some(&next) = b.get(start) else { break };
        let bytes = match protocol {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
            0 | 43 | 60 | 135 | 139 | 140 => (usize::from(*b.get(start + 1)?) + 1) * 8,
            44 => {
                let pieces = be16(b, start + 2)?;
                let id = u32::from(be16(b, start + 4)?) << 16 | u32::from(be16(b, start + 6)?);
                fragment = Some(Fragment { id, offset: usize::from(pieces & 0xfff8), more: pieces & 1 != 0 });
                8
            }
            51 => (usize::from(*b.get(start + 1)?) + 2) * 4,
            _ => break,
        };
        (protocol, start) = (next, start + bytes);
        if fragment.is_some_and(|f| f.offset > 0) {
            break; // What follows is the middle of the packet.
        }
    }
    let whole = fragment.filter(|f| f.offset > 0 || f.more);
    Some(Network {
        source,
        destination,
        protocol,
        start,
        end: end.min(b.len()),
        length: end - at,
        cut: end > b.len() || start > b.len(),
        fragment: whole,
    })
}

/// What the transport header at the network header's `start` says, as far as its bytes are there.
pub(crate) fn transport(b: &[u8], network: &Network) -> Transport {
    let b = b.get(network.start..).unwrap_or_default();
    if network.fragment.is_some_and(|f| f.offset > 0) {
        return Transport::default();
    }
    let ports = be16(b, 0).zip(be16(b, 2));
    match network.protocol {
        6 => Transport { ports, tcp_flags: b.get(13).copied(), icmp: None },
        17 | 33 | 132 | 136 => Transport { ports, ..Transport::default() },
        1 | 58 => Transport { icmp: b.first().copied().zip(b.get(1).copied()), ..Transport::default() },
        _ => Transport::default(),
    }
}

fn be16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(b.get(at..at.checked_add(2)?)?.try_into().ok()?))
}
