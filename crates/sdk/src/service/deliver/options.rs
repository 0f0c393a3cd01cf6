//! What an adapter's process is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use trunkline_core::DestinationName;
use trunkline_core::config::Diagnostics;

use crate::config::{DestinationEntry, Shared};
use crate::service::exit::ServiceError;
use crate::service::patience::DEFAULT_WAIT;

/// The command line, completed from the environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) configuration: PathBuf,
    destination: Option<String>,
    admin: Option<SocketAddr>,
    /// How long a broker that is not there yet is waited for.
    pub(super) wait: Duration,
}

/// Wrong usage.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum UsageError {
    #[error(
        "`{0}` is not understood; there are -c FILE, --destination NAME, --admin ADDRESS and --wait DURATION"
    )]
    Unknown(String),
    #[error("`{0}` needs a value")]
    Value(String),
    #[error("`{0}` is no address; write for example 127.0.0.1:9600")]
    Address(String),
    #[error("`{0}` is no duration; write for example 30s")]
    Duration(String),
}

impl Options {
    pub(super) fn parse(
        mut arguments: impl Iterator<Item = String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, UsageError> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let mut configuration = set("TRUNKLINE_CONFIG");
        let mut destination = set("TRUNKLINE_DESTINATION");
        let mut admin = None;
        let mut wait = DEFAULT_WAIT;
        while let Some(argument) = arguments.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (argument, None),
            };
            let mut value = || {
                attached.clone().or_else(|| arguments.next()).ok_or_else(|| UsageError::Value(name.clone()))
            };
            match name.as_str() {
                "-c" | "--config" => configuration = Some(value()?),
                "--destination" => destination = Some(value()?),
                "--admin" => {
                    let text = value()?;
                    admin = Some(text.parse().map_err(|_not_an_address| UsageError::Address(text))?);
                }
                "--wait" => {
                    let text = value()?;
                    wait = humantime::parse_duration(&text).map_err(|_not_one| UsageError::Duration(text))?;
                }
                _ => return Err(UsageError::Unknown(name)),
            }
        }
        let configuration = configuration.unwrap_or_else(|| "trunkline.yaml".to_owned()).into();
        Ok(Self { configuration, destination, admin, wait })
    }

    /// The entry, with its adapter, when this process is to host it.
    pub(super) fn choose(
        &self,
        adapter: &str,
        name: &DestinationName,
        entry: &DestinationEntry,
    ) -> Option<DestinationEntry> {
        let named = self.destination.as_deref().map(|chosen| chosen == name.as_str());
        let ours = match (&entry.adapter, named) {
            (_, Some(false)) => false,
            (Some(theirs), _) => theirs == adapter,
            (None, named) => named == Some(true),
        };
        ours.then(|| DestinationEntry { adapter: Some(adapter.to_owned()), ..entry.clone() })
    }

    /// Where health and metrics are served.
    pub(super) fn admin(&self, shared: &Shared) -> Result<SocketAddr, ServiceError> {
        if let Some(address) = self.admin {
            return Ok(address);
        }
        let mut diagnostics = Diagnostics::new();
        match shared.section_node("dispatcher").and_then(|node| node.get("admin")) {
            Some(node) => node.read(&mut diagnostics).ok_or(ServiceError::Configuration(diagnostics)),
            None => Ok(SocketAddr::from(([127, 0, 0, 1], 9600))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use trunkline_core::config::parse;

    use super::*;

    fn options(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Options, UsageError> {
        let find = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Options::parse(arguments.iter().map(|argument| (*argument).to_owned()), find)
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let environment = [("TRUNKLINE_CONFIG", "env.yaml"), ("TRUNKLINE_DESTINATION", "")];
        let read = options(&["-c", "bus.yaml", "--admin=127.0.0.1:1"], &environment).unwrap();
        assert_eq!((&*read.configuration, read.destination), (Path::new("bus.yaml"), None));
        assert_eq!(options(&[], &environment).unwrap().configuration, Path::new("env.yaml"));
        assert_eq!(options(&[], &[]).unwrap().configuration, Path::new("trunkline.yaml"));
        assert_eq!(options(&["-c"], &[]), Err(UsageError::Value("-c".to_owned())));
        assert_eq!(options(&["--help"], &[]), Err(UsageError::Unknown("--help".to_owned())));
        assert_eq!(options(&["--wait", "90s"], &[]).unwrap().wait, Duration::from_secs(90));
        assert_eq!(options(&["--wait", "long"], &[]), Err(UsageError::Duration("long".to_owned())));
        assert_eq!(options(&["--admin", "here"], &[]), Err(UsageError::Address("here".to_owned())));
    }

    #[test]
    fn a_process_hosts_its_adapters_destinations_and_the_one_it_is_told() {
        let text = "version: 1\ndestinations:
  one: { adapter: ours }
  two: { adapter: ours, external: true }
  three: { external: true }
  four: { adapter: theirs }";
        let root = parse("t.yaml", text).unwrap();
        let shared = Shared::read(root, Path::new("."), &mut Diagnostics::new()).unwrap();
        let hosted = |arguments: &[&str]| -> Vec<String> {
            let options = options(arguments, &[]).unwrap();
            let chosen = shared.destinations.iter().filter_map(|(name, entry)| {
                let entry = options.choose("ours", name, entry)?;
                assert_eq!(entry.adapter.as_deref(), Some("ours"));
                Some(name.to_string())
            });
            chosen.collect()
        };
        assert_eq!(hosted(&[]), ["one", "two"]);
        assert_eq!(hosted(&["--destination", "three"]), ["three"]);
        assert_eq!(hosted(&["--destination", "one"]), ["one"]);
        assert!(hosted(&["--destination", "four"]).is_empty());
    }
}
