//! What `deploy/` watches a bus with, on a real Prometheus that scrapes running ones: no query is dead, and each alarm is
//! made to fire by a fault.

mod damaged;
mod faults;
mod servers;
mod shipped;

use std::time::Duration;

use trunkline_tests::eventually;
use trunkline_tests::prometheus::Prometheus;

/// Alarms wait for windows and intervals beside what happens.
const RUNG: Duration = Duration::from_secs(120);

/// Waits until each of these alarms has fired.
async fn all_fire(prometheus: &Prometheus, alarms: &[&str]) {
    for alarm in alarms {
        eventually(format!("{alarm} to fire"), RUNG, async || prometheus.fired(alarm).await.then_some(()))
            .await;
    }
}
