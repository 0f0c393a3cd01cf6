//! A rebalance storm: three routers, one of which comes or goes every few seconds, under load.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use trunkline_tests::load::Plan;
use trunkline_tests::under_load::tag;
use trunkline_tests::{RECOVERED, Scene, UnderLoad, counted, eventually};

use super::Rabbit;

/// How often an instance comes or goes.
const EVERY: Duration = Duration::from_secs(5);
/// How long every key may wait for a delivery meanwhile.
const PROGRESS: Duration = Duration::from_secs(20);
/// How soon nothing waits any more after the last event.
const CAUGHT_UP: Duration = Duration::from_secs(15);
/// What a change may repeat: what partitions that move had not settled in time.
const REPEATED: usize = 1000;
const PARTITIONS: u16 = 4;

/// More keys than partitions by far, so that each partition has some.
const PLAN: Plan = Plan { producers: 6, keys: 6, events: u32::MAX };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_that_come_and_go_leave_no_partition_behind() {
    let case = "storm routers_that_come_and_go_leave_no_partition_behind";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let scene = Scene { plan: PLAN, ..Scene::default() };
    let mut world = UnderLoad::play(rabbit.ground(case).await, scene).await;
    world.flows(100).await;
    let changes = counted(4, 24);
    let (mut judged, mut running) = (0, BTreeSet::from([0_usize]));
    let mut progress = Instant::now();
    for change in 0..changes {
        let began = Instant::now();
        // They come and go in turn, the first one too; one is always there.
        let number = (change as usize + 1) % 3;
        let number = if running == BTreeSet::from([number]) { (number + 1) % 3 } else { number };
        if running.remove(&number) {
            world.fleet.retire(&name(number)).await;
        } else {
            running.insert(number);
            world.fleet.launch(&name(number), "router", &[]);
        }
        tokio::time::sleep(EVERY.saturating_sub(began.elapsed())).await;
        if progress.elapsed() >= PROGRESS || change + 1 == changes {
            judged = every_key_progressed(&world, judged, case);
            progress = Instant::now();
        }
    }
    for number in (0..3).filter(|number| !running.contains(number)) {
        world.fleet.launch(&name(number), "router", &[]);
    }
    for number in 0..3 {
        world.fleet.ready(&name(number)).await;
    }
    settles(&world, case).await;
    world.pause().await;
    let began = Instant::now();
    world.arrived(CAUGHT_UP).await;
    eventually("the lag to be 0", CAUGHT_UP, async || (lag(&world).await == 0.0).then_some(())).await;
    let took = began.elapsed();
    println!("{case}: {changes} changes, lag 0 after {took:?}");
    assert!(took <= CAUGHT_UP, "{case}: {took:?}");
    world.judge(case, REPEATED * changes as usize).await;
}

fn name(number: usize) -> String {
    match number {
        0 => "router".to_owned(),
        number => format!("router-{}", number + 1),
    }
}

/// Every key, and with them every partition, was delivered since the last look.
fn every_key_progressed(world: &UnderLoad, judged: usize, case: &str) -> usize {
    let requests = world.receiver.requests();
    let keys: BTreeSet<(u32, u32)> =
        requests[judged..].iter().map(tag).map(|tag| (tag.producer, tag.key)).collect();
    println!("{case}: {} deliveries of {} keys", requests.len() - judged, keys.len());
    assert_eq!(keys.len(), (PLAN.producers * PLAN.keys) as usize, "{case}: a partition stands still");
    requests.len()
}

/// No instance has more than its share, and together they have all.
async fn settles(world: &UnderLoad, case: &str) {
    let share = f64::from(PARTITIONS.div_ceil(3));
    let owned = eventually("everybody to have a share", RECOVERED, async || {
        let mut owned = Vec::new();
        for number in 0..3 {
            owned.push(leases(world, &name(number)).await);
        }
        let fair = owned.iter().all(|owned| (0.0..=share).contains(owned));
        (fair && owned.iter().sum::<f64>() == f64::from(PARTITIONS)).then_some(owned)
    })
    .await;
    println!("{case}: leases {owned:?}");
}

async fn leases(world: &UnderLoad, router: &str) -> f64 {
    let changes = async |change: &str| {
        let labels = ["channel=\"events\"", "group=\"router\"", &format!("change=\"{change}\"")];
        world.fleet.metric(router, "trunkline_lease_changes_total", &labels).await
    };
    changes("assigned").await - changes("revoked").await - changes("lost").await
}

async fn lag(world: &UnderLoad) -> f64 {
    let metric = "trunkline_channel_lag_records";
    world.fleet.metric("console", metric, &["group=\"router\""]).await
        + world.fleet.metric("console", metric, &["group=\"dispatcher\""]).await
}
