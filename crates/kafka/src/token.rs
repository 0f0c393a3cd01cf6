//! Tokens for SASL OAUTHBEARER.
//!
//! A client asks for its token when it is polled. One that is never polled, or only after its first request, would wait for
//! ever; it is handed its token instead, before a request. The binding offers no such call, so it is made here directly.

use std::ffi::CString;
use std::ptr;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_oauthbearer_set_token;
use rdkafka::client::{Client, OAuthToken};
use rdkafka::types::RDKafkaRespErr;

use crate::asker::lock;
use crate::error::TokenFailure;
use crate::options::Options;

/// How long a token is taken to be good; it is asked for again before that.
const LIFE: Duration = Duration::from_secs(300);
/// A token this old is handed over anew.
const HAND_EVERY: Duration = Duration::from_secs(200);

/// Where tokens come from.
#[derive(Clone, Default)]
pub(crate) struct TokenSource {
    token: Token,
    principal: String,
    /// The brokers are to be shown one.
    is_used: bool,
}

#[derive(Clone, Default)]
enum Token {
    #[default]
    None,
    Text(String),
    File(String),
}

impl std::fmt::Debug for TokenSource {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("is_used", &self.is_used).finish_non_exhaustive()
    }
}

impl TokenSource {
    pub(crate) fn new(options: &Options) -> Self {
        let own = |name: &str| options.properties.get(&format!("trunkline.oauth.{name}")).cloned();
        let token = match (own("token.file"), own("token")) {
            (Some(file), _) => Token::File(file),
            (None, Some(text)) => Token::Text(text),
            (None, None) => Token::None,
        };
        let mechanism = ["sasl.mechanism", "sasl.mechanisms"].map(|name| options.properties.get(name));
        let is_used = !matches!(token, Token::None)
            && mechanism.into_iter().flatten().any(|name| name.eq_ignore_ascii_case("OAUTHBEARER"));
        let principal = own("principal").unwrap_or_else(|| "trunkline".to_owned());
        Self { token, principal, is_used }
    }

    pub(crate) fn read(&self) -> Result<OAuthToken, TokenFailure> {
        let token = match &self.token {
            Token::None => return Err(TokenFailure::Missing),
            Token::Text(text) => text.clone(),
            Token::File(file) => std::fs::read_to_string(file)
                .map_err(|error| TokenFailure::Unreadable { file: file.clone(), problem: error.to_string() })?
                .trim()
                .to_owned(),
        };
        // A clock before 1970 makes a token that has run out, which brokers refuse.
        let until = (SystemTime::now() + LIFE).duration_since(UNIX_EPOCH).unwrap_or_default();
        let lifetime_ms = i64::try_from(until.as_millis()).unwrap_or(i64::MAX);
        Ok(OAuthToken { token, principal_name: self.principal.clone(), lifetime_ms })
    }
}

/// When a client was last handed its token.
#[derive(Debug, Default)]
pub(crate) struct Handed(Mutex<Option<Instant>>);

impl Handed {
    /// Hands a client its token, if it needs one and the last one grows old. To be called before requests of a client
    /// that nobody polls.
    pub(crate) fn renew<C: ClientContext>(
        &self,
        client: &Client<C>,
        source: &TokenSource,
    ) -> Result<(), TokenFailure> {
        if !source.is_used {
            return Ok(());
        }
        let mut last = lock(&self.0);
        if last.is_some_and(|last| last.elapsed() < HAND_EVERY) {
            return Ok(());
        }
        hand(client, &source.read()?)?;
        *last = Some(Instant::now());
        Ok(())
    }
}

fn hand<C: ClientContext>(client: &Client<C>, token: &OAuthToken) -> Result<(), TokenFailure> {
    let text = |text: &str| CString::new(text).map_err(|error| TokenFailure::Unusable(error.to_string()));
    let (value, principal) = (text(&token.token)?, text(&token.principal_name)?);
    let mut problem = [0_u8; 512];
    // SAFETY: the client lives as long as its reference, both texts end with NUL and are copied by the call, no extensions
    // are passed, and the buffer is as long as it is said to be.
    #[allow(unsafe_code, reason = "the binding has no such call")]
    let code = unsafe {
        rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            problem.as_mut_ptr().cast(),
            problem.len(),
        )
    };
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    let end = problem.iter().position(|byte| *byte == 0).unwrap_or(problem.len());
    Err(TokenFailure::Unusable(String::from_utf8_lossy(&problem[..end]).into_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn source(properties: &[(&str, &str)]) -> TokenSource {
        let properties = properties.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        TokenSource::new(&Options { properties, ..Options::default() })
    }

    fn token(properties: &[(&str, &str)]) -> Result<OAuthToken, String> {
        source(properties).read().map_err(|error| error.to_string())
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

    #[test]
    fn a_client_without_oauthbearer_is_handed_nothing() {
        use rdkafka::config::FromClientConfig;
        use rdkafka::producer::{BaseProducer, Producer};

        let producer = |mechanism: &str| {
            let mut config = rdkafka::ClientConfig::new();
            config.set("security.protocol", "sasl_plaintext").set("sasl.mechanism", mechanism);
            config.set("sasl.username", "u").set("sasl.password", "p");
            BaseProducer::<rdkafka::producer::DefaultProducerContext>::from_config(&config).unwrap()
        };
        let named =
            |mechanism, text| source(&[("sasl.mechanism", mechanism), ("trunkline.oauth.token", text)]);
        let (plain, bearer) = (producer("PLAIN"), producer("OAUTHBEARER"));
        Handed::default().renew(plain.client(), &named("PLAIN", "abc")).unwrap();
        assert!(Handed::default().renew(plain.client(), &named("OAUTHBEARER", "abc")).is_err());
        let handed = Handed::default();
        assert!(handed.renew(bearer.client(), &named("OAUTHBEARER", "a\0c")).is_err());
        handed.renew(bearer.client(), &named("OAUTHBEARER", "abc")).unwrap();
    }
}
