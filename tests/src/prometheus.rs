//! A real Prometheus that scrapes what a test runs.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Url};
use serde_json::Value;
use tempfile::TempDir;

use crate::{eventually, ports};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// What Prometheus is told beside the rules. It scrapes and evaluates each second, so that a test need not wait long.
const CONFIGURATION: &str = "\
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [rules.yml]
scrape_configs:
  - job_name: trunkline
    static_configs: [{ targets: [TARGET] }]
";

/// A Prometheus on a port of its own. Dropped, it is killed.
pub struct Prometheus {
    child: Child,
    client: Client,
    port: u16,
    folder: TempDir,
}

impl Prometheus {
    /// Whether this machine has one. Without, the skipped case is named in the run's output.
    pub fn is_here(case: &str) -> bool {
        let here = ["prometheus", "promtool"].map(|program| Command::new(program).arg("--version").output());
        let here = here.iter().all(Result::is_ok);
        if !here {
            // Not by `eprintln!`, whose output the test runner keeps for failures.
            drop(writeln!(
                std::io::stderr(),
                "skipped: {case}: Debian's package prometheus is not installed"
            ));
        }
        here
    }

    /// Lets `promtool` judge a file; `what` is `rules` or `config`.
    pub fn judge(what: &str, file: &std::path::Path) {
        let output = Command::new("promtool").args(["check", what]).arg(file).output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && !said.contains("WARNING"), "{}: {said}", file.display());
    }

    /// Starts one that scrapes `target` (`host:port`) by these rules.
    pub async fn start(rules: &str, target: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), ports::free());
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        let configuration = folder.path().join("prometheus.yml");
        std::fs::write(&configuration, CONFIGURATION.replace("TARGET", &format!("\"{target}\""))).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Self { child, client: Client::new(), port, folder };
        eventually("Prometheus to scrape", START, async || {
            let up = prometheus.ask("up == 1").await.ok()?;
            (!up.is_empty()).then_some(())
        })
        .await;
        prometheus
    }

    /// The series that an expression is now.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        self.ask(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Whether an alarm was ever firing.
    pub async fn fired(&self, alarm: &str) -> bool {
        let firing = format!("ALERTS{{alertname=~\"{alarm}\", alertstate=\"firing\"}}");
        !self.query(&format!("max_over_time({firing}[1h])")).await.is_empty()
    }

    async fn ask(&self, expression: &str) -> Result<Vec<Value>, String> {
        let base = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let url = Url::parse_with_params(&base, [("query", expression)]).unwrap();
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        match answer["data"]["result"].take() {
            Value::Array(series) => Ok(series),
            _ => Err(text),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            println!("--- Prometheus ---\n{log}");
        }
    }
}
