//! A configuration that changes while deliveries are under way.

use std::sync::Arc;

use tokio::time::sleep;

use super::platform::{Platform, Reply};
use super::world::{World, hosted, name, secs, settings, until};
use crate::config::DestinationSettings;
use crate::destination::DeliveryError;

#[tokio::test(start_paused = true)]
async fn attempts_under_way_end_with_the_adapter_they_began_with() {
    let world = World::new();
    let (old, new) = (
        Arc::new(Platform::new(|_, _| Reply::TakeAfter(secs(3)))),
        Arc::new(Platform::new(|_, _| Reply::TakeAfter(secs(1)))),
    );
    let running = world.run(vec![hosted("crm", &old, settings())]);
    (0..3).for_each(|id| world.deliver("crm", "k", &id.to_string()));
    until(secs(1), || old.under_way() == 1).await;
    running.handle.replace(vec![hosted("crm", &new, settings())]).await.unwrap();
    until(secs(10), || new.took() == ["1", "2"]).await;
    assert_eq!(old.took(), ["0"]);
    assert!(
        new.seen()[0].at - old.seen()[0].at >= secs(3),
        "one delivery of a key at a time, over the change too"
    );
    assert!(running.stop().await.unwrap().settled_all);
}

#[tokio::test(start_paused = true)]
async fn destinations_come_and_go() {
    let world = World::new();
    let platforms = [0, 1, 2].map(|_| Arc::new(Platform::new(|_, _| Reply::TakeAfter(secs(1)))));
    let [first, second, third] = &platforms;
    let running = world.run(vec![hosted("first", first, settings()), hosted("second", second, settings())]);
    for destination in ["first", "second", "third"] {
        (0..3).for_each(|id| world.deliver(destination, "k", &id.to_string()));
    }
    until(secs(1), || first.under_way() == 1 && second.under_way() == 1).await;
    running
        .handle
        .replace(vec![hosted("second", second, settings()), hosted("third", third, settings())])
        .await
        .unwrap();
    until(secs(10), || second.took().len() == 3 && third.took().len() == 3).await;
    assert_eq!(first.took(), ["0"]);
    assert_eq!(world.backlog("first").len(), 2, "what was not attempted stays on the broker");
    running.handle.replace(vec![hosted("first", first, settings())]).await.unwrap();
    until(secs(10), || first.took() == ["0", "1", "2"]).await;
    assert!(running.stop().await.unwrap().settled_all);
}

#[tokio::test(start_paused = true)]
async fn a_changed_destination_that_was_held_tries_at_once() {
    let world = World::new();
    let refusing = Arc::new(Platform::new(|_, _| Reply::Fail(DeliveryError::halted("no").answered(401, ""))));
    let slow_probe = DestinationSettings { probe_every: secs(24 * 3600), ..settings() };
    let running = world.run(vec![hosted("crm", &refusing, slow_probe.clone())]);
    world.deliver("crm", "k", "1");
    until(secs(5), || world.states.get(&name("crm")) == trunkline_store::DestinationStateKind::Held).await;
    running.handle.replace(vec![hosted("crm", &refusing, slow_probe.clone())]).await.unwrap();
    sleep(secs(5)).await;
    assert_eq!(refusing.seen().len(), 1, "nothing changed, so nothing is tried");
    let healthy = Arc::new(Platform::healthy());
    running.handle.replace(vec![hosted("crm", &healthy, slow_probe)]).await.unwrap();
    until(secs(2), || healthy.took().len() == 1).await;
    running.stop().await.unwrap();
}
