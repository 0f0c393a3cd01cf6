//! Opening a connection: address, TLS, handshake, within a time.

use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, fs};

use async_compat::Compat;
use lapin::runtime::default_runtime;
use lapin::tcp::{AsyncTcpStream, OwnedIdentity, OwnedTLSConfig};
use lapin::types::LongString;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, ErrorKind};

use crate::error::{ConnectError, RabbitFailure};
use crate::options::{Options, Tls};

/// AMQP's code for a refused user, password or virtual host.
const ACCESS_REFUSED: u16 = 403;
/// AMQP's code for a virtual host that does not exist, among others.
const NOT_ALLOWED: u16 = 530;

/// Where and how to connect, checked once.
#[derive(Clone)]
pub(crate) struct Address {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    client: String,
    timeout: Duration,
}

impl Address {
    pub(crate) fn new(options: &Options) -> Result<Self, ConnectError> {
        // The parser's own error may quote the URL.
        let mut uri: AMQPUri = options.url.parse().map_err(|_| ConnectError::Url)?;
        if uri.vhost.is_empty() {
            uri.vhost = "/".to_owned();
        }
        let heartbeat = u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1);
        uri.query.heartbeat.get_or_insert(heartbeat);
        let tls = match &options.tls {
            Some(tls) => read(tls)?,
            None => OwnedTLSConfig::default(),
        };
        Ok(Self { uri, tls, client: options.client.clone(), timeout: options.connect_timeout })
    }

    /// Host and port; all of it that may be shown.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    /// The virtual host.
    pub(crate) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// User and password.
    pub(crate) fn user(&self) -> (&str, &str) {
        (&self.uri.authority.userinfo.username, &self.uri.authority.userinfo.password)
    }

    /// Opens a connection named `client/role`.
    pub(crate) async fn open(&self, role: &str) -> Result<Connection, RabbitFailure> {
        let name = LongString::from(format!("{}/{role}", self.client));
        let properties = ConnectionProperties::default().with_connection_name(name);
        let socket = Arc::new(Socket::default());
        let (tls, kept, timeout) = (self.tls.clone(), socket.clone(), self.timeout);
        let connect = async move |uri: AMQPUri, runtime| {
            let address = (uri.authority.host.clone(), uri.authority.port);
            let open = async {
                let resolved = tokio::net::lookup_host(address).await?.collect::<Vec<_>>();
                let stream: AsyncTcpStream<Compat<tokio::net::TcpStream>> =
                    AsyncTcpStream::connect(&runtime, resolved).await?;
                if let AsyncTcpStream::Plain(socket) = &stream {
                    kept.keep(socket.get_ref().as_fd())?;
                }
                match uri.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, tls.as_ref()).await,
                }
            };
            let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
            Ok(tokio::time::timeout(timeout, open).await.unwrap_or_else(|_| Err(late()))?)
        };
        let opening = Connection::connector(self.uri.clone(), default_runtime()?, connect, properties);
        match tokio::time::timeout(timeout, opening).await {
            Ok(opened) => Ok(opened?),
            Err(_) => {
                // Without this the client's thread would wait for a silent server as long as that likes.
                socket.shut();
                Err(RabbitFailure::Timeout(timeout))
            }
        }
    }

    /// Opens the first connection, whose failure is told to an operator.
    pub(crate) async fn open_first(&self, role: &str) -> Result<Connection, ConnectError> {
        self.open(role).await.map_err(|source| {
            let address = self.shown();
            if refuses(&source) {
                ConnectError::Refused { address, source }
            } else {
                ConnectError::Unreachable { address, source }
            }
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest holds passwords and keys.
        f.debug_tuple("Address").field(&self.shown()).finish()
    }
}

/// A handle on the socket of a connection that is being opened.
#[derive(Default)]
struct Socket(Mutex<Option<TcpStream>>);

impl Socket {
    fn keep(&self, socket: BorrowedFd<'_>) -> std::io::Result<()> {
        let copy = TcpStream::from(socket.try_clone_to_owned()?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        Ok(())
    }

    fn shut(&self) {
        if let Some(socket) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
            && let Err(error) = socket.shutdown(Shutdown::Both)
        {
            tracing::debug!(%error, "a connection that took too long was gone already");
        }
    }
}

fn refuses(failure: &RabbitFailure) -> bool {
    let RabbitFailure::Amqp(error) = failure else { return false };
    match error.kind() {
        ErrorKind::ProtocolError(error) => matches!(error.get_id(), ACCESS_REFUSED | NOT_ALLOWED),
        _ => false,
    }
}

fn read(tls: &Tls) -> Result<OwnedTLSConfig, ConnectError> {
    let file = |path: &Path| {
        fs::read(path).map_err(|source| ConnectError::Certificate { path: path.to_owned(), source })
    };
    let cert_chain = match &tls.ca {
        Some(ca) => Some(String::from_utf8_lossy(&file(ca)?).into_owned()),
        None => None,
    };
    let identity = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            Some(OwnedIdentity::PKCS8 { pem: file(certificate)?, key: file(key)? })
        }
        _ => None,
    };
    Ok(OwnedTLSConfig { identity, cert_chain })
}
