//! A Docker engine: the machine's own, or one that the tests start and end. Without a registry its base image is made of
//! Debian's packages.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{eventually, workspace};

/// The tag of the base image that is made here.
const BASE: &str = "trunkline-tests-debian";
/// How long an engine may take to answer after its start.
const START: Duration = Duration::from_secs(60);

/// An engine that answers.
pub struct Docker {
    client: PathBuf,
    /// For an engine of our own.
    host: Option<String>,
    /// Dropped last; ends an engine of our own.
    _daemon: Option<Daemon>,
}

/// An engine of our own; it ends with this process at the latest.
struct Daemon {
    /// A shell that ends the engine at the end of its input, which comes even when this process is killed.
    watcher: Child,
    input: Option<ChildStdin>,
}

impl Docker {
    /// None where no engine answers and none can be started, or it has no base image; then the skipped case is named in the
    /// run's output. One at a time may be had.
    pub async fn get(case: &str) -> Option<Self> {
        match Self::find().await {
            Ok(docker) => Some(docker),
            Err(reason) => {
                // Not by `eprintln!`, whose output the test runner keeps for failures.
                drop(writeln!(std::io::stderr(), "skipped: {case}: no Docker engine: {reason}"));
                None
            }
        }
    }

    async fn find() -> Result<Self, String> {
        // Debian's own client fits Debian's engine; others may lack what builds images.
        let client = ["/usr/bin/docker", "/usr/local/bin/docker"].map(PathBuf::from);
        let client = client.into_iter().find(|client| client.is_file()).ok_or("there is no docker")?;
        let mut docker = Self { client, host: None, _daemon: None };
        if !docker.answers() {
            docker.start().await?;
        }
        tokio::task::block_in_place(|| docker.base())?;
        Ok(docker)
    }

    fn answers(&self) -> bool {
        self.output(["version", "--format", "{{.Server.Version}}"]).status.success()
    }

    async fn start(&mut self) -> Result<(), String> {
        let place = workspace::metadata().target_directory.join("docker-of-tests").into_std_path_buf();
        std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        self._daemon = Some(Daemon::start(&place)?);
        self.host = Some(format!("unix://{}", place.join("docker.sock").display()));
        let began = std::time::Instant::now();
        while !self.answers() {
            if began.elapsed() > START {
                let log = std::fs::read_to_string(place.join("log")).unwrap_or_default();
                return Err(log.lines().last().unwrap_or("dockerd does not answer").to_owned());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Makes the base image, unless it is there.
    fn base(&self) -> Result<(), String> {
        if self.output(["image", "inspect", BASE]).status.success() {
            return Ok(());
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let script = "debootstrap --variant=minbase --include=ca-certificates bookworm \"$1/root\" >\"$1/log\" 2>&1 \
                      && tar -C \"$1/root\" -c . | \"$2\" import - \"$3\"";
        let mut made = Command::new("sh");
        made.args(["-c", script, "sh"]).arg(folder.path()).arg(&self.client).arg(BASE);
        let made = self.ours(&mut made).output().map_err(|error| error.to_string())?;
        if made.status.success() && self.output(["image", "inspect", BASE]).status.success() {
            return Ok(());
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        Err(format!(
            "no base image: {} {}",
            log.lines().last().unwrap_or(""),
            String::from_utf8_lossy(&made.stderr)
        ))
    }

    /// Builds the image of the workspace, from the binary that the other tests run.
    pub fn build(&self) {
        xtask::image::fill(workspace::root(), workspace::trunkline()).unwrap();
        let mut build = Command::new(&self.client);
        let base = format!("DEBIAN={BASE}");
        build.args(["build", "--quiet", "--build-arg", "BINARY=prebuilt", "--build-arg", &base]);
        build
            .args(["--tag", crate::compose::IMAGE, "."])
            .env("DOCKER_BUILDKIT", "1")
            .current_dir(workspace::root());
        succeeded("docker build", &self.ours(&mut build).output().unwrap());
    }

    /// Runs `docker` and gives what it prints.
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        succeeded("docker", &self.output(arguments))
    }

    /// Runs `docker`, however it ends.
    pub fn output<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.ours(Command::new(&self.client).args(arguments)).stdin(Stdio::null()).output().unwrap()
    }

    /// What `docker inspect` says of a container, an image or a network.
    #[track_caller]
    pub fn inspect(&self, what: &str) -> Value {
        let said: Value = serde_json::from_str(&self.run(["inspect", what])).unwrap();
        said[0].clone()
    }

    /// Runs `docker compose` from the workspace's root, by the plugin or by the program of old.
    #[track_caller]
    pub fn compose(&self, arguments: &[String]) -> String {
        let plugin = self.output(["compose", "version"]).status.success();
        let mut command = Command::new(if plugin { &*self.client } else { Path::new("docker-compose") });
        if plugin {
            command.arg("compose");
        }
        command.args(arguments).current_dir(workspace::root());
        succeeded("docker compose", &self.ours(&mut command).stdin(Stdio::null()).output().unwrap())
    }

    /// Waits until a container's health check is content.
    pub async fn healthy(&self, container: &str, within: Duration) {
        eventually(format!("{container} to be healthy"), within, async || {
            let state = &self.inspect(container)["State"];
            assert_eq!(state["Running"], true, "{container}: {state}\n{}", self.logs(container));
            (state["Health"]["Status"] == "healthy").then_some(())
        })
        .await;
    }

    /// What a container printed.
    pub fn logs(&self, container: &str) -> String {
        let output = self.output(["logs", container]);
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    }

    fn ours<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }
}

impl Daemon {
    fn start(place: &Path) -> Result<Self, String> {
        if !Path::new("/usr/sbin/dockerd").is_file() {
            return Err("none answers, and there is no /usr/sbin/dockerd".to_owned());
        }
        // Of every container and image there is a whole copy: slow, and content with any file system below it.
        let script = "dockerd --storage-driver=vfs --data-root \"$1/data\" --exec-root \"$1/exec\" \
                      --pidfile \"$1/pid\" --host \"unix://$1/docker.sock\" >\"$1/log\" 2>&1 & \
                      read -r _; kill -TERM $!; wait $!";
        let mut watcher = Command::new("setsid");
        watcher.args(["sh", "-c", script, "sh"]).arg(place).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watcher = watcher.spawn().map_err(|error| error.to_string())?;
        let input = watcher.stdin.take();
        Ok(Self { watcher, input })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.input = None;
        drop(self.watcher.wait());
    }
}

#[track_caller]
fn succeeded(what: &str, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
