//! How long records are kept.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use trunkline_broker::{Broker, Ensure, Keep, Start};
use trunkline_embedded::EmbeddedBroker;

use crate::scene::{channel, group, number, open, options, record, spec, take_all};

async fn settle_all(broker: &EmbeddedBroker) {
    let (mut intake, settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
    let receipts = take_all(intake.as_mut()).await.into_iter().map(|received| received.receipt).collect();
    settler.hand_over(receipts, Vec::new()).await.unwrap();
}

/// The numbers of all that is kept.
async fn kept(broker: &EmbeddedBroker) -> Vec<u64> {
    let mut observer = broker.observe(&channel(), Start::Oldest).await.unwrap();
    let mut numbers = Vec::new();
    while let Ok(batch) = timeout(Duration::from_millis(200), observer.next()).await {
        numbers.extend(batch.unwrap().iter().map(number));
    }
    numbers.sort_unstable();
    numbers
}

async fn wait_until_kept(broker: &EmbeddedBroker, what: impl Fn(&[u64]) -> bool) -> Vec<u64> {
    let begun = Instant::now();
    loop {
        let numbers = kept(broker).await;
        if what(&numbers) {
            return numbers;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{numbers:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn age_takes_the_old_and_leaves_the_young() {
    let place = tempfile::tempdir().unwrap();
    let keep = Keep::For { age: Duration::from_secs(2), bytes: None };
    let broker = open(place.path(), options(), keep).await;
    broker.publish((0..50).map(|number| record(number, 50)).collect()).await.unwrap();
    settle_all(&broker).await;
    assert_eq!(kept(&broker).await.len(), 50, "settled, and still kept");
    sleep(Duration::from_millis(1700)).await;
    broker.publish((50..60).map(|number| record(number, 50)).collect()).await.unwrap();
    settle_all(&broker).await;
    let left = wait_until_kept(&broker, |left| left.len() <= 10).await;
    assert!(left.iter().all(|number| *number >= 50), "{left:?}");
}

#[tokio::test]
async fn size_takes_the_oldest_first_but_nothing_unsettled() {
    let place = tempfile::tempdir().unwrap();
    let keep = Keep::For { age: Duration::from_secs(3600), bytes: Some(200 * 1000) };
    let broker = open(place.path(), options(), keep).await;
    broker.publish((0..1000).map(|number| record(number, 1000)).collect()).await.unwrap();
    sleep(Duration::from_millis(600)).await;
    assert_eq!(kept(&broker).await.len(), 1000, "nothing is settled");
    settle_all(&broker).await;
    let left = wait_until_kept(&broker, |left| left.len() <= 200).await;
    assert!(left.len() >= 60, "not much more goes than must: {left:?}");
    assert_eq!(left.last(), Some(&999));
}

#[tokio::test]
async fn other_settings_are_taken_over() {
    let place = tempfile::tempdir().unwrap();
    let broker =
        open(place.path(), options(), Keep::For { age: Duration::from_secs(3600), bytes: None }).await;
    broker.publish((0..50).map(|number| record(number, 50)).collect()).await.unwrap();
    settle_all(&broker).await;
    assert!(
        broker.ensure(&[spec(Keep::UntilSettled)], Ensure::Verify).await.is_err(),
        "looking changes nothing"
    );
    broker.ensure(&[spec(Keep::UntilSettled)], Ensure::Create).await.unwrap();
    wait_until_kept(&broker, <[u64]>::is_empty).await;
    broker.close();
    let broker = EmbeddedBroker::open(place.path(), options()).unwrap();
    broker.ensure(&[spec(Keep::UntilSettled)], Ensure::Verify).await.expect("they were stored");
}
