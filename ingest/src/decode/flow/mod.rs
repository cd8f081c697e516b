//! NetFlow v1, v5, v7, v8 and v9 (RFC 3954), IPFIX (RFC 7011) and sFlow v5.
//!
//! Templates are kept by (tenant, exporter address, listener, version, domain, template id): not by the exporter's port, which changes when it
//! restarts.
//! Data that come before their template are held, within bounds, and decoded when it comes. A set that makes no sense costs itself only.
//! Counts are those observed; a sampling rate is stored beside them, never multiplied in.

mod counters;
mod element;
mod fixed;
mod iana;
mod kept;
mod list;
mod named;
mod plan;
mod record;
mod sampling;
mod sequence;
mod sflow;
mod started;
mod table;
mod vendor;

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use event::{
    BatchBuilder, FieldId, FormatId, Frame, FrameHead, LogSource, LogSourceId, RowBuilder, TenantId, Time, Transport, Value,
};

use super::Decoder;
use element::Form;
use fixed::Fixed;
use list::Lists;
use named::{Named, Thing};
use plan::{Packet, Plan, Written};
use record::record;
use sampling::{Rates, Scope};
use sequence::StreamKey;
pub use sequence::{Heard, Missing, Sequences, Unit};
use sflow::Part;
use started::Starts;
use table::{TEMPLATES_MAX, Table, Waiting};

/// Fields of one template.
const TEMPLATE_FIELDS_MAX: usize = 512;
/// Events of one packet, from held sets too: numbers within a frame are `u16`.
const EVENTS_PER_FRAME_MAX: u16 = u16::MAX - 1;
/// A variable-length field (RFC 7011 §7).
const VARIABLE: u16 = 65_535;
/// Reverse information elements (RFC 5103).
const REVERSE_PEN: u32 = 29_305;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Domain {
    tenant: u32,
    exporter: IpAddr,
    listener: u16,
    version: u16,
    id: u32,
}

impl Domain {
    /// As it is stored.
    fn parts(&self) -> DomainParts {
        (self.tenant, self.exporter, self.listener, self.version, self.id)
    }

    fn of_parts((tenant, exporter, listener, version, id): DomainParts) -> Domain {
        Domain { tenant, exporter, listener, version, id }
    }
}

type DomainParts = (u32, IpAddr, u16, u16, u32);

#[derive(Clone, Debug)]
struct Template {
    /// Shared: a data set works on it while the decoder changes.
    fields: Arc<[Field]>,
    /// How its records are written, where each is of the same length.
    plan: Option<Arc<Plan>>,
    /// Bytes of the shortest record.
    bytes_min: usize,
    /// Options describe the exporter, they are no flows.
    options: bool,
    seen: Time,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Field {
    enterprise: u32,
    element: u16,
    length: u16,
    scope: bool,
    /// Where it is kept if it stands for no field of ours, and how it is read.
    native: Option<(FieldId, Form)>,
}

struct Held {
    domain: Domain,
    template: u16,
    head: FrameHead,
    export: Export,
    bytes: Vec<u8>,
}

/// What the packet's header says of time.
#[derive(Clone, Copy)]
struct Export {
    /// When it was sent, as it says.
    claimed: Time,
    /// What the exporter's clock is behind by; 0 within [`CLOCK_NS_MAX`].
    behind_ns: i64,
    /// Milliseconds since the exporter started, where the version has them.
    uptime_ms: Option<u32>,
}

/// What may lie between a packet's sending, as it says, and its receipt: beyond it the exporter's clock is wrong, as of those that send local
/// time for UTC.
const CLOCK_NS_MAX: i64 = 300 * 1_000_000_000;
/// What may lie between a flow's end and the packet that tells it: exporters tell even of long flows each half hour.
const TOLD_NS_MAX: i64 = 2 * 3600 * 1_000_000_000;

/// Senders and seconds of which dropped sets are counted between two calls of [`FlowDecoder::take_dropped`].
const DROPPED_MAX: usize = 65_536;

/// Why a set is dropped, as the ledger names it.
pub const NO_TEMPLATE: &str = "no_template";

/// Data sets of one sender that were dropped for want of their template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DroppedSet {
    /// Whose they are.
    pub tenant: TenantId,
    /// How they came in.
    pub transport: Transport,
    /// Who sent them.
    pub sender: Option<IpAddr>,
    /// When they were given up.
    pub now: Time,
    /// How many.
    pub count: u64,
}

/// Reads flow packets. Keeps templates, so packets of one exporter must come in their order, to one decoder.
pub struct FlowDecoder {
    templates: Table,
    sampling: Rates,
    named: Named,
    started: Starts,
    held: Waiting,
    dropped: Vec<DroppedSet>,
    fixed: Arc<Fixed>,
    sflow: FormatId,
    v9: FormatId,
    ipfix: FormatId,
    log_source: LogSourceId,
    counters: LogSourceId,
    late: FieldId,
    agent: FieldId,
}

impl Default for FlowDecoder {
    fn default() -> FlowDecoder {
        FlowDecoder {
            templates: Table::default(),
            sampling: sampling::none(),
            named: named::none(),
            started: started::none(),
            held: Waiting::default(),
            dropped: Vec::new(),
            fixed: Arc::new(Fixed::new()),
            sflow: FormatId::known("sflow"),
            v9: FormatId::known("netflow_v9"),
            ipfix: FormatId::known("ipfix"),
            log_source: LogSourceId::intern(LogSource { product: Some("netflow"), category: Some("flow"), service: None }),
            counters: FlowDecoder::counters(),
            late: FieldId::FLAGS,
            agent: FieldId::known("flow.agent_ip"),
        }
    }
}

impl Decoder for FlowDecoder {
    fn decode(&mut self, frame: Frame<'_>, batch: &mut BatchBuilder) {
        self.decode_heard(frame, batch, &mut Vec::new());
    }
}

impl FlowDecoder {
    /// The log source of what devices have counted: no traffic.
    pub fn counters() -> LogSourceId {
        LogSourceId::intern(LogSource { product: Some("sflow"), category: None, service: None })
    }

    /// As [`Decoder::decode`], and appends the packet's sequence numbers for [`Sequences`].
    pub fn decode_heard(&mut self, frame: Frame<'_>, batch: &mut BatchBuilder, heard: &mut Vec<Heard>) {
        let now = frame.head.received;
        while let Some(held) = self.held.expired(now) {
            self.drop_set(&held.head, now);
        }
        let before = batch.len();
        let mut nth = 0;
        let version = be16(frame.bytes, 0).unwrap_or_default();
        let (problem, sets) = match version {
            1 | 5 | 7 | 8 => (self.fixed(frame, &mut nth, batch, heard), 1),
            9 | 10 => self.packet(frame, version, &mut nth, batch, heard),
            0 if be16(frame.bytes, 2) == Some(5) => (self.sflow(frame, &mut nth, batch, heard), 1),
            _ => (Some("no flow packet: unknown version"), 1),
        };
        let Some(reason) = problem else { return };
        if batch.len() > before {
            // The rest of the packet is good; what is lost of it is counted.
            let key = stream_key(&frame.head, version, Unit::Sets, 0);
            let received = frame.head.received;
            heard.extend(key.map(|key| Heard { key, received, sequence: 0, count: Some(sets), uptime_ms: None }));
        } else {
            let mut row = batch.row(&frame.head, 0, "");
            row.log_source(self.log_source);
            if let Some(exporter) = row.source() {
                row.ip(FieldId::OBSERVER_IP, exporter);
            }
            row.quarantine(reason);
        }
    }

    /// Data sets since this was last asked whose template did not come, or for which there was no room until it would: nobody knows how
    /// many records they are.
    pub fn take_dropped(&mut self) -> Vec<DroppedSet> {
        std::mem::take(&mut self.dropped)
    }

    /// Counts a set that is not held, or not any more at `now`.
    fn drop_set(&mut self, head: &FrameHead, now: Time) {
        metrics::counter!("mihari_flow_sets_dropped_total", "reason" => NO_TEMPLATE).increment(1);
        let FrameHead { tenant, transport, .. } = *head;
        let sender = head.source.map(|source| source.ip());
        let same = |last: &&mut DroppedSet| {
            (last.tenant, last.transport, last.sender, last.now.unix_s()) == (tenant, transport, sender, now.unix_s())
        };
        let full = self.dropped.len() >= DROPPED_MAX;
        match self.dropped.last_mut().filter(same) {
            Some(last) => last.count += 1,
            None if full => {} // The metric has it.
            None => self.dropped.push(DroppedSet { tenant, transport, sender, now, count: 1 }),
        }
    }

    /// How many templates are known.
    pub fn templates(&self) -> usize {
        self.templates.len()
    }

    /// Grows whenever the templates change, or what exporters tell of themselves, so that who stores them knows when.
    pub fn template_changes(&self) -> u64 {
        self.templates.changes() + self.sampling.changes() + self.named.changes() + self.started.changes()
    }

    /// Templates, sampling rates, names and starts as bytes, for [`FlowDecoder::restore`]. Held sets are not part of it: they are read again.
    pub fn snapshot(&self) -> Vec<u8> {
        let templates: Vec<_> = self
            .templates
            .iter()
            .map(|((d, id), t)| {
                let fields: Vec<_> = t.fields.iter().map(|f| (f.enterprise, f.element, f.length, f.scope)).collect();
                (d.parts(), *id, fields, t.options, t.seen.unix_ns())
            })
            .collect();
        let sampling: Vec<_> = self.sampling.iter().map(|(d, rates)| (d.parts(), rates.iter().collect::<Vec<_>>())).collect();
        let named: Vec<_> = self.named.iter().map(|(d, names)| (d.parts(), names.iter().collect::<Vec<_>>())).collect();
        let started: Vec<_> = self.started.iter().flat_map(|(d, started)| started.values().map(|ms| (d.parts(), *ms))).collect();
        serde_json::to_vec(&(3u8, templates, sampling, named, started)).expect("plain values are serialisable")
    }

    /// Takes up what [`FlowDecoder::snapshot`] gave. False, and nothing changed, where the bytes are none.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        type Fields = Vec<(u32, u16, u16, bool)>;
        type Templates = Vec<(DomainParts, u16, Fields, bool, i64)>;
        type Sampling = Vec<(DomainParts, Vec<(Scope, u64)>)>;
        type Names = Vec<(DomainParts, Vec<((Thing, u64), Box<str>)>)>;
        type Starts = Vec<(DomainParts, u64)>;
        let saved = serde_json::from_slice::<(u8, Templates, Sampling, Names, Starts)>(bytes)
            .or_else(|_| {
                // As it was before starts were kept.
                let (version, templates, sampling, named) = serde_json::from_slice::<(u8, Templates, Sampling, Names)>(bytes)?;
                serde_json::Result::Ok((version, templates, sampling, named, Starts::new()))
            })
            .or_else(|_| {
                // As it was before names were kept.
                let (version, templates, sampling) = serde_json::from_slice::<(u8, Templates, Sampling)>(bytes)?;
                serde_json::Result::Ok((version, templates, sampling, Names::new(), Starts::new()))
            });
        let Ok((3, templates, sampling, named, started)) = saved else { return false };
        for (domain, template, fields, options, seen) in templates.into_iter().take(TEMPLATES_MAX) {
            let fields = fields
                .into_iter()
                .map(|(enterprise, element, length, scope)| Field { enterprise, element, length, scope, native: None })
                .collect();
            self.templates.learn(Domain::of_parts(domain), template, fields, options, Time::from_unix_ns(seen));
        }
        for (domain, rates) in sampling {
            for (scope, rate) in rates {
                self.sampling.learn(Domain::of_parts(domain), scope, rate, Time::UNKNOWN);
            }
        }
        for (domain, names) in named {
            for (of, name) in names {
                self.named.learn(Domain::of_parts(domain), of, name, Time::UNKNOWN);
            }
        }
        for (domain, ms) in started {
            self.started.learn(Domain::of_parts(domain), (), ms, Time::UNKNOWN);
        }
        true
    }

    /// sFlow: an event for each sample, of a packet or of counters.
    fn sflow(
        &mut self,
        frame: Frame<'_>,
        nth: &mut u16,
        batch: &mut BatchBuilder,
        heard: &mut Vec<Heard>,
    ) -> Option<&'static str> {
        let Some(mut head) = sflow::head(frame.bytes) else { return Some("flow packet is cut in its header") };
        let mut problem = None;
        let key = stream_key(&frame.head, 5, Unit::Packets, head.sub_agent).map(|key| StreamKey { agent: head.agent, ..key });
        let count_of = |of: StreamKey, sequence| Heard {
            key: of,
            received: frame.head.received,
            sequence,
            count: Some(1),
            uptime_ms: Some(head.uptime_ms),
        };
        heard.extend(key.map(|key| count_of(key, head.sequence)));
        for _ in 0..head.samples {
            match sflow::sample(&mut head.rest) {
                None => return Some("flow packet has fewer records than it says"),
                Some(Part::Other) => {}
                Some(_) if *nth >= EVENTS_PER_FRAME_MAX => return Some("flow packet has too many records"),
                Some(Part::Counters(counters)) => {
                    let mut row = self.row(&frame.head, nth, self.sflow, batch);
                    row.log_source(self.counters);
                    row.text(FieldId::EVENT_KIND, "metric");
                    if let Some(exporter) = row.source() {
                        row.ip(FieldId::OBSERVER_IP, exporter);
                    }
                    self.agent_of(&head, &mut row);
                    if !counters.write(&mut row) {
                        problem = Some(cut(&mut row));
                    }
                }
                Some(Part::Packet(sample)) => {
                    let of = key.filter(|_| sample.counts()).map(|key| StreamKey { unit: Unit::Samples, of: sample.of, ..key });
                    heard.extend(of.map(|key| count_of(key, sample.sequence)));
                    let mut row = self.begin(&frame.head, nth, self.sflow, batch);
                    self.agent_of(&head, &mut row);
                    if !sample.write(&mut row) {
                        problem = Some(cut(&mut row));
                    }
                }
            }
        }
        problem
    }

    /// Which agent told a sample.
    fn agent_of(&self, head: &sflow::Head<'_>, row: &mut RowBuilder<'_>) {
        row.uint(FieldId::FLOW_DOMAIN_ID, head.sub_agent.into());
        if let Some(agent) = head.agent {
            row.ip(self.agent, agent);
        }
    }

    /// NetFlow v9 and IPFIX: a header and sets of templates and data. Gives the last problem, and how many sets have one.
    fn packet(
        &mut self,
        frame: Frame<'_>,
        version: u16,
        nth: &mut u16,
        batch: &mut BatchBuilder,
        heard: &mut Vec<Heard>,
    ) -> (Option<&'static str>, u32) {
        let b = frame.bytes;
        let header_bytes = if version == 9 { 20 } else { 16 };
        let (Some(secs), Some(sequence), Some(domain)) =
            (be32(b, if version == 9 { 8 } else { 4 }), be32(b, header_bytes - 8), be32(b, header_bytes - 4))
        else {
            return (Some("flow packet is cut in its header"), 1);
        };
        // v9 counts packets, IPFIX data records, those of options too; how many there are is known where every set can be read.
        let (unit, mut count) = if version == 9 { (Unit::Packets, Some(1)) } else { (Unit::Records, Some(0)) };
        let uptime_ms = if version == 9 { be32(b, 4) } else { None };
        let export = Export::new(Time::from_unix_s(secs.into()), uptime_ms, &frame.head);
        let exporter = frame.head.source.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |s| s.ip().to_canonical());
        let Frame { head: FrameHead { tenant, listener, .. }, .. } = frame;
        let domain = Domain { tenant: tenant.0, exporter, listener, version, id: domain };
        // IPFIX says its length; what lies behind is not its own.
        let end = if version == 10 { be16(b, 2).map_or(b.len(), usize::from).min(b.len()) } else { b.len() };
        let mut at = header_bytes;
        let (mut last_problem, mut bad_sets) = (None, 0);
        let mut learned = Vec::new();
        while at + 4 <= end {
            let (Some(set), Some(length)) = (be16(b, at), be16(b, at + 2)) else { break };
            let length = usize::from(length);
            if set == 0 && length == 0 {
                break; // Some exporters fill the packet with zeros.
            }
            let mut problem = None;
            if length < 4 || at + length > end {
                problem = Some("flow set is longer than its packet");
                if length < 4 || set < 256 {
                    (last_problem, bad_sets) = (problem, bad_sets + 1);
                    break;
                }
            }
            let body = &b[at + 4..(at + length).min(end)];
            match (version, set) {
                (9, 0) | (10, 2) => self.templates_of(domain, body, false, &frame.head, &mut problem, &mut learned),
                (9, 1) => self.options_v9(domain, body, frame.head.received, &mut problem, &mut learned),
                (10, 3) => self.templates_of(domain, body, true, &frame.head, &mut problem, &mut learned),
                (_, 256..) => {
                    if self.templates.knows(domain, set, frame.head.received) {
                        let (fits, records) = self.data(domain, set, body, export, &frame.head, nth, false, batch);
                        if !fits {
                            problem = Some("flow set does not fit its template");
                        }
                        if unit == Unit::Records {
                            count = count.filter(|_| fits).map(|count| count + records);
                        }
                    } else {
                        count = count.filter(|_| unit == Unit::Packets);
                        let (head, bytes) = (frame.head, body.to_vec());
                        if !self.held.push(Held { domain, template: set, head, export, bytes }) {
                            self.drop_set(&frame.head, frame.head.received);
                        }
                    }
                }
                _ => problem = Some("flow set has a reserved number"),
            }
            if problem.is_some() {
                (last_problem, bad_sets) = (problem, bad_sets + 1);
            }
            at += length;
        }
        self.release(domain, &learned, &frame.head, nth, batch);
        let key = stream_key(&frame.head, version, unit, domain.id);
        heard.extend(key.map(|key| Heard {
            key,
            received: frame.head.received,
            sequence,
            count: if bad_sets > 0 && unit == Unit::Records { None } else { count },
            uptime_ms: export.uptime_ms,
        }));
        (last_problem, bad_sets)
    }

    /// Template records (RFC 3954 §5.2, RFC 7011 §3.4.1) or IPFIX options template records (§3.4.2.2).
    fn templates_of(
        &mut self,
        domain: Domain,
        mut b: &[u8],
        options: bool,
        head: &FrameHead,
        problem: &mut Option<&'static str>,
        learned: &mut Vec<u16>,
    ) {
        while b.len() >= 4 {
            let (id, count) = (u16::from_be_bytes([b[0], b[1]]), usize::from(u16::from_be_bytes([b[2], b[3]])));
            b = &b[4..];
            if id == 0 && count == 0 {
                return; // Padding.
            }
            if count == 0 {
                self.withdraw(domain, id, options, head.transport);
                continue;
            }
            let mut scopes = 0;
            if options {
                if b.len() < 2 {
                    break;
                }
                scopes = usize::from(u16::from_be_bytes([b[0], b[1]]));
                b = &b[2..];
            }
            let Some((fields, rest)) = fields_of(b, count, scopes, domain.version == 10) else {
                *problem = Some("flow template is cut or too long");
                return;
            };
            b = rest;
            learned.extend(self.learn(domain, id, fields, options, head.received, problem));
        }
    }

    /// A template is withdrawn, or by the number of its kind of set all of the domain (RFC 7011 §8.1). Datagrams withdraw none: they may
    /// not (§8.4), and anybody can forge one.
    fn withdraw(&mut self, domain: Domain, id: u16, options: bool, transport: Transport) {
        let all = if options { 3 } else { 2 };
        match transport {
            Transport::Udp => metrics::counter!("mihari_flow_withdrawals_ignored_total").increment(1),
            _ if id == all => self.templates.remove_all(domain, options),
            _ => self.templates.remove(domain, id),
        }
    }

    /// NetFlow v9 options templates (RFC 3954 §6.1): lengths in bytes, not counts.
    fn options_v9(
        &mut self,
        domain: Domain,
        mut b: &[u8],
        now: Time,
        problem: &mut Option<&'static str>,
        learned: &mut Vec<u16>,
    ) {
        while b.len() >= 6 {
            let n = |at: usize| usize::from(u16::from_be_bytes([b[at], b[at + 1]]));
            let (id, scope_bytes, option_bytes) = (n(0) as u16, n(2), n(4));
            if id < 256 {
                return; // Padding.
            }
            let Some((fields, rest)) = fields_of(&b[6..], (scope_bytes + option_bytes) / 4, scope_bytes / 4, false) else {
                *problem = Some("flow template is cut or too long");
                return;
            };
            b = rest;
            learned.extend(self.learn(domain, id, fields, true, now, problem));
        }
    }

    /// The id, where a template was learnt.
    fn learn(
        &mut self,
        domain: Domain,
        id: u16,
        fields: Vec<Field>,
        options: bool,
        now: Time,
        problem: &mut Option<&'static str>,
    ) -> Option<u16> {
        if id < 256 {
            *problem = Some("flow template has a reserved number");
            return None;
        }
        if !self.templates.learn(domain, id, fields, options, now) {
            *problem = Some("flow template has records of no length");
            return None;
        }
        Some(id)
    }

    /// Decodes what was held for templates that are known now. The events belong to the frame that brought the template.
    fn release(&mut self, domain: Domain, learned: &[u16], head: &FrameHead, nth: &mut u16, batch: &mut BatchBuilder) {
        for id in learned {
            for held in self.held.take(domain, *id) {
                let head = FrameHead { received: head.received, source: held.head.source, ..*head };
                self.data(domain, *id, &held.bytes, held.export, &head, nth, true, batch);
            }
        }
    }

    /// The records of a data set: whether they fit the template, and how many they are.
    #[expect(clippy::too_many_arguments, reason = "one record set with all that is known of its packet")]
    fn data(
        &mut self,
        domain: Domain,
        id: u16,
        mut b: &[u8],
        export: Export,
        head: &FrameHead,
        nth: &mut u16,
        late: bool,
        batch: &mut BatchBuilder,
    ) -> (bool, u32) {
        let Some(template) = self.templates.used(domain, id, head.received) else { return (false, 0) };
        let format = if domain.version == 9 { self.v9 } else { self.ipfix };
        let mut count = 0;
        if template.options {
            while b.len() >= template.bytes_min {
                let Some(rest) = self.options(domain, &template, b, head.received) else { return (count > 0, count) };
                b = rest;
                count += 1;
            }
            return (count > 0 || b.iter().all(|byte| *byte == 0), count);
        }
        let export = export.since(self.started.of(domain).and_then(|started| started.get(&())).copied());
        let (rates, names_told) = (self.sampling.of(domain), self.named.of(domain));
        if let Some(plan) = &template.plan {
            let packet = Packet { export, domain: Some(domain.id), template: Some(id), sampling: None, rates, names: names_told };
            let (mut written, first) = (Written::default(), *nth);
            while b.len() >= template.bytes_min && *nth < EVENTS_PER_FRAME_MAX {
                let mut row = self.row(head, nth, format, batch);
                b = plan.record(b, packet, &mut written, &mut row);
                if late {
                    row.text(self.late, "decoded_late");
                }
                drop(row);
                b = plan.alike(b, packet, &written, nth, batch);
            }
            let count = *nth - first;
            return (count > 0 || b.iter().all(|byte| *byte == 0), count.into());
        }
        while b.len() >= template.bytes_min && *nth < EVENTS_PER_FRAME_MAX {
            // Zeros to the end of the set are padding where they are shorter than a record; a whole record of zeros is one.
            let mut row = self.begin(head, nth, format, batch);
            let lists = Lists { templates: &self.templates, domain };
            let Some((rest, names)) = record(&template, b, export, lists, &mut row) else {
                row.quarantine("flow record is cut");
                return (count > 0, count);
            };
            row.uint(FieldId::FLOW_DOMAIN_ID, domain.id.into());
            row.uint(FieldId::FLOW_TEMPLATE_ID, id.into());
            if !row.has(FieldId::FLOW_SAMPLING_RATE)
                && let Some(rate) = rates.and_then(|rates| sampling::rate_of(rates, id, &names))
            {
                row.uint(FieldId::FLOW_SAMPLING_RATE, rate);
            }
            if let Some(names) = names_told {
                named::write(names, &mut row);
            }
            if late {
                row.text(self.late, "decoded_late");
            }
            b = rest;
            count += 1;
        }
        (count > 0 || b.iter().all(|byte| *byte == 0), count)
    }

    /// An options record: the sampling rate, names and the exporter's start are of use here.
    fn options<'b>(&mut self, domain: Domain, template: &Template, b: &'b [u8], now: Time) -> Option<&'b [u8]> {
        let (mut rest, mut told, mut named, mut started) = (b, sampling::Told::default(), named::Told::default(), None);
        for field in template.fields.iter() {
            let (value, after) = take(field, rest)?;
            rest = after;
            told.field(field, domain.version, value);
            named.field(field, domain.version, value);
            started = started::field(field, value).or(started);
        }
        match (told.scope(), told.rate.told()) {
            (Some(scope), Some(rate)) => self.sampling.learn(domain, scope, rate, now),
            // The rate of before holds no longer.
            (Some(scope), None) if told.rate.is_off() => self.sampling.unlearn(domain, scope),
            _ => {}
        }
        for (of, name) in named.names() {
            self.named.learn(domain, of, name, now);
        }
        if let Some(started) = started {
            self.started.learn(domain, (), started, now);
        }
        Some(rest)
    }

    fn row<'a>(&self, head: &FrameHead, nth: &mut u16, format: FormatId, batch: &'a mut BatchBuilder) -> RowBuilder<'a> {
        let mut row = batch.row(head, *nth, "");
        *nth = nth.saturating_add(1);
        row.format(format);
        row.log_source(self.log_source);
        row
    }

    /// A row with what every flow has; a [`Plan`] writes that itself, in its place.
    fn begin<'a>(&self, head: &FrameHead, nth: &mut u16, format: FormatId, batch: &'a mut BatchBuilder) -> RowBuilder<'a> {
        let mut row = self.row(head, nth, format, batch);
        row.text(FieldId::EVENT_KIND, "event");
        row.text(FieldId::EVENT_CATEGORY, "network");
        row.text(FieldId::EVENT_TYPE, "connection");
        if let Some(exporter) = row.source() {
            row.ip(FieldId::OBSERVER_IP, exporter);
            row.ip(FieldId::FLOW_EXPORTER, exporter);
        }
        row
    }
}

/// Whose sequence numbers a packet's are; nobody's where it has no sender (a file).
fn stream_key(head: &FrameHead, version: u16, unit: Unit, domain: u32) -> Option<StreamKey> {
    let source = head.source?;
    Some(StreamKey { tenant: head.tenant.0, source, listener: head.listener, version, unit, agent: None, domain, of: (0, 0) })
}

fn template_of(fields: Vec<Field>, options: bool, seen: Time) -> Option<Template> {
    // A variable length takes one byte at least. A record of no bytes would never end.
    let bytes_min = fields.iter().map(|f| if f.length == VARIABLE { 1 } else { usize::from(f.length) }).sum();
    (bytes_min > 0 && fields.len() <= TEMPLATE_FIELDS_MAX).then(|| {
        let plan = if options { None } else { Plan::of(&fields).map(Arc::new) };
        Template { fields: fields.into(), plan, bytes_min, options, seen }
    })
}

/// `count` field specifiers (RFC 7011 §3.2); the first `scopes` are scope fields.
fn fields_of(mut b: &[u8], count: usize, scopes: usize, enterprise: bool) -> Option<(Vec<Field>, &[u8])> {
    if count > TEMPLATE_FIELDS_MAX {
        return None;
    }
    let mut fields = Vec::with_capacity(count);
    for n in 0..count {
        let (element, length) = (be16(b, 0)?, be16(b, 2)?);
        b = &b[4..];
        let mut field = Field { enterprise: 0, element, length, scope: n < scopes, native: None };
        if enterprise && element & 0x8000 != 0 {
            field.element = element & 0x7fff;
            field.enterprise = be32(b, 0)?;
            b = &b[4..];
        }
        fields.push(field);
    }
    Some((fields, b))
}

/// The bytes of one field, and what follows.
fn take<'b>(field: &Field, b: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
    if field.length != VARIABLE {
        return b.split_at_checked(field.length.into());
    }
    match b.split_first()? {
        (255, rest) => {
            let length = be16(rest, 0)?;
            rest[2..].split_at_checked(length.into())
        }
        (length, rest) => rest.split_at_checked(usize::from(*length)),
    }
}

/// Marks a sample whose records are cut: the problem of its packet.
fn cut(row: &mut RowBuilder<'_>) -> &'static str {
    row.text(FieldId::FLAGS, "record_cut");
    "flow record is cut"
}

impl Export {
    /// Of a packet that says to have been sent at `claimed`. By its receipt it is corrected where it came over the network: a capture is
    /// read whenever somebody likes.
    fn new(claimed: Time, uptime_ms: Option<u32>, head: &FrameHead) -> Export {
        let live = matches!(head.transport, Transport::Udp | Transport::Tcp | Transport::Tls) && head.received != Time::UNKNOWN;
        let behind_ns = head.received.since_ns(claimed);
        Export { claimed, behind_ns: if live && behind_ns.abs() > CLOCK_NS_MAX { behind_ns } else { 0 }, uptime_ms }
    }

    /// When it was sent, by our clock.
    fn time(self) -> Time {
        self.ours(self.claimed)
    }

    /// An instant of the exporter's clock, by ours.
    fn ours(self, claimed: Time) -> Time {
        claimed.plus_ns(self.behind_ns)
    }

    /// The instant at which the exporter's uptime was so many milliseconds. The counter wraps after 49 days: the difference is signed.
    fn at_uptime(self, ms: u32) -> Option<Time> {
        let ago = self.uptime_ms?.wrapping_sub(ms).cast_signed();
        Some(self.time().plus_ns(-i64::from(ago) * 1_000_000))
    }

    /// Whether a flow's end, by our clock, is too far from the packet that tells it to be believed.
    fn is_far(self, end: Time) -> bool {
        end.since_ns(self.time()).abs() > TOLD_NS_MAX
    }

    /// Gives an event its time: the flow's end where that is to be believed. What the exporter claims else is kept in `event.created` and
    /// marked, as of every record ([`RowBuilder::time`]).
    fn set_time(self, end: Option<Time>, row: &mut RowBuilder<'_>) {
        let far = end.is_some_and(|end| self.is_far(end));
        let time = if far { self.time() } else { end.unwrap_or(self.time()) };
        row.time(time);
        if !far && self.behind_ns == 0 {
            return;
        }
        let reason = if far { "flow" } else { "packet" };
        metrics::counter!("mihari_flow_times_suspect_total", "of" => reason).increment(1);
        // What the row does not believe it has marked itself.
        if row.time_now() == time {
            row.time_suspect(end.unwrap_or(self.time()).plus_ns(-self.behind_ns));
        }
    }
}

/// Says of which family the ends are.
fn add_family(row: &mut RowBuilder<'_>) {
    let ends = [FieldId::CLIENT_IP, FieldId::SERVER_IP, FieldId::SOURCE_IP, FieldId::DESTINATION_IP];
    if let Some(Value::Ip(ip)) = ends.iter().find_map(|end| row.get(*end)) {
        row.fixed(FieldId::NETWORK_TYPE, element::family(ip));
    }
}

fn add_protocol(row: &mut RowBuilder<'_>, protocol: u64) {
    row.uint(FieldId::NETWORK_IANA_NUMBER, protocol);
    if let Some(name) = super::format::transport(protocol) {
        row.text(FieldId::NETWORK_TRANSPORT, name);
    }
}

fn address(v: &[u8]) -> Option<IpAddr> {
    match v.len() {
        4 => <[u8; 4]>::try_from(v).ok().map(|v| IpAddr::V4(Ipv4Addr::from(v))),
        16 => <[u8; 16]>::try_from(v).ok().map(|v| IpAddr::V6(Ipv6Addr::from(v))),
        _ => None,
    }
}

/// Adds a text of at most [`SHORT_BYTES`], which is written without memory of its own.
fn add_short(row: &mut RowBuilder<'_>, field: FieldId, text: fmt::Arguments<'_>) {
    let mut bytes = [0; SHORT_BYTES];
    let mut left = &mut bytes[..];
    left.write_fmt(text).expect("it is no longer than that");
    let unused = left.len();
    row.text(field, std::str::from_utf8(&bytes[..SHORT_BYTES - unused]).expect("text"));
}

/// Bytes of an address with the length of a prefix, of a UUID, of two numbers.
const SHORT_BYTES: usize = 32;

fn add_mac(row: &mut RowBuilder<'_>, field: FieldId, v: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if v.len() != 6 {
        return;
    }
    let mut text = [b':'; 17];
    for (digits, byte) in text.chunks_mut(3).zip(v) {
        digits[0] = HEX[usize::from(byte >> 4)];
        digits[1] = HEX[usize::from(byte & 15)];
    }
    row.text(field, std::str::from_utf8(&text).unwrap_or(""));
}

/// A number of one to eight bytes (reduced-size encoding, RFC 7011 §6.2). None of none or more.
fn unsigned(v: &[u8]) -> Option<u64> {
    match v {
        [n] => Some((*n).into()),
        [a, b, c, d] => Some(u32::from_be_bytes([*a, *b, *c, *d]).into()),
        [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
        _ => (1..=8).contains(&v.len()).then(|| v.iter().fold(0, |n, b| n << 8 | u64::from(*b))),
    }
}

fn be16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn be32(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

/// Whether a datagram looks like one of a flow exporter: its version, and a header's plausible count or length.
pub fn is_flow(b: &[u8]) -> bool {
    match (be16(b, 0), be16(b, 2)) {
        (Some(0), Some(5)) => b.len() >= 28 && matches!(be32(b, 4), Some(1 | 2)),
        // Of these two nothing but the length tells that it is one.
        (Some(1), Some(count)) => count > 0 && b.len() == 16 + 52 * usize::from(count),
        (Some(8), Some(count)) => {
            count > 0
                && b.len() > 28
                && (b.len() - 28).is_multiple_of(usize::from(count))
                && matches!((b.len() - 28) / usize::from(count), 28 | 32 | 40 | 44)
                && (1..=14).contains(&b[22])
        }
        (Some(5 | 7), Some(count)) => b.len() >= 24 && (1..=60).contains(&count),
        (Some(9), Some(count)) => b.len() >= 20 && count < 4096,
        (Some(10), Some(length)) => b.len() >= 16 && usize::from(length) <= b.len() && length >= 16,
        _ => false,
    }
}
