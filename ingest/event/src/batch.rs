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

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::{BATCH_TEXT_BYTES_MAX, CELLS_PER_EVENT_MAX};
use crate::order::Orders;
use crate::{EventId, FieldId, FormatId, FrameHead, LogRange, LogSourceId, TenantId, Time, Transport, Value};

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
    transport: Transport,
    log_source: LogSourceId,
    format: FormatId,
    quarantined: bool,
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
        let mut cells = Vec::with_capacity(self.cells.len() + 4 * self.rows.len());
        for at in 0..self.rows.len() {
            let row = self.rows[at];
            notes.cells.clear();
            notes.text.clear();
            add(EventRef { batch: self, row: &row }, &mut notes);
            let start = cells.len();
            cells.extend_from_slice(&self.cells[row.cells_start as usize..row.cells_end as usize]);
            let mut rest = notes.text.as_str();
            for (field, len) in &notes.cells {
                let (text, behind) = rest.split_at(*len);
                rest = behind;
                if self.text.len() + text.len() > BATCH_TEXT_BYTES_MAX {
                    break; // Decoding stops far below; a note is a zone's or a clause's name.
                }
                let payload = self.text.len() as u64;
                self.text.push_str(text);
                cells.push(Cell { payload, len: text.len() as u32, field: *field, kind: Kind::Text });
            }
            if !notes.cells.is_empty() {
                cells[start..].sort_by_key(|cell| cell.field);
            }
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

    #[inline]
    fn value(&self, cell: &Cell) -> Value<'_> {
        match cell.kind {
            Kind::Null => Value::Null,
            Kind::Text => Value::Text(&self.text[cell.payload as usize..cell.payload as usize + cell.len as usize]),
            Kind::Int => Value::Int(cell.payload as i64),
            Kind::Uint => Value::Uint(cell.payload),
            Kind::Float => Value::Float(f64::from_bits(cell.payload)),
            Kind::Bool => Value::Bool(cell.payload != 0),
            Kind::Ip4 => Value::Ip(IpAddr::V4(Ipv4Addr::from_bits(cell.payload as u32))),
            Kind::Ip6 => Value::Ip(IpAddr::V6(self.wide[cell.payload as usize])),
            Kind::Time => Value::Time(Time::from_unix_ns(cell.payload as i64)),
        }
    }
}

/// What [`Batch::annotate`] adds to one event.
#[derive(Debug, Default)]
pub struct Notes {
    /// The texts of the cells, one behind the other, and the length of each.
    text: String,
    cells: Vec<(FieldId, usize)>,
}

impl Notes {
    /// Adds a text cell.
    pub fn text(&mut self, field: FieldId, text: &str) {
        self.text.push_str(text);
        self.cells.push((field, text.len()));
    }

    /// Adds a number as a text cell.
    pub fn number(&mut self, field: FieldId, number: usize) {
        let before = self.text.len();
        write!(self.text, "{number}").expect("writing to memory does not fail");
        self.cells.push((field, self.text.len() - before));
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

    /// How the frame came in.
    pub fn transport(self) -> Transport {
        self.row.transport
    }

    /// Its Sigma log source.
    pub fn log_source(self) -> LogSourceId {
        self.row.log_source
    }

    /// The format it was read by.
    pub fn format(self) -> FormatId {
        self.row.format
    }

    /// Whether no decoder could read it; the reason is in `error.message`.
    pub fn quarantined(self) -> bool {
        self.row.quarantined
    }

    /// The record as text (invalid bytes replaced); empty for a flow record. The bytes as received are in the log.
    pub fn raw(self) -> &'b str {
        let Span { start, len } = self.row.raw;
        &self.batch.text[start as usize..start as usize + len as usize]
    }

    /// The first value of `field`.
    pub fn get(self, field: FieldId) -> Option<Value<'b>> {
        let cells = self.row_cells();
        let at = cells.partition_point(|cell| cell.field < field);
        cells.get(at).filter(|cell| cell.field == field).map(|cell| self.batch.value(cell))
    }

    /// Every value of `field`, in the record's order.
    pub fn all(self, field: FieldId) -> impl Iterator<Item = Value<'b>> {
        let cells = self.row_cells();
        let at = cells.partition_point(|cell| cell.field < field);
        cells[at..].iter().take_while(move |cell| cell.field == field).map(move |cell| self.batch.value(cell))
    }

    /// All cells, grouped by field. The order of fields is not observable: sort by name before showing.
    pub fn cells(self) -> impl ExactSizeIterator<Item = (FieldId, Value<'b>)> {
        self.row_cells().iter().map(move |cell| (cell.field, self.batch.value(cell)))
    }

    /// The field of each of [`EventRef::cells`].
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

    /// The bytes of the same, where it is text: for what reads no characters.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn cell_bytes(self, nth: usize) -> Option<&'b [u8]> {
        let Cell { payload, len, kind, .. } = self.row_cells()[nth];
        (kind == Kind::Text).then(|| &self.batch.text.as_bytes()[payload as usize..payload as usize + len as usize])
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
    /// Where in the arena the texts of [`RowBuilder::fixed`] begin.
    fixed: Vec<(&'static str, u32)>,
    orders: Orders<Cell>,
    /// Memory for the next batch.
    spare: Option<Batch>,
}

/// Texts of the code itself that a batch keeps once; searched one by one, so there are few.
const FIXED_MAX: usize = 8;

impl BatchBuilder {
    /// Begins an event of the frame `head`, the `nth` of that frame. `raw` is the record as text, copied into the batch once;
    /// text cells that lie within it will be spans of it. The event is complete when the [`RowBuilder`] is dropped.
    ///
    /// The event's time is the frame's receive time until [`RowBuilder::time`] says otherwise.
    pub fn row<'a>(&'a mut self, head: &FrameHead, nth: u16, raw: &'a str) -> RowBuilder<'a> {
        let BatchBuilder { batch, fixed, orders, .. } = self;
        let fits = batch.text.len() + raw.len() <= BATCH_TEXT_BYTES_MAX;
        let raw = if fits { raw } else { "" };
        let span = Span { start: batch.text.len() as u32, len: raw.len() as u32 };
        batch.text.push_str(raw);
        let cells_start = batch.cells.len() as u32;
        let row = Row {
            id: EventId { frame: head.position, nth },
            time: head.received,
            received: head.received,
            tenant: head.tenant,
            source: head.source.map(|s| s.ip()),
            transport: head.transport,
            log_source: LogSourceId::UNKNOWN,
            format: FormatId::UNKNOWN,
            quarantined: false,
            raw: span,
            cells_start,
            cells_end: cells_start,
        };
        let mut row = RowBuilder { batch, fixed, orders, row, raw, fields_refused: false, ordered: 0, seen: [0; SEEN_WORDS] };
        if head.truncated {
            row.text(FieldId::FLAGS, "truncated");
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
        if !batch.rows.is_sorted_by_key(|row| row.id) {
            batch.rows.sort_by_key(|row| row.id);
        }
        batch
    }
}

/// How far a [`RowBuilder`] had come.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    cells: usize,
    time: Time,
}

/// One event in the making.
pub struct RowBuilder<'a> {
    batch: &'a mut Batch,
    fixed: &'a mut Vec<(&'static str, u32)>,
    orders: &'a mut Orders<Cell>,
    row: Row,
    raw: &'a str,
    fields_refused: bool,
    /// How many cells were taken over in the order of their fields.
    ordered: usize,
    /// A bit for each field that has a cell, or had one: many fields share a bit. What is not there needs no search.
    seen: [u64; SEEN_WORDS],
}

/// Words of [`RowBuilder::seen`]: of the fifty fields of a long record few share a bit.
const SEEN_WORDS: usize = 8;

/// The word of [`RowBuilder::seen`] and the bit in it.
#[inline]
fn seen_bit(field: FieldId) -> (usize, u64) {
    (field.index() / 64 % SEEN_WORDS, 1 << (field.index() % 64))
}

impl<'a> RowBuilder<'a> {
    /// The raw text that [`BatchBuilder::row`] was given.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Sets the event's own time. Where it lies outside what the limits allow about the receipt, the receipt stands and the
    /// claimed time goes to `event.created` with the flag `time_suspect`. Where no receipt is known, any time is believed.
    #[inline]
    pub fn time(&mut self, time: Time) {
        use crate::limits::{EVENT_AGE_MAX_NS, EVENT_AHEAD_MAX_NS};
        let age = self.row.received.since_ns(time);
        if self.row.received == Time::UNKNOWN || (-EVENT_AHEAD_MAX_NS..=EVENT_AGE_MAX_NS).contains(&age) {
            self.row.time = time;
        } else {
            self.time_cell(FieldId::EVENT_CREATED, time);
            self.text(FieldId::FLAGS, "time_suspect");
        }
    }

    /// The event's time as it stands.
    pub fn time_now(&self) -> Time {
        self.row.time
    }

    /// The frame's receive time.
    pub fn received(&self) -> Time {
        self.row.received
    }

    /// The address that sent the frame.
    pub fn source(&self) -> Option<IpAddr> {
        self.row.source
    }

    /// Sets the Sigma log source.
    pub fn log_source(&mut self, id: LogSourceId) {
        self.row.log_source = id;
    }

    /// Sets the format by which the record is read.
    pub fn format(&mut self, id: FormatId) {
        self.row.format = id;
    }

    /// Marks the record as one that no decoder can read, and says why (a fixed text: it becomes a metric label).
    pub fn quarantine(&mut self, reason: &'static str) {
        self.row.quarantined = true;
        self.text(FieldId::ERROR_MESSAGE, reason);
    }

    /// Whether [`RowBuilder::quarantine`] was called.
    pub fn is_quarantined(&self) -> bool {
        self.row.quarantined
    }

    /// Where in the raw text `text` begins, where it lies there.
    #[inline]
    pub fn raw_at(&self, text: &str) -> Option<usize> {
        let (raw_at, at) = (self.raw.as_ptr() as usize, text.as_ptr() as usize);
        let within = at >= raw_at && at + text.len() <= raw_at + self.raw.len();
        within.then(|| at - raw_at)
    }

    /// Adds the part of the raw text that begins at `start` and is `len` bytes long: whole characters, as a decoder found them.
    #[inline]
    pub fn raw_part(&mut self, field: FieldId, start: usize, len: usize) {
        debug_assert!(self.raw.get(start..start + len).is_some());
        self.cell(field, Kind::Text, len as u32, u64::from(self.row.raw.start) + start as u64);
    }

    /// Adds text. Not copied where it lies within the raw text.
    #[inline]
    pub fn text(&mut self, field: FieldId, text: &str) {
        self.value(field, Value::Text(text));
    }

    /// Adds a text of the code itself, of which the batch keeps one copy for all its events.
    #[inline]
    pub fn fixed(&mut self, field: FieldId, text: &'static str) {
        if let Some(start) = self.fixed_text(text) {
            self.cell(field, Kind::Text, text.len() as u32, start);
        }
    }

    /// Adds an integer.
    #[inline]
    pub fn int(&mut self, field: FieldId, n: i64) {
        self.value(field, Value::Int(n));
    }

    /// Adds an unsigned integer of any size.
    #[inline]
    pub fn uint(&mut self, field: FieldId, n: u64) {
        self.value(field, Value::Uint(n));
    }

    /// Adds a number with a fraction.
    pub fn float(&mut self, field: FieldId, n: f64) {
        self.value(field, Value::Float(n));
    }

    /// Adds true or false.
    pub fn bool(&mut self, field: FieldId, b: bool) {
        self.value(field, Value::Bool(b));
    }

    /// Adds a present field without a value.
    pub fn null(&mut self, field: FieldId) {
        self.value(field, Value::Null);
    }

    /// Adds an address.
    #[inline]
    pub fn ip(&mut self, field: FieldId, ip: IpAddr) {
        self.value(field, Value::Ip(ip));
    }

    /// Adds an instant.
    #[inline]
    pub fn time_cell(&mut self, field: FieldId, time: Time) {
        self.value(field, Value::Time(time));
    }

    /// Adds any value.
    #[inline]
    pub fn value(&mut self, field: FieldId, value: Value<'_>) {
        if let Some((kind, len, payload)) = self.payload(value) {
            self.cell(field, kind, len, payload);
        }
    }

    /// A value as a cell has it; what is longer than a cell goes into the batch. None of a text for which there is no room.
    #[inline]
    fn payload(&mut self, value: Value<'_>) -> Option<(Kind, u32, u64)> {
        Some(match value {
            Value::Null => (Kind::Null, 0, 0),
            Value::Text(text) => {
                let start = match self.raw_at(text) {
                    Some(at) => self.row.raw.start as usize + at,
                    None => self.push_text(text)?,
                };
                (Kind::Text, text.len() as u32, start as u64)
            }
            Value::Int(n) => (Kind::Int, 0, n as u64),
            Value::Uint(n) => (int_kind(n), 0, n),
            Value::Float(n) => (Kind::Float, 0, n.to_bits()),
            Value::Bool(b) => (Kind::Bool, 0, u64::from(b)),
            Value::Ip(IpAddr::V4(ip)) => (Kind::Ip4, 0, u64::from(ip.to_bits())),
            Value::Ip(IpAddr::V6(ip)) => {
                self.batch.wide.push(ip);
                (Kind::Ip6, 0, self.batch.wide.len() as u64 - 1)
            }
            Value::Time(time) => (Kind::Time, 0, time.unix_ns() as u64),
        })
    }

    /// Where the batch has a text now. None where there is no room for it.
    fn push_text(&mut self, text: &str) -> Option<usize> {
        let start = self.batch.text.len();
        if start + text.len() > BATCH_TEXT_BYTES_MAX {
            self.fields_refused = true;
            return None;
        }
        self.batch.text.push_str(text);
        Some(start)
    }

    /// Where the batch has a text of the code itself.
    #[inline]
    fn fixed_text(&mut self, text: &'static str) -> Option<u64> {
        if let Some((_, start)) = self.fixed.iter().find(|(known, _)| std::ptr::eq(*known, text)) {
            return Some(u64::from(*start));
        }
        let start = self.push_text(text)?;
        if self.fixed.len() < FIXED_MAX {
            self.fixed.push((text, start as u32));
        }
        Some(start as u64)
    }

    /// The first value of `field` so far. A search from the start: decoding asks rarely.
    #[inline]
    pub fn get(&self, field: FieldId) -> Option<Value<'_>> {
        let at = self.find(field)?;
        Some(self.batch.value(&self.batch.cells[at]))
    }

    /// Where the first cell of `field` is.
    #[inline]
    fn find(&self, field: FieldId) -> Option<usize> {
        let (word, bit) = seen_bit(field);
        if self.seen[word] & bit == 0 {
            return None;
        }
        let start = self.row.cells_start as usize;
        self.batch.cells[start..].iter().position(|cell| cell.field == field).map(|at| start + at)
    }

    /// Takes away every value of `field`; how many there were.
    pub fn remove(&mut self, field: FieldId) -> usize {
        let Some(start) = self.find(field) else { return 0 };
        let mut kept = start;
        for at in start..self.batch.cells.len() {
            if self.batch.cells[at].field != field {
                self.batch.cells[kept] = self.batch.cells[at];
                kept += 1;
            }
        }
        let removed = self.batch.cells.len() - kept;
        self.batch.cells.truncate(kept);
        self.ordered = 0;
        removed
    }

    /// Keeps only a part of the first value of `field`. Nothing where that is no text or has no such part.
    pub fn keep_part(&mut self, field: FieldId, part: std::ops::Range<usize>) {
        let Some(at) = self.find(field) else { return };
        if let Value::Text(text) = self.batch.value(&self.batch.cells[at])
            && text.get(part.clone()).is_some()
        {
            let cell = &mut self.batch.cells[at];
            cell.payload += part.start as u64;
            cell.len = part.len() as u32;
        }
    }

    /// Adds the first value of `from` once more, as `to`: text is not copied. Nothing where `from` is absent.
    pub fn copy_first(&mut self, from: FieldId, to: FieldId) {
        if let Some(at) = self.find(from) {
            let Cell { payload, len, kind, .. } = self.batch.cells[at];
            self.cell(to, kind, len, payload);
        }
    }

    /// Adds a part of the first value of `from` as `to`, not copied. Nothing where that is no text or has no such part.
    pub fn copy_part(&mut self, from: FieldId, part: std::ops::Range<usize>, to: FieldId) {
        let Some(at) = self.find(from) else { return };
        let cell = self.batch.cells[at];
        if let Value::Text(text) = self.batch.value(&cell)
            && text.get(part.clone()).is_some()
        {
            self.cell(to, Kind::Text, part.len() as u32, cell.payload + part.start as u64);
        }
    }

    /// How many cells there are so far.
    pub fn cell_count(&self) -> usize {
        self.batch.cells.len() - self.row.cells_start as usize
    }

    /// The `nth` cell so far, in the order of writing.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn cell_at(&self, nth: usize) -> (FieldId, Value<'_>) {
        let cell = &self.batch.cells[self.row.cells_start as usize + nth];
        (cell.field, self.batch.value(cell))
    }

    /// Adds the `nth` cell once more, as `to`: text is not copied.
    ///
    /// # Panics
    /// Where there are fewer cells.
    pub fn copy_cell(&mut self, nth: usize, to: FieldId) {
        let Cell { payload, len, kind, .. } = self.batch.cells[self.row.cells_start as usize + nth];
        self.cell(to, kind, len, payload);
    }

    /// The cells so far, for [`RowBuilder::rewind`].
    pub fn mark(&self) -> Mark {
        Mark { cells: self.batch.cells.len(), time: self.row.time }
    }

    /// Takes back what was added since `mark`: a decoder that finds half-way that the record is not its own gives way.
    pub fn rewind(&mut self, mark: Mark) {
        self.batch.cells.truncate(mark.cells.max(self.row.cells_start as usize));
        self.row.time = mark.time;
        self.ordered = 0;
        self.fields_refused = false;
    }

    /// Begins with the cells of the row before, to change those that differ. None, and nothing done, where there is no row before or
    /// this one has cells already.
    #[inline]
    pub fn begin_as_before(&mut self) -> Option<Cells<'_>> {
        let before = self.batch.rows.last().filter(|_| self.cell_count() == 0)?;
        self.seen = [u64::MAX; SEEN_WORDS];
        self.batch.cells.extend_from_within(before.cells_start as usize..before.cells_end as usize);
        self.ordered = self.cell_count();
        Some(Cells(&mut self.batch.cells[self.row.cells_start as usize..]))
    }

    /// Another value in the place of the `nth` cell so far; a text is kept as [`RowBuilder::fixed`] keeps it. False, and nothing
    /// changed, where there is no room for the text.
    ///
    /// # Panics
    /// Where there are fewer cells.
    #[inline]
    pub fn put(&mut self, nth: usize, value: Value<'static>) -> bool {
        let made = match value {
            Value::Text(text) => self.fixed_text(text).map(|start| (Kind::Text, text.len() as u32, start)),
            value => self.payload(value),
        };
        let Some((kind, len, payload)) = made else { return false };
        let cell = &mut self.batch.cells[self.row.cells_start as usize + nth];
        *cell = Cell { payload, len, kind, ..*cell };
        true
    }

    #[inline]
    fn cell(&mut self, field: FieldId, kind: Kind, len: u32, payload: u64) {
        if self.batch.cells.len() - self.row.cells_start as usize >= CELLS_PER_EVENT_MAX {
            self.fields_refused = true;
            return;
        }
        let (word, bit) = seen_bit(field);
        self.seen[word] |= bit;
        self.batch.cells.push(Cell { payload, len, field, kind });
    }
}

/// The cells that a row has so far.
pub struct Cells<'a>(&'a mut [Cell]);

impl Cells<'_> {
    /// How many they are.
    #[expect(clippy::len_without_is_empty, reason = "who begins as before compares the number")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts an unsigned integer in the place of the `nth`, which is a number.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn put_uint(&mut self, nth: usize, n: u64) {
        self.put(nth, int_kind(n), n);
    }

    /// Puts an address in the place of the `nth`, which is an address.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn put_ip4(&mut self, nth: usize, ip: Ipv4Addr) {
        self.put(nth, Kind::Ip4, ip.to_bits().into());
    }

    #[inline]
    fn put(&mut self, nth: usize, kind: Kind, payload: u64) {
        let cell = &mut self.0[nth];
        debug_assert_eq!(cell.len, 0, "no text");
        (cell.kind, cell.payload) = (kind, payload);
    }
}

/// How an unsigned integer is kept.
#[inline]
fn int_kind(n: u64) -> Kind {
    if i64::try_from(n).is_ok() { Kind::Int } else { Kind::Uint }
}

impl Drop for RowBuilder<'_> {
    fn drop(&mut self) {
        let start = self.row.cells_start as usize;
        if self.fields_refused {
            self.batch.cells.truncate(start + CELLS_PER_EVENT_MAX - 1);
            let at = self.batch.text.len();
            self.batch.text.push_str("fields_refused");
            self.batch.cells.push(Cell { payload: at as u64, len: 14, field: FieldId::FLAGS, kind: Kind::Text });
        }
        if self.ordered == 0 || self.ordered != self.cell_count() {
            self.orders.sort(&mut self.batch.cells[start..], |cell| cell.field);
        }
        self.row.cells_end = self.batch.cells.len() as u32;
        self.batch.rows.push(self.row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Position};

    fn head(offset: u64) -> FrameHead {
        FrameHead {
            position: Position { partition: 0, offset },
            received: Time::from_unix_s(1_000_000),
            tenant: TenantId(0),
            source: None,
            transport: Transport::Udp,
            content: Content::Text,
            truncated: false,
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
        let batch = builder.finish(LogRange::default(), Time::EPOCH);
        assert_eq!(batch.event(0).time(), Time::from_unix_s(1_000_000));
        assert_eq!(batch.event(0).get(FieldId::FLAGS), Some(Value::Text("time_suspect")));
        assert_eq!(batch.event(1).time(), Time::from_unix_s(1_000_000 - 60));
        assert_eq!(batch.event(1).get(FieldId::FLAGS), None);
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
