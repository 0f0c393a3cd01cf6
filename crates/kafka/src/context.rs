//! What librdkafka's clients tell us: log lines, errors, and that they need a token.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

use crate::options::Options;

/// How long a token is taken to be good; it is asked for again before that.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// What every client shares.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    token: Token,
    principal: String,
}

#[derive(Clone, Default)]
enum Token {
    #[default]
    None,
    Text(String),
    File(String),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Common {
    pub(crate) fn new(options: &Options) -> Self {
        let property = |name: &str| options.properties.get(&format!("trunkline.oauth.{name}")).cloned();
        let token = match (property("token.file"), property("token")) {
            (Some(file), _) => Token::File(file),
            (None, Some(text)) => Token::Text(text),
            (None, None) => Token::None,
        };
        Self { token, principal: property("principal").unwrap_or_else(|| "trunkline".to_owned()) }
    }
}

impl ClientContext for Common {
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
        let token = match &self.token {
            Token::None => {
                return Err("set trunkline.oauth.token.file or trunkline.oauth.token for OAUTHBEARER".into());
            }
            Token::Text(text) => text.clone(),
            Token::File(file) => std::fs::read_to_string(file)
                .map_err(|error| format!("the token file {file} can't be read: {error}"))?
                .trim()
                .to_owned(),
        };
        let until = SystemTime::now() + TOKEN_LIFE;
        let until = until.duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
        let lifetime_ms = i64::try_from(until.as_millis())?;
        Ok(OAuthToken { token, principal_name: self.principal.clone(), lifetime_ms })
    }
}

impl ConsumerContext for Common {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn token(properties: &[(&str, &str)]) -> Result<OAuthToken, String> {
        let properties = properties.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let options = Options { properties, ..Options::default() };
        Common::new(&options).generate_oauth_token(None).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_comes_from_a_file_or_as_it_is() {
        let made = token(&[("trunkline.oauth.token", "abc"), ("trunkline.oauth.principal", "bus")]).unwrap();
        assert_eq!((made.token.as_str(), made.principal_name.as_str()), ("abc", "bus"));
        let file = std::env::temp_dir().join(format!("trunkline-token-{}", std::process::id()));
        std::fs::write(&file, "from-file\n").unwrap();
        let made = token(&[("trunkline.oauth.token.file", file.to_str().unwrap())]).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(made.token, "from-file");
        let Err(refused) = token(&[]) else { panic!("there is no token") };
        assert!(refused.contains("trunkline.oauth.token.file"), "{refused}");
    }
}
