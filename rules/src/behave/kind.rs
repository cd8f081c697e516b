//! The types of behaviour, and which observations each may concern.

use super::Parameters;
use super::observe::What;

/// The types of behaviour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Beacon,
    LongConnection,
    Scan,
    Guessing,
    Exfiltration,
    DnsTunnel,
    FirstSeen,
    Port,
    Bypass,
    Flood,
    Lateral,
    Indicator,
    Source,
    Zone,
    Hours,
    Carrier,
    Mail,
    Chat,
    Peers,
    Names,
    Clicks,
}

impl Kind {
    pub(super) const ALL: [Kind; 21] = [
        Kind::Beacon,
        Kind::LongConnection,
        Kind::Scan,
        Kind::Guessing,
        Kind::Exfiltration,
        Kind::DnsTunnel,
        Kind::FirstSeen,
        Kind::Port,
        Kind::Bypass,
        Kind::Flood,
        Kind::Lateral,
        Kind::Indicator,
        Kind::Source,
        Kind::Zone,
        Kind::Hours,
        Kind::Carrier,
        Kind::Mail,
        Kind::Chat,
        Kind::Peers,
        Kind::Names,
        Kind::Clicks,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Beacon => "beacon",
            Kind::LongConnection => "long_connection",
            Kind::Scan => "scan",
            Kind::Guessing => "guessing",
            Kind::Exfiltration => "exfiltration",
            Kind::DnsTunnel => "dns_tunnel",
            Kind::FirstSeen => "first_seen",
            Kind::Port => "port",
            Kind::Bypass => "bypass",
            Kind::Flood => "flood",
            Kind::Lateral => "lateral",
            Kind::Indicator => "indicator",
            Kind::Source => "source",
            Kind::Zone => "zone",
            Kind::Hours => "hours",
            Kind::Mail => "mail",
            Kind::Carrier => "carrier",
            Kind::Chat => "chat",
            Kind::Peers => "peers",
            Kind::Names => "names",
            Kind::Clicks => "clicks",
        }
    }

    /// Whether it is about what programs do by themselves, be they mail programs or malware.
    pub(super) fn is_of_programs(self) -> bool {
        matches!(self, Kind::Beacon | Kind::LongConnection | Kind::FirstSeen)
    }

    /// Whether an observation of this class may concern a behaviour: of others its `take` would change nothing.
    pub(super) fn may_concern(self, p: &Parameters, class: Class) -> bool {
        let Class { what, failed, source_inside, destination_inside } = class;
        let (flow, proxied) = (what == What::Flow, what == What::Proxied);
        match self {
            Kind::Beacon => failed == (p.answered == "no") && (proxied || flow && !destination_inside),
            Kind::LongConnection => flow && !failed && !destination_inside,
            Kind::Scan => flow && p.class != if source_inside { "outside" } else { "inside" },
            Kind::Guessing => what == What::Login || p.what != "spraying" && (what == What::Request || flow && !failed),
            Kind::Exfiltration => flow && !failed && source_inside,
            Kind::DnsTunnel | Kind::Names => what == What::Query,
            Kind::Chat => flow && !failed && !destination_inside,
            Kind::Peers => flow && !destination_inside,
            Kind::Clicks => proxied || matches!(what, What::Flow | What::Request) && !destination_inside,
            Kind::FirstSeen if p.what == "service" => flow && !failed && destination_inside,
            Kind::FirstSeen => proxied || !failed && source_inside && !destination_inside,
            Kind::Port => flow && !failed,
            Kind::Bypass => source_inside,
            Kind::Lateral => flow && !failed && source_inside && destination_inside,
            Kind::Hours => what == What::Login && !failed,
            Kind::Carrier => flow && (source_inside || !destination_inside),
            Kind::Mail => flow && !destination_inside,
            // A flood that goes on is told of by the clock, whatever it is that comes.
            Kind::Flood | Kind::Indicator => true,
            // They watch records, and what the policy says of conversations.
            Kind::Source | Kind::Zone => false,
        }
    }
}

/// What decides, before anything is looked up, which behaviours an observation may concern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    pub(super) what: What,
    pub(super) failed: bool,
    pub(super) source_inside: bool,
    pub(super) destination_inside: bool,
}

impl Class {
    pub(super) const COUNT: usize = What::ALL.len() << 3;

    pub(super) fn number(self) -> usize {
        let Class { what, failed, source_inside, destination_inside } = self;
        (what as usize) << 3 | usize::from(failed) << 2 | usize::from(source_inside) << 1 | usize::from(destination_inside)
    }

    pub(super) fn of(number: usize) -> Class {
        let bit = |at: usize| number >> at & 1 == 1;
        Class { what: What::ALL[number >> 3], failed: bit(2), source_inside: bit(1), destination_inside: bit(0) }
    }
}
