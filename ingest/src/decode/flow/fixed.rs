//! NetFlow whose records are fixed: v1, v5, v7 and v8 (Cisco, "NetFlow Export Datagram Format"). Each layout is told as v9 would tell it, in
//! elements and lengths, and written by the same steps.

use std::net::Ipv4Addr;
use std::sync::Arc;

use event::{BatchBuilder, FieldId, FormatId, Frame, RowBuilder, Time};

use super::plan::{Packet, Plan, Written};
use super::{Export, Field, FlowDecoder, Heard, Unit, add_short, be16, be32, stream_key};

/// Elements and their lengths; 0 for what stands for nothing.
type Elements = &'static [(u16, u16)];

/// How many records, packets, bytes, and when the first and the last came: what records of routers' aggregations begin with.
const TOTALS: Elements = &[(3, 4), (2, 4), (1, 4), (22, 4), (21, 4)];
const AUTONOMOUS_SYSTEMS: Elements = &[(16, 2), (17, 2)];
const INTERFACES: Elements = &[(10, 2), (14, 2)];
const PORTS: Elements = &[(7, 2), (11, 2)];

const V1: Elements = &[
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 2),
    (14, 2),
    (2, 4),
    (1, 4),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (0, 2),
    (4, 1),
    (5, 1),
    (6, 1),
    (0, 11),
];
const V5: Elements = &[
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 2),
    (14, 2),
    (2, 4),
    (1, 4),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (0, 1),
    (6, 1),
    (4, 1),
    (5, 1),
    (16, 2),
    (17, 2),
    (9, 1),
    (13, 1),
    (0, 2),
];

/// Records of one kind.
#[derive(Debug)]
struct Layout {
    format: FormatId,
    plan: Plan,
    /// Where a prefix and its length lie, and the field that has both.
    prefixes: Vec<(usize, usize, FieldId)>,
}

impl Layout {
    fn new(format: &'static str, parts: &[Elements]) -> Layout {
        let fields: Vec<_> = parts
            .concat()
            .into_iter()
            .map(|(element, length)| Field { enterprise: 0, element, length, scope: false, native: None })
            .collect();
        let plan = Plan::of(&fields).expect("no length varies");
        Layout { format: FormatId::known(format), plan, prefixes: Vec::new() }
    }

    /// An aggregation of v8, which of its bytes are prefixes and their lengths: of the source, of the destination.
    fn of_prefixes(parts: &[Elements], source: Option<(usize, usize)>, destination: Option<(usize, usize)>) -> Layout {
        let mut layout = Layout::new("netflow_v8", parts);
        for (place, name) in [(source, "flow.source_prefix"), (destination, "flow.destination_prefix")] {
            layout.prefixes.extend(place.map(|(at, length)| (at, length, FieldId::known(name))));
        }
        layout
    }

    /// Writes the record that `rest` begins with; gives what follows.
    fn record<'b>(&self, rest: &'b [u8], packet: Packet<'_>, written: &mut Written, row: &mut RowBuilder<'_>) -> &'b [u8] {
        for (at, length, field) in &self.prefixes {
            let Some(prefix) = be32(rest, *at) else { continue };
            add_short(row, *field, format_args!("{}/{}", Ipv4Addr::from_bits(prefix), rest[*length]));
        }
        self.plan.record(rest, packet, written, row)
    }
}

/// The layouts of all versions.
#[derive(Debug)]
pub(super) struct Fixed {
    v1: Layout,
    v5: Layout,
    v7: Layout,
    /// By the number of the aggregation; there is none of number 0.
    v8: [Layout; 14],
}

impl Fixed {
    pub(super) fn new() -> Fixed {
        let v8 = |parts: &[Elements]| Layout::new("netflow_v8", parts);
        let prefixes = Layout::of_prefixes;
        // What a Catalyst tells besides: the type of service that it marked packets with, packets beyond its limits, the router's shortcut.
        const MARKED: Elements = &[(0, 2), (0, 4), (0, 4)];
        Fixed {
            v1: Layout::new("netflow_v1", &[V1]),
            v5: Layout::new("netflow_v5", &[V5]),
            // Catalyst 5000: the router's address behind what v5 has.
            v7: Layout::new("netflow_v7", &[V5, &[(0, 4)]]),
            v8: [
                v8(&[TOTALS, AUTONOMOUS_SYSTEMS, INTERFACES]),
                v8(&[TOTALS, &[(4, 1), (0, 3)], PORTS]),
                prefixes(&[TOTALS, &[(0, 6), (16, 2), (10, 2), (0, 2)]], Some((20, 24)), None),
                prefixes(&[TOTALS, &[(0, 6), (17, 2), (14, 2), (0, 2)]], None, Some((20, 24))),
                prefixes(&[TOTALS, &[(0, 12)], AUTONOMOUS_SYSTEMS, INTERFACES], Some((20, 29)), Some((24, 28))),
                v8(&[&[(12, 4), (2, 4), (1, 4), (22, 4), (21, 4), (14, 2), (5, 1), (0, 1), (0, 4), (0, 4)]]),
                v8(&[&[(12, 4), (8, 4), (2, 4), (1, 4), (22, 4), (21, 4), (14, 2), (10, 2), (5, 1), (0, 1)], MARKED]),
                v8(&[
                    &[(12, 4), (8, 4), (11, 2), (7, 2), (2, 4), (1, 4), (22, 4), (21, 4), (14, 2), (10, 2), (5, 1), (4, 1)],
                    MARKED,
                ]),
                v8(&[TOTALS, AUTONOMOUS_SYSTEMS, INTERFACES, &[(5, 1), (0, 3)]]),
                v8(&[TOTALS, &[(4, 1), (5, 1), (0, 2)], PORTS, INTERFACES]),
                prefixes(&[TOTALS, &[(0, 5), (5, 1), (16, 2), (10, 2), (0, 2)]], Some((20, 24)), None),
                prefixes(&[TOTALS, &[(0, 5), (5, 1), (17, 2), (14, 2), (0, 2)]], None, Some((20, 24))),
                prefixes(&[TOTALS, &[(0, 10), (5, 1), (0, 1)], AUTONOMOUS_SYSTEMS, INTERFACES], Some((20, 29)), Some((24, 28))),
                prefixes(&[TOTALS, &[(0, 10), (5, 1), (4, 1)], PORTS, INTERFACES], Some((20, 29)), Some((24, 28))),
            ],
        }
    }

    /// The layout of a packet of such a version, and how long its header is.
    fn of(&self, packet: &[u8]) -> Option<(&Layout, usize)> {
        Some(match be16(packet, 0)? {
            1 => (&self.v1, 16),
            5 => (&self.v5, 24),
            7 => (&self.v7, 24),
            8 => (self.v8.get(usize::from(*packet.get(22)?).checked_sub(1)?)?, 28),
            _ => return None,
        })
    }
}

impl FlowDecoder {
    /// A packet of records in a fixed layout.
    pub(super) fn fixed(
        &self,
        frame: Frame<'_>,
        nth: &mut u16,
        batch: &mut BatchBuilder,
        heard: &mut Vec<Heard>,
    ) -> Option<&'static str> {
        const CUT: Option<&str> = Some("flow packet is cut in its header");
        let b = frame.bytes;
        let (Some(version), Some(count), Some(uptime), Some(secs), Some(nsecs)) =
            (be16(b, 0), be16(b, 2), be32(b, 4), be32(b, 8), be32(b, 12))
        else {
            return CUT;
        };
        if version == 8 && b.len() < 28 {
            return CUT;
        }
        let layouts: Arc<Fixed> = self.fixed.clone();
        let Some((layout, header_bytes)) = layouts.of(b) else { return Some("flow packet has an unknown aggregation") };
        let Some(mut rest) = b.get(header_bytes..) else { return CUT };
        let sent = Time::from_unix_s(secs.into()).plus_ns(nsecs.min(999_999_999).into());
        let export = Export::new(sent, Some(uptime), &frame.head);
        // The engine; v7 has none. v1 has no sequence, and what that of v8 counts is not told.
        let engine = if version == 5 { be16(b, 20).unwrap_or_default() } else { 0 };
        if let (5 | 7, Some(sequence)) = (version, be32(b, 16)) {
            heard.extend(stream_key(&frame.head, version, Unit::Records, engine.into()).map(|key| Heard {
                key,
                received: frame.head.received,
                sequence,
                count: Some(count.into()),
                uptime_ms: Some(uptime),
            }));
        }
        let rate = if version == 5 { u64::from(be16(b, 22).unwrap_or_default() & 0x3fff) } else { 0 };
        let packet =
            Packet { export, domain: None, template: None, sampling: (rate > 0).then_some(rate), rates: None, names: None };
        let mut written = Written::default();
        let bytes = usize::from(count) * layout.plan.bytes();
        let is_cut = rest.len() < bytes;
        rest = &rest[..bytes.min(rest.len())];
        while rest.len() >= layout.plan.bytes() {
            let mut row = self.row(&frame.head, nth, layout.format, batch);
            rest = layout.record(rest, packet, &mut written, &mut row);
            drop(row);
            rest = layout.plan.alike(rest, packet, &written, nth, batch);
        }
        is_cut.then_some("flow packet has fewer records than it says")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_documented() {
        let fixed = Fixed::new();
        assert_eq!([&fixed.v1, &fixed.v5, &fixed.v7].map(|layout| layout.plan.bytes()), [52, 48, 52]);
        let v8 = fixed.v8.each_ref().map(|layout| layout.plan.bytes());
        assert_eq!(v8, [28, 28, 32, 32, 40, 32, 40, 44, 32, 32, 32, 32, 40, 40]);
    }
}
