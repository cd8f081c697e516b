//! What a connection speaks, by the first bytes of each side: TLS and its server name, HTTP and its host, SSH, SMB, RDP, SMTP, FTP, IRC,
//! and DNS messages. Reads borrowed bytes; whatever does not fit is unknown.

use std::net::IpAddr;

/// What the first bytes of one side say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Spoken<'b> {
    /// The protocol, as ECS names it.
    pub(super) protocol: &'static str,
    /// The server that is spoken to.
    pub(super) name: Option<&'b str>,
    /// Of HTTP.
    pub(super) method: Option<&'b str>,
    pub(super) target: Option<&'b str>,
    pub(super) agent: Option<&'b str>,
}

/// A DNS message's question and answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) kind: u16,
    pub(super) is_answer: bool,
    pub(super) code: u8,
    /// Addresses that the answer has.
    pub(super) addresses: Vec<IpAddr>,
}

/// Labels of one name (RFC 1035 §3.1: 255 bytes).
const LABELS_MAX: usize = 128;
/// Records of an answer that are looked at.
const ANSWERS_MAX: usize = 64;
/// TLS extensions that are looked at.
const EXTENSIONS_MAX: usize = 64;
/// Lines of an HTTP request's head that are looked at.
const HTTP_LINES_MAX: usize = 64;

/// What the side that began, or the other one, says first.
pub(super) fn spoken(b: &[u8], from_client: bool) -> Option<Spoken<'_>> {
    let is = |protocol| Some(Spoken { protocol, ..Spoken::default() });
    match b {
        [0x16, 3, ..] => {
            Some(Spoken { protocol: "tls", name: if from_client { server_name(b) } else { None }, ..Spoken::default() })
        }
        [b'S', b'S', b'H', b'-', ..] => is("ssh"),
        [0, _, _, _, 0xff | 0xfe, b'S', b'M', b'B', ..] => is("smb"),
        // TPKT (RFC 1006) with a connection request or confirmation of X.224.
        [3, 0, _, _, _, 0xe0 | 0xd0, ..] => is("rdp"),
        [b'R', b'F', b'B', b' ', ..] => is("vnc"),
        [0xff, 0xfb..=0xfe, ..] => is("telnet"),
        _ if from_client => http(b).or_else(|| if speaks_irc(b) { is("irc") } else { None }),
        _ if b.starts_with(b"HTTP/1.") => is("http"),
        _ if b.starts_with(b"220 ") || b.starts_with(b"220-") => {
            let line = String::from_utf8_lossy(b.split(|c| *c == b'\n').next().unwrap_or(b)).to_ascii_lowercase();
            is(if line.contains("ftp") { "ftp" } else { "smtp" })
        }
        _ if b.starts_with(b"+OK") => is("pop3"),
        _ if b.starts_with(b"* OK") => is("imap"),
        _ => None,
    }
}

/// What a client of IRC says first (RFC 2812 §3.1, and the capability negotiation of IRCv3).
fn speaks_irc(b: &[u8]) -> bool {
    const FIRST: [&[u8]; 3] = [b"NICK ", b"PASS ", b"CAP LS"];
    let starts = |word: &[u8]| b.len() >= word.len() && b[..word.len()].eq_ignore_ascii_case(word);
    // FTP and POP3 say USER first too, but no NICK behind it.
    FIRST.into_iter().any(starts) || starts(b"USER ") && b.windows(6).any(|part| part.eq_ignore_ascii_case(b"\nNICK "))
}

fn http(b: &[u8]) -> Option<Spoken<'_>> {
    const METHODS: [&str; 9] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE"];
    let mut lines = b.split(|c| *c == b'\n').take(HTTP_LINES_MAX).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, rest) = first.split_once(' ')?;
    let (target, version) = rest.rsplit_once(' ')?;
    if !METHODS.contains(&method) || !version.starts_with("HTTP/") {
        return None;
    }
    let mut spoken = Spoken { protocol: "http", method: Some(method), target: Some(target), ..Spoken::default() };
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else { continue };
        if key.eq_ignore_ascii_case("host") {
            spoken.name = value.trim().rsplit_once(':').map_or(Some(value.trim()), |(host, _)| Some(host));
        } else if key.eq_ignore_ascii_case("user-agent") {
            spoken.agent = Some(value.trim());
        }
    }
    Some(spoken)
}

/// The server name of a ClientHello (RFC 6066 §3) that lies in one record.
fn server_name(b: &[u8]) -> Option<&str> {
    let hello = b.get(5..)?;
    if *hello.first()? != 1 {
        return None;
    }
    // Version and random; then the session id, the cipher suites and the compression methods, each behind its length.
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(*hello.get(at)?);
    at += 2 + be16(hello, at)?;
    at += 1 + usize::from(*hello.get(at)?);
    at += 2;
    for _ in 0..EXTENSIONS_MAX {
        let (kind, length) = (be16(hello, at)?, be16(hello, at + 2)?);
        if kind == 0 {
            // A list with one name of type 0.
            let name = be16(hello, at + 7)?;
            let text = hello.get(at + 9..at + 9 + name)?;
            return std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
        }
        at += 4 + length;
    }
    None
}

/// The question of a DNS message (RFC 1035 §4.1) with exactly one.
pub(super) fn question(b: &[u8]) -> Option<Question> {
    if be16(b, 4)? != 1 {
        return None;
    }
    let flags = be16(b, 2)?;
    let mut name = String::new();
    let mut at = 12;
    for _ in 0..LABELS_MAX {
        let length = usize::from(*b.get(at)?);
        if length == 0 {
            let kind = be16(b, at + 1)? as u16;
            let is_class = matches!(be16(b, at + 3)? & 0x7fff, 1 | 255);
            return is_class.then(|| Question {
                name,
                kind,
                is_answer: flags & 0x8000 != 0,
                code: (flags & 0x0f) as u8,
                addresses: addresses(b, at + 5),
            });
        }
        if length > 63 {
            return None; // A question points nowhere.
        }
        if !name.is_empty() {
            name.push('.');
        }
        for byte in b.get(at + 1..at + 1 + length)? {
            match byte {
                b'.' | b'\\' => name.extend(['\\', char::from(*byte)]),
                0x21..=0x7e => name.push(char::from(*byte)),
                _ => name.push_str(&format!("\\{byte:03}")),
            }
        }
        at += 1 + length;
    }
    None
}

/// The addresses among the answers of a DNS message, which begin at `at`: those before the first that cannot be read.
fn addresses(b: &[u8], mut at: usize) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for _ in 0..be16(b, 6).unwrap_or(0).min(ANSWERS_MAX) {
        let Some((kind, data, after)) = answer(b, at) else { break };
        at = after;
        match kind {
            1 => found.extend(<[u8; 4]>::try_from(data).map(IpAddr::from)),
            28 => found.extend(<[u8; 16]>::try_from(data).map(IpAddr::from)),
            _ => {}
        }
    }
    found
}

/// The record that begins at `at`: its type and data, and where the next one begins (RFC 1035 §4.1.3). What it is named is passed over.
fn answer(b: &[u8], mut at: usize) -> Option<(usize, &[u8], usize)> {
    for _ in 0..LABELS_MAX {
        match *b.get(at)? {
            0 => {
                at += 1;
                break;
            }
            // A pointer ends a name.
            length if length >= 0xc0 => {
                at += 2;
                break;
            }
            length => at += 1 + usize::from(length),
        }
    }
    let (kind, length) = (be16(b, at)?, be16(b, at + 8)?);
    Some((kind, b.get(at + 10..at + 10 + length)?, at + 10 + length))
}

/// Names of record types; others as RFC 3597 writes them.
pub(super) fn record_type(kind: u16) -> String {
    let known = [
        (1, "A"),
        (2, "NS"),
        (5, "CNAME"),
        (6, "SOA"),
        (10, "NULL"),
        (12, "PTR"),
        (15, "MX"),
        (16, "TXT"),
        (25, "KEY"),
        (28, "AAAA"),
        (33, "SRV"),
        (64, "SVCB"),
        (65, "HTTPS"),
        (255, "ANY"),
    ];
    known.iter().find(|(number, _)| *number == kind).map_or_else(|| format!("TYPE{kind}"), |(_, name)| (*name).to_owned())
}

fn be16(b: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(b.get(at..at.checked_add(2)?)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_by_what_is_said_first() {
        let protocol = |bytes: &[u8], client| spoken(bytes, client).map(|s| s.protocol);
        for (bytes, client, expected) in [
            (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], false, Some("ssh")),
            (b"220 mail.example.jp ESMTP\r\n", false, Some("smtp")),
            (b"220 FTP server ready\r\n", false, Some("ftp")),
            (b"\0\0\0\x54\xfeSMB@", true, Some("smb")),
            (b"\x03\0\0\x13\x0e\xe0", true, Some("rdp")),
            (b"NICK k7x2q9\r\nUSER a b c :d\r\n", true, Some("irc")),
            (b"USER a b c :d\r\nNICK k7x2q9\r\n", true, Some("irc")),
            (b"USER anonymous\r\n", true, None),
            (b"nickname\r\n", true, None),
            (b"GETTING there\r\n", true, None),
            (b"", true, None),
        ] {
            assert_eq!(protocol(bytes, client), expected, "{bytes:?}");
        }
        let request = b"GET /a?b HTTP/1.1\r\nUser-Agent: x/1\r\nHOST: www.example.jp:8080\r\n\r\nHost: no";
        let http = spoken(request, true).expect("HTTP");
        assert_eq!(
            (http.method, http.target, http.name, http.agent),
            (Some("GET"), Some("/a?b"), Some("www.example.jp"), Some("x/1"))
        );
    }

    /// A ClientHello with two extensions, the second of them the server's name.
    fn hello(name: &str) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        let n = name.len() as u8;
        let mut extensions = vec![0, 0x17, 0, 0, 0, 0, 0, n + 5, 0, n + 3, 0, 0, n];
        extensions.extend(name.as_bytes());
        body.extend([0, extensions.len() as u8]);
        body.extend(extensions);
        let mut record = vec![0x16, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
        record.extend(body);
        record
    }

    #[test]
    fn the_server_name_is_read_and_no_cut_hello_panics() {
        let bytes = hello("c2.example.net");
        assert_eq!(spoken(&bytes, true).and_then(|s| s.name), Some("c2.example.net"));
        for length in 0..bytes.len() {
            assert_eq!(spoken(&bytes[..length], true).and_then(|s| s.name), None, "{length}");
        }
    }

    #[test]
    fn questions_are_read_and_no_cut_message_panics() {
        let mut bytes = vec![1, 2, 0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(b"\x03a.b\x07example\x02jp\0\0\x10\0\x01");
        let question_is = question(&bytes).expect("a question");
        let expected =
            Question { name: "a\\.b.example.jp".to_owned(), kind: 16, is_answer: true, code: 3, addresses: Vec::new() };
        assert_eq!(question_is, expected);
        assert_eq!(record_type(16), "TXT");
        assert_eq!(record_type(999), "TYPE999");
        for length in 0..bytes.len() {
            assert_eq!(question(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn addresses_of_an_answer_are_read_as_far_as_it_goes() {
        let mut bytes = vec![1, 2, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0];
        bytes.extend(b"\x03www\x07example\x02jp\0\0\x01\0\x01");
        let ends_at = bytes.len();
        bytes.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03web\xc0\x10");
        bytes.extend(b"\x03web\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71\x09");
        bytes.extend(b"\xc0\x2d\0\x1c\0\x01\0\0\0\x3c\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09");
        let expected: [IpAddr; 2] = ["203.0.113.9".parse().expect("one"), "2001:db8::9".parse().expect("one")];
        assert_eq!(question(&bytes).expect("an answer").addresses, expected);
        for length in ends_at..bytes.len() {
            let found = question(&bytes[..length]).expect("the question stands").addresses;
            assert!(found.len() < 2 && expected.starts_with(&found), "{length}");
        }
    }
}
