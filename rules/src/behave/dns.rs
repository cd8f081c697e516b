//! DNS tunnels: data in the names that are asked for. One source asks for many different names below one domain, and the names are long
//! and look random, or the answers are of the types that carry data.
//!
//! Names that spell an address backwards (block lists, reverse lookups) are different each time too; they are left out by their form.

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::What;
use super::sketch::{Distinct, mix_text};
use super::{Found, Parameters, View};
use crate::table::Table;

/// Record types whose answers carry what the server likes.
const BULK: [&str; 10] = ["TXT", "NULL", "KEY", "PRIVATE", "CNAME", "MX", "5", "10", "15", "16"];
/// Where the names are short, nothing but the types of the answers says that they carry data: then this share of the queries must be of
/// such types. Of whoever asks for others so many times the names are needed.
const SHORT_SHARE: f64 = 0.9;
const SHORT_TIMES: u64 = 4;
/// Random names of this length carry data too, slowly, where there are so many times as many.
const MANY_TIMES: u64 = 4;
const MANY_BYTES: f64 = 10.0;
/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;
/// Names that an alert shows.
const EXAMPLES_MAX: usize = 3;

#[derive(Default, Deserialize, Serialize)]
struct Episode {
    begun: bool,
    start: i64,
    last: i64,
    queries: u64,
    names: Distinct<256, 11>,
    /// Sums over the different names: their bytes below the domain, their bits of entropy a character.
    bytes: u64,
    entropy: f64,
    bulk: u64,
    next: u64,
    examples: Vec<String>,
    evidence: Vec<EventId>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct DnsTunnel {
    episodes: Table<(u32, u128, u64), Episode>,
}

impl DnsTunnel {
    pub(super) fn new(p: &Parameters) -> DnsTunnel {
        DnsTunnel { episodes: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.episodes.evicted(), self.episodes.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let (name, domain) = (view.name().trim_end_matches('.'), o.domain.of(view.text));
        if o.what != What::Query || domain.is_empty() || name.len() <= domain.len() {
            return;
        }
        let below = name[..name.floor_char_boundary(name.len() - domain.len())].trim_end_matches('.');
        if below.is_empty() || is_address(below) || is_reverse(domain) {
            return;
        }
        if view.expected(p) {
            return;
        }
        self.episodes.expire(o.time.saturating_sub(p.gap));
        let episode = self.episodes.entry((o.tenant, o.source, mix_text(domain)), o.time);
        if !episode.begun || o.time.saturating_sub(episode.last) > p.gap {
            *episode = Episode { begun: true, start: o.start, ..Episode::default() };
        }
        episode.last = o.time;
        episode.queries += 1;
        episode.bulk += u64::from(BULK.iter().any(|kind| kind.eq_ignore_ascii_case(o.detail.of(view.text))));
        if !episode.names.insert(mix_text(below)) {
            return;
        }
        episode.bytes += below.len() as u64;
        episode.entropy += entropy(below);
        if episode.examples.len() < EXAMPLES_MAX {
            episode.examples.push(name.to_owned());
        }
        if episode.evidence.len() < EVIDENCE_MAX {
            episode.evidence.push(o.event);
        }
        let names = episode.names.count();
        if names < episode.next.max(p.names) {
            return;
        }
        let bytes = episode.bytes as f64 / names as f64;
        let entropy = episode.entropy / names as f64;
        let bulk = episode.bulk as f64 / episode.queries as f64;
        let in_names = bytes >= p.name_bytes && entropy >= p.entropy;
        let in_answers = bulk >= p.bulk_share && bytes >= p.bulk_name_bytes;
        let for_others = view.role.resolver || view.role.proxy || view.role.mail;
        let short_times = if for_others { SHORT_TIMES } else { 1 };
        let in_short = bulk >= SHORT_SHARE.max(p.bulk_share) && names >= p.names * short_times;
        let in_many = !for_others && names >= p.names * MANY_TIMES && bytes >= MANY_BYTES && entropy >= p.entropy;
        if !in_names && !in_answers && !in_short && !in_many {
            return;
        }
        episode.next = names * 10;
        let mut f = Found::at(view, &["source.ip", "dns.question.registered_domain"]);
        f.start = episode.start;
        f.evidence.clone_from(&episode.evidence);
        f.explain("names", names);
        f.explain("queries", episode.queries);
        f.score("name_bytes_mean", bytes);
        f.score("entropy_bits_mean", entropy);
        f.score("bulk_share", bulk);
        f.explain("bytes_in_names", episode.bytes);
        f.seconds("span_s", episode.last - episode.start);
        f.explain("examples", episode.examples.join(" "));
        found.push(f);
    }
}

/// Whether a name spells an address: four numbers, or the 32 digits of IPv6 each by itself.
fn is_address(below: &str) -> bool {
    let labels = || below.split('.');
    let of_numbers = labels().filter(|label| label.parse::<u8>().is_ok()).count();
    let of_digits = labels().filter(|label| label.len() == 1 && label.bytes().all(|b| b.is_ascii_hexdigit())).count();
    of_numbers >= 4 || of_digits >= 32
}

fn is_reverse(domain: &str) -> bool {
    domain.eq_ignore_ascii_case("in-addr.arpa") || domain.eq_ignore_ascii_case("ip6.arpa")
}

/// Bits of entropy a character, letter case aside; the dots left out.
pub(super) fn entropy(name: &str) -> f64 {
    let mut counts = [0u32; 256];
    let mut all = 0u32;
    for byte in name.bytes().filter(|byte| *byte != b'.') {
        counts[usize::from(byte.to_ascii_lowercase())] += 1;
        all += 1;
    }
    let share = |count: u32| f64::from(count) / f64::from(all);
    counts.iter().filter(|count| **count > 0).map(|count| -share(*count) * share(*count).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_names_are_told_by_their_form() {
        for (name, expected) in [
            ("4.3.2.1.zen", true),
            ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2", true),
            ("4f3c2a1b", false),
            ("a.b.c.d", false),
        ] {
            assert_eq!(is_address(name), expected, "{name}");
        }
    }

    #[test]
    fn random_names_have_more_entropy_than_words() {
        assert!(entropy("k7x2q9vbn4mzt8wjr5pchd6fys3g") > 4.0);
        assert!(entropy("www") < 0.1 && entropy("") == 0.0);
    }
}
