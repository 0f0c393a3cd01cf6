//! Bounds and holds: one channel never stops another.

use tokio::time::timeout;

use crate::error::ConsumeError;
use crate::record::Received;

use super::consumer::Consumer;
use super::fixture::Fixture;
use super::numbered::{numbers, records, round};
use super::stage::{Stage, channel};

/// A channel full of unsettled records gives no more and stops no other; settling lets it go on.
pub async fn saturated_unsettled<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let calm = stage.another("calm").await;
    let bound = f.unsettled_bound();
    let backlog = 2 * bound as u64 + 10;
    stage.publish(records(&stage.channel, "k", 0..backlog)).await;
    stage.publish(records(&calm, "k", 0..10)).await;

    let mut consumer = stage.consumer_of(&[stage.channel.clone(), calm.clone()]).await;
    let (from_calm, mut full) = split(consumer.until_quiet().await, &calm);
    assert_eq!(numbers(&from_calm), (0..10).collect::<Vec<_>>());
    assert!((100..=bound).contains(&full.len()), "{} unsettled, the bound is {bound}", full.len());
    consumer.settle(from_calm).await;
    stage.publish(records(&calm, "k", 10..20)).await;
    let more = consumer.take(10).await;
    assert!(more.iter().all(|record| record.channel == calm), "a full channel gave more");

    let mut came = numbers(&full);
    while !full.is_empty() {
        consumer.settle(full).await;
        full = if came.len() < backlog as usize { consumer.take(1).await } else { Vec::new() };
        came.extend(numbers(&full));
    }
    assert!(came.into_iter().eq(0..backlog));
    stage.expect_lag(0).await;
    stage.expect_lag_of(&calm, 10).await;
}

/// A held channel gives nothing, whatever time-out the broker has for consumers; the others flow, and afterwards it
/// goes on where it stood.
pub async fn held_channel_outlives_consumer_timeout<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let other = stage.another("other").await;
    stage.publish(round(&stage.channel, 20, 0)).await;
    let mut consumer = stage.consumer_of(&[stage.channel.clone(), other.clone()]).await;
    let held = consumer.take(5).await;
    consumer.intake.hold(&stage.channel, true).await.expect("holding a channel of this intake");
    let surplus = consumer.until_quiet().await;
    consumer.settle(held).await;
    drop(surplus);
    f.elapse_consumer_timeout().await;

    stage.publish(round(&stage.channel, 20, 1)).await;
    stage.publish(records(&other, "k", 0..5)).await;
    let flowing = consumer.take(5).await;
    assert!(flowing.iter().all(|record| record.channel == other), "a held channel gave a record");
    consumer.settle(flowing).await;
    consumer.expect_nothing().await;
    stage.expect_lag(35).await;

    consumer.intake.hold(&stage.channel, false).await.expect("letting it flow again");
    let rest = consumer.take_and_settle(35).await;
    assert_eq!(numbers(&rest).iter().filter(|number| **number == 1).count(), 20);
    consumer.expect_nothing().await;
    stage.expect_lag(0).await;
}

/// Holding gives back what the engine had prefetched: it comes later, in order, once; what was handed out remains the
/// caller's.
pub async fn hold_gives_prefetched_back<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..500)).await;
    let mut consumer = stage.consumer().await;
    let mut handed_out = loop {
        let records = consumer.step().await.expect("an intake goes on");
        if !records.is_empty() {
            break records;
        }
    };
    consumer.intake.hold(&stage.channel, true).await.expect("holding a channel of this intake");
    consumer.expect_nothing().await;
    let returned = handed_out.pop().expect("a batch holds at least one record");
    let first_back = numbers(std::slice::from_ref(&returned))[0];
    drop(returned);
    consumer.settle(handed_out).await;
    consumer.expect_nothing().await;

    consumer.intake.hold(&stage.channel, false).await.expect("letting it flow again");
    let rest = consumer.take_and_settle(500 - first_back as usize).await;
    assert!(numbers(&rest).into_iter().eq(first_back..500));
    stage.expect_lag(0).await;
}

/// A channel stays held when leases come and go.
pub async fn hold_outlives_reassignment<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let mut a = stage.consumer().await;
    a.wait_until("both leases", |a| a.leases.len() == 2).await;
    a.intake.hold(&stage.channel, true).await.expect("holding a channel of this intake");
    let mut b = stage.other_consumer().await;
    let both = async {
        tokio::select! {
            () = b.wait_until("a lease of the one that joined", |b| !b.leases.is_empty()) => {}
            never = a.expect_nothing_ever() => match never {},
        }
    };
    timeout(f.patience(), both).await.expect("a held channel's leases pass too");
    b.leave();
    stage.publish(round(&stage.channel, 20, 0)).await;
    a.wait_until("both leases again", |a| a.leases.len() == 2).await;
    a.expect_nothing().await;
    a.intake.hold(&stage.channel, false).await.expect("letting it flow again");
    assert_eq!(a.take_and_settle(20).await.len(), 20);
    stage.expect_lag(0).await;
}

/// Channels come to an intake and go; an intake may begin with none.
pub async fn add_and_remove_channels_of_an_intake<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let second = stage.another("second").await;
    let mut consumer = stage.consumer_of(&[]).await;
    stage.publish(round(&stage.channel, 10, 0)).await;
    stage.publish(records(&second, "k", 0..5)).await;
    consumer.expect_nothing().await;

    consumer.intake.add(std::slice::from_ref(&stage.channel)).await.expect("adding a declared channel");
    let first = consumer.take(10).await;
    consumer.intake.add(std::slice::from_ref(&second)).await.expect("adding a declared channel");
    assert_eq!(numbers(&consumer.take_and_settle(5).await), [0, 1, 2, 3, 4]);
    let refused = consumer.intake.add(&[channel("nowhere")]).await;
    assert!(matches!(refused, Err(ConsumeError::UnknownChannel(_))), "{refused:?}");

    consumer.intake.remove(std::slice::from_ref(&stage.channel)).await.expect("removing a consumed channel");
    let refused = consumer.intake.remove(std::slice::from_ref(&stage.channel)).await;
    assert!(matches!(refused, Err(ConsumeError::UnknownChannel(_))), "{refused:?}");
    let refused = consumer.intake.hold(&stage.channel, true).await;
    assert!(matches!(refused, Err(ConsumeError::UnknownChannel(_))), "{refused:?}");
    // What the removed channel gave before is still the caller's to settle.
    consumer.settle(first).await;
    stage.expect_lag(0).await;
    stage.publish(round(&stage.channel, 10, 1)).await;
    stage.publish(records(&second, "k", 5..6)).await;
    assert_eq!(numbers(&consumer.take_and_settle(1).await), [5]);
    consumer.expect_nothing().await;

    // What came to the removed channel is for whoever comes next.
    stage.expect_lag(10).await;
    let mut next = stage.consumer().await;
    let rest = next.take_and_settle(10).await;
    assert!(numbers(&rest).iter().all(|number| *number == 1), "a settled record came again");
    stage.expect_lag(0).await;
}

/// Many channels in one intake: all flow, though each has something unsettled.
pub async fn many_channels_in_one_intake<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let mut channels = vec![stage.channel.clone()];
    for index in 0..40 {
        channels.push(stage.another(&format!("deliver.d{index}")).await);
    }
    let mut consumer: Consumer = stage.consumer_of(&channels).await;
    let mut unsettled = Vec::new();
    for number in 0..3 {
        let batch = channels.iter().flat_map(|channel| records(channel, "k", number..number + 1)).collect();
        stage.publish(batch).await;
        let taken = consumer.take(channels.len()).await;
        let mut from: Vec<_> = taken.iter().map(|record| record.channel.clone()).collect();
        from.sort();
        from.dedup();
        assert_eq!(from.len(), channels.len(), "each channel gives one record");
        assert!(numbers(&taken).iter().all(|came| *came == number));
        unsettled.extend(taken);
    }
    consumer.settle(unsettled).await;
    for channel in &channels {
        stage.expect_lag_of(channel, 0).await;
    }
}

fn split(records: Vec<Received>, of: &crate::channel::ChannelName) -> (Vec<Received>, Vec<Received>) {
    records.into_iter().partition(|record| record.channel == *of)
}
