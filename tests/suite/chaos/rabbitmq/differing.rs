//! R11: a queue of ours exists with other arguments. The start is refused, and the queue is left as it is.

use std::time::{Duration, Instant};

use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Fleet, Setup, fixture};

use super::Rabbit;

const REFUSED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_other_arguments_stops_the_start() {
    let case = "R11 a_queue_with_other_arguments_stops_the_start";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("all", &receiver.url("/all"), "");
    let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
    let setup = Setup::new(fixture::sections(&[destination], &[subscription]));
    let fleet = Fleet::new(rabbit.ground(case).await, setup).await;
    let queue = format!("{}deliver.all:dispatcher:2", fleet.prefix());
    let name = format!("rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)");
    rabbit.eval(&[format!("rabbit_amqqueue:declare({name}, true, false, [], none, <<\"guest\">>)")]).await;
    for service in ["gateway", "router", "dispatcher", "console"] {
        let begun = Instant::now();
        let arguments = ["run", service, "--admin", "127.0.0.1:0", "--wait", "30s"];
        let refused = fleet.run(&arguments).await.expect(3);
        let took = begun.elapsed();
        assert!(took < REFUSED, "{service} took {took:?}");
        for part in ["error[TL-B001]: channels", "deliver.all", &queue, "inequivalent arg"] {
            assert!(refused.err.contains(part), "{part} is not in {}", refused.err);
        }
        println!("{case}: {service} ended with 3 after {took:?}");
    }
    let queues = rabbit.ctl(&["list_queues", "name", "type"]).await;
    let left = queues.lines().find(|line| line.starts_with(&queue)).unwrap_or_default();
    assert!(left.ends_with("classic"), "{queues}");
}
