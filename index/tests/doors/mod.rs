//! Events of doors that open, one each minute.

use event::{Batch, BatchBuilder, Content, FrameHead, LogRange, Position, RowBuilder, Time, Transport};

/// The instant of the event with this log offset.
pub(crate) fn time(offset: u64) -> Time {
    Time::from_unix_s(1_780_000_000 + 60 * offset as i64)
}

/// The events from `first` to `last`; `more` adds what they have besides their message and time.
pub(crate) fn batch(first: u64, last: u64, mut more: impl FnMut(u64, &mut RowBuilder<'_>)) -> Batch {
    let mut builder = BatchBuilder::default();
    for offset in first..=last {
        let position = Position { partition: 0, offset };
        let head = FrameHead { position, received: time(offset), ..FrameHead::new(Transport::Udp, Content::Text) };
        let raw = format!("door {offset} opened");
        let mut row = builder.row(&head, 0, &raw);
        row.time(time(offset));
        more(offset, &mut row);
    }
    builder.finish(LogRange { partition: 0, first, last }, time(last))
}
