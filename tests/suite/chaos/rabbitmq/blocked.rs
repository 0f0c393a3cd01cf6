//! R8: a broker short of memory blocks publishers: producers are told to wait, nothing is promised, nothing piles up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trunkline_tests::{RECOVERED, Tag, UnderLoad, counted, eventually};

use super::Rabbit;

const SERVICES: [&str; 4] = ["gateway", "router", "dispatcher", "console"];
/// How much memory a service may take for it.
const MORE: f64 = 64.0 * 1024.0 * 1024.0;
/// What may come again: what was on its way, which was stored when the broker went on, and was sent again meanwhile.
const REPEATED: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_is_waited_for() {
    let case = "R8 a_broker_short_of_memory_is_waited_for";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let world = UnderLoad::on(rabbit.ground(case).await, "confirm_timeout: 2s").await;
    world.flows(500).await;
    let before = memory(&world).await;
    rabbit.ctl(&["set_vm_memory_high_watermark", "0.0001"]).await;
    let mut probe = Probe::default();
    eventually("producers to be told", RECOVERED, async || (!probe.accepted(&world).await).then_some(()))
        .await;
    let until = Instant::now() + Duration::from_secs(counted(5, 30).into());
    let accepted = world.ledger.all_acked().len();
    let mut most = BTreeMap::new();
    while Instant::now() < until {
        assert!(!probe.accepted(&world).await, "accepted by a broker that takes nothing");
        for (service, memory) in memory(&world).await {
            let more = memory - before[service];
            let entry = most.entry(service).or_insert(more);
            *entry = entry.max(more);
        }
    }
    assert_eq!(world.ledger.all_acked().len(), accepted, "promised by a broker that takes nothing");
    rabbit.ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    for (service, more) in most {
        println!("{case}: {service} {:+.1} MiB", more / 1024.0 / 1024.0);
        assert!(more <= MORE, "{service} took {more} bytes more");
    }
    world.flows(500).await;
    world.judge(case, REPEATED).await;
}

async fn memory(world: &UnderLoad) -> BTreeMap<&'static str, f64> {
    let mut memory = BTreeMap::new();
    for service in SERVICES {
        memory.insert(service, world.fleet.metric(service, "process_resident_memory_bytes", &[]).await);
    }
    memory
}

/// One more producer, which reads what it is told.
#[derive(Default)]
struct Probe {
    sent: u32,
}

impl Probe {
    async fn accepted(&mut self, world: &UnderLoad) -> bool {
        let tag = Tag { producer: 1000, key: self.sent, seq: 0 };
        self.sent += 1;
        world.ledger.sending(tag);
        let answer = world.fleet.publish("gateway", &tag.event()).await;
        if answer.is_success() {
            world.ledger.acked(tag);
        } else {
            answer.expect_later(503);
        }
        answer.is_success()
    }
}
