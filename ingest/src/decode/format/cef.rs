//! CEF (ArcSight "Implementing ArcSight Common Event Format", version 0 and 1):
//! `CEF:0|vendor|product|version|class id|name|severity|key=value key=value ...`.
//!
//! In the header `\|` and `\\` are escapes; in the extension `\=`, `\\`, `\n`, `\r`. A value may hold blanks: it ends where the next key
//! begins. A key is a word of letters, digits and `_ . - [ ]` before an unescaped `=`; since senders put what they were given into
//! values, an unescaped `=` after such a word within a value does begin a key: the format cannot tell. The first value of a key
//! stands, so what a later value forges does not replace it.

use event::{FieldId, RowBuilder, Time};

use super::extension::{self, Extension, Rest};
use super::{Kind, Recognise, cef_vendors, number, some_text};
use crate::decode::keys::Keys;
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    keys: Keys,
    rest: Rest,
    scratch: String,
    version: FieldId,
    vendor: FieldId,
    product: FieldId,
    class: FieldId,
    name: FieldId,
    severity: FieldId,
}

/// The dictionary of the extension (ArcSight, "CEF key names for event producers" and "for event consumers"), in both its short and its
/// full names. What hangs on the vendor is in [`cef_vendors`].
const KEYS: &str = "
    src | sourceAddress = source.ip:ip
    spt | sourcePort = source.port:int
    shost | sourceHostName = source.domain
    smac | sourceMacAddress = source.mac
    suser | sourceUserName = source.user.name:account
    suid | sourceUserId = source.user.id
    sntdom | sourceNtDomain = source.user.domain
    spriv | sourceUserPrivileges = source.user.roles
    sproc | sourceProcessName = source.process.name
    spid | sourceProcessId = source.process.pid:int
    sourceServiceName = source.service.name
    sourceTranslatedAddress = source.nat.ip:ip
    sourceTranslatedPort = source.nat.port:int
    sourceDnsDomain = source.registered_domain
    dst | destinationAddress = destination.ip:ip
    dpt | destinationPort = destination.port:int
    dhost | destinationHostName = destination.domain
    dmac | destinationMacAddress = destination.mac
    duser | destinationUserName = destination.user.name:account
    duid | destinationUserId = destination.user.id
    dntdom | destinationNtDomain = destination.user.domain
    dpriv | destinationUserPrivileges = destination.user.roles
    dproc | destinationProcessName = destination.process.name
    dpid | destinationProcessId = destination.process.pid:int
    destinationServiceName = destination.service.name
    destinationTranslatedAddress = destination.nat.ip:ip
    destinationTranslatedPort = destination.nat.port:int
    destinationDnsDomain = destination.registered_domain
    in | bytesIn = source.bytes:int
    out | bytesOut = destination.bytes:int
    proto | transportProtocol = network.transport:transport
    app | applicationProtocol = network.protocol:lower network.application
    act | deviceAction = event.action:verdict
    outcome | eventOutcome = event.outcome:outcome
    reason = event.reason
    msg | message = message
    externalId = event.id
    eventId = event.id
    request | requestUrl = url.original:uri
    requestMethod | requestmethod = http.request.method
    requestClientApplication = user_agent.original
    requestContext = http.request.referrer
    fname | filename = file.name
    filePath = file.path:file
    fsize | fileSize = file.size:int
    fileId = file.inode
    fileType = file.type
    oldFileName = file.previous.name
    dvc | deviceAddress = observer.ip:ip
    dvchost | deviceHostName = observer.hostname
    dvcmac | deviceMacAddress = observer.mac
    deviceInboundInterface = observer.ingress.interface.name
    deviceOutboundInterface = observer.egress.interface.name
    deviceProcessName = process.name
    dvcpid | deviceProcessId = process.pid:int
    ifname = observer.ingress.interface.name
    inzone = observer.ingress.zone
    outzone = observer.egress.zone
    rule_uid = rule.uuid
    cat | deviceEventCategory
    deviceFacility
    deviceExternalId
    deviceDirection
    rt | deviceReceiptTime
    start | startTime
    end | endTime
    cnt | baseEventCount
    fileHash
";

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            kind: Kind::new("cef", None, None, None),
            keys: Keys::new("cef.extensions.", KEYS),
            rest: Rest::new(),
            scratch: String::new(),
            version: FieldId::known("cef.version"),
            vendor: FieldId::known("cef.device.vendor"),
            product: FieldId::known("cef.device.product"),
            class: FieldId::known("cef.device.event_class_id"),
            name: FieldId::known("cef.name"),
            severity: FieldId::known("cef.severity"),
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["cef"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(4)
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["CEF:"]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        let message = if message.starts_with("CEF:") { message } else { context.with_tag("CEF") };
        let Some(start) = begins(message) else { return false };
        let mut parts: [&str; 7] = [""; 7];
        let mut rest = message[start..].trim_start();
        for nth in 0..parts.len() {
            match extension::unescaped(rest, b'|') {
                Some(end) => (parts[nth], rest) = (&rest[..end], &rest[end + 1..]),
                // UniFi OS leaves the name out: `..|admins|1|msg=..`.
                None if nth == 6 && parts[5].bytes().all(|b| b.is_ascii_digit()) && begins_with_key(rest) => {
                    (parts[5], parts[6]) = ("", parts[5]);
                }
                None => return false,
            }
        }
        let [version, vendor, product, device_version, class, name, severity] = parts;
        if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return false;
        }
        self.kind.mark(row);
        for (field, text) in [
            (self.version, version),
            (self.vendor, vendor),
            (self.product, product),
            (self.class, class),
            (self.name, name),
            (self.severity, severity),
            (FieldId::OBSERVER_VENDOR, vendor),
            (FieldId::OBSERVER_PRODUCT, product),
            (FieldId::OBSERVER_VERSION, device_version),
            (FieldId::EVENT_CODE, class),
        ] {
            some_text(row, field, extension::plain(text, &mut self.scratch));
        }
        number(row, FieldId::EVENT_SEVERITY, severity);
        let pairs = Extension::spaced(rest);
        self.keys.begin();
        cef_vendors::before(vendor, &pairs, &mut self.keys, &mut self.scratch, row);
        for (key, value) in pairs.iter() {
            self.keys.put(key, extension::plain(value, &mut self.scratch), row);
        }
        self.keys.finish(row);
        for (key, field) in [("start", FieldId::EVENT_START), ("end", FieldId::EVENT_END)] {
            if let Some(time) = pairs.get(key).and_then(|value| instant(value, context)) {
                row.time_cell(field, time);
            }
        }
        let receipt = pairs.get("rt").or(pairs.get("deviceReceiptTime")).or(pairs.get("start")).or(pairs.get("end"));
        if let Some(time) = receipt.and_then(|value| instant(value, context)) {
            row.time(time);
        }
        if let Some(hash) = pairs.get("fileHash") {
            extension::hash(hash, row);
        }
        cef_vendors::after(vendor, class, name, &pairs, &mut self.scratch, row);
        self.rest.write(&pairs, |key| !self.keys.knows(key), context, receipt.is_none(), &mut self.scratch, row);
        cef_vendors::last(row);
        // Some write from where it was done into the message alone.
        if let Some(said) = pairs.get("msg").or(pairs.get("message"))
            && [FieldId::SOURCE_IP, FieldId::DESTINATION_IP, FieldId::HOST_IP].iter().all(|field| !row.has(*field))
        {
            super::guess(extension::plain(said, &mut self.scratch), row);
        }
        if !row.has(FieldId::MESSAGE) {
            some_text(row, FieldId::MESSAGE, extension::plain(name, &mut self.scratch));
        }
        true
    }
}

/// Whether the text begins with a key and its value.
fn begins_with_key(text: &str) -> bool {
    text.split_once('=').is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// Where the version begins: the record is `CEF:...`, or a product's name stands before it (`ASM:CEF:0|...`), or what a header of the
/// sender's own ends with (`- CEF:0|...`, `[ACOS]<6> CEF:0|...`).
fn begins(message: &str) -> Option<usize> {
    let rest = message.trim_start();
    let lead = message.len() - rest.len();
    let at = rest[..rest.floor_char_boundary(36)].rfind("CEF:")?;
    let before = &rest[..at];
    let product = before.strip_suffix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    let own = ["- ", "> "].iter().any(|end| before.ends_with(end))
        && before.bytes().all(|b| b.is_ascii_alphanumeric() || b" -._[]<>".contains(&b));
    (before.is_empty() || product || own).then_some(lead + at + 4)
}

/// Milliseconds since 1970, or a date with a zone or without.
fn instant(value: &str, context: &Context<'_>) -> Option<Time> {
    match value.parse::<i64>() {
        Ok(ms) if (100_000_000_000..10_000_000_000_000).contains(&ms) => Some(Time::from_unix_ms(ms)),
        Ok(_) => None,
        Err(_) => {
            // `Tue Aug 13 15:15:48 2019`: the day of the week says nothing more.
            let value = match value.split_once(' ') {
                Some((day, rest)) if day.len() == 3 && rest.starts_with(|c: char| c.is_ascii_alphabetic()) => rest,
                _ => value,
            };
            stamp::any(value).and_then(|(s, _)| s.resolve(context.zone, context.reference))
        }
    }
}
