//! The command line, run to its end.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::workspace;

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Printed {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The binary with arguments, in a folder, with environment variables; those of this process that begin with
/// `TRUNKLINE_` or `OTEL_` are left out.
pub(crate) fn trunkline(arguments: &[&str], folder: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(workspace::trunkline());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("TRUNKLINE_") || name.starts_with("OTEL_"))
    {
        command.env_remove(name);
    }
    command.envs(environment.iter().cloned());
    command
}

/// Runs the binary to its end.
pub async fn run(arguments: &[&str], folder: &Path, environment: &[(String, String)]) -> Printed {
    let mut command = trunkline(arguments, folder, environment);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Printed { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Printed {
    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// The lines of standard output, each a JSON object, as `--json` promises.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.out.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}
