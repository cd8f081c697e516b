//! The configuration: one YAML or TOML file, every key with a default, unknown keys refused with their line.
//!
//! `deploy/mihari.yaml` shows every key with its default; a test reads it.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use api::Limits;
use event::limits::FRAME_BYTES_MAX;
use ingest::decode::Differing;
use ingest::listen::{Admission, Multiline, TlsFiles};
use ingest::log::{JournalOptions, Retention};
use ipnet::IpNet;
use serde::Deserialize;

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the journal, the index and the alert store live.
    pub(crate) data: PathBuf,
    /// The tenants' names; the first is the default one. Listeners name theirs.
    pub(crate) tenants: Vec<String>,
    /// Where records come in.
    pub(crate) listen: Vec<Listen>,
    /// How records are read.
    pub(crate) decode: Decode,
    /// The rules.
    pub(crate) rules: Rules,
    /// What the behaviour analysis should know of the site.
    pub(crate) behaviour: Behaviour,
    /// The zone file; without one, no verdicts.
    pub(crate) policy: Option<PathBuf>,
    /// The journal.
    pub(crate) journal: Journal,
    /// The index.
    pub(crate) index: Index,
    /// The HTTP interface.
    pub(crate) api: Api,
    /// Where new alerts are told.
    pub(crate) notify: Vec<Notify>,
    /// Worker threads that decode and match; 0: one a core.
    pub(crate) threads: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data: PathBuf::from("mihari-data"),
            tenants: vec!["default".to_owned()],
            listen: vec![
                Listen::socket(ListenKind::SyslogUdp, loopback(5514)),
                Listen::socket(ListenKind::SyslogTcp, loopback(5514)),
                Listen::socket(ListenKind::FlowUdp, loopback(2055)),
            ],
            decode: Decode::default(),
            rules: Rules::default(),
            behaviour: Behaviour::default(),
            policy: None,
            journal: Journal::default(),
            index: Index::default(),
            api: Api::default(),
            notify: Vec::new(),
            threads: 0,
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// One place where records come in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) kind: ListenKind,
    /// The address to bind, for sockets.
    #[serde(default)]
    pub(crate) address: Option<SocketAddr>,
    /// The file to follow.
    #[serde(default)]
    pub(crate) path: Option<PathBuf>,
    /// Whose the records are; absent: the first tenant's.
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    /// Where to begin in a file.
    #[serde(default)]
    pub(crate) from: From,
    /// Certificates, for connections under TLS.
    #[serde(default)]
    pub(crate) tls: Option<Tls>,
    /// Whether each connection begins with a PROXY header.
    #[serde(default)]
    pub(crate) proxy_protocol: bool,
    /// The prefixes that may send; empty: everybody.
    #[serde(default)]
    pub(crate) allow: Vec<IpNet>,
    /// Records a second and sender.
    #[serde(default)]
    pub(crate) records_per_second: Option<u32>,
    /// What differs for certain senders; the longest prefix wins.
    #[serde(default)]
    pub(crate) senders: Vec<Sender>,
    /// Sockets that share the address, for datagrams.
    #[serde(default = "one")]
    pub(crate) sockets: usize,
    /// Bytes that the kernel is asked to hold for each of them.
    #[serde(default)]
    pub(crate) receive_buffer_bytes: Option<usize>,
    /// The time zone of devices that do not state theirs (IANA name), where it is another than `decode.time_zone`.
    #[serde(default)]
    pub(crate) time_zone: Option<String>,
    /// `utf-8`, `shift_jis`, `euc-jp` or `iso-2022-jp`.
    #[serde(default)]
    pub(crate) charset: Option<String>,
    /// A format name to use in place of recognition.
    #[serde(default)]
    pub(crate) format: Option<String>,
    /// How lines become records, where records have several.
    #[serde(default)]
    pub(crate) multiline: Option<Lines>,
    /// What is consumed, for Kafka.
    #[serde(default)]
    pub(crate) kafka: Option<Kafka>,
}

/// What differs for the senders of a prefix.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sender {
    /// The senders, as a prefix or an address.
    pub(crate) cidr: String,
    /// Whose their records are, where it is another tenant than the listener's.
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    /// Records a second of each of them.
    #[serde(default)]
    pub(crate) records_per_second: Option<u32>,
}

/// What is consumed of Kafka.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kafka {
    /// Where brokers are, as `host:port`.
    pub(crate) brokers: Vec<String>,
    /// The topics; one that begins with `^` is a pattern.
    pub(crate) topics: Vec<String>,
    /// The consumer group; the name of a file too, so of letters, digits and `._-`.
    #[serde(default = "mihari")]
    pub(crate) group: String,
    /// Further settings of the client.
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, String>,
}

fn mihari() -> String {
    "mihari".to_owned()
}

/// How lines become records: one of `kind`, `start` and `continuation`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lines {
    /// A kind that is known by name: `indented`, `java`, `postgresql`, `oracle_alert`.
    kind: Option<String>,
    /// A regular expression: a line that fits begins a record.
    start: Option<String>,
    /// A regular expression: a line that fits goes on with the record before.
    continuation: Option<String>,
    lines_max: Option<usize>,
    bytes_max: Option<usize>,
    /// After so many milliseconds without a line, a record has ended.
    wait_ms: Option<u32>,
}

impl Lines {
    /// As the listener takes it.
    pub(crate) fn multiline(&self) -> Result<Multiline> {
        let mut multiline = match (&self.kind, &self.start, &self.continuation) {
            (Some(kind), None, None) => Multiline::preset(kind)?,
            (None, Some(pattern), None) => Multiline::start(pattern)?,
            (None, None, Some(pattern)) => Multiline::continuation(pattern)?,
            _ => bail!("multiline takes one of kind, start and continuation"),
        };
        multiline.lines_max = self.lines_max.unwrap_or(multiline.lines_max);
        multiline.bytes_max = self.bytes_max.unwrap_or(multiline.bytes_max);
        multiline.wait = self.wait_ms.map_or(multiline.wait, |ms| Duration::from_millis(ms.into()));
        if multiline.lines_max == 0 || !(1..=FRAME_BYTES_MAX).contains(&multiline.bytes_max) || multiline.wait > WAIT_TIME_MAX {
            bail!("multiline: lines_max is at least 1, bytes_max at most {FRAME_BYTES_MAX}, wait_ms at most 60000");
        }
        Ok(multiline)
    }
}

impl Listen {
    /// What the types cannot say.
    fn check(&self) -> Result<()> {
        let (needs_address, needs_path) = match self.kind {
            ListenKind::SyslogUdp | ListenKind::SyslogTcp | ListenKind::Relp | ListenKind::FlowUdp | ListenKind::IpfixTcp => {
                (true, false)
            }
            ListenKind::File => (false, true),
            ListenKind::Kafka | ListenKind::Stdin => (false, false),
        };
        if self.address.is_some() != needs_address || self.path.is_some() != needs_path {
            bail!("a socket needs address, a file needs path, and neither takes the other");
        }
        let is_datagrams = self.is_datagrams();
        let is_stream = needs_address && !is_datagrams;
        if !is_stream && (self.tls.is_some() || self.proxy_protocol) {
            bail!("tls and proxy_protocol are for connections");
        }
        if !needs_address && (!self.allow.is_empty() || self.records_per_second.is_some() || !self.senders.is_empty()) {
            bail!("allow, records_per_second and senders are for sockets");
        }
        if std::iter::once(self.records_per_second).chain(self.senders.iter().map(|s| s.records_per_second)).any(|n| n == Some(0))
        {
            bail!("records_per_second is at least 1");
        }
        if !(1..=SOCKETS_MAX).contains(&self.sockets) || (!is_datagrams && self.sockets != 1) {
            bail!("sockets is 1 to {SOCKETS_MAX}, for datagrams");
        }
        if self.receive_buffer_bytes.is_some_and(|bytes| !is_datagrams || !(1..=RECEIVE_BUFFER_BYTES_MAX).contains(&bytes)) {
            bail!("receive_buffer_bytes is 1 to {RECEIVE_BUFFER_BYTES_MAX}, for datagrams");
        }
        if needs_address && self.differing() != Differing::default() {
            bail!("time_zone, charset and format are for what has no address; decode.sources has them for senders");
        }
        if self.kafka.is_some() != (self.kind == ListenKind::Kafka) {
            bail!("kafka is for the kind kafka, which needs it");
        }
        if self.kind == ListenKind::Kafka && !cfg!(feature = "kafka") {
            bail!("this program was built without kafka (cargo build --features kafka)");
        }
        if let Some(kafka) = &self.kafka {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let named = (1..=100).contains(&kafka.group.len()) && kafka.group.chars().all(plain);
            if kafka.brokers.is_empty() || kafka.topics.is_empty() || !named {
                bail!("kafka needs brokers, topics and a plain group name");
            }
        }
        if let Some(lines) = &self.multiline {
            lines.multiline()?;
            if !matches!(self.kind, ListenKind::SyslogTcp | ListenKind::File | ListenKind::Stdin) {
                bail!("multiline is for what comes line by line");
            }
        }
        Ok(())
    }

    /// Whether it is a socket of datagrams.
    fn is_datagrams(&self) -> bool {
        matches!(self.kind, ListenKind::SyslogUdp | ListenKind::FlowUdp)
    }

    /// What differs in reading what comes in here.
    pub(crate) fn differing(&self) -> Differing<'_> {
        let Listen { time_zone, charset, format, .. } = self;
        Differing { time_zone: time_zone.as_deref(), charset: charset.as_deref(), format: format.as_deref() }
    }

    /// A socket of this kind with every default.
    pub(crate) fn socket(kind: ListenKind, address: SocketAddr) -> Listen {
        Listen {
            kind,
            address: Some(address),
            path: None,
            tenant: None,
            from: From::End,
            tls: None,
            proxy_protocol: false,
            allow: Vec::new(),
            records_per_second: None,
            senders: Vec::new(),
            sockets: one(),
            receive_buffer_bytes: None,
            time_zone: None,
            charset: None,
            format: None,
            multiline: None,
            kafka: None,
        }
    }
}

fn one() -> usize {
    1
}

/// The certificates of a listener, in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Its own chain.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// The authorities of which a client must have a certificate.
    #[serde(default)]
    pub(crate) client_authorities: Option<PathBuf>,
}

impl Tls {
    /// As the listener takes them.
    pub(crate) fn files(&self) -> TlsFiles {
        let Tls { certificate, key, client_authorities } = self.clone();
        TlsFiles { certificate, key, client_authorities }
    }
}

/// The kinds of place.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListenKind {
    SyslogUdp,
    SyslogTcp,
    Relp,
    FlowUdp,
    IpfixTcp,
    File,
    Kafka,
    Stdin,
}

/// Where to begin in a file that is followed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum From {
    /// What is there already is read too.
    Start,
    /// Only what is appended from now on.
    #[default]
    End,
}

/// How records are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Decode {
    /// The time zone of devices that do not state theirs (IANA name).
    pub(crate) time_zone: String,
    /// Files and folders of format descriptions, besides the shipped ones (`docs/formats.md`).
    pub(crate) formats: Vec<PathBuf>,
    /// Whether flows and all else that tells of a conversation get `network.community_id`.
    pub(crate) community_id: bool,
    /// What differs for certain senders; the longest prefix wins.
    pub(crate) sources: Vec<Source>,
}

impl Default for Decode {
    fn default() -> Decode {
        Decode { time_zone: "Asia/Tokyo".to_owned(), formats: Vec::new(), community_id: false, sources: Vec::new() }
    }
}

/// What differs for certain senders.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// The senders, as a prefix or an address.
    pub(crate) cidr: String,
    #[serde(default)]
    pub(crate) time_zone: Option<String>,
    /// `utf-8`, `shift_jis`, `euc-jp` or `iso-2022-jp`.
    #[serde(default)]
    pub(crate) charset: Option<String>,
    /// A format name to use in place of recognition.
    #[serde(default)]
    pub(crate) format: Option<String>,
}

impl Source {
    /// What differs.
    pub(crate) fn differing(&self) -> Differing<'_> {
        let Source { time_zone, charset, format, .. } = self;
        Differing { time_zone: time_zone.as_deref(), charset: charset.as_deref(), format: format.as_deref() }
    }
}

/// The rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rules {
    /// Files and folders of Sigma rules, besides the shipped pack.
    pub(crate) paths: Vec<PathBuf>,
    /// Whether the shipped pack is used.
    pub(crate) pack: bool,
    /// Files and folders of values for the rules' placeholders.
    pub(crate) placeholders: Vec<PathBuf>,
    /// Files and folders of what field names mean, before the built-in meanings.
    pub(crate) mapping: Vec<PathBuf>,
    /// How late a record may come and still be taken in its order, in seconds.
    pub(crate) lateness_s: u32,
    /// The same for certain senders. Correlation waits for the latest of all.
    pub(crate) lateness_by_source: Vec<SourceLateness>,
    /// Every so many seconds it is looked whether a rule file has changed, and the rules are loaded anew; 0: on request only.
    pub(crate) watch_s: u32,
    /// What becomes of certain rules' matches. What a person sets through the interface stands before it.
    pub(crate) modes: Vec<RuleMode>,
}

/// What becomes of one rule's matches.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleMode {
    /// Its id.
    pub(crate) rule: String,
    /// The tenant, by name; all where none is named.
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    /// `off`, `record` or `alert`.
    pub(crate) mode: rules::Mode,
}

/// How late records of certain senders may come.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceLateness {
    /// The senders, as a prefix or an address; the longest prefix wins.
    pub(crate) cidr: String,
    pub(crate) lateness_s: u32,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            paths: Vec::new(),
            pack: true,
            placeholders: Vec::new(),
            mapping: Vec::new(),
            lateness_s: 30,
            lateness_by_source: Vec::new(),
            watch_s: 0,
            modes: Vec::new(),
        }
    }
}

impl Rules {
    /// How correlation treats time.
    pub(crate) fn correlate_options(&self) -> Result<rules::CorrelateOptions> {
        let ns = |seconds: u32| i64::from(seconds) * 1_000_000_000;
        let mut options = rules::CorrelateOptions { lateness_ns: ns(self.lateness_s), ..rules::CorrelateOptions::default() };
        for source in &self.lateness_by_source {
            let added = options.add_source(&source.cidr, ns(source.lateness_s));
            added.with_context(|| format!("rules.lateness_by_source: {:?}", source.cidr))?;
        }
        Ok(options)
    }
}

/// What the behaviour analysis should know of the site.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// The site's own networks; without any, the zones of the policy that name their addresses, and without a policy the private networks.
    pub(crate) inside: Vec<String>,
    /// What is expected, beside what the rules' own safelists say.
    pub(crate) safelist: Safelist,
    /// Indicator files: CSV, STIX 2.1, MISP.
    pub(crate) indicators: Vec<PathBuf>,
}

/// What is expected and gives no alert.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Safelist {
    /// Prefixes and addresses.
    pub(crate) sources: Vec<String>,
    pub(crate) destinations: Vec<String>,
    /// Names, with what lies below them.
    pub(crate) domains: Vec<String>,
    /// Such as `udp/123` or `tcp/8000-8010`.
    pub(crate) ports: Vec<String>,
}

/// The journal: how much of it is kept. Without a bound everything is, since it is the evidence: how long that must be kept is a rule of its
/// owner's, which no default knows.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Journal {
    /// Days after the last receipt of its records after which a closed segment is removed; absent: never.
    pub(crate) retention_days: Option<u32>,
    /// Bytes of all segments beyond which the oldest closed ones are removed; absent: no bound.
    pub(crate) retention_bytes: Option<u64>,
    /// Bytes of a segment; `mihari bench` tries others.
    #[serde(skip)]
    pub(crate) segment_bytes: Option<u64>,
}

impl Journal {
    pub(crate) fn options(self) -> JournalOptions {
        let usual = JournalOptions::default();
        JournalOptions { segment_bytes: self.segment_bytes.unwrap_or(usual.segment_bytes), ..usual }
    }

    pub(crate) fn retention(self) -> Retention {
        let day_ns = 86_400 * 1_000_000_000;
        Retention { age_ns: self.retention_days.map(|days| i64::from(days) * day_ns), bytes: self.retention_bytes }
    }
}

/// The index.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Index {
    /// How long a record may wait to become searchable, in milliseconds.
    pub(crate) commit_ms: u32,
    /// Events after which a shard is closed and the next is begun.
    pub(crate) shard_events: u64,
    /// Hours of receipt after which a shard is closed and the next is begun.
    pub(crate) shard_hours: u32,
    /// Days after which closed shards are dropped, whole ones only; absent: never.
    pub(crate) retention_days: Option<u32>,
}

impl Default for Index {
    fn default() -> Index {
        Index { commit_ms: 800, shard_events: 2_000_000, shard_hours: 24, retention_days: None }
    }
}

/// The HTTP interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Api {
    /// The address to bind.
    pub(crate) address: SocketAddr,
    /// The address that people use, for links in messages; absent: the bound one.
    pub(crate) base_url: Option<String>,
    /// Connections at once.
    pub(crate) connections_max: usize,
    /// Connections at once from one address. Behind a proxy, which is one address, as many as in all.
    pub(crate) connections_per_address_max: usize,
}

impl Api {
    /// How many connections there may be.
    pub(crate) fn limits(&self) -> Limits {
        Limits { connections: self.connections_max, per_address: self.connections_per_address_max, ..Limits::default() }
    }
}

impl Default for Api {
    fn default() -> Api {
        let Limits { connections, per_address, .. } = Limits::default();
        Api { address: loopback(8686), base_url: None, connections_max: connections, connections_per_address_max: per_address }
    }
}

/// Where new alerts are told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notify {
    /// A name for the screen and the log.
    pub(crate) name: String,
    /// Whose alerts it is told; absent: the first tenant's.
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    /// A Slack-compatible incoming webhook.
    pub(crate) slack_webhook: String,
    /// The language of the message: `ja` or `en`.
    #[serde(default = "japanese")]
    pub(crate) language: String,
}

fn japanese() -> String {
    "ja".to_owned()
}

/// How long a record may wait to become searchable, in milliseconds.
const COMMIT_MS_MIN: u32 = 10;
const COMMIT_MS_MAX: u32 = 60_000;
/// Sockets that share one address.
const SOCKETS_MAX: usize = 64;
/// Bytes that a socket may hold: a second of a fast network.
const RECEIVE_BUFFER_BYTES_MAX: usize = 1 << 30;
/// How long a record may wait for its next line.
const WAIT_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of a configuration file.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// Reads the file at `path`: TOML where its name ends in `.toml`, else YAML.
    pub(crate) fn read(path: &Path) -> Result<Config> {
        let length = std::fs::metadata(path).with_context(|| format!("failed to read {}", path.display()))?.len();
        if length > CONFIG_BYTES_MAX {
            bail!("{} is larger than {CONFIG_BYTES_MAX} bytes", path.display());
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        let toml = path.extension().is_some_and(|extension| extension == "toml");
        Config::parse(&text, toml).with_context(|| format!("bad configuration in {}", path.display()))
    }

    fn parse(text: &str, is_toml: bool) -> Result<Config> {
        let read = match is_toml {
            true => toml::from_str(text).map_err(|error| error.to_string()),
            false => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
        };
        let config: Config = read.map_err(|said| anyhow!(in_words(&said)))?;
        config.check()?;
        Ok(config)
    }

    /// What the types cannot say.
    fn check(&self) -> Result<()> {
        if self.data.as_os_str().is_empty() {
            bail!("data: a folder is needed");
        }
        self.rules.correlate_options()?;
        for mode in &self.rules.modes {
            self.tenant(mode.tenant.as_deref()).with_context(|| format!("rules.modes: {:?}", mode.rule))?;
        }
        for (key, value) in [
            ("journal.retention_days", self.journal.retention_days.map(u64::from)),
            ("journal.retention_bytes", self.journal.retention_bytes),
            ("index.retention_days", self.index.retention_days.map(u64::from)),
            ("index.shard_events", Some(self.index.shard_events)),
            ("index.shard_hours", Some(self.index.shard_hours.into())),
        ] {
            if value == Some(0) {
                bail!("{key} is at least 1");
            }
        }
        if !(COMMIT_MS_MIN..=COMMIT_MS_MAX).contains(&self.index.commit_ms) {
            bail!("index.commit_ms is {COMMIT_MS_MIN} to {COMMIT_MS_MAX}");
        }
        if let Some(url) = self.api.base_url.as_deref().filter(|url| !is_web_address(url)) {
            bail!("api.base_url: {url:?} is no web address, such as https://mihari.example");
        }
        if self.tenants.is_empty() {
            bail!("tenants: at least one is needed");
        }
        let mut names = HashSet::new();
        for name in &self.tenants {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
                bail!("tenants: {name:?} is no plain name (1 to 40 of a-z, 0-9 and -)");
            }
            if !names.insert(name) {
                bail!("tenants: {name:?} stands twice");
            }
        }
        for (at, listen) in self.listen.iter().enumerate() {
            listen.check().and_then(|()| self.admission(listen).map(drop)).with_context(|| format!("listen[{at}]"))?;
        }
        let mut paths = HashSet::new();
        if let Some(path) = self.listen.iter().filter_map(|listen| listen.path.as_ref()).find(|path| !paths.insert(*path)) {
            bail!("listen: {} stands twice", path.display());
        }
        if self.listen.iter().filter(|listen| listen.kind == ListenKind::Stdin).count() > 1 {
            bail!("listen: there is one standard input");
        }
        // With port 0 the system gives each another one.
        let sockets = self.listen.iter().filter_map(|listen| Some((listen.is_datagrams(), listen.address?)));
        let mut taken = HashSet::new();
        for (is_datagrams, address) in std::iter::once((false, self.api.address)).chain(sockets) {
            if address.port() != 0 && !taken.insert((is_datagrams, address)) {
                let what = if is_datagrams { "datagrams" } else { "connections" };
                bail!("{address} stands twice for {what}: in listen, or in listen and api");
            }
        }
        if self.api.connections_max == 0 || self.api.connections_per_address_max == 0 {
            bail!("api: without connections nobody can ask");
        }
        let mut names = HashSet::new();
        for notify in &self.notify {
            if !names.insert(&notify.name) {
                bail!("notify: {:?} stands twice", notify.name);
            }
            self.tenant(notify.tenant.as_deref()).with_context(|| format!("notify: {:?}", notify.name))?;
            if notify.name.is_empty() {
                bail!("notify: a name is needed");
            }
            if !is_web_address(&notify.slack_webhook) {
                bail!("notify: {:?}: slack_webhook is no web address, such as https://hooks.example/services/...", notify.name);
            }
            if !matches!(notify.language.as_str(), "ja" | "en") {
                bail!("notify: {:?}: language is ja or en", notify.name);
            }
        }
        Ok(())
    }

    /// The number of a tenant; the first one's where no name is given.
    pub(crate) fn tenant(&self, name: Option<&str>) -> Result<event::TenantId> {
        let Some(name) = name else { return Ok(event::TenantId(0)) };
        match self.tenants.iter().position(|tenant| tenant == name) {
            Some(at) => Ok(event::TenantId(at as u32)),
            None => bail!("no tenant is named {name:?}"),
        }
    }

    /// Whose the records are that come in at a listener, and who may send, how much and for whom.
    pub(crate) fn admission(&self, listen: &Listen) -> Result<(event::TenantId, Admission)> {
        let mut prefixes = HashSet::new();
        let mut sender = |Sender { cidr, tenant, records_per_second }: &Sender| {
            let net = cidr.parse().or_else(|_| cidr.parse().map(|ip: IpAddr| IpNet::from(ip)));
            let net = net.map_err(|_| anyhow!("it is no prefix and no address"))?;
            if !prefixes.insert(net.trunc()) {
                bail!("it stands twice");
            }
            let tenant = tenant.as_deref().map(|name| self.tenant(Some(name))).transpose()?;
            Ok(ingest::listen::Sender { cidr: net, tenant, records_per_second: *records_per_second })
        };
        let senders = listen.senders.iter().map(|one| sender(one).with_context(|| format!("senders: {:?}", one.cidr)));
        let senders = senders.collect::<Result<_>>()?;
        let admission = Admission { allow: listen.allow.clone(), records_per_second: listen.records_per_second, senders };
        Ok((self.tenant(listen.tenant.as_deref())?, admission))
    }

    /// How many worker threads to start.
    pub(crate) fn worker_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n.min(WORKERS_MAX),
        }
    }
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}

/// What a reader of YAML or TOML says, in words for whoever wrote the file: the place once, and what was meant.
fn in_words(said: &str) -> String {
    [
        (" --> <input>:", " at "),
        ("invalid socket address syntax", "expected an IP address and a port, such as 127.0.0.1:5514 or [::1]:5514"),
        ("invalid u32", "expected a whole number from 0"),
        ("invalid u64", "expected a whole number from 0"),
        ("invalid boolean", "expected true or false"),
        ("expected sequence start", "expected a list: lines that begin with - , or [...]"),
        ("expected mapping start", "expected keys with values"),
        (", set DuplicateKeyPolicy in Options if acceptable", ""),
    ]
    .into_iter()
    .fold(said.strip_prefix("error: ").unwrap_or(said).to_owned(), |text, (words, better)| text.replace(words, better))
}

/// Worker threads at most; beyond the machine's cores more do no good.
pub(crate) const WORKERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_file_is_the_default() {
        let shown = Config::parse(include_str!("../deploy/mihari.yaml"), false).expect("deploy/mihari.yaml is valid");
        assert_eq!(format!("{shown:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_wrong_key_is_refused_with_its_line() {
        let error = format!("{:#}", Config::parse("data: x\nlisen: []\n", false).expect_err("unknown key"));
        assert!(error.contains("lisen") && error.contains('2'), "{error}");
        let error = format!("{:#}", Config::parse("data = 'x'\nlisen = []\n", true).expect_err("unknown key"));
        assert!(error.contains("lisen") && error.contains('2'), "{error}");
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_line_and_what_was_meant() {
        for (text, meant) in [
            ("data: x\nlisten:\n  - {kind: syslog_udp, address: '127.0.0.1'}\n", "an IP address and a port"),
            ("data: x\n\nthreads: many\n", "a whole number from 0"),
            ("data: x\n\nrules: {pack: perhaps}\n", "true or false"),
            ("data: x\n\ntenants: one\n", "a list"),
        ] {
            let error = format!("{:#}", Config::parse(text, false).expect_err(text));
            assert!(error.contains("line 3 ") && error.contains(meant) && !error.contains("<input>"), "{error}");
        }
        let twice = format!("{:#}", Config::parse("data: x\ndata: y\n", false).expect_err("twice"));
        assert!(twice.contains("line 2 ") && twice.contains("duplicate") && !twice.contains("DuplicateKeyPolicy"), "{twice}");
    }

    #[test]
    fn kafka_is_refused_where_the_program_has_none() {
        let text = "listen: [{kind: kafka, kafka: {brokers: ['a:9092'], topics: [logs]}}]";
        assert_eq!(Config::parse(text, false).is_ok(), cfg!(feature = "kafka"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "tenants: []",
            "tenants: [a, a]",
            "tenants: ['../a']",
            "listen: [{kind: file}]",
            "listen: [{kind: syslog_udp}]",
            "listen: [{kind: file, path: /a}, {kind: file, path: /a, from: start}]",
            "listen: [{kind: stdin}, {kind: stdin}]",
            "listen: [{kind: relp, address: '127.0.0.1:601'}, {kind: syslog_tcp, address: '127.0.0.1:601'}]",
            "listen: [{kind: flow_udp, address: '127.0.0.1:514'}, {kind: syslog_udp, address: '127.0.0.1:514'}]",
            "{api: {address: '127.0.0.1:514'}, listen: [{kind: syslog_tcp, address: '127.0.0.1:514'}]}",
            "listen: [{kind: stdin, tenant: nobody}]",
            "listen: [{kind: stdin, senders: [{cidr: 10.0.0.0/8, records_per_second: 5}]}]",
            "listen: [{kind: relp, address: '127.0.0.1:0', senders: [{cidr: 10.0.0.0/8, tenant: nobody}]}]",
            "listen: [{kind: relp, address: '127.0.0.1:0', senders: [{cidr: 10.0.0.0/8, records_per_second: 0}]}]",
            "listen: [{kind: relp, address: '127.0.0.1:0', senders: [{cidr: 10.0.0.0/8}, {cidr: 10.1.0.0/8}]}]",
            "listen: [{kind: relp, address: '127.0.0.1:0', senders: [{cidr: nowhere}]}]",
            "listen: [{kind: syslog_udp, address: '127.0.0.1:0', proxy_protocol: true}]",
            "listen: [{kind: syslog_tcp, address: '127.0.0.1:0', sockets: 2}]",
            "listen: [{kind: syslog_tcp, address: '127.0.0.1:0', receive_buffer_bytes: 4096}]",
            "listen: [{kind: kafka}]",
            "listen: [{kind: kafka, kafka: {brokers: ['a:9092'], topics: []}}]",
            "listen: [{kind: kafka, kafka: {brokers: ['a:9092'], topics: [logs], group: '../x'}}]",
            "listen: [{kind: stdin, kafka: {brokers: ['a:9092'], topics: [logs]}}]",
            "listen: [{kind: syslog_udp, address: '127.0.0.1:0', charset: shift_jis}]",
            "listen: [{kind: stdin, multiline: {kind: cobol}}]",
            "listen: [{kind: stdin, multiline: {kind: java, start: '^x'}}]",
            "listen: [{kind: stdin, multiline: {start: '('}}]",
            "listen: [{kind: stdin, multiline: {kind: java, lines_max: 0}}]",
            "listen: [{kind: syslog_udp, address: '127.0.0.1:0', multiline: {kind: java}}]",
            "listen: [{kind: syslog_udp, address: '127.0.0.1:0', allow: [10.0.0.0/40]}]",
            "listen: [{kind: syslog_udp, address: '127.0.0.1:0', records_per_second: 0}]",
            "rules: {lateness_by_source: [{cidr: nowhere, lateness_s: 5}]}",
            "notify: [{name: a, slack_webhook: 'file:///etc/passwd'}]",
            "notify: [{name: a, slack_webhook: 'https://a.example/', tenant: nobody}]",
            "notify: [{name: a, slack_webhook: 'https://a.example/'}, {name: a, slack_webhook: 'https://b.example/'}]",
            "notify: [{name: a, slack_webhook: 'https://'}]",
            "notify: [{name: '', slack_webhook: 'https://a.example/'}]",
            "api: {connections_max: 0}",
            "api: {base_url: mihari.example}",
            "data: ''",
            "rules: {modes: [{rule: a, tenant: nobody, mode: record}]}",
            "journal: {retention_days: 0}",
            "journal: {retention_bytes: 0}",
            "index: {retention_days: 0}",
            "index: {shard_events: 0}",
            "index: {shard_hours: 0}",
            "index: {commit_ms: 0}",
        ] {
            assert!(Config::parse(text, false).is_err(), "{text}");
        }
        for text in [
            "listen: [{kind: syslog_udp, address: '127.0.0.1:514'}, {kind: syslog_tcp, address: '127.0.0.1:514'}]",
            "listen: [{kind: relp, address: '127.0.0.1:0'}, {kind: syslog_tcp, address: '127.0.0.1:0'}]",
        ] {
            assert!(Config::parse(text, false).is_ok(), "{text}");
        }
    }
}
