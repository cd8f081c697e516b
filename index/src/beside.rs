//! What stands beside an event in the log: the hits of a query before and behind it, in the order of the log, whatever their times say.

use std::sync::Arc;

use event::EventId;
use tantivy::DocId;

use crate::IndexError;
use crate::asked::may_be_in;
use crate::hit::Place;
use crate::lower::{Lowering, Unable};
use crate::opened::Opened;
use crate::query::Query;
use crate::reader::Reader;
use crate::search::{SearchLimits, SearchRequest, Snapshot};
use crate::segment::Segment;
use crate::window::{Bits, WINDOW};

/// Hits around an event, in the order of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    /// Those before it, the nearest last.
    pub before: Vec<EventId>,
    /// Those behind it, the nearest first.
    pub behind: Vec<EventId>,
    /// Whether these are all that were asked for and are there: false where the search was told to stop, or a shard cannot be read.
    pub complete: bool,
}

impl Snapshot {
    /// The hits of `query` nearest to the event `id` in the log, so many before it and behind it at most.
    ///
    /// # Errors
    /// Where the engine fails, or the query asks for more than the limits allow.
    pub fn beside(
        &self,
        id: EventId,
        query: &Query,
        (before, behind): (usize, usize),
        limits: &SearchLimits,
    ) -> Result<Beside, IndexError> {
        let mut found = Beside { complete: true, ..Beside::default() };
        // Shards are runs of the log, and so are their segments.
        let later = self.shards.iter().filter(|open| open.payload.last >= id.frame.offset);
        found.complete &= self.nearest(later, (id, true, behind), query, limits, &mut found.behind)?;
        let earlier = self.shards.iter().rev().filter(|open| open.payload.first <= id.frame.offset);
        found.complete &= self.nearest(earlier, (id, false, before), query, limits, &mut found.before)?;
        found.before.reverse();
        Ok(found)
    }

    /// Adds the nearest hits of these shards, no more of which are opened than it needs, and tells whether it went through all of those.
    fn nearest<'s>(
        &self,
        shards: impl Iterator<Item = &'s Opened>,
        (id, behind, wanted): (EventId, bool, usize),
        query: &Query,
        limits: &SearchLimits,
        found: &mut Vec<EventId>,
    ) -> Result<bool, IndexError> {
        let stop = || (limits.stop)();
        let reader = Reader::new(self.messages.as_ref());
        let (request, mut missing) = (SearchRequest::new(Query::All), Vec::new());
        for open in shards.filter(|open| may_be_in(query, &open.payload)) {
            if found.len() >= wanted {
                break;
            }
            if stop() {
                return Ok(false);
            }
            let Some(held) = self.hold(open, &request, &mut missing)? else { continue };
            let mut segments: Vec<&Arc<Segment>> = held.iter().collect();
            if behind {
                segments.retain(|segment| segment.last() >= id.frame.offset);
            } else {
                segments.retain(|segment| segment.first() <= id.frame.offset);
                segments.reverse();
            }
            for segment in segments {
                let lowering = Lowering { layout: &self.layout, segment, rest: &open.payload.rest, reader: &reader, stop: &stop };
                match nearest_of(&lowering, (id, behind, wanted), query, found).map_err(|unable| unable.fault(&open.shard)) {
                    Ok(()) => {}
                    Err(None) => return Ok(false),
                    Err(Some(error)) => return Err(error),
                }
            }
        }
        Ok(missing.is_empty())
    }
}

fn nearest_of(
    lowering: &Lowering<'_>,
    (id, behind, wanted): (EventId, bool, usize),
    query: &Query,
    found: &mut Vec<EventId>,
) -> Result<(), Unable> {
    if found.len() >= wanted {
        return Ok(());
    }
    let segment = lowering.segment;
    let of = |doc: DocId| Place::of(segment, doc).id();
    let beside = |doc: DocId| if behind { of(doc) > id } else { of(doc) < id };
    let frame = segment.documents_of(id.frame.offset);
    let (first, last) = (frame.start / WINDOW, segment.max_doc().saturating_sub(1) / WINDOW);
    let mut node = lowering.query(query)?;
    let windows: Box<dyn Iterator<Item = u32>> =
        if behind { Box::new(first..=last) } else { Box::new((0..=last.min(frame.end / WINDOW)).rev()) };
    for window in windows {
        if (lowering.stop)() {
            return Err(Unable::Stopped);
        }
        if !behind {
            node.rewind(); // It goes forward only.
        }
        let (start, mut bits, mut hits) = (window * WINDOW, Bits::none(), Vec::new());
        node.fill(start, (segment.max_doc() - start).min(WINDOW), &mut bits)?;
        bits.each(|at| hits.extend(Some(start + at).filter(|doc| beside(*doc)).map(of)));
        if !behind {
            hits.reverse();
        }
        found.extend(hits);
        if found.len() >= wanted {
            found.truncate(wanted);
            break;
        }
    }
    Ok(())
}
