//! Pages asked for at a machine's pace: requests to many places that follow each other without the pauses in which people read, for many
//! minutes. Malware does so that clicks on advertisements for money, or takes part in asking a site to death.
//!
//! Counted of what a proxy or a sensor names, and of connections without encryption; of an encrypted one alone it is not known what it is.

use event::EventId;
use serde::{Deserialize, Serialize};

use super::observe::What;
use super::ports::Ports;
use super::sketch::{Distinct, mix, mix_text};
use super::{Found, Parameters, View};
use crate::table::Table;

/// Ports of the web without encryption.
const PLAIN: Ports = Ports::new(&[80, 8000, 8080]);
/// Events that are kept as evidence: the first ones.
const EVIDENCE_MAX: usize = 24;
/// Names that an alert shows.
const EXAMPLES_MAX: usize = 8;

/// Tenant, source, and whether it is told by connections, by a proxy or by a sensor: each tells of the same.
type Key = (u32, u128, u8);

#[derive(Default, Deserialize, Serialize)]
struct Episode {
    begun: bool,
    start: i64,
    last: i64,
    requests: u64,
    places: Distinct<128, 10>,
    next: i64,
    examples: Vec<String>,
    evidence: Vec<EventId>,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Clicks {
    episodes: Table<Key, Episode>,
}

impl Clicks {
    pub(super) fn new(p: &Parameters) -> Clicks {
        Clicks { episodes: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.episodes.evicted(), self.episodes.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let place = match o.what {
            What::Flow if PLAIN.contains(o.port) && o.transport == 6 && !o.continued => mix(o.destination),
            What::Proxied | What::Request if !o.name.is_empty() => mix_text(view.name()),
            _ => return,
        };
        if view.destination_inside && o.what != What::Proxied || view.to_many || view.role.proxy || view.expected(p) {
            return;
        }
        self.episodes.expire(o.time.saturating_sub(p.gap));
        let episode = self.episodes.entry((o.tenant, o.source, o.what as u8), o.time);
        if !episode.begun || o.time.saturating_sub(episode.last) > p.gap {
            *episode = Episode { begun: true, start: o.time, ..Episode::default() };
        }
        episode.last = o.time;
        episode.requests += 1;
        if episode.evidence.len() < EVIDENCE_MAX {
            episode.evidence.push(o.event);
        }
        if episode.places.insert(place) && episode.examples.len() < EXAMPLES_MAX {
            let shown = if o.name.is_empty() { super::site::address(o.destination).to_string() } else { view.name().to_owned() };
            episode.examples.push(shown);
        }
        let lasted = episode.last - episode.start;
        let a_minute = episode.requests as f64 * 60e9 / lasted.max(1) as f64;
        if lasted < episode.next.max(p.span) || a_minute < p.queries as f64 || episode.places.count() < p.hosts {
            return;
        }
        episode.next = lasted.saturating_mul(10);
        let mut f = Found::at(view, &["source.ip"]);
        f.start = episode.start;
        f.evidence.clone_from(&episode.evidence);
        f.explain("requests", episode.requests);
        f.explain("requests_per_minute", format!("{a_minute:.1}"));
        f.explain("places", episode.places.count());
        f.seconds("span_s", lasted);
        f.seconds("longest_pause_allowed_s", p.gap);
        f.explain("examples", episode.examples.join(" "));
        found.push(f);
    }
}
