//! What librdkafka's clients tell us: log lines, errors, and that they need a token.

use std::error::Error;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

use crate::options::Options;
use crate::token::TokenSource;

/// What every client shares, and what one kind of client has for itself.
#[derive(Debug, Clone)]
pub(crate) struct Context<T> {
    pub(crate) token: TokenSource,
    pub(crate) own: T,
}

/// The context of clients that look, follow or change topics.
pub(crate) type Common = Context<()>;

impl Common {
    pub(crate) fn new(options: &Options) -> Self {
        Self { token: TokenSource::new(options), own: () }
    }

    /// The context of another kind of client.
    pub(crate) fn with<T>(&self, own: T) -> Context<T> {
        Context { token: self.token.clone(), own }
    }
}

impl<T: Send + Sync + 'static> ClientContext for Context<T> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // librdkafka goes on by itself; what it can't mend comes as an answer to whoever asked.
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        Ok(self.token.read()?)
    }
}

impl ConsumerContext for Common {}
