//! Channels are what they were declared as, or nothing is done.

use crate::broker::{Ensure, Start};
use crate::error::{ConsumeError, LagError, PublishFailure, TopologyError};

use super::fixture::Fixture;
use super::numbered::{numbers, records};
use super::stage::{Stage, channel, ensure, group, spec};

/// A channel that exists with other settings is named with both, and left alone.
pub async fn settings_mismatch_refuses<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 2).await;
    stage.publish(records(&stage.channel, "k", 0..1)).await;
    let asked = spec(&stage.channel, 3, &[&stage.group]);
    for mode in [Ensure::Create, Ensure::Verify] {
        let refused = stage.broker.ensure(std::slice::from_ref(&asked), mode).await;
        let Err(TopologyError::Mismatch { channel, wanted, found }) = refused else {
            panic!("two partitions are not three: {refused:?}")
        };
        assert_eq!(channel, stage.channel);
        assert!(wanted.contains('3') && found.contains('2'), "wanted {wanted}, found {found}");
    }
    f.restart().await;
    stage.reopen().await;
    let same = spec(&stage.channel, 2, &[&stage.group]);
    stage.broker.ensure(&[same], Ensure::Verify).await.expect("it is as it was");
    assert_eq!(stage.broker.lag(&stage.channel, &stage.group).await.expect("lag").len(), 2);
    assert_eq!(numbers(&stage.consumer().await.take(1).await), [0]);
}

/// Verifying creates nothing; creating again changes nothing.
pub async fn verify_refuses_missing<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let missing = channel("missing");
    let asked = [spec(&stage.channel, 1, &[&stage.group]), spec(&missing, 1, &[&stage.group])];
    let refused = stage.broker.ensure(&asked, Ensure::Verify).await;
    assert!(matches!(&refused, Err(TopologyError::Missing(name)) if *name == missing), "{refused:?}");
    let error = stage.broker.publish(records(&missing, "k", 0..1)).await.expect_err("it was not created");
    assert!(matches!(error.failures[0].failure, PublishFailure::Unroutable(_)), "{error:?}");

    let more_groups = [spec(&stage.channel, 1, &[&stage.group, &group("more")])];
    assert!(stage.broker.ensure(&more_groups, Ensure::Verify).await.is_err(), "a group is missing");
    stage.publish(records(&stage.channel, "k", 0..1)).await;
    for _ in 0..2 {
        ensure(&stage.broker, &asked).await;
    }
    stage.broker.ensure(&asked, Ensure::Verify).await.expect("all is there now");
    assert_eq!(numbers(&stage.consumer().await.take(1).await), [0]);
}

/// What is not there can't be consumed, observed or asked about.
pub async fn what_is_not_there_is_refused<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let (nowhere, nobody) = (channel("nowhere"), group("nobody"));
    let channels = [stage.channel.clone(), nowhere.clone()];
    let refused = stage.broker.consume(&channels, &stage.group, Start::Oldest).await.map(drop);
    assert!(matches!(&refused, Err(ConsumeError::UnknownChannel(name)) if *name == nowhere), "{refused:?}");
    let refused = stage.broker.consume(&channels[..1], &nobody, Start::Oldest).await.map(drop);
    assert!(matches!(refused, Err(ConsumeError::UnknownGroup { .. })), "{refused:?}");
    let refused = stage.broker.observe(&nowhere, Start::Newest).await.map(drop);
    assert!(matches!(refused, Err(ConsumeError::UnknownChannel(_))), "{refused:?}");
    for (channel, group) in [(&nowhere, &stage.group), (&stage.channel, &nobody)] {
        let refused = stage.broker.lag(channel, group).await;
        assert!(matches!(refused, Err(LagError::Unknown(_))), "{refused:?}");
    }
}

/// A channel with unsettled records is removed only by force; created again, it is empty.
pub async fn remove_refuses_nonempty<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let kept = stage.another("kept").await;
    stage.publish(records(&stage.channel, "k", 0..3)).await;
    stage.publish(records(&kept, "k", 0..1)).await;
    let refused = stage.broker.remove(&stage.channel, false).await;
    assert!(matches!(refused, Err(TopologyError::NotEmpty { records: 3, .. })), "{refused:?}");
    stage.consumer().await.take_and_settle(1).await;
    stage.expect_lag(2).await;

    stage.broker.remove(&stage.channel, true).await.expect("removing by force");
    let error = stage.broker.publish(records(&stage.channel, "k", 9..10)).await.expect_err("it is gone");
    assert!(matches!(error.failures[0].failure, PublishFailure::Unroutable(_)), "{error:?}");
    ensure(&stage.broker, &[spec(&stage.channel, 1, &[&stage.group])]).await;
    stage.publish(records(&stage.channel, "k", 10..11)).await;
    let mut consumer = stage.consumer_of(&[stage.channel.clone(), kept.clone()]).await;
    let mut received = consumer.take(2).await;
    received.sort_by_key(|received| received.channel != kept);
    assert_eq!(numbers(&received), [0, 10]);
    consumer.settle(received).await;
    stage.expect_lag(0).await;
    consumer.leave();
    stage.broker.remove(&stage.channel, false).await.expect("an empty channel can be removed");
}
