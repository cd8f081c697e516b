//! Messages out of a stream of bytes: octet counting or a trailer (LF or NUL), found out for each message (RFC 6587 §3.4).
//!
//! A message is octet counted where it begins with a number, a space and `<`: RFC 6587 §3.4.1 gives `MSG-LEN SP SYSLOG-MSG`, and every
//! syslog message begins with its priority. A line that merely begins with a number is a line. A length beyond what a frame may have is believed
//! until an LF comes: whoever writes `99999999 <13>` before its lines must not have them all taken for one message.

use event::limits::FRAME_BYTES_MAX;
use memchr::{memchr, memchr2};

/// Digits of a length at most; what is longer is no length.
const LENGTH_DIGITS_MAX: usize = 9;

/// Splits one connection's bytes into messages. Holds at most one message of [`FRAME_BYTES_MAX`]; what is longer is cut, and the
/// rest of it is skipped.
#[derive(Debug, Default)]
pub struct Framer {
    message: Vec<u8>,
    state: State,
    truncated: bool,
    /// Bytes of cut messages that were not kept.
    skipped: u64,
    /// No octet counting: a file's lines.
    lines_only: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Nothing yet, or a number that may be a length (in `message`).
    #[default]
    Start,
    /// So many bytes of the message are still to come.
    Counted(usize),
    /// The same, or until LF: there are too many.
    Doubted(usize),
    /// Until LF or NUL.
    Line,
}

impl Framer {
    /// A framer for files, where a line is a line whatever it begins with.
    pub fn lines() -> Framer {
        Framer { lines_only: true, ..Framer::default() }
    }

    /// Takes the next bytes of the stream; `emit` gets each message that is whole now, and whether it was cut.
    pub fn push(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&[u8], bool)) {
        while let Some(&first) = bytes.first() {
            match self.state {
                State::Start => {
                    if self.message.is_empty() && matches!(first, b'\n' | 0) {
                        bytes = &bytes[1..]; // An empty line, or the LF that some senders put behind a counted message.
                    } else if self.may_be_length(first) {
                        self.message.push(first);
                        bytes = &bytes[1..];
                    } else if first == b'<' && self.message.last() == Some(&b' ') {
                        let digits = &self.message[..self.message.len() - 1];
                        let length = digits.iter().fold(0, |n, d| n * 10 + usize::from(d - b'0'));
                        self.message.clear();
                        self.state = if length > FRAME_BYTES_MAX { State::Doubted(length) } else { State::Counted(length) };
                    } else {
                        self.state = State::Line;
                    }
                }
                State::Counted(left) => {
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    self.keep(now);
                    bytes = later;
                    self.state = State::Counted(left - now.len());
                    if left == now.len() {
                        self.end(emit);
                    }
                }
                State::Doubted(left) => {
                    let within = &bytes[..left.min(bytes.len())];
                    let (length, ended) = memchr(b'\n', within).map_or((within.len(), left == within.len()), |at| (at, true));
                    self.keep(&within[..length]);
                    bytes = &bytes[length..];
                    self.state = State::Doubted(left - length);
                    if ended {
                        self.truncated |= left > length;
                        self.end(emit);
                    }
                }
                State::Line => match memchr2(b'\n', 0, bytes) {
                    Some(at) => {
                        self.keep(&bytes[..at]);
                        bytes = &bytes[at + 1..];
                        self.end(emit);
                    }
                    None => {
                        self.keep(bytes);
                        bytes = &[];
                    }
                },
            }
        }
    }

    /// The stream has ended: what was begun is a message too, marked as cut where its length says so.
    pub fn finish(&mut self, emit: &mut impl FnMut(&[u8], bool)) {
        self.truncated |= matches!(self.state, State::Counted(_) | State::Doubted(_));
        self.end(emit);
    }

    /// How many bytes of messages that were cut were not kept, since this was asked last.
    pub fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    fn may_be_length(&self, byte: u8) -> bool {
        match (self.message.last(), byte) {
            _ if self.lines_only => false,
            (None, b'1'..=b'9') => true,
            (Some(b'0'..=b'9'), b'0'..=b'9') => self.message.len() < LENGTH_DIGITS_MAX,
            (Some(b'0'..=b'9'), b' ') => true,
            _ => false,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = FRAME_BYTES_MAX - self.message.len();
        let kept = bytes.len().min(room);
        self.truncated |= kept < bytes.len();
        self.skipped += (bytes.len() - kept) as u64;
        self.message.extend_from_slice(&bytes[..kept]);
    }

    fn end(&mut self, emit: &mut impl FnMut(&[u8], bool)) {
        let message = match self.state {
            State::Counted(_) => self.message.as_slice(),
            _ => self.message.strip_suffix(b"\r").unwrap_or(&self.message),
        };
        if !message.is_empty() {
            emit(message, self.truncated);
        }
        self.message.clear();
        self.truncated = false;
        self.state = State::Start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        for chunk in chunks {
            framer.push(chunk, &mut |message, cut| out.push((message.to_vec(), cut)));
        }
        framer.finish(&mut |message, cut| out.push((message.to_vec(), cut)));
        out
    }

    #[test]
    fn framing_is_found_out_for_each_message() {
        let cases: &[(&[u8], &[&str])] = &[
            (b"<13>a\n<13>b\r\n<13>c", &["<13>a", "<13>b", "<13>c"]),
            (b"5 <13>a6 <13>bc", &["<13>a", "<13>bc"]),
            (b"7 <13>a\nb<13>line\n5 <13>c\n", &["<13>a\nb", "<13>line", "<13>c"]),
            (b"<13>a\0<13>b\0", &["<13>a", "<13>b"]),
            (b"2026 was a year\n12 monkeys\n", &["2026 was a year", "12 monkeys"]),
            (b"1234567890 <13>too long a number\n", &["1234567890 <13>too long a number"]),
            (b"12\n34 \n0 <1>\n", &["12", "34 ", "0 <1>"]),
            (b"\n\n\0\n", &[]),
            (b"9 <13>cut", &["<13>cut"]),
        ];
        for (input, expected) in cases {
            let whole = frames(&[input]);
            let texts: Vec<String> = whole.iter().map(|(m, _)| String::from_utf8_lossy(m).into_owned()).collect();
            assert_eq!(texts, *expected, "{}", String::from_utf8_lossy(input));
            for at in 0..=input.len() {
                assert_eq!(frames(&[&input[..at], &input[at..]]), whole, "split at {at}");
            }
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(frames(&bytes), whole, "byte by byte");
        }
    }

    #[test]
    fn a_length_that_no_frame_has_ends_with_its_line() {
        for digits in ["262145", "99999999", "999999999"] {
            let input = format!("{digits} <13>liar\n<13>one\n7 <13>two9 <13>three\n");
            let expected = [("<13>liar", true), ("<13>one", false), ("<13>two", false), ("<13>three", false)];
            for size in 1..=input.len() {
                let chunks: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
                let got = frames(&chunks);
                let got: Vec<(&str, bool)> = got.iter().map(|(m, cut)| (std::str::from_utf8(m).expect("text"), *cut)).collect();
                assert_eq!(got, expected, "{digits} by {size}");
            }
        }
    }

    #[test]
    fn what_is_not_kept_is_counted() {
        let mut framer = Framer::default();
        let mut ignore = |_: &[u8], _| {};
        framer.push(&vec![b'x'; FRAME_BYTES_MAX + 7], &mut ignore);
        framer.push(b"yz\n<13>next\n", &mut ignore);
        assert_eq!((framer.take_skipped(), framer.take_skipped()), (9, 0));
    }

    #[test]
    fn what_is_too_long_is_cut_and_the_next_is_whole() {
        let long = vec![b'x'; FRAME_BYTES_MAX + 10];
        for (before, after) in [(String::new(), "\n"), (format!("{} <", long.len() + 1), "")] {
            let got = frames(&[before.as_bytes(), &long, after.as_bytes(), b"<13>next\n"]);
            assert_eq!(got.len(), 2);
            assert_eq!((got[0].0.len(), got[0].1), (FRAME_BYTES_MAX, true));
            assert_eq!(got[1], (b"<13>next".to_vec(), false));
        }
    }
}
