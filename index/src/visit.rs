//! All events that a query finds, by their places in the log, in its order: for whoever reads them again.

use std::sync::Arc;

use crate::IndexError;
use crate::asked::may_be_in;
use crate::lower::{Lowering, Unable};
use crate::missing::Missing;
use crate::opened::Opened;
use crate::reader::Reader;
use crate::search::{SearchLimits, SearchRequest, Snapshot};
use crate::segment::Segment;
use crate::window::{Bits, WINDOW};

/// How far a visit came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visited {
    /// Whether it was ended neither by its limits nor by whoever was called.
    pub ended: bool,
    /// What could not be visited, though it is in the index.
    pub missing: Vec<Missing>,
}

impl Snapshot {
    /// The first and the last log offset between which all events of the request's range of time lie; none where there is none.
    pub fn offsets(&self, request: &SearchRequest) -> Option<(u64, u64)> {
        let (from, to) = request.range();
        let within = |open: &Opened| match open.segments() {
            Ok(segments) => {
                let meets = |segment: &&Arc<Segment>| segment.times().is_some_and(|(low, high)| from <= high && to >= low);
                let extents = segments.iter().filter(meets).map(|segment| (segment.first(), segment.last()));
                extents.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            }
            Err(_) => Some((open.payload.first, open.payload.last)),
        };
        // Shards are runs of the log: only those at both ends are looked into.
        let shards = || self.shards.iter().filter(|open| open.meets((from, to)));
        let (first, _) = shards().find_map(within)?;
        let (_, last) = shards().rev().find_map(within)?;
        Some((first, last))
    }

    /// Calls `each` with the log offsets of all hits of the query within its range of time, ascending, an offset once, some at a time, until
    /// it says false.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn visit(
        &self,
        request: &SearchRequest,
        limits: &SearchLimits,
        mut each: impl FnMut(&[u64]) -> bool,
    ) -> Result<Visited, IndexError> {
        let (mut last, mut visited) = (0, Visited::default());
        // Shards are runs of the log, and so are their segments.
        let wanted = |open: &&Opened| open.meets(request.range()) && may_be_in(&request.query, &open.payload);
        for open in self.shards.iter().filter(wanted) {
            if (limits.stop)() {
                return Ok(visited);
            }
            let Some(held) = self.hold(open, request, &mut visited.missing)? else { continue };
            for segment in held.iter() {
                let goes_on = self.segment(open, segment, request, limits, &mut last, &mut each);
                match goes_on.map_err(|unable| unable.fault(&open.shard)) {
                    Ok(true) => {}
                    Ok(false) | Err(None) => return Ok(visited),
                    Err(Some(error)) => return Err(error),
                }
            }
        }
        visited.ended = true;
        Ok(visited)
    }

    fn segment(
        &self,
        open: &Opened,
        segment: &Segment,
        request: &SearchRequest,
        limits: &SearchLimits,
        last: &mut u64,
        each: &mut impl FnMut(&[u64]) -> bool,
    ) -> Result<bool, Unable> {
        let (from, to) = request.range();
        if !segment.times().is_some_and(|(low, high)| from <= high && to >= low) {
            return Ok(true);
        }
        let stop = || (limits.stop)();
        let reader = Reader::new(self.messages.as_ref());
        let lowering = Lowering { layout: &self.layout, segment, rest: &open.payload.rest, reader: &reader, stop: &stop };
        let mut node = lowering.query(&request.query)?;
        let mut offsets = Vec::new();
        let windows = segment.windows_within(from, to);
        let mut window = windows.start;
        while window < windows.end {
            if stop() {
                return Err(Unable::Stopped);
            }
            let start = window * WINDOW;
            let next = node.next(start)?;
            if next >= segment.max_doc() {
                break;
            }
            if next / WINDOW > window {
                window = next / WINDOW;
                continue;
            }
            if let Some(whole) = segment.window_within(window, from, to) {
                let mut bits = Bits::none();
                node.fill(start, (segment.max_doc() - start).min(WINDOW), &mut bits)?;
                offsets.clear();
                bits.each(|at| {
                    let doc = start + at;
                    let offset = segment.seq.get_val(doc);
                    // The events of one frame lie side by side: a frame is told once.
                    if offset > *last && (whole || (from..=to).contains(&segment.time_of(doc))) {
                        offsets.push(offset);
                        *last = offset;
                    }
                });
                if !offsets.is_empty() && !each(&offsets) {
                    return Ok(false);
                }
            }
            window += 1;
        }
        Ok(true)
    }
}
