//! Flow packets into a batch, and `netflow_parser` into its own values as the peer.
//!
//! `cargo bench -p ingest --bench flow`: packets are made here, from a seed: NetFlow v5 of 30 records, v9 of 24 records of 20 fields,
//! IPFIX of 20 records of 17 fields; templates come once, before the clock runs. Both read the same packets, turn about, several rounds;
//! the best round of each counts, in the thread's own time on the processor. What is timed of ours goes into the finished batch: fields
//! by name, times resolved, cells sorted.

#![expect(clippy::print_stdout, reason = "the figures")]

use std::hint::black_box;
use std::time::Duration;

use event::{BatchBuilder, Content, Frame, FrameHead, LogRange, Position, Time, Transport};
use ingest::decode::Decoder;
use ingest::decode::flow::FlowDecoder;
use netflow_parser::NetflowParser;

const ROUNDS: usize = 9;
const PACKETS: usize = 2_000;
/// Packets of a batch: some 8,000 events, as many as the pipeline puts into one.
const PER_BATCH: usize = 320;
/// When the packets were sent: 2026-04-01 09:00 in Japan.
const EXPORT_S: u32 = 1_775_001_600;

/// Information elements and their lengths, as a router of the middle class exports them.
const V9: &[(u16, u16)] = &[
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 4),
    (14, 4),
    (2, 4),
    (1, 4),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (5, 1),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (61, 1),
    (48, 1),
];
const IPFIX: &[(u16, u16)] = &[
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 4),
    (14, 4),
    (2, 8),
    (1, 8),
    (152, 8),
    (153, 8),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (5, 1),
    (16, 4),
    (17, 4),
    (136, 1),
];

fn main() {
    let random = &mut Random(7);
    let v5: Vec<_> = (0..PACKETS).map(|n| v5_packet(random, n as u32)).collect();
    let v9: Vec<_> = (0..PACKETS).map(|n| packet(9, n as u32, &data_set(random, V9, 24))).collect();
    let ipfix: Vec<_> = (0..PACKETS).map(|n| packet(10, n as u32, &data_set(random, IPFIX, 20))).collect();
    measure("v5 x30", None, &v5, 30);
    measure("v9 x24, 20 fields", Some(&packet(9, 0, &template_set(0, V9))), &v9, 24);
    measure("ipfix x20, 17 fields", Some(&packet(10, 0, &template_set(2, IPFIX))), &ipfix, 20);
}

/// xorshift64 (Marsaglia, "Xorshift RNGs"): the same packets in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn v5_packet(random: &mut Random, sequence: u32) -> Vec<u8> {
    let mut b = Vec::with_capacity(24 + 30 * 48);
    b.extend([0, 5, 0, 30]);
    b.extend(3_600_000u32.to_be_bytes());
    b.extend(EXPORT_S.to_be_bytes());
    b.extend(0u32.to_be_bytes());
    b.extend(sequence.to_be_bytes());
    b.extend([0; 4]);
    for _ in 0..30 {
        let at = b.len();
        for _ in 0..6 {
            b.extend(random.next().to_be_bytes());
        }
        b[at + 24..at + 28].copy_from_slice(&3_500_000u32.to_be_bytes());
        b[at + 28..at + 32].copy_from_slice(&3_599_000u32.to_be_bytes());
        b[at + 38] = [6, 17][(random.next() % 2) as usize];
    }
    b
}

/// A packet of one set. The header of IPFIX says how long it is, that of v9 how many records there are.
fn packet(version: u16, sequence: u32, set: &[u8]) -> Vec<u8> {
    let mut b = version.to_be_bytes().to_vec();
    if version == 9 {
        b.extend([0, 1]);
        b.extend(3_600_000u32.to_be_bytes());
    } else {
        b.extend((16 + set.len() as u16).to_be_bytes());
    }
    b.extend(EXPORT_S.to_be_bytes());
    b.extend(sequence.to_be_bytes());
    b.extend(1u32.to_be_bytes());
    b.extend(set);
    b
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = (body.len() + 4).next_multiple_of(4);
    let mut b = [id.to_be_bytes(), (length as u16).to_be_bytes()].concat();
    b.extend(body);
    b.resize(length, 0);
    b
}

fn template_set(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let specifiers = fields.iter().flat_map(|(element, length)| [*element, *length]);
    let body: Vec<_> = [256, fields.len() as u16].into_iter().chain(specifiers).flat_map(u16::to_be_bytes).collect();
    set(id, &body)
}

fn data_set(random: &mut Random, fields: &[(u16, u16)], records: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..records {
        for (element, length) in fields {
            let value = match element {
                4 => [6, 17][(random.next() % 2) as usize],
                21 => 3_599_000,
                22 => 3_500_000,
                152 => u64::from(EXPORT_S) * 1000 - 100_000,
                153 => u64::from(EXPORT_S) * 1000 - 1000,
                1 | 2 => random.next() % 1_000_000,
                _ => random.next(),
            };
            body.extend(&value.to_be_bytes()[8 - usize::from(*length)..]);
        }
    }
    set(256, &body)
}

/// How long this thread was on a processor.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn measure(name: &str, template: Option<&[u8]>, packets: &[Vec<u8>], records: usize) {
    let source = Some("192.0.2.1:2055".parse().expect("an address"));
    let head = |offset: usize| FrameHead {
        position: Position { partition: 0, offset: offset as u64 + 1 },
        received: Time::from_unix_s(EXPORT_S.into()),
        source,
        ..FrameHead::new(Transport::Udp, Content::Flow)
    };
    let (mut decoder, mut peer) = (FlowDecoder::default(), NetflowParser::default());
    if let Some(template) = template {
        decoder.decode(Frame { head: head(0), bytes: template }, &mut BatchBuilder::default());
        assert!(peer.parse_bytes(template).error.is_none(), "the peer reads the template");
    }
    let mut builder = BatchBuilder::default();
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let mut flows = 0;
        let start = cpu();
        for batch in packets.chunks(PER_BATCH) {
            for (at, bytes) in batch.iter().enumerate() {
                decoder.decode(Frame { head: head(at), bytes }, &mut builder);
            }
            let batch = black_box(builder.finish(LogRange::default(), Time::UNKNOWN));
            flows += batch.len();
            builder.reuse(batch);
        }
        ours = ours.min(cpu() - start);
        assert_eq!(flows, packets.len() * records, "each record is a flow");
        let start = cpu();
        for bytes in packets {
            let result = black_box(peer.parse_bytes(bytes));
            assert!(result.error.is_none() && result.packets.len() == 1, "the peer reads it: {:?}", result.error);
        }
        theirs = theirs.min(cpu() - start);
    }
    let flows = (packets.len() * records) as f64;
    let per_flow = |time: Duration| time.as_nanos() as f64 / flows;
    println!(
        "{name}: ours {:.1} ns a flow ({:.2} M flows/s), netflow_parser {:.1} ns ({:.2} M); {:.2} times as fast",
        per_flow(ours),
        1000.0 / per_flow(ours),
        per_flow(theirs),
        1000.0 / per_flow(theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
    );
}
