//! sFlow version 5 (sflow.org, "sFlow Version 5", July 2004): packet samples as flow events, counter samples as metrics
//! ([`super::counters`]).
//!
//! Each sample of a packet is an event: one packet and its bytes as observed, and the sampling rate beside them. The datagram has no wall clock: an event happened when its datagram was received.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use event::{FieldId, RowBuilder};

use super::counters::Counters;
use crate::packet;

/// Bytes that are read one after the other.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader { bytes }
    }

    pub(super) fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.bytes.split_first_chunk::<4>()?;
        self.bytes = rest;
        Some(u32::from_be_bytes(*head))
    }

    pub(super) fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(head)
    }

    /// Opaque data: a length and so many bytes, filled up to a multiple of four (RFC 4506 §4.10). The fill may be cut off.
    pub(super) fn opaque(&mut self) -> Option<Reader<'b>> {
        let length = self.u32()? as usize;
        let data = self.take(length)?;
        let fill = length.next_multiple_of(4) - length;
        self.bytes = self.bytes.get(fill..).unwrap_or_default();
        Some(Reader { bytes: data })
    }

    /// The class and index of what was sampled.
    pub(super) fn data_source(&mut self, expanded: bool) -> Option<(u32, u32)> {
        let first = self.u32()?;
        Some(if expanded { (first, self.u32()?) } else { (first >> 24, first & 0x00ff_ffff) })
    }

    /// An address with its kind before it: 0 is unknown.
    fn address(&mut self) -> Option<Option<IpAddr>> {
        Some(match self.u32()? {
            0 => None,
            1 => Some(self.ip4()?),
            2 => Some(self.ip6()?),
            _ => return None,
        })
    }

    fn ip4(&mut self) -> Option<IpAddr> {
        let b = <[u8; 4]>::try_from(self.take(4)?).ok()?;
        Some(Ipv4Addr::from(b).into())
    }

    fn ip6(&mut self) -> Option<IpAddr> {
        let b = <[u8; 16]>::try_from(self.take(16)?).ok()?;
        Some(Ipv6Addr::from(b).into())
    }
}

/// A datagram's head.
pub(super) struct Head<'b> {
    /// The address by which the device calls itself.
    pub(super) agent: Option<IpAddr>,
    /// One of several processes of the agent, each with its own sequence.
    pub(super) sub_agent: u32,
    pub(super) sequence: u32,
    pub(super) uptime_ms: u32,
    /// How many samples follow, as the datagram says.
    pub(super) samples: u32,
    pub(super) rest: Reader<'b>,
}

/// Reads the head of a datagram whose version was found to be 5.
pub(super) fn head(b: &[u8]) -> Option<Head<'_>> {
    let mut r = Reader::new(b);
    r.u32()?;
    let agent = r.address()?;
    let (sub_agent, sequence, uptime_ms, samples) = (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
    Some(Head { agent, sub_agent, sequence, uptime_ms, samples, rest: r })
}

/// One sample of a packet.
pub(super) struct Sample<'b> {
    /// Counts the samples of its source.
    pub(super) sequence: u32,
    /// The class and index of its source.
    pub(super) of: (u32, u32),
    rate: u32,
    input: Option<u32>,
    output: Option<u32>,
    /// Why the packet was discarded, if it was.
    discarded: Option<u32>,
    records: u32,
    rest: Reader<'b>,
}

/// What a datagram is made of.
pub(super) enum Part<'b> {
    Packet(Sample<'b>),
    Counters(Counters<'b>),
    /// An enterprise's own.
    Other,
}

/// The next sample: `None` where the datagram is cut.
pub(super) fn sample<'b>(r: &mut Reader<'b>) -> Option<Part<'b>> {
    let format = r.u32()?;
    let mut r = r.opaque()?;
    let expanded = match format {
        1 => false,
        3 => true,
        2 | 4 => return Counters::read(r, format == 4).map(Part::Counters),
        5 => return discarded(r).map(Part::Packet),
        _ => return Some(Part::Other),
    };
    let sequence = r.u32()?;
    let of = r.data_source(expanded)?;
    let rate = r.u32()?;
    r.take(8)?; // Pool and drops.
    let (input, output) = if expanded {
        let mut interface = || Some((r.u32()?, r.u32()?));
        let (input, output) = (interface()?, interface()?);
        let index = |(format, value)| (format == 0 && value != u32::MAX).then_some(value);
        (index(input), index(output))
    } else {
        // The upper two bits say what the lower ones are: 0 an interface, 1 a reason for discarding, 2 a number of interfaces.
        let index = |value: u32| (value >> 30 == 0).then_some(value);
        (index(r.u32()?), index(r.u32()?))
    };
    let records = r.u32()?;
    Some(Part::Packet(Sample { sequence, of, rate, input, output, discarded: None, records, rest: r }))
}

/// `discarded_packet` (sflow.org, "sFlow Dropped Packet Notification Structures", October 2020).
fn discarded(mut r: Reader<'_>) -> Option<Sample<'_>> {
    let (sequence, of) = (r.u32()?, r.data_source(true)?);
    r.take(4)?; // Notifications that were suppressed.
    let index = |value: u32| (value != 0).then_some(value);
    let (input, output) = (index(r.u32()?), index(r.u32()?));
    let (reason, records) = (r.u32()?, r.u32()?);
    Some(Sample { sequence, of, rate: 0, input, output, discarded: Some(reason), records, rest: r })
}

/// Why packets are discarded, by the numbers of `drop_reason` from 0 and from 256 on: ICMP's codes of what cannot be reached, and those of
/// switches.
const REASONS: [&[&str]; 2] = [
    &[
        "net_unreachable",
        "host_unreachable",
        "protocol_unreachable",
        "port_unreachable",
        "frag_needed",
        "src_route_failed",
        "dst_net_unknown",
        "dst_host_unknown",
        "src_host_isolated",
        "dst_net_prohibited",
        "dst_host_prohibited",
        "dst_net_tos_unreachable",
        "dst_host_tos_unreachable",
        "comm_admin_prohibited",
        "host_precedence_violation",
        "precedence_cutoff",
    ],
    &[
        "unknown",
        "ttl_exceeded",
        "acl",
        "no_buffer_space",
        "red",
        "traffic_shaping",
        "pkt_too_big",
        "src_mac_is_multicast",
        "vlan_tag_mismatch",
        "ingress_vlan_filter",
        "ingress_spanning_tree_filter",
        "port_list_is_empty",
        "port_loopback_filter",
        "blackhole_route",
        "non_ip",
        "uc_dip_over_mc_dmac",
        "dip_is_loopback_address",
        "sip_is_mc",
        "sip_is_loopback_address",
        "ip_header_corrupted",
        "ipv4_sip_is_limited_bc",
        "ipv6_mc_dip_reserved_scope",
        "ipv6_mc_dip_interface_local_scope",
        "unresolved_neigh",
        "mc_reverse_path_forwarding",
        "non_routable_packet",
        "decap_error",
        "overlay_smac_is_mc",
        "unknown_l2",
        "unknown_l3",
        "unknown_l3_exception",
        "unknown_buffer",
        "unknown_tunnel",
        "unknown_l4",
        "sip_is_unspecified",
        "mlag_port_isolation",
        "blackhole_arp_neigh",
        "src_mac_is_dmac",
        "dmac_is_reserved",
        "sip_is_class_e",
        "mc_dmac_mismatch",
        "sip_is_dip",
        "dip_is_local_network",
        "dip_is_link_local",
        "overlay_smac_is_dmac",
        "egress_vlan_filter",
        "uc_reverse_path_forwarding",
        "split_horizon",
    ],
];

/// The name of a reason.
fn reason(number: u32) -> Option<&'static str> {
    REASONS[usize::from(number >= 256)].get(number as usize % 256).copied().filter(|_| number < 512)
}

impl Sample<'_> {
    /// Whether its number counts samples: those of discarded packets are numbered apart.
    pub(super) fn counts(&self) -> bool {
        self.discarded.is_none()
    }

    /// Writes what the sample's records say. False where they are cut.
    pub(super) fn write(mut self, row: &mut RowBuilder<'_>) -> bool {
        if self.rate > 0 {
            row.uint(FieldId::FLOW_SAMPLING_RATE, self.rate.into());
        }
        if let Some(input) = self.input {
            row.uint(FieldId::OBSERVER_INGRESS_INTERFACE_ID, input.into());
        }
        if let Some(output) = self.output {
            row.uint(FieldId::OBSERVER_EGRESS_INTERFACE_ID, output.into());
        }
        row.uint(FieldId::NETWORK_PACKETS, 1);
        if let Some(number) = self.discarded {
            row.fixed(FieldId::EVENT_ACTION, "dropped");
            if let Some(reason) = reason(number) {
                row.fixed(FieldId::EVENT_REASON, reason);
            }
        }
        // The packet's own head says most; the parsed forms (2, 3, 4) come in its place.
        let mut known = false;
        for _ in 0..self.records {
            let Some(format) = self.rest.u32() else { return false };
            let Some(record) = self.rest.opaque() else { return false };
            let whole = match format {
                1 if !known => packet_head(record, row).map(|found| known |= found),
                2 => ethernet(record, row),
                3 if !known => addresses(record, false, row).map(|()| known = true),
                4 if !known => addresses(record, true, row).map(|()| known = true),
                1001 => switch(record, row),
                1002 => router(record, row),
                1003 => gateway(record, row),
                1004 => users(record, row),
                1005 => url(record, row),
                1007 => nat(record, row),
                1020 => nat_ports(record, row),
                1029 | 1030 => network_id(record, usize::from(format == 1030), row),
                _ => Some(()),
            };
            if whole.is_none() {
                return false;
            }
        }
        true
    }
}

/// `sampled_header`. Whether it is a packet of IP.
fn packet_head(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<bool> {
    let (protocol, bytes, _stripped) = (r.u32()?, r.u32()?, r.u32()?);
    let b = r.opaque()?.bytes;
    row.uint(FieldId::NETWORK_BYTES, bytes.into());
    let bare = |start| (packet::Link::default(), start);
    let tagged = |at: Option<usize>| {
        let mut link = packet::Link::default();
        packet::ether_type(b, at?, &mut link).map(|start| (link, start))
    };
    let found = match protocol {
        1 => packet::ethernet(b),
        // Frame relay (RFC 2427): two bytes of address, and what follows is IP.
        5 => matches!(b.get(2..4), Some([3, 0xcc | 0x8e])).then(|| bare(4)),
        // PPP, also over SONET, and Cisco's HDLC: an address, a byte of control and a type of Ethernet.
        7 | 14 if matches!(b.get(..2), Some([0x0f | 0x8f, 0])) => tagged(Some(2)),
        7 | 14 => ppp(b).map(bare),
        9 | 10 => tagged(packet::snap(b, 0)),
        11 | 12 => Some(bare(0)),
        13 => packet::labels(b, 0).map(bare),
        15 => packet::wireless(b),
        _ => None,
    };
    let Some((link, start)) = found else { return Some(false) };
    for (field, mac) in [(FieldId::SOURCE_MAC, link.source_mac), (FieldId::DESTINATION_MAC, link.destination_mac)] {
        if let Some(mac) = mac {
            super::add_mac(row, field, &mac);
        }
    }
    if let Some(vlan) = link.vlan {
        row.uint(FieldId::NETWORK_VLAN_ID, vlan.into());
    }
    let Some(network) = packet::network(b, start) else { return Some(false) };
    row.ip(FieldId::SOURCE_IP, network.source);
    row.ip(FieldId::DESTINATION_IP, network.destination);
    super::add_family(row);
    super::add_protocol(row, network.protocol.into());
    let transport = packet::transport(b, &network);
    if let Some((source, destination)) = transport.ports {
        row.uint(FieldId::SOURCE_PORT, source.into());
        row.uint(FieldId::DESTINATION_PORT, destination.into());
    }
    if let Some(flags) = transport.tcp_flags {
        row.uint(FieldId::FLOW_TCP_FLAGS, flags.into());
    }
    if let Some((kind, code)) = transport.icmp {
        row.uint(FieldId::ICMP_TYPE, kind.into());
        row.uint(FieldId::ICMP_CODE, code.into());
    }
    if let Some(inner) = packet::inner(b, &network) {
        write_inner(b, &inner, row);
    }
    Some(true)
}

/// What a tunnel carries.
struct Inner {
    source: FieldId,
    destination: FieldId,
    protocol: FieldId,
    ports: [FieldId; 2],
}

static INNER: LazyLock<Inner> = LazyLock::new(|| Inner {
    source: FieldId::known("flow.inner.source.ip"),
    destination: FieldId::known("flow.inner.destination.ip"),
    protocol: FieldId::known("flow.inner.iana_number"),
    ports: [FieldId::known("flow.inner.source.port"), FieldId::known("flow.inner.destination.port")],
});

fn write_inner(b: &[u8], inner: &packet::Network, row: &mut RowBuilder<'_>) {
    row.ip(INNER.source, inner.source);
    row.ip(INNER.destination, inner.destination);
    row.uint(INNER.protocol, inner.protocol.into());
    if let Some((source, destination)) = packet::transport(b, inner).ports {
        for (field, port) in INNER.ports.into_iter().zip([source, destination]) {
            row.uint(field, port.into());
        }
    }
}

/// A frame or packet that an exporter of IPFIX took a piece of (RFC 5477 §8.5): who talks is told as client and server, as the exporter itself
/// has not said who the source is.
pub(super) fn section(element: u16, b: &[u8], row: &mut RowBuilder<'_>) {
    let start = if element == FRAME_SECTION { packet::ethernet(b).map(|(_, start)| start) } else { Some(0) };
    let Some(network) = start.and_then(|start| packet::network(b, start)) else { return };
    row.ip(FieldId::CLIENT_IP, network.source);
    row.ip(FieldId::SERVER_IP, network.destination);
    if let Some((source, destination)) = packet::transport(b, &network).ports {
        row.uint(FieldId::CLIENT_PORT, source.into());
        row.uint(FieldId::SERVER_PORT, destination.into());
    }
    if !row.has(FieldId::NETWORK_IANA_NUMBER) {
        super::add_protocol(row, network.protocol.into());
    }
}

/// ipHeaderPacketSection and dataLinkFrameSection.
pub(super) const PACKET_SECTION: u16 = 313;
pub(super) const FRAME_SECTION: u16 = 315;

/// Where the network header begins in a PPP frame (RFC 1661), with or without its address and control bytes, and with its protocol in one
/// byte or in two.
fn ppp(b: &[u8]) -> Option<usize> {
    let at = if b.starts_with(&[0xff, 0x03]) { 2 } else { 0 };
    match b.get(at..)? {
        [0x21 | 0x57, ..] => Some(at + 1),
        [0x00, 0x21 | 0x57, ..] => Some(at + 2),
        [0x02, 0x81 | 0x83, ..] => packet::labels(b, at + 2),
        _ => None,
    }
}

/// `sampled_ipv4` and `sampled_ipv6`.
fn addresses(mut r: Reader<'_>, v6: bool, row: &mut RowBuilder<'_>) -> Option<()> {
    let (bytes, protocol) = (r.u32()?, r.u32()?);
    let (source, destination) = if v6 { (r.ip6()?, r.ip6()?) } else { (r.ip4()?, r.ip4()?) };
    let (source_port, destination_port, tcp_flags) = (r.u32()?, r.u32()?, r.u32()?);
    if !row.has(FieldId::NETWORK_BYTES) {
        row.uint(FieldId::NETWORK_BYTES, bytes.into());
    }
    row.ip(FieldId::SOURCE_IP, source);
    row.ip(FieldId::DESTINATION_IP, destination);
    super::add_family(row);
    super::add_protocol(row, protocol.into());
    row.uint(FieldId::SOURCE_PORT, source_port.into());
    row.uint(FieldId::DESTINATION_PORT, destination_port.into());
    if protocol == 6 {
        row.uint(FieldId::FLOW_TCP_FLAGS, tcp_flags.into());
    }
    Some(())
}

/// `sampled_ethernet`: addresses of six bytes, each filled up to eight.
fn ethernet(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    let (bytes, source, destination) = (r.u32()?, r.take(8)?, r.take(8)?);
    for (field, mac) in [(FieldId::SOURCE_MAC, source), (FieldId::DESTINATION_MAC, destination)] {
        if !row.has(field) {
            super::add_mac(row, field, &mac[..6]);
        }
    }
    if !row.has(FieldId::NETWORK_BYTES) {
        row.uint(FieldId::NETWORK_BYTES, bytes.into());
    }
    Some(())
}

static NEXT_HOP: LazyLock<FieldId> = LazyLock::new(|| FieldId::known("flow.next_hop_ip"));

/// `extended_router`: where the packet went next.
fn router(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    if let Some(next) = r.address()? {
        row.ip(*NEXT_HOP, next);
    }
    Some(())
}

/// `extended_user`: who sends and who receives, each behind the number of a character set.
fn users(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    for field in [FieldId::SOURCE_USER_NAME, FieldId::DESTINATION_USER_NAME] {
        r.u32()?;
        super::element::add_text(row, field, r.opaque()?.bytes);
    }
    Some(())
}

/// `extended_url`: behind the direction what was asked for, and of which host.
fn url(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    r.u32()?;
    for field in [FieldId::URL_ORIGINAL, FieldId::URL_DOMAIN] {
        super::element::add_text(row, field, r.opaque()?.bytes);
    }
    Some(())
}

/// `extended_switch`: the VLAN where the packet's own head has none.
fn switch(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    let vlan = r.u32()?;
    if (1..4095).contains(&vlan) && !row.has(FieldId::NETWORK_VLAN_ID) {
        row.uint(FieldId::NETWORK_VLAN_ID, vlan.into());
    }
    Some(())
}

/// `extended_gateway`: the source's autonomous system and the last of the path to the destination.
fn gateway(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    r.address()?;
    let (_own, source, _peer, segments) = (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
    row.uint(FieldId::SOURCE_AS_NUMBER, source.into());
    let mut last = None;
    for _ in 0..segments {
        let (_kind, length) = (r.u32()?, r.u32()?);
        let path = r.take((length as usize).checked_mul(4)?)?;
        last = path.last_chunk::<4>().map(|n| u32::from_be_bytes(*n)).or(last);
    }
    if let Some(last) = last {
        row.uint(FieldId::DESTINATION_AS_NUMBER, last.into());
    }
    Some(())
}

/// `extended_nat`: the addresses after translation.
fn nat(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    for field in [FieldId::SOURCE_NAT_IP, FieldId::DESTINATION_NAT_IP] {
        if let Some(ip) = r.address()? {
            row.ip(field, ip);
        }
    }
    Some(())
}

/// `extended_nat_port`.
fn nat_ports(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    for field in [FieldId::SOURCE_NAT_PORT, FieldId::DESTINATION_NAT_PORT] {
        row.uint(field, r.u32()?.into());
    }
    Some(())
}

static NETWORK_ID: LazyLock<[FieldId; 2]> = LazyLock::new(|| ["flow.egress_vni", "flow.ingress_vni"].map(FieldId::known));

/// `extended_vni_egress` and `extended_vni_ingress` ("sFlow Tunnel Structures"): the virtual network on either side.
fn network_id(mut r: Reader<'_>, side: usize, row: &mut RowBuilder<'_>) -> Option<()> {
    row.uint(NETWORK_ID[side], r.u32()?.into());
    Some(())
}
