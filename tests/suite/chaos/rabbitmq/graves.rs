//! R7: nowhere to put dead letters: their queue is missing, or full. Deliveries stay where they are, an alarm says so, and
//! whatever is delivered meanwhile is settled.

use std::time::{Duration, Instant};

use trunkline_tests::load::Plan;
use trunkline_tests::{RECOVERED, Scene, Tag, UnderLoad, eventually};

use super::Rabbit;

/// How soon an operator must be able to know.
const ALARM: Duration = Duration::from_secs(10);

/// Dead letters that fit.
const FULL: u32 = 2;

/// One in twenty is refused by the platform.
fn takes(tag: Tag) -> bool {
    (tag.producer + tag.seq) % 20 != 3
}

async fn world(rabbit: &Rabbit, case: &str) -> UnderLoad {
    let scene = Scene { plan: Plan { producers: 4, keys: 3, events: u32::MAX }, takes, ..Scene::default() };
    UnderLoad::quiet(rabbit.ground(case).await, scene).await
}

async fn stuck(world: &UnderLoad) -> f64 {
    world.fleet.metric("dispatcher", "trunkline_hand_over_stuck", &["service=\"dispatcher\""]).await
}

/// With the trouble on: the alarm rings, and the platform's honest deliveries are neither kept nor repeated.
async fn troubled(rabbit: &Rabbit, world: &mut UnderLoad) {
    let began = Instant::now();
    world.go_on();
    eventually("the alarm", ALARM, async || (stuck(world).await > 0.0).then_some(())).await;
    println!("R7: alarm set {:?} after the first event", began.elapsed());
    world.flows(500).await;
    world.arrived(RECOVERED).await;
    let dead = world.ledger.all_acked().into_iter().filter(|tag| !takes(*tag)).count();
    let prefix = world.fleet.prefix();
    // Some may be dead already: what fits.
    let prefixes = [format!("{prefix}deliver.all:"), format!("{prefix}dead.all:")];
    eventually("nothing to wait but what is to be dead", RECOVERED, async || {
        let queues = rabbit.ctl(&["list_queues", "name", "messages"]).await;
        let waiting = queues.lines().filter(|line| prefixes.iter().any(|prefix| line.starts_with(prefix)));
        let waiting =
            waiting.filter_map(|line| line.rsplit('\t').next()?.parse::<usize>().ok()).sum::<usize>();
        (waiting == dead).then_some(())
    })
    .await;
    assert!(stuck(world).await > 0.0, "still nowhere to put them");
}

async fn over(world: &UnderLoad) {
    eventually("the alarm to end", RECOVERED, async || (stuck(world).await == 0.0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_queue_for_dead_letters_nothing_is_settled() {
    let case = "R7 without_a_queue_for_dead_letters_nothing_is_settled";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let mut world = world(&rabbit, case).await;
    rabbit.delete(&[format!("{}dead.all:console:0", world.fleet.prefix())]).await;
    troubled(&rabbit, &mut world).await;
    world.fleet.launch("another", "router", &[]);
    over(&world).await;
    world.judge(case, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_full_queue_for_dead_letters_nothing_is_settled() {
    let case = "R7 with_a_full_queue_for_dead_letters_nothing_is_settled";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let mut world = world(&rabbit, case).await;
    let policy = format!("{}graves", world.fleet.prefix());
    rabbit.limit(&policy, &format!("{}dead.all:console:", world.fleet.prefix()), FULL).await;
    // Nobody takes dead letters in, so that their queue fills.
    world.fleet.retire("console").await;
    troubled(&rabbit, &mut world).await;
    rabbit.unlimit(&policy).await;
    world.fleet.launch("console", "console", &[]);
    world.fleet.ready("console").await;
    over(&world).await;
    world.judge(case, 0).await;
}
