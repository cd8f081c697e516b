//! Keycloak's event log (Keycloak server administration guide, "Auditing user events"): `type="LOGIN", realmId="..", ..`, as a line of
//! its console log or as the message of its ECS-formatted JSON.

use event::{FieldId, LogSource, RowBuilder};

use super::{Kind, Recognise};
use crate::decode::pairs::pairs;
use crate::decode::record::table::{Format, Table, To};
use crate::decode::record::{Key, Keys, Record};
use crate::decode::stamp;
use crate::decode::text::Context;

const JSON: Format = Format {
    name: "keycloak",
    source: LogSource { product: Some("keycloak"), category: Some("application"), service: None },
    needs: &[&["log.logger=org.keycloak.events", "message"], &["loggerName=org.keycloak.events", "message"]],
    native: "",
    constants: &[("event.category", "authentication"), ("event.kind", "event"), ("observer.product", "Keycloak")],
    rules: &[(
        "",
        &[
            ("@timestamp", To::Time),
            ("timestamp", To::Time),
            ("host.hostname", To::As("host.name")),
            ("hostName", To::As("host.name")),
            ("level", To::As("log.level")),
            ("processName", To::As("process.name")),
            ("processId", To::Number("process.pid")),
            ("threadId", To::Number("process.thread.id")),
        ],
    )],
};

/// What an event says, wherever it stands.
struct Names {
    native: crate::decode::names::Names,
    code: FieldId,
    redirect: FieldId,
}

impl Names {
    fn new() -> Names {
        Names {
            native: crate::decode::names::Names::new("keycloak."),
            code: FieldId::EVENT_CODE,
            redirect: FieldId::known("url.original"),
        }
    }

    /// Writes the pairs of `event`.
    fn write(&mut self, event: &str, row: &mut RowBuilder<'_>) {
        let mut user = None;
        let mut kind = "";
        for pair in pairs(event) {
            let value = if pair.value == "null" { "" } else { pair.value };
            if value.is_empty() {
                continue;
            }
            if let Some(field) = self.native.field(pair.key) {
                row.text(field, value);
            }
            match pair.key {
                "type" | "operationType" => {
                    kind = value;
                    row.text(self.code, value);
                    row.text(FieldId::EVENT_ACTION, value);
                }
                "clientId" => row.text(FieldId::EVENT_PROVIDER, value),
                "userId" => row.text(FieldId::USER_ID, value),
                "username" => user = Some(value),
                "identity_provider_identity" => user = user.or(Some(value)),
                "ipAddress" => super::address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, value),
                "error" => row.text(FieldId::EVENT_REASON, value),
                "redirect_uri" => row.text(self.redirect, value),
                _ => {}
            }
        }
        if let Some(user) = user {
            row.text(FieldId::USER_NAME, user);
        }
        let failed = kind.ends_with("_ERROR");
        row.text(FieldId::EVENT_OUTCOME, if failed { "failure" } else { "success" });
        row.text(
            FieldId::EVENT_TYPE,
            if failed {
                "denied"
            } else if kind == "LOGOUT" {
                "end"
            } else {
                "info"
            },
        );
    }
}

/// Keycloak's events within JSON.
pub(super) struct Events {
    table: Table,
    names: Names,
    message: Key,
}

impl Events {
    pub(super) fn new(keys: &mut Keys) -> Events {
        Events { table: Table::new(&JSON, keys), names: Names::new(), message: keys.declare("message") }
    }

    pub(super) fn read(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let view = record.view(text);
        let Some(message) = view.text(self.message).filter(|m| is_event(m)).filter(|_| self.table.fits(view)) else {
            return false;
        };
        self.table.write(record, text, context, row);
        self.names.write(message, row);
        true
    }
}

fn is_event(text: &str) -> bool {
    ["type=", "operationType="].iter().any(|first| text.starts_with(first)) && text.contains("realmId=")
}

/// Keycloak's console lines: `2026-04-01 09:00:00,000 WARN  [org.keycloak.events] (executor-thread-1) type="LOGIN_ERROR", ..`.
pub(super) struct Reader {
    kind: Kind,
    names: Names,
    thread: FieldId,
    logger: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("keycloak", Some("keycloak"), Some("application"), None),
            names: Names::new(),
            thread: FieldId::known("process.thread.name"),
            logger: FieldId::known("log.logger"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["keycloak"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().rank(4).starts("1").starts("2").stamped()
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["org.key", ".events", "] ("]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        let Some((stamp, rest)) = stamp::iso(message) else { return false };
        let Some((level, rest)) = rest.trim_start().split_once(' ') else { return false };
        let Some((logger, rest)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("] (")) else {
            return false;
        };
        let Some((thread, event)) = rest.split_once(") ") else { return false };
        if !logger.starts_with("org.key") || !logger.ends_with(".events") || !is_event(event) {
            return false;
        }
        self.kind.mark(row);
        context.set_time(row, Some(stamp));
        row.text(FieldId::EVENT_CATEGORY, "authentication");
        row.text(FieldId::LOG_LEVEL, level);
        row.text(self.logger, logger);
        row.text(self.thread, thread);
        row.text(FieldId::MESSAGE, event);
        self.names.write(event, row);
        true
    }
}
