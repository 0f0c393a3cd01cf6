//! `trunkline doctor`: everything that a configuration names is looked at, at once, and nothing is changed.
//!
//! Each part is examined by whoever knows it: the engine by the port's [`trunkline_sdk::broker::Examine`], the store by the
//! store, a destination by its adapter. This module only asks, bounds the time, judges what they have in common (clocks,
//! disks, secrets), and finds the place in the configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use trunkline_core::config::{Diagnostic, Diagnostics};
use trunkline_core::{Examination, Fault};
use trunkline_sdk::Adapters;
use trunkline_sdk::config::{Shared, code};

mod broker;
mod clock;
mod destinations;
mod disk;
mod instances;
mod reach;
mod secrets;
mod spot;
mod store;

use spot::Spot;

/// What an examination is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long each part may take.
    pub(crate) within: Duration,
    /// Free bytes below which a disk is told.
    pub(crate) room: u64,
}

/// What was found of one part.
#[derive(Debug)]
struct Part {
    /// What it is, for people: `broker`, `destination crm`.
    name: String,
    found: Examination<Spot>,
    /// What is said about the part as a whole points here.
    whole: Spot,
}

/// What an examination came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What is wrong, by place.
    pub(crate) findings: Vec<Diagnostic>,
    /// What was seen: the part and what of it.
    pub(crate) seen: Vec<(String, String)>,
    /// What was not looked at: the part, and what and why.
    pub(crate) unseen: Vec<(String, String)>,
}

/// Examines all that `shared` names.
pub(crate) async fn examine(shared: Arc<Shared>, adapters: &Adapters, limits: Limits) -> Report {
    let (broker, store, mut parts) = tokio::join!(
        broker::examine(&shared, limits.within),
        store::examine(&shared, limits.within),
        destinations::examine(&shared, adapters, limits.within),
    );
    parts.splice(0..0, [broker, store]);
    let mut report = Report::default();
    let mut findings = Diagnostics::new();
    secrets::judge(&shared, &mut findings);
    instances::judge(&shared, &parts, &mut findings);
    clock::judge(&parts, &mut findings, &mut report);
    for part in &parts {
        disk::judge(part, limits.room, &mut findings);
    }
    for Part { name, found, .. } in parts {
        report.seen.extend(found.seen.into_iter().map(|what| (name.clone(), what)));
        report.unseen.extend(found.unseen.into_iter().map(|what| (name.clone(), what)));
        findings.extend(found.findings.into_iter().map(|one| {
            let spot = one.at;
            spot.diagnostic(one.severity, code_of(one.fault), one.problem, one.remedy)
        }));
    }
    report.findings = findings.into_sorted();
    report
}

fn code_of(fault: Fault) -> &'static str {
    match fault {
        Fault::Unreachable => code::UNREACHABLE,
        Fault::Differs => code::CHANNEL_DIFFERS,
        Fault::Missing => code::CHANNEL_MISSING,
        Fault::Unsafe => code::UNSAFE,
        Fault::Permission => code::NOT_PERMITTED,
        Fault::Certificate => code::CERTIFICATE,
        Fault::Version => code::OTHER_VERSION,
    }
}

/// Waits for an examination no longer than `within`. What it found until then is kept, and that it did not end is one finding
/// more.
async fn bounded<At>(
    within: Duration,
    at: At,
    found: &mut Examination<At>,
    examination: impl AsyncFnOnce(&mut Examination<At>),
) {
    if tokio::time::timeout(within, examination(found)).await.is_err() {
        let problem = format!("it was not examined to its end within {}", humantime::format_duration(within));
        let remedy = "see whether it hangs or is overloaded; `--within` gives it longer";
        found.error(at, Fault::Unreachable, problem, remedy);
    }
}

/// The same findings, about places instead of what an examiner calls them.
fn placed<At>(found: Examination<At>, spot: impl Fn(At) -> Spot) -> Examination<Spot> {
    let Examination { findings, unseen, seen, clocks, written, sharing } = found;
    let findings = findings.into_iter().map(|one| trunkline_core::Finding {
        at: spot(one.at),
        fault: one.fault,
        severity: one.severity,
        problem: one.problem,
        remedy: one.remedy,
    });
    Examination { findings: findings.collect(), unseen, seen, clocks, written, sharing }
}

/// Where something is that may not be there yet: the nearest folder above it that is.
fn nearest(path: &std::path::Path) -> PathBuf {
    let there = path.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty());
    there.map_or_else(|| PathBuf::from("."), std::path::Path::to_path_buf)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use trunkline_core::config::Severity;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_found_in_time_is_kept() {
        let mut found = Examination::default();
        bounded(Duration::from_secs(20), "broker", &mut found, async |found| {
            found.error("channels", Fault::Unsafe, "it is compacted", "change that");
            std::future::pending::<()>().await;
        })
        .await;
        let told: Vec<_> = found.findings.iter().map(|one| (one.at, one.problem.as_str())).collect();
        assert_eq!(
            told,
            [("channels", "it is compacted"), ("broker", "it was not examined to its end within 20s")]
        );
        assert!(found.findings.iter().all(|one| one.severity == Severity::Error));
    }
}
