//! A template as the steps that write its records: what depends on the template only is decided once, when it is learnt.
//!
//! ```text
//!  template: [8 len 4] [12 len 4] [1 len 4] [22 len 4] ...      plan: [event.start, at 12] [source.ip, at 0] [network.bytes, at 8] ...
//! ```
//!
//! Fixed are: where each element lies, which of two that mean the same counts, and the order of the cells, which is that of the fields'
//! numbers, so that a row needs no sorting. A template with a field of variable length has no plan; [`super::record::record`] reads its records
//! element by element, and is the plain twin that every plan must agree with.

use event::{BatchBuilder, Cells, FieldId, RowBuilder, Time, Value};

use super::super::format::transport;
use super::element::{BIFLOW, Form, add_octets, add_text, counts_reverse, float, meaning, other_address};
use super::list::is_list;
use super::named::{self, PLACES, Thing};
use super::record::{OF_SOURCE, Span, direction, firewall_event, forwarding, instant, nat_event};
use super::sampling::{self, Names, is_part, rate_of};
use super::sflow::{FRAME_SECTION, PACKET_SECTION};
use super::{EVENTS_PER_FRAME_MAX, Export, Field, REVERSE_PEN, VARIABLE, add_family, add_mac, address, unsigned};

/// The steps of one record.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of one record.
    bytes: usize,
    span: Span<Part>,
    reverse: Span<Part>,
    /// What the record names that a sampling rate may be of.
    names: Box<[Part]>,
    steps: Box<[Step]>,
    repeats: Repeats,
}

/// How records are written that have what the one before has: the steps, by their numbers, whose values may differ.
#[derive(Debug, Default)]
struct Repeats {
    /// Whether they can be: there are few steps, and none whose text is made of the record or that asks what was written.
    can: bool,
    /// Numbers and addresses of four bytes, which each record has.
    numbers: Vec<(u8, Part)>,
    /// When the flow began, when it ended and how long it was: the steps that tell it.
    times: [u8; 3],
    /// The protocol's name.
    transport: Option<u8>,
    /// The rate that options records tell, where the record has none of its own.
    told: Option<u8>,
    /// What options records name.
    named: Vec<u8>,
    others: Vec<u8>,
}

/// Steps of a plan whose records can be written as the one before.
const REPEATED_MAX: usize = 64;
/// A step that wrote nothing.
const NOWHERE: u8 = u8::MAX;

impl Repeats {
    fn of(steps: &[Step]) -> Repeats {
        let mut repeats = Repeats { can: steps.len() <= REPEATED_MAX, ..Repeats::default() };
        for (Step { write, part, .. }, nth) in steps.iter().zip(0..=u8::MAX) {
            match write {
                Write::Uint => repeats.numbers.push((nth, *part)),
                Write::Ip if part.length == 4 => repeats.numbers.push((nth, *part)),
                Write::Mac | Write::Said | Write::OtherIp(_) | Write::Family | Write::Octets | Write::Float => {
                    repeats.can = false;
                }
                // All records of a packet have the same.
                Write::Text(_) | Write::Exporter | Write::Domain | Write::Template => {}
                Write::Start => repeats.times[0] = nth,
                Write::End => repeats.times[1] = nth,
                Write::Duration => repeats.times[2] = nth,
                Write::Transport => repeats.transport = Some(nth),
                Write::SamplingTold if !steps.iter().any(|step| step.write == Write::Sampling) => repeats.told = Some(nth),
                Write::Named(_) => repeats.named.push(nth),
                _ => repeats.others.push(nth),
            }
        }
        repeats
    }
}

/// Where the steps of a plan have put the cells of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// How many cells they are; none where they are not known.
    cells: usize,
    places: [u8; REPEATED_MAX],
}

impl Default for Written {
    fn default() -> Written {
        Written { cells: 0, places: [NOWHERE; REPEATED_MAX] }
    }
}

impl Written {
    fn place(&self, step: u8) -> u8 {
        self.places[usize::from(step) % REPEATED_MAX]
    }
}

/// An element within the record.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    element: u16,
    at: u32,
    length: u16,
}

/// Of steps that need nothing of the record.
const NOTHING: Part = Part { element: 0, at: 0, length: 0 };

impl Part {
    fn of<'b>(&self, record: &'b [u8]) -> &'b [u8] {
        let at = self.at as usize;
        record.get(at..at + usize::from(self.length)).unwrap_or(&[])
    }

    fn instant(&self, record: &[u8], export: Export) -> Option<Time> {
        instant(self.element, self.of(record), export)
    }
}

#[derive(Clone, Copy, Debug)]
struct Step {
    field: FieldId,
    write: Write,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Write {
    Uint,
    Ip,
    /// The other address of an end whose first, this one, is of zeros.
    OtherIp(Part),
    /// The family of the ends, where the template has both.
    Family,
    Mac,
    /// The protocol's name.
    Transport,
    IcmpType,
    IcmpCode,
    Sampling,
    /// The rate that options records tell, where the record has none of its own.
    SamplingTold,
    Direction,
    Forwarding,
    Firewall,
    NatEvent,
    /// What options records call the thing of this number, where the record says no name itself.
    Named(Thing),
    /// What the device says.
    Said,
    Text(&'static str),
    Exporter,
    Domain,
    Template,
    Start,
    End,
    Duration,
    ReverseStart,
    ReverseEnd,
    /// That the flow tells of both directions.
    Biflow,
    /// What nobody knows.
    Octets,
    /// A number with a fraction.
    Float,
}

/// What the steps need of the packet that the record is in.
#[derive(Clone, Copy)]
pub(super) struct Packet<'r> {
    pub(super) export: Export,
    pub(super) domain: Option<u32>,
    pub(super) template: Option<u16>,
    /// The rate that the packet itself tells.
    pub(super) sampling: Option<u64>,
    /// What options records told of the domain.
    pub(super) rates: Option<&'r sampling::Of>,
    /// What they name in the domain.
    pub(super) names: Option<&'r named::Of>,
}

impl Packet<'_> {
    fn rate(&self, names: &[Part], record: &[u8]) -> Option<u64> {
        let rates = self.rates?;
        let mut named = Names::default();
        for part in names {
            named.element(part.element, Some(number(record, part)));
        }
        rate_of(rates, self.template?, &named)
    }
}

impl Plan {
    /// The plan for records of `fields`. None where one has a variable length, is a list or a piece of a packet, or a sampling rate is told in
    /// several.
    pub(super) fn of(fields: &[Field]) -> Option<Plan> {
        let has_none = |field: &Field| {
            let of_several = is_part(field.element) || matches!(field.element, PACKET_SECTION | FRAME_SECTION);
            field.length == VARIABLE || is_list(field) || field.enterprise == 0 && of_several
        };
        if fields.iter().any(has_none) {
            return None;
        }
        let mut draft = Draft::default();
        let mut at = 0;
        for field in fields {
            draft.element(field, at);
            at += u32::from(field.length);
        }
        Some(draft.finish(at as usize))
    }

    /// Bytes of a record.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes the record that `rest` begins with, all cells of it; gives what follows. `written` says then where.
    ///
    /// # Panics
    /// Where `rest` is shorter than a record.
    pub(super) fn record<'b>(
        &self,
        rest: &'b [u8],
        packet: Packet<'_>,
        written: &mut Written,
        row: &mut RowBuilder<'_>,
    ) -> &'b [u8] {
        let (bytes, after) = rest.split_at(self.bytes);
        let record = self.read(bytes, packet);
        self.whole(&record, written, row);
        packet.export.set_time(record.end, row);
        after
    }

    /// Writes the records that `rest` begins with as long as each has what the record has that was `written` into the last row, and is of
    /// the same packet; gives what follows. Each takes that row's cells and puts its own values in their places.
    pub(super) fn alike<'b>(
        &self,
        rest: &'b [u8],
        packet: Packet<'_>,
        written: &Written,
        nth: &mut u16,
        batch: &mut BatchBuilder,
    ) -> &'b [u8] {
        let Some(mut rows) = batch.alike().filter(|rows| rows.cell_count() == written.cells) else { return rest };
        let mut after = rest;
        while *nth < EVENTS_PER_FRAME_MAX
            && let Some((bytes, behind)) = after.split_at_checked(self.bytes)
        {
            let record = self.read(bytes, packet);
            if record.end.is_some_and(|end| packet.export.is_far(end)) {
                break;
            }
            if !rows.row(*nth, record.time(), |cells| self.put(&record, written, cells)) {
                break;
            }
            *nth += 1;
            after = behind;
        }
        // What is nothing but a number goes column by column: where it lies and where it goes is the same for all.
        let records = rest[..rest.len() - after.len()].chunks_exact(self.bytes);
        for (step, part) in &self.repeats.numbers {
            let (place, at, records) = (written.place(*step).into(), part.at as usize, records.clone());
            match part.length {
                1 => rows.put_column(place, records.map(|record| record[at].into())),
                2 => rows.put_column(place, records.map(|record| u16::from_be_bytes(chunk(record, at)).into())),
                4 => rows.put_column(place, records.map(|record| u32::from_be_bytes(chunk(record, at)).into())),
                8 => rows.put_column(place, records.map(|record| u64::from_be_bytes(chunk(record, at)))),
                _ => rows.put_column(place, records.map(|record| number(record, part))),
            }
        }
        after
    }

    #[inline(always)]
    fn read<'b, 'r>(&'r self, bytes: &'b [u8], packet: Packet<'r>) -> Record<'b, 'r> {
        let instant = |part: Option<Part>| part.and_then(|part| part.instant(bytes, packet.export));
        let (start, end) = (instant(self.span.start), instant(self.span.end));
        Record { bytes, packet, plan: self, start, end }
    }

    /// Writes each step's cell, and says in `written` where.
    fn whole(&self, record: &Record<'_, '_>, written: &mut Written, row: &mut RowBuilder<'_>) {
        let mut sampled = false;
        let in_order = row.cell_count() == 0;
        for (Step { field, write, part }, nth) in self.steps.iter().zip(0..) {
            let cells = row.cell_count();
            match *write {
                Write::Uint => row.uint(*field, number(record.bytes, part)),
                Write::Mac => add_mac(row, *field, part.of(record.bytes)),
                // Where the first of several is empty the next one counts.
                Write::Said if !row.has(*field) => add_text(row, *field, part.of(record.bytes)),
                Write::OtherIp(first) if !row.has(*field) && is_zero(first.of(record.bytes)) => {
                    if let Some(ip) = address(part.of(record.bytes)).filter(|ip| !ip.is_unspecified()) {
                        row.ip(*field, ip);
                    }
                }
                Write::Family => add_family(row),
                Write::Octets if !row.has(*field) => add_octets(row, *field, part.of(record.bytes)),
                Write::Float if !row.has(*field) => {
                    if let Some(number) = float(part.of(record.bytes)) {
                        row.float(*field, number);
                    }
                }
                Write::Named(thing) if record.packet.names.is_some() && !row.has(*field) => {
                    if let Some(name) = record.name(thing, part) {
                        row.text(*field, name);
                    }
                }
                Write::Said | Write::OtherIp(_) | Write::Octets | Write::Float | Write::Named(_) => {}
                Write::Text(text) => row.fixed(*field, text),
                Write::Exporter => {
                    if let Some(exporter) = row.source() {
                        row.ip(*field, exporter);
                    }
                }
                write => match record.value(write, part, &mut sampled) {
                    Some(Value::Text(text)) => row.fixed(*field, text),
                    Some(value) => row.value(*field, value),
                    None => {}
                },
            }
            if let Some(place) = written.places.get_mut(nth) {
                *place = if row.cell_count() > cells { cells as u8 } else { NOWHERE };
            }
        }
        written.cells = if self.repeats.can && in_order { row.cell_count() } else { 0 };
    }

    /// The name of the protocol that a step tells.
    #[inline(always)]
    fn transport(&self, record: &Record<'_, '_>, step: u8) -> Option<&'static str> {
        transport(number(record.bytes, &self.steps[usize::from(step)].part))
    }

    /// Puts the values of a record in the places of those of the one that was `written`, but for plain numbers. False where the two differ
    /// in what they have.
    #[inline(always)]
    fn put(&self, record: &Record<'_, '_>, written: &Written, cells: &mut Cells<'_>) -> bool {
        let times = [record.start.map(Time::unix_ns), record.end.map(Time::unix_ns), record.duration()];
        for (value, step) in times.into_iter().zip(self.repeats.times) {
            match (value, written.place(step)) {
                (None, NOWHERE) => {}
                (None, _) | (Some(_), NOWHERE) => return false,
                (Some(value), place) => cells.put_number(place.into(), value.cast_unsigned()),
            }
        }
        if let Some(step) = self.repeats.transport {
            match (self.transport(record, step), written.place(step)) {
                (None, NOWHERE) => {}
                (Some(name), place) if place != NOWHERE && cells.put_fixed(place.into(), name) => {}
                _ => return false,
            }
        }
        let mut sampled = false;
        // Where nothing was told of the domain, all records of the packet have the same.
        let told = self.repeats.told.filter(|_| record.packet.rates.is_some());
        for step in self.repeats.others.iter().copied().chain(told) {
            let Step { write, part, .. } = &self.steps[usize::from(step)];
            match (record.value(*write, part, &mut sampled), written.place(step)) {
                (None, NOWHERE) => {}
                (Some(value), place) if place != NOWHERE && cells.put(place.into(), value) => {}
                _ => return false,
            }
        }
        if record.packet.names.is_some() {
            for step in &self.repeats.named {
                let Step { write: Write::Named(thing), part, .. } = &self.steps[usize::from(*step)] else { continue };
                match (record.name(*thing, part), written.place(*step)) {
                    (None, NOWHERE) => {}
                    (Some(name), place) if place != NOWHERE && cells.put_text(place.into(), name) => {}
                    _ => return false,
                }
            }
        }
        true
    }
}

/// A record and what its steps need.
struct Record<'b, 'r> {
    bytes: &'b [u8],
    packet: Packet<'r>,
    plan: &'r Plan,
    start: Option<Time>,
    end: Option<Time>,
}

impl Record<'_, '_> {
    /// When the flow ended, as far as it says.
    #[inline(always)]
    fn time(&self) -> Time {
        self.end.unwrap_or(self.packet.export.time())
    }

    #[inline(always)]
    fn duration(&self) -> Option<i64> {
        let (start, end) = self.start.zip(self.end).filter(|(start, end)| end >= start)?;
        Some(end.since_ns(start))
    }

    /// What options records call the thing whose number is in `part`.
    fn name(&self, thing: Thing, part: &Part) -> Option<&str> {
        self.packet.names?.get(&(thing, number(self.bytes, part))).map(|name| &**name)
    }

    /// What a step writes; none where the record has no such thing. `sampled` is whether a step before told the record's own rate.
    #[inline(always)]
    fn value(&self, write: Write, part: &Part, sampled: &mut bool) -> Option<Value<'static>> {
        let number = || number(self.bytes, part);
        Some(match write {
            Write::Uint => Value::Uint(number()),
            Write::Ip => Value::Ip(address(part.of(self.bytes))?),
            Write::Transport => Value::Text(transport(number())?),
            Write::IcmpType => Value::Uint(number() >> 8),
            Write::IcmpCode => Value::Uint(number() & 0xff),
            Write::Sampling => {
                let rate = Some(number()).filter(|rate| *rate > 0)?;
                *sampled = true;
                Value::Uint(rate)
            }
            Write::SamplingTold if *sampled => return None,
            Write::SamplingTold => Value::Uint(self.packet.sampling.or_else(|| self.packet.rate(&self.plan.names, self.bytes))?),
            Write::Direction => Value::Text(direction(part.of(self.bytes))?),
            Write::Forwarding => Value::Text(forwarding(part.of(self.bytes))?),
            Write::Firewall => Value::Text(firewall_event(part.of(self.bytes))?),
            Write::NatEvent => Value::Text(nat_event(part.of(self.bytes))?),
            Write::Domain => Value::Uint(self.packet.domain?.into()),
            Write::Template => Value::Uint(self.packet.template?.into()),
            Write::Start => Value::Time(self.start?),
            Write::End => Value::Time(self.end?),
            Write::Duration => Value::Int(self.duration()?),
            Write::ReverseStart => Value::Time(self.plan.reverse.start?.instant(self.bytes, self.packet.export)?),
            Write::ReverseEnd => Value::Time(self.plan.reverse.end?.instant(self.bytes, self.packet.export)?),
            Write::Biflow => Value::Bool(true),
            // The row writes them itself.
            Write::Mac
            | Write::Named(_)
            | Write::Said
            | Write::OtherIp(_)
            | Write::Family
            | Write::Octets
            | Write::Float
            | Write::Text(_)
            | Write::Exporter => return None,
        })
    }
}

/// The number of one to eight bytes.
fn number(record: &[u8], part: &Part) -> u64 {
    unsigned(part.of(record)).unwrap_or_default()
}

/// So many bytes of a record, where its plan knows that they are.
#[inline(always)]
fn chunk<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    record[at..at + N].try_into().expect("as many")
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// A plan in the making.
#[derive(Default)]
struct Draft {
    span: Span<Part>,
    reverse: Span<Part>,
    counts_reverse: bool,
    steps: Vec<Step>,
    protocol: Option<Part>,
    icmp: Option<Part>,
    bytes_total: Option<Part>,
    packets_total: Option<Part>,
    bytes_of_frames: Option<Part>,
    names: Vec<Part>,
}

impl Draft {
    /// The steps of one element, as [`super::record`] reads it.
    fn element(&mut self, field: &Field, at: u32) {
        use FieldId as F;
        let part = Part { element: field.element, at, length: field.length };
        let numeric = (1..=8).contains(&field.length);
        let number = numeric.then_some(part);
        self.counts_reverse |= counts_reverse(field);
        if field.enterprise == 0 && matches!(field.element, 10 | 14 | 48 | 302) {
            self.names.extend(number);
        }
        match (field.enterprise, field.element) {
            (0, 4) => self.protocol = self.protocol.or(number),
            (0, 85) => self.bytes_total = number,
            (0, 86) => self.packets_total = number,
            (0, 352) => self.bytes_of_frames = number,
            (0, 32 | 139) => self.icmp = number,
            (0, element) if Span::<Part>::is_of(element) => self.span.put(element, field.length.into(), || Some(part)),
            (REVERSE_PEN, element) if Span::<Part>::is_of(element) => {
                self.reverse.put(element, field.length.into(), || Some(part));
            }
            (0, 34 | 50) => self.every(F::FLOW_SAMPLING_RATE, Write::Sampling, number),
            (0, 61) => self.every(F::NETWORK_DIRECTION, Write::Direction, number),
            (0, 89) => self.every(F::EVENT_ACTION, Write::Forwarding, Some(part)),
            (0, 230) => self.every(F::EVENT_ACTION, Write::NatEvent, number),
            (0, 233 | 40_005) => self.every(F::EVENT_ACTION, Write::Firewall, number),
            (enterprise, element) => match meaning(enterprise, element).or(field.native) {
                Some((field, Form::Number)) => self.first(field, Write::Uint, number),
                Some((field, Form::Address)) => {
                    self.address(field, Some(part).filter(|part| matches!(part.length, 4 | 16)));
                }
                Some((field, Form::Mac)) => self.first(field, Write::Mac, Some(part).filter(|part| part.length == 6)),
                Some((field, Form::Text)) => self.every(field, Write::Said, Some(part)),
                Some((field, Form::Octets)) => self.every(field, Write::Octets, Some(part)),
                Some((field, Form::Float)) => self.every(field, Write::Float, Some(part)),
                None => {}
            },
        }
    }

    fn every(&mut self, field: FieldId, write: Write, part: Option<Part>) {
        self.steps.extend(part.map(|part| Step { field, write, part }));
    }

    /// Of several elements that mean one field the first counts.
    fn first(&mut self, field: FieldId, write: Write, part: Option<Part>) {
        if !self.steps.iter().any(|step| step.field == field) {
            self.every(field, write, part);
        }
    }

    /// The first, or where it is of zeros another: as [`super::element::add`].
    fn address(&mut self, field: FieldId, part: Option<Part>) {
        let before = self.steps.iter().find(|step| step.field == field).map(|step| step.part);
        match (before, other_address(field)) {
            (None, _) => self.every(field, Write::Ip, part),
            (Some(first), Some(other)) => self.every(other, Write::OtherIp(first), part),
            (Some(_), None) => {}
        }
    }

    /// The family of the ends, as [`add_family`] tells it: mostly the template says it already.
    fn family(&mut self) {
        use FieldId as F;
        let length = |field| self.steps.iter().find(|step| step.field == field).map(|step| step.part.length);
        let write = match length(F::SOURCE_IP).or(length(F::DESTINATION_IP)) {
            None => return,
            Some(_) if self.steps.iter().any(|step| matches!(step.write, Write::OtherIp(_))) => Write::Family,
            Some(4) => Write::Text("ipv4"),
            Some(_) => Write::Text("ipv6"),
        };
        self.every(F::NETWORK_TYPE, write, Some(NOTHING));
    }

    fn finish(mut self, bytes: usize) -> Plan {
        use FieldId as F;
        self.family();
        self.every(F::NETWORK_IANA_NUMBER, Write::Uint, self.protocol);
        self.every(F::NETWORK_TRANSPORT, Write::Transport, self.protocol);
        self.first(F::NETWORK_BYTES, Write::Uint, self.bytes_total);
        self.first(F::NETWORK_BYTES, Write::Uint, self.bytes_of_frames);
        self.first(F::NETWORK_PACKETS, Write::Uint, self.packets_total);
        if self.counts_reverse {
            self.every(BIFLOW.is, Write::Biflow, Some(NOTHING));
            for [of_flow, of_source] in OF_SOURCE {
                let counted = self.steps.iter().find(|step| step.field == of_flow).map(|step| step.part);
                self.first(of_source, Write::Uint, counted);
            }
        }
        self.first(F::ICMP_TYPE, Write::IcmpType, self.icmp);
        self.first(F::ICMP_CODE, Write::IcmpCode, self.icmp);
        for (field, write) in [
            (F::EVENT_KIND, Write::Text("event")),
            (F::EVENT_CATEGORY, Write::Text("network")),
            (F::EVENT_TYPE, Write::Text("connection")),
            (F::OBSERVER_IP, Write::Exporter),
            (F::FLOW_EXPORTER, Write::Exporter),
            (F::FLOW_SAMPLING_RATE, Write::SamplingTold),
            (F::FLOW_DOMAIN_ID, Write::Domain),
            (F::FLOW_TEMPLATE_ID, Write::Template),
            (F::EVENT_START, Write::Start),
            (F::EVENT_END, Write::End),
            (F::EVENT_DURATION, Write::Duration),
            (BIFLOW.start, Write::ReverseStart),
            (BIFLOW.end, Write::ReverseEnd),
        ] {
            self.every(field, write, Some(NOTHING));
        }
        for named in PLACES.iter() {
            let of_number = |step: &&Step| step.field == named.number && step.write == Write::Uint;
            let part = self.steps.iter().find(of_number).map(|step| step.part);
            self.every(named.name, Write::Named(named.thing), part);
        }
        self.steps.sort_by_key(|step| step.field);
        let repeats = Repeats::of(&self.steps);
        Plan { bytes, span: self.span, reverse: self.reverse, names: self.names.into(), steps: self.steps.into(), repeats }
    }
}

#[cfg(test)]
mod tests {
    use event::{BatchBuilder, Content, EventRef, FrameHead, LogRange, Transport};
    use proptest::prelude::*;

    use super::super::element::native;
    use super::super::sampling::Scope;
    use super::super::{FlowDecoder, template_of};
    use super::*;

    /// The cells of each record of a set and its time, by the plan where there is one and `planned`, else element by element.
    fn decoded(fields: &[Field], set: &[u8], rates: &[(Scope, u64)], planned: bool) -> Vec<(Time, Vec<(FieldId, String)>)> {
        let mut decoder = FlowDecoder::default();
        let domain = super::super::Domain { tenant: 0, exporter: "192.0.2.1".parse().unwrap(), listener: 0, version: 9, id: 3 };
        let mut template = template_of(fields.to_vec(), false, Time::EPOCH).unwrap();
        assert!(template.plan.is_some());
        if !planned {
            template.plan = None;
        }
        decoder.templates.insert(domain, 256, template, Time::EPOCH);
        for (scope, rate) in rates {
            decoder.sampling.learn(domain, *scope, *rate, Time::EPOCH);
            for (thing, number) in [(Thing::Interface, 0), (Thing::Description, 1), (Thing::Application, 0), (Thing::Vrf, 2)] {
                decoder.named.learn(domain, (thing, number), rate.to_string().into(), Time::EPOCH);
            }
        }
        let head = FrameHead {
            received: Time::from_unix_s(1_700_000_000),
            source: Some("192.0.2.1:2055".parse().unwrap()),
            ..FrameHead::new(Transport::Udp, Content::Flow)
        };
        let export = Export::new(Time::from_unix_s(1_700_000_000), Some(5_000), &head);
        let mut batch = BatchBuilder::default();
        let records = set.len() / fields.iter().map(|field| usize::from(field.length)).sum::<usize>();
        assert_eq!(decoder.data(domain, 256, set, export, &head, &mut 0, false, &mut batch), (true, records as u32));
        let batch = batch.finish(LogRange::default(), Time::EPOCH);
        assert_eq!(batch.len(), records);
        let text = |value: Value<'_>| format!("{value:?}");
        let cells = |event: EventRef<'_>| event.cells().map(|(field, value)| (field, text(value))).collect();
        batch.iter().map(|event| (event.time(), cells(event))).collect()
    }

    /// Elements that something is done with, some that nothing is, and lengths that fit and that do not.
    fn field() -> impl Strategy<Value = Field> {
        let element = prop_oneof![
            4 => prop::sample::select(vec![
                1u16, 2, 4, 6, 7, 8, 10, 11, 12, 14, 16, 17, 21, 22, 23, 24, 27, 28, 32, 34, 48, 50, 56, 57, 58, 61, 80, 81, 82, 85,
                86, 89, 95, 96, 136, 139, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 176, 177, 180, 181, 182, 183, 225, 226, 227,
                228, 230, 231, 232, 233, 234, 235, 243, 252, 281, 282, 298, 299, 302, 323, 352, 371, 40_001, 40_005, 56_701,
            ]),
            1 => (0u16..512).prop_filter("parts of rates, lists and packets have no plan", |n| {
                !is_part(*n) && !matches!(*n, 291..=293 | PACKET_SECTION | FRAME_SECTION)
            }),
        ];
        let length = prop_oneof![3 => prop::sample::select(vec![1u16, 2, 4, 6, 8, 16]), 1 => 0u16..20];
        let enterprise = prop_oneof![6 => Just(0u32), 1 => Just(REVERSE_PEN), 1 => Just(9u32)];
        (element, length, enterprise).prop_map(|(element, length, enterprise)| Field {
            enterprise,
            element,
            length,
            scope: false,
            native: native(enterprise, element, length),
        })
    }

    fn scope() -> impl Strategy<Value = Scope> {
        prop_oneof![
            Just(Scope::Domain),
            Just(Scope::Template(256)),
            (0u64..3).prop_map(Scope::Interface),
            (0u64..3).prop_map(Scope::Sampler),
            (0u64..3).prop_map(Scope::Selector),
        ]
    }

    #[test]
    fn of_several_samplers_the_last_with_a_number_counts() {
        let field = |element, length| Field { enterprise: 0, element, length, scope: false, native: None };
        for element in [48, 302] {
            let fields = [field(1, 4), field(element, 1), field(element, 16)];
            let rates = [(Scope::Sampler(0), 7), (Scope::Selector(0), 7)];
            let [plain, planned] = [false, true].map(|planned| decoded(&fields, &[0; 21], &rates, planned));
            assert_eq!(plain, planned);
            assert!(planned[0].1.contains(&(FieldId::FLOW_SAMPLING_RATE, "Int(7)".to_owned())), "{planned:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_plan_writes_what_its_twin_does(
            mut fields in prop::collection::vec(field(), 1..24), bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 600),
            records in 1usize..6, alike in any::<bool>(), rates in prop::collection::vec((scope(), 1u64..1000), 0..4),
        ) {
            fields[0].length = fields[0].length.max(1);
            let length: usize = fields.iter().map(|field| usize::from(field.length)).sum();
            let mut set = bytes[..length * records.min(600 / length)].to_vec();
            if alike {
                set = bytes[..length].repeat(records);
                let last = set.len() - 1;
                set[last] ^= 1;
            }
            let (plain, planned) = (decoded(&fields, &set, &rates, false), decoded(&fields, &set, &rates, true));
            prop_assert_eq!(plain, planned);
        }
    }
}
