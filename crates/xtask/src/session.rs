//! The shared brokers for as long as a command runs.

use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use xtask::brokers::{self, Kind};

/// What the tests of one command see of brokers. Dropped, it ends those that were started for it; so does the end of this
/// process, also when it is interrupted or killed.
pub(crate) struct Session {
    environment: Vec<(&'static str, String)>,
    guard: Option<Child>,
}

impl Session {
    /// Starts what neither runs nor is named by an environment variable.
    ///
    /// # Errors
    /// A broker can't be installed or does not start.
    pub(crate) fn with_brokers() -> anyhow::Result<Session> {
        let kinds = Kind::ungiven();
        println!("> cargo xtask brokers up");
        let started = brokers::up(&kinds);
        // Those that did start end too when another one did not.
        let ended = started.as_ref().map_or_else(|_| kinds.clone(), Clone::clone);
        let mut session = Session { environment: Vec::new(), guard: guard(&ended)? };
        started.context("the tests run against real brokers; without: cargo xtask test --no-brokers")?;
        session.environment = brokers::environment()?;
        Ok(session)
    }

    /// Tests that need a broker say that they are skipped.
    pub(crate) fn without_brokers() -> Session {
        Session { environment: vec![(brokers::WITHOUT, "1".to_owned())], guard: None }
    }

    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, &**value)).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            // It prints what it could not end.
            guard.wait().ok();
        }
    }
}

/// A process that waits for the end of its input and then ends these.
fn guard(kinds: &[Kind]) -> anyhow::Result<Option<Child>> {
    if kinds.is_empty() {
        return Ok(None);
    }
    let arguments = ["brokers", "down"].into_iter().chain(kinds.iter().map(|kind| kind.name()));
    // What cargo runs in between may build this very program anew, so its path does not lead to it any more.
    at_the_end(&format!("/proc/{}/exe", std::process::id()), arguments).map(Some)
}

/// Runs a program when the input of the returned process ends, also when its file is removed by then.
fn at_the_end<'a>(program: &str, arguments: impl Iterator<Item = &'a str>) -> anyhow::Result<Child> {
    Command::new("setsid")
        .args(["sh", "-c", "exec 3<\"$0\"; cat >/dev/null; exec /proc/self/fd/3 \"$@\" >/dev/null"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .context("setsid sh can't be run")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_built_anew_still_ends_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let (program, proof) = (folder.path().join("program"), folder.path().join("proof"));
        std::fs::copy("/bin/sh", &program).unwrap();
        let mut running =
            Command::new(&program).args(["-c", "read -r line"]).stdin(Stdio::piped()).spawn().unwrap();
        std::fs::remove_file(&program).unwrap();
        let script = format!("echo ended > {}", proof.display());
        let executable = format!("/proc/{}/exe", running.id());
        let mut guard = at_the_end(&executable, ["-c", script.as_str()].into_iter()).unwrap();
        drop(guard.stdin.take());
        assert!(guard.wait().unwrap().success());
        assert_eq!(std::fs::read_to_string(proof).unwrap(), "ended\n");
        drop(running.stdin.take());
        running.wait().unwrap();
    }
}
