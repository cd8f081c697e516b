//! What is planted: which incidents, when, between whom.

use std::net::Ipv4Addr;

use event::Time;
use serde::Serialize;

use crate::Plan;
use crate::dice::Dice;
use crate::town::{self, SERVERS};

/// The kinds of incident.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Many failed SSH logins from one address, then one that succeeds.
    BruteForce,
    /// One address tries many ports of one host; the edge firewall denies them.
    PortScan,
    /// A terminal asks one host on the Internet at regular intervals, through the proxy.
    Beacon,
    /// A terminal uploads some gigabytes in a few transfers.
    Exfiltration,
    /// A terminal of the LGWAN zone reaches the Internet past the sanitiser.
    LgwanDirect,
    /// A terminal of the My-Number zone reaches a file server of the Internet zone.
    MynumberFlow,
    /// A terminal sends data out in the names of DNS queries.
    DnsTunnel,
    /// One address tries SQL injection, path traversal and command injection on the public site.
    WebAttack,
    /// A server stops sending its log.
    SilentDevice,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 9] = [
        Kind::BruteForce,
        Kind::PortScan,
        Kind::Beacon,
        Kind::Exfiltration,
        Kind::LgwanDirect,
        Kind::MynumberFlow,
        Kind::DnsTunnel,
        Kind::WebAttack,
        Kind::SilentDevice,
    ];

    /// When it begins and how long it lasts: per mille of the plan, and seconds at most.
    fn schedule(self) -> (u32, u32) {
        match self {
            Kind::Beacon => (20, 86_400),
            Kind::BruteForce => (100, 90),
            Kind::WebAttack => (160, 30),
            Kind::PortScan => (220, 30),
            Kind::LgwanDirect => (300, 20),
            Kind::DnsTunnel => (340, 120),
            Kind::MynumberFlow => (420, 20),
            Kind::Exfiltration => (480, 120),
            Kind::SilentDevice => (600, 86_400),
        }
    }
}

/// One planted incident: the ground truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// Its kind.
    pub kind: Kind,
    /// The first record that belongs to it.
    pub start: Time,
    /// All records that belong to it were sent before this instant.
    pub end: Time,
    /// Who does it; none for a device that falls silent.
    pub source: Option<Ipv4Addr>,
    /// To whom.
    pub destination: Option<Ipv4Addr>,
    /// The device that falls silent.
    pub device: Option<&'static str>,
}

const NS_PER_S: i64 = 1_000_000_000;

pub(crate) fn planted(plan: &Plan) -> Vec<Incident> {
    if !plan.incidents {
        return Vec::new();
    }
    let length_ns = i64::from(plan.length_s) * NS_PER_S;
    let mut incidents: Vec<Incident> = Kind::ALL.iter().map(|kind| plant(plan, *kind, length_ns)).collect();
    incidents.sort_by_key(|incident| (incident.start, incident.kind));
    incidents
}

fn plant(plan: &Plan, kind: Kind, length_ns: i64) -> Incident {
    let mut dice = Dice::new(plan.seed, 1000 + kind as u64);
    let (per_mille, seconds_max) = kind.schedule();
    let start_ns = length_ns / 1000 * i64::from(per_mille + dice.range(0, 20));
    let left_ns = length_ns / 100 * 95 - start_ns;
    let duration_ns = (i64::from(seconds_max) * NS_PER_S).min(match kind {
        Kind::Beacon | Kind::SilentDevice => left_ns,
        _ => length_ns / 4,
    });
    let start = plan.start.plus_ns(start_ns);
    let attacker = Ipv4Addr::new(203, 0, 113, dice.range(1, 250) as u8);
    let internet = plan.terminals / 2;
    let lgwan = plan.terminals * 35 / 100;
    let mynumber = (plan.terminals - internet - lgwan).max(1);
    let (source, destination) = match kind {
        Kind::BruteForce => (attacker, town::GATEWAY_ADDRESS),
        Kind::PortScan => (attacker, town::WWW_ADDRESS),
        Kind::WebAttack => (attacker, town::WWW_ADDRESS),
        Kind::Beacon | Kind::Exfiltration => {
            (town::internet_terminal(dice.range(0, internet.max(1))), Ipv4Addr::new(192, 0, 2, dice.range(1, 250) as u8))
        }
        Kind::DnsTunnel => (town::internet_terminal(dice.range(0, internet.max(1))), town::DNS_ADDRESS),
        Kind::LgwanDirect => {
            (town::lgwan_terminal(dice.range(0, lgwan.max(1))), Ipv4Addr::new(192, 0, 2, dice.range(1, 250) as u8))
        }
        Kind::MynumberFlow => (town::mynumber_terminal(dice.range(0, mynumber)), town::DEVICES[SERVERS[0]].address),
        Kind::SilentDevice => {
            let device = town::DEVICES[SERVERS[3]].name;
            return Incident {
                kind,
                start,
                end: start.plus_ns(duration_ns),
                source: None,
                destination: None,
                device: Some(device),
            };
        }
    };
    Incident { kind, start, end: start.plus_ns(duration_ns), source: Some(source), destination: Some(destination), device: None }
}
