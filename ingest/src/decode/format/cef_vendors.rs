//! What vendors mean by their CEF extensions where the dictionary does not say: custom labels, own keys, whose address `dst` is.

use std::net::IpAddr;

use event::{FieldId, RowBuilder, Value};

use super::extension::{self, Extension, plain};
use super::{address, number, some_text};
use crate::decode::cut::between;
use crate::decode::keys::Keys;

/// Before the dictionary is applied: fields that the vendor's own meaning takes.
pub(super) fn before(vendor: &str, pairs: &Extension<'_>, keys: &mut Keys, scratch: &mut String, row: &mut RowBuilder<'_>) {
    match vendor {
        // The client's port, while `spt` is the port towards the origin server.
        "Incapsula" | "Imperva" if pairs.get("sourceServiceName").is_some() => {
            if let Some(port) = pairs.get("cpt") {
                keys.claim(FieldId::SOURCE_PORT);
                number(row, FieldId::SOURCE_PORT, port);
            }
        }
        "Cisco" if pairs.get("ESAMID").is_some() => {
            keys.claim(FieldId::MESSAGE); // The subject.
            if let Some(host) = pairs.get("sourceHostName") {
                row.text(FieldId::HOST_NAME, host);
            }
        }
        // `fname` is a path at times.
        "Trend Micro" => {
            if let Some(file) = pairs.get("filePath").filter(|file| file.ends_with('\\')) {
                keys.claim(FieldId::FILE_PATH);
                path(file, scratch, row);
            }
            if let Some(name) = pairs.get("fname").filter(|name| name.contains('\\')) {
                keys.claim(FieldId::FILE_NAME);
                keys.claim(FieldId::FILE_PATH);
                path(name, scratch, row);
            }
        }
        _ => {}
    }
}

/// After the dictionary was applied.
pub(super) fn after(
    vendor: &str,
    class: &str,
    name: &str,
    pairs: &Extension<'_>,
    scratch: &mut String,
    row: &mut RowBuilder<'_>,
) {
    labels(pairs, scratch, row);
    match vendor {
        "Incapsula" | "Imperva" if pairs.get("sourceServiceName").is_some() => imperva(pairs, scratch, row),
        "Trend Micro" => trend_micro(class, pairs, scratch, row),
        "Cisco" if pairs.get("ESAMID").is_some() => email_security(pairs, row),
        "F5" => {
            some_text(row, FieldId::EVENT_ACTION, name);
            if let Some(request) = pairs.labelled("full_request") {
                request_headers(request, row);
            }
        }
        // Data Connector: what was asked for stands as the destination's domain.
        "Infoblox" => {
            if let Some(name) = pairs.get("destinationDnsDomain") {
                row.text(FieldId::DNS_QUESTION_NAME, name.trim_end_matches('.'));
            }
        }
        // UniFi OS: `NAME accessed UniFi OS ..`, `NAME opened ..`.
        "Ubiquiti" if !row.has(FieldId::USER_NAME) && !row.has(FieldId::SOURCE_USER_NAME) => {
            let said = pairs.get("msg").and_then(|said| said.split_once(' '));
            if let Some((who, _)) = said.filter(|(_, did)| ["accessed ", "opened "].iter().any(|word| did.starts_with(word))) {
                row.text(FieldId::USER_NAME, who);
            }
        }
        "F-Secure" | "WithSecure" => withsecure(pairs, scratch, row),
        "FORCEPOINT" | "Forcepoint" => {
            some_text(row, FieldId::EVENT_ACTION, name);
            if let Some(rule) = pairs.labelled("RuleID") {
                row.text(FieldId::RULE_ID, rule);
            }
        }
        _ => {}
    }
    if !row.has(FieldId::EVENT_ACTION) {
        some_text(row, FieldId::EVENT_ACTION, name);
    }
}

/// Where the dictionary has a name for one end only, and no other key says whose it is; and where an address stands as a host's name.
pub(super) fn last(row: &mut RowBuilder<'_>) {
    for (name, ip) in [(FieldId::SOURCE_DOMAIN, FieldId::SOURCE_IP), (FieldId::DESTINATION_DOMAIN, FieldId::DESTINATION_IP)] {
        if !row.has(ip)
            && let Some(Value::Text(text)) = row.get(name)
            && let Ok(address) = text.parse::<IpAddr>()
        {
            row.ip(ip, address);
        }
    }
    if !row.has(FieldId::USER_NAME) && !row.has(FieldId::SOURCE_USER_NAME) {
        row.copy_first(FieldId::DESTINATION_USER_NAME, FieldId::USER_NAME);
        if let Some(domain) = FieldId::find("destination.user.domain") {
            row.copy_first(domain, FieldId::USER_DOMAIN);
        }
    }
}

/// Custom strings and numbers by the label that the sender gives them.
fn labels(pairs: &Extension<'_>, scratch: &mut String, row: &mut RowBuilder<'_>) {
    const TEXTS: &[(&str, FieldId)] = &[
        ("policy_name", FieldId::RULE_RULESET),
        ("Rule Name", FieldId::RULE_NAME),
        ("Rule name", FieldId::RULE_NAME),
        ("rule_name", FieldId::RULE_NAME),
        ("sname", FieldId::RULE_NAME), // Trellix Network Security (FireEye)
        ("Matched Category", FieldId::RULE_CATEGORY),
    ];
    for (label, field) in TEXTS {
        if let Some(value) = pairs.labelled(label) {
            some_text(row, *field, plain(value, scratch));
        }
    }
    if let Some(status) = pairs.labelled("response_code") {
        number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, status);
    }
    for label in ["sha1", "md5", "sha256"] {
        if let Some(value) = pairs.labelled(label) {
            extension::hash(value, row);
        }
    }
    for (label, field) in [("source_address", FieldId::SOURCE_IP), ("destination_address", FieldId::DESTINATION_IP)] {
        if let Some(ip) = pairs.labelled(label).and_then(|value| value.parse::<IpAddr>().ok())
            && !row.has(field)
        {
            row.ip(field, ip);
        }
    }
}

/// Imperva Cloud WAF ("Log File Structure"): one record a request.
fn imperva(pairs: &Extension<'_>, scratch: &mut String, row: &mut RowBuilder<'_>) {
    if let Some(site) = pairs.get("sourceServiceName") {
        row.text(FieldId::URL_DOMAIN, site);
        row.text(FieldId::DESTINATION_DOMAIN, site);
    }
    if let Some(status) = pairs.get("cn1") {
        number(row, FieldId::HTTP_RESPONSE_STATUS_CODE, status);
    }
    if let Some(action) = pairs.get("act")
        && action.starts_with("REQ_BLOCKED")
    {
        row.text(FieldId::EVENT_ACTION, "block");
        row.text(FieldId::EVENT_TYPE, "denied");
    }
    if let Some((version, cipher)) = pairs.get("ver").and_then(|v| v.split_once(' ')) {
        row.text(FieldId::TLS_VERSION, version.trim_start_matches("TLSv"));
        row.text(FieldId::TLS_CIPHER, cipher);
    }
    if let Some(referrer) = pairs.get("ref") {
        row.text(FieldId::HTTP_REQUEST_REFERRER, plain(referrer, scratch));
    }
    if let Some(query) = pairs.get("qstr")
        && !row.has(FieldId::URL_QUERY)
    {
        row.text(FieldId::URL_QUERY, plain(query, scratch));
    }
}

/// Apex Central ("Syslog Content Mapping - CEF") and Deep Security ("Syslog message formats").
fn trend_micro(class: &str, pairs: &Extension<'_>, scratch: &mut String, row: &mut RowBuilder<'_>) {
    row.text(FieldId::RULE_ID, class);
    // Where no source is given, the one address is the client's that the event is about.
    if pairs.get("src").is_none()
        && let Some(client) = pairs.get("dst").and_then(|dst| dst.parse::<IpAddr>().ok()).filter(|ip| !ip.is_unspecified())
    {
        row.ip(FieldId::SOURCE_IP, client);
        row.ip(FieldId::HOST_IP, client);
    }
    for key in ["dhost", "shost"] {
        if let Some(host) = pairs.get(key).filter(|host| !host.contains('@')) {
            row.text(FieldId::HOST_NAME, host);
            break;
        }
    }
    if let (Some(from), Some(to)) = (pairs.get("suser"), pairs.get("duser"))
        && from.contains('@')
        && to.contains('@')
    {
        row.text(FieldId::EMAIL_FROM_ADDRESS, from);
        row.text(FieldId::EMAIL_TO_ADDRESS, to);
        if let Some(subject) = pairs.get("msg") {
            row.text(FieldId::EMAIL_SUBJECT, plain(subject, scratch));
        }
    } else if let Some(user) = pairs.get("duser") {
        row.text(FieldId::USER_NAME, plain(user, scratch));
    }
    if let Some(code) = pairs.labelled("CLF_ReasonCode").or(pairs.labelled("CLF_ReasonCodeSource")).or(pairs.get("cat")) {
        row.text(FieldId::EVENT_CODE, plain(code, scratch));
    }
    if let Some(category) = pairs.get("cat") {
        row.text(FieldId::RULE_RULESET, category);
    }
    if let Some(process) = pairs.get("sproc").or(pairs.get("deviceProcessName")) {
        let process = plain(process, scratch);
        row.text(FieldId::PROCESS_EXECUTABLE, process);
        if let Some((directory, file)) = process.rsplit_once('\\') {
            row.text(FieldId::PROCESS_NAME, file);
            row.text(FieldId::PROCESS_WORKING_DIRECTORY, directory);
        } else if pairs.get("sproc").is_some() {
            row.text(FieldId::PROCESS_NAME, process);
        }
    }
    if let Some(file) = pairs.labelled("SLF_FileSource") {
        path(file, scratch, row);
    }
    if let Some(size) = pairs.labelled("Quarantine File Size") {
        number(row, FieldId::FILE_SIZE, size);
    }
    for key in ["TrendMicroDsFileMD5", "TrendMicroDsFileSHA1", "TrendMicroDsFileSHA256"] {
        if let Some(value) = pairs.get(key) {
            extension::hash(value, row);
        }
    }
    if let Some(domain) = pairs.labelled("SLF_DomainName") {
        row.text(FieldId::SOURCE_DOMAIN, domain);
    }
    if let Some(message) = pairs.get("msg") {
        if message.contains(" has logged on") {
            row.text(FieldId::EVENT_OUTCOME, "success");
        } else if message.contains(" failed to log on") || message.contains(" logon failed") {
            row.text(FieldId::EVENT_OUTCOME, "failure");
        }
    }
}

/// WithSecure Elements Connector ("Security events"): what a kind of event tells beside the dictionary.
fn withsecure(pairs: &Extension<'_>, scratch: &mut String, row: &mut RowBuilder<'_>) {
    if let Some(url) = pairs.get("details_url").or(pairs.get("details_websiteUrl")) {
        super::uri(row, plain(url, scratch));
    }
    if let Some(file) = pairs.get("details_filePath").or(pairs.get("details_path")).or(pairs.get("details_targetPath")) {
        path(file, scratch, row);
    }
    if let Some(hash) = pairs.get("details_sha1").or(pairs.get("details_targetSha1")) {
        extension::hash(hash, row);
    }
    if let Some(process) = pairs.get("details_process").or(pairs.get("details_processPath")) {
        let process = plain(process, scratch);
        if process.contains(['\\', '/']) {
            row.text(FieldId::PROCESS_EXECUTABLE, process);
        }
        row.text(FieldId::PROCESS_NAME, process.rsplit(['\\', '/']).next().unwrap_or(process));
    }
    // Where the host's own connection went to, or came from.
    if let Some(ip) = pairs.get("details_ip") {
        let (end, name, port) = match pairs.get("details_direction") {
            Some("in") => (FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, FieldId::SOURCE_PORT),
            _ => (FieldId::DESTINATION_IP, FieldId::DESTINATION_DOMAIN, FieldId::DESTINATION_PORT),
        };
        address(row, end, name, ip);
        if let Some(number_of) = pairs.get("details_port") {
            number(row, port, number_of);
        }
    }
}

/// A path and the name at its end; a separator behind the name says nothing.
fn path(text: &str, scratch: &mut String, row: &mut RowBuilder<'_>) {
    let whole = plain(text, scratch).trim_end_matches('\\');
    row.text(FieldId::FILE_PATH, whole);
    row.text(FieldId::FILE_NAME, whole.rsplit(['\\', '/']).next().unwrap_or(whole));
}

/// Cisco Secure Email Gateway, consolidated event log.
fn email_security(pairs: &Extension<'_>, row: &mut RowBuilder<'_>) {
    let bare = |text: &'_ str| -> usize { text.len() - text.trim_start_matches(['\'', '<']).len() };
    for (key, field) in [
        ("suser", FieldId::EMAIL_FROM_ADDRESS),
        ("duser", FieldId::EMAIL_TO_ADDRESS),
        ("ESAMID", FieldId::EMAIL_LOCAL_ID),
        ("ESATLSInProtocol", FieldId::TLS_VERSION),
        ("ESATLSInCipher", FieldId::TLS_CIPHER),
        ("ESATLSOutCipher", FieldId::TLS_CIPHER),
    ] {
        if let Some(value) = pairs.get(key) {
            row.text(field, value.trim_start_matches("TLSv"));
        }
    }
    for (value, field) in
        [(pairs.labelled("ExternalMsgID"), FieldId::EMAIL_MESSAGE_ID), (pairs.get("msg"), FieldId::EMAIL_SUBJECT)]
    {
        if let Some(value) = value {
            some_text(row, field, value[bare(value)..].trim_end_matches(['\'', '>']));
        }
    }
    if let Some(policy) = pairs.labelled("MailPolicy") {
        row.text(FieldId::RULE_NAME, policy);
    }
    if let Some(helo) = pairs.get("ESAHeloDomain") {
        row.text(FieldId::SOURCE_DOMAIN, helo);
    }
    if let Some(ip) = pairs.get("sourceAddress") {
        address(row, FieldId::CLIENT_IP, FieldId::SOURCE_ADDRESS, ip);
    }
}

/// The headers of a request that is quoted whole, its line ends as they are or written `\r\n`.
fn request_headers(request: &str, row: &mut RowBuilder<'_>) {
    for (header, field) in [
        ("User-Agent: ", FieldId::USER_AGENT_ORIGINAL),
        ("Referer: ", FieldId::HTTP_REQUEST_REFERRER),
        ("Host: ", FieldId::URL_DOMAIN),
    ] {
        let lines = ["\\n", "\n"];
        let found = lines.iter().find_map(|line| {
            let mut from = 0;
            loop {
                let at = from + request[from..].find(header)?;
                if request[..at].ends_with(line) {
                    return between(&request[at..], header, line);
                }
                from = at + header.len();
            }
        });
        if let Some(value) = found {
            some_text(row, field, value.trim_end_matches("\\r").trim_end());
        }
    }
}
