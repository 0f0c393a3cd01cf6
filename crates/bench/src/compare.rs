//! Runs of two sides by turns, and what they say.

use std::fmt;
use std::time::Duration;

/// What one run did.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Records, events or calls.
    pub records: u64,
    /// From the first to the last.
    pub took: Duration,
    /// Processor time of the process under test, all threads.
    pub cpu: Duration,
    /// How often the disk was waited for; 0 where nothing is synced.
    pub syncs: u64,
}

/// What is compared, and the goal.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// Records a second; the ratio is to be at least this.
    Throughput(Option<f64>),
    /// Nanoseconds a call; the ratio is to be at most this.
    Time(Option<f64>),
    /// Microseconds of processor time a record; ours may be more by at most this.
    AddedCpu(Option<f64>),
}

/// One side: each call is one whole run with files of its own.
pub type Side<'a> = Box<dyn FnMut() -> anyhow::Result<Run> + 'a>;

/// A run of ours and the runs of the limit before and after it.
#[derive(Debug, Clone, Copy)]
struct Pair {
    before: Run,
    ours: Run,
    after: Run,
}

/// Limit against ours, ready to be printed as one line.
#[derive(Debug)]
pub struct Comparison {
    what: String,
    aim: Aim,
    pairs: Vec<Pair>,
}

/// Runs limit, first, limit, second, .., limit for each round, and compares each of ours with the limit's neighbours.
///
/// # Errors
/// The first run that fails, or that finds its records missing or changed.
pub fn alternate(
    rounds: usize,
    mut limit: Side<'_>,
    mut ours: Vec<(&str, Aim, Side<'_>)>,
) -> anyhow::Result<Vec<Comparison>> {
    let comparison = |(what, aim): (&str, Aim)| Comparison { what: what.to_owned(), aim, pairs: Vec::new() };
    let mut comparisons: Vec<_> = ours.iter().map(|(what, aim, _)| comparison((what, *aim))).collect();
    let mut before = limit()?;
    for _ in 0..rounds {
        for ((_, _, side), comparison) in ours.iter_mut().zip(&mut comparisons) {
            let ours = side()?;
            let after = limit()?;
            comparison.pairs.push(Pair { before, ours, after });
            before = after;
        }
    }
    Ok(comparisons)
}

impl Run {
    fn rate(&self) -> f64 {
        self.records as f64 / self.took.as_secs_f64()
    }

    fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.records as f64
    }

    fn nanos(&self) -> f64 {
        self.took.as_secs_f64() * 1e9 / self.records as f64
    }
}

impl Aim {
    fn figure(self, run: &Run) -> f64 {
        match self {
            Self::Throughput(_) => run.rate(),
            Self::Time(_) => run.nanos(),
            Self::AddedCpu(_) => run.cpu_micros(),
        }
    }

    /// `ours` against `limit`, both figures of this aim.
    fn against(self, ours: f64, limit: f64) -> f64 {
        match self {
            Self::Throughput(_) | Self::Time(_) => ours / limit,
            Self::AddedCpu(_) => ours - limit,
        }
    }

    /// What [`Aim::against`] gives for equals.
    fn equal(self) -> f64 {
        match self {
            Self::Throughput(_) | Self::Time(_) => 1.0,
            Self::AddedCpu(_) => 0.0,
        }
    }

    fn show(self, runs: impl Iterator<Item = Run>) -> String {
        let runs: Vec<Run> = runs.collect();
        let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
        let mut shown = match self {
            Self::Throughput(_) => format!("{:.0}/s {:.1} us CPU", of(Run::rate), of(Run::cpu_micros)),
            Self::Time(_) => format!("{:.0} ns", of(Run::nanos)),
            Self::AddedCpu(_) => format!("{:.1} us CPU {:.0}/s", of(Run::cpu_micros), of(Run::rate)),
        };
        if runs.iter().all(|run| run.syncs > 0) {
            shown += &format!(" {:.1}/sync", of(|run| run.records as f64 / run.syncs as f64));
        }
        shown
    }

    /// A result nearer to the goal than twice the noise decides nothing, and says so.
    fn goal(self, result: f64, noise: f64) -> String {
        let (sign, goal, reached) = match self {
            Self::Throughput(goal) => (">=", goal, goal.is_some_and(|goal| result >= goal)),
            Self::Time(goal) | Self::AddedCpu(goal) => ("<=", goal, goal.is_some_and(|goal| result <= goal)),
        };
        let unit = if matches!(self, Self::AddedCpu(_)) { " us" } else { "" };
        match goal {
            Some(goal) => {
                let verdict = if reached { "reached" } else { "MISSED" };
                let within = if (result - goal).abs() < 2.0 * noise { ", within the noise" } else { "" };
                format!("goal {sign} {goal:.2}{unit}: {verdict}{within}")
            }
            None => "no goal".to_owned(),
        }
    }
}

impl Comparison {
    /// Our figure against the limit's, per round.
    fn results(&self) -> Vec<f64> {
        let result = |pair: &Pair| {
            let limit = (self.aim.figure(&pair.before) + self.aim.figure(&pair.after)) / 2.0;
            self.aim.against(self.aim.figure(&pair.ours), limit)
        };
        self.pairs.iter().map(result).collect()
    }

    /// Our processor time a record against the limit's.
    fn cpu(&self) -> f64 {
        let ratio =
            |pair: &Pair| 2.0 * pair.ours.cpu_micros() / (pair.before.cpu_micros() + pair.after.cpu_micros());
        median(self.pairs.iter().map(ratio))
    }

    /// How far two runs of the limit are apart: an effect smaller than twice this is none.
    fn noise(&self) -> f64 {
        let apart = |pair: &Pair| {
            let (before, after) = (self.aim.figure(&pair.before), self.aim.figure(&pair.after));
            (self.aim.against(after, before) - self.aim.equal()).abs()
        };
        median(self.pairs.iter().map(apart))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.results();
        let least = results.iter().copied().fold(f64::INFINITY, f64::min);
        let most = results.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let result = median(results.into_iter());
        let limit = self.aim.show(self.pairs.iter().flat_map(|pair| [pair.before, pair.after]));
        let ours = self.aim.show(self.pairs.iter().map(|pair| pair.ours));
        let cpu = match self.aim {
            Aim::Throughput(_) => format!(", CPU {:.2} x", self.cpu()),
            Aim::Time(_) | Aim::AddedCpu(_) => String::new(),
        };
        let word = if matches!(self.aim, Aim::AddedCpu(_)) { "adds us" } else { "ratio" };
        write!(
            f,
            "{} | limit {limit} | ours {ours} | {word} {result:.2} ({least:.2}..{most:.2}){cpu} | limit against limit +-{:.2} | {}",
            self.what,
            self.noise(),
            self.aim.goal(result, self.noise()),
        )
    }
}

/// The middle of some numbers; of two middles the mean. 0 for none.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    match (numbers.len() / 2, numbers.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => (numbers[middle - 1] + numbers[middle]) / 2.0,
        (middle, _) => numbers[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(records: u64) -> Run {
        Run { records, took: Duration::from_secs(1), cpu: Duration::from_millis(1), syncs: 0 }
    }

    #[test]
    fn ours_is_compared_with_the_limit_on_both_sides_of_it() {
        let mut limits = [100, 120, 80, 100].into_iter();
        let mut ours = [55, 50, 90].into_iter();
        let limit = Box::new(|| Ok(run(limits.next().expect("three rounds need four"))));
        let side: Side<'_> = Box::new(|| Ok(run(ours.next().expect("one a round"))));
        let compared =
            alternate(3, limit, vec![("copying", Aim::Throughput(Some(0.5)), side)]).expect("no run fails");
        assert_eq!(compared[0].results(), [0.5, 0.5, 1.0]);
        let line = compared[0].to_string();
        let expected = "ratio 0.50 (0.50..1.00), CPU 1.92 x | limit against limit +-0.25 | goal >= 0.50: reached, within the noise";
        assert!(line.ends_with(expected), "{line}");
        assert!(line.starts_with("copying | limit 100/s 10.0 us CPU | ours 55/s"), "{line}");
    }

    #[test]
    fn the_middle() {
        assert_eq!(median([].into_iter()), 0.0);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
