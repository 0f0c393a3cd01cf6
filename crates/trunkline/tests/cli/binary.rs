//! The binary, run in a folder of its own, and a running `up`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a process may take for anything that is waited for here.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a configuration.
pub(crate) struct Folder {
    folder: TempDir,
}

/// What a finished command left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    /// With `trunkline.yaml`.
    pub(crate) fn new(configuration: &str) -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        folder.write("trunkline.yaml", configuration);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// The binary with these arguments, in the folder, with nothing of Trunkline's in the environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for name in ["CONFIG", "LOG", "LOG_FORMAT", "INSTANCE", "GATEWAY", "CONSOLE", "KEY"] {
            command.env_remove(format!("TRUNKLINE_{name}"));
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finished(&mut self.command(arguments))
    }

    /// Starts `up` and waits until it is ready.
    pub(crate) fn up(&self, admin: SocketAddr) -> Up {
        let mut command = self.command(&["up"]);
        let log = fs::File::create(self.path().join("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut up = Up { child };
        until(|| {
            let ended = up.child.try_wait().unwrap();
            let log = || fs::read_to_string(self.path().join("log")).unwrap();
            assert!(ended.is_none(), "up ended before it was ready:\n{}", log());
            get(admin, "/readyz").starts_with("HTTP/1.1 200")
        });
        up
    }

    /// What `up` has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap()
    }
}

impl Finished {
    /// The JSON objects on standard output, one a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parsed = self.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        parsed.collect()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
}

pub(crate) fn finished(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    Finished {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running `up`; killed when dropped.
pub(crate) struct Up {
    child: Child,
}

impl Up {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an init system does; its exit code.
    pub(crate) fn terminate(mut self) -> i32 {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Free addresses on loopback. Others might take one before it is used, which nothing here can prevent.
pub(crate) fn addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// Asks until it is true.
#[track_caller]
pub(crate) fn until(mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < PATIENCE, "it did not become true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The whole answer; empty when nobody answers.
fn get(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    let Ok(mut stream) = TcpStream::connect(address) else { return answer };
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).is_ok() {
        stream.read_to_string(&mut answer).ok();
    }
    answer
}

/// A configuration whose services share one file, with the sections of `rest`, and its admin address.
pub(crate) fn configuration(rest: &str) -> (String, SocketAddr) {
    let [gateway, console, admin] = addresses();
    let text = format!(
        "version: 1
gateway: {{ listen: {gateway}, admin: {admin} }}
router: {{ admin: {admin} }}
dispatcher: {{ admin: {admin} }}
console: {{ listen: {console}, admin: {admin} }}
{rest}"
    );
    (text, admin)
}
