//! Services as processes of their own, on a broker and a store that they share.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;

use crate::command::{self, Printed};
use crate::setup::Ports;
use crate::{Answered, Ground, Process, Setup, eventually, heavy, ports};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(90);

/// Processes with one configuration. Dropped, they are killed.
pub struct Fleet {
    members: BTreeMap<String, Member>,
    client: Client,
    folder: TempDir,
    prefix: String,
    setup: Setup,
    // Dropped last, because the processes have its database open.
    _ground: Ground,
    _place: SemaphorePermit<'static>,
}

/// One process, and where it listens.
pub struct Member {
    /// The process.
    pub process: Process,
    listen: Option<u16>,
    admin: u16,
}

impl Fleet {
    /// The configuration's folder, with no process yet.
    pub async fn new(ground: Ground, setup: Setup) -> Self {
        let place = heavy::load().await;
        let mut setup = setup;
        setup.broker.clone_from(&ground.broker);
        setup.store.clone_from(&ground.store);
        setup.sections = format!("channels: {{ prefix: \"{}\" }}\n{}", ground.prefix, setup.sections);
        let folder = tempfile::tempdir().unwrap();
        // Every process is started with addresses of its own.
        std::fs::write(folder.path().join("trunkline.yaml"), setup.render(Ports::free())).unwrap();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let prefix = ground.prefix.clone();
        Self { members: BTreeMap::new(), client, folder, prefix, setup, _ground: ground, _place: place }
    }

    /// Starts a process of `service` and does not wait for it. Its name is its instance's, too.
    pub fn launch(&mut self, name: &str, service: &str, arguments: &[&str]) {
        self.launch_as(name, name, service, arguments);
    }

    /// As [`Fleet::launch`], with another instance's name.
    pub fn launch_as(&mut self, name: &str, instance: &str, service: &str, arguments: &[&str]) {
        let listens = matches!(service, "gateway" | "console");
        let (listen, admin) = (listens.then(ports::free), ports::free());
        let mut all: Vec<String> = ["run", service, "-c", "trunkline.yaml"].map(str::to_owned).into();
        all.extend(["--admin".to_owned(), format!("127.0.0.1:{admin}")]);
        all.extend(listen.into_iter().flat_map(|port| ["--listen".to_owned(), format!("127.0.0.1:{port}")]));
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let mut environment = self.setup.environment.clone();
        environment.push(("TRUNKLINE_INSTANCE".to_owned(), instance.to_owned()));
        let process = Process::start(self.folder.path(), name, all, environment);
        let before = self.members.insert(name.to_owned(), Member { process, listen, admin });
        assert!(before.is_none(), "{name} is there already");
    }

    /// Starts one process of each service, named after it, and waits until all are ready.
    pub async fn launch_all(&mut self) {
        // The order in which they come must not matter.
        let services = ["dispatcher", "gateway", "console", "router"];
        services.iter().for_each(|service| self.launch(service, service, &[]));
        for service in services {
            self.ready(service).await;
        }
    }

    /// Waits until a process is ready.
    pub async fn ready(&self, name: &str) {
        let member = self.member(name);
        eventually(format!("{name} to be ready"), START, async || {
            if let Some(status) = member.process.exited() {
                panic!("{name} ended with {status}:\n{}", member.process.log());
            }
            let url = format!("http://127.0.0.1:{}/readyz", member.admin);
            self.client.get(url).send().await.ok()?.status().is_success().then_some(())
        })
        .await;
    }

    /// `kill -9`, then a start with the same name and the same addresses.
    pub async fn kill_and_restart(&self, name: &str) {
        let process = &self.member(name).process;
        process.kill().await;
        process.restart();
        self.ready(name).await;
    }

    /// Stops a process as an orchestrator does, then starts it with the same name and the same addresses.
    pub async fn stop_and_restart(&self, name: &str) {
        let process = &self.member(name).process;
        let status = process.terminate(Duration::from_secs(30)).await;
        assert!(status.success(), "{name} ended with {status}:\n{}", process.log());
        process.restart();
        self.ready(name).await;
    }

    /// Stops a process for good, as an orchestrator does; it must end well.
    pub async fn retire(&mut self, name: &str) {
        let member = self.members.remove(name).unwrap_or_else(|| panic!("there is no {name}"));
        let status = member.process.terminate(Duration::from_secs(30)).await;
        assert!(status.success(), "{name} ended with {status}:\n{}", member.process.log());
    }

    /// Every process, by its name.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members.iter().map(|(name, member)| (name.as_str(), member))
    }

    /// A process by its name.
    #[track_caller]
    pub fn member(&self, name: &str) -> &Member {
        self.members.get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// What every channel begins with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The folder of the configuration and the logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Its HTTP and its command line.
impl Fleet {
    /// A URL of what listens under that name.
    #[track_caller]
    pub fn url(&self, name: &str, path: &str) -> String {
        let port = self.member(name).listen.expect("it does not listen");
        format!("http://127.0.0.1:{port}{path}")
    }

    /// Sends a request where an answer must come.
    pub async fn send(&self, method: Method, url: String, kind: &str, body: String) -> Answered {
        let request = self.client.request(method, url).header("content-type", kind).body(body);
        Answered::read(request.send().await.unwrap()).await.unwrap()
    }

    /// Posts an event in structured JSON to a gateway.
    pub async fn publish(&self, gateway: &str, event: &Value) -> Answered {
        let url = self.url(gateway, "/v1/events");
        self.send(Method::POST, url, "application/cloudevents+json", event.to_string()).await
    }

    /// Asks a console.
    pub async fn get(&self, path: &str) -> Value {
        let url = self.url("console", path);
        self.send(Method::GET, url, "application/json", String::new()).await.expect(200).json()
    }

    /// The items of a list of the console.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"].as_array().unwrap().clone()
    }

    /// Waits until nothing waits and nothing is under way.
    pub async fn settled(&self, within: Duration) -> Value {
        eventually("everything to be delivered or dead", within, async || {
            let url = self.url("console", "/api/v1/account");
            let answer = self.send(Method::GET, url, "application/json", String::new()).await;
            // A broker that has just come back may not tell yet what waits.
            if answer.status == 503 {
                return None;
            }
            let account = answer.expect(200).json();
            let moving = account["events"]["waiting"] != 0 || account["deliveries"]["in_flight"] != 0;
            (!moving).then_some(account)
        })
        .await
    }

    /// The metrics of a process, as text.
    pub async fn metrics(&self, name: &str) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.member(name).admin);
        let answer = self.send(Method::GET, url, "text/plain", String::new()).await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// A metric of a process: the sum of the series whose line has all of `labels` in it, such as `group="router"`.
    pub async fn metric(&self, name: &str, metric: &str, labels: &[&str]) -> f64 {
        let text = self.metrics(name).await;
        let of_it = |line: &&str| {
            let rest = line.strip_prefix(metric);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        text.lines().filter(of_it).filter_map(value).sum()
    }

    /// Runs a command; the console's address is set.
    pub async fn run(&self, arguments: &[&str]) -> Printed {
        self.run_with("trunkline.yaml", arguments).await
    }

    /// As [`Fleet::run`], with another configuration of its folder.
    pub async fn run_with(&self, configuration: &str, arguments: &[&str]) -> Printed {
        let mut all = arguments.to_vec();
        all.extend(["-c", configuration]);
        let mut environment = self.setup.environment.clone();
        if let Some(port) = self.members.get("console").and_then(|member| member.listen) {
            environment.push(("TRUNKLINE_CONSOLE".to_owned(), format!("127.0.0.1:{port}")));
        }
        command::run(&all, self.folder(), &environment).await
    }
}
