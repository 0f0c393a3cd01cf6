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

/// Measures: the figures come from crates/bench.
///
/// # Errors
/// A run that fails, or whose own check finds records missing or changed.
pub(crate) fn bench(arguments: &BenchArgs) -> anyhow::Result<()> {
    cargo(&["build", "--release", "--package", "trunkline"], &[])?;
    let mut run = vec!["run", "--release", "--quiet", "--package", "trunkline-bench", "--"];
    run.extend(arguments.arguments.iter().map(String::as_str));
    cargo(&run, &[])
}
