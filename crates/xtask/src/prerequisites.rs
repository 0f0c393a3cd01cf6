//! What the build and the tests need besides Rust, and how it comes onto the machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Programs with the Debian package each comes from: a C compiler, make and perl for the vendored C libraries, unshare and
/// mount for the tests on a full disk.
const NEEDED: [(&str, &str); 5] =
    [("cc", "gcc"), ("make", "make"), ("perl", "perl"), ("unshare", "util-linux"), ("mount", "mount")];

/// Installs what is missing, where the machine has apt and we may; otherwise says what to install.
///
/// # Errors
/// Something is missing and can't be installed.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !on_path("apt-get") {
        bail!("the tests need what Debian's packages {packages} hold; install it and run this again");
    }
    println!("> apt-get install {packages}");
    for arguments in [vec!["update", "--quiet"], [vec!["install", "--yes", "--quiet"], missing].concat()] {
        let status = Command::new("apt-get").args(&arguments).status().context("apt-get can't be run")?;
        if !status.success() {
            bail!("apt-get failed; as root, run: apt-get install {packages}");
        }
    }
    Ok(())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
