//! Records over connections: syslog (RFC 6587, RFC 5425), RELP, IPFIX (RFC 7011 §10.4). What cannot be given to the log is not read: the
//! sender's window closes.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{Content, FrameHead, Frames, TenantId, Transport};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::admit::Gate;
use super::ipfix::IpfixFramer;
use super::join::{Joiner, Multiline, pause};
use super::relp::{self, Command, RelpFramer};
use super::tls::{Tls, TlsError, TlsFiles};
use super::{Admission, Framer, ListenError, Shared, count, count_skipped, head, proxy};

/// Connections at once; a further one waits in the kernel until another ends.
const CONNECTIONS_MAX: usize = 1024;
/// Connections of one address at once; a further one is closed (counted). A load balancer that speaks the PROXY protocol is exempt.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 128;
/// How long to wait after an accept that failed: without file descriptors the next one would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a sender may take for the PROXY header and the TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// After this long without a byte the kernel asks whether the sender's host is still there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// At a stop: the silence after which a sender is taken to have nothing more, and the time after which it is not waited for.
const QUIET_TIME: Duration = Duration::from_millis(200);
const STOP_TIME: Duration = Duration::from_secs(5);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// What the kernel may hold of one connection: what a power failure can lose of it.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;
/// The longest pause that a quota imposes at once.
const QUOTA_PAUSE_MAX: Duration = Duration::from_secs(10);

/// What a connection speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamProtocol {
    /// Syslog, framing detected for each message.
    Syslog,
    /// RELP: each record acknowledged once it is on disk.
    Relp,
    /// IPFIX messages.
    Ipfix,
}

/// A place that connections come to.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The address to bind.
    pub address: SocketAddr,
    /// What the connections speak.
    pub protocol: StreamProtocol,
    /// Certificates, where connections are under TLS.
    pub tls: Option<TlsFiles>,
    /// Whether each connection begins with a PROXY header (version 1 or 2). Only behind a load balancer: a sender could forge it.
    pub proxy_protocol: bool,
    /// How lines become records, where records of syslog have several.
    pub multiline: Option<Multiline>,
}

struct Listener {
    stream: Stream,
    tls: Option<Tls>,
    tenant: TenantId,
    /// The port that it is bound to.
    port: u16,
    gate: Mutex<Gate>,
    shared: Shared,
}

pub(super) fn start(
    stream: &Stream,
    tenant: TenantId,
    admission: &Admission,
    shared: Shared,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, ListenError> {
    let fail = |source| ListenError::Bind { transport: "tcp", address: stream.address, source };
    let tls = stream
        .tls
        .as_ref()
        .map(Tls::open)
        .transpose()
        .map_err(|source: TlsError| ListenError::Tls { address: stream.address, source })?;
    let socket = bind(stream.address).map_err(fail)?;
    let bound = socket.local_addr().map_err(fail)?;
    if let Some(tls) = tls.clone() {
        tasks.spawn(tls.watch(shared.stop.clone()));
    }
    let gate = Mutex::new(Gate::new(admission));
    tasks.spawn(accept(socket, Arc::new(Listener { stream: stream.clone(), tls, tenant, port: bound.port(), gate, shared })));
    Ok(bound)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_TIME))?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

/// How many connections each address has; a place is given back when it is dropped.
type Places = Arc<Mutex<HashMap<IpAddr, usize>>>;

struct Place(Places, IpAddr);

impl Place {
    fn take(places: &Places, ip: IpAddr, max: usize) -> Option<Place> {
        let mut taken = places.lock().expect("no code panics under this lock");
        let count = taken.entry(ip).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Place(places.clone(), ip))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.lock().expect("no code panics under this lock");
        if let Some(count) = taken.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.1);
            }
        }
    }
}

async fn accept(socket: TcpListener, listener: Arc<Listener>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let places = Places::default();
    let stop = listener.shared.stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection ended badly");
                }
            }
            permit = permits.clone().acquire_owned() => {
                let Ok(permit) = permit else { break };
                tokio::select! {
                    () = stop.cancelled() => break,
                    accepted = socket.accept() => match accepted {
                        Ok((stream, peer)) => {
                            let max = if listener.stream.proxy_protocol { usize::MAX } else { CONNECTIONS_PER_ADDRESS_MAX };
                            let Some(place) = Place::take(&places, peer.ip(), max) else {
                                refuse(peer, "too_many_of_address");
                                continue;
                            };
                            let listener = listener.clone();
                            connections.spawn(async move {
                                metrics::gauge!("mihari_connections").increment(1.0);
                                serve(stream, peer, &listener).await;
                                metrics::gauge!("mihari_connections").decrement(1.0);
                                drop((permit, place));
                            });
                        }
                        Err(error) => {
                            // Out of file descriptors, or the peer has gone already: others must be able to go on.
                            warn!(%error, "failed to accept a connection");
                            tokio::select! {
                                () = stop.cancelled() => break,
                                () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                            }
                        }
                    }
                }
            }
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

fn refuse(peer: SocketAddr, reason: &'static str) {
    debug!(%peer, reason, "a connection was refused");
    metrics::counter!("mihari_connections_refused_total", "reason" => reason).increment(1);
}

/// One connection, from its first byte: PROXY header, allow list, TLS, records.
async fn serve(mut stream: TcpStream, peer: SocketAddr, listener: &Listener) {
    let handshake = async {
        let mut source = peer;
        if listener.stream.proxy_protocol {
            match proxy::header(&mut stream).await {
                Ok(told) => source = told.unwrap_or(peer),
                Err(error) => {
                    debug!(%peer, %error, "a connection was refused");
                    return Err("proxy_header");
                }
            }
        }
        if !listener.gate.lock().expect("no code panics under this lock").allows(source.ip()) {
            return Err("not_allowed");
        }
        let Some(tls) = &listener.tls else { return Ok((source, None)) };
        match tls.acceptor().accept(&mut stream).await {
            Ok(under_tls) => Ok((source, Some(under_tls))),
            Err(error) => {
                debug!(%peer, %error, "a TLS handshake failed");
                Err("tls_handshake")
            }
        }
    };
    let ready = tokio::select! {
        () = listener.shared.stop.cancelled() => return,
        ready = tokio::time::timeout(HANDSHAKE_TIME, handshake) => ready,
    };
    match ready {
        Err(_) => refuse(peer, "handshake_timeout"),
        Ok(Err(reason)) => refuse(peer, reason),
        Ok(Ok((source, Some(under_tls)))) => read(under_tls, source, Transport::Tls, listener).await,
        Ok(Ok((source, None))) => read(stream, source, Transport::Tcp, listener).await,
    }
}

/// What splits the bytes of a connection.
enum Splitter {
    Syslog(Framer, Joiner),
    Relp(RelpFramer),
    Ipfix(IpfixFramer),
}

/// What came out of one read.
#[derive(Default)]
struct Taken {
    frames: Frames,
    /// What is answered once the frames are on disk.
    answer: Vec<u8>,
    ended: bool,
    /// Why nothing more is taken: what follows the frames is not what the connection should carry.
    refused: Option<&'static str>,
}

impl Splitter {
    fn new(stream: &Stream) -> Splitter {
        match stream.protocol {
            StreamProtocol::Syslog => Splitter::Syslog(Framer::default(), Joiner::new(stream.multiline.clone())),
            StreamProtocol::Relp => Splitter::Relp(RelpFramer::default()),
            StreamProtocol::Ipfix => Splitter::Ipfix(IpfixFramer::default()),
        }
    }

    /// Takes bytes; none at the end of the stream.
    fn take(&mut self, bytes: &[u8], lead: FrameHead) -> Taken {
        let mut taken = Taken::default();
        let frames = &mut taken.frames;
        let mut keep = |message: &[u8], truncated: bool| {
            if truncated {
                metrics::counter!("mihari_truncated_total").increment(1);
            }
            frames.push(FrameHead { truncated, ..lead }, message);
        };
        match self {
            Splitter::Syslog(framer, joiner) if bytes.is_empty() => {
                framer.finish(&mut |line, truncated| joiner.push(line, truncated, &mut keep));
                joiner.finish(&mut keep);
            }
            Splitter::Syslog(framer, joiner) => {
                framer.push(bytes, &mut |line, truncated| joiner.push(line, truncated, &mut keep));
                count_skipped(framer);
            }
            Splitter::Ipfix(framer) => {
                let result = framer.push(bytes, &mut |message| keep(message, false));
                taken.refused = result.err().map(|_| "not_ipfix");
            }
            Splitter::Relp(framer) => {
                let (answer, ended) = (&mut taken.answer, &mut taken.ended);
                let result = framer.push(bytes, &mut |txnr, command, data, truncated| match command {
                    _ if *ended => {}
                    Command::Open => relp::respond(answer, txnr, relp::OFFERS),
                    Command::Syslog => {
                        if !data.is_empty() {
                            keep(data, truncated);
                        }
                        relp::respond(answer, txnr, "200 OK");
                    }
                    Command::Close => {
                        relp::respond(answer, txnr, "");
                        relp::server_close(answer);
                        *ended = true;
                    }
                    Command::Other => relp::respond(answer, txnr, "500 unknown command"),
                });
                taken.refused = result.err().map(|_| "not_relp");
            }
        }
        taken
    }

    /// How long the record that was begun waits for a further line.
    fn waits(&self) -> Option<Duration> {
        match self {
            Splitter::Syslog(_, joiner) => joiner.waits(),
            Splitter::Relp(_) | Splitter::Ipfix(_) => None,
        }
    }

    /// The record that was begun, which has waited long enough.
    fn waited(&mut self, lead: FrameHead) -> Frames {
        let mut frames = Frames::default();
        if let Splitter::Syslog(_, joiner) = self {
            joiner.finish(&mut |record, truncated| frames.push(FrameHead { truncated, ..lead }, record));
        }
        frames
    }
}

async fn read(mut stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr, carrier: Transport, listener: &Listener) {
    let shared = &listener.shared;
    let (transport, content) = match listener.stream.protocol {
        StreamProtocol::Syslog => (carrier, Content::Text),
        StreamProtocol::Relp => (Transport::Relp, Content::Text),
        StreamProtocol::Ipfix => (carrier, Content::Flow),
    };
    let tenant = listener.gate.lock().expect("no code panics under this lock").tenant(peer.ip()).unwrap_or(listener.tenant);
    let mut splitter = Splitter::new(&listener.stream);
    let mut buffer = vec![0; READ_BYTES];
    let mut stop_in = None;
    loop {
        let got = match &mut stop_in {
            None => tokio::select! {
                got = stream.read(&mut buffer) => got,
                () = pause(splitter.waits()) => {
                    let lead = head(tenant, transport, content, &*shared.clock, Some(peer));
                    if !give(splitter.waited(lead), transport, peer, listener).await {
                        break;
                    }
                    continue;
                }
                () = shared.stop.cancelled() => {
                    stop_in = Some(Box::pin(tokio::time::sleep(STOP_TIME)));
                    continue;
                }
            },
            // What has arrived is taken; what has not is the sender's to send again.
            Some(stop_in) => tokio::select! {
                got = tokio::time::timeout(QUIET_TIME, stream.read(&mut buffer)) => got.unwrap_or(Ok(0)),
                () = stop_in => Ok(0),
            },
        };
        let got = got.unwrap_or_else(|error| {
            debug!(%peer, %error, "a connection broke");
            metrics::counter!("mihari_tcp_unclean_close_total").increment(1);
            0
        });
        let port = if content == Content::Flow { listener.port } else { 0 };
        let lead = FrameHead { listener: port, ..head(tenant, transport, content, &*shared.clock, Some(peer)) };
        let taken = splitter.take(&buffer[..got], lead);
        if !give(taken.frames, transport, peer, listener).await || got == 0 {
            break;
        }
        if !taken.answer.is_empty()
            && let Err(error) = stream.write_all(&taken.answer).await
        {
            debug!(%peer, %error, "an acknowledgement could not be sent");
            break;
        }
        if let Some(reason) = taken.refused {
            refuse(peer, reason);
            return;
        }
        if taken.ended {
            break;
        }
    }
    if listener.stream.protocol == StreamProtocol::Relp && stop_in.is_some() {
        let mut farewell = Vec::new();
        relp::server_close(&mut farewell);
        drop(stream.write_all(&farewell).await); // A sender that has gone needs none.
    }
    drop(stream.shutdown().await); // Likewise.
}

/// Gives frames to the log, and waits as the protocol and the sender's quota ask for. False where the log is closed.
async fn give(frames: Frames, transport: Transport, peer: SocketAddr, listener: &Listener) -> bool {
    if frames.is_empty() {
        return true;
    }
    let records = frames.len();
    count(transport, records, frames.byte_len());
    let appender = &listener.shared.appender;
    let kept = match listener.stream.protocol {
        StreamProtocol::Relp => appender.append_synced(frames).await.map(drop),
        StreamProtocol::Syslog | StreamProtocol::Ipfix => appender.append(frames).await,
    };
    let pause_ns = {
        let mut gate = listener.gate.lock().expect("no code panics under this lock");
        gate.charge(peer.ip(), listener.shared.clock.now(), records)
    };
    if pause_ns > 0 {
        metrics::counter!("mihari_quota_pauses_total").increment(1);
        tokio::select! {
            () = listener.shared.stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_nanos(pause_ns).min(QUOTA_PAUSE_MAX)) => {}
        }
    }
    kept.is_ok()
}
