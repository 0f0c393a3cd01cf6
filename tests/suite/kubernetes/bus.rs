//! A whole bus of an overlay, a pod of each service, on the test brokers: with TLS and users, as in a cluster.

use std::io::Write as _;

use reqwest::Client;
use serde_json::json;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::ground::Engine;
use trunkline_tests::{Ground, eventually, fixture, heavy};
use xtask::brokers::{self, kafka};

use super::document;
use super::objects::Overlay;
use super::pod::Pod;
use super::service::{Secrets, Service};
use crate::SOON;

/// The address of the listener with TLS, and the authority to trust; `None` on a broker that an environment variable
/// names, of which only a plain listener is known.
fn listener(engine: Engine) -> Option<(String, String)> {
    let shared = brokers::shared().unwrap();
    let (address, certificates) = match engine {
        Engine::Kafka => {
            let kafka = shared.kafka().unwrap();
            (kafka.addresses.sasl.map(|servers| format!("kafka://{servers}")), kafka.certificates)
        }
        Engine::RabbitMq => {
            let rabbit = shared.rabbitmq().unwrap();
            (rabbit.addresses.tls, rabbit.certificates)
        }
    };
    Some((address?, std::fs::read_to_string(certificates?.ca).unwrap()))
}

fn secrets(overlay: &str, ground: &Ground, (url, authority): (String, String)) -> Secrets {
    let mut secrets = document::secrets(overlay);
    let broker = secrets.get_mut("trunkline-broker").unwrap();
    broker.insert("url".to_owned(), url);
    broker.insert("ca.crt".to_owned(), authority);
    if overlay == "kafka" {
        broker.insert("username".to_owned(), kafka::USER.to_owned());
        broker.insert("password".to_owned(), kafka::PASSWORD.to_owned());
    }
    let mut put = |secret: &str, key: &str, value: &str| {
        let before = secrets.get_mut(secret).unwrap().insert(key.to_owned(), value.to_owned());
        assert!(before.is_some(), "{secret} has no {key}");
    };
    put("trunkline-store", "url", &ground.store);
    put("trunkline-gateway", "publisher", "key-of-the-publisher");
    put("trunkline-console", "oncall", "key-of-the-operator");
    put("trunkline-destinations", "crm", "token-of-the-crm");
    secrets
}

/// Puts `new` in place of something that must be there.
fn replaced(text: String, old: &str, new: &str) -> String {
    assert!(text.contains(old), "`{old}` is not in the configuration");
    text.replace(old, new)
}

async fn runs(name: &'static str, engine: Engine, case: &str) {
    let Some(ground) = Ground::new(engine, case).await else { return };
    let Some(listener) = listener(engine) else {
        // Not by `eprintln!`, whose output the test runner keeps for failures.
        drop(writeln!(std::io::stderr(), "skipped: {case}: the broker of this run has no listener with TLS"));
        return;
    };
    let _place = heavy::load().await;
    let receiver = Receiver::start().await.unwrap();
    let (overlay, secrets) = (Overlay::of_files(name), secrets(name, &ground, listener));
    let platform = format!("{}\n      allow_private: true", receiver.url("/events"));
    // Of the many partitions only few, which are made sooner; secrets have neither.
    let change = |text: &str| match text.contains("partitions: 12") {
        false => text.to_owned(),
        true => {
            let channels = format!("partitions: 2\n  prefix: {}", ground.prefix);
            let text = replaced(text.to_owned(), "partitions: 12", &channels);
            replaced(text, "https://crm.example.com/events", &platform)
        }
    };
    let services = Service::all(&overlay).into_iter();
    let pods: Vec<Pod<'_>> =
        services.map(|service| Pod::start(service, &overlay, &secrets, change)).collect();
    for pod in &pods {
        pod.probed("readinessProbe", true).await;
        pod.probed("livenessProbe", true).await;
    }
    delivers(&pods, &receiver).await;
    tells_lags(&pods).await;
    // As the document says: in the dispatcher's pod it misses the secrets of the other services, and that is all.
    let found = pod(&pods, "dispatcher").doctor().await;
    let mut sections: Vec<&str> = found.iter().map(|found| found.split(['.', '[']).next().unwrap()).collect();
    sections.sort_unstable();
    assert_eq!(sections, ["TL-C010 console", "TL-C010 gateway", "TL-C010 sources"], "{found:?}");
    for pod in pods {
        pod.stop().await;
    }
}

fn pod<'a>(pods: &'a [Pod<'a>], service: &str) -> &'a Pod<'a> {
    pods.iter().find(|pod| pod.service.name == service).unwrap()
}

/// An event goes in with the publisher's key and comes out with the destination's token.
async fn delivers(pods: &[Pod<'_>], receiver: &Receiver) {
    let gateway = pod(pods, "gateway");
    let mut event = fixture::event("e1", "shop.order.paid", json!({ "total": 4250 }));
    event["source"] = "shop".into();
    let url = format!("http://127.0.0.1:{}/v1/events", gateway.http);
    let request = Client::new().post(url).header("content-type", "application/cloudevents+json");
    let answer = request.bearer_auth("key-of-the-publisher").body(event.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    let delivered = receiver.wait_for(1, SOON * 2).await.expect("the event was not delivered");
    assert_eq!(delivered[0].header("authorization"), Some("Bearer token-of-the-crm"));
}

/// The console tells what the autoscalers ask for, with the labels that they ask by.
async fn tells_lags(pods: &[Pod<'_>]) {
    let console = pod(pods, "console");
    let url = format!("http://127.0.0.1:{}/metrics", console.admin);
    for (channel, group) in [("events", "router"), ("deliver.crm", "dispatcher")] {
        let series = format!("trunkline_channel_lag_records{{channel=\"{channel}\",group=\"{group}\"}}");
        eventually(format!("{series} to be told"), SOON * 2, async || {
            let told = reqwest::get(&url).await.ok()?.text().await.ok()?;
            told.contains(&series).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_of_the_overlay_runs_on_kafka() {
    runs("kafka", Engine::Kafka, "a_bus_of_the_overlay_runs_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_of_the_overlay_runs_on_rabbitmq() {
    runs("rabbitmq", Engine::RabbitMq, "a_bus_of_the_overlay_runs_on_rabbitmq").await;
}
