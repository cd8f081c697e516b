//! Records of several lines, and files whose head says what their columns are, through real sockets and files.

mod rig;

use std::io::Write;
use std::path::Path;

use ingest::listen::{Admission, Multiline, Place, Stream, StreamProtocol};
use rig::{Rig, kept, loopback, texts, wait_for};

fn stream(multiline: Multiline) -> Place {
    Place::Stream(Stream {
        address: loopback(),
        protocol: StreamProtocol::Syslog,
        tls: None,
        proxy_protocol: false,
        multiline: Some(multiline),
    })
}

#[test]
fn lines_of_a_connection_become_records() {
    let rig = Rig::start(stream(Multiline::preset("java").expect("known")), Admission::default());
    let mut connection = rig.connect();
    let trace = "<11>java.io.IOException: gone\n\tat a.B.c(B.java:7)\nCaused by: x.Y: no\n\t... 3 more";
    connection.write_all(format!("<13>before\n{trace}\n<13>after").as_bytes()).expect("sent");
    // Another connection's lines are its own.
    let mut other = rig.connect();
    other.write_all(b"\tat the.Middle.of(It.java:1)\n").expect("sent");
    wait_for("the trace", || kept(&rig.journal).len() >= 3);
    drop((connection, other));
    let records = rig.records();
    let mut records = texts(&records);
    records.sort_unstable();
    assert_eq!(records, ["\tat the.Middle.of(It.java:1)", trace, "<13>after", "<13>before"]);
}

#[test]
fn a_record_ends_after_a_time_without_a_line() {
    let mut multiline = Multiline::preset("indented").expect("known");
    multiline.wait = std::time::Duration::from_millis(50);
    let rig = Rig::start(stream(multiline), Admission::default());
    let mut connection = rig.connect();
    connection.write_all(b"<13>one\n two\n").expect("sent");
    // Nothing follows, and the connection stays.
    wait_for("the record", || texts(&kept(&rig.journal)) == ["<13>one\n two"]);
    connection.write_all(b"5 <13>6\n").expect("sent");
    drop(connection);
    assert_eq!(texts(&rig.records()), ["<13>one\n two", "<13>6"]);
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("opens");
    file.write_all(text.as_bytes()).expect("written");
}

#[test]
fn the_head_of_a_table_goes_with_its_lines_over_rotation_and_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("conn.log");
    let head = "#path\tconn\n#fields\tts\tuid";
    append(&path, &format!("#separator \\x09\n{head}\n1.0\tC1\n"));
    let place = |from_start| Place::File { path: path.clone(), from_start, multiline: None };
    let rig = Rig::start(place(true), Admission::default());
    wait_for("the first line", || kept(&rig.journal).len() == 1);
    append(&path, "2.0\tC2\n");
    wait_for("the second line", || kept(&rig.journal).len() == 2);
    // Rotated, by a writer that says its columns once only; then by one that has others.
    std::fs::rename(&path, dir.path().join("conn.1.log")).expect("renamed");
    append(&path, "3.0\tC3\n");
    wait_for("the line after the rotation", || kept(&rig.journal).len() == 3);
    std::fs::rename(&path, dir.path().join("conn.2.log")).expect("renamed");
    let other = "#path\tdns\n#fields\tts\tquery";
    append(&path, &format!("#separator \\x09\n{other}\n4.0\texample.jp\n"));
    wait_for("the line of other columns", || kept(&rig.journal).len() == 4);
    let expected =
        [format!("{head}\n1.0\tC1"), format!("{head}\n2.0\tC2"), format!("{head}\n3.0\tC3"), format!("{other}\n4.0\texample.jp")];
    assert_eq!(texts(&rig.records()), expected.each_ref().map(String::as_str));
    // Begun anew at the end of the file: the head is looked for in what is not read.
    let rig = Rig::start(place(false), Admission::default());
    let record = format!("{other}\n5.0\texample.lg.jp");
    wait_for("the new line", || {
        if kept(&rig.journal).is_empty() {
            append(&path, "5.0\texample.lg.jp\n");
        }
        !kept(&rig.journal).is_empty()
    });
    assert!(texts(&rig.records()).iter().all(|text| *text == record));
}
