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
    let guard = Command::new("setsid")
        .args(["sh", "-c", "cat >/dev/null; exec \"$0\" brokers down \"$@\" >/dev/null"])
        .arg(std::env::current_exe()?)
        .args(kinds.iter().map(|kind| kind.name()))
        .stdin(Stdio::piped())
        .spawn()
        .context("setsid sh can't be run")?;
    Ok(Some(guard))
}
