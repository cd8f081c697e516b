//! Files whose lines are a table: what the columns are stands once, at the head (Zeek's `#fields`, the W3C extended log format's `#Fields:`), and
//! again after a rotation or a change. A record must say by itself what it is, so each line gets the head before it.

use event::limits::FRAME_BYTES_MAX;

/// Bytes of one line of a head; a longer one is a record like others.
const HEAD_LINE_BYTES_MAX: usize = 16 * 1024;

/// Lines of Zeek's head (Zeek, "TSV Format Logs"), and of the W3C's (W3C, "Extended Log File Format", WD-logfile-960323). What else begins with `#`
/// is a record.
const ZEEK: [&[u8]; 9] = [
    b"separator ",
    b"set_separator\t",
    b"empty_field\t",
    b"unset_field\t",
    b"path\t",
    b"open\t",
    b"close\t",
    b"fields\t",
    b"types\t",
];
const W3C: [&[u8]; 7] = [b"Version:", b"Fields:", b"Software:", b"Start-Date:", b"End-Date:", b"Date:", b"Remark:"];

/// The head of a table, as far as its lines need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableHead {
    path: Vec<u8>,
    fields: Vec<u8>,
    record: Vec<u8>,
}

impl TableHead {
    /// The line as a record; none of lines of the head.
    pub(crate) fn record<'l>(&'l mut self, line: &'l [u8]) -> Option<&'l [u8]> {
        if let Some(name) = line.strip_prefix(b"#").filter(|_| line.len() <= HEAD_LINE_BYTES_MAX)
            && ZEEK.iter().chain(&W3C).any(|known| name.starts_with(known))
        {
            if name.starts_with(b"path\t") {
                self.path = line.to_vec();
            } else if name.starts_with(b"fields\t") || name.starts_with(b"Fields:") {
                self.fields = line.to_vec();
            } else if name.starts_with(b"separator ") {
                // The head of another log begins.
                self.path.clear();
                self.fields.clear();
            }
            return None;
        }
        let head_bytes = self.path.len() + self.fields.len() + 2;
        if self.fields.is_empty() || head_bytes + line.len() > FRAME_BYTES_MAX {
            return Some(line);
        }
        self.record.clear();
        for part in [&self.path, &self.fields].into_iter().filter(|part| !part.is_empty()) {
            self.record.extend_from_slice(part);
            self.record.push(b'\n');
        }
        self.record.extend_from_slice(line);
        Some(&self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_gets_the_head_that_stands_before_it() {
        let lines = [
            ("a line before any head", Some("a line before any head")),
            ("#separator \\x09", None),
            ("#path\tconn", None),
            ("#fields\tts\tuid", None),
            ("#types\ttime\tstring", None),
            ("1.0\tC1", Some("#path\tconn\n#fields\tts\tuid\n1.0\tC1")),
            ("#close\t2026-04-01-00-00-00", None),
            ("2.0\tC2", Some("#path\tconn\n#fields\tts\tuid\n2.0\tC2")),
            ("#separator \\x09", None),
            ("without a head", Some("without a head")),
            ("#Software: Microsoft Internet Information Services 10.0", None),
            ("#Fields: date time c-ip", None),
            ("2026-04-01 00:00:00 192.0.2.7", Some("#Fields: date time c-ip\n2026-04-01 00:00:00 192.0.2.7")),
            ("# a comment", Some("#Fields: date time c-ip\n# a comment")),
        ];
        let mut head = TableHead::default();
        for (line, expected) in lines {
            assert_eq!(head.record(line.as_bytes()), expected.map(str::as_bytes), "{line}");
        }
        let long = [b"#fields\t", vec![b'x'; HEAD_LINE_BYTES_MAX].as_slice()].concat();
        assert!(TableHead::default().record(&long).is_some(), "no head is so long");
    }
}
