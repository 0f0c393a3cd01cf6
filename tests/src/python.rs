//! Python programs of `tests/python`, with the packages that they need in an environment of their own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::workspace;

/// A Python with the packages of `tests/python/requirements.txt`.
#[derive(Debug, Clone, Copy)]
pub struct Python(&'static Path);

/// A program that runs. Dropped, it is killed.
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Python {
    /// Made at first use, in the target folder. None where it can't be had; then the skipped case is named in the run's
    /// output.
    pub async fn get(case: &str) -> Option<Self> {
        static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let made = tokio::task::spawn_blocking(|| MADE.get_or_init(make)).await.unwrap();
        match made {
            Ok(python) => Some(Self(python)),
            Err(reason) => {
                // Not by `eprintln!`, whose output the test runner keeps for failures.
                drop(writeln!(std::io::stderr(), "skipped: {case}: no Python with the packages: {reason}"));
                None
            }
        }
    }

    /// Starts a program of `tests/python`.
    pub fn start(self, program: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(self.0);
        command.arg(folder().join(program)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Program { child, lines }
    }

    /// Runs a program to its end, which must be a good one.
    pub async fn run(self, program: &str, arguments: &[&str]) {
        let status = self.start(program, arguments).child.wait().await.unwrap();
        assert!(status.success(), "{program} ended with {status}");
    }
}

impl Program {
    /// The next line that it prints.
    pub async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("it printed no more")
    }
}

fn folder() -> PathBuf {
    workspace::root().join("tests/python")
}

/// Where the environment's Python is, or why there is none.
fn make() -> Result<PathBuf, String> {
    let wanted = workspace::read("tests/python/requirements.txt");
    let place = workspace::metadata().target_directory.join("python-of-tests").into_std_path_buf();
    let (python, mark) = (place.join("bin/python"), place.join("installed"));
    // Written last, so that what was interrupted is made again.
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let requirements = folder().join("requirements.txt");
    run("python3".as_ref(), &["-m".as_ref(), "venv".as_ref(), "--clear".as_ref(), &place])?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"].map(Path::new);
    run(&python, &[&install[..], &[&requirements]].concat())?;
    std::fs::write(mark, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(program: &Path, arguments: &[&Path]) -> Result<(), String> {
    let output = std::process::Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.lines().last().unwrap_or("it failed").to_owned())
}
