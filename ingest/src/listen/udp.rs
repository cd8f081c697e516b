//! Datagrams: received in runs, stamped once a run, kernel drops counted from what the kernel says of the socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use event::limits::{BATCH_BYTES_MAX, FRAME_BYTES_MAX};
use event::{Content, Frames, TenantId, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::admit::{Gate, Refusal};
use super::{Admission, ListenError, Shared, count, head};

/// What we ask the kernel to hold for us; it gives at most `net.core.rmem_max` (doubled).
const RECEIVE_BUFFER_BYTES: usize = 32 << 20;
/// Datagrams taken in one run, so that a flood does not keep a run from the log.
const RUN_FRAMES_MAX: usize = 1024;
/// Runs at the end: more than the receive buffer can hold.
const RUNS_AT_STOP_MAX: usize = 1024;
/// Sockets of one place.
const SOCKETS_MAX: usize = 64;
/// The silence after which, at the end, nothing more is taken to come.
const QUIET_TIME: Duration = Duration::from_millis(50);
/// How often the kernel is asked what it dropped.
const DROPS_EVERY: Duration = Duration::from_secs(1);

const _: () = assert!(FRAME_BYTES_MAX > 65_535, "no datagram is ever cut");

/// A place that datagrams come to.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams {
    /// The address to bind.
    pub address: SocketAddr,
    /// How many sockets share the address (SO_REUSEPORT), each with a buffer and a task of its own; the kernel keeps a sender at one of
    /// them. One socket keeps one core busy at most.
    pub sockets: usize,
}

pub(super) fn start(
    datagrams: Datagrams,
    content: Content,
    tenant: TenantId,
    admission: &Admission,
    shared: &Shared,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, ListenError> {
    let fail = |source| ListenError::Bind { transport: "udp", address: datagrams.address, source };
    let mut bound = datagrams.address;
    for _ in 0..datagrams.sockets.clamp(1, SOCKETS_MAX) {
        let socket = bind(bound, datagrams.sockets > 1).map_err(fail)?;
        bound = socket.local_addr().map_err(fail)?;
        let mut receiver =
            Receiver { socket, content, tenant, gate: Gate::new(admission), refused: [0; 2], shared: shared.clone() };
        tasks.spawn(async move {
            if let Err(error) = receiver.run().await {
                tracing::error!(%bound, %error, "a UDP listener has stopped");
            }
        });
    }
    Ok(bound)
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    let effective = socket.recv_buffer_size()?;
    if effective < RECEIVE_BUFFER_BYTES {
        info!(%address, effective, wanted = RECEIVE_BUFFER_BYTES, "the kernel gives a smaller receive buffer; raise net.core.rmem_max");
    }
    metrics::gauge!("mihari_udp_receive_buffer_bytes", "address" => address.to_string()).set(effective as f64);
    UdpSocket::from_std(socket.into())
}

/// One socket, and what goes with it.
struct Receiver {
    socket: UdpSocket,
    content: Content,
    tenant: TenantId,
    gate: Gate,
    /// Datagrams that were not taken since the last report: not allowed, over the quota.
    refused: [u64; 2],
    shared: Shared,
}

impl Receiver {
    async fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 65_536];
        let mut drops = Drops::new(&self.socket)?;
        let mut every = tokio::time::interval(DROPS_EVERY);
        let stop = self.shared.stop.clone();
        loop {
            tokio::select! {
                ready = self.socket.readable() => ready?,
                _ = every.tick() => {
                    self.report(&mut drops).await;
                    continue;
                }
                () = stop.cancelled() => {
                    // What the kernel holds already is taken; a sender that does not stop is not waited for.
                    for _ in 0..RUNS_AT_STOP_MAX {
                        let quiet = tokio::time::timeout(QUIET_TIME, self.socket.readable()).await.is_err();
                        if quiet || self.take(&mut buffer).await.is_none() {
                            break;
                        }
                    }
                    self.report(&mut drops).await;
                    return Ok(());
                }
            }
            if self.take(&mut buffer).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes what is there now and gives it to the log: how many datagrams, or none where the log is closed.
    async fn take(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let mut frames = Frames::default();
        let mut lead = head(self.tenant, Transport::Udp, self.content, &*self.shared.clock, None);
        let mut taken = 0;
        while taken < RUN_FRAMES_MAX && frames.byte_len() < BATCH_BYTES_MAX / 2 {
            match self.socket.try_recv_from(buffer) {
                Ok((len, source)) => {
                    taken += 1;
                    match self.gate.admit(source.ip(), lead.received) {
                        Ok(()) => {
                            lead.source = Some(source);
                            frames.push(lead, &buffer[..len]);
                        }
                        Err(Refusal::NotAllowed) => self.refused[0] += 1,
                        Err(Refusal::OverQuota) => self.refused[1] += 1,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // An ICMP error of some sender's host; the socket goes on.
                    warn!(%error, "failed to receive a datagram");
                    break;
                }
            }
        }
        if !frames.is_empty() {
            count(Transport::Udp, frames.len(), frames.byte_len());
            self.shared.appender.append(frames).await.ok()?;
        }
        Some(taken)
    }

    /// Writes down what was not taken.
    async fn report(&mut self, drops: &mut Drops) {
        let [not_allowed, over_quota] = std::mem::take(&mut self.refused);
        for (reason, new) in [("kernel_drop", drops.since_last()), ("not_allowed", not_allowed), ("over_quota", over_quota)] {
            if new == 0 {
                continue;
            }
            metrics::counter!("mihari_lost_total", "reason" => reason).increment(new);
            if self.shared.appender.lost(self.tenant, Transport::Udp, reason, new).await.is_err() {
                warn!(reason, new, "datagrams were lost, and the journal is closed");
            }
        }
    }
}

/// The drop counter of one socket, from `/proc/net/udp`: unlike the counter that comes with a datagram (SO_RXQ_OVFL) it is
/// exact without a further datagram.
struct Drops {
    inode: String,
    last: u64,
}

impl Drops {
    fn new(socket: &UdpSocket) -> io::Result<Drops> {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()))?;
        let link = link.to_string_lossy();
        let inode = link.strip_prefix("socket:[").and_then(|l| l.strip_suffix(']')).unwrap_or("").to_owned();
        Ok(Drops { inode, last: 0 })
    }

    /// Datagrams dropped since the last call.
    fn since_last(&mut self) -> u64 {
        let total = ["/proc/net/udp", "/proc/net/udp6"].iter().find_map(|path| {
            let table = std::fs::read_to_string(path).ok()?;
            drops_of(&table, &self.inode)
        });
        let new = total.map_or(0, |total| total.saturating_sub(self.last));
        self.last += new;
        new
    }
}

/// The last column (`drops`) of the row whose tenth column is `inode`.
fn drops_of(table: &str, inode: &str) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        (columns.nth(9)? == inode).then(|| columns.next_back()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_is_found_by_its_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
              403: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0000000000000000 0\n\
              404: 0100007F:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0000000000000000 77\n";
        assert_eq!(drops_of(table, "12346"), Some(77));
        assert_eq!(drops_of(table, "12345"), Some(0));
        assert_eq!(drops_of(table, "1"), None);
    }
}
