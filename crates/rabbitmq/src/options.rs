//! What a RabbitMQ engine can be told.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a [`crate::RabbitBroker`]; all but [`Options::url`] have a default.
#[derive(Clone)]
pub struct Options {
    /// `amqp://user:password@host:port/vhost` or `amqps://..`; user, password and virtual host percent-encoded. Without a
    /// virtual host it is `/`. It holds a password, so it is never shown.
    pub url: String,
    /// What every exchange and queue begins with: empty, or for example `shop.`.
    pub prefix: String,
    /// This process's name, shown by the broker's own tools. Names need not be unique.
    pub client: String,
    /// Certificates for `amqps://`, beside those the operating system trusts.
    pub tls: Option<Tls>,
    /// Where the management plugin's API is, for an examination: `http://host:15672`. It is asked as the user of `url`.
    pub management: Option<String>,
    /// The longest record in bytes that a channel may be declared with.
    pub max_record: usize,
    /// Unsettled records of one partition that one intake may have, prefetched ones included.
    pub prefetch: u16,
    /// Bytes of handed-out, unsettled records that one intake may have of one channel; one record may exceed it.
    pub max_unsettled_bytes: usize,
    /// Records on their way to the broker and not confirmed yet; a copy for each group counts.
    pub publish_window: usize,
    /// How long a record may wait for its confirmation, broken connections and a blocked broker included, before it is
    /// reported as not known to be stored.
    pub publish_patience: Duration,
    /// How long a consumer may go on settling a lease that another one is to get.
    pub drain: Duration,
    /// How often this process tells the others which channels it consumes. Silent for three times as long, it is taken
    /// for dead.
    pub announce: Duration,
    /// AMQP heartbeats: a connection that is silent for this long is given up.
    pub heartbeat: Duration,
    /// How long connecting may take, TLS and handshake included.
    pub connect_timeout: Duration,
    /// The longest pause between two tries to reconnect.
    pub reconnect_pause: Duration,
}

/// Certificates as PEM files.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Trusts servers that these certificates signed, too.
    pub ca: Option<PathBuf>,
    /// This client's certificate, for brokers that ask for one.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "amqp://guest:guest@localhost:5672/%2f".to_owned(),
            prefix: String::new(),
            client: "trunkline".to_owned(),
            tls: None,
            management: None,
            max_record: 16 << 20,
            prefetch: 300,
            max_unsettled_bytes: 64 << 20,
            publish_window: 1000,
            publish_patience: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            announce: Duration::from_secs(2),
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            reconnect_pause: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL holds a password.
        f.debug_struct("Options")
            .field("prefix", &self.prefix)
            .field("client", &self.client)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
