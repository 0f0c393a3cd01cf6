//! What a Kafka engine can be told.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a [`crate::KafkaBroker`]. [`Options::new`] fills in what suits a service in production.
#[derive(Clone)]
pub struct Options {
    /// `host:port` of one or more brokers, separated by commas.
    pub bootstrap: String,
    /// Goes before the name of every topic and group; empty, or for example `shop.`.
    pub prefix: String,
    /// This process's name: the client id, and with the prefix its transactional id. Two processes that live at the same
    /// time must not share it.
    pub client: String,
    /// Properties of librdkafka. They win over the engine's own, except for those its correctness stands on, which are
    /// refused by name (see [`crate::REFUSED_PROPERTIES`]). Besides librdkafka's: `trunkline.oauth.token`,
    /// `trunkline.oauth.token.file` and `trunkline.oauth.principal` for SASL OAUTHBEARER.
    pub properties: BTreeMap<String, String>,
    /// TLS; without it the connection is plain unless `properties` says otherwise.
    pub tls: Option<Tls>,
    /// Replicas of a topic that is created; `None`: the cluster's default.
    pub replication: Option<u16>,
    /// `hand_over` is a Kafka transaction.
    pub transactional: bool,
    /// Transactions that may be under way at once, on different partitions.
    pub lanes: u16,
    /// The longest record in bytes that a channel may be declared with.
    pub max_record: usize,
    /// Unsettled records that one intake may have of one channel.
    pub max_unsettled_records: usize,
    /// Bytes of the unsettled records that one intake may have of one channel; one record may exceed it.
    pub max_unsettled_bytes: usize,
    /// After this time without a sign of life the group gives a consumer's partitions to others.
    pub session_timeout: Duration,
    /// How long a consumer may go on settling a lease that another one is to get; at most half of `session_timeout`.
    pub revoke_grace: Duration,
    /// How often settled prefixes are committed.
    pub commit_interval: Duration,
    /// How often records behind the commits are deleted.
    pub retention_interval: Duration,
    /// A record that was not confirmed within this time has failed.
    pub publish_timeout: Duration,
    /// How long one question to the broker may take.
    pub request_timeout: Duration,
}

/// Files for TLS, all PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authority that signed the brokers' certificates; `None`: the system's authorities.
    pub ca: Option<PathBuf>,
    /// This client's certificate, where brokers ask for one.
    pub certificate: Option<PathBuf>,
    /// The certificate's private key.
    pub key: Option<PathBuf>,
}

impl Options {
    /// The defaults, for one cluster and one process.
    pub fn new(bootstrap: impl Into<String>, prefix: impl Into<String>, client: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            prefix: prefix.into(),
            client: client.into(),
            properties: BTreeMap::new(),
            tls: None,
            replication: None,
            transactional: false,
            lanes: 2,
            max_record: 16 << 20,
            max_unsettled_records: 20_000,
            max_unsettled_bytes: 64 << 20,
            session_timeout: Duration::from_secs(30),
            revoke_grace: Duration::from_secs(10),
            commit_interval: Duration::from_millis(250),
            retention_interval: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
        }
    }

    /// Grace that a revoked lease gets.
    pub(crate) fn grace(&self) -> Duration {
        self.revoke_grace.min(self.session_timeout / 2)
    }
}

impl Default for Options {
    /// One broker on this machine, no prefix, a client called `trunkline`.
    fn default() -> Self {
        Self::new("127.0.0.1:9092", "", "trunkline")
    }
}

impl fmt::Debug for Options {
    /// Without the values of properties, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("bootstrap", &self.bootstrap)
            .field("prefix", &self.prefix)
            .field("client", &self.client)
            .field("properties", &self.properties.keys())
            .field("tls", &self.tls)
            .field("transactional", &self.transactional)
            .finish_non_exhaustive()
    }
}
