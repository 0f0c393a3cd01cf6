//! A pod of a service, as a process of this machine: the same arguments, environment and files, at ports that are free.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;
use trunkline_tests::{Process, command, eventually, ports};

use super::objects::Overlay;
use super::service::{Secrets, Service};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(90);

pub(super) struct Pod<'a> {
    pub(super) service: Service<'a>,
    pub(super) process: Process,
    /// Where its ports `http` and `admin` are.
    pub(super) http: u16,
    pub(super) admin: u16,
    client: Client,
    root: TempDir,
}

impl<'a> Pod<'a> {
    /// Starts one with these Secrets; `change` is done to the configuration.
    pub(super) fn start(
        service: Service<'a>,
        overlay: &Overlay,
        secrets: &Secrets,
        change: impl Fn(&str) -> String,
    ) -> Self {
        let (http, admin) = (ports::free(), ports::free());
        let root = tempfile::tempdir().unwrap();
        service.lay_out(root.path(), overlay, secrets, |text| placed(&change(text), http, admin));
        let environment = service.environment(root.path());
        let process = Process::start(root.path(), service.name, service.arguments(), environment);
        Self { service, process, http, admin, client: Client::new(), root }
    }

    /// What a probe is answered; `None` without an answer. As for the kubelet, a code below 400 is a good one.
    pub(super) async fn probe(&self, probe: &str) -> Option<bool> {
        let path = self.service.container.pointer(&format!("/{probe}/httpGet/path")).and_then(Value::as_str);
        let url = format!("http://127.0.0.1:{}{}", self.admin, path.unwrap());
        let status = self.client.get(url).send().await.ok()?.status();
        Some(status.is_success())
    }

    /// Waits until a probe is answered like this.
    pub(super) async fn probed(&self, probe: &str, well: bool) {
        eventually(format!("{probe} of the {} to be {well}", self.service.name), START, async || {
            if let Some(status) = self.process.exited() {
                panic!("the {} ended with {status}:\n{}", self.service.name, self.process.log());
            }
            (self.probe(probe).await == Some(well)).then_some(())
        })
        .await;
    }

    /// What `trunkline doctor` finds inside of it: the code and the place of each finding.
    pub(super) async fn doctor(&self) -> Vec<String> {
        let root = self.root.path();
        let printed = command::run(&["doctor", "--json"], root, &self.service.environment(root)).await;
        let lines = printed.lines().into_iter().filter(|line| line["code"].is_string());
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or("?").to_owned();
        lines.map(|line| format!("{} {}", text(&line, "code"), text(&line, "path"))).collect()
    }

    /// Stops it as the kubelet does: it ends well before it would be killed.
    pub(super) async fn stop(self) {
        let within = self.service.pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        let status = self.process.terminate(Duration::from_secs(within)).await;
        assert!(status.success(), "the {} ended with {status}:\n{}", self.service.name, self.process.log());
    }
}

/// Addresses of a pod, which has all ports to itself, as those of this process.
fn placed(text: &str, http: u16, admin: u16) -> String {
    let http = format!("127.0.0.1:{http}");
    let text = text.replace("0.0.0.0:9600", &format!("127.0.0.1:{admin}"));
    text.replace("0.0.0.0:8080", &http).replace("0.0.0.0:8090", &http)
}
