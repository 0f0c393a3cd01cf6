//! A bus on RabbitMQ and PostgreSQL, which can't be had, or take nothing.

use std::net::{SocketAddr, ToSocketAddrs as _};

use serde_json::json;
use trunkline_tests::ground::Engine;
use trunkline_tests::prometheus::Prometheus;
use trunkline_tests::proxy::{Link, Proxy};
use trunkline_tests::watching::short_rules;
use trunkline_tests::{Ground, Instance, Setup, eventually, fixture, ports};
use xtask::brokers;

use super::{RUNG, all_fire};

/// Those that fire here.
pub(super) const ALARMS: &[&str] = &[
    "TrunklineBrokerUnreachable",
    "TrunklineHandOverStuck",
    "TrunklineLagNearRetention",
    "TrunklineStoreUnreachable",
];

/// A proxy before the server of an address, and the address through it.
fn behind_proxy(address: &str) -> (Proxy, String) {
    let (scheme, rest) = address.split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let (user, place) = authority.rsplit_once('@').unwrap();
    let server: SocketAddr = place.to_socket_addrs().unwrap().next().unwrap();
    let port = ports::free();
    (Proxy::start(port, server), format!("{scheme}://{user}@127.0.0.1:{port}/{path}"))
}

/// Runs `rabbitmqctl` on the shared server.
async fn ctl(arguments: &[&str]) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let run = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        brokers::shared().unwrap().rabbitmq().unwrap().ctl(&arguments).unwrap();
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_and_a_store_that_fail_ring() {
    let case = "a_broker_and_a_store_that_fail_ring";
    if !Prometheus::is_here(case) {
        return;
    }
    let Some(ground) = Ground::new(Engine::RabbitMq, case).await else { return };
    let (broker, broker_address) = behind_proxy(ground.broker.trim_matches('"'));
    let (store, store_address) = behind_proxy(&ground.store);
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "nobody");
    let sections = format!(
        "channels: {{ prefix: \"{}\", events: {{ keep: 5s }} }}\n{}",
        ground.prefix,
        // A service that is not there delivers it.
        fixture::sections(&["  nobody: { external: true }\n".to_owned()], &[subscription])
    );
    let setup = Setup { broker: broker_address, store: store_address, ..Setup::new(sections) };
    let bus = Instance::start(setup).await;
    let admin = bus.admin("");
    let prometheus = Prometheus::start(&short_rules(), admin.strip_prefix("http://").unwrap()).await;

    // A queue that takes one record holds up the router, so events wait longer than they are to be kept.
    let policy = format!("{}short", ground.prefix);
    let queues = format!("^{}deliver\\.nobody:dispatcher:", ground.prefix.replace('.', "\\."));
    ctl(&["set_policy", "--apply-to", "queues", &policy, &queues, "{\"max-length\":1}"]).await;
    for at in 0..50 {
        bus.publish(&fixture::event(&format!("e{at}"), "suite.made", json!({}))).await.expect(202);
    }
    all_fire(&prometheus, &["TrunklineHandOverStuck", "TrunklineLagNearRetention"]).await;
    ctl(&["clear_policy", &policy]).await;

    store.set(Link::Reset);
    all_fire(&prometheus, &["TrunklineStoreUnreachable"]).await;
    store.set(Link::Up);
    broker.set(Link::Reset);
    all_fire(&prometheus, &["TrunklineBrokerUnreachable"]).await;
    broker.set(Link::Up);
    let gauges = ["trunkline_store_unreachable", "trunkline_broker_unreachable", "trunkline_hand_over_stuck"];
    for gauge in gauges {
        eventually(format!("{gauge} to end"), RUNG, async || {
            prometheus.query(&format!("max({gauge}) > 0")).await.is_empty().then_some(())
        })
        .await;
    }
}
