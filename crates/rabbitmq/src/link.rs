//! A connection that is opened again whenever it breaks.
//!
//! The client library could do that itself, but it would also declare and consume again by its own lights; here whoever
//! uses a connection learns that it broke, and decides what that means for records under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use lapin::{Channel, Connection, Event};
use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::connection::Address;
use crate::error::RabbitFailure;

/// How often a connection is looked at beside what it tells by itself.
const LOOK: Duration = Duration::from_secs(1);

/// One connection, its successors included.
#[derive(Debug)]
pub(crate) struct Link {
    state: watch::Receiver<State>,
    blocked: watch::Receiver<Option<Arc<str>>>,
}

#[derive(Debug, Clone)]
enum State {
    Down,
    Up(Arc<Connection>),
    Closed,
}

impl Link {
    /// Keeps a connection, opened already or not, until `closing`.
    pub(crate) fn keep(
        address: Address,
        role: &'static str,
        first: Option<Connection>,
        longest_pause: Duration,
        closing: CancellationToken,
    ) -> Self {
        let (state, seen_state) = watch::channel(State::Down);
        let (blocked, seen_blocked) = watch::channel(None);
        let keeper = Keeper { address, role, longest_pause, state, blocked, closing };
        tokio::spawn(keeper.run(first));
        Self { state: seen_state, blocked: seen_blocked }
    }

    /// An AMQP channel on this connection, waiting for it until then.
    pub(crate) async fn channel(&self, until: Instant) -> Result<Channel, RabbitFailure> {
        let mut state = self.state.clone();
        loop {
            let current = state.borrow_and_update().clone();
            match current {
                State::Closed => return Err(RabbitFailure::Closed),
                State::Up(connection) => match timeout_at(until.into(), connection.create_channel()).await {
                    Ok(Ok(channel)) => return Ok(channel),
                    Ok(Err(error)) if connection.status().connected() => return Err(error.into()),
                    Ok(Err(_)) => {}
                    Err(_) => return Err(RabbitFailure::Disconnected),
                },
                State::Down => {}
            }
            match timeout_at(until.into(), state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(RabbitFailure::Closed),
                Err(_) => return Err(RabbitFailure::Disconnected),
            }
        }
    }

    /// Why the broker lets nothing be published now.
    pub(crate) fn blocked(&self) -> Option<Arc<str>> {
        self.blocked.borrow().clone()
    }

    /// Waits until the broker lets records be published.
    pub(crate) async fn unblocked(&self) {
        let mut blocked = self.blocked.clone();
        // An error means that the keeper has ended, and with it every block.
        _ = blocked.wait_for(Option::is_none).await;
    }

    /// Waits until the connection was closed, after `closing`.
    pub(crate) async fn closed(&self) {
        let mut state = self.state.clone();
        // An error means that the keeper has ended, which is the same.
        _ = state.wait_for(|state| matches!(state, State::Closed)).await;
    }
}

/// Opens, watches, opens again.
struct Keeper {
    address: Address,
    role: &'static str,
    longest_pause: Duration,
    state: watch::Sender<State>,
    blocked: watch::Sender<Option<Arc<str>>>,
    closing: CancellationToken,
}

impl Keeper {
    async fn run(self, mut first: Option<Connection>) {
        while !self.closing.is_cancelled() {
            let opened = match first.take() {
                Some(connection) => Some(connection),
                None => self.open().await,
            };
            let Some(connection) = opened.map(Arc::new) else { break };
            self.state.send_replace(State::Up(connection.clone()));
            self.watch(&connection).await;
            let ended = if self.closing.is_cancelled() { State::Closed } else { State::Down };
            self.state.send_replace(ended);
            self.blocked.send_replace(None);
            close(&connection).await;
        }
        self.state.send_replace(State::Closed);
    }

    /// Tries until it works; `None` when the engine closes.
    async fn open(&self) -> Option<Connection> {
        let mut pauses = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(self.longest_pause)
            .without_max_times()
            .build();
        loop {
            tokio::select! {
                opened = self.address.open(self.role) => match opened {
                    Ok(connection) => {
                        tracing::info!(address = self.address.shown(), role = self.role, "connected to RabbitMQ again");
                        return Some(connection);
                    }
                    Err(error) => tracing::warn!(address = self.address.shown(), role = self.role, %error, "can't connect to RabbitMQ"),
                },
                () = self.closing.cancelled() => return None,
            }
            tokio::select! {
                () = sleep(pauses.next().unwrap_or(self.longest_pause)) => {}
                () = self.closing.cancelled() => return None,
            }
        }
    }

    /// Returns when the connection is gone or shall go.
    async fn watch(&self, connection: &Connection) {
        let mut events = std::pin::pin!(connection.events_listener());
        while connection.status().connected() {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(role = self.role, reason, "RabbitMQ blocks publishers");
                        self.blocked.send_replace(Some(reason.into()));
                    }
                    Some(Event::ConnectionUnblocked) => _ = self.blocked.send_replace(None),
                    Some(_) => {}
                    None => return,
                },
                () = sleep(LOOK) => {}
                () = self.closing.cancelled() => return,
            }
        }
    }
}

async fn close(connection: &Connection) {
    if connection.status().connected() {
        let closed = tokio::time::timeout(LOOK, connection.close(200, "closed".into())).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!("a connection was gone before it was closed");
        }
    }
}
