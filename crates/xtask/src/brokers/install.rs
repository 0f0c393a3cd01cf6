//! Puts the servers' programs onto the machine, where they are missing.

mod jars;
mod packages;

use std::fs;
use std::path::{Path, PathBuf};

use super::{BrokersError, Kind};

pub use packages::install_packages;

/// Installs what brokers of these kinds need and is missing: packages by apt-get, Kafka's jars by Maven.
///
/// # Errors
/// Something can't be installed; the error says what to run.
pub fn install(kinds: &[Kind]) -> Result<(), BrokersError> {
    let mut missing = Vec::new();
    if kinds.contains(&Kind::RabbitMq) && rabbitmq("rabbitmq-server").is_err() {
        missing.push("rabbitmq-server");
    }
    if kinds.contains(&Kind::Postgres) && postgres("initdb").is_err() {
        missing.push("postgresql");
    }
    if kinds.contains(&Kind::Kafka) {
        if java().is_err() {
            missing.push("default-jre-headless");
        }
        if !jars::folder().is_dir() && on_path("mvn").is_none() {
            missing.push("maven");
        }
    }
    install_packages(&missing)?;
    if kinds.contains(&Kind::Kafka) { kafka_jars().map(drop) } else { Ok(()) }
}

/// The folder of Kafka's jars, fetched if it is missing.
pub(crate) fn kafka_jars() -> Result<PathBuf, BrokersError> {
    jars::fetch()
}

pub(crate) fn java() -> Result<PathBuf, BrokersError> {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let found = home.filter(|java| java.is_file()).or_else(|| on_path("java"));
    found.ok_or_else(|| missing("java", "default-jre-headless"))
}

/// Debian's own programs: those on the path change to the package's user.
pub(crate) fn rabbitmq(program: &'static str) -> Result<PathBuf, BrokersError> {
    let own = Path::new("/usr/lib/rabbitmq/bin").join(program);
    let found = if own.is_file() { Some(own) } else { on_path(program) };
    found.ok_or_else(|| missing(program, "rabbitmq-server"))
}

/// Erlang's port mapper.
pub(crate) fn port_mapper() -> Result<PathBuf, BrokersError> {
    on_path("epmd").ok_or_else(|| missing("epmd", "rabbitmq-server"))
}

/// A program of the newest PostgreSQL: Debian keeps them off the path, in a folder for each version.
pub(crate) fn postgres(program: &'static str) -> Result<PathBuf, BrokersError> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .filter_map(|(version, folder)| {
            let path = folder.join("bin").join(program);
            path.is_file().then_some((version, path))
        })
        .max();
    newest.map(|(_, path)| path).or_else(|| on_path(program)).ok_or_else(|| missing(program, "postgresql"))
}

/// The user and group that PostgreSQL runs as when we are root, which it refuses to be.
pub(crate) fn postgres_user() -> Result<Option<(u32, u32)>, BrokersError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(BrokersError::file("/etc/passwd"))?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.map(Some).ok_or_else(|| missing("a user postgres", "postgresql"))
}

fn missing(program: &'static str, package: &str) -> BrokersError {
    BrokersError::Missing {
        program,
        remedy: format!("run `cargo xtask brokers up`, or install Debian's package {package}"),
    }
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}
