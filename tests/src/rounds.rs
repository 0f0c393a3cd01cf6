//! How often a case with chance in it runs, and the seed that repeats one run.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// What chance came from.
#[derive(Debug, Clone, Copy)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of this run: `TRUNKLINE_SEED`, else a new one. It is printed, so that a failure shows it.
    pub fn of_this_run() -> Self {
        let seed = match std::env::var("TRUNKLINE_SEED") {
            Ok(text) => text.parse().expect("TRUNKLINE_SEED is no number"),
            Err(_) => rand::random(),
        };
        println!("TRUNKLINE_SEED={seed}");
        Self(seed)
    }

    /// The generator of one round.
    pub fn generator(self, round: u32) -> StdRng {
        StdRng::seed_from_u64(self.0.wrapping_add(u64::from(round).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// `TRUNKLINE_ROUNDS`, else 1.
pub fn rounds() -> u32 {
    std::env::var("TRUNKLINE_ROUNDS").map_or(1, |text| text.parse().expect("TRUNKLINE_ROUNDS is no number"))
}

/// The rounds of a full count: what `cargo xtask chaos` asks for.
const FULL: u32 = 50;

/// How often something is done: `quick` in every test run, `full` where the full count is asked for, and in proportion to that.
pub fn counted(quick: u32, full: u32) -> u32 {
    match rounds() {
        1 => quick,
        rounds => quick.max(full * rounds / FULL),
    }
}
