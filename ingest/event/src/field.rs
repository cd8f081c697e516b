//! Field names, interned. Names appear only at the edges; between them a field is a number.
//!
//! The constants are the ECS fields that decoders write often, and ours. Every other name is interned when a decoder or a
//! rule is built, or when a JSON record brings it (bounded by [`crate::limits::FIELDS_MAX`]).

use std::fmt;
use std::sync::LazyLock;

use crate::intern::Interner;
use crate::limits::{FIELD_NAME_BYTES_MAX, FIELDS_MAX};

/// An interned field name.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FieldId(u16);

static FIELDS: LazyLock<Interner> = LazyLock::new(|| Interner::new(KNOWN, FIELDS_MAX, FIELD_NAME_BYTES_MAX));

impl FieldId {
    /// The id of `name`, given now if it is new; `None` where the table of names is full or the name too long.
    pub fn intern(name: &str) -> Option<FieldId> {
        FIELDS.intern(name).map(FieldId)
    }

    /// The id of a name that the code itself spells, such as a decoder's table.
    ///
    /// # Panics
    /// Where the table is full: it is built before any input is read, so only a wrong bound can fill it.
    pub fn known(name: &'static str) -> FieldId {
        FieldId::intern(name).expect("the code's own field names fit the table")
    }

    /// The id of `name` if any record or rule has had it.
    pub fn find(name: &str) -> Option<FieldId> {
        FIELDS.find(name).map(FieldId)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        FIELDS.name(self.0)
    }

    /// The number, for tables indexed by field. It depends on the order in which names were seen: never show it.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The names so far; [`FieldId::index`] is the index.
    pub fn all_names() -> Vec<&'static str> {
        FIELDS.names()
    }

    /// Whether one of `others` is below this field, as `a.b` is below `a`.
    pub fn is_above_any(self, others: impl Iterator<Item = FieldId>) -> bool {
        FIELDS.any_below(self.0, others.map(|other| other.0))
    }

    /// Whether it is one of the constants: ECS's names, which decoders write beside those that a record has itself.
    pub fn is_constant(self) -> bool {
        self.index() < KNOWN.len()
    }

    /// Whether decoders say with it of what kind a record is, in words of their own that it need not have; or name by it what it tells of, in
    /// letters that mean nothing.
    pub fn is_classification(self) -> bool {
        let ours = FieldId::FLAGS.0..=FieldId::POLICY_LINE.0;
        ours.contains(&self.0)
            || matches!(
                self,
                FieldId::EVENT_KIND
                    | FieldId::EVENT_CATEGORY
                    | FieldId::EVENT_TYPE
                    | FieldId::EVENT_ACTION
                    | FieldId::EVENT_OUTCOME
                    | FieldId::EVENT_MODULE
                    | FieldId::EVENT_DATASET
                    | FieldId::OBSERVER_VENDOR
                    | FieldId::OBSERVER_PRODUCT
                    | FieldId::OBSERVER_TYPE
                    | FieldId::NETWORK_COMMUNITY_ID
                    | FieldId::LOG_LEVEL
                    | FieldId::SYSLOG_FACILITY_NAME
                    | FieldId::SYSLOG_SEVERITY_NAME
                    | FieldId::NETWORK_TRANSPORT
                    | FieldId::NETWORK_TYPE
                    | FieldId::NETWORK_DIRECTION
            )
    }

    /// How often a name was refused because the table was full or the name too long.
    pub fn refused() -> u64 {
        FIELDS.refused()
    }
}

impl fmt::Debug for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! fields {
    ($($id:ident = $name:literal,)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "numbers the constants below")]
        #[repr(u16)]
        enum Number { $($id,)* }

        impl FieldId {
            $(#[doc = concat!("`", $name, "`")] pub const $id: FieldId = FieldId(Number::$id as u16);)*
        }

        const KNOWN: &[&str] = &[$($name,)*];
    };
}

fields! {
    // The record itself.
    MESSAGE = "message",
    ERROR_MESSAGE = "error.message",
    TAGS = "tags",
    LOG_LEVEL = "log.level",
    SYSLOG_PRIORITY = "log.syslog.priority",
    SYSLOG_FACILITY_CODE = "log.syslog.facility.code",
    SYSLOG_FACILITY_NAME = "log.syslog.facility.name",
    SYSLOG_SEVERITY_CODE = "log.syslog.severity.code",
    SYSLOG_SEVERITY_NAME = "log.syslog.severity.name",
    SYSLOG_HOSTNAME = "log.syslog.hostname",
    SYSLOG_APPNAME = "log.syslog.appname",
    SYSLOG_PROCID = "log.syslog.procid",
    SYSLOG_MSGID = "log.syslog.msgid",
    SYSLOG_VERSION = "log.syslog.version",
    LOG_SOURCE_ADDRESS = "log.source.address",
    LOG_FILE_PATH = "log.file.path",
    KAFKA_TOPIC = "kafka.topic",
    // Ours.
    FLAGS = "mihari.flags",
    RELEASED = "mihari.released",
    RELEASED_FROM = "mihari.released_from",
    ZONE_SOURCE = "zone.source",
    ZONE_DESTINATION = "zone.destination",
    POLICY_VERDICT = "policy.verdict",
    POLICY_CLAUSE = "policy.clause",
    POLICY_INITIATOR = "policy.initiator",
    POLICY_LINE = "policy.line",
    // Event.
    EVENT_KIND = "event.kind",
    EVENT_CATEGORY = "event.category",
    EVENT_TYPE = "event.type",
    EVENT_ACTION = "event.action",
    EVENT_OUTCOME = "event.outcome",
    EVENT_REASON = "event.reason",
    EVENT_CODE = "event.code",
    EVENT_ID = "event.id",
    EVENT_MODULE = "event.module",
    EVENT_DATASET = "event.dataset",
    EVENT_PROVIDER = "event.provider",
    EVENT_SEVERITY = "event.severity",
    EVENT_CREATED = "event.created",
    EVENT_START = "event.start",
    EVENT_END = "event.end",
    EVENT_DURATION = "event.duration",
    EVENT_SEQUENCE = "event.sequence",
    EVENT_TIMEZONE = "event.timezone",
    // Ends of a communication.
    SOURCE_IP = "source.ip",
    SOURCE_PORT = "source.port",
    SOURCE_ADDRESS = "source.address",
    SOURCE_DOMAIN = "source.domain",
    SOURCE_MAC = "source.mac",
    SOURCE_BYTES = "source.bytes",
    SOURCE_PACKETS = "source.packets",
    SOURCE_NAT_IP = "source.nat.ip",
    SOURCE_NAT_PORT = "source.nat.port",
    SOURCE_USER_NAME = "source.user.name",
    SOURCE_AS_NUMBER = "source.as.number",
    DESTINATION_IP = "destination.ip",
    DESTINATION_PORT = "destination.port",
    DESTINATION_ADDRESS = "destination.address",
    DESTINATION_DOMAIN = "destination.domain",
    DESTINATION_MAC = "destination.mac",
    DESTINATION_BYTES = "destination.bytes",
    DESTINATION_PACKETS = "destination.packets",
    DESTINATION_NAT_IP = "destination.nat.ip",
    DESTINATION_NAT_PORT = "destination.nat.port",
    DESTINATION_USER_NAME = "destination.user.name",
    SOURCE_USER_DOMAIN = "source.user.domain",
    DESTINATION_AS_NUMBER = "destination.as.number",
    CLIENT_IP = "client.ip",
    CLIENT_PORT = "client.port",
    SERVER_IP = "server.ip",
    SERVER_PORT = "server.port",
    // Network.
    NETWORK_TRANSPORT = "network.transport",
    NETWORK_PROTOCOL = "network.protocol",
    NETWORK_TYPE = "network.type",
    NETWORK_IANA_NUMBER = "network.iana_number",
    NETWORK_BYTES = "network.bytes",
    NETWORK_PACKETS = "network.packets",
    NETWORK_DIRECTION = "network.direction",
    NETWORK_APPLICATION = "network.application",
    NETWORK_COMMUNITY_ID = "network.community_id",
    NETWORK_VLAN_ID = "network.vlan.id",
    FLOW_TCP_FLAGS = "flow.tcp_flags",
    FLOW_SAMPLING_RATE = "flow.sampling_rate",
    FLOW_END_REASON = "flow.end_reason",
    ICMP_TYPE = "icmp.type",
    ICMP_CODE = "icmp.code",
    FLOW_EXPORTER = "flow.exporter",
    FLOW_DOMAIN_ID = "flow.domain_id",
    FLOW_TEMPLATE_ID = "flow.template_id",
    // Observers and hosts.
    OBSERVER_NAME = "observer.name",
    OBSERVER_HOSTNAME = "observer.hostname",
    OBSERVER_IP = "observer.ip",
    OBSERVER_VENDOR = "observer.vendor",
    OBSERVER_PRODUCT = "observer.product",
    OBSERVER_VERSION = "observer.version",
    OBSERVER_TYPE = "observer.type",
    OBSERVER_SERIAL_NUMBER = "observer.serial_number",
    OBSERVER_INGRESS_INTERFACE_NAME = "observer.ingress.interface.name",
    OBSERVER_INGRESS_INTERFACE_ID = "observer.ingress.interface.id",
    OBSERVER_INGRESS_ZONE = "observer.ingress.zone",
    OBSERVER_EGRESS_INTERFACE_NAME = "observer.egress.interface.name",
    OBSERVER_EGRESS_INTERFACE_ID = "observer.egress.interface.id",
    OBSERVER_EGRESS_ZONE = "observer.egress.zone",
    HOST_NAME = "host.name",
    HOST_HOSTNAME = "host.hostname",
    HOST_IP = "host.ip",
    // People and processes.
    USER_NAME = "user.name",
    USER_ID = "user.id",
    USER_DOMAIN = "user.domain",
    USER_EFFECTIVE_NAME = "user.effective.name",
    GROUP_NAME = "group.name",
    PROCESS_NAME = "process.name",
    PROCESS_PID = "process.pid",
    PROCESS_COMMAND_LINE = "process.command_line",
    PROCESS_EXECUTABLE = "process.executable",
    PROCESS_WORKING_DIRECTORY = "process.working_directory",
    // Web, DNS, files.
    URL_ORIGINAL = "url.original",
    URL_FULL = "url.full",
    URL_PATH = "url.path",
    URL_QUERY = "url.query",
    URL_DOMAIN = "url.domain",
    URL_PORT = "url.port",
    URL_SCHEME = "url.scheme",
    URL_EXTENSION = "url.extension",
    HTTP_REQUEST_METHOD = "http.request.method",
    HTTP_REQUEST_REFERRER = "http.request.referrer",
    HTTP_REQUEST_BYTES = "http.request.bytes",
    HTTP_REQUEST_BODY_BYTES = "http.request.body.bytes",
    HTTP_RESPONSE_STATUS_CODE = "http.response.status_code",
    HTTP_RESPONSE_BYTES = "http.response.bytes",
    HTTP_RESPONSE_BODY_BYTES = "http.response.body.bytes",
    HTTP_VERSION = "http.version",
    USER_AGENT_ORIGINAL = "user_agent.original",
    DNS_QUESTION_NAME = "dns.question.name",
    DNS_QUESTION_TYPE = "dns.question.type",
    DNS_QUESTION_CLASS = "dns.question.class",
    DNS_QUESTION_REGISTERED_DOMAIN = "dns.question.registered_domain",
    DNS_ANSWERS_DATA = "dns.answers.data",
    DNS_ANSWERS_TYPE = "dns.answers.type",
    DNS_RESPONSE_CODE = "dns.response_code",
    FILE_NAME = "file.name",
    FILE_PATH = "file.path",
    FILE_HASH_MD5 = "file.hash.md5",
    FILE_HASH_SHA1 = "file.hash.sha1",
    FILE_HASH_SHA256 = "file.hash.sha256",
    FILE_SIZE = "file.size",
    TLS_VERSION = "tls.version",
    TLS_CIPHER = "tls.cipher",
    EMAIL_FROM_ADDRESS = "email.from.address",
    EMAIL_TO_ADDRESS = "email.to.address",
    EMAIL_SUBJECT = "email.subject",
    EMAIL_MESSAGE_ID = "email.message_id",
    EMAIL_LOCAL_ID = "email.local_id",
    // Rules that a device applied.
    RULE_ID = "rule.id",
    RULE_NAME = "rule.name",
    RULE_CATEGORY = "rule.category",
    RULE_RULESET = "rule.ruleset",
    RULE_UUID = "rule.uuid",
    RULE_DESCRIPTION = "rule.description",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_table_agree() {
        assert_eq!(FieldId::MESSAGE.name(), "message");
        assert_eq!(FieldId::RULE_RULESET.name(), "rule.ruleset");
        assert_eq!(FieldId::find("source.ip"), Some(FieldId::SOURCE_IP));
    }
}
