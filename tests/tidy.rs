//! What no compiler checks: the tree keeps its shape, and nothing in it names a machine.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every tracked or new file that git does not ignore.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("file names are UTF-8");
    text.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).filter(|path| path.is_file()).collect()
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e))
}

#[test]
fn the_top_level_is_the_agreed_one() {
    let allowed = [
        ".ci",
        ".gitattributes",
        ".gitignore",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "Makefile",
        "README.md",
        "SECURITY.md",
        "api",
        "clippy.toml",
        "dashboards",
        "deny.toml",
        "deploy",
        "docs",
        "index",
        "ingest",
        "rules",
        "rustfmt.toml",
        "src",
        "tests",
    ];
    for file in files() {
        let relative = file.strip_prefix(root()).expect("below the root");
        let first = relative.components().next().expect("not empty").as_os_str().to_string_lossy().into_owned();
        assert!(allowed.contains(&first.as_str()), "{} is not in the agreed layout", relative.display());
        for part in relative.components() {
            let name = part.as_os_str().to_string_lossy();
            let stem = name.split('.').next().unwrap_or("");
            assert!(
                !["util", "utils", "common", "core", "types", "helpers"].contains(&stem),
                "{} says nothing",
                relative.display()
            );
        }
    }
}

#[test]
fn sources_are_short_and_open_with_their_purpose() {
    for file in files().into_iter().filter(|f| has_extension(f, &["rs"])) {
        let text = std::fs::read_to_string(&file).expect("readable");
        let lines = text.lines().count();
        assert!(lines <= 1000, "{} has {lines} lines: is there a second idea in it?", file.display());
        assert!(text.starts_with("//!"), "{} does not open with what it is for", file.display());
    }
    for file in files().into_iter().filter(|f| has_extension(f, &["ts", "tsx"])) {
        let lines = std::fs::read_to_string(&file).expect("readable").lines().count();
        assert!(lines <= 1000, "{} has {lines} lines", file.display());
    }
}

#[test]
fn nothing_is_ignored_or_left_undone() {
    // Spelled apart, so that this file does not find itself.
    let banned = [
        ["#[ig", "nore"].concat(),
        ["to", "do!("].concat(),
        ["unimpl", "emented!("].concat(),
        ["test.", "skip("].concat(),
        [".on", "ly("].concat(),
    ];
    for file in files().into_iter().filter(|f| has_extension(f, &["rs", "ts", "tsx", "mjs"])) {
        let text = std::fs::read_to_string(&file).expect("readable");
        for word in &banned {
            assert!(!text.contains(word.as_str()), "{} has {word}", file.display());
        }
    }
}

#[test]
fn no_file_is_large_or_names_a_machine() {
    let homes = [["/ro", "ot/"].concat(), ["/ho", "me/build"].concat(), ["\"resolved\": \"ht", "tp"].concat()];
    for file in files() {
        let length = std::fs::metadata(&file).expect("there").len();
        assert!(length <= 1 << 20, "{} has {length} bytes", file.display());
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for path in &homes {
            assert!(!text.contains(path.as_str()), "{} has {path}", file.display());
        }
        if !has_extension(&file, &["md"]) {
            continue;
        }
        for line in text.lines() {
            assert!(!line.ends_with(' '), "{} has a space at the end of {line:?}", file.display());
        }
    }
}

#[test]
fn the_pipeline_builds_no_tree_of_values() {
    let tree = ["serde_json::Va", "lue"].concat();
    for file in files().into_iter().filter(|f| has_extension(f, &["rs"])) {
        let relative = file.strip_prefix(root()).expect("below the root");
        if relative.starts_with("ingest") || relative.starts_with("rules/src") {
            let text = std::fs::read_to_string(&file).expect("readable");
            assert!(!text.contains(&tree), "{} uses {tree}", relative.display());
        }
    }
}
