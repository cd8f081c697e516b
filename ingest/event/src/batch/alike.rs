//! Rows of one frame that have the fields of the first: each takes its cells and puts its own values in their places.

use std::net::Ipv6Addr;

use super::fixed::Fixed;
use super::row::is_believed;
use super::{Batch, BatchBuilder, Cell, EventId, Kind, Row, stored};
use crate::limits::BATCH_TEXT_BYTES_MAX;
use crate::{Time, Value};

/// Adds rows that are like one that is there.
pub struct Alike<'a> {
    batch: &'a mut Batch,
    fixed: &'a mut Fixed,
    first: Row,
    /// Where the cells of those that were added begin.
    start: usize,
}

impl BatchBuilder {
    /// For rows of the same frame with the fields of the last row. None where there is no row.
    pub fn alike(&mut self) -> Option<Alike<'_>> {
        let BatchBuilder { batch, fixed, .. } = self;
        let (first, start) = (*batch.rows.last()?, batch.cells.len());
        Some(Alike { batch, fixed, first, start })
    }
}

impl Alike<'_> {
    /// How many cells each row has.
    pub fn cell_count(&self) -> usize {
        (self.first.cells_end - self.first.cells_start) as usize
    }

    /// Adds the `nth` event of the frame, which happened at `time`: what it has another value of `put` puts there, but for what
    /// [`Alike::put_column`] will. False, and no event added, where `put` says so, or where the time is not to be believed (see
    /// [`super::RowBuilder::time`]).
    #[inline]
    pub fn row(&mut self, nth: u16, time: Time, put: impl FnOnce(&mut Cells<'_>) -> bool) -> bool {
        let Alike { batch: Batch { text, wide, rows, cells, .. }, fixed, first, .. } = self;
        if !is_believed(first.received, time) {
            return false;
        }
        let start = cells.len();
        cells.extend_from_within(first.cells_start as usize..first.cells_end as usize);
        let is_alike = put(&mut Cells { cells: &mut cells[start..], text, wide, fixed });
        if is_alike {
            let (cells_start, cells_end) = (start as u32, cells.len() as u32);
            rows.push(Row { id: EventId { nth, ..first.id }, time, cells_start, cells_end, ..*first });
        } else {
            cells.truncate(start);
        }
        is_alike
    }

    /// Puts other numbers in the place of the `nth` cells of the rows that were added: unsigned integers, or addresses of four bytes.
    ///
    /// # Panics
    /// Where they have fewer cells.
    #[inline]
    pub fn put_column(&mut self, nth: usize, numbers: impl Iterator<Item = u64>) {
        let cells = self.cell_count();
        assert!(nth < cells, "a row has such a cell");
        for (row, number) in self.batch.cells[self.start..].chunks_exact_mut(cells).zip(numbers) {
            row[nth].put(number);
        }
    }
}

impl Cell {
    /// Another number of the same kind.
    #[inline]
    fn put(&mut self, number: u64) {
        debug_assert!(match self.kind {
            Kind::Uint | Kind::Time => true,
            Kind::Int => number.cast_signed() >= 0,
            Kind::Ip4 => u32::try_from(number).is_ok(),
            _ => false,
        });
        self.payload = number;
    }
}

/// The cells of a row, with the values of another.
pub struct Cells<'a> {
    cells: &'a mut [Cell],
    text: &'a mut String,
    wide: &'a mut Vec<Ipv6Addr>,
    fixed: &'a mut Fixed,
}

impl Cells<'_> {
    /// Puts another number in the place of the `nth`: an unsigned integer, an address of four bytes, an instant or a span in nanoseconds.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn put_number(&mut self, nth: usize, number: u64) {
        self.cells[nth].put(number);
    }

    /// Puts another text in the place of the `nth`, which is one, and keeps it as [`super::RowBuilder::fixed`] does. False, and nothing
    /// changed, where there is no room for it.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn put_fixed(&mut self, nth: usize, text: &'static str) -> bool {
        let Some(start) = self.fixed.start(text, self.text) else { return false };
        let cell = &mut self.cells[nth];
        debug_assert_eq!(cell.kind, Kind::Text);
        (cell.payload, cell.len) = (start as u64, text.len() as u32);
        true
    }

    /// Puts another text in the place of the `nth`, which is one. False, and nothing changed, where there is no room for it.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline]
    pub fn put_text(&mut self, nth: usize, text: &str) -> bool {
        let start = self.text.len();
        if start + text.len() > BATCH_TEXT_BYTES_MAX {
            return false;
        }
        self.text.push_str(text);
        let cell = &mut self.cells[nth];
        debug_assert_eq!(cell.kind, Kind::Text);
        (cell.payload, cell.len) = (start as u64, text.len() as u32);
        true
    }

    /// Puts another value in the place of the `nth`; a text is kept as [`super::RowBuilder::fixed`] keeps it. False, and nothing changed,
    /// where there is no room for the text.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn put(&mut self, nth: usize, value: Value<'static>) -> bool {
        let Cells { text: arena, wide, fixed, .. } = self;
        let Some((kind, len, payload)) = stored(value, wide, |text| fixed.start(text, arena)) else { return false };
        let cell = &mut self.cells[nth];
        *cell = Cell { payload, len, kind, ..*cell };
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::{Content, FieldId, FrameHead, LogRange, Transport};

    #[test]
    fn rows_like_the_first_have_its_cells_and_their_own_values() {
        let received = Time::from_unix_s(1_000_000);
        let head = FrameHead { received, ..FrameHead::new(Transport::Udp, Content::Flow) };
        let mut builder = BatchBuilder::default();
        assert!(builder.alike().is_none());
        let address = |host| IpAddr::from([10, 0, 0, host]);
        {
            let mut row = builder.row(&head, 0, "");
            row.fixed(FieldId::EVENT_KIND, "event");
            row.ip(FieldId::SOURCE_IP, address(1));
            row.uint(FieldId::SOURCE_PORT, 1);
            row.fixed(FieldId::NETWORK_TRANSPORT, "tcp");
        }
        let mut rows = builder.alike().expect("a row");
        assert_eq!(rows.cell_count(), 4);
        assert!(rows.row(1, received, |cells| cells.put_fixed(3, "udp")));
        assert!(!rows.row(2, received, |cells| !cells.put(3, Value::Null)), "another kind of row");
        assert!(!rows.row(2, Time::EPOCH.plus_ns(-1), |_| true), "no believable time");
        assert!(rows.row(2, received, |cells| cells.put(2, Value::Int(-1)) && cells.put_text(3, "sctp")));
        rows.put_column(1, [2, 3].map(|host| u32::from_be_bytes([10, 0, 0, host]).into()).into_iter());
        let batch = builder.finish(LogRange::default(), Time::EPOCH);
        let seen: Vec<_> = batch.iter().map(|event| event.cells().map(|(_, value)| value).collect::<Vec<_>>()).collect();
        let row = |host, port, name| vec![Value::Text("event"), Value::Ip(address(host)), Value::Int(port), Value::Text(name)];
        assert_eq!(seen, [row(1, 1, "tcp"), row(2, 1, "udp"), row(3, -1, "sctp")]);
        assert_eq!(batch.iter().map(|event| event.id().nth).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
