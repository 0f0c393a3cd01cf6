//! One running `trunkline up`, a child process with everything of its own.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;

use crate::command::{self, Printed};
use crate::setup::Ports;
use crate::{Answered, Process, Setup, eventually, heavy};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running `trunkline up`, with what can be done to its process.
pub struct Instance {
    process: Process,
    client: Client,
    setup: Setup,
    ports: Ports,
    folder: TempDir,
    _place: SemaphorePermit<'static>,
}

impl Instance {
    /// Starts an instance and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; the log is in the message.
    pub async fn start(setup: Setup) -> Self {
        Self::start_with(setup, &[]).await
    }

    /// As [`Instance::start`], with further arguments of `up`.
    pub async fn start_with(setup: Setup, arguments: &[&str]) -> Self {
        let instance = Self::launch(setup, arguments).await;
        instance.ready().await;
        instance
    }

    /// Starts an instance and does not wait for it.
    pub async fn launch(setup: Setup, arguments: &[&str]) -> Self {
        Self::launch_in(setup, arguments, |_folder| {}).await
    }

    /// As [`Instance::start`], with something put into its folder before.
    pub async fn prepared(setup: Setup, prepare: impl FnOnce(&Path)) -> Self {
        let instance = Self::launch_in(setup, &[], prepare).await;
        instance.ready().await;
        instance
    }

    async fn launch_in(setup: Setup, arguments: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let place = heavy::instance().await;
        let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::free());
        prepare(folder.path());
        std::fs::write(folder.path().join("trunkline.yaml"), setup.render(ports)).unwrap();
        let up = ["up", "-c", "trunkline.yaml"].into_iter().chain(arguments.iter().copied());
        let up = up.map(str::to_owned).collect();
        let process = Process::start(folder.path(), "up", up, setup.environment.clone());
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { process, client, setup, ports, folder, _place: place }
    }

    /// Waits until every service is ready.
    pub async fn ready(&self) {
        eventually("the instance to be ready", START, async || {
            if let Some(status) = self.exited() {
                panic!("it ended with {status}:\n{}", self.log());
            }
            let answer = self.client.get(self.admin("/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Starts again on the same data and the same addresses, after the process has ended.
    pub async fn restart(&self) {
        self.process.restart();
        self.ready().await;
    }

    /// Its folder: configuration, log and data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration's file.
    pub fn configuration(&self) -> PathBuf {
        self.folder().join("trunkline.yaml")
    }

    /// Writes another configuration under it, as an operator's editor does: whole, by a rename.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        let new = self.folder().join("trunkline.yaml.new");
        std::fs::write(&new, self.setup.render(self.ports)).unwrap();
        std::fs::rename(new, self.configuration()).unwrap();
    }
}

impl Deref for Instance {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

/// Its HTTP.
impl Instance {
    /// A URL of the gateway.
    pub fn gateway(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.gateway)
    }

    /// A URL of the console.
    pub fn console(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.console)
    }

    /// A URL of health and metrics.
    pub fn admin(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.admin)
    }

    /// The gateway's address, for requests that no client library would make.
    pub fn gateway_address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.ports.gateway)
    }

    /// A client that follows no redirects.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// No answer.
    pub async fn try_send(
        &self,
        method: Method,
        url: String,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> reqwest::Result<Answered> {
        let mut request = self.client.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Answered::read(request.send().await?).await
    }

    /// As [`Instance::try_send`], where an answer must come.
    pub async fn send(
        &self,
        method: Method,
        url: String,
        headers: &[(String, String)],
        body: impl Into<Vec<u8>>,
    ) -> Answered {
        self.try_send(method, url, headers, body.into()).await.unwrap()
    }

    /// Posts an event in structured JSON.
    pub async fn publish(&self, event: &Value) -> Answered {
        let headers = [("content-type".to_owned(), "application/cloudevents+json".to_owned())];
        self.send(Method::POST, self.gateway("/v1/events"), &headers, event.to_string()).await
    }

    /// Posts a webhook.
    pub async fn hook(&self, source: &str, headers: &[(String, String)], body: &[u8]) -> Answered {
        self.send(Method::POST, self.gateway(&format!("/hooks/{source}")), headers, body).await
    }

    /// Asks the console.
    pub async fn get(&self, path: &str) -> Answered {
        self.send(Method::GET, self.console(path), &[], "").await
    }

    /// Acts at the console.
    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        self.send(Method::POST, self.console(path), &headers, body.to_string()).await
    }

    /// The items of a list of the console.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await.expect(200).json()["items"].as_array().unwrap().clone()
    }

    /// The metrics as text.
    pub async fn metrics(&self) -> String {
        let answer = self.send(Method::GET, self.admin("/metrics"), &[], "").await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// Waits until the account balances with nothing waiting or under way, and gives it.
    pub async fn settled(&self, within: Duration) -> Value {
        eventually(format!("the account to settle, log:\n{}", self.folder().display()), within, async || {
            let account = self.get("/api/v1/account").await.expect(200).json();
            let moving = account["events"]["waiting"] != 0 || account["deliveries"]["in_flight"] != 0;
            (!moving && account["balanced"] == true).then_some(account)
        })
        .await
    }
}

/// Its command line.
impl Instance {
    /// Runs a command against this instance: `-c` and the addresses are set.
    pub async fn run(&self, arguments: &[&str]) -> Printed {
        let mut all = arguments.to_vec();
        all.extend(["-c", "trunkline.yaml"]);
        command::run(&all, self.folder(), &self.setup.environment).await
    }
}
