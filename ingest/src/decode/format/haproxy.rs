//! HAProxy's logs (HAProxy configuration manual, chapter 8): HTTP, TCP, connection errors and the default format.

use event::{FieldId, RowBuilder};

use super::web::{quoted, request_line};
use super::{Kind, Recognise, host_and_port_of, host_before_port_of, number, some_text};
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    frontend: FieldId,
    backend: FieldId,
    server: FieldId,
    state: FieldId,
    mode: FieldId,
    bytes_read: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("haproxy", Some("haproxy"), Some("webserver"), None),
            frontend: FieldId::known("haproxy.frontend_name"),
            backend: FieldId::known("haproxy.backend_name"),
            server: FieldId::known("haproxy.server_name"),
            state: FieldId::known("haproxy.termination_state"),
            mode: FieldId::known("haproxy.mode"),
            bytes_read: FieldId::known("haproxy.bytes_read"),
        }
    }

    /// `Connect from CLIENT to LISTENER (FRONTEND/MODE)`.
    fn connect(&self, message: &str, row: &mut RowBuilder<'_>) -> bool {
        let Some((client, rest)) = message.strip_prefix("Connect from ").and_then(|rest| rest.split_once(" to ")) else {
            return false;
        };
        let Some((listener, rest)) = rest.split_once(" (") else { return false };
        let Some((frontend, mode)) = rest.trim_end_matches(')').rsplit_once('/') else { return false };
        self.kind.mark(row);
        row.text(FieldId::EVENT_CATEGORY, "network");
        row.text(FieldId::EVENT_TYPE, "connection");
        row.text(FieldId::MESSAGE, message);
        client_of(client, row);
        host_and_port_of(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, FieldId::DESTINATION_PORT, listener);
        row.text(self.frontend, frontend);
        row.text(self.mode, mode);
        true
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["haproxy"]
    }

    fn recognise(&self) -> Recognise {
        let first = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-", ":", "a", "b", "c", "d", "e", "f", "["];
        first.iter().fold(Recognise::new().rank(4).app("haproxy"), |recognise, byte| recognise.starts(byte))
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&[" [", "] "]]
    }

    /// `CLIENT:PORT [TIME] FRONTEND BACKEND/SERVER [HOST] TIMERS STATUS BYTES COOKIE COOKIE STATE COUNTS QUEUES {HEADERS} "REQUEST"`
    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        if message.starts_with("Connect from ") {
            return self.connect(message, row);
        }
        let Some((client, rest)) = message.split_once(" [") else { return false };
        let Some((time, rest)) = rest.split_once("] ") else { return false };
        let (Some(stamp), false) = (stamp::clf(time), client.contains(' ')) else { return false };
        let Some((frontend, rest)) = rest.split_once(' ') else { return false };
        if let Some(problem) = frontend.strip_suffix(':') {
            // `frontend/listener: SSL handshake failure`
            self.kind.mark(row);
            context.set_time(row, Some(stamp));
            client_of(client, row);
            row.text(FieldId::EVENT_CATEGORY, "network");
            row.text(self.frontend, problem.split('/').next().unwrap_or(problem));
            row.text(FieldId::EVENT_OUTCOME, "failure");
            row.text(FieldId::EVENT_REASON, rest);
            row.text(FieldId::MESSAGE, message);
            return true;
        }
        let Some((server, mut rest)) = rest.split_once(' ') else { return false };
        let Some((backend, server)) = server.split_once('/') else { return false };
        let is_timers =
            |word: &str| word.contains('/') && word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'/' | b'-' | b'+'));
        let mut host = None;
        let mut word = rest.split(' ').next().unwrap_or("");
        if !is_timers(word) {
            host = Some(word);
            rest = rest.get(word.len() + 1..).unwrap_or("");
            word = rest.split(' ').next().unwrap_or("");
        }
        if !is_timers(word) {
            return false;
        }
        let timers = word;
        let total = timers.rsplit('/').next().unwrap_or("").trim_start_matches('+');
        let mut words = rest.split(' ').skip(1);
        let is_http = timers.split('/').count() >= 5;
        let status = if is_http { words.next().unwrap_or("") } else { "" };
        let bytes = words.next().unwrap_or("").trim_start_matches('+');
        if !bytes.bytes().all(|b| b.is_ascii_digit()) || bytes.is_empty() {
            return false;
        }
        self.kind.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, if is_http { "web" } else { "network" });
        context.set_time(row, Some(stamp));
        client_of(client, row);
        row.text(self.frontend, frontend.trim_end_matches('~'));
        row.text(self.backend, backend);
        some_text(row, self.server, server);
        if let Some(host) = host {
            host_and_port_of(row, FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, FieldId::DESTINATION_PORT, host);
        }
        if let Ok(ms) = total.parse::<i64>() {
            row.int(FieldId::EVENT_DURATION, ms.saturating_mul(1_000_000));
        }
        if is_http {
            number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, status);
            number(row, FieldId::HTTP_RESPONSE_BYTES, bytes);
            row.text(FieldId::EVENT_OUTCOME, if status >= "400" || status == "-1" { "failure" } else { "success" });
            let state = words.nth(2).unwrap_or("");
            some_text(row, self.state, state);
            if let Some((_, request)) = message.split_once(" \"") {
                request_line(quoted(request).0, row);
            }
        } else {
            number(row, FieldId::DESTINATION_BYTES, bytes);
            number(row, self.bytes_read, bytes);
            some_text(row, self.state, words.next().unwrap_or(""));
        }
        true
    }
}

fn client_of(client: &str, row: &mut RowBuilder<'_>) {
    host_before_port_of(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT, client);
}
