//! K13: deliveries are answered out of order, and their dispatcher is killed: only what is answered without a gap before it
//! is settled.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt as _;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::kafka::{Private, Rate, Stream};
use trunkline_tests::{Fleet, Ground, Ledger, Oracle, Seed, Setup, eventually, fixture};

use super::{RECOVERED, times};

/// Events a second, all of different keys for a long time: any may overtake any other.
const LOAD: (u32, u32) = (40, 10_000);
const SLOWEST: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k13_nothing_is_settled_before_what_is_still_unanswered() {
    let case = "K13";
    let Some(kafka) = Private::get(case) else { return };
    let Some(ground) = Ground::on(kafka.broker(Duration::from_secs(2), &[]), case).await else { return };
    let events = format!("{}events", ground.prefix);
    let seed = Seed::of_this_run();
    let receiver = Receiver::start().await.unwrap();
    let latencies = Mutex::new(seed.generator(0));
    receiver.answer_by(move |_request| {
        Answer::ok().after(latencies.lock().unwrap().random_range(Duration::ZERO..SLOWEST))
    });
    let destination = fixture::http("all", &receiver.url("/all"), "concurrency: 128");
    let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
    let mut fleet = Fleet::new(ground, Setup::new(fixture::sections(&[destination], &[subscription]))).await;
    for service in ["router", "dispatcher"] {
        fleet.launch(service, service, &[]);
    }
    for service in ["router", "dispatcher"] {
        fleet.ready(service).await;
    }
    let ledger = Arc::new(Ledger::create(&fleet.folder().join("acked")));
    let rate = Rate { events: LOAD.0, keys: LOAD.1, producer: 0 };
    let stream = Stream::start(kafka.address(), &events, &ledger, rate);
    let kills = times(3, 200);
    for kill in 1..=kills {
        let wanted = receiver.count() + 40;
        eventually("deliveries to flow", RECOVERED, async || (receiver.count() >= wanted).then_some(()))
            .await;
        let moment = seed.generator(kill).random_range(Duration::ZERO..SLOWEST);
        tokio::time::sleep(moment).await;
        let dispatcher = &fleet.member("dispatcher").process;
        dispatcher.kill().await;
        dispatcher.restart();
    }
    stream.stop().await;
    let acked = ledger.all_acked();
    // While the dispatcher was away more came in than it can deliver in any fixed time: it must go on, and get to the end.
    let mut missing = acked.len() + 1;
    while missing > 0 {
        missing = eventually("more of what was acknowledged to arrive", RECOVERED, async || {
            let received = Oracle::new(&ledger, &receiver.requests()).received.into_iter().collect();
            let now = acked.difference(&received).count();
            (now < missing).then_some(now)
        })
        .await;
    }
    let verdict = Oracle::new(&ledger, &receiver.requests()).judge();
    // What was under way at a kill comes again, and what was answered behind something unanswered.
    let under_way = LOAD.0 as usize * (SLOWEST.as_secs() as usize + 1) * 4;
    verdict.expect(&format!("{case} over {kills} kills"), kills as usize * under_way);
}
