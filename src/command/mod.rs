//! The subcommands, a file each.

pub(crate) mod client;
pub(crate) mod demo;
pub(crate) mod generate;
pub(crate) mod parse;
pub(crate) mod policy;
pub(crate) mod replay;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod verify;

use std::io::Write;

/// Says something to the person at the terminal.
pub(crate) fn say(text: &str) {
    let written = writeln!(std::io::stdout().lock(), "{text}");
    if written.is_err() {
        std::process::exit(0); // Nobody listens any more.
    }
}

/// Says what is wrong.
#[expect(clippy::print_stderr, reason = "a command's complaint goes to the terminal")]
pub(crate) fn complain(text: &str) {
    eprintln!("mihari: {text}");
}

/// Makes what a sender wrote safe for a terminal: control and direction characters become visible.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
        {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
