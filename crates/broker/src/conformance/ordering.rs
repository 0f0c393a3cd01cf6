//! Records of one key keep their order and their partition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::record::{Outgoing, Received};

use super::fixture::Fixture;
use super::numbered::{record, round};
use super::oracle::History;
use super::stage::Stage;

/// Many keys over several partitions, many batches: each key in order, each record once, positions ascending.
pub async fn order_per_key<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 4).await;
    let history = History::default();
    for number in 0..40 {
        // Each batch holds two numbers of every key, so that order inside a batch counts too.
        let mut batch = round(&stage.channel, 25, number * 2);
        batch.extend(round(&stage.channel, 25, number * 2 + 1));
        history.sending(&batch);
        stage.publish(batch.clone()).await;
        history.answered(batch, &Ok(()));
    }
    let mut consumer = stage.consumer().await;
    let received = consumer.take_and_settle(2000).await;
    history.received(&received);
    history.assert_exactly_once();
    assert_positions_ascend(&received);
    consumer.expect_nothing().await;
}

/// Publishers at the same time do not turn each other's records round.
pub async fn concurrent_publishers_keep_their_order<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 3).await;
    let history = Arc::new(History::default());
    let mut publishers = JoinSet::new();
    for publisher in 0..8 {
        let (broker, channel, history) =
            (Arc::clone(&stage.broker), stage.channel.clone(), Arc::clone(&history));
        publishers.spawn(async move {
            let key = format!("publisher-{publisher}");
            for first in (0..100).step_by(5) {
                let batch: Vec<_> = (first..first + 5).map(|number| record(&channel, &key, number)).collect();
                history.sending(&batch);
                let answer = broker.publish(batch.clone()).await;
                assert!(history.answered(batch, &answer).is_empty(), "{answer:?}");
            }
        });
    }
    let mut consumer = stage.consumer().await;
    let received = consumer.take_and_settle(800).await;
    while let Some(ended) = publishers.join_next().await {
        ended.expect("a publisher ends well");
    }
    history.received(&received);
    history.assert_exactly_once();
    assert_positions_ascend(&received);
}

/// Keys spread over the partitions, and a key stays where it is, over restarts too; the empty key is a key.
pub async fn key_distribution<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 8).await;
    let keys: Vec<Bytes> =
        (0..99).map(|key| Bytes::from(format!("customer-{key}"))).chain([Bytes::new()]).collect();
    let batch = |stage: &Stage<'_, F>| -> Vec<Outgoing> {
        let outgoing = |key: &Bytes| Outgoing::new(stage.channel.clone(), key.clone(), Bytes::new());
        keys.iter().map(outgoing).collect()
    };
    stage.publish(batch(&stage)).await;
    stage.publish(batch(&stage)).await;
    f.restart().await;
    stage.reopen().await;
    stage.publish(batch(&stage)).await;

    let mut partitions: BTreeMap<Bytes, BTreeSet<u16>> = BTreeMap::new();
    for received in stage.consumer().await.take_and_settle(300).await {
        partitions.entry(received.key).or_default().insert(received.position.partition);
    }
    assert!(partitions.values().all(|partitions| partitions.len() == 1), "a key moved: {partitions:?}");
    let mut counts = [0; 8];
    for partition in partitions.values().flatten() {
        counts[usize::from(*partition)] += 1;
    }
    // 100 keys at random leave a partition empty once in 80,000 tries, or over 40 keys in one almost never.
    assert!(counts.iter().all(|count| (1..=40).contains(count)), "keys are unevenly spread: {counts:?}");
}

#[track_caller]
fn assert_positions_ascend(received: &[Received]) {
    let mut latest: BTreeMap<u16, i64> = BTreeMap::new();
    for record in received {
        let before = latest.insert(record.position.partition, record.position.offset);
        assert!(before.is_none_or(|before| before < record.position.offset), "{:?}", record.position);
    }
}
