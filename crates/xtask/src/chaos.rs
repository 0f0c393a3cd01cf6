//! The fault tests at their full count. Every test run has a quick form of each.

use crate::run::cargo;
use crate::session::Session;

/// What `cargo xtask chaos` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only cases with this in their name
    case: Option<String>,
    /// Repeats one run: the seed that a failure printed
    #[arg(long)]
    seed: Option<u64>,
    /// Rounds of the cases that kill processes
    #[arg(long, default_value_t = 50)]
    rounds: u32,
}

/// Runs the fault tests of the suite and of the embedded engine.
///
/// # Errors
/// A case that fails; it prints its seed.
pub(crate) fn chaos(arguments: &Args) -> anyhow::Result<()> {
    let (rounds, seed) = (arguments.rounds.to_string(), arguments.seed.map(|seed| seed.to_string()));
    let mut environment = vec![("TRUNKLINE_ROUNDS", rounds.as_str()), ("TRUNKLINE_CASES", "all")];
    let session = Session::with_brokers()?;
    environment.extend(session.environment());
    if let Some(seed) = &seed {
        environment.push(("TRUNKLINE_SEED", seed));
    }
    let case = arguments.case.as_deref().unwrap_or("");
    cargo(&["build", "--release", "--package", "trunkline"], &[])?;
    let suite = ["test", "--release", "--package", "trunkline-tests", "--test", "suite", "--"];
    let chaos = format!("chaos::{case}");
    cargo(&[&suite[..], &[&chaos, "--nocapture", "--test-threads", "1"]].concat(), &environment)?;
    let engine =
        ["test", "--release", "--package", "trunkline-embedded", "--test", "damage", "--test", "crash", "--"];
    cargo(&[&engine[..], &[case, "--nocapture", "--test-threads", "1"]].concat(), &environment)
}
