//! A quarantined record that is given to the pipeline once more, because a decoder can read it now.
//!
//! The log is never changed, so the record is appended again, with what its receiver knew: the same log gives the same events, whoever asked
//! for the release and whenever. What the journal stores is written here, so that who appends and who reads agree.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::limits::FRAME_BYTES_MAX;
use crate::{Content, EventId, Frame, FrameHead, OriginId, Position, TenantId, Time, Transport};

/// The form of what follows.
const VERSION: u8 = 1;
/// Bytes before the record.
const HEAD_BYTES: usize = 1 + 4 + 8 + 2 + 8 + 4 + 3 + 1 + 16 + 2;
const FLAG_TRUNCATED: u8 = 1;
/// In place of an address family: the name of a file or topic follows.
const ORIGIN: u8 = 1;

/// The record, and which event it was.
#[derive(Clone, Copy, Debug)]
pub struct Release<'r> {
    /// The quarantined event.
    pub of: EventId,
    /// The record as it was received; its position is that of the quarantined event.
    pub frame: Frame<'r>,
}

impl<'r> Release<'r> {
    /// The frame to append, and its bytes; none where the record is so long that there is no room for what goes before it.
    pub fn encode(&self) -> Option<(FrameHead, Vec<u8>)> {
        let Frame { head, bytes } = self.frame;
        let origin = head.origin.map_or("", OriginId::name);
        let before = HEAD_BYTES + head.origin.map_or(0, |_| 2 + origin.len());
        if bytes.len() + before > FRAME_BYTES_MAX {
            return None;
        }
        let mut out = Vec::with_capacity(before + bytes.len());
        out.push(VERSION);
        out.extend(self.of.frame.partition.to_le_bytes());
        out.extend(self.of.frame.offset.to_le_bytes());
        out.extend(self.of.nth.to_le_bytes());
        out.extend(head.received.unix_ns().to_le_bytes());
        out.extend(head.tenant.0.to_le_bytes());
        out.extend([head.transport as u8, head.content as u8, if head.truncated { FLAG_TRUNCATED } else { 0 }]);
        let (family, ip, port) = match head.source {
            None => (if head.origin.is_some() { ORIGIN } else { 0 }, Ipv6Addr::UNSPECIFIED, 0),
            Some(SocketAddr::V4(source)) => (4, source.ip().to_ipv6_mapped(), source.port()),
            Some(SocketAddr::V6(source)) => (6, *source.ip(), source.port()),
        };
        out.push(family);
        out.extend(ip.octets());
        out.extend(port.to_le_bytes());
        if head.origin.is_some() {
            out.extend((origin.len() as u16).to_le_bytes());
            out.extend_from_slice(origin.as_bytes());
        }
        debug_assert_eq!(out.len(), before);
        out.extend_from_slice(bytes);
        let outer = FrameHead { tenant: head.tenant, ..FrameHead::new(Transport::Internal, Content::Released) };
        Some((outer, out))
    }

    /// Reads what [`Release::encode`] wrote; none where it is something else.
    pub fn decode(frame: Frame<'r>) -> Option<Release<'r>> {
        if frame.head.content != Content::Released {
            return None;
        }
        let (head, mut bytes) = frame.bytes.split_at_checked(HEAD_BYTES)?;
        let mut head = Fields(head);
        let [VERSION] = head.take()? else { return None };
        let partition = u32::from_le_bytes(head.take()?);
        let position = Position { partition, offset: u64::from_le_bytes(head.take()?) };
        let of = EventId { frame: position, nth: u16::from_le_bytes(head.take()?) };
        let received = Time::from_unix_ns(i64::from_le_bytes(head.take()?));
        let tenant = TenantId(u32::from_le_bytes(head.take()?));
        let [transport, content, flags, family] = head.take()?;
        let ip = Ipv6Addr::from(head.take::<16>()?);
        let port = u16::from_le_bytes(head.take()?);
        let source = match family {
            4 => Some(SocketAddr::new(IpAddr::V4(ip.to_ipv4_mapped()?), port)),
            6 => Some(SocketAddr::new(IpAddr::V6(ip), port)),
            _ => None,
        };
        let mut origin = None;
        if family == ORIGIN {
            let (length, rest) = bytes.split_first_chunk::<2>()?;
            let (name, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
            (origin, bytes) = (OriginId::intern(std::str::from_utf8(name).ok()?), rest);
        }
        let (transport, content) = (Transport::from_number(transport)?, Content::from_number(content)?);
        let truncated = flags & FLAG_TRUNCATED != 0;
        let head = FrameHead { position, received, tenant, source, origin, transport, content, truncated, listener: 0 };
        Some(Release { of, frame: Frame { head, bytes } })
    }
}

struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let file = OriginId::intern("/var/log/app.log");
        for (source, origin) in
            [(None, None), (None, file), ("10.0.0.1:514".parse().ok(), None), ("[2001:db8::1]:65535".parse().ok(), None)]
        {
            let of = EventId { frame: Position { partition: 2, offset: 7 }, nth: 3 };
            let head = FrameHead {
                position: of.frame,
                received: Time::from_unix_ns(-5),
                tenant: TenantId(3),
                source,
                origin,
                transport: Transport::Tls,
                content: Content::Text,
                truncated: true,
                listener: 0,
            };
            let (outer, bytes) = Release { of, frame: Frame { head, bytes: b"raw\0\xff" } }.encode().expect("room");
            assert_eq!((outer.content, outer.tenant), (Content::Released, TenantId(3)));
            let read = Release::decode(Frame { head: outer, bytes: &bytes }).expect("written above");
            assert_eq!((read.of, read.frame.head, read.frame.bytes), (of, head, &b"raw\0\xff"[..]));
            for cut in 0..HEAD_BYTES {
                assert!(Release::decode(Frame { head: outer, bytes: &bytes[..cut] }).is_none());
            }
            assert!(Release::decode(Frame { head, bytes: &bytes }).is_none(), "a sender's record");
        }
        let head = FrameHead::new(Transport::Tcp, Content::Text);
        let long = vec![b'x'; FRAME_BYTES_MAX - HEAD_BYTES + 1];
        assert!(Release { of: EventId::default(), frame: Frame { head, bytes: &long } }.encode().is_none());
        assert!(Release { of: EventId::default(), frame: Frame { head, bytes: &long[1..] } }.encode().is_some());
    }
}
