//! How a server is started: everything needed to start it again, from another process too.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::process::Process;
use super::{BrokersError, folder};

/// A program in a session of its own, so that neither the end of a terminal nor an interrupt reaches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The whole environment: a developer's own settings of Java, Erlang or PostgreSQL change nothing.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it runs, and where its output goes.
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
    /// User and group, where it may not run as ours.
    pub(crate) user: Option<(u32, u32)>,
    /// A file that the server leaves when it is killed, and that keeps it from starting as long as the system knows the
    /// dead process.
    pub(crate) stale: Option<PathBuf>,
}

impl Recipe {
    pub(crate) fn new(program: PathBuf, folder: PathBuf, name: &str) -> Recipe {
        let mut environment = BTreeMap::from([
            ("HOME".to_owned(), folder.to_string_lossy().into_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ]);
        if let Ok(path) = std::env::var("PATH") {
            environment.insert("PATH".to_owned(), path);
        }
        let log = folder.join(format!("{name}.log"));
        Recipe { program, arguments: Vec::new(), environment, folder, log, user: None, stale: None }
    }

    pub(crate) fn arguments<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Recipe {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// Starts it. The earlier process must be gone.
    pub(crate) fn spawn(&self) -> Result<Process, BrokersError> {
        if let Some(stale) = &self.stale {
            folder::remove_file(stale)?;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(BrokersError::file(&self.log))?;
        let errors = log.try_clone().map_err(BrokersError::file(&self.log))?;
        // `setsid` becomes the program, so the child's id is the server's.
        let mut command = self.command("setsid");
        command.arg(&self.program).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().map_err(|source| self.run_error(source))?;
        // A process that ended at once has no moment of start; whoever waits for its answer finds it dead.
        Ok(Process::of(child.id()).unwrap_or(Process::ended(child.id())))
    }

    /// Runs it to its end and returns what it printed.
    pub(crate) fn run(&self) -> Result<String, BrokersError> {
        let mut command = self.command(&self.program.to_string_lossy());
        command.args(&self.arguments).stdin(Stdio::null());
        let output = command.output().map_err(|source| self.run_error(source))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        Err(BrokersError::Failed {
            command: self.program.display().to_string(),
            status: output.status,
            output: format!("{printed}{}", String::from_utf8_lossy(&output.stderr)),
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.environment).current_dir(&self.folder);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn run_error(&self, source: std::io::Error) -> BrokersError {
        BrokersError::Run { command: self.program.display().to_string(), source }
    }
}
