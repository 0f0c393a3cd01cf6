//! Stopping: a first signal asks for it, a second one insists.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Exit;

/// How long a process may take to settle what it has begun, unless configured otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// A token that is cancelled by the first SIGTERM or SIGINT. A second one ends the process at once, with
/// [`Exit::Unsettled`]: what was not settled is given back to the broker.
///
/// # Errors
/// When the process may not listen for signals.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        for second in [false, true] {
            tokio::select! {
                _received = terminate.recv() => {}
                _received = interrupt.recv() => {}
            }
            if second {
                tracing::warn!("a second signal: stopping at once");
                #[allow(
                    clippy::disallowed_methods,
                    reason = "asked for twice; what is unsettled is on the broker"
                )]
                std::process::exit(Exit::Unsettled.code().into());
            }
            tracing::info!("stopping: what has begun is settled first, a second signal stops at once");
            cancelled.cancel();
        }
    });
    Ok(token)
}
