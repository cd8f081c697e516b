//! How likely a literal is to stand in an event, judged before any event was seen.
//!
//! Two signs: what many rules look for (`.exe`, `\powershell`) is common in events too, and some bytes are common in any log. The guess
//! decides only what is looked up first, never an answer.

use super::grams::WINDOW_BYTES;

/// Counts of windows over all literals of a rule set.
#[derive(Debug)]
pub(super) struct Rarity {
    counts: Box<[u16]>,
}

/// Windows are counted by a hash of so many bits; a collision makes a window seem more common.
const COUNT_BITS: u32 = 16;

impl Rarity {
    /// Learns from the rules' own literals, in lower case.
    pub(super) fn of<'a>(literals: impl Iterator<Item = &'a String>) -> Rarity {
        let mut counts = vec![0u16; 1 << COUNT_BITS].into_boxed_slice();
        for literal in literals {
            for window in literal.as_bytes().windows(WINDOW_BYTES) {
                let count = &mut counts[place(window)];
                *count = count.saturating_add(1);
            }
        }
        Rarity { counts }
    }

    /// How common a window is: the larger, the more.
    pub(super) fn of_window(&self, window: &[u8]) -> u32 {
        let bytes: u32 = window.iter().map(|byte| weight(*byte)).sum();
        let counted = if window.len() == WINDOW_BYTES { u32::from(self.counts[place(window)]) } else { 8 };
        (1 + counted) * (4 + bytes)
    }

    /// The guessed share of values that hold `literal`.
    pub(super) fn share(&self, literal: &str) -> f64 {
        let bytes = literal.as_bytes();
        match bytes.len() {
            0 => 1.0,
            1 => 0.6,
            2 => 0.2,
            3 => 0.05,
            _ => {
                let rarest = bytes.windows(WINDOW_BYTES).map(|window| self.of_window(window)).min().unwrap_or(1);
                (f64::from(rarest) * 2e-5).min(0.3)
            }
        }
    }
}

fn place(window: &[u8]) -> usize {
    let number = window.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    (number.wrapping_mul(0x85eb_ca6b) >> (u32::BITS - COUNT_BITS)) as usize
}

/// How common a byte is in logs, coarsely.
fn weight(byte: u8) -> u32 {
    match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b' ' | b'.' | b'\\' | b'/' | b'0' | b'1' => 3,
        b'a'..=b'z' | b'2'..=b'9' | b'-' | b'_' | b':' | b'"' | b'=' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_rules_look_for_is_common() {
        let literals: Vec<String> = (0..50).map(|n| format!("\\tool{n}.exe")).collect();
        let rarity = Rarity::of(literals.iter());
        assert!(rarity.share(".exe") > rarity.share("zqxj"));
        assert!(rarity.share("a") > rarity.share("abcd"));
        assert!(rarity.share("\\tool7.exezqxj") < rarity.share("\\tool"));
    }
}
