//! Clients written in Python, with the packages that their authors use, publish to the bus and read from it.

use serde_json::{Value, json};
use trunkline_sdk::testing::Receiver;
use trunkline_tests::ground::Engine;
use trunkline_tests::python::{Program, Python};
use trunkline_tests::{Fleet, Ground, Setup, fixture};
use xtask::brokers;

use crate::SOON;

/// All services, and a destination that gets what Python published.
struct World {
    python: Python,
    fleet: Fleet,
    receiver: Receiver,
    prefix: String,
}

impl World {
    async fn start(engine: Engine, case: &str) -> Option<Self> {
        let ground = Ground::new(engine, case).await?;
        let python = Python::get(case).await?;
        let prefix = ground.prefix.clone();
        let receiver = Receiver::start().await.unwrap();
        let destination = fixture::http("all", &receiver.url("/all"), "");
        let subscription = fixture::subscription("everything", "{ source: [python] }", "all");
        let setup = Setup::new(fixture::sections(&[destination], &[subscription]));
        let mut fleet = Fleet::new(ground, setup).await;
        fleet.launch_all().await;
        Some(Self { python, fleet, receiver, prefix })
    }

    /// The destination got these events, in any order, with their data and their key.
    async fn delivered(&self, ids: &[&str]) {
        self.receiver.wait_for(ids.len(), SOON * 2).await.expect("the events were not delivered");
        let mut delivered = Vec::new();
        for request in self.receiver.requests() {
            let id = request.header("ce-id").unwrap().to_owned();
            let data: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(data, json!({ "order": id, "total": 4250 }));
            let attributes = ["ce-source", "ce-type", "ce-partitionkey"].map(|name| request.header(name));
            assert_eq!(attributes, [Some("python"), Some("order.paid"), Some("customer-17")]);
            delivered.push(id);
        }
        delivered.sort_unstable();
        assert_eq!(delivered, ids);
    }
}

/// What a Python reader printed, by the event's id.
async fn printed(reader: &mut Program, count: usize) -> Vec<Value> {
    let mut printed = Vec::new();
    for _ in 0..count {
        let line = tokio::time::timeout(SOON * 2, reader.line()).await.expect("nothing more was read");
        printed.push(serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
    }
    printed.sort_unstable_by_key(|event| event["id"].as_str().map(str::to_owned));
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_speaks_with_the_bus_on_kafka() {
    let case = "python_speaks_with_the_bus_on_kafka";
    let Some(world) = World::start(Engine::Kafka, case).await else { return };
    let servers = brokers::shared().unwrap().kafka().unwrap().addresses.plain;
    let topic = format!("{}events", world.prefix);
    world.python.run("kafka_publish.py", &[&servers, &topic]).await;
    world.delivered(&["python-binary", "python-structured"]).await;
    world.fleet.publish("gateway", &fixture::event("e1", "suite.made", json!({}))).await.expect(202);
    let mut reader = world.python.start("kafka_consume.py", &[&servers, &topic, "3"]);
    let read = printed(&mut reader, 3).await;
    // What the gateway accepted is in protobuf, which the Python SDK has no format for.
    assert_eq!(read[0]["kind"], "application/cloudevents+protobuf", "{read:?}");
    assert!(read[0]["accepted-by"].as_str().is_some_and(|service| !service.is_empty()), "{read:?}");
    for (event, id, kind) in [
        (&read[1], "python-binary", "application/json"),
        (&read[2], "python-structured", "application/cloudevents+json"),
    ] {
        let data = json!({ "order": id, "total": 4250 });
        let expected =
            json!({ "kind": kind, "id": id, "source": "python", "data": data, "key": "customer-17" });
        assert_eq!(*event, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_speaks_with_the_bus_on_rabbitmq() {
    let case = "python_speaks_with_the_bus_on_rabbitmq";
    let Some(world) = World::start(Engine::RabbitMq, case).await else { return };
    let shared = brokers::shared().unwrap().rabbitmq().unwrap();
    let (events, entrance) = (format!("{}events", world.prefix), format!("{}events.in", world.prefix));
    // Copies are made while somebody looks.
    let tail = reqwest::get(world.fleet.url("console", "/api/v1/tail?channel=events")).await.unwrap();
    assert!(tail.status().is_success(), "{tail:?}");
    let mut reader = world.python.start("rabbitmq_consume.py", &[shared.url(), &events, "3"]);
    assert_eq!(tokio::time::timeout(SOON, reader.line()).await.unwrap(), "ready");
    world.python.run("rabbitmq_publish.py", &[shared.url(), &entrance]).await;
    let ids = ["python-amqp", "python-binary", "python-structured"];
    world.delivered(&ids).await;
    for (event, id) in printed(&mut reader, 3).await.iter().zip(ids) {
        let expected = json!({ "id": id, "source": "python", "data": { "order": id, "total": 4250 } });
        assert_eq!(*event, expected);
    }
    drop(tail);
}
