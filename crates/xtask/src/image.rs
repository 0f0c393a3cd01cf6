//! What the container image is made of, put where the Dockerfile takes it: the binary without symbols, and its bill of
//! materials.

mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use cargo_metadata::{CargoOpt, MetadataCommand};

/// Fills `target/image` of the workspace at `root`, from a binary that is built; returns the folder.
///
/// # Errors
/// `strip`, of the package binutils, is missing; a file can't be written.
pub fn fill(root: &Path, binary: &Path) -> anyhow::Result<PathBuf> {
    let into = root.join("target/image");
    fs::create_dir_all(&into).with_context(|| into.display().to_string())?;
    strip(binary, &into.join("trunkline"))?;
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(["--locked", "--filter-platform", &*host()?].map(str::to_owned).to_vec())
        .exec()?;
    let mut list = fs::File::create(into.join("trunkline.cdx.json"))?;
    sbom::of("trunkline", &metadata)?.output_as_json_v1_5(&mut list)?;
    Ok(into)
}

/// The platform that cargo builds for.
fn host() -> anyhow::Result<String> {
    let said =
        Command::new("rustc").args(["--print", "host-tuple"]).output().context("rustc can't be run")?;
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

fn strip(from: &Path, to: &Path) -> anyhow::Result<()> {
    let status = Command::new("strip").arg("-o").args([to, from]).status();
    let status = status.context("strip, of the package binutils, can't be run")?;
    if !status.success() {
        bail!("strip failed: {status}");
    }
    Ok(())
}
