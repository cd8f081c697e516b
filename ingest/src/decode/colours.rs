//! Colours that programs write for a terminal (ECMA-48, control sequences): they are no part of what a record says.

const ESCAPE: u8 = 0x1b;

/// `text` without its control sequences; `memory` holds it where there are some.
pub(super) fn without<'t>(text: &'t str, memory: &'t mut String) -> &'t str {
    if memchr::memchr(ESCAPE, text.as_bytes()).is_none() {
        return text;
    }
    memory.clear();
    add_without(text, memory);
    memory
}

/// Adds `text` to `memory` without its control sequences.
pub(super) fn add_without(text: &str, memory: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(ESCAPE, rest.as_bytes()) {
        let (before, sequence) = rest.split_at(at);
        memory.push_str(before);
        let length = length(sequence.as_bytes()).unwrap_or(1);
        if length == 1 {
            memory.push_str(&sequence[..1]); // No sequence: the byte stays.
        }
        rest = &sequence[length..];
    }
    memory.push_str(rest);
}

/// The bytes of the control sequence that `bytes` begin with: `ESC [`, parameters, and a last byte that says what it does.
fn length(bytes: &[u8]) -> Option<usize> {
    let parameters = bytes.strip_prefix(&[ESCAPE, b'['])?;
    let last = parameters.iter().position(|byte| !(0x20..=0x3f).contains(byte))?;
    (0x40..=0x7e).contains(&parameters[last]).then_some(last + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_sequences_are_left_out() {
        let mut memory = String::from("earlier");
        for (text, plain) in [
            ("no colour", "no colour"),
            ("\u{1b}[33mWARN\u{1b}[0m: \u{1b}[38;5;3m拒否\u{1b}[39m", "WARN: 拒否"),
            ("\u{1b}[mx\u{1b}", "x\u{1b}"),
            ("a\u{1b}[3", "a\u{1b}[3"),
            ("a\u{1b}[3\u{e9}m", "a\u{1b}[3\u{e9}m"),
            ("a\u{1b}]0;b", "a\u{1b}]0;b"),
        ] {
            assert_eq!(without(text, &mut memory), plain);
        }
    }
}
