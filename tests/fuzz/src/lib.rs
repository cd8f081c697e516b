//! What each fuzzer runs: a reader of outside bytes, and what must hold of what it gives. libFuzzer changes its inputs by what they reach in the
//! program (`make fuzz`); the same readers are asked with blind changes in every test run.

use std::cell::RefCell;
use std::path::PathBuf;

#[path = "../../../ingest/tests/readers/mod.rs"]
mod readers;
mod written;

use readers::{INPUT_BYTES_MAX, Target};

/// Writes the inputs that the fuzzer of this reader begins with to the folder `MIHARI_FUZZ_SEEDS`, which libFuzzer reads afterwards.
///
/// # Panics
/// Where they cannot be written, and where there is no reader of the name.
pub fn begin(name: &str) {
    let Some(folder) = std::env::var_os("MIHARI_FUZZ_SEEDS").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("a folder");
    for (at, seed) in target(name).seeds.iter().enumerate() {
        std::fs::write(folder.join(at.to_string()), seed).expect("written");
    }
}

fn target(name: &str) -> Target {
    let mut targets = readers::targets(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ingest/formats").as_ref());
    targets.extend(written::targets());
    targets.into_iter().find(|target| target.name == name).expect("a reader of this name")
}

/// Asks the reader of this name.
///
/// # Panics
/// Where what must hold does not, and where there is no reader of the name.
pub fn ask(name: &str, bytes: &[u8]) {
    thread_local!(static TARGET: RefCell<Option<Target>> = const { RefCell::new(None) });
    TARGET.with_borrow_mut(|kept| {
        let target = kept.get_or_insert_with(|| target(name));
        (target.run)(&bytes[..bytes.len().min(INPUT_BYTES_MAX)]);
    });
}
