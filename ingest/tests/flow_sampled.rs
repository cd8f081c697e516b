//! What samples of packets are told by: sFlow's heads of packets of every kind of link and tunnel, and why packets were discarded; pieces of
//! packets within IPFIX. Made packets, each also cut at every byte.

use std::net::{IpAddr, SocketAddr};

use event::{Batch, BatchBuilder, Content, EventRef, FieldId, Frame, FrameHead, LogRange, Time, Transport};
use ingest::decode::Decoder;
use ingest::decode::flow::FlowDecoder;

fn decode(decoder: &mut FlowDecoder, bytes: &[u8]) -> Batch {
    let head = FrameHead {
        received: Time::from_unix_s(1_700_000_010),
        source: "192.0.2.254:6343".parse::<SocketAddr>().ok(),
        ..FrameHead::new(Transport::Udp, Content::Flow)
    };
    let mut batch = BatchBuilder::default();
    decoder.decode(Frame { head, bytes }, &mut batch);
    batch.finish(LogRange::default(), Time::UNKNOWN)
}

fn says(what: &str, event: EventRef<'_>, expected: &[(&str, &str)]) {
    let value = |name: &str| FieldId::find(name).and_then(|field| event.get(field)).map(|value| value.to_string());
    for (name, expected) in expected {
        assert_eq!(value(name).as_deref(), Some(*expected).filter(|text| !text.is_empty()), "{what}: {name}");
    }
}

/// Numbers of so many bytes each.
fn be(parts: &[(u64, usize)]) -> Vec<u8> {
    parts.iter().flat_map(|(value, bytes)| u128::from(*value).to_be_bytes()[16 - bytes..].to_vec()).collect()
}

/// Opaque bytes of sFlow: a length, and filled up to four.
fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut all = be(&[(bytes.len() as u64, 4)]);
    all.extend(bytes);
    all.resize(all.len().next_multiple_of(4), 0);
    all
}

/// A datagram with one sample of such a format, whose head is `head` and whose records these.
fn datagram(format: u64, head: &[(u64, usize)], records: &[Vec<u8>]) -> Vec<u8> {
    let sample = [be(head), be(&[(records.len() as u64, 4)]), records.concat()].concat();
    let start = be(&[(5, 4), (1, 4), (0xc000_02fe, 4), (0, 4), (9, 4), (60_000, 4), (1, 4), (format, 4)]);
    [start, opaque(&sample)].concat()
}

const HEAD: &[(u64, usize)] = &[(1, 4), (3, 4), (512, 4), (512, 4), (0, 4), (3, 4), (4, 4)];

/// `sampled_header`.
fn header(protocol: u64, packet: &[u8]) -> Vec<u8> {
    let body = [be(&[(protocol, 4), (packet.len() as u64 + 4, 4), (4, 4)]), opaque(packet)].concat();
    [be(&[(1, 4)]), opaque(&body)].concat()
}

fn ip(protocol: u8, source: &str, body: &[u8]) -> Vec<u8> {
    let source: IpAddr = source.parse().expect("an address");
    match source {
        IpAddr::V4(source) => {
            let mut b =
                be(&[(0x45, 1), (0, 1), (20 + body.len() as u64, 2), (1, 2), (0, 2), (64, 1), (protocol.into(), 1), (0, 2)]);
            b.extend(source.octets().into_iter().chain([198, 51, 100, 7]).chain(body.iter().copied()));
            b
        }
        IpAddr::V6(source) => {
            let mut b = be(&[(0x6000_0000, 4), (body.len() as u64, 2), (protocol.into(), 1), (64, 1)]);
            b.extend(source.octets().into_iter().chain(source.octets()).chain(body.iter().copied()));
            b
        }
    }
}

/// The head of a connection's packet, and one of TCP within one of IP.
fn tcp() -> Vec<u8> {
    let head = be(&[(49_152, 2), (443, 2), (1, 4), (0, 4), (0x5012, 2), (1024, 2), (0, 4)]);
    ip(6, "10.1.2.3", &head)
}

fn udp(port: u64, body: &[u8]) -> Vec<u8> {
    [be(&[(40_000, 2), (port, 2), (8 + body.len() as u64, 2), (0, 2)]), body.to_vec()].concat()
}

/// A frame with such bytes behind its addresses.
fn frame(rest: &[&[u8]]) -> Vec<u8> {
    [be(&[(0x0200_0000_0002, 6), (0x0200_0000_0001, 6)]), rest.concat()].concat()
}

const SNAP: &[u8] = &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0];

#[test]
fn packets_of_every_link_are_read() {
    let packet = tcp();
    let p = &packet[..];
    let inner = frame(&[&[8, 0], p]);
    let length = |bytes: &[u8]| be(&[(bytes.len() as u64 + 8, 2)]);
    let label = be(&[(0x0001_0140, 4)]);
    // From a station to the network: the access point, who sends, who receives, and a number.
    let air = be(&[(0x0801_0000, 4), (0, 6), (0x0200_0000_0001, 6), (0x0200_0000_0002, 6), (0, 2)]);
    for (what, protocol, packet) in [
        ("Ethernet", 1, inner.clone()),
        ("two tags", 1, frame(&[&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0], p])),
        ("an old outer tag", 1, frame(&[&[0x92, 0, 0, 5, 0x81, 0, 0, 6, 8, 0], p])),
        ("IEEE 802.2", 1, frame(&[&length(p), SNAP, p])),
        ("a tag and IEEE 802.2", 1, frame(&[&[0x81, 0, 0, 5], &length(p), SNAP, p])),
        ("a port extender", 1, frame(&[&[0x89, 0x3f, 0, 0, 0, 0, 0, 0, 8, 0], p])),
        ("Cisco's port extender", 1, frame(&[&[0x89, 0x26, 0, 0, 0, 0, 8, 0], p])),
        ("Cisco's security group", 1, frame(&[&[0x89, 0x09, 1, 1, 0, 1, 0, 2, 8, 0], p])),
        ("a provider's backbone", 1, frame(&[&[0x88, 0xe7, 0, 0, 0, 1], &inner])),
        ("PPPoE", 1, frame(&[&[0x88, 0x64, 0x11, 0, 0, 1, 0, 0x2a, 0, 0x21], p])),
        ("labels", 1, frame(&[&[0x88, 0x47], &label, p])),
        ("a pseudowire", 1, frame(&[&[0x88, 0x47], &label, &[0; 4], &inner])),
        ("a pseudowire without a control word", 1, frame(&[&[0x88, 0x47], &label, &inner])),
        ("frame relay", 5, [&[0x18, 0x41, 3, 0xcc], p].concat()),
        ("PPP", 7, [&[0xff, 3, 0, 0x21], p].concat()),
        ("PPP in short", 7, [&[0x21], p].concat()),
        ("labels in PPP", 7, [&[0xff, 3, 2, 0x81], &label[..], p].concat()),
        ("HDLC of Cisco", 7, [&[0x0f, 0, 8, 0], p].concat()),
        ("packet over SONET", 14, [&[0xff, 3, 0, 0x21], p].concat()),
        ("ATM", 9, [SNAP, p].concat()),
        ("IP", 11, p.to_vec()),
        ("labels alone", 13, [&label[..], p].concat()),
        ("wireless", 15, [&air[..], SNAP, p].concat()),
    ] {
        let whole = datagram(1, HEAD, &[header(protocol, &packet)]);
        let batch = decode(&mut FlowDecoder::default(), &whole);
        assert_eq!(batch.len(), 1, "{what}");
        let expected = [
            ("source.ip", "10.1.2.3"),
            ("destination.ip", "198.51.100.7"),
            ("source.port", "49152"),
            ("destination.port", "443"),
        ];
        says(what, batch.event(0), &expected);
        says(what, batch.event(0), &[("network.transport", "tcp"), ("flow.tcp_flags", "18"), ("flow.inner.source.ip", "")]);
        for cut in 0..packet.len() {
            decode(&mut FlowDecoder::default(), &datagram(1, HEAD, &[header(protocol, &packet[..cut])]));
        }
    }
}

#[test]
fn what_a_tunnel_carries_is_told_beside_its_ends() {
    let packet = tcp();
    let p = &packet[..];
    let inner = frame(&[&[8, 0], p]);
    let six = ip(6, "2001:db8::1", &packet[20..]);
    for (what, outer, number, carried) in [
        ("IP in IP", ip(4, "10.9.9.9", p), "4", "10.1.2.3"),
        ("IPv6 in IP", ip(41, "10.9.9.9", &six), "41", "2001:db8::1"),
        ("GRE", ip(47, "10.9.9.9", &[&[0, 0, 8, 0], p].concat()), "47", "10.1.2.3"),
        (
            "GRE with key and number",
            ip(47, "10.9.9.9", &[&[0x30, 0, 8, 0, 0, 0, 0, 1, 0, 0, 0, 2], p].concat()),
            "47",
            "10.1.2.3",
        ),
        ("frames in GRE", ip(47, "10.9.9.9", &[&[0, 0, 0x65, 0x58], &inner[..]].concat()), "47", "10.1.2.3"),
        ("ERSPAN", ip(47, "10.9.9.9", &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &[0; 8], &inner[..]].concat()), "47", "10.1.2.3"),
        ("VXLAN", ip(17, "10.9.9.9", &udp(4789, &[&[8, 0, 0, 0, 0, 0, 5, 0], &inner[..]].concat())), "17", "10.1.2.3"),
        (
            "Geneve",
            ip(17, "10.9.9.9", &udp(6081, &[&[1, 0, 0x65, 0x58, 0, 0, 5, 0], &[0; 4][..], &inner[..]].concat())),
            "17",
            "10.1.2.3",
        ),
        ("GTP", ip(17, "10.9.9.9", &udp(2152, &[&[0x30, 255, 0, 40, 0, 0, 0, 1], p].concat())), "17", "10.1.2.3"),
    ] {
        let batch = decode(&mut FlowDecoder::default(), &datagram(1, HEAD, &[header(11, &outer)]));
        says(
            what,
            batch.event(0),
            &[("source.ip", "10.9.9.9"), ("network.iana_number", number), ("flow.inner.source.ip", carried)],
        );
        says(
            what,
            batch.event(0),
            &[("flow.inner.iana_number", "6"), ("flow.inner.source.port", "49152"), ("flow.inner.destination.port", "443")],
        );
        for cut in 0..outer.len() {
            decode(&mut FlowDecoder::default(), &datagram(1, HEAD, &[header(11, &outer[..cut])]));
        }
    }
}

#[test]
fn discarded_packets_are_told_with_the_reason() {
    let head = |reason| [(1, 4), (0, 4), (3, 4), (0, 4), (3, 4), (0, 4), (reason, 4)];
    let records = [header(1, &frame(&[&[8, 0], &tcp()])), [be(&[(1030, 4)]), opaque(&be(&[(5000, 4)]))].concat()];
    for (reason, name) in
        [(258, "acl"), (3, "port_unreachable"), (303, "split_horizon"), (304, ""), (100, ""), (u64::from(u32::MAX), "")]
    {
        let whole = datagram(5, &head(reason), &records);
        let batch = decode(&mut FlowDecoder::default(), &whole);
        let expected =
            [("event.action", "dropped"), ("event.reason", name), ("source.ip", "10.1.2.3"), ("flow.ingress_vni", "5000")];
        says("discarded", batch.event(0), &expected);
        says("discarded", batch.event(0), &[("observer.ingress.interface.id", "3"), ("observer.egress.interface.id", "")]);
        for cut in 0..whole.len() {
            decode(&mut FlowDecoder::default(), &whole[..cut]);
        }
    }
}

#[test]
fn a_piece_of_a_packet_within_ipfix_says_who_talks() {
    let message = |element: u64, length: u64, section: &[u8]| {
        let template = be(&[(2, 2), (16, 2), (300, 2), (2, 2), (10, 2), (4, 2), (element, 2), (length, 2)]);
        let data = [be(&[(300, 2), (8 + section.len() as u64, 2), (9, 4)]), section.to_vec()].concat();
        let all = 16 + template.len() + data.len();
        [be(&[(10, 2), (all as u64, 2), (1_700_000_000, 4), (1, 4), (7, 4)]), template, data].concat()
    };
    let framed = frame(&[&[8, 0], &tcp()]);
    let varying = [be(&[(framed.len() as u64, 1)]), framed.clone()].concat();
    for bytes in [message(315, framed.len() as u64, &framed), message(315, 65_535, &varying), message(313, 40, &tcp())] {
        let batch = decode(&mut FlowDecoder::default(), &bytes);
        assert_eq!(batch.len(), 1);
        let expected =
            [("client.ip", "10.1.2.3"), ("server.ip", "198.51.100.7"), ("client.port", "49152"), ("server.port", "443")];
        says("section", batch.event(0), &expected);
        says("section", batch.event(0), &[("network.transport", "tcp"), ("network.type", "ipv4"), ("source.ip", "")]);
    }
}
