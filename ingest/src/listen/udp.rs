//! Datagrams: received in runs, stamped once a run, kernel drops counted from what the kernel says of the socket.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::limits::{BATCH_BYTES_MAX, FRAME_BYTES_MAX};
use event::{Content, Frames, TenantId, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::admit::Gate;
use super::{Admission, ListenError, Shared, count, head, receive};

/// What we ask the kernel to hold for a socket where nothing else is said: 0.8 s of 100,000 short datagrams a second, each of which costs
/// the kernel about 770 bytes, of the doubled size.
pub const RECEIVE_BUFFER_BYTES: usize = 32 << 20;
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
    /// How many sockets share the address (SO_REUSEPORT), each with a buffer and a task of its own; the kernel keeps a port of a sender at
    /// one of them. One socket keeps one core busy at most.
    pub sockets: usize,
    /// Bytes that the kernel is asked to hold for each socket; it gives twice as many, and where the process has no right to more
    /// (CAP_NET_ADMIN), at most twice `net.core.rmem_max`.
    pub receive_buffer_bytes: usize,
}

impl Datagrams {
    /// One socket with every default.
    pub fn at(address: SocketAddr) -> Datagrams {
        Datagrams { address, sockets: 1, receive_buffer_bytes: RECEIVE_BUFFER_BYTES }
    }
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
    // One for all sockets: the kernel spreads the ports of one sender over them.
    let gate = Arc::new(Mutex::new(Gate::new(admission)));
    for _ in 0..datagrams.sockets.clamp(1, SOCKETS_MAX) {
        let socket = bind(bound, &datagrams).map_err(fail)?;
        bound = socket.local_addr().map_err(fail)?;
        let mut receiver = Receiver {
            socket,
            content,
            tenant,
            listener: if content == Content::Flow { bound.port() } else { 0 },
            gate: gate.clone(),
            drops: Drops::default(),
            unwritten: BTreeMap::new(),
            shared: shared.clone(),
        };
        tasks.spawn(async move {
            if let Err(error) = receiver.run().await {
                tracing::error!(%bound, %error, "a UDP listener has stopped");
            }
        });
    }
    Ok(bound)
}

fn bind(address: SocketAddr, datagrams: &Datagrams) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(datagrams.sockets > 1)?;
    let wanted = datagrams.receive_buffer_bytes;
    // A process without the right to more is given what everybody may have.
    if receive::force_receive_buffer(socket.as_fd(), wanted).is_err() {
        socket.set_recv_buffer_size(wanted)?;
    }
    receive::tell_drops(socket.as_fd())?;
    socket.bind(&address.into())?;
    let effective = socket.recv_buffer_size()?;
    if effective < wanted {
        warn!(%address, effective, wanted, "the kernel gives a smaller receive buffer; raise net.core.rmem_max");
    } else {
        info!(%address, effective, "receive buffer");
    }
    metrics::gauge!("mihari_udp_receive_buffer_bytes", "address" => address.to_string()).set(effective as f64);
    UdpSocket::from_std(socket.into())
}

/// The reason of what the kernel dropped, which never came to us: all others are of datagrams that came and were refused.
pub const KERNEL_DROP: &str = "kernel_drop";
/// Senders whose refused datagrams are told apart between two reports; those of further ones are told together.
const REFUSED_SENDERS_MAX: usize = 1024;

/// Datagrams that were not taken, by tenant, sender and reason.
type Unwritten = BTreeMap<(TenantId, Option<IpAddr>, &'static str), u64>;

/// One socket, and what goes with it.
struct Receiver {
    socket: UdpSocket,
    content: Content,
    tenant: TenantId,
    /// As in [`event::FrameHead`].
    listener: u16,
    gate: Arc<Mutex<Gate>>,
    drops: Drops,
    /// Datagrams that were not taken and that the log does not know of yet: whose, of whom, why, and how many.
    unwritten: Unwritten,
    shared: Shared,
}

impl Receiver {
    async fn run(&mut self) -> io::Result<()> {
        let mut room = receive::Datagrams::new();
        let mut every = tokio::time::interval(DROPS_EVERY);
        let stop = self.shared.stop.clone();
        loop {
            tokio::select! {
                ready = self.socket.readable() => ready?,
                _ = every.tick() => {
                    self.report().await;
                    continue;
                }
                () = stop.cancelled() => {
                    // What the kernel holds already is taken; a sender that does not stop is not waited for.
                    for _ in 0..RUNS_AT_STOP_MAX {
                        let quiet = tokio::time::timeout(QUIET_TIME, self.socket.readable()).await.is_err();
                        if quiet || self.take(&mut room).await.is_none() {
                            break;
                        }
                    }
                    self.report().await;
                    return Ok(());
                }
            }
            if self.take(&mut room).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes what is there now and gives it to the log: how many datagrams, or none where the log is closed.
    async fn take(&mut self, room: &mut receive::Datagrams) -> Option<usize> {
        let mut frames = Frames::default();
        let mut lead = head(self.tenant, Transport::Udp, self.content, &*self.shared.clock, None);
        lead.listener = self.listener;
        let mut taken = 0;
        while taken < RUN_FRAMES_MAX && frames.byte_len() < BATCH_BYTES_MAX / 2 {
            let got = match self.socket.try_io(Interest::READABLE, || room.receive(self.socket.as_fd())) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // An ICMP error of some sender's host; the socket goes on.
                    warn!(%error, "failed to receive datagrams");
                    break;
                }
            };
            taken += got;
            let mut gate = self.gate.lock().expect("no code panics under this lock");
            for (source, bytes) in room.iter() {
                let tenant = source.and_then(|source| gate.tenant(source.ip())).unwrap_or(self.tenant);
                match source.map_or(Ok(()), |source| gate.admit(source.ip(), lead.received)) {
                    Ok(()) => {
                        (lead.source, lead.tenant) = (source, tenant);
                        frames.push(lead, bytes);
                    }
                    Err(refusal) => {
                        let sender = source.map(|source| source.ip().to_canonical());
                        refused(&mut self.unwritten, tenant, sender, refusal.name());
                    }
                }
            }
            drop(gate);
            if let Some(told) = room.dropped() {
                self.dropped(told);
            }
        }
        if !frames.is_empty() {
            count(Transport::Udp, frames.len(), frames.byte_len());
            self.shared.appender.append(frames).await.ok()?;
        }
        Some(taken)
    }

    /// Counts what the kernel has dropped, by its count.
    fn dropped(&mut self, told: u32) {
        let new = self.drops.new_of(told);
        if new > 0 {
            // At once: who watches the metric need not wait for the record.
            metrics::counter!("mihari_kernel_drops_total").increment(new);
            *self.unwritten.entry((self.tenant, None, KERNEL_DROP)).or_default() += new;
        }
    }

    /// Writes down what was not taken.
    async fn report(&mut self) {
        // What comes with a datagram tells of the drops before it; the socket itself tells also of those that nothing followed.
        match receive::dropped(self.socket.as_fd()) {
            Ok(told) => self.dropped(told),
            Err(error) => warn!(%error, "the kernel does not tell what it dropped"),
        }
        if self.unwritten.is_empty() {
            return;
        }
        let losses = std::mem::take(&mut self.unwritten);
        let mut of_reasons = BTreeMap::new();
        let mut of_tenants = BTreeMap::<TenantId, Vec<_>>::new();
        for ((tenant, sender, reason), new) in losses {
            *of_reasons.entry(reason).or_default() += new;
            of_tenants.entry(tenant).or_default().push((sender, reason, new));
        }
        let mut told = Ok(());
        for (tenant, losses) in of_tenants {
            told = told.and(self.shared.appender.lost(tenant, Transport::Udp, losses).await);
        }
        for (reason, new) in of_reasons {
            metrics::counter!("mihari_lost_total", "reason" => reason).increment(new);
            if told.is_err() {
                warn!(reason, new, "datagrams were lost, and the journal is closed");
            }
        }
    }
}

/// Counts a datagram that was refused.
fn refused(unwritten: &mut Unwritten, tenant: TenantId, sender: Option<IpAddr>, reason: &'static str) {
    let is_told = unwritten.len() < REFUSED_SENDERS_MAX || unwritten.contains_key(&(tenant, sender, reason));
    *unwritten.entry((tenant, sender.filter(|_| is_told), reason)).or_default() += 1;
}

/// The kernel's count of drops, followed over its end at 2³².
#[derive(Debug, Default)]
struct Drops {
    last: u32,
}

impl Drops {
    /// How many were dropped since the newest count seen. A datagram's count is older than the socket's own where that was asked for while
    /// the datagram waited.
    fn new_of(&mut self, told: u32) -> u64 {
        let new = told.wrapping_sub(self.last);
        if new > u32::MAX / 2 {
            return 0;
        }
        self.last = told;
        u64::from(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_datagrams_of_many_senders_stay_bounded_and_counted() {
        let (mut unwritten, tenant) = (BTreeMap::new(), TenantId(1));
        for n in 0..5000_u32 {
            refused(&mut unwritten, tenant, Some(IpAddr::from(n.to_be_bytes())), "not_allowed");
            refused(&mut unwritten, tenant, Some(IpAddr::from([192, 0, 2, 1])), "over_quota");
        }
        assert_eq!(unwritten.len(), REFUSED_SENDERS_MAX + 1);
        assert_eq!(unwritten[&(tenant, Some(IpAddr::from([192, 0, 2, 1])), "over_quota")], 5000);
        assert_eq!(unwritten.values().sum::<u64>(), 10_000);
    }

    #[test]
    fn drops_are_counted_once_whichever_count_tells_of_them() {
        let mut drops = Drops::default();
        let told = [0, 5, 5, 3, 9, 5, 9, u32::MAX / 2, u32::MAX - 1, 1, u32::MAX, 4];
        let new: Vec<u64> = told.iter().map(|told| drops.new_of(*told)).collect();
        let half = u64::from(u32::MAX / 2);
        assert_eq!(new, [0, 5, 0, 0, 4, 0, 0, half - 9, half, 3, 0, 3]);
    }
}
