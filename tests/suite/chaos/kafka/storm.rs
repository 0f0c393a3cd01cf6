//! K6: three routers that start and stop all the time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use trunkline_tests::kafka::Operator;
use trunkline_tests::{Seed, eventually};

use super::{PARTITIONS, RECOVERED, Routing, lasting, repeated, times};

/// Events a second, and keys: some for each partition.
const LOAD: (u32, u32) = (500, 64);
const ROUTERS: [&str; 3] = ["one", "two", "three"];
/// How long a partition may stand still, and until nothing waits after the storm.
const CALM: Duration = Duration::from_secs(15);

/// Watches where the group stands, beside the storm; says how long each partition stood still at most.
fn watch(operator: Operator, topic: String, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut places = vec![(0, Instant::now(), Duration::ZERO); PARTITIONS];
    while !stop.load(Ordering::Relaxed) {
        for ((place, since, longest), now) in places.iter_mut().zip(operator.committed(&topic)) {
            *longest = since.elapsed().max(*longest);
            if now > *place {
                (*place, *since) = (now, Instant::now());
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    places.into_iter().map(|(_, _, longest)| longest).collect()
}

/// Starts or stops one of the routers every few seconds; one always runs. How often that was.
async fn storm(routing: &mut Routing, every: Duration, lasts: Duration) -> usize {
    let mut random = Seed::of_this_run().generator(0);
    let mut running: BTreeSet<&str> = ROUTERS.into();
    let (began, mut changes) = (Instant::now(), 0);
    while began.elapsed() < lasts {
        let next = tokio::time::Instant::now() + every;
        let name = ROUTERS[random.random_range(0..ROUTERS.len())];
        if !running.contains(name) {
            routing.fleet.launch(name, "router", &[]);
            running.insert(name);
        } else if running.len() > 1 {
            routing.fleet.retire(name).await;
            running.remove(name);
        } else {
            continue;
        }
        changes += 1;
        tokio::time::sleep_until(next).await;
    }
    for name in ROUTERS.into_iter().filter(|name| !running.contains(name)) {
        routing.fleet.launch(name, "router", &[]);
    }
    changes
}

async fn stormed(case: &str, settings: &str) {
    let Some(mut routing) = Routing::start(case, settings, &ROUTERS).await else { return };
    let (topic, stop) = (routing.topic("events"), Arc::new(AtomicBool::new(false)));
    let stream = routing.stream(LOAD.0, LOAD.1, 0);
    routing.resumes().await;
    let watching = {
        let (operator, topic, stop) = (routing.operator(), topic.clone(), stop.clone());
        tokio::task::spawn_blocking(move || watch(operator, topic, stop))
    };
    let (every, lasts) = (lasting(3, 5), lasting(18, 120));
    let changes = storm(&mut routing, every, lasts).await;
    stop.store(true, Ordering::Relaxed);
    let stood_still = watching.await.unwrap();
    println!("{case}: {changes} starts and stops; partitions stood still for at most {stood_still:?}");
    stream.stop().await;
    let (operator, ended) = (routing.operator(), Instant::now());
    eventually("nothing to wait", RECOVERED, async || (operator.lag(&topic) == 0).then_some(())).await;
    let lagged = ended.elapsed();
    println!("{case}: nothing waited {lagged:?} after the last event");
    for name in ROUTERS {
        routing.fleet.ready(name).await;
    }
    let most = PARTITIONS.div_ceil(ROUTERS.len());
    let shares = eventually("all routers to have their shares", CALM, async || {
        let shares: Vec<usize> = operator.shares(&topic).into_values().collect();
        let fair = shares.iter().all(|share| *share <= most) && shares.len() == ROUTERS.len();
        (fair && shares.iter().sum::<usize>() == PARTITIONS).then_some(shares)
    })
    .await;
    println!("{case}: shares {shares:?}");
    routing.judge(case, changes * repeated(LOAD.0)).await;
    assert!(stood_still.iter().all(|longest| *longest <= CALM), "a partition stood still: {stood_still:?}");
    assert!(lagged <= CALM, "{lagged:?} until nothing waited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k6_every_partition_moves_while_routers_come_and_go() {
    stormed("K6", "").await;
    if times(0, 1) > 0 {
        stormed("K6 exactly once", "exactly_once: true").await;
    }
}
