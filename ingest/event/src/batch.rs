//! The batch: many events in a few flat buffers.
//!
//! ```text
//!  rows   [ id time received tenant log_source format raw cells ] ...
//!  cells  [ field kind len payload ] [ ] [ ] | [ ] [ ] ...    16 bytes each, sorted by field within a row
//!  text   <134>Apr 1 ... raw line of row 0 ... derived text ... raw line of row 1 ...
//!  wide   IPv6 addresses
//! ```
//!
//! A decoder writes through [`RowBuilder`]. Text that lies in the raw line becomes a span of it and is not copied. An array is
//! several cells of one field, in their order; [`EventRef::get`] gives the first, [`EventRef::all`] gives all.

mod alike;
mod fixed;
mod row;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::json::write_digits;
use crate::limits::BATCH_TEXT_BYTES_MAX;
use crate::order::Orders;
use crate::{EventId, FieldId, FormatId, FrameHead, LogRange, LogSourceId, OriginId, TenantId, Time, Transport, Value};
pub use alike::{Alike, Cells};
use fixed::Fixed;
pub use row::RowBuilder;

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Kind {
    Null,
    Text,
    Int,
    Uint,
    Float,
    Bool,
    Ip4,
    Ip6,
    Time,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    payload: u64,
    len: u32,
    field: FieldId,
    kind: Kind,
}

const _: () = assert!(size_of::<Cell>() == 16);

#[derive(Clone, Copy, Debug)]
struct Row {
    id: EventId,
    time: Time,
    received: Time,
    tenant: TenantId,
    source: Option<IpAddr>,
    origin: Option<OriginId>,
    transport: Transport,
    log_source: LogSourceId,
    format: FormatId,
    quarantined: bool,
    is_object: bool,
    raw: Span,
    cells_start: u32,
    cells_end: u32,
}

/// Events in the order of their ids. Built once, then read only, but for [`Batch::annotate`].
#[derive(Clone, Debug, Default)]
pub struct Batch {
    text: String,
    wide: Vec<Ipv6Addr>,
    rows: Vec<Row>,
    cells: Vec<Cell>,
    /// The frames that the batch was made of, also those that hold no event.
    pub range: LogRange,
    /// The receive time of the last frame: no later frame of the partition was received before it.
    pub received: Time,
}

impl Batch {
    /// How many events there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes that the buffers hold, for accounting.
    pub fn byte_len(&self) -> usize {
        self.text.len() + self.rows.len() * size_of::<Row>() + self.cells.len() * size_of::<Cell>() + self.wide.len() * 16
    }

    /// The event at `row`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn event(&self, row: usize) -> EventRef<'_> {
        EventRef { batch: self, row: &self.rows[row] }
    }

    /// The events in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EventRef<'_>> {
        self.rows.iter().map(|row| EventRef { batch: self, row })
    }

    /// Adds cells to events: `add` sees each event and the notes to write on. One pass over the cells, in place of a second
    /// decode; used once a batch, by the zone policy.
    pub fn annotate(&mut self, mut add: impl FnMut(EventRef<'_>, &mut Notes)) {
        let mut notes = Notes::default();
        // Many records in a row are told the same.
        let mut said = 0..0;
        let mut cells = Vec::with_capacity(self.cells.len() + 4 * self.rows.len());
        for at in 0..self.rows.len() {
            let row = self.rows[at];
            notes.cells.clear();
            notes.text.clear();
            add(EventRef { batch: self, row: &row }, &mut notes);
            let start = cells.len();
            let own = &self.cells[row.cells_start as usize..row.cells_end as usize];
            if self.text[said.clone()] != notes.text {
                if self.text.len() + notes.text.len() > BATCH_TEXT_BYTES_MAX {
                    notes.cells.clear(); // Decoding stops far below; a note is a zone's or a clause's name.
                } else {
                    said = self.text.len()..self.text.len() + notes.text.len();
                    self.text.push_str(&notes.text);
                }
            }
            // Both in the order of fields; of one field the record's own come first.
            notes.cells.sort_by_key(|note| note.field);
            let mut rest = own;
            for note in &notes.cells {
                let (first, behind) = rest.split_at(rest.iter().take_while(|cell| cell.field <= note.field).count());
                cells.extend_from_slice(first);
                cells.push(Cell { payload: note.payload + said.start as u64, ..*note });
                rest = behind;
            }
            cells.extend_from_slice(rest);
            self.rows[at].cells_start = start as u32;
            self.rows[at].cells_end = cells.len() as u32;
        }
        self.cells = cells;
    }

    /// Gives a receive time to events of a capture that has none ([`Time::UNKNOWN`]): the latest event time so far, `clock`
    /// at first. Returns the clock for the next batch. Called in log order.
    pub fn settle_received(&mut self, mut clock: Time) -> Time {
        for row in &mut self.rows {
            if row.received == Time::UNKNOWN {
                clock = clock.max(row.time);
                row.received = clock;
                if row.time == Time::UNKNOWN {
                    row.time = clock;
                }
            }
            clock = clock.max(row.received);
        }
        self.received = self.received.max(clock);
        clock
    }

    /// Always in place, so that a value is seldom put together in memory to be taken apart again: where it was written in pieces, reading
    /// it in one waits for the writes.
    #[inline(always)]
    fn value(&self, cell: &Cell) -> Value<'_> {
        match cell.kind {
            Kind::Null => Value::Null,
            Kind::Text => Value::Text(&self.text[cell.payload as usize..cell.payload as usize + cell.len as usize]),
            Kind::Int => Value::Int(cell.payload as i64),
            Kind::Uint => i64::try_from(cell.payload).map_or(Value::Uint(cell.payload), Value::Int),
            Kind::Float => Value::Float(f64::from_bits(cell.payload)),
            Kind::Bool => Value::Bool(cell.payload != 0),
            Kind::Ip4 => Value::Ip(IpAddr::V4(Ipv4Addr::from_bits(cell.payload as u32))),
            Kind::Ip6 => Value::Ip(IpAddr::V6(self.wide[cell.payload as usize])),
            Kind::Time => Value::Time(Time::from_unix_ns(cell.payload as i64)),
        }
    }
}

/// A value as a cell has it: what is longer than a cell goes into `wide`, and a text is where `place` says that it lies. None of a text that
/// has no place.
#[inline]
fn stored<'v>(
    value: Value<'v>,
    wide: &mut Vec<Ipv6Addr>,
    place: impl FnOnce(&'v str) -> Option<usize>,
) -> Option<(Kind, u32, u64)> {
    Some(match value {
        Value::Null => (Kind::Null, 0, 0),
        Value::Text(text) => (Kind::Text, text.len() as u32, place(text)? as u64),
        Value::Int(n) => (Kind::Int, 0, n as u64),
        Value::Uint(n) => (Kind::Uint, 0, n),
        Value::Float(n) => (Kind::Float, 0, n.to_bits()),
        Value::Bool(b) => (Kind::Bool, 0, u64::from(b)),
        Value::Ip(IpAddr::V4(ip)) => (Kind::Ip4, 0, u64::from(ip.to_bits())),
        Value::Ip(IpAddr::V6(ip)) => {
            wide.push(ip);
            (Kind::Ip6, 0, wide.len() as u64 - 1)
        }
        Value::Time(time) => (Kind::Time, 0, time.unix_ns() as u64),
    })
}

/// What [`Batch::annotate`] adds to one event.
#[derive(Debug, Default)]
pub struct Notes {
    /// The texts of the cells, which lie in it.
    text: String,
    cells: Vec<Cell>,
}

impl Notes {
    /// Adds a text cell.
    pub fn text(&mut self, field: FieldId, text: &str) {
        let before = self.text.len();
        self.text.push_str(text);
        self.add(field, before);
    }

    /// Adds a number as a text cell.
    pub fn number(&mut self, field: FieldId, number: usize) {
        let before = self.text.len();
        write_digits(number as u64, 1, &mut self.text);
        self.add(field, before);
    }

    /// Adds what was written behind `before`.
    fn add(&mut self, field: FieldId, before: usize) {
        let len = (self.text.len() - before) as u32;
        self.cells.push(Cell { payload: before as u64, len, field, kind: Kind::Text });
    }
}

/// One event, borrowed from its batch.
#[derive(Clone, Copy)]
pub struct EventRef<'b> {
    batch: &'b Batch,
    row: &'b Row,
}

impl<'b> EventRef<'b> {
    /// Its id.
    pub fn id(self) -> EventId {
        self.row.id
    }

    /// When it happened: the record's own time where that is believable, else when it was received.
    pub fn time(self) -> Time {
        self.row.time
    }

    /// When its frame was received.
    pub fn received(self) -> Time {
        self.row.received
    }

    /// Whose it is.
    pub fn tenant(self) -> TenantId {
        self.row.tenant
    }

    /// The address that sent the frame.
    pub fn source(self) -> Option<IpAddr> {
        self.row.source
    }

    /// What the frame came from, where that has no address.
    pub fn origin(self) -> Option<OriginId> {
        self.row.origin
    }

    /// How the frame came in.
    pub fn transport(self) -> Transport {
        self.row.transport
    }

    /// Its Sigma log source.
    pub fn log_source(self) -> LogSourceId {
        self.row.log_source
    }

    /// The format it was read by.
    #[inline]
    pub fn format(self) -> FormatId {
        self.row.format
    }

    /// Whether no decoder could read it; the reason is in `error.message`.
    pub fn quarantined(self) -> bool {
        self.row.quarantined
    }

    /// Whether its message is the record itself, an object with names beside the values, of which each is a cell too.
    #[inline]
    pub fn is_object(self) -> bool {
        self.row.is_object
    }

    /// The record as text (invalid bytes replaced); empty for a flow record. The bytes as received are in the log.
    pub fn raw(self) -> &'b str {
        let Span { start, len } = self.row.raw;
        &self.batch.text[start as usize..start as usize + len as usize]
    }

    /// The first value of `field`.
    #[inline]
    pub fn get(self, field: FieldId) -> Option<Value<'b>> {
        let cells = self.row_cells();
        let at = cells.partition_point(|cell| cell.field < field);
        cells.get(at).filter(|cell| cell.field == field).map(|cell| self.batch.value(cell))
    }

    /// Every value of `field`, in the record's order.
    #[inline]
    pub fn all(self, field: FieldId) -> impl Iterator<Item = Value<'b>> {
        let cells = self.row_cells();
        let at = cells.partition_point(|cell| cell.field < field);
        cells[at..].iter().take_while(move |cell| cell.field == field).map(move |cell| self.batch.value(cell))
    }

    /// Whether a field below this one has a value, as the keys of an object have that is the field's value. What a decoder says in ECS's names
    /// beside those of the record is no such object.
    pub fn has_below(self, field: FieldId) -> bool {
        let is_own = |other: &FieldId| self.format() == FormatId::UNKNOWN || !other.is_constant();
        field.is_above_any(self.fields().filter(is_own))
    }

    /// All cells, grouped by field. The order of fields is not observable: sort by name before showing.
    #[inline]
    pub fn cells(self) -> impl ExactSizeIterator<Item = (FieldId, Value<'b>)> {
        self.row_cells().iter().map(move |cell| (cell.field, self.batch.value(cell)))
    }

    /// The field of each of [`EventRef::cells`].
    #[inline]
    pub fn fields(self) -> impl ExactSizeIterator<Item = FieldId> {
        self.row_cells().iter().map(|cell| cell.field)
    }

    /// The field of the `nth` of [`EventRef::cells`].
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn field(self, nth: usize) -> FieldId {
        self.row_cells()[nth].field
    }

    /// The value of the `nth` of [`EventRef::cells`].
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn cell(self, nth: usize) -> Value<'b> {
        self.batch.value(&self.row_cells()[nth])
    }

    /// The same, where it is a whole number that is held as signed, as most are.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn cell_int(self, nth: usize) -> Option<i64> {
        let Cell { payload, kind, .. } = self.row_cells()[nth];
        (kind == Kind::Int).then_some(payload as i64)
    }

    /// The bytes of the same, where it is text: for what reads no characters.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn cell_bytes(self, nth: usize) -> Option<&'b [u8]> {
        let Cell { payload, len, kind, .. } = self.row_cells()[nth];
        (kind == Kind::Text).then(|| &self.batch.text.as_bytes()[payload as usize..payload as usize + len as usize])
    }

    /// Whether the `nth` of [`EventRef::cells`] is a part of the record's text, as it stands there.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn is_of_raw(self, nth: usize) -> bool {
        let Cell { payload, kind, .. } = self.row_cells()[nth];
        let Span { start, len } = self.row.raw;
        kind == Kind::Text && (u64::from(start)..u64::from(start) + u64::from(len)).contains(&payload)
    }

    #[inline]
    fn row_cells(self) -> &'b [Cell] {
        &self.batch.cells[self.row.cells_start as usize..self.row.cells_end as usize]
    }
}

/// A batch in the making. Rows may come in any order; [`BatchBuilder::finish`] sorts them.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    batch: Batch,
    /// The texts of [`RowBuilder::fixed`].
    fixed: Fixed,
    orders: Orders<Cell>,
    /// A row came before one of a lower id.
    is_unsorted: bool,
    /// Memory for the next batch.
    spare: Option<Batch>,
}

impl BatchBuilder {
    /// Begins an event of the frame `head`, the `nth` of that frame. `raw` is the record as text, copied into the batch once;
    /// text cells that lie within it will be spans of it. The event is complete when the [`RowBuilder`] is dropped.
    ///
    /// The event's time is the frame's receive time until [`RowBuilder::time`] says otherwise.
    pub fn row<'a>(&'a mut self, head: &FrameHead, nth: u16, raw: &'a str) -> RowBuilder<'a> {
        let id = EventId { frame: head.position, nth };
        let BatchBuilder { batch, fixed, orders, is_unsorted, .. } = self;
        *is_unsorted |= batch.rows.last().is_some_and(|last| id < last.id);
        let fits = batch.text.len() + raw.len() <= BATCH_TEXT_BYTES_MAX;
        let raw = if fits { raw } else { "" };
        let span = Span { start: batch.text.len() as u32, len: raw.len() as u32 };
        batch.text.push_str(raw);
        let cells_start = batch.cells.len() as u32;
        let row = Row {
            id,
            time: head.received,
            received: head.received,
            tenant: head.tenant,
            source: head.source.map(|s| s.ip()),
            origin: head.origin,
            transport: head.transport,
            log_source: LogSourceId::UNKNOWN,
            format: FormatId::UNKNOWN,
            quarantined: false,
            is_object: false,
            raw: span,
            cells_start,
            cells_end: cells_start,
        };
        let mut row = RowBuilder::new(batch, fixed, orders, row, raw);
        if head.truncated {
            row.text(FieldId::FLAGS, "truncated");
        }
        if let Some(origin) = head.origin {
            row.text(
                if head.transport == Transport::Kafka { FieldId::KAFKA_TOPIC } else { FieldId::LOG_FILE_PATH },
                origin.name(),
            );
        }
        row
    }

    /// How many events there are so far.
    pub fn len(&self) -> usize {
        self.batch.rows.len()
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.batch.rows.is_empty()
    }

    /// Whether the text arena is so full that the batch should end here.
    pub fn is_full(&self) -> bool {
        self.batch.text.len() > BATCH_TEXT_BYTES_MAX / 2
    }

    /// Takes back a batch that is no longer needed: its memory is the next batch's but one.
    pub fn reuse(&mut self, mut batch: Batch) {
        batch.text.clear();
        batch.wide.clear();
        batch.rows.clear();
        batch.cells.clear();
        self.spare = Some(batch);
    }

    /// The finished batch, its rows in the order of their ids. `range` is the frames it covers, `received` the receive time
    /// of the last of them. The builder is empty afterwards.
    pub fn finish(&mut self, range: LogRange, received: Time) -> Batch {
        // The next batch will be about as large: without room for it every buffer would grow step by step again.
        let next = self.spare.take().unwrap_or_else(|| Batch {
            rows: Vec::with_capacity(self.batch.rows.len()),
            cells: Vec::with_capacity(self.batch.cells.len()),
            text: String::with_capacity(self.batch.text.len()),
            ..Batch::default()
        });
        self.fixed.clear();
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.range = range;
        batch.received = received;
        if std::mem::take(&mut self.is_unsorted) {
            batch.rows.sort_by_key(|row| row.id);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CELLS_PER_EVENT_MAX;
    use crate::{Content, Position};

    fn head(offset: u64) -> FrameHead {
        FrameHead {
            position: Position { partition: 0, offset },
            received: Time::from_unix_s(1_000_000),
            tenant: TenantId(0),
            source: None,
            origin: None,
            transport: Transport::Udp,
            content: Content::Text,
            truncated: false,
            listener: 0,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut builder = BatchBuilder::default();
        let raw = String::from("user=taro src=10.0.0.1");
        {
            let mut row = builder.row(&head(2), 0, &raw);
            row.text(FieldId::USER_NAME, &raw[5..9]);
            row.ip(FieldId::SOURCE_IP, "2001:db8::1".parse().unwrap());
            row.ip(FieldId::SOURCE_IP, "10.0.0.1".parse().unwrap());
            row.uint(FieldId::SOURCE_BYTES, u64::MAX);
            row.int(FieldId::SOURCE_PORT, -1);
            row.null(FieldId::EVENT_REASON);
            row.text(FieldId::TAGS, "not in the raw text");
            row.copy_part(FieldId::TAGS, 4..6, FieldId::RULE_ID);
            row.copy_part(FieldId::TAGS, 4..60, FieldId::RULE_NAME);
        }
        builder.row(&head(1), 1, "");
        builder.row(&head(1), 0, "");
        let batch = builder.finish(LogRange { partition: 0, first: 1, last: 2 }, Time::EPOCH);
        assert_eq!(batch.iter().map(|e| e.id().to_string()).collect::<Vec<_>>(), ["0-1-0", "0-1-1", "0-2-0"]);
        let event = batch.event(2);
        assert_eq!(event.get(FieldId::USER_NAME), Some(Value::Text("taro")));
        let ips: Vec<_> = event.all(FieldId::SOURCE_IP).map(|v| v.to_string()).collect();
        assert_eq!(ips, ["2001:db8::1", "10.0.0.1"]);
        assert_eq!(event.get(FieldId::SOURCE_BYTES), Some(Value::Uint(u64::MAX)));
        assert_eq!(event.get(FieldId::SOURCE_PORT), Some(Value::Int(-1)));
        assert_eq!(event.get(FieldId::EVENT_REASON), Some(Value::Null));
        assert_eq!(event.get(FieldId::TAGS), Some(Value::Text("not in the raw text")));
        assert_eq!(event.get(FieldId::RULE_ID), Some(Value::Text("in")));
        assert_eq!(event.get(FieldId::RULE_NAME), None);
        assert_eq!(event.get(FieldId::URL_PATH), None);
        assert_eq!(event.raw(), raw);
        assert_eq!(batch.text.matches("taro").count(), 1, "text within the raw line is not copied");
    }

    #[test]
    fn cells_are_found_where_they_stand() {
        // More fields than there are places for.
        let names: Vec<FieldId> = (0..400).map(|n| FieldId::intern(&format!("found.{n}")).expect("room")).collect();
        let mut builder = BatchBuilder::default();
        let mut row = builder.row(&head(1), 0, "");
        let mut mark = row.mark();
        let mut state = 1u32;
        for round in 0..6000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let field = names[(state >> 16) as usize % names.len()];
            match round % 8 {
                0 => _ = row.remove(field),
                1 if round % 500 == 1 => row.rewind(mark),
                1 if round % 300 == 1 => mark = row.mark(),
                _ => row.text(field, &format!("{round}")),
            }
            let first = (0..row.cell_count()).map(|nth| row.cell_at(nth)).find(|(of, _)| *of == field).map(|(_, value)| value);
            assert_eq!(row.get(field), first);
            assert_eq!(row.has(field), first.is_some());
            assert!(
                first.and_then(|value| value.as_text()).is_none_or(|text| row.says(field, text) && !row.says(field, "no number"))
            );
        }
    }

    #[test]
    fn a_fixed_text_is_kept_once_a_batch() {
        let mut builder = BatchBuilder::default();
        for round in 0..2 {
            for offset in 0..3 {
                builder.row(&head(offset + 1), 0, "raw").fixed(FieldId::EVENT_KIND, "fixed_text");
            }
            let batch = builder.finish(LogRange::default(), Time::EPOCH);
            assert_eq!(batch.text.matches("fixed_text").count(), 1, "batch {round}");
            assert!(batch.iter().all(|event| event.get(FieldId::EVENT_KIND) == Some(Value::Text("fixed_text"))));
        }
    }

    #[test]
    fn notes_are_cells() {
        let mut builder = BatchBuilder::default();
        builder.row(&head(1), 0, "").text(FieldId::USER_NAME, "taro");
        builder.row(&head(2), 0, "").text(FieldId::USER_NAME, "jiro");
        let mut batch = builder.finish(LogRange::default(), Time::EPOCH);
        batch.annotate(|event, notes| {
            if event.get(FieldId::USER_NAME) == Some(Value::Text("jiro")) {
                notes.text(FieldId::ZONE_SOURCE, "lgwan");
            }
        });
        assert_eq!(batch.event(0).get(FieldId::ZONE_SOURCE), None);
        assert_eq!(batch.event(1).get(FieldId::ZONE_SOURCE), Some(Value::Text("lgwan")));
        assert_eq!(batch.event(1).get(FieldId::USER_NAME), Some(Value::Text("jiro")));
    }

    #[test]
    fn an_unbelievable_time_is_kept_beside() {
        let mut builder = BatchBuilder::default();
        builder.row(&head(1), 0, "").time(Time::EPOCH.plus_ns(-1));
        builder.row(&head(2), 0, "").time(Time::from_unix_s(1_000_000 - 60));
        let mut row = builder.row(&head(3), 0, "");
        row.time_cell(FieldId::EVENT_CREATED, Time::from_unix_s(1_000_000));
        row.time(Time::EPOCH.plus_ns(-1));
        drop(row);
        let batch = builder.finish(LogRange::default(), Time::EPOCH);
        assert_eq!(batch.event(0).time(), Time::from_unix_s(1_000_000));
        assert_eq!(batch.event(0).get(FieldId::FLAGS), Some(Value::Text("time_suspect")));
        assert_eq!(batch.event(1).time(), Time::from_unix_s(1_000_000 - 60));
        assert_eq!(batch.event(1).get(FieldId::FLAGS), None);
        let marked = batch.event(2).get(FieldId::FLAGS);
        assert_eq!(marked, Some(Value::Text("time_suspect")), "also where the record tells when it was created");
    }

    #[test]
    fn cells_beyond_the_bound_are_marked() {
        let mut builder = BatchBuilder::default();
        {
            let mut row = builder.row(&head(1), 0, "");
            for n in 0..2000 {
                row.int(FieldId::EVENT_CODE, n);
            }
        }
        let batch = builder.finish(LogRange::default(), Time::EPOCH);
        assert_eq!(batch.event(0).cells().len(), CELLS_PER_EVENT_MAX);
        assert_eq!(batch.event(0).get(FieldId::FLAGS), Some(Value::Text("fields_refused")));
    }
}
