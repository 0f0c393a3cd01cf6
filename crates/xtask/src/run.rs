//! Runs cargo and other programs from the workspace's root.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::root;

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

/// Measures: the figures come from crates/bench.
///
/// # Errors
/// A run that fails, or whose own check finds records missing or changed.
pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    cargo(&["build", "--release", "--package", "trunkline"], &[])?;
    let mut run = vec!["run", "--release", "--quiet", "--package", "trunkline-bench", "--"];
    run.extend(arguments.iter().map(String::as_str));
    cargo(&run, &[])
}
