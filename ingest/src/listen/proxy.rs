//! The PROXY protocol, versions 1 and 2 (haproxy.org, "The PROXY protocol"): the address of the sender behind a load balancer.
//!
//! A listener either demands the header on every connection or knows nothing of it: a header that is optional could be forged by anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// "a 108-byte buffer is always enough to store all the line" of version 1, its end included less one.
const LINE_BYTES_MAX: usize = 107;
/// Bytes behind the fixed part of a version 2 header: addresses and what else the proxy tells.
const REST_BYTES_MAX: usize = 4096;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What follows is no header of the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// The connection broke.
    #[error("the connection broke in the PROXY header")]
    Io(#[from] std::io::Error),
    /// It begins with something else.
    #[error("the connection does not begin with a PROXY header")]
    Malformed,
}

/// Reads the header, and nothing behind it. None where the proxy speaks for itself (`LOCAL`, `UNKNOWN`) or of another kind of socket.
pub(super) async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, ProxyError> {
    let mut start = [0; 16];
    stream.read_exact(&mut start[..SIGNATURE.len()]).await?;
    if start[..SIGNATURE.len()] == SIGNATURE {
        stream.read_exact(&mut start[SIGNATURE.len()..]).await?;
        let length = usize::from(u16::from_be_bytes([start[14], start[15]]));
        if start[12] >> 4 != 2 || length > REST_BYTES_MAX {
            return Err(ProxyError::Malformed);
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        return match start[12] & 0x0f {
            0 => Ok(None),
            1 => Ok(source(start[13], &rest)),
            _ => Err(ProxyError::Malformed),
        };
    }
    let mut line = start[..SIGNATURE.len()].to_vec();
    if !line.starts_with(b"PROXY ") {
        return Err(ProxyError::Malformed);
    }
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_BYTES_MAX {
            return Err(ProxyError::Malformed);
        }
        line.push(stream.read_u8().await?);
    }
    version1(&line).ok_or(ProxyError::Malformed)
}

/// The source of a version 2 header: family and transport, then source address, destination address, source port, destination port.
fn source(family: u8, b: &[u8]) -> Option<SocketAddr> {
    match family {
        0x11 | 0x12 => {
            let ip: [u8; 4] = b.get(..4)?.try_into().ok()?;
            let port = u16::from_be_bytes(b.get(8..10)?.try_into().ok()?);
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port))
        }
        0x21 | 0x22 => {
            let ip: [u8; 16] = b.get(..16)?.try_into().ok()?;
            let port = u16::from_be_bytes(b.get(32..34)?.try_into().ok()?);
            Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(ip)), port))
        }
        _ => None,
    }
}

/// `PROXY TCP4 source destination port port`; the outer option says whether it is one.
#[expect(clippy::option_option, reason = "malformed, without an address, with an address")]
fn version1(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line).ok()?.trim_end_matches("\r\n");
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let ip: IpAddr = source.parse().ok()?;
            (ip.is_ipv4() == (family == "TCP4")).then_some(())?;
            Some(Some(SocketAddr::new(ip, port.parse().ok()?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (Option<Option<SocketAddr>>, Vec<u8>) {
        let mut left = bytes;
        let found = header(&mut left).await.ok();
        (found, left.to_vec())
    }

    #[tokio::test]
    async fn headers_are_read_to_their_end() {
        let v4: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let v6: SocketAddr = "[2001:db8::7]:5000".parse().expect("an address");
        let mut two = SIGNATURE.to_vec();
        two.extend([0x21, 0x11, 0, 15, 192, 0, 2, 7, 10, 0, 0, 1, 0x13, 0x88, 0, 1, 4, 0, 0]);
        let mut local = SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 0]);
        let mut six = SIGNATURE.to_vec();
        six.extend([0x21, 0x21, 0, 36]);
        let IpAddr::V6(ip) = v6.ip() else { panic!("no IPv6") };
        six.extend(ip.octets());
        six.extend([0; 16]);
        six.extend([0x13, 0x88, 0, 1]);
        let cases: &[(&[u8], Option<Option<SocketAddr>>)] = &[
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 601\r\n", Some(Some(v4))),
            (b"PROXY TCP6 2001:db8::7 ::1 5000 601\r\n", Some(Some(v6))),
            (b"PROXY UNKNOWN\r\n", Some(None)),
            (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n", Some(None)),
            (b"PROXY TCP4 2001:db8::7 ::1 5000 601\r\n", None),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 70000 601\r\n", None),
            (b"<13>1 2026-01-01T00:00:00Z h a - - - x", None),
            (b"PROXY ", None),
            (&two, Some(Some(v4))),
            (&local, Some(None)),
            (&six, Some(Some(v6))),
            (&[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(), None),
            (&[&SIGNATURE[..], &[0x11, 0x11, 0, 0]].concat(), None),
        ];
        for (bytes, expected) in cases {
            let with_more = [bytes, &b"next"[..]].concat();
            let (found, left) = read(&with_more).await;
            assert_eq!(found, *expected, "{bytes:?}");
            if found.is_some() {
                assert_eq!(left, b"next", "{bytes:?}");
            }
        }
        let (found, _) = read(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat()).await;
        assert_eq!(found, None, "a line without an end");
    }
}
