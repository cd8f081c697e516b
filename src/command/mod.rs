//! The subcommands, a file each.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod client;
pub(crate) mod demo;
pub(crate) mod generate;
pub(crate) mod parse;
pub(crate) mod policy;
pub(crate) mod quarantine;
pub(crate) mod reindex;
pub(crate) mod replay;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod verify;

use std::io::Write;

/// Says something to the person at the terminal. Where that cannot be written (a full disk behind `> FILE`), the command has failed.
pub(crate) fn say(text: &str) {
    if let Err(error) = write_line(text) {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0); // Nobody listens any more.
        }
        complain(&format!("failed to write to standard output: {error}"));
        std::process::exit(2);
    }
}

fn write_line(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")
}

/// As [`say`], of a service, which goes on where nobody can be told.
pub(crate) fn announce(text: &str) {
    if let Err(error) = write_line(text) {
        tracing::warn!(%error, "failed to write to standard output");
    }
}

/// Says what is wrong. Where that cannot be written either, the exit code tells it.
pub(crate) fn complain(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "mihari: {text}"));
}

/// As [`visible`], with the ends of lines kept.
pub(crate) fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Makes what a sender wrote safe for a terminal: what it would obey or not show becomes visible.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (c, hidden) in event::hidden::mark(text) {
        if hidden {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// The same for JSON, which stays the same JSON: escapes of its own (RFC 8259 §7).
pub(crate) fn visible_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (c, hidden) in event::hidden::mark(text) {
        if hidden {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_for_a_terminal_is_the_same_json() {
        let text = serde_json::to_string("a\u{202e}b\u{9b}c\u{e0041}\u{ad}辻\u{e0100}\n").expect("text");
        let shown = super::visible_json(&text);
        assert!(!shown.contains(['\u{202e}', '\u{9b}', '\u{e0041}', '\u{ad}']), "{shown:?}");
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), serde_json::from_str::<String>(&text).expect("JSON"));
        assert_eq!(super::visible("a\u{202e}\u{1b}[0m"), "a\\u{202e}\\u{1b}[0m");
    }
}
