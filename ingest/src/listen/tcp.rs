//! Syslog over TCP. What cannot be given to the log is not read: the sender's window closes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use event::{Content, Frames, TenantId, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::{Framer, ListenError, Shared, count, head};

/// Connections at once; a further one waits in the kernel until another ends.
const CONNECTIONS_MAX: usize = 1024;
/// How long to wait after an accept that failed: without file descriptors the next one would fail at once.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// What the kernel may hold of one connection: what a power failure can lose of it.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

pub(super) fn start(
    address: SocketAddr,
    tenant: TenantId,
    shared: Shared,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, ListenError> {
    let fail = |source| ListenError::Bind { transport: "tcp", address, source };
    let listener = bind(address).map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    tasks.spawn(accept(listener, tenant, shared));
    Ok(bound)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, tenant: TenantId, shared: Shared) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection ended badly");
                }
            }
            place = places.clone().acquire_owned() => {
                let Ok(place) = place else { break };
                tokio::select! {
                    () = shared.stop.cancelled() => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, peer)) => {
                            let shared = shared.clone();
                            connections.spawn(async move {
                                metrics::gauge!("mihari_connections").increment(1.0);
                                read(stream, peer, tenant, &shared).await;
                                metrics::gauge!("mihari_connections").decrement(1.0);
                                drop(place);
                            });
                        }
                        Err(error) => {
                            // Out of file descriptors, or the peer has gone already: others must be able to go on.
                            warn!(%error, "failed to accept a connection");
                            tokio::select! {
                                () = shared.stop.cancelled() => break,
                                () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                            }
                        }
                    }
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn read(mut stream: TcpStream, peer: SocketAddr, tenant: TenantId, shared: &Shared) {
    let mut framer = Framer::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut stopping = false;
    loop {
        let got = if stopping {
            // What has arrived is taken; what has not is the sender's to send again.
            match stream.try_read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                got => got,
            }
        } else {
            tokio::select! {
                got = stream.read(&mut buffer) => got,
                () = shared.stop.cancelled() => {
                    stopping = true;
                    continue;
                }
            }
        };
        let got = match got {
            Ok(got) => got,
            Err(error) => {
                debug!(%peer, %error, "a connection broke");
                metrics::counter!("mihari_tcp_unclean_close_total").increment(1);
                0
            }
        };
        let mut frames = Frames::default();
        let mut lead = head(tenant, Transport::Tcp, Content::Text, &*shared.clock, Some(peer));
        let mut emit = |message: &[u8], truncated: bool| {
            lead.truncated = truncated;
            if truncated {
                metrics::counter!("mihari_truncated_total").increment(1);
            }
            frames.push(lead, message);
        };
        if got == 0 {
            framer.finish(&mut emit);
        } else {
            framer.push(&buffer[..got], &mut emit);
        }
        if !frames.is_empty() {
            count(Transport::Tcp, frames.len(), frames.byte_len());
            if shared.appender.append(frames).await.is_err() {
                return;
            }
        }
        if got == 0 {
            return;
        }
    }
}
