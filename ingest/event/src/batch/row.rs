//! One event in the making: its cells, which come in any order and are sorted when it is complete.

use std::net::IpAddr;

use super::fixed::Fixed;
use super::{Batch, Cell, Kind, Row, stored};
use crate::limits::{BATCH_TEXT_BYTES_MAX, CELLS_PER_EVENT_MAX, EVENT_AGE_MAX_NS, EVENT_AHEAD_MAX_NS};
use crate::order::Orders;
use crate::{FieldId, FormatId, LogSourceId, Time, Value};

/// How far a [`RowBuilder`] had come.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    cells: usize,
    time: Time,
}

/// One event in the making.
pub struct RowBuilder<'a> {
    batch: &'a mut Batch,
    fixed: &'a mut Fixed,
    orders: &'a mut Orders<Cell>,
    row: Row,
    raw: &'a str,
    fields_refused: bool,
    /// For each place the first cell of the fields that share it, counted from one; 0 where none has a cell, 255 where it stands there or
    /// further behind. What is not there needs no search.
    firsts: [u8; PLACES],
}

/// Places of [`RowBuilder::firsts`]: of the fifty fields of a long record few share one.
const PLACES: usize = 256;

/// The place of [`RowBuilder::firsts`].
#[inline]
fn place_of(field: FieldId) -> usize {
    field.index() % PLACES
}

/// Notes that the `nth` cell, counted from one, is of `field`.
#[inline]
fn place(firsts: &mut [u8; PLACES], field: FieldId, nth: usize) {
    let first = &mut firsts[place_of(field)];
    if *first == 0 {
        *first = nth.min(255) as u8;
    }
}

/// Where in `raw` a text begins that lies there.
#[inline]
fn part_of(raw: &str, text: &str) -> Option<usize> {
    let (raw_at, at) = (raw.as_ptr() as usize, text.as_ptr() as usize);
    let within = at >= raw_at && at + text.len() <= raw_at + raw.len();
    within.then(|| at - raw_at)
}

/// Whether an event that was received at `received` may have happened at `time`.
#[inline]
pub(super) fn is_believed(received: Time, time: Time) -> bool {
    let age = received.since_ns(time);
    received == Time::UNKNOWN || (-EVENT_AHEAD_MAX_NS..=EVENT_AGE_MAX_NS).contains(&age)
}

impl<'a> RowBuilder<'a> {
    /// Begins `row`, whose raw text in `batch` is `raw`.
    #[inline]
    pub(super) fn new(
        batch: &'a mut Batch,
        fixed: &'a mut Fixed,
        orders: &'a mut Orders<Cell>,
        row: Row,
        raw: &'a str,
    ) -> RowBuilder<'a> {
        RowBuilder { batch, fixed, orders, row, raw, fields_refused: false, firsts: [0; PLACES] }
    }

    /// The raw text that [`BatchBuilder::row`] was given.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Sets the event's own time. Where it lies outside what the limits allow about the receipt, the receipt stands and the
    /// claimed time goes to `event.created` with the flag `time_suspect`. Where no receipt is known, any time is believed.
    #[inline]
    pub fn time(&mut self, time: Time) {
        if is_believed(self.row.received, time) {
            self.row.time = time;
        } else {
            self.time_suspect(time);
        }
    }

    /// Keeps the time that a record claims and that is not believed, and marks the event.
    pub fn time_suspect(&mut self, claimed: Time) {
        self.time_cell(FieldId::EVENT_CREATED, claimed);
        self.text(FieldId::FLAGS, "time_suspect");
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

    /// Says that the message is the record itself, an object of which every value is a cell too.
    pub fn object(&mut self) {
        self.row.is_object = true;
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
        part_of(self.raw, text)
    }

    /// Adds the part of the raw text that begins at `start` and is `len` bytes long: whole characters, as a decoder found them.
    #[inline]
    pub fn raw_part(&mut self, field: FieldId, start: usize, len: usize) {
        debug_assert!(self.raw.get(start..start + len).is_some());
        self.cell(field, Kind::Text, len as u32, u64::from(self.row.raw.start) + start as u64);
    }

    /// Adds text. Not copied where it lies within the raw text.
    pub fn text(&mut self, field: FieldId, text: &str) {
        let start = match part_of(self.raw, text) {
            Some(at) => self.row.raw.start as usize + at,
            None => match self.append(text) {
                Some(start) => start,
                None => return,
            },
        };
        self.cell(field, Kind::Text, text.len() as u32, start as u64);
    }

    /// Where a copy of `text` begins in the batch. None where there is no room for it.
    #[inline(never)]
    fn append(&mut self, text: &str) -> Option<usize> {
        let arena = &mut self.batch.text;
        let start = arena.len();
        if start + text.len() > BATCH_TEXT_BYTES_MAX {
            self.fields_refused = true;
            return None;
        }
        arena.push_str(text);
        Some(start)
    }

    /// Adds a text of the code itself, of which the batch keeps one copy for all its events.
    #[inline]
    pub fn fixed(&mut self, field: FieldId, text: &'static str) {
        match self.fixed.start(text, &mut self.batch.text) {
            Some(start) => self.cell(field, Kind::Text, text.len() as u32, start as u64),
            None => self.fields_refused = true,
        }
    }

    /// Adds an integer.
    #[inline]
    pub fn int(&mut self, field: FieldId, n: i64) {
        self.cell(field, Kind::Int, 0, n as u64);
    }

    /// Adds an unsigned integer of any size.
    #[inline]
    pub fn uint(&mut self, field: FieldId, n: u64) {
        self.cell(field, Kind::Uint, 0, n);
    }

    /// Adds a number with a fraction.
    pub fn float(&mut self, field: FieldId, n: f64) {
        self.value(field, Value::Float(n));
    }

    /// Adds true or false.
    #[inline]
    pub fn bool(&mut self, field: FieldId, b: bool) {
        self.cell(field, Kind::Bool, 0, u64::from(b));
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
        self.cell(field, Kind::Time, 0, time.unix_ns() as u64);
    }

    /// Adds any value.
    pub fn value(&mut self, field: FieldId, value: Value<'_>) {
        if let Value::Text(text) = value {
            return self.text(field, text);
        }
        if let Some((kind, len, payload)) = stored(value, &mut self.batch.wide, |_| None) {
            self.cell(field, kind, len, payload);
        }
    }

    /// The first value of `field` so far.
    #[inline]
    pub fn get(&self, field: FieldId) -> Option<Value<'_>> {
        let at = self.find(field)?;
        Some(self.batch.value(&self.batch.cells[at]))
    }

    /// Whether the first value of `field` so far is `text`.
    #[inline]
    pub fn says(&self, field: FieldId, text: &str) -> bool {
        let Some(at) = self.find(field) else { return false };
        let cell = &self.batch.cells[at];
        cell.kind == Kind::Text && cell.len as usize == text.len() && self.batch.value(cell) == Value::Text(text)
    }

    /// Whether `field` has a value so far.
    #[inline]
    pub fn has(&self, field: FieldId) -> bool {
        self.find(field).is_some()
    }

    /// Where the first cell of `field` is. Always in place: those who ask are calls of their own.
    #[inline(always)]
    fn find(&self, field: FieldId) -> Option<usize> {
        let first = usize::from(self.firsts[place_of(field)]).checked_sub(1)?;
        let cells = &self.batch.cells[self.row.cells_start as usize..];
        // Before that cell there is none of the field, and mostly it is its.
        let is_its = |cell: &Cell| cell.field == field;
        let at = if is_its(&cells[first]) { first } else { first + cells[first..].iter().position(is_its)? };
        Some(self.row.cells_start as usize + at)
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
        self.truncate(kept);
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
        self.truncate(mark.cells.max(self.row.cells_start as usize));
        self.row.time = mark.time;
        self.fields_refused = false;
    }

    /// Leaves so many cells of the batch. Where one is gone, those behind it stand elsewhere.
    fn truncate(&mut self, cells: usize) {
        if cells < self.batch.cells.len() {
            self.batch.cells.truncate(cells);
            self.firsts = [0; PLACES];
            for (cell, nth) in self.batch.cells[self.row.cells_start as usize..].iter().zip(1..) {
                place(&mut self.firsts, cell.field, nth);
            }
        }
    }

    #[inline]
    fn cell(&mut self, field: FieldId, kind: Kind, len: u32, payload: u64) {
        let count = self.cell_count();
        if count >= CELLS_PER_EVENT_MAX {
            self.fields_refused = true;
            return;
        }
        place(&mut self.firsts, field, count + 1);
        self.batch.cells.push(Cell { payload, len, field, kind });
    }
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
        self.orders.sort(&mut self.batch.cells[start..], |cell| cell.field);
        self.row.cells_end = self.batch.cells.len() as u32;
        self.batch.rows.push(self.row);
    }
}
