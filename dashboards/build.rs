//! Makes the folder that is embedded, so that the program can be built before the web application is.

fn main() {
    println!("cargo:rerun-if-changed=dist");
    let dist = std::path::Path::new("dist");
    if !dist.join("index.html").exists() {
        println!("cargo:warning=the dashboards are not built: run `make dashboards` first to have them in the program");
    }
    std::fs::create_dir_all(dist).expect("dashboards/dist can be made");
}
