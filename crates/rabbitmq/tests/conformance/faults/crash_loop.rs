//! R5: a consumer with a thousand records in hand dies of one of them, again and again. Nothing is held against the others.

use std::sync::Arc;

use trunkline_broker::conformance::Fixture;
use trunkline_broker::conformance::consumer::{Consumer, part};
use trunkline_broker::conformance::numbered::{id, numbers, record, records};
use trunkline_broker::conformance::stage::Stage;
use trunkline_broker::{Broker, Received};
use trunkline_rabbitmq::{Options, RabbitBroker};

use super::counted;
use crate::fixture::Rabbit;
use crate::proxy::Proxy;

const PREFETCH: u16 = 1000;
const POISON: u64 = 500;

/// A consumer in a process of its own, and that process's handle and way to the server.
async fn consumer(f: &Rabbit, stage: &Stage<'_, Rabbit>) -> (Consumer, Arc<dyn Broker>, Proxy) {
    let proxy = Proxy::start(f.server.address()).await;
    let options = Options { prefetch: PREFETCH, ..f.options("dies", proxy.port) };
    let broker: Arc<dyn Broker> = Arc::new(RabbitBroker::connect(options).await.unwrap());
    let consumer = Consumer::join(f, &broker, std::slice::from_ref(&stage.channel), &stage.group).await;
    (consumer, broker, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_is_held_against_nobody() {
    let f = Rabbit::start("a_crash_loop_is_held_against_nobody").await;
    let stage = Stage::set(&f, 1).await;
    let dead = stage.another("dead").await;
    let all = u64::from(PREFETCH);
    stage.publish(records(&stage.channel, "k", 0..all)).await;
    // More often than any limit that is usual for quorum queues.
    let crashes = counted(5, 50);
    for _ in 0..crashes {
        let (mut consumer, _broker, proxy) = consumer(&f, &stage).await;
        let taken = consumer.take(PREFETCH.into()).await;
        assert_eq!(numbers(&taken), (0..all).collect::<Vec<_>>());
        proxy.cut().await;
    }
    let (mut consumer, _broker, _proxy) = consumer(&f, &stage).await;
    let taken = consumer.take(PREFETCH.into()).await;
    assert_eq!(numbers(&taken), (0..all).collect::<Vec<_>>());
    let poison = |received: &Received| id(received).1 == POISON;
    let (poison, innocent): (Vec<_>, Vec<_>) = taken.into_iter().partition(poison);
    let (poison, _) = part(poison);
    consumer.hand_over(poison, vec![record(&dead, "k", POISON)]).await;
    consumer.settle(innocent).await;
    let buried = stage.consumer_of(std::slice::from_ref(&dead)).await.until_quiet().await;
    assert_eq!(numbers(&buried), [POISON]);
    stage.expect_lag(0).await;
    println!("R5: {crashes} crashes with {PREFETCH} in hand, lost=0, innocents dead=0, poison dead=1");
    f.stop().await;
}
