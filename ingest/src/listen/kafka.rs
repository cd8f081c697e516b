//! Kafka as a source: what a consumer group is given goes to the journal, and only what is on disk there is committed to the group.
//!
//! ```text
//!  topics ─▶ consumer ─▶ one append: records and marks ─▶ fsync ─▶ offsets committed to the group
//! ```
//!
//! A crash between the sync and the commit makes the group give records once more; the marks in the journal ([`super::marks`]) say that they are
//! there already. A topic that was deleted and made anew begins at offset 0 again: it needs another group.

use std::collections::BTreeMap;
use std::time::Duration;

use event::limits::{BATCH_BYTES_MAX, FRAME_BYTES_MAX};
use event::{Content, FrameHead, Frames, OriginId, TenantId, Transport};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::{Kafka, ListenError, Marks, Shared, count, head};

/// Messages of one append.
const BATCH_MESSAGES_MAX: usize = 8192;
/// How long to wait for a first message before looking whether to stop.
const WAIT_TIME: Duration = Duration::from_millis(200);
/// How long a further message may take to come into the same append.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// Appends after which the file of marks is written: a start reads the journal from there.
const SAVE_EVERY: usize = 256;
/// What the promise rests on; a configuration may not say otherwise.
const OURS: [&str; 6] = [
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
];

/// Begins to consume on a thread of its own.
pub(super) fn start(kafka: Kafka, tenant: TenantId, shared: Shared, tasks: &mut JoinSet<()>) -> Result<(), ListenError> {
    let fail = |reason: String| ListenError::Kafka { group: kafka.group.clone(), reason };
    if let Some(name) = kafka.properties.keys().find(|name| OURS.contains(&name.as_str())) {
        return Err(fail(format!("the property {name} is not yours to set")));
    }
    let mut config = ClientConfig::new();
    config.extend(kafka.properties.iter().map(|(name, value)| (name.clone(), value.clone())));
    config
        .set("bootstrap.servers", kafka.brokers.join(","))
        .set("group.id", &kafka.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "false");
    let consumer: BaseConsumer = config.create().map_err(|error| fail(error.to_string()))?;
    let topics: Vec<&str> = kafka.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(|error| fail(error.to_string()))?;
    info!(group = kafka.group, ?topics, "consuming");
    let runtime = Handle::current();
    let (group, marks) = (kafka.group, kafka.marks);
    let intake = Intake { consumer, marks, tenant, shared, runtime, unsaved: 0 };
    // The client waits by itself, so it has a thread; the task is what the listeners' owner joins.
    let thread = std::thread::Builder::new()
        .name("kafka".to_owned())
        .spawn(move || intake.run())
        .map_err(|error| ListenError::Kafka { group, reason: error.to_string() })?;
    tasks.spawn_blocking(move || {
        if thread.join().is_err() {
            tracing::error!("the Kafka consumer panicked");
        }
    });
    Ok(())
}

struct Intake {
    consumer: BaseConsumer,
    marks: Marks,
    tenant: TenantId,
    shared: Shared,
    runtime: Handle,
    /// Appends since the file of marks was written.
    unsaved: usize,
}

impl Intake {
    fn run(mut self) {
        while !self.shared.stop.is_cancelled() {
            let (frames, read) = self.gather();
            if read.is_empty() {
                continue;
            }
            if !self.keep(frames, &read) {
                return; // The journal is closed: nothing is committed, so it all comes again.
            }
        }
        self.save();
        self.consumer.unsubscribe();
    }

    /// What has come: frames, and for each partition the offset after its last message.
    fn gather(&mut self) -> (Frames, BTreeMap<(String, i32), i64>) {
        let mut frames = Frames::default();
        let mut read: BTreeMap<(String, i32), i64> = BTreeMap::new();
        let mut wait = WAIT_TIME;
        for _ in 0..BATCH_MESSAGES_MAX {
            let message = match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    // The client goes on by itself; what it says is for whoever operates the brokers.
                    metrics::counter!("mihari_kafka_errors_total").increment(1);
                    warn!(%error, "Kafka");
                    break;
                }
            };
            wait = GATHER_TIME;
            let key = (message.topic().to_owned(), message.partition());
            let next = message.offset() + 1;
            let known = read.get(&key).copied().or_else(|| self.marks.next(&key.0, key.1));
            if known.is_some_and(|known| message.offset() < known) {
                metrics::counter!("mihari_kafka_repeated_total").increment(1);
                // The group has not heard that the journal has it; the next commit tells it.
                let known = known.unwrap_or(next);
                read.entry(key).and_modify(|n| *n = (*n).max(known)).or_insert(known);
                continue;
            }
            let bytes = message.payload().unwrap_or_default();
            if !bytes.is_empty() {
                let kept = &bytes[..bytes.len().min(FRAME_BYTES_MAX)];
                let lead = head(self.tenant, Transport::Kafka, Content::Text, &*self.shared.clock, None);
                let origin = OriginId::intern(message.topic());
                frames.push(FrameHead { truncated: kept.len() < bytes.len(), origin, ..lead }, kept);
            }
            read.insert(key, next);
            if frames.byte_len() >= BATCH_BYTES_MAX / 2 {
                break;
            }
        }
        (frames, read)
    }

    /// Appends, waits for the disk, and commits to the group. False where the journal is closed.
    fn keep(&mut self, mut frames: Frames, read: &BTreeMap<(String, i32), i64>) -> bool {
        let (records, bytes) = (frames.len(), frames.byte_len());
        for ((topic, partition), next) in read {
            self.marks.write(&mut frames, self.tenant, topic, *partition, *next);
        }
        if self.runtime.block_on(self.shared.appender.append_synced(frames)).is_err() {
            return false;
        }
        count(Transport::Kafka, records, bytes);
        let mut offsets = TopicPartitionList::new();
        for ((topic, partition), next) in read {
            self.marks.set(topic, *partition, *next);
            if let Err(error) = offsets.add_partition_offset(topic, *partition, Offset::Offset(*next)) {
                warn!(%error, topic, partition, "an offset could not be committed");
            }
        }
        // A commit that fails costs nothing: what comes again is known.
        if let Err(error) = self.consumer.commit(&offsets, CommitMode::Async) {
            warn!(%error, "offsets could not be committed");
        }
        self.unsaved += 1;
        if self.unsaved >= SAVE_EVERY {
            self.save();
        }
        true
    }

    fn save(&mut self) {
        self.unsaved = 0;
        if let Err(error) = self.marks.save(self.shared.appender.durable()) {
            warn!(%error, "the marks could not be saved");
        }
    }
}
