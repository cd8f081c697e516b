//! IPFIX messages out of a stream of bytes (RFC 7011 §10.4.2): each begins with its version and its length.

/// Version, length, export time, sequence number, domain.
const HEADER_BYTES: usize = 16;

/// What follows is no IPFIX message: where the next one would begin cannot be known.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("what the connection carries is not IPFIX")]
pub(super) struct NotIpfix;

/// Splits one connection's bytes into messages. Holds at most one message, which is at most 65,535 bytes long.
#[derive(Debug, Default)]
pub(super) struct IpfixFramer {
    message: Vec<u8>,
}

impl IpfixFramer {
    pub(super) fn push(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&[u8])) -> Result<(), NotIpfix> {
        loop {
            let wanted = match self.message.get(..4) {
                None => 4,
                Some(&[0, 10, high, low]) => usize::from(u16::from_be_bytes([high, low])),
                Some(_) => return Err(NotIpfix),
            };
            if self.message.len() >= 4 {
                if wanted < HEADER_BYTES {
                    return Err(NotIpfix);
                }
                if self.message.len() == wanted {
                    emit(&self.message);
                    self.message.clear();
                    continue;
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let (now, later) = bytes.split_at((wanted - self.message.len()).min(bytes.len()));
            self.message.extend_from_slice(now);
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let message = |length: u8| [&[0, 10, 0, length][..], &vec![7; usize::from(length) - 4]].concat();
        let input = [message(16), message(40), message(17)].concat();
        for size in 1..=input.len() {
            let mut framer = IpfixFramer::default();
            let mut seen = Vec::new();
            for chunk in input.chunks(size) {
                assert_eq!(framer.push(chunk, &mut |m| seen.push(m.len())), Ok(()));
            }
            assert_eq!(seen, [16, 40, 17], "pieces of {size}");
        }
        for bad in [&[0, 9, 0, 20][..], &[0, 10, 0, 15], b"<13>x"] {
            assert_eq!(IpfixFramer::default().push(bad, &mut |_| panic!("no message")), Err(NotIpfix));
        }
    }
}
