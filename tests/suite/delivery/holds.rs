//! When a destination as a whole takes nothing: everything waits, nothing is lost, nothing dies.

use serde_json::json;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::{Instance, Setup, eventually};

use super::{QUICK, bus, publish, state};
use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_destination_waits_until_it_is_resumed() {
    let (bus, receiver) = bus(QUICK).await;
    bus.run(&["pause", "crm", "--reason", "maintenance"]).await.expect(0);
    let paused = state(&bus, "crm", "paused").await;
    assert_eq!((&paused["by"], &paused["reason"]), (&"local".into(), &"maintenance".into()));
    // The dispatcher learns of it through the store; what comes until then is delivered all the same.
    eventually("the dispatcher to notice", SOON, async || {
        let metrics = bus.metrics().await;
        let mut lines = metrics.lines().filter(|line| line.starts_with("trunkline_delivery_held{"));
        lines.any(|line| line.contains("\"paused\"") && line.ends_with(" 1")).then_some(())
    })
    .await;
    for at in 0..20 {
        publish(&bus, &format!("e{at}")).await;
    }
    let account = bus.settled(SOON).await;
    assert_eq!((&account["deliveries"]["held"], receiver.count()), (&20.into(), 0), "{account}");
    let listed = bus.run(&["destinations", "--json"]).await.expect(0).lines();
    assert_eq!((&listed[0]["state"], &listed[0]["waiting"]), (&"paused".into(), &20.into()));
    bus.run(&["resume", "crm"]).await.expect(0);
    receiver.wait_for(20, SOON).await.expect("not everything that waited was delivered");
    let account = bus.settled(SOON).await;
    assert_eq!(
        (&account["deliveries"]["delivered"], &account["deliveries"]["dead"]),
        (&20.into(), &0.into())
    );
    bus.run(&["pause", "nobody"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_hold_the_destination_and_kill_nothing() {
    for status in [401, 403] {
        let (bus, receiver) = bus(&format!("{QUICK}\nconcurrency: 1")).await;
        receiver.answer_always(Answer::status(status));
        for at in 0..10 {
            publish(&bus, &format!("e{at}")).await;
        }
        let held = state(&bus, "crm", "held").await;
        assert!(held["reason"].as_str().unwrap().contains(&status.to_string()), "{held}");
        let account = bus.settled(SOON).await;
        assert_eq!((&account["deliveries"]["held"], &account["deliveries"]["dead"]), (&10.into(), &0.into()));
        assert!(receiver.count() <= 2, "{} requests with refused credentials", receiver.count());
        let before = receiver.count();
        receiver.answer_always(Answer::ok());
        bus.post("/api/v1/destinations/crm/resume", &json!({})).await.expect(200);
        receiver.wait_for(before + 10, SOON).await.expect("not everything that waited was delivered");
        state(&bus, "crm", "open").await;
        assert_eq!(bus.settled(SOON).await["deliveries"]["delivered"], 10);
    }
}

/// A probe that succeeds ends a hold by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_destination_opens_when_its_probe_succeeds() {
    let (bus, receiver) = bus(&format!("{QUICK}\nconcurrency: 1\nprobe_every: 1s")).await;
    receiver.answer_always(Answer::status(401));
    publish(&bus, "e1").await;
    state(&bus, "crm", "held").await;
    receiver.answer_always(Answer::ok());
    state(&bus, "crm", "open").await;
    assert_eq!(bus.settled(SOON).await["deliveries"]["delivered"], 1);
}

/// So does a secret that has another value, without a restart and without a word from an operator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_destination_opens_when_its_secret_changes() {
    let receiver = Receiver::start().await.unwrap();
    receiver.answer_by(|request| {
        let right = request.header("authorization") == Some("Bearer new");
        Answer::status(if right { 200 } else { 401 })
    });
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    std::fs::write(&token, "old").unwrap();
    let settings = format!(
        "destinations:
  crm:
    adapter: http
    settings: {{ url: '{}', allow_private: true, bearer: '${{file:{}}}' }}
    concurrency: 1
    probe_every: 1h
subscriptions:
  everything: {{ match: {{ source: [suite] }}, to: crm }}
",
        receiver.url("/crm"),
        token.display()
    );
    let bus = Instance::start(Setup::new(settings)).await;
    for at in 0..3 {
        publish(&bus, &format!("e{at}")).await;
    }
    state(&bus, "crm", "held").await;
    // Replaced whole, as secret stores do.
    let new = secrets.path().join("token.new");
    std::fs::write(&new, "new").unwrap();
    std::fs::rename(new, token).unwrap();
    state(&bus, "crm", "open").await;
    assert_eq!(bus.settled(SOON).await["deliveries"]["delivered"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_disables_until_an_operator_resumes() {
    let (bus, receiver) = bus(&format!("{QUICK}\nconcurrency: 1\nprobe_every: 100ms")).await;
    receiver.answer_next([Answer::status(410)]);
    for at in 0..5 {
        publish(&bus, &format!("e{at}")).await;
    }
    state(&bus, "crm", "disabled").await;
    let account = bus.settled(SOON).await;
    assert_eq!(
        (&account["deliveries"]["held"], &account["deliveries"]["dead"]),
        (&5.into(), &0.into()),
        "{account}"
    );
    let before = receiver.count();
    // It stays so over a restart, and no probe is made.
    assert!(bus.terminate(SOON).await.success());
    bus.restart().await;
    state(&bus, "crm", "disabled").await;
    assert_eq!(receiver.count(), before);
    bus.run(&["resume", "crm"]).await.expect(0);
    receiver.wait_for(before + 5, SOON).await.expect("not everything that waited was delivered");
    assert_eq!(bus.settled(SOON).await["deliveries"]["delivered"], 5);
}
