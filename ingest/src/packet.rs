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

/// A message of ARP (RFC 826) about addresses of IPv4.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arp {
    pub(crate) is_reply: bool,
    pub(crate) sender: Ipv4Addr,
    pub(crate) target: Ipv4Addr,
}

/// The message of ARP in an Ethernet frame, tagged or not.
pub(crate) fn arp(b: &[u8]) -> Option<Arp> {
    let at = match (be16(b, 12)?, be16(b, 16)?) {
        (0x0806, _) => 14,
        (0x8100, 0x0806) => 18,
        _ => return None,
    };
    // Ethernet, IPv4, and how long the addresses of both are.
    let [0, 1, 8, 0, 6, 4, 0, operation @ (1 | 2)] = *b.get(at..)?.first_chunk::<8>()? else { return None };
    let address = |at: usize| b.get(at..at + 4).and_then(|ip| <[u8; 4]>::try_from(ip).ok()).map(Ipv4Addr::from);
    Some(Arp { is_reply: operation == 2, sender: address(at + 14)?, target: address(at + 24)? })
}

/// The link layer of a frame of data of IEEE 802.11 (§9.3.2.1) and where its network header begins; none where it carries no IP, or encrypted.
pub(crate) fn wireless(b: &[u8]) -> Option<(Link, usize)> {
    let [control, flags] = *b.first_chunk::<2>()?;
    if control & 0x4c != 0x08 || flags & 0x40 != 0 {
        return None;
    }
    let address = |at: usize| b.get(at..at + 6).and_then(|m| <[u8; 6]>::try_from(m).ok());
    let (destination_mac, source_mac) = match flags & 3 {
        0 => (address(4), address(10)),
        1 => (address(16), address(10)),
        2 => (address(4), address(16)),
        _ => (address(16), address(24)),
    };
    let mut link = Link { source_mac, destination_mac, vlan: None };
    let header = 24 + if flags & 3 == 3 { 6 } else { 0 } + if control & 0x80 != 0 { 2 } else { 0 };
    let start = ether_type(b, snap(b, header)?, &mut link)?;
    Some((link, start))
}

/// Where the network header begins, behind the EtherType or length at `at` and the tags (IEEE 802.1Q, 802.1ad, 802.1BR and what switches put
/// there) or labels (RFC 3032) that follow it.
pub(crate) fn ether_type(b: &[u8], mut at: usize, link: &mut Link) -> Option<usize> {
    for _ in 0..TAGS_MAX {
        match be16(b, at)? {
            0x0800 | 0x86dd => return Some(at + 2),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                link.vlan = link.vlan.or(be16(b, at + 2).map(|tag| tag & 0x0fff));
                at += 4;
            }
            0x8847 | 0x8848 => return labels(b, at + 2),
            // PPPoE session (RFC 2516): a header of 6 bytes and the PPP protocol number.
            0x8864 if matches!(be16(b, at + 8)?, 0x0021 | 0x0057) => return Some(at + 10),
            // The tag of a port extender (IEEE 802.1BR), and Cisco's before it.
            0x893f => at += 8,
            0x8926 => at += 6,
            // Cisco's tag of a security group: version, length, options of four bytes each.
            0x8909 => at += 4 + 4 * usize::from(*b.get(at + 3)?),
            // A frame of a customer within one of the provider (IEEE 802.1ah): what the customer's frame says counts.
            0x88e7 => {
                let mac = |from: usize| b.get(from..from + 6).and_then(|m| <[u8; 6]>::try_from(m).ok());
                (link.destination_mac, link.source_mac) = (mac(at + 6), mac(at + 12));
                at += 18;
            }
            // A length, and what IEEE 802.2 puts before the type of a protocol of Ethernet.
            ..=1500 => at = snap(b, at + 2)?,
            _ => return None,
        }
    }
    None
}

/// Where the EtherType is of a frame of IEEE 802.2 whose header, that of SNAP (RFC 1042), begins at `at`.
pub(crate) fn snap(b: &[u8], at: usize) -> Option<usize> {
    (b.get(at..at + 6)? == [0xaa, 0xaa, 3, 0, 0, 0]).then_some(at + 6)
}

/// Where the network header begins behind a stack of MPLS labels: at once, or within a frame of Ethernet (RFC 4448), mostly behind a control
/// word of four zero bits.
pub(crate) fn labels(b: &[u8], at: usize) -> Option<usize> {
    let bottom = (0..TAGS_MAX).map(|n| at + 4 * n).find(|label| b.get(label + 2).is_some_and(|last| last & 1 == 1))?;
    let start = bottom + 4;
    match b.get(start)? >> 4 {
        4 | 6 => Some(start),
        _ => [start + 4, start].into_iter().find_map(|frame| match be16(b, frame + 12)? {
            0x0800 | 0x86dd => Some(frame + 14),
            0x8100 if matches!(be16(b, frame + 16)?, 0x0800 | 0x86dd) => Some(frame + 18),
            _ => None,
        }),
    }
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

/// The network header of the packet that a tunnel's packet carries: IP in IP (RFC 2003, RFC 4213), GRE (RFC 2784, RFC 2890) with IP, frames or
/// ERSPAN in it, VXLAN (RFC 7348), Geneve (RFC 8926), GTP-U (3GPP TS 29.281).
pub(crate) fn inner(b: &[u8], outer: &Network) -> Option<Network> {
    if outer.fragment.is_some_and(|f| f.offset > 0) {
        return None;
    }
    let at = outer.start;
    let start = match outer.protocol {
        4 | 41 => at,
        47 => gre(b, at)?,
        17 => match be16(b, at + 2)? {
            4789 => frame(b, at + 16)?,
            6081 => typed(b, be16(b, at + 10)?, at + 16 + 4 * usize::from(b.get(at + 8)? & 0x3f))?,
            // Version 1, a packet of the user; one of the three options brings four bytes more.
            2152 if b.get(at + 8)? >> 5 == 1 && *b.get(at + 9)? == 255 => at + 16 + if b.get(at + 8)? & 7 != 0 { 4 } else { 0 },
            _ => return None,
        },
        _ => return None,
    };
    network(b, start)
}

/// Where the network header begins behind a header of GRE.
fn gre(b: &[u8], at: usize) -> Option<usize> {
    let (flags, protocol) = (be16(b, at)?, be16(b, at + 2)?);
    let options = [0x8000, 0x2000, 0x1000].into_iter().filter(|bit| flags & bit != 0).count();
    let start = at + 4 + 4 * options;
    match protocol {
        // ERSPAN: of its second type where packets are numbered, which has a header of its own.
        0x88be => frame(b, start + if flags & 0x1000 != 0 { 8 } else { 0 }),
        _ => typed(b, protocol, start),
    }
}

/// Where the network header begins of what lies at `at` and is of such an EtherType.
fn typed(b: &[u8], protocol: u16, at: usize) -> Option<usize> {
    match protocol {
        0x0800 | 0x86dd => Some(at),
        0x6558 => frame(b, at),
        _ => None,
    }
}

/// Where the network header begins in a frame at `at`.
fn frame(b: &[u8], at: usize) -> Option<usize> {
    ethernet(b.get(at..)?).map(|(_, start)| at + start)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_arp_are_read() {
        let body = [0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 7, 192, 0, 2, 7, 2, 0, 0, 0, 0, 20, 192, 0, 2, 20];
        for tag in [&[][..], &[0x81, 0, 0, 7]] {
            let frame = [&[0; 12][..], tag, &[8, 6], &body].concat();
            let expected = Arp { is_reply: true, sender: Ipv4Addr::new(192, 0, 2, 7), target: Ipv4Addr::new(192, 0, 2, 20) };
            assert_eq!(arp(&frame), Some(expected));
            for length in 0..frame.len() {
                assert_eq!(arp(&frame[..length]), None, "{length}");
            }
        }
        assert_eq!(arp(&[&[0; 12][..], &[8, 0], &body].concat()), None, "another protocol");
    }
}
