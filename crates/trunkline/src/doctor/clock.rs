//! This machine's clock against those of others.

use trunkline_core::config::{Diagnostics, Severity};
use trunkline_sdk::config::code;

use super::{Part, Report};

/// Leases on replays and the times in journeys stand on clocks that agree this well.
const WARNED_MS: i64 = 5_000;
/// Receivers and senders of signed webhooks refuse a time that is some minutes off.
const WRONG_MS: i64 = 60_000;

/// Judges every clock that was read. When none was, that is said.
pub(super) fn judge(parts: &[Part], findings: &mut Diagnostics, report: &mut Report) {
    let clocks = || parts.iter().flat_map(|part| part.found.clocks.iter().map(move |clock| (part, clock)));
    if clocks().next().is_none() {
        let what = "this machine's clock: nothing that was reached tells the time (PostgreSQL, RabbitMQ's management API and \
                    HTTP do, Kafka does not)";
        report.unseen.push(("clock".to_owned(), what.to_owned()));
    }
    for (part, clock) in clocks() {
        // What may be due to how it was measured is no difference.
        let apart = (clock.ours_ahead_ms.abs() - clock.within_ms).max(0);
        if apart < WARNED_MS {
            continue;
        }
        let severity = if apart < WRONG_MS { Severity::Warning } else { Severity::Error };
        let direction = if clock.ours_ahead_ms > 0 { "ahead of" } else { "behind" };
        let seconds = clock.ours_ahead_ms.abs() / 1000;
        let problem = format!("this machine's clock is {seconds} s {direction} that of {}", clock.whose);
        let remedy =
            "synchronise both by NTP (`timedatectl`): signatures of webhooks, leases and journeys go by them";
        findings.push(part.whole.clone().diagnostic(severity, code::CLOCK, problem, remedy.to_owned()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use trunkline_core::config::parse;
    use trunkline_core::{Clock, Examination};

    use super::super::spot::Spot;
    use super::*;

    #[track_caller]
    fn check(ours_ahead_ms: i64, within_ms: i64, expected: Option<(Severity, &str)>) {
        let root = parse("t.yaml", "store: sqlite:x").unwrap();
        let mut found = Examination::default();
        found.clocks.push(Clock { whose: "PostgreSQL".to_owned(), ours_ahead_ms, within_ms });
        let whole = Spot::of(root.get("store").unwrap());
        let parts = [Part { name: "store".to_owned(), found, whole }];
        let (mut findings, mut report) = (Diagnostics::new(), Report::default());
        judge(&parts, &mut findings, &mut report);
        let told = findings.into_sorted();
        match expected {
            Some((severity, part)) => {
                assert_eq!((told[0].severity, told[0].path.as_str()), (severity, "store"));
                assert!(told[0].message.contains(part), "{}", told[0].message);
            }
            None => assert!(told.is_empty(), "{told:?}"),
        }
    }

    #[test]
    fn a_difference_counts_beyond_what_measuring_adds() {
        check(900, 1000, None);
        check(-5_900, 1000, None);
        check(7_000, 1000, Some((Severity::Warning, "7 s ahead of that of PostgreSQL")));
        check(-3_600_000, 1000, Some((Severity::Error, "3600 s behind")));
    }
}
