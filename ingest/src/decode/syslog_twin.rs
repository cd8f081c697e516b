//! The syslog header against `syslog_loose`, which reads the same in another way: on records made from parts both must agree, and on
//! captured ones ours must find no less.

use std::path::Path;

use proptest::prelude::*;
use syslog_loose::{ProcId, Variant};

use super::syslog::{self, Header};

fn loose(record: &str) -> syslog_loose::Message<&str> {
    syslog_loose::parse_message(record, Variant::Either)
}

/// What both say of a record: host, program, process, message id, message.
type Parts<'a> = (Option<&'a str>, Option<&'a str>, Option<String>, Option<&'a str>, &'a str);

fn ours<'a>(header: &Header<'a>) -> Parts<'a> {
    (header.host, header.app, header.procid.map(str::to_owned), header.msgid, header.message.trim_end())
}

fn theirs<'a>(message: &syslog_loose::Message<&'a str>) -> Parts<'a> {
    let process = message.procid.as_ref().map(|id| match id {
        ProcId::PID(pid) => pid.to_string(),
        ProcId::Name(name) => (*name).to_owned(),
    });
    (message.hostname, message.appname, process, message.msgid, message.msg.trim_end())
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

proptest! {
    #[test]
    fn both_read_rfc_5424_alike(
        priority in 0u8..192, host in "[a-z][a-z0-9.-]{0,20}", app in "[a-z][a-z0-9_-]{0,15}", process in 1u32..99_999,
        id in "[A-Z][A-Z0-9]{0,8}", value in "[a-z0-9 ]{0,12}", text in "[a-zA-Z0-9][a-zA-Z0-9 =.,%-]{0,40}", nil in 0u8..16,
        second in 0u32..60, month in 1u32..13, day in 1u32..29,
    ) {
        let part = |bit: u8, text: &str| if nil & bit == 0 { text.to_owned() } else { "-".to_owned() };
        let (host, app, process, id) = (part(1, &host), part(2, &app), part(4, &process.to_string()), part(8, &id));
        let structured = if nil & 1 == 0 { format!("[a@1 k=\"{value}\"]") } else { "-".to_owned() };
        let record = format!(
            "<{priority}>1 2026-{month:02}-{day:02}T01:02:{second:02}.5Z {host} {app} {process} {id} {structured} {text}"
        );
        let (header, message) = (syslog::header(&record), loose(&record));
        prop_assert_eq!(ours(&header), theirs(&message), "{}", record);
        prop_assert_eq!(header.priority, Some(priority));
        let time = header.stamp.and_then(|s| s.resolve(crate::decode::stamp::Zone::utc(), event::Time::EPOCH)).map(|t| t.unix_ns());
        prop_assert_eq!(time, message.timestamp.and_then(|t| t.timestamp_nanos_opt()), "{}", record);
    }

    #[test]
    fn both_read_rfc_3164_alike(
        priority in 0u8..192, host in "[a-z][a-z0-9.-]{0,20}", app in "[a-z][a-z0-9_-]{0,15}", process in 1u32..99_999,
        text in "[a-zA-Z][a-zA-Z0-9 .,%-]{0,40}", with_process in any::<bool>(), second in 0u32..60, month in 0usize..12, day in 1u32..29,
    ) {
        let tag = if with_process { format!("{app}[{process}]") } else { app };
        let record = format!("<{priority}>{} {day:2} 01:02:{second:02} {host} {tag}: {text}", MONTHS[month]);
        let (header, message) = (syslog::header(&record), loose(&record));
        prop_assert_eq!(ours(&header), theirs(&message), "{}", record);
        prop_assert!(header.stamp.is_some() && message.timestamp.is_some());
    }
}

/// Records whose raw text is a line of syslog, as far as the peer can tell: it found a priority or a time.
#[test]
fn ours_finds_no_less_on_captured_records() {
    #[derive(serde::Deserialize)]
    struct Case {
        raw: String,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/parse.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln_skip(&path);
        return;
    };
    let (mut records, mut worse, mut more) = (0, Vec::new(), 0);
    for line in text.lines() {
        let Case { raw } = serde_json::from_str(line).expect("a case a line");
        let (header, message) = (syslog::header(&raw), loose(&raw));
        records += 1;
        if message.facility.is_some() && header.priority.is_none() {
            worse.push(("priority", raw.clone()));
        }
        match (header.stamp.is_some(), message.timestamp.is_some()) {
            (false, true) => worse.push(("time", raw.clone())),
            (true, false) => more += 1,
            _ => {}
        }
        // The peer takes any word after the time for a host, also `:` and `[INFO]`.
        let name = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_alphanumeric())
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if message.timestamp.is_some() && message.hostname.filter(name).is_some() && header.host.is_none() && header.app.is_none()
        {
            worse.push(("host", raw));
        }
    }
    assert!(worse.is_empty(), "{} of {records} worse ({more} better):\n{worse:#?}", worse.len());
    assert!(more > 0, "of {records} captured records none shows what the peer does not read");
}

#[expect(clippy::print_stderr, reason = "a test that finds no data says so")]
fn eprintln_skip(path: &Path) {
    eprintln!("skipped: {} is not there", path.display());
}
