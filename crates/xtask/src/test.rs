//! Every test, and what CI checks besides.

use crate::prerequisites;
use crate::run::cargo;
use crate::session::Session;

/// What `cargo xtask test` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Start no brokers: tests that need one say that they are skipped
    #[arg(long)]
    no_brokers: bool,
    /// Passed on to the tests, for example a name to filter by
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Installs what the tests need, starts the shared brokers and runs every test; then ends those it started.
///
/// # Errors
/// Something needed that can't be installed or started; a test that fails.
pub(crate) fn test(arguments: &Args) -> anyhow::Result<()> {
    prerequisites::install()?;
    // The integration tests start this binary.
    cargo(&["build", "--release", "--workspace"], &[])?;
    let mut run = vec!["test", "--release", "--workspace", "--no-fail-fast"];
    if !arguments.arguments.is_empty() {
        run.push("--");
        run.extend(arguments.arguments.iter().map(String::as_str));
    }
    let session = if arguments.no_brokers { Session::without_brokers() } else { Session::with_brokers()? };
    cargo(&run, &session.environment())
}

/// Formatting, lints and documentation, warnings denied.
///
/// # Errors
/// The first that finds something.
pub(crate) fn lint() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(
        &[
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "--deny",
            "warnings",
        ],
        &[],
    )?;
    cargo(
        &["doc", "--release", "--workspace", "--no-deps", "--all-features"],
        &[("RUSTDOCFLAGS", "--deny warnings")],
    )
}
