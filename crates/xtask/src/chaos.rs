//! The fault tests at their full count. Every test run has a quick form of each.

use anyhow::bail;

use crate::run::{cargo, cargo_output};
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

/// Where fault tests are: the test binary, and what the names of its fault tests begin with.
const PLACES: [(&str, &str); 5] = [
    ("suite", "chaos::"),
    ("suite", "attacks::isolated::"),
    ("engine", "durability::"),
    ("damage", "damage_"),
    ("conformance", "faults::"),
];

/// Runs the fault tests of the suite and of the engines.
///
/// # Errors
/// No case has that name; a case that fails, which prints its seed.
pub(crate) fn chaos(arguments: &Args) -> anyhow::Result<()> {
    let (rounds, seed) = (arguments.rounds.to_string(), arguments.seed.map(|seed| seed.to_string()));
    // What the tests start is built by the same selection of packages, or it would be built twice.
    cargo(&["build", "--release", "--workspace"], &[])?;
    let (mut chosen, mut known) = (Vec::new(), Vec::new());
    for (binary, prefix) in PLACES {
        let all = cases(binary, prefix)?;
        let wanted = |name: &&String| arguments.case.as_deref().is_none_or(|case| name.contains(case));
        chosen.push((binary, all.iter().filter(wanted).cloned().collect::<Vec<_>>()));
        known.extend(all);
    }
    if chosen.iter().all(|(_, names)| names.is_empty()) {
        bail!("no case has this in its name; there are:\n  {}", known.join("\n  "));
    }
    let session = Session::with_brokers()?;
    let mut environment = vec![("TRUNKLINE_ROUNDS", rounds.as_str()), ("TRUNKLINE_CASES", "all")];
    environment.extend(session.environment());
    environment.extend(seed.as_deref().map(|seed| ("TRUNKLINE_SEED", seed)));
    for (binary, names) in chosen.iter().filter(|(_, names)| !names.is_empty()) {
        let mut run = tests(binary);
        run.extend(names.iter().map(String::as_str));
        run.extend(["--exact", "--nocapture", "--test-threads", "1"]);
        cargo(&run, &environment)?;
    }
    Ok(())
}

fn tests(binary: &str) -> Vec<&str> {
    vec!["test", "--release", "--workspace", "--test", binary, "--"]
}

/// The names of a binary's fault tests.
fn cases(binary: &str, prefix: &str) -> anyhow::Result<Vec<String>> {
    let listed = cargo_output(&[&tests(binary)[..], &["--list"]].concat())?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect())
}
