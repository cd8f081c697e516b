//! The words of a segment, one behind the other: what a pattern that may begin anywhere in a word is looked for in.
//!
//! Going through the engine's dictionary costs some 100 ns a word; looking for a text in memory costs a byte a tenth of a nanosecond. So the
//! words that such a search has gone through are kept, up to a bound for all segments together.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use memchr::memmem::Finder;
use tantivy::termdict::TermDictionary;

use crate::lower::{LOOK_EVERY, Unable};
use crate::tokens::WORD_BYTES_MAX;

/// Bytes that are kept for all segments: the words of some ten million events. The words of segments beyond are read each time.
const BYTES_MAX: usize = 128 << 20;
/// What stands behind each word: no word holds it.
const END: u8 = b'\n';

/// Bytes that are kept now.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The words of one segment in the order of the dictionary.
#[derive(Default)]
pub(crate) struct Vocabulary {
    text: Vec<u8>,
    /// Where words begin that are so long that their ends were left out.
    long: Vec<usize>,
    held: usize,
}

impl Vocabulary {
    /// Reads the words; `None` where no more are kept.
    pub(crate) fn read(words: &TermDictionary, stop: &dyn Fn() -> bool) -> Result<Option<Vocabulary>, Unable> {
        let mut vocabulary = Vocabulary::default();
        let mut stream = words.stream()?;
        let mut number = 0;
        while stream.advance() {
            vocabulary.push(stream.key());
            number += 1;
            if number % LOOK_EVERY == 0 && stop() {
                return Err(Unable::Stopped);
            }
            if vocabulary.text.len() > BYTES_MAX {
                return Ok(None);
            }
        }
        vocabulary.text.shrink_to_fit();
        let bytes = vocabulary.text.len();
        if HELD.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MAX {
            HELD.fetch_sub(bytes, Ordering::Relaxed);
            return Ok(None);
        }
        vocabulary.held = bytes;
        Ok(Some(vocabulary))
    }

    fn push(&mut self, word: &[u8]) {
        if word.len() >= WORD_BYTES_MAX {
            self.long.push(self.text.len());
        }
        self.text.extend_from_slice(word);
        self.text.push(END);
    }

    /// All words whose ends were left out.
    pub(crate) fn long(&self) -> impl Iterator<Item = &[u8]> {
        self.long.iter().map(|start| {
            let word = &self.text[*start..];
            &word[..memchr::memchr(END, word).unwrap_or(word.len())]
        })
    }

    /// Whether some are kept still, so that it is worth reading more.
    pub(crate) fn has_room() -> bool {
        HELD.load(Ordering::Relaxed) < BYTES_MAX
    }

    /// Calls `each` with all words that hold `inner`, in their order, until it says no.
    pub(crate) fn holding(&self, inner: &str, mut each: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
        let finder = Finder::new(inner);
        let mut at = 0;
        while let Some(found) = self.text.get(at..).and_then(|rest| finder.find(rest)) {
            let start = memchr::memrchr(END, &self.text[..at + found]).map_or(0, |end| end + 1);
            let Some(len) = memchr::memchr(END, &self.text[start..]) else { break };
            if !each(&self.text[start..start + len])? {
                break;
            }
            at = start + len + 1;
        }
        Ok(())
    }
}

impl Drop for Vocabulary {
    fn drop(&mut self) {
        HELD.fetch_sub(self.held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_holds_a_text_is_found() {
        let words: Vec<String> = (0..1000u32).map(|n| format!("w{:04}x{}", n, n * 7919 % 1000)).collect();
        let mut vocabulary = Vocabulary::default();
        words.iter().for_each(|word| vocabulary.push(word.as_bytes()));
        for inner in ["", "w", "x7", "w0001", "x919", "99", "0x0", "none", "w0999x", "9x919"] {
            let mut found = Vec::new();
            let each = |word: &[u8]| {
                found.push(String::from_utf8_lossy(word).into_owned());
                Ok(true)
            };
            vocabulary.holding(inner, each).expect("reads");
            let expected: Vec<String> = words.iter().filter(|word| word.contains(inner)).cloned().collect();
            assert_eq!(found, expected, "{inner}");
        }
        let long = format!("v{}", "x".repeat(WORD_BYTES_MAX));
        vocabulary.push(long.as_bytes());
        vocabulary.push(b"w");
        assert_eq!(vocabulary.long().collect::<Vec<_>>(), [long.as_bytes()]);
        let mut told = 0;
        let first = |_: &[u8]| {
            told += 1;
            Ok(false)
        };
        vocabulary.holding("w", first).expect("reads");
        assert_eq!(told, 1);
        Vocabulary::default().holding("", |_| panic!("there is none")).expect("reads");
    }
}
