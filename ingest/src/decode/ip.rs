//! Addresses as text. Most are IPv4 in four numbers, which are read at once; what else they may be the standard library reads, likewise
//! what the numbers are (no zeros before a number).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that `text` is, as the standard library has it.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    match four_numbers(text.as_bytes()) {
        Some(ip) => Some(IpAddr::V4(ip)),
        None if text.contains(':') => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => None,
    }
}

/// An address as it stands in a record, without the brackets around it. Most have none.
#[inline]
pub(super) fn bare(text: &str) -> &str {
    match text.as_bytes() {
        [b'[' | b']', ..] | [.., b'[' | b']'] => text.trim_matches(['[', ']']),
        _ => text,
    }
}

/// A name and its address as mail servers write them: `mx.example[192.0.2.7]`, `mx.example [192.0.2.7]`.
pub(super) fn with_name(text: &str) -> Option<(&str, IpAddr)> {
    let (name, address) = text.strip_suffix(']')?.rsplit_once('[')?;
    let name = name.trim_end();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    Some((name, parse(address).filter(|_| is_name)?))
}

/// Whether `text` is an address.
pub(super) fn is(text: &str) -> bool {
    parse(text).is_some()
}

fn four_numbers(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut nth) = ([0; 4], 0);
    let (mut number, mut digits) = (0, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits == 0 || digits < 3 && number > 0 => {
                number = number * 10 + u16::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && nth < 3 => {
                octets[nth] = u8::try_from(number).ok()?;
                nth += 1;
                (number, digits) = (0, 0);
            }
            _ => return None,
        }
    }
    octets[3] = u8::try_from(number).ok().filter(|_| nth == 3 && digits > 0)?;
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn addresses_are_read_as_the_standard_library_reads_them(
            ip in any::<IpAddr>(),
            text in prop_oneof!["[0-9.]{0,17}", "([0-9]{1,3}\\.){3}[0-9]{1,3}", "[0-9a-f:.]{0,24}", "\\PC{0,12}"],
        ) {
            prop_assert_eq!(parse(&text), text.parse().ok());
            prop_assert_eq!(parse(&ip.to_string()), Some(ip));
        }
    }
}
