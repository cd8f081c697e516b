//! The types of behaviour, and which observations each may concern.

use super::Parameters;
use super::observe::{Observation, What};

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
        let Class { what, failed, source_inside, destination_inside, port, is_named } = class;
        let (flow, proxied) = (what == What::Flow, what == What::Proxied);
        match self {
            Kind::Beacon => failed == (p.answered == "no") && (proxied || flow && !destination_inside),
            Kind::LongConnection => flow && !failed && !destination_inside,
            Kind::Scan => flow && p.class != if source_inside { "outside" } else { "inside" },
            Kind::Guessing if flow => {
                let by_port = match port {
                    ClassPort::Other => true,
                    // Of pages it is told where somebody from outside asks for them.
                    ClassPort::Http | ClassPort::Https => !source_inside && destination_inside,
                    ClassPort::Smtp | ClassPort::Dns => false,
                };
                p.what != "spraying" && !failed && (is_named || by_port)
            }
            Kind::Guessing => what == What::Login || p.what != "spraying" && what == What::Request,
            Kind::Exfiltration => flow && !failed && source_inside,
            Kind::DnsTunnel | Kind::Names => what == What::Query,
            Kind::Chat => {
                flow && !failed && !destination_inside && (is_named || p.chat_ports.has_ports() || port == ClassPort::Other)
            }
            Kind::Peers => class.may_be_of_peers(),
            Kind::Clicks if flow => !destination_inside && matches!(port, ClassPort::Http | ClassPort::Other),
            Kind::Clicks => proxied || what == What::Request && !destination_inside,
            Kind::FirstSeen if p.what == "service" => flow && !failed && destination_inside,
            Kind::FirstSeen => proxied || !failed && source_inside && !destination_inside,
            Kind::Port => flow && !failed && is_named,
            Kind::Bypass if p.of == "dns" => {
                let by_name = matches!(what, What::Flow | What::Request | What::Proxied) && is_named;
                source_inside && (what == What::Query || by_name || flow && port == ClassPort::Dns)
            }
            Kind::Bypass => source_inside && (proxied || flow && !matches!(port, ClassPort::Dns | ClassPort::Smtp)),
            Kind::Lateral => flow && !failed && source_inside && destination_inside,
            Kind::Hours => what == What::Login && !failed,
            Kind::Carrier => flow && (source_inside || !destination_inside) && matches!(port, ClassPort::Dns | ClassPort::Other),
            Kind::Mail => flow && !destination_inside && port == ClassPort::Smtp,
            // A flood that goes on is told of by the clock, whatever it is that comes.
            Kind::Flood | Kind::Indicator => true,
            // They watch records, and what the policy says of conversations.
            Kind::Source | Kind::Zone => false,
        }
    }
}

/// What decides, before anything is looked up, which behaviours an observation may concern.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Class {
    what: What,
    failed: bool,
    source_inside: bool,
    destination_inside: bool,
    port: ClassPort,
    /// A host's name or an application's protocol is told.
    is_named: bool,
}

/// The ports that most connections go to, and all others; those of ICMP's messages are none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ClassPort {
    Smtp,
    Dns,
    Http,
    Https,
    Other,
}

impl ClassPort {
    const ALL: [ClassPort; 5] = [ClassPort::Smtp, ClassPort::Dns, ClassPort::Http, ClassPort::Https, ClassPort::Other];

    fn of(o: &Observation) -> ClassPort {
        match o.port {
            _ if matches!(o.transport, 1 | 58) => ClassPort::Other,
            25 => ClassPort::Smtp,
            53 | 853 => ClassPort::Dns,
            80 => ClassPort::Http,
            443 => ClassPort::Https,
            _ => ClassPort::Other,
        }
    }
}

impl Class {
    pub(super) const COUNT: usize = (What::ALL.len() * ClassPort::ALL.len()) << 4;

    pub(super) fn new(o: &Observation, source_inside: bool, destination_inside: bool) -> Class {
        let (port, is_named) = (ClassPort::of(o), !o.protocol.is_empty() || !o.name.is_empty());
        Class { what: o.what, failed: o.answer.failed(), source_inside, destination_inside, port, is_named }
    }

    /// Whether it may be a connection of programs that know each other: outside, on none of the ports that most go to.
    pub(super) fn may_be_of_peers(self) -> bool {
        self.what == What::Flow && !self.destination_inside && self.port == ClassPort::Other
    }

    pub(super) fn number(self) -> usize {
        let Class { what, failed, source_inside, destination_inside, port, is_named } = self;
        let bits = [failed, source_inside, destination_inside, is_named];
        bits.into_iter().fold(what as usize * ClassPort::ALL.len() + port as usize, |number, bit| number << 1 | usize::from(bit))
    }

    pub(super) fn of(number: usize) -> Class {
        let bit = |at: usize| number >> at & 1 == 1;
        let (what, port) = ((number >> 4) / ClassPort::ALL.len(), (number >> 4) % ClassPort::ALL.len());
        Class {
            what: What::ALL[what],
            failed: bit(3),
            source_inside: bit(2),
            destination_inside: bit(1),
            port: ClassPort::ALL[port],
            is_named: bit(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_number() {
        assert!((0..Class::COUNT).all(|number| Class::of(number).number() == number));
    }
}
