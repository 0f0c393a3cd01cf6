//! Names to addresses, filtered where they are resolved.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// Turns a name into addresses. Answers are filtered afterwards, so a resolver needs no judgement of its own.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `name`.
    ///
    /// # Errors
    /// Whatever the system says; the attempt then counts as a transient failure.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A name that resolves to no permitted address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{name}` resolves to {address}, which is not a public address")]
pub struct RefusedAddress {
    /// The name.
    pub name: String,
    /// The first address it resolves to.
    pub address: IpAddr,
}

/// Hands the connector only addresses that may be called. The connector dials exactly those, so there is no moment
/// between the check and the connection at which another answer could come in.
pub(super) struct GuardedResolver {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) permits: fn(IpAddr) -> bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, permits) = (self.resolver.clone(), self.permits);
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await?;
            let permitted: Vec<SocketAddr> = addresses
                .iter()
                .filter(|address| permits(**address))
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            match addresses.first() {
                Some(first) if permitted.is_empty() => {
                    Err(RefusedAddress { name: name.as_str().to_owned(), address: *first }.into())
                }
                Some(_) => Ok(Box::new(permitted.into_iter()) as Addrs),
                None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
            }
        })
    }
}
