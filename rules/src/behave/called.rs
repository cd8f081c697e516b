//! What addresses are called: the names whose answers led to them. A flow record names no host, and safelists and people do.
//!
//! Names come from answers of DNS alone, not from what a client says to a server: malware says `windowsupdate.com` to its own. An address
//! that serves several names, as those of content networks do, is expected only where each of them is.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::observe::{Observation, What};
use super::site::bits;
use crate::table::Table;

/// Addresses that are remembered, and of each so many names; the bound is some 50 MB.
const ADDRESSES_MAX: usize = 100_000;
const NAMES_MAX: usize = 4;
/// Bytes of a name; of a longer one its end, which the domains of safelists are.
const NAME_BYTES_MAX: usize = 96;
/// How long an address is remembered after the last answer: as caches of clients do, and a little longer.
const REMEMBERED_NS: i64 = 86_400 * 1_000_000_000;

/// Ports of mail boxes (POP3, IMAP), and what their names begin with.
pub(super) const MAIL_BOX_PORTS: [u16; 4] = [110, 143, 993, 995];
const MAIL_BOX_LABELS: [&str; 6] = ["imap", "imap4", "pop", "pop3", "mail", "outlook"];

/// The names of one address.
#[derive(Default, Deserialize, Serialize)]
struct Names {
    /// In the order in which they were first heard.
    names: Vec<Box<str>>,
    /// There were more.
    beyond: bool,
}

/// By tenant and address.
#[derive(Deserialize, Serialize)]
pub(super) struct Called {
    addresses: Table<(u32, u128), Names>,
}

impl Default for Called {
    fn default() -> Called {
        Called { addresses: Table::new(ADDRESSES_MAX) }
    }
}

impl Called {
    /// Learns from an answer of DNS, whose texts are in `text`; from nothing else.
    pub(super) fn learn(&mut self, o: &Observation, text: &str) {
        if o.what != What::Query || o.answers.is_empty() || o.name.is_empty() {
            return;
        }
        self.addresses.expire(o.time.saturating_sub(REMEMBERED_NS));
        let name = ending(o.name.of(text).trim_end_matches('.'));
        for ip in o.answers.of(text).split(' ').filter_map(|ip| ip.parse::<IpAddr>().ok()) {
            let known = self.addresses.entry((o.tenant, bits(ip)), o.time);
            if known.names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                continue;
            }
            if known.names.len() < NAMES_MAX {
                known.names.push(name.into());
            } else {
                known.beyond = true;
            }
        }
    }

    /// The names of an address, and whether those are all that it was called by.
    pub(super) fn of(&self, tenant: u32, address: u128) -> (&[Box<str>], bool) {
        self.addresses.get(&(tenant, address)).map_or((&[], true), |known| (&known.names[..], !known.beyond))
    }

    pub(super) fn evicted(&self) -> u64 {
        self.addresses.evicted()
    }

    pub(super) fn byte_len(&self) -> usize {
        let names = self.addresses.len() * NAMES_MAX * (size_of::<Box<str>>() + NAME_BYTES_MAX / 2);
        self.addresses.byte_len() + names
    }
}

/// The last labels of a name, as many as fit.
fn ending(name: &str) -> &str {
    let Some(beyond) = name.len().checked_sub(NAME_BYTES_MAX).filter(|beyond| *beyond > 0) else { return name };
    let rest = &name[name.ceil_char_boundary(beyond)..];
    rest.split_once('.').map_or("", |(_, labels)| labels)
}

/// Whether a name is one of a mail box, at which mail programs look every few minutes or wait for hours.
pub(super) fn is_mail_box(name: &str) -> bool {
    name.split(['.', '-']).next().is_some_and(|label| MAIL_BOX_LABELS.iter().any(|known| known.eq_ignore_ascii_case(label)))
}

#[cfg(test)]
mod tests {
    use super::{ending, is_mail_box};

    #[test]
    fn a_mail_box_is_known_by_its_name() {
        for (name, expected) in [
            ("imap.example.com", true),
            ("POP3.example.jp", true),
            ("imap-2.example.com", true),
            ("imaps.example.com", false),
            ("", false),
        ] {
            assert_eq!(is_mail_box(name), expected, "{name}");
        }
    }

    #[test]
    fn of_a_long_name_the_last_labels_are_kept() {
        let long = format!("{}.{}.example.com", "a".repeat(60), "b".repeat(90));
        for (name, kept) in [("www.example.com", "www.example.com"), (&long, "example.com"), (&"x".repeat(200), "")] {
            assert_eq!(ending(name), kept, "{name}");
        }
    }
}
