//! No bytes make the flow decoder panic, and a packet that it cannot read is one quarantined event.

use std::net::SocketAddr;

use event::{BatchBuilder, Content, FieldId, Frame, FrameHead, LogRange, Position, TenantId, Time, Transport, Value};
use ingest::decode::Decoder;
use ingest::decode::flow::FlowDecoder;
use proptest::prelude::*;

/// One datagram from `exporter`, decoded; the events as a batch.
fn decode(decoder: &mut FlowDecoder, exporter: &str, offset: u64, bytes: &[u8]) -> event::Batch {
    let head = FrameHead {
        position: Position { partition: 0, offset },
        received: Time::from_unix_s(1_700_000_000),
        tenant: TenantId(0),
        source: exporter.parse::<SocketAddr>().ok(),
        origin: None,
        transport: Transport::Udp,
        content: Content::Flow,
        truncated: false,
        listener: 0,
    };
    let mut batch = BatchBuilder::default();
    decoder.decode(Frame { head, bytes }, &mut batch);
    batch.finish(LogRange::default(), Time::UNKNOWN)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// An sFlow datagram of one sampled TCP SYN over VLAN 7, one packet in 512.
fn sflow() -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0x00, 0x07, 0x08, 0x00];
    packet.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
    packet.extend([0xc0, 0x00, 0x01, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02]);
    let length = packet.len() as u32;
    packet.resize(packet.len().next_multiple_of(4), 0);
    let mut record = words(&[1, 1518, 4, length]);
    record.extend(packet);
    let mut sample = words(&[1, 3, 512, 1024, 0, 3, 4, 1, 1, record.len() as u32]);
    sample.extend(record);
    let mut datagram = words(&[5, 1, 0xc000_02fe, 9, 77, 1000, 1, 1, sample.len() as u32]);
    datagram.extend(sample);
    datagram
}

/// A NetFlow v5 or v7 datagram of one record.
fn v5(version: u16) -> Vec<u8> {
    let mut b = words(&[u32::from(version) << 16 | 1, 60_000, 1_700_000_000, 0, 0, 100]);
    b.extend(words(&[0xc000_0201, 0xc633_6402, 0, 0x0001_0002, 3, 180, 50_000, 55_000, 0xc000_0035, 0x0002_1100, 0, 0]));
    b.extend(words(if version == 7 { &[0] } else { &[] }));
    b
}

/// An IPFIX message: a template of source, destination, delta and total bytes, and protocol twice, then one record of it.
fn ipfix() -> Vec<u8> {
    let mut sets =
        words(&[0x0002_0020, 0x0100_0006, 0x0008_0004, 0x000c_0004, 0x0055_0004, 0x0001_0004, 0x0004_0001, 0x0004_0001]);
    sets.extend(words(&[0x0100_0016, 0xc000_0201, 0xc633_6402, 1000, 40]));
    sets.extend([4, 17]);
    let mut b = words(&[10 << 16 | (16 + sets.len() as u32), 1_700_000_000, 1, 5]);
    b.extend(sets);
    b
}

#[test]
fn each_version_gives_its_flow() {
    for (bytes, format, count) in
        [(sflow(), "sflow", 1518), (v5(5), "netflow_v5", 180), (v5(7), "netflow_v7", 180), (ipfix(), "ipfix", 40)]
    {
        let batch = decode(&mut FlowDecoder::default(), "192.0.2.254:6343", 1, &bytes);
        assert_eq!(batch.len(), 1, "{format}");
        let flow = batch.event(0);
        assert!(!flow.quarantined(), "{format}");
        assert_eq!(flow.format().name(), format);
        assert_eq!(flow.get(FieldId::SOURCE_IP).unwrap().to_string(), "192.0.2.1", "{format}");
        assert_eq!(flow.get(FieldId::DESTINATION_IP).unwrap().to_string(), "198.51.100.2", "{format}");
        // Observed, not multiplied by the rate; the count since the last record, not the total.
        assert_eq!(flow.get(FieldId::NETWORK_BYTES), Some(Value::Int(count)), "{format}");
    }
}

#[test]
fn a_packet_sample_is_told_by_its_headers() {
    let batch = decode(&mut FlowDecoder::default(), "192.0.2.254:6343", 1, &sflow());
    let flow = batch.event(0);
    for (field, value) in [
        (FieldId::SOURCE_PORT, 49_152),
        (FieldId::DESTINATION_PORT, 443),
        (FieldId::NETWORK_IANA_NUMBER, 6),
        (FieldId::NETWORK_VLAN_ID, 7),
        (FieldId::NETWORK_PACKETS, 1),
        (FieldId::FLOW_TCP_FLAGS, 2),
        (FieldId::FLOW_SAMPLING_RATE, 512),
        (FieldId::OBSERVER_INGRESS_INTERFACE_ID, 3),
        (FieldId::OBSERVER_EGRESS_INTERFACE_ID, 4),
    ] {
        assert_eq!(flow.get(field), Some(Value::Int(value)), "{field:?}");
    }
}

#[test]
fn the_outer_packet_stands_where_an_element_is_repeated() {
    let batch = decode(&mut FlowDecoder::default(), "192.0.2.254:4739", 1, &ipfix());
    assert_eq!(batch.event(0).get(FieldId::NETWORK_IANA_NUMBER), Some(Value::Int(4)));
}

#[test]
fn a_packet_cut_anywhere_is_survived_and_its_source_still_heard() {
    for whole in [sflow(), v5(5), v5(7), ipfix()] {
        let mut decoder = FlowDecoder::default();
        for length in 0..whole.len() {
            decode(&mut decoder, "192.0.2.254:6343", 1 + length as u64, &whole[..length]);
        }
        let batch = decode(&mut decoder, "192.0.2.254:6343", 100_000, &whole);
        assert!(batch.iter().any(|e| !e.quarantined() && e.get(FieldId::SOURCE_IP).is_some()));
    }
}

#[test]
fn what_is_no_flow_packet_is_one_quarantined_event() {
    for bytes in [&b""[..], b"\0", b"<13>a syslog line", &[0, 8, 0, 0], &[0, 0, 0, 4, 0, 0, 0, 1]] {
        let batch = decode(&mut FlowDecoder::default(), "192.0.2.254:6343", 1, bytes);
        assert_eq!(batch.len(), 1);
        assert!(batch.event(0).quarantined());
        assert!(batch.event(0).get(FieldId::ERROR_MESSAGE).is_some());
    }
}

/// An IPFIX message with a template of source, destination and `more` elements that nobody knows.
fn template(domain: u32, id: u16, more: u16) -> Vec<u8> {
    let count = 2 + more;
    let fields = [(8, 4), (12, 4)].into_iter().chain((0..more).map(|n| (20_000 + n, 4)));
    let mut set: Vec<u8> = [2, 8 + 4 * count, id, count].into_iter().flat_map(u16::to_be_bytes).collect();
    set.extend(fields.flat_map(|(element, length)| [element, length]).flat_map(u16::to_be_bytes));
    message(domain, &set)
}

fn message(domain: u32, set: &[u8]) -> Vec<u8> {
    let mut b = words(&[10 << 16 | (16 + set.len() as u32), 1_700_000_000, 1, domain]);
    b.extend(set);
    b
}

/// A message with one record of that template, `more` being none.
fn record(domain: u32, id: u16) -> Vec<u8> {
    let mut set = [id, 12].into_iter().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    set.extend(words(&[0xc000_0201, 0xc633_6402]));
    message(domain, &set)
}

/// Bytes of memory that this process has now.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells");
    statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

#[test]
fn a_million_templates_of_forged_exporters_cost_bounded_memory_and_leave_who_is_heard_of() {
    let mut decoder = FlowDecoder::default();
    decode(&mut decoder, "192.0.2.254:4739", 1, &template(1, 256, 0));
    assert_eq!(decode(&mut decoder, "192.0.2.254:4739", 2, &record(1, 256)).len(), 1);
    let before = resident_bytes();
    for n in 0..1_000_000u32 {
        let exporter = format!("10.{}.{}.1:4739", n / 256 % 40, n % 256);
        // Each a template of its own, small ones and large ones.
        let bytes = template(n / 10_240, (256 + n / 10_240 % 60_000) as u16, if n.is_multiple_of(97) { 300 } else { 0 });
        decode(&mut decoder, &exporter, 3, &bytes);
    }
    assert!(decoder.templates() <= 65_536, "{} templates", decoder.templates());
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 256 << 20, "{} MiB more", grown >> 20);
    let batch = decode(&mut decoder, "192.0.2.254:4739", 4, &record(1, 256));
    assert_eq!(batch.len(), 1, "its data could be read, so it goes last");
    assert!(!batch.event(0).quarantined());
    // Who comes last is learnt, not refused.
    decode(&mut decoder, "198.51.100.7:4739", 5, &template(1, 300, 0));
    assert_eq!(decode(&mut decoder, "198.51.100.7:4739", 6, &record(1, 300)).len(), 1);
}

#[test]
fn one_exporter_has_a_share_and_its_newest_templates_stand() {
    let mut decoder = FlowDecoder::default();
    for id in 0..5000u16 {
        decode(&mut decoder, "192.0.2.254:4739", 1, &template(u32::from(id / 2000), 256 + id % 2000, 0));
    }
    assert!((512..=1024).contains(&decoder.templates()), "{} templates", decoder.templates());
    assert_eq!(decode(&mut decoder, "192.0.2.254:4739", 2, &record(2, 256 + 999)).len(), 1);
}

#[test]
fn sets_without_a_template_are_held_within_bounds_and_decoded_when_it_comes() {
    let mut decoder = FlowDecoder::default();
    for n in 0..3u64 {
        assert!(decode(&mut decoder, "192.0.2.254:4739", 1 + n, &record(1, 256)).is_empty());
    }
    let before = resident_bytes();
    for n in 0..300_000u32 {
        let exporter = format!("10.{}.{}.1:4739", n / 256 % 256, n % 256);
        decode(&mut decoder, &exporter, 10, &record(n, 256));
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 256 << 20, "{} MiB more", grown >> 20);
    let batch = decode(&mut decoder, "192.0.2.254:4739", 11, &template(1, 256, 0));
    assert_eq!(batch.len(), 3);
    assert!(batch.iter().all(|event| event.get(FieldId::FLAGS) == Some(Value::Text("decoded_late"))));
    assert!(decode(&mut decoder, "192.0.2.254:4739", 12, &template(1, 256, 0)).is_empty(), "each once");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(version in prop::sample::select(vec![&[0u8, 5][..], &[0, 7], &[0, 9], &[0, 10], &[0, 0, 0, 5], &[]]),
                              rest in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [version, &rest].concat();
        decode(&mut FlowDecoder::default(), "192.0.2.254:6343", 1, &bytes);
    }

    #[test]
    fn changed_packets_are_survived(which in 0..4usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut bytes = [sflow(), v5(5), v5(7), ipfix()][which].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut decoder = FlowDecoder::default();
        for offset in 1..4 {
            decode(&mut decoder, "192.0.2.254:6343", offset, &bytes);
        }
    }

    #[test]
    fn a_snapshot_that_is_none_is_refused_without_a_change(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = FlowDecoder::default();
        prop_assert!(!decoder.restore(&bytes));
        prop_assert_eq!(decoder.templates(), 0);
    }
}
