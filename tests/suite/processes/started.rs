//! Starts: a webhook through four processes; a number of partitions that was changed; exactly once where there is Kafka.

use trunkline_sdk::testing::Receiver;
use trunkline_tests::ground::Engine;
use trunkline_tests::{Fleet, Ground, Setup, eventually, fixture, signing};

use super::RECOVERED;

const SECRET: &str = "shop-secret";
const SOURCE: &str = "sources:\n  shop: { adapter: shopify, settings: { secret: \"${env:SHOP_SECRET}\" } }\n";

fn setup(receiver: &Receiver) -> Setup {
    let destination = fixture::http("crm", &receiver.url("/crm"), "");
    let subscription = fixture::subscription("orders", "{ type: [{ prefix: \"commerce.\" }] }", "crm");
    let sections = fixture::sections(&[destination], &[subscription]);
    Setup::new(format!("{SOURCE}{sections}")).environment("SHOP_SECRET", SECRET)
}

async fn hook(fleet: &Fleet, gateway: &str, id: u64) -> u16 {
    let body = format!("{{\"id\": {id}, \"currency\": \"EUR\", \"total_price\": \"12.50\"}}");
    let signature = signing::shopify(SECRET, body.as_bytes());
    let request = reqwest::Client::new().post(fleet.url(gateway, "/hooks/shop"));
    let request = request.header("x-shopify-topic", "orders/create");
    let request = request.header("x-shopify-webhook-id", format!("w-{id}"));
    let answer = request.header("x-shopify-hmac-sha256", signature).body(body).send().await.unwrap();
    answer.status().as_u16()
}

/// Also: what one gateway has taken the other one knows.
async fn a_webhook_is_delivered(engine: Engine, case: &str) {
    let Some(ground) = Ground::new(engine, case).await else { return };
    let receiver = Receiver::start().await.unwrap();
    let mut fleet = Fleet::new(ground, setup(&receiver)).await;
    fleet.launch_all().await;
    fleet.launch("gateway-2", "gateway", &[]);
    fleet.ready("gateway-2").await;
    for (gateway, id) in [("gateway", 1), ("gateway-2", 1), ("gateway-2", 2), ("gateway", 2)] {
        assert_eq!(hook(&fleet, gateway, id).await, 200);
    }
    receiver.wait_for(2, RECOVERED).await.expect("the webhooks were not delivered");
    let account = eventually("the account to balance", RECOVERED, async || {
        let account = fleet.settled(RECOVERED).await;
        (account["balanced"] == true).then_some(account)
    });
    let account = account.await;
    let events = &account["events"];
    assert_eq!((&events["accepted"], &events["duplicate"]), (&2.into(), &2.into()), "{account}");
    assert_eq!(receiver.count(), 2);

    refused_partitions(&mut fleet).await;
    for name in ["gateway", "gateway-2", "router", "dispatcher", "console"] {
        fleet.retire(name).await;
    }
}

async fn refused_partitions(fleet: &mut Fleet) {
    let file = fleet.folder().join("trunkline.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("channels: { ", "channels: { partitions: 7, ");
    assert_ne!(text, changed);
    std::fs::write(fleet.folder().join("changed.yaml"), changed).unwrap();
    let refused =
        fleet.run_with("changed.yaml", &["run", "router", "--admin", "127.0.0.1:0"]).await.expect(3);
    for part in ["error[TL-B001]: channels.partitions", "4 partitions", "Changing the number of partitions"] {
        assert!(refused.err.contains(part), "{part} is not in {}", refused.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_deliver_a_webhook_on_kafka() {
    a_webhook_is_delivered(Engine::Kafka, "four_processes_deliver_a_webhook_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_deliver_a_webhook_on_rabbitmq() {
    a_webhook_is_delivered(Engine::RabbitMq, "four_processes_deliver_a_webhook_on_rabbitmq").await;
}

/// A router that another one with its name took over from ends with 5, and what it had begun is not made twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_was_replaced_ends_with_5() {
    let Some(ground) = Ground::new(Engine::Kafka, "a_router_that_was_replaced_ends_with_5").await else {
        return;
    };
    let receiver = Receiver::start().await.unwrap();
    let mut fleet = Fleet::new(ground, setup(&receiver).router("exactly_once: true")).await;
    fleet.launch_all().await;
    assert_eq!(hook(&fleet, "gateway", 1).await, 200);
    receiver.wait_for(1, RECOVERED).await.expect("the webhook was not delivered");
    fleet.launch_as("successor", "router", "router", &[]);
    fleet.ready("successor").await;
    let mut id = 1;
    // The old one finds out when it next hands over.
    let ended = trunkline_tests::eventually("the old router to end", RECOVERED, async || {
        id += 1;
        assert_eq!(hook(&fleet, "gateway", id).await, 200);
        fleet.member("router").process.exited()
    });
    assert_eq!(ended.await.code(), Some(5), "{}", fleet.member("router").process.log());
    receiver.wait_for(usize::try_from(id).unwrap(), RECOVERED).await.expect("an event was lost");
    let account = fleet.settled(RECOVERED).await;
    assert_eq!(account["balanced"], true, "{account}");
}
