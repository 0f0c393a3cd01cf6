//! A destination in a process of its own, and an operator whose console is in another one.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::ground::Engine;
use trunkline_tests::{Fleet, Ground, Setup, eventually, fixture};

use super::RECOVERED;

struct World {
    fleet: Fleet,
    crm: Receiver,
    erp: Receiver,
    sent: usize,
}

impl World {
    async fn start(engine: Engine, case: &str) -> Option<Self> {
        let ground = Ground::new(engine, case).await?;
        let (crm, erp) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
        let quick = "retry: { max_attempts: 2, first: 10ms, max: 50ms }";
        let destinations =
            [fixture::http("crm", &crm.url("/crm"), quick), fixture::http("erp", &erp.url("/erp"), quick)];
        let subscriptions = ["crm", "erp"].map(|to| fixture::subscription(to, "{ source: [suite] }", to));
        let setup = Setup::new(fixture::sections(&destinations, &subscriptions));
        let mut fleet = Fleet::new(ground, setup).await;
        for service in ["gateway", "router", "console"] {
            fleet.launch(service, service, &[]);
        }
        fleet.launch("crm", "dispatcher", &["--only", "crm"]);
        fleet.launch("erp", "dispatcher", &["--only", "erp"]);
        for name in ["gateway", "router", "console", "crm", "erp"] {
            fleet.ready(name).await;
        }
        Some(Self { fleet, crm, erp, sent: 0 })
    }

    async fn publish(&mut self, count: usize) {
        for _ in 0..count {
            self.sent += 1;
            let id = format!("e{}", self.sent);
            self.fleet.publish("gateway", &fixture::event(&id, "suite.made", json!({}))).await.expect(202);
        }
    }

    async fn taken(&self, receiver: &Receiver) {
        receiver.wait_for(self.sent, RECOVERED).await.expect("deliveries did not come");
    }

    async fn destination(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) {
        let path = format!("/api/v1/destinations/{name}");
        eventually(format!("{name} {what}"), RECOVERED, async || {
            is(&self.fleet.get(&path).await).then_some(())
        })
        .await;
    }
}

async fn a_destination_of_its_own(engine: Engine, case: &str) {
    let Some(mut world) = World::start(engine, case).await else { return };
    world.publish(5).await;
    world.taken(&world.crm).await;
    world.taken(&world.erp).await;

    world.fleet.retire("crm").await;
    world.publish(5).await;
    world.taken(&world.erp).await;
    world.destination("crm", "to wait for its process", |crm| crm["waiting"] == 5).await;
    assert_eq!(world.crm.count(), 5, "nobody else delivers to it");
    world.fleet.launch("crm-again", "dispatcher", &["--only", "crm"]);
    world.taken(&world.crm).await;

    steered(&mut world).await;
    buried(&mut world).await;
}

/// What an operator says reaches the dispatcher's process.
async fn steered(world: &mut World) {
    world.fleet.run(&["pause", "crm", "--reason", "stocktaking"]).await.expect(0);
    // The store is asked every second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.publish(5).await;
    world.taken(&world.erp).await;
    world.destination("crm", "to be paused", |crm| crm["state"] == "paused" && crm["waiting"] == 5).await;
    assert_eq!(world.crm.count(), world.sent - 5, "a paused destination takes nothing");
    world.fleet.run(&["resume", "crm"]).await.expect(0);
    world.taken(&world.crm).await;
}

/// What dies in one process is replayed by another.
async fn buried(world: &mut World) {
    world.crm.answer_always(Answer::status(422));
    world.publish(1).await;
    eventually("the dead letter", RECOVERED, async || {
        let printed = world.fleet.run(&["dlq", "list", "--json"]).await.expect(0);
        (printed.lines().len() == 1).then_some(())
    })
    .await;
    world.crm.answer_always(Answer::ok());
    world.fleet.run(&["dlq", "replay", "--destination", "crm"]).await.expect(0);
    let account = world.fleet.settled(RECOVERED).await;
    assert_eq!(account["balanced"], true, "{account}");
    assert_eq!(account["deliveries"]["made"], account["deliveries"]["delivered"], "{account}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_has_a_process_of_its_own_on_kafka() {
    a_destination_of_its_own(Engine::Kafka, "a_destination_has_a_process_of_its_own_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_has_a_process_of_its_own_on_rabbitmq() {
    a_destination_of_its_own(Engine::RabbitMq, "a_destination_has_a_process_of_its_own_on_rabbitmq").await;
}
