//! Lists the descriptions in `formats/`, so that adding a format is adding its file.

use std::fmt::Write;
use std::path::Path;

#[expect(clippy::disallowed_methods, reason = "Cargo tells a build script its folders by the environment")]
fn main() {
    println!("cargo::rerun-if-changed=formats");
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it")).join("formats");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("names are UTF-8"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    let mut out = String::from("&[");
    for name in names {
        let path = folder.join(&name);
        write!(out, "({name:?}, include_str!({:?})),", path.to_str().expect("paths are UTF-8")).expect("to a String");
    }
    out.push(']');
    let target = Path::new(&std::env::var("OUT_DIR").expect("Cargo sets it")).join("formats.rs");
    std::fs::write(target, out).expect("the build folder is writable");
}
