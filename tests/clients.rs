//! The clients that analysts already have, against the program: `elasticsearch` and `opensearch-py` from PyPI, and Sigma's own converters.
//!
//! They are installed by name into an environment of their own (`tests/setup.sh clients DIR`) and run as programs: nothing of theirs is
//! linked or copied. Where they cannot be installed the test says so.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test waits for conditions by the clock and says what it skips"
)]

mod program;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use program::{Service, program};

/// Python with the clients, if they can be installed.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/setup.sh");
        let done = Command::new(setup).arg("clients").arg(&dir).output();
        let good = done.is_ok_and(|output| output.status.success());
        good.then(|| dir.join("bin/python"))
    });
    if found.is_none() {
        println!("skipped: the clients cannot be installed here");
    }
    found.as_deref()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{error}");
    out.into_owned()
}

#[test]
fn the_clients_of_elasticsearch_and_opensearch_work() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let told = run(Command::new(python).arg(script("search.py")).arg(&service.api).arg(&service.token));
    assert!(told.contains("elasticsearch: done") && told.contains("opensearch: done"), "{told}");
    service.stop();
}

/// Rules of the public set, converted by Sigma's own tools to queries, find what our engine finds with them.
#[test]
fn converted_rules_find_what_the_engine_finds() {
    let Some(python) = python() else { return };
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let (rules, corpus) = (shared.join("sigma/rules"), shared.join("corpus/mixed60k.ndjson.zst"));
    if !rules.is_dir() || !corpus.is_file() {
        println!("skipped: the public rules are not present");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let mut compare = Command::new(python);
    compare.arg(script("converted.py")).args([&service.api, &service.token]).arg(&rules).arg(&corpus).arg(dir.path());
    compare.arg(program().get_program()).args(["--lines", "6000", "--every", "12"]);
    let told = run(&mut compare);
    println!("{told}");
    assert!(told.contains("unexplained: 0"), "{told}");
    service.stop();
}
