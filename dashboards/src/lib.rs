//! The web application, embedded. `make dashboards` builds `dashboards/dist`; without it the program says so to a browser.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "dist"]
struct Dist;

/// A file of the application.
pub struct File {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// Its type.
    pub content_type: &'static str,
}

/// The file at `path`, such as `index.html` or `assets/index-1a2b.js`.
pub fn file(path: &str) -> Option<File> {
    let path = if path.is_empty() { "index.html" } else { path };
    let content_type = match path.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => "application/octet-stream",
    };
    Dist::get(path).map(|file| File { bytes: file.data, content_type })
}

/// Whether the application was built into this binary.
pub fn is_built() -> bool {
    Dist::get("index.html").is_some()
}
