//! What the build and the tests need besides Rust, and how it comes onto the machine.

use std::path::Path;

/// Programs with the Debian package each comes from: a C compiler, make and perl for the vendored C libraries, unshare and
/// mount for the tests on a full disk, Prometheus for those of the alarms and the dashboard.
const NEEDED: [(&str, &str); 6] = [
    ("cc", "gcc"),
    ("make", "make"),
    ("perl", "perl"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("prometheus", "prometheus"),
];

/// Installs what is missing, where the machine has apt and we may; otherwise says what to install.
///
/// # Errors
/// Something is missing and can't be installed.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    Ok(xtask::brokers::install_packages(&missing)?)
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
