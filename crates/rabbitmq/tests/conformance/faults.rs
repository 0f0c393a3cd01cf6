//! R3, R4, R5, R8, R10 and R11 as far as the engine alone has to do with them. `cargo xtask chaos` runs these at their full
//! count; the others are tried with all services.

mod blocking;
mod crash_loop;
mod declaring;
mod refusing;

/// How often something is done: `quick` in every test run, `full` for the fifty rounds of the full count.
fn counted(quick: u64, full: u64) -> u64 {
    match std::env::var("TRUNKLINE_ROUNDS").ok().and_then(|rounds| rounds.parse::<u64>().ok()) {
        None | Some(1) => quick,
        Some(rounds) => quick.max(full * rounds / 50),
    }
}
