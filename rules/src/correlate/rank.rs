//! The numbers of a window in two halves that meet at the rank which is asked for: a heap with the largest of the lower ones on top, and one
//! with the smallest of the others.
//!
//! A number that leaves stays in its heap, marked, until it comes to the top or until half of the heap is such: an ordered tree would search
//! for each that enters and each that leaves, where a heap mostly looks at one or two that lie above.

use std::cmp::Ordering;

use super::window::Slab;
use crate::sigma::item::Number;

/// Fewer marked ones than this are not worth an own look.
const GONE_MIN: usize = 16;

/// Where a number lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Low,
    High,
    /// It has left its window, but not yet its heap.
    Gone,
}

/// The numbers of all windows of one rule and tenant, added up or ranked.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    slab: Slab<Number>,
    /// Of those that are ranked, by their place.
    sides: Vec<Side>,
}

impl Numbers {
    pub(super) fn put(&mut self, number: Number) -> u32 {
        self.slab.put(number)
    }

    pub(super) fn get(&self, at: u32) -> Number {
        self.slab[at]
    }

    pub(super) fn release(&mut self, at: u32) {
        self.slab.release(at);
    }

    /// About how much memory they take, the marked ones too; with their share of the halves where they are ranked, whose memory doubles.
    pub(super) fn bytes(&self) -> usize {
        let ranked = if self.sides.is_empty() { 0 } else { 2 * size_of::<Ranked>() + size_of::<Side>() };
        self.slab.len() * (size_of::<Number>() + ranked)
    }

    fn lay(&mut self, at: u32, side: Side) {
        if self.sides.len() <= at as usize {
            self.sides.resize(at as usize + 1, Side::Gone);
        }
        self.sides[at as usize] = side;
    }

    fn side(&self, at: u32) -> Side {
        self.sides[at as usize]
    }
}

/// A number as an element of an order, most of which is told without a look at the number itself.
#[derive(Clone, Copy, Debug)]
struct Ranked {
    /// The whole part, or the end of its range that is nearest.
    key: i64,
    at: u32,
    /// Whether the key is all there is.
    exact: bool,
}

const _: () = assert!(size_of::<Ranked>() == 16);

impl Ranked {
    fn new(number: Number, at: u32) -> Ranked {
        let (key, exact) = match number {
            Number::Int(n) => i64::try_from(n).map_or((if n < 0 { i64::MIN } else { i64::MAX }, false), |key| (key, true)),
            Number::Float(n) => (n.floor() as i64, false), // Saturates.
        };
        Ranked { key, at, exact }
    }

    fn cmp(self, other: Ranked, numbers: &Numbers) -> Ordering {
        let by_number = || numbers.get(self.at).ordering(numbers.get(other.at)).unwrap_or(Ordering::Equal);
        self.key.cmp(&other.key).then_with(|| if self.exact && other.exact { Ordering::Equal } else { by_number() })
    }
}

/// One half: a binary heap, whose order needs the numbers beside it.
#[derive(Debug)]
struct Half {
    /// The top first, and it is never a marked one; then the two below each at twice its place.
    heap: Vec<Ranked>,
    gone: usize,
    side: Side,
}

impl Half {
    fn new(side: Side) -> Half {
        Half { heap: Vec::new(), gone: 0, side }
    }

    /// How many numbers it holds, without the marked ones.
    fn len(&self) -> usize {
        self.heap.len() - self.gone
    }

    fn top(&self) -> Option<Ranked> {
        self.heap.first().copied()
    }

    /// Whether one belongs above another.
    fn above(&self, one: Ranked, other: Ranked, numbers: &Numbers) -> bool {
        one.cmp(other, numbers) == if self.side == Side::Low { Ordering::Greater } else { Ordering::Less }
    }

    fn push(&mut self, ranked: Ranked, numbers: &mut Numbers) {
        numbers.lay(ranked.at, self.side);
        let mut at = self.heap.len();
        self.heap.push(ranked);
        while at > 0 && self.above(ranked, self.heap[(at - 1) / 2], numbers) {
            self.heap[at] = self.heap[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        self.heap[at] = ranked;
    }

    /// Takes the top away, and marked ones that come up.
    fn pop(&mut self, numbers: &mut Numbers) -> Option<Ranked> {
        let top = self.pop_any(numbers);
        self.clean(numbers);
        top
    }

    fn pop_any(&mut self, numbers: &Numbers) -> Option<Ranked> {
        let last = self.heap.pop()?;
        let Some(top) = self.top() else { return Some(last) };
        self.sink(0, last, numbers);
        Some(top)
    }

    /// Puts one where it belongs at this place or below.
    fn sink(&mut self, mut at: usize, ranked: Ranked, numbers: &Numbers) {
        loop {
            let mut below = 2 * at + 1;
            if below >= self.heap.len() {
                break;
            }
            if below + 1 < self.heap.len() && self.above(self.heap[below + 1], self.heap[below], numbers) {
                below += 1;
            }
            if !self.above(self.heap[below], ranked, numbers) {
                break;
            }
            self.heap[at] = self.heap[below];
            at = below;
        }
        self.heap[at] = ranked;
    }

    /// Notes that one of its numbers is marked now.
    fn note_gone(&mut self, numbers: &mut Numbers) {
        self.gone += 1;
        if self.gone > GONE_MIN && self.gone > self.heap.len() / 2 {
            self.heap.retain(|ranked| {
                let stays = numbers.side(ranked.at) != Side::Gone;
                if !stays {
                    numbers.release(ranked.at);
                }
                stays
            });
            self.gone = 0;
            for at in (0..self.heap.len() / 2).rev() {
                self.sink(at, self.heap[at], numbers);
            }
        }
        self.clean(numbers);
    }

    fn clean(&mut self, numbers: &mut Numbers) {
        while let Some(top) = self.top().filter(|top| numbers.side(top.at) == Side::Gone) {
            self.pop_any(numbers);
            numbers.release(top.at);
            self.gone -= 1;
        }
    }
}

/// The numbers of a window by size.
#[derive(Debug)]
pub(super) struct Halves {
    /// Those up to the rank.
    low: Half,
    high: Half,
}

impl Default for Halves {
    fn default() -> Halves {
        Halves { low: Half::new(Side::Low), high: Half::new(Side::High) }
    }
}

impl Halves {
    /// The number that was put at this place enters.
    pub(super) fn enter(&mut self, at: u32, numbers: &mut Numbers, rank: f64) {
        let ranked = Ranked::new(numbers.get(at), at);
        if self.high.top().is_some_and(|lowest| lowest.cmp(ranked, numbers) == Ordering::Less) {
            self.high.push(ranked, numbers);
        } else {
            self.low.push(ranked, numbers);
        }
        self.meet(numbers, rank);
    }

    /// The number at this place leaves; the place is released in time.
    pub(super) fn leave(&mut self, at: u32, numbers: &mut Numbers, rank: f64) {
        let half = if numbers.side(at) == Side::Low { &mut self.low } else { &mut self.high };
        numbers.lay(at, Side::Gone);
        half.note_gone(numbers);
        self.meet(numbers, rank);
    }

    /// All leave.
    pub(super) fn clear(&mut self, numbers: &mut Numbers) {
        for half in [&mut self.low, &mut self.high] {
            half.heap.drain(..).for_each(|ranked| numbers.release(ranked.at));
            *half = Half::new(half.side);
        }
    }

    fn meet(&mut self, numbers: &mut Numbers, rank: f64) {
        let count = self.low.len() + self.high.len();
        let wanted = if count == 0 { 0 } else { (rank * (count - 1) as f64).floor() as usize + 1 };
        while self.low.len() > wanted {
            let Some(largest) = self.low.pop(numbers) else { break };
            self.high.push(largest, numbers);
        }
        while self.low.len() < wanted {
            let Some(smallest) = self.high.pop(numbers) else { break };
            self.low.push(smallest, numbers);
        }
    }

    /// The value at the rank, interpolated linearly between its neighbours.
    pub(super) fn value(&self, numbers: &Numbers, rank: f64) -> Option<Number> {
        let low = numbers.get(self.low.top()?.at);
        let part = (rank * (self.low.len() + self.high.len() - 1) as f64).fract();
        match self.high.top() {
            Some(high) if part > 0.0 => Some(Number::Float(low.float() * (1.0 - part) + numbers.get(high.at).float() * part)),
            _ => Some(low),
        }
    }

    /// Something that hangs on what an entry will need.
    pub(super) fn touch(&self) -> u64 {
        let end = |half: &Half| half.heap.last().map_or(0, |ranked| ranked.key as u64);
        let top = |half: &Half| half.top().map_or(0, |ranked| ranked.key as u64);
        end(&self.low) ^ top(&self.low) ^ top(&self.high)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Numbers that lie close, that tie in their whole part, and that are beyond 64 bits.
    fn number() -> impl Strategy<Value = Number> {
        prop_oneof![
            4 => (-5i128..20).prop_map(Number::Int),
            2 => (-20i32..80).prop_map(|n| Number::Float(f64::from(n) / 4.0)),
            1 => (-3i128..3).prop_map(|n| Number::Int(n * (1 << 70) + n)),
            1 => Just(Number::Float(1e300)),
        ]
    }

    /// What a sorted list says.
    fn by_sorting(numbers: &VecDeque<(Number, u32)>, rank: f64) -> Option<f64> {
        let mut sorted: Vec<Number> = numbers.iter().map(|(number, _)| *number).collect();
        sorted.sort_by(|a, b| a.ordering(*b).expect("numbers"));
        let place = rank * sorted.len().checked_sub(1)? as f64;
        let (low, part) = (sorted[place.floor() as usize], place.fract());
        let high = sorted.get(place.floor() as usize + 1).filter(|_| part > 0.0);
        Some(high.map_or(low.float(), |high| low.float() * (1.0 - part) + high.float() * part))
    }

    proptest! {
        #[test]
        fn the_halves_say_what_a_sorted_list_says(
            steps in proptest::collection::vec((number(), 0u8..5), 1..400),
            rank in prop_oneof![Just(0.0), Just(0.5), Just(0.99), Just(1.0), 0.0..1.0f64],
            end in any::<bool>(),
        ) {
            let (mut numbers, mut halves, mut there) = (Numbers::default(), Halves::default(), VecDeque::new());
            for (number, leave) in steps {
                let at = numbers.put(number);
                halves.enter(at, &mut numbers, rank);
                there.push_back((number, at));
                // Mostly as many leave as enter; at times a run of them.
                for _ in 0..if leave == 4 { 6 } else { leave / 2 } {
                    if let Some((_, at)) = there.pop_front() {
                        halves.leave(at, &mut numbers, rank);
                    }
                }
                prop_assert_eq!(halves.value(&numbers, rank).map(Number::float), by_sorting(&there, rank));
                prop_assert!(numbers.slab.len() <= 2 * there.len() + 2 * GONE_MIN + 2, "marked ones are bounded");
            }
            if end {
                halves.clear(&mut numbers);
            } else {
                while let Some((_, at)) = there.pop_front() {
                    halves.leave(at, &mut numbers, rank);
                }
            }
            prop_assert_eq!(halves.value(&numbers, rank), None);
            prop_assert_eq!(numbers.slab.len(), 0, "every place is released");
        }
    }
}
