//! The topology as processes: each has the container's command, environment, configuration and secrets, with the hosts, ports
//! and folders of this machine in place of the containers' own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::sync::SemaphorePermit;
use trunkline_tests::command::{self, Printed};
use trunkline_tests::compose::{Compose, Service};
use trunkline_tests::dockerfile::Dockerfile;
use trunkline_tests::ground::Engine;
use trunkline_tests::{Ground, Process, collector, collector::Collector, eventually, heavy, ports};

use super::RECOVERED;
use super::play::{Topology, play};

/// The ports that services listen on in their containers.
const PORTS: [u16; 3] = [8080, 8090, 9600];

/// The processes of one profile.
struct Processes {
    members: BTreeMap<String, (Service, Process)>,
    places: Places,
    // Dropped after the processes.
    ground: Ground,
    folder: TempDir,
    _place: SemaphorePermit<'static>,
}

/// Where on this machine the addresses of containers are.
struct Places(BTreeMap<(String, u16), String>);

impl Places {
    /// Ours have ports of their own each; the others are given.
    fn of(ours: &[Service], others: &[(&str, u16, String)]) -> Self {
        let mut places = BTreeMap::new();
        for service in ours {
            for port in PORTS {
                places.insert((service.host.clone(), port), format!("127.0.0.1:{}", ports::free()));
            }
        }
        places.extend(others.iter().map(|(host, port, place)| ((host.to_string(), *port), place.clone())));
        Self(places)
    }

    /// A text for the container of `host` as it must stand on this machine.
    fn rewritten(&self, text: &str, host: &str) -> String {
        let mut text = text.to_owned();
        for ((other, port), place) in &self.0 {
            for before in ["//", "@"] {
                text = text.replace(&format!("{before}{other}:{port}"), &format!("{before}{place}"));
            }
            if other == host {
                for own in ["0.0.0.0", "127.0.0.1"] {
                    text = text.replace(&format!("{own}:{port}"), place);
                }
            }
        }
        text
    }
}

impl Processes {
    async fn start(profile: &str, engine: Engine, case: &str) -> Option<(Self, Collector)> {
        let ground = Ground::new(engine, case).await?;
        let place = heavy::load().await;
        let ours = Compose::read().ours(profile);
        let collector = Collector::start().await;
        let url = collector.receiver().url("");
        let exported = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let others = [("kafka", 9092), ("rabbitmq", 5672)].map(|(host, port)| (host, port, ground.address()));
        let others = others.into_iter().chain([("collector", 4318, exported)]).collect::<Vec<_>>();
        let places = Places::of(&ours, &others);
        let folder = tempfile::tempdir().unwrap();
        let mut this = Self { members: BTreeMap::new(), places, ground, folder, _place: place };
        for service in ours {
            let process = this.launch(&service);
            this.members.insert(service.host.clone(), (service, process));
        }
        for host in this.hosts() {
            this.healthy(&host).await;
        }
        Some((this, collector))
    }

    /// The folder that stands for a service's container.
    fn root(&self, host: &str) -> PathBuf {
        self.folder.path().join(host)
    }

    fn launch(&self, service: &Service) -> Process {
        let host = service.host.as_str();
        let (etc, secrets, data) =
            (self.root(host), self.root(host).join("secrets"), self.root(host).join("data"));
        std::fs::create_dir_all(&secrets).unwrap();
        std::fs::create_dir_all(&data).unwrap();
        for (place, file) in &service.secrets {
            let name = Path::new(place).file_name().unwrap();
            let text = trunkline_tests::workspace::read(file);
            // A database of this test's own on a server that others share.
            let text =
                if name == "store" { self.ground.store.clone() } else { self.places.rewritten(&text, host) };
            std::fs::write(secrets.join(name), text).unwrap();
        }
        let mut configuration = self.places.rewritten(&service.configuration(), host);
        for (container, here) in [("/run/secrets", &secrets), ("/var/lib/trunkline", &data)] {
            configuration = configuration.replace(container, &here.display().to_string());
        }
        if host != "receiver" {
            // As with the database: channels of its own.
            configuration += &format!("channels: {{ prefix: \"{}\" }}\n", self.ground.prefix);
        }
        std::fs::write(etc.join("trunkline.yaml"), configuration).unwrap();
        Process::start(&etc, host, service.command.clone(), self.environment(service))
    }

    /// What the image and the compose file set.
    fn environment(&self, service: &Service) -> Vec<(String, String)> {
        let host = service.host.as_str();
        let mut all = Dockerfile::read().environment;
        all.extend(service.environment.clone());
        let here = self.root(host).join("trunkline.yaml").display().to_string();
        let mut all: Vec<(String, String)> = all
            .into_iter()
            .map(|(name, value)| {
                (name, self.places.rewritten(&value, host).replace("/etc/trunkline/trunkline.yaml", &here))
            })
            .collect();
        if service.environment.contains_key("OTEL_EXPORTER_OTLP_ENDPOINT") {
            // Soon and often; the address is the file's own.
            all.extend(
                collector::exporting_to("").into_iter().filter(|(name, _)| !name.ends_with("ENDPOINT")),
            );
        }
        all
    }

    /// Waits until the image's health check ends well.
    async fn healthy(&self, host: &str) {
        let check = Dockerfile::read().health;
        let check: Vec<String> = check[1..].iter().map(|word| self.places.rewritten(word, host)).collect();
        let check: Vec<&str> = check.iter().map(String::as_str).collect();
        eventually(format!("{host} to be healthy"), RECOVERED, async || {
            let process = &self.members[host].1;
            assert!(process.exited().is_none(), "{host} ended:\n{}", process.log());
            let printed = command::run(&check, self.folder.path(), &[]).await;
            (printed.code == Some(0)).then_some(())
        })
        .await;
    }
}

impl Topology for Processes {
    fn address(&self, host: &str, port: u16) -> String {
        self.places.0[&(host.to_owned(), port)].clone()
    }

    fn hosts(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    async fn kill_and_restart(&self, host: &str) {
        let (_, process) = &self.members[host];
        process.kill().await;
        process.restart();
        self.healthy(host).await;
    }

    async fn run(&self, host: &str, arguments: &[&str]) -> Printed {
        let (service, _) = &self.members[host];
        command::run(arguments, &self.root(host), &self.environment(service)).await
    }
}

async fn as_processes(profile: &str, engine: Engine, case: &str) {
    let Some((processes, collector)) = Processes::start(profile, engine, case).await else { return };
    play(&processes, case).await;
    // The services say what they did where the compose file told them to.
    let told: std::collections::BTreeSet<String> =
        collector.spans().into_iter().map(|span| span.service).collect();
    assert!(told.len() >= 3, "traces came from {told:?} only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topology_runs_as_processes_on_kafka() {
    as_processes("kafka", Engine::Kafka, "the_topology_runs_as_processes_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topology_runs_as_processes_on_rabbitmq() {
    as_processes("rabbitmq", Engine::RabbitMq, "the_topology_runs_as_processes_on_rabbitmq").await;
}
