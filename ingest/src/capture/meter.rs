//! A flow meter: the packets of a capture as connections, each told once, as a flow record of both ways.
//!
//! A record is a JSON object (`formats/packets.yaml`), written when a connection has ended or was idle, or with the capture. A DNS question
//! is told by a record of its own. The end that sent first began, unless its first packet is a SYN-ACK or comes from a service's port.
//! Streams are not put together: what is spoken is told by the first segment of each side.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt::Write;
use std::net::IpAddr;

use event::Time;

use super::application::{self, Question};
use crate::packet;

/// Connections at once; beyond it the one whose time would end first is told early.
const CONNECTIONS_MAX: usize = 65_536;
/// DNS questions of one connection that wait for their answers.
const QUESTIONS_MAX: usize = 64;
/// How long a connection is idle before it is told: TCP that was answered, and all else. The second lies within the usual lateness.
const IDLE_TCP_NS: i64 = 300 * 1_000_000_000;
const IDLE_NS: i64 = 25 * 1_000_000_000;
/// How long the last packets of a closed connection may come after its end.
const CLOSING_NS: i64 = 2 * 1_000_000_000;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Key {
    protocol: u8,
    low: (IpAddr, u16),
    high: (IpAddr, u16),
}

/// What one side has sent.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    bytes: u64,
    packets: u64,
    flags: u8,
    spoke: bool,
}

struct Connection {
    number: u64,
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    start: Time,
    end: Time,
    until: Time,
    sides: [Side; 2],
    icmp: Option<(u8, u8)>,
    /// An ICMP message said that the other end cannot be reached.
    unreachable: bool,
    protocol: &'static str,
    name: String,
    method: String,
    target: String,
    agent: String,
    questions: Vec<(u16, Question)>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Meter {
    connections: HashMap<Key, Connection>,
    /// When connections may be told; looked at again when the time has come.
    deadlines: BinaryHeap<Reverse<(Time, u64, Key)>>,
    made: u64,
    told: VecDeque<(Time, String)>,
}

impl Meter {
    /// Takes a packet: the frame's bytes and where its network header begins.
    pub(super) fn take(&mut self, time: Time, b: &[u8], network_at: usize) {
        self.pass(time);
        let Some(network) = packet::network(b, network_at) else { return };
        let transport = packet::transport(b, &network);
        let length = network.length as u64;
        let (source_port, port) = transport.ports.unwrap_or((0, 0));
        let (from, to) = ((network.source, source_port), (network.destination, port));
        if network.fragment.is_some_and(|f| f.offset > 0) {
            return self.fragment(network.protocol, network.source, network.destination, length);
        }
        if matches!((network.protocol, transport.icmp), (1, Some((3, _))) | (58, Some((1, _)))) {
            self.unreachable(b, network.start + 8);
        }
        let key = Key { protocol: network.protocol, low: from.min(to), high: from.max(to) };
        let flags = transport.tcp_flags.unwrap_or(0);
        let begins = flags & (SYN | ACK) == SYN;
        if begins && self.connections.get(&key).is_some_and(Connection::is_closed) {
            self.tell(key, time);
        }
        if self.connections.len() >= CONNECTIONS_MAX && !self.connections.contains_key(&key) {
            self.tell_first(time);
        }
        let made = &mut self.made;
        let connection = self.connections.entry(key).or_insert_with(|| {
            *made += 1;
            let answers =
                flags & (SYN | ACK) == SYN | ACK || network.protocol == 17 && is_service(source_port) && !is_service(port);
            let (from, to) = if answers { (to, from) } else { (from, to) };
            Connection::new(*made, from, to, time)
        });
        let back = usize::from(connection.from != from);
        let is_new = connection.until == Time::UNKNOWN;
        connection.end = connection.end.max(time);
        connection.until = time.plus_ns(connection.idle_ns(network.protocol, flags));
        connection.icmp = connection.icmp.or(transport.icmp);
        let side = &mut connection.sides[back];
        side.bytes += length;
        side.packets += 1;
        side.flags |= flags;
        if is_new {
            self.deadlines.push(Reverse((connection.until, connection.number, key)));
        }
        let payload = payload(b, &network);
        if payload.is_empty() {
            return;
        }
        let first = !std::mem::replace(&mut connection.sides[back].spoke, true);
        let udp_dns = network.protocol == 17 && (port == 53 || source_port == 53 || port == 5353 || port == 5355);
        if udp_dns {
            let answered = connection.question(payload);
            if let Some((question, answered)) = answered {
                let record = connection.dns(&question, answered, time);
                self.told.push_back((time, record));
            }
        } else if first {
            connection.hear(payload, back == 0, network.protocol);
        }
    }

    /// Takes a message of ARP: each is told by itself, an answer as what was asked.
    pub(super) fn arp(&mut self, time: Time, arp: packet::Arp) {
        self.pass(time);
        let (from, to) = if arp.is_reply { (arp.target, arp.sender) } else { (arp.sender, arp.target) };
        let answer = if arp.is_reply { "answered" } else { "unanswered" };
        let record = format!(
            "{{\"packet_record\":\"arp\",\"end\":\"{time}\",\"src\":\"{from}\",\"dst\":\"{to}\",\"answer\":\"{answer}\"}}"
        );
        self.told.push_back((time, record));
    }

    /// The next record, with the instant at which it was written.
    pub(super) fn next(&mut self) -> Option<(Time, String)> {
        self.told.pop_front()
    }

    /// Whether everything was told and taken.
    pub(super) fn is_done(&self) -> bool {
        self.told.is_empty() && self.connections.is_empty()
    }

    /// The capture has ended: everything is told.
    pub(super) fn finish(&mut self, now: Time) {
        let mut rest: Vec<(Time, u64, Key)> =
            self.connections.iter().map(|(key, connection)| (connection.start, connection.number, *key)).collect();
        rest.sort_unstable();
        for (_, _, key) in rest {
            self.tell(key, now);
        }
    }

    /// Tells what has been idle until `now`.
    fn pass(&mut self, now: Time) {
        while self.deadlines.peek().is_some_and(|Reverse((until, _, _))| *until <= now) {
            let Some(Reverse((_, number, key))) = self.deadlines.pop() else { return };
            match self.connections.get(&key) {
                Some(connection) if connection.number != number => {}
                Some(connection) if connection.until > now => self.deadlines.push(Reverse((connection.until, number, key))),
                Some(_) => self.tell(key, now),
                None => {}
            }
        }
    }

    fn tell_first(&mut self, now: Time) {
        while let Some(Reverse((_, number, key))) = self.deadlines.pop() {
            if self.connections.get(&key).is_some_and(|connection| connection.number == number) {
                return self.tell(key, now);
            }
        }
    }

    fn tell(&mut self, key: Key, now: Time) {
        let Some(mut connection) = self.connections.remove(&key) else { return };
        for (_, question) in std::mem::take(&mut connection.questions) {
            self.told.push_back((now, connection.dns(&question, false, connection.end)));
        }
        self.told.push_back((now, connection.record(key.protocol)));
    }

    /// A later piece of a packet has no ports: its bytes go to the connection of the same ends, if there is but one way to say which.
    fn fragment(&mut self, protocol: u8, source: IpAddr, destination: IpAddr, length: u64) {
        let key = Key { protocol, low: (source, 0).min((destination, 0)), high: (source, 0).max((destination, 0)) };
        if let Some(connection) = self.connections.get_mut(&key) {
            let side = &mut connection.sides[usize::from(connection.from.0 != source)];
            (side.bytes, side.packets) = (side.bytes + length, side.packets + 1);
        }
    }

    /// The head of a packet that could not be delivered, as ICMP returns it.
    fn unreachable(&mut self, b: &[u8], at: usize) {
        let Some(network) = packet::network(b, at) else { return };
        let Some((source_port, port)) = packet::transport(b, &network).ports else { return };
        let (from, to) = ((network.source, source_port), (network.destination, port));
        let key = Key { protocol: network.protocol, low: from.min(to), high: from.max(to) };
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.unreachable = true;
        }
    }
}

impl Connection {
    fn new(number: u64, from: (IpAddr, u16), to: (IpAddr, u16), time: Time) -> Connection {
        Connection {
            number,
            from,
            to,
            start: time,
            end: time,
            until: Time::UNKNOWN,
            sides: [Side::default(); 2],
            icmp: None,
            unreachable: false,
            protocol: "",
            name: String::new(),
            method: String::new(),
            target: String::new(),
            agent: String::new(),
            questions: Vec::new(),
        }
    }

    fn is_closed(&self) -> bool {
        let [there, back] = self.sides;
        (there.flags | back.flags) & RST != 0 || there.flags & back.flags & FIN != 0
    }

    fn idle_ns(&self, protocol: u8, flags: u8) -> i64 {
        let [there, back] = self.sides;
        if self.is_closed() || flags & RST != 0 {
            CLOSING_NS
        } else if protocol == 6 && there.packets > 0 && back.flags & SYN != 0 {
            IDLE_TCP_NS
        } else {
            IDLE_NS
        }
    }

    fn hear(&mut self, payload: &[u8], from_client: bool, protocol: u8) {
        if protocol != 6 {
            // A long header of QUIC version 1 or 2 (RFC 9000 §17.2, RFC 9369).
            if payload.len() >= 5 && payload[0] & 0xc0 == 0xc0 && matches!(payload[1..5], [0, 0, 0, 1] | [0x6b, 0x33, 0x43, 0xcf])
            {
                self.protocol = "quic";
            }
            return;
        }
        let Some(spoken) = application::spoken(payload, from_client) else { return };
        if self.protocol.is_empty() || from_client {
            self.protocol = spoken.protocol;
        }
        let keep = |to: &mut String, text: Option<&str>| {
            if let Some(text) = text {
                to.clear();
                to.push_str(&text[..text.floor_char_boundary(1024)]);
            }
        };
        keep(&mut self.name, spoken.name);
        keep(&mut self.method, spoken.method);
        keep(&mut self.target, spoken.target);
        keep(&mut self.agent, spoken.agent);
    }

    /// Notes a DNS message. Gives a question that is told now: the answer has come, or too many wait.
    fn question(&mut self, payload: &[u8]) -> Option<(Question, bool)> {
        let id = u16::from_be_bytes([*payload.first()?, *payload.get(1)?]);
        let question = application::question(payload)?;
        self.protocol = "dns";
        let known = self.questions.iter().position(|(other, q)| *other == id && q.name.eq_ignore_ascii_case(&question.name));
        if question.is_answer {
            known.map(|at| self.questions.remove(at));
            return Some((question, true));
        }
        if known.is_some() {
            return None;
        }
        self.questions.push((id, question));
        (self.questions.len() > QUESTIONS_MAX).then(|| (self.questions.remove(0).1, false))
    }

    fn ends(&self, out: &mut String) {
        let ((from, source_port), (to, port)) = (self.from, self.to);
        write!(out, "\"src\":\"{from}\",\"src_port\":{source_port},\"dst\":\"{to}\",\"dst_port\":{port}")
            .expect("writing to a String does not fail");
    }

    fn dns(&self, question: &Question, answered: bool, time: Time) -> String {
        let mut out = format!("{{\"packet_record\":\"dns\",\"end\":\"{time}\",");
        self.ends(&mut out);
        text(&mut out, "query", &question.name);
        text(&mut out, "query_type", &application::record_type(question.kind));
        let codes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
        if answered {
            text(&mut out, "response_code", codes.get(usize::from(question.code)).unwrap_or(&"OTHER"));
        }
        for (nth, address) in question.addresses.iter().enumerate() {
            let before = if nth == 0 { ",\"addresses\":[" } else { "," };
            write!(out, "{before}\"{address}\"").expect("writing to a String does not fail");
        }
        if !question.addresses.is_empty() {
            out.push(']');
        }
        out.push('}');
        out
    }

    /// What became of it: a TCP connection is answered when the other side has accepted it.
    fn answer(&self, protocol: u8) -> &'static str {
        let [there, back] = self.sides;
        match protocol {
            6 if back.flags & SYN != 0 => "answered",
            6 if back.flags & RST != 0 => "refused",
            6 if there.flags & SYN == 0 && back.packets > 0 => "answered",
            _ if self.unreachable => "refused",
            6 => "unanswered",
            _ if back.packets > 0 => "answered",
            _ => "unanswered",
        }
    }

    fn record(&self, protocol: u8) -> String {
        let mut out = format!("{{\"packet_record\":\"connection\",\"start\":\"{}\",\"end\":\"{}\",", self.start, self.end);
        self.ends(&mut out);
        let [there, back] = self.sides;
        write!(
            out,
            ",\"protocol_number\":{protocol},\"bytes\":{},\"bytes_back\":{},\"packets\":{},\"packets_back\":{},\"duration_ns\":{},\
             \"answer\":\"{}\"",
            there.bytes,
            back.bytes,
            there.packets,
            back.packets,
            self.end.since_ns(self.start),
            self.answer(protocol)
        ).expect("writing to a String does not fail");
        if protocol == 6 {
            write!(out, ",\"tcp_flags\":{}", there.flags | back.flags).expect("writing to a String does not fail");
        }
        if let Some((kind, code)) = self.icmp {
            write!(out, ",\"icmp_type\":{kind},\"icmp_code\":{code}").expect("writing to a String does not fail");
        }
        let tls = self.protocol == "tls";
        let name = if tls { "server_name" } else { "host" };
        for (key, value) in [
            ("application", self.protocol),
            (name, &self.name),
            ("method", &self.method),
            ("target", &self.target),
            ("user_agent", &self.agent),
        ] {
            if !value.is_empty() {
                text(&mut out, key, value);
            }
        }
        out.push('}');
        out
    }
}

/// Services whose packet, seen first, is an answer.
fn is_service(port: u16) -> bool {
    (1..1024).contains(&port) || matches!(port, 1900 | 3478 | 3702 | 5353 | 5355)
}

/// What lies behind the transport header.
fn payload<'b>(b: &'b [u8], network: &packet::Network) -> &'b [u8] {
    let header = match network.protocol {
        6 => b.get(network.start + 12).map_or(20, |offset| usize::from(offset >> 4) * 4),
        17 => 8,
        _ => return &[],
    };
    b.get(network.start + header..network.end).unwrap_or_default()
}

/// Appends a member with a text.
fn text(out: &mut String, key: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    event::json::write_text(value, out);
}
