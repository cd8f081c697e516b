//! Where records come in. Listeners stamp what they receive and give it to the log; they know nothing else.

mod admit;
mod file;
mod framing;
mod ipfix;
mod join;
#[cfg(feature = "kafka")]
mod kafka;
mod marks;
mod proxy;
mod receive;
mod relp;
mod rotated;
mod stream;
mod tls;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use event::{Clock, Content, FrameHead, TenantId, Transport};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use admit::{Admission, Sender};
pub use file::{FileMarks, Follow};
pub use framing::Framer;
pub use join::{Multiline, MultilineError};
pub use marks::Marks;
pub use stream::{Stream, StreamProtocol};
pub use tls::{TlsError, TlsFiles};
pub use udp::{Datagrams, KERNEL_DROP, RECEIVE_BUFFER_BYTES};

use crate::log::Appender;

/// One place to listen at, and whose the records are.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The place.
    pub place: Place,
    /// The tenant.
    pub tenant: TenantId,
    /// Who may send, and how much; for sockets.
    pub admission: Admission,
}

/// The kinds of place.
#[derive(Clone, Debug)]
pub enum Place {
    /// Syslog, one message a datagram (RFC 5426).
    SyslogUdp(Datagrams),
    /// NetFlow, IPFIX or sFlow, one packet a datagram.
    FlowUdp(Datagrams),
    /// Connections: syslog, RELP, IPFIX.
    Stream(Stream),
    /// A file that is appended to, one record a line.
    File(Follow),
    /// Topics of Kafka, one record a message.
    Kafka(Kafka),
    /// Standard input, one record a line.
    Stdin {
        /// How lines become records, where records have several.
        multiline: Option<Multiline>,
    },
}

/// What is consumed of Kafka.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Where brokers are, as `host:port`.
    pub brokers: Vec<String>,
    /// The topics; one that begins with `^` is a pattern.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// Further settings of the client (librdkafka, CONFIGURATION.md).
    pub properties: std::collections::BTreeMap<String, String>,
    /// How far each partition was read.
    pub marks: Marks,
}

/// A place could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A socket could not be bound.
    #[error("failed to listen on {transport} {address}")]
    Bind {
        /// Its transport.
        transport: &'static str,
        /// Its address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The client of Kafka cannot be set up.
    #[error("failed to consume from Kafka as {group}: {reason}")]
    Kafka {
        /// The consumer group.
        group: String,
        /// Why not.
        reason: String,
    },
    /// Its certificates cannot be used.
    #[error("failed to set up TLS on {address}")]
    Tls {
        /// The socket's address.
        address: SocketAddr,
        /// Why not.
        source: TlsError,
    },
}

/// What every listener is given.
#[derive(Clone)]
struct Shared {
    appender: Appender,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

/// Listeners that run.
pub struct Listeners {
    tasks: JoinSet<()>,
    bound: Vec<Option<SocketAddr>>,
}

impl Listeners {
    /// Opens all places and begins to read. Must be called within a tokio runtime; ends when `stop` is cancelled.
    ///
    /// # Errors
    /// Where a socket cannot be bound; none is left open then.
    pub fn start(
        listens: &[Listen],
        appender: &Appender,
        clock: &Arc<dyn Clock>,
        stop: &CancellationToken,
    ) -> Result<Listeners, ListenError> {
        let shared = Shared { appender: appender.clone(), clock: clock.clone(), stop: stop.clone() };
        let mut listeners = Listeners { tasks: JoinSet::new(), bound: Vec::new() };
        for Listen { place, tenant, admission } in listens {
            let shared = shared.clone();
            let tasks = &mut listeners.tasks;
            let bound = match place {
                Place::SyslogUdp(datagrams) => Some(udp::start(*datagrams, Content::Text, *tenant, admission, &shared, tasks)?),
                Place::FlowUdp(datagrams) => Some(udp::start(*datagrams, Content::Flow, *tenant, admission, &shared, tasks)?),
                Place::Stream(stream) => Some(stream::start(stream, *tenant, admission, shared, tasks)?),
                Place::File(file) => {
                    tasks.spawn(file::follow(file.clone(), *tenant, shared));
                    None
                }
                Place::Kafka(kafka) => {
                    start_kafka(kafka, *tenant, shared, tasks)?;
                    None
                }
                Place::Stdin { multiline } => {
                    tasks.spawn(file::stdin(multiline.clone(), *tenant, shared));
                    None
                }
            };
            listeners.bound.push(bound);
        }
        Ok(listeners)
    }

    /// The address of each place, in their order; none for what has no address.
    pub fn bound(&self) -> &[Option<SocketAddr>] {
        &self.bound
    }

    /// Waits until every listener has given what it had to the log and ended.
    pub async fn join(mut self) {
        while let Some(result) = self.tasks.join_next().await {
            if let Err(error) = result {
                tracing::error!(%error, "a listener ended badly");
            }
        }
    }
}

#[cfg(feature = "kafka")]
fn start_kafka(kafka: &Kafka, tenant: TenantId, shared: Shared, tasks: &mut JoinSet<()>) -> Result<(), ListenError> {
    kafka::start(kafka.clone(), tenant, shared, tasks)
}

#[cfg(not(feature = "kafka"))]
fn start_kafka(kafka: &Kafka, _: TenantId, _: Shared, _: &mut JoinSet<()>) -> Result<(), ListenError> {
    let reason = "the program was built without it (cargo feature `kafka`)".to_owned();
    Err(ListenError::Kafka { group: kafka.group.clone(), reason })
}

fn head(tenant: TenantId, transport: Transport, content: Content, clock: &dyn Clock, source: Option<SocketAddr>) -> FrameHead {
    FrameHead { received: clock.now(), tenant, source, ..FrameHead::new(transport, content) }
}

/// Counts what a listener has taken in.
fn count(transport: Transport, frames: usize, bytes: usize) {
    metrics::counter!("mihari_received_frames_total", "transport" => transport.name()).increment(frames as u64);
    metrics::counter!("mihari_received_bytes_total", "transport" => transport.name()).increment(bytes as u64);
}

/// Counts the bytes of records that were too long and are not kept.
fn count_skipped(framer: &mut Framer) {
    metrics::counter!("mihari_skipped_bytes_total").increment(framer.take_skipped());
}
