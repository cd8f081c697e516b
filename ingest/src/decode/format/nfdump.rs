//! Flows as nfdump(1) prints them, a line each: `line`, `long` and `extended`, the same of both directions (`biline`, `bilong`), and `csv`, of
//! which the columns are told by what stands in them, as they differ by version.
//!
//! ```text
//!  2026-04-01 09:00:00.250     0.004 TCP  192.0.2.7:50000 ->  198.51.100.9:443   ...AP.SF   0   12  1.2 M   ...
//!  date       clock       duration proto  source              destination        flags    tos  packets bytes
//! ```

use std::net::IpAddr;

use event::{FieldId, RowBuilder, Time};

use super::{Kind, Recognise, number, protocol};
use crate::decode::text::Context;
use crate::decode::{ip, stamp};

/// Values of one line of `csv` that are looked at: what stands behind them is routing.
const VALUES_MAX: usize = 17;

pub(super) struct Reader {
    kind: Kind,
    icmp_type: FieldId,
    icmp_code: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("nfdump", Some("nfdump"), Some("flow"), None),
            icmp_type: FieldId::known("icmp.type"),
            icmp_code: FieldId::known("icmp.code"),
        }
    }

    fn write(&self, flow: &Flow<'_>, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Some(start) = time(flow.start, context) else { return false };
        self.kind.mark(row);
        row.text(FieldId::MESSAGE, context.header.message);
        row.text(FieldId::EVENT_CATEGORY, "network");
        row.text(FieldId::EVENT_ACTION, "flow");
        row.time(start);
        row.time_cell(FieldId::EVENT_START, start);
        row.int(FieldId::EVENT_DURATION, flow.duration_ns);
        row.time_cell(FieldId::EVENT_END, start.plus_ns(flow.duration_ns));
        protocol(row, flow.protocol);
        row.ip(FieldId::SOURCE_IP, flow.source);
        row.ip(FieldId::DESTINATION_IP, flow.destination);
        let icmp =
            ["icmp", "icmp6", "ipv6-icmp", "icmpv6", "1", "58"].iter().any(|name| name.eq_ignore_ascii_case(flow.protocol));
        if icmp {
            // `8.0`, or both in the number that NetFlow has in the destination's port.
            let told = match flow.port.split_once('.') {
                Some((kind, code)) => kind.parse::<u8>().ok().zip(code.parse::<u8>().ok()),
                None => flow.port.parse::<u16>().ok().map(|both| ((both >> 8) as u8, (both & 0xff) as u8)),
            };
            if let Some((kind, code)) = told {
                row.uint(self.icmp_type, kind.into());
                row.uint(self.icmp_code, code.into());
            }
        } else {
            number(row, FieldId::SOURCE_PORT, flow.source_port);
            number(row, FieldId::DESTINATION_PORT, flow.port);
        }
        if let Some(flags) = flow.flags.filter(|_| !icmp) {
            row.uint(FieldId::FLOW_TCP_FLAGS, flags);
        }
        let (packets, bytes) = flow.there;
        match flow.back {
            Some((packets_back, bytes_back)) if packets_back > 0 => {
                row.uint(FieldId::SOURCE_PACKETS, packets);
                row.uint(FieldId::SOURCE_BYTES, bytes);
                row.uint(FieldId::DESTINATION_PACKETS, packets_back);
                row.uint(FieldId::DESTINATION_BYTES, bytes_back);
                row.uint(FieldId::NETWORK_PACKETS, packets.saturating_add(packets_back));
                row.uint(FieldId::NETWORK_BYTES, bytes.saturating_add(bytes_back));
            }
            _ => {
                row.uint(FieldId::NETWORK_PACKETS, packets);
                row.uint(FieldId::NETWORK_BYTES, bytes);
            }
        }
        true
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["nfdump"]
    }

    fn recognise(&self) -> Recognise {
        // The year of a date that no header has taken.
        Recognise::new().stamped().rank(6).starts("1").starts("2")
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&[" -> ", ":"], &[" <-> ", ":"], &[",TCP,"], &[",UDP,"], &[",ICMP"], &[",........,"], &[",0.0.0.0,"]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        // Behind a date and a time, in whole seconds or with three digits more.
        let is_table = [19, 23].into_iter().any(|at| message.as_bytes().get(at) == Some(&b','));
        let flow = if is_table { table(message) } else { line(message) };
        flow.is_some_and(|flow| self.write(&flow, context, row))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Flow<'t> {
    /// When it was first seen.
    start: &'t str,
    duration_ns: i64,
    protocol: &'t str,
    source: IpAddr,
    source_port: &'t str,
    destination: IpAddr,
    port: &'t str,
    flags: Option<u64>,
    /// Packets and bytes.
    there: (u64, u64),
    back: Option<(u64, u64)>,
}

/// An instant with nothing behind it.
fn time(text: &str, context: &Context<'_>) -> Option<Time> {
    let (stamp, rest) = stamp::iso(text)?;
    stamp.resolve(context.zone, context.reference).filter(|_| rest.is_empty())
}

/// A line whose values stand in columns, blanks between.
fn line(text: &str) -> Option<Flow<'_>> {
    let clock_at = text.find(' ')? + 1;
    let end = clock_at + text[clock_at..].find(' ')?;
    let (start, rest) = text.split_at(end);
    let mut words = rest.split_ascii_whitespace();
    let duration_ns = duration(words.next()?)?;
    let protocol = words.next()?;
    let (source, source_port) = endpoint(words.next()?)?;
    let both_ways = match words.next()? {
        "->" => false,
        "<->" => true,
        _ => return None,
    };
    let (destination, port) = endpoint(words.next()?)?;
    let mut words = words.peekable();
    let flags = words.peek().and_then(|word| flags(word));
    if flags.is_some() {
        words.next();
        words.next()?; // The type of service.
    }
    let mut count = || {
        let word = words.next()?;
        // `1.2 M`: so many digits fit the column.
        let unit = match words.peek() {
            Some(&"K") => 1e3,
            Some(&"M") => 1e6,
            Some(&"G") => 1e9,
            Some(&"T") => 1e12,
            _ => return word.parse().ok(),
        };
        words.next();
        word.parse::<f64>().ok().filter(|n| (0.0..1e7).contains(n)).map(|n| (n * unit) as u64)
    };
    let (there, back) = if both_ways {
        let (packets_back, packets, bytes_back, bytes) = (count()?, count()?, count()?, count()?);
        ((packets, bytes), Some((packets_back, bytes_back)))
    } else {
        ((count()?, count()?), None)
    };
    Some(Flow { start, duration_ns, protocol, source, source_port, destination, port, flags, there, back })
}

/// A line of `csv`: `ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,..`, or since version 1.7.5
/// `firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,..`.
fn table(text: &str) -> Option<Flow<'_>> {
    let mut all = [""; VALUES_MAX];
    let mut values = text.split(',').map(str::trim);
    let mut length = 0;
    for (place, value) in all.iter_mut().zip(&mut values) {
        *place = value;
        length += 1;
    }
    let v = all.get(..length)?;
    let start = *v.first()?;
    let counts = |packets: &str, bytes: &str| packets.parse().ok().zip(bytes.parse().ok());
    if ip::is(v.get(3)?) && ip::is(v.get(4)?) && length >= 15 {
        return Some(Flow {
            start,
            duration_ns: duration(v[2])?,
            protocol: v[7],
            source: ip::parse(v[3])?,
            source_port: v[5],
            destination: ip::parse(v[4])?,
            port: v[6],
            flags: flags(v[8]),
            there: counts(v[11], v[12])?,
            back: Some(counts(v[13], v[14])?),
        });
    }
    Some(Flow {
        start,
        duration_ns: duration(v.get(1)?)?,
        protocol: v[2],
        source: ip::parse(v[3])?,
        source_port: v[4],
        destination: ip::parse(v.get(5)?)?,
        port: v.get(6)?,
        flags: None,
        there: counts(v.get(7)?, v.get(8)?)?,
        back: None,
    })
}

/// Seconds with a fraction, or since version 1.7 `HH:MM:SS.mmm`.
fn duration(text: &str) -> Option<i64> {
    let mut seconds = 0.0;
    for part in text.split(':') {
        if !part.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return None;
        }
        seconds = seconds * 60.0 + part.parse::<f64>().ok()?;
    }
    (0.0..1e9).contains(&seconds).then_some((seconds * 1e9) as i64)
}

/// `192.0.2.7:443`, of ICMP `192.0.2.7:8.0`, of IPv6 `2001:db8::7.443`.
fn endpoint(text: &str) -> Option<(IpAddr, &str)> {
    let (address, port) = match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => (address, port),
        _ => text.rsplit_once('.')?,
    };
    Some((ip::parse(address)?, port))
}

/// `...AP.SF`, of older versions with six places: a letter where the flag was seen.
fn flags(text: &str) -> Option<u64> {
    const LETTERS: &[u8; 8] = b"CEUAPRSF";
    let places = LETTERS.get(LETTERS.len().checked_sub(text.len())?..).filter(|places| places.len() >= 6)?;
    let mut flags = 0;
    for (byte, letter) in text.bytes().zip(places) {
        flags <<= 1;
        match byte {
            b'.' => {}
            byte if byte == *letter => flags |= 1,
            _ => return None,
        }
    }
    Some(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_line() {
        for (text, expected) in
            [("0.250", Some(250_000_000)), ("00:01:02.500", Some(62_500_000_000)), ("-1", None), ("", None), ("x", None)]
        {
            assert_eq!(duration(text), expected, "{text}");
        }
        for (text, expected) in [
            ("...AP.SF", Some(0x1b)),
            (".A..S.", Some(0x12)),
            ("........", Some(0)),
            ("0x1b", None),
            ("12", None),
            ("SF......", None),
        ] {
            assert_eq!(flags(text), expected, "{text}");
        }
        for (text, expected) in [
            ("192.0.2.7:443", Some(("192.0.2.7", "443"))),
            ("192.0.2.7:8.0", Some(("192.0.2.7", "8.0"))),
            ("2001:db8::7.443", Some(("2001:db8::7", "443"))),
            ("2001:d..1:7.443", None),
            ("192.0.2.7", None),
        ] {
            assert_eq!(endpoint(text), expected.map(|(ip, port)| (ip.parse().expect("an address"), port)), "{text}");
        }
    }
}
