//! The process under test.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A process that does not outlive this one's interest in it.
pub(super) struct Child {
    process: Process,
    end: End,
}

/// How a process is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By SIGTERM.
    Signal,
    /// By the end of its input.
    Input,
}

impl Child {
    pub(super) fn start(
        program: &Path,
        arguments: impl Iterator<Item = impl AsRef<OsStr>>,
        end: End,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).env("TRUNKLINE_LOG", "warn");
        let process = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { process, end })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Fails when it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("the process under test ended with {status}"),
            None => Ok(()),
        }
    }

    /// Ends it in order.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        match self.end {
            End::Signal => kill_process(Pid::from_child(&self.process), Signal::TERM)?,
            End::Input => drop(self.process.stdin.take()),
        }
        let status = self.process.wait()?;
        ensure!(status.success(), "the process under test ended with {status}");
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill, and that is all an error here says.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
