//! Records that were changed on the disk.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::Value;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::prometheus::Prometheus;
use trunkline_tests::watching::short_rules;
use trunkline_tests::{Instance, Setup, eventually, fixture};

use super::all_fire;
use crate::SOON;

/// Those that fire here.
pub(super) const ALARMS: &[&str] = &["TrunklineChannelDamaged"];

/// What is looked for in the files, and put in its place.
const MARKS: [&[u8; 16]; 2] = [b"MARK-OF-THE-TEST", b"MARK-OF-A-DAMAGE"];

/// Changes every place where the mark stands, in files that are in use.
fn damage(records: &Path) {
    let mut found = 0;
    for name in ["records.db", "records.db-wal"] {
        let path = records.join(name);
        let bytes = std::fs::read(&path).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        for (at, _) in bytes.windows(16).enumerate().filter(|(_, window)| window == MARKS[0]) {
            file.write_all_at(MARKS[1], at as u64).unwrap();
            found += 1;
        }
    }
    assert!(found > 0, "the records are not in {}", records.display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_channel_rings() {
    if !Prometheus::is_here("a_damaged_channel_rings") {
        return;
    }
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("crm", &receiver.url("/crm"), "");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "crm");
    let bus = Instance::start(Setup::new(fixture::sections(&[destination], &[subscription]))).await;
    bus.run(&["pause", "crm"]).await.expect(0);
    // What comes until the dispatcher notices is delivered all the same.
    eventually("the dispatcher to notice", SOON, async || {
        let metrics = bus.metrics().await;
        let mut held = metrics.lines().filter(|line| line.starts_with("trunkline_delivery_held{"));
        held.any(|line| line.contains("\"paused\"") && line.ends_with(" 1")).then_some(())
    })
    .await;
    for at in 0..20 {
        let data = Value::from(String::from_utf8_lossy(&MARKS[0].repeat(1000)));
        bus.publish(&fixture::event(&format!("e{at}"), "suite.made", data)).await.expect(202);
    }
    bus.settled(SOON).await;
    // At a start everything is looked at, and a damaged folder is refused. What is damaged later is found when it is read.
    damage(&bus.folder().join("data/records"));
    let admin = bus.admin("");
    let prometheus = Prometheus::start(&short_rules(), admin.strip_prefix("http://").unwrap()).await;
    bus.run(&["resume", "crm"]).await.expect(0);
    all_fire(&prometheus, ALARMS).await;
}
