//! K3: the broker is killed. K5: the broker is halted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trunkline_tests::kafka::Private;
use trunkline_tests::{Ground, Tag, UnderLoad, counted, eventually};

use super::{RECOVERED, lasting, session};

/// So that a gateway says soon that it can't reach its broker.
const GATEWAY: &str = "confirm_timeout: 2s";
/// What a process may grow by while its broker is away.
const GROWTH: u64 = 64 << 20;

async fn world(case: &str) -> Option<(&'static Private, UnderLoad)> {
    let kafka = Private::get(case)?;
    let world = UnderLoad::on(Ground::on(kafka.broker(session(), &[]), case).await?, GATEWAY).await;
    world.flows(200).await;
    Some((kafka, world))
}

/// The memory of each process.
fn resident(world: &UnderLoad) -> BTreeMap<String, u64> {
    world.fleet.members().map(|(name, member)| (name.to_owned(), member.process.resident())).collect()
}

/// Publishes until the time is over; each answer must be a refusal that says when to come back. How many there were.
async fn refused(world: &UnderLoad, until: Instant, peak: &mut BTreeMap<String, u64>) -> u32 {
    let mut refused = 0;
    while Instant::now() < until {
        let tag = Tag { producer: 99, key: 0, seq: refused };
        world.ledger.sending(tag);
        world.fleet.publish("gateway", &tag.event()).await.expect_later(503);
        refused += 1;
        for (name, now) in resident(world) {
            let peak = peak.entry(name).or_default();
            *peak = now.max(*peak);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    refused
}

#[track_caller]
fn all_run(world: &UnderLoad) {
    for (name, member) in world.fleet.members() {
        let log = || member.process.log();
        assert!(member.process.exited().is_none(), "{name} ended:\n{}", log());
        assert!(!log().contains("panicked"), "{name} panicked:\n{}", log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k3_the_broker_is_killed_and_comes_back() {
    let case = "K3";
    let Some((kafka, world)) = world(case).await else { return };
    let before = resident(&world);
    let mut peak = before.clone();
    kafka.kill();
    let refused = refused(&world, Instant::now() + lasting(5, 20), &mut peak).await;
    kafka.start().unwrap();
    let (up, delivered) = (Instant::now(), world.receiver.count());
    eventually("deliveries after the broker is up", RECOVERED, async || {
        (world.receiver.count() > delivered).then_some(())
    })
    .await;
    let resumed = up.elapsed();
    let grown: BTreeMap<_, _> =
        peak.iter().map(|(name, peak)| (name.clone(), peak.saturating_sub(before[name]) >> 20)).collect();
    println!(
        "{case}: {refused} refusals while it was down, resumed {resumed:?} after it was up, MiB grown {grown:?}"
    );
    all_run(&world);
    world.flows(200).await;
    world.judge(case, usize::MAX).await;
    assert!(refused > 0, "nobody was told that the broker was down");
    assert!(resumed <= Duration::from_secs(10), "{resumed:?} to resume");
    assert!(grown.values().all(|grown| *grown <= GROWTH >> 20), "MiB grown: {grown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k5_the_broker_is_halted() {
    let case = "K5";
    let Some((kafka, mut world)) = world(case).await else { return };
    for halt in 0..counted(1, 20) {
        kafka.pause();
        // Each meets the services in the midst of something else.
        let time =
            if halt == 0 { lasting(8, 45) } else { Duration::from_millis(7500 + 100 * u64::from(halt)) };
        tokio::time::sleep(time).await;
        kafka.resume();
        let (resumed, delivered) = (Instant::now(), world.receiver.count());
        eventually("deliveries after the broker goes on", RECOVERED, async || {
            (world.receiver.count() > delivered).then_some(())
        })
        .await;
        println!("{case}: the first delivery came {:?} after the broker went on", resumed.elapsed());
        all_run(&world);
        world.flows(200).await;
        world.pause().await;
        world.fleet.settled(RECOVERED).await;
        println!("{case}: nothing waited any more {:?} after the broker went on", resumed.elapsed());
        world.go_on();
    }
    world.judge(case, usize::MAX).await;
}
