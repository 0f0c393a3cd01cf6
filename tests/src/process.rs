//! One child process of the binary, with its log.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{command, eventually};

/// A running `trunkline ..`. It is killed when dropped; it kills nothing but its own child.
pub struct Process {
    child: Mutex<Child>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts it in a folder; what it prints goes to `NAME.log` there, over all its starts.
    pub fn start(
        folder: &Path,
        name: &str,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let child = Mutex::new(spawn(folder, &log, &arguments, &environment));
        Self { child, arguments, environment, folder: folder.to_owned(), log }
    }

    /// Starts it again as it was started before, after it has ended.
    pub fn restart(&self) {
        assert!(self.exited().is_some(), "it still runs");
        *self.child.lock().unwrap() = spawn(&self.folder, &self.log, &self.arguments, &self.environment);
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
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

    /// The processor time it has used, in steps of 10 ms.
    pub fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        // proc(5): utime and stime are fields 14 and 15, in clock ticks; what follows the name begins with the third.
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// Sends a signal, unless it has ended.
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

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Stopped ones must go on to be killed; killing needs no going on.
        if child.kill().is_ok() {
            drop(child.wait());
        }
        if std::thread::panicking() {
            println!("--- {} ---\n{}", self.log.display(), self.log());
        }
    }
}

fn spawn(folder: &Path, log: &Path, arguments: &[String], environment: &[(String, String)]) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = command::trunkline(&arguments, folder, environment);
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
