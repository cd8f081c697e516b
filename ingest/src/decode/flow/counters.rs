//! Counter samples of sFlow version 5: what a device has counted since it started, as events of kind `metric`. Interfaces, Ethernet, VLANs
//! and processors (sflow.org, "sFlow Version 5", July 2004), hosts ("sFlow Host Structures", July 2010).
//!
//! Which interface it is stands in `observer.ingress.interface.id` and `observer.egress.interface.id`, what a host does under ECS's
//! `host.*`; what ECS has no name for under `sflow.*`. A counter that the device does not have (all bits one) is left out.

use std::sync::LazyLock;

use event::{FieldId, RowBuilder};

use super::add_short;
use super::element::add_text;
use super::sflow::Reader;

/// How a number is written, and what it is.
#[derive(Clone, Copy)]
enum Unit {
    U32,
    U64,
    /// IEEE 754, single precision.
    Float,
    /// Hundredths of a percent, told in percent.
    Percent,
    /// Milliseconds, told in seconds.
    Ms,
}

use Unit::{Float, Ms, Percent, U32, U64};

/// A record's number and its fields in their order.
type Layout = (u32, &'static [(Unit, &'static str)]);

const LAYOUTS: [Layout; 8] = [
    (
        1,
        &[
            (U32, "observer.ingress.interface.id"),
            (U32, "sflow.interface.type"),
            (U64, "sflow.interface.bits_per_second"),
            (U32, "sflow.interface.duplex"),
            (U32, "sflow.interface.status"),
            (U64, "sflow.interface.in.bytes"),
            (U32, "sflow.interface.in.unicast"),
            (U32, "sflow.interface.in.multicast"),
            (U32, "sflow.interface.in.broadcast"),
            (U32, "sflow.interface.in.discards"),
            (U32, "sflow.interface.in.errors"),
            (U32, "sflow.interface.in.unknown_protocols"),
            (U64, "sflow.interface.out.bytes"),
            (U32, "sflow.interface.out.unicast"),
            (U32, "sflow.interface.out.multicast"),
            (U32, "sflow.interface.out.broadcast"),
            (U32, "sflow.interface.out.discards"),
            (U32, "sflow.interface.out.errors"),
            (U32, "sflow.interface.promiscuous"),
        ],
    ),
    (
        2,
        &[
            (U32, "sflow.ethernet.alignment_errors"),
            (U32, "sflow.ethernet.fcs_errors"),
            (U32, "sflow.ethernet.single_collisions"),
            (U32, "sflow.ethernet.multiple_collisions"),
            (U32, "sflow.ethernet.sqe_test_errors"),
            (U32, "sflow.ethernet.deferred_transmissions"),
            (U32, "sflow.ethernet.late_collisions"),
            (U32, "sflow.ethernet.excessive_collisions"),
            (U32, "sflow.ethernet.transmit_errors"),
            (U32, "sflow.ethernet.carrier_sense_errors"),
            (U32, "sflow.ethernet.too_long"),
            (U32, "sflow.ethernet.receive_errors"),
            (U32, "sflow.ethernet.symbol_errors"),
        ],
    ),
    (
        5,
        &[
            (U32, "network.vlan.id"),
            (U64, "sflow.vlan.bytes"),
            (U32, "sflow.vlan.unicast"),
            (U32, "sflow.vlan.multicast"),
            (U32, "sflow.vlan.broadcast"),
            (U32, "sflow.vlan.discards"),
        ],
    ),
    (
        1001,
        &[
            (Percent, "sflow.processor.percent_5s"),
            (Percent, "sflow.processor.percent_1m"),
            (Percent, "sflow.processor.percent_5m"),
            (U64, "sflow.processor.memory_bytes"),
            (U64, "sflow.processor.memory_free_bytes"),
        ],
    ),
    (
        2003,
        &[
            (Float, "sflow.cpu.load_1m"),
            (Float, "sflow.cpu.load_5m"),
            (Float, "sflow.cpu.load_15m"),
            (U32, "sflow.cpu.processes_running"),
            (U32, "sflow.cpu.processes"),
            (U32, "sflow.cpu.processors"),
            (U32, "sflow.cpu.mhz"),
            (U32, "host.uptime"),
            (Ms, "sflow.cpu.user_s"),
            (Ms, "sflow.cpu.nice_s"),
            (Ms, "sflow.cpu.system_s"),
            (Ms, "sflow.cpu.idle_s"),
            (Ms, "sflow.cpu.waiting_s"),
            (Ms, "sflow.cpu.interrupt_s"),
            (Ms, "sflow.cpu.soft_interrupt_s"),
            (U32, "sflow.cpu.interrupts"),
            (U32, "sflow.cpu.context_switches"),
        ],
    ),
    (
        2004,
        &[
            (U64, "sflow.memory.bytes"),
            (U64, "sflow.memory.free_bytes"),
            (U64, "sflow.memory.shared_bytes"),
            (U64, "sflow.memory.buffers_bytes"),
            (U64, "sflow.memory.cached_bytes"),
            (U64, "sflow.memory.swap_bytes"),
            (U64, "sflow.memory.swap_free_bytes"),
            (U32, "sflow.memory.pages_in"),
            (U32, "sflow.memory.pages_out"),
            (U32, "sflow.memory.swapped_in"),
            (U32, "sflow.memory.swapped_out"),
        ],
    ),
    (
        2005,
        &[
            (U64, "sflow.disk.bytes"),
            (U64, "sflow.disk.free_bytes"),
            (Percent, "sflow.disk.fullest_partition_percent"),
            (U32, "sflow.disk.reads"),
            (U64, "host.disk.read.bytes"),
            (Ms, "sflow.disk.read_s"),
            (U32, "sflow.disk.writes"),
            (U64, "host.disk.write.bytes"),
            (Ms, "sflow.disk.write_s"),
        ],
    ),
    (
        2006,
        &[
            (U64, "host.network.ingress.bytes"),
            (U32, "host.network.ingress.packets"),
            (U32, "sflow.network.in.errors"),
            (U32, "sflow.network.in.drops"),
            (U64, "host.network.egress.bytes"),
            (U32, "host.network.egress.packets"),
            (U32, "sflow.network.out.errors"),
            (U32, "sflow.network.out.drops"),
        ],
    ),
];

/// `host_descr`, which has texts.
const HOST: u32 = 2000;

/// [`LAYOUTS`] with its names' ids.
static FIELDS: LazyLock<[Vec<(Unit, FieldId)>; LAYOUTS.len()]> =
    LazyLock::new(|| LAYOUTS.map(|(_, fields)| fields.iter().map(|(unit, name)| (*unit, FieldId::known(name))).collect()));
static HOST_ID: LazyLock<FieldId> = LazyLock::new(|| FieldId::known("host.id"));
static SYSTEM_VERSION: LazyLock<FieldId> = LazyLock::new(|| FieldId::known("host.os.version"));
static SOURCE: LazyLock<FieldId> = LazyLock::new(|| FieldId::known("sflow.data_source"));

/// One sample of counters.
pub(super) struct Counters<'b> {
    of: (u32, u32),
    records: u32,
    rest: Reader<'b>,
}

impl<'b> Counters<'b> {
    /// Reads the head of `counters_sample` or `counters_sample_expanded`.
    pub(super) fn read(mut r: Reader<'b>, expanded: bool) -> Option<Counters<'b>> {
        r.u32()?; // Counts the samples of its source.
        let of = r.data_source(expanded)?;
        Some(Counters { of, records: r.u32()?, rest: r })
    }

    /// Writes what its records say; each kind of them once. False where they are cut.
    pub(super) fn write(mut self, row: &mut RowBuilder<'_>) -> bool {
        let (class, index) = self.of;
        add_short(row, *SOURCE, format_args!("{class}:{index}"));
        if class == 0 {
            row.uint(FieldId::OBSERVER_EGRESS_INTERFACE_ID, index.into());
        }
        let (mut seen, mut host) = ([false; LAYOUTS.len()], false);
        for _ in 0..self.records {
            let Some(format) = self.rest.u32() else { return false };
            let Some(record) = self.rest.opaque() else { return false };
            let whole = if format == HOST && !std::mem::replace(&mut host, true) {
                describe(record, row)
            } else if let Some(at) = LAYOUTS.iter().position(|(known, _)| *known == format)
                && !std::mem::replace(&mut seen[at], true)
            {
                numbers(record, &FIELDS[at], row)
            } else {
                Some(())
            };
            if whole.is_none() {
                return false;
            }
        }
        if class == 0 && !seen[0] {
            row.uint(FieldId::OBSERVER_INGRESS_INTERFACE_ID, index.into());
        }
        true
    }
}

fn numbers(mut r: Reader<'_>, fields: &[(Unit, FieldId)], row: &mut RowBuilder<'_>) -> Option<()> {
    for (unit, field) in fields {
        if matches!(unit, U64) {
            let value = u64::from(r.u32()?) << 32 | u64::from(r.u32()?);
            if value != u64::MAX {
                row.uint(*field, value);
            }
            continue;
        }
        let bits = r.u32()?;
        match unit {
            Float if f32::from_bits(bits).is_finite() => row.float(*field, f32::from_bits(bits).into()),
            Float => {}
            _ if bits == u32::MAX => {}
            Percent => row.float(*field, f64::from(bits) / 100.0),
            Ms => row.float(*field, f64::from(bits) / 1000.0),
            U32 | U64 => row.uint(*field, bits.into()),
        }
    }
    Some(())
}

/// `host_descr`: its name, its UUID, and the release of its operating system.
fn describe(mut r: Reader<'_>, row: &mut RowBuilder<'_>) -> Option<()> {
    let (name, id) = (r.opaque()?, r.take(16)?);
    add_text(row, FieldId::HOST_NAME, name.bytes());
    let id = id.first_chunk().map_or(0, |id| u128::from_be_bytes(*id));
    if id != 0 {
        add_short(row, *HOST_ID, format_args!("{id:032x}"));
    }
    let (_machine, _system, release) = (r.u32()?, r.u32()?, r.opaque()?);
    add_text(row, *SYSTEM_VERSION, release.bytes());
    Some(())
}
