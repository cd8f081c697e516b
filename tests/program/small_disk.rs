//! A small disk of a test's own, which can be full: a tmpfs in a mount namespace.
#![expect(clippy::print_stdout, reason = "a test tells what it skips")]

use std::io::Write;
use std::path::Path;
use std::process::Command;

const DISK: &str = "MIHARI_TEST_SMALL_DISK";
/// What `unshare` or `mount` may not do here ends in this.
const NOT_ALLOWED: i32 = 77;

/// Runs `test` with a disk of so many MiB, in this program started again; `name` is what the test is called. Where that is not allowed it is skipped.
pub(crate) fn on_a_small_disk(name: &str, mebibytes: u32, test: impl FnOnce(&Path)) {
    if let Some(disk) = std::env::var_os(DISK) {
        return test(Path::new(&disk));
    }
    let dir = tempfile::tempdir().expect("a folder");
    let disk = dir.path().join("data");
    std::fs::create_dir(&disk).expect("a folder");
    let script = format!("mount -t tmpfs -o size={mebibytes}m none \"$0\" || exit {NOT_ALLOWED}; exec \"$@\"");
    let run = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .arg(&disk)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture"])
        .env(DISK, &disk)
        .output();
    let told = match run {
        Ok(told) => told,
        Err(error) => return println!("skipped: unshare cannot be run: {error}"),
    };
    let said = || format!("{}\n{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    if told.status.code() == Some(NOT_ALLOWED) || said().contains("unshare: ") {
        return println!("skipped: no mount namespace of one's own here: {}", said());
    }
    assert!(told.status.success() && said().contains("1 passed"), "{}", said());
    println!("{}", said());
}

/// A file that takes all the room there is but so many bytes.
pub(crate) fn fill(path: &Path, leaving: u64) {
    let mut ballast = std::fs::File::create(path).expect("made");
    let mut part = vec![0xA5; 64 << 10];
    while !part.is_empty() {
        if ballast.write_all(&part).is_err() {
            part.truncate(part.len() / 2);
        }
    }
    let full = ballast.metadata().expect("its length").len();
    ballast.set_len(full.saturating_sub(leaving)).expect("cut");
}
