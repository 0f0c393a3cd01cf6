//! The workspace as its own tests see it: files, metadata, cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cargo_metadata::{Metadata, MetadataCommand};
use walkdir::WalkDir;

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Reads a file by its path from the root.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `cargo metadata`, read once.
pub fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        let mut command = MetadataCommand::new();
        command.manifest_path(root().join("Cargo.toml"));
        command.exec().unwrap()
    })
}

/// Runs cargo and returns what it prints.
pub fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The `trunkline` binary, built in the profile that the tests have.
pub fn trunkline() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        cargo(&["build", "--release", "--workspace", "--bin", "trunkline"]);
        metadata().target_directory.join("release/trunkline").into()
    })
}

/// Recorded requests of real platforms, where they are at hand; they are not part of the project.
pub fn recorded(platform: &str) -> Option<PathBuf> {
    let folder = root().join("../shared/data/webhooks").join(platform);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no recorded requests of {platform} in ../shared/data");
    None
}

/// Every Rust file that we wrote, with its text.
pub fn rust_files() -> impl Iterator<Item = (PathBuf, String)> {
    text_files().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "rs"))
}

/// Every text file that we wrote, with its text; generated ones left out.
pub fn text_files() -> impl Iterator<Item = (PathBuf, String)> {
    let skipped = |name: &str| matches!(name, "target" | ".git" | "gen" | "Cargo.lock");
    WalkDir::new(root())
        .into_iter()
        .filter_entry(move |entry| !skipped(&entry.file_name().to_string_lossy()))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path()).ok()?;
            Some((entry.path().strip_prefix(root()).unwrap().to_owned(), text))
        })
}
