//! The client itself.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use thiserror::Error;
use url::Url;

use super::address::is_public;
use super::resolver::{GuardedResolver, RefusedAddress, Resolver, SystemResolver};
use super::target::{TargetError, check_target};

/// How a [`GuardedClient`] behaves.
#[derive(Clone)]
pub struct ClientSettings {
    /// Whether it may reach loopback, private and other special addresses. Default `false`.
    pub allow_private: bool,
    /// How long a connection with its TLS handshake may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long an exchange may take in all, the answer's body included. Default none: the runtime ends a delivery.
    pub timeout: Option<Duration>,
    /// How much of an answer's body is read, in bytes. Default 64 KiB; the connection is closed when there is more.
    pub max_body: usize,
    /// The `user-agent` header. Default `trunkline/VERSION`.
    pub user_agent: HeaderValue,
    /// Whether answers come with the server's certificate. Default `false`: it is copied for each answer.
    pub show_certificate: bool,
    /// Turns names into addresses. Default the system's.
    pub resolver: Arc<dyn Resolver>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            allow_private: false,
            connect_timeout: Duration::from_secs(10),
            timeout: None,
            max_body: 64 * 1024,
            user_agent: HeaderValue::from_static(concat!("trunkline/", env!("CARGO_PKG_VERSION"))),
            show_certificate: false,
            resolver: Arc::new(SystemResolver),
        }
    }
}

/// Why there is no client.
#[derive(Debug, Error)]
#[error("no HTTP client can be made: {0}")]
pub struct ClientError(String);

/// A request to send.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Its headers; `host` and `content-length` are the client's.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body, at most [`ClientSettings::max_body`] bytes.
    pub body: Bytes,
    /// Whether the body was longer.
    pub truncated: bool,
    /// The server's certificate in DER, where it was asked for and the connection is encrypted.
    pub certificate: Option<Vec<u8>>,
}

/// Why nothing came back. No message holds the URL, because it may hold what an event says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// The URL may not be called.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The name resolves to no address that may be called.
    #[error(transparent)]
    Address(#[from] RefusedAddress),
    /// The name did not resolve, nobody listens, or the TLS handshake failed.
    #[error("no connection: {0}")]
    Connect(String),
    /// Not in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection ended before the answer did, or what came back is no HTTP.
    #[error("no whole answer: {0}")]
    Interrupted(String),
}

impl SendError {
    /// Whether the URL or the address behind it was refused, and nothing was sent.
    pub fn is_refusal(&self) -> bool {
        matches!(self, SendError::Target(_) | SendError::Address(_))
    }
}

/// An HTTP client that reaches public addresses only, unless its settings say otherwise. Connections are kept alive and
/// shared by its clones.
#[derive(Debug, Clone)]
pub struct GuardedClient {
    client: reqwest::Client,
    allow_private: bool,
    max_body: usize,
}

impl GuardedClient {
    /// A client.
    ///
    /// # Errors
    /// [`ClientError`] when the system has no certificates to trust, or TLS can't be set up.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let permits: fn(IpAddr) -> bool = if settings.allow_private { |_any| true } else { is_public };
        Self::with(settings, permits)
    }

    pub(super) fn with(settings: ClientSettings, permits: fn(IpAddr) -> bool) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // One call is one attempt: the retry policy counts them.
            .retry(reqwest::retry::never())
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .referer(false)
            .user_agent(settings.user_agent)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(32)
            .tcp_keepalive(Duration::from_secs(30))
            // What a peer may push before it is read, so that a connection's memory stays small.
            .http2_initial_stream_window_size(64 * 1024)
            .http2_initial_connection_window_size(256 * 1024)
            .http2_max_header_list_size(64 * 1024)
            .tls_info(settings.show_certificate)
            .dns_resolver(GuardedResolver { resolver: settings.resolver, permits });
        if let Some(timeout) = settings.timeout {
            builder = builder.timeout(timeout);
        }
        let client = builder.build().map_err(|error| ClientError(chain(&error)))?;
        Ok(Self { client, allow_private: settings.allow_private, max_body: settings.max_body })
    }

    /// Sends a request, once, and reads the answer's status, headers and the beginning of its body. Cancel-safe:
    /// dropping the future closes the connection.
    ///
    /// # Errors
    /// [`SendError`]; a status code is never an error.
    pub async fn send(&self, request: Request) -> Result<Answer, SendError> {
        check_target(&request.url, self.allow_private)?;
        let mut sent = reqwest::Request::new(request.method, request.url);
        *sent.headers_mut() = request.headers;
        *sent.body_mut() = Some(request.body.into());
        let mut response = self.client.execute(sent).await.map_err(explain)?;
        let mut body = BytesMut::new();
        let mut truncated = false;
        while let Some(chunk) = response.chunk().await.map_err(explain)? {
            let room = self.max_body - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                truncated = true;
                break;
            }
        }
        let headers = std::mem::take(response.headers_mut());
        let tls = response.extensions().get::<reqwest::tls::TlsInfo>();
        let certificate = tls.and_then(|tls| tls.peer_certificate()).map(<[u8]>::to_vec);
        Ok(Answer { status: response.status(), headers, body: body.freeze(), truncated, certificate })
    }
}

fn explain(error: reqwest::Error) -> SendError {
    // The URL would stand in the message.
    let error = error.without_url();
    if let Some(refused) = refused_address(&error) {
        return SendError::Address(refused.clone());
    }
    if error.is_timeout() {
        return SendError::Timeout;
    }
    if error.is_connect() {
        SendError::Connect(causes(&error))
    } else {
        SendError::Interrupted(causes(&error))
    }
}

/// The resolver's refusal, where the client wrapped one: there is no other way back out of it.
fn refused_address(error: &reqwest::Error) -> Option<&RefusedAddress> {
    sources(error).find_map(|cause| cause.downcast_ref())
}

/// What an error came from, without its own words, which say no more than the variant does.
fn causes(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| error.to_string(), chain)
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in sources(error) {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
    }
    text
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}
