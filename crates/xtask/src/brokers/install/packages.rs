//! Debian's packages.

use std::process::Command;

use super::super::BrokersError;
use super::on_path;

/// Installs packages with apt-get: as root, else with sudo. Without `missing` ones nothing happens.
///
/// On a machine with systemd the packages of servers start their own services on their usual ports; test brokers have
/// nothing to do with them.
///
/// # Errors
/// There is no apt-get or no right to use it; the error names the command to run.
pub fn install_packages(missing: &[&str]) -> Result<(), BrokersError> {
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let remedy = |reason: &str| BrokersError::Missing {
        program: "something that tests need",
        remedy: format!("{reason}: as root, run `apt-get install {names}`, then this again"),
    };
    if on_path("apt-get").is_none() {
        return Err(remedy("without apt-get, install what Debian's packages of these names hold"));
    }
    let root = rustix::process::geteuid().is_root();
    if !root && on_path("sudo").is_none() {
        return Err(remedy("there is neither root nor sudo"));
    }
    for arguments in [vec!["update", "--quiet"], install_arguments(missing)] {
        let mut command = if root { Command::new("env") } else { Command::new("sudo") };
        if !root {
            command.arg("env");
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(&arguments);
        let line = format!("apt-get {}", arguments.join(" "));
        eprintln!("> {line}");
        let status = command.status().map_err(|source| BrokersError::Run { command: line, source })?;
        if !status.success() {
            return Err(remedy("apt-get failed"));
        }
    }
    Ok(())
}

fn install_arguments<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    [&["install", "--yes", "--quiet", "--no-install-recommends"], packages].concat()
}
