//! Runs cargo and other programs from the workspace's root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `cargo xtask bench` takes.
#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// What to measure, and its options; none for all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs cargo with some environment; its output goes where ours goes.
///
/// # Errors
/// It can't be run, or it fails.
pub(crate) fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    println!("> cargo {}", arguments.join(" "));
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root())
        .status()
        .context("cargo can't be run")?;
    if !status.success() {
        bail!("cargo {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// What cargo prints.
///
/// # Errors
/// As [`cargo`]; what it said of the failure went where our own errors go.
pub(crate) fn cargo_output(arguments: &[&str]) -> anyhow::Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    let output = command.args(arguments).current_dir(root()).stderr(Stdio::inherit()).output();
    let output = output.context("cargo can't be run")?;
    if !output.status.success() {
        bail!("cargo {} failed: {}", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Puts what the container image is made of where the Dockerfile takes it. The binary is built as the tests build it, so
/// that what was tested is what is shipped.
///
/// # Errors
/// It does not build, or [`xtask::image::fill`] fails.
pub(crate) fn image() -> anyhow::Result<()> {
    cargo(&["build", "--release", "--locked", "--workspace", "--bin", "trunkline"], &[])?;
    let root = root();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    println!("{}", xtask::image::fill(&root, &target.join("release/trunkline"))?.display());
    Ok(())
}

/// Measures: the figures come from crates/bench.
///
/// # Errors
/// A run that fails, or whose own check finds records missing or changed.
pub(crate) fn bench(arguments: &BenchArgs) -> anyhow::Result<()> {
    // All at once, as for the tests: alone, a package's dependencies would be built with other features.
    cargo(&["build", "--release", "--workspace", "--bins"], &[])?;
    // A broker's own processor time swings with the disk, so private ones keep their logs in memory where they can.
    let in_memory = Path::new("/dev/shm");
    let environment =
        in_memory.is_dir().then(|| ("TRUNKLINE_TEST_BROKERS", in_memory.join("trunkline-bench")));
    // It stands beside this one.
    let program = std::env::current_exe()?.with_file_name("trunkline-bench");
    let status = Command::new(program)
        .args(&arguments.arguments)
        .envs(environment)
        .current_dir(root())
        .status()
        .context("trunkline-bench can't be run")?;
    if !status.success() {
        bail!("the measurement failed: {status}");
    }
    Ok(())
}
