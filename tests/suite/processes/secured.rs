//! Starts over TLS, with and without a client certificate, and with SASL, as the configuration says it.

use serde_json::json;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Fleet, Ground, Setup, fixture};
use xtask::brokers::{self, Certificates, Shared};

use super::RECOVERED;

const CASE: &str = "services_start_over_tls_and_sasl";

/// What stands behind `broker:`, and what it is about.
fn brokers(shared: &Shared) -> Vec<(&'static str, String, Certificates)> {
    let (kafka, rabbit) = (shared.kafka().unwrap(), shared.rabbitmq().unwrap());
    let mut all = Vec::new();
    if let (Some(url), Some(certificates)) = (rabbit.addresses.tls, rabbit.certificates) {
        let with = |tls: String| format!("{{ url: \"{url}\", tls: {tls} }}");
        all.push(("RabbitMQ, TLS", with(server(&certificates)), certificates.clone()));
        all.push(("RabbitMQ, mutual TLS", with(mutual(&certificates)), certificates));
    }
    if let (Some(sasl), Some(tls), Some(certificates)) =
        (kafka.addresses.sasl, kafka.addresses.tls, kafka.certificates)
    {
        let user = brokers::kafka::USER;
        let properties = format!(
            "{{ sasl.mechanism: SCRAM-SHA-512, sasl.username: {user}, sasl.password: \"${{env:BUS_PASSWORD}}\" }}"
        );
        let secured = format!(
            "{{ url: \"kafka://{sasl}\", tls: {}, properties: {properties} }}",
            server(&certificates)
        );
        all.push(("Kafka, SASL over TLS", secured, certificates.clone()));
        let mutual = format!("{{ url: \"kafka://{tls}\", tls: {} }}", mutual(&certificates));
        all.push(("Kafka, mutual TLS", mutual, certificates));
    }
    if all.is_empty() {
        println!("skipped: {CASE}: the brokers of this run have no listeners for TLS");
    }
    all
}

fn server(certificates: &Certificates) -> String {
    format!("{{ ca: \"{}\" }}", certificates.ca.display())
}

fn mutual(certificates: &Certificates) -> String {
    let (ca, client) = (certificates.ca.display(), &certificates.client);
    let (certificate, key) = (client.certificate.display(), client.key.display());
    format!("{{ ca: \"{ca}\", certificate: \"{certificate}\", key: \"{key}\" }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_start_over_tls_and_sasl() {
    let Some(shared) = brokers::shared_or_skip(CASE).unwrap() else { return };
    for (what, broker, certificates) in brokers(&shared) {
        let Some(ground) = Ground::on(broker.clone(), CASE).await else { return };
        let receiver = Receiver::start().await.unwrap();
        let destination = fixture::http("all", &receiver.url("/all"), "");
        let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
        let setup = Setup::new(fixture::sections(&[destination], &[subscription]));
        let setup = setup.environment("BUS_PASSWORD", brokers::kafka::PASSWORD);
        let mut fleet = Fleet::new(ground, setup).await;
        for service in ["gateway", "router", "dispatcher"] {
            fleet.launch(service, service, &[]);
        }
        for service in ["gateway", "router", "dispatcher"] {
            fleet.ready(service).await;
        }
        fleet.publish("gateway", &fixture::event("e1", "suite.made", json!({}))).await.expect(202);
        receiver.wait_for(1, RECOVERED).await.unwrap_or_else(|| panic!("{what}: not delivered"));
        // Somebody else's authority vouches for nobody.
        let text = std::fs::read_to_string(fleet.folder().join("trunkline.yaml")).unwrap();
        let (ca, other) = (certificates.ca.display().to_string(), certificates.foreign_ca.display());
        let distrusting = text.replace(&ca, &other.to_string());
        assert_ne!(text, distrusting);
        std::fs::write(fleet.folder().join("distrusting.yaml"), distrusting).unwrap();
        let arguments = ["run", "router", "--admin", "127.0.0.1:0", "--wait", "1s"];
        let refused = fleet.run_with("distrusting.yaml", &arguments).await.expect(4);
        assert!(!refused.err.contains(brokers::kafka::PASSWORD), "{}", refused.err);
        println!("{CASE}: {what}");
    }
}
