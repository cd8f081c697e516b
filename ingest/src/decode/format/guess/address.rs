//! Addresses as programs write them into free text, alone or with a port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{TRANSPORTS, is_one_of};
use crate::decode::ip;

/// An address, alone or with its port.
pub(super) fn address(word: &str) -> Option<(IpAddr, Option<u16>)> {
    if !word.bytes().any(|b| matches!(b, b'.' | b':')) {
        return None;
    }
    // `IPアドレス:192.0.2.7`
    let word = word.rfind(|c: char| !c.is_ascii()).map_or(word, |at| {
        let rest = &word[at..];
        rest[rest.chars().next().map_or(0, char::len_utf8)..].trim_start_matches(':')
    });
    let word = word.trim_end_matches('-'); // `192.0.2.7:40122->192.0.2.9:445/tcp`
    let word = match word.rsplit_once('/') {
        Some((before, after)) if is_one_of(after, TRANSPORTS) => before,
        _ => word,
    };
    let bare = word.trim_end_matches(['.', ':', ']']).trim_start_matches(['[', '/', '@']);
    if let Some(ip) = ip::parse(bare) {
        if is_wwn(bare) {
            return None;
        }
        return Some((ip.to_canonical(), None));
    }
    // `192.0.2.7::40122`, as VNC writes it
    if let Some((ip, port)) = bare.split_once("::")
        && let (Ok(ip), Ok(port)) = (ip.parse::<Ipv4Addr>(), port.parse())
    {
        return Some((ip.into(), Some(port)));
    }
    let socket = word.trim_end_matches(['.', ':']).trim_start_matches(['/', '@']);
    // `[192.0.2.7:40122 (WAN)]`, `[client: 192.0.2.7:40122]`
    let socket = match (socket.starts_with('['), socket.contains(']')) {
        (true, false) => &socket[1..],
        (false, true) => socket.trim_end_matches(']'),
        _ => socket,
    };
    // `[192.0.2.7:40122]`
    let whole = socket.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).filter(|inner| !inner.contains(['[', ']']));
    if let Some(Ok(socket)) = whole.map(str::parse::<SocketAddr>) {
        return Some((socket.ip().to_canonical(), Some(socket.port())));
    }
    if let Ok(socket) = socket.parse::<SocketAddr>() {
        return Some((socket.ip().to_canonical(), Some(socket.port())));
    }
    // `[192.0.2.7]:40122`
    if let Some((ip, port)) = socket.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        return Some((ip.parse().ok()?, Some(port.trim_end_matches(']').parse().ok()?)));
    }
    // `192.0.2.7:ssh:admin`, as NetApp writes it
    if let Some((ip, rest)) = socket.split_once(':')
        && let Ok(ip) = ip.parse::<Ipv4Addr>()
        && rest.starts_with(|c: char| c.is_ascii_lowercase())
    {
        return Some((ip.into(), None));
    }
    // `192.0.2.7.40122`, `192.0.2.7/40122`, `192.0.2.7#40122` and `192.0.2.7@40122`
    let (ip, port) = socket
        .rsplit_once(['/', '#', '@'])
        .or_else(|| socket.rsplit_once('.').filter(|(ip, _)| ip.bytes().filter(|b| *b == b'.').count() == 3))?;
    Some((
        IpAddr::V4(ip.parse().ok()?),
        Some(port.parse().ok().filter(|port| *port > 32 || socket.contains('.') && !socket.contains('/'))?),
    ))
}

/// An address with one of the first ports behind `/`, which would be the length of a network as well, had it no host's part.
pub(super) fn with_low_port(word: &str) -> Option<(IpAddr, Option<u16>)> {
    let (ip, port) = word.split_once('/')?;
    let (ip, port): (Ipv4Addr, u16) = (ip.parse().ok()?, port.trim_end_matches([',', '.']).parse().ok()?);
    (ip.octets()[3] != 0 && (1..=32).contains(&port)).then_some((ip.into(), Some(port)))
}

/// Whether it is the eight bytes of a name in a storage network, which would be an address of IPv6 too.
fn is_wwn(word: &str) -> bool {
    word.len() == 23 && word.bytes().enumerate().all(|(at, b)| if at % 3 == 2 { b == b':' } else { b.is_ascii_hexdigit() })
}

/// The port in brackets behind an address: `192.0.2.7(40122)`.
pub(super) fn port_in_brackets(rest: &str) -> Option<u16> {
    rest.strip_prefix(['(', '['])?.split_once([')', ']'])?.0.parse().ok()
}

/// The port behind an address as IP Filter writes it: `192.0.2.7,40122 -> `.
pub(super) fn port_behind_comma(rest: &str) -> Option<u16> {
    rest.strip_prefix(',')?.split([' ', ',']).next()?.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_read_with_their_ports() {
        let read = |word: &str| address(word).map(|(ip, port)| (ip.to_string(), port));
        for (word, ip, port) in [
            ("192.0.2.7:40122", "192.0.2.7", Some(40122)),
            ("192.0.2.7.40122", "192.0.2.7", Some(40122)),
            ("192.0.2.7/40122", "192.0.2.7", Some(40122)),
            ("[2001:db8::7]:443", "2001:db8::7", Some(443)),
            ("IPアドレス:192.0.2.7", "192.0.2.7", None),
            ("192.0.2.7@40122", "192.0.2.7", Some(40122)),
            ("192.0.2.7:ssh:admin", "192.0.2.7", None),
            ("[192.0.2.7]:162]:", "192.0.2.7", Some(162)),
        ] {
            assert_eq!(read(word), Some((ip.to_owned(), port)), "{word}");
        }
        assert_eq!(read("10:00:00:05:1e:aa:bb:cc"), None);
        assert_eq!((read("192.0.2.0/24"), read("1.2.3.4.5.6"), read("4.39")), (None, None, None));
    }
}
