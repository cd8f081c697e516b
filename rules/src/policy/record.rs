//! One record under the policy: its ends, whether it passed, and the verdict written onto it. What several records tell of one
//! conversation together is decided by [`crate::behave`], in the order of time.

use std::net::IpAddr;

use event::{Batch, EventRef, FieldId, LogSourceId};

use super::{Communication, Policy, Verdict};

impl Policy {
    /// Writes zones and verdict on every communication of the batch: `zone.source`, `zone.destination`, `policy.verdict` (`internal`,
    /// `kept`, `denied`, `exception`, `violation`, `attempt`, `unclear`), for those not kept `policy.clause`, and the deciding line.
    pub fn annotate(&self, batch: &mut Batch) {
        // Of many events in a row the log source is the same.
        let mut last: Option<(LogSourceId, Option<&'static str>)> = None;
        batch.annotate(|event, notes| {
            let of = event.log_source();
            let category = match last {
                Some((known, category)) if known == of => category,
                _ => last.insert((of, of.parts().category)).1,
            };
            let Some(seen) = Seen::of(event, category) else { return };
            let mut judgement = self.judge(&seen.c, seen.ends.translated, seen.passed, seen.proxied);
            let (mut source, mut destination) = (judgement.from, judgement.to);
            if matches!(judgement.verdict, Verdict::Violation | Verdict::Attempt | Verdict::Unclear)
                && let Some(reversed) = seen.reversed()
            {
                let answered = self.judge(&reversed, None, Some(true), false);
                // The answer to something allowed, told as a flow of its own.
                if matches!(answered.verdict, Verdict::Kept | Verdict::Exception) {
                    judgement = answered;
                }
            }
            if seen.ends.turned {
                std::mem::swap(&mut source, &mut destination);
            }
            notes.text(FieldId::ZONE_SOURCE, &self.zones[usize::from(source)].name);
            notes.text(FieldId::ZONE_DESTINATION, &self.zones[usize::from(destination)].name);
            notes.text(FieldId::POLICY_VERDICT, judgement.verdict.name());
            match (judgement.line, judgement.verdict) {
                (Some(line), _) => notes.number(FieldId::POLICY_LINE, line),
                (None, Verdict::Internal | Verdict::Kept) => {}
                (None, _) => {
                    if let Some(clause) = self.clause(judgement.from, judgement.to) {
                        notes.text(FieldId::POLICY_CLAUSE, clause);
                    }
                }
            }
        });
    }
}

/// The ends of a communication, who began first as far as the record says.
#[derive(Clone, Copy, Debug)]
struct Ends {
    source: IpAddr,
    source_port: Option<u16>,
    destination: IpAddr,
    port: Option<u16>,
    /// Where it really went, by translation of addresses.
    translated: Option<(IpAddr, Option<u16>)>,
    /// The record says who began (`client.*`, `server.*`).
    known: bool,
    /// Its source is who was called.
    turned: bool,
}

impl Ends {
    fn of(event: EventRef<'_>) -> Option<Ends> {
        let ip = |field| event.get(field).and_then(|v| v.as_ip());
        let port = |field| event.get(field).and_then(|v| v.as_int()).and_then(|n| u16::try_from(n).ok());
        let (source, destination) = (ip(FieldId::SOURCE_IP)?, ip(FieldId::DESTINATION_IP)?);
        let (source_port, destination_port) = (port(FieldId::SOURCE_PORT), port(FieldId::DESTINATION_PORT));
        let said = ip(FieldId::CLIENT_IP).zip(ip(FieldId::SERVER_IP));
        let said_ports = port(FieldId::CLIENT_PORT).zip(port(FieldId::SERVER_PORT));
        let turned = said == Some((destination, source))
            && (source != destination || said_ports.is_some_and(|ports| Some(ports.0) == destination_port));
        let known = turned || said == Some((source, destination));
        let real =
            |ip_field, port_field, ip_told: IpAddr| ip(ip_field).filter(|ip| *ip != ip_told).map(|ip| (ip, port(port_field)));
        Some(if turned {
            Ends {
                source: destination,
                source_port: destination_port,
                destination: source,
                port: source_port,
                translated: real(FieldId::SOURCE_NAT_IP, FieldId::SOURCE_NAT_PORT, source),
                known,
                turned,
            }
        } else {
            let translated = real(FieldId::DESTINATION_NAT_IP, FieldId::DESTINATION_NAT_PORT, destination);
            Ends { source, source_port, destination, port: destination_port, translated, known, turned }
        })
    }
}

/// A communication as an event tells of it.
struct Seen {
    c: Communication,
    ends: Ends,
    /// Whether it passed; none where the event does not say.
    passed: Option<bool>,
    /// A TCP flow of nothing but a SYN: an opening that nobody answered.
    opening_only: bool,
    /// A proxy's record: what it tells of are two connections, from the source to the proxy and from there to the destination.
    proxied: bool,
}

impl Seen {
    /// `category` is that of the event's log source.
    fn of(event: EventRef<'_>, category: Option<&str>) -> Option<Seen> {
        let ends = Ends::of(event)?;
        let protocol = match event.get(FieldId::NETWORK_IANA_NUMBER).and_then(|v| v.as_int()) {
            Some(n) => u8::try_from(n).ok(),
            None => event.get(FieldId::NETWORK_TRANSPORT).and_then(|v| v.as_text()).and_then(protocol_number),
        };
        let (flow, proxied) = (category == Some("flow"), category == Some("proxy"));
        let opening_only = flow && protocol == Some(6) && event.get(FieldId::FLOW_TCP_FLAGS).and_then(|v| v.as_int()) == Some(2);
        let word = |field| event.all(field).filter_map(|v| v.as_text()).find_map(passed_word);
        let passed = word(FieldId::EVENT_TYPE).or_else(|| word(FieldId::EVENT_ACTION));
        let passed = if flow { Some(passed.unwrap_or(!opening_only)) } else { passed };
        let c =
            Communication { source: ends.source, destination: ends.destination, protocol, port: ends.port, time: event.time() };
        Some(Seen { c, ends, passed, opening_only, proxied })
    }

    /// The communication that this may be the answer to.
    fn reversed(&self) -> Option<Communication> {
        if self.opening_only || self.ends.known {
            return None;
        }
        let Communication { source, destination, protocol, port, time } = self.c;
        // An answer comes from the service's port, which is the lower one in practice.
        let service = self.ends.source_port?;
        (port.is_none_or(|other| service < other)).then_some(Communication {
            source: destination,
            destination: source,
            protocol,
            port: Some(service),
            time,
        })
    }
}

/// Whether a word that a device writes means that it let something pass.
pub(crate) fn passed_word(word: &str) -> Option<bool> {
    const DENIED: [&str; 12] = [
        "denied",
        "deny",
        "drop",
        "dropped",
        "block",
        "blocked",
        "reject",
        "rejected",
        "reset",
        "discard",
        "prevented",
        "refused",
    ];
    const PASSED: [&str; 10] = [
        "allowed",
        "allow",
        "accept",
        "accepted",
        "permit",
        "permitted",
        "pass",
        "passed",
        "connection-started",
        "flow-expiration",
    ];
    let is = |words: &[&str]| words.iter().any(|w| word.eq_ignore_ascii_case(w));
    if is(&DENIED) {
        Some(false)
    } else if is(&PASSED) {
        Some(true)
    } else {
        None
    }
}

pub(super) fn protocol_number(name: &str) -> Option<u8> {
    Some(match name {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" => 58,
        "sctp" => 132,
        other => return other.parse().ok(),
    })
}
