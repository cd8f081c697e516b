//! Words of several forms one after the other.
//!
//! A form stands for many words, whose lists cannot all be open side by side as those of a [`crate::phrase::Phrase`] are. So the places of the
//! rarest are listed, and each of the others in turn keeps those that it stands beside; a list is gone through once, and only where it may.

use tantivy::postings::Postings as _;
use tantivy::{DocId, DocSet as _, TERMINATED};

use crate::lower::{LOOK_EVERY, Unable};
use crate::node::Postings;
use crate::phrase::offset;
use crate::window::SegmentBits;

/// Words of a segment that one form may stand for: 16 MiB of their lists' heads.
pub(crate) const WORDS_MAX: usize = 1 << 18;
/// Places of the rarest that are listed: 32 MiB.
const PLACES_MAX: usize = 1 << 22;

/// A document and, moved to where the row ends, a position in it.
type Place = (DocId, u32);

/// The documents in which words of these lists stand one after the other: of each list's words any.
pub(crate) fn in_a_row(row: Vec<Vec<Postings>>, max_doc: DocId, stop: &dyn Fn() -> bool) -> Result<SegmentBits, Unable> {
    let mut bits = SegmentBits::none(max_doc);
    ends(row, stop)?.iter().for_each(|(doc, _)| bits.set(*doc));
    Ok(bits)
}

/// The documents in which these rows stand, each somewhere behind the one before. Beside each, by how much it reaches beyond its last word.
pub(crate) fn apart(
    rows: Vec<(Vec<Vec<Postings>>, u32)>,
    max_doc: DocId,
    stop: &dyn Fn() -> bool,
) -> Result<SegmentBits, Unable> {
    // Where all rows so far end at the earliest, by document.
    let mut earliest: Option<Vec<Place>> = None;
    for (row, reach) in rows {
        let len = row.len() as u32;
        let mut found: Vec<Place> = Vec::new();
        let mut before = earliest.iter().flatten().copied().peekable();
        for (doc, end) in ends(row, stop)? {
            if found.last().is_some_and(|(known, _)| *known == doc) {
                continue;
            }
            while before.next_if(|(earlier, _)| *earlier < doc).is_some() {}
            let from = before.peek().filter(|(same, _)| *same == doc).map(|(_, from)| *from);
            if earliest.is_none() || from.is_some_and(|from| end - len >= from) {
                found.push((doc, end + reach));
            }
        }
        earliest = Some(found);
    }
    let mut bits = SegmentBits::none(max_doc);
    earliest.iter().flatten().for_each(|(doc, _)| bits.set(*doc));
    Ok(bits)
}

/// The documents that have a word of each list, each at most `distance` places from where it would stand in a row of them: moved to where the
/// row would end, they lie so close together.
pub(crate) fn near(words: Vec<Postings>, distance: u32, max_doc: DocId, stop: &dyn Fn() -> bool) -> Result<SegmentBits, Unable> {
    let (len, mut all) = (words.len(), Vec::with_capacity(words.len()));
    for (at, list) in words.into_iter().enumerate() {
        all.push(places(vec![list], offset(len, at), stop)?);
    }
    let mut bits = SegmentBits::none(max_doc);
    let mut at = vec![0; len];
    while let Some(doc) =
        all.iter().zip(&at).map(|(places, at)| places.get(*at).map(|(doc, _)| *doc)).try_fold(0, |most, doc| Some(doc?.max(most)))
    {
        let mut same = true;
        for (places, at) in all.iter().zip(&mut at) {
            *at += places[*at..].partition_point(|(other, _)| *other < doc);
            same &= places.get(*at).is_some_and(|(other, _)| *other == doc);
        }
        if !same {
            continue;
        }
        let here: Vec<Vec<u32>> = all
            .iter()
            .zip(&mut at)
            .map(|(places, at)| {
                let end = *at + places[*at..].partition_point(|(other, _)| *other == doc);
                places[std::mem::replace(at, end)..end].iter().map(|(_, place)| *place).collect()
            })
            .collect();
        if lie_within(&here, distance) {
            bits.set(doc);
        }
    }
    Ok(bits)
}

/// Whether one place of each of these lists, which ascend, can be chosen so that all lie within `distance`.
pub(crate) fn lie_within(lists: &[Vec<u32>], distance: u32) -> bool {
    let mut at = vec![0; lists.len()];
    loop {
        let chosen: Option<Vec<u32>> = lists.iter().zip(&at).map(|(list, at)| list.get(*at).copied()).collect();
        let Some(chosen) = chosen else { return false };
        let (Some(low), Some(high)) = (chosen.iter().min(), chosen.iter().max()) else { return false };
        if high - low <= distance {
            return true;
        }
        // The lowest is the one that must rise.
        for (place, chosen) in at.iter_mut().zip(&chosen) {
            *place += usize::from(chosen == low);
        }
    }
}

/// Where rows of words of these lists end: behind their last words.
fn ends(row: Vec<Vec<Postings>>, stop: &dyn Fn() -> bool) -> Result<Vec<Place>, Unable> {
    let len = row.len();
    let documents = |lists: &[Postings]| lists.iter().map(|list| u64::from(list.info().doc_freq)).sum::<u64>();
    let mut row: Vec<(u32, Vec<Postings>)> = row.into_iter().enumerate().map(|(at, lists)| (offset(len, at), lists)).collect();
    row.sort_by_key(|(_, lists)| documents(lists));
    let mut rest = row.into_iter();
    let mut places = match rest.next() {
        Some((offset, lists)) => places(lists, offset, stop)?,
        None => Vec::new(),
    };
    for (offset, lists) in rest {
        let mut stands = vec![false; places.len()];
        for list in lists {
            if stop() {
                return Err(Unable::Stopped);
            }
            mark(list, offset, &places, &mut stands)?;
        }
        let mut stands = stands.into_iter();
        places.retain(|_| stands.next() == Some(true));
    }
    Ok(places)
}

/// Where the words of these lists stand, in order.
fn places(lists: Vec<Postings>, offset: u32, stop: &dyn Fn() -> bool) -> Result<Vec<Place>, Unable> {
    let (mut places, mut positions) = (Vec::new(), Vec::new());
    for mut list in lists {
        let cursor = list.cursor()?;
        for gone in 1.. {
            let doc = cursor.doc();
            if doc == TERMINATED {
                break;
            }
            if (gone == 1 || gone % LOOK_EVERY == 0) && stop() {
                return Err(Unable::Stopped);
            }
            cursor.positions_with_offset(offset, &mut positions);
            if places.len() + positions.len() > PLACES_MAX {
                return Err(Unable::TooMuch(
                    "the words one after the other are in too many places: ask for a rarer one beside them",
                ));
            }
            places.extend(positions.iter().map(|position| (doc, *position)));
            cursor.advance();
        }
    }
    places.sort_unstable();
    Ok(places)
}

/// Marks the places at which the word of this list stands.
fn mark(mut list: Postings, offset: u32, places: &[Place], stands: &mut [bool]) -> Result<(), Unable> {
    let (mut at, mut positions) = (0, Vec::new());
    while let Some((doc, _)) = places.get(at) {
        let found = list.seek(*doc)?;
        at += places[at..].partition_point(|(doc, _)| *doc < found);
        let same = places[at..].partition_point(|(doc, _)| *doc == found);
        if same == 0 {
            continue;
        }
        list.cursor()?.positions_with_offset(offset, &mut positions);
        for (place, stands) in places[at..at + same].iter().zip(&mut stands[at..]) {
            *stands |= positions.binary_search(&place.1).is_ok();
        }
        at += same;
    }
    Ok(())
}
