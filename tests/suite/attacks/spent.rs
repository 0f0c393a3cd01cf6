//! What an attack makes the process work.

use std::time::Duration;

use trunkline_tests::Instance;

/// The kernel counts a process's time in hundredths of a second on every machine that these tests run on.
const TICK: Duration = Duration::from_millis(10);

/// The processor time that an instance has used so far, threads that have ended included.
pub(super) fn spent(bus: &Instance) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", bus.pid())).unwrap();
    // The name, in brackets, may have spaces; `utime` and `stime` are the 14th and 15th field, the state the 3rd.
    let fields = stat.rsplit_once(") ").unwrap().1;
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap());
    TICK * ticks.sum::<u32>()
}

/// The middle one of some figures.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
