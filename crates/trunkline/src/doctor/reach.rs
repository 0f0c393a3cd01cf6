//! Whether somebody listens behind a name and a port.

use std::time::Duration;

use futures::future::join_all;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use trunkline_core::{Examination, Fault};

/// Tries all of them at once; says whether any was reached. One of several that is not is only a warning.
pub(super) async fn reach<At: Clone>(
    servers: &[(String, u16)],
    patience: Duration,
    at: &At,
    found: &mut Examination<At>,
) -> bool {
    let tried = servers.iter().map(async |(host, port)| (host, port, connect(host, *port, patience).await));
    let tried = join_all(tried).await;
    let any = tried.is_empty() || tried.iter().any(|(.., outcome)| outcome.is_ok());
    for (host, port, outcome) in tried {
        if let Err((problem, remedy)) = outcome {
            let problem = format!("{host}:{port} {problem}");
            if any {
                found.warning(at.clone(), Fault::Unreachable, problem, remedy);
            } else {
                found.error(at.clone(), Fault::Unreachable, problem, remedy);
            }
        }
    }
    any
}

async fn connect(host: &str, port: u16, patience: Duration) -> Result<(), (String, &'static str)> {
    let late = || {
        let problem = format!("does not answer within {}", humantime::format_duration(patience));
        (problem, "check host and port, and whether a firewall is between")
    };
    let addresses: Vec<_> = match timeout(patience, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            let remedy = "check the host's name, and that this machine's name server knows it";
            return Err((format!("can't be found: {error}"), remedy));
        }
        Err(_) => return Err(late()),
    };
    match timeout(patience, TcpStream::connect(&*addresses)).await {
        Ok(Ok(_closed_again)) => Ok(()),
        Ok(Err(error)) => {
            Err((format!("takes no connection: {error}"), "check that it runs, and host and port"))
        }
        Err(_) => Err(late()),
    }
}
