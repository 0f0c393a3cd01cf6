//! The channels of a configuration on the broker: made, or judged against what is there.

use thiserror::Error;
use trunkline_broker::{Broker, TopologyError};
use trunkline_core::config::{Diagnostic, Diagnostics, Node};

use super::exit::ServiceError;
use crate::config::{Shared, code};
use crate::topology;

/// A channel is missing where none may be made; points at what forbids it.
#[derive(Debug, Error)]
#[error("{0}")]
struct Missing(Diagnostic);

/// Ensures the channels of a configuration, as `broker.ensure` says: at start, and before a changed configuration goes to
/// the services.
///
/// # Errors
/// [`ServiceError::Configuration`] with the place of the setting that a channel on the broker differs from;
/// [`ServiceError::Unavailable`] says that a channel is missing, or that the broker can't be had.
pub async fn ensure_channels(broker: &dyn Broker, shared: &Shared) -> Result<(), ServiceError> {
    ensure(broker, shared).await.map_err(|error| explained(error, shared))
}

pub(super) async fn ensure(broker: &dyn Broker, shared: &Shared) -> Result<(), TopologyError> {
    broker.ensure(&topology::channels(shared), shared.broker.ensure).await
}

/// With the place of what has to be mended.
pub(super) fn explained(error: TopologyError, shared: &Shared) -> ServiceError {
    match &error {
        TopologyError::Mismatch { wanted, .. } => {
            let partitions = wanted.contains("partition");
            let hint = if partitions {
                "write what exists, or follow \"Changing the number of partitions\" in docs/operations.md"
            } else {
                "write what exists, or change the channel with the broker's own tools; nothing here changes it"
            };
            let node = setting(shared, wanted);
            let mut diagnostics = Diagnostics::new();
            diagnostics.push(node.error(code::CHANNEL_DIFFERS, error.to_string(), Some(hint.to_owned())));
            ServiceError::Configuration(diagnostics)
        }
        TopologyError::Missing(_) => {
            let broker = shared.section_node("broker").unwrap_or(&shared.root);
            let node = broker.get("ensure").unwrap_or(broker);
            let hint = "make it as docs/operations.md says, or let Trunkline make it with `ensure: create`";
            let found = node.error(code::CHANNEL_MISSING, error.to_string(), Some(hint.to_owned()));
            ServiceError::unavailable("the broker's channels", Missing(found))
        }
        _ => ServiceError::unavailable("the broker's channels", error),
    }
}

/// The node of the setting that an engine's words for what is wanted are about.
fn setting<'a>(shared: &'a Shared, wanted: &str) -> &'a Node {
    let section = |name: &str| shared.section_node(name);
    let of = |name: &str, key: &str| section(name).and_then(|node| node.get(key));
    let node = if wanted.contains("partition") {
        of("channels", "partitions")
    } else if wanted.contains("replica") {
        of("broker", "replication")
    } else if wanted.contains("byte") || wanted.contains("record") {
        of("channels", "max_record")
    } else {
        None
    };
    node.or_else(|| section("channels")).unwrap_or(&shared.root)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use trunkline_broker::ChannelName;
    use trunkline_core::config::parse;

    use super::*;
    use crate::service::Exit;

    fn shared() -> Shared {
        let text = "version: 1\nbroker: { url: kafka://k, ensure: verify }\nchannels: { partitions: 8, max_record: 1MiB }";
        Shared::read(parse("t.yaml", text).unwrap(), Path::new("."), &mut Diagnostics::new()).unwrap()
    }

    #[track_caller]
    fn check(error: TopologyError, exit: Exit, said: &[&str]) {
        let error = explained(error, &shared());
        assert_eq!(Exit::of(&error), exit);
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let text: String = causes.map(|error| format!("{error}\n")).collect();
        for part in said {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn what_the_broker_has_otherwise_is_told_with_its_place() {
        let differs = |wanted: &str, found: &str| TopologyError::Mismatch {
            channel: ChannelName::events(),
            wanted: wanted.to_owned(),
            found: found.to_owned(),
        };
        check(
            differs("8 partitions", "4 partitions"),
            Exit::Configuration,
            &[
                "t.yaml:3:25: error[TL-B001]: channels.partitions",
                "exists with 4 partitions",
                "Changing the number of partitions",
            ],
        );
        check(
            differs("records of 1048576 bytes", "less"),
            Exit::Configuration,
            &["3:40", "channels.max_record"],
        );
        check(differs("a time", "another"), Exit::Configuration, &["3:11: error[TL-B001]: channels:"]);
        check(
            TopologyError::Missing(ChannelName::events()),
            Exit::Unavailable,
            &["t.yaml:2:35: error[TL-B002]: broker.ensure"],
        );
    }
}
