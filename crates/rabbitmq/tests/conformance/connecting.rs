//! Who is let in, and how; a password is never shown.

use std::time::Duration;

use tokio::task::spawn_blocking;
use trunkline_broker::conformance::Fixture;
use trunkline_broker::conformance::numbered::{numbers, records};
use trunkline_broker::conformance::stage::{Stage, channel, ensure, group, spec};
use trunkline_broker::{Broker, Ensure, TopologyError};
use trunkline_rabbitmq::{ConnectError, Options, RabbitBroker, Tls};
use xtask::brokers::Certificates;
use xtask::brokers::rabbitmq;
use xtask::brokers::rabbitmq::{RabbitMq, Settings};

use crate::fixture::Rabbit;

async fn refused(options: Options) -> ConnectError {
    let timeout = Duration::from_secs(3);
    let error = RabbitBroker::connect(Options { connect_timeout: timeout, ..options }).await.unwrap_err();
    let mut shown = format!("{error:?} {error}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        shown.push_str(&cause.to_string());
        source = cause.source();
    }
    assert!(!shown.contains("s3cret"), "{shown}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_addresses_are_told_apart_and_show_no_password() {
    let f = Rabbit::start("").await;
    let address = f.server.address();
    let options = |url: String| Options { url, ..Options::default() };
    assert!(!format!("{:?}", options("amqp://guest:s3cret@x/".to_owned())).contains("s3cret"));
    for url in ["not an address", "http://guest:s3cret@localhost", "guest:s3cret@localhost"] {
        assert!(matches!(refused(options(url.to_owned())).await, ConnectError::Url), "{url}");
    }
    let error = refused(options(format!("amqp://guest:s3cret@{address}/%2f"))).await;
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    let error = refused(options(format!("amqp://guest:guest@{address}/nowhere"))).await;
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    let error = refused(options("amqp://guest:s3cret@127.0.0.1:1/%2f".to_owned())).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    // It takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = refused(options(format!("amqp://guest:s3cret@127.0.0.1:{port}/%2f"))).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    f.stop().await;
}

/// A virtual host and a user of its own, who may use what is there and declare nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_declare_nothing_verifies() {
    let f = Rabbit::start("").await;
    let vhost = format!("{}shop", f.prefix);
    f.server.ctl(&["add_vhost", &vhost]).await;
    f.server.ctl(&["set_permissions", "-p", &vhost, "guest", ".*", ".*", ".*"]).await;
    let user = format!("{}reader", f.prefix);
    f.server.ctl(&["add_user", &user, "s3cret"]).await;
    f.server.ctl(&["set_permissions", "-p", &vhost, &user, "^amq\\.gen.*", ".*", ".*"]).await;
    let address = f.server.address();
    let as_user = |user: &str, password: &str| Options {
        url: format!("amqp://{user}:{password}@{address}/{vhost}"),
        ..Options::default()
    };
    let declared = [spec(&channel("in"), 2, &[&group("workers")])];
    let owner = RabbitBroker::connect(as_user("guest", "guest")).await.unwrap();
    owner.ensure(&declared, Ensure::Create).await.unwrap();
    let strict = RabbitBroker::connect(as_user(&user, "s3cret")).await.unwrap();
    strict.ensure(&declared, Ensure::Verify).await.unwrap();
    let missing = [spec(&channel("more"), 2, &[&group("workers")])];
    let refused = strict.ensure(&missing, Ensure::Verify).await;
    assert!(matches!(refused, Err(TopologyError::Missing(_))), "{refused:?}");
    assert!(strict.ensure(&missing, Ensure::Create).await.is_err(), "it may declare nothing");
    strict.publish(records(&channel("in"), "k", 0..3)).await.unwrap();
    let lag = strict.lag(&channel("in"), &group("workers")).await.unwrap();
    assert_eq!(lag.iter().map(|lag| lag.records).sum::<u64>(), 3);
    owner.close().await;
    strict.close().await;
    f.server.ctl(&["delete_vhost", &vhost]).await;
    f.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_client_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::generate(folder.path()).unwrap();
    let tls = rabbitmq::Tls { certificates: certificates.clone(), require_client_certificate: true };
    let settings = Settings { tls: Some(tls), ..Settings::default() };
    let rabbit = spawn_blocking(move || RabbitMq::launch(&settings)).await.unwrap().unwrap();
    let url = rabbit.addresses().tls.clone().unwrap();
    let options = |tls: Tls| Options { url: url.clone(), tls: Some(tls), ..Options::default() };
    let client = &certificates.client;
    let whole = Tls {
        ca: Some(certificates.ca.clone()),
        certificate: Some(client.certificate.clone()),
        key: Some(client.key.clone()),
    };
    refused(options(Tls { certificate: None, key: None, ..whole.clone() })).await;
    refused(options(Tls { ca: None, ..whole.clone() })).await;
    let unreadable = Tls { ca: Some(folder.path().join("missing.pem")), ..whole.clone() };
    assert!(matches!(refused(options(unreadable)).await, ConnectError::Certificate { .. }));

    let broker = RabbitBroker::connect(options(whole)).await.unwrap();
    let broker: std::sync::Arc<dyn Broker> = std::sync::Arc::new(broker);
    let (name, workers) = (channel("in"), group("workers"));
    ensure(&broker, &[spec(&name, 1, &[&workers])]).await;
    broker.publish(records(&name, "k", 0..100)).await.unwrap();
    let f = Rabbit::start("").await;
    let stage = Stage { f: &f, broker, channel: name, group: workers };
    assert_eq!(numbers(&stage.consumer().await.take_and_settle(100).await), (0..100).collect::<Vec<_>>());
}
