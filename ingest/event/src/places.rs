//! Small numbers put in order by a bit for each: neither compared nor searched, so it costs the same whatever their order was.

/// Places that are taken, each by a number of whoever took it first.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// A bit for each place.
    taken: Vec<u64>,
    /// A bit for each word of `taken` that is not zero.
    words: Vec<u64>,
    /// Who took the place, where it is taken.
    who: Vec<u16>,
}

impl Places {
    /// Takes `place` for `who`. False where it was taken before: who was first has it.
    #[inline]
    pub(crate) fn first(&mut self, place: usize, who: u16) -> bool {
        if place >= self.who.len() {
            self.grow(place);
        }
        let (word, bit) = (place / 64, 1 << (place % 64));
        let is_free = self.taken[word] & bit == 0;
        if is_free {
            self.taken[word] |= bit;
            self.words[word / 64] |= 1 << (word % 64);
            self.who[place] = who;
        }
        is_free
    }

    /// Who has `place`, where somebody took it.
    #[inline]
    pub(crate) fn who(&self, place: usize) -> u16 {
        self.who[place]
    }

    /// Tells of each place that is taken and who has it, in order; all are free afterwards.
    #[inline]
    pub(crate) fn drain(&mut self, mut each: impl FnMut(usize, u16)) {
        for (nth, words) in self.words.iter_mut().enumerate() {
            let mut words = std::mem::take(words);
            while words != 0 {
                let word = nth * 64 + words.trailing_zeros() as usize;
                words &= words - 1;
                let mut bits = std::mem::take(&mut self.taken[word]);
                while bits != 0 {
                    let place = word * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    each(place, self.who[place]);
                }
            }
        }
    }

    #[cold]
    fn grow(&mut self, place: usize) {
        let words = (place / 64 + 1).next_power_of_two();
        self.taken.resize(words, 0);
        self.words.resize(words.div_ceil(64), 0);
        self.who.resize(words * 64, 0);
    }
}
