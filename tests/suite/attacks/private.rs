//! X1 and X3: nothing that a destination, an event or a redirect names makes the bus call what is private.

use serde_json::json;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::{Instance, Setup, command, eventually, fixture};

use crate::SOON;

/// Ways to write this machine or its neighbourhood; `{port}` is where a listener would notice.
const WRITTEN: [&str; 34] = [
    "http://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://192.168.0.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://198.18.0.1:{port}/",
    "http://224.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://user:pass@127.0.0.1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_addresses_are_refused_when_the_configuration_is_read() {
    let listener = Receiver::start().await.unwrap();
    let destinations: String = WRITTEN
        .iter()
        .enumerate()
        .map(|(at, url)| {
            let url = url.replace("{port}", &listener.address().port().to_string());
            format!("  d{at}: {{ adapter: http, settings: {{ url: '{url}' }} }}\n")
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let text = format!("version: 1\ndestinations:\n{destinations}");
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let printed =
        command::run(&["check", "--json", "-c", "trunkline.yaml"], folder.path(), &[]).await.expect(1);
    let refused = printed.lines();
    for (at, url) in WRITTEN.iter().enumerate() {
        let path = format!("destinations.d{at}.");
        let named =
            refused.iter().any(|line| line["path"].as_str().is_some_and(|found| found.starts_with(&path)));
        assert!(named, "{url} is accepted: {}", printed.out);
    }
    let printed = command::run(&["up", "-c", "trunkline.yaml"], folder.path(), &[]).await;
    printed.expect(3);
    assert_eq!(listener.count(), 0);
}

/// A name is judged by the address that the connection really uses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_home_is_refused_when_it_is_called() {
    let listener = Receiver::start().await.unwrap();
    let port = listener.address().port();
    // The host comes from the event, or is a name that resolves to this machine.
    let destinations = format!(
        "destinations:
  named: {{ adapter: http, settings: {{ url: 'http://localhost:{port}/' }} }}
  told: {{ adapter: http, settings: {{ url: 'http://{{{{ .data.host }}}}:{port}/' }} }}
subscriptions:
  to-named: {{ match: {{ type: [named] }}, to: named }}
  to-told: {{ match: {{ type: [told] }}, to: told }}
"
    );
    let mut setup = Setup::new(destinations);
    let started = Instance::launch(setup.clone(), &[]).await;
    // `localhost` may be refused when the configuration is read; both are right, a connection is not.
    let named = eventually("the instance to be ready or to end", SOON, async || match started.exited() {
        Some(status) => Some(status.code() == Some(3)),
        None => started
            .client()
            .get(started.admin("/readyz"))
            .send()
            .await
            .ok()?
            .status()
            .is_success()
            .then_some(false),
    })
    .await;
    let bus = if named {
        setup.sections = setup.sections.replace("localhost", "localhost.example.com");
        drop(started);
        Instance::start(setup).await
    } else {
        started
    };
    let hosts = [
        "localhost",
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "169.254.169.254",
        "10.0.0.1",
        "a@b",
        "a/b",
    ];
    for (at, host) in hosts.into_iter().enumerate() {
        let event = fixture::event(&format!("told-{at}"), "told", json!({ "host": host }));
        bus.publish(&event).await.expect(202);
    }
    let dead = crate::delivery::dead_letters(&bus, hosts.len()).await;
    assert!(
        dead.iter().all(|letter| letter["destination"] == "told" && letter["reason"] == "rejected"),
        "{dead:#?}"
    );
    if !named {
        bus.publish(&fixture::event("named-1", "named", json!({}))).await.expect(202);
        eventually("the destination to hold", SOON, async || {
            let state = bus.get("/api/v1/destinations/named").await.expect(200).json();
            (state["state"] == "held").then_some(())
        })
        .await;
    }
    assert_eq!(listener.count(), 0, "{:?}", listener.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_not_followed() {
    let (bus, platform) = super::bus("", "").await;
    let inside = Receiver::start().await.unwrap();
    for (at, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        platform.answer_next([Answer::status(status).header("location", &inside.url("/admin"))]);
        bus.publish(&fixture::event(&format!("e{at}"), "suite.made", json!({}))).await.expect(202);
        platform.wait_for(at + 1, SOON).await.expect("not called");
    }
    let dead = crate::delivery::dead_letters(&bus, 5).await;
    assert!(dead.iter().all(|letter| letter["reason"] == "rejected"), "{dead:#?}");
    bus.settled(SOON).await;
    assert_eq!((inside.count(), platform.count()), (0, 5));
}
