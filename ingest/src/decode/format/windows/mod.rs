//! Windows events, however they are carried: as JSON from NXLog or Winlogbeat ([`Events`] is asked by the reader of JSON), as the XML of
//! the event log, as Snare's tab-separated lines, and as the text of a message alone.
//!
//! An event's own data is kept under `winlog.event_data.*`, whose last names are the ones that Sigma rules use.

mod carried;
mod labels;
mod lines;
mod log_source;
mod message;
mod names;
mod snare;
mod xml;

use event::{FieldId, RowBuilder, Value};

use self::log_source::LogSources;
use crate::decode::record::table::{Format, Table, account};
use crate::decode::record::{Key, Keys, Record, View};
use crate::decode::text::Context;
pub(super) use carried::Carried;
pub(super) use lines::Reader as Lines;
pub(super) use message::Reader as Message;
pub(super) use snare::Reader as Snare;
pub(super) use xml::{Reader as Xml, unescape};

/// Where one carrier has what the code below asks for.
struct Layout {
    table: Table,
    event_id: Key,
    channel: Key,
    provider: Key,
    keywords: Key,
    event_type: Key,
    computer: [Key; 3],
    message: Key,
    process_id: Key,
    user: [Key; 3],
    data: Data,
}

/// The event's own data, by name.
macro_rules! data {
    ($($id:ident = $name:literal,)*) => {
        struct Data { $($id: Key,)* }

        impl Data {
            fn below(prefix: &str, keys: &mut Keys) -> Data {
                Data { $($id: keys.declare(&format!("{prefix}{}", $name)),)* }
            }
        }
    };
}

data! {
    image = "Image",
    process_name = "ProcessName",
    new_process_name = "NewProcessName",
    caller_process_name = "CallerProcessName",
    source_image = "SourceImage",
    image_loaded = "ImageLoaded",
    application = "Application",
    current_directory = "CurrentDirectory",
    parent_image = "ParentImage",
    parent_process_name = "ParentProcessName",
    target_image = "TargetImage",
    process_id = "ProcessId",
    new_process_id = "NewProcessId",
    source_process_id = "SourceProcessId",
    hashes = "Hashes",
    hash = "Hash",
    user = "User",
    subject_user = "SubjectUserName",
    subject_domain = "SubjectDomainName",
    subject_sid = "SubjectUserSid",
    target_user = "TargetUserName",
    target_domain = "TargetDomainName",
    target_sid = "TargetUserSid",
    target_account_sid = "TargetSid",
    account_name = "AccountName",
    account_domain = "AccountDomain",
    group_sid = "GroupSid",
    context_info = "ContextInfo",
    query_results = "QueryResults",
    remote_name = "RemoteName",
    event_type = "EventType",
    param1 = "Param1",
    param2 = "Param2",
    param3 = "Param3",
}

/// Fields that are written here.
macro_rules! fields {
    ($($id:ident = $name:literal,)*) => {
        struct Fields { $($id: FieldId,)* }

        impl Fields {
            fn new() -> Fields {
                Fields { $($id: FieldId::known($name),)* }
            }
        }
    };
}

fields! {
    parent_executable = "process.parent.executable",
    parent_name = "process.parent.name",
    target_name = "process.target.executable",
    resolved = "dns.resolved_ip",
    group_id = "group.id",
    group_name = "group.name",
    process_md5 = "process.hash.md5",
    process_sha1 = "process.hash.sha1",
    process_sha256 = "process.hash.sha256",
    process_imphash = "process.pe.imphash",
    file_md5 = "file.hash.md5",
    file_sha1 = "file.hash.sha1",
    file_sha256 = "file.hash.sha256",
    file_imphash = "file.pe.imphash",
    file_name = "file.name",
    file_path = "file.path",
}

/// What an event's message says where its data is left out.
struct Told {
    record: Record,
    layout: Layout,
}

impl Layout {
    /// Names that stand side by side.
    fn flat(format: &Format, keys: &mut Keys) -> Layout {
        Layout {
            table: Table::new(format, keys),
            event_id: keys.declare("EventID"),
            channel: keys.declare("Channel"),
            provider: keys.declare("SourceName"),
            keywords: keys.declare("Keywords"),
            event_type: keys.declare("EventType"),
            computer: ["Hostname", "Computer", "ComputerName"].map(|name| keys.declare(name)),
            message: keys.declare("Message"),
            process_id: keys.declare("ProcessID"),
            user: ["AccountName", "Domain", "UserID"].map(|name| keys.declare(name)),
            data: Data::below("", keys),
        }
    }
}

/// Windows events whose names were read.
pub(super) struct Events {
    flat: Layout,
    nested: Layout,
    /// What Fluentd's first input of the event log writes.
    fluentd: Layout,
    told: Told,
    fields: Fields,
    sources: LogSources,
    own_process_id: Key,
    own_user: Key,
    own_outcome: Key,
    own_module: Key,
}

impl Events {
    pub(super) fn new(keys: &mut Keys) -> Events {
        let flat = Layout::flat(&names::FLAT, keys);
        let nested = Layout {
            table: Table::new(&names::NESTED, keys),
            event_id: keys.declare("winlog.event_id"),
            channel: keys.declare("winlog.channel"),
            provider: keys.declare("winlog.provider_name"),
            keywords: keys.declare("winlog.keywords"),
            event_type: keys.declare("winlog.event_type"),
            computer: [keys.declare("winlog.computer_name"); 3],
            message: keys.declare("message"),
            process_id: keys.declare("winlog.process.pid"),
            user: ["winlog.user.name", "winlog.user.domain", "winlog.user.identifier"].map(|name| keys.declare(name)),
            data: Data::below("winlog.event_data.", keys),
        };
        let fluentd = Layout {
            table: Table::new(&names::FLUENTD, keys),
            event_id: keys.declare("event_id"),
            channel: keys.declare("channel"),
            provider: keys.declare("source_name"),
            keywords: keys.declare("keywords"),
            event_type: keys.declare("event_type"),
            computer: [keys.declare("computer_name"); 3],
            message: keys.declare("description"),
            process_id: keys.declare("process_id"),
            user: ["user", "domain", "user_id"].map(|name| keys.declare(name)),
            data: Data::below("event_data.", keys),
        };
        let mut record = Record::new();
        let layout = Layout::flat(&names::TOLD, &mut record.keys);
        let told = Told { record, layout };
        Events {
            flat,
            nested,
            fluentd,
            told,
            fields: Fields::new(),
            sources: LogSources::new(),
            own_process_id: keys.declare("process.pid"),
            own_user: keys.declare("user.name"),
            own_outcome: keys.declare("event.outcome"),
            own_module: keys.declare("event.module"),
        }
    }

    /// Writes the record if it is a Windows event.
    pub(super) fn read(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let view = record.view(text);
        let nested = self.nested.table.fits(view);
        let Events { flat, nested: other, fluentd, told, fields, sources, .. } = self;
        let layout = match () {
            () if nested => other,
            () if flat.table.fits(view) => flat,
            () if fluentd.table.fits(view) => fluentd,
            () => return false,
        };
        layout.table.write(record, text, context, row);
        let event = Event { view, layout, fields, sources, nested };
        event.write_source(row);
        event.write_host(row);
        if !view.has(self.own_outcome) {
            event.write_outcome(row);
        }
        if !row.has(FieldId::EVENT_CATEGORY) {
            event.write_category(row);
        }
        if nested && !view.has(self.own_module) {
            row.text(FieldId::EVENT_MODULE, if event.channel() == "Security" { "security" } else { "windows" });
        }
        if event.lacks_data()
            && let Some(message) = event.text(layout.message)
            && told.fill(message, event.is_sysmon())
        {
            told.layout.table.write_native(&told.record, message, row);
            told.tell(&event);
            let view = told.record.view(message);
            told.layout.table.write_rules(view, context, row);
            let event = Event { view, layout: &told.layout, fields, sources, nested };
            event.write_process(row, false);
            event.write_users(row, false);
        }
        event.write_process(row, view.has(self.own_process_id) || row.has(FieldId::PROCESS_EXECUTABLE));
        event.write_hashes(row);
        event.write_users(row, view.has(self.own_user) || row.has(FieldId::USER_NAME));
        event.write_extras(row);
        true
    }
}

/// One event at hand.
struct Event<'a, 't> {
    view: View<'t>,
    layout: &'a Layout,
    fields: &'a Fields,
    sources: &'a LogSources,
    /// Whether its names are ECS names beside `winlog.*`.
    nested: bool,
}

/// Event numbers of failed logons and validations.
const FAILURES: &[i64] = &[4625, 4771, 4777, 5152, 5157];

impl<'t> Event<'_, 't> {
    fn id(&self) -> i64 {
        self.view.int(self.layout.event_id).unwrap_or(0)
    }

    fn channel(&self) -> &'t str {
        self.text(self.layout.channel).unwrap_or("")
    }

    fn provider(&self) -> &'t str {
        self.text(self.layout.provider).unwrap_or("")
    }

    /// The text of `key` where it says anything.
    fn text(&self, key: Key) -> Option<&'t str> {
        self.view.text(key).filter(|text| *text != "-")
    }

    /// Whether the record has nothing of who did what: it may stand in the message.
    fn lacks_data(&self) -> bool {
        let data = &self.layout.data;
        let who = [data.subject_user, data.target_user, data.subject_sid, data.target_sid, data.image, data.new_process_name];
        // Beside a message, forwarders (Snare) have a column `User` that says no more than a name.
        let user = if self.is_sysmon() { self.text(data.user) } else { None };
        user.is_none_or(str::is_empty) && !who.iter().any(|key| self.text(*key).is_some_and(|user| !user.is_empty()))
    }

    fn is_sysmon(&self) -> bool {
        self.channel().starts_with("Microsoft-Windows-Sysmon") || self.provider() == "Microsoft-Windows-Sysmon"
    }

    fn write_source(&self, row: &mut RowBuilder<'_>) {
        let id = self.id();
        row.log_source(self.sources.of(self.channel(), self.provider(), id, self.text(self.layout.data.event_type)));
    }

    fn computer(&self) -> Option<&'t str> {
        self.layout.computer.iter().find_map(|key| self.text(*key))
    }

    fn write_host(&self, row: &mut RowBuilder<'_>) {
        let Some(host) = self.computer() else { return };
        if !self.nested {
            row.text(FieldId::HOST_NAME, host);
        }
        if !row.has(FieldId::HOST_HOSTNAME) {
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            row.text(FieldId::HOST_HOSTNAME, if is_address { host } else { host.split('.').next().unwrap_or(host) });
        }
    }

    /// What the security log's number tells of.
    fn write_category(&self, row: &mut RowBuilder<'_>) {
        if self.provider() != "Microsoft-Windows-Security-Auditing" {
            return;
        }
        let (category, kind) = match self.id() {
            4634 | 4647 | 4779 => ("authentication", "end"),
            4624 | 4625 | 4648 | 4768..=4772 | 4776..=4778 => ("authentication", "start"),
            4672 | 4673 | 4720..=4767 | 4780..=4782 | 4794 | 4797..=4799 => ("iam", ""),
            4688 => ("process", "start"),
            4689 => ("process", "end"),
            _ => return,
        };
        row.text(FieldId::EVENT_CATEGORY, category);
        if !kind.is_empty() && !row.has(FieldId::EVENT_TYPE) {
            row.text(FieldId::EVENT_TYPE, kind);
        }
    }

    /// As the audit's keyword says; where no keyword is told, as the number does.
    fn write_outcome(&self, row: &mut RowBuilder<'_>) {
        // "Audit Success" and "Audit Failure" (winmeta.h: WINEVENT_KEYWORD_AUDIT_SUCCESS, _FAILURE).
        const SUCCESS: u64 = 0x0020_0000_0000_0000;
        const FAILURE: u64 = 0x0010_0000_0000_0000;
        const SUCCESSES: [&str; 4] = ["audit success", "success audit", "audit_success", "成功の監査"];
        const FAILURES_TOLD: [&str; 4] = ["audit failure", "failure audit", "audit_failure", "失敗の監査"];
        let mut outcome = None;
        // Keywords come last: what passes through a floating-point number loses their lowest bits.
        for value in self.view.all(self.layout.event_type).chain(self.view.all(self.layout.keywords)) {
            let bits = match value {
                Value::Int(n) => n as u64,
                Value::Uint(n) => n,
                Value::Text(text) => {
                    let number = text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
                    match number.unwrap_or_else(|| text.parse()) {
                        Ok(bits) => bits,
                        Err(_) if SUCCESSES.iter().any(|word| text.eq_ignore_ascii_case(word)) => SUCCESS,
                        Err(_) if FAILURES_TOLD.iter().any(|word| text.eq_ignore_ascii_case(word)) => FAILURE,
                        Err(_) => 0,
                    }
                }
                _ => 0,
            };
            outcome = outcome.or(match () {
                () if bits & FAILURE != 0 => Some("failure"),
                () if bits & SUCCESS != 0 => Some("success"),
                () => None,
            });
        }
        let is_audit = self.channel() == "Security" || self.provider() == "Microsoft-Windows-Security-Auditing";
        let by_number = || is_audit.then(|| if FAILURES.contains(&self.id()) { "failure" } else { "success" });
        if let Some(outcome) = outcome.or_else(by_number) {
            row.text(FieldId::EVENT_OUTCOME, outcome);
        }
    }

    fn write_process(&self, row: &mut RowBuilder<'_>, has_own_id: bool) {
        let data = &self.layout.data;
        let images =
            [data.image, data.new_process_name, data.process_name, data.caller_process_name, data.source_image, data.application];
        let image = images.iter().find_map(|key| self.text(*key));
        let image = image.or_else(|| self.text(data.image_loaded).filter(|_| self.is_sysmon() && self.id() == 6));
        if let Some(image) = image.filter(|_| !row.has(FieldId::PROCESS_EXECUTABLE)) {
            row.text(FieldId::PROCESS_EXECUTABLE, image);
            let (folder, name) = split_path(image);
            if !row.has(FieldId::PROCESS_NAME) || !self.nested {
                row.remove(FieldId::PROCESS_NAME);
                row.text(FieldId::PROCESS_NAME, name);
            }
            // Sysmon tells the directory of the process; elsewhere it is the program's own, as others fill it too.
            if !row.has(FieldId::PROCESS_WORKING_DIRECTORY) && !folder.is_empty() {
                row.text(FieldId::PROCESS_WORKING_DIRECTORY, self.text(data.current_directory).unwrap_or(folder));
            }
        } else if let Some(host) = self.text(data.context_info).and_then(host_application) {
            row.text(FieldId::PROCESS_COMMAND_LINE, host);
            let program = program_of(host);
            row.remove(FieldId::PROCESS_NAME);
            row.text(FieldId::PROCESS_NAME, split_path(program).1);
        }
        if let Some(parent) = self.text(data.parent_image).or_else(|| self.text(data.parent_process_name))
            && !row.has(self.fields.parent_executable)
        {
            row.text(self.fields.parent_executable, parent);
            row.text(self.fields.parent_name, split_path(parent).1);
        }
        if let Some(target) = self.text(data.target_image) {
            row.text(self.fields.target_name, target);
        }
        self.strip_quotes(row);
        // The process that wrote the record, which need not be the one that the event is about.
        if let Some(writer) = self.view.int(self.layout.process_id).filter(|_| self.nested) {
            row.int(FieldId::SYSLOG_PROCID, writer);
        }
        if !has_own_id {
            // NXLog names the reporting process `ProcessID` and leaves out the event's own `ProcessId`, which the message still has.
            let told = self
                .view
                .text(self.layout.message)
                .filter(|_| self.is_sysmon())
                .and_then(|m| line_of(m, "ProcessId: ").or_else(|| line_of(m, "SourceProcessId: ")));
            let pid = self
                .view
                .int(data.new_process_id)
                .or_else(|| self.view.int(data.source_process_id).filter(|_| self.is_sysmon()))
                .or_else(|| self.view.int(data.process_id).filter(|_| self.is_sysmon() || !self.view.has(self.layout.process_id)))
                .or_else(|| told.and_then(|text| text.parse().ok()))
                .or_else(|| self.view.int(self.layout.process_id));
            if let Some(pid) = pid {
                row.remove(FieldId::PROCESS_PID);
                row.int(FieldId::PROCESS_PID, pid);
            }
        }
    }

    /// A command line that is one quoted path is that path.
    fn strip_quotes(&self, row: &mut RowBuilder<'_>) {
        if self.nested {
            return;
        }
        let Some(Value::Text(text)) = row.get(FieldId::PROCESS_COMMAND_LINE) else { return };
        if let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).filter(|inner| !inner.contains('"')) {
            let end = 1 + inner.len();
            row.keep_part(FieldId::PROCESS_COMMAND_LINE, 1..end);
        }
    }

    /// `MD5=..,SHA256=..`: of the process that starts, or of the file that is loaded, written or deleted.
    fn write_hashes(&self, row: &mut RowBuilder<'_>) {
        let Some(hashes) = self.text(self.layout.data.hashes).or_else(|| self.text(self.layout.data.hash)) else { return };
        let f = self.fields;
        let of_process = self.is_sysmon() && self.id() == 1;
        for (name, value) in hashes.split(',').filter_map(|part| part.split_once('=')) {
            let field = match (name.trim(), of_process) {
                ("MD5", true) => f.process_md5,
                ("SHA1", true) => f.process_sha1,
                ("SHA256", true) => f.process_sha256,
                ("IMPHASH", true) => f.process_imphash,
                ("MD5", false) => f.file_md5,
                ("SHA1", false) => f.file_sha1,
                ("SHA256", false) => f.file_sha256,
                ("IMPHASH", false) => f.file_imphash,
                _ => continue,
            };
            if !row.has(field) {
                crate::decode::record::table::lower(row, field, value);
            }
        }
    }

    /// Who did it: the subject of an audit event, the user of a Sysmon event, or else the account that the event was written for.
    fn write_users(&self, row: &mut RowBuilder<'_>, has_own: bool) {
        let data = &self.layout.data;
        let [account_name, account_domain, account_id] = self.layout.user;
        let subject = self.text(data.subject_user);
        if !has_own {
            if let Some(user) = self.text(data.user).filter(|_| subject.is_none()) {
                account(row, FieldId::USER_NAME, FieldId::USER_DOMAIN, user);
                if !user.contains('\\')
                    && let Some(domain) = self.text(account_domain)
                {
                    row.text(FieldId::USER_DOMAIN, domain);
                }
            } else if let Some(subject) = subject {
                row.text(FieldId::USER_NAME, subject);
                // Others leave out the `$` of a computer's account.
                if let Some(bare) = subject.strip_suffix('$').filter(|_| self.nested) {
                    row.text(FieldId::USER_NAME, bare);
                }
                if let Some(domain) = self.text(data.subject_domain) {
                    row.text(FieldId::USER_DOMAIN, domain);
                }
            } else if let Some(name) = self.text(account_name).or_else(|| self.text(data.account_name)) {
                row.text(FieldId::USER_NAME, name);
                let domain = self.text(account_domain).or_else(|| self.text(data.account_domain));
                // An account without a domain is the computer's own.
                if let Some(domain) = domain.or_else(|| self.computer()) {
                    row.text(FieldId::USER_DOMAIN, domain);
                }
            } else if let Some(target) = self.text(data.target_user) {
                row.text(FieldId::USER_NAME, target);
                if let Some(domain) = self.text(data.target_domain) {
                    row.text(FieldId::USER_DOMAIN, domain);
                }
            }
        }
        if !row.has(FieldId::USER_ID) {
            let ids = [data.subject_sid, account_id, data.target_sid, data.target_account_sid];
            if let Some(id) = ids.iter().find_map(|key| self.text(*key)) {
                row.text(FieldId::USER_ID, id);
            }
        }
        let is_group = matches!(self.id(), 4727..=4735 | 4737 | 4744..=4764 | 4799);
        let group_id = self.text(data.group_sid).or_else(|| self.text(data.target_account_sid).filter(|_| is_group));
        if let Some(id) = group_id.filter(|_| !row.has(self.fields.group_id)) {
            row.text(self.fields.group_id, id);
        }
        if is_group
            && let Some(group) = self.text(data.target_user)
            && !row.has(self.fields.group_name)
        {
            row.text(self.fields.group_name, group);
        }
    }

    fn write_extras(&self, row: &mut RowBuilder<'_>) {
        let data = &self.layout.data;
        if self.is_sysmon() && self.id() == 22 {
            if !row.has(FieldId::NETWORK_PROTOCOL) {
                row.text(FieldId::NETWORK_PROTOCOL, "dns");
            }
            // `type:  5 name;::ffff:192.0.2.1;`
            let results = self.text(data.query_results).filter(|_| !row.has(self.fields.resolved));
            for ip in results.unwrap_or("").split(';').filter_map(|part| part.trim().parse::<std::net::IpAddr>().ok()) {
                row.ip(self.fields.resolved, ip.to_canonical());
            }
        }
        if self.text(data.remote_name).is_some() && matches!(row.get(FieldId::URL_DOMAIN), Some(Value::Text(_))) {
            row.copy_first(FieldId::URL_DOMAIN, FieldId::DESTINATION_DOMAIN);
            row.copy_first(FieldId::URL_ORIGINAL, FieldId::URL_FULL);
        }
        // Addresses of clients on a dual stack come as `::ffff:192.0.2.1`.
        if let Some(Value::Ip(ip)) = row.get(FieldId::SOURCE_IP)
            && ip.to_canonical() != ip
        {
            if !self.nested {
                row.remove(FieldId::SOURCE_IP);
            }
            row.ip(FieldId::SOURCE_IP, ip.to_canonical());
        }
        let message = self.view.text(self.layout.message).unwrap_or("");
        if self.provider() == "Microsoft-Windows-SMBServer"
            && let Some(client) = line_of(message, "Client Address: ")
        {
            super::host_and_port_of(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT, client);
        }
        // Who connected by remote desktop stands in numbered values, or in the message's lines.
        if self.provider() == "Microsoft-Windows-TerminalServices-RemoteConnectionManager" && self.id() == 1149 {
            let said = |key, label| self.text(key).or_else(|| line_of(message, label)).filter(|value| !value.is_empty());
            for (key, label, field) in
                [(data.param1, "User: ", FieldId::USER_NAME), (data.param2, "Domain: ", FieldId::USER_DOMAIN)]
            {
                if let Some(value) = said(key, label).filter(|_| !row.has(field)) {
                    row.text(field, value);
                }
            }
            if let Some(client) = said(data.param3, "Source Network Address: ").filter(|_| !row.has(FieldId::SOURCE_IP)) {
                super::address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, client);
            }
        }
        if self.provider() == "Microsoft-Windows-AppLocker"
            && !row.has(self.fields.file_path)
            && let Some((path, _)) = message.split_once(" was ")
        {
            row.text(self.fields.file_path, path);
            row.text(self.fields.file_name, split_path(path).1);
        }
    }
}

impl Told {
    /// Reads what `message` says; false where that is nothing.
    fn fill(&mut self, message: &str, is_sysmon: bool) -> bool {
        self.record.begin();
        let record = &mut self.record;
        let mut put = |name: &str, value: &str| {
            let key = record.keys.child(Key::ROOT, name);
            record.text(message, key, value);
        };
        if is_sysmon {
            // `Image: C:\\Windows\\x.exe`: the labels are the data's names.
            let lines = message.lines().filter_map(|line| line.trim().split_once(": "));
            for (name, value) in lines.filter(|(name, _)| name.bytes().all(|b| b.is_ascii_alphanumeric())) {
                put(name, value);
            }
        } else {
            labels::read(message, put);
        }
        !self.record.is_empty()
    }

    /// What the record said about the event.
    fn tell(&mut self, event: &Event<'_, '_>) {
        let Told { record, layout } = self;
        record.unescaped(layout.event_id, |out| {
            use std::fmt::Write;
            write!(out, "{}", event.id()).expect("writing to a String does not fail");
        });
        record.unescaped(layout.channel, |out| out.push_str(event.channel()));
        record.unescaped(layout.provider, |out| out.push_str(event.provider()));
    }
}

/// The folder with its last separator, and the name.
fn split_path(path: &str) -> (&str, &str) {
    path.split_at(path.rfind(['\\', '/']).map_or(0, |at| at + 1))
}

/// What follows `label` at the start of a line of `message`.
fn line_of<'t>(message: &'t str, label: &str) -> Option<&'t str> {
    message.lines().find_map(|line| line.trim_start().strip_prefix(label)).map(str::trim_end)
}

/// PowerShell's `ContextInfo` has a line each for severity, host name, version and id, then the host application: the order is the same
/// in every language, the labels are not.
fn host_application(context: &str) -> Option<&str> {
    let line = context.lines().filter(|line| line.contains(" = ")).nth(4)?;
    Some(line.split_once(" = ")?.1.trim()).filter(|text| !text.is_empty())
}

/// The program of a command line.
fn program_of(command: &str) -> &str {
    match command.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or(rest),
        // A path may have blanks before its program's name, but hardly behind it.
        None => match command.find(".exe") {
            Some(at) => &command[..at + 4],
            None => command.split(' ').next().unwrap_or(command),
        },
    }
}
