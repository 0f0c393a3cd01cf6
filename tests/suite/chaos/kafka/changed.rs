//! K14: topics are removed and made anew, or get partitions, while everything runs.

use std::time::{Duration, Instant};

use trunkline_tests::eventually;

use super::{PARTITIONS, RECOVERED, Routing};

/// Events a second, and keys.
const LOAD: (u32, u32) = (300, 64);
/// Until what comes new is routed.
const RECOVERY: Duration = Duration::from_secs(30);

/// Everything new is routed from now on; how long the first took.
async fn goes_on(routing: &mut Routing, producer: u32, what: &str) {
    let stream = routing.stream(LOAD.0, LOAD.1, producer);
    let began = Instant::now();
    routing.resumes().await;
    let took = began.elapsed();
    println!("K14: the first event came through {took:?} after {what}");
    assert!(took <= RECOVERY, "{took:?} after {what}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    stream.stop().await;
    routing.arrives().await;
}

async fn made_anew(routing: &Routing, channel: &str) {
    let (operator, topic) = (routing.operator(), routing.topic(channel));
    operator.delete(&topic).await;
    eventually(format!("{channel} to be made anew"), RECOVERED, async || {
        operator.create(&topic, PARTITIONS as i32).await.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k14_topics_are_made_anew_and_get_partitions() {
    let Some(mut routing) = Routing::start("K14", "", &["router"]).await else { return };
    goes_on(&mut routing, 0, "the start").await;
    made_anew(&routing, "events").await;
    goes_on(&mut routing, 1, "`events` was made anew").await;
    made_anew(&routing, "deliver.all").await;
    routing.follower = None;
    goes_on(&mut routing, 2, "`deliver.all` was made anew").await;
    routing.operator().widen(&routing.topic("events"), PARTITIONS + 2).await;
    goes_on(&mut routing, 3, "`events` got partitions").await;
    let ended = routing.fleet.member("router").process.exited();
    assert!(ended.is_none(), "{ended:?}: {}", routing.fleet.member("router").process.log());
    routing.judge("K14", 0).await;
    // Who starts now is told what to do.
    let refused = routing.fleet.run(&["run", "router", "--admin", "127.0.0.1:0"]).await.expect(3);
    assert!(refused.err.contains("error[TL-B001]"), "{}", refused.err);
}
