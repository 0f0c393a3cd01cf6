//! What an engine's tests provide so that the cases can be tried on it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;
use crate::channel::{ChannelName, GroupName};

/// The name of the process that every case begins with.
pub const FIRST: &str = "first";

/// The name of the process that joins it where a case needs two.
pub const SECOND: &str = "second";

/// A broker of one engine, for one case: fresh, shared with nobody, and mortal.
///
/// Cases hold at most 100 unsettled records of a channel, except where they try the bound itself. Engine settings that
/// only make cases slow (grace of a revoked lease, session time-outs, the interval of a retention pass) are best set
/// short.
pub trait Fixture: Sized + Send + Sync + 'static {
    /// Whether this run is without the server that the cases need; then it also says that `case` is skipped.
    fn is_absent(case: &str) -> bool {
        let _ = case;
        false
    }

    /// A fresh broker, or a fresh corner of one (a directory, a channel prefix) in which no channel exists, for `case`;
    /// [`super::RESTARTING`] says whether that will restart the broker.
    fn start(case: &str) -> impl Future<Output = Self> + Send;

    /// The broker as the process called `name` sees it. The same name gives the same instance until it crashes or the
    /// broker restarts; after that, a new one. [`FIRST`] must always be there; any other name is `None` exactly where
    /// [`crate::Capabilities::several_instances`] is false.
    fn instance(&self, name: &str) -> impl Future<Output = Option<Arc<dyn Broker>>> + Send;

    /// The broker's server stops in good order and starts again. Whatever cases still hold of an instance may go on
    /// (a client that reconnects) or answer with errors (an engine inside the process), but never hangs for ever.
    fn restart(&self) -> impl Future<Output = ()> + Send;

    /// The process called `name` disappears without a goodbye: nothing it has not written is written any more. What
    /// cases still hold of it is dead.
    fn crash(&self, name: &str) -> impl Future<Output = ()> + Send;

    /// Lets the broker's own consumer time-out pass, if it has one.
    fn elapse_consumer_timeout(&self) -> impl Future<Output = ()> + Send;

    /// Takes away, behind the engine's back, what keeps the channel's records for the group. False where nothing of
    /// the kind can be taken away.
    fn break_group(&self, channel: &ChannelName, group: &GroupName) -> impl Future<Output = bool> + Send;

    /// The most unsettled records of one channel that an intake hands out, as configured here; at least 100.
    fn unsettled_bound(&self) -> usize;

    /// Whether a record that all groups have settled, or that a group did not exist for, can be kept and read later.
    fn keeps_settled(&self) -> bool {
        true
    }

    /// How long to wait for what must come.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How long to wait before concluding that nothing comes.
    fn quiet(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// Cleans up after a case that passed.
    fn stop(self) -> impl Future<Output = ()> + Send {
        async move { drop(self) }
    }

    /// The first instance.
    fn broker(&self) -> impl Future<Output = Arc<dyn Broker>> + Send {
        async { self.instance(FIRST).await.expect("the first instance is always there") }
    }

    /// Another instance; where the engine knows only one, the first.
    fn other_broker(&self) -> impl Future<Output = Arc<dyn Broker>> + Send {
        async {
            match self.instance(SECOND).await {
                Some(broker) => broker,
                None => self.broker().await,
            }
        }
    }
}
