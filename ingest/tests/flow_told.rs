//! What exporters tell of themselves: by their numbers what never came, and the rate at which they sample. Made exporters of every version.

use std::net::SocketAddr;

use event::{Batch, BatchBuilder, Content, FieldId, Frame, FrameHead, LogRange, Position, Time, Transport, Value};
use ingest::decode::flow::{FlowDecoder, Heard, Sequences};

fn head(exporter: &str, ms: i64) -> FrameHead {
    FrameHead {
        position: Position { partition: 0, offset: 1 + ms as u64 },
        received: Time::from_unix_ms(1_700_000_000_000 + ms),
        source: Some(exporter.parse::<SocketAddr>().expect("an address")),
        ..FrameHead::new(Transport::Udp, Content::Flow)
    }
}

/// What is missing of packets that come a tenth of a second after each other: (exporter, reason, count).
fn missing<'p>(packets: impl IntoIterator<Item = (&'p str, Vec<u8>)>) -> Vec<(String, &'static str, u64)> {
    let (mut decoder, mut batch, mut heard) = (FlowDecoder::default(), BatchBuilder::default(), Vec::<Heard>::new());
    let mut ms = 0;
    for (exporter, bytes) in packets {
        decoder.decode_heard(Frame { head: head(exporter, ms), bytes: &bytes }, &mut batch, &mut heard);
        ms += 100;
    }
    let (mut sequences, mut missing) = (Sequences::default(), Vec::new());
    sequences.advance(&heard, Time::from_unix_ms(1_700_000_000_000 + ms + 10_000), &mut missing);
    missing.into_iter().map(|m| (m.exporter.to_string(), m.unit.reason(), m.count)).collect()
}

fn be(parts: &[(u64, usize)]) -> Vec<u8> {
    parts.iter().flat_map(|(value, bytes)| value.to_be_bytes()[8 - bytes..].to_vec()).collect()
}

fn v5(version: u64, sequence: u32, records: u64) -> Vec<u8> {
    let mut bytes =
        be(&[(version, 2), (records, 2), (5_000, 4), (1_700_000_000, 4), (0, 4), (sequence.into(), 4), (0x0102, 2), (0, 2)]);
    bytes.resize(24 + records as usize * if version == 7 { 52 } else { 48 }, 1);
    bytes
}

fn v9(domain: u64, sequence: u32, sets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = be(&[(9, 2), (1, 2), (5_000, 4), (1_700_000_000, 4), (sequence.into(), 4), (domain, 4)]);
    for (set, body) in sets {
        bytes.extend(be(&[(*set, 2), (body.len() as u64 + 4, 2)]));
        bytes.extend(body);
    }
    bytes
}

fn ipfix(domain: u64, sequence: u32, sets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = be(&[(10, 2), (0, 2), (1_700_000_000, 4), (sequence.into(), 4), (domain, 4)]);
    for (set, body) in sets {
        bytes.extend(be(&[(*set, 2), (body.len() as u64 + 4, 2)]));
        bytes.extend(body);
    }
    let length = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// A datagram with samples (sequence, source).
fn sflow(sub_agent: u64, sequence: u64, samples: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = be(&[(5, 4), (1, 4), (0xc000_0201, 4), (sub_agent, 4), (sequence, 4), (5_000, 4), (samples.len() as u64, 4)]);
    for (number, source) in samples {
        bytes.extend(be(&[(1, 4), (32, 4), (*number, 4), (*source, 4), (512, 4), (0, 4), (0, 4), (1, 4), (2, 4), (0, 4)]));
    }
    bytes
}

/// Two records of `source.ip` and `sampler`.
fn template(sampler: u64) -> Vec<u8> {
    be(&[(300, 2), (3, 2), (8, 2), (4, 2), (10, 2), (4, 2), (sampler, 2), (2, 2)])
}

#[test]
fn gaps_are_told_in_what_each_version_counts() {
    let a = "192.0.2.1:2055";
    let lost = |reason, n| vec![("192.0.2.1".to_owned(), reason, n)];
    assert_eq!(missing([(a, v5(5, 100, 30)), (a, v5(5, 130, 30)), (a, v5(5, 190, 1))]), lost("sequence_records", 30));
    assert_eq!(missing([(a, v5(7, 100, 27)), (a, v5(7, 137, 3))]), lost("sequence_records", 10));
    assert_eq!(
        missing([(a, v9(1, 5, &[])), (a, v9(2, 900, &[])), (a, v9(1, 8, &[])), (a, v9(2, 901, &[]))]),
        lost("sequence_packets", 2)
    );
    let (told, data) = ((2, template(302)), (300, be(&[(1, 4), (1, 4), (1, 2), (2, 4), (1, 4), (1, 2)])));
    let message = |n, sets: &[(u64, Vec<u8>)]| (a, ipfix(7, n, sets));
    assert_eq!(
        missing([message(10, &[told.clone(), data.clone()]), message(12, &[data.clone(), data.clone()]), message(19, &[])]),
        lost("sequence_records", 3)
    );
    // Data without its template: how many records they are nobody knows, so the next message begins anew.
    assert_eq!(missing([message(10, std::slice::from_ref(&data)), message(12, &[told]), message(12, &[data])]), []);
    let first = sflow(1, 50, &[(7, 3), (8, 3), (1, 4)]);
    let second = sflow(1, 53, &[(11, 3), (2, 4)]);
    let mut both = lost("sequence_packets", 2);
    both.extend(lost("sequence_samples", 2));
    assert_eq!(missing([(a, first.clone()), (a, sflow(2, 9, &[])), (a, second), (a, sflow(2, 10, &[]))]), both);
}

#[test]
fn what_makes_no_sense_in_a_good_packet_is_told() {
    let a = "192.0.2.1:2055";
    let (told, data) = ((2, template(302)), (300, be(&[(1, 4), (1, 4), (1, 2)])));
    let lost = |n| vec![("192.0.2.1".to_owned(), "flow_sets", n)];
    // Two sets of reserved numbers beside a good one; a packet of v5 that has fewer records than it says.
    let partly = ipfix(7, 10, &[told, data, (5, vec![0; 4]), (6, vec![0; 4])]);
    assert_eq!(missing([(a, partly)]), lost(2));
    let mut short = v5(5, 100, 2);
    short.truncate(24 + 48);
    assert_eq!(missing([(a, short)]), lost(1));
    // What gives no event at all is quarantined, which tells of it already.
    assert_eq!(missing([(a, ipfix(7, 10, &[(5, vec![0; 4])]))]), []);
}

#[test]
fn overtaken_doubled_wrapped_and_restarted_packets_are_no_loss() {
    let (a, b) = ("192.0.2.1:2055", "192.0.2.1:2056");
    let packet = |n: u32| (a, v9(1, n, &[]));
    assert_eq!(missing([1, 3, 2, 4].map(packet)), []);
    assert_eq!(missing([1, 2, 2, 1, 3].map(packet)), []);
    assert_eq!(missing([u32::MAX - 1, u32::MAX, 0, 1].map(packet)), []);
    assert_eq!(missing([70_000, 70_001, 1, 2, 3].map(packet)), []);
    // Another port is another session.
    assert_eq!(missing([(a, v9(1, 500, &[])), (b, v9(1, 1, &[])), (a, v9(1, 501, &[])), (b, v9(1, 2, &[]))]), []);
}

/// The flows of these packets; what is told is kept over a restart before each.
fn decoded(packets: &[Vec<u8>]) -> Batch {
    let (mut decoder, mut batch) = (FlowDecoder::default(), BatchBuilder::default());
    for (n, bytes) in packets.iter().enumerate() {
        let mut taken_up = FlowDecoder::default();
        assert!(taken_up.restore(&decoder.snapshot()));
        decoder = taken_up;
        decoder.decode_heard(Frame { head: head("192.0.2.1:2055", n as i64), bytes }, &mut batch, &mut Vec::new());
    }
    batch.finish(LogRange::default(), Time::UNKNOWN)
}

fn rates(packets: &[Vec<u8>]) -> Vec<Option<i64>> {
    let batch = decoded(packets);
    let rate = |value| match value {
        Value::Int(rate) => rate,
        other => panic!("a rate, not {other:?}"),
    };
    batch.iter().map(|event| event.get(FieldId::FLOW_SAMPLING_RATE).map(rate)).collect()
}

#[test]
fn a_flow_has_the_rate_of_its_own_sampler() {
    // Options of v9: the system as scope, then sampler and its interval; another one speaks of an interface.
    let samplers = be(&[(400, 2), (4, 2), (8, 2), (1, 2), (4, 2), (48, 2), (2, 2), (50, 2), (4, 2)]);
    let interfaces = be(&[(401, 2), (4, 2), (4, 2), (2, 2), (4, 2), (34, 2), (4, 2)]);
    let told = v9(
        1,
        1,
        &[
            (1, [samplers, interfaces].concat()),
            (400, be(&[(0, 4), (1, 2), (100, 4), (0, 4), (2, 2), (2_000, 4)])),
            (401, be(&[(9, 4), (50, 4)])),
            (0, template(48)),
        ],
    );
    let flow = |interface, sampler| be(&[(0xc000_0209, 4), (interface, 4), (sampler, 2)]);
    let flows = [flow(1, 1), flow(1, 2), flow(9, 3), flow(1, 3)].concat();
    assert_eq!(rates(&[told.clone(), v9(1, 2, &[(300, flows.clone())])]), [Some(100), Some(2_000), Some(50), None]);
    assert_eq!(rates(&[told, v9(2, 2, &[(0, template(48)), (300, flows)])]), [None; 4], "another domain");
}

#[test]
fn a_rate_that_changes_holds_from_then_on_and_none_once_nothing_is_sampled() {
    let system = be(&[(400, 2), (4, 2), (8, 2), (1, 2), (4, 2), (34, 2), (4, 2), (35, 2), (1, 2)]);
    let told = |rate| (400, be(&[(0, 4), (rate, 4), (u64::from(rate > 0), 1)]));
    let flow = || (300, be(&[(0xc000_0209, 4), (1, 4), (1, 2)]));
    let packets = [
        v9(1, 1, &[(1, system), (0, template(48)), flow()]),
        v9(1, 2, &[told(100), flow()]),
        v9(1, 3, &[flow(), told(500), flow()]),
        v9(1, 4, &[told(0), flow()]),
        v9(1, 5, &[told(10), flow()]),
    ];
    assert_eq!(rates(&packets), [None, Some(100), Some(100), Some(500), None, Some(10)]);
}

#[test]
fn a_flow_has_the_rate_of_its_selector() {
    // RFC 5477: the selector as scope; so many packets in a row, then a space.
    let options = be(&[(400, 2), (4, 2), (1, 2), (302, 2), (4, 2), (304, 2), (2, 2), (305, 2), (4, 2), (306, 2), (4, 2)]);
    let told = ipfix(
        1,
        0,
        &[
            (3, options),
            (400, be(&[(5, 4), (1, 2), (1, 4), (999, 4)])),
            (400, be(&[(6, 4), (1, 2), (10, 4), (30, 4)])),
            (2, template(302)),
        ],
    );
    let flow = |selector| be(&[(0xc000_0209, 4), (1, 4), (selector, 2)]);
    let flows = [flow(5), flow(6), flow(7)].concat();
    assert_eq!(rates(&[told, ipfix(1, 2, &[(300, flows)])]), [Some(1_000), Some(4), None]);
}

/// What each flow says of `fields`.
fn named(packets: &[Vec<u8>], fields: &[&str]) -> Vec<Vec<Option<String>>> {
    let batch = decoded(packets);
    let value = |event: event::EventRef<'_>, name: &str| Some(event.get(FieldId::find(name)?)?.to_string());
    batch.iter().map(|event| fields.iter().map(|name| value(event, name)).collect()).collect()
}

#[test]
fn times_of_flows_in_uptime_count_from_the_start_that_was_told() {
    // RFC 5102: systemInitTimeMilliseconds as an option, flowStartSysUpTime and flowEndSysUpTime of the flow. Packets are of 22:13:20.
    let template = be(&[(300, 2), (3, 2), (8, 2), (4, 2), (22, 2), (4, 2), (21, 2), (4, 2)]);
    let started = |ms: u64| {
        let options = be(&[(400, 2), (2, 2), (1, 2), (143, 2), (4, 2), (160, 2), (8, 2)]);
        ipfix(1, 0, &[(3, options), (400, be(&[(1, 4), (ms, 8)])), (2, template.clone())])
    };
    let flow = |start: u64, end: u64| be(&[(0xc000_0209, 4), (start, 4), (end, 4)]);
    let times = |packets: &[Vec<u8>]| named(packets, &["event.start", "event.end", "event.duration"]).concat();
    let said = |start: &str, end: &str, ns: &str| [start, end, ns].map(|text| Some(text.to_owned())).to_vec();
    let at = |ms: u64| started(1_700_000_000_000 - ms);
    let data = |flows: Vec<u8>| ipfix(1, 1, &[(300, flows)]);
    let wanted = said("2023-11-14T22:12:50Z", "2023-11-14T22:13:00.500Z", "10500000000");
    assert_eq!(times(&[at(60_000), data(flow(30_000, 40_500))]), wanted);
    // The counter has wrapped once, 49 days after the start; and it runs below zero, of a capture that is older than the exporter.
    let wrapped = (1 << 32) + 5_000;
    assert_eq!(times(&[at(wrapped), data(flow((1 << 32) - 25_000, (1 << 32) - 14_500))]), wanted);
    assert_eq!(times(&[at(0), data(flow((1 << 32) - 30_000, (1 << 32) - 19_500))]), wanted);
    // Told behind the flows' template in one packet; another domain knows nothing of it.
    let together = |ms: u64| {
        let options = be(&[(400, 2), (2, 2), (1, 2), (143, 2), (4, 2), (160, 2), (8, 2)]);
        let told = be(&[(1, 4), (1_700_000_000_000 - ms, 8)]);
        ipfix(1, 0, &[(2, template.clone()), (3, options), (400, told), (300, flow(30_000, 40_500))])
    };
    assert_eq!(times(&[together(60_000)]), wanted);
    let elsewhere = [at(60_000), ipfix(2, 0, &[(2, template), (300, flow(30_000, 40_500))])];
    assert_eq!(times(&elsewhere), [None, None, None]);
}

/// A name as devices send it, filled up with zeros.
fn filled(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

#[test]
fn flows_have_the_names_of_their_interfaces() {
    // NetFlow v9: an interface as scope, and as an option of the system.
    let by_scope = be(&[(400, 2), (4, 2), (8, 2), (2, 2), (4, 2), (82, 2), (16, 2), (83, 2), (16, 2)]);
    let by_option = be(&[(401, 2), (4, 2), (8, 2), (1, 2), (4, 2), (10, 2), (2, 2), (82, 2), (16, 2)]);
    let told = |uplink| {
        let options = (1, [by_scope.clone(), by_option.clone()].concat());
        let first = [be(&[(7, 4)]), filled(uplink), filled("to the <b>prefecture</b>")].concat();
        let second = [be(&[(0, 4), (9, 2)]), filled("Gi0/9")].concat();
        v9(1, 1, &[options, (400, first), (401, second)])
    };
    let template = be(&[(300, 2), (3, 2), (8, 2), (4, 2), (10, 2), (4, 2), (14, 2), (2, 2)]);
    let flow = |ingress, egress| be(&[(0xc000_0209, 4), (ingress, 4), (egress, 2)]);
    let flows = [flow(7, 9), flow(7, 9), flow(9, 7), flow(8, 0)].concat();
    let data = |n, domain| v9(domain, n, &[(0, template.clone()), (300, flows.clone())]);
    let fields = ["observer.ingress.interface.name", "observer.ingress.interface.alias", "observer.egress.interface.name"];
    let text = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let both = |[ingress, alias, egress]: [&str; 3]| vec![text(ingress), text(alias), text(egress)];
    let uplink = both(["Te1/1", "to the <b>prefec", "Gi0/9"]);
    let known = [uplink.clone(), uplink, both(["Gi0/9", "", "Te1/1"]), both([""; 3])];
    assert_eq!(named(&[told("Te1/1"), data(2, 1)], &fields), known);
    assert_eq!(named(&[told("Te1/1"), data(2, 2)], &fields), vec![both([""; 3]); 4], "another domain");
    assert_eq!(named(&[told("Te1/1"), told("Te1/2"), data(3, 1)], &fields)[0][0], text("Te1/2"), "renamed");
}

#[test]
fn flows_have_the_names_of_their_applications_and_networks() {
    // RFC 6759: the application as scope. A length that varies, so that records have no plan.
    let applications = be(&[(400, 2), (2, 2), (1, 2), (95, 2), (4, 2), (96, 2), (65_535, 2)]);
    let networks = be(&[(401, 2), (2, 2), (1, 2), (234, 2), (4, 2), (236, 2), (16, 2)]);
    let application = |id, name: &str| [be(&[(id, 4), (name.len() as u64, 1)]), name.as_bytes().to_vec()].concat();
    let told = ipfix(
        1,
        0,
        &[
            (3, [applications, networks].concat()),
            (400, [application(0x0d00_0001, "ssh"), application(0x0d00_0002, "")].concat()),
            (401, [be(&[(3, 4)]), filled("lgwan")].concat()),
            (2, be(&[(300, 2), (4, 2), (8, 2), (4, 2), (95, 2), (4, 2), (234, 2), (4, 2), (235, 2), (4, 2)])),
            (2, be(&[(301, 2), (4, 2), (8, 2), (4, 2), (95, 2), (4, 2), (96, 2), (65_535, 2), (235, 2), (4, 2)])),
        ],
    );
    let planned = |id| be(&[(0xc000_0209, 4), (id, 4), (3, 4), (4, 4)]);
    let own = [be(&[(0xc000_0209, 4), (0x0d00_0001, 4), (4, 1)]), b"sftp".to_vec(), be(&[(3, 4)])].concat();
    let flows = ipfix(1, 3, &[(300, [planned(0x0d00_0001), planned(0x0d00_0002)].concat()), (301, own)]);
    let text = |name: &str| Some(name.to_owned());
    assert_eq!(
        named(&[told, flows], &["network.application", "flow.ingress_vrf", "flow.egress_vrf"]),
        [vec![text("ssh"), text("lgwan"), None], vec![None, text("lgwan"), None], vec![text("sftp"), None, text("lgwan")]]
    );
}

#[test]
fn data_whose_template_never_comes_are_counted_as_dropped() {
    let (mut decoder, mut batch) = (FlowDecoder::default(), BatchBuilder::default());
    let mut decode = |exporter, ms, bytes: &[u8]| {
        decoder.decode_heard(Frame { head: head(exporter, ms), bytes }, &mut batch, &mut Vec::new());
        decoder.take_dropped()
    };
    let data = || (300, be(&[(1, 4), (1, 4), (1, 2)]));
    let (a, b) = ("192.0.2.1:2055", "192.0.2.2:2055");
    assert_eq!(decode(a, 0, &v9(1, 1, &[data(), data()])), []);
    assert_eq!(decode(b, 1, &v9(1, 1, &[data()])), []);
    // The one's template comes; what the other sent is given up after ten minutes, whoever is heard then.
    assert_eq!(decode(b, 2, &v9(1, 2, &[(0, template(48))])), []);
    let dropped = decode(b, 600_000, &v9(1, 3, &[]));
    let told: Vec<_> = dropped.iter().map(|d| (d.sender.map(|ip| ip.to_string()), d.now.unix_s(), d.count)).collect();
    assert_eq!(told, [(Some("192.0.2.1".to_owned()), 1_700_000_600, 2)]);
    assert_eq!(decode(b, 600_001, &v9(1, 4, &[])), []);
    assert_eq!(batch.finish(LogRange::default(), Time::UNKNOWN).len(), 1);
}

/// The first event's fields of one packet, received when it was sent and `behind_s` later.
fn told_by(packet: &[u8], behind_s: i64, transport: Transport) -> (i64, Vec<(String, String)>) {
    let (mut decoder, mut batch) = (FlowDecoder::default(), BatchBuilder::default());
    let head = FrameHead { transport, ..head("192.0.2.1:2055", behind_s * 1000) };
    decoder.decode_heard(Frame { head, bytes: packet }, &mut batch, &mut Vec::new());
    let batch = batch.finish(LogRange::default(), Time::UNKNOWN);
    let names = ["event.start", "event.end", "event.created", "mihari.flags"];
    let value = |name: &&str| Some((name.to_string(), batch.event(0).get(FieldId::find(name)?)?.to_string()));
    (batch.event(0).time().unix_s() - 1_700_000_000, names.iter().filter_map(value).collect())
}

#[test]
fn a_clock_nine_hours_off_is_not_believed_and_told() {
    const HOURS: i64 = 9 * 3600;
    // 22:13:20 by the exporter; the flow began four seconds and ended one second before.
    let uptimes = be(&[(300, 2), (3, 2), (8, 2), (4, 2), (22, 2), (4, 2), (21, 2), (4, 2)]);
    let by_uptime = v9(1, 1, &[(0, uptimes), (300, be(&[(1, 4), (1_000, 4), (4_000, 4)]))]);
    let seconds = be(&[(300, 2), (3, 2), (8, 2), (4, 2), (150, 2), (4, 2), (151, 2), (4, 2)]);
    let ended = |at: u64| ipfix(1, 1, &[(2, seconds.clone()), (300, be(&[(1, 4), (at - 3, 4), (at, 4)]))]);
    for packet in [by_uptime, ended(1_699_999_999)] {
        let (time, fields) = told_by(&packet, 100, Transport::Udp);
        assert_eq!((time, fields.len()), (-1, 2), "what lies within minutes is the network's: {fields:?}");
        for behind_s in [HOURS, -HOURS] {
            let (time, fields) = told_by(&packet, behind_s, Transport::Udp);
            assert_eq!(time, behind_s - 1);
            assert_eq!(fields[2], ("event.created".to_owned(), "2023-11-14T22:13:19Z".to_owned()));
            assert_eq!(fields[3].1, "time_suspect");
            let day = if behind_s > 0 { "2023-11-15T07" } else { "2023-11-14T13" };
            assert_eq!(fields[0].1, format!("{day}:13:16Z"), "{fields:?}");
        }
        // A capture is read whenever somebody likes.
        assert_eq!(told_by(&packet, HOURS, Transport::File).0, -1);
    }
    // A flow that ended hours before its packet, though the packet's own time is right.
    let (time, fields) = told_by(&ended(1_700_000_000 - HOURS as u64), 1, Transport::Udp);
    assert_eq!((time, fields[2].1.as_str()), (0, "2023-11-14T13:13:20Z"));
    let (time, fields) = told_by(&v5(5, 1, 1), HOURS, Transport::Udp);
    assert_eq!((time > HOURS - 86_400, fields.len()), (true, 4));
}
