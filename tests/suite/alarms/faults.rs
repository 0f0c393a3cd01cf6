//! One bus in one process, well at first; then everything goes wrong with it that needs no other server.

use serde_json::{Value, json};
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::prometheus::Prometheus;
use trunkline_tests::watching::{queries, rules, short_rules};
use trunkline_tests::{Instance, Setup, eventually, fixture};

use super::{RUNG, all_fire};
use crate::SOON;

/// Those that fire here.
pub(super) const ALARMS: &[&str] = &[
    "TrunklineChannelBehind",
    "TrunklineConfigurationRefused",
    "TrunklineDeadLetters",
    "TrunklineDestinationHeld",
    "TrunklineDestinationPaused",
    "TrunklineGatewayRefuses",
    "TrunklineProcessDown",
    "TrunklineProgramsRestrained",
    "TrunklineSourceSilent",
    "TrunklineWebhooksUnsigned",
];

/// Never ends in time.
const BOMB: &str = "
      n = 0
      list = split(\"a,b,c,d,e,f,g,h,i,j\", \",\")
      for_each(list) -> |_a, _b| { for_each(list) -> |_c, _d| { for_each(list) -> |_e, _f| {
        for_each(list) -> |_g, _h| { for_each(list) -> |_i, _j| { for_each(list) -> |_k, _l| { n = n + 1 } } }
      } } }
      n > 0
";

/// A destination for each fault, each with events of its own type. Those of `suite.waits` are large and few fit.
fn setup(receiver: &Receiver) -> Setup {
    let destination =
        |name: &str, runtime: &str| fixture::http(name, &receiver.url(&format!("/{name}")), runtime);
    let destinations = [
        destination("well", ""),
        destination("rejecting", ""),
        destination("refusing", "concurrency: 1\nprobe_every: 1h"),
        destination("waiting", ""),
    ];
    let to =
        |name: &str, kind: &str| fixture::subscription(name, &format!("{{ type: [suite.{kind}] }}"), name);
    let subscriptions = [
        to("well", "well"),
        to("rejecting", "rejected"),
        to("refusing", "refused"),
        to("waiting", "waits"),
        format!("  bombed:\n    match: {{ type: [suite.bomb] }}\n    when: |{BOMB}    to: well\n"),
    ];
    let source = "sources:\n  shop:\n    adapter: hmac\n    settings:\n      secret: \"${env:SHOP_SECRET}\"\n      \
                  signature: { header: x-signature, algorithm: sha256, encoding: hex }\n      id: /id\n      type: /type\n";
    let sections = format!("{source}{}", fixture::sections(&destinations, &subscriptions));
    let mut setup = Setup::new(sections).environment("SHOP_SECRET", "shop-secret");
    setup.broker = "embedded:./data?max_bytes=6MiB".to_owned();
    setup
}

async fn publish(bus: &Instance, kind: &str, count: usize) {
    for at in 0..count {
        let event = fixture::event(&format!("{kind}-{at}"), &format!("suite.{kind}"), json!({}));
        bus.publish(&event).await.expect(202);
    }
}

async fn unsigned_webhooks(bus: &Instance) {
    let wrong = [("x-signature".to_owned(), "00".repeat(32))];
    for at in 0..10 {
        let body = json!({ "id": at, "type": "order" }).to_string();
        bus.hook("shop", &wrong, body.as_bytes()).await.expect(401);
    }
}

/// Publishes what nobody takes until the broker has no room.
async fn fill(bus: &Instance) {
    for at in 0..1000 {
        let event = fixture::event(&format!("large-{at}"), "suite.waits", Value::from("x".repeat(64 << 10)));
        let answer = bus.publish(&event).await;
        if !answer.is_success() {
            answer.expect_later(503);
            return;
        }
    }
    panic!("64 MiB fit into 6 MiB");
}

/// Every query of the dashboard, every recorded series, and what every alarm compares, is a series.
async fn no_query_is_dead(prometheus: &Prometheus) {
    let shipped = rules(&short_rules());
    let sides =
        shipped.iter().flat_map(|rule| rule.sides().into_iter().map(|side| (rule.name.clone(), side)));
    let recorded = shipped.iter().filter(|rule| !rule.alarm);
    let recorded = recorded.map(|rule| (rule.name.clone(), rule.name.clone()));
    for (place, query) in queries().into_iter().chain(sides).chain(recorded) {
        eventually(format!("a series of `{place}`: {query}"), RUNG, async || {
            (!prometheus.query(&query).await.is_empty()).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_query_is_dead_and_every_fault_of_a_bus_rings() {
    if !Prometheus::is_here("no_query_is_dead_and_every_fault_of_a_bus_rings") {
        return;
    }
    let receiver = Receiver::start().await.unwrap();
    receiver.answer_by(|request| match request.target.as_str() {
        "/rejecting" => Answer::status(422),
        "/refusing" => Answer::status(401),
        _ => Answer::ok(),
    });
    let mut bus = Instance::start(setup(&receiver)).await;
    let admin = bus.admin("");
    let prometheus = Prometheus::start(&short_rules(), admin.strip_prefix("http://").unwrap()).await;
    publish(&bus, "well", 20).await;
    receiver.wait_for(20, SOON).await.expect("a bus that is well delivers");
    let lag = "trunkline_channel_lag_records";
    eventually("the lag to be known", SOON, async || (!prometheus.query(lag).await.is_empty()).then_some(()))
        .await;
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").await;
    assert!(firing.is_empty(), "nothing is wrong yet: {firing:#?}");

    unsigned_webhooks(&bus).await;
    publish(&bus, "rejected", 3).await;
    publish(&bus, "refused", 3).await;
    bus.run(&["pause", "waiting"]).await.expect(0);
    publish(&bus, "bomb", 100).await;
    crate::delivery::dead_letters(&bus, 100).await;
    fill(&bus).await;
    bus.reconfigure(|setup| setup.sections.push_str("nonsense: 1\n"));
    let (last, others) =
        ("TrunklineProcessDown", ALARMS.iter().filter(|name| **name != "TrunklineProcessDown"));
    all_fire(&prometheus, &others.copied().collect::<Vec<_>>()).await;
    no_query_is_dead(&prometheus).await;
    bus.kill().await;
    all_fire(&prometheus, &[last]).await;
}
