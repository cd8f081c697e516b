//! Captures off line: text, JSON lines, datagrams as JSON lines, pcap and pcapng; each plain, gzip or zstd. Of packets, those that carry
//! records (syslog, flow export) are read as such; all others are traffic, which a flow meter tells of. What a file is is told by
//! its first bytes, not by its name.

mod application;
mod meter;
mod pcap;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use event::limits::FRAME_BYTES_MAX;
use event::{Content, FrameHead, Frames, Time, Transport};
use serde::Deserialize;

use meter::Meter;

use crate::decode::flow::is_flow;
use crate::listen::Framer;
use crate::table_head::TableHead;

/// A capture could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file could not be opened or read.
    #[error("failed to read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is packed in a way that is not read.
    #[error("{path} is packed with {packing}; gzip and zstd are read")]
    Packed {
        /// The file.
        path: PathBuf,
        /// What it is packed with.
        packing: Packing,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a file is packed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// bzip2; not read.
    Bzip2,
    /// xz; not read.
    Xz,
}

impl Packing {
    /// By the bytes that a file begins with; none where it is not packed.
    pub(crate) fn of(first: &[u8]) -> Option<Packing> {
        match first {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..] => Some(Packing::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
            _ => None,
        }
    }

    /// What `input` holds, unpacked; none where this packing is not read.
    pub(crate) fn unpack(self, input: Box<dyn BufRead + Send>) -> io::Result<Option<Box<dyn BufRead + Send>>> {
        let unpacked: Box<dyn Read + Send> = match self {
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Packing::Zstd => Box::new(zstd::Decoder::with_buffer(input)?),
            Packing::Bzip2 | Packing::Xz => return Ok(None),
        };
        Ok(Some(Box::new(BufReader::with_capacity(CHUNK_BYTES, unpacked))))
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
            Packing::Bzip2 => "bzip2",
            Packing::Xz => "xz",
        })
    }
}

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A capture that is being read.
pub struct Capture {
    path: PathBuf,
    kind: Kind,
    input: Box<dyn BufRead + Send>,
    ended: bool,
}

enum Kind {
    Lines(Framer, TableHead),
    Datagrams,
    Packets(Box<Traffic>),
}

/// Packets, and the connections that they are parts of.
struct Traffic {
    packets: pcap::Packets,
    meter: Meter,
    clock: Time,
}

#[derive(Deserialize)]
struct Datagram {
    exporter: Option<IpAddr>,
    #[serde(default)]
    port: u16,
    hex: String,
    #[serde(default, alias = "received", alias = "ts")]
    time: Option<Time>,
}

impl Capture {
    /// Opens the file at `path`; `-` is standard input.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(path: &Path) -> Result<Capture, CaptureError> {
        let fail = |source| CaptureError::Io { path: path.to_owned(), source };
        let raw: Box<dyn Read + Send> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(fail)?) };
        let mut input: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(CHUNK_BYTES, raw));
        if let Some(packing) = Packing::of(input.fill_buf().map_err(fail)?) {
            let unpacked = packing.unpack(input).map_err(fail)?;
            input = unpacked.ok_or_else(|| CaptureError::Packed { path: path.to_owned(), packing })?;
        }
        let head = input.fill_buf().map_err(fail)?;
        let kind = if let Some(packets) = pcap::Packets::recognise(head) {
            Kind::Packets(Box::new(Traffic { packets, meter: Meter::default(), clock: Time::UNKNOWN }))
        } else if is_datagram_line(head) {
            Kind::Datagrams
        } else {
            Kind::Lines(Framer::lines(), TableHead::default())
        };
        Ok(Capture { path: path.to_owned(), kind, input, ended: false })
    }

    /// Appends frames to `out` until it holds `bytes_max` bytes or the capture ends. Gives how many were appended; 0 at the end.
    /// Receive times are the capture's own, or [`Time::UNKNOWN`].
    ///
    /// # Errors
    /// Where the file cannot be read on, or is damaged; what came before was given.
    pub fn read(&mut self, out: &mut Frames, bytes_max: usize) -> Result<usize, CaptureError> {
        let before = out.len();
        while !self.ended && out.byte_len() < bytes_max {
            match &mut self.kind {
                Kind::Lines(framer, lead) => {
                    let chunk = self.input.fill_buf().map_err(|source| CaptureError::Io { path: self.path.clone(), source })?;
                    let length = chunk.len();
                    let mut emit = |line: &[u8], truncated| {
                        if let Some(record) = lead.record(line) {
                            out.push(FrameHead { truncated, ..head(Content::Text) }, record);
                        }
                    };
                    if length == 0 {
                        framer.finish(&mut emit);
                        self.ended = true;
                    } else {
                        framer.push(chunk, &mut emit);
                        self.input.consume(length);
                    }
                }
                Kind::Datagrams => {
                    let mut line = String::new();
                    let limit = 3 * FRAME_BYTES_MAX as u64;
                    let got = self.input.by_ref().take(limit).read_line(&mut line);
                    if got.map_err(|source| CaptureError::Io { path: self.path.clone(), source })? == 0 {
                        self.ended = true;
                    } else if !line.trim().is_empty() {
                        let damaged = |reason: String| CaptureError::Damaged { path: self.path.clone(), reason };
                        let datagram: Datagram = serde_json::from_str(&line).map_err(|e| damaged(e.to_string()))?;
                        let bytes = unhex(&datagram.hex).ok_or_else(|| damaged("a datagram's hex is none".to_owned()))?;
                        let source = datagram.exporter.map(|ip| SocketAddr::new(ip, datagram.port));
                        let received = datagram.time.unwrap_or(Time::UNKNOWN);
                        let content = Content::Flow;
                        out.push(FrameHead { received, source, transport: Transport::Udp, ..head(content) }, &bytes);
                    }
                }
                Kind::Packets(traffic) => {
                    if let Some((written, record)) = traffic.meter.next() {
                        out.push(FrameHead { received: written, ..head(Content::Text) }, record.as_bytes());
                        continue;
                    }
                    match traffic.packets.next(&mut self.input) {
                        Ok(Some(packet)) => {
                            // Captures of several interfaces are a little out of order; receipt never goes back.
                            traffic.clock = traffic.clock.max(packet.time);
                            let received = traffic.clock;
                            match pcap::datagram(&packet).filter(is_record) {
                                Some(datagram) => {
                                    let content = if is_flow(datagram.payload) { Content::Flow } else { Content::Text };
                                    let source = Some(datagram.source);
                                    let listener = if content == Content::Flow { datagram.port } else { 0 };
                                    let lead =
                                        FrameHead { received, source, listener, transport: Transport::Udp, ..head(content) };
                                    out.push(lead, datagram.payload);
                                }
                                None => {
                                    if let Some(network) = packet.network {
                                        traffic.meter.take(packet.time, packet.bytes, network);
                                    } else if let Some(arp) = crate::packet::arp(packet.bytes) {
                                        traffic.meter.arp(packet.time, arp);
                                    }
                                }
                            }
                        }
                        Ok(None) => {
                            traffic.meter.finish(traffic.clock);
                            self.ended = traffic.meter.is_done();
                        }
                        Err(error) => {
                            self.ended = true;
                            return Err(CaptureError::Damaged { path: self.path.clone(), reason: error });
                        }
                    }
                }
            }
        }
        Ok(out.len() - before)
    }
}

/// Whether a datagram carries a record of a device: syslog by its port or its priority, flow export by its head. What is sent to a port of
/// another well-known service is traffic, whatever it looks like.
fn is_record(datagram: &pcap::Datagram<'_>) -> bool {
    const SYSLOG: [u16; 6] = [514, 601, 1514, 5140, 5514, 6514];
    const TRAFFIC: [u16; 14] = [53, 67, 68, 69, 123, 137, 138, 161, 389, 443, 500, 1900, 4500, 5353];
    let b = datagram.payload;
    let priority = b.first() == Some(&b'<') && b.iter().skip(1).take(4).position(|b| *b == b'>').is_some_and(|at| at > 0);
    let other = TRAFFIC.contains(&datagram.port) || TRAFFIC.contains(&datagram.source.port());
    SYSLOG.contains(&datagram.port) || !other && (is_flow(b) || priority)
}

fn head(content: Content) -> FrameHead {
    FrameHead::new(Transport::File, content)
}

/// Whether a file begins with an object that has a member `hex`.
fn is_datagram_line(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\n').next().unwrap_or(head);
    line.starts_with(b"{")
        && memchr::memmem::find(line, b"\"hex\"").is_some()
        && memchr::memmem::find(line, b"\"exporter\"").is_some()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes.chunks(2).map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}
