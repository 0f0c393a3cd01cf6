//! The topology in containers, with docker-compose.yml itself; brokers, store and collector are beside it on the machine, since
//! their images can't be had everywhere. Each is reached under the name that the file gives it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::SemaphorePermit;
use tokio::task::JoinSet;
use trunkline_tests::collector::Collector;
use trunkline_tests::command::Printed;
use trunkline_tests::compose::{Compose, Service};
use trunkline_tests::docker::Docker;
use trunkline_tests::dockerfile::Dockerfile;
use trunkline_tests::{Ground, eventually, heavy, ports, workspace};
use xtask::brokers::kafka::{Kafka, Proxied};
use xtask::brokers::rabbitmq::RabbitMq;

use super::RECOVERED;
use super::play::{Topology, play};

/// The containers of one profile.
struct Containers {
    docker: Docker,
    project: String,
    ours: Vec<Service>,
    gateway: u16,
    console: u16,
    arguments: Vec<String>,
    _forwarders: JoinSet<()>,
    _folder: TempDir,
}

/// What is beside the containers, by the name and port that they call it by, and where it listens.
type Beside = Vec<(&'static str, u16, SocketAddr)>;

impl Containers {
    async fn start(docker: Docker, profile: &str, beside: Beside, store: &str) -> Self {
        let project = format!("trunkline-tests-{}", std::process::id());
        docker.output(["network", "rm", &project]);
        docker.run(["network", "create", &project]);
        let network =
            docker.inspect(&project)["IPAM"]["Config"][0]["Gateway"].as_str().unwrap().parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (gateway, console) = (ports::free(), ports::free());
        let ours = Compose::read().ours(profile);
        let written = [
            ("compose.yml", republished(gateway, console)),
            (
                "beside.yml",
                overlay(
                    &ours,
                    &project,
                    network,
                    &beside,
                    &folder.path().join("store").display().to_string(),
                ),
            ),
            ("store", store.to_owned()),
        ];
        for (name, text) in written {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let file = |name: &str| ["-f".to_owned(), folder.path().join(name).display().to_string()];
        let root = workspace::root().display().to_string();
        let others = ["-p", &project, "--project-directory", &root, "--profile", profile].map(str::to_owned);
        let arguments = [&file("compose.yml")[..], &file("beside.yml"), &others].concat();
        let mut forwarders = JoinSet::new();
        for (_, port, to) in beside {
            let listener = TcpListener::bind((network, port)).await.unwrap();
            forwarders.spawn(forward(listener, to));
        }
        let this = Self {
            docker,
            project,
            ours,
            gateway,
            console,
            arguments,
            _forwarders: forwarders,
            _folder: folder,
        };
        let names = this.ours.iter().map(|service| service.name.clone());
        this.compose(
            ["up", "--detach", "--no-build", "--no-deps"].map(str::to_owned).into_iter().chain(names),
        );
        for host in this.hosts() {
            this.healthy(&host).await;
        }
        this
    }

    fn compose(&self, arguments: impl IntoIterator<Item = String>) -> String {
        let all: Vec<String> = self.arguments.iter().cloned().chain(arguments).collect();
        tokio::task::block_in_place(|| self.docker.compose(&all))
    }

    fn container(&self, host: &str) -> String {
        let service = self.ours.iter().find(|service| service.host == host).unwrap();
        self.compose(["ps", "--quiet", &service.name].map(str::to_owned)).trim().to_owned()
    }

    /// Waits until the image's health check ends well. The engine asks every 10 s; this asks at once.
    async fn healthy(&self, host: &str) {
        let container = self.container(host);
        let check = [&["exec".to_owned(), container.clone()], &*Dockerfile::read().health].concat();
        eventually(format!("{host} to be healthy"), RECOVERED, async || {
            let output = tokio::task::block_in_place(|| self.docker.output(&check));
            let running = self.docker.inspect(&container)["State"]["Running"] == true;
            assert!(running, "{host} ended:\n{}", self.docker.logs(&container));
            output.status.success().then_some(())
        })
        .await;
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for service in &self.ours {
                println!("--- {} ---\n{}", service.host, self.docker.logs(&self.container(&service.host)));
            }
        }
        self.compose(["down", "--volumes", "--timeout", "1"].map(str::to_owned));
        self.docker.output(["network", "rm", &self.project]);
    }
}

impl Topology for Containers {
    fn address(&self, host: &str, _port: u16) -> String {
        let port = if host == "gateway" { self.gateway } else { self.console };
        format!("127.0.0.1:{port}")
    }

    fn hosts(&self) -> Vec<String> {
        self.ours.iter().map(|service| service.host.clone()).collect()
    }

    async fn kill_and_restart(&self, host: &str) {
        let container = self.container(host);
        tokio::task::block_in_place(|| {
            self.docker.run(["kill", "--signal", "KILL", &container]);
            self.docker.run(["start", &container]);
        });
        self.healthy(host).await;
    }

    async fn run(&self, host: &str, arguments: &[&str]) -> Printed {
        let container = self.container(host);
        let all = [&["exec", &container, "trunkline"], arguments].concat();
        let output = tokio::task::block_in_place(|| self.docker.output(all));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Printed { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The file itself, but for the machine's ports, which others may have.
fn republished(gateway: u16, console: u16) -> String {
    let mut text = workspace::read("docker-compose.yml");
    for (own, free) in [(8080, gateway), (8090, console)] {
        let published = format!("127.0.0.1:{own}:{own}");
        assert!(text.contains(&published), "docker-compose.yml does not publish {published}");
        text = text.replace(&published, &format!("127.0.0.1:{free}:{own}"));
    }
    text
}

/// What a user's own override would say: where brokers, store and collector are, and the store's address.
fn overlay(ours: &[Service], network: &str, gateway: IpAddr, beside: &Beside, store: &str) -> String {
    let hosts: Vec<String> = beside.iter().map(|(host, ..)| format!("\"{host}:{gateway}\"")).collect();
    let hosts = hosts.join(", ");
    let mut text = "services:\n".to_owned();
    for service in ours {
        text += &format!("  {}: {{ extra_hosts: [{hosts}] }}\n", service.name);
    }
    text + &format!(
        "networks: {{ default: {{ external: true, name: {network} }} }}\nsecrets: {{ store: {{ file: \"{store}\" }} }}\n"
    )
}

/// Carries connections, until the test ends.
async fn forward(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let (mut from, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(to).await {
                drop(tokio::io::copy_bidirectional(&mut from, &mut server).await);
            }
        });
    }
}

/// A broker of the case's own: the file's channels have no prefix.
enum Broker {
    Kafka(Kafka, SocketAddr),
    RabbitMq(RabbitMq),
}

impl Broker {
    fn launch(profile: &str) -> Self {
        if profile == "kafka" {
            let port = ports::free();
            let proxied = Some(Proxied { port, advertised: "kafka:9092".to_owned() });
            let settings = xtask::brokers::kafka::Settings { proxied, ..Default::default() };
            Self::Kafka(Kafka::launch(&settings).unwrap(), SocketAddr::from(([127, 0, 0, 1], port)))
        } else {
            Self::RabbitMq(RabbitMq::launch(&xtask::brokers::rabbitmq::Settings::default()).unwrap())
        }
    }

    /// Its address, and how the containers call it.
    fn beside(&self) -> (String, (&'static str, u16, SocketAddr)) {
        match self {
            Self::Kafka(kafka, listens) => (kafka.url(), ("kafka", 9092, *listens)),
            Self::RabbitMq(rabbit) => (rabbit.url().to_owned(), ("rabbitmq", 5672, address(rabbit.url()))),
        }
    }
}

/// Where a server on this machine listens, by its URL.
fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("127.0.0.1:").unwrap();
    let port = rest.split(|byte: char| !byte.is_ascii_digit()).next().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
}

async fn place_and_engine(case: &str) -> Option<(SemaphorePermit<'static>, Docker)> {
    if xtask::brokers::skipped(case) {
        return None;
    }
    let place = heavy::load().await;
    Some((place, Docker::get(case).await?))
}

async fn in_containers(profile: &'static str, case: &str) {
    let Some((_place, docker)) = place_and_engine(case).await else { return };
    tokio::task::block_in_place(|| docker.build());
    let launch = tokio::task::spawn_blocking(move || Broker::launch(profile));
    let broker = launch.await.unwrap();
    let (url, broker_beside) = broker.beside();
    let ground = Ground::on(format!("\"{url}\""), case).await.expect("the run is with brokers");
    let collector = Collector::start().await;
    let store = address(&ground.store);
    let beside = vec![
        broker_beside,
        ("postgres", 5432, store),
        ("collector", 4318, address(&collector.receiver().url(""))),
    ];
    let store = ground.store.replace(&store.to_string(), "postgres:5432");
    let containers = Containers::start(docker, profile, beside, &store).await;
    play(&containers, case).await;
    for host in containers.hosts() {
        containers.docker.healthy(&containers.container(&host), Duration::from_secs(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topology_runs_in_containers_on_kafka() {
    in_containers("kafka", "the_topology_runs_in_containers_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topology_runs_in_containers_on_rabbitmq() {
    in_containers("rabbitmq", "the_topology_runs_in_containers_on_rabbitmq").await;
}
