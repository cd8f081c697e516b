//! The connections of the HTTP interface: accepted here, bounded in number and in how long they may dawdle.
//!
//! Whoever opens connections and says nothing (slowloris) must not keep others out. So a connection counts as idle until the head of a
//! request is there, and again once the answer has gone; where a bound is reached, the one that has been idle longest makes room for the new
//! one, and only where all are busy the new one is closed. A head must be there within [`Limits::head`], what is sent must be taken within
//! [`TAKE_TIME`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How long the other side may leave what was sent to it unacknowledged or its window shut (TCP_USER_TIMEOUT, RFC 5482).
const TAKE_TIME: Duration = Duration::from_secs(60);
/// How long a failing socket is left alone, such as one without descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers may take to go out at the end.
const END_TIME: Duration = Duration::from_secs(5);

/// How many connections there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// From one address.
    pub per_address: usize,
    /// How long the head of a request may take, also that of the next one on a connection that is kept.
    pub head: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connections: 512, per_address: 32, head: Duration::from_secs(10) }
    }
}

/// The connections that are open.
#[derive(Debug)]
struct Connections {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Counts up at each start and end of idleness: an order, no time.
    moment: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    address: IpAddr,
    /// Since when it waits for a request; none while it has one.
    idle_since: Option<u64>,
    end: CancellationToken,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
struct Place {
    connections: Arc<Connections>,
    id: u64,
    end: CancellationToken,
}

impl Connections {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics under this lock")
    }

    /// A place for a connection of this address; none where all are busy.
    fn admit(self: &Arc<Connections>, address: IpAddr) -> Option<Place> {
        let mut state = self.state();
        let of_address = state.open.values().filter(|open| open.address == address).count();
        if of_address >= self.limits.per_address && !state.end_idle(|open| open.address == address) {
            return None;
        }
        if state.open.len() >= self.limits.connections && !state.end_idle(|_| true) {
            return None;
        }
        let (id, end) = (state.next, CancellationToken::new());
        state.next += 1;
        state.moment += 1;
        let idle_since = Some(state.moment);
        state.open.insert(id, Open { address, idle_since, end: end.clone() });
        Some(Place { connections: self.clone(), id, end })
    }

    fn set_idle(&self, id: u64, idle: bool) {
        let mut state = self.state();
        state.moment += 1;
        let moment = state.moment;
        if let Some(open) = state.open.get_mut(&id) {
            open.idle_since = idle.then_some(moment);
        }
    }
}

impl State {
    /// Ends the connection that has been idle longest among these; false where none is idle.
    fn end_idle(&mut self, among: impl Fn(&Open) -> bool) -> bool {
        let idle = self.open.iter().filter(|(_, open)| among(open)).filter_map(|(id, open)| Some((open.idle_since?, *id)));
        let Some((_, id)) = idle.min() else { return false };
        if let Some(open) = self.open.remove(&id) {
            open.end.cancel();
            metrics::counter!("mihari_http_connections_total", "result" => "made_room").increment(1);
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.state().open.remove(&self.id);
    }
}

/// A request in work: its connection is not idle until this is dropped.
#[derive(Debug)]
struct Busy(Arc<Place>);

impl Busy {
    fn begin(place: &Arc<Place>) -> Busy {
        place.connections.set_idle(place.id, false);
        Busy(place.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.connections.set_idle(self.0.id, true);
    }
}

/// An answer's body, which ends the work when it has gone.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Accepts and answers until `stop` is cancelled; then lets what is in work go out.
pub(crate) async fn serve(listener: TcpListener, app: &Router, limits: Limits, stop: &CancellationToken) {
    let connections = Arc::new(Connections { limits, state: Mutex::default() });
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match connections.admit(peer.ip()) {
                Some(place) => {
                    metrics::counter!("mihari_http_connections_total", "result" => "accepted").increment(1);
                    tasks.spawn(answer(stream, peer, app.clone(), limits.head, Arc::new(place), stop.clone()));
                }
                None => metrics::counter!("mihari_http_connections_total", "result" => "refused").increment(1),
            },
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let ended = tokio::time::timeout(END_TIME, async { while tasks.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        warn!("connections were cut off at the end");
    }
}

async fn answer(stream: TcpStream, peer: SocketAddr, app: Router, head: Duration, place: Arc<Place>, stop: CancellationToken) {
    let socket = socket2::SockRef::from(&stream);
    if let Err(error) = socket.set_tcp_user_timeout(Some(TAKE_TIME)).and_then(|()| socket.set_tcp_nodelay(true)) {
        debug!(%error, "failed to set up a connection");
        return;
    }
    let end = place.end.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = Busy::begin(&place);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = TowerToHyperService::new(app.clone()).call(request);
        async move {
            let response: Response<Body> = match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            Ok::<_, Infallible>(response.map(|body| Answer { body, _busy: busy }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        () = end.cancelled() => return,
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection has failed");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn connections(connections: usize, per_address: usize) -> Arc<Connections> {
        Arc::new(Connections { limits: Limits { connections, per_address, ..Limits::default() }, state: Mutex::default() })
    }

    fn address(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, n).into()
    }

    #[test]
    fn the_longest_idle_makes_room() {
        let all = connections(3, 2);
        let first = Arc::new(all.admit(address(1)).expect("room"));
        let second = all.admit(address(1)).expect("room");
        let busy = Busy::begin(&first);
        let third = all.admit(address(1)).expect("the idle one of the address goes");
        assert!(second.end.is_cancelled() && !first.end.is_cancelled() && !third.end.is_cancelled());
        drop(busy);
        let _fourth = all.admit(address(2)).expect("room");
        let _fifth = all.admit(address(3)).expect("the longest idle of all goes");
        assert!(third.end.is_cancelled() && !first.end.is_cancelled(), "the first one was busy after the third came");
        assert_eq!(all.state().open.len(), 3);
    }

    #[test]
    fn the_busy_are_left_alone() {
        let all = connections(2, 1);
        let (one, two) = (Arc::new(all.admit(address(1)).expect("room")), Arc::new(all.admit(address(2)).expect("room")));
        let _work = (Busy::begin(&one), Busy::begin(&two));
        assert!(all.admit(address(1)).is_none() && all.admit(address(3)).is_none());
        drop(two);
        assert!(all.admit(address(3)).is_none(), "its request is still in work");
    }
}
