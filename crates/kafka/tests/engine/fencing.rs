//! One transactional id, one process.

use std::time::Instant;

use trunkline_broker::{Broker, ConsumeError, HandOverError, Intaken};
use trunkline_kafka::{KafkaBroker, Options};

use crate::stage::{Consumer, Stage, ensure, records, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_process_with_the_same_name_is_fenced() {
    let Some(stage) = Stage::set("an_older_process_with_the_same_name_is_fenced") else { return };
    let connect = || async {
        let options = Options { transactional: true, ..stage.options("router-0") };
        KafkaBroker::connect(options).await.unwrap()
    };
    let older = connect().await;
    ensure(&older, &spec("in", 1, &["router"])).await;
    ensure(&older, &spec("out", 1, &["reader"])).await;
    older.publish(records("in", 0..4)).await.unwrap();
    let mut consumer = Consumer::join(&older, "in", "router").await;
    let mut taken = consumer.take(4).await;
    let first = taken.remove(0);
    consumer.settler.hand_over(vec![first.receipt], records("out", 0..1)).await.unwrap();

    let newer = connect().await;
    let begun = Instant::now();
    let rest = taken.into_iter().map(|record| record.receipt).collect();
    let fenced = consumer.settler.hand_over(rest, records("out", 1..4)).await;
    assert!(matches!(fenced, Err(HandOverError::Fenced)), "{fenced:?}");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    loop {
        match consumer.intake.next().await {
            Err(ConsumeError::Fenced) => break,
            Ok(Intaken::Batch(_)) => panic!("a fenced consumer gets nothing more"),
            Ok(_) => {}
            Err(other) => panic!("{other}"),
        }
    }
    drop(consumer);
    older.close().await;

    // What the older one began is not there; the newer one does it.
    let mut consumer = Consumer::join(&newer, "in", "router").await;
    let taken = consumer.take(3).await;
    let rest = taken.into_iter().map(|record| record.receipt).collect();
    consumer.settler.hand_over(rest, records("out", 1..4)).await.unwrap();
    let mut outputs = Consumer::join(&newer, "out", "reader").await;
    let received = outputs.take(4).await;
    assert_eq!(crate::stage::texts(&received), ["0", "1", "2", "3"]);
}
