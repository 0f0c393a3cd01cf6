//! Each service starts with what its pod has, and with nothing less. No broker is needed: it waits for one.

use std::time::Duration;

use trunkline_tests::{command, heavy};
use xtask::brokers::Certificates;

use super::objects::Overlay;
use super::pod::Pod;
use super::service::{Secrets, Service};
use super::{OVERLAYS, document};

/// What the document tells to make, with servers that are not there.
fn secrets(overlay: &str) -> Secrets {
    let folder = tempfile::tempdir().unwrap();
    let authority = Certificates::generate(&folder.path().join("certificates")).unwrap().ca;
    let mut secrets = document::secrets(overlay);
    let broker = secrets.get_mut("trunkline-broker").unwrap();
    let url = if overlay == "kafka" { "kafka://127.0.0.1:1" } else { "amqps://bus:secret@127.0.0.1:1/bus" };
    broker.insert("url".to_owned(), url.to_owned());
    broker.insert("ca.crt".to_owned(), std::fs::read_to_string(authority).unwrap());
    let store = secrets.get_mut("trunkline-store").unwrap();
    store.insert("url".to_owned(), "postgres://bus:secret@127.0.0.1:1/bus".to_owned());
    secrets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_lives_and_is_not_ready_while_its_broker_is_away() {
    let _place = heavy::load().await;
    for name in OVERLAYS {
        let (overlay, secrets) = (Overlay::of_files(name), secrets(name));
        let services = Service::all(&overlay).into_iter();
        let pods: Vec<Pod<'_>> =
            services.map(|service| Pod::start(service, &overlay, &secrets, str::to_owned)).collect();
        for pod in &pods {
            pod.probed("startupProbe", true).await;
            pod.probed("livenessProbe", true).await;
            pod.probed("readinessProbe", false).await;
        }
        for pod in pods {
            pod.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_pod_starts_without_one_of_its_secrets() {
    let _place = heavy::load().await;
    let mut tried = 0;
    for name in OVERLAYS {
        let (overlay, secrets) = (Overlay::of_files(name), secrets(name));
        for service in Service::all(&overlay) {
            for secret in service.secrets() {
                let mut less = secrets.clone();
                less.remove(secret);
                let pod = Pod::start(service, &overlay, &less, str::to_owned);
                let status = pod.process.ended(Duration::from_secs(60)).await;
                let log = pod.process.log();
                assert_eq!(status.code(), Some(3), "the {} without {secret}:\n{log}", service.name);
                let place = service.place_of(secret);
                let told = log.lines().any(|line| line.contains("TL-C010") && line.contains(place));
                assert!(told, "the {} without {secret} says nothing of it:\n{log}", service.name);
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 2 * (4 + 2 + 3 + 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_configuration_holds() {
    for name in OVERLAYS {
        let (overlay, root) = (Overlay::of_files(name), tempfile::tempdir().unwrap());
        let secrets = secrets(name);
        for service in Service::all(&overlay) {
            service.lay_out(root.path(), &overlay, &secrets, str::to_owned);
        }
        let printed = command::run(&["check", "-c", "etc/trunkline"], root.path(), &[]).await.expect(0);
        assert!(printed.out.contains("(0 errors, 0 warnings)"), "{name}: {}", printed.out);
    }
}
