//! RELP, the Reliable Event Logging Protocol (rsyslog.com, "RELP protocol specification"): every record is acknowledged, here once it is
//! on disk.
//!
//! ```text
//!  frame = TXNR SP COMMAND SP DATALEN [SP DATA] LF      TXNR, DATALEN: up to 9 digits; COMMAND: up to 32 letters
//! ```
//!
//! A sender that was not answered sends again when it connects anew: such a record is then there twice, as the protocol allows.

use event::limits::FRAME_BYTES_MAX;

const DIGITS_MAX: usize = 9;
const COMMAND_BYTES_MAX: usize = 32;
/// Head bytes of a frame: two numbers, a command, three separators.
const HEAD_BYTES_MAX: usize = 2 * DIGITS_MAX + COMMAND_BYTES_MAX + 3;
/// What we answer to `open`.
pub(super) const OFFERS: &str = "200 OK\nrelp_version=0\nrelp_software=mihari\ncommands=syslog";

/// What a frame asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Command {
    Open,
    Syslog,
    Close,
    Other,
}

/// The peer does not speak RELP.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("what the connection carries is not RELP")]
pub(super) struct NotRelp;

/// Splits one connection's bytes into frames. Holds at most one record of [`FRAME_BYTES_MAX`]; what is longer is cut.
#[derive(Debug, Default)]
pub(super) struct RelpFramer {
    head: Vec<u8>,
    data: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Head,
    Data {
        txnr: u32,
        command: Command,
        left: usize,
        truncated: bool,
    },
    Trailer {
        txnr: u32,
        command: Command,
        truncated: bool,
    },
}

impl RelpFramer {
    /// Takes the next bytes; `emit` gets number, command, data and whether the data were cut.
    pub(super) fn push(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(u32, Command, &[u8], bool)) -> Result<(), NotRelp> {
        while let Some(&first) = bytes.first() {
            match self.state {
                State::Head => {
                    bytes = &bytes[1..];
                    let separators = self.head.iter().filter(|b| **b == b' ').count();
                    let ends = (first == b' ' || first == b'\n') && separators == 2;
                    if !ends {
                        if first == b'\n' && self.head.is_empty() {
                            continue; // An empty line between frames does no harm.
                        }
                        if self.head.len() >= HEAD_BYTES_MAX {
                            return Err(NotRelp);
                        }
                        self.head.push(first);
                        continue;
                    }
                    let (txnr, command, left) = head(&self.head).ok_or(NotRelp)?;
                    self.head.clear();
                    if first == b'\n' && left != 0 {
                        return Err(NotRelp);
                    }
                    // librelp ends an empty frame with `0` LF; others write the space too.
                    if first == b'\n' {
                        emit(txnr, command, &[], false);
                    } else {
                        self.state = State::Data { txnr, command, left, truncated: false };
                    }
                }
                State::Data { txnr, command, left: 0, truncated } => {
                    self.state = State::Trailer { txnr, command, truncated };
                }
                State::Data { txnr, command, left, truncated } => {
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    let room = FRAME_BYTES_MAX - self.data.len();
                    self.data.extend_from_slice(&now[..now.len().min(room)]);
                    bytes = later;
                    self.state = State::Data { txnr, command, left: left - now.len(), truncated: truncated || now.len() > room };
                }
                State::Trailer { txnr, command, truncated } => {
                    if first != b'\n' {
                        return Err(NotRelp);
                    }
                    bytes = &bytes[1..];
                    emit(txnr, command, &self.data, truncated);
                    self.data.clear();
                    self.state = State::Head;
                }
            }
        }
        Ok(())
    }
}

fn head(bytes: &[u8]) -> Option<(u32, Command, usize)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.split(' ');
    let (txnr, command, length) = (words.next()?, words.next()?, words.next()?);
    let number = |text: &str| (1..=DIGITS_MAX).contains(&text.len()).then(|| text.parse::<u32>().ok())?;
    let command = match command {
        "open" => Command::Open,
        "syslog" => Command::Syslog,
        "close" => Command::Close,
        other if (1..=COMMAND_BYTES_MAX).contains(&other.len()) && other.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Command::Other
        }
        _ => return None,
    };
    Some((number(txnr)?, command, number(length)? as usize))
}

/// Appends the answer to a frame.
pub(super) fn respond(out: &mut Vec<u8>, txnr: u32, text: &str) {
    out.extend_from_slice(format!("{txnr} rsp {} {text}\n", text.len()).as_bytes());
}

/// Says that we close: `serverclose` has number 0.
pub(super) fn server_close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0 serverclose 0\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = Vec<(u32, Command, Vec<u8>, bool)>;

    fn frames(chunks: &[&[u8]]) -> (Seen, bool) {
        let mut framer = RelpFramer::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            if framer.push(chunk, &mut |n, c, d, cut| seen.push((n, c, d.to_vec(), cut))).is_err() {
                return (seen, false);
            }
        }
        (seen, true)
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let input = b"1 open 30 relp_version=0\ncommands=syslog\n2 syslog 7 <13>a\nb\n3 syslog 0\n4 close 0\n5 syslog 0 \n";
        let (whole, good) = frames(&[input]);
        assert!(good);
        let short: Vec<(u32, Command, &[u8])> = whole.iter().map(|(n, c, d, _)| (*n, *c, d.as_slice())).collect();
        let open = b"relp_version=0\ncommands=syslog";
        assert_eq!(
            short,
            [
                (1, Command::Open, &open[..]),
                (2, Command::Syslog, b"<13>a\nb"),
                (3, Command::Syslog, b""),
                (4, Command::Close, b""),
                (5, Command::Syslog, b"")
            ]
        );
        for at in 0..=input.len() {
            assert_eq!(frames(&[&input[..at], &input[at..]]), (whole.clone(), true), "split at {at}");
        }
    }

    #[test]
    fn what_is_not_relp_is_refused() {
        for input in [
            "GET / HTTP/1.1\r\n\r\n",
            "<13>Jan  1 00:00:00 h a: x\n",
            "1 syslog 3 abcX",
            "1 syslog 9999999999 x",
            "x y z \n",
            "1 syslog 5\n",
            "1 sys-log 1 a\n",
        ] {
            assert!(!frames(&[input.as_bytes()]).1, "{input}");
        }
        let endless = vec![b'1'; 1 << 20];
        assert!(!frames(&[&endless]).1);
    }

    #[test]
    fn what_is_too_long_is_cut_and_the_next_is_whole() {
        let long = FRAME_BYTES_MAX + 5;
        let input = [format!("1 syslog {long} ").into_bytes(), vec![b'x'; long], b"\n2 syslog 1 y\n".to_vec()].concat();
        let (seen, good) = frames(&[&input]);
        assert!(good);
        assert_eq!((seen[0].2.len(), seen[0].3), (FRAME_BYTES_MAX, true));
        assert_eq!(seen[1], (2, Command::Syslog, b"y".to_vec(), false));
    }
}
