//! `network.community_id`: one name for a conversation, the same from whichever sensor and in whichever direction, by which a flow leads to what
//! an IDS says of it ("Community ID Flow Hashing", version 1, seed 0).
//!
//! Not part of decoding, as what is hashed costs more than the rest of a flow, and twenty bytes of hash each do in the index: [`annotate`] writes
//! it into finished batches, where the configuration asks for it.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use event::{Batch, EventRef, FieldId, Value};
use sha1::{Digest, Sha1};

/// Bytes of an id: the version, and a hash of 20 bytes in base64.
const ID_BYTES: usize = 2 + 28;

/// Writes the id into each event that tells of a conversation and has none of its own.
pub fn annotate(batch: &mut Batch) {
    batch.annotate(|event, notes| {
        if let Some(tuple) = Tuple::of(event) {
            let id = tuple.id();
            notes.text(FieldId::NETWORK_COMMUNITY_ID, std::str::from_utf8(&id).expect("base64"));
        }
    });
}

/// What is hashed.
#[derive(Clone, Copy, Debug)]
struct Tuple {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    /// None of protocols that have none.
    ports: Option<(u16, u16)>,
    /// A message of ICMP that nothing answers: its ends are not put in order.
    one_way: bool,
}

impl Tuple {
    fn of(event: EventRef<'_>) -> Option<Tuple> {
        if event.get(FieldId::NETWORK_COMMUNITY_ID).is_some() || event.quarantined() {
            return None;
        }
        let address = |field| match event.get(field) {
            Some(Value::Ip(ip)) => Some(ip),
            _ => None,
        };
        // A template for both families fills the ends of the other one with zeros.
        let end = |field, other| address(field).filter(|ip: &IpAddr| !ip.is_unspecified()).or_else(|| address(other));
        let source = end(FieldId::SOURCE_IP, FieldId::CLIENT_IP)?;
        let destination = end(FieldId::DESTINATION_IP, FieldId::SERVER_IP)?;
        if source.is_ipv4() != destination.is_ipv4() {
            return None;
        }
        let number = |field| match event.get(field) {
            Some(Value::Int(n)) => u16::try_from(n).ok(),
            _ => None,
        };
        let protocol = match number(FieldId::NETWORK_IANA_NUMBER) {
            Some(number) => u8::try_from(number).ok()?,
            None => match event.get(FieldId::NETWORK_TRANSPORT)?.as_text()? {
                "tcp" => 6,
                "udp" => 17,
                "icmp" => 1,
                "ipv6-icmp" => 58,
                "sctp" => 132,
                _ => return None,
            },
        };
        let ports = (number(FieldId::SOURCE_PORT), number(FieldId::DESTINATION_PORT));
        let mut tuple = Tuple { source, destination, protocol, ports: None, one_way: false };
        match protocol {
            6 | 17 | 132 => tuple.ports = Some((ports.0?, ports.1?)),
            1 | 58 => {
                // NetFlow v5 tells both in the destination's port.
                let (kind, code) = match (number(FieldId::ICMP_TYPE), ports) {
                    (Some(kind), _) => (kind, number(FieldId::ICMP_CODE).unwrap_or(0)),
                    (None, (Some(0), Some(both))) => (both >> 8, both & 0xff),
                    (None, _) => return None,
                };
                let answer = answer(protocol, kind);
                tuple.ports = Some((kind, answer.unwrap_or(code)));
                tuple.one_way = answer.is_none();
            }
            _ => {}
        }
        Some(tuple)
    }

    fn id(mut self) -> [u8; ID_BYTES] {
        let (from, to) = self.ports.unwrap_or_default();
        if !self.one_way && (self.destination, to) < (self.source, from) {
            (self.source, self.destination) = (self.destination, self.source);
            self.ports = self.ports.map(|(from, to)| (to, from));
        }
        let mut hash = Sha1::new();
        hash.update([0, 0]);
        for end in [self.source, self.destination] {
            match end {
                IpAddr::V4(ip) => hash.update(ip.octets()),
                IpAddr::V6(ip) => hash.update(ip.octets()),
            }
        }
        hash.update([self.protocol, 0]);
        if let Some((from, to)) = self.ports {
            hash.update(from.to_be_bytes());
            hash.update(to.to_be_bytes());
        }
        let mut id = [0; ID_BYTES];
        id[..2].copy_from_slice(b"1:");
        STANDARD.encode_slice(hash.finalize(), &mut id[2..]).expect("there is room");
        id
    }
}

/// The type of message by which one of ICMP is answered.
fn answer(protocol: u8, kind: u16) -> Option<u16> {
    const V4: [[u16; 2]; 5] = [[8, 0], [10, 9], [13, 14], [15, 16], [17, 18]];
    const V6: [[u16; 2]; 6] = [[128, 129], [133, 134], [135, 136], [130, 131], [139, 140], [144, 145]];
    let pairs: &[[u16; 2]] = if protocol == 1 { &V4 } else { &V6 };
    pairs.iter().find_map(|[asks, answers]| match kind {
        kind if kind == *asks => Some(*answers),
        kind if kind == *answers => Some(*asks),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use event::{BatchBuilder, Content, FrameHead, LogRange, Time, Transport};

    use super::*;

    /// What an event gets that has these ends, protocol, and ports or type and code.
    fn id(source: &str, destination: &str, protocol: u64, (first, second): (u64, u64)) -> Option<String> {
        let mut builder = BatchBuilder::default();
        let mut row = builder.row(&FrameHead::new(Transport::Udp, Content::Flow), 0, "");
        row.ip(FieldId::SOURCE_IP, source.parse().expect("an address"));
        row.ip(FieldId::DESTINATION_IP, destination.parse().expect("an address"));
        row.uint(FieldId::NETWORK_IANA_NUMBER, protocol);
        let fields = match protocol {
            1 | 58 => [FieldId::ICMP_TYPE, FieldId::ICMP_CODE],
            _ => [FieldId::SOURCE_PORT, FieldId::DESTINATION_PORT],
        };
        row.uint(fields[0], first);
        row.uint(fields[1], second);
        drop(row);
        let mut batch = builder.finish(LogRange::default(), Time::EPOCH);
        annotate(&mut batch);
        batch.event(0).get(FieldId::NETWORK_COMMUNITY_ID).map(|id| id.to_string())
    }

    /// From the specification's baseline (github.com/corelight/community-id-spec), seed 0.
    #[test]
    fn ids_are_those_of_the_specification() {
        for (source, destination, protocol, ports, expected) in [
            ("128.232.110.120", "66.35.250.204", 6, (34_855, 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("192.168.1.52", "8.8.8.8", 17, (54_585, 53), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            ("192.168.0.89", "192.168.0.1", 1, (8, 0), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            ("192.168.0.1", "192.168.0.89", 1, (0, 0), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            ("192.168.170.8", "192.168.170.20", 132, (7, 80), "1:gFaHI1laWtpQlwRSTE0djem/ECM="),
            ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 58, (135, 0), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            ("3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 58, (3, 0), "1:tGcYbzNItUoGXIXF3vdd2TMdUKI="),
            ("3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 6, (2_000, 443), "1:hlK52zOE5zamQHW7YB1uqjn5Hc4="),
            ("10.1.24.4", "10.1.12.1", 46, (0, 0), "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4="),
            ("192.168.0.89", "192.168.0.1", 1, (11, 0), "1:WWhK5yv9t1/eWrodrgw+6KseRoA="),
        ] {
            assert_eq!(id(source, destination, protocol, ports).as_deref(), Some(expected), "{source} {destination} {protocol}");
        }
    }

    #[test]
    fn both_directions_have_one_and_what_has_no_ports_of_its_own_is_told_by_its_ends() {
        let (a, b) = ("10.1.2.3", "198.51.100.7");
        assert_eq!(id(a, b, 6, (49_152, 443)), id(b, a, 6, (443, 49_152)));
        assert_ne!(id(a, b, 6, (49_152, 443)), id(a, b, 17, (49_152, 443)));
        assert_eq!(id(a, b, 1, (8, 0)), id(b, a, 1, (0, 0)), "a question and its answer");
        assert_ne!(id(a, b, 1, (3, 1)), id(b, a, 1, (3, 1)), "nothing answers it");
        assert_eq!(id(a, b, 47, (1, 2)), id(b, a, 47, (0, 0)));
        assert_eq!(id(a, "2001:db8::1", 6, (1, 2)), None);
        assert_eq!(id(a, b, 999, (1, 2)), None);
    }
}
