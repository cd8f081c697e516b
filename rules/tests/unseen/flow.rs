//! A connection, and the records by which five kinds of sensors tell of it.

use std::net::{IpAddr, Ipv4Addr};

use event::{FieldId, RowBuilder, Time, Value};

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
/// 06:00 UTC on a Wednesday.
const START_NS: i64 = 1_775_023_200_000_000_000;

/// Numbers by chance that are the same each time (SplitMix64; Steele, Lea, Flood 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x2545_f491))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low)
    }

    pub(crate) fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.share() * (high - low)
    }

    /// Between two numbers of different sizes: as likely in each order of magnitude.
    pub(crate) fn scale(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.share())
    }

    /// Until the next event of a Poisson process.
    pub(crate) fn wait(&mut self, mean: f64) -> f64 {
        -(1.0 - self.share()).ln() * mean
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.number() as usize % all.len()]
    }

    pub(crate) fn outside(&mut self) -> Ipv4Addr {
        let first = self.pick(&[198, 203, 20, 23, 45, 52, 104, 151]);
        Ipv4Addr::new(first, self.range(1, 120) as u8, self.range(0, 250) as u8, self.range(1, 250) as u8)
    }
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Answered,
    Silent,
    Refused,
    /// Answered, and nothing was said.
    Empty,
    /// It did not begin with SYN, and was reset.
    Reset,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Seconds after the start.
    pub(crate) at: f64,
    pub(crate) length: f64,
    pub(crate) from: Ipv4Addr,
    pub(crate) source_port: u16,
    pub(crate) to: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) transport: u8,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) end: End,
}

impl Flow {
    /// A connection that was answered, with a short exchange.
    pub(crate) fn new(dice: &mut Dice, at: f64, from: Ipv4Addr, to: Ipv4Addr, transport: u8, port: u16) -> Flow {
        let source_port = dice.range(32_768, 61_000) as u16;
        Flow { at, length: 0.2, from, source_port, to, port, transport, sent: 600, received: 1500, end: End::Answered }
    }

    pub(crate) fn bytes(self, sent: u64, received: u64) -> Flow {
        Flow { sent, received, ..self }
    }

    pub(crate) fn lasting(self, length: f64) -> Flow {
        Flow { length, ..self }
    }

    pub(crate) fn ending(self, end: End) -> Flow {
        let sent = if self.transport == TCP { 60 } else { self.sent };
        match end {
            End::Answered => self,
            End::Silent => Flow { end, length: 0.0, sent, received: 0, ..self },
            End::Refused => Flow { end, length: 0.001, sent, received: if self.transport == TCP { 40 } else { 0 }, ..self },
            End::Empty => Flow { end, length: 0.01, sent: 132, received: 88, ..self },
            End::Reset => Flow { end, length: 0.001, sent: 40, received: 40, ..self },
        }
    }
}

/// Which sensor tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Zeek's `conn.log`: both ways, with a state.
    Zeek,
    /// Argus: the sum of both ways, with another state.
    Argus,
    /// Suricata's flow events: both ways, with the flags of each.
    Eve,
    /// NetFlow: a record of each way, with TCP's flags.
    Flags,
    /// NetFlow without flags.
    Bare,
}

impl Form {
    pub(crate) const ALL: [Form; 5] = [Form::Zeek, Form::Argus, Form::Eve, Form::Flags, Form::Bare];
}

pub(crate) struct Record {
    pub(crate) received_ns: i64,
    flow: Flow,
    form: Form,
    back: bool,
}

fn ns(seconds: f64) -> i64 {
    START_NS + (seconds * 1e9) as i64
}

fn packets(bytes: u64, end: End) -> u64 {
    match (bytes, end) {
        (0, _) => 0,
        (_, End::Empty) => bytes / 44,
        _ => 1 + bytes / 1400,
    }
}

impl Flow {
    pub(crate) fn records(&self, form: Form) -> Vec<Record> {
        let received_ns = ns(self.at + self.length) + 900_000_000;
        let record = |back| Record { received_ns, flow: *self, form, back };
        let two = matches!(form, Form::Flags | Form::Bare) && self.received > 0;
        if two { vec![record(false), record(true)] } else { vec![record(false)] }
    }
}

impl Record {
    pub(crate) fn fill(&self, row: &mut RowBuilder<'_>) {
        let Record { flow: f, form, back, .. } = *self;
        let (begin, end) = (Time::from_unix_ns(ns(f.at)), Time::from_unix_ns(ns(f.at + f.length)));
        let ((from, from_port), (to, to_port)) =
            if back { ((f.to, f.port), (f.from, f.source_port)) } else { ((f.from, f.source_port), (f.to, f.port)) };
        row.ip(FieldId::SOURCE_IP, IpAddr::V4(from));
        row.ip(FieldId::DESTINATION_IP, IpAddr::V4(to));
        let mut ports = |source: u16, destination: u16| {
            row.int(FieldId::SOURCE_PORT, source.into());
            row.int(FieldId::DESTINATION_PORT, destination.into());
        };
        // Of ICMP each says the message's kind in a way of its own.
        match (f.transport, form) {
            (ICMP, Form::Zeek) => ports(8, 0),
            (ICMP, Form::Flags | Form::Bare) => ports(0, if back { 0 } else { 0x0800 }),
            (ICMP, _) => {}
            _ => ports(from_port, to_port),
        }
        let name = match f.transport {
            ICMP => "icmp",
            TCP => "tcp",
            _ => "udp",
        };
        let mut number = |field: FieldId, n: u64| row.int(field, n as i64);
        match form {
            Form::Zeek | Form::Eve => {
                number(FieldId::SOURCE_BYTES, f.sent);
                number(FieldId::DESTINATION_BYTES, f.received);
                number(FieldId::SOURCE_PACKETS, packets(f.sent, f.end));
                number(FieldId::DESTINATION_PACKETS, packets(f.received, f.end));
            }
            Form::Argus => {
                number(FieldId::known("network.bytes"), f.sent + f.received);
                number(FieldId::SOURCE_BYTES, f.sent);
                number(FieldId::known("network.packets"), packets(f.sent, f.end) + packets(f.received, f.end));
            }
            Form::Flags | Form::Bare => {
                let bytes = if back { f.received } else { f.sent };
                number(FieldId::SOURCE_BYTES, bytes);
                number(FieldId::SOURCE_PACKETS, packets(bytes, f.end));
                number(FieldId::NETWORK_IANA_NUMBER, f.transport.into());
            }
        }
        if !matches!(form, Form::Flags | Form::Bare) {
            row.text(FieldId::known("network.transport"), name);
        }
        let pick = |answered, silent, refused| match f.end {
            End::Answered | End::Empty => answered,
            End::Silent => silent,
            End::Refused | End::Reset => refused,
        };
        match form {
            Form::Zeek => {
                row.time(begin);
                row.int(FieldId::known("event.duration"), (f.length * 1e9) as i64);
                let state = match (f.transport, f.end) {
                    (ICMP, _) => "OTH",
                    (_, End::Reset) => "RSTR",
                    (_, End::Empty) => "RSTO",
                    _ => pick("SF", "S0", "REJ"),
                };
                if f.transport == TCP {
                    let history = if f.end == End::Reset { "Fr" } else { pick("ShADadFf", "S", "Sr") };
                    row.text(FieldId::known("zeek.connection.history"), if f.end == End::Empty { "ShAR" } else { history });
                }
                row.text(FieldId::known("zeek.connection.conn_state"), state);
            }
            Form::Argus => {
                row.time(begin);
                row.value(FieldId::EVENT_START, Value::Time(begin));
                row.int(FieldId::known("event.duration"), (f.length * 1e9) as i64);
                let state = match f.transport {
                    TCP if f.end == End::Reset => "FPU_RA",
                    TCP if f.end == End::Empty => "SR_SA",
                    TCP => pick("FSPA_FSPA", "S_", "S_RA"),
                    UDP => pick("CON", "INT", "URP"),
                    _ => "ECO",
                };
                row.text(FieldId::known("argus.state"), state);
            }
            Form::Eve => {
                row.time(end);
                row.text(FieldId::known("event.action"), "flow");
                row.value(FieldId::known("suricata.eve.flow.start"), Value::Time(begin));
                row.value(FieldId::known("suricata.eve.flow.end"), Value::Time(end));
                if f.transport == TCP {
                    row.text(FieldId::known("suricata.eve.tcp.tcp_flags_tc"), pick("1b", "00", "14"));
                }
                if f.transport == ICMP {
                    row.int(FieldId::known("icmp.type"), 8);
                }
            }
            Form::Flags | Form::Bare => {
                row.time(end);
                row.value(FieldId::EVENT_START, Value::Time(begin));
                row.value(FieldId::EVENT_END, Value::Time(end));
                if form == Form::Flags && f.transport == TCP {
                    let flags = match (f.end, back) {
                        (End::Answered, _) => 0x1b,
                        (End::Empty, false) => 0x16,
                        (End::Empty, true) => 0x12,
                        (End::Reset, false) => 0x29,
                        (_, false) => 0x02,
                        (_, true) => 0x14,
                    };
                    row.int(FieldId::FLOW_TCP_FLAGS, flags);
                }
            }
        }
    }
}
