//! Frames: the bytes as received, with what only the receiver knows.

use std::net::SocketAddr;

use crate::{OriginId, Position, Time};

/// A tenant (service > prefecture > municipality); the program's configuration names it. 0 is the default tenant.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TenantId(pub u32);

/// How a frame came in. It says how far its source address may be believed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Transport {
    /// A UDP datagram: the source address is the sender's claim.
    Udp = 1,
    /// A TCP connection.
    Tcp = 2,
    /// TCP under TLS.
    Tls = 3,
    /// RELP.
    Relp = 4,
    /// HTTP.
    Http = 5,
    /// A Kafka topic.
    Kafka = 6,
    /// A file.
    File = 7,
    /// Standard input.
    Stdin = 8,
    /// The program itself.
    Internal = 9,
}

impl Transport {
    /// The transport of this number as the journal stores it.
    pub fn from_number(number: u8) -> Option<Transport> {
        use Transport::{File, Http, Internal, Kafka, Relp, Stdin, Tcp, Tls, Udp};
        [Udp, Tcp, Tls, Relp, Http, Kafka, File, Stdin, Internal].into_iter().find(|t| *t as u8 == number)
    }

    /// The name as shown and as used in configuration and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Relp => "relp",
            Transport::Http => "http",
            Transport::Kafka => "kafka",
            Transport::File => "file",
            Transport::Stdin => "stdin",
            Transport::Internal => "internal",
        }
    }
}

/// What the bytes of a frame are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Content {
    /// One text record: a syslog message, a line of a file, a JSON object.
    Text = 1,
    /// One datagram of a flow exporter: NetFlow, IPFIX or sFlow.
    Flow = 2,
    /// No record: time has passed to [`Frame::received`]. Moves the watermark when nothing else does.
    Tick = 3,
    /// No record of a sender: the receiver tells of lost ones. The bytes are a JSON object with `reason` and `count`.
    Loss = 4,
    /// A record that stood in the log already and could not be read then: a [`crate::Release`].
    Released = 6, // 5 is the journal's own.
    /// No record: how far a source outside was read, as JSON.
    Mark = 7,
    /// No record: what is left of a part of the log that retention has removed, as JSON.
    Tombstone = 8,
}

impl Content {
    /// The content of this number as the journal stores it.
    pub fn from_number(number: u8) -> Option<Content> {
        let all =
            [Content::Text, Content::Flow, Content::Tick, Content::Loss, Content::Released, Content::Mark, Content::Tombstone];
        all.into_iter().find(|c| *c as u8 == number)
    }
}

/// What the receiver knows of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameHead {
    /// Where it lies in the log; all zero until the log has given it a place.
    pub position: Position,
    /// When it was received. Never decreases along a partition.
    pub received: Time,
    /// Whose it is.
    pub tenant: TenantId,
    /// The sender's address, where there is one.
    pub source: Option<SocketAddr>,
    /// What it came from, where that has no address: a file, a topic.
    pub origin: Option<OriginId>,
    /// How it came in.
    pub transport: Transport,
    /// What it holds.
    pub content: Content,
    /// The record was longer than [`crate::limits::FRAME_BYTES_MAX`] and is cut.
    pub truncated: bool,
    /// Of flow packets the port that they were sent to: behind one address there may be several exporters, each with a listener of its own.
    /// 0 where it is not known.
    pub listener: u16,
}

impl FrameHead {
    /// A head of which nothing else is known: no place, no receipt, the default tenant, no sender, not cut, no listener.
    pub fn new(transport: Transport, content: Content) -> FrameHead {
        FrameHead {
            position: Position::default(),
            received: Time::UNKNOWN,
            tenant: TenantId::default(),
            source: None,
            origin: None,
            transport,
            content,
            truncated: false,
            listener: 0,
        }
    }
}

/// One frame, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    /// What the receiver knows.
    pub head: FrameHead,
    /// The bytes as received.
    pub bytes: &'f [u8],
}

/// Frames in a row, their bytes in one buffer: what a listener hands to the log and what a read of the log gives.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    heads: Vec<(FrameHead, usize)>, // the end of its bytes
}

impl Frames {
    /// Appends one frame.
    pub fn push(&mut self, head: FrameHead, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.heads.push((head, self.bytes.len()));
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Bytes of all frames together, heads not counted.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The frame at `index`, if there are so many.
    pub fn get(&self, index: usize) -> Option<Frame<'_>> {
        let (head, end) = *self.heads.get(index)?;
        let start = if index == 0 { 0 } else { self.heads[index - 1].1 };
        Some(Frame { head, bytes: &self.bytes[start..end] })
    }

    /// The frames in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Frame<'_>> {
        let mut start = 0;
        self.heads.iter().map(move |(head, end)| {
            let bytes = &self.bytes[start..*end];
            start = *end;
            Frame { head: *head, bytes }
        })
    }

    /// The heads, to be changed: the log gives each frame its position here.
    pub fn heads_mut(&mut self) -> impl ExactSizeIterator<Item = &mut FrameHead> {
        self.heads.iter_mut().map(|(head, _)| head)
    }

    /// Forgets the frames and keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
    }
}
