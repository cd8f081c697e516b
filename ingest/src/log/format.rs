//! The bytes of a segment file, version 1. Integers are little endian.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use event::limits::{FRAME_BYTES_MAX, ORIGIN_BYTES_MAX};
use event::{Content, FrameHead, OriginId, Position, TenantId, Time, Transport};
use sha2::{Digest, Sha256};

/// The first bytes of a segment.
pub const MAGIC: [u8; 8] = *b"MIHARIJ1";
/// The version that this program writes.
pub const VERSION: u16 = 1;
/// Bytes of a segment header.
pub const HEADER_BYTES: usize = 68;
/// Bytes before the body of a frame.
pub const FRAME_HEAD_BYTES: usize = 18;
/// The kind of a commit frame; kinds 1 to 4 are those of [`Content`].
pub const KIND_COMMIT: u8 = 5;
/// Bytes of a commit frame's body.
pub const COMMIT_BYTES: usize = 8 + 8 + 4 + 32 + 32;
/// Bytes of the largest body: the longest metadata (a name, a listener) and the longest frame.
pub const BODY_BYTES_MAX: usize = 8 + 4 + 1 + 1 + 2 + ORIGIN_BYTES_MAX + 2 + FRAME_BYTES_MAX;
/// In place of an address family: a length and the name of a file or topic.
const ORIGIN: u8 = 1;
const FLAG_TRUNCATED: u8 = 1;
/// Behind the sender stands the listener.
const FLAG_LISTENER: u8 = 2;

/// A hash (SHA-256).
pub type Hash = [u8; 32];

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    /// The format version.
    pub version: u16,
    /// The partition of the log.
    pub partition: u32,
    /// The offset of its first frame.
    pub first_offset: u64,
    /// When it was begun.
    pub created: Time,
    /// The chain value of the last commit before this segment; zeros for the first.
    pub previous: Hash,
}

impl Header {
    /// The bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut b = [0; HEADER_BYTES];
        b[..8].copy_from_slice(&MAGIC);
        b[8..10].copy_from_slice(&self.version.to_le_bytes());
        b[12..16].copy_from_slice(&self.partition.to_le_bytes());
        b[16..24].copy_from_slice(&self.first_offset.to_le_bytes());
        b[24..32].copy_from_slice(&self.created.unix_ns().to_le_bytes());
        b[32..64].copy_from_slice(&self.previous);
        let crc = crc32c::crc32c(&b[..64]);
        b[64..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Reads a header; `None` where it is none or is damaged.
    pub fn decode(b: &[u8]) -> Option<Header> {
        let b = b.get(..HEADER_BYTES)?;
        if b[..8] != MAGIC || u32_at(b, 64) != crc32c::crc32c(&b[..64]) {
            return None;
        }
        Some(Header {
            version: u16::from_le_bytes([b[8], b[9]]),
            partition: u32_at(b, 12),
            first_offset: u64_at(b, 16),
            created: Time::from_unix_ns(u64_at(b, 24) as i64),
            previous: b[32..64].try_into().expect("32 bytes"),
        })
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Bytes of the body.
    pub len: u32,
    /// A number of [`Content`], or [`KIND_COMMIT`], or one of a later program.
    pub kind: u8,
    /// Bit 0: the record was cut.
    pub flags: u8,
    /// The offset in the log.
    pub seq: u64,
    /// Over the place, the head and the body.
    pub crc: u32,
}

impl Head {
    /// Reads a head. `None` where there is none: the end of what was written, or damage.
    pub fn decode(b: &[u8]) -> Option<Head> {
        let b = b.get(..FRAME_HEAD_BYTES)?;
        let head = Head { len: u32_at(b, 0), kind: b[4], flags: b[5], seq: u64_at(b, 6), crc: u32_at(b, 14) };
        (head.kind != 0 && head.len as usize <= BODY_BYTES_MAX).then_some(head)
    }

    /// Whether the checksum fits the body at this place.
    pub fn fits(&self, first_offset: u64, place: u64, body: &[u8]) -> bool {
        checksum(first_offset, place, self.kind, self.flags, self.seq, body) == self.crc
    }
}

fn checksum(first_offset: u64, place: u64, kind: u8, flags: u8, seq: u64, body: &[u8]) -> u32 {
    let mut lead = [0; 26];
    lead[..8].copy_from_slice(&first_offset.to_le_bytes());
    lead[8..16].copy_from_slice(&place.to_le_bytes());
    lead[16] = kind;
    lead[17] = flags;
    lead[18..].copy_from_slice(&seq.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&lead), body)
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}

/// Writes frames behind each other into a buffer that will lie at a known place of a segment.
pub(crate) struct Encoder<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) first_offset: u64,
    /// Where in the file the buffer begins.
    pub(crate) place: u64,
}

impl Encoder<'_> {
    /// Appends a frame whose body `fill` writes; gives the hash of the body as a leaf of the tree.
    fn frame(&mut self, kind: u8, flags: u8, seq: u64, fill: impl FnOnce(&mut Vec<u8>)) -> Hash {
        let start = self.out.len();
        self.out.extend([0; FRAME_HEAD_BYTES]);
        fill(self.out);
        let body = start + FRAME_HEAD_BYTES;
        let crc = checksum(self.first_offset, self.place + start as u64, kind, flags, seq, &self.out[body..]);
        let len = (self.out.len() - body) as u32;
        let head = &mut self.out[start..body];
        head[..4].copy_from_slice(&len.to_le_bytes());
        head[4] = kind;
        head[5] = flags;
        head[6..14].copy_from_slice(&seq.to_le_bytes());
        head[14..].copy_from_slice(&crc.to_le_bytes());
        leaf(&self.out[body..])
    }

    /// Appends a record.
    pub(crate) fn record(&mut self, head: &FrameHead, bytes: &[u8]) -> Hash {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(head.truncated, FLAG_TRUNCATED) | flag(head.listener > 0, FLAG_LISTENER);
        self.frame(head.content as u8, flags, head.position.offset, |out| {
            out.extend(head.received.unix_ns().to_le_bytes());
            out.extend(head.tenant.0.to_le_bytes());
            out.push(head.transport as u8);
            match head.source {
                None => match head.origin.map(OriginId::name) {
                    None => out.push(0),
                    Some(name) => {
                        out.push(ORIGIN);
                        out.extend((name.len() as u16).to_le_bytes());
                        out.extend_from_slice(name.as_bytes());
                    }
                },
                Some(SocketAddr::V4(source)) => {
                    out.push(4);
                    out.extend(source.ip().octets());
                    out.extend(source.port().to_le_bytes());
                }
                Some(SocketAddr::V6(source)) => {
                    out.push(6);
                    out.extend(source.ip().octets());
                    out.extend(source.port().to_le_bytes());
                }
            }
            if head.listener > 0 {
                out.extend(head.listener.to_le_bytes());
            }
            out.extend_from_slice(bytes);
        })
    }

    /// Appends the commit frame that closes a batch.
    pub(crate) fn commit(&mut self, seq: u64, commit: &Commit) {
        self.frame(KIND_COMMIT, 0, seq, |out| {
            out.extend(commit.first.to_le_bytes());
            out.extend(commit.last.to_le_bytes());
            out.extend(commit.count.to_le_bytes());
            out.extend(commit.root);
            out.extend(commit.chain);
        });
    }
}

/// What a commit frame says of its batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Commit {
    /// The first offset of the batch.
    pub first: u64,
    /// The last offset of the batch, the commit frame itself left out.
    pub last: u64,
    /// Frames in the batch.
    pub count: u32,
    /// The Merkle tree hash over the bodies (RFC 6962 §2.1).
    pub root: Hash,
    /// Over the chain value before and this root.
    pub chain: Hash,
}

impl Commit {
    /// The commit of a batch with these leaves, after a commit with the chain value `previous`.
    pub fn new(previous: &Hash, first: u64, last: u64, leaves: &[Hash]) -> Commit {
        let root = merkle_root(leaves);
        Commit { first, last, count: leaves.len() as u32, root, chain: Commit::linked(previous, &root, first, last) }
    }

    /// The chain value behind a batch with this root, after the chain value `previous`.
    pub fn linked(previous: &Hash, root: &Hash, first: u64, last: u64) -> Hash {
        let mut hash = Sha256::new();
        hash.update(previous);
        hash.update(root);
        hash.update(first.to_le_bytes());
        hash.update(last.to_le_bytes());
        hash.finalize().into()
    }

    /// Reads the body of a commit frame.
    pub fn decode(b: &[u8]) -> Option<Commit> {
        if b.len() != COMMIT_BYTES {
            return None;
        }
        Some(Commit {
            first: u64_at(b, 0),
            last: u64_at(b, 8),
            count: u32_at(b, 16),
            root: b[20..52].try_into().expect("32 bytes"),
            chain: b[52..84].try_into().expect("32 bytes"),
        })
    }
}

/// Reads the body of a record: what the receiver knew, and the bytes as received. `None` where it is none that this program
/// knows.
pub fn decode_record<'b>(partition: u32, head: &Head, body: &'b [u8]) -> Option<(FrameHead, &'b [u8])> {
    let content = Content::from_number(head.kind)?;
    let fixed = body.get(..14)?;
    let rest = body.get(14..)?;
    let address_bytes = match fixed[13] {
        0 => 0,
        ORIGIN => 2 + usize::from(u16::from_le_bytes(*rest.first_chunk()?)),
        4 => 6,
        6 => 18,
        _ => return None,
    };
    let (address, rest) = rest.split_at_checked(address_bytes)?;
    let (listener, bytes) = rest.split_at_checked(if head.flags & FLAG_LISTENER == 0 { 0 } else { 2 })?;
    let mut origin = None;
    let source = match fixed[13] {
        ORIGIN => {
            origin = OriginId::intern(std::str::from_utf8(&address[2..]).ok()?);
            None
        }
        4 => {
            let ip: [u8; 4] = address[..4].try_into().ok()?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), u16::from_le_bytes([address[4], address[5]])))
        }
        6 => {
            let ip: [u8; 16] = address[..16].try_into().ok()?;
            // A socket for both families tells of IPv4 senders in IPv6 clothes (RFC 4291 §2.5.5.2).
            Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(ip)).to_canonical(), u16::from_le_bytes([address[16], address[17]])))
        }
        _ => None,
    };
    let head = FrameHead {
        position: Position { partition, offset: head.seq },
        received: Time::from_unix_ns(u64_at(fixed, 0) as i64),
        tenant: TenantId(u32_at(fixed, 8)),
        source,
        origin,
        transport: Transport::from_number(fixed[12])?,
        content,
        truncated: head.flags & FLAG_TRUNCATED != 0,
        listener: listener.try_into().map_or(0, u16::from_le_bytes),
    };
    Some((head, bytes))
}

/// The hash of a leaf (RFC 6962 §2.1).
pub fn leaf(body: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

/// The Merkle tree hash of leaves (RFC 6962 §2.1); of none, the hash of nothing.
pub fn merkle_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            inner(&merkle_root(&leaves[..split]), &merkle_root(&leaves[split..]))
        }
    }
}

/// The hash over two that lie beside each other.
fn inner(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The hashes beside the way from the leaf at `index` to the root, the nearest first (RFC 6962 §2.1.1); none where there is no such leaf.
pub fn merkle_path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    let (mut leaves, mut index, mut path) = (leaves, index, Vec::new());
    while leaves.len() > 1 && index < leaves.len() {
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        if index < left.len() {
            path.push(merkle_root(right));
            leaves = left;
        } else {
            path.push(merkle_root(left));
            index -= left.len();
            leaves = right;
        }
    }
    path.reverse();
    path
}

/// The root to which `path` leads from the leaf at `index` of `count`; none where it is no path of such a tree.
pub fn root_by_path(leaf: Hash, index: u64, count: u64, path: &[Hash]) -> Option<Hash> {
    match path.split_last() {
        None => (count == 1 && index == 0).then_some(leaf),
        Some((beside, nearer)) if count > 1 && index < count => {
            let split = count.checked_next_power_of_two()? / 2;
            if index < split {
                Some(inner(&root_by_path(leaf, index, split, nearer)?, beside))
            } else {
                Some(inner(beside, &root_by_path(leaf, index - split, count - split, nearer)?))
            }
        }
        Some(_) => None,
    }
}

/// Bytes in hexadecimal, as documents have them.
pub(crate) mod hex {
    use event::hexadecimal;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hexadecimal(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        read(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("expected hexadecimal digits"))
    }

    fn read(text: &str) -> Option<Vec<u8>> {
        let digits = text.bytes().map(|b| char::from(b).to_digit(16)).collect::<Option<Vec<u32>>>()?;
        (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
    }

    /// One hash.
    pub(crate) mod hash {
        use super::super::Hash;
        use super::{Deserialize, Deserializer, Error, Serializer};

        pub(crate) fn serialize<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
            super::serialize(hash, to)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
            let bytes = super::read(&String::deserialize(from)?);
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| D::Error::custom("expected 64 hexadecimal digits"))
        }
    }

    /// Hashes.
    pub(crate) mod list {
        use super::super::Hash;
        use super::{Deserialize, Deserializer, Error, Serialize, Serializer};

        pub(crate) fn serialize<S: Serializer>(hashes: &[Hash], to: S) -> Result<S::Ok, S::Error> {
            hashes.iter().map(|hash| super::hexadecimal(hash)).collect::<Vec<String>>().serialize(to)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hash>, D::Error> {
            let one = |text: &String| super::read(text).and_then(|bytes| bytes.try_into().ok());
            let all: Option<Vec<Hash>> = Vec::<String>::deserialize(from)?.iter().map(one).collect();
            all.ok_or_else(|| D::Error::custom("expected lists of 64 hexadecimal digits"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_leads_to_the_root_and_no_other_does() {
        let leaves: Vec<Hash> = (0..40u8).map(|n| leaf(&[n])).collect();
        for count in 1..=leaves.len() {
            let (leaves, root) = (&leaves[..count], merkle_root(&leaves[..count]));
            for (index, own) in leaves.iter().enumerate() {
                let path = merkle_path(leaves, index);
                let led = |leaf, index, path: &[Hash]| root_by_path(leaf, index as u64, count as u64, path);
                assert_eq!(led(*own, index, &path), Some(root), "{index} of {count}");
                assert_ne!(led(leaf(b"another"), index, &path), Some(root));
                assert!(count == 1 || led(*own, (index + 1) % count, &path) != Some(root));
                assert!(path.is_empty() || led(*own, index, &path[1..]) != Some(root));
            }
        }
        assert_eq!(root_by_path(leaves[0], 1, 1, &[]), None);
        assert_eq!(root_by_path(leaves[0], 0, u64::MAX, &[leaves[1]; 3]), None);
    }

    /// The test vectors that RFC 6962 implementations share (certificate-transparency, `merkle_tree_test`).
    #[test]
    fn merkle_roots_are_those_of_rfc_6962() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let leaves: Vec<Hash> = inputs.iter().map(|input| leaf(input)).collect();
        assert_eq!(
            event::hexadecimal(&merkle_root(&leaves[..1])),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            event::hexadecimal(&merkle_root(&leaves[..2])),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
        assert_eq!(
            event::hexadecimal(&merkle_root(&leaves[..3])),
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
        );
        assert_eq!(event::hexadecimal(&merkle_root(&leaves)), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn a_record_round_trips() {
        let file = OriginId::intern("/var/log/app.log");
        let senders =
            [(None, None), (None, file), ("10.0.0.1:514".parse().ok(), None), ("[2001:db8::1]:65535".parse().ok(), None)];
        for ((source, origin), listener) in senders.into_iter().flat_map(|sender| [(sender, 0), (sender, 2055)]) {
            let head = FrameHead {
                position: Position { partition: 0, offset: 7 },
                received: Time::from_unix_ns(-5),
                tenant: TenantId(3),
                source,
                origin,
                transport: Transport::Tcp,
                content: Content::Text,
                truncated: true,
                listener,
            };
            let mut out = Vec::new();
            Encoder { out: &mut out, first_offset: 7, place: 68 }.record(&head, b"hello");
            let frame = Head::decode(&out).expect("a head");
            let body = &out[FRAME_HEAD_BYTES..];
            assert!(frame.fits(7, 68, body) && !frame.fits(7, 69, body) && !frame.fits(6, 68, body));
            assert_eq!(decode_record(0, &frame, body), Some((head, b"hello".as_slice())));
            for cut in 0..body.len().min(14) {
                assert_eq!(decode_record(0, &frame, &body[..cut]), None);
            }
        }
    }

    #[test]
    fn an_ipv4_sender_is_one_however_it_was_received() {
        let source = "[::ffff:192.0.2.7]:514".parse().ok();
        let head = FrameHead { source, ..FrameHead::new(Transport::Udp, Content::Text) };
        let mut out = Vec::new();
        Encoder { out: &mut out, first_offset: 0, place: 68 }.record(&head, b"hello");
        let frame = Head::decode(&out).expect("a head");
        let (read, _) = decode_record(0, &frame, &out[FRAME_HEAD_BYTES..]).expect("a record");
        assert_eq!(read.source, "192.0.2.7:514".parse().ok());
    }
}
