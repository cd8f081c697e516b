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
fn the_head_of_a_table_goes_with_its_lines_over_rotation_and_from_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("conn.log");
    let head = "#path\tconn\n#fields\tts\tuid";
    append(&path, &format!("#separator \\x09\n{head}\n1.0\tC1\n"));
    let (data, other_data) = (dir.path().join("data"), dir.path().join("other"));
    let rig = Rig::follow(&data, &path, true, None);
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
    let rig = Rig::follow(&other_data, &path, false, None);
    let record = format!("{other}\n5.0\texample.lg.jp");
    wait_for("the new line", || {
        if kept(&rig.journal).is_empty() {
            append(&path, "5.0\texample.lg.jp\n");
        }
        !kept(&rig.journal).is_empty()
    });
    assert!(texts(&rig.records()).iter().all(|text| *text == record));
}

#[test]
fn a_followed_file_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, data) = (dir.path().join("app.log"), dir.path().join("data"));
    append(&path, "before\n");
    let rig = Rig::follow(&data, &path, false, None);
    wait_for("a line after the end", || {
        append(&path, "first\n");
        !kept(&rig.journal).is_empty()
    });
    append(&path, "half a ");
    let first = rig.records();
    assert!(texts(&first).iter().all(|text| *text == "first"), "half a line is left for later: {first:?}");
    // Written while nobody follows; then renamed, and its successor begun.
    append(&path, "line\nmeanwhile\n");
    let saved = std::fs::read(data.join("files.json")).expect("saved");
    let rig = Rig::follow(&data, &path, true, None);
    wait_for("what was written meanwhile", || texts(&kept(&rig.journal)).ends_with(&["half a line", "meanwhile"]));
    rig.records();
    append(&path, "the last of the old\n");
    std::fs::rename(&path, dir.path().join("app.log.1")).expect("renamed");
    append(&path, "the first of the new\n");
    // As after a crash: the file of marks is older than the journal.
    std::fs::write(data.join("files.json"), saved).expect("written");
    let rig = Rig::follow(&data, &path, true, None);
    wait_for("both files", || texts(&kept(&rig.journal)).ends_with(&["the first of the new"]));
    let written = std::fs::read_to_string(dir.path().join("app.log.1")).expect("read");
    let expected: Vec<&str> = written.lines().skip_while(|line| *line != "first").chain(["the first of the new"]).collect();
    let records = rig.records();
    let got = texts(&records);
    // Some lines may have been written before the end was looked for.
    let missed = expected.len() - got.len();
    assert!(expected[..missed].iter().all(|line| *line == "first"), "{expected:?} {got:?}");
    assert_eq!(got, expected[missed..], "each once, in order");
}

#[test]
fn what_was_rotated_several_times_while_nobody_looked_is_read_in_its_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, data) = (dir.path().join("app.log"), dir.path().join("data"));
    let named = |name: &str| dir.path().join(name);
    append(&path, "zero\n");
    let rig = Rig::follow(&data, &path, true, None);
    wait_for("the first line", || kept(&rig.journal).len() == 1);
    assert_eq!(texts(&rig.records()), ["zero"]);
    // Long ago, and something else: neither is read.
    append(&named("app.log.9"), "long ago\n");
    append(&named("app.log.bak"), "a copy\n");
    let old = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::options().append(true).open(named("app.log.9")).and_then(|file| file.set_modified(old)).expect("set");
    // Rotated three times; the oldest two are packed, as by logrotate, which keeps their times.
    append(&path, "one\n");
    std::fs::rename(&path, named("app.log.3")).expect("renamed");
    append(&named("app.log.2"), "two\nthree\n");
    append(&named("app.log.1"), "four\n");
    append(&path, "five\n");
    for name in ["app.log.3", "app.log.2"] {
        let (plain, packed) = (named(name), named(&format!("{name}.gz")));
        let modified = std::fs::metadata(&plain).and_then(|m| m.modified()).expect("a time");
        let mut encoder =
            flate2::write::GzEncoder::new(std::fs::File::create(&packed).expect("made"), flate2::Compression::fast());
        encoder.write_all(&std::fs::read(&plain).expect("read")).expect("packed");
        encoder.finish().and_then(|file| file.set_modified(modified)).expect("packed");
        std::fs::remove_file(&plain).expect("removed");
    }
    let rig = Rig::follow(&data, &path, true, None);
    wait_for("the last line", || texts(&kept(&rig.journal)).ends_with(&["five"]));
    assert_eq!(texts(&rig.records()), ["zero", "one", "two", "three", "four", "five"]);
    // Nothing is read twice.
    append(&path, "six\n");
    let rig = Rig::follow(&data, &path, true, None);
    wait_for("the new line", || texts(&kept(&rig.journal)).ends_with(&["six"]));
    assert_eq!(texts(&rig.records()), ["zero", "one", "two", "three", "four", "five", "six"]);
}

#[test]
fn a_file_that_was_copied_and_cut_while_nobody_looked_goes_on_in_its_copy() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, data) = (dir.path().join("app.log"), dir.path().join("data"));
    append(&path, "one\n");
    let rig = Rig::follow(&data, &path, true, None);
    wait_for("the first line", || kept(&rig.journal).len() == 1);
    rig.records();
    append(&path, "two\n");
    std::fs::copy(&path, dir.path().join("app.log-20261126")).expect("copied");
    std::fs::write(&path, "3\n").expect("cut");
    let rig = Rig::follow(&data, &path, true, None);
    wait_for("the last line", || texts(&kept(&rig.journal)).ends_with(&["3"]));
    assert_eq!(texts(&rig.records()), ["one", "two", "3"]);
}

#[test]
fn a_file_that_comes_later_is_read_from_its_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, data) = (dir.path().join("late.log"), dir.path().join("data"));
    assert_eq!(texts(&Rig::follow(&data, &path, false, None).records()), [""; 0]);
    append(&path, "came while nobody followed\n");
    let rig = Rig::follow(&data, &path, false, None);
    wait_for("the line", || !kept(&rig.journal).is_empty());
    assert_eq!(texts(&rig.records()), ["came while nobody followed"]);
}

#[test]
fn a_file_that_is_cut_and_filled_at_once_is_read_from_its_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, data) = (dir.path().join("cut.log"), dir.path().join("data"));
    let rig = Rig::follow(&data, &path, true, None);
    append(&path, "one\ntwo\n");
    wait_for("what was there", || kept(&rig.journal).len() == 2);
    let lines = |words: &str| (0..30).map(|n| format!("{words} {n}")).collect::<Vec<_>>();
    // Longer than before when it is looked at next.
    std::fs::write(&path, lines("after the cut").join("\n") + "\n").expect("written");
    wait_for("what follows", || kept(&rig.journal).len() == 32);
    let records = rig.records();
    assert_eq!(texts(&records)[2..], lines("after the cut"));
    // Likewise while nobody follows.
    std::fs::write(&path, lines("after another cut").join("\n") + "\n").expect("written");
    let rig = Rig::follow(&data, &path, false, None);
    wait_for("what follows", || kept(&rig.journal).len() == 62);
    assert_eq!(texts(&rig.records())[32..], lines("after another cut"));
}

#[test]
fn a_record_that_is_begun_at_a_stop_is_whole_after_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, data) = (dir.path().join("java.log"), dir.path().join("data"));
    let multiline = || {
        let mut multiline = Multiline::preset("java").expect("known");
        multiline.wait = std::time::Duration::from_secs(3600);
        Some(multiline)
    };
    let rig = Rig::follow(&data, &path, true, multiline());
    append(&path, "whole\n\tat a.B\nbegun\n\n\tat c.D\n");
    wait_for("the whole one", || kept(&rig.journal).len() == 1);
    rig.records();
    append(&path, "\tat e.F\nthe next\n");
    let rig = Rig::follow(&data, &path, true, multiline());
    wait_for("the one that was begun", || kept(&rig.journal).len() == 2);
    assert_eq!(texts(&rig.records()), ["whole\n\tat a.B", "begun\n\tat c.D\n\tat e.F"]);
}

#[test]
fn a_packed_file_is_no_file_of_lines() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, data) = (dir.path().join("old.log"), dir.path().join("data"));
    std::fs::write(&path, zstd::encode_all(&b"one\ntwo\n"[..], 3).expect("packs")).expect("written");
    assert_eq!(texts(&Rig::follow(&data, &path, true, None).records()), [""; 0]);
    std::fs::rename(&path, dir.path().join("old.log.zst")).expect("renamed");
    append(&path, "plain\n");
    let rig = Rig::follow(&data, &path, true, None);
    wait_for("the plain one", || !kept(&rig.journal).is_empty());
    assert_eq!(texts(&rig.records()), ["plain"]);
    for (bytes, packing) in [(&b"BZh91AY&SY\x00"[..], "bzip2"), (b"\xfd7zXZ\x00\x00", "xz")] {
        std::fs::write(&path, bytes).expect("written");
        let Err(error) = ingest::capture::Capture::open(&path) else { panic!("{packing} is not read") };
        assert!(error.to_string().contains(packing), "{error}");
    }
}
