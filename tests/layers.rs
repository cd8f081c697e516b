//! Dependencies point down (docs: ARCHITECTURE.md). Read from `cargo metadata`, so that what is checked is what is built.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Per package of ours: which of ours it may use, and which outside crates may be used there only.
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    ("event", &[], &[]),
    ("ingest", &["event"], &["rdkafka", "encoding_rs"]),
    ("rules", &["event"], &[]),
    ("index", &["event"], &["tantivy"]),
    ("api", &["event", "rules", "index"], &["axum", "rusqlite", "ureq"]),
    ("dashboards", &[], &["rust-embed"]),
    ("municipality", &["event"], &["rand", "rand_chacha"]),
    (
        "mihari",
        &["api", "dashboards", "event", "index", "ingest", "municipality", "rules"],
        &["clap", "toml", "tracing-subscriber"],
    ),
];

/// What the pure crates must not even be able to do.
const NEVER: &[(&str, &[&str])] = &[
    ("event", &["tokio", "tracing", "metrics"]),
    ("rules", &["tokio", "metrics"]),
    ("index", &["axum", "tokio"]),
    ("municipality", &["tokio"]),
];

/// Direct dependencies of each package of ours, tests and benches left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata runs");
    metadata
        .packages
        .iter()
        .map(|package| {
            let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
            (package.name.to_string(), normal.map(|d| d.name.clone()).collect())
        })
        .collect()
}

#[test]
fn every_package_stands_in_the_table() {
    let known: BTreeSet<&str> = LAYERS.iter().map(|(name, ..)| *name).collect();
    let found = dependencies();
    let found: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(found, known);
}

#[test]
fn dependencies_point_down() {
    let ours: BTreeSet<&str> = LAYERS.iter().map(|(name, ..)| *name).collect();
    let found = dependencies();
    for (name, may_use, _) in LAYERS {
        for dependency in found[*name].iter().filter(|d| ours.contains(d.as_str())) {
            assert!(may_use.contains(&dependency.as_str()), "{name} may not use {dependency}");
        }
    }
}

#[test]
fn heavy_crates_have_one_home() {
    let found = dependencies();
    for (home, _, only_here) in LAYERS {
        for heavy in *only_here {
            for (name, dependencies) in &found {
                assert!(name == home || !dependencies.contains(*heavy), "{heavy} belongs to {home}, not to {name}");
            }
        }
    }
}

#[test]
fn the_middle_is_pure() {
    let found = dependencies();
    for (name, never) in NEVER {
        for dependency in *never {
            assert!(!found[*name].contains(*dependency), "{name} may not use {dependency}");
        }
    }
}
