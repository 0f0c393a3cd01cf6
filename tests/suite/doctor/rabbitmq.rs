//! A RabbitMQ of its own with the management plugin: policies that would lose records, and a user who may not.

use std::sync::Arc;

use trunkline_tests::{Instance, Setup, ports};
use xtask::brokers;
use xtask::brokers::rabbitmq::{RabbitMq, Settings};

use super::Told;

/// No `channels:` stands in the configuration.
const CHANNELS: &str = "1 channels";

/// Runs `rabbitmqctl`, off the threads of the test.
async fn ctl(rabbit: &Arc<RabbitMq>, arguments: &[&str]) {
    let rabbit = rabbit.clone();
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let run = move || rabbit.ctl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    tokio::task::spawn_blocking(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_that_lose_records_and_a_user_who_may_not() {
    let case = "policies_that_lose_records_and_a_user_who_may_not";
    if brokers::skipped(case) {
        return;
    }
    let port = ports::free();
    let settings = Settings { plugins: vec!["rabbitmq_management".to_owned()], ..Settings::default() }
        .configure("management.tcp.ip", "127.0.0.1")
        .configure("management.tcp.port", &port.to_string());
    let launched = tokio::task::spawn_blocking(move || RabbitMq::launch(&settings).unwrap()).await;
    let rabbit = &Arc::new(launched.unwrap());
    let management = format!("http://127.0.0.1:{port}");
    let broker = format!("{{ url: \"{}\", management: \"{management}\" }}", rabbit.url());
    let sections = "destinations: { crm: { external: true } }\n";
    let instance = Instance::start(Setup { broker: broker.clone(), ..Setup::new(sections) }).await;
    let told = Told::of(instance.folder(), &[], &[], 0).await;
    told.counts(0);
    let seen = told.said("seen", "broker");
    // Four partitions of three channels, one of three others, and two that all share.
    for part in ["6 of 6 channels are there", "RabbitMQ 3", "policies of 17 queues"] {
        let alternative = part.replace("RabbitMQ 3", "RabbitMQ 4");
        assert!(seen.contains(part) || seen.contains(&alternative), "{part} is not in {seen}");
    }

    let policy = |name: &'static str, queues: &'static str, definition: &'static str| async move {
        ctl(rabbit, &["set_policy", "--apply-to", "queues", name, queues, definition]).await;
    };
    policy("short", "^events:router:1$", "{\"message-ttl\":60000}").await;
    policy("strict", "^deliver\\.crm:dispatcher:0$", "{\"delivery-limit\":5}").await;
    policy("small", "^journey:console:2$", "{\"max-length\":10}").await;
    ctl(rabbit, &["add_user", "weak", "canary"]).await;
    ctl(rabbit, &["set_user_tags", "weak", "administrator"]).await;
    ctl(rabbit, &["set_permissions", "weak", ".*", "^events", ".*"]).await;
    // The management plugin learns of policies some seconds after they are set.
    let told = trunkline_tests::eventually("the policies to be seen", crate::SOON, async || {
        let told = Told::of_any(instance.folder()).await;
        (told.findings().len() == 3).then_some(told)
    });
    let told = told.await;
    told.has(
        "TL-D002",
        CHANNELS,
        "`message-ttl: 60000` on queue `events:router:1`",
        "no policy with `message-ttl`",
    );
    told.has(
        "TL-D002",
        CHANNELS,
        "policy `strict` sets `delivery-limit: 5`",
        "no policy with `delivery-limit`",
    );
    told.has("TL-D002", CHANNELS, "`max-length: 10` on queue `journey:console:2`", "list_policies");
    assert!(told.findings().iter().all(|finding| finding["severity"] == "error"
        || finding["message"].as_str().unwrap().contains("max-length")));

    let file = instance.folder().join("trunkline.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let weak = text
        .replace("guest:guest@", "weak:canary@")
        .replace("destinations:", "channels: { partitions: 2 }\ndestinations:");
    std::fs::write(&file, weak).unwrap();
    let told = Told::of(instance.folder(), &[], &[], 1).await;
    told.has("TL-D003", "2 broker.url", "may not publish to `journey:console`", "On RabbitMQ");
    let channels = "14 channels.partitions";
    told.has("TL-B001", channels, "`events` has more than 2 partitions", "Changing the number of partitions");
    std::fs::write(&file, text.replace("guest:guest@", "guest:wrong@")).unwrap();
    let told = Told::of(instance.folder(), &[], &[], 1).await;
    told.has("TL-D003", "2 broker.url", "refuses this user, password", "list_permissions");
    assert!(!format!("{told:?}").contains("canary"), "{told:?}");
}
