//! One running `trunkline up`, a child process with everything of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;

use crate::command::{self, Printed};
use crate::setup::Ports;
use crate::{Answered, Setup, eventually, heavy};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running `trunkline up`. It is killed when dropped; it kills nothing but its own child.
pub struct Instance {
    child: Mutex<Child>,
    client: Client,
    setup: Setup,
    ports: Ports,
    arguments: Vec<String>,
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
        let place = heavy::instance().await;
        let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::free());
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        std::fs::write(folder.path().join("trunkline.yaml"), setup.render(ports)).unwrap();
        let child = Mutex::new(spawn(folder.path(), &arguments, &setup));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { child, client, setup, ports, arguments, folder, _place: place }
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
    pub async fn restart(&mut self) {
        assert!(self.exited().is_some(), "it still runs");
        *self.child.get_mut().unwrap() = spawn(self.folder.path(), &self.arguments, &self.setup);
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

    /// Everything it logged so far, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder().join("log")).unwrap_or_default()).into_owned()
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// Its signals.
impl Instance {
    /// Sends a signal to the child, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        let mut child = self.child.lock().unwrap();
        if child.try_wait().unwrap().is_none() {
            // The child was not waited for, so its id is still its own.
            kill_process(Pid::from_child(&child), signal).unwrap();
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        self.ended(Duration::from_secs(10)).await;
    }

    /// SIGTERM, and waits until it has ended by itself.
    pub async fn terminate(&self, within: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended(within).await
    }

    /// How it ended, if it did.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// Waits until it has ended.
    pub async fn ended(&self, within: Duration) -> ExitStatus {
        eventually("the process to end", within, async || self.exited()).await
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

impl Drop for Instance {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if child.kill().is_ok() {
            drop(child.wait());
        }
        if std::thread::panicking() {
            println!("--- the instance's log ---\n{}", self.log());
        }
    }
}

fn spawn(folder: &Path, arguments: &[String], setup: &Setup) -> Child {
    let mut all = vec!["up", "-c", "trunkline.yaml"];
    all.extend(arguments.iter().map(String::as_str));
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = command::trunkline(&all, folder, &setup.environment);
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
