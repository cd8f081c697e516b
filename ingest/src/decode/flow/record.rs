//! One flow record, element by element: the plain twin of [`super::plan`], for what has no plan.

use event::{FieldId, RowBuilder, Time, Value};

use super::element::{self, BIFLOW, meaning};
use super::list::{self, Lists};
use super::sampling::{self, Names, Rate};
use super::sflow::{self, FRAME_SECTION, PACKET_SECTION};
use super::{Export, Field, REVERSE_PEN, Template, add_family, add_protocol, be32, take, unsigned};

/// Reads one flow record into `row`; gives what follows it, and what it names.
pub(super) fn record<'b>(
    template: &Template,
    b: &'b [u8],
    export: Export,
    lists: Lists<'_>,
    row: &mut RowBuilder<'_>,
) -> Option<(&'b [u8], Names)> {
    let mut rest = b;
    let (mut flow, mut names) = (Flow::default(), Names::default());
    for field in template.fields.iter() {
        let (value, after) = take(field, rest)?;
        rest = after;
        if field.enterprise == 0 {
            names.element(field.element, unsigned(value));
        }
        if list::is_list(field) {
            lists.write(field, value, 0, row);
        } else {
            flow.element(field, value, export, row);
        }
    }
    flow.finish(row, export);
    Some((rest, names))
}

/// What is told in several elements.
#[derive(Default)]
struct Flow<'b> {
    protocol: Option<u64>,
    span: Span<Time>,
    /// Of the other direction.
    reverse: Span<Time>,
    counts_reverse: bool,
    icmp: Option<u64>,
    /// Since the flow began, not since the last record of it.
    bytes_total: Option<u64>,
    packets_total: Option<u64>,
    /// Of whole frames (layer2OctetDeltaCount).
    bytes_of_frames: Option<u64>,
    rate: Rate,
    /// Of which kind, and a piece of a packet.
    section: Option<(u16, &'b [u8])>,
}

impl<'b> Flow<'b> {
    /// One information element.
    fn element(&mut self, field: &Field, v: &'b [u8], export: Export, row: &mut RowBuilder<'_>) {
        self.counts_reverse |= element::counts_reverse(field);
        match (field.enterprise, field.element) {
            (0, 85) => self.bytes_total = unsigned(v),
            (0, 86) => self.packets_total = unsigned(v),
            (0, 352) => self.bytes_of_frames = unsigned(v),
            // An element that comes twice tells of the inner packet the second time (RFC 7011 §8, order of treatment).
            (0, 4) => self.protocol = self.protocol.or(unsigned(v)),
            (0, 32 | 139) => self.icmp = unsigned(v),
            (0, 34 | 50) => {
                if let Some(rate) = unsigned(v).filter(|rate| *rate > 0) {
                    row.uint(FieldId::FLOW_SAMPLING_RATE, rate);
                }
            }
            (0, element) if sampling::is_part(element) => self.rate.element(element, v),
            (0, PACKET_SECTION | FRAME_SECTION) => self.section = Some((field.element, v)),
            (0, 61) => add_fixed(row, FieldId::NETWORK_DIRECTION, direction(v)),
            (0, 89) => add_fixed(row, FieldId::EVENT_ACTION, forwarding(v)),
            (0, 230) => add_fixed(row, FieldId::EVENT_ACTION, nat_event(v)),
            (0, 233 | 40_005) => add_fixed(row, FieldId::EVENT_ACTION, firewall_event(v)),
            (0, element) if Span::<Time>::is_of(element) => self.span.put(element, v.len(), || instant(element, v, export)),
            (REVERSE_PEN, element) if Span::<Time>::is_of(element) => {
                self.reverse.put(element, v.len(), || instant(element, v, export));
            }
            (enterprise, element) => {
                if let Some((field, form)) = meaning(enterprise, element).or(field.native) {
                    element::add(row, field, form, v);
                }
            }
        }
    }

    fn finish(&self, row: &mut RowBuilder<'_>, export: Export) {
        if let Some(protocol) = self.protocol {
            add_protocol(row, protocol);
        }
        if let Some((element, section)) = self.section
            && !row.has(FieldId::SOURCE_IP)
        {
            sflow::section(element, section, row);
        }
        add_family(row);
        // The count since the last record where there is one; adding up totals would count twice.
        for (count, field) in [
            (self.bytes_total, FieldId::NETWORK_BYTES),
            (self.bytes_of_frames, FieldId::NETWORK_BYTES),
            (self.packets_total, FieldId::NETWORK_PACKETS),
            (self.rate.told(), FieldId::FLOW_SAMPLING_RATE),
        ] {
            if let Some(count) = count
                && !row.has(field)
            {
                row.uint(field, count);
            }
        }
        if let Some(icmp) = self.icmp {
            for (field, part) in [(FieldId::ICMP_TYPE, icmp >> 8), (FieldId::ICMP_CODE, icmp & 0xff)] {
                if !row.has(field) {
                    row.uint(field, part);
                }
            }
        }
        if self.counts_reverse {
            row.value(BIFLOW.is, Value::Bool(true));
            for [of_flow, of_source] in OF_SOURCE {
                if let (Some(count), None) = (row.get(of_flow).and_then(number), row.get(of_source)) {
                    row.uint(of_source, count);
                }
            }
        }
        for (field, time) in [
            (FieldId::EVENT_START, self.span.start),
            (FieldId::EVENT_END, self.span.end),
            (BIFLOW.start, self.reverse.start),
            (BIFLOW.end, self.reverse.end),
        ] {
            if let Some(time) = time {
                row.time_cell(field, time);
            }
        }
        if let (Some(start), Some(end)) = (self.span.start, self.span.end)
            && end >= start
        {
            row.int(FieldId::EVENT_DURATION, end.since_ns(start));
        }
        export.set_time(self.span.end, row);
    }
}

/// What counts without a direction, and what is of the source alone: in a flow that tells of both directions the first is the second too
/// (RFC 5103 §4).
pub(super) const OF_SOURCE: [[FieldId; 2]; 2] =
    [[FieldId::NETWORK_BYTES, FieldId::SOURCE_BYTES], [FieldId::NETWORK_PACKETS, FieldId::SOURCE_PACKETS]];

/// When something began and ended; the last element that tells it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<T> {
    pub(super) start: Option<T>,
    pub(super) end: Option<T>,
}

impl<T> Default for Span<T> {
    fn default() -> Span<T> {
        Span { start: None, end: None }
    }
}

impl<T> Span<T> {
    /// Whether an element tells one of the two: of the flow itself, with [`REVERSE_PEN`] of the other direction.
    pub(super) fn is_of(element: u16) -> bool {
        matches!(element, 21 | 22 | 150..=159 | 323)
    }

    /// Takes what an element of `length` bytes tells.
    pub(super) fn put(&mut self, element: u16, length: usize, told: impl FnOnce() -> Option<T>) {
        if matches!(element, 154..=157) && length < 8 {
            return; // No timestamp of NTP.
        }
        let side = if matches!(element, 22 | 150 | 152 | 154 | 156 | 158) { &mut self.start } else { &mut self.end };
        *side = told();
    }
}

/// A count as it was written.
fn number(count: Value<'_>) -> Option<u64> {
    match count {
        Value::Int(n) => u64::try_from(n).ok(),
        Value::Uint(n) => Some(n),
        _ => None,
    }
}

/// The instant that an element of time tells.
pub(super) fn instant(element: u16, v: &[u8], export: Export) -> Option<Time> {
    match element {
        21 | 22 => export.at_uptime(unsigned(v)? as u32),
        150 | 151 => Some(export.ours(Time::from_unix_s(i64::try_from(unsigned(v)?).ok()?))),
        152 | 153 | 323 => Some(export.ours(Time::from_unix_ms(i64::try_from(unsigned(v)?).ok()?))),
        154..=157 => ntp(v).map(|time| export.ours(time)),
        158 | 159 => Some(export.time().plus_ns(-i64::try_from(unsigned(v)?).ok()?.checked_mul(1000)?)),
        _ => None,
    }
}

/// forwardingStatus (RFC 7270 §4.12).
pub(super) fn forwarding(v: &[u8]) -> Option<&'static str> {
    v.last().filter(|status| *status >> 6 == 2).map(|_| "dropped")
}

/// flowDirection (IANA): of the observer's interface.
pub(super) fn direction(v: &[u8]) -> Option<&'static str> {
    match unsigned(v)? {
        0 => Some("ingress"),
        1 => Some("egress"),
        _ => None,
    }
}

/// natEvent (IANA, "NAT Event Type").
pub(super) fn nat_event(v: &[u8]) -> Option<&'static str> {
    Some(match unsigned(v)? {
        1 | 4 | 6 => "nat_session_created",
        2 | 5 | 7 => "nat_session_deleted",
        3 => "nat_addresses_exhausted",
        8 | 10 => "nat_binding_created",
        9 | 11 => "nat_binding_deleted",
        12 => "nat_ports_exhausted",
        13 => "nat_quota_exceeded",
        14 => "nat_address_bound",
        15 => "nat_address_released",
        16 => "nat_ports_allocated",
        17 => "nat_ports_released",
        18 => "nat_threshold_reached",
        _ => return None,
    })
}

/// firewallEvent (IANA).
pub(super) fn firewall_event(v: &[u8]) -> Option<&'static str> {
    match unsigned(v)? {
        1 => Some("flow_created"),
        2 => Some("flow_deleted"),
        3 => Some("denied"),
        _ => None,
    }
}

/// `dateTimeMicroseconds` and `dateTimeNanoseconds`: NTP timestamps (RFC 7011 §6.1.9).
fn ntp(v: &[u8]) -> Option<Time> {
    let (seconds, fraction) = (be32(v, 0)?, be32(v, 4)?);
    let since_1900 = i64::from(seconds) - 2_208_988_800;
    Some(Time::from_unix_s(since_1900).plus_ns((i64::from(fraction) * 1_000_000_000) >> 32))
}

/// Adds a text of the code itself, where there is one.
fn add_fixed(row: &mut RowBuilder<'_>, field: FieldId, text: Option<&'static str>) {
    if let Some(text) = text {
        row.fixed(field, text);
    }
}
