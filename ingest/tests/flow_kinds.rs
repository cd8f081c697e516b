//! What exporters of every kind write: fixed layouts of NetFlow, lists of IPFIX, records that sFlow puts beside a packet. Made packets, each
//! also cut at every byte and with lengths that lie.

use std::net::SocketAddr;

use event::{Batch, BatchBuilder, Content, EventRef, FieldId, Frame, FrameHead, LogRange, Time, Transport};
use ingest::decode::Decoder;
use ingest::decode::flow::{FlowDecoder, is_flow};

fn decode(decoder: &mut FlowDecoder, bytes: &[u8]) -> Batch {
    decode_of(Transport::Udp, decoder, bytes)
}

fn decode_of(transport: Transport, decoder: &mut FlowDecoder, bytes: &[u8]) -> Batch {
    let head = FrameHead {
        received: Time::from_unix_s(1_700_000_010),
        source: "192.0.2.254:2055".parse::<SocketAddr>().ok(),
        ..FrameHead::new(transport, Content::Flow)
    };
    let mut batch = BatchBuilder::default();
    decoder.decode(Frame { head, bytes }, &mut batch);
    batch.finish(LogRange::default(), Time::UNKNOWN)
}

/// What an event says in these fields, those left out that it lacks.
fn told(event: EventRef<'_>, names: &[&str]) -> Vec<(String, String)> {
    let value = |name: &&str| {
        let value = event.get(FieldId::find(name)?)?;
        Some((name.to_string(), value.to_string()))
    };
    names.iter().filter_map(value).collect()
}

fn says(event: EventRef<'_>, expected: &[(&str, &str)]) {
    assert!(!event.quarantined());
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    let expected: Vec<(String, String)> = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert_eq!(told(event, &names), expected);
}

/// Numbers of so many bytes each.
fn be(parts: &[(u64, usize)]) -> Vec<u8> {
    parts.iter().flat_map(|(value, bytes)| u128::from(*value).to_be_bytes()[16 - bytes..].to_vec()).collect()
}

/// Cut at every byte and with each byte made the largest, one at a time: whatever comes of it, a decoder goes on to read the whole.
fn survives(whole: &[u8], before: &[u8]) {
    let mut decoder = FlowDecoder::default();
    decode(&mut decoder, before);
    for at in 0..whole.len() {
        decode(&mut decoder, &whole[..at]);
        let mut lies = whole.to_vec();
        lies[at] = 0xff;
        decode(&mut decoder, &lies);
    }
    decode(&mut decoder, before);
    assert!(decode(&mut decoder, whole).iter().all(|event| !event.quarantined()));
}

const SOURCE: (u64, usize) = (0x0a01_0203, 4);
const DESTINATION: (u64, usize) = (0xc633_6407, 4);

#[test]
fn version_1() {
    let mut bytes = be(&[(1, 2), (1, 2), (60_000, 4), (1_700_000_000, 4), (5_000_000, 4)]);
    bytes.extend(be(&[SOURCE, DESTINATION, (0xc000_0201, 4), (3, 2), (4, 2), (7, 4), (900, 4), (50_000, 4), (55_000, 4)]));
    bytes.extend(be(&[(49_152, 2), (443, 2), (0, 2), (6, 1), (0x20, 1), (0x1b, 1), (0, 3), (0, 8)]));
    assert!(is_flow(&bytes) && !is_flow(&bytes[..67]));
    let batch = decode(&mut FlowDecoder::default(), &bytes);
    assert_eq!((batch.len(), batch.event(0).format().name()), (1, "netflow_v1"));
    says(
        batch.event(0),
        &[
            ("source.ip", "10.1.2.3"),
            ("source.port", "49152"),
            ("destination.ip", "198.51.100.7"),
            ("destination.port", "443"),
            ("network.transport", "tcp"),
            ("network.bytes", "900"),
            ("network.packets", "7"),
            ("flow.tcp_flags", "27"),
            ("flow.tos", "32"),
            ("flow.next_hop_ip", "192.0.2.1"),
            ("observer.ingress.interface.id", "3"),
            ("observer.egress.interface.id", "4"),
            ("event.start", "2023-11-14T22:13:10.005Z"),
            ("event.end", "2023-11-14T22:13:15.005Z"),
        ],
    );
    survives(&bytes, &[]);
}

/// A packet of v8 with one record of an aggregation.
fn v8(scheme: u64, record: &[(u64, usize)]) -> Vec<u8> {
    let mut bytes = be(&[(8, 2), (1, 2), (60_000, 4), (1_700_000_000, 4), (0, 4), (9, 4), (0, 2), (scheme, 1), (2, 1), (0, 4)]);
    bytes.extend(be(record));
    bytes
}

#[test]
fn every_aggregation_of_version_8() {
    let totals = [(2, 4), (7, 4), (900, 4), (50_000, 4), (55_000, 4)];
    let with = |rest: &[(u64, usize)]| [&totals[..], rest].concat();
    let catalyst = [(7, 4), (900, 4), (50_000, 4), (55_000, 4)];
    let systems = [(65_001, 2), (65_002, 2), (3, 2), (4, 2)];
    let both = [("flow.source_prefix", "10.1.2.3/24"), ("flow.destination_prefix", "198.51.100.7/16")];
    let masks = [(16, 1), (24, 1)];
    type Told<'t> = Vec<(&'t str, &'t str)>;
    let of_systems: Told<'_> = vec![
        ("source.as.number", "65001"),
        ("destination.as.number", "65002"),
        ("observer.ingress.interface.id", "3"),
        ("observer.egress.interface.id", "4"),
    ];
    let ends: Told<'_> = vec![("source.ip", "10.1.2.3"), ("destination.ip", "198.51.100.7")];
    let ports: Told<'_> = vec![("source.port", "53"), ("destination.port", "443")];
    /// Its number, a record, and what it says.
    type Aggregation<'t> = (u64, Vec<(u64, usize)>, Told<'t>);
    let cases: Vec<Aggregation<'_>> = vec![
        (1, with(&systems), of_systems.clone()),
        (2, with(&[(17, 1), (0, 3), (53, 2), (443, 2)]), [ports.clone(), vec![("network.transport", "udp")]].concat()),
        (3, with(&[SOURCE, (24, 1), (0, 1), (65_001, 2), (3, 2), (0, 2)]), vec![both[0], of_systems[0], of_systems[2]]),
        (4, with(&[DESTINATION, (16, 1), (0, 1), (65_002, 2), (4, 2), (0, 2)]), vec![both[1], of_systems[1], of_systems[3]]),
        (
            5,
            with(&[&[SOURCE, DESTINATION], &masks[..], &[(0, 2)], &systems[..]].concat()),
            [both.to_vec(), of_systems.clone()].concat(),
        ),
        (
            6,
            [&[DESTINATION], &catalyst[..], &[(4, 2), (0x20, 1), (0, 1), (0, 8)]].concat(),
            vec![ends[1], of_systems[3], ("flow.tos", "32")],
        ),
        (
            7,
            [&[DESTINATION, SOURCE], &catalyst[..], &[(4, 2), (3, 2), (0x20, 1), (0, 3), (0, 8)]].concat(),
            [ends.clone(), of_systems[2..].to_vec()].concat(),
        ),
        (
            8,
            [&[DESTINATION, SOURCE, (443, 2), (53, 2)], &catalyst[..], &[(4, 2), (3, 2), (0x20, 1), (17, 1), (0, 2), (0, 8)]]
                .concat(),
            [ends.clone(), ports.clone(), of_systems[2..].to_vec(), vec![("network.iana_number", "17")]].concat(),
        ),
        (9, with(&[&systems[..], &[(0x20, 1), (0, 3)]].concat()), [of_systems.clone(), vec![("flow.tos", "32")]].concat()),
        (
            10,
            with(&[(17, 1), (0x20, 1), (0, 2), (53, 2), (443, 2), (3, 2), (4, 2)]),
            [ports.clone(), of_systems[2..].to_vec(), vec![("flow.tos", "32"), ("network.transport", "udp")]].concat(),
        ),
        (11, with(&[SOURCE, (24, 1), (0x20, 1), (65_001, 2), (3, 2), (0, 2)]), vec![both[0], ("flow.tos", "32"), of_systems[0]]),
        (
            12,
            with(&[DESTINATION, (16, 1), (0x20, 1), (65_002, 2), (4, 2), (0, 2)]),
            vec![both[1], ("flow.tos", "32"), of_systems[1]],
        ),
        (
            13,
            with(&[&[SOURCE, DESTINATION], &masks[..], &[(0x20, 1), (0, 1)], &systems[..]].concat()),
            [both.to_vec(), of_systems.clone(), vec![("flow.tos", "32")]].concat(),
        ),
        (
            14,
            with(&[&[SOURCE, DESTINATION], &masks[..], &[(0x20, 1), (17, 1), (53, 2), (443, 2), (3, 2), (4, 2)]].concat()),
            [both.to_vec(), ports.clone(), of_systems[2..].to_vec(), vec![("network.transport", "udp")]].concat(),
        ),
    ];
    for (scheme, record, expected) in cases {
        let bytes = v8(scheme, &record);
        assert!(is_flow(&bytes), "{scheme}");
        let batch = decode(&mut FlowDecoder::default(), &bytes);
        assert_eq!((batch.len(), batch.event(0).format().name()), (1, "netflow_v8"), "{scheme}");
        says(batch.event(0), &expected);
        says(batch.event(0), &[("network.bytes", "900"), ("network.packets", "7"), ("event.end", "2023-11-14T22:13:15Z")]);
        assert_eq!(told(batch.event(0), &["flow.count"]).is_empty(), (6..=8).contains(&scheme));
        survives(&bytes, &[]);
    }
    for scheme in [0, 15, 255] {
        assert!(decode(&mut FlowDecoder::default(), &v8(scheme, &[(0, 16), (0, 16), (0, 12)])).event(0).quarantined());
    }
}

fn ipfix(sets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = be(&[(10, 2), (0, 2), (1_700_000_000, 4), (1, 4), (7, 4)]);
    for (set, body) in sets {
        bytes.extend(be(&[(*set, 2), (body.len() as u64 + 4, 2)]));
        bytes.extend(body);
    }
    let length = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// A value of variable length, told in the long form where `long`.
fn variable(value: &[u8], long: bool) -> Vec<u8> {
    let mut bytes = if long { be(&[(255, 1), (value.len() as u64, 2)]) } else { be(&[(value.len() as u64, 1)]) };
    bytes.extend(value);
    bytes
}

/// Source, octets and a list of that element; two templates of texts for what stands within: of YAF's inspection, and of a list of them.
fn templates(list: u64) -> Vec<u8> {
    let flow = be(&[(300, 2), (3, 2), (8, 2), (4, 2), (1, 2), (4, 2), (list, 2), (65_535, 2)]);
    let inspected = be(&[
        (301, 2),
        (3, 2),
        (0x8000 | 117, 2),
        (65_535, 2),
        (6871, 4),
        (0x8000 | 111, 2),
        (65_535, 2),
        (6871, 4),
        (1, 2),
        (4, 2),
    ]);
    let nested = be(&[(302, 2), (1, 2), (292, 2), (65_535, 2)]);
    ipfix(&[(2, [flow, inspected, nested].concat())])
}

#[test]
fn texts_are_read_out_of_lists() {
    let inspected = |host: &[u8], agent: &[u8]| [variable(host, false), variable(agent, true), be(&[(0xffff_ffff, 4)])].concat();
    let records = [inspected(b"www.city.example", b"curl/8"), inspected(b"other.example", b"")].concat();
    let list = [be(&[(0xff, 1), (301, 2)]), records.clone()].concat();
    let several = [be(&[(0xff, 1), (299, 2), (6, 2), (0, 2), (301, 2), (4 + records.len() as u64, 2)]), records].concat();
    let nested = [be(&[(0xff, 1), (302, 2)]), variable(&list, false)].concat();
    let basic = |first: u64, length: u64, rest: &[u8]| [&be(&[(3, 1), (first, 2), (length, 2)])[..], rest].concat();
    let hosts = basic(0x8000 | 117, 65_535, &[&be(&[(6871, 4)])[..], &variable(b"www.city.example", false)].concat());
    for (element, list, expected) in [
        (292, list, vec![("url.domain", "www.city.example"), ("user_agent.original", "curl/8")]),
        (293, several, vec![("url.domain", "www.city.example"), ("user_agent.original", "curl/8")]),
        (292, nested, vec![("url.domain", "www.city.example"), ("user_agent.original", "curl/8")]),
        (291, hosts, vec![("url.domain", "www.city.example")]),
        // Values of no length, of numbers, of an element that nobody knows; none at all.
        (291, basic(147, 0, b"abc"), vec![]),
        (291, basic(1, 4, &[9; 8]), vec![]),
        (291, basic(500, 1, b"abc"), vec![]),
        (291, vec![], vec![]),
    ] {
        let data = ipfix(&[(300, [be(&[SOURCE, (900, 4)]), variable(&list, true)].concat())]);
        let mut decoder = FlowDecoder::default();
        decode(&mut decoder, &templates(element));
        let batch = decode(&mut decoder, &data);
        assert_eq!(batch.len(), 1);
        // Its own count, not one from within.
        says(batch.event(0), &[("source.ip", "10.1.2.3"), ("network.bytes", "900")]);
        says(batch.event(0), &expected);
        assert_eq!(told(batch.event(0), &["url.domain", "user_agent.original", "network.name"]).len(), expected.len());
        survives(&data, &templates(element));
    }
}

#[test]
fn lists_within_lists_end() {
    // A list of the template of lists of itself, as deep as its bytes go.
    let mut list = be(&[(0xff, 1), (302, 2)]);
    for _ in 0..10_000 {
        list = [be(&[(0xff, 1), (302, 2)]), variable(&list, true)].concat();
    }
    let data = ipfix(&[(300, [be(&[SOURCE, (900, 4)]), variable(&list, true)].concat())]);
    let mut decoder = FlowDecoder::default();
    decode(&mut decoder, &templates(292));
    assert_eq!(decode(&mut decoder, &data).len(), 1);
}

/// Opaque bytes of sFlow: a length, and filled up to four.
fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut all = be(&[(bytes.len() as u64, 4)]);
    all.extend(bytes);
    all.resize(all.len().next_multiple_of(4), 0);
    all
}

#[test]
fn what_sflow_puts_beside_a_packet() {
    let record = |format: u64, body: Vec<u8>| [be(&[(format, 4)]), opaque(&body)].concat();
    let records = [
        record(2, be(&[(1500, 4), (0x0200_0000_0001, 6), (0, 2), (0x0200_0000_0002, 6), (0, 2), (0x0800, 4)])),
        record(3, be(&[(1480, 4), (6, 4), SOURCE, DESTINATION, (49_152, 4), (443, 4), (0x12, 4), (0, 4)])),
        record(1002, be(&[(1, 4), (0xc000_0201, 4), (24, 4), (16, 4)])),
        record(1004, [be(&[(106, 4)]), opaque("太郎".as_bytes()), be(&[(3, 4)]), opaque(b"svc")].concat()),
        record(1005, [be(&[(1, 4)]), opaque(b"/index.html"), opaque(b"www.city.example")].concat()),
        record(1007, be(&[(1, 4), (0xcb00_7101, 4), (1, 4), (0x0a01_0001, 4)])),
        record(1020, be(&[(1024, 4), (8443, 4)])),
        record((9 << 12) | 1, vec![1, 2, 3]), // An enterprise's own.
    ];
    let mut sample = be(&[(1, 4), (0, 4), (3, 4), (512, 4), (512, 4), (0, 4), (0, 4), (3, 4), (0, 4), (4, 4)]);
    sample.extend(be(&[(records.len() as u64, 4)]));
    sample.extend(records.concat());
    let vendor = be(&[(1, 4), (3, 4), (0, 4)]);
    let mut bytes = be(&[(5, 4), (1, 4), (0xc000_02fe, 4), (0, 4), (9, 4), (60_000, 4), (2, 4)]);
    bytes.extend([be(&[((9 << 12) | 2, 4)]), opaque(&vendor), be(&[(3, 4)]), opaque(&sample)].concat());
    let batch = decode(&mut FlowDecoder::default(), &bytes);
    assert_eq!(batch.len(), 1, "what an enterprise counts is its own");
    says(
        batch.event(0),
        &[
            ("source.ip", "10.1.2.3"),
            ("destination.port", "443"),
            ("source.mac", "02:00:00:00:00:01"),
            ("destination.mac", "02:00:00:00:00:02"),
            ("network.bytes", "1500"),
            ("flow.next_hop_ip", "192.0.2.1"),
            ("source.user.name", "太郎"),
            ("destination.user.name", "svc"),
            ("url.original", "/index.html"),
            ("url.domain", "www.city.example"),
            ("source.nat.ip", "203.0.113.1"),
            ("destination.nat.ip", "10.1.0.1"),
            ("source.nat.port", "1024"),
            ("destination.nat.port", "8443"),
            ("observer.ingress.interface.id", "3"),
            ("observer.egress.interface.id", "4"),
            ("flow.sampling_rate", "512"),
        ],
    );
    for at in 0..bytes.len() {
        decode(&mut FlowDecoder::default(), &bytes[..at]);
        let mut lies = bytes.clone();
        lies[at] = 0xff;
        decode(&mut FlowDecoder::default(), &lies);
    }
}

/// A datagram of sFlow with one sample of counters in either form.
fn counters(expanded: bool, records: &[Vec<u8>]) -> Vec<u8> {
    let mut sample = be(&[(7, 4)]);
    sample.extend(if expanded { be(&[(0, 4), (70_000_000, 4)]) } else { be(&[(3, 4)]) });
    sample.extend(be(&[(records.len() as u64, 4)]));
    sample.extend(records.concat());
    let mut bytes = be(&[(5, 4), (1, 4), (0xc000_02fe, 4), (0, 4), (9, 4), (60_000, 4), (1, 4)]);
    bytes.extend([be(&[(if expanded { 4 } else { 2 }, 4)]), opaque(&sample)].concat());
    bytes
}

#[test]
fn what_sflow_counts_is_a_metric() {
    const UNKNOWN: u64 = u32::MAX as u64;
    let record = |format: u64, body: &[(u64, usize)]| [be(&[(format, 4)]), opaque(&be(body))].concat();
    let interface = |index: u64| {
        let (head, input) =
            ([(index, 4), (6, 4), (10_000_000_000, 8), (1, 4), (3, 4)], [(1 << 40, 8), (11, 4), (12, 4), (13, 4)]);
        let output = [(1 << 41, 8), (21, 4), (22, 4), (UNKNOWN, 4), (24, 4), (25, 4), (0, 4)];
        record(1, &[&head[..], &input, &[(14, 4), (15, 4), (16, 4)], &output].concat())
    };
    let ethernet = record(2, &(1..=13).map(|n| (n, 4)).collect::<Vec<_>>());
    let vlan = record(5, &[(110, 4), (5000, 8), (1, 4), (2, 4), (3, 4), (4, 4)]);
    let processor = record(1001, &[(1250, 4), (UNKNOWN, 4), (75, 4), (1 << 33, 8), (1 << 32, 8)]);
    let vendor = record((9 << 12) | 1, &[(1, 3)]);
    let switch = counters(false, &[interface(3), ethernet, vlan, processor, vendor, interface(4)]);
    let batch = decode(&mut FlowDecoder::default(), &switch);
    assert_eq!((batch.len(), batch.event(0).format().name()), (1, "sflow"));
    says(
        batch.event(0),
        &[
            ("event.kind", "metric"),
            ("observer.ip", "192.0.2.254"),
            ("flow.agent_ip", "192.0.2.254"),
            ("observer.ingress.interface.id", "3"),
            ("observer.egress.interface.id", "3"),
            ("sflow.interface.bits_per_second", "10000000000"),
            ("sflow.interface.in.bytes", "1099511627776"),
            ("sflow.interface.in.discards", "14"),
            ("sflow.interface.in.unknown_protocols", "16"),
            ("sflow.interface.out.bytes", "2199023255552"),
            ("sflow.interface.out.errors", "25"),
            ("sflow.ethernet.alignment_errors", "1"),
            ("sflow.ethernet.symbol_errors", "13"),
            ("network.vlan.id", "110"),
            ("sflow.vlan.discards", "4"),
            ("sflow.processor.percent_5s", "12.5"),
            ("sflow.processor.percent_5m", "0.75"),
            ("sflow.processor.memory_free_bytes", "4294967296"),
        ],
    );
    for unknown in ["sflow.interface.out.broadcast", "sflow.processor.percent_1m", "event.category", "source.ip"] {
        assert_eq!(told(batch.event(0), &[unknown]), [], "{unknown}");
    }
    let host =
        [be(&[(2000, 4)]), opaque(&[opaque(b"web-1"), be(&[(0xabc, 16), (3, 4), (2, 4)]), opaque(b"6.12")].concat())].concat();
    let load = u64::from(1.5f32.to_bits());
    let rest: Vec<(u64, usize)> = (1..=14).map(|n| (n * 1000, 4)).collect();
    let processors = record(2003, &[&[(load, 4), (load, 4), (u64::from(f32::NAN.to_bits()), 4)], &rest[..]].concat());
    let memory = record(2004, &[&(1..=7).map(|n| (n, 8)).collect::<Vec<_>>()[..], &[(8, 4), (9, 4), (10, 4), (11, 4)]].concat());
    let disk = record(2005, &[(1, 8), (2, 8), (9050, 4), (3, 4), (4, 8), (5500, 4), (6, 4), (7, 8), (8000, 4)]);
    let network = record(2006, &[(1 << 40, 8), (2, 4), (3, 4), (4, 4), (5, 8), (6, 4), (7, 4), (8, 4)]);
    let server = counters(true, &[host, processors, memory, disk, network]);
    says(
        decode(&mut FlowDecoder::default(), &server).event(0),
        &[
            ("host.name", "web-1"),
            ("host.id", "00000000000000000000000000000abc"),
            ("host.os.version", "6.12"),
            ("sflow.cpu.load_1m", "1.5"),
            ("host.uptime", "5000"),
            ("sflow.cpu.user_s", "6"),
            ("sflow.cpu.context_switches", "14000"),
            ("sflow.memory.swap_free_bytes", "7"),
            ("sflow.memory.swapped_out", "11"),
            ("sflow.disk.fullest_partition_percent", "90.5"),
            ("host.disk.write.bytes", "7"),
            ("host.network.ingress.bytes", "1099511627776"),
            ("host.network.egress.packets", "6"),
            ("observer.ingress.interface.id", "70000000"),
        ],
    );
    survives(&switch, &[]);
    survives(&server, &[]);
}

/// A set with a template of these elements: enterprise, number, length.
fn template_of(id: u64, fields: &[(u64, u64, u64)]) -> (u64, Vec<u8>) {
    let mut body = be(&[(id, 2), (fields.len() as u64, 2)]);
    for (enterprise, element, length) in fields {
        body.extend(match enterprise {
            0 => be(&[(*element, 2), (*length, 2)]),
            _ => be(&[(0x8000 | element, 2), (*length, 2), (*enterprise, 4)]),
        });
    }
    (2, body)
}

#[test]
fn withdrawn_are_one_template_or_all_of_a_kind_and_by_datagrams_none() {
    let known = ipfix(&[
        template_of(300, &[(0, 8, 4)]),
        template_of(301, &[(0, 8, 4)]),
        (3, be(&[(302, 2), (2, 2), (1, 2), (149, 2), (4, 2), (34, 2), (4, 2)])),
    ]);
    for (transport, withdrawal, left) in [
        (Transport::Tcp, (2, be(&[(300, 2), (0, 2)])), 2),
        (Transport::Tls, (2, be(&[(2, 2), (0, 2)])), 1),
        (Transport::Tcp, (3, be(&[(3, 2), (0, 2)])), 2),
        (Transport::Udp, (2, be(&[(300, 2), (0, 2)])), 3),
        (Transport::Udp, (2, be(&[(2, 2), (0, 2)])), 3),
    ] {
        let mut decoder = FlowDecoder::default();
        decode_of(transport, &mut decoder, &known);
        assert_eq!(decoder.templates(), 3);
        decode_of(transport, &mut decoder, &ipfix(std::slice::from_ref(&withdrawal)));
        assert_eq!(decoder.templates(), left, "{transport:?} {withdrawal:?}");
    }
}

#[test]
fn two_exporters_behind_one_address_have_each_the_templates_of_their_listener() {
    let mut decoder = FlowDecoder::default();
    let mut batch = BatchBuilder::default();
    let turned = [[(0, 8, 4), (0, 12, 4)], [(0, 12, 4), (0, 8, 4)]];
    let mut decode_at = |listener, bytes: &[u8]| {
        let head = FrameHead {
            source: "192.0.2.254:2055".parse::<SocketAddr>().ok(),
            listener,
            ..FrameHead::new(Transport::Udp, Content::Flow)
        };
        // What is known is kept over a restart.
        let mut restarted = FlowDecoder::default();
        assert!(restarted.restore(&decoder.snapshot()));
        restarted.decode(Frame { head, bytes }, &mut batch);
        decoder = restarted;
    };
    for (listener, fields) in [2055, 2056].into_iter().zip(turned) {
        decode_at(listener, &ipfix(&[template_of(300, &fields)]));
    }
    for listener in [2055, 2056] {
        decode_at(listener, &ipfix(&[(300, be(&[SOURCE, DESTINATION]))]));
    }
    let batch = batch.finish(LogRange::default(), Time::UNKNOWN);
    let sources: Vec<_> = batch.iter().map(|event| told(event, &["source.ip"])[0].1.clone()).collect();
    assert_eq!(sources, ["10.1.2.3", "198.51.100.7"]);
}

#[test]
fn where_a_template_has_both_families_the_one_that_is_filled_in_is_told() {
    let six = |last: u64| [(0x2001_0db8_0000_0000, 8), (last, 8)];
    let none = [(0, 8), (0, 8)];
    let both = [(0, 8, 4), (0, 12, 4), (0, 27, 16), (0, 28, 16), (0, 1, 4)];
    let turned = [(0, 27, 16), (0, 28, 16), (0, 8, 4), (0, 12, 4), (0, 1, 4)];
    let v6 = [&[(0, 4), (0, 4)][..], &six(1), &six(2), &[(9, 4)]].concat();
    let v4 = [&[SOURCE, DESTINATION][..], &none, &none, &[(9, 4)]].concat();
    let v4_turned = [&none[..], &none, &[SOURCE, DESTINATION, (9, 4)]].concat();
    for (fields, record, expected) in [
        (
            both,
            v6,
            [("source.ip", "0.0.0.0"), ("client.ip", "2001:db8::1"), ("server.ip", "2001:db8::2"), ("network.type", "ipv6")]
                .to_vec(),
        ),
        (both, v4, [("source.ip", "10.1.2.3"), ("destination.ip", "198.51.100.7"), ("network.type", "ipv4")].to_vec()),
        (
            turned,
            v4_turned,
            [("source.ip", "::"), ("client.ip", "10.1.2.3"), ("server.ip", "198.51.100.7"), ("network.type", "ipv4")].to_vec(),
        ),
    ] {
        // Several alike, by the plan; and with a text of variable length, element by element.
        let with_text = [&fields[..], &[(0, 371, 65_535)]].concat();
        let record = be(&record);
        for (fields, records, count) in
            [(fields.to_vec(), record.repeat(3), 3), (with_text, [record, variable(b"taro", false)].concat(), 1)]
        {
            let batch = decode(&mut FlowDecoder::default(), &ipfix(&[template_of(300, &fields), (300, records)]));
            assert_eq!(batch.len(), count);
            for event in batch.iter() {
                says(event, &expected);
                assert_eq!(event.get(FieldId::CLIENT_IP).is_some(), expected.iter().any(|(name, _)| *name == "client.ip"));
            }
        }
    }
}

#[test]
fn both_directions_are_told_apart() {
    const REVERSE: u64 = 29_305;
    let fields = [
        (0, 8, 4),
        (0, 12, 4),
        (0, 1, 4),
        (0, 2, 4),
        (0, 6, 1),
        (0, 152, 8),
        (0, 153, 8),
        (0, 58, 2),
        (REVERSE, 1, 4),
        (REVERSE, 2, 4),
        (REVERSE, 6, 1),
        (REVERSE, 152, 8),
        (REVERSE, 153, 8),
        (REVERSE, 58, 2),
    ];
    let record = be(&[
        SOURCE,
        DESTINATION,
        (500, 4),
        (5, 4),
        (0x1b, 1),
        (1_700_000_000_000, 8),
        (1_700_000_004_000, 8),
        (7, 2),
        (900, 4),
        (9, 4),
        (0x12, 1),
        (1_700_000_001_000, 8),
        (1_700_000_003_000, 8),
        (8, 2),
    ]);
    let batch = decode(&mut FlowDecoder::default(), &ipfix(&[template_of(300, &fields), (300, record.repeat(2))]));
    assert_eq!(batch.len(), 2);
    for event in batch.iter() {
        says(
            event,
            &[
                ("source.bytes", "500"),
                ("source.packets", "5"),
                ("destination.bytes", "900"),
                ("destination.packets", "9"),
                ("flow.biflow", "true"),
                ("flow.tcp_flags", "27"),
                ("flow.reverse.tcp_flags", "18"),
                ("event.start", "2023-11-14T22:13:20Z"),
                ("event.end", "2023-11-14T22:13:24Z"),
                ("flow.reverse.start", "2023-11-14T22:13:21Z"),
                ("flow.reverse.end", "2023-11-14T22:13:23Z"),
                ("network.vlan.id", "7"),
                ("flow.reverse.vlan_id", "8"),
            ],
        );
    }
}

#[test]
fn what_nobody_knows_is_kept_under_its_number() {
    let fields = [(0, 8, 4), (0, 1, 4), (64_999, 17, 2), (64_999, 18, 12), (64_999, 19, 10), (0, 13, 1)];
    let record = be(&[SOURCE, (9, 4), (4_660, 2), (0x7a6f_6e65, 4), (0x2d61, 2), (0, 6), (0x0102, 2), (0x00ff, 8), (24, 1)]);
    let message = ipfix(&[template_of(300, &fields), (300, record)]);
    let expected =
        [("netflow.e64999.id17", "4660"), ("netflow.e64999.id18", "zone-a"), ("netflow.e64999.id19", "010200000000000000ff")];
    let mut decoder = FlowDecoder::default();
    says(decode(&mut decoder, &message).event(0), &expected);
    // Sent again it is the same template, and taken up after a restart too.
    let changes = decoder.template_changes();
    says(decode(&mut decoder, &message).event(0), &expected);
    assert_eq!(decoder.template_changes(), changes);
    let mut restarted = FlowDecoder::default();
    assert!(restarted.restore(&decoder.snapshot()));
    let data = ipfix(&[(300, be(&[SOURCE, (9, 4), (1, 2), (0, 12), (0, 10), (24, 1)]))]);
    says(decode(&mut restarted, &data).event(0), &[("netflow.e64999.id17", "1")]);
}

#[test]
fn what_only_the_registry_names_is_kept_under_its_name() {
    const REVERSE: u64 = 29_305;
    let fields = [
        (0, 8, 4),
        (0, 1, 4),
        (0, 9, 1),
        (0, 18, 4),
        (0, 95, 4),
        (0, 210, 3),
        (0, 320, 8),
        (0, 367, 6),
        (0, 65, 2),
        (REVERSE, 192, 1),
        (REVERSE, 9, 1),
    ];
    let doubt = f64::to_bits(0.25);
    let record = be(&[
        SOURCE,
        (9, 4),
        (24, 1),
        (0xc000_0209, 4),
        (0x0d00_0035, 4),
        (0, 3),
        (doubt, 8),
        (0x0200_0000_0001, 6),
        (7, 2),
        (63, 1),
        (16, 1),
    ]);
    // By the plan; and with a name of variable length, element by element.
    let named = [&fields[..], &[(0, 335, 65_535)]].concat();
    for (fields, records) in [(fields.to_vec(), record.repeat(3)), (named, [record, variable(b"all", false)].concat())] {
        let mut decoder = FlowDecoder::default();
        let batch = decode(&mut decoder, &ipfix(&[template_of(300, &fields), (300, records)]));
        let expected = [
            ("netflow.source_ipv4_prefix_length", "24"),
            ("netflow.bgp_next_hop_ipv4_address", "192.0.2.9"),
            ("netflow.application_id", "218103861"),
            ("netflow.absolute_error", "0.25"),
            ("netflow.wtp_mac_address", "02:00:00:00:00:01"),
            ("netflow.e0.id65", "7"),
            ("netflow.reverse_ip_ttl", "63"),
            ("netflow.reverse_source_ipv4_prefix_length", "16"),
        ];
        batch.iter().for_each(|event| says(event, &expected));
        assert_eq!(told(batch.event(0), &["netflow.selector_name"]).len(), fields.len() - 11);
        assert_eq!(told(batch.event(0), &["netflow.padding_octets", "netflow.octet_delta_count", "netflow.e0.id210"]), []);
    }
}
